// mma.sync, ldmatrix, stmatrix and movmatrix against plain matrix products.
//
// The fragments are laid out here case by case, as the PTX document words them,
// not by the one formula that the machine uses.

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <utility>

#include "ptx_launch.hpp"
#include "ptx_soft.hpp"

using kit::each;
using kit::find;
using kit::has;
using kit::kernel;
using kit::start;
using kit::u32;
using skillbench::code;
using u64 = std::uint64_t;

namespace {

struct place {
  int row, column;
};
using layout = std::function<place(int lane, int i)>;

// ---- the layouts, in the document's words ---------------------------------------

int group(int lane) { return lane >> 2; }
int inside(int lane) { return lane % 4; }

layout a_of(const std::string& shape, int bits) {
  if (shape == "m16n8k8" && bits == 16)
    return [](int l, int i) { return place{i < 2 ? group(l) : group(l) + 8, inside(l) * 2 + (i & 1)}; };
  if (shape == "m16n8k16" && bits == 16)
    return [](int l, int i) {
      return place{i < 2 || (4 <= i && i < 6) ? group(l) : group(l) + 8, inside(l) * 2 + (i & 1) + (i < 4 ? 0 : 8)};
    };
  if (shape == "m16n8k4") return [](int l, int i) { return place{i == 0 ? group(l) : group(l) + 8, inside(l)}; };
  if (shape == "m16n8k8")
    return [](int l, int i) { return place{i == 0 || i == 2 ? group(l) : group(l) + 8, i < 2 ? inside(l) : inside(l) + 4}; };
  if (shape == "m16n8k16" && bits == 64)
    return [](int l, int i) { return i % 2 == 0 ? place{group(l), i * 2 + inside(l)} : place{group(l) + 8, i * 2 - 2 + inside(l)}; };
  if (shape == "m8n8k4") return [](int l, int) { return place{group(l), inside(l)}; };
  if (shape == "m8n8k16") return [](int l, int i) { return place{group(l), inside(l) * 4 + i}; };
  if (shape == "m8n8k32") return [](int l, int i) { return place{group(l), inside(l) * 8 + i}; };
  if (shape == "m8n8k128") return [](int l, int i) { return place{group(l), inside(l) * 32 + i}; };
  if (shape == "m16n8k16") return [](int l, int i) { return place{i < 4 ? group(l) : group(l) + 8, inside(l) * 4 + (i & 3)}; };
  if (shape == "m16n8k32" && bits == 8)
    return [](int l, int i) {
      const bool top = i < 4 || (8 <= i && i < 12);
      return place{top ? group(l) : group(l) + 8, i < 8 ? inside(l) * 4 + (i & 3) : inside(l) * 4 + (i & 3) + 16};
    };
  if (shape == "m16n8k32") return [](int l, int i) { return place{i < 8 ? group(l) : group(l) + 8, inside(l) * 8 + (i & 7)}; };
  if (shape == "m16n8k64")
    return [](int l, int i) {
      const bool top = i < 8 || (16 <= i && i < 24);
      return place{top ? group(l) : group(l) + 8, i < 16 ? inside(l) * 8 + (i & 7) : inside(l) * 8 + (i & 7) + 32};
    };
  if (shape == "m16n8k128") return [](int l, int i) { return place{i < 32 ? group(l) : group(l) + 8, inside(l) * 32 + (i & 31)}; };
  return [](int l, int i) {  // m16n8k256
    const bool top = i < 32 || (64 <= i && i < 96);
    return place{top ? group(l) : group(l) + 8, i < 64 ? inside(l) * 32 + (i & 31) : inside(l) * 32 + (i & 31) + 128};
  };
}

layout b_of(const std::string& shape, int bits) {
  if (shape == "m16n8k8" && bits == 16) return [](int l, int i) { return place{inside(l) * 2 + i, group(l)}; };
  if (shape == "m16n8k16" && bits == 16)
    return [](int l, int i) { return place{i < 2 ? inside(l) * 2 + (i & 1) : inside(l) * 2 + (i & 1) + 8, group(l)}; };
  if (shape == "m16n8k4" || shape == "m8n8k4") return [](int l, int) { return place{inside(l), group(l)}; };
  if (shape == "m16n8k8") return [](int l, int i) { return place{i == 0 ? inside(l) : inside(l) + 4, group(l)}; };
  if (shape == "m16n8k16" && bits == 64) return [](int l, int i) { return place{inside(l) + i * 4, group(l)}; };
  if (shape == "m8n8k16" || shape == "m16n8k16") return [](int l, int i) { return place{inside(l) * 4 + i, group(l)}; };
  if (shape == "m16n8k32" && bits == 8)
    return [](int l, int i) { return place{i < 4 ? inside(l) * 4 + (i & 3) : inside(l) * 4 + (i & 3) + 16, group(l)}; };
  if (shape == "m8n8k32" || shape == "m16n8k32") return [](int l, int i) { return place{inside(l) * 8 + i, group(l)}; };
  if (shape == "m16n8k64")
    return [](int l, int i) { return place{i < 8 ? inside(l) * 8 + (i & 7) : inside(l) * 8 + (i & 7) + 32, group(l)}; };
  if (shape == "m8n8k128" || shape == "m16n8k128") return [](int l, int i) { return place{inside(l) * 32 + i, group(l)}; };
  return [](int l, int i) { return place{i < 32 ? inside(l) * 32 + i : inside(l) * 32 + (i & 31) + 128, group(l)}; };
}

place c_at(int l, int i) { return {i < 2 ? group(l) : group(l) + 8, inside(l) * 2 + (i & 1)}; }

// ---- values ----------------------------------------------------------------------

struct kind {
  std::string name;
  int bits;
  std::function<double(u64)> value;
  std::function<u64(std::mt19937_64&)> plain;  // small whole numbers: sums are exact
  std::function<u64(std::mt19937_64&)> wild;
};

double exact(u64 bits, soft::format f) {
  const soft::number n = soft::read(bits, f);
  if (n.is == soft::number::nan) return std::numeric_limits<double>::quiet_NaN();
  const double size = n.is == soft::number::infinite ? std::numeric_limits<double>::infinity()
                                                     : std::ldexp(static_cast<double>(static_cast<u64>(n.size)), n.exponent);
  return n.negative ? -size : size;
}
u64 rounded(double x, soft::format f) { return soft::write(soft::read(std::bit_cast<u64>(x), soft::f64), f); }

double e4m3(u64 b) {
  if ((b & 127) == 127) return std::numeric_limits<double>::quiet_NaN();
  const int e = static_cast<int>(b >> 3 & 15);
  const double m = static_cast<double>(b & 7);
  const double size = e ? std::ldexp(8 + m, e - 10) : std::ldexp(m, -9);
  return b & 128 ? -size : size;
}
double e5m2(u64 b) {
  const int e = static_cast<int>(b >> 2 & 31);
  const double m = static_cast<double>(b & 3);
  double size = e ? std::ldexp(4 + m, e - 17) : std::ldexp(m, -16);
  if (e == 31) size = m != 0 ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
  return b & 128 ? -size : size;
}

kind kind_of(const std::string& name) {
  const auto small = [](auto to_bits) {
    return [to_bits](std::mt19937_64& from) { return to_bits(static_cast<int>(from() % 9) - 4); };
  };
  const auto random = [](int bits) {
    return [bits](std::mt19937_64& from) { return bits == 64 ? from() : from() & ((u64{1} << bits) - 1); };
  };
  const auto near = [](soft::format f, double scale) {
    return [f, scale](std::mt19937_64& from) {
      std::normal_distribution<double> normal(0, scale);
      return rounded(normal(from), f);
    };
  };
  if (name == "f16") return {name, 16, [](u64 b) { return exact(b, soft::f16); }, small([](int x) { return rounded(x, soft::f16); }), near(soft::f16, 3)};
  if (name == "bf16") return {name, 16, [](u64 b) { return exact(b, soft::bf16); }, small([](int x) { return rounded(x, soft::bf16); }), near(soft::bf16, 3)};
  // The low 13 bits of a tf32 register mean nothing.
  if (name == "tf32")
    return {name, 32, [](u64 b) { return exact(b >> 13 << 13, soft::f32); },
            [](std::mt19937_64& from) { return rounded(static_cast<int>(from() % 9) - 4, soft::f32) | (from() & 0x1fff); }, near(soft::f32, 3)};
  if (name == "f32") return {name, 32, [](u64 b) { return exact(b, soft::f32); }, small([](int x) { return rounded(x, soft::f32); }), near(soft::f32, 30)};
  if (name == "f64") return {name, 64, [](u64 b) { return std::bit_cast<double>(b); }, small([](int x) { return std::bit_cast<u64>(static_cast<double>(x)); }), near(soft::f64, 3)};
  if (name == "e4m3")
    return {name, 8, e4m3, [](std::mt19937_64& from) { return u64{0x38} | (from() & 0x87); },
            [](std::mt19937_64& from) { const u64 b = from() & 255; return (b & 127) == 127 ? b - 1 : b; }};
  if (name == "e5m2")
    return {name, 8, e5m2, [](std::mt19937_64& from) { return u64{0x3c} | (from() & 0x83); },
            [](std::mt19937_64& from) { return (from() & 0x83) | (from() % 16 + 8) << 2; }};
  if (name == "s8") return {name, 8, [](u64 b) { return static_cast<double>(static_cast<std::int8_t>(b)); }, random(8), random(8)};
  if (name == "u8") return {name, 8, [](u64 b) { return static_cast<double>(b); }, random(8), random(8)};
  if (name == "s4") return {name, 4, [](u64 b) { return static_cast<double>(b & 8 ? static_cast<int>(b) - 16 : static_cast<int>(b)); }, random(4), random(4)};
  if (name == "u4") return {name, 4, [](u64 b) { return static_cast<double>(b); }, random(4), random(4)};
  if (name == "b1") return {name, 1, [](u64 b) { return static_cast<double>(b); }, random(1), random(1)};
  return {"s32", 32, [](u64 b) { return static_cast<double>(static_cast<std::int32_t>(b)); }, [](std::mt19937_64& from) { return (from() % 2001 - 1000) & 0xffffffff; }, random(32)};
}

struct matrix {
  int rows = 0, columns = 0;
  std::vector<u64> bits;
  matrix(int r, int c) : rows(r), columns(c), bits(static_cast<std::size_t>(r * c)) {}
  u64& at(place p) { return bits[static_cast<std::size_t>(p.row * columns + p.column)]; }
};

// Registers of `width` bits, lane l of register r at 32 r + l, as bytes.
std::string packed(matrix& m, const layout& where, int bits, int registers, int width) {
  std::vector<u64> words(static_cast<std::size_t>(32 * registers));
  const int per = std::max(1, width / bits);
  for (int l = 0; l < 32; ++l)
    for (int i = 0; i < registers * per; ++i)
      words[static_cast<std::size_t>(32 * (i / per) + l)] |= m.at(where(l, i)) << (i % per * bits);
  std::string out;
  for (const u64 w : words) out.append(reinterpret_cast<const char*>(&w), static_cast<std::size_t>(width / 8));
  return out;
}
matrix unpacked(const std::string& bytes, const layout& where, int rows, int columns, int bits, int width) {
  matrix out(rows, columns);
  const int per = std::max(1, width / bits), registers = static_cast<int>(bytes.size()) / (32 * width / 8);
  for (int l = 0; l < 32; ++l)
    for (int i = 0; i < registers * per; ++i) {
      u64 w = 0;
      std::memcpy(&w, bytes.data() + (32 * (i / per) + l) * width / 8, static_cast<std::size_t>(width / 8));
      out.at(where(l, i)) = (w >> (i % per * bits)) & (bits == 64 ? ~u64{0} : (u64{1} << bits) - 1);
    }
  return out;
}

struct form {
  std::string shape, d, a, b, c, before, after;  // before: .satfinite, after: .xor.popc
  std::string layouts = ".row.col";

