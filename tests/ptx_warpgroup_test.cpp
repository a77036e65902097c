// wgmma against plain matrix products, and what its asynchrony forbids.
//
// Operands are laid out in shared memory here as the copy engine would lay them
// out, tile by tile and line by line, not by the address arithmetic of the machine.

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <skillbench/ptx/warpgroup.hpp>

#include "ptx_launch.hpp"
#include "ptx_soft.hpp"

using kit::find;
using kit::has;
using kit::u32;
using skillbench::code;
using u64 = std::uint64_t;

namespace {

u64 rounded(double x, soft::format f) { return soft::write(soft::read(std::bit_cast<u64>(x), soft::f64), f); }

// Small whole numbers in each type, as bits; sums of products are exact.
struct kind {
  std::string name;
  int bits;
};
u64 bits_of(const kind& k, int x) {
  if (k.name == "f16") return rounded(x, soft::f16);
  if (k.name == "bf16") return rounded(x, soft::bf16);
  if (k.name == "tf32" || k.name == "f32") return rounded(x, soft::f32);
  // 8-bit floats from halves: the top 8 bits, or 4 bits of exponent biased by 7.
  if (k.name == "e5m2") return rounded(x, soft::f16) >> 8;
  if (k.name == "e4m3") {
    const u64 h = rounded(x, soft::f16);
    return x == 0 ? 0 : (h >> 8 & 0x80) | (((h >> 10 & 31) - 8) << 3) | (h >> 7 & 7);
  }
  return static_cast<u64>(static_cast<std::int64_t>(x)) & ((u64{1} << k.bits) - 1);
}
int any_of(const kind& k, std::mt19937_64& from) {
  if (k.name == "b1") return static_cast<int>(from() & 1);
  if (k.name == "u8") return static_cast<int>(from() & 255);
  if (k.name == "s8") return static_cast<int>(from() & 255) - 128;
  return static_cast<int>(from() % 7) - 3;
}

// A matrix by rows (of A) or columns (of B), each of k elements.
struct vectors {
  kind is;
  int n, k;
  std::vector<int> x;
  vectors(kind of, int count, int length, std::mt19937_64& from) : is(std::move(of)), n(count), k(length), x(static_cast<std::size_t>(count * length)) {
    for (auto& v : x) v = any_of(is, from);
  }
  [[nodiscard]] int at(int i, int l) const { return x[static_cast<std::size_t>(i * k + l)]; }
};

// How an operand lies in shared memory.
struct layout {
  int swizzle = 0;     // bytes: 0, 32, 64, 128
  bool turned = false; // vectors are not contiguous: line l holds element l of many
  int slice = 0;       // which 32 bytes of a swizzled line (k contiguous)
  int gap = 0;         // further bytes between parts, multiples of the pattern
};

u64 descriptor(u32 start, u32 leading, u32 stride, int swizzle) {
  const u64 mode = swizzle == 0 ? 0 : swizzle == 128 ? 1 : swizzle == 64 ? 2 : 3;
  return u64{start >> 4} | u64{leading >> 4} << 16 | u64{stride >> 4} << 32 | mode << 62;
}

// Where 16-byte unit u of line `line` of a tile of lines of `bytes` is put, by the
// copy engine's patterns.
int swizzled_unit(int swizzle, int line, int u) {
  switch (swizzle) {
    case 128: return u ^ (line % 8);
    case 64: return u ^ (line / 2 % 4);
    case 32: return u ^ (line / 4 % 2);
    default: return u;
  }
}

// Puts the operand into `image` from `at` on; returns its descriptor.
u64 put(std::string& image, u32 at, const vectors& m, const layout& how) {
  const auto byte_at = [&](std::size_t i) -> char& {
    if (image.size() <= i) image.resize(i + 1, '\x7f');
    return image[i];
  };
  const auto store = [&](std::size_t where, int element_bits, int index, u64 value) {
    if (element_bits == 1) {
      char& c = byte_at(where + static_cast<std::size_t>(index / 8));
      c = static_cast<char>((c & ~(1 << index % 8)) | static_cast<int>(value) << index % 8);
      return;
    }
    for (int b = 0; b < element_bits / 8; ++b) byte_at(where + static_cast<std::size_t>(index * element_bits / 8 + b)) = static_cast<char>(value >> (8 * b));
  };
  const int per_unit = 128 / m.is.bits;
  if (!how.turned) {
    const u32 leading = how.swizzle ? 16 : 128 + static_cast<u32>(how.gap);
    const u32 line = how.swizzle ? static_cast<u32>(how.swizzle) : 16;
    const u32 stride = how.swizzle ? 8 * line + static_cast<u32>(how.gap) : 2 * leading;
    for (int i = 0; i < m.n; ++i)
      for (int l = 0; l < m.k; ++l) {
        const int u = l / per_unit;
        std::size_t where = at + static_cast<std::size_t>(i / 8) * stride + static_cast<std::size_t>(i % 8) * line;
        where += how.swizzle ? static_cast<std::size_t>(16 * swizzled_unit(how.swizzle, i % 8, u + 2 * how.slice)) : static_cast<std::size_t>(u) * leading;
        store(where, m.is.bits, l % per_unit, bits_of(m.is, m.at(i, l)));
      }
    return descriptor(at + 32 * static_cast<u32>(how.slice), how.swizzle ? 16 : leading, stride, how.swizzle);
  }
  // Line l holds element l of 8 (or swizzle / 2) vectors; eight lines are a part.
  const int units = how.swizzle ? how.swizzle / 16 : 1;
  const u32 part = 128 * static_cast<u32>(units) + static_cast<u32>(how.gap);
  const int blocks = (m.n / 8 + units - 1) / units;
  const u32 along_k = static_cast<u32>(blocks) * part;  // eight further lines
  for (int i = 0; i < m.n; ++i)
    for (int l = 0; l < m.k; ++l) {
      const int u = i / 8 % units, block = i / 8 / units;
      const std::size_t where = at + static_cast<std::size_t>(block) * part + static_cast<std::size_t>(l / 8) * along_k + static_cast<std::size_t>(l % 8 * 16 * units + 16 * swizzled_unit(how.swizzle, l % 8, u));
      store(where, m.is.bits, i % 8, bits_of(m.is, m.at(i, l)));
    }
  return how.swizzle ? descriptor(at, part, along_k, how.swizzle) : descriptor(at, along_k, part, 0);
}

struct form {
  std::string d, a, b;
  int n = 64;
  std::string before = "", after = "";
};
int bits_in(const std::string& type) { return type == "b1" ? 1 : has(type, "e4m3") || has(type, "e5m2") || type == "s8" || type == "u8" ? 8 : has(type, "16") ? 16 : 32; }
std::string text_of(const form& f) {
  return "wgmma.mma_async.sync.aligned.m64n" + std::to_string(f.n) + "k" + std::to_string(256 / bits_in(f.a)) + f.before + "." + f.d + "." + f.a + "." + f.b + f.after;
}
int targets_of(const form& f) { return f.n / 8 * (f.d == "f16" ? 2 : 4); }
std::string list_of(const std::string& prefix, int n) {
  std::string out = "{";
  for (int i = 0; i < n; ++i) out += (i ? "," : "") + prefix + std::to_string(i);
  return out + "}";
}

// 128 threads copy the image to shared memory, do `body` and store d0, d1, ...
// Blocks: out, image, the threads' registers of A, accumulators.
struct parts {
  std::string fence = "fence.proxy.async;\n", before = "wgmma.fence.sync.aligned;\n", after = "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n";
};
kit::request request_of(int targets, const std::string& image, const std::string& body, const parts& p = {}, const std::string& a = "", const std::string& c = "") {
  std::string t =
      "mov.u32 %r1, %tid.x; mul.wide.u32 %rd0, %r1, 4; add.s64 %rd1, %p_0, %rd0; add.s64 %rd2, %p_1, %rd0; add.s64 %rd3, %p_2, %rd0; add.s64 %rd4, %p_3, %rd0;\n"
      "mov.u32 %r2, tile; shl.b32 %r3, %r1, 2; add.u32 %r2, %r2, %r3; mov.u32 %r4, " + std::to_string(image.size()) + ";\n"
      "L: setp.ge.u32 %p0, %r3, %r4; @%p0 bra M; ld.global.u32 %r5, [%rd2]; st.shared.u32 [%r2], %r5; add.u32 %r2, %r2, 512; add.u32 %r3, %r3, 512; add.s64 %rd2, %rd2, 512; bra L;\nM:\n";
  for (int i = 0; i < targets; ++i) t += c.empty() ? "mov.b32 %d" + std::to_string(i) + ", 0;\n" : "ld.global.b32 %d" + std::to_string(i) + ", [%rd4+" + std::to_string(512 * i) + "];\n";
  if (!a.empty())
    for (int i = 0; i < 4; ++i) t += "ld.global.b32 %a" + std::to_string(i) + ", [%rd3+" + std::to_string(512 * i) + "];\n";
  t += "setp.eq.u32 %p1, %r1, %r1; setp.ne.u32 %p2, %r1, %r1;\n" + p.fence + "bar.sync 0;\n" + p.before + body + p.after;
  for (int i = 0; i < targets; ++i) t += "st.global.b32 [%rd1+" + std::to_string(512 * i) + "], %d" + std::to_string(i) + ";\n";
  kit::request r;
  r.ptx = kit::header + kit::entry(t + "ret;", 4, 0, ".reg .b32 %d<128>, %a<4>, %e<128>;\n.shared .align 1024 .b8 tile[65536];");
  r.entry = "k";
  r.cta.x = 128;
  const auto some = [](const std::string& bytes) { return bytes.empty() ? std::string(4, '\0') : bytes; };
  std::string whole = image;
  whole.resize((image.size() + 511) / 512 * 512, '\0');
  r.blocks.push_back({"out", true, false, 4, std::string(static_cast<std::size_t>(512 * targets), '\0')});
  r.blocks.push_back({"image", false, true, 4, whole});
  r.blocks.push_back({"a", false, true, 4, some(a)});
  r.blocks.push_back({"c", false, true, 4, some(c)});
  return r;
}

// The registers of 128 threads: row, column and half of each.
int row_at(int thread, int pair) { return thread / 32 * 16 + thread % 32 / 4 + 8 * pair; }

std::string fragment_of_a(const vectors& m) {
  std::string out(2048, '\0');
  const int per = 32 / m.is.bits;
  for (int t = 0; t < 128; ++t)
    for (int r = 0; r < 4; ++r) {
      u32 word = 0;
      // Registers 0 and 2 are the upper row, 2 and 3 the second half of k.
      for (int i = 0; i < per; ++i)
        word |= static_cast<u32>(bits_of(m.is, m.at(row_at(t, r % 2), (r < 2 ? 0 : m.k / 2) + t % 4 * per + i))) << (i * m.is.bits);
      std::memcpy(out.data() + 512 * r + 4 * t, &word, 4);
    }
  return out;
}

struct options {
  bool scale_d = true, negative_a = false, negative_b = false, registers = false;
  layout a, b;
};

void check(const form& f, const options& o, u64 seed) {
  std::mt19937_64 from(seed);
  const kind ka{f.a, bits_in(f.a)}, kb{f.b, bits_in(f.b)}, kd{f.d, f.d == "f16" ? 16 : 32};
  const int k = 256 / ka.bits, targets = targets_of(f);
  const vectors a(ka, 64, k, from), b(kb, f.n, k, from);
  std::string image;
  const u64 of_a = o.registers ? 0 : put(image, 2048, a, o.a);
  image.resize((image.size() + 2047) / 2048 * 2048, '\x7f');
  const u64 of_b = put(image, static_cast<u32>(image.size()), b, o.b);
  image.resize((image.size() + 3) / 4 * 4);
  std::string c(static_cast<std::size_t>(512 * targets), '\0');
  std::vector<int> old(static_cast<std::size_t>(64 * f.n));
  for (auto& x : old) x = static_cast<int>(from() % 41) - 20;
  const auto each = [&](auto use) {  // thread, register, shift, row, column
    for (int t = 0; t < 128; ++t)
      for (int j = 0; j < f.n / 8; ++j)
        for (int i = 0; i < 4; ++i) {
          const int row = row_at(t, i / 2), column = 8 * j + 2 * (t % 4) + i % 2;
          if (f.d == "f16") use(t, 2 * j + i / 2, 16 * (i % 2), row, column);
          else use(t, 4 * j + i, 0, row, column);
        }
  };
  each([&](int t, int r, int shift, int row, int column) {
    u32 word;
    std::memcpy(&word, c.data() + 512 * r + 4 * t, 4);
    word |= static_cast<u32>(bits_of({f.d == "s32" ? "s32" : f.d, 32}, old[static_cast<std::size_t>(row * f.n + column)]) << shift);
    std::memcpy(c.data() + 512 * r + 4 * t, &word, 4);
  });
  std::string body = "mov.b64 %rd10, " + std::to_string(of_a) + "; mov.b64 %rd11, " + std::to_string(of_b) + ";\n" + text_of(f) + " " + list_of("%d", targets) + ", " +
                     (o.registers ? list_of("%a", 4) : "%rd10") + ", %rd11, " + (o.scale_d ? "%p1" : "%p2");
  if (f.d != "s32") body += std::string(", ") + (o.negative_a ? "-1" : "1") + ", " + (o.negative_b ? "-1" : "1");
  if (ka.bits == 16) body += (o.registers ? "" : std::string(", ") + (o.a.turned ? "1" : "0")) + ", " + (o.b.turned ? "1" : "0");
  body += ";\n";
  const auto told = kit::launch(request_of(targets, image, body, {}, o.registers ? fragment_of_a(a) : "", c));
  INFO(text_of(f) << " a " << o.a.swizzle << (o.a.turned ? " turned" : "") << " b " << o.b.swizzle << (o.b.turned ? " turned" : "") << (o.registers ? " registers" : ""));
  CHECK(told.trouble == "");
  for (const auto& seen : told.findings) MESSAGE(seen.what);
  CHECK(told.findings.empty());
  if (!told.trouble.empty()) return;
  CHECK(told.shadows[0] == std::string(told.shadows[0].size(), '\0'));
  int wrong = 0;
  std::string first;
  each([&](int t, int r, int shift, int row, int column) {
    std::int64_t sum = o.scale_d ? old[static_cast<std::size_t>(row * f.n + column)] : 0;
    for (int l = 0; l < k; ++l) sum += (o.negative_a != o.negative_b ? -1 : 1) * a.at(row, l) * b.at(column, l);
    u32 word;
    std::memcpy(&word, told.bytes[0].data() + 512 * r + 4 * t, 4);
    const u64 got = f.d == "f16" ? (word >> shift) & 0xffff : word;
    const u64 expected = f.d == "f16" ? rounded(static_cast<double>(sum), soft::f16) : f.d == "f32" ? rounded(static_cast<double>(sum), soft::f32) : static_cast<u32>(sum);
    if (got != expected && !wrong++) first = "row " + std::to_string(row) + " column " + std::to_string(column);
  });
  INFO(first);
  CHECK(wrong == 0);
}

const std::string two = "{%d0,%d1,%d2,%d3}";
// m64n8k16 on zeros at tile: 16 rows of A and one part of B without a swizzle.
std::string small(const std::string& d = two, const std::string& scale = "%p1") {
  return "mov.b64 %rd10, " + std::to_string(descriptor(0, 128, 256, 0)) + "; mov.b64 %rd11, " + std::to_string(descriptor(4096, 128, 256, 0)) +
         ";\nwgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 " + d + ", %rd10, %rd11, " + scale + ", 1, 1, 0, 0;\n";
}
kit::report outcome(const std::string& body, const parts& p = {}, int threads = 128) {
  auto r = request_of(4, std::string(8192, '\0'), body, p);
  r.cta.x = threads;
  return kit::launch(r);
}

}  // namespace

