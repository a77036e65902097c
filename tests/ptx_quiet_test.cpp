// Right programs in CUDA C++ about which nothing may be said: CUB's block and
// warp primitives, cooperative groups, barriers of the library, old idioms.

#include <string>

#include "ptx_launch.hpp"

using namespace kit;

namespace {

skillbench::device* compiler() {
  static const auto on = kit::device();
  static const bool works = [] {
    skillbench::compile_request asked;
    asked.source = "extern \"C\" __global__ void k() {}\n";
    asked.entries = {"k"};
    const auto told = on->compile(asked);
    if (!told) MESSAGE("not run: " << told.error().what);
    return told.ok();
  }();
  return works ? on.get() : nullptr;
}

// Runs `k(const int* x, int* y, int* work)` and says whether all is quiet and y
// is as it should be.
template <typename F>
void quiet(const std::string& source, unsigned threads, unsigned grid, F expected) {
  if (!compiler()) return;
  skillbench::compile_request asked;
  asked.source = source;
  asked.entries = {"k"};
  const auto image = compiler()->compile(asked);
  REQUIRE(image.ok());
  INFO(image.value().log.substr(0, 2000));
  REQUIRE(image.value().ok);
  std::vector<u32> x;
  const std::size_t n = std::size_t{threads} * grid;
  for (u32 i = 0; i < n; ++i) x.push_back((i * 2654435761u) >> 20);
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1} << 16 | std::uint64_t{5} << 32 | 1}) {
    request r;
    r.ptx = image.value().ptx;
    r.entry = "k";
    r.cta.x = threads;
    r.grid.x = grid;
    r.seed = seed;
    r.blocks = {{"x", false, true, 4, bytes_of(x)}, {"y", true, false, 4, std::string(4 * n, '\0')}, {"work", true, true, 4, std::string(4096, '\0')}};
    const auto told = kit::launch(r);
    CHECK(told.trouble == "");
    for (const auto& f : told.findings) MESSAGE(f.what);
    CHECK(told.findings.empty());
    CHECK(output(told, 1) == expected(x));
  }
}

u32 sum_of(const std::vector<u32>& x, std::size_t from, std::size_t n) {
  u32 s = 0;
  for (std::size_t i = from; i < from + n; ++i) s += x[i];
  return s;
}
const auto block_sums = [](const std::vector<u32>& x) {
  std::vector<u32> out;
  for (std::size_t i = 0; i < x.size(); ++i) out.push_back(sum_of(x, i / 128 * 128, 128));
  return out;
};

}  // namespace

TEST_CASE("quiet: CUB reduces, scans, exchanges and sorts in a block") {
  for (const char* how : {"BLOCK_REDUCE_WARP_REDUCTIONS", "BLOCK_REDUCE_RAKING", "BLOCK_REDUCE_RAKING_COMMUTATIVE_ONLY"})
    quiet(std::string("#include <cub/block/block_reduce.cuh>\nextern \"C\" __global__ void k(const int* x, int* y, int*) {\n"
                      "typedef cub::BlockReduce<int, 128, cub::") + how + "> R; __shared__ typename R::TempStorage s; __shared__ int all; int i = blockIdx.x * 128 + threadIdx.x;\n"
              "int v = R(s).Sum(x[i]); if (threadIdx.x == 0) all = v; __syncthreads(); y[i] = all; }\n",
          128, 2, block_sums);
  quiet("#include <cub/block/block_scan.cuh>\nextern \"C\" __global__ void k(const int* x, int* y, int*) {\n"
        "typedef cub::BlockScan<int, 128> S; __shared__ typename S::TempStorage s; int i = blockIdx.x * 128 + threadIdx.x, a, b; S(s).InclusiveSum(x[i], a); __syncthreads(); S(s).ExclusiveSum(x[i], b); y[i] = a + b; }\n",
        128, 2, [](const std::vector<u32>& x) {
          std::vector<u32> out;
          for (std::size_t i = 0; i < x.size(); ++i) out.push_back(2 * sum_of(x, i / 128 * 128, i % 128) + x[i]);
          return out;
        });
  quiet("#include <cub/block/block_exchange.cuh>\nextern \"C\" __global__ void k(const int* x, int* y, int*) {\n"
        "typedef cub::BlockExchange<int, 64, 2> E; __shared__ typename E::TempStorage s; int b = blockIdx.x * 128; int v[2] = {x[b + threadIdx.x], x[b + 64 + threadIdx.x]};\n"
        "if (threadIdx.x >= 64) return; E(s).StripedToBlocked(v, v); y[b + 2 * threadIdx.x] = v[0]; y[b + 2 * threadIdx.x + 1] = v[1]; }\n",
        128, 0 + 1, [](const std::vector<u32>& x) { return x; });
  quiet("#include <cub/block/block_radix_sort.cuh>\nextern \"C\" __global__ void k(const int* x, int* y, int*) {\n"
        "typedef cub::BlockRadixSort<int, 128, 1> S; __shared__ typename S::TempStorage s; int i = blockIdx.x * 128 + threadIdx.x; int v[1] = {x[i]}; S(s).Sort(v); y[i] = v[0]; }\n",
        128, 2, [](std::vector<u32> x) {
          for (std::size_t i = 0; i < x.size(); i += 128) std::sort(x.begin() + static_cast<std::ptrdiff_t>(i), x.begin() + static_cast<std::ptrdiff_t>(i) + 128);
          return x;
        });
}

