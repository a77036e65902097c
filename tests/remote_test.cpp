#include <doctest/doctest.h>

#include <dirent.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <skillbench/cuda/library.hpp>
#include <skillbench/device/remote.hpp>

#ifndef SKILLBENCH_FAKE_WORKER
#define SKILLBENCH_FAKE_WORKER SKILLBENCH_TEST_DIR "/fake_worker"
#endif

using namespace skillbench;

namespace {

const child_command honest{SKILLBENCH_FAKE_WORKER, {"serve"}, {}};

std::unique_ptr<remote> started(const remote_limits& limits = {}) {
  auto made = remote::start(honest, limits);
  REQUIRE_MESSAGE(made.ok(), made.error().what);
  return std::move(made).value();
}

compile_request fake(const std::string& how,
                     std::vector<std::string> entries = {"k"}) {
  return {"//fake " + how, std::move(entries), "sm_90a", true};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The fault of a compile that ends the worker; the same is told ever after.
fault fatal(const std::string& how, remote_limits limits = {}) {
  limits.compile.wall_seconds = std::min(limits.compile.wall_seconds, 20.0);
  const auto on = started(limits);
  const auto made = on->compile(fake(how));
  REQUIRE_FALSE(made.ok());
  const fault first = made.error();
  CHECK(has(first.what, "at compile"));
  CHECK(has(first.what, SKILLBENCH_FAKE_WORKER));
  const auto next = on->run(job{});
  REQUIRE_FALSE(next.ok());
  CHECK(next.error().why == first.why);
  CHECK(next.error().what == first.what);
  CHECK_FALSE(on->load("ptx").ok());
  INFO(first.what);
  return first;
}

job output_job(std::int64_t elements, std::uint64_t seed,
               const std::string& name = "y") {
  job asked;
  buffer each;
  each.name = name;
  each.use = role::output;
  each.elements = elements;
  each.seed = seed;
  asked.buffers = {buffer{}, each};
  asked.seed = 5;
  return asked;
}

int open_descriptors() {
  int count = 0;
  DIR* const open = ::opendir("/proc/self/fd");
  while (::readdir(open)) ++count;
  ::closedir(open);
  return count;
}

}  // namespace

TEST_CASE("remote: a device in another process answers like one here") {
  const auto on = started();
  CHECK(on->name() == "fake device");
  CHECK(on->target() == "sm_90a");
  const auto made = on->compile(fake("nothing", {"a", "b"}));
  REQUIRE(made.ok());
  CHECK(made.value().ok);
  CHECK(made.value().ptx == "ptx of //fake nothing");
  REQUIRE(made.value().kernels.size() == 2);
  CHECK(made.value().kernels[1].lowered == "_b");
  CHECK(made.value().kernels[1].registers == 7);
  CHECK(on->load("ptx").ok());
  const auto told = on->run(output_job(1000, 'q'));
  REQUIRE(told.ok());
  REQUIRE(told.value().outputs.size() == 1);
  CHECK(told.value().outputs[0].buffer == 1);
  CHECK(told.value().outputs[0].bytes == std::string(4000, 'q'));
  CHECK(told.value().counted.warp_instructions == 5);
}

TEST_CASE("remote: large outputs come back whole") {
  const auto on = started();
  const auto told = on->run(output_job(16 << 20, 'z'));
  REQUIRE_MESSAGE(told.ok(), told.error().what);
  const std::string& bytes = told.value().outputs[0].bytes;
  CHECK(bytes.size() == std::size_t{64} << 20);
  CHECK(bytes.find_first_not_of('z') == std::string::npos);
}

TEST_CASE("remote: a fault of the device is no end") {
  const auto on = started();
  const auto made = on->compile(fake("fault"));
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().why == reason::library_failed);
  CHECK(made.error().what == "a fault of the device");
  CHECK(on->compile(fake("nothing")).ok());
  const auto thrown = on->compile(fake("throw"));
  REQUIRE_FALSE(thrown.ok());
  CHECK(thrown.error().why == reason::internal);
  CHECK(on->compile(fake("nothing")).ok());
}

