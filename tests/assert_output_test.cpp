#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <skillbench/assert_output.hpp>

#include "cli_kit.hpp"

using namespace skillbench;
using cli_kit::folder;
using type = assertion::type;
using said = assertion_result::verdict;

namespace {

suite one_case(assertion asked, const std::string& family = "geglu") {
  suite made;
  suite_case only;
  only.id = "layernorm";
  only.family = family;
  only.assertions.push_back(std::move(asked));
  made.cases.push_back(only);
  return made;
}

sample of_task(const std::string& task, const std::string& path = "") {
  sample made;
  made.task = task;
  made.path = path;
  made.output = "an answer";
  return made;
}

told_assertion judged(const suite& by, const sample& given,
                      bool commands = false) {
  record told;
  judge_assertions(told, given, by, commands);
  REQUIRE(told.assertions.size() == 1);
  return told.assertions[0];
}

}  // namespace

TEST_CASE("assert_output: a case is of its family, or of the task of its id") {
  const suite by_family = one_case({type::no_torch, "", {}});
  CHECK(cases_of(by_family, of_task("geglu")).size() == 1);
  CHECK(cases_of(by_family, of_task("layernorm")).empty());
  const suite by_id = one_case({type::no_torch, "", {}}, "");
  CHECK(cases_of(by_id, of_task("layernorm")).size() == 1);
  CHECK(cases_of(by_id, of_task("geglu")).empty());
  record told;
  judge_assertions(told, of_task("attention"), by_family, false);
  CHECK(told.assertions.empty());
}

TEST_CASE("assert_output: files of a folder, links left alone") {
  const folder in;
  in.write("out/a.md", "text");
  in.write("out/sub/b.txt", "more");
  in.write("secret", "secret");
  std::filesystem::create_symlink(in.path / "secret", in.path / "out/link");
  const auto files = files_of(of_task("geglu", (in.path / "out").string()));
  REQUIRE(files.has_value());
  CHECK(*files == output_files{{"a.md", "text"}, {"sub/b.txt", "more"}});
  CHECK_FALSE(files_of(of_task("geglu", (in.path / "secret").string())));
  CHECK_FALSE(files_of(of_task("geglu")).has_value());
}

TEST_CASE("assert_output: a command runs on copies, in a folder that goes") {
  const output_files files{{"sub/a.txt", "hello"}, {"../../escaped", "x"}};
  CHECK(run_command_on("grep -q hello sub/a.txt && pwd > /dev/null", files)
            .value() == 0);
  CHECK(run_command_on("exit 7", files).value() == 7);
  CHECK(run_command_on("test ! -e ../../escaped", files).value() == 0);
  // Nothing to read, no descriptor of ours to write to.
  CHECK(run_command_on("test -z \"$(cat)\"", files).value() == 0);
  const auto killed = run_command_on("kill -9 $$", files);
  REQUIRE_FALSE(killed.ok());
  CHECK(killed.error().why == reason::child_died);
  const folder in;
  const std::string kept = (in.path / "where").string();
  CHECK(run_command_on("pwd > '" + kept + "'", files).value() == 0);
  std::string where = in.read("where");
  where.pop_back();
  CHECK_FALSE(std::filesystem::exists(where));
}

TEST_CASE("assert_output: a single text is output.md to a command alone") {
  const suite command = one_case({type::command, "", {"grep -q answer output.md"}});
  CHECK(judged(command, of_task("geglu")).said == said::not_judged);
  CHECK(judged(command, of_task("geglu"), true).said == said::passed);
  const suite file = one_case({type::file_exists, "output.md", {}});
  CHECK(judged(file, of_task("geglu"), true).said == said::not_judged);
}

TEST_CASE("assert_output: a key tells suites, permissions and files apart") {
  const suite by = one_case({type::no_torch, "", {}});
  const folder in;
  in.write("out/a.md", "text");
  const sample given = of_task("geglu", (in.path / "out").string());
  const std::string first = assertion_key(by, "suite", false, given);
  CHECK(first == assertion_key(by, "suite", false, given));
  CHECK(first != assertion_key(by, "suite ", false, given));
  CHECK(first != assertion_key(by, "suite", true, given));
  in.write("out/b.toml", "x = 1");
  CHECK(first != assertion_key(by, "suite", false, given));
}
