#pragma once
// cli/report.hpp: `skillbench report` and `skillbench compare`: what records say.
//
// Layer   7. records.hpp reads, effect.hpp and run_difference.hpp count,
//         reports/* write.
// Streams The view of a terminal, or one report with `-` for its file, to
//         standard output; troubles to standard error.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/attribution.hpp>
#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/summary.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/effect.hpp>
#include <skillbench/gate.hpp>
#include <skillbench/json_effect.hpp>
#include <skillbench/records.hpp>
#include <skillbench/reports/csv.hpp>
#include <skillbench/reports/html.hpp>
#include <skillbench/reports/junit.hpp>
#include <skillbench/reports/markdown.hpp>
#include <skillbench/run_difference.hpp>
#include <skillbench/whole_file.hpp>

namespace skillbench::cli {

// ---- words and bars ---------------------------------------------------------

// `share` of a bar of `cells` cells, in eighths of a cell.
[[nodiscard]] inline std::string bar(double share, std::size_t cells) {
  constexpr const char* parts[] = {"", "\u258f", "\u258e", "\u258d",
                                   "\u258c", "\u258b", "\u258a", "\u2589"};
  const auto eighths = static_cast<std::size_t>(
      std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(cells) * 8));
  std::string made;
  for (std::size_t i = 0; i < eighths / 8; ++i) made += "\u2588";
  return made + parts[eighths % 8];
}

[[nodiscard]] inline std::string points_words(const estimate& of) {
  using effect_detail::points;
  return points(of.value) + " (" + points(of.at95.low) + " to " +
         points(of.at95.high) + ")";
}

[[nodiscard]] inline colour colour_of(verdict said) noexcept {
  if (said == verdict::helps) return colour::green;
  if (said == verdict::hurts || said == verdict::costs_more_for_nothing)
    return colour::red;
  return colour::yellow;
}

inline void print_wrapped(const std::string& words, stream& out,
                          std::string_view painted = {}, colour how = {}) {
  bool first = true;
  for (const std::string& line : wrapped(printable(words), out.width())) {
    if (first && !painted.empty() && line.starts_with(painted))
      out.line(out.paint(how, painted) + line.substr(painted.size()));
    else
      out.line(line);
    first = false;
  }
}

// Both arms, rung by rung.
inline void print_funnel(const comparison& of, stream& out) {
  const std::size_t cells = out.width() >= 76 ? 20 : 10;
  const auto arm = [&](std::size_t count, std::size_t all) {
    if (all == 0) return std::string("-");
    const double share = static_cast<double>(count) / static_cast<double>(all);
    std::string drawn = bar(share, cells);
    drawn += std::string(cells - width_of(drawn), ' ');
    return fmt::format("{} {:>3.0f}% {}", drawn, 100 * share, count);
  };
  table rows({"", "with the skill", "without"});
  const std::pair<const char*, std::size_t rungs::*> all[] = {
      {"kernel", &rungs::kernel},   {"manifest", &rungs::manifest},
      {"compiles", &rungs::compiles}, {"clean", &rungs::clean},
      {"right", &rungs::right},     {"correct", &rungs::correct}};
  for (const auto& [words, member] : all)
    rows.add({words, arm(of.with.*member, of.with.outputs),
              arm(of.without.*member, of.without.outputs)});
  if (of.with.unjudged + of.without.unjudged > 0)
    rows.add({"unjudged", arm(of.with.unjudged, of.with.outputs),
              arm(of.without.unjudged, of.without.outputs)});
  rows.add({"outputs", std::to_string(of.with.outputs),
            std::to_string(of.without.outputs)});
  rows.print(out);
}

inline void print_comparisons(std::span<const comparison> all,
                              const std::string& head, stream& out) {
  if (all.size() < 2) return;
  const bool models =
      std::any_of(all.begin(), all.end(), [&](const comparison& one) {
        return one.model != all.front().model;
      });
  const bool tasks = !all.front().all_tasks;
  std::vector<std::string> heads;
  if (models) heads.push_back("model");
  if (tasks) heads.push_back("task");
  for (const char* each :
       {"with the skill", "without", "points (95%)", "p", "verdict"})
    heads.push_back(each);
  table rows(heads);
  for (const comparison& one : all) {
    std::vector<std::string> row;
    if (models) row.push_back(shortened(printable(one.model), 24));
    if (tasks) row.push_back(shortened(printable(one.task), 24));
    row.push_back(effect_detail::of_words(correct_rate(one.with, false)));
    row.push_back(effect_detail::of_words(correct_rate(one.without, false)));
    row.push_back(one.seen.difference ? points_words(*one.seen.difference)
                                         : "-");
    row.push_back(one.seen.difference ? fmt::format("{:.3f}", one.counted_p)
                                         : "-");
    row.push_back(std::string(name(one.said)));
    rows.add(std::move(row));
  }
  out.line("");
  out.line(out.paint(colour::bold, head));
  rows.print(out);
}

