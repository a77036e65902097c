// ptx_speed: six kernels on the PTX machine, on PoCL and as plain C++, one core
// each, in one run.
//
// The kernels are one text for CUDA and OpenCL C; the layernorm with shuffles
// alone has a text of its own for OpenCL, where it goes through local memory,
// since PoCL 3.1 has no subgroups. Every result is checked against the C++ one.
// Time   CPU time of the process, the least of several runs, compiling excluded
//        for PoCL and C++; for the machine the first run, which warms it up, is
//        not counted either.

#include <dlfcn.h>
#include <malloc.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <vector>

#if __has_include(<CL/cl.h>)
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#define HAVE_OPENCL 1
#endif

#include <skillbench/cuda/library.hpp>
#include <skillbench/cuda/nvrtc.hpp>
#include <skillbench/ptx/decoder.hpp>
#include <skillbench/ptx/machine.hpp>
#include <skillbench/ptx/parse.hpp>

namespace {

using namespace skillbench;

// As machine.cpp does in a worker.
void keep_freed_memory() {
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
}

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// ---- the kernels ---------------------------------------------------------------

const char* const as_cuda = R"(
#define KERNEL extern "C" __global__ void
#define GLOBAL
#define SHARED __shared__
#define TX threadIdx.x
#define TY threadIdx.y
#define BX blockIdx.x
#define BY blockIdx.y
#define WIDTH blockDim.x
#define SYNC __syncthreads()
#define FMA(a, b, c) fmaf(a, b, c)
#define EXP(x) expf(x)
#define RSQRT(x) rsqrtf(x)
#define MAX(a, b) fmaxf(a, b)
#define CUDA 1
)";

const char* const as_opencl = R"(
#define KERNEL __kernel void
#define GLOBAL __global
#define SHARED __local
#define TX ((int)get_local_id(0))
#define TY ((int)get_local_id(1))
#define BX ((int)get_group_id(0))
#define BY ((int)get_group_id(1))
#define WIDTH ((int)get_local_size(0))
#define SYNC barrier(CLK_LOCAL_MEM_FENCE)
#define FMA(a, b, c) fma(a, b, c)
#define EXP(x) exp(x)
#define RSQRT(x) rsqrt(x)
#define MAX(a, b) fmax(a, b)
)";

const char* const kernels = R"(
KERNEL layernorm_row(GLOBAL const float* x, GLOBAL float* y, int rows, int n) {
  const int row = BX * WIDTH + TX;
  if (row >= rows) return;
  float sum = 0.0f;
  for (int i = 0; i < n; ++i) sum += x[row * n + i];
  const float mean = sum / n;
  float square = 0.0f;
  for (int i = 0; i < n; ++i) {
    const float d = x[row * n + i] - mean;
    square = FMA(d, d, square);
  }
  const float scale = RSQRT(square / n + 1e-5f);
  for (int i = 0; i < n; ++i) y[row * n + i] = (x[row * n + i] - mean) * scale;
}

// A row for each 32 threads, 4 rows a block.
#ifdef CUDA
#define ACROSS(v) \
  for (int by = 16; by > 0; by /= 2) v += __shfl_xor_sync(0xffffffffu, v, by)
#else
#define ACROSS(v)                                      \
  for (int by = 16; by > 0; by /= 2) {                 \
    pool[TX] = v;                                      \
    SYNC;                                              \
    v += pool[TX ^ by];                                \
    SYNC;                                              \
  }
#endif
KERNEL layernorm_warp(GLOBAL const float* x, GLOBAL float* y, int rows, int n) {
#ifndef CUDA
  SHARED float pool[128];
#endif
  const int lane = TX % 32, row = BX * 4 + TX / 32;
  float sum = 0.0f;
  for (int i = lane; i < n; i += 32) sum += x[row * n + i];
  ACROSS(sum);
  const float mean = sum / n;
  float square = 0.0f;
  for (int i = lane; i < n; i += 32) {
    const float d = x[row * n + i] - mean;
    square = FMA(d, d, square);
  }
  ACROSS(square);
  const float scale = RSQRT(square / n + 1e-5f);
  for (int i = lane; i < n; i += 32) y[row * n + i] = (x[row * n + i] - mean) * scale;
}

