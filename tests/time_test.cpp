// Timing of candidates, on the stand-in and its count of instructions, and on a
// device that lies.
#include <skillbench/time.hpp>

#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <skillbench/compile.hpp>
#include <skillbench/evaluate.hpp>

#include "copy_family.hpp"
#include "stand_in_kit.hpp"

using namespace skillbench;

namespace {

std::string source(const std::string& called) {
  return "/* skillbench\n"
         "{\"family\": \"copy\", \"entry\": \"" + called + "<{T}>\",\n"
         " \"args\": [\"x\", \"y\", \"n\"], \"grid\": [\"1\"],\n"
         " \"block\": [\"64\"], \"shared_bytes\": \"0\"}\n"
         "*/\n"
         "template <typename T>\n"
         "__global__ void " + called + "(const T* x, T* y, int n) {\n"
         "  if (threadIdx.x < n) y[threadIdx.x] = x[threadIdx.x];\n"
         "}\n";
}

family copies() {
  family made = kit::copy_family();
  made.baseline = source("yardstick");
  return made;
}

// One candidate and its baseline, compiled.
struct ready {
  family of = copies();
  read_result ours, theirs;
  setting chosen, their_setting;
  image made, their_image;
  ready(device& on, const std::string& called = "ours") {
    excerpt from;
    from.source = source(called);
    ours = read_candidate(from, std::span(&of, 1), of);
    from.source = of.baseline;
    theirs = read_candidate(from, std::span(&of, 1), of);
    REQUIRE(ours.found);
    REQUIRE(theirs.found);
    made = on.compile(plan_compile(*ours.found, chosen, element::f32)).value();
    their_image = on.compile(plan_compile(*theirs.found, their_setting, element::f32)).value();
    REQUIRE(made.ok);
    REQUIRE(their_image.ok);
  }
  explicit ready(device& on, const family& other, const std::string& text) : of(other) {
    excerpt from;
    from.source = text;
    ours = read_candidate(from, std::span(&of, 1), of);
    from.source = of.baseline;
    theirs = read_candidate(from, std::span(&of, 1), of);
    REQUIRE(ours.found);
    REQUIRE(theirs.found);
    made = on.compile(plan_compile(*ours.found, chosen, element::f32)).value();
    their_image = on.compile(plan_compile(*theirs.found, their_setting, element::f32)).value();
    REQUIRE_MESSAGE(made.ok, made.log);
    REQUIRE(their_image.ok);
  }
  timed time(device& on, measuring how = {}) const {
    how.limits.fewest = 10;
    how.limits.most = 40;
    return time_case({&*ours.found, &chosen, &made}, {&*theirs.found, &their_setting, &their_image}, of, of.cases.back(), element::f32, on, 3, how);
  }
};

// What cuDNN knows as a norm, and is a copy: all that its stand-in does.
std::string norm_like_source(const std::string& called) {
  return "/* skillbench\n"
         "{\"family\": \"rmsnorm\", \"entry\": \"" + called + "<{T}>\",\n"
         " \"args\": [\"x\", \"weight\", \"y\", \"rows\", \"cols\", \"eps\"], \"grid\": [\"ceil_div(rows * cols, 64)\"],\n"
         " \"block\": [\"64\"], \"shared_bytes\": \"0\"}\n"
         "*/\n"
         "template <typename T>\n"
         "__global__ void " + called + "(const T* x, const T* weight, T* y, int rows, int cols, float eps) {\n"
         "  const int i = blockIdx.x * blockDim.x + threadIdx.x;\n"
         "  if (i < rows * cols) y[i] = x[i];\n"
         "}\n";
}

family norm_like_copy() {
  family made = kit::copy_family();
  made.name = "rmsnorm";
  const auto add = [&](const char* name, argument::type kind, std::vector<const char*> shape) {
    argument one;
    one.name = name;
    one.kind = kind;
    for (const char* const each : shape) one.shape.push_back(kit::parsed(each));
    one.least = 1;
    one.most = 1000;
    made.arguments.push_back(one);
  };
  made.arguments.clear();
  add("x", argument::type::input, {"rows", "cols"});
  add("weight", argument::type::input, {"cols"});
  add("y", argument::type::output, {"rows", "cols"});
  add("rows", argument::type::integer, {});
  add("cols", argument::type::integer, {});
  add("eps", argument::type::real, {});
  test_case one;
  one.name = "small";
  one.integers = {{"rows", 6}, {"cols", 48}};
  one.reals = {{"eps", 0.5}};
  one.fills = {{"x", fill{}}, {"weight", fill{}}};
  made.cases = {one};
  made.baseline = norm_like_source("yardstick");
  return made;
}

// Answers for time() what a test says; right outputs unless told otherwise.
struct telling : kit::copy_device {
  double nanoseconds = 1e6;
  bool fake = false;
  std::uint64_t not_kept = 0;
  std::function<void(std::string&)> spoil;
  std::function<void(std::vector<timed_output>&)> spoil_afterwards;
  bool measures() const override { return true; }
  result<timing_report> time(const timing_request& asked) override {
    timing_report told;
    told.told.timer = "events";
    told.told.fake = fake;
    told.rates = {.bytes_per_second = 1e9, .operations_per_second = 1e15, .cache_bytes = 0};
    told.not_kept = not_kept;
    for (std::uint64_t i = 0; i < 40; ++i) {
      timed_sample one;
      one.round = i / 4;
      one.of_baseline = i % 4 == 1 || i % 4 == 2;
      one.nanoseconds = one.of_baseline ? 2 * nanoseconds : nanoseconds;
      told.told.samples.push_back(one);
    }
    for (std::uint64_t set = 0; set < asked.candidate.sets.size(); ++set) {
      run_report right = ran(asked.candidate.sets[set]);
      if (spoil && set == 2) spoil(right.outputs[0].bytes);
      told.outputs.push_back({set, 5, std::move(right.outputs)});
    }
    for (std::uint64_t set = 0; set < asked.afterwards.size(); ++set) told.afterwards.push_back({set, 1, ran(asked.afterwards[set]).outputs});
    if (spoil_afterwards) spoil_afterwards(told.afterwards);
    return told;
  }
};

}  // namespace

