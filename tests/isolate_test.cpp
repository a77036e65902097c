#include <skillbench/isolate.hpp>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include <doctest/doctest.h>

using namespace skillbench;

namespace {

// What `tried` returns in a process that has shut its doors; -1 when it died.
int inside(const std::vector<std::string>& readable,
           const std::function<int()>& tried) {
  std::fflush(nullptr);
  const pid_t made = ::fork();
  if (made == 0) {
    const isolated how = isolate(readable);
    if (!how.files || (!how.calls && isolation_parts::filters_calls))
      ::_exit(99);  // this kernel lacks it
    ::_exit(tried());
  }
  int status = 0;
  ::waitpid(made, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// 0 when it worked, else the error number.
int opened(const char* path, int how) {
  const int file = ::open(path, how, 0600);
  return file >= 0 ? 0 : errno;
}

struct folder {
  std::string path = "/tmp/skillbench_isolate_XXXXXX";
  folder() { REQUIRE(::mkdtemp(path.data())); }
  ~folder() {
    ::unlink((path + "/inner").c_str());
    ::rmdir(path.c_str());
  }
};

}  // namespace

TEST_CASE("isolate: files are read where that is allowed, and nowhere else") {
  const folder at;
  const std::string inner = at.path + "/inner";
  std::FILE* const file = std::fopen(inner.c_str(), "w");
  REQUIRE(file);
  std::fclose(file);
  CHECK(inside({at.path}, [&] { return opened(inner.c_str(), O_RDONLY); }) == 0);
  CHECK(inside({at.path}, [&] { return opened("/etc/passwd", O_RDONLY); }) == EACCES);
  CHECK(inside({at.path}, [&] { return opened("/proc/self/environ", O_RDONLY); }) == EACCES);
  CHECK(inside({}, [&] { return opened(inner.c_str(), O_RDONLY); }) == EACCES);
}

TEST_CASE("isolate: no file is written, made or removed, not even where reading is allowed") {
  const folder at;
  const std::string inner = at.path + "/inner";
  std::FILE* const file = std::fopen(inner.c_str(), "w");
  REQUIRE(file);
  std::fclose(file);
  CHECK(inside({at.path}, [&] { return opened(inner.c_str(), O_WRONLY); }) == EACCES);
  CHECK(inside({at.path}, [&] { return opened((at.path + "/new").c_str(), O_CREAT | O_WRONLY); }) == EACCES);
  CHECK(inside({at.path}, [&] { return ::unlink(inner.c_str()) == 0 ? 0 : 1; }) == 1);
  CHECK(::access(inner.c_str(), F_OK) == 0);
}

TEST_CASE("isolate: no process, no program, no socket, no signal to others") {
  if (!isolation_parts::filters_calls) {
    MESSAGE("not run: a sanitizer needs calls of its own");
    return;
  }
  CHECK(inside({"/"}, [] { return ::fork() < 0 ? errno : 0; }) == EPERM);
  CHECK(inside({"/"}, [] {
          char name[] = "/bin/true";
          char* const words[] = {name, nullptr};
          ::execve(name, words, nullptr);
          return errno;
        }) == EPERM);
  CHECK(inside({"/"}, [] { return ::socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0; }) == EPERM);
  CHECK(inside({"/"}, [] { return ::socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0; }) == EPERM);
  CHECK(inside({"/"}, [] { return ::kill(::getppid(), 0) < 0 ? errno : 0; }) == EPERM);
  CHECK(inside({"/"}, [] {
          rlimit limit{};
          return ::prlimit(::getppid(), RLIMIT_CPU, nullptr, &limit) < 0 ? errno : 0;
        }) == EPERM);
}

TEST_CASE("isolate: what a compiler and a machine need goes on") {
  CHECK(inside({}, [] {
          int ran = 0;
          std::thread([&] { ran = 7; }).join();
          void* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
          if (page == MAP_FAILED) return 1;
          if (::mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0) return 2;
          rlimit limit{};
          if (::getrlimit(RLIMIT_STACK, &limit) != 0) return 3;
          timespec now{};
          if (::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) != 0) return 4;
          return ran;
        }) == 7);
  CHECK(inside({}, []() -> int {
          std::signal(SIGABRT, SIG_DFL);  // doctest's says a word too many
          std::abort();
        }) == -1);
}

TEST_CASE("isolate: the loaded libraries' folders are told, once each") {
  const auto places = library_places();
  bool libc = false;
  for (const std::string& each : places) {
    CHECK(each.starts_with("/"));
    libc |= ::access((each + "/libc.so.6").c_str(), R_OK) == 0;
  }
  CHECK(libc);
}

TEST_CASE("isolate: what is lacking is said") {
  isolated how;
  how.files = how.calls = true;
  CHECK(how.words() == "strict");
  how.lacks = "this kernel has no Landlock (Function not implemented)";
  CHECK(how.words() == "basic: this kernel has no Landlock (Function not implemented)");
}
