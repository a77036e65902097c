/* skillbench
{
  "family": "attention",
  "entry": "attention<{T}>",
  "args": ["q_map", "k_map", "v_map", "o_map", "q_len", "kv_len", "head_dim", "scale", "causal"],
  "grid": ["ceil_div(q_len, 128)", "batch * heads"],
  "block": ["384"],
  "shared_bytes": "1024 + head_dim * sizeof_T * (128 + (sizeof_T == 4 ? 2 * 2 * 64 : 2 * STAGES * KEYS)) + (sizeof_T == 4 ? 32768 : 0)",
  "tune": {"KEYS": [64, 128], "STAGES": [2, 3]},
  "tensor_maps": {
    "q_map": {"tensor": "q", "extents": ["head_dim", "q_len", "batch * heads"],
              "strides": ["head_dim * sizeof_T", "q_len * head_dim * sizeof_T"],
              "box": ["128 / sizeof_T", "64", "1"], "swizzle": "128"},
    "k_map": {"tensor": "k", "extents": ["head_dim", "kv_len", "batch * heads"],
              "strides": ["head_dim * sizeof_T", "kv_len * head_dim * sizeof_T"],
              "box": ["128 / sizeof_T", "sizeof_T == 4 ? 64 : KEYS", "1"], "swizzle": "128"},
    "v_map": {"tensor": "v", "extents": ["head_dim", "kv_len", "batch * heads"],
              "strides": ["head_dim * sizeof_T", "kv_len * head_dim * sizeof_T"],
              "box": ["128 / sizeof_T", "sizeof_T == 4 ? 64 : KEYS", "1"], "swizzle": "128"},
    "o_map": {"tensor": "o", "extents": ["head_dim", "q_len", "batch * heads"],
              "strides": ["head_dim * sizeof_T", "q_len * head_dim * sizeof_T"],
              "box": ["128 / sizeof_T", "64", "1"], "swizzle": "128"}
  }
}
*/
// A CTA takes 128 queries of a head through the keys. One thread has the copy
// engine bring Q once, and K and V a few tiles ahead; two warpgroups have 64
// queries each, with a running maximum and sum. In 16-bit types products are
// wgmma: while P V of a tile runs, the softmax of the next is computed. In float
// they are multiply-adds from the same tiles, because tf32 is not accurate enough.
// Tiles lie in panels of 128 bytes a row, swizzled; what is beyond the end of a
// head is zeros on the way in and left out on the way out.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

struct alignas(64) tensor_map {
  unsigned char bytes[128];
};

constexpr int GROUP = 128;               // threads of a warpgroup
constexpr int ROWS = 64;                 // queries of a warpgroup
constexpr int LINE = 128;                // bytes of a panel's row
constexpr int WARPS = 2 * GROUP / 32;    // that use up tiles

template <typename T>
constexpr int keys_of = sizeof(T) == 4 ? 64 : KEYS;
template <typename T>
constexpr int stages_of = sizeof(T) == 4 ? 2 : STAGES;

// ---- the copy engine and its barriers ----------------------------------------

__device__ __forceinline__ unsigned shared_address(const void* at) {
  return static_cast<unsigned>(__cvta_generic_to_shared(at));
}

__device__ __forceinline__ void init(unsigned barrier, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}
__device__ __forceinline__ void expect(unsigned barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
__device__ __forceinline__ void wait(unsigned barrier, int parity) {
  unsigned done;
  do {
    asm volatile(
        "{\n.reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.b32 %0, 1, 0, p;\n}"
        : "=r"(done) : "r"(barrier), "r"(parity) : "memory");
  } while (!done);
}
// All lanes of this warp are done with a tile.
__device__ __forceinline__ void release(unsigned barrier) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

__device__ __forceinline__ void load(unsigned to, const tensor_map* map, int column, int row, int head, unsigned barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], [%5];" ::"r"(to),
      "l"(map), "r"(column), "r"(row), "r"(head), "r"(barrier)
      : "memory");
}
__device__ __forceinline__ void store(const tensor_map* map, int column, int row, int head, unsigned from) {
  asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%1, %2, %3}], [%4];" ::"l"(map), "r"(column), "r"(row),
               "r"(head), "r"(from)
               : "memory");
}

