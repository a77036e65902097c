#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include <skillbench/cuda/nvrtc.hpp>

using namespace skillbench;
using nvrtc_text::readable;
using nvrtc_text::refused_entry;
using nvrtc_text::resources_of;

namespace {

// The compiler, or nothing on a machine without CUDA: then the tests that need
// it say so, and the others still count.
const nvrtc* compiler() {
  static const result<nvrtc> opened = [] {
    const auto at = find_toolkit();
    return at ? nvrtc::open(at.value()) : result<nvrtc>(at.error());
  }();
  if (opened) return &opened.value();
  MESSAGE("not run: " << opened.error().what);
  return nullptr;
}

nvrtc_answer compiled(const std::string& source,
                      const std::vector<std::string>& entries,
                      bool line_info = true) {
  const auto told =
      compiler()->compile(source, entries, "sm_90a", line_info);
  REQUIRE_MESSAGE(told.ok(), told.error().what);
  return told.value();
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const std::string scale =
    "#include <cuda_fp16.h>\n"
    "template <typename T, int B>\n"
    "__global__ void scale(const T* x, T* y, int n) {\n"
    "  __shared__ float tile[B];\n"
    "  const int i = blockIdx.x * B + threadIdx.x;\n"
    "  tile[threadIdx.x] = i < n ? float(x[i]) : 0.0f;\n"
    "  __syncthreads();\n"
    "  if (i < n) y[i] = T(2.0f * tile[B - 1 - threadIdx.x]);\n"
    "}\n"
    "__device__ float twice(float x) { return 2 * x; }\n";

const std::string log_of_two =
    "ptxas info    : 0 bytes gmem\n"
    "ptxas info    : Compiling entry function '_Z1a' for 'sm_90a'\n"
    "ptxas info    : Function properties for _Z1a\n"
    "ptxas         .     400 bytes stack frame, 8 bytes spill stores, 12 bytes "
    "spill loads\n"
    "ptxas info    : Used 37 registers, used 0 barriers, 464 bytes cumulative "
    "stack size\n"
    "ptxas info    : Compile time = 18.614 ms\n"
    "ptxas info    : (C7510) Potential Performance Loss: wgmma\n"
    "ptxas warning : something else\n"
    "ptxas info    : Compiling entry function '_Z1b' for 'sm_90a'\n"
    "ptxas info    : Function properties for _Z1b\n"
    "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
    "ptxas info    : Used 10 registers, used 1 barriers, 512 bytes smem, 352 "
    "bytes cmem[0]\n"
    "ptxas info    : Function properties for _Z1c\n"
    "ptxas         .     99 bytes stack frame, 9 bytes spill stores, 9 bytes "
    "spill loads\n";

}  // namespace

TEST_CASE("nvrtc: a template compiles for two types, with its resources") {
  if (!compiler()) return;
  const nvrtc_answer told =
      compiled(scale, {"scale<float, 128>", "scale<__half,64>"});
  REQUIRE_MESSAGE(told.ok, told.log);
  REQUIRE(told.lowered.size() == 2);
  CHECK(told.lowered[0] == "_Z5scaleIfLi128EEvPKT_PS0_i");
  CHECK(told.lowered[1] == "_Z5scaleI6__halfLi64EEvPKT_PS1_i");
  CHECK(has(told.ptx, ".target sm_90a"));
  CHECK(has(told.ptx, ".entry " + told.lowered[1]));
  CHECK(told.ptx.find('\0') == std::string::npos);
  REQUIRE(told.resources.size() == 2);
  CHECK(told.resources[0].registers.value_or(0) >= 8);
  CHECK(told.resources[0].static_shared == 512);
  CHECK(told.resources[1].static_shared == 256);
  CHECK(told.resources[1].spill_stores == 0);
  CHECK(told.resources[1].spill_loads == 0);
  CHECK(told.resources[1].stack_bytes == 0);
  CHECK_FALSE(has(told.log, "ptxas info"));
  CHECK_FALSE(told.log_cut);
}

TEST_CASE("nvrtc: names of internal linkage are the same in every process") {
  if (!compiler()) return;
  const std::string source =
      "namespace { __device__ int held; }\n"
      "static __global__ void k(int* y) { *y = ++held; }\n";
  const nvrtc_answer told = compiled(source, {"k"});
  REQUIRE_MESSAGE(told.ok, told.log);
  CHECK(has(told.ptx, "candidate_cu"));  // the name of `held` is made up
  const pid_t other = ::fork();
  REQUIRE(other >= 0);
  if (other == 0) {
    const auto again = compiler()->compile(source, {"k"});
    ::_exit(again && again.value().ptx == told.ptx ? 0 : 1);
  }
  int status = 1;
  ::waitpid(other, &status, 0);
  CHECK(status == 0);
}

TEST_CASE("nvrtc: line numbers are in the PTX when they are asked for") {
  if (!compiler()) return;
  CHECK(has(compiled(scale, {"scale<float, 128>"}).ptx, "\t.loc\t"));
  CHECK_FALSE(
      has(compiled(scale, {"scale<float, 128>"}, false).ptx, "\t.loc\t"));
}

TEST_CASE("nvrtc: CUDA's headers are found, CUB among them") {
  if (!compiler()) return;
  const nvrtc_answer told = compiled(
      "#include <cuda_bf16.h>\n#include <mma.h>\n"
      "#include <cub/warp/warp_reduce.cuh>\n"
      "__global__ void k(float* y) {\n"
      "  __shared__ cub::WarpReduce<float>::TempStorage held;\n"
      "  y[0] = cub::WarpReduce<float>(held).Sum(y[threadIdx.x]);\n}\n",
      {"k"});
  CHECK_MESSAGE(told.ok, told.log);
}

TEST_CASE("nvrtc: a source that does not compile is an answer with a line") {
  if (!compiler()) return;
  const nvrtc_answer told =
      compiled("__global__ void k(float* y) {\n  y[0] = ;\n}\n", {"k"});
  CHECK_FALSE(told.ok);
  CHECK(told.ptx.empty());
  CHECK(told.lowered.empty());
  CHECK(has(told.log, "candidate.cu(2): error"));
}

TEST_CASE("nvrtc: what ptxas refuses is an answer too") {
  if (!compiler()) return;
  const nvrtc_answer told = compiled(
      "__global__ void k() { asm volatile(\"nonsense.f32 %r0;\"); }", {"k"});
  CHECK_FALSE(told.ok);
  CHECK(has(told.log, "ptxas"));
}

TEST_CASE("nvrtc: host code is refused") {
  if (!compiler()) return;
  CHECK_FALSE(compiled("__global__ void k() {}\nint main() { return 0; }",
                       {"k"})
                  .ok);
}

TEST_CASE("nvrtc: an entry that is not there or is no kernel is named") {
  if (!compiler()) return;
  const nvrtc_answer unknown =
      compiled(scale, {"scale<float, 128>", "scael<float>"});
  CHECK_FALSE(unknown.ok);
  CHECK(has(unknown.log, "launch manifest, entry \"scael<float>\": error: "
                         "identifier \"scael\" is undefined"));
  CHECK_FALSE(has(unknown.log, "__nv_name_map"));
  const nvrtc_answer device = compiled(scale, {"twice"});
  CHECK_FALSE(device.ok);
  CHECK(has(device.log, "twice"));
  const nvrtc_answer vague = compiled(scale, {"scale<float>"});
  CHECK_FALSE(vague.ok);
  CHECK(has(vague.log, "scale<float>"));
}

TEST_CASE("nvrtc: a source that is too long or no text is refused") {
  if (!compiler()) return;
  const std::string kernel = "__global__ void k() {}\n";
  const nvrtc_answer nul = compiled(kernel + std::string(1, '\0') + "x", {"k"});
  CHECK_FALSE(nul.ok);
  CHECK(has(nul.log, "NUL at byte 23"));
  const nvrtc_answer bytes = compiled(kernel + "// \xff\nerror", {"k"});
  CHECK_FALSE(bytes.ok);
  CHECK(has(bytes.log, "not UTF-8 at byte 26"));
  CHECK(compiled(kernel + "// \xc3\xbc", {"k"}).ok);
  const std::string space(most_program_bytes - kernel.size(), ' ');
  CHECK(compiled(kernel + space, {"k"}).ok);
  const nvrtc_answer longer = compiled(kernel + space + " ", {"k"});
  CHECK_FALSE(longer.ok);
  CHECK(has(longer.log, "longer than 256 KB"));
}

TEST_CASE("nvrtc: refused entries are answers") {
  if (!compiler()) return;
  const std::string kernel = "__global__ void k() {}\n";
  CHECK(compiled(kernel, {}).ok);  // all that are no template
  CHECK_FALSE(compiled(kernel, {"k\"x"}).ok);
  CHECK_FALSE(compiled(kernel, {"k\nint x = 1;"}).ok);
  CHECK_FALSE(compiled(kernel, std::vector<std::string>(65, "k")).ok);
  CHECK(compiled(kernel, {"k"}).ok);
}

TEST_CASE("nvrtc: a target is sm_ and a number") {
  CHECK(nvrtc_text::usable_target("sm_90a"));
  CHECK(nvrtc_text::usable_target("sm_120"));
  for (const char* target :
       {"", "sm_", "sm_a", "sm_9", "compute_90", "sm_90 -v", "sm_90ab",
        "sm_90\n"})
    CHECK_FALSE(nvrtc_text::usable_target(target));
  if (!compiler()) return;
  const auto told = compiler()->compile("", {"k"}, "sm_90a -dc");
  REQUIRE_FALSE(told.ok());
  CHECK(told.error().why == reason::bad_argument);
}

TEST_CASE("nvrtc: a long log is cut and marked, and stays plain text") {
  if (!compiler()) return;
  std::string source = "__global__ void k() {}\n";
  for (int i = 0; i < 2000; ++i)
    source += "#warning word \x1b[31m and more words to fill the line\n";
  const nvrtc_answer told = compiled(source, {"k"});
  CHECK(told.log_cut);
  CHECK(told.log.size() <= most_log_bytes);
  CHECK_FALSE(has(told.log, "\x1b"));
}

TEST_CASE("nvrtc: entries are made of a list of characters") {
  for (const char* good :
       {"k", "ns::k<float, 128>", "k<(4 > 2), -1>", "k<const __half*>",
        "k<sizeof(float) * 2 + 1>"})
    CHECK_FALSE(refused_entry(good).has_value());
  for (const std::string bad :
       {"", "   ", "k\"", "k'", "k\n", "k\t", "k\\", "k;", "k{", "k#", "k/**/",
        "k%", "k\x80", "k\x1b", "k&", "k="})
    CHECK(refused_entry(bad).has_value());
  CHECK(refused_entry(std::string("k\0", 2)).has_value());
  CHECK_FALSE(refused_entry(std::string(512, 'k')).has_value());
  CHECK(refused_entry(std::string(513, 'k')).has_value());
  CHECK(has(*refused_entry("k\n"), "the byte 10"));
  CHECK(has(*refused_entry("k;"), "';'"));
}

TEST_CASE("nvrtc: ptxas' numbers go to their own kernel") {
  const kernel_resources a = resources_of(log_of_two, "_Z1a");
  CHECK(a.registers == 37);
  CHECK(a.stack_bytes == 464);
  CHECK(a.spill_stores == 8);
  CHECK(a.spill_loads == 12);
  CHECK(a.static_shared == 0);
  const kernel_resources b = resources_of(log_of_two, "_Z1b");
  CHECK(b.registers == 10);
  CHECK(b.stack_bytes == 0);
  CHECK(b.spill_stores == 0);
  CHECK(b.static_shared == 512);
  const kernel_resources none = resources_of(log_of_two, "_Z1");
  CHECK_FALSE(none.registers.has_value());
  CHECK_FALSE(none.stack_bytes.has_value());
  CHECK_FALSE(none.static_shared.has_value());
}

TEST_CASE("nvrtc: numbers that a source prints are overruled by ptxas") {
  std::string forged = log_of_two;
  forged.replace(forged.find("37 registers"), 2, "1 ");
  CHECK(resources_of(forged + log_of_two, "_Z1a").registers == 37);
}

TEST_CASE("nvrtc: the shown log keeps ptxas' words and drops its numbers") {
  CHECK(readable(log_of_two) ==
        "ptxas info    : (C7510) Potential Performance Loss: wgmma\n"
        "ptxas warning : something else");
  CHECK(readable("candidate.cu(3): warning: a\n    int x;\n\n") ==
        "candidate.cu(3): warning: a\n    int x;");
}

TEST_CASE("nvrtc: words about the name map become words about entries") {
  CHECK(readable("__nv_name_map(4): error: identifier \"b\" is undefined\n"
                 "  #pragma nv_mangled_name b\n"
                 "                          ^\n"
                 "\n"
                 "__nv_name_map(4): error: Error in parsing name expression "
                 "for lowered name lookup.\n"
                 "  #pragma nv_mangled_name b\n"
                 "\n"
                 "__nv_name_map(2): error: vague\n"
                 "  #pragma nv_mangled_name a\n"
                 "\n"
                 "candidate.cu(6): error: c\n"
                 "  kept\n") ==
        "launch manifest, entry \"b\": error: identifier \"b\" is undefined\n"
        "launch manifest, entry \"a\": error: vague\n"
        "candidate.cu(6): error: c\n  kept");
  CHECK(readable("__nv_name_map(99): error: x\n__nv_name_map(") ==
        "launch manifest, entry: error: x");
  CHECK(readable("__nv_name_map(1): error: x\n\nother") ==
        "launch manifest, entry: error: x\nother");
}

TEST_CASE("nvrtc: only printable UTF-8 comes out of a log") {
  using nvrtc_text::printable;
  CHECK(printable("a\tb\nc") == "a\tb\nc");
  CHECK(printable("\x1b[0m\x7f\r") == "?[0m??");
  CHECK(printable("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80") ==
        "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
  CHECK(printable("\xc2\x9b") == "?");              // a C1 control
  CHECK(printable("\xc3") == "?");                  // cut
  CHECK(printable("\xc0\xaf") == "??");             // overlong
  CHECK(printable("\xe0\x80\x80") == "???");        // overlong
  CHECK(printable("\xed\xa0\x80") == "???");        // a surrogate
  CHECK(printable("\xf4\x90\x80\x80") == "????");   // beyond the last
}

TEST_CASE("nvrtc: a kernel is an entry of the PTX, not a part of its name") {
  using nvrtc_text::has_entry;
  CHECK(has_entry(".visible .entry _Z1kPf(\n", "_Z1kPf"));
  CHECK(has_entry(".entry _Z1kPfi(\n.entry _Z1kPf(", "_Z1kPf"));
  CHECK_FALSE(has_entry(".visible .entry _Z1kPfi(", "_Z1kPf"));
  CHECK_FALSE(has_entry(".visible .func _Z1kPf(", "_Z1kPf"));
}

TEST_CASE("nvrtc: a folder without the library is a fault that says so") {
  toolkit nowhere;
  nowhere.library_folder = "/nowhere";
  const auto opened = nvrtc::open(nowhere);
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().why == reason::library_missing);
  CHECK(has(opened.error().what, "/nowhere"));
}
