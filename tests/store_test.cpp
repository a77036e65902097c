#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/store.hpp>

#include "new_folder.hpp"

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

// An empty folder of the test's own.
using folder = new_folder;

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

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string line(int number) {
  return "{\"n\":" + std::to_string(number) + "}";
}

// As the file has it, with its end.
std::string sealed(int number) { return store_line::sealed(line(number)) + "\n"; }

struct seen {
  std::vector<std::string> lines;
  std::vector<store_place> places;
  std::vector<fault> troubles;
};

seen read_all(const fs::path& path) {
  seen all;
  REQUIRE(read_store(
      path.string(),
      [&](std::string_view one, const store_place& at) {
        all.lines.push_back(std::string(one) + "\n");
        all.places.push_back(at);
      },
      all.troubles));
  return all;
}

bool says(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  CHECK_MESSAGE(found, text, " does not say ", part);
  return found;
}

// Runs `what` as a user to whom permissions apply; true if it says so.
bool as_nobody(const std::function<bool()>& what) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool changed = ::geteuid() != 0 || ::setuid(65534) == 0;
    ::_exit(changed && what() ? 0 : 1);
  }
  int status = 1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE("store: lines are there as soon as they are appended") {
  const folder at;
  auto kept = store::open((at.path / "a" / "b").string());
  REQUIRE(kept);
  CHECK(kept.value().path() == (at.path / "a/b/records.jsonl").string());
  REQUIRE(kept.value().append(line(1)));
  CHECK(text_of(kept.value().path()) == sealed(1));
  REQUIRE(kept.value().append(line(2)));
  CHECK(text_of(kept.value().path()) == sealed(1) + sealed(2));
  REQUIRE(kept.value().sync());
  CHECK(kept.value().notice().empty());
}

TEST_CASE("store: a line ends with the SHA-256 of what it was without that") {
  // printf '%s' '{"n":1}' | sha256sum
  CHECK(store_line::sealed(line(1)) ==
        "{\"n\":1,\"check\":\"2bfd14f43d17fc7c\"}");
  const std::string whole = store_line::sealed(line(1));
  CHECK(store_line::is_sound(whole));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = changed[i] == '7' ? '8' : '7';
    CHECK_FALSE(store_line::is_sound(changed));
    CHECK_FALSE(store_line::is_sound(whole.substr(0, i)));
    CHECK_FALSE(store_line::is_sound(whole.substr(i + 1)));
  }
  CHECK_FALSE(store_line::is_sound(""));
  CHECK_FALSE(store_line::is_sound(line(1)));
  CHECK_FALSE(store_line::is_sound(whole + whole));
}

TEST_CASE("store: a second writer gets a file of its own") {
  const folder at;
  auto first = store::open(at.path.string());
  REQUIRE(first);
  REQUIRE(first.value().append(line(1)));
  auto second = store::open(at.path.string() + "/");
  REQUIRE(second);
  REQUIRE(second.value().append(line(2)));
  // One who resumes does not share the file of either.
  auto third = store::resume(at.path.string());
  REQUIRE(third);
  REQUIRE(third.value().append(line(3)));
  CHECK(text_of(at.path / "records.jsonl") == sealed(1));
  CHECK(text_of(at.path / "records-2.jsonl") == sealed(2));
  CHECK(text_of(at.path / "records-3.jsonl") == sealed(3));
  CHECK(third.value().notice().empty());
}

TEST_CASE("store: who resumes goes on in the newest file") {
  const folder at;
  write(at.path / "records.jsonl", sealed(1));
  write(at.path / "records-12.jsonl", sealed(2));
  write(at.path / "records-9.jsonl", sealed(3));
  for (const char* other : {"records-013.jsonl", "records-1.jsonl",
                            "records-x.jsonl", "records-14.jsonl~"})
    write(at.path / other, "not ours\n");
  {
    auto kept = store::resume(at.path.string());
    REQUIRE(kept);
    CHECK(kept.value().path() == (at.path / "records-12.jsonl").string());
    REQUIRE(kept.value().append(line(4)));
    CHECK(kept.value().notice().empty());
  }
  CHECK(text_of(at.path / "records-12.jsonl") == sealed(2) + sealed(4));
  const seen all = read_all(at.path);
  CHECK(all.lines == std::vector<std::string>{sealed(1), sealed(3), sealed(2),
                                              sealed(4)});
  CHECK(all.troubles.empty());
  auto fresh = store::open(at.path.string());
  REQUIRE(fresh);
  CHECK(fresh.value().path() == (at.path / "records-13.jsonl").string());
}

