// Expected values are published ones or were computed independently; each says
// which.

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include <skillbench/stats.hpp>

using namespace skillbench;

namespace {

doctest::Approx near(double value, double slack = 5e-5) {
  return doctest::Approx(value).epsilon(0).scale(1).epsilon(slack);
}

estimate difference_of(const stratum& s) {
  const auto told = stratified_difference(std::span(&s, 1));
  REQUIRE(told.has_value());
  return *told;
}

}  // namespace

TEST_CASE("stats: Wilson's interval is the published one") {
  // R. G. Newcombe, Statistics in Medicine 17 (1998), p. 861, method 3.
  const struct {
    rate seen;
    double low, high;
  } published[] = {{{81, 263}, 0.2553, 0.3662},
                   {{15, 148}, 0.0624, 0.1605},
                   {{0, 20}, 0.0, 0.1611},
                   {{1, 29}, 0.0061, 0.1718}};
  for (const auto& each : published) {
    const auto told = wilson(each.seen);
    REQUIRE(told.has_value());
    CHECK(told->low == near(each.low));
    CHECK(told->high == near(each.high));
  }
  CHECK_FALSE(wilson({0, 0}).has_value());
}

TEST_CASE("stats: Wilson's interval ends at 0 and 1 and mirrors") {
  for (std::uint64_t n : {1u, 5u, 37u, 1000u})
    for (std::uint64_t x = 0; x <= n; ++x) {
      const auto one = *wilson({x, n}), other = *wilson({n - x, n});
      CHECK(one.low == near(1 - other.high, 1e-12));
      CHECK(one.low >= 0);
      CHECK(one.low <= static_cast<double>(x) / static_cast<double>(n));
      CHECK(one.high >= static_cast<double>(x) / static_cast<double>(n));
    }
  CHECK(wilson({0, 7})->low == 0);
  CHECK(wilson({7, 7})->high == 1);
}

TEST_CASE("stats: the score interval of a difference is the published one") {
  // R. G. Newcombe, Statistics in Medicine 17 (1998), p. 873, method 6, and for
  // 5/5 a maximum of the likelihood found on a grid.
  const struct {
    stratum seen;
    double low, high;
  } published[] = {{{{56, 70}, {48, 80}}, 0.0528, 0.3382},
                   {{{9, 10}, {3, 10}}, 0.1700, 0.8406},
                   {{{6, 7}, {2, 7}}, 0.0342, 0.8534},
                   {{{5, 56}, {0, 29}}, -0.0326, 0.1933},
                   {{{0, 10}, {0, 20}}, -0.1658, 0.2844},
                   {{{10, 10}, {0, 20}}, 0.7156, 1.0},
                   {{{5, 5}, {5, 5}}, -0.4605, 0.4605}};
  for (const auto& each : published) {
    const estimate told = difference_of(each.seen);
    CHECK(told.at95.low == near(each.low));
    CHECK(told.at95.high == near(each.high));
    const estimate turned = difference_of({each.seen.without, each.seen.with});
    CHECK(turned.at95.low == near(-told.at95.high, 1e-9));
    CHECK(turned.value == near(-told.value, 1e-12));
  }
}

TEST_CASE("stats: a stratified difference") {
  // The same likelihood maximised on a grid and solved by Brent's method.
  const stratum strata[] = {
      {{8, 10}, {5, 10}}, {{3, 10}, {2, 10}}, {{9, 20}, {6, 15}}};
  const auto told = stratified_difference(strata);
  REQUIRE(told.has_value());
  CHECK(told->value == near(0.130769231, 1e-8));
  CHECK(told->at95.low == near(-0.089763198, 1e-7));
  CHECK(told->at95.high == near(0.338286943, 1e-7));

  // A stratum with an empty arm says nothing.
  const stratum more[] = {strata[0], strata[1], strata[2], {{4, 4}, {0, 0}}};
  CHECK(stratified_difference(more)->value == told->value);
  const stratum nothing[] = {{{4, 4}, {0, 0}}};
  CHECK_FALSE(stratified_difference(nothing).has_value());
  CHECK_FALSE(stratified_difference({}).has_value());
}

