#pragma once
// record.hpp: what is kept of one judged output.
//
// Layer   2. json_record.hpp writes it as one JSON line and reads it back.
// Numbers `record_schema` changes when a reader of the line must change.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/assertion.hpp>
#include <skillbench/counters.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/manifest.hpp>
#include <skillbench/sample.hpp>
#include <skillbench/timing.hpp>
#include <skillbench/version.hpp>

namespace skillbench {

inline constexpr int record_schema = 1;

// The stages of evaluate.hpp; a record names the last one reached.
enum class stage : std::uint8_t { extract, read, compile, check, done, time };

[[nodiscard]] constexpr std::string_view name(stage reached) noexcept {
  switch (reached) {
    case stage::extract: return "extract";
    case stage::read: return "read";
    case stage::compile: return "compile";
    case stage::check: return "check";
    case stage::done: return "done";
    case stage::time: return "time";
  }
  return "unknown";
}

// How one element type and case went.
struct case_agreement {
  std::string test_case;
  std::string element_type;
  outcome reached = outcome::correct;
  std::uint64_t compared = 0, wrong = 0;
  double worst_share = 0.0;  // largest |actual - expected| / bound
  std::uint64_t schedules = 0;  // runs, each with its order of CTAs and warps
  std::uint64_t warp_instructions = 0;
  std::uint64_t global_load_sectors = 0, global_store_sectors = 0;
};

// What one launch did, counted in a run of its own.
struct counted_launch {
  std::string test_case;
  std::string element_type;
  std::uint64_t launch = 0;  // which of the case, from 0
  launch_counters of;

  bool operator==(const counted_launch&) const = default;
};

struct compiled_kernel {
  std::string element_type;
  std::string entry, lowered;
  std::optional<int> registers, spill_stores, spill_loads, stack_bytes,
      static_shared;
};

// How many times as fast as the family's baseline a kernel is: the geometric
// mean over the cases that were timed.
struct speedup {
  double times = 0;        // above 0
  bool predicted = false;  // by a model, from exact counts; else measured

  bool operator==(const speedup&) const = default;
};

// From the cases timed beside the baseline; nothing where there is none, or where
// the clock is a stand-in's.
[[nodiscard]] inline std::optional<speedup> speedup_of(
    std::span<const timed_case> timed) {
  double logarithms = 0;
  std::size_t count = 0;
  for (const timed_case& one : timed) {
    const double ratio = centre_of(ratios_of(one.samples)).median;
    if (one.fake || !(ratio > 0) || !std::isfinite(ratio)) continue;
    logarithms += std::log(ratio);
    ++count;
  }
  if (count == 0) return std::nullopt;
  return speedup{std::exp(logarithms / static_cast<double>(count)), false};
}

struct record {
  int schema = record_schema;
  sample of;                      // identity; its `output` text is not written
  std::string source_hash;        // of the excerpt, 64-bit hex; "" without one
  std::string source;             // the excerpt itself; not written
  std::string ptx;                // of every element type, when the plan asks
                                  // for it; not written
  std::string skillbench_version = version;
  std::string device;
  std::uint64_t seed = 0;
  std::string key;                // of all that decides the verdict, see key.hpp
  std::string same_as;            // id of the sample that was judged, when this
                                  // one has its output; "" when it is this one
  stage reached = stage::extract;
  outcome what = outcome::no_kernel;
  std::string reason;             // one sentence; "" for a correct one
  std::vector<finding> findings;
  setting chosen;                 // tunables, as judged
  std::vector<compiled_kernel> kernels;
  std::vector<case_agreement> cases;
  std::vector<counted_launch> counters;  // of one public case, when asked for
  std::string not_counted = "not measured";  // why some or all are absent; ""
                                             // when none is
  std::vector<timed_case> timings;  // of correct ones, on a GPU
  std::string speed;                // in words, or "not measured: no GPU"
  std::optional<speedup> against_baseline;  // when there is a time
  std::vector<told_assertion> assertions;   // of a suite; never an outcome
  std::vector<std::pair<std::string, double>> seconds;  // per stage, wall
};

}  // namespace skillbench