TEST_CASE("time: a slowdown of 3% is seen on the stand-in, and no change is not") {
  const kit::stand_in here("slowdown");
  const auto on = kit::worker();
  const ready both(*on);
  measuring how;
  how.by = calls_by::one;
  const timed same = both.time(*on, how);
  REQUIRE_MESSAGE(same.told.why_not.empty(), same.told.why_not);
  CHECK(same.findings.empty());
  CHECK(same.told.fake);
  CHECK(same.told.timer == "events");
  CHECK(same.told.baseline == "baseline.cu");
  CHECK(same.told.code == "PTX: there is no cubin");
  CHECK_FALSE(same.told.stopped.empty());
  CHECK(same.told.verified_rows > 0);
  CHECK_FALSE(differs(speed_ratio(same.told)));

  here.ask("slow 1.03 ours\n");
  const timed slower = both.time(*on, how);
  REQUIRE_MESSAGE(slower.told.why_not.empty(), slower.told.why_not);
  const centre ratio = speed_ratio(slower.told);
  CHECK(differs(ratio));
  CHECK(ratio.median == doctest::Approx(1 / 1.03).epsilon(0.005));
}

TEST_CASE("time: calls are A B B A, through sets of contents in turn") {
  const kit::stand_in here("order");
  const auto on = kit::worker();
  const ready both(*on);
  measuring how;
  how.by = calls_by::one;
  const timed seen = both.time(*on, how);
  REQUIRE(seen.told.samples.size() >= 40);
  std::uint64_t sets = 0;
  for (std::size_t i = 0; i < seen.told.samples.size(); ++i) {
    const timed_sample& each = seen.told.samples[i];
    CHECK(each.of_baseline == (i % 4 == 1 || i % 4 == 2));
    CHECK(each.round == i / 4);
    CHECK(each.nanoseconds > 0);
    sets |= 1u << each.contents;
  }
  CHECK(sets == (1u << timed_sets) - 1);
}

