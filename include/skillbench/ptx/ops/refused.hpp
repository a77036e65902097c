#pragma once
// ptx/ops/refused.hpp: instructions that sm_90 has and the machine does not run,
// each with its reason.
//
// Layer   3.
// Source  PTX ISA 9.0, "Texture Instructions", "Surface Instructions", "Video
//         Instructions", "tensormap", "multimem".

#include <string_view>

#include <skillbench/ptx/decode.hpp>

namespace skillbench::ptx::ops {

inline void add_refused_rows(instruction_table& table) {
  const row textures = [](decoding& d) { d.refuse("a launch here has no textures and no surfaces"); };
  for (const char* name : {"tex", "tld4", "txq", "suld", "sust", "sured", "suq", "istypep"}) table[name] = textures;
  const row video = [](decoding& d) { d.refuse("a video instruction, which NVRTC writes for no C++"); };
  for (const char* name : {"vadd", "vsub", "vabsdiff", "vmin", "vmax", "vshl", "vshr", "vmad", "vset",
                           "vadd2", "vsub2", "vavrg2", "vabsdiff2", "vmin2", "vmax2", "vset2",
                           "vadd4", "vsub4", "vavrg4", "vabsdiff4", "vmin4", "vmax4", "vset4"})
    table[name] = video;
  table["tensormap"] = [](decoding& d) { d.refuse("a tensor map that the kernel changes"); };
  table["multimem"] = [](decoding& d) { d.refuse("a launch here is on one device, which has no multicast object"); };
}

}  // namespace skillbench::ptx::ops
