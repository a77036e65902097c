#include <doctest/doctest.h>

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <skillbench/read_skill.hpp>

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

const std::string good =
    "---\n"
    "name: demo\n"
    "description: Does a thing. Use it when a thing is to be done.\n"
    "---\n"
    "# Demo\n\nDo it.\n";

std::string with(const std::string& more) {
  return "---\nname: demo\ndescription: words\n" + more + "---\nbody\n";
}

bool breaks(const checked_skill& in, skill_rule rule, int line = -1,
            int column = -1) {
  return std::any_of(in.flaws.begin(), in.flaws.end(),
                     [&](const skill_flaw& one) {
                       return one.rule == rule &&
                              (line < 0 || one.line == line) &&
                              (column < 0 || one.column == column);
                     });
}

std::string told(const checked_skill& in) {
  std::string text;
  for (const skill_flaw& one : in.flaws)
    text += std::to_string(one.line) + ":" + std::to_string(one.column) + " " +
            std::string(name(one.rule)) + " " + one.what + "\n";
  return text;
}

// The one flaw of a text, and where it is.
void only(const std::string& text, skill_rule rule, int line, int column) {
  const checked_skill made = parse_skill(text, "demo");
  CHECK_MESSAGE(made.flaws.size() == 1, text, told(made));
  CHECK_MESSAGE(breaks(made, rule, line, column), text, told(made));
}

struct folder {
  fs::path outer, path;
  folder() {
    std::string made = (fs::temp_directory_path() / "skill_XXXXXX").string();
    REQUIRE(::mkdtemp(made.data()) != nullptr);
    outer = made;
    path = outer / "demo";
    fs::create_directories(path);
  }
  ~folder() { fs::remove_all(outer); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << text;
  }
  checked_skill check() const {
    const auto made = check_skill(path.string());
    REQUIRE_MESSAGE(made.ok(), made.error().what);
    return made.value();
  }
};

}  // namespace

TEST_CASE("read_skill: a skill that keeps every rule") {
  const checked_skill made = parse_skill(
      "---\n"
      "name: demo\n"
      "description: |\n  Two\n  lines.\n"
      "license: Apache-2.0\n"
      "compatibility: Needs nvcc\n"
      "metadata:\n  author: somebody\n  version: \"1.0\"\n"
      "allowed-tools: Bash(git:*, x) Read\n"
      "---\n\n# Demo\n",
      "demo");
  CHECK_MESSAGE(made.flaws.empty(), told(made));
  CHECK(made.read.name == "demo");
  CHECK(made.read.description == "Two\nlines.\n");
  CHECK(made.read.license == "Apache-2.0");
  CHECK(made.read.compatibility == "Needs nvcc");
  CHECK(made.read.allowed_tools == "Bash(git:*, x) Read");
  REQUIRE(made.read.metadata.size() == 2);
  CHECK(made.read.metadata[1].second == "1.0");
  CHECK(made.read.body == "\n# Demo\n");
  CHECK(made.read.body_line == 13);
  CHECK(made.read.body_lines == 2);
  CHECK(made.read.body_tokens > 0);
  CHECK(made.passes(skill_mode::strict));
}

