#pragma once
// sample.hpp: one output of a model, and what is known of how it was made.
//
// Layer   1.
// Units   tokens are counts as the provider reported them; nothing is estimated.

#include <cstdint>
#include <optional>
#include <string>

namespace skillbench {

struct sample {
  std::string id;
  std::string model;    // "" when not reported
  std::string arm;      // "baseline", "with_skill", or "" for a lone file
  std::string skill;    // "" when none or not reported
  std::string task;     // the family that was asked for
  std::int64_t draw = 0;
  std::string path;     // where the output was read, for messages
  std::string output;   // the text
  std::string pair;     // "" unless the samples declare pairs
  std::optional<std::int64_t> input_tokens, output_tokens;
  std::optional<std::int64_t> turns;  // answers of the model, when it is an agent
  std::optional<double> cost_usd, seconds;
};

}  // namespace skillbench
