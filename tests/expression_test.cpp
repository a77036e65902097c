#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <skillbench/expression.hpp>

using namespace skillbench;

namespace {

const bindings some = {{"rows", 37}, {"cols", 1000}, {"zero", 0}};

std::int64_t value_of(const std::string& text) {
  const auto made = expression::parse(text);
  REQUIRE_MESSAGE(made.ok(), text);
  const auto value = made.value().evaluate(some);
  REQUIRE_MESSAGE(value.ok(), text);
  return value.value();
}

// What the parser says against a text.
std::string refused(const std::string& text) {
  const auto made = expression::parse(text);
  REQUIRE_MESSAGE(!made.ok(), text);
  CHECK(made.error().why == reason::bad_input);
  return made.error().what;
}

// What evaluating says against a text that parses.
std::string fails(const std::string& text) {
  const auto made = expression::parse(text);
  REQUIRE_MESSAGE(made.ok(), text);
  const auto value = made.value().evaluate(some);
  REQUIRE_MESSAGE(!value.ok(), text);
  CHECK(value.error().why == reason::bad_input);
  return value.error().what;
}

bool says(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  CHECK_MESSAGE(found, text, " does not say ", part);
  return found;
}

std::string repeat(const std::string& part, int times) {
  std::string made;
  for (int i = 0; i < times; ++i) made += part;
  return made;
}

constexpr auto least = std::numeric_limits<std::int64_t>::min();
const std::string least_text = "(-9223372036854775807 - 1)";

}  // namespace

TEST_CASE("expression: a text goes with == and != and nothing else") {
  bindings known = {{"N", 2}};
  known.texts = {{"LAYOUT", "row"}, {"other", "it's"}};
  const auto of = [&](const std::string& text) {
    const auto made = expression::parse(text);
    REQUIRE_MESSAGE(made.ok(), text);
    return made.value().evaluate(known);
  };
  CHECK(of("LAYOUT == 'row'").value() == 1);
  CHECK(of("LAYOUT=='column'").value() == 0);
  CHECK(of("LAYOUT != 'row'").value() == 0);
  CHECK(of("LAYOUT != \"col\"").value() == 1);
  CHECK(of("other == \"it's\"").value() == 1);
  CHECK(of("LAYOUT == ''").value() == 0);
  CHECK(of("LAYOUT == 'row' ? 10 * N : 5").value() == 20);
  CHECK(of("N > 5 || LAYOUT == 'row' && N == 2").value() == 1);
  CHECK(of("!(LAYOUT == 'row')").value() == 0);
  // What is not needed is not evaluated.
  CHECK(of("N == 2 || NONE == 'x'").value() == 1);
  says(of("LAYOUT + 1").error().what, "`LAYOUT` is a text");
  says(of("N == 'row'").error().what, "`N` is held against a text");
  says(of("NONE == 'row'").error().what, "`NONE` is held against a text");
  says(refused("LAYOUT == 'row"), "has no end");
  says(refused("'row' == LAYOUT"), "expected");
  says(refused("LAYOUT < 'row'"), "expected");
  says(refused("LAYOUT == 'row' == 'x'"), "expected");
  CHECK(expression::parse("LAYOUT == 'row' && N > 1").value().names() ==
        std::vector<std::string>{"LAYOUT", "N"});
}

TEST_CASE("expression: the default is the constant 0") {
  CHECK(expression().evaluate({}).value() == 0);
  CHECK(expression().text() == "0");
  CHECK(expression().names().empty());
}

TEST_CASE("expression: operators bind as in C") {
  CHECK(value_of("1 + 2 * 3") == 7);
  CHECK(value_of("(1 + 2) * 3") == 9);
  CHECK(value_of("10 - 3 - 2") == 5);
  CHECK(value_of("100 / 5 / 2") == 10);
  CHECK(value_of("100 / 5 * 2") == 40);
  CHECK(value_of("7 % 4 * 2") == 6);
  CHECK(value_of("1 + 1 < 3") == 1);
  CHECK(value_of("1 < 2 == 1") == 1);
  CHECK(value_of("3 > 2 > 1") == 0);
  CHECK(value_of("2 == 1 <= 1") == 0);
  CHECK(value_of("2 == 1 >= 1") == 0);
  CHECK(value_of("2 == 0 < 1") == 0);
  CHECK(value_of("2 != 1 > 0") == 1);
  CHECK(value_of("0 == 0 && 0") == 0);
  CHECK(value_of("1 || 0 && 0") == 1);
  CHECK(value_of("(1 || 0) && 0") == 0);
  CHECK(value_of("0 || 1 ? 5 : 6") == 5);
  CHECK(value_of("-2 * 3") == -6);
  CHECK(value_of("2 - -3") == 5);
  CHECK(value_of("!1 + 1") == 1);
  CHECK(value_of("!0 == 1") == 1);
}

