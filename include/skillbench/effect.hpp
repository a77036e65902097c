#pragma once
// effect.hpp: records of two arms in, what the skill did and how sure that is
// out.
//
// Layer   2. Includes record.hpp, rungs.hpp and stats.hpp.
// Endpoint one, named before anything is counted: the rate of correct outputs.
//         Everything else is told beside it and decides nothing.
// Shapes  A stratum is one model on one task. Arms are compared within strata,
//         never across; draws are partners only where samples declare a `pair`.
// Counts  An output whose judgement failed for a reason of ours has no record
//         and is in no count. One that is `unjudged` may have failed or passed: a
//         verdict is given where it holds at worst for the skill and at best.
// Source  stats.hpp, function by function.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/finding.hpp>
#include <skillbench/record.hpp>
#include <skillbench/rungs.hpp>
#include <skillbench/stats.hpp>

namespace skillbench {

inline constexpr const char* arm_with = "with_skill";
inline constexpr const char* arm_without = "baseline";

inline constexpr double significance = 0.05;
// A gain below this is nothing worth tokens, and this is the difference that
// draws are counted for when none is seen.
inline constexpr double small_gain = 0.10, sought_difference = 0.20;

// Of all of a group, how many are correct.
[[nodiscard]] inline rate correct_rate(const rungs& of,
                                       bool unjudged_pass) noexcept {
  return {of.correct + (unjudged_pass ? of.unjudged : 0), of.outputs};
}

enum class verdict : std::uint8_t {
  helps,
  hurts,
  costs_more_for_nothing,
  inconclusive,
  not_compared,  // an arm is empty
};

[[nodiscard]] constexpr std::string_view name(verdict said) noexcept {
  switch (said) {
    case verdict::helps: return "helps";
    case verdict::hurts: return "hurts";
    case verdict::costs_more_for_nothing: return "costs more for nothing";
    case verdict::inconclusive: return "inconclusive";
    case verdict::not_compared: return "not compared";
  }
  return "unknown";
}

// One way to read the counts.
struct reading {
  std::optional<estimate> difference;  // of the rates of correct outputs
  double p = 1;                        // of difference_p
  verdict said = verdict::not_compared;
};

// `counted_p` is p, or what Holm made of it. Both the test and the interval
// have to say so: a reader sees both.
[[nodiscard]] inline reading read_difference(std::span<const stratum> strata) {
  reading out;
  out.difference = stratified_difference(strata);
  if (!out.difference) return out;
  out.p = difference_p(strata);
  out.said = verdict::inconclusive;
  return out;
}

inline void decide(reading& read, double counted_p) {
  if (!read.difference) return;
  read.said = verdict::inconclusive;
  if (counted_p > significance) return;
  if (read.difference->at95.low > 0) read.said = verdict::helps;
  if (read.difference->at95.high < 0) read.said = verdict::hurts;
}

struct arm_cost {
  std::uint64_t counted = 0;        // outputs whose tokens were reported
  double tokens = 0;                // of those, in and out
  std::optional<double> per_correct;  // tokens for each correct output of those
};

// At least one of k outputs of a task is correct, the mean over strata.
struct pass_at_seen {
  std::uint64_t k = 1;
  double with = 0, without = 0;
};
inline constexpr std::uint64_t passes_at[] = {1, 2, 5, 10};

// fast_p of both arms at these p, where every correct output has a speed.
inline constexpr double speed_steps[] = {0, 0.25, 0.5, 0.8, 1, 1.2, 1.5,
                                         2, 3,    5,   10};
struct speed_seen {
  std::vector<double> with, without;  // a share of all outputs for each step
  bool predicted = false;             // some or all of it
  std::string missing;                // why there is no curve; "" when there is
  // With / without: geometric mean of correct outputs, bootstrap over tasks.
  std::optional<estimate> ratio;
  std::size_t tasks = 0;  // that it stands on
};

// How often an assertion of a suite held. It decides nothing.
struct assertion_counts {
  std::size_t passed = 0, failed = 0, not_judged = 0;
};
struct assertion_seen {
  std::string what;
  assertion_counts with, without;
};

struct pairs_seen {
  std::uint64_t pairs = 0, only_with = 0, only_without = 0;
  double p = 1;
};

// How many draws an arm of this comparison may still need.
struct draws_missing {
  std::uint64_t an_arm = 0;       // more, over all its tasks
  double difference = 0;          // that they would show, in [0, 1]
  bool seen = false;              // it is the one seen so far
};

// A model on a task, or the sum over what is left empty.
struct comparison {
  std::string model, task;
  bool all_models = false, all_tasks = false;
  rungs with, without;
  std::uint64_t left_out = 0;  // outputs of tasks or models that one arm lacks
  rungs all_with, all_without; // with those
  reading seen;                // unjudged outputs counted as failed
  reading at_worst, at_best;   // for the skill: its own failed and the others
                               // passed, its own passed and the others failed
  double counted_p = 1;        // of `seen`, corrected for many comparisons
  verdict said = verdict::not_compared;
  std::optional<estimate> token_ratio;  // with / without; bootstrap over tasks
  std::size_t token_tasks = 0;          // that it stands on
  arm_cost cost_with, cost_without;
  std::optional<pairs_seen> paired;
  std::optional<draws_missing> missing;
  std::vector<pass_at_seen> pass_at;  // as far as every task has so many draws
  speed_seen speed;
};

struct effect {
  std::string skill;                  // "" when not reported
  comparison over_all;
  std::vector<comparison> by_model;   // when there are several
  std::vector<comparison> by_stratum; // a model on a task each
  std::vector<assertion_seen> assertions;  // in the order of the records
};

namespace effect_detail {

// Times that so many draws are drawn again. Where they are many an interval's
// ends lie closer together than a thousand rounds would move them.
[[nodiscard]] inline std::size_t rounds_for(
    std::span<const samples_of_task> tasks) {
  std::size_t draws = 1;
  for (const samples_of_task& t : tasks) draws += t.with.size() + t.without.size();
  return std::clamp<std::size_t>(5'000'000 / draws, 1'000, 10'000);
}

struct cell {
  rungs with, without;
  samples_of_task tokens;
  samples_of_task log_speed;    // of correct outputs
  bool predicted = false;       // some of it
  std::map<std::string, std::size_t> no_speed;  // correct outputs, by reason
  std::uint64_t correct_with_tokens_with = 0, correct_with_tokens_without = 0;
  // by pair id: first with the skill, second without
  std::map<std::string, std::pair<std::optional<bool>, std::optional<bool>>>
      pairs;
};
using cell_key = std::pair<std::string, std::string>;  // model, task
using cell_map = std::map<cell_key, cell>;

inline void add(cell& to, const record& one, bool with) {
  (with ? to.with : to.without).add(one.what);
  const bool correct = one.what == outcome::correct;
  if (correct && one.against_baseline) {
    (with ? to.log_speed.with : to.log_speed.without)
        .push_back(std::log(one.against_baseline->times));
    to.predicted |= one.against_baseline->predicted;
  } else if (correct) {
    ++to.no_speed[one.speed.empty() ? "not measured" : one.speed];
  }
  if (one.of.input_tokens || one.of.output_tokens) {
    const double spent =
        static_cast<double>(one.of.input_tokens.value_or(0)) +
        static_cast<double>(one.of.output_tokens.value_or(0));
    (with ? to.tokens.with : to.tokens.without).push_back(spent);
    if (correct)
      ++(with ? to.correct_with_tokens_with : to.correct_with_tokens_without);
  }
  if (!one.of.pair.empty() && one.what != outcome::unjudged) {
    auto& [first, second] = to.pairs[one.of.pair];
    (with ? first : second) = correct;
  }
}

[[nodiscard]] inline std::optional<draws_missing> missing_draws(
    const comparison& of) {
  const auto smoothed = [](const rungs& arm) {
    const rate seen = correct_rate(arm, false);
    return (static_cast<double>(seen.passed) + 1) /
           (static_cast<double>(seen.of) + 2);
  };
  if (of.said != verdict::inconclusive || !of.seen.difference)
    return std::nullopt;
  draws_missing out;
  double with = smoothed(of.with), without = smoothed(of.without);
  out.seen = std::abs(with - without) >= small_gain;
  if (!out.seen) {
    const double high =
        std::min(1.0, (with + without) / 2 + sought_difference / 2);
    with = high;
    without = high - sought_difference;
  }
  out.difference = std::abs(with - without);
  const auto needed = draws_for(with, without);
  if (!needed) return std::nullopt;
  const std::uint64_t had = std::min(of.with.outputs, of.without.outputs);
  out.an_arm = *needed > had ? *needed - had : 1;
  return out;
}

[[nodiscard]] inline std::vector<pass_at_seen> passes(
    std::span<const stratum> strata) {
  std::vector<pass_at_seen> out;
  for (const std::uint64_t k : passes_at) {
    pass_at_seen sum{k, 0, 0};
    std::size_t usable = 0;
    bool all = true;
    for (const stratum& s : strata) {
      if (!s.usable()) continue;
      const auto with = pass_at_k(s.with, k), without = pass_at_k(s.without, k);
      all = all && with && without;
      if (!all) break;
      ++usable;
      sum.with += *with;
      sum.without += *without;
    }
    if (!all || usable == 0) break;
    sum.with /= static_cast<double>(usable);
    sum.without /= static_cast<double>(usable);
    out.push_back(sum);
  }
  return out;
}

[[nodiscard]] inline speed_seen speeds(
    std::span<const std::pair<const cell_key, cell>* const> cells,
    const rungs& with, const rungs& without, std::uint64_t seed) {
  speed_seen out;
  std::map<std::string, std::size_t> reasons;
  std::size_t lacking = 0;
  std::vector<double> times_with, times_without;
  std::vector<samples_of_task> logs;
  const auto add_times = [](std::vector<double>& to,
                            const std::vector<double>& from) {
    for (const double each : from) to.push_back(std::exp(each));
  };
  for (const auto* entry : cells) {
    const cell& c = entry->second;
    for (const auto& [why, count] : c.no_speed) {
      reasons[why] += count;
      lacking += count;
    }
    out.predicted |= c.predicted;
    add_times(times_with, c.log_speed.with);
    add_times(times_without, c.log_speed.without);
    logs.push_back(c.log_speed);
    out.tasks += c.log_speed.usable();
  }
  const std::size_t correct = with.correct + without.correct;
  if (correct == 0) {
    out.missing = "not measured: no output is correct";
    return out;
  }
  if (lacking > 0) {
    const auto most = std::max_element(
        reasons.begin(), reasons.end(),
        [](const auto& a, const auto& b) { return a.second < b.second; });
    out.missing = most->first;
    if (lacking < correct)
      out.missing += " (" + std::to_string(lacking) + " of " +
                     std::to_string(correct) + " correct outputs)";
    return out;
  }
  for (const double p : speed_steps) {
    out.with.push_back(fast_p(times_with, with.outputs, p).value_or(0));
    out.without.push_back(fast_p(times_without, without.outputs, p).value_or(0));
  }
  out.ratio = bootstrap(
      std::span<const samples_of_task>(logs),
      [](double one, double other) { return one - other; }, seed,
      rounds_for(logs));
  if (out.ratio)
    out.ratio = estimate{
        std::exp(out.ratio->value),
        {std::exp(out.ratio->at95.low), std::exp(out.ratio->at95.high)}};
  return out;
}

[[nodiscard]] inline comparison compare_cells(
    std::span<const std::pair<const cell_key, cell>* const> cells,
    std::uint64_t seed) {
  comparison out;
  std::vector<stratum> seen, worst, best;
  std::vector<samples_of_task> tokens;
  pairs_seen paired;
  std::uint64_t correct_with = 0, correct_without = 0;
  for (const auto* entry : cells) {
    const cell& c = entry->second;
    out.with.add(c.with);
    out.without.add(c.without);
    seen.push_back({correct_rate(c.with, false), correct_rate(c.without, false)});
    worst.push_back({correct_rate(c.with, false), correct_rate(c.without, true)});
    best.push_back({correct_rate(c.with, true), correct_rate(c.without, false)});
    tokens.push_back(c.tokens);
    out.token_tasks += c.tokens.usable();
    for (const double t : c.tokens.with) out.cost_with.tokens += t;
    for (const double t : c.tokens.without) out.cost_without.tokens += t;
    out.cost_with.counted += c.tokens.with.size();
    out.cost_without.counted += c.tokens.without.size();
    correct_with += c.correct_with_tokens_with;
    correct_without += c.correct_with_tokens_without;
    for (const auto& [id, both] : c.pairs) {
      if (!both.first || !both.second) continue;
      ++paired.pairs;
      paired.only_with += *both.first && !*both.second;
      paired.only_without += !*both.first && *both.second;
    }
  }
  if (correct_with > 0)
    out.cost_with.per_correct =
        out.cost_with.tokens / static_cast<double>(correct_with);
  if (correct_without > 0)
    out.cost_without.per_correct =
        out.cost_without.tokens / static_cast<double>(correct_without);
  if (paired.pairs > 0) {
    paired.p = mcnemar_p(paired.only_with, paired.only_without);
    out.paired = paired;
  }
  // The ratio of mean tokens, a geometric mean over tasks.
  const auto ratio = bootstrap(
      std::span<const samples_of_task>(tokens),
      [](double with, double without) {
        return with > 0 && without > 0 ? std::log(with / without) : 0.0;
      },
      seed, rounds_for(tokens));
  if (ratio)
    out.token_ratio = estimate{
        std::exp(ratio->value),
        {std::exp(ratio->at95.low), std::exp(ratio->at95.high)}};
  out.all_with = out.with;
  out.all_without = out.without;
  out.pass_at = passes(seen);
  out.speed = speeds(cells, out.with, out.without, seed);
  out.seen = read_difference(seen);
  out.at_worst = read_difference(worst);
  out.at_best = read_difference(best);
  return out;
}

// What holds whatever became of the unjudged outputs.
inline void conclude(comparison& of, double counted_seen, double counted_worst,
                     double counted_best) {
  of.counted_p = counted_seen;
  decide(of.seen, counted_seen);
  decide(of.at_worst, counted_worst);
  decide(of.at_best, counted_best);
  of.said = of.at_worst.said == of.at_best.said ? of.at_worst.said
                                                : verdict::inconclusive;
  if (of.said == verdict::inconclusive && of.token_ratio &&
      of.token_ratio->at95.low > 1 &&
      of.at_best.difference->at95.high < small_gain)
    of.said = verdict::costs_more_for_nothing;
  of.missing = missing_draws(of);
}

// Holm over all that are compared side by side.
inline void conclude_all(std::span<comparison* const> all) {
  std::vector<comparison*> compared;
  std::vector<double> seen, worst, best;
  for (comparison* const one : all) {
    if (!one->seen.difference) continue;
    compared.push_back(one);
    seen.push_back(one->seen.p);
    worst.push_back(one->at_worst.p);
    best.push_back(one->at_best.p);
  }
  seen = holm(seen);
  worst = holm(worst);
  best = holm(best);
  for (std::size_t i = 0; i < compared.size(); ++i)
    conclude(*compared[i], seen[i], worst[i], best[i]);
}
inline void conclude_all(std::vector<comparison>& all) {
  std::vector<comparison*> each;
  for (comparison& one : all) each.push_back(&one);
  conclude_all(each);
}

using entries = std::vector<const std::pair<const cell_key, cell>*>;

// A sum over tasks or models is of those that both arms have: what one arm alone
// did tells nothing of the other. Where there is none it is of all.
[[nodiscard]] inline comparison compare_sum(const entries& all,
                                            std::uint64_t seed) {
  entries shared;
  std::uint64_t alone = 0;
  for (const auto* entry : all) {
    const rungs &with = entry->second.with, &without = entry->second.without;
    if (with.outputs > 0 && without.outputs > 0) shared.push_back(entry);
    else alone += with.outputs + without.outputs;
  }
  comparison out = compare_cells(shared.empty() ? all : shared, seed);
  if (shared.empty()) return out;
  out.left_out = alone;
  out.all_with = out.all_without = {};
  for (const auto* entry : all) {
    out.all_with.add(entry->second.with);
    out.all_without.add(entry->second.without);
  }
  return out;
}

}  // namespace effect_detail

// One effect for each skill that a record names, against the baseline of the
// same models and tasks. Records of no arm are left out.
[[nodiscard]] inline std::vector<effect> effects_of(
    std::span<const record> records, std::uint64_t seed = 1) {
  using namespace effect_detail;
  std::map<std::string, std::size_t> skills;  // with their outputs
  for (const record& one : records)
    if (one.of.arm == arm_with) ++skills[one.of.skill];

  std::vector<effect> out;
  for (const auto& [skill, outputs] : skills) {
    cell_map cells;
    effect made;
    made.skill = skill;
    std::map<std::string, std::size_t> asserted_at;
    for (const record& one : records) {
      const bool with = one.of.arm == arm_with && one.of.skill == skill;
      if (!with && one.of.arm != arm_without) continue;
      add(cells[{one.of.model, one.of.task}], one, with);
      for (const told_assertion& each : one.assertions) {
        const auto [at, fresh] =
            asserted_at.try_emplace(each.what, made.assertions.size());
        if (fresh) made.assertions.push_back({each.what, {}, {}});
        assertion_seen& seen = made.assertions[at->second];
        assertion_counts& counts = with ? seen.with : seen.without;
        using said = assertion_result::verdict;
        ++(each.said == said::passed   ? counts.passed
           : each.said == said::failed ? counts.failed
                                       : counts.not_judged);
      }
    }
    entries all;
    std::map<std::string, entries> of_model;
    for (const auto& entry : cells) {
      all.push_back(&entry);
      of_model[entry.first.first].push_back(&entry);
      const auto* one = &entry;
      comparison told = compare_cells(std::span(&one, 1), seed);
      told.model = entry.first.first;
      told.task = entry.first.second;
      made.by_stratum.push_back(std::move(told));
    }
    made.over_all = compare_sum(all, seed);
    made.over_all.all_models = made.over_all.all_tasks = true;
    if (of_model.size() > 1) {
      for (const auto& [model, its] : of_model) {
        comparison told = compare_sum(its, seed);
        told.model = model;
        told.all_tasks = true;
        made.by_model.push_back(std::move(told));
      }
      conclude_all(made.by_model);
    }
    conclude_all(made.by_stratum);
    out.push_back(std::move(made));
  }
  std::vector<comparison*> of_skills;
  for (effect& each : out) of_skills.push_back(&each.over_all);
  conclude_all(of_skills);
  return out;
}

// ---- in words -------------------------------------------------------------

namespace effect_detail {

// "+23"; a difference in points of a hundred.
[[nodiscard]] inline std::string points(double difference) {
  char text[32];
  const double rounded = std::round(difference * 100);
  std::snprintf(text, sizeof text, "%+.0f", rounded == 0 ? 0.0 : rounded);
  return text;
}

[[nodiscard]] inline std::string p_words(double p) {
  char text[32];
  if (p < 0.001) return "p < 0.001";
  std::snprintf(text, sizeof text, p < 0.1 ? "p = %.3f" : "p = %.2f", p);
  return text;
}

[[nodiscard]] inline std::string of_words(rate seen) {
  return std::to_string(seen.passed) + " of " + std::to_string(seen.of);
}

}  // namespace effect_detail

// Of outputs that left no record.
[[nodiscard]] inline std::string not_tried_words(std::size_t outputs) {
  return std::to_string(outputs) +
         (outputs == 1 ? " output" : " outputs") +
         " could not be tried, for reasons that are no model's, and " +
         (outputs == 1 ? "is" : "are") + " in no count.";
}

// The verdict as one or two sentences that stand alone.
[[nodiscard]] inline std::string words_of(const comparison& of) {
  using namespace effect_detail;
  if (of.said == verdict::not_compared)
    return "not compared: there are " + std::to_string(of.with.outputs) +
           " outputs with the skill and " + std::to_string(of.without.outputs) +
           " without";
  const estimate& gap = *of.seen.difference;
  std::string text(name(of.said));
  text += ": " + of_words(correct_rate(of.with, false)) +
          " outputs are correct with the skill and " +
          of_words(correct_rate(of.without, false)) + " without: " +
          points(gap.value) + " points (95%: " +
          points(gap.at95.low) + " to " + points(gap.at95.high) + "; " +
          p_words(of.counted_p) + ")";
  const std::size_t unjudged = of.with.unjudged + of.without.unjudged;
  if (unjudged > 0) {
    text += "; " + std::to_string(unjudged) + " more " +
            (unjudged == 1 ? "is" : "are") + " unjudged";
    if (of.at_worst.said != of.at_best.said)
      text += ", which decides: " + std::string(name(of.at_worst.said)) +
              " at worst for the skill, " + std::string(name(of.at_best.said)) +
              " at best";
  }
  if (of.missing) {
    text += ". About " + std::to_string(of.missing->an_arm) +
            " more draws in each arm would show a difference " +
            (of.missing->seen ? "like this one" : "of " +
             std::to_string(static_cast<int>(std::lround(
                 sought_difference * 100))) + " points");
  }
  if (of.left_out > 0)
    text += ". " + std::to_string(of.left_out) +
            " outputs are left out, of tasks or models that one arm lacks";
  if (of.token_ratio) {
    char cost[160];
    std::snprintf(cost, sizeof cost,
                  ". With the skill an output takes %.2f times the tokens "
                  "(95%%: %.2f to %.2f, over %zu task%s)",
                  of.token_ratio->value, of.token_ratio->at95.low,
                  of.token_ratio->at95.high, of.token_tasks,
                  of.token_tasks == 1 ? "" : "s");
    text += cost;
  }
  return text + ".";
}

}  // namespace skillbench
