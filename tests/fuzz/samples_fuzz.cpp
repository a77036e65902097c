// samples_fuzz.cpp: any bytes as a line of samples.jsonl, and as one of records.
//
// What must hold: what is read can be written, and reads back the same.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <skillbench/json_record.hpp>
#include <skillbench/json_sample.hpp>

namespace {

void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace skillbench;
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  if (const auto one = read_sample(line)) {
    const bool by_path = !one.value().path.empty();
    const std::string written = write_sample(one.value(), by_path);
    const auto back = read_sample(written);
    must(back.ok(), "a sample that was written cannot be read");
    must(write_sample(back.value(), by_path) == written,
         "a sample changes when it is written");
  }
  if (const auto one = read_record(line)) {
    const std::string written = write_record(one.value());
    const auto back = read_record(written);
    must(back.ok(), "a record that was written cannot be read");
    must(write_record(back.value()) == written,
         "a record changes when it is written");
  }
  return 0;
}
