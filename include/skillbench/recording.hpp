#pragma once
// recording.hpp: a tuning space of which every configuration was tried.
//
// Layer   2. Plain values; json_space.hpp reads them.
// Units   costs are in `unit`, less is better.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/manifest.hpp>
#include <skillbench/tuning_space.hpp>

namespace skillbench {

// One line of a recording.
struct recorded_trial {
  tuning_point at;
  std::optional<double> cost;  // nothing: it failed
  std::string failure = {};    // why, in the recording's words
};

// What a configuration came to in a tuning of another time: of another size,
// another device or another kernel.
struct earlier_trial {
  setting at;                  // values by name
  std::optional<double> cost;  // nothing: it failed
};
struct earlier_tuning {
  std::vector<earlier_trial> trials;  // costs in one unit
};

struct recording {
  std::string kernel, device, objective, unit;
  tuning_space space;
  std::vector<std::optional<double>> costs;  // by index of the space
  std::vector<std::string> failures;         // by index, "" where it ran
  std::size_t twice = 0;                     // lines left out: known already

  // Costs of those that ran, the least first.
  [[nodiscard]] std::vector<double> sorted() const {
    std::vector<double> made;
    for (const auto& each : costs)
      if (each) made.push_back(*each);
    std::sort(made.begin(), made.end());
    return made;
  }
};

// Every configuration of a recording, by name.
[[nodiscard]] inline earlier_tuning earlier_of(const recording& from) {
  earlier_tuning made;
  const auto& names = from.space.parameters();
  for (std::size_t i = 0; i < from.costs.size(); ++i) {
    const tuning_point at = from.space.at(i);
    earlier_trial& one = made.trials.emplace_back();
    one.cost = from.costs[i];
    for (std::size_t p = 0; p < names.size(); ++p)
      one.at.emplace_back(names[p].name, from.space.value(at, p));
  }
  return made;
}

// The first of two lines for one configuration counts.
[[nodiscard]] inline result<recording> recorded(
    std::vector<tuning_parameter> parameters,
    const std::vector<recorded_trial>& lines) {
  std::vector<tuning_point> points;
  points.reserve(lines.size());
  for (const recorded_trial& each : lines) points.push_back(each.at);
  auto space =
      tuning_space::of_points(std::move(parameters), std::move(points));
  if (!space) return space.error();
  recording made;
  made.space = std::move(space).value();
  const auto size = static_cast<std::size_t>(made.space.size());
  made.costs.resize(size);
  made.failures.resize(size);
  std::vector<char> seen(size);
  bool any = false;
  for (const recorded_trial& each : lines) {
    const auto index =
        static_cast<std::size_t>(*made.space.index_of(each.at));
    if (seen[index] != 0) {
      ++made.twice;
      continue;
    }
    seen[index] = 1;
    made.costs[index] = each.cost;
    made.failures[index] = each.failure;
    any = any || each.cost.has_value();
  }
  if (!any)
    return fault{reason::bad_input,
                 "no configuration of the recording has a cost"};
  return made;
}

}  // namespace skillbench
