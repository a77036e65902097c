// A stand-in for libcuda.so.1, for tests: the functions of the driver that the
// program uses, on the PTX machine. It takes PTX and refuses a cubin, tells nothing of races, and its clock is a count of instructions: no
// time that it tells is a measurement.
//
// The file `control` beside the library, read anew at each use, asks for trouble,
// one line each; KERNEL is a part of a kernel's name:
//   init STATUS           cuInit fails
//   memory BYTES          no allocation above so many bytes
//   fail STATUS KERNEL    the launch ends so, and every later call fails
//   hang KERNEL           the launch never ends
//   slow FACTOR KERNEL    the clock counts so many times the instructions
//   skip KERNEL           the launch does nothing, and says that all is well
//   graph STATUS          no graph can be made
//   needs PATH            no launch is good where this file cannot be read
//   cubin PATH            an ELF image is loaded, as the PTX in this file
#include <dlfcn.h>
#include <time.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <skillbench/cuda/driver.hpp>

#include "machine.hpp"

using namespace skillbench::cuda;

namespace {

struct function {
  std::shared_ptr<stand_in::module_image> in;
  std::string entry;
  int dynamic_shared = 48 * 1024;
};
struct module_handle {
  std::shared_ptr<stand_in::module_image> held;
  std::vector<std::unique_ptr<function>> functions;
};
struct event {
  double at = -1;  // nanoseconds of the count
};
// A launch with all it was given, as a graph keeps it.
struct kept_launch {
  function* of = nullptr;
  launch_config config;
  unsigned cluster[3] = {1, 1, 1};
  std::vector<std::byte> parameters;
};
using graph = std::vector<kept_launch>;

struct whole {
  std::mutex lock;
  bool started = false;
  stand_in::machine machine;
  std::map<address, std::size_t> memory;
  std::size_t used = 0;
  int sticky = success;
  bool hangs = false;
  double now = 1000;  // nanoseconds
  std::uint64_t count = 0;
  graph* captured = nullptr;
};
whole& it() {
  static whole* const held = new whole;  // outlives every handler at exit
  return *held;
}

constexpr std::size_t total = std::size_t{2} << 30;
int context_token;

std::string control_path() {
  Dl_info where{};
  if (!::dladdr(reinterpret_cast<void*>(&control_path), &where) || !where.dli_fname) return "";
  const std::string own = where.dli_fname;
  const auto slash = own.rfind('/');
  return (slash == std::string::npos ? std::string(".") : own.substr(0, slash)) + "/control";
}

// The words behind the first line that starts with `what` and, where it names a
// kernel, names a part of `entry`.
bool asked(const std::string& what, const std::string& entry, std::string* value = nullptr) {
  std::ifstream in(control_path());
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string first, second, kernel;
    words >> first >> second >> kernel;
    if (first != what) continue;
    const bool named = what == "hang" || what == "skip";
    if (named) kernel = second;
    if (!kernel.empty() && entry.find(kernel) == std::string::npos) continue;
    if (value) *value = second;
    return true;
  }
  return false;
}

// Everything fails after a sticky error, as on a GPU.
template <typename Do>
int guarded(Do&& then) {
  const std::lock_guard held(it().lock);
  if (!it().started) return 3;
  if (it().sticky != success) return it().sticky;
  return then();
}

void wait_for_ever() {
  for (;;) std::this_thread::sleep_for(std::chrono::seconds(3600));
}

// A hundredth of a percent more or less, the same for each count.
double wobble() {
  std::uint64_t x = ++it().count * 0x9e3779b97f4a7c15ull;
  x ^= x >> 29;
  return 1.0 + 2e-4 * (static_cast<double>(x >> 40) / static_cast<double>(1 << 24) - 0.5);
}

