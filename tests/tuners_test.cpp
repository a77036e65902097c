#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/compile.hpp>
#include <skillbench/tuners/default_first.hpp>
#include <skillbench/tuners/random.hpp>
#include <skillbench/tuners/replay.hpp>
#include <skillbench/tuners/settings.hpp>
#include <skillbench/tuners/strategies.hpp>

using namespace skillbench;

namespace {

expression parsed(std::string_view text) {
  auto made = expression::parse(text);
  REQUIRE(made);
  return std::move(made).value();
}

manifest tunables(std::vector<tunable> tune,
                  std::vector<std::string> constraints = {}) {
  manifest made;
  made.tune = std::move(tune);
  for (const std::string& each : constraints)
    made.constraints.push_back(parsed(each));
  return made;
}

manifest small() {
  return tunables({{"A", {4, 2, 1}}, {"B", {10, 20}}}, {"A * B <= 40"});
}

std::string words(const setting& of) {
  return of.empty() ? "" : setting_words(of);
}

std::vector<std::string> tried_words(const searched& made) {
  std::vector<std::string> all;
  for (const trial& each : made.trials) all.push_back(words(each.tried));
  return all;
}

// The product of the values.
result<std::optional<double>> product(const setting& of) {
  double cost = 1;
  for (const auto& [name, value] : of) cost *= number_of(value).value_or(1);
  return std::optional(cost);
}

}  // namespace

TEST_CASE("tuners: exhaustive tries all, the default first, within constraints") {
  const auto made = search_exhaustively(small(), element::f32, product);
  REQUIRE(made.ok());
  auto all = tried_words(made.value());
  CHECK(all.front() == "A=4 B=10");
  std::sort(all.begin(), all.end());
  CHECK(all == std::vector<std::string>{"A=1 B=10", "A=1 B=20", "A=2 B=10",
                                        "A=2 B=20", "A=4 B=10"});
  CHECK(made.value().ended == search_end::exhausted);
  REQUIRE(made.value().best);
  CHECK(words(made.value().trials[*made.value().best].tried) == "A=1 B=10");
  // The first is what is judged when nothing is tuned.
  const auto first = default_setting(small(), element::f32);
  REQUIRE(first.ok());
  CHECK(first.value() == made.value().trials.front().tried);
}

TEST_CASE("tuners: random tries the same, each once, in the seed's order") {
  const auto all = search_exhaustively(small(), element::f32, product);
  std::set<std::vector<std::string>> orders;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto made = search_randomly(small(), element::f32, product, seed);
    REQUIRE(made.ok());
    CHECK(made.value().ended == search_end::exhausted);
    auto seen = tried_words(made.value());
    orders.insert(seen);
    const auto again = search_randomly(small(), element::f32, product, seed);
    CHECK(tried_words(again.value()) == seen);
    auto wanted = tried_words(all.value());
    std::sort(seen.begin(), seen.end());
    std::sort(wanted.begin(), wanted.end());
    CHECK(seen == wanted);
    CHECK(words(made.value().trials[*made.value().best].tried) == "A=1 B=10");
  }
  CHECK(orders.size() > 10);
}

TEST_CASE("tuners: constraints see the size of the element type") {
  const manifest asked = tunables({{"V", {16, 8, 4}}}, {"V * sizeof_T <= 16"});
  const auto wide = search_exhaustively(asked, element::f32, product);
  const auto narrow = search_exhaustively(asked, element::f16, product);
  REQUIRE(wide.ok());
  REQUIRE(narrow.ok());
  CHECK(tried_words(wide.value()) == std::vector<std::string>{"V=4"});
  CHECK(tried_words(narrow.value()) == std::vector<std::string>{"V=8", "V=4"});
}

TEST_CASE("tuners: without tunables there is one setting, the empty one") {
  const auto made = search_exhaustively({}, element::f32, product);
  REQUIRE(made.ok());
  REQUIRE(made.value().trials.size() == 1);
  CHECK(made.value().trials[0].tried.empty());
  CHECK(made.value().best == 0u);
  CHECK(search_randomly({}, element::f32, product, 3).value().trials.size() ==
        1);
}

