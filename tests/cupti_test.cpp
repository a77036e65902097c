#include <skillbench/cuda/cupti.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <skillbench/timing.hpp>

#if defined(SKILLBENCH_CUPTI_HEADERS)
#include <cupti.h>
#include <cupti_profiler_host.h>
#include <cupti_range_profiler.h>
#include <cupti_target.h>
#endif

using namespace skillbench;
namespace abi = skillbench::cuda::cupti_abi;

namespace {

result<cuda::cupti> opened() {
  const auto where = find_toolkit();
  if (!where) return where.error();
  return cuda::cupti::open(where.value());
}

// No CUPTI at all is a reason to skip; anything else is looked at.
bool missing(const result<cuda::cupti>& door) {
  if (door) return false;
  REQUIRE(door.error().why == reason::library_missing);
  MESSAGE(door.error().what);
  return true;
}

}  // namespace

#if defined(SKILLBENCH_CUPTI_HEADERS)
TEST_CASE("cupti: our structures lie as the toolkit's") {
#define SAME(ours, field, theirs, other)                       \
  CHECK(offsetof(abi::ours, field) == offsetof(theirs, other)); \
  CHECK(sizeof(abi::ours{}.field) == sizeof(theirs{}.other))
#define SIZE(ours, theirs, last) CHECK(sizeof(abi::ours) == CUPTI_PROFILER_STRUCT_SIZE(theirs, last))
  SIZE(host_initialize, CUpti_Profiler_Host_Initialize_Params, pHostObject);
  SAME(host_initialize, chip, CUpti_Profiler_Host_Initialize_Params, pChipName);
  SAME(host_initialize, host, CUpti_Profiler_Host_Initialize_Params, pHostObject);
  SIZE(host_deinitialize, CUpti_Profiler_Host_Deinitialize_Params, pHostObject);
  SIZE(host_chips, CUpti_Profiler_Host_GetSupportedChips_Params, ppChipNames);
  SIZE(host_base_metrics, CUpti_Profiler_Host_GetBaseMetrics_Params, numMetrics);
  SAME(host_base_metrics, names, CUpti_Profiler_Host_GetBaseMetrics_Params, ppMetricNames);
  CHECK(abi::properties_size == CUPTI_PROFILER_STRUCT_SIZE(CUpti_Profiler_Host_GetMetricProperties_Params, metricType));
  SAME(host_properties, unit, CUpti_Profiler_Host_GetMetricProperties_Params, pDimUnit);
  SIZE(host_add_metrics, CUpti_Profiler_Host_ConfigAddMetrics_Params, numMetrics);
  SIZE(host_image_size, CUpti_Profiler_Host_GetConfigImageSize_Params, configImageSize);
  SIZE(host_image, CUpti_Profiler_Host_GetConfigImage_Params, pConfigImage);
  SIZE(host_passes, CUpti_Profiler_Host_GetNumOfPasses_Params, numOfPasses);
  SIZE(host_values, CUpti_Profiler_Host_EvaluateToGpuValues_Params, pMetricValues);
  SIZE(profiler_initialize, CUpti_Profiler_Initialize_Params, pPriv);
  SIZE(chip_name, CUpti_Device_GetChipName_Params, pChipName);
  SIZE(range_enable, CUpti_RangeProfiler_Enable_Params, pRangeProfilerObject);
  SIZE(range_object, CUpti_RangeProfiler_Start_Params, pRangeProfilerObject);
  SIZE(range_object, CUpti_RangeProfiler_Disable_Params, pRangeProfilerObject);
  SIZE(range_object, CUpti_RangeProfiler_PopRange_Params, pRangeProfilerObject);
  SIZE(range_push, CUpti_RangeProfiler_PushRange_Params, pRangeName);
  CHECK(abi::stop_size == CUPTI_PROFILER_STRUCT_SIZE(CUpti_RangeProfiler_Stop_Params, isAllPassSubmitted));
  SIZE(range_decode, CUpti_RangeProfiler_DecodeData_Params, numOfRangeDropped);
  SIZE(range_data_size, CUpti_RangeProfiler_GetCounterDataSize_Params, counterDataSize);
  SAME(range_data_size, nodes, CUpti_RangeProfiler_GetCounterDataSize_Params, maxNumRangeTreeNodes);
  SIZE(range_data, CUpti_RangeProfiler_CounterDataImage_Initialize_Params, pCounterData);
  CHECK(abi::config_size == CUPTI_PROFILER_STRUCT_SIZE(CUpti_RangeProfiler_SetConfig_Params, targetNestingLevel));
  SAME(range_config, data, CUpti_RangeProfiler_SetConfig_Params, pCounterDataImage);
  SAME(range_config, replay, CUpti_RangeProfiler_SetConfig_Params, replayMode);
  SAME(range_config, levels, CUpti_RangeProfiler_SetConfig_Params, numNestingLevels);
  SAME(range_config, pass, CUpti_RangeProfiler_SetConfig_Params, passIndex);
  SAME(kernel_record, start, CUpti_ActivityKernel10, start);
  SAME(kernel_record, end, CUpti_ActivityKernel10, end);
  SAME(kernel_record, correlation, CUpti_ActivityKernel10, correlationId);
  SAME(external_record, external, CUpti_ActivityExternalCorrelation, externalId);
  SAME(external_record, correlation, CUpti_ActivityExternalCorrelation, correlationId);
  CHECK(abi::kernel_kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
  CHECK(abi::external_kind == CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION);
  CHECK(abi::custom == CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0);
  CHECK(abi::user_range == CUPTI_UserRange);
  CHECK(abi::user_replay == CUPTI_UserReplay);
#undef SAME
#undef SIZE
}
#endif

TEST_CASE("cupti: GH100 is a chip, and its default counters fit in one pass") {
  const auto door = opened();
  if (missing(door)) return;
  const auto chips = door.value().chips();
  REQUIRE(chips);
  CHECK(std::count(chips.value().begin(), chips.value().end(), "GH100") == 1);

  auto of = cuda::metrics::of(door.value(), "GH100");
  REQUIRE_MESSAGE(of, of.error().what);
  const auto names = of.value().names();
  REQUIRE(names);
  CHECK(names.value().size() > 1000);
  CHECK(std::count(names.value().begin(), names.value().end(), "dram__bytes_read") == 1);
  const auto words = of.value().describe("dram__bytes_read");
  REQUIRE(words);
  CHECK(words.value().unit.find("byte") != std::string::npos);

  REQUIRE(of.value().add(default_metrics()));
  CHECK(of.value().image().size() > 1000);
  CHECK(std::any_of(of.value().image().begin(), of.value().image().end(), [](auto byte) { return byte != 0; }));
  const auto passes = of.value().passes();
  REQUIRE(passes);
  CHECK(passes.value() == 1);
}

TEST_CASE("cupti: a breakdown takes several passes") {
  const auto door = opened();
  if (missing(door)) return;
  auto of = cuda::metrics::of(door.value(), "GH100");
  REQUIRE(of);
  REQUIRE(of.value().add({"sm__throughput.avg.pct_of_peak_sustained_elapsed"}));
  const auto passes = of.value().passes();
  REQUIRE(passes);
  CHECK(passes.value() > 1);
}

TEST_CASE("cupti: a metric and a chip that are not there are named") {
  const auto door = opened();
  if (missing(door)) return;
  const auto chip = cuda::metrics::of(door.value(), "GH999");
  REQUIRE_FALSE(chip);
  CHECK(chip.error().what.find("GH999") != std::string::npos);
  auto of = cuda::metrics::of(door.value(), "GH100");
  REQUIRE(of);
  const auto added = of.value().add({"dram__bytes_read.sum", "no__such_metric.sum"});
  REQUIRE_FALSE(added);
  CHECK(added.error().why == reason::bad_argument);
  CHECK(added.error().what.find("no__such_metric.sum") != std::string::npos);
}

TEST_CASE("cupti: a refusal says what to do") {
  const auto door = opened();
  if (missing(door)) return;
  for (const int said : {35, 41, 43}) CHECK(door.value().trouble(said, "cuptiRangeProfilerEnable", "GPU 0").why == reason::no_permission);
  const fault refused = door.value().trouble(35, "cuptiRangeProfilerEnable", "GPU 0");
  CHECK(refused.what.find("cuptiRangeProfilerEnable on GPU 0") == 0);
  CHECK(refused.what.find("NVreg_RestrictProfilingToAdminUsers=0") != std::string::npos);
  CHECK(door.value().trouble(1, "x", "y").why == reason::library_failed);
}

TEST_CASE("cupti: without the library the folder is named") {
  toolkit nowhere;
  nowhere.root = "/nowhere";
  nowhere.library_folder = "/nowhere/lib64";
  const auto door = cuda::cupti::open(nowhere);
  REQUIRE_FALSE(door);
  CHECK(door.error().why == reason::library_missing);
  CHECK(door.error().what.find("/nowhere/lib64") != std::string::npos);
}