KERNEL sgemm_tiles(GLOBAL const float* a, GLOBAL const float* b, GLOBAL float* c, int n) {
  SHARED float as[16][16];
  SHARED float bs[16][16];
  const int row = BY * 16 + TY, column = BX * 16 + TX;
  float sum = 0.0f;
  for (int k = 0; k < n; k += 16) {
    as[TY][TX] = a[row * n + k + TX];
    bs[TY][TX] = b[(k + TY) * n + column];
    SYNC;
    for (int i = 0; i < 16; ++i) sum = FMA(as[TY][i], bs[i][TX], sum);
    SYNC;
  }
  c[row * n + column] = sum;
}

// 64 x 64 a block of 16 x 16 threads, 4 x 4 a thread.
KERNEL sgemm_registers(GLOBAL const float* a, GLOBAL const float* b, GLOBAL float* c, int n) {
  SHARED float as[16][64];
  SHARED float bs[16][64];
  const int t = TY * 16 + TX;
  float sum[4][4];
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) sum[i][j] = 0.0f;
  for (int k = 0; k < n; k += 16) {
    for (int i = t; i < 1024; i += 256) {
      as[i % 16][i / 16] = a[(BY * 64 + i / 16) * n + k + i % 16];
      bs[i / 64][i % 64] = b[(k + i / 64) * n + BX * 64 + i % 64];
    }
    SYNC;
    for (int s = 0; s < 16; ++s) {
      float p[4], q[4];
      for (int i = 0; i < 4; ++i) p[i] = as[s][TY * 4 + i];
      for (int j = 0; j < 4; ++j) q[j] = bs[s][TX + 16 * j];
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) sum[i][j] = FMA(p[i], q[j], sum[i][j]);
    }
    SYNC;
  }
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j)
      c[(BY * 64 + TY * 4 + i) * n + BX * 64 + TX + 16 * j] = sum[i][j];
}

// A query a thread, 64 a block, keys 32 at a time; head_dim 32.
KERNEL flash_attention(GLOBAL const float* q, GLOBAL const float* k, GLOBAL const float* v,
                       GLOBAL float* o, int keys, float scale) {
  SHARED float ks[32][32];
  SHARED float vs[32][32];
  const int head = BY * keys * 32, mine = head + (BX * 64 + TX) * 32;
  float query[32], sum[32];
  for (int d = 0; d < 32; ++d) {
    query[d] = q[mine + d] * scale;
    sum[d] = 0.0f;
  }
  float most = -1e30f, total = 0.0f;
  for (int start = 0; start < keys; start += 32) {
    for (int i = TX; i < 1024; i += 64) {
      ks[i / 32][i % 32] = k[head + start * 32 + i];
      vs[i / 32][i % 32] = v[head + start * 32 + i];
    }
    SYNC;
    for (int j = 0; j < 32; ++j) {
      float s = 0.0f;
      for (int d = 0; d < 32; ++d) s = FMA(query[d], ks[j][d], s);
      const float top = MAX(most, s);
      const float shrink = EXP(most - top), p = EXP(s - top);
      most = top;
      total = FMA(total, shrink, p);
      for (int d = 0; d < 32; ++d) sum[d] = FMA(sum[d], shrink, p * vs[j][d]);
    }
    SYNC;
  }
  for (int d = 0; d < 32; ++d) o[mine + d] = sum[d] / total;
}

// Steps of the 3n + 1 sequence.
KERNEL divergent(GLOBAL int* out, int n) {
  const int i = BX * WIDTH + TX;
  if (i >= n) return;
  unsigned x = (unsigned)i + 1u;
  int steps = 0;
  while (x != 1u) {
    if (x & 1u) x = 3u * x + 1u;
    else x >>= 1;
    ++steps;
  }
  out[i] = steps;
}
)";

// ---- the same in C++ -------------------------------------------------------------

constexpr int rows = 4096, columns = 256, n = 512, heads = 4, keys = 256, numbers = 1 << 17;

struct work {
  const char* name;
  const char* entry;
  extent grid, block;
  std::vector<std::vector<float>> in;
  std::size_t out = 0;          // elements of 4 bytes
  std::vector<int> integers;    // parameters after the pointers
  std::vector<float> reals;     // after those
  std::function<void(const work&, float*)> plain;
  double tolerance = 0;
};

