// ptx_machine_fuzz.cpp: any text as a module, and each of its entries launched
// on the PTX machine, with tight budgets, instruction by instruction and as
// native code.
//
// What must hold: a report or a fault in words, whatever the text: no crash, no
// memory or time beyond the bounds, no address of the host within reach; and
// native code says what the instructions say one by one.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/parse.hpp>

#include "../ptx_kit.hpp"

namespace {

using namespace skillbench;

job job_for(const ptx::function& f, std::size_t seed) {
  job asked;
  launch one;
  one.entry = f.name;
  one.grid.x = 3;
  one.block.x = 40;
  one.shared_bytes = 256;
  for (const auto& p : f.params) {
    kernel_argument a;
    a.name = p.name;
    if (p.extents.empty() && ptx::width_of(ptx::type_named(p.type)) == 8) {
      buffer b;
      b.name = p.name;
      b.use = asked.buffers.size() % 3 == 0 ? role::input : asked.buffers.size() % 3 == 1 ? role::output : role::scratch;
      b.elements = 100;
      a.value = static_cast<std::int64_t>(asked.buffers.size());
      asked.buffers.push_back(b);
    } else if (p.type == "f32") {
      a.kind = kernel_argument::type::real;
      a.real = 0.5;
    } else {
      a.kind = kernel_argument::type::integer;
      a.value = 7;
    }
    one.args.push_back(a);
  }
  asked.launches.push_back(one);
  asked.seed = seed;
  asked.most_instructions = 3000;
  return asked;
}

// All that is told of a run but its time.
std::string words_of(const result<run_report>& told) {
  if (!told) {
    if (told.error().what.empty()) {
      std::fprintf(stderr, "a fault without words\n");
      std::abort();
    }
    return "fault: " + told.error().what;
  }
  const run_report& r = told.value();
  std::string out;
  for (const finding& f : r.findings)
    out += std::string(name(f.kind)) + " " + f.what + " " + std::to_string(f.count) + " " + std::to_string(f.ptx_line.value_or(0)) + "\n";
  const counters& c = r.counted;
  for (const std::uint64_t n : {c.warp_instructions, c.thread_instructions, c.global_load_sectors, c.global_store_sectors, c.barriers})
    out += std::to_string(n) + " ";
  for (const output_bytes& each : r.outputs) out += "\n" + each.bytes;
  return out + "\n" + r.printed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto read = ptx::parse(text);
  if (!read) return 0;
  constexpr std::uint64_t most_bytes = std::uint64_t{16} << 20;
  const auto steps = kit::device(most_bytes, false), native = kit::device(most_bytes, true);
  if (!steps->load(text) || !native->load(text)) std::abort();
  int entries = 0;
  for (const auto& f : read.value().functions) {
    if (!f.defined || !f.entry || ++entries > 2) continue;
    const job asked = job_for(f, size);
    const std::string one = words_of(steps->run(asked)), other = words_of(native->run(asked));
    if (one == other) continue;
    std::fprintf(stderr, "one by one:\n%s\nas native code:\n%s\n", one.c_str(), other.c_str());
    std::abort();
  }
  return 0;
}
