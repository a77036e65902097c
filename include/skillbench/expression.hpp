#pragma once
// expression.hpp: the integer expressions of launch manifests and families.
//
// Layer   1. Includes fault.hpp and the standard library, nothing else.
// Units   64-bit signed integers; what they count is the caller's business.
// Grammar `?:` (right to left), `||`, `&&`, `== !=`, `< <= > >=`, `+ -`,
//         `* / %`, unary `- + !`, parentheses, decimal literals, names, and
//         ceil_div(a, b), min(a, b, ...), max(a, b, ...), next_pow2(n). A name
//         that stands for a text goes with `==` or `!=` and a text in quotes,
//         'row', and with nothing else.
//         Division truncates; `&&`, `||` and `?:` evaluate only what they need.
// Errors  reason::bad_input, with the column (from 1) and the expression:
//         text that is no such expression, an unknown name, a value beyond
//         64 bits, a division by zero, ceil_div of a negative dividend or by
//         a divisor below 1. Nothing wraps around and nothing is undefined.
// Limits  64 KB of text, 128 levels of nesting and 256 names, so that hostile
//         text takes neither the stack nor the machine.
// Source  kernels/contract.md, the text that models are given.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>

namespace skillbench {

// What names stand for: numbers, and texts beside them.
struct bindings : std::vector<std::pair<std::string, std::int64_t>> {
  using vector::vector;
  bindings() = default;
  bindings(const vector& numbers) : vector(numbers) {}
  std::vector<std::pair<std::string, std::string>> texts;
};

class expression {
 public:
  static constexpr std::size_t most_bytes = 64 * 1024;
  static constexpr int most_levels = 128;
  static constexpr std::size_t most_names = 256;

  expression() = default;  // the constant 0

  [[nodiscard]] static result<expression> parse(std::string_view text);

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] result<std::int64_t> evaluate(const bindings& known) const;

  // Every name the text uses, evaluated or not, once each, in order.
  [[nodiscard]] std::vector<std::string> names() const { return names_; }

 private:
  // The text becomes postfix steps for a stack of values, so that evaluating
  // needs no recursion whatever the text was.
  enum class op : std::uint8_t {
    number,  // push `value`
    name,    // push what names_[value] is bound to
    same,    // push whether names_[value] is bound to this text; the next step
             // has the text's place in texts_
    negate,
    invert,
    multiply,
    divide,
    remainder,
    add,
    subtract,
    less,
    less_equal,
    greater,
    greater_equal,
    equal,
    not_equal,
    truth,     // any other number than 0 becomes 1
    jump,      // to step `value`
    choose,    // pop; on 0 go to step `value`
    and_left,  // on 0 keep it and go to step `value`, else pop
    or_left,   // on any other number keep 1 and go to step `value`, else pop
    ceil_div,
    next_pow2,
    min,
    max,  // of `value` numbers
  };
  struct step {
    op what = op::number;
    std::uint32_t column = 0;  // from 1
    std::int64_t value = 0;
  };
  class parser;

  static fault wrong_at(std::string_view text, std::size_t column,
                        const std::string& what);

  std::string text_ = "0";
  std::vector<step> steps_ = {step{}};
  std::vector<std::string> names_;
  std::vector<std::string> texts_;
  std::size_t deepest_ = 1;  // values on the stack at once
};

// ---- text to steps ----------------------------------------------------------

class expression::parser {
 public:
  explicit parser(std::string_view text) : text_(text) {}

  result<expression> parse() {
    if (text_.size() > most_bytes)
      return fault{reason::bad_input,
                   "an expression has " + std::to_string(text_.size()) +
                       " bytes; the limit is " + std::to_string(most_bytes)};
    skip_blanks();
    if (at_ == text_.size())
      return fault{reason::bad_input, "an expression is empty"};
    made_.steps_.clear();
    made_.deepest_ = 0;
    if (!ternary()) return wrong_at(text_, wrong_column_, wrong_);
    if (at_ != text_.size()) {
      unexpected("an operator or the end");
      return wrong_at(text_, wrong_column_, wrong_);
    }
    made_.text_ = std::string(text_);
    return std::move(made_);
  }

 private:
  // Each of these reads one construct and emits its steps; false means that
  // `wrong_` says why not.
  bool ternary() {
    if (!enter()) return false;
    if (!binary(1)) return false;
    if (at_ < text_.size() && text_[at_] == '?') {
      const std::size_t column = at_ + 1;
      advance(1);
      const std::size_t test = emit(op::choose, column);
      pop(1);
      if (!ternary()) return false;
      if (at_ == text_.size() || text_[at_] != ':')
        return unexpected("`:` of the `?` in column " + std::to_string(column));
      advance(1);
      const std::size_t over = emit(op::jump, column);
      pop(1);  // only one of the two branches leaves its value
      land(test);
      if (!ternary()) return false;
      land(over);
    }
    --level_;
    return true;
  }

