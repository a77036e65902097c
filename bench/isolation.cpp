// isolation: what it costs to shut a candidate in, in CPU milliseconds.
//
// One candidate is a worker that is started, compiles a bare kernel, and ends. All
// of its CPU time and what this process spends on it, less the compile by the clock
// of the thread that compiles (NVRTC's loading included). The kinds take turns; the
// median of each is told, and the least.

#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/bubblewrap.hpp>
#include <skillbench/cuda/library.hpp>
#include <skillbench/device/remote.hpp>
#include <skillbench/find_worker.hpp>
#include <skillbench/isolate.hpp>

#include "cpu_time.hpp"

using namespace skillbench;

namespace {

struct kind {
  const char* name;
  std::vector<std::string> arguments;
  std::vector<double> above, compile;  // milliseconds
  std::string how;
};

bool one(kind& of, const toolkit& cuda) {
  const double before = all_seconds();
  double compile = 0;
  {
    child_command command{SKILLBENCH_PROGRAM, of.arguments,
                          worker_environment(cuda)};
    if (of.arguments.back() == "bwrap") {
      std::vector<std::string> readable = library_places();
      readable.push_back(cuda.include);
      readable.push_back(cuda.library_folder);
      command = bubblewrap::around(bubblewrap::find().value(), command, readable);
    }
    auto worker = remote::start(command);
    if (!worker) return std::printf("%s\n", worker.error().what.c_str()), false;
    of.how = worker.value()->isolation();
    compile_request asked;
    asked.source = "extern \"C\" __global__ void one(float* y) { y[0] = 1; }";
    asked.entries = {"one"};
    const auto made = worker.value()->compile(asked);
    if (!made) return std::printf("%s\n", made.error().what.c_str()), false;
    compile = made.value().cpu_seconds;
  }
  // bwrap leaves the worker to whoever reaps orphans: that is us.
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
  of.above.push_back(1e3 * (all_seconds() - before - compile));
  of.compile.push_back(1e3 * compile);
  return true;
}

double median(std::vector<double> of) {
  std::sort(of.begin(), of.end());
  return of[of.size() / 2];
}

}  // namespace

int main() {
  (void)::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const auto cuda = find_toolkit();
  if (!cuda) return std::printf("%s\n", cuda.error().what.c_str()), 1;
  std::vector<kind> kinds{{"strict", {"worker"}, {}, {}, ""},
                          {"basic", {"worker", "basic"}, {}, {}, ""}};
  const auto bwrap = bubblewrap::find();
  if (bwrap) kinds.push_back({"bwrap", {"worker", "bwrap"}, {}, {}, ""});
  else std::printf("%s\n", bwrap.error().what.c_str());
  for (int i = 0; i < 21; ++i)
    for (kind& each : kinds)
      if (!one(each, cuda.value())) return 1;
  std::printf("%-8s %8s %12s %12s\n", "", "compile", "above it", "least above");
  for (const kind& each : kinds)
    std::printf("%-8s %5.1f ms %9.1f ms %9.1f ms  (%s)\n", each.name,
                median(each.compile), median(each.above),
                *std::min_element(each.above.begin(), each.above.end()),
                each.how.substr(0, 40).c_str());
  const double strict = median(kinds[0].above);
  std::printf("\nstrict above the compile: goal 25 ms: %s; above basic: %.1f ms\n",
              strict <= 25 ? "met" : "NOT met", strict - median(kinds[1].above));
  return 0;
}
