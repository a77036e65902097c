#include <doctest/doctest.h>

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <skillbench/tune_from.hpp>
#include <skillbench/tune_journal.hpp>

#include "new_folder.hpp"

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

using folder = new_folder;

kernel_trial trial(std::int64_t block, double nanoseconds) {
  kernel_trial made;
  made.chosen = {{"BLOCK", block}};
  made.outcome = nanoseconds > 0 ? "correct" : "wrong";
  if (nanoseconds > 0) made.nanoseconds = nanoseconds;
  return made;
}

std::vector<earlier_tuning> read(const std::string& path,
                                 const std::vector<std::string>& but = {}) {
  std::vector<fault> troubles;
  auto made = read_earlier_tunings(path, but, troubles);
  REQUIRE_MESSAGE(made.ok(), (made.ok() ? "" : made.error().what));
  CHECK(troubles.empty());
  return std::move(made).value();
}

std::string refusal(const std::string& path,
                    const std::vector<std::string>& but = {}) {
  std::vector<fault> troubles;
  const auto made = read_earlier_tunings(path, but, troubles);
  REQUIRE_FALSE(made.ok());
  return made.error().what;
}

}  // namespace

TEST_CASE("tune_from: a journal has each tuning by itself, and not one's own") {
  const folder in;
  const std::string path = (in.path / "journal").string();
  {
    auto journal = tune_journal::open(path);
    REQUIRE(journal.ok());
    REQUIRE(journal.value()->keep("a", trial(32, 100)).ok());
    REQUIRE(journal.value()->keep("a", trial(64, 0)).ok());
    REQUIRE(journal.value()->keep("a", trial(32, 50)).ok());  // the later counts
    REQUIRE(journal.value()->keep("b", trial(32, 7)).ok());
  }
  const auto both = read(path);
  REQUIRE(both.size() == 2);
  REQUIRE(both[0].trials.size() == 2);
  CHECK(both[0].trials[0].at == setting{{"BLOCK", 32}});
  CHECK(both[0].trials[0].cost == 50);
  CHECK_FALSE(both[0].trials[1].cost.has_value());
  CHECK(both[1].trials.size() == 1);
  const auto other = read(path, {"a"});
  REQUIRE(other.size() == 1);
  CHECK(other[0].trials[0].cost == 7);
  CHECK(refusal(path, {"a", "b"}).find("no tuning but this very one") !=
        std::string::npos);
  CHECK(refusal(in.path.string()).find("no journal of a tuning") !=
        std::string::npos);
}

TEST_CASE("tune_from: a trial of a journal that cannot be used is told") {
  const folder in;
  const std::string path = (in.path / "journal").string();
  {
    auto journal = tune_journal::open(path);
    REQUIRE(journal.ok());
    REQUIRE(journal.value()->keep("a", trial(32, 100)).ok());
  }
  std::ofstream(fs::path(path) / "records.jsonl", std::ios::app)
      << store_line::sealed("{\"trial_of\":\"a\",\"outcome\":\"correct\"}") << '\n';
  std::vector<fault> troubles;
  const auto made = read_earlier_tunings(path, {}, troubles);
  REQUIRE(made.ok());
  REQUIRE(made.value().size() == 1);
  CHECK(made.value()[0].trials.size() == 1);
  REQUIRE(troubles.size() == 1);
  CHECK(troubles[0].what.find("records.jsonl: a trial that cannot be used") !=
        std::string::npos);
}

TEST_CASE("tune_from: our own T4 file comes back with its values and times") {
  const folder in;
  const std::vector<kernel_trial> all = {trial(32, 3e6), trial(64, 0)};
  const auto made = read(in.write("t4.json", write_t4(all)));
  REQUIRE(made.size() == 1);
  REQUIRE(made[0].trials.size() == 2);
  CHECK(made[0].trials[0].at == setting{{"BLOCK", 32}});
  CHECK(made[0].trials[0].cost == doctest::Approx(3));
  CHECK_FALSE(made[0].trials[1].cost.has_value());
}

TEST_CASE("tune_from: a cache file, and what is none of the three") {
  const folder in;
  const auto made = read(in.write(
      "cache.json",
      R"({"tune_params": {"x": [1, 2]}, "cache": {"1": {"x": 1, "time": 5},
          "2": {"x": 2, "time": "failed"}}})"));
  REQUIRE(made[0].trials.size() == 2);
  CHECK(made[0].trials[0].cost == 5);
  CHECK_FALSE(made[0].trials[1].cost.has_value());

  const std::string none = refusal(in.write("none.json", "{}"));
  CHECK(none.find("none.json: line 1") != std::string::npos);
  CHECK(none.find("neither `cache` (Kernel Tuner) nor `results` (T4)") !=
        std::string::npos);
  CHECK(none.find("a journal is named by its folder") != std::string::npos);
  CHECK(refusal(in.write("broken.json", "{\"results\": [")).find("line 1") !=
        std::string::npos);
  CHECK(refusal(in.write("packed.json.gz", "\x1f\x8b nonsense"))
            .find("packed.json.gz: ") != std::string::npos);
  CHECK(refusal((in.path / "away").string()).find("away") != std::string::npos);
}
