#pragma once
// cli/summary.hpp: what many records say together, and one by one.
//
// Layer   7. Records in, words out; rungs.hpp counts.

#include <algorithm>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include <skillbench/attribution.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/record.hpp>
#include <skillbench/rungs.hpp>
#include <skillbench/tuning.hpp>

namespace skillbench::cli {

[[nodiscard]] inline colour colour_of(outcome reached) noexcept {
  if (reached == outcome::correct) return colour::green;
  return reached == outcome::unjudged ? colour::yellow : colour::red;
}

// A row for each task and arm, and for each model and skill where there are
// several.
inline void print_rungs(std::span<const record> records, stream& out) {
  const auto several = [&](auto member) {
    return std::any_of(records.begin(), records.end(), [&](const record& one) {
      return one.of.*member != records.front().of.*member;
    });
  };
  const bool models = several(&sample::model);
  const bool arms = several(&sample::arm) ||
                    (!records.empty() && !records.front().of.arm.empty());

  using key = std::tuple<std::string, std::string, std::string>;
  std::map<key, rungs> groups;
  for (const record& one : records)
    groups[{models ? one.of.model : "", one.of.task, one.of.arm}].add(one.what);

  std::vector<std::string> heads;
  if (models) heads.push_back("model");
  heads.push_back("task");
  if (arms) heads.push_back("arm");
  for (const char* each : {"outputs", "kernel", "manifest", "compiles", "clean",
                           "right", "correct", "unjudged"})
    heads.push_back(each);
  table all(heads);
  const auto cell = [](const std::string& text) {
    return text.empty() ? std::string("-") : shortened(printable(text), 40);
  };
  for (const auto& [group, counts] : groups) {
    std::vector<std::string> row;
    if (models) row.push_back(cell(std::get<0>(group)));
    row.push_back(cell(std::get<1>(group)));
    if (arms) row.push_back(cell(std::get<2>(group)));
    for (const std::size_t each :
         {counts.outputs, counts.kernel, counts.manifest, counts.compiles,
          counts.clean, counts.right, counts.correct, counts.unjudged})
      row.push_back(std::to_string(each));
    all.add(std::move(row));
  }
  all.print(out);
}

// How often each assertion of a suite held, by arm; nothing where there is none.
inline void print_assertions(std::span<const record> records, stream& out) {
  struct counts {
    std::size_t passed = 0, judged = 0, all = 0;
  };
  std::vector<std::string> order, arms;
  std::map<std::string, std::map<std::string, counts>> seen;
  for (const record& one : records)
    for (const told_assertion& each : one.assertions) {
      const auto [at, fresh] = seen.try_emplace(each.what);
      if (fresh) order.push_back(each.what);
      if (std::find(arms.begin(), arms.end(), one.of.arm) == arms.end())
        arms.push_back(one.of.arm);
      counts& in = at->second[one.of.arm];
      using judged = assertion_result::verdict;
      in.passed += each.said == judged::passed;
      in.judged += each.said != judged::not_judged;
      ++in.all;
    }
  if (order.empty()) return;
  std::sort(arms.begin(), arms.end());
  std::vector<std::string> heads{"assertion"};
  for (const std::string& arm : arms)
    heads.push_back(arm.empty() ? "passed" : shortened(printable(arm), 24));
  table rows(heads);
  for (const std::string& what : order) {
    std::vector<std::string> row{shortened(printable(what), 48)};
    for (const std::string& arm : arms) {
      const counts& in = seen[what][arm];
      std::string words = in.judged == 0
                              ? std::string("not judged")
                              : std::to_string(in.passed) + " of " +
                                    std::to_string(in.judged);
      if (in.judged > 0 && in.judged < in.all)
        words += ", " + std::to_string(in.all - in.judged) + " not judged";
      row.push_back(in.all == 0 ? "-" : words);
    }
    rows.add(std::move(row));
  }
  out.line("");
  out.line(out.paint(colour::bold, "Assertions"));
  rows.print(out);
}

// How fast each tuned output is, as it came and tuned, and what that says of a
// skill; nothing where nothing was tuned.
inline void print_tuning(std::span<const record> records, stream& out,
                         std::uint64_t seed = 1) {
  if (std::none_of(records.begin(), records.end(),
                   [](const record& one) { return one.tuning.has_value(); }))
    return;
  table rows({"output", "as it came", "tuned", "trials", "failed",
              "best setting"});
  bool any = false;
  std::map<std::string, std::size_t> left_out;
  const auto of_baseline = [](double times) {
    return fmt::format("{:.2f}x", times);
  };
  for (const record& one : records) {
    const auto speed = tuned_speed_of(one);
    if (!speed) {
      if (one.tuning)
        ++left_out[one.tuning->not_tuned.empty() ? "there is no time"
                                                 : one.tuning->not_tuned];
      continue;
    }
    any = true;
    const tuning_told& it = *one.tuning;
    std::uint64_t failed = 0;
    for (const tuning_failures& each : it.failures) failed += each.count;
    rows.add({shortened(printable(one.of.id.empty() ? one.of.path : one.of.id), 40),
              of_baseline(speed->as_it_came),
              it.not_tuned.empty() ? of_baseline(speed->tuned) : "-",
              std::to_string(it.trials.size()), std::to_string(failed),
              !it.not_tuned.empty() ? printable(it.not_tuned)
              : it.best             ? printable(setting_words(it.best_setting))
                                    : "none is right"});
  }
  out.line("");
  out.line(out.paint(colour::bold,
                     "Tuning (speed as a multiple of the family's baseline)"));
  if (any) rows.print(out);
  for (const auto& [why, count] : left_out)
    for (const std::string& row :
         wrapped(printable(plural(count, "output") + " not tuned: " + why),
                 std::max<std::size_t>(out.width(), 42)))
      out.line(row);
  for (const attribution& each : attributions_of(records, seed))
    for (const std::string& said : words_of(each))
      for (const std::string& row :
           wrapped(printable((each.skill.empty() ? std::string()
                                                 : each.skill + ": ") +
                             said),
                   std::max<std::size_t>(out.width(), 42)))
        out.line(row);
}

// One output that is not correct, with its reason, in lines of the stream's
// width.
inline void print_reason(const record& one, stream& out) {
  const std::string who = printable(one.of.id.empty() ? one.of.path : one.of.id);
  const std::string what(name(one.what));
  out.line(who + "  " + out.paint(colour_of(one.what), what));
  const std::size_t width = std::max<std::size_t>(out.width(), 42) - 2;
  for (const std::string& each : wrapped(printable(one.reason), width))
    out.line("  " + each);
}

inline void print_summary(std::span<const record> records, stream& out) {
  if (records.empty()) return;
  print_rungs(records, out);
  bool first = true;
  for (const record& one : records) {
    if (one.what == outcome::correct) continue;
    if (first) out.line("");
    first = false;
    print_reason(one, out);
  }
}

}  // namespace skillbench::cli
