#pragma once
// condition.hpp: what must hold of a tuning configuration, as files write it.
//
// Layer   1. Includes fault.hpp and the standard library, nothing else.
// Styles  manifest: the grammar and the arithmetic of expression.hpp. python:
//         what tuners write: `and or not`, chained comparisons, `in`,
//         `x if c else y`, `//`, `**`, real `/`, floored `%`, strings, True
//         and False; `&& || !` as well.
// Values  doubles, exact for integers up to 2^53; truth is any number but 0.
//         An operation that has no value (a division by zero, an integer
//         beyond 2^53 in a manifest) gives NaN, and every operation on a NaN
//         but the side of an `and`, an `or` or a choice that is not taken.
// Errors  reason::bad_input with the column (from 1) and the text.
// Limits  64 KB of text, 64 levels of nesting, 4096 operations.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>

namespace skillbench {

class condition {
 public:
  enum class style : std::uint8_t { manifest, python };

  enum class op : std::uint8_t {
    number,  // `number`
    text,    // `text`
    name,    // `text`
    negate,
    invert,
    add,
    subtract,
    multiply,
    divide,
    floor_divide,
    remainder,
    power,
    less,
    less_equal,
    equal,
    not_equal,
    both,    // a, if it is 0, else b
    either,  // a, if it is not 0, else b
    choose,  // a ? b : c
    ceil_div,
    next_pow2,
    least,
    most,
    absolute,
    whole,  // towards zero
    below,  // floor
    above,  // ceiling
  };

  // Operands are earlier nodes.
  struct node {
    op what = op::number;
    int a = -1, b = -1, c = -1;
    double number = 0;
    std::string text = {};
  };

  static constexpr std::size_t most_bytes = 64 * 1024;
  static constexpr int most_levels = 64;
  static constexpr std::size_t most_nodes = 4096;

  [[nodiscard]] static result<condition> parse(std::string_view text, style as);

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] style written_as() const { return as_; }
  [[nodiscard]] const std::vector<node>& nodes() const { return nodes_; }
  // The last node is the value of all.
  [[nodiscard]] int root() const { return static_cast<int>(nodes_.size()) - 1; }

  // One operation on numbers.
  [[nodiscard]] static double apply(op what, style as, double a, double b,
                                    double c);

 private:
  class parser;
  std::string text_;
  style as_ = style::python;
  std::vector<node> nodes_;
};

inline double condition::apply(op what, style as, double a, double b,
                               double c) {
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  constexpr double exact = 9007199254740992.0;
  const bool whole = as == style::manifest;
  const auto held = [whole](double made) {
    return whole && !(std::fabs(made) <= exact) ? none : made;
  };
  switch (what) {
    case op::number:
    case op::text:
    case op::name: return a;
    case op::both: return a == 0 ? a : std::isnan(a) ? none : b;
    case op::either: return a == 0 ? b : a;
    case op::choose: return std::isnan(a) ? none : a != 0 ? b : c;
    default: break;
  }
  if (std::isnan(a) || std::isnan(b)) return none;
  switch (what) {
    case op::negate: return -a;
    case op::invert: return a == 0;
    case op::add: return held(a + b);
    case op::subtract: return held(a - b);
    case op::multiply: return held(a * b);
    case op::divide:
      if (b == 0) return none;
      return whole ? std::trunc(a / b) : a / b;
    case op::floor_divide: return b == 0 ? none : std::floor(a / b);
    case op::remainder: {
      if (b == 0) return none;
      const double left = std::fmod(a, b);
      if (whole || left == 0 || (left < 0) == (b < 0)) return left;
      return left + b;
    }
    case op::power: return std::pow(a, b);
    case op::less: return a < b;
    case op::less_equal: return a <= b;
    case op::equal: return a == b;
    case op::not_equal: return a != b;
    case op::ceil_div: return a < 0 || b < 1 ? none : std::ceil(a / b);
    case op::next_pow2: {
      double made = 1;
      while (made < a) made *= 2;
      return held(made);
    }
    case op::least: return std::min(a, b);
    case op::most: return std::max(a, b);
    case op::absolute: return std::fabs(a);
    case op::whole: return std::trunc(a);
    case op::below: return std::floor(a);
    case op::above: return std::ceil(a);
    default: return none;
  }
}

// ---- text to nodes ----------------------------------------------------------

class condition::parser {
 public:
  parser(std::string_view text, style as) : text_(text), python_(as == style::python) {
    made_.as_ = as;
  }