TEST_CASE("expression: every comparison, on both sides of its edge") {
  CHECK(value_of("1 < 2") == 1);
  CHECK(value_of("2 < 2") == 0);
  CHECK(value_of("2 <= 2") == 1);
  CHECK(value_of("3 <= 2") == 0);
  CHECK(value_of("2 > 1") == 1);
  CHECK(value_of("2 > 2") == 0);
  CHECK(value_of("2 >= 2") == 1);
  CHECK(value_of("1 >= 2") == 0);
  CHECK(value_of("2 == 2") == 1);
  CHECK(value_of("2 == 1") == 0);
  CHECK(value_of("2 != 1") == 1);
  CHECK(value_of("2 != 2") == 0);
}

TEST_CASE("expression: division and remainder truncate") {
  CHECK(value_of("7 / 2") == 3);
  CHECK(value_of("-7 / 2") == -3);
  CHECK(value_of("7 / -2") == -3);
  CHECK(value_of("7 % -2") == 1);
  CHECK(value_of("-7 % 2") == -1);
}

TEST_CASE("expression: ?: takes the nearest and nests to the right") {
  CHECK(value_of("1 ? 2 : 0 ? 3 : 4") == 2);
  CHECK(value_of("0 ? 2 : 0 ? 3 : 4") == 4);
  CHECK(value_of("1 ? 0 ? 2 : 3 : 4") == 3);
  CHECK(value_of("0 ? 1 : 2 + 10") == 12);
  CHECK(value_of("(0 ? 1 : 2) + 10") == 12);
  CHECK(value_of("(1 ? 1 : 2) + 10") == 11);
}

TEST_CASE("expression: what is not needed is not evaluated") {
  CHECK(value_of("zero ? 1 / zero : 2") == 2);
  CHECK(value_of("1 ? 2 : 1 / zero") == 2);
  CHECK(value_of("zero && 1 / zero") == 0);
  CHECK(value_of("5 || 1 / zero") == 1);
  fails("1 && 1 / zero");
  fails("zero || 1 / zero");
}

TEST_CASE("expression: logic gives 0 or 1") {
  CHECK(value_of("5 && 7") == 1);
  CHECK(value_of("0 || 7") == 1);
  CHECK(value_of("(7 || 0) + (0 || 7)") == 2);
  CHECK(value_of("!7") == 0);
  CHECK(value_of("!!7") == 1);
}

TEST_CASE("expression: functions") {
  CHECK(value_of("ceil_div(7, 2)") == 4);
  CHECK(value_of("ceil_div(8, 2)") == 4);
  CHECK(value_of("ceil_div(0, 2)") == 0);
  CHECK(value_of("ceil_div(9223372036854775807, 2)") == 4611686018427387904);
  CHECK(value_of("min(3, 1)") == 1);
  CHECK(value_of("max(3, 1)") == 3);
  CHECK(value_of("min(3, 2, 1, 4) + max(1, 2, 9, 4)") == 10);
  CHECK(value_of("next_pow2(0)") == 1);
  CHECK(value_of("next_pow2(-5)") == 1);
  CHECK(value_of("next_pow2(1)") == 1);
  CHECK(value_of("next_pow2(3)") == 4);
  CHECK(value_of("next_pow2(4)") == 4);
  CHECK(value_of("next_pow2(5)") == 8);
  CHECK(value_of("next_pow2(4611686018427387904)") == 4611686018427387904);
  CHECK(value_of("ceil_div(rows * cols, max(min(cols, 64), 1))") == 579);
}

TEST_CASE("expression: arguments outside a function's reach are refused") {
  says(fails("ceil_div(0 - 1, 2)"), "negative dividend");
  says(fails("ceil_div(1, zero)"), "divisor below 1");
  says(fails("ceil_div(1, -2)"), "divisor below 1");
  says(fails("next_pow2(4611686018427387905)"), "does not fit");
}

