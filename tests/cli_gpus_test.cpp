#include <skillbench/cli/gpus.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "copy_family.hpp"
#include <skillbench/isolate.hpp>

#include "stand_in_kit.hpp"

using namespace skillbench;

namespace {

constexpr const char* two_kernels = R"(.version 7.8
.target sm_90
.address_size 64
.visible .entry ones(.param .u64 x, .param .u64 y)
{
  .reg .b32 %r<2>;
  .reg .b64 %d<2>;
  ld.param.u64 %d0, [y];
  mov.u32 %r0, 1;
  st.global.u32 [%d0], %r0;
  ret;
}
.visible .entry far(.param .u64 x, .param .u64 y)
{
  .reg .b32 %r<2>;
  .reg .b64 %d<2>;
  mov.u64 %d0, 64;
  mov.u32 %r0, 1;
  st.global.u32 [%d0], %r0;
  ret;
}
)";

job asked_of(const std::string& entry) {
  job made;
  buffer x, y;
  x.name = "x";
  x.elements = 1;
  y.name = "y";
  y.use = role::output;
  y.elements = 1;
  made.buffers = {x, y};
  launch one;
  one.entry = entry;
  one.args = {{}, {}};
  one.args[1].value = 1;
  made.launches = {one};
  return made;
}

// Reads code as the PTX machine would: no finding, unless told.
struct reading : kit::copy_device {
  reading() {
    on_run = [this](const job& asked) -> result<run_report> {
      jobs.push_back(asked);
      run_report told;
      told.findings = says;
      return told;
    };
  }
  std::vector<job> jobs;
  std::vector<finding> says;
};

std::unique_ptr<cli::gpus> opened() {
  auto made = cli::gpus::open(std::string(SKILLBENCH_TEST_DIR) + "/cuda_worker", {}, kit::tools());
  REQUIRE_MESSAGE(made, made.error().what);
  return std::move(made).value();
}

bool is_one(const result<run_report>& told) {
  return told && told.value().findings.empty() && told.value().outputs.size() == 1 && told.value().outputs[0].bytes == std::string("\1\0\0\0", 4);
}

}  // namespace

TEST_CASE("gpus: a kernel that ends its worker costs that candidate, and the next has a new one") {
  const kit::stand_in here("restart");
  const auto all = opened();
  CHECK(all->count() == 1);
  CHECK(all->name() == "stand-in on the PTX machine");
  {
    const auto on = all->make(std::make_unique<reading>());
    CHECK(on->measures());
    REQUIRE(on->load(two_kernels));
    CHECK(is_one(on->run(asked_of("ones"))));
    const auto dead = on->run(asked_of("far"));
    REQUIRE(dead);
    REQUIRE(dead.value().findings.size() == 1);
    CHECK(dead.value().findings[0].kind == code::out_of_bounds);
    CHECK(is_one(on->run(asked_of("ones"))));  // loaded anew, by a new worker
  }
  const auto next = all->make(std::make_unique<reading>());
  REQUIRE(next->load(two_kernels));
  CHECK(is_one(next->run(asked_of("ones"))));
}

TEST_CASE("gpus: a worker is shut in, and where the driver cannot live so it is not, which is said") {
  const kit::stand_in here("doors");
  const auto now = [&] {
    const auto all = opened();
    const auto on = all->make(std::make_unique<reading>());
    CHECK(on->gpu_isolation().empty());
    REQUIRE(on->load(two_kernels));
    CHECK(is_one(on->run(asked_of("ones"))));
    return on->gpu_isolation();
  };
  const std::string shut = now();
  if (isolation_parts::filters_calls)
    CHECK(shut == "shut");
  else
    MESSAGE("not checked: a sanitizer needs calls of its own");
  char path[] = "/tmp/skillbench_needed_XXXXXX";
  const int file = ::mkstemp(path);
  REQUIRE(file >= 0);
  ::close(file);
  here.ask("needs " + std::string(path) + "\n");
  const std::string open = now();
  if (shut == "shut") {
    CHECK(open.find("basic: shut in, it does not work (the worker ") == 0);
    CHECK(open.find("CUDA_ERROR_NOT_SUPPORTED (801)") != std::string::npos);
  }
  ::unlink(path);
  const auto all = opened();
  const auto on = all->make(std::make_unique<reading>());
  CHECK_FALSE(on->load(two_kernels));  // not without either
}

