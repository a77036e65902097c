#pragma once
// surrogate.hpp: a model of what was tried says what to try next.
//
// Layer   5. strategy.hpp has the units, cost_model.hpp the model.
// How     some trials far from each other, then always the candidate with the
//         highest expected improvement of the cost's logarithm.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <skillbench/tuners/cost_model.hpp>
#include <skillbench/tuners/strategy.hpp>

namespace skillbench {

class surrogate final : public strategy {
 public:
  static constexpr std::size_t spread_out = 8;  // trials before the model

  surrogate(const tuning_space& space, std::uint64_t seed, prior before = {})
      : memory_(space, seed), model_(memory_, std::move(before)) {}
  surrogate(const surrogate&) = delete;
  surrogate& operator=(const surrogate&) = delete;

  [[nodiscard]] std::vector<std::uint64_t> propose(std::size_t most) override {
    return memory_.propose_each(most, [&](const auto& pending) {
      std::optional<std::uint64_t> next;
      if (memory_.count() < spread_out && memory_.count() % 2 == 0)
        next = model_.best_thought_of();
      if (!next && memory_.count() < spread_out) next = model_.spread(pending);
      if (!next) next = model_.improve(cost_scale::logarithm, pending);
      return next ? next : model_.spread(pending);
    });
  }

  void learn(std::uint64_t index, std::optional<double> cost) override {
    memory_.learn(index, cost);
    model_.learn(index, memory_.history().back().cost);
  }

 private:
  search_memory memory_;
  cost_model model_;
};

}  // namespace skillbench
