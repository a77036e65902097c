// Calls by pointer, and what the device's library does: printing, assertions,
// memory; the stack of a thread.

#include "ptx_launch.hpp"

#include <memory>

using kit::each;
using kit::has;
using kit::u32;

namespace {

const std::string functions =
    ".func (.param .b32 o) twice(.param .b32 x)\n{\n.reg .b32 %r<2>;\nld.param.u32 %r0, [x];\nadd.u32 %r0, %r0, %r0;\nst.param.b32 [o], %r0;\nret;\n}\n"
    ".func (.param .b32 o) plus7(.param .b32 x)\n{\n.reg .b32 %r<2>;\nld.param.u32 %r0, [x];\nadd.u32 %r0, %r0, 7;\nst.param.b32 [o], %r0;\nret;\n}\n"
    ".func other(.param .b64 x, .param .b64 y)\n{\nret;\n}\n";
const std::string call =
    "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r1; proto: .callprototype (.param .b32 _) _ (.param .b32 _); call (b), %rd5, (a), proto; ld.param.b32 %r5, [b]; }\n";

const std::string externs =
    ".extern .func (.param .b32 o) vprintf(.param .b64 f, .param .b64 a);\n.extern .func __assertfail(.param .b64 a, .param .b64 b, .param .b32 c, .param .b64 d, .param .b64 e);\n"
    ".extern .func (.param .b64 o) malloc(.param .b64 n);\n.extern .func free(.param .b64 p);\n";

// CUDA C++ through NVRTC and the device: what a launch of `k` printed, and found.
skillbench::run_report compiled(const std::string& source, int threads = 32) {
  const auto on = kit::device();
  const auto image = on->compile({.source = source, .entries = {"k"}});
  REQUIRE(!!image);
  REQUIRE_MESSAGE(image.value().ok, image.value().log);
  REQUIRE(!!on->load(image.value().ptx));
  skillbench::job asked;
  skillbench::buffer y;
  y.name = "y";
  y.use = skillbench::role::output;
  y.elements = 64;
  asked.buffers.push_back(y);
  skillbench::launch one;
  one.entry = image.value().kernels[0].lowered;
  one.block.x = threads;
  skillbench::kernel_argument pointer;
  pointer.name = "y";
  one.args.push_back(pointer);
  asked.launches.push_back(one);
  const auto told = on->run(asked);
  REQUIRE_MESSAGE(!!told, told.error().what);
  return told.value();
}
const skillbench::finding* find(const skillbench::run_report& told, kit::code what) {
  for (const auto& f : told.findings)
    if (f.kind == what) return &f;
  return nullptr;
}
bool available() { return kit::device()->compile({.source = "extern \"C\" __global__ void k() {}", .entries = {"k"}}) ? true : false; }

}  // namespace

TEST_CASE("service: lanes call the functions that their pointers name, and meet again") {
  auto r = kit::kernel(kit::start + "mov.u64 %rd6, twice; mov.u64 %rd7, plus7; and.b32 %r6, %r1, 1; setp.eq.u32 %p1, %r6, 0; selp.b64 %rd5, %rd6, %rd7, %p1;\n" + call +
                           "vote.sync.ballot.b32 %r6, %p1, 0xffffffff; popc.b32 %r6, %r6; mad.lo.u32 %r5, %r6, 1000, %r5; st.global.u32 [%rd0], %r5; ret;",
                       32, "", functions);
  CHECK(kit::run(r) == each(32, [](u32 i) { return 16000 + (i % 2 ? i + 7 : 2 * i); }));
}

TEST_CASE("service: a forged, a foreign and an undefined function pointer are findings") {
  const auto with = [&](const std::string& pointer) { return kit::launch(kit::kernel(kit::start + "mov.u64 %rd6, twice; mov.u64 %rd7, other;" + pointer + call + "st.global.u32 [%rd0], %r5; ret;", 32, "", functions)); };
  const auto forged = with("mov.u64 %rd5, 4096;");
  REQUIRE(kit::find(forged, kit::code::invalid_access));
  CHECK(has(kit::find(forged, kit::code::invalid_access)->what, "calls 0x1000, where no function is"));
  const auto foreign = with("mov.u64 %rd5, %rd7;");
  REQUIRE(kit::find(foreign, kit::code::invalid_access));
  CHECK(has(kit::find(foreign, kit::code::invalid_access)->what, "function other, with other parameters than it has"));
  const auto inside = with("add.u64 %rd5, %rd6, 4;");
  CHECK(kit::find(inside, kit::code::invalid_access));
  const auto undefined = with("ld.global.u64 %rd5, [%p_0];");
  REQUIRE(kit::find(undefined, kit::code::undefined_value));
  CHECK(has(kit::find(undefined, kit::code::undefined_value)->what, "the address of a call"));
}

