#include <doctest/doctest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include <skillbench/key.hpp>

#include "copy_family.hpp"

using namespace skillbench;

namespace {

constexpr const char* machine = "PTX machine, CUDA 13.0";

}  // namespace

TEST_CASE("key: whatever decides a verdict gives another key") {
  const sample given = kit::copy_sample();
  const family of = kit::copy_family();
  std::set<std::string> keys{verdict_key(given, of, machine, 1)};
  CHECK(keys.begin()->size() == 64);
  const auto is_new = [&](const std::string& key) {
    CHECK(keys.insert(key).second);
  };
  sample other = given;
  other.output += " ";
  is_new(verdict_key(other, of, machine, 1));
  family changed = of;
  changed.name = "copies";
  is_new(verdict_key(given, changed, machine, 1));
  changed = of;
  changed.version = "2";
  is_new(verdict_key(given, changed, machine, 1));
  changed = of;
  changed.digest = "00";
  is_new(verdict_key(given, changed, machine, 1));
  is_new(verdict_key(given, of, "PTX machine, CUDA 12.4", 1));
  is_new(verdict_key(given, of, machine, 2));
}

TEST_CASE("key: who handed it in does not") {
  const sample given = kit::copy_sample();
  const family of = kit::copy_family();
  sample other = given;
  other.id = "another";
  other.model = "m";
  other.arm = "with_skill";
  other.draw = 7;
  other.path = "elsewhere.md";
  other.input_tokens = 9;
  CHECK(verdict_key(other, of, machine, 1) ==
        verdict_key(given, of, machine, 1));
}

TEST_CASE("key: what moves from one part to the next makes another key") {
  sample given = kit::copy_sample();
  family one = kit::copy_family(), two = one;
  one.version = "1";
  one.digest = "23";
  two.version = "12";
  two.digest = "3";
  CHECK(verdict_key(given, one, machine, 1) !=
        verdict_key(given, two, machine, 1));
  one.version = "1";
  one.digest = "2:x";
  two.version = "1" "2:x";
  two.digest = "";
  CHECK(verdict_key(given, one, machine, 1) !=
        verdict_key(given, two, machine, 1));
}
