#pragma once
// key.hpp: all that decides a verdict, in one short name.
//
// Layer   2.
// Meaning Two samples with one key have one verdict: the same text was judged
//         for the same task, by the same cases and reference, with the same
//         seed, by the same release on the same kind of machine. Which model
//         and which arm it came from is not in it.
// Limits  A change to this project's own code that changes a verdict must
//         change version.hpp, or the key does not tell the two apart.
// Trust   The text is of a model's making, so the hash is SHA-256.

#include <cstdint>
#include <string>
#include <string_view>

#include <skillbench/family.hpp>
#include <skillbench/hash.hpp>
#include <skillbench/record.hpp>
#include <skillbench/sample.hpp>
#include <skillbench/version.hpp>

namespace skillbench {

// `machine` names the kind of device and the compiler, "PTX machine, CUDA
// 13.0". 64 hexadecimal digits.
[[nodiscard]] inline std::string verdict_key(const sample& given,
                                             const family& of,
                                             std::string_view machine,
                                             std::uint64_t seed) {
  // Each part with its length: no two lists of parts make one text.
  std::string all;
  const auto add = [&](std::string_view part) {
    all += std::to_string(part.size()) + ':';
    all += part;
  };
  add("skillbench verdict");
  add(version);
  add(std::to_string(record_schema));
  add(machine);
  add(std::to_string(seed));
  add(of.name);
  add(of.version);
  add(of.digest);
  add(given.output);
  return sha256(all);
}

}  // namespace skillbench
