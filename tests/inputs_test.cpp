#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <set>
#include <span>
#include <vector>

#include <skillbench/inputs.hpp>

using namespace skillbench;

namespace {

constexpr pattern all_patterns[] = {
    pattern::normal, pattern::uniform, pattern::constant, pattern::spike,
    pattern::subnormal, pattern::alternate, pattern::mixed};

fill of(pattern kind, double scale = 1.0, double offset = 0.0,
        std::int64_t row = 1) {
  fill made;
  made.kind = kind;
  made.scale = scale;
  made.offset = offset;
  made.row = row;
  return made;
}

std::vector<double> values(const fill& wanted, std::size_t count,
                           element type = element::f32, std::uint64_t seed = 1,
                           std::int64_t first = 0) {
  std::vector<double> made(count, -12345.0);
  make_elements(wanted, seed, type, first, std::span(made));
  return made;
}

std::vector<double> values_of_bytes(const fill& wanted, std::size_t count,
                                    element type) {
  std::vector<std::byte> bytes(count * size_of(type));
  make_elements(wanted, 1, type, 0, std::span(bytes));
  std::vector<double> made;
  for (std::size_t i = 0; i < count; ++i) {
    if (type == element::f32) {
      float value = 0;
      std::memcpy(&value, &bytes[4 * i], 4);
      made.push_back(value);
    } else {
      std::uint16_t bits = 0;
      std::memcpy(&bits, &bytes[2 * i], 2);
      made.push_back(type == element::f16 ? half_to_float(bits)
                                          : bfloat_to_float(bits));
    }
  }
  return made;
}

struct moments {
  double mean = 0, variance = 0, skew = 0, kurtosis = 0;
};

moments moments_of(const std::vector<double>& data) {
  moments made;
  const double n = static_cast<double>(data.size());
  for (const double v : data) made.mean += v / n;
  for (const double v : data) {
    const double d = v - made.mean;
    made.variance += d * d / n;
    made.skew += d * d * d / n;
    made.kurtosis += d * d * d * d / n;
  }
  made.skew /= std::pow(made.variance, 1.5);
  made.kurtosis /= made.variance * made.variance;
  return made;
}

double share_below(const std::vector<double>& data, double edge) {
  return static_cast<double>(std::count_if(
             data.begin(), data.end(), [&](double v) { return v < edge; })) /
         static_cast<double>(data.size());
}

// A hash of bytes that depends on nothing else (FNV-1a).
std::uint64_t hash_of(std::span<const std::byte> bytes) {
  std::uint64_t hash = 14695981039346656037ull;
  for (const std::byte b : bytes)
    hash = (hash ^ static_cast<std::uint64_t>(b)) * 1099511628211ull;
  return hash;
}

}  // namespace

TEST_CASE("inputs: a part of a tensor is that part of the whole") {
  for (const element type : all_elements) {
    for (const pattern kind : all_patterns) {
      const fill wanted = of(kind, 2.0, 1.0, 37);
      const auto whole = values(wanted, 5000, type);
      for (const std::int64_t first : {0, 1, 36, 37, 1023, 1024, 2999}) {
        const auto part = values(wanted, 1500, type, 1, first);
        CHECK(std::equal(part.begin(), part.end(), whole.begin() + first));
      }
    }
  }
}

TEST_CASE("inputs: doubles and bytes hold the same values") {
  for (const element type : all_elements) {
    for (const pattern kind : all_patterns) {
      const fill wanted = of(kind, 3.0, 0.5, 100);
      CHECK(values(wanted, 3000, type) == values_of_bytes(wanted, 3000, type));
    }
  }
}

TEST_CASE("inputs: values are already rounded to the element type") {
  for (const element type : all_elements)
    for (const pattern kind : all_patterns)
      for (const double v : values(of(kind, 0.3, 7.0, 9), 2000, type))
        REQUIRE(rounded(type, v) == v);
}

TEST_CASE("inputs: another seed gives other values, the same seed the same") {
  const fill wanted = of(pattern::normal);
  CHECK(values(wanted, 100, element::f32, 5) ==
        values(wanted, 100, element::f32, 5));
  const auto a = values(wanted, 10000, element::f32, 5);
  const auto b = values(wanted, 10000, element::f32, 6);
  double product = 0;
  for (std::size_t i = 0; i < a.size(); ++i) product += a[i] * b[i];
  CHECK(std::abs(product / 10000.0) < 0.05);  // five spreads
}

