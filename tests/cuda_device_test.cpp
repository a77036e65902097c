// The CUDA device, on the stand-in for the driver; what ends no context is asked
// of a GPU as well where one is here.
#include <skillbench/device/cuda.hpp>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "stand_in_kit.hpp"

using namespace skillbench;
using kit::stand_in;
using kit::tools;
using kit::worker;

namespace {

// The stand-in, and a GPU that is really here; `real` tells them apart.
template <typename Test>
void on_each(const std::string& name, Test&& test) {
  {
    const stand_in one(name);
    test(*worker(), false);
  }
  auto driver = cuda::driver::open("libcuda.so.1");
  if (!driver) return;
  const auto facts = driver.value().facts(0);
  if (!facts || facts.value().major != 9 || facts.value().stand_in) return;
  test(*worker(), true);
}

constexpr const char* kernels = R"(
extern "C" __global__ void doubled(const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = 2.0f * x[i];
}
extern "C" __global__ void all_but_one(const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n && i != 77) y[i] = 2.0f * x[i];
}
extern "C" __global__ void past_the_end(const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n + 3) y[i] = 2.0f;
}
extern "C" __global__ void before_the_start(const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = 2.0f;
  if (i == 0) y[-2] = 1.0f;
}
extern "C" __global__ void into_the_input(float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = 2.0f * x[i];
  if (i == 5) x[5] = 0.0f;
}
extern "C" __global__ void far_away(const float* x, float* y, int n) {
  y[1ll << 38] = x[0];
}
extern "C" __global__ void crooked(const float* x, float* y, int n) {
  *(float4*)((char*)y + 4) = make_float4(1, 2, 3, 4);
}
extern "C" __global__ void gives_up(const float* x, float* y, int n) { __trap(); }
extern "C" __global__ void keeps_more(const float* x, float* y, int n) {
  extern __shared__ float held[];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  held[threadIdx.x + 20000] = 2.0f * x[i];
  __syncthreads();
  if (i < n) y[i] = held[threadIdx.x + 20000];
}
)";

constexpr std::int64_t n = 1000;

job asked_of(const std::string& entry, std::uint64_t seed = 1) {
  job made;
  made.seed = seed;
  buffer x, y;
  x.name = "x";
  x.elements = n;
  x.seed = seed;
  y.name = "y";
  y.use = role::output;
  y.elements = n;
  made.buffers = {x, y};
  launch one;
  one.entry = entry;
  one.grid = {8, 1, 1};
  one.block = {128, 1, 1};
  kernel_argument count;
  count.kind = kernel_argument::type::integer;
  count.value = n;
  one.args = {{}, {}, count};
  one.args[1].value = 1;
  made.launches = {one};
  return made;
}

const std::string& ptx() {
  static const std::string made = [] {
    device_compiler compiler(tools());
    compile_request asked;
    asked.source = kernels;
    auto answer = compiler.compile(asked);
    REQUIRE_MESSAGE(answer, answer.error().what);
    REQUIRE_MESSAGE(answer.value().ok, answer.value().log);
    return answer.value().ptx;
  }();
  return made;
}

bool is_doubled(const run_report& told, std::uint64_t seed) {
  std::vector<float> x(n), y(n);
  make_elements(fill{}, seed, element::f32, 0, std::as_writable_bytes(std::span(x)));
  if (told.outputs.size() != 1 || told.outputs[0].bytes.size() != n * 4) return false;
  std::memcpy(y.data(), told.outputs[0].bytes.data(), n * 4);
  for (std::size_t i = 0; i < n; ++i)
    if (y[i] != 2.0f * x[i]) return false;
  return true;
}

bool has(const run_report& told, code what) {
  for (const finding& each : told.findings)
    if (each.kind == what) return true;
  return false;
}

finding only(const result<run_report>& told) {
  REQUIRE_MESSAGE(told, told.error().what);
  REQUIRE(told.value().findings.size() == 1);
  return told.value().findings[0];
}

}  // namespace

TEST_CASE("cuda device: a kernel's result comes back") {
  on_each("result", [](device& on, bool real) {
    CHECK((on.name() == "stand-in on the PTX machine") == !real);
    CHECK(on.target() == "sm_90a");
    REQUIRE(on.load(ptx()));
    for (std::uint64_t seed = 1; seed < 4; ++seed) {
      const auto told = on.run(asked_of("doubled", seed));
      REQUIRE_MESSAGE(told, told.error().what);
      CHECK(told.value().findings.empty());
      CHECK(is_doubled(told.value(), seed));
    }
  });
}

