#pragma once
// cli/measure.hpp: `skillbench doctor --measure`: can this GPU's times be trusted?
//
// Layer   7. Kernels of known cost, timed as candidates are: the rate of a copy and
//         of tensor operations beside the limits on paper, the spread between
//         runs, a slowdown of 3% that must be seen and a pair of equals that must
//         not differ.
// Errors  What a device does not answer is a row that failed, with its words.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/cli/text.hpp>
#include <skillbench/device.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/json_timing.hpp>
#include <skillbench/timing.hpp>

namespace skillbench::cli {

struct measured_row {
  std::string name;
  bool fine = false;
  std::string what;     // in words
  double value = 0;     // what `unit` says
  std::string unit;
  std::optional<timed_case> timing;
};

namespace measure_kernels {

inline constexpr const char* source = R"(
extern "C" __global__ void copied(const float4* x, float4* y, int n) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) y[i] = x[i];
}
extern "C" __global__ void worked(const float* x, float* y, int loops) {
  float a = x[threadIdx.x], b = a + 1.0f;
  for (int i = 0; i < loops; ++i) {
    a = __fmaf_rn(a, 0.5f, b);
    b = __fmaf_rn(b, 0.5f, a);
  }
  y[blockIdx.x * blockDim.x + threadIdx.x] = a + b;
}
// 8 products of 16 x 16 by 16 x 8 at a time, none of which waits for another.
extern "C" __global__ void multiplied(const float* x, float* y, int loops) {
  unsigned a[4], b[2];
  for (int i = 0; i < 4; ++i) a[i] = __float_as_uint(x[(threadIdx.x + i) % 128]) & 0x3bff3bff;
  for (int i = 0; i < 2; ++i) b[i] = __float_as_uint(x[(threadIdx.x + 7 * i) % 128]) & 0x3bff3bff;
  float c[8][4] = {};
  for (int n = 0; n < loops; ++n)
#pragma unroll
    for (int k = 0; k < 8; ++k)
      asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                   : "+f"(c[k][0]), "+f"(c[k][1]), "+f"(c[k][2]), "+f"(c[k][3])
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  float sum = 0;
  for (int k = 0; k < 8; ++k) sum += c[k][0] + c[k][1] + c[k][2] + c[k][3];
  y[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
)";

// x and y of `n` floats and one integer.
[[nodiscard]] inline timed_kernel kernel(const std::string& ptx, const std::string& entry, std::int64_t floats, std::int64_t outputs, std::int64_t number, std::int64_t ctas,
                                         std::int64_t threads, std::uint64_t sets) {
  timed_kernel made;
  made.ptx = ptx;
  for (std::uint64_t set = 0; set < sets; ++set) {
    job one;
    one.seed = set + 1;
    buffer x, y;
    x.name = "x";
    x.elements = floats;
    x.seed = set + 100;
    y.name = "y";
    y.use = role::output;
    y.elements = outputs;
    one.buffers = {x, y};
    launch go;
    go.entry = entry;
    go.grid = {ctas, 1, 1};
    go.block = {threads, 1, 1};
    kernel_argument count;
    count.kind = kernel_argument::type::integer;
    count.value = number;
    go.args = {{}, {}, count};
    go.args[1].value = 1;
    one.launches = {go};
    made.sets.push_back(std::move(one));
  }
  return made;
}

}  // namespace measure_kernels

