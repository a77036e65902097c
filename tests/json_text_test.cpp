#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/json_text.hpp>

#include "json_kit.hpp"

using namespace skillbench;
using namespace kit;

namespace {

std::string refused(const std::string& text, text_place* where = nullptr) {
  const auto made = json_text::tree(text).parse(where);
  REQUIRE_MESSAGE(!made.ok(), text.substr(0, 200));
  CHECK(made.error().why == reason::bad_input);
  return made.error().what;
}

json_text::value parsed(const std::string& text) {
  auto made = json_text::tree(text).parse(nullptr);
  const std::string why = made.ok() ? "" : made.error().what;
  REQUIRE_MESSAGE(made.ok(), why);
  return std::move(made).value();
}

// What is said when every value below `text` is to be an integer.
bool all_integers(json_text::reader& in, const json_text::value& from,
                  std::vector<std::int64_t>& into) {
  if (from.kind != json_text::type::object &&
      from.kind != json_text::type::array)
    return in.integer(from, into.emplace_back(), "an integer");
  for (const json_text::value& one : from.items)
    if (!all_integers(in, one, into)) return false;
  return true;
}

result<std::vector<std::int64_t>> integers(const std::string& text,
                                           text_place* where = nullptr) {
  return json_text::read_as<std::vector<std::int64_t>>(text, {}, where,
                                                       &all_integers);
}

}  // namespace

TEST_CASE("json_text: values keep their order, their kind and their place") {
  const json_text::value it = parsed(
      "{\"b\": [1, -2, 1.5, null],\n \"a\": {\"t\": true, \"s\": \"x\\u0041\"}}");
  using json_text::type;
  REQUIRE(it.kind == type::object);
  REQUIRE(it.items.size() == 2);
  CHECK(it.items[0].key == "b");
  CHECK(it.items[0].offset == 6);
  const auto& list = it.items[0].items;
  REQUIRE(list.size() == 4);
  CHECK(list[0].kind == type::integer);
  CHECK(list[1].negative);
  CHECK(list[1].magnitude == 2);
  CHECK(list[1].number == -2.0);
  CHECK(list[2].kind == type::real);
  CHECK(list[2].number == 1.5);
  CHECK(list[3].kind == type::null);
  CHECK(list[3].offset == 19);
  CHECK(json_text::is_absent(&list[3]));
  CHECK(json_text::is_absent(it.find("c")));
  const json_text::value* const inner = it.find("a");
  REQUIRE(inner != nullptr);
  CHECK(inner->find("t")->flag);
  CHECK(inner->find("s")->text == "xA");
}

TEST_CASE("json_text: a wrong value is named by line, column and pointer") {
  text_place where;
  const auto wrong = integers("{\"a\": [1, 2],\n \"b/~\": [3, \"x\"]}", &where);
  REQUIRE_FALSE(wrong);
  says(wrong.error().what,
       "line 2, column 13, at /b~1~0/1: found \"x\"; expected an integer");
  CHECK(where.line == 2);
  CHECK(where.column == 13);
  const auto fine = integers("[9223372036854775807, [-9223372036854775808]]");
  REQUIRE(fine);
  CHECK(fine.value()[1] == std::numeric_limits<std::int64_t>::min());
  CHECK_FALSE(integers("9223372036854775808"));
  CHECK_FALSE(integers("-9223372036854775809"));
}

TEST_CASE("json_text: nothing holds a key twice") {
  says(refused(R"({"a": 1, "a": 2})"), "\"a\" stands here twice");
  says(refused(R"([{"b": {"a": 1, "c": 2, "a": 1}}])"), "column 25");
  CHECK(parsed(R"({"a": {"a": 1}})").items.size() == 1);
}

TEST_CASE("json_text: text that is no JSON is refused with its place") {
  says(refused(""), "line 1, column 1: ");
  says(refused("{"), "unexpected end of input");
  says(refused("{\n  \"family\": \"f\",\n}"), "no comma may stand before it");
  says(refused("{\n  \"family\": \"f\",\n}"), "line 2, column 16");
  says(refused("{\"family\": \"f\" // mine\n}"), "JSON has no comments");
  says(refused("{'family': 1}"), "double quotes");
  says(refused("{\"a\":\n1} x"), "line 2, column ");
  says(refused("{\"family\": tru}"), "invalid literal");
  says(refused("{\"family\": 01}"), "line 1, column 13");
  says(refused("{\"family\": 1e999}"), "overflow");
  says(refused("{\"family\": NaN}"), "invalid literal");
  says(refused("{\"family\": \"\xff\"}"), "UTF-8");
  says(refused("{\"family\": \"a\nb\"}"), "control character");
  says(refused("{\"family\": \"\\ud800\"}"), "surrogate");
  says(refused(std::string("{\0}", 3)), "line 1, column 2");
}

TEST_CASE("json_text: hostile nesting and size are refused") {
  says(refused(repeat("[", 100'000)), "more than 32 levels");
  says(refused(repeat("{\"a\":", 33)), "more than 32 levels");
  says(refused("[" + repeat("0,", 1'100'000) + "0]"), "more than 1000000");
  const std::string key(100'000, 'a');
  CHECK(refused("{\"" + key + "\": 1, \"" + key + "\": 1}").size() < 1000);
  const auto wrong = integers("{\"" + key + "\": \"" + key + "\"}");
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().what.size() < 1000);
  CHECK(refused("{\"family\": t" + std::string(100'000, 'a')).size() < 1000);
}

TEST_CASE("json_text: what is written is one line, in the order of its keys") {
  json_text::json made;
  made["z"] = 1;
  made["a"] = "line\nend \xff";
  json_text::put(made, "none", std::optional<int>());
  json_text::put(made, "some", std::optional<int>(5));
  json_text::put(made, "empty", std::string());
  made["n"] = json_text::number(std::numeric_limits<double>::quiet_NaN());
  made["i"] = json_text::number(-std::numeric_limits<double>::infinity());
  CHECK(json_text::line_of(made) ==
        "{\"z\":1,\"a\":\"line\\nend \xef\xbf\xbd\",\"some\":5,\"n\":\"nan\","
        "\"i\":\"-infinity\"}");
}
