// `skillbench ptx`: words in, what a kernel did out.

#include <doctest/doctest.h>

#include <sys/wait.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <skillbench/cli/ptx.hpp>

#include "cli_kit.hpp"

namespace fs = std::filesystem;
using namespace skillbench;
using cli_kit::folder, cli_kit::has, cli_kit::ran;
using namespace skillbench::cli;

namespace {

// `words` are for the shell.
ran run_ptx(const folder& in, const std::string& words) {
  return cli_kit::run(in, "ptx " + words);
}

// The command is refused, with these words and nothing on standard output.
void refused(const folder& in, const std::string& words, const std::string& why) {
  const ran told = run_ptx(in, words);
  CHECK_MESSAGE(told.code == 2, words);
  CHECK_MESSAGE(told.out.empty(), words);
  CHECK_MESSAGE(has(told.trouble, why), words, ": ", told.trouble);
}

const std::string scale =
    "__global__ void scale(float* x, float by, int n) {\n"
    "  const int i = blockIdx.x * blockDim.x + threadIdx.x;\n"
    "  if (i < n) x[i] *= by;\n"
    "}\n";
const std::string templates =
    "template <typename T> __global__ void twice(T* x) { x[threadIdx.x] *= T(2); }\n";
const std::string off =
    "__global__ void off(const int* x, int* y) {\n"
    "  y[threadIdx.x] = x[threadIdx.x + 1];\n"
    "}\n";
const std::string race =
    "__global__ void race(unsigned* out) {\n"
    "  out[0] = threadIdx.x / 32;\n"
    "}\n";
const std::string doubles =
    "__global__ void doubles(double* x, double by, long n, short by_two) { *x += by + double(n) + by_two; }\n";

std::string ptx(const std::string& body, const std::string& params = ".param .u64 p, .param .u32 n") {
  return ".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry k(" + params + ")\n{\n.reg .b64 %rd<4>;\n.reg .b32 %r<4>;\n" + body + "ret;\n}\n";
}
// Line 8 of the text loads the pointer; line 11 stores thread x's 4 bytes.
const std::string store = ptx(
    "ld.param.u64 %rd1, [p];\nmov.u32 %r1, %tid.x;\nmad.wide.u32 %rd2, %r1, 4, %rd1;\nst.global.u32 [%rd2], %r1;\n");

template <typename T>
std::vector<T> values(const std::string& bytes) {
  std::vector<T> out(bytes.size() / sizeof(T));
  std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
  return out;
}

}  // namespace

TEST_CASE("cli/ptx: sizes, extents and numbers are read strictly") {
  CHECK(count_of("1024") == 1024);
  CHECK(count_of("64x64x2") == 8192);
  for (const char* text : {"", "0", "-1", "x", "4x", "4x0", "4 ", "4.0", "99999999999999999999", "1099511627776x1099511627776"})
    CHECK_MESSAGE(!count_of(text), text);
  CHECK(extent_of("3")->x == 3);
  CHECK(extent_of("3,4,5")->z == 5);
  for (const char* text : {"", "0", "1,", "1,2,3,4", "a", "1;2", "-1"}) CHECK_MESSAGE(!extent_of(text), text);

  const auto bits = [](const char* type, const char* text) { return bits_of_number(*scalar_named(type), text); };
  CHECK(bits("f32", "0.5") == 0x3f000000u);
  CHECK(bits("f16", "-2") == 0xc000u);
  CHECK(bits("bf16", "1") == 0x3f80u);
  CHECK(bits("f64", "1") == 0x3ff0000000000000u);
  CHECK(bits("i8", "-128") == 0x80u);
  CHECK(bits("u64", "18446744073709551615") == ~std::uint64_t{0});
  for (const auto& [type, text] : {std::pair{"i8", "128"}, {"i8", "-129"}, {"u8", "256"}, {"u8", "-1"}, {"i32", "1.5"}, {"f32", ""}, {"f32", "1f"}, {"u64", "18446744073709551616"}})
    CHECK_MESSAGE(!bits(type, text), type, " ", text);
  CHECK_FALSE(scalar_named("f8"));
}

