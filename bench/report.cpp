// A report of 20,000 synthetic records: how long it takes, how much memory, and
// how long a browser takes to show its page. Records are made in two sizes: with
// the 111 cases that a real one of GEGLU has, and with 12.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <skillbench/effect.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/stats.hpp>

namespace {

using namespace skillbench;
namespace fs = std::filesystem;

constexpr int outputs = 20'000;

record made(draws_of_seed& random, int number, int cases) {
  static const char* const tasks[] = {"attention", "geglu", "layernorm",
                                      "rmsnorm"};
  record one;
  const bool with = number % 2 == 0;
  one.of.model = "model-" + std::to_string(number / 2 % 5);
  one.of.task = tasks[number / 10 % 4];
  one.of.arm = with ? arm_with : arm_without;
  one.of.skill = with ? "h100-kernels" : "";
  one.of.draw = number / 40;
  one.of.id = one.of.model + "/" + one.of.arm + "/" + one.of.task + "/" +
              std::to_string(one.of.draw);
  one.of.input_tokens = 2000 + static_cast<std::int64_t>(random.below(500));
  one.of.output_tokens = 3000 + static_cast<std::int64_t>(random.below(9000));
  one.device = "PTX machine";
  one.source_hash = "00ff";
  one.key = std::string(64, 'a');
  one.reached = stage::done;
  one.speed = "not measured: no GPU";
  one.what = random.unit() < 0.6 ? outcome::correct : outcome::wrong;
  for (int i = 0; i < cases; ++i) {
    case_agreement each;
    each.test_case = "hidden_" + std::to_string(i / 3) + "_row_tile";
    each.element_type = i % 3 == 0 ? "float" : i % 3 == 1 ? "half" : "bfloat16";
    each.reached = one.what;
    each.compared = random.below(100'000);
    each.worst_share = random.unit();
    each.schedules = 2;
    each.warp_instructions = random.below(1'000'000);
    each.global_load_sectors = random.below(1'000'000);
    each.global_store_sectors = random.below(1'000'000);
    one.cases.push_back(each);
  }
  for (const char* type : {"float", "half", "bfloat16"}) {
    compiled_kernel kernel;
    kernel.element_type = type;
    kernel.entry = "geglu<T>";
    kernel.lowered = "_Z9geglu_fwdIfLi256ELi2EEvPKT_PS0_ii";
    kernel.registers = 40;
    one.kernels.push_back(kernel);
  }
  if (one.what == outcome::wrong) {
    one.reason = "half: 131 of 9000 elements of y are outside their bound";
    for (int i = 0; i < 5; ++i) {
      finding seen;
      seen.kind = code::wrong_value;
      seen.what = "y[" + std::to_string(i) + "] is 3.25, and not 3.5 +- 0.01";
      seen.line = 20 + i;
      seen.count = 131;
      one.findings.push_back(seen);
    }
  }
  return one;
}

// Runs the program and tells wall and CPU seconds and the most memory in MB.
struct cost {
  int code = -1;
  double wall = 0, cpu = 0, megabytes = 0;
};

cost report(const std::string& records, const std::string& page) {
  timespec began{}, ended{};
  ::clock_gettime(CLOCK_MONOTONIC, &began);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl(SKILLBENCH_PROGRAM, "skillbench", "report", records.c_str(),
            "--html", page.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  int status = 0;
  rusage used{};
  if (child < 0 || ::wait4(child, &status, 0, &used) != child) return {};
  ::clock_gettime(CLOCK_MONOTONIC, &ended);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          static_cast<double>(ended.tv_sec - began.tv_sec) +
              static_cast<double>(ended.tv_nsec - began.tv_nsec) / 1e9,
          seconds(used.ru_utime) + seconds(used.ru_stime),
          static_cast<double>(used.ru_maxrss) / 1024};
}

}  // namespace

int main() {
  std::string name = (fs::temp_directory_path() / "report-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) return 3;
  const fs::path folder = name;
  int broken = 0;
  for (const int cases : {111, 12}) {
    const fs::path records = folder / "records.jsonl", page = folder / "r.html";
    {
      draws_of_seed random(5);
      std::ofstream to(records, std::ios::binary);
      for (int i = 0; i < outputs; ++i)
        to << write_record(made(random, i, cases)) << '\n';
    }
    const cost told = report(records, page);
    broken |= told.code != 0;
    std::printf("%d records of %d cases, %.0f MB: report in %.1f s (CPU %.1f s; "
                "goal 5), at most %.0f MB (goal 500), page of %.1f MB\n",
                outputs, cases,
                static_cast<double>(fs::file_size(records)) / 1e6, told.wall,
                told.cpu, told.megabytes,
                static_cast<double>(fs::file_size(page)) / 1e6);
    std::fflush(stdout);
    const std::string command =
        SKILLBENCH_SOURCE_DIR "/scripts/page ready " SKILLBENCH_BINARY_DIR
                              "/page " +
        page.string() + " model-0/with_skill/attention/100";
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    int ready = 0, one = 0;
    const bool seen =
        pipe != nullptr && std::fscanf(pipe, "%d %d", &ready, &one) == 2;
    if (pipe != nullptr) ::pclose(pipe);
    if (seen)
      std::printf("  in Chromium: drawn in %.2f s (goal 2), one output by its "
                  "link in %.2f s\n",
                  ready / 1000.0, one / 1000.0);
    else
      std::puts("  in Chromium: not measured, see above");
    std::fflush(stdout);
  }
  fs::remove_all(folder);
  return broken;
}
