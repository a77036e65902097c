#pragma once
// ptx/ops/integer.hpp: integer arithmetic, logic and shifts.
//
// Layer   3.
// Source  PTX ISA 9.0, "Integer Arithmetic Instructions", "Logic and Shift
//         Instructions", "Extended-Precision Integer Arithmetic".
// Signed arithmetic is done on unsigned values, where overflow wraps.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <type_traits>

#include <skillbench/ptx/decode.hpp>

namespace skillbench::ptx::ops {

template <typename T>
using raw = std::make_unsigned_t<T>;

template <typename T>
struct integer {
  using U = raw<T>;
  static constexpr int bits = sizeof(T) * 8;
  struct add { static T f(T a, T b) { return static_cast<T>(static_cast<U>(static_cast<U>(a) + static_cast<U>(b))); } };
  struct sub { static T f(T a, T b) { return static_cast<T>(static_cast<U>(static_cast<U>(a) - static_cast<U>(b))); } };
  struct mul_lo {
    static T f(T a, T b) {
      // 16-bit factors would be promoted to int, whose overflow is undefined.
      using W = std::conditional_t<sizeof(T) == 2, std::uint32_t, U>;
      return static_cast<T>(static_cast<W>(static_cast<U>(a)) * static_cast<W>(static_cast<U>(b)));
    }
  };
  struct mul_hi {
    static T f(T a, T b) {
      if constexpr (sizeof(T) == 8) {
        using W = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
        return static_cast<T>((static_cast<W>(a) * static_cast<W>(b)) >> 64);
      } else {
        using W = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
        return static_cast<T>((static_cast<W>(a) * static_cast<W>(b)) >> bits);
      }
    }
  };
  struct mad_lo { static T f(T a, T b, T c) { return add::f(mul_lo::f(a, b), c); } };
  struct mad_hi { static T f(T a, T b, T c) { return add::f(mul_hi::f(a, b), c); } };
  // A division by zero gives all ones, its remainder the dividend, as the
  // hardware's expansion does (the PTX document leaves both undefined).
  struct div {
    static T f(T a, T b) {
      if (b == 0) return static_cast<T>(~U{0});
      if constexpr (std::is_signed_v<T>)
        if (b == T{-1}) return sub::f(0, a);
      return static_cast<T>(a / b);
    }
  };
  struct rem {
    static T f(T a, T b) {
      if (b == 0) return a;
      if constexpr (std::is_signed_v<T>)
        if (b == T{-1}) return 0;
      return static_cast<T>(a % b);
    }
  };
  struct min { static T f(T a, T b) { return a < b ? a : b; } };
  struct max { static T f(T a, T b) { return a < b ? b : a; } };
  struct abs { static T f(T a) { return a < 0 ? sub::f(0, a) : a; } };
  struct neg { static T f(T a) { return sub::f(0, a); } };
  struct sad { static T f(T a, T b, T c) { return add::f(c, a < b ? sub::f(b, a) : sub::f(a, b)); } };
  struct add_sat {
    static T f(T a, T b) {
      T out;
      if (!__builtin_add_overflow(a, b, &out)) return out;
      return a < 0 ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
    }
  };
  struct sub_sat {
    static T f(T a, T b) {
      T out;
      if (!__builtin_sub_overflow(a, b, &out)) return out;
      return a < 0 ? std::numeric_limits<T>::min() : std::numeric_limits<T>::max();
    }
  };
};

template <typename T, typename W>
struct wide {
  struct mul { static W f(T a, T b) { return static_cast<W>(static_cast<W>(a) * static_cast<W>(b)); } };
  struct mad { static W f(T a, T b, W c) { return integer<W>::add::f(mul::f(a, b), c); } };
};

struct bit_and { template <typename T> static T f(T a, T b) { return static_cast<T>(a & b); } };
struct bit_or { template <typename T> static T f(T a, T b) { return static_cast<T>(a | b); } };
struct bit_xor { template <typename T> static T f(T a, T b) { return static_cast<T>(a ^ b); } };
struct bit_not { template <typename T> static T f(T a) { return static_cast<T>(~a); } };
struct is_zero { template <typename T> static T f(T a) { return a == 0 ? T{1} : T{0}; } };

// Shift counts beyond the width are clamped to it.
template <typename T>
struct shift {
  static constexpr std::uint32_t bits = sizeof(T) * 8;
  struct left {
    static T f(T a, std::uint32_t n) {
      return n >= bits ? T{0} : static_cast<T>(static_cast<raw<T>>(a) << n);
    }
  };
  struct right {
    static T f(T a, std::uint32_t n) {
      if (n >= bits) return a < 0 ? static_cast<T>(~raw<T>{0}) : T{0};
      return static_cast<T>(a >> n);
    }
  };
};

struct funnel {
  static std::uint32_t pick(std::uint64_t both, std::uint32_t by) {
    return static_cast<std::uint32_t>(both >> by);
  }
  static std::uint64_t both(std::uint32_t lo, std::uint32_t hi) {
    return (static_cast<std::uint64_t>(hi) << 32) | lo;
  }
  struct left_wrap {
    static std::uint32_t f(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
      return pick(both(a, b), 32 - (c & 31u));
    }
  };
  struct left_clamp {
    static std::uint32_t f(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
      return pick(both(a, b), 32 - (c < 32u ? c : 32u));
    }
  };
  struct right_wrap {
    static std::uint32_t f(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
      return pick(both(a, b), c & 31u);
    }
  };
  struct right_clamp {
    static std::uint32_t f(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
      return pick(both(a, b), c < 32u ? c : 32u);
    }
  };
};

template <typename T>
struct bits_of {
  struct clz { static std::uint32_t f(T a) { return static_cast<std::uint32_t>(std::countl_zero(a)); } };
  struct popc { static std::uint32_t f(T a) { return static_cast<std::uint32_t>(std::popcount(a)); } };
  struct brev {
    static T f(T a) {
      T out = 0;
      for (unsigned i = 0; i < sizeof(T) * 8; ++i)
        out = static_cast<T>((out << 1) | ((a >> i) & 1u));
      return out;
    }
  };
  struct bfi {
    static T pick(T a, T b, std::uint32_t at, std::uint32_t length) {
      constexpr std::uint32_t all = sizeof(T) * 8;
      at &= 0xffu;
      length &= 0xffu;
      if (at >= all || length == 0) return b;
      const T ones = length >= all ? static_cast<T>(~T{0})
                                   : static_cast<T>((T{1} << length) - 1);
      const T field = static_cast<T>(ones << at);
      return static_cast<T>((b & static_cast<T>(~field)) | (static_cast<T>(a << at) & field));
    }
  };
};

// Position of the highest bit that is 1 (unsigned) or differs from the sign.
template <typename T, bool ShiftAmount>
struct find_high {
  static std::uint32_t f(T a) {
    raw<T> bits = static_cast<raw<T>>(a);
    if constexpr (std::is_signed_v<T>)
      if (a < 0) bits = static_cast<raw<T>>(~bits);
    if (bits == 0) return 0xffffffffu;
    const auto above = static_cast<std::uint32_t>(std::countl_zero(bits));
    return ShiftAmount ? above
                       : static_cast<std::uint32_t>(sizeof(T) * 8 - 1) - above;
  }
};

template <typename T>
struct extract_field {
  static T f(T a, std::uint32_t at, std::uint32_t length) {
    constexpr std::uint32_t all = sizeof(T) * 8;
    at &= 0xffu;
    length &= 0xffu;
    // The bit that fills the rest of a signed field: its highest, or the value's.
    const bool sign =
        std::is_signed_v<T> && length > 0 &&
        ((static_cast<raw<T>>(a) >> std::min(at + length - 1, all - 1)) & 1u);
    raw<T> out = at >= all ? 0 : static_cast<raw<T>>(static_cast<raw<T>>(a) >> at);
    const std::uint32_t have = at >= all ? 0 : std::min(length, all - at);
    const raw<T> ones = have >= all ? static_cast<raw<T>>(~raw<T>{0})
                                    : static_cast<raw<T>>((raw<T>{1} << have) - 1);
    out &= ones;
    if (sign) out |= static_cast<raw<T>>(~ones);
    return static_cast<T>(out);
  }
};

// Byte permutation; the mode is in the immediate of the op.
inline std::uint32_t permute_bytes(std::uint32_t a, std::uint32_t b,
                                   std::uint32_t c) {
  const std::uint64_t both = funnel::both(a, b);
  std::uint32_t out = 0;
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t pick = (c >> (4 * i)) & 0xfu;
    auto byte = static_cast<std::uint32_t>((both >> (8 * (pick & 7u))) & 0xffu);
    if (pick & 8u) byte = (byte & 0x80u) ? 0xffu : 0u;
    out |= byte << (8 * i);
  }
  return out;
}
struct prmt {
  static std::uint32_t f(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    return permute_bytes(a, b, c);
  }
};
template <int Mode>  // f4e b4e rc8 ecl ecr rc16
struct prmt_mode {
  static std::uint32_t f(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    static constexpr std::uint16_t select[6][4] = {
        {0x3210, 0x4321, 0x5432, 0x6543}, {0x5670, 0x6701, 0x7012, 0x0123},
        {0x0000, 0x1111, 0x2222, 0x3333}, {0x3210, 0x3211, 0x3222, 0x3333},
        {0x0000, 0x1110, 0x2210, 0x3210}, {0x1010, 0x3232, 0x1010, 0x3232}};
    return permute_bytes(a, b, select[Mode][c & 3u]);
  }
};