__attribute__((optimize("O3"))) void plain_layernorm(const work& w, float* y) {
  for (int r = 0; r < rows; ++r) {
    const float* x = w.in[0].data() + r * columns;
    float sum = 0, square = 0;
    for (int i = 0; i < columns; ++i) sum += x[i];
    const float mean = sum / columns;
    for (int i = 0; i < columns; ++i) square = std::fma(x[i] - mean, x[i] - mean, square);
    const float scale = 1.0f / std::sqrt(square / columns + 1e-5f);
    for (int i = 0; i < columns; ++i) y[r * columns + i] = (x[i] - mean) * scale;
  }
}

__attribute__((optimize("O3"))) void plain_sgemm(const work& w, float* c) {
  const float* a = w.in[0].data();
  const float* b = w.in[1].data();
  std::fill(c, c + n * n, 0.0f);
  for (int i = 0; i < n; ++i)
    for (int k = 0; k < n; ++k) {
      const float p = a[i * n + k];
      for (int j = 0; j < n; ++j) c[i * n + j] = __builtin_fmaf(p, b[k * n + j], c[i * n + j]);
    }
}

__attribute__((optimize("O3"))) void plain_attention(const work& w, float* o) {
  const float scale = w.reals[0];
  for (int head = 0; head < heads; ++head)
    for (int i = 0; i < keys; ++i) {
      const float* q = w.in[0].data() + (head * keys + i) * 32;
      float query[32], sum[32] = {}, most = -1e30f, total = 0;
      for (int d = 0; d < 32; ++d) query[d] = q[d] * scale;
      for (int j = 0; j < keys; ++j) {
        const float* k = w.in[1].data() + (head * keys + j) * 32;
        const float* v = w.in[2].data() + (head * keys + j) * 32;
        float s = 0;
        for (int d = 0; d < 32; ++d) s = __builtin_fmaf(query[d], k[d], s);
        const float top = std::max(most, s), shrink = std::exp(most - top), p = std::exp(s - top);
        most = top;
        total = __builtin_fmaf(total, shrink, p);
        for (int d = 0; d < 32; ++d) sum[d] = __builtin_fmaf(sum[d], shrink, p * v[d]);
      }
      for (int d = 0; d < 32; ++d) o[(head * keys + i) * 32 + d] = sum[d] / total;
    }
}

__attribute__((optimize("O3"))) void plain_divergent(const work&, float* out) {
  for (int i = 0; i < numbers; ++i) {
    unsigned x = static_cast<unsigned>(i) + 1;
    int steps = 0;
    while (x != 1) {
      x = x & 1 ? 3 * x + 1 : x >> 1;
      ++steps;
    }
    std::memcpy(out + i, &steps, 4);
  }
}

std::vector<float> normal(std::size_t count, unsigned seed) {
  std::mt19937 from(seed);
  std::normal_distribution<float> one;
  std::vector<float> out(count);
  for (auto& x : out) x = one(from);
  return out;
}

std::vector<work> all_work() {
  std::vector<work> out(6);
  out[0] = {"layernorm, a thread a row", "layernorm_row", {rows / 64, 1, 1}, {64, 1, 1}, {normal(rows * columns, 1)}, rows * columns, {rows, columns}, {}, plain_layernorm, 1e-4};
  out[1] = {"layernorm, a warp a row", "layernorm_warp", {rows / 4, 1, 1}, {128, 1, 1}, {normal(rows * columns, 2)}, rows * columns, {rows, columns}, {}, plain_layernorm, 1e-4};
  out[2] = {"sgemm, 16 x 16 tiles", "sgemm_tiles", {n / 16, n / 16, 1}, {16, 16, 1}, {normal(n * n, 3), normal(n * n, 4)}, n * n, {n}, {}, plain_sgemm, 1e-3};
  out[3] = {"sgemm, 4 x 4 registers", "sgemm_registers", {n / 64, n / 64, 1}, {16, 16, 1}, {normal(n * n, 5), normal(n * n, 6)}, n * n, {n}, {}, plain_sgemm, 1e-3};
  out[4] = {"flash attention", "flash_attention", {keys / 64, heads, 1}, {64, 1, 1}, {normal(heads * keys * 32, 7), normal(heads * keys * 32, 8), normal(heads * keys * 32, 9)}, heads * keys * 32, {keys}, {0.17677669f}, plain_attention, 1e-4};
  out[5] = {"divergent integer loop", "divergent", {numbers / 256, 1, 1}, {256, 1, 1}, {}, numbers, {numbers}, {}, plain_divergent, 0};
  return out;
}

