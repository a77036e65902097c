// Tests of compiler_log.hpp.

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include <skillbench/compiler_log.hpp>

using namespace skillbench;

namespace {

image telling(std::string log, bool cut = false) {
  image made;
  made.log = std::move(log);
  made.log_cut = cut;
  return made;
}

}  // namespace

TEST_CASE("compiler_log: a log of many errors is quoted from its start") {
  std::string log;
  for (int line = 1; line <= 50; ++line)
    log += "candidate.cu(" + std::to_string(line) + "): error: " +
           std::string(5000, 'x') + "\n";
  const auto errors = errors_in(log);
  REQUIRE(errors.size() == most_quoted_errors);
  CHECK(errors[2].line == 3);
  CHECK(errors[2].text.size() == most_error_bytes);
}

TEST_CASE("compiler_log: a line number that is no number is none") {
  CHECK_FALSE(parse_error("candidate.cu(): error: x").line);
  CHECK_FALSE(parse_error("candidate.cu(12").line);
  CHECK_FALSE(parse_error("candidate.cu(999999999999): error: x").line);
  CHECK(parse_error("candidate.cu(7): error: x").line == 7);
}

TEST_CASE("compiler_log: the same error twice is one, and of one type") {
  std::string log;
  for (int i = 0; i < 5; ++i) log += "candidate.cu(4): error: same\n";
  log += "candidate.cu(5): error: other\n";
  const image made = telling(log);
  std::vector<finding> all;
  merge_compile_findings(all, compile_findings(made, element::f32));
  REQUIRE(all.size() == 2);
  CHECK(all[0].element_type == name(element::f32));
  merge_compile_findings(all, compile_findings(made, element::f16));
  REQUIRE(all.size() == 2);
  CHECK(all[0].element_type.empty());
}

TEST_CASE("compiler_log: an error is cut between characters") {
  std::string words;
  while (words.size() < 2 * most_error_bytes) words += "\u20ac";
  for (const char* before : {"", "a", "bb"})
    CHECK(errors_in("candidate.cu(4): error: " + (before + words) + "\n")
              .at(0)
              .text.ends_with("\u20ac"));
}

TEST_CASE("compiler_log: types that were told the same stand together") {
  compiler_log kept;
  CHECK(kept.text().empty());
  kept.add(element::f32, telling(" \n\n"));
  CHECK(kept.text().empty());
  kept.add(element::f32, telling("candidate.cu(3): warning: x\n"));
  kept.add(element::f16, telling("candidate.cu(9): error: y\n\n"));
  kept.add(element::bf16, telling("candidate.cu(3): warning: x\n"));
  CHECK(kept.text() ==
        std::string(name(element::f32)) + ", " +
            std::string(name(element::bf16)) +
            ":\ncandidate.cu(3): warning: x\n\n" +
            std::string(name(element::f16)) +
            ":\ncandidate.cu(9): error: y\n");
}

TEST_CASE("compiler_log: a long log is cut between characters and says so") {
  std::string log;
  while (log.size() < 2 * most_kept_log_bytes) log += "\u00e4";
  for (const std::string before : {"", "x"}) {
    compiler_log kept;
    kept.add(element::f32, telling(before + log));
    const std::string text = kept.text();
    CHECK(text.size() < most_kept_log_bytes + 32);
    CHECK(text.ends_with("\u00e4\n(cut here)\n"));
  }
  compiler_log cut_before;
  cut_before.add(element::f32, telling("short", true));
  CHECK(cut_before.text().ends_with("short\n(cut here)\n"));
}
