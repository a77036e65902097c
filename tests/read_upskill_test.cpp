#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <skillbench/read_upskill.hpp>

#include "new_folder.hpp"

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

using folder = new_folder;

std::string result_of(const std::string& arm, int passed) {
  return R"({"metadata": {"model": "m", "task": "t", "run_number": 1},
"stats": {"turns": 2, "total_tokens": 10}, "assertions_passed": )" +
         std::to_string(passed) +
         R"(, "assertions_total": 2, "run_type": ")" + arm +
         R"(", "skill_name": "s"})";
}

}  // namespace

TEST_CASE("read_upskill: names with numbers are in their order") {
  using upskill::comes_before;
  CHECK(comes_before("run_2", "run_10"));
  CHECK_FALSE(comes_before("run_10", "run_2"));
  CHECK(comes_before("run_02", "run_3"));
  CHECK(comes_before("2026_01_22_13_10", "2026_01_22_13_11"));
  CHECK(comes_before("a", "b"));
  CHECK(comes_before("run", "run_1"));
  CHECK_FALSE(comes_before("run_1", "run_1"));
}

TEST_CASE("read_upskill: runs, a batch and one run") {
  const folder in;
  in.write("runs/b1/run_1/run_result.json", result_of("baseline", 1));
  in.write("runs/b1/run_2/run_result.json", result_of("with_skill", 2));
  in.write("runs/b1/run_10/run_result.json", result_of("with_skill", 0));
  in.write("runs/b1/batch_summary.json",
           "{\"results\": [" + result_of("baseline", 1) + "]}");
  in.write("runs/b2/run_1/run_metadata.json", "{}");
  in.write("runs/results.csv", "a,b");
  const auto all = read_upskill_runs((in.path / "runs").string());
  REQUIRE_MESSAGE(all.ok(), all.error().what);
  CHECK(all.value().runs == 3);
  CHECK(all.value().troubles.empty());
  REQUIRE(all.value().records.size() == 6);
  CHECK(all.value().records[0].of.id == "b1/run_1/1");
  CHECK(all.value().records[4].of.id == "b1/run_10/1");
  REQUIRE(all.value().unanswered.size() == 1);
  CHECK(all.value().unanswered[0].name == "b2/run_1");

  const auto batch = read_upskill_runs((in.path / "runs/b1").string() + "/");
  REQUIRE(batch.ok());
  CHECK(batch.value().runs == 3);
  const auto run = read_upskill_runs((in.path / "runs/b1/run_2").string());
  REQUIRE(run.ok());
  CHECK(run.value().records[0].of.id == "b1/run_2/1");
}

TEST_CASE("read_upskill: a summary counts where its runs are gone") {
  const folder in;
  in.write("b1/batch_summary.json", "{\"results\": [" +
                                        result_of("baseline", 1) + ", " +
                                        result_of("with_skill", 2) + "]}");
  const auto made = read_upskill_runs(in.path.string());
  REQUIRE(made.ok());
  CHECK(made.value().records.size() == 4);
  CHECK(made.value().records[2].of.id == "b1/run_2/1");
}

TEST_CASE("read_upskill: what cannot be read is told, the rest is read") {
  const folder in;
  in.write("b/run_1/run_result.json", "{");
  in.write("b/run_2/run_result.json", result_of("baseline", 2));
  in.write("secret/run_result.json", result_of("baseline", 2));
  fs::create_directory_symlink(in.path / "secret", in.path / "b/run_3");
  const auto made = read_upskill_runs((in.path / "b").string());
  REQUIRE(made.ok());
  CHECK(made.value().runs == 1);
  REQUIRE(made.value().troubles.size() == 1);
  CHECK(made.value().troubles[0].what.find("run_1/run_result.json: line 1") !=
        std::string::npos);
}

TEST_CASE("read_upskill: a folder that has no runs is a fault") {
  const folder in;
  CHECK(read_upskill_runs(in.path.string()).error().why == reason::not_found);
  CHECK(read_upskill_runs((in.path / "gone").string()).error().why ==
        reason::not_found);
  in.write("file", "x");
  CHECK(read_upskill_runs((in.path / "file").string()).error().why ==
        reason::bad_input);
}