  struct infix {
    std::string_view sign;
    int binds;  // higher binds tighter
    op what;
  };

  // The two-character signs stand first: `<=` is not `<`.
  static constexpr std::array<infix, 13> signs = {{
      {"||", 1, op::or_left},
      {"&&", 2, op::and_left},
      {"==", 3, op::equal},
      {"!=", 3, op::not_equal},
      {"<=", 4, op::less_equal},
      {">=", 4, op::greater_equal},
      {"<", 4, op::less},
      {">", 4, op::greater},
      {"+", 5, op::add},
      {"-", 5, op::subtract},
      {"*", 6, op::multiply},
      {"/", 6, op::divide},
      {"%", 6, op::remainder},
  }};

  const infix* next_infix() const {
    const std::string_view rest = text_.substr(at_);
    if (rest.starts_with("<<") || rest.starts_with(">>")) return nullptr;
    for (const infix& known : signs)
      if (rest.starts_with(known.sign)) return &known;
    return nullptr;
  }

  bool binary(int least) {
    if (!unary()) return false;
    for (;;) {
      const infix* found = next_infix();
      if (found == nullptr || found->binds < least) return true;
      const std::size_t column = at_ + 1;
      advance(found->sign.size());
      const bool lazy =
          found->what == op::and_left || found->what == op::or_left;
      std::size_t test = 0;
      if (lazy) {
        test = emit(found->what, column);
        pop(1);
      }
      if (!binary(found->binds + 1)) return false;
      if (lazy) {
        emit(op::truth, column);
        land(test);
      } else {
        emit(found->what, column);
        pop(1);
      }
    }
  }

  bool unary() {
    if (at_ == text_.size()) return unexpected("a value");
    const char sign = text_[at_];
    const bool inverts = sign == '!' && !text_.substr(at_).starts_with("!=");
    if (sign != '-' && sign != '+' && !inverts) return primary();
    if (!enter()) return false;
    const std::size_t column = at_ + 1;
    advance(1);
    if (!unary()) return false;
    if (sign == '-') emit(op::negate, column);
    if (sign == '!') emit(op::invert, column);
    --level_;
    return true;
  }

  bool primary() {
    const char first = text_[at_];
    if (is_digit(first)) return number();
    if (is_letter(first)) return name_or_call();
    if (first != '(') return unexpected("a value");
    const std::size_t column = at_ + 1;
    advance(1);
    return ternary() && closed(column);
  }

  bool closed(std::size_t opened) {
    if (at_ == text_.size() || text_[at_] != ')')
      return unexpected("`)` for the `(` in column " + std::to_string(opened));
    advance(1);
    return true;
  }

  bool number() {
    const std::size_t first = at_;
    std::size_t end = at_;
    std::int64_t value = 0;
    bool fits = true;
    for (; end < text_.size() && is_digit(text_[end]); ++end)
      fits = fits && !__builtin_mul_overflow(value, 10, &value) &&
             !__builtin_add_overflow(value, text_[end] - '0', &value);
    if (end < text_.size() && (is_letter(text_[end]) || text_[end] == '.'))
      return refuse(first, "a number is not a plain decimal integer");
    if (end - first > 1 && text_[first] == '0')
      return refuse(first, "a number starts with 0, which C reads as octal");
    if (!fits) return refuse(first, "a number does not fit 64 bits");
    advance(end - first);
    push();
    emit(op::number, first + 1, value);
    return true;
  }

  bool name_or_call() {
    const std::size_t first = at_;
    std::size_t end = at_;
    while (end < text_.size() &&
           (is_letter(text_[end]) || is_digit(text_[end])))
      ++end;
    const std::string_view word = text_.substr(first, end - first);
    advance(end - first);
    if (at_ < text_.size() && text_[at_] == '(') return call(word, first);

    auto& known = made_.names_;
    auto found = std::find(known.begin(), known.end(), word);
    if (found == known.end()) {
      if (known.size() == most_names)
        return refuse(first, "more than " + std::to_string(most_names) +
                                 " different names");
      found = known.emplace(known.end(), word);
    }
    const std::int64_t place = found - known.begin();
    push();
    const std::string_view rest = text_.substr(at_);
    const bool differs = rest.starts_with("!=");
    if (differs || rest.starts_with("==")) {
      const std::size_t next = rest.find_first_not_of(" \t\n\r", 2);
      if (next != rest.npos && (rest[next] == '\'' || rest[next] == '"')) {
        advance(next);
        return quoted(place, first, differs);
      }
    }
    emit(op::name, first + 1, place);
    return true;
  }

