#pragma once
// oracle.hpp: normalisation by the root mean square, in double.
//
// Layer   2. Includes family.hpp and the standard library.
// Shapes  x and y are [rows, cols]; weight is [cols].
// Source  y = x / sqrt(mean(x^2) + eps) * weight: prompt.md.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <skillbench/family.hpp>

namespace skillbench::rmsnorm {

namespace detail {

// The sum of squares, by `Lanes` partial sums: what lets a compiler keep
// vectors of them, and what the threads of a kernel would have.
template <int Lanes, typename Number>
[[nodiscard]] inline Number squares(const Number* x, std::size_t cols) {
  Number part[Lanes] = {};
  const std::size_t whole = cols - cols % Lanes;
  for (std::size_t c = 0; c < whole; c += Lanes)
    for (std::size_t i = 0; i < Lanes; ++i) part[i] += x[c + i] * x[c + i];
  for (std::size_t c = whole; c < cols; ++c) part[c - whole] += x[c] * x[c];
  for (int step = Lanes / 2; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) part[i] += part[i + step];
  return part[0];
}

}  // namespace detail

// Nothing cancels here: squares are positive, so every relative rounding error
// moves y by its own size. The sum of `cols` squares, by lanes or as a tree, is
// off by a multiple of 2^-24 that grows no faster than sqrt(cols)/4.
inline void reference(const case_inputs& given, std::string_view,
                      reference_rows out) {
  const auto cols = static_cast<std::size_t>(out.width);
  const double eps = given.real("eps");
  const double spread = 2.0 + std::sqrt(static_cast<double>(cols)) / 4.0;

  std::vector<double> x(cols), weight(cols);
  given.read("weight", 0, weight);
  std::vector<float> fx(cols), fweight(weight.begin(), weight.end());

  for (std::int64_t row = 0; row < out.rows; ++row) {
    given.read("x", (out.first + row) * out.width, x);
    const auto at = static_cast<std::size_t>(row) * cols;
    double* expected = out.expected.data() + at;
    double* yardstick = out.yardstick.data() + at;
    double* condition = out.condition.data() + at;

    const double mean = detail::squares<16>(x.data(), cols) /
                        static_cast<double>(cols);
    const double scale = 1.0 / std::sqrt(mean + eps);
    for (std::size_t c = 0; c < cols; ++c) {
      expected[c] = x[c] * scale * weight[c];
      condition[c] = spread * std::abs(expected[c]);
    }

    // An honest kernel: one block of 128 threads a row, sums in float.
    for (std::size_t c = 0; c < cols; ++c) fx[c] = static_cast<float>(x[c]);
    const float fscale =
        1.0f / std::sqrt(detail::squares<128>(fx.data(), cols) /
                             static_cast<float>(cols) +
                         static_cast<float>(eps));
    for (std::size_t c = 0; c < cols; ++c)
      yardstick[c] = static_cast<double>(fx[c] * fscale * fweight[c]);
    for (std::size_t c = 0; c < cols; ++c)
      yardstick[c] = rounded(given.type, yardstick[c]);
  }
}

}  // namespace skillbench::rmsnorm
