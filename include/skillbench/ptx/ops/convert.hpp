#pragma once
// ptx/ops/convert.hpp: cvt.
//
// Layer   3.
// Source  PTX ISA 9.0, "Data Movement and Conversion Instructions: cvt".
// Common forms have loops of their own; every other pair of types goes through
// one lane at a time, on 64-bit integers or doubles.

#include <algorithm>
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>

#if defined(__F16C__)
#include <immintrin.h>
#endif

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/narrow.hpp>
#include <skillbench/ptx/ops/arithmetic.hpp>

namespace skillbench::ptx::ops {

enum rounding : std::uint8_t { to_nearest, to_zero, downward, upward };

inline void widen_halves(const std::uint16_t* from, float* to) {
#if defined(__F16C__)
  for (int l = 0; l < warp_lanes; l += 8)
    _mm256_storeu_ps(to + l, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + l))));
#else
  for (int l = 0; l < warp_lanes; ++l) to[l] = half_to_float(from[l]);
#endif
}

inline void narrow_to_halves(const float* from, std::uint16_t* to) {
#if defined(__F16C__)
  for (int l = 0; l < warp_lanes; l += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + l),
                     _mm256_cvtps_ph(_mm256_loadu_ps(from + l), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  for (int l = 0; l < warp_lanes; ++l) to[l] = from[l] == from[l] ? to[l] : std::uint16_t{0x7fff};
#else
  for (int l = 0; l < warp_lanes; ++l) to[l] = half_kind::from(from[l]);
#endif
}

inline void narrow_to_bfloats(const float* from, std::uint16_t* to) {
  for (int l = 0; l < warp_lanes; ++l) {
    const auto bits = std::bit_cast<std::uint32_t>(from[l]);
    const auto near = static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
    to[l] = from[l] == from[l] ? near : std::uint16_t{0x7fff};
  }
}

inline void run_f32_of_f16(warp& w, const op& o, lane_mask active) {
  alignas(64) float out[warp_lanes];
  widen_halves(w.lanes<std::uint16_t>(o.s[0]), out);
  keep(w, o.d[0], out, active);
}
inline void run_f32_of_bf16(warp& w, const op& o, lane_mask active) {
  alignas(64) float out[warp_lanes];
  const auto* from = w.lanes<std::uint16_t>(o.s[0]);
  for (int l = 0; l < warp_lanes; ++l) out[l] = bfloat_to_float(from[l]);
  keep(w, o.d[0], out, active);
}
// The nearest 16-bit value, moved by one step where the direction asks it.
template <typename Kind>
[[nodiscard]] std::uint16_t directed_half(double x, rounding r) noexcept {
  std::uint16_t near = Kind::from(x);
  if (r == to_nearest || x != x) return near;
  const double got = Kind::to(near);
  const bool low = r == downward || (r == to_zero && x > 0);
  if (got == x) return near;
  const bool too_high = got > x;
  if (low && too_high) return static_cast<std::uint16_t>(got > 0 ? near - 1 : near == 0 ? 0x8001 : near + 1);
  if (!low && !too_high) return static_cast<std::uint16_t>(got < 0 ? near - 1 : (near & 0x7fff) == 0 ? 1 : near + 1);
  return near;
}

// An infinity becomes the largest number of its sign.
template <typename Kind>
[[nodiscard]] constexpr std::uint16_t finite_half(std::uint16_t b) noexcept {
  constexpr std::uint16_t infinity = std::is_same_v<Kind, half_kind> ? 0x7c00 : 0x7f80;
  return static_cast<std::uint16_t>((b & 0x7fff) == infinity ? b - 1 : b);
}

// imm: bit 0 relu.
template <bool Half>
void run_16_of_f32(warp& w, const op& o, lane_mask active) {
  alignas(64) float in[warp_lanes];
  std::memcpy(in, w.lanes<float>(o.s[0]), sizeof in);
  if (o.imm & 1)
    for (auto& x : in) x = x <= 0 ? 0.0f : x;  // -0 too
  alignas(64) std::uint16_t out[warp_lanes];
  Half ? narrow_to_halves(in, out) : narrow_to_bfloats(in, out);
  keep(w, o.d[0], out, active);
}
// d = {high: s[0], low: s[1]}; imm: bit 0 relu, bit 1 to zero, bit 2 satfinite
template <bool Half>
void run_16x2_of_f32(warp& w, const op& o, lane_mask active) {
  alignas(64) std::uint16_t part[2][warp_lanes];
  for (int i = 0; i < 2; ++i) {
    alignas(64) float in[warp_lanes];
    std::memcpy(in, w.lanes<float>(o.s[1 - i]), sizeof in);
    if (o.imm & 1)
      for (auto& x : in) x = x <= 0 ? 0.0f : x;
    if (o.imm & 2) {
      using K = std::conditional_t<Half, half_kind, bfloat_kind>;
      for (int l = 0; l < warp_lanes; ++l) part[i][l] = directed_half<K>(in[l], to_zero);
    } else {
      Half ? narrow_to_halves(in, part[i]) : narrow_to_bfloats(in, part[i]);
    }
    if (o.imm & 4)
      for (auto& b : part[i]) b = Half ? finite_half<half_kind>(b) : finite_half<bfloat_kind>(b);
  }
  alignas(64) std::uint32_t out[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) out[l] = part[0][l] | (static_cast<std::uint32_t>(part[1][l]) << 16);
  keep(w, o.d[0], out, active);
}
inline void taint_16x2_of_f32(warp& w, const op& o, lane_mask active) {
  std::uint32_t bits[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l)
    bits[l] = (w.shades<std::uint32_t>(o.s[1])[l] ? 0xffffu : 0u) | (w.shades<std::uint32_t>(o.s[0])[l] ? 0xffff0000u : 0u);
  shade_lanes(w, o.d[0], bits, active);
}

template <typename D, typename A>
struct int_of_int { static D f(A a) { return static_cast<D>(a); } };

template <typename D, typename A>
struct float_of_int { static D f(A a) { return static_cast<D>(a); } };  // to nearest

template <typename T, int Mode>
[[nodiscard]] T whole(T x) noexcept {
  if constexpr (Mode == to_nearest) return std::nearbyint(x);
  if constexpr (Mode == to_zero) return std::trunc(x);
  if constexpr (Mode == downward) return std::floor(x);
  if constexpr (Mode == upward) return std::ceil(x);
}

// NaN gives 0 for a float that becomes 32 bits or less, and 1 << 63 (or 1 << 31
// from f64) otherwise; what is out of range becomes the nearest limit.
template <typename D, typename A, int Mode>
struct int_of_float {
  static D f(A x) {
    if (x != x)
      return sizeof(D) == 8 || sizeof(A) == 8
                 ? static_cast<D>(raw<D>{1} << (sizeof(D) * 8 - 1)) : D{0};
    const A v = whole<A, Mode>(x);
    // The limits as powers of two are exact in every float type.
    const A above = std::ldexp(A{1}, std::numeric_limits<D>::digits);
    if (v >= above) return std::numeric_limits<D>::max();
    if (v < static_cast<A>(std::numeric_limits<D>::min())) return std::numeric_limits<D>::min();
    return static_cast<D>(v);
  }
};
template <int Mode>
struct whole_float { static float f(float x) { return canonical(whole<float, Mode>(x)); } };

// ---- any pair, one lane at a time ---------------------------------------------
// imm packs: from type, to type, register widths, rounding, flags.

struct cvt_form {
  type to = type::none, from = type::none;
  std::uint8_t to_width = 0, from_width = 0;
  rounding round = to_nearest;
  bool to_whole = false, ftz = false, sat = false, relu = false, finite = false;

  [[nodiscard]] std::int64_t packed() const noexcept {
    return static_cast<std::int64_t>(to) | (static_cast<std::int64_t>(from) << 8) |
           (static_cast<std::int64_t>(to_width) << 16) | (static_cast<std::int64_t>(from_width) << 24) |
           (static_cast<std::int64_t>(round) << 32) | (static_cast<std::int64_t>(to_whole) << 40) |
           (static_cast<std::int64_t>(ftz) << 41) | (static_cast<std::int64_t>(sat) << 42) |
           (static_cast<std::int64_t>(relu) << 43) | (static_cast<std::int64_t>(finite) << 44);
  }
  [[nodiscard]] static cvt_form of(std::int64_t bits) noexcept {
    cvt_form f;
    f.to = static_cast<type>(bits & 0xff);
    f.from = static_cast<type>((bits >> 8) & 0xff);
    f.to_width = static_cast<std::uint8_t>(bits >> 16);
    f.from_width = static_cast<std::uint8_t>(bits >> 24);
    f.round = static_cast<rounding>((bits >> 32) & 0xff);
    f.to_whole = (bits >> 40) & 1;
    f.ftz = (bits >> 41) & 1;
    f.sat = (bits >> 42) & 1;
    f.relu = (bits >> 43) & 1;
    f.finite = (bits >> 44) & 1;
    return f;
  }
};

[[nodiscard]] inline std::uint64_t read_lane(warp& w, ref r, std::uint8_t width, int l, bool shade) {
  const std::byte* base = (shade ? w.shade : w.file) + r.offset + static_cast<std::size_t>(l) * width;
  std::uint64_t out = 0;
  std::memcpy(&out, base, width);
  return out;
}

[[nodiscard]] inline std::uint64_t low_bits(std::uint64_t x, unsigned bytes, bool extend_sign) noexcept {
  if (bytes >= 8) return x;
  const unsigned gone = 64 - 8 * bytes;
  return extend_sign ? static_cast<std::uint64_t>(static_cast<std::int64_t>(x << gone) >> gone) : (x << gone) >> gone;
}

[[nodiscard]] inline int host_rounding(rounding r) noexcept {
  return r == to_zero ? FE_TOWARDZERO : r == downward ? FE_DOWNWARD : r == upward ? FE_UPWARD : FE_TONEAREST;
}

[[nodiscard]] inline double whole_by(double x, rounding r) noexcept {
  return r == to_zero ? std::trunc(x) : r == downward ? std::floor(x) : r == upward ? std::ceil(x) : std::nearbyint(x);
}

[[nodiscard]] inline std::uint64_t convert_lane(std::uint64_t in, const cvt_form& f) {
  const bool from_float = !is_integer(f.from), to_float = !is_integer(f.to);
  double x = 0.0;
  std::int64_t i = 0;
  if (from_float) {
    switch (f.from) {
      case type::f16: x = half_to_float(static_cast<std::uint16_t>(in)); break;
      case type::bf16: x = bfloat_to_float(static_cast<std::uint16_t>(in)); break;
      case type::f32: {
        float v = std::bit_cast<float>(static_cast<std::uint32_t>(in));
        x = f.ftz ? flushed(v) : v;
        break;
      }
      default: x = std::bit_cast<double>(in);
    }
  } else {
    i = static_cast<std::int64_t>(low_bits(in, width_of(f.from), is_signed(f.from)));
  }
  if (!to_float) {
    const unsigned bits = 8u * width_of(f.to);
    if (from_float) {
      std::uint64_t out = 0;
      if (x != x) {
        out = f.from == type::f64 || bits == 64 ? std::uint64_t{1} << (bits - 1) : 0;
      } else {
        const double v = whole_by(x, f.round);
        const double above = std::ldexp(1.0, static_cast<int>(bits) - (is_signed(f.to) ? 1 : 0));
        const double below = is_signed(f.to) ? -above : 0.0;
        const std::uint64_t top = is_signed(f.to) ? (std::uint64_t{1} << (bits - 1)) - 1 : low_bits(~std::uint64_t{0}, bits / 8, false);
        if (v >= above) out = top;
        else if (v < below) out = is_signed(f.to) ? ~top : 0;
        else out = v < 0 ? static_cast<std::uint64_t>(static_cast<std::int64_t>(v)) : static_cast<std::uint64_t>(v);
      }
      return low_bits(out, bits / 8, is_signed(f.to));
    }
    if (f.sat) {
      const std::uint64_t top = low_bits(~std::uint64_t{0}, bits / 8, false) >> (is_signed(f.to) ? 1 : 0);
      const std::int64_t bottom = is_signed(f.to) ? -static_cast<std::int64_t>(top) - 1 : 0;
      if (is_signed(f.from) && i < bottom) i = bottom;
      else if (!(is_signed(f.from) && i < 0) && static_cast<std::uint64_t>(i) > top) i = static_cast<std::int64_t>(top);
    }
    return low_bits(static_cast<std::uint64_t>(i), bits / 8, is_signed(f.to));
  }
  if (from_float && f.to_whole) x = whole_by(x, f.round);
  // Compilers make doubles of unsigned numbers by a subtraction, and a difference
  // of equals is -0 where the host rounds down.
  if (!from_float && i == 0) return 0;
  const int before = std::fegetround();
  const bool unsigned_source = !from_float && !is_signed(f.from);
  std::uint64_t out = 0;
  const auto finish32 = [&](float v) {
    if (f.sat) v = saturated(v);
    if (f.ftz) v = flushed(v);
    return static_cast<std::uint64_t>(std::bit_cast<std::uint32_t>(canonical(v)));
  };
  switch (f.to) {
    case type::f32: {
      std::fesetround(host_rounding(f.round));
      volatile float v = from_float ? static_cast<float>(x)
                         : unsigned_source ? static_cast<float>(static_cast<std::uint64_t>(i)) : static_cast<float>(i);
      std::fesetround(before);
      out = finish32(v);
      break;
    }
    case type::f64: {
      std::fesetround(host_rounding(f.round));
      volatile double v = from_float ? x : unsigned_source ? static_cast<double>(static_cast<std::uint64_t>(i)) : static_cast<double>(i);
      std::fesetround(before);
      out = std::bit_cast<std::uint64_t>(static_cast<double>(v));
      break;
    }
    default: {
      // An integer of 64 bits becomes a double rounded to odd, so that the
      // second rounding sees that the first was not exact.
      if (!from_float) {
        const bool negative = !unsigned_source && i < 0;
        std::uint64_t size = negative ? std::uint64_t{0} - static_cast<std::uint64_t>(i) : static_cast<std::uint64_t>(i);
        if (size >> 53) {
          const unsigned shift = 11u - static_cast<unsigned>(std::countl_zero(size));
          const bool sticky = (size & ((std::uint64_t{1} << shift) - 1)) != 0;
          size = ((size >> shift) | static_cast<std::uint64_t>(sticky)) << shift;
        }
        x = static_cast<double>(size);
        if (negative) x = -x;
      }
      if (f.relu && (x < 0 || x == 0)) x = 0.0;  // -0 too
      if (f.sat) x = x > 0 ? (x < 1 ? x : 1.0) : 0.0;
      out = f.to == type::f16 ? directed_half<half_kind>(x, f.round) : directed_half<bfloat_kind>(x, f.round);
      if (f.finite) out = f.to == type::f16 ? finite_half<half_kind>(static_cast<std::uint16_t>(out)) : finite_half<bfloat_kind>(static_cast<std::uint16_t>(out));
    }
  }
  return out;
}

inline void write_lanes(warp& w, ref r, std::uint8_t width, const std::uint64_t* out, lane_mask active) {
  for (int l = 0; l < warp_lanes; ++l)
    if ((active >> l) & 1u) std::memcpy(w.file + r.offset + static_cast<std::size_t>(l) * width, &out[l], width);
}

inline void run_cvt(warp& w, const op& o, lane_mask active) {
  const cvt_form f = cvt_form::of(o.imm);
  std::uint64_t out[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) out[l] = convert_lane(read_lane(w, o.s[0], f.from_width, l, false), f);
  write_lanes(w, o.d[0], f.to_width, out, active);
}

inline void taint_cvt(warp& w, const op& o, lane_mask active) {
  cvt_form f = cvt_form::of(o.imm);
  const bool moves = is_integer(f.from) && is_integer(f.to) && !f.sat;
  bool any = false;
  for (int l = 0; l < warp_lanes; ++l) {
    std::uint64_t u = low_bits(read_lane(w, o.s[0], f.from_width, l, true), width_of(f.from), is_signed(f.from));
    if (moves) u = low_bits(u, width_of(f.to), is_signed(f.to));
    else u = u ? ~std::uint64_t{0} : 0;
    std::byte* to = w.shade + o.d[0].offset + static_cast<std::size_t>(l) * f.to_width;
    if ((active >> l) & 1u) std::memcpy(to, &u, f.to_width);
    any |= read_lane(w, o.d[0], f.to_width, l, true) != 0;
  }
  w.tainted[o.d[0].slot] = any;
}

// ---- the row -------------------------------------------------------------------

template <typename D>
bool fast_int_of_f32(decoding& d, rounding r) {
  switch (r) {
    case to_nearest: make1<int_of_float<D, float, to_nearest>, D, float>(d); break;
    case to_zero: make1<int_of_float<D, float, to_zero>, D, float>(d); break;
    case downward: make1<int_of_float<D, float, downward>, D, float>(d); break;
    case upward: make1<int_of_float<D, float, upward>, D, float>(d); break;
  }
  return true;
}

inline bool make_fast_cvt(decoding& d, const cvt_form& f) {
  if (f.ftz || f.sat || f.relu) return false;
  if (width_of(f.to) != f.to_width || width_of(f.from) != f.from_width) return false;
  if (is_integer(f.to) && is_integer(f.from)) {
    if (f.to_width == 1 || f.from_width == 1) return false;
    return with_integer(f.from, [&](auto from) {
      with_integer(f.to, [&](auto to) {
        using D = raw<decltype(to)>;
        make1<int_of_int<D, decltype(from)>, D, decltype(from), true>(d);
      });
    });
  }
  if (f.to == type::f32 && f.from == type::f32 && f.to_whole) {
    switch (f.round) {
      case to_nearest: make1<whole_float<to_nearest>, float, float>(d); break;
      case to_zero: make1<whole_float<to_zero>, float, float>(d); break;
      case downward: make1<whole_float<downward>, float, float>(d); break;
      case upward: make1<whole_float<upward>, float, float>(d); break;
    }
    return true;
  }
  if (f.to == type::f32 && f.round == to_nearest && is_integer(f.from) && f.from_width >= 4)
    return with_integer(f.from, [&](auto from) { make1<float_of_int<float, decltype(from)>, float, decltype(from)>(d); });
  if (f.from == type::f32 && is_integer(f.to)) {
    if (f.to == type::s32) return fast_int_of_f32<std::int32_t>(d, f.round);
    if (f.to == type::u32) return fast_int_of_f32<std::uint32_t>(d, f.round);
    if (f.to == type::s64) return fast_int_of_f32<std::int64_t>(d, f.round);
    if (f.to == type::u64) return fast_int_of_f32<std::uint64_t>(d, f.round);
  }
  return false;
}

// f32 to tf32: imm holds the rounding, then relu and satfinite.
inline void run_tf32(warp& w, const op& o, lane_mask active) {
  alignas(64) std::uint32_t out[warp_lanes];
  const auto* in = w.lanes<std::uint32_t>(o.s[0]);
  const auto how = static_cast<narrow::tf32_rounding>(o.imm & 3);
  const bool relu = o.imm & 4, finite = o.imm & 8;
  if (how == narrow::tf32_rounding::nearest_away && !relu && !finite && host_is_wide()) narrow::to_nearest_tf32(in, out);
  else
    for (int l = 0; l < warp_lanes; ++l) out[l] = narrow::tf32(in[l], how, relu, finite);
  keep(w, o.d[0], out, active);
}
inline void make_tf32(decoding& d) {
  const bool away = d.take("rna"), zero = d.take("rz"), even = d.take("rn");
  const bool relu = d.take("relu"), finite = d.take("satfinite");
  if (away + zero + even != 1 || d.take_type() != type::f32 || (away && relu) || (finite && !away) || !d.want(2)) return d.refuse("this form");
  d.target(0, 4);
  d.source(1, 4);
  d.o.imm = static_cast<std::int64_t>(away ? narrow::tf32_rounding::nearest_away : zero ? narrow::tf32_rounding::zero : narrow::tf32_rounding::nearest_even) |
            (relu ? 4 : 0) | (finite ? 8 : 0);
  d.does(&run_tf32, &taint_whole<4, 4>);
}

// ---- numbers of 8 bits, two at a time --------------------------------------------
// imm: bit 0 relu, bit 1 e5m2. The first source is the high part.

[[nodiscard]] inline narrow::format8 format_of(const op& o) noexcept { return o.imm & 2 ? narrow::e5m2 : narrow::e4m3; }
[[nodiscard]] inline double not_below_zero(double x, const op& o) noexcept { return (o.imm & 1) && std::signbit(x) && x == x ? 0.0 : x; }

inline void run_8x2_of_f32(warp& w, const op& o, lane_mask active) {
  alignas(64) std::uint16_t out[warp_lanes];
  const auto part = [&](int i, int l) { return narrow::from_double(not_below_zero(w.lanes<float>(o.s[i])[l], o), format_of(o)); };
  for (int l = 0; l < warp_lanes; ++l) out[l] = static_cast<std::uint16_t>((part(0, l) << 8) | part(1, l));
  keep(w, o.d[0], out, active);
}
inline void taint_8x2_of_f32(warp& w, const op& o, lane_mask active) {
  std::uint16_t bits[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l)
    bits[l] = static_cast<std::uint16_t>((w.shades<std::uint32_t>(o.s[0])[l] ? 0xff00 : 0) | (w.shades<std::uint32_t>(o.s[1])[l] ? 0xff : 0));
  shade_lanes(w, o.d[0], bits, active);
}
inline void run_8x2_of_f16x2(warp& w, const op& o, lane_mask active) {
  alignas(64) std::uint16_t out[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) {
    const std::uint32_t in = w.lanes<std::uint32_t>(o.s[0])[l];
    const auto part = [&](int at) { return narrow::from_double(not_below_zero(half_kind::to(static_cast<std::uint16_t>(in >> at)), o), format_of(o)); };
    out[l] = static_cast<std::uint16_t>((part(16) << 8) | part(0));
  }
  keep(w, o.d[0], out, active);
}
inline void taint_8x2_of_f16x2(warp& w, const op& o, lane_mask active) {
  std::uint16_t bits[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) {
    const std::uint32_t u = w.shades<std::uint32_t>(o.s[0])[l];
    bits[l] = static_cast<std::uint16_t>((u >> 16 ? 0xff00 : 0) | (u & 0xffff ? 0xff : 0));
  }
  shade_lanes(w, o.d[0], bits, active);
}
inline void run_f16x2_of_8x2(warp& w, const op& o, lane_mask active) {
  alignas(64) std::uint32_t out[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) {
    const std::uint16_t in = w.lanes<std::uint16_t>(o.s[0])[l];
    const auto part = [&](int at) { return std::uint32_t{half_kind::from(not_below_zero(narrow::to_double(static_cast<std::uint8_t>(in >> at), format_of(o)), o))}; };
    out[l] = part(0) | (part(8) << 16);
  }
  keep(w, o.d[0], out, active);
}
inline void taint_f16x2_of_8x2(warp& w, const op& o, lane_mask active) {
  std::uint32_t bits[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) {
    const std::uint16_t u = w.shades<std::uint16_t>(o.s[0])[l];
    bits[l] = (u >> 8 ? 0xffff0000u : 0) | (u & 0xff ? 0xffffu : 0);
  }
  shade_lanes(w, o.d[0], bits, active);
}

inline void make_cvt8(decoding& d) {
  const auto eight = [&] { return d.take("e5m2x2") ? 2 : d.take("e4m3x2") ? 0 : -1; };
  if (!d.take("rn")) return d.refuse("this rounding");
  const bool finite = d.take("satfinite"), relu = d.take("relu");
  const bool widens = d.in.modifiers.back() == "e4m3x2" || d.in.modifiers.back() == "e5m2x2";
  const int kind = eight();
  const type other = d.take_type();
  if (kind < 0 || finite == widens) return d.refuse("this form");
  d.o.imm = kind | (relu ? 1 : 0);
  if (widens) {
    if (other != type::f16x2 || !d.want(2)) return d.refuse("this pair of types");
    d.target(0, 4);
    d.source(1, 2);
    return d.does(&run_f16x2_of_8x2, &taint_f16x2_of_8x2);
  }
  d.target(0, 2);
  if (other == type::f32 && d.want(3)) {
    d.source(1, 4);
    d.source(2, 4);
    return d.does(&run_8x2_of_f32, &taint_8x2_of_f32);
  }
  if (other != type::f16x2 || !d.want(2)) return d.refuse("this pair of types");
  d.source(1, 4);
  d.does(&run_8x2_of_f16x2, &taint_8x2_of_f16x2);
}

// cvt.pack: two integers of 32 bits, cut to their limits, into the low bits; what
// the third operand holds is moved up to make room. unit: bits of each.
inline void run_pack_integers(warp& w, const op& o, lane_mask active) {
  alignas(64) std::uint32_t out[warp_lanes];
  const unsigned n = o.unit;
  const std::int64_t most = (std::int64_t{1} << (o.is_signed ? n - 1 : n)) - 1, least = o.is_signed ? -most - 1 : 0;
  const auto part = [&](int i, int l) {
    const std::int64_t x = w.lanes<std::int32_t>(o.s[i])[l];
    return static_cast<std::uint32_t>(std::clamp(x, least, most)) & ((1u << n) - 1);
  };
  for (int l = 0; l < warp_lanes; ++l) {
    const std::uint32_t both = (part(0, l) << n) | part(1, l);
    out[l] = o.sources == 2 ? both : (w.lanes<std::uint32_t>(o.s[2])[l] << (2 * n)) | both;
  }
  keep(w, o.d[0], out, active);
}
inline void taint_pack_integers(warp& w, const op& o, lane_mask active) {
  std::uint32_t bits[warp_lanes];
  const unsigned n = o.unit;
  for (int l = 0; l < warp_lanes; ++l) {
    const auto part = [&](int i) { return w.shades<std::uint32_t>(o.s[i])[l] ? (1u << n) - 1 : 0u; };
    bits[l] = (part(0) << n) | part(1) | (o.sources == 2 ? 0 : w.shades<std::uint32_t>(o.s[2])[l] << (2 * n));
  }
  shade_lanes(w, o.d[0], bits, active);
}
inline void make_pack_integers(decoding& d) {
  struct named { std::string_view text; std::uint8_t bits; bool is_signed; };
  static constexpr named kinds[] = {{"u16", 16, false}, {"s16", 16, true}, {"u8", 8, false}, {"s8", 8, true},
                                    {"u4", 4, false}, {"s4", 4, true}, {"u2", 2, false}, {"s2", 2, true}};
  if (!d.take("sat")) return d.refuse("this form");
  for (const auto& k : kinds)
    if (d.take(k.text)) {
      d.o.unit = k.bits;
      d.o.is_signed = k.is_signed;
      break;
    }
  if (!d.o.unit || !d.take("s32") || !d.want(d.o.unit == 16 ? 3 : 4)) return d.refuse("these types");
  if (d.o.unit < 16 && !d.take("b32")) return d.refuse("these types");
  d.target(0, 4);
  for (std::size_t i = 1; i < d.count(); ++i) d.source(i, 4);
  d.does(&run_pack_integers, &taint_pack_integers);
}

inline void make_cvt(decoding& d) {
  if (d.take("tf32")) return make_tf32(d);
  if (d.take("pack")) return make_pack_integers(d);
  if (d.has("e4m3x2") || d.has("e5m2x2")) return make_cvt8(d);
  cvt_form f;
  struct named { std::string_view text; rounding round; bool whole; };
  static constexpr named modes[] = {
      {"rn", to_nearest, false}, {"rz", to_zero, false}, {"rm", downward, false}, {"rp", upward, false},
      {"rni", to_nearest, true}, {"rzi", to_zero, true}, {"rmi", downward, true}, {"rpi", upward, true}};
  for (const auto& m : modes)
    if (d.take(m.text)) {
      f.round = m.round;
      f.to_whole = m.whole;
    }
  f.ftz = d.take("ftz");
  f.sat = d.take("sat");
  f.relu = d.take("relu");
  f.finite = d.take("satfinite");
  f.to = d.take_type();
  f.from = d.take_type();
  if (f.to == type::none || f.from == type::none || f.to == type::pred) return d.refuse("this pair of types");
  if (f.relu && (f.from != type::f32 || width_of(f.to) > 4 || f.to == type::f32 || is_integer(f.to))) return d.refuse(".relu of these types");
  if (f.finite && (f.from != type::f32 || f.to < type::f16 || f.to > type::bf16x2 || f.sat)) return d.refuse(".satfinite of these types");

  if (f.to == type::f16x2 || f.to == type::bf16x2) {
    if (f.from != type::f32 || f.sat || f.ftz || f.to_whole || f.round > to_zero || d.count() != 3) return d.refuse("this packed form");
    d.target(0, 4);
    d.source(1, 4);
    d.source(2, 4);
    d.o.imm = (f.relu ? 1 : 0) | (f.round == to_zero ? 2 : 0) | (f.finite ? 4 : 0);
    d.does(f.to == type::f16x2 ? &run_16x2_of_f32<true> : &run_16x2_of_f32<false>, &taint_16x2_of_f32);
    return;
  }
  if (f.from == type::f16x2 || f.from == type::bf16x2 || !d.want(2)) return d.refuse("this pair of types");
  if (f.to == type::f32 && f.from == type::f16 && !f.sat && !f.relu && !f.to_whole) {
    // .ftz changes nothing: every f16 subnormal is a normal f32
    d.target(0, 4);
    d.source(1, 2);
    return d.does(&run_f32_of_f16, &taint_whole<4, 2>);
  }
  if (f.to == type::f32 && f.from == type::bf16 && !f.sat && !f.relu && !f.to_whole && !f.ftz) {
    d.target(0, 4);
    d.source(1, 2);
    return d.does(&run_f32_of_bf16, &taint_whole<4, 2>);
  }
  if ((f.to == type::f16 || f.to == type::bf16) && f.from == type::f32 && f.round == to_nearest && !f.sat && !f.ftz && !f.finite && !f.to_whole) {
    d.target(0, 2);
    d.source(1, 4);
    d.o.imm = f.relu;
    return d.does(f.to == type::f16 ? &run_16_of_f32<true> : &run_16_of_f32<false>, &taint_whole<2, 4>);
  }
  // Registers may be wider than the types.
  f.to_width = d.target_any(d.in.operands[0]);
  f.from_width = d.source_any(d.in.operands[1], width_of(f.from));
  if (!d.refusal.empty()) return;
  if (f.to_width < width_of(f.to) || f.from_width < width_of(f.from)) return d.refuse("a register narrower than its type");
  if (f.to_width > 8 || f.from_width > 8) return d.refuse("a part of a register of 128 bits");
  d.o.targets = d.o.sources = 0;
  if (make_fast_cvt(d, f)) return;
  d.o.targets = d.o.sources = 0;
  d.target_any(d.in.operands[0]);
  d.source_any(d.in.operands[1], width_of(f.from));
  d.o.imm = f.packed();
  d.does(&run_cvt, &taint_cvt);
}

inline void add_convert_rows(instruction_table& table) { table["cvt"] = &make_cvt; }

}  // namespace skillbench::ptx::ops
