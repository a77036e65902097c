#pragma once
// json_counters.hpp: counters to JSON, and back.
//
// Layer   3. json_text.hpp reads and writes the text.
// Zeros   Of a launch every number is written but those of its classes and
//         types, of a line none that is zero. What is absent is zero.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <skillbench/counters.hpp>
#include <skillbench/json_text.hpp>

namespace skillbench::json_text {

template <typename Kind, std::size_t N>
json named_counts(const std::array<std::uint64_t, N>& all) {
  json made = json::object();
  for (std::size_t i = 0; i < N; ++i)
    if (all[i] != 0) made[std::string(name(static_cast<Kind>(i)))] = all[i];
  return made;
}

inline void put(json& into, const event_counts& of, bool zeros) {
  const auto named = [&](const char* key, json all) {
    if (zeros || !all.empty()) into[key] = std::move(all);
  };
  named("warp_instructions",
        named_counts<instruction_class>(of.warp_instructions));
  named("thread_instructions",
        named_counts<instruction_class>(of.thread_instructions));
  named("tensor_operations", named_counts<tensor_type>(of.tensor_operations));
  each_event(of, [&](const char* key, std::uint64_t number) {
    if (zeros || number != 0) into[key] = number;
  });
}

inline json write(const launch_counters& it) {
  json made = {{"kernel", it.kernel}};
  put(made, it.total, true);
  made["barriers"] = it.barriers;
  made["global_read_bytes"] = it.global_read_bytes;
  made["global_written_bytes"] = it.global_written_bytes;
  if (it.lines.empty()) return made;
  made["lines_of"] = it.of_ptx ? "ptx" : "source";
  made["lines"] = json::array();
  for (const line_counts& each : it.lines) {
    json line = {{"line", each.line}};
    put(line, each.of, false);
    made["lines"].push_back(std::move(line));
  }
  return made;
}

template <typename Kind, std::size_t N>
bool read_named(reader& in, const value& from, std::string_view key,
                std::array<std::uint64_t, N>& into) {
  const value* const it = from.find(key);
  if (is_absent(it)) return true;
  if (!in.object(*it, "an object of counts")) return false;
  for (std::size_t i = 0; i < N; ++i)
    if (!read_count(in, *it, name(static_cast<Kind>(i)), into[i]))
      return false;
  return true;
}

inline bool read(reader& in, const value& from, event_counts& into) {
  bool good = read_named<instruction_class>(in, from, "warp_instructions",
                                            into.warp_instructions) &&
              read_named<instruction_class>(in, from, "thread_instructions",
                                            into.thread_instructions) &&
              read_named<tensor_type>(in, from, "tensor_operations",
                                      into.tensor_operations);
  each_event(into, [&](const char* key, std::uint64_t& number) {
    good = good && read_count(in, from, key, number);
  });
  return good;
}

inline bool read(reader& in, const value& from, launch_counters& into) {
  std::string lines_of;
  if (!read_text(in, from, "kernel", into.kernel, any_length) ||
      !read(in, from, into.total) ||
      !read_count(in, from, "barriers", into.barriers) ||
      !read_count(in, from, "global_read_bytes", into.global_read_bytes) ||
      !read_count(in, from, "global_written_bytes",
                  into.global_written_bytes) ||
      !read_text(in, from, "lines_of", lines_of))
    return false;
  into.of_ptx = lines_of == "ptx";
  const value* const lines = from.find("lines");
  if (is_absent(lines)) return true;
  if (!in.array(*lines, "an array of lines", 0, any_length)) return false;
  for (const value& each : lines->items) {
    line_counts& line = into.lines.emplace_back();
    std::uint64_t number = 0;
    if (!in.object(each, "the counts of a line") ||
        !read_count(in, each, "line", number) || !read(in, each, line.of))
      return false;
    line.line = static_cast<int>(number);
  }
  return true;
}

}  // namespace skillbench::json_text
