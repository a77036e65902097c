#pragma once
// device.hpp: what any device can be asked, and how it says what it cannot do.
//
// Layer   4. Plain values, so that a device can live in another process:
//         device/ptx.hpp is the PTX machine, device/remote.hpp a worker child
//         that serves one over a pipe (worker.hpp).
// Units   bytes, elements, threads, CTAs; counters are exact counts.
// Errors  Faults only (ours). What is wrong with a kernel is a finding in the
//         report. reason::not_supported, too_slow and too_large make a
//         candidate unjudged; everything else is infrastructure.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/counters.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/fill.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/timing.hpp>
#include <skillbench/units.hpp>
#include <skillbench/vendor_graph.hpp>

namespace skillbench {

// ---- compiling ------------------------------------------------------------

struct compile_request {
  std::string source;
  // Name expressions, one a launch; none: every kernel that is no template.
  std::vector<std::string> entries;
  std::string target = "sm_90a";
  bool line_info = true;             // .loc lines in the PTX
  bool cubin = false;                // machine code as well, for a GPU
};

struct kernel_image {
  std::string entry;    // as asked
  std::string lowered;  // as PTX names it
  std::optional<int> registers, spill_stores, spill_loads, stack_bytes,
      static_shared;    // of ptxas; absent when its log did not tell
};

// A refused source is not a fault: `ok` is false and `log` says why.
struct image {
  bool ok = false;
  std::string ptx;
  std::string log;         // NVRTC's and ptxas', capped
  bool log_cut = false;
  bool gave_up = false;    // out of memory, say: no last word on the source
  std::string cubin;       // what ptxas made of it, where that was asked for
  std::vector<kernel_image> kernels;  // same order as the entries asked for
  double cpu_seconds = 0.0;
};

// ---- running --------------------------------------------------------------

// `both`: starts as an input and comes back as an output.
enum class role : std::uint8_t { input = 0, output = 1, scratch = 2, both = 3 };
[[nodiscard]] constexpr bool comes_back(role use) noexcept {
  return use == role::output || use == role::both;
}

// Device memory of one launch sequence. Inputs are made from (filled, seed);
// outputs and scratch start undefined and poisoned.
struct buffer {
  std::string name;
  role use = role::input;
  element type = element::f32;
  std::int64_t elements = 0;  // scratch: bytes
  fill filled;
  std::uint64_t seed = 0;
  std::int64_t element_bytes = 0;  // 0: as `type` says
  std::string contents;            // not empty: what it starts with
  [[nodiscard]] std::int64_t bytes_of_element() const noexcept {
    return element_bytes > 0 ? element_bytes
           : use == role::scratch ? 1 : static_cast<std::int64_t>(size_of(type));
  }
  [[nodiscard]] std::int64_t bytes() const noexcept {
    return elements * bytes_of_element();
  }
};

struct kernel_argument {
  // Numbers have `bytes` bytes; `bits` may be of whatever type the kernel says.
  enum class type : std::uint8_t {
    pointer = 0, integer = 1, real = 2, bits = 3, tensor_map = 4
  };
  type kind = type::pointer;
  // An index into job::buffers or job::tensor_maps, or the integer.
  std::int64_t value = 0;
  double real = 0.0;
  std::string name;
  std::uint8_t bytes = 4;
};

// What cuTensorMapEncodeTiled gets, the innermost dimension first.
struct tensor_map_request {
  std::string name;
  std::int64_t buffer = 0;  // index into job::buffers
  std::vector<std::int64_t> extents, box, element_strides;  // elements
  std::vector<std::int64_t> strides;                        // bytes, one less
  std::int64_t swizzle = 0;     // bytes
  std::int64_t interleave = 0;  // bytes of a slice
  bool nan = false;             // what lies outside is NaN, not zero
};

struct launch {
  std::string entry;  // lowered
  extent grid, block;
  extent cluster;                 // CTAs; one CTA: as the kernel itself says
  std::int64_t shared_bytes = 0;  // dynamic
  std::vector<kernel_argument> args;
};

struct job {
  std::vector<buffer> buffers;
  std::vector<launch> launches;  // in order, one stream
  std::vector<tensor_map_request> tensor_maps;
  std::uint64_t seed = 0;        // schedule, addresses, poison
  std::uint64_t most_instructions = 0;  // warp instructions; 0: the device's own
  // Not empty: of each launch only these CTAs run (linear numbers, x fastest),
  // and outputs come back as the runs of bytes that they wrote.
  std::vector<std::int64_t> ctas;
  // Not 0: how long CTAs and warps run before others do is drawn from the seed,
  // from one instruction to as long as they can.
  std::uint64_t schedule = 0;
  // Each launch is counted in detail, which takes longer; tensors then lie as
  // an allocator aligns them, at multiples of 256 bytes.
  bool counters = false;
  // Of the host, over the CTAs of a launch; what a run tells is the same
  // whatever their number.
  std::int64_t threads = 1;
  // Outputs whose bits are those of the last run that did not say this may be
  // left out: of two runs of a case most are the same, and they are large.
  bool only_other_bits = false;
};

// Exact counts over all launches of any job. Sectors are those of requests and
// of asynchronous copies; an atomic counts as a store.
struct counters {
  std::uint64_t warp_instructions = 0;
  std::uint64_t thread_instructions = 0;  // sum of active lanes
  std::uint64_t global_load_sectors = 0;  // 32-byte sectors, per request
  std::uint64_t global_store_sectors = 0;
  std::uint64_t barriers = 0;
};

struct output_bytes {
  std::int64_t buffer = 0;  // index into job::buffers
  std::string bytes;        // device byte order (little endian)
  std::int64_t first = 0;   // byte of the tensor that `bytes` starts at
};

struct run_report {
  std::vector<finding> findings;  // without case and element: the caller's
  std::vector<output_bytes> outputs;
  counters counted;
  std::vector<launch_counters> launches;  // when the job asks for them
  double cpu_seconds = 0.0;
  std::string printed;             // by the kernels, as much as is kept
  std::uint64_t printed_lost = 0;  // bytes that were not
};

// ---- timing ---------------------------------------------------------------

// `sets` are the same launches on other contents each; calls go through them in
// turn, so that no call meets what the one before it left.
struct timed_kernel {
  std::string ptx, cubin;
  std::vector<job> sets;
};
struct timing_request {
  timed_kernel candidate, baseline;  // no sets: no baseline
  // The baseline's launches on the contents of each of the candidate's sets: run
  // once, when the candidate is gone.
  std::vector<job> afterwards;
  // A library's graph, timed on those contents beside the baseline.
  std::optional<vendor_graph> vendor;
  bool cold = true;                  // caches emptied before each sample
  calls_by by = calls_by::automatic;
  stopping limits;
  double sustained_seconds = 0;      // of calls back to back, afterwards
  std::vector<std::string> metrics;  // counted in a run of their own
};
// An output of a timed call; equal bits of one set are told once.
struct timed_output {
  std::uint64_t set = 0;
  std::uint64_t calls = 0;  // that left these bits
  std::vector<output_bytes> outputs;
};
struct timing_report {
  std::vector<finding> findings;  // of any timed call of the candidate
  timed_case told;                // without the case's name and floor
  std::vector<timed_output> outputs;
  std::uint64_t not_kept = 0;     // calls whose other bits found no room
  std::vector<timed_output> afterwards;  // one for each that was asked for
  std::vector<timed_output> vendor;      // of the library's timed calls
  std::uint64_t vendor_not_kept = 0;
  machine_rates rates;
};

class device {
 public:
  virtual ~device() = default;
  [[nodiscard]] virtual std::string name() const = 0;    // for records
  [[nodiscard]] virtual std::string target() const = 0;  // "sm_90a"
  [[nodiscard]] virtual result<image> compile(const compile_request&) = 0;
  // Makes `ptx` the module that the next runs use.
  [[nodiscard]] virtual result<done> load(const std::string& ptx) = 0;
  // The same of all that a compiler made. What runs machine code takes that, and
  // PTX where it cannot; `loaded` says which and why.
  [[nodiscard]] virtual result<done> load_image(const image& made) {
    return load(made.ptx);
  }
  [[nodiscard]] virtual bool takes_cubin() const { return false; }
  // "cubin", or "PTX: " and why; "" where there is no choice.
  [[nodiscard]] virtual std::string loaded() const { return {}; }
  [[nodiscard]] virtual result<run_report> run(const job&) = 0;
  // Runs the first of `jobs` and as many of the next as it likes, and tells of
  // each in order; the caller asks again for the others. What sleeps between
  // requests is woken once: on an idle machine that can cost more than a job.
  [[nodiscard]] virtual std::vector<result<run_report>> run_some(
      std::span<const job> jobs) {
    std::vector<result<run_report>> told;
    if (!jobs.empty()) told.push_back(run(jobs.front()));
    return told;
  }
  // How the process that reads hostile text is shut in: "strict", or "basic:" and
  // what is lacking; "" for none.
  [[nodiscard]] virtual std::string isolation() const { return {}; }
  // The same of the process that owns a GPU: "shut", or "basic:" and why.
  [[nodiscard]] virtual std::string gpu_isolation() const { return {}; }
  // False: what it says of time is nothing.
  [[nodiscard]] virtual bool measures() const { return false; }
  // Alone on the device for as long as it takes.
  [[nodiscard]] virtual result<timing_report> time(const timing_request&) {
    return fault{reason::not_supported, "no GPU"};
  }
  // True: nothing more can be asked of the process that this lives in.
  [[nodiscard]] virtual bool finished() const { return false; }
  // True: its process was killed by somebody else, a person or a system without
  // memory, which need not be what it was working on.
  [[nodiscard]] virtual bool killed() const { return false; }
  // CPU time that it has used so far, in a process of its own; 0: not told.
  [[nodiscard]] virtual double cpu_used() const { return 0.0; }
};

}  // namespace skillbench
