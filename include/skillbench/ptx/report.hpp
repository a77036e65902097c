#pragma once
// ptx/report.hpp: findings of the machine, in words.
//
// Layer   3. Includes warp.hpp.
// A sentence names the kernel, the thread and its CTA, and for an address the
// tensor, the element and how far outside it lies.

#include <bit>
#include <cstdint>
#include <cstdio>
#include <string>

#include <skillbench/finding.hpp>
#include <skillbench/ptx/warp.hpp>

namespace skillbench::ptx {

[[nodiscard]] inline std::string hex(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

[[nodiscard]] inline std::string triple(std::int64_t x, std::int64_t y, std::int64_t z) {
  return "(" + std::to_string(x) + ", " + std::to_string(y) + ", " + std::to_string(z) + ")";
}

[[nodiscard]] inline std::string cta_words(const launch_state& launch, std::uint64_t cta) {
  const auto n = static_cast<std::int64_t>(cta);
  return "CTA " + triple(n % launch.grid.x, n / launch.grid.x % launch.grid.y,
                         n / (launch.grid.x * launch.grid.y));
}

[[nodiscard]] inline std::string thread_words(const warp& w, int lane) {
  const launch_state& launch = *w.launch;
  const std::int64_t t = std::int64_t{w.number} * warp_lanes + lane;
  return "thread " + triple(t % launch.block.x, t / launch.block.x % launch.block.y,
                            t / (launch.block.x * launch.block.y)) +
         " of " + cta_words(launch, w.cta);
}

// A finding at an instruction, with what every finding has.
[[nodiscard]] inline finding finding_at(const launch_state& launch, std::uint32_t pc,
                                        code what, std::string text) {
  finding f;
  f.kind = what;
  f.what = std::move(text);
  f.kernel = launch.code->entry;
  if (pc < launch.code->code.size()) {
    const origin& from = launch.code->origins[launch.code->code[pc].source];
    f.ptx_line = from.ptx_line;
    if (from.line > 0) f.line = from.line;
  }
  return f;
}

[[nodiscard]] inline std::string bytes_words(std::uint64_t n) {
  return std::to_string(n) + (n == 1 ? " byte" : " bytes");
}

// Where an address lies, for people: "element 1000 of x, 2 bytes past its end".
struct whereabouts {
  std::string words, tensor;
  std::optional<std::int64_t> index;
};

[[nodiscard]] inline whereabouts locate(memory& global, std::uint64_t address,
                                        std::uint64_t size) {
  // The owner is the allocation of the slot, or of the next one when the
  // address lies in the gap just before it.
  allocation* near = global.owner(address);
  if (near && address > near->end() && address - near->end() > (std::uint64_t{1} << (slot_bits - 1)))
    if (allocation* next = global.owner(address + (std::uint64_t{1} << slot_bits))) near = next;
  if (!near) return {"an address that belongs to nothing", "", std::nullopt};
  whereabouts out;
  out.tensor = near->name;
  const auto from_base = static_cast<std::int64_t>(address - near->base);
  const std::int64_t per = near->element_bytes;
  out.index = from_base >= 0 ? from_base / per : -((-from_base + per - 1) / per);
  if (address < near->base) {
    out.words = bytes_words(near->base - address) + " before the start of " + near->name;
  } else if (address >= near->end()) {
    out.words = address == near->end() ? "just past the end of " + near->name
                                       : bytes_words(address - near->end()) + " past the end of " + near->name;
  } else if (address + size > near->end()) {
    out.words = "the last " + bytes_words(near->end() - address) + " of " + near->name + " and " +
                bytes_words(address + size - near->end()) + " past its end";
  } else {
    out.words = "inside " + near->name;
  }
  out.words += " (" + bytes_words(near->bytes) + "; element " + std::to_string(*out.index) + " of " +
               std::to_string(near->bytes / static_cast<std::uint64_t>(per)) + ")";
  return out;
}

// One thread's access that went wrong.
inline void report_access(warp& w, code what, int lane, bool store, std::uint64_t address,
                          std::uint64_t size, std::string_view space_name, std::string how) {
  if (!w.launch->seen->first(w.pc, what)) return;
  std::string text = thread_words(w, lane) + (store ? " writes " : " reads ") + bytes_words(size) +
                     " of " + std::string(space_name) + " memory at " + hex(address) + ": " + how;
  w.launch->seen->add(finding_at(*w.launch, w.pc, what, std::move(text)));
}

inline void report_global(warp& w, code what, int lane, bool store, std::uint64_t address,
                          std::uint64_t size, std::string before) {
  if (!w.launch->seen->first(w.pc, what)) return;
  const whereabouts at = locate(*w.launch->global, address, size);
  finding f = finding_at(*w.launch, w.pc, what,
                         thread_words(w, lane) + (store ? " writes " : " reads ") + bytes_words(size) +
                             " of global memory at " + hex(address) + ": " + before + at.words);
  f.tensor = at.tensor;
  f.index = at.index;
  w.launch->seen->add(std::move(f));
}

inline void report_undefined(warp& w, int lane, std::string_view becomes) {
  if (!w.launch->seen->first(w.pc, code::undefined_value)) return;
  w.launch->seen->add(finding_at(*w.launch, w.pc, code::undefined_value,
                                 thread_words(w, lane) + " uses an undefined value (a register or memory that was never written) as " +
                                     std::string(becomes)));
}

}  // namespace skillbench::ptx
