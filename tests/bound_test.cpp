#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include <skillbench/bound.hpp>
#include <skillbench/compare.hpp>
#include <skillbench/inputs.hpp>

using namespace skillbench;

namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr double quiet_nan = std::numeric_limits<double>::quiet_NaN();
constexpr double u = 0x1p-24;

struct told {
  std::vector<double> expected, yardstick, condition;
  [[nodiscard]] reference_rows rows() {
    return {0, 1, static_cast<std::int64_t>(expected.size()), expected,
            yardstick, condition};
  }
};

std::vector<double> bounds(told all, double c, element type) {
  std::vector<double> made(all.expected.size(), -1.0);
  const auto e = make_bounds(all.rows(), {c, ""}, type, made);
  REQUIRE(e.ok());
  return made;
}

}  // namespace

TEST_CASE("bound: an exact yardstick leaves two steps of the element type") {
  CHECK(bounds({{1.0, -3.0, 0.0}, {1.0, -3.0, 0.0}, {0, 0, 0}}, 4,
               element::f16) ==
        std::vector<double>{2 * 0x1p-10, 2 * 0x1p-9, 2 * 0x1p-24});
  CHECK(bounds({{1.0}, {1.0}, {0}}, 4, element::bf16)[0] == 2 * 0x1p-7);
  CHECK(bounds({{1.0}, {1.0}, {0}}, 4, element::f32)[0] == 2 * 0x1p-23);
}

TEST_CASE("bound: the condition adds c roundings of float") {
  CHECK(bounds({{1.0}, {1.0}, {10.0}}, 4, element::f16)[0] ==
        2 * 0x1p-10 + 40 * u);
  CHECK(bounds({{1.0}, {1.0}, {10.0}}, 0, element::f16)[0] == 2 * 0x1p-10);
}

TEST_CASE("bound: the yardstick's error counts in natural errors") {
  // Three steps and one step of error: root mean square sqrt(5).
  told all{{1.0, 2.0}, {1.0 + 3 * 0x1p-10, 2.0 - 0x1p-9}, {0, 0}};
  CHECK(yardstick_error(all.rows(), element::f16) ==
        doctest::Approx(std::sqrt(5.0)));
  const auto made = bounds(all, 0, element::f16);
  CHECK(made[0] == doctest::Approx(2 * std::sqrt(5.0) * 0x1p-10));
  CHECK(made[1] == doctest::Approx(2 * std::sqrt(5.0) * 0x1p-9));
}

TEST_CASE("bound: where the condition rules, it is the natural error") {
  // u * condition is 2^-4 here, far above the steps of half near 1.
  told all{{1.0, 1.0}, {1.0 + 0x1p-3, 1.0 + 0x1p-3}, {0x1p20, 0x1p20}};
  CHECK(yardstick_error(all.rows(), element::f16) == 2.0);
  CHECK(bounds(all, 1, element::f16)[0] == 2 * 2 * 0x1p-4 + 0x1p-4);
}

TEST_CASE("bound: an error below a step does not narrow the bound") {
  told all{{1.0}, {1.0 + 0x1p-12}, {0}};
  CHECK(yardstick_error(all.rows(), element::f16) == 0.25);
  CHECK(bounds(all, 4, element::f16)[0] == 2 * 0x1p-10);
}

TEST_CASE("bound: what is not finite takes no part in the yardstick's error") {
  told all{{1.0, infinite, quiet_nan, 1e6, 1.0, 1.0},
           {1.0 + 0x1p-9, infinite, quiet_nan, infinite, quiet_nan, 1.0},
           {0, 0, 0, 0, 0, quiet_nan}};
  CHECK(yardstick_error(all.rows(), element::f16) == 2.0);
  const auto made = bounds(all, 4, element::f16);
  CHECK(made[0] == 4 * 0x1p-10);
  CHECK(made[1] == 0.0);
  CHECK(made[2] == 0.0);
  CHECK(made[3] == 4 * 32.0);
  CHECK(made[4] == 4 * 0x1p-10);
  CHECK(std::isnan(made[5]));  // compare() refuses it
}

