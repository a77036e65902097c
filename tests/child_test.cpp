#include <doctest/doctest.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <skillbench/child.hpp>

#ifndef SKILLBENCH_FAKE_WORKER
#define SKILLBENCH_FAKE_WORKER SKILLBENCH_TEST_DIR "/fake_worker"
#endif

using namespace skillbench;

namespace {

const deadline soon = deadline::in(300);

child_command fake(std::vector<std::string> arguments) {
  return {SKILLBENCH_FAKE_WORKER, std::move(arguments), {}};
}

child started(std::vector<std::string> arguments,
              const child_limits& limits = {}) {
  auto made = child::start(fake(std::move(arguments)), limits);
  REQUIRE_MESSAGE(made.ok(), made.error().what);
  return std::move(made).value();
}

child_end end_of(std::vector<std::string> arguments,
                 const child_limits& limits = {}) {
  child one = started(std::move(arguments), limits);
  REQUIRE(one.wait(deadline::in(60)));
  return one.stop();
}

std::string report_of(const child_command& command,
                      const child_limits& limits = {}) {
  auto made = child::start(command, limits);
  REQUIRE_MESSAGE(made.ok(), made.error().what);
  std::uint64_t size = 0;
  child& one = made.value();
  REQUIRE(one.receive(reinterpret_cast<char*>(&size), sizeof size, soon));
  std::string told(static_cast<std::size_t>(size), '\0');
  REQUIRE(one.receive(told.data(), told.size(), soon));
  return told;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

int open_descriptors() {
  int count = 0;
  DIR* const open = ::opendir("/proc/self/fd");
  while (::readdir(open)) ++count;
  ::closedir(open);
  return count;
}

// 'Z', 'S', ... or '-' when there is no such process.
char state_of(pid_t id) {
  std::FILE* const in =
      std::fopen(("/proc/" + std::to_string(id) + "/stat").c_str(), "r");
  if (!in) return '-';
  char line[512] = "";
  (void)!std::fgets(line, sizeof line, in);
  std::fclose(in);
  const char* const close = std::strrchr(line, ')');
  return close ? close[2] : '-';
}

}  // namespace

TEST_CASE("child: what cannot be started is a fault that names it") {
  const auto why = [](const std::string& program) {
    const auto made = child::start({program, {}, {}});
    REQUIRE_FALSE(made.ok());
    CHECK(has(made.error().what, program));
    return made.error().why;
  };
  CHECK(why("/nowhere/at/all") == reason::not_found);
  CHECK(why("./nowhere") == reason::not_found);
  CHECK(why("/tmp") == reason::no_permission);
  CHECK(why("/etc/passwd") == reason::no_permission);
  CHECK(why("sh") == reason::bad_argument);
  CHECK(why("") == reason::bad_argument);
  const auto nul = child::start(fake({std::string("a\0b", 3)}));
  REQUIRE_FALSE(nul.ok());
  CHECK(nul.error().why == reason::bad_argument);
}

TEST_CASE("child: a relative path is one of the caller's folder") {
  char before[4096];
  REQUIRE(::getcwd(before, sizeof before));
  const std::string path = SKILLBENCH_FAKE_WORKER;
  const std::size_t slash = path.rfind('/');
  REQUIRE(::chdir(path.substr(0, slash).c_str()) == 0);
  const auto made = child::start({"." + path.substr(slash), {"exit 3"}, {}});
  REQUIRE(::chdir(before) == 0);
  CHECK(made.ok());
}

TEST_CASE("child: how it ended is told in words") {
  CHECK(end_of({"exit 0"}).exit_code == 0);
  CHECK(words(end_of({"exit 3"})) == "exited with code 3");
  CHECK(words(end_of({"crash"})) ==
        "was killed by SIGSEGV (invalid memory access)");
  CHECK(words(end_of({"abort"})) == "was killed by SIGABRT (it aborted)");
  CHECK(words(child_end{}) == "ended, and the system did not tell how");
  CHECK(signal_words(SIGRTMIN + 3) ==
        "signal " + std::to_string(SIGRTMIN + 3));
}

TEST_CASE("child: one that is still running is stopped, once") {
  child one = started({"hang"});
  CHECK_FALSE(one.wait(deadline::in(0.05)));
  const child_end end = one.stop();
  CHECK(end.stopped_by_us);
  CHECK(end.signal == SIGKILL);
  CHECK(words(end) == "was stopped");
  CHECK(one.stop().stopped_by_us);
  char byte = 0;
  CHECK(one.receive(&byte, 1, soon).error().why == reason::child_died);
  CHECK(one.send("x", soon).error().why == reason::child_died);
}

TEST_CASE("child: it gets two channels, no input and nothing else") {
  // Without CLOEXEC, and above the numbers that the channels get.
  const int leaky = ::fcntl(0, F_DUPFD, 200);
  REQUIRE(leaky >= 200);
  const std::string told = report_of(fake({"report", "two words"}));
  ::close(leaky);
  CHECK(has(told, "argument report\nargument two words\n"));
  CHECK_FALSE(has(told, "environment"));
  CHECK(has(told, "open 0 1 2 3 4\n"));
  CHECK(has(told, "folder /\n"));
  CHECK(has(told, "group own\n"));
  CHECK(has(told, "input empty\n"));
  CHECK(has(told, "NoNewPrivs:\t1"));
}

TEST_CASE("child: its environment is what the command says") {
  child_command command = fake({"report"});
  command.environment = {"CUDA_PATH=/some/where"};
  CHECK(has(report_of(command), "environment CUDA_PATH=/some/where\nopen"));
}

TEST_CASE("child: limits are set before it starts") {
  child_limits limits;
  limits.stack = 32 << 20;
  limits.open_files = 20;
  const std::string told = report_of(fake({"report"}), limits);
  CHECK(has(told, "limit core 0\n"));
  CHECK(has(told, "limit files 20\n"));
  CHECK(has(told, "limit file " +
                      std::to_string(child_process::least_file_bytes) + "\n"));
  CHECK(has(told, "limit stack 33554432\n"));
  if (child_process::limits_address_space)
    CHECK(has(told, "limit memory 4294967296\n"));
  else
    MESSAGE("not checked: a sanitizer's shadow memory needs its address space");
}

TEST_CASE("child: its memory lies where it lay last time, where it is to") {
  const int now = ::personality(0xffffffff);
  const auto fixed = static_cast<unsigned>(now) | ADDR_NO_RANDOMIZE;
  if (now < 0 || ::personality(fixed) < 0) {
    MESSAGE("this system lets nobody fix addresses: NOT CHECKED");
    return;
  }
  (void)::personality(static_cast<unsigned>(now));
  child_limits limits;
  limits.fixed_addresses = true;
  const auto stack_of = [&] {
    const std::string told = report_of(fake({"report"}), limits);
    return told.substr(told.find("stack at "), 28);
  };
  const std::string first = stack_of();
  for (int i = 0; i < 3; ++i) CHECK(stack_of() == first);
  CHECK(::personality(0xffffffff) == now);  // the caller's own stays
}

TEST_CASE("child: signals that the caller ignores or blocks are as usual") {
  struct sigaction ignore = {}, before = {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGINT, &ignore, &before);
  // One that the C library does not let a program touch.
  struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    unsigned long mask;
  } reserved = {reinterpret_cast<void*>(SIG_IGN), 0, nullptr, 0}, reserved_before = {};
  ::syscall(SYS_rt_sigaction, 32, &reserved, &reserved_before, sizeof reserved.mask);
  sigset_t block, open;
  ::sigemptyset(&block);
  ::sigaddset(&block, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &block, &open);
  const std::string told = report_of(fake({"report"}));
  sigset_t after;
  ::pthread_sigmask(SIG_SETMASK, &open, &after);
  ::sigaction(SIGINT, &before, nullptr);
  ::syscall(SYS_rt_sigaction, 32, &reserved_before, nullptr, sizeof reserved.mask);
  CHECK(has(told, "SigBlk:\t0000000000000000"));
  CHECK(has(told, "SigIgn:\t0000000000000000"));
  CHECK(::sigismember(&after, SIGTERM) == 1);
  CHECK(::sigismember(&after, SIGHUP) == 0);
}