// The largest difference; integers are compared as bits.
bool agrees(const work& w, const std::vector<float>& expected, const std::vector<float>& actual) {
  if (w.tolerance == 0) return std::memcmp(expected.data(), actual.data(), 4 * expected.size()) == 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (!(std::abs(expected[i] - actual[i]) <= w.tolerance * (1 + std::abs(expected[i])))) return false;
  return true;
}

double least_of(int times, const std::function<void()>& run) {
  double best = 1e30;
  for (int i = 0; i < times; ++i) {
    const double before = cpu_seconds();
    run();
    best = std::min(best, cpu_seconds() - before);
  }
  return best;
}

// ---- the machine -----------------------------------------------------------------

struct measured {
  double seconds = 0;
  std::uint64_t instructions = 0;
  bool right = false;
  std::string trouble;
};

measured on_machine(const work& w, const ptx::program& code, ptx::native how, int times, const std::vector<float>& expected) {
  measured told;
  const auto once = [&] {
    ptx::memory global(std::uint64_t{1} << 30);
    ptx::watch seen;
    ptx::machine machine(global, seen);
    ptx::launch_plan plan;
    plan.how = how;
    plan.races = how != ptx::native::bare;
    plan.grid = w.grid;
    plan.block = w.block;
    plan.parameters.resize(code.parameter_bytes);
    std::size_t p = 0;
    const auto pass = [&](const void* from, std::size_t bytes) { std::memcpy(plan.parameters.data() + code.parameters[p++].offset, from, bytes); };
    for (const auto& values : w.in) {
      ptx::allocation a;
      a.name = "input";
      a.writable = false;
      a.starts_defined = true;
      a.element_bytes = 4;
      a.bytes = 4 * values.size();
      a.initial = [&values](std::int64_t from, std::span<std::byte> out) { std::memcpy(out.data(), reinterpret_cast<const char*>(values.data()) + from, out.size()); };
      const std::uint64_t at = global.add(std::move(a), 0);
      pass(&at, 8);
    }
    ptx::allocation a;
    a.name = "output";
    a.starts_defined = how == ptx::native::bare;
    a.element_bytes = 4;
    a.bytes = 4 * w.out;
    const std::uint64_t at = global.add(std::move(a), 0);
    pass(&at, 8);
    for (const int i : w.integers) pass(&i, 4);
    for (const float f : w.reals) pass(&f, 4);
    // PoCL's buffers are resident too.
    for (std::size_t i = 0; i < global.count(); ++i)
      for (std::uint64_t b = 0; b < global.at(i).bytes; b += ptx::page_bytes / 2) (void)global.touch(global.at(i), global.at(i).base + b);
    const double before = cpu_seconds();
    const auto counts = machine.launch(code, plan);
    const double took = cpu_seconds() - before;
    if (!counts) {
      told.trouble = counts.error().what;
      return;
    }
    if (!seen.findings().empty()) told.trouble = seen.findings()[0].what;
    if (told.seconds == 0 || took < told.seconds) told.seconds = took;
    told.instructions = counts.value().warp_instructions;
    std::vector<float> got(w.out);
    ptx::allocation& out = global.at(global.count() - 1);
    for (std::size_t i = 0; i < w.out; ++i) {
      const std::uint64_t address = out.base + 4 * i;
      std::memcpy(&got[i], global.touch(out, address)->data.get() + ((address - out.origin) & (ptx::page_bytes - 1)), 4);
    }
    told.right = agrees(w, expected, got);
  };
  if (how != ptx::native::off) once();
  told.seconds = 0;
  for (int i = 0; i < times; ++i) once();
  return told;
}

// ---- PoCL ------------------------------------------------------------------------

#ifdef HAVE_OPENCL
struct opencl {
  void* library = dlopen("libOpenCL.so.1", RTLD_NOW);
  template <typename F>
  F* get(const char* called, F*) const { return reinterpret_cast<F*>(dlsym(library, called)); }
#define CL(f) get(#f, &f)
  cl_device_id device = nullptr;
  cl_context context = nullptr;
  cl_command_queue queue = nullptr;
  cl_program program = nullptr;
  std::string name, trouble;

