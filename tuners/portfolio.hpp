#pragma once
// portfolio.hpp: several ways to use one model, in turn. The default.
//
// Layer   5. strategy.hpp has the units, cost_model.hpp the model.
// How     after a few trials far from each other three ways take turns: the
//         improvement of the cost's logarithm, which knows the whole space;
//         that of the share of the best, which looks harder where the best are;
//         and, every fourth time, the better of these among the neighbours of
//         the best alone, since a model that is wrong elsewhere may be right
//         about them.
// Choices four trials and every fourth time were compared on four recorded spaces,
//         where others nearby do as well (bench/tuning.cpp); made-up spaces saw
//         the rest of it, without the turns among neighbours.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <skillbench/tuners/cost_model.hpp>
#include <skillbench/tuners/strategy.hpp>

namespace skillbench {

class portfolio final : public strategy {
 public:
  static constexpr std::size_t spread_out = 4;   // trials before the model
  static constexpr std::uint64_t near_every = 4;

  portfolio(const tuning_space& space, std::uint64_t seed, prior before = {})
      : memory_(space, seed), model_(memory_, std::move(before)) {}
  portfolio(const portfolio&) = delete;
  portfolio& operator=(const portfolio&) = delete;

  [[nodiscard]] std::vector<std::uint64_t> propose(std::size_t most) override {
    return memory_.propose_each(most, [&](const auto& pending) {
      if (memory_.count() < spread_out) {
        // The prior's best in turn with the others, which are also there to
        // find out whether it can be believed.
        if (memory_.count() % 2 == 0)
          if (const auto thought = model_.best_thought_of()) return thought;
        return model_.spread(pending);
      }
      const auto scale =
          turn_ % 2 == 0 ? cost_scale::logarithm : cost_scale::share;
      const bool near = turn_ % near_every == near_every - 1;
      ++turn_;
      auto next = model_.improve(scale, pending, near);
      if (!next && near) next = model_.improve(scale, pending);
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
