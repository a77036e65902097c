#include <doctest/doctest.h>

#include <set>
#include <string>

#include <skillbench/draw.hpp>

using namespace skillbench;

namespace {

expression parsed(const char* text) {
  auto made = expression::parse(text);
  REQUIRE(made.ok());
  return std::move(made).value();
}

family rows_and_columns(std::int64_t count, std::int64_t most) {
  family of;
  of.name = "toy";
  argument x{"x", argument::type::input, {parsed("rows"), parsed("cols")}, 0, 0};
  argument y{"y", argument::type::output, {parsed("rows"), parsed("cols")}, 0, 0};
  argument rows{"rows", argument::type::integer, {}, 1, 65536};
  argument cols{"cols", argument::type::integer, {}, 1, 16384};
  argument eps{"eps", argument::type::real, {}, 0, 0};
  of.arguments = {x, y, rows, cols, eps};
  of.hidden.count = count;
  of.hidden.most_elements = most;
  of.hidden.reals = {{"eps", {1e-5, 1e-3}}};
  of.hidden.fills = {{"x", {{{pattern::normal, 1, 100, 1}, parsed("cols")}, {{pattern::spike, 1, 0, 1}, parsed("cols")}}}};
  return of;
}

std::int64_t value_of(const test_case& of, const std::string& name) {
  for (const auto& [key, value] : of.integers)
    if (key == name) return value;
  return -1;
}

}  // namespace

TEST_CASE("draw: the same seed gives the same cases, another seed others") {
  const family of = rows_and_columns(16, 100000);
  const auto a = hidden_cases(of, 7), b = hidden_cases(of, 7), c = hidden_cases(of, 8);
  REQUIRE((a.ok() && b.ok() && c.ok()));
  int differ = 0;
  for (std::size_t i = 0; i < 16; ++i) {
    CHECK(a.value()[i].name == b.value()[i].name);
    CHECK(a.value()[i].fills == b.value()[i].fills);
    differ += a.value()[i].name != c.value()[i].name;
  }
  CHECK(differ >= 12);
}

TEST_CASE("draw: sizes stay in the contract and within the bound") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto made = hidden_cases(rows_and_columns(8, 50000), seed);
    REQUIRE(made.ok());
    for (const auto& each : made.value()) {
      const std::int64_t rows = value_of(each, "rows"), cols = value_of(each, "cols");
      CHECK((rows >= 1 && rows <= 65536 && cols >= 1 && cols <= 16384));
      CHECK(rows * cols <= 50000);
    }
  }
}

TEST_CASE("draw: every way of tripping comes up, wide and tall ones too") {
  bool wide = false, tall = false, odd = false, beside_tile = false;
  std::set<std::string> whys;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const auto made = hidden_cases(rows_and_columns(8, 200000), seed);
    for (const auto& each : made.value()) {
      const std::int64_t rows = value_of(each, "rows"), cols = value_of(each, "cols");
      wide |= cols > 8000 && rows <= 4;
      tall |= rows > 30000 && cols <= 4;
      odd |= cols % 2 == 1;
      for (std::int64_t tile = 8; tile <= 4096; tile *= 2) beside_tile |= cols == tile + 1 || cols == tile - 1;
      whys.insert(each.why);
    }
  }
  CHECK(wide);
  CHECK(tall);
  CHECK(odd);
  CHECK(beside_tile);
  CHECK(whys.size() == 4);
}

TEST_CASE("draw: rows of fills follow the sizes, reals come from their choices") {
  const auto made = hidden_cases(rows_and_columns(40, 100000), 3);
  REQUIRE(made.ok());
  std::set<double> reals;
  for (const auto& each : made.value()) {
    REQUIRE(each.fills.size() == 1);
    CHECK(each.fills[0].second.row == value_of(each, "cols"));
    REQUIRE(each.reals.size() == 1);
    reals.insert(each.reals[0].second);
  }
  CHECK(reals == std::set<double>{1e-5, 1e-3});
}

TEST_CASE("draw: chosen integers are kept as they are, impossible bounds are told") {
  family of = rows_and_columns(12, 100000);
  of.hidden.integers = {{"cols", {64, 128}}};
  const auto made = hidden_cases(of, 1);
  REQUIRE(made.ok());
  for (const auto& each : made.value()) CHECK((value_of(each, "cols") == 64 || value_of(each, "cols") == 128));
  of.hidden.most_elements = 63;
  const auto none = hidden_cases(of, 1);
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().why == reason::bad_input);
  CHECK(none.error().what.find("toy") != std::string::npos);
}

TEST_CASE("draw: a family that draws none has none") {
  const auto made = hidden_cases(rows_and_columns(0, 0), 1);
  REQUIRE(made.ok());
  CHECK(made.value().empty());
}
