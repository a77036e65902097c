#pragma once
// inputs_wide.hpp: the loops of inputs.hpp on a host with vectors of 512 bits.
//
// Layer   2. Includes units.hpp and wide.hpp.
// Shapes  eight elements at a time; the caller does the rest, fewer than eight.
// Source  inputs.hpp, operation by operation, so that the results are the same
//         bits. A double goes to half and bfloat by way of a float that is rounded
//         to odd (Boldo and Melquiond 2008), whose second rounding loses nothing.

#include <cstddef>
#include <cstdint>

#include <skillbench/units.hpp>
#include <skillbench/wide.hpp>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace skillbench::inputs_wide {

// How many of `count` elements the functions below take.
[[nodiscard]] inline std::size_t taken(std::size_t count) noexcept { return host_is_wide() ? count & ~std::size_t{7} : 0; }

#if defined(__x86_64__)
#define SKILLBENCH_WIDE __attribute__((target(SKILLBENCH_WIDE_TARGET)))

// scrambled(key + index * step) of eight indices from `first` on.
SKILLBENCH_WIDE inline __m512i draws(std::uint64_t key, std::uint64_t first, std::uint64_t step) noexcept {
  const __m512i lanes = _mm512_mullo_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm512_set1_epi64(static_cast<long long>(step)));
  __m512i x = _mm512_add_epi64(_mm512_set1_epi64(static_cast<long long>(key + first * step)), lanes);
  x = _mm512_mullo_epi64(_mm512_xor_si512(x, _mm512_maskz_srli_epi64(0xff, x, 30)), _mm512_set1_epi64(static_cast<long long>(0xbf58476d1ce4e5b9ull)));
  x = _mm512_mullo_epi64(_mm512_xor_si512(x, _mm512_maskz_srli_epi64(0xff, x, 27)), _mm512_set1_epi64(static_cast<long long>(0x94d049bb133111ebull)));
  return _mm512_xor_si512(x, _mm512_maskz_srli_epi64(0xff, x, 31));
}

// out[i] = offset + scale * N(0, 1), from `body` of normal_quantiles; the bits of
// those that fall into its last bin are given to `last(i, bits)`.
template <typename Last>
SKILLBENCH_WIDE inline void normal(std::uint64_t key, std::uint64_t first, std::uint64_t step, const std::uint32_t* body, double unit, double scale, double offset, double* out, std::size_t count,
                                   Last&& last) {
  const __m512i bins = _mm512_set1_epi64(4095), places = _mm512_set1_epi64(0xffffff), low_half = _mm512_set1_epi64(0xffffffff);
  for (std::size_t i = 0; i < count; i += 8) {
    const __m512i bits = draws(key, first + i, step);
    const __m512i bin = _mm512_and_si512(_mm512_maskz_srli_epi64(0xff, bits, 51), bins);
    const __m512i place = _mm512_and_si512(_mm512_maskz_srli_epi64(0xff, bits, 27), places);
    const __m512i two = _mm512_mask_i64gather_epi64(_mm512_setzero_si512(), 0xff, bin, body, 4);
    const __m512i low = _mm512_and_si512(two, low_half), high = _mm512_maskz_srli_epi64(0xff, two, 32);
    const __m512i size = _mm512_add_epi64(low, _mm512_maskz_srli_epi64(0xff, _mm512_maskz_mul_epu32(0xff, _mm512_sub_epi64(high, low), place), 24));
    const __m512i sign = _mm512_maskz_srli_epi64(0xff, bits, 63);
    const __m512i steps = _mm512_add_epi64(_mm512_xor_si512(size, _mm512_sub_epi64(_mm512_setzero_si512(), sign)), sign);
    const __m512d value = _mm512_mul_pd(_mm512_maskz_cvtepi64_pd(0xff, steps), _mm512_set1_pd(unit));
    _mm512_storeu_pd(out + i, _mm512_add_pd(_mm512_set1_pd(offset), _mm512_mul_pd(_mm512_set1_pd(scale), value)));
    const __mmask8 tails = _mm512_cmpeq_epi64_mask(bin, bins);
    if (!tails) continue;
    alignas(64) std::uint64_t each[8];
    _mm512_store_si512(each, bits);
    for (std::size_t k = 0; k < 8; ++k)
      if ((tails >> k) & 1u) last(i + k, each[k]);
  }
}

