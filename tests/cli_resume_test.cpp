// Runs that are stopped, killed or without room, as a user has them: nothing of
// what was done is lost, and nothing is there twice.

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <skillbench/isolate.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/store.hpp>

#include "cli_kit.hpp"

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

struct folder : cli_kit::folder {
  // Judged in no time.
  void write_prose(int from, int to) const {
    for (int i = from; i < to; ++i)
      write("out/m/baseline/geglu/" + std::to_string(i) + ".md",
            "I would rather not write kernel " + std::to_string(i) + ".\n");
  }
  // Each takes NVRTC a moment.
  void write_slow(int from, int to) const {
    for (int i = from; i < to; ++i)
      write("out/m/with_skill/geglu/" + std::to_string(i) + ".cu",
            "/* skillbench\n"
            "{\"family\": \"geglu\", \"entry\": \"geglu<{T}>\", \"args\": "
            "[\"x\", \"y\", \"rows\", \"cols\"],\n"
            " \"grid\": [\"rows\"], \"block\": [\"256\"]}\n"
            "*/\n"
            "template <typename T>\n"
            "__global__ void geglu(const T* x, T* y, int rows, int cols) {\n"
            "  y[0] = undeclared_" +
                std::to_string(i) + ";\n}\n");
  }
};

// The program at work in `in`.
class running {
 public:
  running(const folder& in, std::vector<std::string> words,
          rlim_t most_file_bytes = RLIM_INFINITY) {
    process_ = ::fork();
    if (process_ != 0) return;
    words.insert(words.begin(), "skillbench");
    std::vector<char*> raw;
    for (std::string& each : words) raw.push_back(each.data());
    raw.push_back(nullptr);
    const auto opened = [](const char* path, int as) {
      const int file = ::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
      return file >= 0 && ::dup2(file, as) == as;
    };
    const rlimit most{most_file_bytes, RLIM_INFINITY};
    if (::chdir(in.path.c_str()) == 0 && opened(".out", 1) &&
        opened(".trouble", 2) && ::setrlimit(RLIMIT_FSIZE, &most) == 0)
      ::execv(SKILLBENCH_PROGRAM, raw.data());
    ::_exit(127);
  }
  ~running() {
    if (process_ > 0) (void)end(SIGKILL);
  }
  running(const running&) = delete;
  running& operator=(const running&) = delete;

