#pragma once
// transfer.hpp: what was tried in a related space, as a prior of this one.
//
// Layer   5. prior.hpp has the units; recording.hpp has the trials.
// Match   parameters by name, numbers with numbers (true and false are 1 and 0)
//         and words with words. Numbers stand for themselves where the two
//         ranges overlap, else for their rank among those of their own side.
//         Where this space has one value for a parameter and the other had it
//         too, its other values do not count. What only one space varies is
//         left out: of earlier trials that are then alike the best counts.
// How     a Gaussian process (cost_model.hpp) over the logarithms of the
//         earlier costs, of several tunings each around its own mean. Failed
//         trials say nothing: what fails is the device's and the size's affair.
// Limits  of more trials than `most_transferred` half are the best ones and half
//         are spread over the rest; a parameter with more than `most_values`
//         values in both together is left out.
// Errors  bad_input: fewer than three trials with a cost, no parameter of both,
//         none that has several values in both.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/recording.hpp>
#include <skillbench/tuners/cost_model.hpp>
#include <skillbench/tuners/prior.hpp>
#include <skillbench/tuners/strategy.hpp>
#include <skillbench/tuning_space.hpp>

namespace skillbench {

struct transferred {
  prior estimate;
  std::size_t tunings = 0, trials = 0;  // with a cost, of all that were given
  std::vector<std::string> parameters;  // that both spaces vary
};

namespace transfer_detail {

inline constexpr std::size_t most_transferred = 300;
inline constexpr std::size_t most_values = 4096;

[[nodiscard]] inline bool is_word(const tuning_value& it) {
  return std::holds_alternative<std::string>(it);
}

// A parameter that both vary: what each of this space's values is called in the
// space of both, and each of the other's.
struct shared {
  std::size_t parameter = 0;  // of this space
  std::vector<std::uint16_t> ours;
  std::map<std::string, std::uint16_t> theirs;  // by text
  std::vector<tuning_value> values;             // of both
};

[[nodiscard]] inline std::string key_of(const tuning_value& it) {
  if (is_word(it)) return "'" + text_of(it);
  return text_of(tuning_value(*number_of(it)));
}

// Nothing where the two have no kind of value in common, or one never varies.
[[nodiscard]] inline std::optional<shared> match(
    const tuning_parameter& ours, std::size_t parameter,
    const std::map<std::string, tuning_value>& theirs) {
  if (ours.values.size() < 2 || theirs.size() < 2 ||
      ours.values.size() + theirs.size() > most_values)
    return std::nullopt;
  const bool words = is_word(ours.values.front());
  shared made;
  made.parameter = parameter;
  for (const auto& [key, value] : theirs)
    if (is_word(value) != words) return std::nullopt;
  std::map<std::string, std::uint16_t> places;
  const auto place = [&](const tuning_value& it) {
    const auto [at, fresh] =
        places.emplace(key_of(it), static_cast<std::uint16_t>(made.values.size()));
    if (fresh) made.values.push_back(it);
    return at->second;
  };
  if (words) {
    for (const tuning_value& each : ours.values) made.ours.push_back(place(each));
    for (const auto& [key, value] : theirs) made.theirs[key] = place(value);
    return made;
  }
  std::set<double> left, right;
  for (const tuning_value& each : ours.values) left.insert(*number_of(each));
  for (const auto& [key, value] : theirs) right.insert(*number_of(value));
  const bool overlap =
      *left.begin() <= *right.rbegin() && *right.begin() <= *left.rbegin();
  const auto stands_for = [&](double number, const std::set<double>& among) {
    if (overlap || among.size() < 2) return tuning_value(number);
    const auto rank = std::distance(among.begin(), among.find(number));
    return tuning_value(static_cast<double>(rank) /
                        static_cast<double>(among.size() - 1));
  };
  for (const tuning_value& each : ours.values)
    made.ours.push_back(place(stands_for(*number_of(each), left)));
  for (const auto& [key, value] : theirs)
    made.theirs[key] = place(stands_for(*number_of(value), right));
  return made;
}

[[nodiscard]] inline const tuning_value* find(const setting& in,
                                              const std::string& named) {
  for (const auto& [name, value] : in)
    if (name == named) return &value;
  return nullptr;
}

// The model and what it needs to be asked.
struct model {
  model(tuning_space both, std::vector<shared> shared_here)
      : space(std::move(both)), parameters(std::move(shared_here)),
        memory(space, 1), costs(memory) {}