TEST_CASE("time: a library's kernel is timed beside the baseline, and its answers are judged") {
  const kit::stand_in here("vendor");
  const kit::stand_in_cudnn library(here);
  const auto on = kit::worker();
  const ready both(*on, norm_like_copy(), norm_like_source("ours"));
  measuring how;
  how.vendor = true;
  const auto seen = [&](calls_by by) {
    how.by = by;
    timed made = both.time(*on, how);
    REQUIRE_MESSAGE(made.told.why_not.empty(), made.told.why_not);
    CHECK(made.findings.empty());
    REQUIRE(made.told.vendor);
    return made.told;
  };
  const auto why = [&] {
    const timed_case told = seen(calls_by::one);
    CHECK(told.vendor->samples.empty());
    CHECK_FALSE(against_vendor(told));
    return told.vendor->why_not;
  };
  const timed_case fine = seen(calls_by::one);
  REQUIRE_MESSAGE(fine.vendor->why_not.empty(), fine.vendor->why_not);
  CHECK(fine.vendor->name == "cuDNN 9.19.0, RMS norm");
  CHECK(fine.vendor->timer == "events");
  CHECK(fine.vendor->verified_rows > 0);
  CHECK(fine.vendor->compared == fine.compared);
  REQUIRE(fine.vendor->samples.size() >= 40);
  for (std::size_t i = 0; i < fine.vendor->samples.size(); ++i) CHECK(fine.vendor->samples[i].of_baseline == (i % 4 == 1 || i % 4 == 2));
  CHECK(baseline_time(fine).median == doctest::Approx(centre_of(times_of(fine.vendor->samples, true)).median).epsilon(0.01));
  REQUIRE(against_vendor(fine));
  CHECK(*against_vendor(fine) == doctest::Approx(vendor_time(*fine.vendor).median / candidate_time(fine).median).epsilon(0.01));

  const timed_case graph = seen(calls_by::graph);
  CHECK(graph.vendor->why_not == "");
  CHECK(graph.vendor->timer == "events around a graph of 4 calls (as asked)");

  library.ask("wrong\n");
  CHECK(why().find("its output is wrong: ") == 0);
  library.ask("none\n");
  CHECK(why() == "cuDNN 9.19.0 has no way for its RMS norm");
  library.ask("refused\n");
  CHECK(why() == "cuDNN 9.19.0 has no way for its RMS norm: cudnnBackendFinalize on a plan of RMS norm: CUDNN_STATUS_NOT_SUPPORTED (3000), not for this GPU; "
                 "cudnnBackendFinalize on a plan of RMS norm: CUDNN_STATUS_NOT_SUPPORTED (3000), not for this GPU");
  library.ask("broken\n");
  CHECK(why() == "cudnnBackendFinalize on a plan of RMS norm: CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER (5001), cuLibraryLoadData returned error");
  library.ask("sulks\n");
  CHECK(why() == "cudnnBackendExecute on RMS norm: CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER (5001), the library sulks");
  library.ask("");
  CHECK(seen(calls_by::one).vendor->why_not == "");

  how.vendor = false;
  CHECK_FALSE(both.time(*on, how).told.vendor);
}

TEST_CASE("time: a shape beyond the contract accuses nobody, and large ones have fewer sets") {
  telling on;
  const ready both(on);
  timing_shape shape{both.of.cases.back(), {element::f32}, false};
  const auto seen = [&] { return time_shape({&*both.ours.found, &both.chosen, &both.made}, {&*both.theirs.found, &both.their_setting, &both.their_image}, both.of, shape, element::f32, on, 3, {}); };
  const timed fine = seen();
  CHECK(fine.told.why_not == "");
  CHECK(fine.told.compared == timed_sets * 64);
  on.spoil = [](std::string& bytes) { bytes[17] = static_cast<char>(bytes[17] ^ 0x40); };
  CHECK(seen().findings.size() == 1);
  shape.beyond = true;
  const timed spoilt = seen();
  CHECK(spoilt.findings.empty());
  CHECK(spoilt.told.why_not.find("beyond the contract, and so no fault of the kernel's: in a timed call: ") == 0);

  on.spoil = nullptr;
  ready large(on);
  large.of.bytes = kit::parsed("200000000");
  const timed few = large.time(on);
  CHECK(few.told.why_not == "");
  CHECK(few.told.compared == large_sets * 64);
}