// The threads of one warpgroup, 0 or 1.
__device__ __forceinline__ void meet(int group) { asm volatile("bar.sync %0, 128;" ::"r"(group + 1) : "memory"); }

// ---- wgmma --------------------------------------------------------------------

__device__ __forceinline__ void fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N>
__device__ __forceinline__ void wait_groups() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}
// Keeps the compiler from moving work on these registers across this point.
template <int N>
__device__ __forceinline__ void pin(float (&x)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) asm volatile("" : "+f"(x[i])::"memory");
}
template <int N>
__device__ __forceinline__ void pin(unsigned (&x)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) asm volatile("" : "+r"(x[i])::"memory");
}

// Of a panel with a swizzle of 128 bytes: eight rows are 1024 bytes; `across` is
// the distance of panels, for operands whose rows are not contiguous in k.
__device__ __forceinline__ unsigned long long matrix(unsigned at, int across) {
  return static_cast<unsigned long long>((at & 0x3ffff) >> 4) | static_cast<unsigned long long>(across >> 4) << 16 |
         static_cast<unsigned long long>(8 * LINE >> 4) << 32 | 1ull << 62;
}

#define FOUR(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define SIXTEEN(d, i) FOUR(d, i), FOUR(d, i + 4), FOUR(d, i + 8), FOUR(d, i + 12)
#define NAMES_32                                                                                                      \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, %25, %26, %27, %28, %29, %30, %31}"
#define NAMES_64                                                                                                      \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, "  \
  "%46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}"

// d (+)= a b: both in shared memory and contiguous in k, or a in registers and b
// contiguous in its columns.
#define WGMMA(NAME, TYPE)                                                                                             \
  __device__ __forceinline__ void multiply(float(&d)[32], unsigned long long a, unsigned long long b, int adds, NAME) { \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"                                                         \
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32." TYPE "." TYPE " " NAMES_32 ", %32, %33, p, 1, 1, 0, 0;\n}" \
                 : SIXTEEN(d, 0), SIXTEEN(d, 16) : "l"(a), "l"(b), "r"(adds));                                        \
  }                                                                                                                   \
  __device__ __forceinline__ void multiply(float(&d)[64], unsigned long long a, unsigned long long b, int adds, NAME) { \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"                                                         \
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32." TYPE "." TYPE " " NAMES_64 ", %64, %65, p, 1, 1, 0, 0;\n}" \
                 : SIXTEEN(d, 0), SIXTEEN(d, 16), SIXTEEN(d, 32), SIXTEEN(d, 48) : "l"(a), "l"(b), "r"(adds));        \
  }                                                                                                                   \
  __device__ __forceinline__ void multiply(float(&d)[32], const unsigned* a, unsigned long long b, NAME) {            \
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." TYPE "." TYPE " " NAMES_32                             \
                 ", {%32, %33, %34, %35}, %36, 1, 1, 1, 1;"                                                           \
                 : SIXTEEN(d, 0), SIXTEEN(d, 16) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));               \
  }                                                                                                                   \
  __device__ __forceinline__ void multiply(float(&d)[64], const unsigned* a, unsigned long long b, NAME) {            \
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32." TYPE "." TYPE " " NAMES_64                            \
                 ", {%64, %65, %66, %67}, %68, 1, 1, 1, 1;"                                                           \
                 : SIXTEEN(d, 0), SIXTEEN(d, 16), SIXTEEN(d, 32), SIXTEEN(d, 48)                                      \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                                               \
  }
WGMMA(__half, "f16")
WGMMA(__nv_bfloat16, "bf16")

// ---- what all threads know -----------------------------------------------------

struct work {
  int first, tiles;     // query, and tiles of keys that some query of the CTA sees
  int q_len, kv_len, head, causal;
  float scale;          // times log2(e): exponentials are powers of two
};

