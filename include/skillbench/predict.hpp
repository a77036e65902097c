#pragma once
// predict.hpp: exact counters to the time that an H100 might take. A guess.
//
// Layer   2. Includes counters.hpp, occupancy.hpp and timing.hpp. Nothing else of the project
//         knows the model, so another one can take its place: it is a function
//         from `launch_facts` to `prediction`.
// Units   nanoseconds; clocks of an SM where a name says so.
// Model   a launch takes as long as what it needs most: issue slots and pipes
//         of the SMs, wavefronts of shared memory, sectors through L1, bytes
//         from L2 and from memory, tensor operations, or the latency of what
//         each warp waits for, one wave of resident CTAs after the other. The
//         work of an SM is that of the SM with the most CTAs. What is nearly as
//         scarce adds a little: the parts are joined by a power mean.
// Error   not known: nothing here was held against a GPU. Good for telling two
//         settings of one kernel apart, not for telling anybody a time.
// Source  NVIDIA H100 Tensor Core GPU Architecture (SMs, rates, caches); CUDA
//         C++ Programming Guide, "Arithmetic Instructions" (results per clock
//         and SM for 9.0) and "Occupancy". Latencies and what L2 gives are of
//         the order that microbenchmarks report, and choices of ours.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <skillbench/counters.hpp>
#include <skillbench/occupancy.hpp>
#include <skillbench/timing.hpp>
#include <skillbench/units.hpp>

namespace skillbench {

// What a launch is made of, and what it did.
struct launch_facts {
  extent grid, block;
  std::int64_t shared_bytes = 0;  // of a CTA, static and dynamic
  std::int64_t registers = 32;    // of a thread
  const launch_counters* counted = nullptr;
};

enum class limiter : std::uint8_t {
  issue = 0, pipes = 1, shared = 2, l1 = 3, l2 = 4, memory = 5, tensor = 6,
  latency = 7,
};
[[nodiscard]] constexpr std::string_view name(limiter of) noexcept {
  switch (of) {
    case limiter::issue: return "issue slots";
    case limiter::pipes: return "arithmetic pipes";
    case limiter::shared: return "shared memory";
    case limiter::l1: return "L1";
    case limiter::l2: return "L2";
    case limiter::memory: return "memory";
    case limiter::tensor: return "tensor cores";
    case limiter::latency: return "latency";
  }
  return "unknown";
}

struct prediction {
  double nanoseconds = 0;
  limiter by = limiter::latency;            // what it needs most
  std::array<double, 8> parts{};            // nanoseconds, by limiter
  std::int64_t resident = 0;                // CTAs of an SM at once
  double occupancy = 0;                     // of 64 warps

