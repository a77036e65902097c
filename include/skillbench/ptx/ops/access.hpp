#pragma once
// ptx/ops/access.hpp: loads, stores, atomics and reductions.
//
// Layer   3.
// Source  PTX ISA 9.0, "Data Movement and Conversion Instructions: ld, st",
//         "Parallel Synchronization and Communication: atom, red".
// A warp's access whose lanes lie in one page of one allocation goes through
// one bounds check; everything else goes lane by lane, and says what is wrong.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <skillbench/ptx/count.hpp>
#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/guard.hpp>
#include <skillbench/ptx/ops/arithmetic.hpp>
#include <skillbench/ptx/ops/convert.hpp>
#include <skillbench/ptx/race.hpp>
#include <skillbench/ptx/report.hpp>

namespace skillbench::ptx::ops {

struct lane_addresses {
  std::uint64_t at[warp_lanes];
  lane_mask active = 0;  // lanes whose address is defined
};

[[nodiscard]] inline lane_addresses addresses(warp& w, const op& o, lane_mask active) {
  lane_addresses out;
  const auto offset = static_cast<std::uint64_t>(o.imm);
  if (o.address_width == 8) {
    const auto* base = w.lanes<std::uint64_t>(o.s[0]);
    for (int l = 0; l < warp_lanes; ++l) out.at[l] = base[l] + offset;
  } else {
    const auto* base = w.lanes<std::uint32_t>(o.s[0]);
    for (int l = 0; l < warp_lanes; ++l) out.at[l] = static_cast<std::uint32_t>(base[l] + static_cast<std::uint32_t>(offset));
  }
  out.active = active;
  if (w.tainted[o.s[0].slot]) {
    const lane_mask bad = active & (o.address_width == 8 ? lane_taint<std::uint64_t>(w, o.s[0]) : lane_taint<std::uint32_t>(w, o.s[0]));
    if (bad) {
      report_undefined(w, std::countr_zero(bad), "an address");
      out.active &= ~bad;
    }
  }
  return out;
}

// Distinct 32-byte sectors of a warp's request.
[[nodiscard]] inline std::uint64_t sectors(const lane_addresses& a, unsigned bytes) {
  if (a.active == every_lane) {
    // Most often one behind the other.
    std::uint64_t last = a.at[0] >> 5, many = 1, falls = 0;
    for (int l = 0; l < warp_lanes; ++l) {
      const std::uint64_t first = a.at[l] >> 5, end = (a.at[l] + bytes - 1) >> 5;
      falls |= static_cast<std::uint64_t>(first < last) | static_cast<std::uint64_t>(end - first > 1);
      many += static_cast<std::uint64_t>(first != last) + static_cast<std::uint64_t>(end != first);
      last = end;
    }
    if (!falls) return many;
  }
  std::uint64_t touched[2 * warp_lanes];
  int n = 0;
  bool sorted = true;
  for (int l = 0; l < warp_lanes; ++l) {
    if (!((a.active >> l) & 1u)) continue;
    const std::uint64_t first = a.at[l] >> 5, last = (a.at[l] + bytes - 1) >> 5;
    for (std::uint64_t s = first; s <= last && s < first + 2; ++s) {
      if (n && touched[n - 1] == s) continue;
      if (n && touched[n - 1] > s) sorted = false;
      touched[n++] = s;
    }
  }
  if (!sorted) {
    std::sort(touched, touched + n);
    n = static_cast<int>(std::unique(touched, touched + n) - touched);
  }
  return static_cast<std::uint64_t>(n);
}

// Bytes of one lane with their shadow; null when the access is refused.
struct cell {
  std::byte* data = nullptr;
  std::uint8_t* shadow = nullptr;
};

inline cell resolve_window(warp& w, int lane, std::uint64_t at, unsigned bytes, bool store, space where) {
  if (where == space::shared) {
    const std::uint64_t size = w.shared->data.size();
    if (at > size || size - at < bytes) {
      report_access(w, code::out_of_bounds, lane, store, at, bytes, "shared",
                    "the CTA has " + bytes_words(size) + " of it");
      return {};
    }
    if (w.shared->guarded && !guarded_access(w, *w.shared, lane, at, bytes, store)) return {};
    if (w.shared_races) w.shared_races->shared_lane(w, lane, at, bytes, store);
    return {w.shared->data.data() + at, w.shared->shadow.data() + at};
  }
  if (at > w.frame_bytes || w.frame_bytes - at < bytes) {
    report_access(w, code::out_of_bounds, lane, store, at, bytes, "local",
                  "the thread has " + bytes_words(w.frame_bytes) + " of it");
    return {};
  }
  const std::size_t from = static_cast<std::size_t>(lane) * w.frame_bytes + at;
  return {w.frames + from, w.frame_shadow + from};
}

// A place of the cluster's shared memory; `of` is null when that was told as
// wrong.
inline shared_place place_shared(warp& w, int lane, std::uint64_t at, std::uint64_t bytes, bool store) {
  shared_place p = place_in(*w.cluster, w.rank, at);
  const auto refuse = [&](code what, std::string how) {
    report_access(w, what, lane, store, at, bytes, "the cluster's shared", std::move(how));
    p.of = nullptr;
    return p;
  };
  if (!p.of)
    return refuse(code::out_of_bounds, "the cluster has " + std::to_string(w.cluster->members.size()) + " CTAs");
  const std::uint64_t size = p.of->data.size();
  if (p.at > size || size - p.at < bytes) return refuse(code::out_of_bounds, "a CTA has " + bytes_words(size) + " of it");
  if (w.cluster->exited[p.rank])
    return refuse(code::invalid_access, "the CTA of rank " + std::to_string(p.rank) + ", whose it is, has exited");
  if (p.rank != w.rank) {
    p.of->visited = true;
    p.of->visitor = w.rank;
    p.of->visited_at = w.pc;
  }
  return p;
}

inline cell resolve_cluster(warp& w, int lane, std::uint64_t at, unsigned bytes, bool store) {
  const shared_place p = place_shared(w, lane, at, bytes, store);
  if (!p.of) return {};
  if (p.of->guarded && !guarded_access(w, *p.of, lane, p.at, bytes, store)) return {};
  if (p.of != w.shared && p.of->races) p.of->races->outsider(w.pc, p.at, bytes, store);
  else if (w.shared_races) w.shared_races->shared_lane(w, lane, p.at, bytes, store);
  return {p.of->data.data() + p.at, p.of->shadow.data() + p.at};
}

inline cell resolve_global(warp& w, int lane, std::uint64_t at, unsigned bytes, bool store) {
  memory& global = *w.launch->global;
  allocation* owner = global.owner(at);
  if (!owner || !owner->holds(at, bytes)) {
    report_global(w, owner ? code::out_of_bounds : code::invalid_access, lane, store, at, bytes, "");
    return {};
  }
  if (store && !owner->writable) {
    report_global(w, code::writes_input, lane, store, at, bytes, "an input, which is only to be read: ");
    return {};
  }
  page* p = global.touch(*owner, at);
  if (!p) {
    w.refusal = "memory";
    return {};
  }
  const std::uint64_t in_page = (at - owner->origin) & (page_bytes - 1);
  if (w.races && owner->writable) w.races->global_lane(w, lane, *p, in_page, at, bytes, store);
  return {p->data.get() + in_page, p->shadow ? p->shadow.get() + in_page : nullptr};
}

// Any space, with the alignment that the access needs (bases are 16-aligned, so
// an aligned access never spans two pages).
inline cell resolve(warp& w, int lane, std::uint64_t at, unsigned bytes, bool store, space where) {
  if (at & (bytes - 1)) {
    report_access(w, code::misaligned, lane, store, at, bytes,
                  where == space::shared || where == space::cluster ? "shared" : where == space::local ? "local" : "global",
                  "the address is not a multiple of " + std::to_string(bytes));
    return {};
  }
  const bool generic = where == space::generic;
  if (generic) {
    if (at < shared_window) where = space::global;
    else if (at < local_window) { where = space::shared; at -= shared_window; }
    else if (at < param_window) { where = space::local; at -= local_window; }
    else { where = space::param; at -= param_window; }
  }
  if (where == space::shared && at >> cluster_offset_bits && generic) where = space::cluster;
  switch (where) {
    case space::cluster: return resolve_cluster(w, lane, at, bytes, store);
    case space::shared:
    case space::local: return resolve_window(w, lane, at, bytes, store, where);
    case space::param: {
      auto& block = w.launch->parameters;
      if (store || at > block.size() || block.size() - at < bytes) {
        report_access(w, store ? code::invalid_access : code::out_of_bounds, lane, store, at, bytes, "parameter",
                      store ? "parameters are only to be read" : "the kernel has " + bytes_words(block.size()) + " of it");
        return {};
      }
      return {block.data() + at, nullptr};
    }
    default: return resolve_global(w, lane, at, bytes, store);
  }
}

// All active lanes in one run of memory: its lowest address and its bytes.
struct run_of_memory {
  std::byte* data = nullptr;  // at `lowest`
  std::uint8_t* shadow = nullptr;
  std::uint64_t lowest = 0, bytes = 0;
  page* in = nullptr;    // global memory
  bool watched = false;  // for races: told to note_load and note_store
};

[[nodiscard]] inline run_of_memory one_run(warp& w, const lane_addresses& a, unsigned bytes, bool store, space where) {
  std::uint64_t lowest = ~std::uint64_t{0}, highest = 0, low_bits_set = 0;
  if (a.active == every_lane) {
    for (int l = 0; l < warp_lanes; ++l) {
      lowest = std::min(lowest, a.at[l]);
      highest = std::max(highest, a.at[l]);
      low_bits_set |= a.at[l];
    }
  } else {
    for (int l = 0; l < warp_lanes; ++l) {
      if (!((a.active >> l) & 1u)) continue;
      lowest = std::min(lowest, a.at[l]);
      highest = std::max(highest, a.at[l]);
      low_bits_set |= a.at[l];
    }
  }
  if (low_bits_set & (bytes - 1)) return {};
  run_of_memory out;
  out.lowest = lowest;
  out.bytes = highest - lowest + bytes;
  if (where == space::shared) {
    const std::uint64_t size = w.shared->data.size();
    if (highest > size || size - highest < bytes) return {};
    if (store && w.shared->guarded) return {};  // lane by lane: guard.hpp
    out.data = w.shared->data.data() + lowest;
    out.shadow = w.shared->shadow.data() + lowest;
    out.watched = w.shared_races != nullptr;
    return out;
  }
  if (where != space::global && where != space::generic && where != space::constant) return {};
  memory& global = *w.launch->global;
  allocation* owner = global.owner(lowest);
  if (!owner || lowest < owner->base || highest > owner->end() || owner->end() - highest < bytes) return {};
  if (store && !owner->writable) return {};
  const std::uint64_t first = lowest - owner->origin, last = highest + bytes - 1 - owner->origin;
  if ((first >> page_bits) != (last >> page_bits)) return {};
  page* p = global.touch(*owner, lowest);
  if (!p) return {};
  out.data = p->data.get() + (first & (page_bytes - 1));
  if (p->shadow) out.shadow = p->shadow.get() + (first & (page_bytes - 1));
  out.in = p;
  out.watched = owner->writable && w.races;
  return out;
}

// Lane after lane without a gap.
[[nodiscard]] inline bool is_dense(const lane_addresses& a, unsigned bytes) noexcept {
  std::uint64_t off = ~a.active;
  for (unsigned l = 0; l < warp_lanes; ++l) off |= a.at[l] ^ (a.at[0] + std::uint64_t{l} * bytes);
  return off == 0;
}

// Whether two lanes' accesses, each aligned to its size, are of one place.
[[nodiscard]] inline bool share_a_place(const std::uint64_t* at, lane_mask lanes, unsigned bytes) noexcept {
  std::uint64_t low = ~std::uint64_t{0}, high = 0, next = 0;
  bool rising = true;
  for (lane_mask left = lanes; left; left &= left - 1) {
    const std::uint64_t here = at[std::countr_zero(left)];
    rising &= here >= next;
    next = here + bytes;
    low = std::min(low, here);
    high = std::max(high, here);
  }
  if (rising) return false;
  const int shift = std::countr_zero(bytes);
  constexpr std::uint64_t most = 4096;
  if ((high - low) >> shift < most) {
    std::uint64_t taken[most / 64] = {};
    for (lane_mask left = lanes; left; left &= left - 1) {
      const std::uint64_t place = (at[std::countr_zero(left)] - low) >> shift, bit = std::uint64_t{1} << (place % 64);
      if (taken[place / 64] & bit) return true;
      taken[place / 64] |= bit;
    }
    return false;
  }
  for (lane_mask left = lanes; left; left &= left - 1)
    for (lane_mask others = left & (left - 1); others; others &= others - 1)
      if (at[std::countr_zero(others)] == at[std::countr_zero(left)]) return true;
  return false;
}

// For races: lanes that store to one place, where stores go lane by lane.
inline void look_at_lanes(warp& w, const op& o, const lane_addresses& a, unsigned bytes) {
  const std::uint64_t lead = a.at[std::countr_zero(a.active)];
  const bool generic = o.where == space::generic, shared = o.where == space::shared || (generic && lead >= shared_window && lead < local_window);
  const bool watched = shared ? w.shared_races != nullptr : (generic || o.where == space::global) && w.races && w.launch->global->owner(lead);
  if (watched && share_a_place(a.at, a.active, bytes)) check_lanes(w, o, a.at, a.active, shared);
}

// The accesses of one_run, for races.
inline void note_load(warp& w, const op& o, const lane_addresses& a, const run_of_memory& run, unsigned bytes) {
  const bool dense = is_dense(a, bytes);
  if (!run.in) return w.races->shared_load(w, o, a.at, a.active, run.lowest, run.bytes, bytes, dense);
  const auto in_page = static_cast<std::uint64_t>(run.data - run.in->data.get());
  w.races->global_load(w, o, *run.in, in_page, run.bytes, a.at, a.active, run.lowest, bytes, dense);
}
inline void note_store(warp& w, const op& o, const lane_addresses& a, const run_of_memory& run, unsigned bytes) {
  if (share_a_place(a.at, a.active, bytes)) check_lanes(w, o, a.at, a.active, run.in == nullptr);
  const bool dense = is_dense(a, bytes);
  if (!run.in) return w.races->shared_store(w, o, a.at, a.active, run.lowest, run.bytes, bytes, dense);
  const auto in_page = static_cast<std::uint64_t>(run.data - run.in->data.get());
  w.races->global_store(w, o, *run.in, in_page, run.bytes, a.at, a.active, run.lowest, bytes, dense);
}

// `further`: not the first request of this instruction.
inline void count_request(warp& w, const op& o, const lane_addresses& a, unsigned bytes, access_kind kind, bool further = false) {
  if (w.launch->tally) [[unlikely]]
    w.launch->tally->request(w.pc, o.where, kind, a.at, a.active, bytes, further);
  if (o.where != space::global && o.where != space::generic) return;
  if (a.at[static_cast<unsigned>(std::countr_zero(a.active))] >= shared_window) return;
  (kind == access_kind::load ? w.launch->load_sectors : w.launch->store_sectors) += sectors(a, bytes);
}

[[nodiscard]] inline bool any_set(const std::uint8_t* bytes, std::uint64_t n) noexcept {
  std::uint64_t i = 0, seen = 0, also = 0;
  for (; i + 16 <= n; i += 16) {
    std::uint64_t low, high;
    std::memcpy(&low, bytes + i, 8);
    std::memcpy(&high, bytes + i + 8, 8);
    seen |= low;
    also |= high;
  }
  for (; i + 8 <= n; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes + i, 8);
    seen |= word;
  }
  for (; i < n; ++i) seen |= bytes[i];
  return (seen | also) != 0;
}