TEST_CASE("bound: nothing finite, or nothing at all, is no error") {
  told none;
  CHECK(yardstick_error(none.rows(), element::f32) == 0.0);
  told all{{infinite}, {infinite}, {1}};
  CHECK(yardstick_error(all.rows(), element::f32) == 0.0);
}

TEST_CASE("bound: a negative condition is not taken for a small one") {
  const auto made = bounds({{1.0}, {1.0}, {-1e9}}, 4, element::f32);
  CHECK(made[0] < 0.0);  // compare() refuses it
}

TEST_CASE("bound: spans that differ in length are the caller's fault") {
  std::vector<double> one(1, 1.0), two(2, 1.0);
  const auto try_with = [&](std::span<double> a, std::span<double> b,
                            std::span<double> c, std::span<double> d) {
    return make_bounds({0, 1, 2, a, b, c}, {}, element::f32, d);
  };
  CHECK(try_with(two, two, two, two).ok());
  CHECK(try_with(one, two, two, two).error().why == reason::bad_argument);
  CHECK(try_with(two, one, two, two).error().why == reason::bad_argument);
  CHECK(try_with(two, two, one, two).error().why == reason::bad_argument);
  CHECK(try_with(two, two, two, one).error().why == reason::bad_argument);
}

TEST_CASE("bound: the factor c must be a plain number") {
  std::vector<double> one(1, 1.0), made(1);
  for (const double c : {-1.0, infinite, quiet_nan})
    CHECK(make_bounds({0, 1, 1, one, one, one}, {c, ""}, element::f32, made)
              .error()
              .why == reason::bad_argument);
}

// ---- a row norm, y = (x - mean) / sqrt(var + eps), in many ways -----------

