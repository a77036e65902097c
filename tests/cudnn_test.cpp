// cuDNN's door. Where the library is, its own planner looks at every graph, for a
// GPU that need not be there.
#include <skillbench/cuda/cudnn.hpp>

#include <dlfcn.h>

#include <cstdlib>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include <skillbench/vendor.hpp>

#if defined(SKILLBENCH_CUDNN_HEADERS)
#include <cudnn_graph.h>
#endif

using namespace skillbench;
namespace n = skillbench::cudnn_number;

namespace {

// An H100, as cuDNN wants to be told of one.
const char* const h100 =
    R"({"maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64], "regsPerBlock": 65536, "multiProcessorCount": 132,
        "warpSize": 32, "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448, "reservedSharedMemoryPerBlock": 1024,
        "maxRegistersPerSM": 65536, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "pciDeviceId": 0,
        "isTccDriver": 0, "supportCoopLaunch": 1, "totalGlobalMem": 85029158912, "smClockRateKHz": 1980000, "memClockRateKHz": 2619000,
        "l2CacheSize": 52428800, "cudaDeviceId": 0, "deviceVer": 900, "driverVer": 13000, "deviceName": "NVIDIA H100 80GB HBM3"})";

// The toolkit's library, or nothing and a word why.
std::unique_ptr<cuda::cudnn> opened() {
  const auto where = find_toolkit();
  auto made = cuda::cudnn::open(where ? where.value().library_folder : "");
  if (made) return std::move(made).value();
  REQUIRE(made.error().why == reason::library_missing);
  MESSAGE(made.error().what);
  return nullptr;
}

// cuDNN's compiler wants a driver to be found, were it the toolkit's stub, which
// answers every call with an error.
bool driver_found() {
  if (::dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL)) return true;
  const auto where = find_toolkit();
  if (!where) return false;
  return ::dlopen((where.value().library_folder + "/stubs/libcuda.so").c_str(), RTLD_NOW | RTLD_GLOBAL) != nullptr;
}

test_case rows_of(std::int64_t rows, std::int64_t cols) {
  test_case made;
  made.name = "rows";
  made.integers = {{"rows", rows}, {"cols", cols}};
  made.reals = {{"eps", 1e-5}};
  return made;
}

test_case heads_of(std::int64_t queries, std::int64_t keys, std::int64_t dim, bool causal) {
  test_case made;
  made.name = "heads";
  made.integers = {{"batch", 1}, {"heads", 2}, {"q_len", queries}, {"kv_len", keys}, {"head_dim", dim}, {"causal", causal}};
  made.reals = {{"scale", 0.125}};
  return made;
}

}  // namespace

