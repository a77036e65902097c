#pragma once
// ptx/marks.hpp: runs of a row of marks (race.hpp), tested and written at once.
//
// Layer   3. Includes wide.hpp.
// Shapes  `_at` functions take places of 32 bytes each, as offsets in bytes.
//         A mark has who stored in its lowest 6 bits; `limits` has the highest
//         mark of each that is allowed, by those bits.

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <skillbench/wide.hpp>

namespace skillbench::ptx::marks {

[[nodiscard]] inline bool are_wide() noexcept { return host_is_wide(); }

inline constexpr std::size_t actors = 64;
inline constexpr std::uint32_t no_mark = ~0u;  // nobody's: there are fewer actors

#if defined(__x86_64__)
#define SKILLBENCH_WIDE __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2")))

[[nodiscard]] inline __mmask16 first_of_16(std::size_t n) noexcept { return static_cast<__mmask16>(n >= 16 ? 0xffffu : (1u << n) - 1); }

SKILLBENCH_WIDE inline bool within_wide(const std::uint32_t* at, std::size_t n, const std::uint32_t* limits) noexcept {
  __m512i table[4];
  for (int i = 0; i < 4; ++i) table[i] = _mm512_loadu_si512(limits + 16 * i);
  for (std::size_t i = 0; i < n; i += 16) {
    const __m512i m = _mm512_maskz_loadu_epi32(first_of_16(n - i), at + i);
    const __m512i low = _mm512_permutex2var_epi32(table[0], m, table[1]), high = _mm512_permutex2var_epi32(table[2], m, table[3]);
    const __m512i most = _mm512_mask_mov_epi32(low, _mm512_test_epi32_mask(m, _mm512_set1_epi32(32)), high);
    if (_mm512_cmpgt_epu32_mask(m, most)) return false;
  }
  return true;
}
SKILLBENCH_WIDE inline bool at_most_wide(const std::uint32_t* at, std::size_t n, std::uint32_t most) noexcept {
  __m512i highest = _mm512_setzero_si512();
  for (std::size_t i = 0; i < n; i += 16) highest = _mm512_maskz_max_epu32(0xffff, highest, _mm512_maskz_loadu_epi32(first_of_16(n - i), at + i));
  return _mm512_cmpgt_epu32_mask(highest, _mm512_set1_epi32(static_cast<int>(most))) == 0;
}
SKILLBENCH_WIDE inline void put_wide(std::uint32_t* at, std::size_t n, std::uint32_t mark) noexcept {
  const __m512i all = _mm512_set1_epi32(static_cast<int>(mark));
  for (std::size_t i = 0; i < n; i += 16) _mm512_mask_storeu_epi32(at + i, first_of_16(n - i), all);
}

// Two places of 32 bytes; of an odd number the last one twice.
SKILLBENCH_WIDE inline __m512i two_at(const void* row, const std::uint32_t* places, std::size_t i, std::size_t n) noexcept {
  const auto* bytes = static_cast<const unsigned char*>(row);
  const std::size_t j = i + 1 < n ? i + 1 : i;
  const __m512i low = _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + places[i])));
  return _mm512_maskz_inserti64x4(0xff, low, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + places[j])), 1);
}
SKILLBENCH_WIDE inline bool zero_at_wide(const void* row, const std::uint32_t* places, std::size_t n, std::uint32_t which) noexcept {
  __m512i any = _mm512_setzero_si512();
  for (std::size_t i = 0; i < n; i += 2) any = _mm512_or_si512(any, two_at(row, places, i, n));
  const __m512i words = _mm512_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128);
  return _mm512_mask_test_epi32_mask(_mm512_test_epi32_mask(words, _mm512_set1_epi32(static_cast<int>(which))), any, any) == 0;
}
SKILLBENCH_WIDE inline bool within_at_wide(const std::uint32_t* row, const std::uint32_t* places, std::size_t n, const std::uint32_t* limits) noexcept {
  __m512i table[4];
  for (int i = 0; i < 4; ++i) table[i] = _mm512_loadu_si512(limits + 16 * i);
  unsigned bad = 0;
  for (std::size_t i = 0; i < n; i += 2) {
    const __m512i m = two_at(row, places, i, n);
    const __m512i low = _mm512_permutex2var_epi32(table[0], m, table[1]), high = _mm512_permutex2var_epi32(table[2], m, table[3]);
    bad |= _mm512_cmpgt_epu32_mask(m, _mm512_mask_mov_epi32(low, _mm512_test_epi32_mask(m, _mm512_set1_epi32(32)), high));
  }
  return bad == 0;
}

// The mark that all of these places have, most often a copy's; or no_mark.
SKILLBENCH_WIDE inline std::uint32_t one_at_wide(const std::uint32_t* row, const std::uint32_t* places, std::size_t n) noexcept {
  const std::uint32_t mark = row[places[0] / 4];
  const __m512i all = _mm512_set1_epi32(static_cast<int>(mark));
  __m512i other = _mm512_setzero_si512();
  for (std::size_t i = 0; i < n; i += 2) other = _mm512_or_si512(other, _mm512_xor_si512(all, two_at(row, places, i, n)));
  return _mm512_test_epi32_mask(other, other) == 0 ? mark : no_mark;
}

