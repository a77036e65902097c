// The program as a user runs it: words in, words and an exit code out.

#include <doctest/doctest.h>

#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "cli_kit.hpp"

namespace fs = std::filesystem;
using namespace cli_kit;

namespace {

const std::string source = SKILLBENCH_SOURCE_DIR;

// Judged in no time: there is no kernel, or one that does not compile.
const std::string prose = "I would rather not write a kernel.\n";
const std::string broken =
    "```cuda\n"
    "/* skillbench\n"
    "{\"family\": \"geglu\", \"entry\": \"geglu<{T}>\", \"args\": [\"x\", "
    "\"y\", \"rows\", \"cols\"],\n"
    " \"grid\": [\"rows\"], \"block\": [\"256\"], \"shared_bytes\": \"0\"}\n"
    "*/\n"
    "template <typename T>\n"
    "__global__ void geglu(const T* x, T* y, int rows, int cols) {\n"
    "  y[0] = undeclared\x1b[32m;\n"
    "}\n"
    "```\n";

}  // namespace

TEST_CASE("program: version, help and slips") {
  const folder here;
  CHECK(run(here, "--version").out.starts_with("skillbench "));
  CHECK(run(here, "version").code == 0);
  CHECK(run(here, "--help").code == 0);
  const ran slip = run(here, "chekc x");
  CHECK(slip.code == 2);
  CHECK(slip.out.empty());
  CHECK(has(slip.trouble, "did you mean `check`?"));
  CHECK(run(here, "").code == 2);
}

TEST_CASE("program: what cannot be read is told, the rest is judged") {
  const folder here;
  here.write("a/baseline/geglu/1.md", prose);
  here.write("half/samples.jsonl",
             "{\"id\": \"fine\", \"arm\": \"baseline\", \"task\": \"geglu\", "
             "\"text\": \"words\"}\n{\"id\": \"torn\", \"arm\": \"base");
  fs::create_directories(here.path / "empty");
  const ran told = run(here, "run a half empty missing");
  CHECK(told.code == 2);
  CHECK(has(told.trouble, "missing: "));
  CHECK(has(told.trouble, "empty"));
  CHECK(has(told.trouble, "half/samples.jsonl"));
  CHECK(has(told.out, "fine  no_kernel\n"));
  CHECK(has(told.out, "2 records in skillbench-results/records.jsonl\n"));
  CHECK(lines(here.read("skillbench-results/records.jsonl")) == 2);
}

TEST_CASE("program: nothing to judge is wrong usage") {
  const folder here;
  CHECK(run(here, "run missing").code == 2);
  CHECK_FALSE(fs::exists(here.path / "skillbench-results"));
}

TEST_CASE("program: findings are no errors, and records say them") {
  const folder here;
  here.write("out/m/with_skill/geglu/1.md", broken);
  const ran told = run(here, "run out --jobs 1 --out kept");
  CHECK(told.code == 0);
  CHECK(has(told.out, "m-with_skill-geglu-1  does_not_compile\n"));
  CHECK(has(told.trouble, "1 of 1 judged"));
  const std::string record = here.read("kept/records.jsonl");
  CHECK(has(record, "\"outcome\":\"does_not_compile\""));
  CHECK(has(record, "\"code\":\"compile_error\""));
  CHECK(has(record, "\"line\":7"));
}

TEST_CASE("program: --json writes records and nothing else") {
  const folder here;
  here.write("out/m/baseline/geglu/1.md", prose);
  here.write("out/m/baseline/geglu/2.md", broken);
  const ran told = run(here, "run out --json");
  CHECK(told.code == 0);
  CHECK(lines(told.out) == 2);
  CHECK(told.out.starts_with("{\"schema\":"));
  CHECK(told.out.ends_with("}\n"));
  CHECK_FALSE(fs::exists(here.path / "skillbench-results"));
}

TEST_CASE("program: a source cannot steer the terminal") {
  const folder here;
  here.write("out/m/baseline/geglu/1.md", broken);
  for (const char* words : {"run out", "check out/m/baseline/geglu/1.md"}) {
    const ran told = run(here, words);
    CHECK(told.code == 0);
    CHECK_FALSE(has(told.out + told.trouble, "\x1b"));
  }
}

