// The PTX machine of the program: the one place that is compiled for minutes.
#include <memory>
#include <string>

#include <skillbench/device/ptx.hpp>

std::unique_ptr<skillbench::device> make_machine(
    const skillbench::toolkit& cuda) {
  return skillbench::make_ptx_device(cuda);
}

skillbench::result<std::string> machine_forms() {
  return skillbench::form_table();
}