// Whether one of row[which[i]] is above `most`.
SKILLBENCH_WIDE inline bool any_above_wide(const std::uint32_t* row, const std::uint32_t* which, std::size_t n, std::uint32_t most) noexcept {
  __m512i highest = _mm512_setzero_si512();
  for (std::size_t i = 0; i < n; i += 16) {
    const __mmask16 some = first_of_16(n - i);
    const __m512i at = _mm512_maskz_loadu_epi32(some, which + i);
    highest = _mm512_maskz_max_epu32(0xffff, highest, _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), some, at, row, 4));
  }
  return _mm512_cmpgt_epu32_mask(highest, _mm512_set1_epi32(static_cast<int>(most))) != 0;
}

// Whether the places hold what `bytes` has, place after place.
SKILLBENCH_WIDE inline bool same_at_wide(const void* row, const std::uint32_t* places, std::size_t n, const void* bytes) noexcept {
  const auto* have = static_cast<const unsigned char*>(bytes);
  __m512i any = _mm512_setzero_si512();
  std::size_t i = 0;
  for (; i + 2 <= n; i += 2) any = _mm512_or_si512(any, _mm512_xor_si512(two_at(row, places, i, n), _mm512_loadu_si512(have + 32 * i)));
  if (i < n) any = _mm512_or_si512(any, _mm512_xor_si512(two_at(row, places, i, n), _mm512_maskz_broadcast_i64x4(0xff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(have + 32 * i)))));
  return _mm512_test_epi32_mask(any, any) == 0;
}

// Four places of 16 bytes, each a lane's; of fewer the first ones again.
SKILLBENCH_WIDE inline __m512i four_quads(const void* row, const std::uint32_t* places, std::size_t i, std::size_t n) noexcept {
  const auto* bytes = static_cast<const unsigned char*>(row);
  const auto quad = [&](std::size_t j) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + places[i + j < n ? i + j : i])); };
  __m512i out = _mm512_castsi128_si512(quad(0));
  out = _mm512_maskz_inserti32x4(0xffff, out, quad(1), 1);
  out = _mm512_maskz_inserti32x4(0xffff, out, quad(2), 2);
  return _mm512_maskz_inserti32x4(0xffff, out, quad(3), 3);
}
SKILLBENCH_WIDE inline bool quads_within_wide(const std::uint32_t* row, const std::uint32_t* places, std::size_t n, const std::uint32_t* limits) noexcept {
  __m512i table[4];
  for (int i = 0; i < 4; ++i) table[i] = _mm512_loadu_si512(limits + 16 * i);
  unsigned bad = 0;
  for (std::size_t i = 0; i < n; i += 4) {
    const __m512i m = four_quads(row, places, i, n);
    const __m512i low = _mm512_permutex2var_epi32(table[0], m, table[1]), high = _mm512_permutex2var_epi32(table[2], m, table[3]);
    bad |= _mm512_cmpgt_epu32_mask(m, _mm512_mask_mov_epi32(low, _mm512_test_epi32_mask(m, _mm512_set1_epi32(32)), high));
  }
  return bad == 0;
}
SKILLBENCH_WIDE inline bool quads_at_most_wide(const std::uint32_t* row, const std::uint32_t* places, std::size_t n, std::uint32_t most) noexcept {
  __m512i highest = _mm512_setzero_si512();
  for (std::size_t i = 0; i < n; i += 4) highest = _mm512_maskz_max_epu32(0xffff, highest, four_quads(row, places, i, n));
  return _mm512_cmpgt_epu32_mask(highest, _mm512_set1_epi32(static_cast<int>(most))) == 0;
}
#undef SKILLBENCH_WIDE
#else
inline bool any_above_wide(const std::uint32_t*, const std::uint32_t*, std::size_t, std::uint32_t) noexcept { return false; }
inline std::uint32_t one_at_wide(const std::uint32_t*, const std::uint32_t*, std::size_t) noexcept { return no_mark; }
inline bool same_at_wide(const void*, const std::uint32_t*, std::size_t, const void*) noexcept { return false; }
inline bool quads_within_wide(const std::uint32_t*, const std::uint32_t*, std::size_t, const std::uint32_t*) noexcept { return false; }
inline bool quads_at_most_wide(const std::uint32_t*, const std::uint32_t*, std::size_t, std::uint32_t) noexcept { return false; }
inline bool zero_at_wide(const void*, const std::uint32_t*, std::size_t, std::uint32_t) noexcept { return false; }
inline bool within_at_wide(const std::uint32_t*, const std::uint32_t*, std::size_t, const std::uint32_t*) noexcept { return false; }
inline bool within_wide(const std::uint32_t*, std::size_t, const std::uint32_t*) noexcept { return false; }
inline bool at_most_wide(const std::uint32_t*, std::size_t, std::uint32_t) noexcept { return false; }
inline void put_wide(std::uint32_t*, std::size_t, std::uint32_t) noexcept {}
#endif

