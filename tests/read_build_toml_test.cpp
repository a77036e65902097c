#include <doctest/doctest.h>

#include <string>

#include <skillbench/read_build_toml.hpp>

using namespace skillbench;

namespace {

const std::string fifth = R"([general]
name = "relu2d"
version = 1
edition = 5
license = "Apache-2.0"
backends = ["cuda"]

[torch]
src = ["torch-ext/binding.cpp"]
stable-abi = { cuda = "2.11" }

[kernel.relu]
backend = "cuda"
cuda-capabilities = ["9.0"]
depends = ["torch"]
src = ["relu.cu"]
)";

std::string with(std::string text, const std::string& from,
                 const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

// The first thing that is wrong, "" for a sound file.
std::string wrong(const std::string& text, int least = 1) {
  const build_told told = lint_build_toml(text, least);
  return told.wrong.empty() ? "" : told.wrong.front();
}

}  // namespace

TEST_CASE("build.toml: each of the five editions has a file that keeps to it") {
  CHECK(lint_build_toml(fifth).wrong.empty());
  CHECK(lint_build_toml(fifth).edition == 5);
  const std::string fourth = with(
      with(fifth, "edition = 5\n", ""), "{ cuda = \"2.11\" }", "\"2.11\"");
  CHECK(wrong(fourth) == "");
  CHECK(lint_build_toml(fourth).edition == 4);
  const std::string third = with(with(fourth, "version = 1\n", ""),
                                 "stable-abi = \"2.11\"\n", "");
  CHECK(wrong(third) == "");
  CHECK(lint_build_toml(third).edition == 3);
  const std::string second =
      with(with(third, "license = \"Apache-2.0\"\n", ""),
           "backends = [\"cuda\"]\n", "universal = true\n");
  CHECK(wrong(second) == "");
  CHECK(lint_build_toml(second).edition == 2);
  const std::string first =
      with(with(second, "universal = true\n", ""), "backend = \"cuda\"",
           "language = \"cuda-hipify\"");
  CHECK(wrong(first) == "");
  CHECK(lint_build_toml(first).edition == 1);
}

TEST_CASE("build.toml: only the newest where it is asked for") {
  CHECK(wrong(with(fifth, "edition = 5\n", ""), 5) ==
        "line 1: [general] lacks `edition`");
  CHECK(wrong(fifth, 5) == "");
  CHECK(wrong(with(fifth, "edition = 5", "edition = 4")) ==
        "line 4: `edition` is to be 5");
}

TEST_CASE("build.toml: an old example that is copied widely is told") {
  const build_told told = lint_build_toml(R"([general]
name = "ltx_kernels"
backends = ["cuda"]

[general.cuda]
capabilities = ["9.0"]

[torch]
src = ["torch-ext/torch_binding.cpp"]

[kernel.norm]
backend = "cuda"
depends = ["torch"]
src = ["norm.cu"]
)");
  REQUIRE(told.wrong.size() == 2);
  CHECK(told.wrong[0].find("line 2: `name` is to be") == 0);
  CHECK(told.wrong[1] == "line 6: [general.cuda] has no key `capabilities`");
}

TEST_CASE("build.toml: what is refused, a line at a time") {
  CHECK(wrong(with(fifth, "relu2d", "Relu")).find("line 2: `name`") == 0);
  CHECK(wrong(with(fifth, "relu2d", "relu-")).find("line 2: `name`") == 0);
  CHECK(wrong(with(fifth, "relu2d", "r")).find("line 2: `name`") == 0);
  CHECK(wrong(with(fifth, "\"cuda\"]", "\"gpu\"]"))
            .find("line 6: `backends` is to be a list of cann") == 0);
  CHECK(wrong(with(fifth, "depends = [\"torch\"]", "depends = [\"cub\"]"))
            .find("line 15: `depends`") == 0);
  CHECK(wrong(with(fifth, "depends = [\"torch\"]\n", "")) ==
        "line 12: [kernel.relu] lacks `depends`");
  CHECK(wrong(with(fifth, "backend = \"cuda\"\n", ""))
            .find("line 12: [kernel.relu] needs a backend") == 0);
  CHECK(wrong(with(fifth, "cuda-capabilities", "rocm-archs")) ==
        "line 14: [kernel.relu] has no key `rocm-archs`");
  const build_told none = lint_build_toml(with(fifth, "[torch]", "[pytorch]"));
  REQUIRE(none.wrong.size() == 2);
  CHECK(none.wrong[0].find("line 8: there is no [pytorch]") == 0);
  CHECK(none.wrong[1].find("there is none of torch, tvm-ffi") == 0);
  CHECK(wrong(fifth + "[torch-noarch]\n").find("one too many") !=
        std::string::npos);
  CHECK(wrong(with(fifth, "version = 1", "version = \"1\"")) ==
        "line 3: `version` is to be a whole number");
  CHECK(wrong(with(fifth, "license", "upstream = \"ftp://a/b\"\nlicense")) ==
        "line 5: `upstream` is to be the address of a git repository");
  CHECK(wrong(with(fifth, "license",
                   "source = \"git@example.org:a/b.git\"\nlicense")) == "");
  CHECK(wrong(with(fifth, "license",
                   "kernel-depends = [{ repo-id = \"a/b\" }]\nlicense"))
            .find("either a version or a revision") != std::string::npos);
  CHECK(wrong("") == "there is no [general]");
}

TEST_CASE("build.toml: what is no TOML, and what is hostile") {
  CHECK(wrong("[general\n").find("line 1: ") == 0);
  CHECK(wrong("name = \n").find("line 1: ") == 0);
  std::string deep = "a";
  for (int i = 0; i < 20'000; ++i) deep += ".a";
  CHECK(wrong(deep + " = 1").find("points between") != std::string::npos);
  CHECK(wrong("x = " + std::string(5000, '[')) != "");
  CHECK(wrong(std::string(70'000, '#')).find("more than 65536 bytes") !=
        std::string::npos);
  CHECK(wrong("general = 3\ntorch = 1\nkernel = \"\"").find("is no table") !=
        std::string::npos);
  CHECK(wrong(std::string("a = \"\xff\xfe\"\n")) != "");
}

TEST_CASE("read_build_toml: a text that the reader did not foresee is refused") {
  for (const char* const text : {"[\n", "[\nname = \"x\"\n", "[[\n", "[a.\n",
                                 "a.\n", "= 1\n", "a = [\n", "a = {\n", "["})
    CHECK_MESSAGE(!wrong(text).empty(), text);
  CHECK(wrong("[\n") == "it is no TOML that can be read");
  // Letters where a space may stand.
  for (const char* const letter : {"\u00e9", "\ufed9", "\u2fff", "\u0499"})
    for (const std::string& text : {"a =" + std::string(letter) + " 1\n",
                                    letter + std::string(" = 1\n"),
                                    "a = 1 " + std::string(letter) + "\n"})
      CHECK_MESSAGE(wrong(text).find("line 1: ") == 0, wrong(text));
}