// Addresses in shared memory. Barriers: Q's, then full and empty ones of K and V.
template <typename T, int D>
struct layout {
  static constexpr int ELEMENTS = LINE / sizeof(T);  // of a panel's row
  static constexpr int PANELS = D / ELEMENTS;
  static constexpr int Q_PANEL = ROWS * LINE, PANEL = keys_of<T> * LINE, TILE = PANELS * PANEL, STAGE_COUNT = stages_of<T>;
  unsigned data, barriers;
  __device__ unsigned q(int group) const { return data + group * PANELS * Q_PANEL; }
  __device__ unsigned k(int stage) const { return data + 2 * PANELS * Q_PANEL + stage * TILE; }
  __device__ unsigned v(int stage) const { return k(STAGE_COUNT + stage); }
  __device__ unsigned p(int group) const { return k(2 * STAGE_COUNT) + group * ROWS * keys_of<T> * 4; }  // float only
  __device__ unsigned q_full() const { return barriers; }
  __device__ unsigned k_full(int stage) const { return barriers + 8 * (1 + stage); }
  __device__ unsigned v_full(int stage) const { return k_full(STAGE_COUNT + stage); }
  __device__ unsigned k_empty(int stage) const { return k_full(2 * STAGE_COUNT + stage); }
  __device__ unsigned v_empty(int stage) const { return k_full(3 * STAGE_COUNT + stage); }
};

// Where a pipeline stands: the stage, and how often all have been gone through.
template <int COUNT>
struct place {
  int stage = 0, round = 0;
  __device__ void step() {
    if (++stage == COUNT) {
      stage = 0;
      ++round;
    }
  }
};

// ---- the producer ----------------------------------------------------------------

template <typename T, int D>
__device__ void produce(const layout<T, D>& in, const work& todo, const tensor_map* q, const tensor_map* k, const tensor_map* v) {
  using the = layout<T, D>;
  if (todo.tiles == 0) return;
  const auto bring = [&](unsigned to, const tensor_map* map, int row, unsigned full) {
    expect(full, the::TILE);
    for (int p = 0; p < the::PANELS; ++p) load(to + p * the::PANEL, map, p * the::ELEMENTS, row, todo.head, full);
  };
  expect(in.q_full(), 2 * the::PANELS * the::Q_PANEL);
  for (int group = 0; group < 2; ++group)
    for (int p = 0; p < the::PANELS; ++p)
      load(in.q(group) + p * the::Q_PANEL, q, p * the::ELEMENTS, todo.first + group * ROWS, todo.head, in.q_full());

  // The products of tile i + 1 with K come before those of tile i with V.
  place<the::STAGE_COUNT> at_k, at_v;
  for (int i = 0; i <= todo.tiles; ++i) {
    if (i < todo.tiles) {
      wait(in.k_empty(at_k.stage), (at_k.round & 1) ^ 1);
      bring(in.k(at_k.stage), k, i * keys_of<T>, in.k_full(at_k.stage));
      at_k.step();
    }
    if (i > 0) {
      wait(in.v_empty(at_v.stage), (at_v.round & 1) ^ 1);
      bring(in.v(at_v.stage), v, (i - 1) * keys_of<T>, in.v_full(at_v.stage));
      at_v.step();
    }
  }
}

// ---- softmax ----------------------------------------------------------------------

__device__ __forceinline__ float infinity() { return __int_as_float(0x7f800000); }

__device__ __forceinline__ float exp2_of(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ __forceinline__ bool hidden(const work& todo, int key, int query) {
  return key >= todo.kv_len || (todo.causal && key > query + todo.kv_len - todo.q_len);
}

// Whether a tile has a key that some query of a warpgroup does not see.
__device__ __forceinline__ bool has_hidden(const work& todo, int start, int count, int first) {
  return hidden(todo, start + count - 1, first);
}

// Takes the maximum of `highest` over the lanes of a query; returns what to
// subtract, and how much that shrinks what was summed before.
template <int LANES>
__device__ __forceinline__ float follow(float highest, float& most, float& shrink) {
#pragma unroll
  for (int by = 1; by < LANES; by *= 2) highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, by));
  const float top = highest == -infinity() ? 0.0f : highest;  // nothing seen yet
  shrink = exp2_of(most - top);
  most = highest;
  return top;
}

template <int LANES>
__device__ __forceinline__ float share_of(float total) {
#pragma unroll
  for (int by = 1; by < LANES; by *= 2) total += __shfl_xor_sync(0xffffffffu, total, by);
  return total > 0.0f ? 1.0f / total : 0.0f;
}

// ---- a warpgroup's 64 queries, 16-bit types -----------------------------------------

