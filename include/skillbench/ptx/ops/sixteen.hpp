#pragma once
// ptx/ops/sixteen.hpp: the products of matrix.hpp on a host with AVX-512.
//
// Layer   3. Includes marks, for what the host can.
// Shapes  a register of accumulators is two vectors of four rows by four columns,
//         so nothing is moved about: of A each row stands four times (`spread`:
//         k times 64 floats), of B the four even and the four odd columns of a
//         row (`right`: k times 8 floats, in worked order) are repeated.
// Units   as multiply_rows of matrix.hpp, operation by operation, so that the
//         results are the same bits.

#include <cstddef>
#include <cstdint>

#include <skillbench/ptx/marks.hpp>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace skillbench::ptx::ops::sixteen {

enum class operand_kind : std::uint8_t { half, bfloat, tf32 };

#if defined(__x86_64__)
#define SKILLBENCH_WIDE __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2,fma")))

// Sixteen rows of k floats.
SKILLBENCH_WIDE inline void spread_rows(const float* left, int k, float* spread) noexcept {
  const __m512i rows = _mm512_maskz_mullo_epi32(0xffff, _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi32(k));
  const __m512i four = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  for (int l = 0; l < k; ++l) {
    const __m512 column = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), 0xffff, rows, left + l, 4);
    for (int q = 0; q < 4; ++q)
      _mm512_storeu_ps(spread + 64 * l + 16 * q, _mm512_maskz_permutexvar_ps(0xffff, _mm512_add_epi32(four, _mm512_set1_epi32(4 * q)), column));
  }
}

// The first (i 0) or second of the elements of 16 words, as floats.
SKILLBENCH_WIDE inline __m512 element_of(const std::uint32_t* words, operand_kind kind, int i) noexcept {
  const __m512i x = _mm512_loadu_si512(words);
  if (kind == operand_kind::tf32) return _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(static_cast<int>(0xffffe000u))));
  if (kind == operand_kind::bfloat)
    return _mm512_castsi512_ps(i ? _mm512_and_si512(x, _mm512_set1_epi32(static_cast<int>(0xffff0000u))) : _mm512_maskz_slli_epi32(0xffff, x, 16));
  return _mm512_maskz_cvtph_ps(0xffff, _mm512_maskz_cvtepi32_epi16(0xffff, i ? _mm512_maskz_srli_epi32(0xffff, x, 16) : x));
}

// Whether a register of 32 words is as it was.
SKILLBENCH_WIDE inline bool is_same(const std::uint32_t* words, const std::uint32_t* before) noexcept {
  return (_mm512_cmpneq_epi32_mask(_mm512_loadu_si512(words), _mm512_loadu_si512(before)) | _mm512_cmpneq_epi32_mask(_mm512_loadu_si512(words + 16), _mm512_loadu_si512(before + 16))) == 0;
}

// Register r of A, of mma.m16n8 and of wgmma.
SKILLBENCH_WIDE inline void spread_register(const std::uint32_t* words, operand_kind kind, int r, float* spread) noexcept {
  const int e = kind == operand_kind::tf32 ? 1 : 2;
  for (int i = 0; i < e; ++i)
    for (int z = 0; z < 2; ++z) {
      const __m512 x = element_of(words + 16 * z, kind, i);
      for (int t = 0; t < 4; ++t)
        _mm512_storeu_ps(spread + 64 * (4 * e * (r / 2) + e * t + i) + 16 * (2 * (r % 2) + z), _mm512_maskz_permutevar_ps(0xffff, x, _mm512_set1_epi32(t)));
    }
}
// Register r of B of mma.m16n8.
SKILLBENCH_WIDE inline void columns_register(const std::uint32_t* words, operand_kind kind, int r, float* right) noexcept {
  const int e = kind == operand_kind::tf32 ? 1 : 2;
  const __m512i lanes = _mm512_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28, 0, 8, 16, 24, 4, 12, 20, 28);
  for (int i = 0; i < e; ++i) {
    const __m512 low = element_of(words, kind, i), high = element_of(words + 16, kind, i);
    for (int t = 0; t < 4; ++t)
      _mm256_storeu_ps(right + 8 * (4 * e * r + e * t + i), _mm512_maskz_extractf32x8_ps(0xff, _mm512_permutex2var_ps(low, _mm512_add_epi32(lanes, _mm512_set1_epi32(t)), high), 0));
  }
}

