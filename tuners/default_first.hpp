#pragma once
// default_first.hpp: another strategy, after one configuration that is tried first.
//
// Layer   5. strategy.hpp has the units. The inner strategy learns what the first
//         one came to like anything that it proposed itself.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <skillbench/tuners/strategy.hpp>

namespace skillbench {

class default_first final : public strategy {
 public:
  default_first(std::optional<std::uint64_t> first,
                std::unique_ptr<strategy> inner)
      : first_(first), inner_(std::move(inner)) {}

  [[nodiscard]] std::vector<std::uint64_t> propose(std::size_t most) override {
    std::vector<std::uint64_t> made;
    if (first_ && !proposed_ && most > 0) {
      proposed_ = true;
      made.push_back(*first_);
    }
    // An order that is fixed beforehand names the first one once more.
    while (made.size() < most) {
      const auto next = inner_->propose(most - made.size());
      if (next.empty()) break;
      for (const std::uint64_t each : next)
        if (!first_ || each != *first_) made.push_back(each);
    }
    return made;
  }
  void learn(std::uint64_t index, std::optional<double> cost) override {
    inner_->learn(index, cost);
  }

 private:
  std::optional<std::uint64_t> first_;
  std::unique_ptr<strategy> inner_;
  bool proposed_ = false;
};

}  // namespace skillbench