TEST_CASE("warpgroup: halves from shared memory, each swizzle, both orders") {
  for (const int swizzle : {0, 32, 64, 128})
    for (const bool a_turned : {false, true})
      for (const bool b_turned : {false, true}) {
        options o;
        o.a = {swizzle, a_turned};
        o.b = {swizzle, b_turned};
        check({"f32", "f16", "f16", 64}, o, 1);
        o.a.gap = o.b.gap = 1024;
        check({"f32", "bf16", "bf16", 136}, o, 2);
      }
  // A and B differ; the second, third and fourth 32 bytes of a line.
  for (int slice = 0; slice < 4; ++slice) {
    options o;
    o.a = {128, false, slice};
    o.b = {64, false, slice % 2};
    check({"f32", "f16", "f16", 72}, o, 3);
  }
}

TEST_CASE("warpgroup: every n") {
  for (int n = 8; n <= 256; n += 8) {
    options o;
    o.a = {128, false};
    o.b = {128, n % 16 == 0};
    check({"f32", "f16", "f16", n}, o, 4);
  }
}

TEST_CASE("warpgroup: every type, A from shared memory and from registers") {
  for (const bool registers : {false, true})
    for (const int swizzle : {0, 128}) {
      options o;
      o.registers = registers;
      o.a = {swizzle, false};
      o.b = {swizzle, false};
      check({"f32", "f16", "f16", 32}, o, 5);
      check({"f16", "f16", "f16", 32}, o, 6);
      check({"f32", "bf16", "bf16", 32}, o, 7);
      check({"f32", "tf32", "tf32", 32}, o, 8);
      for (const char* x : {"e4m3", "e5m2"})
        for (const char* y : {"e4m3", "e5m2"})
          for (const char* d : {"f16", "f32"}) check({d, x, y, 32}, o, 9);
      for (const char* x : {"s8", "u8"})
        for (const char* y : {"s8", "u8"}) {
          check({"s32", x, y, 32}, o, 10);
          check({"s32", x, y, 48, ".satfinite"}, o, 11);
        }
      check({"s32", "b1", "b1", 32, "", ".and.popc"}, o, 12);
    }
}