TEST_CASE("time: where there is no library, the row says so and the rest is timed") {
  const kit::stand_in here("no_vendor");
  measuring how;
  how.vendor = true;
  how.by = calls_by::one;
  {
    ::setenv("SKILLBENCH_CUDNN", "/nowhere/libcudnn.so.9", 1);
    const auto on = kit::worker();
    const timed seen = ready(*on, norm_like_copy(), norm_like_source("ours")).time(*on, how);
    ::unsetenv("SKILLBENCH_CUDNN");
    CHECK(seen.told.why_not.empty());
    REQUIRE(seen.told.vendor);
    CHECK(seen.told.vendor->name == "cuDNN");
    CHECK_MESSAGE(seen.told.vendor->why_not.find("there is no cuDNN 9 here (cannot open the library /nowhere/libcudnn.so.9") == 0, seen.told.vendor->why_not);
  }
  {  // the toolkit's own, where there is one, does not run on a stand-in
    const auto on = kit::worker();
    const timed seen = ready(*on, norm_like_copy(), norm_like_source("ours")).time(*on, how);
    REQUIRE(seen.told.vendor);
    const std::string& why = seen.told.vendor->why_not;
    CHECK_MESSAGE((why == "the driver is a stand-in, which runs no library's kernels" || why.find("there is no cuDNN 9 here") == 0), why);
  }
  {  // no graph for the family, and a device that tells nothing
    telling on;
    const timed none = ready(on).time(on, how);
    REQUIRE(none.told.vendor);
    CHECK(none.told.vendor->why_not == "no library here has an operation for the family copy");
  }
}

TEST_CASE("time: a call that does nothing, or goes wrong, is a finding and no speed") {
  const kit::stand_in here("idle");
  const auto on = kit::worker();
  const ready both(*on);
  here.ask("skip ours\n");
  const timed idle = both.time(*on);
  REQUIRE(idle.findings.size() == 1);
  CHECK(idle.findings[0].kind == code::unwritten_output);
  CHECK(idle.findings[0].what.find("in a timed call: ") == 0);
  CHECK_FALSE(idle.told.why_not.empty());
  here.ask("fail 700 ours\n");
  const timed dead = both.time(*on);
  REQUIRE(dead.findings.size() == 1);
  CHECK(outcome_of(dead.findings[0].kind) == outcome::faults);
}

TEST_CASE("time: hot and sustained are told apart from cold") {
  const kit::stand_in here("hot");
  const auto on = kit::worker();
  const ready both(*on);
  measuring how;
  how.cold = false;
  how.sustained_seconds = 0.05;
  const timed seen = both.time(*on, how);
  REQUIRE_MESSAGE(seen.told.why_not.empty(), seen.told.why_not);
  CHECK_FALSE(seen.told.cold);
  CHECK(seen.told.no_metrics == "a stand-in for the driver has no counters");
  CHECK(seen.told.resident.find("32 CTAs of 64 threads and 32 registers, 64 warps") != std::string::npos);
  REQUIRE(seen.told.sustained);
  CHECK(*seen.told.sustained > 0);
}

TEST_CASE("time: an output of any timed call is held to the reference") {
  telling on;
  const ready both(on);
  CHECK(both.time(on).findings.empty());
  on.spoil = [](std::string& bytes) { bytes[17] = static_cast<char>(bytes[17] ^ 0x40); };
  const timed spoilt = both.time(on);
  REQUIRE(spoilt.findings.size() == 1);
  CHECK(spoilt.findings[0].kind == code::wrong_value);
  CHECK(spoilt.findings[0].what.find("in a timed call: ") == 0);
  on.spoil = nullptr;
  on.not_kept = 1;
  CHECK(both.time(on).told.why_not.find("other bits") != std::string::npos);
}