// The sum of four products of bytes, and an addend.
template <typename A, typename B>
struct dot_bytes {
  static std::uint32_t f(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    for (int i = 0; i < 4; ++i)
      c += static_cast<std::uint32_t>(static_cast<std::int32_t>(static_cast<A>(a >> (8 * i))) * static_cast<std::int32_t>(static_cast<B>(b >> (8 * i))));
    return c;
  }
};

template <typename A, typename B, int First>
struct dot_halves {
  static std::uint32_t f(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    using H = std::conditional_t<std::is_signed_v<A>, std::int16_t, std::uint16_t>;
    for (int i = 0; i < 2; ++i)
      c += static_cast<std::uint32_t>(static_cast<std::int32_t>(static_cast<H>(a >> (16 * i))) * static_cast<std::int32_t>(static_cast<B>(b >> (8 * (First + i)))));
    return c;
  }
};

// The same on both halves of a 32-bit register; T is the type of a half.
template <typename F, typename T>
struct on_halves {
  static std::uint32_t f(std::uint32_t a, std::uint32_t b) {
    const auto half = [&](int at) { return static_cast<std::uint16_t>(F::f(static_cast<T>(a >> at), static_cast<T>(b >> at))); };
    return half(0) | (static_cast<std::uint32_t>(half(16)) << 16);
  }
};
// min.relu and max.relu: what is negative becomes 0.
template <typename F>
struct not_negative {
  template <typename T> static T f(T a, T b) {
    const T x = F::f(a, b);
    return x < 0 ? T{0} : x;
  }
};

