#pragma once
// search.hpp: a strategy plays against an objective until a limit is reached.
//
// Layer   5. strategy.hpp has the units.
// Errors  bad_argument for a limit that makes no sense. A fault of the
//         objective ends the search: trouble of ours. A configuration that
//         cannot be had is a trial without a cost.

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/tuners/strategy.hpp>
#include <skillbench/tuning_space.hpp>

namespace skillbench {

struct search_limits {
  std::int64_t trials = 100;
  double seconds = 0;                  // of wall time; 0: no limit
  std::int64_t without_improvement = 0;  // trials in a row; 0: no limit
  std::optional<double> target = {};   // a cost that is good enough
};

// Why a search ended.
enum class search_end : std::uint8_t {
  trials = 0, exhausted = 1, seconds = 2, no_improvement = 3, target = 4,
};
[[nodiscard]] constexpr std::string_view name(search_end why) noexcept {
  switch (why) {
    case search_end::trials: return "trials";
    case search_end::exhausted: return "exhausted";
    case search_end::seconds: return "seconds";
    case search_end::no_improvement: return "no_improvement";
    case search_end::target: return "target";
  }
  return "unknown";
}

// What a search came to, in the order of the trials.
struct search_result {
  std::vector<tried> trials;
  std::optional<std::size_t> best;  // of `trials`: the first of least cost
  search_end ended = search_end::trials;
};

// `ask(index)` gives result<std::optional<double>>.
template <typename Ask>
[[nodiscard]] result<search_result> search(const tuning_space& space,
                                           strategy& by, Ask&& ask,
                                           const search_limits& limits = {}) {
  if (limits.trials < 1 || limits.without_improvement < 0 ||
      !(limits.seconds >= 0))
    return fault{reason::bad_argument,
                 "a search needs a limit of at least one trial, and no limit "
                 "below zero"};
  using clock = std::chrono::steady_clock;
  const auto began = clock::now();
  search_result made;
  std::int64_t since = 0;
  for (;;) {
    if (made.trials.size() >= space.size()) {
      made.ended = search_end::exhausted;
      return made;
    }
    if (static_cast<std::int64_t>(made.trials.size()) == limits.trials)
      return made;
    if (limits.seconds > 0 &&
        std::chrono::duration<double>(clock::now() - began).count() >
            limits.seconds) {
      made.ended = search_end::seconds;
      return made;
    }
    if (limits.without_improvement > 0 &&
        since >= limits.without_improvement) {
      made.ended = search_end::no_improvement;
      return made;
    }
    const auto next = by.propose(1);
    if (next.empty()) {
      made.ended = search_end::exhausted;
      return made;
    }
    result<std::optional<double>> told = ask(next.front());
    if (!told) return told.error();
    std::optional<double> cost = told.value();
    // A NaN is below nothing, so it is never the best.
    if (cost && !std::isfinite(*cost)) cost.reset();
    by.learn(next.front(), cost);
    made.trials.push_back({next.front(), cost});
    ++since;
    if (cost && (!made.best || *cost < *made.trials[*made.best].cost)) {
      made.best = made.trials.size() - 1;
      since = 0;
    }
    if (limits.target && cost && *cost <= *limits.target) {
      made.ended = search_end::target;
      return made;
    }
  }
}

}  // namespace skillbench