TEST_CASE("child: it cannot write a file, unless it may") {
  const std::string path =
      "/tmp/skillbench_child_test_" + std::to_string(::getpid());
  if (child_process::least_file_bytes == 0)
    CHECK(end_of({"write a file", path}).signal == SIGXFSZ);
  else
    MESSAGE("not checked: a sanitizer writes a file of its own");
  child_limits limits;
  limits.file_bytes = 1 << 20;
  CHECK(end_of({"write a file", path}, limits).exit_code == 0);
  ::unlink(path.c_str());
}

TEST_CASE("child: memory ends at its limit") {
  if (!child_process::limits_address_space) {
    MESSAGE("not run: a sanitizer's shadow memory needs its address space");
    return;
  }
  child_limits limits;
  limits.address_space = 512 << 20;
  CHECK(end_of({"ask for memory", "600000000"}, limits).exit_code == 4);
  limits.address_space = 1024 << 20;
  CHECK(end_of({"ask for memory", "600000000"}, limits).exit_code == 0);
}

TEST_CASE("child: CPU time ends at its limit, set before or later") {
  child_limits limits;
  limits.cpu_seconds = 1;
  CHECK(end_of({"spin"}, limits).signal == SIGXCPU);
  child one = started({"spin"});
  one.allow_cpu(0);
  CHECK_FALSE(one.wait(deadline::in(0.2)));
  CHECK(one.cpu_seconds() > 0.0);
  one.allow_cpu(1);
  REQUIRE(one.wait(deadline::in(60)));
  CHECK(words(one.stop()) ==
        "was killed by SIGXCPU (its limit of CPU time)");
}

