#pragma once
// json_effect.hpp: what a skill did, as JSON.
//
// Layer   3. json_text.hpp writes the text. Layers 6 and 7 are its users.
// Shapes  see README.md, "The report as JSON"; `effect_schema` changes when a
//         reader must change.
// Units   rates and differences of rates in [0, 1].

#include <array>
#include <optional>
#include <span>
#include <string>

#include <skillbench/attribution.hpp>
#include <skillbench/effect.hpp>
#include <skillbench/gate.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/rungs.hpp>
#include <skillbench/stats.hpp>
#include <skillbench/version.hpp>

namespace skillbench {

inline constexpr int effect_schema = 1;

namespace json_text {

inline json write(const rungs& of) {
  return {{"outputs", of.outputs}, {"kernel", of.kernel},
          {"manifest", of.manifest}, {"compiles", of.compiles},
          {"clean", of.clean}, {"right", of.right},
          {"correct", of.correct}, {"unjudged", of.unjudged}};
}

inline json write(const estimate& of) {
  return {{"value", of.value}, {"low", of.at95.low}, {"high", of.at95.high}};
}

inline json write(const arm_cost& of) {
  json made = {{"outputs", of.counted}, {"tokens", of.tokens}};
  if (of.per_correct) made["tokens_per_correct"] = *of.per_correct;
  return made;
}

inline json write(const speed_seen& of) {
  if (!of.missing.empty()) return {{"missing", of.missing}};
  json made = {{"predicted", of.predicted}, {"steps", speed_steps},
               {"with", of.with}, {"without", of.without}};
  if (of.ratio) {
    made["ratio"] = write(*of.ratio);
    made["tasks"] = of.tasks;
  }
  return made;
}

inline json write(const assertion_counts& of) {
  return {{"passed", of.passed}, {"failed", of.failed},
          {"not_judged", of.not_judged}};
}

// A rate of correct outputs with its interval, unjudged ones as failed.
inline json write_rate(const rungs& of) {
  const rate seen = correct_rate(of, false);
  const auto at95 = wilson(seen);
  if (!at95) return nullptr;
  return write(estimate{seen.value(), *at95});
}

inline json write(const comparison& of) {
  json made = {{"model", of.model}, {"task", of.task},
               {"all_models", of.all_models}, {"all_tasks", of.all_tasks},
               {"with", write(of.with)}, {"without", write(of.without)},
               {"verdict", name(of.said)}, {"p", of.counted_p}};
  if (of.left_out > 0) made["left_out"] = of.left_out;
  made["rate_with"] = write_rate(of.with);
  made["rate_without"] = write_rate(of.without);
  made["speed"] = write(of.speed);
  made["pass_at"] = json::array();
  for (const pass_at_seen& each : of.pass_at)
    made["pass_at"].push_back(
        {{"k", each.k}, {"with", each.with}, {"without", each.without}});
  if (of.seen.difference) made["difference"] = write(*of.seen.difference);
  // What it would be at most and at least, where something is unjudged.
  if (of.with.unjudged + of.without.unjudged > 0 && of.at_worst.difference) {
    made["difference_at_worst"] = write(*of.at_worst.difference);
    made["difference_at_best"] = write(*of.at_best.difference);
  }
  if (of.token_ratio) made["token_ratio"] = write(*of.token_ratio);
  if (of.cost_with.counted > 0) made["cost_with"] = write(of.cost_with);
  if (of.cost_without.counted > 0)
    made["cost_without"] = write(of.cost_without);
  if (of.paired)
    made["pairs"] = {{"pairs", of.paired->pairs},
                     {"only_with", of.paired->only_with},
                     {"only_without", of.paired->only_without},
                     {"p", of.paired->p}};
  if (of.missing)
    made["draws_missing"] = {{"an_arm", of.missing->an_arm},
                             {"difference", of.missing->difference}};
  return made;
}

inline json write(const effect& of) {
  json made = {{"skill", of.skill}, {"words", words_of(of.over_all)},
               {"over_all", write(of.over_all)}};
  made["by_model"] = json::array();
  for (const comparison& each : of.by_model)
    made["by_model"].push_back(write(each));
  made["by_stratum"] = json::array();
  for (const comparison& each : of.by_stratum)
    made["by_stratum"].push_back(write(each));
  made["assertions"] = json::array();
  for (const assertion_seen& each : of.assertions)
    made["assertions"].push_back({{"what", each.what},
                                  {"with", write(each.with)},
                                  {"without", write(each.without)}});
  return made;
}

inline json write(const speed_ratio_seen& of) {
  json made = {{"times", of.times}};
  if (of.at95) made["low"] = of.at95->low, made["high"] = of.at95->high;
  return made;
}

inline json write(const attribution& of) {
  json made = {{"skill", of.skill}, {"predicted", of.predicted},
               {"with", of.with}, {"without", of.without}, {"tasks", of.tasks}};
  const auto put_ratio = [&](const char* key, const auto& it) {
    if (it) made[key] = write(*it);
  };
  put_ratio("defaults", of.defaults);
  put_ratio("tuning_alone", of.tuning_alone);
  put_ratio("tuning_with", of.tuning_with);
  put_ratio("beyond_tuning", of.beyond_tuning);
  return made;
}

inline json write(const gate_told& of) {
  json made = {{"rule", of.rule.text}, {"holds", of.holds},
               {"words", of.words}};
  if (of.value) made["value"] = {(*of.value)[0], (*of.value)[1]};
  return made;
}

}  // namespace json_text

// One JSON object, of one line. `gates`: of each effect, in its order.
[[nodiscard]] inline std::string write_effects(
    std::span<const effect> effects, std::size_t records,
    std::span<const std::vector<gate_told>> gates = {},
    std::size_t not_tried = 0, std::span<const attribution> tuned = {}) {
  json_text::json made = {{"schema", effect_schema},
                          {"skillbench", version},
                          {"records", records},
                          {"not_tried", not_tried}};
  made["effects"] = json_text::json::array();
  for (std::size_t i = 0; i < effects.size(); ++i) {
    json_text::json one = json_text::write(effects[i]);
    if (i < gates.size()) {
      one["gate"] = json_text::json::array();
      for (const gate_told& each : gates[i])
        one["gate"].push_back(json_text::write(each));
    }
    made["effects"].push_back(std::move(one));
  }
  if (!tuned.empty()) {
    made["tuning"] = json_text::json::array();
    for (const attribution& each : tuned)
      made["tuning"].push_back(json_text::write(each));
  }
  return json_text::line_of(made);
}

}  // namespace skillbench
