#pragma once
// tune_output.hpp: what tuning adds to the record of a judged output.
//
// Layer   6. tune_candidate.hpp searches; evaluate.hpp judged before.
// Meaning only a correct output is tuned: default against tuned says what a
//         search alone is worth. One without tunables is timed as it is, so that
//         it can be compared. The family's baseline.cu is timed in the same way.
// Repeat  trials are kept in the journal: an output that a killed run was tuning
//         goes on from there, and the same source is never tried twice.
// Errors  What the source or its manifest is to blame for is in `not_tuned`, and the
//         verdict stands. What the machine is to blame for is a fault: kept in a
//         record it would never be tried again.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <skillbench/evaluate.hpp>
#include <skillbench/extract.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/read.hpp>
#include <skillbench/record.hpp>
#include <skillbench/sample.hpp>
#include <skillbench/tune_candidate.hpp>
#include <skillbench/tune_journal.hpp>
#include <skillbench/tune_kernel.hpp>

namespace skillbench {

struct output_tuning {
  std::int64_t trials = 25;
  std::string strategy{default_strategy};
  std::uint64_t seed = 1;
  bool cold = true;
  std::string machine;  // for trial_key()
  std::function<result<std::unique_ptr<device>>()> make_device;
  tune_journal* journal = nullptr;  // may be null
  std::function<bool()> cancelled;  // may be empty
};

namespace tuning {

// Such a fault of a search is no fault of the machine.
[[nodiscard]] constexpr bool says_of_source(reason why) noexcept {
  return why == reason::bad_input || why == reason::bad_argument ||
         leaves_unjudged(why);
}

// A search over one source, with trials from the journal and into it.
[[nodiscard]] inline result<tuning_told> told_of_source(
    const candidate& asked, const family& of, const output_tuning& with,
    std::int64_t trials, bool is_right) {
  kernel_tuning how;
  how.asked = &asked;
  how.of = &of;
  how.seed = with.seed;
  how.cold = with.cold;
  how.types.assign(std::begin(all_elements), std::end(all_elements));
  auto largest = case_to_time(of);
  if (!largest) return largest.error();
  how.test_case = largest.value();
  auto space = tuning_space::of(asked.launch, how.types.front());
  if (!space) return space.error();

  tuning_plan plan;
  plan.strategy = with.strategy;
  plan.seed = with.seed;
  plan.limits.trials = trials;
  plan.make_device = with.make_device;
  plan.cancelled = with.cancelled;
  plan.default_is_right = is_right;
  if (with.journal != nullptr) {
    const std::string key = trial_key(how, with.machine);
    plan.known = with.journal->known(key);
    plan.keep = [&with, key](const kernel_trial& it) {
      return with.journal->keep(key, it);
    };
  }
  auto made = tune_candidate(how, space.value(), plan);
  if (!made) return made.error();
  return told_of(made.value(), how, plan);
}

}  // namespace tuning

[[nodiscard]] inline result<done> tune_output(record& told, const sample& given,
                                              std::span<const family> known,
                                              const output_tuning& with) {
  tuning_told& into = told.tuning.emplace();
  if (told.what != outcome::correct) {
    into.not_tuned = "it is not correct: " + std::string(name(told.what));
    return done{};
  }
  const family* const of = find_family(known, given.task);
  const extracted pieces = extract(given.output);
  if (of == nullptr || !pieces.found) {
    into.not_tuned = "its source cannot be read again";
    return done{};
  }
  const read_result read = read_candidate(*pieces.found, known, *of);
  if (!read.found) {
    into.not_tuned = "its manifest cannot be read again";
    return done{};
  }
  auto made = tuning::told_of_source(*read.found, *of, with, with.trials, true);
  if (!made) {
    if (!tuning::says_of_source(made.error().why)) return made.error();
    into.not_tuned = made.error().what;
    return done{};
  }
  into = std::move(made).value();
  if (read.found->launch.tune.empty())
    into.not_tuned = "its manifest has no `tune`";

  excerpt yardstick;
  yardstick.source = of->baseline;
  const read_result baseline = read_candidate(yardstick, known, *of);
  if (!baseline.found) return done{};
  const auto theirs =
      tuning::told_of_source(*baseline.found, *of, with, 1, true);
  if (!theirs) {
    if (!tuning::says_of_source(theirs.error().why)) return theirs.error();
    return done{};
  }
  into.baseline_nanoseconds = theirs.value().default_nanoseconds();
  const auto ours = into.default_nanoseconds();
  if (!told.against_baseline && ours && into.baseline_nanoseconds &&
      into.clock == trial_clock::predicted)
    told.against_baseline =
        speedup{*into.baseline_nanoseconds / *ours, true};
  return done{};
}

}  // namespace skillbench