// Products of the low 24 bits: 48 bits, of which .lo keeps the low 32 and .hi
// the high 32.
template <typename T>
struct product24 {
  static std::int64_t both(T a, T b) {
    const auto cut = [](T x) { return static_cast<std::int64_t>(static_cast<T>(static_cast<raw<T>>(x) << 8) >> 8); };
    return cut(a) * cut(b);
  }
  struct lo { static T f(T a, T b) { return static_cast<T>(both(a, b)); } };
  struct hi { static T f(T a, T b) { return static_cast<T>(both(a, b) >> 16); } };
  struct mad_lo { static T f(T a, T b, T c) { return integer<T>::add::f(lo::f(a, b), c); } };
  struct mad_hi { static T f(T a, T b, T c) { return integer<T>::add::f(hi::f(a, b), c); } };
  struct mad_hi_sat { static T f(T a, T b, T c) { return integer<T>::add_sat::f(hi::f(a, b), c); } };
};
template <typename T>
struct mad_hi_sat { static T f(T a, T b, T c) { return integer<T>::add_sat::f(integer<T>::mul_hi::f(a, b), c); } };

// The n-th set bit of `mask` from `base` on, upwards for n > 0, downwards for
// n < 0; all ones when there is none.
struct find_nth_set {
  static std::uint32_t f(std::uint32_t mask, std::uint32_t base, std::uint32_t nth) {
    const auto n = static_cast<std::int32_t>(nth);
    if (base > 31) return 0xffffffffu;
    if (n == 0) return (mask >> base) & 1u ? base : 0xffffffffu;
    std::int64_t left = std::abs(static_cast<std::int64_t>(n)) - 1;
    for (int at = static_cast<int>(base); at >= 0 && at < 32; at += n > 0 ? 1 : -1)
      if ((mask >> at) & 1u && left-- == 0) return static_cast<std::uint32_t>(at);
    return 0xffffffffu;
  }
};

// Ones from bit `at` on, `width` of them; a position or width beyond 31 is cut
// to its low 5 bits, or with .clamp counts as 32.
template <bool Clamp>
struct bit_mask {
  static std::uint32_t f(std::uint32_t at, std::uint32_t width) {
    const std::uint32_t a = Clamp ? std::min(at, 32u) : at & 31u, b = Clamp ? std::min(width, 32u) : width & 31u;
    const std::uint64_t ones = ((std::uint64_t{1} << b) - 1) << a;
    return static_cast<std::uint32_t>(ones);
  }
};
// The low `width` bits, extended by their sign or by zeros.
template <typename T, bool Clamp>
struct extend_field {
  static std::uint32_t f(std::uint32_t a, std::uint32_t width) {
    if (Clamp && width >= 32) return a;
    const std::uint32_t n = width & 31u;
    if (n == 0) return 0;
    const auto top = static_cast<T>(a << (32 - n));
    return static_cast<std::uint32_t>(top >> (32 - n));
  }
};

