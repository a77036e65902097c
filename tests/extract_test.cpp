#include <doctest/doctest.h>

#include <string>

#include <skillbench/extract.hpp>

using namespace skillbench;

namespace {

const std::string kernel =
    "/* skillbench\n{}\n*/\n"
    "__global__ void k(float* y) { y[0] = 1; }\n";
const std::string plain = "__global__ void p(float* y) { y[0] = 2; }\n";

std::string in(const std::string& text, const std::string& fence = "```",
               const std::string& info = "cuda") {
  return fence + info + "\n" + text + fence + "\n";
}

excerpt found(const std::string& output) {
  auto made = extract(output);
  const std::string why = made.refused.empty() ? "" : made.refused[0].what;
  REQUIRE_MESSAGE(made.found.has_value(), why);
  CHECK(made.refused.empty());
  return *made.found;
}

finding refused(const std::string& output) {
  const auto made = extract(output);
  REQUIRE_FALSE(made.found.has_value());
  REQUIRE(made.refused.size() == 1);
  CHECK(made.refused[0].weight == severity::fails);
  CHECK(outcome_of(made.refused[0].kind) == outcome::no_kernel);
  return made.refused[0];
}

bool has_note(const excerpt& from, code kind) {
  for (const finding& one : from.notes)
    if (one.kind == kind) {
      CHECK(one.weight == severity::note);
      return true;
    }
  return false;
}

std::string repeat(const std::string& part, std::size_t times) {
  std::string made;
  made.reserve(part.size() * times);
  for (std::size_t i = 0; i < times; ++i) made += part;
  return made;
}

}  // namespace

TEST_CASE("extract: the source of the one fenced block, and its line") {
  const excerpt it = found("Here it is.\n\n" + in(kernel) + "\nEnjoy!\n");
  CHECK(it.source == kernel);
  CHECK(it.first_line == 4);
  CHECK(it.notes.empty());
}

TEST_CASE("extract: any fence that Markdown knows") {
  CHECK(found(in(kernel, "~~~~")).source == kernel);
  CHECK(found(in(kernel, "`````")).source == kernel);
  CHECK(found(in(kernel, "```", "")).source == kernel);
  CHECK(found(in(kernel, "```", " c++ title=x")).source == kernel);
  CHECK(found("````cuda\n" + kernel + "// ```\n````\n").source ==
        kernel + "// ```\n");
}

TEST_CASE("extract: a fence in a list or a quote loses their indentation") {
  const std::string listed =
      "1. Take this:\n\n"
      "   ```cuda\n   __global__ void k() {\n     f();\n   }\n   ```\n";
  const excerpt it = found(listed);
  CHECK(it.source == "__global__ void k() {\n  f();\n}\n");
  CHECK(it.first_line == 4);
  CHECK(found("> ```\n> __global__ void k() {}\n> ```\n").source ==
        "__global__ void k() {}\n");
}

TEST_CASE("extract: a fence that is indented like code is looked into") {
  const excerpt it =
      found("Look:\n\n    ```cuda\n    __global__ void k() {}\n    ```\n");
  CHECK(it.source == "__global__ void k() {}\n");
  CHECK(it.first_line == 4);
}

TEST_CASE("extract: an answer that stands in a fence as a whole is opened") {
  const excerpt it =
      found("````markdown\nMy answer:\n\n" + in(kernel) + "````\n");
  CHECK(it.source == kernel);
  CHECK(it.first_line == 5);
  // The inner fence closes the outer one.
  CHECK(found("```markdown\nMy answer:\n" + in(kernel) + "```\n").source ==
        kernel);
}

TEST_CASE("extract: a fence inside a source's comment belongs to the source") {
  const std::string text = "// Use:\n// ```\n" + kernel +
                           "/*\n```\n__global__ void no() {}\n```\n*/\n";
  CHECK(found(in(text, "````")).source == text);
}

TEST_CASE("extract: the last block with manifest and kernel is used") {
  const std::string better = kernel + "// better\n";
  const excerpt it = found(in(kernel) + "Wait, better:\n" + in(better) +
                           "Without a manifest:\n" + in(plain));
  CHECK(it.source == better);
  CHECK(it.first_line == 9);
  REQUIRE(has_note(it, code::several_sources));
  CHECK(it.notes[0].what.find("3 fenced blocks") != std::string::npos);
  CHECK(it.notes[0].what.find("line 9") != std::string::npos);
}

TEST_CASE("extract: blocks without a kernel are no sources") {
  const excerpt it = found(in("skillbench run\n", "```", "sh") + in(plain) +
                           in("int x;\n") + "The `__global__` is above.\n");
  CHECK(it.source == plain);
  CHECK(it.notes.empty());
}

TEST_CASE("extract: a closed block comes before a cut one") {
  const excerpt it = found(in(kernel) + "```cuda\n" + kernel + "// and th");
  CHECK(it.first_line == 2);
  CHECK(has_note(it, code::several_sources));
  // A shorter fence does not close a longer one.
  CHECK(found(in(kernel) + "````cuda\n" + kernel + "```\n").first_line == 2);
}

TEST_CASE("extract: a cut block is taken when there is no other") {
  CHECK(found("Sure:\n```cuda\n" + kernel + "// and th").source ==
        kernel + "// and th\n");
}

TEST_CASE("extract: a file without fences is the source as a whole") {
  const excerpt it = found(kernel);
  CHECK(it.source == kernel);
  CHECK(it.first_line == 1);
  const std::string documented =
      "// Run as\n// ```\n// k<<<1, 1>>>(y);\n// ```\n" + kernel;
  CHECK(found(documented).source == documented);
  const std::string shown = "/*\n" + in(plain) + "*/\n" + kernel;
  CHECK(found(shown).source == shown);
}

