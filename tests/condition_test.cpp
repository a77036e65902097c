#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <skillbench/condition.hpp>
#include <skillbench/expression.hpp>

using namespace skillbench;

namespace {

using style = condition::style;

// The value of all for numbers by name.
double value_of(const condition& it, const std::map<std::string, double>& known) {
  std::vector<double> made;
  for (const condition::node& each : it.nodes()) {
    const auto at = [&](int node) {
      return node < 0 ? 0.0 : made[static_cast<std::size_t>(node)];
    };
    if (each.what == condition::op::number)
      made.push_back(each.number);
    else if (each.what == condition::op::name)
      made.push_back(known.at(each.text));
    else
      made.push_back(condition::apply(each.what, it.written_as(), at(each.a),
                                      at(each.b), at(each.c)));
  }
  return made.back();
}

double python(const std::string& text,
              const std::map<std::string, double>& known = {}) {
  const auto made = condition::parse(text, style::python);
  REQUIRE_MESSAGE(made.ok(), (made.ok() ? "" : made.error().what));
  return value_of(made.value(), known);
}

std::string refused(const std::string& text, style as = style::python) {
  const auto made = condition::parse(text, as);
  REQUIRE_FALSE_MESSAGE(made.ok(), text);
  CHECK(made.error().why == reason::bad_input);
  return made.error().what;
}

}  // namespace

TEST_CASE("condition: Python's operators bind as in Python") {
  CHECK(python("1 + 2 * 3") == 7);
  CHECK(python("2 ** 3 ** 2") == 512);
  CHECK(python("-2 ** 2") == -4);
  CHECK(python("7 / 2") == 3.5);
  CHECK(python("7 // 2") == 3);
  CHECK(python("-7 // 2") == -4);
  CHECK(python("-7 % 3") == 2);
  CHECK(python("7 % -3") == -2);
  CHECK(python("32 % (16 * 8 / 32)") == 0);
  CHECK(python("not 1 == 2") == 1);
  CHECK(python("1 < 2 < 3") == 1);
  CHECK(python("3 > 2 > 2") == 0);
  CHECK(python("1 == 0 or 2 == 2 and 3 == 4") == 0);
  CHECK(python("x in [1, 2, 4]", {{"x", 2}}) == 1);
  CHECK(python("x not in (1, 2, 4)", {{"x", 2}}) == 0);
  CHECK(python("4 if x else 5", {{"x", 0}}) == 5);
  CHECK(python("min(3, 1, 2) + max(1, 2) + abs(-1)") == 4);
  CHECK(python("1 && !0 || 0") == 1);
  CHECK(python("True and not False") == 1);
  CHECK(python("1e3 == 1000.0") == 1);
}

TEST_CASE("condition: a value that is not is NaN, but where it is not asked for") {
  CHECK(std::isnan(python("1 / 0")));
  CHECK(std::isnan(python("1 % 0 == 0")));
  CHECK(python("x == 0 or 8 % x == 0", {{"x", 0}}) == 1);
  CHECK(python("x != 0 and 8 % x == 0", {{"x", 0}}) == 0);
  CHECK(std::isnan(python("8 % x == 0 or x == 0", {{"x", 0}})));
}

TEST_CASE("condition: what is no condition is refused with its column") {
  CHECK(refused("a +") .find("column 4") != std::string::npos);
  CHECK(refused("a = 1").find("column 3") != std::string::npos);
  CHECK(refused("(a").find("`)`") != std::string::npos);
  CHECK(refused("a << 2").find("column 3") != std::string::npos);
  CHECK(refused("system(1)").find("there is no function `system`") !=
        std::string::npos);
  CHECK(refused("'a").find("no end") != std::string::npos);
  CHECK(refused("").find("a value") != std::string::npos);
  CHECK(refused("a not b").find("operator") != std::string::npos);
  CHECK(refused("2 ** 2", style::manifest).find("column") != std::string::npos);
  CHECK(refused("a or b", style::manifest).find("column 3") != std::string::npos);
  CHECK(refused(std::string(500, '(')).find("deeply") != std::string::npos);
  CHECK(refused(std::string(500, '-') + "1").find("deeply") != std::string::npos);
  std::string many = "1";
  for (int i = 0; i < 5000; ++i) many += "+1";
  CHECK(refused(many).find("too long") != std::string::npos);
  CHECK(refused(std::string(70'000, ' ')).find("bytes") != std::string::npos);
}

TEST_CASE("condition: in a manifest it says what expression.hpp says") {
  std::mt19937 random(7);
  const auto below = [&](unsigned n) { return random() % n; };
  // Random texts of the grammar that both share.
  const std::vector<std::string> infix = {"+", "-", "*", "/", "%", "<", "<=",
                                          ">", ">=", "==", "!=", "&&", "||"};
  std::function<std::string(int)> text = [&](int depth) -> std::string {
    if (depth == 0 || below(5) == 0) {
      switch (below(3)) {
        case 0: return std::to_string(below(40));
        case 1: return "A";
        default: return "B";
      }
    }
    switch (below(9)) {
      case 0: return "(" + text(depth - 1) + ")";
      case 1: return "-" + text(0);
      case 2: return "!" + text(0);
      case 3:
        return "(" + text(depth - 1) + " ? " + text(depth - 1) + " : " +
               text(depth - 1) + ")";
      case 4: return "ceil_div(" + text(depth - 1) + ", " + text(depth - 1) + ")";
      case 5: return "min(" + text(depth - 1) + ", " + text(depth - 1) + ")";
      case 6: return "next_pow2(" + text(0) + ")";
      default:
        return text(depth - 1) + " " + infix[below(13)] + " " + text(depth - 1);
    }
  };
  int compared = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string one = text(3);
    const auto ours = condition::parse(one, style::manifest);
    const auto theirs = expression::parse(one);
    REQUIRE_MESSAGE(ours.ok() == theirs.ok(), one);
    if (!ours) continue;
    const auto a = static_cast<std::int64_t>(below(20)) - 5;
    const auto b = static_cast<std::int64_t>(below(20)) - 5;
    const auto expected = theirs.value().evaluate({{"A", a}, {"B", b}});
    const double made = value_of(ours.value(), {{"A", static_cast<double>(a)},
                                                {"B", static_cast<double>(b)}});
    if (expected) {
      ++compared;
      CHECK_MESSAGE(made == static_cast<double>(expected.value()), one);
    } else {
      CHECK_MESSAGE(std::isnan(made), one);
    }
  }
  CHECK(compared > 10'000);
}
