// wmma through mma.h, compiled by NVRTC, against plain matrix products; and what
// the PTX says that mma.h does not.

#include <doctest/doctest.h>

#include <bit>
#include <cstring>
#include <random>

#include "ptx_launch.hpp"
#include "ptx_soft.hpp"

using kit::find;
using kit::has;
using kit::kernel;
using kit::start;
using kit::u32;
using skillbench::code;
using u64 = std::uint64_t;

namespace {

struct type {
  std::string fragment, stored;  // in mma.h, and of the pointer
  int bits;
};
const type half{"__half", "__half", 16}, bfloat{"__nv_bfloat16", "__nv_bfloat16", 16}, tf32{"wmma::precision::tf32", "float", 32}, f32{"float", "float", 32}, f64{"double", "double", 64},
    s8{"signed char", "signed char", 8}, u8{"unsigned char", "unsigned char", 8}, s32{"int", "int", 32}, s4{"wmma::experimental::precision::s4", "int", 4}, u4{"wmma::experimental::precision::u4", "int", 4},
    b1{"wmma::experimental::precision::b1", "int", 1};

u64 bits_of(const type& t, int x) {
  const auto rounded = [&](soft::format f) { return soft::write(soft::read(std::bit_cast<u64>(static_cast<double>(x)), soft::f64), f); };
  if (t.fragment == "__half") return rounded(soft::f16);
  if (t.fragment == "__nv_bfloat16") return rounded(soft::bf16);
  if (t.stored == "float") return rounded(soft::f32);
  if (t.bits == 64) return rounded(soft::f64);
  return static_cast<u64>(static_cast<std::int64_t>(x)) & ((u64{1} << t.bits) - 1);
}
int any_of(const type& t, std::mt19937_64& from) {
  if (t.bits == 1) return static_cast<int>(from() & 1);
  if (t.fragment[0] == 'u' || t.fragment == u4.fragment) return static_cast<int>(from() % 8);
  return static_cast<int>(from() % 9) - 4;
}

struct form {
  int m, n, k;
  type a, b, c, d;
  std::string layout_a, layout_b, layout_c;
  bool clamped = false, is_and = false, in_shared = false;
};

struct stored_matrix {
  int rows, columns, line;  // elements from one line to the next
  bool by_columns;
  std::vector<int> x;
  stored_matrix(int r, int c, bool turned, const type& of, std::mt19937_64& from) : rows(r), columns(c), by_columns(turned), x(static_cast<std::size_t>(r * c)) {
    for (auto& v : x) v = any_of(of, from);
    const int unit = 128 / of.bits;  // a line is a multiple of 16 bytes, and here 16 more
    line = ((turned ? r : c) + unit - 1) / unit * unit + unit;
    if (of.bits == 1) line = (turned ? r : c) + 128;
  }
  [[nodiscard]] int at(int i, int j) const { return x[static_cast<std::size_t>(i * columns + j)]; }
  [[nodiscard]] std::size_t index(int i, int j) const { return static_cast<std::size_t>(by_columns ? j * line + i : i * line + j); }
  [[nodiscard]] std::string bytes(const type& of) const {
    std::string out(static_cast<std::size_t>((by_columns ? columns : rows) * line * of.bits / 8), '\0');
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) {
        const std::size_t bit = index(i, j) * static_cast<std::size_t>(of.bits);
        u64 word = 0;
        const std::size_t n = static_cast<std::size_t>(std::max(1, of.bits / 8));
        std::memcpy(&word, out.data() + bit / 8, n);
        word |= bits_of(of, at(i, j)) << (bit % 8);
        std::memcpy(out.data() + bit / 8, &word, n);
      }
    return out;
  }
};