namespace {

using row_kernel = std::function<void(const std::vector<double>& x, double eps,
                                      std::vector<double>& y)>;

// Sums in the order of the indexes, by 32 lanes, from the end, or by pairs.
enum class order { serial, lanes, backward, pairs };

template <typename Number, typename Term>
Number sum(std::size_t n, order how, Term term) {
  if (how == order::pairs) {
    std::vector<Number> parts(n);
    for (std::size_t i = 0; i < n; ++i) parts[i] = term(i);
    for (; parts.size() > 1; parts.resize((parts.size() + 1) / 2))
      for (std::size_t i = 0; 2 * i < parts.size(); ++i)
        parts[i] = 2 * i + 1 < parts.size()
                       ? static_cast<Number>(parts[2 * i] + parts[2 * i + 1])
                       : parts[2 * i];
    return parts[0];
  }
  const std::size_t lanes = how == order::lanes ? 32 : 1;
  std::vector<Number> part(lanes, Number(0));
  for (std::size_t i = 0; i < n; ++i)
    part[i % lanes] = static_cast<Number>(
        part[i % lanes] + term(how == order::backward ? n - 1 - i : i));
  Number all = part[0];
  for (std::size_t i = 1; i < lanes; ++i) all = static_cast<Number>(all + part[i]);
  return all;
}

row_kernel two_pass(order how) {
  return [how](const std::vector<double>& x, double eps, std::vector<double>& y) {
    const std::size_t n = x.size();
    const auto at = [&](std::size_t i) { return static_cast<float>(x[i]); };
    const float mean = sum<float>(n, how, at) / static_cast<float>(n);
    const float var = sum<float>(n, how, [&](std::size_t i) {
                        return (at(i) - mean) * (at(i) - mean);
                      }) / static_cast<float>(n);
    const float rstd = 1.0f / std::sqrt(var + static_cast<float>(eps));
    for (std::size_t i = 0; i < n; ++i) y[i] = (at(i) - mean) * rstd;
  };
}

// Welford's mean and sum of squares by 32 lanes, merged as Chan has it. (By a
// single lane it is less exact than any sum: over 4099 columns of 1000 +- 1 in
// bfloat16 its mean stops moving, and it is off by seven bounds.)
void welford(const std::vector<double>& x, double eps, std::vector<double>& y) {
  struct part {
    float count = 0, mean = 0, squares = 0;
  };
  std::vector<part> lanes(32);
  for (std::size_t i = 0; i < x.size(); ++i) {
    part& lane = lanes[i % 32];
    const auto v = static_cast<float>(x[i]);
    lane.count += 1;
    const float step = v - lane.mean;
    lane.mean += step / lane.count;
    lane.squares += step * (v - lane.mean);
  }
  for (std::size_t half = 16; half > 0; half /= 2)
    for (std::size_t i = 0; i < half; ++i) {
      part& a = lanes[i];
      const part& b = lanes[i + half];
      const float count = a.count + b.count;
      if (count == 0) continue;
      const float step = b.mean - a.mean;
      a.mean += step * (b.count / count);
      a.squares += b.squares + step * step * (a.count * b.count / count);
      a.count = count;
    }
  const float rstd = 1.0f / std::sqrt(lanes[0].squares / lanes[0].count +
                                      static_cast<float>(eps));
  for (std::size_t i = 0; i < x.size(); ++i)
    y[i] = (static_cast<float>(x[i]) - lanes[0].mean) * rstd;
}

void one_pass(const std::vector<double>& x, double eps, std::vector<double>& y) {
  const auto n = static_cast<float>(x.size());
  const auto at = [&](std::size_t i) { return static_cast<float>(x[i]); };
  const float mean = sum<float>(x.size(), order::lanes, at) / n;
  const float square = sum<float>(x.size(), order::lanes, [&](std::size_t i) {
                         return at(i) * at(i);
                       }) / n;
  const float rstd = 1.0f / std::sqrt(std::max(square - mean * mean, 0.0f) +
                                      static_cast<float>(eps));
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = (at(i) - mean) * rstd;
}

void without_eps(const std::vector<double>& x, double, std::vector<double>& y) {
  two_pass(order::lanes)(x, 0.0, y);
}

// Sums that are rounded to half after every step.
void half_sums(const std::vector<double>& x, double eps, std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  const auto half = [](double v) { return rounded(element::f16, v); };
  double mean = 0, var = 0;
  for (const double v : x) mean = half(mean + v);
  mean = half(mean / n);
  for (const double v : x) var = half(var + half((v - mean) * (v - mean)));
  const double rstd = half(1.0 / std::sqrt(half(var / n) + eps));
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = half(x[i] - mean) * rstd;
}

// Judges a kernel on `rows` rows as one block, c and condition as a family
// would have them.
agreement judged(const row_kernel& kernel, const fill& of, std::int64_t rows,
                 std::int64_t cols, double eps, element type) {
  const auto width = static_cast<std::size_t>(cols);
  told all;
  std::vector<double> actual, x(width), y(width);
  for (std::int64_t r = 0; r < rows; ++r) {
    make_elements(of, 11, type, r * cols, std::span(x));
    double mean = 0, size = 0, var = 0;
    for (const double v : x) {
      mean += v / static_cast<double>(cols);
      size += std::abs(v) / static_cast<double>(cols);
    }
    for (const double v : x)
      var += (v - mean) * (v - mean) / static_cast<double>(cols);
    const double rstd = 1 / std::sqrt(var + eps);
    two_pass(order::lanes)(x, eps, y);
    for (std::size_t i = 0; i < width; ++i) {
      all.expected.push_back((x[i] - mean) * rstd);
      all.yardstick.push_back(rounded(type, y[i]));
      all.condition.push_back((2 + std::sqrt(static_cast<double>(cols)) / 4) *
                              (std::abs(x[i] - mean) + size) * rstd);
    }
    kernel(x, eps, y);
    for (const double v : y) actual.push_back(rounded(type, v));
  }
  const auto made = bounds(all, 4, type);
  const auto seen = compare(all.expected, actual, made, type);
  REQUIRE(seen.ok());
  return seen.value();
}

fill normal(double scale, double offset) {
  fill made;
  made.scale = scale;
  made.offset = offset;
  return made;
}

}  // namespace

TEST_CASE("bound: right kernels pass, whatever their order of summation") {
  for (const element type : all_elements)
    for (const double offset : {0.0, 1.0, 100.0, 1000.0})
      for (const double scale : {1.0, 1e-4, 30.0})
        for (const std::int64_t cols : {1, 2, 33, 1000, 4099}) {
          const fill of = normal(scale, offset);
          for (const order how :
               {order::serial, order::lanes, order::backward, order::pairs})
            CHECK(judged(two_pass(how), of, 6, cols, 1e-5, type).agrees());
          CHECK(judged(welford, of, 6, cols, 1e-5, type).agrees());
        }
}

