#pragma once
// run_difference.hpp: two runs of the same tasks, and what changed from one to
// the other.
//
// Layer   2. Includes record.hpp, rungs.hpp and stats.hpp.
// Shapes  A group is a model, a task, an arm and a skill that both runs have.
//         Which draw is whose partner is not known, so rates are compared.
// Counts  Unjudged outputs as in effect.hpp: `better` and `worse` are said where
//         they hold whatever became of them.
// Source  stats.hpp: difference with its interval, Holm over the groups
//         and, of several, their sum, the noise floor of a run against itself.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <skillbench/effect.hpp>
#include <skillbench/record.hpp>
#include <skillbench/rungs.hpp>
#include <skillbench/stats.hpp>

namespace skillbench {

enum class change_verdict : std::uint8_t { better, worse, within_noise };

[[nodiscard]] constexpr std::string_view name(change_verdict said) noexcept {
  switch (said) {
    case change_verdict::better: return "better";
    case change_verdict::worse: return "worse";
    case change_verdict::within_noise: return "within noise";
  }
  return "unknown";
}

struct group_change {
  std::string model, task, arm, skill;
  rungs before, after;
  reading seen;              // of after - before, unjudged outputs as failed
  reading at_worst, at_best; // for `after`, whatever became of them
  double counted_p = 1;      // of `seen`, Holm over all rows
  change_verdict said = change_verdict::within_noise;
};

struct run_change {
  std::vector<group_change> groups;  // in both runs
  group_change over_all;             // of those groups, stratified
  std::size_t only_before = 0, only_after = 0;  // groups
  // What a run differs from itself by chance: at most this, 95 times of 100.
  std::optional<double> noise_before, noise_after;
};

[[nodiscard]] inline run_change change_between(
    std::span<const record> before, std::span<const record> after,
    std::uint64_t seed = 1) {
  using group = std::tuple<std::string, std::string, std::string, std::string>;
  std::map<group, std::pair<rungs, rungs>> groups;
  const auto of = [](const record& one) {
    return group{one.of.model, one.of.task, one.of.arm, one.of.skill};
  };
  for (const record& one : before) groups[of(one)].first.add(one.what);
  for (const record& one : after) groups[of(one)].second.add(one.what);

  run_change out;
  std::vector<stratum> seen, worst, best;
  std::vector<rate> rates_before, rates_after;
  for (const auto& [key, both] : groups) {
    if (both.first.outputs == 0 || both.second.outputs == 0) {
      ++(both.first.outputs == 0 ? out.only_after : out.only_before);
      continue;
    }
    group_change made;
    std::tie(made.model, made.task, made.arm, made.skill) = key;
    made.before = both.first;
    made.after = both.second;
    // In a stratum the first is the arm that a gain speaks for.
    const auto one = [&](bool passed_after, bool passed_before) {
      return stratum{correct_rate(made.after, passed_after),
                     correct_rate(made.before, passed_before)};
    };
    for (const auto& [all, its, after_too, before_too] :
         {std::tuple(&seen, &made.seen, false, false),
          std::tuple(&worst, &made.at_worst, false, true),
          std::tuple(&best, &made.at_best, true, false)}) {
      all->push_back(one(after_too, before_too));
      *its = read_difference(std::span(&all->back(), 1));
    }
    rates_before.push_back(seen.back().without);
    rates_after.push_back(seen.back().with);
    out.over_all.before.add(made.before);
    out.over_all.after.add(made.after);
    out.groups.push_back(std::move(made));
  }
  std::vector<group_change*> rows;
  for (group_change& each : out.groups) rows.push_back(&each);
  if (!rows.empty()) {
    out.over_all.seen = read_difference(seen);
    out.over_all.at_worst = read_difference(worst);
    out.over_all.at_best = read_difference(best);
  }
  // Of one group the sum is that group, and no other comparison.
  if (rows.size() > 1) rows.push_back(&out.over_all);
  std::vector<double> p_seen, p_worst, p_best;
  for (const group_change* each : rows) {
    p_seen.push_back(each->seen.p);
    p_worst.push_back(each->at_worst.p);
    p_best.push_back(each->at_best.p);
  }
  p_seen = holm(p_seen);
  p_worst = holm(p_worst);
  p_best = holm(p_best);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    group_change& of_it = *rows[i];
    of_it.counted_p = p_seen[i];
    decide(of_it.seen, p_seen[i]);
    decide(of_it.at_worst, p_worst[i]);
    decide(of_it.at_best, p_best[i]);
    if (of_it.at_worst.said != of_it.at_best.said) continue;
    if (of_it.at_worst.said == verdict::helps)
      of_it.said = change_verdict::better;
    if (of_it.at_worst.said == verdict::hurts)
      of_it.said = change_verdict::worse;
  }
  if (rows.size() == 1) {
    const group_change& one = out.groups.front();
    out.over_all.counted_p = one.counted_p;
    out.over_all.seen = one.seen;
    out.over_all.at_worst = one.at_worst;
    out.over_all.at_best = one.at_best;
    out.over_all.said = one.said;
  }
  out.noise_before = noise_floor(rates_before, seed);
  out.noise_after = noise_floor(rates_after, seed + 1);
  return out;
}

}  // namespace skillbench