TEST_CASE("store: an end that a killed writer left is cut off, nothing else") {
  const std::string whole = sealed(1) + sealed(2);
  const std::string next = sealed(3);
  for (std::size_t cut = 1; cut + 1 < next.size(); ++cut) {
    const folder at;
    write(at.path / "records.jsonl", whole + next.substr(0, cut));
    {
      auto kept = store::resume(at.path.string());
      REQUIRE(kept);
      says(kept.value().notice(), "cut off " + std::to_string(cut) + " bytes");
      REQUIRE(kept.value().append(line(4)));
    }
    CHECK(text_of(at.path / "records.jsonl") == whole + sealed(4));
  }
}

TEST_CASE("store: a line that lacks its end alone is kept") {
  const folder at;
  std::string last = sealed(2);
  last.pop_back();
  write(at.path / "records.jsonl", sealed(1) + last);
  CHECK(read_all(at.path).lines.size() == 2);
  auto kept = store::resume(at.path.string());
  REQUIRE(kept);
  REQUIRE(kept.value().append(line(3)));
  CHECK(text_of(at.path / "records.jsonl") == sealed(1) + sealed(2) + sealed(3));
}

TEST_CASE("store: torn ends longer than a block, and files without a line") {
  const folder at;
  write(at.path / "records.jsonl",
        sealed(1) + std::string(3 * store_file::block, 'x'));
  {
    auto kept = store::resume(at.path.string());
    REQUIRE(kept);
    REQUIRE(kept.value().append(line(2)));
  }
  CHECK(text_of(at.path / "records.jsonl") == sealed(1) + sealed(2));
  // What a power cut can leave.
  write(at.path / "records.jsonl", std::string(5000, '\0'));
  {
    auto kept = store::resume(at.path.string());
    REQUIRE(kept);
    REQUIRE(kept.value().append(line(3)));
  }
  CHECK(text_of(at.path / "records.jsonl") == sealed(3));
}

TEST_CASE("store: a line with a wrong check is told, skipped and left") {
  const folder at;
  std::string wrong = sealed(2);
  wrong[5] = '9';
  const std::string text = sealed(1) + wrong + "\n" + sealed(3) + "{\"n\":4";
  write(at.path / "records.jsonl", text);
  const seen all = read_all(at.path);
  CHECK(all.lines == std::vector<std::string>{sealed(1), sealed(3)});
  REQUIRE(all.troubles.size() == 2);
  says(all.troubles[0].what, "records.jsonl:2: a line without a right checksum");
  says(all.troubles[0].what, "and 1 more");
  says(all.troubles[1].what, "last line is not finished");
  CHECK(text_of(at.path / "records.jsonl") == text);
  {
    auto kept = store::resume(at.path.string());
    REQUIRE(kept);
    REQUIRE(kept.value().append(line(5)));
  }
  CHECK(text_of(at.path / "records.jsonl") ==
        sealed(1) + wrong + "\n" + sealed(3) + sealed(5));
}

TEST_CASE("store: lines are found again where they were seen") {
  const folder at;
  // Lines around the size of a block, so that they lie across its edges.
  std::vector<std::string> wrote;
  {
    auto kept = store::open(at.path.string());
    REQUIRE(kept);
    for (const std::size_t size : {10ul, store_file::block - 60, 300ul,
                                   2 * store_file::block, 5ul}) {
      wrote.push_back("{\"n\":\"" + std::string(size, 'n') + "\"}");
      REQUIRE(kept.value().append(wrote.back()));
    }
  }
  const seen all = read_all(at.path);
  CHECK(all.troubles.empty());
  REQUIRE(all.lines.size() == wrote.size());
  for (std::size_t i = 0; i < wrote.size(); ++i) {
    CHECK(all.lines[i] == store_line::sealed(wrote[i]) + "\n");
    const auto again = read_store_line(at.path.string(), all.places[i]);
    REQUIRE(again);
    CHECK(again.value() + "\n" == all.lines[i]);
  }
  write(at.path / "records.jsonl", "something else\n");
  CHECK_FALSE(read_store_line(at.path.string(), all.places[0]));
}

TEST_CASE("store: a line without an end does not fill the memory") {
  const folder at;
  {
    std::ofstream out(at.path / "records.jsonl", std::ios::binary);
    const std::string part(store_file::block, 'x');
    for (int i = 0; i < 66; ++i) out << part;
    out << "\n" << sealed(1);
  }
  const seen all = read_all(at.path);
  CHECK(all.lines == std::vector<std::string>{sealed(1)});
  CHECK(all.troubles.size() == 1);
}

