#pragma once
// ptx/warpgroup.hpp: what wgmma has in flight.
//
// Layer   3. Includes the standard library.
// A wgmma reads shared memory and writes its accumulators some time between its
// issue and the wgmma.wait_group that covers it. Here it computes when it is
// issued, and until that wait the registers and the 16-byte pieces of shared
// memory that it has in hand are known: whoever touches them is told.
// While `pending` is set, the machine looks at the registers of every
// instruction; native code runs then where it has none of them.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace skillbench::ptx {

// Of a warp. Groups are counted from 1; 0 is none.
struct wgmma_flight {
  bool pending = false;
  std::uint32_t committed = 0, done = 0, newest = 0;
  std::uint64_t issued = 0;  // wgmma.mma_async of this warp
  std::uint32_t pc = 0;      // of the latest
  std::vector<std::uint32_t> written;  // by slot: the group that will write it
  std::vector<std::uint32_t> locked;   // by slot: the group that it belongs to
  struct piece { std::uint32_t group, index; };
  std::vector<piece> pieces;           // of shared memory, 16 bytes each
  std::size_t first_piece = 0;         // before it all have been let go
  // Operands all of whose bytes lie in aligned places of 32 bytes.
  struct operand {
    std::uint32_t group;
    std::size_t first, count;
    std::uint64_t descriptor;  // which stand for the list
    std::uint32_t form;
    std::uint32_t low, high;   // bytes from `low` to before `high` hold the places
  };
  std::vector<operand> operands;
  std::vector<std::uint32_t> places;
  std::size_t first_operand = 0;

  // Forgets what has been let go, now and then.
  void tidy() {
    constexpr std::size_t many = 64;
    if (first_piece == pieces.size() || first_piece > 256 * many) {
      pieces.erase(pieces.begin(), pieces.begin() + static_cast<std::ptrdiff_t>(first_piece));
      first_piece = 0;
    }
    if (first_operand != operands.size() && first_operand <= many) return;
    const std::size_t gone = first_operand == operands.size() ? places.size() : operands[first_operand].first;
    places.erase(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(gone));
    operands.erase(operands.begin(), operands.begin() + static_cast<std::ptrdiff_t>(first_operand));
    for (operand& o : operands) o.first -= gone;
    first_operand = 0;
  }

  void start(std::size_t slots) {
    *this = wgmma_flight{};
    written.assign(slots, 0);
    locked.assign(slots, 0);
  }
};

// One wgmma of the warpgroup that not all of its four warps have come to yet.
struct wgmma_meeting {
  std::uint32_t group = 0;   // first warp / 4
  std::uint64_t number = 0;  // of each warp's own count
  std::uint32_t pc = 0;
  std::uint64_t a = 0, b = 0;  // descriptors
  std::uint32_t warps = 0;     // bit i: the i-th of the four came
};

// Of a CTA: what operations in flight read, and which stretches of its shared
// memory changed when, so that what was found of an operand need not be found
// again for each warp.
struct wgmma_reads {
  static constexpr unsigned stretch_bits = 10;
  std::vector<std::uint32_t> count;    // of pieces in flight, for each 16 bytes
  std::vector<std::uint32_t> near;     // of those and of operands in flight, for each stretch that they reach over
  std::vector<std::uint64_t> changed;  // the change that was the last one, for each stretch
  std::uint64_t changes = 0;
  std::uint64_t cta = 0;               // of those of a machine, as they began
  std::vector<const wgmma_flight*> flights;  // of the warps
  std::vector<wgmma_meeting> open;
  std::uint32_t pc = 0;  // of the latest that reads

  void start(std::size_t bytes, std::uint64_t number) {
    count.assign(bytes / 16 + 1, 0);
    near.assign((bytes >> stretch_bits) + 1, 0);
    changed.assign((bytes >> stretch_bits) + 1, 0);
    changes = 0;
    cta = number;
    flights.clear();
    open.clear();
  }

  // Bytes, their shadow, who stored them for races or for fences: something
  // about this range is no longer as it was.
  void change(std::uint64_t at, std::uint64_t bytes) noexcept {
    if (changed.empty() || !bytes) return;
    ++changes;
    const std::uint64_t last = std::min<std::uint64_t>((at + bytes - 1) >> stretch_bits, changed.size() - 1);
    for (std::uint64_t i = at >> stretch_bits; i <= last; ++i) changed[i] = changes;
  }
  [[nodiscard]] bool is_as_of(std::uint64_t then, std::uint32_t low, std::uint32_t high) const noexcept {
    std::uint64_t last = 0;
    for (std::uint32_t i = low >> stretch_bits; i <= (high - 1) >> stretch_bits; ++i) last = std::max(last, changed[i]);
    return last <= then;
  }

  // One more operand in flight (1), or one less (~0u).
  void reach(std::uint32_t low, std::uint32_t high, std::uint32_t by) noexcept {
    for (std::uint32_t i = low >> stretch_bits; i <= (high - 1) >> stretch_bits; ++i) near[i] += by;
  }
  [[nodiscard]] bool any_near(std::uint64_t at, std::uint64_t bytes) const noexcept {
    if (near.empty()) return false;
    std::uint32_t any = 0;
    for (std::uint64_t i = at >> stretch_bits; i <= (at + bytes - 1) >> stretch_bits; ++i) any |= near[i];
    return any != 0;
  }
  // Whether an operation in flight reads some of these bytes.
  [[nodiscard]] bool reads(std::uint64_t at, std::uint64_t bytes) const noexcept {
    if (!any_near(at, bytes)) return false;
    for (std::uint64_t i = at / 16; i <= (at + bytes - 1) / 16; ++i)
      if (count[i]) return true;
    for (const wgmma_flight* f : flights)
      for (std::size_t k = f->first_operand; k < f->operands.size(); ++k) {
        const wgmma_flight::operand& o = f->operands[k];
        if (at >= o.high || at + bytes <= o.low) continue;
        for (std::size_t i = o.first; i < o.first + o.count; ++i)
          if (f->places[i] < at + bytes && at < f->places[i] + 32u) return true;
      }
    return false;
  }
};

}  // namespace skillbench::ptx
