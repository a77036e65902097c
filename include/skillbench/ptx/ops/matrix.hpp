#pragma once
// ptx/ops/matrix.hpp: matrix operations of one warp: mma.sync and the moves
// between shared memory and its fragments.
//
// Layer   3.
// Shapes  D (m x n) = A (m x k) B (k x n) + C (m x n). Each lane holds a fragment
//         of each matrix. With g = lane / 4, t = lane % 4 and e elements to a
//         register, for every shape but mma.m8n8k4.f16:
//           A, register r, element i: row g + 8 (r % 2), column 4 e (r / 2) + e t + i
//           B, register r, element i: row 4 e r + e t + i, column g
//           C and D, element i:       row g + 8 (i / 2), column 2 t + i % 2
//         So the 32 lanes of a register of 16-bit elements of A are eight rows
//         of eight, and those of B eight columns.
// Units   accumulation: products of 16-bit, tf32 and 8-bit floats are exact in
//         float; they are added up in float, k from 0 on, and then C is added
//         to the sum; a sum for f16 is rounded once at the end. Hopper aligns
//         all products and C to the largest exponent, cuts each off 25 bits
//         below it, adds exactly, and cuts (f32) or rounds (f16) the sum. Both
//         are off by a few units in the 24th bit of the largest term, which the
//         bounds of the families, made for float accumulation in any order,
//         contain. NaN results are 0x7fffffff and 0x7fff; subnormals are kept.
//         f64: fused multiply-adds, k from 0 on, starting with C. Integers: an
//         exact sum, wrapped or (.satfinite) clamped.
// Taint   D[i][j] is undefined when any bit of row i of A, of column j of B or
//         of C[i][j] is: a masked row or column of a tile stays its own.
// Errors  lanes of a warp that do not come are the finding mask_misuse: all 32
//         must execute these instructions.
// Source  PTX ISA 9.0, "Matrix Fragments for mma.*", "mma", "ldmatrix",
//         "stmatrix", "movmatrix". What Hopper adds and cuts: Xie et al.,
//         "MMA-Sim" (arXiv 2511.10909, 2025); Khattak and Mikaitis, "Accurate
//         Models of NVIDIA Tensor Cores" (arXiv 2512.07004, 2025).

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>
#endif

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/ops/access.hpp>
#include <skillbench/ptx/ops/convert.hpp>
#include <skillbench/ptx/ops/sixteen.hpp>
#include <skillbench/ptx/products.hpp>
#include <skillbench/ptx/report.hpp>

namespace skillbench::ptx::ops {

// ---- element types -----------------------------------------------------------

enum class element : std::uint8_t { none, f16, bf16, tf32, e4m3, e5m2, f64, s8, u8, s4, u4, b1, f32, s32 };

[[nodiscard]] inline element element_named(std::string_view text) noexcept {
  static constexpr std::pair<std::string_view, element> names[] = {
      {"f16", element::f16}, {"bf16", element::bf16}, {"tf32", element::tf32}, {"e4m3", element::e4m3},
      {"e5m2", element::e5m2}, {"f64", element::f64}, {"s8", element::s8}, {"u8", element::u8},
      {"s4", element::s4}, {"u4", element::u4}, {"b1", element::b1}, {"f32", element::f32}, {"s32", element::s32}};
  for (const auto& [name, kind] : names)
    if (name == text) return kind;
  return element::none;
}

[[nodiscard]] constexpr int element_bits(element e) noexcept {
  switch (e) {
    case element::f16: case element::bf16: return 16;
    case element::tf32: case element::f32: case element::s32: return 32;
    case element::e4m3: case element::e5m2: case element::s8: case element::u8: return 8;
    case element::f64: return 64;
    case element::s4: case element::u4: return 4;
    case element::b1: return 1;
    case element::none: return 0;
  }
  return 0;
}

[[nodiscard]] constexpr bool is_float(element e) noexcept { return e >= element::f16 && e <= element::e5m2; }

// e4m3: bias 7, one NaN, no infinity. e5m2: bias 15, like a half's upper byte.
[[nodiscard]] inline float float_of_e4m3(std::uint32_t bits) noexcept {
  const std::uint32_t exponent = (bits >> 3) & 15u, fraction = bits & 7u;
  const float sign = bits & 0x80u ? -1.0f : 1.0f;
  if ((bits & 0x7fu) == 0x7fu) return std::numeric_limits<float>::quiet_NaN();
  if (exponent == 0) return sign * static_cast<float>(fraction) * 0x1p-9f;
  return std::bit_cast<float>(((bits & 0x80u) << 24) | ((exponent + 120) << 23) | (fraction << 20));
}

// The value of the low bits of `bits`, for the floating types of A and B.
[[nodiscard]] inline float float_of(element e, std::uint32_t bits) noexcept {
  switch (e) {
    case element::f16: return half_to_float(static_cast<std::uint16_t>(bits));
    case element::bf16: return std::bit_cast<float>(bits << 16);
    case element::tf32: return std::bit_cast<float>(bits & 0xffffe000u);  // the rest is ignored
    case element::e4m3: return float_of_e4m3(bits & 0xffu);
    case element::e5m2: return half_to_float(static_cast<std::uint16_t>((bits & 0xffu) << 8));
    default: return 0;
  }
}

[[nodiscard]] inline std::int32_t integer_of(element e, std::uint32_t bits) noexcept {
  switch (e) {
    case element::s8: return static_cast<std::int8_t>(bits);
    case element::u8: return static_cast<std::uint8_t>(bits);
    case element::s4: return static_cast<std::int32_t>((bits & 15u) ^ 8u) - 8;
    case element::u4: return static_cast<std::int32_t>(bits & 15u);
    default: return 0;
  }
}

[[nodiscard]] inline float without_nan_payload(float x) noexcept {
  return x == x ? x : std::bit_cast<float>(0x7fffffffu);
}

// ---- small matrices ------------------------------------------------------------

// The order in which the eight columns of B and of the accumulators are worked on:
// 0 2 4 6 1 3 5 7, so that a row of eight is four lanes of the register with the
// even columns and four of the one with the odd columns.
[[nodiscard]] constexpr int worked_at(int column) noexcept { return column / 2 + 4 * (column % 2); }

// Eight rows of accumulators, in registers of even and of odd columns:
// C += a[8][k] b[k][8]. Rows of a are `la` apart. The products are added up first.
inline void multiply_rows(const float* a, int la, const float* b, int k, float* even, float* odd) noexcept {
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
  __m256 sum[8];
  const __m256 first = _mm256_loadu_ps(b);
  for (int i = 0; i < 8; ++i) sum[i] = _mm256_mul_ps(_mm256_broadcast_ss(a + i * la), first);
  for (int l = 1; l < k; ++l) {
    const __m256 row = _mm256_loadu_ps(b + 8 * l);
    for (int i = 0; i < 8; ++i) sum[i] = _mm256_fmadd_ps(_mm256_broadcast_ss(a + i * la + l), row, sum[i]);
  }
  const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  for (int i = 0; i < 8; ++i) {
    const __m256 c = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(even + 4 * i)), _mm_loadu_ps(odd + 4 * i), 1);
    __m256 all = _mm256_add_ps(sum[i], c);
    all = _mm256_blendv_ps(all, nan, _mm256_cmp_ps(all, all, _CMP_UNORD_Q));
    _mm_storeu_ps(even + 4 * i, _mm256_castps256_ps128(all));
    _mm_storeu_ps(odd + 4 * i, _mm256_extractf128_ps(all, 1));
  }
