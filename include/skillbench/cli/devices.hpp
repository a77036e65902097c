#pragma once
// cli/devices.hpp: devices in children of this program.
//
// Layer   7. Knows where the program itself is, and its hidden command `worker`.
// Errors  library_missing without a CUDA toolkit, no_device for a GPU that is
//         not there, and what device/remote.hpp says of a child.

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/bubblewrap.hpp>
#include <skillbench/child.hpp>
#include <skillbench/cli/cache.hpp>
#include <skillbench/cli/gpus.hpp>
#include <skillbench/compile_cache.hpp>
#include <skillbench/cuda/library.hpp>
#include <skillbench/device.hpp>
#include <skillbench/device/remote.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/find_worker.hpp>
#include <skillbench/isolate.hpp>

namespace skillbench::cli {

inline constexpr const char* worker_command = "worker";

// The path of the running program.
[[nodiscard]] inline result<std::string> own_path() {
  std::string path(4096, '\0');
  const ssize_t length =
      ::readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0 || static_cast<std::size_t>(length) == path.size())
    return fault{reason::not_found,
                 "cannot tell where this program is (/proc/self/exe)"};
  path.resize(static_cast<std::size_t>(length));
  return path;
}

// Starts a child for each device asked for, and can end them all at once.
class devices {
 public:
  // `wanted` is auto, ptx or cuda. Looks for all that is needed, so that what
  // is missing is told once and not for every candidate.
  [[nodiscard]] static result<std::unique_ptr<devices>> open(
      const std::string& wanted, const cache_choice& cache = {"", true},
      const std::string& isolation = "auto") {
    if (wanted == "cuda")  // before anything that costs time
      if (const driver_state driver = driver_status(); !driver.usable)
        return fault{reason::no_device,
                     driver.what + "; use --device ptx, which needs none"};
    auto cuda = find_toolkit();
    if (!cuda) return cuda.error();
    auto program = own_path();
    if (!program) return program.error();
    auto made = std::unique_ptr<devices>(new devices);
    made->command_.program = std::move(program).value();
    made->command_.arguments = {worker_command};
    if (isolation == "basic" || isolation == "bwrap")
      made->command_.arguments.push_back(isolation);
    if (isolation == "strict" || isolation == "bwrap") made->only_ = isolation;
    made->command_.environment = worker_environment(cuda.value());
    if (wanted != "ptx") {
      auto found = gpus::open(
          made->command_.program, {worker_command, "cuda"}, cuda.value(),
          {[it = made.get()](pid_t each) { it->add(each); },
           [it = made.get()](pid_t each) { it->remove(each); }});
      if (found)
        made->gpus_ = std::move(found).value();
      else if (wanted == "cuda")
        return fault{found.error().why, found.error().what +
                                            "; use --device ptx, which needs "
                                            "none"};
      else
        made->no_gpu_ = short_words(found.error().what);
    }
    made->toolkit_ = std::move(cuda).value();
    auto cached = open_cache(cache, made->toolkit_, made->command_.program);
    if (!cached) return cached.error();
    made->cached_ = std::move(cached).value();
    if (isolation == "bwrap")
      if (const auto within = made->go_within(); !within) return within.error();
    return made;
  }

  // May be called from any thread; `this` must outlive what is made.
  [[nodiscard]] result<std::unique_ptr<device>> make() {
    if (stopped_)
      return fault{reason::cancelled, "stopped before it was judged"};
    auto started = remote::start(command_);
    if (!started) return started.error();
    if (const std::string how = started.value()->isolation();
        how != (only_.empty() ? "strict" : only_)) {
      if (!only_.empty())
        return fault{reason::no_permission,
                     "a worker cannot be shut in as --isolation " + only_ +
                         " asks: " + how.substr(how.find(' ') + 1) +
                         "; --isolation auto does with what there is"};
      const std::lock_guard held(lock_);
      isolation_note_ = how;
    }
    std::unique_ptr<device> made(
        new running(*this, std::move(started).value()));
    if (gpus_) made = gpus_->make(std::move(made));
    if (cached_.cache)
      made = std::make_unique<cached_device>(std::move(made), *cached_.cache);
    return made;
  }

  // Why --device auto judges on the PTX machine; "" where that was asked for.
  [[nodiscard]] const std::string& no_gpu() const noexcept { return no_gpu_; }
  // Of GPUs that are there and not used; "" when all are.
  [[nodiscard]] std::string gpu_note() const {
    return gpus_ ? gpus_->note() : "";
  }

  // How workers were shut in, where that was not "strict"; "" else.
  [[nodiscard]] std::string isolation_note() {
    const std::lock_guard held(lock_);
    return isolation_note_;
  }

  // Ends every child; what waits for one gets reason::child_died.
  void stop() {
    stopped_ = true;
    if (gpus_) gpus_->stop();
    const std::lock_guard held(lock_);
    for (const pid_t each : children_) {
      // One that was reaped already is no child of ours any more.
      siginfo_t seen{};
      if (::waitid(P_PID, static_cast<id_t>(each), &seen,
                   WEXITED | WNOHANG | WNOWAIT) == 0)
        ::kill(each, SIGKILL);
    }
  }

