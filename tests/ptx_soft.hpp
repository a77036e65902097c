#pragma once
// ptx_soft.hpp: floating point in integers, for the tests of the machine.
//
// A second opinion that shares nothing with the machine: values are exact
// (sign, 128-bit significand, exponent, and a flag for what lies below), and
// are rounded once, into any binary format, in any direction.
// Source  IEEE 754-2019, clauses 4 and 7.

#include <algorithm>
#include <bit>
#include <cstdint>

namespace soft {

using wide = unsigned __int128;

enum class to { nearest, zero, down, up };

struct format {
  int precision;      // bits of significand, the hidden one included
  int least;          // exponent of the last bit of a subnormal
  int most;           // values from 2^most on overflow
  std::uint64_t nan;  // the one NaN that results have
};
inline constexpr format f16{11, -24, 16, 0x7fff};
inline constexpr format bf16{8, -133, 128, 0x7fff};
inline constexpr format f32{24, -149, 128, 0x7fffffff};
inline constexpr format f64{53, -1074, 1024, 0x7ff8000000000000};

[[nodiscard]] constexpr int exponent_bits(format f) {
  return f.most == 16 ? 5 : f.most == 128 ? 8 : 11;
}
[[nodiscard]] constexpr int width(format f) {
  return exponent_bits(f) + f.precision;
}

struct number {
  enum kind { finite, infinite, nan } is = finite;
  bool negative = false;
  wide size = 0;       // times 2^exponent
  int exponent = 0;
  bool more = false;   // and a little more than that
};

[[nodiscard]] inline int top_bit(wide x) {  // -1 for 0
  const auto high = static_cast<std::uint64_t>(x >> 64);
  const auto low = static_cast<std::uint64_t>(x);
  return high ? 127 - std::countl_zero(high) : 63 - std::countl_zero(low);
}

[[nodiscard]] inline number read(std::uint64_t bits, format f) {
  const int p = f.precision - 1;
  number n;
  n.negative = (bits >> (width(f) - 1)) & 1;
  const std::uint64_t fraction = bits & ((std::uint64_t{1} << p) - 1);
  const auto biased = static_cast<int>((bits >> p) & ((1u << exponent_bits(f)) - 1));
  if (biased == (1 << exponent_bits(f)) - 1) {
    n.is = fraction ? number::nan : number::infinite;
    return n;
  }
  n.size = biased ? fraction | (std::uint64_t{1} << p) : fraction;
  n.exponent = f.least + std::max(biased, 1) - 1;
  return n;
}

// Whether a cut-off part moves the kept one away from zero.
[[nodiscard]] inline bool rounds_up(to how, bool negative, bool odd, int against_half, bool inexact) {
  switch (how) {
    case to::nearest: return against_half > 0 || (against_half == 0 && odd);
    case to::zero: return false;
    case to::down: return negative && inexact;
    case to::up: return !negative && inexact;
  }
  return false;
}

// size / 2^shift to a whole number.
[[nodiscard]] inline wide cut(const number& n, int shift, to how) {
  if (shift <= 0) return n.size << -shift;
  const wide kept = shift > 127 ? 0 : n.size >> shift;
  const wide rest = shift > 127 ? n.size : n.size & ((wide{1} << shift) - 1);
  int against = -1;
  if (shift <= 127) {
    const wide half = wide{1} << (shift - 1);
    against = rest > half ? 1 : rest < half ? -1 : n.more ? 1 : 0;
  }
  const bool inexact = rest != 0 || n.more;
  if (!inexact) against = -1;
  return kept + (rounds_up(how, n.negative, kept & 1, against, inexact) ? 1 : 0);
}

[[nodiscard]] inline std::uint64_t write(const number& n, format f, to how = to::nearest) {
  const std::uint64_t sign = static_cast<std::uint64_t>(n.negative) << (width(f) - 1);
  const int p = f.precision - 1;
  const std::uint64_t infinity = ((std::uint64_t{1} << exponent_bits(f)) - 1) << p;
  if (n.is == number::nan) return f.nan;
  if (n.is == number::infinite) return sign | infinity;
  if (n.size == 0) return sign;
  int last = std::max(n.exponent + top_bit(n.size) - p, f.least);
  wide kept = cut(n, last - n.exponent, how);
  if (kept >> f.precision) {
    kept >>= 1;
    ++last;
  }
  if (last + p >= f.most) {
    const bool to_infinity = how == to::nearest || (how == to::down && n.negative) || (how == to::up && !n.negative);
    return sign | (to_infinity ? infinity : infinity - 1);
  }
  if (!(kept >> p)) return sign | static_cast<std::uint64_t>(kept);
  const auto biased = static_cast<std::uint64_t>(last - f.least + 1);
  return sign | (biased << p) | (static_cast<std::uint64_t>(kept) & ((std::uint64_t{1} << p) - 1));
}

[[nodiscard]] inline number negated(number n) {
  n.negative = !n.negative;
  return n;
}

[[nodiscard]] inline number sum(number a, number b, to how = to::nearest) {
  if (a.is == number::nan || b.is == number::nan) return {.is = number::nan};
  if (a.is == number::infinite || b.is == number::infinite) {
    if (a.is == b.is && a.negative != b.negative) return {.is = number::nan};
    return a.is == number::infinite ? a : b;
  }
  number zero;
  zero.negative = how == to::down;
  if (a.size == 0 && b.size == 0) {
    zero.negative = a.negative == b.negative ? a.negative : how == to::down;
    return zero;
  }
  if (a.size == 0) return b;
  if (b.size == 0) return a;
  if (a.exponent + top_bit(a.size) < b.exponent + top_bit(b.size)) std::swap(a, b);
  const int lift = 120 - top_bit(a.size);
  a.size <<= lift;
  a.exponent -= lift;
  const int down = a.exponent - b.exponent;
  if (down <= 0) {
    b.size <<= -down;
  } else if (down > 127) {
    b.more = true;
    b.size = 0;
  } else {
    b.more |= (b.size & ((wide{1} << down) - 1)) != 0;
    b.size >>= down;
  }
  number out = a;
  out.more = b.more;
  if (a.negative == b.negative) {
    out.size = a.size + b.size;
  } else if (a.size >= b.size) {
    out.size = a.size - b.size - (b.more ? 1 : 0);
  } else {
    out.size = b.size - a.size;
    out.negative = b.negative;
  }
  return out.size == 0 && !out.more ? zero : out;
}

[[nodiscard]] inline number product(const number& a, const number& b) {
  if (a.is == number::nan || b.is == number::nan) return {.is = number::nan};
  number out;
  out.negative = a.negative != b.negative;
  if (a.is == number::infinite || b.is == number::infinite) {
    const number& other = a.is == number::infinite ? b : a;
    out.is = other.is == number::finite && other.size == 0 ? number::nan : number::infinite;
    return out;
  }
  out.size = a.size * b.size;
  out.exponent = a.exponent + b.exponent;
  return out;
}

[[nodiscard]] inline number quotient(const number& a, const number& b) {
  if (a.is == number::nan || b.is == number::nan) return {.is = number::nan};
  number out;
  out.negative = a.negative != b.negative;
  if (a.is == number::infinite) {
    out.is = b.is == number::infinite ? number::nan : number::infinite;
    return out;
  }
  if (b.is == number::infinite) return out;
  if (b.size == 0) {
    out.is = a.size == 0 ? number::nan : number::infinite;
    return out;
  }
  if (a.size == 0) return out;
  const int lift = 126 - top_bit(a.size);
  out.size = (a.size << lift) / b.size;
  out.more = (a.size << lift) % b.size != 0;
  out.exponent = a.exponent - lift - b.exponent;
  return out;
}

[[nodiscard]] inline number root(const number& a) {
  if (a.is == number::nan) return a;
  if (a.is == number::finite && a.size == 0) return a;
  if (a.negative) return {.is = number::nan};
  if (a.is == number::infinite) return a;
  int lift = 126 - top_bit(a.size);
  if ((a.exponent - lift) % 2 != 0) --lift;
  const wide square = a.size << lift;
  wide r = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const wide next = r | (wide{1} << bit);
    if (next * next <= square) r = next;
  }
  number out;
  out.size = r;
  out.more = r * r != square;
  out.exponent = (a.exponent - lift) / 2;
  return out;
}