std::string source_of(const form& f, int number) {
  const std::string shape = std::to_string(f.m) + "," + std::to_string(f.n) + "," + std::to_string(f.k);
  std::string t = "extern \"C\" __global__ void k" + std::to_string(number) + "(" + f.d.stored + "* d, const " + f.a.stored + "* a, const " + f.b.stored + "* b, const " + f.c.stored + "* c, int la, int lb, int lc, int ld) {\n";
  t += "wmma::fragment<wmma::matrix_a," + shape + "," + f.a.fragment + ",wmma::" + f.layout_a + "_major> fa;\n";
  t += "wmma::fragment<wmma::matrix_b," + shape + "," + f.b.fragment + ",wmma::" + f.layout_b + "_major> fb;\n";
  t += "wmma::fragment<wmma::accumulator," + shape + "," + f.c.fragment + "> fc;\nwmma::fragment<wmma::accumulator," + shape + "," + f.d.fragment + "> fd;\n";
  const std::string order = "wmma::mem_" + f.layout_c + "_major";
  if (f.in_shared) {
    t += "__shared__ alignas(32) " + f.a.stored + " sa[2048]; __shared__ alignas(32) " + f.d.stored + " sd[2048];\n"
         "for (int i = threadIdx.x; i < la * " + std::to_string(f.layout_a == "row" ? f.m : f.k) + "; i += 32) sa[i] = a[i];\n__syncwarp();\n";
  }
  t += std::string("wmma::load_matrix_sync(fa, ") + (f.in_shared ? "sa" : "a") + ", la); wmma::load_matrix_sync(fb, b, lb); wmma::load_matrix_sync(fc, c, lc, " + order + ");\n";
  if (f.a.bits == 1) t += std::string("wmma::bmma_sync(fd, fa, fb, fc, wmma::experimental::bmmaBitOp") + (f.is_and ? "AND" : "XOR") + ");\n";
  else t += std::string("wmma::mma_sync(fd, fa, fb, fc") + (f.clamped ? ", true" : "") + ");\n";
  if (f.in_shared)
    t += "wmma::store_matrix_sync(sd, fd, ld, " + order + "); __syncwarp();\nfor (int i = threadIdx.x; i < " + std::to_string(f.m * f.n) + "; i += 32) { int r = i / " + std::to_string(f.n) + ", q = i % " + std::to_string(f.n) +
         "; int at = " + (f.layout_c == "row" ? "r * ld + q" : "q * ld + r") + "; d[at] = sd[at]; }\n";
  else
    t += "wmma::store_matrix_sync(d, fd, ld, " + order + ");\n";
  return t + "}\n";
}

constexpr std::size_t at_once = 60;  // a program has at most 64 entries

void check(const std::vector<form>& forms) {
  if (forms.size() > at_once) {
    const auto middle = forms.begin() + at_once;
    check({forms.begin(), middle});
    return check({middle, forms.end()});
  }
  const auto on = kit::device();
  skillbench::compile_request asked;
  asked.source = "#include <mma.h>\n#include <cuda_fp16.h>\n#include <cuda_bf16.h>\nusing namespace nvcuda;\n";
  for (std::size_t i = 0; i < forms.size(); ++i) {
    asked.source += source_of(forms[i], static_cast<int>(i));
    asked.entries.push_back("k" + std::to_string(i));
  }
  const auto image = on->compile(asked);
  if (!image) {
    MESSAGE("not run: " << image.error().what);
    return;
  }
  INFO(image.value().log.substr(0, 2000));
  REQUIRE(image.value().ok);
  for (std::size_t i = 0; i < forms.size(); ++i) {
    const form& f = forms[i];
    std::mt19937_64 from(i + 1);
    const stored_matrix a(f.m, f.k, f.layout_a == "col", f.a, from), b(f.k, f.n, f.layout_b == "col", f.b, from), c(f.m, f.n, f.layout_c == "col", f.c, from), d(f.m, f.n, f.layout_c == "col", f.d, from);
    kit::request r;
    r.ptx = image.value().ptx;
    r.entry = "k" + std::to_string(i);
    r.cta.x = 32;
    r.blocks.push_back({"d", true, false, f.d.bits / 8, std::string(d.bytes(f.d).size(), '\0')});
    r.blocks.push_back({"a", false, true, 4, a.bytes(f.a)});
    r.blocks.push_back({"b", false, true, 4, b.bytes(f.b)});
    r.blocks.push_back({"c", false, true, 4, c.bytes(f.c)});
    r.numbers = {static_cast<u32>(a.line), static_cast<u32>(b.line), static_cast<u32>(c.line), static_cast<u32>(d.line)};
    const auto told = kit::launch(r);
    INFO(source_of(f, static_cast<int>(i)));
    CHECK(told.trouble == "");
    for (const auto& seen : told.findings) MESSAGE(seen.what);
    CHECK(told.findings.empty());
    if (!told.trouble.empty()) continue;
    int wrong = 0;
    std::size_t written = 0;
    for (int row = 0; row < f.m; ++row)
      for (int column = 0; column < f.n; ++column) {
        int sum = c.at(row, column);
        for (int l = 0; l < f.k; ++l) {
          const int x = a.at(row, l), y = b.at(l, column);
          sum += f.a.bits > 1 ? x * y : f.is_and ? x & y : x ^ y;
        }
        u64 got = 0;
        const std::size_t at = d.index(row, column) * static_cast<std::size_t>(f.d.bits / 8);
        std::memcpy(&got, told.bytes[0].data() + at, static_cast<std::size_t>(f.d.bits / 8));
        wrong += got != bits_of(f.d, sum) || told.shadows[0][at] != 0;
        ++written;
      }
    std::size_t touched = 0;
    for (const char s : told.shadows[0]) touched += s == 0;
    CHECK(wrong == 0);
    CHECK(touched == written * static_cast<std::size_t>(f.d.bits / 8));
  }
}

}  // namespace

