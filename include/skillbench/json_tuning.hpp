#pragma once
// json_tuning.hpp: what tuning came to as JSON, and back.
//
// Layer   3. json_text.hpp writes and reads. Layers 6 and 7 are its users.
// Shapes  README, "Formats", has every key. A trial is its time, or the outcome
//         that it failed with.
// Lenient unknown keys are left alone; a version from the future is refused.
// Errors  bad_input with line, column and JSON pointer.

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <skillbench/json_manifest.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/tuning.hpp>

namespace skillbench::json_text {

inline json write(const tuned_ratio& it) {
  json made = {{"times", it.times}};
  if (it.exact())
    made["exact"] = true;
  else
    made["low"] = *it.low, made["high"] = it.high.value_or(*it.low);
  return made;
}

inline json write(const tuning_told& it) {
  json made;
  made["version"] = tuning_told::newest;
  put(made, "not_tuned", it.not_tuned);
  if (it.trials.empty()) return made;
  made["time"] = name(it.clock);
  made["case"] = it.test_case;
  made["element_types"] = it.element_types;
  put(made, "strategy", it.strategy);
  made["seed"] = it.seed;
  put(made, "ended", it.ended);
  made["settings"] = it.settings;
  put(made, "baseline_ns", it.baseline_nanoseconds);
  put(made, "limit_ns", it.limit_nanoseconds);
  made["default"] = {{"setting", setting_object(it.first)}};
  put(made["default"], "ns", it.default_nanoseconds());
  if (it.best) {
    made["best"] = {{"setting", setting_object(it.best_setting)},
                    {"trial", *it.best}};
    put(made["best"], "ns", it.best_nanoseconds());
  }
  if (it.over_default) made["over_default"] = write(*it.over_default);
  if (it.over_runner_up) {
    made["over_runner_up"] = write(*it.over_runner_up);
    made["over_runner_up"]["setting"] = setting_object(it.runner_up);
  }
  made["trials"] = json::array();
  for (const brief_trial& each : it.trials)
    made["trials"].push_back(each.nanoseconds ? json(*each.nanoseconds)
                                              : json(each.outcome));
  made["failures"] = json::array();
  for (const tuning_failures& each : it.failures)
    made["failures"].push_back({{"outcome", each.outcome},
                                {"count", each.count},
                                {"setting", setting_object(each.first)},
                                {"reason", each.reason}});
  made["importance"] = json::array();
  for (const tunable_share& each : it.importance)
    made["importance"].push_back({{"name", each.name}, {"share", each.share}});
  return made;
}

inline bool read_ratio(reader& in, const value* from,
                       std::optional<tuned_ratio>& into) {
  if (is_absent(from)) return true;
  if (!in.object(*from, "a ratio, an object")) return false;
  const value* const times = in.need(*from, "times");
  tuned_ratio made;
  if (times == nullptr || !read_number(in, *times, made.times) ||
      !read_amount(in, *from, "low", made.low) ||
      !read_amount(in, *from, "high", made.high))
    return false;
  if (!(made.times > 0) || !std::isfinite(made.times))
    return in.refuse(*times, "a ratio is above 0 and finite");
  if (made.low.has_value() != made.high.has_value())
    return in.refuse(*from, "an interval has two ends");
  into = made;
  return true;
}

inline bool read_trials(reader& in, const value& from, tuning_told& into) {
  const value* const trials = from.find("trials");
  if (is_absent(trials)) return true;
  if (!in.array(*trials, "an array of trials", 0, any_length)) return false;
  for (const value& each : trials->items) {
    brief_trial& one = into.trials.emplace_back();
    if (each.kind == type::string) {
      if (!in.text(each, one.outcome, "an outcome")) return false;
      if (one.outcome == "correct")
        return in.refuse(each, "a correct trial has a time");
      continue;
    }
    double time = 0;
    if (!in.real(each, time, "a time or an outcome")) return false;
    if (!(time > 0) || !std::isfinite(time))
      return in.refuse(each, "a time is above 0 and finite");
    one.nanoseconds = time;
  }
  return true;
}

inline bool read_failures(reader& in, const value& from, tuning_told& into) {
  if (const value* const all = from.find("failures"); !is_absent(all)) {
    if (!in.array(*all, "an array of failures", 0, any_length)) return false;
    for (const value& each : all->items) {
      tuning_failures& one = into.failures.emplace_back();
      if (!in.object(each, "failures of one kind") ||
          !read_text(in, each, "outcome", one.outcome) ||
          !read_count(in, each, "count", one.count) ||
          !read_text(in, each, "reason", one.reason, any_length))
        return false;
      const value* const first = each.find("setting");
      if (!is_absent(first) && !read_setting(in, *first, one.first))
        return false;
    }
  }
  if (const value* const all = from.find("importance"); !is_absent(all)) {
    if (!in.array(*all, "an array of tunables", 0, any_length)) return false;
    for (const value& each : all->items) {
      tunable_share& one = into.importance.emplace_back();
      std::optional<double> share;
      if (!in.object(each, "the share of a tunable") ||
          !read_text(in, each, "name", one.name) ||
          !read_amount(in, each, "share", share))
        return false;
      one.share = share.value_or(0);
    }
  }
  return true;
}

inline bool read(reader& in, const value& from, tuning_told& into) {
  if (!in.object(from, "what tuning came to, an object")) return false;
  const value* const version = in.need(from, "version");
  std::int64_t number = 0;
  if (version == nullptr || !in.integer(*version, number, "an integer"))
    return false;
  if (number < 1 || number > tuning_told::newest)
    return in.refuse(*version, "tuning has version " + std::to_string(number) +
                                   "; this release knows 1 to " +
                                   std::to_string(tuning_told::newest));
  std::optional<double> settings;
  if (!read_text(in, from, "not_tuned", into.not_tuned, any_length) ||
      !read_text(in, from, "case", into.test_case) ||
      !read_text(in, from, "strategy", into.strategy) ||
      !read_text(in, from, "ended", into.ended) ||
      !read_count(in, from, "seed", into.seed) ||
      !read_amount(in, from, "settings", settings) ||
      !read_amount(in, from, "baseline_ns", into.baseline_nanoseconds) ||
      !read_amount(in, from, "limit_ns", into.limit_nanoseconds) ||
      !read_trials(in, from, into) || !read_failures(in, from, into) ||
      !read_ratio(in, from.find("over_default"), into.over_default) ||
      !read_ratio(in, from.find("over_runner_up"), into.over_runner_up))
    return false;
  if (!is_absent(from.find("time")) &&
      !read_word(in, from, "time", trial_clock::stand_in, into.clock))
    return false;
  into.settings = settings.value_or(0);
  if (const value* const types = from.find("element_types");
      !is_absent(types)) {
    if (!in.array(*types, "an array of element types", 0, 64)) return false;
    for (const value& each : types->items)
      if (!in.text(each, into.element_types.emplace_back(), "an element type"))
        return false;
  }
  const auto chosen = [&](const char* key, setting& to) {
    const value* const it = from.find(key);
    const value* const inside = is_absent(it) ? nullptr : it->find("setting");
    return is_absent(inside) || read_setting(in, *inside, to);
  };
  if (!chosen("default", into.first) || !chosen("best", into.best_setting) ||
      !chosen("over_runner_up", into.runner_up))
    return false;
  if (const value* const best = from.find("best"); !is_absent(best)) {
    if (!in.object(*best, "the best setting, an object")) return false;
    const value* const trial = in.need(*best, "trial");
    std::uint64_t at = 0;
    if (trial == nullptr || !in.count(*trial, at, "an integer from 0"))
      return false;
    if (at >= into.trials.size() || !into.trials[at].nanoseconds)
      return in.refuse(*trial, "the best setting is none of the correct trials");
    into.best = at;
  }
  return true;
}

}  // namespace skillbench::json_text