TEST_CASE("cli/ptx: a word is a buffer or a number") {
  const auto word = [](const char* text) { return kernel_word_of(text, 1, 7); };
  auto made = word("in:f16[8x4]");
  REQUIRE(made.ok());
  CHECK(made.value().made->use == role::input);
  CHECK(made.value().made->elements == 32);
  CHECK(made.value().made->bytes() == 64);
  CHECK(word("out:u8[3]").value().made->use == role::output);
  CHECK(word("u8[3]").value().made->use == role::both);
  CHECK(word("i16[3]=-2").value().made->contents == "\xfe\xff\xfe\xff\xfe\xff");
  CHECK(word("i32[100]").value().made->contents.size() == 400);
  made = word("f32=0.5");
  REQUIRE(made.ok());
  CHECK_FALSE(made.value().made);
  CHECK(made.value().argument.kind == kernel_argument::type::real);
  CHECK(made.value().argument.real == 0.5);
  CHECK(word("i64=-1").value().argument.bytes == 8);
  for (const char* text : {"", "f32", "f32[", "f32[]", "f32[0]", "f32[4", "g32[4]", "g32=4", "f32=", "f32=x", "out:f32[4]=0", "out:/etc/passwd", "i8[4]=300",
                           "f32[3]=/etc/passwd", "/", "/nowhere", "u8[400000000]=0", "i32[100000000]"})
    CHECK_MESSAGE(!word(text).ok(), text);
}

TEST_CASE("cli/ptx: a mangled name as --entry takes it") {
  CHECK(plain_name("_Z5scalePffi") == "scale");
  CHECK(plain_name("_Z5twiceIfEvPT_") == "twice<float>");
  CHECK(plain_name("_ZN1a5scaleILi4EEEvv") == "a::scale<4>");
  CHECK(plain_name("kernel") == "kernel");
  CHECK(plain_name("g") == "g");  // which is a type to a demangler
  CHECK(entries_of(".visible .entry a(\n) .entry\tb\n() .entry c{") == std::vector<std::string>{"a", "b", "c"});
  CHECK(entries_of("no .entr").empty());
}

TEST_CASE("cli/ptx: a kernel runs on buffers, and what they hold is shown and kept") {
  const folder here;
  here.write("scale.cu", scale);
  ran told = run_ptx(here, "scale.cu --grid 4 --block 256 --args 'f32[1000]=3' f32=2 i32=999 --dump after");
  CHECK(told.code == 0);
  CHECK(told.out == "scale: no finding\n  argument 1: 6 6 6 6 6 6 6 6 ... (1000 of f32)\n");
  CHECK(told.trouble.empty());
  const auto after = values<float>(here.read("after/argument_1.bin"));
  REQUIRE(after.size() == 1000);
  CHECK(after[998] == 6.0f);
  CHECK(after[999] == 3.0f);

  // What was kept can be passed, with a type and without.
  told = run_ptx(here, "scale.cu --grid 4 --block 256 --args 'f32[1000]=after/argument_1.bin' f32=0.5 i32=1");
  CHECK(has(told.out, "  argument 1: 3 6 6 6"));
  told = run_ptx(here, "scale.cu --args after/argument_1.bin f32=0 i32=1");
  CHECK(has(told.out, "  argument 1: 00 00 00 00 00 00 c0 40 ... (4000 of bytes)"));
  refused(here, "scale.cu --args 'f32[999]=after/argument_1.bin' f32=2 i32=1", "the file has 4000 bytes, the buffer 3996");
}

TEST_CASE("cli/ptx: numbers reach the kernel with their own width") {
  const folder here;
  here.write("doubles.cu", doubles);
  const ran told = run_ptx(here, "doubles.cu --block 1 --args 'f64[1]=0.25' f64=0.5 i64=-4294967296 i16=-2");
  CHECK(has(told.out, "argument 1: -4.29497e+09 (1 of f64)"));
  CHECK(run_ptx(here, "doubles.cu --block 1 --args 'f64[1]=0.25' f64=0.5 i64=3 i16=-2 --json").out.find("\"first\":[\"1.75\"]") != std::string::npos);
  refused(here, "doubles.cu --block 1 --args 'f64[1]' i64=1 i64=3 i16=-2", "parameter 2 of the kernel is a float; the launch passes argument 2, which is an integer");
  refused(here, "doubles.cu --block 1 --args 'f64[1]' f64=1 f64=3 i16=-2", "parameter 3 of the kernel is an integer; the launch passes argument 3, which is a float");
}