TEST_CASE("warpgroup: scales") {
  for (const bool scale_d : {false, true})
    for (const bool x : {false, true})
      for (const bool y : {false, true}) {
        options o{scale_d, x, y, false, {128, false}, {128, true}};
        check({"f32", "f16", "f16", 24}, o, 13);
        check({"f16", "f16", "f16", 24}, o, 14);
        o.b.turned = false;
        check({"f32", "tf32", "tf32", 24}, o, 15);
        if (!x && !y) check({"s32", "s8", "u8", 24}, o, 16);
      }
}

TEST_CASE("warpgroup: 8-bit floats keep 13 bits below the largest term") {
  // 1 + 2^-13 of C is kept, 2^-14 is not; the sum is cut to 13 bits.
  const auto sum_of = [](u32 c, char x) {
    std::string image(8192, '\0');
    for (int i = 0; i < 64; ++i) image[static_cast<std::size_t>(i / 8 * 256 + i % 8 * 16)] = x;
    for (int i = 0; i < 8; ++i) image[static_cast<std::size_t>(4096 + i * 16)] = '\x38';  // 1
    std::string accumulators;
    for (int i = 0; i < 512; ++i) accumulators.append(reinterpret_cast<const char*>(&c), 4);
    std::string body = small();
    body.replace(body.find("m64n8k16.f32.f16.f16"), 20, "m64n8k32.f32.e4m3.e4m3");
    body.replace(body.find(", 1, 1, 0, 0"), 12, ", 1, 1");
    const auto told = kit::launch(request_of(4, image, body, {}, "", accumulators));
    CHECK(told.trouble == "");
    CHECK(told.findings.empty());
    return kit::output(told)[0];
  };
  const auto bits = [](float x) { return std::bit_cast<u32>(x); };
  CHECK(sum_of(bits(0x1p-13f), '\x38') == bits(1 + 0x1p-13f));
  CHECK(sum_of(bits(0x1p-14f), '\x38') == bits(1));
  CHECK(sum_of(bits(-0x1.8p-13f), '\x38') == bits(1 - 0x1p-13f));
  CHECK(sum_of(bits(1 + 0x1.8p-13f), '\x38') == bits(2));          // a 14th bit falls off
  CHECK(sum_of(bits(1), '\x7f') == 0x7fffffffu);                    // NaN
  CHECK(sum_of(bits(3.4e38f), '\0') == (bits(3.4e38f) & 0xfffffc00u));
  CHECK(sum_of(0x7f800000u, '\x38') == 0x7f800000u);
}