#if defined(SKILLBENCH_CUDNN_HEADERS)
TEST_CASE("cudnn: our numbers are the library's") {
#define SAME(ours, theirs) static_assert(static_cast<int>(n::ours) == static_cast<int>(theirs))
  SAME(pointwise, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  SAME(engine_config, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  SAME(heuristics, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  SAME(execution_plan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  SAME(pointwise_operation, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  SAME(operation_graph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  SAME(variant_pack, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  SAME(tensor, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  SAME(matmul, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
  SAME(matmul_operation, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
  SAME(reduction, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
  SAME(reduction_operation, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
  SAME(norm_operation, CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR);
  SAME(pointwise_mode, CUDNN_ATTR_POINTWISE_MODE);
  SAME(pointwise_precision, CUDNN_ATTR_POINTWISE_MATH_PREC);
  SAME(pointwise_axis, CUDNN_ATTR_POINTWISE_AXIS);
  SAME(heuristics_mode, CUDNN_ATTR_ENGINEHEUR_MODE);
  SAME(heuristics_graph, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
  SAME(heuristics_results, CUDNN_ATTR_ENGINEHEUR_RESULTS);
  SAME(plan_engine_config, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
  SAME(plan_workspace, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
  SAME(pointwise_of, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
  SAME(pointwise_x, CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
  SAME(pointwise_b, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
  SAME(pointwise_y, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
  SAME(pointwise_t, CUDNN_ATTR_OPERATION_POINTWISE_TDESC);
  SAME(graph_operations, CUDNN_ATTR_OPERATIONGRAPH_OPS);
  SAME(tensor_alignment, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
  SAME(tensor_type, CUDNN_ATTR_TENSOR_DATA_TYPE);
  SAME(tensor_extents, CUDNN_ATTR_TENSOR_DIMENSIONS);
  SAME(tensor_strides, CUDNN_ATTR_TENSOR_STRIDES);
  SAME(tensor_id, CUDNN_ATTR_TENSOR_UNIQUE_ID);
  SAME(tensor_virtual, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
  SAME(tensor_by_value, CUDNN_ATTR_TENSOR_IS_BY_VALUE);
  SAME(pack_ids, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  SAME(pack_pointers, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  SAME(pack_workspace, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  SAME(matmul_precision, CUDNN_ATTR_MATMUL_COMP_TYPE);
  SAME(matmul_a, CUDNN_ATTR_OPERATION_MATMUL_ADESC);
  SAME(matmul_b, CUDNN_ATTR_OPERATION_MATMUL_BDESC);
  SAME(matmul_c, CUDNN_ATTR_OPERATION_MATMUL_CDESC);
  SAME(matmul_of, CUDNN_ATTR_OPERATION_MATMUL_DESC);
  SAME(reduction_operator, CUDNN_ATTR_REDUCTION_OPERATOR);
  SAME(reduction_precision, CUDNN_ATTR_REDUCTION_COMP_TYPE);
  SAME(reduction_x, CUDNN_ATTR_OPERATION_REDUCTION_XDESC);
  SAME(reduction_y, CUDNN_ATTR_OPERATION_REDUCTION_YDESC);
  SAME(reduction_of, CUDNN_ATTR_OPERATION_REDUCTION_DESC);
  SAME(norm_mode, CUDNN_ATTR_OPERATION_NORM_FWD_MODE);
  SAME(norm_phase, CUDNN_ATTR_OPERATION_NORM_FWD_PHASE);
  SAME(norm_x, CUDNN_ATTR_OPERATION_NORM_FWD_XDESC);
  SAME(norm_scale, CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC);
  SAME(norm_bias, CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC);
  SAME(norm_epsilon, CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC);
  SAME(norm_y, CUDNN_ATTR_OPERATION_NORM_FWD_YDESC);
  SAME(handle, CUDNN_TYPE_HANDLE);
  SAME(data_type, CUDNN_TYPE_DATA_TYPE);
  SAME(boolean, CUDNN_TYPE_BOOLEAN);
  SAME(int64, CUDNN_TYPE_INT64);
  SAME(void_pointer, CUDNN_TYPE_VOID_PTR);
  SAME(heuristics_mode_type, CUDNN_TYPE_HEUR_MODE);
  SAME(pointwise_mode_type, CUDNN_TYPE_POINTWISE_MODE);
  SAME(backend_descriptor, CUDNN_TYPE_BACKEND_DESCRIPTOR);
  SAME(reduction_operator_type, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE);
  SAME(character, CUDNN_TYPE_CHAR);
  SAME(norm_mode_type, CUDNN_TYPE_NORM_MODE);
  SAME(norm_phase_type, CUDNN_TYPE_NORM_FWD_PHASE);
  SAME(float32, CUDNN_DATA_FLOAT);
  SAME(half, CUDNN_DATA_HALF);
  SAME(int32, CUDNN_DATA_INT32);
  SAME(bfloat16, CUDNN_DATA_BFLOAT16);
  SAME(truth, CUDNN_DATA_BOOLEAN);
  SAME(add, CUDNN_POINTWISE_ADD);
  SAME(multiply, CUDNN_POINTWISE_MUL);
  SAME(divide, CUDNN_POINTWISE_DIV);
  SAME(subtract, CUDNN_POINTWISE_SUB);
  SAME(exponential, CUDNN_POINTWISE_EXP);
  SAME(logarithm, CUDNN_POINTWISE_LOG);
  SAME(gelu, CUDNN_POINTWISE_GELU_FWD);
  SAME(greater_or_equal, CUDNN_POINTWISE_CMP_GE);
  SAME(index, CUDNN_POINTWISE_GEN_INDEX);
  SAME(select, CUDNN_POINTWISE_BINARY_SELECT);
  SAME(sum, CUDNN_REDUCE_TENSOR_ADD);
  SAME(maximum, CUDNN_REDUCE_TENSOR_MAX);
  SAME(layer, CUDNN_LAYER_NORM);
  SAME(root_mean_square, CUDNN_RMS_NORM);
  SAME(inference, CUDNN_NORM_FWD_INFERENCE);
  SAME(best, CUDNN_HEUR_MODE_A);
  SAME(fallback, CUDNN_HEUR_MODE_FALLBACK);
#if CUDNN_VERSION >= 90800
  SAME(device_properties, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  SAME(heuristics_device, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP);
  SAME(plan_device, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP);
  SAME(device_handle, CUDNN_ATTR_DEVICEPROP_HANDLE);
  SAME(device_json, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
#endif
#undef SAME
}
#endif

TEST_CASE("cudnn: a library that is missing is told with where it was looked for") {
  ::setenv("SKILLBENCH_CUDNN", "/nowhere/libcudnn.so.9", 1);
  auto none = cuda::cudnn::open("/usr/lib");
  REQUIRE_FALSE(none);
  CHECK(none.error().why == reason::library_missing);
  CHECK(none.error().what.find("/nowhere/libcudnn.so.9") != std::string::npos);
  CHECK(none.error().what.find("set SKILLBENCH_CUDNN") != std::string::npos);

  // Another library under its name.
  ::setenv("SKILLBENCH_CUDNN", "libm.so.6", 1);
  auto other = cuda::cudnn::open("");
  REQUIRE_FALSE(other);
  CHECK(other.error().why == reason::library_failed);
  CHECK(other.error().what.find("libm.so.6 has no function cudnnGetVersion: it is no cuDNN 9") != std::string::npos);
  ::unsetenv("SKILLBENCH_CUDNN");
}

TEST_CASE("cudnn: a GPU's properties are read, and what is wanting in them is named") {
  const auto with = opened();
  if (!with) return;
  CHECK(with->version().substr(0, 2) == "9.");
  CHECK(with->device_of(h100));
  const auto bare = with->device_of("{}");
  REQUIRE_FALSE(bare);
  CHECK(bare.error().what.find("cudnnBackendFinalize on properties of a GPU: CUDNN_STATUS_BAD_PARAM (2000)") == 0);
}

TEST_CASE("cudnn: graphs that contradict themselves are refused by name") {
  const auto with = opened();
  if (!with) return;
  const auto device = with->device_of(h100);
  REQUIRE(device);
  vendor_graph graph = vendor_graph_of("layernorm", rows_of(64, 1024), element::f16).value();
  vendor_graph early = graph;
  early.descriptors.back().attributes[0].values = {static_cast<std::int64_t>(early.descriptors.size())};
  auto refused = with->plan_of(early, device.value());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().why == reason::bad_argument);
  // A tensor without strides.
  std::erase_if(graph.descriptors[0].attributes, [](const vendor_attribute& each) { return each.name == n::tensor_strides; });
  refused = with->plan_of(graph, device.value());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().what.find("cudnnBackendFinalize on part 0 (kind 17) of layer norm: CUDNN_STATUS_BAD_PARAM") == 0);
  CHECK_FALSE(with->plan_of(vendor_graph{}, device.value()));
}

// A graph that cuDNN does not know has no way: that is told as not supported. One
// that it knows is compiled, and what can fail then is the driver that takes the
// code; on a machine with a GPU the plan is made.
TEST_CASE("cudnn: its planner knows every graph, for an H100 that is not here") {
  const auto with = opened();
  if (!with) return;
  if (!driver_found()) {
    MESSAGE("neither a driver nor the toolkit's stub of one: nothing can be planned");
    return;
  }
  const auto device = with->device_of(h100);
  REQUIRE_MESSAGE(device, device.error().what);
  const auto known = [&](const char* family, const test_case& of, element type) {
    const auto graph = vendor_graph_of(family, of, type);
    REQUIRE(graph);
    const auto made = with->plan_of(graph.value(), device.value());
    if (made) return true;
    INFO(family, " ", std::string(name(type)), ": ", made.error().what);
    CHECK(made.error().why == reason::library_failed);
    CHECK(made.error().what.find("CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER (5001)") != std::string::npos);
    return made.error().why == reason::library_failed;
  };
  CHECK(known("layernorm", rows_of(2048, 32768), element::bf16));
  CHECK(known("layernorm", rows_of(61, 1001), element::f16));
  CHECK(known("rmsnorm", rows_of(64, 1024), element::f32));
  CHECK(known("geglu", rows_of(2048, 32768), element::bf16));
  CHECK(known("attention", heads_of(16384, 16384, 128, false), element::f16));
  CHECK(known("attention", heads_of(16384, 16384, 128, true), element::f16));
  CHECK(known("attention", heads_of(61, 257, 64, true), element::bf16));

  // Two products in a row are no attention.
  vendor_graph wrong = vendor_graph_of("attention", heads_of(512, 512, 64, false), element::f16).value();
  for (vendor_descriptor& each : wrong.descriptors)
    for (vendor_attribute& one : each.attributes)
      if (one.name == n::reduction_operator && one.type == n::reduction_operator_type) one.values = {n::sum};
  const auto made = with->plan_of(wrong, device.value());
  REQUIRE_FALSE(made);
  CHECK(made.error().why == reason::not_supported);
  CHECK(made.error().what.find("has no way for its attention") != std::string::npos);
}

TEST_CASE("cudnn: a plan for a GPU that is not here is not run") {
  const auto with = opened();
  if (!with) return;
  cuda::cudnn::plan empty;
  empty.what = "nothing";
  CHECK(with->run(empty, {1}, 0, nullptr).error().why == reason::bad_argument);
  CHECK(with->run(empty, {}, 0, nullptr).error().what == "nothing was planned for no GPU of this process");
}
