#pragma once
// ptx/async.hpp: what asynchronous operations of a CTA have in hand.
//
// Layer   3. Includes memory and program.
// Cluster the CTAs that run together, one where a launch has no clusters. An
//         address of shared::cluster is an offset in the thread's own CTA, or
//         mapa's: the rank, from 1, above 24 bits of offset.
// Order   An operation that is issued has no effect yet: the bytes that it will
//         write are shadowed `in_flight`, the ranges that it will still read
//         stand in `held`. The data move when a wait covers the operation, the
//         latest moment that PTX allows, so that nothing works by luck.
// Guard   `guarded` is not zero while any byte of a CTA's shared memory is in
//         flight, held, or part of an mbarrier, or while stores must be noted
//         for missing fences. An ordinary store tests it once; what a load must
//         not see has a shadow that is not zero, which sends it the slow way.
// Source  PTX ISA 9.0, "Data Movement and Conversion Instructions: Asynchronous
//         copy", "Parallel Synchronization: mbarrier", "Async proxy".

#include <cstddef>
#include <cstdint>
#include <vector>

#include <skillbench/ptx/memory.hpp>
#include <skillbench/ptx/program.hpp>
#include <skillbench/ptx/warpgroup.hpp>
#include <skillbench/ptx/tensor_map.hpp>

namespace skillbench::ptx {

// A range that an operation in flight still reads.
struct held_range {
  std::uint64_t ticket = 0;
  std::uint64_t first = 0, bytes = 0;
  std::uint32_t pc = 0;      // of the operation
  std::uint32_t thread = 0;  // of the CTA, that issued it
};

// The cp.async of one warp instruction.
struct copy_batch {
  std::uint64_t number = 0;  // of this warp, in order
  std::uint32_t pc = 0;
  lane_mask lanes = 0;       // whose bytes have not landed
  std::uint32_t bytes = 0;   // 4, 8 or 16 for each lane
  bool plain = false;        // 16, all defined, to aligned places
  std::uint32_t to[32];      // offsets in shared memory
  std::uint32_t group[32];   // each lane's own count of groups
  std::uint16_t undefined_bytes[32];
  std::byte data[32][16];
};

// cp.async.mbarrier.arrive: arrives when the copies before it have landed.
struct copy_arrival {
  std::uint32_t pc = 0;
  std::uint64_t before = 0;  // numbers of batches
  lane_mask lanes = 0;
  std::uint32_t barrier[32];
};

struct warp_copies {
  std::uint64_t issued = 0;
  std::uint32_t committed[32] = {};   // groups of each lane
  std::vector<copy_batch> pool;
  std::vector<std::uint32_t> flying;  // of the pool, oldest first
  std::vector<std::uint32_t> unused;  // of the pool
  std::vector<copy_arrival> arrivals;
};

// The last ordinary store to 16 bytes of shared memory, for missing fences.
struct store_note {
  std::uint32_t thread = 0;  // of the CTA, from 1; 0: none
  std::uint32_t pc = 0;
  std::uint32_t fences = 0;  // that the writer's warp had done
  std::uint32_t meeting = 0; // barriers of the CTA by then
};

// An mbarrier that a thread began.
struct barrier_birth {
  std::uint64_t at = 0;
  std::uint32_t thread = 0, pc = 0;  // of the CTA
  std::uint32_t meeting = 0;         // barriers of the CTA by then
  bool told = false;                 // a fence, or a barrier of the cluster, tells others of it
};

class cta_races;  // race.hpp

// Shared memory of a CTA with its shadow (see memory.hpp).
struct shared_memory {
  std::vector<std::byte> data;
  std::vector<std::uint8_t> shadow;
  std::uint64_t guarded = 0;
  cta_races* races = nullptr;           // null: accesses are not told apart
  std::vector<held_range> held;
  std::uint64_t tickets = 0;
  std::vector<warp_copies> copies;      // by warp
  // Only in programs whose asynchronous proxy reads shared memory:
  std::vector<store_note> notes;        // one for 16 bytes
  std::vector<std::uint32_t> fences;    // fence.proxy.async, by warp
  std::uint32_t unfenced_warps = 0;     // that stored since their last one
  std::vector<std::uint32_t> fenced_at; // the meeting of each warp's last one
  std::uint32_t meetings = 0;
  wgmma_reads matrices;                 // only in programs with wgmma
  std::vector<barrier_birth> births;    // of the mbarriers that there are
  // The last use by a thread of another CTA since the CTAs met: whoever exits
  // then may pull the memory from under it.
  bool visited = false;
  std::uint32_t visitor = 0, visited_at = 0;  // rank and instruction

  void start(std::size_t warps, bool noting) {
    shadow.assign(shadow.size(), unwritten);
    guarded = noting ? 1 : 0;
    held.clear();
    copies.resize(warps);
    for (auto& c : copies) {
      c.issued = 0;
      for (auto& n : c.committed) n = 0;
      c.unused.insert(c.unused.end(), c.flying.begin(), c.flying.end());
      c.flying.clear();
      c.arrivals.clear();
    }
    meetings = 1;
    visited = false;
    births.clear();
    if (!noting) return;
    notes.assign(data.size() / 16 + 1, store_note{});
    unfenced_warps = 0;
    fences.assign(warps, 0);
    fenced_at.assign(warps, 0);
  }

