#include <doctest/doctest.h>

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <skillbench/find_worker.hpp>

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

struct folder {
  fs::path path = fs::path(SKILLBENCH_TEST_DIR) / "find_worker_files";
  folder() {
    fs::remove_all(path);
    fs::create_directories(path);
    ::unsetenv("SKILLBENCH_WORKER");
  }
  ~folder() {
    ::unsetenv("SKILLBENCH_WORKER");
    fs::remove_all(path);
  }
  std::string file(const std::string& name, bool executable) const {
    const fs::path at = path / name;
    std::ofstream(at) << "#!/bin/sh\n";
    ::chmod(at.c_str(), executable ? 0755 : 0644);
    return at.string();
  }
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("find_worker: the caller's path, then the environment's") {
  const folder in;
  const std::string one = in.file("one", true), two = in.file("two", true);
  ::setenv("SKILLBENCH_WORKER", two.c_str(), 1);
  REQUIRE(find_worker(one).ok());
  CHECK(find_worker(one).value() == one);
  REQUIRE(find_worker().ok());
  CHECK(find_worker().value() == two);
}

TEST_CASE("find_worker: what is named is used or refused") {
  const folder in;
  const std::string one = in.file("one", true), plain = in.file("plain", false);
  ::setenv("SKILLBENCH_WORKER", one.c_str(), 1);
  const auto nowhere = find_worker("/nowhere/skillbench");
  REQUIRE_FALSE(nowhere.ok());
  CHECK(nowhere.error().why == reason::not_found);
  CHECK(has(nowhere.error().what, "/nowhere/skillbench: no such file"));
  CHECK_FALSE(find_worker(in.path.string()).ok());  // a folder
  const auto not_a_program = find_worker(plain);
  REQUIRE_FALSE(not_a_program.ok());
  CHECK(not_a_program.error().why == reason::no_permission);

  ::setenv("SKILLBENCH_WORKER", plain.c_str(), 1);
  const auto told = find_worker();
  REQUIRE_FALSE(told.ok());
  CHECK(told.error().why == reason::no_permission);
  CHECK(has(told.error().what, "SKILLBENCH_WORKER"));
}

TEST_CASE("find_worker: the first place that has a program") {
  const folder in;
  const std::string one = in.file("one", true), plain = in.file("plain", false);
  const auto found =
      worker_places::first_usable({"", "/nowhere/skillbench", plain, one});
  REQUIRE(found.ok());
  CHECK(found.value() == one);
  const auto none =
      worker_places::first_usable({"", "/nowhere/skillbench", plain});
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().why == reason::not_found);
  CHECK(has(none.error().what, "/nowhere/skillbench: no such file; "));
  CHECK(has(none.error().what, plain + ": cannot be executed"));
}

TEST_CASE("find_worker: an empty variable names nothing") {
  const folder in;
  ::setenv("SKILLBENCH_WORKER", "", 1);
  const auto found = find_worker();
  if (!found) CHECK_FALSE(has(found.error().what, "SKILLBENCH_WORKER names"));
}

TEST_CASE("find_worker: the folder above") {
  using worker_places::above;
  CHECK(above("/usr/include/skillbench/a.hpp", 3) == "/usr");
  CHECK(above("/usr/bin/grade", 1) == "/usr/bin");
  CHECK(above("/a", 1) == "");
  CHECK(above("/a/b", 5) == "");
  CHECK(above("include/skillbench/a.hpp", 1) == "");
  CHECK(above("", 1) == "");
}
