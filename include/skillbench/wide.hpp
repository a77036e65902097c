#pragma once
// wide.hpp: whether this host has the vectors of 512 bits that some loops have a
// form for.
//
// Layer   0. Standard library only.
// Meaning AVX-512 F, BW, DQ and VL, BMI2 and FMA, as Intel's server cores since 2017
//         and AMD's since 2022 have them. A function for them is compiled for them by its
//         attribute, whatever the rest is compiled for, and called only where this
//         says yes. Its results are the same bits as those of the plain form.

#if defined(__x86_64__)
#define SKILLBENCH_WIDE_TARGET "avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2,fma"
#endif

namespace skillbench {

[[nodiscard]] inline bool host_is_wide() noexcept {
#if defined(__x86_64__)
  static const bool yes = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
  }();
  return yes;
#else
  return false;
#endif
}

}  // namespace skillbench
