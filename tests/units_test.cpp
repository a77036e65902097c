#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include <skillbench/units.hpp>

using namespace skillbench;

namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr double quiet_nan = std::numeric_limits<double>::quiet_NaN();

// The value of a 16-bit pattern by the formula of IEEE 754, with `exponent`
// bits of exponent and `fraction` bits of fraction.
double by_formula(std::uint32_t bits, int exponent, int fraction) {
  const int bias = (1 << (exponent - 1)) - 1;
  const double sign = bits & 0x8000u ? -1.0 : 1.0;
  const int power = static_cast<int>((bits >> fraction) & ((1u << exponent) - 1));
  const double part = static_cast<double>(bits & ((1u << fraction) - 1));
  if (power == (1 << exponent) - 1)
    return part == 0 ? sign * infinite : quiet_nan;
  if (power == 0) return sign * std::ldexp(part, 1 - bias - fraction);
  return sign * std::ldexp(part + std::ldexp(1.0, fraction),
                           power - bias - fraction);
}

bool same(double a, double b) {  // the sign of zero and of NaN's kind too
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return a == b && std::signbit(a) == std::signbit(b);
}

std::uint16_t short_bits(std::uint32_t bits) {
  return static_cast<std::uint16_t>(bits);
}

// Walks all neighbours `low`, `high` of one sign and looks at what becomes of
// values between them.
template <typename Decode, typename Encode>
int badly_rounded(std::uint32_t largest_bits, Decode decode, Encode encode) {
  int bad = 0;
  for (std::uint32_t bits = 0; bits < largest_bits; ++bits) {
    for (const std::uint32_t sign : {0u, 0x8000u}) {
      const std::uint16_t low = short_bits(bits | sign);
      const std::uint16_t high = short_bits((bits + 1) | sign);
      const double a = decode(low), b = decode(high);
      const double middle = a + (b - a) / 2;  // exact in double
      const std::uint16_t even = bits % 2 == 0 ? low : high;
      bad += encode(middle) != even;
      bad += encode(std::nextafter(middle, a)) != low;
      bad += encode(std::nextafter(middle, b)) != high;
      bad += encode(a) != low;
    }
  }
  return bad;
}

}  // namespace

TEST_CASE("units: every half pattern has the value of the IEEE formula") {
  int bad = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits)
    bad += !same(half_to_float(short_bits(bits)), by_formula(bits, 5, 10));
  CHECK(bad == 0);
}

TEST_CASE("units: every bfloat16 pattern has the value of the IEEE formula") {
  int bad = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits)
    bad += !same(bfloat_to_float(short_bits(bits)), by_formula(bits, 8, 7));
  CHECK(bad == 0);
}

TEST_CASE("units: every pattern but NaN survives the way there and back") {
  int bad = 0;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const std::uint16_t short_one = short_bits(bits);
    const float half = half_to_float(short_one);
    const float bfloat = bfloat_to_float(short_one);
    if (std::isnan(half))
      bad += !std::isnan(half_to_float(double_to_half(half)));
    else
      bad += double_to_half(half) != short_one;
    if (std::isnan(bfloat))
      bad += !std::isnan(bfloat_to_float(double_to_bfloat(bfloat)));
    else
      bad += double_to_bfloat(bfloat) != short_one;
  }
  CHECK(bad == 0);
}

TEST_CASE("units: between neighbours the nearest is taken, of two the even") {
  CHECK(badly_rounded(0x7bffu, half_to_float, double_to_half) == 0);
  CHECK(badly_rounded(0x7f7fu, bfloat_to_float, double_to_bfloat) == 0);
}

TEST_CASE("units: overflow starts half a step beyond the largest value") {
  CHECK(double_to_half(65504.0) == 0x7bff);
  CHECK(double_to_half(std::nextafter(65520.0, 0.0)) == 0x7bff);
  CHECK(double_to_half(65520.0) == 0x7c00);
  CHECK(double_to_half(-65520.0) == 0xfc00);
  CHECK(double_to_half(1e300) == 0x7c00);
  CHECK(double_to_half(infinite) == 0x7c00);
  CHECK(double_to_half(-infinite) == 0xfc00);

  const double edge = 0x1.ffp127;  // 255.5 * 2^120
  CHECK(double_to_bfloat(largest(element::bf16)) == 0x7f7f);
  CHECK(double_to_bfloat(std::nextafter(edge, 0.0)) == 0x7f7f);
  CHECK(double_to_bfloat(edge) == 0x7f80);
  CHECK(double_to_bfloat(-edge) == 0xff80);
  CHECK(double_to_bfloat(1e300) == 0x7f80);
  CHECK(double_to_bfloat(infinite) == 0x7f80);
  CHECK(double_to_bfloat(-infinite) == 0xff80);
}

TEST_CASE("units: what is far below the smallest value becomes a signed zero") {
  CHECK(double_to_half(0x1p-25) == 0);  // a tie with 0, which is even
  CHECK(double_to_half(std::nextafter(0x1p-25, 1.0)) == 1);
  CHECK(double_to_half(-0x1p-1000) == 0x8000);
  CHECK(double_to_bfloat(0x1p-134) == 0);
  CHECK(double_to_bfloat(std::nextafter(0x1p-134, 1.0)) == 1);
  CHECK(double_to_bfloat(-0x1p-1074) == 0x8000);
}

