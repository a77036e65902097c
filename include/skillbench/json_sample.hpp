#pragma once
// json_sample.hpp: a line of samples.jsonl to a sample, and back.
//
// Layer   3. json_text.hpp reads the text. Layers 6 and 7 are its users.
// Lenient Unknown keys are left alone, and `null` is as good as absent.
// Errors  reason::bad_input with line, column and JSON pointer.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <skillbench/fault.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/sample.hpp>

namespace skillbench {

namespace json_text {

inline bool read_tokens(reader& in, const value& from, sample& into) {
  const value* const tokens = from.find("tokens");
  const auto unknown = [](const value* it) {
    return is_absent(it) ||
           (it->kind == type::string && it->text == "not reported");
  };
  if (unknown(tokens)) return true;
  if (!in.object(*tokens,
                 "an object with input and output, or \"not "
                 "reported\""))
    return false;
  const auto read_one = [&](std::string_view key,
                            std::optional<std::int64_t>& into_one) {
    const value* const it = tokens->find(key);
    if (unknown(it)) return true;
    std::int64_t count = 0;
    if (!in.integer(*it, count, "a number of tokens")) return false;
    if (count < 0) return in.refuse(*it, "a number of tokens is negative");
    into_one = count;
    return true;
  };
  return read_one("input", into.input_tokens) &&
         read_one("output", into.output_tokens);
}

// What samples and records have in common.
inline bool read_identity(reader& in, const value& from, sample& into) {
  const value* const id = from.find("id");
  if (id != nullptr && id->kind == type::integer)
    into.id = describe(*id);
  else if (!read_text(in, from, "id", into.id, 1024))
    return false;
  const value* const draw = from.find("draw");
  return read_text(in, from, "model", into.model, 1024) &&
         read_text(in, from, "arm", into.arm, 1024) &&
         read_text(in, from, "skill", into.skill, 1024) &&
         read_text(in, from, "task", into.task, 1024) &&
         read_text(in, from, "pair", into.pair, 1024) &&
         (is_absent(draw) || in.integer(*draw, into.draw, "an integer")) &&
         read_tokens(in, from, into) &&
         read_whole(in, from, "turns", into.turns) &&
         read_amount(in, from, "cost_usd", into.cost_usd);
}

inline bool read_sample(reader& in, const value& from, sample& into) {
  if (!in.object(from, "a sample, an object") ||
      !read_identity(in, from, into) ||
      !read_amount(in, from, "seconds", into.seconds))
    return false;
  if (into.task.empty()) {
    if (const value* const task = from.find("task"))
      return in.expect(*task, "the name of a task");
    return in.need(from, "task") != nullptr;
  }
  const value* const path = from.find("output");
  const value* const text = from.find("text");
  if (is_absent(path) == is_absent(text))
    return in.refuse(from, "expected one of \"output\" (a path) and \"text\"");
  if (!is_absent(path))
    return in.text(*path, into.path, "the path of an output");
  return in.text(*text, into.output, "the text of an output", 0,
                 any_length);
}

}  // namespace json_text

// A sample as samples.jsonl has it: `path` is what it says under "output",
// `output` what it says under "text". `arm` and `task` are not looked up.
[[nodiscard]] inline result<sample> read_sample(std::string_view line) {
  return json_text::read_as<sample>(line, {}, nullptr, &json_text::read_sample);
}

// One line without its end that says the same of it, with its text, or with the
// path of it. Bytes that are no UTF-8 do not come back as they were.
[[nodiscard]] inline std::string write_sample(const sample& of,
                                              bool by_path = false) {
  using json_text::put;
  json_text::json made;
  put(made, "id", of.id);
  put(made, "model", of.model);
  put(made, "arm", of.arm);
  put(made, "skill", of.skill);
  put(made, "task", of.task);
  made["draw"] = of.draw;
  put(made, "pair", of.pair);
  json_text::json tokens = json_text::json::object();
  put(tokens, "input", of.input_tokens);
  put(tokens, "output", of.output_tokens);
  if (!tokens.empty()) made["tokens"] = std::move(tokens);
  put(made, "turns", of.turns);
  put(made, "cost_usd", of.cost_usd);
  put(made, "seconds", of.seconds);
  made[by_path ? "output" : "text"] = by_path ? of.path : of.output;
  return json_text::line_of(made);
}

}  // namespace skillbench