TEST_CASE("cli/ptx: a finding quotes its line, in CUDA and in PTX") {
  const folder here;
  here.write("off.cu", off);
  ran told = run_ptx(here, "off.cu --block 32 --args 'in:i32[32]' 'out:i32[40]'");
  CHECK(told.code == 0);
  CHECK(has(told.out, "off: 2 findings\n"));
  CHECK(has(told.out, "fails out_of_bounds\n"));
  CHECK(has(told.out, "end of argument 1 (128 bytes; element 32 of 32)"));
  CHECK(has(told.out, "  off.cu:2\n  2 |   y[threadIdx.x] = x[threadIdx.x + 1];\n"));
  CHECK(has(told.out, "8 of 40 elements of argument 2 were never written"));

  here.write("store.ptx", store);
  told = run_ptx(here, "store.ptx --block 4 --args 'u32[3]=9' u32=0");
  CHECK(has(told.out, "k: 1 finding\n  argument 1: 0 1 2 (3 of u32)\n"));
  CHECK(has(told.out, "  store.ptx:11\n  11 | st.global.u32 [%rd2], %r1;\n"));
}

TEST_CASE("cli/ptx: schedules, counters and JSON") {
  const folder here;
  here.write("race.cu", race);
  ran told = run_ptx(here, "race.cu --block 128 --args 'out:u32[1]' --schedules 8 --counters");
  CHECK(has(told.out, "race: 1 finding in 8 schedules\n"));
  CHECK(has(told.out, "fails race, 3 times\n"));
  CHECK(has(told.out, "further schedules left other bits in the buffers"));
  CHECK(has(told.out, "\nwarp instructions "));

  told = run_ptx(here, "race.cu --block 128 --args 'out:u32[1]' --schedules 8 --json");
  const auto made = nlohmann::json::parse(told.out);
  CHECK(made["entry"] == "_Z4racePj");
  CHECK(made["schedules"] == 8);
  CHECK(made["differing"] > 0);
  CHECK(made["findings"][0]["code"] == "race");
  CHECK(made["findings"][0]["line"] == 2);
  CHECK(made["buffers"][0]["name"] == "argument 1");
  CHECK(made["buffers"][0]["type"] == "u32");
  CHECK(made["counters"]["thread_instructions"] == 32 * made["counters"]["warp_instructions"].get<int>());
  CHECK(told.out == run_ptx(here, "race.cu --block 128 --args 'out:u32[1]' --schedules 8 --json").out);
}

TEST_CASE("cli/ptx: the kernel is named, or is the only one") {
  const folder here;
  here.write("both.cu", scale + off);
  here.write("only.cu", templates);
  here.write("both.ptx", store + store.substr(store.find(".visible")).replace(store.find("k(") - store.find(".visible"), 1, "other"));
  refused(here, "both.cu", "name the kernel with --entry: both.cu has scale, off");
  refused(here, "only.cu", "only.cu has no kernel, or only templates, which --entry names");
  refused(here, "both.ptx", "name the kernel with --entry: both.ptx has k, other");
  refused(here, "both.ptx --entry none", "both.ptx has no kernel none; it has k, other");
  refused(here, "both.cu --entry none", "--entry \"none\": error: identifier \"none\" is undefined");
  refused(here, "both.cu --entry 'a;b'", "--entry \"a;b\": error: an entry holds ';'");
  CHECK(run_ptx(here, "only.cu --entry 'twice<double>' --args 'f64[32]=4'").out == "twice<double>: no finding\n  argument 1: 8 8 8 8 8 8 8 8 ... (32 of f64)\n");
  CHECK(run_ptx(here, "both.ptx --entry other --args 'u32[32]' u32=0").out.starts_with("other: no finding\n"));
}

