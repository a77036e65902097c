#pragma once
// inputs_wide.hpp: the loops of inputs.hpp on a host with vectors of 512 bits.
//
// Layer   2. Includes units.hpp and wide.hpp.
// Shapes  eight elements at a time; the caller does the rest, fewer than eight.
// Source  inputs.hpp and units.hpp, operation by operation, so that the results
//         are the same bits. Vectors are the compilers' own (vector_size), since
//         the header of the intrinsics is longer than all of these together.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <skillbench/units.hpp>
#include <skillbench/wide.hpp>

namespace skillbench::inputs_wide {

// How many of `count` elements the functions below take.
[[nodiscard]] inline std::size_t taken(std::size_t count) noexcept { return host_is_wide() ? count & ~std::size_t{7} : 0; }

#if defined(__x86_64__)
#define SKILLBENCH_WIDE __attribute__((target(SKILLBENCH_WIDE_TARGET)))

using eight_bits = std::uint64_t __attribute__((vector_size(64)));
using eight_doubles = double __attribute__((vector_size(64)));
using eight_floats = float __attribute__((vector_size(32)));
using eight_halves = std::uint16_t __attribute__((vector_size(16)));

// Whether one of the comparisons is true, whose results are all ones or zero.
SKILLBENCH_WIDE inline bool any_of(const eight_bits& of) noexcept {
  const auto four = __builtin_shufflevector(of, of, 0, 1, 2, 3) | __builtin_shufflevector(of, of, 4, 5, 6, 7);
  const auto two = __builtin_shufflevector(four, four, 0, 1) | __builtin_shufflevector(four, four, 2, 3);
  return (two[0] | two[1]) != 0;
}

// out[i] = offset + scale * N(0, 1), from `body` of normal_quantiles; the bits of
// those that fall into its last bin are given to `last(i, bits)`.
template <typename Last>
SKILLBENCH_WIDE inline void normal(std::uint64_t key, std::uint64_t first, std::uint64_t step, const std::uint32_t* body, double unit, double scale, double offset, double* out, std::size_t count,
                                   Last&& last) {
  constexpr std::size_t block = 64;
  alignas(64) std::uint64_t drawn[block], ends[block];
  eight_bits index = eight_bits{0, 1, 2, 3, 4, 5, 6, 7} * step + (key + first * step);
  for (std::size_t begin = 0; begin < count; begin += block) {
    const std::size_t n = count - begin < block ? count - begin : block;
    for (std::size_t i = 0; i < n; i += 8, index += 8 * step) {
      eight_bits bits = (index ^ (index >> 30)) * 0xbf58476d1ce4e5b9ull;  // scrambled()
      bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebull;
      bits ^= bits >> 31;
      std::memcpy(drawn + i, &bits, sizeof bits);
    }
    // Of each bin its low end, and above it the high end.
    for (std::size_t i = 0; i < n; ++i) std::memcpy(ends + i, body + ((drawn[i] >> 51) & 4095), sizeof ends[i]);
    for (std::size_t i = 0; i < n; i += 8) {
      eight_bits bits, two;
      std::memcpy(&bits, drawn + i, sizeof bits);
      std::memcpy(&two, ends + i, sizeof two);
      const eight_bits low = two & 0xffffffff, high = two >> 32, place = (bits >> 27) & 0xffffff;
      // A product of 51 bits at most, which a double holds, and multiplies faster.
      using eight_steps = std::int64_t __attribute__((vector_size(64)));
      const eight_doubles along = __builtin_convertvector((eight_steps)(high - low), eight_doubles) * __builtin_convertvector((eight_steps)place, eight_doubles);
      const eight_bits size = low + (eight_bits)__builtin_convertvector(along * 0x1p-24, eight_steps), sign = bits >> 63;
      const auto steps = (eight_steps)((size ^ -sign) + sign);
      const eight_doubles value = offset + scale * (__builtin_convertvector(steps, eight_doubles) * unit);
      std::memcpy(out + begin + i, &value, sizeof value);
      if (!any_of((eight_bits)(((bits >> 51) & 4095) == 4095))) continue;
      for (std::size_t k = i; k < i + 8; ++k)
        if (((drawn[k] >> 51) & 4095) == 4095) last(begin + k, drawn[k]);
    }
  }
}

// Cut to the largest number of the type.
SKILLBENCH_WIDE inline void cut(const double* from, double most, eight_doubles& to) noexcept {
  std::memcpy(&to, from, sizeof to);
  const eight_doubles high = most - eight_doubles{}, low = -high;
  to = to > low ? to : low;
  to = to < high ? to : high;
}

// A type of 16 bits: the bits of its fraction, the bias of its exponent, its least
// normal number.
struct half_format {
  static constexpr element type = element::f16;
  static constexpr int fraction = 10, bias = 15;
  static constexpr double least = 0x1p-14;
};
struct bfloat_format {
  static constexpr element type = element::bf16;
  static constexpr int fraction = 7, bias = 127;
  static constexpr double least = 0x1p-126;
};

// The nearest number of the type, ties to even. False where one is not zero and
// below the normal numbers: there fewer bits are kept.
template <typename Format>
SKILLBENCH_WIDE inline bool nearest(const eight_doubles& x, eight_bits& to) noexcept {
  constexpr int cut_off = 52 - Format::fraction;
  const auto all = (eight_bits)x;
  const eight_bits size = all & 0x7fffffffffffffffull;
  const auto sizes = (eight_doubles)size;
  if (any_of((eight_bits)((sizes < Format::least) & (sizes > 0)))) return false;
  const eight_bits body = (size + ((std::uint64_t{1} << (cut_off - 1)) - 1) + ((size >> cut_off) & 1)) & ~((std::uint64_t{1} << cut_off) - 1);
  to = body | (all & 0x8000000000000000ull);
  return true;
}

// Finite values, cut to the largest of the type and rounded to it: as its bytes,
// and as doubles.
template <typename Format>
SKILLBENCH_WIDE inline void narrow_to(const double* from, double most, std::byte* to, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; i += 8, to += 16) {
    eight_doubles x;
    eight_bits bits;
    cut(from + i, most, x);
    if (nearest<Format>(x, bits)) {
      constexpr int cut_off = 52 - Format::fraction;
      const eight_bits size = (bits & 0x7fffffffffffffffull) >> cut_off, none = {};
      // Zero has no exponent to be counted from another bias.
      const eight_bits field = size - (std::uint64_t{1023 - Format::bias} << Format::fraction);
      const auto halves = __builtin_convertvector((size == none ? none : field) | ((bits >> 48) & 0x8000), eight_halves);
      std::memcpy(to, &halves, sizeof halves);
      continue;
    }
    for (std::size_t k = 0; k < 8; ++k) {
      const double value = from[i + k] > most ? most : from[i + k] < -most ? -most : from[i + k];
      const std::uint16_t half = Format::type == element::f16 ? double_to_half(value) : double_to_bfloat(value);
      std::memcpy(to + 2 * k, &half, sizeof half);
    }
  }
}
template <typename Format>
SKILLBENCH_WIDE inline void round_to(double* values, double most, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; i += 8) {
    eight_doubles x;
    eight_bits bits;
    cut(values + i, most, x);
    if (nearest<Format>(x, bits)) {
      std::memcpy(values + i, &bits, sizeof bits);
      continue;
    }
    std::memcpy(values + i, &x, sizeof x);
    for (std::size_t k = i; k < i + 8; ++k) values[k] = rounded(Format::type, values[k]);
  }
}

SKILLBENCH_WIDE inline void narrow(const double* from, double most, element type, void* to, std::size_t count) noexcept {
  auto* at = static_cast<std::byte*>(to);
  if (type == element::f16) return narrow_to<half_format>(from, most, at, count);
  if (type == element::bf16) return narrow_to<bfloat_format>(from, most, at, count);
  for (std::size_t i = 0; i < count; i += 8) {
    eight_doubles x;
    cut(from + i, most, x);
    const auto floats = __builtin_convertvector(x, eight_floats);
    std::memcpy(at + 4 * i, &floats, sizeof floats);
  }
}
SKILLBENCH_WIDE inline void round(double* values, double most, element type, std::size_t count) noexcept {
  if (type == element::f16) return round_to<half_format>(values, most, count);
  if (type == element::bf16) return round_to<bfloat_format>(values, most, count);
  for (std::size_t i = 0; i < count; i += 8) {
    eight_doubles x;
    cut(values + i, most, x);
    x = __builtin_convertvector(__builtin_convertvector(x, eight_floats), eight_doubles);
    std::memcpy(values + i, &x, sizeof x);
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