// Shadow bytes of memory as undefined bits of a lane, and back.
template <typename T>
[[nodiscard]] bits_of_size<sizeof(T)> shade_of(const std::uint8_t* shadow) noexcept {
  bits_of_size<sizeof(T)> out = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    if (shadow[i]) out = static_cast<bits_of_size<sizeof(T)>>(out | (bits_of_size<sizeof(T)>{0xff} << (8 * i)));
  return out;
}
template <typename T>
void store_shade(std::uint8_t* shadow, T bits) noexcept {
  for (std::size_t i = 0; i < sizeof(T); ++i) shadow[i] = (bits >> (8 * i)) & 0xff ? undefined : defined;
}

inline void clear_taint(warp& w, ref d, std::uint8_t width, lane_mask active) {
  if (!w.tainted[d.slot]) return;
  switch (width) {
    case 2: shade_whole<std::uint16_t>(w, d, 0, active); break;
    case 4: shade_whole<std::uint32_t>(w, d, 0, active); break;
    case 8: shade_whole<std::uint64_t>(w, d, 0, active); break;
    case 16: shade_whole<unsigned __int128>(w, d, 0, active); break;
    default: shade_whole<std::uint8_t>(w, d, 0, active);
  }
}

template <typename T, int V>
void run_load(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  const lane_addresses a = addresses(w, o, active);
  if (!a.active) return;
  constexpr unsigned bytes = sizeof(T) * V;
  count_request(w, o, a, bytes, access_kind::load);
  const run_of_memory run = one_run(w, a, bytes, false, o.where);
  if (run.data && !(run.shadow && any_set(run.shadow, run.bytes))) {
    if (run.watched) note_load(w, o, a, run, bytes);
    for (int i = 0; i < V; ++i) {
      if ((o.target >> i) & 1u) continue;  // discarded
      T* to = w.lanes<T>(o.d[i]);
      const std::byte* from = run.data + static_cast<std::size_t>(i) * sizeof(T);
      if (a.active == every_lane) {
        for (int l = 0; l < warp_lanes; ++l) std::memcpy(&to[l], from + (a.at[l] - run.lowest), sizeof(T));
      } else {
        for (int l = 0; l < warp_lanes; ++l)
          if ((a.active >> l) & 1u) std::memcpy(&to[l], from + (a.at[l] - run.lowest), sizeof(T));
      }
      clear_taint(w, o.d[i], sizeof(T), active);
    }
    return;
  }
  T value[V][warp_lanes] = {};
  T shade[V][warp_lanes] = {};
  bool any = false;
  for (int l = 0; l < warp_lanes; ++l) {
    if (!((a.active >> l) & 1u)) continue;
    const cell c = resolve(w, l, a.at[l], bytes, false, o.where);
    for (int i = 0; i < V; ++i) {
      if (!c.data) continue;  // reported: reads as a defined zero
      std::memcpy(&value[i][l], c.data + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
      if (c.shadow) shade[i][l] = static_cast<T>(shade_of<T>(c.shadow + static_cast<std::size_t>(i) * sizeof(T)));
      any |= shade[i][l] != 0;
    }
  }
  for (int i = 0; i < V; ++i) {
    if ((o.target >> i) & 1u) continue;
    keep(w, o.d[i], value[i], active);
    if (any || w.tainted[o.d[i].slot]) shade_lanes(w, o.d[i], shade[i], active);
  }
}

template <typename T, int V>
void run_store(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  const lane_addresses a = addresses(w, o, active);
  if (!a.active) return;
  constexpr unsigned bytes = sizeof(T) * V;
  count_request(w, o, a, bytes, access_kind::store);
  bool tainted = false;
  for (int i = 0; i < V; ++i) tainted |= w.tainted[o.s[i + 1].slot] != 0;
  const run_of_memory run = one_run(w, a, bytes, true, o.where);
  if (run.data && !tainted) {
    if (run.watched) note_store(w, o, a, run, bytes);
    for (int l = 0; l < warp_lanes; ++l) {
      if (!((a.active >> l) & 1u)) continue;
      std::byte* to = run.data + (a.at[l] - run.lowest);
      for (int i = 0; i < V; ++i) std::memcpy(to + static_cast<std::size_t>(i) * sizeof(T), &w.lanes<T>(o.s[i + 1])[l], sizeof(T));
    }
    if (run.shadow) {
      if (run.bytes == bytes * static_cast<std::uint64_t>(std::popcount(a.active)) && a.active == every_lane) {
        // Dense or overlapping: either way every byte of the run may be set
        // only if it is written, which 32 distinct addresses make sure of.
        bool dense = true;
        for (int l = 1; l < warp_lanes; ++l) dense &= a.at[l] == a.at[l - 1] + bytes;
        if (dense) {
          std::memset(run.shadow, defined, run.bytes);
          return;
        }
      }
      for (int l = 0; l < warp_lanes; ++l)
        if ((a.active >> l) & 1u) std::memset(run.shadow + (a.at[l] - run.lowest), defined, bytes);
    }
    return;
  }
  look_at_lanes(w, o, a, bytes);
  for (int l = 0; l < warp_lanes; ++l) {
    if (!((a.active >> l) & 1u)) continue;
    const cell c = resolve(w, l, a.at[l], bytes, true, o.where);
    if (!c.data) continue;
    for (int i = 0; i < V; ++i) {
      const std::size_t at = static_cast<std::size_t>(i) * sizeof(T);
      std::memcpy(c.data + at, &w.lanes<T>(o.s[i + 1])[l], sizeof(T));
      if (c.shadow) store_shade(c.shadow + at, w.shades<T>(o.s[i + 1])[l]);
    }
  }
}

// Registers wider than the element: u8 into a 16-bit register and the like.
inline void run_load_wide(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  const lane_addresses a = addresses(w, o, active);
  if (!a.active) return;
  const unsigned bytes = unsigned{o.unit} * o.vector;
  count_request(w, o, a, bytes, access_kind::load);
  for (int i = 0; i < o.vector; ++i) {
    if ((o.target >> i) & 1u) continue;
    bool any = false;
    for (int l = 0; l < warp_lanes; ++l) {
      std::byte* shade_at = w.shade + o.d[i].offset + static_cast<std::size_t>(l) * o.width;
      if ((a.active >> l) & 1u) {
        const cell c = resolve(w, l, a.at[l], bytes, false, o.where);
        std::uint64_t value = 0, shade = 0;
        if (c.data) {
          std::memcpy(&value, c.data + i * o.unit, o.unit);
          if (c.shadow)
            for (unsigned b = 0; b < o.unit; ++b)
              if (c.shadow[static_cast<unsigned>(i) * o.unit + b]) shade |= std::uint64_t{0xff} << (8 * b);
        }
        value = low_bits(value, o.unit, o.is_signed);
        shade = low_bits(shade, o.unit, o.is_signed);
        std::memcpy(w.file + o.d[i].offset + static_cast<std::size_t>(l) * o.width, &value, o.width);
        std::memcpy(shade_at, &shade, o.width);
      }
      std::uint64_t left = 0;
      std::memcpy(&left, shade_at, o.width);
      any |= left != 0;
    }
    w.tainted[o.d[i].slot] = any;
  }
}

inline void run_store_wide(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  const lane_addresses a = addresses(w, o, active);
  if (!a.active) return;
  const unsigned bytes = unsigned{o.unit} * o.vector;
  count_request(w, o, a, bytes, access_kind::store);
  look_at_lanes(w, o, a, bytes);
  for (int l = 0; l < warp_lanes; ++l) {
    if (!((a.active >> l) & 1u)) continue;
    const cell c = resolve(w, l, a.at[l], bytes, true, o.where);
    if (!c.data) continue;
    for (unsigned i = 0; i < o.vector; ++i) {
      std::memcpy(c.data + i * o.unit, w.file + o.s[i + 1].offset + static_cast<std::size_t>(l) * o.width, o.unit);
      std::uint64_t shade = 0;
      std::memcpy(&shade, w.shade + o.s[i + 1].offset + static_cast<std::size_t>(l) * o.width, o.width);
      if (c.shadow)
        for (unsigned b = 0; b < o.unit; ++b) c.shadow[i * o.unit + b] = (shade >> (8 * b)) & 0xff ? undefined : defined;
    }
  }
}

// A kernel parameter at a fixed place: the same in every lane.
template <typename T>
void run_load_parameter(warp& w, const op& o, lane_mask active) {
  const auto& block = w.launch->parameters;
  const auto at = static_cast<std::uint64_t>(o.imm);
  if (at > block.size() || block.size() - at < sizeof(T) || at % sizeof(T) != 0)
    return run_load<T, 1>(w, o, active);  // which tells
  T value;
  std::memcpy(&value, block.data() + at, sizeof(T));
  alignas(64) T out[warp_lanes];
  for (auto& x : out) x = value;
  keep(w, o.d[0], out, active);
  clear_taint(w, o.d[0], sizeof(T), active);
}

// ---- rows ----------------------------------------------------------------------

inline space take_space(decoding& d) {
  if (d.take("global")) return space::global;
  if (d.take("shared") || d.take("shared::cta")) return space::shared;
  if (d.take("shared::cluster")) return space::cluster;
  if (d.take("local")) return space::local;
  if (d.take("param") || d.take("param::entry") || d.take("param::func")) return space::param;
  if (d.take("const")) return space::constant;
  return space::generic;
}

// What an access or a fence promises to other threads, for race.hpp.
inline memory_order take_order(decoding& d, memory_order unsaid) {
  memory_order order = unsaid;
  if (d.take("weak")) order = memory_order::weak;
  if (d.take("volatile") || d.take("relaxed") || d.take("mmio")) order = memory_order::relaxed;
  if (d.take("relaxed")) order = memory_order::relaxed;  // .mmio.relaxed
  if (d.take("acquire")) order = memory_order::acquire;
  if (d.take("release")) order = memory_order::release;
  if (d.take("acq_rel") || d.take("sc")) order = memory_order::acq_rel;
  d.o.device_scope = !d.take("cta");
  d.ignore("cluster", "gpu", "sys", "gl");
  return order;
}

inline void ignore_hints(decoding& d) {
  // Caching: one CTA at a time runs in a single order.
  d.ignore("nc", "ca", "cg", "cs", "cv", "lu", "wb", "wt", "L1::no_allocate", "L1::evict_normal",
           "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L2::64B", "L2::128B", "L2::256B",
           "L2::evict_first", "L2::evict_last", "L2::evict_normal", "unified");
}

// With `L2::cache_hint` the last operand is a policy that changes no value.
inline std::size_t operands_without_policy(decoding& d) {
  return d.count() - (d.take("L2::cache_hint") ? 1 : 0);
}

inline int take_vector(decoding& d) { return d.take("v4") ? 4 : d.take("v2") ? 2 : d.take("v8") ? 8 : 1; }

template <bool Store>
handler access_handler(unsigned unit, int vector) {
  const auto pick = [&](auto zero) -> handler {
    using T = decltype(zero);
    if constexpr (Store)
      return vector == 1 ? &run_store<T, 1> : vector == 2 ? &run_store<T, 2> : sizeof(T) == 8 ? nullptr : &run_store<T, 4>;
    else
      return vector == 1 ? &run_load<T, 1> : vector == 2 ? &run_load<T, 2> : sizeof(T) == 8 ? nullptr : &run_load<T, 4>;
  };
  switch (unit) {
    case 1: return pick(std::uint8_t{});
    case 2: return pick(std::uint16_t{});
    case 4: return pick(std::uint32_t{});
    case 8: return pick(std::uint64_t{});
    case 16: return vector != 1 ? nullptr : Store ? &run_store<unsigned __int128, 1> : &run_load<unsigned __int128, 1>;
    default: return nullptr;
  }
}

// Registers of an access: a list or one; they must agree in width.
inline bool access_registers(decoding& d, const operand& named, bool targets, int vector) {
  std::vector<operand> one{named};
  const std::vector<operand>& parts = named.kind == operand::type::list ? named.parts : one;
  if (parts.size() != static_cast<std::size_t>(vector)) {
    d.refuse("a list of another length than its vector");
    return false;
  }
  std::uint8_t width = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::uint8_t got;
    if (targets && parts[i].kind == operand::type::discard) {
      d.o.target |= 1u << i;
      ++d.o.targets;
      continue;
    }
    got = targets ? d.target_any(parts[i]) : d.source_any(parts[i], d.o.unit);
    if (width && got != width) {
      d.refuse("registers of different widths");
      return false;
    }
    width = got;
  }
  d.o.width = width ? width : d.o.unit;
  if (d.o.width < d.o.unit) d.refuse("a register narrower than its type");
  if (d.o.width > d.o.unit && d.o.width > 8) d.refuse("a part of a register of 128 bits");
  return d.refusal.empty();
}

