#pragma once
// json_record.hpp: a record to its JSON line, and back.
//
// Layer   3. json_text.hpp reads and writes the text. Layers 6 and 7 are its
//         users.
// Lenient Records are written strictly and read leniently: unknown keys are left
//         alone, but a schema from the future is refused.
// Errors  reason::bad_input with line, column and JSON pointer. Writing cannot
//         fail: bytes that are no UTF-8 become U+FFFD.

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/json_counters.hpp>
#include <skillbench/json_manifest.hpp>
#include <skillbench/json_sample.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/json_timing.hpp>
#include <skillbench/json_tuning.hpp>
#include <skillbench/record.hpp>

namespace skillbench {

namespace json_text {

inline json write(const finding& it) {
  json made = {{"code", name(it.kind)},
                                 {"severity", name(it.weight)},
                                 {"what", it.what}};
  put(made, "kernel", it.kernel);
  put(made, "element_type", it.element_type);
  put(made, "case", it.test_case);
  put(made, "tensor", it.tensor);
  put(made, "line", it.line);
  put(made, "ptx_line", it.ptx_line);
  put(made, "index", it.index);
  made["count"] = it.count;
  return made;
}

inline json write(const compiled_kernel& it) {
  json made = {{"element_type", it.element_type},
                                 {"entry", it.entry},
                                 {"lowered", it.lowered}};
  put(made, "registers", it.registers);
  put(made, "spill_stores", it.spill_stores);
  put(made, "spill_loads", it.spill_loads);
  put(made, "stack_bytes", it.stack_bytes);
  put(made, "static_shared", it.static_shared);
  return made;
}

inline json write(const case_agreement& it) {
  return {{"case", it.test_case},
          {"element_type", it.element_type},
          {"outcome", name(it.reached)},
          {"compared", it.compared},
          {"wrong", it.wrong},
          {"worst_share", number(it.worst_share)},
          {"schedules", it.schedules},
          {"warp_instructions", it.warp_instructions},
          {"global_load_sectors", it.global_load_sectors},
          {"global_store_sectors", it.global_store_sectors}};
}

inline json write(const counted_launch& it) {
  json made = {{"case", it.test_case},
               {"element_type", it.element_type},
               {"launch", it.launch}};
  made.update(write(it.of));
  return made;
}

inline json write(const told_assertion& it) {
  json made = {{"type", name(it.kind)},
               {"what", it.what},
               {"verdict", name(it.said)}};
  put(made, "why", it.why);
  return made;
}

inline json write(const record& it) {
  const auto tokens = [](const std::optional<std::int64_t>& count) {
    return count ? json(*count) : json("not reported");
  };
  json made;
  made["schema"] = it.schema;
  made["id"] = it.of.id;
  made["model"] = it.of.model;
  made["arm"] = it.of.arm;
  made["skill"] = it.of.skill;
  made["task"] = it.of.task;
  made["draw"] = it.of.draw;
  made["path"] = it.of.path;
  put(made, "pair", it.of.pair);
  if (it.of.input_tokens || it.of.output_tokens)
    made["tokens"] = {{"input", tokens(it.of.input_tokens)},
                      {"output", tokens(it.of.output_tokens)}};
  else
    made["tokens"] = "not reported";
  put(made, "turns", it.of.turns);
  put(made, "cost_usd", it.of.cost_usd);
  put(made, "model_seconds", it.of.seconds);  // `seconds` are ours
  made["source_hash"] = it.source_hash;
  made["skillbench"] = it.skillbench_version;
  made["device"] = it.device;
  if (!it.isolation.empty()) made["isolation"] = it.isolation;
  made["seed"] = it.seed;
  put(made, "key", it.key);
  put(made, "same_as", it.same_as);
  made["stage"] = name(it.reached);
  made["outcome"] = name(it.what);
  made["reason"] = it.reason;
  made["findings"] = json::array();
  for (const finding& one : it.findings) made["findings"].push_back(write(one));
  put(made, "log", it.log);
  made["setting"] = setting_object(it.chosen);
  made["kernels"] = json::array();
  for (const compiled_kernel& one : it.kernels)
    made["kernels"].push_back(write(one));
  made["cases"] = json::array();
  for (const case_agreement& one : it.cases)
    made["cases"].push_back(write(one));
  if (it.counters.empty()) {
    made["counters"] = it.not_counted;
  } else {
    made["counters"] = json::array();
    for (const counted_launch& one : it.counters)
      made["counters"].push_back(write(one));
    put(made, "not_counted", it.not_counted);
  }
  if (!it.timings.empty()) {
    made["timings"] = json::array();
    for (const timed_case& one : it.timings)
      made["timings"].push_back(write(one));
  }
  made["speed"] = it.speed;
  if (it.against_baseline)
    made["speedup"] = {{"times", it.against_baseline->times},
                       {"predicted", it.against_baseline->predicted}};
  if (it.tuning) made["tuning"] = write(*it.tuning);
  if (!it.assertions.empty()) {
    made["assertions"] = json::array();
    for (const told_assertion& one : it.assertions)
      made["assertions"].push_back(write(one));
  }
  made["seconds"] = json::object();
  for (const auto& [key, time] : it.seconds)
    made["seconds"][key] = number(time);
  return made;
}

inline bool read(reader& in, const value& from, finding& into) {
  return in.object(from, "a finding") &&
         read_word(in, from, "code", last_code, into.kind) &&
         read_word(in, from, "severity", severity::note, into.weight) &&
         read_text(in, from, "what", into.what, any_length) &&
         read_text(in, from, "kernel", into.kernel, any_length) &&
         read_text(in, from, "element_type", into.element_type) &&
         read_text(in, from, "case", into.test_case) &&
         read_text(in, from, "tensor", into.tensor) &&
         read_whole(in, from, "line", into.line) &&
         read_whole(in, from, "ptx_line", into.ptx_line) &&
         read_whole(in, from, "index", into.index) &&
         read_count(in, from, "count", into.count);
}

inline bool read(reader& in, const value& from, compiled_kernel& into) {
  return in.object(from, "a kernel") &&
         read_text(in, from, "element_type", into.element_type) &&
         read_text(in, from, "entry", into.entry, any_length) &&
         read_text(in, from, "lowered", into.lowered, any_length) &&
         read_whole(in, from, "registers", into.registers) &&
         read_whole(in, from, "spill_stores", into.spill_stores) &&
         read_whole(in, from, "spill_loads", into.spill_loads) &&
         read_whole(in, from, "stack_bytes", into.stack_bytes) &&
         read_whole(in, from, "static_shared", into.static_shared);
}

inline bool read(reader& in, const value& from, case_agreement& into) {
  const value* const share = from.find("worst_share");
  return in.object(from, "a case") &&
         read_text(in, from, "case", into.test_case) &&
         read_text(in, from, "element_type", into.element_type) &&
         read_word(in, from, "outcome", outcome::unjudged, into.reached) &&
         read_count(in, from, "compared", into.compared) &&
         read_count(in, from, "wrong", into.wrong) &&
         (is_absent(share) || read_number(in, *share, into.worst_share)) &&
         read_count(in, from, "schedules", into.schedules) &&
         read_count(in, from, "warp_instructions", into.warp_instructions) &&
         read_count(in, from, "global_load_sectors",
                    into.global_load_sectors) &&
         read_count(in, from, "global_store_sectors",
                    into.global_store_sectors);
}

inline bool read(reader& in, const value& from, counted_launch& into) {
  return in.object(from, "the counters of a launch") &&
         read_text(in, from, "case", into.test_case) &&
         read_text(in, from, "element_type", into.element_type) &&
         read_count(in, from, "launch", into.launch) &&
         read(in, from, into.of);
}

inline bool read(reader& in, const value& from, told_assertion& into) {
  return in.object(from, "an assertion") &&
         read_word(in, from, "type", last_assertion_type, into.kind) &&
         read_text(in, from, "what", into.what, any_length) &&
         read_word(in, from, "verdict", assertion_result::verdict::not_judged,
                   into.said) &&
         read_text(in, from, "why", into.why, any_length);
}

// A speed that is no speed (0, below, infinite) would bend a curve.
inline bool read_speedup(reader& in, const value& from,
                         std::optional<speedup>& into) {
  const value* const it = from.find("speedup");
  if (is_absent(it)) return true;
  if (!in.object(*it, "a speedup, an object")) return false;
  const value* const times = in.need(*it, "times");
  speedup made;
  if (times == nullptr || !read_number(in, *times, made.times)) return false;
  if (!(made.times > 0) || !std::isfinite(made.times))
    return in.refuse(*times, "a speedup is above 0 and finite");
  if (const value* const guess = it->find("predicted"); !is_absent(guess)) {
    if (guess->kind != type::boolean) return in.expect(*guess, "true or false");
    made.predicted = guess->flag;
  }
  into = made;
  return true;
}

template <typename T>
bool read_all(reader& in, const value& from, std::string_view key,
              std::vector<T>& into) {
  const value* const it = from.find(key);
  if (is_absent(it)) return true;
  if (!in.array(*it, "an array", 0, any_length)) return false;
  for (const value& one : it->items)
    if (!read(in, one, into.emplace_back())) return false;
  return true;
}

inline bool read_record(reader& in, const value& from, record& into) {
  if (!in.object(from, "a record, an object")) return false;
  const value* const schema = in.need(from, "schema");
  std::int64_t number = 0;
  if (schema == nullptr || !in.integer(*schema, number, "an integer"))
    return false;
  if (number < 1 || number > record_schema)
    return in.refuse(*schema, "the record has schema " +
                                  std::to_string(number) +
                                  "; this release knows 1 to " +
                                  std::to_string(record_schema));
  into.schema = static_cast<int>(number);

  // An absent version must not look like ours.
  into.skillbench_version.clear();
  if (!read_identity(in, from, into.of) ||
      !read_text(in, from, "path", into.of.path, any_length) ||
      !read_amount(in, from, "model_seconds", into.of.seconds) ||
      !read_text(in, from, "source_hash", into.source_hash) ||
      !read_text(in, from, "skillbench", into.skillbench_version) ||
      !read_text(in, from, "device", into.device) ||
      !read_text(in, from, "isolation", into.isolation) ||
      !read_count(in, from, "seed", into.seed) ||
      !read_text(in, from, "key", into.key) ||
      !read_text(in, from, "same_as", into.same_as) ||
      !read_word(in, from, "stage", stage::time, into.reached) ||
      !read_word(in, from, "outcome", outcome::unjudged, into.what) ||
      !read_text(in, from, "reason", into.reason, any_length) ||
      !read_all(in, from, "findings", into.findings) ||
      !read_text(in, from, "log", into.log, any_length) ||
      !read_all(in, from, "kernels", into.kernels) ||
      !read_all(in, from, "cases", into.cases) ||
      !read_text(in, from, "speed", into.speed, any_length) ||
      !read_all(in, from, "timings", into.timings) ||
      !read_speedup(in, from, into.against_baseline) ||
      !read_all(in, from, "assertions", into.assertions))
    return false;
  if (const value* const it = from.find("tuning"); !is_absent(it))
    if (!read(in, *it, into.tuning.emplace())) return false;

  if (const value* const it = from.find("counters"); !is_absent(it)) {
    const bool some = it->kind == type::array;
    if (some) into.not_counted.clear();
    if (some ? !read_all(in, from, "counters", into.counters) ||
                   !read_text(in, from, "not_counted", into.not_counted,
                              any_length)
             : !read_text(in, from, "counters", into.not_counted, any_length))
      return false;
  }
  if (const value* const it = from.find("setting"); !is_absent(it)) {
    if (!read_setting(in, *it, into.chosen)) return false;
  }
  if (const value* const it = from.find("seconds"); !is_absent(it)) {
    if (!in.object(*it, "an object of seconds")) return false;
    for (const value& one : it->items)
      if (!read_number(in, one, into.seconds.emplace_back(one.key, 0.0).second))
        return false;
  }
  return true;
}

}  // namespace json_text

[[nodiscard]] inline result<record> read_record(std::string_view line) {
  return json_text::read_as<record>(line, {}, nullptr, &json_text::read_record);
}

[[nodiscard]] inline std::string write_record(const record& told) {
  return json_text::line_of(json_text::write(told));
}

}  // namespace skillbench
