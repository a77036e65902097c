#pragma once
// ptx/ops/warpgroup.hpp: wgmma, the matrix operation of four warps.
//
// Layer   3.
// Shapes  D (64 x n) = A (64 x k) B (k x n) + D, k elements being 32 bytes. Warp i
//         of the four (warp number % 4) holds rows 16 i to 16 i + 15 of D, and of
//         A when that is in registers; columns 8 j to 8 j + 7 of D are registers
//         as the accumulators of mma.m16n8, A is as that of mma.m16n8 (matrix.hpp).
//         No warp needs what another holds, so each computes its own rows.
// Memory  a descriptor has the start address, the leading and the stride offset,
//         all in 16 bytes (bits 0, 16 and 32 on, 14 bits each), a base offset
//         (bit 49, 3 bits) and the swizzle (bit 62: 0 none, 1, 2, 3 for 128, 64
//         and 32 bytes). With w = 1, 2, 4 or 8 units of 16 bytes by the swizzle:
//           k contiguous: row r, half h of its 32 bytes at 16 w (r % 8) +
//           stride (r / 8) + 16 h, but leading h without a swizzle;
//           rows contiguous (16-bit types): unit c of eight rows of column l at
//           16 w (l % 8) + 16 (c % w) + leading (c / w) + stride (l / 8), but
//           16 (l % 8) + stride c + leading (l / 8) without a swizzle.
//         A swizzle exchanges units: it xors the lowest 1, 2 or 3 bits of the unit
//         number of an address with those of the number of its 128 bytes, counted
//         from the base offset.
// Units   as in matrix.hpp, but for 8-bit floats, where Hopper keeps 13 bits below
//         the largest exponent and cuts the sum to 13 bits: so does this.
// Time    see warpgroup.hpp. D is computed at once; until wgmma.wait_group covers
//         it, an ordinary store to the operands in shared memory is
//         in_flight_access. For races an operand is read at both.
// Errors  missing_fence when ordinary stores to an operand in shared memory have
//         no fence.proxy.async behind them.
//         repaired_by_compiler, a note, for what ptxas sees and repairs, because
//         it concerns registers: D read (other than by a wgmma or a copy to
//         another register) or written in flight, A's registers written in
//         flight; registers going in that were written since the last
//         wgmma.fence, on some path to here.
//         mask_misuse when the four warps do not execute the same wgmma in the
//         same order with the same descriptors.
// Source  PTX ISA 9.0, "Asynchronous Warpgroup Level Matrix Instructions". The
//         13 bits: as the models named in matrix.hpp.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/guard.hpp>
#include <skillbench/ptx/ops/access.hpp>
#include <skillbench/ptx/ops/matrix.hpp>
#include <skillbench/ptx/ops/select.hpp>
#include <skillbench/ptx/products.hpp>
#include <skillbench/ptx/report.hpp>
#include <skillbench/ptx/warpgroup.hpp>

