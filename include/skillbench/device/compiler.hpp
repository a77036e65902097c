#pragma once
// device/compiler.hpp: NVRTC as a device compiles with it.
//
// Layer   4. Includes device.hpp and the door cuda/nvrtc.
// Errors  as cuda/nvrtc.hpp: a refused source is an answer, no fault.

#include <cstddef>
#include <ctime>
#include <optional>
#include <string>
#include <utility>

#include <skillbench/cuda/library.hpp>
#include <skillbench/cuda/nvrtc.hpp>
#include <skillbench/device.hpp>
#include <skillbench/fault.hpp>

namespace skillbench {

// Of the calling thread, so that other workers of the process do not count.
[[nodiscard]] inline double thread_cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

class device_compiler {
 public:
  explicit device_compiler(toolkit from) : toolkit_(std::move(from)) {}

  [[nodiscard]] result<image> compile(const compile_request& asked) {
    if (!opened_) {
      auto opened = nvrtc::open(toolkit_);
      if (!opened) return opened.error();
      opened_.emplace(std::move(opened).value());
    }
    const double before = thread_cpu_seconds();
    auto answer = opened_->compile(asked.source, asked.entries, asked.target, asked.line_info, asked.cubin);
    if (!answer) return answer.error();
    const nvrtc_answer& got = answer.value();
    image out;
    out.ok = got.ok;
    out.ptx = got.ptx;
    out.cubin = got.cubin;
    out.log = got.log;
    out.log_cut = got.log_cut;
    out.gave_up = got.gave_up;
    for (std::size_t i = 0; i < asked.entries.size(); ++i) {
      kernel_image k;
      k.entry = asked.entries[i];
      if (i < got.lowered.size()) k.lowered = got.lowered[i];
      if (i < got.resources.size()) {
        const kernel_resources& r = got.resources[i];
        k.registers = r.registers;
        k.spill_stores = r.spill_stores;
        k.spill_loads = r.spill_loads;
        k.stack_bytes = r.stack_bytes;
        k.static_shared = r.static_shared;
      }
      out.kernels.push_back(std::move(k));
    }
    out.cpu_seconds = thread_cpu_seconds() - before;
    return out;
  }

 private:
  toolkit toolkit_;
  std::optional<nvrtc> opened_;
};

}  // namespace skillbench
