#pragma once
// ptx/ops/bulk.hpp: the copy engine: cp.async.bulk, with and without tensor maps.
//
// Layer   3.
// Source  PTX ISA 9.0, "cp.async.bulk", "cp.reduce.async.bulk",
//         "cp.async.bulk.prefetch", "cp.async.bulk.tensor",
//         "cp.reduce.async.bulk.tensor", "cp.async.bulk.commit_group",
//         "cp.async.bulk.wait_group", "Tensors: Swizzling modes".
// Order   A copy is checked when it is issued and done when it is waited for: a
//         load when somebody waits for the phase of its mbarrier, a store when
//         its thread waits for its group (with .read too: nobody can tell), at
//         the latest when the cluster ends.
// Shapes  a box lies densely in shared memory, dimension 0 innermost; a swizzle
//         goes by addresses of shared memory. Boxes always bring all their bytes
//         to the mbarrier, also what lies outside of the tensor.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/guard.hpp>
#include <skillbench/ptx/ops/access.hpp>
#include <skillbench/ptx/ops/mbarrier.hpp>
#include <skillbench/ptx/tensor_map.hpp>

namespace skillbench::ptx::ops {

// ---- moving --------------------------------------------------------------------------

// Calls `use(data, shadow or null, offset, n)` for the parts of a global range
// that lie in one page. The range has been checked.
template <typename Use>
void each_part(memory& global, std::uint64_t at, std::uint64_t bytes, Use&& use) {
  allocation* owner = global.owner(at);
  for (std::uint64_t done = 0; owner && done < bytes;) {
    const std::uint64_t in_page = (at + done - owner->origin) & (page_bytes - 1);
    const std::uint64_t n = std::min(bytes - done, page_bytes - in_page);
    page* p = global.touch(*owner, at + done);
    if (!p) return;  // memory is full, which the machine tells
    use(p->data.get() + in_page, p->shadow ? p->shadow.get() + in_page : nullptr, done, n);
    done += n;
  }
}

[[nodiscard]] inline std::uint8_t plain_shadow(std::uint8_t of) noexcept { return of == defined ? defined : of == unwritten ? unwritten : undefined; }

inline void global_to_shared(memory& global, shared_memory& to, std::uint64_t to_at, std::uint64_t from, std::uint64_t bytes) {
  each_part(global, from, bytes, [&](std::byte* data, std::uint8_t* shadow, std::uint64_t done, std::uint64_t n) {
    std::memcpy(to.data.data() + to_at + done, data, n);
    if (shadow) std::memcpy(to.shadow.data() + to_at + done, shadow, n);
    else std::memset(to.shadow.data() + to_at + done, defined, n);
  });
}

// One element changed in place; any undefined byte makes it undefined.
inline void reduce_element(std::byte* to, std::uint8_t* to_shadow, const std::byte* from, const std::uint8_t* from_shadow, change what, type t) {
  const unsigned n = std::min<unsigned>(width_of(t), sizeof(std::uint64_t));  // no type that is reduced has more
  std::uint64_t old = 0, by = 0;
  std::memcpy(&old, to, n);
  std::memcpy(&by, from, n);
  const std::uint64_t fresh = changed(old, by, 0, what, t);
  std::memcpy(to, &fresh, n);
  if (to_shadow) std::memset(to_shadow, any_set(to_shadow, n) || any_set(from_shadow, n) ? undefined : defined, n);
}

inline void shared_to_global(memory& global, const shared_memory& from, std::uint64_t from_at, std::uint64_t to, std::uint64_t bytes, bool reduces, change what, type t) {
  each_part(global, to, bytes, [&](std::byte* data, std::uint8_t* shadow, std::uint64_t done, std::uint64_t n) {
    const std::byte* source = from.data.data() + from_at + done;
    const std::uint8_t* source_shadow = from.shadow.data() + from_at + done;
    if (reduces) {
      for (std::uint64_t i = 0; i < n; i += width_of(t)) reduce_element(data + i, shadow ? shadow + i : nullptr, source + i, source_shadow + i, what, t);
      return;
    }
    std::memcpy(data, source, n);
    if (shadow)
      for (std::uint64_t i = 0; i < n; ++i) shadow[i] = source_shadow[i] ? undefined : defined;
  });
}

[[nodiscard]] inline change change_of(const bulk_form& f) { return static_cast<change>(f.change); }
[[nodiscard]] inline type type_of(const bulk_form& f) { return static_cast<type>(f.type); }
[[nodiscard]] inline type type_of(const tensor_map& m) {
  const bool narrow = m.element_bytes <= 4;
  switch (m.kind) {
    case element_kind::real: return m.element_bytes == 2 ? type::f16 : narrow ? type::f32 : type::f64;
    case element_kind::bfloat: return type::bf16;
    case element_kind::with_sign: return narrow ? type::s32 : type::s64;
    default: return m.element_bytes == 1 ? type::u8 : m.element_bytes == 2 ? type::u16 : narrow ? type::u32 : type::u64;
  }
}

inline void forget_stores(shared_memory& of, std::uint64_t at, std::uint64_t bytes) {
  of.matrices.change(at, bytes);
  if (of.notes.empty() || !bytes) return;
  for (std::uint64_t i = at / 16; i <= (at + bytes - 1) / 16; ++i) of.notes[i] = {};
}

inline void move_load(launch_state& launch, cluster_state& all, bulk_copy& b) {
  shared_memory& to = *all.members[b.to_rank];
  forget_stores(to, b.to, b.to_bytes);
  global_to_shared(*launch.global, to, b.to, b.from, b.bytes);
}

inline void move_between(launch_state& launch, cluster_state& all, bulk_copy& b) {
  const bulk_form& f = launch.code->bulk[b.form];
  shared_memory& to = *all.members[b.to_rank];
  const shared_memory& from = *all.members[b.rank];
  forget_stores(to, b.to, b.bytes);
  if (f.reduces) {
    for (std::uint64_t i = 0; i < b.bytes; i += width_of(type_of(f)))
      reduce_element(to.data.data() + b.to + i, to.shadow.data() + b.to + i, from.data.data() + b.from + i, from.shadow.data() + b.from + i, change_of(f), type_of(f));
    return;
  }
  std::memmove(to.data.data() + b.to, from.data.data() + b.from, b.bytes);
  for (std::uint64_t i = 0; i < b.bytes; ++i) to.shadow[b.to + i] = plain_shadow(from.shadow[b.from + i]);
}

inline void move_store(launch_state& launch, cluster_state& all, bulk_copy& b) {
  const bulk_form& f = launch.code->bulk[b.form];
  shared_to_global(*launch.global, *all.members[b.rank], b.from, b.to, b.bytes, f.reduces, change_of(f), type_of(f));
}

// Calls `use(row, first, n, address)` for every row of the box: the row's number,
// the elements of it that lie inside the tensor, and where the first of those is.
template <typename Use>
void each_row(const tensor_map& m, const std::int32_t* at, Use&& use) {
  std::uint64_t rows = 1;
  for (int d = 1; d < m.rank; ++d) rows *= m.count(d);
  const std::int64_t width = static_cast<std::int64_t>(m.count(0)), extent = static_cast<std::int64_t>(m.extent[0]);
  const std::int64_t first = std::clamp<std::int64_t>(-std::int64_t{at[0]}, 0, width);
  const std::int64_t last = std::clamp<std::int64_t>(extent - at[0], first, width);
  for (std::uint64_t row = 0; row < rows; ++row) {
    std::uint64_t rest = row, address = m.address;
    bool inside = last > first;
    for (int d = 1; d < m.rank; ++d) {
      const std::int64_t c = std::int64_t{at[d]} + static_cast<std::int64_t>(rest % m.count(d)) * m.element_stride[d];
      rest /= m.count(d);
      if (c < 0 || c >= static_cast<std::int64_t>(m.extent[d])) inside = false;
      else address += static_cast<std::uint64_t>(c) * m.stride[d - 1];
    }
    address += m.along(std::int64_t{at[0]} + first);
    use(row, static_cast<std::uint64_t>(first), inside ? static_cast<std::uint64_t>(last - first) : 0, address);
  }
}

// A NaN in every type. The document leaves its bits open; these are what a
// published comparison saw on an H100.
[[nodiscard]] inline std::uint64_t outside_bits(const tensor_map& m) { return m.nan ? 0x7ff77ff77ff77ff7ull : 0; }

inline constexpr std::uint64_t most_row_bytes = 256 * 8;
inline constexpr std::uint64_t most_box_bytes = 232'448;

// A swizzle moves pieces inside rows of 128 bytes, so that the last row may
// reach beyond the box.
[[nodiscard]] inline std::uint64_t reach(const tensor_map& m, std::uint64_t bytes) { return m.swizzle > 16 ? (bytes + 127) / 128 * 128 : bytes; }

inline void move_box_load(launch_state& launch, cluster_state& all, bulk_copy& b) {
  const tensor_map& m = b.map;
  shared_memory& to = *all.members[b.to_rank];
  forget_stores(to, b.to, b.to_bytes);
  const std::uint64_t width = m.row_bytes(), outside = outside_bits(m);
  alignas(16) std::byte row_data[most_row_bytes];
  alignas(16) std::uint8_t row_shadow[most_row_bytes];
  std::memset(row_data, 0, width);
  each_row(m, b.at, [&](std::uint64_t row, std::uint64_t first, std::uint64_t n, std::uint64_t address) {
    if (n < m.count(0))
      for (std::uint64_t i = 0; i < width; i += m.element_bytes) std::memcpy(row_data + i, &outside, m.element_bytes);
    std::memset(row_shadow, defined, width);
    if (n)
      each_part(*launch.global, address, n * m.element_bytes, [&](std::byte* data, std::uint8_t* shadow, std::uint64_t done, std::uint64_t bytes) {
        std::memcpy(row_data + first * m.element_bytes + done, data, bytes);
        if (shadow) std::memcpy(row_shadow + first * m.element_bytes + done, shadow, bytes);
      });
    for (std::uint64_t i = 0; i < width; i += 16) {
      const std::uint64_t place = swizzled(b.to + row * width + i, m.swizzle);
      std::memcpy(to.data.data() + place, row_data + i, 16);
      std::memcpy(to.shadow.data() + place, row_shadow + i, 16);
    }
  });
  // Places that the swizzle skips hold nothing.
  if (m.swizzle <= 16 || width % 128 == 0) return;
  for (std::uint64_t i = b.to; i < b.to + b.to_bytes; ++i)
    if (to.shadow[i] == in_flight) to.shadow[i] = unwritten;
}

inline void move_box_store(launch_state& launch, cluster_state& all, bulk_copy& b) {
  const bulk_form& f = launch.code->bulk[b.form];
  const tensor_map& m = b.map;
  const shared_memory& from = *all.members[b.rank];
  const std::uint64_t width = m.row_bytes();
  alignas(16) std::byte row_data[most_row_bytes];
  alignas(16) std::uint8_t row_shadow[most_row_bytes];
  each_row(m, b.at, [&](std::uint64_t row, std::uint64_t first, std::uint64_t n, std::uint64_t address) {
    if (!n) return;
    for (std::uint64_t i = 0; i < width; i += 16) {
      const std::uint64_t place = swizzled(b.from + row * width + i, m.swizzle);
      std::memcpy(row_data + i, from.data.data() + place, 16);
      std::memcpy(row_shadow + i, from.shadow.data() + place, 16);
    }
    each_part(*launch.global, address, n * m.element_bytes, [&](std::byte* data, std::uint8_t* shadow, std::uint64_t done, std::uint64_t bytes) {
      const std::uint64_t at = first * m.element_bytes + done;
      if (f.reduces) {
        for (std::uint64_t i = 0; i < bytes; i += m.element_bytes)
          reduce_element(data + i, shadow ? shadow + i : nullptr, row_data + at + i, row_shadow + at + i, change_of(f), type_of(m));
        return;
      }
      std::memcpy(data, row_data + at, bytes);
      if (shadow)
        for (std::uint64_t i = 0; i < bytes; ++i) shadow[i] = row_shadow[at + i] ? undefined : defined;
    });
  });
}

// ---- issuing -------------------------------------------------------------------------

[[nodiscard]] inline bool multiple_of(warp& w, int lane, std::uint64_t value, std::uint64_t of, bool store, std::string_view space_name, std::uint64_t bytes, std::string_view what) {
  if (value % of == 0) return true;
  report_access(w, code::misaligned, lane, store, value, bytes, space_name, std::string(what) + " of a bulk copy is a multiple of " + std::to_string(of));
  return false;
}

// For races: what a copy does to global memory it does as of its issue.
// Reductions race with nobody.
inline void note_global(warp& w, int lane, std::uint64_t at, std::uint64_t bytes, bool store) {
  memory& global = *w.launch->global;
  allocation* owner = w.races ? global.owner(at) : nullptr;
  if (!owner || !owner->writable) return;
  for (std::uint64_t done = 0; done < bytes;) {
    const std::uint64_t in_page = (at + done - owner->origin) & (page_bytes - 1), n = std::min(bytes - done, page_bytes - in_page);
    page* p = global.touch(*owner, at + done);
    if (!p) return;
    w.races->global_lane(w, lane, *p, in_page, at + done, static_cast<unsigned>(n), store);
    done += n;
  }
}

// A global range of the copy engine.
[[nodiscard]] inline bool global_range(warp& w, int lane, std::uint64_t at, std::uint64_t bytes, bool store, bool reduces) {
  allocation* owner = w.launch->global->owner(at);
  if (!owner || !owner->holds(at, bytes)) {
    report_global(w, owner ? code::out_of_bounds : code::invalid_access, lane, store, at, bytes, "");
    return false;
  }
  if (store && !owner->writable) {
    report_global(w, code::writes_input, lane, store, at, bytes, "an input, which is only to be read: ");
    return false;
  }
  (store ? w.launch->store_sectors : w.launch->load_sectors) += ((at & 31) + bytes + 31) / 32;
  if (w.launch->tally) [[unlikely]]
    w.launch->tally->copied_range(w.pc, at, bytes, store, reduces);
  if (!reduces) note_global(w, lane, at, bytes, store);
  return true;
}

// A range of the thread's own shared memory that the copy engine will read.
[[nodiscard]] inline bool readable(warp& w, int lane, std::uint64_t at, std::uint64_t bytes) {
  shared_memory& of = *w.shared;
  if (at > of.data.size() || of.data.size() - at < bytes) {
    report_access(w, code::out_of_bounds, lane, false, at, bytes, "shared", "the CTA has " + bytes_words(of.data.size()) + " of it");
    return false;
  }
  return (!of.guarded || free_to_access(w, of, lane, at, bytes, false)) && check_fenced(w, of, lane, at, bytes);
}

// For races a copy of this CTA's shared memory accesses it twice, at both ends of
// the time it takes: here the one by the thread that starts or awaits it.
inline void note_access(warp& w, int lane, const bulk_copy& b, std::uint64_t at, std::uint64_t bytes, bool store) {
  if (!w.shared_races || !bytes) return;
  const std::uint32_t now = std::exchange(w.pc, b.pc);
  w.shared_races->shared_lane(w, lane, at, static_cast<unsigned>(bytes), store);
  w.pc = now;
}

inline void start_reading(warp& w, int lane, bulk_copy& b) {
  note_access(w, lane, b, b.from, b.bytes, false);
  b.ticket = w.shared->hold(b.from, b.bytes, w.pc, thread_of(w, lane));
}

// Marks the target in flight and lists the copy.
[[nodiscard]] inline bool start_writing(warp& w, int lane, bulk_copy& b, bool keeps_value) {
  shared_memory& to = *w.cluster->members[b.to_rank];
  if (to.guarded && !free_to_access(w, to, lane, b.to, b.to_bytes, true)) return false;
  to.matrices.change(b.to, b.to_bytes);
  if (!keeps_value) std::memset(to.shadow.data() + b.to, in_flight, b.to_bytes);
  if (b.to_rank == w.rank && !keeps_value) note_access(w, lane, b, b.to, b.to_bytes, true);
  ++to.guarded;
  return true;
}

// The mbarrier that a load tells; it lies beside the target.
[[nodiscard]] inline bool signals_to(warp& w, int lane, bulk_copy& b, std::uint64_t address) {
  const shared_place p = place_mbarrier(w, lane, address, space::cluster, true);
  if (!p.of) return false;
  check_birth(w, lane, p, true);
  if (p.rank != b.to_rank) {
    report_mbarrier(w, lane, p.at, "signals", "it is in another CTA than the target of the copy");
    return false;
  }
  b.signals = true;
  b.barrier_rank = p.rank;
  b.barrier = p.at;
  return true;
}

// The map at an address: parameters, constants or global memory.
[[nodiscard]] inline bool read_map(warp& w, int lane, std::uint64_t at, space where, tensor_map& out) {
  const auto refuse = [&](std::string how) {
    report_access(w, code::invalid_access, lane, false, at, tensor_map_bytes, "generic", std::move(how));
    return false;
  };
  if (at % 64) return refuse("the address of a tensor map is a multiple of 64");
  if (where == space::generic && at >= param_window) {
    where = space::param;
    at -= param_window;
  }
  const std::byte* from = nullptr;
  alignas(64) std::byte copied[tensor_map_bytes];
  if (where == space::param) {
    const auto& block = w.launch->parameters;
    if (at > block.size() || block.size() - at < tensor_map_bytes) return refuse("the kernel's parameters end before");
    from = block.data() + at;
  } else if (where == space::generic && at >= shared_window) {
    return refuse("a tensor map lies in parameters (__grid_constant__), constants or global memory");
  } else {
    allocation* owner = w.launch->global->owner(at);
    if (!owner || !owner->holds(at, tensor_map_bytes)) return refuse("there is no tensor map");
    each_part(*w.launch->global, at, tensor_map_bytes, [&](std::byte* data, std::uint8_t*, std::uint64_t done, std::uint64_t n) { std::memcpy(copied + done, data, n); });
    from = copied;
  }
  out = decode_tensor_map(from);
  if (out.mark != tensor_map::right_mark || !trouble(out).empty() || !unexplained(out).empty()) return refuse("there is no tensor map");
  return true;
}

// The copy engine reads pieces of 16 bytes: a GPU ends a kernel whose box begins
// between two of them with an illegal instruction.
[[nodiscard]] inline bool begins_well(warp& w, int lane, const bulk_copy& b, bool store) {
  const std::int64_t bytes = std::int64_t{b.at[0]} * b.map.element_bytes, of = b.map.interleave ? b.map.interleave : 16;
  if (bytes % of == 0) return true;
  report_access(w, code::misaligned, lane, store, b.map.address + static_cast<std::uint64_t>(bytes), b.bytes, "global",
                "coordinate " + std::to_string(b.at[0]) + " of the innermost dimension is " + std::to_string(bytes) + " bytes, and " +
                    (b.map.interleave ? "a box of an interleaved tensor begins with a slice of " + std::to_string(of) : "a box of a tensor begins at a multiple of 16"));
  return false;
}

// The global bytes that a box touches, checked at both ends.
[[nodiscard]] inline bool box_range(warp& w, int lane, const bulk_copy& b, bool store, bool reduces) {
  std::uint64_t lowest = ~std::uint64_t{0}, highest = 0, sectors_of_rows = 0;
  bool inside = false;
  each_row(b.map, b.at, [&](std::uint64_t, std::uint64_t, std::uint64_t n, std::uint64_t address) {
    if (!n) return;
    inside = true;
    lowest = std::min(lowest, address);
    // A row that runs over the end of all addresses reaches it.
    const std::uint64_t end = address + n * b.map.element_bytes;
    highest = std::max(highest, end < address ? ~std::uint64_t{0} : end);
    sectors_of_rows += ((address & 31) + n * b.map.element_bytes + 31) / 32;
  });
  if (!inside) return true;
  allocation* owner = w.launch->global->owner(lowest);
  if (!owner || !owner->holds(lowest, highest - lowest)) {
    report_global(w, owner ? code::out_of_bounds : code::invalid_access, lane, store, lowest, highest - lowest, "a box of the tensor map: ");
    return false;
  }
  if (store && !owner->writable) {
    report_global(w, code::writes_input, lane, store, lowest, highest - lowest, "an input, which is only to be read: ");
    return false;
  }
  (store ? w.launch->store_sectors : w.launch->load_sectors) += sectors_of_rows;
  if (w.launch->tally) [[unlikely]]
    each_row(b.map, b.at, [&](std::uint64_t, std::uint64_t, std::uint64_t n, std::uint64_t address) {
      w.launch->tally->copied_range(w.pc, address, n * b.map.element_bytes, store, reduces);
    });
  if (w.races && owner->writable && !reduces)
    each_row(b.map, b.at, [&](std::uint64_t, std::uint64_t, std::uint64_t n, std::uint64_t address) { note_global(w, lane, address, n * b.map.element_bytes, store); });
  return true;
}

// What arrives of a copy that has been checked.
inline void count_copy(warp& w, const bulk_form& f, std::uint64_t bytes) {
  if (w.launch->tally) [[unlikely]]
    w.launch->tally->copy(w.pc, f.rank != 0, bytes);
}

// s[0] the target, s[1] the source (or the map), s[2] the size, s[3] the
// mbarrier, s[4] the mask of CTAs; coordinates in program::more.
inline void run_bulk(warp& w, const op& o, lane_mask active) {
  const auto index = static_cast<std::uint32_t>(o.imm);
  const bulk_form& f = w.launch->code->bulk[index];
  const lane_addresses to = f.has_to ? addresses_of(w, o.s[0], f.to_width, f.to, active) : lane_addresses{};
  const lane_addresses from = f.has_from ? addresses_of(w, o.s[1], f.from_width, f.from, active) : lane_addresses{};
  const lane_addresses barrier = f.has_barrier ? addresses_of(w, o.s[3], f.barrier_width, f.barrier, active) : lane_addresses{};
  lane_mask ready = active;
  if (f.has_to) ready &= to.active;
  if (f.has_from) ready &= from.active;
  if (f.has_barrier) ready &= barrier.active;
  if (f.has_size && !defined_lanes(w, o.s[2], ready, "the size of a copy")) return;
  if (f.multicast && w.tainted[o.s[4].slot] && (lane_taint<std::uint16_t>(w, o.s[4]) & ready))
    return report_undefined(w, std::countr_zero(ready), "the CTAs that a copy goes to");
  const auto& coordinates = w.launch->code->more[o.more].s;
  for (const ref& c : coordinates)
    if (!defined_lanes(w, c, ready, "a coordinate of a tensor")) return;

  for (lane_mask left = ready; left; left &= left - 1) {
    const int l = std::countr_zero(left);
    bulk_copy b;
    b.pc = w.pc;
    b.rank = w.rank;
    b.thread = thread_of(w, l);
    b.form = index;
    b.bytes = f.has_size ? w.lanes<std::uint32_t>(o.s[2])[l] : 0;
    if (f.rank) {
      if (!read_map(w, l, f.stores ? to.at[l] : from.at[l], f.map_space, b.map)) continue;
      if (b.map.rank != f.rank) {
        report_access(w, code::invalid_access, l, false, f.stores ? to.at[l] : from.at[l], tensor_map_bytes, "generic",
                      "the tensor map has " + std::to_string(b.map.rank) + " dimensions, the copy " + std::to_string(f.rank));
        continue;
      }
      for (std::size_t d = 0; d < coordinates.size() && d < 5; ++d) b.at[d] = w.lanes<std::int32_t>(coordinates[d])[l];
      b.bytes = b.map.box_bytes();
      if (b.bytes > most_box_bytes) {
        report_access(w, code::out_of_bounds, l, f.stores, f.has_to ? to.at[l] : from.at[l], b.bytes, "shared", "a box has more bytes than shared memory");
        continue;
      }
      if (!begins_well(w, l, b, f.stores)) continue;
    } else if (b.bytes % 16) {
      report_access(w, code::misaligned, l, f.stores, f.has_to ? to.at[l] : from.at[l], b.bytes, "global", "the size of a bulk copy is a multiple of 16");
      continue;
    }
    const std::uint64_t alignment = f.rank ? 128 : 16;
    if (f.prefetches) {
      if (f.rank ? !box_range(w, l, b, false, false) : !multiple_of(w, l, from.at[l], 16, false, "global", b.bytes, "the address") || !global_range(w, l, from.at[l], b.bytes, false, false)) continue;
      count_copy(w, f, 0);
      continue;
    }
    if (f.stores) {
      b.from = from.at[l];
      b.to = f.rank ? 0 : to.at[l];
      if (!multiple_of(w, l, b.from, alignment, false, "shared", b.bytes, "the address")) continue;
      if (!f.rank && !multiple_of(w, l, b.to, 16, true, "global", b.bytes, "the address")) continue;
      if (!readable(w, l, b.from, f.rank ? reach(b.map, b.bytes) : b.bytes)) continue;
      if (f.rank ? !box_range(w, l, b, true, f.reduces) : !global_range(w, l, b.to, b.bytes, true, f.reduces)) continue;
      count_copy(w, f, b.bytes);
      b.group = w.cluster->bulk_groups[w.rank][b.thread];
      b.move = f.rank ? &move_box_store : &move_store;
      start_reading(w, l, b);
      w.cluster->flying.push_back(b);
      continue;
    }
    // A load: from global memory, or from shared memory to that of a CTA.
    b.from = from.at[l];
    if (!multiple_of(w, l, to.at[l], alignment, true, "shared", b.bytes, "the address")) continue;
    if (!f.rank && !multiple_of(w, l, b.from, 16, false, f.from_shared ? "shared" : "global", b.bytes, "the address")) continue;
    if (f.rank ? !box_range(w, l, b, false, false) : f.from_shared ? !readable(w, l, b.from, b.bytes) : !global_range(w, l, b.from, b.bytes, false, false)) continue;
    count_copy(w, f, b.bytes * (f.multicast ? static_cast<unsigned>(std::popcount(std::uint32_t{w.lanes<std::uint16_t>(o.s[4])[l]})) : 1u));
    b.move = f.rank ? &move_box_load : f.from_shared ? &move_between : &move_load;
    b.transaction = b.to_bytes = b.bytes;
    const auto one = [&](std::uint64_t target, std::uint64_t tells) {
      const shared_place p = place_shared(w, l, target, f.rank ? reach(b.map, b.to_bytes) : b.to_bytes, true);
      if (!p.of) return;
      bulk_copy c = b;
      c.to_rank = p.rank;
      c.to = p.at;
      if (!signals_to(w, l, c, tells)) return;
      if (!start_writing(w, l, c, f.reduces)) return;
      if (f.from_shared) start_reading(w, l, c);
      w.cluster->flying.push_back(c);
    };
    if (!f.multicast) {
      one(to.at[l], barrier.at[l]);
      continue;
    }
    constexpr std::uint64_t offset = (std::uint64_t{1} << cluster_offset_bits) - 1;
    for (std::uint32_t mask = w.lanes<std::uint16_t>(o.s[4])[l]; mask; mask &= mask - 1) {
      const std::uint64_t high = std::uint64_t{static_cast<unsigned>(std::countr_zero(mask)) + 1} << cluster_offset_bits;
      one(high | (to.at[l] & offset), high | (barrier.at[l] & offset));
    }
  }
}

inline void run_bulk_commit(warp& w, const op&, lane_mask active) {
  auto& groups = w.cluster->bulk_groups[w.rank];
  for (lane_mask left = active; left; left &= left - 1) ++groups[thread_of(w, std::countr_zero(left))];
}

inline void run_bulk_wait(warp& w, const op& o, lane_mask active) {
  auto& flying = w.cluster->flying;
  const auto& groups = w.cluster->bulk_groups[w.rank];
  const std::uint32_t first = w.number * warp_lanes;
  for (std::size_t i = 0; i < flying.size();) {
    const bulk_copy& b = flying[i];
    const bool mine = !b.signals && b.rank == w.rank && b.thread >= first && b.thread < first + warp_lanes && ((active >> (b.thread - first)) & 1u);
    if (!mine || std::int64_t{b.group} >= std::int64_t{groups[b.thread]} - o.imm) {
      ++i;
      continue;
    }
    bulk_copy now = b;
    flying.erase(flying.begin() + static_cast<std::ptrdiff_t>(i));
    finish(*w.launch, *w.cluster, now);
    note_access(w, static_cast<int>(now.thread - first), now, now.from, now.bytes, false);
  }
}

// ---- rows ------------------------------------------------------------------------------

// [map, {x, y}]: the coordinates go to program::more, the rest comes back.
[[nodiscard]] inline operand take_coordinates(decoding& d, const operand& map, int rank) {
  if (map.parts.size() != static_cast<std::size_t>(rank)) d.refuse("another number of coordinates than dimensions");
  for (const auto& c : map.parts)
    if (d.refusal.empty()) d.further_source(c, 4);
  operand plain = map;
  plain.parts.clear();
  return plain;
}

inline bool take_change(decoding& d, bulk_form& f, bool typed) {
  static constexpr std::pair<std::string_view, change> names[] = {
      {"add", change::add}, {"min", change::min}, {"max", change::max}, {"and", change::bit_and},
      {"or", change::bit_or}, {"xor", change::bit_xor}, {"inc", change::inc}, {"dec", change::dec}};
  for (const auto& [name, what] : names)
    if (d.take(name)) {
      f.reduces = true;
      f.change = static_cast<std::uint8_t>(what);
      d.take("noftz");
      if (typed) {
        const type t = d.take_type();
        if (width_of(t) == 0) return false;
        f.type = static_cast<std::uint8_t>(t);
      }
      return true;
    }
  return false;
}

// `cp.async.bulk` and `cp.reduce.async.bulk`, whose first modifiers are taken.
inline void make_bulk(decoding& d, bool reduces) {
  if (!reduces && d.take("commit_group")) {
    if (d.want(0)) d.does(&run_bulk_commit);
    return;
  }
  if (!reduces && d.take("wait_group")) {
    d.take("read");
    if (!d.want(1)) return;
    const auto n = d.literal(d.in.operands[0]);
    if (!n) return d.refuse("a count that is no constant");
    d.o.imm = static_cast<std::int64_t>(std::min<std::uint64_t>(*n, 1u << 30));
    return d.does(&run_bulk_wait);
  }
  bulk_form f;
  f.prefetches = d.take("prefetch");
  if (f.prefetches && !d.take("L2")) return d.refuse("this form");
  if (d.take("tensor")) {
    static constexpr std::string_view ranks[] = {"1d", "2d", "3d", "4d", "5d"};
    for (int i = 0; i < 5; ++i)
      if (d.take(ranks[i])) f.rank = static_cast<std::uint8_t>(i + 1);
    if (!f.rank) return d.refuse("this form");
    d.take("tile");
    if (d.take("im2col") || d.take("im2col_no_offs")) return d.refuse("a tensor map that cuTensorMapEncodeIm2col makes");
  }
  // A reduction with a tensor map has the type that the map says.
  if (reduces && !take_change(d, f, !f.rank)) return d.refuse("this operation");
  f.stores = d.take("bulk_group");
  const bool signals = d.take("mbarrier::complete_tx::bytes");
  f.multicast = d.take("multicast::cluster");
  const bool hint = d.take("L2::cache_hint");
  const bool global = d.take("global"), cluster = d.take("shared::cluster"), cta = d.take("shared::cta") || d.take("shared");
  f.from_shared = !global;
  const bool form = f.prefetches ? global && !f.stores && !signals && !reduces
                    : f.stores   ? global && cta && !signals && !f.multicast
                                 : signals && (global ? cluster != cta : cluster && cta);
  if (!form || (f.from_shared && f.multicast) || (reduces && f.multicast)) return d.refuse("this form");
  if (reduces && !f.stores && global) return d.refuse("this form");
  std::size_t n = d.count() - (hint ? 1 : 0) - (f.multicast ? 1 : 0);
  if (n > d.count()) return d.refuse("this operand count");
  const auto& in = d.in.operands;
  d.o.sources = 5;
  const auto at = [&](const operand& named, int s, std::int64_t& offset, std::uint8_t& width, space& where) {
    d.o.sources = static_cast<std::uint8_t>(s);
    d.pointer(named, offset, width, where);
  };
  space ignored = space::generic;
  // Operands in the text: target, source, size, mbarrier, of those that exist.
  std::size_t i = 0;
  const std::size_t wanted = (f.prefetches ? 1u : 2u) + (f.rank ? 0u : 1u) + (signals ? 1u : 0u);
  if (n != wanted) return d.refuse("this operand count");
  if (!f.prefetches) {
    f.has_to = true;
    if (f.rank && f.stores) {
      at(take_coordinates(d, in[i], f.rank), 0, f.to, f.to_width, f.map_space);
    } else {
      at(in[i], 0, f.to, f.to_width, ignored);
    }
    ++i;
  }
  f.has_from = true;
  if (f.rank && !f.stores) {
    at(take_coordinates(d, in[i], f.rank), 1, f.from, f.from_width, f.map_space);
  } else {
    at(in[i], 1, f.from, f.from_width, ignored);
  }
  ++i;
  if (!f.rank) {
    f.has_size = true;
    d.o.sources = 2;
    d.source(i++, 4);
  }
  if (signals) {
    f.has_barrier = true;
    at(in[i++], 3, f.barrier, f.barrier_width, ignored);
  }
  if (f.multicast) {
    d.o.sources = 4;
    d.source(i++, 2);
  }
  d.o.sources = 5;
  if (!d.refusal.empty()) return;
  if (f.stores || f.from_shared) d.notes_stores();
  d.o.imm = d.add_bulk(f);
  d.does(&run_bulk);
}

inline void add_bulk_rows(instruction_table& table) {
  table["cp"] = [](decoding& d) {
    if (d.take("reduce")) {
      if (!d.take("async") || !d.take("bulk")) return d.refuse("this form");
      return make_bulk(d, true);
    }
    if (!d.take("async")) return d.refuse("this form");
    if (d.take("bulk")) return make_bulk(d, false);
    if (d.take("mbarrier")) return make_copy_arrival(d);
    make_thread_copy(d);
  };
}

}  // namespace skillbench::ptx::ops
