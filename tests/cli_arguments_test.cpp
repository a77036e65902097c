#include <doctest/doctest.h>

#include <string>
#include <variant>
#include <vector>

#include <skillbench/cli/arguments.hpp>

#include "cli_kit.hpp"

using namespace skillbench::cli;
using cli_kit::has;
using words = std::vector<std::string>;

namespace {

template <typename T>
T parsed(const words& args) {
  const command made = parse(args);
  const std::string last = args.empty() ? "" : args.back();
  REQUIRE_MESSAGE(std::holds_alternative<T>(made), last);
  return std::get<T>(made);
}

std::string refused(const words& args) {
  const said made = parsed<said>(args);
  CHECK(made.code == exit_code::misuse);
  return made.words;
}

const words commands{"run",    "status",  "check",   "families", "prompt", "selftest",
                     "doctor", "ptx",     "skill",   "import",   "version",
                     "completion"};

}  // namespace

TEST_CASE("cli/arguments: run takes paths and options in any order") {
  const auto made = parsed<run_command>(
      {"run", "a", "--seed", "7", "b", "--jobs=3", "--out", "there", "--json",
       "--device", "ptx"});
  CHECK(made.paths == words{"a", "b"});
  CHECK(made.seed == 7);
  CHECK(made.jobs == 3);
  CHECK(made.out == "there");
  CHECK(made.json);
  CHECK(made.device == "ptx");
}

TEST_CASE("cli/arguments: what is left out has its default") {
  const auto made = parsed<run_command>({"run", "a"});
  CHECK(made.seed == 1);
  CHECK(made.jobs >= 1);
  CHECK(made.out.empty());
  CHECK_FALSE(made.json);
  CHECK_FALSE(made.resume);
  CHECK(parsed<run_command>({"run", "a", "--resume"}).resume);
  CHECK(made.device == "auto");
}

TEST_CASE("cli/arguments: run as a job array") {
  const auto made = parsed<run_command>(
      {"run", "a", "--slurm", "--chunk", "50", "--gpus", "2",
       "--sbatch=--partition=gpu", "--sbatch=--time=9", "b", "--jobs", "4"});
  CHECK(made.slurm);
  CHECK(made.paths == words{"a", "b"});
  CHECK(made.chunk == 50);
  CHECK(made.gpus == 2);
  CHECK(made.sbatch == words{"--partition=gpu", "--time=9"});
  CHECK(made.jobs_given);
  const auto plain = parsed<run_command>({"run", "a", "--slurm"});
  CHECK(plain.chunk == 200);
  CHECK(plain.gpus == -1);
  CHECK_FALSE(plain.jobs_given);
  CHECK_FALSE(parsed<run_command>({"run", "a"}).slurm);
  refused({"run", "a", "--slurm", "--json"});
  refused({"run", "a", "--chunk", "50"});
  refused({"run", "a", "--slurm", "--chunk", "0"});
  refused({"run", "a", "--slurm", "--gpus", "-1"});
  CHECK(parsed<status_command>({"status"}).path.empty());
  CHECK(parsed<status_command>({"status", "there", "--json"}).path == "there");
}

TEST_CASE("cli/arguments: the other commands") {
  const auto check =
      parsed<check_command>({"check", "k.cu", "--family", "geglu"});
  CHECK(check.file == "k.cu");
  CHECK(check.family == "geglu");
  CHECK(parsed<prompt_command>({"prompt", "geglu"}).family == "geglu");
  CHECK(parsed<selftest_command>({"selftest", "-j", "2"}).jobs == 2);
  CHECK(parsed<doctor_command>({"doctor", "--json"}).json);
  CHECK(parsed<families_command>({"families", "--json"}).json);
  CHECK(parsed<completion_command>({"completion", "zsh"}).shell == "zsh");
  CHECK(parsed<run_command>({"run", "a", "--cache", "c"}).cache.folder == "c");
  CHECK(parsed<check_command>({"check", "a", "--no-cache"}).cache.off);
  CHECK(parsed<check_command>({"check", "a"}).threads == 1);
  CHECK(parsed<check_command>({"check", "a", "--threads", "4"}).threads == 4);
  CHECK_FALSE(check.counters);
  const auto counts = parsed<check_command>(
      {"check", "a", "--counters", "--case", "cols_1"});
  CHECK(counts.counters);
  CHECK(counts.test_case == "cols_1");
  CHECK_FALSE((check.vendor || check.shapes));
  CHECK(parsed<check_command>({"check", "a", "--vendor"}).vendor);
  CHECK(parsed<check_command>({"check", "a", "--shapes"}).shapes);
  CHECK(parsed<run_command>({"run", "a", "--counters"}).counters);
  CHECK(parsed<selftest_command>({"selftest", "--no-cache"}).cache.off);
  CHECK(parsed<doctor_command>({"doctor", "--cache=c"}).cache.folder == "c");
  CHECK_FALSE(parsed<run_command>({"run", "a"}).cache.off);
  const auto skill =
      parsed<skill_check_command>({"skill", "check", "a", "b", "--lenient"});
  CHECK(skill.paths == words{"a", "b"});
  CHECK(skill.lenient);
  CHECK_FALSE(skill.json);
  CHECK_FALSE(parsed<skill_check_command>({"skill", "check", "a", "--strict"})
                  .lenient);
  CHECK(parsed<skill_check_command>({"skill", "check", "--json", "a"}).json);
  const auto import = parsed<import_upskill_command>(
      {"import", "upskill", "runs", "--out", "there"});
  CHECK(import.path == "runs");
  CHECK(import.out == "there");
  CHECK_FALSE(import.json);
  const auto ptx = parsed<ptx_command>({"ptx", "k.cu", "--entry", "f<4>", "--grid", "2,3", "--args", "f32[4]", "i32=-5", "--dump", "d", "--json"});
  CHECK(ptx.file == "k.cu");
  CHECK(ptx.entry == "f<4>");
  CHECK(ptx.grid == "2,3");
  CHECK(ptx.block == "32");
  CHECK(ptx.args == words{"f32[4]", "i32=-5"});
  CHECK(ptx.dump == "d");
  CHECK(ptx.schedules == 1);
  CHECK(ptx.json);
  parsed<version_command>({"version"});
  parsed<version_command>({"--version"});
}