  void open() {
    if (!library) { trouble = "libOpenCL.so.1 is not here"; return; }
    cl_platform_id platforms[8];
    cl_uint count = 0;
    if (CL(clGetPlatformIDs)(8, platforms, &count) != CL_SUCCESS) { trouble = "no OpenCL platform"; return; }
    for (cl_uint i = 0; i < count && !device; ++i) {
      char text[256] = {};
      CL(clGetPlatformInfo)(platforms[i], CL_PLATFORM_VERSION, sizeof text - 1, text, nullptr);
      if (!std::strstr(text, "pocl") && !std::strstr(text, "PoCL")) continue;
      name = text;
      CL(clGetDeviceIDs)(platforms[i], CL_DEVICE_TYPE_CPU, 1, &device, nullptr);
    }
    if (!device) { trouble = "PoCL is not installed"; return; }
    cl_int bad = 0;
    context = CL(clCreateContext)(nullptr, 1, &device, nullptr, nullptr, &bad);
    queue = CL(clCreateCommandQueue)(context, device, 0, &bad);
    const std::string text = std::string(as_opencl) + kernels;
    const char* source = text.c_str();
    program = CL(clCreateProgramWithSource)(context, 1, &source, nullptr, &bad);
    if (CL(clBuildProgram)(program, 1, &device, "", nullptr, nullptr) != CL_SUCCESS) {
      char log[4096] = {};
      CL(clGetProgramBuildInfo)(program, device, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, nullptr);
      trouble = log;
    }
  }

  measured run(const work& w, int times, const std::vector<float>& expected) {
    measured told;
    if (!trouble.empty()) { told.trouble = trouble; return told; }
    cl_int bad = 0;
    cl_kernel kernel = CL(clCreateKernel)(program, w.entry, &bad);
    cl_uint at = 0;
    std::vector<cl_mem> held;
    for (const auto& values : w.in) {
      held.push_back(CL(clCreateBuffer)(context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, 4 * values.size(), const_cast<float*>(values.data()), &bad));
      CL(clSetKernelArg)(kernel, at++, sizeof(cl_mem), &held.back());
    }
    held.push_back(CL(clCreateBuffer)(context, CL_MEM_WRITE_ONLY, 4 * w.out, nullptr, &bad));
    CL(clSetKernelArg)(kernel, at++, sizeof(cl_mem), &held.back());
    for (const int i : w.integers) CL(clSetKernelArg)(kernel, at++, 4, &i);
    for (const float f : w.reals) CL(clSetKernelArg)(kernel, at++, 4, &f);
    const auto size = [](std::int64_t x) { return static_cast<std::size_t>(x); };
    const std::size_t local[2] = {size(w.block.x), size(w.block.y)};
    const std::size_t global[2] = {size(w.grid.x * w.block.x), size(w.grid.y * w.block.y)};
    const auto once = [&] {
      bad |= CL(clEnqueueNDRangeKernel)(queue, kernel, 2, nullptr, global, local, 0, nullptr, nullptr);
      bad |= CL(clFinish)(queue);
    };
    once();  // compiles for this work group
    told.seconds = least_of(times, once);
    std::vector<float> got(w.out);
    CL(clEnqueueReadBuffer)(queue, held.back(), CL_TRUE, 0, 4 * w.out, got.data(), 0, nullptr, nullptr);
    if (bad) told.trouble = "OpenCL error " + std::to_string(bad);
    told.right = agrees(w, expected, got);
    for (cl_mem m : held) CL(clReleaseMemObject)(m);
    CL(clReleaseKernel)(kernel);
    return told;
  }
};
#endif

}  // namespace

