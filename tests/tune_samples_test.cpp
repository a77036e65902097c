#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <skillbench/stats.hpp>
#include <skillbench/tune_samples.hpp>

using namespace skillbench;

namespace {

tuning_space grid() {
  std::vector<tuning_parameter> all(2);
  all[0].name = "a";
  all[1].name = "b";
  for (std::int64_t i = 0; i < 8; ++i) {
    all[0].values.push_back(i);
    all[1].values.push_back(i);
  }
  return tuning_space::build(std::move(all), {}).value();
}

double truth(const configuration& at) {
  const double a = at.number("a") - 5, b = at.number("b") - 2;
  return 10 + a * a + 2 * b * b;
}

// 5% of noise with a heavy tail to the slow side, and a machine that gets 50%
// slower over some thousand samples.
struct noisy {
  draws_of_seed random;
  std::size_t count = 0;
  double drift = 0;
  std::map<std::string, std::size_t> of_each = {};

  double operator()(const configuration& at) {
    ++of_each[at.words()];
    const double late = 1 + drift * static_cast<double>(++count) / 4000;
    const double noise = 1 + 0.05 * -std::log(1 - random.unit());
    return truth(at) * late * noise;
  }
};

}  // namespace

TEST_CASE("tune_samples: the hopeless are cut after a few samples, the rest are not") {
  const tuning_space space = grid();
  noisy of{draws_of_seed(7)};
  const auto made = tune_samples(space, of, {.limits = {.trials = 64}});
  REQUIRE(made.ok());
  const tuned_samples& told = made.value();
  CHECK(told.trials.size() == 64);
  CHECK(told.trials.front().at.words() == "a=0 b=0");
  double best = 0;
  std::size_t cut = 0, again = 0;
  for (const sampled_trial& each : told.trials) {
    REQUIRE(each.cost);
    cut += each.cut;
    again += each.again;
    if (each.cut) {
      CHECK(each.samples == 3);
      // What is cut is truly beyond what noise can do to a good one.
      CHECK(truth(each.at) > 1.5 * best);
    } else {
      CHECK(each.samples == (each.again ? 20 : 10));
    }
    if (best == 0 || truth(each.at) < best) best = truth(each.at);
  }
  CHECK(cut > 5);
  CHECK(again > 1);
  CHECK(again < 20);
}

TEST_CASE("tune_samples: an interval holds the true ratio as often as it says, drift or not") {
  const tuning_space space = grid();
  int right = 0, all = 0, good = 0;
  constexpr int turns = 60;
  for (int seed = 1; seed <= turns; ++seed) {
    noisy of{draws_of_seed(static_cast<std::uint64_t>(seed)), 0, 0.5};
    const auto made =
        tune_samples(space, of,
                     {.limits = {.trials = 40},
                      .seed = static_cast<std::uint64_t>(seed)});
    REQUIRE(made.ok());
    const tuned_samples& told = made.value();
    REQUIRE(told.best);
    REQUIRE(told.over_default);
    REQUIRE_FALSE(told.over_default->exact());
    const double wanted =
        truth(told.trials.front().at) / truth(told.trials[*told.best].at);
    ++all;
    right += *told.over_default->low <= wanted && wanted <= *told.over_default->high;
    good += truth(told.trials[*told.best].at) <= 11;
  }
  // 95% of 60 is 57; a binomial of 60 and 0.95 is below 51 once in 1400.
  CHECK(right >= 51);
  // The best is 10, its nearest neighbours 11 and 12: 10% apart, noise of 5% in
  // each of ten samples.
  CHECK(good > turns * 9 / 10);
}

TEST_CASE("tune_samples: a drift that is linear falls out of each round") {
  const tuning_space space = grid();
  std::size_t count = 0;
  const auto of = [&](const configuration& at) {
    return truth(at) * (1 + 0.01 * static_cast<double>(count++));
  };
  const auto made = tune_samples(space, of, {.limits = {.trials = 20}});
  REQUIRE(made.ok());
  const tuned_samples& told = made.value();
  REQUIRE(told.over_runner_up);
  const auto wanted = doctest::Approx(truth(told.trials[*told.runner_up].at) /
                                      truth(told.trials[*told.best].at))
                          .epsilon(1e-9);
  CHECK(told.over_runner_up->times == wanted);
  CHECK(*told.over_runner_up->low == wanted);
  CHECK(*told.over_runner_up->high == wanted);
}

