#pragma once
// json_manifest.hpp: JSON to a launch manifest.
//
// Layer   3. json_text.hpp reads the text. Layers 6 and 7 are its users.
// Strict  An unknown key is refused: a candidate that misspells one must hear
//         of it.
// Errors  reason::bad_input with line, column and JSON pointer.
// Limits  64 launches, tunables, conditions and names of scratch memory; 256
//         arguments; 1024 values of a tunable.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <skillbench/expression.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/manifest.hpp>

namespace skillbench {

namespace json_text {

inline bool read_launch(reader& in, const value& from, launch_text& into) {
  const value* const entry = in.need(from, "entry");
  if (entry == nullptr || !in.text(*entry, into.entry, "the name of a kernel"))
    return false;
  for (const char c : into.entry)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return in.refuse(*entry, "a kernel's name holds a control character");

  const value* const args = in.need(from, "args");
  if (args == nullptr || !in.array(*args, "an array of argument names", 1, 256))
    return false;
  for (const value& one : args->items)
    if (!in.text(one, into.args.emplace_back(), "the name of an argument", 1,
                 128))
      return false;

  const value* const grid = in.need(from, "grid");
  if (grid == nullptr ||
      !in.formulas(*grid, into.grid, "a number of blocks", 1, 3))
    return false;
  const value* const block = in.need(from, "block");
  if (block == nullptr ||
      !in.formulas(*block, into.block, "a number of threads", 1, 3))
    return false;
  const value* const cluster = from.find("cluster");
  if (cluster != nullptr &&
      !in.formulas(*cluster, into.cluster, "a number of blocks", 1, 3))
    return false;
  const value* const shared = from.find("shared_bytes");
  return shared == nullptr ||
         in.formula(*shared, into.shared_bytes, "a number of bytes");
}

inline bool read_launches(reader& in, const value& from, manifest& into) {
  const value* const launches = from.find("launches");
  if (launches == nullptr)
    return read_launch(in, from, into.launches.emplace_back());
  for (const char* const key :
       {"entry", "args", "grid", "block", "shared_bytes", "cluster"})
    if (const value* const other = from.find(key))
      return in.refuse(*other, "\"" + std::string(key) +
                                   "\" stands beside \"launches\"; expected it "
                                   "inside each launch");
  if (!in.array(*launches, "an array of launches", 1, 64)) return false;
  for (const value& one : launches->items)
    if (!in.object(one, "a launch",
                   {"entry", "args", "grid", "block", "shared_bytes",
                    "cluster"}) ||
        !read_launch(in, one, into.launches.emplace_back()))
      return false;
  return true;
}

// What a string becomes in the source is one line of it, and ends there.
inline bool read_tunable_text(reader& in, const value& from,
                              std::string& into) {
  if (!in.text(from, into, "a string", 1, 256)) return false;
  for (const char c : into)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return in.refuse(from, "a value of a tunable holds a control character");
  return into.back() != '\\' ||
         in.refuse(from, "a value of a tunable ends with a backslash");
}

inline bool read_tunable_value(reader& in, const value& from,
                               std::vector<tuning_value>& into) {
  tuning_value made;
  if (from.kind == type::boolean) {
    made = from.flag;
  } else if (from.kind == type::string) {
    std::string text;
    if (!read_tunable_text(in, from, text)) return false;
    made = std::move(text);
  } else {
    std::int64_t whole = 0;
    if (!in.integer(from, whole, "an integer, a string or a boolean"))
      return false;
    made = whole;
  }
  if (!into.empty() && into.front().index() != made.index())
    return in.refuse(from, "the values of a tunable are of several kinds");
  into.push_back(std::move(made));
  return true;
}

// A setting as its record has it: an object of names and values.
inline bool read_setting(reader& in, const value& from, setting& into) {
  if (!in.object(from, "an object of tunables")) return false;
  for (const value& one : from.items) {
    std::vector<tuning_value> chosen;
    if (!read_tunable_value(in, one, chosen)) return false;
    into.emplace_back(one.key, std::move(chosen.front()));
  }
  return true;
}

inline json setting_object(const setting& of) {
  json made = json::object();
  for (const auto& [key, choice] : of)
    std::visit([&in = made[key]](const auto& it) { in = it; }, choice);
  return made;
}

inline bool read_tunables(reader& in, const value& from, manifest& into) {
  const value* const tune = from.find("tune");
  if (tune == nullptr) return true;
  if (!in.object(*tune, "an object of tunables and their values")) return false;
  if (tune->items.size() > 64)
    return in.refuse(*tune, "found " + std::to_string(tune->items.size()) +
                                " tunables; expected at most 64");
  for (const value& one : tune->items) {
    tunable made;
    made.name = one.key;
    if (!in.identifier(one, one.key, "name of a tunable") ||
        !in.array(one, "an array of integers, strings or booleans", 1, 1024))
      return false;
    for (const value& choice : one.items)
      if (!read_tunable_value(in, choice, made.values)) return false;
    into.tune.push_back(std::move(made));
  }
  return true;
}

inline bool read_scratch(reader& in, const value& from, manifest& into) {
  const value* const scratch = from.find("scratch");
  if (scratch == nullptr) return true;
  if (!in.object(*scratch, "an object of names and their bytes")) return false;
  if (scratch->items.size() > 64)
    return in.refuse(*scratch, "found " +
                                   std::to_string(scratch->items.size()) +
                                   " names; expected at most 64");
  for (const value& one : scratch->items) {
    auto& made = into.scratch.emplace_back(one.key, expression());
    if (!in.identifier(one, one.key, "name of scratch memory") ||
        !in.formula(one, made.second, "a number of bytes"))
      return false;
  }
  return true;
}

// One of a few words; absent is the first of them.
template <typename Use>
bool read_word(reader& in, const value& from, const char* key,
               std::initializer_list<const char*> words, Use&& use) {
  const value* const it = from.find(key);
  if (it == nullptr) return true;
  std::string text, known;
  if (!in.text(*it, text, "a word")) return false;
  std::size_t at = 0;
  for (const char* const word : words) {
    if (text == word) {
      use(at);
      return true;
    }
    known += (known.empty() ? "\"" : ", \"") + std::string(word) + "\"";
    ++at;
  }
  return in.refuse(*it, "found \"" + text + "\"; expected one of " + known);
}

inline bool read_tensor_maps(reader& in, const value& from, manifest& into) {
  const value* const maps = from.find("tensor_maps");
  if (maps == nullptr) return true;
  if (!in.object(*maps, "an object of tensor maps")) return false;
  if (maps->items.size() > 64)
    return in.refuse(*maps, "found " + std::to_string(maps->items.size()) +
                                " tensor maps; expected at most 64");
  for (const value& one : maps->items) {
    tensor_map_text& made = into.tensor_maps.emplace_back();
    made.name = one.key;
    if (!in.identifier(one, one.key, "name of a tensor map") ||
        !in.object(one, "a tensor map",
                   {"tensor", "extents", "strides", "box", "element_strides",
                    "swizzle", "interleave", "oob"}))
      return false;
    const value* const tensor = in.need(one, "tensor");
    const value* const extents = in.need(one, "extents");
    const value* const box = in.need(one, "box");
    if (tensor == nullptr || extents == nullptr || box == nullptr ||
        !in.text(*tensor, made.tensor, "the name of a tensor", 1, 128) ||
        !in.formulas(*extents, made.extents, "a number of elements", 1, 5) ||
        !in.formulas(*box, made.box, "a number of elements",
                     made.extents.size(), made.extents.size()))
      return false;
    const std::size_t outer = made.extents.size() - 1;
    if (const value* const it = outer > 0 ? in.need(one, "strides") : one.find("strides")) {
      if (!in.formulas(*it, made.strides, "a number of bytes", outer, outer))
        return false;
    } else if (outer > 0) {
      return false;
    }
    if (const value* const it = one.find("element_strides"))
      if (!in.formulas(*it, made.element_strides, "a number of elements",
                       made.extents.size(), made.extents.size()))
        return false;
    constexpr std::int64_t swizzles[] = {0, 32, 64, 128}, slices[] = {0, 16, 32};
    if (!read_word(in, one, "swizzle", {"none", "32", "64", "128"},
                   [&](std::size_t at) { made.swizzle = swizzles[at]; }) ||
        !read_word(in, one, "interleave", {"none", "16", "32"},
                   [&](std::size_t at) { made.interleave = slices[at]; }) ||
        !read_word(in, one, "oob", {"zero", "nan"},
                   [&](std::size_t at) { made.nan = at == 1; }))
      return false;
  }
  return true;
}

inline bool read_manifest(reader& in, const value& from, manifest& into) {
  if (!in.object(from, "a launch manifest",
                 {"family", "entry", "args", "grid", "block", "shared_bytes",
                  "cluster", "launches", "tune", "constraints", "require",
                  "scratch", "tensor_maps"}))
    return false;
  const value* const family = in.need(from, "family");
  if (family == nullptr ||
      !in.text(*family, into.family, "the name of a family", 1, 128) ||
      !read_launches(in, from, into) || !read_tunables(in, from, into))
    return false;
  if (const value* const it = from.find("constraints"))
    if (!in.formulas(*it, into.constraints, "a condition", 0, 64)) return false;
  if (const value* const it = from.find("require"))
    if (!in.formulas(*it, into.require, "a condition", 0, 64)) return false;
  return read_scratch(in, from, into) && read_tensor_maps(in, from, into);
}

}  // namespace json_text

// `where`, if asked for, is the place that a fault is about.
[[nodiscard]] inline result<manifest> read_manifest(
    std::string_view json, text_place* where = nullptr) {
  return json_text::read_as<manifest>(json, {}, where,
                                      &json_text::read_manifest);
}

}  // namespace skillbench