#else
  for (int i = 0; i < 8; ++i)
    for (int j = 0; j < 8; ++j) {
      float sum = a[i * la] * b[j];
      for (int l = 1; l < k; ++l) sum = std::fma(a[i * la + l], b[8 * l + j], sum);
      float& c = j < 4 ? even[4 * i + j] : odd[4 * i + j - 4];
      c = without_nan_payload(sum + c);
    }
#endif
}

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
[[nodiscard]] inline __m256 eight_floats(const void* from, bool bfloat) noexcept {
  const __m128i bits = _mm_loadu_si128(static_cast<const __m128i*>(from));
  return bfloat ? _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16)) : _mm256_cvtph_ps(bits);
}
#endif

// Eight columns of eight halves or bfloats, column j at from[j], to eight rows in
// worked order.
inline void rows_of_columns(const void* const* from, bool bfloat, float* to) noexcept {
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
  __m256 r[8];
  for (int j = 0; j < 8; ++j) r[worked_at(j)] = eight_floats(from[j], bfloat);
  __m256 u[8], v[8];
  for (int i = 0; i < 4; ++i) {
    u[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    u[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    v[4 * i] = _mm256_shuffle_ps(u[4 * i], u[4 * i + 2], 0x44);
    v[4 * i + 1] = _mm256_shuffle_ps(u[4 * i], u[4 * i + 2], 0xee);
    v[4 * i + 2] = _mm256_shuffle_ps(u[4 * i + 1], u[4 * i + 3], 0x44);
    v[4 * i + 3] = _mm256_shuffle_ps(u[4 * i + 1], u[4 * i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(to + 8 * i, _mm256_permute2f128_ps(v[i], v[4 + i], 0x20));
    _mm256_storeu_ps(to + 8 * (i + 4), _mm256_permute2f128_ps(v[i], v[4 + i], 0x31));
  }
#else
  for (int j = 0; j < 8; ++j) {
    std::uint16_t column[8];
    std::memcpy(column, from[j], sizeof column);
    for (int l = 0; l < 8; ++l) to[8 * l + worked_at(j)] = float_of(bfloat ? element::bf16 : element::f16, column[l]);
  }
#endif
}

// The same of one row, already in order.
inline void row_in_worked_order(const void* from, bool bfloat, float* to) noexcept {
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
  _mm256_storeu_ps(to, _mm256_permutevar8x32_ps(eight_floats(from, bfloat), _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7)));
#else
  std::uint16_t row[8];
  std::memcpy(row, from, sizeof row);
  for (int j = 0; j < 8; ++j) to[worked_at(j)] = float_of(bfloat ? element::bf16 : element::f16, row[j]);
#endif
}

// Eight halves or bfloats that follow each other.
inline void widen_eight(const void* from, bool bfloat, float* to) noexcept {
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
  _mm256_storeu_ps(to, eight_floats(from, bfloat));
#else
  std::uint16_t row[8];
  std::memcpy(row, from, sizeof row);
  for (int l = 0; l < 8; ++l) to[l] = float_of(bfloat ? element::bf16 : element::f16, row[l]);
#endif
}

// Eight rows of eight of a register of A, rows `stride` apart in `to`.
inline void rows_of_rows(const std::uint16_t* from, bool bfloat, float* to, int stride) noexcept {
  for (int i = 0; i < 8; ++i) widen_eight(from + 8 * i, bfloat, to + stride * i);
}

// A register of two halves in each lane is one of even columns and one of odd.
inline void widen_pairs(const std::uint32_t* words, float* even, float* odd) noexcept {
  std::uint16_t low[warp_lanes], high[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) {
    low[l] = static_cast<std::uint16_t>(words[l]);
    high[l] = static_cast<std::uint16_t>(words[l] >> 16);
  }
  widen_halves(low, even);
  widen_halves(high, odd);
}
inline void narrow_pairs(const float* even, const float* odd, std::uint32_t* words) noexcept {
  std::uint16_t low[warp_lanes], high[warp_lanes];
  narrow_to_halves(even, low);
  narrow_to_halves(odd, high);
  for (int l = 0; l < warp_lanes; ++l) words[l] = low[l] | static_cast<std::uint32_t>(high[l]) << 16;
}

inline void transpose_8x8(const std::uint16_t* from, std::uint16_t* to) noexcept {
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
  __m128i pairs[8], fours[8];
  for (int i = 0; i < 4; ++i) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 16 * i)), y = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 16 * i + 8));
    pairs[i] = _mm_unpacklo_epi16(x, y);      // columns 0 to 3 of rows 2 i and 2 i + 1
    pairs[4 + i] = _mm_unpackhi_epi16(x, y);  // columns 4 to 7
  }
  for (int i = 0; i < 4; ++i) {
    fours[2 * i] = _mm_unpacklo_epi32(pairs[2 * i], pairs[2 * i + 1]);
    fours[2 * i + 1] = _mm_unpackhi_epi32(pairs[2 * i], pairs[2 * i + 1]);
  }
  for (int j = 0; j < 8; ++j) {
    const __m128i &x = fours[j / 4 * 4 + j % 4 / 2], &y = fours[j / 4 * 4 + 2 + j % 4 / 2];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 8 * j), j % 2 ? _mm_unpackhi_epi64(x, y) : _mm_unpacklo_epi64(x, y));
  }
#else
  for (int i = 0; i < 8; ++i)
    for (int j = 0; j < 8; ++j) to[8 * j + i] = from[8 * i + j];
#endif
}

// ---- one warp, all of it -------------------------------------------------------

