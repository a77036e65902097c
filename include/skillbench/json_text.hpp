#pragma once
// json_text.hpp: JSON to the values of layers 1 and 2, and records to JSON.
//
// Layer   3. The only header that includes the JSON library; layers 6 and 7
//         are its users.
// Strict  A manifest and a family have no unknown keys. Nothing may hold a key
//         twice. Samples and records are read leniently (unknown keys are left
//         alone) and records are written strictly.
// Places  Lines and columns from 1, columns in bytes; the path of a value is a
//         JSON pointer (RFC 6901).
// Errors  reason::bad_input: where, what was found and what was expected. No
//         exception of the JSON library gets out.
// Limits  32 levels, a million values, and per list what the readers say.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/manifest.hpp>
#include <skillbench/record.hpp>
#include <skillbench/sample.hpp>

namespace skillbench {

// Where a text went wrong; 0 when it did not, or the place is not known.
struct text_place {
  int line = 0, column = 0;
};

namespace json_text {

inline constexpr std::size_t most_levels = 32;
inline constexpr std::size_t most_values = 1'000'000;

enum class type : std::uint8_t {
  null,
  boolean,
  integer,
  real,
  string,
  array,
  object
};

// A JSON value that knows where it stood.
struct value {
  type kind = type::null;
  std::size_t offset = 0;       // in the text
  std::string key;              // its name, inside an object
  bool flag = false;            // boolean
  bool negative = false;        // integer
  std::uint64_t magnitude = 0;  // integer, without its sign
  double number = 0.0;          // integer and real
  std::string text;             // string
  std::vector<value> items;     // array and object, in order

