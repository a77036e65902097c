#pragma once
// upskill.hpp: what upskill logged of its runs, as records.
//
// Layer   2. json_upskill.hpp reads the files, read_upskill.hpp their folder.
// Unit    upskill logs a run over several tests as two counts, so many
//         assertions of so many. Each becomes a record: `correct` or `wrong`.
//         Which of them passed is not logged, so the order within a run means
//         nothing. What it calls `passed` is left alone: for runs with a skill
//         that can be its own verdict on the skill.
// Tokens  are those of each test, when there is one summary of usage for each
//         assertion; or else a sum that cannot be shared out, and so not
//         reported.
// Failed calls  are not the model's failures. upskill counts a test whose call
//         failed as failed. A run with an error, without a result, or without
//         a single turn and token was never answered: it is left out and
//         counted. A single failed call among answered ones cannot be told from
//         a wrong answer; `hidden_calls` is how many there may be.
// Source  github.com/huggingface/upskill: models.py, logging.py and cli.py.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/record.hpp>

namespace skillbench {

// A run_result.json.
struct upskill_run {
  struct usage {  // of one test
    std::optional<std::int64_t> input_tokens, output_tokens, turns;
  };
  std::string name;   // of batch and run, "2026_01_22_13_10/run_1"
  std::string model, task, arm, skill;
  std::string error;  // "" when there was none
  std::int64_t assertions_passed = 0, assertions_total = 0;
  std::int64_t turns = 0, input_tokens = 0, output_tokens = 0,
               total_tokens = 0;
  std::vector<usage> tests;
};

// Runs that say nothing about a model.
struct unanswered_run {
  std::string name, why;
  std::size_t assertions = 0;  // that upskill counted as failed; 0 if not known
};

struct imported_runs {
  std::vector<record> records;
  std::size_t runs = 0;  // that have records
  std::vector<unanswered_run> unanswered;
  std::size_t hidden_calls = 0;     // failed assertions that may be failed calls
  std::size_t without_tokens = 0;   // runs whose tokens cannot be shared out
  std::vector<fault> troubles;
};

inline constexpr std::int64_t most_assertions = 10'000;  // of a run

// Adds the records of one run; runs come in the order of their draws.
inline void add_run(const upskill_run& run, imported_runs& into) {
  const auto refuse = [&](const std::string& what) {
    into.troubles.push_back({reason::bad_input, run.name + ": " + what});
  };
  if (run.arm != "baseline" && run.arm != "with_skill")
    return refuse("the run type is neither baseline nor with_skill");
  if (run.assertions_total < 0 || run.assertions_passed < 0 ||
      run.assertions_passed > run.assertions_total ||
      run.assertions_total > most_assertions)
    return refuse(std::to_string(run.assertions_passed) + " of " +
                  std::to_string(run.assertions_total) +
                  " assertions make no sense");
  const auto total = static_cast<std::size_t>(run.assertions_total);
  const auto passed = static_cast<std::size_t>(run.assertions_passed);
  const auto leave_out = [&](const std::string& why) {
    into.unanswered.push_back({run.name, why, total - passed});
  };
  if (!run.error.empty()) return leave_out("it ended with an error: " + run.error);
  if (total == 0) return leave_out("it has no assertions");
  if (run.turns == 0 && run.total_tokens == 0 && run.input_tokens == 0 &&
      run.output_tokens == 0 && passed == 0)
    return leave_out("no turn and no token: the model never answered");

  // A test that was answered has a turn.
  if (run.turns >= 0 && static_cast<std::size_t>(run.turns) < total)
    into.hidden_calls += std::min(total - passed,
                                  total - static_cast<std::size_t>(run.turns));
  std::vector<upskill_run::usage> tests = run.tests;
  if (tests.size() != total) {
    tests.assign(total, {});
    if (total == 1 && run.total_tokens > 0)
      tests.front() = {run.input_tokens, run.output_tokens, run.turns};
    else if (run.total_tokens > 0)
      ++into.without_tokens;
  }
  ++into.runs;
  std::int64_t draw = 0;
  for (const record& one : into.records)
    if (one.of.model == run.model && one.of.arm == run.arm &&
        one.of.task == run.task && one.of.draw >= draw)
      draw = one.of.draw + 1;
  for (std::size_t i = 0; i < total; ++i) {
    record made;
    made.of.id = run.name + "/" + std::to_string(i + 1);
    made.of.model = run.model;
    made.of.arm = run.arm;
    made.of.skill = run.arm == "with_skill" ? run.skill : "";
    made.of.task = run.task;
    made.of.draw = draw++;
    made.of.input_tokens = tests[i].input_tokens;
    made.of.output_tokens = tests[i].output_tokens;
    made.of.turns = tests[i].turns;
    made.device = "none: imported from upskill";
    made.reached = stage::done;
    made.what = i < passed ? outcome::correct : outcome::wrong;
    if (i >= passed)
      made.reason = "one of " + std::to_string(total - passed) +
                    " failed assertions of " + std::to_string(total);
    made.speed = "not measured: imported from upskill";
    into.records.push_back(std::move(made));
  }
}

}  // namespace skillbench
