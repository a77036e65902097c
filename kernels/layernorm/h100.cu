/* skillbench
{
  "family": "layernorm",
  "entry": "layernorm<{T}>",
  "args": ["x", "weight", "bias", "y", "rows", "cols", "eps"],
  "grid": ["rows * CLUSTER"],
  "block": ["BLOCK"],
  "shared_bytes": "ceil_div(cols, CLUSTER) * 4",
  "cluster": ["CLUSTER"],
  "tune": {"CLUSTER": [2, 4, 8], "BLOCK": [128, 256]}
}
*/
// A cluster of CTAs a row: each keeps its part of the row in shared memory and
// reads it from global memory once; sums go through the shared memory of the
// others.
#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace cg = cooperative_groups;

constexpr int warps = BLOCK / 32;

// The sum over the CTA in every thread; `room` holds one float a warp.
__device__ float sum_of_cta(float sum, float* room) {
  for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(~0u, sum, by);
  if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = sum;
  __syncthreads();
  float all = 0.0f;
  for (int w = 0; w < warps; ++w) all += room[w];
  return all;
}

// The sum over the cluster; `mine` is where this CTA leaves its part.
__device__ float sum_of_cluster(cg::cluster_group& cluster, float sum,
                                float* mine) {
  if (threadIdx.x == 0) *mine = sum;
  cluster.sync();
  float all = 0.0f;
  for (int rank = 0; rank < CLUSTER; ++rank)
    all += *cluster.map_shared_rank(mine, rank);
  return all;
}

template <typename T>
__global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(BLOCK)
layernorm(const T* __restrict__ x, const T* __restrict__ weight,
          const T* __restrict__ bias, T* __restrict__ y, int rows, int cols,
          float eps) {
  extern __shared__ float kept[];
  __shared__ float sums[warps], squares[warps], part_of_sum, part_of_squares;
  cg::cluster_group cluster = cg::this_cluster();

  const int part = (cols + CLUSTER - 1) / CLUSTER;
  const int first = static_cast<int>(cluster.block_rank()) * part;
  const int count = max(0, min(part, cols - first));
  const long long start =
      static_cast<long long>(blockIdx.x / CLUSTER) * cols + first;

  float sum = 0.0f;
  for (int c = threadIdx.x; c < count; c += BLOCK) {
    kept[c] = static_cast<float>(x[start + c]);
    sum += kept[c];
  }
  sum = sum_of_cluster(cluster, sum_of_cta(sum, sums), &part_of_sum);
  const float mean = sum / static_cast<float>(cols);

  float square = 0.0f;
  for (int c = threadIdx.x; c < count; c += BLOCK) {
    const float difference = kept[c] - mean;
    square += difference * difference;
  }
  square =
      sum_of_cluster(cluster, sum_of_cta(square, squares), &part_of_squares);
  const float rstd = 1.0f / sqrtf(square / static_cast<float>(cols) + eps);

  for (int c = threadIdx.x; c < count; c += BLOCK)
    y[start + c] = static_cast<T>((kept[c] - mean) * rstd *
                                      static_cast<float>(weight[first + c]) +
                                  static_cast<float>(bias[first + c]));
  cluster.sync();  // nobody leaves while others may read its sums
}