TEST_CASE("warpgroup: operands that are overwritten are read anew") {
  // The same descriptors three times: A and B of ones, then B of twos, then A too.
  std::string image;
  for (int i = 0; i < 4096; ++i) image += std::string("\0\x3c", 2);
  const std::string done = "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\nbar.sync 0;\n";
  const auto twos = [](int at, int times) {
    std::string t = "mov.u32 %r6, tile; shl.b32 %r7, %r1, 2; add.u32 %r6, %r6, %r7; mov.u32 %r8, 0x40004000;\n";
    for (int i = 0; i < times; ++i) t += "st.shared.u32 [%r6+" + std::to_string(at + 512 * i) + "], %r8;\n";
    return t + "fence.proxy.async;\nbar.sync 0;\nwgmma.fence.sync.aligned;\n";
  };
  const auto told = kit::launch(request_of(4, image, small() + done + twos(4096, 1) + small() + done + twos(0, 4) + small()));
  CHECK(told.trouble == "");
  CHECK(told.findings.empty());
  int wrong = 0;
  for (const u32 x : kit::output(told)) wrong += x != std::bit_cast<u32>(16.0f + 32.0f + 64.0f);
  CHECK(wrong == 0);
}

// ---- definedness, bounds ---------------------------------------------------------------

TEST_CASE("warpgroup: undefined rows of A and columns of B stay their own") {
  // Row 21 of A and column 5 of B are overwritten by a register that nothing wrote.
  parts p;
  p.fence = "bar.sync 0; setp.eq.u32 %p4, %r1, 0; mov.u32 %r6, tile; @%p4 st.shared.u16 [%r6+" + std::to_string(2 * 256 + 5 * 16 + 4) + "], %rs9; @%p4 st.shared.u16 [%r6+" + std::to_string(4096 + 128 + 5 * 16) + "], %rs9;\nfence.proxy.async;\n";
  auto r = request_of(4, std::string(8192, '\0'), small(), p);
  const auto told = kit::launch(r);
  CHECK(told.trouble == "");
  CHECK(told.findings.empty());
  int wrong = 0;
  for (int t = 0; t < 128; ++t)
    for (int i = 0; i < 4; ++i) {
      const bool bad = row_at(t, i / 2) == 21 || 2 * (t % 4) + i % 2 == 5;
      wrong += (told.shadows[0][static_cast<std::size_t>(512 * i + 4 * t)] != 0) != bad;
    }
  CHECK(wrong == 0);
}