TEST_CASE("tuners: limits stop a search, and it says which one") {
  const auto ended = [](const search_limits& limits) {
    const auto made =
        search_exhaustively(small(), element::f32, product, limits);
    REQUIRE(made.ok());
    return std::pair(made.value().trials.size(), made.value().ended);
  };
  CHECK(ended({.trials = 3}) == std::pair(std::size_t{3}, search_end::trials));
  CHECK(ended({.trials = 5}) == std::pair(std::size_t{5}, search_end::exhausted));
  CHECK(ended({.trials = 100}) ==
        std::pair(std::size_t{5}, search_end::exhausted));
  CHECK(ended({.trials = 100, .target = 1e6}) ==
        std::pair(std::size_t{1}, search_end::target));
  CHECK(ended({.trials = 100, .seconds = 1e-12}).second == search_end::seconds);
  for (const search_limits& none :
       {search_limits{.trials = 0}, search_limits{.trials = -1},
        search_limits{.seconds = -1}, search_limits{.without_improvement = -1}}) {
    const auto refused =
        search_exhaustively(small(), element::f32, product, none);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().why == reason::bad_argument);
  }
  const auto flat = search_exhaustively(
      small(), element::f32,
      [](const setting&) -> result<std::optional<double>> {
        return std::optional(1.0);
      },
      {.without_improvement = 2});
  CHECK(flat.value().trials.size() == 3);
  CHECK(flat.value().ended == search_end::no_improvement);
}

TEST_CASE("tuners: a setting that cannot be had is a trial without a cost") {
  const auto made = search_exhaustively(
      small(), element::f32,
      [](const setting& of) -> result<std::optional<double>> {
        if (of[0].second == tuning_value(1)) return std::optional<double>();
        return product(of);
      });
  REQUIRE(made.ok());
  CHECK(made.value().trials.size() == 5);
  CHECK(std::count_if(made.value().trials.begin(), made.value().trials.end(),
                      [](const trial& each) { return !each.cost; }) == 2);
  CHECK(words(made.value().trials[*made.value().best].tried) == "A=2 B=10");

  const auto none = search_exhaustively(
      small(), element::f32, [](const setting&) -> result<std::optional<double>> {
        return std::optional<double>();
      });
  CHECK_FALSE(none.value().best.has_value());
}

TEST_CASE("tuners: NaN is never the best, whenever it comes") {
  for (const std::int64_t bad : {4, 2, 1}) {
    const auto made = search_exhaustively(
        small(), element::f32,
        [&](const setting& of) -> result<std::optional<double>> {
          if (of[0].second == tuning_value(bad))
            return std::optional(std::numeric_limits<double>::quiet_NaN());
          return product(of);
        });
    REQUIRE(made.ok());
    REQUIRE(made.value().best);
    CHECK(number_of(made.value().trials[*made.value().best].tried[0].second) ==
          (bad == 1 ? 2 : 1));
  }
}

TEST_CASE("tuners: of equal costs the first is the best") {
  const auto made = search_exhaustively(
      small(), element::f32, [](const setting&) -> result<std::optional<double>> {
        return std::optional(1.0);
      });
  CHECK(made.value().best == 0u);
}

TEST_CASE("tuners: a fault of the objective ends the search") {
  int asked = 0;
  const auto made = search_exhaustively(
      small(), element::f32,
      [&](const setting&) -> result<std::optional<double>> {
        if (++asked == 2) return fault{reason::child_died, "the GPU is gone"};
        return std::optional(1.0);
      });
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().why == reason::child_died);
  CHECK(asked == 2);
}

TEST_CASE("tuners: what cannot be searched is refused") {
  const auto empty = search_exhaustively(tunables({{"A", {}}}), element::f32,
                                         product);
  REQUIRE_FALSE(empty.ok());
  CHECK(empty.error().why == reason::bad_input);
  const auto zero = search_exhaustively(tunables({{"A", {0}}}, {"1 / A"}),
                                        element::f32, product);
  REQUIRE_FALSE(zero.ok());
  CHECK(zero.error().what.find("`1 / A`") != std::string::npos);

  std::vector<tunable> many;
  for (int i = 0; i < 62; ++i)
    many.push_back({"A" + std::to_string(i), {1, 2}});
  const auto just = tuning_space::of(tunables(many), element::f32);
  REQUIRE(just.ok());
  CHECK(just.value().size() == std::uint64_t{1} << 62);
  many.push_back({"B", {1, 2}});
  CHECK_FALSE(tuning_space::of(tunables(many), element::f32).ok());
}

TEST_CASE("tuners: a huge space costs no memory and no time") {
  std::vector<tunable> many;
  for (int i = 0; i < 62; ++i)
    many.push_back({"A" + std::to_string(i), {1, 2}});
  const manifest asked = tunables(many);
  const auto made = search_randomly(asked, element::f32, product, 5,
                                    {.trials = 50});
  REQUIRE(made.ok());
  const auto seen = tried_words(made.value());
  CHECK(std::set<std::string>(seen.begin(), seen.end()).size() == 50);
}

