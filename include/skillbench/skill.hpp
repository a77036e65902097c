#pragma once
// skill.hpp: an agent skill, the rules it keeps or breaks, and its size.
//
// Layer   1. Values and pure functions; read_skill.hpp reads a folder.
// Rules   Those of the specification, and what its reference validator refuses
//         beyond it. Each has a name that is never used again, and a weight:
//         what is an error in strict mode may be a warning in lenient mode,
//         where a client would load the skill nevertheless.
// Units   Lines and columns from 1, columns in bytes; 0 where there is none.
//         Lengths of fields are characters (code points). Tokens are estimated,
//         and named so.
// Source  The Agent Skills specification, agentskills.io/specification, and its
//         guide for clients (which flaws do not keep a skill from loading).
//         Names in other alphabets, which the reference validator accepts after
//         NFKC, are refused here as its text has it: a-z, 0-9 and hyphens.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/utf8.hpp>

namespace skillbench {

enum class skill_rule : std::uint8_t {
  skill_md_missing = 0,
  skill_md_name = 1,
  too_large = 2,
  bad_text = 3,
  byte_order_mark = 4,
  bidi_control = 5,
  front_matter_missing = 6,
  front_matter_open = 7,
  yaml_syntax = 8,
  yaml_tab = 9,
  yaml_alias = 10,
  yaml_anchor = 11,
  yaml_tag = 12,
  yaml_flow = 13,
  duplicate_key = 14,
  unknown_key = 15,
  wrong_type = 16,
  not_quoted = 17,
  name_missing = 18,
  name_form = 19,
  name_not_folder = 20,
  description_missing = 21,
  description_long = 22,
  compatibility_length = 23,
  allowed_tools_form = 24,
  body_empty = 25,
  body_long = 26,
  file_missing = 27,
  path_missing = 28,
  file_outside = 29,
  link_outside = 30,
  odd_file = 31,
};
inline constexpr skill_rule last_skill_rule = skill_rule::odd_file;

enum class skill_mode : std::uint8_t { strict, lenient };

namespace skills {

struct rule_row {
  std::string_view name;
  bool strict_error, lenient_error;
};

// In the order of the numbers.
inline constexpr std::array<rule_row, 32> rules = {{
    {"skill_md_missing", true, true},
    {"skill_md_name", false, false},
    {"too_large", true, true},
    {"bad_text", true, true},
    {"byte_order_mark", true, false},
    {"bidi_control", true, false},
    {"front_matter_missing", true, true},
    {"front_matter_open", true, true},
    {"yaml_syntax", true, false},
    {"yaml_tab", true, false},
    {"yaml_alias", true, true},
    {"yaml_anchor", true, false},
    {"yaml_tag", true, false},
    {"yaml_flow", true, false},
    {"duplicate_key", true, true},
    {"unknown_key", true, false},
    {"wrong_type", true, false},
    {"not_quoted", false, false},
    {"name_missing", true, false},
    {"name_form", true, false},
    {"name_not_folder", true, false},
    {"description_missing", true, true},
    {"description_long", true, false},
    {"compatibility_length", true, false},
    {"allowed_tools_form", false, false},
    {"body_empty", false, false},
    {"body_long", false, false},
    {"file_missing", true, false},
    {"path_missing", false, false},
    {"file_outside", true, false},
    {"link_outside", true, true},
    {"odd_file", true, true},
}};
static_assert(rules.size() == static_cast<std::size_t>(last_skill_rule) + 1);

}  // namespace skills

[[nodiscard]] constexpr std::string_view name(skill_rule which) noexcept {
  const auto at = static_cast<std::size_t>(which);
  return at < skills::rules.size() ? skills::rules[at].name : "unknown";
}

[[nodiscard]] constexpr bool is_error(skill_rule which,
                                      skill_mode how) noexcept {
  const auto at = static_cast<std::size_t>(which);
  if (at >= skills::rules.size()) return true;
  return how == skill_mode::strict ? skills::rules[at].strict_error
                                   : skills::rules[at].lenient_error;
}

// One rule broken. `what` is a sentence that stands alone.
struct skill_flaw {
  skill_rule rule = skill_rule::skill_md_missing;
  int line = 0, column = 0;  // of SKILL.md
  std::string what;
};

struct skill {
  std::string name, description, license, compatibility, allowed_tools;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::string body;          // LF line ends
  int body_line = 0;         // the line of SKILL.md it starts on
  std::size_t body_lines = 0;
  std::size_t description_tokens = 0;  // estimated: name and description, which
                                       // a client always loads
  std::size_t body_tokens = 0;         // estimated
  std::size_t files = 0, bytes = 0;    // of the folder, SKILL.md included
};

// What was read, as far as it could be, and every flaw in the order of lines.
struct checked_skill {
  std::string path;  // of SKILL.md, or of the folder that has none
  skill read;
  std::vector<skill_flaw> flaws;