TEST_CASE("warpgroup: accumulators that are not read need no value") {
  parts p;
  auto r = request_of(4, std::string(8192, '\0'), "mov.b32 %d0, %e0; mov.b32 %d1, %e1; wgmma.fence.sync.aligned;\n" + small(two, "%p2"), p);
  auto told = kit::launch(r);
  CHECK(told.findings.empty());
  CHECK(told.shadows[0] == std::string(2048, '\0'));
  told = kit::launch(request_of(4, std::string(8192, '\0'), "mov.b32 %d0, %e0; mov.b32 %d1, %e1; wgmma.fence.sync.aligned;\n" + small(two, "%p1"), p));
  CHECK(told.shadows[0] == std::string(1024, '\2') + std::string(1024, '\0'));
}

TEST_CASE("warpgroup: a matrix that leaves shared memory, an undefined descriptor") {
  std::string body = small();
  body.replace(body.find("mov.b64 %rd11, "), body.find(";\nwgmma") - body.find("mov.b64 %rd11, "), "mov.b64 %rd11, " + std::to_string(descriptor(65536 - 64, 128, 256, 0)));
  CHECK(find(outcome(body), code::out_of_bounds));
  body = small();
  body.replace(body.find("%rd10, %rd11"), 5, "%rd12");
  const auto told = outcome(body);
  const auto* f = find(told, code::undefined_value);
  REQUIRE(f);
  CHECK(has(f->what, "descriptor"));
}

