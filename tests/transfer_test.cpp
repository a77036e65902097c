#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/tuners/transfer.hpp>
#include <skillbench/tuning_space.hpp>

using namespace skillbench;

namespace {

tuning_space space_of(std::vector<tuning_parameter> parameters) {
  auto made = tuning_space::build(std::move(parameters), {});
  REQUIRE(made.ok());
  return std::move(made).value();
}

tuning_space blocks() {
  return space_of({{"BLOCK", {32, 64, 128, 256, 512}},
                   {"LAYOUT", {std::string("row"), std::string("column")}},
                   {"ONLY_HERE", {1, 2, 3}}});
}

// What a setting costs elsewhere: least at BLOCK=128 in columns.
double cost(double block, const std::string& layout) {
  return std::exp(std::abs(std::log2(block / 128)) +
                  (layout == "row" ? 0.5 : 0.0));
}

earlier_tuning elsewhere(double scale = 1) {
  earlier_tuning made;
  for (const std::int64_t block : {16, 32, 64, 128, 256, 512})
    for (const char* const layout : {"row", "column"})
      for (const bool extra : {false, true})
        made.trials.push_back(
            {{{"EXTRA", extra},
              {"LAYOUT", std::string(layout)},
              {"BLOCK", block}},
             // Without what this one does not have the other kernel is slower,
             // most of all where it is best.
             scale * cost(static_cast<double>(block), layout) *
                 (extra ? 1.0 : block == 128 ? 500.0 : 7.0)});
  return made;
}

double estimated(const transferred& by, const tuning_space& space,
                 std::uint16_t block, std::uint16_t layout,
                 std::uint16_t only_here) {
  const auto index = space.index_of({block, layout, only_here});
  REQUIRE(index.has_value());
  const auto told = by.estimate(*index);
  REQUIRE(told.has_value());
  return *told;
}

std::string refusal(const tuning_space& space,
                    const std::vector<earlier_tuning>& from) {
  const auto made = transfer(space, from);
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().why == reason::bad_input);
  return made.error().what;
}

}  // namespace

TEST_CASE("transfer: values are matched by name, whatever else the other one has") {
  const tuning_space space = blocks();
  const auto made = transfer(space, {elsewhere(1e-6)});
  REQUIRE(made.ok());
  const transferred& by = made.value();
  CHECK(by.tunings == 1);
  CHECK(by.trials == 24);
  CHECK(by.parameters == std::vector<std::string>{"BLOCK", "LAYOUT"});
  const double best = estimated(by, space, 2, 1, 0);
  for (std::uint16_t block = 0; block < 5; ++block)
    for (std::uint16_t layout = 0; layout < 2; ++layout) {
      const double here = estimated(by, space, block, layout, 1);
      // It knows nothing of what only this space has.
      CHECK(here == estimated(by, space, block, layout, 2));
      const double wanted = cost(32 << block, layout == 0 ? "row" : "column");
      CHECK(here / best == doctest::Approx(wanted).epsilon(0.15));
    }
}

TEST_CASE("transfer: several tunings count around their own means") {
  const tuning_space space = blocks();
  // The second one knows two blocks only, and has another unit.
  earlier_tuning few = elsewhere(1e9);
  std::erase_if(few.trials, [](const earlier_trial& each) {
    const tuning_value block = each.at.back().second;
    return block != tuning_value(64) && block != tuning_value(256);
  });
  const auto made = transfer(space, {elsewhere(1), few});
  REQUIRE(made.ok());
  CHECK(made.value().tunings == 2);
  CHECK(made.value().trials == 32);
  for (const std::uint16_t block : {1, 3})
    CHECK(estimated(made.value(), space, block, 1, 0) <
          estimated(made.value(), space, 0, 1, 0));
  CHECK(estimated(made.value(), space, 0, 1, 0) /
            estimated(made.value(), space, 2, 1, 0) ==
        doctest::Approx(std::exp(2)).epsilon(0.15));
}

TEST_CASE("transfer: numbers of another range stand for their rank") {
  const tuning_space space = space_of({{"N", {1000, 2000, 3000, 4000, 5000}}});
  earlier_tuning from;
  for (int i = 0; i < 5; ++i)
    from.trials.push_back({{{"N", i}}, 1.0 + (i - 3) * (i - 3)});
  const auto made = transfer(space, {from});
  REQUIRE(made.ok());
  std::uint64_t least = 0;
  for (std::uint64_t i = 0; i < 5; ++i)
    if (*made.value().estimate(i) < *made.value().estimate(least)) least = i;
  CHECK(space.at(least)[0] == 3);
}

