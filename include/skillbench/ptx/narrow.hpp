#pragma once
// ptx/narrow.hpp: floating point numbers of 8 bits, and tf32.
//
// Layer   3. Includes wide.hpp.
// Shapes  e4m3: 4 bits of exponent, no infinity, NaN 0x7f, largest 448.
//         e5m2: 5 bits of exponent, infinity 0x7c, NaN 0x7f, largest 57344.
//         tf32: the high 19 bits of an f32.
// Source  PTX ISA 9.0, "Alternate Floating-Point Data Formats" and "cvt";
//         rounding to nearest, ties to even, where nothing else is said.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include <skillbench/wide.hpp>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace skillbench::ptx::narrow {

struct format8 {
  int fraction = 3, bias = 7;
  std::uint8_t largest = 0x7e;  // finite
};
inline constexpr format8 e4m3{3, 7, 0x7e}, e5m2{2, 15, 0x7b};

// What is beyond the largest number becomes that (.satfinite, which every
// conversion to 8 bits has); NaN becomes 0x7f.
[[nodiscard]] inline std::uint8_t from_double(double x, format8 f) noexcept {
  if (x != x) return 0x7f;
  const std::uint8_t sign = std::signbit(x) ? 0x80 : 0;
  const double size = std::abs(x);
  if (size == 0) return sign;
  int exponent = 0;
  std::frexp(size, &exponent);  // size = m * 2^exponent, m in [0.5, 1)
  const int least = 1 - f.bias;  // of normal numbers
  const int unit = std::max(exponent - 1, least) - f.fraction;
  if (!(size < 1e9)) return static_cast<std::uint8_t>(sign | f.largest);
  const auto steps = static_cast<std::uint32_t>(std::nearbyint(std::ldexp(size, -unit)));
  // Fraction bits that run over carry into the exponent by themselves.
  const auto field = static_cast<std::uint32_t>(unit + f.fraction - least);
  const std::uint32_t bits = steps + (field << f.fraction);
  return static_cast<std::uint8_t>(sign | (bits > f.largest ? f.largest : bits));
}

[[nodiscard]] inline double to_double(std::uint8_t bits, format8 f) noexcept {
  const int size = bits & 0x7f;
  const double sign = bits & 0x80 ? -1.0 : 1.0;
  if (size == 0x7f || (f.fraction == 2 && size > 0x7c)) return std::nan("");
  if (f.fraction == 2 && size == 0x7c) return sign * HUGE_VAL;
  const int field = size >> f.fraction, fraction = size & ((1 << f.fraction) - 1);
  const int least = 1 - f.bias;
  if (field == 0) return sign * std::ldexp(fraction, least - f.fraction);
  return sign * std::ldexp(fraction + (1 << f.fraction), field - f.bias - f.fraction);
}

enum class tf32_rounding : std::uint8_t { nearest_even, zero, nearest_away };

[[nodiscard]] inline std::uint32_t tf32(std::uint32_t x, tf32_rounding how, bool relu, bool satfinite) noexcept {
  const std::uint32_t size = x & 0x7fffffffu, sign = x & 0x80000000u;
  if (size > 0x7f800000u) return 0x7fffffffu;
  if (relu && sign) return 0;
  std::uint32_t out = size;
  if (how == tf32_rounding::nearest_away) out = size + 0x1000u;
  if (how == tf32_rounding::nearest_even) out = size + 0xfffu + ((size >> 13) & 1u);
  out &= ~0x1fffu;
  if (size == 0x7f800000u) out = size;
  if (satfinite && out >= 0x7f800000u) out = 0x7f7fe000u;
  return sign | out;
}

// The common form for 32 numbers, on a host that is wide: to nearest, away from zero.
#if defined(__x86_64__)
__attribute__((target(SKILLBENCH_WIDE_TARGET))) inline void to_nearest_tf32(const std::uint32_t* in, std::uint32_t* out) noexcept {
  const __m512i sizes = _mm512_set1_epi32(0x7fffffff), infinity = _mm512_set1_epi32(0x7f800000);
  for (int l = 0; l < 32; l += 16) {
    const __m512i x = _mm512_loadu_si512(in + l), size = _mm512_and_si512(x, sizes);
    const __m512i near = _mm512_and_si512(_mm512_set1_epi32(static_cast<int>(0xffffe000u)), _mm512_add_epi32(x, _mm512_set1_epi32(0x1000)));  // the sign stays: a size has 31 bits
    const __m512i number = _mm512_mask_mov_epi32(near, _mm512_cmpeq_epi32_mask(size, infinity), x);
    _mm512_storeu_si512(out + l, _mm512_mask_mov_epi32(number, _mm512_cmpgt_epu32_mask(size, infinity), sizes));
  }
}
#else
inline void to_nearest_tf32(const std::uint32_t*, std::uint32_t*) noexcept {}
#endif

}  // namespace skillbench::ptx::narrow