TEST_CASE("cli/ptx: what cannot be read is told, and nothing is run") {
  const folder here;
  here.write("scale.cu", scale);
  here.write("broken.cu", "__global__ void broken(float* x { }\n");
  here.write("words.ptx", "hello\n");
  here.write("torn.ptx", store.substr(0, store.size() - 4));
  here.write("empty.bin", "");
  here.write("k.txt", scale);
  refused(here, "", "no FILE.cu or FILE.ptx is named");
  refused(here, "none.cu", "none.cu: cannot be read: No such file");
  refused(here, "k.txt", "k.txt is neither a .cu nor a .ptx");
  refused(here, "scale.cu scale.cu", "");
  refused(here, "broken.cu", "broken.cu does not compile:\n  broken.cu(1): error: expected a \")\"");
  refused(here, "words.ptx", "words.ptx has no kernel");
  refused(here, "torn.ptx", "torn.ptx: not supported by the PTX machine: reading PTX, line 12");
  refused(here, "scale.cu --args empty.bin f32=1 i32=1", "empty.bin: is empty");
  refused(here, "scale.cu --args 'f32[1000000000]' f32=1 i32=1", "at most 1 GB in all");
  refused(here, "scale.cu --args 'in:f32[100000000000]' f32=1 i32=1", "places up to 32 GB");
}

TEST_CASE("cli/ptx: a launch that cannot be is wrong usage") {
  const folder here;
  here.write("scale.cu", scale);
  const std::string args = " --args 'f32[1000]' f32=2 i32=1000";
  refused(here, "scale.cu", "the kernel has 3 parameters; the launch passes 0");
  refused(here, "scale.cu --args 'f32[9]' f32=2", "the kernel has 3 parameters; the launch passes 2");
  refused(here, "scale.cu --args f32=1 f32=2 i32=3", "parameter 1 of the kernel has 8 bytes; the launch passes argument 1, which has 4");
  refused(here, "scale.cu --args 'f32[9]' i32=2 i32=3", "parameter 2 of the kernel is a float");
  refused(here, "scale.cu --block 2048" + args, "at most (1024, 1024, 64) and 1024 in all");
  refused(here, "scale.cu --grid 1,70000" + args, "a launch on a grid of (1, 70000, 1) CTAs is not possible");
  refused(here, "scale.cu --grid 99999999999999999999" + args, "--grid and --block are one to three positive numbers");
  refused(here, "scale.cu --grid 0" + args, "--grid and --block are one to three positive numbers");
  refused(here, "scale.cu --shared 300000" + args, "an H100 has 232448");
  refused(here, "scale.cu --schedules 0" + args, "--schedules");
}

TEST_CASE("cli/ptx: a kernel that does not come to its end is trouble, told with a reason") {
  const folder here;
  here.write("spin.cu", "__global__ void spin(volatile int* x) { while (*x == 0) {} }\n");
  ran told = run_ptx(here, "spin.cu --args 'i32[1]=0' --budget 10000");
  CHECK(told.code == 3);
  CHECK(told.out.empty());
  CHECK(has(told.trouble, "warp instructions of one launch; --budget sets how many"));
  here.write("video.ptx", ptx("vadd.u32.u32.u32 %r1, %r2, %r3;\n"));
  told = run_ptx(here, "video.ptx --args 'u32[1]' u32=0");
  CHECK(told.code == 3);
  CHECK(has(told.trouble, "a video instruction, which NVRTC writes for no C++"));
  CHECK(run_ptx(here, "video.ptx --args 'u32[1]' u32=0 --dump /proc/none").code == 3);
}

TEST_CASE("cli/ptx: HACKING.md has the table of instructions") {
  const folder here;
  const ran told = run_ptx(here, "--list");
  CHECK(told.code == 0);
  std::ifstream in(SKILLBENCH_SOURCE_DIR "/HACKING.md");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::string begins = "<!-- instructions: written by scripts/instructions -->\n", ends = "<!-- end of instructions -->\n";
  const std::size_t from = text.find(begins), to = text.find(ends);
  REQUIRE(from != std::string::npos);
  REQUIRE(to != std::string::npos);
  CHECK_MESSAGE(text.substr(from + begins.size(), to - from - begins.size()) == told.out, "run scripts/instructions");
}
