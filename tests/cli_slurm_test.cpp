// A job array as it is written and submitted, with a stand-in for Slurm's commands.
// tests/slurm/run does it with Slurm itself.

#include <doctest/doctest.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include <sys/stat.h>

#include <skillbench/cli/slurm.hpp>

#include "cli_kit.hpp"

using namespace skillbench;
using namespace skillbench::cli;
namespace fs = std::filesystem;

namespace {

bool has(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  CHECK_MESSAGE(found, text, " does not say ", part);
  return found;
}

std::vector<sample> outputs(const std::vector<std::string>& texts) {
  std::vector<sample> made;
  for (const std::string& each : texts) {
    made.emplace_back();
    made.back().task = "geglu";
    made.back().id = std::to_string(made.size());
    made.back().output = each;
  }
  return made;
}

std::string ids(const std::vector<std::vector<const sample*>>& chunks) {
  std::string all;
  for (const auto& each : chunks) {
    all += all.empty() ? "" : "|";
    for (const sample* one : each) all += one->id;
  }
  return all;
}

// A folder with outputs and commands by the names of Slurm's that say and keep what
// they are given; the first is also the task that runs at once.
struct folder : cli_kit::folder {
  folder() {
    for (int i = 0; i < 6; ++i)
      write("out/m/baseline/geglu/" + std::to_string(i) + ".md",
            "I would rather not write kernel " + std::to_string(i / 2) + ".\n");
    command("sbatch", "for each; do echo \"$each\"; done >\"$PWD\"/asked\n"
                      "echo 4711");
    command("squeue", "echo RUNNING; echo PENDING; echo PENDING");
  }
  void command(const std::string& name, const std::string& does) const {
    write("bin/" + name, "#!/bin/sh\n" + does + "\n");
    ::chmod((path / "bin" / name).c_str(), 0755);
  }
  cli_kit::ran run(const std::string& words) const {
    return cli_kit::run(*this, words, "PATH='" + (path / "bin").string() +
                                          "':$PATH");
  }
};

}  // namespace

TEST_CASE("cli/slurm: chunks are full, and equal outputs stand together") {
  const auto all = outputs({"a", "b", "a", "c", "b", "d", "e"});
  CHECK(ids(slurm::chunks_of(all, {}, 3)) == "13|254|67");
  CHECK(ids(slurm::chunks_of(all, {}, 100)) == "1325467");
  CHECK(ids(slurm::chunks_of(all, {0, 3}, 2)) == "25|36|7");
  // More equal ones than a task may have.
  CHECK(ids(slurm::chunks_of(outputs({"a", "a", "a", "a", "b"}), {}, 3)) ==
        "123|45");
  CHECK(slurm::chunks_of(all, {0, 1, 2, 3, 4, 5, 6}, 2).empty());
  // The same words for another task are another output.
  auto two = outputs({"a", "a"});
  two[1].task = "layernorm";
  CHECK(ids(slurm::chunks_of(two, {}, 1)) == "1|2");
}

TEST_CASE("cli/slurm: a word of a shell stays one word") {
  CHECK(slurm::quoted("a b$c`d`") == "'a b$c`d`'");
  CHECK(slurm::quoted("it's") == "'it'\\''s'");
}

TEST_CASE("cli/slurm: the script asks for what the tasks need") {
  run_command asked;
  asked.device = "cuda";
  asked.seed = 9;
  asked.jobs = 8;
  asked.jobs_given = true;
  asked.counters = true;
  const std::string text = slurm::script_of(asked, "/opt/it's/skillbench", 12);
  has(text, "#SBATCH --array=1-12\n");
  has(text, "#SBATCH --cpus-per-task=8\n");
  has(text, "#SBATCH --gres=gpu:1\n");
  has(text, "#SBATCH --requeue\n");
  has(text, "exec '/opt/it'\\''s/skillbench' run outputs-");
  has(text, "'--seed' '9' '--device' 'cuda' '--isolation' 'auto' '--counters'\n");
  asked.device = "ptx";
  asked.jobs_given = false;
  const std::string plain = slurm::script_of(asked, "/skillbench", 1);
  CHECK(plain.find("gres") == std::string::npos);
  has(plain, "#SBATCH --cpus-per-task=1\n");
  asked.gpus = 3;
  has(slurm::script_of(asked, "/skillbench", 1), "--gres=gpu:3\n");
}

