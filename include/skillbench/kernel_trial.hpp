#pragma once
// kernel_trial.hpp: what trying one setting of a candidate's tunables came to.
//
// Layer   2. Plain values; tune_kernel.hpp makes them, json_trial.hpp writes and
//         reads them.
// Units   nanoseconds are predicted (predict.hpp), seconds are wall time.

#include <optional>
#include <string>

#include <skillbench/manifest.hpp>

namespace skillbench {

// What one setting came to.
struct kernel_trial {
  setting chosen;
  std::string outcome;  // "correct", "constraints", "does_not_fit" or a rung
  std::string reason;   // one sentence; "" for a correct one
  std::optional<double> nanoseconds;  // predicted; only when correct
  std::string limited_by;             // of the launch that takes longest
  double occupancy = 0;               // of that launch
  int registers = 0;                  // the most of any kernel
  double compile_seconds = 0, check_seconds = 0;

  [[nodiscard]] bool correct() const { return outcome == "correct"; }
};

}  // namespace skillbench
