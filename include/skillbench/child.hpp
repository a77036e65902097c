#pragma once
// child.hpp: a program in a process of its own, with limits and two channels.
//
// Layer   3. Standard library, fault.hpp and Linux (5.9 or later).
// Shapes  The program finds requests on descriptor 3 and sends answers on
//         descriptor 4; standard input is /dev/null; what it writes to standard
//         output and standard error is kept, the last `most_said_bytes` of it.
//         Its environment is what the command says and nothing else.
// Units   bytes, seconds.
// Errors  not_found, no_permission, io when it cannot be started; child_died
//         when it ends before it has answered, child_timed_out at a deadline.
// Threads Children may be started from several threads at once: between fork
//         and exec only async-signal-safe calls are made. One child belongs to
//         one thread at a time.
// Orphans A child is killed with its group when its owner is destroyed. If the
//         owner's process is killed, the channels close, which ends a program
//         that reads requests; one that was started by the main thread is
//         killed by the kernel too. (For other threads that kernel signal
//         comes when the thread ends, not the process: it is not asked for.)
// Source  fork(2), execve(2), prctl(2), pidfd_open(2), signal-safety(7).

#include <fcntl.h>
#include <poll.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>

namespace skillbench {

inline constexpr int requests_descriptor = 3;
inline constexpr int answers_descriptor = 4;
inline constexpr std::size_t most_said_bytes = 16 * 1024;

// 0 means no limit, except for `file_bytes`.
struct child_limits {
  std::uint64_t address_space = std::uint64_t{4} << 30;  // bytes
  std::uint64_t stack = std::uint64_t{64} << 20;  // bytes; what can be had
  std::uint64_t cpu_seconds = 0;  // of its whole life
  std::uint64_t open_files = 64;
  std::uint64_t file_bytes = 0;   // longest file that it may write
  // Its memory lies where it lay last time, where the system allows that: NVRTC
  // orders things by their addresses, and writes other PTX where they differ.
  bool fixed_addresses = false;
};

struct child_command {
  std::string program;                   // a path
  std::vector<std::string> arguments;    // after the program's own name
  std::vector<std::string> environment;  // "NAME=value"
  // The program starts another, and ends as that one ends, with 128 and its
  // signal: CPU time and its limit are meant for the other one.
  bool wrapped = false;
};

// How a child ended.
struct child_end {
  std::optional<int> exit_code, signal;  // neither: the system did not tell
  bool stopped_by_us = false;            // it was still running when stopped
};

[[nodiscard]] inline std::string signal_words(int number) {
  const char* meaning = nullptr;
  const char* name = nullptr;
  switch (number) {
    case SIGSEGV: name = "SIGSEGV", meaning = "invalid memory access"; break;
    case SIGBUS: name = "SIGBUS", meaning = "invalid memory access"; break;
    case SIGABRT: name = "SIGABRT", meaning = "it aborted"; break;
    case SIGFPE: name = "SIGFPE", meaning = "arithmetic error"; break;
    case SIGILL: name = "SIGILL", meaning = "invalid instruction"; break;
    case SIGTRAP: name = "SIGTRAP", meaning = "trap"; break;
    case SIGSYS: name = "SIGSYS", meaning = "forbidden system call"; break;
    case SIGPIPE: name = "SIGPIPE", meaning = "nobody reads"; break;
    case SIGXCPU: name = "SIGXCPU", meaning = "its limit of CPU time"; break;
    case SIGXFSZ: name = "SIGXFSZ", meaning = "its limit of file size"; break;
    case SIGKILL:
      name = "SIGKILL", meaning = "by a person, or the system out of memory";
      break;
    case SIGTERM: name = "SIGTERM", meaning = "by a person or the system"; break;
    case SIGINT: name = "SIGINT", meaning = "by a person"; break;
    case SIGHUP: name = "SIGHUP", meaning = "by a person or the system"; break;
    default: return "signal " + std::to_string(number);
  }
  return std::string(name) + " (" + meaning + ")";
}

// "exited with code 3", "was killed by SIGSEGV (invalid memory access)"
[[nodiscard]] inline std::string words(const child_end& end) {
  if (end.stopped_by_us) return "was stopped";
  if (end.exit_code) return "exited with code " + std::to_string(*end.exit_code);
  if (end.signal) return "was killed by " + signal_words(*end.signal);
  return "ended, and the system did not tell how";
}

// A file descriptor that is closed with its owner.
class descriptor {
 public:
  descriptor() = default;
  explicit descriptor(int number) : number_(number) {}
  descriptor(descriptor&& other) noexcept
      : number_(std::exchange(other.number_, -1)) {}
  descriptor& operator=(descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~descriptor() { close(); }

  void close() noexcept {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }
  [[nodiscard]] int number() const noexcept { return number_; }
  explicit operator bool() const noexcept { return number_ >= 0; }

 private:
  int number_ = -1;
};

// A moment of the monotonic clock until which something may take. (<chrono>
// would cost every reader of a device fifteen thousand lines.)
class deadline {
 public:
  [[nodiscard]] static deadline in(double seconds) {
    deadline made;
    if (seconds < 1e9)  // or it is never
      made.at_ = now() + static_cast<std::int64_t>(
                             (seconds > 0 ? seconds : 0.0) * 1e9);
    return made;
  }
  [[nodiscard]] static deadline never() { return {}; }

