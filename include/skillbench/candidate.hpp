#pragma once
// candidate.hpp: one source with its launch manifest, ready to be compiled.
//
// Layer   1.

#include <string>
#include <vector>

#include <skillbench/finding.hpp>
#include <skillbench/manifest.hpp>

namespace skillbench {

// What was cut out of a model's output.
struct excerpt {
  std::string source;          // valid UTF-8, no NUL, no BOM, LF line ends kept
  int first_line = 1;          // line of the output where the source starts
  std::vector<finding> notes;  // several_sources, byte_order_mark, ...
};

struct candidate {
  std::string source;
  int first_line = 1;
  manifest launch;
  std::vector<finding> notes;
};

}  // namespace skillbench
