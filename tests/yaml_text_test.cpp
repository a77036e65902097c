#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <skillbench/yaml_text.hpp>

using namespace skillbench;
using yaml_text::oddity;
using yaml_text::type;

namespace {

bool odd(const yaml_text::document& in, oddity kind) {
  for (const yaml_text::trouble& one : in.troubles)
    if (one.kind == kind) return true;
  return false;
}

}  // namespace

TEST_CASE("yaml_text: a map, with the places of keys and values") {
  const auto made = yaml_text::read(
      "name: a-b\n"
      "description: >\n  two\n  lines\n"
      "metadata:\n  version: \"1.0\"\n  size: 2\n"
      "list:\n  - x\n",
      2);
  CHECK(made.troubles.empty());
  REQUIRE(made.root.kind == type::map);
  REQUIRE(made.root.items.size() == 4);
  const yaml_text::value* const name = made.root.find("name");
  REQUIRE(name != nullptr);
  CHECK(name->text == "a-b");
  CHECK(name->plain);
  CHECK(name->line == 2);
  CHECK(name->column == 7);
  CHECK(name->key_line == 2);
  CHECK(name->key_column == 1);
  CHECK(made.root.find("description")->text == "two lines\n");
  CHECK_FALSE(made.root.find("description")->plain);
  const yaml_text::value* const more = made.root.find("metadata");
  REQUIRE(more != nullptr);
  REQUIRE(more->kind == type::map);
  CHECK(more->find("version")->text == "1.0");
  CHECK_FALSE(more->find("version")->plain);
  CHECK(more->find("size")->plain);
  CHECK(more->find("size")->line == 8);
  CHECK(made.root.find("list")->kind == type::list);
  CHECK(made.root.find("nothing") == nullptr);
}

TEST_CASE("yaml_text: no text, one word and nothing") {
  CHECK(yaml_text::read("", 1).root.kind == type::null);
  CHECK(yaml_text::read("# only words\n", 1).root.kind == type::null);
  CHECK(yaml_text::read("word", 1).root.kind == type::text);
  CHECK(yaml_text::read("a:\n", 1).root.find("a")->kind == type::null);
}

TEST_CASE("yaml_text: an error names its place, and what was read is kept") {
  const auto made = yaml_text::read("name: a\ndescription: use: this\n", 2);
  REQUIRE(made.troubles.size() == 1);
  CHECK(made.troubles[0].kind == oddity::syntax);
  CHECK(made.troubles[0].line == 3);
  CHECK(made.troubles[0].column > 13);
  REQUIRE(made.root.kind == type::map);
  CHECK(made.root.find("name")->text == "a");
  CHECK(odd(yaml_text::read("a: \"open\n", 1), oddity::syntax));
  CHECK(odd(yaml_text::read("a: b\n...\n---\nc: d\n", 1), oddity::syntax));
}

TEST_CASE("yaml_text: what has more than one reading is told") {
  const auto twice = yaml_text::read("a: 1\nb: 2\na: 3\n", 5);
  REQUIRE(twice.troubles.size() == 1);
  CHECK(twice.troubles[0].kind == oddity::duplicate);
  CHECK(twice.troubles[0].line == 7);
  CHECK(twice.root.find("a")->text == "1");
  CHECK(odd(yaml_text::read("a: [x, y]\n", 1), oddity::flow));
  CHECK(odd(yaml_text::read("a: {x: y}\n", 1), oddity::flow));
  CHECK(odd(yaml_text::read("a: !!str x\n", 1), oddity::tag));
  CHECK_FALSE(odd(yaml_text::read("a: \"x\"\nb:\n  - c\n", 1), oddity::tag));
  CHECK(odd(yaml_text::read("a: &x y\n", 1), oddity::anchor));
  CHECK(odd(yaml_text::read("? [a]\n: b\n", 1), oddity::odd_key));
}

TEST_CASE("yaml_text: a bomb of aliases does not grow") {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) text += (j > 0 ? ", " : "") + before;
    text += "]\n";
  }
  const auto made = yaml_text::read(text, 1);
  CHECK(odd(made, oddity::alias));
  for (const yaml_text::value& one : made.root.items)
    CHECK(one.items.size() <= 10);
}

TEST_CASE("yaml_text: depth and number of values are bounded") {
  for (const std::size_t levels : {20u, 1000u, 60000u}) {
    std::string deep = "a: " + std::string(levels, '[');
    CHECK(odd(yaml_text::read(deep, 1), oddity::too_large));
    CHECK_FALSE(yaml_text::read(std::string(levels, '{'), 1).troubles.empty());
  }
  std::string dashes, keys, wide;
  for (int i = 0; i < 5000; ++i) {
    dashes += "- ";
    keys += "? ";
    wide += "- x\n";
  }
  CHECK_FALSE(yaml_text::read(dashes, 1).troubles.empty());
  CHECK_FALSE(yaml_text::read(keys, 1).troubles.empty());
  CHECK(odd(yaml_text::read(wide, 1), oddity::too_large));
}

TEST_CASE("yaml_text: plain scalars that the core schema reads as no text") {
  for (const char* each : {"1", "-1", "1.0", ".5", "1e3", "1.5E-3", "0x1f",
                           "0o17", "true", "False", "null", "~", "", ".inf",
                           "-.inf", ".nan", "1."})
    CHECK_MESSAGE(yaml_text::is_no_text(each), each);
  for (const char* each : {"1.0.0", "a", "1a", "yes", "0x", "0xg", "-", ".",
                           "1e", "v1", "truely", "12:30"})
    CHECK_FALSE_MESSAGE(yaml_text::is_no_text(each), each);
}
