// Random programs in CUDA C++, compiled by NVRTC and run on the PTX machine,
// against the same programs evaluated here from their trees.
//
// Only defined behaviour is generated: signed arithmetic wraps by way of
// unsigned, divisors are positive, shift counts are masked, floats are clamped
// before they become integers. Products are written with intrinsics that are
// never contracted.

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <map>

#include "ptx_kit.hpp"
#include "ptx_soft.hpp"

using u = std::uint64_t;

namespace {

enum class type { i8, u8, i16, u16, i32, u32, i64, u64, half, f32, f64 };
constexpr type all_types[] = {type::i8, type::u8, type::i16, type::u16, type::i32, type::u32, type::i64, type::u64, type::half, type::f32, type::f64};

const char* text_of(type t) {
  switch (t) {
    case type::i8: return "signed char";
    case type::u8: return "unsigned char";
    case type::i16: return "short";
    case type::u16: return "unsigned short";
    case type::i32: return "int";
    case type::u32: return "unsigned";
    case type::i64: return "long long";
    case type::u64: return "unsigned long long";
    case type::half: return "__half";
    case type::f32: return "float";
    case type::f64: return "double";
  }
  return "";
}
bool is_float(type t) { return t >= type::half; }
bool is_signed(type t) { return t == type::i8 || t == type::i16 || t == type::i32 || t == type::i64; }
int bits_of(type t) {
  static constexpr int n[] = {8, 8, 16, 16, 32, 32, 64, 64, 16, 32, 64};
  return n[static_cast<int>(t)];
}

// A value is the bits of its type; integers are kept extended to 64 bits.
u fit(u x, type t) {
  const int b = bits_of(t);
  if (b == 64) return x;
  x &= (u{1} << b) - 1;
  return is_signed(t) && (x >> (b - 1) & 1) ? x | ~u{0} << b : x;
}
float f32_of(u x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x)); }
double f64_of(u x) { return std::bit_cast<double>(x); }
u bits(float x) { return x == x ? std::bit_cast<std::uint32_t>(x) : 0x7fffffff; }
u bits(double x) { return x == x ? std::bit_cast<u>(x) : 0x7ff8000000000000; }

struct node;
using tree = std::shared_ptr<node>;
struct state {
  std::map<std::string, u> variables;
};
struct node {
  type is = type::i32;
  std::string text;
  std::function<u(const state&)> value;
};

soft::format format_of(type t) { return t == type::half ? soft::f16 : t == type::f32 ? soft::f32 : soft::f64; }

class generator {
 public:
  explicit generator(u seed) : from_(seed) {}

  u pick(u n) { return from_() % n; }
  type any_type() { return all_types[pick(std::size(all_types))]; }

  tree leaf(type t) {
    if (pick(4) != 0) {
      std::vector<std::string> names;
      for (const auto& [name, kind] : scope_)
        if (kind == t) names.push_back(name);
      const std::string name = names[pick(names.size())];
      return made(t, name, [name](const state& s) { return s.variables.at(name); });
    }
    static constexpr std::int64_t numbers[] = {0, 1, -1, 2, 3, 7, 10, 31, 100, -100, 127, -128, 255, 1000, 32767, 65535};
    const std::int64_t n = numbers[pick(std::size(numbers))];
    if (!is_float(t)) {
      const u v = fit(static_cast<u>(n), t);
      return made(t, std::string("((") + text_of(t) + ")" + std::to_string(n) + ")", [v](const state&) { return v; });
    }
    const double x = static_cast<double>(n) / 8;
    const std::string digits = std::to_string(n) + ".0 / 8";
    if (t == type::half) {
      const u v = write(soft::read(bits(x), soft::f64), soft::f16);
      return made(t, "__float2half_rn((float)(" + digits + "))", [v](const state&) { return v; });
    }
    if (t == type::f32) return made(t, "((float)(" + digits + "))", [v = bits(static_cast<float>(x))](const state&) { return v; });
    return made(t, "(" + digits + ")", [v = bits(x)](const state&) { return v; });
  }