TEST_CASE("cuda device: it compiles as the PTX machine does") {
  on_each("compile", [](device& on, bool) {
    compile_request asked;
    asked.source = kernels;
    asked.entries = {"doubled"};
    const auto made = on.compile(asked);
    REQUIRE_MESSAGE(made, made.error().what);
    CHECK(made.value().ok);
    CHECK(made.value().kernels.at(0).registers);
    REQUIRE(on.load(made.value().ptx));
    CHECK(is_doubled(on.run(asked_of(made.value().kernels[0].lowered)).value(), 1));
  });
}

TEST_CASE("cuda device: machine code is loaded, PTX where that cannot be, and which is said") {
  image made;
  on_each("cubin", [&](device& on, bool real) {
    compile_request asked;
    asked.source = kernels;
    asked.entries = {"doubled"};
    CHECK(on.compile(asked).value().cubin.empty());
    asked.cubin = true;
    made = on.compile(asked).value();
    REQUIRE(made.ok);
    CHECK(cuda_text::whole_elf(made.cubin));
    const job todo = asked_of(made.kernels.at(0).lowered);
    const auto first = on.load_image(made);
    REQUIRE_MESSAGE(first, first.error().what);
    CHECK(on.loaded() == (real ? "cubin" : "PTX: the driver refuses the cubin, CUDA_ERROR_NO_BINARY_FOR_GPU (209)"));
    CHECK(is_doubled(on.run(todo).value(), 1));
    image cut = made;
    cut.cubin.resize(cut.cubin.size() / 2);
    REQUIRE(on.load_image(cut));
    CHECK(on.loaded() == "PTX: the cubin is not whole");
    CHECK(is_doubled(on.run(todo).value(), 1));
    cut.cubin.clear();
    REQUIRE(on.load_image(cut));
    CHECK(on.loaded() == "PTX: there is no cubin");
    cut.ptx.clear();
    CHECK_FALSE(on.load_image(cut));
    CHECK(on.loaded().empty());
  });

  const stand_in here("takes_cubin");
  const std::string path = (here.folder / "kernels.ptx").string();
  std::ofstream(path) << made.ptx;
  here.ask("cubin " + path + "\n");
  const auto on = worker();
  image whole = made;
  whole.ptx = "nobody reads this";
  REQUIRE(on->load_image(whole));
  CHECK(on->loaded() == "cubin");
  CHECK(is_doubled(on->run(asked_of(made.kernels.at(0).lowered)).value(), 1));
}

TEST_CASE("cuda device: an ELF is whole when all that its tables name lies within it") {
  using cuda_text::whole_elf;
  compile_request asked;
  asked.source = kernels;
  asked.cubin = true;
  const std::string code = device_compiler(tools()).compile(asked).value().cubin;
  REQUIRE(whole_elf(code));
  for (std::size_t size = 0; size < code.size(); size += size < 100 ? 1 : 97) CHECK_FALSE(whole_elf(code.substr(0, size)));
  CHECK_FALSE(whole_elf(code.substr(0, code.size() - 1)));
  for (const std::size_t at : {40u, 41u, 47u, 58u, 60u}) {
    std::string other = code;
    other[at] = static_cast<char>(other[at] ^ 0x7f);
    if (at == 60) other[61] = 0x7f;
    CHECK_FALSE(whole_elf(other));
  }
}

TEST_CASE("cuda device: a module of many variables does not get in the way of tensors") {
  on_each("variables", [](device& on, bool) {
    compile_request asked;
    for (int i = 0; i < 300; ++i) asked.source += "__device__ int held_" + std::to_string(i) + " = 1;\n";
    asked.source += kernels;
    const auto made = on.compile(asked);
    REQUIRE_MESSAGE(made, made.error().what);
    REQUIRE(made.value().ok);
    REQUIRE(on.load(made.value().ptx));
    CHECK(is_doubled(on.run(asked_of("doubled")).value(), 1));
  });
}

TEST_CASE("cuda device: guard bands, poison and inputs tell what a kernel did") {
  on_each("findings", [](device& on, bool) {
    REQUIRE(on.load(ptx()));
    const finding unwritten = only(on.run(asked_of("all_but_one")));
    CHECK(unwritten.kind == code::unwritten_output);
    CHECK(unwritten.index == 77);
    CHECK(unwritten.count == 1);
    const finding past = only(on.run(asked_of("past_the_end")));
    CHECK(past.kind == code::out_of_bounds);
    CHECK(past.tensor == "y");
    CHECK(past.index == n);
    CHECK(past.count == 12);
    const finding before = only(on.run(asked_of("before_the_start")));
    CHECK(before.kind == code::out_of_bounds);
    CHECK(before.index == -2);
    const finding input = only(on.run(asked_of("into_the_input")));
    CHECK(input.kind == code::writes_input);
    CHECK(input.tensor == "x");
    CHECK(input.index == 5);
    CHECK(is_doubled(on.run(asked_of("doubled")).value(), 1));
  });
}

