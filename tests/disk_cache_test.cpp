#include <doctest/doctest.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <skillbench/disk_cache.hpp>

#include "new_folder.hpp"

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

struct folder : new_folder {
  [[nodiscard]] std::string cache() const { return (path / "c").string(); }
};

std::unique_ptr<disk_cache> opened(const std::string& path,
                                   std::uint64_t most = most_cache_bytes) {
  auto made = disk_cache::open(path, most);
  REQUIRE_MESSAGE(made.ok(), made.error().what);
  return std::move(made).value();
}

std::string key(int number) { return sha256(std::to_string(number)); }

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// When an entry was used last.
void set_used(const fs::path& path, int hours_ago) {
  fs::last_write_time(path, fs::file_time_type::clock::now() -
                                std::chrono::hours(hours_ago));
}

struct variable {
  std::string name;
  std::optional<std::string> before;
  variable(const char* of, const char* value) : name(of) {
    if (const char* const now = std::getenv(of)) before = now;
    if (value)
      ::setenv(of, value, 1);
    else
      ::unsetenv(of);
  }
  ~variable() {
    if (before)
      ::setenv(name.c_str(), before->c_str(), 1);
    else
      ::unsetenv(name.c_str());
  }
};

}  // namespace

TEST_CASE("disk_cache: what is kept is found, by another process too") {
  const folder here;
  const auto one = opened(here.cache());
  CHECK_FALSE(one->find(key(1)).has_value());
  const std::string bytes("a\0b\n", 4);
  CHECK(one->keep(key(1), bytes));
  CHECK(one->keep(key(2), ""));
  CHECK(one->find(key(1)) == bytes);
  CHECK(opened(here.cache())->find(key(1)) == bytes);
  CHECK(opened(here.cache())->find(key(2)) == "");
  CHECK(one->keep(key(1), "other"));
  CHECK(one->find(key(1)) == "other");
  const cache_counts told = one->counts();
  CHECK(told.found == 2);
  CHECK(told.not_found == 1);
  CHECK(told.kept == 3);
  CHECK(told.not_kept + told.damaged + told.removed == 0);
}

TEST_CASE("disk_cache: a key is a digest and no path") {
  const folder here;
  const auto one = opened(here.cache());
  for (const std::string& bad : {std::string("../x"), std::string(), std::string(64, 'g'),
                                std::string(63, 'a'), std::string(64, '/')}) {
    CHECK_FALSE(one->keep(bad, "x"));
    CHECK_FALSE(one->find(bad).has_value());
  }
  CHECK(one->keep(std::string(64, 'a'), "x"));
}

TEST_CASE("disk_cache: a damaged entry is removed and was never there") {
  const folder here;
  const auto one = opened(here.cache());
  const fs::path file = fs::path(here.cache()) / key(1);
  const auto harmed = [&](const std::string& text) {
    write(file, text);
    ::chmod(file.c_str(), 0600);
    const bool found = one->find(key(1)).has_value();
    CHECK_FALSE(fs::exists(file));
    return !found;
  };
  REQUIRE(one->keep(key(1), "content"));
  const std::string whole = read(file);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string bad = whole;
    bad[at] ^= 1;
    CHECK_MESSAGE(harmed(bad), "byte " << at);
  }
  CHECK(harmed(whole.substr(0, whole.size() - 1)));
  CHECK(harmed(whole + "x"));
  CHECK(harmed(""));
  CHECK(one->counts().damaged == whole.size() + 3);

  // A right entry under another's name.
  REQUIRE(one->keep(key(2), "of two"));
  fs::rename(fs::path(here.cache()) / key(2), file);
  CHECK_FALSE(one->find(key(1)).has_value());
  CHECK(one->keep(key(1), "content"));
  CHECK(one->find(key(1)) == "content");
}

TEST_CASE("disk_cache: folder and files are the user's alone") {
  const folder here;
  ::umask(0);
  const auto one = opened((here.path / "deep/er").string());
  REQUIRE(one->keep(key(1), "x"));
  ::umask(022);
  struct stat seen {};
  for (const char* each : {"deep", "deep/er"}) {
    REQUIRE(::stat((here.path / each).c_str(), &seen) == 0);
    CHECK((seen.st_mode & 0777) == 0700);
  }
  REQUIRE(::stat((here.path / "deep/er" / key(1)).c_str(), &seen) == 0);
  CHECK((seen.st_mode & 0777) == 0600);
}