inline void make_load(decoding& d) {
  if (d.has("mmio")) return d.refuse("memory of a device, which a launch here has none of");
  d.o.access = access_kind::load;
  d.o.order = take_order(d, memory_order::weak);
  ignore_hints(d);
  d.o.where = take_space(d);
  const std::size_t n = operands_without_policy(d);
  const int vector = take_vector(d);
  const type t = d.take_type();
  if (n != 2 || vector == 8 || t == type::none || t == type::pred) return d.refuse("this form");
  d.o.unit = width_of(t);
  d.o.vector = static_cast<std::uint8_t>(vector);
  d.o.is_signed = is_signed(t);
  d.address(d.in.operands[1]);
  if (!access_registers(d, d.in.operands[0], true, vector)) return;
  if (d.o.where == space::param && d.o.s[0].slot == 0 && vector == 1 && d.o.width == d.o.unit && !d.o.target) {
    switch (d.o.unit) {
      case 2: return d.does(&run_load_parameter<std::uint16_t>);
      case 4: return d.does(&run_load_parameter<std::uint32_t>);
      case 8: return d.does(&run_load_parameter<std::uint64_t>);
      default: break;
    }
  }
  handler run = d.o.width == d.o.unit ? access_handler<false>(d.o.unit, vector) : &run_load_wide;
  run ? d.does(run) : d.refuse("this vector");
}