  [[nodiscard]] int m() const { return shape[1] == '8' ? 8 : 16; }
  [[nodiscard]] int k() const { return std::stoi(shape.substr(shape.find('k') + 1)); }
  [[nodiscard]] std::string text() const {
    return "mma.sync.aligned." + shape + layouts + before + "." + d + "." + a + "." + b + "." + c + after;
  }
};

std::string list_of(const std::string& prefix, int n) {
  std::string out = "{";
  for (int i = 0; i < n; ++i) out += (i ? "," : "") + prefix + std::to_string(i);
  return out + "}";
}

// A kernel that loads all fragments, does the operation once, and stores D.
// Blocks: D, A, B, C; %rd1 to %rd4 the lane's place in each.
kit::request request_of(const std::string& instruction, int width, int nd, int na, int nb, int nc, const std::string& a, const std::string& b, const std::string& c) {
  const std::string t = std::to_string(width), bytes = std::to_string(width / 8);
  std::string body = "mov.u32 %r1, %tid.x; mul.wide.u32 %rd0, %r1, " + bytes + ";\n";
  for (int i = 0; i < 4; ++i) body += "add.s64 %rd" + std::to_string(i + 1) + ", %p_" + std::to_string(i) + ", %rd0;\n";
  const auto load = [&](const std::string& name, int n, int block) {
    for (int i = 0; i < n; ++i)
      body += "ld.global.b" + t + " " + name + std::to_string(i) + ", [%rd" + std::to_string(block + 1) + "+" + std::to_string(i * 32 * width / 8) + "];\n";
  };
  load("%a", na, 1);
  load("%b", nb, 2);
  load("%c", nc, 3);
  body += instruction + " " + list_of("%d", nd) + ", " + list_of("%a", na) + ", " + list_of("%b", nb) + ", " + list_of("%c", nc) + ";\n";
  for (int i = 0; i < nd; ++i) body += "st.global.b" + t + " [%rd1+" + std::to_string(i * 32 * width / 8) + "], %d" + std::to_string(i) + ";\n";
  kit::request r;
  r.ptx = kit::header + kit::entry(body + "ret;", 4, 0, ".reg .b" + t + " %a<9>, %b<9>, %c<9>, %d<9>;");
  r.entry = "k";
  r.cta.x = 32;
  r.blocks.push_back({"d", true, false, 4, std::string(static_cast<std::size_t>(nd * 32 * width / 8), '\0')});
  r.blocks.push_back({"a", false, true, 4, a});
  r.blocks.push_back({"b", false, true, 4, b});
  r.blocks.push_back({"c", false, true, 4, c});
  return r;
}

void fill(matrix& m, const std::function<u64(std::mt19937_64&)>& with, std::mt19937_64& from) {
  for (auto& x : m.bits) x = with(from);
}

int count(const matrix& m, int bits, int width) { return std::max(1, m.rows * m.columns / 32 * bits / width); }

// D as it should be, or within what float accumulation may be off.
void compare(const form& f, matrix& a, matrix& b, matrix& c, matrix& d, bool plain) {
  const kind ka = kind_of(f.a), kb = kind_of(f.b), kc = kind_of(f.c), kd = kind_of(f.d);
  int wrong = 0;
  std::string first;
  for (int i = 0; i < a.rows; ++i)
    for (int j = 0; j < b.columns; ++j) {
      long double sum = kc.value(c.at({i, j})), size = std::abs(static_cast<double>(sum));
      for (int l = 0; l < a.columns; ++l) {
        const u64 x = a.at({i, l}), y = b.at({l, j});
        const long double product = f.after == ".xor.popc" ? static_cast<long double>(x != y) : static_cast<long double>(ka.value(x)) * kb.value(y);
        sum += product;
        size += std::abs(static_cast<double>(product));
      }
      const u64 got = d.at({i, j});
      bool ok = false;
      if (f.d == "s32") {
        if (f.before == ".satfinite") sum = std::min<long double>(std::max<long double>(sum, -2147483648.0L), 2147483647.0L);
        ok = got == (static_cast<u64>(static_cast<std::int64_t>(sum)) & 0xffffffff);
      } else {
        const double value = kd.value(got);
        const double slack = plain ? 0 : f.d == "f64" ? std::ldexp(static_cast<double>(size), -50) : std::ldexp(static_cast<double>(size), -20) + (f.d == "f16" ? std::ldexp(std::abs(static_cast<double>(sum)), -11) : 0);
        ok = std::abs(static_cast<double>(value - sum)) <= slack;
        if (f.d == "f16" && std::abs(static_cast<double>(sum)) > 65480) ok |= std::isinf(value) && (value < 0) == (sum < 0);
        if (plain && f.d == "f16") ok = got == rounded(static_cast<double>(sum), soft::f16);
      }
      if (!ok && !wrong++) first = "row " + std::to_string(i) + " column " + std::to_string(j) + ": " + std::to_string(static_cast<double>(sum)) + ", not " + std::to_string(kd.value(got));
    }
  INFO(f.text() << ": " << first);
  CHECK(wrong == 0);
}

void check(const form& f, bool plain, u64 seed, bool wild_c = false) {
  std::mt19937_64 from(seed);
  const kind ka = kind_of(f.a), kb = kind_of(f.b), kc = kind_of(f.c), kd = kind_of(f.d);
  const int width = f.a == "f64" ? 64 : 32;
  matrix a(f.m(), f.k()), b(f.k(), 8), c(f.m(), 8);
  fill(a, plain ? ka.plain : ka.wild, from);
  fill(b, plain ? kb.plain : kb.wild, from);
  fill(c, plain && !wild_c ? kc.plain : kc.wild, from);
  const int nd = count(c, kd.bits, width);
  const auto r = request_of(f.text(), width, nd, count(a, ka.bits, width), count(b, kb.bits, width), count(c, kc.bits, width),
                            packed(a, a_of(f.shape, ka.bits), ka.bits, count(a, ka.bits, width), width),
                            packed(b, b_of(f.shape, kb.bits), kb.bits, count(b, kb.bits, width), width), packed(c, &c_at, kc.bits, count(c, kc.bits, width), width));
  const auto told = kit::launch(r);
  INFO(f.text());
  CHECK(told.trouble == "");
  for (const auto& seen : told.findings) MESSAGE(seen.what);
  CHECK(told.findings.empty());
  if (!told.trouble.empty()) return;
  CHECK(told.shadows[0] == std::string(told.shadows[0].size(), '\0'));
  matrix d = unpacked(told.bytes[0], &c_at, f.m(), 8, kd.bits, width);
  compare(f, a, b, c, d, plain);
}

const std::vector<form> float_forms = [] {
  std::vector<form> out;
  for (const char* k : {"m16n8k8", "m16n8k16"}) {
    out.push_back({k, "f16", "f16", "f16", "f16", "", ""});
    out.push_back({k, "f32", "f16", "f16", "f32", "", ""});
    out.push_back({k, "f32", "bf16", "bf16", "f32", "", ""});
  }
  for (const char* k : {"m16n8k4", "m16n8k8"}) out.push_back({k, "f32", "tf32", "tf32", "f32", "", ""});
  for (const char* k : {"m16n8k16", "m16n8k32"})
    for (const char* x : {"e4m3", "e5m2"})
      for (const char* y : {"e4m3", "e5m2"})
        for (const char* d : {"f16", "f32"}) out.push_back({k, d, x, y, d, "", ""});
  for (const char* k : {"m8n8k4", "m16n8k4", "m16n8k8", "m16n8k16"}) out.push_back({k, "f64", "f64", "f64", "f64", "", ""});
  return out;
}();

const std::vector<form> integer_forms = [] {
  std::vector<form> out;
  for (const char* clamp : {"", ".satfinite"}) {
    for (const char* k : {"m8n8k16", "m16n8k16", "m16n8k32"})
      for (const char* x : {"s8", "u8"})
        for (const char* y : {"s8", "u8"}) out.push_back({k, "s32", x, y, "s32", clamp, ""});
    for (const char* k : {"m8n8k32", "m16n8k32", "m16n8k64"})
      for (const char* x : {"s4", "u4"})
        for (const char* y : {"s4", "u4"}) out.push_back({k, "s32", x, y, "s32", clamp, ""});
  }
  for (const char* k : {"m8n8k128", "m16n8k128", "m16n8k256"})
    for (const char* o : {".xor.popc", ".and.popc"}) out.push_back({k, "s32", "b1", "b1", "s32", "", o});
  return out;
}();

}  // namespace