TEST_CASE("time: short calls are replayed as a graph where only events can be had, and the timer says so") {
  const kit::stand_in here("graph");
  const auto on = kit::worker();
  const ready both(*on);
  measuring how;
  const auto seen = [&](calls_by by) {
    how.by = by;
    return both.time(*on, how);
  };
  const timed single = seen(calls_by::one);
  REQUIRE_MESSAGE(single.told.why_not.empty(), single.told.why_not);
  CHECK(single.told.timer == "events");
  CHECK(single.told.calls == 1);
  const timed shared = seen(calls_by::graph);
  REQUIRE_MESSAGE(shared.told.why_not.empty(), shared.told.why_not);
  CHECK(shared.findings.empty());
  CHECK(shared.told.timer == "events around a graph of 4 calls (as asked)");
  CHECK(shared.told.calls == timed_sets);
  CHECK(shared.told.verified_rows == single.told.verified_rows);
  CHECK(shared.told.compared == single.told.compared);
  // The stand-in's clock: 2000 ns before a launch, 500 before the next of a graph.
  const double saved = candidate_time(single.told).median - candidate_time(shared.told).median;
  CHECK(saved == doctest::Approx(1500.0 * 3 / 4).epsilon(0.02));
  CHECK(speed_ratio(shared.told).median == doctest::Approx(1).epsilon(0.01));
  CHECK(seen(calls_by::automatic).told.timer.find("events around a graph of 4 calls (a call is shorter than 20 us") == 0);

  here.ask("slow 100 ours\nslow 100 yardstick\n");
  CHECK(seen(calls_by::automatic).told.timer == "events");

  here.ask("graph 801\n");
  const timed none = seen(calls_by::automatic);
  CHECK(none.told.why_not.empty());
  CHECK(none.told.timer.find("events, one call at a time: no graph can be made (cuStreamBeginCapture on the stream on GPU 0: CUDA_ERROR_NOT_SUPPORTED (801))") == 0);
  CHECK(none.told.calls == 1);
  CHECK(seen(calls_by::graph).told.why_not.find("CUDA_ERROR_NOT_SUPPORTED (801)") != std::string::npos);

  // Each call of a graph is looked at.
  here.ask("skip ours\n");
  const timed idle = seen(calls_by::graph);
  REQUIRE(idle.findings.size() == 1);
  CHECK(idle.findings[0].kind == code::unwritten_output);
}

namespace {

// `y` is `x`, as rows of 8; only one row of 3,000 is wrong, and then in one element.
std::string source_of_rows(const std::string& called, const std::string& value) {
  return "/* skillbench\n"
         "{\"family\": \"copy\", \"entry\": \"" + called + "<{T}>\",\n"
         " \"args\": [\"x\", \"y\", \"n\"], \"grid\": [\"(n + 31) / 32\"],\n"
         " \"block\": [\"256\"], \"shared_bytes\": \"0\"}\n"
         "*/\n"
         "template <typename T>\n"
         "__global__ void " + called + "(const T* x, T* y, int n) {\n"
         "  int i = blockIdx.x * 256 + threadIdx.x;\n"
         "  if (i < 8 * n) y[i] = " + value + ";\n"
         "}\n";
}

constexpr std::int64_t copied_rows = 3000;

family copies_of_rows() {
  family made = kit::copy_family();
  for (argument& each : made.arguments) {
    if (each.kind == argument::type::integer) each.most = copied_rows;
    else each.shape.push_back(kit::parsed("8"));
  }
  made.cases.resize(1);
  made.cases[0].name = "rows";
  made.cases[0].integers = {{"n", copied_rows}};
  made.baseline = source_of_rows("yardstick", "x[i]");
  return made;
}

// A row that no timed call's output is looked at in, by the seed of `ready::time`.
std::int64_t unseen_row() {
  const std::uint64_t drawn = mix(3, "rows of timed calls");
  for (std::int64_t row = 0;; ++row) {
    bool seen = false;
    for (std::uint64_t set = 0; set < timed_sets; ++set) {
      const auto rows = timing_words::drawn_rows(copied_rows, verified_rows, mix(drawn, set));
      seen |= std::binary_search(rows.begin(), rows.end(), row);
    }
    if (!seen) return row;
  }
}

}  // namespace