inline void run_lop3(warp& w, const op& o, lane_mask active) {
  alignas(64) std::uint32_t out[warp_lanes];
  const auto* a = w.lanes<std::uint32_t>(o.s[0]);
  const auto* b = w.lanes<std::uint32_t>(o.s[1]);
  const auto* c = w.lanes<std::uint32_t>(o.s[2]);
  for (int l = 0; l < warp_lanes; ++l) {
    std::uint32_t r = 0;
    for (unsigned k = 0; k < 8; ++k)
      if ((o.imm >> k) & 1)
        r |= ((k & 4u) ? a[l] : ~a[l]) & ((k & 2u) ? b[l] : ~b[l]) &
             ((k & 1u) ? c[l] : ~c[l]);
    out[l] = r;
  }
  keep(w, o.d[0], out, active);
}

// Bit by bit: a bit of the result is undefined when a source bit is that could
// change it. `and` with a defined 0 and `or` with a defined 1 decide a bit.
template <typename T, int Kind>  // 0 and, 1 or, 2 xor
void taint_logic(warp& w, const op& o, lane_mask active) {
  const T* a = w.lanes<T>(o.s[0]);
  const T* b = w.lanes<T>(o.s[1]);
  const T* ua = w.shades<T>(o.s[0]);
  const T* ub = w.shades<T>(o.s[1]);
  T bits[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) {
    const T open_a = Kind == 0 ? a[l] : Kind == 1 ? static_cast<T>(~a[l]) : static_cast<T>(~T{0});
    const T open_b = Kind == 0 ? b[l] : Kind == 1 ? static_cast<T>(~b[l]) : static_cast<T>(~T{0});
    bits[l] = static_cast<T>((ua[l] & static_cast<T>(open_b | ub[l])) |
                             (ub[l] & static_cast<T>(open_a | ua[l])));
  }
  shade_lanes(w, o.d[0], bits, active);
}

template <typename T>
void taint_not(warp& w, const op& o, lane_mask active) {
  shade_lanes(w, o.d[0], w.shades<T>(o.s[0]), active);
}

// A bit of the result is undefined when some values of its undefined source
// bits make it 0 and others 1.
inline void taint_lop3(warp& w, const op& o, lane_mask active) {
  std::uint32_t bits[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) {
    std::uint32_t can[3][2];
    for (int i = 0; i < 3; ++i) {
      const std::uint32_t value = w.lanes<std::uint32_t>(o.s[i])[l], open = w.shades<std::uint32_t>(o.s[i])[l];
      can[i][0] = ~value | open;
      can[i][1] = value | open;
    }
    std::uint32_t zero = 0, one = 0;
    for (unsigned k = 0; k < 8; ++k) {
      const std::uint32_t here = can[0][k >> 2] & can[1][(k >> 1) & 1] & can[2][k & 1];
      ((o.imm >> k) & 1 ? one : zero) |= here;
    }
    bits[l] = zero & one;
  }
  shade_lanes(w, o.d[0], bits, active);
}

// lop3.BoolOp: beside the word a predicate, (word != 0) BoolOp q. The table is in
// the low bits of imm, then which operation, and whether the word is discarded.
inline constexpr std::int64_t lop3_or = 256, lop3_alone = 512, lop3_negated = 1024;

