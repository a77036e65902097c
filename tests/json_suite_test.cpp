#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>

#include <skillbench/json_suite.hpp>

#include "json_kit.hpp"

using namespace skillbench;
using namespace kit;
using type = assertion::type;

namespace {

suite read(const std::string& text) {
  const auto made = read_suite(text);
  REQUIRE_MESSAGE(made.ok(), made.error().what);
  return made.value();
}

std::string refusal(const std::string& text) {
  const auto made = read_suite(text);
  REQUIRE_MESSAGE(!made.ok(), text);
  return made.error().what;
}

const std::string ours = R"({
  "skillbench_suite": 1, "name": "kernels",
  "assertions": [{"type": "no_torch"}],
  "cases": [
    {"id": "ln", "family": "layernorm", "assertions": [
      {"type": "ptx_uses", "opcodes": ["loads_of_16_bytes"]},
      {"type": "ptx_avoids", "opcodes": "atom"},
      {"type": "file_contains", "path": "build.toml", "text": ["a", "b"]}]},
    {"prompt": "write", "wanted": "words", "files": {"x.txt": "y"}}]})";

}  // namespace

TEST_CASE("json_suite: a suite of ours") {
  const suite it = read(ours);
  CHECK(it.form == suite_form::ours);
  CHECK(it.name == "kernels");
  REQUIRE(it.cases.size() == 2);
  CHECK(it.cases[0].id == "ln");
  CHECK(it.cases[0].family == "layernorm");
  REQUIRE(it.cases[0].assertions.size() == 4);
  CHECK(it.cases[0].assertions[0].kind == type::no_torch);
  CHECK(it.cases[0].assertions[1].texts[0] == "loads_of_16_bytes");
  CHECK(it.cases[0].assertions[2].texts[0] == "atom");
  CHECK(it.cases[0].assertions[3].path == "build.toml");
  CHECK(it.cases[0].assertions[3].texts.size() == 2);
  CHECK(it.cases[1].id == "2");
  CHECK(it.cases[1].assertions.size() == 1);
  CHECK(it.cases[1].files[0].second == "y");
}

TEST_CASE("json_suite: a suite of ours is read strictly") {
  says(refusal(changed(ours, "\"skillbench_suite\": 1",
                       "\"skillbench_suite\": 2")),
       "this release knows 1");
  says(refusal(changed(ours, "\"name\"", "\"title\"")), "no key \"title\"");
  says(refusal(changed(ours, "\"wanted\"", "\"expected\"")),
       "no key \"expected\"");
  says(refusal(changed(ours, "\"cases\"", "\"case\"")), "no key \"case\"");
  says(refusal(changed(ours, "no_torch", "no_pytorch")), "/assertions/0/type");
  says(refusal(changed(ours, "\"prompt\": \"write\", ", "")),
       "neither a family nor a prompt");
  says(refusal(changed(ours, "\"path\": \"build.toml\", ", "")),
       "\"path\" is missing");
  says(refusal(changed(ours, "\"opcodes\": \"atom\"", "\"text\": \"atom\"")),
       "does not say of what");
  says(refusal(changed(ours, "[\"a\", \"b\"]", "[]")), "at least one");
  says(refusal(changed(ours, "[\"a\", \"b\"]", "[5]")),
       "/cases/0/assertions/2/text/0");
}

