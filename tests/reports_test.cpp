#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <skillbench/reports/markdown.hpp>

using namespace skillbench;

namespace {

record told(const std::string& task, const std::string& arm, outcome reached,
            const std::string& reason = {}) {
  record made;
  made.of.id = task + "-" + arm;
  made.of.model = "m";
  made.of.task = task;
  made.of.arm = arm;
  made.what = reached;
  made.reason = reason;
  return made;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

using markdown_words::cell;
using markdown_words::code_span;
using markdown_words::one_line;

}  // namespace

TEST_CASE("reports: a table of rungs, then what is not correct") {
  const std::vector<record> all{
      told("geglu", "baseline", outcome::correct),
      told("geglu", "baseline", outcome::wrong, "case `odd`: y[3] is 0"),
      told("geglu", "with_skill", outcome::unjudged, "not supported"),
      told("attention", "baseline", outcome::does_not_compile)};
  CHECK(markdown_report(all) ==
        "| task | arm | outputs | kernel | manifest | compiles | clean | right "
        "| correct | unjudged |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: "
        "|\n"
        "| `attention` | `baseline` | 1 | 1 | 1 | 0 | 0 | 0 | 0 | 0 |\n"
        "| `geglu` | `baseline` | 2 | 2 | 2 | 2 | 2 | 1 | 1 | 0 |\n"
        "| `geglu` | `with_skill` | 1 | 1 | 1 | 1 | 0 | 0 | 0 | 1 |\n"
        "\n"
        "- `geglu-baseline`: wrong, ``case `odd`: y[3] is 0``\n"
        "- `geglu-with_skill`: unjudged, `not supported`\n"
        "- `attention-baseline`: does_not_compile\n");
}

TEST_CASE("reports: several models get a column, no record says so") {
  std::vector<record> all{told("geglu", "", outcome::correct),
                          told("geglu", "", outcome::correct)};
  CHECK_FALSE(has(markdown_report(all), "| model |"));
  all[1].of.model = "n";
  CHECK(has(markdown_report(all), "| `m` | `geglu` | - | 1 |"));
  CHECK(has(markdown_report(all), "| `n` | `geglu` | - | 1 |"));
  CHECK(markdown_report({}) == "No output was judged.\n");
}

TEST_CASE("reports: a long list is cut, and says by how much") {
  std::vector<record> all(7, told("geglu", "baseline", outcome::wrong, "no"));
  const std::string text = markdown_report(all, {.reasons = 3});
  CHECK(has(text, "- and 4 more\n"));
  CHECK_FALSE(has(markdown_report(all), " more\n"));
}

TEST_CASE("reports: a model's words stay in their code span") {
  CHECK(code_span("plain", 60) == "`plain`");
  CHECK(code_span("a `b` c", 60) == "``a `b` c``");
  CHECK(code_span("``", 60) == "``` `` ```");
  CHECK(code_span("`a", 60) == "`` `a ``");
  CHECK(code_span("", 60) == "-");
  CHECK(code_span(" \n ", 60) == "-");
  // One line: nothing below it can begin.
  CHECK(code_span("a\n\n# head\r\n| x |\t", 60) == "`a # head | x |`");
  CHECK(cell("a|b`", 60) == "`` a\xc2\xa6"
                            "b` ``");
  const std::vector<record> all{told("x|y\n| z", "@somebody", outcome::wrong,
                                     "<img src=x> `[a](b)` \n- item")};
  const std::string text = markdown_report(all);
  CHECK(has(text, "| `x\xc2\xa6y \xc2\xa6 z` | `@somebody` | 1 |"));
  CHECK(has(text, ", ``<img src=x> `[a](b)` - item``\n"));
}

TEST_CASE("reports: control and direction characters, and broken UTF-8") {
  CHECK(one_line("a\x1b[31mb\x7f" "c", 60) == "a [31mb c");
  CHECK(one_line("a\xe2\x80\xae" "b", 60) == "a?b");    // right-to-left override
  CHECK(one_line("a\xe2\x81\xa6" "b", 60) == "a?b");    // isolate
  CHECK(one_line("a\xe2\x80\xa8" "b", 60) == "a?b");    // line separator
  CHECK(one_line("a\xd8\x9c\xc2\x85" "b", 60) == "a??b");
  CHECK(one_line("a\xe2\x80\x94" "b", 60) == "a\xe2\x80\x94" "b");  // a dash
  CHECK(one_line("\xff\xc0\x80 \xc3", 60) == "??? ?");
  CHECK(one_line("\xe2\x80", 60) == "??");
}

TEST_CASE("reports: a cut ends with a whole character") {
  CHECK(one_line("abcdef", 6) == "abcdef");
  CHECK(one_line("abcdefg", 6) == "abcdef...");
  CHECK(one_line("abcde\xc3\xa9", 6) == "abcde...");
  CHECK(one_line("abcd  efgh", 5) == "abcd...");
}
