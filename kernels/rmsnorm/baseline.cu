/* skillbench
{
  "family": "rmsnorm",
  "entry": "rmsnorm<{T}, {BLOCK}>",
  "args": ["x", "weight", "y", "rows", "cols", "eps"],
  "grid": ["rows"],
  "block": ["BLOCK"],
  "shared_bytes": "0",
  "tune": {"BLOCK": [256, 128, 512]}
}
*/
// The yardstick for speed: simple, right, and no faster than it needs to be.
// One block a row; x is read twice, the second time from cache.
#include <cub/block/block_reduce.cuh>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

template <typename T, int BLOCK>
__global__ void __launch_bounds__(BLOCK)
rmsnorm(const T* __restrict__ x, const T* __restrict__ weight,
        T* __restrict__ y, int rows, int cols, float eps) {
  using reduce = cub::BlockReduce<float, BLOCK>;
  __shared__ typename reduce::TempStorage storage;
  __shared__ float shared_scale;

  const long long start = static_cast<long long>(blockIdx.x) * cols;
  const T* row = x + start;

  // In float: the square of a half is beyond half's range from 256 on.
  float squares = 0.0f;
  for (int c = threadIdx.x; c < cols; c += BLOCK) {
    const float value = static_cast<float>(row[c]);
    squares += value * value;
  }
  squares = reduce(storage).Sum(squares);
  if (threadIdx.x == 0)
    shared_scale = 1.0f / sqrtf(squares / static_cast<float>(cols) + eps);
  __syncthreads();
  const float scale = shared_scale;

  for (int c = threadIdx.x; c < cols; c += BLOCK)
    y[start + c] = static_cast<T>(static_cast<float>(row[c]) * scale *
                                  static_cast<float>(weight[c]));
}
