// Tests of bubblewrap.hpp. Those that start something need bwrap, and a system
// that lets it make namespaces; where either is missing they say so.

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <skillbench/bubblewrap.hpp>

using namespace skillbench;

namespace {

struct path_of_now {
  std::string kept;
  explicit path_of_now(const std::string& other) {
    const char* const now = std::getenv("PATH");
    kept = now ? now : "";
    ::setenv("PATH", other.c_str(), 1);
  }
  ~path_of_now() { ::setenv("PATH", kept.c_str(), 1); }
};

// A shell in bubblewrap, or nothing where that cannot be.
std::optional<child> shell(const std::string& script) {
  const auto bwrap = bubblewrap::find();
  if (!bwrap) {
    MESSAGE("not run: " << bwrap.error().what);
    return std::nullopt;
  }
  const auto command = [&](const std::string& what) {
    return bubblewrap::around(bwrap.value(), {"/bin/sh", {"-c", what}, {}},
                              {"/lib", "/lib64", "/bin", "/usr"});
  };
  child_limits limits;
  limits.cpu_seconds = 20;
  auto tried = child::start(command("exit 0"), limits);
  REQUIRE(tried);
  CHECK(tried.value().wait(deadline::in(20)));
  if (tried.value().stop().exit_code != 0) {
    MESSAGE("not run: " << tried.value().said());
    return std::nullopt;
  }
  auto made = child::start(command(script), limits);
  REQUIRE(made);
  return std::move(made).value();
}

}  // namespace

TEST_CASE("bubblewrap: without bwrap it is said what is missing") {
  const path_of_now none("/nowhere::relative:.");
  const auto found = bubblewrap::find();
  REQUIRE_FALSE(found);
  CHECK(found.error().why == reason::not_found);
  CHECK(found.error().what.find("bubblewrap") != std::string::npos);
}

TEST_CASE("bubblewrap: only a program of PATH's absolute folders is taken") {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(SKILLBENCH_TEST_DIR) / "bubblewrap_path";
  fs::create_directories(folder / "a" / "bwrap");  // a folder of that name
  fs::create_directories(folder / "b");
  std::ofstream(folder / "b" / "bwrap") << "#!/bin/sh\n";
  {
    const path_of_now there((folder / "a").string() + ":" +
                            (folder / "b").string());
    CHECK_FALSE(bubblewrap::find());  // cannot be executed
    fs::permissions(folder / "b" / "bwrap", fs::perms::owner_all);
    REQUIRE(bubblewrap::find());
    CHECK(bubblewrap::find().value() == (folder / "b" / "bwrap").string());
  }
  fs::remove_all(folder);
}

TEST_CASE("bubblewrap: the worker and its words come last, paths read-only") {
  const child_command made = bubblewrap::around(
      "/usr/bin/bwrap", {"/w/skillbench", {"worker", "bwrap"}, {"A=b"}},
      {"/libs"});
  CHECK(made.wrapped);
  CHECK(made.environment == std::vector<std::string>{"A=b"});
  const auto& words = made.arguments;
  REQUIRE(words.size() > 4);
  CHECK(std::vector<std::string>(words.end() - 4, words.end()) ==
        std::vector<std::string>{"--", "/w/skillbench", "worker", "bwrap"});
  for (const std::string& each : words) CHECK(each != "--bind");
}

TEST_CASE("bubblewrap: this process is not within") {
  CHECK(bubblewrap::words("strict").starts_with("basic: "));
}

TEST_CASE("bubblewrap: no file, process or network of the machine is there") {
  auto within = shell(
      "echo process $$; ls /; cat /etc/passwd /proc/self/status; "
      "echo x > /x; echo x > /usr/x; ls /sys/class/net");
  if (!within) return;
  CHECK(within->wait(deadline::in(20)));
  (void)within->stop();
  const std::string said = within->said();
  CAPTURE(said);
  CHECK(said.find("process 2\n") != std::string::npos);
  CHECK(said.find("root:") == std::string::npos);
  CHECK(said.find("home") == std::string::npos);
  CHECK(said.find("Read-only file system") != std::string::npos);
  CHECK(said.find("lo\n") == std::string::npos);
}

TEST_CASE("bubblewrap: the CPU time and the end of who works are told") {
  auto within = shell("while :; do :; done");
  if (!within) return;
  while (within->cpu_seconds() < 0.2) REQUIRE_FALSE(within->wait(deadline::in(0.01)));
  within->allow_cpu(1);
  CHECK(within->wait(deadline::in(60)));
  CHECK(within->cpu_seconds() >= 0.2);
  const child_end how = within->stop();
  CHECK(how.signal == SIGXCPU);
}

TEST_CASE("bubblewrap: CPU time is known when who worked has ended") {
  auto within = shell("i=0; while [ $i -lt 1500000 ]; do i=$((i+1)); done");
  if (!within) return;
  char byte = 0;
  CHECK_FALSE(within->receive(&byte, 1, deadline::in(60)));
  CHECK(within->wait(deadline::in(60)));
  CHECK(within->cpu_seconds() > 0.1);  // less than it was: nobody saw its last
  CHECK(within->stop().exit_code == 0);
}
