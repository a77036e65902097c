#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <skillbench/json_record.hpp>
#include <skillbench/records.hpp>
#include <skillbench/store.hpp>

#include "cli_kit.hpp"

using namespace skillbench;
using namespace cli_kit;
namespace fs = std::filesystem;

namespace {

// A file of records: correct ones of each arm, of so many.
void write(const folder& in, const std::string& name, int with, int without,
           int of, const std::string& evil = "") {
  std::ofstream to(in.path / name);
  for (const bool skill : {true, false})
    for (int i = 0; i < of; ++i) {
      record one;
      one.of.id = (skill ? "w" : "b") + std::to_string(i) + evil;
      one.of.model = "m";
      one.of.task = "geglu" + evil;
      one.of.arm = skill ? "with_skill" : "baseline";
      one.of.skill = skill ? "kernels" : "";
      one.what = i < (skill ? with : without) ? outcome::correct
                                              : outcome::wrong;
      if (one.what == outcome::wrong) one.reason = "a value is wrong" + evil;
      to << write_record(one) << "\n";
    }
}

}  // namespace

TEST_CASE("cli/report: the verdict first, then the rungs") {
  const folder here;
  write(here, "a.jsonl", 27, 9, 30);
  const ran told = run(here, "report a.jsonl");
  CHECK(told.code == 0);
  CHECK(told.out.starts_with("kernels\nhelps: 27 of 30 outputs are correct"));
  CHECK(has(told.out, "90% 27"));
  CHECK(has(told.out, "30% 9"));
  CHECK_FALSE(has(told.out, "\x1b"));
  CHECK(has(run(here, "report a.jsonl --aa").out,
            "differs from itself by at most"));
}

TEST_CASE("cli/report: records that stand in several paths count once, and it is said") {
  const folder here;
  write(here, "a.jsonl", 27, 9, 30);
  write(here, "b.jsonl", 3, 1, 30, " of b");
  const ran once = run(here, "report a.jsonl b.jsonl --json");
  CHECK_FALSE(has(once.trouble, "several paths"));
  const ran told = run(here, "report a.jsonl b.jsonl a.jsonl --json");
  CHECK(told.code == 0);
  CHECK(has(told.trouble,
            "records that stand in several paths count once: 60\n"));
  CHECK(told.out == once.out);
}

TEST_CASE("cli/report: a gate decides the exit code") {
  const folder here;
  write(here, "a.jsonl", 27, 9, 30);
  ran told = run(here, "report a.jsonl --gate 'pass_rate>=0.9, lift>0'");
  CHECK(told.code == 0);
  CHECK(has(told.out, "\npass_rate>=0.9 holds: 0.9\nlift>0 holds: 0.6"));
  told = run(here, "report a.jsonl --gate 'pass_rate>0.9' --json");
  CHECK(told.code == 1);
  CHECK(has(told.trouble, "pass_rate>0.9 fails: 0.9"));
  CHECK(has(told.out, "\"holds\":false"));
  told = run(here, "report a.jsonl --gate 'speed>1'");
  CHECK(told.code == 2);
  CHECK(has(told.trouble, "column 1: there is no measure speed"));
  // No arm with a skill: no gate opens.
  here.write("one.jsonl", write_record(record{}) + "\n");
  told = run(here, "report one.jsonl --gate 'outputs>=0'");
  CHECK(told.code == 1);
  CHECK(has(told.out, "there is no skill to hold it against"));
}

TEST_CASE("cli/report: files, with hostile words in them") {
  const folder here;
  write(here, "a.jsonl", 3, 1, 4, "</script>\x1b[31m=1");
  const ran told = run(here,
                       "report a.jsonl --html r.html --markdown r.md --csv "
                       "r.csv --junit r.xml");
  CHECK(told.code == 0);
  CHECK(told.out.empty());
  const std::string page = here.read("r.html");
  CHECK(page.starts_with("<!doctype html>"));
  CHECK_FALSE(has(page, "geglu</script>"));
  CHECK_FALSE(has(page, "\x1b"));
  CHECK(has(here.read("r.csv"), "\r\n"));
  CHECK_FALSE(has(here.read("r.xml"), "\x1b"));
  CHECK(has(here.read("r.md"), "| task | arm |"));
  CHECK_FALSE(has(run(here, "report a.jsonl").out, "\x1b"));
  for (const auto& each : fs::directory_iterator(here.path))
    CHECK_FALSE(has(each.path().string(), ".part-"));
  CHECK(has(run(here, "report a.jsonl --csv -").out, "id,model,task"));
}

