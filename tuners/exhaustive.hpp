#pragma once
// exhaustive.hpp: every setting that fits, in the order of the manifest.
//
// Layer   5. search.hpp has the units and the errors.
// Order   the default setting, which is judged and timed anyway, comes first.

#include <cstdint>

#include <skillbench/tuners/search.hpp>

namespace skillbench {

[[nodiscard]] inline result<searched> search_exhaustively(
    const manifest& asked, element type, const objective& ask,
    const search_limits& limits = {}) {
  const auto space = tuning_space::of(asked, type);
  if (!space) return space.error();
  return search(space.value(), ask, limits,
                [](std::int64_t turn) { return turn; });
}

}  // namespace skillbench
