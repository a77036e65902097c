#include <doctest/doctest.h>

#include <cstdio>
#include <string>
#include <vector>

#include <skillbench/cli/counters.hpp>

#include "cli_kit.hpp"

using namespace skillbench;
using cli_kit::has;
using namespace skillbench::cli;

namespace {

launch_counters some(std::uint64_t instructions) {
  launch_counters made;
  made.total.warp_instructions[0] = instructions;
  made.total.thread_instructions[0] = 16 * instructions;
  made.total.global_load_requests = 7;
  made.total.branches = 8;
  made.total.divergent_branches = 3;
  return made;
}

line_counts line(int number, std::uint64_t instructions, std::uint64_t sectors,
                 std::uint64_t wavefronts, std::uint64_t conflicts) {
  line_counts made;
  made.line = number;
  made.of.warp_instructions[1] = instructions;
  made.of.global_load_sectors = sectors;
  made.of.shared_load_wavefronts = wavefronts;
  made.of.shared_store_conflicts = conflicts;
  return made;
}

}  // namespace

TEST_CASE("cli/counters: a column for each element type, no row of zeros") {
  const launch_counters a = some(100), b = some(2000);
  const std::vector<counted_column> columns{{"float", &a}, {"half", &b}};
  const std::string text = cli_kit::printed<stream>(
      [&](stream& out) { counter_tables::print_totals(columns, out); });
  CHECK(has(text, "counted                 float  half\n"));
  CHECK(has(text, "warp instructions         100  2000\n"));
  CHECK(has(text, "  integer                 100  2000\n"));
  CHECK(has(text, "active lanes of each     16.0  16.0\n"));
  CHECK(has(text, "global load requests        7     7\n"));
  CHECK(has(text, "distinct bytes read         0     0\n"));
  CHECK(has(text, "branch efficiency, %     62.5  62.5\n"));
  CHECK_FALSE(has(text, "shared"));
  CHECK_FALSE(has(text, "tensor"));
  const launch_counters none;
  const counted_column empty{"launch", &none};
  CHECK(has(cli_kit::printed<stream>([&](stream& out) {
              counter_tables::print_totals(std::span(&empty, 1), out);
            }),
            "branch efficiency, %         -\n"));
}

TEST_CASE("cli/counters: the lines that cost most, by each kind of cost") {
  launch_counters made;
  for (int i = 1; i <= 8; ++i)
    made.lines.push_back(line(i, static_cast<std::uint64_t>(100 * i), 0, 0, 0));
  made.lines.push_back(line(20, 1, 50, 0, 0));
  made.lines.push_back(line(21, 2, 0, 60, 0));
  made.lines.push_back(line(22, 3, 0, 0, 70));
  made.total.warp_instructions[0] = 3606;
  const auto picked = counter_tables::costly(made);
  std::vector<int> numbers;
  for (const line_counts* each : picked) numbers.push_back(each->line);
  CHECK(numbers == std::vector<int>{8, 7, 6, 5, 22, 21, 20});

  const std::string source = "a\nb\nc\nd\n  e;\nf\x1b[2J\ng\nh\n";
  const std::string text =
      cli_kit::printed<stream>([&](stream& out) { print_lines(made, source, 11, out); });
  CHECK(text.starts_with("line  warp instr.     %  sectors"));
  CHECK(has(text, "  15          500  13.9        0           0          0  e;\n"));
  CHECK(has(text, "f\\x1b[2J"));
  CHECK_FALSE(has(text, "\x1b"));
  made.of_ptx = true;
  made.lines = {line(0, 5, 0, 0, 0)};
  const std::string other =
      cli_kit::printed<stream>([&](stream& out) { print_lines(made, source, 1, out); });
  CHECK(has(other, "line of the PTX"));
  CHECK(has(other, "(not of this source)"));
}