TEST_CASE("units: a double is rounded once, not by way of float") {
  // As a float this is 1 + 2^-11, a tie that goes to 1.
  CHECK(rounded(element::f16, 1.0 + 0x1p-11 + 0x1p-40) == 1.0 + 0x1p-10);
  CHECK(rounded(element::f16, 1.0 + 0x1p-11) == 1.0);
  CHECK(rounded(element::bf16, 1.0 + 0x1p-8 + 0x1p-40) == 1.0 + 0x1p-7);
  CHECK(rounded(element::bf16, 1.0 + 0x1p-8) == 1.0);
  CHECK(rounded(element::f32, 1.0 + 0x1p-24 + 0x1p-50) == 1.0 + 0x1p-23);
}

#ifdef __FLT16_MAX__
TEST_CASE("units: half agrees with the compiler's own") {
  int bad = 0;
  std::uint64_t state = 1;
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto own = std::bit_cast<_Float16>(short_bits(bits));
    bad += !same(half_to_float(short_bits(bits)), static_cast<double>(own));
  }
  for (int i = 0; i < 200000; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    const double fraction = static_cast<double>(state >> 11) * 0x1p-52 - 1.0;
    const double value = std::ldexp(fraction, static_cast<int>(state % 48) - 28);
    const auto own = static_cast<_Float16>(value);
    bad += double_to_half(value) != std::bit_cast<std::uint16_t>(own);
  }
  CHECK(bad == 0);
}
#endif

TEST_CASE("units: an ulp is the way to the next value of the type") {
  int bad = 0;
  for (std::uint32_t bits = 0; bits < 0x7bffu; ++bits) {
    const double low = half_to_float(short_bits(bits));
    const double high = half_to_float(short_bits(bits + 1));
    bad += ulp(element::f16, low) != high - low;
    bad += ulp(element::f16, -low) != high - low;
    bad += ulp(element::f16, low + (high - low) * 0.75) != high - low;
  }
  for (std::uint32_t bits = 0; bits < 0x7f7fu; ++bits) {
    const double low = bfloat_to_float(short_bits(bits));
    const double high = bfloat_to_float(short_bits(bits + 1));
    bad += ulp(element::bf16, low) != high - low;
    bad += ulp(element::bf16, -low) != high - low;
  }
  for (std::uint32_t bits = 0; bits < 0x7f7fffffu; bits += 65521) {
    const double low = std::bit_cast<float>(bits);
    const double high = std::bit_cast<float>(bits + 1);
    bad += ulp(element::f32, low) != high - low;
  }
  CHECK(bad == 0);
}

TEST_CASE("units: beyond the largest value an ulp is the one just below it") {
  for (const element type : all_elements) {
    const double last = ulp(type, largest(type));
    CHECK(rounded(type, largest(type) - last) == largest(type) - last);
    CHECK(rounded(type, largest(type) - last / 2 - last / 8) ==
          largest(type) - last);
    CHECK(ulp(type, 2 * largest(type)) == last);
    CHECK(ulp(type, -1e300) == last);
    CHECK(ulp(type, infinite) == last);
    CHECK(ulp(type, quiet_nan) == last);
  }
}

TEST_CASE("units: an ulp of zero is the smallest subnormal") {
  CHECK(ulp(element::f16, 0.0) == 0x1p-24);
  CHECK(ulp(element::bf16, 0.0) == 0x1p-133);
  CHECK(ulp(element::f32, 0.0) == 0x1p-149);
  CHECK(ulp(element::f32, 0x1p-1074) == 0x1p-149);
}

TEST_CASE("units: the largest value is finite and the next one is not") {
  for (const element type : all_elements) {
    CHECK(rounded(type, largest(type)) == largest(type));
    CHECK(rounded(type, -largest(type)) == -largest(type));
    CHECK(std::isinf(rounded(type, largest(type) + ulp(type, largest(type)))));
    CHECK(std::isnan(rounded(type, quiet_nan)));
  }
}

TEST_CASE("units: types are named and sized as CUDA has them") {
  CHECK(size_of(element::f32) == 4);
  CHECK(size_of(element::f16) == 2);
  CHECK(size_of(element::bf16) == 2);
  CHECK(name(element::f32) == "float");
  CHECK(name(element::f16) == "half");
  CHECK(name(element::bf16) == "bfloat16");
  CHECK(cuda_name(element::f32) == "float");
  CHECK(cuda_name(element::f16) == "__half");
  CHECK(cuda_name(element::bf16) == "__nv_bfloat16");
  CHECK(static_cast<int>(element::f32) == 0);
  CHECK(static_cast<int>(element::f16) == 1);
  CHECK(static_cast<int>(element::bf16) == 2);
}

TEST_CASE("units: an extent counts in 64 bits") {
  CHECK(extent{}.count() == 1);
  CHECK(extent{2147483647, 65535, 65535}.count() ==
        std::int64_t{2147483647} * 65535 * 65535);
  CHECK(extent{1, 2, 3} == extent{1, 2, 3});
  CHECK_FALSE(extent{1, 2, 3} == extent{1, 2, 4});
}
