#pragma once
// genetic.hpp: children of good configurations, slightly changed.
//
// Layer   5. strategy.hpp has the units.
// How     the population is the best that were tried. A child takes each value
//         from one of two parents, each the better of two drawn ones, and each
//         value changes with the probability of one change a child. A child
//         that is not in the space, or known, is drawn again.
// Source  Goldberg, Genetic Algorithms in Search, Optimization and Machine
//         Learning, 1989: tournaments and uniform crossover.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <skillbench/tuners/strategy.hpp>

namespace skillbench {

class genetic final : public strategy {
 public:
  static constexpr std::size_t population = 16;

  genetic(const tuning_space& space, std::uint64_t seed)
      : memory_(space, seed) {}

  [[nodiscard]] std::vector<std::uint64_t> propose(std::size_t most) override {
    std::vector<std::uint64_t> made;
    while (made.size() < most) {
      const auto next = child();
      if (!next) break;
      memory_.propose(*next);
      made.push_back(*next);
    }
    return made;
  }

  void learn(std::uint64_t index, std::optional<double> cost) override {
    memory_.learn(index, cost);
    if (!memory_.history().back().cost) return;
    alive_.push_back(memory_.history().back());
    std::stable_sort(alive_.begin(), alive_.end(),
                     [](const tried& a, const tried& b) { return *a.cost < *b.cost; });
    if (alive_.size() > population) alive_.pop_back();
  }

 private:
  // The better of two that are drawn; they stand from the best to the worst.
  [[nodiscard]] const tried& parent() {
    const std::uint64_t a = memory_.random().below(alive_.size());
    const std::uint64_t b = memory_.random().below(alive_.size());
    return alive_[static_cast<std::size_t>(std::min(a, b))];
  }

  [[nodiscard]] std::optional<std::uint64_t> child() {
    if (memory_.count() < population || alive_.size() < 2)
      return memory_.fresh();
    const tuning_space& space = memory_.space();
    draws_of_seed& random = memory_.random();
    const std::size_t width = space.parameters().size();
    for (int turn = 0; turn < 100; ++turn) {
      tuning_point made = space.at(parent().index);
      const tuning_point other = space.at(parent().index);
      for (std::size_t i = 0; i < width; ++i) {
        if (random.below(2) == 1) made[i] = other[i];
        const std::size_t values = space.parameters()[i].values.size();
        if (random.below(width) == 0)
          made[i] = static_cast<std::uint16_t>(random.below(values));
      }
      const auto index = space.index_of(made);
      if (index && !memory_.proposed(*index)) return index;
    }
    return memory_.fresh();
  }

  search_memory memory_;
  std::vector<tried> alive_;
};

}  // namespace skillbench