TEST_CASE("json_suite: upskill's skill_meta.json and lists of tests") {
  const suite meta = read(R"({"metadata": {"version": "1.0"}, "tests": [
{"input": "a", "context": {"files": {"f": "g"}},
 "expected": {"contains": ["feat", "login"]}, "output_file": null,
 "validator": "hf_eval_yaml", "validator_config": {"n": 1}},
{"input": "b", "expected": {"contains": "fix"}, "context": null,
 "verifiers": [{"type": "file_exists", "path": "x"},
   {"type": "command", "command": "make test"},
   {"type": "contains", "values": ["p", "q"]}]}]})");
  CHECK(meta.form == suite_form::upskill);
  REQUIRE(meta.cases.size() == 2);
  CHECK(meta.cases[0].prompt == "a");
  CHECK(meta.cases[0].files[0].first == "f");
  REQUIRE(meta.cases[0].assertions.size() == 2);
  CHECK(meta.cases[0].assertions[0].texts.size() == 2);
  CHECK(meta.cases[0].assertions[1].kind == type::validator);
  REQUIRE(meta.cases[1].assertions.size() == 4);
  CHECK(meta.cases[1].assertions[0].texts[0] == "fix");
  CHECK(meta.cases[1].assertions[2].kind == type::command);
  CHECK(meta.cases[1].assertions[2].texts[0] == "make test");

  CHECK(read(R"([{"input": "a", "expected": {"contains": "b"}}])").form ==
        suite_form::upskill);
  CHECK(read(R"({"cases": [{"input": "a"}]})").cases.size() == 1);
  CHECK(read(R"({"metadata": {}, "tests": []})").cases.empty());
  says(refusal(R"([{"input": 5}])"), "/0/input");
  says(refusal(R"([{"input": "a", "verifiers": [{"type": "guess"}]}])"),
       "no known type");
}

TEST_CASE("json_suite: the forms of evals.json") {
  const suite it = read(R"({"skill_name": "csv", "evals": [
{"id": 1, "prompt": "a", "expected_output": "a chart",
 "files": ["evals/files/a.csv"], "expectations": ["It has X", "It has Y"]},
{"id": "two", "prompt": "b", "assertions": [{"text": "It has Z"},
  {"type": "contains", "text": "z"}]}]})");
  CHECK(it.form == suite_form::evals);
  CHECK(it.name == "csv");
  REQUIRE(it.cases.size() == 2);
  CHECK(it.cases[0].id == "1");
  CHECK(it.cases[0].wanted == "a chart");
  CHECK(it.cases[0].input_paths[0] == "evals/files/a.csv");
  REQUIRE(it.cases[0].assertions.size() == 2);
  CHECK(it.cases[0].assertions[1].kind == type::expectation);
  CHECK(it.cases[0].assertions[1].texts[0] == "It has Y");
  CHECK(it.cases[1].assertions[0].texts[0] == "It has Z");
  CHECK(it.cases[1].assertions[1].kind == type::contains);

  const suite list = read(R"([{"question": "q", "ground_truth": "g",
"expected_behavior": ["b1", "b2"]}, {"query": "r", "expected_behavior": "c"}])");
  CHECK(list.form == suite_form::evals);
  CHECK(list.cases[0].prompt == "q");
  CHECK(list.cases[0].wanted == "g");
  CHECK(list.cases[0].assertions.size() == 2);
  CHECK(list.cases[1].assertions[0].texts[0] == "c");
  says(refusal(R"({"evals": [{"id": 1}]})"), "\"prompt\" is missing");
}

TEST_CASE("json_suite: what is no suite is refused") {
  says(refusal("5"), "a list of cases");
  says(refusal("{}"), "a suite");
  says(refusal(R"({"evals": 5})"), "found 5");
  says(refusal("[{]"), "line 1");
}

TEST_CASE("json_suite: a build.toml, and the oldest edition that will do") {
  const auto with = [](const std::string& more) {
    return read_suite(
        R"({"skillbench_suite": 1, "cases": [{"family": "geglu", "assertions":
[{"type": "build_toml")" +
        more + "}]}]}");
  };
  const auto plain = with("");
  REQUIRE(plain.ok());
  const assertion& asked = plain.value().cases[0].assertions[0];
  CHECK(asked.kind == assertion::type::build_toml);
  CHECK(asked.path == "build.toml");
  CHECK(asked.texts.empty());
  const auto newest = with(R"(, "edition": 5, "path": "a/build.toml")");
  REQUIRE(newest.ok());
  CHECK(newest.value().cases[0].assertions[0].texts[0] == "5");
  CHECK(newest.value().cases[0].assertions[0].path == "a/build.toml");
  CHECK_FALSE(with(R"(, "edition": 6)").ok());
  CHECK_FALSE(with(R"(, "edition": "5")").ok());
}

TEST_CASE("json_suite: the example is one") {
  std::ifstream in(SKILLBENCH_SOURCE_DIR "/examples/suite.json");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto told = read_suite(text);
  REQUIRE(told.ok());
  CHECK(told.value().cases.size() == 3);
}
