#pragma once
// occupancy.hpp: how many CTAs of a kernel an SM holds, and what limits them.
//
// Layer   1. Includes units.hpp, h100.hpp and the standard library.
// Units   threads, warps, CTAs, 32-bit registers, bytes.
// Errors  none: a CTA that does not fit leaves 0 CTAs, and `limit` says why.
// Source  the allocation rules of compute capability 9.0, as cuda_occupancy.h has
//         them: registers in steps of 256 a warp from the quarter of the file that
//         the warp belongs to (a CTA has to fit with its warps in fours), shared
//         memory in steps of 128.
//         tests/occupancy_test.cpp holds this against that header. Clusters are
//         not looked at.

#include <algorithm>
#include <cstdint>
#include <string>

#include <skillbench/h100.hpp>

namespace skillbench {

struct sm_limits {
  std::int64_t threads = 2048, ctas = 32;
  std::int64_t registers = h100::registers;
  std::int64_t shared = 233472;          // carved out of the first-level cache
  std::int64_t shared_of_cta = h100::most_shared;
  std::int64_t reserved_shared = 1024;   // of each CTA, by the system
};

struct kernel_needs {
  std::int64_t threads = 1, registers = 0, shared = 0;  // static and dynamic
};

enum class occupancy_limit : std::uint8_t { threads = 0, ctas = 1, registers = 2, shared = 3, does_not_fit = 4 };
[[nodiscard]] constexpr const char* words(occupancy_limit by) noexcept {
  switch (by) {
    case occupancy_limit::threads: return "threads";
    case occupancy_limit::ctas: return "CTAs";
    case occupancy_limit::registers: return "registers";
    case occupancy_limit::shared: return "shared memory";
    case occupancy_limit::does_not_fit: return "a CTA does not fit";
  }
  return "unknown";
}

struct occupancy {
  std::int64_t ctas = 0, warps = 0;  // of an SM at a time
  double share = 0;                  // of the warps that an SM can hold
  occupancy_limit limit = occupancy_limit::threads;
};

[[nodiscard]] inline occupancy occupancy_of(const kernel_needs& of, const sm_limits& on = {}) noexcept {
  occupancy made;
  made.limit = occupancy_limit::does_not_fit;
  if (of.threads < 1 || of.threads > h100::most_threads || of.registers < 0 || of.registers > 255 || of.shared < 0 || of.shared > on.shared_of_cta) return made;
  const std::int64_t warps = (of.threads + 31) / 32;
  const std::int64_t in_fours = (warps + 3) / 4 * 4;
  std::int64_t least = on.threads / 32 / warps;
  made.limit = occupancy_limit::threads;
  const auto bound = [&](std::int64_t ctas, occupancy_limit by) {
    if (ctas >= least) return;
    least = ctas;
    made.limit = by;
  };
  bound(on.ctas, occupancy_limit::ctas);
  if (of.registers > 0) {
    const std::int64_t of_warp = (of.registers * 32 + 255) / 256 * 256;
    const std::int64_t of_quarter = on.registers / 4 / of_warp;  // warps
    const bool fits = of_warp * in_fours <= on.registers;
    bound(fits ? of_quarter * 4 / warps : 0, occupancy_limit::registers);
  }
  const std::int64_t bytes = (of.shared + on.reserved_shared + 127) / 128 * 128;
  bound(on.shared / bytes, occupancy_limit::shared);
  if (least < 1) {
    made.limit = occupancy_limit::does_not_fit;
    return made;
  }
  made.ctas = least;
  made.warps = least * warps;
  made.share = static_cast<double>(made.warps) / (static_cast<double>(on.threads) / 32.0);
  return made;
}

}  // namespace skillbench
