#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <skillbench/inputs.hpp>
#include <skillbench/recording.hpp>
#include <skillbench/tuners/prior.hpp>
#include <skillbench/tuners/replay.hpp>
#include <skillbench/tuners/strategies.hpp>

using namespace skillbench;

TEST_CASE("prior: ranks agree from -1 to 1, ties at their mean") {
  CHECK(rank_correlation({1, 2, 3, 4}, {10, 20, 30, 1e9}) == doctest::Approx(1));
  CHECK(rank_correlation({1, 2, 3, 4}, {4, 3, 2, 1}) == doctest::Approx(-1));
  // Ranks 0 1.5 1.5 3 and 0 1 2 3: 4.5 over the root of 4.5 times 5.
  CHECK(rank_correlation({1, 5, 5, 9}, {1, 2, 3, 4}) ==
        doctest::Approx(4.5 / std::sqrt(22.5)));
  CHECK(rank_correlation({1, 1, 1}, {1, 2, 3}) == 0);
  CHECK(rank_correlation({}, {}) == 0);
  CHECK(rank_correlation({1}, {1}) == 0);
}

TEST_CASE("prior: one that agrees is believed ever more, one that does not soon not at all") {
  CHECK(trust_of(0, 0) == first_trust);
  double before = 0;
  for (const std::size_t n : {10u, 30u, 100u, 1000u}) {
    const double now = trust_of(0.9, n);
    CHECK(now > before);
    CHECK(now <= 1);
    before = now;
    CHECK(trust_of(-0.9, n) == 0);
    CHECK(trust_of(0, n) <= first_trust * first_trust_counts / 10);
    // Chance agrees as much as that.
    CHECK(trust_of(0.5 / std::sqrt(static_cast<double>(n)), n) < 0.1);
  }
  CHECK(trust_of(-1, 3) == 0);
}

namespace {

// A number from 0 to 1 that has nothing to do with anything.
double chance(std::uint64_t of, std::uint64_t seed) {
  return static_cast<double>(mix(mix(99, seed), of) >> 11) * 0x1p-53;
}

// 3,600 configurations, of which an eighth fail. What a value of one parameter
// is worth depends on others.
recording mountains() {
  std::vector<tuning_parameter> parameters(5);
  const std::vector<std::vector<std::int64_t>> values = {
      {16, 32, 64, 128, 256}, {1, 2, 4, 8, 16}, {1, 2, 3, 4, 5, 6, 7, 8},
      {0, 1, 2}, {1, 2, 3, 5, 8, 12}};
  const char* const names[] = {"x", "y", "tile", "method", "unroll"};
  for (std::size_t i = 0; i < 5; ++i) {
    parameters[i].name = names[i];
    for (const std::int64_t each : values[i]) parameters[i].values.emplace_back(each);
  }
  std::vector<recorded_trial> lines;
  for (std::uint16_t x = 0; x < 5; ++x)
    for (std::uint16_t y = 0; y < 5; ++y)
      for (std::uint16_t tile = 0; tile < 8; ++tile)
        for (std::uint16_t method = 0; method < 3; ++method)
          for (std::uint16_t unroll = 0; unroll < 6; ++unroll) {
            recorded_trial one;
            one.at = {x, y, tile, method, unroll};
            if (x + y > 6) {
              one.failure = "too many threads";
            } else {
              const double rough =
                  0.05 * chance(static_cast<std::uint64_t>(x * 8 + tile), 1) +
                  0.05 * chance(static_cast<std::uint64_t>(y * 6 + unroll), 2) +
                  0.05 * chance(static_cast<std::uint64_t>(method * 8 + tile), 3);
              one.cost = std::exp(0.25 * std::abs(x + y - 4) +
                                  0.08 * std::abs(tile - 5) +
                                  0.1 * std::abs(unroll - 2) + rough);
            }
            lines.push_back(one);
          }
  return recorded(parameters, lines).value();
}

// Trials until 95% of the best are reached, the mean over seeds; at most 200.
double needed(const recording& from, std::string_view named,
              const std::function<prior(std::uint64_t)>& before) {
  constexpr int seeds = 10;
  double sum = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const auto run = replay(
        from,
        *make_strategy(named, from.space, seed, before ? before(seed) : prior{})
             .value(),
        200);
    sum += static_cast<double>(
        std::find_if(run.begin(), run.end(),
                     [](double each) { return each >= 0.95; }) -
        run.begin() + 1);
  }
  return sum / seeds;
}