// Whether each mark is at most what `limits` has for its actor.
[[nodiscard]] inline bool within(const std::uint32_t* at, std::size_t n, const std::uint32_t* limits) noexcept {
  if (are_wide()) return within_wide(at, n, limits);
  for (std::size_t i = 0; i < n; ++i)
    if (at[i] > limits[at[i] % actors]) return false;
  return true;
}
[[nodiscard]] inline bool at_most(const std::uint32_t* at, std::size_t n, std::uint32_t most) noexcept {
  if (are_wide()) return at_most_wide(at, n, most);
  for (std::size_t i = 0; i < n; ++i)
    if (at[i] > most) return false;
  return true;
}
inline void put(std::uint32_t* at, std::size_t n, std::uint32_t mark) noexcept {
  if (are_wide()) return put_wide(at, n, mark);
  for (std::size_t i = 0; i < n; ++i) at[i] = mark;
}

// Whether words of these places are all 0: word i of each where bit i is set.
[[nodiscard]] inline bool zero_at(const void* row, const std::uint32_t* places, std::size_t n, std::uint32_t which = 0xff) noexcept {
  if (are_wide()) return zero_at_wide(row, places, n, which);
  std::uint32_t any = 0;
  for (std::size_t i = 0; i < n; ++i) {
    std::uint32_t words[8];
    std::memcpy(words, static_cast<const unsigned char*>(row) + places[i], sizeof words);
    for (int k = 0; k < 8; ++k) any |= (which >> k) & 1u ? words[k] : 0;
  }
  return any == 0;
}
[[nodiscard]] inline bool within_at(const std::uint32_t* row, const std::uint32_t* places, std::size_t n, const std::uint32_t* limits) noexcept {
  if (are_wide()) return within_at_wide(row, places, n, limits);
  for (std::size_t i = 0; i < n; ++i)
    if (!within(row + places[i] / 4, 8, limits)) return false;
  return true;
}
[[nodiscard]] inline std::uint32_t one_at(const std::uint32_t* row, const std::uint32_t* places, std::size_t n) noexcept {
  if (n == 0) return no_mark;
  if (are_wide()) return one_at_wide(row, places, n);
  const std::uint32_t mark = row[places[0] / 4];
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < 8; ++k)
      if (row[places[i] / 4 + k] != mark) return no_mark;
  return mark;
}
[[nodiscard]] inline bool any_above(const std::uint32_t* row, const std::uint32_t* which, std::size_t n, std::uint32_t most) noexcept {
  if (are_wide()) return any_above_wide(row, which, n, most);
  for (std::size_t i = 0; i < n; ++i)
    if (row[which[i]] > most) return true;
  return false;
}
[[nodiscard]] inline bool same_at(const void* row, const std::uint32_t* places, std::size_t n, const void* bytes) noexcept {
  if (are_wide()) return same_at_wide(row, places, n, bytes);
  for (std::size_t i = 0; i < n; ++i)
    if (std::memcmp(static_cast<const unsigned char*>(row) + places[i], static_cast<const unsigned char*>(bytes) + 32 * i, 32) != 0) return false;
  return true;
}

// The same of places of 16 bytes.
[[nodiscard]] inline bool quads_within(const std::uint32_t* row, const std::uint32_t* places, std::size_t n, const std::uint32_t* limits) noexcept {
  if (are_wide()) return quads_within_wide(row, places, n, limits);
  for (std::size_t i = 0; i < n; ++i)
    if (!within(row + places[i] / 4, 4, limits)) return false;
  return true;
}
[[nodiscard]] inline bool quads_at_most(const std::uint32_t* row, const std::uint32_t* places, std::size_t n, std::uint32_t most) noexcept {
  if (are_wide()) return quads_at_most_wide(row, places, n, most);
  for (std::size_t i = 0; i < n; ++i)
    if (!at_most(row + places[i] / 4, 4, most)) return false;
  return true;
}
inline void put_quad(std::uint32_t* row, std::uint32_t place, std::uint32_t mark) noexcept {
  const std::uint32_t all[4] = {mark, mark, mark, mark};
  std::memcpy(reinterpret_cast<unsigned char*>(row) + place, all, sizeof all);
}
inline void put_at(std::uint32_t* row, const std::uint32_t* places, std::size_t n, std::uint32_t mark) noexcept {
  std::uint32_t all[8];
  for (auto& m : all) m = mark;
  for (std::size_t i = 0; i < n; ++i) std::memcpy(reinterpret_cast<unsigned char*>(row) + places[i], all, sizeof all);
}

}  // namespace skillbench::ptx::marks