// Says so when lanes of the warp are missing; what they would have given is
// anybody's guess.
inline void expect_whole_warp(warp& w, lane_mask active, std::string_view name) {
  if (active == every_lane) return;
  if (!w.launch->seen->first(w.pc, code::mask_misuse)) return;
  w.launch->seen->add(finding_at(*w.launch, w.pc, code::mask_misuse,
                                 thread_words(w, std::countr_zero(active)) + " executes " + std::string(name) +
                                     ", which all 32 threads of a warp must execute together: only those of mask " + hex(active) +
                                     " did, the others have left or never were"));
}

// The instruction is executed by the whole warp: it waits for every lane.
inline void make_whole_warp(decoding& d) {
  d.o.s[4] = d.constant(every_lane, 4);
  d.o.sources = 5;
  d.o.kind = flow::converge;
}

[[nodiscard]] inline bool any_tainted(const warp& w, const std::vector<ref>& list) noexcept {
  std::uint8_t seen = 0;
  for (const ref& r : list) seen |= w.tainted[r.slot];
  return seen != 0;
}

// ---- mma.sync ------------------------------------------------------------------

struct mma_form {
  element a = element::none, b = element::none, c = element::none, d = element::none;
  std::uint8_t m = 0, flags = 0;
  std::uint16_t k = 0;
};
enum mma_flag : std::uint8_t { saturates = 1, by_and = 2, a_by_columns = 4, b_by_rows = 8 };

[[nodiscard]] inline mma_form form_of(const op& o) noexcept { return std::bit_cast<mma_form>(o.imm); }

// Registers of 32 bits (64 for f64) that a lane holds of each matrix.
struct mma_registers { int a, b, c, d; };
[[nodiscard]] constexpr int registers_for(int elements, element e) noexcept {
  return std::max(1, elements / warp_lanes * element_bits(e) / (e == element::f64 ? 64 : 32));
}
[[nodiscard]] constexpr mma_registers registers_of(const mma_form& f) noexcept {
  return {registers_for(f.m * f.k, f.a), registers_for(8 * f.k, f.b), registers_for(f.m * 8, f.c), registers_for(f.m * 8, f.d)};
}

// Which rows, columns and elements are undefined.
struct mma_taint {
  std::uint32_t rows = 0;      // bit i: row i of A
  std::uint32_t columns = 0;   // bit j: column j of B
  std::uint8_t c[16] = {};     // bit j of [i]: C[i][j]

  [[nodiscard]] bool of(int i, int j) const noexcept {
    return ((rows >> i) & 1u) || ((columns >> j) & 1u) || ((c[i] >> j) & 1u);
  }
};

// The row and column of element i of a lane's accumulators.
[[nodiscard]] constexpr int row_of(int lane, int i) noexcept { return lane / 4 + 8 * (i / 2); }
[[nodiscard]] constexpr int column_of(int lane, int i) noexcept { return 2 * (lane % 4) + i % 2; }

template <typename Bits>
[[nodiscard]] mma_taint taint_of(warp& w, const mma_form& f, const ref* a, const ref* b, const ref* c) {
  const mma_registers n = registers_of(f);
  mma_taint out;
  for (int r = 0; r < n.a; ++r) {
    if (!w.tainted[a[r].slot]) continue;
    const Bits* bits = w.shades<Bits>(a[r]);
    for (int l = 0; l < warp_lanes; ++l)
      if (bits[l]) out.rows |= 1u << (l / 4 + (f.m == 16 ? 8 * (r % 2) : 0));
  }
  for (int r = 0; r < n.b; ++r) {
    if (!w.tainted[b[r].slot]) continue;
    const Bits* bits = w.shades<Bits>(b[r]);
    for (int l = 0; l < warp_lanes; ++l)
      if (bits[l]) out.columns |= 1u << (l / 4);
  }
  for (int r = 0; r < n.c; ++r) {
    if (!w.tainted[c[r].slot]) continue;
    const Bits* bits = w.shades<Bits>(c[r]);
    for (int l = 0; l < warp_lanes; ++l) {
      if (!bits[l]) continue;
      if (f.c == element::f16) {
        for (int h = 0; h < 2; ++h)
          if ((bits[l] >> (16 * h)) & 0xffffu) out.c[row_of(l, 2 * r + h)] |= static_cast<std::uint8_t>(1u << column_of(l, 2 * r + h));
      } else {
        out.c[row_of(l, r)] |= static_cast<std::uint8_t>(1u << column_of(l, r));
      }
    }
  }
  return out;
}

template <typename Bits>
void shade_accumulators(warp& w, const mma_form& f, const ref* d, const mma_taint& bad, lane_mask active) {
  const int n = registers_of(f).d;
  for (int r = 0; r < n; ++r) {
    if (d[r].slot == 0) continue;
    Bits bits[warp_lanes] = {};
    for (int l = 0; l < warp_lanes; ++l) {
      if (f.d == element::f16) {
        for (int h = 0; h < 2; ++h)
          if (bad.of(row_of(l, 2 * r + h), column_of(l, 2 * r + h))) bits[l] |= static_cast<Bits>(Bits{0xffff} << (16 * h));
      } else if (bad.of(row_of(l, r), column_of(l, r))) {
        bits[l] = static_cast<Bits>(~Bits{0});
      }
    }
    shade_lanes(w, d[r], bits, active);
  }
}

// Element i of a register of a lane, i-th from its low end.
[[nodiscard]] inline std::uint32_t element_at(std::uint32_t word, int bits, int i) noexcept {
  return bits == 32 ? word : (word >> (bits * i)) & ((1u << bits) - 1u);
}

// A as rows of k, B as columns of k, from registers of 32 bits.
template <typename T, typename Value>
void unpack_a(warp& w, const mma_form& f, const ref* a, T* to, Value value) {
  const int bits = element_bits(f.a), e = 32 / bits, n = registers_of(f).a;
  for (int r = 0; r < n; ++r) {
    const auto* words = w.lanes<std::uint32_t>(a[r]);
    const int down = f.m == 16 ? 8 * (r % 2) : 0, right = f.m == 16 ? r / 2 * 4 * e : 0;
    for (int l = 0; l < warp_lanes; ++l)
      for (int i = 0; i < e; ++i) to[(l / 4 + down) * f.k + right + l % 4 * e + i] = value(f.a, element_at(words[l], bits, i));
  }
}
template <typename T, typename Value>
void unpack_b(warp& w, const mma_form& f, const ref* b, T* to, Value value) {
  const int bits = element_bits(f.b), e = 32 / bits, n = registers_of(f).b;
  for (int r = 0; r < n; ++r) {
    const auto* words = w.lanes<std::uint32_t>(b[r]);
    for (int l = 0; l < warp_lanes; ++l)
      for (int i = 0; i < e; ++i) to[l / 4 * f.k + 4 * e * r + l % 4 * e + i] = value(f.b, element_at(words[l], bits, i));
  }
}

