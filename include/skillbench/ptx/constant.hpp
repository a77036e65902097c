#pragma once
// ptx/constant.hpp: constant expressions of PTX, folded as they are read.
//
// Layer   3. Includes lex.hpp.
// Source  PTX ISA 9.0, "Constant Expressions": 64-bit integers, of which one is
//         unsigned when either operand is, and doubles. WARP_SZ is 32.
// Errors  as in lex.hpp; a division by zero and an operator on the wrong kind of
//         number are refused where they stand.

#include <cstdint>
#include <string>
#include <string_view>

#include <skillbench/ptx/lex.hpp>

namespace skillbench::ptx {

class constant_reader : protected lexer {
 protected:
  using lexer::lexer;

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
};

}  // namespace skillbench::ptx