TEST_CASE("disk_cache: what others may write is not trusted") {
  const folder here;
  const auto one = opened(here.cache());
  REQUIRE(one->keep(key(1), "x"));
  const fs::path file = fs::path(here.cache()) / key(1);
  ::chmod(file.c_str(), 0620);
  CHECK_FALSE(one->find(key(1)).has_value());
  ::chmod(file.c_str(), 0600);
  CHECK(one->find(key(1)).has_value());

  for (const mode_t mode : {0720, 0702}) {
    ::chmod(here.cache().c_str(), mode);
    const auto refused = disk_cache::open(here.cache());
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().why == reason::no_permission);
  }
  ::chmod(here.cache().c_str(), 0700);

  if (::geteuid() != 0) return;  // only root can give a file away
  REQUIRE(::chown(file.c_str(), 65534, 65534) == 0);
  CHECK_FALSE(one->find(key(1)).has_value());
  REQUIRE(::chown(here.cache().c_str(), 65534, 65534) == 0);
  CHECK_FALSE(disk_cache::open(here.cache()).ok());
}

TEST_CASE("disk_cache: links, folders and pipes are no entries") {
  const folder here;
  const auto one = opened(here.cache());
  REQUIRE(one->keep(key(1), "x"));
  const fs::path in = here.cache();
  fs::rename(in / key(1), here.path / "elsewhere");
  fs::create_symlink(here.path / "elsewhere", in / key(1));
  CHECK_FALSE(one->find(key(1)).has_value());
  fs::create_directory(in / key(2));
  CHECK_FALSE(one->find(key(2)).has_value());
  CHECK_FALSE(one->keep(key(2), "x"));
  REQUIRE(::mkfifo((in / key(3)).c_str(), 0600) == 0);
  CHECK_FALSE(one->find(key(3)).has_value());  // and it does not wait
  CHECK(one->keep(key(3), "x"));
  CHECK(one->find(key(3)) == "x");
}

TEST_CASE("disk_cache: a folder that cannot be made says why") {
  const folder here;
  write(here.path / "file", "");
  const auto inside = disk_cache::open((here.path / "file/c").string());
  REQUIRE_FALSE(inside.ok());
  CHECK(inside.error().what.find("file") != std::string::npos);
  CHECK_FALSE(disk_cache::open((here.path / "file").string()).ok());
  CHECK(disk_cache::open("").error().why == reason::bad_argument);
  CHECK_FALSE(disk_cache::open("/proc/nowhere/c").ok());
}

