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

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

struct folder {
  fs::path path;
  folder() {
    std::string name = (fs::temp_directory_path() / "tune_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~folder() { fs::remove_all(path); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path / name, std::ios::binary) << text;
  }
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
  REQUIRE(run(in, {"tune", "--replay", "space.json", "--strategy", "random",
                   "--seeds", "3"}) == 0);
  CHECK(in.read(".out").find("64 configurations, 56 of them run") !=
        std::string::npos);
}