// What stands beside the verdict and decides nothing.
inline void print_numbers(const comparison& of, stream& out) {
  const auto percent = [](double share) {
    return fmt::format("{:.0f}%", 100 * share);
  };
  const auto correct = [&](const rungs& arm) {
    const rate seen = correct_rate(arm, false);
    const auto at95 = wilson(seen);
    return at95 ? percent(seen.value()) + fmt::format(" ({:.0f} to {:.0f})",
                                                      100 * at95->low,
                                                      100 * at95->high)
                : std::string("-");
  };
  table rows({"", "with the skill", "without"});
  rows.add({"correct (95%)", correct(of.with), correct(of.without)});
  for (const pass_at_seen& each : of.pass_at)
    if (each.k > 1)
      rows.add({fmt::format("one of {} correct", each.k), percent(each.with),
                percent(each.without)});
  if (of.cost_with.counted + of.cost_without.counted > 0) {
    const auto mean = [](const arm_cost& arm) {
      return arm.counted == 0
                 ? std::string("not reported")
                 : fmt::format("{:.0f}",
                               arm.tokens / static_cast<double>(arm.counted));
    };
    const auto each = [](const arm_cost& arm) {
      return arm.per_correct         ? fmt::format("{:.0f}", *arm.per_correct)
             : arm.counted == 0      ? std::string("not reported")
                                     : std::string("none is correct");
    };
    rows.add({"tokens an output", mean(of.cost_with), mean(of.cost_without)});
    rows.add({"tokens a correct one", each(of.cost_with),
              each(of.cost_without)});
  }
  for (std::size_t i = 0; i < of.speed.with.size(); ++i)
    if (speed_steps[i] > 0)
      rows.add({fmt::format("over {:g}x the baseline", speed_steps[i]),
                percent(of.speed.with[i]), percent(of.speed.without[i])});
  out.line("");
  rows.print(out);
  if (!of.speed.missing.empty()) {
    print_wrapped("Speed: " + of.speed.missing + ".", out);
  } else {
    std::string words =
        of.speed.predicted ? "Speed is predicted" : "Speed is measured";
    words += ", against the family's baseline";
    if (of.speed.ratio)
      words += fmt::format(
          "; a correct kernel of the skill is {:.2f} times as fast as one "
          "without (95%: {:.2f} to {:.2f}, over {})",
          of.speed.ratio->value, of.speed.ratio->at95.low,
          of.speed.ratio->at95.high, plural(of.speed.tasks, "task"));
    print_wrapped(words + ".", out);
  }
  if (of.paired)
    print_wrapped(
        fmt::format("Of {} only the skill solved {}, only the baseline {} "
                    "(McNemar, {}).",
                    plural(of.paired->pairs, "pair"), of.paired->only_with,
                    of.paired->only_without,
                    effect_detail::p_words(of.paired->p)),
        out);
}

inline void print_effect(const effect& of, stream& out) {
  if (!of.skill.empty())
    out.line(out.paint(colour::bold, printable(of.skill)));
  print_wrapped(words_of(of.over_all), out, name(of.over_all.said),
                colour_of(of.over_all.said));
  out.line("");
  print_funnel(of.over_all, out);
  print_numbers(of.over_all, out);
  print_comparisons(of.by_model, "By model", out);
  print_comparisons(of.by_stratum, "By task", out);
  if (of.by_model.size() > 1 || of.by_stratum.size() > 1)
    out.line(out.paint(colour::dim,
                       "p is corrected for the number of rows (Holm)"));
}

