// A stand-in for libcudnn.so.9, for tests: it keeps the descriptors that it is
// given, looks at the types and numbers of their attributes, and knows one graph, a
// norm, which it runs as a copy of x to y on the stand-in for the driver.
//
// The file `control` beside the library, read anew at each use, asks for trouble:
//   none      no way for any graph
//   refused   a way that cannot be planned, because it is not supported
//   broken    a way that cannot be planned, because the driver failed
//   wrong     the copy leaves out the last element of each eight
//   sulks     nothing is run
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <skillbench/cuda/driver.hpp>
#include <skillbench/vendor_graph.hpp>

namespace {

namespace n = skillbench::cudnn_number;
using skillbench::cuda::launch_config;

constexpr int bad_param = 2000, not_supported = 3000, driver_failed = 5001;
std::string last;
int refuse(int status, const std::string& why) {
  last = why;
  return status;
}

struct descriptor {
  int kind = 0;
  bool finalized = false;
  std::map<int, std::vector<std::int64_t>> values;  // a pointer as its number
};

bool asked(const std::string& what) {
  Dl_info where{};
  if (!::dladdr(reinterpret_cast<void*>(&asked), &where)) return false;
  const std::string own = where.dli_fname;
  std::ifstream in(own.substr(0, own.rfind('/')) + "/control");
  for (std::string line; std::getline(in, line);)
    if (line == what) return true;
  return false;
}

// What the library wants of an attribute: its type, and how many; 0: one or more.
struct rule {
  int type = -1;
  std::int64_t count = 1;
};
rule rule_of(int name) {
  switch (name) {
    case n::pointwise_mode: return {n::pointwise_mode_type, 1};
    case n::pointwise_precision:
    case n::tensor_type:
    case n::matmul_precision:
    case n::reduction_precision: return {n::data_type, 1};
    case n::pointwise_axis:
    case n::tensor_id:
    case n::tensor_alignment: return {n::int64, 1};
    case n::tensor_extents:
    case n::tensor_strides:
    case n::pack_ids: return {n::int64, 0};
    case n::tensor_virtual:
    case n::tensor_by_value: return {n::boolean, 1};
    case n::pack_pointers: return {n::void_pointer, 0};
    case n::pack_workspace: return {n::void_pointer, 1};
    case n::graph_operations: return {n::backend_descriptor, 0};
    case n::norm_mode: return {n::norm_mode_type, 1};
    case n::norm_phase: return {n::norm_phase_type, 1};
    case n::heuristics_mode: return {n::heuristics_mode_type, 1};
    case n::reduction_operator: return {n::reduction_operator_type, 1};
    case n::device_handle: return {n::handle, 1};
    default: return {n::backend_descriptor, 1};
  }
}

std::size_t size_of(int type) {
  if (type == n::boolean || type == n::character) return 1;
  return type == n::int64 || type == n::void_pointer || type == n::backend_descriptor || type == n::handle ? 8 : 4;
}

struct handle {
  void* stream = nullptr;
  void* module = nullptr;
  void* copied = nullptr;
};

// The graph that the heuristics were last asked of, for there is one at a time.
descriptor* whole = nullptr;

const char* const kernel = R"(.version 7.8
.target sm_90
.address_size 64
.visible .entry library_copied(.param .u64 x, .param .u64 y, .param .u32 n, .param .u32 mask)
{
  .reg .pred %p<2>;
  .reg .b32 %r<8>;
  .reg .b64 %d<5>;
  mov.u32 %r0, %ctaid.x;
  mov.u32 %r1, %ntid.x;
  mov.u32 %r2, %tid.x;
  mad.lo.u32 %r3, %r0, %r1, %r2;
  ld.param.u32 %r4, [n];
  setp.ge.u32 %p0, %r3, %r4;
  @%p0 ret;
  ld.param.u32 %r6, [mask];
  and.b32 %r7, %r3, 7;
  ld.param.u64 %d0, [x];
  ld.param.u64 %d1, [y];
  mul.wide.u32 %d2, %r3, 4;
  add.u64 %d3, %d0, %d2;
  add.u64 %d4, %d1, %d2;
  ld.global.u32 %r5, [%d3];
  setp.eq.u32 %p1, %r7, %r6;
  @%p1 mov.u32 %r5, 0;
  st.global.u32 [%d4], %r5;
  ret;
}
)";