__device__ __forceinline__ unsigned pair(float x, float y, __half) {
  const __half2 both = __floats2half2_rn(x, y);
  return *reinterpret_cast<const unsigned*>(&both);
}
__device__ __forceinline__ unsigned pair(float x, float y, __nv_bfloat16) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(x, y);
  return *reinterpret_cast<const unsigned*>(&both);
}

// s = Q K^T.
template <typename T, int D>
__device__ __forceinline__ void start_logits(float (&s)[KEYS / 2], unsigned q, unsigned k) {
  using the = layout<T, D>;
#pragma unroll
  for (int c = 0; c < D; c += 16) {
    const int panel = c / the::ELEMENTS, bytes = c % the::ELEMENTS * 2;
    multiply(s, matrix(q + panel * the::Q_PANEL + bytes, 0), matrix(k + panel * the::PANEL + bytes, 0), c > 0, T{});
  }
}

// sum += P V.
template <typename T, int D>
__device__ __forceinline__ void start_sum(float (&sum)[D / 2], const unsigned (&p)[KEYS / 4], unsigned v) {
#pragma unroll
  for (int i = 0; i < KEYS / 16; ++i) multiply(sum, p + 4 * i, matrix(v + 16 * i * LINE, layout<T, D>::PANEL), T{});
}

// s becomes exponentials, rows `query` and `query` + 8 of this thread.
__device__ __forceinline__ void soften(float (&s)[KEYS / 2], const work& todo, int start, int first, int query, float (&most)[2],
                                       float (&total)[2], float (&shrink)[2]) {
  const bool some = has_hidden(todo, start, KEYS, first);
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    float highest = most[h];
#pragma unroll
    for (int j = 0; j < KEYS / 8; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float& x = s[4 * j + 2 * h + e];
        x *= todo.scale;
        if (some && hidden(todo, start + 8 * j + threadIdx.x % 4 * 2 + e, query + 8 * h)) x = -infinity();
        highest = fmaxf(highest, x);
      }
    const float top = follow<4>(highest, most[h], shrink[h]);
    total[h] *= shrink[h];
#pragma unroll
    for (int j = 0; j < KEYS / 8; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float& x = s[4 * j + 2 * h + e];
        x = exp2_of(x - top);
        total[h] += x;
      }
  }
}

template <typename T>
__device__ __forceinline__ void narrow(unsigned (&p)[KEYS / 4], const float (&s)[KEYS / 2]) {
#pragma unroll
  for (int i = 0; i < KEYS / 4; ++i) p[i] = pair(s[2 * i], s[2 * i + 1], T{});
}

template <typename T, int D>
__device__ void consume_short(const layout<T, D>& in, const work& todo, int group) {
  using the = layout<T, D>;
  const int lane = threadIdx.x % 32, row = threadIdx.x % GROUP / 32 * 16 + lane / 4;
  const int first = todo.first + group * ROWS, query = first + row;
  float s[KEYS / 2], sum[D / 2] = {};
  unsigned p[KEYS / 4];
  float most[2] = {-infinity(), -infinity()}, total[2] = {}, shrink[2];

  if (todo.tiles > 0) {
    place<the::STAGE_COUNT> at_k, at_v;
    wait(in.q_full(), 0);
    wait(in.k_full(0), 0);
    pin(s);
    fence();
    start_logits<T, D>(s, in.q(group), in.k(0));
    commit();
    wait_groups<0>();
    pin(s);
    release(in.k_empty(0));
    at_k.step();
    soften(s, todo, 0, first, query, most, total, shrink);
    narrow<T>(p, s);

    for (int i = 1; i < todo.tiles; ++i) {
      wait(in.k_full(at_k.stage), at_k.round & 1);
      pin(s);
      pin(sum);
      pin(p);
      fence();
      start_logits<T, D>(s, in.q(group), in.k(at_k.stage));
      commit();
      wait(in.v_full(at_v.stage), at_v.round & 1);
      fence();  // ptxas does not see past the loop of the wait
      start_sum<T, D>(sum, p, in.v(at_v.stage));
      commit();
      wait_groups<1>();
      pin(s);
      release(in.k_empty(at_k.stage));
      at_k.step();
      soften(s, todo, i * KEYS, first, query, most, total, shrink);
      wait_groups<0>();
      pin(sum);
      pin(p);
      release(in.v_empty(at_v.stage));
      at_v.step();
#pragma unroll
      for (int j = 0; j < D / 2; ++j) sum[j] *= shrink[j / 2 % 2];
      narrow<T>(p, s);
    }
    wait(in.v_full(at_v.stage), at_v.round & 1);
    pin(sum);
    pin(p);
    fence();
    start_sum<T, D>(sum, p, in.v(at_v.stage));
    commit();
    wait_groups<0>();
    pin(sum);
  }

  // Q is done with: its place takes the output.
  meet(group);
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const float share = share_of<4>(total[h]);
    const int r = row + 8 * h;
#pragma unroll
    for (int j = 0; j < D / 8; ++j)
      asm volatile("st.shared.b32 [%0], %1;" ::"r"(in.q(group) + j / 8 * the::Q_PANEL + r * LINE + (j % 8 ^ r % 8) * 16 + lane % 4 * 4),
                   "r"(pair(sum[4 * j + 2 * h] * share, sum[4 * j + 2 * h + 1] * share, T{}))
                   : "memory");
  }
}

