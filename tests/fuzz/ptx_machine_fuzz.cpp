// ptx_machine_fuzz.cpp: any text as a module, and each of its entries launched
// on the PTX machine, with tight budgets.
//
// What must hold: a report or a fault in words, whatever the text: no crash, no
// memory or time beyond the bounds, no address of the host within reach.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <skillbench/device/ptx.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace skillbench;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto read = ptx::parse(text);
  if (!read) return 0;
  ptx_device on(toolkit{}, std::uint64_t{16} << 20);
  if (!on.load(text)) std::abort();
  int entries = 0;
  for (const auto& f : read.value().functions) {
    if (!f.defined || !f.entry || ++entries > 2) continue;
    job asked;
    launch one;
    one.entry = f.name;
    one.grid.x = 3;
    one.block.x = 40;
    one.shared_bytes = 256;
    for (const auto& p : f.params) {
      kernel_argument a;
      a.name = p.name;
      if (ptx::variable_bytes(p) == 8) {
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
    asked.seed = size;
    asked.most_instructions = 3000;
    const auto told = on.run(asked);
    if (told || !told.error().what.empty()) continue;
    std::fprintf(stderr, "a fault without words\n");
    std::abort();
  }
  return 0;
}