TEST_CASE("gpus: a hang costs its candidate") {
  const kit::stand_in here("hang");
  const auto all = opened();
  {
    const auto on = all->make(std::make_unique<reading>());
    REQUIRE(on->load(two_kernels));
    here.ask("hang ones\n");
    const auto hung = on->run(asked_of("ones"));
    REQUIRE_FALSE(hung);
    CHECK(hung.error().why == reason::too_slow);
    here.ask("");
  }
  const auto next = all->make(std::make_unique<reading>());
  REQUIRE(next->load(two_kernels));
  CHECK(is_one(next->run(asked_of("ones"))));
}

TEST_CASE("gpus: one that no longer proves itself is given up, and that is no candidate's doing") {
  const kit::stand_in here("lost");
  const auto all = opened();
  std::vector<std::thread> waiting;
  std::atomic<int> refused = 0;
  {
    const auto on = all->make(std::make_unique<reading>());
    REQUIRE(on->load(two_kernels));
    here.ask("fail 999 ones\ninit 999\n");
    for (int i = 0; i < 4; ++i)
      waiting.emplace_back([&] {
        const auto next = all->make(std::make_unique<reading>());
        const auto loaded = next->load(two_kernels);
        refused += !loaded && loaded.error().why == reason::no_device;
      });
    // Long enough for them to wait; sooner, and they find it given up.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const auto lost = on->run(asked_of("ones"));
    REQUIRE_FALSE(lost);
    CHECK(lost.error().why == reason::library_failed);
  }
  for (auto& each : waiting) each.join();  // nobody waits for ever
  CHECK(refused == 4);
  for (int again = 0; again < 2; ++again) {
    const auto next = all->make(std::make_unique<reading>());
    const auto loaded = next->load(two_kernels);
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().why == reason::no_device);
    CHECK(loaded.error().what.find("GPU 0 (stand-in on the PTX machine) cannot be used") == 0);
  }
}

TEST_CASE("gpus: two runs never have the same GPU") {
  const kit::stand_in here("locks");
  auto first = opened();
  const auto second = cli::gpus::open("/bin/false", {}, kit::tools());
  REQUIRE_FALSE(second);
  CHECK(second.error().why == reason::no_device);
  CHECK(second.error().what.find("another skillbench is using it") != std::string::npos);
  first.reset();
  CHECK(cli::gpus::open("/bin/false", {}, kit::tools()));
}

TEST_CASE("gpus: candidates of several threads take turns") {
  const kit::stand_in here("turns");
  const auto all = opened();
  std::vector<std::thread> threads;
  std::vector<int> fine(4);
  for (std::size_t i = 0; i < fine.size(); ++i)
    threads.emplace_back([&, i] {
      const auto on = all->make(std::make_unique<reading>());
      if (!on->load(two_kernels)) return;
      for (int n = 0; n < 5; ++n) fine[i] += is_one(on->run(asked_of("ones")));
    });
  for (auto& each : threads) each.join();
  for (const int each : fine) CHECK(each == 5);
}

TEST_CASE("gpus: what reading the code finds is never launched") {
  const kit::stand_in here("read");
  const auto all = opened();
  auto reader = std::make_unique<reading>();
  reading& seen = *reader;
  finding mismatch;
  mismatch.kind = code::bad_manifest;
  seen.says = {mismatch};
  const auto on = all->make(std::move(reader));
  REQUIRE(on->load(two_kernels));
  here.ask("fail 719 ones\n");  // a launch would be told
  const auto told = on->run(asked_of("ones"));
  REQUIRE(told);
  REQUIRE(told.value().findings.size() == 1);
  CHECK(told.value().findings[0].kind == code::bad_manifest);
  REQUIRE(seen.jobs.size() == 1);
  CHECK(seen.jobs[0].ctas == std::vector<std::int64_t>{-1});
  seen.says.clear();
  job counted = asked_of("ones");
  counted.counters = true;
  REQUIRE(on->run(counted));  // counts are the reader's to give
  CHECK(seen.jobs.back().ctas.empty());
  here.ask("");
  seen.says = {mismatch};
  seen.says[0].kind = code::module_state;
  seen.says[0].weight = severity::cheats;
  const auto noted = on->run(asked_of("ones"));
  REQUIRE(noted);
  CHECK(noted.value().findings.size() == 1);
  CHECK(noted.value().outputs.size() == 1);
}

TEST_CASE("gpus: without a driver it says what is missing") {
  ::setenv("SKILLBENCH_DRIVER", "/nowhere/libcuda.so.1", 1);
  const auto none = cli::gpus::open("/bin/false", {}, kit::tools());
  ::unsetenv("SKILLBENCH_DRIVER");
  REQUIRE_FALSE(none);
  CHECK(none.error().why == reason::no_device);
}