  tree expression(type t, int depth) {
    if (depth == 0) return leaf(t);
    switch (pick(12)) {
      case 0: return leaf(t);
      case 1: case 2: return choice(t, depth);
      case 3: case 4: return cast(t, depth);
      default: return is_float(t) ? floating(t, depth) : integer(t, depth);
    }
  }

  tree condition(int depth) {
    const type t = any_type();
    const tree a = expression(t, depth), b = expression(t, depth);
    static const char* const names[] = {"<", "<=", ">", ">=", "==", "!="};
    const u which = pick(6);
    std::string text = "(" + a->text + " " + names[which] + " " + b->text + ")";
    if (t == type::half) {
      static const char* const calls[] = {"__hlt", "__hle", "__hgt", "__hge", "__heq", "__hne"};
      text = std::string(calls[which]) + "(" + a->text + ", " + b->text + ")";
    }
    return made(type::i32, text, [=](const state& s) -> u {
      const u x = a->value(s), y = b->value(s);
      int order;  // 2: a NaN
      if (is_float(t)) {
        const auto as_double = [&](u v) { return t == type::f64 ? f64_of(v) : t == type::f32 ? f32_of(v) : f64_of(write(soft::read(v, soft::f16), soft::f64)); };
        const double p = as_double(x), q = as_double(y);
        order = p < q ? -1 : p > q ? 1 : p == q ? 0 : 2;
      } else if (is_signed(t)) {
        order = static_cast<std::int64_t>(x) < static_cast<std::int64_t>(y) ? -1 : x != y;
      } else {
        order = x < y ? -1 : x != y;
      }
      switch (which) {
        case 0: return order == -1;
        case 1: return order == -1 || order == 0;
        case 2: return order == 1;
        case 3: return order == 1 || order == 0;
        case 4: return order == 0;
        default: return t == type::half ? order == -1 || order == 1 : order != 0;  // __hne: ordered
      }
    });
  }

  // A few statements that assign to variables; runs them on a state.
  struct statement {
    std::string text;
    std::function<void(state&)> run;
  };
  statement block(int depth) {
    statement out;
    const u n = 1 + pick(3);
    std::vector<statement> parts;
    for (u i = 0; i < n; ++i) parts.push_back(one(depth));
    for (const auto& p : parts) out.text += p.text;
    out.run = [parts](state& s) {
      for (const auto& p : parts) p.run(s);
    };
    return out;
  }

  void declare(const std::string& name, type t) { scope_[name] = t; }

 private:
  static tree made(type t, std::string text, std::function<u(const state&)> value) {
    return std::make_shared<node>(node{t, std::move(text), std::move(value)});
  }

  tree choice(type t, int depth) {
    const tree c = condition(depth - 1), a = expression(t, depth - 1), b = expression(t, depth - 1);
    return made(t, "(" + c->text + " ? " + a->text + " : " + b->text + ")", [=](const state& s) { return c->value(s) ? a->value(s) : b->value(s); });
  }

  tree cast(type t, int depth) {
    const type from = any_type();
    const tree a = expression(from, depth - 1);
    const std::string to = std::string("((") + text_of(t) + ")";
    if (!is_float(from) && !is_float(t)) return made(t, to + a->text + ")", [=](const state& s) { return fit(a->value(s), t); });
    if (!is_float(from)) {
      if (t == type::half)
        return made(t, "__float2half_rn((float)" + a->text + ")", [=](const state& s) {
          return write(soft::read(write(soft::whole(a->value(s), is_signed(from)), soft::f32), soft::f32), soft::f16);
        });
      return made(t, to + a->text + ")", [=](const state& s) { return write(soft::whole(a->value(s), is_signed(from)), format_of(t)); });
    }
    const std::string wide = from == type::half ? "__half2float(" + a->text + ")" : a->text;
    if (is_float(t)) {
      std::string text = to + wide + ")";
      if (t == type::half) text = from == type::f64 ? "__double2half(" + wide + ")" : "__float2half_rn(" + wide + ")";
      return made(t, text, [=](const state& s) { return write(soft::read(a->value(s), format_of(from)), format_of(t)); });
    }
    // Clamped to what every integer type of at least 8 bits holds.
    const bool dbl = from == type::f64;
    const std::string low = is_signed(t) ? (bits_of(t) == 8 ? "-100.0" : "-30000.0") : "0.0", high = bits_of(t) == 8 ? "100.0" : bits_of(t) == 16 ? "30000.0" : "2000000000.0";
    const std::string f = dbl ? "" : "f";
    const double least = std::stod(low), most = std::stod(high);
    return made(t, to + "fmin" + f + "(fmax" + f + "(" + wide + ", " + low + f + "), " + high + f + "))", [=](const state& s) {
      const u v = a->value(s);
      double x = dbl ? f64_of(v) : f64_of(write(soft::read(v, format_of(from)), soft::f64));
      x = x > least ? x : least;
      x = x < most ? x : most;
      return fit(static_cast<u>(static_cast<std::int64_t>(x)), t);
    });
  }

