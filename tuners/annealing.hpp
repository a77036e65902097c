#pragma once
// annealing.hpp: a walk that takes steps for the worse, ever more rarely.
//
// Layer   5. strategy.hpp has the units.
// How     from where it stands the walk looks at a neighbour that is not known.
//         It goes there if that is better, and else with a probability that
//         falls with the loss and with the number of trials. A failed neighbour
//         is never gone to. Where all neighbours are known it starts anew, at
//         random.
// Source  Kirkpatrick, Gelatt, Vecchi, Optimization by Simulated Annealing,
//         Science 1983.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <skillbench/tuners/strategy.hpp>

namespace skillbench {

class annealing final : public strategy {
 public:
  annealing(const tuning_space& space, std::uint64_t seed)
      : memory_(space, seed) {}

  [[nodiscard]] std::vector<std::uint64_t> propose(std::size_t most) override {
    std::vector<std::uint64_t> made;
    while (made.size() < most) {
      auto next = step();
      if (!next) {
        here_.reset();
        next = memory_.fresh();
      }
      if (!next) break;
      memory_.propose(*next);
      made.push_back(*next);
    }
    return made;
  }

  void learn(std::uint64_t index, std::optional<double> cost) override {
    memory_.learn(index, cost);
    const tried& told = memory_.history().back();
    temperature_ *= 0.98;
    if (!told.cost) return;
    if (!here_ || *told.cost <= *here_->cost) {
      here_ = told;
      return;
    }
    // Half as fast again is a loss of 0.5, whatever the unit.
    const double loss = *here_->cost > 0 ? *told.cost / *here_->cost - 1 : 1;
    if (memory_.random().unit() < std::exp(-loss / temperature_)) here_ = told;
  }

 private:
  [[nodiscard]] std::optional<std::uint64_t> step() {
    if (!here_) return std::nullopt;
    std::vector<std::uint64_t> open;
    for (const std::uint64_t each :
         memory_.space().neighbours(memory_.space().at(here_->index)))
      if (!memory_.proposed(each)) open.push_back(each);
    if (open.empty()) return std::nullopt;
    return open[static_cast<std::size_t>(memory_.random().below(open.size()))];
  }

  search_memory memory_;
  std::optional<tried> here_;
  double temperature_ = 0.5;
};

}  // namespace skillbench
