#pragma once
// ptx/approximate.hpp: the approximate functions of PTX, the same bits on every
// host.
//
// Layer   3. Standard library only; no function of libm whose last bit depends
//         on the machine is called, only exactly rounded ones (sqrt) and plain
//         arithmetic in double.
// Errors  each result is the exact one within about 1e-12 relative, rounded
//         once to float: inside every bound that the PTX document states
//         (ex2 2^-22 relative, lg2 2^-22 relative outside [0.5, 2] and absolute
//         inside, sin and cos 2^-20.5 absolute, tanh 2^-11 relative, rcp and
//         rsqrt and sqrt 1 to 2^-22.4 relative, div 2 ulp).
// Source  PTX ISA 9.0, "Floating Point Instructions". Series of 2^x, log and
//         sine about 0.

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace skillbench::ptx::approximate {

// 2^x for |x| <= 1100: a Taylor series of e^(f ln 2), |f| <= 0.5.
[[nodiscard]] inline double power_of_two(double x) noexcept {
  constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52: rounds to integer
  const double whole = (x + magic) - magic;
  const double t = (x - whole) * 0.693147180559945309417;
  double p = 1.0 / 39916800.0;
  p = p * t + 1.0 / 3628800.0;
  p = p * t + 1.0 / 362880.0;
  p = p * t + 1.0 / 40320.0;
  p = p * t + 1.0 / 5040.0;
  p = p * t + 1.0 / 720.0;
  p = p * t + 1.0 / 120.0;
  p = p * t + 1.0 / 24.0;
  p = p * t + 1.0 / 6.0;
  p = p * t + 0.5;
  p = p * t + 1.0;
  p = p * t + 1.0;
  const auto exponent = static_cast<std::int64_t>(whole);
  // Two factors, so that the subnormal end is reached without a cliff.
  const std::int64_t half = exponent / 2;
  const double a = std::bit_cast<double>(static_cast<std::uint64_t>(half + 1023) << 52);
  const double b = std::bit_cast<double>(static_cast<std::uint64_t>(exponent - half + 1023) << 52);
  return p * a * b;
}

[[nodiscard]] inline float ex2(float x) noexcept {
  const double in = x < -200.0f ? -200.0 : x > 200.0f ? 200.0 : static_cast<double>(x);
  const float out = static_cast<float>(power_of_two(x != x ? 0.0 : in));
  return x != x ? x : out;
}

[[nodiscard]] inline float lg2(float x) noexcept {
  if (x != x || x < 0) return std::numeric_limits<float>::quiet_NaN();
  if (x == 0) return -std::numeric_limits<float>::infinity();
  if (std::isinf(x)) return x;
  const auto bits = std::bit_cast<std::uint64_t>(static_cast<double>(x));
  auto exponent = static_cast<int>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0xfffffffffffffull) | 0x3ff0000000000000ull);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0), z = s * s;
  double p = 1.0 / 17.0;
  for (int k = 15; k >= 1; k -= 2) p = p * z + 1.0 / k;
  return static_cast<float>(exponent + 2.0 * s * p * 1.44269504088896340736);
}

// Sine of x + quarter * pi/2, quarter 0 or 1.
[[nodiscard]] inline float sine(float x, int quarter) noexcept {
  if (!(std::abs(x) <= std::numeric_limits<float>::max()))
    return std::numeric_limits<float>::quiet_NaN();
  if (x == 0) return quarter == 0 ? x : 1.0f;  // the sine of -0 is -0
  const double turns = static_cast<double>(x) * 0.636619772367581343076;
  const double whole = std::nearbyint(turns);
  // pi/2 in two parts keeps the remainder good to |x| of some 1e5; beyond that
  // the document promises nothing.
  const double r = (static_cast<double>(x) - whole * 1.57079632679489655800) -
                   whole * 6.12323399573676603587e-17;
  const auto n = static_cast<int>(static_cast<std::int64_t>(std::fmod(whole, 4.0))) + quarter;
  const double z = r * r;
  double s = 1.0, c = 1.0;
  for (int k = 15; k >= 3; k -= 2) s = 1.0 - s * z / (k * (k - 1));
  for (int k = 16; k >= 2; k -= 2) c = 1.0 - c * z / (k * (k - 1));
  s *= r;
  switch (n & 3) {
    case 0: return static_cast<float>(s);
    case 1: return static_cast<float>(c);
    case 2: return static_cast<float>(-s);
    default: return static_cast<float>(-c);
  }
}

[[nodiscard]] inline float tanh(float x) noexcept {
  if (x != x) return x;
  const double size = x < 0 ? -static_cast<double>(x) : static_cast<double>(x);
  double out;
  if (size < 0.02) {  // the quotient below would cancel
    const double z = size * size;
    out = size * (1.0 - z * (1.0 / 3.0 - z * (2.0 / 15.0 - z * 17.0 / 315.0)));
  } else {
    const double e = power_of_two(-2.0 * (size > 40.0 ? 40.0 : size) * 1.44269504088896340736);
    out = (1.0 - e) / (1.0 + e);
  }
  return static_cast<float>(x < 0 ? -out : out);
}

[[nodiscard]] inline float rsqrt(float x) noexcept {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x)));
}

// The .approx.ftz forms of f64 look at the high 32 bits of their operand, and the
// low 32 bits of their result are 0; a subnormal counts as 0. The result is the
// nearest with 20 bits of fraction: 2^-21 relative, beside a share of 2^-20 for
// the bits of the operand that are cut (the document calls the whole "gross" and
// states no bound).
[[nodiscard]] inline double high_word(double x) noexcept {
  auto bits = std::bit_cast<std::uint64_t>(x) & 0xffffffff00000000ull;
  if (((bits >> 52) & 0x7ff) == 0) bits &= 0x8000000000000000ull;
  return std::bit_cast<double>(bits);
}
[[nodiscard]] inline double rounded_high(double x) noexcept {
  if (x != x) return std::bit_cast<double>(0x7fffffff00000000ull);
  const auto bits = std::bit_cast<std::uint64_t>(x);
  return high_word(std::bit_cast<double>(bits + 0x7fffffffull + ((bits >> 32) & 1u)));
}
[[nodiscard]] inline double rcp_high(double x) noexcept { return rounded_high(x != x ? x : 1.0 / high_word(x)); }
[[nodiscard]] inline double rsqrt_high(double x) noexcept { return rounded_high(x != x ? x : 1.0 / std::sqrt(high_word(x))); }

// x / y as x * (1 / y): 0 for a divisor beyond 2^126, where the document's
// range ends, and NaN for an infinite x there.
[[nodiscard]] inline float divide(float x, float y) noexcept {
  const float size = std::abs(y);
  if (size > 0x1p126f && size < std::numeric_limits<float>::infinity()) {
    if (x != x) return x;
    if (std::isinf(x)) return std::numeric_limits<float>::quiet_NaN();
    return std::signbit(x) != std::signbit(y) ? -0.0f : 0.0f;
  }
  return x / y;
}

}  // namespace skillbench::ptx::approximate