int main(int argc, char** argv) {
  // One core, for PoCL's worker too.
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  sched_setaffinity(0, sizeof one, &one);
  keep_freed_memory();
  setenv("POCL_MAX_PTHREAD_COUNT", "1", 1);
  const std::string only = argc > 1 ? argv[1] : "";
  const int times = argc > 2 ? std::atoi(argv[2]) : 5;

  const auto toolkit = find_toolkit();
  if (!toolkit) { std::fprintf(stderr, "%s\n", toolkit.error().what.c_str()); return 1; }
  auto compiler = nvrtc::open(toolkit.value());
  if (!compiler) { std::fprintf(stderr, "%s\n", compiler.error().what.c_str()); return 1; }
  std::vector<work> works = all_work();
  std::vector<std::string> entries;
  for (const auto& w : works) entries.push_back(w.entry);
  const auto compiled = compiler.value().compile(std::string(as_cuda) + kernels, entries, "sm_90a", false);
  if (!compiled || !compiled.value().ok) { std::fprintf(stderr, "%s\n", compiled ? compiled.value().log.c_str() : compiled.error().what.c_str()); return 1; }
  if (only == "--ptx") { std::fputs(compiled.value().ptx.c_str(), stdout); return 0; }
  const auto parsed = ptx::parse(compiled.value().ptx);
  if (!parsed) { std::fprintf(stderr, "%s\n", parsed.error().what.c_str()); return 1; }

  std::string pocl_name = "not measured: built without CL/cl.h (packages pocl-opencl-icd, opencl-c-headers)";
#ifdef HAVE_OPENCL
  opencl cl;
  cl.open();
  pocl_name = cl.trouble.empty() ? cl.name : "not measured: " + cl.trouble;
#endif
  std::printf("One core, CPU time, least of %d runs; results checked against C++.\nPoCL: %s; C++: -O3 for x86-64-v3; times in ms, machine in millions of warp instructions a second.\n\n", times, pocl_name.c_str());
  std::printf("%-28s %9s %9s %9s %9s %9s %9s %9s %9s %9s\n", "kernel", "C++", "PoCL", "interp.", "checked", "plain", "M/s int.", "M/s chk.", "PoCL/chk", "PoCL/pln");
  double log_checked = 0, log_plain = 0;
  int counted = 0;
  bool wrong = false;
  for (const auto& w : works) {
    if (!only.empty() && std::string(w.entry).find(only) == std::string::npos) continue;
    std::vector<float> expected(w.out);
    const double plain = least_of(times, [&] { w.plain(w, expected.data()); });
    auto code = ptx::decoder(parsed.value()).kernel(w.entry);
    if (!code) { std::printf("%-28s %s\n", w.name, code.error().what.c_str()); wrong = true; continue; }
    const measured slow = on_machine(w, code.value(), ptx::native::off, 1, expected);
    const measured checked = on_machine(w, code.value(), ptx::native::checked, times, expected);
    const measured bare = on_machine(w, code.value(), ptx::native::bare, times, expected);
    measured other;
#ifdef HAVE_OPENCL
    other = cl.run(w, times, expected);
#endif
    for (const measured* m : std::initializer_list<const measured*>{&slow, &checked, &bare, &other})
      if (!m->trouble.empty() || (!m->right && m->seconds > 0)) {
        std::printf("%s: %s\n", w.name, m->trouble.empty() ? "wrong result" : m->trouble.c_str());
        wrong = true;
      }
    const auto rate = [](const measured& m) { return static_cast<double>(m.instructions) / m.seconds * 1e-6; };
    std::printf("%-28s %9.2f %9.2f %9.2f %9.2f %9.2f %9.1f %9.1f %9.2f %9.2f\n", w.name, 1e3 * plain, 1e3 * other.seconds, 1e3 * slow.seconds, 1e3 * checked.seconds,
                1e3 * bare.seconds, rate(slow), rate(checked), other.seconds / checked.seconds, other.seconds / bare.seconds);
    std::fflush(stdout);
    if (other.seconds > 0) {
      log_checked += std::log(other.seconds / checked.seconds);
      log_plain += std::log(other.seconds / bare.seconds);
      ++counted;
    }
  }
  if (counted) {
    const auto tell = [&](const char* how, double log_sum, double goal) {
      const double mean = std::exp(log_sum / counted);
      std::printf("PoCL's time over the machine's, geometric mean, %s: %.2f; goal %.2f: %s\n", how, mean, goal, mean >= goal ? "met" : "missed");
    };
    std::printf("\n");
    tell("without checks", log_plain, 1.5);
    tell("with every check", log_checked, 0.75);
  } else {
    std::printf("\ngoals of the geometric mean: not measured, since PoCL was not\n");
  }
  return wrong ? 1 : 0;
}