TEST_CASE("cli/report: a record that cannot be read opens no gate") {
  const folder here;
  write(here, "a.jsonl", 27, 9, 30);
  std::ofstream(here.path / "a.jsonl", std::ios::app) << "{\"schema\":\n";
  for (const std::string words :
       {"report a.jsonl", "report a.jsonl --gate 'pass_rate>=0.9'",
        "compare a.jsonl a.jsonl"}) {
    const ran told = run(here, words);
    CHECK_MESSAGE(told.code == 2, words);
    CHECK(has(told.trouble, "a record that cannot be used"));
    CHECK_FALSE(told.out.empty());  // the rest is told
  }
  CHECK(run(here, "report a.jsonl --gate 'pass_rate>0.9'").code == 1);
}

TEST_CASE("cli/report: what cannot be read or written") {
  const folder here;
  ran told = run(here, "report none");
  CHECK(told.code == 2);
  CHECK(has(told.trouble, "none: there is no such folder or file of records"));
  CHECK(run(here, "report").code == 2);  // no default folder here
  write(here, "a.jsonl", 1, 1, 1);
  told = run(here, "report a.jsonl --html none/r.html");
  CHECK(told.code == 3);
  CHECK(has(told.trouble, "cannot write none/r.html"));
}

TEST_CASE("cli/compare: what got better and worse") {
  const folder here;
  write(here, "a.jsonl", 27, 9, 30);
  write(here, "b.jsonl", 5, 9, 30);
  ran told = run(here, "compare a.jsonl b.jsonl");
  CHECK(told.code == 0);
  CHECK(has(told.out, "worse\n"));
  CHECK(has(told.out, "within noise\n"));
  CHECK(run(here, "compare a.jsonl b.jsonl --fail-if-worse").code == 1);
  CHECK(run(here, "compare b.jsonl a.jsonl --fail-if-worse").code == 0);
  CHECK(run(here, "compare a.jsonl none").code == 2);
  CHECK(run(here, "compare a.jsonl").code == 2);
}

TEST_CASE("cli/report: what stands beside the verdict") {
  const folder here;
  std::string text;
  for (const bool skill : {true, false})
    for (int i = 0; i < 6; ++i) {
      record one;
      one.of.id = (skill ? "w" : "b") + std::to_string(i);
      one.of.task = "geglu";
      one.of.arm = skill ? "with_skill" : "baseline";
      one.of.input_tokens = skill ? 300 : 200;
      one.of.pair = std::to_string(i);
      one.what = i < 3 ? outcome::correct : outcome::wrong;
      if (i < 3) one.against_baseline = speedup{skill ? 2.5 : 1.5, true};
      one.assertions.push_back({assertion::type::contains, "contains \"x\"",
                                assertion_result::verdict::passed, ""});
      text += write_record(one) + "\n";
    }
  here.write("a.jsonl", text);
  const ran told = run(here, "report a.jsonl");
  CHECK(has(told.out, "correct (95%)"));
  CHECK(has(told.out, "50% (19 to 81)"));  // Wilson, 3 of 6
  CHECK(has(told.out, "one of 2 correct"));
  CHECK(has(told.out, "tokens a correct one"));
  CHECK(has(told.out, "600"));  // 6 x 300 tokens, 3 correct
  CHECK(has(told.out, "over 2x the baseline"));
  CHECK(has(told.out, "Speed is predicted"));
  CHECK(has(told.out, "Of 6 pairs only the skill solved 0"));
  CHECK(has(told.out, "contains \"x\""));
  CHECK(has(told.out, "6 of 6"));
  const std::string page = run(here, "report a.jsonl --markdown -").out;
  CHECK(page.starts_with("### The skill\n\n**inconclusive**: 3 of 6"));
  CHECK(has(page, "| `contains \"x\"` | 6 of 6 | 6 of 6 |"));
  CHECK(has(run(here, "report a.jsonl --csv -").out,
            ",2.500000,yes,1,1\r\n"));
  CHECK(has(run(here, "report a.jsonl --json").out, "\"predicted\":true"));
}

TEST_CASE("cli/report: outputs that could not be tried are told") {
  const folder here;
  const std::string kept = (here.path / "kept").string();
  {
    auto to = store::open(kept);
    REQUIRE(to.ok());
    REQUIRE(to.value().append(write_record(record{})).ok());
  }
  REQUIRE(write_not_tried(not_tried_file(kept), {{"a", reason::child_died, "it\ndied"},
                                 {"b", reason::io, "full"}})
              .ok());
  CHECK(has(run(here, "report kept").out, "2 outputs could not be tried"));
  CHECK(has(run(here, "report kept --json").out, "\"not_tried\":2"));
  CHECK(has(run(here, "report kept --markdown -").out,
            "2 outputs could not be tried"));
  REQUIRE(write_not_tried(not_tried_file(kept), {}).ok());
  CHECK_FALSE(has(run(here, "report kept").out, "could not be tried"));
}
