#pragma once
// ptx/ops/wmma.hpp: the older matrix operations of one warp, behind mma.h.
//
// Layer   3.
// Shapes  which lane holds which element is left open by PTX; here it is as in
//         matrix.hpp: a register holds 8 rows of 4 e elements, lane 4 g + t the
//         elements e t, e t + 1, ... of row g (of column g for B). A and the
//         accumulators go by 16 rows as those of mma.m16n8 do, B and the
//         accumulators then by 8 columns. Where PTX wants more registers than
//         there are elements (halves), the rest are copies and are not read.
// Units   `stride` counts elements. Addresses and rows must be multiples of 16
//         bytes, of 8 for f64 (the document asks for a fragment's natural
//         alignment without a number).
// Source  PTX ISA 9.0, "Warp-level Matrix Load: wmma.load", "wmma.store",
//         "wmma.mma"; values as in matrix.hpp.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/ops/access.hpp>
#include <skillbench/ptx/ops/matrix.hpp>

namespace skillbench::ptx::ops {

struct wmma_form {
  element a = element::none, b = element::none, c = element::none, d = element::none;
  std::uint8_t m = 0, n = 0, k = 0, flags = 0;
};
// For a load or a store: which matrix, and whether columns are contiguous.
enum wmma_flag : std::uint8_t { is_a = 1, is_b = 2, is_accumulator = 4, by_columns = 8, clamped = 16, bits_and = 32 };

[[nodiscard]] inline wmma_form wmma_form_of(const op& o) noexcept { return std::bit_cast<wmma_form>(o.imm); }

// A matrix as registers: `rows` of `columns`, with columns along k for A, and B
// turned so that its columns are rows.
struct wmma_fragment {
  element of = element::none;
  int rows = 0, columns = 0;
  bool accumulator = false;

