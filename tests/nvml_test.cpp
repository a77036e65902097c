#include <skillbench/cuda/nvml.hpp>

#include <string>

#include <doctest/doctest.h>

using namespace skillbench;

TEST_CASE("nvml: without the library clocks cannot be read, and it says so") {
  const auto none = cuda::nvml::open("/nowhere/libnvidia-ml.so.1");
  REQUIRE_FALSE(none);
  CHECK(none.error().why == reason::library_missing);
  CHECK(none.error().what.find("clocks cannot be read") == 0);
  const auto other = cuda::nvml::open("libm.so.6");
  REQUIRE_FALSE(other);
  CHECK(other.error().why == reason::library_failed);
  CHECK(other.error().what.find("nvmlInit_v2") != std::string::npos);
}

TEST_CASE("nvml: why clocks are held back, in words") {
  CHECK(cuda::reason_words(0) == "none");
  CHECK(cuda::reason_words(0x4 | 0x20) == "power cap, thermal");
  CHECK((cuda::held_back & 0x1) == 0);
  CHECK((cuda::held_back & 0x4) != 0);
}