TEST_CASE("cuda device: shared memory beyond 48 KB, and what the driver refuses") {
  on_each("refusals", [](device& on, bool) {
    REQUIRE(on.load(ptx()));
    job large = asked_of("keeps_more");
    large.launches[0].shared_bytes = 100 * 1024;
    const auto told = on.run(large);
    REQUIRE_MESSAGE(told, told.error().what);
    CHECK(is_doubled(told.value(), 1));
    large.launches[0].shared_bytes = 300 * 1024;
    CHECK(only(on.run(large)).kind == code::launch_refused);
    job wide = asked_of("doubled");
    wide.launches[0].block = {2048, 1, 1};
    CHECK(only(on.run(wide)).kind == code::launch_refused);
    wide.launches[0].block = {0, 1, 1};
    CHECK(only(on.run(wide)).kind == code::launch_refused);
    CHECK(is_doubled(on.run(asked_of("doubled")).value(), 1));
  });
}

TEST_CASE("cuda device: what it cannot do is not_supported, and what is not there is said") {
  on_each("not_supported", [](device& on, bool) {
    CHECK(on.run(asked_of("doubled")).error().why == reason::bad_argument);
    CHECK(on.load("no PTX at all").error().why == reason::not_supported);
    REQUIRE(on.load(ptx()));
    job some = asked_of("doubled");
    some.ctas = {0};
    CHECK(on.run(some).error().why == reason::not_supported);
    const auto missing = on.run(asked_of("no_such_kernel"));
    REQUIRE_FALSE(missing);
    CHECK(missing.error().what.find("cuModuleGetFunction on the kernel no_such_kernel") != std::string::npos);
    CHECK(missing.error().what.find("CUDA_ERROR_NOT_FOUND (500)") != std::string::npos);
  });
}

TEST_CASE("cuda device: a kernel that ends the context is a finding, and ends the worker") {
  for (const auto& [entry, kind] : {std::pair("far_away", code::out_of_bounds), std::pair("crooked", code::misaligned)})
    on_each(entry, [&](device& on, bool) {
      REQUIRE(on.load(ptx()));
      const finding told = only(on.run(asked_of(entry)));
      CHECK(told.kind == kind);
      CHECK(told.kernel == entry);
      CHECK(told.what.find("CUDA_ERROR_") != std::string::npos);
      CHECK(on.run(asked_of("doubled")).error().why == reason::child_died);
    });
  on_each("gives_up", [&](device& on, bool) {
    REQUIRE(on.load(ptx()));
    CHECK(outcome_of(only(on.run(asked_of("gives_up"))).kind) == outcome::faults);
  });
}

TEST_CASE("cuda device: no memory, a lost device, a hang") {
  const stand_in here("trouble");
  const auto on = worker();
  REQUIRE(on->load(ptx()));
  here.ask("memory 1000\n");
  const auto full = on->run(asked_of("doubled"));
  REQUIRE_FALSE(full);
  CHECK(full.error().why == reason::too_large);
  CHECK(full.error().what.find("CUDA_ERROR_OUT_OF_MEMORY (2)") != std::string::npos);
  here.ask("");
  CHECK(is_doubled(on->run(asked_of("doubled")).value(), 1));

  here.ask("hang doubled\n");
  const auto hung = on->run(asked_of("doubled"));
  REQUIRE_FALSE(hung);
  CHECK(hung.error().why == reason::too_slow);
  CHECK(on->run(asked_of("doubled")).error().why == reason::child_died);

  here.ask("fail 999 doubled\n");
  const auto next = worker();
  REQUIRE(next->load(ptx()));
  const auto lost = next->run(asked_of("doubled"));
  REQUIRE_FALSE(lost);
  CHECK(lost.error().why == reason::library_failed);
  CHECK(next->run(asked_of("doubled")).error().why == reason::child_died);
}

TEST_CASE("cuda device: a worker that cannot prove its device does not start") {
  const stand_in here("proof");
  for (const char* trouble : {"skip skillbench_proof\n", "fail 719 skillbench_proof\n", "init 999\n", "hang skillbench_proof\n"}) {
    here.ask(trouble);
    child_command asked;
    asked.program = std::string(SKILLBENCH_TEST_DIR) + "/cuda_worker";
    asked.environment = cli::gpu_environment(tools());
    const auto started = remote::start(asked, cli::gpu_limits());
    CHECK_FALSE(started);
  }
}

TEST_CASE("cuda device: what is left of one run is nowhere in the next") {
  const stand_in here("scrubbed");
  const auto on = worker();
  REQUIRE(on->load(ptx()));
  REQUIRE(on->run(asked_of("doubled")));
  // Nothing is done: outputs hold poison, not the result of the run before.
  here.ask("skip doubled\n");
  const auto told = on->run(asked_of("doubled"));
  REQUIRE(told);
  CHECK(has(told.value(), code::unwritten_output));
  CHECK(told.value().findings[0].count == n);
}
