#pragma once
// toml_text.hpp: TOML text to a tree with lines.
//
// Layer   3. The only header that includes toml++; read_build_toml.hpp is its
//         user.
// Trust   The text may be hostile: its length and the depth of its keys are
//         bounded before toml++ sees it, which bounds the rest itself, and no
//         exception of it gets out.
// Places  Lines from 1.
// Errors  bad_input, with the line.
// Source  TOML 1.0.0.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What toml++ takes for granted of a text need not be so: version 3.3 does not
// foresee a "[" at the end of a line, and would abort, or with NDEBUG, as its
// library is built, leave to the compiler what happens. Here it is an exception,
// and the reader is compiled from the header so that it is one everywhere.
namespace skillbench::toml_text {
struct not_foreseen : std::logic_error {
  using std::logic_error::logic_error;
};
constexpr void foresee(bool holds, const char* what) {
  if (!holds) throw not_foreseen(what);
}
}  // namespace skillbench::toml_text
#pragma push_macro("NDEBUG")
#undef NDEBUG
#undef TOML_SHARED_LIB
#undef TOML_HEADER_ONLY
#define TOML_HEADER_ONLY 1
#define TOML_ASSERT(holds) \
  ::skillbench::toml_text::foresee(static_cast<bool>(holds), #holds)
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <skillbench/fault.hpp>

namespace skillbench {

namespace toml_text {

inline constexpr std::size_t most_bytes = 64 * 1024;
inline constexpr int most_levels = 32;

enum class type : std::uint8_t { text, integer, flag, list, table, other };

struct value {
  type kind = type::other;
  std::size_t line = 0;
  std::string key;   // its name, inside a table
  std::string text;
  std::int64_t number = 0;
  bool flag = false;
  std::vector<value> items;  // list and table

  [[nodiscard]] const value* find(std::string_view name) const {
    if (kind == type::table)
      for (const value& one : items)
        if (one.key == name) return &one;
    return nullptr;
  }
};

[[nodiscard]] inline fault refused(std::size_t line, std::string_view why) {
  return {reason::bad_input,
          "line " + std::to_string(line) + ": " + std::string(why)};
}

inline value taken(const toml::node& from, std::string key) {
  value made;
  made.key = std::move(key);
  made.line = from.source().begin.line;
  if (const auto* const text = from.as_string()) {
    made.kind = type::text;
    made.text = text->get();
  } else if (const auto* const number = from.as_integer()) {
    made.kind = type::integer;
    made.number = number->get();
  } else if (const auto* const flag = from.as_boolean()) {
    made.kind = type::flag;
    made.flag = flag->get();
  } else if (const auto* const list = from.as_array()) {
    made.kind = type::list;
    for (const toml::node& one : *list) made.items.push_back(taken(one, ""));
  } else if (const auto* const table = from.as_table()) {
    made.kind = type::table;
    for (const auto& [name, one] : *table)
      made.items.push_back(taken(one, std::string(name.str())));
  }
  return made;
}

// A key of ten thousand parts would be a tree as deep.
[[nodiscard]] inline std::size_t line_of_deep_key(std::string_view text) {
  std::size_t line = 1;
  int dots = 0;
  for (const char c : text) {
    if (c == '\n') ++line;
    if (c == '\n' || c == ',' || c == '=' || c == '{') dots = 0;
    if (c == '.' && ++dots > most_levels) return line;
  }
  return 0;
}

[[nodiscard]] inline result<value> read(std::string_view text) {
  if (text.size() > most_bytes)
    return refused(1, "it has more than " + std::to_string(most_bytes) +
                          " bytes");
  if (const std::size_t line = line_of_deep_key(text))
    return refused(line, "more than " + std::to_string(most_levels) +
                             " points between two marks");
  try {
    const toml::table all = toml::parse(text);
    return taken(all, "");
  } catch (const toml::parse_error& wrong) {
    return refused(wrong.source().begin.line, wrong.description());
  } catch (const not_foreseen&) {
    return fault{reason::bad_input, "it is no TOML that can be read"};
  } catch (const std::exception& wrong) {
    return refused(1, wrong.what());
  }
}

}  // namespace toml_text

}  // namespace skillbench