inline void make_store(decoding& d) {
  if (d.has("mmio")) return d.refuse("memory of a device, which a launch here has none of");
  if (d.has("async")) return d.refuse("an asynchronous store to the shared memory of a cluster");
  d.o.access = access_kind::store;
  d.o.order = take_order(d, memory_order::weak);
  ignore_hints(d);
  d.o.where = take_space(d);
  const std::size_t n = operands_without_policy(d);
  const int vector = take_vector(d);
  const type t = d.take_type();
  if (n != 2 || vector == 8 || t == type::none || t == type::pred) return d.refuse("this form");
  d.o.unit = width_of(t);
  d.o.vector = static_cast<std::uint8_t>(vector);
  d.address(d.in.operands[0]);
  if (vector == 4 && d.o.unit == 8) return d.refuse("this vector");
  if (!access_registers(d, d.in.operands[1], false, vector)) return;
  handler run = d.o.width == d.o.unit ? access_handler<true>(d.o.unit, vector) : &run_store_wide;
  run ? d.does(run) : d.refuse("this vector");
}

// ---- atomics ---------------------------------------------------------------------

enum class change : std::uint8_t { add, min, max, exch, cas, bit_and, bit_or, bit_xor, inc, dec };

[[nodiscard]] inline std::uint64_t changed(std::uint64_t old, std::uint64_t b, std::uint64_t c, change what, type t) {
  const unsigned bytes = width_of(t);
  const auto halves = [&](auto kind, auto f) {
    using K = decltype(kind);
    const auto lo = K::from(f(K::to(static_cast<std::uint16_t>(old)), K::to(static_cast<std::uint16_t>(b))));
    if (bytes == 2) return std::uint64_t{lo};
    const auto hi = K::from(f(K::to(static_cast<std::uint16_t>(old >> 16)), K::to(static_cast<std::uint16_t>(b >> 16))));
    return std::uint64_t{lo} | (std::uint64_t{hi} << 16);
  };
  const auto floats = [&](auto f) -> std::uint64_t {
    switch (t) {
      case type::f32:
        return std::bit_cast<std::uint32_t>(canonical(static_cast<float>(
            f(std::bit_cast<float>(static_cast<std::uint32_t>(old)), std::bit_cast<float>(static_cast<std::uint32_t>(b))))));
      case type::f64: return std::bit_cast<std::uint64_t>(static_cast<double>(f(std::bit_cast<double>(old), std::bit_cast<double>(b))));
      case type::f16: case type::f16x2: return halves(half_kind{}, f);
      default: return halves(bfloat_kind{}, f);
    }
  };
  const bool is_float = !is_integer(t);
  const std::uint64_t a = low_bits(old, bytes, is_signed(t)), v = low_bits(b, bytes, is_signed(t));
  const bool less = is_signed(t) ? static_cast<std::int64_t>(v) < static_cast<std::int64_t>(a) : v < a;
  switch (what) {
    case change::add:
      // Halves come as doubles, whose sum is to be rounded once.
      if (is_float && bytes < 8 && t != type::f32) return floats([](auto x, auto y) { return sum_to_odd(x, y); });
      return is_float ? floats([](auto x, auto y) { return x + y; }) : a + v;
    case change::min: return is_float ? floats([](auto x, auto y) { return fp_min::f(x, y); }) : less ? v : a;
    case change::max: return is_float ? floats([](auto x, auto y) { return fp_max::f(x, y); }) : less ? a : v;
    case change::exch: return b;
    case change::cas: return low_bits(old, bytes, false) == low_bits(b, bytes, false) ? c : old;
    case change::bit_and: return old & b;
    case change::bit_or: return old | b;
    case change::bit_xor: return old ^ b;
    case change::inc: return a >= v ? 0 : a + 1;
    case change::dec: return a == 0 || a > v ? v : a - 1;
  }
  return old;
}