TEST_CASE("matrix: mma.sync of floats is the product, exact where sums are") {
  for (const auto& f : float_forms)
    for (u64 seed = 1; seed <= 3; ++seed) check(f, true, seed);
}

TEST_CASE("matrix: mma.sync of floats rounds no more than float accumulation does") {
  for (const auto& f : float_forms)
    for (u64 seed = 1; seed <= 3; ++seed) check(f, false, seed);
}

TEST_CASE("matrix: mma.sync of integers wraps or clamps") {
  for (const auto& f : integer_forms) {
    check(f, true, 1);
    check(f, false, 2);
    check(f, true, 3, true);
  }
}

TEST_CASE("matrix: mma.sync clamps at both ends") {
  form f{"m16n8k32", "s32", "s8", "s8", "s32", ".satfinite", ""};
  std::string a(4 * 32 * 4, '\x80'), b(2 * 32 * 4, '\x80'), up, down;
  for (int i = 0; i < 128; ++i) {
    const u32 most = 0x7ffffff0, least = 0x80000010;
    up.append(reinterpret_cast<const char*>(&most), 4);
    down.append(reinterpret_cast<const char*>(&least), 4);
  }
  CHECK(kit::run(request_of(f.text(), 32, 4, 4, 2, 4, a, b, up)) == each(128, [](u32) { return 0x7fffffffu; }));
  const std::string plus(2 * 32 * 4, '\x7f');
  CHECK(kit::run(request_of(f.text(), 32, 4, 4, 2, 4, a, plus, down)) == each(128, [](u32) { return 0x80000000u; }));
  f.before = "";
  CHECK(kit::run(request_of(f.text(), 32, 4, 4, 2, 4, a, b, up)) == each(128, [](u32) { return 0x7ffffff0u + 32 * 128 * 128; }));
}

