// What the commands say of records, findings and files.

#include <doctest/doctest.h>

#include <cstdio>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <skillbench/cli/check.hpp>
#include <skillbench/cli/progress.hpp>
#include <skillbench/cli/run.hpp>
#include <skillbench/cli/selftest.hpp>
#include <skillbench/cli/summary.hpp>

using namespace skillbench;
using namespace skillbench::cli;

namespace {

std::string printed(const std::function<void(stream&)>& print) {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  stream to(file);
  print(to);
  REQUIRE(to.flush());
  std::string text(static_cast<std::size_t>(std::ftell(file)), '\0');
  std::rewind(file);
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

record told(const char* task, const char* arm, outcome what) {
  record made;
  made.of.id = std::string(task) + "-" + arm + "-" + std::string(name(what));
  made.of.task = task;
  made.of.arm = arm;
  made.what = what;
  if (what != outcome::correct) made.reason = "because";
  return made;
}

finding at(code kind, int line, const char* test_case, const char* type) {
  finding made;
  made.kind = kind;
  made.line = line;
  made.test_case = test_case;
  made.element_type = type;
  made.what = "element 5 of " + std::string(test_case);
  return made;
}

}  // namespace

TEST_CASE("cli/run: what was asked about time and counters is in a sample's key") {
  family norm;
  norm.name = "norm";
  const std::vector<family> known{norm};
  sample of;
  of.task = "norm";
  of.output = "text";
  const auto key = [&](const run_command& asked,
                       const std::string& machine = "NVIDIA H100, CUDA 13.0") {
    return key_for(of, machine, asked, known, nullptr);
  };
  const run_command plain;
  run_command asked[9];
  asked[1].hot = true;
  asked[2].no_time = true;
  asked[3].sustained = 1;
  asked[4].sustained = 2.5;
  asked[5].counters = true;
  asked[6].tune = true;
  asked[7].tune = true;
  asked[7].tune_trials = 26;
  asked[8].seed = 2;
  std::set<std::string> all;
  for (const run_command& each : asked) all.insert(key(each));
  CHECK(all.size() == 9);
  // What says nothing of the verdict is not.
  run_command other = plain;
  other.jobs = 7;
  other.out = "elsewhere";
  other.isolation = "strict";
  other.tune_trials = 26;  // of no tuning
  CHECK(key(other) == key(plain));

  // Where nothing is timed, what was asked about time changes nothing.
  const std::string machine = "PTX machine, CUDA 13.0";
  all.clear();
  for (const run_command& each : asked) all.insert(key(each, machine));
  CHECK(all.size() == 5);
  CHECK(key(asked[1], machine) == key(plain, machine));
  CHECK(key(asked[2], machine) == key(plain, machine));
  CHECK(key(asked[4], machine) == key(plain, machine));

  of.task = "nobody's";
  CHECK(key(plain).empty());
}

TEST_CASE("cli/summary: each outcome is counted on the rungs it reached") {
  rungs all;
  for (const outcome each :
       {outcome::no_kernel, outcome::bad_manifest, outcome::does_not_compile,
        outcome::faults, outcome::wrong, outcome::cheats, outcome::correct,
        outcome::unjudged})
    all.add(each);
  CHECK(all.outputs == 8);
  CHECK(all.kernel == 7);
  CHECK(all.manifest == 6);
  CHECK(all.compiles == 5);
  CHECK(all.clean == 3);
  CHECK(all.right == 2);
  CHECK(all.correct == 1);
  CHECK(all.unjudged == 1);
}

TEST_CASE("cli/summary: a row for each task and arm, a reason for each miss") {
  const std::vector<record> records{
      told("geglu", "baseline", outcome::correct),
      told("geglu", "with_skill", outcome::wrong),
      told("layernorm", "baseline", outcome::unjudged)};
  const std::string text =
      printed([&](stream& to) { print_summary(records, to); });
  CHECK(has(text,
            "task       arm         outputs  kernel  manifest  compiles  clean  "
            "right  correct  unjudged\n"
            "geglu      baseline          1       1         1         1      1  "
            "    1        1         0\n"));
  CHECK(has(text, "\n\ngeglu-with_skill-wrong  wrong\n  because\n"));
  CHECK(has(text, "layernorm-baseline-unjudged  unjudged\n"));
  CHECK_FALSE(has(text, "geglu-baseline-correct"));
}

TEST_CASE("cli/summary: models are told apart where there are several") {
  std::vector<record> records{told("geglu", "baseline", outcome::correct),
                              told("geglu", "baseline", outcome::wrong)};
  records[0].of.model = "a";
  records[1].of.model = "b";
  const std::string text =
      printed([&](stream& to) { print_rungs(records, to); });
  CHECK(has(text, "\na      geglu"));
  CHECK(has(text, "\nb      geglu"));
}

TEST_CASE("cli/summary: names and reasons of a model's making are escaped") {
  std::vector<record> records{told("geglu", "baseline", outcome::wrong)};
  records[0].of.id = "\x1b]0;owned\x07";
  records[0].reason = "trap: \x1b[32mcorrect";
  const std::string text =
      printed([&](stream& to) { print_summary(records, to); });
  CHECK_FALSE(has(text, "\x1b"));
  CHECK_FALSE(has(text, "\x07"));
  CHECK(has(text, "\\x1b[32mcorrect"));
}

TEST_CASE("cli/progress: done, missed and time to go in one line") {
  progress now;
  now.all = 18;
  now.done = 7;
  now.correct = 3;
  now.unjudged = 2;
  now.left = 40;
  CHECK(words_of(now) ==
        "7 of 18 judged: 3 correct, 2 not, 2 unjudged; about 40 s to go");
  now.elapsed = 5;
  now.reached = {{outcome::correct, 3},
                 {outcome::unjudged, 2},
                 {outcome::wrong, 1},
                 {outcome::does_not_compile, 1}};
  CHECK(words_of(now) ==
        "7 of 18 judged: 3 correct, 2 not, 2 unjudged; 1.4/s, about 40 s to "
        "go; 1 does_not_compile, 1 wrong");
  now.faults = 1;
  now.done = 18;
  now.elapsed = 100;
  CHECK(has(words_of(now), "1 could not be tried; 0.2/s, took 1 min 40 s; 1 does"));
}

TEST_CASE("cli/progress: what is kept from before is told apart") {
  progress now;
  now.earlier = 12;
  now.all = 6;
  CHECK(words_of(now).starts_with("12 kept from before; 0 of 6 judged: "));
}

TEST_CASE("cli/run: where the records are") {
  CHECK(where_records_are(18, 18, "F", "F/r") == "18 records in F/r");
  CHECK(where_records_are(18, 6, "F", "F/r") ==
        "18 records in F: 12 kept from before, 6 new in F/r");
  CHECK(where_records_are(1, 0, "F", "F/r") ==
        "1 record in F: 1 kept from before, none new");
}

TEST_CASE("cli/progress: a file gets a line now and then") {
  const std::string text = printed([](stream& to) {
    progress_line line(to);
    progress now;
    now.all = 100;
    for (now.done = 0; now.done <= 100; ++now.done) {
      now.elapsed = 0.2 * static_cast<double>(now.done);
      line.show(now);
      line.show(now);
    }
    line.end();
  });
  CHECK(std::count(text.begin(), text.end(), '\n') == 3);
  CHECK(has(text, "100 of 100 judged"));
  CHECK_FALSE(has(text, "\r"));
}

TEST_CASE("cli/check: a line of the source is quoted and marked") {
  const std::string source = "one\n\n    y[i] = \tx;  \nlast";
  const auto quoted = [&](int line, int shown) {
    return printed([&](stream& to) { quote(source, line, shown, to); });
  };
  CHECK(quoted(3, 57) == "  57 |     y[i] =  x;\n     |     ^~~~~~~~~~\n");
  CHECK(quoted(4, 4) == "  4 | last\n    | ^~~~\n");
  CHECK(quoted(2, 2).empty());
  CHECK(quoted(99, 99).empty());
}

TEST_CASE("cli/check: a finding at one line is told once for all its cases") {
  const std::vector<finding> all{
      at(code::out_of_bounds, 12, "a", "float"),
      at(code::out_of_bounds, 12, "b", "float"),
      at(code::out_of_bounds, 14, "a", "float"),
      at(code::out_of_bounds, 12, "a", "half"),
      at(code::misaligned, 12, "a", "half")};
  const auto groups = grouped(all);
  REQUIRE(groups.size() == 3);
  CHECK(groups[0].first == &all[0]);
  CHECK(groups[0].count == 3);
  CHECK(groups[0].cases == std::vector<std::string>{"a", "b"});
  CHECK(groups[0].types == std::vector<std::string>{"float", "half"});
}

TEST_CASE("cli/check: errors of the compiler at one line stay apart") {
  std::vector<finding> all{at(code::compile_error, 3, "", ""),
                           at(code::compile_error, 3, "", "")};
  all[0].what = "error: no foo";
  all[1].what = "error: no bar";
  CHECK(grouped(all).size() == 2);
}

TEST_CASE("cli/check: a finding shows the line of the file, not of the block") {
  const std::vector<finding> all{at(code::wrong_value, 2, "a", "float")};
  sample of;
  of.path = "answer.md";
  excerpt from;
  from.source = "first\nsecond\n";
  from.first_line = 11;
  const std::string text = printed([&](stream& to) {
    print_finding(grouped(all).front(), of, &from, to);
  });
  CHECK(has(text, "fails wrong_value\n"));
  CHECK(has(text, "  answer.md:12\n  12 | second\n     | ^~~~~~\n"));
}

TEST_CASE("cli/check: lines in a finding's words are those of the file, too") {
  CHECK(in_lines_of_file("reads there (line 30) and writes (line 27): no", 5) ==
        "reads there (line 34) and writes (line 31): no");
  CHECK(in_lines_of_file("the wgmma of line 40, at PTX line 12", 5) ==
        "the wgmma of line 44, at PTX line 12");
  CHECK(in_lines_of_file("line x, line 99999999999 and line ", 5) ==
        "line x, line 99999999999 and line ");
  CHECK(in_lines_of_file("line 3", 1) == "line 3");
}

TEST_CASE("cli/selftest: a file says what is to be found in it") {
  const auto made = parse_expectation(
      "<!-- expect: outcome=faults finding=out_of_bounds finding=deadlock; "
      "why: x = y -->\ntext");
  REQUIRE(made);
  CHECK(made->outcome == "faults");
  CHECK(made->findings ==
        std::vector<std::string>{"out_of_bounds", "deadlock"});
  CHECK(made->basic.empty());
  CHECK_FALSE(made->leaks);
  CHECK(parse_expectation("# A title\n\n<!-- expect: outcome=correct -->"));
  CHECK(parse_expectation("<!-- expect: outcome=wrong basic=leaks; why: a -->")->basic == "leaks");
  for (const char* text :
       {"", "no comment", "<!-- expect: outcome=correct", "<!-- expect: -->",
        "<!-- expect: finding=trap -->", "<!-- expect: outcome -->",
        "<!-- expect: outcome=correct colour=red -->"})
    CHECK_FALSE(parse_expectation(text));
}

TEST_CASE("cli/selftest: a record differs by its outcome or a missing finding") {
  record made = told("geglu", "", outcome::faults);
  made.findings.push_back(at(code::out_of_bounds, 1, "a", "float"));
  CHECK(differs({"faults", {"out_of_bounds"}, ""}, made).empty());
  CHECK(differs({"faults", {}, ""}, made).empty());
  CHECK(has(differs({"correct", {}, ""}, made), "faults, not correct"));
  CHECK(has(differs({"faults", {"trap"}, ""}, made), "no finding trap"));
}
