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
struct ap_div { static float f(float a, float b) { return approximate::divide(a, b); } };

// F with .ftz and .sat around it.
template <typename F, bool Ftz, bool Sat>
struct dressed {
  template <typename... T>
  static auto f(T... in) {
    if constexpr ((std::is_same_v<T, float> && ...)) {
      float out = Ftz ? F::f(flushed(in)...) : F::f(in...);
      if (Ftz) out = flushed(out);
      return Sat ? saturated(out) : canonical(out);
    } else {
      return canonical(F::f(in...));
    }
  }
};

// The directed roundings are rare: the host's mode is changed around the loop.
// Not inlined, so that no operation moves across the change.
template <typename F, int Mode, typename T, int Arity>
__attribute__((noinline)) void run_directed(warp& w, const op& o, lane_mask active) {
  const int before = std::fegetround();
  std::fesetround(Mode);
  if constexpr (Arity == 1) run1<F, T, T>(w, o, active);
  if constexpr (Arity == 2) run2<F, T, T, T>(w, o, active);
  if constexpr (Arity == 3) run3<F, T, T, T, T>(w, o, active);
  std::fesetround(before);
}

template <typename F, typename T, int Arity>
void make_rounded(decoding& d, bool sat, bool ftz) {
  int mode = FE_TONEAREST;
  if (d.take("rz")) mode = FE_TOWARDZERO;
  else if (d.take("rm")) mode = FE_DOWNWARD;
  else if (d.take("rp")) mode = FE_UPWARD;
  else d.take("rn");
  const auto form = [&](auto dressing) {
    using G = decltype(dressing);
    if constexpr (Arity == 1) make1<G, T, T>(d);
    if constexpr (Arity == 2) make2<G, T, T, T>(d);
    if constexpr (Arity == 3) make3<G, T, T, T, T>(d);
    if (mode == FE_TOWARDZERO) d.o.run = &run_directed<G, FE_TOWARDZERO, T, Arity>;
    if (mode == FE_DOWNWARD) d.o.run = &run_directed<G, FE_DOWNWARD, T, Arity>;
    if (mode == FE_UPWARD) d.o.run = &run_directed<G, FE_UPWARD, T, Arity>;
  };
  if (ftz && sat) form(dressed<F, true, true>{});
  else if (ftz) form(dressed<F, true, false>{});
  else if (sat) form(dressed<F, false, true>{});
  else form(dressed<F, false, false>{});
}