  // For poll(2): milliseconds that are left, rounded up; 0 when none are, -1
  // when there is no end.
  [[nodiscard]] int milliseconds() const {
    if (at_ < 0) return -1;
    const std::int64_t left = at_ - now();
    if (left <= 0) return 0;
    const std::int64_t whole = (left + 999'999) / 1'000'000;
    return static_cast<int>(whole < 3'600'000 ? whole : 3'600'000);
  }
  [[nodiscard]] bool passed() const { return milliseconds() == 0; }

 private:
  [[nodiscard]] static std::int64_t now() {
    timespec read{};
    ::clock_gettime(CLOCK_MONOTONIC, &read);
    return std::int64_t{read.tv_sec} * 1'000'000'000 + read.tv_nsec;
  }
  std::int64_t at_ = -1;  // nanoseconds
};

class child {
 public:
  [[nodiscard]] static result<child> start(const child_command& command,
                                           const child_limits& limits = {});

  child(child&& other) noexcept { swap(other); }
  child& operator=(child&& other) noexcept {
    swap(other);
    return *this;
  }
  ~child() { (void)stop(); }

  // Sends all of `bytes`. A fault says only what happened here, without words
  // on what the bytes were for; the child is left as it is.
  [[nodiscard]] result<done> send(std::string_view bytes, deadline until);

  // Receives exactly `size` bytes.
  [[nodiscard]] result<done> receive(char* into, std::size_t size, deadline until);

  // Waits for the child's own end.
  [[nodiscard]] bool wait(deadline until);

  // Kills the child and its group if need be, and reaps it. The first call
  // settles how it ended, later ones tell it again.
  child_end stop();

  // From now on the child may use `seconds` more CPU time, or any amount for
  // 0; SIGXCPU ends it then. Whole seconds: the kernel counts no finer.
  void allow_cpu(std::uint64_t seconds);

  // CPU time used so far by the child's threads; of a wrapped program that has
  // ended, what was last seen.
  [[nodiscard]] double cpu_seconds() const;

  // The last that it wrote to standard output and standard error.
  [[nodiscard]] std::string said();

  [[nodiscard]] pid_t id() const noexcept { return id_; }

 private:
  child() = default;

  void swap(child& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(handle_, other.handle_);
    std::swap(requests_, other.requests_);
    std::swap(answers_, other.answers_);
    std::swap(output_, other.output_);
    std::swap(said_, other.said_);
    std::swap(end_, other.end_);
    std::swap(wrapped_, other.wrapped_);
    std::swap(cpu_seen_, other.cpu_seen_);
  }

  void listen();
  [[nodiscard]] bool ended() const;
  [[nodiscard]] pid_t working() const;
  [[nodiscard]] int patience(const deadline& until) const;

