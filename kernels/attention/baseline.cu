/* skillbench
{
  "family": "attention",
  "entry": "attention<{T}>",
  "args": ["q", "k", "v", "o", "q_len", "kv_len", "head_dim", "scale", "causal"],
  "grid": ["ceil_div(q_len, 64)", "batch * heads"],
  "block": ["256"],
  "shared_bytes": "4 * (3 * 64 * (head_dim + 4) + 64 * 68)",
  "tune": {"UNROLL": [2, 1, 4], "CTAS": [1, 2]}
}
*/
// The yardstick for speed: simple, right, and no faster than it needs to be.
// One block takes 64 queries of a head through all keys, 64 at a time, with a
// running maximum and sum. Everything is float in shared memory and plain
// multiply-adds: no tensor cores.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

constexpr int TILE = 64;       // queries, and keys
constexpr int THREADS = 256;   // 16 x 16, each with 4 queries and 4 keys
constexpr int P_PITCH = TILE + 4;

__device__ __forceinline__ float infinity() {
  return __int_as_float(0x7f800000);  // NVRTC has no INFINITY
}

__device__ __forceinline__ float dot(float4 a, float4 b, float sum) {
  sum = fmaf(a.x, b.x, sum);
  sum = fmaf(a.y, b.y, sum);
  sum = fmaf(a.z, b.z, sum);
  return fmaf(a.w, b.w, sum);
}

__device__ __forceinline__ void add(float4& sum, float p, float4 v) {
  sum.x = fmaf(p, v.x, sum.x);
  sum.y = fmaf(p, v.y, sum.y);
  sum.z = fmaf(p, v.z, sum.z);
  sum.w = fmaf(p, v.w, sum.w);
}

__device__ __forceinline__ float4 four(const float* from) {
  return *reinterpret_cast<const float4*>(from);
}

// TILE rows from `first` on into shared memory; rows past `count` are zeros.
template <typename T, int D>
__device__ void load(float* to, const T* from, int first, int count) {
  for (int i = threadIdx.x; i < TILE * D; i += THREADS) {
    const int row = i / D, column = i % D;
    to[row * (D + 4) + column] =
        first + row < count
            ? static_cast<float>(
                  from[static_cast<long long>(first + row) * D + column])
            : 0.0f;
  }
}

template <typename T, int D>
__device__ void attend(const T* q, const T* k, const T* v, T* o, int q_len,
                       int kv_len, float scale, int causal) {
  constexpr int PITCH = D + 4;  // no bank conflicts, and rows stay aligned
  extern __shared__ __align__(16) float shared[];
  float* const qs = shared;
  float* const ks = qs + TILE * PITCH;
  float* const vs = ks + TILE * PITCH;
  float* const ps = vs + TILE * PITCH;
  const int tx = threadIdx.x % 16;      // keys tx + 16 j; columns 4 tx + 64 j
  const int ty = threadIdx.x / 16 * 4;  // queries ty + i
  const int first = blockIdx.x * TILE;
  const int shift = kv_len - q_len;  // of the diagonal

  load<T, D>(qs, q, first, q_len);
  int keys = kv_len;  // that some query of this block sees
  if (causal) keys = min(keys, min(first + TILE, q_len) + shift);

  float4 sum[4][D / 64] = {};
  float most[4], total[4] = {};
  for (int i = 0; i < 4; ++i) most[i] = -infinity();

  for (int start = 0; start < keys; start += TILE) {
    __syncthreads();  // the tile before is done with
    load<T, D>(ks, k, start, kv_len);
    load<T, D>(vs, v, start, kv_len);
    __syncthreads();

    float s[4][4] = {};
#pragma unroll 4
    for (int c = 0; c < D; c += 4) {
      float4 a[4], b[4];
      for (int i = 0; i < 4; ++i) a[i] = four(qs + (ty + i) * PITCH + c);
      for (int j = 0; j < 4; ++j) b[j] = four(ks + (tx + 16 * j) * PITCH + c);
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) s[i][j] = dot(a[i], b[j], s[i][j]);
    }

    for (int i = 0; i < 4; ++i) {
      const int query = first + ty + i;
      float highest = most[i];
      for (int j = 0; j < 4; ++j) {
        const int key = start + tx + 16 * j;
        const bool hidden = key >= kv_len || (causal && key > query + shift);
        s[i][j] = hidden ? -infinity() : s[i][j] * scale;
        highest = fmaxf(highest, s[i][j]);
      }
      for (int step = 8; step > 0; step /= 2)  // 16 lanes share a query
        highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, step));
      // A query that has seen no key yet has nothing to subtract.
      const float top = highest == -infinity() ? 0.0f : highest;
      const float shrink = expf(most[i] - top);
      most[i] = highest;
      total[i] *= shrink;
      for (int j = 0; j < 4; ++j) {
        const float p = expf(s[i][j] - top);
        total[i] += p;  // of this thread's keys; the lanes meet at the end
        ps[(ty + i) * P_PITCH + tx + 16 * j] = p;
      }
      for (int j = 0; j < D / 64; ++j) {
        sum[i][j].x *= shrink;
        sum[i][j].y *= shrink;
        sum[i][j].z *= shrink;
        sum[i][j].w *= shrink;
      }
    }
    __syncthreads();

#pragma unroll UNROLL
    for (int key = 0; key < TILE; key += 4) {
      float4 p[4];
      for (int i = 0; i < 4; ++i) p[i] = four(ps + (ty + i) * P_PITCH + key);
      for (int j = 0; j < D / 64; ++j) {
        const float* from = vs + key * PITCH + 4 * tx + 64 * j;
        const float4 a = four(from), b = four(from + PITCH);
        const float4 c = four(from + 2 * PITCH), d = four(from + 3 * PITCH);
        for (int i = 0; i < 4; ++i) {
          add(sum[i][j], p[i].x, a);
          add(sum[i][j], p[i].y, b);
          add(sum[i][j], p[i].z, c);
          add(sum[i][j], p[i].w, d);
        }
      }
    }
  }

  for (int i = 0; i < 4; ++i) {
    for (int step = 8; step > 0; step /= 2)
      total[i] += __shfl_xor_sync(0xffffffffu, total[i], step);
    const int query = first + ty + i;
    if (query >= q_len) continue;
    const float share = total[i] > 0.0f ? 1.0f / total[i] : 0.0f;
    for (int j = 0; j < D / 64; ++j) {
      T* const to = o + static_cast<long long>(query) * D + 4 * tx + 64 * j;
      to[0] = static_cast<T>(sum[i][j].x * share);
      to[1] = static_cast<T>(sum[i][j].y * share);
      to[2] = static_cast<T>(sum[i][j].z * share);
      to[3] = static_cast<T>(sum[i][j].w * share);
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(THREADS, CTAS)
attention(const T* __restrict__ q, const T* __restrict__ k,
          const T* __restrict__ v, T* __restrict__ o, int q_len, int kv_len,
          int head_dim, float scale, int causal) {
  const long long head = blockIdx.y;
  q += head * q_len * head_dim;
  k += head * kv_len * head_dim;
  v += head * kv_len * head_dim;
  o += head * q_len * head_dim;
  if (head_dim == 64)
    attend<T, 64>(q, k, v, o, q_len, kv_len, scale, causal);
  else
    attend<T, 128>(q, k, v, o, q_len, kv_len, scale, causal);
}
