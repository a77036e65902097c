#pragma once
// oracle.hpp: layer normalisation over the last dimension, in double.
//
// Layer   2. Includes family.hpp and the standard library.
// Shapes  x and y are [rows, cols]; weight and bias are [cols].
// Source  y = (x - mean) / sqrt(var + eps) * weight + bias with the biased
//         variance: prompt.md. Two passes over sixteen partial sums each: over
//         16384 columns the sums are good to some 2^-45, so that nothing of a
//         float kernel's error is ours.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <skillbench/family.hpp>

namespace skillbench::layernorm {

namespace detail {

// The sum of `term(c)` over the columns. `Lanes` partial sums are what lets a
// compiler keep vectors of them; they also stand for the threads of a kernel.
template <int Lanes, typename Number, typename Term>
[[nodiscard]] inline Number sum(std::size_t cols, Term term) {
  Number part[Lanes] = {};
  const std::size_t whole = cols - cols % Lanes;
  for (std::size_t c = 0; c < whole; c += Lanes)
    for (std::size_t i = 0; i < Lanes; ++i) part[i] += term(c + i);
  for (std::size_t c = whole; c < cols; ++c) part[c - whole] += term(c);
  for (int step = Lanes / 2; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) part[i] += part[i + step];
  return part[0];
}

struct statistics {
  double mean = 0.0, rstd = 0.0, size = 0.0;  // size: mean of |x|
};

[[nodiscard]] inline statistics exact(const double* x, std::size_t cols,
                                      double eps) {
  const double n = static_cast<double>(cols);
  statistics of;
  of.mean = sum<16, double>(cols, [x](std::size_t c) { return x[c]; }) / n;
  of.size =
      sum<16, double>(cols, [x](std::size_t c) { return std::abs(x[c]); }) / n;
  const double mean = of.mean;
  const double squares = sum<16, double>(cols, [x, mean](std::size_t c) {
    return (x[c] - mean) * (x[c] - mean);
  });
  of.rstd = 1.0 / std::sqrt(squares / n + eps);
  return of;
}

}  // namespace detail

// What one relative rounding error can move:
//  - the mean by |x| on average, and so (x - mean) * rstd * weight by
//    mean|x| * rstd * |weight|: a mean that is large against the spread costs
//    digits that no float kernel has;
//  - the difference, the variance, its root and the products by their own size;
//  - the last sum by |bias|.
// The two statistics are sums of `cols` terms. By lanes or as a tree, in any
// order, a float sum is off by a small multiple of 2^-24 * sum|x| that grows no
// faster than sqrt(cols)/4; the 2 is for rows so short that one bad term counts.
inline void reference(const case_inputs& given, std::string_view,
                      reference_rows out) {
  const auto cols = static_cast<std::size_t>(out.width);
  const double eps = given.real("eps");
  const double spread = 2.0 + std::sqrt(static_cast<double>(cols)) / 4.0;

  std::vector<double> x(cols), weight(cols), bias(cols);
  given.read("weight", 0, weight);
  given.read("bias", 0, bias);
  std::vector<float> fx(cols), fweight(weight.begin(), weight.end()),
      fbias(bias.begin(), bias.end());

  for (std::int64_t row = 0; row < out.rows; ++row) {
    given.read("x", (out.first + row) * out.width, x);
    const auto at = static_cast<std::size_t>(row) * cols;
    double* expected = out.expected.data() + at;
    double* yardstick = out.yardstick.data() + at;
    double* condition = out.condition.data() + at;

    const detail::statistics of = detail::exact(x.data(), cols, eps);
    for (std::size_t c = 0; c < cols; ++c) {
      const double difference = x[c] - of.mean;
      const double scaled = of.rstd * weight[c];
      expected[c] = difference * scaled + bias[c];
      condition[c] =
          spread * (std::abs(difference) + of.size) * std::abs(scaled) +
          std::abs(bias[c]);
    }

    // An honest kernel: one block of 128 threads a row, two passes in float.
    const auto n = static_cast<float>(cols);
    for (std::size_t c = 0; c < cols; ++c) fx[c] = static_cast<float>(x[c]);
    const float* v = fx.data();
    const float mean = detail::sum<128, float>(
                           cols, [v](std::size_t c) { return v[c]; }) / n;
    const float variance =
        detail::sum<128, float>(cols, [v, mean](std::size_t c) {
          return (v[c] - mean) * (v[c] - mean);
        }) / n;
    const float rstd = 1.0f / std::sqrt(variance + static_cast<float>(eps));
    for (std::size_t c = 0; c < cols; ++c)
      yardstick[c] = static_cast<double>((v[c] - mean) * rstd * fweight[c] +
                                         fbias[c]);
    for (std::size_t c = 0; c < cols; ++c)
      yardstick[c] = rounded(given.type, yardstick[c]);
  }
}

}  // namespace skillbench::layernorm