  tuning_space space;
  std::vector<shared> parameters;
  search_memory memory;
  cost_model costs;
};

}  // namespace transfer_detail

// `space` must outlive what is made. Each of `earlier` is a tuning of its own,
// with a unit of its own.
[[nodiscard]] inline result<transferred> transfer(
    const tuning_space& space, const std::vector<earlier_tuning>& earlier) {
  namespace td = transfer_detail;
  transferred made;
  std::set<std::string> names;
  std::map<std::string, std::map<std::string, tuning_value>> values;
  for (const earlier_tuning& each : earlier) {
    std::size_t ran = 0;
    for (const earlier_trial& one : each.trials) {
      for (const auto& [name, value] : one.at) {
        names.insert(name);
        if (one.cost) values[name].emplace(td::key_of(value), value);
      }
      ran += one.cost.has_value();
    }
    made.tunings += ran > 0;
    made.trials += ran;
  }
  if (made.trials < 3)
    return fault{reason::bad_input,
                 "the earlier tuning has too few trials with a cost (" +
                     std::to_string(made.trials) + "); at least 3 are needed"};

  std::vector<td::shared> both;
  std::vector<tuning_parameter> parameters;
  std::vector<std::pair<std::string, std::string>> fixed;  // a name, its value
  std::string ours;
  bool any = false;
  for (std::size_t i = 0; i < space.parameters().size(); ++i) {
    const tuning_parameter& each = space.parameters()[i];
    if (each.name == "sizeof_T") continue;  // no tunable
    ours += (ours.empty() ? "" : ", ") + each.name;
    any = any || names.contains(each.name);
    const auto& theirs = values[each.name];
    if (each.values.size() == 1) {
      const std::string only = td::key_of(each.values.front());
      if (theirs.contains(only)) fixed.emplace_back(each.name, only);
    }
    auto matched = td::match(each, i, theirs);
    if (!matched) continue;
    made.parameters.push_back(each.name);
    parameters.push_back({each.name, matched->values});
    both.push_back(std::move(*matched));
  }
  if (both.empty()) {
    std::string theirs;
    for (const std::string& each : names)
      theirs += (theirs.empty() ? "" : ", ") + each;
    return fault{reason::bad_input,
                 any ? "no parameter has several values of one kind both here "
                       "and in the earlier tuning, so it tells nothing"
                     : "the earlier tuning has none of the parameters here (" +
                           ours + "); its own are " + theirs};
  }
  for (tuning_parameter& each : parameters)
    for (tuning_value& value : each.values)  // of one kind
      if (const auto number = number_of(value)) value = *number;

  auto wide = tuning_space::build(std::move(parameters), {});
  if (!wide) return wide.error();
  auto known = std::make_shared<td::model>(std::move(wide).value(), std::move(both));

  // Sums of logarithms by index of the space of both.
  struct sums {
    double sum = 0, count = 0;
  };
  std::map<std::uint64_t, sums> all;
  for (const earlier_tuning& each : earlier) {
    std::map<std::uint64_t, double> best;
    for (const earlier_trial& one : each.trials) {
      if (!one.cost || !std::isfinite(*one.cost)) continue;
      bool here = true;
      for (const auto& [name, only] : fixed) {
        const tuning_value* const it = td::find(one.at, name);
        here = here && (it == nullptr || td::key_of(*it) == only);
      }
      tuning_point at;
      for (const td::shared& by : known->parameters) {
        const tuning_value* const it =
            td::find(one.at, space.parameters()[by.parameter].name);
        here = here && it != nullptr;
        if (here) at.push_back(by.theirs.at(td::key_of(*it)));
      }
      if (!here) continue;
      const double cost = std::log(std::max(1e-300, *one.cost));
      const auto [place, fresh] =
          best.emplace(*known->space.index_of(at), cost);
      if (!fresh) place->second = std::min(place->second, cost);
    }
    double mean = 0;
    for (const auto& [index, cost] : best)
      mean += cost / static_cast<double>(best.size());
    for (const auto& [index, cost] : best) {
      all[index].sum += cost - mean;
      all[index].count += 1;
    }
  }
  std::vector<std::pair<double, std::uint64_t>> order;
  for (const auto& [index, of] : all)
    order.emplace_back(of.sum / of.count, index);
  std::sort(order.begin(), order.end());
  if (order.size() < 3)
    return fault{reason::bad_input,
                 "of the earlier tuning's trials too few (" +
                     std::to_string(order.size()) +
                     ") differ in parameters that this space has too; at least "
                     "3 are needed"};
  if (order.size() > td::most_transferred) {
    const std::size_t half = td::most_transferred / 2;
    const double step = static_cast<double>(order.size() - half) /
                        static_cast<double>(td::most_transferred - half);
    for (std::size_t i = half; i < td::most_transferred; ++i)
      order[i] = order[half + static_cast<std::size_t>(
                                  step * static_cast<double>(i - half))];
    order.resize(td::most_transferred);
  }
  for (const auto& [cost, index] : order) {
    known->memory.learn(index, std::exp(cost));
    known->costs.learn(index, std::exp(cost));
  }
  known->costs.settle();
  made.estimate = [known, &space](std::uint64_t index) -> std::optional<double> {
    const tuning_point at = space.at(index);
    tuning_point there;
    for (const td::shared& by : known->parameters)
      there.push_back(by.ours[at[by.parameter]]);
    return std::exp(known->costs.expected(*known->space.index_of(there)));
  };
  return made;
}

}  // namespace skillbench