  result<condition> parse() {
    if (text_.size() > most_bytes)
      return fault{reason::bad_input,
                   "a constraint has " + std::to_string(text_.size()) +
                       " bytes; the limit is " + std::to_string(most_bytes)};
    blanks();
    const int root = choice();
    if (root >= 0 && at_ != text_.size()) unexpected("an operator or the end");
    if (!wrong_.empty()) {
      std::string shown;
      for (const char each : text_.substr(0, 160))
        shown += static_cast<unsigned char>(each) < 0x20 ? ' ' : each;
      if (text_.size() > 160) shown += "...";
      return fault{reason::bad_input, wrong_ + " (column " +
                                          std::to_string(column_) + " of `" +
                                          shown + "`)"};
    }
    // A bare leaf may have been made before others.
    if (root != made_.root()) emit({op::either, root, root});
    made_.text_ = std::string(text_);
    return std::move(made_);
  }

 private:
  int emit(node made) {
    if (made_.nodes_.size() >= most_nodes) return refuse(at_, "a constraint is too long");
    made_.nodes_.push_back(std::move(made));
    return made_.root();
  }
  int two(op what, int a, int b) {
    if (a < 0 || b < 0) return -1;
    return emit({what, a, b});
  }

  // Each reads one construct; -1 means that `wrong_` says why not.
  int choice() {
    if (++level_ > most_levels) return refuse(at_, "a constraint is nested too deeply");
    int value = binary(1);
    if (value >= 0 && python_ && word("if")) {
      const int test = binary(1);
      if (test < 0) return -1;
      if (!word("else")) return unexpected("`else`");
      const int other = choice();
      value = other < 0 ? -1 : emit({op::choose, test, value, other});
    } else if (value >= 0 && sign("?")) {
      const int yes = choice();
      if (yes < 0) return -1;
      if (!sign(":")) return unexpected("`:`");
      const int no = choice();
      value = no < 0 ? -1 : emit({op::choose, value, yes, no});
    }
    --level_;
    return value;
  }

  // 1 or, 2 and, 3 not, 4 comparisons (in a manifest 4 == and 5 <), 6 sums,
  // 7 products.
  int binary(int binds) {
    switch (binds) {
      case 1: {
        int a = binary(2);
        while (a >= 0 && (sign("||") || (python_ && word("or"))))
          a = two(op::either, truth(a), truth(binary(2)));
        return a;
      }
      case 2: {
        int a = binary(3);
        while (a >= 0 && (sign("&&") || (python_ && word("and"))))
          a = two(op::both, a, truth(binary(3)));
        return a;
      }
      case 3:
        if (python_ && word("not")) {
          if (++level_ > most_levels) return refuse(at_, "a constraint is nested too deeply");
          const int a = binary(3);
          --level_;
          return a < 0 ? -1 : emit({op::invert, a});
        }
        return python_ ? chain() : equals();
      default: return sums();
    }
  }

  // In a manifest `a || b` is 0 or 1; Python's is a or b, which holds alike.
  int truth(int a) {
    if (python_ || a < 0) return a;
    return emit({op::invert, emit({op::invert, a})});
  }

  int compare(op what, bool swapped, int a, int b) {
    return swapped ? two(what, b, a) : two(what, a, b);
  }

  bool comparison(op& what, bool& swapped) {
    swapped = false;
    if (sign("==")) return what = op::equal, true;
    if (text_.substr(at_).starts_with("!=")) return advance(2), what = op::not_equal, true;
    if (sign("<=")) return what = op::less_equal, true;
    if (sign(">=")) return what = op::less_equal, swapped = true, true;
    if (text_.substr(at_).starts_with("<<") || text_.substr(at_).starts_with(">>"))
      return false;
    if (sign("<")) return what = op::less, true;
    if (sign(">")) return what = op::less, swapped = true, true;
    return false;
  }

  int chain() {
    int left = sums();
    if (left < 0) return -1;
    int all = -1;
    for (;;) {
      op what = op::equal;
      bool swapped = false;
      int made = -1;
      const std::size_t before = at_;
      const bool negated = word("not");
      if (word("in")) {
        made = one_of(left);
        if (made >= 0 && negated) made = emit({op::invert, made});
        if (made < 0) return -1;
        return all < 0 ? made : two(op::both, all, made);
      }
      if (negated) {
        at_ = before;
        return unexpected("an operator or the end");
      }
      if (!comparison(what, swapped)) break;
      const int right = sums();
      made = right < 0 ? -1 : compare(what, swapped, left, right);
      if (made < 0) return -1;
      all = all < 0 ? made : two(op::both, all, made);
      left = right;
    }
    return all < 0 ? left : all;
  }

