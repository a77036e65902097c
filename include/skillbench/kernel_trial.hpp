#pragma once
// kernel_trial.hpp: what trying one setting of a candidate's tunables came to.
//
// Layer   2. Plain values; tune_kernel.hpp makes them, json_trial.hpp writes and
//         reads them.
// Units   nanoseconds are predicted (predict.hpp) or measured, as `clock` says;
//         seconds are wall time.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <skillbench/manifest.hpp>

namespace skillbench {

// Where a time comes from. A stand-in's clock measures nothing.
enum class trial_clock : std::uint8_t { predicted = 0, measured = 1, stand_in = 2 };
[[nodiscard]] constexpr std::string_view name(trial_clock of) noexcept {
  switch (of) {
    case trial_clock::predicted: return "predicted";
    case trial_clock::measured: return "measured";
    case trial_clock::stand_in: return "a stand-in's clock";
  }
  return "unknown";
}

// What one setting came to.
struct kernel_trial {
  setting chosen;
  std::string outcome;  // "correct", "constraints", "does_not_fit" or a rung
  std::string reason;   // one sentence; "" for a correct one
  std::optional<double> nanoseconds;  // only when correct
  trial_clock clock = trial_clock::predicted;
  bool cut = false;                   // hopeless, so timed by a few samples
  double limit = 0;                   // ns: what it must move and do, on paper
  std::string limited_by;             // of the launch that takes longest
  double occupancy = 0;               // of that launch
  int registers = 0;                  // the most of any kernel
  double compile_seconds = 0, check_seconds = 0;

  [[nodiscard]] bool correct() const { return outcome == "correct"; }
};

}  // namespace skillbench
