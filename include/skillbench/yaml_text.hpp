#pragma once
// yaml_text.hpp: YAML text to a tree with places, and all that is odd in it.
//
// Layer   3. The only header that includes yaml-cpp; read_skill.hpp is its user.
// Trust   The text may be hostile. Aliases are refused and never followed, so
//         nothing grows; nesting and the number of values are bounded; no
//         exception of yaml-cpp gets out. The caller bounds the size.
// Places  Lines and columns from 1, columns in bytes.
// Source  YAML 1.2.2; the core schema (10.3.2) says which plain scalars are no
//         text.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

namespace skillbench {

namespace yaml_text {

inline constexpr std::size_t most_levels = 16;
inline constexpr std::size_t most_values = 2000;

enum class type : std::uint8_t { null, text, list, map };

struct value {
  type kind = type::null;
  bool plain = false;  // text without quotes
  int line = 0, column = 0;
  std::string text;
  std::string key;  // its name, inside a map
  int key_line = 0, key_column = 0;
  std::vector<value> items;  // list and map, in order

  [[nodiscard]] const value* find(std::string_view name) const {
    if (kind == type::map)
      for (const value& one : items)
        if (one.key == name) return &one;
    return nullptr;
  }
};

enum class oddity : std::uint8_t {
  syntax,     // the rest was not read
  alias,      // read as null
  anchor,     // ignored
  tag,        // ignored
  flow,       // [a] or {a: b}
  duplicate,  // a key that stands there twice; the first is found
  odd_key,    // a key that is no text
  too_large,  // the rest was not read
};

struct trouble {
  oddity kind = oddity::syntax;
  int line = 0, column = 0;
  std::string what;
};

struct document {
  value root;
  std::vector<trouble> troubles;
};

// True for a plain scalar that YAML's core schema reads as no text: a number, a
// truth value or nothing.
[[nodiscard]] inline bool is_no_text(std::string_view plain) {
  for (const std::string_view word :
       {"", "~", "null", "Null", "NULL", "true", "True", "TRUE", "false",
        "False", "FALSE", ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF"})
    if (plain == word) return true;
  if (plain.starts_with("0x") || plain.starts_with("0o")) {
    const std::string_view digits = plain.substr(0, 2) == "0x"
                                        ? "0123456789abcdefABCDEF"
                                        : "01234567";
    return plain.size() > 2 && plain.find_first_not_of(digits, 2) == plain.npos;
  }
  const auto digits_from = [&](std::size_t at) {
    const std::size_t end = plain.find_first_not_of("0123456789", at);
    return (end == plain.npos ? plain.size() : end) - at;
  };
  std::size_t at = plain.starts_with('-') || plain.starts_with('+') ? 1 : 0;
  if (plain.substr(at) == ".inf" || plain.substr(at) == ".Inf") return true;
  const std::size_t whole = digits_from(at);
  at += whole;
  std::size_t fraction = 0;
  if (at < plain.size() && plain[at] == '.') {
    fraction = digits_from(at + 1);
    at += 1 + fraction;
  }
  if (whole + fraction == 0) return false;
  if (at < plain.size() && (plain[at] == 'e' || plain[at] == 'E')) {
    ++at;
    if (at < plain.size() && (plain[at] == '-' || plain[at] == '+')) ++at;
    const std::size_t exponent = digits_from(at);
    if (exponent == 0) return false;
    at += exponent;
  }
  return at == plain.size();
}

// What yaml-cpp tells while it reads.
class tree final : public YAML::EventHandler {
 public:
  tree(document& made, int first_line) : made_(made), first_(first_line) {}

  struct enough : std::exception {};

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& at, YAML::anchor_t anchor) override {
    note_anchor(at, anchor);
    add(make(type::null, at));
  }
  void OnAlias(const YAML::Mark& at, YAML::anchor_t) override {
    odd(oddity::alias, at, "an alias stands for text that is elsewhere");
    add(make(type::null, at));
  }
  void OnScalar(const YAML::Mark& at, const std::string& tag,
                YAML::anchor_t anchor, const std::string& text) override {
    note_anchor(at, anchor);
    note_tag(at, tag);
    value one = make(type::text, at);
    one.plain = tag == "?";
    one.text = text;
    add(std::move(one));
  }
  void OnSequenceStart(const YAML::Mark& at, const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(type::list, at, tag, anchor, style);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& at, const std::string& tag,
                  YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(type::map, at, tag, anchor, style);
  }
  void OnMapEnd() override { close(); }

  // After an error: what is open is closed, so that its values are not lost.
  void end() {
    while (!open_.empty()) close();
  }

  void odd(oddity kind, const YAML::Mark& at, std::string what) {
    const value where = make(type::null, at);
    made_.troubles.push_back({kind, where.line, where.column, std::move(what)});
  }

 private:
  struct level {
    value into;
    bool has_key = false;
    std::string key;
    int key_line = 0, key_column = 0;
  };

  value make(type kind, const YAML::Mark& at) {
    value one;
    one.kind = kind;
    one.line = at.is_null() ? first_ : at.line + first_;
    one.column = at.is_null() ? 1 : at.column + 1;
    return one;
  }
  void note_anchor(const YAML::Mark& at, YAML::anchor_t anchor) {
    if (anchor != 0)
      odd(oddity::anchor, at, "an anchor names a value for use elsewhere");
  }
  void note_tag(const YAML::Mark& at, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    odd(oddity::tag, at, "a tag says what type a value has");
  }
  void open(type kind, const YAML::Mark& at, const std::string& tag,
            YAML::anchor_t anchor, YAML::EmitterStyle::value style) {
    note_anchor(at, anchor);
    note_tag(at, tag);
    if (style == YAML::EmitterStyle::Flow)
      odd(oddity::flow, at,
          kind == type::list ? "a list stands in [ ]" : "a map stands in { }");
    if (open_.size() == most_levels) {
      odd(oddity::too_large, at,
          "values are nested more than " + std::to_string(most_levels) +
              " levels deep");
      throw enough();
    }
    count(at);
    open_.push_back({make(kind, at), false, "", 0, 0});
  }
  void close() {
    value whole = std::move(open_.back().into);
    open_.pop_back();
    add(std::move(whole), true);
  }
  void count(const YAML::Mark& at) {
    if (++count_ <= most_values) return;
    odd(oddity::too_large, at,
        "there are more than " + std::to_string(most_values) + " values");
    throw enough();
  }
  void add(value one, bool counted = false) {
    if (!counted) {
      YAML::Mark at;
      at.line = one.line - first_;
      at.column = one.column - 1;
      count(at);
    }
    if (open_.empty()) {
      made_.root = std::move(one);
      return;
    }
    level& in = open_.back();
    if (in.into.kind == type::list) {
      in.into.items.push_back(std::move(one));
      return;
    }
    if (!in.has_key) {
      in.has_key = true;
      in.key = one.kind == type::text ? std::move(one.text) : "";
      in.key_line = one.line;
      in.key_column = one.column;
      if (one.kind != type::text)
        made_.troubles.push_back({oddity::odd_key, one.line, one.column,
                                  "a key is no text"});
      else if (in.into.find(in.key) != nullptr)
        made_.troubles.push_back({oddity::duplicate, one.line, one.column,
                                  in.key});
      return;
    }
    in.has_key = false;
    if (one.kind == type::null) {  // yaml-cpp tells where the next thing is
      one.line = in.key_line;
      one.column = in.key_column;
    }
    one.key = std::move(in.key);
    one.key_line = in.key_line;
    one.key_column = in.key_column;
    in.into.items.push_back(std::move(one));
  }

  document& made_;
  int first_;
  std::size_t count_ = 0;
  std::vector<level> open_;
};

// One pass over `text`; see `read`.
inline document parse(std::string_view text, int first_line) {
  document made;
  made.root.line = first_line;
  made.root.column = 1;
  tree events(made, first_line);
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    if (parser.HandleNextDocument(events)) {
      document rest;
      tree more(rest, first_line);
      if (parser.HandleNextDocument(more)) {
        YAML::Mark at;
        at.line = rest.root.line - first_line;
        at.column = rest.root.column - 1;
        events.odd(oddity::syntax, at, "the document ends before the text does");
      }
    }
  } catch (const tree::enough&) {
  } catch (const YAML::Exception& wrong) {
    events.odd(oddity::syntax, wrong.mark, wrong.msg);
  } catch (const std::exception& wrong) {
    events.odd(oddity::syntax, YAML::Mark(), wrong.what());
  }
  events.end();
  return made;
}

// The one document of `text`, whose first line is line `first_line` of a file.
[[nodiscard]] inline document read(std::string_view text, int first_line) {
  document made = parse(text, first_line);
  if (!text.ends_with('\n')) return made;
  // yaml-cpp takes a quote that is never closed for a text when a line end is
  // the last of it, and for an error when it is not.
  while (text.ends_with('\n')) text.remove_suffix(1);
  for (trouble& odd : parse(text, first_line).troubles)
    if (odd.kind == oddity::syntax &&
        std::none_of(made.troubles.begin(), made.troubles.end(),
                     [](const trouble& one) {
                       return one.kind == oddity::syntax ||
                              one.kind == oddity::too_large;
                     }))
      made.troubles.push_back(std::move(odd));
  return made;
}

}  // namespace yaml_text

}  // namespace skillbench