  [[nodiscard]] std::size_t errors(skill_mode how) const {
    return static_cast<std::size_t>(
        std::count_if(flaws.begin(), flaws.end(), [&](const skill_flaw& one) {
          return is_error(one.rule, how);
        }));
  }
  [[nodiscard]] bool passes(skill_mode how) const { return errors(how) == 0; }
};

inline constexpr std::size_t most_name_characters = 64;
inline constexpr std::size_t most_description_characters = 1024;
inline constexpr std::size_t most_compatibility_characters = 500;
inline constexpr std::size_t advised_body_lines = 500;
inline constexpr std::size_t advised_body_tokens = 5000;
inline constexpr std::size_t most_skill_bytes = 1u << 20;         // of SKILL.md
inline constexpr std::size_t most_front_matter_bytes = 64u << 10;
inline constexpr std::size_t most_skill_files = 10'000;
inline constexpr std::size_t most_flaws = 1000;

// ---- size -------------------------------------------------------------------

// About how many tokens a model reads. No vocabulary is at hand, so: a word is
// one token and 0.12 for each letter past the sixth, digits are one for three, a
// run of punctuation 0.75 and 0.2 for each sign past the first, a run of line
// ends 0.6, of two or more blanks 0.8, any other character 0.7.
// Measured against o200k_base and cl100k_base on 229 Markdown files (1.9 MB) of
// four public repositories of skills and kernels: median error -1%, nine files
// in ten within -11% and +5%, the worst -20% and +12%. (Bytes by four: within
// -20% and +21%, the worst +46%.) Other vocabularies differ.
[[nodiscard]] inline std::size_t estimated_tokens(std::string_view text) {
  enum class kind { letter, digit, line_end, blank, sign, other };
  const auto kind_of = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return kind::letter;
    if (c >= '0' && c <= '9') return kind::digit;
    if (c == '\n') return kind::line_end;
    if (c == ' ' || c == '\t') return kind::blank;
    return byte > 0x20 && byte < 0x7f ? kind::sign : kind::other;
  };
  std::size_t hundredths = 0;
  for (std::size_t at = 0; at < text.size();) {
    const kind what = kind_of(text[at]);
    std::size_t end = at + 1;
    while (end < text.size() && kind_of(text[end]) == what) ++end;
    const std::size_t run = end - at;
    switch (what) {
      case kind::letter: hundredths += 100 + (run > 6 ? 12 * (run - 6) : 0); break;
      case kind::digit: hundredths += 100 * ((run + 2) / 3); break;
      case kind::line_end: hundredths += 60; break;
      case kind::blank: hundredths += run > 1 ? 80 : 0; break;
      case kind::sign: hundredths += 75 + 20 * (run - 1); break;
      case kind::other:
        hundredths += 70 * utf8_characters(text.substr(at, run));
        break;
    }
    at = end;
  }
  return (hundredths + 50) / 100;
}

// ---- names ------------------------------------------------------------------

