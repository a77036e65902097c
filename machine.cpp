// The PTX machine of the program: the one place that is compiled for minutes.
#include <malloc.h>

#include <memory>
#include <string>

#include <skillbench/device/ptx.hpp>

std::unique_ptr<skillbench::device> make_machine(
    const skillbench::toolkit& cuda) {
#if defined(__GLIBC__)
  // What one launch gives back the next one takes again: to have its pages anew
  // from the system costs more than many a launch.
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
#endif
  return skillbench::make_ptx_device(cuda);
}

skillbench::result<std::string> machine_forms() {
  return skillbench::form_table();
}
