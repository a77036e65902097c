#include <skillbench/cuda/driver.hpp>

#include <string>

#include <doctest/doctest.h>

#include "stand_in_kit.hpp"

#if defined(SKILLBENCH_CUPTI_HEADERS)
#include <cuda.h>
#endif

using namespace skillbench;

TEST_CASE("driver: without a library it says what is missing") {
  const auto none = cuda::driver::open("/nowhere/libcuda.so.1");
  REQUIRE_FALSE(none);
  CHECK(none.error().why == reason::no_device);
  CHECK(none.error().what.find("there is no NVIDIA driver on this machine") != std::string::npos);
  CHECK(none.error().what.find("/nowhere/libcuda.so.1") != std::string::npos);
}

TEST_CASE("driver: a library that is none lacks a function, which is named") {
  const auto other = cuda::driver::open("libm.so.6");
  REQUIRE_FALSE(other);
  CHECK(other.error().why == reason::no_device);
  CHECK(other.error().what.find("has no function cuInit") != std::string::npos);
}

TEST_CASE("driver: what a GPU is, and what errors are called") {
  const kit::stand_in here("facts");
  const auto driver = cuda::driver::open();
  REQUIRE_MESSAGE(driver, driver.error().what);
  CHECK(driver.value().stand_in());
  CHECK(driver.value().devices().value() == 1);
  const auto facts = driver.value().facts(0);
  REQUIRE(facts);
  CHECK(facts.value().major == 9);
  CHECK(facts.value().multiprocessors == 132);
  CHECK(facts.value().uuid == "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f");
  CHECK(facts.value().memory_bytes_per_second() == doctest::Approx(3352e9).epsilon(0.001));
  const auto none = driver.value().facts(7);
  REQUIRE_FALSE(none);
  CHECK(none.error().why == reason::no_device);
  CHECK(none.error().what == "cuDeviceGet on GPU 7: CUDA_ERROR_INVALID_DEVICE (101)");
  CHECK(driver.value().trouble(2, "cuMemAlloc", "GPU 0").why == reason::too_large);
  CHECK(driver.value().trouble(12345, "x", "y").what == "x on y: error 12345");
}

TEST_CASE("driver: one that cannot be started is no device") {
  const kit::stand_in here("init");
  here.ask("init 100\n");
  const auto driver = cuda::driver::open();
  REQUIRE_FALSE(driver);
  CHECK(driver.error().why == reason::no_device);
  CHECK(driver.error().what.find("cuInit on the driver") == 0);
  CHECK(driver.error().what.find("CUDA_ERROR_NO_DEVICE (100)") != std::string::npos);
}

TEST_CASE("driver: which errors end a context, and whose doing they are") {
  for (const int said : {700, 710, 714, 715, 716, 717, 718, 719}) {
    CHECK(cuda::is_sticky(said));
    CHECK(cuda::is_of_the_kernel(said));
  }
  for (const int said : {214, 702, 999}) {
    CHECK(cuda::is_sticky(said));
    CHECK_FALSE(cuda::is_of_the_kernel(said));
  }
  for (const int said : {0, 1, 2, 218, 500, 600, 701, 709, 711, 713, 720, 912}) CHECK_FALSE(cuda::is_sticky(said));
}

#if defined(SKILLBENCH_CUPTI_HEADERS)
TEST_CASE("driver: our numbers and structures are the toolkit's") {
  using cuda::attribute;
  const auto same = [](auto ours, auto theirs) { CHECK(static_cast<int>(ours) == static_cast<int>(theirs)); };
  same(attribute::clock_khz, CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
  same(attribute::multiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  same(attribute::compute_mode, CU_DEVICE_ATTRIBUTE_COMPUTE_MODE);
  same(attribute::ecc, CU_DEVICE_ATTRIBUTE_ECC_ENABLED);
  same(attribute::memory_clock_khz, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
  same(attribute::memory_bus_bits, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
  same(attribute::l2_bytes, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
  same(attribute::threads_of_sm, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
  same(attribute::major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  same(attribute::minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  same(attribute::shared_of_sm, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
  same(attribute::registers_of_sm, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR);
  same(attribute::pageable_access, CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS);
  same(attribute::shared_of_cta, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  same(attribute::ctas_of_sm, CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR);
  same(attribute::reserved_shared, CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK);
  using cuda::of_function;
  same(of_function::threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
  same(of_function::static_shared, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
  same(of_function::local_bytes, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES);
  same(of_function::registers, CU_FUNC_ATTRIBUTE_NUM_REGS);
  same(of_function::dynamic_shared, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
  same(of_function::any_cluster, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED);
  same(cuda::cluster_attribute, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
  same(cuda::relaxed_capture, CU_STREAM_CAPTURE_MODE_RELAXED);
  CHECK(sizeof(cuda::launch_config) == sizeof(CUlaunchConfig));
  CHECK(offsetof(cuda::launch_config, stream) == offsetof(CUlaunchConfig, hStream));
  CHECK(offsetof(cuda::launch_config, attribute_count) == offsetof(CUlaunchConfig, numAttrs));
  CHECK(sizeof(cuda::launch_attribute) == sizeof(CUlaunchAttribute));
  CHECK(offsetof(cuda::launch_attribute, value) == offsetof(CUlaunchAttribute, value));
  CHECK(sizeof(cuda::tensor_map) == sizeof(CUtensorMap));
  CHECK(alignof(cuda::tensor_map) == alignof(CUtensorMap));
  same(cuda::out_of_memory, CUDA_ERROR_OUT_OF_MEMORY);
  same(cuda::no_gpu, CUDA_ERROR_NO_DEVICE);
  same(cuda::invalid_device, CUDA_ERROR_INVALID_DEVICE);
  same(cuda::no_binary, CUDA_ERROR_NO_BINARY_FOR_GPU);
  same(cuda::ecc_uncorrectable, CUDA_ERROR_ECC_UNCORRECTABLE);
  same(cuda::invalid_ptx, CUDA_ERROR_INVALID_PTX);
  same(cuda::unsupported_ptx, CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  same(cuda::not_found, CUDA_ERROR_NOT_FOUND);
  same(cuda::not_ready, CUDA_ERROR_NOT_READY);
  same(cuda::illegal_address, CUDA_ERROR_ILLEGAL_ADDRESS);
  same(cuda::out_of_resources, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  same(cuda::launch_timeout, CUDA_ERROR_LAUNCH_TIMEOUT);
  same(cuda::assert_failed, CUDA_ERROR_ASSERT);
  same(cuda::stack_error, CUDA_ERROR_HARDWARE_STACK_ERROR);
  same(cuda::illegal_instruction, CUDA_ERROR_ILLEGAL_INSTRUCTION);
  same(cuda::misaligned_address, CUDA_ERROR_MISALIGNED_ADDRESS);
  same(cuda::invalid_space, CUDA_ERROR_INVALID_ADDRESS_SPACE);
  same(cuda::invalid_pc, CUDA_ERROR_INVALID_PC);
  same(cuda::launch_failed, CUDA_ERROR_LAUNCH_FAILED);
  same(cuda::invalid_cluster, CUDA_ERROR_INVALID_CLUSTER_SIZE);
  same(6, CU_TENSOR_MAP_DATA_TYPE_FLOAT16);
  same(7, CU_TENSOR_MAP_DATA_TYPE_FLOAT32);
  same(9, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16);
  same(3, CU_TENSOR_MAP_SWIZZLE_128B);
  same(5, CU_JIT_ERROR_LOG_BUFFER);
  same(6, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
}
#endif
