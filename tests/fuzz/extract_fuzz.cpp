// extract_fuzz.cpp: any bytes as the output of a model.
//
// What must hold: a source, or a reason why there is none; the source is no longer
// than what it came from.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <skillbench/extract.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const skillbench::extracted made = skillbench::extract(text);
  const bool fine = made.found ? !made.found->source.empty()
                               : !made.refused.empty();
  if (fine) return 0;
  std::fprintf(stderr, "neither a source nor a reason\n");
  std::abort();
}
