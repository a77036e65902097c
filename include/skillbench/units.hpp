#pragma once
// units.hpp: element types and their arithmetic on the host.
//
// Layer   0. Standard library only.
// Units   `ulp` is in the value's own unit.
// Source  IEEE 754-2019 binary16 and binary32; bfloat16 is binary32 cut to 8
//         bits of significand. Every rounding is to nearest, ties to even.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace skillbench {

enum class element : std::uint8_t { f32 = 0, f16 = 1, bf16 = 2 };

inline constexpr element all_elements[] = {element::f32, element::f16,
                                           element::bf16};

[[nodiscard]] constexpr std::size_t size_of(element type) noexcept {
  return type == element::f32 ? 4 : 2;
}

// The short name used in records and on the command line.
[[nodiscard]] constexpr std::string_view name(element type) noexcept {
  switch (type) {
    case element::f32: return "float";
    case element::f16: return "half";
    case element::bf16: return "bfloat16";
  }
  return "unknown";
}

// The name of the type in CUDA C++, as a template argument.
[[nodiscard]] constexpr std::string_view cuda_name(element type) noexcept {
  switch (type) {
    case element::f32: return "float";
    case element::f16: return "__half";
    case element::bf16: return "__nv_bfloat16";
  }
  return "unknown";
}

// Bits of significand, the hidden one included.
[[nodiscard]] constexpr int significand_bits(element type) noexcept {
  switch (type) {
    case element::f32: return 24;
    case element::f16: return 11;
    case element::bf16: return 8;
  }
  return 0;
}

// Exponent of the smallest normal number: 2^this.
[[nodiscard]] constexpr int least_exponent(element type) noexcept {
  return type == element::f16 ? -14 : -126;
}

// Of a normal double.
[[nodiscard]] constexpr double power_of_two(int exponent) noexcept {
  return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023)
                               << 52);
}

// The largest finite value.
[[nodiscard]] constexpr double largest(element type) noexcept {
  switch (type) {
    case element::f32: return 3.4028234663852886e38;
    case element::f16: return 65504.0;
    case element::bf16: return 3.3895313892515355e38;
  }
  return 0.0;
}

// The distance between neighbours of a type around |value|; for what is beyond
// the largest finite value, the distance just below it. The power of two is read
// from the bits, and all else is arithmetic that a vector has: this is called for
// every element of every output.
class ulp_of {
 public:
  explicit ulp_of(element type) noexcept
      : most_(largest(type)),
        least_(power_of_two(least_exponent(type))),
        epsilon_(power_of_two(1 - significand_bits(type))) {}
  [[nodiscard]] double operator()(double value) const noexcept {
    const double size = std::abs(value);
    const double inside = size <= most_ ? size : most_;  // NaN too
    const double power = std::bit_cast<double>(
        std::bit_cast<std::uint64_t>(inside) & 0x7ff0'0000'0000'0000u);
    return (power > least_ ? power : least_) * epsilon_;
  }

 private:
  double most_, least_, epsilon_;
};
[[nodiscard]] inline double ulp(element type, double value) noexcept {
  return ulp_of(type)(value);
}

// bits -> value; exact.
[[nodiscard]] inline float half_to_float(std::uint16_t bits) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu;
  std::uint32_t fraction = bits & 0x3ffu;
  if (exponent == 31)
    return std::bit_cast<float>(sign | 0x7f800000u | (fraction << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) |
                                (fraction << 13));
  const float small = static_cast<float>(fraction) * 0x1p-24f;
  return sign ? -small : small;
}

[[nodiscard]] inline float bfloat_to_float(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// double -> nearest value of the type -> its bits. Direct, never by way of
// float, which would round twice.
[[nodiscard]] inline std::uint16_t double_to_half(double value) noexcept {
  const auto raw = std::bit_cast<std::uint64_t>(value);
  const auto sign = static_cast<std::uint16_t>((raw >> 48) & 0x8000u);
  const double size = std::abs(value);
  if (std::isnan(value)) return 0x7fff;
  if (size >= 65520.0) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (size < 0x1p-14) {  // subnormal: a multiple of 2^-24
    const double steps = std::nearbyint(size * 0x1p24);
    return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(steps));
  }
  std::uint64_t body = std::bit_cast<std::uint64_t>(size);
  body += 0x1ffffffffffull + ((body >> 42) & 1u);  // ties to even at bit 42
  const auto exponent = static_cast<std::uint32_t>(body >> 52) - 1008u;
  const auto fraction = static_cast<std::uint32_t>((body >> 42) & 0x3ffu);
  return static_cast<std::uint16_t>(sign | (exponent << 10) | fraction);
}

[[nodiscard]] inline std::uint16_t double_to_bfloat(double value) noexcept {
  const auto raw = std::bit_cast<std::uint64_t>(value);
  const auto sign = static_cast<std::uint16_t>((raw >> 48) & 0x8000u);
  const double size = std::abs(value);
  if (std::isnan(value)) return 0x7fff;
  if (size < 0x1p-126) {  // subnormal: a multiple of 2^-133
    const double steps = std::nearbyint(size * 0x1p133);
    return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(steps));
  }
  std::uint64_t body = std::bit_cast<std::uint64_t>(size);
  if (std::isinf(value)) return static_cast<std::uint16_t>(sign | 0x7f80u);
  body += 0xfffffffffffull + ((body >> 45) & 1u);  // ties to even at bit 45
  const auto exponent = static_cast<std::int64_t>(body >> 52) - 896;
  if (exponent >= 255) return static_cast<std::uint16_t>(sign | 0x7f80u);
  const auto fraction = static_cast<std::uint32_t>((body >> 45) & 0x7fu);
  return static_cast<std::uint16_t>(
      sign | (static_cast<std::uint32_t>(exponent) << 7) | fraction);
}

// The value of `type` nearest to `value`, as a double.
[[nodiscard]] inline double rounded(element type, double value) noexcept {
  switch (type) {
    case element::f32: return static_cast<double>(static_cast<float>(value));
    case element::f16: return half_to_float(double_to_half(value));
    case element::bf16: return bfloat_to_float(double_to_bfloat(value));
  }
  return value;
}

// Launch extents, as CUDA has them.
struct extent {
  std::int64_t x = 1, y = 1, z = 1;
  [[nodiscard]] constexpr std::int64_t count() const noexcept {
    return x * y * z;
  }
  friend bool operator==(const extent&, const extent&) = default;
};

}  // namespace skillbench