TEST_CASE("bound: the one-pass variance fails where the mean is large") {
  for (const element type : all_elements)
    CHECK_FALSE(
        judged(one_pass, normal(1, 1000), 6, 1000, 1e-5, type).agrees());
  // At mean 100 float shows it; bfloat16 rounds it away.
  CHECK_FALSE(
      judged(one_pass, normal(1, 100), 6, 1000, 1e-5, element::f32).agrees());
  // And where the mean is small it is no mistake.
  CHECK(judged(one_pass, normal(1, 0), 6, 1000, 1e-5, element::f32).agrees());
}

TEST_CASE("bound: a missing eps fails where the variance is small") {
  for (const element type : all_elements)
    CHECK_FALSE(
        judged(without_eps, normal(1e-3, 0), 6, 1000, 1e-5, type).agrees());
  CHECK_FALSE(judged(without_eps, normal(1, 0), 6, 1000, 1e-5, element::f32)
                  .agrees());
}

TEST_CASE("bound: sums in half precision fail") {
  for (const element type : {element::f32, element::f16})
    for (const double offset : {0.0, 10.0})
      CHECK_FALSE(
          judged(half_sums, normal(1, offset), 6, 1000, 1e-5, type).agrees());
}

TEST_CASE("bound: trivial answers fail") {
  const row_kernel zeros = [](const std::vector<double>&, double,
                              std::vector<double>& y) {
    std::fill(y.begin(), y.end(), 0.0);
  };
  const row_kernel copy = [](const std::vector<double>& x, double,
                             std::vector<double>& y) { y = x; };
  for (const element type : all_elements) {
    CHECK_FALSE(judged(zeros, normal(1, 0), 6, 100, 1e-5, type).agrees());
    CHECK_FALSE(judged(copy, normal(1, 0), 6, 100, 1e-5, type).agrees());
    CHECK_FALSE(judged(copy, normal(1, 0), 6, 16000, 1e-5, type).agrees());
  }
}

// ---- GELU with erf and with tanh ------------------------------------------

namespace {

agreement judged_gelu(const std::function<float(float)>& gelu, double scale,
                      element type) {
  std::vector<double> x(4000), gate(4000), actual, bound;
  make_elements(normal(1, 0), 5, type, 0, std::span(x));
  make_elements(normal(scale, 0), 6, type, 0, std::span(gate));
  told all;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double tail = std::erfc(-gate[i] / std::sqrt(2.0));
    const auto xf = static_cast<float>(x[i]), gf = static_cast<float>(gate[i]);
    const float honest =
        xf * (0.5f * gf * (1.0f + std::erf(gf * 0.70710678f)));
    all.expected.push_back(x[i] * gate[i] / 2 * tail);
    all.yardstick.push_back(rounded(type, honest));
    all.condition.push_back(std::abs(x[i] * gate[i]) / 2 *
                            (1 + std::abs(tail - 1)));
    actual.push_back(rounded(type, xf * gelu(gf)));
  }
  bound = bounds(all, 4, type);
  return compare(all.expected, actual, bound, type).value();
}

}  // namespace

TEST_CASE("bound: both honest forms of GELU pass") {
  for (const element type : all_elements)
    for (const double scale : {1.0, 3.0}) {
      CHECK(judged_gelu(
                [](float g) {
                  return g * 0.5f * (1.0f + std::erf(g / std::sqrt(2.0f)));
                },
                scale, type)
                .agrees());
      CHECK(judged_gelu(
                [](float g) {
                  return 0.5f * g * std::erfc(-g * 0.70710678f);
                },
                scale, type)
                .agrees());
    }
}

TEST_CASE("bound: tanh for erf fails in every element type") {
  for (const element type : all_elements)
    CHECK_FALSE(judged_gelu(
                    [](float g) {
                      return 0.5f * g *
                             (1.0f + std::tanh(0.7978845608f *
                                               (g + 0.044715f * g * g * g)));
                    },
                    3.0, type)
                    .agrees());
}