inline void run_lop3_predicate(warp& w, const op& o, lane_mask active) {
  const auto* a = w.lanes<std::uint32_t>(o.s[0]);
  const auto* b = w.lanes<std::uint32_t>(o.s[1]);
  const auto* c = w.lanes<std::uint32_t>(o.s[2]);
  alignas(64) std::uint32_t out[warp_lanes];
  lane_mask some = 0;
  for (int l = 0; l < warp_lanes; ++l) {
    std::uint32_t r = 0;
    for (unsigned k = 0; k < 8; ++k)
      if ((o.imm >> k) & 1) r |= ((k & 4u) ? a[l] : ~a[l]) & ((k & 2u) ? b[l] : ~b[l]) & ((k & 1u) ? c[l] : ~c[l]);
    out[l] = r;
    some |= static_cast<lane_mask>(r != 0) << l;
  }
  const lane_mask q = o.imm & lop3_negated ? ~w.predicate(o.s[3]) : w.predicate(o.s[3]);
  some = o.imm & lop3_or ? some | q : some & q;
  lane_mask& p = w.predicate(o.d[0]);
  p = (p & ~active) | (some & active);
  if (!(o.imm & lop3_alone)) keep(w, o.d[1], out, active);
}
inline void taint_lop3_predicate(warp& w, const op& o, lane_mask active) {
  lane_mask bad = predicate_taint(w, o.s[3]);
  for (int i = 0; i < 3; ++i) bad |= lane_taint<std::uint32_t>(w, o.s[i]);
  shade_predicate(w, o.d[0], bad, active);
  if (!(o.imm & lop3_alone)) shade_whole<std::uint32_t>(w, o.d[1], bad, active);
}
inline void make_lop3_predicate(decoding& d, bool with_or) {
  if (!d.want(6)) return;
  const auto& out = d.in.operands[0];
  const auto table = d.literal(d.in.operands[4]);
  if (out.pair.empty() || !table || *table > 255) return d.refuse("this form");
  d.target_of(out.pair[0], 0);
  if (out.kind != operand::type::discard) d.target_of(out, 4);
  for (std::size_t i = 1; i <= 3; ++i) d.source(i, 4);
  d.source(5, 0);
  d.o.imm = static_cast<std::int64_t>(*table) | (with_or ? lop3_or : 0) | (out.kind == operand::type::discard ? lop3_alone : 0) |
            (d.in.operands[5].negated ? lop3_negated : 0);
  d.does(&run_lop3_predicate, &taint_lop3_predicate);
}

template <int Kind>
void run_predicates(warp& w, const op& o, lane_mask active) {
  const lane_mask a = w.predicate(o.s[0]), b = w.predicate(o.s[1]);
  const lane_mask out = Kind == 0 ? a & b : Kind == 1 ? a | b : Kind == 2 ? a ^ b : ~a;
  lane_mask& d = w.predicate(o.d[0]);
  d = (d & ~active) | (out & active);
}

template <int Kind>
void taint_predicates(warp& w, const op& o, lane_mask active) {
  const lane_mask a = w.predicate(o.s[0]), b = w.predicate(o.s[1]);
  const lane_mask ua = predicate_taint(w, o.s[0]);
  const lane_mask ub = Kind == 3 ? 0 : predicate_taint(w, o.s[1]);
  const lane_mask open_a = Kind == 0 ? a : Kind == 1 ? ~a : every_lane;
  const lane_mask open_b = Kind == 0 ? b : Kind == 1 ? ~b : every_lane;
  shade_predicate(w, o.d[0], Kind == 3 ? ua : (ua & (open_b | ub)) | (ub & (open_a | ua)), active);
}

template <typename F, int Kind>
void make_logic(decoding& d) {
  const type t = d.take_type();
  if (!d.want(3)) return;
  d.target(0, width_of(t));
  d.source(1, width_of(t));
  d.source(2, width_of(t));
  switch (t) {
    case type::pred: d.does(&run_predicates<Kind>, &taint_predicates<Kind>); break;
    case type::b16: d.does(&run2<F, std::uint16_t, std::uint16_t, std::uint16_t>, &taint_logic<std::uint16_t, Kind>); break;
    case type::b32: d.does(&run2<F, std::uint32_t, std::uint32_t, std::uint32_t>, &taint_logic<std::uint32_t, Kind>); break;
    case type::b64: d.does(&run2<F, std::uint64_t, std::uint64_t, std::uint64_t>, &taint_logic<std::uint64_t, Kind>); break;
    default: d.refuse("this type");
  }
}

inline void make_not(decoding& d) {
  const type t = d.take_type();
  if (!d.want(2)) return;
  d.target(0, width_of(t));
  d.source(1, width_of(t));
  switch (t) {
    case type::pred: d.does(&run_predicates<3>, &taint_predicates<3>); break;
    case type::b16: d.does(&run1<bit_not, std::uint16_t, std::uint16_t>, &taint_not<std::uint16_t>); break;
    case type::b32: d.does(&run1<bit_not, std::uint32_t, std::uint32_t>, &taint_not<std::uint32_t>); break;
    case type::b64: d.does(&run1<bit_not, std::uint64_t, std::uint64_t>, &taint_not<std::uint64_t>); break;
    default: d.refuse("this type");
  }
}

template <typename F, typename T, typename B>
void make_moved2(decoding& d) {
  if (!d.want(3)) return;
  d.target(0, sizeof(T));
  d.source(1, sizeof(T));
  d.source(2, sizeof(B));
  d.does(&run2<F, T, T, B>, &taint_moved2<F, T, T, B, true, false>);
}

