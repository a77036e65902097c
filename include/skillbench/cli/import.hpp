#pragma once
// cli/import.hpp: `skillbench import upskill`: logs of other tools as records.
//
// Layer   7. read_upskill.hpp reads, store.hpp keeps.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/effect.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/read_upskill.hpp>
#include <skillbench/records.hpp>
#include <skillbench/store.hpp>

namespace skillbench::cli {

// A row for each model, task and arm, then what the effect of each skill is.
inline void print_imported(const imported_runs& told, stream& out) {
  struct group {
    std::size_t tests = 0, passed = 0, counted = 0;
    double tokens = 0, turns = 0;
    std::size_t with_turns = 0;
  };
  std::map<std::tuple<std::string, std::string, std::string>, group> groups;
  for (const record& one : told.records) {
    group& in = groups[{one.of.model, one.of.task, one.of.arm}];
    ++in.tests;
    in.passed += one.what == outcome::correct ? 1 : 0;
    if (one.of.input_tokens || one.of.output_tokens) {
      ++in.counted;
      in.tokens += static_cast<double>(one.of.input_tokens.value_or(0)) +
                   static_cast<double>(one.of.output_tokens.value_or(0));
    }
    if (one.of.turns) {
      ++in.with_turns;
      in.turns += static_cast<double>(*one.of.turns);
    }
  }
  table rows({"model", "task", "arm", "assertions", "passed", "tokens each",
              "turns each"});
  const auto mean = [](double sum, std::size_t of, int digits) {
    return of == 0 ? std::string("-")
                   : fmt::format("{:.{}f}", sum / static_cast<double>(of),
                                 digits);
  };
  for (const auto& [key, in] : groups)
    rows.add({shortened(printable(std::get<0>(key)), 30),
              shortened(printable(std::get<1>(key)), 40), std::get<2>(key),
              std::to_string(in.tests), std::to_string(in.passed),
              mean(in.tokens, in.counted, 0),
              mean(in.turns, in.with_turns, 1)});
  rows.print(out);
  for (const effect& one : effects_of(told.records)) {
    const std::string skill = one.skill.empty() ? "the skill" : one.skill;
    out.line("");
    for (const std::string& line : wrapped(
             printable(skill + " " + words_of(one.over_all)), out.width()))
      out.line(line);
  }
}

[[nodiscard]] inline exit_code tell(const import_upskill_command& asked,
                                    stream& out, stream& trouble) {
  const auto complain = [&](const std::string& what) {
    trouble.line("skillbench: " + printable(what));
  };
  const auto read = read_upskill_runs(asked.path);
  if (!read) {
    complain(read.error().what);
    return exit_code::misuse;
  }
  const imported_runs& told = read.value();
  for (const fault& each : told.troubles) complain(each.what);
  const exit_code code =
      told.troubles.empty() ? exit_code::fine : exit_code::misuse;

  std::size_t assertions = 0;
  for (const unanswered_run& each : told.unanswered) {
    complain(each.name + " is left out: " + each.why);
    assertions += each.assertions;
  }
  if (!told.unanswered.empty())
    complain(plural(told.unanswered.size(), "run") +
             " left out (infrastructure)" +
             (assertions == 0
                  ? std::string()
                  : ", with " + plural(assertions, "assertion") +
                        " that upskill counted as failed") +
             "; that says nothing about the model");
  if (told.hidden_calls > 0)
    complain("up to " + plural(told.hidden_calls, "failed assertion") +
             " may be calls that failed: their runs have fewer turns than "
             "assertions. They count as the model's");
  if (told.without_tokens > 0)
    complain("the tokens of " + plural(told.without_tokens, "run") +
             " are known only as a sum over several assertions, and not used");

  if (asked.json) {
    for (const record& one : told.records) out.line(write_record(one));
    if (asked.out.empty()) return code;
  }
  if (told.records.empty()) return code;
  const std::string folder = asked.out.empty() ? default_folder : asked.out;
  auto kept = store::open(folder);
  if (!kept) {
    complain(kept.error().what + "; --out names another folder");
    return exit_code::broken;
  }
  for (const record& one : told.records)
    if (const auto line = kept.value().append(write_record(one)); !line) {
      complain(line.error().what);
      return exit_code::broken;
    }
  if (const auto safe = kept.value().sync(); !safe) {
    complain(safe.error().what);
    return exit_code::broken;
  }
  std::vector<not_tried> lost;
  for (const unanswered_run& each : told.unanswered)
    lost.push_back({each.name, reason::not_found, each.why});
  if (const auto written = write_not_tried(not_tried_file(folder), lost); !written) {
    complain(written.error().what);
    return exit_code::broken;
  }
  if (asked.json) return code;
  print_imported(told, out);
  out.line("\n" + plural(told.records.size(), "record") + " of " +
           plural(told.runs, "run") + " in " + printable(kept.value().path()));
  return code;
}

}  // namespace skillbench::cli