  tree integer(type t, int depth) {
    const tree a = expression(t, depth - 1), b = expression(t, depth - 1);
    const int n = bits_of(t);
    const bool s64 = is_signed(t);
    const std::string cast_back = std::string("((") + text_of(t) + ")(";
    const std::string wide = n == 64 ? "(unsigned long long)" : "(unsigned)";
    const auto two = [&](const std::string& op, auto f) {
      return made(t, cast_back + wide + a->text + " " + op + " " + wide + b->text + "))", [=](const state& s) { return fit(f(a->value(s), b->value(s)), t); });
    };
    switch (pick(18)) {
      case 0: return two("+", [](u x, u y) { return x + y; });
      case 1: return two("-", [](u x, u y) { return x - y; });
      case 2: return two("*", [](u x, u y) { return x * y; });
      case 3: return two("&", [](u x, u y) { return x & y; });
      case 4: return two("|", [](u x, u y) { return x | y; });
      case 5: return two("^", [](u x, u y) { return x ^ y; });
      case 6: case 7: {
        const bool rest = pick(2);
        return made(t, cast_back + a->text + (rest ? " % " : " / ") + "(" + b->text + " > 0 ? " + b->text + " : (" + text_of(t) + ")5)))", [=](const state& s) {
          const u x = a->value(s);
          u y = b->value(s);
          if (s64) {
            const auto p = static_cast<std::int64_t>(x);
            auto q = static_cast<std::int64_t>(y);
            if (q <= 0) q = 5;
            return fit(static_cast<u>(rest ? p % q : p / q), t);
          }
          if (y == 0) y = 5;
          return fit(rest ? x % y : x / y, t);
        });
      }
      case 8: return made(t, cast_back + wide + a->text + " << (" + b->text + " & " + std::to_string(n - 1) + ")))",
                          [=](const state& s) { return fit(a->value(s) << (b->value(s) & static_cast<u>(n - 1)), t); });
      case 9: return made(t, cast_back + a->text + " >> (" + b->text + " & " + std::to_string(n - 1) + ")))", [=](const state& s) {
        const u by = b->value(s) & static_cast<u>(n - 1), x = a->value(s);
        return fit(s64 ? static_cast<u>(static_cast<std::int64_t>(x) >> by) : x >> by, t);
      });
      case 10: case 11: {
        const bool least = pick(2);
        return made(t, cast_back + std::string(least ? "min" : "max") + "(" + (n < 32 ? "(int)" : "") + a->text + ", " + (n < 32 ? "(int)" : "") + b->text + ")))",
                    [=](const state& s) {
                      const u x = a->value(s), y = b->value(s);
                      const bool less = s64 ? static_cast<std::int64_t>(x) < static_cast<std::int64_t>(y) : x < y;
                      return less == least ? x : y;
                    });
      }
      case 12: return made(t, cast_back + "~" + a->text + "))", [=](const state& s) { return fit(~a->value(s), t); });
      case 13:
        if (n < 32) return made(t, cast_back + "-(int)" + a->text + "))", [=](const state& s) { return fit(u{0} - a->value(s), t); });
        if (n == 64) return made(t, cast_back + "__popcll(" + a->text + ")))", [=](const state& s) { return fit(static_cast<u>(std::popcount(a->value(s))), t); });
        return made(t, cast_back + "__clz((int)" + a->text + ") + __popc((unsigned)" + b->text + ")))", [=](const state& s) {
          return fit(static_cast<u>(std::countl_zero(static_cast<std::uint32_t>(a->value(s))) + std::popcount(static_cast<std::uint32_t>(b->value(s)))), t);
        });
      case 14:
        if (n != 32) return two("+", [](u x, u y) { return x + y; });
        return made(t, cast_back + (s64 ? "__mulhi(" : "__umulhi(") + a->text + ", " + b->text + ")))", [=](const state& s) {
          const u x = a->value(s), y = b->value(s);
          return fit(s64 ? static_cast<u>((static_cast<std::int64_t>(x) * static_cast<std::int64_t>(y)) >> 32) : (x * y) >> 32, t);
        });
      case 15:
        if (n != 32) return two("^", [](u x, u y) { return x ^ y; });
        return made(t, cast_back + "__byte_perm((unsigned)" + a->text + ", (unsigned)" + b->text + ", 0x5140u)))", [=](const state& s) {
          const u x = a->value(s), y = b->value(s);
          return fit((x & 0xff) | (y & 0xff) << 8 | (x >> 8 & 0xff) << 16 | (y >> 8 & 0xff) << 24, t);
        });
      case 16:
        if (n < 32) return two("-", [](u x, u y) { return x - y; });
        return n == 32 ? made(t, cast_back + "__brev((unsigned)" + a->text + ")))",
                              [=](const state& s) {
                                u out = 0;
                                for (int i = 0; i < 32; ++i) out |= (a->value(s) >> i & 1) << (31 - i);
                                return fit(out, t);
                              })
                       : made(t, cast_back + "__ffsll((long long)" + a->text + ")))", [=](const state& s) {
                           const u x = a->value(s);
                           return fit(x ? static_cast<u>(std::countr_zero(x) + 1) : 0, t);
                         });
      default: {  // a comparison as a number
        const tree c = condition(depth - 1);
        return made(t, cast_back + wide + a->text + " + (unsigned)" + c->text + "))", [=](const state& s) { return fit(a->value(s) + c->value(s), t); });
      }
    }
  }

