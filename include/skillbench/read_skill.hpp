#pragma once
// read_skill.hpp: a folder with a SKILL.md to a skill, and every flaw of both.
//
// Layer   6. yaml_text.hpp reads the front matter, skill.hpp has the rules.
// Errors  What is wrong with a skill is a flaw, and all are told at once; a
//         fault is a folder that is not there or cannot be read. A front matter
//         that is no YAML is read line by line as well, so that the other rules
//         can be checked.
// Trust   Nothing outside the folder is read: no link that leads out is
//         followed. Pipes and devices are never opened. SKILL.md is read up to
//         1 MB, its front matter up to 64 KB.

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include <skillbench/extract.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/samples.hpp>
#include <skillbench/skill.hpp>
#include <skillbench/utf8.hpp>
#include <skillbench/yaml_text.hpp>

namespace skillbench {

namespace skills {

namespace fs = std::filesystem;
using json_text::shown;

inline void tell(checked_skill& made, skill_rule rule, int line, int column,
                 std::string what) {
  if (made.flaws.size() < most_flaws)
    made.flaws.push_back({rule, line, column, std::move(what)});
}

// ---- bytes ------------------------------------------------------------------

// Text that the rest can read; what is wrong with its bytes is told once each.
inline std::string mended(std::string_view raw, checked_skill& made) {
  if (raw.starts_with("\xef\xbb\xbf")) {
    raw.remove_prefix(3);
    tell(made, skill_rule::byte_order_mark, 1, 1,
         "a byte order mark stands before the first line");
  }
  std::string text = cut::with_lf(raw);
  int line = 1, column = 1;
  struct seen {
    std::size_t count = 0;
    int line = 0, column = 0;
  } nul, broken, control;
  const auto see = [&](seen& what) {
    if (what.count++ == 0) what = {1, line, column};
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length =
        utf8_length(std::string_view(text).substr(at, 4));
    if (length == 0) {
      see(broken);
      text[at] = '?';
    } else if (text[at] == '\0') {
      see(nul);
      text[at] = ' ';
    } else if (length > 1 &&
               is_bidi_control(std::string_view(text).substr(at, length))) {
      see(control);
    }
    const bool ends = text[at] == '\n';
    at += std::max<std::size_t>(length, 1);
    column = ends ? 1 : column + static_cast<int>(std::max<std::size_t>(length, 1));
    line += ends ? 1 : 0;
  }
  const auto times = [](std::size_t count) {
    return count == 1 ? std::string() : ", " + std::to_string(count) + " times";
  };
  if (nul.count > 0)
    tell(made, skill_rule::bad_text, nul.line, nul.column,
         "there is a NUL byte" + times(nul.count));
  if (broken.count > 0)
    tell(made, skill_rule::bad_text, broken.line, broken.column,
         "there are bytes that are no UTF-8" + times(broken.count));
  if (control.count > 0)
    tell(made, skill_rule::bidi_control, control.line, control.column,
         "there are characters that change the reading order" +
             times(control.count) +
             ": what a reader sees is not what a model reads");
  return text;
}

// ---- front matter -----------------------------------------------------------

inline bool is_rule_line(std::string_view line) {
  return line.starts_with("---") &&
         line.find_first_not_of(" \t", 3) == line.npos;
}

struct parts {
  std::string_view yaml, body;
  int yaml_line = 2, body_line = 1;
  bool open = false;  // the front matter has no end, so where the body starts
                      // is not known
};

// Front matter and body, as the lines "---" part them.
inline parts parts_of(std::string_view text, checked_skill& made) {
  parts cut_up;
  const std::size_t first_end = std::min(text.find('\n'), text.size());
  if (!is_rule_line(text.substr(0, first_end))) {
    tell(made, skill_rule::front_matter_missing, 1, 1,
         "the first line is not ---, so there is no front matter with a name "
         "and a description");
    cut_up.body = text;
    return cut_up;
  }
  const std::size_t start = std::min(first_end + 1, text.size());
  int line = 2;
  std::size_t blank = text.npos;  // where an open front matter is cut
  for (std::size_t at = start; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view here = text.substr(at, end - at);
    if (is_rule_line(here)) {
      cut_up.yaml = text.substr(start, at - start);
      cut_up.body = text.substr(std::min(end + 1, text.size()));
      cut_up.body_line = line + 1;
      return cut_up;
    }
    if (blank == text.npos && here.find_first_not_of(" \t") == here.npos)
      blank = at;
    at = end + 1;
  }
  tell(made, skill_rule::front_matter_open, 1, 1,
       "the front matter that starts here is not ended by a line ---");
  cut_up.yaml = text.substr(start, std::min(blank, text.size()) - start);
  cut_up.body_line = line;
  cut_up.open = true;
  return cut_up;
}

// `key: words` lines as a map, for a front matter that is no YAML: what stands
// behind the first colon, and the indented lines after it.
inline yaml_text::value read_lines(std::string_view yaml, int first_line) {
  yaml_text::value made;
  made.kind = yaml_text::type::map;
  made.line = first_line;
  made.column = 1;
  int number = first_line;
  for (; !yaml.empty(); ++number) {
    const std::size_t end = std::min(yaml.find('\n'), yaml.size());
    std::string_view line = yaml.substr(0, end);
    yaml.remove_prefix(std::min(end + 1, yaml.size()));
    while (line.ends_with(' ') || line.ends_with('\t')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    if (line.front() == ' ' || line.front() == '\t') {
      if (made.items.empty()) continue;
      std::string& into = made.items.back().text;
      line.remove_prefix(line.find_first_not_of(" \t"));
      into += (into.empty() ? "" : " ") + std::string(line);
      continue;
    }
    const std::size_t colon = line.find(':');
    if (colon == line.npos || colon == 0) continue;
    yaml_text::value one;
    one.kind = yaml_text::type::text;
    one.key = line.substr(0, colon);
    one.line = one.key_line = number;
    one.key_column = 1;
    const std::size_t start =
        std::min(line.find_first_not_of(" \t", colon + 1), line.size());
    one.column = static_cast<int>(start) + 1;
    line.remove_prefix(start);
    if (line.size() >= 2 && line.front() == line.back() &&
        (line.front() == '"' || line.front() == '\'')) {
      line.remove_prefix(1);
      line.remove_suffix(1);
    } else if (!line.empty() && (line.front() == '>' || line.front() == '|')) {
      line = {};
    }
    one.text = line;
    if (made.find(one.key) == nullptr) made.items.push_back(std::move(one));
  }
  return made;
}

inline void tell(checked_skill& made, const yaml_text::trouble& odd) {
  using yaml_text::oddity;
  const auto say = [&](skill_rule rule, const std::string& what) {
    tell(made, rule, odd.line, odd.column, what);
  };
  switch (odd.kind) {
    case oddity::syntax:
      return say(skill_rule::yaml_syntax,
                 "the front matter is no YAML: " + odd.what +
                     "; words with a colon, a # or a quote belong in quotes");
    case oddity::alias: return say(skill_rule::yaml_alias, odd.what);
    case oddity::anchor: return say(skill_rule::yaml_anchor, odd.what);
    case oddity::tag: return say(skill_rule::yaml_tag, odd.what);
    case oddity::flow:
      return say(skill_rule::yaml_flow,
                 odd.what + "; the reference validator refuses that");
    case oddity::duplicate:
      return say(skill_rule::duplicate_key,
                 "the key " + shown(odd.what) + " stands here twice");
    case oddity::odd_key: return say(skill_rule::wrong_type, odd.what);
    case oddity::too_large: return say(skill_rule::too_large, odd.what);
  }
}

// Tabs where YAML wants blanks; no parser says so in words.
inline void find_tabs(std::string_view yaml, int first_line,
                      checked_skill& made) {
  for (int number = first_line; !yaml.empty(); ++number) {
    const std::size_t end = std::min(yaml.find('\n'), yaml.size());
    const std::string_view line = yaml.substr(0, end);
    if (line.starts_with('\t') && line.find_first_not_of(" \t") != line.npos)
      tell(made, skill_rule::yaml_tab, number, 1,
           "a tab stands where YAML wants blanks");
    yaml.remove_prefix(std::min(end + 1, yaml.size()));
  }
}

// ---- fields -----------------------------------------------------------------

class fields {
 public:
  fields(checked_skill& made, const yaml_text::value& root,
         std::string_view folder)
      : made_(made), root_(root), folder_(folder) {}

  void check() {
    if (root_.kind != yaml_text::type::map) {
      flaw(skill_rule::wrong_type, root_,
           "the front matter holds no keys with values");
    } else {
      for (const yaml_text::value& one : root_.items) check_key(one);
    }
    check_name();
    check_description();
    read("license", made_.read.license);
    if (const auto* const it = read("compatibility", made_.read.compatibility))
      check_compatibility(*it);
    check_metadata();
    check_tools();
  }

 private:
  void flaw(skill_rule rule, const yaml_text::value& at, std::string what) {
    tell(made_, rule, at.line, at.column, std::move(what));
  }

  void check_key(const yaml_text::value& one) {
    static constexpr std::string_view known[] = {
        "name",     "description",   "license", "compatibility",
        "metadata", "allowed-tools"};
    if (std::find(std::begin(known), std::end(known), one.key) !=
        std::end(known))
      return;
    tell(made_, skill_rule::unknown_key, one.key_line, one.key_column,
         "the specification has no key " + shown(one.key) +
             "; what it does not know belongs under metadata");
  }

  // The text of a value that should be one.
  bool read_text(const yaml_text::value& it, const std::string& what,
                 std::string& into) {
    if (it.kind == yaml_text::type::list || it.kind == yaml_text::type::map) {
      flaw(skill_rule::wrong_type, it,
           what + " is a " +
               (it.kind == yaml_text::type::list ? "list" : "map") +
               "; expected text");
      return false;
    }
    into = it.text;
    if (it.plain && !it.text.empty() && yaml_text::is_no_text(it.text))
      flaw(skill_rule::not_quoted, it,
           what + " is text, but YAML reads " + shown(it.text) +
               " as something else; it belongs in quotes");
    return true;
  }
  const yaml_text::value* read(std::string_view key, std::string& into) {
    const yaml_text::value* const it = root_.find(key);
    if (it == nullptr || !read_text(*it, std::string(key), into))
      return nullptr;
    return it;
  }

  static bool is_blank(std::string_view text) {
    return text.find_first_not_of(" \t\n") == text.npos;
  }

  void check_name() {
    std::string& name = made_.read.name;
    const yaml_text::value* const it = root_.find("name");
    if (it == nullptr)
      return tell(made_, skill_rule::name_missing, 1, 1,
                  "the front matter has no name");
    if (!read_text(*it, "the name", name)) return;
    if (is_blank(name))
      return flaw(skill_rule::name_missing, *it, "the name is empty");
    for (const std::string& what : flaws_of_name(name))
      flaw(skill_rule::name_form, *it, "the name " + shown(name) + " " + what);
    if (!folder_.empty() && name != folder_)
      flaw(skill_rule::name_not_folder, *it,
           "the name " + shown(name) + " is not that of the folder, " +
               shown(folder_));
  }

  void check_description() {
    std::string& words = made_.read.description;
    const yaml_text::value* const it = root_.find("description");
    if (it == nullptr)
      return tell(made_, skill_rule::description_missing, 1, 1,
                  "the front matter has no description");
    if (!read_text(*it, "the description", words)) return;
    if (is_blank(words))
      return flaw(skill_rule::description_missing, *it,
                  "the description is empty");
    const std::size_t length = utf8_characters(words);
    if (length > most_description_characters)
      flaw(skill_rule::description_long, *it,
           "the description has " + std::to_string(length) +
               " characters; at most 1024 are allowed");
  }

  void check_compatibility(const yaml_text::value& it) {
    const std::size_t length = utf8_characters(made_.read.compatibility);
    if (length > most_compatibility_characters)
      flaw(skill_rule::compatibility_length, it,
           "compatibility has " + std::to_string(length) +
               " characters; at most 500 are allowed");
    else if (is_blank(made_.read.compatibility))
      flaw(skill_rule::compatibility_length, it,
           "compatibility is empty; leave it out where there is nothing to say");
  }

  void check_metadata() {
    const yaml_text::value* const it = root_.find("metadata");
    if (it == nullptr) return;
    if (it->kind != yaml_text::type::map)
      return flaw(skill_rule::wrong_type, *it,
                  "metadata is no map of names to texts");
    for (const yaml_text::value& one : it->items) {
      std::string text;
      if (read_text(one, "metadata " + shown(one.key), text))
        made_.read.metadata.emplace_back(one.key, std::move(text));
    }
  }

  void check_tools() {
    const yaml_text::value* const it = root_.find("allowed-tools");
    if (it == nullptr) return;
    std::string& tools = made_.read.allowed_tools;
    if (it->kind == yaml_text::type::list) {
      flaw(skill_rule::wrong_type, *it,
           "allowed-tools is a list; expected one text, names with blanks "
           "between them");
      for (const yaml_text::value& one : it->items)
        tools += (tools.empty() ? "" : " ") + one.text;
      return;
    }
    if (!read_text(*it, "allowed-tools", tools)) return;
    int open = 0;
    for (const char c : tools) {
      open += c == '(' ? 1 : c == ')' ? -1 : 0;
      if (c != ',' || open > 0) continue;
      return flaw(skill_rule::allowed_tools_form, *it,
                  "allowed-tools has commas; names stand with blanks between "
                  "them");
    }
  }

  checked_skill& made_;
  const yaml_text::value& root_;
  std::string_view folder_;
};

inline void check_body(checked_skill& made, bool open) {
  skill& it = made.read;
  it.body_lines = static_cast<std::size_t>(
      std::count(it.body.begin(), it.body.end(), '\n') +
      (it.body.empty() || it.body.ends_with('\n') ? 0 : 1));
  it.body_tokens = estimated_tokens(it.body);
  it.description_tokens =
      estimated_tokens(it.name) + estimated_tokens(it.description);
  if (!open && it.body.find_first_not_of(" \t\n") == it.body.npos)
    tell(made, skill_rule::body_empty, it.body_line, 1,
         "there are no instructions after the front matter");
  if (it.body_lines > advised_body_lines)
    tell(made, skill_rule::body_long,
         it.body_line + static_cast<int>(advised_body_lines), 1,
         "the instructions have " + std::to_string(it.body_lines) +
             " lines; at most 500 are advised, the rest in files of their own");
  if (it.body_tokens > advised_body_tokens)
    tell(made, skill_rule::body_long, it.body_line, 1,
         "the instructions have about " + std::to_string(it.body_tokens) +
             " tokens (an estimate); fewer than 5000 are advised");
}

// By line; what has none comes last.
inline void sort(checked_skill& made) {
  const auto place = [](const skill_flaw& one) {
    constexpr int last = std::numeric_limits<int>::max();
    return std::tuple(one.line == 0 ? last : one.line, one.column);
  };
  std::stable_sort(made.flaws.begin(), made.flaws.end(),
                   [&](const skill_flaw& a, const skill_flaw& b) {
                     return place(a) < place(b);
                   });
}

}  // namespace skills

// The text of a SKILL.md; `folder` is its folder's name, "" when there is none.
// The files that it refers to are not looked for.
[[nodiscard]] inline checked_skill parse_skill(std::string_view raw,
                                               std::string_view folder) {
  using namespace skills;
  checked_skill made;
  if (raw.size() > most_skill_bytes) {
    tell(made, skill_rule::too_large, 1, 1,
         "SKILL.md has more than " + std::to_string(most_skill_bytes) +
             " bytes and was not read");
    return made;
  }
  const std::string text = mended(raw, made);
  const parts all = parts_of(text, made);
  made.read.body = all.body;
  made.read.body_line = all.body_line;
  if (all.yaml.size() > most_front_matter_bytes) {
    tell(made, skill_rule::too_large, 2, 1,
         "the front matter has " + std::to_string(all.yaml.size()) +
             " bytes and was not read; at most " +
             std::to_string(most_front_matter_bytes) + " are allowed");
  } else if (all.yaml.data() != nullptr) {
    find_tabs(all.yaml, all.yaml_line, made);
    yaml_text::document front = yaml_text::read(all.yaml, all.yaml_line);
    bool whole = true;
    for (const yaml_text::trouble& odd : front.troubles) {
      tell(made, odd);
      whole = whole && odd.kind != yaml_text::oddity::syntax;
    }
    if (!whole) front.root = read_lines(all.yaml, all.yaml_line);
    fields(made, front.root, folder).check();
  }
  check_body(made, all.open);
  sort(made);
  return made;
}

namespace skills {

// SKILL.md of a folder, or skill.md; "" when there is neither.
inline std::string file_of(const fs::path& folder) {
  std::error_code wrong;
  for (const char* const name : {"SKILL.md", "skill.md"})
    if (fs::symlink_status(folder / name, wrong).type() !=
            fs::file_type::not_found &&
        !wrong)
      return name;
  return "";
}

// Every file below the folder: how many, how large, and those that are no files.
inline void walk(const fs::path& folder, checked_skill& made) {
  std::vector<std::pair<std::string, skill_flaw>> found;
  const auto say = [&](skill_rule rule, const fs::path& at,
                       const std::string& what) {
    const std::string name = at.lexically_relative(folder).string();
    found.push_back({name, {rule, 0, 0, name + " " + what}});
  };
  std::error_code wrong;
  fs::recursive_directory_iterator at(
      folder, fs::directory_options::skip_permission_denied, wrong);
  for (; !wrong && at != fs::recursive_directory_iterator();
       at.increment(wrong)) {
    std::error_code unknown;
    const fs::path& path = at->path();
    const fs::file_status is = at->symlink_status(unknown);
    if (is.type() == fs::file_type::directory) {
      if (path.filename() == ".git") at.disable_recursion_pending();
      continue;
    }
    if (is.type() == fs::file_type::symlink) {
      if (!gathering::lies_in(path, folder))
        say(skill_rule::link_outside, path,
            "is a link that leads out of the skill or nowhere");
    } else if (is.type() != fs::file_type::regular) {
      say(skill_rule::odd_file, path, "is neither a file nor a folder");
    } else {
      const auto size = at->file_size(unknown);
      if (!unknown) made.read.bytes += static_cast<std::size_t>(size);
    }
    if (++made.read.files == most_skill_files) {
      found.push_back(
          {"",
           {skill_rule::too_large, 0, 0,
            "the folder holds more than " + std::to_string(most_skill_files) +
                " files; the rest was not looked at"}});
      break;
    }
  }
  if (wrong)
    found.push_back({"",
                     {skill_rule::odd_file, 0, 0,
                      "the folder cannot be read: " + wrong.message()}});
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.first < b.first;
  });
  for (auto& [name, flaw] : found)
    if (made.flaws.size() < most_flaws) made.flaws.push_back(std::move(flaw));
}

inline void check_references(const fs::path& folder, checked_skill& made) {
  for (const skill_reference& one :
       references_of(made.read.body, made.read.body_line)) {
    const auto say = [&](skill_rule rule, const std::string& what) {
      tell(made, rule, one.line, one.column, shown(one.path) + " " + what);
    };
    if (one.path.find('\0') != std::string::npos) {
      say(skill_rule::file_missing, "names no file");
      continue;
    }
    const fs::path given(one.path);
    const fs::path plain = given.lexically_normal();
    if (given.is_absolute() || one.path.starts_with("~") ||
        (!plain.empty() && *plain.begin() == "..")) {
      say(skill_rule::file_outside, "lies outside the skill's folder");
      continue;
    }
    std::error_code wrong;
    const fs::file_status is = fs::status(folder / plain, wrong);
    if (is.type() == fs::file_type::not_found ||
        is.type() == fs::file_type::none)
      say(one.linked ? skill_rule::file_missing : skill_rule::path_missing,
          "is not in the skill's folder");
    else if (!gathering::lies_in(folder / plain, folder))
      say(skill_rule::file_outside, "leads out of the skill's folder");
  }
}

}  // namespace skills

