#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <skillbench/stats.hpp>
#include <skillbench/tuning_space.hpp>

using namespace skillbench;

namespace {

std::vector<tuning_value> ints(std::vector<std::int64_t> all) {
  return {all.begin(), all.end()};
}

condition holds(const std::string& text) {
  auto made = condition::parse(text, condition::style::python);
  REQUIRE_MESSAGE(made.ok(), text);
  return std::move(made).value();
}

result<tuning_space> build(std::vector<tuning_parameter> parameters,
                           const std::vector<std::string>& texts) {
  std::vector<condition> constraints;
  for (const std::string& each : texts) constraints.push_back(holds(each));
  return tuning_space::build(std::move(parameters), std::move(constraints));
}

// What filtering the product gives, in the order of the index of the product.
std::set<tuning_point> filtered(const std::vector<tuning_parameter>& parameters,
                                const std::vector<condition>& constraints) {
  std::set<tuning_point> made;
  tuning_point at(parameters.size());
  for (;;) {
    bool fits = true;
    for (const condition& each : constraints) {
      std::vector<double> values;
      for (const auto& node : each.nodes()) {
        const auto of = [&](int i) {
          return i < 0 ? 0.0 : values[static_cast<std::size_t>(i)];
        };
        double value = node.number;
        if (node.what == condition::op::name) {
          for (std::size_t i = 0; i < parameters.size(); ++i)
            if (parameters[i].name == node.text)
              value = *number_of(parameters[i].values[at[i]]);
        } else if (node.what != condition::op::number) {
          value = condition::apply(node.what, each.written_as(), of(node.a),
                                   of(node.b), of(node.c));
        }
        values.emplace_back(value);
      }
      fits = fits && values.back() != 0;
    }
    if (fits) made.insert(at);
    std::size_t turn = at.size();
    while (turn > 0 && at[turn - 1] + 1u == parameters[turn - 1].values.size())
      at[--turn] = 0;
    if (turn == 0) return made;
    ++at[turn - 1];
  }
}

std::string what_is_wrong(std::vector<tuning_parameter> parameters,
                          const std::vector<std::string>& texts) {
  const auto made = build(std::move(parameters), texts);
  REQUIRE_FALSE(made.ok());
  return made.error().what;
}

bool says(const std::string& words, const std::string& wanted) {
  return words.find(wanted) != std::string::npos;
}

}  // namespace

TEST_CASE("tuning_space: random spaces hold what filtering the product leaves") {
  std::mt19937 random(3);
  const auto below = [&](unsigned n) { return random() % n; };
  const std::vector<std::string> forms = {
      "{} * {} <= 24",      "{} % 2 == 0 or {} > 3", "{} + {} != 7",
      "2 <= {} * {} <= 20", "{} == {} or {} < 3",    "{} < 4 and {} > 1",
      "({} * 2 + {}) % 3 != 1"};
  int made_count = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<tuning_parameter> parameters;
    const std::size_t width = 2 + below(4);
    for (std::size_t i = 0; i < width; ++i) {
      tuning_parameter one;
      one.name = std::string(1, static_cast<char>('a' + i));
      const unsigned count = 1 + below(5);
      for (unsigned v = 0; v < count; ++v)
        one.values.emplace_back(static_cast<std::int64_t>(1 + (v * 3 + i) % 8));
      parameters.push_back(one);
    }
    std::vector<std::string> texts;
    for (unsigned c = below(4); c > 0; --c) {
      std::string text = forms[below(static_cast<unsigned>(forms.size()))];
      for (auto at = text.find("{}"); at != text.npos; at = text.find("{}"))
        text.replace(at, 2, parameters[below(static_cast<unsigned>(width))].name);
      texts.push_back(text);
    }
    std::vector<condition> constraints;
    for (const std::string& each : texts) constraints.push_back(holds(each));
    const auto expected = filtered(parameters, constraints);
    const auto made = build(parameters, texts);
    CHECK(made.ok() == !expected.empty());
    if (!made) continue;
    ++made_count;
    const tuning_space& space = made.value();
    REQUIRE(space.size() == expected.size());
    std::set<tuning_point> seen;
    const auto all = space.all();
    for (std::uint64_t i = 0; i < space.size(); ++i) {
      const tuning_point at = space.at(i);
      seen.insert(at);
      CHECK(space.index_of(at) == i);
      CHECK(std::equal(at.begin(), at.end(),
                       all.begin() + static_cast<std::ptrdiff_t>(i * width)));
    }
    CHECK(seen == expected);
    CHECK(space.first() == *expected.begin());

    // Neighbours are the points that differ in one parameter.
    const tuning_point from = space.at(below(static_cast<unsigned>(space.size())));
    std::set<std::uint64_t> near;
    for (const tuning_point& each : expected) {
      std::size_t differing = 0;
      for (std::size_t i = 0; i < width; ++i) differing += each[i] != from[i];
      if (differing == 1) near.insert(*space.index_of(each));
    }
    const auto told = space.neighbours(from);
    CHECK(std::set<std::uint64_t>(told.begin(), told.end()) == near);
    CHECK(told.size() == near.size());
    for (const std::uint64_t each : space.neighbours(from, true))
      CHECK(near.contains(each));
  }
  CHECK(made_count > 150);
}