// Each thing that is wrong with a name, as the end of a sentence about it.
[[nodiscard]] inline std::vector<std::string> flaws_of_name(
    std::string_view name) {
  std::vector<std::string> wrong;
  const std::size_t length = utf8_characters(name);
  if (length > most_name_characters)
    wrong.push_back("has " + std::to_string(length) +
                    " characters; at most 64 are allowed");
  const auto has = [&](auto&& is) {
    return std::any_of(name.begin(), name.end(), is);
  };
  if (has([](char c) { return c >= 'A' && c <= 'Z'; }))
    wrong.push_back("has an upper case letter");
  if (has([](char c) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        return !letter && !(c >= '0' && c <= '9') && c != '-';
      }))
    wrong.push_back("has a character other than a-z, 0-9 and -");
  if (name.starts_with('-') || name.ends_with('-'))
    wrong.push_back("starts or ends with a hyphen");
  if (name.find("--") != name.npos) wrong.push_back("has two hyphens in a row");
  return wrong;
}

// ---- what a body refers to --------------------------------------------------

struct skill_reference {
  std::string path;
  int line = 0, column = 0;
  bool linked = false;  // by a Markdown link, else a path in the text
};

namespace skills {

inline bool is_path_sign(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' ||
         c == '/';
}

// True for "https:", "mailto:" and the like (RFC 3986, 3.1).
inline bool has_scheme(std::string_view target) {
  const std::size_t end = target.find(':');
  if (end == target.npos || end < 2) return false;
  return std::all_of(target.begin(), target.begin() + static_cast<long>(end),
                     [](char c) {
                       return (c >= 'a' && c <= 'z') ||
                              (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '+' || c == '-' ||
                              c == '.';
                     });
}

// "%20" and the like.
inline std::string decoded(std::string_view target) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  std::string made;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] == '%' && i + 2 < target.size() && digit(target[i + 1]) >= 0 &&
        digit(target[i + 2]) >= 0) {
      made += static_cast<char>(digit(target[i + 1]) * 16 +
                                digit(target[i + 2]));
      i += 2;
    } else {
      made += target[i];
    }
  }
  return made;
}

// Where the links of a line lead: [words](target "title") and [words]: target.
inline void links_of(std::string_view line, int number,
                     std::vector<skill_reference>& into) {
  const auto add = [&](std::string_view target, std::size_t column) {
    if (target.starts_with('<')) {
      target.remove_prefix(1);
      target = target.substr(0, target.find('>'));
    } else {
      target = target.substr(0, target.find_first_of(" \t"));
    }
    target = target.substr(0, target.find_first_of("#?"));
    if (target.empty() || has_scheme(target) || target.starts_with("//"))
      return;
    into.push_back(
        {decoded(target), number, static_cast<int>(column) + 1, true});
  };
  constexpr std::size_t most = 1024;  // bytes of a target
  const std::size_t opening = line.find('[');
  for (std::size_t at = line.find("]("); at != line.npos;
       at = line.find("](", at + 2)) {
    std::size_t start = at + 2, end = start;
    const std::size_t last = std::min(line.size(), start + most);
    for (int open = 1; end < last; ++end) {
      if (line[end] == '(') ++open;
      if (line[end] == ')' && --open == 0) break;
    }
    if (end == last || opening > at) continue;
    while (start < end && line[start] == ' ') ++start;
    add(line.substr(start, end - start), start);
  }
  if (line.starts_with('[') && !line.starts_with("[^"))
    if (const std::size_t at = line.find("]: ");
        at != line.npos && line.find(']') == at) {
      const std::size_t start = line.find_first_not_of(' ', at + 2);
      if (start != line.npos) add(line.substr(start), start);
    }
}