namespace skillbench::ptx::ops {

struct wgmma_form {
  element a = element::none, b = element::none, d = element::none;
  std::uint8_t flags = 0;
  std::uint16_t n = 0, k = 0;
};
enum wgmma_flag : std::uint8_t { a_registers = 1, negative = 2, a_rows = 4, b_rows = 8, clamps = 16, unfenced = 32 };

[[nodiscard]] inline wgmma_form wgmma_form_of(const op& o) noexcept { return std::bit_cast<wgmma_form>(o.imm); }

// ---- matrices in shared memory ---------------------------------------------------

struct matrix_descriptor {
  std::uint32_t start = 0, leading = 0, stride = 0;  // bytes
  std::uint32_t base = 0;   // 128-byte lines
  std::uint32_t units = 1;  // of 16 bytes in a row of the swizzle
  bool rows_contiguous = false;
};

[[nodiscard]] inline matrix_descriptor read_descriptor(std::uint64_t bits, bool rows_contiguous) noexcept {
  static constexpr std::uint32_t units[] = {1, 8, 4, 2};
  const auto field = [&](int at) { return static_cast<std::uint32_t>((bits >> at) & 0x3fff) << 4; };
  return {field(0), field(16), field(32), static_cast<std::uint32_t>((bits >> 49) & 7), units[bits >> 62], rows_contiguous};
}

[[nodiscard]] inline std::uint32_t swizzled(const matrix_descriptor& d, std::uint32_t address) noexcept {
  return address ^ ((((address >> 7) - d.base) & (d.units - 1)) << 4);
}

// Half h of the 32 bytes of a row (k contiguous).
[[nodiscard]] inline std::uint32_t half_row(const matrix_descriptor& d, std::uint32_t row, std::uint32_t h) noexcept {
  return swizzled(d, d.start + 16 * d.units * (row % 8) + d.stride * (row / 8) + h * (d.units == 1 ? d.leading : 16));
}
// Eight rows, number `unit`, of column l (rows contiguous).
[[nodiscard]] inline std::uint32_t eight_rows(const matrix_descriptor& d, std::uint32_t unit, std::uint32_t l) noexcept {
  if (d.units == 1) return d.start + 16 * (l % 8) + d.stride * unit + d.leading * (l / 8);
  return swizzled(d, d.start + 16 * d.units * (l % 8) + 16 * (unit % d.units) + d.leading * (unit / d.units) + d.stride * (l / 8));
}

alignas(16) inline constexpr std::byte no_bytes[16] = {};

// 16 bytes of an operand and the shadow of those that are undefined, or null.
struct operand_piece {
  const std::byte* data = no_bytes;
  const std::uint8_t* shadow = nullptr;
};

// Takes one piece in hand until the group is waited for.
inline operand_piece take_piece(warp& w, std::uint32_t at) {
  shared_memory& of = *w.shared;
  operand_piece out;
  if (at >= of.data.size() || of.data.size() - at < 16) {
    report_access(w, code::out_of_bounds, 0, false, at, 16, "shared",
                  "the matrix of a wgmma descriptor reaches there, and the CTA has " + bytes_words(of.data.size()) + " of it");
    return out;
  }
  out.data = of.data.data() + at;
  std::uint64_t seen[2];
  std::memcpy(seen, of.shadow.data() + at, 16);
  if (seen[0] | seen[1]) {
    if (guarded_access(w, of, 0, at, 16, false)) out.shadow = of.shadow.data() + at;
  }
  if (of.notes[at / 16].thread) check_fenced(w, of, 0, at, 16);
  if (w.shared_races) w.shared_races->shared_lane(w, 0, at, 16, false);
  ++of.matrices.count[at / 16];
  of.matrices.reach(at, at + 16, 1);
  w.flight.pieces.push_back({w.flight.newest, at / 16});
  return out;
}

// A part of a matrix: rows `first` to `first` + `count` - 1 and all of its k.
struct operand_part {
  matrix_descriptor of;
  std::uint32_t first = 0, count = 0;
};

// The places of 32 bytes that the part fills, as many as its rows; false where
// one of them is filled by half. Of 32 aligned bytes both halves are swizzled
// to one place.
inline bool list_places(const operand_part& m, std::vector<std::uint32_t>& all) {
  const matrix_descriptor& d = m.of;
  const std::size_t before = all.size();
  all.resize(before + m.count);
  std::uint32_t* to = all.data() + before;
  const std::uint32_t end = m.first + m.count;
  const std::uint32_t offsets = d.start | d.stride | (d.rows_contiguous || d.units == 1 ? d.leading : 0);
  if (offsets % 32 || (d.rows_contiguous && d.units > 1 && m.count % 16)) return false;
  if (!d.rows_contiguous && d.units > 1) {
    for (std::uint32_t r = m.first; r < end; ++r) *to++ = half_row(d, r, 0) & ~16u;
  } else if (!d.rows_contiguous) {
    for (std::uint32_t r = m.first; r < end; r += 2)
      for (std::uint32_t h = 0; h < 2; ++h) *to++ = half_row(d, r, h);
  } else if (d.units > 1) {
    for (std::uint32_t l = 0; l < 16; ++l)
      for (std::uint32_t unit = m.first / 8; unit < end / 8; unit += 2) *to++ = eight_rows(d, unit, l) & ~16u;
  } else {
    for (std::uint32_t unit = m.first / 8; unit < end / 8; ++unit)
      for (std::uint32_t l = 0; l < 16; l += 2) *to++ = eight_rows(d, unit, l);
  }
  return true;
}

// Ordinary stores to these places all have a fence behind them.
[[nodiscard]] inline bool are_fenced(const warp& w, const std::uint32_t* places, std::size_t n) {
  const shared_memory& of = *w.shared;
  if (of.notes.empty() || !of.unfenced_warps) return true;
  for (std::size_t i = 0; i < n; ++i) {
    const store_note* note = of.notes.data() + places[i] / 16;
    if ((note[0].thread | note[1].thread) && of.unfenced(places[i], 32, w.number)) return false;
  }
  return true;
}

// The list of the places of a part, which its descriptor and its form determine.
inline kept_operand& kept_part(warp& w, std::uint64_t descriptor, const operand_part& m, element type, bool is_a) {
  const std::uint32_t form = 1u | std::uint32_t{m.of.rows_contiguous} << 1 | m.first << 2 | m.count << 9 | static_cast<std::uint32_t>(type) << 20 | std::uint32_t{is_a} << 24;
  kept_operand& k = w.launch->kept->operand_of(descriptor, form);
  if (k.form == form && k.descriptor == descriptor) return k;
  k.form = form;
  k.descriptor = descriptor;
  k.filled = false;
  k.places.clear();
  k.whole = list_places(m, k.places);
  k.of_cta = k.same_cta = 0;
  k.lowest = ~0u;
  k.highest = 0;
  for (const std::uint32_t place : k.places) {
    k.lowest = std::min(k.lowest, place);
    k.highest = std::max(k.highest, place);
  }
  return k;
}

// Whether what was found of the operand holds still.
[[nodiscard]] inline bool is_known(const wgmma_reads& of, const kept_operand& k) {
  return k.of_cta == of.cta && of.is_as_of(k.found_at, k.lowest, k.highest + 32);
}
// Nobody's store races with a load of the operand by this warp.
[[nodiscard]] inline bool may_load(warp& w, const kept_operand& k, bool known) {
  cta_races* const races = w.shared_races;
  return !races || (known && k.stored_by != marks::no_mark && races->may_load(w, k.stored_by)) || races->may_load(w, k.places.data(), k.places.size());
}
// Whether the operand may be taken in hand as a whole.
[[nodiscard]] inline bool is_plain(warp& w, kept_operand& k) {
  shared_memory& of = *w.shared;
  const std::uint32_t* const places = k.places.data();
  const std::size_t n = k.places.size(), size = of.data.size();
  if (!k.whole || k.highest >= size || size - k.highest < 32) return false;
  bool known = is_known(of.matrices, k);
#ifdef SKILLBENCH_DOUBTS
  // For tests: looks again, and what was found must be found again.
  if (known && (!marks::zero_at(of.shadow.data(), places, n) || !are_fenced(w, places, n) ||
                (w.shared_races && k.stored_by != marks::no_mark && w.shared_races->mark_of(places, n) != k.stored_by)))
    std::abort();
#endif
  if (!known) {
    if (!marks::zero_at(of.shadow.data(), places, n) || !are_fenced(w, places, n)) return false;
    // Where a warp has not fenced its stores, others may see less than this one.
    if (of.notes.empty() || !of.unfenced_warps) {
      k.of_cta = of.matrices.cta;
      k.found_at = of.matrices.changes;
      k.stored_by = w.shared_races ? w.shared_races->mark_of(places, n) : marks::no_mark;
      known = true;
    }
  }
  return may_load(w, k, known);
}

// Takes a part in hand when nothing is wrong with any of it; false: nothing was
// done, and it is to be taken piece by piece.
inline bool take_part(warp& w, kept_operand& k) {
  if (!is_plain(w, k)) return false;
  wgmma_flight& f = w.flight;
  const std::uint32_t* const places = k.places.data();
  const std::size_t n = k.places.size();
  if (w.shared_races) w.shared_races->loaded(w, 0, places, n, k.descriptor, k.form);
  w.shared->matrices.reach(k.lowest, k.highest + 32, 1);
  f.operands.push_back({f.newest, f.places.size(), n, k.descriptor, k.form, k.lowest, k.highest + 32});
  f.places.insert(f.places.end(), places, places + n);
  return true;
}

inline void let_go(warp& w, const wgmma_flight::operand& m) {
  const std::uint32_t* const places = w.flight.places.data() + m.first;
  wgmma_reads& of = w.shared->matrices;
  of.reach(m.low, m.high, ~0u);
  if (!w.shared_races) return;
  const kept_operand& k = w.launch->kept->operand_of(m.descriptor, m.form);
  const bool same = k.descriptor == m.descriptor && k.form == m.form;
  if (same ? may_load(w, k, is_known(of, k)) : w.shared_races->may_load(w, places, m.count))
    return w.shared_races->loaded(w, 0, places, m.count, m.descriptor, m.form);
  for (std::size_t i = 0; i < m.count; ++i)
    for (const std::uint32_t half : {0u, 16u}) w.shared_races->shared_lane(w, 0, places[i] + half, 16, false);
}

// A piece of an operand that is in hand already, or else taken now.
inline operand_piece piece_of(warp& w, std::uint32_t at, bool taken) {
  if (taken) return {w.shared->data.data() + at, nullptr};
  return take_piece(w, at);
}

// ---- who comes ---------------------------------------------------------------------

inline void meet_warpgroup(warp& w, std::uint64_t a, std::uint64_t b) {
  wgmma_reads& all = w.shared->matrices;
  const std::uint32_t group = w.number / 4, bit = 1u << (w.number % 4);
  const std::uint64_t number = ++w.flight.issued;
  for (auto& m : all.open) {
    if (m.group != group || m.number != number) continue;
    if ((m.pc != w.pc || m.a != a || m.b != b) && w.launch->seen->first(w.pc, code::mask_misuse))
      w.launch->seen->add(finding_at(*w.launch, w.pc, code::mask_misuse,
                                     "warp " + std::to_string(w.number) + " of " + cta_words(*w.launch, w.cta) + " executes as its wgmma number " +
                                         std::to_string(number) + " the one of " + line_words(*w.launch, w.pc) + ", another warp of its warpgroup " +
                                         (m.pc != w.pc ? "the one of " + line_words(*w.launch, m.pc) : "the same with other matrix descriptors") +
                                         ": all four warps must execute the same one"));
    m.warps |= bit;
    if (m.warps == 15) {
      m = all.open.back();
      all.open.pop_back();
    }
    return;
  }
  all.open.push_back({group, number, w.pc, a, b, bit});
}

// At the end of a CTA: a wgmma that only some warps came to.
inline void report_missing_warps(launch_state& launch, const wgmma_reads& all, std::uint64_t cta) {
  for (const auto& m : all.open) {
    if (!launch.seen->first(m.pc, code::mask_misuse)) continue;
    launch.seen->add(finding_at(launch, m.pc, code::mask_misuse,
                                "only " + std::to_string(std::popcount(m.warps)) + " of the four warps from warp " + std::to_string(4 * m.group) +
                                    " of " + cta_words(launch, cta) + " on execute wgmma, which all of a warpgroup must execute"));
  }
}

// ---- registers in flight -------------------------------------------------------------

// What ptxas repairs is a note: the GPU runs it right.
[[nodiscard]] inline bool first_repair(const warp& w) { return w.launch->seen->first(w.pc, code::repaired_by_compiler, severity::note); }
inline void tell_repaired(const warp& w, std::string how) {
  finding f = finding_at(*w.launch, w.pc, code::repaired_by_compiler, std::move(how));
  f.weight = severity::note;
  w.launch->seen->add(std::move(f));
}

// An instruction that is no wgmma, while one is in flight.
inline void check_flight(warp& w, const op& o, lane_mask active) {
  wgmma_flight& f = w.flight;
  const auto tell = [&](const char* does) {
    if (!first_repair(w)) return;
    tell_repaired(w, thread_words(w, std::countr_zero(active)) + does + " the wgmma of " + line_words(*w.launch, f.pc) +
                         ", which is in flight until a wgmma.wait_group covers it; ptxas puts a wait in (C7517)");
  };
  const further& more = w.launch->code->more[o.more];
  if (o.run == &run_mov<std::uint32_t>) {
    f.written[o.d[0].slot] = f.written[o.s[0].slot];
    if (f.locked[o.d[0].slot] > f.done) tell(" writes a register of");
    return;
  }
  const auto read = [&](ref r) { if (f.written[r.slot] > f.done) tell(" reads an accumulator of"); };
  const auto write = [&](ref r) {
    if (f.locked[r.slot] > f.done) tell(" writes a register of");
    f.written[r.slot] = 0;
  };
  for (int i = 0; i < o.sources; ++i) read(o.s[i]);
  for (const ref& s : more.s) read(s);
  for (int i = 0; i < o.targets; ++i) write(o.d[i]);
  for (const ref& d : more.d) write(d);
}

// ---- arithmetic ------------------------------------------------------------------------

// As multiply_rows with k 32, for 8-bit floats: see "Units".
inline void multiply_rows_of_bytes(const float* a, const float* b, const float* a_sizes, const float* b_sizes, float* even, float* odd, bool to_half) noexcept {
  for (int i = 0; i < 8; ++i)
    for (int j = 0; j < 8; ++j) {
      float& c = j < 4 ? even[4 * i + j] : odd[4 * i + j - 4];
      float plain = c, largest = c == 0 ? 0 : std::max(std::bit_cast<float>(std::bit_cast<std::uint32_t>(c) & 0x7f800000u), 0x1p-126f);
      for (int l = 0; l < 32; ++l) {
        plain += a[32 * i + l] * b[8 * l + j];
        largest = std::max(largest, a_sizes[32 * i + l] * b_sizes[8 * l + j]);
      }
      if (!std::isfinite(plain) || largest == 0) {
        c = without_nan_payload(plain);
        continue;
      }
      const double scale = 0x1p13 / static_cast<double>(largest);
      double sum = std::trunc(static_cast<double>(c) * scale);
      for (int l = 0; l < 32; ++l) sum += std::trunc(static_cast<double>(a[32 * i + l] * b[8 * l + j]) * scale);
      sum /= scale;  // at most 13 + 6 bits: exact
      const auto rounded = static_cast<float>(sum);
      c = to_half ? rounded : std::bit_cast<float>(std::bit_cast<std::uint32_t>(rounded) & 0xfffffc00u);
    }
}

// 2^exponent of an 8-bit float, subnormals at the least exponent, 0 for zero.
[[nodiscard]] inline float size_of_byte(element e, float x) noexcept {
  if (x == 0) return 0;
  return std::max(std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0x7f800000u), e == element::e4m3 ? 0x1p-6f : 0x1p-14f);
}

