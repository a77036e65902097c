// A GPU's worker as the program has one, with less patience: tests start it with
// SKILLBENCH_DRIVER naming a stand-in.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <skillbench/child.hpp>
#include <skillbench/device/cuda.hpp>
#include <skillbench/isolate_gpu.hpp>
#include <skillbench/worker.hpp>

int main(int count, char** words) {
  using namespace skillbench;
  const auto cuda = find_toolkit();
  if (!cuda) return std::fprintf(stderr, "%s\n", cuda.error().what.c_str()), 3;
  cuda_device::limits allowed;
  allowed.most_seconds = 1;
  auto on = open_gpu(cuda.value(), count > 1 ? std::atoi(words[count - 1]) : 0, allowed);
  if (!on) return std::fprintf(stderr, "%s\n", on.error().what.c_str()), 3;
  std::string how = "basic: asked for";
  if (count < 3 || std::string(words[count - 2]) != "basic") {
    how = isolate_gpu(gpu_places(cuda.value().root));
    if (const auto still = on.value()->prove(); !still) return std::fprintf(stderr, "%s\n", still.error().what.c_str()), 3;
  }
  return serve(*on.value(), requests_descriptor, answers_descriptor, how);
}
