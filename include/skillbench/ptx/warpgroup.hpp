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

// Of a CTA: how many operations in flight read each 16 bytes.
struct wgmma_reads {
  std::vector<std::uint16_t> count;
  std::vector<wgmma_meeting> open;
  std::uint32_t pc = 0;  // of the latest that reads

  void start(std::size_t bytes) {
    count.assign(bytes / 16 + 1, 0);
    open.clear();
  }
};

}  // namespace skillbench::ptx
