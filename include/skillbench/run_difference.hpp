#pragma once
// run_difference.hpp: two runs of the same tasks, and what changed from one to
// the other.
//
// Layer   2. Includes record.hpp, rungs.hpp and stats.hpp.
// Shapes  A group is a model, a task, an arm and a skill that both runs have.
//         Which draw is whose partner is not known, so rates are compared.
// Counts  An unjudged output is counted both ways, as in effect.hpp; `better` and
//         `worse` are said where both readings agree.
// Source  stats.hpp: difference with its interval, Holm over the groups, the
//         noise floor of a run against itself.

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
  reading if_fail, if_pass;  // of after - before
  double counted_p = 1;      // of `if_fail`, Holm over all groups
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
  std::vector<stratum> fail, pass;
  std::vector<rate> rates_before, rates_after;
  std::vector<double> p_fail, p_pass;
  const auto conclude = [](group_change& of_it, double p_if_fail,
                           double p_if_pass) {
    of_it.counted_p = p_if_fail;
    decide(of_it.if_fail, p_if_fail);
    decide(of_it.if_pass, p_if_pass);
    if (of_it.if_fail.said != of_it.if_pass.said) return;
    if (of_it.if_fail.said == verdict::helps)
      of_it.said = change_verdict::better;
    if (of_it.if_fail.said == verdict::hurts) of_it.said = change_verdict::worse;
  };
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
    const stratum if_fail{correct_rate(made.after, false),
                          correct_rate(made.before, false)};
    const stratum if_pass{correct_rate(made.after, true),
                          correct_rate(made.before, true)};
    made.if_fail = read_difference(std::span(&if_fail, 1));
    made.if_pass = read_difference(std::span(&if_pass, 1));
    fail.push_back(if_fail);
    pass.push_back(if_pass);
    rates_before.push_back(correct_rate(made.before, false));
    rates_after.push_back(correct_rate(made.after, false));
    p_fail.push_back(made.if_fail.p);
    p_pass.push_back(made.if_pass.p);
    out.over_all.before.add(made.before);
    out.over_all.after.add(made.after);
    out.groups.push_back(std::move(made));
  }
  p_fail = holm(p_fail);
  p_pass = holm(p_pass);
  for (std::size_t i = 0; i < out.groups.size(); ++i)
    conclude(out.groups[i], p_fail[i], p_pass[i]);
  if (!out.groups.empty()) {
    out.over_all.if_fail = read_difference(fail);
    out.over_all.if_pass = read_difference(pass);
    conclude(out.over_all, out.over_all.if_fail.p, out.over_all.if_pass.p);
  }
  out.noise_before = noise_floor(rates_before, seed);
  out.noise_after = noise_floor(rates_after, seed + 1);
  return out;
}

}  // namespace skillbench
