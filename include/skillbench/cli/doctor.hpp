#pragma once
// cli/doctor.hpp: `skillbench doctor`: what this machine can do.
//
// Layer   7. Asks each door the question that a run would ask.

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/cache.hpp>
#include <skillbench/cli/devices.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/cuda/library.hpp>
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
  need(__builtin_cpu_supports("f16c"), "F16C");
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
  }

  all.push_back(examine_cache(cache));

  const driver_state driver = driver_status();
  all.push_back({"GPU", driver.usable ? state::good : state::absent,
                 driver.what,
                 driver.usable ? ""
                               : "nothing: everything but measured speed works "
                                 "without one"});
  all.push_back({"isolation", state::good,
                 "a process for each candidate, with an empty environment and "
                 "limits on memory, time and files",
                 ""});
  return all;
}

[[nodiscard]] inline exit_code tell(const doctor_command& asked, stream& out) {
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