TEST_CASE("tuners: a permutation gives every number once") {
  for (const std::int64_t size : {1, 2, 3, 4, 5, 7, 8, 9, 100, 1000, 4097}) {
    CAPTURE(size);
    const permutation order(size, 11);
    std::vector<bool> seen(static_cast<std::size_t>(size));
    std::int64_t stayed = 0;
    for (std::int64_t i = 0; i < size; ++i) {
      const std::int64_t at = order(i);
      REQUIRE(at >= 0);
      REQUIRE(at < size);
      CHECK_FALSE(seen[static_cast<std::size_t>(at)]);
      seen[static_cast<std::size_t>(at)] = true;
      stayed += at == i;
    }
    if (size >= 100) CHECK(stayed < size / 10);
  }
}

namespace {

// A kernel as it might be: a valley with a cliff, and a corner that fails.
recording valley() {
  std::vector<tuning_parameter> parameters(4);
  const std::vector<std::vector<std::int64_t>> values = {
      {16, 32, 64, 128, 256}, {1, 2, 4, 8, 16}, {1, 2, 3, 4, 5, 6, 7, 8},
      {0, 1, 2}};
  const char* const names[] = {"x", "y", "tile", "method"};
  for (std::size_t i = 0; i < 4; ++i) {
    parameters[i].name = names[i];
    for (const std::int64_t each : values[i]) parameters[i].values.emplace_back(each);
  }
  std::vector<recorded_trial> lines;
  for (std::uint16_t x = 0; x < 5; ++x)
    for (std::uint16_t y = 0; y < 5; ++y)
      for (std::uint16_t tile = 0; tile < 8; ++tile)
        for (std::uint16_t method = 0; method < 3; ++method) {
          recorded_trial one;
          one.at = {x, y, tile, method};
          const double threads = std::log2(16.0 * (1 << x) * (1 << y));
          if (threads > 10)
            one.failure = "too many threads";
          else
            one.cost = 1 + 0.3 * std::abs(threads - 8) + 0.1 * std::abs(tile - 5) +
                       (method == 1 ? 0 : 0.5) + 0.05 * y + (tile % 2 == 0 ? 0.2 : 0);
          lines.push_back(one);
        }
  return recorded(parameters, lines).value();
}

}  // namespace

TEST_CASE("tuners: every strategy names each configuration once, and all of them") {
  const recording from = valley();
  const auto size = static_cast<std::size_t>(from.space.size());
  for (const std::string_view named : strategy_names) {
    CAPTURE(named);
    if (named == "portfolio" || named == "surrogate") continue;  // below
    auto by = make_strategy(named, from.space, 3);
    REQUIRE(by.ok());
    std::set<std::uint64_t> seen;
    for (std::size_t batch = 1; seen.size() < size; batch = batch % 5 + 1) {
      const auto next = by.value()->propose(batch);
      REQUIRE_FALSE(next.empty());
      CHECK(next.size() <= batch);
      for (const std::uint64_t each : next) {
        CHECK(each < size);
        CHECK(seen.insert(each).second);
      }
      for (const std::uint64_t each : next)
        by.value()->learn(each, from.costs[each]);
    }
    CHECK(by.value()->propose(3).empty());
  }
  CHECK_FALSE(make_strategy("guess", from.space, 1).ok());
}

TEST_CASE("tuners: the same seed proposes the same, another one something else") {
  const recording from = valley();
  const auto played = [&](std::string_view named, std::uint64_t seed) {
    auto by = make_strategy(named, from.space, seed);
    std::vector<std::uint64_t> made;
    for (int i = 0; i < 15; ++i) {
      const auto next = by.value()->propose(2);
      made.insert(made.end(), next.begin(), next.end());
      for (const std::uint64_t each : next)
        by.value()->learn(each, from.costs[each]);
    }
    return made;
  };
  for (const std::string_view named : strategy_names) {
    CAPTURE(named);
    CHECK(played(named, 1) == played(named, 1));
    if (named != "exhaustive") CHECK(played(named, 1) != played(named, 2));
    const auto all = played(named, 4);
    CHECK(std::set<std::uint64_t>(all.begin(), all.end()).size() == 30);
  }
}

