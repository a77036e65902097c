#pragma once
// json_trial.hpp: trials of a tuning as JSON, for its journal and for others.
//
// Layer   3. json_text.hpp writes. Layers 6 and 7 are its users.
// Errors  bad_input with line, column and JSON pointer.
// Source  T4: the results schema 1.0.0 of the autotuning community, in the form
//         that Kernel Tuner (schema/T4/1.0.0) and the community's own methodology
//         package read, where "correct" is the invalidity of what ran. The first
//         form of it (odgaard/TuningSchema) has no word for those.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <skillbench/fault.hpp>
#include <skillbench/json_manifest.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/kernel_trial.hpp>

namespace skillbench {

namespace json_text {

inline json trial_object(const kernel_trial& it) {
  json made = json::object();
  made["setting"] = setting_object(it.chosen);
  made["outcome"] = it.outcome;
  put(made, "reason", it.reason);
  if (it.nanoseconds) {
    const bool guess = it.clock == trial_clock::predicted;
    made[guess ? "predicted_ns" : "ns"] = *it.nanoseconds;
    if (!guess) made["clock"] = name(it.clock);
    if (it.cut) made["cut"] = true;
    if (it.limit > 0) made["limit_ns"] = it.limit;
    put(made, "limited_by", it.limited_by);
    if (guess) made["occupancy"] = it.occupancy;
    made["registers"] = it.registers;
  }
  made["seconds"] = {{"compile", it.compile_seconds},
                     {"check", it.check_seconds}};
  return made;
}

struct journalled {
  std::string key;
  kernel_trial it;
};

inline bool read_trial(reader& in, const value& from, journalled& into) {
  if (!in.object(from, "a trial")) return false;
  const value* const key = in.need(from, "trial_of");
  const value* const chosen = in.need(from, "setting");
  const value* const outcome = in.need(from, "outcome");
  if (key == nullptr || chosen == nullptr || outcome == nullptr ||
      !in.text(*key, into.key, "a key") ||
      !in.text(*outcome, into.it.outcome, "an outcome") ||
      !read_setting(in, *chosen, into.it.chosen) ||
      !read_text(in, from, "reason", into.it.reason, 1 << 20) ||
      !read_text(in, from, "limited_by", into.it.limited_by))
    return false;
  std::optional<double> occupancy;
  std::optional<int> registers;
  const bool guess = is_absent(from.find("clock"));
  if (const value* const cut = from.find("cut"); !is_absent(cut)) {
    if (cut->kind != type::boolean) return in.expect(*cut, "true or false");
    into.it.cut = cut->flag;
  }
  std::optional<double> limit;
  if (!read_amount(in, from, guess ? "predicted_ns" : "ns",
                   into.it.nanoseconds) ||
      (!guess &&
       !read_word(in, from, "clock", trial_clock::stand_in, into.it.clock)) ||
      !read_amount(in, from, "limit_ns", limit) ||
      !read_amount(in, from, "occupancy", occupancy) ||
      !read_whole(in, from, "registers", registers))
    return false;
  into.it.limit = limit.value_or(0);
  into.it.occupancy = occupancy.value_or(0);
  into.it.registers = registers.value_or(0);
  if (const value* const seconds = from.find("seconds")) {
    std::optional<double> compile, check;
    if (!read_amount(in, *seconds, "compile", compile) ||
        !read_amount(in, *seconds, "check", check))
      return false;
    into.it.compile_seconds = compile.value_or(0);
    into.it.check_seconds = check.value_or(0);
  }
  // A time of a trial that failed, or none of one that did not.
  if (into.it.correct() != into.it.nanoseconds.has_value())
    return in.refuse(from, "a correct trial has a time and no other has one");
  return true;
}

}  // namespace json_text

// A line of a tuning's journal, without its check (store.hpp). `key` names all
// that the trial depends on besides the setting.
[[nodiscard]] inline std::string write_trial(const std::string& key,
                                             const kernel_trial& it) {
  json_text::json made = json_text::json::object();
  made["trial_of"] = key;
  const json_text::json told = json_text::trial_object(it);
  for (const auto& [name, value] : told.items()) made[name] = value;
  return json_text::line_of(made);
}

[[nodiscard]] inline result<std::pair<std::string, kernel_trial>> read_trial(
    std::string_view line) {
  auto read = json_text::read_as(line, json_text::journalled{}, nullptr,
                                 json_text::read_trial);
  if (!read) return read.error();
  return std::pair(std::move(read.value().key), std::move(read.value().it));
}

// All trials in the form that other tuners exchange. Times are milliseconds
// there, and what is predicted says so in its name.
[[nodiscard]] inline std::string write_t4(std::span<const kernel_trial> trials) {
  using json_text::json;
  json made = json::object();
  made["schema_version"] = "1.0.0";
  made["results"] = json::array();
  for (const kernel_trial& each : trials) {
    json one = json::object();
    one["configuration"] = json_text::setting_object(each.chosen);
    const char* const told_as = each.clock == trial_clock::measured ? "time"
                                  : each.clock == trial_clock::predicted
                                      ? "predicted_time"
                                      : "stand_in_time";
    one["objectives"] = json::array({told_as});
    one["times"] = {{"compilation_time", each.compile_seconds * 1e3},
                    {"validation", each.check_seconds * 1e3},
                    {"runtimes", json::array()}};
    one["invalidity"] = each.correct()                        ? "correct"
                        : each.outcome == "does_not_compile" ? "compile"
                        : each.outcome == "constraints"      ? "constraints"
                        : each.outcome == "unjudged"         ? "timeout"
                        : each.outcome == "faults" ||
                                each.outcome == "does_not_fit"
                            ? "runtime"
                            : "correctness";
    one["correctness"] = each.correct() ? 1 : 0;
    one["measurements"] = json::array();
    if (each.nanoseconds)
      one["measurements"].push_back({{"name", told_as},
                                     {"value", *each.nanoseconds / 1e6},
                                     {"unit", "ms"}});
    made["results"].push_back(std::move(one));
  }
  return json_text::line_of(made);
}

}  // namespace skillbench