  // The text of `NAME == 'text'`.
  bool quoted(std::int64_t name, std::size_t first, bool differs) {
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    if (end == text_.npos) return refuse(at_, "a text in quotes has no end");
    emit(op::same, first + 1, name);
    emit(op::same, first + 1, static_cast<std::int64_t>(made_.texts_.size()));
    made_.texts_.emplace_back(text_.substr(at_ + 1, end - at_ - 1));
    advance(end + 1 - at_);
    if (differs) emit(op::invert, first + 1);
    return true;
  }

  bool call(std::string_view word, std::size_t first) {
    op what = op::min;
    std::size_t wanted = 2;
    bool more = false;
    if (word == "ceil_div")
      what = op::ceil_div;
    else if (word == "next_pow2") {
      what = op::next_pow2;
      wanted = 1;
    } else if (word == "min")
      more = true;
    else if (word == "max") {
      what = op::max;
      more = true;
    } else
      return refuse(first, "there is no function `" + std::string(word) +
                               "`; there are ceil_div, min, max, next_pow2");
    const std::size_t opened = at_ + 1;
    advance(1);
    std::size_t count = 0;
    if (at_ < text_.size() && text_[at_] != ')') {
      if (!ternary()) return false;
      ++count;
      while (at_ < text_.size() && text_[at_] == ',') {
        advance(1);
        if (!ternary()) return false;
        ++count;
      }
    }
    if (!closed(opened)) return false;
    if (count != wanted && !(more && count > wanted))
      return refuse(first,
                    std::string(word) + " takes " + std::to_string(wanted) +
                        (more ? " or more" : "") +
                        (wanted == 1 ? " argument, not " : " arguments, not ") +
                        std::to_string(count));
    emit(what, first + 1, static_cast<std::int64_t>(count));
    pop(count);
    push();
    return true;
  }

  bool enter() {
    if (++level_ <= most_levels) return true;
    return refuse(
        at_, "more than " + std::to_string(most_levels) + " levels of nesting");
  }

  std::size_t emit(op what, std::size_t column, std::int64_t value = 0) {
    made_.steps_.push_back({what, static_cast<std::uint32_t>(column), value});
    return made_.steps_.size() - 1;
  }
  void land(std::size_t jump) {
    made_.steps_[jump].value = static_cast<std::int64_t>(made_.steps_.size());
  }
  void push() { made_.deepest_ = std::max(made_.deepest_, ++height_); }
  void pop(std::size_t count) { height_ -= count; }

  void advance(std::size_t bytes) {
    at_ += bytes;
    skip_blanks();
  }
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' ||
                                  text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  }

  bool refuse(std::size_t offset, std::string what) {
    wrong_column_ = offset + 1;
    wrong_ = std::move(what);
    return false;
  }
  bool unexpected(const std::string& wanted) {
    if (at_ == text_.size())
      return refuse(at_,
                    "the expression ends where " + wanted + " is expected");
    const auto byte = static_cast<unsigned char>(text_[at_]);
    const std::string shown = byte > 0x20 && byte < 0x7f
                                  ? "`" + std::string(1, text_[at_]) + "`"
                                  : "byte " + std::to_string(byte);
    return refuse(at_, shown + " stands where " + wanted + " is expected");
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int level_ = 0;
  std::size_t height_ = 0;
  std::size_t wrong_column_ = 0;
  std::string wrong_;
  expression made_;
};

inline result<expression> expression::parse(std::string_view text) {
  return parser(text).parse();
}

// Quotes the expression; of a long one, what is around the column.
inline fault expression::wrong_at(std::string_view text, std::size_t column,
                                  const std::string& what) {
  constexpr std::size_t around = 60, most = 160;
  std::size_t first = 0, end = text.size();
  if (text.size() > most) {
    first = column > around ? column - around : 0;
    end = std::min(text.size(), column + around);
  }
  std::string shown = first > 0 ? "..." : "";
  for (const char c : text.substr(first, end - first))
    shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  if (end < text.size()) shown += "...";
  return fault{reason::bad_input, what + " (column " + std::to_string(column) +
                                      " of `" + shown + "`)"};
}

// ---- steps to a value -------------------------------------------------------

