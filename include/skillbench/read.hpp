#pragma once
// read.hpp: an excerpt's launch manifest, read and held against the contract.
//
// Layer   6. json_manifest.hpp reads the JSON, this header finds it and checks it.
// Found   The first comment whose first word is `skillbench` and that holds a
//         brace; // lines that follow each other are one comment. From the
//         first brace to the one that closes it is the manifest; other words in
//         the comment are left alone. Strings and literals are no comments.
// Checked Names: every argument is the task's or scratch, every name of an
//         expression an integer of the task, a tunable or sizeof_T, every mark
//         of an entry T or a tunable, and no name means two things. Some
//         setting satisfies the constraints. What expressions come to on a
//         case is check.hpp's to say.
// Lines   of the source, from 1.
// Refused bad_manifest, everything that is wrong with it, as far as it can be
//         read. A tunable that nothing uses is a note.
// Source  kernels/contract.md.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/candidate.hpp>
#include <skillbench/compile.hpp>
#include <skillbench/family.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/json_manifest.hpp>
#include <skillbench/manifest.hpp>
#include <skillbench/units.hpp>

namespace skillbench {

struct read_result {
  std::optional<candidate> found;
  std::vector<finding> refused;  // why there is none
};

namespace read_detail {

// A comment's place: [begin, end) of the source, its marks included.
struct comment {
  std::size_t begin = 0, end = 0;
  bool lines = false;  // a run of //
};

inline bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '_';
}

// Where the line that holds `at` ends, its line end left out.
inline std::size_t line_end(std::string_view source, std::size_t at) {
  const std::size_t end = source.find('\n', at);
  return end == source.npos ? source.size() : end;
}

// The end of a string or character literal whose quote stands at `at`; an
// unclosed one ends with its line.
inline std::size_t after_literal(std::string_view source, std::size_t at) {
  const char quote = source[at];
  const bool raw =
      quote == '"' && at > 0 && source[at - 1] == 'R' &&
      (at < 2 || !is_word(source[at - 2]) ||
       std::string_view("LuU8").find(source[at - 2]) != std::string_view::npos);
  if (raw) {
    constexpr std::size_t most_delimiter = 16;
    const std::size_t open = source.find('(', at);
    if (open != source.npos && open - at - 1 <= most_delimiter) {
      const std::string close =
          ")" + std::string(source.substr(at + 1, open - at - 1)) + "\"";
      const std::size_t end = source.find(close, open);
      return end == source.npos ? source.size() : end + close.size();
    }
  }
  for (++at; at < source.size() && source[at] != '\n'; ++at) {
    if (source[at] == '\\' && at + 1 < source.size())
      ++at;
    else if (source[at] == quote)
      return at + 1;
  }
  return at;
}

// The next comment from `at` on; a // comment is told without the lines after.
inline std::optional<comment> next_comment(std::string_view source,
                                           std::size_t at) {
  while (at < source.size()) {
    const char now = source[at];
    if (now == '/' && source.substr(at).starts_with("//"))
      return comment{at, line_end(source, at), true};
    if (now == '/' && source.substr(at).starts_with("/*")) {
      const std::size_t end = source.find("*/", at + 2);
      return comment{at, end == source.npos ? source.size() : end + 2, false};
    }
    // 1'000 has no character literal in it, u8'x' has.
    const bool separates = now == '\'' && at > 0 && at + 1 < source.size() &&
                           is_word(source[at - 1]) && is_word(source[at + 1]) &&
                           !(at + 2 < source.size() && source[at + 2] == '\'');
    at = (now == '"' || (now == '\'' && !separates)) ? after_literal(source, at)
                                                     : at + 1;
  }
  return std::nullopt;
}

// True if the first word behind the comment's marks is `skillbench`.
inline bool is_manifest(std::string_view source, const comment& it) {
  constexpr std::string_view word = "skillbench";
  std::string_view text = source.substr(it.begin + 2, it.end - it.begin - 2);
  const std::size_t first = text.find_first_not_of("/*!< \t\n");
  if (first == text.npos) return false;
  text.remove_prefix(first);
  return text.starts_with(word) &&
         (text.size() == word.size() || !is_word(text[word.size()]));
}

// `it` and the // lines right below it.
inline comment whole_run(std::string_view source, comment it) {
  while (it.lines && it.end < source.size()) {
    const std::size_t next = source.find_first_not_of(" \t", it.end + 1);
    if (next == source.npos || !source.substr(next).starts_with("//")) break;
    it.end = line_end(source, next);
  }
  return it;
}

// The comment's text at its own place in an otherwise blank source, so that
// the JSON reader's lines and columns are the source's. Without the marks: the
// comment's own, and a // or * that starts a line.
inline std::string masked(std::string_view source, const comment& it) {
  std::string made(source.substr(0, it.end));
  for (std::size_t i = 0; i < it.begin; ++i)
    if (made[i] != '\n') made[i] = ' ';
  made[it.begin] = made[it.begin + 1] = ' ';
  if (!it.lines && made.ends_with("*/")) made.resize(made.size() - 2);

  const char mark = it.lines ? '/' : '*';
  for (std::size_t at = it.begin; at < made.size();
       at = line_end(made, at) + 1) {
    std::size_t i = made.find_first_not_of(" \t", at);
    while (i < made.size() && made[i] == mark) made[i++] = ' ';
  }
  return made;
}

// Cuts what stands before the first brace and after the one that closes it.
inline void cut_to_object(std::string& text) {
  const std::size_t open = text.find('{');
  if (open == text.npos) return;
  for (std::size_t i = 0; i < open; ++i)
    if (text[i] != '\n') text[i] = ' ';
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = open; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\')
        ++i;
      else if (c == '"' || c == '\n')
        quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      text.resize(i + 1);
    }
  }
}