  int one_of(int left) {
    const bool list = sign("[");
    if (!list && !sign("(")) return unexpected("`[` or `(`");
    int all = emit({op::number});
    while (!sign(list ? "]" : ")")) {
      const int each = sums();
      if (each < 0) return -1;
      all = two(op::either, all, emit({op::equal, left, each}));
      if (sign(",")) continue;
      if (!sign(list ? "]" : ")")) return unexpected("`,` or the end of the list");
      break;
    }
    return all;
  }

  int equals() {
    int a = orders();
    while (a >= 0) {
      op what = op::equal;
      if (sign("=="))
        what = op::equal;
      else if (text_.substr(at_).starts_with("!="))
        advance(2), what = op::not_equal;
      else
        break;
      a = two(what, a, orders());
    }
    return a;
  }
  int orders() {
    int a = sums();
    while (a >= 0) {
      op what = op::less;
      bool swapped = false;
      const std::string_view rest = text_.substr(at_);
      if (rest.starts_with("==") || rest.starts_with("!=")) break;
      if (!comparison(what, swapped)) break;
      const int b = sums();
      a = b < 0 ? -1 : compare(what, swapped, a, b);
    }
    return a;
  }

  int sums() {
    int a = products();
    while (a >= 0) {
      if (sign("+"))
        a = two(op::add, a, products());
      else if (sign("-"))
        a = two(op::subtract, a, products());
      else
        break;
    }
    return a;
  }
  int products() {
    int a = unary();
    while (a >= 0) {
      if (python_ && text_.substr(at_).starts_with("**")) break;
      if (python_ && sign("//"))
        a = two(op::floor_divide, a, unary());
      else if (sign("*"))
        a = two(op::multiply, a, unary());
      else if (sign("/"))
        a = two(op::divide, a, unary());
      else if (sign("%"))
        a = two(op::remainder, a, unary());
      else
        break;
    }
    return a;
  }
  int unary() {
    const std::string_view rest = text_.substr(at_);
    const bool inverts = rest.starts_with("!") && !rest.starts_with("!=");
    if (!inverts && !rest.starts_with("-") && !rest.starts_with("+")) return powers();
    if (++level_ > most_levels) return refuse(at_, "a constraint is nested too deeply");
    const char which = rest.front();
    advance(1);
    const int a = unary();
    --level_;
    if (a < 0 || which == '+') return a;
    return emit({which == '-' ? op::negate : op::invert, a});
  }
  int powers() {
    const int a = primary();
    if (a < 0 || !python_ || !sign("**")) return a;
    if (++level_ > most_levels) return refuse(at_, "a constraint is nested too deeply");
    const int b = unary();
    --level_;
    return two(op::power, a, b);
  }

  int primary() {
    if (at_ == text_.size()) return unexpected("a value");
    const char first = text_[at_];
    if (is_digit(first) || (python_ && first == '.')) return number();
    if (first == '\'' || first == '"') return quoted(first);
    if (is_letter(first)) return named();
    if (!sign("(")) return unexpected("a value");
    const int inside = choice();
    if (inside < 0) return -1;
    return sign(")") ? inside : unexpected("`)`");
  }

  int number() {
    const std::size_t first = at_;
    std::size_t end = at_;
    double value = 0;
    while (end < text_.size() && is_digit(text_[end]))
      value = value * 10 + (text_[end++] - '0');
    if (python_ && end < text_.size() && text_[end] == '.') {
      double unit = 1;
      for (++end; end < text_.size() && is_digit(text_[end]); ++end)
        value += (unit /= 10) * (text_[end] - '0');
    }
    if (python_ && end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      std::size_t past = end + 1;
      const bool down = past < text_.size() && text_[past] == '-';
      if (past < text_.size() && (text_[past] == '-' || text_[past] == '+')) ++past;
      int exponent = 0;
      const std::size_t digits = past;
      for (; past < text_.size() && is_digit(text_[past]); ++past)
        exponent = std::min(400, exponent * 10 + (text_[past] - '0'));
      if (past > digits) {
        value *= std::pow(10.0, down ? -exponent : exponent);
        end = past;
      }
    }
    if (end < text_.size() && (is_letter(text_[end]) || text_[end] == '.'))
      return refuse(first, "a number is not a plain decimal number");
    if (!(value <= 9007199254740992.0) && !python_)
      return refuse(first, "a number is beyond 2^53");
    advance(end - first);
    return emit({op::number, -1, -1, -1, value, {}});
  }