TEST_CASE("remote: what cannot be started is a fault") {
  const auto nowhere = remote::start({"/nowhere/at/all", {}, {}});
  REQUIRE_FALSE(nowhere.ok());
  CHECK(nowhere.error().why == reason::not_found);
  const auto no_worker = remote::start({"/bin/true", {}, {}});
  REQUIRE_FALSE(no_worker.ok());
  CHECK(no_worker.error().why == reason::child_died);
  CHECK(has(no_worker.error().what, "at start"));
  CHECK(has(no_worker.error().what, "exited with code 0"));
  remote_limits limits;
  limits.start.wall_seconds = 0.1;
  const auto silent =
      remote::start({SKILLBENCH_FAKE_WORKER, {"hang"}, {}}, limits);
  REQUIRE_FALSE(silent.ok());
  CHECK(silent.error().why == reason::child_timed_out);
  const auto noise = remote::start({SKILLBENCH_FAKE_WORKER, {"garbage"}, {}});
  REQUIRE_FALSE(noise.ok());
  CHECK(noise.error().why == reason::child_protocol);
}

TEST_CASE("remote: a worker that was asked to end says nothing of its work") {
  const fault ended = fatal("asked to end");
  CHECK(ended.why == reason::cancelled);
  CHECK(has(ended.what, "was killed by SIGTERM (by a person or the system)"));
}

TEST_CASE("remote: a crash tells the signal, the request and the limits") {
  const fault crash = fatal("crash");
  CHECK(crash.why == reason::child_died);
  CHECK(has(crash.what, "was killed by SIGSEGV (invalid memory access)"));
  CHECK(has(crash.what, "30 s of CPU time"));
  CHECK(has(crash.what, "20 s of wall time"));
  CHECK(has(crash.what, child_process::limits_address_space
                            ? ", 4096 MiB of address space"
                            : ", no limit of address space"));
  CHECK(has(fatal("abort").what, "SIGABRT"));
}

TEST_CASE("remote: a kill from outside is told from what a worker does itself") {
  const auto killed = [](const std::string& how, remote_limits limits = {}) {
    const auto on = started(limits);
    CHECK_FALSE(on->killed());
    CHECK_FALSE(on->compile(fake(how)).ok());
    return on->killed();
  };
  CHECK(killed("killed"));
  CHECK_FALSE(killed("crash"));
  CHECK_FALSE(killed("abort"));
  CHECK_FALSE(killed("exit 3"));
  CHECK_FALSE(killed("garbage"));  // which ends it, by our kill
  remote_limits limits;
  limits.compile.wall_seconds = 0.2;
  CHECK_FALSE(killed("hang", limits));
  limits = {};
  limits.compile.cpu_seconds = 1;
  CHECK_FALSE(killed("spin", limits));
}

TEST_CASE("remote: an end without an answer is a death") {
  const fault quiet = fatal("exit 0");
  CHECK(quiet.why == reason::child_died);
  CHECK(has(quiet.what, "exited with code 0"));
  CHECK(has(fatal("exit 3").what, "exited with code 3"));
  const fault closed = fatal("close");
  CHECK(closed.why == reason::child_died);
  CHECK(has(closed.what, "it closed its answers"));
  CHECK(has(fatal("leave and crash").what, "SIGSEGV"));
}

TEST_CASE("remote: a hang is stopped at the deadline of its request") {
  remote_limits limits;
  limits.compile.wall_seconds = 0.2;
  const fault hang = fatal("hang", limits);
  CHECK(hang.why == reason::child_timed_out);
  CHECK(has(hang.what, "0.2 s of wall time"));
  const fault drip = fatal("drip", limits);
  CHECK(drip.why == reason::child_timed_out);
}

