#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include <skillbench/compile.hpp>

using namespace skillbench;

namespace {

expression parsed(std::string_view text) {
  auto made = expression::parse(text);
  REQUIRE(made.ok());
  return made.value();
}

manifest tuned(std::vector<tunable> tune, std::vector<std::string> constraints) {
  manifest made;
  made.tune = std::move(tune);
  for (const auto& each : constraints) made.constraints.push_back(parsed(each));
  return made;
}

candidate with_source(std::string source, std::vector<std::string> entries) {
  candidate made;
  made.source = std::move(source);
  for (auto& entry : entries) {
    launch_text each;
    each.entry = std::move(entry);
    made.launch.launches.push_back(std::move(each));
  }
  return made;
}

std::string planned(std::string source, const setting& chosen = {{"N", 4}}) {
  return plan_compile(with_source(std::move(source), {"k"}), chosen,
                      element::f32)
      .source;
}

}  // namespace

TEST_CASE("compile: without constraints the first value of each is chosen") {
  const auto made =
      default_setting(tuned({{"A", {3, 1}}, {"B", {7}}}, {}), element::f32);
  CHECK(made.value() == setting{{"A", 3}, {"B", 7}});
  CHECK(default_setting(manifest{}, element::f32).value().empty());
}

TEST_CASE("compile: the last tunable changes fastest, in the order written") {
  const std::vector<tunable> tune{{"A", {4, 2, 1}}, {"B", {8, 1}}, {"C", {5, 6}}};
  CHECK(default_setting(tuned(tune, {"C == 6"}), element::f32).value() ==
        setting{{"A", 4}, {"B", 8}, {"C", 6}});
  CHECK(default_setting(tuned(tune, {"A * B <= 4"}), element::f32).value() ==
        setting{{"A", 4}, {"B", 1}, {"C", 5}});
  CHECK(default_setting(tuned(tune, {"A * B <= 3", "C == 6"}), element::f32)
            .value() == setting{{"A", 2}, {"B", 1}, {"C", 6}});
  CHECK(default_setting(tuned(tune, {"A + B + C == 8", "A == 1"}), element::f32)
            .value() == setting{{"A", 1}, {"B", 1}, {"C", 6}});
}

TEST_CASE("compile: constraints see the size of the element type") {
  const auto asked = tuned({{"V", {8, 4}}}, {"V * sizeof_T <= 16"});
  CHECK(default_setting(asked, element::f32).value() == setting{{"V", 4}});
  CHECK(default_setting(asked, element::f16).value() == setting{{"V", 8}});
  CHECK(default_setting(asked, element::bf16).value() == setting{{"V", 8}});
}

TEST_CASE("compile: a setting that does not exist is a fault that says so") {
  const auto none = default_setting(tuned({{"A", {1, 2}}}, {"A > 2"}),
                                    element::f32);
  CHECK(none.error().why == reason::bad_input);
  CHECK(none.error().what.find("no combination") != std::string::npos);
  CHECK_FALSE(default_setting(tuned({}, {"0"}), element::f32).ok());
  CHECK(default_setting(tuned({}, {"1"}), element::f32).ok());

  const auto empty = default_setting(tuned({{"A", {}}}, {}), element::f32);
  CHECK(empty.error().why == reason::bad_input);
  CHECK(empty.error().what.find("`A`") != std::string::npos);
}

TEST_CASE("compile: a constraint that cannot be evaluated is a fault") {
  const auto made =
      default_setting(tuned({{"A", {0, 1}}}, {"8 / A > 0"}), element::f32);
  CHECK(made.error().why == reason::bad_input);
  CHECK(made.error().what.find("8 / A > 0") != std::string::npos);
  CHECK_FALSE(
      default_setting(tuned({{"A", {1}}}, {"rows > 0"}), element::f32).ok());
}