// ---- asynchrony ----------------------------------------------------------------------------

TEST_CASE("warpgroup: what is in flight is not touched before the wait") {
  CHECK(outcome(small()).findings.empty());
  const std::string commit = "wgmma.commit_group.sync.aligned;\n", wait = "wgmma.wait_group.sync.aligned 0;\n";
  // Of registers ptxas sees the mistake and repairs it: a note.
  const auto finding = [&](const std::string& body, const std::string& after) {
    parts p;
    p.after = after;
    const auto told = outcome(body, p);
    CHECK(told.trouble == "");
    const auto* of_memory = find(told, code::in_flight_access);
    if (of_memory) return of_memory->what;
    const auto* of_registers = find(told, code::repaired_by_compiler);
    if (!of_registers) return std::string();
    CHECK(has(of_registers->what, "C7517"));
    return of_registers->what;
  };
  CHECK(has(finding(small(), ""), "reads an accumulator"));
  CHECK(has(finding(small(), commit), "reads an accumulator"));
  CHECK(has(finding(small(), wait), "reads an accumulator"));  // never committed
  CHECK(has(finding(small(), commit + "wgmma.wait_group.sync.aligned 1;\n"), "reads an accumulator"));
  CHECK(finding(small(), commit + wait) == "");
  CHECK(has(finding(small() + "mov.b32 %d2, 0;\n", commit + wait), "writes a register"));
  CHECK(has(finding(small() + "add.u32 %d2, %r1, 1;\n", commit + wait), "writes a register"));
  // A copy goes on waiting.
  CHECK(finding(small() + "mov.b32 %e0, %d0;\n", commit + wait + "mov.b32 %d0, %e0;\n") == "");
  CHECK(has(finding(small() + "mov.b32 %e0, %d0; add.u32 %r9, %e0, 1;\n", commit + wait), "reads an accumulator"));
  // Two in flight, one waited for.
  const std::string others = small("{%e0,%e1,%e2,%e3}", "%p2");
  CHECK(finding(small() + commit + others, commit + "wgmma.wait_group.sync.aligned 1;\n") == "");
  CHECK(has(finding(others + commit + small(), commit + "wgmma.wait_group.sync.aligned 1;\n"), "reads an accumulator"));
  // The operands in shared memory.
  const auto store = [](int at) { return "mov.u32 %r6, tile; st.shared.u32 [%r6+" + std::to_string(at) + "], %r1; bar.sync 0;\n"; };
  CHECK(has(finding(small() + store(2048 - 4), commit + wait), "may still read"));
  CHECK(has(finding(small() + store(4096 + 252), commit + wait), "may still read"));
  CHECK(finding(small() + store(4096 + 256), commit + wait) == "");
  CHECK(finding(small() + store(2048), commit + wait) == "");
  CHECK(finding(small(), commit + wait + store(0)) == "");
  // Each warp its own rows of A, lane after lane: nobody else reads them.
  const std::string own = "mov.u32 %r6, tile; shr.u32 %r7, %r1, 5; shl.b32 %r7, %r7, 9; and.b32 %r8, %r1, 31; shl.b32 %r8, %r8, 2; add.u32 %r6, %r6, %r7; add.u32 %r6, %r6, %r8;\nst.shared.u32 [%r6], %r1;\n";
  CHECK(has(finding(small() + own, commit + wait), "may still read"));
  CHECK(finding(small(), commit + wait + own) == "");
  // Registers of A.
  const std::string from_registers = "mov.b32 %a0, 0; mov.b32 %a1, 0; mov.b32 %a2, 0; mov.b32 %a3, 0; wgmma.fence.sync.aligned;\n" +
                                     std::string("mov.b64 %rd11, ") + std::to_string(descriptor(4096, 128, 256, 0)) +
                                     "; wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 " + two + ", {%a0,%a1,%a2,%a3}, %rd11, %p1, 1, 1, 0;\n";
  CHECK(finding(from_registers, commit + wait) == "");
  CHECK(has(finding(from_registers + "mov.b32 %a3, 1;\n", commit + wait), "writes a register"));
  CHECK(finding(from_registers + "add.u32 %r9, %a3, 1;\n", commit + wait) == "");
  // Accumulators that go into another product before the wait.
  CHECK(has(finding(small() + "mov.b64 %rd11, " + std::to_string(descriptor(4096, 128, 256, 0)) + "; wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%e0,%e1,%e2,%e3}, " + two + ", %rd11, %p2, 1, 1, 0;\n", commit + wait), "multiplies accumulators"));
}

