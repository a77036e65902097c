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
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/manifest.hpp>
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

// ---- settings of a manifest ---------------------------------------------------

// What one setting costs; nothing if it cannot be had, which is no fault.
using objective =
    std::function<result<std::optional<double>>(const setting&)>;

struct trial {
  setting tried;
  std::optional<double> cost;
};

struct searched {
  std::vector<trial> trials;        // in their order
  std::optional<std::size_t> best;  // of `trials`: the first of least cost
  search_end ended = search_end::trials;
};

// A point of tuning_space::of(manifest, type).
[[nodiscard]] inline setting setting_of(const tuning_space& space,
                                        const tuning_point& at) {
  setting made;
  for (std::size_t i = 0; i < at.size(); ++i) {
    const tuning_parameter& each = space.parameters()[i];
    if (each.name == "sizeof_T") continue;  // no tunable
    if (const auto* whole = std::get_if<std::int64_t>(&each.values[at[i]]))
      made.emplace_back(each.name, *whole);
  }
  return made;
}

// The point of a setting, if it is in the space.
[[nodiscard]] inline std::optional<std::uint64_t> index_of(
    const tuning_space& space, const setting& wanted) {
  tuning_point at;
  for (const tuning_parameter& each : space.parameters()) {
    std::size_t place = each.name == "sizeof_T" ? 0 : each.values.size();
    for (const auto& [name, value] : wanted)
      if (name == each.name)
        for (std::size_t v = 0; v < each.values.size(); ++v)
          if (each.values[v] == tuning_value(value)) place = v;
    if (place == each.values.size()) return std::nullopt;
    at.push_back(static_cast<std::uint16_t>(place));
  }
  return space.index_of(at);
}

[[nodiscard]] inline result<searched> search(const tuning_space& space,
                                             strategy& by,
                                             const objective& ask,
                                             const search_limits& limits) {
  const auto found = search(
      space, by,
      [&](std::uint64_t index) { return ask(setting_of(space, space.at(index))); },
      limits);
  if (!found) return found.error();
  searched made;
  made.best = found.value().best;
  made.ended = found.value().ended;
  for (const tried& each : found.value().trials)
    made.trials.push_back({setting_of(space, space.at(each.index)), each.cost});
  return made;
}

}  // namespace skillbench
