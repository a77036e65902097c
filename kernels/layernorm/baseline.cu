/* skillbench
{
  "family": "layernorm",
  "entry": "layernorm<{T}, {BLOCK}>",
  "args": ["x", "weight", "bias", "y", "rows", "cols", "eps"],
  "grid": ["rows"],
  "block": ["BLOCK"],
  "shared_bytes": "0",
  "tune": {"BLOCK": [256, 128, 512]}
}
*/
// The yardstick for speed: simple, right, and no faster than it needs to be.
// One block a row; x is read three times, the second and third time from cache.
#include <cub/block/block_reduce.cuh>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

template <typename T, int BLOCK>
__global__ void __launch_bounds__(BLOCK)
layernorm(const T* __restrict__ x, const T* __restrict__ weight,
          const T* __restrict__ bias, T* __restrict__ y, int rows, int cols,
          float eps) {
  using reduce = cub::BlockReduce<float, BLOCK>;
  __shared__ typename reduce::TempStorage storage;
  __shared__ float shared_mean, shared_rstd;

  const long long start = static_cast<long long>(blockIdx.x) * cols;
  const T* row = x + start;

  float sum = 0.0f;
  for (int c = threadIdx.x; c < cols; c += BLOCK)
    sum += static_cast<float>(row[c]);
  sum = reduce(storage).Sum(sum);
  if (threadIdx.x == 0) shared_mean = sum / static_cast<float>(cols);
  __syncthreads();  // the mean is there, and storage may be used again
  const float mean = shared_mean;

  // Deviations from the mean, not E[x^2] - mean^2: that form loses every digit
  // when the mean is large against the spread.
  float squares = 0.0f;
  for (int c = threadIdx.x; c < cols; c += BLOCK) {
    const float difference = static_cast<float>(row[c]) - mean;
    squares += difference * difference;
  }
  squares = reduce(storage).Sum(squares);
  if (threadIdx.x == 0)
    shared_rstd = 1.0f / sqrtf(squares / static_cast<float>(cols) + eps);
  __syncthreads();
  const float rstd = shared_rstd;

  for (int c = threadIdx.x; c < cols; c += BLOCK)
    y[start + c] = static_cast<T>((static_cast<float>(row[c]) - mean) * rstd *
                                      static_cast<float>(weight[c]) +
                                  static_cast<float>(bias[c]));
}