// Rounded to odd: what is cut off sets the last bit.
SKILLBENCH_WIDE inline __m256i odd_floats(__m512d x) noexcept {
  const __m256 cut = _mm512_maskz_cvt_roundpd_ps(0xff, x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
  const __mmask8 inexact = _mm512_cmp_pd_mask(_mm512_maskz_cvtps_pd(0xff, cut), x, _CMP_NEQ_UQ);
  return _mm256_mask_or_epi32(_mm256_castps_si256(cut), inexact, _mm256_castps_si256(cut), _mm256_set1_epi32(1));
}
SKILLBENCH_WIDE inline __m512d clamped(const double* from, double most) noexcept {
  return _mm512_maskz_min_pd(0xff, _mm512_maskz_max_pd(0xff, _mm512_loadu_pd(from), _mm512_set1_pd(-most)), _mm512_set1_pd(most));
}
SKILLBENCH_WIDE inline __m128i halves(__m512d x) noexcept { return _mm256_maskz_cvtps_ph(0xff, _mm256_castsi256_ps(odd_floats(x)), _MM_FROUND_TO_NEAREST_INT); }
SKILLBENCH_WIDE inline __m256i bfloats(__m512d x) noexcept {  // in the high halves of words
  const __m256i f = odd_floats(x);
  const __m256i tie = _mm256_and_si256(_mm256_maskz_srli_epi32(0xff, f, 16), _mm256_set1_epi32(1));
  return _mm256_and_si256(_mm256_add_epi32(f, _mm256_add_epi32(tie, _mm256_set1_epi32(0x7fff))), _mm256_set1_epi32(static_cast<int>(0xffff0000u)));
}

// Finite values, cut to the largest of the type and rounded to it: as its bytes,
// and as doubles.
SKILLBENCH_WIDE inline void narrow(const double* from, double most, element type, void* to, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; i += 8) {
    const __m512d x = clamped(from + i, most);
    switch (type) {
      case element::f32: _mm256_storeu_ps(static_cast<float*>(to) + i, _mm512_maskz_cvtpd_ps(0xff, x)); break;
      case element::f16: _mm_storeu_si128(reinterpret_cast<__m128i*>(static_cast<std::uint16_t*>(to) + i), halves(x)); break;
      case element::bf16:
        _mm_storeu_si128(reinterpret_cast<__m128i*>(static_cast<std::uint16_t*>(to) + i), _mm256_maskz_cvtepi32_epi16(0xff, _mm256_maskz_srli_epi32(0xff, bfloats(x), 16)));
        break;
    }
  }
}
SKILLBENCH_WIDE inline void round(double* values, double most, element type, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; i += 8) {
    const __m512d x = clamped(values + i, most);
    __m256 narrow = _mm256_setzero_ps();
    switch (type) {
      case element::f32: narrow = _mm512_maskz_cvtpd_ps(0xff, x); break;
      case element::f16: narrow = _mm256_maskz_cvtph_ps(0xff, halves(x)); break;
      case element::bf16: narrow = _mm256_castsi256_ps(bfloats(x)); break;
    }
    _mm512_storeu_pd(values + i, _mm512_maskz_cvtps_pd(0xff, narrow));
  }
}
#undef SKILLBENCH_WIDE
#else
template <typename Last>
void normal(std::uint64_t, std::uint64_t, std::uint64_t, const std::uint32_t*, double, double, double, double*, std::size_t, Last&&) {}
inline void narrow(const double*, double, element, void*, std::size_t) noexcept {}
inline void round(double*, double, element, std::size_t) noexcept {}
#endif

}  // namespace skillbench::inputs_wide
