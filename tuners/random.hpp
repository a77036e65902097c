#pragma once
// random.hpp: configurations in an order drawn from a seed, none twice.
//
// Layer   5. strategy.hpp has the units.
// Order   a permutation of all indices that is computed and not kept: memory
//         does not grow with the space, and a search without limits tries what
//         an exhaustive one tries.
// Source  A Feistel network of four rounds is a permutation of the numbers of
//         2k bits whatever its rounds compute; following it until it comes back
//         into the range (cycle walking) makes it one of any range: Black and
//         Rogaway, Ciphers with arbitrary finite domains, 2002.

#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include <skillbench/inputs.hpp>
#include <skillbench/tuners/strategy.hpp>

namespace skillbench {

// The numbers 0 .. size - 1 in another order. Not for secrets.
class permutation {
 public:
  // `size` is at least 1 and at most 2^62.
  permutation(std::int64_t size, std::uint64_t seed)
      : size_(static_cast<std::uint64_t>(size)), seed_(seed) {
    const int bits = static_cast<int>(std::bit_width(size_ - 1));
    half_ = bits < 2 ? 1 : (bits + 1) / 2;
  }

  // `index` is at least 0 and below the size. The network permutes at
  // most 4 * size numbers, so a walk takes four turns on average at most.
  [[nodiscard]] std::int64_t operator()(std::int64_t index) const {
    auto value = static_cast<std::uint64_t>(index);
    do {
      value = once(value);
    } while (value >= size_);
    return static_cast<std::int64_t>(value);
  }

 private:
  [[nodiscard]] std::uint64_t once(std::uint64_t value) const {
    const std::uint64_t mask = (std::uint64_t{1} << half_) - 1;
    std::uint64_t left = value >> half_, right = value & mask;
    for (std::uint64_t round = 0; round < 4; ++round) {
      const std::uint64_t mixed = mix(mix(seed_, round), right) & mask;
      const std::uint64_t next = left ^ mixed;
      left = right;
      right = next;
    }
    return left << half_ | right;
  }

  std::uint64_t size_, seed_;
  int half_ = 1;
};

class random_order final : public strategy {
 public:
  random_order(const tuning_space& space, std::uint64_t seed)
      : order_(static_cast<std::int64_t>(space.size()), seed),
        size_(space.size()) {}

  [[nodiscard]] std::vector<std::uint64_t> propose(std::size_t most) override {
    std::vector<std::uint64_t> made;
    for (; turn_ < size_ && made.size() < most; ++turn_)
      made.push_back(static_cast<std::uint64_t>(
          order_(static_cast<std::int64_t>(turn_))));
    return made;
  }
  void learn(std::uint64_t, std::optional<double>) override {}

 private:
  permutation order_;
  std::uint64_t size_, turn_ = 0;
};

}  // namespace skillbench
