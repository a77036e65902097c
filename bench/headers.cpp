// headers: what the headers cost to include, beside the libraries they stand on.
//
// Lines   preprocessed (`-E -P`), which do not depend on the machine's mood.
// Time    CPU seconds of the compiler for a file that has the include alone,
//         without and with optimisation: the least of three.

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

struct header {
  const char* name;     // as included
  const char* options;  // beside the usual ones
};

constexpr header all[] = {
    {"string", ""},
    {"skillbench/compare.hpp", ""},
    {"skillbench/family.hpp", ""},
    {"skillbench/device/remote.hpp", ""},
    {"nlohmann/json.hpp", ""},
    {"CLI/CLI.hpp", ""},
    {"skillbench/skillbench.hpp", ""},
};

double children_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_CHILDREN, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) +
           1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

std::string command(const header& of, const std::string& action) {
  return "echo '#include <" + std::string(of.name) + ">' | '" +
         SKILLBENCH_COMPILER "' -std=c++20 -mavx2 -mfma -mf16c -I'" +
         SKILLBENCH_SOURCE_DIR "/include' -I'" SKILLBENCH_BINARY_DIR
         "/generated' -I'" SKILLBENCH_SOURCE_DIR "' " + of.options + " " +
         action + " -x c++ -";
}

long lines_of(const header& of) {
  std::FILE* const pipe =
      ::popen((command(of, "-E -P") + " | wc -l").c_str(), "r");
  long lines = 0;
  if (!pipe || std::fscanf(pipe, "%ld", &lines) != 1) lines = 0;
  if (pipe && ::pclose(pipe) != 0) lines = 0;
  return lines;
}

// Less than zero if it does not compile.
double seconds_of(const header& of, const char* level) {
  double least = -1;
  for (int turn = 0; turn < 3; ++turn) {
    const double before = children_seconds();
    const std::string asked =
        command(of, std::string(level) + " -c -o /dev/null");
    if (std::system(asked.c_str()) != 0) return -1;
    const double took = children_seconds() - before;
    least = least < 0 ? took : std::min(least, took);
  }
  return least;
}

}  // namespace

int main() {
  std::printf("%-30s %10s %10s %10s\n", "include", "lines", "s at -O0",
              "s at -O2");
  double json = 0, ours = 0;
  for (const header& each : all) {
    const long lines = lines_of(each);
    const double plain = seconds_of(each, "-O0");
    const double fast = seconds_of(each, "-O2");
    if (lines == 0 || plain < 0 || fast < 0) {
      std::printf("%-30s cannot be compiled here\n", each.name);
      continue;
    }
    std::printf("%-30s %10ld %10.2f %10.2f\n", each.name, lines, plain, fast);
    if (each.name == std::string("nlohmann/json.hpp")) json = fast;
    if (each.name == std::string("skillbench/skillbench.hpp")) ours = fast;
  }
  if (json > 0 && ours > 0)
    std::printf("\nskillbench.hpp takes %.1f times as long as nlohmann/json, "
                "which it includes. There is no goal for it; the budgets of "
                "the lower layers are in HACKING.md and tested.\n",
                ours / json);
}
