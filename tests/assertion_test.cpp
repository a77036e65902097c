#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <skillbench/assertion.hpp>

using namespace skillbench;
using type = assertion::type;
using said = assertion_result::verdict;

namespace {

said of_output(std::vector<std::string> texts, std::string_view output) {
  return judge({type::contains, "", std::move(texts)}, {.output = output}).said;
}

said of_source(std::string_view source) {
  asserted one;
  one.source = source;
  return judge({type::no_torch, "", {}}, one).said;
}

said of_ptx(type kind, std::vector<std::string> texts, std::string_view ptx) {
  asserted one;
  one.ptx = ptx;
  return judge({kind, "", std::move(texts)}, one).said;
}

std::vector<std::string> opcodes(std::string_view ptx) {
  std::vector<std::string> all;
  assertions::for_each_opcode(
      ptx, [&](std::string_view one) { all.emplace_back(one); });
  return all;
}

}  // namespace

TEST_CASE("assertion: every kind has a name of its own") {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(last_assertion_type); ++i)
    CHECK(names.insert(name(static_cast<type>(i))).second);
  CHECK_FALSE(names.contains("unknown"));
}

TEST_CASE("assertion: contains wants all of a list, in any case") {
  CHECK(of_output({"FEAT", "login"}, "feat: add Login") == said::passed);
  CHECK(of_output({"feat", "logout"}, "feat: add Login") == said::failed);
  CHECK(of_output({}, "anything") == said::passed);
  CHECK(of_output({"x"}, "") == said::failed);
  CHECK(judge({type::contains, "", {"gone"}}, {.output = "a"}).why ==
        "\"gone\" is not in the output");
}

TEST_CASE("assertion: files are the output's own") {
  asserted of;
  const assertion exists{type::file_exists, "a/b.toml", {}};
  CHECK(judge(exists, of).said == said::not_judged);
  using files = std::map<std::string, std::string>;
  of.files = files{{"a/b.toml", "[General]"}};
  CHECK(judge(exists, of).said == said::passed);
  CHECK(judge({type::file_exists, "b.toml", {}}, of).said == said::failed);
  CHECK(judge({type::file_contains, "a/b.toml", {"general"}}, of).said ==
        said::passed);
  CHECK(judge({type::file_contains, "a/b.toml", {"torch"}}, of).said ==
        said::failed);
  CHECK(judge({type::file_contains, "gone", {"a"}}, of).said == said::failed);
  for (const char* path : {"", "/etc/passwd", "../x", "a/../../x"}) {
    of.files = files{{path, "x"}};
    CHECK(judge({type::file_exists, path, {}}, of).said == said::failed);
  }
}

TEST_CASE("assertion: a command is refused unless there is a way to run it") {
  const assertion asked{type::command, "", {"true"}};
  asserted of;
  CHECK(judge(asked, of).said == said::not_judged);
  CHECK(judge(asked, of).why.find("not allowed") != std::string::npos);
  of.run = [](const std::string& text, const output_files& files)
      -> result<int> {
    return text == "true" && files.contains("a.md") ? 0 : 3;
  };
  CHECK(judge(asked, of).said == said::not_judged);  // no files
  of.files = output_files{{"a.md", "x"}};
  CHECK(judge(asked, of).said == said::passed);
  CHECK(judge({type::command, "", {"false"}}, of).said == said::failed);
  of.run = [](const std::string&, const output_files&) -> result<int> {
    return fault{reason::io, "no shell"};
  };
  CHECK(judge(asked, of).said == said::not_judged);
}

TEST_CASE("assertion: what nobody here can judge is not judged") {
  CHECK(judge({type::expectation, "", {"is good"}}, {}).said ==
        said::not_judged);
  CHECK(judge({type::validator, "", {"hf_eval"}}, {}).said == said::not_judged);
  CHECK(judge({type::no_torch, "", {}}, {}).said == said::not_judged);
  CHECK(judge({type::ptx_uses, "", {"mma"}}, {}).said == said::not_judged);
}

TEST_CASE("assertion: a source that includes PyTorch") {
  for (const char* wrong :
       {"#include <torch/extension.h>\n", "int a;\n  #  include\t\"ATen/ATen.h\"",
        "#include <c10/cuda/CUDAStream.h>", "#include <Python.h>",
        "/* a */ #include <pybind11/pybind11.h>"})
    CHECK_MESSAGE(of_source(wrong) == said::failed, wrong);
  for (const char* fits :
       {"#include <cuda_fp16.h>\n", "// #include <torch/extension.h>\n",
        "/*\n#include <torch/all.h>\n*/", "const char* a = \"torch/x\";",
        "#include <mytorch/x.h>", ""})
    CHECK_MESSAGE(of_source(fits) == said::passed, fits);
  asserted one;
  one.source = "int a;\n/* b\n*/\n#include <torch/all.h>";
  CHECK(judge({type::no_torch, "", {}}, one).why ==
        "line 4 includes torch/all.h");
}