  [[nodiscard]] const value* find(std::string_view name) const {
    if (kind == type::object)
      for (const value& one : items)
        if (one.key == name) return &one;
    return nullptr;
  }
};

// Long texts are shown by their start, and so that they stay on a line.
inline std::string shown(std::string_view text) {
  constexpr std::size_t most = 60;
  std::string made = "\"";
  for (const char c : text.substr(0, most))
    made += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  return made + (text.size() > most ? "...\"" : "\"");
}

inline std::string describe(const value& it) {
  switch (it.kind) {
    case type::null: return "null";
    case type::boolean: return it.flag ? "true" : "false";
    case type::integer:
      return (it.negative ? "-" : "") + std::to_string(it.magnitude);
    case type::real: return "a number with a fraction or an exponent";
    case type::string: return shown(it.text);
    case type::array:
      return it.items.empty()
                 ? "an empty array"
                 : "an array of " + std::to_string(it.items.size());
    case type::object:
      return it.items.empty() ? "an empty object" : "an object";
  }
  return "nothing";
}

inline text_place place_of(std::string_view text, std::size_t offset) {
  text_place at{1, 1};
  for (const char c : text.substr(0, offset)) {
    ++at.column;
    if (c == '\n') at = {at.line + 1, 1};
  }
  return at;
}

inline std::string words(text_place at) {
  return "line " + std::to_string(at.line) + ", column " +
         std::to_string(at.column);
}

// ---- text to a tree
// -----------------------------------------------------------

// Counts what the library has read: its events carry no place.
class counting {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  counting(const char* at, const char** furthest)
      : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  counting& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  counting operator++(int) {
    counting old = *this;
    ++*this;
    return old;
  }
  bool operator==(const counting& other) const { return at_ == other.at_; }
  bool operator!=(const counting& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

class tree {
 public:
  explicit tree(std::string_view text) : text_(text), furthest_(text.data()) {}

  result<value> parse(text_place* where) {
    bool parsed = false;
    try {
      parsed = nlohmann::json::sax_parse(
          counting(text_.data(), &furthest_),
          counting(text_.data() + text_.size(), &furthest_), this);
    } catch (const std::exception& wrong) {
      return fault{reason::internal,
                   std::string("reading JSON failed: ") + wrong.what()};
    }
    if (parsed) return std::move(root_);
    const text_place at = place_of(text_, wrong_offset_);
    if (where != nullptr) *where = at;
    return fault{reason::bad_input, words(at) + ": " + wrong_};
  }

  // Called by the library.
  bool null() { return add(type::null) != nullptr; }
  bool boolean(bool flag) {
    value* const made = add(type::boolean);
    if (made != nullptr) made->flag = flag;
    return made != nullptr;
  }
  bool number_integer(std::int64_t number) {
    value* const made = add(type::integer);
    if (made == nullptr) return false;
    made->negative = number < 0;
    made->magnitude = number < 0 ? 0 - static_cast<std::uint64_t>(number)
                                 : static_cast<std::uint64_t>(number);
    made->number = static_cast<double>(number);
    return true;
  }
  bool number_unsigned(std::uint64_t number) {
    value* const made = add(type::integer);
    if (made == nullptr) return false;
    made->magnitude = number;
    made->number = static_cast<double>(number);
    return true;
  }
  bool number_float(double number, const std::string&) {
    value* const made = add(type::real);
    if (made != nullptr) made->number = number;
    return made != nullptr;
  }
  bool string(std::string& text) {
    value* const made = add(type::string);
    if (made != nullptr) made->text = std::move(text);
    return made != nullptr;
  }
  bool binary(nlohmann::json::binary_t&) { return false; }  // not in texts
  bool start_object(std::size_t) { return open(type::object); }
  bool start_array(std::size_t) { return open(type::array); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    const std::size_t at = token();
    if (!open_.back().keys.insert(name).second)
      return refuse(at, "the key " + shown(name) + " stands here twice");
    key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& wrong) {
    // The library's words without its own naming of error and place.
    std::string_view what = wrong.what();
    if (const auto end = what.find("] "); end != what.npos)
      what.remove_prefix(end + 2);
    if (const auto at = what.find(", column "); at != what.npos && at < 40)
      if (const auto end = what.find(": ", at); end != what.npos)
        what.remove_prefix(end + 2);
    constexpr std::size_t most = 300;
    wrong_ = what.substr(0, most);
    if (what.size() > most) wrong_ += "...";

    wrong_offset_ = position > 0 ? position - 1 : 0;
    if (position > text_.size()) {  // it wanted more than there is
      wrong_offset_ = text_.size();
      return false;
    }
    const std::string_view read = text_.substr(0, wrong_offset_);
    const std::size_t before = read.find_last_not_of(" \t\r\n");
    const char here =
        wrong_offset_ < text_.size() ? text_[wrong_offset_] : '\0';
    if ((here == '}' || here == ']') && before != read.npos &&
        read[before] == ',') {
      wrong_ += " (no comma may stand before it)";
      wrong_offset_ = before;
    } else if (here == '/' || here == '#') {
      wrong_ += " (JSON has no comments)";
    } else if (here == '\'') {
      wrong_ += " (strings stand in double quotes)";
    }
    return false;
  }

 private:
  struct level {
    value* into = nullptr;
    std::unordered_set<std::string> keys;
  };

  // Where the token starts that was just read. Only blanks and separators can
  // stand between it and the one before; a number's reader may be one byte past
  // its end, which is such a byte too.
  std::size_t token() {
    std::size_t at = last_;
    while (at < text_.size() &&
           std::string_view(" \t\r\n,:]}").find(text_[at]) != std::string::npos)
      ++at;
    last_ = static_cast<std::size_t>(furthest_ - text_.data());
    return at;
  }

  value* add(type kind) {
    const std::size_t at = token();
    if (++count_ > most_values) {
      refuse(at, "more than " + std::to_string(most_values) + " values");
      return nullptr;
    }
    value* made = &root_;
    if (!open_.empty()) made = &open_.back().into->items.emplace_back();
    made->kind = kind;
    made->offset = at;
    made->key = std::move(key_);
    key_.clear();
    return made;
  }
  bool open(type kind) {
    value* const made = add(kind);
    if (made == nullptr) return false;
    if (open_.size() == most_levels)
      return refuse(made->offset, "more than " + std::to_string(most_levels) +
                                      " levels of nesting");
    open_.push_back({made, {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    last_ = static_cast<std::size_t>(furthest_ - text_.data());
    return true;
  }
  bool refuse(std::size_t offset, std::string what) {
    wrong_offset_ = offset;
    wrong_ = std::move(what);
    return false;
  }

  std::string_view text_;
  const char* furthest_;
  std::size_t last_ = 0;  // where the token before this one ended
  std::size_t count_ = 0;
  std::string key_;
  std::vector<level> open_;
  value root_;
  std::size_t wrong_offset_ = 0;
  std::string wrong_;
};

// ---- a tree to values
// ---------------------------------------------------------

// Reads typed values and keeps the first thing that is not as it should be;
// every reader returns false from then on.
class reader {
 public:
  reader(std::string_view text, const value& root, text_place* where)
      : text_(text), root_(root), where_(where) {}

  bool refuse(const value& at, const std::string& what) {
    if (wrong_) return false;
    const text_place place = place_of(text_, at.offset);
    if (where_ != nullptr) *where_ = place;
    std::string path;
    find(root_, at, path);
    wrong_ = fault{
        reason::bad_input,
        words(place) + (path.empty() ? "" : ", at " + path) + ": " + what};
    return false;
  }
  bool expect(const value& at, const std::string& wanted) {
    return refuse(at, "found " + describe(at) + "; expected " + wanted);
  }
  [[nodiscard]] fault error() const {
    return wrong_ ? *wrong_ : fault{reason::internal, "nothing is wrong"};
  }

  bool object(const value& it, const std::string& wanted) {
    return it.kind == type::object || expect(it, wanted);
  }
  bool object(const value& it, const std::string& wanted,
              std::initializer_list<std::string_view> keys) {
    if (!object(it, wanted)) return false;
    for (const value& one : it.items) {
      bool known = false;
      std::string all;
      for (const std::string_view key : keys) {
        known = known || one.key == key;
        all += (all.empty() ? "" : ", ") + std::string(key);
      }
      if (!known)
        return refuse(one, "there is no key " + shown(one.key) + " in " +
                               wanted + "; there are " + all);
    }
    return true;
  }
  // A key that must be there.
  const value* need(const value& in, std::string_view key) {
    const value* const found = in.find(key);
    if (found == nullptr)
      refuse(in, "the key \"" + std::string(key) + "\" is missing");
    return found;
  }

  bool array(const value& it, const std::string& wanted, std::size_t least,
             std::size_t most) {
    if (it.kind != type::array) return expect(it, wanted);
    if (it.items.size() < least || it.items.size() > most)
      return refuse(it, "found " + std::to_string(it.items.size()) +
                            " entries; expected " + std::to_string(least) +
                            " to " + std::to_string(most));
    return true;
  }

  bool text(const value& it, std::string& into, const std::string& wanted,
            std::size_t least = 1, std::size_t most = 4096) {
    if (it.kind != type::string) return expect(it, wanted);
    if (it.text.size() < least)
      return refuse(it, "found an empty string; expected " + wanted);
    if (it.text.size() > most)
      return refuse(it, "found " + std::to_string(it.text.size()) +
                            " bytes; expected " + wanted + " of at most " +
                            std::to_string(most) + " bytes");
    into = it.text;
    return true;
  }

  bool integer(const value& it, std::int64_t& into, const std::string& wanted) {
    if (it.kind != type::integer) return expect(it, wanted);
    constexpr std::uint64_t top = std::numeric_limits<std::int64_t>::max();
    if (it.magnitude > top + (it.negative ? 1 : 0))
      return refuse(it, "found " + describe(it) + "; expected " + wanted +
                            " that fits 64 bits");
    into = static_cast<std::int64_t>(it.negative ? 0 - it.magnitude
                                                 : it.magnitude);
    return true;
  }
  bool count(const value& it, std::uint64_t& into, const std::string& wanted) {
    if (it.kind != type::integer || it.negative) return expect(it, wanted);
    into = it.magnitude;
    return true;
  }
  bool real(const value& it, double& into, const std::string& wanted) {
    if (it.kind != type::integer && it.kind != type::real)
      return expect(it, wanted);
    into = it.number;
    return true;
  }

  // A name as C++ would take it.
  bool identifier(const value& at, std::string_view name,
                  const std::string& wanted) {
    constexpr std::size_t most = 128;
    const auto letter = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    bool fits = !name.empty() && name.size() <= most && letter(name.front());
    for (const char c : name)
      fits = fits && (letter(c) || (c >= '0' && c <= '9'));
    return fits || refuse(at, shown(name) + " is no " + wanted +
                                  ": a letter or _, then letters, digits and "
                                  "_, at most " +
                                  std::to_string(most));
  }

  // An integer is an expression too.
  bool formula(const value& it, expression& into, const std::string& wanted) {
    std::string text;
    if (it.kind == type::integer)
      text = describe(it);
    else if (it.kind == type::string)
      text = it.text;
    else
      return expect(it, wanted + ", an integer or an expression in a string");
    auto made = expression::parse(text);
    if (!made) return refuse(it, made.error().what);
    into = std::move(made).value();
    return true;
  }
  bool formulas(const value& it, std::vector<expression>& into,
                const std::string& wanted, std::size_t least,
                std::size_t most) {
    if (!array(it, "an array of expressions", least, most)) return false;
    for (const value& one : it.items)
      if (!formula(one, into.emplace_back(), wanted)) return false;
    return true;
  }

 private:
  // The pointer of a value; false when it is not below `in`.
  static bool find(const value& in, const value& wanted, std::string& path) {
    if (&in == &wanted) return true;
    const std::size_t length = path.size();
    for (std::size_t i = 0; i < in.items.size(); ++i) {
      path += '/';
      if (in.kind == type::array) {
        path += std::to_string(i);
      } else {
        for (const char c : in.items[i].key.substr(0, 128)) {
          if (c == '~')
            path += "~0";
          else if (c == '/')
            path += "~1";
          else
            path += c;
        }
      }
      if (find(in.items[i], wanted, path)) return true;
      path.resize(length);
    }
    return false;
  }

  std::string_view text_;
  const value& root_;
  text_place* where_;
  std::optional<fault> wrong_;
};

// ---- manifests
// ------------------------------------------------------------------

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
  const value* const shared = from.find("shared_bytes");
  return shared == nullptr ||
         in.formula(*shared, into.shared_bytes, "a number of bytes");
}

inline bool read_launches(reader& in, const value& from, manifest& into) {
  const value* const launches = from.find("launches");
  if (launches == nullptr)
    return read_launch(in, from, into.launches.emplace_back());
  for (const char* const key :
       {"entry", "args", "grid", "block", "shared_bytes"})
    if (const value* const other = from.find(key))
      return in.refuse(*other, "\"" + std::string(key) +
                                   "\" stands beside \"launches\"; expected it "
                                   "inside each launch");
  if (!in.array(*launches, "an array of launches", 1, 64)) return false;
  for (const value& one : launches->items)
    if (!in.object(one, "a launch",
                   {"entry", "args", "grid", "block", "shared_bytes"}) ||
        !read_launch(in, one, into.launches.emplace_back()))
      return false;
  return true;
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
        !in.array(one, "an array of integers", 1, 1024))
      return false;
    for (const value& choice : one.items)
      if (!in.integer(choice, made.values.emplace_back(), "an integer"))
        return false;
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

inline bool read_manifest(reader& in, const value& from, manifest& into) {
  if (!in.object(from, "a launch manifest",
                 {"family", "entry", "args", "grid", "block", "shared_bytes",
                  "launches", "tune", "constraints", "require", "scratch"}))
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
  return read_scratch(in, from, into);
}

// ---- families
// -------------------------------------------------------------------

inline bool read_argument(reader& in, const value& from, argument& into) {
  if (!in.object(from, "an argument", {"name", "kind", "shape", "range"}))
    return false;
  const value* const name = in.need(from, "name");
  const value* const kind = in.need(from, "kind");
  if (name == nullptr || kind == nullptr ||
      !in.text(*name, into.name, "the name of an argument", 1, 128) ||
      !in.identifier(*name, into.name, "name of an argument"))
    return false;
  std::string word;
  const std::string kinds = "\"input\", \"output\", \"integer\" or \"real\"";
  if (!in.text(*kind, word, kinds)) return false;
  if (word == "input")
    into.kind = argument::type::input;
  else if (word == "output")
    into.kind = argument::type::output;
  else if (word == "integer")
    into.kind = argument::type::integer;
  else if (word == "real")
    into.kind = argument::type::real;
  else
    return in.expect(*kind, kinds);

  const bool tensor =
      into.kind == argument::type::input || into.kind == argument::type::output;
  const bool whole = into.kind == argument::type::integer;
  const value* const shape = from.find("shape");
  const value* const range = from.find("range");
  if (!tensor && shape != nullptr)
    return in.refuse(*shape, "only tensors have a shape");
  if (!whole && range != nullptr)
    return in.refuse(*range, "only integers have a range");
  if (tensor && in.need(from, "shape") == nullptr) return false;
  if (whole && in.need(from, "range") == nullptr) return false;
  if (shape != nullptr && !in.formulas(*shape, into.shape, "an extent", 1, 8))
    return false;
  if (range == nullptr) return true;
  if (!in.array(*range, "an array of the least and the most", 2, 2) ||
      !in.integer(range->items[0], into.least, "an integer") ||
      !in.integer(range->items[1], into.most, "an integer"))
    return false;
  return into.least <= into.most ||
         in.refuse(*range, "the least is above the most");
}

inline std::optional<pattern> pattern_named(std::string_view word) {
  for (const pattern kind :
       {pattern::normal, pattern::uniform, pattern::constant, pattern::spike,
        pattern::subnormal, pattern::alternate, pattern::mixed})
    if (name(kind) == word) return kind;
  return std::nullopt;
}

// `row` keeps the length of the tensor's rows unless the fill names another.
inline bool read_fill(reader& in, const value& from, fill& into,
                      expression& row) {
  if (!in.object(from, "a fill", {"kind", "scale", "offset", "row"}))
    return false;
  const value* const kind = in.need(from, "kind");
  std::string word;
  if (kind == nullptr || !in.text(*kind, word, "the name of a fill"))
    return false;
  const auto known = pattern_named(word);
  if (!known)
    return in.expect(*kind,
                     "normal, uniform, constant, spike, subnormal, "
                     "alternate or mixed");
  into.kind = *known;
  if (const value* const it = from.find("scale"))
    if (!in.real(*it, into.scale, "a number")) return false;
  if (const value* const it = from.find("offset"))
    if (!in.real(*it, into.offset, "a number")) return false;
  const value* const it = from.find("row");
  return it == nullptr || in.formula(*it, row, "the length of a row");
}

inline bool row_of(reader& in, const value& at, const expression& row,
                   const bindings& integers, std::int64_t& into) {
  const auto length = row.evaluate(integers);
  if (!length) return in.refuse(at, length.error().what);
  into = length.value();
  return into >= 1 || in.refuse(at, "a row is shorter than 1");
}

// The values that a case gives under `key`, which are those of `wanted` kind.
template <typename Number, typename Read>
bool read_numbers(reader& in, const value& from, std::string_view key,
                  const family& of, argument::type wanted,
                  std::vector<std::pair<std::string, Number>>& into,
                  Read read_one) {
  const value* const given = from.find(key);
  if (given != nullptr && !in.object(*given, "an object of numbers"))
    return false;
  for (const argument& one : of.arguments) {
    if (one.kind != wanted) continue;
    const value* const it = given == nullptr ? nullptr : given->find(one.name);
    if (it == nullptr)
      return in.refuse(given == nullptr ? from : *given,
                       "no value for \"" + one.name + "\"");
    Number number{};
    if (!read_one(*it, one, number)) return false;
    into.emplace_back(one.name, number);
  }
  if (given == nullptr) return true;
  for (const value& one : given->items) {
    bool known = false;
    for (const auto& [name, number] : into) known = known || name == one.key;
    if (!known) return in.refuse(one, shown(one.key) + " is no such argument");
  }
  return true;
}

inline bool read_case(reader& in, const value& from, const family& of,
                      test_case& into) {
  if (!in.object(from, "a case", {"name", "why", "integers", "reals", "fills"}))
    return false;
  const value* const name = in.need(from, "name");
  const value* const why = in.need(from, "why");
  if (name == nullptr || why == nullptr ||
      !in.text(*name, into.name, "the name of a case", 1, 128) ||
      !in.text(*why, into.why, "a reason"))
    return false;
  for (const test_case& other : of.cases)
    if (other.name == into.name)
      return in.refuse(*name, "two cases are named " + shown(into.name));

  const auto read_integer = [&](const value& it, const argument& one,
                                std::int64_t& number) {
    if (!in.integer(it, number, "an integer")) return false;
    return (number >= one.least && number <= one.most) ||
           in.expect(it, "an integer from " + std::to_string(one.least) +
                             " to " + std::to_string(one.most));
  };
  const auto read_real = [&](const value& it, const argument&, double& number) {
    return in.real(it, number, "a number");
  };
  if (!read_numbers(in, from, "integers", of, argument::type::integer,
                    into.integers, read_integer) ||
      !read_numbers(in, from, "reals", of, argument::type::real, into.reals,
                    read_real))
    return false;

  const value* const fills = from.find("fills");
  if (fills != nullptr && !in.object(*fills, "an object of fills"))
    return false;
  for (const argument& one : of.arguments) {
    for (const expression& extent : one.shape) {
      const auto length = extent.evaluate(into.integers);
      if (!length) return in.refuse(from, length.error().what);
      if (length.value() < 1)
        return in.refuse(from, "an extent of \"" + one.name + "\" is " +
                                   std::to_string(length.value()));
    }
    if (one.kind != argument::type::input) continue;
    fill made;
    expression row = one.shape.back();
    const value* const it = fills == nullptr ? nullptr : fills->find(one.name);
    if ((it != nullptr && !read_fill(in, *it, made, row)) ||
        !row_of(in, it == nullptr ? from : *it, row, into.integers, made.row))
      return false;
    into.fills.emplace_back(one.name, made);
  }
  if (fills == nullptr) return true;
  for (const value& one : fills->items) {
    bool known = false;
    for (const auto& [tensor, filled] : into.fills)
      known = known || tensor == one.key;
    if (!known) return in.refuse(one, shown(one.key) + " is no input");
  }
  return true;
}

// Every name of an expression must be an integer of the family, or `sizeof_T`
// where that is told.
inline bool names_known(reader& in, const value& at, const expression& text,
                        const family& of, bool with_size) {
  for (const std::string& name : text.names()) {
    bool known = with_size && name == "sizeof_T";
    for (const argument& one : of.arguments)
      known =
          known || (one.kind == argument::type::integer && one.name == name);
    if (!known)
      return in.refuse(at, "`" + text.text() + "` names " + shown(name) +
                               ", which is no integer of the family");
  }
  return true;
}

// What each argument of a kind may be drawn from: an array a name.
template <typename Choice, typename Read>
bool read_choices(reader& in, const value& from, std::string_view key,
                  const family& of, argument::type wanted,
                  std::vector<std::pair<std::string, std::vector<Choice>>>& into,
                  Read read_one) {
  const value* const given = from.find(key);
  if (given == nullptr) return true;
  if (!in.object(*given, "an object of arrays of choices")) return false;
  for (const value& each : given->items) {
    const argument* named = nullptr;
    for (const argument& one : of.arguments)
      if (one.kind == wanted && one.name == each.key) named = &one;
    if (named == nullptr)
      return in.refuse(each, shown(each.key) + " is no such argument");
    if (!in.array(each, "an array of choices", 1, 256)) return false;
    auto& made = into.emplace_back(each.key, std::vector<Choice>());
    for (const value& choice : each.items)
      if (!read_one(choice, *named, made.second.emplace_back())) return false;
  }
  return true;
}

inline bool read_hidden(reader& in, const value& from, const family& of,
                        hidden_plan& into) {
  if (!in.object(from, "what hidden cases are drawn from",
                 {"count", "most_elements", "integers", "reals", "fills"}))
    return false;
  const value* const count = in.need(from, "count");
  const value* const most = in.need(from, "most_elements");
  if (count == nullptr || most == nullptr ||
      !in.integer(*count, into.count, "a number of cases") ||
      !in.integer(*most, into.most_elements, "a number of elements"))
    return false;
  if (into.count < 0 || into.count > 1000)
    return in.expect(*count, "a number of cases from 0 to 1000");
  if (into.most_elements < 1) return in.expect(*most, "a positive number");
  const auto read_integer = [&](const value& it, const argument& one,
                                std::int64_t& number) {
    return in.integer(it, number, "an integer") &&
           ((number >= one.least && number <= one.most) ||
            in.expect(it, "an integer from " + std::to_string(one.least) +
                              " to " + std::to_string(one.most)));
  };
  const auto read_real = [&](const value& it, const argument&, double& number) {
    return in.real(it, number, "a number");
  };
  const auto fill_read = [&](const value& it, const argument& one,
                             hidden_fill& made) {
    made.row = one.shape.back();
    return read_fill(in, it, made.filled, made.row) &&
           names_known(in, it, made.row, of, false);
  };
  if (!read_choices(in, from, "integers", of, argument::type::integer,
                    into.integers, read_integer) ||
      !read_choices(in, from, "reals", of, argument::type::real, into.reals,
                    read_real) ||
      !read_choices(in, from, "fills", of, argument::type::input, into.fills,
                    fill_read))
    return false;
  for (const argument& one : of.arguments) {
    if (one.kind != argument::type::real) continue;
    bool known = false;
    for (const auto& [name, values] : into.reals) known |= name == one.name;
    if (!known)
      return in.refuse(from, "nothing to draw \"" + one.name + "\" from");
  }
  return true;
}

inline bool read_family(reader& in, const value& from, family& into) {
  if (!in.object(from, "a family",
                 {"name", "title", "version", "arguments", "cases", "overflow",
                  "hidden",
                  "tolerance", "work"}))
    return false;
  const value* const name = in.need(from, "name");
  const value* const title = in.need(from, "title");
  const value* const version = in.need(from, "version");
  const value* const arguments = in.need(from, "arguments");
  const value* const cases = in.need(from, "cases");
  const value* const tolerated = in.need(from, "tolerance");
  const value* const work = in.need(from, "work");
  if (name == nullptr || title == nullptr || version == nullptr ||
      arguments == nullptr || cases == nullptr || tolerated == nullptr ||
      work == nullptr)
    return false;
  if (!in.text(*name, into.name, "a name", 1, 128) ||
      !in.identifier(*name, into.name, "name of a family") ||
      !in.text(*title, into.title, "a title") ||
      !in.text(*version, into.version, "a version in a string") ||
      !in.array(*arguments, "an array of arguments", 1, 256))
    return false;
  for (const value& one : arguments->items) {
    argument made;
    if (!read_argument(in, one, made)) return false;
    for (const argument& other : into.arguments)
      if (other.name == made.name)
        return in.refuse(one, "two arguments are named " + shown(made.name));
    into.arguments.push_back(std::move(made));
  }
  for (std::size_t i = 0; i < into.arguments.size(); ++i)
    for (const expression& extent : into.arguments[i].shape)
      if (!names_known(in, arguments->items[i], extent, into, false))
        return false;

  if (!in.array(*cases, "an array of cases", 1, 4096)) return false;
  for (const value& one : cases->items) {
    test_case made;
    if (!read_case(in, one, into, made)) return false;
    into.cases.push_back(std::move(made));
  }
  if (const value* const overflow = from.find("overflow")) {
    if (!in.array(*overflow, "an array of cases", 0, 16)) return false;
    for (const value& one : overflow->items) {
      test_case made;
      if (!read_case(in, one, into, made)) return false;
      into.overflow.push_back(std::move(made));
    }
  }
  if (const value* const hidden = from.find("hidden"))
    if (!read_hidden(in, *hidden, into, into.hidden)) return false;

  if (!in.object(*tolerated, "a tolerance", {"c", "why"})) return false;
  const value* const c = in.need(*tolerated, "c");
  const value* const why = in.need(*tolerated, "why");
  if (c == nullptr || why == nullptr ||
      !in.real(*c, into.allowed.c, "a number") ||
      !in.text(*why, into.allowed.why, "a reason", 1, 16384))
    return false;
  if (!(std::isfinite(into.allowed.c) && into.allowed.c >= 0))
    return in.refuse(*c, "a tolerance is negative or not finite");

  if (!in.object(*work, "the work of a family", {"bytes", "operations"}))
    return false;
  const value* const bytes = in.need(*work, "bytes");
  const value* const operations = in.need(*work, "operations");
  return bytes != nullptr && operations != nullptr &&
         in.formula(*bytes, into.bytes, "a number of bytes") &&
         in.formula(*operations, into.operations, "a number of operations") &&
         names_known(in, *bytes, into.bytes, into, true) &&
         names_known(in, *operations, into.operations, into, true);
}

// ---- samples
// --------------------------------------------------------------------

inline bool is_absent(const value* it) {
  return it == nullptr || it->kind == type::null;
}

inline bool read_text(reader& in, const value& from, std::string_view key,
                      std::string& into, std::size_t most = 4096) {
  const value* const it = from.find(key);
  return is_absent(it) || in.text(*it, into, "a string", 0, most);
}

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

inline bool read_amount(reader& in, const value& from, std::string_view key,
                        std::optional<double>& into) {
  const value* const it = from.find(key);
  if (is_absent(it)) return true;
  double amount = 0;
  if (!in.real(*it, amount, "a number")) return false;
  if (!(std::isfinite(amount) && amount >= 0))
    return in.refuse(*it, "an amount is negative or not finite");
  into = amount;
  return true;
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
                 std::numeric_limits<std::size_t>::max());
}

// ---- records
// --------------------------------------------------------------------

// JSON has no infinity and no NaN.
inline nlohmann::ordered_json number(double it) {
  if (std::isnan(it)) return "nan";
  if (std::isinf(it)) return it > 0 ? "infinity" : "-infinity";
  return it;
}

inline bool read_number(reader& in, const value& it, double& into) {
  constexpr double infinite = std::numeric_limits<double>::infinity();
  if (it.kind != type::string) return in.real(it, into, "a number");
  if (it.text == "nan")
    into = std::numeric_limits<double>::quiet_NaN();
  else if (it.text == "infinity")
    into = infinite;
  else if (it.text == "-infinity")
    into = -infinite;
  else
    return in.expect(it, "a number");
  return true;
}

template <typename T>
void put(nlohmann::ordered_json& into, const char* key,
         const std::optional<T>& it) {
  if (it) into[key] = *it;
}
inline void put(nlohmann::ordered_json& into, const char* key,
                const std::string& it) {
  if (!it.empty()) into[key] = it;
}

inline nlohmann::ordered_json write(const finding& it) {
  nlohmann::ordered_json made = {{"code", name(it.kind)},
                                 {"severity", name(it.weight)},
                                 {"what", it.what}};
  put(made, "kernel", it.kernel);
  put(made, "element_type", it.element_type);
  put(made, "case", it.test_case);
  put(made, "tensor", it.tensor);
  put(made, "line", it.line);
  put(made, "ptx_line", it.ptx_line);
  put(made, "index", it.index);
  made["count"] = it.count;
  return made;
}

inline nlohmann::ordered_json write(const compiled_kernel& it) {
  nlohmann::ordered_json made = {{"element_type", it.element_type},
                                 {"entry", it.entry},
                                 {"lowered", it.lowered}};
  put(made, "registers", it.registers);
  put(made, "spill_stores", it.spill_stores);
  put(made, "spill_loads", it.spill_loads);
  put(made, "stack_bytes", it.stack_bytes);
  put(made, "static_shared", it.static_shared);
  return made;
}

inline nlohmann::ordered_json write(const case_agreement& it) {
  return {{"case", it.test_case},
          {"element_type", it.element_type},
          {"outcome", name(it.reached)},
          {"compared", it.compared},
          {"wrong", it.wrong},
          {"worst_share", number(it.worst_share)},
          {"warp_instructions", it.warp_instructions},
          {"global_load_sectors", it.global_load_sectors},
          {"global_store_sectors", it.global_store_sectors}};
}

inline nlohmann::ordered_json write(const record& it) {
  using json = nlohmann::ordered_json;
  const auto tokens = [](const std::optional<std::int64_t>& count) {
    return count ? json(*count) : json("not reported");
  };
  json made;
  made["schema"] = it.schema;
  made["id"] = it.of.id;
  made["model"] = it.of.model;
  made["arm"] = it.of.arm;
  made["skill"] = it.of.skill;
  made["task"] = it.of.task;
  made["draw"] = it.of.draw;
  made["path"] = it.of.path;
  put(made, "pair", it.of.pair);
  if (it.of.input_tokens || it.of.output_tokens)
    made["tokens"] = {{"input", tokens(it.of.input_tokens)},
                      {"output", tokens(it.of.output_tokens)}};
  else
    made["tokens"] = "not reported";
  put(made, "cost_usd", it.of.cost_usd);
  put(made, "model_seconds", it.of.seconds);  // `seconds` are ours
  made["source_hash"] = it.source_hash;
  made["skillbench"] = it.skillbench_version;
  made["device"] = it.device;
  made["seed"] = it.seed;
  made["stage"] = name(it.reached);
  made["outcome"] = name(it.what);
  made["reason"] = it.reason;
  made["findings"] = json::array();
  for (const finding& one : it.findings) made["findings"].push_back(write(one));
  made["setting"] = json::object();
  for (const auto& [key, choice] : it.chosen) made["setting"][key] = choice;
  made["kernels"] = json::array();
  for (const compiled_kernel& one : it.kernels)
    made["kernels"].push_back(write(one));
  made["cases"] = json::array();
  for (const case_agreement& one : it.cases)
    made["cases"].push_back(write(one));
  made["speed"] = it.speed;
  made["seconds"] = json::object();
  for (const auto& [key, time] : it.seconds)
    made["seconds"][key] = number(time);
  return made;
}

// The value of an enum that is written as `text`.
template <typename Enum>
bool read_word(reader& in, const value& from, std::string_view key, Enum last,
               Enum& into) {
  const value* const it = in.need(from, key);
  std::string text;
  if (it == nullptr || !in.text(*it, text, "a word", 0)) return false;
  for (int i = 0; i <= static_cast<int>(last); ++i)
    if (name(static_cast<Enum>(i)) == text) {
      into = static_cast<Enum>(i);
      return true;
    }
  return in.refuse(*it, shown(text) + " is no known " + std::string(key));
}

template <typename Whole>
bool read_whole(reader& in, const value& from, std::string_view key,
                std::optional<Whole>& into) {
  const value* const it = from.find(key);
  if (is_absent(it)) return true;
  std::int64_t number = 0;
  if (!in.integer(*it, number, "an integer")) return false;
  if (number < std::numeric_limits<Whole>::min() ||
      number > std::numeric_limits<Whole>::max())
    return in.refuse(*it, "found " + describe(*it) + ", which is too large");
  into = static_cast<Whole>(number);
  return true;
}

inline bool read_count(reader& in, const value& from, std::string_view key,
                       std::uint64_t& into) {
  const value* const it = from.find(key);
  return is_absent(it) || in.count(*it, into, "an integer from 0");
}

inline constexpr std::size_t any_length =
    std::numeric_limits<std::size_t>::max();

inline bool read(reader& in, const value& from, finding& into) {
  return in.object(from, "a finding") &&
         read_word(in, from, "code", last_code, into.kind) &&
         read_word(in, from, "severity", severity::note, into.weight) &&
         read_text(in, from, "what", into.what, any_length) &&
         read_text(in, from, "kernel", into.kernel, any_length) &&
         read_text(in, from, "element_type", into.element_type) &&
         read_text(in, from, "case", into.test_case) &&
         read_text(in, from, "tensor", into.tensor) &&
         read_whole(in, from, "line", into.line) &&
         read_whole(in, from, "ptx_line", into.ptx_line) &&
         read_whole(in, from, "index", into.index) &&
         read_count(in, from, "count", into.count);
}

inline bool read(reader& in, const value& from, compiled_kernel& into) {
  return in.object(from, "a kernel") &&
         read_text(in, from, "element_type", into.element_type) &&
         read_text(in, from, "entry", into.entry, any_length) &&
         read_text(in, from, "lowered", into.lowered, any_length) &&
         read_whole(in, from, "registers", into.registers) &&
         read_whole(in, from, "spill_stores", into.spill_stores) &&
         read_whole(in, from, "spill_loads", into.spill_loads) &&
         read_whole(in, from, "stack_bytes", into.stack_bytes) &&
         read_whole(in, from, "static_shared", into.static_shared);
}

inline bool read(reader& in, const value& from, case_agreement& into) {
  const value* const share = from.find("worst_share");
  return in.object(from, "a case") &&
         read_text(in, from, "case", into.test_case) &&
         read_text(in, from, "element_type", into.element_type) &&
         read_word(in, from, "outcome", outcome::unjudged, into.reached) &&
         read_count(in, from, "compared", into.compared) &&
         read_count(in, from, "wrong", into.wrong) &&
         (is_absent(share) || read_number(in, *share, into.worst_share)) &&
         read_count(in, from, "warp_instructions", into.warp_instructions) &&
         read_count(in, from, "global_load_sectors",
                    into.global_load_sectors) &&
         read_count(in, from, "global_store_sectors",
                    into.global_store_sectors);
}

template <typename T>
bool read_all(reader& in, const value& from, std::string_view key,
              std::vector<T>& into) {
  const value* const it = from.find(key);
  if (is_absent(it)) return true;
  if (!in.array(*it, "an array", 0, any_length)) return false;
  for (const value& one : it->items)
    if (!read(in, one, into.emplace_back())) return false;
  return true;
}

inline bool read_record(reader& in, const value& from, record& into) {
  if (!in.object(from, "a record, an object")) return false;
  const value* const schema = in.need(from, "schema");
  std::int64_t number = 0;
  if (schema == nullptr || !in.integer(*schema, number, "an integer"))
    return false;
  if (number < 1 || number > record_schema)
    return in.refuse(*schema, "the record has schema " +
                                  std::to_string(number) +
                                  "; this release knows 1 to " +
                                  std::to_string(record_schema));
  into.schema = static_cast<int>(number);

  // An absent version must not look like ours.
  into.skillbench_version.clear();
  if (!read_identity(in, from, into.of) ||
      !read_text(in, from, "path", into.of.path, any_length) ||
      !read_amount(in, from, "model_seconds", into.of.seconds) ||
      !read_text(in, from, "source_hash", into.source_hash) ||
      !read_text(in, from, "skillbench", into.skillbench_version) ||
      !read_text(in, from, "device", into.device) ||
      !read_count(in, from, "seed", into.seed) ||
      !read_word(in, from, "stage", stage::done, into.reached) ||
      !read_word(in, from, "outcome", outcome::unjudged, into.what) ||
      !read_text(in, from, "reason", into.reason, any_length) ||
      !read_all(in, from, "findings", into.findings) ||
      !read_all(in, from, "kernels", into.kernels) ||
      !read_all(in, from, "cases", into.cases) ||
      !read_text(in, from, "speed", into.speed, any_length))
    return false;

  if (const value* const it = from.find("setting"); !is_absent(it)) {
    if (!in.object(*it, "an object of tunables")) return false;
    for (const value& one : it->items)
      if (!in.integer(one, into.chosen.emplace_back(one.key, 0).second,
                      "an integer"))
        return false;
  }
  if (const value* const it = from.find("seconds"); !is_absent(it)) {
    if (!in.object(*it, "an object of seconds")) return false;
    for (const value& one : it->items)
      if (!read_number(in, one, into.seconds.emplace_back(one.key, 0.0).second))
        return false;
  }
  return true;
}

// One text to one value, by one of the readers above.
template <typename T>
result<T> read_as(std::string_view text, T into, text_place* where,
                  bool (*read_one)(reader&, const value&, T&)) {
  const auto root = tree(text).parse(where);
  if (!root) return root.error();
  reader in(text, root.value(), where);
  if (!read_one(in, root.value(), into)) return in.error();
  return into;
}

}  // namespace json_text

// ---- doors
// ------------------------------------------------------------------------

// `where`, if asked for, is the place that a fault is about.
[[nodiscard]] inline result<manifest> read_manifest(
    std::string_view json, text_place* where = nullptr) {
  return json_text::read_as<manifest>(json, {}, where,
                                      &json_text::read_manifest);
}

[[nodiscard]] inline result<family> read_family(std::string_view json,
                                                std::string prompt,
                                                std::string baseline,
                                                oracle reference) {
  family made;
  made.prompt = std::move(prompt);
  made.baseline = std::move(baseline);
  made.reference = std::move(reference);
  return json_text::read_as(json, std::move(made), nullptr,
                            &json_text::read_family);
}

// A sample as samples.jsonl has it: `path` is what it says under "output",
// `output` what it says under "text". `arm` and `task` are not looked up.
[[nodiscard]] inline result<sample> read_sample(std::string_view line) {
  return json_text::read_as<sample>(line, {}, nullptr, &json_text::read_sample);
}

[[nodiscard]] inline result<record> read_record(std::string_view line) {
  return json_text::read_as<record>(line, {}, nullptr, &json_text::read_record);
}

// One line without its end. Bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] inline std::string write_record(const record& told) {
  try {
    return json_text::write(told).dump(
        -1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  } catch (const nlohmann::json::exception&) {
    return "{}";  // not reached: what is written here has no wrong types
  }
}

}  // namespace skillbench
