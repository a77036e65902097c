#pragma once
// replay.hpp: a search played on a recording, and how good it was.
//
// Layer   5. recording.hpp has the costs.
// Units   a fraction is the recording's least cost over the best one found, 0
//         while there is none. A failed configuration counts as a trial.
// Score   the mean over trials 1 to n of (F - R) / (1 - R), with F the mean
//         fraction over the seeds and R what random trials without replacement
//         are expected to find, exactly.
// Source  Willemsen et al., A Methodology for Comparing Optimization
//         Algorithms for Auto-Tuning, Future Generation Computer Systems 2024,
//         for scoring against the expectation of random sampling.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <skillbench/recording.hpp>
#include <skillbench/tuners/strategy.hpp>

namespace skillbench {

// The fraction after each trial, from the first.
[[nodiscard]] inline std::vector<double> replay(const recording& from,
                                                strategy& by,
                                                std::size_t trials) {
  double least = 0;
  for (const auto& each : from.costs)
    if (each && (least == 0 || *each < least)) least = *each;
  std::vector<double> made;
  double best = 0;
  while (made.size() < trials) {
    const auto next = by.propose(1);
    if (next.empty()) break;
    const auto cost = from.costs[static_cast<std::size_t>(next.front())];
    by.learn(next.front(), cost);
    if (cost) best = std::max(best, *cost > 0 ? least / *cost : 1.0);
    made.push_back(best);
  }
  made.resize(trials, best);  // the space was exhausted
  return made;
}

// What random trials without replacement are expected to have found after 1, 2,
// ... trials.
[[nodiscard]] inline std::vector<double> expected_of_random(
    const recording& from, std::size_t trials) {
  const std::vector<double> sorted = from.sorted();
  const auto size = static_cast<double>(from.costs.size());
  std::vector<double> made;
  for (std::size_t t = 1; t <= trials; ++t) {
    double expected = 0, none = 1;  // none of the best so far was drawn
    for (std::size_t k = 0; k < sorted.size() && none > 1e-12; ++k) {
      const double left = size - static_cast<double>(k);
      const double hit = std::min(1.0, static_cast<double>(t) / left);
      expected += none * hit *
                  (sorted[k] > 0 ? sorted.front() / sorted[k] : 1.0);
      none *= 1 - hit;
    }
    made.push_back(expected);
  }
  return made;
}

struct replay_score {
  std::vector<double> mean;    // after each trial, over the seeds
  std::vector<double> median;
  std::vector<double> random;  // expected of random trials
  double score = 0;
};

// `runs` has a row for each seed, of equal lengths.
[[nodiscard]] inline replay_score score_of(
    const recording& from, const std::vector<std::vector<double>>& runs) {
  replay_score made;
  if (runs.empty()) return made;
  const std::size_t trials = runs.front().size();
  made.random = expected_of_random(from, trials);
  for (std::size_t t = 0; t < trials; ++t) {
    std::vector<double> here;
    double sum = 0;
    for (const auto& each : runs) {
      here.push_back(each[t]);
      sum += each[t];
    }
    std::sort(here.begin(), here.end());
    const std::size_t half = here.size() / 2;
    made.mean.push_back(sum / static_cast<double>(here.size()));
    made.median.push_back(here.size() % 2 == 1
                              ? here[half]
                              : (here[half - 1] + here[half]) / 2);
    const double room = 1 - made.random[t];
    if (room > 0)
      made.score += (made.mean[t] - made.random[t]) / room /
                    static_cast<double>(trials);
  }
  return made;
}

}  // namespace skillbench
