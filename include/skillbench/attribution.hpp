#pragma once
// attribution.hpp: what a skill adds, what tuning alone adds, and what the skill
// adds beyond tuning.
//
// Layer   2. Records in, ratios of speed out.
// Counts  correct outputs whose record has a time of the default and of the
//         family's baseline.cu; one that was not tuned, or whose search found
//         nothing better, counts with its default. Speeds are multiples of that
//         baseline.
// Ratios  the mean of logarithms over the tasks that both arms have such an
//         output of, with stats.hpp's bootstrap over tasks and draws: absent
//         where there is no such task, without an interval where nothing spreads.

#include <algorithm>
#include <cmath>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/effect.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/record.hpp>
#include <skillbench/stats.hpp>
#include <skillbench/tuning.hpp>

namespace skillbench {

// How fast one output is, in multiples of its family's baseline.
struct tuned_speed {
  double as_it_came = 0, tuned = 0;
  auto operator<=>(const tuned_speed&) const = default;
};

[[nodiscard]] inline std::optional<tuned_speed> tuned_speed_of(
    const record& one) {
  if (one.what != outcome::correct || !one.tuning) return std::nullopt;
  const auto baseline = one.tuning->baseline_nanoseconds;
  const auto first = one.tuning->default_nanoseconds();
  if (!baseline || !first || !(*baseline > 0) || !(*first > 0))
    return std::nullopt;
  tuned_speed made;
  made.as_it_came = *baseline / *first;
  // Two timings of one kernel are no ratio, so the paired one counts.
  made.tuned = made.as_it_came *
               (one.tuning->over_default ? one.tuning->over_default->times : 1);
  return made;
}

struct speed_ratio_seen {
  double times = 0;
  std::optional<interval> at95;
};

// Of one skill, over all models.
struct attribution {
  std::string skill;
  bool predicted = false;
  std::size_t with = 0, without = 0;  // outputs that count
  std::size_t tasks = 0;              // that both arms have one of
  std::optional<speed_ratio_seen>
      defaults,        // the skill: with over without, as they came
      tuning_alone,    // without it: tuned over as it came
      tuning_with,     // the same with it
      beyond_tuning;   // with over without, both tuned
};

namespace attributing {

[[nodiscard]] inline std::optional<speed_ratio_seen> ratio_over(
    const std::vector<samples_of_task>& logs, std::uint64_t seed) {
  double sum = 0;
  std::size_t usable = 0;
  const auto mean = [](const std::vector<double>& all) {
    return std::accumulate(all.begin(), all.end(), 0.0) /
           static_cast<double>(all.size());
  };
  for (const samples_of_task& each : logs) {
    if (!each.usable()) continue;
    sum += mean(each.with) - mean(each.without);
    ++usable;
  }
  if (usable == 0) return std::nullopt;
  speed_ratio_seen made{std::exp(sum / static_cast<double>(usable)), {}};
  if (const auto seen = bootstrap(
          std::span<const samples_of_task>(logs),
          [](double one, double other) { return one - other; }, seed, 2000))
    made.at95 = interval{std::exp(seen->at95.low), std::exp(seen->at95.high)};
  return made;
}

}  // namespace attributing

// One for each skill that a record with a tuning names.
[[nodiscard]] inline std::vector<attribution> attributions_of(
    std::span<const record> records, std::uint64_t seed = 1) {
  std::vector<std::string> skills;
  for (const record& one : records)
    if (one.tuning && one.of.arm == arm_with &&
        std::find(skills.begin(), skills.end(), one.of.skill) == skills.end())
      skills.push_back(one.of.skill);
  std::vector<attribution> made;
  for (const std::string& skill : skills) {
    attribution& told = made.emplace_back();
    told.skill = skill;
    struct arms {
      std::vector<tuned_speed> with, without;
    };
    std::map<std::pair<std::string, std::string>, arms> cells;  // model, task
    for (const record& one : records) {
      const bool with = one.of.arm == arm_with && one.of.skill == skill;
      if (!with && one.of.arm != arm_without) continue;
      const auto speed = tuned_speed_of(one);
      if (!speed) continue;
      arms& in = cells[{one.of.model, one.of.task}];
      (with ? in.with : in.without).push_back(*speed);
      ++(with ? told.with : told.without);
      told.predicted |= one.tuning->clock != trial_clock::measured;
    }
    std::vector<samples_of_task> defaults, alone, within, beyond;
    for (auto& [key, each] : cells) {
      // The same records in another order draw the same.
      std::sort(each.with.begin(), each.with.end());
      std::sort(each.without.begin(), each.without.end());
      if (each.with.empty() || each.without.empty()) continue;
      ++told.tasks;
      samples_of_task plain, tuned, gain_without, gain_with;
      // A gain is one output's own, so nothing is drawn on the other side.
      gain_without.without = gain_with.without = {0.0};
      for (const tuned_speed& one : each.with) {
        plain.with.push_back(std::log(one.as_it_came));
        tuned.with.push_back(std::log(one.tuned));
        gain_with.with.push_back(std::log(one.tuned / one.as_it_came));
      }
      for (const tuned_speed& one : each.without) {
        plain.without.push_back(std::log(one.as_it_came));
        tuned.without.push_back(std::log(one.tuned));
        gain_without.with.push_back(std::log(one.tuned / one.as_it_came));
      }
      defaults.push_back(std::move(plain));
      beyond.push_back(std::move(tuned));
      alone.push_back(std::move(gain_without));
      within.push_back(std::move(gain_with));
    }
    told.defaults = attributing::ratio_over(defaults, seed);
    told.tuning_alone = attributing::ratio_over(alone, seed);
    told.tuning_with = attributing::ratio_over(within, seed);
    told.beyond_tuning = attributing::ratio_over(beyond, seed);
  }
  return made;
}

// "1.40x (95%: 1.21 to 1.66)"
[[nodiscard]] inline std::string words_of(const speed_ratio_seen& of) {
  char text[96];
  if (of.at95)
    std::snprintf(text, sizeof text, "%.2fx (95%%: %.2f to %.2f)", of.times,
                  of.at95->low, of.at95->high);
  else
    std::snprintf(text, sizeof text, "%.2fx", of.times);
  return text;
}

// Sentences that say it all; names of skills are left to the caller.
[[nodiscard]] inline std::vector<std::string> words_of(const attribution& of) {
  std::vector<std::string> said;
  if (!of.beyond_tuning) {
    said.push_back("Nothing can be said of tuning: no task has a correct, timed "
                   "output in both arms.");
    return said;
  }
  said.push_back("With the settings that outputs came with the skill gives " +
                 words_of(*of.defaults) + " over " + std::to_string(of.tasks) +
                 (of.tasks == 1 ? " task" : " tasks") + "; tuning alone gives " +
                 words_of(*of.tuning_alone) + " without the skill and " +
                 words_of(*of.tuning_with) + " with it.");
  said.push_back("Beyond tuning the skill adds " + words_of(*of.beyond_tuning) +
                 ": both arms tuned.");
  if (of.predicted)
    said.push_back("Times are predicted by a model; nothing was measured.");
  return said;
}

}  // namespace skillbench
