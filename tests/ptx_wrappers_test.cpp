// The asynchrony that CUDA's own headers offer, compiled by NVRTC and run on the
// PTX machine: pipelines, barriers, groups, the copy engine, clusters.

#include <doctest/doctest.h>

#include <cstring>

#include <skillbench/inputs.hpp>

#include "ptx_kit.hpp"

using namespace skillbench;

namespace {

skillbench::device* compiler() {
  static const auto on = kit::device();
  static const bool there = [] {
    compile_request asked;
    asked.source = "__global__ void k() {}";
    asked.entries = {"k"};
    const auto told = on->compile(asked);
    return told && told.value().ok;
  }();
  return there ? on.get() : nullptr;
}

struct outcome_of_run {
  std::string trouble;
  std::vector<float> in, out;
};

// k(const float* x, float* y) with `n` elements each.
outcome_of_run run(const std::string& source, std::int64_t n, extent grid, extent block, std::int64_t shared = 0) {
  outcome_of_run out;
  compile_request asked;
  asked.source = source;
  asked.entries = {"k"};
  const auto image = compiler()->compile(asked);
  if (!image) return {image.error().what, {}, {}};
  if (!image.value().ok) return {image.value().log, {}, {}};
  if (const auto loaded = compiler()->load(image.value().ptx); !loaded) return {loaded.error().what, {}, {}};
  job j;
  buffer x, y;
  x.name = "x";
  x.elements = y.elements = n;
  x.filled.kind = pattern::normal;
  x.seed = 5;
  y.name = "y";
  y.use = role::output;
  j.buffers = {x, y};
  launch one;
  one.entry = image.value().kernels[0].lowered;
  one.grid = grid;
  one.block = block;
  one.shared_bytes = shared;
  one.args = {{kernel_argument::type::pointer, 0, 0, "x"}, {kernel_argument::type::pointer, 1, 0, "y"}};
  j.launches = {one};
  const auto told = compiler()->run(j);
  if (!told) return {told.error().what, {}, {}};
  for (const auto& f : told.value().findings)
    if (f.weight == severity::fails) out.trouble += std::string(name(f.kind)) + ": " + f.what + "\n";
  out.in.resize(static_cast<std::size_t>(n));
  make_elements(x.filled, x.seed, element::f32, 0, std::span(reinterpret_cast<std::byte*>(out.in.data()), out.in.size() * 4));
  for (const auto& o : told.value().outputs) {
    out.out.resize(o.bytes.size() / 4);
    std::memcpy(out.out.data(), o.bytes.data(), o.bytes.size());
  }
  return out;
}

// Every kernel here turns tiles of 256 around.
void turns_tiles(const std::string& source, extent grid = {4, 1, 1}, extent block = {256, 1, 1}) {
  const auto got = run(source, 1024, grid, block);
  CHECK(got.trouble == "");
  REQUIRE(got.out.size() == 1024);
  bool same = true;
  for (std::size_t i = 0; i < 1024; ++i) same &= got.out[i] == got.in[i / 256 * 256 + 255 - i % 256];
  CHECK(same);
}

}  // namespace

TEST_CASE("wrappers: __pipeline_memcpy_async") {
  if (!compiler()) return;
  turns_tiles(R"(#include <cuda_pipeline.h>
extern "C" __global__ void k(const float* x, float* y) {
  __shared__ alignas(16) float tile[256];
  if (threadIdx.x < 64) __pipeline_memcpy_async(&tile[threadIdx.x * 4], x + blockIdx.x * 256 + threadIdx.x * 4, 16);
  __pipeline_commit();
  __pipeline_wait_prior(0);
  __syncthreads();
  y[blockIdx.x * 256 + threadIdx.x] = tile[255 - threadIdx.x];
})");
}

TEST_CASE("wrappers: cooperative_groups::memcpy_async") {
  if (!compiler()) return;
  turns_tiles(R"(#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
namespace cg = cooperative_groups;
extern "C" __global__ void k(const float* x, float* y) {
  __shared__ alignas(16) float tile[256];
  auto block = cg::this_thread_block();
  cg::memcpy_async(block, tile, x + blockIdx.x * 256, sizeof tile);
  cg::wait(block);
  y[blockIdx.x * 256 + threadIdx.x] = tile[255 - threadIdx.x];
})");
}