template <typename F>
void make_funnel(decoding& d) {
  using u = std::uint32_t;
  if (!d.want(4)) return;
  d.target(0, 4);
  for (std::size_t i = 1; i <= 3; ++i) d.source(i, 4);
  d.does(&run3<F, u, u, u, u>, &taint_moved3<F, u, u, u, u, true, true, false>);
}

// "lo", "hi" or "wide" of mul and mad.
inline void make_product(decoding& d, bool with_addend) {
  const bool wide_form = d.take("wide"), hi = d.take("hi");
  if (!wide_form && !hi) d.take("lo");
  const bool sat = d.take("sat");
  const type t = d.take_type();
  if (sat) {
    using s = std::int32_t;
    if (!with_addend || !hi || t != type::s32) return d.refuse(".sat of this form");
    return make3<mad_hi_sat<s>, s, s, s, s>(d);
  }
  if (wide_form) {
    const auto form = [&](auto narrow, auto broad) {
      using T = decltype(narrow);
      using W = decltype(broad);
      if (with_addend)
        make3<typename wide<T, W>::mad, W, T, T, W>(d);
      else
        make2<typename wide<T, W>::mul, W, T, T>(d);
    };
    switch (t) {
      case type::u16: form(std::uint16_t{}, std::uint32_t{}); return;
      case type::s16: form(std::int16_t{}, std::int32_t{}); return;
      case type::u32: form(std::uint32_t{}, std::uint64_t{}); return;
      case type::s32: form(std::int32_t{}, std::int64_t{}); return;
      default: d.refuse("this type"); return;
    }
  }
  const bool known = with_integer(t, [&](auto zero) {
    using T = decltype(zero);
    using I = integer<T>;
    using U = raw<T>;  // low halves are the same for both signs
    if (with_addend)
      hi ? make3<typename I::mad_hi, T, T, T, T>(d) : make3<typename integer<U>::mad_lo, U, U, U, U>(d);
    else
      hi ? make2<typename I::mul_hi, T, T, T>(d) : make2<typename integer<U>::mul_lo, U, U, U>(d);
  });
  if (!known) d.refuse("this type");
}

