/* skillbench
{
  "family": "vector_add",
  "entry": "add<{T}>",
  "args": ["a", "b", "y", "n"],
  "grid": ["ceil_div(n, 256)"],
  "block": ["256"],
  "shared_bytes": "0"
}
*/
#include <cuda_bf16.h>
#include <cuda_fp16.h>

template <typename T>
__global__ void add(const T* a, const T* b, T* y, int n) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i < n) y[i] = static_cast<T>(static_cast<float>(a[i]) + static_cast<float>(b[i]));
}
