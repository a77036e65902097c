#include <skillbench/occupancy.hpp>

#include <doctest/doctest.h>

#if defined(SKILLBENCH_CUPTI_HEADERS)
#include <cuda_occupancy.h>
#endif

using namespace skillbench;

TEST_CASE("occupancy: what limits a kernel is named") {
  CHECK(occupancy_of({256, 32, 0}).ctas == 8);
  CHECK(occupancy_of({256, 32, 0}).share == 1.0);
  CHECK(occupancy_of({256, 32, 0}).limit == occupancy_limit::threads);
  CHECK(occupancy_of({32, 16, 0}).limit == occupancy_limit::ctas);
  CHECK(occupancy_of({256, 128, 0}).ctas == 2);
  CHECK(occupancy_of({256, 128, 0}).limit == occupancy_limit::registers);
  CHECK(occupancy_of({128, 32, 100 * 1024}).ctas == 2);
  CHECK(occupancy_of({128, 32, 100 * 1024}).limit == occupancy_limit::shared);
  CHECK(occupancy_of({1024, 65, 0}).ctas == 0);
  CHECK(occupancy_of({1024, 65, 0}).limit == occupancy_limit::does_not_fit);
  CHECK(occupancy_of({1025, 1, 0}).ctas == 0);
  CHECK(occupancy_of({128, 32, h100::most_shared + 1}).ctas == 0);
  CHECK(occupancy_of({128, 32, h100::most_shared}).ctas == 1);
}

#if defined(SKILLBENCH_CUPTI_HEADERS)
TEST_CASE("occupancy: as cuda_occupancy.h has it") {
  cudaOccDeviceProp gpu;
  gpu.computeMajor = 9;
  gpu.computeMinor = 0;
  gpu.maxThreadsPerBlock = 1024;
  gpu.maxThreadsPerMultiprocessor = 2048;
  gpu.regsPerBlock = 65536;
  gpu.regsPerMultiprocessor = 65536;
  gpu.warpSize = 32;
  gpu.sharedMemPerBlock = 49152;
  gpu.sharedMemPerMultiprocessor = 233472;
  gpu.numSms = 132;
  gpu.sharedMemPerBlockOptin = h100::most_shared;
  gpu.reservedSharedMemPerBlock = 1024;
  int compared = 0;
  for (int threads = 1; threads <= 1024; threads += 31)
    for (int registers = 1; registers <= 255; registers += 7)
      for (int shared = 0; shared <= h100::most_shared; shared += 11111) {
        cudaOccFuncAttributes kernel;
        kernel.maxThreadsPerBlock = 1024;
        kernel.numRegs = registers;
        kernel.sharedSizeBytes = 0;
        kernel.partitionedGCConfig = PARTITIONED_GC_OFF;
        kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
        kernel.maxDynamicSharedSizeBytes = static_cast<std::size_t>(shared);
        cudaOccDeviceState state;
        state.cacheConfig = CACHE_PREFER_SHARED;
        state.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
        cudaOccResult theirs;
        REQUIRE(cudaOccMaxActiveBlocksPerMultiprocessor(&theirs, &gpu, &kernel, &state, threads, static_cast<std::size_t>(shared)) == CUDA_OCC_SUCCESS);
        CAPTURE(threads);
        CAPTURE(registers);
        CAPTURE(shared);
        REQUIRE(occupancy_of({threads, registers, shared}).ctas == theirs.activeBlocksPerMultiprocessor);
        ++compared;
      }
  CHECK(compared > 10'000);
}
#endif