// What every mma.sync ends with: undefined elements of D, or none.
template <typename Bits>
void finish_mma(warp& w, const mma_form& f, const further& all, bool tainted, const mma_taint& bad, lane_mask active) {
  if (tainted || any_tainted(w, all.d)) shade_accumulators<Bits>(w, f, all.d.data(), bad, active);
}

[[nodiscard]] inline sixteen::operand_kind kind_of(element e) noexcept {
  return e == element::f16 ? sixteen::operand_kind::half : e == element::bf16 ? sixteen::operand_kind::bfloat : sixteen::operand_kind::tf32;
}

// A of mma.sync, spread out (sixteen.hpp): the one before is kept, since one A is
// multiplied by many B.
[[nodiscard]] inline const float* spread_left(warp& w, element type, const ref* a, int registers) {
  kept_left& kept = w.launch->kept->left;
  const auto kind = static_cast<int>(kind_of(type));
  bool same = kept.kind == kind && kept.registers == registers;
  for (int r = 0; same && r < registers; ++r) same = sixteen::is_same(w.lanes<std::uint32_t>(a[r]), kept.words[r]);
  if (same) return kept.spread;
  kept.kind = kind;
  kept.registers = registers;
  for (int r = 0; r < registers; ++r) {
    std::memcpy(kept.words[r], w.lanes<std::uint32_t>(a[r]), sizeof kept.words[r]);
    sixteen::spread_register(kept.words[r], kind_of(type), r, kept.spread);
  }
  return kept.spread;
}

// D = A B + D in floats on a host with AVX-512, all of it defined: most of them.
// False: nothing was done.
inline bool multiplies_in_place(warp& w, const op& o) {
  const mma_form f = form_of(o);
  const int bits = element_bits(f.a);
  if (f.m != 16 || f.c != element::f32 || f.d != element::f32 || !(bits == 16 || f.a == element::tf32)) return false;
  const further& all = w.launch->code->more[o.more];
  const std::size_t right_registers = static_cast<std::size_t>(f.k * bits / 128), left_registers = 2 * right_registers;
  const ref *a = all.s.data(), *b = a + left_registers, *c = b + right_registers, *d = all.d.data();
  std::uint8_t bad = 0;
  for (const ref& r : all.s) bad |= w.tainted[r.slot];
  for (std::size_t r = 0; r < 4; ++r) {
    bad |= d[r].slot != c[r].slot || d[r].slot == 0;
    for (std::size_t q = 0; q < r; ++q) bad |= d[q].slot == d[r].slot;
  }
  if (bad) return false;
  alignas(64) float right[32 * 8];
  const sixteen::operand_kind kind = kind_of(f.a);
  const float* const spread = spread_left(w, f.a, a, static_cast<int>(left_registers));
  for (std::size_t r = 0; r < right_registers; ++r) sixteen::columns_register(w.lanes<std::uint32_t>(b[r]), kind, static_cast<int>(r), right);
  float* const to[] = {w.lanes<float>(c[0]), w.lanes<float>(c[1]), w.lanes<float>(c[2]), w.lanes<float>(c[3])};
  sixteen::multiply_panel(spread, right, f.k, to, true);
  return true;
}

inline void run_mma_floats(warp& w, const op& o, lane_mask active) {
  if (!active || (active == every_lane && marks::are_wide() && multiplies_in_place(w, o))) return;
  expect_whole_warp(w, active, "mma.sync");
  const mma_form f = form_of(o);
  const further& all = w.launch->code->more[o.more];
  const mma_registers n = registers_of(f);
  const ref *a = all.s.data(), *b = a + n.a, *c = b + n.b;
  const bool tainted = any_tainted(w, all.s);
  mma_taint bad;
  if (tainted) bad = taint_of<std::uint32_t>(w, f, a, b, c);

  alignas(64) float left[16 * 64], right[32 * 8], sum[4][warp_lanes];
  const bool wider = marks::are_wide() && (element_bits(f.a) == 16 || f.a == element::tf32);
  if (wider) {
    const float* const spread = spread_left(w, f.a, a, n.a);
    const sixteen::operand_kind kind = kind_of(f.a);
    for (int r = 0; r < n.b; ++r) sixteen::columns_register(w.lanes<std::uint32_t>(b[r]), kind, r, right);
    std::memcpy(left, spread, sizeof(float) * 64 * f.k);
  } else if (element_bits(f.a) == 16) {
    const bool bfloat = f.a == element::bf16;
    for (int r = 0; r < n.a; ++r) rows_of_rows(w.lanes<std::uint16_t>(a[r]), bfloat, left + 8 * (r % 2) * f.k + 8 * (r / 2), f.k);
    for (int r = 0; r < n.b; ++r) {
      const void* columns[8];
      for (int j = 0; j < 8; ++j) columns[j] = w.lanes<std::uint16_t>(b[r]) + 8 * j;
      rows_of_columns(columns, bfloat, right + 64 * r);
    }
  } else {
    float columns[8 * 32];
    unpack_a(w, f, a, left, &float_of);
    unpack_b(w, f, b, columns, &float_of);
    for (int l = 0; l < f.k; ++l)
      for (int j = 0; j < 8; ++j) right[8 * l + worked_at(j)] = columns[j * f.k + l];
  }
  for (int r = 0; r < 2; ++r) {
    if (f.c == element::f16) {
      widen_pairs(w.lanes<std::uint32_t>(c[r]), sum[2 * r], sum[2 * r + 1]);
    } else {
      std::memcpy(sum[2 * r], w.lanes<float>(c[2 * r]), sizeof sum[0]);
      std::memcpy(sum[2 * r + 1], w.lanes<float>(c[2 * r + 1]), sizeof sum[0]);
    }
    if (!wider) multiply_rows(left + 8 * r * f.k, f.k, right, f.k, sum[2 * r], sum[2 * r + 1]);
  }
  if (wider) {
    float* const all_sums[] = {sum[0], sum[1], sum[2], sum[3]};
    sixteen::multiply_panel(left, right, f.k, all_sums, true);
  }
  for (int r = 0; r < n.d; ++r) {
    const ref d = all.d[static_cast<std::size_t>(r)];
    if (d.slot == 0) continue;
    if (f.d == element::f16) {
      std::uint32_t words[warp_lanes];
      narrow_pairs(sum[2 * r], sum[2 * r + 1], words);
      keep(w, d, words, active);
    } else {
      keep(w, d, sum[r], active);
    }
  }
  finish_mma<std::uint32_t>(w, f, all, tainted, bad, active);
}

