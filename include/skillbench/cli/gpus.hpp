#pragma once
// cli/gpus.hpp: the GPUs of this machine, each owned by one long-lived worker.
//
// Layer   7. A worker is this program's hidden command `worker cuda N`; it proves
//         itself by a kernel of known result before it takes requests.
// Errors  no_device: no driver, no GPU that fits, or all are in use; the text
//         says which. A worker shuts its doors (isolate_gpu.hpp); where it does not
//         start so it gets another chance without, and `gpu_isolation` says that.
//         A candidate that ends its worker costs that candidate; the
//         next one gets a new worker. A GPU whose new worker does not prove
//         itself is given up.
// Locks   A file for each GPU, so that two runs never time on it at once. It is
//         let go when the process ends, however that is.
// Threads Any; a GPU is one thread's until its candidate is done.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/child.hpp>
#include <skillbench/cuda/driver.hpp>
#include <skillbench/cuda/library.hpp>
#include <skillbench/device.hpp>
#include <skillbench/device/remote.hpp>
#include <skillbench/fault.hpp>

namespace skillbench::cli {

// What a GPU's worker finds in its environment. The driver compiles PTX anew each
// time: a cache in files would outlive a candidate.
[[nodiscard]] inline std::vector<std::string> gpu_environment(const toolkit& cuda) {
  std::vector<std::string> told = toolkit_environment(cuda);
  told.emplace_back("CUDA_CACHE_DISABLE=1");
  for (const char* name : {"SKILLBENCH_DRIVER", "SKILLBENCH_NVML", "SKILLBENCH_CUDNN", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"})
    if (const char* const value = std::getenv(name); value && *value) told.push_back(std::string(name) + "=" + value);
  return told;
}

// A CUDA process maps all of the GPU's memory and more: no limit of addresses.
[[nodiscard]] inline remote_limits gpu_limits() {
  remote_limits made;
  made.process.address_space = 0;
  made.process.open_files = 1024;
  made.process.file_bytes = std::uint64_t{1} << 30;
  made.start = {60, 0};
  made.load = {60, 0};
  made.run = {120, 0};
  made.time = {300, 0};
  return made;
}

// Held until the descriptor is closed.
[[nodiscard]] inline result<descriptor> lock_gpu(const std::string& uuid) {
  std::string folder = "/tmp";
  if (const char* const told = std::getenv("SKILLBENCH_LOCKS"); told && *told) folder = told;
  std::string plain;
  for (const char c : uuid) plain += (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ? c : '_';
  const std::string path = folder + "/skillbench-" + plain + ".lock";
  descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (!file) file = descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));  // another user's
  if (!file) return child_process::system_fault("cannot open the lock " + path, errno);
  // Open to other users, if it is a lock of ours and not what somebody linked there.
  struct stat found {};
  if (::fstat(file.number(), &found) == 0 && S_ISREG(found.st_mode) && found.st_nlink == 1 && found.st_size == 0)
    (void)::fchmod(file.number(), 0666);
  if (::flock(file.number(), LOCK_EX | LOCK_NB) == 0) return file;
  if (errno == EWOULDBLOCK) return fault{reason::no_device, "another skillbench is using it (" + path + ")"};
  return child_process::system_fault("cannot lock " + path, errno);
}

// Called for each worker that is started and before one is reaped.
struct gpu_watcher {
  std::function<void(pid_t)> started, ending;
};

class gpus {
 public:
  [[nodiscard]] static result<std::unique_ptr<gpus>> open(const std::string& program, std::vector<std::string> arguments, const toolkit& cuda,
                                                          gpu_watcher seen = {}, const remote_limits& limits = gpu_limits()) {
    auto driver = cuda::driver::open();
    if (!driver) return driver.error();
    const auto count = driver.value().devices();
    if (!count) return count.error();
    std::unique_ptr<gpus> made(new gpus);
    made->limits_ = limits;
    made->seen_ = std::move(seen);
    std::string why;
    for (int i = 0; i < count.value(); ++i) {
      const auto refuse = [&](const std::string& what) { why += (why.empty() ? "" : "; ") + ("GPU " + std::to_string(i) + ": " + what); };
      auto facts = driver.value().facts(i);
      if (!facts) {
        refuse(facts.error().what);
        continue;
      }
      if (facts.value().major != 9 || facts.value().minor != 0) {
        refuse(facts.value().name + " is of compute capability " + std::to_string(facts.value().major) + "." + std::to_string(facts.value().minor) + ", kernels are judged for 9.0");
        continue;
      }
      auto locked = lock_gpu(facts.value().uuid);
      if (!locked) {
        refuse(locked.error().what);
        continue;
      }
      auto each = std::make_unique<seat>();
      each->facts = std::move(facts).value();
      each->lock = std::move(locked).value();
      each->command.program = program;
      each->command.arguments = arguments;
      each->command.arguments.push_back(std::to_string(i));
      each->command.environment = gpu_environment(cuda);
      made->seats_.push_back(std::move(each));
    }
    if (made->seats_.empty())
      return fault{reason::no_device, "no GPU can be used: " + (why.empty() ? std::string("the driver is there and sees no GPU") : why)};
    made->note_ = why;
    return made;
  }

  ~gpus() {
    for (const auto& each : seats_) drop(*each);
  }
  gpus(const gpus&) = delete;
  gpus& operator=(const gpus&) = delete;

  // GPUs that are there and are not used, and why; "" when all are.
  [[nodiscard]] const std::string& note() const noexcept { return note_; }
  [[nodiscard]] std::string name() const { return seats_.front()->facts.name; }
  [[nodiscard]] std::size_t count() const noexcept { return seats_.size(); }

  void stop() {
    {
      const std::lock_guard held(lock_);
      stopped_ = true;
    }
    free_.notify_all();
  }

  // A device that compiles on `compiler` and runs on whichever GPU is free, from
  // its first load until it is gone.
  [[nodiscard]] std::unique_ptr<device> make(std::unique_ptr<device> compiler) {
    return std::make_unique<candidate_device>(*this, std::move(compiler));
  }

 private:
  struct seat {
    cuda::gpu_facts facts;
    descriptor lock;
    child_command command;
    std::unique_ptr<remote> worker;
    std::string why_open;  // a shut worker did not start
    bool taken = false, suspect = false;
    std::optional<fault> dead;
  };

  gpus() = default;

  [[nodiscard]] result<seat*> take() {
    std::unique_lock held(lock_);
    for (;;) {
      if (stopped_) return fault{reason::cancelled, "stopped before it was judged"};
      std::optional<fault> dead;
      for (const auto& each : seats_) {
        if (each->dead) {
          if (!dead) dead = each->dead;
          continue;
        }
        dead.reset();
        if (each->taken) continue;
        each->taken = true;
        return each.get();
      }
      bool any = false;
      for (const auto& each : seats_) any |= !each->dead;
      if (!any) return *dead;
      free_.wait(held);
    }
  }
  void give(seat* of) {
    {
      const std::lock_guard held(lock_);
      of->taken = false;
    }
    free_.notify_all();  // a GPU that was given up is told to all who wait
  }

  void drop(seat& of) {
    if (of.worker && seen_.ending) seen_.ending(of.worker->process_id());
    of.worker.reset();
    of.suspect = false;
  }

  // A worker that answers, a new one where there is none; `fresh` says so.
  [[nodiscard]] result<remote*> ready(seat& of, bool& fresh) {
    fresh = false;
    if (of.dead) return *of.dead;
    if (of.worker && of.suspect && !of.worker->answers()) drop(of);
    of.suspect = false;
    if (of.worker) return of.worker.get();
    auto started = remote::start(of.command, limits_);
    const bool basic = of.command.arguments.size() > 1 && *(of.command.arguments.end() - 2) == "basic";
    if (!started && !basic) {
      // A driver may need what a shut worker has not.
      child_command open = of.command;
      open.arguments.insert(open.arguments.end() - 1, "basic");
      if (auto second = remote::start(open, limits_)) {
        of.why_open = started.error().what;
        of.command = std::move(open);
        started = std::move(second);
      }
    }
    if (!started) {
      const std::lock_guard held(lock_);
      if (stopped_) return fault{reason::cancelled, "stopped before it was judged"};
      of.dead = fault{reason::no_device, "GPU " + std::to_string(of.facts.ordinal) + " (" + of.facts.name + ") cannot be used: " + started.error().what};
      return *of.dead;
    }
    of.worker = std::move(started).value();
    if (seen_.started) seen_.started(of.worker->process_id());
    fresh = true;
    return of.worker.get();
  }

  // What one candidate sees. The PTX machine reads its code as well: it knows what
  // a driver does not look at (a parameter of another size, a store to a module
  // variable), and no launch is made before it has looked.
  class candidate_device final : public device {
   public:
    candidate_device(gpus& of, std::unique_ptr<device> compiler) : of_(of), compiler_(std::move(compiler)) {}
    ~candidate_device() override {
      if (seat_) of_.give(seat_);
    }
    candidate_device(const candidate_device&) = delete;
    candidate_device& operator=(const candidate_device&) = delete;

    [[nodiscard]] std::string name() const override { return seat_ ? seat_->facts.name : of_.name(); }
    [[nodiscard]] std::string target() const override { return compiler_->target(); }
    [[nodiscard]] bool measures() const override { return true; }
    [[nodiscard]] std::string isolation() const override { return compiler_->isolation(); }
    [[nodiscard]] std::string gpu_isolation() const override {
      if (!seat_ || !seat_->worker) return "";
      return seat_->why_open.empty() ? seat_->worker->isolation() : "basic: shut in, it does not work (" + seat_->why_open + ")";
    }
    [[nodiscard]] bool killed() const override { return killed_ || compiler_->killed(); }
    [[nodiscard]] double cpu_used() const override { return compiler_->cpu_used(); }
    [[nodiscard]] bool takes_cubin() const override { return true; }
    [[nodiscard]] std::string loaded() const override { return loaded_ && seat_ && seat_->worker ? seat_->worker->loaded() : ""; }
    [[nodiscard]] result<image> compile(const compile_request& it) override {
      compile_request whole = it;
      whole.cubin = true;
      return compiler_->compile(whole);
    }

    [[nodiscard]] result<done> load(const std::string& ptx) override {
      image made;
      made.ptx = ptx;
      return load_image(made);
    }
    [[nodiscard]] result<done> load_image(const image& made) override {
      code_.ptx = made.ptx;
      code_.cubin = made.cubin;
      loaded_ = false;
      if (auto read = compiler_->load(code_.ptx); !read) return read;
      if (auto on = worker(); !on) return on.error();
      return done{};
    }

    // Exact counts, and some CTAs of a shape that is too large, are the PTX
    // machine's to give.
    [[nodiscard]] result<run_report> run(const job& asked) override {
      if (asked.counters || !asked.ctas.empty()) return compiler_->run(asked);
      job read = asked;
      read.ctas = {-1};  // none: nothing is run
      auto looked = compiler_->run(read);
      if (!looked) return looked;
      for (const finding& each : looked.value().findings)
        if (each.weight == severity::fails) {
          looked.value().outputs.clear();
          return looked;
        }
      auto on = worker();
      if (!on) return on.error();
      auto told = on.value()->run(asked);
      note(*on.value(), told.ok() ? &told.value().findings : nullptr);
      if (!told) return told;
      auto& all = told.value().findings;
      all.insert(all.begin(), looked.value().findings.begin(), looked.value().findings.end());
      return told;
    }

    [[nodiscard]] result<timing_report> time(const timing_request& asked) override {
      auto on = worker();
      if (!on) return on.error();
      auto told = on.value()->time(asked);
      note(*on.value(), told.ok() ? &told.value().findings : nullptr);
      return told;
    }

   private:
    // After trouble the worker is asked whether it is still there.
    void note(const remote& on, const std::vector<finding>* findings) {
      if (!findings || !findings->empty()) seat_->suspect = true;
      killed_ = killed_ || on.killed();
    }
    [[nodiscard]] result<remote*> worker() {
      if (!seat_) {
        auto taken = of_.take();
        if (!taken) return taken.error();
        seat_ = taken.value();
      }
      bool fresh = false;
      auto on = of_.ready(*seat_, fresh);
      if (!on) return on;
      if (loaded_ && !fresh) return on;
      if (auto made = on.value()->load_image(code_); !made) {
        seat_->suspect = true;
        return made.error();
      }
      loaded_ = true;
      return on;
    }

    gpus& of_;
    std::unique_ptr<device> compiler_;
    seat* seat_ = nullptr;
    image code_;
    bool loaded_ = false, killed_ = false;
  };

  remote_limits limits_;
  gpu_watcher seen_;
  std::vector<std::unique_ptr<seat>> seats_;
  std::string note_;
  std::mutex lock_;
  std::condition_variable free_;
  bool stopped_ = false;
};

}  // namespace skillbench::cli
