#pragma once
// json_upskill.hpp: upskill's run_result.json and batch_summary.json to runs.
//
// Layer   3. json_text.hpp reads the text. Layers 6 and 7 are its users.
// Lenient Unknown keys are left alone, `null` is as good as absent, and what has
//         a default in upskill may be absent.
// Errors  reason::bad_input with line, column and JSON pointer.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/upskill.hpp>

namespace skillbench {

namespace json_text {

inline bool read_count(reader& in, const value& from, std::string_view key,
                       std::int64_t& into) {
  std::optional<std::int64_t> number;
  if (!read_whole(in, from, key, number)) return false;
  if (number) into = *number;
  return true;
}

inline bool read_run(reader& in, const value& from, upskill_run& into) {
  if (!in.object(from, "the result of a run")) return false;
  const value* const metadata = in.need(from, "metadata");
  if (metadata == nullptr || !in.object(*metadata, "metadata")) return false;
  const value* const model = in.need(*metadata, "model");
  const value* const task = in.need(*metadata, "task");
  if (model == nullptr || task == nullptr ||
      !in.text(*model, into.model, "the name of a model", 0) ||
      !in.text(*task, into.task, "a task", 0, any_length))
    return false;
  std::string batch;
  std::int64_t number = 0;
  if (!read_text(in, *metadata, "batch_id", batch) ||
      !read_count(in, *metadata, "run_number", number))
    return false;
  into.name = batch + "/run_" + std::to_string(number);
  into.arm = "with_skill";  // upskill's default
  if (const value* const arm = from.find("run_type"); !is_absent(arm))
    if (!in.text(*arm, into.arm, "a run type")) return false;
  if (!read_text(in, from, "skill_name", into.skill) ||
      !read_text(in, from, "error_message", into.error, any_length) ||
      !read_count(in, from, "assertions_passed", into.assertions_passed) ||
      !read_count(in, from, "assertions_total", into.assertions_total))
    return false;
  const value* const stats = from.find("stats");
  if (is_absent(stats)) return true;
  if (!in.object(*stats, "stats") ||
      !read_count(in, *stats, "turns", into.turns) ||
      !read_count(in, *stats, "input_tokens", into.input_tokens) ||
      !read_count(in, *stats, "output_tokens", into.output_tokens) ||
      !read_count(in, *stats, "total_tokens", into.total_tokens))
    return false;
  const value* const tests = stats->find("usage_summaries");
  if (is_absent(tests)) return true;
  if (!in.array(*tests, "an array", 0, any_length)) return false;
  for (const value& one : tests->items) {
    upskill_run::usage test;
    if (!in.object(one, "a summary of usage") ||
        !read_whole(in, one, "cumulative_input_tokens", test.input_tokens) ||
        !read_whole(in, one, "cumulative_output_tokens", test.output_tokens) ||
        !read_whole(in, one, "turn_count", test.turns))
      return false;
    into.tests.push_back(test);
  }
  return true;
}

inline bool read_batch(reader& in, const value& from,
                       std::vector<upskill_run>& into) {
  if (!in.object(from, "the summary of a batch")) return false;
  const value* const results = from.find("results");
  if (is_absent(results)) return true;
  if (!in.array(*results, "an array", 0, any_length)) return false;
  for (const value& one : results->items)
    if (!read_run(in, one, into.emplace_back())) return false;
  return true;
}

}  // namespace json_text

[[nodiscard]] inline result<upskill_run> read_upskill_run(
    std::string_view text) {
  return json_text::read_as<upskill_run>(text, {}, nullptr,
                                         &json_text::read_run);
}

[[nodiscard]] inline result<std::vector<upskill_run>> read_upskill_batch(
    std::string_view text) {
  return json_text::read_as<std::vector<upskill_run>>(text, {}, nullptr,
                                                      &json_text::read_batch);
}

}  // namespace skillbench
