#pragma once
// junit.hpp: records as JUnit XML, for the test page of a pipeline.
//
// Layer   7. Records in, text out.
// Shapes  A suite for each model, task and arm; a test case for each output. An
//         output that is not correct is a failure of its outcome's type; one
//         that is unjudged is skipped, for nothing is known against it.
// Trust   Words of others are escaped, what XML 1.0 has no place for becomes
//         U+FFFD, and a text is cut at a length.
// Source  XML 1.0, 2.2 "Characters"; the JUnit schema of the Ant task.

#include <cstddef>
#include <cstdio>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <skillbench/finding.hpp>
#include <skillbench/record.hpp>
#include <skillbench/utf8.hpp>

namespace skillbench {

namespace xml_text {

inline constexpr std::size_t most_bytes = 4000;  // of one text

[[nodiscard]] inline std::string escaped(std::string_view words) {
  constexpr std::string_view replacement = "\xef\xbf\xbd";
  std::string made;
  const bool cut = words.size() > most_bytes;
  words = words.substr(0, most_bytes);
  for (std::size_t at = 0; at < words.size();) {
    const std::size_t size = utf8_length(words.substr(at));
    if (size != 1) {
      const std::string_view one = words.substr(at, size);
      // U+FFFE and U+FFFF are no characters of XML; one that turns the line is
      // shown for what it is.
      const bool plain = size > 0 && one != "\xef\xbf\xbe" &&
                         one != "\xef\xbf\xbf" && !is_bidi_control(one);
      made += plain ? one : replacement;
      at += size > 0 ? size : 1;
      continue;
    }
    const auto lead = static_cast<unsigned char>(words[at]);
    ++at;
    switch (words[at - 1]) {
      case '<': made += "&lt;"; break;
      case '>': made += "&gt;"; break;
      case '&': made += "&amp;"; break;
      case '"': made += "&quot;"; break;
      case '\n': made += "&#10;"; break;
      case '\t': made += "&#9;"; break;
      default:
        if (lead < 0x20 || lead == 0x7f) made += replacement;
        else made += words[at - 1];
    }
  }
  return cut ? made + "..." : made;
}

}  // namespace xml_text

[[nodiscard]] inline std::string junit_report(std::span<const record> records) {
  using xml_text::escaped;
  using key = std::tuple<std::string, std::string, std::string>;
  std::map<key, std::vector<const record*>> suites;
  for (const record& one : records)
    suites[{one.of.model, one.of.task, one.of.arm}].push_back(&one);

  struct tally {
    std::size_t failed = 0, skipped = 0;
    double seconds = 0;
  };
  const auto count = [](const std::vector<const record*>& of) {
    tally made;
    for (const record* one : of) {
      made.failed +=
          one->what != outcome::correct && one->what != outcome::unjudged;
      made.skipped += one->what == outcome::unjudged;
      for (const auto& [stage, seconds] : one->seconds) made.seconds += seconds;
    }
    return made;
  };
  const auto seconds_text = [](double seconds) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f", seconds);
    return std::string(text);
  };

  std::size_t failed = 0, skipped = 0;
  for (const auto& [group, of] : suites) {
    const tally in = count(of);
    failed += in.failed;
    skipped += in.skipped;
  }
  std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                     "<testsuites name=\"skillbench\" tests=\"" +
                     std::to_string(records.size()) + "\" failures=\"" +
                     std::to_string(failed) + "\" skipped=\"" +
                     std::to_string(skipped) + "\">\n";
  for (const auto& [group, of] : suites) {
    const auto& [model, task, arm] = group;
    std::string suite = task.empty() ? "no task" : task;
    if (!arm.empty()) suite += ", " + arm;
    if (!model.empty()) suite += ", " + model;
    const tally in = count(of);
    text += "  <testsuite name=\"" + escaped(suite) + "\" tests=\"" +
            std::to_string(of.size()) + "\" failures=\"" +
            std::to_string(in.failed) + "\" errors=\"0\" skipped=\"" +
            std::to_string(in.skipped) + "\" time=\"" +
            seconds_text(in.seconds) + "\">\n";
    for (const record* one : of) {
      double seconds = 0;
      for (const auto& [stage, each] : one->seconds) seconds += each;
      text += "    <testcase classname=\"" + escaped(suite) + "\" name=\"" +
              escaped(one->of.id.empty() ? one->of.path : one->of.id) +
              "\" time=\"" + seconds_text(seconds) + "\"";
      if (one->what == outcome::correct) {
        text += "/>\n";
        continue;
      }
      const std::string reason = escaped(one->reason);
      if (one->what == outcome::unjudged) {
        text += ">\n      <skipped message=\"" + reason + "\"/>\n";
      } else {
        text += ">\n      <failure type=\"" + std::string(name(one->what)) +
                "\" message=\"" + reason + "\"";
        std::string findings;
        for (const finding& each : one->findings)
          findings += escaped(std::string(name(each.kind)) + ": " + each.what) +
                      "\n";
        text += findings.empty() ? "/>\n" : ">" + findings + "</failure>\n";
      }
      text += "    </testcase>\n";
    }
    text += "  </testsuite>\n";
  }
  return text + "</testsuites>\n";
}

}  // namespace skillbench
