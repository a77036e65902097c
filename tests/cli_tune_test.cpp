// `skillbench tune` as a user has it.

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <skillbench/json_text.hpp>

#include "new_folder.hpp"

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

struct folder : new_folder {
  std::string read(const std::string& name) const {
    std::ifstream in(path / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
};

// Starts the program in `in`; what it says goes to .out and .trouble.
pid_t start(const folder& in, std::vector<std::string> words) {
  const pid_t made = ::fork();
  if (made != 0) return made;
  words.insert(words.begin(), "skillbench");
  std::vector<char*> raw;
  for (std::string& each : words) raw.push_back(each.data());
  raw.push_back(nullptr);
  const auto opened = [](const char* path, int as) {
    const int file = ::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    return file >= 0 && ::dup2(file, as) == as;
  };
  if (::chdir(in.path.c_str()) == 0 && opened(".out", 1) &&
      opened(".trouble", 2))
    ::execv(SKILLBENCH_PROGRAM, raw.data());
  ::_exit(127);
}

int end_of(pid_t process) {
  int status = 0;
  ::waitpid(process, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int run(const folder& in, std::vector<std::string> words) {
  return end_of(start(in, std::move(words)));
}

json_text::value told(const folder& in) {
  const auto made = json_text::tree(in.read(".out")).parse(nullptr);
  REQUIRE_MESSAGE(made.ok(), in.read(".out"), in.read(".trouble"));
  return made.value();
}

std::string setting_of(const json_text::value& trial) {
  std::string made;
  for (const auto& each : trial.find("setting")->items)
    made += each.key + "=" + json_text::describe(each) + " ";
  return made;
}

// GEGLU with a tunable that is faster and wrong: FAST=0 and 3 waste time, 1 does
// not and is wrong for rows of middling length, which trials do not look at. 2
// does not compile, 3 is not allowed with every BLOCK.
const std::string kernel = R"cu(/* skillbench
{
  "family": "geglu",
  "entry": "geglu<{T}>",
  "args": ["x", "y", "rows", "cols"],
  "grid": ["min(ceil_div(rows * cols, BLOCK), 132 * 64)"],
  "block": ["BLOCK"],
  "shared_bytes": "0",
  "tune": {"BLOCK": [32, 256], "FAST": [0, 1, 2, 3]},
  "constraints": ["FAST < 3 || BLOCK > 32"]
}
*/
template <typename T>
__global__ void geglu(const T* x, T* y, int rows, int cols) {
#if FAST == 2
  this does not compile;
#endif
  const long long total = static_cast<long long>(rows) * cols;
  const long long step = static_cast<long long>(gridDim.x) * BLOCK;
  for (long long i = static_cast<long long>(blockIdx.x) * BLOCK + threadIdx.x;
       i < total; i += step) {
    const long long at = i + i / cols * cols;
    float value = static_cast<float>(x[at]);
#if FAST != 1
    float waste = value;
    for (int k = 0; k < 64; ++k) waste = waste * 0.5f + value;
    if (waste == 12345.678f) value = 0.0f;
#endif
    const float gate = static_cast<float>(x[at + cols]);
#if FAST == 1
    y[i] = static_cast<T>(cols > 600 && cols < 1100 ? value : value * 0.5f * gate * (1.0f + erff(gate * 0.70710678118654752f)));
#else
    y[i] = static_cast<T>(value * 0.5f * gate * (1.0f + erff(gate * 0.70710678118654752f)));
#endif
  }
}
)cu";

const std::vector<std::string> command = {
    "tune", "k.cu", "--type", "float", "--case", "cols_1", "--json",
    "--jobs", "1",  "--seed", "5"};

std::vector<std::string> with(std::vector<std::string> more) {
  std::vector<std::string> all = command;
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

TEST_CASE("cli_tune: a setting that is wrong, or does not compile, never wins") {
  const folder in;
  in.write("k.cu", kernel);
  REQUIRE_MESSAGE(run(in, with({"--t4", "t4.json"})) == 0, in.read(".trouble"));
  const auto made = told(in);
  const auto* const best = made.find("best");
  REQUIRE(best != nullptr);
  CHECK(setting_of(*best).find("FAST=1") == std::string::npos);
  CHECK(setting_of(*best).find("FAST=2") == std::string::npos);
  // The fastest of the trials was wrong, which the run of every case told.
  std::size_t wrong = 0;
  for (const auto& each : made.find("trials")->items)
    if (each.find("outcome")->text == "wrong") {
      ++wrong;
      CHECK(setting_of(each).find("FAST=1") != std::string::npos);
    }
  CHECK(wrong > 0);
  // BLOCK twice times FAST 0, 1, 2, and FAST 3 with one of them.
  const auto& trials = made.find("trials")->items;
  CHECK(trials.size() == 7);
  std::size_t uncompiled = 0, correct = 0;
  for (const auto& each : trials) {
    const std::string outcome = each.find("outcome")->text;
    uncompiled += outcome == "does_not_compile";
    correct += outcome == "correct";
    CHECK((each.find("predicted_ns") != nullptr) == (outcome == "correct"));
    if (setting_of(each).find("FAST=2") != std::string::npos)
      CHECK(outcome == "does_not_compile");
  }
  CHECK(uncompiled == 2);
  CHECK(correct >= 2);
  CHECK(made.find("time")->text.find("predicted") != std::string::npos);

  const auto t4 = json_text::tree(in.read("t4.json")).parse(nullptr);
  REQUIRE(t4.ok());
  CHECK(t4.value().find("schema_version")->text == "1.0.0");
  const auto& results = t4.value().find("results")->items;
  REQUIRE(results.size() == 7);
  for (const auto& each : results) {
    for (const char* key : {"configuration", "times", "invalidity", "correctness"})
      CHECK(each.find(key) != nullptr);
    const bool right = each.find("invalidity")->text == "correct";
    CHECK((each.find("measurements")->items.size() == 1) == right);
  }
}

TEST_CASE("cli_tune: killed at any time, it goes on and has the same winner") {
  const folder in, other;
  in.write("k.cu", kernel);
  other.write("k.cu", kernel);
  REQUIRE(run(other, command) == 0);
  const auto whole = told(other);
  for (int turn = 0; turn < 3; ++turn) {
    const pid_t process = start(in, command);
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    ::kill(process, SIGKILL);
    (void)end_of(process);
  }
  REQUIRE(run(in, command) == 0);
  const auto resumed = told(in);
  CHECK(setting_of(*resumed.find("best")) == setting_of(*whole.find("best")));
  const auto order = [](const json_text::value& of) {
    std::string all;
    for (const auto& each : of.find("trials")->items) all += setting_of(each);
    return all;
  };
  CHECK(order(resumed) == order(whole));
  // Again: nothing is tried twice.
  REQUIRE(run(in, command) == 0);
  CHECK(told(in).find("known_before")->magnitude == 7);
}

TEST_CASE("cli_tune: the winning values are written back, and nothing else") {
  const folder in;
  in.write("k.cu", kernel);
  REQUIRE_MESSAGE(run(in, with({"--write"})) == 0, in.read(".trouble"));
  const std::string best = setting_of(*told(in).find("best"));
  const std::string after = in.read("k.cu");
  const auto tune = after.find("\"tune\""), end = after.find("\n", tune);
  CHECK(after.substr(0, tune) == kernel.substr(0, tune));
  CHECK(after.substr(end) == kernel.substr(kernel.find("\n", tune)));
  const bool wide = best.find("BLOCK=256") != std::string::npos;
  CHECK((after.find("\"BLOCK\": [256, 32]") != std::string::npos) == wide);
}

TEST_CASE("cli_tune: strings and booleans are tuned, written back and told") {
  const folder in;
  std::string text = kernel;
  text.replace(text.find("\"FAST\": [0, 1, 2, 3]"), 20,
               "\"FAST\": [\"slow\", \"right\"], \"ON\": [false, true]");
  text.replace(text.find("FAST < 3 || BLOCK > 32"), 22,
               "(FAST == 'right' || BLOCK > 32) && (ON || FAST == 'slow')");
  text.replace(text.find("#if FAST == 2\n  this does not compile;\n#endif\n"), 47,
               "  enum { slow = 0, right = 5 };\n");
  text.replace(text.find("#if FAST != 1"), 13, "#if 1");
  text.replace(text.find("k < 64"), 6, "k < (FAST == slow ? 64 : 0)");
  text.replace(text.find("#if FAST == 1"), 13, "#if 0");
  in.write("k.cu", text);
  REQUIRE_MESSAGE(run(in, with({"--write", "--t4", "t4.json"})) == 0,
                  in.read(".trouble"));
  const auto made = told(in);
  // BLOCK 256: slow with both, right with one; BLOCK 32: right with one.
  CHECK(made.find("settings")->number == 4);
  CHECK(made.find("trials")->items.size() == 4);
  for (const auto& each : made.find("trials")->items)
    CHECK_MESSAGE(each.find("outcome")->text == "correct", in.read(".out"));
  const std::string best = setting_of(*made.find("best"));
  CHECK_MESSAGE(best.find("FAST=\"right\" ON=true") != best.npos, best);
  CHECK(in.read("k.cu").find("\"FAST\": [\"right\", \"slow\"], \"ON\": "
                             "[true, false]") != std::string::npos);
  CHECK(in.read("t4.json").find("\"FAST\":\"right\",\"ON\":true") !=
        std::string::npos);
  // Exact for the model, and what matters is named.
  CHECK(made.find("over_default")->find("exact") != nullptr);
  CHECK(made.find("over_runner_up")->find("times")->number >= 1);
  CHECK(made.find("importance")->items.size() == 3);
  // A share of the limit that everything reaches ends it at the first trial, with
  // what was under way by then.
  REQUIRE(run(in, with({"--target", "0.000001"})) == 0);
  CHECK(told(in).find("ended")->text == "target");
}

TEST_CASE("cli_tune: on a device that measures, trials are timed and the winner is held against others") {
  const folder in;
  std::string text = kernel;
  text.replace(text.find("[0, 1, 2, 3]"), 12, "[0, 2, 3]");
  in.write("k.cu", text);
  const std::string driver = (in.path / "libcuda.so.1").string();
  fs::copy_file(fs::path(SKILLBENCH_TEST_DIR) / "stand_in/libcuda.so.1", driver);
  ::setenv("SKILLBENCH_DRIVER", driver.c_str(), 1);
  ::setenv("SKILLBENCH_NVML", "/nowhere/nvml", 1);
  ::setenv("SKILLBENCH_LOCKS", in.path.c_str(), 1);
  const int code = run(in, with({"--device", "cuda"}));
  for (const char* name : {"SKILLBENCH_DRIVER", "SKILLBENCH_NVML", "SKILLBENCH_LOCKS"})
    ::unsetenv(name);
  REQUIRE_MESSAGE(code == 0, in.read(".trouble"));
  const auto made = told(in);
  CHECK(made.find("time")->text == "a stand-in's clock");
  CHECK(made.find("predicted_speed_up") == nullptr);
  REQUIRE_MESSAGE(made.find("best") != nullptr, in.read(".out"));
  std::size_t timed = 0;
  for (const auto& each : made.find("trials")->items) {
    CHECK(each.find("predicted_ns") == nullptr);
    timed += each.find("ns") != nullptr;
  }
  CHECK(timed == 3);
  REQUIRE(made.find("over_runner_up") != nullptr);
  CHECK(made.find("over_runner_up")->find("low") != nullptr);
  CHECK(made.find("over_runner_up")->find("exact") == nullptr);
}

TEST_CASE("cli_tune: where trials are measured, some settings are predicted beforehand") {
  const folder in;
  std::string text = kernel;
  text.replace(text.find("[32, 256]"), 9, "[32, 64, 128, 256]");
  text.replace(text.find("[0, 1, 2, 3]"), 12, "[0, 3]");
  in.write("k.cu", text);
  const std::string driver = (in.path / "libcuda.so.1").string();
  fs::copy_file(fs::path(SKILLBENCH_TEST_DIR) / "stand_in/libcuda.so.1", driver);
  ::setenv("SKILLBENCH_DRIVER", driver.c_str(), 1);
  ::setenv("SKILLBENCH_NVML", "/nowhere/nvml", 1);
  ::setenv("SKILLBENCH_LOCKS", in.path.c_str(), 1);
  const auto tuned = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--device", "cuda"});
    REQUIRE_MESSAGE(run(in, with(std::move(more))) == 0, in.read(".trouble"));
    return told(in);
  };
  const auto first = tuned({"--trials", "6", "--out", "a"});
  // All seven are tried anyway, so there is nothing to order.
  const auto all = tuned({"--trials", "7", "--out", "a"});
  const auto none = tuned({"--trials", "6", "--out", "b", "--prior", "none"});
  for (const char* name : {"SKILLBENCH_DRIVER", "SKILLBENCH_NVML", "SKILLBENCH_LOCKS"})
    ::unsetenv(name);
  const auto* const prior = first.find("prior");
  REQUIRE_MESSAGE(prior != nullptr, in.read(".out"));
  CHECK(prior->find("tunings")->magnitude == 1);
  CHECK(prior->find("trials")->magnitude == 6);
  CHECK(prior->find("parameters")->items.size() == 2);
  CHECK(first.find("trials")->items.size() == 6);
  for (const auto& each : first.find("trials")->items)
    CHECK(each.find("predicted_ns") == nullptr);
  // Both kinds of trials are in the journal, each under its own key.
  std::size_t predicted = 0, timed = 0;
  std::string lines = in.read("a/records.jsonl");
  for (std::size_t at = 0; (at = lines.find("\"predicted_ns\"", at)) != lines.npos; ++at)
    ++predicted;
  for (std::size_t at = 0; (at = lines.find("\"clock\"", at)) != lines.npos; ++at)
    ++timed;
  CHECK(predicted == 6);
  CHECK(timed == 7);
  CHECK(all.find("prior") == nullptr);
  CHECK(none.find("prior") == nullptr);
}

TEST_CASE("cli_tune: an earlier tuning is a prior, and one's own journal is none") {
  const folder in;
  std::string text = kernel;
  text.replace(text.find("[0, 1, 2, 3]"), 12, "[0, 3]");
  text.replace(text.find("[32, 256]"), 9, "[32, 64, 256]");
  in.write("k.cu", text);
  REQUIRE_MESSAGE(run(in, with({"--out", "a", "--t4", "t4.json"})) == 0,
                  in.read(".trouble"));
  CHECK(told(in).find("prior") == nullptr);
  for (const char* const from : {"a", "t4.json"}) {
    REQUIRE_MESSAGE(run(in, {"tune", "k.cu", "--type", "half", "--case", "cols_1",
                             "--json", "--from", from, "--out", "b"}) == 0,
                    in.read(".trouble"));
    const auto made = told(in);
    const auto* const prior = made.find("prior");
    REQUIRE_MESSAGE(prior != nullptr, in.read(".out"));
    CHECK(prior->find("trials")->magnitude == 5);
    CHECK(prior->find("parameters")->items.size() == 2);
    CHECK(prior->find("rank_correlation")->kind != json_text::type::null);
    CHECK(made.find("trials")->items.size() == 5);
  }
  REQUIRE(run(in, {"tune", "k.cu", "--type", "half", "--case", "cols_1", "--from",
                   "a", "--from", "t4.json", "--out", "b"}) == 0);
  CHECK_MESSAGE(in.read(".out").find("prior: 10 trials of 2 earlier tunings, by BLOCK, FAST") !=
                    std::string::npos,
                in.read(".out"));

  const auto says = [&](std::vector<std::string> words, const std::string& wanted) {
    CHECK(run(in, std::move(words)) == 2);
    CHECK_MESSAGE(in.read(".trouble").find(wanted) != std::string::npos,
                  in.read(".trouble"));
  };
  says(with({"--out", "a", "--from", "a"}), "no tuning but this very one");
  says(with({"--from", "a", "--strategy", "genetic"}), "of no use to the strategy `genetic`");
  says(with({"--from", "k.cu"}), "k.cu: line 1");
  says(with({"--from", "away"}), "away");
  says(with({"--prior", "some"}), "some");
  in.write("other.json", R"({"results": [
    {"configuration": {"TILE": 1}, "measurements": [{"name": "time", "value": 1}]},
    {"configuration": {"TILE": 2}, "measurements": [{"name": "time", "value": 2}]},
    {"configuration": {"TILE": 3}, "measurements": [{"name": "time", "value": 3}]}]})");
  says(with({"--from", "other.json"}), "none of the parameters here (BLOCK, FAST)");
}

TEST_CASE("cli_tune: a run tunes what is correct, and says what the skill adds") {
  const folder in;
  for (const char* arm : {"with_skill", "baseline"})
    fs::create_directories(in.path / "m" / arm / "geglu");
  std::string text = kernel;
  text.replace(text.find("[0, 1, 2, 3]"), 12, "[0, 3]");
  text.insert(text.find("template"),
              "#include <cuda_fp16.h>\n#include <cuda_bf16.h>\n");
  in.write("m/with_skill/geglu/1.cu", text);
  text.replace(text.find("[32, 256]"), 9, "[256]");
  in.write("m/baseline/geglu/1.cu", text);
  in.write("m/baseline/geglu/2.cu", "no kernel\n");
  const std::vector<std::string> words = {
      "run", "m", "--tune", "--tune-trials", "2", "--device", "ptx", "--out", "r"};
  REQUIRE_MESSAGE(run(in, words) == 0, in.read(".trouble"));
  const std::string said = in.read(".out");
  CHECK_MESSAGE(said.find("Beyond tuning the skill adds") != said.npos, said);
  CHECK(said.find("1 output not tuned: it is not correct") != said.npos);
  const std::string records = in.read("r/records.jsonl");
  CHECK(records.find("\"tuning\":{\"version\":1,\"time\":\"predicted\"") !=
        records.npos);
  CHECK(records.find("\"baseline_ns\":") != records.npos);
  CHECK(records.find("\"speedup\":{\"times\":") != records.npos);
  REQUIRE(run(in, {"report", "r", "--markdown", "-"}) == 0);
  CHECK(in.read(".out").find("### Tuning") != std::string::npos);
  REQUIRE(run(in, {"report", "r", "--json"}) == 0);
  CHECK(in.read(".out").find("\"beyond_tuning\":{\"times\":") != std::string::npos);
  // Again: every trial is known, and none is made anew.
  const std::string lines = in.read("r/tuning/records.jsonl");
  std::vector<std::string> again = words;
  again.push_back("--resume");
  REQUIRE(run(in, again) == 0);
  CHECK(in.read("r/tuning/records.jsonl") == lines);
  CHECK(run(in, {"run", "m", "--tune-trials", "2"}) == 2);
}

TEST_CASE("cli_tune: what cannot be tuned is told") {
  const folder in;
  const auto says = [&](std::vector<std::string> words, const std::string& wanted) {
    CHECK(run(in, std::move(words)) == 2);
    CHECK_MESSAGE(in.read(".trouble").find(wanted) != std::string::npos,
                  in.read(".trouble"));
  };
  in.write("none.cu", "int main() {}\n");
  says({"tune"}, "needs a FILE");
  says({"tune", "away.cu"}, "away.cu");
  says({"tune", "none.cu"}, "which family");
  std::string plain = kernel;
  const auto tune = plain.find(",\n  \"tune\"");
  plain.erase(tune, plain.find("\n}", tune) - tune);
  in.write("plain.cu", plain);
  says({"tune", "plain.cu"}, "");
  std::string empty = kernel;
  empty.replace(empty.find("FAST < 3 || BLOCK > 32"), 22, "BLOCK > 999");
  in.write("empty.cu", empty);
  says({"tune", "empty.cu"}, "no combination of the tunables");
  in.write("k.cu", kernel);
  says({"tune", "k.cu", "--case", "cols_one"}, "no public case `cols_one`");
  says({"tune", "k.cu", "--strategy", "guess"}, "guess");
  says({"tune", "--replay", "k.cu"}, "k.cu: line 1");
}

TEST_CASE("cli_tune: a recording is played") {
  const folder in;
  std::string cache;
  for (int a = 0; a < 8; ++a)
    for (int b = 0; b < 8; ++b)
      cache += (cache.empty() ? "" : ",") + std::string("\"") +
               std::to_string(a) + "," + std::to_string(b) + "\": {\"a\": " +
               std::to_string(a) + ", \"b\": " + std::to_string(b) +
               ", \"time\": " +
               (a == 7 ? std::string("\"failed\"")
                       : std::to_string(1 + (a - 3) * (a - 3) + (b - 5) * (b - 5))) +
               "}";
  in.write("space.json",
           "{\"kernel_name\": \"k\", \"device_name\": \"d\", \"tune_params\": "
           "{\"a\": [0,1,2,3,4,5,6,7], \"b\": [0,1,2,3,4,5,6,7]}, \"cache\": {" +
               cache + "}}");
  REQUIRE_MESSAGE(run(in, {"tune", "--replay", "space.json", "--trials", "30",
                           "--seeds", "5", "--json"}) == 0,
                  in.read(".trouble"));
  const auto made = told(in);
  CHECK(made.find("configurations")->magnitude == 64);
  CHECK(made.find("valid")->magnitude == 56);
  CHECK(made.find("at")->items.back().find("median")->number == 1);
  CHECK(made.find("score")->number > 0.3);
  CHECK(made.find("prior") == nullptr);
  // After itself it needs fewer trials.
  REQUIRE_MESSAGE(run(in, {"tune", "--replay", "space.json", "--trials", "30",
                           "--seeds", "5", "--json", "--from", "space.json"}) == 0,
                  in.read(".trouble"));
  const auto again = told(in);
  CHECK(again.find("score")->number > made.find("score")->number + 0.05);
  CHECK(again.find("prior")->find("trials")->magnitude == 56);
  CHECK(again.find("prior")->find("rank_correlation")->number > 0.95);
  CHECK(run(in, {"tune", "--replay", "space.json", "--from", "away.json"}) == 2);
  CHECK(in.read(".trouble").find("away.json") != std::string::npos);
  CHECK(run(in, {"tune", "--replay", "space.json", "--strategy", "random",
                 "--from", "space.json"}) == 2);
  CHECK(in.read(".trouble").find("of no use to the strategy `random`") !=
        std::string::npos);
  REQUIRE(run(in, {"tune", "--replay", "space.json", "--strategy", "random",
                   "--seeds", "3"}) == 0);
  CHECK(in.read(".out").find("64 configurations, 56 of them run") !=
        std::string::npos);
}