TEST_CASE("compile: the search ends after a million combinations") {
  std::vector<tunable> tune;
  for (int i = 0; i < 7; ++i)
    tune.push_back({"T" + std::to_string(i), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}});
  const auto made = default_setting(tuned(tune, {"T0 == 9"}), element::f32);
  CHECK(made.error().why == reason::bad_input);
  CHECK(made.error().what.find("1000000") != std::string::npos);
  // The millionth is still tried.
  CHECK(default_setting(tuned(tune, {"T0 == 0 && T1 + T2 + T3 + T4 + T5 + T6 "
                                     "== 54"}),
                        element::f32)
            .ok());
}

TEST_CASE("compile: marks of an entry become the type and the values") {
  const setting chosen{{"BLOCK", 256}, {"V", -2}};
  CHECK(filled_entry("k<{T}, {BLOCK}, {V}>", chosen, element::f16) ==
        "k<__half, 256, -2>");
  CHECK(filled_entry("k<{T}>", chosen, element::bf16) == "k<__nv_bfloat16>");
  CHECK(filled_entry("k<{T}>", chosen, element::f32) == "k<float>");
  CHECK(filled_entry("plain", chosen, element::f32) == "plain");
}

TEST_CASE("compile: braces that are no mark stay") {
  const setting chosen{{"A", 1}};
  CHECK(filled_entry("k<S{1}, {B}, { A }, {A}", chosen, element::f32) ==
        "k<S{1}, {B}, { A }, 1");
  CHECK(filled_entry("{{A}}", chosen, element::f32) == "{1}");
  CHECK(filled_entry("k{", chosen, element::f32) == "k{");
  CHECK(filled_entry("{}", chosen, element::f32) == "{}");
  CHECK(filled_entry("{A", chosen, element::f32) == "{A");
  CHECK(marks_of("k<{T}, {A}, {A}, {1x}, {}, {B") ==
        std::vector<std::string>{"T", "A", "A"});
  CHECK(marks_of("{{A}}") == std::vector<std::string>{"A"});
}

TEST_CASE("compile: strings and booleans are tunables like any other") {
  const std::vector<tunable> tune{
      {"L", {std::string("row"), std::string("float4 *")}}, {"N", {1, 2}},
      {"FAST", {true, false}}, {"M", {std::string("x"), std::string("y")}}};
  const auto first = [&](std::vector<std::string> constraints) {
    return default_setting(tuned(tune, std::move(constraints)), element::f32)
        .value();
  };
  CHECK((first({}) == setting{{"L", "row"}, {"N", 1}, {"FAST", true}, {"M", "x"}}));
  CHECK((first({"!FAST"})[2].second == tuning_value(false)));
  CHECK((first({"L != 'row'", "N == 2 || FAST", "M == 'y'"}) ==
         setting{{"L", "float4 *"}, {"N", 1}, {"FAST", true}, {"M", "y"}}));
  CHECK((first({"FAST + N == 2", "M == 'y'", "!FAST"}) ==
         setting{{"L", "row"}, {"N", 2}, {"FAST", false}, {"M", "y"}}));
  const auto sum = default_setting(tuned(tune, {"L + 1"}), element::f32);
  REQUIRE_FALSE(sum.ok());
  CHECK(sum.error().what.find("`L` is a text") != std::string::npos);

  const auto made =
      plan_compile(with_source("int x;\n", {"k<{T}, {FAST}, {L}>"}),
                   {{"L", "row"}, {"FAST", false}, {"M", "a b"}, {"B", true}},
                   element::f32);
  CHECK(made.entries == std::vector<std::string>{"k<float, false, row>"});
  CHECK(made.source == "#define M a b\n#define B true\n#line 1\nint x;\n");
}

TEST_CASE("compile: every launch has an entry, in order") {
  const auto made = plan_compile(
      with_source("int x;\n", {"a<{T}>", "b<{N}>", "a<{T}>"}), {{"N", 3}},
      element::f32);
  CHECK(made.entries ==
        std::vector<std::string>{"a<float>", "b<3>", "a<float>"});
  CHECK(made.source == "int x;\n");  // N is named by an entry
}