// The launch itself, under the lock; `overhead` nanoseconds of the count before it.
int run_launch(const kept_launch& todo, double overhead) {
  const function& one = *todo.of;
  std::string status;
  if (asked("hang", one.entry)) {
    it().hangs = true;
    return success;
  }
  if (asked("fail", one.entry, &status)) {
    it().sticky = std::stoi(status);
    return success;
  }
  if (asked("needs", "", &status) && !std::ifstream(status)) return 801;
  double factor = 1;
  if (asked("slow", one.entry, &status)) factor = std::stod(status);
  std::uint64_t instructions = 1000;
  if (!asked("skip", one.entry)) {
    const launch_config& config = todo.config;
    const auto told = it().machine.launch(*one.in, one.entry, config.grid, config.block, todo.cluster, config.shared_bytes, todo.parameters);
    instructions = told.instructions;
    if (told.how != stand_in::ending::fine) std::fprintf(stderr, "stand-in: %s\n", told.why.c_str());
    switch (told.how) {
      case stand_in::ending::fine: break;
      case stand_in::ending::illegal_address: it().sticky = illegal_address; break;
      case stand_in::ending::misaligned: it().sticky = misaligned_address; break;
      case stand_in::ending::trapped: it().sticky = launch_failed; break;
      case stand_in::ending::endless: it().hangs = true; break;
      case stand_in::ending::not_supported: return 801;
    }
  }
  it().now += (overhead + 10.0 * static_cast<double>(instructions)) * factor * wobble();
  return success;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int skillbench_stand_in() { return 1; }

int cuInit(unsigned) {
  const std::lock_guard held(it().lock);
  std::string status;
  if (asked("init", "", &status)) return std::stoi(status);
  it().started = true;
  return success;
}
int cuDriverGetVersion(int* version) { *version = 13000; return success; }
int cuDeviceGetCount(int* n) { *n = 1; return it().started ? success : 3; }
int cuDeviceGet(int* device, int ordinal) { *device = ordinal; return ordinal == 0 ? success : invalid_device; }
int cuDeviceGetName(char* name, int size, int) { std::snprintf(name, static_cast<std::size_t>(size), "stand-in on the PTX machine"); return success; }
int cuDeviceGetUuid_v2(unsigned char* id, int) { for (int i = 0; i < 16; ++i) id[i] = static_cast<unsigned char>(i); return success; }
int cuDeviceGetPCIBusId(char* text, int size, int) { std::snprintf(text, static_cast<std::size_t>(size), "0000:00:00.0"); return success; }
int cuDeviceTotalMem_v2(std::size_t* bytes, int) { *bytes = total; return success; }
int cuDeviceGetAttribute(int* value, int which, int) {
  switch (static_cast<attribute>(which)) {
    case attribute::clock_khz: *value = 1'980'000; break;
    case attribute::multiprocessors: *value = 132; break;
    case attribute::compute_mode: *value = 0; break;
    case attribute::ecc: *value = 1; break;
    case attribute::memory_clock_khz: *value = 2'619'000; break;
    case attribute::memory_bus_bits: *value = 5120; break;
    case attribute::l2_bytes: *value = 64 * 1024; break;  // small: tests scrub it
    case attribute::threads_of_sm: *value = 2048; break;
    case attribute::major: *value = 9; break;
    case attribute::minor: *value = 0; break;
    case attribute::shared_of_sm: *value = 233472; break;
    case attribute::registers_of_sm: *value = 65536; break;
    case attribute::pageable_access: *value = 0; break;
    case attribute::shared_of_cta: *value = 232448; break;
    case attribute::ctas_of_sm: *value = 32; break;
    case attribute::reserved_shared: *value = 1024; break;
    default: return invalid_value;
  }
  return success;
}
int cuDevicePrimaryCtxRetain(void** context, int) { *context = &context_token; return it().started ? it().sticky : 3; }
int cuDevicePrimaryCtxRelease_v2(int) { return success; }
int cuCtxSetCurrent(void*) { return success; }
int cuCtxResetPersistingL2Cache() { return guarded([] { return success; }); }
int cuCtxSynchronize() {
  if (it().hangs) wait_for_ever();
  return guarded([] { return success; });
}

int cuModuleLoadDataEx(void** module, const void* image, unsigned, int*, void**) {
  return guarded([&]() -> int {
    std::string text(static_cast<const char*>(image));
    if (text.starts_with("\x7f" "ELF")) {
      std::string path;
      if (!asked("cubin", "", &path)) return no_binary;
      std::ifstream in(path);
      text.assign(std::istreambuf_iterator<char>(in), {});
    }
    std::string why;
    auto made = std::make_unique<module_handle>();
    made->held = it().machine.load(text, why);
    if (!made->held) return invalid_ptx;
    *module = made.release();
    return success;
  });
}
int cuModuleUnload(void* module) {
  return guarded([&] { delete static_cast<module_handle*>(module); return success; });
}
int cuModuleGetFunction(void** found, void* module, const char* name) {
  return guarded([&]() -> int {
    auto& in = *static_cast<module_handle*>(module);
    if (!stand_in::machine::find(*in.held, name)) return not_found;
    in.functions.push_back(std::make_unique<function>(function{in.held, name}));
    *found = in.functions.back().get();
    return success;
  });
}
int cuFuncGetAttribute(int* value, int which, void* of) {
  return guarded([&]() -> int {
    auto& one = *static_cast<function*>(of);
    const auto* facts = stand_in::machine::find(*one.in, one.entry);
    switch (static_cast<of_function>(which)) {
      case of_function::threads: *value = static_cast<int>(facts->most_threads); break;
      case of_function::static_shared: *value = static_cast<int>(facts->static_shared); break;
      case of_function::local_bytes: *value = 0; break;
      case of_function::registers: *value = 32; break;  // nobody allocates any
      case of_function::dynamic_shared: *value = one.dynamic_shared; break;
      default: return invalid_value;
    }
    return success;
  });
}
int cuFuncSetAttribute(void* of, int which, int value) {
  return guarded([&]() -> int {
    if (which == static_cast<int>(of_function::any_cluster)) return success;
    if (which != static_cast<int>(of_function::dynamic_shared) || value < 0 || value > 232448) return invalid_value;
    static_cast<function*>(of)->dynamic_shared = value;
    return success;
  });
}

int cuMemAlloc_v2(address* at, std::size_t bytes) {
  return guarded([&]() -> int {
    std::string most;
    if (bytes == 0) return invalid_value;
    if (asked("memory", "", &most) && bytes > std::stoull(most)) return out_of_memory;
    if (bytes > total - it().used) return out_of_memory;
    *at = it().machine.allocate(bytes);
    it().memory[*at] = bytes;
    it().used += bytes;
    return success;
  });
}
int cuMemFree_v2(address at) {
  return guarded([&]() -> int {
    const auto found = it().memory.find(at);
    if (found == it().memory.end() || !it().machine.release(at)) return invalid_value;
    it().used -= found->second;
    it().memory.erase(found);
    return success;
  });
}
int cuMemGetInfo_v2(std::size_t* left, std::size_t* all) {
  return guarded([&] { *left = total - it().used; *all = total; return success; });
}
int cuMemcpyHtoD_v2(address to, const void* from, std::size_t bytes) {
  if (it().hangs) wait_for_ever();
  return guarded([&]() -> int { return it().machine.write(to, from, bytes) ? success : invalid_value; });
}
int cuMemcpyDtoH_v2(void* to, address from, std::size_t bytes) {
  if (it().hangs) wait_for_ever();
  return guarded([&]() -> int { return it().machine.read(to, from, bytes) ? success : invalid_value; });
}
int cuMemcpyDtoDAsync_v2(address to, address from, std::size_t bytes, void*) {
  return guarded([&]() -> int {
    std::vector<char> held(bytes);
    it().now += 1000 + static_cast<double>(bytes) / 1500.0;  // read and written
    return it().machine.read(held.data(), from, bytes) && it().machine.write(to, held.data(), bytes) ? success : invalid_value;
  });
}
int cuMemsetD8Async(address to, unsigned char value, std::size_t bytes, void*) {
  return guarded([&]() -> int {
    const std::vector<char> held(bytes, static_cast<char>(value));
    it().now += 1000 + static_cast<double>(bytes) / 3000.0;
    return it().machine.write(to, held.data(), bytes) ? success : invalid_value;
  });
}
int cuMemsetD32Async(address to, unsigned value, std::size_t words, void*) {
  return guarded([&]() -> int {
    const std::vector<unsigned> held(words, value);
    it().now += 1000 + static_cast<double>(words) * 4 / 3000.0;
    return it().machine.write(to, held.data(), words * 4) ? success : invalid_value;
  });
}

int cuStreamCreate(void** stream, unsigned) { *stream = &it(); return it().started ? it().sticky : 3; }
int cuStreamDestroy_v2(void*) { return success; }
int cuStreamQuery(void*) {
  if (it().hangs) return not_ready;
  return guarded([] { return success; });
}
int cuStreamSynchronize(void*) {
  if (it().hangs) wait_for_ever();
  return guarded([] { return success; });
}
int cuEventCreate(void** made, unsigned) {
  return guarded([&] { *made = new event; return success; });
}
int cuEventDestroy_v2(void* one) { delete static_cast<event*>(one); return success; }
int cuEventRecord(void* one, void*) {
  return guarded([&] { static_cast<event*>(one)->at = it().now; return success; });
}
int cuEventSynchronize(void*) {
  if (it().hangs) wait_for_ever();
  return guarded([] { return success; });
}
int cuEventElapsedTime(float* milliseconds, void* from, void* to) {
  return guarded([&]() -> int {
    const auto *a = static_cast<event*>(from), *b = static_cast<event*>(to);
    if (a->at < 0 || b->at < 0) return not_ready;
    *milliseconds = static_cast<float>((b->at - a->at) * 1e-6);
    return success;
  });
}

int cuLaunchKernelEx(const launch_config* config, void* which, void** values, void**) {
  return guarded([&]() -> int {
    auto& one = *static_cast<function*>(which);
    const auto* facts = stand_in::machine::find(*one.in, one.entry);
    unsigned cluster[3] = {1, 1, 1};
    const auto* attributes = static_cast<const launch_attribute*>(config->attributes);
    for (unsigned i = 0; i < config->attribute_count; ++i)
      if (attributes[i].id == cluster_attribute) std::memcpy(cluster, attributes[i].value.cluster, sizeof cluster);
    const std::uint64_t threads = std::uint64_t{config->block[0]} * config->block[1] * config->block[2];
    if (threads == 0 || threads > 1024 || config->grid[0] == 0 || config->grid[1] == 0 || config->grid[1] > 65535 || config->grid[2] == 0 || config->grid[2] > 65535)
      return invalid_value;
    if (threads > static_cast<std::uint64_t>(facts->most_threads)) return invalid_value;
    if (static_cast<int>(config->shared_bytes) > one.dynamic_shared) return invalid_value;
    const std::uint64_t ctas = std::uint64_t{cluster[0]} * cluster[1] * cluster[2];
    if (ctas == 0 || ctas > 16 || config->grid[0] % cluster[0] || config->grid[1] % cluster[1] || config->grid[2] % cluster[2]) return invalid_cluster;

    kept_launch made{&one, *config, {cluster[0], cluster[1], cluster[2]}, {}};
    for (std::size_t i = 0; i < facts->parameter_bytes.size(); ++i) {
      made.parameters.resize(std::max(made.parameters.size(), facts->parameter_offsets[i] + facts->parameter_bytes[i]));
      std::memcpy(made.parameters.data() + facts->parameter_offsets[i], values[i], facts->parameter_bytes[i]);
    }
    if (it().captured) {
      it().captured->push_back(std::move(made));
      return success;
    }
    return run_launch(made, 2000);
  });
}

int cuStreamBeginCapture_v2(void*, int) {
  return guarded([]() -> int {
    std::string status;
    if (it().captured) return 901;
    if (asked("graph", "", &status)) return std::stoi(status);
    it().captured = new graph;
    return success;
  });
}
int cuStreamEndCapture(void*, void** made) {
  return guarded([&]() -> int {
    *made = std::exchange(it().captured, nullptr);
    return *made ? success : 901;
  });
}
int cuGraphInstantiateWithFlags(void** made, void* from, unsigned long long) {
  return guarded([&] { *made = new graph(*static_cast<graph*>(from)); return success; });
}
int cuGraphLaunch(void* which, void*) {
  return guarded([&]() -> int {
    if (it().captured) return 900;
    double overhead = 2000;
    for (const kept_launch& each : *static_cast<graph*>(which)) {
      const int said = run_launch(each, overhead);
      if (said != success || it().sticky != success || it().hangs) return said;
      overhead = 500;  // less between launches of a graph
    }
    return success;
  });
}
int cuGraphExecDestroy(void* which) { delete static_cast<graph*>(which); return success; }
int cuGraphDestroy(void* which) { delete static_cast<graph*>(which); return success; }

int cuTensorMapEncodeTiled(tensor_map* map, int type, unsigned rank, void* at, const std::uint64_t* extents, const std::uint64_t* strides, const unsigned* box, const unsigned* steps,
                           int interleave, int swizzle, int, int fill) {
  if (rank < 1 || rank > 5 || interleave < 0 || interleave > 2 || swizzle < 0 || swizzle > 3) return invalid_value;
  const bool half = type == 6, single = type == 7, bfloat = type == 9;
  if (!half && !single && !bfloat) return invalid_value;
  std::byte made[128];
  const std::string why = stand_in::encode_map(made, reinterpret_cast<address>(at), static_cast<int>(rank), single ? 4 : 2, bfloat, true, extents, strides, box, steps,
                                               swizzle == 0 ? 0 : 16 << swizzle, interleave * 16, fill != 0);
  if (!why.empty()) return invalid_value;
  std::memcpy(map, made, sizeof made);
  return success;
}

int cuGetErrorName(int status, const char** name) {
  static const std::map<int, const char*> known{
      {0, "CUDA_SUCCESS"},
      {1, "CUDA_ERROR_INVALID_VALUE"},
      {2, "CUDA_ERROR_OUT_OF_MEMORY"},
      {3, "CUDA_ERROR_NOT_INITIALIZED"},
      {100, "CUDA_ERROR_NO_DEVICE"},
      {101, "CUDA_ERROR_INVALID_DEVICE"},
      {209, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
      {214, "CUDA_ERROR_ECC_UNCORRECTABLE"},
      {218, "CUDA_ERROR_INVALID_PTX"},
      {500, "CUDA_ERROR_NOT_FOUND"},
      {600, "CUDA_ERROR_NOT_READY"},
      {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
      {716, "CUDA_ERROR_MISALIGNED_ADDRESS"},
      {719, "CUDA_ERROR_LAUNCH_FAILED"},
      {801, "CUDA_ERROR_NOT_SUPPORTED"},
      {912, "CUDA_ERROR_INVALID_CLUSTER_SIZE"},
      {999, "CUDA_ERROR_UNKNOWN"}};
  const auto found = known.find(status);
  *name = found == known.end() ? nullptr : found->second;
  return found == known.end() ? invalid_value : success;
}

}  // extern "C"
#pragma GCC visibility pop