  tree floating(type t, int depth) {
    const tree a = expression(t, depth - 1), b = expression(t, depth - 1), c = expression(t, depth - 1);
    const soft::format f = format_of(t);
    const std::string two = "(" + a->text + ", " + b->text + ")", three = "(" + a->text + ", " + b->text + ", " + c->text + ")", alone = "(" + a->text + ")";
    const auto call = [&](const char* h, const char* s, const char* d) { return std::string(t == type::half ? h : t == type::f32 ? s : d); };
    using soft::number;
    const auto result = [=](auto use) {
      return [=](const state& s) {
        return use([&](const tree& x) { return soft::read(x->value(s), f); }, s);
      };
    };
    switch (pick(t == type::half ? 8 : 14)) {
      case 0: return made(t, call("__hadd", "__fadd_rn", "__dadd_rn") + two, result([=](auto in, const state&) { return write(sum(in(a), in(b)), f); }));
      case 1: return made(t, call("__hsub", "__fsub_rn", "__dsub_rn") + two, result([=](auto in, const state&) { return write(sum(in(a), negated(in(b))), f); }));
      case 2: return made(t, call("__hmul", "__fmul_rn", "__dmul_rn") + two, result([=](auto in, const state&) { return write(product(in(a), in(b)), f); }));
      case 3: return made(t, call("__hfma", "fmaf", "fma") + three, result([=](auto in, const state&) { return write(sum(product(in(a), in(b)), in(c)), f); }));
      case 4: return made(t, call("__hneg", "-", "-") + alone, [=](const state& s) {
        const u x = a->value(s);
        return is_nan(x, f) ? f.nan : x ^ (u{1} << (width(f) - 1));
      });
      case 5: return made(t, call("__habs", "fabsf", "fabs") + alone, [=](const state& s) {
        const u x = a->value(s);
        return is_nan(x, f) ? f.nan : x & ~(u{1} << (width(f) - 1));
      });
      case 6: case 7: {
        const bool least = pick(2);
        return made(t, (least ? call("__hmin", "fminf", "fmin") : call("__hmax", "fmaxf", "fmax")) + two, [=](const state& s) {
          const u x = a->value(s), y = b->value(s);
          if (is_nan(x, f)) return is_nan(y, f) ? f.nan : y;
          if (is_nan(y, f)) return x;
          const auto place = [&](u v) {
            const u sign = u{1} << (width(f) - 1);
            return v & sign ? -static_cast<std::int64_t>(v & (sign - 1)) - 1 : static_cast<std::int64_t>(v);
          };
          return (place(x) < place(y)) == least ? x : y;
        });
      }
      case 8: return made(t, call("", "__fdiv_rn", "__ddiv_rn") + two, result([=](auto in, const state&) { return write(quotient(in(a), in(b)), f); }));
      case 9: return made(t, call("", "__fsqrt_rn", "__dsqrt_rn") + alone, result([=](auto in, const state&) { return write(soft::root(in(a)), f); }));
      case 10: return made(t, call("", "truncf", "trunc") + alone, result([=](auto in, const state&) { return write(rounded_whole(in(a), soft::to::zero), f); }));
      case 11: return made(t, call("", "floorf", "floor") + alone, result([=](auto in, const state&) { return write(rounded_whole(in(a), soft::to::down), f); }));
      case 12: return made(t, call("", "rintf", "rint") + alone, result([=](auto in, const state&) { return write(rounded_whole(in(a), soft::to::nearest), f); }));
      default: return made(t, call("", "__fadd_rz", "__dadd_ru") + two, result([=](auto in, const state&) {
                             const soft::to how = t == type::f32 ? soft::to::zero : soft::to::up;
                             return write(sum(in(a), in(b), how), f, how);
                           }));
    }
  }