// The rows of A that are undefined, when it is in registers.
inline std::uint32_t undefined_rows(warp& w, const ref* a) {
  std::uint32_t bad = 0;
  for (int r = 0; r < 4; ++r)
    for (lane_mask left = lane_taint<std::uint32_t>(w, a[r]); left; left &= left - 1) bad |= 1u << (std::countr_zero(left) / 4 + 8 * (r % 2));
  return bad;
}

// This warp's 16 rows of A, 32 bytes each, and the mask of undefined ones.
inline std::uint32_t gather_a(warp& w, const wgmma_form& f, const further& all, const matrix_descriptor& d, bool taken, std::byte (*rows)[32]) {
  std::uint32_t bad = 0;
  const std::uint32_t first = w.number % 4 * 16;
  if (f.flags & a_registers) {
    const ref* a = all.s.data();
    for (int r = 0; r < 4; ++r) {
      const auto* words = w.lanes<std::uint32_t>(a[r]);
      for (int l = 0; l < warp_lanes; ++l) std::memcpy(&rows[l / 4 + 8 * (r % 2)][16 * (r / 2) + 4 * (l % 4)], &words[l], 4);
    }
    return undefined_rows(w, a);
  }
  if (d.rows_contiguous) {
    for (std::uint32_t unit = 0; unit < 2; ++unit)
      for (std::uint32_t l = 0; l < 16; ++l) {
        const operand_piece p = piece_of(w, eight_rows(d, first / 8 + unit, l), taken);
        for (std::uint32_t i = 0; i < 8; ++i) {
          std::memcpy(&rows[8 * unit + i][2 * l], p.data + 2 * i, 2);
          if (p.shadow && (p.shadow[2 * i] | p.shadow[2 * i + 1])) bad |= 1u << (8 * unit + i);
        }
      }
    return bad;
  }
  for (std::uint32_t i = 0; i < 16; ++i)
    for (std::uint32_t h = 0; h < 2; ++h) {
      const operand_piece p = piece_of(w, half_row(d, first + i, h), taken);
      std::memcpy(&rows[i][16 * h], p.data, 16);
      if (p.shadow) bad |= 1u << i;
    }
  return bad;
}

