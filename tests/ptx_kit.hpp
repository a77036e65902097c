#pragma once
// ptx_kit.hpp: PTX text in, what the machine made of it out.
//
// The machine costs most of a minute to compile, so only ptx_kit.cpp includes
// it; the tests link that and include this.
// Shapes  a column holds one source operand, element i for thread i; every value
//         is the bits of its type in the low end of 64.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <skillbench/device.hpp>
#include <skillbench/ptx/tensor_map.hpp>

namespace kit {

using words = std::vector<std::uint64_t>;

// ---- one instruction on columns of values -----------------------------------

// `text` reads %i0, %i1, ... and writes %o0, %o1, ...; sizes are bytes, 0 is a
// predicate (bit 0 of the value).
struct form {
  std::string text;
  std::vector<int> sources, targets;
  std::string declare = "";  // further registers and variables
};

struct answer {
  std::string trouble;         // a fault or a finding, "" when there is none
  std::vector<words> targets;  // a column each
};

std::vector<answer> run(const std::vector<form>& forms,
                        const std::vector<words>& columns);

// ---- a form and what it should be --------------------------------------------

struct law {
  form what;
  // Sources of one element -> its targets.
  std::function<std::vector<std::uint64_t>(const std::uint64_t*)> is;
  bool any_nan = false;  // f32 and f64: one NaN is as good as another
};

// Columns of these kinds ("u32", "f16", "count", ...): every combination of the
// kinds' edges, or a sample of them, and `random` more.
std::vector<words> columns(const std::vector<std::string>& kinds,
                           std::uint64_t seed, std::size_t random = 2000);

// What differs, in words; "" when every law holds on every element.
std::string broken(const std::vector<law>& laws,
                   const std::vector<words>& columns);

// What the machine says of one instruction that it should not take.
std::string refusal(const form& asked);

// ---- whole kernels -------------------------------------------------------------

struct block {
  std::string name;
  bool writable = true, defined = true;
  int element_bytes = 4;
  std::string bytes;
};

struct request {
  std::string ptx, entry;
  skillbench::extent grid, cta, cluster;
  std::uint64_t shared_bytes = 0, seed = 0, most_instructions = 50'000'000;
  std::vector<block> blocks;           // pointers, the first parameters
  std::vector<std::uint32_t> numbers;  // 32-bit parameters after them
  std::vector<skillbench::ptx::tensor_map> maps;  // after those; `address` is
                                                  // the number of a block
  bool share_registers = true;         // see ptx/allocate.hpp
  std::uint64_t schedule = 0;
  // Kernels with the same parameters that are launched before, one after the
  // other on the same machine: text and entry.
  std::vector<std::pair<std::string, std::string>> before;
  bool counters = false;               // see counters.hpp
  unsigned threads = 1;                // of the host: see ptx/threads.hpp
};

struct report {
  std::string trouble;  // "reason: words" of a fault
  std::vector<skillbench::finding> findings;
  std::vector<std::string> bytes, shadows;  // of each block after the launch
  std::uint64_t barriers = 0, thread_instructions = 0, warp_instructions = 0;
  std::uint64_t load_sectors = 0, store_sectors = 0;
  std::optional<skillbench::launch_counters> counted;
  std::uint64_t file_bytes = 0;  // of a warp's registers
};

// As native code, and interpreted; a difference between the two is trouble.
report launch(const request& asked);

std::unique_ptr<skillbench::device> device();  // with the toolkit, if any
// Of `most_bytes` for tensors, instruction by instruction or, from the first one
// on, as native code.
std::unique_ptr<skillbench::device> device(std::uint64_t most_bytes, bool native);

// ---- text ----------------------------------------------------------------------

inline const std::string header =
    ".version 8.5\n.target sm_90a\n.address_size 64\n";

// An entry with `pointers` parameters p0, p1, ... loaded to %p_0, ... as global
// addresses, `numbers` parameters n0, ... in %n_0, ..., `maps` tensor maps m0,
// ... whose generic addresses are in %m_0, ..., and plenty of registers:
// %r<64> b32, %rd<64> b64, %rs<64> b16, %f<64> f32, %p<32> predicates.
std::string entry(const std::string& body, int pointers = 1, int numbers = 0,
                  const std::string& declare = "", int maps = 0);

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()),
          values.size() * sizeof(T)};
}
template <typename T>
std::vector<T> values_of(const std::string& bytes) {
  std::vector<T> out(bytes.size() / sizeof(T));
  __builtin_memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
  return out;
}

}  // namespace kit
