/* skillbench
{
  "family": "geglu",
  "entry": "geglu<{T}>",
  "args": ["x", "y", "rows", "cols"],
  "grid": ["min(ceil_div(rows * cols, BLOCK), 132 * 64)"],
  "block": ["BLOCK"],
  "shared_bytes": "0",
  "tune": {"BLOCK": [256, 128, 512]}
}
*/
// The yardstick for speed: simple, right, and no faster than it needs to be.
// One element a thread and step; neighbours in a warp are neighbours in memory.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

template <typename T>
__global__ void __launch_bounds__(BLOCK)
geglu(const T* __restrict__ x, T* __restrict__ y, int rows, int cols) {
  // 64 bits: rows * 2 * cols goes beyond 2^31.
  const long long total = static_cast<long long>(rows) * cols;
  const long long step = static_cast<long long>(gridDim.x) * BLOCK;
  for (long long i = static_cast<long long>(blockIdx.x) * BLOCK + threadIdx.x;
       i < total; i += step) {
    const long long at = i + i / cols * cols;  // row * 2 * cols + column
    const float value = static_cast<float>(x[at]);
    const float gate = static_cast<float>(x[at + cols]);
    const float gelu = 0.5f * gate * (1.0f + erff(gate * 0.70710678118654752f));
    y[i] = static_cast<T>(value * gelu);
  }
}
