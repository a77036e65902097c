#pragma once
// cuda/driver.hpp: the CUDA driver, opened at run time.
//
// Layer   3. cuda/library.hpp; prototypes are our own, no header of CUDA is
//         included.
// Units   bytes, kHz, milliseconds of an event; device memory is a number.
// Errors  reason::no_device when there is no driver or no GPU, too_large when
//         the GPU's memory is full, library_failed for everything else. The text
//         names the call, what it was made on and the driver's own name for the
//         error.
// Place   SKILLBENCH_DRIVER names the library; else the loader looks for
//         libcuda.so.1.
// Threads as the driver: the context is current on the thread that made it so.
// Source  CUDA Driver API 12.4 to 13.0, cuda.h. Every symbol is one that drivers
//         since 12.0 export.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/cuda/library.hpp>
#include <skillbench/fault.hpp>

namespace skillbench::cuda {

using address = std::uint64_t;  // CUdeviceptr

// Values of CUresult that the program tells apart.
enum status : int {
  success = 0,
  invalid_value = 1,
  out_of_memory = 2,
  no_gpu = 100,
  invalid_device = 101,
  invalid_image = 200,
  no_binary = 209,
  ecc_uncorrectable = 214,
  invalid_ptx = 218,
  unsupported_ptx = 222,
  not_found = 500,
  not_ready = 600,
  illegal_address = 700,
  out_of_resources = 701,
  launch_timeout = 702,
  assert_failed = 710,
  stack_error = 714,
  illegal_instruction = 715,
  misaligned_address = 716,
  invalid_space = 717,
  invalid_pc = 718,
  launch_failed = 719,
  invalid_cluster = 912,
  unknown_error = 999,
};

// Of a sticky error: a kernel's own doing, not the machine's.
[[nodiscard]] constexpr bool is_of_the_kernel(int said) noexcept {
  return said == illegal_address || said == assert_failed || (said >= stack_error && said <= launch_failed);
}

// After such an error every later call in the process fails.
[[nodiscard]] constexpr bool is_sticky(int said) noexcept {
  return is_of_the_kernel(said) || said == ecc_uncorrectable || said == launch_timeout || said == unknown_error;
}

struct launch_config {
  unsigned grid[3] = {1, 1, 1}, block[3] = {1, 1, 1};
  unsigned shared_bytes = 0;
  void* stream = nullptr;
  void* attributes = nullptr;
  unsigned attribute_count = 0;
};
struct launch_attribute {
  int id = 0;
  char pad[4] = {};
  union {
    char all[64];
    unsigned cluster[3];
  } value = {};
};
inline constexpr int cluster_attribute = 4;
inline constexpr int relaxed_capture = 2;  // other calls of this thread go on
static_assert(sizeof(launch_config) == 56 && sizeof(launch_attribute) == 72);

struct alignas(128) tensor_map {
  std::uint64_t held[16] = {};
};

enum class attribute : int {
  clock_khz = 13,
  multiprocessors = 16,
  compute_mode = 20,
  ecc = 32,
  memory_clock_khz = 36,
  memory_bus_bits = 37,
  l2_bytes = 38,
  threads_of_sm = 39,
  major = 75,
  minor = 76,
  shared_of_sm = 81,
  registers_of_sm = 82,
  pageable_access = 88,
  shared_of_cta = 97,
  ctas_of_sm = 106,
  reserved_shared = 111,
};
enum class of_function : int { threads = 0, static_shared = 1, local_bytes = 3, registers = 4, dynamic_shared = 8, any_cluster = 14 };

// What a GPU is, as the driver tells.
struct gpu_facts {
  int ordinal = 0;
  std::string name, uuid, bus;
  int major = 0, minor = 0;
  int multiprocessors = 0, threads_of_sm = 0, ctas_of_sm = 0, registers_of_sm = 0;
  std::int64_t shared_of_sm = 0, shared_of_cta = 0, reserved_shared = 0;
  std::int64_t memory_bytes = 0, l2_bytes = 0;
  std::int64_t clock_khz = 0, memory_clock_khz = 0, memory_bus_bits = 0;
  bool ecc = false;
  bool pageable_access = false;  // kernels can reach the process's own memory
  bool stand_in = false;         // the tests' driver, on the PTX machine
  // On paper: two transfers a clock.
  [[nodiscard]] double memory_bytes_per_second() const noexcept {
    return 2.0 * static_cast<double>(memory_clock_khz) * 1e3 * static_cast<double>(memory_bus_bits) / 8.0;
  }
};

class driver {
 public:
  // `name` is a path, or "" for where drivers are.
  [[nodiscard]] static result<driver> open(std::string name = {}) {
    if (name.empty()) name = driver_name();
    auto opened = library::open(name, library::lifetime::process);
    if (!opened)
      return fault{reason::no_device, "no GPU can be used: there is no NVIDIA driver on this machine (" + opened.error().what + ")"};
    driver made(std::move(opened).value());
    const std::string missing = made.load();
    if (!missing.empty())
      return fault{reason::no_device, "no GPU can be used: the driver " + name + " has no function " + missing + ": update it to one for CUDA 12.4 or later"};
    if (const int said = made.init(0); said != success) return made.trouble(said, "cuInit", "the driver " + name);
    return made;
  }