TEST_CASE("time: an answer that is right only in the rows that are drawn is found by the baseline's") {
  const kit::stand_in here("rows");
  const auto on = kit::worker();
  const family of = copies_of_rows();
  const ready honest(*on, of, source_of_rows("ours", "x[i]"));
  const timed fine = honest.time(*on);
  REQUIRE_MESSAGE(fine.told.why_not.empty(), fine.told.why_not);
  CHECK(fine.findings.empty());
  CHECK(fine.told.compared == timed_sets * copied_rows * 8);
  CHECK(fine.told.not_compared.empty());
  CHECK(fine.told.verified_rows == timed_sets * verified_rows);

  // Everywhere a little off, as another rounding is, and wrong in one element.
  const std::string row = std::to_string(unseen_row());
  const ready cheat(*on, of, source_of_rows("ours", "i == 8 * " + row + " + 5 ? x[i] + T(0.01f) : x[i]"));
  measuring graphs;
  graphs.by = calls_by::graph;
  CHECK(cheat.time(*on, graphs).findings.size() == 1);
  const timed found = cheat.time(*on);
  REQUIRE(found.findings.size() == 1);
  CHECK(found.findings[0].kind == code::wrong_value);
  CHECK(found.findings[0].what.find("in a timed call: y[" + row + ", 5]") == 0);
  CHECK(found.told.why_not == "the output of a timed call is wrong");
}

TEST_CASE("time: a baseline that is wrong accuses nobody, one that is missing is told") {
  telling on;
  const ready both(on);
  on.spoil_afterwards = [](std::vector<timed_output>& all) { all[1].outputs[0].bytes[17] ^= 0x40; };
  const timed seen = both.time(on);
  CHECK(seen.findings.empty());
  CHECK(seen.told.why_not.empty());
  CHECK(seen.told.compared == timed_sets * 64);
  on.spoil_afterwards = [](std::vector<timed_output>& all) { all.pop_back(); };
  CHECK(both.time(on).told.why_not.find("the device gave no bytes of the baseline's") == 0);
  on.spoil_afterwards = nullptr;
  const timed alone = time_case({&*both.ours.found, &both.chosen, &both.made}, {}, both.of, both.of.cases.back(), element::f32, on, 3, {});
  CHECK(alone.told.compared == 0);
  CHECK(alone.told.not_compared == "there is no baseline");
}

TEST_CASE("time: the rows in which two outputs differ most, by three measures") {
  using timing_words::differing_rows;
  constexpr std::int64_t width = 4;
  std::vector<float> ours(40 * width), theirs;
  for (std::size_t i = 0; i < ours.size(); ++i) ours[i] = 100.0f + static_cast<float>(i);
  for (std::size_t i = 0; i < width; ++i) ours[20 * width + i] = 1e-3f;
  theirs = ours;
  const auto bytes = [](const std::vector<float>& of) { return std::string_view(reinterpret_cast<const char*>(of.data()), of.size() * sizeof(float)); };
  const auto rows = [&](std::size_t most) { return differing_rows(element::f32, bytes(ours), bytes(theirs), width, most).rows; };
  CHECK(rows(8).empty());
  CHECK(differing_rows(element::f32, bytes(ours), bytes(theirs), width, 8).compared == ours.size());
  for (const std::size_t row : {3u, 4u, 5u, 6u}) ours[row * width] += 0.001f * static_cast<float>(row);
  CHECK(rows(1) == std::vector<std::int64_t>{6});
  CHECK(rows(2) == std::vector<std::int64_t>{5, 6});
  ours[20 * width] = 2e-3f;  // little, and twice what it should be
  CHECK(rows(1) == std::vector<std::int64_t>{6, 20});
  ours[9 * width + 1] = NAN;
  CHECK(rows(1) == std::vector<std::int64_t>{9});
  ours[9 * width + 1] = HUGE_VALF;
  theirs[9 * width + 1] = HUGE_VALF;
  CHECK(rows(1) == std::vector<std::int64_t>{6, 20});
  theirs[9 * width + 1] = -HUGE_VALF;
  CHECK(rows(1) == std::vector<std::int64_t>{9});
  theirs[9 * width + 1] = ours[9 * width + 1];
  ours[7] = 0.0f;
  theirs[7] = -0.0f;
  CHECK(rows(40) == std::vector<std::int64_t>{3, 4, 5, 6, 20});
  CHECK(timing_words::joined(std::vector<std::int64_t>{1, 4, 9}, std::vector<std::int64_t>{4, 7}) == std::vector<std::int64_t>{1, 4, 7, 9});
}

