#pragma once
// draw.hpp: hidden cases, drawn from a seed, that no model can have seen.
//
// Layer   2. Includes family.hpp and inputs.hpp.
// Shapes  each case draws its sizes in one of the ways that kernels trip over:
//         a power of two and its neighbours (tiles), a prime (no tile divides
//         it), one size as large and the others as small as they go (aspect),
//         or anywhere in the range. Then the largest free size is halved until
//         the outputs fit the family's bound.
// Errors  reason::bad_input when a shape cannot be evaluated or no size fits.
// The same family and seed give the same cases, on every machine.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/inputs.hpp>

namespace skillbench {

namespace drawing {

// Numbers from a seed, one after the other.
class dice {
 public:
  explicit dice(std::uint64_t seed) : seed_(seed) {}
  // 0 to n - 1; the bias of the remainder is below 2^-32 for what is drawn here.
  [[nodiscard]] std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(mix(seed_, ++turn_) % static_cast<std::uint64_t>(std::max<std::int64_t>(n, 1)));
  }
  template <typename T>
  [[nodiscard]] const T& one_of(const std::vector<T>& all) {
    return all[static_cast<std::size_t>(below(static_cast<std::int64_t>(all.size())))];
  }

 private:
  std::uint64_t seed_, turn_ = 0;
};

[[nodiscard]] inline bool is_prime(std::int64_t n) {
  if (n < 2) return false;
  for (std::int64_t d = 2; d * d <= n; ++d)
    if (n % d == 0) return false;
  return true;
}

// Uniform in the logarithm: every power of two is as likely as the next.
[[nodiscard]] inline std::int64_t anywhere(dice& roll, std::int64_t least, std::int64_t most) {
  int low = 0, high = 0;
  while ((least >> (low + 1)) > 0) ++low;
  while ((most >> (high + 1)) > 0) ++high;
  const std::int64_t exponent = low + roll.below(high - low + 1);
  const std::int64_t value = (std::int64_t{1} << exponent) + roll.below(std::int64_t{1} << exponent);
  return std::clamp(value, least, most);
}

enum class way : std::uint8_t { tile, prime, aspect, any };

[[nodiscard]] inline std::int64_t size(dice& roll, way how, bool large, std::int64_t least, std::int64_t most) {
  switch (how) {
    case way::tile: return std::clamp((std::int64_t{8} << roll.below(10)) + roll.below(3) - 1, least, most);
    case way::prime: {
      std::int64_t n = anywhere(roll, least, most);
      while (n > least && !is_prime(n)) --n;
      return n;
    }
    case way::aspect: return large ? most - roll.below(std::max<std::int64_t>(most / 8, 1)) : std::min(most, least + roll.below(3));
    case way::any: break;
  }
  return anywhere(roll, least, most);
}

[[nodiscard]] inline result<std::int64_t> output_elements(const family& of, const bindings& integers) {
  std::int64_t all = 0;
  for (const argument& each : of.arguments) {
    if (each.kind != argument::type::output) continue;
    std::int64_t n = 1;
    for (const expression& extent : each.shape) {
      const auto value = extent.evaluate(integers);
      if (!value) return value.error();
      if (value.value() < 0 || (value.value() > 0 && n > (std::int64_t{1} << 50) / value.value()))
        return fault{reason::bad_input, "the shape of `" + each.name + "` is negative or beyond 2^50 elements"};
      n *= value.value();
    }
    all += n;
  }
  return all;
}

template <typename T>
[[nodiscard]] const std::vector<T>* choices(const std::vector<std::pair<std::string, std::vector<T>>>& all, std::string_view name) {
  for (const auto& [key, values] : all)
    if (key == name && !values.empty()) return &values;
  return nullptr;
}

[[nodiscard]] inline result<test_case> one(const family& of, std::uint64_t seed, std::int64_t number) {
  dice roll(mix(mix(mix(seed, "hidden"), of.name), static_cast<std::uint64_t>(number)));
  const auto how = static_cast<way>(number % 4);
  std::vector<const argument*> free;
  for (const argument& each : of.arguments)
    if (each.kind == argument::type::integer && !choices(of.hidden.integers, each.name)) free.push_back(&each);
  const std::int64_t large = free.empty() ? 0 : (number / 4) % static_cast<std::int64_t>(free.size());

  bindings integers;
  for (const argument& each : of.arguments) {
    if (each.kind != argument::type::integer) continue;
    if (const auto* few = choices(of.hidden.integers, each.name)) {
      integers.emplace_back(each.name, roll.one_of(*few));
      continue;
    }
    const bool is_large = free[static_cast<std::size_t>(large)] == &each;
    integers.emplace_back(each.name, size(roll, how, is_large, each.least, each.most));
  }
  // Halving by way of an odd number keeps what tiles do not divide.
  for (;;) {
    const auto n = output_elements(of, integers);
    if (!n) return n.error();
    if (n.value() <= of.hidden.most_elements) break;
    std::pair<std::string, std::int64_t>* largest = nullptr;
    for (auto& each : integers)
      for (const argument* f : free)
        if (f->name == each.first && each.second > f->least && (!largest || each.second > largest->second)) largest = &each;
    if (!largest)
      return fault{reason::bad_input, "no sizes of family `" + of.name + "` keep the outputs of a hidden case within " + std::to_string(of.hidden.most_elements) + " elements"};
    const std::int64_t least = (*std::find_if(free.begin(), free.end(), [&](const argument* f) { return f->name == largest->first; }))->least;
    largest->second = std::max(least, largest->second % 2 ? (largest->second / 2) | 1 : largest->second / 2);
  }

  test_case made;
  made.name = "hidden_" + std::to_string(number);
  made.why = "drawn from the seed: ";
  static constexpr std::string_view ways[] = {"a tile and its neighbours", "primes", "extreme aspect", "anywhere in the range"};
  made.why += ways[static_cast<std::size_t>(how)];
  for (const auto& [name, value] : integers) made.name += "_" + name + "_" + std::to_string(value);
  made.integers = integers;
  for (const argument& each : of.arguments) {
    if (each.kind == argument::type::real)
      if (const auto* values = choices(of.hidden.reals, each.name)) made.reals.emplace_back(each.name, roll.one_of(*values));
    if (each.kind == argument::type::input)
      if (const auto* fills = choices(of.hidden.fills, each.name)) {
        const hidden_fill& picked = roll.one_of(*fills);
        fill filled = picked.filled;
        const auto row = picked.row.evaluate(integers);
        if (!row) return row.error();
        filled.row = row.value();
        made.fills.emplace_back(each.name, filled);
      }
  }
  return made;
}

}  // namespace drawing

// The hidden cases of a family for a seed; empty when it draws none.
[[nodiscard]] inline result<std::vector<test_case>> hidden_cases(const family& of, std::uint64_t seed) {
  std::vector<test_case> made;
  for (std::int64_t i = 0; i < of.hidden.count; ++i) {
    auto one = drawing::one(of, seed, i);
    if (!one) return one.error();
    made.push_back(std::move(one).value());
  }
  return made;
}

}  // namespace skillbench