TEST_CASE("wmma: every shape and type of mma.h") {
  std::vector<form> forms;
  int turn = 0;
  const auto next = [&] { return turn++ % 2 ? "col" : "row"; };
  for (const auto& [m, n] : {std::pair{16, 16}, {8, 32}, {32, 8}}) {
    for (const std::string x : {"row", "col"})
      for (const std::string y : {"row", "col"}) {
        for (const type& c : {half, f32})
          for (const type& d : {half, f32}) forms.push_back({m, n, 16, half, half, c, d, x, y, next(), false, false, turn % 3 == 0});
        forms.push_back({m, n, 16, bfloat, bfloat, f32, f32, x, y, next()});
        forms.push_back({m, n, 16, s8, s8, s32, s32, x, y, next(), turn % 2 == 0});
        forms.push_back({m, n, 16, u8, u8, s32, s32, x, y, next()});
      }
  }
  for (const std::string x : {"row", "col"})
    for (const std::string y : {"row", "col"}) {
      forms.push_back({16, 16, 8, tf32, tf32, f32, f32, x, y, next(), false, false, turn % 2 == 0});
      forms.push_back({8, 8, 4, f64, f64, f64, f64, x, y, next()});
    }
  forms.push_back({8, 8, 32, s4, s4, s32, s32, "row", "col", "row"});
  forms.push_back({8, 8, 32, u4, u4, s32, s32, "row", "col", "col", true});
  forms.push_back({8, 8, 128, b1, b1, s32, s32, "row", "col", "row"});
  forms.push_back({8, 8, 128, b1, b1, s32, s32, "row", "col", "row", false, true});
  check(forms);
}

namespace {

const std::string tile = ".shared .align 128 .b8 tile[2048];\n.reg .b32 %a<8>, %b<8>, %c<8>, %e<8>;";
std::string list_of(const std::string& prefix, int n) {
  std::string out = "{";
  for (int i = 0; i < n; ++i) out += (i ? "," : "") + prefix + std::to_string(i);
  return out + "}";
}
const std::string zero = [] {
  std::string t = start + "mov.u32 %r12, tile; mov.u32 %r13, 16; shl.b32 %r14, %r1, 4; add.u32 %r14, %r14, %r12;\n";
  for (int i = 0; i < 4; ++i) t += "st.shared.v4.u32 [%r14+" + std::to_string(512 * i) + "], {0,0,0,0};";
  for (int i = 0; i < 8; ++i) {
    for (const char* x : {"%a", "%b", "%c"}) t += std::string("mov.b32 ") + x + std::to_string(i) + ", 0;";
  }
  return t + "bar.warp.sync -1;\n";
}();
const std::string load = "wmma.load.a.sync.aligned.row.m16n16k16.shared.f16 " + list_of("%a", 8) + ", [%r12], %r13;\n";
const std::string product = "wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 " + list_of("%e", 8) + ", " + list_of("%a", 8) + ", " + list_of("%b", 8) + ", " + list_of("%c", 8) + ";\n";
const std::string keep = [] {
  std::string t;
  for (int i = 0; i < 8; ++i) t += "st.global.b32 [%rd0+" + std::to_string(128 * i) + "], %e" + std::to_string(i) + ";";
  return t + "ret;";
}();

}  // namespace

