#include <doctest/doctest.h>

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <skillbench/tune_journal.hpp>

#include "new_folder.hpp"

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

struct folder : new_folder {
  folder() { path /= "tuning"; }
  ~folder() { path = path.parent_path(); }

  [[nodiscard]] std::unique_ptr<tune_journal> open(bool shared = false) const {
    auto made = tune_journal::open(path.string(), shared);
    REQUIRE_MESSAGE(made.ok(), (made.ok() ? "" : made.error().what));
    return std::move(made).value();
  }
  void add(const std::string& name, const std::string& text) const {
    std::ofstream(path / name, std::ios::binary | std::ios::app) << text;
  }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), {}));
  }
};

kernel_trial trial(std::int64_t block, double nanoseconds) {
  kernel_trial made;
  made.chosen = {{"BLOCK", block}};
  made.outcome = "correct";
  made.nanoseconds = nanoseconds;
  return made;
}

double nanoseconds_of(tune_journal& in, const std::string& key,
                      std::int64_t block) {
  const auto all = in.known(key);
  const auto found = all.find(setting_words({{"BLOCK", block}}));
  REQUIRE(found != all.end());
  REQUIRE(found->second.nanoseconds.has_value());
  return *found->second.nanoseconds;
}

}  // namespace

TEST_CASE("tune_journal: who comes later knows what was tried, by its key") {
  const folder in;
  {
    const auto first = in.open();
    CHECK(first->known("a").empty());
    REQUIRE(first->keep("a", trial(32, 5)).ok());
    REQUIRE(first->keep("a", trial(32, 4)).ok());  // the later one counts
    REQUIRE(first->keep("b", trial(32, 9)).ok());
    CHECK(nanoseconds_of(*first, "a", 32) == 4);
  }
  const auto second = in.open();
  CHECK(second->known("a").size() == 1);
  CHECK(nanoseconds_of(*second, "a", 32) == 4);
  CHECK(nanoseconds_of(*second, "b", 32) == 9);
  CHECK(second->known("c").empty());
  REQUIRE(second->keep("a", trial(64, 3)).ok());
  CHECK(in.files() == 1);  // it goes on where the first one stopped
}

TEST_CASE("tune_journal: in a shared folder each has a file of its own") {
  const folder in;
  {
    const auto first = in.open(true);
    REQUIRE(first->keep("a", trial(32, 5)).ok());
  }
  // Its writer is on another machine and in the middle of a line: that a lock can
  // be had here says nothing.
  in.add("records.jsonl", "{\"trial\":");
  const std::string before = in.read("records.jsonl");
  const auto second = in.open(true), third = in.open(true);
  CHECK(in.files() == 3);
  REQUIRE(second->keep("a", trial(64, 7)).ok());
  REQUIRE(third->keep("a", trial(64, 6)).ok());
  REQUIRE(third->keep("a", trial(128, 8)).ok());
  REQUIRE(second->keep("b", trial(32, 2)).ok());
  CHECK(in.read("records.jsonl") == before);

  // What others tried before is known at once, and all of it to who comes later.
  CHECK(nanoseconds_of(*second, "a", 32) == 5);
  CHECK(second->known("a").size() == 2);
  const auto last = in.open(true);
  CHECK(last->known("a").size() == 3);
  CHECK(nanoseconds_of(*last, "a", 64) == 6);  // of the later file
  CHECK(nanoseconds_of(*last, "b", 32) == 2);
  in.add("records.jsonl", "1}\n");
  CHECK(in.read("records.jsonl").starts_with(before));
}

TEST_CASE("tune_journal: who tried nothing leaves no file") {
  const folder in;
  { const auto none = in.open(true); }
  CHECK(in.files() == 0);
}

TEST_CASE("tune_journal: what cannot be used is told, and the rest is read") {
  const folder in;
  {
    const auto first = in.open();
    REQUIRE(first->keep("a", trial(32, 5)).ok());
    REQUIRE(first->keep("a", trial(64, 6)).ok());
  }
  std::string text = in.read("records.jsonl");
  text.replace(text.find("correct"), 7, "corrupt");  // its check is wrong now
  std::ofstream(in.path / "records.jsonl", std::ios::binary) << text;
  for (int i = 0; i < 3; ++i)
    in.add("records.jsonl", store_line::sealed("{\"of\":\"something else\"}") + "\n");
  const auto second = in.open();
  REQUIRE(second->troubles.size() == 2);
  CHECK(second->troubles[0].what.find("check") != std::string::npos);
  CHECK(second->troubles[1].what.find("records.jsonl: 3 trials that cannot be used, the first: ") != std::string::npos);
  CHECK(second->known("a").size() == 1);
  CHECK(nanoseconds_of(*second, "a", 64) == 6);
}

TEST_CASE("tune_journal: a folder that cannot be had is a fault") {
  const folder in;
  fs::create_directories(in.path.parent_path());
  std::ofstream(in.path) << "a file";
  for (const bool shared : {false, true})
    CHECK_FALSE(tune_journal::open(in.path.string(), shared).ok());
}

TEST_CASE("tune_journal: several threads keep and ask at once") {
  const folder in;
  {
    const auto one = in.open(true);
    std::vector<std::thread> threads;
    for (int each = 0; each < 4; ++each)
      threads.emplace_back([&, each] {
        for (std::int64_t i = 0; i < 50; ++i) {
          (void)one->keep("k" + std::to_string(each % 2), trial(100 * each + i, 1));
          (void)one->known("k0");
          if (i % 10 == 0) (void)one->sync();
        }
      });
    for (std::thread& each : threads) each.join();
  }
  const auto after = in.open(true);
  CHECK(after->troubles.empty());
  CHECK(after->known("k0").size() == 100);
  CHECK(after->known("k1").size() == 100);
}