// ---- a warpgroup's 64 queries, float -------------------------------------------------

// Four columns from `column` on of a row.
__device__ __forceinline__ unsigned four_at(unsigned panels, int panel_bytes, int row, int column) {
  return panels + column / 32 * panel_bytes + row * LINE + (column / 4 % 8 ^ row % 8) * 16;
}
__device__ __forceinline__ float4 four(unsigned at) {
  float4 x;
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(x.x), "=f"(x.y), "=f"(x.z), "=f"(x.w) : "r"(at) : "memory");
  return x;
}
__device__ __forceinline__ void add(float4& sum, float p, float4 v) {
  sum.x = fmaf(p, v.x, sum.x);
  sum.y = fmaf(p, v.y, sum.y);
  sum.z = fmaf(p, v.z, sum.z);
  sum.w = fmaf(p, v.w, sum.w);
}

// 16 lanes share eight queries; each has four keys, tx + 16 j, and the columns
// 4 tx + 64 c to 4 tx + 64 c + 3.
template <typename T, int D>
__device__ void consume_float(const layout<T, D>& in, const work& todo, int group) {
  using the = layout<T, D>;
  constexpr int TILE_KEYS = keys_of<T>;
  const int tx = threadIdx.x % 16, row = threadIdx.x % GROUP / 16 * 8;
  const int first = todo.first + group * ROWS;
  const unsigned q = in.q(group), p = in.p(group);
  float4 sum[8][D / 64] = {};
  float most[8], total[8] = {};
  for (int i = 0; i < 8; ++i) most[i] = -infinity();

  place<the::STAGE_COUNT> at;
  if (todo.tiles > 0) wait(in.q_full(), 0);
  for (int tile = 0; tile < todo.tiles; ++tile, at.step()) {
    const unsigned k = in.k(at.stage), v = in.v(at.stage);
    float s[8][4] = {};
    wait(in.k_full(at.stage), at.round & 1);
#pragma unroll 2
    for (int c = 0; c < D; c += 4) {
      float4 b[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) b[j] = four(four_at(k, the::PANEL, tx + 16 * j, c));
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float4 a = four(four_at(q, the::Q_PANEL, row + i, c));
#pragma unroll
        for (int j = 0; j < 4; ++j) s[i][j] = fmaf(a.w, b[j].w, fmaf(a.z, b[j].z, fmaf(a.y, b[j].y, fmaf(a.x, b[j].x, s[i][j]))));
      }
    }
    release(in.k_empty(at.stage));

    const int start = tile * TILE_KEYS;
    const bool some = has_hidden(todo, start, TILE_KEYS, first);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float highest = most[i], shrink;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        s[i][j] *= todo.scale;
        if (some && hidden(todo, start + tx + 16 * j, first + row + i)) s[i][j] = -infinity();
        highest = fmaxf(highest, s[i][j]);
      }
      const float top = follow<16>(highest, most[i], shrink);
      total[i] *= shrink;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float x = exp2_of(s[i][j] - top);
        total[i] += x;
        asm volatile("st.shared.f32 [%0], %1;" ::"r"(p + ((row + i) * TILE_KEYS + tx + 16 * j) * 4), "f"(x) : "memory");
      }