TEST_CASE("compile: tunables that no entry names become macros") {
  const auto made =
      plan_compile(with_source("int x;\n", {"a", "b<{N}>"}),
                   {{"N", 3}, {"M", 64}, {"K", -1}}, element::f32);
  CHECK(made.source == "#define M 64\n#define K -1\n#line 1\nint x;\n");
}

TEST_CASE("compile: macros stand after the leading comments and includes") {
  CHECK(planned("/* skillbench\n{}\n*/\n#include <cuda_fp16.h>\n\n// note\n"
                "__global__ void k() {}\n") ==
        "/* skillbench\n{}\n*/\n#include <cuda_fp16.h>\n\n// note\n"
        "#define N 4\n#line 7\n__global__ void k() {}\n");
  CHECK(planned("  # include \"a\"\n\t#include <b>\nint x;\n") ==
        "  # include \"a\"\n\t#include <b>\n#define N 4\n#line 3\nint x;\n");
  CHECK(planned("/* a */ #include <b> // c\nint x;") ==
        "/* a */ #include <b> // c\n#define N 4\n#line 2\nint x;");
}

TEST_CASE("compile: the first line of anything else ends the leading block") {
  CHECK(planned("#include <a>\n#pragma once\n#include <b>\n") ==
        "#include <a>\n#define N 4\n#line 2\n#pragma once\n#include <b>\n");
  CHECK(planned("#if 1\n#include <a>\n#endif\n") ==
        "#define N 4\n#line 1\n#if 1\n#include <a>\n#endif\n");
  CHECK(planned("  int x;\n") == "#define N 4\n#line 1\n  int x;\n");
}

TEST_CASE("compile: code behind a comment keeps its line number") {
  CHECK(planned("/* a\n*/ int x;\n") ==
        "/* a\n*/\n#define N 4\n#line 2\n int x;\n");
  CHECK(planned("#include <a> /* b\n*/ int x;\n") ==
        "#include <a> /* b\n*/\n#define N 4\n#line 2\n int x;\n");
  // The comment marks within a path or another comment open nothing.
  CHECK(planned("#include <a> // /*\nint x;\n") ==
        "#include <a> // /*\n#define N 4\n#line 2\nint x;\n");
}

TEST_CASE("compile: spliced lines belong to the line before") {
  CHECK(planned("// a \\\nstill a\nint x;\n") ==
        "// a \\\nstill a\n#define N 4\n#line 3\nint x;\n");
  CHECK(planned("#include \\\n<a>\nint x;\n") ==
        "#include \\\n<a>\n#define N 4\n#line 3\nint x;\n");
  CHECK(planned("// a \\\r\nstill a\r\nint x;\r\n") ==
        "// a \\\r\nstill a\r\n#define N 4\n#line 3\nint x;\r\n");
}

TEST_CASE("compile: a source that ends early still gets its macros") {
  CHECK(planned("") == "#define N 4\n#line 1\n");
  CHECK(planned("#include <a>") == "#include <a>\n#define N 4\n#line 1\n");
  CHECK(planned("// a") == "// a\n#define N 4\n#line 1\n");
  CHECK(planned("/* a") == "#define N 4\n#line 1\n/* a");
  CHECK(planned("#") == "#define N 4\n#line 1\n#");
  CHECK(planned("\n\n") == "\n\n#define N 4\n#line 3\n");
}

TEST_CASE("compile: only a plain name becomes a macro") {
  CHECK(planned("int x;\n", {{"a b\n#include </x>\n", 1}}) == "int x;\n");
  CHECK(planned("int x;\n", {{"", 1}}) == "int x;\n");
  CHECK(planned("int x;\n", {{"9N", 1}}) == "int x;\n");
  CHECK(is_identifier("_a9"));
  CHECK_FALSE(is_identifier("a-b"));
}

TEST_CASE("compile: without macros the source is untouched") {
  const auto made = plan_compile(with_source("/* a */ int x;", {"k<{N}>"}),
                                 {{"N", 4}}, element::f32);
  CHECK(made.source == "/* a */ int x;");
  CHECK(made.target == "sm_90a");
  CHECK(made.line_info);
}
