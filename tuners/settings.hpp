#pragma once
// settings.hpp: searches over the settings of a manifest.
//
// Layer   5. search.hpp has the units and the errors; bad_input also for what
//         tuning_space.hpp says of a manifest's tunables and constraints.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/manifest.hpp>
#include <skillbench/tuners/exhaustive.hpp>
#include <skillbench/tuners/random.hpp>
#include <skillbench/tuners/search.hpp>
#include <skillbench/tuning_space.hpp>
#include <skillbench/units.hpp>

namespace skillbench {

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
    made.emplace_back(each.name, each.values[at[i]]);
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
          if (each.values[v] == value) place = v;
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

[[nodiscard]] inline result<searched> search_exhaustively(
    const manifest& asked, element type, const objective& ask,
    const search_limits& limits = {}) {
  const auto space = tuning_space::of(asked, type);
  if (!space) return space.error();
  exhaustive by(space.value());
  return search(space.value(), by, ask, limits);
}

[[nodiscard]] inline result<searched> search_randomly(
    const manifest& asked, element type, const objective& ask,
    std::uint64_t seed, const search_limits& limits = {}) {
  const auto space = tuning_space::of(asked, type);
  if (!space) return space.error();
  random_order by(space.value(), seed);
  return search(space.value(), by, ask, limits);
}

}  // namespace skillbench
