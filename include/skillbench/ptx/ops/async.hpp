#pragma once
// ptx/ops/async.hpp: asynchronous copies of threads: cp.async and its groups.
//
// Layer   3.
// Source  PTX ISA 9.0, "cp.async", "cp.async.commit_group",
//         "cp.async.wait_group, cp.async.wait_all".
// The source is read when the copy is issued and the target written when a wait
// covers it (see async.hpp). A thread that ends with copies in flight leaves
// them so: whoever reads or overwrites their targets is told, and if nobody
// does there is nothing wrong.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/guard.hpp>
#include <skillbench/ptx/ops/access.hpp>

namespace skillbench::ptx::ops {

// ---- addresses of operations with several ----------------------------------------

// Lanes of an address in register `r` plus an offset; undefined ones are told
// and left out of `active`.
[[nodiscard]] inline lane_addresses addresses_of(warp& w, ref r, unsigned width, std::int64_t offset, lane_mask active) {
  op one;
  one.s[0] = r;
  one.address_width = static_cast<std::uint8_t>(width);
  one.imm = offset;
  return addresses(w, one, active);
}

// One lane of a 32-bit source; an undefined one is told as `what`.
[[nodiscard]] inline bool defined_lanes(warp& w, ref r, lane_mask active, std::string_view what) {
  const lane_mask bad = w.tainted[r.slot] ? lane_taint<std::uint32_t>(w, r) & active : 0;
  if (bad) report_undefined(w, std::countr_zero(bad), what);
  return !bad;
}

[[nodiscard]] inline std::uint32_t thread_of(const warp& w, int lane) {
  return w.number * warp_lanes + static_cast<std::uint32_t>(lane);
}

// ---- landing -----------------------------------------------------------------------

// The bytes of these lanes become visible. The machine runs one warp at a time,
// so all threads see them from here on; that others may look only after a
// barrier is for the check of races.
template <unsigned Bytes>
inline void land_bytes(shared_memory& of, const copy_batch& b, unsigned l) {
  std::memcpy(of.data.data() + b.to[l], b.data[l], Bytes);
  std::memset(of.shadow.data() + b.to[l], defined, Bytes);
}
// Of the plain batch b these lanes become visible, or are marked in flight.
inline void put_plain(shared_memory& of, std::uint32_t warp_number, const copy_batch& b, lane_mask lanes, std::uint8_t shade, bool with_data) {
  std::uint8_t shades[16];
  std::memset(shades, shade, sizeof shades);
  std::uint32_t low = ~0u, high = 0;
  for (lane_mask left = lanes; left; left &= left - 1) {
    const auto l = static_cast<unsigned>(std::countr_zero(left));
    const std::uint32_t at = b.to[l];
    low = std::min(low, at);
    high = std::max(high, at);
    std::memcpy(of.shadow.data() + at, shades, 16);
    if (with_data) std::memcpy(of.data.data() + at, b.data[l], 16);
  }
  of.matrices.change(low, high - low + 16);
  if (of.notes.empty()) return;
  for (lane_mask left = lanes; left; left &= left - 1) {
    const auto l = static_cast<unsigned>(std::countr_zero(left));
    of.put_note(b.to[l], warp_number, l, b.pc);
  }
}

inline void land(shared_memory& of, std::uint32_t warp_number, copy_batch& b, lane_mask lanes) {
  if (b.plain) {
    put_plain(of, warp_number, b, lanes, defined, true);
    b.lanes &= ~lanes;
    return;
  }
  for (lane_mask left = lanes; left; left &= left - 1) {
    const auto l = static_cast<unsigned>(std::countr_zero(left));
    b.bytes == 16 ? land_bytes<16>(of, b, l) : b.bytes == 8 ? land_bytes<8>(of, b, l) : land_bytes<4>(of, b, l);
    std::uint8_t* shadow = of.shadow.data() + b.to[l];
    if (b.undefined_bytes[l])
      for (unsigned i = 0; i < b.bytes; ++i)
        if ((b.undefined_bytes[l] >> i) & 1u) shadow[i] = undefined;
    // cp.async writes as ordinary stores do: a wgmma needs a fence behind it.
    of.note_store(b.to[l], warp_number, l, b.pc);
  }
  b.lanes &= ~lanes;
}

// Lands of each batch the lanes that `which` gives.
template <typename Which>
void land_where(shared_memory& of, std::uint32_t warp_number, Which&& which) {
  warp_copies& all = of.copies[warp_number];
  std::size_t kept = 0;
  for (const std::uint32_t index : all.flying) {
    copy_batch& b = all.pool[index];
    if (const lane_mask lanes = which(b) & b.lanes) land(of, warp_number, b, lanes);
    if (b.lanes) {
      all.flying[kept++] = index;
    } else {
      all.unused.push_back(index);
      --of.guarded;
    }
  }
  all.flying.resize(kept);
}

// ---- cp.async ----------------------------------------------------------------------

// For races a copy stores twice: when it starts, what others still load there is
// overwritten; when it lands, what it brought is there to be loaded.
inline void note_copy(warp& w, const copy_batch& b, lane_mask lanes) {
  if (!w.shared_races || !lanes) return;
  std::uint64_t at[warp_lanes];
  for (int l = 0; l < warp_lanes; ++l) at[l] = b.to[l];
  const std::uint32_t now = std::exchange(w.pc, b.pc);
  w.shared_races->shared_rows(w, at, lanes, b.bytes, true);
  w.pc = now;
}

[[nodiscard]] inline bool all_defined(const std::uint8_t* shadow, unsigned bytes) noexcept {
  return !any_of(shadow, bytes, 0xff);
}

// Takes all lanes in hand where nothing is wrong with any of them: whole pieces
// of 16 aligned bytes, which lie in one run, or zeros. False: nothing was done.
inline bool copies_plainly(warp& w, copy_batch& b, const lane_addresses& to, const lane_addresses& from, const run_of_memory& run, lane_mask reads, const std::uint32_t* sizes) {
  shared_memory& of = *w.shared;
  if (b.bytes != 16 || !to.active || !of.held.empty() || of.data.size() < 16 || (reads && !run.data)) return false;
  std::uint64_t bits = 0, low = ~std::uint64_t{0}, high = 0;
  std::uint32_t parts = 0;
  for (lane_mask left = to.active; left; left &= left - 1) {
    const int l = std::countr_zero(left);
    bits |= to.at[l];
    low = std::min(low, to.at[l]);
    high = std::max(high, to.at[l]);
    if ((reads >> l) & 1u) parts |= sizes[l] ^ 16;
  }
  if (bits % 16 || high > of.data.size() - 16 || parts) return false;
  const bool near = of.matrices.any_near(low, high - low + 16);
  constexpr std::uint64_t taken = (in_flight | mbarrier_bytes) * 0x0101010101010101ull, stretch = 65536;
  if (high - low >= stretch) return false;
  std::uint64_t there = 0, shaded = 0, places[stretch / 16 / 64] = {};
  for (lane_mask left = to.active; left; left &= left - 1) {
    const int l = std::countr_zero(left);
    const std::uint64_t place = (to.at[l] - low) / 16, bit = std::uint64_t{1} << (place % 64);
    if (places[place / 64] & bit) return false;  // two lanes to one place
    if (near && of.matrices.reads(to.at[l], 16)) return false;
    places[place / 64] |= bit;
    std::uint64_t two[2];
    std::memcpy(two, of.shadow.data() + to.at[l], 16);
    there |= two[0] | two[1];
    if (!run.shadow || !((reads >> l) & 1u)) continue;
    std::memcpy(two, run.shadow + (from.at[l] - run.lowest), 16);
    shaded |= two[0] | two[1];
  }
  if ((there & taken) | shaded) return false;
  for (lane_mask left = to.active; left; left &= left - 1) {
    const int l = std::countr_zero(left);
    b.to[l] = static_cast<std::uint32_t>(to.at[l]);
    if ((reads >> l) & 1u) std::memcpy(b.data[l], run.data + (from.at[l] - run.lowest), 16);
    else std::memset(b.data[l], 0, 16);
  }
  b.lanes = to.active;
  b.plain = true;
  put_plain(of, w.number, b, b.lanes, in_flight, false);
  return true;
}

enum class source_part : std::uint8_t { whole, sized, ignored };

// s[0] the source (imm, address_width), s[1] the target (target, vector), s[2]
// the size of the source or the predicate that ignores it (width); unit bytes.
inline void run_copy(warp& w, const op& o, lane_mask active) {
  const unsigned bytes = o.unit;
  lane_addresses to = addresses_of(w, o.s[1], o.vector, static_cast<std::int32_t>(o.target), active);
  lane_mask reads = to.active;
  std::uint32_t sizes[warp_lanes];
  for (auto& n : sizes) n = bytes;
  switch (static_cast<source_part>(o.width)) {
    case source_part::whole: break;
    case source_part::sized: {
      if (!defined_lanes(w, o.s[2], active, "the size of a copy")) return;
      const auto* given = w.lanes<std::uint32_t>(o.s[2]);
      for (int l = 0; l < warp_lanes; ++l) {
        sizes[l] = given[l];
        if (given[l] == 0) reads &= ~(lane_mask{1} << l);
      }
      break;
    }
    case source_part::ignored: {
      const lane_mask bad = predicate_taint(w, o.s[2]) & active;
      if (bad) return report_undefined(w, std::countr_zero(bad), "the size of a copy");
      const lane_mask ignored = o.is_signed ? ~w.predicate(o.s[2]) : w.predicate(o.s[2]);
      reads &= ~ignored;
      for (int l = 0; l < warp_lanes; ++l)
        if ((ignored >> l) & 1u) sizes[l] = 0;
      break;
    }
  }
  run_of_memory run;
  lane_addresses from;
  if (reads) {
    from = addresses_of(w, o.s[0], o.address_width, o.imm, reads);
    const lane_mask unknown = reads & ~from.active;
    to.active &= ~unknown;
    reads = from.active;
    if (reads) {
      w.launch->load_sectors += sectors(from, bytes);
      run = one_run(w, from, bytes, false, space::global);
    }
  }
  if (!to.active) return;
  if (w.launch->tally) [[unlikely]]
    w.launch->tally->thread_copy(w.pc, from.at, reads, to.at, to.active, bytes);

  shared_memory& of = *w.shared;
  warp_copies& all = of.copies[w.number];
  std::uint32_t index;
  if (all.unused.empty()) {
    index = static_cast<std::uint32_t>(all.pool.size());
    all.pool.emplace_back();
  } else {
    index = all.unused.back();
    all.unused.pop_back();
  }
  copy_batch& b = all.pool[index];
  b.number = all.issued++;
  b.pc = w.pc;
  b.bytes = bytes;
  b.lanes = 0;
  std::memcpy(b.group, all.committed, sizeof b.group);
  b.plain = false;
  const lane_mask one_by_one = copies_plainly(w, b, to, from, run, reads, sizes) ? 0 : to.active;
  for (lane_mask left = one_by_one; left; left &= left - 1) {
    const int l = std::countr_zero(left);
    const std::uint64_t at = to.at[l];
    std::memset(b.data[l], 0, sizeof b.data[l]);
    b.undefined_bytes[l] = 0;
    if ((reads >> l) & 1u) {
      const std::byte* data = nullptr;
      const std::uint8_t* shadow = nullptr;
      if (sizes[l] > bytes) {
        report_access(w, code::invalid_access, l, false, from.at[l], sizes[l], "global", "a copy of " + bytes_words(bytes) + " cannot take more than it has");
        continue;
      }
      if (run.data) {
        data = run.data + (from.at[l] - run.lowest);
        if (run.shadow) shadow = run.shadow + (from.at[l] - run.lowest);
      } else if (from.at[l] & (bytes - 1)) {
        report_access(w, code::misaligned, l, false, from.at[l], bytes, "global", "the address is not a multiple of " + std::to_string(bytes));
        continue;
      } else {
        const cell c = resolve_global(w, l, from.at[l], sizes[l], false);
        if (!c.data) continue;
        data = c.data;
        shadow = c.shadow;
      }
      if (sizes[l] == 16) std::memcpy(b.data[l], data, 16);
      else std::memcpy(b.data[l], data, sizes[l]);
      if (shadow && !all_defined(shadow, sizes[l]))
        for (unsigned i = 0; i < sizes[l]; ++i)
          if (shadow[i]) b.undefined_bytes[l] = static_cast<std::uint16_t>(b.undefined_bytes[l] | (1u << i));
    }
    const std::uint64_t size = of.data.size();
    if ((at & (bytes - 1)) || at > size || size - at < bytes || (of.guarded && !quietly_guarded(w, of, l, at, bytes))) {
      // Which also tells of a target that something else has in hand.
      if (!resolve(w, l, at, bytes, true, space::shared).data) continue;
    }
    b.to[l] = static_cast<std::uint32_t>(at);
    b.lanes |= lane_mask{1} << l;
    std::uint8_t* const there = of.shadow.data() + at;
    bytes == 16 ? std::memset(there, in_flight, 16) : bytes == 8 ? std::memset(there, in_flight, 8) : std::memset(there, in_flight, 4);
  }
  if (!b.lanes) return all.unused.push_back(index);
  note_copy(w, b, b.lanes);
  all.flying.push_back(index);
  ++of.guarded;
}

inline void run_commit(warp& w, const op&, lane_mask active) {
  auto& committed = w.shared->copies[w.number].committed;
  for (int l = 0; l < warp_lanes; ++l) committed[l] += (active >> l) & 1u;
}

// imm: how many of the latest groups may still be in flight; below 0: none,
// committed or not.
inline void run_wait(warp& w, const op& o, lane_mask active) {
  const warp_copies& mine = w.shared->copies[w.number];
  const auto& committed = mine.committed;
  land_where(*w.shared, w.number, [&](const copy_batch& b) {
    lane_mask done = o.imm < 0 ? active : 0;
    if (o.imm >= 0) {
      for (unsigned l = 0; l < warp_lanes; ++l) done |= static_cast<lane_mask>(std::int64_t{b.group[l]} < std::int64_t{committed[l]} - o.imm) << l;
      done &= b.lanes & active;
    }
    // What an mbarrier tells of already, by cp.async.mbarrier.arrive, is not told
    // anew: those who wait there learn of the copy as it was issued.
    lane_mask signalled = 0;
    for (const copy_arrival& each : mine.arrivals)
      if (b.number < each.before) signalled |= each.lanes;
    note_copy(w, b, done & b.lanes & ~signalled);
    return done;
  });
}

// ---- rows --------------------------------------------------------------------------

// The modifiers of caches change no value; with `L2::cache_hint` there is one
// operand more, a policy.
inline std::size_t operands_of_copy(decoding& d) {
  d.ignore("L2::64B", "L2::128B", "L2::256B");
  return operands_without_policy(d);
}

inline void make_copy(decoding& d) {
  const bool all_levels = d.take("ca");
  if (!all_levels && !d.take("cg")) return d.refuse("this form");
  if (!d.take("shared") && !d.take("shared::cta")) return d.refuse("this form");
  if (!d.take("global")) return d.refuse("this form");
  const std::size_t n = operands_of_copy(d);
  if (n != 3 && n != 4) return d.refuse("this operand count");
  const auto bytes = d.literal(d.in.operands[2]);
  if (!bytes || (*bytes != 4 && *bytes != 8 && *bytes != 16) || (!all_levels && *bytes != 16)) return d.refuse("this size");
  d.o.unit = static_cast<std::uint8_t>(*bytes);
  std::int64_t to = 0;
  d.pointer(d.in.operands[1], d.o.imm, d.o.address_width, d.o.where);
  space where = space::shared;
  d.pointer(d.in.operands[0], to, d.o.vector, where);
  d.o.target = static_cast<std::uint32_t>(to);
  d.o.width = static_cast<std::uint8_t>(source_part::whole);
  if (n == 4) {
    const std::uint8_t width = d.source_any(d.in.operands[3], 4);
    d.o.width = static_cast<std::uint8_t>(width == 0 ? source_part::ignored : source_part::sized);
    d.o.is_signed = d.in.operands[3].negated;
    if (width != 0 && width != 4) d.refuse("a size of this type");
  }
  d.does(&run_copy);
}

// `cp.async` without .bulk; the row itself is in bulk.hpp.
inline void make_thread_copy(decoding& d) {
  if (d.take("commit_group")) {
    if (d.want(0)) d.does(&run_commit);
    return;
  }
  if (d.take("wait_all")) {
    d.o.imm = -1;
    if (d.want(0)) d.does(&run_wait);
    return;
  }
  if (d.take("wait_group")) {
    if (!d.want(1)) return;
    const auto n = d.literal(d.in.operands[0]);
    if (!n) return d.refuse("a count that is no constant");
    d.o.imm = static_cast<std::int64_t>(std::min<std::uint64_t>(*n, 1u << 30));
    return d.does(&run_wait);
  }
  make_copy(d);
}

}  // namespace skillbench::ptx::ops
