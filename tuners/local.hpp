#pragma once
// local.hpp: downhill from one neighbour to the next, and again from elsewhere.
//
// Layer   5. strategy.hpp has the units.
// How     the neighbours of where the search stands are tried in a random
//         order; the first that is better is the next place. Where none is
//         better it starts anew, at random.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <skillbench/tuners/strategy.hpp>

namespace skillbench {

class local final : public strategy {
 public:
  local(const tuning_space& space, std::uint64_t seed) : memory_(space, seed) {}

  [[nodiscard]] std::vector<std::uint64_t> propose(std::size_t most) override {
    std::vector<std::uint64_t> made;
    while (made.size() < most) {
      std::optional<std::uint64_t> next;
      while (!open_.empty() && !next) {
        if (!memory_.proposed(open_.back())) next = open_.back();
        open_.pop_back();
      }
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
    if (!told.cost || (here_ && *told.cost >= *here_)) return;
    here_ = told.cost;
    open_ = memory_.space().neighbours(memory_.space().at(index));
    for (std::size_t i = open_.size(); i-- > 1;)
      std::swap(open_[i],
                open_[static_cast<std::size_t>(memory_.random().below(i + 1))]);
  }

 private:
  search_memory memory_;
  std::optional<double> here_;       // the cost of where it stands
  std::vector<std::uint64_t> open_;  // neighbours still to be tried
};

}  // namespace skillbench