TEST_CASE("extract: prose is no source") {
  CHECK(refused("").kind == code::no_source);
  CHECK(refused("\n \n").what == "the output is empty");
  CHECK(refused("I cannot do that.").kind == code::no_source);
  CHECK(refused("Mark it with __global__ and launch it.").kind ==
        code::no_source);
  CHECK(refused(in("int x;\n")).what.find("1 fenced block,") !=
        std::string::npos);
  CHECK(refused("my__global__(x) {}").kind == code::no_source);
  CHECK(refused("__global__s(x) {}").kind == code::no_source);
}

TEST_CASE("extract: line ends become LF and lines keep their numbers") {
  const excerpt it =
      found("a\r\n\r\n```cuda\r\n__global__ void k() {\r\n}\r\n```\r\n");
  CHECK(it.source == "__global__ void k() {\n}\n");
  CHECK(it.first_line == 4);
  CHECK(found("__global__ void k() {\r}\r").source ==
        "__global__ void k() {\n}\n");
}

TEST_CASE("extract: a byte order mark is cut off and told") {
  const std::string mark = "\xef\xbb\xbf";
  const excerpt bare = found(mark + kernel);
  CHECK(bare.source == kernel);
  CHECK(has_note(bare, code::byte_order_mark));
  const excerpt fenced = found(in(mark + kernel));
  CHECK(fenced.source == kernel);
  CHECK(has_note(fenced, code::byte_order_mark));
  const excerpt around = found(mark + in(kernel));
  CHECK(around.source == kernel);
  CHECK(around.notes.empty());
}

TEST_CASE("extract: a NUL in the source is refused, elsewhere it is not") {
  const std::string nul(1, '\0');
  const finding fenced = refused("a\n" + in(kernel + "//" + nul + "\n"));
  CHECK(fenced.kind == code::bad_source);
  CHECK(fenced.line == 5);
  CHECK(refused(kernel + nul).kind == code::bad_source);
  CHECK(refused("> ```\n> __global__ void k() {}" + nul + "\n> ```\n").kind ==
        code::bad_source);
  CHECK(found("a" + nul + "\n" + in(kernel) + nul).source == kernel);
}

TEST_CASE("extract: invalid UTF-8 in the source is refused with its place") {
  const finding it = refused(in("__global__ void k() {\n// \xff\n}\n"));
  CHECK(it.kind == code::bad_source);
  CHECK(it.line == 2);
  CHECK(it.what.find("byte 25") != std::string::npos);
  for (const char* const bytes :
       {"\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82",
        "\xc3", "\xf0\x9f\x98"})
    CHECK(refused(kernel + "// " + bytes + "\n").kind == code::bad_source);
  for (const char* const bytes :
       {"\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
        "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    CHECK(found(kernel + "// " + bytes + "\n").notes.empty());
  CHECK(found("\xff\n" + in(kernel)).source == kernel);
}

TEST_CASE("extract: bidirectional controls are told with line and count") {
  for (const char* const control :
       {"\u061c", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069"}) {
    const excerpt it = found(in(kernel + "// " + control + control + "\n"));
    REQUIRE(has_note(it, code::bidi_control));
    CHECK(it.notes[0].line == 5);
    CHECK(it.notes[0].count == 2);
  }
  CHECK(
      found(kernel + "// \u2070 \u2029 \u202f \u2065 \u200d\n").notes.empty());
}

TEST_CASE("extract: a source has at most 256 KB, an output at most 8 MB") {
  const std::string fits =
      kernel + std::string(most_source_bytes - kernel.size() - 1, '/') + "\n";
  CHECK(found(in(fits)).source.size() == most_source_bytes);
  CHECK(refused(in("/" + fits)).kind == code::bad_source);
  const std::string large(most_output_bytes - in(kernel).size(), '\n');
  CHECK(found(in(kernel) + large).source == kernel);
  CHECK(refused(in(kernel) + large + "\n").kind == code::bad_source);
}

TEST_CASE("extract: hostile nesting is refused before it costs anything") {
  CHECK(
      refused(repeat("* ", 4000) + "a\n" + repeat("\n", 1'000'000) + in(kernel))
          .kind == code::bad_source);
  CHECK(refused(repeat(">", 8'000'000) + "\n" + in(kernel)).kind ==
        code::bad_source);
  CHECK(refused(repeat("[", 8'000'000) + "\n\n" + in(kernel)).kind ==
        code::bad_source);
  // Honest lists with many blank lines are read.
  CHECK(found(repeat("- a\n\n  - b\n\n", 5'000) + in(kernel)).source == kernel);
}

TEST_CASE("extract: where findings leave a candidate") {
  const auto at = [](code kind) {
    finding made;
    made.kind = kind;
    return outcome_of(made.kind);
  };
  CHECK(at(code::no_source) == outcome::no_kernel);
  CHECK(at(code::bad_source) == outcome::no_kernel);
  CHECK(at(code::bad_manifest) == outcome::bad_manifest);
  CHECK(at(code::compile_error) == outcome::does_not_compile);
  CHECK(at(code::compile_limits) == outcome::does_not_compile);
  CHECK(at(code::out_of_bounds) == outcome::faults);
  CHECK(at(code::deadlock) == outcome::faults);
  CHECK(at(code::wrong_value) == outcome::wrong);
  CHECK(at(code::unwritten_output) == outcome::wrong);
}