TEST_CASE("warpgroup: however many operations are in flight, what they read is known") {
  skillbench::ptx::wgmma_reads all;
  all.start(4096, 1);
  for (int i = 0; i < 65536; ++i) {
    all.reach(1024, 1040, 1);
    ++all.count[64];
  }
  CHECK(all.any_near(1030, 4));
  CHECK(all.reads(1036, 4));
  CHECK_FALSE(all.reads(1040, 4));
  CHECK_FALSE(all.any_near(1020, 4));
  for (int i = 0; i < 65536; ++i) all.reach(1024, 1040, ~0u);
  CHECK_FALSE(all.any_near(1030, 4));
}

TEST_CASE("warpgroup: an operand races with the stores of other warps, at both ends of the time") {
  // Warp 1 writes a part of B, which all four read.
  const std::string store = "shr.u32 %r7, %r1, 5; setp.eq.u32 %p5, %r7, 1; and.b32 %r8, %r1, 31; shl.b32 %r8, %r8, 2; mov.u32 %r6, tile; add.u32 %r6, %r6, %r8;\n@%p5 st.shared.u32 [%r6+4096], %r1;\n";
  const std::string commit = "wgmma.commit_group.sync.aligned;\n", wait = "wgmma.wait_group.sync.aligned 0;\n", fence = "fence.proxy.async;\n", meet = "bar.sync 0;\n";
  const auto races = [](const std::string& body, const std::string& after, std::uint64_t seed) {
    parts p;
    p.after = after;
    auto r = request_of(4, std::string(8192, '\0'), body, p);
    r.seed = seed;
    const auto told = kit::launch(r);
    CHECK(told.trouble == "");
    if (const auto* f = find(told, code::race)) return has(f->what, "no barrier orders the two");
    CHECK(told.findings.empty());
    return false;
  };
  // Who comes last to a barrier goes on first: so warp 1 is the first, or the last.
  const std::uint64_t first = 2ull << 16, last = 0;
  CHECK(races(store + fence + small(), commit + wait, first));
  CHECK_FALSE(races(store + fence + meet + small(), commit + wait, first));
  // A barrier before the wait does not undo what was read before it.
  CHECK(races(store + fence + small() + commit + meet, wait, first));
  // What was read before a barrier is read again when it is waited for.
  CHECK(races(small() + commit + meet, wait + store, last));
  CHECK_FALSE(races(small() + commit + meet, wait + meet + store, last));
}

TEST_CASE("warpgroup: what ptxas repairs is a note and ends no launch") {
  std::string reads = "wgmma.commit_group.sync.aligned;\n";
  for (int i = 0; i < 20; ++i) reads += "add.u32 %r9, %d0, 1;\n";
  const auto told = outcome(small() + reads + "wgmma.wait_group.sync.aligned 0;\n");
  CHECK(told.trouble == "");
  CHECK(find(told, code::repaired_by_compiler));
  for (const auto& f : told.findings) {
    CHECK(f.kind == code::repaired_by_compiler);
    CHECK(f.weight == skillbench::severity::note);
  }
  // The accumulators are stored behind it, and were.
  CHECK(told.shadows[0] == std::string(told.shadows[0].size(), '\0'));
}