template <typename F, int Arity>
bool make_float(decoding& d, type t) {
  if (t != type::f32 && t != type::f64) return false;
  const bool ftz = d.take("ftz"), sat = d.take("sat");
  if (t == type::f32) make_rounded<F, float, Arity>(d, sat, ftz);
  else if (sat) d.refuse(".sat of f64");
  else make_rounded<F, double, Arity>(d, false, false);
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

template <typename F, typename Kind, bool Ftz, bool Sat, bool Relu>
struct half_lane {
  static double in(std::uint16_t b) {
    const double x = Kind::to(b);
    return Ftz && std::abs(x) < 0x1p-14 ? std::copysign(0.0, x) : x;
  }
  template <typename... T>
  static std::uint16_t f(T... b) {
    double out = F::f(in(b)...);
    if (Ftz && std::abs(out) < 0x1p-14) out = std::copysign(0.0, out);
    if (Sat) out = out > 0 ? (out < 1 ? out : 1.0) : 0.0;
    if (Relu && out < 0) out = 0.0;
    return Kind::from(out);
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

template <typename F, int Arity>
bool make_half(decoding& d, type t) {
  const bool packed = t == type::f16x2 || t == type::bf16x2;
  const bool half = t == type::f16 || t == type::f16x2;
  if (!packed && t != type::f16 && t != type::bf16) return false;
  d.ignore("rn");
  d.take("approx");
  const bool ftz = d.take("ftz"), sat = d.take("sat"), relu = d.take("relu");
  const auto shape = [&](auto lane) {
    using L = decltype(lane);
    using W = both_halves<L>;
    using u2 = std::uint16_t;
    using u4 = std::uint32_t;
    if (packed) {
      if constexpr (Arity == 1) make1<W, u4, u4>(d);
      if constexpr (Arity == 2) make2<W, u4, u4, u4>(d);
      if constexpr (Arity == 3) make3<W, u4, u4, u4, u4>(d);
      if (d.o.run) d.o.taint = &taint_halves<Arity>;
    } else {
      if constexpr (Arity == 1) make1<L, u2, u2>(d);
      if constexpr (Arity == 2) make2<L, u2, u2, u2>(d);
      if constexpr (Arity == 3) make3<L, u2, u2, u2, u2>(d);
    }
  };
  if (half) {
    if (ftz && sat) shape(half_lane<F, half_kind, true, true, false>{});
    else if (ftz && relu) shape(half_lane<F, half_kind, true, false, true>{});
    else if (ftz) shape(half_lane<F, half_kind, true, false, false>{});
    else if (sat) shape(half_lane<F, half_kind, false, true, false>{});
    else if (relu) shape(half_lane<F, half_kind, false, false, true>{});
    else shape(half_lane<F, half_kind, false, false, false>{});
  } else {
    if (sat) d.refuse(".sat of bf16");
    // .ftz of bf16 (ex2) flushes below 2^-126, which bf16 shares with f32.
    else if (ftz) d.refuse(".ftz of bf16");
    else if (relu) shape(half_lane<F, bfloat_kind, false, false, true>{});
    else shape(half_lane<F, bfloat_kind, false, false, false>{});
  }
  return true;
}

// Sign operations on the bits, so that NaN keeps its payload.
template <typename T, T Clear, T Flip>
struct sign_bits { static T f(T a) { return static_cast<T>((a & static_cast<T>(~Clear)) ^ Flip); } };

template <typename T, T Bits>
void make_sign(decoding& d, bool absolute) {
  d.take("ftz");
  absolute ? make1<sign_bits<T, Bits, 0>, T, T, true>(d) : make1<sign_bits<T, 0, Bits>, T, T, true>(d);
  if (d.o.run && sizeof(T) == 4) d.o.taint = &taint_halves<1>;
}

inline bool make_half_sign(decoding& d, type t, bool absolute) {
  switch (t) {
    case type::f16: case type::bf16: make_sign<std::uint16_t, 0x8000>(d, absolute); return true;
    case type::f16x2: case type::bf16x2: make_sign<std::uint32_t, 0x80008000u>(d, absolute); return true;
    default: return false;
  }
}

// min and max of 16-bit types choose one of their inputs.
template <typename F>
bool make_half_choice(decoding& d, type t) {
  if (t < type::f16 || t > type::bf16x2) return false;
  if (d.take("xorsign")) { d.refuse(".xorsign.abs"); return true; }
  return d.take("NaN") ? make_half<nan_wins<F>, 2>(d, t) : make_half<F, 2>(d, t);
}

template <typename F>
bool make_float_choice(decoding& d, type t) {
  if (t != type::f32 && t != type::f64) return false;
  if (d.take("xorsign")) { d.refuse(".xorsign.abs"); return true; }
  return d.take("NaN") ? make_float<nan_wins<F>, 2>(d, t) : make_float<F, 2>(d, t);
}

template <template <typename> class I, typename FloatOp, typename HalfOp>
void make_sum(decoding& d) {
  const type t = d.take_type();
  if (make_float<FloatOp, 2>(d, t) || make_half<HalfOp, 2>(d, t)) return;
  const bool sat = d.take("sat");
  if (sat && t != type::s32) return d.refuse(".sat of this type");
  if (sat) return make2<typename I<std::int32_t>::sat, std::int32_t, std::int32_t, std::int32_t>(d);
  if (!with_integer(t, [&](auto zero) {
        using T = decltype(zero);
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
  ftz ? make1<dressed<F, true, false>, float, float>(d) : make1<dressed<F, false, false>, float, float>(d);
}

inline void add_arithmetic_rows(instruction_table& table) {
  table["add"] = &make_sum<int_add, fp_add, h_add>;
  table["sub"] = &make_sum<int_sub, fp_sub, h_sub>;
  table["mul"] = [](decoding& d) {
    for (const auto& m : d.in.modifiers) {
      const type t = type_named(m);
      if (t == type::none || is_integer(t)) continue;
      const type same = d.take_type();
      if (!make_float<fp_mul, 2>(d, same) && !make_half<h_mul, 2>(d, same)) d.refuse("this type");
      return;
    }
    make_product(d, false);
  };
  table["fma"] = [](decoding& d) {
    const type t = d.take_type();
    if (!make_float<fp_fma, 3>(d, t) && !make_half<h_fma, 3>(d, t)) d.refuse("this type");
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
      const bool ftz = d.take("ftz");
      if (t != type::f32) return d.refuse("this type");
      return ftz ? make2<dressed<ap_div, true, false>, float, float, float>(d)
                 : make2<dressed<ap_div, false, false>, float, float, float>(d);
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
    if (approx && t == type::f64) return d.refuse("rcp.approx.ftz.f64");
    if (!make_float<fp_rcp, 1>(d, t)) d.refuse("this type");
  };
  table["sqrt"] = [](decoding& d) {
    d.take("approx");
    if (!make_float<fp_sqrt, 1>(d, d.take_type())) d.refuse("this type");
  };
  table["rsqrt"] = &make_approximate<ap_rsqrt>;
  table["sin"] = &make_approximate<ap_sin>;
  table["cos"] = &make_approximate<ap_cos>;
  table["lg2"] = &make_approximate<ap_lg2>;
  table["ex2"] = [](decoding& d) {
    for (const auto& m : d.in.modifiers) {
      const type t = type_named(m);
      if (t != type::none && t != type::f32) {
        if (!make_half<h_ex2, 1>(d, d.take_type())) d.refuse("this type");
        return;
      }
    }
    make_approximate<ap_ex2>(d);
  };
  table["tanh"] = [](decoding& d) {
    for (const auto& m : d.in.modifiers) {
      const type t = type_named(m);
      if (t != type::none && t != type::f32) {
        if (!make_half<h_tanh, 1>(d, d.take_type())) d.refuse("this type");
        return;
      }
    }
    make_approximate<ap_tanh>(d);
  };
  table["neg"] = [](decoding& d) {
    const type t = d.take_type();
    if (make_half_sign(d, t, false)) return;
    if (t == type::f32) {
      d.take("ftz") ? make1<dressed<fp_neg, true, false>, float, float>(d) : make1<fp_neg, float, float>(d);
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
      d.take("ftz") ? make1<dressed<fp_abs, true, false>, float, float>(d) : make1<fp_abs, float, float>(d);
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
    if (make_float_choice<fp_min>(d, t) || make_half_choice<fp_min>(d, t)) return;
    if (is_bits(t) || !with_integer(t, [&](auto zero) {
          using T = decltype(zero);
          make2<typename integer<T>::min, T, T, T>(d);
        })) d.refuse("this type");
  };
  table["max"] = [](decoding& d) {
    const type t = d.take_type();
    if (make_float_choice<fp_max>(d, t) || make_half_choice<fp_max>(d, t)) return;
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