// Columns 8 j to 8 j + 7 of B: pieces of k or of columns, and the mask of undefined
// columns.
inline std::uint32_t gather_b(warp& w, const matrix_descriptor& d, std::uint32_t j, bool taken, const void** pieces) {
  std::uint32_t bad = 0;
  if (d.rows_contiguous) {
    for (std::uint32_t l = 0; l < 16; ++l) {
      const operand_piece p = piece_of(w, eight_rows(d, j, l), taken);
      pieces[l] = p.data;
      for (std::uint32_t i = 0; p.shadow && i < 8; ++i)
        if (p.shadow[2 * i] | p.shadow[2 * i + 1]) bad |= 1u << i;
    }
    return bad;
  }
  if (taken) {
    for (std::uint32_t i = 0; i < 8; ++i) {
      const std::uint32_t first = half_row(d, 8 * j + i, 0);
      pieces[i] = w.shared->data.data() + first;
      pieces[8 + i] = w.shared->data.data() + (d.units > 1 ? first ^ 16 : half_row(d, 8 * j + i, 1));
    }
    return 0;
  }
  for (std::uint32_t h = 0; h < 2; ++h)
    for (std::uint32_t i = 0; i < 8; ++i) {
      const operand_piece p = take_piece(w, half_row(d, 8 * j + i, h));
      pieces[8 * h + i] = p.data;
      if (p.shadow) bad |= 1u << i;
    }
  return bad;
}

[[nodiscard]] inline std::uint32_t element_in(const void* bytes, int bits, int i) noexcept {
  std::uint32_t out = 0;
  std::memcpy(&out, static_cast<const std::byte*>(bytes) + i * bits / 8, static_cast<std::size_t>(bits / 8));
  return out;
}