namespace {

// What one search of random trials without replacement finds after n of them, as
// a share of the optimum: mean and standard deviation, exactly.
std::pair<double, double> luck(const recording& from, std::size_t trials) {
  const std::vector<double> sorted = from.sorted();
  const auto size = static_cast<double>(from.costs.size());
  double mean = 0, squares = 0, none = 1;
  for (std::size_t k = 0; k < sorted.size(); ++k) {
    const double hit =
        std::min(1.0, static_cast<double>(trials) / (size - static_cast<double>(k)));
    const double share = sorted.front() / sorted[k];
    mean += none * hit * share;
    squares += none * hit * share * share;
    none *= 1 - hit;
  }
  return {mean, std::sqrt(squares - mean * mean)};
}

}  // namespace

// Searches that draw at random would be above this once in a thousand tests: the
// mean of so many of them, and 3.09 of its standard deviations.
TEST_CASE("tuners: every search finds what random trials do not, failures and all") {
  const recording from = valley();
  constexpr std::size_t trials = 40;
  const auto [mean, deviation] = luck(from, trials);
  CHECK(mean == doctest::Approx(expected_of_random(from, trials).back()));
  for (const std::string_view named :
       {"portfolio", "surrogate", "genetic", "annealing", "local"}) {
    CAPTURE(named);
    const bool slow = named == "portfolio" || named == "surrogate";
    const std::uint64_t seeds = slow ? 15 : 40;
    double sum = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
      sum += replay(from, *make_strategy(named, from.space, seed).value(), trials)
                 .back();
    const auto count = static_cast<double>(seeds);
    CHECK(sum / count > mean + 3.09 * deviation / std::sqrt(count));
  }
}

TEST_CASE("tuners: what is tried first is tried once, and the rest as ever") {
  const recording from = valley();
  for (const std::string_view named : {"exhaustive", "random", "local"}) {
    CAPTURE(named);
    default_first by(7, std::move(make_strategy(named, from.space, 1).value()));
    std::set<std::uint64_t> seen;
    for (std::size_t batch = 3;;) {
      const auto next = by.propose(batch);
      if (next.empty()) break;
      if (seen.empty()) CHECK(next.front() == 7);
      CHECK(next.size() <= batch);
      for (const std::uint64_t each : next) {
        CHECK(seen.insert(each).second);
        by.learn(each, from.costs[each]);
      }
    }
    CHECK(seen.size() == from.space.size());
  }
  default_first plain(std::nullopt, std::make_unique<exhaustive>(from.space));
  CHECK(plain.propose(2).size() == 2);
}

TEST_CASE("tuners: spaces of one, of failures alone and of one value each") {
  const std::vector<tuning_parameter> one = {{"a", {std::int64_t{1}}},
                                             {"b", {std::string("x")}}};
  const auto single = tuning_space::build(one, {});
  const auto some = tuning_space::build(
      {{"a", {std::int64_t{1}, std::int64_t{2}, std::int64_t{3}}},
       {"b", {std::string("x"), std::string("y"), std::string("z")}},
       {"c", {std::int64_t{0}, std::int64_t{7}}}},
      {});
  for (const std::string_view named : strategy_names) {
    CAPTURE(named);
    auto by = make_strategy(named, single.value(), 1);
    CHECK(by.value()->propose(4).size() == 1);
    by.value()->learn(0, 1.0);
    CHECK(by.value()->propose(4).empty());
    // Nothing runs, or all costs are the same, or zero.
    for (const std::optional<double> cost :
         {std::optional<double>(), std::optional(1.0), std::optional(0.0)}) {
      by = make_strategy(named, some.value(), 1);
      std::size_t count = 0;
      for (;;) {
        const auto next = by.value()->propose(1);
        if (next.empty()) break;
        ++count;
        by.value()->learn(next.front(), cost);
      }
      CHECK(count == 18);
    }
  }
}

TEST_CASE("tuners: the expectation of random trials is exact") {
  const std::vector<tuning_parameter> one = {
      {"a", {std::int64_t{1}, std::int64_t{2}, std::int64_t{3}}}};
  const auto from = recorded(one, {{{0}, 1.0}, {{1}, 2.0}, {{2}, std::nullopt, "x"}});
  REQUIRE(from.ok());
  const auto expected = expected_of_random(from.value(), 3);
  CHECK(expected[0] == doctest::Approx((1 + 0.5 + 0) / 3));
  // Of three pairs two hold the best, and one 2.0 and the failure.
  CHECK(expected[1] == doctest::Approx((1 + 1 + 0.5) / 3));
  CHECK(expected[2] == doctest::Approx(1));
}