TEST_CASE("quiet: CUB reduces and scans in a warp, and in a part of one") {
  for (const int width : {32, 16, 8})
    quiet("#include <cub/warp/warp_reduce.cuh>\nextern \"C\" __global__ void k(const int* x, int* y, int*) {\n"
          "typedef cub::WarpReduce<int, " + std::to_string(width) + "> R; __shared__ typename R::TempStorage s[128 / " + std::to_string(width) + "]; __shared__ int all[128]; int i = blockIdx.x * 128 + threadIdx.x, t = threadIdx.x / " +
              std::to_string(width) + ";\nint v = R(s[t]).Sum(x[i]); if (threadIdx.x % " + std::to_string(width) + " == 0) all[t] = v; __syncwarp(); y[i] = all[t]; }\n",
          128, 2, [&](const std::vector<u32>& x) {
            std::vector<u32> out;
            const auto n = static_cast<std::size_t>(width);
            for (std::size_t i = 0; i < x.size(); ++i) out.push_back(sum_of(x, i / n * n, n));
            return out;
          });
  quiet("#include <cub/warp/warp_scan.cuh>\nextern \"C\" __global__ void k(const int* x, int* y, int*) {\n"
        "typedef cub::WarpScan<int> S; __shared__ typename S::TempStorage s[4]; int i = blockIdx.x * 128 + threadIdx.x, v; S(s[threadIdx.x / 32]).InclusiveSum(x[i], v); y[i] = v; }\n",
        128, 2, [](const std::vector<u32>& x) {
          std::vector<u32> out;
          for (std::size_t i = 0; i < x.size(); ++i) out.push_back(sum_of(x, i / 32 * 32, i % 32 + 1));
          return out;
        });
}

TEST_CASE("quiet: cooperative groups, coalesced groups and barriers of the library") {
  quiet("#include <cooperative_groups.h>\nnamespace cg = cooperative_groups;\nextern \"C\" __global__ void k(const int* x, int* y, int*) {\n"
        "__shared__ int part[8]; auto b = cg::this_thread_block(); auto t = cg::tiled_partition<16>(b); int i = blockIdx.x * 128 + threadIdx.x, v = x[i];\n"
        "for (int o = 8; o; o /= 2) v += t.shfl_xor(v, o); if (t.thread_rank() == 0) part[t.meta_group_rank()] = v; b.sync(); int a = 0; for (int j = 0; j < 8; ++j) a += part[j];\n"
        "if (threadIdx.x % 3) { auto c = cg::coalesced_threads(); a += c.size(); a -= c.size(); c.sync(); } y[i] = a; }\n",
        128, 2, block_sums);
  quiet("#include <cuda/barrier>\nextern \"C\" __global__ void k(const int* x, int* y, int*) {\n"
        "__shared__ int part[128]; __shared__ cuda::barrier<cuda::thread_scope_block> b; if (threadIdx.x == 0) init(&b, 128); __syncthreads(); int i = blockIdx.x * 128 + threadIdx.x;\n"
        "part[threadIdx.x] = x[i]; b.arrive_and_wait(); int a = 0; for (int j = 0; j < 128; ++j) a += part[j]; b.arrive_and_wait(); part[127 - threadIdx.x] = a; b.arrive_and_wait(); y[i] = part[threadIdx.x]; }\n",
        128, 2, block_sums);
}

