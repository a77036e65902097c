#pragma once
// tune.hpp: the best configuration of anything that has a cost.
//
// Layer   6. Includes every strategy; tuners/search.hpp has the limits.
// Units   a cost is the caller's own unit, less is better.
// Errors  bad_argument for an unknown strategy or a limit that makes no sense;
//         what the objective's own fault says, when it gives a result; what
//         tuners/transfer.hpp says of earlier trials that tell nothing.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/tuners/search.hpp>
#include <skillbench/tuners/strategies.hpp>
#include <skillbench/tuners/transfer.hpp>
#include <skillbench/tuning_space.hpp>

namespace skillbench {

// One configuration, its values by name.
class configuration {
 public:
  configuration(const tuning_space& space, tuning_point at)
      : space_(&space), at_(std::move(at)) {}

  // Null for a name that the space does not have.
  [[nodiscard]] const tuning_value* find(std::string_view name) const {
    const auto& all = space_->parameters();
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i].name == name) return &all[i].values[at_[i]];
    return nullptr;
  }
  // 0 for a name that the space does not have, and for a string.
  [[nodiscard]] double number(std::string_view name) const {
    const tuning_value* const found = find(name);
    return found == nullptr ? 0 : number_of(*found).value_or(0);
  }
  [[nodiscard]] std::int64_t integer(std::string_view name) const {
    return static_cast<std::int64_t>(number(name));
  }
  [[nodiscard]] std::string text(std::string_view name) const {
    const tuning_value* const found = find(name);
    return found == nullptr ? "" : text_of(*found);
  }
  // "block=128 layout=row"
  [[nodiscard]] std::string words() const {
    std::string made;
    for (std::size_t i = 0; i < at_.size(); ++i)
      made += (made.empty() ? "" : " ") + space_->parameters()[i].name + "=" +
              text_of(space_->parameters()[i].values[at_[i]]);
    return made;
  }
  [[nodiscard]] const tuning_point& point() const { return at_; }

 private:
  const tuning_space* space_;
  tuning_point at_;
};

struct tune_options {
  search_limits limits;
  std::uint64_t seed = 1;
  std::string strategy{default_strategy};
  // What is thought beforehand, for a strategy that listens (takes_prior): an
  // estimate of any configuration, or else trials of a related space.
  prior before = {};
  std::vector<earlier_tuning> earlier = {};
};

struct configuration_trial {
  configuration at;
  std::optional<double> cost;
};

struct tuned {
  std::vector<configuration_trial> trials;  // in their order
  std::optional<std::size_t> best;          // of `trials`; none: all failed
  search_end ended = search_end::trials;
};

// A space from names, values and constraints as Python writes them.
[[nodiscard]] inline result<tuning_space> make_space(
    std::vector<tuning_parameter> parameters,
    const std::vector<std::string>& constraints = {}) {
  std::vector<condition> all;
  for (const std::string& each : constraints) {
    auto made = condition::parse(each, condition::style::python);
    if (!made) return made.error();
    all.push_back(std::move(made).value());
  }
  return tuning_space::build(std::move(parameters), std::move(all));
}

// A prior from `of(const configuration&)`, which gives a cost in any unit or
// nothing. The space must outlive it.
template <typename Estimate>
[[nodiscard]] prior make_prior(const tuning_space& space, Estimate of) {
  return [&space, of = std::move(of)](std::uint64_t index) {
    return std::optional<double>(of(configuration(space, space.at(index))));
  };
}

// `of(const configuration&)` gives a double, an optional one (nothing: it
// cannot be had), or a result of either, whose fault ends the search. The space
// must outlive what comes back.
template <typename Objective>
[[nodiscard]] result<tuned> tune(const tuning_space& space,
                                 Objective&& of,
                                 const tune_options& how = {}) {
  prior before = how.before;
  if (!before && !how.earlier.empty()) {
    auto told = transfer(space, how.earlier);
    if (!told) return told.error();
    before = std::move(told.value().estimate);
  }
  auto by = make_strategy(how.strategy, space, how.seed, std::move(before));
  if (!by) return by.error();
  const auto ask = [&](std::uint64_t index) -> result<std::optional<double>> {
    using given = std::decay_t<decltype(of(
        std::declval<const configuration&>()))>;
    const configuration at(space, space.at(index));
    if constexpr (std::is_convertible_v<given, std::optional<double>>) {
      return std::optional<double>(of(at));
    } else {
      auto told = of(at);
      if (!told) return told.error();
      return std::optional<double>(std::move(told).value());
    }
  };
  auto found = search(space, *by.value(), ask, how.limits);
  if (!found) return found.error();
  tuned made;
  made.best = found.value().best;
  made.ended = found.value().ended;
  for (const tried& each : found.value().trials)
    made.trials.push_back({{space, space.at(each.index)}, each.cost});
  return made;
}

}  // namespace skillbench
