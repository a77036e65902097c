#pragma once
// oracle.hpp: the gated activation GEGLU, in double.
//
// Layer   2. Includes family.hpp and the standard library.
// Shapes  x is [rows, 2 * cols]: values, then gates; y is [rows, cols].
// Source  y = x * g/2 * (1 + erf(g / sqrt(2))): prompt.md. In double the sum is
//         taken as erfc(-g / sqrt(2)), which loses nothing where it cancels.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <skillbench/family.hpp>

namespace skillbench::geglu {

inline void reference(const case_inputs& given, std::string_view,
                      reference_rows out) {
  constexpr double root_half = 0.70710678118654752440;
  const auto cols = static_cast<std::size_t>(out.width);
  std::vector<double> both(2 * cols);

  for (std::int64_t row = 0; row < out.rows; ++row) {
    given.read("x", (out.first + row) * 2 * out.width, both);
    const double* x = both.data();
    const double* gate = x + cols;
    const auto at = static_cast<std::size_t>(row) * cols;
    double* expected = out.expected.data() + at;
    double* yardstick = out.yardstick.data() + at;
    double* condition = out.condition.data() + at;

    // 1 + erf is between 0 and 2 and is made of terms of size 1 and |erf|: one
    // rounding error of either moves it by that much, however small it is. A
    // kernel that writes the formula down as it stands is right.
    for (std::size_t c = 0; c < cols; ++c) {
      const double cut = std::erfc(-gate[c] * root_half);  // 1 + erf
      const double half = 0.5 * x[c] * gate[c];
      expected[c] = half * cut;
      condition[c] = std::abs(half) * (1.0 + std::abs(cut - 1.0));
    }
    for (std::size_t c = 0; c < cols; ++c) {
      const auto value = static_cast<float>(x[c]);
      const auto g = static_cast<float>(gate[c]);
      const float gelu =
          0.5f * g * (1.0f + std::erf(g * static_cast<float>(root_half)));
      yardstick[c] = static_cast<double>(value * gelu);
    }
    for (std::size_t c = 0; c < cols; ++c)
      yardstick[c] = rounded(given.type, yardstick[c]);
  }
}

}  // namespace skillbench::geglu
