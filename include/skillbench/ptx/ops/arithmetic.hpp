#pragma once
// ptx/ops/arithmetic.hpp: floating point, and the opcodes that integers share.
//
// Layer   3.
// Source  PTX ISA 9.0, "Floating Point Instructions", "Half Precision Floating
//         Point Instructions".
// NaN     a result that is NaN is the canonical one: 0x7fffffff in f32, 0x7fff
//         in 16-bit types; f64 keeps the host's payload.
// 16-bit types are computed in double, rounded to odd, and rounded once more
//         to the type, which gives the correctly rounded result for every
//         operation here (fma included).

#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>

#include <skillbench/ptx/approximate.hpp>
#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/ops/integer.hpp>
#include <skillbench/units.hpp>

namespace skillbench::ptx::ops {

[[nodiscard]] inline float flushed(float x) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return (bits & 0x7f800000u) ? x : std::bit_cast<float>(bits & 0x80000000u);
}
[[nodiscard]] inline float canonical(float x) noexcept {
  return x == x ? x : std::bit_cast<float>(0x7fffffffu);
}
[[nodiscard]] inline double canonical(double x) noexcept { return x; }
// Clamped to [0, 1]; NaN becomes 0.
[[nodiscard]] inline float saturated(float x) noexcept {
  return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}

// ---- operations on float and double, before modifiers ----------------------