// Rows of k of B in worked order, as floats.
inline void widen_b(const wgmma_form& f, const void* const* pieces, float* to) noexcept {
  const int bits = element_bits(f.b), half = f.k / 2;
  if (bits == 16 && (f.flags & b_rows)) {
    for (int l = 0; l < 16; ++l) {
      row_in_worked_order(pieces[l], f.b == element::bf16, to + 8 * l);
    }
  } else if (bits == 16) {
    rows_of_columns(pieces, f.b == element::bf16, to);
    rows_of_columns(pieces + 8, f.b == element::bf16, to + 64);
  } else {
    for (int j = 0; j < 8; ++j)
      for (int l = 0; l < f.k; ++l) to[8 * l + worked_at(j)] = float_of(f.b, element_in(pieces[8 * (l / half) + j], bits, l % half));
  }
}

// What a taken part holds, and whether that is what it held when it was kept.
inline void same_now(const warp& w, kept_operand& k) {
  k.same_cta = w.shared->matrices.cta;
  k.same_at = w.shared->matrices.changes;
}
inline void keep_bytes(const warp& w, kept_operand& k) {
  k.bytes.resize(32 * k.places.size());
  for (std::size_t i = 0; i < k.places.size(); ++i) std::memcpy(k.bytes.data() + 32 * i, w.shared->data.data() + k.places[i], 32);
  same_now(w, k);
}
[[nodiscard]] inline bool is_as_kept(const warp& w, kept_operand& k) {
  if (!k.filled) return false;
  const wgmma_reads& of = w.shared->matrices;
  const bool known = k.same_cta == of.cta && of.is_as_of(k.same_at, k.lowest, k.highest + 32);
#ifndef SKILLBENCH_DOUBTS
  if (known) return true;
#endif
  if (!marks::same_at(w.shared->data.data(), k.places.data(), k.places.size(), k.bytes.data())) {
    if (known) std::abort();  // something stored and did not say so
    return false;
  }
  same_now(w, k);
  return true;
}

// B, taken, as panels of floats: made anew when other bytes are there than the ones
// that the kept panels were made of.
inline const float* widened_b(warp& w, const wgmma_form& f, const matrix_descriptor& d, kept_operand& k) {
  const std::size_t each = std::size_t{8} * f.k;
  if (is_as_kept(w, k)) return k.floats.data();
  keep_bytes(w, k);
  k.floats.resize(each * f.n / 8);
  for (std::uint32_t j = 0; j < f.n / 8u; ++j) {
    const void* pieces[16];
    gather_b(w, d, j, true, pieces);
    widen_b(f, pieces, k.floats.data() + each * j);
  }
  k.filled = true;
  return k.floats.data();
}