TEST_CASE("program: check quotes the line") {
  const folder here;
  here.write("answer.md", broken);
  const ran told = run(here, "check answer.md");
  CHECK(told.code == 0);
  CHECK(told.out.starts_with("answer.md (geglu): does_not_compile\n"));
  CHECK(has(told.out, "  answer.md:8\n  8 |   y[0] = undeclared"));
  CHECK(has(told.out, "\n    |   ^~~~"));
  CHECK(run(here, "check missing.cu").code == 2);
  CHECK(run(here, "check answer.md --family nothing").code == 2);
  here.write("prose.md", prose);
  CHECK(run(here, "check prose.md").code == 2);
  const ran asked = run(here, "check prose.md --family geglu --json");
  CHECK(asked.code == 0);
  CHECK(lines(asked.out) == 1);
  CHECK(has(asked.out, "\"outcome\":\"no_kernel\""));
}

// The same words, whatever the widths of columns.
std::string single_blanks(const std::string& text) {
  std::string made;
  for (const char c : text)
    if (c != ' ' || made.empty() || made.back() != ' ') made += c;
  return made;
}

TEST_CASE("program: check --counters counts one case") {
  const folder here;
  // It copies, which is wrong: three cases are run and no more.
  here.write("k.cu",
             "/* skillbench\n{\"family\": \"geglu\", \"entry\": \"k<{T}>\",\n"
             "\"args\": [\"x\", \"y\", \"rows\", \"cols\"], \"block\": [\"32\"],\n"
             "\"grid\": [\"ceil_div(rows * cols, 32)\"], \"shared_bytes\": \"0\"}\n*/\n"
             "#include <cuda_bf16.h>\n#include <cuda_fp16.h>\n"
             "template <typename T>\n"
             "__global__ void k(const T* x, T* y, int rows, int cols) {\n"
             "  const int i = blockIdx.x * 32 + threadIdx.x;\n"
             "  if (i < rows * cols)\n"
             "    y[i] = x[i];\n"
             "}\n");
  const ran wrong = run(here, "check k.cu --counters --case one_row5");
  CHECK(wrong.code == 2);
  CHECK(has(wrong.trouble, "did you mean `one_row_5`?"));

  const ran told = run(here, "check k.cu --counters --case one_row_5");
  CHECK(told.code == 0);
  CHECK(has(told.out, "\nlaunch 1 of 1, case one_row_5\ncounted "));
  CHECK(has(told.out, "float"));
  CHECK(has(told.out, "bfloat16"));
  // Five elements: of floats a sector each way.
  CHECK(has(told.out, "\nglobal load requests "));
  CHECK(has(single_blanks(told.out), "\ndistinct bytes read 32 32 32\n"));
  CHECK(has(told.out, "  y[i] = x[i];\n"));
  CHECK(has(told.out, "\nlines that cost most, float:\nline "));
  CHECK_FALSE(has(run(here, "check k.cu").out, "counted"));

  const ran asked = run(here, "check k.cu --counters --case one_row_5 --json");
  CHECK(asked.code == 0);
  CHECK(lines(asked.out) == 1);
  CHECK(has(asked.out, "\"counters\":[{\"case\":\"one_row_5\",\"element_type\":\"float\",\"launch\":0,"));
  CHECK(has(asked.out, "\"lines_of\":\"source\",\"lines\":[{\"line\":"));
  // Counted again, and by a run beside others: the same.
  const auto counters = [](const std::string& text) {
    const std::size_t from = text.find("\"counters\":["), to = text.find("\"speed\":");
    REQUIRE(from < to);
    return text.substr(from, to - from);
  };
  CHECK(counters(run(here, "check k.cu --counters --case one_row_5 --json").out) == counters(asked.out));
  const ran one = run(here, "run k.cu --counters --json --jobs 1"), three = run(here, "run k.cu k.cu --counters --json --jobs 3");
  CHECK(counters(one.out) == counters(three.out));
  CHECK_FALSE(has(one.out, "\"lines\""));
  CHECK(has(run(here, "run k.cu --json").out, "\"counters\":\"not measured\""));
}

TEST_CASE("program: ptx --counters counts lines of the PTX") {
  const folder here;
  here.write("k.ptx",
             ".version 8.5\n.target sm_90a\n.address_size 64\n"
             ".visible .entry k(.param .u64 y)\n{\n"
             ".reg .b64 %rd<4>; .reg .b32 %r<4>;\n"
             "ld.param.u64 %rd0, [y];\nmov.u32 %r0, %tid.x;\n"
             "mul.wide.u32 %rd1, %r0, 128;\nadd.s64 %rd0, %rd0, %rd1;\n"
             "st.global.u32 [%rd0], %r0;\nret;\n}\n");
  const ran told = run(here, "ptx k.ptx --args out:u32[1024] --counters");
  CHECK(told.code == 0);
  CHECK(has(told.out, "global store requests        1\n"));
  CHECK(has(told.out, "  sectors                   32\n"));
  CHECK(has(told.out, "st.global.u32 [%rd0], %r0;\n"));
  const ran asked = run(here, "ptx k.ptx --args out:u32[1024] --counters --json");
  CHECK(has(asked.out, "\"launches\":[{\"kernel\":\"k\""));
  CHECK(has(asked.out, "{\"line\":11,\"warp_instructions\":{\"store_global\":1}"));
  CHECK_FALSE(has(run(here, "ptx k.ptx --args out:u32[1024] --json").out, "launches"));
  // What is read and written comes back as well.
  CHECK(has(run(here, "ptx k.ptx --args u32[1024]").out, "k: no finding\n  argument 1: 0 "));
}