TEST_CASE("read_skill: one broken rule is one flaw at its place") {
  only(with("colour: red\n"), skill_rule::unknown_key, 4, 1);
  only(with("name: demo\n"), skill_rule::duplicate_key, 4, 1);
  only(with("license:\n  - MIT\n"), skill_rule::wrong_type, 5, 3);
  only(with("metadata: words\n"), skill_rule::wrong_type, 4, 11);
  only(with("metadata:\n  a:\n    b: c\n"), skill_rule::wrong_type, 6, 5);
  only(with("metadata:\n  version: 1.0\n"), skill_rule::not_quoted, 5, 12);
  only(with("metadata: {a: b}\n"), skill_rule::yaml_flow, 4, 11);
  only(with("license: !!str MIT\n"), skill_rule::yaml_tag, 4, 10);
  only(with("license: &a MIT\n"), skill_rule::yaml_anchor, 4, 10);
  only(with("allowed-tools: Read, Write\n"), skill_rule::allowed_tools_form, 4,
       16);
  only(with("compatibility: \"\"\n"), skill_rule::compatibility_length, 4, 16);
  only(with("compatibility: " + std::string(501, 'a') + "\n"),
       skill_rule::compatibility_length, 4, 16);
  CHECK(parse_skill(with("compatibility: " + std::string(500, 'a') + "\n"),
                    "demo")
            .flaws.empty());
  CHECK(breaks(parse_skill("---\nname: Demo\ndescription: words\n---\nbody\n",
                           "Demo"),
               skill_rule::name_form, 2, 7));
  only("---\nname: demo\ndescription: words\n---\n\n", skill_rule::body_empty, 5,
       1);
  only("---\nname: demo\n---\nbody\n", skill_rule::description_missing, 1, 1);
  only("---\nname: demo\ndescription: \"  \"\n---\nbody\n",
       skill_rule::description_missing, 3, 14);
  only("---\nname: demo\ndescription:\n---\nbody\n",
       skill_rule::description_missing, 3, 1);
  only("---\ndescription: words\n---\nbody\n", skill_rule::name_missing, 1, 1);
  only("# Demo\n", skill_rule::front_matter_missing, 1, 1);
  only("\n" + good, skill_rule::front_matter_missing, 1, 1);
  only("---\nname: demo\ndescription: words\n\nbody\n",
       skill_rule::front_matter_open, 1, 1);
}

TEST_CASE("read_skill: the description's length is in characters") {
  const auto words = [](std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += "\u00e9";
    return "---\nname: demo\ndescription: " + text + "\n---\nbody\n";
  };
  CHECK(parse_skill(words(1024), "demo").flaws.empty());
  only(words(1025), skill_rule::description_long, 3, 14);
}

TEST_CASE("read_skill: the name is the folder's") {
  const checked_skill made = parse_skill(good, "other");
  CHECK(made.flaws.size() == 1);
  CHECK(breaks(made, skill_rule::name_not_folder, 2, 7));
  CHECK_FALSE(made.passes(skill_mode::strict));
  CHECK(made.passes(skill_mode::lenient));
  CHECK(parse_skill(good, "").flaws.empty());
}

TEST_CASE("read_skill: all flaws at once, in the order of lines") {
  const checked_skill made = parse_skill(
      "---\ncolour: red\nname: My_Skill\nallowed-tools: [a, b]\n"
      "metadata:\n  n: 5\n---\n",
      "demo");
  for (const skill_rule each :
       {skill_rule::unknown_key, skill_rule::name_form,
        skill_rule::name_not_folder, skill_rule::yaml_flow,
        skill_rule::wrong_type, skill_rule::not_quoted,
        skill_rule::description_missing, skill_rule::body_empty})
    CHECK_MESSAGE(breaks(made, each), name(each));
  CHECK(made.read.allowed_tools == "a b");
  CHECK(std::is_sorted(made.flaws.begin(), made.flaws.end(),
                       [](const skill_flaw& a, const skill_flaw& b) {
                         return a.line < b.line;
                       }));
}

TEST_CASE("read_skill: what is no YAML is told, and read by lines") {
  const std::string text =
      "---\nname: Demo\ndescription: Use when: asked\n  for it\n"
      "colour: 'red'\n---\nbody\n";
  const checked_skill made = parse_skill(text, "demo");
  CHECK(breaks(made, skill_rule::yaml_syntax, 3));
  CHECK(breaks(made, skill_rule::name_form, 2, 7));
  CHECK(breaks(made, skill_rule::unknown_key, 5, 1));
  CHECK(made.read.description == "Use when: asked for it");
  CHECK_FALSE(made.passes(skill_mode::strict));
  CHECK(made.passes(skill_mode::lenient));
  // Nothing to be read by lines either.
  CHECK_FALSE(parse_skill("---\n]]]: {{{\n---\nbody\n", "demo")
                  .passes(skill_mode::lenient));
}