TEST_CASE("cli/slurm: a job is written, submitted, run and told") {
  const folder here;
  const auto sent = here.run("run out --out 'kept here' --device ptx --slurm "
                             "--chunk 2 --sbatch=--partition=small");
  CHECK(sent.code == 0);
  has(sent.out, "job 4711: 3 tasks, 6 outputs, in kept here/slurm/1\n");
  const std::string job = "kept here/slurm/1/";
  const std::string place = (here.path / "kept here/slurm/1").string();
  CHECK(here.read("asked") == "--parsable\n--chdir\n" + place +
                                  "\n--partition=small\n" + place +
                                  "/job.sh\n");
  CHECK(here.read(job + "id") == "4711\n");
  // Equal outputs share a task.
  const std::string first = here.read(job + "outputs-1.jsonl");
  has(first, "m-baseline-geglu-0\"");
  has(first, "m-baseline-geglu-1\"");

  auto now = here.run("status 'kept here'");
  CHECK(now.code == 0);
  has(now.out, "0 records, 0 of 6 outputs that were submitted\n");
  has(now.out, "2 pending, 1 running");

  // What Slurm does, task by task; the second one twice, as after a node's death.
  const auto task = [&](int number) {
    const std::string n = std::to_string(number);
    return cli_kit::run(here, "--version >/dev/null; SLURM_ARRAY_TASK_ID=" + n +
                                  " sh -c 'cd \"kept here/slurm/1\" && sh "
                                  "job.sh'");
  };
  for (const int each : {1, 2, 2, 3}) CHECK(task(each).code == 0);
  here.command("squeue", "exit 1");  // such a job is not known any more
  now = here.run("status 'kept here' --json");
  has(now.out, "\"records\":6");
  has(now.out, "\"missing\":0");
  has(now.out, "\"doubled\":0");
  has(here.run("status 'kept here'").out, "over");

  // A plain run takes the records for its own, and so does another submission.
  has(here.run("run out --out 'kept here' --device ptx --resume").out,
      "6 records in kept here: 6 kept from before, none new");
  fs::remove(here.path / "asked");
  const auto again = here.run("run out --out 'kept here' --device ptx --slurm");
  CHECK(again.code == 0);
  has(again.out, "nothing is left to submit");
  CHECK_FALSE(fs::exists(here.path / "asked"));
  here.write("out/m/baseline/geglu/7.md", "Another.\n");
  has(here.run("run out --out 'kept here' --device ptx --slurm").out,
      "job 4711: 1 task, 1 output, in kept here/slurm/2");
}

TEST_CASE("cli/slurm: an output that no JSON holds goes along as it is") {
  const folder here;
  here.write("out/m/baseline/geglu/9.md", "No \xff\xfe kernel.\n");
  REQUIRE(here.run("run out --out kept --device ptx --slurm").code == 0);
  CHECK(here.read("kept/slurm/1/raw-1/7.md") == "No \xff\xfe kernel.\n");
  REQUIRE(cli_kit::run(here, "--version >/dev/null; cd kept/slurm/1 && "
                             "SLURM_ARRAY_TASK_ID=1 sh job.sh")
              .code == 0);
  has(here.run("run out --out kept --device ptx --resume").out,
      "7 kept from before, none new");
}

TEST_CASE("cli/slurm: a suite sees the files of an output that is a folder") {
  const folder here;
  here.write("folders/m/baseline/geglu/1/answer.md", "I would rather not.\n");
  here.write("folders/m/baseline/geglu/1/notes/more.md", "Nor here.\n");
  here.write("suite.json", R"({"skillbench_suite": 1, "cases": [{"id": "1", "family": "geglu", "assertions": [{"type": "file_exists", "path": "notes/more.md"}]}]})");
  const std::string words = "run folders --out kept --device ptx --suite suite.json";
  REQUIRE(here.run(words + " --slurm").code == 0);
  CHECK(here.read("kept/slurm/1/raw-1/1/notes/more.md") == "Nor here.\n");
  REQUIRE(cli_kit::run(here, "--version >/dev/null; cd kept/slurm/1 && "
                             "SLURM_ARRAY_TASK_ID=1 sh job.sh")
              .code == 0);
  has(here.read("kept/records.jsonl"), "\"verdict\":\"passed\"");
  // The same key as here.
  has(here.run(words + " --resume").out, "1 kept from before, none new");
}

TEST_CASE("cli/slurm: without Slurm, or refused by it, it says what to do") {
  const folder here;
  fs::remove(here.path / "bin/sbatch");
  auto told = cli_kit::run(here, "run out --out kept --device ptx --slurm",
                           "PATH=/nowhere");
  CHECK(told.code == 3);
  has(told.trouble, "there is no sbatch on this machine");
  has(told.trouble, "kept/slurm/1/job.sh can be submitted by hand");
  here.command("sbatch", "echo 'no such partition' >&2; exit 1");
  told = here.run("run out --out kept --device ptx --slurm");
  CHECK(told.code == 3);
  has(told.trouble, "no such partition");
  has(told.trouble, "sbatch refused the job (exit code 1");
  told = here.run("status kept");
  has(told.out, "not submitted");
  has(told.out, "6 outputs without a record and nothing at work");
  CHECK(here.run("status nowhere").code == 2);
}
