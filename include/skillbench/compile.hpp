#pragma once
// compile.hpp: from a candidate and a setting to what the compiler is asked.
//
// Layer   4. Text in, text out; the device compiles (device.hpp).
// Units   settings hold a tunable's values as the manifest wrote them.
// Errors  reason::bad_input: no combination satisfies the constraints, a
//         constraint cannot be evaluated, a tunable has no values, or more than
//         `most_combinations` would have to be tried, or `most_searched_bytes`.
// Source  kernels/contract.md, the text that models are given.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <skillbench/candidate.hpp>
#include <skillbench/device.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/manifest.hpp>
#include <skillbench/units.hpp>

namespace skillbench {

inline constexpr std::int64_t most_combinations = 1'000'000;
// Characters of constraints evaluated in the search for a default: a second or so.
inline constexpr std::uint64_t most_searched_bytes = 100'000'000;

// What a manifest's expressions can name besides the task's integers.
[[nodiscard]] inline bindings names_of(const setting& chosen, element type) {
  bindings made;
  for (const auto& [name, value] : chosen)
    if (const auto* const text = std::get_if<std::string>(&value))
      made.texts.emplace_back(name, *text);
    else if (const auto number = number_of(value))
      made.emplace_back(name, static_cast<std::int64_t>(*number));
  made.emplace_back("sizeof_T", static_cast<std::int64_t>(size_of(type)));
  return made;
}

// The first combination, in the order written, that satisfies the constraints:
// the first tunable changes slowest, the last fastest, each in its own order.
[[nodiscard]] inline result<setting> default_setting(const manifest& asked,
                                                     element type) {
  setting chosen;
  for (const tunable& each : asked.tune) {
    if (each.values.empty())
      return fault{reason::bad_input,
                   "the tunable `" + each.name + "` has no values"};
    chosen.emplace_back(each.name, each.values.front());
  }
  std::vector<std::size_t> at(asked.tune.size(), 0);
  bindings known = names_of(chosen, type);

  std::int64_t tried = 0;
  for (std::uint64_t searched = 0;
       tried < most_combinations && searched < most_searched_bytes; ++tried) {
    bool fits = true;
    for (const expression& constraint : asked.constraints) {
      searched += constraint.text().size();
      const auto holds = constraint.evaluate(known);
      if (!holds)
        return fault{reason::bad_input, "the constraint `" + constraint.text() +
                                            "` cannot be evaluated: " +
                                            holds.error().what};
      fits = holds.value() != 0;
      if (!fits) break;
    }
    if (fits) return chosen;

    std::size_t turn = at.size();  // the digit to advance, from the right
    while (turn > 0 && at[turn - 1] + 1 == asked.tune[turn - 1].values.size())
      --turn;
    if (turn == 0)
      return fault{reason::bad_input,
                   "no combination of the tunables satisfies the constraints"};
    ++at[turn - 1];
    std::fill(at.begin() + static_cast<std::ptrdiff_t>(turn), at.end(), 0);
    // Values of one tunable are of one kind, so each has its place.
    std::size_t numbers = 0, texts = 0;
    for (std::size_t i = 0; i < at.size(); ++i) {
      tuning_value& now = chosen[i].second;
      if (i >= turn - 1) now = asked.tune[i].values[at[i]];
      if (const auto* const text = std::get_if<std::string>(&now))
        known.texts[texts++].second = *text;
      else
        known[numbers++].second =
            static_cast<std::int64_t>(number_of(now).value_or(0));
    }
  }
  return fault{reason::bad_input,
               "none of the first " + std::to_string(tried) +
                   " combinations of the tunables satisfies the constraints"};
}

// ---- marks ----------------------------------------------------------------

[[nodiscard]] constexpr bool is_identifier(std::string_view text) noexcept {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  if (text.empty() || !letter(text.front())) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9');
  });
}

// The names between braces in `entry`, in order, repeats included.
[[nodiscard]] inline std::vector<std::string> marks_of(std::string_view entry) {
  std::vector<std::string> found;
  for (std::size_t at = 0; at < entry.size(); ++at) {
    if (entry[at] != '{') continue;
    const std::size_t end = entry.find('}', at);
    if (end == std::string_view::npos) break;
    const std::string_view inside = entry.substr(at + 1, end - at - 1);
    if (!is_identifier(inside)) continue;
    found.emplace_back(inside);
    at = end;
  }
  return found;
}