inline void run_wgmma(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  expect_whole_warp(w, active, "wgmma.mma_async");
  const wgmma_form f = wgmma_form_of(o);
  const further& all = w.launch->code->more[o.more];
  const int lead = std::countr_zero(active);
  const bool from_registers = f.flags & a_registers;

  // What all lanes must agree on.
  const auto* first = w.lanes<std::uint64_t>(o.s[0]);
  const auto* second = w.lanes<std::uint64_t>(o.s[1]);
  const std::uint64_t a = from_registers ? 0 : first[lead], b = second[lead];
  if (lane_mask bad = (from_registers ? 0 : lane_taint<std::uint64_t>(w, o.s[0])) | lane_taint<std::uint64_t>(w, o.s[1]); bad &= active) {
    report_undefined(w, std::countr_zero(bad), "a matrix descriptor");
    return;
  }
  if (const lane_mask bad = predicate_taint(w, o.s[2]) & active) report_undefined(w, std::countr_zero(bad), "the scale of an accumulator");
  const lane_mask scales = w.predicate(o.s[2]) & active;
  bool same = scales == 0 || scales == active;
  for (int l = 0; l < warp_lanes; ++l)
    if ((active >> l) & 1u) same &= second[l] == b && (from_registers || first[l] == a);
  if (!same && w.launch->seen->first(w.pc, code::mask_misuse))
    w.launch->seen->add(finding_at(*w.launch, w.pc, code::mask_misuse,
                                   "the threads of warp " + std::to_string(w.number) + " of " + cta_words(*w.launch, w.cta) +
                                       " give wgmma different matrix descriptors or scales, which must be the same"));
  const bool adds = (scales >> lead) & 1u;
  meet_warpgroup(w, a, b);

  wgmma_flight& flight = w.flight;
  flight.newest = flight.committed + 1;
  flight.pending = true;
  flight.pc = w.shared->matrices.pc = w.pc;
  if ((f.flags & unfenced) && first_repair(w))
    tell_repaired(w, thread_words(w, lead) + " starts a wgmma with registers that were written since the last wgmma.fence; ptxas puts one in (C7519)");
  for (std::size_t i = 0; i < (from_registers ? 4u : 0u); ++i)
    if (flight.written[all.s[i].slot] > flight.done && first_repair(w))
      tell_repaired(w, thread_words(w, lead) + " multiplies accumulators of a wgmma that is in flight until a wgmma.wait_group covers it; ptxas puts a wait in (C7517)");
  std::uint32_t *const locked = flight.locked.data(), *const written = flight.written.data();
  const std::uint32_t newest = flight.newest;
  for (const ref& r : all.s) locked[r.slot] = newest;
  for (const ref& r : all.d) written[r.slot] = newest;

  alignas(64) std::byte rows[16][32];
  const bool half = f.d == element::f16, floats = is_float(f.a), bytes = floats && element_bits(f.a) == 8;
  const bool wider = floats && !bytes && !half && marks::are_wide();
  const bool straight = wider && from_registers && !(f.flags & negative);
  const matrix_descriptor of_a = read_descriptor(a, f.flags & a_rows);
  kept_operand* const kept_a = from_registers ? nullptr : &kept_part(w, a, {of_a, w.number % 4 * 16, 16}, f.a, true);
  const bool a_taken = kept_a && take_part(w, *kept_a);
  const bool keeps_a = a_taken && wider && !(f.flags & negative);
  alignas(64) float spread[16 * 64];
  const bool knows_a = keeps_a && is_as_kept(w, *kept_a);
  const std::uint32_t bad_rows = straight ? undefined_rows(w, all.s.data()) : knows_a ? 0 : gather_a(w, f, all, of_a, a_taken, rows);
  const matrix_descriptor of_b = read_descriptor(b, f.flags & b_rows);
  kept_operand& kept_b = kept_part(w, b, {of_b, 0, f.n}, f.b, false);
  const bool b_taken = take_part(w, kept_b);
  const float* of_left = spread;
  if (knows_a && kept_a != &kept_b) of_left = kept_a->floats.data();
  else if (knows_a) std::memcpy(spread, kept_a->floats.data(), sizeof(float) * 64 * f.k);  // before B takes its place
  alignas(64) float left[16 * 32], right[32 * 8], a_sizes[16 * 32], b_sizes[32 * 8];
  std::int32_t whole_left[16 * 32];
  const int bits = element_bits(f.a);
  if (floats && !straight && !knows_a) {
    for (int i = 0; i < 16; ++i) {
      if (bits == 16) {
        widen_eight(rows[i], f.a == element::bf16, left + 16 * i);
        widen_eight(rows[i] + 16, f.a == element::bf16, left + 16 * i + 8);
      } else {
        for (int l = 0; l < f.k; ++l) left[f.k * i + l] = float_of(f.a, element_in(rows[i], bits, l));
      }
    }
    if (f.flags & negative)
      for (int i = 0; i < 16 * f.k; ++i) left[i] = -left[i];
    if (bytes)
      for (int i = 0; i < 16 * 32; ++i) a_sizes[i] = size_of_byte(f.a, left[i]);
  } else if (!floats && f.a != element::b1) {
    for (int i = 0; i < 16; ++i)
      for (int l = 0; l < 32; ++l) whole_left[32 * i + l] = integer_of(f.a, element_in(rows[i], 8, l));
  }

  const int per_panel = half ? 2 : 4;
  if (straight) {
    for (int r = 0; r < 4; ++r) sixteen::spread_register(w.lanes<std::uint32_t>(all.s[static_cast<std::size_t>(r)]), kind_of(f.a), r, spread);
  } else if (wider && !knows_a) {
    sixteen::spread_rows(left, f.k, spread);
    if (keeps_a && kept_a != &kept_b) {
      keep_bytes(w, *kept_a);
      kept_a->floats.assign(spread, spread + 64 * f.k);
      kept_a->filled = true;
    }
  }
  const float* const panels = wider && b_taken ? widened_b(w, f, of_b, kept_b) : nullptr;
  for (int j = 0; j < f.n / 8; ++j) {
    const ref* d = all.d.data() + per_panel * j;
    if (panels) {
      float* const to[] = {w.lanes<float>(d[0]), w.lanes<float>(d[1]), w.lanes<float>(d[2]), w.lanes<float>(d[3])};
      sixteen::multiply_panel(of_left, panels + 8 * f.k * j, f.k, to, adds);
      if (!(bad_rows | w.tainted[d[0].slot] | w.tainted[d[1].slot] | w.tainted[d[2].slot] | w.tainted[d[3].slot])) continue;
    }
    const void* pieces[16];
    const std::uint32_t bad_columns = panels ? 0 : gather_b(w, of_b, static_cast<std::uint32_t>(j), b_taken, pieces);
    std::uint8_t tainted = 0;
    for (int r = 0; r < per_panel; ++r) tainted |= w.tainted[d[r].slot];
    if (panels) {
      // done
    } else if (floats) {
      widen_b(f, pieces, right);
      if (bytes)
        for (int i = 0; i < 32 * 8; ++i) b_sizes[i] = size_of_byte(f.b, right[i]);
      if (wider) {
        float* const to[] = {w.lanes<float>(d[0]), w.lanes<float>(d[1]), w.lanes<float>(d[2]), w.lanes<float>(d[3])};
        sixteen::multiply_panel(of_left, right, f.k, to, adds);
      }
      for (int r = 0; r < (wider ? 0 : 2); ++r) {
        alignas(64) float pair[2][warp_lanes];
        float* even = half ? pair[0] : w.lanes<float>(d[2 * r]);
        float* odd = half ? pair[1] : w.lanes<float>(d[2 * r + 1]);
        if (!adds) {
          std::memset(even, 0, sizeof pair[0]);
          std::memset(odd, 0, sizeof pair[0]);
        } else if (half) {
          widen_pairs(w.lanes<std::uint32_t>(d[r]), even, odd);
        }
        if (bytes) multiply_rows_of_bytes(left + 8 * 32 * r, right, a_sizes + 8 * 32 * r, b_sizes, even, odd, half);
        else multiply_rows(left + 8 * r * f.k, f.k, right, f.k, even, odd);
        if (half) narrow_pairs(even, odd, w.lanes<std::uint32_t>(d[r]));
      }
    } else {
      for (int r = 0; r < 4; ++r) {
        auto* out = w.lanes<std::int32_t>(d[r]);
        for (int l = 0; l < warp_lanes; ++l) {
          const int row = row_of(l, r), column = column_of(l, r);
          std::int64_t sum = adds ? out[l] : 0;
          if (f.a == element::b1) {
            for (int i = 0; i < 8; ++i)
              sum += std::popcount(element_in(rows[row], 32, i) & element_in(pieces[8 * (i / 4) + column], 32, i % 4));
          } else {
            for (int i = 0; i < 32; ++i)
              sum += whole_left[32 * row + i] * integer_of(f.b, element_in(pieces[8 * (i / 16) + column], 8, i % 16));
          }
          out[l] = static_cast<std::int32_t>(wrapped_or_clamped(sum, f.flags & clamps));
        }
      }
    }
    if (!(bad_rows | bad_columns | tainted)) continue;
    for (int r = 0; r < per_panel; ++r) {
      std::uint32_t shade[warp_lanes];
      for (int l = 0; l < warp_lanes; ++l) {
        shade[l] = adds ? w.shades<std::uint32_t>(d[r])[l] : 0;
        for (int h = 0; h < (half ? 2 : 1); ++h) {
          const int i = half ? 2 * r + h : r;
          const std::uint32_t mine = half ? 0xffffu << (16 * h) : ~0u;
          if (shade[l] & mine || ((bad_rows >> row_of(l, i)) & 1u) || ((bad_columns >> column_of(l, i)) & 1u)) shade[l] |= mine;
        }
      }
      shade_lanes(w, d[r], shade, every_lane);
    }
  }
}

