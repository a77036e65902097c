#pragma once
// isolate.hpp: a process shuts its own doors, for good, before it reads hostile
// text.
//
// Layer   3. Linux; a worker calls it between opening what it needs and serving.
//         child.hpp has set the limits and emptied the environment before.
// Files   Landlock: reading below the paths that are named, no writing, no
//         making, no renaming, no TCP, no signals to others. What is open
//         already stays open.
// Calls   seccomp: an allow-list. No new process, program, socket or file name;
//         threads, memory, time, reading and the channels that are open. Anything
//         else fails with EPERM, another architecture's calls end the process.
// Errors  None: a kernel may lack one or both, and what is lacking is said in
//         `lacks`. That nothing was lost by half a step is sure: each of the two
//         is put up whole or not at all.
// Source  landlock(7), seccomp(2), and the kernel's documents on both.

#include <fcntl.h>
#include <link.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <vector>

namespace skillbench {

struct isolated {
  bool files = false, calls = false;
  std::string lacks;  // in words; "" when both stand

  [[nodiscard]] std::string words() const {
    return lacks.empty() ? "strict" : "basic: " + lacks;
  }
};

namespace isolation_parts {

// ---- files -------------------------------------------------------------------

// As in the kernel's interface; the headers of Debian 12 know the first of it.
inline constexpr std::uint64_t execute = 1, read_file = 4, read_folder = 8;
inline constexpr long create_ruleset = 444, add_rule = 445, restrict_self = 446;

struct ruleset_request {
  std::uint64_t files = 0, net = 0, scoped = 0;
};
struct [[gnu::packed]] path_rule {
  std::uint64_t allowed = 0;
  std::int32_t below = -1;
};

// All that the version of Landlock can forbid.
[[nodiscard]] inline ruleset_request all_of(long version) {
  ruleset_request made;
  made.files = (1u << 13) - 1;                      // version 1
  if (version >= 2) made.files |= 1u << 13;         // moving to other folders
  if (version >= 3) made.files |= 1u << 14;         // truncating
  if (version >= 5) made.files |= 1u << 15;         // ioctl of devices
  if (version >= 4) made.net = 3;                   // TCP: bind, connect
  if (version >= 6) made.scoped = 3;                // abstract sockets, signals
  return made;
}

[[nodiscard]] inline std::string why_not(const char* what) {
  return std::string(what) + " (" + std::strerror(errno) + ")";
}

// "" when it stands.
[[nodiscard]] inline std::string forbid_files(
    const std::vector<std::string>& readable) {
  const long version = ::syscall(create_ruleset, nullptr, 0, 1u);
  if (version < 1) return why_not("this kernel has no Landlock");
  const ruleset_request wanted = all_of(version);
  const std::size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  const int rules =
      static_cast<int>(::syscall(create_ruleset, &wanted, size, 0u));
  if (rules < 0) return why_not("Landlock took no rules");
  for (const std::string& path : readable) {
    path_rule rule;
    rule.below = ::open(path.c_str(), O_PATH | O_CLOEXEC);
    if (rule.below < 0) continue;  // what is not there is not needed
    struct stat seen {};
    const bool folder =
        ::fstat(rule.below, &seen) == 0 && S_ISDIR(seen.st_mode);
    rule.allowed = execute | read_file | (folder ? read_folder : 0);
    const long added = ::syscall(add_rule, rules, 1u, &rule, 0u);
    const int trouble = errno;
    ::close(rule.below);
    if (added == 0) continue;
    ::close(rules);
    errno = trouble;
    return why_not("Landlock refused a path");
  }
  const long done = ::syscall(restrict_self, rules, 0u);
  const int trouble = errno;
  ::close(rules);
  errno = trouble;
  return done == 0 ? "" : why_not("Landlock cannot be entered");
}

// ---- calls -------------------------------------------------------------------

#if defined(__x86_64__)
inline constexpr std::uint32_t own_architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
inline constexpr std::uint32_t own_architecture = AUDIT_ARCH_AARCH64;
#else
inline constexpr std::uint32_t own_architecture = 0;  // not known: no filter
#endif

// Whatever its arguments.
inline constexpr int allowed_calls[] = {
    SYS_read, SYS_pread64, SYS_readv, SYS_write, SYS_writev, SYS_sendto,
    SYS_recvfrom, SYS_close, SYS_lseek, SYS_openat, SYS_fstat, SYS_newfstatat,
    SYS_statx, SYS_fcntl, SYS_dup, SYS_getdents64, SYS_readlinkat,
    SYS_faccessat, SYS_faccessat2, SYS_getcwd, SYS_mmap, SYS_munmap,
    SYS_mprotect, SYS_mremap, SYS_madvise, SYS_brk, SYS_futex, SYS_set_robust_list,
    SYS_rseq, SYS_membarrier, SYS_ppoll, SYS_clock_gettime, SYS_clock_getres,
    SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_getrusage,
    SYS_times, SYS_sched_yield, SYS_sched_getaffinity, SYS_sched_getparam,
    SYS_sched_getscheduler, SYS_sched_get_priority_min,
    SYS_sched_get_priority_max, SYS_getcpu, SYS_sysinfo, SYS_uname, SYS_getpid,
    SYS_gettid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid,
    SYS_getrandom, SYS_getrlimit, SYS_rt_sigaction, SYS_rt_sigprocmask,
    SYS_rt_sigreturn, SYS_sigaltstack, SYS_restart_syscall, SYS_exit,
    SYS_exit_group,
#if defined(__x86_64__)
    SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_poll,
    SYS_time, SYS_arch_prctl,
#endif
};

class filter {
 public:
  filter() {
    load(offsetof(seccomp_data, arch));
    jump(BPF_JEQ, own_architecture, 1, 0);
    put(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
    jump(BPF_JGE, 0x40000000, 0, 1);  // x32
    put(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
#endif
    for (const int each : allowed_calls) allow(each);
    // A thread, not a process. glibc falls back to clone where it has no clone3.
    jump(BPF_JEQ, SYS_clone3, 0, 1);
    put(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    constexpr std::uint32_t thread = 0x10000;  // CLONE_THREAD
    allow_when(SYS_clone, 0, BPF_JSET, thread);
    // Its own limits, and signals to its own threads (abort).
    allow_when(SYS_prlimit64, 0, BPF_JEQ, 0);
    allow_when(SYS_tgkill, 0, BPF_JEQ, static_cast<std::uint32_t>(::getpid()));
    put(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  }

  // "" when it stands.
  [[nodiscard]] std::string put_up() {
    if (own_architecture == 0) return "no filter of calls for this processor";
    const sock_fprog program{static_cast<unsigned short>(code_.size()),
                             code_.data()};
    constexpr unsigned for_all_threads = 1;
    const long done = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                for_all_threads, &program);
    if (done == 0) return "";
    if (done > 0) errno = ESRCH;  // the thread that could not take it
    return why_not("this kernel takes no filter of calls");
  }

 private:
  void put(int what, std::uint32_t value, std::uint8_t yes = 0,
           std::uint8_t no = 0) {
    code_.push_back({static_cast<std::uint16_t>(what), yes, no, value});
  }
  void load(std::size_t at) {
    put(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(at));
  }
  void jump(int test, std::uint32_t value, std::uint8_t yes, std::uint8_t no) {
    put(BPF_JMP | test | BPF_K, value, yes, no);
  }
  void allow(int call) {
    jump(BPF_JEQ, static_cast<std::uint32_t>(call), 0, 1);
    put(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  }
  // By the low half of an argument; what is loaded after is the number again.
  void allow_when(int call, unsigned argument, int test, std::uint32_t value) {
    jump(BPF_JEQ, static_cast<std::uint32_t>(call), 0, 4);
    load(offsetof(seccomp_data, args) + 8 * argument);
    jump(test, value, 0, 1);
    put(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    put(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  }

  std::vector<sock_filter> code_;
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool filters_calls = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool filters_calls = false;
#else
inline constexpr bool filters_calls = true;
#endif
#else
inline constexpr bool filters_calls = true;
#endif

}  // namespace isolation_parts

// The folders of the libraries that this process has loaded, and what the loader
// reads to find others.
[[nodiscard]] inline std::vector<std::string> library_places() {
  std::set<std::string> found{"/etc/ld.so.cache"};
  ::dl_iterate_phdr(
      [](dl_phdr_info* each, std::size_t, void* into) {
        const std::string path = each->dlpi_name ? each->dlpi_name : "";
        const std::size_t slash = path.rfind('/');
        if (slash != std::string::npos && slash > 0)
          static_cast<std::set<std::string>*>(into)->insert(
              path.substr(0, slash));
        return 0;
      },
      &found);
  return {found.begin(), found.end()};
}

// From here on this process, all its threads and whatever it could start read
// below `readable` and do nothing else to the system. There is no way back.
[[nodiscard]] inline isolated isolate(const std::vector<std::string>& readable) {
  namespace in = isolation_parts;
  isolated made;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    made.lacks = in::why_not("this kernel lets programs gain rights");
    return made;
  }
  made.lacks = in::forbid_files(readable);
  made.files = made.lacks.empty();
  const std::string calls = in::filters_calls
                                ? in::filter().put_up()
                                : "a sanitizer needs calls and memory of its own: no filter "
                                  "of calls, no limit of address space";
  made.calls = calls.empty();
  if (!made.calls) made.lacks += (made.files ? "" : "; ") + calls;
  return made;
}

}  // namespace skillbench
