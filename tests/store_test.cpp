#include <doctest/doctest.h>

#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <skillbench/store.hpp>

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

// An empty folder of the test's own.
struct folder {
  fs::path path;
  folder() {
    std::string name = (fs::temp_directory_path() / "store_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~folder() { fs::remove_all(path); }
};

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Files may have this many bytes while it lives: what a full disk does.
struct small_disk {
  rlimit old{};
  explicit small_disk(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &old);
    const rlimit now{bytes, old.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &now) == 0);
  }
  ~small_disk() { ::setrlimit(RLIMIT_FSIZE, &old); }
};

}  // namespace

TEST_CASE("store: lines are there as soon as they are appended") {
  const folder at;
  auto kept = store::open((at.path / "a" / "b").string());
  REQUIRE(kept);
  CHECK(kept.value().path() == (at.path / "a/b/records.jsonl").string());
  REQUIRE(kept.value().append("{\"n\": 1}"));
  CHECK(text_of(kept.value().path()) == "{\"n\": 1}\n");
  REQUIRE(kept.value().append("{\"n\": 2}"));
  CHECK(text_of(kept.value().path()) == "{\"n\": 1}\n{\"n\": 2}\n");
}

TEST_CASE("store: a second writer gets a file of its own") {
  const folder at;
  auto first = store::open(at.path.string());
  REQUIRE(first);
  REQUIRE(first.value().append("one"));
  auto second = store::open(at.path.string() + "/");
  REQUIRE(second);
  REQUIRE(second.value().append("two"));
  CHECK(text_of(at.path / "records.jsonl") == "one\n");
  CHECK(text_of(at.path / "records-2.jsonl") == "two\n");
}

TEST_CASE("store: a line that does not fit leaves only whole lines") {
  const folder at;
  auto kept = store::open(at.path.string());
  REQUIRE(kept);
  REQUIRE(kept.value().append("short"));
  {
    const small_disk full(20);
    const auto refused = kept.value().append(std::string(100, 'x'));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().why == reason::io);
    CHECK(refused.error().what.find("records.jsonl") != std::string::npos);
  }
  CHECK(text_of(at.path / "records.jsonl") == "short\n");
  REQUIRE(kept.value().append("after"));
  CHECK(text_of(at.path / "records.jsonl") == "short\nafter\n");
}

TEST_CASE("store: a record is one line") {
  const folder at;
  auto kept = store::open(at.path.string());
  REQUIRE(kept);
  const auto refused = kept.value().append("two\nlines");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().why == reason::bad_argument);
  CHECK(text_of(at.path / "records.jsonl").empty());
}

TEST_CASE("store: what is no folder is told by its path") {
  const folder at;
  std::ofstream(at.path / "file") << "text";
  for (const fs::path& path : {at.path / "file", at.path / "file" / "below"}) {
    const auto refused = store::open(path.string());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().why == reason::io);
    CHECK(refused.error().what.find("file") != std::string::npos);
  }
  CHECK_FALSE(store::open(""));
  CHECK_FALSE(store::open("/proc/no/such/place"));
}