TEST_CASE("service: recursion by way of a pointer is not supported, by name") {
  const std::string self =
      ".func (.param .b32 o) f(.param .b32 x)\n{\n.reg .b32 %r<9>;\n.reg .b64 %rd<9>;\nmov.u64 %rd5, f;\nld.param.u32 %r1, [x];\n" + call + "st.param.b32 [o], %r5;\nret;\n}\n";
  const auto told = kit::launch(kit::kernel(kit::start + "mov.u64 %rd5, f;" + call + "ret;", 1, "", self));
  CHECK(has(told.trouble, "recursion (function f reaches itself)"));
  // Twice in a row is no recursion.
  CHECK(kit::run(kit::kernel(kit::start + "mov.u64 %rd5, twice; " + call + "mov.b32 %r1, %r5;" + call + "st.global.u32 [%rd0], %r5; ret;", 32, "", functions)) == each(32, [](u32 i) { return 4 * i; }));
}

TEST_CASE("service: a recursion that is not reached is no trouble") {
  const std::string self = ".func f(.param .b32 x)\n{\n.reg .b32 %r<2>;\nld.param.u32 %r0, [x];\n.reg .pred %p; setp.eq.u32 %p, %r0, 1; @%p ret;\n{ .param .b32 a; st.param.b32 [a], %r0; call.uni f, (a); }\nret;\n}\n";
  CHECK(kit::run(kit::kernel(kit::start + "{ .param .b32 a; st.param.b32 [a], 1; call.uni f, (a); } st.global.u32 [%rd0], %r1; ret;", 32, "", self)) == each(32, [](u32 i) { return i; }));
}

TEST_CASE("service: memory of malloc is fenced, and ends with free") {
  const auto with = [&](const std::string& then) {
    return kit::launch(kit::kernel(kit::start + "setp.ne.u32 %p1, %r1, 0; @%p1 ret; { .param .b64 n; .param .b64 p; st.param.b64 [n], 16; call.uni (p), malloc, (n); ld.param.b64 %rd5, [p]; }\n" + then +
                                       "{ .param .b64 q; st.param.b64 [q], %rd5; call.uni free, (q); }\n st.global.u32 [%p_0], %r6; ret;",
                                   1, "", externs));
  };
  const std::string again = "{ .param .b64 q; st.param.b64 [q], %rd5; call.uni free, (q); }\n";
  auto good = with("st.u32 [%rd5+12], 77; ld.u32 %r6, [%rd5+12];");
  CHECK(good.trouble == "");
  CHECK(good.findings.empty());
  CHECK(kit::output(good)[0] == 77);
  CHECK(kit::find(with("ld.u32 %r6, [%rd5+16];"), kit::code::out_of_bounds));
  CHECK(kit::find(with(again + "ld.u32 %r6, [%rd5];"), kit::code::out_of_bounds));
  const auto twice = with(again);
  REQUIRE(kit::find(twice, kit::code::invalid_access));
  CHECK(has(kit::find(twice, kit::code::invalid_access)->what, "freed already"));
  CHECK(kit::find(with("add.u64 %rd5, %rd5, 4;"), kit::code::invalid_access));
  CHECK(kit::find(with("mov.u64 %rd5, %p_0;"), kit::code::invalid_access));
  CHECK(with("ld.u32 %r6, [%rd5];").shadows[0] == std::string(4, '\2'));  // nobody wrote it
}

TEST_CASE("service: more memory than a GPU's heap has is refused with null") {
  auto r = kit::kernel(kit::start + "setp.ne.u32 %p1, %r1, 0; @%p1 ret; mov.u32 %r6, 0; L: { .param .b64 n; .param .b64 p; st.param.b64 [n], 1048576; call.uni (p), malloc, (n); ld.param.b64 %rd5, [p]; }\n"
                                    "add.u32 %r6, %r6, 1; setp.ne.u64 %p2, %rd5, 0; @%p2 bra L; st.global.u32 [%p_0], %r6; ret;", 1, "", externs);
  CHECK(kit::run(r)[0] == 9);  // 8 MB
}

TEST_CASE("service: alloca takes from a stack that ends") {
  auto r = kit::kernel(kit::start + "stacksave.u64 %rd5; mov.u64 %rd6, 64; alloca.u64 %rd7, %rd6, 16; alloca.u64 %rd8, %rd6, 16; sub.u64 %rd9, %rd8, %rd7; st.local.u32 [%rd7+60], %r1; st.local.u32 [%rd8], 5;"
                                    "ld.local.u32 %r5, [%rd7+60]; stackrestore.u64 %rd5; alloca.u64 %rd10, %rd6, 16; setp.eq.u64 %p1, %rd10, %rd7; selp.u32 %r6, 1000, 0, %p1; cvt.u32.u64 %r7, %rd9;"
                                    "add.u32 %r5, %r5, %r6; add.u32 %r5, %r5, %r7; st.global.u32 [%rd0], %r5; ret;", 32);
  CHECK(kit::run(r) == each(32, [](u32 i) { return i + 1000 + 64; }));
  const auto told = kit::launch(kit::kernel(kit::start + "mov.u64 %rd6, 100000; alloca.u64 %rd7, %rd6, 16; st.global.u32 [%rd0], %r1; ret;", 32));
  REQUIRE(kit::find(told, kit::code::out_of_bounds));
  CHECK(has(kit::find(told, kit::code::out_of_bounds)->what, "asks alloca for 100000 bytes"));
}

