// What `skillbench skill check` says of skills, and its exit codes.

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <skillbench/cli/skill.hpp>
#include <skillbench/json_text.hpp>

#include "cli_kit.hpp"

using namespace skillbench;
using cli_kit::has, cli_kit::ran;
using namespace skillbench::cli;
namespace fs = std::filesystem;

namespace {

struct folder : cli_kit::folder {
  std::string write(const std::string& name, const std::string& head) const {
    fs::create_directories(path / name);
    std::ofstream(path / name / "SKILL.md", std::ios::binary)
        << "---\n" + head + "---\nDo it.\n";
    return (path / name).string();
  }
};

ran check(std::vector<std::string> paths, bool lenient = false,
          bool json = false) {
  return cli_kit::said_by<stream>([&](stream& out, stream& trouble) {
    return tell(skill_check_command{std::move(paths), lenient, json}, out,
                trouble);
  });
}

}  // namespace

TEST_CASE("cli/skill: a skill that passes is 0, one that does not is 1") {
  const folder in;
  const std::string good = in.write("good", "name: good\ndescription: a\n");
  const std::string bad = in.write("bad", "name: Bad\ndescription: a\n");
  const ran fine = check({good});
  CHECK(exit_code(fine.code) == exit_code::fine);
  CHECK(has(fine.out, good + ": passes (strict)\n"));
  CHECK(has(fine.out, "(estimates)"));

  const ran wrong = check({bad});
  CHECK(exit_code(wrong.code) == exit_code::differs);
  CHECK(has(wrong.out, bad + "/SKILL.md:2:7: error: the name \"Bad\" has an "
                             "upper case letter [name_form]\n"));
  CHECK(has(wrong.out, bad + ": 2 errors (strict)\n"));

  const ran lenient = check({bad}, true);
  CHECK(exit_code(lenient.code) == exit_code::fine);
  CHECK(has(lenient.out, ": warning: the name"));
  CHECK(has(lenient.out, ": passes, 2 warnings (lenient)\n"));
}

TEST_CASE("cli/skill: a folder of skills, and one that is not there") {
  const folder in;
  in.write("a", "name: a\ndescription: a\n");
  in.write("b", "name: b\n");
  const ran all = check({in.path.string()});
  CHECK(exit_code(all.code) == exit_code::differs);
  CHECK(has(all.out, "2 skills: 1 passes, 1 not\n"));

  const ran gone = check({(in.path / "gone").string(), in.path.string() + "/a"});
  CHECK(exit_code(gone.code) == exit_code::misuse);
  CHECK(has(gone.trouble, "there is no such folder"));
  CHECK(has(gone.out, "passes"));  // the rest is checked

  fs::create_directories(in.path / "empty");
  CHECK(exit_code(check({(in.path / "empty").string()}).code) == exit_code::differs);
}

TEST_CASE("cli/skill: hostile text is escaped") {
  const folder in;
  const std::string bad = in.write(
      "bad", "name: \"\\e]0;owned\\a\"\ndescription: a\n\"\\e[2J\": b\n");
  const ran told = check({bad});
  CHECK_FALSE(told.out.find('\x1b') != std::string::npos);
  CHECK_FALSE(told.out.find('\x07') != std::string::npos);
}

TEST_CASE("cli/skill: one JSON object a line") {
  const folder in;
  const std::string bad = in.write(
      "bad", "name: bad\ndescription: a\ncolour: red\nmetadata:\n  v: 1\n");
  const ran told = check({bad, bad}, false, true);
  CHECK(exit_code(told.code) == exit_code::differs);
  const std::string line = told.out.substr(0, told.out.find('\n'));
  CHECK(told.out == line + "\n" + line + "\n");
  const auto root = json_text::tree(line).parse(nullptr);
  REQUIRE(root.ok());
  const json_text::value& it = root.value();
  CHECK(it.find("schema")->magnitude == 1);
  CHECK_FALSE(it.find("passes")->flag);
  CHECK(it.find("errors")->magnitude == 1);
  CHECK(it.find("warnings")->magnitude == 1);
  CHECK(it.find("name")->text == "bad");
  CHECK(it.find("metadata")->find("v")->text == "1");
  REQUIRE(it.find("flaws")->items.size() == 2);
  const json_text::value& flaw = it.find("flaws")->items[0];
  CHECK(flaw.find("rule")->text == "unknown_key");
  CHECK(flaw.find("severity")->text == "error");
  CHECK(flaw.find("line")->magnitude == 4);
  CHECK(flaw.find("column")->magnitude == 1);
  CHECK(it.find("tokens_estimate")->find("instructions")->magnitude > 0);
}