TEST_CASE("matrix: infinities, NaN and subnormals go through mma.sync") {
  for (const std::string d : {"f32", "f16"}) {
    const form f{"m16n8k16", d, "f16", "f16", d, "", ""};
    matrix a(16, 16), b(16, 8), c(16, 8);
    a.at({0, 3}) = 0x7c00;   // infinity in row 0
    a.at({1, 3}) = 0x7e01;   // NaN in row 1
    a.at({2, 0}) = 0x0001;   // the least subnormal
    for (int j = 0; j < 8; ++j) b.at({3, j}) = j % 2 ? 0xbc00 : 0x3c00;  // -1, 1
    b.at({3, 4}) = 0;        // infinity times zero
    b.at({0, 0}) = 0x3c00;
    const int nc = d == "f32" ? 4 : 2;
    const auto told = kit::launch(request_of(f.text(), 32, nc, 4, 2, nc, packed(a, a_of(f.shape, 16), 16, 4, 32), packed(b, b_of(f.shape, 16), 16, 2, 32), std::string(static_cast<std::size_t>(nc * 128), '\0')));
    CHECK(told.trouble == "");
    matrix got = unpacked(told.bytes[0], &c_at, 16, 8, d == "f32" ? 32 : 16, 32);
    const u64 nan = d == "f32" ? 0x7fffffff : 0x7fff, infinity = d == "f32" ? 0x7f800000 : 0x7c00, sign = d == "f32" ? 0x80000000 : 0x8000;
    CHECK(got.at({0, 0}) == infinity);
    CHECK(got.at({0, 1}) == (infinity | sign));
    CHECK(got.at({0, 4}) == nan);
    CHECK(got.at({1, 0}) == nan);
    CHECK(got.at({2, 0}) == (d == "f32" ? 0x33800000 : 1));
    CHECK(got.at({3, 0}) == 0);
  }
}