// Collects what is wrong with a manifest.
class judge {
 public:
  judge(const manifest& read, const family& asked, int line)
      : read_(read), asked_(asked), line_(line) {}

  void refuse(std::string what) {
    constexpr std::size_t most = 16;
    if (refused.size() >= most) return;
    finding made;
    made.kind = code::bad_manifest;
    made.what = std::move(what);
    made.line = line_;
    refused.push_back(std::move(made));
  }

  [[nodiscard]] const argument* task_argument(std::string_view name) const {
    for (const argument& one : asked_.arguments)
      if (one.name == name) return &one;
    return nullptr;
  }
  [[nodiscard]] bool is_tunable(std::string_view name) const {
    return std::any_of(read_.tune.begin(), read_.tune.end(),
                       [&](const tunable& one) { return one.name == name; });
  }
  [[nodiscard]] bool is_scratch(std::string_view name) const {
    return std::any_of(read_.scratch.begin(), read_.scratch.end(),
                       [&](const auto& one) { return one.first == name; });
  }

  [[nodiscard]] bool is_tensor_map(std::string_view name) const {
    return std::any_of(
        read_.tensor_maps.begin(), read_.tensor_maps.end(),
        [&](const tensor_map_text& one) { return one.name == name; });
  }

  // No name means two things.
  void check_names() {
    const auto check = [&](const std::string& name, const std::string& what) {
      if (name == "T" || name == "sizeof_T")
        refuse(what + " is named `" + name +
               "`, which stands for the element "
               "type");
      else if (task_argument(name) != nullptr)
        refuse(what + " is named `" + name + "` like an argument of the task");
    };
    for (const tunable& one : read_.tune) check(one.name, "a tunable");
    for (const auto& [name, bytes] : read_.scratch) {
      check(name, "scratch memory");
      if (is_tunable(name))
        refuse("`" + name + "` is both a tunable and scratch memory");
    }
    for (const tensor_map_text& one : read_.tensor_maps) {
      check(one.name, "a tensor map");
      if (is_tunable(one.name) || is_scratch(one.name))
        refuse("`" + one.name + "` is a tensor map and something else");
    }
  }