inline void run_wgmma_fence(warp& w, const op&, lane_mask active) {
  if (active) expect_whole_warp(w, active, "wgmma.fence");
}

inline void run_wgmma_commit(warp& w, const op&, lane_mask active) {
  if (!active) return;
  expect_whole_warp(w, active, "wgmma.commit_group");
  ++w.flight.committed;
}

inline void run_wgmma_wait(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  expect_whole_warp(w, active, "wgmma.wait_group");
  wgmma_flight& f = w.flight;
  const auto left = static_cast<std::uint64_t>(o.imm);
  if (f.committed > left) f.done = std::max(f.done, static_cast<std::uint32_t>(f.committed - left));
  while (f.first_piece < f.pieces.size() && f.pieces[f.first_piece].group <= f.done) {
    const std::uint32_t index = f.pieces[f.first_piece++].index;
    --w.shared->matrices.count[index];
    w.shared->matrices.reach(16 * index, 16 * index + 16, ~0u);
    if (w.shared_races) w.shared_races->shared_lane(w, 0, 16ull * index, 16, false);
  }
  while (f.first_operand < f.operands.size() && f.operands[f.first_operand].group <= f.done) let_go(w, f.operands[f.first_operand++]);
  f.tidy();
  f.pending = f.newest > f.done;
}

// ---- fences, before anything runs --------------------------------------------------------

// Marks each wgmma that some path reaches with an accumulator or a register of A
// written since the last wgmma.fence. What a wgmma wrote itself, and copies of it,
// need no fence. A function that is called is taken to start fenced.
inline void mark_unfenced(program& p) {
  const std::size_t words = p.registers.size() / 64 + 1;
  using bits = std::vector<std::uint64_t>;
  const auto has = [](const bits& of, std::uint32_t i) { return ((of[i >> 6] >> (i & 63)) & 1) != 0; };
  const auto put = [](bits& of, std::uint32_t i, bool on) {
    const std::uint64_t bit = std::uint64_t{1} << (i & 63);
    on ? of[i >> 6] |= bit : of[i >> 6] &= ~bit;
  };
  // One instruction's effect on the set of registers written since a fence.
  const auto pass = [&](const op& o, bits& fresh) {
    if (o.run == &run_wgmma_fence) {
      if (!o.guarded) fresh.assign(words, 0);
      return;
    }
    const further& more = p.more[o.more];
    const bool copies = o.run == &run_mov<std::uint32_t> && p.registers[o.s[0].slot].shareable;
    for (int i = 0; i < o.targets; ++i) put(fresh, o.d[i].slot, copies ? has(fresh, o.s[0].slot) : true);
    for (const ref& d : more.d) put(fresh, d.slot, o.run != &run_wgmma);
  };
  for (std::size_t f = 0; f < p.function_starts.size(); ++f) {
    const std::uint32_t begin = p.function_starts[f];
    const auto end = f + 1 < p.function_starts.size() ? p.function_starts[f + 1] : static_cast<std::uint32_t>(p.code.size());
    std::vector<bits> at(end - begin);  // where a block starts
    std::vector<std::uint32_t> todo;
    const auto flow_to = [&](std::uint32_t to, const bits& from) {
      if (to < begin || to >= end) return;
      bits& there = at[to - begin];
      bool more = there.empty();
      if (more) there.assign(words, 0);
      for (std::size_t i = 0; i < words; ++i) {
        more |= (from[i] & ~there[i]) != 0;
        there[i] |= from[i];
      }
      if (more) todo.push_back(to);
    };
    std::vector<bool> starts(end - begin, false);
    for (std::uint32_t i = begin; i < end; ++i) {
      const op& o = p.code[i];
      if (o.kind == flow::branch && o.target >= begin && o.target < end) starts[o.target - begin] = true;
      if (o.kind == flow::indexed)
        for (const std::uint32_t to : p.tables[static_cast<std::size_t>(o.imm)])
          if (to >= begin && to < end) starts[to - begin] = true;
    }
    flow_to(begin, bits(words, f == 0 ? ~std::uint64_t{0} : 0));
    while (!todo.empty()) {
      std::uint32_t i = todo.back();
      todo.pop_back();
      bits fresh = at[i - begin];
      for (bool first = true; i < end; ++i, first = false) {
        op& o = p.code[i];
        if (!first && starts[i - begin]) {
          flow_to(i, fresh);
          break;
        }
        if (o.run == &run_wgmma) {
          wgmma_form form = wgmma_form_of(o);
          for (const ref& s : p.more[o.more].s)
            if (has(fresh, s.slot)) form.flags |= unfenced;
          o.imm = std::bit_cast<std::int64_t>(form);
        }
        if (o.kind == flow::branch) flow_to(o.target, fresh);
        if (o.kind == flow::indexed)
          for (const std::uint32_t to : p.tables[static_cast<std::size_t>(o.imm)]) flow_to(to, fresh);
        const bool leaves = o.kind == flow::branch || o.kind == flow::indexed || o.kind == flow::ret || o.kind == flow::exit;
        if ((leaves && !o.guarded) || o.kind == flow::unsupported) break;
        pass(o, fresh);
      }
    }
  }
}