TEST_CASE("wmma: accumulators are those of mma.sync, two blocks of eight columns") {
  // Code that knows this layout from hardware works on fragments by hand.
  std::string body = zero + "mul.lo.u32 %r20, %r1, 3; cvt.rn.f32.u32 %f1, %r20; mov.b32 %c5, %f1;\n" + product + keep;
  const auto got = kit::run(kernel(body, 256, tile));
  for (std::size_t l = 0; l < 32; ++l) CHECK(got[5 * 32 + l] == std::bit_cast<u32>(static_cast<float>(3 * l)));
  body = zero + load + "mov.b32 %e0, 0;" + "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%e0,%e1,%e2,%e3}, {%a0,%a1,%a2,%a3}, {%b0,%b1}, {%c0,%c1,%c2,%c3}; mov.b32 %e4, 0; mov.b32 %e5, 0; mov.b32 %e6, 0; mov.b32 %e7, 0;\n" + keep;
  CHECK(kit::run(kernel(body, 256, tile)) == std::vector<u32>(256, 0));
}

TEST_CASE("wmma: an undefined row of A spoils its row of D alone") {
  const auto told = kit::launch(kernel(zero + "setp.eq.u32 %p3, %r1, 0; @%p3 st.shared.u16 [%r12+" + std::to_string(32 * 11 + 6) + "], %rs9; bar.warp.sync -1;\n" + load + product + keep, 256, tile));
  CHECK(told.trouble == "");
  CHECK(told.findings.empty());
  int wrong = 0;
  for (int r = 0; r < 8; ++r)
    for (int l = 0; l < 32; ++l) wrong += (told.shadows[0][static_cast<std::size_t>(128 * r + 4 * l)] != 0) != (l / 4 + 8 * (r / 2 % 2) == 11);
  CHECK(wrong == 0);
}

TEST_CASE("wmma: misaligned, out of bounds, part of a warp, refused forms") {
  const auto told = [](const std::string& text, const std::string& before = "") { return kit::launch(kernel(zero + before + text + "ret;", 256, tile)); };
  CHECK(told(load).findings.empty());
  CHECK(find(told(load, "add.u32 %r12, %r12, 8;"), code::misaligned));
  CHECK(find(told(load, "mov.u32 %r13, 20;"), code::misaligned));
  CHECK(find(told(load, "add.u32 %r12, %r12, 1552;"), code::out_of_bounds));
  CHECK(told(load, "add.u32 %r12, %r12, 1536;").findings.empty());
  CHECK(find(told(load, "setp.gt.u32 %p3, %r1, 20; @%p3 exit;"), code::mask_misuse));
  const auto refusal = [&](const std::string& text) { return told(text).trouble; };
  CHECK(has(refusal("wmma.load.a.sync.aligned.row.m16n16k16.shared.tf32 " + list_of("%a", 4) + ", [%r12], %r13;"), "not supported by the PTX machine: wmma.load.a"));
  CHECK(has(refusal("wmma.load.a.sync.aligned.row.m16n16k16.shared.f16 " + list_of("%a", 4) + ", [%r12], %r13;"), "registers"));
  CHECK(has(refusal("wmma.load.a.sync.aligned.col.m8n8k32.shared.s4 {%a0}, [%r12], %r13;"), "layout"));
  CHECK(has(refusal("wmma.mma.sync.aligned.row.col.m16n16k16.f32.f16.bf16.f32 " + list_of("%e", 8) + ", " + list_of("%a", 8) + ", " + list_of("%b", 8) + ", " + list_of("%c", 8) + ";"), "not supported by the PTX machine: wmma.mma"));
}
