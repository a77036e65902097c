#pragma once
// prior.hpp: what is thought of configurations before they are tried.
//
// Layer   5. Includes the standard library, nothing else.
// Units   an estimate is a cost in any unit of its own, less is better; only how
//         estimates stand to each other is used, so a time that was predicted,
//         or measured on another device, will do.
// Weight  how much a prior is believed is told by the rank correlation of its
//         estimates with what was measured so far, and by a little faith that
//         it starts with. One that has nothing to do with the costs, or tells
//         them upside down, is soon not listened to.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

namespace skillbench {

// By index of the space; nothing where nothing is thought. The same index gives
// the same estimate each time.
using prior = std::function<std::optional<double>(std::uint64_t)>;

// Spearman's rank correlation, ties at their mean rank; 0 where one side is
// all the same, or fewer than two are given.
[[nodiscard]] inline double rank_correlation(const std::vector<double>& a,
                                             const std::vector<double>& b) {
  const std::size_t n = std::min(a.size(), b.size());
  const auto ranks = [n](const std::vector<double>& of) {
    std::vector<std::size_t> order(n);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t i, std::size_t j) { return of[i] < of[j]; });
    std::vector<double> made(n);
    for (std::size_t i = 0; i < n;) {
      std::size_t end = i;
      while (end < n && !(of[order[i]] < of[order[end]])) ++end;
      for (std::size_t k = i; k < end; ++k)
        made[order[k]] = 0.5 * static_cast<double>(i + end - 1);
      i = end;
    }
    return made;
  };
  const std::vector<double> left = ranks(a), right = ranks(b);
  const double mean = 0.5 * (static_cast<double>(n) - 1);
  double both = 0, lefts = 0, rights = 0;
  for (std::size_t i = 0; i < n; ++i) {
    both += (left[i] - mean) * (right[i] - mean);
    lefts += (left[i] - mean) * (left[i] - mean);
    rights += (right[i] - mean) * (right[i] - mean);
  }
  return lefts > 0 && rights > 0 ? both / std::sqrt(lefts * rights) : 0;
}

// How much to believe, from 0 to 1, after `measured` trials whose ranks agree
// with the prior's by `correlation`.
inline constexpr double first_trust = 0.5;
inline constexpr double first_trust_counts = 4;  // as so many trials
[[nodiscard]] inline double trust_of(double correlation, std::size_t measured) {
  const auto n = static_cast<double>(measured);
  const double told = (first_trust * first_trust_counts + correlation * n) /
                      (first_trust_counts + n);
  // What chance gives to a prior that has nothing to do with the costs.
  const double chance = std::sqrt(n) / (first_trust_counts + n);
  return std::clamp(told - chance, 0.0, 1.0);
}

}  // namespace skillbench
