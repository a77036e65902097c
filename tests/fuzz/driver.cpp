// driver.cpp: a main() for a fuzzer where libFuzzer is not: each file of the
// folders named, as it is, and then mutations of them, a fixed number from a
// fixed seed, so that each run is the same.
//
//   ptx_parse_fuzz MUTATIONS FOLDER...
//
// What is run is in the file ./input.FUZZER until it is done, so that what kills
// the program is kept.

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fs = std::filesystem;

namespace {

using text = std::string;

constexpr std::size_t most_bytes = 16384;
bool reads_ptx = false;  // else what models, users and tools write

void run(const text& input, const fs::path& kept) {
  std::ofstream(kept, std::ios::binary | std::ios::trunc) << input;
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

// Where words begin: what is cut there is more often PTX.
std::size_t place(const text& in, std::mt19937_64& random) {
  std::size_t at = random() % (in.size() + 1);
  if (random() % 2)
    while (at < in.size() && (std::isalnum(static_cast<unsigned char>(in[at])) || in[at] == '_')) ++at;
  return at;
}

std::size_t end_of_line(const text& in, std::size_t at) { return std::min(in.find('\n', at), in.size()); }

text mutated(text in, const text& other, std::mt19937_64& random) {
  static const std::vector<text> text_words{"```", "~~~", "```cuda\n", "---\n", "{", "}", "[", "]", "\"", ":", ",", "null", "true", "-1", "1e999", "9223372036854775808", "\\u0000", "\\ud800", "\r", "\t", "# ", "'", "/* skillbench\n", "*/",
                                            "ceil_div(", "next_pow2(", "n / 0", "%", "&x", "*x", "<<: ", "!!binary ", "[[a]]", "a.b.c = ", "\"\"\"", ",\"check\":\"", "\"}\n", std::string(1, char(0)), "\xff", "\xef\xbb\xbf"};
  static const std::vector<text> ptx_words{".b128", ".pred", ".v4", "0xffffffff", "-1", "9223372036854775807", "{", "}", "(", ";", ",", "%r0", "%p0", "[", ".param .align 128 .b8 x[4096]",
                                       "bra", "call", "bar.sync 0;", "ret;", "@%p0 ", ".reg .b64 %d<9>;", std::string(1, char(0)), "\xff", "/*", "\"", "%tid.x", "0f7fc00000", ".shared", "vote.sync.any.pred"};
  const std::vector<text>& words = reads_ptx ? ptx_words : text_words;
  const std::size_t changes = 1 + random() % 4;
  for (std::size_t k = 0; k < changes; ++k) {
    const std::size_t at = place(in, random), end = end_of_line(in, at);
    switch (random() % 7) {
      case 0: if (at < in.size()) in[at] = static_cast<char>(in[at] ^ (1 << random() % 8)); break;
      case 1: in.erase(at, random() % 32); break;
      case 2: in.erase(at, end - at); break;
      case 3: in.insert(at, words[random() % words.size()]); break;
      case 4: in.insert(at, in.substr(at, std::min<std::size_t>(end - at + 1, 256))); break;
      case 5: {
        const std::size_t from = place(other, random);
        in.insert(at, other.substr(from, end_of_line(other, from) - from + 1));
        break;
      }
      default: {
        const std::size_t digit = in.find_first_of("0123456789", at);
        if (digit != text::npos) in[digit] = static_cast<char>('0' + random() % 10);
      }
    }
  }
  if (in.size() > most_bytes) in.resize(most_bytes);
  return in;
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) return std::fprintf(stderr, "%s MUTATIONS FOLDER...\n", words[0]), 2;
  const fs::path kept = "input." + fs::path(words[0]).filename().string();
  reads_ptx = fs::path(words[0]).filename().string().starts_with("ptx_");
  std::vector<fs::path> files;
  for (int i = 2; i < count; ++i) {
    if (!fs::is_directory(words[i])) return std::fprintf(stderr, "%s is no folder\n", words[i]), 2;
    for (const auto& each : fs::recursive_directory_iterator(words[i]))
      if (each.is_regular_file()) files.push_back(each.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<text> seeds;
  for (const fs::path& each : files) {
    std::ifstream in(each, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    std::fprintf(stderr, "%s\n", each.c_str());
    run(seeds.back(), kept);
  }
  if (seeds.empty()) return std::fprintf(stderr, "nothing to begin with\n"), 2;
  std::mt19937_64 random(1);
  const long all = std::strtol(words[1], nullptr, 10);
  for (long i = 0; i < all; ++i) {
    const text& one = seeds[random() % seeds.size()];
    run(mutated(one, seeds[random() % seeds.size()], random), kept);
  }
  fs::remove(kept);
  std::printf("%zu files, %ld mutations\n", seeds.size(), all);
  return 0;
}