// vector holds the change, unit the bytes; s[1], s[2] the values; targets 0 for
// red. The lanes go one after the other, lowest first.
inline void run_atomic(warp& w, const op& o, lane_mask active) {
  if (!active) return;
  const lane_addresses a = addresses(w, o, active);
  if (!a.active) return;
  const auto what = static_cast<change>(o.vector);
  const auto t = static_cast<type>(o.target);
  std::uint64_t out[warp_lanes] = {}, shade[warp_lanes] = {};
  count_request(w, o, a, o.unit, access_kind::atomic);
  for (int l = 0; l < warp_lanes; ++l) {
    if (!((a.active >> l) & 1u)) continue;
    const cell c = resolve(w, l, a.at[l], o.unit, true, o.where);
    if (!c.data) continue;
    std::uint64_t old = 0;
    std::memcpy(&old, c.data, o.unit);
    out[l] = old;
    const std::uint64_t b = read_lane(w, o.s[1], o.unit, l, false);
    const std::uint64_t third = what == change::cas ? read_lane(w, o.s[2], o.unit, l, false) : 0;
    const std::uint64_t fresh = changed(old, b, third, what, t);
    std::memcpy(c.data, &fresh, o.unit);
    bool source_bad = read_lane(w, o.s[1], o.unit, l, true) != 0;
    if (what == change::cas) source_bad |= read_lane(w, o.s[2], o.unit, l, true) != 0;
    const bool old_bad = c.shadow && any_set(c.shadow, o.unit);
    if (old_bad) shade[l] = ~std::uint64_t{0};
    if (c.shadow) {
      const bool bad = source_bad || (old_bad && what != change::exch);
      std::memset(c.shadow, bad ? undefined : defined, o.unit);
    }
  }
  if (!o.targets) return;
  write_lanes(w, o.d[0], o.unit, out, active);
  bool any = false;
  for (int l = 0; l < warp_lanes; ++l) {
    std::byte* to = w.shade + o.d[0].offset + static_cast<std::size_t>(l) * o.unit;
    if ((active >> l) & 1u) std::memcpy(to, &shade[l], o.unit);
    std::uint64_t left = 0;
    std::memcpy(&left, to, o.unit);
    any |= left != 0;
  }
  w.tainted[o.d[0].slot] = any;
}