[[nodiscard]] inline std::uint32_t wrapped_or_clamped(std::int64_t sum, bool clamp) noexcept {
  if (clamp) sum = std::clamp<std::int64_t>(sum, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max());
  return static_cast<std::uint32_t>(sum);
}

inline void run_mma_integers(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  expect_whole_warp(w, active, "mma.sync");
  const mma_form f = form_of(o);
  const further& all = w.launch->code->more[o.more];
  const mma_registers n = registers_of(f);
  const ref *a = all.s.data(), *b = a + n.a, *c = b + n.b;
  const bool tainted = any_tainted(w, all.s);
  mma_taint bad;
  if (tainted) bad = taint_of<std::uint32_t>(w, f, a, b, c);

  std::int64_t sum[16 * 8] = {};
  if (f.a == element::b1) {
    // Words of 32 bits stand in A and B as elements would.
    const int words = f.k / 32;
    std::uint32_t left[16 * 8], right[8 * 8];
    for (int r = 0; r < n.a; ++r)
      for (int l = 0; l < warp_lanes; ++l)
        left[(l / 4 + (f.m == 16 ? 8 * (r % 2) : 0)) * words + (f.m == 16 ? r / 2 * 4 : 0) + l % 4] = w.lanes<std::uint32_t>(a[r])[l];
    for (int r = 0; r < n.b; ++r)
      for (int l = 0; l < warp_lanes; ++l) right[l / 4 * words + 4 * r + l % 4] = w.lanes<std::uint32_t>(b[r])[l];
    for (int i = 0; i < f.m; ++i)
      for (int j = 0; j < 8; ++j)
        for (int l = 0; l < words; ++l) {
          const std::uint32_t x = left[i * words + l], y = right[j * words + l];
          sum[8 * i + j] += std::popcount(f.flags & by_and ? x & y : x ^ y);
        }
  } else {
    std::int32_t left[16 * 64], right[8 * 64];
    unpack_a(w, f, a, left, &integer_of);
    unpack_b(w, f, b, right, &integer_of);
    for (int i = 0; i < f.m; ++i)
      for (int j = 0; j < 8; ++j) {
        std::int32_t s = 0;  // 64 products of 8 bits fit
        for (int l = 0; l < f.k; ++l) s += left[i * f.k + l] * right[j * f.k + l];
        sum[8 * i + j] = s;
      }
  }
  for (int r = 0; r < n.d; ++r) {
    if (all.d[static_cast<std::size_t>(r)].slot == 0) continue;
    const auto* old = w.lanes<std::int32_t>(c[r]);
    for (int l = 0; l < warp_lanes; ++l) {
      std::int64_t& s = sum[8 * row_of(l, r) + column_of(l, r)];
      s = wrapped_or_clamped(s + old[l], f.flags & saturates);
    }
  }
  for (int r = 0; r < n.d; ++r) {
    const ref d = all.d[static_cast<std::size_t>(r)];
    if (d.slot == 0) continue;
    alignas(64) std::uint32_t out[warp_lanes];
    for (int l = 0; l < warp_lanes; ++l) out[l] = static_cast<std::uint32_t>(sum[8 * row_of(l, r) + column_of(l, r)]);
    keep(w, d, out, active);
  }
  finish_mma<std::uint32_t>(w, f, all, tainted, bad, active);
}

inline void run_mma_doubles(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  expect_whole_warp(w, active, "mma.sync");
  const mma_form f = form_of(o);
  const further& all = w.launch->code->more[o.more];
  const mma_registers n = registers_of(f);
  const ref *a = all.s.data(), *b = a + n.a, *c = b + n.b;
  const bool tainted = any_tainted(w, all.s);
  mma_taint bad;
  if (tainted) bad = taint_of<std::uint64_t>(w, f, a, b, c);

  double left[16 * 16], right[16 * 8], sum[16 * 8];  // rows of k; rows of 8
  for (int r = 0; r < n.a; ++r)
    for (int l = 0; l < warp_lanes; ++l)
      left[(l / 4 + (f.m == 16 ? 8 * (r % 2) : 0)) * f.k + (f.m == 16 ? r / 2 * 4 : 0) + l % 4] = w.lanes<double>(a[r])[l];
  for (int r = 0; r < n.b; ++r)
    for (int l = 0; l < warp_lanes; ++l) right[8 * (4 * r + l % 4) + l / 4] = w.lanes<double>(b[r])[l];
  for (int r = 0; r < n.c; ++r)
    for (int l = 0; l < warp_lanes; ++l) sum[8 * row_of(l, r) + column_of(l, r)] = w.lanes<double>(c[r])[l];
  for (int i = 0; i < f.m; ++i)
    for (int l = 0; l < f.k; ++l)
      for (int j = 0; j < 8; ++j) sum[8 * i + j] = std::fma(left[i * f.k + l], right[8 * l + j], sum[8 * i + j]);
  for (int r = 0; r < n.d; ++r) {
    const ref d = all.d[static_cast<std::size_t>(r)];
    if (d.slot == 0) continue;
    alignas(64) double out[warp_lanes];
    for (int l = 0; l < warp_lanes; ++l) {
      const double x = sum[8 * row_of(l, r) + column_of(l, r)];
      out[l] = x == x ? x : std::bit_cast<double>(0x7ff8000000000000ull);
    }
    keep(w, d, out, active);
  }
  finish_mma<std::uint64_t>(w, f, all, tainted, bad, active);
}

// mma.m8n8k4 of halves: four products at once, each by eight lanes (q, q + 1,
// q + 2, q + 3 and the same 16 higher, q = 0, 4, 8, 12).
struct quad_place { int row, column; };
[[nodiscard]] constexpr quad_place quad_a(int lane, int i, bool by_columns) noexcept {
  const int high = lane < 16 ? 0 : 4;
  return by_columns ? quad_place{i + high, lane % 4} : quad_place{lane % 4 + high, i};
}
[[nodiscard]] constexpr quad_place quad_b(int lane, int i, bool by_rows) noexcept {
  const int high = lane < 16 ? 0 : 4;
  return by_rows ? quad_place{lane % 4, i + high} : quad_place{i, lane % 4 + high};
}
[[nodiscard]] constexpr quad_place quad_c(int lane, int i, bool half) noexcept {
  const int high = lane < 16 ? 0 : 4;
  return half ? quad_place{lane % 4 + high, i} : quad_place{(lane & 1) + (i & 2) + high, (i & 4) + (lane & 2) + (i & 1)};
}

