#pragma once
// cuda/nvml.hpp: clocks, temperature, power and MIG of a GPU, as NVML tells.
//
// Layer   3. cuda/library.hpp; prototypes are our own. Reads, and sets nothing.
// Units   MHz, degrees Celsius, watts; reasons are the bits of NVML.
// Errors  Opening can fail; what a GPU does not tell is absent, not zero.
// Place   SKILLBENCH_NVML names the library; else the loader looks for
//         libnvidia-ml.so.1.
// Source  NVML API reference: nvmlDeviceGetClockInfo, clocks event reasons.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include <skillbench/cuda/library.hpp>
#include <skillbench/fault.hpp>

namespace skillbench::cuda {

// What can be asked between two samples.
struct gpu_state {
  std::optional<unsigned> sm_mhz, memory_mhz, celsius;
  std::optional<double> watts;
  std::optional<std::uint64_t> reasons;  // why clocks are not higher
};

// The bits that say that a GPU was held back; idle (0x1), application clocks
// (0x2) and the display's (0x100) do not.
inline constexpr std::uint64_t held_back = 0x4 | 0x8 | 0x20 | 0x40 | 0x80;

[[nodiscard]] inline std::string reason_words(std::uint64_t bits) {
  static constexpr std::pair<std::uint64_t, const char*> known[] = {
      {0x1, "idle"},        {0x2, "application clocks"}, {0x4, "power cap"},
      {0x8, "hardware slowdown"}, {0x10, "sync boost"},  {0x20, "thermal"},
      {0x40, "hardware thermal"}, {0x80, "power brake"}, {0x100, "display"}};
  std::string text;
  for (const auto& [bit, word] : known)
    if (bits & bit) text += (text.empty() ? "" : ", ") + std::string(word);
  return text.empty() ? "none" : text;
}

class nvml {
 public:
  [[nodiscard]] static result<nvml> open(std::string name = {}) {
    if (name.empty()) {
      const char* const told = std::getenv("SKILLBENCH_NVML");
      name = told && *told ? told : "libnvidia-ml.so.1";
    }
    auto opened = library::open(name, library::lifetime::process);
    if (!opened)
      return fault{reason::library_missing, "clocks cannot be read: " + opened.error().what};
    nvml made(std::move(opened).value());
    int (*init)() = nullptr;
    made.take(init, "nvmlInit_v2");
    made.take(made.by_uuid_, "nvmlDeviceGetHandleByUUID");
    if (!init || !made.by_uuid_)
      return fault{reason::library_failed, "clocks cannot be read: the library " + name + " has no nvmlInit_v2 or no nvmlDeviceGetHandleByUUID"};
    made.take(made.error_, "nvmlErrorString");
    made.take(made.clock_, "nvmlDeviceGetClockInfo");
    made.take(made.most_clock_, "nvmlDeviceGetMaxClockInfo");
    made.take(made.temperature_, "nvmlDeviceGetTemperature");
    made.take(made.power_, "nvmlDeviceGetPowerUsage");
    made.take(made.reasons_, "nvmlDeviceGetCurrentClocksEventReasons");
    if (!made.reasons_) made.take(made.reasons_, "nvmlDeviceGetCurrentClocksThrottleReasons");
    made.take(made.mig_, "nvmlDeviceGetMigMode");
    made.take(made.driver_, "nvmlSystemGetDriverVersion");
    if (const int said = init(); said != 0) return made.trouble(said, "nvmlInit", "the driver");
    return made;
  }

  [[nodiscard]] result<void*> find(const std::string& uuid) const {
    void* found = nullptr;
    if (const int said = by_uuid_(uuid.c_str(), &found); said != 0) return trouble(said, "nvmlDeviceGetHandleByUUID", uuid);
    return found;
  }

  [[nodiscard]] gpu_state state(void* of) const {
    gpu_state told;
    unsigned value = 0;
    unsigned long long bits = 0;
    if (clock_ && clock_(of, 1, &value) == 0) told.sm_mhz = value;
    if (clock_ && clock_(of, 2, &value) == 0) told.memory_mhz = value;
    if (temperature_ && temperature_(of, 0, &value) == 0) told.celsius = value;
    if (power_ && power_(of, &value) == 0) told.watts = value / 1000.0;
    if (reasons_ && reasons_(of, &bits) == 0) told.reasons = bits;
    return told;
  }
  [[nodiscard]] std::optional<unsigned> most_sm_mhz(void* of) const {
    unsigned value = 0;
    if (most_clock_ && most_clock_(of, 1, &value) == 0) return value;
    return std::nullopt;
  }
  [[nodiscard]] std::optional<bool> mig(void* of) const {
    unsigned now = 0, later = 0;
    if (mig_ && mig_(of, &now, &later) == 0) return now != 0;
    return std::nullopt;
  }
  [[nodiscard]] std::string driver_version() const {
    char text[96] = "";
    return driver_ && driver_(text, sizeof text) == 0 ? text : "";
  }

 private:
  explicit nvml(library from) : library_(std::move(from)) {}

  template <typename R, typename... A>
  void take(R (*&into)(A...), const char* called) {
    if (auto found = library_.symbol<R(A...)>(called)) into = found.value();
  }
  [[nodiscard]] fault trouble(int said, const std::string& call, const std::string& on) const {
    const char* const text = error_ ? error_(said) : nullptr;
    return fault{reason::library_failed, call + " on " + on + ": " + (text ? text : "error") + " (" + std::to_string(said) + ")"};
  }

  library library_;
  int (*by_uuid_)(const char*, void**) = nullptr;
  const char* (*error_)(int) = nullptr;
  int (*clock_)(void*, int, unsigned*) = nullptr;
  int (*most_clock_)(void*, int, unsigned*) = nullptr;
  int (*temperature_)(void*, int, unsigned*) = nullptr;
  int (*power_)(void*, unsigned*) = nullptr;
  int (*reasons_)(void*, unsigned long long*) = nullptr;
  int (*mig_)(void*, unsigned*, unsigned*) = nullptr;
  int (*driver_)(char*, unsigned) = nullptr;
};

}  // namespace skillbench::cuda