  void send(int number) const { ::kill(process_, number); }
  [[nodiscard]] bool is_over() const {
    siginfo_t seen{};
    return ::waitid(P_PID, static_cast<id_t>(process_), &seen,
                    WEXITED | WNOHANG | WNOWAIT) == 0 &&
           seen.si_pid == process_;
  }
  // The exit code; -1 when a signal ended it.
  [[nodiscard]] int end(int with = 0) {
    if (with != 0) send(with);
    int status = 0;
    ::waitpid(std::exchange(process_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t process_ = -1;
};

int run(const folder& in, const std::vector<std::string>& words) {
  return running(in, words).end();
}

// Until the file has so many lines; false if the program ended before.
bool wait_for(const running& it, const folder& in, std::size_t lines) {
  const auto enough = [&] {
    const std::string text = in.read("kept/records.jsonl");
    return static_cast<std::size_t>(
               std::count(text.begin(), text.end(), '\n')) >= lines;
  };
  while (!enough()) {
    if (it.is_over()) return enough();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// The sound records of a folder: how many there are of each id and key.
std::map<std::pair<std::string, std::string>, int> kept_in(
    const folder& at, const char* name = "kept") {
  std::map<std::pair<std::string, std::string>, int> found;
  std::vector<fault> troubles;
  REQUIRE(read_store(
      (at.path / name).string(),
      [&](std::string_view line, const store_place&) {
        const auto one = read_record(line);
        REQUIRE(one);
        ++found[{one.value().of.id, one.value().key}];
      },
      troubles));
  return found;
}

// The ids of the whole lines that a program has printed.
std::set<std::string> printed(const std::string& text) {
  std::set<std::string> ids;
  for (std::size_t at = 0, end; (end = text.find('\n', at)) != text.npos;
       at = end + 1) {
    const auto one = read_record(text.substr(at, end - at));
    REQUIRE(one);
    ids.insert(one.value().of.id);
  }
  return ids;
}

bool has(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  CHECK_MESSAGE(found, text, " does not say ", part);
  return found;
}

}  // namespace

TEST_CASE("resume: what is there is kept, the rest is judged") {
  const folder here;
  here.write_prose(0, 3);
  REQUIRE(run(here, {"run", "out", "--out", "kept"}) == 0);
  const std::string before = here.read("kept/records.jsonl");
  here.write_prose(3, 5);
  here.write("out/m/baseline/geglu/9.md",
             "I would rather not write kernel 4.\n");
  CHECK(run(here, {"run", "out", "--out", "kept", "--resume"}) == 0);
  has(here.read(".out"),
      "6 records in kept: 3 kept from before, 3 new in kept/records.jsonl\n");
  has(here.read(".out"), "geglu  baseline        6       0");
  has(here.read(".trouble"), "3 kept from before; 3 of 3 judged: 0 correct, 3");
  const std::string after = here.read("kept/records.jsonl");
  CHECK(after.starts_with(before));
  has(after, "\"same_as\":\"m-baseline-geglu-4\"");
  CHECK(kept_in(here).size() == 6);

  // Nothing is left to do, and nothing is written.
  CHECK(run(here, {"run", "out", "--out", "kept", "--resume"}) == 0);
  has(here.read(".out"), "6 records in kept: 6 kept from before, none new\n");
  CHECK(here.read("kept/records.jsonl") == after);
  CHECK(std::distance(fs::directory_iterator(here.path / "kept"), {}) == 1);

  // Another seed is another question, and another output another answer.
  CHECK(run(here, {"run", "out", "--out", "kept", "--resume", "--seed", "2"}) ==
        0);
  has(here.read(".out"), "6 records in kept/records.jsonl\n");
  here.write("out/m/baseline/geglu/9.md", "No.\n");
  CHECK(run(here, {"run", "out", "--out", "kept", "--resume"}) == 0);
  has(here.read(".out"), "5 kept from before, 1 new in");
  for (const auto& [which, times] : kept_in(here)) CHECK(times == 1);
}

TEST_CASE("resume: as JSON, with the records that are kept") {
  const folder here;
  here.write_prose(0, 4);
  REQUIRE(run(here, {"run", "out", "--json", "--resume"}) == 0);
  const std::string first = here.read(".out");
  CHECK(printed(first).size() == 4);
  REQUIRE(run(here, {"run", "out", "--json", "--resume"}) == 0);
  CHECK(here.read(".out") == first);
  CHECK(kept_in(here, "skillbench-results").size() == 4);
}

TEST_CASE("resume: stopped by a signal, told how to go on") {
  for (const int number : {SIGINT, SIGTERM}) {
    const folder here;
    here.write_prose(0, 2);
    here.write_slow(0, 10);
    running it(here, {"run", "out", "--out", "kept", "--jobs", "2"});
    REQUIRE(wait_for(it, here, 4));
    CHECK(it.end(number) == 130);
    const std::string trouble = here.read(".trouble");
    const std::size_t done = kept_in(here).size();
    CHECK(done >= 4);
    CHECK(done < 12);
    const std::string count = std::to_string(done);
    has(trouble, "stopped after " + count + " of 12 outputs\n");
    has(trouble, count + " records are kept in kept: the same command with "
                 "--resume goes on from there\n");
    has(here.read(".out"), "\n" + count + " records in kept/records.jsonl\n");

    CHECK(run(here, {"run", "out", "--out", "kept", "--resume", "--jobs",
                     "2"}) == 0);
    has(here.read(".out"), "12 records in kept: " + count + " kept from before");
    const auto all = kept_in(here);
    CHECK(all.size() == 12);
    for (const auto& [which, times] : all) CHECK(times == 1);
    // One that was stopped half way says nothing of the model.
    CHECK_FALSE(here.read("kept/records.jsonl").find("\"unjudged\"") !=
                std::string::npos);
  }
}

TEST_CASE("resume: twenty kills at random moments lose and double nothing") {
  const folder here;
  here.write_prose(0, 200);
  here.write_slow(0, 2);
  for (int i = 0; i < 20; ++i)  // repeats
    here.write("out/m/with_skill/geglu/" + std::to_string(1000 + i) + ".md",
               "I would rather not write kernel " + std::to_string(i) + ".\n");
  const std::vector<std::string> words{"run",   "out",  "--out",    "kept",
                                       "--json", "--jobs", "2", "--resume"};
  std::mt19937_64 random(20);
  std::set<std::string> acknowledged;
  std::size_t before = 0;
  int kills = 0, at_work = 0;
  for (; kills < 20; ++kills) {
    running it(here, words);
    // Somewhere on the way to the next few records, or before the first.
    const bool going = wait_for(it, here, before + random() % 16);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 8000));
    if (!going || it.is_over()) break;
    CHECK(it.end(SIGKILL) == -1);
    acknowledged.merge(printed(here.read(".out")));
    const auto now = kept_in(here);
    CHECK(now.size() >= before);
    at_work += now.size() > before;
    before = now.size();
  }
  CHECK(kills > 9);
  CHECK(at_work > 5);
  REQUIRE(run(here, words) == 0);
  const auto all = kept_in(here);
  std::size_t lost = 0, doubled = 0;
  std::set<std::string> ids;
  for (const auto& [which, times] : all) {
    doubled += times > 1;
    ids.insert(which.first);
  }
  for (const std::string& each : acknowledged) lost += !ids.contains(each);
  CHECK(lost == 0);
  CHECK(doubled == 0);
  CHECK(all.size() == 222);
  CHECK(ids.size() == 222);
  CHECK(printed(here.read(".out")) == ids);
  // Every line that is there is whole: torn ends were cut off.
  std::vector<fault> troubles;
  REQUIRE(read_store((here.path / "kept").string(),
                     [](std::string_view, const store_place&) {}, troubles));
  CHECK(troubles.empty());
  MESSAGE(kills, " kills, ", acknowledged.size(), " acknowledged before the "
          "end, ", all.size(), " kept, ", lost, " lost, ", doubled, " doubled");
}

TEST_CASE("resume: two at once write no common file") {
  const folder here;
  here.write_prose(0, 40);
  here.write_slow(0, 4);
  const std::vector<std::string> words{"run",    "out", "--out",   "kept",
                                       "--jobs", "1",   "--resume"};
  running one(here, words), two(here, words);
  CHECK(one.end() == 0);
  CHECK(two.end() == 0);
  CHECK(kept_in(here).size() == 44);
  std::vector<fault> troubles;
  REQUIRE(read_store((here.path / "kept").string(),
                     [](std::string_view, const store_place&) {}, troubles));
  CHECK(troubles.empty());
  CHECK(run(here, words) == 0);
  has(here.read(".out"), "44 kept from before, none new");
}

TEST_CASE("resume: without room, what is done is kept") {
  const folder here;
  here.write_prose(0, 40);
  {
    running it(here, {"run", "out", "--out", "kept"}, 8000);
    CHECK(it.end() == 3);
  }
  const std::size_t done = kept_in(here).size();
  CHECK(done > 3);
  CHECK(done < 40);
  const std::string trouble = here.read(".trouble");
  has(trouble, "cannot write the records kept/records.jsonl: File too large\n");
  has(trouble, std::to_string(done) + " records are kept in kept; once that is "
               "mended: the same command with --resume goes on from there\n");
  CHECK(here.read("kept/records.jsonl").ends_with("\"}\n"));
  CHECK(run(here, {"run", "out", "--out", "kept", "--resume"}) == 0);
  const auto all = kept_in(here);
  CHECK(all.size() == 40);
  for (const auto& [which, times] : all) CHECK(times == 1);
}

TEST_CASE("resume: a disk that is full, then read-only, then has room") {
  const folder here;
  here.write_prose(0, 120);
  here.write(
      "script",
      "mount -t tmpfs -o size=32k none kept || exit 77\n"
      "run() { n=$1; shift; '" SKILLBENCH_PROGRAM
      "' run out --out kept --device ptx \"$@\" >out.$n 2>trouble.$n; echo $? "
      ">code.$n; rm -rf kept.$n; cp -r kept kept.$n; }\n"
      "run 1\n"
      "mount -o remount,ro kept || exit 77\n"
      "run 2 --resume\n"
      "mount -o remount,rw,size=8m kept\n"
      "run 3 --resume\n");
  fs::create_directory(here.path / "kept");
  const std::string command =
      "cd '" + here.path.string() +
      "' && unshare --map-root-user --mount sh script 2>unshare.said";
  const int status = std::system(command.c_str());
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    MESSAGE("not tried: no file system can be mounted here (",
            here.read("unshare.said"), ")");
    return;
  }
  CHECK(here.read("code.1") == "3\n");
  has(here.read("trouble.1"), "No space left on device");
  has(here.read("trouble.1"), "--resume goes on from there");
  const auto full = kept_in(here, "kept.1");
  CHECK(full.size() > 3);
  CHECK(full.size() < 120);
  CHECK(here.read("code.2") == "3\n");
  has(here.read("trouble.2"), "Read-only file system");
  CHECK(kept_in(here, "kept.2") == full);
  CHECK(here.read("code.3") == "0\n");
  const auto all = kept_in(here, "kept.3");
  CHECK(all.size() == 120);
  for (const auto& [which, times] : all) CHECK(times == 1);
  for (const auto& [which, times] : full) CHECK(all.contains(which));
}

TEST_CASE("resume: a clock that jumps by years changes nothing") {
  if (!isolation_parts::filters_calls) {
    MESSAGE("not run: a sanitizer's library has to be the first that is loaded");
    return;
  }
  const folder here;
  here.write_prose(0, 30);
  here.write_slow(0, 3);
  const std::string words = "run out --out kept --device ptx --cache cached "
                            "--jobs 2 --resume";
  const std::string jumping =
      "LD_PRELOAD='" SKILLBENCH_TEST_DIR "/libjumping_clock.so'";
  // The clock does jump where it is asked.
  REQUIRE(std::system(("cd '" + here.path.string() + "' && " + jumping +
                       " date +%Y >years; " + jumping + " date +%Y >>years")
                          .c_str()) == 0);
  const auto told = cli_kit::run(here, words, jumping);
  CHECK(told.code == 0);
  has(told.trouble, "33 of 33 judged: 0 correct, 33 not, 0 unjudged;");
  CHECK(kept_in(here).size() == 33);
  const auto again = cli_kit::run(here, words, jumping);
  CHECK(again.code == 0);
  has(again.out, "33 records in kept: 33 kept from before, none new\n");
}

TEST_CASE("resume: a folder that is removed at work is made again") {
  const folder here;
  here.write_slow(0, 6);
  running it(here, {"run", "out", "--out", "kept", "--jobs", "1"});
  REQUIRE(wait_for(it, here, 1));
  fs::remove_all(here.path / "kept");
  CHECK(it.end() == 0);
  has(here.read(".trouble"), "kept/records.jsonl was removed while records were "
                             "written: they are in kept/records.jsonl now\n");
  CHECK(kept_in(here).size() == 6);
}

TEST_CASE("resume: places that cannot be used say so and what to do") {
  const folder here;
  here.write_prose(0, 2);
  here.write("file", "");
  for (const bool resume : {false, true}) {
    std::vector<std::string> words{"run", "out", "--out", "/sys/skillbench"};
    if (resume) words.push_back("--resume");
    CHECK(run(here, words) == 3);
    has(here.read(".trouble"), "cannot make the folder /sys/skillbench: ");
    has(here.read(".trouble"), "; --out names a folder that you may write to\n");
    words[3] = "file";
    CHECK(run(here, words) == 3);
    has(here.read(".trouble"), " file: Not a directory; --out names another");
    CHECK(here.read(".out").empty());
  }
}

TEST_CASE("resume: a reader that has gone does not end it silently") {
  const folder here;
  here.write_prose(0, 50);
  const std::string command = "cd '" + here.path.string() +
                              "' && { '" SKILLBENCH_PROGRAM
                              "' run out --json --out kept 2>.trouble; echo $? "
                              ">.code; } | head -c 1 >/dev/null";
  REQUIRE(std::system(command.c_str()) == 0);
  CHECK(here.read(".code") == "3\n");
  has(here.read(".trouble"), "standard output takes no more");
  has(here.read(".trouble"), "--resume goes on from there");
  CHECK_FALSE(kept_in(here).empty());
}