  pid_t id_ = -1;
  descriptor handle_;  // pidfd
  descriptor requests_, answers_, output_;
  std::string said_;
  std::optional<child_end> end_;
  bool wrapped_ = false;
  mutable double cpu_seen_ = 0.0;  // of a wrapped program
};

namespace child_process {

// What the new process needs, made before there is one: until execve it may
// allocate nothing, and change no memory but its own stack.
struct plan {
  const char* program = nullptr;
  char* const* arguments = nullptr;
  char* const* environment = nullptr;
  int null = -1, output = -1, requests = -1, answers = -1, trouble = -1;
  std::pair<int, rlimit> limits[8] = {};
  std::size_t limit_count = 0;
  pid_t parent = -1;
  bool die_with_thread = false, fixed_addresses = false;
};

enum class step : int { channels, folder, limits, program };

// Async-signal-safe from here to execve.
[[noreturn]] inline void become(const plan& asked) noexcept {
  const auto fail = [&](step at, int trouble) {
    const int told[2] = {static_cast<int>(at), errno};
    (void)!::write(trouble, told, sizeof told);
    ::_exit(127);
  };
  constexpr int trouble = 5;  // the first number after the channels

  ::setpgid(0, 0);
  if (asked.die_with_thread) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != asked.parent) ::_exit(127);
  }
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (asked.fixed_addresses) {  // from execve on
    const int now = ::personality(0xffffffff);  // which only asks
    if (now >= 0)
      (void)::personality(static_cast<unsigned>(now) | ADDR_NO_RANDOMIZE);
  }

  // If memory runs out, the system is to end this process and no other.
  if (const int score = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
      score >= 0) {
    (void)!::write(score, "1000", 4);
    ::close(score);
  }

  // Every number of the plan is above `trouble`, so none is overwritten.
  if (::dup2(asked.null, 0) < 0 || ::dup2(asked.output, 1) < 0 ||
      ::dup2(asked.output, 2) < 0 ||
      ::dup2(asked.requests, requests_descriptor) < 0 ||
      ::dup2(asked.answers, answers_descriptor) < 0 ||
      ::dup3(asked.trouble, trouble, O_CLOEXEC) < 0)
    fail(step::channels, asked.trouble);
  if (::syscall(SYS_close_range, trouble + 1, ~0U, 0) != 0)
    fail(step::channels, trouble);

  if (::chdir("/") != 0) fail(step::folder, trouble);
  for (std::size_t i = 0; i < asked.limit_count; ++i) {
    const auto which =
        static_cast<decltype(RLIMIT_AS)>(asked.limits[i].first);
    if (::setrlimit(which, &asked.limits[i].second) != 0)
      fail(step::limits, trouble);
  }

  // Ignored signals would stay ignored, blocked ones blocked. Asked of the
  // kernel itself: the C library keeps two numbers (32 and 33) to itself, and a
  // parent may have handed those down ignored as well.
  struct {
    void* handler = nullptr;  // SIG_DFL
    unsigned long flags = 0;
    void* restorer = nullptr;
    unsigned long mask = 0;
  } standard;
  for (int number = 1; number < NSIG; ++number)
    ::syscall(SYS_rt_sigaction, number, &standard, nullptr,
              sizeof standard.mask);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);