inline result<std::int64_t> expression::evaluate(const bindings& known) const {
  std::array<std::int64_t, 32> few{};
  std::vector<std::int64_t> many;
  if (deepest_ > few.size()) many.resize(deepest_);
  std::int64_t* const stack = deepest_ > few.size() ? many.data() : few.data();
  std::size_t height = 0;

  for (std::size_t at = 0; at < steps_.size(); ++at) {
    const step& now = steps_[at];
    const auto wrong = [&](const std::string& what) {
      return wrong_at(text_, now.column, what);
    };
    const auto jump = [&] { at = static_cast<std::size_t>(now.value) - 1; };

    switch (now.what) {
      case op::number: stack[height++] = now.value; continue;
      case op::name: {
        const std::string& wanted = names_[static_cast<std::size_t>(now.value)];
        const auto found = std::find_if(
            known.begin(), known.end(),
            [&](const auto& pair) { return pair.first == wanted; });
        if (found == known.end()) {
          for (const auto& pair : known.texts)
            if (pair.first == wanted)
              return wrong("`" + wanted +
                           "` is a text, which goes with == or != and a text "
                           "in quotes");
          return wrong("unknown name `" + wanted + "`");
        }
        stack[height++] = found->second;
        continue;
      }
      case op::same: {
        const std::string& wanted = names_[static_cast<std::size_t>(now.value)];
        const std::string& text =
            texts_[static_cast<std::size_t>(steps_[++at].value)];
        const auto found = std::find_if(
            known.texts.begin(), known.texts.end(),
            [&](const auto& pair) { return pair.first == wanted; });
        if (found == known.texts.end())
          return wrong("`" + wanted + "` is held against a text and is none");
        stack[height++] = found->second == text;
        continue;
      }
      case op::jump: jump(); continue;
      case op::choose:
        if (stack[--height] == 0) jump();
        continue;
      case op::and_left:
        if (stack[height - 1] == 0)
          jump();
        else
          --height;
        continue;
      case op::or_left:
        if (stack[height - 1] != 0) {
          stack[height - 1] = 1;
          jump();
        } else {
          --height;
        }
        continue;
      case op::truth: stack[height - 1] = stack[height - 1] != 0; continue;
      case op::invert: stack[height - 1] = stack[height - 1] == 0; continue;
      case op::negate: {
        std::int64_t& n = stack[height - 1];
        if (__builtin_sub_overflow(std::int64_t{0}, n, &n))
          return wrong("the negative does not fit 64 bits");
        continue;
      }
      case op::next_pow2: {
        std::int64_t& n = stack[height - 1];
        if (n > std::int64_t{1} << 62)
          return wrong("next_pow2(" + std::to_string(n) +
                       ") does not fit 64 bits");
        std::int64_t power = 1;
        while (power < n) power *= 2;
        n = power;
        continue;
      }
      case op::min:
      case op::max: {
        const auto count = static_cast<std::size_t>(now.value);
        std::int64_t* const first = stack + (height - count);
        *first = now.what == op::min ? *std::min_element(first, first + count)
                                     : *std::max_element(first, first + count);
        height -= count - 1;
        continue;
      }
      default: break;
    }

    const std::int64_t b = stack[--height];
    std::int64_t& a = stack[height - 1];
    const auto shown = [&](const std::string& between) {
      return std::to_string(a) + between + std::to_string(b);
    };
    switch (now.what) {
      case op::less: a = a < b; break;
      case op::less_equal: a = a <= b; break;
      case op::greater: a = a > b; break;
      case op::greater_equal: a = a >= b; break;
      case op::equal: a = a == b; break;
      case op::not_equal: a = a != b; break;
      case op::add:
      case op::subtract:
      case op::multiply: {
        std::int64_t made = 0;
        const bool over =
            now.what == op::add        ? __builtin_add_overflow(a, b, &made)
            : now.what == op::subtract ? __builtin_sub_overflow(a, b, &made)
                                       : __builtin_mul_overflow(a, b, &made);
        if (over)
          return wrong(shown(now.what == op::add        ? " + "
                             : now.what == op::subtract ? " - "
                                                        : " * ") +
                       " does not fit 64 bits");
        a = made;
        break;
      }
      case op::divide:
      case op::remainder: {
        const bool divides = now.what == op::divide;
        if (b == 0)
          return wrong(shown(divides ? " / " : " % ") +
                       " is a division by zero");
        if (b == -1 && a == std::numeric_limits<std::int64_t>::min())
          return wrong(shown(divides ? " / " : " % ") +
                       " does not fit 64 bits");
        a = divides ? a / b : a % b;
        break;
      }
      case op::ceil_div:
        if (a < 0)
          return wrong("ceil_div(" + shown(", ") + ") has a negative dividend");
        if (b < 1)
          return wrong("ceil_div(" + shown(", ") + ") has a divisor below 1");
        a = a / b + (a % b != 0);
        break;
      default: return fault{reason::internal, "an expression step is unknown"};
    }
  }
  return stack[0];
}

}  // namespace skillbench
