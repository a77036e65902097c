#pragma once
// json_text.hpp: JSON text to a tree with places, and values to JSON lines.
//
// Layer   3. The only header that includes the JSON library. json_manifest.hpp,
//         json_family.hpp, json_sample.hpp and json_record.hpp read with it;
//         layers 6 and 7 are their users and its own.
// Strict  Nothing may hold a key twice. What else is refused is the business
//         of each reader.
// Places  Lines and columns from 1, columns in bytes; the path of a value is a
//         JSON pointer (RFC 6901).
// Errors  reason::bad_input: where, what was found and what was expected. No
//         exception of the JSON library gets out.
// Limits  32 levels, a million values, and per list what the readers say.

#include <algorithm>
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

#include <skillbench/expression.hpp>
#include <skillbench/fault.hpp>

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

  // For long recordings: another limit on values, and keys of objects whose
  // values are read over and not kept.
  tree(std::string_view text, std::size_t most,
       std::initializer_list<std::string_view> unread)
      : text_(text), furthest_(text.data()), most_(most), unread_(unread) {}

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
    over_ = over_ || std::find(unread_.begin(), unread_.end(), name) !=
                         unread_.end();
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
    if (over_) {  // of a key that is not kept
      if (depth_ == 0 && kind != type::array && kind != type::object) over_ = false;
      key_.clear();
      passed_ = {};
      return &passed_;
    }
    if (++count_ > most_) {
      refuse(at, "more than " + std::to_string(most_) + " values");
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
    depth_ += over_;
    if (open_.size() == most_levels)
      return refuse(made->offset, "more than " + std::to_string(most_levels) +
                                      " levels of nesting");
    open_.push_back({made, {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    if (over_ && --depth_ == 0) over_ = false;
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
  std::size_t most_ = most_values;
  std::vector<std::string_view> unread_;
  bool over_ = false;      // what is read now is not kept
  std::size_t depth_ = 0;  // of levels within that
  value passed_;
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

// ---- what may be absent
// -------------------------------------------------------

// `null` is as good as absent where readers are lenient.
inline bool is_absent(const value* it) {
  return it == nullptr || it->kind == type::null;
}

inline constexpr std::size_t any_length =
    std::numeric_limits<std::size_t>::max();

inline bool read_text(reader& in, const value& from, std::string_view key,
                      std::string& into, std::size_t most = 4096) {
  const value* const it = from.find(key);
  return is_absent(it) || in.text(*it, into, "a string", 0, most);
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

// One text to one value, by one of the readers.
template <typename T>
result<T> read_as(std::string_view text, T into, text_place* where,
                  bool (*read_one)(reader&, const value&, T&)) {
  const auto root = tree(text).parse(where);
  if (!root) return root.error();
  reader in(text, root.value(), where);
  if (!read_one(in, root.value(), into)) return in.error();
  return into;
}

// ---- values to text
// -----------------------------------------------------------

// What is written: keys stay in the order in which they are added.
using json = nlohmann::ordered_json;

// JSON has no infinity and no NaN.
inline json number(double it) {
  if (std::isnan(it)) return "nan";
  if (std::isinf(it)) return it > 0 ? "infinity" : "-infinity";
  return it;
}

template <typename T>
void put(json& into, const char* key, const std::optional<T>& it) {
  if (it) into[key] = *it;
}
inline void put(json& into, const char* key, const std::string& it) {
  if (!it.empty()) into[key] = it;
}

// One line without its end. Bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] inline std::string line_of(const json& it) {
  try {
    return it.dump(-1, ' ', false, json::error_handler_t::replace);
  } catch (const nlohmann::json::exception&) {
    return "{}";  // not reached: what is written here has no wrong types
  }
}

}  // namespace json_text

}  // namespace skillbench
