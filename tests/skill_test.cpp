#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <skillbench/skill.hpp>

using namespace skillbench;

namespace {

std::vector<std::string> paths(std::string_view body) {
  std::vector<std::string> all;
  for (const skill_reference& one : references_of(body, 1))
    all.push_back(one.path);
  return all;
}
using words = std::vector<std::string>;

}  // namespace

TEST_CASE("skill: every rule has a name of its own") {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(last_skill_rule); ++i)
    CHECK(names.insert(name(static_cast<skill_rule>(i))).second);
  CHECK(name(skill_rule::skill_md_missing) == "skill_md_missing");
  CHECK(name(skill_rule::unknown_key) == "unknown_key");
  CHECK(name(skill_rule::description_missing) == "description_missing");
  CHECK(name(skill_rule::odd_file) == "odd_file");
}

TEST_CASE("skill: what keeps a client from loading is an error in both modes") {
  for (const skill_rule each :
       {skill_rule::skill_md_missing, skill_rule::description_missing,
        skill_rule::bad_text, skill_rule::yaml_alias, skill_rule::link_outside,
        skill_rule::duplicate_key}) {
    CHECK(is_error(each, skill_mode::strict));
    CHECK(is_error(each, skill_mode::lenient));
  }
  for (const skill_rule each :
       {skill_rule::name_form, skill_rule::name_not_folder,
        skill_rule::unknown_key, skill_rule::yaml_syntax,
        skill_rule::file_missing}) {
    CHECK(is_error(each, skill_mode::strict));
    CHECK_FALSE(is_error(each, skill_mode::lenient));
  }
  for (const skill_rule each :
       {skill_rule::body_long, skill_rule::not_quoted,
        skill_rule::path_missing}) {
    CHECK_FALSE(is_error(each, skill_mode::strict));
    CHECK_FALSE(is_error(each, skill_mode::lenient));
  }
}

TEST_CASE("skill: names") {
  for (const char* fits : {"a", "pdf-processing", "h100-kernels", "a1-b2-c3"})
    CHECK_MESSAGE(flaws_of_name(fits).empty(), fits);
  CHECK(flaws_of_name(std::string(64, 'a')).empty());
  for (const char* wrong :
       {"PDF", "-pdf", "pdf-", "pdf--x", "a_b", "a b", "a.b", "caf\u00e9"})
    CHECK_MESSAGE(flaws_of_name(wrong).size() == 1, wrong);
  CHECK(flaws_of_name(std::string(65, 'a')).size() == 1);
  CHECK(flaws_of_name("-A_--").size() == 4);  // all at once
}

TEST_CASE("skill: tokens are estimated as the header says") {
  CHECK(estimated_tokens("") == 0);
  CHECK(estimated_tokens("a word here") == 3);
  CHECK(estimated_tokens("internationalization") == 3);  // 1 + 14 * 0.12
  std::string long_words;
  for (int i = 0; i < 10; ++i) long_words += "abcdefghijkl ";
  CHECK(estimated_tokens(long_words) == 17);  // 10 * 1.72
  CHECK(estimated_tokens("12345678") == 3);
  CHECK(estimated_tokens("::::") == 1);  // 0.75 + 3 * 0.2
  CHECK(estimated_tokens("a\n\nb") == 3);
  CHECK(estimated_tokens("a    b") == 3);
  CHECK(estimated_tokens("\u4e2d\u6587\u5b57\u7b26") == 3);  // 4 * 0.7
}

TEST_CASE("skill: links in Markdown are references, with their places") {
  const auto all = references_of(
      "See [a](references/A.md) and [b](<my file.md> \"title\").\n"
      "[c]: other.md\n\n![d](assets/x(1).png)",
      11);
  REQUIRE(all.size() == 4);
  CHECK(all[0].path == "references/A.md");
  CHECK(all[0].line == 11);
  CHECK(all[0].column == 9);
  CHECK(all[0].linked);
  CHECK(all[1].path == "my file.md");
  CHECK(all[2].path == "other.md");
  CHECK(all[2].line == 12);
  CHECK(all[3].path == "assets/x(1).png");
  CHECK(paths("[a](x.md#part) [b](y%20z.md?q=1)") == words{"x.md", "y z.md"});
}

TEST_CASE("skill: what leads elsewhere or is code is no link") {
  CHECK(paths("[a](https://x.org/a.md) [b](#part) [c](mailto:a@b.c)").empty());
  CHECK(paths("[c](//x.org/a)").empty());
  CHECK(paths("`[](int x) { }` and ``a ` [b](c)``").empty());
  CHECK(paths("```cuda\nauto f = [](float x) { };\n```\n").empty());
  CHECK(paths("~~~~\n[a](b)\n~~~\n[a](c)\n~~~~\n[a](d)") == words{"d"});
  CHECK(paths("```[a](b)\n[a](c)\n```\n").empty());
  CHECK(paths("f](x) [a](open").empty());
  CHECK(paths("[^1]: note").empty());
}

TEST_CASE("skill: paths below the known folders are references") {
  CHECK(paths("Run scripts/extract.py, then `./references/deep/F.md`.") ==
        words{"scripts/extract.py", "references/deep/F.md"});
  CHECK(paths("```sh\npython scripts/run.sh\n```") == words{"scripts/run.sh"});
  CHECK(paths("scripts/a.py scripts/a.py") == words{"scripts/a.py"});
  const auto one = references_of("[a](references/A.md) references/A.md", 1);
  REQUIRE(one.size() == 1);
  CHECK(one.front().linked);
  CHECK(paths("lib/scripts/a.py ~/scripts/a.py https://h/scripts/a.py").empty());
  CHECK(paths("scripts/ and scripts/<name>.py and assets/*.png").empty());
  CHECK(paths("scripts/assets").empty());
}

TEST_CASE("skill: hostile lines are read in time") {
  std::string brackets, ticks;
  for (int i = 0; i < 10'000; ++i) brackets += "](";
  for (int i = 1; i < 600; ++i) ticks += std::string(i, '`') + " ";
  CHECK(references_of("[" + brackets, 1).empty());
  CHECK(references_of(ticks, 1).empty());
}