double cost_of(const recording& from, std::uint64_t index) {
  return from.costs[index].value_or(50.0);
}

}  // namespace

TEST_CASE("prior: a good one saves trials, a useless or a lying one costs few") {
  const recording from = mountains();
  for (const std::string_view named : {"portfolio", "surrogate"}) {
    CAPTURE(named);
    const double without = needed(from, named, {});
    const double good = needed(from, named, [&](std::uint64_t seed) {
      return [&from, seed](std::uint64_t i) -> std::optional<double> {
        return 1e-6 * cost_of(from, i) *
               std::exp(0.3 * (chance(i, seed) + chance(i, seed + 100) - 1));
      };
    });
    const double useless = needed(from, named, [](std::uint64_t seed) {
      return [seed](std::uint64_t i) -> std::optional<double> {
        return std::exp(2 * chance(i, seed));
      };
    });
    const double lying = needed(from, named, [&](std::uint64_t) {
      return [&from](std::uint64_t i) -> std::optional<double> {
        return 1 / cost_of(from, i);
      };
    });
    MESSAGE(named, ": ", without, " trials without, ", good, " good, ", useless,
            " useless, ", lying, " lying");
    CHECK(without > 12);
    CHECK(good < 0.5 * without);
    CHECK(useless < 1.5 * without + 4);
    CHECK(lying < 1.5 * without + 4);
  }
}

TEST_CASE("prior: one that says nothing, or no number, is no harm") {
  const recording from = mountains();
  const double bad[] = {std::numeric_limits<double>::quiet_NaN(),
                        std::numeric_limits<double>::infinity(), -1, 0};
  for (int kind = 0; kind < 5; ++kind) {
    const prior odd = [&](std::uint64_t i) -> std::optional<double> {
      if (kind == 4 || i % 3 == 0) return std::nullopt;
      return bad[kind];
    };
    auto by = make_strategy("portfolio", from.space, 1, odd);
    REQUIRE(by.ok());
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 30; ++i) {
      const auto next = by.value()->propose(1);
      REQUIRE(next.size() == 1);
      CHECK(seen.insert(next.front()).second);
      by.value()->learn(next.front(), from.costs[next.front()]);
    }
  }
}

TEST_CASE("prior: the first proposal is the one it thinks best of, in a large space too") {
  std::vector<tuning_parameter> parameters(2);
  parameters[0].name = "a";
  parameters[1].name = "b";
  for (std::int64_t i = 0; i < 120; ++i)
    for (tuning_parameter& each : parameters) each.values.emplace_back(i);
  const auto space = tuning_space::build(std::move(parameters), {});
  REQUIRE(space.ok());
  const std::uint64_t best = space.value().size() / 2 + 17;
  const prior thought = [&](std::uint64_t i) -> std::optional<double> {
    return 1 + std::abs(static_cast<double>(i) - static_cast<double>(best));
  };
  for (const std::string_view named : {"portfolio", "surrogate"}) {
    auto by = make_strategy(named, space.value(), 3, thought);
    REQUIRE(by.ok());
    CHECK(by.value()->propose(1).front() == best);
  }
}

TEST_CASE("prior: a strategy that would not listen to it says so") {
  const recording from = mountains();
  for (const std::string_view named : strategy_names) {
    const auto made = make_strategy(named, from.space, 1,
                                    [](std::uint64_t) { return std::optional(1.0); });
    CHECK(made.ok() == takes_prior(named));
    if (!made.ok())
      CHECK(made.error().what.find("takes no prior") != std::string::npos);
  }
}
