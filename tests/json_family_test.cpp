#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <skillbench/json_family.hpp>

#include "json_kit.hpp"

using namespace skillbench;
using namespace kit;

TEST_CASE("json_family: the families of this project can be read") {
  for (const char* const name :
       {"layernorm", "rmsnorm", "geglu", "attention"}) {
    const auto made = read_family(
        file("kernels/" + std::string(name) + "/family.json"), "p", "b", {});
    const std::string why = made.ok() ? "" : made.error().what;
    REQUIRE_MESSAGE(made.ok(), why);
    CHECK(made.value().name == name);
    CHECK(made.value().prompt == "p");
    CHECK(made.value().baseline == "b");
    CHECK(made.value().cases.size() >= 12);
    for (const test_case& one : made.value().cases) {
      std::size_t inputs = 0, integers = 0, reals = 0;
      for (const argument& it : made.value().arguments) {
        inputs += it.kind == argument::type::input;
        integers += it.kind == argument::type::integer;
        reals += it.kind == argument::type::real;
      }
      CHECK(one.fills.size() == inputs);
      CHECK(one.integers.size() == integers);
      CHECK(one.reals.size() == reals);
    }
  }
}

namespace {

const std::string small_family = R"({
"name": "f", "title": "F", "version": "1",
"arguments": [
  {"name": "x", "kind": "input", "shape": ["rows", "2 * cols"]},
  {"name": "w", "kind": "input", "shape": ["cols"]},
  {"name": "y", "kind": "output", "shape": ["rows", "cols"]},
  {"name": "rows", "kind": "integer", "range": [1, 10]},
  {"name": "cols", "kind": "integer", "range": [1, 20]},
  {"name": "eps", "kind": "real"}],
"cases": [{"name": "c", "why": "because",
  "integers": {"cols": 7, "rows": 3}, "reals": {"eps": 1e-5},
  "fills": {"x": {"kind": "spike", "scale": 2, "offset": -1, "row": "cols"}}}],
"tolerance": {"c": 4, "why": "so"},
"work": {"bytes": "rows * cols * sizeof_T", "operations": "rows * cols"}})";

std::string family_refused(const std::string& part, const std::string& by) {
  const auto made = read_family(changed(small_family, part, by), "", "", {});
  REQUIRE_MESSAGE(!made.ok(), by);
  return made.error().what;
}

}  // namespace

TEST_CASE("json_family: what hidden cases are drawn from, and its refusals") {
  const auto with = [](const std::string& hidden) {
    return changed(small_family, "\"tolerance\"",
                   "\"hidden\": " + hidden + ", \"tolerance\"");
  };
  const auto made = read_family(
      with(R"({"count": 3, "most_elements": 90, "integers": {"cols": [4, 8]},
               "reals": {"eps": [1e-5, 1e-3]},
               "fills": {"x": [{"kind": "spike"}, {"kind": "normal", "row": "cols"}]}})"),
      "", "", {});
  REQUIRE(made.ok());
  const hidden_plan& it = made.value().hidden;
  CHECK(it.count == 3);
  CHECK(it.most_elements == 90);
  CHECK(it.integers[0].second == std::vector<std::int64_t>{4, 8});
  CHECK(it.reals[0].second == std::vector<double>{1e-5, 1e-3});
  REQUIRE(it.fills[0].second.size() == 2);
  CHECK(it.fills[0].second[0].row.text() == "2 * cols");  // the tensor's own
  CHECK(it.fills[0].second[1].row.text() == "cols");

  const auto told = [&](const std::string& hidden) {
    const auto refused = read_family(with(hidden), "", "", {});
    REQUIRE_MESSAGE(!refused.ok(), hidden);
    return refused.error().what;
  };
  const std::string eps = R"("reals": {"eps": [1]})";
  says(told(R"({"most_elements": 90})"), "count");
  says(told(R"({"count": 1})"), "most_elements");
  says(told(R"({"count": 1001, "most_elements": 9, )" + eps + "}"),
       "/hidden/count");
  says(told(R"({"count": 1, "most_elements": 0, )" + eps + "}"), "positive");
  says(told(R"({"count": 1, "most_elements": 9})"),
       "nothing to draw \"eps\" from");
  says(told(R"({"count": 1, "most_elements": 9, "sizes": {}})"), "sizes");
  says(told(R"({"count": 1, "most_elements": 9, "integers": {"cols": [21]}, )" +
            eps + "}"),
       "from 1 to 20");
  says(told(R"({"count": 1, "most_elements": 9, "integers": {"depth": [2]}, )" +
            eps + "}"),
       "no such argument");
  says(
      told(
          R"({"count": 1, "most_elements": 9, "fills": {"y": [{"kind": "normal"}]}, )" +
          eps + "}"),
      "no such argument");
  says(
      told(
          R"({"count": 1, "most_elements": 9, "fills": {"x": [{"kind": "normal", "row": "depth"}]}, )" +
          eps + "}"),
      "depth");
}