TEST_CASE("disk_cache: the entries used longest ago make room") {
  const folder here;
  const std::string content(10'000, 'x');  // 12 KB on most disks
  {
    const auto one = opened(here.cache());
    for (int i = 0; i < 20; ++i) {
      REQUIRE(one->keep(key(i), content));
      set_used(fs::path(here.cache()) / key(i), 100 - i);
    }
    CHECK(one->find(key(0)).has_value());  // used just now
    one->trim();
    CHECK(one->counts().removed == 0);
  }
  const std::uint64_t all = disk_cache::look(here.cache()).value().bytes;
  const auto small = opened(here.cache(), all / 2);
  small->trim();
  const cache_usage left = disk_cache::look(here.cache()).value();
  CHECK(left.bytes <= all / 2);
  CHECK(left.bytes > all / 4);
  CHECK(left.entries + small->counts().removed == 20);
  CHECK(small->find(key(0)).has_value());
  CHECK_FALSE(small->find(key(1)).has_value());
  CHECK(small->find(key(19)).has_value());
}

TEST_CASE("disk_cache: it stays within its room while it is written") {
  const folder here;
  const auto one = opened(here.cache(), 400'000);
  for (int i = 0; i < 200; ++i)
    REQUIRE(one->keep(key(i), std::string(10'000, 'x')));
  CHECK(disk_cache::look(here.cache()).value().bytes <= 440'000);
  CHECK(one->counts().removed > 100);
  CHECK(one->find(key(199)).has_value());
}

TEST_CASE("disk_cache: what a killed process left is removed in the end") {
  const folder here;
  const auto one = opened(here.cache());
  const fs::path in = here.cache();
  write(in / "new-17", "half a");
  write(in / "new-18", "half a");
  write(in / "mine.txt", "not an entry");
  set_used(in / "new-17", 2);
  set_used(in / "mine.txt", 2000);
  one->trim();
  CHECK_FALSE(fs::exists(in / "new-17"));
  CHECK(fs::exists(in / "new-18"));  // it may be somebody's who writes now
  CHECK(fs::exists(in / "mine.txt"));
}

TEST_CASE("disk_cache: without room on the disk nothing is kept") {
  const folder here;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit little{100, 100};
    ::setrlimit(RLIMIT_FSIZE, &little);
    const auto one = disk_cache::open(here.cache());
    const bool right = one.ok() && !one.value()->keep(key(1), "content") &&
                       !one.value()->find(key(1)) &&
                       one.value()->counts().not_kept == 1;
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  for (const auto& each : fs::directory_iterator(here.cache()))
    CHECK(each.path().filename() == "lock");
}

TEST_CASE("disk_cache: a content that is too large is not kept") {
  const folder here;
  const auto one = opened(here.cache());
  CHECK(one->keep(key(1), std::string(most_cached_entry, 'x')));
  CHECK_FALSE(one->keep(key(2), std::string(most_cached_entry + 1, 'x')));
  CHECK(one->find(key(1)).has_value());
}

TEST_CASE("disk_cache: several threads and processes at once") {
  const folder here;
  const auto work = [&](disk_cache& in) {
    for (int i = 0; i < 300; ++i) {
      const std::string content(1000 + i % 7, static_cast<char>('a' + i % 7));
      in.keep(key(i % 7), content);
      const auto found = in.find(key((i + 3) % 7));
      if (found && *found != std::string(1000 + (i + 3) % 7,
                                         static_cast<char>('a' + (i + 3) % 7)))
        return false;
    }
    return in.counts().damaged == 0;
  };
  const auto one = opened(here.cache(), 20'000);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const auto two = disk_cache::open(here.cache(), 20'000);
    ::_exit(two.ok() && work(*two.value()) ? 0 : 1);
  }
  bool first = false, second = false;
  {
    std::thread a([&] { first = work(*one); });
    std::thread b([&] { second = work(*one); });
    a.join();
    b.join();
  }
  int status = 1;
  ::waitpid(child, &status, 0);
  CHECK(first);
  CHECK(second);
  CHECK(status == 0);
}

TEST_CASE("disk_cache: looking makes nothing") {
  const folder here;
  CHECK_FALSE(disk_cache::look(here.cache()).ok());
  CHECK_FALSE(fs::exists(here.cache()));
  const auto one = opened(here.cache());
  CHECK(disk_cache::look(here.cache()).value().entries == 0);
  one->keep(key(1), "x");
  CHECK(disk_cache::look(here.cache()).value().entries == 1);
  CHECK(disk_cache::look(here.cache()).value().bytes > 0);
}

TEST_CASE("disk_cache: the default place") {
  const variable own(cache_variable, nullptr);
  const variable general("XDG_CACHE_HOME", "/x");
  const variable home("HOME", "/h");
  CHECK(default_cache_place().folder == "/x/skillbench");
  {
    const variable relative("XDG_CACHE_HOME", "x");  // to be ignored, it says
    CHECK(default_cache_place().folder == "/h/.cache/skillbench");
    const variable none("HOME", nullptr);
    CHECK(default_cache_place().folder.empty());
    CHECK_FALSE(default_cache_place().turned_off);
    CHECK_FALSE(default_cache_place().why_not.empty());
  }
  {
    const variable named(cache_variable, "here");
    CHECK(default_cache_place().folder == "here");
  }
  const variable off(cache_variable, "");
  CHECK(default_cache_place().folder.empty());
  CHECK(default_cache_place().turned_off);
}
