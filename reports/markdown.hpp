#pragma once
// markdown.hpp: records as Markdown, for a pull request or a job's summary.
//
// Layer   7. Records in, text out: GitHub's Markdown, tables included.
// Shapes  A row for each task and arm (and model, where there are several),
//         then each output that is not correct, with its reason.
// Trust   Names and reasons are a model's or a kernel's words. Every one of
//         them stands in a code span, where no renderer makes a link, a
//         mention, an image or HTML of it, on one line, and cut at a length.
// Source  GitHub Flavored Markdown 0.29: code spans (6.3), tables (4.10).

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <skillbench/attribution.hpp>
#include <skillbench/effect.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/record.hpp>
#include <skillbench/rungs.hpp>
#include <skillbench/tuning.hpp>

namespace skillbench {

struct markdown_limits {
  std::size_t reasons = 50;      // outputs listed below the table
  std::size_t name_bytes = 60;   // of a task, an arm, a model, an id
  std::size_t reason_bytes = 400;
};

namespace markdown_words {

// One line of at most `most` bytes that ends with a whole character. Control
// characters become spaces, runs of which become one; what changes the reading
// order (U+202A to U+202E, U+2066 to U+2069, U+200E, U+200F, U+061C), ends a
// line (U+2028, U+2029, U+0085) or is no UTF-8 lead byte becomes `?`.
[[nodiscard]] inline std::string one_line(std::string_view text,
                                          std::size_t most) {
  std::string made;
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    std::size_t size = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    std::string_view one = text.substr(at, size);
    bool whole = one.size() == size && (lead < 0x80 || (lead >= 0xc2 && lead < 0xf5));
    for (const char next : one.substr(1))
      whole &= (static_cast<unsigned char>(next) & 0xc0) == 0x80;
    if (!whole) one = text.substr(at, size = 1);
    at += size;
    if (lead < 0x20 || lead == 0x7f || one == " ") {
      one = made.empty() || made.back() == ' ' ? "" : " ";
    } else {
      const bool turns =
          one == "\xd8\x9c" || one == "\xc2\x85" ||
          (one.starts_with("\xe2\x80") &&
           (one[2] == '\x8e' || one[2] == '\x8f' ||
            (one[2] >= '\xa8' && one[2] <= '\xae'))) ||
          (one.starts_with("\xe2\x81") && one[2] >= '\xa6' && one[2] <= '\xa9');
      if (!whole || turns) one = "?";
    }
    if (made.size() + one.size() > most) {
      while (!made.empty() && made.back() == ' ') made.pop_back();
      return made + "...";
    }
    made += one;
  }
  while (!made.empty() && made.back() == ' ') made.pop_back();
  return made;
}

// A code span: its marks are one backtick longer than any run inside.
[[nodiscard]] inline std::string code_span(std::string_view text,
                                           std::size_t most) {
  const std::string line = one_line(text, most);
  if (line.empty()) return "-";
  std::size_t longest = 0, now = 0;
  for (const char each : line) {
    now = each == '`' ? now + 1 : 0;
    longest = std::max(longest, now);
  }
  const std::string mark(longest + 1, '`');
  const std::string gap =
      line.front() == '`' || line.back() == '`' ? " " : "";
  return mark + gap + line + gap + mark;
}

// The same in a table, where a bar would end the cell. No escape of it reads
// the same in every renderer, so it becomes U+00A6.
[[nodiscard]] inline std::string cell(std::string_view text, std::size_t most) {
  std::string made;
  for (const char each : code_span(text, most))
    made += each == '|' ? std::string("\xc2\xa6") : std::string(1, each);
  return made;
}

}  // namespace markdown_words

// The verdict on a skill, then the differences it stands on, what an output
// cost, and the assertions of a suite.
[[nodiscard]] inline std::string markdown_effect(
    const effect& of, const markdown_limits& limits = {}) {
  using markdown_words::cell;
  using markdown_words::code_span;
  using effect_detail::points;
  const std::string words = words_of(of.over_all);
  const std::size_t head = words.find(": ");
  std::string text =
      (of.skill.empty() ? std::string("### The skill")
                        : "### Skill " + code_span(of.skill, limits.name_bytes)) +
      "\n\n**" + words.substr(0, head) + "**" +
      (head == words.npos ? "" : words.substr(head)) + "\n\n";

  std::vector<const comparison*> rows;
  for (const comparison& one : of.by_model) rows.push_back(&one);
  for (const comparison& one : of.by_stratum) rows.push_back(&one);
  rows.push_back(&of.over_all);
  text += "| model | task | with the skill | without | points (95%) | p | "
          "verdict |\n| --- | --- | ---: | ---: | ---: | ---: | --- |\n";
  char p[32];
  for (const comparison* const one : rows) {
    std::snprintf(p, sizeof p, "%.3f", one->counted_p);
    text += "| " +
            (one->all_models ? "all" : cell(one->model, limits.name_bytes)) +
            " | " + (one->all_tasks ? "all" : cell(one->task, limits.name_bytes)) +
            " | " + effect_detail::of_words(correct_rate(one->with, false)) +
            " | " + effect_detail::of_words(correct_rate(one->without, false)) +
            " | ";
    if (one->seen.difference) {
      const estimate& gap = *one->seen.difference;
      text += points(gap.value) + " (" + points(gap.at95.low) + " to " +
              points(gap.at95.high) + ") | " + p;
    } else {
      text += "- | -";
    }
    text += " | " + std::string(name(one->said)) + " |\n";
  }
  text += "\n";
  const auto cost = [&](const char* arm, const arm_cost& spent) {
    if (!spent.per_correct) return;
    char tokens[32];
    std::snprintf(tokens, sizeof tokens, "%.0f", *spent.per_correct);
    text += std::string("Tokens for each correct output ") + arm + ": " +
            tokens + ".\n";
  };
  cost("with the skill", of.over_all.cost_with);
  cost("without", of.over_all.cost_without);
  if (!of.over_all.speed.missing.empty())
    text += "Speed: " +
            code_span(of.over_all.speed.missing, limits.reason_bytes) + "\n";
  text += "\n";
  if (of.assertions.empty()) return text;
  text += "| assertion | with the skill | without |\n| --- | ---: | ---: |\n";
  const auto counted = [](const assertion_counts& of_arm) {
    const std::size_t judged = of_arm.passed + of_arm.failed;
    std::string told = judged == 0 ? std::string("not judged")
                                   : std::to_string(of_arm.passed) + " of " +
                                         std::to_string(judged);
    if (judged > 0 && of_arm.not_judged > 0)
      told += ", " + std::to_string(of_arm.not_judged) + " not judged";
    return told;
  };
  for (const assertion_seen& each : of.assertions)
    text += "| " + cell(each.what, limits.reason_bytes) + " | " +
            counted(each.with) + " | " + counted(each.without) + " |\n";
  return text + "\n";
}