TEST_CASE("time: faster than physics is impossible_time, unless the clock is a fake") {
  telling on;
  const ready both(on);
  on.nanoseconds = 400;  // 256 bytes in and 256 out at 1 GB/s take 512 ns
  const timed fast = both.time(on);
  REQUIRE(fast.findings.size() == 1);
  CHECK(fast.findings[0].kind == code::impossible_time);
  CHECK(fast.findings[0].weight == severity::cheats);
  CHECK(fast.told.floor == doctest::Approx(512));
  on.fake = true;
  CHECK(both.time(on).findings.empty());
  on.fake = false;
  on.nanoseconds = 600;
  CHECK(both.time(on).findings.empty());
}

TEST_CASE("time: evaluate times what is correct, and says why there is no speed") {
  telling on;
  const std::vector<family> known{copies()};
  const auto timed_one = evaluate(kit::copy_sample(), known, on, {});
  REQUIRE(timed_one);
  CHECK(timed_one.value().what == outcome::correct);
  CHECK(timed_one.value().timings.size() == 3);
  CHECK(timed_one.value().speed == "2.00 times the baseline in float, 2.00 times the baseline in half, 2.00 times the baseline in bfloat16");

  on.nanoseconds = 1;
  const auto cheat = evaluate(kit::copy_sample(), known, on, {});
  REQUIRE(cheat);
  CHECK(cheat.value().what == outcome::cheats);
  CHECK(cheat.value().speed == "not measured: cheats");

  kit::copy_device plain;
  plan how;
  how.no_gpu = "no GPU can be used: there is no driver";
  const auto none = evaluate(kit::copy_sample(), known, plain, how);
  REQUIRE(none);
  CHECK(none.value().timings.empty());
  CHECK(none.value().speed == "not measured: no GPU can be used: there is no driver");

  on.nanoseconds = 1e6;
  std::vector<family> bare{kit::copy_family()};
  const auto alone = evaluate(kit::copy_sample(), bare, on, {});
  REQUIRE(alone);
  CHECK(alone.value().timings[0].baseline == "none: the family has no baseline");
}

TEST_CASE("time: rows are drawn once each, and all of few") {
  CHECK(timing_words::drawn_rows(3, 256, 1) == std::vector<std::int64_t>{0, 1, 2});
  const auto rows = timing_words::drawn_rows(100'000, 256, 1);
  CHECK(rows.size() == 256);
  for (std::size_t i = 1; i < rows.size(); ++i) CHECK(rows[i] > rows[i - 1]);
  CHECK(rows != timing_words::drawn_rows(100'000, 256, 2));
}

TEST_CASE("time: what was not measured is said for each element type") {
  timed_case fine, none;
  fine.element_type = "float";
  fine.samples.resize(2);
  fine.samples[0].nanoseconds = fine.samples[1].nanoseconds = 1500;
  none.element_type = "half";
  none.why_not = "too slow";
  CHECK(speed_words(std::vector{fine, none}) == "1.5 us in float; not measured: half: too slow");
  CHECK(speed_words(std::vector{none}) == "not measured: half: too slow");
  CHECK(speed_words({}) == "not measured: nothing was timed");
  fine.fake = true;
  CHECK(speed_words(std::vector{fine}).find("not measured: the clock is a stand-in's") == 0);
}
