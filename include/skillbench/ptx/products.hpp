#pragma once
// ptx/products.hpp: operands of matrix operations, kept in the form in which they
// are multiplied.
//
// Layer   3. Includes the standard library.
// Why     an A of mma.sync is multiplied by many B, and a B of wgmma by all warps
//         of its warpgroups. Whoever takes a kept operand first compares the bytes
//         that it was made of with those that are there now, so nothing has to
//         tell when they change.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace skillbench::ptx {

// A of mma.sync: its registers, and what ops/sixteen.hpp makes of them.
struct kept_left {
  int kind = -1, registers = 0;  // of the element type; of a lane
  alignas(64) std::uint32_t words[4][32];
  alignas(64) float spread[16 * 64];
};

// A matrix in shared memory that wgmma reads: its places of 32 bytes, and what
// they hold as floats: B eight columns after eight columns, a warp's A spread out.
struct kept_operand {
  std::uint64_t descriptor = 0;
  std::uint32_t form = 0;       // of the operand, never 0
  bool whole = false;           // it is made of places
  bool filled = false;          // `bytes` and `floats` are
  std::uint32_t lowest = 0, highest = 0;  // of the places
  // What was found of the places, of this CTA and as of this change (wgmma_reads):
  // defined and fenced for every warp, and by the mark of whom all was stored.
  std::uint64_t of_cta = 0, found_at = 0;
  std::uint32_t stored_by = 0;  // no_mark: several
  // That the places hold `bytes`, in the same way.
  std::uint64_t same_cta = 0, same_at = 0;
  std::vector<std::uint32_t> places;
  std::vector<std::byte> bytes;
  std::vector<float> floats;
};

// Of one machine.
struct kept_products {
  static constexpr std::size_t count = 512;  // a power of two
  kept_left left;
  std::uint64_t ctas = 0;  // that have begun
  std::array<kept_operand, count> operands;

  // The entry of an operand; another one may be in it.
  [[nodiscard]] kept_operand& operand_of(std::uint64_t descriptor, std::uint32_t form) noexcept {
    return operands[((descriptor + form) * 0x9e3779b97f4a7c15ull) >> 55];
  }
};
static_assert(kept_products::count == 1u << (64 - 55));

}  // namespace skillbench::ptx