  [[nodiscard]] const toolkit& cuda() const noexcept { return toolkit_; }
  // What a verdict depends on besides the output, for key.hpp.
  [[nodiscard]] std::string machine() const {
    return (gpus_ ? gpus_->name() : "PTX machine") + ", CUDA " +
           toolkit_.version;
  }

  // What the user is told of the compile cache, or "".
  [[nodiscard]] std::string cache_note() const {
    return cached_.note.empty() ? ""
                                : "there is no compile cache: " + cached_.note;
  }
  [[nodiscard]] std::string cache_words() const {
    return cached_.cache ? cache_summary(*cached_.cache) : "";
  }

 private:
  devices() = default;

  // Workers of this program, which has loaded what they will load. One is tried:
  // where namespaces are forbidden, all would fail.
  [[nodiscard]] result<done> go_within() {
    auto bwrap = bubblewrap::find();
    if (!bwrap) return bwrap.error();
    std::vector<std::string> readable = library_places();
    readable.push_back(toolkit_.include);
    readable.push_back(toolkit_.library_folder);
    command_ = bubblewrap::around(bwrap.value(), command_, readable);
    const auto tried = remote::start(command_);
    if (tried) return done{};
    return fault{reason::no_permission,
                 "--isolation bwrap: no worker can be started within "
                 "bubblewrap: " + tried.error().what +
                     "; --isolation strict does without bubblewrap"};
  }

  // Without what the loader said of the driver's library.
  [[nodiscard]] static std::string short_words(const std::string& what) {
    return what.substr(0, what.find(" (cannot open"));
  }

  void add(pid_t each) {
    const std::lock_guard held(lock_);
    children_.push_back(each);
  }
  void remove(pid_t each) {
    const std::lock_guard held(lock_);
    std::erase(children_, each);
  }

  // Leaves the list of children before its process can be reaped and the
  // process number given to another.
  class running final : public device {
   public:
    running(devices& of, std::unique_ptr<remote> child)
        : of_(of), child_(std::move(child)) {
      of_.add(child_->process_id());
    }
    ~running() override { of_.remove(child_->process_id()); }
    running(const running&) = delete;
    running& operator=(const running&) = delete;

    [[nodiscard]] std::string name() const override { return child_->name(); }
    [[nodiscard]] std::string target() const override {
      return child_->target();
    }
    [[nodiscard]] std::string isolation() const override {
      return child_->isolation();
    }
    [[nodiscard]] result<image> compile(const compile_request& it) override {
      return child_->compile(it);
    }
    [[nodiscard]] result<done> load(const std::string& ptx) override {
      return child_->load(ptx);
    }
    [[nodiscard]] result<run_report> run(const job& it) override {
      return child_->run(it);
    }
    [[nodiscard]] std::vector<result<run_report>> run_some(
        std::span<const job> jobs) override {
      return child_->run_some(jobs);
    }
    [[nodiscard]] bool killed() const override { return child_->killed(); }
    [[nodiscard]] double cpu_used() const override {
      return child_->cpu_used();
    }

   private:
    devices& of_;
    std::unique_ptr<remote> child_;
  };

  child_command command_;
  toolkit toolkit_;
  chosen_cache cached_;
  std::mutex lock_;
  std::vector<pid_t> children_;
  std::atomic<bool> stopped_ = false;
  std::string only_;  // how workers must be shut in; "" for as can be
  std::string isolation_note_;  // guarded by `lock_`
  std::string no_gpu_;
  std::unique_ptr<gpus> gpus_;  // ends before the list of its children
};

// Set by Ctrl-C and by SIGTERM while a `stop_signals` lives.
inline std::atomic<bool> stop_asked = false;

// The third signal ends the program at once; two come from one `timeout`. A
// reader that has gone and a file that may not grow are told by what is written,
// and do not end the program.
class stop_signals {
 public:
  stop_signals() {
    struct sigaction act {};
    act.sa_handler = [](int) {
      static std::atomic<int> count = 0;
      stop_asked = true;
      if (++count == 3) ::_exit(130);
    };
    ::sigaction(SIGINT, &act, &old_[0]);
    ::sigaction(SIGTERM, &act, &old_[1]);
    act.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &act, &old_[2]);
    ::sigaction(SIGXFSZ, &act, &old_[3]);
  }
  ~stop_signals() {
    ::sigaction(SIGINT, &old_[0], nullptr);
    ::sigaction(SIGTERM, &old_[1], nullptr);
    ::sigaction(SIGPIPE, &old_[2], nullptr);
    ::sigaction(SIGXFSZ, &old_[3], nullptr);
  }
  stop_signals(const stop_signals&) = delete;
  stop_signals& operator=(const stop_signals&) = delete;

 private:
  struct sigaction old_[4] {};
};

}  // namespace skillbench::cli