  statement one(int depth) {
    std::vector<std::pair<std::string, type>> names;
    for (const auto& [name, kind] : scope_)
      if (name[0] == 'v') names.emplace_back(name, kind);
    const auto [name, t] = names[pick(names.size())];
    const u what = depth > 0 ? pick(5) : 0;
    if (what == 1) {
      const tree c = condition(1);
      const statement yes = block(depth - 1), no = block(depth - 1);
      return {"if (" + c->text + ") {\n" + yes.text + "} else {\n" + no.text + "}\n", [=](state& s) { c->value(s) ? yes.run(s) : no.run(s); }};
    }
    if (what == 2) {
      // Each thread goes round as often as its own value says, and may leave early.
      const tree n = expression(type::u32, 1), leave = condition(1);
      const std::string counter = "k" + std::to_string(loops_++);
      const statement body = block(depth - 1);
      return {"for (unsigned " + counter + " = 0; " + counter + " < (" + n->text + " & 7u); ++" + counter + ") {\n" + body.text + "if (" + leave->text + ") break;\n}\n",
              [=](state& s) {
                for (u k = 0; k < (n->value(s) & 7); ++k) {
                  body.run(s);
                  if (leave->value(s)) break;
                }
              }};
    }
    if (what == 3) {
      const tree x = expression(type::u32, 1);
      std::vector<statement> cases;
      std::string text = "switch (" + x->text + " % 5u) {\n";
      for (int i = 0; i < 4; ++i) {
        cases.push_back(one(0));
        text += "case " + std::to_string(i) + ": " + cases.back().text + (i == 1 ? "" : "break;\n");
      }
      return {text + "}\n", [=](state& s) {
                const u at = x->value(s) % 5;
                for (u i = at; i < 4; ++i) {
                  cases[i].run(s);
                  if (i != 1) break;
                }
              }};
    }
    const tree e = expression(t, 3);
    return {name + " = " + e->text + ";\n", [=, name = name](state& s) { s.variables[name] = e->value(s); }};
  }

  std::mt19937_64 from_;
  std::map<std::string, type> scope_;
  int loops_ = 0;
};

