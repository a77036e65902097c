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

#include <skillbench/digest.hpp>
#include <skillbench/family.hpp>
#include <skillbench/sample.hpp>
#include <skillbench/version.hpp>

namespace skillbench {

// `machine` names the kind of device and the compiler, "PTX machine, CUDA
// 13.0". 64 hexadecimal digits.
[[nodiscard]] inline std::string verdict_key(const sample& given,
                                             const family& of,
                                             std::string_view machine,
                                             std::uint64_t seed) {
  digest all;
  all.field("skillbench verdict");
  all.field(version);
  all.number(record_schema);
  all.field(machine);
  all.number(seed);
  all.field(of.name);
  all.field(of.version);
  all.field(of.digest);
  all.field(given.output);
  return all.text();
}

}  // namespace skillbench
