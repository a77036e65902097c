#pragma once
// html.hpp: records as one page that needs nothing else: no network, no server.
//
// Layer   7. Records in, the text of an HTML file out. The page itself is
//         reports/page, bundled in page_asset.hpp; here are its data.
// Shapes  Two JSON texts stand in the page: what is drawn at once, as columns of
//         equal length, and a line for each record that is parsed when it is
//         opened.
// Trust   All that a model wrote stays inside JSON strings, where `<`, `>` and
//         `&` are escaped, so nothing ends the element it stands in; the page
//         puts it in as text. What changes the reading order is shown as U+FFFD. A content security policy allows the page's own
//         script by its hash and no request at all.
// Source  HTML Living Standard, "Restrictions on contents of raw text elements";
//         Content Security Policy Level 3.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/attribution.hpp>
#include <skillbench/effect.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/json_effect.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/json_timing.hpp>
#include <skillbench/json_tuning.hpp>
#include <skillbench/record.hpp>
#include <skillbench/reports/page_asset.hpp>
#include <skillbench/timing.hpp>
#include <skillbench/version.hpp>

namespace skillbench {

// The source that was judged, by its hash, if it is kept.
using source_of_hash =
    std::function<std::optional<std::string>(const std::string& hash)>;

struct html_limits {
  std::size_t findings = 20;            // shown of one output
  std::size_t source_bytes = 64 * 1024; // of one source
  std::size_t all_log_bytes = std::size_t{32} << 20;     // of compilers' logs
  std::size_t all_source_bytes = std::size_t{64} << 20;  // then no more
  std::size_t roofs = 4000;             // timed cases drawn under their roof
  std::size_t tuned = 400;              // outputs drawn as they came and tuned
  std::size_t not_tried = 0;            // outputs that left no record
};

namespace html_text {

using json_text::json;

// Of a UTF-8 text at `at`: the bytes of a character that changes the order in
// which others are read (Unicode Standard Annex 9), 0 for any other.
[[nodiscard]] inline std::size_t turns_text(std::string_view text,
                                            std::size_t at) {
  const auto one = text.substr(at, 3);
  if (one.starts_with("\xd8\x9c")) return 2;
  if (one.size() < 3) return 0;
  const auto last = static_cast<unsigned char>(one[2]);
  if (one.starts_with("\xe2\x80"))
    return last == 0x8e || last == 0x8f || (last >= 0xaa && last <= 0xae) ? 3 : 0;
  return one.starts_with("\xe2\x81") && last >= 0xa6 && last <= 0xa9 ? 3 : 0;
}

// JSON that may stand in a script element.
[[nodiscard]] inline std::string embedded(const json& it) {
  const std::string plain = json_text::line_of(it);
  std::string safe;
  safe.reserve(plain.size() + plain.size() / 16);
  for (std::size_t at = 0; at < plain.size(); ++at) {
    switch (plain[at]) {
      case '<': safe += "\\u003c"; break;
      case '>': safe += "\\u003e"; break;
      case '&': safe += "\\u0026"; break;
      default:
        // No byte below 0x80 begins such a character.
        if (const std::size_t bytes =
                static_cast<unsigned char>(plain[at]) < 0x80
                    ? 0
                    : turns_text(plain, at)) {
          safe += "\\ufffd";
          at += bytes - 1;
        } else {
          safe += plain[at];
        }
    }
  }
  return safe;
}

[[nodiscard]] inline json summed_cases(const record& one) {
  json made = json::array();
  for (const case_sum& of : sums_of_cases(one))
    made.push_back({{"element_type", of.element_type}, {"cases", of.cases},
                    {"correct", of.correct},
                    {"worst_share", std::isfinite(of.worst_share)
                                        ? json(of.worst_share)
                                        : json(nullptr)},
                    {"warp_instructions", of.warp_instructions},
                    {"load_sectors", of.global_load_sectors},
                    {"store_sectors", of.global_store_sectors}});
  return made;
}

[[nodiscard]] inline json details(const record& one,
                                  const html_limits& limits, bool with_log) {
  json made = {{"reason", one.reason}, {"device", one.device},
               {"seed", one.seed}, {"speed", one.speed},
               {"source_hash", one.source_hash}};
  made["setting"] = json_text::setting_object(one.chosen);
  made["findings"] = json::array();
  for (std::size_t i = 0; i < std::min(limits.findings, one.findings.size());
       ++i)
    made["findings"].push_back(json_text::write(one.findings[i]));
  made["findings_left"] = one.findings.size() - made["findings"].size();
  if (!one.log.empty())
    made["log"] = with_log ? one.log : "(left out here: the record has it)";
  made["cases"] = summed_cases(one);
  made["kernels"] = json::array();
  for (const compiled_kernel& each : one.kernels)
    made["kernels"].push_back(json_text::write(each));
  made["assertions"] = json::array();
  for (const told_assertion& each : one.assertions)
    made["assertions"].push_back(json_text::write(each));
  if (one.against_baseline)
    made["speedup"] = {{"times", one.against_baseline->times},
                       {"predicted", one.against_baseline->predicted}};
  if (one.tuning) made["tuning"] = json_text::write(*one.tuning);
  made["timings"] = json::array();
  for (const timed_case& each : one.timings) {
    made["timings"].push_back(json_text::write(each));
    made["timings"].back().erase("samples");  // the record has them
    if (each.vendor) made["timings"].back()["vendor"].erase("samples");
  }
  made["seconds"] = json::object();
  for (const auto& [stage, seconds] : one.seconds)
    if (std::isfinite(seconds)) made["seconds"][stage] = seconds;
  if (one.counters.empty()) {
    made["counters"] = one.not_counted;
  } else {
    made["counters"] = json::array();
    for (const counted_launch& each : one.counters) {
      made["counters"].push_back(json_text::write(each));
      made["counters"].back().erase("lines");  // the record has them
    }
  }
  return made;
}

// Where a timed case stands under its roof: operations for each byte that must
// move, and operations a second as reached. What a stand-in's clock says is none.
[[nodiscard]] inline json under_roof(std::size_t output, const timed_case& of) {
  const roof seen = roof_of(of);
  if (of.fake || seen.bound == roof::by::nothing || !(of.bytes > 0) ||
      !(of.operations > 0) || !(of.peak_bytes > 0) ||
      !(of.peak_operations > 0) || !std::isfinite(seen.operations))
    return nullptr;
  return {{"output", output}, {"case", of.test_case},
          {"element_type", of.element_type},
          {"intensity", of.operations / of.bytes},
          {"reached", seen.operations}, {"share", seen.share},
          {"peak_bytes", of.peak_bytes},
          {"peak_operations", of.peak_operations}};
}

// How fast tuned outputs are, as they came and tuned, in multiples of their
// family's baseline: not more of them than are drawn.
[[nodiscard]] inline json tuned_outputs(std::span<const record> records,
                                        const html_limits& limits) {
  json made = json::array();
  for (std::size_t i = 0; i < records.size() && made.size() < limits.tuned; ++i)
    if (const auto speed = tuned_speed_of(records[i]))
      made.push_back({{"output", i},
                      {"as_it_came", speed->as_it_came},
                      {"tuned", speed->tuned},
                      {"time", name(records[i].tuning->clock)}});
  return made;
}

[[nodiscard]] inline json attributed(std::span<const attribution> tuned) {
  json made = json::array();
  for (const attribution& each : tuned)
    made.push_back({{"skill", each.skill}, {"words", words_of(each)}});
  return made;
}

// Words that many records share, as numbers.
class word_list {
 public:
  [[nodiscard]] std::size_t number(const std::string& word) {
    const auto [at, fresh] = known_.try_emplace(word, words_.size());
    if (fresh) words_.push_back(word);
    return at->second;
  }
  [[nodiscard]] const std::vector<std::string>& words() const noexcept {
    return words_;
  }