TEST_CASE("matrix: mma.m8n8k4 of halves, four products of eight threads") {
  for (const std::string layouts : {".row.col", ".row.row", ".col.col", ".col.row"})
    for (const std::string d : {"f16", "f32"})
      for (const std::string c : {"f16", "f32"}) {
        if (d == "f16" && c == "f32") continue;
        form f{"m8n8k4", d, "f16", "f16", c, "", "", layouts};
        const bool columns_a = layouts.starts_with(".col"), rows_b = layouts.ends_with(".row");
        const auto quad = [](int l) { return l % 16 / 4; };
        const auto in_a = [&](int l, int i) { return columns_a ? place{l < 16 ? i % 4 : i % 4 + 4, l % 4} : place{l < 16 ? l % 4 : l % 4 + 4, i}; };
        const auto in_b = [&](int l, int i) { return rows_b ? place{l % 4, l < 16 ? i : i + 4} : place{i, l < 16 ? l % 4 : l % 4 + 4}; };
        const auto in_c = [](int l, int i, bool half) {
          if (half) return place{l < 16 ? l % 4 : l % 4 + 4, i};
          const int x = (l & 1) + (i & 2);
          return place{l < 16 ? x : x + 4, (i & 4) + (l & 2) + (i & 1)};
        };
        std::mt19937_64 from(7);
        for (int q = 0; q < 4; ++q) {
          matrix a(8, 4), b(4, 8), c_values(8, 8);
          fill(a, kind_of("f16").plain, from);
          fill(b, kind_of("f16").plain, from);
          fill(c_values, kind_of(c).plain, from);
          // The other three products multiply zeros.
          const auto fragment = [&](matrix& m, auto where, int bits, int n) {
            std::string out(static_cast<std::size_t>(n * 128), '\0');
            for (int l = 0; l < 32; ++l)
              for (int i = 0; i < n * 32 / bits; ++i)
                if (quad(l) == q) std::memcpy(out.data() + (i * bits / 32 * 32 + l) * 4 + i * bits / 8 % 4, &m.at(where(l, i)), static_cast<std::size_t>(bits / 8));
            return out;
          };
          const int nc = c == "f16" ? 4 : 8, nd = d == "f16" ? 4 : 8;
          const auto at_c = [&](int l, int i) { return in_c(l, i, c == "f16"); };
          const auto told = kit::launch(request_of(f.text(), 32, nd, 2, 2, nc, fragment(a, in_a, 16, 2), fragment(b, in_b, 16, 2), fragment(c_values, at_c, nc == 4 ? 16 : 32, nc)));
          CHECK(told.trouble == "");
          matrix got(8, 8);
          for (int l = 0; l < 32; ++l)
            for (int i = 0; i < 8; ++i) {
              u64 x = 0;
              const int bits = nd == 4 ? 16 : 32;
              std::memcpy(&x, told.bytes[0].data() + (i * bits / 32 * 32 + l) * 4 + i * bits / 8 % 4, static_cast<std::size_t>(bits / 8));
              if (quad(l) == q) got.at(in_c(l, i, nd == 4)) = x;
              else CHECK(x == 0);
            }
          compare(f, a, b, c_values, got, true);
        }
      }
}