TEST_CASE("stats: shuffled labels, counted out") {
  // Convolutions of scipy.stats.hypergeom, scipy 1.10.
  const stratum one[] = {
      {{8, 10}, {5, 10}}, {{3, 10}, {2, 10}}, {{9, 20}, {6, 15}}};
  CHECK(permutation_p(one) == near(0.3519892228, 1e-9));
  const stratum other[] = {
      {{5, 10}, {1, 10}}, {{7, 10}, {3, 10}}, {{10, 10}, {8, 10}}};
  CHECK(permutation_p(other) == near(0.0065096510, 1e-9));
  const stratum same[] = {{{5, 5}, {5, 5}}};
  CHECK(permutation_p(same) == 1);
  CHECK(permutation_p({}) == 1);
}

TEST_CASE("stats: Boschloo's test") {
  // scipy.stats.boschloo_exact 1.10, which looks for the worst rate finer.
  CHECK(unconditional_p({{74, 117}, {31, 63}}) == near(0.07112813, 2e-6));
  CHECK(unconditional_p({{7, 15}, {12, 15}}) == near(0.06821831, 2e-6));
  CHECK(unconditional_p({{1, 12}, {9, 12}}) == near(0.00102460, 2e-6));
  CHECK(unconditional_p({{3, 3}, {0, 0}}) == 1);
}

TEST_CASE("stats: no rate makes equal arms differ more often than it may") {
  // Every table of 8 and 11 draws, weighted by its chance.
  double p_of[9][12];
  for (std::uint64_t x1 = 0; x1 <= 8; ++x1)
    for (std::uint64_t x0 = 0; x0 <= 11; ++x0) {
      const stratum s{{x1, 8}, {x0, 11}};
      p_of[x1][x0] = difference_p(std::span(&s, 1));
      CHECK(p_of[x1][x0] <= permutation_p(std::span(&s, 1)));
    }
  for (int k = 1; k < 50; ++k) {
    const double p = k / 50.0;
    const auto with = stats_detail::binomial(8, p);
    const auto without = stats_detail::binomial(11, p);
    double said = 0;
    for (std::size_t x1 = 0; x1 <= 8; ++x1)
      for (std::size_t x0 = 0; x0 <= 11; ++x0)
        if (p_of[x1][x0] <= 0.05) said += with[x1] * without[x0];
    CHECK(said <= 0.05);
  }
}

TEST_CASE("stats: pairs that differ") {
  // scipy.stats.binomtest
  CHECK(mcnemar_p(3, 12) == near(0.03515625, 1e-12));
  CHECK(mcnemar_p(10, 0) == near(0.001953125, 1e-12));
  CHECK(mcnemar_p(4, 4) == 1);
  CHECK(mcnemar_p(0, 0) == 1);
}

TEST_CASE("stats: at least one of k") {
  // By listing: of 5 outputs with 2 right ones, 3 of the 10 pairs have none.
  CHECK(*pass_at_k({2, 5}, 2) == near(0.7, 1e-12));
  CHECK(*pass_at_k({2, 5}, 1) == near(0.4, 1e-12));
  CHECK(*pass_at_k({2, 5}, 4) == 1);
  CHECK(*pass_at_k({0, 5}, 5) == 0);
  CHECK_FALSE(pass_at_k({2, 5}, 6).has_value());
  CHECK_FALSE(pass_at_k({2, 5}, 0).has_value());
}

TEST_CASE("stats: Holm's correction") {
  const double p[] = {0.04, 0.01, 0.03, 0.005};
  const auto told = holm(p);
  CHECK(told[3] == near(0.02, 1e-12));
  CHECK(told[1] == near(0.03, 1e-12));
  CHECK(told[2] == near(0.06, 1e-12));
  CHECK(told[0] == near(0.06, 1e-12));  // never below one before it
  CHECK(holm({}).empty());
}

TEST_CASE("stats: draws for a difference") {
  // The formula computed with scipy's quantiles: 411.02, 106.69, 36.32.
  CHECK(*draws_for(0.55, 0.45) == 412);
  CHECK(*draws_for(0.4, 0.6) == 107);
  CHECK(*draws_for(0.675, 0.325) == 37);
  CHECK_FALSE(draws_for(0.5, 0.5).has_value());
}

