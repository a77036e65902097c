#pragma once
// tune_samples.hpp: the best configuration of something whose cost is noisy.
//
// Layer   6. tune.hpp is the same for costs without noise.
// Units   a sample is the caller's own unit, above 0, less is better. The cost of
//         a trial is the median of its samples.
// Trial   after `few` samples that are all beyond `hopeless` times the best, a
//         configuration is cut: it was looked at long enough. One whose median
//         is below the best is sampled again, as often, and the slower median
//         counts, since the least of many noisy medians is too low.
// Winner  held against the runner-up and the default in rounds A B B A, so that a
//         drift that is linear in time falls out; a ratio is the median over the
//         rounds, with its 95% interval. A runner-up that is the faster one for
//         certain takes the winner's place.
// Errors  bad_argument for an unknown strategy, a limit or a number of samples
//         that makes no sense, a sample that is not above 0 or not finite; what
//         the objective's own fault says.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/timing.hpp>
#include <skillbench/tune.hpp>
#include <skillbench/tuners/default_first.hpp>
#include <skillbench/tuners/search.hpp>
#include <skillbench/tuners/strategies.hpp>
#include <skillbench/tuning.hpp>
#include <skillbench/tuning_space.hpp>

namespace skillbench {

struct sampling {
  std::size_t few = 3;     // samples before a configuration may be cut
  std::size_t each = 10;   // samples of one that is not
  std::size_t rounds = 20; // of the confirmation, four samples each
  double hopeless = 2;     // times the best
};

struct sampled_trial {
  configuration at;
  std::optional<double> cost;  // none: it cannot be had
  std::size_t samples = 0;
  bool cut = false, again = false;
};

struct tuned_samples {
  std::vector<sampled_trial> trials;      // in order, the default first
  std::optional<std::size_t> best;        // of `trials`; none: all failed
  std::optional<std::size_t> runner_up;
  std::optional<tuned_ratio> over_default, over_runner_up;
  search_end ended = search_end::trials;
};

namespace sampling_detail {

// One sample, or nothing where the configuration cannot be had.
template <typename Objective>
[[nodiscard]] result<std::optional<double>> sample(Objective& of,
                                                   const configuration& at) {
  using given = std::decay_t<decltype(of(at))>;
  std::optional<double> made;
  if constexpr (std::is_convertible_v<given, std::optional<double>>) {
    made = of(at);
  } else {
    auto told = of(at);
    if (!told) return told.error();
    made = std::move(told).value();
  }
  if (made && !(*made > 0 && std::isfinite(*made)))
    return fault{reason::bad_argument,
                 "a sample of " + at.words() +
                     " is not above 0 and finite: " + std::to_string(*made)};
  return made;
}

// Baseline over candidate: how many times as fast `a` is.
template <typename Objective>
[[nodiscard]] result<std::optional<tuned_ratio>> paired(
    Objective& of, const configuration& a, const configuration& b,
    std::size_t rounds) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < rounds; ++i) {
    double sums[2] = {};
    for (const bool of_b : {false, true, true, false}) {
      auto one = sample(of, of_b ? b : a);
      if (!one) return one.error();
      if (!one.value()) return std::optional<tuned_ratio>();
      sums[of_b] += *one.value();
    }
    ratios.push_back(sums[1] / sums[0]);
  }
  const centre seen = centre_of(ratios);
  return std::optional(tuned_ratio{seen.median, seen.low, seen.high});
}

}  // namespace sampling_detail

// `of(const configuration&)` gives one sample: a double, an optional one, or a
// result of either. The space must outlive what comes back.
template <typename Objective>
[[nodiscard]] result<tuned_samples> tune_samples(const tuning_space& space,
                                                 Objective&& of,
                                                 const tune_options& how = {},
                                                 const sampling& plan = {}) {
  if (plan.few < 1 || plan.each < plan.few || plan.rounds < 6 ||
      !(plan.hopeless >= 1))
    return fault{reason::bad_argument,
                 "samples: at least one before a cut, no fewer for a trial, six "
                 "rounds for an interval, and no cut of what is faster"};
  auto made_strategy = make_strategy(how.strategy, space, how.seed);
  if (!made_strategy) return made_strategy.error();
  const auto first = space.index_of(space.first());
  default_first by(first, std::move(made_strategy).value());

  tuned_samples made;
  std::optional<double> best;
  const auto ask = [&](std::uint64_t index) -> result<std::optional<double>> {
    sampled_trial one{{space, space.at(index)}, {}, 0, false, false};
    std::vector<double> samples;
    const auto more = [&](std::size_t wanted) -> result<bool> {
      while (samples.size() < wanted) {
        auto each = sampling_detail::sample(of, one.at);
        if (!each) return each.error();
        if (!each.value()) return false;
        samples.push_back(*each.value());
        ++one.samples;
      }
      return true;
    };
    for (const std::size_t wanted : {plan.few, plan.each}) {
      auto had = more(wanted);
      if (!had) return had.error();
      if (!had.value()) {
        made.trials.push_back(std::move(one));
        return std::optional<double>();
      }
      one.cut = best && *std::min_element(samples.begin(), samples.end()) >
                            plan.hopeless * *best;
      if (one.cut) break;
    }
    one.cost = centre_of(samples).median;
    if (!one.cut && (!best || *one.cost < *best)) {
      one.again = true;
      samples.clear();
      auto had = more(plan.each);
      if (!had) return had.error();
      if (had.value())
        one.cost = std::max(*one.cost, centre_of(samples).median);
      else
        one.cost.reset();
    }
    if (one.cost && (!best || *one.cost < *best)) best = one.cost;
    made.trials.push_back(std::move(one));
    return made.trials.back().cost;
  };
  auto found = search(space, by, ask, how.limits);
  if (!found) return found.error();
  made.ended = found.value().ended;
  made.best = found.value().best;
  if (!made.best) return made;

  for (std::size_t i = 0; i < made.trials.size(); ++i)
    if (i != *made.best && made.trials[i].cost &&
        (!made.runner_up ||
         *made.trials[i].cost < *made.trials[*made.runner_up].cost))
      made.runner_up = i;
  const auto ratio = [&](std::size_t a, std::size_t b) {
    return sampling_detail::paired(of, made.trials[a].at, made.trials[b].at,
                                   plan.rounds);
  };
  if (made.runner_up) {
    auto held = ratio(*made.best, *made.runner_up);
    if (!held) return held.error();
    if (held.value() && *held.value()->high < 1) {
      std::swap(*made.best, *made.runner_up);
      held = ratio(*made.best, *made.runner_up);
      if (!held) return held.error();
    }
    made.over_runner_up = held.value();
  }
  if (*made.best != 0 && made.trials.front().cost) {
    auto held = ratio(*made.best, 0);
    if (!held) return held.error();
    made.over_default = held.value();
    // No search makes anything slower than it was.
    if (const auto& seen = made.over_default;
        seen && seen->high && *seen->high < 1) {
      made.runner_up = made.best;
      made.over_runner_up =
          tuned_ratio{1 / seen->times, 1 / *seen->high, 1 / *seen->low};
      made.best = 0;
      made.over_default.reset();
    }
  }
  return made;
}

}  // namespace skillbench
