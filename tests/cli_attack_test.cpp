// Tests of cli/attack.hpp, and of attacks on a compiler in the program itself: each
// wall ends them as the files say. What needs bubblewrap says so where it is not.

#include <doctest/doctest.h>

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>

#include <skillbench/cli/attack.hpp>
#include <skillbench/isolate.hpp>

#include "cli_kit.hpp"

using namespace skillbench;
using namespace cli_kit;
namespace fs = std::filesystem;

namespace {

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Some of the attacks that come with the project, in a folder of their own.
void some_attacks(const folder& in, std::initializer_list<const char*> names) {
  for (const std::string name : names)
    in.write("k/rmsnorm/attack/" + name + ".md",
             bytes_of(fs::path(SKILLBENCH_SOURCE_DIR) / "kernels/rmsnorm/attack" /
                     (name + ".md")));
}

ran attacked(const folder& in, const std::string& isolation) {
  return run(in, "attack --kernels k --jobs 2 --device ptx --isolation " + isolation);
}

}  // namespace

TEST_CASE("cli/attack: what is planted is there, and found where it leaks") {
  std::string file, pipe;
  {
    const auto made = cli::planted::make();
    REQUIRE(made.ok());
    const cli::planted& it = made.value();
    const char* const secret = std::getenv("SKILLBENCH_PLANTED");
    REQUIRE(secret != nullptr);
    file = it.file();
    pipe = it.pipe();
    CHECK(has(bytes_of(file), secret));
    struct stat seen {};
    REQUIRE(::stat(pipe.c_str(), &seen) == 0);
    CHECK(S_ISFIFO(seen.st_mode));
    CHECK(it.in("a {planted file} b {planted pipe}{planted file}") ==
          "a " + file + " b " + pipe + file);
    CHECK(it.in("{planted} file") == "{planted} file");

    record told;
    told.log = "nothing of it";
    CHECK(it.leaked(told).empty());
    told.log = std::string("kernel.cu(3): error: ") + secret;
    CHECK(has(it.leaked(told), "planted secret"));
    told.log.clear();
    told.reason = secret;
    CHECK(has(it.leaked(told), "planted secret"));
    std::ifstream accounts("/etc/passwd");
    std::string first;
    std::getline(accounts, first);
    REQUIRE(first.size() > 8);
    told.reason = "identifier \"" + first + "\" is undefined";
    CHECK(has(it.leaked(told), "/etc/passwd"));
  }
  CHECK(std::getenv("SKILLBENCH_PLANTED") == nullptr);
  CHECK_FALSE(fs::exists(file));
  CHECK_FALSE(fs::exists(pipe));
}

TEST_CASE("cli/attack: files that can be read change what is to be expected") {
  cli::expectation of{"does_not_compile", {}, ""};
  cli::expect_open_files(of);
  CHECK(of.outcome == "does_not_compile");
  CHECK_FALSE(of.leaks);
  of.basic = "leaks";
  cli::expect_open_files(of);
  CHECK(of.outcome == "does_not_compile");
  CHECK(of.leaks);
  cli::expectation other{"does_not_compile", {}, "", "correct"};
  cli::expect_open_files(other);
  CHECK(other.outcome == "correct");
  CHECK_FALSE(other.leaks);
}

TEST_CASE("cli/attack: within bubblewrap a compiler is held as elsewhere") {
  if (!isolation_parts::filters_calls) {
    MESSAGE("not run: a sanitizer's workers have not all walls");
    return;
  }
  const folder here;
  some_attacks(here, {"environment_in_log", "include_climbing",
                      "include_environment", "include_parent", "include_passwd",
                      "include_pipe", "include_planted", "injected_entry_name",
                      "oracle", "path_of_source"});
  const ran told = attacked(here, "bwrap");
  CAPTURE(told.out);
  CAPTURE(told.trouble);
  if (told.code == 3 && has(told.trouble, "bubblewrap")) {
    MESSAGE("not run: " << told.trouble);
    return;
  }
  CHECK(told.code == 0);
  CHECK(has(told.out, "10 of 10 as expected"));
  CHECK_FALSE(has(told.out, "leak"));
}

TEST_CASE("cli/attack: without walls it is told what leaks") {
  const folder here;
  some_attacks(here, {"environment_in_log", "include_environment",
                      "include_planted", "oracle"});
  ran told = attacked(here, "basic");
  CAPTURE(told.out);
  CAPTURE(told.trouble);
  CHECK(told.code == 0);
  CHECK(has(told.out, "does_not_compile, leaks  does_not_compile, leaks  as expected"));
  CHECK(has(told.out, "4 of 4 as expected; 1 leaked"));

  // A leak that no file speaks of, and a file that speaks of one that is not.
  const std::string name = "k/rmsnorm/attack/include_planted.md";
  std::string text = here.read(name);
  text.erase(text.find(" basic=leaks"), 12);
  here.write(name, text);
  told = attacked(here, "basic");
  CHECK(told.code == 1);
  CHECK(has(told.out, "include_planted: LEAKED"));
  const std::string other = "k/rmsnorm/attack/environment_in_log.md";
  text = here.read(other);
  text.replace(text.find(";"), 1, " basic=leaks;");
  here.write(other, text);
  told = attacked(here, "basic");
  CHECK(told.code == 1);
  CHECK(has(told.out, "environment_in_log: its record holds nothing that it should not see"));
  CHECK(has(told.out, "2 of 4 as expected; 1 leaked"));
}