TEST_CASE("tune_samples: a lucky trial is sampled again and does not win by luck") {
  const tuning_space space = grid();
  // One configuration gives ten samples at a tenth of its cost, once.
  std::size_t lucky = 0;
  const auto of = [&](const configuration& at) {
    if (at.integer("a") == 0 && at.integer("b") == 7 && ++lucky <= 10) return 1.0;
    return truth(at);
  };
  const auto made = tune_samples(space, of, {.limits = {.trials = 64}});
  REQUIRE(made.ok());
  CHECK(lucky == 20);
  CHECK(made.value().trials[*made.value().best].at.words() == "a=5 b=2");
  CHECK(made.value().over_default->times == doctest::Approx(43.0 / 10));
}

TEST_CASE("tune_samples: a runner-up that is faster for certain takes the place") {
  const auto space = tuning_space::build(
      {{"a", {std::int64_t{0}, std::int64_t{1}}}}, {}).value();
  // The second looks slower until the confirmation.
  std::size_t count = 0;
  const auto of = [&](const configuration& at) {
    ++count;
    return at.integer("a") == 0 ? 10.0 : count <= 30 ? 11.0 : 5.0;
  };
  const auto made = tune_samples(space, of, {.limits = {.trials = 5}});
  REQUIRE(made.ok());
  CHECK(made.value().trials[*made.value().best].at.integer("a") == 1);
  CHECK(made.value().over_runner_up->times == doctest::Approx(2));
  CHECK(made.value().over_default->times == doctest::Approx(2));
}

TEST_CASE("tune_samples: the default takes the place of what is slower for certain") {
  const auto space = tuning_space::build(
      {{"a", {std::int64_t{0}, std::int64_t{1}, std::int64_t{2}}}}, {}).value();
  // Two look faster than the default until the confirmation.
  std::size_t count = 0;
  const auto of = [&](const configuration& at) {
    const bool late = ++count > 60;
    return at.integer("a") == 0 ? 10.0 : at.integer("a") == 1 ? (late ? 12.5 : 8.0) : late ? 14.0 : 9.0;
  };
  const auto made = tune_samples(space, of, {.limits = {.trials = 5}});
  REQUIRE(made.ok());
  CHECK(count > 60);
  CHECK(*made.value().best == 0);
  CHECK_FALSE(made.value().over_default);
  REQUIRE(made.value().runner_up);
  CHECK(made.value().trials[*made.value().runner_up].at.integer("a") == 1);
  CHECK(made.value().over_runner_up->times == doctest::Approx(1.25));
}

TEST_CASE("tune_samples: failures are trials, and nothing wins where all fail") {
  const tuning_space space = grid();
  const auto some = tune_samples(
      space,
      [](const configuration& at) {
        return at.integer("a") == 5 ? std::optional<double>()
                                    : std::optional(truth(at));
      },
      {.limits = {.trials = 64}});
  REQUIRE(some.ok());
  CHECK(some.value().trials[*some.value().best].at.integer("a") != 5);
  const auto none = tune_samples(
      space, [](const configuration&) { return std::optional<double>(); },
      {.limits = {.trials = 9}});
  REQUIRE(none.ok());
  CHECK(none.value().trials.size() == 9);
  CHECK_FALSE(none.value().best);
  CHECK_FALSE(none.value().over_default);

  const auto zero = tune_samples(space, [](const configuration&) { return 0.0; });
  REQUIRE_FALSE(zero.ok());
  CHECK(zero.error().what.find("a=0 b=0") != std::string::npos);
  const auto broken = tune_samples(
      space, [](const configuration&) -> result<double> {
        return fault{reason::io, "gone"};
      });
  REQUIRE_FALSE(broken.ok());
  CHECK(broken.error().what == "gone");
  CHECK_FALSE(tune_samples(space, truth, {}, {.few = 0}).ok());
  CHECK_FALSE(tune_samples(space, truth, {}, {.few = 5, .each = 4}).ok());
  CHECK_FALSE(tune_samples(space, truth, {}, {.rounds = 5}).ok());
  CHECK_FALSE(tune_samples(space, truth, {.limits = {}, .strategy = "guess"}).ok());
}