struct fp_add { template <typename T> static T f(T a, T b) { return a + b; } };
struct fp_sub { template <typename T> static T f(T a, T b) { return a - b; } };
struct fp_mul { template <typename T> static T f(T a, T b) { return a * b; } };
struct fp_div { template <typename T> static T f(T a, T b) { return a / b; } };
struct fp_fma {
  static float f(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
  static double f(double a, double b, double c) { return __builtin_fma(a, b, c); }
};
struct fp_rcp { template <typename T> static T f(T a) { return T{1} / a; } };
struct fp_sqrt {
  static float f(float a) { return __builtin_sqrtf(a); }
  static double f(double a) { return __builtin_sqrt(a); }
};
struct fp_neg {
  static float f(float a) { return std::bit_cast<float>(std::bit_cast<std::uint32_t>(a) ^ 0x80000000u); }
  static double f(double a) { return -a; }
};
struct fp_abs {
  static float f(float a) { return std::bit_cast<float>(std::bit_cast<std::uint32_t>(a) & 0x7fffffffu); }
  static double f(double a) { return std::abs(a); }
};
// If one input is NaN the other one is the result; -0 is below +0.
struct fp_min {
  template <typename T> static T f(T a, T b) {
    if (a != a) return b;
    if (b != b) return a;
    if (a == b) return std::signbit(a) ? a : b;
    return a < b ? a : b;
  }
};
struct fp_max {
  template <typename T> static T f(T a, T b) {
    if (a != a) return b;
    if (b != b) return a;
    if (a == b) return std::signbit(a) ? b : a;
    return a < b ? b : a;
  }
};
template <typename F>
struct nan_wins {  // min.NaN, max.NaN
  template <typename T> static T f(T a, T b) {
    if (a != a || b != b) return std::numeric_limits<T>::quiet_NaN();
    return F::f(a, b);
  }
};
struct fp_copysign {  // the sign of a, the size of b
  static float f(float a, float b) {
    return std::bit_cast<float>((std::bit_cast<std::uint32_t>(a) & 0x80000000u) |
                                (std::bit_cast<std::uint32_t>(b) & 0x7fffffffu));
  }
  static double f(double a, double b) { return std::copysign(b, a); }
};
struct ap_ex2 { static float f(float a) { return approximate::ex2(a); } };
struct ap_lg2 { static float f(float a) { return approximate::lg2(a); } };
struct ap_sin { static float f(float a) { return approximate::sine(a, 0); } };
struct ap_cos { static float f(float a) { return approximate::sine(a, 1); } };
struct ap_tanh { static float f(float a) { return approximate::tanh(a); } };
struct ap_rsqrt { static float f(float a) { return approximate::rsqrt(a); } };
struct ap_rcp_f64 { static double f(double a) { return approximate::rcp_high(a); } };
struct ap_rsqrt_f64 { static double f(double a) { return 1.0 / __builtin_sqrt(a); } };
struct ap_rsqrt_high { static double f(double a) { return approximate::rsqrt_high(a); } };
struct ap_div { static float f(float a, float b) { return approximate::divide(a, b); } };

// F with .ftz around it.
template <typename F, bool Ftz>
struct dressed {
  template <typename... T>
  static auto f(T... in) {
    if constexpr (Ftz && (std::is_same_v<T, float> && ...))
      return canonical(flushed(F::f(flushed(in)...)));
    else
      return canonical(F::f(in...));
  }
};

// What the rare forms carry in op::imm: a rounding mode of the host and flags.
inline constexpr std::int64_t mode_bits = 0xffff, with_ftz = 1 << 16, with_sat = 1 << 17, with_relu = 1 << 18;

template <typename F, typename T, int Arity>
[[nodiscard]] T of_lanes(warp& w, const op& o, int l, bool ftz) {
  const auto in = [&](int i) {
    const T x = w.lanes<T>(o.s[i])[l];
    if constexpr (std::is_same_v<T, float>) return ftz ? flushed(x) : x;
    else return x;
  };
  if constexpr (Arity == 1) return F::f(in(0));
  if constexpr (Arity == 2) return F::f(in(0), in(1));
  if constexpr (Arity == 3) return F::f(in(0), in(1), in(2));
}

// .sat and the directed roundings: the host's mode is changed around the loop.
// Not inlined, and fenced, so that no operation moves across the change.
template <typename F, typename T, int Arity>
__attribute__((noinline)) void run_dressed(warp& w, const op& o, lane_mask active) {
  alignas(64) T out[warp_lanes];
  const int before = std::fegetround();
  std::fesetround(static_cast<int>(o.imm & mode_bits));
  for (int l = 0; l < warp_lanes; ++l) out[l] = of_lanes<F, T, Arity>(w, o, l, o.imm & with_ftz);
  asm volatile("" : : "r"(out) : "memory");
  std::fesetround(before);
  for (auto& x : out) {
    if constexpr (std::is_same_v<T, float>) {
      if (o.imm & with_ftz) x = flushed(x);
      if (o.imm & with_sat) x = saturated(x);
    }
    x = canonical(x);
  }
  keep(w, o.d[0], out, active);
}

// A row for F with its sources, whatever runs it.
template <typename F, typename T, int Arity>
void make_of(decoding& d) {
  if constexpr (Arity == 1) make1<F, T, T>(d);
  if constexpr (Arity == 2) make2<F, T, T, T>(d);
  if constexpr (Arity == 3) make3<F, T, T, T, T>(d);
}

template <typename F, int Arity>
bool make_float(decoding& d, type t) {
  if (t != type::f32 && t != type::f64) return false;
  int mode = FE_TONEAREST;
  if (d.take("rz")) mode = FE_TOWARDZERO;
  else if (d.take("rm")) mode = FE_DOWNWARD;
  else if (d.take("rp")) mode = FE_UPWARD;
  else d.take("rn");
  if (t == type::f64) {
    make_of<dressed<F, false>, double, Arity>(d);
    if (d.o.run && mode != FE_TONEAREST) d.o.run = &run_dressed<F, double, Arity>;
    d.o.imm = mode;
    return true;
  }
  const bool ftz = d.take("ftz"), sat = d.take("sat");
  ftz ? make_of<dressed<F, true>, float, Arity>(d) : make_of<dressed<F, false>, float, Arity>(d);
  if (d.o.run && (sat || mode != FE_TONEAREST)) d.o.run = &run_dressed<F, float, Arity>;
  d.o.imm = mode | (ftz ? with_ftz : 0) | (sat ? with_sat : 0);
  return true;
}

// ---- 16-bit types -----------------------------------------------------------

struct half_kind {
  static double to(std::uint16_t b) { return half_to_float(b); }
  static std::uint16_t from(double x) { return x != x ? 0x7fff : double_to_half(x); }
};
struct bfloat_kind {
  static double to(std::uint16_t b) { return bfloat_to_float(b); }
  static std::uint16_t from(double x) { return x != x ? 0x7fff : double_to_bfloat(x); }
};

// a + b rounded to odd: exact, or with a last bit that says it was not.
[[nodiscard]] inline double sum_to_odd(double a, double b) noexcept {
  const double s = a + b;
  if (!std::isfinite(s)) return s;
  const double t = s - a;
  const double lost = (a - (s - t)) + (b - t);
  if (lost == 0) return s;
  auto bits = std::bit_cast<std::uint64_t>(s);
  if (bits & 1u) return s;
  // s is even and inexact: step one towards the lost part.
  return std::bit_cast<double>((lost > 0) == (s > 0) ? bits + 1 : bits - 1);
}

struct h_add { static double f(double a, double b) { return sum_to_odd(a, b); } };
struct h_sub { static double f(double a, double b) { return sum_to_odd(a, -b); } };
struct h_mul { static double f(double a, double b) { return a * b; } };  // exact
struct h_fma { static double f(double a, double b, double c) { return sum_to_odd(a * b, c); } };
struct h_ex2 { static double f(double a) { return approximate::ex2(static_cast<float>(a)); } };
struct h_tanh { static double f(double a) { return approximate::tanh(static_cast<float>(a)); } };

template <typename F, typename Kind>
struct half_lane {
  template <typename... T>
  static std::uint16_t f(T... b) {
    return Kind::from(F::f(Kind::to(b)...));
  }
};

// The same on both halves of a 32-bit register.
template <typename Lane>
struct both_halves {
  template <typename... T>
  static std::uint32_t f(T... b) {
    const auto lo = Lane::f(static_cast<std::uint16_t>(b)...);
    const auto hi = Lane::f(static_cast<std::uint16_t>(b >> 16)...);
    return lo | (static_cast<std::uint32_t>(hi) << 16);
  }
};

template <typename Kind>
[[nodiscard]] std::uint16_t flushed_half(std::uint16_t b) noexcept {
  constexpr std::uint16_t exponent = std::is_same_v<Kind, half_kind> ? 0x7c00 : 0x7f80;
  return static_cast<std::uint16_t>(b & (b & exponent ? 0xffffu : 0x8000u));
}

template <typename Kind>
[[nodiscard]] std::uint16_t dressed_half(std::uint16_t b, std::int64_t how) noexcept {
  constexpr std::uint16_t infinity = std::is_same_v<Kind, half_kind> ? 0x7c00 : 0x7f80;
  constexpr std::uint16_t one = std::is_same_v<Kind, half_kind> ? 0x3c00 : 0x3f80;
  const bool nan = (b & 0x7fff) > infinity;
  if (how & with_ftz) b = flushed_half<Kind>(b);
  // As max(result, +0) would have it: -0 becomes +0, NaN stays.
  if ((how & with_relu) && !nan && (b & 0x8000)) b = 0;
  if (how & with_sat) b = nan || (b & 0x8000) ? 0 : std::min(b, one);
  return b;
}

template <typename F, typename Kind, bool Packed, int Arity>
__attribute__((noinline)) void run_dressed_half(warp& w, const op& o, lane_mask active) {
  using T = std::conditional_t<Packed, std::uint32_t, std::uint16_t>;
  alignas(64) T out[warp_lanes] = {};
  for (int half = 0; half < (Packed ? 2 : 1); ++half)
    for (int l = 0; l < warp_lanes; ++l) {
      const auto in = [&](int i) {
        const auto b = static_cast<std::uint16_t>(w.lanes<T>(o.s[i])[l] >> (16 * half));
        return o.imm & with_ftz ? flushed_half<Kind>(b) : b;
      };
      std::uint16_t r = 0;
      if constexpr (Arity == 1) r = half_lane<F, Kind>::f(in(0));
      if constexpr (Arity == 2) r = half_lane<F, Kind>::f(in(0), in(1));
      if constexpr (Arity == 3) r = half_lane<F, Kind>::f(in(0), in(1), in(2));
      out[l] = static_cast<T>(out[l] | (static_cast<T>(dressed_half<Kind>(r, o.imm)) << (16 * half)));
    }
  keep(w, o.d[0], out, active);
}

template <int Arity>
void taint_halves(warp& w, const op& o, lane_mask active) {
  std::uint32_t bits[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) {
    std::uint32_t u = 0;
    for (int i = 0; i < Arity; ++i) u |= w.shades<std::uint32_t>(o.s[i])[l];
    bits[l] = ((u & 0xffffu) ? 0xffffu : 0u) | ((u >> 16) ? 0xffff0000u : 0u);
  }
  shade_lanes(w, o.d[0], bits, active);
}

// `may`: the modifiers that the instruction has for these types.
template <typename F, int Arity>
bool make_half(decoding& d, type t, std::int64_t may) {
  const bool packed = t == type::f16x2 || t == type::bf16x2;
  const bool half = t == type::f16 || t == type::f16x2;
  if (!packed && t != type::f16 && t != type::bf16) return false;
  d.ignore("rn");
  if ((may & with_ftz) && d.take("ftz")) d.o.imm |= with_ftz;
  if ((may & with_sat) && d.take("sat")) d.o.imm |= with_sat;
  if ((may & with_relu) && d.take("relu")) d.o.imm |= with_relu;
  if (!half && (d.o.imm & with_sat)) d.refuse(".sat of bf16");
  if (!half && (d.o.imm & with_ftz) && Arity > 1) d.refuse(".ftz of bf16");
  const auto shape = [&](auto kind) {
    using K = decltype(kind);
    using L = half_lane<F, K>;
    packed ? make_of<both_halves<L>, std::uint32_t, Arity>(d) : make_of<L, std::uint16_t, Arity>(d);
    if (!d.o.run) return;
    if (packed) d.o.taint = &taint_halves<Arity>;
    if (d.o.imm) d.o.run = packed ? &run_dressed_half<F, K, true, Arity> : &run_dressed_half<F, K, false, Arity>;
  };
  half ? shape(half_kind{}) : shape(bfloat_kind{});
  return true;
}

// Sign operations on the bits, so that NaN keeps its payload.
template <typename T, T Clear, T Flip>
struct sign_bits { static T f(T a) { return static_cast<T>((a & static_cast<T>(~Clear)) ^ Flip); } };

template <typename T, T Bits>
void make_sign(decoding& d, bool absolute) {
  absolute ? make1<sign_bits<T, Bits, 0>, T, T, true>(d) : make1<sign_bits<T, 0, Bits>, T, T, true>(d);
  if (d.o.run && sizeof(T) == 4) d.o.taint = &taint_halves<1>;
}

// .ftz is for f16 alone; a NaN becomes the canonical one there.
inline bool make_half_sign(decoding& d, type t, bool absolute) {
  if ((t == type::f16 || t == type::f16x2) && d.take("ftz")) {
    d.o.imm = with_ftz;
    const bool packed = t == type::f16x2;
    packed ? make_sign<std::uint32_t, 0x80008000u>(d, absolute) : make_sign<std::uint16_t, 0x8000>(d, absolute);
    if (!d.o.run) return true;
    if (absolute) d.o.run = packed ? &run_dressed_half<fp_abs, half_kind, true, 1> : &run_dressed_half<fp_abs, half_kind, false, 1>;
    else d.o.run = packed ? &run_dressed_half<fp_neg, half_kind, true, 1> : &run_dressed_half<fp_neg, half_kind, false, 1>;
    return true;
  }
  switch (t) {
    case type::f16: case type::bf16: make_sign<std::uint16_t, 0x8000>(d, absolute); return true;
    case type::f16x2: case type::bf16x2: make_sign<std::uint32_t, 0x80008000u>(d, absolute); return true;
    default: return false;
  }
}

// .xorsign.abs: the choice between the sizes, with the product of the signs; a
// NaN has none.
template <typename F>
struct xorsign {
  template <typename T> static T f(T a, T b) {
    const T x = F::f(std::abs(a), std::abs(b));
    return x != x ? x : std::signbit(a) != std::signbit(b) ? -x : x;
  }
};
template <typename F>
void make_xorsign(decoding& d, type t) {
  if (t == type::f64) return d.refuse(".xorsign.abs of f64");
  if (t <= type::bf16x2) {
    make_half<xorsign<F>, 2>(d, t, t <= type::f16x2 ? with_ftz : 0);
    return;
  }
  d.take("ftz") ? make2<dressed<xorsign<F>, true>, float, float, float>(d) : make2<dressed<xorsign<F>, false>, float, float, float>(d);
}

// min and max choose one of their inputs.
template <typename F>
bool make_choice(decoding& d, type t) {
  if (t < type::f16 || t > type::f64) return false;
  const bool nan = d.take("NaN");
  if (d.take("xorsign")) {
    if (!d.take("abs")) d.refuse(".xorsign without .abs");
    else nan ? make_xorsign<nan_wins<F>>(d, t) : make_xorsign<F>(d, t);
    return true;
  }
  if (t <= type::bf16x2) {
    const std::int64_t may = t <= type::f16x2 ? with_ftz : 0;
    return nan ? make_half<nan_wins<F>, 2>(d, t, may) : make_half<F, 2>(d, t, may);
  }
  if (t == type::f64) {
    if (nan) d.refuse(".NaN of f64");
    else make2<F, double, double, double>(d);
    return true;
  }
  const bool ftz = d.take("ftz");
  if (nan) ftz ? make2<dressed<nan_wins<F>, true>, float, float, float>(d) : make2<dressed<nan_wins<F>, false>, float, float, float>(d);
  else ftz ? make2<dressed<F, true>, float, float, float>(d) : make2<dressed<F, false>, float, float, float>(d);
  return true;
}

template <template <typename> class I, typename FloatOp, typename HalfOp>
void make_sum(decoding& d) {
  const type t = d.take_type();
  if (make_float<FloatOp, 2>(d, t) || make_half<HalfOp, 2>(d, t, with_ftz | with_sat)) return;
  if (t == type::u16x2 || t == type::s16x2) {
    using u = std::uint32_t;
    make2<on_halves<typename I<std::uint16_t>::plain, std::uint16_t>, u, u, u>(d);
    if (d.o.run) d.o.taint = &taint_halves<2>;
    if (d.in.opcode == "sub") d.refuse("this type");
    return;
  }
  const bool sat = d.take("sat");
  if (sat && t != type::s32) return d.refuse(".sat of this type");
  if (sat) return make2<typename I<std::int32_t>::sat, std::int32_t, std::int32_t, std::int32_t>(d);
  if (!with_integer(t, [&](auto zero) {
        using T = raw<decltype(zero)>;
        make2<typename I<T>::plain, T, T, T>(d);
      })) d.refuse("this type");
}
template <typename T> struct int_add { using plain = typename integer<T>::add; using sat = typename integer<T>::add_sat; };
template <typename T> struct int_sub { using plain = typename integer<T>::sub; using sat = typename integer<T>::sub_sat; };

template <typename F>
void make_approximate(decoding& d) {
  if (!d.take("approx")) return d.refuse("the exact form");
  const bool ftz = d.take("ftz");
  if (d.take_type() != type::f32) return d.refuse("this type");
  ftz ? make1<dressed<F, true>, float, float>(d) : make1<dressed<F, false>, float, float>(d);
}

// min and max of pairs of 16 bits, and with .relu.
template <typename Word, typename Half, typename UnsignedHalf>
bool make_integer_choice(decoding& d, type t) {
  using u = std::uint32_t;
  const bool relu = d.take("relu");
  const auto pair = [&](auto f, auto half) {
    make2<on_halves<decltype(f), decltype(half)>, u, u, u>(d);
    if (d.o.run) d.o.taint = &taint_halves<2>;
    return true;
  };
  if (t == type::u16x2 && !relu) return pair(UnsignedHalf{}, std::uint16_t{});
  if (t == type::s16x2) return relu ? pair(not_negative<Half>{}, std::int16_t{}) : pair(Half{}, std::int16_t{});
  if (!relu) return false;
  if (t != type::s32) d.refuse(".relu of this type");
  else make2<not_negative<Word>, std::int32_t, std::int32_t, std::int32_t>(d);
  return true;
}

inline void add_arithmetic_rows(instruction_table& table) {
  table["add"] = &make_sum<int_add, fp_add, h_add>;
  table["sub"] = &make_sum<int_sub, fp_sub, h_sub>;
  table["mul"] = [](decoding& d) {
    for (const auto& m : d.in.modifiers) {
      const type t = type_named(m);
      if (t == type::none || is_integer(t)) continue;
      const type same = d.take_type();
      if (!make_float<fp_mul, 2>(d, same) && !make_half<h_mul, 2>(d, same, with_ftz | with_sat)) d.refuse("this type");
      return;
    }
    make_product(d, false);
  };
  table["fma"] = [](decoding& d) {
    const type t = d.take_type();
    if (d.has("oob")) return d.refuse("the document does not say which NaN the copy engine's fill is");
    if (!make_float<fp_fma, 3>(d, t) && !make_half<h_fma, 3>(d, t, with_ftz | with_sat | with_relu)) d.refuse("this type");
  };
  table["mad"] = [](decoding& d) {
    for (const auto& m : d.in.modifiers)
      if (m == "f32" || m == "f64") {
        make_float<fp_fma, 3>(d, d.take_type());
        return;
      }
    make_product(d, true);
  };
  table["div"] = [](decoding& d) {
    const bool approx = d.take("approx"), full = d.take("full");
    const type t = d.take_type();
    if (approx || full) {
      // The exact quotient is within what .full promises, over its whole range.
      const bool ftz = d.take("ftz");
      if (t != type::f32) return d.refuse("this type");
      if (full) return ftz ? make2<dressed<fp_div, true>, float, float, float>(d) : make2<dressed<fp_div, false>, float, float, float>(d);
      return ftz ? make2<dressed<ap_div, true>, float, float, float>(d) : make2<dressed<ap_div, false>, float, float, float>(d);
    }
    if (make_float<fp_div, 2>(d, t)) return;
    if (is_bits(t) || !with_integer(t, [&](auto zero) {
          using T = decltype(zero);
          make2<typename integer<T>::div, T, T, T>(d);
        })) d.refuse("this type");
  };
  table["rcp"] = [](decoding& d) {
    const bool approx = d.take("approx");
    const type t = d.take_type();
    if (approx && t == type::f64) return d.take("ftz") ? make1<ap_rcp_f64, double, double>(d) : d.refuse("this form");
    if (!make_float<fp_rcp, 1>(d, t)) d.refuse("this type");
  };
  table["sqrt"] = [](decoding& d) {
    d.take("approx");
    if (!make_float<fp_sqrt, 1>(d, d.take_type())) d.refuse("this type");
  };
  table["rsqrt"] = [](decoding& d) {
    if (!d.has("f64")) return make_approximate<ap_rsqrt>(d);
    const bool approx = d.take("approx"), ftz = d.take("ftz");
    d.take_type();
    if (!approx) return d.refuse("the exact form");
    ftz ? make1<ap_rsqrt_high, double, double>(d) : make1<ap_rsqrt_f64, double, double>(d);
  };
  table["sin"] = &make_approximate<ap_sin>;
  table["cos"] = &make_approximate<ap_cos>;
  table["lg2"] = &make_approximate<ap_lg2>;
  table["ex2"] = [](decoding& d) {
    for (const auto& m : d.in.modifiers) {
      const type t = type_named(m);
      if (t != type::none && t != type::f32) {
        if (!d.take("approx") || !make_half<h_ex2, 1>(d, d.take_type(), with_ftz)) d.refuse("this type");
        return;
      }
    }
    make_approximate<ap_ex2>(d);
  };
  table["tanh"] = [](decoding& d) {
    for (const auto& m : d.in.modifiers) {
      const type t = type_named(m);
      if (t != type::none && t != type::f32) {
        if (!d.take("approx") || !make_half<h_tanh, 1>(d, d.take_type(), 0)) d.refuse("this type");
        return;
      }
    }
    make_approximate<ap_tanh>(d);
  };
  table["neg"] = [](decoding& d) {
    const type t = d.take_type();
    if (make_half_sign(d, t, false)) return;
    if (t == type::f32) {
      d.take("ftz") ? make1<dressed<fp_neg, true>, float, float>(d) : make1<fp_neg, float, float>(d);
    } else if (t == type::f64) {
      make1<fp_neg, double, double>(d);
    } else if (!is_signed(t) || !with_integer(t, [&](auto zero) {
                 using T = decltype(zero);
                 make1<typename integer<T>::neg, T, T>(d);
               })) {
      d.refuse("this type");
    }
  };
  table["abs"] = [](decoding& d) {
    const type t = d.take_type();
    if (make_half_sign(d, t, true)) return;
    if (t == type::f32) {
      d.take("ftz") ? make1<dressed<fp_abs, true>, float, float>(d) : make1<fp_abs, float, float>(d);
    } else if (t == type::f64) {
      make1<fp_abs, double, double>(d);
    } else if (!is_signed(t) || !with_integer(t, [&](auto zero) {
                 using T = decltype(zero);
                 make1<typename integer<T>::abs, T, T>(d);
               })) {
      d.refuse("this type");
    }
  };
  table["min"] = [](decoding& d) {
    const type t = d.take_type();
    if (make_choice<fp_min>(d, t)) return;
    if (make_integer_choice<integer<std::int32_t>::min, integer<std::int16_t>::min, integer<std::uint16_t>::min>(d, t)) return;
    if (is_bits(t) || !with_integer(t, [&](auto zero) {
          using T = decltype(zero);
          make2<typename integer<T>::min, T, T, T>(d);
        })) d.refuse("this type");
  };
  table["max"] = [](decoding& d) {
    const type t = d.take_type();
    if (make_choice<fp_max>(d, t)) return;
    if (make_integer_choice<integer<std::int32_t>::max, integer<std::int16_t>::max, integer<std::uint16_t>::max>(d, t)) return;
    if (is_bits(t) || !with_integer(t, [&](auto zero) {
          using T = decltype(zero);
          make2<typename integer<T>::max, T, T, T>(d);
        })) d.refuse("this type");
  };
  table["copysign"] = [](decoding& d) {
    const type t = d.take_type();
    if (t == type::f32) make2<fp_copysign, float, float, float>(d);
    else if (t == type::f64) make2<fp_copysign, double, double, double>(d);
    else d.refuse("this type");
  };
}

}  // namespace skillbench::ptx::ops
