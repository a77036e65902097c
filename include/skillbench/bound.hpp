#pragma once
// bound.hpp: how far an output element may be from the expected value.
//
// Layer   2. Includes family.hpp for reference_rows and tolerance.
// Shapes  all spans are flat over the same block of rows.
// Units   bounds carry the output's own unit; u = 2^-24, half a unit in the
//         last place of a float near 1.
// Errors  reason::bad_argument if spans differ in length or c is negative or
//         not finite. A condition that is negative or NaN gives a bound that
//         compare.hpp refuses as a fault.
//
// The bound of element i is
//
//   2 * max(e * s_i, ulp_i) + c * u * condition_i
//
//   ulp_i  distance between neighbours of the element type at expected_i
//   s_i    max(ulp_i, u * condition_i), the size of error that is natural for
//          this element
//   e      root mean square of |yardstick_j - expected_j| / s_j over the block:
//          how many natural errors the honest evaluation makes
//
// The block is what the caller hands in: check.hpp takes whole rows of a case,
// about 64K elements. Elements whose expected value, yardstick or condition is
// not finite take no part in e; where the expected value is not finite the
// bound is 0, since compare.hpp then looks at the kind alone.
//
// Why this lets right kernels pass, whatever their order of summation:
// - Storing the exact result costs ulp_i / 2 and every store does it. A kernel
//   that computes in float and stores 16 bits is off by ulp_i / 2 and a few
//   u * condition_i, so 2 * ulp_i leaves room for one more rounding of T.
// - A float kernel's own errors are a modest number of u * condition_i, the
//   number depending on the family and on nothing but the depth of its sums;
//   c is that number, chosen with a reason in family.json.
// - Where honest arithmetic must lose more than that (P of attention rounded
//   to T, 1 + erf near -1), the yardstick loses it too and e grows with it. The
//   mean square takes this from all elements alike, so that one lucky element
//   of the yardstick is no narrow gate and one unlucky one no wide gate.
// Why wrong kernels fail: everything that grows in the bound is an error of
// rounding. A value that is zero, copied, or off by a missing eps is off by a
// share of the value itself, thousands of ulps of float and over two of 16-bit
// types; the square of a mean of 100 to 1000 costs the one-pass variance
// mean^2 / var times u of the value where the condition has only mean / sd;
// 16-bit accumulation loses u of the short type, 2^13 u or 2^16 u, times the
// root of the number of terms; tanh for erf is off by 3e-4, or by a tenth of
// the value at g = -3. What a 16-bit type cannot show, it cannot be failed
// for: one-pass variance at mean 100 differs by less than an ulp of bfloat16,
// and is caught by the same case in float.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/units.hpp>

namespace skillbench {

inline constexpr double float_unit = 0x1p-24;  // u

// e of the block, see above; 0 when no element takes part.
[[nodiscard]] inline double yardstick_error(const reference_rows& told,
                                            element type) noexcept {
  const ulp_of step_at(type);
  double squares = 0.0;
  std::size_t counted = 0;
  for (std::size_t i = 0; i < told.expected.size(); ++i) {
    const double natural = std::max(step_at(told.expected[i]),
                                    float_unit * told.condition[i]);
    const double share =
        (told.yardstick[i] - told.expected[i]) / natural;
    if (!(std::abs(share) <= 0x1p500) ||
        !(told.condition[i] <= 0x1p1000))
      continue;  // not finite somewhere
    squares += share * share;
    ++counted;
  }
  return counted == 0 ? 0.0
                      : std::sqrt(squares / static_cast<double>(counted));
}

// Writes the bound of every element; returns e.
[[nodiscard]] inline result<double> make_bounds(const reference_rows& told,
                                                const tolerance& allowed,
                                                element type,
                                                std::span<double> bound) {
  const std::size_t count = told.expected.size();
  if (told.yardstick.size() != count || told.condition.size() != count ||
      bound.size() != count)
    return fault{reason::bad_argument,
                 "expected, yardstick, condition and bound differ in length"};
  if (!(allowed.c >= 0.0 && std::isfinite(allowed.c)))
    return fault{reason::bad_argument,
                 "the factor c of a tolerance is negative or not finite"};

  const double e = yardstick_error(told, type);
  const ulp_of step_at(type);
  for (std::size_t i = 0; i < count; ++i) {
    const double step = step_at(told.expected[i]);
    const double movable = float_unit * told.condition[i];
    const double usual = e * std::max(step, movable);
    bound[i] = std::isfinite(told.expected[i])
                   ? 2.0 * std::max(usual, step) + allowed.c * movable
                   : 0.0;
  }
  return e;
}

}  // namespace skillbench