// ---- definedness -------------------------------------------------------------------

TEST_CASE("matrix: an undefined element of A spoils its row of D, of B its column, of C itself") {
  const form f{"m16n8k16", "f32", "f16", "f16", "f32", "", ""};
  // One lane's register is overwritten by one that nothing ever wrote.
  const auto spoilt = [&](const std::string& name, int lane) {
    auto r = request_of(f.text(), 32, 4, 4, 2, 4, std::string(512, '\0'), std::string(256, '\0'), std::string(512, '\0'));
    r.ptx.insert(r.ptx.find("mma.sync"), "setp.eq.u32 %p9, %r1, " + std::to_string(lane) + "; @%p9 mov.b32 " + name + ", %r9;\n");
    const auto told = kit::launch(r);
    CHECK(told.trouble == "");
    CHECK(told.findings.empty());
    matrix bad(16, 8);
    for (int l = 0; l < 32; ++l)
      for (int i = 0; i < 4; ++i) bad.at(c_at(l, i)) = static_cast<unsigned char>(told.shadows[0][static_cast<std::size_t>((32 * i + l) * 4)]);
    return bad;
  };
  const auto expect = [](matrix got, auto bad) {
    int wrong = 0;
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 8; ++j) wrong += (got.at({i, j}) != 0) != bad(i, j);
    CHECK(wrong == 0);
  };
  expect(spoilt("%a1", 5), [](int i, int) { return i == 9; });
  expect(spoilt("%a2", 5), [](int i, int) { return i == 1; });
  expect(spoilt("%b1", 14), [](int, int j) { return j == 3; });
  expect(spoilt("%c2", 9), [](int i, int j) { return i == 10 && j == 2; });
}

TEST_CASE("matrix: what mma.sync writes is defined, whatever was there") {
  // D and C are one list; the second product starts from defined zeros.
  auto r = kernel("mov.u32 %r1, %tid.x; mov.b32 %r2, 0; mov.b32 %r3, 0x3c003c00;"
                  "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f0,%f1,%f2,%f3},{%r3,%r3},{%r3},{%f0,%f1,%f2,%f3};"
                  "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f0,%f1,%f2,_},{%r3,%r3},{%r3},{0f3F800000,0f40000000,0f00000000,0f00000000};"
                  "mul.wide.u32 %rd0, %r1, 4; add.s64 %rd0, %p_0, %rd0; add.f32 %f0, %f0, %f1; add.f32 %f0, %f0, %f2; st.global.f32 [%rd0], %f0; ret;", 32);
  const auto told = kit::launch(r);
  CHECK(told.findings.empty());
  CHECK(told.shadows[0] == std::string(128, '\0'));
  CHECK(kit::output(told) == each(32, [](u32) { return std::bit_cast<u32>(27.0f); }));
}

// ---- who comes ----------------------------------------------------------------------

TEST_CASE("matrix: mma.sync with part of a warp is misuse") {
  const std::string mma = "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f0,%f1,%f2,%f3},{%r3,%r3},{%r3},{0f00000000,0f00000000,0f00000000,0f00000000};";
  auto r = kernel(start + "mov.b32 %r3, 0; setp.ge.u32 %p0, %r1, 16; @%p0 exit; " + mma + " st.global.f32 [%rd0], %f0; ret;", 32);
  auto told = kit::launch(r);
  const auto* f = find(told, code::mask_misuse);
  REQUIRE(f);
  CHECK(has(f->what, "mma.sync"));
  CHECK(has(f->what, "0xffff"));
  r = kernel(start + "mov.b32 %r3, 0; " + mma + " st.global.f32 [%rd0], %f0; ret;", 32);
  r.cta.x = 24;
  CHECK(find(kit::launch(r), code::mask_misuse));
  r.cta.x = 32;
  CHECK(kit::launch(r).findings.empty());
  // Two halves that come one after the other do it together.
  r = kernel(start + "mov.b32 %r3, 0; setp.ge.u32 %p0, %r1, 16; @%p0 bra L; add.u32 %r5, %r1, 1; L: " + mma + " st.global.f32 [%rd0], %f0; ret;", 32);
  CHECK(kit::launch(r).findings.empty());
  // At two places they never meet.
  r = kernel(start + "mov.b32 %r3, 0; setp.ge.u32 %p0, %r1, 16; @%p0 bra L; " + mma + " bra E; L: " + mma + " E: st.global.f32 [%rd0], %f0; ret;", 32);
  CHECK(find(kit::launch(r), code::deadlock));
}

