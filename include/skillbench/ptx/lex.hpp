#pragma once
// ptx/lex.hpp: PTX text as words, numbers and signs.
//
// Layer   3. Includes fault.hpp, module.hpp and the standard library.
// Source  PTX ISA 9.0, chapter "Syntax"; where it is silent, what ptxas 13.0 takes.
// Errors  the first refusal is kept, with line and column, and ends the text:
//         every function that reads gives false from then on.
// Limits  `spend` counts what the tree takes while it is made; see parse_limits.

#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

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
class lexer {
 protected:
  lexer(std::string_view text, parse_limits limits) : limits_(limits) {
    // NVRTC counts the closing NUL as text.
    while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
    line_start_ = at_ = text.data();
    end_ = at_ + text.size();
  }
  lexer(const lexer&) = delete;
  lexer& operator=(const lexer&) = delete;
  ~lexer() = default;

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
    explicit deeper(lexer& of) : of_(of) { ++of_.depth_; }
    ~deeper() { --of_.depth_; }
    deeper(const deeper&) = delete;
    deeper& operator=(const deeper&) = delete;
    [[nodiscard]] bool fits() const {
      if (of_.depth_ <= of_.limits_.depth) return true;
      return of_.refuse(of_.here(), "nested deeper than " +
                                        std::to_string(of_.limits_.depth));
    }

   private:
    lexer& of_;
  };
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
};

}  // namespace skillbench::ptx