inline void run_mma_quads(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  expect_whole_warp(w, active, "mma.sync");
  const mma_form f = form_of(o);
  const further& all = w.launch->code->more[o.more];
  const bool half_c = f.c == element::f16, half_d = f.d == element::f16;
  const ref *a = all.s.data(), *b = a + 2, *c = b + 2;
  const bool tainted = any_tainted(w, all.s);
  const auto half_at = [&](const ref* of, int l, int i, bool shade) {
    const auto* words = shade ? w.shades<std::uint32_t>(of[i / 2]) : w.lanes<std::uint32_t>(of[i / 2]);
    return element_at(words[l], 16, i % 2);
  };
  float sum[4][64];
  bool bad[4][64] = {};
  for (int q = 0; q < 4; ++q) {
    float left[8 * 4] = {}, right[4 * 8] = {};
    bool bad_row[8] = {}, bad_column[8] = {};
    for (int l = 4 * q; l < warp_lanes; l += (l % 4 == 3 ? 13 : 1)) {
      for (int i = 0; i < 4; ++i) {
        const quad_place x = quad_a(l, i, f.flags & a_by_columns), y = quad_b(l, i, f.flags & b_by_rows);
        left[4 * x.row + x.column] = float_of(element::f16, half_at(a, l, i, false));
        right[8 * y.row + worked_at(y.column)] = float_of(element::f16, half_at(b, l, i, false));
        if (!tainted) continue;
        bad_row[x.row] |= half_at(a, l, i, true) != 0;
        bad_column[y.column] |= half_at(b, l, i, true) != 0;
      }
      for (int i = 0; i < 8; ++i) {
        const quad_place z = quad_c(l, i, half_c);
        sum[q][8 * z.row + z.column] = half_c ? float_of(element::f16, half_at(c, l, i, false)) : w.lanes<float>(c[i])[l];
        if (tainted) bad[q][8 * z.row + z.column] = half_c ? half_at(c, l, i, true) != 0 : w.shades<std::uint32_t>(c[i])[l] != 0;
      }
    }
    float even[32], odd[32];
    for (int i = 0; i < 64; ++i) (i % 2 ? odd : even)[i / 2] = sum[q][i];
    multiply_rows(left, 4, right, 4, even, odd);
    for (int i = 0; i < 64; ++i) sum[q][i] = (i % 2 ? odd : even)[i / 2];
    for (int i = 0; i < 64; ++i) bad[q][i] |= bad_row[i / 8] || bad_column[i % 8];
  }
  const bool shade = tainted || any_tainted(w, all.d);
  for (int r = 0; r < (half_d ? 4 : 8); ++r) {
    const ref d = all.d[static_cast<std::size_t>(r)];
    if (d.slot == 0) continue;
    alignas(64) std::uint32_t out[warp_lanes] = {};
    std::uint32_t bits[warp_lanes] = {};
    for (int l = 0; l < warp_lanes; ++l) {
      const int q = l % 16 / 4;
      for (int h = 0; h < (half_d ? 2 : 1); ++h) {
        const quad_place z = quad_c(l, half_d ? 2 * r + h : r, half_d);
        const float x = sum[q][8 * z.row + z.column];
        const bool undefined_here = bad[q][8 * z.row + z.column];
        if (half_d) {
          out[l] |= std::uint32_t{half_kind::from(x)} << (16 * h);
          if (undefined_here) bits[l] |= 0xffffu << (16 * h);
        } else {
          out[l] = std::bit_cast<std::uint32_t>(x);
          if (undefined_here) bits[l] = ~0u;
        }
      }
    }
    keep(w, d, out, active);
    if (shade) shade_lanes(w, d, bits, active);
  }
}

// The list of one operand, element for element.
inline void further_targets(decoding& d, const operand& list, int n, std::uint8_t width) {
  if (list.kind != operand::type::list || list.parts.size() != static_cast<std::size_t>(n))
    return d.refuse("a list of other than " + std::to_string(n) + " registers");
  for (const operand& part : list.parts) d.further_target(part, width);
}
inline void further_sources(decoding& d, const operand& list, int n, std::uint8_t width) {
  if (list.kind != operand::type::list || list.parts.size() != static_cast<std::size_t>(n))
    return d.refuse("a list of other than " + std::to_string(n) + " registers");
  for (const operand& part : list.parts) d.further_source(part, width);
}

// Whether sm_90 has the shape for these types.
[[nodiscard]] inline bool has_form(const mma_form& f) noexcept {
  const auto k_is = [&](int x, int y = 0, int z = 0) { return f.k == x || (y && f.k == y) || (z && f.k == z); };
  const bool wide = f.m == 16;
  const auto both = [&](element x, element y) { return (f.a == x || f.a == y) && (f.b == x || f.b == y); };
  if (f.a == element::f16 && f.b == element::f16) {
    if (f.m == 8) return k_is(4) && (f.d == f.c ? f.d == element::f16 || f.d == element::f32 : f.d == element::f32 && f.c == element::f16);
    return wide && k_is(8, 16) && f.c == f.d && (f.d == element::f16 || f.d == element::f32);
  }
  if (f.a == element::bf16 || f.a == element::tf32)
    return f.b == f.a && wide && (f.a == element::bf16 ? k_is(8, 16) : k_is(4, 8)) && f.c == element::f32 && f.d == element::f32;
  if (both(element::e4m3, element::e5m2))
    return wide && k_is(16, 32) && f.c == f.d && (f.d == element::f16 || f.d == element::f32);
  if (f.a == element::f64)
    return f.b == f.a && f.c == f.a && f.d == f.a && (wide ? k_is(4, 8, 16) : k_is(4));
  if (f.c != element::s32 || f.d != element::s32) return false;
  if (both(element::s8, element::u8)) return wide ? k_is(16, 32) : k_is(16);
  if (both(element::s4, element::u4)) return wide ? k_is(32, 64) : k_is(32);
  if (f.a == element::b1 && f.b == element::b1) return wide ? k_is(128, 256) : k_is(128);
  return false;
}

