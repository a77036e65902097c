#pragma once
// timing.hpp: what timed calls say: samples, pairs, when to stop, floors.
//
// Layer   2. Plain values and pure functions: no clock is read here.
// Units   nanoseconds, MHz, bytes; a ratio is baseline over candidate, so above
//         1 the candidate is the faster one.
// Shapes  A round is A B B A: four samples of candidate (A) and baseline (B), so
//         that a drift that is linear in time falls out. Without a baseline a
//         round is two samples of the candidate.
// Missing A value that could not be had is absent, and `why_not` says why.
// Source  medians and their intervals: order statistics, the binomial interval
//         of a quantile (Conover, Practical Nonparametric Statistics, 3.2).

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace skillbench {

// One timed call: all launches of a case, once.
struct timed_sample {
  bool of_baseline = false;
  std::uint64_t round = 0;
  std::uint64_t contents = 0;            // which of the sets of tensors
  double nanoseconds = 0;                // by the timer that the report names
  std::optional<double> events, records; // by each that was read
  std::optional<std::uint64_t> sm_mhz;   // just after the call
  std::optional<std::uint64_t> reasons;  // NVML's bits for clocks held back

  bool operator==(const timed_sample&) const = default;
};

// How calls are handed to a GPU. One at a time, behind a kernel that holds the
// stream until all is queued; or a call of each set of contents as one graph, so
// that what the events between them cost is shared. `automatic`: the graph where
// no kernel records can be had and a call is shorter than `short_call` by events.
enum class calls_by : std::uint8_t { automatic = 0, one = 1, graph = 2 };
inline constexpr double short_call = 20'000;
[[nodiscard]] constexpr const char* words(calls_by way) noexcept {
  switch (way) {
    case calls_by::automatic: return "auto";
    case calls_by::one: return "calls";
    case calls_by::graph: return "graph";
  }
  return "unknown";
}

// How long to go on.
struct stopping {
  std::uint64_t fewest = 10;    // rounds
  std::uint64_t most = 500;     // rounds
  double noise = 0.005;         // relative half-width of the interval
  double seconds = 10;          // of wall time
};

struct centre {
  double median = 0, low = 0, high = 0;  // 95% interval of the median
  double least = 0, most = 0;
  std::size_t count = 0;
  // Half the interval against the median; infinite with too few samples.
  [[nodiscard]] double noise() const noexcept {
    return count >= 6 && median > 0 ? (high - low) / 2.0 / median : HUGE_VAL;
  }
};

[[nodiscard]] inline centre centre_of(std::span<const double> values) {
  centre made;
  made.count = values.size();
  if (values.empty()) return made;
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const std::size_t n = sorted.size();
  made.median = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0;
  const double reach = 1.96 * std::sqrt(static_cast<double>(n)) / 2.0;
  const double middle = static_cast<double>(n) / 2.0;
  const double low = std::max(std::floor(middle - reach), 1.0);
  const double high = std::min(std::ceil(middle + reach) + 1.0, static_cast<double>(n));
  made.low = sorted[static_cast<std::size_t>(low) - 1];
  made.high = sorted[static_cast<std::size_t>(high) - 1];
  made.least = sorted.front();
  made.most = sorted.back();
  return made;
}

[[nodiscard]] inline std::vector<double> times_of(std::span<const timed_sample> samples, bool baseline) {
  std::vector<double> made;
  for (const timed_sample& each : samples)
    if (each.of_baseline == baseline) made.push_back(each.nanoseconds);
  return made;
}

// Baseline over candidate of each round that holds both.
[[nodiscard]] inline std::vector<double> ratios_of(std::span<const timed_sample> samples) {
  std::vector<double> made;
  for (std::size_t at = 0; at < samples.size();) {
    double sum[2] = {};
    std::size_t count[2] = {};
    const std::uint64_t round = samples[at].round;
    for (; at < samples.size() && samples[at].round == round; ++at) {
      sum[samples[at].of_baseline] += samples[at].nanoseconds;
      ++count[samples[at].of_baseline];
    }
    if (count[0] > 0 && count[0] == count[1] && sum[0] > 0) made.push_back(sum[1] / sum[0]);
  }
  return made;
}

// What is watched: the paired ratio where there is a baseline.
[[nodiscard]] inline double noise_of(std::span<const timed_sample> samples) {
  const std::vector<double> ratios = ratios_of(samples);
  const bool paired = std::any_of(samples.begin(), samples.end(), [](const auto& each) { return each.of_baseline; });
  const std::vector<double> times = times_of(samples, false);
  return centre_of(paired ? ratios : times).noise();
}

enum class go_on : std::uint8_t { yes = 0, quiet_enough = 1, not_falling = 2, most_rounds = 3, no_time = 4 };
[[nodiscard]] constexpr const char* words(go_on why) noexcept {
  switch (why) {
    case go_on::yes: return "not yet";
    case go_on::quiet_enough: return "the noise is low enough";
    case go_on::not_falling: return "the noise falls no more";
    case go_on::most_rounds: return "the limit of rounds was reached";
    case go_on::no_time: return "the limit of time was reached";
  }
  return "unknown";
}

// After each round. The noise of half the rounds is what it must fall below: with
// honest noise twice as many rounds bring it to 0.71 of that.
[[nodiscard]] inline go_on next_step(std::span<const timed_sample> samples, double seconds, const stopping& limits) {
  const std::uint64_t rounds = samples.empty() ? 0 : samples.back().round + 1;
  if (rounds >= limits.most) return go_on::most_rounds;
  const bool enough = rounds >= limits.fewest;
  if (enough && seconds >= limits.seconds) return go_on::no_time;
  if (!enough) return seconds >= 4 * limits.seconds ? go_on::no_time : go_on::yes;
  const double now = noise_of(samples);
  if (now <= limits.noise) return go_on::quiet_enough;
  if (rounds < 4 * limits.fewest) return go_on::yes;
  std::size_t half = 0;
  while (half < samples.size() && samples[half].round < rounds / 2) ++half;
  return now > 0.95 * noise_of(samples.first(half)) ? go_on::not_falling : go_on::yes;
}

// Paired ratios tell a difference when their interval leaves 1 outside and the
// median is further from 1 than the timer's own repeatability.
[[nodiscard]] inline bool differs(const centre& ratio, double least = 0.005) noexcept {
  return ratio.count >= 6 && (ratio.low > 1.0 || ratio.high < 1.0) && std::abs(ratio.median - 1.0) >= least;
}

// The shortest time that physics allows a case: every input byte comes from
// memory once (caches were emptied), what the second-level cache cannot hold of
// the outputs goes there, and operations run at the peak of the fastest unit that
// the element type can use. Half of that peak rate's time is not granted away:
// paper rates are never exceeded.
struct machine_rates {
  double bytes_per_second = 0, operations_per_second = 0;
  double cache_bytes = 0;
};
[[nodiscard]] inline double floor_of(double read_bytes, double written_bytes, double operations, const machine_rates& on, bool cold) noexcept {
  double least = 0;
  if (on.bytes_per_second > 0 && cold) least = (read_bytes + std::max(0.0, written_bytes - on.cache_bytes)) / on.bytes_per_second;
  if (on.operations_per_second > 0) least = std::max(least, operations / on.operations_per_second);
  return least * 1e9;
}

// Two timers of the same call agree: events include what lies between kernels and
// their own resolution.
[[nodiscard]] inline bool timers_agree(double events, double records) noexcept {
  return events >= records - 1000.0 && events <= records * 1.05 + 10000.0;
}

// A hardware counter, or what CUPTI makes of some; one launch sequence, counted in
// a run of its own.
struct metric {
  std::string name;
  double value = 0;

  bool operator==(const metric&) const = default;
};

// What fits in one pass of an H100, so that one more launch is enough.
[[nodiscard]] inline const std::vector<std::string>& default_metrics() {
  static const std::vector<std::string> all{
      "gpu__time_duration.sum",
      "dram__bytes_read.sum",
      "dram__bytes_write.sum",
      "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_elapsed",
      "sm__warps_active.avg.pct_of_peak_sustained_active",
      "l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum",
      "smsp__inst_executed.sum",
      "sm__cycles_elapsed.max"};
  return all;
}

// A vendor's library on the candidate's contents, beside the baseline on the same:
// what a user would call instead of writing a kernel.
struct vendor_timing {
  std::string name;      // "cuDNN 9.19.0, layer norm"; "cuDNN" when it was not opened
  std::string why_not;   // why there is no time; "" when there is one
  std::string timer, stopped;          // as of a timed case
  std::vector<timed_sample> samples;   // of_baseline: else the library's
  std::uint64_t disagreements = 0;
  std::uint64_t verified_rows = 0, compared = 0;

  bool operator==(const vendor_timing&) const = default;
};

// What a device answers to one timing, and what is kept of it.
struct timed_case {
  std::string test_case, element_type;
  std::string code;      // what ran: "cubin", or "PTX: " and why
  std::uint64_t calls = 1;  // of a sample, back to back; its time is their mean
  std::string timer;     // "CUPTI records", "events"; "" when nothing was timed
  std::string why_not;   // why not; "" when it was
  std::string baseline;  // what it was held against; "" for nothing
  std::string device, stopped;  // on what, why no further rounds
  bool cold = true;
  bool fake = false;     // the clock is a stand-in's: no measurement
  std::vector<timed_sample> samples;  // in the order taken
  std::optional<double> sustained;    // nanoseconds of a call, back to back
  std::optional<std::uint64_t> sustained_mhz;
  std::uint64_t disagreements = 0;    // samples whose two timers differ
  std::uint64_t verified_rows = 0;    // rows of timed outputs held to the reference
  std::uint64_t compared = 0;         // elements held against the baseline's
  std::string not_compared;           // why none are
  double floor = 0, bytes = 0, operations = 0;  // of the case
  double peak_bytes = 0, peak_operations = 0;   // a second, on paper
  std::vector<metric> metrics;
  std::string no_metrics;             // why there are none
  std::string resident;               // CTAs of each launch on an SM, in words
  std::optional<vendor_timing> vendor;  // where that was asked for

  bool operator==(const timed_case&) const = default;
};

[[nodiscard]] inline centre candidate_time(const timed_case& of) { return centre_of(times_of(of.samples, false)); }
[[nodiscard]] inline centre baseline_time(const timed_case& of) { return centre_of(times_of(of.samples, true)); }
// Where a case stands under its roof: what it must move and do, in the median time,
// against the rates on paper. Which of the two binds is the one that takes longer.
struct roof {
  enum class by : std::uint8_t { nothing = 0, memory = 1, arithmetic = 2 } bound = by::nothing;
  double bytes = 0, operations = 0;  // a second, as reached
  double share = 0;                  // of the rate that binds
};
[[nodiscard]] inline roof roof_of(const timed_case& of) {
  roof made;
  const double seconds = candidate_time(of).median * 1e-9;
  if (!(seconds > 0)) return made;
  made.bytes = of.bytes / seconds;
  made.operations = of.operations / seconds;
  const double memory = of.peak_bytes > 0 ? made.bytes / of.peak_bytes : 0;
  const double arithmetic = of.peak_operations > 0 ? made.operations / of.peak_operations : 0;
  if (memory > 0 || arithmetic > 0) made.bound = memory >= arithmetic ? roof::by::memory : roof::by::arithmetic;
  made.share = std::max(memory, arithmetic);
  return made;
}

// "178.2 us, 3012 GB/s" of a time in nanoseconds; operations where those bind.
[[nodiscard]] inline std::string rate_words(const timed_case& of, double nanoseconds) {
  char text[96];
  const bool arithmetic = roof_of(of).bound == roof::by::arithmetic;
  const double rate = (arithmetic ? of.operations / 1000 : of.bytes) / nanoseconds;  // TFLOP/s, GB/s
  std::snprintf(text, sizeof text, "%.1f us, %.0f %s", nanoseconds / 1000, rate, arithmetic ? "TFLOP/s" : "GB/s");
  return text;
}

[[nodiscard]] inline centre speed_ratio(const timed_case& of) { return centre_of(ratios_of(of.samples)); }
[[nodiscard]] inline centre vendor_time(const vendor_timing& of) { return centre_of(times_of(of.samples, false)); }
[[nodiscard]] inline centre vendor_ratio(const vendor_timing& of) { return centre_of(ratios_of(of.samples)); }

// How many times as fast as the library the candidate is: both were paired with the
// baseline, which stands for what clocks did in between.
[[nodiscard]] inline std::optional<double> against_vendor(const timed_case& of) {
  if (!of.vendor || !of.why_not.empty() || !of.vendor->why_not.empty()) return std::nullopt;
  const double ours = speed_ratio(of).median, theirs = vendor_ratio(*of.vendor).median;
  if (!(ours > 0) || !(theirs > 0)) return std::nullopt;
  return ours / theirs;
}

// A timed case in one line: the candidate, what it was held against, the library.
[[nodiscard]] inline std::string words_of(const timed_case& of) {
  std::string told = of.test_case + " in " + of.element_type + ": ";
  if (!of.why_not.empty()) return told + "not measured: " + of.why_not;
  if (of.fake) told += "not measured: the clock is a stand-in's (it says ";
  told += rate_words(of, candidate_time(of).median);
  if (const centre theirs = baseline_time(of); theirs.count > 0) told += "; baseline " + rate_words(of, theirs.median);
  if (of.vendor) {
    told += "; " + of.vendor->name + " ";
    if (!of.vendor->why_not.empty()) told += "not measured: " + of.vendor->why_not;
    else told += rate_words(of, vendor_time(*of.vendor).median);
    if (const auto times = against_vendor(of)) {
      char text[64];
      std::snprintf(text, sizeof text, " (the candidate %.2f times as fast)", *times);
      told += text;
    }
  }
  return told + (of.fake ? ")" : "");
}

}  // namespace skillbench
