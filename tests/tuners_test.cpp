#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <skillbench/tuners/exhaustive.hpp>
#include <skillbench/tuners/random.hpp>

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
  std::string text;
  for (const auto& [name, value] : of)
    text += (text.empty() ? "" : " ") + name + "=" + std::to_string(value);
  return text;
}

std::vector<std::string> tried(const searched& made) {
  std::vector<std::string> all;
  for (const trial& each : made.trials) all.push_back(words(each.tried));
  return all;
}

// The product of the values.
result<std::optional<double>> product(const setting& of) {
  double cost = 1;
  for (const auto& [name, value] : of) cost *= static_cast<double>(value);
  return std::optional(cost);
}

}  // namespace

TEST_CASE("tuners: exhaustive goes in the manifest's order, within constraints") {
  const auto made = search_exhaustively(small(), element::f32, product);
  REQUIRE(made.ok());
  CHECK(tried(made.value()) ==
        std::vector<std::string>{"A=4 B=10", "A=2 B=10", "A=2 B=20", "A=1 B=10",
                                 "A=1 B=20"});
  CHECK(made.value().complete);
  CHECK(made.value().looked_at == 6);
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
    CHECK(made.value().complete);
    auto seen = tried(made.value());
    orders.insert(seen);
    const auto again = search_randomly(small(), element::f32, product, seed);
    CHECK(tried(again.value()) == seen);
    auto wanted = tried(all.value());
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
  CHECK(tried(wide.value()) == std::vector<std::string>{"V=4"});
  CHECK(tried(narrow.value()) == std::vector<std::string>{"V=8", "V=4"});
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

TEST_CASE("tuners: limits stop a search, and it says that it is not complete") {
  const auto three = search_exhaustively(small(), element::f32, product,
                                         {.trials = 3, .looked_at = 100});
  REQUIRE(three.ok());
  CHECK(three.value().trials.size() == 3);
  CHECK_FALSE(three.value().complete);
  const auto looked = search_exhaustively(small(), element::f32, product,
                                          {.trials = 100, .looked_at = 2});
  REQUIRE(looked.ok());
  CHECK(looked.value().looked_at == 2);
  CHECK(looked.value().trials.size() == 1);
  CHECK_FALSE(looked.value().complete);
  // A limit that is just reached cut nothing off.
  const auto five = search_exhaustively(small(), element::f32, product,
                                        {.trials = 6, .looked_at = 6});
  CHECK(five.value().complete);
  for (const search_limits& none :
       {search_limits{0, 1}, search_limits{1, 0}, search_limits{-1, 5}}) {
    const auto refused =
        search_exhaustively(small(), element::f32, product, none);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().why == reason::bad_argument);
  }
}

TEST_CASE("tuners: a setting that cannot be had is a trial without a cost") {
  const auto made = search_exhaustively(
      small(), element::f32,
      [](const setting& of) -> result<std::optional<double>> {
        if (of[0].second == 1) return std::optional<double>();
        return product(of);
      });
  REQUIRE(made.ok());
  CHECK(made.value().trials.size() == 5);
  CHECK_FALSE(made.value().trials[3].cost.has_value());
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
          if (of[0].second == bad)
            return std::optional(std::numeric_limits<double>::quiet_NaN());
          return product(of);
        });
    REQUIRE(made.ok());
    REQUIRE(made.value().best);
    CHECK(made.value().trials[*made.value().best].tried[0].second == (bad == 1 ? 2 : 1));
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
  CHECK(just.value().size() == std::int64_t{1} << 62);
  many.push_back({"B", {1, 2}});
  CHECK_FALSE(tuning_space::of(tunables(many), element::f32).ok());
}

TEST_CASE("tuners: a huge space costs no memory and no time") {
  std::vector<tunable> many;
  for (int i = 0; i < 62; ++i)
    many.push_back({"A" + std::to_string(i), {1, 2}});
  const manifest asked = tunables(many);
  const auto made = search_randomly(asked, element::f32, product, 5,
                                    {.trials = 50, .looked_at = 50});
  REQUIRE(made.ok());
  const auto seen = tried(made.value());
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