inline void make_mma(decoding& d) {
  if (d.take("sp") || d.take("sp::ordered_metadata")) return d.refuse("a sparse matrix");
  if (!d.take("sync")) return d.refuse("the form without .sync");
  d.take("aligned");
  mma_form f;
  static constexpr std::pair<std::string_view, std::pair<int, int>> shapes[] = {
      {"m8n8k4", {8, 4}},     {"m8n8k16", {8, 16}},   {"m8n8k32", {8, 32}},     {"m8n8k128", {8, 128}},
      {"m16n8k4", {16, 4}},   {"m16n8k8", {16, 8}},   {"m16n8k16", {16, 16}},   {"m16n8k32", {16, 32}},
      {"m16n8k64", {16, 64}}, {"m16n8k128", {16, 128}}, {"m16n8k256", {16, 256}}};
  for (const auto& [name, size] : shapes)
    if (d.take(name)) {
      f.m = static_cast<std::uint8_t>(size.first);
      f.k = static_cast<std::uint16_t>(size.second);
    }
  if (!f.m) return d.refuse("this shape");
  const std::string_view rows_of_a = d.take_any(), rows_of_b = d.take_any();
  const auto layout = [](std::string_view text) { return text == "row" || text == "col"; };
  if (!layout(rows_of_a) || !layout(rows_of_b)) return d.refuse("these layouts");
  if (rows_of_a == "col") f.flags |= a_by_columns;
  if (rows_of_b == "row") f.flags |= b_by_rows;
  if (d.take("satfinite")) f.flags |= saturates;
  const bool is_and = d.take("and"), is_xor = d.take("xor"), popc = d.take("popc");
  if (is_and) f.flags |= by_and;
  f.d = element_named(d.take_any());
  f.a = element_named(d.take_any());
  f.b = element_named(d.take_any());
  f.c = element_named(d.take_any());
  const bool quads = f.m == 8 && f.k == 4 && f.a == element::f16;
  const bool binary = f.a == element::b1, whole = f.a >= element::s8 && f.a <= element::u4;
  if (!has_form(f) || binary != popc || binary != (is_and != is_xor) || (!whole && (f.flags & saturates)) ||
      (!quads && (f.flags & (a_by_columns | b_by_rows))))
    return d.refuse("types, shape or layouts that sm_90 does not have together");
  if (!d.want(4)) return;
  const mma_registers n = quads ? mma_registers{2, 2, f.c == element::f16 ? 4 : 8, f.d == element::f16 ? 4 : 8} : registers_of(f);
  const std::uint8_t width = f.a == element::f64 ? 8 : 4;
  further_targets(d, d.in.operands[0], n.d, width);
  further_sources(d, d.in.operands[1], n.a, width);
  further_sources(d, d.in.operands[2], n.b, width);
  further_sources(d, d.in.operands[3], n.c, width);
  d.o.imm = std::bit_cast<std::int64_t>(f);
  make_whole_warp(d);
  d.does(quads ? &run_mma_quads : f.a == element::f64 ? &run_mma_doubles : is_float(f.a) ? &run_mma_floats : &run_mma_integers);
}

// ---- ldmatrix, stmatrix, movmatrix -------------------------------------------------

// Whether `Rows` rows of 16 bytes are in bounds, aligned and defined.
template <int Rows>
[[nodiscard]] inline bool rows_are_plain(const warp& w, const std::uint64_t* at, std::uint64_t base) noexcept {
  const std::uint64_t size = w.shared->data.size();
  if (size < 16) return false;
  std::uint64_t low = 0, highest = 0;
  for (int l = 0; l < Rows; ++l) {
    low |= at[l] - base;
    highest = std::max(highest, at[l] - base);
  }
  if (low % 16 || highest > size - 16) return false;
  std::uint64_t any[2] = {};
  for (int l = 0; l < Rows; ++l) {
    std::uint64_t seen[2];
    std::memcpy(seen, w.shared->shadow.data() + (at[l] - base), 16);
    any[0] |= seen[0];
    any[1] |= seen[1];
  }
  return !(any[0] | any[1]);
}

// The 16 bytes of each row that lanes 0 to 8 n - 1 name are n matrices of 8 x 8
// halves; lane l of register r gets elements 2 (l % 4) and 2 (l % 4) + 1 of row
// l / 4 of matrix r, so a register is the matrix as it stands, or transposed.
template <int N, bool Transposed>
void run_ldmatrix(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  expect_whole_warp(w, active, "ldmatrix");
  constexpr lane_mask rows = N == 4 ? every_lane : (lane_mask{1} << (8 * N)) - 1;
  const lane_addresses a = addresses(w, o, rows & active);
  if (w.launch->tally) [[unlikely]]
    w.launch->tally->request(w.pc, o.where, access_kind::load, a.at, a.active, 16);
  alignas(64) std::uint16_t value[N][64], shade[N][64];
  bool any = false;
  const std::uint64_t size = w.shared->data.size();
  lane_mask at_once = 0;  // rows that are defined throughout
  std::uint64_t base = 0;
  if (o.where == space::generic) base = shared_window;
  if ((a.active & rows) == rows && rows_are_plain<8 * N>(w, a.at, base)) {
    std::uint64_t rows_at[warp_lanes];
    for (int l = 0; l < 8 * N; ++l) rows_at[l] = a.at[l] - base;
    if (w.shared_races) w.shared_races->shared_rows(w, rows_at, rows, 16, false);
    const std::byte* const data = w.shared->data.data();
    for (int l = 0; l < 8 * N; ++l) std::memcpy(&value[l / 8][l % 8 * 8], data + rows_at[l], 16);
    for (int r = 0; r < N; ++r) {
      alignas(64) std::uint16_t turned[64];
      if (Transposed) transpose_8x8(value[r], turned);
      keep(w, o.d[r], reinterpret_cast<const std::uint32_t*>(Transposed ? turned : value[r]), active);
      clear_taint(w, o.d[r], 4, active);
    }
    return;
  }
  for (int l = 0; l < 8 * N; ++l) {
    std::uint16_t* to = &value[l / 8][l % 8 * 8];
    std::uint16_t* bad = &shade[l / 8][l % 8 * 8];
    const std::uint64_t at = a.at[l] - base;
    std::uint64_t seen[2];
    if (((a.active >> l) & 1u) && at % 16 == 0 && at < size && size - at >= 16) {
      std::memcpy(seen, w.shared->shadow.data() + at, 16);
      if (!(seen[0] | seen[1])) {
        std::memcpy(to, w.shared->data.data() + at, 16);
        std::memset(bad, 0, 16);
        at_once |= lane_mask{1} << l;
        continue;
      }
    }
    std::memset(to, 0, 16);
    std::memset(bad, 0, 16);
    if (!((a.active >> l) & 1u)) continue;
    if (o.where == space::generic && (a.at[l] < shared_window || a.at[l] >= local_window)) {
      report_access(w, code::invalid_access, l, false, a.at[l], 16, "generic", "ldmatrix reads only shared memory");
      continue;
    }
    const cell c = resolve(w, l, at, 16, false, space::shared);
    if (!c.data) continue;  // reported: reads as a defined zero
    std::memcpy(to, c.data, 16);
    std::uint8_t bits[16];
    for (int i = 0; i < 16; ++i) bits[i] = c.shadow[i] ? 0xff : 0;
    std::memcpy(bad, bits, 16);
    any |= any_set(c.shadow, 16);
  }
  if (w.shared_races && at_once) {
    std::uint64_t rows_at[warp_lanes];
    for (int l = 0; l < warp_lanes; ++l) rows_at[l] = a.at[l] - base;
    w.shared_races->shared_rows(w, rows_at, at_once, 16, false);
  }
  for (int r = 0; r < N; ++r) {
    alignas(64) std::uint16_t turned[64];
    std::uint32_t words[warp_lanes];
    if (Transposed) transpose_8x8(value[r], turned);
    std::memcpy(words, Transposed ? turned : value[r], sizeof words);
    keep(w, o.d[r], words, active);
    if (!any && !w.tainted[o.d[r].slot]) continue;
    if (Transposed) transpose_8x8(shade[r], turned);
    std::memcpy(words, Transposed ? turned : shade[r], sizeof words);
    shade_lanes(w, o.d[r], words, active);
  }
}