TEST_CASE("inputs: normal values have the moments and shares of N(0, 1)") {
  const auto data = values(of(pattern::normal), 400000);
  const moments seen = moments_of(data);
  CHECK(std::abs(seen.mean) < 0.008);
  CHECK(std::abs(seen.variance - 1) < 0.012);
  CHECK(std::abs(seen.skew) < 0.02);
  CHECK(std::abs(seen.kurtosis - 3) < 0.05);
  for (const double z : {-3.0, -2.0, -1.0, -0.1, 0.0, 0.5, 1.5, 2.5, 3.5}) {
    const double share = std::erfc(-z / std::sqrt(2.0)) / 2;
    const double spread = std::sqrt(share * (1 - share) / 400000.0);
    CHECK(std::abs(share_below(data, z) - share) < 5 * spread);
  }
  const auto [least, most] = std::minmax_element(data.begin(), data.end());
  CHECK(*least < -4.0);
  CHECK(*most > 4.0);
  CHECK(*most <= 5.5);
}

TEST_CASE("inputs: the quantiles are those of |N(0, 1)|") {
  const normal_quantiles& table = the_normal_quantiles();
  CHECK(table.body[0] == 0);
  double worst = 0;
  for (int i = 1; i < normal_quantiles::bins; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double z = table.body[at] * normal_quantiles::unit;
    const double far = table.tail[at] * normal_quantiles::unit;
    const double share = (4096.0 - i) / 4096.0;
    // What half a step of the table can move the share.
    const double room = std::exp(-z * z / 2) * normal_quantiles::unit;
    const double far_room = std::exp(-far * far / 2) * normal_quantiles::unit;
    worst = std::max(worst, std::abs(std::erfc(z / std::sqrt(2.0)) - share) / room);
    worst = std::max(worst, std::abs(std::erfc(far / std::sqrt(2.0)) -
                                     share / 4096.0) / far_room);
    REQUIRE(table.body[at] > table.body[at - 1]);
    REQUIRE(table.tail[at] > table.tail[at - 1]);
  }
  CHECK(worst < 0.5);
  CHECK(table.tail[0] == table.body[normal_quantiles::bins - 1]);
  CHECK(table.tail[normal_quantiles::bins] * normal_quantiles::unit == 5.5);
}

TEST_CASE("inputs: no quantile is so near a tie that a machine could differ") {
  double nearest = 1.0, z = 0.0;
  for (const double scale : {1.0, 1.0 / 4096}) {
    for (int i = 1; i < 4096; ++i) {
      z = quantile_above((4096.0 - i) / 4096 * scale, z);
      const double steps = z / normal_quantiles::unit;
      nearest = std::min(nearest, std::abs(steps - std::floor(steps) - 0.5));
    }
  }
  // In steps of 2^-26; what compilers may round otherwise moves z by 1e-14.
  CHECK(nearest > 1e-5);
}

TEST_CASE("inputs: 64 bits become a symmetric draw, the tail included") {
  const normal_quantiles& table = the_normal_quantiles();
  const std::uint64_t sign = 1ull << 63;
  CHECK(normal_steps(table, 0) == 0);
  CHECK(normal_steps(table, ~0ull) ==
        -static_cast<std::int32_t>(
            table.tail[4095] +
            ((std::uint64_t{table.tail[4096] - table.tail[4095]} * 0xffffff) >>
             24)));
  for (std::uint64_t i = 0; i < 4096; ++i) {
    REQUIRE(normal_steps(table, i << 51) ==
            static_cast<std::int32_t>(i < 4095 ? table.body[i] : table.tail[0]));
    REQUIRE(normal_steps(table, (i << 51) | sign) ==
            -normal_steps(table, i << 51));
    // The last bin is divided by the bits that place a draw in a bin.
    REQUIRE(normal_steps(table, (4095ull << 51) | (i << 39)) ==
            static_cast<std::int32_t>(table.tail[i]));
  }
  const std::uint64_t half_way = (7ull << 51) | (1ull << 50);
  CHECK(normal_steps(table, half_way) ==
        static_cast<std::int32_t>((table.body[7] + table.body[8]) / 2));
}

TEST_CASE("inputs: floats fill their significand") {
  const auto data = values(of(pattern::normal), 20000);
  CHECK(std::set<double>(data.begin(), data.end()).size() > 19900);
  int odd = 0;  // the last of 24 bits set, among values from 1 to 2
  int in_range = 0;
  for (const double v : data) {
    if (v < 1.0 || v >= 2.0) continue;
    ++in_range;
    odd += static_cast<std::int64_t>(v * 0x1p23) % 2 != 0;
  }
  CHECK(in_range > 2000);
  CHECK(std::abs(odd - in_range / 2) < in_range / 10);
}