TEST_CASE("warpgroup: fences") {
  const auto findings = [](const std::string& body, const parts& p) {
    const auto told = outcome(body, p);
    CHECK(told.trouble == "");
    const auto* of_memory = find(told, code::missing_fence);
    if (of_memory) return of_memory->what;
    const auto* of_registers = find(told, code::repaired_by_compiler);
    return of_registers ? of_registers->what : std::string();
  };
  parts p;
  CHECK(findings(small(), p) == "");
  CHECK(findings(small() + small() + small(), p) == "");
  p.before = "";
  CHECK(has(findings(small(), p), "wgmma.fence"));
  p = {};
  CHECK(has(findings("add.u32 %d1, %r1, 0;\n" + small(), p), "wgmma.fence"));
  CHECK(has(findings(small() + "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0; add.u32 %d1, %d1, 0;\n" + small(), p), "wgmma.fence"));
  CHECK(findings(small() + "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0; add.u32 %r9, %d1, 0;\n" + small(), p) == "");
  CHECK(findings("add.u32 %r9, %r1, 0; mov.b32 %e1, %d1; mov.b32 %d1, %e1;\n" + small(), p) == "");
  // On one of two paths.
  CHECK(has(findings("setp.eq.u32 %p5, %r1, 1000; @!%p5 bra N; add.u32 %d1, %r1, 0;\nN:" + small(), p), "wgmma.fence"));
  CHECK(findings("setp.eq.u32 %p5, %r1, 1000; @!%p5 bra N; add.u32 %d1, %r1, 0; wgmma.fence.sync.aligned;\nN:" + small(), p) == "");
  // Around a loop.
  const std::string loop = "mov.u32 %r9, 0;\nO:\n" + small() + "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;\n";
  CHECK(findings(loop + "add.u32 %r9, %r9, 1; setp.lt.u32 %p5, %r9, 3; @%p5 bra O;\n", p) == "");
  CHECK(has(findings(loop + "add.u32 %d0, %d0, 1; add.u32 %r9, %r9, 1; setp.lt.u32 %p5, %r9, 3; @%p5 bra O;\n", p), "wgmma.fence"));
  // The other proxy.
  p.fence = "";
  CHECK(has(findings(small(), p), "fence.proxy.async"));
}

TEST_CASE("warpgroup: all four warps, the same operation") {
  const auto told = [](const std::string& body, int threads = 128) {
    const auto r = outcome(body, {}, threads);
    const auto* f = find(r, code::mask_misuse);
    return f ? f->what : std::string();
  };
  CHECK(told(small()) == "");
  CHECK(has(told(small(), 96), "only 3 of the four warps"));
  CHECK(has(told("setp.ge.u32 %p5, %r1, 32; @%p5 bra N;\n" + small() + "N:\n"), "only 1 of the four warps"));
  CHECK(has(told("setp.ge.u32 %p5, %r1, 32; @%p5 bra N;\n" + small() + "bra O;\nN:\n" + small() + "O:\n"), "all four warps must execute the same one"));
  std::string other = small();
  other.insert(other.find("wgmma"), "setp.ge.u32 %p5, %r1, 64; selp.b64 %rd10, %rd11, %rd10, %p5;\n");
  CHECK(has(told(other), "other matrix descriptors"));
  other = small();
  other.insert(other.find("wgmma"), "setp.eq.u32 %p5, %r1, 3; selp.b64 %rd10, %rd11, %rd10, %p5;\n");
  CHECK(has(told(other), "different matrix descriptors"));
  CHECK(has(told("setp.eq.u32 %p1, %r1, 3;\n" + small()), "different matrix descriptors or scales"));
}

TEST_CASE("warpgroup: forms that sm_90a does not have are refused by name") {
  const auto refusal = [](const std::string& text) {
    kit::request r = request_of(4, std::string(512, '\0'), text);
    return kit::launch(r).trouble;
  };
  const std::string rest = " " + two + ", %rd10, %rd11, %p1, 1, 1, 0, 0;";
  CHECK(has(refusal("wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.f16.f16 " + two + ", %rd10, %rd11, %r1, 0, %p1, 1, 1, 0, 0;"), "sparse"));
  for (const std::string bad : {"m64n8k8.f32.f16.f16", "m64n12k16.f32.f16.f16", "m64n264k16.f32.f16.f16", "m32n8k16.f32.f16.f16", "m64n8k16.f32.f16.bf16", "m64n8k16.f16.bf16.bf16",
                                "m64n8k16.satfinite.f32.f16.f16", "m64n40k32.s32.s8.s8", "m64nk16.f32.f16.f16"}) {
    const std::string told = refusal("wgmma.mma_async.sync.aligned." + bad + rest);
    INFO(bad << ": " << told);
    CHECK(has(told, "not supported by the PTX machine: wgmma.mma_async.sync.aligned." + bad));
  }
  CHECK(has(refusal("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 " + two + ", %rd10, %rd11, %p1, 2, 1, 0, 0;"), "operand 5"));
  CHECK(has(refusal("wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16" + rest), "registers"));
  CHECK(has(refusal("wgmma.wait_group.sync.aligned 8;"), "count of groups"));
}