TEST_CASE("stats: the bootstrap's interval is that of the normal quantile") {
  // 200 draws an arm, one task: the percentile interval must be close to 1.96
  // standard errors.
  samples_of_task one;
  draws_of_seed random(5);
  for (int i = 0; i < 200; ++i) {
    one.with.push_back(random.unit() + 1);
    one.without.push_back(random.unit());
  }
  const auto minus = [](double a, double b) { return a - b; };
  const auto told = bootstrap(std::span(&one, 1), minus, 3);
  REQUIRE(told.has_value());
  const double error = z_95 * std::sqrt(2 * (1.0 / 12) / 200);
  CHECK(told->value == near(1.0, 0.1));
  CHECK(told->at95.high - told->value == doctest::Approx(error).epsilon(0.1));
  CHECK(told->value - told->at95.low == doctest::Approx(error).epsilon(0.1));

  const auto again = bootstrap(std::span(&one, 1), minus, 3);
  CHECK(again->at95.low == told->at95.low);
  CHECK(bootstrap(std::span(&one, 1), minus, 4)->at95.low != told->at95.low);
}

TEST_CASE("stats: the bootstrap draws tasks too") {
  // Within a task nothing varies: all spread is between tasks.
  std::vector<samples_of_task> tasks;
  for (int t = 0; t < 10; ++t)
    tasks.push_back({{static_cast<double>(t)}, {0.0}});
  const auto minus = [](double a, double b) { return a - b; };
  const auto told = bootstrap(std::span<const samples_of_task>(tasks), minus, 3);
  REQUIRE(told.has_value());
  CHECK(told->value == near(4.5, 1e-12));
  // Standard deviation of 0..9 over the root of ten.
  CHECK(told->at95.high - 4.5 ==
        doctest::Approx(z_95 * 2.8723 / std::sqrt(10.0)).epsilon(0.1));
}

TEST_CASE("stats: what a bootstrap cannot tell") {
  const auto minus = [](double a, double b) { return a - b; };
  const samples_of_task lone{{1.0}, {2.0}}, half{{1.0, 2.0}, {}};
  CHECK_FALSE(bootstrap(std::span(&lone, 1), minus, 1).has_value());
  CHECK_FALSE(bootstrap(std::span(&half, 1), minus, 1).has_value());
  CHECK_FALSE(bootstrap({}, minus, 1).has_value());
}

TEST_CASE("stats: an arm against itself") {
  // 10 of 20 in halves of ten: |difference| is |2x - 10| / 10 with x
  // hypergeometric; P(|2x - 10| >= 6) = 0.0230, P(>= 4) = 0.1789.
  const rate arm{10, 20};
  CHECK(*noise_floor(std::span(&arm, 1), 1) == near(0.4, 1e-12));
  const rate sure{20, 20};
  CHECK(*noise_floor(std::span(&sure, 1), 1) == 0);
  const rate lone{1, 1};
  CHECK_FALSE(noise_floor(std::span(&lone, 1), 1).has_value());
}

TEST_CASE("stats: random numbers are the published ones") {
  // splitmix64 from the seed 1234567: the test values of its Rosetta page.
  draws_of_seed random(1234567);
  CHECK(random.next() == 6457827717110365317ull);
  CHECK(random.next() == 3203168211198807973ull);
  CHECK(random.next() == 9817491932198370423ull);
  for (int i = 0; i < 1000; ++i) CHECK(random.below(7) < 7);
}

TEST_CASE("stats: fast_p counts failures and asks for more than p") {
  const double times[] = {0.5, 1.0, 2.0};
  CHECK(fast_p(times, 4, 0).value() == 0.75);
  CHECK(fast_p(times, 4, 1).value() == 0.25);
  CHECK(fast_p(times, 4, 2).value() == 0);
  CHECK_FALSE(fast_p(times, 2, 1).has_value());  // more times than outputs
  CHECK_FALSE(fast_p({}, 0, 1).has_value());
}