  [[nodiscard]] bool fits() const noexcept { return resident > 0; }
};

namespace h100_model {

inline constexpr double processors = 132;
inline constexpr double clock = 1.755;           // clocks in a nanosecond
inline constexpr double memory_bytes = 3000;     // a nanosecond, a device copy
inline constexpr double l2_bytes = 5500;
inline constexpr double fixed = 1500;            // ns before and after the work
inline constexpr std::int64_t shared_reserved = 1024;  // of a CTA
inline constexpr std::int64_t cache = 256 * 1024;      // L1 and shared

// Warp instructions of a class that an SM takes in a clock.
[[nodiscard]] constexpr double rate(instruction_class of) noexcept {
  switch (of) {
    case instruction_class::f32: return 4;
    case instruction_class::integer: return 2;
    case instruction_class::f16: return 4;
    case instruction_class::f64: return 2;
    case instruction_class::special: return 0.25;  // several steps each
    case instruction_class::convert: return 2;
    case instruction_class::exchange: return 1;
    default: return 4;
  }
}

// Operations of tensor cores in a nanosecond, dense.
[[nodiscard]] constexpr double rate(tensor_type of) noexcept {
  switch (of) {
    case tensor_type::f16:
    case tensor_type::bf16: return 989e3;
    case tensor_type::tf32: return 495e3;
    case tensor_type::f64: return 67e3;
    default: return 1979e3;
  }
}

}  // namespace h100_model

// What nothing that the model predicts can beat.
[[nodiscard]] constexpr machine_rates h100_rates() noexcept {
  return {h100_model::memory_bytes * 1e9,
          h100_model::rate(tensor_type::f16) * 1e9, 0};
}

[[nodiscard]] inline prediction predict_h100(const launch_facts& of) {
  namespace m = h100_model;
  prediction made;
  if (of.counted == nullptr) return made;
  const occupancy held = occupancy_of(
      {of.block.count(), of.registers, of.shared_bytes});
  made.resident = held.ctas;
  if (made.resident < 1) return made;
  const event_counts& all = of.counted->total;
  const double ctas = std::max(
      1.0, static_cast<double>(of.grid.x) * static_cast<double>(of.grid.y) *
               static_cast<double>(of.grid.z));
  const double warps =
      static_cast<double>((of.block.x * of.block.y * of.block.z + 31) / 32);
  made.occupancy = held.share;

  // Of all the work, what the busiest SM has.
  const double share = std::ceil(ctas / m::processors) / ctas;
  const auto of_processor = [&](double clocks) {
    return clocks * share / m::clock;
  };
  const auto number = [](std::uint64_t n) { return static_cast<double>(n); };

  double instructions = 0, busiest = 0;
  for (std::size_t i = 0; i < instruction_classes; ++i) {
    const auto kind = static_cast<instruction_class>(i);
    const double n = number(all.warp_instructions[i]);
    instructions += n;
    busiest = std::max(busiest, n / m::rate(kind));
  }
  const double requests =
      number(all.global_load_requests + all.global_store_requests +
             all.global_atomic_requests + all.thread_copies);
  const double shared_requests =
      number(all.shared_load_requests + all.shared_store_requests +
             all.shared_atomic_requests);
  const double sectors = number(global_sectors(all));
  const double distinct = number(of.counted->global_read_bytes +
                                 of.counted->global_written_bytes);
  // What L1 keeps is read from L2 once; it keeps what the resident CTAs read
  // if that is no more than it holds.
  const double read_of_cta = number(of.counted->global_read_bytes) / ctas;
  const double room =
      static_cast<double>(m::cache) -
      static_cast<double>(made.resident) *
          static_cast<double>(of.shared_bytes + m::shared_reserved);
  const double wanted = read_of_cta * static_cast<double>(made.resident);
  const double kept = wanted <= 0 ? 1 : std::clamp(room / wanted, 0.0, 1.0);
  const double asked = std::max(sectors * 32, distinct);
  const double through_l2 = distinct + (1 - kept) * (asked - distinct);

  auto& parts = made.parts;
  const auto part = [&](limiter which) -> double& {
    return parts[static_cast<std::size_t>(which)];
  };
  part(limiter::issue) = of_processor(instructions / 4);
  part(limiter::pipes) = of_processor(busiest);
  part(limiter::shared) = of_processor(number(shared_wavefronts(all)));
  part(limiter::l1) = of_processor(std::max(sectors / 4, requests));
  part(limiter::l2) = through_l2 / m::l2_bytes;
  part(limiter::memory) = distinct / m::memory_bytes;
  for (std::size_t i = 0; i < tensor_types; ++i)
    part(limiter::tensor) += number(all.tensor_operations[i]) /
                             m::rate(static_cast<tensor_type>(i)) * share *
                             m::processors;

  // What one warp waits for, in clocks, some of it at once.
  const double of_warp = 1 / (ctas * warps);
  const double waits = requests * of_warp * 600 / 4 +
                       shared_requests * of_warp * 24 / 2 +
                       instructions * of_warp * 4 / 1.5 +
                       number(of.counted->barriers) / ctas * 30;
  const double waves =
      std::ceil(ctas / (m::processors * static_cast<double>(made.resident)));
  part(limiter::latency) = waves * (waits + 600) / m::clock;

  double most = 0, sum = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] > most) {
      most = parts[i];
      made.by = static_cast<limiter>(i);
    }
    sum += std::pow(parts[i], 4);
  }
  made.nanoseconds = m::fixed + std::pow(sum, 0.25);
  return made;
}

}  // namespace skillbench
