#pragma once
// fill.hpp: what an input tensor is filled with.
//
// Layer   1. inputs.hpp makes the numbers.

#include <cstdint>
#include <string_view>

namespace skillbench {

// Every value is drawn per element from (seed, flat index) alone, so any page
// of a tensor can be made on first touch, in any order, by any process. `row`
// is the length of a row for the patterns that know rows.
enum class pattern : std::uint8_t {
  normal = 0,     // offset + scale * N(0, 1)
  uniform = 1,    // offset + scale * U(-1, 1)
  constant = 2,   // offset + scale * N(0, 1), one draw for each row
  spike = 3,      // offset + scale * N(0, 1), one element a row times 1000
  subnormal = 4,  // U(-1, 1) times the largest subnormal of the type
  alternate = 5,  // offset +- scale by index: exact sums and large cancellation
  mixed = 6,      // N(0, 1) times scale * 10^k, k drawn from -3 .. 3 per element
};

struct fill {
  pattern kind = pattern::normal;
  double scale = 1.0;
  double offset = 0.0;
  std::int64_t row = 1;
  friend bool operator==(const fill&, const fill&) = default;
};

[[nodiscard]] constexpr std::string_view name(pattern kind) noexcept {
  switch (kind) {
    case pattern::normal: return "normal";
    case pattern::uniform: return "uniform";
    case pattern::constant: return "constant";
    case pattern::spike: return "spike";
    case pattern::subnormal: return "subnormal";
    case pattern::alternate: return "alternate";
    case pattern::mixed: return "mixed";
  }
  return "unknown";
}

}  // namespace skillbench