TEST_CASE("tuning_space: two billion points cost nothing") {
  std::vector<tuning_parameter> parameters;
  std::vector<std::string> texts;
  for (int i = 0; i < 12; i += 2) {
    const std::string a = "a" + std::to_string(i), b = "b" + std::to_string(i);
    std::vector<tuning_value> values;
    for (std::int64_t v = 1; v <= 16; ++v) values.emplace_back(v);
    parameters.push_back({a, values});
    parameters.push_back({b, values});
    texts.push_back(a + " <= " + b);
  }
  const auto made = build(parameters, texts);
  REQUIRE(made.ok());
  const tuning_space& space = made.value();
  std::uint64_t expected = 1;
  for (int i = 0; i < 6; ++i) expected *= 136;  // 16 * 17 / 2
  CHECK(space.size() == expected);
  CHECK(expected > 2'000'000'000u);
  CHECK(space.branches() < 2000);
  draws_of_seed random(1);
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t index = space.sample([&] { return random.next(); });
    CHECK(space.index_of(space.at(index)) == index);
  }
}

TEST_CASE("tuning_space: samples are uniform") {
  const auto made = build({{"a", ints({1, 2, 3, 4})}, {"b", ints({1, 2, 3, 4})}},
                          {"a <= b"});
  REQUIRE(made.ok());
  REQUIRE(made.value().size() == 10);
  std::map<std::uint64_t, int> seen;
  draws_of_seed random(5);
  for (int i = 0; i < 10'000; ++i)
    ++seen[made.value().sample([&] { return random.next(); })];
  REQUIRE(seen.size() == 10);
  for (const auto& [index, count] : seen) CHECK(std::abs(count - 1000) < 150);
}

TEST_CASE("tuning_space: strings and booleans are compared, not calculated with") {
  std::vector<tuning_parameter> parameters = {
      {"layout", {std::string("row"), std::string("column")}},
      {"cache", {true, false}},
      {"n", ints({1, 2})}};
  const auto made = build(parameters, {"layout == 'row' or not cache",
                                       "layout in ['row', 'column']", "n + cache < 3"});
  REQUIRE(made.ok());
  // row: (true, 1), (false, 1), (false, 2); column: (false, 1), (false, 2)
  CHECK(made.value().size() == 5);
  CHECK(text_of(made.value().value(made.value().first(), 0)) == "row");
  CHECK(build(parameters, {"layout != 3"}).value().size() == 8);
  CHECK(says(what_is_wrong(parameters, {"layout < 3"}),
             "`layout < 3` calculates with a string"));
  CHECK(says(what_is_wrong({{"x", {std::string("a"), std::int64_t{1}}}}, {}),
             "`x` has strings and numbers"));
}

TEST_CASE("tuning_space: what is wrong is named") {
  const std::vector<tuning_parameter> two = {{"a", ints({1, 2, 4})},
                                             {"b", ints({0, 8})}};
  CHECK(says(what_is_wrong(two, {"a < 9", "a > c"}),
             "the constraint `a > c` has the unknown name `c`"));
  CHECK(says(what_is_wrong(two, {"b < 9", "a > 5"}),
             "the constraint `a > 5` excludes every combination"));
  CHECK(says(what_is_wrong(two, {"b > 2", "a * b > 9", "a * b < 10", "b < 9"}),
             "contradict each other"));
  // Those that are not needed for it are not blamed.
  const std::string blamed =
      what_is_wrong(two, {"a < 9", "a > 3", "b < 9", "a < 4", "b > 1"});
  CHECK(says(blamed, "the constraints `a > 3` and `a < 4` contradict"));
  CHECK_FALSE(says(blamed, "b < 9"));
  CHECK(says(what_is_wrong(two, {"16 % b == 0"}), "has no value"));
  CHECK(says(what_is_wrong(two, {"16 % b == 0"}), "b = 0"));
  // Another constraint that excludes those values is enough, wherever it stands.
  CHECK(build(two, {"16 % b == 0", "b > 0"}).value().size() == 3);
  CHECK(build(two, {"b > 0", "16 % b == 0"}).value().size() == 3);
  CHECK(says(what_is_wrong({{"a", {}}}, {}), "`a` has no values"));
  CHECK(says(what_is_wrong({{"a", ints({1})}, {"a", ints({2})}}, {}),
             "two tunables `a`"));
  CHECK(says(what_is_wrong({}, {"1 > 2"}), "`1 > 2` excludes every"));
  CHECK(build({}, {"1 < 2"}).value().size() == 1);
  CHECK(build({}, {}).value().size() == 1);
  std::vector<tuning_parameter> many;
  for (int i = 0; i < 70; ++i)
    many.push_back({"p" + std::to_string(i), ints({1, 2})});
  CHECK(says(what_is_wrong(many, {}), "2^62"));
}

TEST_CASE("tuning_space: a list of points is a space of exactly those") {
  const std::vector<tuning_parameter> two = {{"a", ints({1, 2, 4})},
                                             {"b", ints({0, 8})}};
  const auto made = tuning_space::of_points(two, {{2, 1}, {0, 0}, {2, 0}, {2, 1}});
  REQUIRE(made.ok());
  CHECK(made.value().size() == 3);
  for (std::uint64_t i = 0; i < 3; ++i)
    CHECK(made.value().index_of(made.value().at(i)) == i);
  CHECK(made.value().holds({2, 1}));
  CHECK_FALSE(made.value().holds({1, 0}));
  CHECK(made.value().first() == tuning_point{0, 0});
  CHECK_FALSE(tuning_space::of_points(two, {}).ok());
  CHECK_FALSE(tuning_space::of_points(two, {{3, 0}}).ok());
}

TEST_CASE("tuning_space: a manifest's constraints see the element type") {
  manifest asked;
  asked.tune = {{"V", {16, 8, 4}}};
  auto made = expression::parse("V * sizeof_T <= 16");
  REQUIRE(made.ok());
  asked.constraints.push_back(std::move(made).value());
  CHECK(tuning_space::of(asked, element::f32).value().size() == 1);
  CHECK(tuning_space::of(asked, element::f16).value().size() == 2);
}

TEST_CASE("tuning_space: a manifest's strings and booleans, with constraints over them") {
  manifest asked;
  asked.tune = {{"L", {std::string("row"), std::string("column")}},
                {"FAST", {true, false}},
                {"N", {1, 2, 4}}};
  for (const char* text : {"L == 'row' || N > 1", "!FAST || N < 4"}) {
    auto made = expression::parse(text);
    REQUIRE(made.ok());
    asked.constraints.push_back(std::move(made).value());
  }
  const auto made = tuning_space::of(asked, element::f32);
  REQUIRE(made.ok());
  // row: 2 fast, 3 slow; column: 1 fast, 2 slow.
  CHECK(made.value().size() == 8);
  for (std::uint64_t i = 0; i < 8; ++i) {
    const tuning_point at = made.value().at(i);
    CHECK((at[0] == 0 || at[2] > 0));
    CHECK((at[1] == 1 || at[2] < 2));
  }
  auto none = expression::parse("L == 'diagonal'");
  asked.constraints.push_back(std::move(none).value());
  const auto empty = tuning_space::of(asked, element::f32);
  REQUIRE_FALSE(empty.ok());
  CHECK(empty.error().what.find("`L == 'diagonal'`") != std::string::npos);
}
