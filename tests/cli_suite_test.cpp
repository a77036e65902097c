// `skillbench run --suite`, on answers that are judged in no time.

#include <doctest/doctest.h>

#include <string>

#include "cli_kit.hpp"

using namespace cli_kit;

namespace {

const std::string prose = "I would rather not write a kernel.\n";

std::string suite_with(const std::string& assertions) {
  return R"({"skillbench_suite": 1, "cases": [{"id": "1", "family": "geglu",
"assertions": [)" +
         assertions + "]}]}";
}

std::string record_of(const folder& here, const std::string& more = "") {
  return run(here, "run out --suite suite.json --json " + more).out;
}

}  // namespace

TEST_CASE("cli/suite: assertions are told and are no outcome") {
  const folder here;
  here.write("out/m/baseline/geglu/1.md", prose);
  here.write("out/m/with_skill/geglu/1.md", "It has a TENSOR core.\n");
  here.write("suite.json",
             suite_with(R"({"type": "contains", "text": "tensor"},
{"type": "ptx_uses", "opcodes": ["tensor_cores"]})"));
  const ran told = run(here, "run out --suite suite.json --out kept");
  CHECK(told.code == 0);
  CHECK(has(told.out, "\nAssertions\n"));
  CHECK(has(told.out, "contains \"tensor\"      0 of 1      1 of 1"));
  CHECK(has(told.out, "ptx_uses tensor_cores  not judged  not judged"));
  const std::string kept = here.read("kept/records.jsonl");
  CHECK(has(kept, "\"outcome\":\"no_kernel\""));
  CHECK(has(kept, "{\"type\":\"contains\",\"what\":\"contains "
                  "\\\"tensor\\\"\",\"verdict\":\"passed\"}"));
  CHECK(has(kept, "\"why\":\"there is no PTX\""));
  CHECK(has(run(here, "report kept").out, "0 of 1"));
}

TEST_CASE("cli/suite: a command runs only where it is allowed") {
  const folder here;
  here.write("out/m/baseline/geglu/1.md", prose);
  here.write("suite.json",
             suite_with("{\"type\": \"command\", \"command\": \"grep -q rather "
                        "output.md && touch " +
                        (here.path / "ran").string() + "\"}"));
  CHECK(has(record_of(here), "commands are not allowed"));
  CHECK_FALSE(std::filesystem::exists(here.path / "ran"));
  CHECK(has(record_of(here, "--allow-commands"), "\"verdict\":\"passed\""));
  CHECK(std::filesystem::exists(here.path / "ran"));
  here.write("suite.json",
             suite_with(R"({"type": "command", "command": "exit 3"})"));
  CHECK(has(record_of(here, "--allow-commands"),
            "the command ended with 3"));
  CHECK(run(here, "run out --allow-commands").code == 2);
}

TEST_CASE("cli/suite: files of an output that is a folder") {
  const folder here;
  here.write("out/m/baseline/geglu/1/answer.md", prose);
  here.write("out/m/baseline/geglu/1/build.toml",
             "[general]\nname = \"my_kernel\"\n");
  here.write("suite.json",
             suite_with(R"({"type": "file_exists", "path": "build.toml"},
{"type": "file_exists", "path": "../../../../suite.json"},
{"type": "build_toml", "edition": 5})"));
  const std::string told = record_of(here);
  CHECK(has(told, "\"what\":\"file_exists build.toml\",\"verdict\":\"passed\""));
  CHECK(has(told, "is no path in the output's folder"));
  CHECK(has(told, "\"what\":\"build_toml build.toml 5\",\"verdict\":\"failed\""));
  CHECK(has(told, "line 1: [general] lacks"));
}

TEST_CASE("cli/suite: another suite is another judgement") {
  const folder here;
  here.write("out/m/baseline/geglu/1.md", prose);
  here.write("suite.json",
             suite_with(R"({"type": "contains", "text": "rather"})"));
  CHECK(run(here, "run out --suite suite.json --out kept").code == 0);
  CHECK(has(run(here, "run out --suite suite.json --out kept --resume").out,
            "1 kept from before"));
  here.write("suite.json",
             suite_with(R"({"type": "contains", "text": "never"})"));
  CHECK_FALSE(
      has(run(here, "run out --suite suite.json --out kept --resume").out,
          "kept from before"));
}

TEST_CASE("cli/suite: what is no suite, and cases of nothing") {
  const folder here;
  here.write("out/m/baseline/geglu/1.md", prose);
  ran told = run(here, "run out --suite none.json");
  CHECK(told.code == 2);
  CHECK(has(told.trouble, "none.json: cannot be read"));
  here.write("suite.json", "{\"skillbench_suite\": 1, \"cases\": [{}]}");
  told = run(here, "run out --suite suite.json");
  CHECK(told.code == 2);
  CHECK(has(told.trouble, "suite.json: "));
  here.write("suite.json",
             R"([{"prompt": "write", "expectations": ["it is good"]}])");
  told = run(here, "run out --suite suite.json --json");
  CHECK(told.code == 0);
  CHECK(has(told.trouble, "case 1 is of none of these outputs"));
  CHECK_FALSE(has(told.out, "\"assertions\""));
}