// ---- ldmatrix, stmatrix, movmatrix -----------------------------------------------------

namespace {

// Shared memory with half i at 2 i holding the number i, and the address of a row
// for each lane: rows are read in an order that is no run.
const std::string tile = ".shared .align 128 .b8 tile[1024];";
const std::string filled =
    "mov.u32 %r10, %r1;\nF: shl.b32 %r11, %r10, 1; cvt.u16.u32 %rs1, %r10; st.shared.u16 [tile+%r11], %rs1;"
    "add.u32 %r10, %r10, 32; setp.lt.u32 %p1, %r10, 512; @%p1 bra F; bar.warp.sync -1;\n";
std::string filled_tile() {
  // [tile+register] is no PTX: the base goes into the register.
  std::string t = filled;
  t.replace(t.find("[tile+%r11]"), 11, "[%r11]");
  t.replace(t.find("shl.b32 %r11, %r10, 1;"), 22, "mov.u32 %r12, tile; shl.b32 %r11, %r10, 1; add.u32 %r11, %r11, %r12;");
  return t + "mov.u32 %r12, tile; mul.lo.u32 %r13, %r1, 11; and.b32 %r13, %r13, 31; shl.b32 %r13, %r13, 4; add.u32 %r13, %r12, %r13;\n";
}
u32 row_address(int lane) { return static_cast<u32>(lane * 11 % 32 * 8); }  // in halves

}  // namespace

TEST_CASE("matrix: ldmatrix gives each lane its two elements") {
  for (const int n : {1, 2, 4})
    for (const bool turned : {false, true})
      for (const bool generic : {false, true}) {
        std::string body = start + filled_tile();
        if (generic) body += "cvt.u64.u32 %rd5, %r13; cvta.shared.u64 %rd5, %rd5;";
        body += "ldmatrix.sync.aligned.m8n8.x" + std::to_string(n) + (turned ? ".trans" : "") + (generic ? "" : ".shared") + ".b16 " + list_of("%q", n) + ", [" + (generic ? "%rd5" : "%r13") + "];\n";
        for (int i = 0; i < n; ++i) body += "st.global.u32 [%rd0+" + std::to_string(128 * i) + "], %q" + std::to_string(i) + ";";
        const auto got = kit::run(kernel(body + "ret;", static_cast<std::size_t>(32 * n), ".reg .b32 %q<4>;", tile));
        CHECK(got == each(static_cast<std::size_t>(32 * n), [&](u32 at) {
          const int r = static_cast<int>(at) / 32, l = static_cast<int>(at) % 32;
          u32 word = 0;
          for (int h = 0; h < 2; ++h) {
            const int row = turned ? l % 4 * 2 + h : l / 4, column = turned ? l / 4 : l % 4 * 2 + h;
            word |= (row_address(8 * r + row) + static_cast<u32>(column)) << (16 * h);
          }
          return word;
        }));
      }
}

TEST_CASE("matrix: stmatrix puts down what ldmatrix takes up") {
  for (const int n : {1, 2, 4})
    for (const bool turned : {false, true}) {
      // Each lane's registers hold 1000 r + 2 l and the next number.
      std::string body = start + "mov.u32 %r12, tile; mul.lo.u32 %r13, %r1, 11; and.b32 %r13, %r13, 31; shl.b32 %r13, %r13, 4; add.u32 %r13, %r12, %r13;\n";
      for (int i = 0; i < n; ++i) body += "shl.b32 %q" + std::to_string(i) + ", %r1, 1; mad.lo.u32 %q" + std::to_string(i) + ", %q" + std::to_string(i) + ", 0x10001, " + std::to_string(0x10000 + 1000 * i * 0x10001) + ";";
      body += "stmatrix.sync.aligned.m8n8.x" + std::to_string(n) + (turned ? ".trans" : "") + ".shared.b16 [%r13], " + list_of("%q", n) + ";\n";
      // Everything is copied out, four words a lane.
      for (int i = 0; i < 4; ++i) body += "mad.lo.u32 %r14, %r1, 4, %r12; ld.shared.u32 %r15, [%r14+" + std::to_string(128 * i) + "]; st.global.u32 [%rd0+" + std::to_string(128 * i) + "], %r15;";
      const auto told = kit::launch(kernel(body + "ret;", 128, ".reg .b32 %q<4>;", tile));
      CHECK(told.trouble == "");
      CHECK(told.findings.empty());
      const auto halves = kit::values_of<std::uint16_t>(told.bytes[0]);
      int wrong = 0;
      std::vector<bool> touched(256, false);
      for (int r = 0; r < n; ++r)
        for (int row = 0; row < 8; ++row)
          for (int column = 0; column < 8; ++column) {
            const std::size_t at = row_address(8 * r + row) + static_cast<std::size_t>(column);
            touched[at] = true;
            const int in_row = turned ? column : row, in_column = turned ? row : column;
            wrong += halves[at] != 1000 * r + 2 * (in_row * 4 + in_column / 2) + in_column % 2;
          }
      for (std::size_t at = 0; at < 256; ++at) wrong += (told.shadows[0][2 * at] != 0) == touched[at];
      CHECK(wrong == 0);
    }
}