TEST_CASE("expression: nothing wraps around") {
  CHECK(value_of("9223372036854775807") == 9223372036854775807);
  CHECK(value_of(least_text) == least);
  says(fails("9223372036854775807 + 1"), "does not fit");
  says(fails("-9223372036854775807 - 2"), "does not fit");
  says(fails("4611686018427387904 * 2"), "does not fit");
  says(fails("-" + least_text), "does not fit");
  says(fails(least_text + " / -1"), "does not fit");
  says(fails(least_text + " % -1"), "does not fit");
  CHECK(value_of(least_text + " / 1") == least);
  says(refused("9223372036854775808"), "does not fit");
  says(refused("99999999999999999999"), "does not fit");
}

TEST_CASE("expression: a division by zero is refused with its column") {
  const std::string what = fails("rows / zero");
  says(what, "37 / 0");
  says(what, "column 6");
  says(what, "`rows / zero`");
  says(fails("rows % zero"), "37 % 0");
}

TEST_CASE("expression: an unknown name is refused when it is needed") {
  const std::string what = fails("1 + columns");
  says(what, "`columns`");
  says(what, "column 5");
  CHECK(value_of("1 ? 2 : columns") == 2);
}

TEST_CASE("expression: names are told once, evaluated or not") {
  const auto made = expression::parse("1 ? rows + rows : min(cols, other)");
  REQUIRE(made.ok());
  CHECK(made.value().names() ==
        std::vector<std::string>{"rows", "cols", "other"});
  CHECK(made.value().text() == "1 ? rows + rows : min(cols, other)");
}

TEST_CASE("expression: text that is none is refused with its column") {
  says(refused(""), "empty");
  says(refused(" \t\n"), "empty");
  says(refused("1 2"), "column 3");
  says(refused("1 +"), "column 4");
  says(refused("(1"), "`)` for the `(` in column 1");
  says(refused("1)"), "column 2");
  says(refused("()"), "column 2");
  says(refused("1 ? 2"), "`:` of the `?` in column 3");
  says(refused("rows = 1"), "`=`");
  says(refused("1 << 2"), "`<`");
  says(refused("1 & 2"), "`&`");
  says(refused("f(1)"), "no function `f`");
  says(refused("min(1)"), "2 or more");
  says(refused("max()"), "not 0");
  says(refused("ceil_div(1, 2, 3)"), "not 3");
  says(refused("next_pow2(1, 2)"), "takes 1 argument");
  says(refused("min(1, )"), "a value");
  says(refused("0x10"), "decimal");
  says(refused("4u"), "decimal");
  says(refused("1.5"), "decimal");
  says(refused("010"), "octal");
  says(refused("\xc3\xa9"), "byte 195");
  says(refused(std::string("1\0+2", 4)), "byte 0");
}

TEST_CASE("expression: a long text is quoted around the column only") {
  const std::string what = refused(repeat("1+", 10'000) + ")");
  CHECK(what.size() < 400);
  says(what, "column 20001");
}

TEST_CASE("expression: hostile depth and length are refused, honest ones not") {
  says(refused(repeat("(", 100'000)), "expression has 100000 bytes");
  says(refused(repeat("(", 10'000)), "128 levels");
  says(refused(repeat("-", 10'000) + "1"), "128 levels");
  says(refused(repeat("1?1:", 10'000) + "1"), "128 levels");
  says(refused(repeat("min(1,", 5'000)), "128 levels");
  CHECK(value_of(repeat("(", 60) + "1" + repeat(")", 60)) == 1);
  CHECK(value_of(repeat("0?1:", 60) + "7") == 7);
  CHECK(value_of(repeat("1+", 30'000) + "1") == 30'001);
  // Wide lists need more room for values than there is at hand.
  CHECK(value_of("max(" + repeat("1, ", 10'000) + "2)") == 2);
}

TEST_CASE("expression: as many names as are honest") {
  std::string text = "0";
  for (int i = 0; i < 256; ++i) text += "*n" + std::to_string(i);
  CHECK(expression::parse(text).ok());
  says(refused(text + "*one_more"), "256 different names");
}
