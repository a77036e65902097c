#pragma once
// ptx_launch.hpp: small kernels in PTX text, and what a launch of them leaves.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "ptx_kit.hpp"

namespace kit {

using skillbench::code;
using u32 = std::uint32_t;

// One output of `n` 32-bit words that start unwritten.
inline request kernel(const std::string& body, std::size_t n, const std::string& declare = "",
                      const std::string& before = "") {
  request r;
  r.ptx = header + before + kit::entry(body, 1, 0, declare);
  r.entry = "k";
  r.cta.x = 32;
  r.blocks.push_back({"y", true, false, 4, std::string(4 * n, '\0')});
  return r;
}

// %r0 thread of the launch, %r1 thread of the CTA, %rd0 where its word goes.
inline const std::string start =
    "mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mad.lo.s32 %r0, %r2, %r3, %r1;"
    "mul.wide.u32 %rd0, %r0, 4; add.s64 %rd0, %p_0, %rd0;\n";

inline std::vector<u32> output(const report& told, std::size_t block = 0) { return values_of<u32>(told.bytes[block]); }

// What a launch that goes well leaves; anything else is a failed check.
inline std::vector<u32> run(const request& r) {
  const auto told = launch(r);
  INFO(told.trouble);
  CHECK(told.trouble == "");
  for (const auto& f : told.findings) MESSAGE(f.what);
  CHECK(told.findings.empty());
  return output(told);
}

inline const skillbench::finding* find(const report& told, code what) {
  for (const auto& f : told.findings)
    if (f.kind == what) return &f;
  return nullptr;
}
inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

template <typename F>
std::vector<u32> each(std::size_t n, F f) {
  std::vector<u32> out;
  for (u32 i = 0; i < n; ++i) out.push_back(static_cast<u32>(f(i)));
  return out;
}

}  // namespace kit

