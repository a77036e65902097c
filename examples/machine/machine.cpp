// A kernel on the PTX machine, in this process: CUDA in, findings and values out.
#include <cstdio>
#include <cstring>
#include <string>

#include <skillbench/device/ptx.hpp>

namespace sb = skillbench;

// Turns 64 numbers round in shared memory.
const std::string source = R"(extern "C" __global__ void turn(const int* x, int* y) {
  __shared__ int held[64];
  held[threadIdx.x] = x[threadIdx.x];
  /* wait */
  y[threadIdx.x] = held[63 - threadIdx.x];
})";

sb::result<sb::run_report> run(sb::device& machine, const std::string& cuda) {
  const auto made = machine.compile({.source = cuda});  // PTX can be loaded at once
  if (!made) return made.error();
  if (!made.value().ok) return sb::fault{sb::reason::bad_input, made.value().log};
  if (const auto loaded = machine.load(made.value().ptx); !loaded) return loaded.error();

  std::string numbers(64 * sizeof(int), '\0');
  for (int i = 0; i < 64; ++i) std::memcpy(&numbers[sizeof i * i], &i, sizeof i);
  sb::job job;
  job.buffers = {{.name = "x", .elements = 64, .element_bytes = 4, .contents = numbers},
                 {.name = "y", .use = sb::role::output, .elements = 64, .element_bytes = 4}};
  job.launches = {{.entry = "turn", .block = {64}, .args = {{.value = 0, .name = "x"}, {.value = 1, .name = "y"}}}};
  return machine.run(job);
}

int main() {
  const auto cuda = sb::find_toolkit();
  if (!cuda) return std::puts(cuda.error().what.c_str()), 3;
  const auto machine = sb::make_ptx_device(cuda.value());
  std::string waits = source;
  waits.replace(waits.find("/* wait */"), 10, "__syncthreads();");
  for (const auto& each : {source, waits}) {
    const auto told = run(*machine, each);
    if (!told) return std::puts(told.error().what.c_str()), 3;
    for (const auto& one : told.value().findings) std::printf("line %d: %s\n", one.line.value_or(0), name(one.kind).data());
    int y[64];
    std::memcpy(y, told.value().outputs.at(0).bytes.data(), sizeof y);
    if (told.value().findings.empty()) std::printf("y = %d %d %d ... %d\n", y[0], y[1], y[2], y[63]);
  }
}
