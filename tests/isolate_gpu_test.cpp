#include <skillbench/isolate_gpu.hpp>

#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <cstdio>
#include <functional>
#include <string>
#include <thread>

#include <doctest/doctest.h>

using namespace skillbench;

namespace {

// What `tried` returns in a process that has shut its doors; -1 when it died.
int inside(const std::vector<std::string>& readable, const std::function<int()>& tried) {
  std::fflush(nullptr);
  const pid_t made = ::fork();
  if (made == 0) {
    const std::string how = isolate_gpu(readable);
    if (how != "shut" && isolation_parts::filters_calls) ::_exit(99);  // this kernel lacks it
    ::_exit(tried());
  }
  int status = 0;
  ::waitpid(made, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// 0 when it worked, else the error number.
int opened(const std::string& path, int how) {
  const int file = ::open(path.c_str(), how, 0600);
  return file >= 0 ? 0 : errno;
}
int failed(long answer) { return answer < 0 ? errno : 0; }

struct folder {
  std::string path = "/tmp/skillbench_gpu_XXXXXX", inner;
  folder() {
    REQUIRE(::mkdtemp(path.data()));
    inner = path + "/inner";
    std::FILE* const file = std::fopen(inner.c_str(), "w");
    REQUIRE(file);
    std::fclose(file);
  }
  ~folder() {
    ::unlink(inner.c_str());
    ::rmdir(path.c_str());
  }
};

}  // namespace

TEST_CASE("isolate_gpu: files are read where that is allowed, and written below /dev alone") {
  const folder at;
  CHECK(inside({at.path}, [&] { return opened(at.inner, O_RDONLY); }) == 0);
  CHECK(inside({"/usr"}, [&] { return opened(at.inner, O_RDONLY); }) == EACCES);
  CHECK(inside({at.path}, [&] { return opened(at.inner, O_WRONLY); }) == EACCES);
  CHECK(inside({at.path}, [&] { return opened(at.path + "/new", O_CREAT | O_WRONLY); }) == EACCES);
  CHECK(inside({at.path}, [&] { return failed(::unlink(at.inner.c_str())); }) == EACCES);
  CHECK(inside({}, [] { return opened("/dev/null", O_RDWR); }) == 0);
  CHECK(inside({}, [] { return opened("/dev/zero", O_RDONLY); }) == 0);
}

TEST_CASE("isolate_gpu: a driver's and CUPTI's own places can be read, homes and temporary files cannot") {
  const folder at;
  const auto places = gpu_places("/usr/local/cuda");
  CHECK(inside(places, [] { return opened("/proc/self/maps", O_RDONLY); }) == 0);
  CHECK(inside(places, [] { return opened("/etc/ld.so.cache", O_RDONLY); }) == 0);
  CHECK(inside(places, [] { return opened("/sys/devices", O_RDONLY); }) == 0);
  CHECK(inside(places, [&] { return opened(at.inner, O_RDONLY); }) == EACCES);
  CHECK(inside(places, [] { return opened("/root", O_RDONLY); }) == EACCES);
  ::setenv("SKILLBENCH_CUDNN", at.inner.c_str(), 1);  // what lies beside it, and no more
  const auto with = gpu_places("/usr/local/cuda");
  ::unsetenv("SKILLBENCH_CUDNN");
  CHECK(inside(with, [&] { return opened(at.inner, O_RDONLY); }) == 0);
  CHECK(inside(with, [] { return opened("/root", O_RDONLY); }) == EACCES);
}

TEST_CASE("isolate_gpu: no process, no program, no network, no other's memory, nothing of the machine") {
  if (!isolation_parts::filters_calls) {
    MESSAGE("not run: a sanitizer needs calls of its own");
    return;
  }
  const std::vector<std::string> all{"/"};
  CHECK(inside(all, [] { return failed(::fork()); }) == EPERM);
  CHECK(inside(all, [] { return failed(::vfork()); }) == EPERM);
  CHECK(inside(all, [] {
          char name[] = "/bin/true";
          char* words[] = {name, nullptr};
          return failed(::execve(name, words, nullptr));
        }) == EPERM);
  CHECK(inside(all, [] { return failed(::socket(AF_INET, SOCK_STREAM, 0)); }) == EPERM);
  CHECK(inside(all, [] { return failed(::socket(AF_INET6, SOCK_DGRAM, 0)); }) == EPERM);
  CHECK(inside(all, [] { return failed(::socket(AF_UNIX, SOCK_STREAM, 0)); }) == 0);
  CHECK(inside(all, [] { return failed(::socket(AF_NETLINK, SOCK_RAW, 0)); }) == 0);
  CHECK(inside(all, [] { return failed(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }) == EPERM);
  CHECK(inside(all, [] { return failed(::process_vm_readv(::getppid(), nullptr, 0, nullptr, 0, 0)); }) == EPERM);
  CHECK(inside(all, [] { return failed(::syscall(SYS_unshare, 0)); }) == EPERM);
  CHECK(inside(all, [] { return failed(::syscall(SYS_bpf, 0, nullptr, 0)); }) == EPERM);
  CHECK(inside(all, [] { return failed(::syscall(425, 1, nullptr)); }) == EPERM);
  CHECK(inside(all, [] { return failed(::syscall(SYS_setns, -1, 0)); }) == EPERM);
}

TEST_CASE("isolate_gpu: what a driver does stays: threads, memory, its own files") {
  const std::vector<std::string> all{"/"};
  CHECK(inside(all, [] {
          int seen = 0;
          std::thread([&] { seen = 7; }).join();
          return seen;
        }) == 7);
  CHECK(inside(all, [] {
          const std::string path = "/dev/shm/skillbench_gpu_" + std::to_string(::getpid());
          const int how = opened(path, O_CREAT | O_RDWR);
          (void)::unlink(path.c_str());
          return how;
        }) == 0);
}
