#pragma once
// embedded.hpp: the families of this build, read.
//
// Layer   6. families.hpp has the texts, json_family.hpp reads them.
// Errors  The texts were embedded by the build, so one that cannot be read is a
//         bug of ours: reason::internal.

#include <string>
#include <utility>
#include <vector>

#include <skillbench/families.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/json_family.hpp>

namespace skillbench {

// Every family under kernels/, and those that the build was given beside them.
[[nodiscard]] inline result<std::vector<family>> embedded_families() {
  std::vector<family> all;
  for (const family_text& each : family_texts()) {
    auto one = read_family(each.json, std::string(each.prompt),
                           std::string(each.baseline), each.reference);
    if (!one)
      return fault{reason::internal, "the family " + std::string(each.name) +
                                         ": " + one.error().what};
    if (one.value().name != each.name)
      return fault{reason::internal, "the folder " + std::string(each.name) +
                                         " holds the family " +
                                         one.value().name};
    one.value().digest += each.oracle_digest;
    all.push_back(std::move(one).value());
  }
  return all;
}

}  // namespace skillbench