TEST_CASE("read_skill: tabs, marks and line ends") {
  const checked_skill tab = parse_skill(
      "---\nname: demo\ndescription: words\nmetadata:\n\ta: b\n---\nbody\n",
      "demo");
  CHECK(breaks(tab, skill_rule::yaml_tab, 5, 1));
  CHECK_FALSE(tab.passes(skill_mode::strict));
  only("\xef\xbb\xbf" + good, skill_rule::byte_order_mark, 1, 1);
  std::string crlf;
  for (const char c : good) crlf += c == '\n' ? "\r\n" : std::string(1, c);
  CHECK(parse_skill(crlf, "demo").flaws.empty());
  CHECK(parse_skill(crlf, "demo").read.body == "# Demo\n\nDo it.\n");
  CHECK(parse_skill("---  \nname: demo\ndescription: a\n--- \nb", "demo")
            .flaws.empty());
}

TEST_CASE("read_skill: hostile bytes") {
  only(good + std::string("a\0b\0", 4), skill_rule::bad_text, 8, 2);
  CHECK(parse_skill(good + std::string("a\0b", 3), "demo")
            .read.body.ends_with("a b"));
  only(good + "\xff\xfe", skill_rule::bad_text, 8, 1);
  only(good + "see \u202ecod", skill_rule::bidi_control, 8, 5);
  const checked_skill early =
      parse_skill(std::string("---\nname: de\0mo\n---\nb\n", 23), "demo");
  CHECK(breaks(early, skill_rule::bad_text, 2, 9));
  CHECK(breaks(early, skill_rule::description_missing));
  CHECK(breaks(parse_skill(std::string("\xff\xfe-\0-\0-\0\n\0", 10), "demo"),
               skill_rule::bad_text));
}

