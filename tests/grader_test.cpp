#include <doctest/doctest.h>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <skillbench/grader.hpp>
#include <skillbench/json_record.hpp>

#include "copy_family.hpp"

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

result<grader> opened(grader_options asked = {}) {
  if (asked.worker.empty()) asked.worker = SKILLBENCH_PROGRAM;
  return grader::open(std::move(asked));
}

// A worker that is this script: a real one takes no other words than `worker`.
std::string script(const std::string& body) {
  const fs::path at = fs::path(SKILLBENCH_TEST_DIR) / "grader_worker.sh";
  std::ofstream(at) << "#!/bin/sh\n" + body + "\n";
  ::chmod(at.c_str(), 0755);
  return at.string();
}

// An answer that a compiler takes: the sample is for devices that take any.
std::string right_copy() {
  return kit::replaced(kit::copy_sample().output, "template <typename T>",
                       "#include <cuda_bf16.h>\n#include <cuda_fp16.h>\n"
                       "template <typename T>");
}

grader_options with_copy() {
  grader_options asked;
  asked.families = {kit::copy_family()};
  return asked;
}

}  // namespace

TEST_CASE("grader: strings in, records out, a family of the caller's own") {
  auto made = opened(with_copy());
  REQUIRE_MESSAGE(made.ok(), made.error().what);
  grader& by = made.value();
  CHECK(find_family(by.families(), "copy"));
  CHECK(find_family(by.families(), "layernorm"));
  CHECK(by.worker() == SKILLBENCH_PROGRAM);

  const std::string right = right_copy();
  const auto first = by.grade(right, "copy");
  REQUIRE_MESSAGE(first.ok(), first.error().what);
  CHECK(first.value().what == outcome::correct);
  CHECK(first.value().of.task == "copy");
  CHECK(first.value().seed == 1);
  CHECK(reward(first.value()) == 1.0);

  const auto wrong =
      by.grade(kit::replaced(right, "= x[threadIdx.x]", "= x[0]"), "copy");
  REQUIRE(wrong.ok());
  CHECK(wrong.value().what == outcome::wrong);
  const auto prose = by.grade("a warp for each row", "copy");
  REQUIRE(prose.ok());
  CHECK(prose.value().what == outcome::no_kernel);

  // Once more, with the references kept: the same record but for its times.
  auto again = by.grade(right, "copy");
  REQUIRE(again.ok());
  record before = first.value(), after = again.value();
  before.seconds.clear();
  after.seconds.clear();
  CHECK(write_record(before) == write_record(after));
}

TEST_CASE("grader: one candidate leaves nothing for the next") {
  auto made = opened(with_copy());
  REQUIRE(made.ok());
  const std::string right = right_copy();
  // A bomb for the compiler: its child is gone, the next one is fresh.
  const auto bomb = made.value().grade(
      kit::replaced(right, "template <typename T>",
                    "template <int N> struct b { enum { v = b<N - 1>::v + "
                    "b<N - 2>::v }; };\nint big[b<1 << 30>::v];\n"
                    "template <typename T>"),
      "copy");
  REQUIRE_MESSAGE(bomb.ok(), bomb.error().what);
  CHECK(bomb.value().what == outcome::does_not_compile);
  const auto next = made.value().grade(right, "copy");
  REQUIRE(next.ok());
  CHECK(next.value().what == outcome::correct);
}

TEST_CASE("grader: compiled kernels are kept when a folder is named") {
  const fs::path folder = fs::path(SKILLBENCH_TEST_DIR) / "grader_cache";
  fs::remove_all(folder);
  std::string lines[2];
  for (std::string& line : lines) {
    grader_options asked = with_copy();
    asked.cache_folder = folder.string();
    auto made = opened(std::move(asked));
    REQUIRE_MESSAGE(made.ok(), made.error().what);
    auto told = made.value().grade(right_copy(), "copy");
    REQUIRE(told.ok());
    told.value().seconds.clear();
    line = write_record(told.value());
    const compile_counts seen = made.value().cached_compiles();
    CHECK(seen.hits == (&line == lines ? 0u : 3u));
    CHECK(seen.misses == (&line == lines ? 3u : 0u));
  }
  CHECK(lines[0] == lines[1]);
  CHECK(opened(with_copy()).value().cached_compiles().hits == 0);

  grader_options asked;
  asked.cache_folder = "/proc/no/such/folder";
  CHECK_FALSE(opened(asked).ok());
  fs::remove_all(folder);
}