TEST_CASE("cli/arguments: an unknown command or option names the nearest") {
  CHECK(has(refused({"chekc", "x"}), "did you mean `check`?"));
  CHECK(has(refused({"run", "x", "--sede", "3"}), "did you mean `--seed`?"));
  CHECK(has(refused({"run", "x", "--sede=3"}), "did you mean `--seed`?"));
  CHECK_FALSE(has(refused({"banana"}), "did you mean"));
  CHECK(has(refused({"--vresion"}), "did you mean `--version`?"));
  CHECK(has(refused({"skill", "chekc", "x"}),
            "no command `skill chekc`; did you mean `check`?"));
  CHECK(has(refused({"skill", "check", "x", "--jsno"}),
            "did you mean `--json`?\nSee `skillbench skill check --help`."));
}

TEST_CASE("cli/arguments: a value that makes no sense is refused") {
  refused({"run"});
  refused({"run", "x", "--jobs", "0"});
  refused({"run", "x", "--jobs", "many"});
  refused({"run", "x", "--seed", "-1"});
  refused({"run", "x", "--seed", "99999999999999999999999"});
  refused({"run", "x", "--device", "rocm"});
  refused({"run", "x", "--cache", "c", "--no-cache"});
  refused({"check"});
  refused({"check", "a", "b"});
  refused({"check", "a", "--threads", "0"});
  refused({"check", "a", "--threads", "65"});
  refused({"check", "a", "--case", "cols_1"});
  refused({"ptx", "k.cu", "--schedules", "0"});
  refused({"ptx", "k.cu", "--schedules", "1001"});
  refused({"ptx", "k.cu", "--shared", "-1"});
  refused({"completion", "powershell"});
  refused({"skill"});
  refused({"import", "runs"});
  refused({"import", "upskill"});
  refused({"skill", "check"});
  refused({"skill", "check", "a", "--strict", "--lenient"});
  refused({});
}

TEST_CASE("cli/arguments: an odd word on the command line is not echoed raw") {
  CHECK_FALSE(has(refused({"\x1b[2J"}), "\x1b"));
  CHECK_FALSE(has(refused({"run", "x", "--\x1b[2J"}), "\x1b"));
  CHECK_FALSE(has(refused({"run", "x", "--device", "\x1b[2J"}), "\x1b"));
}

TEST_CASE("cli/arguments: every command has help with an example") {
  for (const std::string& each : commands) {
    const said help = parsed<said>({each, "--help"});
    CHECK(help.code == exit_code::fine);
    CHECK_MESSAGE(has(help.words, "Examples:\n  "), each);
    CHECK_MESSAGE(has(help.words, "skillbench " + each), each);
  }
  CHECK(has(parsed<said>({"skill", "check", "--help"}).words,
            "Usage: skillbench skill check"));
  const said help = parsed<said>({"--help"});
  for (const std::string& each : commands)
    CHECK_MESSAGE(has(help.words, "\n  " + each), each);
}

TEST_CASE("cli/arguments: completion knows every command") {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string text = completion_script(shell);
    for (const std::string& each : commands)
      CHECK_MESSAGE(has(text, each), shell, " ", each);
    CHECK(has(text, "seed"));
    CHECK(has(text, "lenient"));
  }
}