// Paths below scripts/, references/ and assets/ that a line names.
inline void paths_of(std::string_view line, int number,
                     std::vector<skill_reference>& into) {
  for (const std::string_view folder : {"scripts/", "references/", "assets/"}) {
    for (std::size_t at = line.find(folder); at != line.npos;
         at = line.find(folder, at + 1)) {
      // "./scripts/x" is ours, "lib/scripts/x" and "https://a/scripts/x" not.
      const bool dotted = at >= 2 && line.substr(at - 2, 2) == "./" &&
                          (at == 2 || !is_path_sign(line[at - 3]));
      if (!dotted && at > 0 &&
          (is_path_sign(line[at - 1]) || line[at - 1] == '}' ||
           line[at - 1] == '>' || line[at - 1] == '~'))
        continue;
      std::size_t end = at;
      while (end < line.size() && is_path_sign(line[end])) ++end;
      // "scripts/<name>.py" and "references/*.md" name no one file.
      if (end < line.size() &&
          std::string_view("<*{[$%?").find(line[end]) != std::string::npos)
        continue;
      std::string_view path = line.substr(at, end - at);
      while (path.ends_with('.')) path.remove_suffix(1);
      // Without an ending it may be a word, "scripts/assets" or a folder.
      const std::size_t last = path.rfind('/');
      if (path.find('.', last + 1) == path.npos) continue;
      into.push_back(
          {std::string(path), number, static_cast<int>(at) + 1, false});
    }
  }
}

// `line` with what stands in code spans blanked.
inline std::string without_code(std::string_view line) {
  std::string made(line);
  for (std::size_t at = line.find('`'); at != line.npos;) {
    std::size_t open = at;
    while (open < line.size() && line[open] == '`') ++open;
    const std::string fence(open - at, '`');
    std::size_t close = line.find(fence, open);
    if (close == line.npos) break;
    std::fill(made.begin() + static_cast<long>(open),
              made.begin() + static_cast<long>(close), ' ');
    at = line.find('`', close + fence.size());
  }
  return made;
}

}  // namespace skills

// The files that a body names, in order, each once. Links in code are none (a
// C++ lambda looks like one); paths in code are, since that is how a skill says
// what to run. A path that a link of the same line names is told as the link.
[[nodiscard]] inline std::vector<skill_reference> references_of(
    std::string_view body, int first_line) {
  std::vector<skill_reference> all;
  char fence = 0;
  std::size_t fence_length = 0;
  int number = first_line;
  for (; !body.empty(); ++number) {
    const std::size_t end = body.find('\n');
    const std::string_view line = body.substr(0, end);
    body.remove_prefix(end == body.npos ? body.size() : end + 1);

    const std::size_t start = std::min(line.find_first_not_of(" \t"), line.size());
    const char sign = start < line.size() ? line[start] : ' ';
    std::size_t run = 0;
    if (sign == '`' || sign == '~')
      run = std::min(line.find_first_not_of(sign, start), line.size()) - start;
    const bool was_inside = fence != 0;
    if (fence == 0 && run >= 3) {
      fence = sign;
      fence_length = run;
    } else if (fence != 0 && sign == fence && run >= fence_length &&
               line.find_first_not_of(" \t", start + run) == line.npos) {
      fence = 0;
    }

    std::vector<skill_reference> here;
    if (!was_inside && fence == 0)
      skills::links_of(skills::without_code(line), number, here);
    const std::size_t links = here.size();
    std::vector<skill_reference> paths;
    skills::paths_of(line, number, paths);
    for (skill_reference& one : paths) {
      const bool told = std::any_of(
          here.begin(), here.begin() + static_cast<long>(links),
          [&](const skill_reference& link) {
            return link.path.ends_with(one.path);
          });
      if (!told) here.push_back(std::move(one));
    }
    for (skill_reference& one : here) {
      const auto same = std::find_if(
          all.begin(), all.end(), [&](const skill_reference& other) {
            return other.path == one.path && other.linked == one.linked;
          });
      if (same == all.end()) all.push_back(std::move(one));
      if (all.size() > most_flaws) return all;
    }
  }
  return all;
}

}  // namespace skillbench