TEST_CASE("program: records are not written over") {
  const folder here;
  here.write("out/m/baseline/geglu/1.md", prose);
  REQUIRE(run(here, "run out").code == 0);
  const std::string first = here.read("skillbench-results/records.jsonl");
  const ran again = run(here, "run out");
  CHECK(again.code == 0);
  CHECK(has(again.out, "skillbench-results/records-2.jsonl"));
  CHECK(here.read("skillbench-results/records.jsonl") == first);
}

TEST_CASE("program: a place that cannot be written is trouble of ours") {
  const folder here;
  here.write("out/m/baseline/geglu/1.md", prose);
  here.write("file", "");
  const ran told = run(here, "run out --out file");
  CHECK(told.code == 3);
  CHECK(has(told.trouble, "file"));
  CHECK(run(here, "families >/dev/full; exit $? #").code == 3);
  CHECK(run(here, "run out --json >/dev/full; exit $? #").code == 3);
}

TEST_CASE("program: without a GPU, cuda says so and what to use") {
  const folder here;
  here.write("out/m/baseline/geglu/1.md", prose);
  const ran told = run(here, "run out --device cuda");
  CHECK(told.code == 3);
  CHECK(has(told.trouble, "--device ptx"));
  CHECK(told.out.empty());
}

TEST_CASE("program: prompts are the family's and the contract") {
  const folder here;
  const ran told = run(here, "prompt geglu");
  CHECK(told.code == 0);
  const auto text = [](const std::string& path) {
    std::ifstream in(source + "/kernels/" + path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  CHECK(told.out.starts_with(text("geglu/prompt.md")));
  CHECK(told.out.ends_with(text("contract.md")));
  CHECK(run(here, "prompt gelgu").code == 2);
  CHECK(has(run(here, "families").out, "geglu"));
  CHECK(has(run(here, "families --json").out, "{\"name\":\"geglu\""));
}

TEST_CASE("program: selftest tells a file that is not judged as it says") {
  const folder here;
  here.write("k/geglu/wrong/prose.md",
             "<!-- expect: outcome=no_kernel finding=no_source; why: words "
             "-->\n" + prose);
  ran told = run(here, "selftest --kernels k");
  CHECK(told.code == 0);
  CHECK(has(told.out, "1 of 1 as expected"));
  here.write("k/geglu/right/prose.md",
             "<!-- expect: outcome=correct; why: not true -->\n" + prose);
  told = run(here, "selftest --kernels k --family geglu");
  CHECK(told.code == 1);
  CHECK(has(told.out, "geglu/right/prose: no_kernel, not correct"));
  CHECK(has(told.out, "1 of 2 as expected"));
  CHECK(run(here, "selftest --kernels k --family layernorm").code == 2);
  here.write("k/geglu/right/silent.md", prose);
  CHECK(run(here, "selftest --kernels k").code == 2);
}

TEST_CASE("program: doctor looks at this machine") {
  const folder here;
  const ran told = run(here, "doctor");
  CHECK(told.code == 0);
  CHECK(has(told.out, "CUDA toolkit"));
  CHECK(has(told.out, "PTX machine"));
  CHECK(has(run(here, "doctor --json").out, "\"usable\": true"));
}

TEST_CASE("program: the hidden worker ends with its requests") {
  const folder here;
  CHECK(run(here, "worker 3</dev/null 4>/dev/null").code == 0);
}

TEST_CASE("program: completion is a script that bash reads") {
  const folder here;
  const ran told = run(here, "completion bash");
  CHECK(told.code == 0);
  here.write("script", told.out);
  CHECK(std::system(("bash -n '" + (here.path / "script").string() + "'")
                        .c_str()) == 0);
}

// Compiles, and is refused by every launch: judged as fast as it is compiled.
const std::string too_wide =
    "/* skillbench\n"
    "{\"family\": \"geglu\", \"entry\": \"geglu<{T}>\", \"args\": [\"x\", "
    "\"y\", \"rows\", \"cols\"],\n"
    " \"grid\": [\"rows\"], \"block\": [\"2048\"], \"shared_bytes\": \"0\"}\n"
    "*/\n"
    "#include <cuda_fp16.h>\n#include <cuda_bf16.h>\n"
    "namespace {\n"
    "template <typename T>\n"
    "__global__ void geglu(const T* x, T* y, int rows, int cols) {\n"
    "  y[0] = x[0];\n"
    "}\n"
    "}\n";

// A line of records without its times.
std::string timeless(std::string text) {
  for (std::size_t at = 0; (at = text.find("\"seconds\":{", at)) != text.npos;)
    text.erase(at, text.find('}', at) + 1 - at);
  return text;
}

TEST_CASE("program: a cached compile gives the same record but for times") {
  const folder here;
  here.write("out/m/baseline/geglu/1.cu", too_wide);
  here.write("out/m/baseline/geglu/2.md", broken);
  const ran first = run(here, "run out --json --cache kept/deep");
  CHECK(has(first.out, "\"code\":\"launch_refused\""));
  CHECK(has(first.out, "\"code\":\"compile_error\""));
  CHECK(has(first.trouble, "compile cache: 0 hits, 6 misses\n"));
  const ran again = run(here, "run out --json --cache kept/deep --jobs 1");
  CHECK(has(again.trouble, "compile cache: 6 hits, 0 misses\n"));
  CHECK(timeless(again.out) == timeless(first.out));
  const ran none = run(here, "run out --json --no-cache");
  CHECK(timeless(none.out) == timeless(first.out));
  CHECK_FALSE(has(none.trouble, "cache"));

  // Every entry harmed: compiled anew, and told.
  for (const auto& each : fs::directory_iterator(here.path / "kept/deep"))
    if (fs::file_size(each) > 0)
      std::ofstream(each.path(), std::ios::app) << "x";
  const ran harmed = run(here, "run out --json --cache kept/deep");
  CHECK(has(harmed.trouble, "0 hits, 6 misses"));
  CHECK(has(harmed.trouble, "8 damaged entries removed"));
  CHECK(timeless(harmed.out) == timeless(first.out));
}

TEST_CASE("program: what an #include can read is not cached") {
  const folder here;
  std::string source = too_wide;
  source.replace(source.find("<cuda_fp16.h>"), 13, "\"cuda_fp16.h\"");
  here.write("k.cu", source);
  for (int i = 0; i < 2; ++i)
    CHECK(has(run(here, "run k.cu --json --cache kept").trouble,
              "0 hits, 0 misses, 3 compiles that cannot be cached"));
}

TEST_CASE("program: the place of the cache, and what is said without one") {
  const folder here;
  here.write("k.cu", too_wide);
  const auto told = [&](const std::string& settings, const std::string& words) {
    const std::string command = "cd '" + here.path.string() + "' && env " +
                                settings + " '" SKILLBENCH_PROGRAM "' " + words +
                                " >.out 2>.trouble </dev/null";
    ran made;
    const int status = std::system(command.c_str());
    if (WIFEXITED(status)) made.code = WEXITSTATUS(status);
    made.out = here.read(".out");
    made.trouble = here.read(".trouble");
    return made;
  };
  const std::string home = "-u SKILLBENCH_CACHE -u XDG_CACHE_HOME ";
  ran one = told(home + "HOME=" + here.path.string(), "run k.cu --json");
  CHECK(one.code == 0);
  CHECK(fs::exists(here.path / ".cache/skillbench"));
  one = told(home + "HOME=" + here.path.string(), "doctor");
  CHECK(has(one.out, "yes      compile cache"));
  CHECK(has(one.out, "5 entries in "));

  one = told(home + "-u HOME", "run k.cu --json");
  CHECK(one.code == 0);
  CHECK(has(one.trouble, "there is no compile cache: neither HOME nor"));
  one = told(home + "-u HOME", "doctor");
  CHECK(has(one.out, "no       compile cache"));
  CHECK(has(one.out, "SKILLBENCH_CACHE"));

  one = told("SKILLBENCH_CACHE=/proc/nowhere", "run k.cu --json");
  CHECK(one.code == 0);
  CHECK(has(one.trouble, "there is no compile cache: cannot make the folder"));
  one = told("SKILLBENCH_CACHE=", "run k.cu --json");
  CHECK(one.code == 0);
  CHECK_FALSE(has(one.trouble, "cache"));

  one = told("A=B", "run k.cu --json --cache /proc/nowhere");
  CHECK(one.code == 3);
  CHECK(has(one.trouble, "--cache: cannot make the folder /proc/nowhere"));
  CHECK(told("A=B", "run k.cu --cache a --no-cache").code == 2);
}
using namespace cli_kit;
