#pragma once
// ptx/guard.hpp: ordinary accesses to shared memory that asynchronous
// operations have in hand.
//
// Layer   3. Includes async and report.
// Only called while shared_memory::guarded is not zero (see async.hpp).

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <skillbench/ptx/async.hpp>
#include <skillbench/ptx/report.hpp>

namespace skillbench::ptx {

// "line 12" of the source, or of the PTX when that is all that is known.
[[nodiscard]] inline std::string line_words(const launch_state& launch, std::uint32_t pc) {
  const origin& from = launch.code->origins[launch.code->code[pc].source];
  return from.line > 0 ? "line " + std::to_string(from.line) : "PTX line " + std::to_string(from.ptx_line);
}

[[nodiscard]] inline bool any_of(const std::uint8_t* bytes, std::uint64_t n, std::uint8_t bits) noexcept {
  std::uint64_t i = 0, seen = 0;
  for (; i + 8 <= n; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes + i, 8);
    seen |= word;
  }
  for (; i < n; ++i) seen |= bytes[i];
  return (seen & (std::uint64_t{bits} * 0x0101010101010101ull)) != 0;
}

// Which copy writes a byte that is in flight.
struct copy_place {
  std::uint32_t pc = ~0u;
  std::uint32_t thread = 0;
};
[[nodiscard]] inline copy_place copy_to(const cluster_state& all, const shared_memory& of, std::uint64_t at, std::uint64_t bytes) {
  for (const bulk_copy& b : all.flying)
    if (b.to_bytes && all.members[b.to_rank] == &of && b.to < at + bytes && at < b.to + b.to_bytes) return {b.pc, b.thread};
  for (std::size_t k = 0; k < of.copies.size(); ++k)
    for (const std::uint32_t index : of.copies[k].flying) {
      const copy_batch& b = of.copies[k].pool[index];
      for (lane_mask left = b.lanes; left; left &= left - 1) {
        const auto l = static_cast<unsigned>(std::countr_zero(left));
        if (b.to[l] < at + bytes && at < std::uint64_t{b.to[l]} + b.bytes)
          return {b.pc, static_cast<std::uint32_t>(k * warp_lanes + l)};
      }
    }
  return {};
}

// Whether an access may go on. What is wrong with it is told, once for an
// instruction.
[[nodiscard]] inline bool free_to_access(warp& w, shared_memory& of, int lane, std::uint64_t at,
                                         std::uint64_t bytes, bool store) {
  const std::uint8_t* shadow = of.shadow.data() + at;
  const auto tell = [&](code what, const std::string& how) {
    report_access(w, what, lane, store, at, bytes, "shared", how);
    return false;
  };
  if (any_of(shadow, bytes, in_flight)) {
    const copy_place by = copy_to(*w.cluster, of, at, bytes);
    const std::string who = by.pc == ~0u ? "an asynchronous copy" : "the asynchronous copy of " + line_words(*w.launch, by.pc);
    return tell(code::in_flight_access, "there " + who + " may still write, because nothing waited for it");
  }
  if (!store) return true;
  if (any_of(shadow, bytes, mbarrier_bytes))
    return tell(code::mbarrier_misuse, "there is an mbarrier, which ordinary stores must not touch before mbarrier.inval");
  if (of.matrices.reads(at, bytes))
    return tell(code::in_flight_access, "the wgmma of " + line_words(*w.launch, of.matrices.pc) +
                                            " may still read it, because no wgmma.wait_group stood between");
  for (const held_range& h : of.held)
    if (h.first < at + bytes && at < h.first + h.bytes)
      return tell(code::in_flight_access, "the asynchronous operation of " + line_words(*w.launch, h.pc) +
                                              " may still read it, because nothing waited for it");
  return true;
}

// The same for an ordinary access of a thread, whose stores are noted.
[[nodiscard]] inline bool guarded_access(warp& w, shared_memory& of, int lane, std::uint64_t at,
                                         unsigned bytes, bool store) {
  if (!free_to_access(w, of, lane, at, bytes, store)) return false;
  if (store) of.matrices.change(at, bytes);
  if (store && &of == w.shared) of.note_store(at, w.number, static_cast<std::uint32_t>(lane), w.pc);
  return true;
}

// guarded_access of a store of up to 16 aligned bytes of shared memory, where
// nothing is wrong at first sight.
[[nodiscard]] inline bool quietly_guarded(const warp& w, shared_memory& of, int lane, std::uint64_t at, unsigned bytes) {
  if (!of.held.empty() || any_of(of.shadow.data() + at, bytes, in_flight | mbarrier_bytes)) return false;
  if (of.matrices.reads(at, bytes)) return false;
  of.note_store(at, w.number, static_cast<std::uint32_t>(lane), w.pc);
  return true;
}

// Whether an asynchronous operation of this lane may read a range that ordinary
// stores wrote; tells when a fence is missing.
inline bool check_fenced(warp& w, const shared_memory& of, int lane, std::uint64_t first, std::uint64_t bytes) {
  const store_note* n = of.unfenced(first, bytes, w.number);
  if (!n) return true;
  if (w.launch->seen->first(w.pc, code::missing_fence))
    w.launch->seen->add(finding_at(*w.launch, w.pc, code::missing_fence,
                                   thread_words(w, lane) + " starts an asynchronous operation that reads " + bytes_words(bytes) +
                                       " of shared memory at " + hex(first) + ", which ordinary stores (" + line_words(*w.launch, n->pc) +
                                       ") wrote with no fence.proxy.async behind them"));
  return false;
}

}  // namespace skillbench::ptx
