#pragma once
// portfolio.hpp: several ways to use one model, in turn. The default.
//
// Layer   5. strategy.hpp has the units, cost_model.hpp the model.
// How     after a few trials far from each other the ways take turns: the
//         improvement of the cost's logarithm, which knows the whole space, and
//         that of the share of the best, which looks harder where the best are.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <skillbench/tuners/cost_model.hpp>
#include <skillbench/tuners/strategy.hpp>

namespace skillbench {

class portfolio final : public strategy {
 public:
  std::size_t spread_out = 4;  // trials before the model
  int local_every = 0, mode = 9;

  portfolio(const tuning_space& space, std::uint64_t seed)
      : memory_(space, seed), model_(memory_) {}
  portfolio(const portfolio&) = delete;
  portfolio& operator=(const portfolio&) = delete;

  [[nodiscard]] std::vector<std::uint64_t> propose(std::size_t most) override {
    return memory_.propose_each(most, [&](const auto& pending) {
      std::optional<std::uint64_t> next;
      if (memory_.count() < spread_out) return model_.spread(pending);
      const auto scale = mode == 9 ? (turn_ % 2 == 0 ? cost_scale::logarithm : cost_scale::share) : mode == 0 ? cost_scale::logarithm : cost_scale::share;
      if (local_every > 0 && turn_ % local_every == local_every - 1)
        next = model_.improve(scale, pending, true);
      if (!next) next = model_.improve(scale, pending);
      ++turn_;
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
  std::uint64_t turn_ = 0;
};

}  // namespace skillbench