  // `integers`: the expression may name the task's integers.
  void check_expression(const expression& it, const std::string& where,
                        bool integers) {
    for (const std::string& name : it.names()) {
      const argument* const one = task_argument(name);
      const bool whole = one != nullptr && one->kind == argument::type::integer;
      if (is_tunable(name) || name == "sizeof_T" || (whole && integers))
        continue;
      std::string why = "which is no tunable and no integer of the task";
      if (whole)
        why = "an integer of the task; constraints are about the tunables";
      else if (one != nullptr)
        why = "an argument of the task that is no integer";
      else if (is_scratch(name))
        why = "which is scratch memory";
      refuse(where + " `" + it.text() + "` names `" + name + "`, " + why);
    }
  }

  void check_entry(const std::string& entry, const std::string& where) {
    for (std::size_t at = entry.find('{'); at != entry.npos;
         at = entry.find('{', at + 1)) {
      const std::size_t end = entry.find('}', at);
      if (end == entry.npos) {
        refuse(where + "entry `" + entry + "` has a `{` without a `}`");
        return;
      }
      const std::string mark = entry.substr(at + 1, end - at - 1);
      if (mark != "T" && !is_tunable(mark))
        refuse(where + "entry `" + entry + "` has the mark `{" + mark +
               "}`, which is neither {T} nor a tunable");
    }
  }

  void check_launch(const launch_text& it, const std::string& where) {
    check_entry(it.entry, where);
    for (const std::string& name : it.args)
      if (task_argument(name) == nullptr && !is_scratch(name) &&
          !is_tensor_map(name)) {
        std::string known;
        for (const argument& one : asked_.arguments)
          known += (known.empty() ? "" : ", ") + one.name;
        refuse(where + "args names `" + name + "`, which is " +
               (is_tunable(name) ? "a tunable, no argument"
                                 : "no argument of the task") +
               "; there are " + known +
               (read_.scratch.empty() ? "" : " and the scratch memory"));
      }
    for (const expression& one : it.grid)
      check_expression(one, where + "grid", true);
    for (const expression& one : it.block)
      check_expression(one, where + "block", true);
    check_expression(it.shared_bytes, where + "shared_bytes", true);
    for (const expression& one : it.cluster)
      check_expression(one, where + "cluster", true);
  }

  void check_tensor_map(const tensor_map_text& it) {
    const argument* const of = task_argument(it.tensor);
    if (of == nullptr || (of->kind != argument::type::input &&
                          of->kind != argument::type::output))
      refuse("the tensor map `" + it.name + "` is of `" + it.tensor +
             "`, which is no tensor of the task");
    for (const auto* const list :
         {&it.extents, &it.strides, &it.box, &it.element_strides})
      for (const expression& one : *list)
        check_expression(one, "tensor map " + it.name, true);
  }

  // One evaluation takes about as many steps as the text has bytes; the search
  // for a setting may take this many.
  void check_constraints() {
    for (const element type : all_elements) {
      const auto chosen = default_setting(read_, type);
      if (chosen) continue;
      refuse(chosen.error().what + ", with sizeof_T " +
             std::to_string(size_of(type)));
      return;
    }
  }

  void check() {
    check_names();
    for (std::size_t i = 0; i < read_.launches.size(); ++i)
      check_launch(read_.launches[i],
                   read_.launches.size() == 1
                       ? std::string()
                       : "launch " + std::to_string(i + 1) + ": ");
    for (const auto& [name, bytes] : read_.scratch)
      check_expression(bytes, "scratch", true);
    for (const tensor_map_text& one : read_.tensor_maps) check_tensor_map(one);
    for (const expression& one : read_.require)
      check_expression(one, "require", true);
    for (const expression& one : read_.constraints)
      check_expression(one, "constraints", false);
    if (refused.empty()) check_constraints();
  }