template <int N, bool Transposed>
void run_stmatrix(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  expect_whole_warp(w, active, "stmatrix");
  constexpr lane_mask rows = N == 4 ? every_lane : (lane_mask{1} << (8 * N)) - 1;
  const further& all = w.launch->code->more[o.more];
  const lane_addresses a = addresses(w, o, rows & active);
  if (w.launch->tally) [[unlikely]]
    w.launch->tally->request(w.pc, o.where, access_kind::store, a.at, a.active, 16);
  alignas(64) std::uint16_t value[N][64], shade[N][64];
  for (std::size_t r = 0; r < N; ++r) {
    const auto* from = w.lanes<std::uint16_t>(all.s[r]);
    const auto* bad = w.shades<std::uint16_t>(all.s[r]);
    if (Transposed) {
      transpose_8x8(from, value[r]);
      transpose_8x8(bad, shade[r]);
    } else {
      std::memcpy(value[r], from, sizeof value[r]);
      std::memcpy(shade[r], bad, sizeof shade[r]);
    }
  }
  for (int l = 0; l < 8 * N; ++l) {
    if (!((a.active >> l) & 1u)) continue;
    std::uint64_t at = a.at[l];
    if (o.where == space::generic) {
      if (at < shared_window || at >= local_window) {
        report_access(w, code::invalid_access, l, true, at, 16, "generic", "stmatrix writes only shared memory");
        continue;
      }
      at -= shared_window;
    }
    const cell c = resolve(w, l, at, 16, true, space::shared);
    if (!c.data) continue;
    std::memcpy(c.data, &value[l / 8][l % 8 * 8], 16);
    std::uint8_t bits[16];
    std::memcpy(bits, &shade[l / 8][l % 8 * 8], 16);
    for (int i = 0; i < 16; ++i) c.shadow[i] = bits[i] ? undefined : defined;
  }
}

inline void run_movmatrix(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  expect_whole_warp(w, active, "movmatrix");
  alignas(64) std::uint16_t turned[64];
  std::uint32_t words[warp_lanes], shade[warp_lanes];
  const bool tainted = w.tainted[o.s[0].slot] || w.tainted[o.d[0].slot];
  transpose_8x8(w.shades<std::uint16_t>(o.s[0]), turned);
  std::memcpy(shade, turned, sizeof shade);
  transpose_8x8(w.lanes<std::uint16_t>(o.s[0]), turned);
  std::memcpy(words, turned, sizeof words);
  keep(w, o.d[0], words, active);
  if (tainted) shade_lanes(w, o.d[0], shade, active);
}

inline int take_matrices(decoding& d) { return d.take("x1") ? 1 : d.take("x2") ? 2 : d.take("x4") ? 4 : 0; }

inline bool take_matrix_space(decoding& d) {
  const bool named = d.take("shared") || d.take("shared::cta");
  d.o.where = named ? space::shared : space::generic;
  return named;
}

inline void make_ldmatrix(decoding& d) {
  if (!d.take("sync")) return d.refuse("the form without .sync");
  d.take("aligned");
  const int n = take_matrices(d);
  const bool turned = d.take("trans");
  const bool in_shared = take_matrix_space(d);
  if (!d.take("m8n8") || !d.take("b16") || !n || !d.want(2)) return d.refuse("a shape or type that sm_90 does not have");
  const operand& list = d.in.operands[0];
  if (list.kind != operand::type::list || list.parts.size() != static_cast<std::size_t>(n)) return d.refuse("this list of targets");
  for (const operand& part : list.parts) d.target_of(part, 4);
  d.address(d.in.operands[1]);
  if (in_shared) d.o.where = space::shared;
  make_whole_warp(d);
  switch (n) {
    case 1: return d.does(turned ? &run_ldmatrix<1, true> : &run_ldmatrix<1, false>);
    case 2: return d.does(turned ? &run_ldmatrix<2, true> : &run_ldmatrix<2, false>);
    default: return d.does(turned ? &run_ldmatrix<4, true> : &run_ldmatrix<4, false>);
  }
}

inline void make_stmatrix(decoding& d) {
  if (!d.take("sync")) return d.refuse("the form without .sync");
  d.take("aligned");
  const int n = take_matrices(d);
  const bool turned = d.take("trans");
  const bool in_shared = take_matrix_space(d);
  if (!d.take("m8n8") || !d.take("b16") || !n || !d.want(2)) return d.refuse("a shape or type that sm_90 does not have");
  d.address(d.in.operands[0]);
  if (in_shared) d.o.where = space::shared;
  further_sources(d, d.in.operands[1], n, 4);
  make_whole_warp(d);
  switch (n) {
    case 1: return d.does(turned ? &run_stmatrix<1, true> : &run_stmatrix<1, false>);
    case 2: return d.does(turned ? &run_stmatrix<2, true> : &run_stmatrix<2, false>);
    default: return d.does(turned ? &run_stmatrix<4, true> : &run_stmatrix<4, false>);
  }
}

inline void make_movmatrix(decoding& d) {
  if (!d.take("sync")) return d.refuse("the form without .sync");
  d.take("aligned");
  if (!d.take("m8n8") || !d.take("trans") || !d.take("b16") || !d.want(2)) return d.refuse("this form");
  d.target(0, 4);
  d.source(1, 4);
  make_whole_warp(d);
  d.does(&run_movmatrix);
}

inline void add_matrix_rows(instruction_table& table) {
  table["mma"] = &make_mma;
  table["ldmatrix"] = &make_ldmatrix;
  table["stmatrix"] = &make_stmatrix;
  table["movmatrix"] = &make_movmatrix;
}

}  // namespace skillbench::ptx::ops