// What a register of accumulators becomes: C (or nothing) is added to the sum.
SKILLBENCH_WIDE inline void add_up(__m512 sum, float* to, bool adds) noexcept {
  const __m512 nan = _mm512_castsi512_ps(_mm512_set1_epi32(0x7fffffff));
  const __m512 all = _mm512_add_ps(sum, adds ? _mm512_loadu_ps(to) : _mm512_setzero_ps());
  _mm512_storeu_ps(to, _mm512_mask_mov_ps(all, _mm512_cmp_ps_mask(all, all, _CMP_UNORD_Q), nan));
}
SKILLBENCH_WIDE inline __m512 four_times(const float* from) noexcept { return _mm512_maskz_broadcast_f32x4(0xffff, _mm_loadu_ps(from)); }

// C += A B for one panel of eight columns; without `adds` C = A B. The sums are
// named one by one: an array of them would live in memory where loops are kept.
SKILLBENCH_WIDE inline void multiply_panel(const float* spread, const float* right, int k, float* const* d, bool adds) noexcept {
  __m512 e = four_times(right), o = four_times(right + 4);
  __m512 a = _mm512_loadu_ps(spread), e0 = _mm512_mul_ps(a, e), o0 = _mm512_mul_ps(a, o);
  a = _mm512_loadu_ps(spread + 16);
  __m512 e1 = _mm512_mul_ps(a, e), o1 = _mm512_mul_ps(a, o);
  a = _mm512_loadu_ps(spread + 32);
  __m512 e2 = _mm512_mul_ps(a, e), o2 = _mm512_mul_ps(a, o);
  a = _mm512_loadu_ps(spread + 48);
  __m512 e3 = _mm512_mul_ps(a, e), o3 = _mm512_mul_ps(a, o);
  for (int l = 1; l < k; ++l) {
    spread += 64;
    right += 8;
    e = four_times(right);
    o = four_times(right + 4);
    a = _mm512_loadu_ps(spread);
    e0 = _mm512_fmadd_ps(a, e, e0);
    o0 = _mm512_fmadd_ps(a, o, o0);
    a = _mm512_loadu_ps(spread + 16);
    e1 = _mm512_fmadd_ps(a, e, e1);
    o1 = _mm512_fmadd_ps(a, o, o1);
    a = _mm512_loadu_ps(spread + 32);
    e2 = _mm512_fmadd_ps(a, e, e2);
    o2 = _mm512_fmadd_ps(a, o, o2);
    a = _mm512_loadu_ps(spread + 48);
    e3 = _mm512_fmadd_ps(a, e, e3);
    o3 = _mm512_fmadd_ps(a, o, o3);
  }
  add_up(e0, d[0], adds);
  add_up(o0, d[1], adds);
  add_up(e1, d[0] + 16, adds);
  add_up(o1, d[1] + 16, adds);
  add_up(e2, d[2], adds);
  add_up(o2, d[3], adds);
  add_up(e3, d[2] + 16, adds);
  add_up(o3, d[3] + 16, adds);
}

#undef SKILLBENCH_WIDE
#else
inline bool is_same(const std::uint32_t*, const std::uint32_t*) noexcept { return false; }
inline void spread_rows(const float*, int, float*) noexcept {}
inline void spread_register(const std::uint32_t*, operand_kind, int, float*) noexcept {}
inline void columns_register(const std::uint32_t*, operand_kind, int, float*) noexcept {}
inline void multiply_panel(const float*, const float*, int, float* const*, bool) noexcept {}
#endif

}  // namespace skillbench::ptx::ops::sixteen
