#pragma once
// h100.hpp: what an H100 launches; beyond it the driver refuses.
//
// Layer   0. Includes units.hpp.
// Units   threads, CTAs, bytes, 32-bit registers.
// Source  CUDA C++ Programming Guide, technical specifications per compute
//         capability: 9.0.

#include <cstdint>

#include <skillbench/units.hpp>

namespace skillbench::h100 {

inline constexpr extent most_grid{2147483647, 65535, 65535};
inline constexpr extent most_block{1024, 1024, 64};
inline constexpr std::int64_t most_cluster = 16;    // CTAs
inline constexpr std::int64_t most_threads = 1024;   // of a CTA
inline constexpr std::int64_t most_shared = 232448;  // static and dynamic
inline constexpr std::int64_t registers = 65536;     // of a CTA

}  // namespace skillbench::h100