TEST_CASE("wrappers: cuda::barrier, its tokens and cuda::memcpy_async") {
  if (!compiler()) return;
  turns_tiles(R"(#include <cuda/barrier>
extern "C" __global__ void k(const float* x, float* y) {
  __shared__ float tile[256];
#pragma nv_diag_suppress static_var_with_dynamic_init
  __shared__ cuda::barrier<cuda::thread_scope_block> bar;
  if (threadIdx.x == 0) init(&bar, blockDim.x);
  __syncthreads();
  tile[threadIdx.x] = x[blockIdx.x * 256 + threadIdx.x];
  auto token = bar.arrive();
  bar.wait(std::move(token));
  const float mine = tile[255 - threadIdx.x];
  bar.arrive_and_wait();
  y[blockIdx.x * 256 + threadIdx.x] = mine;
})");
  turns_tiles(R"(#include <cuda/barrier>
extern "C" __global__ void k(const float* x, float* y) {
  __shared__ alignas(16) float tile[256];
#pragma nv_diag_suppress static_var_with_dynamic_init
  __shared__ cuda::barrier<cuda::thread_scope_block> bar;
  if (threadIdx.x == 0) init(&bar, blockDim.x);
  __syncthreads();
  cuda::memcpy_async(tile + threadIdx.x, x + blockIdx.x * 256 + threadIdx.x, sizeof(float), bar);
  bar.arrive_and_wait();
  y[blockIdx.x * 256 + threadIdx.x] = tile[255 - threadIdx.x];
})");
}

TEST_CASE("wrappers: cuda::ptx drives the copy engine") {
  if (!compiler()) return;
  turns_tiles(R"(#include <cuda/ptx>
namespace ptx = cuda::ptx;
extern "C" __global__ void k(const float* x, float* y) {
  __shared__ alignas(16) float tile[256], back[256];
  __shared__ uint64_t bar;
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(&bar, 1);
    ptx::fence_proxy_async(ptx::space_shared);
    ptx::cp_async_bulk(ptx::space_cluster, ptx::space_global, tile, x + blockIdx.x * 256, 1024, &bar);
    ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta, ptx::space_shared, &bar, 1024);
  }
  __syncthreads();
  while (!ptx::mbarrier_try_wait_parity(&bar, 0)) {}
  back[threadIdx.x] = tile[255 - threadIdx.x];
  ptx::fence_proxy_async(ptx::space_shared);
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::cp_async_bulk(ptx::space_global, ptx::space_shared, y + blockIdx.x * 256, back, 1024);
    ptx::cp_async_bulk_commit_group();
    ptx::cp_async_bulk_wait_group_read(ptx::n32_t<0>());
  }
})");
}

TEST_CASE("wrappers: a cluster of cooperative groups") {
  if (!compiler()) return;
  turns_tiles(R"(#include <cooperative_groups.h>
namespace cg = cooperative_groups;
extern "C" __global__ void __cluster_dims__(4, 1, 1) k(const float* x, float* y) {
  __shared__ float tile[64];
  auto cluster = cg::this_cluster();
  const unsigned rank = cluster.block_rank(), base = blockIdx.x / 4 * 256;
  tile[threadIdx.x] = x[base + rank * 64 + threadIdx.x];
  cluster.sync();
  y[base + rank * 64 + threadIdx.x] = cluster.map_shared_rank(tile, 3 - rank)[63 - threadIdx.x];
  cluster.sync();
})", {16, 1, 1}, {64, 1, 1});
}

TEST_CASE("wrappers: one thing left out is told") {
  if (!compiler()) return;
  const auto got = run(R"(#include <cuda_pipeline.h>
extern "C" __global__ void k(const float* x, float* y) {
  __shared__ alignas(16) float tile[256];
  __pipeline_memcpy_async(&tile[threadIdx.x], x + blockIdx.x * 256 + threadIdx.x, 4);
  __pipeline_commit();
  __syncthreads();
  y[blockIdx.x * 256 + threadIdx.x] = tile[255 - threadIdx.x];
})", 1024, {4, 1, 1}, {256, 1, 1});
  CHECK(got.trouble.find("in_flight_access: thread") == 0);
  CHECK(got.trouble.find("the asynchronous copy of line 4") != std::string::npos);
}