TEST_CASE("store: a line that does not fit leaves only whole lines") {
  const folder at;
  auto kept = store::open(at.path.string());
  REQUIRE(kept);
  REQUIRE(kept.value().append(line(1)));
  {
    const small_disk full(50);
    const auto refused = kept.value().append(line(2));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().why == reason::io);
    says(refused.error().what, "records.jsonl");
  }
  CHECK(text_of(at.path / "records.jsonl") == sealed(1));
  REQUIRE(kept.value().append(line(3)));
  CHECK(text_of(at.path / "records.jsonl") == sealed(1) + sealed(3));
}

TEST_CASE("store: a record is one line and an object") {
  const folder at;
  {
    auto kept = store::open(at.path.string());
    REQUIRE(kept);
    for (const char* text : {"{\"two\":\n1}", "", "{}", "text", "[1]"}) {
      const auto refused = kept.value().append(text);
      REQUIRE_FALSE(refused);
      CHECK(refused.error().why == reason::bad_argument);
    }
    CHECK(text_of(at.path / "records.jsonl").empty());
  }
  CHECK_FALSE(fs::exists(at.path / "records.jsonl"));  // it has no line
}

TEST_CASE("store: a file that is removed behind its writer is made again") {
  const folder at;
  const fs::path path = at.path / "kept";
  write(at.path / "elsewhere", "");
  {
    fs::create_directories(path);
    write(path / "records.jsonl", sealed(1));
    auto kept = store::resume(path.string());
    REQUIRE(kept);
    REQUIRE(kept.value().append(line(2)));
    fs::remove_all(path);
    REQUIRE(kept.value().append(line(3)));
    says(kept.value().notice(), "was removed while");
    says(kept.value().notice(), kept.value().path());
    CHECK(text_of(path / "records.jsonl") == sealed(2) + sealed(3));
    fs::remove_all(path);
    REQUIRE(kept.value().sync());
    CHECK(text_of(path / "records.jsonl") == sealed(2) + sealed(3));

    // Nowhere to make it: told, with both reasons.
    fs::remove_all(path);
    write(path, "a file");
    const auto refused = kept.value().append(line(4));
    REQUIRE_FALSE(refused);
    says(refused.error().what, "was removed while records were written");
    says(refused.error().what, "Not a directory");
    CHECK_FALSE(kept.value().sync());
    fs::remove(path);
  }
}

TEST_CASE("store: what is no folder is told by its path") {
  const folder at;
  std::ofstream(at.path / "file") << "text";
  for (const fs::path& path : {at.path / "file", at.path / "file" / "below"})
    for (const auto& opened : {&store::open, &store::resume}) {
      const auto refused = opened(path.string());
      REQUIRE_FALSE(refused);
      CHECK(refused.error().why == reason::io);
      says(refused.error().what, "file");
    }
  CHECK_FALSE(store::open(""));
  CHECK_FALSE(store::resume(""));
  CHECK_FALSE(store::open("/proc/no/such/place"));
  const seen nothing = read_all(at.path / "not there");
  CHECK(nothing.lines.empty());
  CHECK(nothing.troubles.empty());
  CHECK_FALSE(store_file::segments((at.path / "file").string()));
}

TEST_CASE("store: a folder that may not be written is told as that") {
  const folder at;
  write(at.path / "records.jsonl", sealed(1));
  fs::permissions(at.path, fs::perms{0555});
  fs::permissions(at.path / "records.jsonl", fs::perms{0444});
  CHECK(as_nobody([&] {
    const auto refused = store::open(at.path.string());
    const auto again = store::resume(at.path.string());
    return !refused && refused.error().why == reason::no_permission && !again &&
           again.error().why == reason::no_permission &&
           refused.error().what.find("records-2.jsonl: Permission denied") !=
               std::string::npos;
  }));
  // What cannot be read is told, the rest is read.
  fs::permissions(at.path, fs::perms{0777});
  fs::permissions(at.path / "records.jsonl", fs::perms{0000});
  CHECK(as_nobody([&] {
    write(at.path / "records-2.jsonl", sealed(2));
    std::size_t lines = 0;
    std::vector<fault> troubles;
    const auto done = read_store(
        at.path.string(),
        [&](std::string_view, const store_place&) { ++lines; }, troubles);
    return done && lines == 1 && troubles.size() == 1 &&
           troubles[0].why == reason::no_permission;
  }));
}

TEST_CASE("store: a pipe in the place of a file holds nobody up") {
  const folder at;
  REQUIRE(::mkfifo((at.path / "records.jsonl").c_str(), 0600) == 0);
  CHECK(read_all(at.path).troubles.size() == 1);
  auto kept = store::resume(at.path.string());
  REQUIRE(kept);
  CHECK(kept.value().path() == (at.path / "records-2.jsonl").string());
}
