#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <skillbench/cli/text.hpp>

#include "cli_kit.hpp"

using namespace skillbench::cli;

namespace {

// What a table prints to a file.
std::string printed(const table& all) {
  return cli_kit::printed<stream>([&](stream& to) { all.print(to); });
}

}  // namespace

TEST_CASE("cli/text: nothing that a model wrote can steer a terminal") {
  CHECK(printable("\x1b[31mcorrect\x1b[0m") == "\\x1b[31mcorrect\\x1b[0m");
  CHECK(printable("a\rb\bc\x7f") == "a\\x0db\\x08c\\x7f");
  CHECK(printable("one\ntwo\tthree") == "one\\ntwo three");
  CHECK(printable("\xc2\x9b" "31m") == "\\u{9b}31m");     // C1 CSI
  CHECK(printable("\xe2\x80\xae" "txt") == "\\u{202e}txt");  // right to left
  CHECK(printable("\xe2\x81\xa6x") == "\\u{2066}x");
  CHECK(printable("\xef\xbb\xbfx") == "\\u{feff}x");
  CHECK(printable("\xf3\xa0\x81\x81") == "\\u{e0041}");   // a tag
  CHECK(printable(std::string_view("a\0b", 3)) == "a\\x00b");
}

TEST_CASE("cli/text: what is no UTF-8 is shown byte by byte") {
  CHECK(printable("\xff\xfe") == "\\xff\\xfe");
  CHECK(printable("\xc0\xaf") == "\\xc0\\xaf");            // overlong
  CHECK(printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");   // surrogate
  CHECK(printable("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");
  CHECK(printable("\xe2\x82") == "\\xe2\\x82");            // cut
}

TEST_CASE("cli/text: words of any language stay as they are") {
  for (const char* text : {"Grüße", "日本語", "λ = 0.5", "😀", ""})
    CHECK(printable(text) == text);
}

TEST_CASE("cli/text: text is cut by characters and not by bytes") {
  CHECK(shortened("abcdef", 6) == "abcdef");
  CHECK(shortened("abcdefg", 6) == "abc...");
  CHECK(shortened("äöüäöüä", 6) == "äöü...");
  CHECK(shortened("abcdefg", 2) == "..");
}

TEST_CASE("cli/text: lines break at blanks, and a long word stands alone") {
  using lines = std::vector<std::string>;
  CHECK(wrapped("one two three", 7) == lines{"one two", "three"});
  CHECK(wrapped("  one   two ", 20) == lines{"one two"});
  CHECK(wrapped("a incredibly b", 4) == lines{"a", "incredibly", "b"});
  CHECK(wrapped("", 10).empty());
}

TEST_CASE("cli/text: columns of numbers stand right") {
  table all({"task", "n"});
  all.add({"geglu", "3"});
  all.add({"x", "12"});
  CHECK(printed(all) == "task    n\ngeglu   3\nx      12\n");
}

TEST_CASE("cli/text: colours are for terminals") {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  CHECK(stream(file).paint(colour::red, "wrong") == "wrong");
  std::fclose(file);
}

TEST_CASE("cli/text: a full disk is noticed") {
  std::FILE* const full = std::fopen("/dev/full", "w");
  REQUIRE(full != nullptr);
  stream to(full);
  to.line("words");
  CHECK_FALSE(to.flush());
  std::fclose(full);
}

TEST_CASE("cli/text: durations have one or two units") {
  CHECK(duration(0.2) == "0 s");
  CHECK(duration(59.4) == "59 s");
  CHECK(duration(59.6) == "1 min 0 s");
  CHECK(duration(125) == "2 min 5 s");
  CHECK(duration(7500) == "2 h 5 min");
  CHECK(duration(-3) == "0 s");
}

TEST_CASE("cli/text: a slip of the finger finds its word, nonsense none") {
  const std::vector<std::string> known{"run", "check", "families", "doctor"};
  CHECK(nearest("runn", known) == "run");
  CHECK(nearest("chekc", known) == "check");
  CHECK(nearest("familys", known) == "families");
  CHECK(nearest("banana", known).empty());
  CHECK(nearest("", known).empty());
  CHECK(nearest(std::string(100'000, 'x'), known).empty());
}