  ::execve(asked.program, asked.arguments, asked.environment);
  fail(step::program, trouble);
  ::_exit(127);
}

[[nodiscard]] inline std::string system_words(int number) {
  char text[128] = "";
  return ::strerror_r(number, text, sizeof text);
}

[[nodiscard]] inline fault system_fault(const std::string& attempted,
                                        int number) {
  const reason why = number == ENOENT || number == ENOTDIR ? reason::not_found
                     : number == EACCES || number == EPERM
                         ? reason::no_permission
                         : reason::io;
  return fault{why, attempted + ": " + system_words(number)};
}

// The same file under a number from 16 on: the new process puts its own at 0
// to 5, and the caller may have closed its standard streams.
[[nodiscard]] inline descriptor high(int number) {
  if (number < 0) return {};
  const descriptor low(number);
  return descriptor(::fcntl(number, F_DUPFD_CLOEXEC, 16));
}

// A stream socket pair, not a pipe: sending to one that nobody reads can be
// asked for an error instead of SIGPIPE, which would end the caller.
[[nodiscard]] inline std::pair<descriptor, descriptor> channel() {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return {};
  // Large answers pass in fewer turns; the kernel gives what it may.
  const int bytes = 1 << 20;
  for (const int end : ends)
    ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  descriptor first = high(ends[0]);
  return {std::move(first), high(ends[1])};
}

[[nodiscard]] inline std::pair<descriptor, descriptor> tube() {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  descriptor first = high(ends[0]);
  return {std::move(first), high(ends[1])};
}

[[nodiscard]] inline bool set_nonblocking(int number) {
  const int flags = ::fcntl(number, F_GETFL);
  return flags >= 0 && ::fcntl(number, F_SETFL, flags | O_NONBLOCK) == 0;
}

#if defined(__SANITIZE_ADDRESS__)
#define SKILLBENCH_SANITIZED 1
#elif defined(__SANITIZE_THREAD__)
#define SKILLBENCH_SANITIZED 2
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SKILLBENCH_SANITIZED 1
#elif __has_feature(thread_sanitizer)
#define SKILLBENCH_SANITIZED 2
#endif
#endif
#if !defined(SKILLBENCH_SANITIZED)
#define SKILLBENCH_SANITIZED 0
#endif
// A sanitizer's shadow memory is terabytes of address space. isolate.hpp says so of
// a worker, beside the rest that it does without there.
inline constexpr bool limits_address_space = SKILLBENCH_SANITIZED == 0;
// The one for threads writes a file before main, and goes on when that ends early.
inline constexpr std::uint64_t least_file_bytes =
    SKILLBENCH_SANITIZED == 2 ? 4096 : 0;
#undef SKILLBENCH_SANITIZED

inline constexpr std::uint64_t usual_stack = 8 << 20;

// No limit may be raised above what this process has itself.
inline void add_limit(plan& to, int which, std::uint64_t soft,
                      std::uint64_t hard) {
  rlimit now{};
  if (::getrlimit(static_cast<decltype(RLIMIT_AS)>(which), &now) != 0) return;
  rlimit set{};
  set.rlim_max = hard < now.rlim_max ? hard : now.rlim_max;
  set.rlim_cur = soft < set.rlim_max ? soft : set.rlim_max;
  to.limits[to.limit_count++] = {which, set};
}

[[nodiscard]] inline std::vector<char*> pointers(
    std::vector<std::string>& texts) {
  std::vector<char*> made;
  made.reserve(texts.size() + 1);
  for (std::string& text : texts) made.push_back(text.data());
  made.push_back(nullptr);
  return made;
}

}  // namespace child_process

inline result<child> child::start(const child_command& command,
                                  const child_limits& limits) {
  namespace in = child_process;
  const std::string& program = command.program;
  if (program.find('/') == std::string::npos)
    return fault{reason::bad_argument,
                 "the program to start, \"" + program + "\", is not a path"};
  std::string whole = program;
  for (const std::string& text : command.arguments) whole += text;
  for (const std::string& text : command.environment) whole += text;
  if (whole.find('\0') != std::string::npos)
    return fault{reason::bad_argument, "a command holds a NUL"};

  // The program starts in /, so a relative path is made absolute here.
  std::string path = program;
  if (char here[4096]; path.front() != '/' && ::getcwd(here, sizeof here))
    path = std::string(here) + "/" + program;
  std::vector<std::string> arguments{program};
  arguments.insert(arguments.end(), command.arguments.begin(),
                   command.arguments.end());
  std::vector<std::string> environment = command.environment;
  const std::vector<char*> argument_list = in::pointers(arguments);
  const std::vector<char*> environment_list = in::pointers(environment);

  auto [requests, their_requests] = in::channel();
  auto [answers, their_answers] = in::channel();
  auto [output, their_output] = in::tube();
  auto [told, their_told] = in::tube();
  descriptor null = in::high(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!requests || !their_requests || !answers || !their_answers || !output ||
      !their_output || !told || !their_told || !null ||
      !in::set_nonblocking(requests.number()) ||
      !in::set_nonblocking(answers.number()) ||
      !in::set_nonblocking(output.number()))
    return in::system_fault("cannot make the channels to " + program, errno);

  in::plan plan;
  plan.program = path.c_str();
  plan.arguments = argument_list.data();
  plan.environment = environment_list.data();
  plan.null = null.number();
  plan.output = their_output.number();
  plan.requests = their_requests.number();
  plan.answers = their_answers.number();
  plan.trouble = their_told.number();
  plan.parent = ::getpid();
  plan.fixed_addresses = limits.fixed_addresses;
  plan.die_with_thread =
      static_cast<pid_t>(::syscall(SYS_gettid)) == plan.parent;
  in::add_limit(plan, RLIMIT_CORE, 0, 0);
  const std::uint64_t longest = std::max(limits.file_bytes, in::least_file_bytes);
  in::add_limit(plan, RLIMIT_FSIZE, longest, longest);
  if (limits.address_space > 0 && in::limits_address_space)
    in::add_limit(plan, RLIMIT_AS, limits.address_space, limits.address_space);
  if (limits.stack > 0)
    in::add_limit(plan, RLIMIT_STACK,
                  limits.stack < in::usual_stack ? limits.stack : in::usual_stack,
                  limits.stack);
  // The hard limit stays, so that allow_cpu() can move the soft one.
  if (limits.cpu_seconds > 0)
    in::add_limit(plan, RLIMIT_CPU, limits.cpu_seconds, RLIM_INFINITY);
  if (limits.open_files > 0)
    in::add_limit(plan, RLIMIT_NOFILE, limits.open_files, limits.open_files);

  // With signals blocked no handler of the caller runs in the new process.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  // The memory is shared until execve, and this thread waits for that: a fork
  // would copy the page tables of a caller who may hold gigabytes.
  const pid_t made = ::vfork();
  if (made == 0) in::become(plan);
  const int fork_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (made < 0)
    return in::system_fault("cannot start a process for " + program, fork_error);

  child started;
  started.id_ = made;
  started.wrapped_ = command.wrapped;
  ::setpgid(made, made);  // as the child does: whoever is first
  started.handle_ =
      descriptor(static_cast<int>(::syscall(SYS_pidfd_open, made, 0)));
  const int handle_error = errno;
  started.requests_ = std::move(requests);
  started.answers_ = std::move(answers);
  started.output_ = std::move(output);
  their_requests.close();
  their_answers.close();
  their_output.close();
  their_told.close();

  // The other end closes when the program has been started.
  int failed[2] = {0, 0};
  ssize_t got;
  do {
    got = ::read(told.number(), failed, sizeof failed);
  } while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof failed)) {
    (void)started.stop();
    switch (static_cast<in::step>(failed[0])) {
      case in::step::channels:
        return in::system_fault("cannot pass the channels to " + program,
                                failed[1]);
      case in::step::folder:
        return in::system_fault("cannot enter / for " + program, failed[1]);
      case in::step::limits:
        return in::system_fault("cannot set the limits of " + program,
                                failed[1]);
      case in::step::program:
        break;
    }
    return in::system_fault("cannot start " + program, failed[1]);
  }
  if (!started.handle_)
    return in::system_fault("cannot watch " + program + " (pidfd_open)",
                            handle_error);
  return started;
}

