/* skillbench
{
  "family": "geglu",
  "entry": "geglu<{T}>",
  "args": ["x_map", "y_map", "x", "y", "rows", "cols"],
  "grid": ["min(ceil_div(cols, COLS) * ceil_div(rows, ROWS), 132 * 4)"],
  "block": ["256"],
  "tune": {"COLS": [128, 64], "ROWS": [16, 8]},
  "tensor_maps": {
    "x_map": {"tensor": "x", "extents": ["2 * cols", "rows"],
              "strides": ["cols * sizeof_T % 16 == 0 ? 2 * cols * sizeof_T : 16"],
              "box": ["COLS", "ROWS"]},
    "y_map": {"tensor": "y", "extents": ["cols", "rows"],
              "strides": ["cols * sizeof_T % 16 == 0 ? cols * sizeof_T : 16"],
              "box": ["COLS", "ROWS"]}
  }
}
*/
// The copy engine brings tiles of both halves, one tile ahead, and takes the
// results away; threads only compute. What reaches beyond a tensor's edge it
// leaves out. Rows of another multiple than 16 bytes have no tensor map: those
// go through plain loads and stores.
#include <cuda/ptx>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace ptx = cuda::ptx;

struct alignas(64) tensor_map {
  unsigned char bytes[128];
};

constexpr int threads = 256;
constexpr int tile = ROWS * COLS;

__device__ float geglu_of(float value, float gate) {
  return value * (0.5f * gate * (1.0f + erff(gate * 0.70710678118654752f)));
}

template <typename T>
__device__ void without_maps(const T* __restrict__ x, T* __restrict__ y,
                             int rows, int cols) {
  const long long total = static_cast<long long>(rows) * cols;
  const long long step = static_cast<long long>(gridDim.x) * threads;
  for (long long i = static_cast<long long>(blockIdx.x) * threads + threadIdx.x;
       i < total; i += step) {
    const long long at = i + i / cols * cols;
    y[i] = static_cast<T>(geglu_of(static_cast<float>(x[at]),
                                   static_cast<float>(x[at + cols])));
  }
}

template <typename T>
__global__ void __launch_bounds__(threads)
geglu(const __grid_constant__ tensor_map x_map,
      const __grid_constant__ tensor_map y_map, const T* __restrict__ x,
      T* __restrict__ y, int rows, int cols) {
  if (static_cast<long long>(cols) * sizeof(T) % 16 != 0)
    return without_maps(x, y, rows, cols);

  __shared__ alignas(128) T value[2][tile];
  __shared__ alignas(128) T gate[2][tile];
  __shared__ alignas(128) T out[tile];
  __shared__ alignas(8) unsigned long long full[2];
  const bool leader = threadIdx.x == 0;
  if (leader) {
    ptx::mbarrier_init(reinterpret_cast<uint64_t*>(&full[0]), 1);
    ptx::mbarrier_init(reinterpret_cast<uint64_t*>(&full[1]), 1);
    ptx::fence_mbarrier_init(ptx::sem_release, ptx::scope_cluster);
  }
  __syncthreads();

  const int across = (cols + COLS - 1) / COLS, down = (rows + ROWS - 1) / ROWS;
  const long long tiles = static_cast<long long>(across) * down;
  const auto load = [&](long long which, int stage) {
    const int c = static_cast<int>(which % across) * COLS;
    const int r = static_cast<int>(which / across) * ROWS;
    uint64_t* bar = reinterpret_cast<uint64_t*>(&full[stage]);
    ptx::mbarrier_arrive_expect_tx(ptx::sem_release, ptx::scope_cta,
                                   ptx::space_shared, bar,
                                   2 * tile * sizeof(T));
    const int first[2] = {c, r}, second[2] = {cols + c, r};
    ptx::cp_async_bulk_tensor(ptx::space_cluster, ptx::space_global,
                              value[stage], &x_map, first, bar);
    ptx::cp_async_bulk_tensor(ptx::space_cluster, ptx::space_global,
                              gate[stage], &x_map, second, bar);
  };

  if (leader && blockIdx.x < tiles) load(blockIdx.x, 0);
  int turn = 0;
  for (long long at = blockIdx.x; at < tiles; at += gridDim.x, ++turn) {
    const int stage = turn & 1;
    if (leader && at + gridDim.x < tiles) load(at + gridDim.x, stage ^ 1);
    while (!ptx::mbarrier_try_wait_parity(
        reinterpret_cast<uint64_t*>(&full[stage]), turn >> 1 & 1)) {
    }
    // The last tile's results have left `out`.
    if (leader) ptx::cp_async_bulk_wait_group_read(ptx::n32_t<0>());
    __syncthreads();
    for (int i = threadIdx.x; i < tile; i += threads)
      out[i] = static_cast<T>(geglu_of(static_cast<float>(value[stage][i]),
                                       static_cast<float>(gate[stage][i])));
    ptx::fence_proxy_async(ptx::space_shared);
    __syncthreads();  // `out` is whole, and this stage may be loaded again
    if (leader) {
      const int to[2] = {static_cast<int>(at % across) * COLS,
                         static_cast<int>(at / across) * ROWS};
      ptx::cp_async_bulk_tensor(ptx::space_global, ptx::space_shared, &y_map,
                                to, out);
      ptx::cp_async_bulk_commit_group();
    }
  }
  if (leader) ptx::cp_async_bulk_wait_group(ptx::n32_t<0>());
}
