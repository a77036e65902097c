// store_fuzz.cpp: any bytes as a segment of a folder of records.
//
// What must hold: going on in it loses no line that is sound, and the line that is
// added is there once, at the end.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include <skillbench/store.hpp>

namespace {

namespace fs = std::filesystem;

std::vector<std::string> sound_lines(const std::string& folder) {
  std::vector<std::string> all;
  std::vector<skillbench::fault> troubles;
  const auto done = skillbench::read_store(
      folder,
      [&](std::string_view line, const skillbench::store_place&) {
        all.emplace_back(line);
      },
      troubles);
  if (!done) std::abort();
  return all;
}

// In memory where the system has such a place.
const std::string& folder() {
  static const std::string made = [] {
    std::string name = fs::is_directory("/dev/shm") ? "/dev/shm/store-XXXXXX"
                                                    : "/tmp/store-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    return name;
  }();
  static const int at_end = std::atexit([] { fs::remove_all(folder()); });
  (void)at_end;
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  const std::string line = "{\"added\":1}";
  std::ofstream(folder() + "/records.jsonl", std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(data),
             static_cast<std::streamsize>(size));
  std::vector<std::string> before = sound_lines(folder());
  {
    auto kept = skillbench::store::resume(folder());
    if (!kept || !kept.value().append(line)) std::abort();
  }
  before.push_back(skillbench::store_line::sealed(line));
  if (sound_lines(folder()) == before) return 0;
  std::fprintf(stderr, "sound lines were lost, or one was added twice\n");
  std::abort();
}