  // The range may not be written until the ticket is given back.
  std::uint64_t hold(std::uint64_t first, std::uint64_t bytes, std::uint32_t pc, std::uint32_t thread) {
    held.push_back({++tickets, first, bytes, pc, thread});
    ++guarded;
    return tickets;
  }
  void let_go(std::uint64_t ticket) {
    for (auto& h : held)
      if (h.ticket == ticket) {
        h = held.back();
        held.pop_back();
        --guarded;
        return;
      }
  }

  // An ordinary store to 16 bytes, where stores are noted.
  void note_store(std::uint64_t at, std::uint32_t warp_number, std::uint32_t lane, std::uint32_t pc) {
    if (notes.empty()) return;
    matrices.change(at, 16);
    put_note(at, warp_number, lane, pc);
  }
  void put_note(std::uint64_t at, std::uint32_t warp_number, std::uint32_t lane, std::uint32_t pc) {
    unfenced_warps |= 1u << warp_number;
    notes[at / 16] = {warp_number * 32 + lane + 1, pc, fences[warp_number], meetings};
  }

  // fence.proxy.async by threads of a warp: their stores before it, and those
  // that a barrier put before it, may be read by asynchronous operations.
  void fence(std::uint32_t warp_number) {
    if (notes.empty()) return;
    unfenced_warps &= ~(1u << warp_number);
    ++fences[warp_number];
    fenced_at[warp_number] = meetings;
  }

  void born(std::uint64_t at, std::uint32_t thread, std::uint32_t pc) {
    died(at);
    births.push_back({at, thread, pc, meetings, false});
  }
  void died(std::uint64_t at) {
    std::erase_if(births, [&](const barrier_birth& b) { return b.at == at; });
  }
  // Lanes of a warp fence what they began, and what a barrier of the CTA put
  // before that.
  void tell_births(std::uint32_t warp_number, std::uint32_t lanes) {
    for (barrier_birth& b : births)
      b.told |= b.meeting < meetings || (b.thread / 32 == warp_number && ((lanes >> (b.thread % 32)) & 1u));
  }
  [[nodiscard]] barrier_birth* untold(std::uint64_t at) {
    for (barrier_birth& b : births)
      if (b.at == at && !b.told) return &b;
    return nullptr;
  }

  // The first store to a range that no fence stands behind, for a reader in
  // `warp_number`; null when there is none.
  [[nodiscard]] const store_note* unfenced(std::uint64_t first, std::uint64_t bytes, std::uint32_t warp_number) const {
    if (notes.empty() || !bytes || !unfenced_warps) return nullptr;
    for (std::uint64_t at = first / 16; at <= (first + bytes - 1) / 16 && at < notes.size(); ++at) {
      const store_note& n = notes[at];
      if (!n.thread) continue;
      if (fences[(n.thread - 1) / 32] != n.fences) continue;
      if (fenced_at[warp_number] > n.meeting) continue;
      return &n;
    }
    return nullptr;
  }
};

struct launch_state;
struct cluster_state;

// A copy of the copy engine (cp.async.bulk) that has not been done.
struct bulk_copy {
  std::uint32_t pc = 0;
  std::uint32_t rank = 0, thread = 0;  // of the thread that issued it
  std::uint64_t cta = 0;
  // What it writes in shared memory; bytes 0: nothing.
  std::uint32_t to_rank = 0;
  std::uint64_t to = 0, to_bytes = 0;
  // What tells that it is done: an mbarrier, or a group of its thread.
  bool signals = false;
  std::uint32_t barrier_rank = 0;
  std::uint64_t barrier = 0;
  std::uint64_t transaction = 0;  // bytes
  std::uint32_t group = 0;
  std::uint64_t ticket = 0;       // of the range it reads, 0: none
  std::uint64_t from = 0, bytes = 0;
  std::uint32_t form = 0;         // index into program::bulk
  tensor_map map;                 // of a box
  std::int32_t at[5] = {};        // where the box starts
  void (*move)(launch_state&, cluster_state&, bulk_copy&) = nullptr;
};

struct cluster_state {
  std::vector<shared_memory*> members;      // by rank
  std::vector<std::uint8_t> exited;         // by rank
  std::vector<bulk_copy> flying;            // oldest first
  std::vector<std::vector<std::uint32_t>> bulk_groups;  // by rank, of each thread

  void start(std::size_t threads) {
    exited.assign(members.size(), 0);
    flying.clear();
    bulk_groups.resize(members.size());
    for (auto& g : bulk_groups) g.assign(threads, 0);
  }
};

inline constexpr int cluster_offset_bits = 24;

struct shared_place {
  shared_memory* of = nullptr;  // null: no such CTA
  std::uint32_t rank = 0;
  std::uint64_t at = 0;
};

[[nodiscard]] inline shared_place place_in(const cluster_state& all, std::uint32_t own, std::uint64_t address) {
  const std::uint64_t high = address >> cluster_offset_bits;
  if (high == 0) return {all.members[own], own, address};
  if (high > all.members.size()) return {};
  const auto rank = static_cast<std::uint32_t>(high - 1);
  return {all.members[rank], rank, address & ((std::uint64_t{1} << cluster_offset_bits) - 1)};
}

}  // namespace skillbench::ptx
