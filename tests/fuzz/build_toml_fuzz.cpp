// build_toml_fuzz.cpp: any bytes as a build.toml.
//
// What must hold: an edition whose rules were held against it, or what is wrong.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <skillbench/read_build_toml.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const auto told = skillbench::lint_build_toml(
      {reinterpret_cast<const char*>(data), size});
  if (!told.wrong.empty() ||
      (told.edition >= 1 && told.edition <= skillbench::newest_edition))
    return 0;
  std::fprintf(stderr, "nothing is wrong with it, and it has no edition\n");
  std::abort();
}