// ---- rows -----------------------------------------------------------------------------------

inline bool take_wgmma_types(decoding& d, wgmma_form& f) {
  static constexpr int some_n[] = {8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256};
  const std::string_view shape = d.take_any();
  const std::size_t n_at = shape.find('n'), k_at = shape.find('k');
  const auto number = [](std::string_view text) {
    int out = text.empty() || text.size() > 3 ? -1 : 0;
    for (const char c : text) out = out < 0 || c < '0' || c > '9' ? -1 : 10 * out + (c - '0');
    return out;
  };
  if (n_at == std::string_view::npos || k_at == std::string_view::npos || k_at < n_at || shape.substr(0, n_at) != "m64") return false;
  const int n = number(shape.substr(n_at + 1, k_at - n_at - 1)), k = number(shape.substr(k_at + 1));
  if (d.take("satfinite")) f.flags |= clamps;
  f.d = element_named(d.take_any());
  f.a = element_named(d.take_any());
  f.b = element_named(d.take_any());
  if (n < 8 || n > 256 || n % 8 || element_bits(f.a) == 0 || k * element_bits(f.a) != 256) return false;
  f.n = static_cast<std::uint16_t>(n);
  f.k = static_cast<std::uint16_t>(k);
  const auto whole = [](element e) { return e == element::s8 || e == element::u8; };
  const auto byte_float = [](element e) { return e == element::e4m3 || e == element::e5m2; };
  if (f.a == element::f16) return f.b == f.a && (f.d == element::f16 || f.d == element::f32);
  if (f.a == element::bf16 || f.a == element::tf32) return f.b == f.a && f.d == element::f32;
  if (byte_float(f.a)) return byte_float(f.b) && (f.d == element::f16 || f.d == element::f32);
  if (f.d != element::s32 || std::find(std::begin(some_n), std::end(some_n), n) == std::end(some_n)) return false;
  if (whole(f.a)) return whole(f.b);
  return f.a == element::b1 && f.b == f.a && d.take("and") && d.take("popc");
}

inline void make_wgmma_async(decoding& d) {
  if (d.take("sp")) return d.refuse("a sparse matrix");
  if (!d.take("sync")) return d.refuse("the form without .sync");
  d.take("aligned");
  wgmma_form f;
  if (!take_wgmma_types(d, f)) return d.refuse("types or a shape that sm_90a does not have together");
  const bool floats = is_float(f.a), turns = element_bits(f.a) == 16;
  if (floats && (f.flags & clamps)) return d.refuse(".satfinite of floats");
  if (d.count() < 4) return d.refuse("an operand count of " + std::to_string(d.count()));
  if (d.in.operands[1].kind == operand::type::list) f.flags |= a_registers;
  const bool from_registers = f.flags & a_registers;
  if (!d.want(4 + (floats ? 2 : 0) + (turns ? (from_registers ? 1 : 2) : 0))) return;
  const auto one_of = [&](std::size_t i, std::uint64_t x, std::uint64_t y) -> std::optional<std::uint64_t> {
    const auto value = d.literal(d.in.operands[i]);
    if (value && (*value == x || *value == y)) return value;
    d.refuse("operand " + std::to_string(i + 1) + ", which must be one of two constants");
    return std::nullopt;
  };
  if (floats) {
    const auto x = one_of(4, 1, ~std::uint64_t{0}), y = one_of(5, 1, ~std::uint64_t{0});
    if (x && y && *x != *y) f.flags |= negative;
  }
  if (turns) {
    if (!from_registers && one_of(6, 0, 1) == std::uint64_t{1}) f.flags |= a_rows;
    if (one_of(from_registers ? 6 : 7, 0, 1) == std::uint64_t{1}) f.flags |= b_rows;
  }
  const int targets = f.n / 8 * (f.d == element::f16 ? 2 : 4);
  further_targets(d, d.in.operands[0], targets, 4);
  for (const operand& part : d.in.operands[0].parts)
    if (part.kind == operand::type::discard) return d.refuse("a discarded accumulator");
  if (from_registers) {
    further_sources(d, d.in.operands[1], 4, 4);
    ++d.o.sources;
  } else {
    d.source(1, 8);
  }
  further_sources(d, d.in.operands[0], targets, 4);
  d.source(2, 8);
  d.source(3, 0);
  d.o.imm = std::bit_cast<std::int64_t>(f);
  make_whole_warp(d);
  d.uses_warpgroups();
  d.does(&run_wgmma);
}

inline void make_wgmma(decoding& d) {
  const auto whole = [&] {
    const bool sync = d.take("sync");
    d.take("aligned");
    if (!sync) d.refuse("the form without .sync");
    make_whole_warp(d);
    d.uses_warpgroups();
  };
  if (d.take("mma_async")) return make_wgmma_async(d);
  if (d.take("fence")) {
    whole();
    if (!d.want(0)) return;
    return d.does(&run_wgmma_fence);
  }
  if (d.take("commit_group")) {
    whole();
    if (!d.want(0)) return;
    return d.does(&run_wgmma_commit);
  }
  if (!d.take("wait_group")) return d.refuse("this form");
  whole();
  if (!d.want(1)) return;
  const auto n = d.literal(d.in.operands[0]);
  if (!n || *n > 7) return d.refuse("a count of groups that is no constant from 0 to 7");
  d.o.imm = static_cast<std::int64_t>(*n);
  d.o.unit = 1;
  d.does(&run_wgmma_wait);
}

inline void add_warpgroup_rows(instruction_table& table) { table["wgmma"] = &make_wgmma; }

}  // namespace skillbench::ptx::ops