 private:
  std::map<std::string, std::size_t> known_;
  std::vector<std::string> words_;
};

}  // namespace html_text

// The same records, sources and seed give the same page. A record without an id
// is named by its path, or by its place among the records.
[[nodiscard]] inline std::string html_report(
    std::span<const record> records, std::span<const effect> effects,
    const source_of_hash& source = {}, const html_limits& limits = {},
    std::span<const attribution> tuned = {}) {
  using html_text::json;
  html_text::word_list models, tasks, arms;
  json outputs = {{"id", json::array()}, {"model", json::array()},
                  {"task", json::array()}, {"arm", json::array()},
                  {"outcome", json::array()}, {"tokens", json::array()},
                  {"reason", json::array()}};
  json sources = json::object(), roofs = json::array();
  std::set<std::string> devices, ids;
  std::map<std::string, std::size_t> speeds;
  std::size_t source_bytes = 0, log_bytes = 0, roofs_in_all = 0;
  std::string lines;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const record& one = records[i];
    std::string id = !one.of.id.empty()     ? one.of.id
                     : !one.of.path.empty() ? one.of.path
                                            : "output " + std::to_string(i + 1);
    while (!ids.insert(id).second) id += " (" + std::to_string(i + 1) + ")";
    outputs["id"].push_back(id);
    outputs["model"].push_back(models.number(one.of.model));
    outputs["task"].push_back(tasks.number(one.of.task));
    outputs["arm"].push_back(arms.number(one.of.arm));
    outputs["outcome"].push_back(static_cast<int>(one.what));
    if (one.of.input_tokens || one.of.output_tokens)
      outputs["tokens"].push_back(one.of.input_tokens.value_or(0) +
                                  one.of.output_tokens.value_or(0));
    else
      outputs["tokens"].push_back(nullptr);
    outputs["reason"].push_back(one.reason.substr(0, 200));
    for (const timed_case& each : one.timings)
      if (json seen = html_text::under_roof(i, each); !seen.is_null()) {
        ++roofs_in_all;
        if (roofs.size() < limits.roofs) roofs.push_back(std::move(seen));
      }
    devices.insert(one.device);
    ++speeds[one.speed.empty() ? "not measured" : one.speed];
    if (i > 0) lines += '\n';
    log_bytes += one.log.size();
    lines += html_text::embedded(html_text::details(
        one, limits, log_bytes <= limits.all_log_bytes));
    if (!source || one.source_hash.empty() ||
        sources.contains(one.source_hash) ||
        source_bytes >= limits.all_source_bytes)
      continue;
    if (auto text = source(one.source_hash)) {
      if (text->size() > limits.source_bytes) {
        text->resize(limits.source_bytes);
        *text += "\n// cut here: the rest is in the record's folder\n";
      }
      source_bytes += text->size();
      sources[one.source_hash] = std::move(*text);
    }
  }