#pragma unroll
      for (int c = 0; c < D / 64; ++c) sum[i][c] = make_float4(sum[i][c].x * shrink, sum[i][c].y * shrink, sum[i][c].z * shrink, sum[i][c].w * shrink);
    }
    __syncwarp();  // a row of P is of one warp alone

    wait(in.v_full(at.stage), at.round & 1);
#pragma unroll 1
    for (int key = 0; key < TILE_KEYS; key += 4) {
      float4 a[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) a[i] = four(p + ((row + i) * TILE_KEYS + key) * 4);
#pragma unroll
      for (int c = 0; c < D / 64; ++c) {
        float4 b[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) b[j] = four(four_at(v, the::PANEL, key + j, 4 * tx + 64 * c));
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          add(sum[i][c], a[i].x, b[0]);
          add(sum[i][c], a[i].y, b[1]);
          add(sum[i][c], a[i].z, b[2]);
          add(sum[i][c], a[i].w, b[3]);
        }
      }
    }
    release(in.v_empty(at.stage));  // and P may be written again
  }

  // A row of Q was read by this warp alone, and takes its output.
  __syncwarp();
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float share = share_of<16>(total[i]);
#pragma unroll
    for (int c = 0; c < D / 64; ++c)
      asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(four_at(q, the::Q_PANEL, row + i, 4 * tx + 64 * c)),
                   "f"(sum[i][c].x * share), "f"(sum[i][c].y * share), "f"(sum[i][c].z * share), "f"(sum[i][c].w * share)
                   : "memory");
  }
}

// ---- the kernel -----------------------------------------------------------------------

template <typename T, int D>
__device__ __forceinline__ void attend(unsigned data, unsigned barriers, const work& todo, const tensor_map* q, const tensor_map* k,
                                       const tensor_map* v, const tensor_map* o) {
  using the = layout<T, D>;
  const the in{data, barriers};
  if (threadIdx.x == 0) {
    init(in.q_full(), 1);
    for (int stage = 0; stage < the::STAGE_COUNT; ++stage) {
      init(in.k_full(stage), 1);
      init(in.v_full(stage), 1);
      init(in.k_empty(stage), WARPS);
      init(in.v_empty(stage), WARPS);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();

  if (threadIdx.x < GROUP) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
    if (threadIdx.x == 0) produce(in, todo, q, k, v);
    return;
  }
  asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
  const int group = threadIdx.x / GROUP - 1;
  if constexpr (sizeof(T) == 2) consume_short<T, D>(in, todo, group);
  else consume_float<T, D>(in, todo, group);

  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  meet(group);
  const int first = todo.first + group * ROWS;
  if (threadIdx.x % GROUP != 0 || first >= todo.q_len) return;
  for (int p = 0; p < the::PANELS; ++p) store(o, p * the::ELEMENTS, first, todo.head, in.q(group) + p * the::Q_PANEL);
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}

template <typename T>
__global__ void __launch_bounds__(3 * GROUP, 1)
attention(const __grid_constant__ tensor_map q_map, const __grid_constant__ tensor_map k_map, const __grid_constant__ tensor_map v_map,
          const __grid_constant__ tensor_map o_map, int q_len, int kv_len, int head_dim, float scale, int causal) {
  extern __shared__ __align__(16) unsigned char raw[];
  __shared__ alignas(8) unsigned long long barriers[1 + 4 * stages_of<T>];
  const unsigned data = (shared_address(raw) + 1023) / 1024 * 1024;  // where the swizzle starts anew

  // With a mask the last queries have the most keys: they come first.
  const int block = causal ? gridDim.x - 1 - blockIdx.x : blockIdx.x;
  const int first = block * 2 * ROWS;
  int keys = kv_len;
  if (causal) keys = max(0, min(first + 2 * ROWS, q_len) + kv_len - q_len);
  const work todo{first, (keys + keys_of<T> - 1) / keys_of<T>, q_len, kv_len, static_cast<int>(blockIdx.y), causal, scale * 1.44269504f};
  if (head_dim == 64) attend<T, 64>(data, shared_address(barriers), todo, &q_map, &k_map, &v_map, &o_map);
  else attend<T, 128>(data, shared_address(barriers), todo, &q_map, &k_map, &v_map, &o_map);
}