TEST_CASE("transfer: true is 1, a whole real is its integer, and words are no numbers") {
  const tuning_space space = space_of({{"F", {0, 1}}, {"N", {1, 2, 3}}});
  earlier_tuning from;
  for (const bool f : {false, true})
    for (const double n : {1.0, 2.0, 3.0})
      from.trials.push_back({{{"F", f}, {"N", n}}, (f ? 1.0 : 4.0) * n});
  const auto made = transfer(space, {from});
  REQUIRE(made.ok());
  CHECK(*made.value().estimate(*space.index_of({1, 0})) <
        0.5 * *made.value().estimate(*space.index_of({0, 0})));
  CHECK(*made.value().estimate(*space.index_of({1, 0})) <
        0.8 * *made.value().estimate(*space.index_of({1, 2})));
  for (earlier_trial& each : from.trials)
    for (auto& [name, value] : each.at) value = text_of(value);
  CHECK(refusal(space, {from}).find("no parameter has several values") !=
        std::string::npos);
}

TEST_CASE("transfer: where this space has one value, the other's count only with it") {
  const tuning_space space = space_of({{"N", {1, 2, 3}}, {"MODE", {7}}});
  earlier_tuning from;
  for (const std::int64_t n : {1, 2, 3}) {
    from.trials.push_back({{{"N", n}, {"MODE", 7}}, static_cast<double>(n)});
    from.trials.push_back({{{"N", n}, {"MODE", 8}}, 0.1 / static_cast<double>(n)});
  }
  const auto made = transfer(space, {from});
  REQUIRE(made.ok());
  CHECK(*made.value().estimate(0) < *made.value().estimate(2));
}

TEST_CASE("transfer: of very many trials some stand for all, the best among them") {
  std::vector<tuning_parameter> parameters(2);
  parameters[0].name = "a";
  parameters[1].name = "b";
  for (std::int64_t i = 0; i < 40; ++i)
    for (tuning_parameter& each : parameters) each.values.emplace_back(i);
  const tuning_space space = space_of(std::move(parameters));
  earlier_tuning from;
  for (std::int64_t a = 0; a < 40; ++a)
    for (std::int64_t b = 0; b < 40; ++b)
      from.trials.push_back(
          {{{"a", a}, {"b", b}},
           1 + 0.01 * std::pow(static_cast<double>(a - 31), 2) +
               0.01 * std::pow(static_cast<double>(b - 8), 2)});
  const auto made = transfer(space, {from});
  REQUIRE(made.ok());
  std::uint64_t least = 0;
  for (std::uint64_t i = 0; i < space.size(); ++i)
    if (*made.value().estimate(i) < *made.value().estimate(least)) least = i;
  CHECK(std::abs(space.at(least)[0] - 31) <= 1);
  CHECK(std::abs(space.at(least)[1] - 8) <= 1);
}

TEST_CASE("transfer: what tells nothing is refused, with the reason") {
  const tuning_space space = blocks();
  CHECK(refusal(space, {}).find("too few trials with a cost (0)") !=
        std::string::npos);
  earlier_tuning failed = elsewhere();
  for (earlier_trial& each : failed.trials) each.cost.reset();
  CHECK(refusal(space, {failed}).find("too few trials with a cost (0)") !=
        std::string::npos);

  earlier_tuning other;
  for (int i = 0; i < 5; ++i) other.trials.push_back({{{"TILE", i}}, 1.0 + i});
  const std::string none = refusal(space, {other});
  CHECK(none.find("none of the parameters here (BLOCK, LAYOUT, ONLY_HERE)") !=
        std::string::npos);
  CHECK(none.find("TILE") != std::string::npos);

  earlier_tuning still;
  for (int i = 0; i < 5; ++i)
    still.trials.push_back({{{"BLOCK", 64}, {"TILE", i}}, 1.0 + i});
  CHECK(refusal(space, {still}).find("no parameter has several values") !=
        std::string::npos);

  // Values that are alike leave two trials; a cost that is no number is none.
  earlier_tuning two;
  for (int i = 0; i < 6; ++i)
    two.trials.push_back({{{"BLOCK", i % 2 == 0 ? 64 : 32}, {"TILE", i}}, 1.0 + i});
  CHECK(refusal(space, {two}).find("too few (2) differ") != std::string::npos);
  earlier_tuning odd = elsewhere();
  for (earlier_trial& each : odd.trials)
    each.cost = std::numeric_limits<double>::quiet_NaN();
  CHECK(refusal(space, {odd}).find("too few") != std::string::npos);

  // Very many values of one parameter are left out.
  earlier_tuning wide;
  for (int i = 0; i < 70000; ++i)
    wide.trials.push_back({{{"BLOCK", i}}, 1.0 + i});
  CHECK(refusal(space, {wide}).find("no parameter has several values") !=
        std::string::npos);
}

TEST_CASE("transfer: a trial that lacks a name that others have is left out") {
  const tuning_space space = blocks();
  earlier_tuning from = elsewhere();
  from.trials.push_back({{{"BLOCK", 512}}, 1e-9});
  from.trials.push_back({{}, 1e-9});
  const auto made = transfer(space, {from});
  REQUIRE(made.ok());
  for (const std::uint16_t layout : {0, 1})
    for (const std::uint16_t block : {0, 4})
      CHECK(estimated(made.value(), space, block, layout, 0) >
            2 * estimated(made.value(), space, 2, layout, 0));
}