inline void make_atomic(decoding& d, bool returns) {
  if (d.has("async")) return d.refuse("an asynchronous reduction in the shared memory of a cluster");
  d.o.access = access_kind::atomic;
  d.o.result_unused = !returns;  // decoder.hpp looks for more
  d.o.order = take_order(d, memory_order::relaxed);
  ignore_hints(d);
  d.ignore("noftz");
  d.o.where = take_space(d);
  static constexpr std::pair<std::string_view, change> names[] = {
      {"add", change::add}, {"min", change::min}, {"max", change::max}, {"exch", change::exch}, {"cas", change::cas},
      {"and", change::bit_and}, {"or", change::bit_or}, {"xor", change::bit_xor}, {"inc", change::inc}, {"dec", change::dec}};
  bool found = false;
  change what = change::add;
  for (const auto& [name, kind] : names)
    if (d.take(name)) {
      what = kind;
      found = true;
    }
  const std::size_t n = operands_without_policy(d);
  const type t = d.take_type();
  const std::size_t values = what == change::cas ? 2 : 1;
  if (!found || t == type::none || t == type::pred || width_of(t) < 2 || width_of(t) > 8 || n != (returns ? 2 : 1) + values) return d.refuse("this form");
  d.o.unit = width_of(t);
  d.o.vector = static_cast<std::uint8_t>(what);
  d.o.compares = what == change::cas;
  d.o.target = static_cast<std::uint32_t>(t);
  std::size_t i = 0;
  if (returns) {
    if (d.in.operands[0].kind != operand::type::discard) d.target(0, d.o.unit);
    i = 1;
  }
  d.address(d.in.operands[i]);
  for (std::size_t v = 0; v < values; ++v) d.source(i + 1 + v, d.o.unit);
  d.does(&run_atomic);
}

inline void run_nothing(warp&, const op&, lane_mask) {}

// Memory needs no fence here: every access is done when it is run. What a fence
// orders is remembered for races.
inline void run_fence(warp& w, const op& o, lane_mask) {
  if (w.races) w.races->fence(w.number, o.device_scope);
}

inline void add_access_rows(instruction_table& table) {
  table["ld"] = &make_load;
  table["ldu"] = &make_load;
  table["st"] = &make_store;
  table["atom"] = [](decoding& d) { make_atomic(d, true); };
  table["red"] = [](decoding& d) { make_atomic(d, false); };
  table["membar"] = [](decoding& d) {
    if (d.take("proxy")) d.take("alias");  // no memory here has two addresses
    take_order(d, memory_order::acq_rel);
    if (d.want(0)) d.does(&run_fence);
  };
  // Prefetches move nothing; a launch stands alone, so that griddepcontrol waits
  // for nothing.
  const row nothing = [](decoding& d) {
    while (!d.left_over().empty()) d.take_any();
    d.does(&run_nothing);
  };
  for (const char* name : {"prefetch", "prefetchu", "applypriority", "pmevent", "nanosleep", "griddepcontrol"})
    table[name] = nothing;
}

}  // namespace skillbench::ptx::ops
