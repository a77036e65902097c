#pragma once
// exhaustive.hpp: every configuration there is.
//
// Layer   5. strategy.hpp has the units.
// Order   the default first, which is judged and timed anyway, then by index.

#include <cstdint>
#include <optional>
#include <vector>

#include <skillbench/tuners/strategy.hpp>

namespace skillbench {

class exhaustive final : public strategy {
 public:
  explicit exhaustive(const tuning_space& space)
      : size_(space.size()), first_(space.index_of(space.first()).value_or(0)) {}

  [[nodiscard]] std::vector<std::uint64_t> propose(std::size_t most) override {
    std::vector<std::uint64_t> made;
    for (; turn_ < size_ && made.size() < most; ++turn_)
      made.push_back(turn_ == 0 ? first_ : turn_ <= first_ ? turn_ - 1 : turn_);
    return made;
  }
  void learn(std::uint64_t, std::optional<double>) override {}

 private:
  std::uint64_t size_, first_, turn_ = 0;
};

}  // namespace skillbench
