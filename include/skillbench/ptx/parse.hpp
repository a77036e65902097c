#pragma once
// ptx/parse.hpp: PTX text into the tree of module.hpp, in one pass.
//
// Layer   3. Includes fault.hpp, module.hpp and the standard library.
// Source  PTX ISA 9.0, chapters "Syntax", "State Spaces, Types, and Variables",
//         "Directives"; where it is silent, what ptxas 13.0 takes.
// Names   A register, variable, parameter or label that is declared in an
//         inner { } may hide an outer one, so every declaration gets a name
//         of its own in its function: the second `p` is `p@1`, the third
//         `p@2`; the second range `%r<4>` is named `%r@1@` and its members are
//         `%r@1@0` to `%r@1@3`. A name that the module itself declares counts
//         as taken. Uses are rewritten to the innermost declaration. Special
//         registers, and what only the module knows, stay as they are.
// Forms   a[2] outside of brackets is a name with its subscripts in `parts`.
//         [t, {a, b}] has a and b in `parts`; [t, s, {a, b}] has s and a list.
//         generic(x) in an initialiser is the name x with `vector_part`
//         "generic"; 0xff00(x) is x with `vector_part` "mask" and the mask in
//         `bits`. Inner braces that end early are filled with zeros; an extent
//         [] that an initialiser fixes becomes that number.
//         .branchtargets, .calltargets and .callprototype are instructions of
//         that name without the dot, under their label. An operand in the
//         lists of a prototype has the type as `text`, the elements in `bits`
//         (0 for []) and the alignment in `offset`.
//         Constant expressions are folded; WARP_SZ is 32. .pragma is dropped,
//         and so are .section blocks and the pointee of .ptr.
// Lines   A .loc that was inlined keeps the line of its outermost caller: a
//         chain is followed through the .loc before it, which is how the
//         compiler writes one.
// Errors  reason::bad_input with line and column for any text that is not PTX,
//         or that is beyond the limits below; reason::too_large when memory
//         runs out. Nothing is judged beyond syntax and scopes: an unknown
//         opcode is an instruction, an unknown directive is kept by name.

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/ptx/module.hpp>

namespace skillbench::ptx {

struct parse_limits {
  std::size_t text = std::size_t{64} << 20;        // bytes
  std::size_t tree = std::size_t{1} << 30;         // bytes, about
  std::size_t identifier = std::size_t{64} << 10;  // bytes
  std::int64_t registers = std::int64_t{1} << 20;  // of one function
  std::int64_t elements = std::int64_t{1} << 40;   // of one array
  int depth = 256;                                 // of any brackets
};

class parser {
 public:
  explicit parser(std::string_view text, parse_limits limits = {})
      : limits_(limits) {
    // NVRTC counts the closing NUL as text.
    while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
    line_start_ = at_ = text.data();
    end_ = at_ + text.size();
  }

  [[nodiscard]] result<ptx::module> run() {
    if (static_cast<std::size_t>(end_ - at_) > limits_.text)
      return fault{reason::bad_input,
                   "reading PTX: the text is longer than " +
                       std::to_string(limits_.text) + " bytes"};
    if (whole() && !error_) return std::move(tree_);
    if (error_) return std::move(*error_);
    return fault{reason::internal, "reading PTX: refused without a reason"};
  }

 private:
  // --- refusals ------------------------------------------------------------

  bool refuse(place where, const std::string& what) {
    if (!error_)
      error_ = fault{reason::bad_input,
                     "reading PTX, line " + std::to_string(where.line) +
                         ", column " + std::to_string(where.column) + ": " +
                         what};
    at_ = end_;
    return false;
  }

  bool expected(std::string_view what) {
    return refuse(here(), "expected " + std::string(what) + ", found " + next());
  }

  // The text that stands next, short and printable.
  [[nodiscard]] std::string next() const {
    if (at_ == end_) return "the end of the text";
    return shown({at_, static_cast<std::size_t>(end_ - at_)}, true);
  }

  [[nodiscard]] static std::string shown(std::string_view text,
                                         bool one_word = false) {
    constexpr std::size_t most = 48;
    std::string out = "'";
    std::size_t used = 0;
    const bool word =
        !text.empty() && (name_start(text[0]) || digit(text[0]));
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (one_word && used > 0 && !(word && name_char(c))) break;
      if (used++ == most) {
        out += "...";
        break;
      }
      if (byte >= 32 && byte < 127) {
        out += c;
      } else {
        constexpr char digits[] = "0123456789abcdef";
        out += "\\x";
        out += digits[byte >> 4];
        out += digits[byte & 15];
      }
    }
    return out + "'";
  }

  // Every node pays about what it takes, so that no text, however dense, makes
  // a tree far beyond the limit (a growing vector may hold twice its size).
  bool spend(std::size_t bytes) {
    if (bytes <= limits_.tree - spent_) {
      spent_ += bytes;
      return true;
    }
    return refuse(here(), "the tree of this text would take more than " +
                              std::to_string(limits_.tree) + " bytes");
  }

  // --- characters and words --------------------------------------------------