// `small`: for a stand-in, whose clock counts instructions.
[[nodiscard]] inline result<std::vector<measured_row>> measure_device(device& on, bool small) {
  compile_request asked;
  asked.source = measure_kernels::source;
  auto built = on.compile(asked);
  if (!built) return built.error();
  if (!built.value().ok) return fault{reason::internal, "the kernels of known cost do not compile: " + built.value().log.substr(0, 400)};
  const std::string& ptx = built.value().ptx;
  if (auto loaded = on.load(ptx); !loaded) return loaded.error();

  std::vector<measured_row> all;
  machine_rates rates;
  const auto time = [&](const std::string& name, timing_request request) -> std::optional<timed_case> {
    request.limits.seconds = 5;
    request.limits.most = 100;
    auto told = on.time(request);
    std::string why = told ? (told.value().findings.empty() ? "" : told.value().findings.front().what) : told.error().what;
    if (!why.empty()) {
      all.push_back({name, false, why, 0, "", {}});
      return std::nullopt;
    }
    rates = told.value().rates;
    return std::move(told.value().told);
  };
  const auto us = [](double ns) { return fmt::format("{:.1f} us", ns / 1000); };

  // A copy, three times over: rate, and spread between runs.
  const std::int64_t floats = small ? 4096 : std::int64_t{32} << 20;
  std::vector<double> medians;
  std::optional<timed_case> copy;
  for (int again = 0; again < 3; ++again) {
    timing_request request;
    request.candidate = measure_kernels::kernel(ptx, "copied", floats, floats, floats / 4, small ? 4 : 132 * 16, 256, 2);
    request.limits.fewest = 10;
    copy = time("copy", request);
    if (!copy) break;
    medians.push_back(candidate_time(*copy).median);
  }
  if (copy) {
    const double rate = 8.0 * static_cast<double>(floats) / candidate_time(*copy).median;  // GB/s
    const double share = rate * 1e9 / rates.bytes_per_second;
    all.push_back({"copy", copy->fake || (share > 0.8 && share <= 1.0),
                   fmt::format("{:.0f} GB/s read and written, {:.0f}% of {:.0f} on paper ({})", rate, 100 * share, rates.bytes_per_second / 1e9, us(candidate_time(*copy).median)), rate, "GB/s",
                   copy});
    const centre spread = centre_of(medians);
    const double relative = (spread.most - spread.least) / spread.median;
    all.push_back({"spread", relative < 0.01, fmt::format("medians of three runs of the copy lie within {:.2f}%", 100 * relative), 100 * relative, "%", {}});
  }

  // Tensor operations; mma.sync reaches about two thirds of what wgmma does.
  const std::int64_t ctas = small ? 2 : 132 * 4, threads = 256;
  {
    const std::int64_t loops = small ? 20 : 4000;
    timing_request request;
    request.candidate = measure_kernels::kernel(ptx, "multiplied", 128, ctas * threads, loops, ctas, threads, 2);
    request.limits.fewest = 10;
    if (const auto seen = time("tensor operations", request)) {
      const double operations = static_cast<double>(ctas * threads / 32 * loops) * 8 * 2 * 16 * 8 * 16;
      const double rate = operations / candidate_time(*seen).median / 1000;  // TFLOP/s
      const double share = rate * 1e12 / rates.operations_per_second;
      all.push_back({"tensor operations", seen->fake || (share > 0.4 && share <= 1.0),
                     fmt::format("{:.0f} TFLOP/s by mma.sync in half, {:.0f}% of {:.0f} on paper", rate, 100 * share, rates.operations_per_second / 1e12), rate, "TFLOP/s", seen});
    }
  }

  // Two equals, and one that does 3% more.
  const std::int64_t loops = small ? 1000 : 20000;
  for (const bool planted : {false, true}) {
    timing_request request;
    request.candidate = measure_kernels::kernel(ptx, "worked", 256, ctas * threads, planted ? loops * 103 / 100 : loops, ctas, threads, 2);
    request.baseline = measure_kernels::kernel(ptx, "worked", 256, ctas * threads, loops, ctas, threads, 2);
    request.limits.fewest = 20;
    const std::string name = planted ? "a slowdown of 3%" : "no change";
    if (const auto seen = time(name, request)) {
      const centre ratio = speed_ratio(*seen);
      const bool told = differs(ratio);
      const bool right = planted ? told && std::abs(ratio.median * 1.03 - 1) < 0.01 : !told;
      all.push_back({name, right, fmt::format("ratio {:.4f}, 95% interval {:.4f} to {:.4f}, {} rounds: {}", ratio.median, ratio.low, ratio.high, ratio.count, told ? "they differ" : "no difference"),
                     ratio.median, "", seen});
    }
  }
  return all;
}

[[nodiscard]] inline nlohmann::ordered_json write_rows(const std::vector<measured_row>& all) {
  auto made = nlohmann::ordered_json::array();
  for (const measured_row& each : all) {
    nlohmann::ordered_json one = {{"name", each.name}, {"fine", each.fine}, {"what", each.what}};
    if (!each.unit.empty()) one["unit"] = each.unit;
    if (each.value != 0) one["value"] = each.value;
    if (each.timing) one["timing"] = json_text::write(*each.timing);
    made.push_back(std::move(one));
  }
  return made;
}

}  // namespace skillbench::cli