// `entry` with {T} and every {NAME} of the setting replaced, in one pass: what
// was put in is not looked at again. Other braces stay as they are.
[[nodiscard]] inline std::string filled_entry(std::string_view entry,
                                              const setting& chosen,
                                              element type) {
  std::string made;
  for (std::size_t at = 0; at < entry.size(); ++at) {
    if (entry[at] == '{') {
      const std::size_t end = entry.find('}', at);
      if (end != std::string_view::npos) {
        const std::string_view inside = entry.substr(at + 1, end - at - 1);
        const auto named =
            std::find_if(chosen.begin(), chosen.end(),
                         [&](const auto& each) { return each.first == inside; });
        if (inside == "T" || named != chosen.end()) {
          made += inside == "T" ? std::string(cuda_name(type))
                                : text_of(named->second);
          at = end;
          continue;
        }
      }
    }
    made += entry[at];
  }
  return made;
}

// ---- macros ---------------------------------------------------------------

// Where the leading comments, blank lines and #include lines of a source end:
// a byte offset, and the line that it is on, from 1.
struct source_place {
  std::size_t offset = 0;
  int line = 1;
};

// Line splices (a backslash before the line end) are honoured where they
// continue a comment or an #include; anything else ends the leading block.
[[nodiscard]] inline source_place after_includes(std::string_view source) {
  source_place kept;      // end of the last construct that belongs
  source_place at;
  const auto rest = [&] { return source.substr(at.offset); };
  const auto step = [&](std::size_t bytes) {
    for (std::size_t i = 0; i < bytes && at.offset < source.size(); ++i)
      if (source[at.offset++] == '\n') ++at.line;
  };
  // To the start of the next line, or to the end of the text.
  const auto step_line = [&] {
    for (bool spliced = true; spliced && at.offset < source.size();) {
      const std::size_t end = rest().find('\n');
      std::string_view line = rest().substr(0, end);
      if (line.ends_with('\r')) line.remove_suffix(1);
      spliced = line.ends_with('\\');
      step(end == std::string_view::npos ? rest().size() : end + 1);
    }
  };

  bool line_begins = true;  // only blanks and comments since the line's start
  while (at.offset < source.size()) {
    const char now = source[at.offset];
    if (now == '\n') {
      step(1);
      kept = at;
      line_begins = true;
    } else if (now == ' ' || now == '\t' || now == '\r' || now == '\f' ||
               now == '\v') {
      step(1);
    } else if (rest().starts_with("//")) {
      step_line();
      kept = at;
      line_begins = true;
    } else if (rest().starts_with("/*")) {
      const std::size_t end = rest().find("*/", 2);
      if (end == std::string_view::npos) return kept;  // will not compile
      step(end + 2);
      kept = at;
    } else if (now == '#' && line_begins) {
      std::string_view word = rest().substr(1);
      const std::size_t blanks = word.find_first_not_of(" \t");
      if (blanks == std::string_view::npos) return kept;
      word.remove_prefix(blanks);
      if (!word.starts_with("include")) return kept;
      // A comment that opens on the line may run over its end.
      const std::size_t end = rest().find('\n');
      const std::string_view line = rest().substr(0, end);
      const std::size_t opened = line.find("/*");
      if (opened != std::string_view::npos &&
          line.find("//") > opened &&
          line.find("*/", opened + 2) == std::string_view::npos) {
        step(opened);
        line_begins = false;
      } else {
        step_line();
        kept = at;
        line_begins = true;
      }
    } else {
      return kept;
    }
  }
  return kept;
}

// The source with a `#define` for every tunable that no entry names. The lines
// that follow keep their numbers.
[[nodiscard]] inline std::string with_macros(const candidate& asked,
                                             const setting& chosen) {
  std::vector<std::string> in_entries;
  for (const launch_text& each : asked.launch.launches)
    for (std::string& mark : marks_of(each.entry))
      in_entries.push_back(std::move(mark));

  std::string defines;
  for (const auto& [name, value] : chosen)
    if (is_identifier(name) &&
        std::find(in_entries.begin(), in_entries.end(), name) ==
            in_entries.end())
      defines += "#define " + name + " " + text_of(value) + "\n";
  if (defines.empty()) return asked.source;

  const source_place place = after_includes(asked.source);
  std::string made = asked.source.substr(0, place.offset);
  if (!made.empty() && made.back() != '\n') made += '\n';
  made += defines + "#line " + std::to_string(place.line) + "\n";
  made.append(asked.source, place.offset);
  return made;
}

[[nodiscard]] inline compile_request plan_compile(const candidate& asked,
                                                  const setting& chosen,
                                                  element type) {
  compile_request made;
  made.source = with_macros(asked, chosen);
  for (const launch_text& each : asked.launch.launches)
    made.entries.push_back(filled_entry(each.entry, chosen, type));
  return made;
}

}  // namespace skillbench