// How much an arm differs from itself by chance alone.
inline void print_noise(const std::vector<record>& records, std::uint64_t seed,
                        stream& out) {
  std::map<std::pair<std::string, std::string>,
           std::map<std::pair<std::string, std::string>, rungs>>
      arms;
  for (const record& one : records)
    arms[{one.of.arm, one.of.skill}][{one.of.model, one.of.task}].add(one.what);
  table rows({"arm", "skill", "outputs", "differs from itself by at most"});
  for (const auto& [arm, tasks] : arms) {
    std::vector<rate> rates;
    std::size_t outputs = 0;
    for (const auto& [task, counts] : tasks) {
      rates.push_back(correct_rate(counts, false));
      outputs += counts.outputs;
    }
    const auto floor = noise_floor(rates, seed);
    rows.add({arm.first.empty() ? "-" : shortened(printable(arm.first), 24),
              arm.second.empty() ? "-" : shortened(printable(arm.second), 24),
              std::to_string(outputs),
              floor ? fmt::format("{:.0f} points", *floor * 100)
                    : "not measured: no task has two outputs"});
  }
  out.line("");
  out.line(out.paint(colour::bold, "Noise"));
  rows.print(out);
  print_wrapped("Each arm's outputs of a task are split in two halves at random, "
                "10,000 times; the rates of correct outputs differ by no more "
                "than this in 95% of them. A difference of two arms with so "
                "many outputs that is no larger means nothing.",
                out);
}

// ---- files --------------------------------------------------------------------

// "-" is standard output.
[[nodiscard]] inline std::optional<std::string> write_file(
    const std::string& path, const std::string& text, stream& out) {
  if (path == "-") {
    out.write(text);
    return out.flush() ? std::nullopt
                       : std::optional<std::string>(
                             "standard output takes no more");
  }
  const auto written = write_whole(path, text);
  return written ? std::nullopt : std::optional(written.error().what);
}

// The records of all paths; nothing when a path cannot be read at all.
[[nodiscard]] inline std::optional<record_pile> gather_records(
    const std::vector<std::string>& paths, stream& trouble) {
  record_pile all;
  records_of::gatherer together(all, false);
  std::size_t within = 0;  // replaced in their own path
  for (const std::string& path : paths) {
    auto one = read_records(path, true);
    if (!one) {
      trouble.line("skillbench: " + printable(one.error().what) +
                   "; `skillbench run` makes one, and --out names it");
      return std::nullopt;
    }
    record_pile& pile = one.value();
    for (const fault& each : pile.troubles)
      trouble.line("skillbench: " + printable(each.what));
    for (record& each : pile.records) together.take(std::move(each));
    all.troubles.insert(all.troubles.end(), pile.troubles.begin(),
                        pile.troubles.end());
    within += pile.replaced;
  }
  if (all.replaced > 0)
    trouble.line("skillbench: records that stand in several paths count once: " +
                 std::to_string(all.replaced));
  all.replaced += within;
  if (all.records.empty()) {
    trouble.line("skillbench: there is no record to report");
    return std::nullopt;
  }
  return all;
}

[[nodiscard]] inline exit_code tell(const report_command& asked, stream& out,
                                    stream& trouble) {
  std::vector<gate_rule> rules;
  if (!asked.gate.empty()) {
    auto read = read_gate(asked.gate);
    if (!read) {
      trouble.line("skillbench: " + printable(read.error().what));
      return exit_code::misuse;
    }
    rules = std::move(read).value();
  }
  const std::vector<std::string> paths =
      asked.paths.empty() ? std::vector<std::string>{default_folder}
                          : asked.paths;
  const auto gathered = gather_records(paths, trouble);
  if (!gathered) return exit_code::misuse;
  const std::vector<record>& records = gathered->records;
  const std::vector<effect> effects = effects_of(records, asked.seed);
  std::size_t lost = 0;
  for (const std::string& path : paths) lost += count_not_tried(path);

  std::vector<std::vector<gate_told>> gates;
  bool holds = true;
  if (!rules.empty()) {
    // Without a pair of arms there is still a rate to hold rules against.
    if (effects.empty()) holds = false;
    for (const effect& each : effects) {
      gates.push_back(judge_gate(rules, each.over_all));
      for (const gate_told& one : gates.back()) holds &= one.holds;
    }
  }

  bool written = false, to_output = false;
  const auto write = [&](const std::string& path, auto&& make) {
    if (path.empty()) return true;
    written = true;
    to_output |= path == "-";
    if (const auto wrong = write_file(path, make(), out)) {
      trouble.line("skillbench: " + printable(*wrong));
      return false;
    }
    if (path != "-" && trouble.terminal())
      trouble.line("written: " + printable(path));
    return true;
  };
  const auto source = [&](const std::string& hash) {
    std::optional<std::string> found;
    for (const std::string& path : paths)
      if (!found) found = read_source(path, hash);
    return found;
  };
  const bool fine =
      write(asked.html,
            [&] {
              html_limits limits;
              limits.not_tried = lost;
              return html_report(records, effects, source, limits,
                                 attributions_of(records, asked.seed));
            }) &&
      write(asked.markdown,
            [&] {
              std::string text;
              for (const effect& each : effects) text += markdown_effect(each);
              if (lost > 0) text += not_tried_words(lost) + "\n\n";
              text += markdown_tuning(records, asked.seed);
              return text + markdown_report(records);
            }) &&
      write(asked.csv, [&] { return csv_report(records); }) &&
      write(asked.junit, [&] { return junit_report(records); });
  if (!fine) return exit_code::broken;

  if (asked.json) {
    out.line(write_effects(effects, records.size(), gates, lost,
                           attributions_of(records, asked.seed)));
  } else if (!written) {
    for (std::size_t i = 0; i < effects.size(); ++i) {
      if (i > 0) out.line("");
      print_effect(effects[i], out);
    }
    if (effects.empty()) {
      print_rungs(records, out);
      out.line("");
      print_wrapped("No skill to compare: an effect needs outputs of the arms "
                    "with_skill and baseline.",
                    out);
    }
    print_assertions(records, out);
    print_tuning(records, out, asked.seed);
    if (lost > 0) {
      out.line("");
      print_wrapped(not_tried_words(lost), out);
    }
    if (asked.aa) print_noise(records, asked.seed, out);
  }
  // What could not be read was told; the rest is reported.
  const exit_code read = gathered->troubles.empty() ? exit_code::fine
                                                    : exit_code::misuse;
  if (rules.empty()) return read;
  // What a gate says goes where nothing else stands in the way.
  stream& to = asked.json || to_output ? trouble : out;
  if (!asked.json && !to_output && !written) to.line("");
  for (std::size_t i = 0; i < gates.size(); ++i)
    for (const gate_told& one : gates[i])
      to.line(printable(effects.size() > 1 ? effects[i].skill + ": " : "") +
              to.paint(one.holds ? colour::green : colour::red, one.words));
  if (effects.empty())
    to.line(to.paint(colour::red,
                     "the gate fails: there is no skill to hold it against"));
  return holds ? read : exit_code::differs;
}