void* driver_call(const char* name) {
  static void* const held = ::dlopen(std::getenv("SKILLBENCH_DRIVER"), RTLD_NOW);
  return held ? ::dlsym(held, name) : nullptr;
}

descriptor* at(const descriptor& of, int name) {
  const auto found = of.values.find(name);
  return found == of.values.end() || found->second.empty() ? nullptr : reinterpret_cast<descriptor*>(found->second[0]);
}
std::int64_t number(const descriptor* of, int name) {
  if (!of) return 0;
  const auto found = of->values.find(name);
  return found == of->values.end() || found->second.empty() ? 0 : found->second[0];
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int skillbench_stand_in() { return 1; }
std::size_t cudnnGetVersion() { return 91900; }
const char* cudnnGetErrorString(int status) {
  return status == bad_param ? "CUDNN_STATUS_BAD_PARAM" : status == not_supported ? "CUDNN_STATUS_NOT_SUPPORTED" : "CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER";
}
void cudnnGetLastErrorString(char* into, std::size_t size) { std::snprintf(into, size, "%s\nand more", last.c_str()); }

int cudnnCreate(void** made) {
  *made = new handle;
  return 0;
}
int cudnnDestroy(void* held) {
  delete static_cast<handle*>(held);
  return 0;
}
int cudnnSetStream(void* held, void* stream) {
  static_cast<handle*>(held)->stream = stream;
  return 0;
}

int cudnnBackendCreateDescriptor(int kind, void** made) {
  auto* const fresh = new descriptor;
  fresh->kind = kind;
  *made = fresh;
  return 0;
}
int cudnnBackendDestroyDescriptor(void* held) {
  delete static_cast<descriptor*>(held);
  return 0;
}
int cudnnBackendSetAttribute(void* held, int name, int type, std::int64_t count, const void* values) {
  auto& of = *static_cast<descriptor*>(held);
  const rule wanted = rule_of(name);
  if (of.finalized) return refuse(bad_param, "the descriptor is finalized");
  if (type != wanted.type) return refuse(bad_param, "attribute " + std::to_string(name) + " has another type");
  if (wanted.count > 0 ? count != wanted.count : count < 1) return refuse(bad_param, "attribute " + std::to_string(name) + " has another count");
  std::vector<std::int64_t>& into = of.values[name];
  into.assign(static_cast<std::size_t>(count), 0);
  for (std::size_t i = 0; i < into.size(); ++i) std::memcpy(&into[i], static_cast<const char*>(values) + i * size_of(type), size_of(type));
  if (type == n::backend_descriptor)
    for (const std::int64_t each : into)
      if (!reinterpret_cast<descriptor*>(each)->finalized) return refuse(bad_param, "attribute " + std::to_string(name) + " is not finalized");
  return 0;
}
int cudnnBackendFinalize(void* held) {
  auto& of = *static_cast<descriptor*>(held);
  if (of.kind == n::tensor)
    for (const int need : {n::tensor_type, n::tensor_extents, n::tensor_strides, n::tensor_id, n::tensor_alignment})
      if (!of.values.count(need)) return refuse(bad_param, "a tensor lacks attribute " + std::to_string(need));
  if (of.kind == n::heuristics) {
    whole = at(of, n::heuristics_graph);
    if (!whole || !at(of, n::heuristics_device)) return refuse(bad_param, "no graph or no device");
  }
  if (of.kind == n::execution_plan && asked("refused")) return refuse(not_supported, "not for this GPU");
  if (of.kind == n::execution_plan && asked("broken")) return refuse(driver_failed, "cuLibraryLoadData returned error");
  of.finalized = true;
  return 0;
}
int cudnnBackendGetAttribute(const void* held, int name, int, std::int64_t room, std::int64_t* count, void* into) {
  const auto& of = *static_cast<const descriptor*>(held);
  if (!of.finalized) return refuse(bad_param, "the descriptor is not finalized");
  if (name == n::plan_workspace) {
    *static_cast<std::int64_t*>(into) = 256;
    *count = 1;
    return 0;
  }
  if (name != n::heuristics_results) return refuse(bad_param, "an attribute that is not told");
  const descriptor* const operation = whole ? at(*whole, n::graph_operations) : nullptr;
  *count = room > 0 && operation && operation->kind == n::norm_operation && !asked("none") ? 1 : 0;
  if (*count) reinterpret_cast<descriptor*>(static_cast<void**>(into)[0])->finalized = true;
  return 0;
}
int cudnnBackendExecute(void* held, void* plan, void* pack) {
  auto& with = *static_cast<handle*>(held);
  const auto& given = *static_cast<descriptor*>(pack);
  if (!static_cast<descriptor*>(plan)->finalized || !given.finalized) return refuse(bad_param, "the plan or the tensors are not finalized");
  if (asked("sulks")) return refuse(driver_failed, "the library sulks");
  const descriptor* const operation = at(*whole, n::graph_operations);
  const auto ids = given.values.find(n::pack_ids), places = given.values.find(n::pack_pointers);
  if (ids == given.values.end() || places == given.values.end() || ids->second.size() != places->second.size()) return refuse(bad_param, "no tensors");
  if (number(&given, n::pack_workspace) == 0) return refuse(bad_param, "no workspace");
  const auto place = [&](int name) -> std::int64_t {
    for (std::size_t i = 0; i < ids->second.size(); ++i)
      if (ids->second[i] == number(at(*operation, name), n::tensor_id)) return places->second[i];
    return 0;
  };
  std::int64_t x = place(n::norm_x), y = place(n::norm_y);
  const std::int64_t epsilon = place(n::norm_epsilon);
  if (x == 0 || y == 0 || epsilon == 0 || *reinterpret_cast<const float*>(epsilon) != 0.5f) return refuse(bad_param, "x, y or epsilon is missing");
  if (number(at(*operation, n::norm_x), n::tensor_type) != n::float32) return refuse(bad_param, "only float");

  const auto load = reinterpret_cast<int (*)(void**, const void*, unsigned, int*, void**)>(driver_call("cuModuleLoadDataEx"));
  const auto find = reinterpret_cast<int (*)(void**, void*, const char*)>(driver_call("cuModuleGetFunction"));
  const auto launch = reinterpret_cast<int (*)(const launch_config*, void*, void**, void**)>(driver_call("cuLaunchKernelEx"));
  if (!load || !find || !launch) return refuse(driver_failed, "no driver");
  if (!with.copied && (load(&with.module, kernel, 0, nullptr, nullptr) != 0 || find(&with.copied, with.module, "library_copied") != 0)) return refuse(driver_failed, "no kernel");
  std::int32_t count = 1, mask = asked("wrong") ? 7 : 8;
  for (const std::int64_t each : at(*operation, n::norm_x)->values[n::tensor_extents]) count *= static_cast<std::int32_t>(each);
  launch_config config;
  config.block[0] = 64;
  config.grid[0] = static_cast<unsigned>(count + 63) / 64;
  config.stream = with.stream;
  void* values[] = {&x, &y, &count, &mask};
  return launch(&config, with.copied, values, nullptr) == 0 ? 0 : refuse(driver_failed, "the launch failed");
}

}  // extern "C"
#pragma GCC visibility pop
