#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <skillbench/compare.hpp>

using namespace skillbench;

namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr double quiet_nan = std::numeric_limits<double>::quiet_NaN();
constexpr element f32 = element::f32;
constexpr element f16 = element::f16;

agreement compared(const std::vector<double>& expected,
                   const std::vector<double>& actual,
                   const std::vector<double>& bound, element type = f32) {
  const auto seen = compare(expected, actual, bound, type);
  REQUIRE(seen.ok());
  return seen.value();
}

// compare() has a short way for finite values: it must say what matches() says.
bool both(double expected, double actual, double bound, element type = f32) {
  const bool one = matches(expected, actual, bound, type);
  CHECK(compared({expected}, {actual}, {bound}, type).agrees() == one);
  return one;
}

}  // namespace

TEST_CASE("compare: a NaN is never close to a number") {
  CHECK_FALSE(both(1.0, quiet_nan, 1e30));
  CHECK_FALSE(both(quiet_nan, 1.0, 1e30));
  CHECK(both(quiet_nan, quiet_nan, 0.0));
  CHECK_FALSE(both(infinite, quiet_nan, 0.0));
  CHECK_FALSE(both(quiet_nan, infinite, 0.0));
}

TEST_CASE("compare: an infinite expectation accepts only itself") {
  CHECK_FALSE(both(infinite, 3.0, 1e300));
  CHECK_FALSE(both(infinite, -infinite, 1e300));
  CHECK(both(-infinite, -infinite, 0.0));
  CHECK(both(infinite, infinite, 0.0));
  CHECK_FALSE(both(3.0, infinite, 1.0));
}

TEST_CASE("compare: the bound is the last difference accepted, on both sides") {
  CHECK(both(1.0, 1.5, 0.5));
  CHECK(both(1.0, 0.5, 0.5));
  CHECK_FALSE(both(1.0, std::nextafter(1.5, 2.0), 0.5));
  CHECK_FALSE(both(1.0, 0.5 - 0x1p-52, 0.5));
  CHECK(both(-2.0, -2.0, 0.0));
  CHECK_FALSE(both(-2.0, 2.0, 3.9));
  CHECK(both(0.0, -0.0, 0.0));
}

TEST_CASE("compare: where the bound reaches overflow, either side passes") {
  // Below the largest half, but 20 more would be beyond it.
  CHECK(both(65490.0, infinite, 20.0, f16));
  CHECK_FALSE(both(65490.0, -infinite, 20.0, f16));
  CHECK(both(-65490.0, -infinite, 20.0, f16));
  CHECK_FALSE(both(65490.0, infinite, 14.0, f16));  // just reaches it
  CHECK_FALSE(both(65490.0, infinite, 20.0, f32));
  // Beyond the largest: infinity, or what is within the bound of the largest.
  CHECK(both(1e6, infinite, 1.0, f16));
  CHECK(both(1e6, 65504.0, 1.0, f16));
  CHECK_FALSE(both(1e6, 65472.0, 1.0, f16));
  CHECK(both(-1e6, -65504.0, 1.0, f16));
  CHECK_FALSE(both(1e6, -65504.0, 1.0, f16));
  CHECK_FALSE(both(1e6, -infinite, 1.0, f16));
}

TEST_CASE("compare: every element is looked at and counted") {
  const agreement seen = compared({1, 2, 3, 4, 5}, {1, 9, 3, 9, 9},
                                  {1, 1, 1, 10, 2});
  CHECK(seen.compared == 5);
  CHECK(seen.wrong == 2);
  CHECK(seen.first_wrong == 1);
  CHECK(seen.worst_share == 7.0);
  CHECK_FALSE(seen.agrees());
}

TEST_CASE("compare: agreement has no first wrong element") {
  const agreement seen = compared({1, 2}, {1.25, 2}, {0.5, 0.5});
  CHECK(seen.agrees());
  CHECK(seen.wrong == 0);
  CHECK_FALSE(seen.first_wrong.has_value());
  CHECK(seen.worst_share == 0.5);
}

TEST_CASE("compare: an empty comparison has shown nothing") {
  const agreement seen = compared({}, {}, {});
  CHECK(seen.compared == 0);
  CHECK_FALSE(seen.agrees());
}

TEST_CASE("compare: the worst share is finite whatever was seen") {
  CHECK(compared({1, 1}, {quiet_nan, 3}, {1, 1}).worst_share == 2.0);
  CHECK(compared({1, 1}, {infinite, 3}, {1, 1}).worst_share == 2.0);
  CHECK(compared({1}, {1}, {0}).worst_share == 0.0);
  CHECK(compared({1}, {2}, {0}).worst_share == 0.0);
  CHECK(compared({1}, {2}, {0}).wrong == 1);
  CHECK(compared({quiet_nan}, {1}, {1}).worst_share == 0.0);
}