  json data;
  data["version"] = version;
  data["not_tried"] =
      limits.not_tried > 0 ? not_tried_words(limits.not_tried) : std::string();
  data["outcomes"] = json::array();
  for (int each = 0; each <= static_cast<int>(outcome::unjudged); ++each)
    data["outcomes"].push_back(name(static_cast<outcome>(each)));
  data["words"] = {{"model", models.words()}, {"task", tasks.words()},
                   {"arm", arms.words()}};
  data["devices"] = json::array();
  for (const std::string& each : devices)
    data["devices"].push_back(each.empty() ? "no device" : each);
  data["speed"] = json::array();
  for (const auto& [words, count] : speeds)
    data["speed"].push_back({{"words", words}, {"outputs", count}});
  data["effects"] = json::array();
  for (const effect& each : effects)
    data["effects"].push_back(json_text::write(each));
  data["roofs"] = std::move(roofs);
  data["roofs_in_all"] = roofs_in_all;
  data["tuned"] = html_text::tuned_outputs(records, limits);
  data["tuned_in_all"] =
      std::count_if(records.begin(), records.end(),
                    [](const record& one) { return !!tuned_speed_of(one); });
  data["attribution"] = html_text::attributed(tuned);
  data["outputs"] = std::move(outputs);
  data["sources"] = std::move(sources);

  const auto as_text = [](std::string_view text) { return std::string(text); };
  return "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
         "'none'; script-src '" +
         as_text(page_asset::script_hash) +
         "'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, "
         "initial-scale=1\">\n"
         "<meta name=\"color-scheme\" content=\"light dark\">\n"
         "<title>skillbench: " +
         std::to_string(records.size()) +
         " outputs</title>\n<style>" + as_text(page_asset::style) +
         "</style>\n</head>\n<body>\n<div id=\"page\"><noscript>This report "
         "draws itself with a script of its own; the same records are in the "
         "folder it was made from.</noscript></div>\n"
         "<script type=\"application/json\" id=\"data\">" +
         html_text::embedded(data) +
         "</script>\n<script type=\"application/json\" id=\"details\">" + lines +
         "</script>\n<!-- Bundled in the script below:\n\n" +
         as_text(page_asset::notice) + "\n-->\n<script>" + as_text(page_asset::script) +
         "</script>\n</body>\n</html>\n";
}

}  // namespace skillbench