TEST_CASE("read_skill: hostile sizes") {
  only(std::string(most_skill_bytes + 1, 'a'), skill_rule::too_large, 1, 1);
  CHECK(breaks(parse_skill(with("license: " + std::string(70'000, 'a') + "\n"),
                           "demo"),
               skill_rule::too_large, 2, 1));
  CHECK(breaks(parse_skill(with("metadata: " + std::string(60'000, '[') + "\n"),
                           "demo"),
               skill_rule::too_large, 4));
  std::string many;
  for (int i = 0; i < 3000; ++i) many += "k" + std::to_string(i) + ": v\n";
  const checked_skill made = parse_skill(with(many), "demo");
  CHECK(made.flaws.size() <= most_flaws);
  CHECK_FALSE(made.passes(skill_mode::lenient));
  const checked_skill bomb = parse_skill(
      with("metadata:\n  a: &a x\n  b: *a\n"), "demo");
  CHECK(breaks(bomb, skill_rule::yaml_alias, 6, 6));
  CHECK_FALSE(bomb.passes(skill_mode::lenient));
}

TEST_CASE("read_skill: a long body is a warning") {
  std::string lines, words;
  for (int i = 0; i < 501; ++i) lines += "a\n";
  for (int i = 0; i < 5100; ++i) words += "word ";
  const std::string head = "---\nname: demo\ndescription: words\n---\n";
  only(head + lines, skill_rule::body_long, 505, 1);
  only(head + words, skill_rule::body_long, 5, 1);
  CHECK(parse_skill(head + words, "demo").passes(skill_mode::strict));
  CHECK(parse_skill(head + lines.substr(2), "demo").flaws.empty());
}

TEST_CASE("read_skill: files that are referred to must be there") {
  const folder in;
  in.write("SKILL.md", good +
                           "[a](references/A.md) [b](references/B.md)\n"
                           "Run scripts/run.sh and scripts/gone.sh.\n"
                           "[c](../other/C.md) [d](/etc/passwd) [e](x/../../y)\n"
                           "[f](references) [g](%00.md)\n");
  in.write("references/A.md", "a");
  in.write("scripts/run.sh", "run");
  const checked_skill made = in.check();
  CHECK(breaks(made, skill_rule::file_missing, 8, 26));
  CHECK(breaks(made, skill_rule::path_missing, 9, 24));
  CHECK(breaks(made, skill_rule::file_outside, 10, 5));
  CHECK(breaks(made, skill_rule::file_outside, 10, 24));
  CHECK(breaks(made, skill_rule::file_outside, 10, 41));
  CHECK(breaks(made, skill_rule::file_missing, 11, 21));
  CHECK_MESSAGE(made.flaws.size() == 6, told(made));
  CHECK(made.read.files == 3);
  CHECK(made.read.bytes > 100);
  CHECK(made.passes(skill_mode::lenient));
}

TEST_CASE("read_skill: links that lead out are errors, and not followed") {
  const folder in;
  in.write("SKILL.md", good + "[a](references/out.md)\n");
  in.write("references/in.md", "a");
  std::ofstream(in.outer / "secret") << "secret";
  fs::create_symlink("../../secret", in.path / "references/out.md");
  fs::create_symlink("in.md", in.path / "references/fine.md");
  fs::create_symlink("/nowhere/at/all", in.path / "gone");
  fs::create_directory_symlink("/etc", in.path / "folder");
  REQUIRE(::mkfifo((in.path / "pipe").c_str(), 0600) == 0);
  const checked_skill made = in.check();
  CHECK(breaks(made, skill_rule::file_outside, 8, 5));
  CHECK(std::count_if(made.flaws.begin(), made.flaws.end(),
                      [](const skill_flaw& one) {
                        return one.rule == skill_rule::link_outside;
                      }) == 3);
  CHECK(breaks(made, skill_rule::odd_file));
  CHECK_MESSAGE(made.flaws.size() == 5, told(made));
  CHECK_FALSE(made.passes(skill_mode::lenient));
}

TEST_CASE("read_skill: a SKILL.md that is not one") {
  const folder in;
  CHECK(breaks(in.check(), skill_rule::skill_md_missing));
  std::ofstream(in.outer / "secret") << good;
  fs::create_symlink("../secret", in.path / "SKILL.md");
  CHECK(breaks(in.check(), skill_rule::link_outside));
  CHECK(in.check().read.name.empty());
  fs::remove(in.path / "SKILL.md");
  REQUIRE(::mkfifo((in.path / "SKILL.md").c_str(), 0600) == 0);
  CHECK(breaks(in.check(), skill_rule::skill_md_missing));
  fs::remove(in.path / "SKILL.md");
  fs::create_directory(in.path / "SKILL.md");
  CHECK(breaks(in.check(), skill_rule::skill_md_missing));
  fs::remove(in.path / "SKILL.md");
  in.write("skill.md", good);
  const checked_skill made = in.check();
  CHECK(made.flaws.size() == 1);
  CHECK(breaks(made, skill_rule::skill_md_name));
  CHECK(made.passes(skill_mode::strict));
}

TEST_CASE("read_skill: a folder that is none is a fault") {
  const folder in;
  in.write("SKILL.md", good);
  const auto gone = check_skill((in.path / "gone").string());
  REQUIRE_FALSE(gone.ok());
  CHECK(gone.error().why == reason::not_found);
  const auto file = check_skill((in.path / "SKILL.md").string());
  REQUIRE_FALSE(file.ok());
  CHECK(file.error().why == reason::bad_input);
}

TEST_CASE("read_skill: the folder's name is found behind dots and slashes") {
  const folder in;
  in.write("SKILL.md", good);
  CHECK(check_skill(in.path.string() + "/").value().flaws.empty());
  CHECK(check_skill((in.path / "x/..").string() + "/").ok() == false);
  fs::create_directory(in.path / "x");
  CHECK(check_skill((in.path / "x/..").string()).value().flaws.empty());
  CHECK(check_skill((in.path / "x/../.").string()).value().flaws.empty());
}

TEST_CASE("read_skill: the skills that a path stands for") {
  const folder in;
  in.write("SKILL.md", good);
  const std::string path = in.path.string();
  const std::vector<std::string> one{path};
  CHECK(skill_folders(path) == one);
  CHECK(skill_folders(path + "/SKILL.md") == one);
  fs::create_directories(in.outer / "b");
  CHECK(skill_folders(in.outer.string()) == one);
  std::ofstream(in.outer / "b/SKILL.md") << "x";
  CHECK(skill_folders(in.outer.string()) ==
        std::vector<std::string>{(in.outer / "b").string(), path});
  CHECK(skill_folders("/nowhere/at/all") ==
        std::vector<std::string>{"/nowhere/at/all"});
}

TEST_CASE("read_skill: the skill of this project passes the strict check") {
  const auto made =
      check_skill(std::string(SKILLBENCH_SOURCE_DIR) + "/skills/h100-kernels");
  REQUIRE(made.ok());
  CHECK_MESSAGE(made.value().flaws.empty(), told(made.value()));
  CHECK(made.value().read.name == "h100-kernels");
}
