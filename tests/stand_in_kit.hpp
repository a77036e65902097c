#pragma once
// stand_in_kit.hpp: a stand-in for the driver, and a worker that runs on it.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include <skillbench/child.hpp>
#include <skillbench/cli/gpus.hpp>
#include <skillbench/device/remote.hpp>

namespace kit {

using namespace skillbench;

// A stand-in of its own: what it is asked to go wrong with lies beside it.
struct stand_in {
  std::filesystem::path folder;
  explicit stand_in(const std::string& name) : folder(std::filesystem::path(SKILLBENCH_TEST_DIR) / "stand_ins" / name) {
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    std::filesystem::copy_file(std::filesystem::path(SKILLBENCH_TEST_DIR) / "stand_in" / "libcuda.so.1", folder / "libcuda.so.1");
    ::setenv("SKILLBENCH_DRIVER", driver().c_str(), 1);
    ::setenv("SKILLBENCH_NVML", "/nowhere/libnvidia-ml.so.1", 1);
    ::setenv("SKILLBENCH_LOCKS", folder.c_str(), 1);
  }
  ~stand_in() {
    ::unsetenv("SKILLBENCH_DRIVER");
    ::unsetenv("SKILLBENCH_NVML");
    ::unsetenv("SKILLBENCH_LOCKS");
  }
  stand_in(const stand_in&) = delete;
  stand_in& operator=(const stand_in&) = delete;
  [[nodiscard]] std::string driver() const { return (folder / "libcuda.so.1").string(); }
  void ask(const std::string& lines) const { std::ofstream(folder / "control") << lines; }
};

// A stand-in for cuDNN beside it, which does as its own control file asks.
struct stand_in_cudnn {
  std::filesystem::path folder;
  explicit stand_in_cudnn(const stand_in& with) : folder(with.folder / "cudnn") {
    std::filesystem::create_directories(folder);
    std::filesystem::copy_file(std::filesystem::path(SKILLBENCH_TEST_DIR) / "stand_in" / "libcudnn.so.9", folder / "libcudnn.so.9");
    ::setenv("SKILLBENCH_CUDNN", (folder / "libcudnn.so.9").c_str(), 1);
  }
  ~stand_in_cudnn() { ::unsetenv("SKILLBENCH_CUDNN"); }
  stand_in_cudnn(const stand_in_cudnn&) = delete;
  stand_in_cudnn& operator=(const stand_in_cudnn&) = delete;
  void ask(const std::string& lines) const { std::ofstream(folder / "control") << lines; }
};

inline const toolkit& tools() {
  static const toolkit found = find_toolkit().value();
  return found;
}

inline std::unique_ptr<remote> worker() {
  child_command asked;
  asked.program = std::string(SKILLBENCH_TEST_DIR) + "/cuda_worker";
  asked.arguments = {"0"};
  asked.environment = cli::gpu_environment(tools());
  auto started = remote::start(asked, cli::gpu_limits());
  REQUIRE_MESSAGE(started, started.error().what);
  return std::move(started).value();
}

}  // namespace kit
