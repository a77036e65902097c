#pragma once
// record.hpp: what is kept of one judged output.
//
// Layer   2. json_record.hpp writes it as one JSON line and reads it back.

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
#include <skillbench/tuning.hpp>
#include <skillbench/version.hpp>

namespace skillbench {

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

// The cases of one element type, added up.
struct case_sum {
  std::string element_type;
  std::uint64_t cases = 0, correct = 0;
  double worst_share = 0.0;
  std::uint64_t warp_instructions = 0;
  std::uint64_t global_load_sectors = 0, global_store_sectors = 0;

  bool operator==(const case_sum&) const = default;
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

// From the cases timed beside the baseline; nothing where one of them has no ratio,
// so that all speed-ups are of the same element types, or where the clock is a
// stand-in's.
[[nodiscard]] inline std::optional<speedup> speedup_of(
    std::span<const timed_case> timed) {
  double logarithms = 0;
  for (const timed_case& one : timed) {
    const double ratio = centre_of(ratios_of(one.samples)).median;
    if (one.fake || !one.why_not.empty() || !(ratio > 0) ||
        !std::isfinite(ratio))
      return std::nullopt;
    logarithms += std::log(ratio);
  }
  if (timed.empty()) return std::nullopt;
  return speedup{std::exp(logarithms / static_cast<double>(timed.size())),
                 false};
}

struct record {
  int schema = record_schema;
  sample of;                      // identity; its `output` text is not written
  std::string source_hash;        // of the excerpt, SHA-256; "" without one
  std::string source;             // the excerpt itself; not written
  std::string ptx;                // of every element type, when the plan asks
                                  // for it; not written
  std::string skillbench_version = version;
  std::string device;
  std::string isolation;  // of the worker: "strict", or what it lacks
  std::string gpu_isolation;  // of the GPU's: "shut", or what it lacks
  std::uint64_t seed = 0;
  std::string key;                // of all that decides the verdict, see key.hpp
  std::string same_as;            // id of the sample that was judged, when this
                                  // one has its output; "" when it is this one
  stage reached = stage::extract;
  outcome what = outcome::no_kernel;
  std::string reason;             // one sentence; "" for a correct one
  std::vector<finding> findings;
  std::string log;                // the compiler's, of every type; capped, and
                                  // "" when it had nothing to say
  setting chosen;                 // tunables, as judged
  std::vector<compiled_kernel> kernels;
  std::vector<case_agreement> cases;
  std::vector<case_sum> folded;   // of cases that a reader let go; not written
  std::vector<counted_launch> counters;  // of one public case, when asked for
  std::string not_counted = "not measured";  // why some or all are absent; ""
                                             // when none is
  std::string code;  // what a GPU loaded: "cubin", or "PTX: " and why
  std::vector<timed_case> timings;  // of correct ones, on a GPU
  std::string speed;                // in words, or "not measured: no GPU"
  std::optional<speedup> against_baseline;  // when there is a time
  std::optional<tuning_told> tuning;        // when it was asked for
  std::vector<told_assertion> assertions;   // of a suite; never an outcome
  std::vector<std::pair<std::string, double>> seconds;  // per stage, wall
};

// A NaN is worse than any share, and stays.
inline void add_to(case_sum& all, const case_sum& more) {
  all.cases += more.cases;
  all.correct += more.correct;
  if (all.worst_share == all.worst_share &&
      !(more.worst_share <= all.worst_share))
    all.worst_share = more.worst_share;
  all.warp_instructions += more.warp_instructions;
  all.global_load_sectors += more.global_load_sectors;
  all.global_store_sectors += more.global_store_sectors;
}

// The cases by element type, in the order in which the types come, with those
// that were let go.
[[nodiscard]] inline std::vector<case_sum> sums_of_cases(const record& one) {
  std::vector<case_sum> all = one.folded;
  for (const case_agreement& each : one.cases) {
    case_sum* in = nullptr;
    for (case_sum& known : all)
      if (known.element_type == each.element_type) in = &known;
    if (in == nullptr) {
      in = &all.emplace_back();
      in->element_type = each.element_type;
    }
    add_to(*in, {each.element_type, 1,
                 each.reached == outcome::correct ? std::uint64_t{1} : 0,
                 each.worst_share, each.warp_instructions,
                 each.global_load_sectors, each.global_store_sectors});
  }
  return all;
}

// Lets the cases go and keeps their sums: a report of many records needs no
// more, and they are most of what a record is.
inline void fold_cases(record& one) {
  one.folded = sums_of_cases(one);
  one.cases = {};
}

}  // namespace skillbench