// The skill in a folder.
[[nodiscard]] inline result<checked_skill> check_skill(
    const std::string& path) {
  using namespace skills;
  std::error_code wrong;
  const fs::path folder(path.empty() ? "." : path);
  const fs::file_status is = fs::status(folder, wrong);
  if (is.type() == fs::file_type::not_found)
    return fault{reason::not_found, path + ": there is no such folder"};
  if (is.type() != fs::file_type::directory)
    return fault{reason::bad_input, path + ": is no folder"};
  if (const fs::directory_iterator all(folder, wrong); wrong)
    return fault{wrong == std::errc::permission_denied ? reason::no_permission
                                                       : reason::io,
                 path + ": cannot be read: " + wrong.message()};

  const std::string file = file_of(folder);
  const fs::path at = folder / file;
  checked_skill made;
  if (file.empty()) {
    made.path = path;
    tell(made, skill_rule::skill_md_missing, 0, 0,
         "there is no SKILL.md in the folder");
    return made;
  }
  if (!gathering::lies_in(at, folder)) {
    // walk() tells it; it is not read.
  } else if (fs::status(at, wrong).type() != fs::file_type::regular) {
    tell(made, skill_rule::skill_md_missing, 0, 0,
         file + " is neither a file nor a folder's own link to one");
  } else {
    const auto text = gathering::read_text(at);
    if (!text) return text.error();
    fs::path whole = fs::absolute(folder, wrong).lexically_normal();
    if (whole.filename().empty()) whole = whole.parent_path();
    made = parse_skill(text.value(), whole.filename().string());
    if (file != "SKILL.md")
      tell(made, skill_rule::skill_md_name, 0, 0,
           "the file is called " + file + "; the specification says SKILL.md");
    check_references(folder, made);
  }
  made.path = at.string();
  walk(folder, made);
  sort(made);
  return made;
}

// The skills that a path stands for: the folder of a SKILL.md, a folder that has
// one, or every folder in it that does.
[[nodiscard]] inline std::vector<std::string> skill_folders(
    const std::string& path) {
  using namespace skills;
  std::error_code wrong;
  const fs::path given(path);
  if (fs::is_regular_file(given, wrong) &&
      (given.filename() == "SKILL.md" || given.filename() == "skill.md"))
    return {given.has_parent_path() ? given.parent_path().string() : "."};
  if (!fs::is_directory(given, wrong) || !file_of(given).empty()) return {path};
  std::vector<std::string> inner;
  for (fs::directory_iterator at(given, wrong);
       !wrong && at != fs::directory_iterator(); at.increment(wrong)) {
    std::error_code unknown;
    if (at->is_directory(unknown) && !file_of(at->path()).empty())
      inner.push_back(at->path().string());
  }
  std::sort(inner.begin(), inner.end());
  if (inner.empty()) return {path};
  return inner;
}

}  // namespace skillbench