TEST_CASE("json_family: shapes made for timing, within the contract and beyond it") {
  const auto with = [](const std::string& shapes) {
    return read_family(changed(small_family, "\"tolerance\"", "\"timing\": [" + shapes + "],\n\"tolerance\""), "", "", {});
  };
  const auto shape = [](const std::string& name, const std::string& cols, const std::string& types) {
    return "{\"name\": \"" + name + "\", \"why\": \"w\", \"integers\": {\"rows\": 10, \"cols\": " + cols + "}, \"reals\": {\"eps\": 1}, \"types\": " + types + "}";
  };
  const auto made = with(shape("a", "20", "[\"half\"]") + "," + shape("b", "21", "[\"bfloat16\", \"float\"]"));
  const std::string why = made.ok() ? "" : made.error().what;
  REQUIRE_MESSAGE(made.ok(), why);
  REQUIRE(made.value().timing.size() == 2);
  CHECK_FALSE(made.value().timing[0].beyond);
  CHECK(made.value().timing[0].types == std::vector{element::f16});
  CHECK(made.value().timing[1].beyond);
  CHECK(made.value().timing[1].types == std::vector{element::bf16, element::f32});
  CHECK(made.value().timing[1].of.integers[1].second == 21);
  CHECK(made.value().cases.size() == 1);

  const auto refused = [&](const std::string& shapes, const std::string& words) {
    const auto wrong = with(shapes);
    REQUIRE_FALSE(wrong.ok());
    CHECK_MESSAGE(wrong.error().what.find(words) != std::string::npos, wrong.error().what);
  };
  refused(shape("a", "20", "[]"), "found 0 entries; expected 1 to 3");
  refused(shape("a", "20", "[\"double\"]"), "float, half or bfloat16");
  refused(shape("a", "20", "[\"half\", \"half\"]"), "the element type is named twice");
  refused(shape("a", "-1", "[\"half\"]"), "an integer from 1 to 20");
  refused(shape("a", "0", "[\"half\"]"), "an extent of \"x\" is 0");
  refused(shape("a", "20", "[\"half\"]") + "," + shape("a", "19", "[\"half\"]"), "two shapes are named");
  refused(shape("c", "20", "[\"half\"]"), "two cases are named");
}

TEST_CASE("json_family: a family with the defaults its cases leave out") {
  const auto made = read_family(small_family, "", "", {});
  REQUIRE(made.ok());
  const family& it = made.value();
  CHECK(it.arguments[0].kind == argument::type::input);
  CHECK(it.arguments[2].kind == argument::type::output);
  CHECK(it.arguments[3].most == 10);
  const test_case& one = it.cases[0];
  CHECK(one.integers[0].first == "rows");  // in the order of the arguments
  CHECK(one.integers[0].second == 3);
  CHECK(one.reals[0].second == 1e-5);
  REQUIRE(one.fills.size() == 2);
  CHECK(one.fills[0].second == fill{pattern::spike, 2.0, -1.0, 7});
  CHECK(one.fills[1].first == "w");
  CHECK(one.fills[1].second == fill{pattern::normal, 1.0, 0.0, 7});
  const auto without =
      read_family(changed(small_family, ", \"row\": \"cols\"", ""), "", "", {});
  REQUIRE(without.ok());
  CHECK(without.value().cases[0].fills[0].second.row == 14);
  CHECK(it.allowed.c == 4);
  CHECK(it.bytes.text() == "rows * cols * sizeof_T");
}

TEST_CASE("json_family: a family that contradicts itself is refused") {
  says(family_refused("\"title\": \"F\", ", ""), "\"title\" is missing");
  says(family_refused("\"title\"", "\"heading\""), "no key \"heading\"");
  says(family_refused("\"kind\": \"real\"", "\"kind\": \"float\""), "\"real\"");
  says(family_refused("\"kind\": \"real\"",
                      "\"kind\": \"real\", \"range\": [0,1]"),
       "only integers have a range");
  says(family_refused("\"kind\": \"real\"",
                      "\"kind\": \"real\", \"shape\": [1]"),
       "only tensors have a shape");
  says(family_refused(", \"shape\": [\"cols\"]", ""), "\"shape\" is missing");
  says(family_refused(", \"range\": [1, 20]", ""), "\"range\" is missing");
  says(family_refused("[1, 20]", "[20, 1]"), "above the most");
  says(family_refused("[\"cols\"]", "[\"columns\"]"), "\"columns\"");
  says(family_refused("[\"cols\"]", "[\"cols - 7\"]"),
       "an extent of \"w\" is 0");
  says(family_refused("\"name\": \"w\"", "\"name\": \"x\""), "two arguments");
  says(family_refused("\"rows\": 3", "\"rows\": 11"), "from 1 to 10");
  says(family_refused("\"rows\": 3", "\"rows\": 0"), "from 1 to 10");
  says(family_refused(", \"rows\": 3", ""), "no value for \"rows\"");
  says(family_refused("\"rows\": 3", "\"rows\": 3, \"z\": 1"), "\"z\"");
  says(family_refused("\"eps\": 1e-5", ""), "no value for \"eps\"");
  says(family_refused("\"spike\"", "\"spikes\""), "expected normal, uniform");
  says(family_refused("\"row\": \"cols\"", "\"row\": 0"), "shorter than 1");
  says(family_refused("\"row\": \"cols\"", "\"row\": \"eps\""), "`eps`");
  says(family_refused("{\"x\": {\"kind\"", "{\"y\": {\"kind\""), "no input");
  says(family_refused("\"c\": 4", "\"c\": -1"), "negative");
  says(family_refused("\"operations\": \"rows", "\"operations\": \"row"),
       "\"row\"");
  says(family_refused("\"cases\": [",
                      "\"cases\": [{\"name\": \"c\", \"why\": "
                      "\"w\", \"integers\": {\"cols\": 7, "
                      "\"rows\": 3}, \"reals\": {\"eps\": 1}}, "),
       "two cases");
}
