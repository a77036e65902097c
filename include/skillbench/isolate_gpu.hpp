#pragma once
// isolate_gpu.hpp: the process that owns a GPU shuts the doors that a driver does
// without, once the driver is open and has shown that it works.
//
// Layer   3. Stands on isolate.hpp. What a driver calls is not ours to list, so
//         here is a list of what is refused, and the GPU proves itself again
//         behind it (serve_gpu in cli/program.hpp): a driver that cannot live so
//         gets a worker without, which is said.
// Files   Landlock: reading where it is allowed, writing below /dev alone, no
//         making, removing or renaming, no TCP, no signals to others. Ioctls of
//         devices are free: they are how a driver works.
// Calls   seccomp: no new process or program, no look into another process, no
//         socket but a local one (MPS has those) or netlink, and none of what
//         rules a machine: mounts, namespaces, modules, keys, BPF, clocks. They
//         fail with EPERM. Threads, memory and devices are free.
// Errors  None: what is lacking is said in `lacks`, as in isolate.hpp.
// Source  Docker's page on seccomp: its default profile, under which NVIDIA's
//         containers run CUDA, refuses the calls of the second half of the list.
//         The CUDA Programming Guide on MPS: daemons are met at local sockets.

#include <sys/socket.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <skillbench/isolate.hpp>

namespace skillbench {

namespace isolation_parts {

inline constexpr int calls_without_gpu[] = {
    SYS_execve, SYS_execveat, SYS_process_vm_readv, SYS_process_vm_writev,
    SYS_ptrace, SYS_kcmp, SYS_unshare, SYS_setns, SYS_mount, SYS_umount2,
    SYS_pivot_root, SYS_chroot, SYS_swapon, SYS_swapoff, SYS_reboot,
    SYS_kexec_load, SYS_init_module, SYS_finit_module, SYS_delete_module,
    SYS_bpf, SYS_perf_event_open, SYS_keyctl, SYS_add_key, SYS_request_key,
    SYS_open_by_handle_at, SYS_userfaultfd, SYS_acct, SYS_quotactl,
    SYS_settimeofday, SYS_clock_settime, SYS_sethostname, SYS_setdomainname,
#if defined(__x86_64__)
    SYS_fork, SYS_vfork, SYS_iopl, SYS_ioperm, SYS_kexec_file_load,
#endif
    // Of later kernels; the same numbers on every architecture.
    425,  // io_uring_setup
    428, 429, 430, 431, 432, 433, 442,  // the other ways to mount
    438,  // pidfd_getfd
};

// As `filter` in isolate.hpp, the other way round.
[[nodiscard]] inline std::string refuse_calls() {
  if (own_architecture == 0) return "no filter of calls for this processor";
  std::vector<sock_filter> code;
  const auto put = [&](int what, std::uint32_t value, std::uint8_t yes = 0, std::uint8_t no = 0) {
    code.push_back({static_cast<std::uint16_t>(what), yes, no, value});
  };
  const auto load = [&](std::size_t at) { put(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(at)); };
  const auto give = [&](std::uint32_t what) { put(BPF_RET | BPF_K, what); };
  const auto equals = [&](std::uint32_t value, std::uint8_t yes, std::uint8_t no) { put(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no); };
  constexpr std::uint32_t refused = SECCOMP_RET_ERRNO | EPERM;
  load(offsetof(seccomp_data, arch));
  equals(own_architecture, 1, 0);
  give(SECCOMP_RET_KILL_PROCESS);
  load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
  put(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);  // x32
  give(SECCOMP_RET_KILL_PROCESS);
#endif
  for (const int each : calls_without_gpu) {
    equals(static_cast<std::uint32_t>(each), 0, 1);
    give(refused);
  }
  // A thread, not a process; glibc falls back to clone where it has no clone3.
  equals(SYS_clone3, 0, 1);
  give(SECCOMP_RET_ERRNO | ENOSYS);
  equals(SYS_clone, 0, 4);
  load(offsetof(seccomp_data, args));
  put(BPF_JMP | BPF_JSET | BPF_K, 0x10000, 0, 1);  // CLONE_THREAD
  give(SECCOMP_RET_ALLOW);
  give(refused);
  equals(SYS_socket, 0, 4);
  load(offsetof(seccomp_data, args));
  equals(AF_UNIX, 2, 0);
  equals(AF_NETLINK, 1, 0);
  give(refused);
  give(SECCOMP_RET_ALLOW);
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  constexpr unsigned for_all_threads = 1;
  const long done = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, for_all_threads, &program);
  if (done == 0) return "";
  if (done > 0) errno = ESRCH;  // the thread that could not take it
  return why_not("this kernel takes no filter of calls");
}

// Landlock is of a thread and of those that it starts. A driver has started some
// by now, and they keep what they could do.
[[nodiscard]] inline std::string forbid_files_but(const std::vector<std::string>& readable, const std::vector<std::string>& writable) {
  const long version = ::syscall(create_ruleset, nullptr, 0, 1u);
  if (version < 1) return why_not("this kernel has no Landlock");
  ruleset_request wanted = all_of(version);
  constexpr std::uint64_t ioctl_of_devices = 1u << 15;
  constexpr std::uint64_t signals = 2;
  wanted.files &= ~ioctl_of_devices;
  wanted.scoped &= signals;
  const std::size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  const int rules = static_cast<int>(::syscall(create_ruleset, &wanted, size, 0u));
  if (rules < 0) return why_not("Landlock took no rules");
  std::string trouble;
  const auto allow = [&](const std::string& path, bool writing) {
    path_rule rule;
    rule.below = ::open(path.c_str(), O_PATH | O_CLOEXEC);
    if (rule.below < 0) return;  // what is not there is not needed
    struct stat seen {};
    const bool folder = ::fstat(rule.below, &seen) == 0 && S_ISDIR(seen.st_mode);
    constexpr std::uint64_t write_file = 2, remove_file = 32, make_file = 256, cut_file = 1u << 14;
    rule.allowed = execute | read_file | (folder ? read_folder : 0);
    if (writing) rule.allowed |= write_file | (cut_file & wanted.files) | (folder ? remove_file | make_file : 0);
    if (::syscall(add_rule, rules, 1u, &rule, 0u) != 0 && trouble.empty()) trouble = why_not("Landlock refused a path");
    ::close(rule.below);
  };
  for (const std::string& each : readable) allow(each, false);
  for (const std::string& each : writable) allow(each, true);
  if (trouble.empty() && ::syscall(restrict_self, rules, 0u) != 0) trouble = why_not("Landlock cannot be entered");
  ::close(rules);
  return trouble;
}

}  // namespace isolation_parts