TEST_CASE("remote: CPU time is counted for each request") {
  remote_limits limits;
  limits.compile.cpu_seconds = 1;
  const fault spin = fatal("spin", limits);
  CHECK(spin.why == reason::child_died);
  CHECK(has(spin.what, "SIGXCPU"));
  CHECK(has(spin.what, "1 s of CPU time"));
}

TEST_CASE("remote: garbage is not believed") {
  CHECK(fatal("garbage").why == reason::child_protocol);
  CHECK(fatal("another kind").why == reason::child_protocol);
  CHECK(fatal("claim 1099511627776").why == reason::child_protocol);
  CHECK(fatal("claim 18446744073709551615").why == reason::child_protocol);
  CHECK(fatal("claim 400000000").why == reason::child_died);
  CHECK(fatal("too many kernels").why == reason::child_protocol);
}

TEST_CASE("remote: what is read and written comes back") {
  const auto on = started();
  job asked = output_job(100'000, 'q');
  asked.buffers[1].use = role::both;
  const auto told = on->run(asked);
  REQUIRE(told.ok());
  REQUIRE(told.value().outputs.size() == 1);
  CHECK(told.value().outputs[0].bytes == std::string(400'000, 'q'));
}

TEST_CASE("remote: outputs that were not asked for are refused") {
  for (const std::string name : {"unasked", "beyond"}) {
    const auto on = started();
    const auto told = on->run(output_job(1000, 'q', name));
    REQUIRE_FALSE(told.ok());
    CHECK(told.error().why == reason::child_protocol);
    CHECK_FALSE(on->compile(fake("nothing")).ok());
  }
}

TEST_CASE("remote: several jobs are one request") {
  const auto on = started();
  const std::vector<job> jobs{output_job(1000, 'q'), output_job(10, 'r'),
                              output_job(0, 's')};
  const auto told = on->run_some(jobs);
  REQUIRE(told.size() == 3);
  for (const auto& each : told) REQUIRE(each.ok());
  CHECK(told[0].value().outputs[0].bytes == std::string(4000, 'q'));
  CHECK(told[1].value().outputs[0].bytes == std::string(40, 'r'));
  CHECK(on->run_some(std::span(jobs).first(1)).size() == 1);
  CHECK(on->run_some({}).empty());
  const std::vector<job> bad{output_job(1000, 'q'),
                             output_job(1000, 'q', "beyond")};
  const auto refused = on->run_some(bad);
  REQUIRE(refused.size() == 2);
  CHECK(refused[0].ok());
  REQUIRE_FALSE(refused[1].ok());
  CHECK(refused[1].error().why == reason::child_protocol);
  CHECK_FALSE(on->compile(fake("nothing")).ok());
}

TEST_CASE("remote: of several jobs the one that ends the worker is told") {
  const std::vector<job> jobs{output_job(10, 'q'), output_job(10, 'r'),
                              output_job(10, 's', "to crash"), output_job(10, 't')};
  for (std::size_t first = 0; first < 3; ++first) {
    const auto on = started();
    const auto told = on->run_some(std::span(jobs).subspan(first));
    REQUIRE(told.size() == 3 - first);
    for (std::size_t i = 0; i + 1 < told.size(); ++i) {
      REQUIRE(told[i].ok());
      CHECK(told[i].value().outputs[0].bytes ==
            std::string(40, static_cast<char>('q' + first + i)));
    }
    REQUIRE_FALSE(told.back().ok());
    CHECK(told.back().error().why == reason::child_died);
    CHECK(has(told.back().error().what, "at run"));
    CHECK_FALSE(on->run(jobs[0]).ok());
  }
}

TEST_CASE("remote: each of several jobs has the time of a job alone") {
  remote_limits limits;
  limits.run.wall_seconds = 2;
  const auto on = started(limits);
  std::vector<job> jobs(5, output_job(10, 'q', "to wait"));  // half a second each
  jobs.push_back(output_job(10, 'q', "to hang"));
  const auto told = on->run_some(jobs);
  REQUIRE(told.size() == 6);
  for (std::size_t i = 0; i < 5; ++i) CHECK(told[i].ok());
  REQUIRE_FALSE(told[5].ok());
  CHECK(told[5].error().why == reason::child_timed_out);
}

TEST_CASE("remote: ten megabytes of messages neither block nor come through") {
  const auto on = started();
  CHECK(on->compile(fake("flood")).ok());
  CHECK(on->compile(fake("nothing")).ok());
  const fault loud = fatal("flood and crash");
  CHECK(has(loud.what, "the last it said: "));
  CHECK(has(loud.what, "of the flood"));
  CHECK_FALSE(has(loud.what, "\x1b"));
  CHECK(loud.what.size() < 1000);
}

TEST_CASE("remote: memory ends at the limit, and the worker goes on") {
  if (!child_process::limits_address_space) {
    MESSAGE("not run: a sanitizer's shadow memory needs its address space");
    return;
  }
  remote_limits limits;
  limits.process.address_space = 512 << 20;
  const auto on = started(limits);
  const auto made = on->compile(fake("memory"));
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().why == reason::too_large);
  CHECK(on->compile(fake("nothing")).ok());
}

TEST_CASE("remote: ended workers leave no descriptor") {
  { const auto first = started(); }
  const int before = open_descriptors();
  for (int i = 0; i < 5; ++i) {
    { const auto on = started(); }
    (void)fatal("crash");
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("remote: several threads have one each") {
  std::vector<std::thread> threads;
  int good[3] = {};
  for (int& count : good)
    threads.emplace_back([&count] {
      for (int i = 0; i < 5; ++i) {
        auto on = remote::start(honest);
        if (!on) continue;
        if (!on.value()->compile(fake("nothing")).ok()) continue;
        if (on.value()->compile(fake("crash")).ok()) continue;
        ++count;
      }
    });
  for (std::thread& each : threads) each.join();
  for (const int count : good) CHECK(count == 5);
}

TEST_CASE("remote: NVRTC compiles behind the limits of a worker") {
  const auto cuda = find_toolkit();
  if (!cuda) {
    MESSAGE("not run: " << cuda.error().what);
    return;
  }
  child_command command = honest;
  command.environment = toolkit_environment(cuda.value());
  auto on = remote::start(command);
  REQUIRE(on.ok());
  const auto made = on.value()->compile(
      {"template <typename T> __global__ void k(T* y) { y[threadIdx.x] = 1; }",
       {"k<float>"},
       "sm_90a",
       true});
  REQUIRE_MESSAGE(made.ok(), made.error().what);
  CHECK_MESSAGE(made.value().ok, made.value().log);
  CHECK(has(made.value().ptx, ".entry _Z1kIfEvPT_("));
  const auto bad = on.value()->compile({"int x = ;", {"k"}, "sm_90a", true});
  REQUIRE(bad.ok());
  CHECK_FALSE(bad.value().ok);
}

TEST_CASE("remote: a template bomb ends its worker and nothing else") {
  const auto cuda = find_toolkit();
  if (!cuda) return;
  child_command command = honest;
  command.environment = toolkit_environment(cuda.value());
  remote_limits limits;
  limits.compile.cpu_seconds = 1;
  limits.compile.wall_seconds = 30;
  auto on = remote::start(command, limits);
  REQUIRE(on.ok());
  const auto made = on.value()->compile(
      {"template <int N, int M> struct b { static constexpr unsigned v = "
       "b<N - 1, 2 * M>::v + b<N - 1, 2 * M + 1>::v; };\n"
       "template <int M> struct b<0, M> { static constexpr unsigned v = M; };\n"
       "__global__ void k(unsigned* y) { *y = b<24, 1>::v; }",
       {"k"},
       "sm_90a",
       true});
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().why == reason::child_died);
  CHECK(has(made.error().what, "at compile"));
  INFO(made.error().what);
  auto next = remote::start(command, limits);
  REQUIRE(next.ok());
  CHECK(next.value()
            ->compile({"__global__ void k() {}", {"k"}, "sm_90a", true})
            .ok());
}
