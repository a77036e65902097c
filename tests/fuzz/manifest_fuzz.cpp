// manifest_fuzz.cpp: any bytes as a source with a launch manifest.
//
// What must hold: a candidate whose settings can be gone through, or a reason.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <skillbench/expression.hpp>
#include <skillbench/read.hpp>

namespace {

skillbench::family copy_family() {
  using namespace skillbench;
  family made;
  made.name = "copy";
  made.version = "1";
  const auto add = [&](const char* name, argument::type kind) {
    argument one;
    one.name = name;
    one.kind = kind;
    if (kind != argument::type::integer)
      one.shape = {expression::parse("n").value()};
    one.least = 1;
    one.most = 1000;
    made.arguments.push_back(one);
  };
  add("x", argument::type::input);
  add("y", argument::type::output);
  add("n", argument::type::integer);
  test_case one;
  one.name = "n_64";
  one.integers = {{"n", 64}};
  made.cases.push_back(one);
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace skillbench;
  static const std::vector<family> known{copy_family()};
  excerpt piece;
  piece.source.assign(reinterpret_cast<const char*>(data), size);
  const read_result made = read_candidate(piece, known, known.front());
  if (!made.found && made.refused.empty()) {
    std::fprintf(stderr, "neither a candidate nor a reason\n");
    std::abort();
  }
  if (!made.found) return 0;
  for (const element type : all_elements) {
    const auto chosen = default_setting(made.found->launch, type);
    if (!chosen && chosen.error().what.empty()) std::abort();
  }
  return 0;
}
