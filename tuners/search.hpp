#pragma once
// search.hpp: the settings that a manifest allows, and what trying some came to.
//
// Layer   5. Includes compile.hpp's names and the standard library. Knows no
//         device: what a setting costs is the caller's function to say.
// Units   a cost is the caller's own unit, less is better; seconds, say.
// Shapes  settings have an index: the first tunable changes slowest, the last
//         fastest, each in its own order, whether they fit the constraints or
//         not.
// Errors  bad_argument for a limit below 1; bad_input for a tunable without
//         values, a constraint that cannot be evaluated, or more than 2^62
//         combinations. A fault of the objective ends the search: trouble of
//         ours. A setting that cannot be had (it does not compile, say) is a
//         trial without a cost.
// Order   nothing is kept of settings that were not tried.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/compile.hpp>
#include <skillbench/expression.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/manifest.hpp>
#include <skillbench/units.hpp>

namespace skillbench {

// What one setting costs; nothing if it cannot be had, which is no fault.
using objective =
    std::function<result<std::optional<double>>(const setting&)>;

struct trial {
  setting tried;
  std::optional<double> cost;
};

struct search_limits {
  std::int64_t trials = 100;           // settings that are tried
  std::int64_t looked_at = 1'000'000;  // settings held to the constraints
};

// What a search came to, in the order of the trials.
struct searched {
  std::vector<trial> trials;
  std::optional<std::size_t> best;  // of `trials`: the first of least cost
  std::int64_t looked_at = 0;       // settings held to the constraints
  bool complete = false;            // every setting that fits was tried
};

// Every combination of a manifest's tunables. The manifest must outlive it.
class tuning_space {
 public:
  [[nodiscard]] static result<tuning_space> of(const manifest& asked,
                                               element type) {
    constexpr std::int64_t most = std::int64_t{1} << 62;
    tuning_space made(asked, type);
    for (const tunable& each : asked.tune) {
      const auto values = static_cast<std::int64_t>(each.values.size());
      if (values == 0)
        return fault{reason::bad_input,
                     "the tunable `" + each.name + "` has no values"};
      if (made.size_ > most / values)
        return fault{reason::bad_input,
                     "the tunables have more than 2^62 combinations"};
      made.size_ *= values;
    }
    return made;
  }

  // Combinations, those included that the constraints exclude; without
  // tunables there is one, the empty setting.
  [[nodiscard]] std::int64_t size() const noexcept { return size_; }

  // `index` is at least 0 and below size().
  [[nodiscard]] setting at(std::int64_t index) const {
    setting made(asked_->tune.size());
    for (std::size_t i = made.size(); i-- > 0;) {
      const tunable& each = asked_->tune[i];
      const auto values = static_cast<std::int64_t>(each.values.size());
      made[i] = {each.name,
                 each.values[static_cast<std::size_t>(index % values)]};
      index /= values;
    }
    return made;
  }

  [[nodiscard]] result<bool> fits(const setting& chosen) const {
    const bindings known = names_of(chosen, type_);
    for (const expression& each : asked_->constraints) {
      const auto holds = each.evaluate(known);
      if (!holds)
        return fault{reason::bad_input, "the constraint `" + each.text() +
                                            "` cannot be evaluated: " +
                                            holds.error().what};
      if (holds.value() == 0) return false;
    }
    return true;
  }

 private:
  tuning_space(const manifest& asked, element type)
      : asked_(&asked), type_(type) {}

  const manifest* asked_;
  element type_;
  std::int64_t size_ = 1;
};

// Tries the settings that `index_of(0)`, `index_of(1)`, ... name, until a limit
// is reached or all `space.size()` were looked at. The story of every tuner
// here; they differ in the order.
template <typename Order>
[[nodiscard]] result<searched> search(const tuning_space& space,
                                      const objective& ask,
                                      const search_limits& limits,
                                      Order index_of) {
  if (limits.trials < 1 || limits.looked_at < 1)
    return fault{reason::bad_argument, "a search needs a limit above zero"};
  searched made;
  for (; made.looked_at < space.size(); ++made.looked_at) {
    if (made.looked_at == limits.looked_at ||
        static_cast<std::int64_t>(made.trials.size()) == limits.trials)
      return made;
    setting chosen = space.at(index_of(made.looked_at));
    const auto fits = space.fits(chosen);
    if (!fits) return fits.error();
    if (!fits.value()) continue;

    auto cost = ask(chosen);
    if (!cost) return cost.error();
    made.trials.push_back({std::move(chosen), cost.value()});
    // A NaN is below nothing, so it is never the best.
    const trial& last = made.trials.back();
    const bool usable = last.cost && !std::isnan(*last.cost);
    if (usable && (!made.best || *last.cost < *made.trials[*made.best].cost))
      made.best = made.trials.size() - 1;
  }
  made.complete = true;
  return made;
}

}  // namespace skillbench