TEST_CASE("matrix: movmatrix transposes") {
  const auto got = kit::run(kernel(start + "shl.b32 %r4, %r1, 1; mad.lo.u32 %r4, %r4, 0x10001, 0x10000; movmatrix.sync.aligned.m8n8.trans.b16 %r5, %r4; st.global.u32 [%rd0], %r5; ret;", 32));
  CHECK(got == each(32, [](u32 l) {
    const u32 low = l % 4 * 2 * 8 + l / 4, high = low + 8;  // element (2t, g) of a matrix that counts by rows
    return low | high << 16;
  }));
}

TEST_CASE("matrix: ldmatrix carries what is undefined, and says what lies outside") {
  // Row 3 of shared memory was never written: lanes 12 to 15, or, transposed,
  // half 1 of the second lane of each group.
  const std::string rows = "mov.u32 %r12, tile; shl.b32 %r13, %r1, 4; add.u32 %r13, %r12, %r13; setp.ne.u32 %p1, %r1, 3; @%p1 st.shared.v4.u32 [%r13], {%r1,%r1,%r1,%r1}; bar.warp.sync -1;\n";
  for (const bool turned : {false, true}) {
    const auto told = kit::launch(kernel(start + rows + "ldmatrix.sync.aligned.m8n8.x1" + (turned ? ".trans" : "") + ".shared.b16 {%r5}, [%r13]; st.global.u32 [%rd0], %r5; ret;", 32, "", tile));
    CHECK(told.findings.empty());
    std::string expected;
    for (int l = 0; l < 32; ++l) {
      if (turned) expected += l % 4 == 1 ? std::string("\0\0\2\2", 4) : std::string(4, '\0');
      else expected += std::string(4, l / 4 == 3 ? '\2' : '\0');
    }
    CHECK(told.shadows[0] == expected);
  }
  const auto finding = [&](const std::string& move, const std::string& declare = tile) {
    return kit::launch(kernel(start + "mov.u32 %r12, tile; shl.b32 %r13, %r1, 4; add.u32 %r13, %r12, %r13; mov.b32 %r5, 0;" + move + " ret;", 32, "", declare));
  };
  CHECK(find(finding("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r5}, [%r13+8];"), code::misaligned));
  CHECK(find(finding("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r5,%r6}, [%r13+784];"), code::out_of_bounds));
  CHECK(finding("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r5,%r6}, [%r13+768];").findings.empty());
  CHECK(find(finding("stmatrix.sync.aligned.m8n8.x1.shared.b16 [%r13+8], {%r5};"), code::misaligned));
  CHECK(find(finding("stmatrix.sync.aligned.m8n8.x1.shared.b16 [%r13+1024], {%r5};"), code::out_of_bounds));
  CHECK(find(finding("mov.b64 %rd9, 16; ldmatrix.sync.aligned.m8n8.x1.b16 {%r5}, [%rd9];"), code::invalid_access));
  CHECK(find(finding("mov.b64 %rd9, 16; stmatrix.sync.aligned.m8n8.x1.b16 [%rd9], {%r5};"), code::invalid_access));
  // Lanes 8 to 31 of .x1 name no row.
  CHECK(finding("setp.gt.u32 %p1, %r1, 7; selp.b32 %r13, 1, %r13, %p1; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r5}, [%r13];").findings.empty());
}

TEST_CASE("matrix: forms that sm_90 does not have are refused by name") {
  const auto refusal = [](const std::string& text) { return kit::launch(kernel(start + text + " ret;", 32)).trouble; };
  const std::string f4 = "{%f0,%f1,%f2,%f3}", r4 = "{%r0,%r1,%r2,%r3}";
  CHECK(has(refusal("mma.sp.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 " + f4 + ",{%r0,%r1},{%r2,%r3}," + f4 + ",%r4,0;"), "sparse"));
  for (const std::string bad : {"m16n8k16.row.row.f32.f16.f16.f32", "m16n8k32.row.col.f32.f16.f16.f32", "m16n8k16.row.col.f32.f16.bf16.f32", "m16n8k16.row.col.f16.f16.f16.f32",
                                "m16n8k16.row.col.satfinite.f32.f16.f16.f32", "m32n8k16.row.col.f32.f16.f16.f32", "m16n8k16.row.col.kind::f8f6f4.f32.e4m3.e4m3.f32"}) {
    const std::string told = refusal("mma.sync.aligned." + bad + " " + f4 + "," + r4 + ",{%r4,%r5}," + f4 + ";");
    INFO(bad << ": " << told);
    CHECK(has(told, "not supported by the PTX machine: mma.sync.aligned." + bad));
  }
  CHECK(has(refusal("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 " + f4 + ",{%r0,%r1},{%r4,%r5}," + f4 + ";"), "registers"));
  CHECK(has(refusal("ldmatrix.sync.aligned.m16n16.x1.trans.shared.b8 {%r0,%r1}, [%r4];"), "not supported by the PTX machine"));
  CHECK(has(refusal("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r0}, [%r4];"), "not supported by the PTX machine"));
  CHECK(has(refusal("stmatrix.sync.aligned.m16n8.x1.trans.shared.b8 [%r4],{%r0};"), "not supported by the PTX machine"));
  CHECK(has(refusal("movmatrix.sync.aligned.m8n8.b16 %r0, %r1;"), "not supported by the PTX machine"));
}
