// A worker that behaves as it is told, badly in most ways. The first argument
// says how; for `serve` it is the source or the PTX of each request.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include <skillbench/child.hpp>
#include <skillbench/cuda/nvrtc.hpp>
#include <skillbench/worker.hpp>

extern char** environ;

namespace {

using namespace skillbench;

constexpr int requests = requests_descriptor;
constexpr int answers = answers_descriptor;

void say(std::string_view bytes) {
  (void)worker_channel::write_all(answers, bytes);
}

[[noreturn]] void forever() {
  for (;;) ::pause();
}

std::string status_line(const char* called) {
  std::FILE* const in = std::fopen("/proc/self/status", "r");
  char line[256];
  std::string found = "?";
  while (in && std::fgets(line, sizeof line, in))
    if (std::strncmp(line, called, std::strlen(called)) == 0) found = line;
  if (in) std::fclose(in);
  while (!found.empty() && found.back() == '\n') found.pop_back();
  return found;
}

// What this process has been given, one thing a line.
std::string report(const std::vector<std::string>& arguments) {
  std::string told;
  for (const std::string& each : arguments) told += "argument " + each + "\n";
  for (char** each = environ; *each; ++each)
    told += std::string("environment ") + *each + "\n";
  told += "open";
  for (int number = 0; number < 1024; ++number)
    if (::fcntl(number, F_GETFD) >= 0) told += " " + std::to_string(number);
  char here[256] = "?";
  (void)!::getcwd(here, sizeof here);
  told += std::string("\nfolder ") + here + "\n";
  const auto limit = [&](const char* name, int which) {
    rlimit now{};
    ::getrlimit(static_cast<decltype(RLIMIT_AS)>(which), &now);
    told += std::string("limit ") + name + " " +
            std::to_string(now.rlim_max) + "\n";
  };
  limit("core", RLIMIT_CORE);
  limit("files", RLIMIT_NOFILE);
  limit("file", RLIMIT_FSIZE);
  limit("memory", RLIMIT_AS);
  limit("stack", RLIMIT_STACK);
  told += status_line("SigBlk") + "\n" + status_line("SigIgn") + "\n" +
          status_line("NoNewPrivs") + "\n";
  told += ::getpgid(0) == ::getpid() ? "group own\n" : "group shared\n";
  char byte = 0;
  told += "stack at " + std::to_string(reinterpret_cast<std::uintptr_t>(&byte)) +
          "\n";
  told += ::read(0, &byte, 1) == 0 ? "input empty\n" : "input not empty\n";
  return told;
}

// A child of ours that holds every channel open and does not end.
void leave_a_child() {
  const pid_t made = ::fork();
  if (made == 0) forever();
  say(std::string(reinterpret_cast<const char*>(&made), sizeof made));
}

// A sanitizer would turn the signal into an exit.
void crash() {
  std::signal(SIGSEGV, SIG_DFL);
  ::raise(SIGSEGV);
}

void behave(const std::string& how) {
  if (how == "crash") crash();
  if (how == "abort") std::abort();
  if (how == "asked to end") ::raise(SIGTERM);
  if (how == "killed") ::raise(SIGKILL);
  if (how == "hang") forever();
  if (how == "wait") ::usleep(500'000);
  if (how == "spin")
    for (volatile std::uint64_t turns = 0;;) turns = turns + 1;
  if (how == "exit 0") ::_exit(0);
  if (how == "exit 3") ::_exit(3);
  if (how == "close") {
    ::close(answers);
    forever();
  }
  if (how == "garbage") {
    say(std::string(4096, 'g'));
    forever();
  }
  if (how == "another kind") {
    const std::string payload = wire::encode(image{});
    const wire::header top = wire::header_of(wire::message::quit, payload);
    say({reinterpret_cast<const char*>(&top), sizeof top});
    say(payload);
    forever();
  }
  if (how.starts_with("claim ")) {  // a length, and only a little of it
    wire::header top;
    top.magic = wire::magic;
    top.kind = static_cast<std::uint32_t>(wire::message::compile);
    top.length = std::stoull(how.substr(6));
    say({reinterpret_cast<const char*>(&top), sizeof top});
    say("a little");
    ::_exit(0);
  }
  if (how == "drip")
    for (;;) {
      wire::header top;
      top.magic = wire::magic;
      top.kind = static_cast<std::uint32_t>(wire::message::compile);
      top.length = 1 << 20;
      static std::size_t at = 0;
      const char* const raw = reinterpret_cast<const char*>(&top);
      say(at < sizeof top ? std::string(1, raw[at]) : "x");
      ++at;
      ::usleep(2000);
    }
  if (how == "flood") {
    const std::string line(1023, 'e');
    for (int i = 0; i < 10 * 1024; ++i)
      std::fprintf(stderr, "%s\n", line.c_str());
    std::fprintf(stderr, "the last line\x1b[31m of the flood\n");
  }
  if (how == "flood and crash") {
    behave("flood");
    crash();
  }
  if (how == "leave and crash") {
    if (::fork() == 0) forever();
    crash();
  }
  if (how == "memory") {
    std::vector<std::string> held;
    for (;;) held.emplace_back(std::size_t{64} << 20, 'm');
  }
  if (how == "throw") throw std::runtime_error("thrown");
}

// Answers what was asked; `nvrtc` compiles for real.
class fake_device final : public device {
 public:
  [[nodiscard]] std::string name() const override { return "fake device"; }
  [[nodiscard]] std::string target() const override { return "sm_90a"; }
  [[nodiscard]] result<image> compile(const compile_request& asked) override {
    if (asked.source.starts_with("//fake ")) {
      behave(asked.source.substr(7));
      if (asked.source == "//fake fault")
        return fault{reason::library_failed, "a fault of the device"};
      image made;
      made.ok = true;
      made.ptx = "ptx of " + asked.source;
      for (const std::string& entry : asked.entries) {
        kernel_image kernel;
        kernel.entry = entry;
        kernel.lowered = "_" + entry;
        kernel.registers = 7;
        made.kernels.push_back(kernel);
      }
      if (asked.source == "//fake too many kernels") made.kernels.resize(9);
      return made;
    }
    if (!compiler_) {
      auto at = find_toolkit();
      if (!at) return at.error();
      auto opened = nvrtc::open(at.value());
      if (!opened) return opened.error();
      compiler_ = std::make_unique<nvrtc>(std::move(opened).value());
    }
    auto told = compiler_->compile(asked.source, asked.entries, asked.target,
                                   asked.line_info);
    if (!told) return told.error();
    image made;
    made.ok = told.value().ok;
    made.ptx = told.value().ptx;
    made.log = told.value().log;
    for (std::size_t i = 0; i < told.value().lowered.size(); ++i) {
      kernel_image kernel;
      kernel.entry = asked.entries[i];
      kernel.lowered = told.value().lowered[i];
      kernel.registers = told.value().resources[i].registers;
      made.kernels.push_back(kernel);
    }
    return made;
  }
  [[nodiscard]] result<done> load(const std::string& ptx) override {
    if (ptx.starts_with("//fake ")) behave(ptx.substr(7));
    return done{};
  }
  // Every output is filled with the low byte of its seed. A buffer may be named
  // after what to do.
  [[nodiscard]] result<run_report> run(const job& asked) override {
    run_report told;
    told.counted.warp_instructions = asked.seed;
    for (std::size_t i = 0; i < asked.buffers.size(); ++i) {
      const buffer& each = asked.buffers[i];
      if (each.name == "unasked") {
        told.outputs.push_back({static_cast<std::int64_t>(i), "x"});
        continue;
      }
      if (each.name.starts_with("to ")) behave(each.name.substr(3));
      if (each.name == "beyond") {
        told.outputs.push_back({99, "x"});
        continue;
      }
      if (!comes_back(each.use)) continue;
      told.outputs.push_back(
          {static_cast<std::int64_t>(i),
           std::string(static_cast<std::size_t>(each.bytes()),
                       static_cast<char>(each.seed))});
    }
    return told;
  }

 private:
  std::unique_ptr<nvrtc> compiler_;
};

}  // namespace

int main(int count, char** raw) {
  const std::vector<std::string> arguments(raw + 1, raw + count);
  const std::string how = arguments.empty() ? "" : arguments[0];
  if (how == "serve") {
    fake_device device;
    return serve(device, requests, answers);
  }
  if (how == "another version") {
    const std::string payload = wire::encode(wire::greeting_text{
        .build = "0.0.0", .device = "fake device", .target = "sm_90a", .isolation = ""});
    const wire::header top =
        wire::header_of(wire::message::greeting, payload);
    say({reinterpret_cast<const char*>(&top), sizeof top});
    say(payload);
    return 0;
  }
  if (how == "count") {  // how many bytes arrive until the byte '.'
    std::uint64_t bytes = 0;
    for (char block[65536];;) {
      const ssize_t got = ::read(requests, block, sizeof block);
      if (got <= 0) return 1;
      bytes += static_cast<std::uint64_t>(got);
      if (block[got - 1] == '.') break;
    }
    say({reinterpret_cast<const char*>(&bytes), sizeof bytes});
    return 0;
  }
  if (how == "report") {
    const std::string told = report(arguments);
    const std::uint64_t size = told.size();
    say({reinterpret_cast<const char*>(&size), sizeof size});
    say(told);
    return 0;
  }
  if (how == "write a file") {
    const int file = ::open(arguments[1].c_str(), O_WRONLY | O_CREAT, 0600);
    if (file < 0) return 2;
    return ::write(file, "written", 7) == 7 ? 0 : 3;
  }
  if (how == "leave a child") {
    leave_a_child();
    forever();
  }
  if (how == "ask for memory") {
    const std::size_t bytes = std::stoull(arguments[1]);
    void* const got = std::malloc(bytes);
    const bool there = got != nullptr;
    std::free(got);
    return there ? 0 : 4;
  }
  if (how == "speak") {
    std::printf("to output\n");
    std::fflush(stdout);
    std::fprintf(stderr, "to error\n");
    return 0;
  }
  behave(how);
  return 0;
}