// What tuning came to, output by output, and what a skill adds beyond it; ""
// where nothing was tuned.
[[nodiscard]] inline std::string markdown_tuning(
    std::span<const record> records, std::uint64_t seed = 1,
    const markdown_limits& limits = {}) {
  using markdown_words::cell;
  using markdown_words::code_span;
  std::string rows;
  std::size_t told = 0, left = 0;
  char speeds[64];
  for (const record& one : records) {
    const auto speed = tuned_speed_of(one);
    if (!speed) continue;
    if (told == limits.reasons) {
      ++left;
      continue;
    }
    ++told;
    std::snprintf(speeds, sizeof speeds, "%.2f | %.2f", speed->as_it_came,
                  speed->tuned);
    const tuning_told& it = *one.tuning;
    std::uint64_t failed = 0;
    for (const tuning_failures& each : it.failures) failed += each.count;
    rows += "| " +
            cell(one.of.id.empty() ? one.of.path : one.of.id,
                 limits.name_bytes) +
            " | " + speeds + " | " + std::to_string(it.trials.size()) + " | " +
            std::to_string(failed) + " | " +
            cell(!it.not_tuned.empty() ? it.not_tuned
                 : it.best             ? setting_words(it.best_setting)
                                       : "none is right",
                 limits.reason_bytes) +
            " |\n";
  }
  if (rows.empty()) return "";
  std::string text =
      "### Tuning\n\nSpeed as a multiple of the family's baseline.\n\n"
      "| output | as it came | tuned | trials | failed | best setting |\n"
      "| --- | ---: | ---: | ---: | ---: | --- |\n" +
      rows + "\n";
  if (left > 0) text += "and " + std::to_string(left) + " more\n\n";
  for (const attribution& each : attributions_of(records, seed)) {
    if (!each.skill.empty())
      text += code_span(each.skill, limits.name_bytes) + ": ";
    for (const std::string& said : words_of(each)) text += said + " ";
    text.back() = '\n';
    text += "\n";
  }
  return text;
}

[[nodiscard]] inline std::string markdown_report(
    std::span<const record> records, const markdown_limits& limits = {}) {
  using markdown_words::cell;
  using markdown_words::code_span;
  if (records.empty()) return "No output was judged.\n";
  const bool models =
      std::any_of(records.begin(), records.end(), [&](const record& one) {
        return one.of.model != records.front().of.model;
      });
  using key = std::tuple<std::string, std::string, std::string>;
  std::map<key, rungs> groups;
  for (const record& one : records)
    groups[{models ? one.of.model : "", one.of.task, one.of.arm}].add(one.what);

  std::string text =
      std::string(models ? "| model " : "") +
      "| task | arm | outputs | kernel | manifest | compiles | clean | right | "
      "correct | unjudged |\n" +
      (models ? "| --- " : "") +
      "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  for (const auto& [group, counts] : groups) {
    if (models) text += "| " + cell(std::get<0>(group), limits.name_bytes) + " ";
    text += "| " + cell(std::get<1>(group), limits.name_bytes) + " | " +
            cell(std::get<2>(group), limits.name_bytes) + " |";
    for (const std::size_t each :
         {counts.outputs, counts.kernel, counts.manifest, counts.compiles,
          counts.clean, counts.right, counts.correct, counts.unjudged})
      text += " " + std::to_string(each) + " |";
    text += "\n";
  }

  std::size_t told = 0, left = 0;
  for (const record& one : records) {
    if (one.what == outcome::correct) continue;
    if (told == limits.reasons) {
      ++left;
      continue;
    }
    text += std::string(told++ == 0 ? "\n" : "") + "- " +
            code_span(one.of.id.empty() ? one.of.path : one.of.id,
                      limits.name_bytes) +
            ": " + std::string(name(one.what));
    if (!one.reason.empty())
      text += ", " + code_span(one.reason, limits.reason_bytes);
    text += "\n";
  }
  if (left > 0) text += "- and " + std::to_string(left) + " more\n";
  return text;
}

}  // namespace skillbench
