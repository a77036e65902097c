#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include <skillbench/inputs_wide.hpp>

using namespace skillbench;

namespace {

// Numbers at and beside what is representable, halfway between two of those,
// subnormal, and beyond the largest.
std::vector<double> awkward() {
  std::vector<double> out = {0.0, -0.0, 65504, 65519.999, 65520, 1e30, 3.4e38, 1e300, -1e300, 0x1p-14, 0x1p-24, 0x1p-25, 0x1.8p-25, 0x1p-126, 0x1p-133, 0x1p-134, 0x1.8p-134, 0x1p-149, 1e-320};
  std::mt19937_64 from(7);
  for (int i = 0; i < 20000; ++i) {
    const int exponent = static_cast<int>(from() % 300) - 160;
    const int kept = static_cast<int>(from() % 14);  // bits of the fraction, then a tie or nearly one
    const double fraction = static_cast<double>(from() % (std::uint64_t{1} << kept)) / static_cast<double>(std::uint64_t{1} << kept);
    const double tie = std::ldexp(static_cast<double>(from() % 3), -kept - 1), beside = std::ldexp(static_cast<double>(static_cast<int>(from() % 3)) - 1, -50);
    out.push_back(std::ldexp((from() & 1 ? -1 : 1) * (1 + fraction + tie + beside), exponent));
  }
  while (out.size() % 8) out.push_back(1);
  return out;
}

}  // namespace

TEST_CASE("inputs_wide: narrowed as one by one") {
  const std::vector<double> all = awkward();
  if (inputs_wide::taken(all.size()) == 0) {
    MESSAGE("not run: this host has no vectors of 512 bits");
    return;
  }
  CHECK(inputs_wide::taken(15) == 8);
  CHECK(inputs_wide::taken(7) == 0);
  for (const element type : all_elements) {
    const double most = largest(type);
    std::vector<std::byte> bytes(all.size() * size_of(type));
    std::vector<double> rounded_values = all;
    inputs_wide::narrow(all.data(), most, type, bytes.data(), all.size());
    inputs_wide::round(rounded_values.data(), most, type, all.size());
    std::size_t differ = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const double cut = std::min(std::max(all[i], -most), most);
      if (type == element::f32) {
        const auto right = static_cast<float>(cut);
        differ += std::memcmp(&right, &bytes[4 * i], 4) != 0;
      } else {
        const std::uint16_t right = type == element::f16 ? double_to_half(cut) : double_to_bfloat(cut);
        differ += std::memcmp(&right, &bytes[2 * i], 2) != 0;
      }
      const double right = rounded(type, cut);
      differ += std::memcmp(&right, &rounded_values[i], 8) != 0;
    }
    CHECK(differ == 0);
  }
}