TEST_CASE("quiet: shared histograms, locks, flags and the last block") {
  quiet("extern \"C\" __global__ void k(const int* x, int* y, int*) {\n__shared__ int all[1]; if (threadIdx.x == 0) all[0] = 0; __syncthreads(); int i = blockIdx.x * 128 + threadIdx.x; atomicAdd(all, x[i]); __syncthreads(); y[i] = all[0]; }\n",
        128, 2, block_sums);
  quiet("extern \"C\" __global__ void k(const int* x, int* y, int* work) {\n__shared__ int all, lock; if (threadIdx.x == 0) all = lock = 0; __syncthreads(); int i = blockIdx.x * 128 + threadIdx.x;\n"
        "bool done = false; while (!done) { if (atomicCAS(&lock, 0, 1) == 0) { __threadfence_block(); all += x[i]; __threadfence_block(); atomicExch(&lock, 0); done = true; } } __syncthreads(); y[i] = all; }\n",
        128, 2, block_sums);
  // The double of the programming guide, in ints: a loop of compare-and-swap.
  quiet("extern \"C\" __global__ void k(const int* x, int* y, int* work) {\nint i = blockIdx.x * 128 + threadIdx.x; int* at = work + blockIdx.x; int old = *at, was; do { was = old; old = atomicCAS(at, was, was + x[i]); } while (was != old);\n"
        "__syncthreads(); y[i] = *at; }\n",
        128, 2, block_sums);
  // The reduction of the programming guide: parts, a fence, a count.
  quiet("__device__ unsigned sum_of_block(const int* x) { unsigned v = x[blockIdx.x * 128 + threadIdx.x]; for (int o = 16; o; o /= 2) v += __shfl_xor_sync(~0u, v, o); __shared__ unsigned p[4]; if (threadIdx.x % 32 == 0) p[threadIdx.x / 32] = v; __syncthreads(); return p[0] + p[1] + p[2] + p[3]; }\n"
        "extern \"C\" __global__ void k(const int* x, int* y, int* work) {\n__shared__ bool last; volatile int* part = work + 8; unsigned s = sum_of_block(x); if (threadIdx.x == 0) { part[blockIdx.x] = s; __threadfence(); last = atomicInc((unsigned*)work, gridDim.x) == gridDim.x - 1; }\n"
        "__syncthreads(); if (last) { int a = 0; for (int b = 0; b < gridDim.x; ++b) a += part[b]; for (int j = threadIdx.x; j < 128 * gridDim.x; j += 128) y[j] = a; } }\n",
        128, 4, [](const std::vector<u32>& x) { return std::vector<u32>(x.size(), sum_of(x, 0, x.size())); });
  // Warps in step, as code was written before __syncwarp, with volatile.
  quiet("extern \"C\" __global__ void k(const int* x, int* y, int*) {\n__shared__ int s[128]; int t = threadIdx.x, i = blockIdx.x * 128 + t; s[t] = x[i]; __syncthreads(); if (t < 64) s[t] += s[t + 64]; __syncthreads();\n"
        "if (t < 32) { volatile int* v = s; v[t] += v[t + 32]; v[t] += v[t + 16]; v[t] += v[t + 8]; v[t] += v[t + 4]; v[t] += v[t + 2]; v[t] += v[t + 1]; } __syncthreads(); y[i] = s[0]; }\n",
        128, 2, block_sums);
}
