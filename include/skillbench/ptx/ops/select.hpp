#pragma once
// ptx/ops/select.hpp: comparisons, selections and moves.
//
// Layer   3.
// Source  PTX ISA 9.0, "Comparison and Selection Instructions", "Data Movement
//         and Conversion Instructions: mov, cvta, isspacep".

#include <cmath>
#include <cstdint>
#include <string_view>

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/ops/arithmetic.hpp>

namespace skillbench::ptx::ops {

// Ordered comparisons are false, unordered ones true when an input is NaN.
struct eq { template <typename T> static bool f(T a, T b) { return a == b; } };
struct ne { template <typename T> static bool f(T a, T b) { return (a < b) || (b < a); } };
struct lt { template <typename T> static bool f(T a, T b) { return a < b; } };
struct le { template <typename T> static bool f(T a, T b) { return a <= b; } };
struct gt { template <typename T> static bool f(T a, T b) { return a > b; } };
struct ge { template <typename T> static bool f(T a, T b) { return a >= b; } };
template <typename F>
struct or_nan { template <typename T> static bool f(T a, T b) { return a != a || b != b || F::f(a, b); } };
struct num { template <typename T> static bool f(T a, T b) { return a == a && b == b; } };
struct nan { template <typename T> static bool f(T a, T b) { return a != a || b != b; } };

// How the comparison meets a third, predicate operand: in op::imm.
enum boolean : std::int64_t { alone = 0, with_and = 1, with_or = 2, with_xor = 3, third_negated = 4 };

inline void store_compared(warp& w, const op& o, lane_mask compared, lane_mask active) {
  const auto meet = [&](lane_mask c) {
    if ((o.imm & 3) == alone) return c;
    const lane_mask third = (o.imm & third_negated) ? ~w.predicate(o.s[2]) : w.predicate(o.s[2]);
    if ((o.imm & 3) == with_and) return c & third;
    if ((o.imm & 3) == with_or) return c | third;
    return c ^ third;
  };
  const lane_mask p = meet(compared), q = meet(~compared);
  lane_mask& d = w.predicate(o.d[0]);
  d = (d & ~active) | (p & active);
  if (o.targets > 1) {
    lane_mask& e = w.predicate(o.d[1]);
    e = (e & ~active) | (q & active);
  }
}

template <typename F, typename T, bool Ftz>
void run_setp(warp& w, const op& o, lane_mask active) {
  const T* a = w.lanes<T>(o.s[0]);
  const T* b = w.lanes<T>(o.s[1]);
  alignas(32) std::uint8_t hit[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) {
    if constexpr (Ftz && std::is_same_v<T, float>)
      hit[l] = F::f(flushed(a[l]), flushed(b[l]));
    else
      hit[l] = F::f(a[l], b[l]);
  }
  lane_mask out = 0;
  for (int l = 0; l < warp_lanes; ++l) out |= static_cast<lane_mask>(hit[l]) << l;
  store_compared(w, o, out, active);
}

template <typename T>
void taint_setp(warp& w, const op& o, lane_mask active) {
  lane_mask bad = lane_taint<bits_of_size<sizeof(T)>>(w, o.s[0]) | lane_taint<bits_of_size<sizeof(T)>>(w, o.s[1]);
  if ((o.imm & 3) != alone) {
    const lane_mask third = (o.imm & third_negated) ? ~w.predicate(o.s[2]) : w.predicate(o.s[2]);
    const lane_mask third_bad = predicate_taint(w, o.s[2]);
    // A defined third operand that decides alone hides an undefined comparison.
    if ((o.imm & 3) == with_and) bad &= third | third_bad;
    if ((o.imm & 3) == with_or) bad &= ~third | third_bad;
    bad |= third_bad;
  }
  shade_predicate(w, o.d[0], bad, active);
  if (o.targets > 1) shade_predicate(w, o.d[1], bad, active);
}

// 16-bit floats compare by way of float, exactly.
template <typename F, typename Kind>
struct half_compare { static bool f(std::uint16_t a, std::uint16_t b) { return F::f(Kind::to(a), Kind::to(b)); } };

template <typename F, bool Unsigned = false>
void setp_typed(decoding& d, type t) {
  const bool ftz = d.take("ftz");
  const auto form = [&](auto zero, handler run) {
    d.does(run, &taint_setp<decltype(zero)>);
  };
  switch (t) {
    case type::f32:
      form(float{}, ftz ? &run_setp<F, float, true> : &run_setp<F, float, false>);
      return;
    case type::f64: form(double{}, &run_setp<F, double, false>); return;
    case type::f16: form(std::uint16_t{}, &run_setp<half_compare<F, half_kind>, std::uint16_t, false>); return;
    case type::bf16: form(std::uint16_t{}, &run_setp<half_compare<F, bfloat_kind>, std::uint16_t, false>); return;
    default: break;
  }
  if (!with_integer(t, [&](auto zero) {
        using T = std::conditional_t<Unsigned, raw<decltype(zero)>, decltype(zero)>;
        form(T{}, &run_setp<F, T, false>);
      })) d.refuse("this type");
}

// Calls `use` with the comparison named by the modifiers.
template <typename Use>
bool with_comparison(decoding& d, Use&& use) {
  if (d.take("eq")) use(eq{}, false);
  else if (d.take("ne")) use(ne{}, false);
  else if (d.take("lt")) use(lt{}, false);
  else if (d.take("le")) use(le{}, false);
  else if (d.take("gt")) use(gt{}, false);
  else if (d.take("ge")) use(ge{}, false);
  else if (d.take("lo")) use(lt{}, true);
  else if (d.take("ls")) use(le{}, true);
  else if (d.take("hi")) use(gt{}, true);
  else if (d.take("hs")) use(ge{}, true);
  else if (d.take("equ")) use(or_nan<eq>{}, false);
  else if (d.take("neu")) use(or_nan<ne>{}, false);
  else if (d.take("ltu")) use(or_nan<lt>{}, false);
  else if (d.take("leu")) use(or_nan<le>{}, false);
  else if (d.take("gtu")) use(or_nan<gt>{}, false);
  else if (d.take("geu")) use(or_nan<ge>{}, false);
  else if (d.take("num")) use(num{}, false);
  else if (d.take("nan")) use(nan{}, false);
  else return false;
  return true;
}

inline void make_setp(decoding& d) {
  if (d.count() != 3 && d.count() != 4) return d.refuse("this operand count");
  if (d.take("and")) d.o.imm = with_and;
  else if (d.take("or")) d.o.imm = with_or;
  else if (d.take("xor")) d.o.imm = with_xor;
  if ((d.o.imm != alone) != (d.count() == 4)) return d.refuse("this operand count");
  const auto& out = d.in.operands[0];
  d.target_of(out, 0);
  if (!out.pair.empty()) d.target_of(out.pair[0], 0);
  type t = type::none;
  for (const auto& m : d.in.modifiers)
    if (type_named(m) != type::none) t = type_named(m);
  if (t == type::f16x2 || t == type::bf16x2) return d.refuse("packed comparison");
  d.source(1, width_of(t));
  d.source(2, width_of(t));
  if (d.count() == 4) {
    d.source(3, 0);
    if (d.in.operands[3].negated) d.o.imm |= third_negated;
  }
  if (!with_comparison(d, [&](auto compare, bool as_unsigned) {
        d.take_type();
        as_unsigned ? setp_typed<decltype(compare), true>(d, t) : setp_typed<decltype(compare), false>(d, t);
      })) d.refuse("this comparison");
}

// set: all ones (or 1.0) where the comparison holds. Packed 16-bit forms too.
template <typename F, typename Kind, bool Packed, bool Ones>
struct set_half {
  static constexpr std::uint16_t one = std::is_same_v<Kind, half_kind> ? 0x3c00 : 0x3f80;
  static std::uint16_t lane(std::uint16_t a, std::uint16_t b) {
    return F::f(Kind::to(a), Kind::to(b)) ? (Ones ? 0xffff : one) : 0;
  }
  static std::uint32_t f(std::uint32_t a, std::uint32_t b) {
    const auto lo = lane(static_cast<std::uint16_t>(a), static_cast<std::uint16_t>(b));
    if (!Packed) return lo;
    return lo | (static_cast<std::uint32_t>(lane(static_cast<std::uint16_t>(a >> 16), static_cast<std::uint16_t>(b >> 16))) << 16);
  }
};

inline void make_set(decoding& d) {
  if (!d.want(3)) return;
  const bool known = with_comparison(d, [&](auto compare, bool) {
    using F = decltype(compare);
    d.take("ftz");
    const type to = d.take_type(), from = d.take_type();
    const bool half = from == type::f16x2;
    if (from == type::f16x2 || from == type::bf16x2) {
      const bool ones = is_integer(to);
      if (!ones && to != from) return d.refuse("this pair of types");
      d.target(0, 4);
      d.source(1, 4);
      d.source(2, 4);
      using u = std::uint32_t;
      d.does(half ? (ones ? &run2<set_half<F, half_kind, true, true>, u, u, u> : &run2<set_half<F, half_kind, true, false>, u, u, u>)
                  : (ones ? &run2<set_half<F, bfloat_kind, true, true>, u, u, u> : &run2<set_half<F, bfloat_kind, true, false>, u, u, u>),
             &taint_halves<2>);
      return;
    }
    if ((to == type::u32 || to == type::s32) && from == type::f32) {
      struct ones_f32 { static std::uint32_t f(float a, float b) { return F::f(a, b) ? 0xffffffffu : 0u; } };
      return make2<ones_f32, std::uint32_t, float, float>(d);
    }
    if ((to == type::u32 || to == type::s32) && (from == type::u32 || from == type::b32)) {
      struct ones_u32 { static std::uint32_t f(std::uint32_t a, std::uint32_t b) { return F::f(a, b) ? 0xffffffffu : 0u; } };
      return make2<ones_u32, std::uint32_t, std::uint32_t, std::uint32_t>(d);
    }
    if ((to == type::u32 || to == type::s32) && from == type::s32) {
      struct ones_s32 { static std::uint32_t f(std::int32_t a, std::int32_t b) { return F::f(a, b) ? 0xffffffffu : 0u; } };
      return make2<ones_s32, std::uint32_t, std::int32_t, std::int32_t>(d);
    }
    d.refuse("this pair of types");
  });
  if (!known) d.refuse("this comparison");
}

template <typename T>
void run_selp(warp& w, const op& o, lane_mask active) {
  alignas(64) T out[warp_lanes];
  const T* a = w.lanes<T>(o.s[0]);
  const T* b = w.lanes<T>(o.s[1]);
  const lane_mask p = o.imm ? ~w.predicate(o.s[2]) : w.predicate(o.s[2]);
  std::memcpy(out, b, sizeof out);
  blend(out, a, p);
  keep(w, o.d[0], out, active);
}
template <typename T>
void taint_selp(warp& w, const op& o, lane_mask active) {
  T bits[warp_lanes];
  const lane_mask p = o.imm ? ~w.predicate(o.s[2]) : w.predicate(o.s[2]);
  const lane_mask bad = predicate_taint(w, o.s[2]);
  for (int l = 0; l < warp_lanes; ++l)
    bits[l] = (bad >> l) & 1u ? static_cast<T>(~T{0}) : (p >> l) & 1u ? w.shades<T>(o.s[0])[l] : w.shades<T>(o.s[1])[l];
  shade_lanes(w, o.d[0], bits, active);
}

inline void make_selp(decoding& d) {
  if (!d.want(4)) return;
  const type t = d.take_type();
  const std::uint8_t width = width_of(t);
  d.target(0, width);
  d.source(1, width);
  d.source(2, width);
  d.source(3, 0);
  d.o.imm = d.in.operands[3].negated;
  if (width == 2) d.does(&run_selp<std::uint16_t>, &taint_selp<std::uint16_t>);
  else if (width == 4) d.does(&run_selp<std::uint32_t>, &taint_selp<std::uint32_t>);
  else if (width == 8) d.does(&run_selp<std::uint64_t>, &taint_selp<std::uint64_t>);
  else d.refuse("this type");
}

// ---- mov --------------------------------------------------------------------

template <typename T>
void run_mov(warp& w, const op& o, lane_mask active) {
  if (active == every_lane)
    std::memmove(w.lanes<T>(o.d[0]), w.lanes<T>(o.s[0]), sizeof(T) * warp_lanes);
  else
    blend(w.lanes<T>(o.d[0]), w.lanes<T>(o.s[0]), active);
}
template <typename T>
void taint_mov(warp& w, const op& o, lane_mask active) {
  T bits[warp_lanes];
  std::memcpy(bits, w.shades<T>(o.s[0]), sizeof bits);
  shade_lanes(w, o.d[0], bits, active);
}
inline void run_mov_predicate(warp& w, const op& o, lane_mask active) {
  const lane_mask from = o.imm ? ~w.predicate(o.s[0]) : w.predicate(o.s[0]);
  lane_mask& d = w.predicate(o.d[0]);
  d = (d & ~active) | (from & active);
}
inline void taint_mov_predicate(warp& w, const op& o, lane_mask active) {
  shade_predicate(w, o.d[0], predicate_taint(w, o.s[0]), active);
}

// {a, b, ...} -> d: `Part` is the lane type of a source, `Whole` of the target.
template <typename Whole, typename Part>
void run_pack(warp& w, const op& o, lane_mask active) {
  constexpr int n = sizeof(Whole) / sizeof(Part);
  alignas(64) Whole out[warp_lanes] = {};
  for (int i = 0; i < n; ++i) {
    const Part* from = w.lanes<Part>(o.s[i]);
    for (int l = 0; l < warp_lanes; ++l)
      out[l] = static_cast<Whole>(out[l] | (static_cast<Whole>(from[l]) << (8 * sizeof(Part) * static_cast<unsigned>(i))));
  }
  keep(w, o.d[0], out, active);
}
template <typename Whole, typename Part>
void taint_pack(warp& w, const op& o, lane_mask active) {
  constexpr int n = sizeof(Whole) / sizeof(Part);
  Whole out[warp_lanes] = {};
  for (int i = 0; i < n; ++i)
    for (int l = 0; l < warp_lanes; ++l)
      out[l] = static_cast<Whole>(out[l] | (static_cast<Whole>(w.shades<Part>(o.s[i])[l]) << (8 * sizeof(Part) * static_cast<unsigned>(i))));
  shade_lanes(w, o.d[0], out, active);
}
// d -> {a, b, ...}; a discarded part has the bit of its index in op::imm.
template <typename Whole, typename Part>
void run_unpack(warp& w, const op& o, lane_mask active) {
  constexpr int n = sizeof(Whole) / sizeof(Part);
  alignas(64) Whole from[warp_lanes];
  std::memcpy(from, w.lanes<Whole>(o.s[0]), sizeof from);
  for (int i = 0; i < n; ++i) {
    if ((o.imm >> i) & 1) continue;
    alignas(64) Part out[warp_lanes];
    for (int l = 0; l < warp_lanes; ++l)
      out[l] = static_cast<Part>(from[l] >> (8 * sizeof(Part) * static_cast<unsigned>(i)));
    keep(w, o.d[i], out, active);
  }
}
template <typename Whole, typename Part>
void taint_unpack(warp& w, const op& o, lane_mask active) {
  constexpr int n = sizeof(Whole) / sizeof(Part);
  Whole from[warp_lanes];
  std::memcpy(from, w.shades<Whole>(o.s[0]), sizeof from);
  for (int i = 0; i < n; ++i) {
    if ((o.imm >> i) & 1) continue;
    Part out[warp_lanes];
    for (int l = 0; l < warp_lanes; ++l)
      out[l] = static_cast<Part>(from[l] >> (8 * sizeof(Part) * static_cast<unsigned>(i)));
    shade_lanes(w, o.d[i], out, active);
  }
}

inline void make_pack(decoding& d, std::uint8_t whole) {
  const auto& parts = d.in.operands[1].parts;
  const auto part = static_cast<std::uint8_t>(whole / parts.size());
  d.target(0, whole);
  for (const auto& p : parts) d.source_of(p, part);
  if (whole == 4 && part == 2) d.does(&run_pack<std::uint32_t, std::uint16_t>, &taint_pack<std::uint32_t, std::uint16_t>);
  else if (whole == 8 && part == 4) d.does(&run_pack<std::uint64_t, std::uint32_t>, &taint_pack<std::uint64_t, std::uint32_t>);
  else if (whole == 8 && part == 2) d.does(&run_pack<std::uint64_t, std::uint16_t>, &taint_pack<std::uint64_t, std::uint16_t>);
  else d.refuse("packing of this width");
}

inline void make_unpack(decoding& d, std::uint8_t whole) {
  const auto& parts = d.in.operands[0].parts;
  const auto part = static_cast<std::uint8_t>(whole / parts.size());
  d.source(1, whole);
  for (std::size_t i = 0; i < parts.size() && i < 4; ++i) {
    if (parts[i].kind == operand::type::discard) {
      d.o.imm |= std::int64_t{1} << i;
      ++d.o.targets;
    } else {
      d.target_of(parts[i], part);
    }
  }
  if (whole == 4 && part == 2) d.does(&run_unpack<std::uint32_t, std::uint16_t>, &taint_unpack<std::uint32_t, std::uint16_t>);
  else if (whole == 8 && part == 4) d.does(&run_unpack<std::uint64_t, std::uint32_t>, &taint_unpack<std::uint64_t, std::uint32_t>);
  else if (whole == 8 && part == 2) d.does(&run_unpack<std::uint64_t, std::uint16_t>, &taint_unpack<std::uint64_t, std::uint16_t>);
  else d.refuse("unpacking of this width");
}

inline void make_mov_of(decoding& d, std::uint8_t width) {
  if (width == 2) d.does(&run_mov<std::uint16_t>, &taint_mov<std::uint16_t>);
  else if (width == 4) d.does(&run_mov<std::uint32_t>, &taint_mov<std::uint32_t>);
  else if (width == 8) d.does(&run_mov<std::uint64_t>, &taint_mov<std::uint64_t>);
  else d.refuse("this type");
}

// %clock and %clock64: the count of warp instructions of the launch so far.
template <typename T>
void run_clock(warp& w, const op& o, lane_mask active) {
  alignas(64) T out[warp_lanes];
  for (auto& x : out) x = static_cast<T>(w.launch->ticks);
  keep(w, o.d[0], out, active);
}

inline void make_mov(decoding& d) {
  if (!d.want(2)) return;
  const type t = d.take_type();
  const auto& to = d.in.operands[0];
  const auto& from = d.in.operands[1];
  if (t == type::pred) {
    d.target(0, 0);
    d.source(1, 0);
    d.o.imm = from.negated;
    d.does(&run_mov_predicate, &taint_mov_predicate);
    return;
  }
  const std::uint8_t width = width_of(t);
  const auto fits = [&](const operand& list) {
    return (list.parts.size() == 2 || list.parts.size() == 4) && width % list.parts.size() == 0;
  };
  if (from.kind == operand::type::list) return fits(from) ? make_pack(d, width) : d.refuse("this list");
  if (to.kind == operand::type::list) return fits(to) ? make_unpack(d, width) : d.refuse("this list");
  d.target(0, width);
  if (from.kind == operand::type::name && (from.text == "%clock" || from.text == "%clock64" || from.text == "%globaltimer" || from.text == "%clock_hi" || from.text == "%globaltimer_lo" || from.text == "%globaltimer_hi")) {
    if (width == 8) d.does(&run_clock<std::uint64_t>, &taint_none<8>);
    else d.does(&run_clock<std::uint32_t>, &taint_none<4>);
    return;
  }
  d.source(1, width);
  make_mov_of(d, width);
}

// ---- addresses ----------------------------------------------------------------

struct to_window {
  template <std::uint64_t Window> struct add {
    static std::uint64_t f(std::uint64_t a) { return (a & (window_bytes - 1)) + Window; }
  };
  template <std::uint64_t Window> struct take {
    static std::uint64_t f(std::uint64_t a) { return a - Window; }
  };
};

inline void make_cvta(decoding& d) {
  const bool to = d.take("to");
  const bool global = d.take("global");
  const bool shared = d.take("shared") || d.take("shared::cta");
  const bool local = d.take("local");
  const bool param = d.take("param") || d.take("param::entry");
  d.take("const");  // module constants live among the global allocations
  const type t = d.take_type();
  if (t != type::u64 || !d.want(2)) return d.refuse("this form");
  if (global || !(shared || local || param)) {
    d.target(0, 8);
    d.source(1, 8);
    return make_mov_of(d, 8);
  }
  using u = std::uint64_t;
  if (shared) to ? make1<to_window::take<shared_window>, u, u>(d) : make1<to_window::add<shared_window>, u, u>(d);
  else if (local) to ? make1<to_window::take<local_window>, u, u>(d) : make1<to_window::add<local_window>, u, u>(d);
  else to ? make1<to_window::take<param_window>, u, u>(d) : make1<to_window::add<param_window>, u, u>(d);
}

template <std::uint64_t Window>
void run_isspacep(warp& w, const op& o, lane_mask active) {
  const auto* a = w.lanes<std::uint64_t>(o.s[0]);
  lane_mask out = 0;
  for (int l = 0; l < warp_lanes; ++l) {
    const bool in = Window ? a[l] >= Window && a[l] < Window + window_bytes : a[l] < shared_window;
    out |= static_cast<lane_mask>(in) << l;
  }
  lane_mask& d = w.predicate(o.d[0]);
  d = (d & ~active) | (out & active);
}

inline void make_isspacep(decoding& d) {
  if (!d.want(2)) return;
  d.target(0, 0);
  d.source(1, 8);
  const auto taint = &taint_whole<0, 8>;
  if (d.take("global") || d.take("const")) d.does(&run_isspacep<0>, taint);
  else if (d.take("shared") || d.take("shared::cta")) d.does(&run_isspacep<shared_window>, taint);
  else if (d.take("local")) d.does(&run_isspacep<local_window>, taint);
  else if (d.take("param") || d.take("param::entry")) d.does(&run_isspacep<param_window>, taint);
  else d.refuse("this space");
}

// ---- testp --------------------------------------------------------------------

template <int Kind>  // finite infinite number notanumber normal subnormal
void run_testp(warp& w, const op& o, lane_mask active) {
  const float* a = w.lanes<float>(o.s[0]);
  lane_mask out = 0;
  for (int l = 0; l < warp_lanes; ++l) {
    const int c = std::fpclassify(a[l]);
    const bool hit = Kind == 0 ? c != FP_NAN && c != FP_INFINITE : Kind == 1 ? c == FP_INFINITE
                   : Kind == 2 ? c != FP_NAN : Kind == 3 ? c == FP_NAN
                   : Kind == 4 ? c == FP_NORMAL : c == FP_SUBNORMAL;
    out |= static_cast<lane_mask>(hit) << l;
  }
  lane_mask& d = w.predicate(o.d[0]);
  d = (d & ~active) | (out & active);
}

inline void make_testp(decoding& d) {
  static constexpr std::string_view kinds[6] = {"finite", "infinite", "number", "notanumber", "normal", "subnormal"};
  static constexpr handler runs[6] = {&run_testp<0>, &run_testp<1>, &run_testp<2>, &run_testp<3>, &run_testp<4>, &run_testp<5>};
  int kind = -1;
  for (int i = 0; i < 6; ++i)
    if (d.take(kinds[i])) kind = i;
  if (kind < 0 || d.take_type() != type::f32 || !d.want(2)) return d.refuse("this form");
  d.target(0, 0);
  d.source(1, 4);
  d.does(runs[kind], &taint_whole<0, 4>);
}

inline void add_select_rows(instruction_table& table) {
  table["setp"] = &make_setp;
  table["set"] = &make_set;
  table["selp"] = &make_selp;
  table["mov"] = &make_mov;
  table["cvta"] = &make_cvta;
  table["isspacep"] = &make_isspacep;
  table["testp"] = &make_testp;
}

}  // namespace skillbench::ptx::ops
