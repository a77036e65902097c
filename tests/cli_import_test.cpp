// What `skillbench import upskill` says and keeps, and its exit codes.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include <skillbench/cli/import.hpp>
#include <skillbench/earlier.hpp>

#include "cli_kit.hpp"

using namespace skillbench;
using cli_kit::has, cli_kit::lines, cli_kit::ran;
using namespace skillbench::cli;
namespace fs = std::filesystem;

namespace {

struct folder : cli_kit::folder {
  // A run of two tests of ten and thirty tokens.
  void run(const std::string& name, const std::string& arm, int passed,
           const std::string& model = "m") const {
    write("runs/b/" + name + "/run_result.json",
          R"({"metadata": {"model": ")" + model + R"(", "task": "t"},
"stats": {"turns": 2, "total_tokens": 40, "usage_summaries": [
{"turn_count": 1, "cumulative_input_tokens": 4, "cumulative_output_tokens": 6},
{"turn_count": 1, "cumulative_input_tokens": 9, "cumulative_output_tokens": 21}
]}, "assertions_passed": )" +
              std::to_string(passed) +
              R"(, "assertions_total": 2, "run_type": ")" + arm +
              R"(", "skill_name": "s"})");
  }
};

ran import(const folder& in, bool json = false, const char* out = "kept") {
  const std::string kept = *out ? (in.path / out).string() : "";
  return cli_kit::said_by<stream>([&](stream& to, stream& trouble) {
    return tell(
        import_upskill_command{(in.path / "runs").string(), kept, json}, to,
        trouble);
  });
}

}  // namespace

TEST_CASE("cli/import: runs become a table, a verdict and records") {
  const folder in;
  in.run("run_1", "baseline", 2);
  in.run("run_2", "with_skill", 2);
  const ran told = import(in);
  CHECK(exit_code(told.code) == exit_code::fine);
  CHECK(told.trouble.empty());
  CHECK(has(told.out, "m      t     baseline             2       2           20"));
  CHECK(has(told.out, "\ns inconclusive: 2 of 2"));
  CHECK(has(told.out, "4 records of 2 runs in "));
  std::ifstream kept(in.path / "kept/records.jsonl");
  std::string line;
  REQUIRE(std::getline(kept, line));
  const auto one = read_record(line);
  REQUIRE(one.ok());
  CHECK(one.value().of.input_tokens == 4);
}

TEST_CASE("cli/import: what was never answered is told and left out") {
  const folder in;
  in.run("run_1", "baseline", 0);
  in.write("runs/b/run_2/run_result.json",
           R"({"metadata": {"model": "m", "task": "t"}, "error_message":
"rate limit \u001b[2J", "assertions_total": 5})");
  in.write("runs/b/run_3/run_metadata.json", "{}");
  const ran told = import(in);
  CHECK(exit_code(told.code) == exit_code::fine);
  CHECK(has(told.trouble, "b/run_2 is left out: it ended with an error: rate"));
  CHECK(has(told.trouble, "b/run_3 is left out: it has no result"));
  CHECK(has(told.trouble,
            "2 runs left out (infrastructure), with 5 assertions that"));
  CHECK(told.trouble.find('\x1b') == std::string::npos);
  CHECK(has(told.out, "2 records of 1 run in "));
}

TEST_CASE("cli/import: what cannot be read is misuse, and the rest is kept") {
  const folder in;
  in.run("run_1", "baseline", 2);
  in.write("runs/b/run_2/run_result.json", "{");
  const ran told = import(in);
  CHECK(exit_code(told.code) == exit_code::misuse);
  CHECK(has(told.trouble, "run_2/run_result.json: line 1"));
  CHECK(fs::exists(in.path / "kept/records.jsonl"));
  const folder empty;
  CHECK(exit_code(import(empty).code) == exit_code::misuse);
  CHECK_FALSE(fs::exists(empty.path / "kept"));
}

TEST_CASE("cli/import: --json is records and nothing else") {
  const folder in;
  in.run("run_1", "baseline", 1, "\\u001b[31m");
  const ran told = import(in, true, "");
  CHECK(exit_code(told.code) == exit_code::fine);
  CHECK(lines(told.out) == 2);
  CHECK(read_record(told.out.substr(0, told.out.find('\n'))).ok());
  CHECK(told.out.find('\x1b') == std::string::npos);
  CHECK(import(in).out.find('\x1b') == std::string::npos);
}

TEST_CASE("cli/import: a folder that cannot be written is trouble here") {
  const folder in;
  in.run("run_1", "baseline", 1);
  in.write("kept", "a file");
  const ran told = import(in);
  CHECK(exit_code(told.code) == exit_code::broken);
  CHECK(has(told.trouble, "--out names another folder"));
}