  // Tunables that neither an expression, an entry nor the source uses.
  [[nodiscard]] std::vector<std::string> unused(std::string_view source) const {
    std::vector<std::string> names;
    const auto add = [&](const expression& it) {
      for (std::string& name : it.names()) names.push_back(std::move(name));
    };
    for (const launch_text& one : read_.launches) {
      for (std::string& mark : marks_of(one.entry))
        names.push_back(std::move(mark));
      for (const expression& it : one.grid) add(it);
      for (const expression& it : one.block) add(it);
      add(one.shared_bytes);
      for (const expression& it : one.cluster) add(it);
    }
    for (const tensor_map_text& one : read_.tensor_maps)
      for (const auto* const list :
           {&one.extents, &one.strides, &one.box, &one.element_strides})
        for (const expression& it : *list) add(it);
    for (const auto& [name, bytes] : read_.scratch) add(bytes);

    std::vector<std::string> found;
    for (const tunable& one : read_.tune) {
      bool used =
          std::find(names.begin(), names.end(), one.name) != names.end();
      for (std::size_t at = source.find(one.name); !used && at != source.npos;
           at = source.find(one.name, at + 1)) {
        const std::size_t end = at + one.name.size();
        used = (at == 0 || !is_word(source[at - 1])) &&
               (end == source.size() || !is_word(source[end]));
      }
      if (!used) found.push_back(one.name);
    }
    return found;
  }

  std::vector<finding> refused;

 private:
  const manifest& read_;
  const family& asked_;
  int line_;
};

}  // namespace read_detail

// `known` are all families, to tell a wrong task from a wrong name; `asked` is
// the one that the sample's task names.
[[nodiscard]] inline read_result read_candidate(const excerpt& from,
                                                std::span<const family> known,
                                                const family& asked) {
  const std::string_view source = from.source;
  const auto refused = [](std::string what, std::optional<int> line) {
    read_result made;
    finding& why = made.refused.emplace_back();
    why.kind = code::bad_manifest;
    why.what = std::move(what);
    why.line = line;
    return made;
  };
  const auto line_of = [&](std::size_t offset) {
    return json_text::place_of(source, offset).line;
  };

  std::optional<read_detail::comment> place;
  std::optional<int> empty_line;  // of a comment without a brace
  std::string json;
  for (auto at = read_detail::next_comment(source, 0); at;
       at = read_detail::next_comment(source, at->end)) {
    if (!read_detail::is_manifest(source, *at)) continue;
    const auto whole = read_detail::whole_run(source, *at);
    if (source.substr(whole.begin, whole.end - whole.begin).find('{') !=
        source.npos) {
      place = whole;
      json = read_detail::masked(source, whole);
      read_detail::cut_to_object(json);
      break;
    }
    if (!empty_line) empty_line = line_of(whole.begin);
    at->end = whole.end;
  }
  if (!place && empty_line)
    return refused(
        "the comment that starts with `skillbench` holds no JSON "
        "object",
        empty_line);
  if (!place)
    return refused(
        "no launch manifest: the source has no comment that starts "
        "with the word `skillbench`",
        std::nullopt);
  const int first_line = line_of(place->begin);

  text_place where;
  auto read = read_manifest(json, &where);
  if (!read)
    return refused("the launch manifest cannot be read: " + read.error().what,
                   where.line > 0 ? where.line : first_line);
  manifest& launch = read.value();

  if (launch.family != asked.name) {
    const bool other = std::any_of(
        known.begin(), known.end(),
        [&](const family& one) { return one.name == launch.family; });
    return refused("the launch manifest is for the family " +
                       json_text::shown(launch.family) +
                       (other ? "" : ", which does not exist") +
                       "; the task is " + json_text::shown(asked.name),
                   first_line);
  }
  read_detail::judge judged(launch, asked, first_line);
  judged.check();
  if (!judged.refused.empty()) return {std::nullopt, std::move(judged.refused)};

  candidate made;
  made.source = from.source;
  made.first_line = from.first_line;
  made.notes = from.notes;
  std::string rest(source);
  for (std::size_t i = place->begin; i < place->end; ++i) rest[i] = ' ';
  for (const std::string& name : judged.unused(rest)) {
    finding& told = made.notes.emplace_back();
    told.kind = code::bad_manifest;
    told.weight = severity::note;
    told.what = "nothing uses the tunable `" + name + "`";
    told.line = first_line;
  }
  made.launch = std::move(launch);
  return {std::move(made), {}};
}

}  // namespace skillbench