// What a driver, CUPTI and cuDNN may read: themselves, the toolkit, and what the system
// says of itself. Homes and temporary files are not among it.
[[nodiscard]] inline std::vector<std::string> gpu_places(const std::string& toolkit) {
  std::vector<std::string> all = library_places();
  for (const char* each : {"/usr", "/lib", "/lib64", "/etc", "/opt", "/run", "/proc", "/sys"}) all.emplace_back(each);
  all.push_back(toolkit);
  // Its libraries lie side by side.
  if (const char* const cudnn = std::getenv("SKILLBENCH_CUDNN"); cudnn != nullptr && *cudnn == '/')
    all.push_back(std::string(cudnn, std::strrchr(cudnn, '/')) + "/");
  return all;
}

// "shut", or "basic: " and what is lacking.
[[nodiscard]] inline std::string isolate_gpu(const std::vector<std::string>& readable) {
  namespace in = isolation_parts;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return "basic: " + in::why_not("this kernel lets programs gain rights");
  std::string lacks = in::forbid_files_but(readable, {"/dev"});
  const std::string calls = in::filters_calls ? in::refuse_calls() : "a sanitizer needs calls of its own";
  if (!calls.empty()) lacks += (lacks.empty() ? "" : "; ") + calls;
  return lacks.empty() ? "shut" : "basic: " + lacks;
}

}  // namespace skillbench