// Reads what the child has said so far, so that it never waits for us to.
inline void child::listen() {
  if (!output_) return;
  char block[65536];
  for (int turns = 0; turns < 16; ++turns) {
    const ssize_t got = ::read(output_.number(), block, sizeof block);
    if (got > 0) {
      said_.append(block, static_cast<std::size_t>(got));
      if (said_.size() > most_said_bytes)
        said_.erase(0, said_.size() - most_said_bytes);
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) output_.close();
    return;
  }
}

inline bool child::ended() const {
  if (end_ || !handle_) return true;
  pollfd seen{handle_.number(), POLLIN, 0};
  return ::poll(&seen, 1, 0) > 0;
}

inline result<done> child::send(std::string_view bytes, deadline until) {
  while (!bytes.empty()) {
    if (end_ || !requests_)
      return fault{reason::child_died, "it has ended already"};
    const ssize_t sent = ::send(requests_.number(), bytes.data(), bytes.size(),
                                MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
      return fault{reason::child_died, "it reads no more requests"};
    listen();
    pollfd seen[3] = {{requests_.number(), POLLOUT, 0},
                      {output_.number(), POLLIN, 0},
                      {handle_.number(), POLLIN, 0}};
    const int wait_for = until.milliseconds();
    if (wait_for == 0)
      return fault{reason::child_timed_out, "it did not take the request"};
    (void)::poll(seen, 3, wait_for);
    if (seen[2].revents != 0)
      return fault{reason::child_died, "it ended before it took the request"};
  }
  return done{};
}

inline result<done> child::receive(char* into, std::size_t size, deadline until) {
  bool was_ended = false;
  while (size > 0) {
    if (end_ || !answers_)
      return fault{reason::child_died, "it has ended already"};
    const ssize_t got =
        ::recv(answers_.number(), into, size, MSG_DONTWAIT);
    if (got > 0) {
      into += got;
      size -= static_cast<std::size_t>(got);
      // A child that drips bytes for ever has a deadline as well.
      if (size > 0 && until.passed())
        return fault{reason::child_timed_out, "its answer was not complete"};
      continue;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
      return fault{reason::child_died, "it closed its answers"};
    // What an ended child left behind is still read: once more after its end.
    if (was_ended)
      return fault{reason::child_died, "it ended without an answer"};
    was_ended = ended();
    if (was_ended) continue;
    listen();
    const int wait_for = patience(until);
    if (wait_for == 0)
      return fault{reason::child_timed_out, "it gave no answer in time"};
    pollfd seen[3] = {{answers_.number(), POLLIN, 0},
                      {output_.number(), POLLIN, 0},
                      {handle_.number(), POLLIN, 0}};
    (void)::poll(seen, 3, wait_for);
  }
  return done{};
}

inline bool child::wait(deadline until) {
  while (!ended()) {
    listen();
    const int wait_for = until.milliseconds();
    if (wait_for == 0) return false;
    pollfd seen[2] = {{handle_.number(), POLLIN, 0},
                      {output_.number(), POLLIN, 0}};
    (void)::poll(seen, 2, wait_for);
  }
  listen();
  return true;
}

// Milliseconds to wait for something at most, as poll(2) wants them. What a wrapped
// program has used is not known after its end, so it is looked at on the way.
inline int child::patience(const deadline& until) const {
  const int left = until.milliseconds();
  if (!wrapped_) return left;
  (void)cpu_seconds();
  constexpr int look_every = 200;
  return left < 0 || left > look_every ? look_every : left;
}

inline child_end child::stop() {
  if (end_) return *end_;
  child_end how;
  if (id_ > 0) {
    how.stopped_by_us = !ended();
    // Before it is reaped: a zombie keeps its number, and so its group's.
    ::kill(-id_, SIGKILL);
    if (handle_)
      ::syscall(SYS_pidfd_send_signal, handle_.number(), SIGKILL, nullptr, 0);
    else
      ::kill(id_, SIGKILL);
    siginfo_t told{};
    int got;
    do {
      got = ::waitid(P_PID, static_cast<id_t>(id_), &told, WEXITED);
    } while (got != 0 && errno == EINTR);
    if (got == 0 && told.si_code == CLD_EXITED && wrapped_ &&
        told.si_status > 128)
      how.signal = told.si_status - 128;
    else if (got == 0 && told.si_code == CLD_EXITED)
      how.exit_code = told.si_status;
    else if (got == 0)
      how.signal = told.si_status;
    listen();
  }
  requests_.close();
  answers_.close();
  output_.close();
  handle_.close();
  end_ = how;
  return how;
}

// The process that does the work: the last of a chain of only children, where the
// program is wrapped. `id_` while there is none.
inline pid_t child::working() const {
  pid_t at = id_;
  for (int depth = 0; wrapped_ && depth < 4; ++depth) {
    const std::string of = std::to_string(at);
    const descriptor list(::open(
        ("/proc/" + of + "/task/" + of + "/children").c_str(),
        O_RDONLY | O_CLOEXEC));
    char text[32] = "";
    if (!list || ::read(list.number(), text, sizeof text - 1) <= 0) break;
    const pid_t next = static_cast<pid_t>(std::strtol(text, nullptr, 10));
    if (next <= 0) break;
    at = next;
  }
  return at;
}

inline double child::cpu_seconds() const {
  if (end_ || id_ <= 0) return 0.0;
  const auto used_by = [](pid_t each) {
    clockid_t of;
    timespec used{};
    if (::clock_getcpuclockid(each, &of) != 0 ||
        ::clock_gettime(of, &used) != 0)
      return 0.0;
    return static_cast<double>(used.tv_sec) +
           1e-9 * static_cast<double>(used.tv_nsec);
  };
  double all = used_by(id_);
  if (!wrapped_) return all;
  if (const pid_t worker = working(); worker != id_) all += used_by(worker);
  return cpu_seen_ = std::max(cpu_seen_, all);
}

inline void child::allow_cpu(std::uint64_t seconds) {
  if (end_ || id_ <= 0) return;
  const pid_t worker = working();
  rlimit now{};
  if (::prlimit(worker, RLIMIT_CPU, nullptr, &now) != 0) return;
  now.rlim_cur = now.rlim_max;
  const rlim_t wanted = static_cast<rlim_t>(cpu_seconds()) + seconds + 1;
  if (seconds > 0 && wanted < now.rlim_max) now.rlim_cur = wanted;
  (void)::prlimit(worker, RLIMIT_CPU, &now, nullptr);
}

inline std::string child::said() {
  listen();
  return said_;
}

}  // namespace skillbench