u random_input(type t, std::mt19937_64& from) {
  const u x = from();
  static constexpr std::int64_t edges[] = {0, 1, -1, 2, 127, -128, 32767, -32768, 2147483647, -2147483648ll};
  if (!is_float(t)) return fit(x % 5 == 0 ? static_cast<u>(edges[(x >> 8) % std::size(edges)]) : x % 5 == 1 ? x >> 8 : (x >> 8) % 41 - 20, t);
  const soft::format f = format_of(t);
  if (x % 8 == 0) {  // zeros, ones, infinities, subnormals
    const u p = static_cast<u>(f.precision - 1), top = ((u{1} << exponent_bits(f)) - 1) << p;
    const u special[] = {0, u{1} << (width(f) - 1), 1, top, top | u{1} << (width(f) - 1), top - 1, u{1} << p, f.nan};
    return special[(x >> 8) % std::size(special)];
  }
  const double v = static_cast<double>(static_cast<std::int64_t>(x >> 20) - (std::int64_t{1} << 43)) * std::ldexp(1.0, -43 + static_cast<int>(x % 12));
  return write(soft::read(bits(v), soft::f64), f);
}

struct outcome {
  std::string wrong;
  std::size_t kernels = 0, values = 0;
};

// One source with `kernels` kernels of `results` results each, on 96 threads.
outcome differ(skillbench::device& on, u seed, int kernels, int results, bool statements) {
  outcome out;
  constexpr std::size_t threads = 96;
  std::mt19937_64 inputs(seed ^ 0x5eed);
  std::string source = "#include <cuda_fp16.h>\ntypedef unsigned long long word;\n";
  std::vector<std::vector<std::function<void(state&)>>> programs;
  std::vector<std::vector<std::pair<std::string, type>>> told;
  std::vector<std::pair<std::string, type>> scope;
  for (const type t : all_types)
    for (int i = 0; i < 2; ++i) scope.emplace_back("x" + std::to_string(static_cast<int>(t)) + "_" + std::to_string(i), t);
  const auto load = [](type t, const std::string& from) {
    switch (t) {
      case type::half: return "__ushort_as_half((unsigned short)" + from + ")";
      case type::f32: return "__uint_as_float((unsigned)" + from + ")";
      case type::f64: return "__longlong_as_double((long long)" + from + ")";
      default: return std::string("(") + text_of(t) + ")" + from;
    }
  };
  const auto store = [](type t, const std::string& x) {
    switch (t) {
      case type::half: return "(word)__half_as_ushort(" + x + ")";
      case type::f32: return "(word)__float_as_uint(" + x + ")";
      case type::f64: return "(word)__double_as_longlong(" + x + ")";
      default: return "(word)(long long)" + x;
    }
  };
  for (int k = 0; k < kernels; ++k) {
    generator g(seed * 1000 + static_cast<u>(k));
    source += "extern \"C\" __global__ void k" + std::to_string(k) + "(const word* in, word* out) {\nconst int i = blockIdx.x * blockDim.x + threadIdx.x;\n";
    for (std::size_t v = 0; v < scope.size(); ++v) {
      const auto& [name, t] = scope[v];
      g.declare(name, t);
      source += std::string("const ") + text_of(t) + " " + name + " = " + load(t, "in[" + std::to_string(v * threads) + " + i]") + ";\n";
    }
    std::vector<std::function<void(state&)>> steps;
    std::vector<std::pair<std::string, type>> results_of;
    if (statements) {
      std::vector<std::pair<std::string, type>> variables;
      for (const type t : all_types) {
        const std::string name = "v" + std::to_string(static_cast<int>(t));
        const std::string from = "x" + std::to_string(static_cast<int>(t)) + "_0";
        source += std::string(text_of(t)) + " " + name + " = " + from + ";\n";
        steps.push_back([name, from](state& s) { s.variables[name] = s.variables[from]; });
        variables.emplace_back(name, t);
      }
      for (const auto& [name, t] : variables) g.declare(name, t);
      for (int r = 0; r < results; ++r) {
        const auto b = g.block(2);
        source += b.text;
        steps.push_back(b.run);
      }
      results_of = variables;
    } else {
      for (int r = 0; r < results; ++r) {
        const type t = g.any_type();
        const tree e = g.expression(t, 4);
        const std::string name = "r" + std::to_string(r);
        source += std::string("const ") + text_of(t) + " " + name + " = " + e->text + ";\n";
        steps.push_back([e, name](state& s) { s.variables[name] = e->value(s); });
        results_of.emplace_back(name, t);
      }
    }
    for (std::size_t r = 0; r < results_of.size(); ++r)
      source += "out[" + std::to_string(r * threads) + " + i] = " + store(results_of[r].second, results_of[r].first) + ";\n";
    source += "}\n";
    programs.push_back(std::move(steps));
    told.push_back(std::move(results_of));
  }
  skillbench::compile_request asked;
  asked.source = source;
  for (int k = 0; k < kernels; ++k) asked.entries.push_back("k" + std::to_string(k));
  const auto image = on.compile(asked);
  if (!image) {
    out.wrong = image.error().what;
    return out;
  }
  if (!image.value().ok) {
    out.wrong = image.value().log.substr(0, 3000) + source.substr(0, 3000);
    return out;
  }
  std::vector<u> in;
  for (const auto& [name, t] : scope)
    for (std::size_t i = 0; i < threads; ++i) in.push_back(random_input(t, inputs));
  for (int k = 0; k < kernels; ++k) {
    const auto& results_of = told[static_cast<std::size_t>(k)];
    kit::request r;
    r.ptx = image.value().ptx;
    r.entry = "k" + std::to_string(k);
    r.cta.x = 48;  // a warp and a half
    r.grid.x = 2;
    r.blocks = {{"in", false, true, 8, kit::bytes_of(in)}, {"out", true, false, 8, std::string(results_of.size() * threads * 8, '\0')}};
    const auto got = kit::launch(r);
    if (!got.trouble.empty() || !got.findings.empty()) {
      out.wrong += r.entry + ": " + (got.trouble.empty() ? got.findings[0].what : got.trouble) + "\n";
      continue;
    }
    const auto values = kit::values_of<u>(got.bytes[1]);
    for (std::size_t i = 0; i < threads; ++i) {
      state s;
      for (std::size_t v = 0; v < scope.size(); ++v) s.variables[scope[v].first] = in[v * threads + i];
      for (const auto& step : programs[static_cast<std::size_t>(k)]) step(s);
      for (std::size_t n = 0; n < results_of.size(); ++n) {
        const auto& [name, t] = results_of[n];
        const u expected = s.variables[name], is = values[n * threads + i];
        ++out.values;
        if (is == expected) continue;
        if (is_float(t) && soft::is_nan(is, format_of(t)) && soft::is_nan(expected, format_of(t))) continue;
        if (out.wrong.size() > 6000) return out;
        char text[200];
        std::snprintf(text, sizeof text, "seed %llu %s %s thread %zu: is %llx, not %llx\n", static_cast<unsigned long long>(seed), r.entry.c_str(), name.c_str(), i,
                      static_cast<unsigned long long>(is), static_cast<unsigned long long>(expected));
        out.wrong += text;
        const auto at = source.find(name + " = ", source.find("void " + r.entry + "("));
        if (!statements && at != std::string::npos) out.wrong += source.substr(at, std::min<std::size_t>(source.find('\n', at) - at, 1500)) + "\n";
        break;
      }
    }
    ++out.kernels;
  }
  return out;
}

skillbench::device* compiler() {
  static const auto on = kit::device();
  static const bool works = [] {
    skillbench::compile_request asked;
    asked.source = "extern \"C\" __global__ void k() {}\n";
    asked.entries = {"k"};
    const auto told = on->compile(asked);
    if (!told) MESSAGE("not run: " << told.error().what);
    return told.ok();
  }();
  return works ? on.get() : nullptr;
}

}  // namespace

TEST_CASE("differential: expressions of every type") {
  if (!compiler()) return;
  for (const u seed : {1, 2, 3, 4, 5, 6}) {
    const auto told = differ(*compiler(), seed, 4, 16, false);
    CHECK(told.wrong == "");
    CHECK(told.values == 4 * 16 * 96);
  }
}

TEST_CASE("differential: branches, loops and switches, each thread on its own way") {
  if (!compiler()) return;
  for (const u seed : {11, 12, 13, 14}) {
    const auto told = differ(*compiler(), seed, 3, 4, true);
    CHECK(told.wrong == "");
    CHECK(told.kernels == 3);
  }
}
