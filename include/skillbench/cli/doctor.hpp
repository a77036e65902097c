#pragma once
// cli/doctor.hpp: `skillbench doctor`: what this machine can do.
//
// Layer   7. Asks each door the question that a run would ask.

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/cache.hpp>
#include <skillbench/cli/devices.hpp>
#include <skillbench/cli/measure.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/cuda/cupti.hpp>
#include <skillbench/cuda/driver.hpp>
#include <skillbench/cuda/library.hpp>
#include <skillbench/cuda/nvml.hpp>
#include <skillbench/disk_cache.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/version.hpp>

namespace skillbench::cli {

struct examined {
  std::string name;
  enum class state { good, missing, absent } how = state::good;
  std::string what;    // found, or not
  std::string remedy;  // "" when there is nothing to do
};

// What the compiler was told to use; "" when the processor has it all.
[[nodiscard]] inline std::string missing_processor_features() {
  std::string missing;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const auto need = [&](bool has, const char* feature) {
    if (!has) missing += (missing.empty() ? "" : ", ") + std::string(feature);
  };
#if defined(__AVX2__)
  need(__builtin_cpu_supports("avx2"), "AVX2");
#endif
#if defined(__FMA__)
  need(__builtin_cpu_supports("fma"), "FMA");
#endif
#if defined(__F16C__)
  unsigned a = 0, b = 0, c = 0, d = 0;  // not all compilers know its name
  need(__get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0, "F16C");
#endif
#endif
  return missing;
}

// The compile cache; nothing is made or changed.
[[nodiscard]] inline examined examine_cache(const cache_choice& asked) {
  using state = examined::state;
  examined told{"compile cache", state::absent, "", ""};
  const std::string remedy =
      "nothing: sources are compiled anew each time. Or set " +
      std::string(cache_variable) + " to a folder of yours";
  const cache_place place = asked.off || !asked.folder.empty()
                                ? cache_place{asked.folder, "", asked.off}
                                : default_cache_place();
  if (place.folder.empty() || asked.off) {
    told.what = asked.off ? "turned off" : place.why_not;
    if (!place.turned_off) told.remedy = remedy;
    return told;
  }
  std::string there = place.folder;  // as far as the path exists
  while (::access(there.c_str(), F_OK) != 0) {
    const std::size_t end = there.find_last_of('/');
    there = end == std::string::npos ? "." : end == 0 ? "/" : there.substr(0, end);
  }
  std::string why;
  if (::access(there.c_str(), W_OK | X_OK) != 0)
    why = there + " cannot be written: " + std::strerror(errno);
  cache_usage seen;
  if (why.empty() && there == place.folder) {
    const auto looked = disk_cache::look(place.folder);
    if (looked)
      seen = looked.value();
    else
      why = looked.error().what;
  }
  if (!why.empty()) {
    told.what = why;
    told.remedy = remedy;
    return told;
  }
  told.how = state::good;
  told.what = fmt::format("{} in {} of at most {}, in {}",
                          seen.entries == 1
                              ? std::string("1 entry")
                              : fmt::format("{} entries", seen.entries),
                          size_words(seen.bytes), size_words(most_cache_bytes),
                          place.folder);
  return told;
}

// Asked of files alone: to read counters takes a context, and this program never
// makes one.
[[nodiscard]] inline examined examine_counters(const toolkit* cuda,
                                               const cuda::driver& driver) {
  using state = examined::state;
  examined told{"counters", state::absent, "", ""};
  if (cuda == nullptr) {
    told.what = "there is no CUDA toolkit, so no CUPTI";
    told.remedy = std::string(toolkit_advice);
    return told;
  }
  auto opened = cuda::cupti::open(*cuda);
  if (!opened) {
    told.what = opened.error().what;
    told.remedy = "install the package cuda-cupti";
    return told;
  }
  if (driver.stand_in()) {
    told.what = "a stand-in for the driver has none";
    return told;
  }
  // What the driver's module says of who may count.
  std::ifstream in("/proc/driver/nvidia/params");
  std::string line, restricted;
  while (std::getline(in, line))
    if (line.starts_with("RmProfilingAdminOnly:"))
      restricted = line.substr(line.find(':') + 1);
  const bool administrators = restricted.find('1') != std::string::npos;
  if (administrators && ::geteuid() != 0) {
    told.what = "the driver lets administrators alone read counters";
    told.remedy =
        "load the driver with NVreg_RestrictProfilingToAdminUsers=0, or run as "
        "root; times are measured all the same";
    return told;
  }
  told.how = state::good;
  told.what = restricted.empty()
                  ? "CUPTI is there; whether the driver permits counters shows "
                    "when they are read"
                  : "CUPTI is there and the driver permits counters";
  return told;
}

[[nodiscard]] inline std::vector<examined> examine_gpus(const toolkit* cuda) {
  using state = examined::state;
  std::vector<examined> all;
  const auto driver = cuda::driver::open();
  if (!driver) return all;
  const auto count = driver.value().devices();
  const auto clocks = cuda::nvml::open();
  for (int i = 0; count && i < count.value(); ++i) {
    examined told{"GPU " + std::to_string(i), state::good, "", ""};
    const auto facts = driver.value().facts(i);
    if (!facts) {
      told.how = state::absent;
      told.what = facts.error().what;
      all.push_back(std::move(told));
      continue;
    }
    const cuda::gpu_facts& it = facts.value();
    const bool fits = it.major == 9 && it.minor == 0;
    told.what = fmt::format(
        "{}, compute capability {}.{}, {} multiprocessors, {} of memory ({:.0f} "
        "GB/s on paper), {} of second-level cache, ECC {}",
        it.name, it.major, it.minor, it.multiprocessors,
        size_words(static_cast<std::uint64_t>(it.memory_bytes)),
        it.memory_bytes_per_second() / 1e9,
        size_words(static_cast<std::uint64_t>(it.l2_bytes)),
        it.ecc ? "on" : "off");
    if (it.pageable_access)
      told.what +=
          "; kernels can reach this system's memory (HMM): a hostile one could "
          "change what its worker says";
    if (!fits) {
      told.how = state::absent;
      told.remedy = "kernels are judged for compute capability 9.0 (H100, H200)";
    }
    const auto handle = clocks ? clocks.value().find(it.uuid)
                               : result<void*>(clocks.error());
    if (handle) {
      const cuda::gpu_state now = clocks.value().state(handle.value());
      const auto most = clocks.value().most_sm_mhz(handle.value());
      const auto mig = clocks.value().mig(handle.value());
      if (now.sm_mhz)
        told.what += fmt::format("; {} MHz now", *now.sm_mhz);
      if (most) told.what += fmt::format(" of at most {}", *most);
      if (now.celsius) told.what += fmt::format(", {} degrees", *now.celsius);
      if (now.watts) told.what += fmt::format(", {:.0f} W", *now.watts);
      if (now.reasons && (*now.reasons & cuda::held_back))
        told.what += ", held back: " + cuda::reason_words(*now.reasons);
      told.what += mig ? (*mig ? ", MIG on" : ", MIG off") : ", MIG not told";
      if (mig && *mig)
        told.remedy = "a MIG slice shares caches and memory with others: times "
                      "are its own, and counters are not to be had";
    } else {
      told.what += "; " + handle.error().what;
    }
    all.push_back(std::move(told));
  }
  all.push_back(examine_counters(cuda, driver.value()));
  return all;
}

[[nodiscard]] inline std::vector<examined> examine(const cache_choice& cache) {
  using state = examined::state;
  std::vector<examined> all;
  const std::string missing = missing_processor_features();
  all.push_back({"processor", missing.empty() ? state::good : state::missing,
                 missing.empty() ? "has what this program was built for"
                                 : "has no " + missing,
                 missing.empty() ? ""
                                 : "build with -D SKILLBENCH_X86_V3=OFF"});

  const auto cuda = find_toolkit();
  all.push_back({"CUDA toolkit", cuda ? state::good : state::missing,
                 cuda ? cuda.value().version + " in " + cuda.value().root
                      : cuda.error().what,
                 cuda ? "" : std::string(toolkit_advice)});

  if (cuda) {
    auto opened = devices::open("ptx");
    auto on = opened ? opened.value()->make()
                     : result<std::unique_ptr<device>>(opened.error());
    // One small compile: NVRTC needs more files than the toolkit's search sees.
    std::string wrong = on ? "" : on.error().what;
    if (on) {
      compile_request trial;
      trial.source =
          "#include <cuda_fp16.h>\n#include <cub/block/block_reduce.cuh>\n"
          "__global__ void trial(float* y) { *y = 1.0f; }\n";
      trial.entries = {"trial"};
      const auto made = on.value()->compile(trial);
      if (!made)
        wrong = made.error().what;
      else if (!made.value().ok)
        wrong = "a trial compile was refused: " +
                made.value().log.substr(0, 400);
    }
    all.push_back({"PTX machine", wrong.empty() ? state::good : state::missing,
                   wrong.empty() ? "a worker compiled a kernel with CUB for " +
                                       on.value()->target()
                                 : wrong,
                   wrong.empty() ? "" : std::string(toolkit_advice)});
    if (on) {
      const std::string how = on.value()->isolation();
      const bool strict = how == "strict";
      all.push_back(
          {"isolation", strict ? state::good : state::absent,
           strict ? "a process for each candidate, with an empty environment, "
                    "limits, Landlock and a filter of system calls"
                  : "a process for each candidate, with an empty environment and "
                    "limits; " + how.substr(how.find(' ') + 1),
           strict ? ""
                  : "a Linux from 5.13 on with Landlock; without it a source can "
                    "include files that this user may read"});
    }
  }

  all.push_back(examine_cache(cache));

  const driver_state driver = driver_status();
  all.push_back({"GPU", driver.usable ? state::good : state::absent,
                 driver.what,
                 driver.usable ? ""
                               : "nothing: everything but measured speed works "
                                 "without one"});
  if (driver.usable)
    for (examined& each : examine_gpus(cuda ? &cuda.value() : nullptr))
      all.push_back(std::move(each));
  return all;
}

// Alone, so that nothing else uses the GPU meanwhile.
[[nodiscard]] inline result<std::vector<measured_row>> measure_here() {
  auto opened = devices::open("cuda", {"", true});
  if (!opened) return opened.error();
  auto on = opened.value()->make();
  if (!on) return on.error();
  const auto driver = cuda::driver::open();
  return measure_device(*on.value(), driver && driver.value().stand_in());
}

[[nodiscard]] inline exit_code tell_measured(const doctor_command& asked,
                                             stream& out) {
  const auto all = measure_here();
  if (!all) {
    out.line("skillbench: " + printable(all.error().what));
    return exit_code::broken;
  }
  bool fine = true;
  for (const measured_row& each : all.value()) fine &= each.fine;
  if (asked.json) {
    const auto driver = driver_status();
    const nlohmann::ordered_json made = {{"skillbench", version},
                                         {"driver", driver.what},
                                         {"fine", fine},
                                         {"measured", write_rows(all.value())}};
    out.line(made.dump(2, ' ', false,
                       nlohmann::ordered_json::error_handler_t::replace));
    return fine ? exit_code::fine : exit_code::differs;
  }
  bool fake = false;
  for (const measured_row& each : all.value())
    fake |= each.timing && each.timing->fake;
  if (fake)
    out.line("The driver is a stand-in: its clock counts instructions, and "
             "nothing here is a measurement.");
  for (const measured_row& each : all.value()) {
    out.line((each.fine ? out.paint(colour::green, "yes    ")
                        : out.paint(colour::red, "NO     ")) +
             "  " + out.paint(colour::bold, each.name));
    for (const std::string& row :
         wrapped(printable(each.what), out.width() - 9))
      out.line(std::string(9, ' ') + row);
  }
  return fine ? exit_code::fine : exit_code::differs;
}

[[nodiscard]] inline exit_code tell(const doctor_command& asked, stream& out) {
  if (asked.measure) return tell_measured(asked, out);
  using state = examined::state;
  const std::vector<examined> all = examine(asked.cache);
  bool usable = true;
  for (const examined& each : all) usable &= each.how != state::missing;

  if (asked.json) {
    nlohmann::ordered_json made = {{"skillbench", version},
                                   {"usable", usable},
                                   {"examined", nlohmann::ordered_json::array()}};
    for (const examined& each : all)
      made["examined"].push_back(
          {{"name", each.name},
           {"state", each.how == state::good      ? "good"
                     : each.how == state::missing ? "missing"
                                                  : "absent"},
           {"what", each.what},
           {"remedy", each.remedy}});
    out.line(made.dump(2, ' ', false,
                       nlohmann::ordered_json::error_handler_t::replace));
    return usable ? exit_code::fine : exit_code::broken;
  }

  for (const examined& each : all) {
    const std::string mark =
        each.how == state::good      ? out.paint(colour::green, "yes    ")
        : each.how == state::missing ? out.paint(colour::red, "missing")
                                     : out.paint(colour::yellow, "no     ");
    out.line(mark + "  " + out.paint(colour::bold, each.name));
    for (const std::string& row :
         wrapped(printable(each.what), out.width() - 9))
      out.line(std::string(9, ' ') + row);
    if (!each.remedy.empty())
      for (const std::string& row :
           wrapped("to do: " + each.remedy, out.width() - 9))
        out.line(std::string(9, ' ') + row);
  }
  out.line("");
  out.line(usable ? "This machine can judge kernels: `skillbench run PATH`."
                  : "This machine cannot judge kernels yet.");
  return usable ? exit_code::fine : exit_code::broken;
}

}  // namespace skillbench::cli
