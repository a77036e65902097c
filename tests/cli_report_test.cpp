#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include <skillbench/json_record.hpp>

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

struct folder {
  std::string path;
  folder() {
    std::string name = (fs::temp_directory_path() / "report-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~folder() { fs::remove_all(path); }
};

std::string text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

struct ran {
  int code = 0;
  std::string out, trouble;
};

ran run(const folder& in, const std::string& words) {
  const std::string out = in.path + "/.out", trouble = in.path + "/.trouble";
  const std::string command = "cd " + in.path + " && " SKILLBENCH_PROGRAM " " +
                              words + " > " + out + " 2> " + trouble;
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text_of(out),
          text_of(trouble)};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A file of records: correct ones of each arm, of so many.
void write(const folder& in, const std::string& name, int with, int without,
           int of, const std::string& evil = "") {
  std::ofstream to(in.path + "/" + name);
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
  std::ofstream(here.path + "/one.jsonl") << write_record(record{}) << "\n";
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
  const std::string page = text_of(here.path + "/r.html");
  CHECK(page.starts_with("<!doctype html>"));
  CHECK_FALSE(has(page, "geglu</script>"));
  CHECK_FALSE(has(page, "\x1b"));
  CHECK(has(text_of(here.path + "/r.csv"), "\r\n"));
  CHECK_FALSE(has(text_of(here.path + "/r.xml"), "\x1b"));
  CHECK(has(text_of(here.path + "/r.md"), "| task | arm |"));
  CHECK_FALSE(has(run(here, "report a.jsonl").out, "\x1b"));
  for (const auto& each : fs::directory_iterator(here.path))
    CHECK_FALSE(has(each.path().string(), ".part-"));
  CHECK(has(run(here, "report a.jsonl --csv -").out, "id,model,task"));
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