TEST_CASE("child: a deadline ends a wait for an answer") {
  child one = started({"hang"});
  char byte = 0;
  const auto got = one.receive(&byte, 1, deadline::in(0.05));
  REQUIRE_FALSE(got.ok());
  CHECK(got.error().why == reason::child_timed_out);
  const auto sent = one.send(std::string(32 << 20, 'x'), deadline::in(0.05));
  REQUIRE_FALSE(sent.ok());
  CHECK(sent.error().why == reason::child_timed_out);
}

TEST_CASE("child: requests larger than any buffer arrive whole") {
  child one = started({"count"});
  std::string bytes((16 << 20) + 7, 'x');
  bytes.back() = '.';
  REQUIRE(one.send(bytes, soon));
  std::uint64_t count = 0;
  REQUIRE(one.receive(reinterpret_cast<char*>(&count), sizeof count, soon));
  CHECK(count == bytes.size());
}

TEST_CASE("child: sending to one that has ended is a fault, not a signal") {
  child one = started({"exit 0"});
  REQUIRE(one.wait(soon));
  const auto sent = one.send(std::string(1 << 20, 'x'), soon);
  REQUIRE_FALSE(sent.ok());
  CHECK(sent.error().why == reason::child_died);
  char byte = 0;
  CHECK(one.receive(&byte, 1, soon).error().why == reason::child_died);
}

TEST_CASE("child: what it says is kept, the last of it") {
  child quiet = started({"speak"});
  REQUIRE(quiet.wait(soon));
  (void)quiet.stop();
  CHECK(has(quiet.said(), "to output\n"));
  CHECK(has(quiet.said(), "to error\n"));
  child loud = started({"flood"});
  REQUIRE(loud.wait(soon));
  (void)loud.stop();
  CHECK(loud.said().size() <= most_said_bytes);
  CHECK(has(loud.said(), "of the flood\n"));
}

TEST_CASE("child: its own children end with it") {
  child one = started({"leave a child"});
  pid_t grandchild = 0;
  REQUIRE(one.receive(reinterpret_cast<char*>(&grandchild), sizeof grandchild,
                      soon));
  REQUIRE(grandchild > 1);
  CHECK(state_of(grandchild) != '-');
  (void)one.stop();
  char state = state_of(grandchild);
  for (int i = 0; i < 500 && state != '-' && state != 'Z'; ++i) {
    ::usleep(10'000);
    state = state_of(grandchild);
  }
  CHECK((state == '-' || state == 'Z'));
}

TEST_CASE("child: a grandchild that holds the channels hides no death") {
  child one = started({"leave and crash"});
  char byte = 0;
  const auto got = one.receive(&byte, 1, soon);
  REQUIRE_FALSE(got.ok());
  CHECK(got.error().why == reason::child_died);
  CHECK(one.stop().signal == SIGSEGV);
}

TEST_CASE("child: fifty of them leave no descriptor and no zombie") {
  { child first = started({"exit 0"}); }
  const int before = open_descriptors();
  std::vector<pid_t> ids;
  for (int i = 0; i < 50; ++i) {
    child one = started({i % 3 == 0   ? "hang"
                         : i % 3 == 1 ? "crash"
                                      : "exit 0"});
    ids.push_back(one.id());
    if (i % 2 == 0) (void)child::start({"/nowhere/at/all", {}, {}});
  }
  CHECK(open_descriptors() == before);
  for (const pid_t id : ids) CHECK(state_of(id) == '-');
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("child: moving one moves the process") {
  child first = started({"hang"});
  const pid_t id = first.id();
  child second = std::move(first);
  CHECK(second.id() == id);
  second = started({"hang"});
  CHECK(second.id() != id);
}

TEST_CASE("child: several threads start them at once") {
  std::vector<std::thread> threads;
  int counts[4] = {};
  for (int& count : counts)
    threads.emplace_back([&count] {
      for (int i = 0; i < 10; ++i) {
        auto made = child::start(fake({"count"}));
        if (!made || !made.value().send("abc.", soon)) continue;
        std::uint64_t bytes = 0;
        if (made.value().receive(reinterpret_cast<char*>(&bytes),
                                 sizeof bytes, soon) &&
            bytes == 4)
          ++count;
      }
    });
  for (std::thread& each : threads) each.join();
  for (const int count : counts) CHECK(count == 10);
}

TEST_CASE("child: one that a thread started outlives that thread") {
  std::vector<child> kept;
  std::thread([&] {
    auto made = child::start(fake({"count"}));
    if (made) kept.push_back(std::move(made).value());
  }).join();
  REQUIRE(kept.size() == 1);
  CHECK_FALSE(kept[0].wait(deadline::in(0.05)));
  REQUIRE(kept[0].send("x.", soon));
  std::uint64_t bytes = 0;
  REQUIRE(kept[0].receive(reinterpret_cast<char*>(&bytes), sizeof bytes, soon));
  CHECK(bytes == 2);
}
