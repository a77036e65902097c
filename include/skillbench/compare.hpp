#pragma once
// compare.hpp: does a kernel's output agree with the reference?
//
// Layer   2. Includes fault.hpp, units.hpp and the standard library.
// Shapes  `expected`, `actual` and `bound` are flat, row-major, of equal length.
// Units   values and bounds carry the output's own unit; a share is
//         |actual - expected| / bound, 1 at the edge of what is accepted.
// Errors  reason::bad_argument if the lengths differ or a bound that is needed
//         is negative, infinite or NaN: a broken reference, not a wrong kernel.
//         A wrong answer is no error: see `wrong`.
// Source  IEEE 754-2019, clause 5.11: every ordered comparison with a NaN is
//         false. So nothing here is rejected by `difference > bound`; a value
//         is accepted by `difference <= bound`, or it is wrong.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include <skillbench/fault.hpp>
#include <skillbench/units.hpp>

#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error "compare.hpp needs NaN and infinity: build without -ffast-math"
#endif

namespace skillbench {

struct agreement {
  std::uint64_t compared = 0;               // elements looked at
  std::uint64_t wrong = 0;                  // elements that did not match
  std::optional<std::int64_t> first_wrong;  // flat index of the earliest one
  double worst_share = 0.0;                 // largest finite share

  // An empty comparison has shown nothing, so it does not agree.
  [[nodiscard]] constexpr bool agrees() const noexcept {
    return compared > 0 && wrong == 0;
  }

  // Takes in the next part of the same tensor, which starts at element `first`.
  constexpr void add(const agreement& next, std::int64_t first) noexcept {
    compared += next.compared;
    wrong += next.wrong;
    if (!first_wrong && next.first_wrong) first_wrong = first + *next.first_wrong;
    worst_share = std::max(worst_share, next.worst_share);
  }
};

// Accepts one element. An expected value that is not finite must be met in
// kind: it would otherwise stretch every difference to NaN or infinity. Where
// the bound reaches beyond the largest finite value of the type, rounding may
// go to either side of it: then infinity of that sign is as good as a value
// within the bound of the largest one.
[[nodiscard]] inline bool matches(double expected, double actual, double bound,
                                  element type) noexcept {
  if (std::isnan(expected)) return std::isnan(actual);
  if (std::isinf(expected)) return actual == expected;
  const double most = largest(type);
  if (std::isinf(actual))
    return actual > 0 ? expected + bound > most : expected - bound < -most;
  return std::abs(actual - std::clamp(expected, -most, most)) <= bound;
}

namespace compare_block {

inline constexpr std::size_t width = 8;

// Whether `width` elements are all finite, with usable bounds, and within them;
// then `worst` takes their shares, a lane each. The usual case of a right
// kernel: without branches, so that it stays in vector registers, and without a
// division where no share is the largest so far.
[[nodiscard]] inline bool agree(const double* expected, const double* actual,
                                const double* bound, double most,
                                double* worst) noexcept {
  constexpr double huge = std::numeric_limits<double>::max();
  std::int64_t good[width], larger[width];
  double gaps[width];
  for (std::size_t i = 0; i < width; ++i) {
    const double above = expected[i] < -most ? -most : expected[i];
    const double wanted = most < above ? most : above;
    const double gap = std::abs(actual[i] - wanted);
    good[i] = (std::abs(expected[i]) <= huge) & (bound[i] <= huge) &
              (bound[i] >= 0.0) & (gap <= bound[i]);
    larger[i] = gap > worst[i] * bound[i];
    gaps[i] = gap;
  }
  std::int64_t all = 1, any = 0;
  for (const std::int64_t each : good) all &= each;
  for (const std::int64_t each : larger) any |= each;
  if (all == 0 || any == 0) return all != 0;
  for (std::size_t i = 0; i < width; ++i) {
    const double share = gaps[i] / bound[i];  // 0 / 0 is NaN: not the largest
    worst[i] = (share > worst[i]) & (share <= huge) ? share : worst[i];
  }
  return true;
}

}  // namespace compare_block

// Compares two outputs element by element, in index order, in double. Walks the
// whole span even after a mismatch, so that `wrong` is a count and not a flag.
[[nodiscard]] inline result<agreement> compare(std::span<const double> expected,
                                               std::span<const double> actual,
                                               std::span<const double> bound,
                                               element type) {
  if (expected.size() != actual.size() || expected.size() != bound.size())
    return fault{reason::bad_argument,
                 "expected, actual and bound differ in length"};

  agreement seen;
  const double most = largest(type);
  constexpr std::size_t width = compare_block::width;
  double worst[width] = {};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    while (expected.size() - i >= width &&
           compare_block::agree(&expected[i], &actual[i], &bound[i], most,
                                worst))
      i += width;
    if (i == expected.size()) break;
    if (std::isfinite(expected[i])) {
      if (!(bound[i] >= 0.0 && bound[i] <= std::numeric_limits<double>::max()))
        return fault{reason::bad_argument,
                     "the bound of element " + std::to_string(i) +
                         " is negative or not finite"};
      const double gap =
          std::abs(actual[i] - std::clamp(expected[i], -most, most));
      const double share = gap / bound[i];  // 0 / 0 is NaN: not the largest
      if (share > seen.worst_share &&
          share <= std::numeric_limits<double>::max())
        seen.worst_share = share;
      if (gap <= bound[i]) continue;
    }
    if (matches(expected[i], actual[i], bound[i], type)) continue;
    ++seen.wrong;
    if (!seen.first_wrong) seen.first_wrong = static_cast<std::int64_t>(i);
  }
  seen.compared = expected.size();
  for (const double share : worst)
    seen.worst_share = std::max(seen.worst_share, share);
  return seen;
}

// Device bytes (little endian) -> doubles, exactly. Reads as many elements as
// `out` has and `bytes` holds; returns how many.
inline std::size_t decode(element type, std::span<const std::byte> bytes,
                          std::span<double> out) noexcept {
  const std::size_t count = std::min(out.size(), bytes.size() / size_of(type));
  const std::byte* from = bytes.data();
  switch (type) {
    case element::f32:
      for (std::size_t i = 0; i < count; ++i) {
        float value = 0;
        std::memcpy(&value, from + 4 * i, 4);
        out[i] = static_cast<double>(value);
      }
      break;
    case element::f16:
      for (std::size_t i = 0; i < count; ++i) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, from + 2 * i, 2);
        out[i] = static_cast<double>(half_to_float(bits));
      }
      break;
    case element::bf16:
      for (std::size_t i = 0; i < count; ++i) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, from + 2 * i, 2);
        out[i] = static_cast<double>(bfloat_to_float(bits));
      }
      break;
  }
  return count;
}

}  // namespace skillbench