// ---- compare --------------------------------------------------------------------

[[nodiscard]] inline exit_code tell(const compare_command& asked, stream& out,
                                    stream& trouble) {
  const auto before = gather_records({asked.before}, trouble);
  const auto after = before ? gather_records({asked.after}, trouble)
                            : std::optional<record_pile>();
  if (!before || !after) return exit_code::misuse;
  const run_change told =
      change_between(before->records, after->records, asked.seed);
  if (told.groups.empty()) {
    trouble.line("skillbench: " + printable(asked.before) + " and " +
                 printable(asked.after) +
                 " have no model, task and arm in common");
    return exit_code::misuse;
  }
  table rows({"model", "task", "arm", "before", "after", "points (95%)", "p",
              ""});
  const auto cell = [](const std::string& text) {
    return text.empty() ? std::string("-") : shortened(printable(text), 24);
  };
  const auto row = [&](const group_change& one, const std::string& first) {
    rows.add({first.empty() ? cell(one.model) : first, first.empty() ? cell(one.task) : "",
              first.empty() ? cell(one.arm) : "",
              effect_detail::of_words(correct_rate(one.before, false)),
              effect_detail::of_words(correct_rate(one.after, false)),
              one.seen.difference ? points_words(*one.seen.difference)
                                     : "-",
              fmt::format("{:.3f}", one.counted_p), std::string(name(one.said))});
  };
  for (const group_change& each : told.groups) row(each, "");
  if (told.groups.size() > 1) row(told.over_all, "all");
  rows.print(out);
  out.line("");
  std::string words = std::string(name(told.over_all.said)) + " over all";
  const auto noise = [](const std::optional<double>& floor) {
    return floor ? fmt::format("{:.0f} points", *floor * 100)
                 : std::string("not measured");
  };
  words += ". By chance alone the first run differs from itself by at most " +
           noise(told.noise_before) + ", the second by " +
           noise(told.noise_after) + " (95%).";
  if (told.only_before + told.only_after > 0)
    words += " Not compared: " + plural(told.only_before, "group") +
             " only in the first run, " +
             plural(told.only_after, "group") + " only in the second.";
  print_wrapped(words, out);
  const bool worse =
      told.over_all.said == change_verdict::worse ||
      std::any_of(told.groups.begin(), told.groups.end(),
                  [](const group_change& one) {
                    return one.said == change_verdict::worse;
                  });
  if (asked.fail_if_worse && worse) return exit_code::differs;
  return before->troubles.empty() && after->troubles.empty()
             ? exit_code::fine
             : exit_code::misuse;
}

}  // namespace skillbench::cli