TEST_CASE("grader: a sample keeps its names, a seed is told") {
  grader_options asked = with_copy();
  asked.seed = 7;
  auto made = opened(std::move(asked));
  REQUIRE(made.ok());
  sample given = kit::copy_sample();
  given.model = "m";
  const auto told = made.value().grade(given);
  REQUIRE(told.ok());
  CHECK(told.value().of.id == given.id);
  CHECK(told.value().of.model == "m");
  CHECK(told.value().of.path == "copy.md");
  CHECK(told.value().seed == 7);
}

TEST_CASE("grader: an unknown task is a fault, not an outcome") {
  auto made = opened();
  REQUIRE(made.ok());
  const auto told = made.value().grade("text", "no_such_task");
  REQUIRE_FALSE(told.ok());
  CHECK(told.error().why == reason::bad_input);
  CHECK(has(told.error().what, "\"no_such_task\""));
}

TEST_CASE("grader: a family that is there already is refused") {
  grader_options asked;
  asked.families = {kit::copy_family(), kit::copy_family()};
  const auto twice = opened(std::move(asked));
  REQUIRE_FALSE(twice.ok());
  CHECK(twice.error().why == reason::bad_argument);
  CHECK(has(twice.error().what, "\"copy\""));
}

TEST_CASE("grader: a worker that is not there, or is none, is told at once") {
  grader_options asked;
  asked.worker = "/nowhere/skillbench";
  const auto nowhere = opened(asked);
  REQUIRE_FALSE(nowhere.ok());
  CHECK(nowhere.error().why == reason::not_found);
  asked.worker = "/bin/true";
  const auto none = opened(asked);
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().why == reason::child_died);
}

TEST_CASE("grader: a worker of another version is refused") {
  grader_options asked;
  asked.worker = script("exec '" SKILLBENCH_TEST_DIR
                        "/fake_worker' 'another version'");
  const auto told = opened(asked);
  REQUIRE_FALSE(told.ok());
  CHECK(told.error().why == reason::child_protocol);
  CHECK(has(told.error().what,
            "it is of another version (0.0.0, this is " +
                std::string(version) + ")"));
  // The same script with a worker of this version.
  asked.worker = script("exec '" SKILLBENCH_TEST_DIR "/fake_worker' serve");
  CHECK(opened(asked).ok());
}

TEST_CASE("grader: a reward grows with the rung, and cheating earns nothing") {
  double before = -1.0;
  for (const outcome each :
       {outcome::no_kernel, outcome::bad_manifest, outcome::does_not_compile,
        outcome::faults, outcome::wrong, outcome::correct}) {
    const auto worth = reward(each);
    REQUIRE(worth.has_value());
    CHECK(*worth > before);
    before = *worth;
  }
  CHECK(reward(outcome::no_kernel) == 0.0);
  CHECK(reward(outcome::correct) == 1.0);
  CHECK(reward(outcome::cheats) == 0.0);
}

TEST_CASE("grader: what is not judged has no reward") {
  CHECK_FALSE(reward(outcome::unjudged).has_value());
  record told;
  told.what = outcome::unjudged;
  CHECK_FALSE(reward(told).has_value());
}

TEST_CASE("grader: rungs are worth what the caller says") {
  const rung_values only_correct{0, 0, 0, 0, 0, 0, 1};
  CHECK(reward(outcome::wrong, only_correct) == 0.0);
  CHECK(reward(outcome::correct, only_correct) == 1.0);
  CHECK(reward(outcome::cheats, {.cheats = -1.0}) == -1.0);
}
