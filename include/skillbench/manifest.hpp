#pragma once
// manifest.hpp: how a candidate wants to be launched.
//
// Layer   1. Plain values; json_manifest.hpp reads them, read.hpp checks them.
// Units   expressions give threads, blocks or bytes, as each member says.
// Source  kernels/contract.md, the text that models are given.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/expression.hpp>

namespace skillbench {

// One kernel launch. `entry` still holds {T} and {NAME} marks.
struct launch_text {
  std::string entry;
  std::vector<std::string> args;     // names of the task or of `scratch`
  std::vector<expression> grid;      // 1 to 3, CTAs
  std::vector<expression> block;     // 1 to 3, threads
  expression shared_bytes;           // dynamic shared memory, bytes
  std::vector<expression> cluster;   // none, or 1 to 3, CTAs
};

// A tensor map (cuTensorMapEncodeTiled) that launches can name in `args`; the
// innermost dimension first.
struct tensor_map_text {
  std::string name;
  std::string tensor;                        // an argument of the task
  std::vector<expression> extents;           // 1 to 5, elements
  std::vector<expression> strides;           // one less, bytes
  std::vector<expression> box;               // as many as extents, elements
  std::vector<expression> element_strides;   // none, or as many
  std::int64_t swizzle = 0;                  // bytes: 0, 32, 64 or 128
  bool nan = false;                          // what lies outside reads as NaN
};

// A tunable and the values worth trying; the first is the default.
struct tunable {
  std::string name;
  std::vector<std::int64_t> values;
};

struct manifest {
  std::string family;
  std::vector<launch_text> launches;                         // in order
  std::vector<tunable> tune;                                 // as written
  std::vector<expression> constraints;                       // on tunables
  std::vector<expression> require;                           // on the task's integers
  std::vector<std::pair<std::string, expression>> scratch;   // name, bytes
  std::vector<tensor_map_text> tensor_maps;
};

// A choice of one value for each tunable, in the manifest's order.
using setting = std::vector<std::pair<std::string, std::int64_t>>;

}  // namespace skillbench