  int (*init)(unsigned) = nullptr;
  int (*version)(int*) = nullptr;
  int (*count)(int*) = nullptr;
  int (*get)(int*, int) = nullptr;
  int (*name_of)(char*, int, int) = nullptr;
  int (*uuid_of)(unsigned char*, int) = nullptr;
  int (*bus_of)(char*, int, int) = nullptr;
  int (*attribute_of)(int*, int, int) = nullptr;
  int (*memory_of)(std::size_t*, int) = nullptr;
  int (*retain)(void**, int) = nullptr;
  int (*release)(int) = nullptr;
  int (*set_current)(void*) = nullptr;
  int (*synchronize)() = nullptr;
  int (*reset_persisting)() = nullptr;
  int (*load_module)(void**, const void*, unsigned, int*, void**) = nullptr;
  int (*unload_module)(void*) = nullptr;
  int (*get_function)(void**, void*, const char*) = nullptr;
  int (*function_attribute)(int*, int, void*) = nullptr;
  int (*set_function_attribute)(void*, int, int) = nullptr;
  int (*allocate)(address*, std::size_t) = nullptr;
  int (*release_memory)(address) = nullptr;
  int (*memory_left)(std::size_t*, std::size_t*) = nullptr;
  int (*to_device)(address, const void*, std::size_t) = nullptr;
  int (*to_host)(void*, address, std::size_t) = nullptr;
  int (*copy)(address, address, std::size_t, void*) = nullptr;
  int (*set_bytes)(address, unsigned char, std::size_t, void*) = nullptr;
  int (*set_words)(address, unsigned, std::size_t, void*) = nullptr;
  int (*make_stream)(void**, unsigned) = nullptr;
  int (*end_stream)(void*) = nullptr;
  int (*ask_stream)(void*) = nullptr;
  int (*wait_stream)(void*) = nullptr;
  int (*make_event)(void**, unsigned) = nullptr;
  int (*end_event)(void*) = nullptr;
  int (*record)(void*, void*) = nullptr;
  int (*wait_event)(void*) = nullptr;
  int (*elapsed)(float*, void*, void*) = nullptr;
  int (*launch)(const launch_config*, void*, void**, void**) = nullptr;
  int (*begin_capture)(void*, int) = nullptr;
  int (*end_capture)(void*, void**) = nullptr;
  int (*make_graph)(void**, void*, unsigned long long) = nullptr;
  int (*launch_graph)(void*, void*) = nullptr;
  int (*end_graph)(void*) = nullptr;
  int (*end_captured)(void*) = nullptr;
  int (*encode_tiled)(tensor_map*, int, unsigned, void*, const std::uint64_t*, const std::uint64_t*, const unsigned*, const unsigned*, int, int, int, int) = nullptr;
  int (*error_name)(int, const char**) = nullptr;

  // What the driver calls an error: "CUDA_ERROR_OUT_OF_MEMORY (2)".
  [[nodiscard]] std::string words(int said) const {
    const char* text = nullptr;
    if (error_name && error_name(said, &text) == success && text) return std::string(text) + " (" + std::to_string(said) + ")";
    return "error " + std::to_string(said);
  }
  [[nodiscard]] fault trouble(int said, std::string_view call, const std::string& on) const {
    const reason why = said == out_of_memory ? reason::too_large : said == no_gpu || said == invalid_device ? reason::no_device : reason::library_failed;
    return fault{why, std::string(call) + " on " + on + ": " + words(said)};
  }
  [[nodiscard]] result<done> check(int said, std::string_view call, const std::string& on) const {
    if (said == success) return done{};
    return trouble(said, call, on);
  }

  [[nodiscard]] bool stand_in() const noexcept { return stand_in_; }
  [[nodiscard]] const std::string& path() const noexcept { return library_.name(); }

  [[nodiscard]] result<int> devices() const {
    int n = 0;
    if (const int said = count(&n); said != success) return trouble(said, "cuDeviceGetCount", "the driver");
    return n;
  }

