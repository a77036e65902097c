#pragma once
// tuning.hpp: what tuning one output came to, as its record keeps it.
//
// Layer   2. Plain values and two sums over them; tune_candidate.hpp fills them
//         in, json_tuning.hpp writes and reads them.
// Units   nanoseconds, over several element types their geometric mean;
//         predicted (predict.hpp) or measured, as `clock` says. A ratio is
//         above 1 where the tuned setting is the faster one.
// Shares  of importance: the variance of the time's logarithm that the values of
//         one tunable explain alone, less what as many values would explain by
//         chance; 0 where that is nothing. Trials lie close to the best, so it
//         tells what mattered to this search.
// Source  M. Ezekiel, Methods of Correlation Analysis (1930), for the share
//         corrected for the number of values.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/kernel_trial.hpp>
#include <skillbench/manifest.hpp>

namespace skillbench {

// How many times as fast one setting is as another. Counts of the PTX machine
// have no noise, so what is predicted from them has no interval.
struct tuned_ratio {
  double times = 0;                 // above 0
  std::optional<double> low, high;  // of 95%, from paired timings

  [[nodiscard]] bool exact() const noexcept { return !low; }
  bool operator==(const tuned_ratio&) const = default;
};

// A trial in brief.
struct brief_trial {
  std::optional<double> nanoseconds;  // of a correct one
  std::string outcome = "correct";    // kernel_trial::outcome

  bool operator==(const brief_trial&) const = default;
};

// The settings that ended in one way.
struct tuning_failures {
  std::string outcome;
  std::uint64_t count = 0;
  setting first;       // one of them, and why it failed
  std::string reason;

  bool operator==(const tuning_failures&) const = default;
};

struct tunable_share {
  std::string name;
  double share = 0;  // from 0 to 1

  bool operator==(const tunable_share&) const = default;
};

struct tuning_told {
  static constexpr int newest = 1;

  std::string not_tuned;  // why not; "" when it was. Times may be there even so
  trial_clock clock = trial_clock::predicted;
  std::string test_case;  // whose time counts
  std::vector<std::string> element_types;
  std::string strategy, ended;
  std::uint64_t seed = 0;
  double settings = 0;    // that constraints allow
  std::optional<double> baseline_nanoseconds;  // of the family's baseline.cu
  std::optional<double> limit_nanoseconds;     // what memory and arithmetic allow
  std::vector<brief_trial> trials;             // in order, the default first
  setting first;                               // the default
  std::optional<std::uint64_t> best;           // of `trials`; right in every case
  setting best_setting;
  std::optional<tuned_ratio> over_default, over_runner_up;
  setting runner_up;
  std::vector<tuning_failures> failures;
  std::vector<tunable_share> importance;       // the most important first

  bool operator==(const tuning_told&) const = default;

  [[nodiscard]] std::optional<double> default_nanoseconds() const {
    return trials.empty() ? std::nullopt : trials.front().nanoseconds;
  }
  [[nodiscard]] std::optional<double> best_nanoseconds() const {
    return best && *best < trials.size() ? trials[*best].nanoseconds
                                         : std::nullopt;
  }
};

[[nodiscard]] inline std::vector<tuning_failures> failures_of(
    std::span<const kernel_trial> trials) {
  std::vector<tuning_failures> made;
  for (const kernel_trial& each : trials) {
    if (each.correct()) continue;
    const auto known =
        std::find_if(made.begin(), made.end(), [&](const auto& one) {
          return one.outcome == each.outcome;
        });
    if (known == made.end())
      made.push_back({each.outcome, 1, each.chosen, each.reason});
    else
      ++known->count;
  }
  return made;
}

[[nodiscard]] inline std::vector<tunable_share> importance_of(
    std::span<const kernel_trial> trials) {
  std::vector<const kernel_trial*> right;
  double mean = 0;
  for (const kernel_trial& each : trials)
    if (each.nanoseconds && *each.nanoseconds > 0) {
      right.push_back(&each);
      mean += std::log(*each.nanoseconds);
    }
  std::vector<tunable_share> made;
  if (right.size() < 3) return made;
  const auto count = static_cast<double>(right.size());
  mean /= count;
  double total = 0;
  for (const kernel_trial* each : right)
    total += std::pow(std::log(*each->nanoseconds) - mean, 2);
  const setting& names = right.front()->chosen;
  for (std::size_t i = 0; i < names.size(); ++i) {
    struct sums {
      double sum = 0, squares = 0, count = 0;
    };
    std::map<tuning_value, sums> by_value;
    for (const kernel_trial* each : right) {
      if (i >= each->chosen.size()) continue;
      const double here = std::log(*each->nanoseconds) - mean;
      sums& in = by_value[each->chosen[i].second];
      in.sum += here;
      in.squares += here * here;
      ++in.count;
    }
    double inside = 0;
    for (const auto& [value, of] : by_value)
      inside += of.squares - of.sum * of.sum / of.count;
    const auto kinds = static_cast<double>(by_value.size());
    tunable_share one{names[i].first, 0};
    // Times that differ by rounding alone are the same.
    if (total > 1e-18 * count && kinds > 1 && count > kinds)
      one.share = std::clamp(
          1 - inside / (count - kinds) / (total / (count - 1)), 0.0, 1.0);
    made.push_back(std::move(one));
  }
  std::stable_sort(made.begin(), made.end(), [](const auto& a, const auto& b) {
    return a.share > b.share;
  });
  return made;
}

}  // namespace skillbench