  [[nodiscard]] static constexpr bool digit(char c) {
    return c >= '0' && c <= '9';
  }
  [[nodiscard]] static constexpr bool letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }
  [[nodiscard]] static constexpr bool word_char(char c) {
    return letter(c) || digit(c) || c == '_';
  }
  [[nodiscard]] static constexpr bool name_char(char c) {
    return word_char(c) || c == '$';
  }
  [[nodiscard]] static constexpr bool name_start(char c) {
    return letter(c) || c == '_' || c == '$' || c == '%';
  }

  [[nodiscard]] place here() const {
    return {line_, static_cast<int>(at_ - line_start_) + 1};
  }

  [[nodiscard]] char peek(std::ptrdiff_t ahead = 0) const {
    return end_ - at_ > ahead ? at_[ahead] : '\0';
  }

  void end_line() {
    ++line_;
    line_start_ = ++at_;
  }

  void skip_line() {
    while (at_ != end_ && *at_ != '\n') ++at_;
  }

  // Looks at each line once: a line may hold a million of '#'.
  [[nodiscard]] bool first_on_line() {
    if (indented_line_ != line_start_) {
      indented_line_ = indent_end_ = line_start_;
      while (indent_end_ != end_ && (*indent_end_ == ' ' || *indent_end_ == '\t'))
        ++indent_end_;
    }
    return at_ == indent_end_;
  }

  void space() {
    while (at_ != end_) {
      const char c = *at_;
      if (c == '\n') {
        end_line();
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v') {
        ++at_;
      } else if (c == '/' && peek(1) == '/') {
        skip_line();
      } else if (c == '/' && peek(1) == '*') {
        comment();
      } else if ((c == '#' || (c == '@' && peek(1) == '@')) &&
                 first_on_line()) {
        skip_line();  // a preprocessor's line, or old debug text
      } else {
        return;
      }
    }
  }

  void comment() {
    const place opened = here();
    at_ += 2;
    while (at_ != end_) {
      if (*at_ == '\n') {
        end_line();
      } else if (*at_ == '*' && peek(1) == '/') {
        at_ += 2;
        return;
      } else {
        ++at_;
      }
    }
    refuse(opened, "the comment is not closed");
  }

  // Takes `c` if it stands next.
  bool take(char c) {
    space();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }

  bool want(char c) {
    if (take(c)) return true;
    return expected(std::string{'\'', c, '\''});
  }

  bool name(std::string_view& out, std::string_view what = "a name") {
    space();
    if (at_ == end_ || !name_start(*at_)) return expected(what);
    const char* first = at_;
    ++at_;
    while (at_ != end_ && name_char(*at_)) ++at_;
    out = {first, static_cast<std::size_t>(at_ - first)};
    if (out.size() > limits_.identifier) {
      at_ = first;
      return refuse(here(), "a name is longer than " +
                                std::to_string(limits_.identifier) + " bytes");
    }
    if (out == "%" || out == "$") {
      at_ = first;
      return expected(what);
    }
    return true;
  }

  // The word right after a '.', which stands next: `L1::no_allocate` is one.
  bool dotted(std::string_view& out, std::string_view what) {
    ++at_;
    const char* first = at_;
    while (at_ != end_) {
      if (word_char(*at_)) {
        ++at_;
      } else if (at_ != first && *at_ == ':' && peek(1) == ':' &&
                 word_char(peek(2))) {
        at_ += 2;
      } else {
        break;
      }
    }
    out = {first, static_cast<std::size_t>(at_ - first)};
    if (out.empty()) return expected(std::string(what) + " right after '.'");
    if (out.size() > limits_.identifier)
      return refuse(here(), "a word is longer than " +
                                std::to_string(limits_.identifier) + " bytes");
    return true;
  }

  [[nodiscard]] bool dot_next() {
    space();
    return at_ != end_ && *at_ == '.';
  }

  bool quoted(std::string_view& out) {
    space();
    const place opened = here();
    if (!want('"')) return false;
    const char* first = at_;
    while (at_ != end_ && *at_ != '"' && *at_ != '\n') ++at_;
    if (at_ == end_ || *at_ == '\n')
      return refuse(opened, "the string is not closed");
    out = {first, static_cast<std::size_t>(at_ - first)};
    ++at_;
    return true;
  }

  // --- numbers and constant expressions --------------------------------------

  struct number {
    operand::type kind = operand::type::integer;
    std::uint64_t bits = 0;
    bool is_unsigned = false;

    [[nodiscard]] bool integer() const {
      return kind == operand::type::integer;
    }
    [[nodiscard]] double real() const {
      if (kind == operand::type::real64) return std::bit_cast<double>(bits);
      if (kind == operand::type::real32)
        return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
      return is_unsigned ? static_cast<double>(bits)
                         : static_cast<double>(static_cast<std::int64_t>(bits));
    }
    [[nodiscard]] bool zero() const {
      return integer() ? bits == 0 : real() == 0.0;
    }
  };

  [[nodiscard]] static number integer_number(std::uint64_t bits,
                                             bool is_unsigned = false) {
    return {operand::type::integer, bits, is_unsigned};
  }
  [[nodiscard]] static number real_number(double value) {
    return {operand::type::real64, std::bit_cast<std::uint64_t>(value), false};
  }

  [[nodiscard]] static int hex_digit(char c) {
    if (digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 99;
  }

  bool literal(number& out) {
    const place first = here();
    const char second = peek(1);
    bool read = false;
    if (peek() == '0' && (second == 'f' || second == 'F')) {
      read = raw_bits(out, operand::type::real32, 8);
    } else if (peek() == '0' && (second == 'd' || second == 'D')) {
      read = raw_bits(out, operand::type::real64, 16);
    } else if (peek() == '0' && (second == 'x' || second == 'X')) {
      at_ += 2;
      read = digits(out, 16, first);
    } else if (peek() == '0' && (second == 'b' || second == 'B')) {
      at_ += 2;
      read = digits(out, 2, first);
    } else {
      const char* end = at_;
      while (end != end_ && digit(*end)) ++end;
      const bool real = end != end_ && (*end == '.' || *end == 'e' || *end == 'E');
      if (real)
        read = decimal_real(out, first);
      else
        read = digits(out, peek() == '0' ? 8 : 10, first);
    }
    if (!read) return false;
    if (at_ != end_ && name_char(*at_))
      return expected("the end of the number");
    return true;
  }

  bool raw_bits(number& out, operand::type kind, int wanted) {
    at_ += 2;
    out = {kind, 0, false};
    for (int i = 0; i < wanted; ++i) {
      const int value = hex_digit(peek());
      if (value > 15)
        return expected(std::to_string(wanted) + " hexadecimal digits");
      out.bits = out.bits << 4 | static_cast<std::uint64_t>(value);
      ++at_;
    }
    return true;
  }

  bool digits(number& out, int base, place first) {
    const auto wide = static_cast<std::uint64_t>(base);
    std::uint64_t bits = 0;
    bool any = false;
    for (; at_ != end_; ++at_) {
      const int value = hex_digit(*at_);
      if (value >= base) break;
      const auto more = static_cast<std::uint64_t>(value);
      if (bits > (~std::uint64_t{0} - more) / wide)
        return refuse(first, "the integer does not fit in 64 bits");
      bits = bits * wide + more;
      any = true;
    }
    if (!any) return expected("a digit of base " + std::to_string(base));
    const bool marked = peek() == 'U';
    if (marked) ++at_;
    out = integer_number(bits, marked || bits >> 63 != 0);
    return true;
  }

  bool decimal_real(number& out, place first) {
    double value = 0.0;
    const auto [stop, problem] = std::from_chars(at_, end_, value);
    if (problem == std::errc::result_out_of_range)
      return refuse(first, "the number does not fit in a double");
    if (problem != std::errc{}) return expected("a number");
    at_ = stop;
    out = real_number(value);
    return true;
  }

  // One level deeper; the level ends with the block.
  class deeper {
   public:
    explicit deeper(parser& of) : of_(of) { ++of_.depth_; }
    ~deeper() { --of_.depth_; }
    deeper(const deeper&) = delete;
    deeper& operator=(const deeper&) = delete;
    [[nodiscard]] bool fits() const {
      if (of_.depth_ <= of_.limits_.depth) return true;
      return of_.refuse(of_.here(), "nested deeper than " +
                                        std::to_string(of_.limits_.depth));
    }

   private:
    parser& of_;
  };

  bool expression(number& out) {
    const deeper level(*this);
    if (!level.fits() || !binary(out, 1)) return false;
    if (!take('?')) return true;
    number yes, no;
    if (!expression(yes) || !want(':') || !expression(no)) return false;
    out = out.zero() ? no : yes;
    return true;
  }

  enum class sign : std::uint8_t {
    none, oror, andand, bit_or, bit_xor, bit_and, equal, unequal, less,
    less_equal, greater, greater_equal, left, right, plus, minus, times,
    divide, modulo,
  };

  struct binary_sign {
    sign what = sign::none;
    int rank = 0;
    int length = 0;
  };

  [[nodiscard]] binary_sign next_sign() const {
    const char a = peek(), b = peek(1);
    switch (a) {
      case '|':
        return b == '|' ? binary_sign{sign::oror, 1, 2}
                        : binary_sign{sign::bit_or, 3, 1};
      case '&':
        return b == '&' ? binary_sign{sign::andand, 2, 2}
                        : binary_sign{sign::bit_and, 5, 1};
      case '^': return {sign::bit_xor, 4, 1};
      case '=':
        return b == '=' ? binary_sign{sign::equal, 6, 2} : binary_sign{};
      case '!':
        return b == '=' ? binary_sign{sign::unequal, 6, 2} : binary_sign{};
      case '<':
        if (b == '<') return {sign::left, 8, 2};
        return b == '=' ? binary_sign{sign::less_equal, 7, 2}
                        : binary_sign{sign::less, 7, 1};
      case '>':
        if (b == '>') return {sign::right, 8, 2};
        return b == '=' ? binary_sign{sign::greater_equal, 7, 2}
                        : binary_sign{sign::greater, 7, 1};
      case '+': return {sign::plus, 9, 1};
      case '-': return {sign::minus, 9, 1};
      case '*': return {sign::times, 10, 1};
      case '/': return {sign::divide, 10, 1};
      case '%': return {sign::modulo, 10, 1};
      default: return {};
    }
  }

  bool binary(number& out, int lowest) {
    if (!unary(out)) return false;
    for (;;) {
      space();
      const binary_sign found = next_sign();
      if (found.what == sign::none || found.rank < lowest) return true;
      const place where = here();
      at_ += found.length;
      number right;
      if (!binary(right, found.rank + 1) ||
          !combine(out, found.what, right, where))
        return false;
    }
  }

  bool combine(number& left, sign what, const number& right, place where) {
    if (what == sign::oror || what == sign::andand) {
      const bool a = !left.zero(), b = !right.zero();
      left = integer_number((what == sign::oror ? a || b : a && b) ? 1 : 0);
      return true;
    }
    if (!left.integer() || !right.integer())
      return combine_reals(left, what, right, where);
    const bool is_unsigned = left.is_unsigned || right.is_unsigned;
    const std::uint64_t a = left.bits, b = right.bits;
    const auto sa = static_cast<std::int64_t>(a);
    const auto sb = static_cast<std::int64_t>(b);
    const bool less = is_unsigned ? a < b : sa < sb;
    std::uint64_t bits = 0;
    switch (what) {
      case sign::equal: left = integer_number(a == b); return true;
      case sign::unequal: left = integer_number(a != b); return true;
      case sign::less: left = integer_number(less); return true;
      case sign::less_equal: left = integer_number(less || a == b); return true;
      case sign::greater: left = integer_number(!less && a != b); return true;
      case sign::greater_equal: left = integer_number(!less); return true;
      case sign::left:
        left.bits = b < 64 ? a << b : 0;
        return true;
      case sign::right:
        if (left.is_unsigned)
          left.bits = b < 64 ? a >> b : 0;
        else
          left.bits = static_cast<std::uint64_t>(sa >> (b < 64 ? b : 63));
        return true;
      case sign::bit_or: bits = a | b; break;
      case sign::bit_xor: bits = a ^ b; break;
      case sign::bit_and: bits = a & b; break;
      case sign::plus: bits = a + b; break;
      case sign::minus: bits = a - b; break;
      case sign::times: bits = a * b; break;
      default:
        if (b == 0) return refuse(where, "a constant is divided by zero");
        if (is_unsigned)
          bits = what == sign::divide ? a / b : a % b;
        else if (sb == -1)  // the lowest integer has no quotient by -1
          bits = what == sign::divide ? std::uint64_t{0} - a : 0;
        else
          bits = static_cast<std::uint64_t>(what == sign::divide ? sa / sb
                                                                 : sa % sb);
        break;
    }
    left = integer_number(bits, is_unsigned);
    return true;
  }

  bool combine_reals(number& left, sign what, const number& right,
                     place where) {
    const double a = left.real(), b = right.real();
    switch (what) {
      case sign::plus: left = real_number(a + b); return true;
      case sign::minus: left = real_number(a - b); return true;
      case sign::times: left = real_number(a * b); return true;
      case sign::divide:
        if (b == 0.0) return refuse(where, "a constant is divided by zero");
        left = real_number(a / b);
        return true;
      case sign::equal: left = integer_number(a == b); return true;
      case sign::unequal: left = integer_number(a != b); return true;
      case sign::less: left = integer_number(a < b); return true;
      case sign::less_equal: left = integer_number(a <= b); return true;
      case sign::greater: left = integer_number(a > b); return true;
      case sign::greater_equal: left = integer_number(a >= b); return true;
      default: return refuse(where, "this operator needs integers");
    }
  }

  bool unary(number& out) {
    const deeper level(*this);
    if (!level.fits()) return false;
    space();
    const place first = here();
    switch (peek()) {
      case '+':
        ++at_;
        return unary(out);
      case '-':
        ++at_;
        if (!unary(out)) return false;
        if (out.integer())
          out.bits = std::uint64_t{0} - out.bits;
        else
          out.bits ^= std::uint64_t{1}
                      << (out.kind == operand::type::real32 ? 31 : 63);
        return true;
      case '~':
        ++at_;
        if (!unary(out)) return false;
        if (!out.integer()) return refuse(first, "'~' needs an integer");
        out.bits = ~out.bits;
        return true;
      case '!':
        ++at_;
        if (!unary(out)) return false;
        out = integer_number(out.zero() ? 1 : 0);
        return true;
      case '(': return parenthesised(out);
      case '.': return literal(out);
      default: break;
    }
    if (digit(peek())) return literal(out);
    std::string_view word;
    if (!name_start(peek())) return expected("a number");
    if (!name(word)) return false;
    if (word != "WARP_SZ")
      return refuse(first, "expected a constant, found " + shown(word));
    out = integer_number(32);
    return true;
  }

  bool parenthesised(number& out) {
    ++at_;
    if (dot_next() && !digit(peek(1))) {  // (.s64) or (.u64)
      const place first = here();
      std::string_view word;
      if (!dotted(word, "a type") || !want(')') || !unary(out)) return false;
      if (word != "s64" && word != "u64")
        return refuse(first, "constants are cast to .s64 or .u64 only");
      if (!out.integer()) return refuse(first, "the cast needs an integer");
      out.is_unsigned = word == "u64";
      return true;
    }
    return expression(out) && want(')');
  }

  bool integer_expression(std::int64_t& out) {
    space();
    const place first = here();
    number value;
    if (!expression(value)) return false;
    if (!value.integer()) return refuse(first, "expected an integer");
    out = static_cast<std::int64_t>(value.bits);
    return true;
  }

  // A plain integer from 0 to `most`, where PTX allows no expression.
  bool count(std::int64_t& out, std::int64_t most, std::string_view what) {
    space();
    const place first = here();
    number value;
    if (!digit(peek())) return expected(what);
    if (!literal(value)) return false;
    if (!value.integer() ||
        !(value.bits <= static_cast<std::uint64_t>(most)))
      return refuse(first, std::string(what) + " is not an integer from 0 to " +
                               std::to_string(most));
    out = static_cast<std::int64_t>(value.bits);
    return true;
  }

  static constexpr std::int64_t any_int = 2147483647;

  // --- scopes ----------------------------------------------------------------

  struct declaration {
    std::size_t scope = 0;  // how many scopes are around it
    std::int64_t count = 0;
    std::string renamed;    // "" when the name is kept
    bool open = true;       // its scope has not been closed
  };

  struct range_state {
    std::vector<declaration> stack;
    std::int64_t most = 0;     // the largest count ever declared
    bool overlapped = false;   // another name may look like a member
  };

  struct label_declaration {
    std::string_view name;
    std::string unique;
  };

  struct scope {
    place opened;
    std::size_t first_use = 0;
    std::vector<std::string_view> names, ranges;
    std::vector<label_declaration> labels;
  };

  struct use {
    std::size_t order = 0;
    std::string* text = nullptr;
    place at;
  };

  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };

  // Everything about the names of the function that is being read.
  struct names_state {
    std::vector<scope> scopes;
    std::unordered_map<std::string_view, std::vector<declaration>> names;
    std::unordered_map<std::string_view, range_state> ranges;
    std::unordered_map<std::string_view, std::int64_t> times;  // declared
    std::unordered_map<std::string, std::vector<use>, text_hash,
                       std::equal_to<>>
        waiting;
    std::size_t uses = 0;
    std::int64_t registers = 0;
  };

  // The trailing digits of a name that may be the number of a range's member:
  // calls `with(prefix, number)` from the shortest prefix on until true.
  template <typename F>
  static bool splits(std::string_view name, F&& with) {
    constexpr std::size_t most = 7;  // digits of the largest register number
    std::size_t first = name.size();
    while (first > 1 && name.size() - first < most && digit(name[first - 1]))
      --first;
    for (; first < name.size(); ++first) {
      std::int64_t value = 0;
      for (std::size_t i = first; i < name.size(); ++i)
        value = value * 10 + (name[i] - '0');
      if (with(name.substr(0, first), value)) return true;
    }
    return false;
  }

  void open_scope(place opened) {
    names_.scopes.push_back({opened, names_.uses, {}, {}, {}});
  }

  // The name that a new declaration gets.
  bool unique_name(std::string_view name, bool range, std::string& out) {
    if (!spend(384)) return false;
    bool taken = module_names_.contains(name) || names_.times.contains(name);
    splits(name, [&](std::string_view prefix, std::int64_t) {
      if (!spend(128)) return true;
      auto& state = names_.ranges[prefix];
      state.overlapped = true;
      if (!state.stack.empty() || state.most > 0) taken = true;
      return false;
    });
    if (error_) return false;
    if (range && names_.ranges[name].overlapped) taken = true;
    const std::int64_t before = names_.times[name]++;
    if (!taken) return true;
    out.reserve(name.size() + 8);
    out += name;
    out += '@';
    out += std::to_string(std::max<std::int64_t>(before, 1));
    if (range) out += '@';
    // A first clash with the module's name and a second one would both be @1.
    if (before == 0) names_.times[name] = 2;
    return spend(out.size());
  }

  bool declare(variable& what, place where, std::string_view name) {
    if (name == "_") return refuse(where, "'_' cannot be declared");
    const std::size_t depth = names_.scopes.size();
    const bool range = what.count > 0;
    std::string renamed;
    // Nodes of these maps stay where they are.
    auto* const old = range ? &names_.ranges[name].stack : &names_.names[name];
    if (!old->empty() && old->back().scope == depth)
      return refuse(where, shown(name) + " is declared twice in one scope");
    if (!unique_name(name, range, renamed)) return false;
    if (!renamed.empty()) what.name = renamed;
    old->push_back({depth, what.count, std::move(renamed), true});
    scope& innermost = names_.scopes.back();
    if (range) {
      auto& most = names_.ranges[name].most;
      most = std::max(most, what.count);
      innermost.ranges.push_back(name);
    } else {
      innermost.names.push_back(name);
    }
    return true;
  }

  bool declare_label(std::string_view name, place where, std::string& unique) {
    scope& innermost = names_.scopes.back();
    auto& known = names_.names[name];
    if (!known.empty() && known.back().scope == names_.scopes.size())
      return refuse(where, shown(name) + " is declared twice in one scope");
    auto& of_scope = label_scopes_[name];
    if (!of_scope.empty() && of_scope.back() == names_.scopes.size())
      return refuse(where, shown(name) + " is declared twice in one scope");
    if (!unique_name(name, false, unique)) return false;
    if (unique.empty()) unique = std::string(name);
    of_scope.push_back(names_.scopes.size());
    innermost.labels.push_back({name, unique});
    return spend(2 * name.size());
  }

  // Binds the waiting uses of the scope's labels, and forgets its names.
  void close_scope() {
    scope& closing = names_.scopes.back();
    for (const auto& [label, unique] : closing.labels) {
      label_scopes_[label].pop_back();
      const auto found = names_.waiting.find(label);
      if (found == names_.waiting.end()) continue;
      auto& uses = found->second;
      while (!uses.empty() && uses.back().order >= closing.first_use) {
        if (unique != label) *uses.back().text = unique;
        uses.pop_back();
      }
    }
    for (const auto name : closing.names) names_.names[name].pop_back();
    for (const auto name : closing.ranges) names_.ranges[name].stack.pop_back();
    names_.scopes.pop_back();
  }

  enum class found_name : std::uint8_t { no, yes, refused };

  // Rewrites `text` to the declaration that it means.
  found_name bind(std::string& text, place where) {
    const declaration* best = nullptr;
    std::size_t prefix_size = 0;
    std::int64_t member = 0;
    bool both = false;
    const auto offer = [&](const std::vector<declaration>& stack,
                           std::size_t prefix, std::int64_t index) {
      // An inner range that is too short does not hide an outer one.
      for (auto it = stack.rbegin(); it != stack.rend(); ++it) {
        if (prefix != 0 && index >= it->count) continue;
        if (best && best->scope >= it->scope) {
          both = both || best->scope == it->scope;
          return;
        }
        best = &*it;
        prefix_size = prefix;
        member = index;
        both = false;
        return;
      }
    };
    const bool plain =
        splits(text, [&](std::string_view prefix, std::int64_t index) {
          const auto found = names_.ranges.find(prefix);
          if (found == names_.ranges.end()) return false;
          if (!found->second.stack.empty())
            offer(found->second.stack, prefix.size(), index);
          // The usual case: %r12 can only be a member of %r<N>.
          return best != nullptr && !found->second.overlapped;
        });
    if (!plain) {
      const auto found = names_.names.find(text);
      if (found != names_.names.end()) offer(found->second, 0, 0);
    }
    if (!best) return found_name::no;
    if (both) {
      refuse(where, shown(text) + " could be two registers of this scope");
      return found_name::refused;
    }
    if (prefix_size == 0) {
      if (!best->renamed.empty()) text = best->renamed;
    } else if (!best->renamed.empty()) {
      text = best->renamed + std::to_string(member);
    } else if (text[prefix_size] == '0' && text.size() > prefix_size + 1) {
      text = text.substr(0, prefix_size) + std::to_string(member);
    }
    return found_name::yes;
  }

  // Whether some scope of this function has declared the name.
  [[nodiscard]] bool declared_somewhere(std::string_view name) {
    if (names_.names.contains(name)) return true;
    return splits(name, [&](std::string_view prefix, std::int64_t member) {
      const auto found = names_.ranges.find(prefix);
      return found != names_.ranges.end() && member < found->second.most;
    });
  }

  bool out_of_scope(std::string_view name, place where) {
    return refuse(where,
                  shown(name) + " is used outside of the scope that declares it");
  }

  // Binds every name of an operand that will not move any more.
  bool bind(operand& what) {
    const bool named = what.kind == operand::type::name ||
                       (what.kind == operand::type::address &&
                        !what.text.empty());
    if (named) {
      const found_name found = bind(what.text, what.at);
      if (found == found_name::refused) return false;
      if (found == found_name::no) {
        // A label may still be declared; a variable may not.
        if (!spend(sizeof(use) + what.text.size() + 32)) return false;
        auto it = names_.waiting.find(what.text);
        if (it == names_.waiting.end())
          it = names_.waiting.try_emplace(what.text).first;
        it->second.push_back({names_.uses, &what.text, what.at});
      }
      ++names_.uses;
    }
    for (auto& part : what.parts)
      if (!bind(part)) return false;
    for (auto& second : what.pair)
      if (!bind(second)) return false;
    return true;
  }

  // After the function's last scope: what still waits is the module's, or a
  // special register, or a mistake.
  bool settle() {
    const use* first = nullptr;
    std::string_view what;
    for (const auto& [name, uses] : names_.waiting) {
      if (uses.empty() || module_names_.contains(name)) continue;
      if (!declared_somewhere(name)) continue;
      if (first && first->order <= uses.front().order) continue;
      first = &uses.front();
      what = name;
    }
    return !first || out_of_scope(what, first->at);
  }

  // --- operands --------------------------------------------------------------

  bool operand_of(operand& out, bool call) {
    const deeper level(*this);
    if (!level.fits() || !spend(sizeof(operand))) return false;
    space();
    out.at = here();
    const char c = peek();
    bool read = false;
    if (c == '{') {
      ++at_;
      out.kind = operand::type::list;
      read = operands_until(out.parts, '}', false);
      if (read && out.parts.empty())
        return refuse(out.at, "a list needs an operand");
    } else if (c == '(' && call) {
      ++at_;
      out.kind = operand::type::call_list;
      read = operands_until(out.parts, ')', false);
    } else if (c == '[') {
      ++at_;
      read = address(out);
    } else if (c == '!' || c == '-') {
      read = signed_operand(out);
    } else if (name_start(c) && !warp_size_next()) {
      read = named(out);
    } else {
      read = constant(out);
    }
    if (!read) return false;
    space();
    if (peek() != '|' || peek(1) == '|') return true;
    ++at_;
    out.pair.emplace_back();
    return operand_of(out.pair.back(), false);
  }

  [[nodiscard]] bool warp_size_next() const {
    constexpr std::string_view word = "WARP_SZ";
    const std::string_view rest{at_, static_cast<std::size_t>(end_ - at_)};
    return rest.starts_with(word) &&
           (rest.size() == word.size() || !name_char(rest[word.size()]));
  }

  bool constant(operand& out) {
    number value;
    if (at_ == end_ || !(digit(peek()) || name_start(peek()) ||
                         std::string_view("+-~!(.").find(peek()) !=
                             std::string_view::npos))
      return expected("an operand");
    if (!expression(value)) return false;
    out.kind = value.kind;
    out.bits = value.bits;
    return true;
  }

  // !%p, -%r, or a constant that starts with a sign.
  bool signed_operand(operand& out) {
    const char* first = at_;
    const char* first_line = line_start_;
    const int line = line_;
    ++at_;
    space();
    if (name_start(peek()) && !warp_size_next()) {
      out.negated = true;
      return named(out);
    }
    at_ = first;
    line_start_ = first_line;
    line_ = line;
    return constant(out);
  }

  bool named(operand& out) {
    std::string_view word;
    if (!name(word, "an operand") || !spend(word.size())) return false;
    if (word == "_") {
      out.kind = operand::type::discard;
      return true;
    }
    out.kind = operand::type::name;
    out.text = word;
    return vector_part(out) && subscripts(out) && offset(out);
  }

  bool vector_part(operand& out) {
    if (!dot_next()) return true;
    std::string_view word;
    const place first = here();
    if (!dotted(word, "a vector's part")) return false;
    if (word.size() > 2)
      return refuse(first, "expected a vector's part, found " + shown(word));
    out.vector_part = word;
    return true;
  }

  bool subscripts(operand& out) {
    while (take('[')) {
      if (!spend(sizeof(operand))) return false;
      operand index;
      space();
      index.at = here();
      std::int64_t value = 0;
      if (!integer_expression(value) || !want(']')) return false;
      index.kind = operand::type::integer;
      index.bits = static_cast<std::uint64_t>(value);
      out.parts.push_back(std::move(index));
    }
    return !error_;
  }

  bool offset(operand& out) {
    space();
    if (peek() != '+' && peek() != '-') return !error_;
    return integer_expression(out.offset);
  }

  // After the '['.
  bool address(operand& out) {
    out.kind = operand::type::address;
    space();
    if (name_start(peek()) && !warp_size_next()) {
      std::string_view word;
      if (!name(word) || !spend(word.size())) return false;
      out.text = word;
      if (!vector_part(out) || !offset(out)) return false;
    } else if (!integer_expression(out.offset)) {
      return false;
    }
    if (take(',')) {
      if (!operands_until(out.parts, ']', true)) return false;
      if (out.parts.size() == 1 &&
          out.parts[0].kind == operand::type::list) {
        std::vector<operand> inner = std::move(out.parts[0].parts);
        out.parts = std::move(inner);
      }
      return true;
    }
    return want(']');
  }

  // Operands with commas between them, up to and with `closing`.
  bool operands_until(std::vector<operand>& out, char closing, bool call) {
    if (take(closing)) return true;
    for (;;) {
      out.emplace_back();
      if (!operand_of(out.back(), call)) return false;
      if (take(closing)) return true;
      if (!take(','))
        return expected(std::string{'\'', ',', '\''} + " or '" + closing + "'");
    }
  }

  // --- variables -------------------------------------------------------------

  [[nodiscard]] static bool is_space(std::string_view word) {
    return word == "reg" || word == "global" || word == "shared" ||
           word == "const" || word == "local" || word == "param" ||
           word == "sreg" || word == "tex";
  }

  // What stands before the name: .align 16 .v2 .b8, and attributes.
  bool type_of(variable& out) {
    bool pointee = false;
    if (out.space == "const" && take('[')) {  // a bank, long unused
      std::int64_t bank = 0;
      if (!count(bank, 15, "a constant bank") || !want(']')) return false;
    }
    while (dot_next()) {
      const place first = here();
      std::string_view word;
      if (!dotted(word, "a type")) return false;
      if (word == "align") {
        std::int64_t align = 0;
        if (!count(align, std::int64_t{1} << 30, "an alignment")) return false;
        if (align <= 0 || !std::has_single_bit(static_cast<std::uint64_t>(align)))
          return refuse(first, "an alignment must be a power of two");
        if (!pointee) out.align = align;
      } else if (word == "ptr") {
        pointee = true;
      } else if (pointee && is_space(word)) {
        continue;
      } else if (word == "attribute") {
        if (!unknown("attribute", first) || !skip_round()) return false;
      } else if (word == "v2" || word == "v4" || word == "v8") {
        out.vector = word[1] - '0';
      } else if (out.type.empty()) {
        if (!spend(word.size())) return false;
        out.type = word;
      } else {
        return refuse(first, "expected a name, found a second type " +
                                 shown(word));
      }
    }
    if (out.type.empty()) return expected("a type");
    return true;
  }

  // name, name<10>, name[2][3]; the first part of a declaration.
  // `empty` is told about name<0>, which declares nothing.
  bool declarator(variable& out, std::string_view& word, bool* empty) {
    space();
    out.at = here();
    if (!name(word) || !spend(sizeof(variable) + 2 * word.size())) return false;
    out.name = word;
    if (take('<')) {
      if (!count(out.count, limits_.registers, "a number of registers") ||
          !want('>'))
        return false;
      if (empty) *empty = out.count == 0;
    }
    if (out.space == "reg" || out.count > 0) {
      names_.registers += std::max<std::int64_t>(out.count, 1);
      if (names_.registers > limits_.registers)
        return refuse(out.at, "more than " + std::to_string(limits_.registers) +
                                  " registers in one function");
    }
    std::int64_t elements = 1;
    while (take('[')) {
      if (!spend(sizeof(std::int64_t))) return false;
      if (take(']')) {
        out.extents.push_back(-1);
        continue;
      }
      std::int64_t extent = 0;
      if (!count(extent, limits_.elements, "an array's extent") || !want(']'))
        return false;
      if (extent > 0 && elements > limits_.elements / extent)
        return refuse(out.at, "an array has more than " +
                                  std::to_string(limits_.elements) +
                                  " elements");
      elements *= std::max<std::int64_t>(extent, 1);
      out.extents.push_back(extent);
    }
    return !error_;
  }

  // A whole declaration after its state space, to the ';'.
  bool declarations(std::string_view state_space, std::string_view linkage,
                    std::vector<variable>& out, bool inside) {
    variable head;
    head.space = state_space;
    head.linkage = linkage;
    if (!type_of(head)) return false;
    do {
      variable made = head;
      std::string_view word;
      bool empty = false;
      if (!declarator(made, word, &empty)) return false;
      if (take('=') && !initialiser(made)) return false;
      if (empty) continue;
      if (inside) {
        if (!declare(made, made.at, word)) return false;
      } else {
        module_names_.insert(word);
      }
      out.push_back(std::move(made));
    } while (take(','));
    return want(';');
  }

  bool initialiser(variable& of) {
    space();
    if (of.type == "samplerref" || of.type == "texref" || of.type == "surfref")
      return unknown("initialiser of ." + of.type, here()) && skip_curly();
    std::vector<std::int64_t> extents = of.extents;
    if (of.vector > 1) extents.push_back(of.vector);
    if (peek() != '{') {
      if (!extents.empty()) return expected("'{'");
      of.values.emplace_back();
      return initial_value(of.values.back());
    }
    if (extents.empty())
      return refuse(here(), "a single value stands without braces");
    std::int64_t items = 0;
    if (!initial_list(of.values, extents, 0, 0, items)) return false;
    if (!of.extents.empty() && of.extents[0] < 0) of.extents[0] = items;
    return true;
  }

  // { ... } for the elements from `base` on, `level` extents deep.
  bool initial_list(std::vector<operand>& out,
                    const std::vector<std::int64_t>& extents,
                    std::size_t level, std::int64_t base, std::int64_t& items) {
    const deeper depth(*this);
    if (!depth.fits() || !want('{')) return false;
    std::int64_t each = 1;
    for (std::size_t i = level + 1; i < extents.size(); ++i) {
      if (extents[i] < 0)
        return refuse(here(), "only the first extent may be left open");
      each *= extents[i];
    }
    if (take('}')) return !error_;
    do {
      space();
      if (extents[level] >= 0 && items >= extents[level])
        return refuse(here(), "more values than elements");
      const std::int64_t first = base + items * each;
      ++items;
      if (!fill_to(out, first)) return false;
      const bool inner = level + 1 < extents.size();
      if (inner != (peek() == '{')) return expected(inner ? "'{'" : "a value");
      if (inner) {
        std::int64_t inside = 0;
        if (!initial_list(out, extents, level + 1, first, inside)) return false;
      } else {
        out.emplace_back();
        if (!initial_value(out.back())) return false;
      }
    } while (take(','));
    return want('}');
  }

  bool fill_to(std::vector<operand>& out, std::int64_t size) {
    const auto have = static_cast<std::int64_t>(out.size());
    if (size <= have) return true;
    const std::int64_t missing = size - have;
    if (missing > static_cast<std::int64_t>(limits_.tree / sizeof(operand)))
      return spend(limits_.tree + 1);
    if (!spend(static_cast<std::size_t>(missing) * sizeof(operand)))
      return false;
    operand zero;
    zero.kind = operand::type::integer;
    zero.at = here();
    out.resize(static_cast<std::size_t>(size), zero);
    return true;
  }

  // 3, 0f3F800000, name, name+8, generic(name)+8, 0xff00(name).
  bool initial_value(operand& out) {
    if (!spend(sizeof(operand))) return false;
    space();
    out.at = here();
    if (name_start(peek()) && !warp_size_next()) {
      std::string_view word;
      if (!name(word)) return false;
      if (word == "generic" && take('(')) {
        out.vector_part = "generic";
        if (!name(word) || !want(')')) return false;
      }
      out.text = word;
      return spend(word.size()) && offset(out);
    }
    if (!constant(out)) return false;
    if (out.kind != operand::type::integer || !take('(')) return !error_;
    std::string_view word;
    if (!name(word) || !spend(word.size())) return false;
    out.kind = operand::type::name;
    out.vector_part = "mask";
    out.text = word;
    return offset(out) && want(')');
  }

  // --- what is passed over ---------------------------------------------------

  bool unknown(std::string what, place where) {
    if (!spend(sizeof(std::pair<std::string, place>) + what.size()))
      return false;
    tree_.unknown.emplace_back(std::move(what), where);
    return true;
  }

  // From an opening bracket, if it stands next, to the one that closes it.
  bool skip_curly() {
    space();
    const place opened = here();
    if (!want('{')) return false;
    return skip_to('}', opened);
  }

  bool skip_round() {
    space();
    const place opened = here();
    if (!want('(')) return false;
    return skip_to(')', opened);
  }

  // After an opening bracket.
  bool skip_to(char closing, place opened) {
    const char opening = closing == '}' ? '{' : '(';
    int depth = 1;
    for (;;) {
      space();
      if (at_ == end_) return refuse(opened, "the bracket is not closed");
      if (*at_ == '"') {
        std::string_view text;
        if (!quoted(text)) return false;
        continue;
      }
      const char c = *at_++;
      if (c == opening && ++depth > limits_.depth)
        return refuse(opened, "nested deeper than " +
                                  std::to_string(limits_.depth));
      if (c == closing && --depth == 0) return true;
    }
  }

  // The rest of a directive that is not understood: to its ';', or over its
  // block when it has one.
  bool skip_directive(std::string_view word, place where) {
    if (!unknown(std::string(word), where)) return false;
    for (;;) {
      space();
      if (at_ == end_)
        return refuse(where, "the directive ." + std::string(word) +
                                 " has no end");
      switch (*at_) {
        case '"': {
          std::string_view text;
          if (!quoted(text)) return false;
          break;
        }
        case ';': ++at_; return true;
        case '{': return skip_curly();
        case '}': return expected("';'");
        default: ++at_; break;
      }
    }
  }

  // --- .loc, .file, .pragma, .section ----------------------------------------

  struct source_place {
    int file = 0, line = 0, column = 0;
    bool operator==(const source_place&) const = default;
  };

  struct source_hash {
    std::size_t operator()(const source_place& at) const noexcept {
      const auto mixed =
          static_cast<std::uint64_t>(static_cast<std::uint32_t>(at.line)) *
              0x9e3779b97f4a7c15u +
          static_cast<std::uint64_t>(static_cast<std::uint32_t>(at.column)) *
              0xc2b2ae3d27d4eb4fu +
          static_cast<std::uint64_t>(static_cast<std::uint32_t>(at.file));
      return static_cast<std::size_t>(mixed ^ mixed >> 29);
    }
  };

  bool source_of(source_place& out) {
    std::int64_t file = 0, line = 0, column = 0;
    if (!count(file, any_int, "a file's number") ||
        !count(line, any_int, "a line") || !count(column, any_int, "a column"))
      return false;
    out = {static_cast<int>(file), static_cast<int>(line),
           static_cast<int>(column)};
    return true;
  }

  bool loc() {
    source_place mine, caller;
    bool inlined = false;
    if (!source_of(mine)) return false;
    while (take(',')) {
      space();
      const place first = here();
      std::string_view word;
      if (!name(word, "function_name or inlined_at")) return false;
      if (word == "function_name") {
        operand ignored;
        if (!name(word) || !offset(ignored)) return false;
      } else if (word == "inlined_at") {
        if (!source_of(caller)) return false;
        inlined = true;
      } else {
        return refuse(first, "expected function_name or inlined_at, found " +
                                 shown(word));
      }
    }
    file_ = mine.file;
    source_line_ = mine.line;
    if (!inlined) {
      inlined_line_ = 0;
      if (!callers_.empty()) callers_.erase(mine);
      return !error_;
    }
    const auto outer = callers_.find(caller);
    inlined_line_ = outer == callers_.end() ? caller.line : outer->second;
    const auto [known, fresh] = callers_.try_emplace(mine, inlined_line_);
    if (fresh) return spend(64);
    known->second = inlined_line_;
    return !error_;
  }

  bool file() {
    std::int64_t which = 0, ignored = 0;
    std::string_view path;
    if (!count(which, any_int, "a file's number") || !quoted(path) ||
        !spend(64 + path.size()))
      return false;
    tree_.files.emplace_back(static_cast<int>(which), std::string(path));
    while (take(','))  // its time and its size
      if (!count(ignored, std::int64_t{1} << 62, "a time or a size"))
        return false;
    return !error_;
  }

  bool pragma() {
    std::string_view text;
    do {
      if (!quoted(text)) return false;
    } while (take(','));
    return want(';');
  }

  bool section() {
    if (dot_next()) {
      std::string_view word;
      if (!dotted(word, "a section's name")) return false;
    } else {
      std::string_view word;
      if (!name(word, "a section's name")) return false;
    }
    return skip_curly();
  }

  // --- functions -------------------------------------------------------------

  // (.param .b64 a, .reg .b32 b); those of a .callprototype have no names.
  bool parameters(std::vector<variable>& out, bool named_ones) {
    if (!want('(')) return false;
    if (take(')')) return true;
    do {
      if (!dot_next()) return expected("a parameter");
      std::string_view word;
      const place first = here();
      if (!dotted(word, "a state space")) return false;
      if (word != "param" && word != "reg")
        return refuse(first, "expected .param or .reg, found " + shown(word));
      variable made;
      made.space = word;
      if (!type_of(made) || !declarator(made, word, nullptr)) return false;
      if (named_ones && word != "_" && !declare(made, made.at, word))
        return false;
      out.push_back(std::move(made));
    } while (take(','));
    return want(')');
  }

  bool function_of(bool entry, std::string_view linkage, place where) {
    function made;
    made.entry = entry;
    made.linkage = linkage;
    made.at = where;
    if (!spend(sizeof(function))) return false;
    names_ = {};
    label_scopes_.clear();
    callers_.clear();
    file_ = source_line_ = inlined_line_ = 0;
    open_scope(where);

    while (dot_next()) {
      const place first = here();
      std::string_view word;
      if (!dotted(word, "a directive")) return false;
      if (word != "attribute") return refuse(first, "expected a function's name");
      if (!unknown("attribute", first) || !skip_round()) return false;
    }
    space();
    if (peek() == '(' && !parameters(made.returns, true)) return false;
    std::string_view word;
    if (!name(word, "a function's name") || !spend(word.size())) return false;
    made.name = word;
    module_names_.insert(word);
    space();
    if (peek() == '(' && !parameters(made.params, true)) return false;
    if (!function_directives(made)) return false;

    space();
    if (peek() == '{') {
      made.defined = true;
      names_.scopes.back().opened = here();
      ++at_;
      if (!body(made)) return false;
    } else if (!take(';')) {
      return expected("'{' or ';'");
    }
    tree_.functions.push_back(std::move(made));
    return true;
  }

  bool function_directives(function& of) {
    while (dot_next()) {
      std::string_view word;
      if (!dotted(word, "a directive")) return false;
      if (word == "pragma") {
        if (!pragma()) return false;
        continue;
      }
      if (!spend(64 + word.size())) return false;
      std::vector<std::int64_t> values;
      space();
      while (digit(peek())) {
        std::int64_t value = 0;
        if (!spend(sizeof(value)) || !count(value, any_int, "a number"))
          return false;
        values.push_back(value);
        if (!take(',')) break;
        space();
        if (!digit(peek())) return expected("a number");
      }
      of.directives.emplace_back(std::string(word), std::move(values));
    }
    return !error_;
  }

  // After the '{', to the '}' that closes the function.
  bool body(function& of) {
    std::vector<std::string> labels;
    for (;;) {
      space();
      const place first = here();
      if (at_ == end_)
        return refuse(names_.scopes.back().opened, "this '{' is not closed");
      switch (*at_) {
        case '{':
          if (static_cast<int>(names_.scopes.size()) >= limits_.depth)
            return refuse(first, "nested deeper than " +
                                     std::to_string(limits_.depth));
          if (!spend(sizeof(scope))) return false;
          ++at_;
          open_scope(first);
          break;
        case '}':
          ++at_;
          close_scope();
          if (names_.scopes.empty()) {
            of.end_labels = std::move(labels);
            return settle();
          }
          break;
        case '.':
          if (!body_directive(of, labels)) return false;
          break;
        case '@':
          if (!statement(of, labels, first)) return false;
          break;
        default:
          if (!name_start(*at_)) return expected("an instruction");
          if (!statement(of, labels, first)) return false;
          break;
      }
    }
  }

  bool body_directive(function& of, std::vector<std::string>& labels) {
    const place first = here();
    std::string_view word;
    if (!dotted(word, "a directive")) return false;
    if (word == "loc") return loc();
    if (word == "pragma") return pragma();
    if (word == "file") return file();
    if (word == "section") return section();
    if (is_space(word)) return declarations(word, "", of.variables, true);
    if (word == "branchtargets" || word == "calltargets" ||
        word == "callprototype") {
      instruction made;
      made.at = first;
      made.opcode = word;
      if (word == "callprototype") {
        if (!prototype(made)) return false;
      } else if (!operands_until(made.operands, ';', false)) {
        return false;
      }
      return add(of, std::move(made), labels);
    }
    return skip_directive(word, first);
  }

  // After .callprototype, to the ';'.
  bool prototype(instruction& out) {
    std::vector<variable> returns, params;
    space();
    if (peek() == '(' && !parameters(returns, false)) return false;
    space();
    operand discarded;
    discarded.at = here();
    discarded.kind = operand::type::discard;
    std::string_view word;
    if (!name(word, "'_'")) return false;
    space();
    if (peek() == '(' && !parameters(params, false)) return false;
    while (dot_next()) {
      std::int64_t ignored = 0;
      if (!dotted(word, "a directive") || !spend(32 + word.size()))
        return false;
      out.modifiers.emplace_back(word);
      space();
      if (digit(peek()) && !count(ignored, any_int, "a number")) return false;
    }
    out.operands.push_back(typed_list(returns));
    out.operands.push_back(std::move(discarded));
    out.operands.push_back(typed_list(params));
    return want(';');
  }

  [[nodiscard]] static operand typed_list(const std::vector<variable>& of) {
    operand out;
    out.kind = operand::type::call_list;
    if (!of.empty()) out.at = of.front().at;
    for (const auto& one : of) {
      operand part;
      part.text = one.type;
      part.offset = one.align;
      part.at = one.at;
      std::int64_t elements = one.vector;
      for (const auto extent : one.extents)
        elements *= std::max<std::int64_t>(extent, 0);
      part.bits = static_cast<std::uint64_t>(elements);
      out.parts.push_back(std::move(part));
    }
    return out;
  }

  // A label, or an instruction with its guard.
  bool statement(function& of, std::vector<std::string>& labels, place first) {
    instruction made;
    std::string_view word;
    if (take('@')) {
      made.guard_negated = take('!');
      space();
      const place where = here();
      if (!name(word, "a predicate") || !spend(word.size())) return false;
      made.guard = word;
      const found_name found = bind(made.guard, where);
      if (found == found_name::refused) return false;
      if (found == found_name::no && declared_somewhere(word))
        return out_of_scope(word, where);
      space();
      first = here();
      if (!name(word, "an instruction")) return false;
    } else {
      if (!name(word, "an instruction")) return false;
      space();
      if (peek() == ':' && peek(1) != ':') {
        ++at_;
        std::string unique;
        if (!declare_label(word, first, unique)) return false;
        labels.push_back(std::move(unique));
        return true;
      }
    }
    if (!letter(word[0]))
      return refuse(first, "expected an instruction, found " + shown(word));
    made.at = first;
    made.opcode = word;
    if (!modifiers(made)) return false;
    const bool call = made.opcode == "call";
    if (!instruction_operands(made, call)) return false;
    return add(of, std::move(made), labels);
  }

  bool modifiers(instruction& out) {
    std::string_view word;
    words_.clear();
    while (dot_next()) {
      if (!dotted(word, "a modifier") ||
          !spend(sizeof(std::string) + word.size()))
        return false;
      words_.push_back(word);
    }
    out.modifiers.assign(words_.begin(), words_.end());
    return !error_;
  }

  bool instruction_operands(instruction& out, bool call) {
    if (take(';')) return true;
    // Read aside, so that the instruction holds no more than it needs.
    aside_.clear();
    do {
      aside_.emplace_back();
      if (!operand_of(aside_.back(), call)) return false;
    } while (take(','));
    if (!take(';')) return expected("',' or ';'");
    out.operands.assign(std::make_move_iterator(aside_.begin()),
                        std::make_move_iterator(aside_.end()));
    return true;
  }

  bool add(function& of, instruction made, std::vector<std::string>& labels) {
    if (!spend(sizeof(instruction) + made.opcode.size())) return false;
    made.labels = std::move(labels);
    labels.clear();
    made.source_file = file_;
    made.source_line = source_line_;
    made.inlined_line = inlined_line_;
    if (made.opcode != "callprototype")
      for (auto& one : made.operands)
        if (!bind(one)) return false;
    of.body.push_back(std::move(made));
    return true;
  }

  // --- the module ------------------------------------------------------------

  bool version() {
    space();
    const char* first = at_;
    while (at_ != end_ && digit(*at_)) ++at_;
    if (at_ == first || peek() != '.' || !digit(peek(1))) {
      at_ = first;
      return expected("a version such as 9.0");
    }
    ++at_;
    while (at_ != end_ && digit(*at_)) ++at_;
    if (at_ - first > 16) return refuse(here(), "the version is too long");
    tree_.version.assign(first, at_);
    return true;
  }

  bool target() {
    std::string_view word;
    if (!name(word, "a target such as sm_90a")) return false;
    tree_.target = word;
    while (take(',')) {
      space();
      const place first = here();
      if (!name(word, "a target's option")) return false;
      if (!unknown("target " + std::string(word), first)) return false;
    }
    return !error_;
  }

  bool whole() {
    space();
    std::string_view word;
    const place top = here();
    if (!dot_next()) return expected(".version");
    if (!dotted(word, "version")) return false;
    if (word != "version") return refuse(top, "expected .version first");
    if (!version()) return false;
    for (;;) {
      space();
      if (at_ == end_) return !error_;
      if (!dot_next()) return expected("a directive");
      const place first = here();
      if (!dotted(word, "a directive") || !directive(word, first)) return false;
    }
  }

  bool directive(std::string_view word, place first) {
    if (word == "version") return version();
    if (word == "target") return target();
    if (word == "file") return file();
    if (word == "section") return section();
    if (word == "pragma") return pragma();
    if (word == "loc") return loc();
    if (word == "address_size") {
      std::int64_t size = 0;
      if (!count(size, 64, "an address size")) return false;
      if (size != 32 && size != 64)
        return refuse(first, "an address size is 32 or 64");
      tree_.address_size = static_cast<int>(size);
      return true;
    }
    std::string_view linkage;
    if (word == "visible" || word == "extern" || word == "weak" ||
        word == "common") {
      linkage = word;
      if (!dot_next()) return expected("a variable or a function");
      first = here();
      if (!dotted(word, "a directive")) return false;
    }
    if (word == "entry" || word == "func")
      return function_of(word == "entry", linkage, first);
    if (is_space(word))
      return declarations(word, linkage, tree_.variables, false);
    if (!linkage.empty())
      return refuse(first, "expected a variable or a function, found ." +
                               std::string(word));
    return skip_directive(word, first);
  }

  parse_limits limits_;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  const char* line_start_ = nullptr;
  const char* indented_line_ = nullptr;  // whose indent ends at:
  const char* indent_end_ = nullptr;
  int line_ = 1;
  int depth_ = 0;
  std::size_t spent_ = 0;
  std::optional<fault> error_;

  ptx::module tree_;
  std::vector<operand> aside_;           // of the instruction that is read
  std::vector<std::string_view> words_;  // its modifiers
  std::unordered_set<std::string_view> module_names_;
  names_state names_;
  std::unordered_map<std::string_view, std::vector<std::size_t>> label_scopes_;

  // Of the latest .loc, and the outermost lines of what was inlined before.
  int file_ = 0, source_line_ = 0, inlined_line_ = 0;
  std::unordered_map<source_place, int, source_hash> callers_;
};

[[nodiscard]] inline result<module> parse(std::string_view text) {
  try {
    return parser(text).run();
  } catch (const std::bad_alloc&) {
    return fault{reason::too_large,
                 "reading PTX: not enough memory for the tree of " +
                     std::to_string(text.size()) + " bytes of text"};
  }
}

}  // namespace skillbench::ptx