  [[nodiscard]] result<gpu_facts> facts(int ordinal) const {
    const std::string on = "GPU " + std::to_string(ordinal);
    int handle = 0;
    if (const int said = get(&handle, ordinal); said != success) return trouble(said, "cuDeviceGet", on);
    gpu_facts told;
    told.ordinal = ordinal;
    told.stand_in = stand_in_;
    char text[256] = "";
    if (const int said = name_of(text, sizeof text, handle); said != success) return trouble(said, "cuDeviceGetName", on);
    told.name = text;
    unsigned char id[16] = {};
    if (const int said = uuid_of(id, handle); said != success) return trouble(said, "cuDeviceGetUuid", on);
    told.uuid = "GPU-";
    for (int i = 0; i < 16; ++i) {
      if (i == 4 || i == 6 || i == 8 || i == 10) told.uuid += '-';
      std::snprintf(text, sizeof text, "%02x", id[i]);
      told.uuid += text;
    }
    text[0] = 0;
    if (bus_of(text, sizeof text, handle) == success) told.bus = text;
    std::size_t bytes = 0;
    if (const int said = memory_of(&bytes, handle); said != success) return trouble(said, "cuDeviceTotalMem", on);
    told.memory_bytes = static_cast<std::int64_t>(bytes);

    int failed = success;
    const auto ask = [&](attribute what) {
      int value = 0;
      if (const int said = attribute_of(&value, static_cast<int>(what), handle); said != success) failed = said;
      return value;
    };
    told.major = ask(attribute::major);
    told.minor = ask(attribute::minor);
    told.multiprocessors = ask(attribute::multiprocessors);
    told.threads_of_sm = ask(attribute::threads_of_sm);
    told.ctas_of_sm = ask(attribute::ctas_of_sm);
    told.registers_of_sm = ask(attribute::registers_of_sm);
    told.shared_of_sm = ask(attribute::shared_of_sm);
    told.shared_of_cta = ask(attribute::shared_of_cta);
    told.reserved_shared = ask(attribute::reserved_shared);
    told.l2_bytes = ask(attribute::l2_bytes);
    told.clock_khz = ask(attribute::clock_khz);
    told.memory_clock_khz = ask(attribute::memory_clock_khz);
    told.memory_bus_bits = ask(attribute::memory_bus_bits);
    told.ecc = ask(attribute::ecc) != 0;
    told.pageable_access = ask(attribute::pageable_access) != 0;
    if (failed != success) return trouble(failed, "cuDeviceGetAttribute", on);
    return told;
  }

 private:
  explicit driver(library from) : library_(std::move(from)) {}

  // The name of the first function that is not there; "" when all are.
  [[nodiscard]] std::string load() {
    std::string missing;
    const auto take = [&]<typename R, typename... A>(R (*&into)(A...), const char* called) {
      auto found = library_.symbol<R(A...)>(called);
      if (found) into = found.value();
      else if (missing.empty()) missing = called;
    };
    take(init, "cuInit");
    take(version, "cuDriverGetVersion");
    take(count, "cuDeviceGetCount");
    take(get, "cuDeviceGet");
    take(name_of, "cuDeviceGetName");
    take(uuid_of, "cuDeviceGetUuid_v2");
    take(bus_of, "cuDeviceGetPCIBusId");
    take(attribute_of, "cuDeviceGetAttribute");
    take(memory_of, "cuDeviceTotalMem_v2");
    take(retain, "cuDevicePrimaryCtxRetain");
    take(release, "cuDevicePrimaryCtxRelease_v2");
    take(set_current, "cuCtxSetCurrent");
    take(synchronize, "cuCtxSynchronize");
    take(reset_persisting, "cuCtxResetPersistingL2Cache");
    take(load_module, "cuModuleLoadDataEx");
    take(unload_module, "cuModuleUnload");
    take(get_function, "cuModuleGetFunction");
    take(function_attribute, "cuFuncGetAttribute");
    take(set_function_attribute, "cuFuncSetAttribute");
    take(allocate, "cuMemAlloc_v2");
    take(release_memory, "cuMemFree_v2");
    take(memory_left, "cuMemGetInfo_v2");
    take(to_device, "cuMemcpyHtoD_v2");
    take(to_host, "cuMemcpyDtoH_v2");
    take(copy, "cuMemcpyDtoDAsync_v2");
    take(set_bytes, "cuMemsetD8Async");
    take(set_words, "cuMemsetD32Async");
    take(make_stream, "cuStreamCreate");
    take(end_stream, "cuStreamDestroy_v2");
    take(ask_stream, "cuStreamQuery");
    take(wait_stream, "cuStreamSynchronize");
    take(make_event, "cuEventCreate");
    take(end_event, "cuEventDestroy_v2");
    take(record, "cuEventRecord");
    take(wait_event, "cuEventSynchronize");
    take(elapsed, "cuEventElapsedTime");
    take(launch, "cuLaunchKernelEx");
    take(begin_capture, "cuStreamBeginCapture_v2");
    take(end_capture, "cuStreamEndCapture");
    take(make_graph, "cuGraphInstantiateWithFlags");
    take(launch_graph, "cuGraphLaunch");
    take(end_graph, "cuGraphExecDestroy");
    take(end_captured, "cuGraphDestroy");
    take(encode_tiled, "cuTensorMapEncodeTiled");
    take(error_name, "cuGetErrorName");
    stand_in_ = static_cast<bool>(library_.symbol<int()>("skillbench_stand_in"));
    return missing;
  }

  library library_;
  bool stand_in_ = false;
};

}  // namespace skillbench::cuda