  [[nodiscard]] int width() const noexcept { return of == element::f64 ? 64 : 32; }
  [[nodiscard]] int per() const noexcept { return width() / element_bits(of); }
  // Registers that hold something, and registers that PTX names.
  [[nodiscard]] int used() const noexcept { return rows * columns / (32 * per()); }
  [[nodiscard]] int named() const noexcept { return of == element::f16 && !accumulator ? 8 : used(); }
};

[[nodiscard]] inline wmma_fragment fragment_a(const wmma_form& f) noexcept { return {f.a, f.m, f.k, false}; }
[[nodiscard]] inline wmma_fragment fragment_b(const wmma_form& f) noexcept { return {f.b, f.n, f.k, false}; }
[[nodiscard]] inline wmma_fragment fragment_c(const wmma_form& f, element of) noexcept { return {of, f.m, f.n, true}; }

// Where element i of register r of a lane lies. `by_sixteen`: A and accumulators.
[[nodiscard]] inline quad_place wmma_place(const wmma_fragment& x, bool by_sixteen, int r, int lane, int i) noexcept {
  const int g = lane / 4, t = lane % 4;
  if (x.accumulator) {
    const int block = x.of == element::f16 ? r : r / 2, odd = x.of == element::f16 ? i : r % 2;
    const int across = x.columns / 8;
    const int down = x.rows >= 16 ? block / (2 * across) * 2 + block % 2 : 0;
    const int right = x.rows >= 16 ? block / 2 % across : block;
    return {8 * down + g, 8 * right + 2 * t + odd};
  }
  const int e = x.per(), across = x.columns / (4 * e);
  const int down = by_sixteen && x.rows >= 16 ? r / (2 * across) * 2 + r % 2 : r / across;
  const int right = by_sixteen && x.rows >= 16 ? r / 2 % across : r % across;
  return {8 * down + g, 4 * e * right + e * t + i};
}

// ---- loads and stores ------------------------------------------------------------

inline void run_wmma_move(warp& w, const op& o, lane_mask active, bool store) {
  if (!active) return;
  expect_whole_warp(w, active, store ? "wmma.store" : "wmma.load");
  const wmma_form f = wmma_form_of(o);
  const wmma_fragment x = f.flags & is_a ? fragment_a(f) : f.flags & is_b ? fragment_b(f) : fragment_c(f, f.c);
  const further& all = w.launch->code->more[o.more];
  const std::vector<ref>& registers = store ? all.s : all.d;
  // Lines are what is contiguous: rows of A and of accumulators, columns of B, or
  // the other way round.
  const bool lines_are_rows = (f.flags & is_b ? true : false) == ((f.flags & by_columns) != 0);
  const int bits = element_bits(x.of), per = x.per();
  const bool together = lines_are_rows;  // the elements of a register follow each other
  const unsigned bytes = together && !x.accumulator ? static_cast<unsigned>(x.width() / 8) : static_cast<unsigned>(bits / 8);
  op plain = o;
  plain.imm = static_cast<std::int64_t>(o.target);
  plain.imm = static_cast<std::int32_t>(plain.imm);
  const lane_addresses a = addresses(w, plain, active);
  if (!a.active) return;
  const auto* strides = w.lanes<std::uint32_t>(o.s[1]);
  if (const lane_mask bad = lane_taint<std::uint32_t>(w, o.s[1]) & active) return report_undefined(w, std::countr_zero(bad), "the stride of a matrix");
  const std::uint64_t row_bits = 64ull * 2;
  for (int l = 0; l < warp_lanes; ++l) {
    if (!((a.active >> l) & 1u)) continue;
    const std::uint64_t needed = bits == 64 ? 8 : row_bits / 8;
    if (a.at[l] % needed || std::uint64_t{strides[l]} * static_cast<std::uint64_t>(bits) % (8 * needed)) {
      report_access(w, code::misaligned, l, store, a.at[l], needed, "the matrix in", "its address and its rows must be multiples of " + bytes_words(needed));
      return;
    }
  }
  const int used = x.used();
  // A request for each register, or for each element where those of a register
  // lie apart.
  const bool in_global = (o.where == space::global || o.where == space::generic) && a.at[std::countr_zero(a.active)] < shared_window;
  bool further = false;
  for (int r = 0; r < used && (in_global || w.launch->tally); ++r)
    for (int i = 0; i < per; i += static_cast<int>(8 * bytes) / bits) {
      lane_addresses one;
      one.active = a.active;
      for (int l = 0; l < warp_lanes; ++l) {
        const quad_place p = wmma_place(x, !(f.flags & is_b), r, l, i);
        const auto line = static_cast<std::uint64_t>(lines_are_rows ? p.row : p.column), along = static_cast<std::uint64_t>(lines_are_rows ? p.column : p.row);
        one.at[l] = a.at[l] + (line * strides[l] + along) * static_cast<std::uint64_t>(bits) / 8;
      }
      count_request(w, o, one, bytes, store ? access_kind::store : access_kind::load, further);
      further = true;
    }
  for (int r = 0; r < (store ? used : x.named()); ++r) {
    const ref to = registers[static_cast<std::size_t>(r)];
    alignas(64) std::uint64_t value[warp_lanes] = {}, shade[warp_lanes] = {};
    for (int l = 0; l < warp_lanes; ++l) {
      if (!((a.active >> l) & 1u)) continue;
      if (store) {
        std::memcpy(&value[l], w.file + to.offset + static_cast<std::size_t>(l) * (x.width() / 8), static_cast<std::size_t>(x.width() / 8));
        std::memcpy(&shade[l], w.shade + to.offset + static_cast<std::size_t>(l) * (x.width() / 8), static_cast<std::size_t>(x.width() / 8));
      }
      for (int i = 0; i < per; i += static_cast<int>(8 * bytes) / bits) {
        const quad_place p = wmma_place(x, !(f.flags & is_b), r % used, l, i);
        const auto line = static_cast<std::uint64_t>(lines_are_rows ? p.row : p.column), along = static_cast<std::uint64_t>(lines_are_rows ? p.column : p.row);
        const std::uint64_t at = a.at[l] + (line * strides[l] + along) * static_cast<std::uint64_t>(bits) / 8;
        const cell c = resolve(w, l, at, bytes, store, o.where);
        if (!c.data) continue;
        const int shift = i * bits;
        if (store) {
          const std::uint64_t word = value[l] >> shift;
          std::memcpy(c.data, &word, bytes);
          if (c.shadow)
            for (unsigned b = 0; b < bytes; ++b) c.shadow[b] = (shade[l] >> (static_cast<unsigned>(shift) + 8 * b)) & 0xff ? undefined : defined;
          continue;
        }
        std::uint64_t word = 0;
        std::memcpy(&word, c.data, bytes);
        value[l] |= word << shift;
        if (c.shadow)
          for (unsigned b = 0; b < bytes; ++b)
            if (c.shadow[b]) shade[l] |= std::uint64_t{0xff} << (static_cast<unsigned>(shift) + 8 * b);
      }
    }
    if (store) continue;
    if (x.width() == 64) {
      keep(w, to, value, active);
      shade_lanes(w, to, shade, active);
    } else {
      std::uint32_t words[warp_lanes], bad[warp_lanes];
      for (int l = 0; l < warp_lanes; ++l) {
        words[l] = static_cast<std::uint32_t>(value[l]);
        bad[l] = static_cast<std::uint32_t>(shade[l]);
      }
      keep(w, to, words, active);
      shade_lanes(w, to, bad, active);
    }
  }
}
inline void run_wmma_load(warp& w, const op& o, lane_mask active) { run_wmma_move(w, o, active, false); }
inline void run_wmma_store(warp& w, const op& o, lane_mask active) { run_wmma_move(w, o, active, true); }

// ---- products ------------------------------------------------------------------------

[[nodiscard]] inline std::uint64_t register_bits(warp& w, ref r, int lane, int width, bool shade) noexcept {
  std::uint64_t out = 0;
  std::memcpy(&out, (shade ? w.shade : w.file) + r.offset + static_cast<std::size_t>(lane) * (width / 8), static_cast<std::size_t>(width / 8));
  return out;
}

inline void run_wmma_mma(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  expect_whole_warp(w, active, "wmma.mma");
  const wmma_form f = wmma_form_of(o);
  const further& all = w.launch->code->more[o.more];
  const wmma_fragment xa = fragment_a(f), xb = fragment_b(f), xc = fragment_c(f, f.c), xd = fragment_c(f, f.d);
  const ref *a = all.s.data(), *b = a + xa.named(), *c = b + xb.named();
  const bool tainted = any_tainted(w, all.s);
  std::uint64_t bad_rows = 0, bad_columns = 0;
  const auto element_bits_of = [](std::uint64_t word, int bits, int i) {
    return bits == 64 ? word : (word >> (bits * i)) & ((std::uint64_t{1} << bits) - 1);
  };
  // Every element of a fragment, its place and its undefined bits.
  const auto visit = [&](const wmma_fragment& x, const ref* registers, bool by_sixteen, auto&& use) {
    for (int r = 0; r < x.used(); ++r)
      for (int l = 0; l < warp_lanes; ++l) {
        const std::uint64_t word = register_bits(w, registers[r], l, x.width(), false);
        const std::uint64_t shade = tainted && w.tainted[registers[r].slot] ? register_bits(w, registers[r], l, x.width(), true) : 0;
        for (int i = 0; i < x.per(); ++i)
          use(wmma_place(x, by_sixteen, r, l, i), element_bits_of(word, element_bits(x.of), i), element_bits_of(shade, element_bits(x.of), i) != 0);
      }
  };
  const bool floats = is_float(f.a), doubles = f.a == element::f64, binary = f.a == element::b1;
  const int k = f.k;
  alignas(64) float left[32 * 16], right[32 * 16];       // rows of k; panels of 8 columns in worked order
  std::int32_t whole_left[32 * 128], whole_right[32 * 128];  // rows of k
  double far_left[8 * 4] = {}, far_right[8 * 4] = {};
  visit(xa, a, true, [&](quad_place p, std::uint64_t bits, bool bad) {
    if (doubles) far_left[p.row * k + p.column] = std::bit_cast<double>(bits);
    else if (floats) left[p.row * k + p.column] = float_of(f.a, static_cast<std::uint32_t>(bits));
    else whole_left[p.row * k + p.column] = binary ? static_cast<std::int32_t>(bits) : integer_of(f.a, static_cast<std::uint32_t>(bits));
    if (bad) bad_rows |= std::uint64_t{1} << p.row;
  });
  visit(xb, b, false, [&](quad_place p, std::uint64_t bits, bool bad) {
    if (doubles) far_right[p.row * k + p.column] = std::bit_cast<double>(bits);
    else if (floats) right[p.row / 8 * 8 * k + 8 * p.column + worked_at(p.row % 8)] = float_of(f.b, static_cast<std::uint32_t>(bits));
    else whole_right[p.row * k + p.column] = binary ? static_cast<std::int32_t>(bits) : integer_of(f.b, static_cast<std::uint32_t>(bits));
    if (bad) bad_columns |= std::uint64_t{1} << p.row;
  });
  double far_sum[8 * 8] = {};
  std::int64_t whole_sum[256] = {};
  float sum[256] = {};
  std::uint8_t bad[256] = {};
  visit(xc, c, true, [&](quad_place p, std::uint64_t bits, bool undefined_here) {
    const int at = p.row * f.n + p.column;
    if (doubles) far_sum[at] = std::bit_cast<double>(bits);
    else if (floats) sum[at] = f.c == element::f16 ? float_of(element::f16, static_cast<std::uint32_t>(bits)) : std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    else whole_sum[at] = static_cast<std::int32_t>(bits);
    if (undefined_here) bad[at] = 1;
  });
  if (doubles) {
    for (int i = 0; i < 8; ++i)
      for (int j = 0; j < 8; ++j)
        for (int l = 0; l < k; ++l) far_sum[8 * i + j] = std::fma(far_left[i * k + l], far_right[j * k + l], far_sum[8 * i + j]);
  } else if (floats) {
    for (int i = 0; i < f.m; i += 8)
      for (int j = 0; j < f.n; j += 8) {
        float even[32], odd[32];
        for (int x = 0; x < 64; ++x) (x % 2 ? odd : even)[x / 2] = sum[(i + x / 8) * f.n + j + x % 8];
        multiply_rows(left + i * k, k, right + j * k, k, even, odd);
        for (int x = 0; x < 64; ++x) sum[(i + x / 8) * f.n + j + x % 8] = (x % 2 ? odd : even)[x / 2];
      }
  } else {
    for (int i = 0; i < f.m; ++i)
      for (int j = 0; j < f.n; ++j) {
        std::int64_t s = whole_sum[i * f.n + j];
        for (int l = 0; l < k; ++l) {
          const std::int32_t x = whole_left[i * k + l], y = whole_right[j * k + l];
          s += !binary ? x * y : f.flags & bits_and ? x & y : x ^ y;
        }
        whole_sum[i * f.n + j] = wrapped_or_clamped(s, f.flags & clamped);
      }
  }
  const bool shades = tainted || any_tainted(w, all.d);
  for (int r = 0; r < xd.used(); ++r) {
    const ref d = all.d[static_cast<std::size_t>(r)];
    if (d.slot == 0) continue;
    alignas(64) std::uint64_t far[warp_lanes] = {}, far_bad[warp_lanes] = {};
    alignas(64) std::uint32_t words[warp_lanes] = {}, words_bad[warp_lanes] = {};
    for (int l = 0; l < warp_lanes; ++l)
      for (int i = 0; i < xd.per(); ++i) {
        const quad_place p = wmma_place(xd, true, r, l, i);
        const int at = p.row * f.n + p.column;
        const bool undefined_here = bad[at] || ((bad_rows >> p.row) & 1u) || ((bad_columns >> p.column) & 1u);
        if (doubles) {
          far[l] = far_sum[at] == far_sum[at] ? std::bit_cast<std::uint64_t>(far_sum[at]) : 0x7ff8000000000000ull;
          if (undefined_here) far_bad[l] = ~std::uint64_t{0};
        } else if (f.d == element::f16) {
          words[l] |= std::uint32_t{half_kind::from(sum[at])} << (16 * i);
          if (undefined_here) words_bad[l] |= 0xffffu << (16 * i);
        } else {
          words[l] = floats ? std::bit_cast<std::uint32_t>(sum[at]) : static_cast<std::uint32_t>(whole_sum[at]);
          if (undefined_here) words_bad[l] = ~0u;
        }
      }
    if (doubles) {
      keep(w, d, far, active);
      if (shades) shade_lanes(w, d, far_bad, active);
    } else {
      keep(w, d, words, active);
      if (shades) shade_lanes(w, d, words_bad, active);
    }
  }
}

// ---- rows ------------------------------------------------------------------------------

inline bool take_wmma_shape(decoding& d, wmma_form& f) {
  struct shape { std::string_view name; std::uint8_t m, n, k; };
  static constexpr shape shapes[] = {{"m16n16k16", 16, 16, 16}, {"m8n32k16", 8, 32, 16}, {"m32n8k16", 32, 8, 16}, {"m16n16k8", 16, 16, 8},
                                     {"m8n8k4", 8, 8, 4},       {"m8n8k32", 8, 8, 32},   {"m8n8k128", 8, 8, 128}};
  for (const shape& s : shapes)
    if (d.take(s.name)) {
      f.m = s.m;
      f.n = s.n;
      f.k = s.k;
      return true;
    }
  return false;
}

// Whether sm_90 has an A or B of this type in this shape.
[[nodiscard]] inline bool wmma_has(const wmma_form& f, element e) noexcept {
  switch (e) {
    case element::f16: case element::bf16: case element::s8: case element::u8: return f.k == 16;
    case element::tf32: return f.k == 8;
    case element::f64: return f.k == 4;
    case element::s4: case element::u4: return f.k == 32;
    case element::b1: return f.k == 128;
    default: return false;
  }
}
// The accumulators that a shape may have.
[[nodiscard]] inline bool wmma_has_accumulator(const wmma_form& f, element e) noexcept {
  switch (e) {
    case element::f16: return f.k == 16;
    case element::f32: return f.k == 16 || f.k == 8;
    case element::f64: return f.k == 4;
    case element::s32: return f.k == 16 || f.k == 32 || f.k == 128;
    default: return false;
  }
}

inline void make_wmma_move(decoding& d, bool store) {
  wmma_form f;
  if (store ? d.take("d") : d.take("c")) f.flags |= is_accumulator;
  else if (!store && d.take("a")) f.flags |= is_a;
  else if (!store && d.take("b")) f.flags |= is_b;
  else return d.refuse("this matrix");
  if (!d.take("sync")) return d.refuse("the form without .sync");
  d.take("aligned");
  if (d.take("col")) f.flags |= by_columns;
  else if (!d.take("row")) return d.refuse("this layout");
  if (!take_wmma_shape(d, f)) return d.refuse("this shape");
  space where = space::generic;
  if (d.take("global")) where = space::global;
  else if (d.take("shared") || d.take("shared::cta")) where = space::shared;
  const element e = element_named(d.take_any());
  f.a = f.b = f.c = f.d = e;
  if (f.flags & is_accumulator ? !wmma_has_accumulator(f, e) : !wmma_has(f, e)) return d.refuse("a type that the shape does not have on sm_90");
  if (element_bits(e) < 8 && ((f.flags & is_b) != 0) != ((f.flags & by_columns) != 0)) return d.refuse("this layout of elements of less than a byte");
  if (d.count() != 2 && d.count() != 3) return d.refuse("an operand count of " + std::to_string(d.count()));
  const wmma_fragment x = f.flags & is_a ? fragment_a(f) : f.flags & is_b ? fragment_b(f) : fragment_c(f, e);
  const operand& address = d.in.operands[store ? 0 : 1];
  // The offset of that is known later, and op::imm is taken.
  if (const symbol* named = d.look_up(address.text); named && named->bytes == ~std::uint64_t{0}) return d.refuse("the name of dynamic shared memory as an address");
  d.address(address);
  if (d.o.imm != static_cast<std::int32_t>(d.o.imm)) return d.refuse("an offset beyond 2 GB");
  d.o.target = static_cast<std::uint32_t>(d.o.imm);
  if (d.o.where != space::generic && d.o.where != where) where = d.o.where;
  d.o.where = where;
  const auto width = static_cast<std::uint8_t>(x.width() / 8);
  if (store) further_sources(d, d.in.operands[1], x.named(), width);
  else further_targets(d, d.in.operands[0], x.named(), width);
  if (!store && d.refusal.empty())
    for (const operand& part : d.in.operands[0].parts)
      if (part.kind == operand::type::discard) d.refuse("a discarded element");
  if (d.count() == 3) {
    d.source(2, 4);
  } else {
    // Without a stride the matrix is dense.
    const bool lines_are_rows = ((f.flags & is_b) != 0) == ((f.flags & by_columns) != 0);
    d.o.s[1] = d.constant(static_cast<std::uint64_t>(lines_are_rows ? x.columns : x.rows), 4);
  }
  d.o.imm = std::bit_cast<std::int64_t>(f);
  make_whole_warp(d);
  d.does(store ? &run_wmma_store : &run_wmma_load);
}

inline void make_wmma(decoding& d) {
  if (d.take("load")) return make_wmma_move(d, false);
  if (d.take("store")) return make_wmma_move(d, true);
  if (!d.take("mma")) return d.refuse("this form");
  wmma_form f;
  const bool is_and = d.take("and"), is_xor = d.take("xor"), popc = d.take("popc");
  if (is_and) f.flags |= bits_and;
  if (!d.take("sync")) return d.refuse("the form without .sync");
  d.take("aligned");
  if (!take_wmma_shape(d, f)) return d.refuse("this shape");
  const std::string_view layout_a = d.take_any(), layout_b = d.take_any();
  if ((layout_a != "row" && layout_a != "col") || (layout_b != "row" && layout_b != "col")) return d.refuse("these layouts");
  if (d.take("satfinite")) f.flags |= clamped;
  d.take("rn");
  const element first = element_named(d.take_any()), second = element_named(d.take_any());
  if (d.left_over().empty()) {
    f.d = first;
    f.c = second;
    f.a = f.b = element::f16;
  } else {
    f.d = first;
    f.a = second;
    f.b = element_named(d.take_any());
    f.c = element_named(d.take_any());
  }
  const bool whole = f.a >= element::s8 && f.a <= element::u4, halves = f.a == element::f16;
  const bool small = f.k == 32 || f.k == 128;
  const element accumulator = whole || f.a == element::b1 ? element::s32 : f.a == element::f64 ? element::f64 : element::f32;
  const auto pair = [&](element x, element y) { return (f.a == x || f.a == y) && (f.b == x || f.b == y); };
  const bool types = pair(element::s8, element::u8) || pair(element::s4, element::u4) || f.a == f.b;
  const auto fits = [&](element e) { return halves ? e == element::f16 || e == element::f32 : e == accumulator; };
  if (!types || !wmma_has(f, f.a) || !wmma_has(f, f.b) || !fits(f.c) || !fits(f.d) || (f.a == element::b1) != popc || popc != (is_and != is_xor) ||
      (!whole && !halves && (f.flags & clamped)) || (small && (layout_a != "row" || layout_b != "col")))
    return d.refuse("types, shape or layouts that sm_90 does not have together");
  if (halves && (f.flags & clamped)) return d.refuse(".satfinite of halves");
  if (!d.want(4)) return;
  const std::uint8_t width = f.a == element::f64 ? 8 : 4;
  further_targets(d, d.in.operands[0], fragment_c(f, f.d).named(), width);
  further_sources(d, d.in.operands[1], fragment_a(f).named(), width);
  further_sources(d, d.in.operands[2], fragment_b(f).named(), width);
  further_sources(d, d.in.operands[3], fragment_c(f, f.c).named(), width);
  d.o.imm = std::bit_cast<std::int64_t>(f);
  make_whole_warp(d);
  d.does(&run_wmma_mma);
}

inline void add_wmma_rows(instruction_table& table) { table["wmma"] = &make_wmma; }

}  // namespace skillbench::ptx::ops
