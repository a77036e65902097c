#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdio>

#include <memory>
#include <string>

#include <skillbench/cli/program.hpp>

// machine.cpp
std::unique_ptr<skillbench::device> make_machine(const skillbench::toolkit&);
skillbench::result<std::string> machine_forms();

// Asked with plain calls, before anything that was built from the wider
// instructions runs.
static bool processor_is_enough() {
#if defined(__x86_64__) && defined(__AVX2__)
  __builtin_cpu_init();
  unsigned a = 0, b = 0, c = 0, d = 0;  // not all compilers know F16C's name
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
#else
  return true;
#endif
}

int main(int count, char** words) {
  if (!processor_is_enough()) {
    std::fputs("skillbench: this processor lacks AVX2, FMA or F16C, for which "
               "the program was built: configure with "
               "-D SKILLBENCH_X86_V3=OFF\n",
               stderr);
    return 3;
  }
  return skillbench::cli::main(count, words, {&make_machine, &machine_forms});
}