TEST_CASE("assertion: opcodes of a PTX text") {
  CHECK(opcodes(".visible .entry k(\n.param .u64 p\n)\n{\n"
                ".reg .b32 %r<3>;\n"
                "ld.param.u64 %rd1, [p];\n"
                "@%p1 bra $L__BB0_2;\n"
                "// mma.sync.aligned\n"
                "wgmma.mma_async.sync.aligned.m64n8k8.f32\n{%f1}, %rd1;\n"
                "$L__BB0_2:\n"
                "{ \n mov.u32 %r1, 1;\n}\n"
                "mma.sync.aligned.m16n8k16 {%f1,%f2}, {%r1}, {%r2}, {%f1,%f2};\n"
                "ret;\n}\n") ==
        std::vector<std::string>{"ld.param.u64", "bra",
                                 "wgmma.mma_async.sync.aligned.m64n8k8.f32",
                                 "mov.u32",
                                 "mma.sync.aligned.m16n8k16", "ret"});
}

TEST_CASE("assertion: required and forbidden instructions") {
  const char* const ptx =
      "{\nld.global.nc.v4.f32 {%f1,%f2,%f3,%f4}, [%rd1];\n"
      "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%f1}, %rd1, %rd2;\n"
      "st.global.f32 [%rd1], %f1;\n}";
  CHECK(of_ptx(type::ptx_uses, {"tensor_cores"}, ptx) == said::passed);
  CHECK(of_ptx(type::ptx_avoids, {"tensor_cores"}, ptx) == said::failed);
  CHECK(of_ptx(type::ptx_uses, {"loads_of_16_bytes"}, ptx) == said::passed);
  CHECK(of_ptx(type::ptx_uses, {"st.global", "wgmma"}, ptx) == said::passed);
  CHECK(of_ptx(type::ptx_uses, {"st.glob"}, ptx) == said::failed);
  CHECK(of_ptx(type::ptx_uses, {"tensor_cores", "bar"}, ptx) == said::failed);
  CHECK(of_ptx(type::ptx_avoids, {"atom", "bar"}, ptx) == said::passed);
  CHECK(of_ptx(type::ptx_uses, {"tensor_cores"}, "// mma.sync.x;\nret;") ==
        said::failed);
  CHECK(of_ptx(type::ptx_uses, {"asynchronous_copies"},
               "cp.async.wait_group 0;") == said::failed);
}

TEST_CASE("assertion: which loads are of 16 bytes") {
  for (const char* wide :
       {"ld.global.v4.u32", "ld.global.v2.f64", "ld.global.nc.v2.u64",
        "ld.global.b128", "ld.global.L1::no_allocate.v8.b16",
        "cp.async.cg.shared.global",
        "cp.async.bulk.tensor.2d.shared::cluster.global"})
    CHECK_MESSAGE(assertions::is_wide_load(wide), wide);
  for (const char* narrow :
       {"ld.global.f32", "ld.global.v2.f32", "ld.global.v4.u16",
        "ld.shared.v4.f32", "ld.param.v4.u32", "st.global.v4.f32",
        "cp.async.ca.shared.global", "cp.async.bulk.commit_group",
        "cp.async.bulk.wait_group.read", "mov.b64",
        "cp.async.bulk.tensor.2d.global.shared::cta"})
    CHECK_FALSE_MESSAGE(assertions::is_wide_load(narrow), narrow);
}

TEST_CASE("assertion: a build.toml is the file, or the last block of toml") {
  using assertions::fenced;
  CHECK(fenced("a\n```toml\nx = 1\n```\nb\n~~~toml\ny = 2\n~~~\n", "toml") ==
        "y = 2\n");
  CHECK(fenced("```` toml title\n```\nx\n````\n", "toml") == "```\nx\n");
  CHECK_FALSE(fenced("```toml\nnever closed\n", "toml").has_value());
  CHECK_FALSE(fenced("```tomlish\nx\n```\n", "toml").has_value());

  const assertion asked{type::build_toml, "build.toml", {"5"}};
  asserted of;
  of.output = "```toml\nin the text\n```\n";
  CHECK(judge(asked, of).said == said::not_judged);
  of.lint = [](std::string_view text, int least) -> std::vector<std::string> {
    if (least != 5) return {"not asked so"};
    if (text == "in the text\n") return {};
    return {"line 1: first", "line 2: second", "line 3: third"};
  };
  CHECK(judge(asked, of).said == said::passed);
  of.files = output_files{{"build.toml", "other"}};
  CHECK(judge(asked, of).why == "line 1: first; and 2 more");
  of.files.reset();
  of.output = "none";
  CHECK(judge(asked, of).said == said::failed);
}

TEST_CASE("assertion: what it asks for, in words") {
  CHECK(words_of({type::contains, "", {"a", "b"}}) ==
        "contains \"a\", \"b\"");
  CHECK(words_of({type::file_contains, "x.md", {"a"}}) ==
        "file_contains x.md \"a\"");
  CHECK(words_of({type::ptx_uses, "", {"tensor_cores"}}) ==
        "ptx_uses tensor_cores");
  CHECK(words_of({type::no_torch, "", {}}) == "no_torch");
}