TEST_CASE("inputs: scale and offset are in the tensor's unit") {
  const moments normal = moments_of(values(of(pattern::normal, 3, 100), 100000));
  CHECK(std::abs(normal.mean - 100) < 0.06);
  CHECK(std::abs(normal.variance - 9) < 0.3);

  const auto flat = values(of(pattern::uniform, 3, 100), 100000);
  const moments uniform = moments_of(flat);
  CHECK(std::abs(uniform.mean - 100) < 0.04);
  CHECK(std::abs(uniform.variance - 3) < 0.05);
  CHECK(std::abs(uniform.kurtosis - 1.8) < 0.03);
  const auto [least, most] = std::minmax_element(flat.begin(), flat.end());
  CHECK(*least >= 97);
  CHECK(*least < 97.01);
  CHECK(*most <= 103);
  CHECK(*most > 102.99);
}

TEST_CASE("inputs: uniform values are symmetric about the offset") {
  const auto flat = values(of(pattern::uniform), 100000);
  CHECK(std::abs(share_below(flat, 0.0) - 0.5) < 0.01);
  CHECK(std::abs(share_below(flat, -0.5) - 0.25) < 0.01);
  for (const double v : flat) REQUIRE(v != 0.0);
}

TEST_CASE("inputs: a constant row is one draw, and rows differ") {
  const auto data = values(of(pattern::constant, 1, 0, 7), 7 * 200);
  std::set<double> rows;
  for (std::size_t r = 0; r < 200; ++r) {
    for (std::size_t c = 0; c < 7; ++c) REQUIRE(data[7 * r + c] == data[7 * r]);
    rows.insert(data[7 * r]);
  }
  CHECK(rows.size() == 200);
}

TEST_CASE("inputs: a spike is one element of each row, a thousand times taller") {
  constexpr std::size_t cols = 50, count = cols * 400;
  const auto plain = values(of(pattern::normal, 2, 5), count);
  const auto data = values(of(pattern::spike, 2, 5, cols), count);
  std::set<std::size_t> places;
  for (std::size_t r = 0; r < 400; ++r) {
    int spikes = 0;
    for (std::size_t c = 0; c < cols; ++c) {
      const std::size_t i = cols * r + c;
      if (data[i] == plain[i]) continue;
      ++spikes;
      places.insert(c);
      CHECK(data[i] - 5 ==
            doctest::Approx(1000 * (plain[i] - 5)).epsilon(1e-3));
    }
    REQUIRE(spikes == 1);
  }
  CHECK(places.size() == cols);
}

TEST_CASE("inputs: subnormal values are below the smallest normal one") {
  for (const element type : all_elements) {
    const double normal = std::ldexp(1.0, least_exponent(type));
    CHECK(largest_subnormal(type) == normal - ulp(type, 0.0));
    const auto data = values(of(pattern::subnormal), 20000, type);
    int zeros = 0;
    for (const double v : data) {
      REQUIRE(std::abs(v) <= largest_subnormal(type));
      zeros += v == 0;
    }
    CHECK(zeros < 500);  // an ulp in 254 for bfloat16
    CHECK(std::abs(share_below(data, 0) - 0.5) < 0.02);
    CHECK(*std::max_element(data.begin(), data.end()) >
          0.98 * largest_subnormal(type));
  }
}

TEST_CASE("inputs: alternate values swing about the offset by index") {
  const auto data = values(of(pattern::alternate, 0.5, 1000), 10);
  for (std::size_t i = 0; i < data.size(); ++i)
    CHECK(data[i] == (i % 2 == 0 ? 1000.5 : 999.5));
}

TEST_CASE("inputs: mixed values span seven decades about the scale") {
  const auto data = values(of(pattern::mixed, 2, 99), 140000);
  // Every seventh value has the spread 2 * 10^k: the share below an edge is
  // the mean over the seven.
  for (const double edge : {1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0}) {
    double share = 0;
    for (int k = -3; k <= 3; ++k)
      share += std::erfc(-edge / (2 * std::pow(10.0, k)) / std::sqrt(2.0)) / 14;
    CHECK(std::abs(share_below(data, edge) - share) < 0.007);
  }
}

