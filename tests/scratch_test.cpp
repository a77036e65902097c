#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include <sys/stat.h>

#include <skillbench/scratch.hpp>

using namespace skillbench;
namespace fs = std::filesystem;

TEST_CASE("scratch: a folder of one's own, gone with its owner") {
  std::string path;
  {
    auto made = scratch_folder::make();
    REQUIRE(made);
    path = made.value().path();
    struct stat seen {};
    REQUIRE(::stat(path.c_str(), &seen) == 0);
    CHECK((seen.st_mode & 0777) == 0700);
    fs::create_directories(path + "/a/b");
    std::ofstream(path + "/a/b/file") << "text";
    const scratch_folder moved = std::move(made).value();
    CHECK(moved.path() == path);
    CHECK(fs::exists(path + "/a/b/file"));
    const auto other = scratch_folder::make();
    REQUIRE(other);
    CHECK(other.value().path() != path);
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("scratch: where there is no place, it says which") {
  const char* const old = std::getenv("TMPDIR");
  const std::string kept = old ? old : "";
  ::setenv("TMPDIR", "/nowhere-at-all", 1);
  const auto made = scratch_folder::make();
  if (old)
    ::setenv("TMPDIR", kept.c_str(), 1);
  else
    ::unsetenv("TMPDIR");
  REQUIRE_FALSE(made);
  CHECK(made.error().why == reason::io);
  CHECK_FALSE(made.error().what.empty());
}