TEST_CASE("compare: long outputs are seen like their elements one by one") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  // Elements that agree, and each kind that needs a second look, at every place
  // of a block and across the ends of blocks.
  struct odd {
    double expected, actual, bound;
  };
  const odd kinds[] = {{1, 2, 0.5},   {1, nan, 0.5},    {inf, inf, 0},
                       {inf, 3, 0},   {-inf, inf, 0},   {nan, 1, 0},
                       {1, 1, 0},     {65504, inf, 40}, {65504, inf, 4},
                       {1, -inf, 0.5}, {3, 3.75, 0.5},  {0, 1e-300, 1e-310}};
  for (const odd& one : kinds)
    for (std::size_t size : {1u, 7u, 8u, 9u, 24u, 27u})
      for (std::size_t at = 0; at < size; ++at) {
        std::vector<double> expected(size), actual(size), bound(size, 0.5);
        for (std::size_t i = 0; i < size; ++i) {
          expected[i] = static_cast<double>(i);
          actual[i] = expected[i] + (i % 3 == 1 ? 0.25 : -0.125);
        }
        expected[at] = one.expected;
        actual[at] = one.actual;
        bound[at] = one.bound;
        agreement wanted;
        for (std::size_t i = 0; i < size; ++i) {
          const auto seen = compare(std::span(expected).subspan(i, 1),
                                    std::span(actual).subspan(i, 1),
                                    std::span(bound).subspan(i, 1),
                                    element::f16);
          REQUIRE(seen.ok());
          wanted.add(seen.value(), static_cast<std::int64_t>(i));
        }
        const auto seen = compare(expected, actual, bound, element::f16);
        REQUIRE(seen.ok());
        CAPTURE(size);
        CAPTURE(at);
        CAPTURE(one.actual);
        CHECK(seen.value().compared == size);
        CHECK(seen.value().wrong == wanted.wrong);
        CHECK(seen.value().first_wrong == wanted.first_wrong);
        CHECK(seen.value().worst_share == wanted.worst_share);
      }
}

TEST_CASE("compare: a bound is looked at wherever it stands") {
  for (std::size_t at = 0; at < 20; ++at)
    for (const double bad : {-1.0, std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN()}) {
      const std::vector<double> same(20, 1.0);
      std::vector<double> bound(20, 0.5);
      bound[at] = bad;
      const auto seen = compare(same, same, bound, element::f32);
      REQUIRE_FALSE(seen.ok());
      CHECK(seen.error().what.find("element " + std::to_string(at) + " ") !=
            std::string::npos);
    }
}

TEST_CASE("compare: lengths that differ are the caller's fault") {
  const std::vector<double> two{1, 2}, three{1, 2, 3};
  CHECK(compare(two, three, two, f32).error().why == reason::bad_argument);
  CHECK(compare(three, two, two, f32).error().why == reason::bad_argument);
  CHECK(compare(two, two, three, f32).error().why == reason::bad_argument);
  CHECK(compare(two, two, two, f32).ok());
}

TEST_CASE("compare: a bound that means nothing is a fault, not a verdict") {
  const std::vector<double> one{1}, zero{0}, below{-1e-300}, nan{quiet_nan},
      endless{infinite};
  CHECK(compare(one, one, below, f32).error().why == reason::bad_argument);
  CHECK(compare(one, one, nan, f32).error().why == reason::bad_argument);
  CHECK(compare(one, one, endless, f32).error().why == reason::bad_argument);
  CHECK(compare(one, one, zero, f32).ok());
  // Where kinds are compared the bound is not needed.
  CHECK(compare(nan, nan, nan, f32).ok());
  CHECK(compare(endless, endless, nan, f32).ok());
}

TEST_CASE("compare: parts of a tensor add up to the whole") {
  agreement all;
  all.add(compared({1, 2}, {1, 2.5}, {1, 1}), 0);
  all.add(compared({1, 2}, {1, 9}, {1, 1}), 2);
  all.add(compared({1, 2}, {3.5, 2}, {1, 2}), 4);
  CHECK(all.compared == 6);
  CHECK(all.wrong == 2);
  CHECK(all.first_wrong == 3);
  CHECK(all.worst_share == 7.0);
}

TEST_CASE("compare: device bytes decode to the values they hold") {
  std::vector<double> out(65536);
  std::vector<std::uint16_t> patterns(65536);
  for (std::size_t i = 0; i < patterns.size(); ++i)
    patterns[i] = static_cast<std::uint16_t>(i);
  const auto bytes = std::as_bytes(std::span(patterns));

  CHECK(decode(element::f16, bytes, out) == 65536);
  int bad = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double value = half_to_float(patterns[i]);
    bad += !(out[i] == value || (std::isnan(out[i]) && std::isnan(value)));
  }
  CHECK(decode(element::bf16, bytes, out) == 65536);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double value = bfloat_to_float(patterns[i]);
    bad += !(out[i] == value || (std::isnan(out[i]) && std::isnan(value)));
  }
  CHECK(bad == 0);

  const std::vector<float> floats{0.1f, -3.5f, 1e-45f, 3e38f};
  out.assign(4, 0.0);
  CHECK(decode(f32, std::as_bytes(std::span(floats)), out) == 4);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(out[i] == static_cast<double>(floats[i]));
}

TEST_CASE("compare: decoding stops at the shorter of bytes and room") {
  const std::vector<float> floats{1, 2, 3, 4};
  const auto bytes = std::as_bytes(std::span(floats));
  std::vector<double> out(6, -7.0);
  CHECK(decode(f32, bytes, std::span(out).first(2)) == 2);
  CHECK(out == std::vector<double>{1, 2, -7, -7, -7, -7});
  CHECK(decode(f32, bytes.first(11), out) == 2);
  CHECK(out[2] == -7.0);
  CHECK(decode(f16, bytes.first(3), out) == 1);
}