TEST_CASE("inputs: nothing is infinite or NaN, whatever is asked for") {
  const double odd[] = {0.0,
                        1e300,
                        -1e300,
                        1e-300,
                        1e-320,
                        70000.0,
                        4e38,
                        std::numeric_limits<double>::max(),
                        std::numeric_limits<double>::infinity(),
                        -std::numeric_limits<double>::infinity(),
                        std::numeric_limits<double>::quiet_NaN()};
  for (const element type : all_elements)
    for (const pattern kind : all_patterns)
      for (const double scale : odd)
        for (const double offset : odd)
          for (const std::int64_t row : {std::int64_t{-5}, std::int64_t{0},
                                         std::int64_t{3}, std::int64_t{1} << 62})
            for (const double v : values_of_bytes(of(kind, scale, offset, row),
                                                  8, type))
              REQUIRE(std::abs(v) <= largest(type));
}

TEST_CASE("inputs: what is too large is cut to the largest value") {
  for (const element type : all_elements) {
    CHECK(values(of(pattern::alternate, 0, 1e39), 1, type)[0] == largest(type));
    CHECK(values(of(pattern::alternate, 0, -1e39), 1, type)[0] ==
          -largest(type));
  }
}

TEST_CASE("inputs: a pattern from outside the list gives zeros") {
  for (const double v : values(of(static_cast<pattern>(77)), 5)) CHECK(v == 0);
}

TEST_CASE("inputs: a rest that is no whole element is left alone") {
  std::vector<std::byte> bytes(7, std::byte{0xaa});
  make_elements(of(pattern::normal), 1, element::f32, 0, std::span(bytes));
  CHECK(bytes[4] == std::byte{0xaa});
  CHECK(bytes[6] == std::byte{0xaa});
  make_elements(of(pattern::normal), 1, element::f16, 0,
                std::span<std::byte>());
}

TEST_CASE("inputs: indexes beyond 2^32 are as random as small ones") {
  const fill wanted = of(pattern::spike, 1, 0, 1000);
  const std::int64_t far = (std::int64_t{1} << 33) + 12345;
  CHECK(values(wanted, 3000, element::f32, 1, far) !=
        values(wanted, 3000, element::f32, 1, 12345));
  const moments seen =
      moments_of(values(of(pattern::normal), 50000, element::f32, 1, far));
  CHECK(std::abs(seen.mean) < 0.025);
  CHECK(std::abs(seen.variance - 1) < 0.04);
}

TEST_CASE("inputs: seeds are mixed with numbers and names, in order") {
  CHECK(mix(1, 2) != mix(2, 1));
  CHECK(mix(1, std::uint64_t{0}) != 1);
  CHECK(mix(mix(1, "ab"), "c") != mix(mix(1, "a"), "bc"));
  CHECK(mix(1, "x") != mix(1, "y"));
  CHECK(mix(1, "") != mix(2, ""));
  std::set<std::uint64_t> seen;
  for (std::uint64_t seed = 0; seed < 100; ++seed)
    for (std::uint64_t with = 0; with < 100; ++with) seen.insert(mix(seed, with));
  CHECK(seen.size() == 10000);
}

TEST_CASE("inputs: scales keep 24 bits, so that products with draws are exact") {
  CHECK(short_scale(1.0) == 1.0);
  CHECK(short_scale(0.1) == static_cast<double>(0.1f));
  CHECK(short_scale(-1.0 / 3) == static_cast<double>(-1.0f / 3));
  CHECK(short_scale(1 + 0x1p-24) == 1.0);  // a tie
  CHECK(short_scale(1 + 0x1p-24 + 0x1p-50) == 1 + 0x1p-23);
  CHECK(short_scale(1e-3 * 0x1p-200) ==
        static_cast<double>(1e-3f) * 0x1p-200);
}

// What these bits are does not matter; that they are the same with every
// compiler, option and processor does: records name a seed.
TEST_CASE("inputs: the same seed gives the same bits on every machine") {
  std::vector<std::byte> bytes(4 * 4096);
  std::uint64_t all = 0;
  for (const element type : all_elements)
    for (const pattern kind : all_patterns) {
      make_elements(of(kind, 0.3, 1.7, 100), 42, type, 1000,
                    std::span(bytes).first(4096 * size_of(type)));
      all = mix(all, hash_of(std::span(bytes).first(4096 * size_of(type))));
    }
  CHECK(all == 2363397364101204874ull);
}