  int quoted(char quote) {
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) return refuse(at_, "a string has no end");
    const std::string inside(text_.substr(at_ + 1, end - at_ - 1));
    advance(end + 1 - at_);
    return emit({op::text, -1, -1, -1, 0, inside});
  }

  int named() {
    std::size_t end = at_;
    while (end < text_.size() && (is_letter(text_[end]) || is_digit(text_[end]))) ++end;
    const std::size_t first = at_;
    const std::string word_here(text_.substr(at_, end - at_));
    advance(end - at_);
    if (python_ && (word_here == "True" || word_here == "False"))
      return emit({op::number, -1, -1, -1, word_here == "True" ? 1.0 : 0.0, {}});
    if (python_)
      for (const char* kept : {"and", "or", "not", "if", "else", "in", "for", "lambda"})
        if (word_here == kept) {
          at_ = first;
          return unexpected("a value");
        }
    if (at_ < text_.size() && text_[at_] == '(') return call(word_here, first);
    return emit({op::name, -1, -1, -1, 0, word_here});
  }

  int call(const std::string& of, std::size_t first) {
    struct function {
      std::string_view name;
      op what;
      int least, most;
      bool both;  // in manifests as well
    };
    static constexpr function known[] = {
        {"ceil_div", op::ceil_div, 2, 2, true}, {"next_pow2", op::next_pow2, 1, 1, true},
        {"min", op::least, 2, 4096, true},      {"max", op::most, 2, 4096, true},
        {"abs", op::absolute, 1, 1, false},     {"int", op::whole, 1, 1, false},
        {"float", op::number, 1, 1, false},     {"floor", op::below, 1, 1, false},
        {"ceil", op::above, 1, 1, false}};
    const function* found = nullptr;
    for (const function& each : known)
      if (each.name == of && (each.both || python_)) found = &each;
    if (found == nullptr)
      return refuse(first, "there is no function `" + of + "`");
    advance(1);
    int count = 0, made = -1;
    while (!sign(")")) {
      const int each = choice();
      if (each < 0) return -1;
      if (++count > 1 && count > found->most) break;
      made = count == 1 ? each : two(found->what, made, each);
      if (sign(",")) continue;
      if (!sign(")")) return unexpected("`)`");
      break;
    }
    if (count < found->least || count > found->most)
      return refuse(first, "`" + of + "` takes another number of arguments than " +
                               std::to_string(count));
    if (found->most > 1 || found->what == op::number) return made;
    return emit({found->what, made});
  }

  bool sign(std::string_view wanted) {
    if (!text_.substr(at_).starts_with(wanted)) return false;
    advance(wanted.size());
    return true;
  }
  bool word(std::string_view wanted) {
    if (!text_.substr(at_).starts_with(wanted)) return false;
    const std::size_t end = at_ + wanted.size();
    if (end < text_.size() && (is_letter(text_[end]) || is_digit(text_[end])))
      return false;
    advance(wanted.size());
    return true;
  }
  void advance(std::size_t bytes) {
    at_ += bytes;
    blanks();
  }
  void blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' ||
                                  text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  }
  int refuse(std::size_t offset, std::string what) {
    if (!wrong_.empty()) return -1;
    column_ = offset + 1;
    wrong_ = std::move(what);
    return -1;
  }
  int unexpected(const std::string& wanted) {
    if (at_ == text_.size())
      return refuse(at_, "the constraint ends where " + wanted + " is expected");
    const auto byte = static_cast<unsigned char>(text_[at_]);
    const std::string shown = byte > 0x20 && byte < 0x7f
                                  ? "`" + std::string(1, text_[at_]) + "`"
                                  : "byte " + std::to_string(byte);
    return refuse(at_, shown + " stands where " + wanted + " is expected");
  }

  std::string_view text_;
  bool python_;
  std::size_t at_ = 0, column_ = 0;
  int level_ = 0;
  std::string wrong_;
  condition made_;
};

inline result<condition> condition::parse(std::string_view text, style as) {
  return parser(text, as).parse();
}

}  // namespace skillbench
