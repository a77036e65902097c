// ptx_proof: what one core makes of the attention kernels that are known to be
// right, judged as a candidate is: on the PTX machine with every check.
//
// Work   multiplications and additions of both products, 4 q_len kv_len head_dim
//        a head, as published figures count them; what a kernel does besides
//        (three products for one in tf32, padding) is not counted.
// Time   as the machine tells it: its launches and the making of inputs, the least
//        of several runs; beside it what making those inputs takes by itself.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <skillbench/check.hpp>
#include <skillbench/cuda/library.hpp>
#include <skillbench/device/compiler.hpp>
#include <skillbench/device/ptx.hpp>
#include <skillbench/embedded.hpp>
#include <skillbench/extract.hpp>
#include <skillbench/inputs.hpp>
#include <skillbench/read.hpp>
#include <skillbench/reference.hpp>

using namespace skillbench;

namespace {

struct kernel {
  const char* file;
  element type;
  bool tensor;  // on tensor cores
};
constexpr kernel kernels[] = {
    {"attention/h100.cu", element::f32, false},
    {"attention/right/warp_per_query.md", element::f32, false},
    {"attention/right/shared_tiles.md", element::f32, false},
    {"attention/right/mma_cp_async.md", element::f32, true},
    {"attention/right/mma_cp_async.md", element::bf16, true},
    {"attention/right/wgmma_cp_async.md", element::bf16, true},
    {"attention/h100.cu", element::f16, true},
    {"attention/h100.cu", element::bf16, true},
};
constexpr double goal_fp32 = 3, goal_tensor = 15;  // GFLOP/s a core

// What went wrong, or "".
struct measured {
  double seconds = 0, inputs = 0, flops = 0;
};
std::string measure(const kernel& one, const family& asked, std::span<const family> known, device& on, int times, measured& made) {
  std::ifstream in(std::string(SKILLBENCH_SOURCE_DIR "/kernels/") + one.file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const extracted found = extract(text);
  if (!found.found) return "no source in it";
  const read_result read = read_candidate(*found.found, known, asked);
  if (!read.found) return read.refused.front().what;
  const auto chosen = default_setting(read.found->launch, one.type);
  if (!chosen) return chosen.error().what;
  auto built = on.compile(plan_compile(*read.found, chosen.value(), one.type));
  if (!built) return built.error().what;
  if (!built.value().ok) return built.value().log;
  if (auto loaded = on.load(built.value().ptx); !loaded) return loaded.error().what;

  test_case of;
  of.name = "speed";
  const std::int64_t heads = 2, queries = 512, keys = 1024, width = 128;
  of.integers = {{"batch", 1}, {"heads", heads}, {"q_len", queries}, {"kv_len", keys}, {"head_dim", width}, {"causal", 0}};
  of.reals = {{"scale", 0.08838834764831845}};
  for (const char* each : {"q", "k", "v"}) of.fills.emplace_back(each, fill{});
  made.flops = 4.0 * static_cast<double>(heads * queries * keys * width);
  reference_cache kept;
  for (int i = 0; i < times; ++i) {
    const double before = thread_cpu_seconds();
    for (const std::int64_t rows : {queries, keys, keys}) {
      std::vector<std::byte> bytes(static_cast<std::size_t>(heads * rows * width) * size_of(one.type));
      make_elements(fill{}, 1, one.type, 0, std::span(bytes));
    }
    const double inputs = thread_cpu_seconds() - before;
    if (i == 0 || inputs < made.inputs) made.inputs = inputs;
    runs_ahead none(on);
    const auto told = check_case(*read.found, chosen.value(), built.value(), asked, of, one.type, none, 1, &kept, 1);
    if (!told) return told.error().what;
    for (const finding& each : told.value().findings)
      if (each.weight == severity::fails) return each.what;
    if (told.value().told.reached != outcome::correct) return "not correct";
    if (i == 0 || told.value().cpu_seconds < made.seconds) made.seconds = told.value().cpu_seconds;
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  const int times = argc > 1 ? std::max(std::atoi(argv[1]), 1) : 3;
  const std::string only = argc > 2 ? argv[2] : "";  // part of "FILE TYPE"
  const auto toolkit = find_toolkit();
  if (!toolkit) {
    std::fprintf(stderr, "%s\n", toolkit.error().what.c_str());
    return 1;
  }
  const auto known = embedded_families();
  if (!known) {
    std::fprintf(stderr, "%s\n", known.error().what.c_str());
    return 1;
  }
  const auto asked = std::find_if(known.value().begin(), known.value().end(), [](const family& f) { return f.name == "attention"; });
  if (asked == known.value().end()) return 1;
  std::printf("One core, CPU time, least of %d runs, every check on, results checked.\n\n%-36s %-6s %-12s %9s %9s %9s %9s\n", times, "kernel", "type", "by", "ms", "of inputs", "GFLOP/s", "goal");
  bool broken = false;
  for (const kernel& one : kernels) {
    if ((std::string(one.file) + ' ' + std::string(name(one.type))).find(only) == std::string::npos) continue;
    ptx_device on(toolkit.value());
    measured made;
    const std::string trouble = measure(one, *asked, known.value(), on, times, made);
    const std::string type(name(one.type));
    if (!trouble.empty()) {
      std::printf("%-36s %-6s %s\n", one.file, type.c_str(), trouble.c_str());
      broken = true;
      continue;
    }
    const double speed = 1e-9 * made.flops / made.seconds, goal = one.tensor ? goal_tensor : goal_fp32;
    std::printf("%-36s %-6s %-12s %9.1f %9.1f %9.1f %6.0f %s\n", one.file, type.c_str(), one.tensor ? "tensor cores" : "fp32", 1e3 * made.seconds, 1e3 * made.inputs, speed, goal, speed >= goal ? "met" : "missed");
    std::fflush(stdout);
  }
  return broken ? 1 : 0;
}