TEST_CASE("service: printf prints as C does") {
  if (!available()) return;
  const auto told = compiled(R"(
extern "C" __global__ void k(float* y) {
  if (threadIdx.x == 1) {
    printf("%d %5i|%-5u|%05d %x %#X %o %c %s %%\n", -1, 42, 7u, 42, 255, 255, 8, 'z', "words");
    printf("%lld %llu %hd %hhu %8.3f %e %g %5s|%.2s|%*d\n", -1234567890123ll, 18446744073709551615ull, (short)-2, (unsigned char)200, 3.14159, 1e10, 0.5, "ab", "xyz", 6, 5);
    y[0] = printf("%d %d\n", 1, 2);
  }
  y[threadIdx.x] = threadIdx.x;
})");
  CHECK(told.printed == "-1    42|7    |00042 ff 0XFF 10 z words %\n-1234567890123 18446744073709551615 -2 200    3.142 1.000000e+10 0.5    ab|xy|     5\n1 2\n");
  CHECK(told.printed_lost == 0);
  REQUIRE(find(told, kit::code::prints));
  CHECK(has(find(told, kit::code::prints)->what, "the kernel prints: -1    42|7"));
}

TEST_CASE("service: what is printed is bounded, and what a hostile format asks is not done") {
  if (!available()) return;
  const auto long_one = compiled(R"(
extern "C" __global__ void k(float* y) {
  for (int i = 0; i < 1000; ++i) printf("%s %d\n", "0123456789012345678901234567890123456789", i);
  y[threadIdx.x] = 0;
})");
  CHECK(long_one.printed.size() == 64 << 10);
  CHECK(long_one.printed_lost > 1'000'000);
  const auto hostile = compiled(R"(
extern "C" __global__ void k(float* y) {
  if (threadIdx.x == 0) { printf("%n %99999999d %.99999999f \033[31m\n", (int*)y, 1, 1.0); printf("%s\n", (const char*)12345); }
  y[threadIdx.x] = 0;
})");
  CHECK(hostile.printed.size() < 2000);
  CHECK(has(hostile.printed, "%n "));
  CHECK(has(hostile.printed, "?[31m"));
  CHECK(find(hostile, kit::code::invalid_access));
}

TEST_CASE("service: an assertion that fails says what was asserted and where") {
  if (!available()) return;
  const auto told = compiled(R"(
extern "C" __global__ void k(float* y) {
  assert(threadIdx.x < 5 && "too many");
  y[threadIdx.x] = 0;
})");
  REQUIRE(find(told, kit::code::trap));
  CHECK(has(find(told, kit::code::trap)->what, "thread (5, 0, 0) of CTA (0, 0, 0) fails the assertion `threadIdx.x < 5 && \"too many\"` ("));
  CHECK_MESSAGE(has(find(told, kit::code::trap)->what, ":3, void k(float *)"), find(told, kit::code::trap)->what);
}

TEST_CASE("service: virtual functions, function pointers in tables, new and delete") {
  if (!available()) return;
  const auto told = compiled(R"(
struct shape { virtual __device__ float area() const = 0; };
struct square : shape { float a; __device__ square(float x) : a(x) {} __device__ float area() const override { return a * a; } };
struct line : shape { __device__ float area() const override { return 0.5f; } };
__device__ float f(float x) { return x + 1; }
__device__ float g(float x) { return x * 3; }
typedef float (*op)(float);
__device__ op table[2] = {f, g};
extern "C" __global__ void k(float* y) {
  shape* s;
  if (threadIdx.x & 1) s = new square(threadIdx.x); else s = new line;
  y[threadIdx.x] = s->area();
  y[threadIdx.x + 32] = table[threadIdx.x & 1](threadIdx.x);
  if (threadIdx.x & 1) delete static_cast<square*>(s); else delete static_cast<line*>(s);
})");
  for (const auto& f : told.findings) CHECK_MESSAGE(f.kind == kit::code::device_malloc, f.what);
  REQUIRE(told.outputs.size() == 1);
  const auto y = kit::values_of<float>(told.outputs[0].bytes);
  for (int i = 0; i < 32; ++i) {
    const auto x = static_cast<float>(i);
    CHECK(y[static_cast<std::size_t>(i)] == (i & 1 ? x * x : 0.5f));
    CHECK(y[static_cast<std::size_t>(i + 32)] == (i & 1 ? x * 3 : x + 1));
  }
}