inline void add_integer_rows(instruction_table& table) {
  table["and"] = &make_logic<bit_and, 0>;
  table["or"] = &make_logic<bit_or, 1>;
  table["xor"] = &make_logic<bit_xor, 2>;
  table["not"] = &make_not;
  table["cnot"] = [](decoding& d) {
    const type t = d.take_type();
    if (t == type::b16) make1<is_zero, std::uint16_t, std::uint16_t>(d);
    else if (t == type::b32) make1<is_zero, std::uint32_t, std::uint32_t>(d);
    else if (t == type::b64) make1<is_zero, std::uint64_t, std::uint64_t>(d);
    else d.refuse("this type");
  };
  table["shl"] = [](decoding& d) {
    if (!with_integer(d.take_type(), [&](auto zero) {
          using T = raw<decltype(zero)>;
          make_moved2<typename shift<T>::left, T, std::uint32_t>(d);
        })) d.refuse("this type");
  };
  table["shr"] = [](decoding& d) {
    if (!with_integer(d.take_type(), [&](auto zero) {
          using T = decltype(zero);
          make_moved2<typename shift<T>::right, T, std::uint32_t>(d);
        })) d.refuse("this type");
  };
  table["shf"] = [](decoding& d) {
    const bool left = d.take("l"), right = d.take("r");
    const bool wrap = d.take("wrap"), clamp = d.take("clamp");
    d.take("b32");
    if (left && wrap) make_funnel<funnel::left_wrap>(d);
    else if (left && clamp) make_funnel<funnel::left_clamp>(d);
    else if (right && wrap) make_funnel<funnel::right_wrap>(d);
    else if (right && clamp) make_funnel<funnel::right_clamp>(d);
    else d.refuse("this form");
  };
  table["clz"] = [](decoding& d) {
    const type t = d.take_type();
    if (t == type::b32) make1<bits_of<std::uint32_t>::clz, std::uint32_t, std::uint32_t>(d);
    else if (t == type::b64) make1<bits_of<std::uint64_t>::clz, std::uint32_t, std::uint64_t>(d);
    else d.refuse("this type");
  };
  table["popc"] = [](decoding& d) {
    const type t = d.take_type();
    if (t == type::b32) make1<bits_of<std::uint32_t>::popc, std::uint32_t, std::uint32_t>(d);
    else if (t == type::b64) make1<bits_of<std::uint64_t>::popc, std::uint32_t, std::uint64_t>(d);
    else d.refuse("this type");
  };
  table["brev"] = [](decoding& d) {
    const type t = d.take_type();
    if (t == type::b32) make1<bits_of<std::uint32_t>::brev, std::uint32_t, std::uint32_t, true>(d);
    else if (t == type::b64) make1<bits_of<std::uint64_t>::brev, std::uint64_t, std::uint64_t, true>(d);
    else d.refuse("this type");
  };
  table["bfind"] = [](decoding& d) {
    const bool amount = d.take("shiftamt");
    const type t = d.take_type();
    if (t != type::u32 && t != type::s32 && t != type::u64 && t != type::s64) return d.refuse("this type");
    with_integer(t, [&](auto zero) {
      using T = decltype(zero);
      amount ? make1<find_high<T, true>, std::uint32_t, T>(d) : make1<find_high<T, false>, std::uint32_t, T>(d);
    });
  };
  table["bfe"] = [](decoding& d) {
    const type t = d.take_type();
    if (width_of(t) < 4 || is_bits(t) || !with_integer(t, [&](auto zero) {
          using T = decltype(zero);
          using u = std::uint32_t;
          if (!d.want(4)) return;
          d.target(0, sizeof(T));
          d.source(1, sizeof(T));
          d.source(2, 4);
          d.source(3, 4);
          d.does(&run3<extract_field<T>, T, T, u, u>, &taint_moved3<extract_field<T>, T, T, u, u, true, false, false>);
        })) d.refuse("this type");
  };
  table["bfi"] = [](decoding& d) {
    const type t = d.take_type();
    if (!d.want(5) || (t != type::b32 && t != type::b64)) return d.refuse("this form");
    d.target(0, width_of(t));
    d.source(1, width_of(t));
    d.source(2, width_of(t));
    d.source(3, 4);
    d.source(4, 4);
    const auto form = [&](auto zero) {
      using T = decltype(zero);
      d.does(
          [](warp& w, const op& o, lane_mask active) {
            alignas(64) T out[warp_lanes];
            for (int l = 0; l < warp_lanes; ++l)
              out[l] = bits_of<T>::bfi::pick(w.lanes<T>(o.s[0])[l], w.lanes<T>(o.s[1])[l],
                                             w.lanes<std::uint32_t>(o.s[2])[l], w.lanes<std::uint32_t>(o.s[3])[l]);
            keep(w, o.d[0], out, active);
          },
          [](warp& w, const op& o, lane_mask active) {
            const lane_mask bad = source_taint<4>(w, o.s[2]) | source_taint<4>(w, o.s[3]);
            T bits[warp_lanes];
            for (int l = 0; l < warp_lanes; ++l)
              bits[l] = (bad >> l) & 1u
                            ? static_cast<T>(~T{0})
                            : bits_of<T>::bfi::pick(w.shades<T>(o.s[0])[l], w.shades<T>(o.s[1])[l],
                                                    w.lanes<std::uint32_t>(o.s[2])[l], w.lanes<std::uint32_t>(o.s[3])[l]);
            shade_lanes(w, o.d[0], bits, active);
          });
    };
    t == type::b32 ? form(std::uint32_t{}) : form(std::uint64_t{});
  };
  table["prmt"] = [](decoding& d) {
    static constexpr std::string_view modes[6] = {"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"};
    int mode = -1;
    for (int i = 0; i < 6; ++i)
      if (d.take(modes[i])) mode = i;
    d.take("b32");
    switch (mode) {
      case 0: make_funnel<prmt_mode<0>>(d); break;
      case 1: make_funnel<prmt_mode<1>>(d); break;
      case 2: make_funnel<prmt_mode<2>>(d); break;
      case 3: make_funnel<prmt_mode<3>>(d); break;
      case 4: make_funnel<prmt_mode<4>>(d); break;
      case 5: make_funnel<prmt_mode<5>>(d); break;
      default: make_funnel<prmt>(d);
    }
  };
  table["lop3"] = [](decoding& d) {
    const bool with_and = d.take("and"), with_or = d.take("or");
    d.take("b32");
    if (with_and || with_or) return make_lop3_predicate(d, with_or);
    if (!d.want(5)) return;
    d.target(0, 4);
    for (std::size_t i = 1; i <= 3; ++i) d.source(i, 4);
    const auto look_up_table = d.literal(d.in.operands[4]);
    if (!look_up_table || *look_up_table > 255) return d.refuse("a table that is no literal");
    d.o.imm = static_cast<std::int64_t>(*look_up_table);
    d.does(&run_lop3, &taint_lop3);
  };
  table["dp4a"] = [](decoding& d) {
    using u = std::uint32_t;
    const type a = d.take_type(), b = d.take_type();
    if ((a != type::u32 && a != type::s32) || (b != type::u32 && b != type::s32)) return d.refuse("these types");
    if (a == type::s32) b == type::s32 ? make3<dot_bytes<std::int8_t, std::int8_t>, u, u, u, u>(d) : make3<dot_bytes<std::int8_t, std::uint8_t>, u, u, u, u>(d);
    else b == type::s32 ? make3<dot_bytes<std::uint8_t, std::int8_t>, u, u, u, u>(d) : make3<dot_bytes<std::uint8_t, std::uint8_t>, u, u, u, u>(d);
  };
  table["dp2a"] = [](decoding& d) {
    using u = std::uint32_t;
    const bool hi = d.take("hi");
    if (!hi && !d.take("lo")) return d.refuse("this form");
    const type a = d.take_type(), b = d.take_type();
    if ((a != type::u32 && a != type::s32) || (b != type::u32 && b != type::s32)) return d.refuse("these types");
    const auto form = [&](auto x, auto y) {
      using A = decltype(x);
      using B = decltype(y);
      hi ? make3<dot_halves<A, B, 2>, u, u, u, u>(d) : make3<dot_halves<A, B, 0>, u, u, u, u>(d);
    };
    if (a == type::s32) b == type::s32 ? form(std::int8_t{}, std::int8_t{}) : form(std::int8_t{}, std::uint8_t{});
    else b == type::s32 ? form(std::uint8_t{}, std::int8_t{}) : form(std::uint8_t{}, std::uint8_t{});
  };
  table["mul24"] = [](decoding& d) {
    const bool hi = d.take("hi");
    if (!hi && !d.take("lo")) return d.refuse("this form");
    const type t = d.take_type();
    const auto form = [&](auto zero) {
      using T = decltype(zero);
      hi ? make2<typename product24<T>::hi, T, T, T>(d) : make2<typename product24<T>::lo, T, T, T>(d);
    };
    if (t == type::u32) form(std::uint32_t{});
    else if (t == type::s32) form(std::int32_t{});
    else d.refuse("this type");
  };
  table["mad24"] = [](decoding& d) {
    const bool hi = d.take("hi"), sat = d.take("sat");
    if (!hi && !d.take("lo")) return d.refuse("this form");
    const type t = d.take_type();
    const auto form = [&](auto zero) {
      using T = decltype(zero);
      hi ? make3<typename product24<T>::mad_hi, T, T, T, T>(d) : make3<typename product24<T>::mad_lo, T, T, T, T>(d);
    };
    using s = std::int32_t;
    if (sat) return hi && t == type::s32 ? make3<product24<s>::mad_hi_sat, s, s, s, s>(d) : d.refuse(".sat of this form");
    if (t == type::u32) form(std::uint32_t{});
    else if (t == type::s32) form(s{});
    else d.refuse("this type");
  };
  table["fns"] = [](decoding& d) {
    using u = std::uint32_t;
    d.take("b32");
    make3<find_nth_set, u, u, u, u>(d);
  };
  table["bmsk"] = [](decoding& d) {
    using u = std::uint32_t;
    const bool clamp = d.take("clamp");
    if (!clamp && !d.take("wrap")) return d.refuse("this form");
    d.take("b32");
    clamp ? make2<bit_mask<true>, u, u, u>(d) : make2<bit_mask<false>, u, u, u>(d);
  };
  table["szext"] = [](decoding& d) {
    using u = std::uint32_t;
    const bool clamp = d.take("clamp");
    if (!clamp && !d.take("wrap")) return d.refuse("this form");
    const type t = d.take_type();
    if (t == type::u32) clamp ? make2<extend_field<u, true>, u, u, u>(d) : make2<extend_field<u, false>, u, u, u>(d);
    else if (t == type::s32) clamp ? make2<extend_field<std::int32_t, true>, u, u, u>(d) : make2<extend_field<std::int32_t, false>, u, u, u>(d);
    else d.refuse("this type");
  };
  table["sad"] = [](decoding& d) {
    const type t = d.take_type();
    if (is_bits(t) || !with_integer(t, [&](auto zero) {
          using T = decltype(zero);
          make3<typename integer<T>::sad, T, T, T, T>(d);
        })) d.refuse("this type");
  };
  table["rem"] = [](decoding& d) {
    const type t = d.take_type();
    if (is_bits(t) || !with_integer(t, [&](auto zero) {
          using T = decltype(zero);
          make2<typename integer<T>::rem, T, T, T>(d);
        })) d.refuse("this type");
  };
}

}  // namespace skillbench::ptx::ops
