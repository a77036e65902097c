// ptx_parse_fuzz.cpp: any bytes through the reader of PTX.
//
// What must hold: a tree, or an error with its line and column; within the
// limits that the harness sets, whatever the text.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <skillbench/ptx/parse.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace skillbench;
  ptx::parse_limits limits;
  limits.text = std::size_t{1} << 20;
  limits.tree = std::size_t{16} << 20;
  const auto read = ptx::parser({reinterpret_cast<const char*>(data), size}, limits).run();
  if (read) return 0;
  const std::string& what = read.error().what;
  const bool told = read.error().why == reason::bad_input &&
                    (what.find(", column ") != std::string::npos || what.find("longer than") != std::string::npos);
  if (told) return 0;
  std::fprintf(stderr, "not an error with a place: %s\n", what.c_str());
  std::abort();
}