[[nodiscard]] inline number whole(std::uint64_t bits, bool is_signed) {
  number out;
  out.negative = is_signed && (bits >> 63);
  out.size = out.negative ? std::uint64_t{0} - bits : bits;
  return out;
}

// To a whole number of `bits` bits, saturating; NaN gives `nan`.
[[nodiscard]] inline std::uint64_t to_integer(const number& n, int bits, bool is_signed, to how, std::uint64_t nan) {
  const std::uint64_t all = bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
  if (n.is == number::nan) return nan & all;
  const wide most = is_signed ? (wide{1} << (bits - 1)) - 1 : (wide{1} << bits) - 1;
  const wide least = is_signed ? wide{1} << (bits - 1) : 0;  // its size
  const wide limit = n.negative ? least : most;
  wide size = limit;
  if (n.is == number::finite && n.size == 0) size = 0;
  else if (n.is == number::finite && n.exponent + top_bit(n.size) < 70) size = std::min(limit, cut(n, -n.exponent, how));
  const auto low = static_cast<std::uint64_t>(size);
  return (n.negative ? std::uint64_t{0} - low : low) & all;
}

// The nearest whole number, as a number (the sign of a zero is kept).
[[nodiscard]] inline number rounded_whole(const number& n, to how) {
  if (n.is != number::finite || n.size == 0 || n.exponent >= 0) return n;
  number out;
  out.negative = n.negative;
  out.size = cut(n, -n.exponent, how);
  return out;
}

[[nodiscard]] inline std::uint64_t flushed(std::uint64_t bits, format f) {
  const int p = f.precision - 1;
  const std::uint64_t biased = (bits >> p) & ((std::uint64_t{1} << exponent_bits(f)) - 1);
  return biased ? bits : bits & (std::uint64_t{1} << (width(f) - 1));
}

[[nodiscard]] inline bool is_nan(std::uint64_t bits, format f) { return read(bits, f).is == number::nan; }

}  // namespace soft
