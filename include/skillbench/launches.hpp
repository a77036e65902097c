#pragma once
// launches.hpp: the launches of a candidate for one case of its family.
//
// Layer   4. Includes device.hpp, compile.hpp and what they stand on.
// Units   threads, CTAs, bytes.
// Errors  What is wrong with the manifest for this case is a finding in
//         `refused`, and there is nothing to run; a fault is the family's or
//         the caller's.
// Source  limits of compute capability 9.0: h100.hpp; registers of a CTA by the
//         allocation rule of cuda_occupancy.h.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/candidate.hpp>
#include <skillbench/compile.hpp>
#include <skillbench/device.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/h100.hpp>
#include <skillbench/inputs.hpp>
#include <skillbench/reference.hpp>

namespace skillbench {

inline constexpr std::int64_t most_scratch_bytes = std::int64_t{4} << 30;

struct launch_plan {
  job asked;
  std::vector<finding> refused;  // not empty: there is nothing to run
};

// The job of one case. A fault is the family's or the caller's.
[[nodiscard]] inline result<launch_plan> plan_case(
    const candidate& from, const setting& chosen, const image& compiled,
    const family& asked, const test_case& of, element type,
    std::uint64_t seed) {
  const manifest& wanted = from.launch;
  if (!compiled.ok || compiled.kernels.size() != wanted.launches.size())
    return fault{reason::bad_argument,
                 "the image does not hold a kernel for every launch"};

  launch_plan made;
  made.asked.seed = mix(mix(mix(seed, of.name), "schedule"),
                        static_cast<std::uint64_t>(type));
  bindings known(of.integers.begin(), of.integers.end());
  bindings of_setting = names_of(chosen, type);
  for (auto& each : of_setting) known.push_back(std::move(each));
  known.texts = std::move(of_setting.texts);

  const auto refuse = [&](code kind, std::string what, std::size_t launch_at) {
    finding told;
    told.kind = kind;
    told.what = std::move(what);
    told.element_type = name(type);
    told.test_case = of.name;
    if (launch_at < compiled.kernels.size())
      told.kernel = compiled.kernels[launch_at].lowered;
    made.refused.push_back(std::move(told));
  };
  constexpr std::size_t no_launch = static_cast<std::size_t>(-1);

  for (const expression& each : wanted.require) {
    const auto holds = each.evaluate(known);
    if (!holds)
      refuse(code::bad_manifest,
             "`require` cannot be evaluated: " + holds.error().what, no_launch);
    else if (holds.value() == 0)
      refuse(code::shape_not_supported,
             "The manifest's `require` excludes a shape of the task: `" +
                 each.text() + "` is false for case `" + of.name + "`.",
             no_launch);
  }
  if (!made.refused.empty()) return made;

  // Buffers: the inputs that a launch names, every output, the scratch.
  const auto is_argument = [&](const std::string& what) {
    return std::any_of(wanted.launches.begin(), wanted.launches.end(),
                       [&](const launch_text& each) {
                         return std::find(each.args.begin(), each.args.end(),
                                          what) != each.args.end();
                       });
  };
  const auto is_named = [&](const std::string& what) {
    return is_argument(what) ||
           std::any_of(wanted.tensor_maps.begin(), wanted.tensor_maps.end(),
                       [&](const tensor_map_text& each) {
                         return each.tensor == what && is_argument(each.name);
                       });
  };
  for (const argument& each : asked.arguments) {
    const bool input = each.kind == argument::type::input;
    if (!input && each.kind != argument::type::output) continue;
    if (input && !is_named(each.name)) continue;
    const auto shape = shape_of(each, of);
    if (!shape) return shape.error();
    buffer tensor;
    tensor.name = each.name;
    tensor.use = input ? role::input : role::output;
    tensor.type = type;
    tensor.elements = shape.value().elements;
    if (input) {
      tensor.filled = fill_of(of, each.name);
      tensor.seed = input_seed(seed, asked, of, each.name, type);
    }
    made.asked.buffers.push_back(std::move(tensor));
  }
  for (const auto& [called, bytes] : wanted.scratch) {
    const auto size = bytes.evaluate(known);
    if (!size) {
      refuse(code::bad_manifest,
             "The size of scratch `" + called +
                 "` cannot be evaluated: " + size.error().what,
             no_launch);
      continue;
    }
    if (size.value() < 0 || size.value() > most_scratch_bytes) {
      refuse(code::launch_refused,
             "Scratch `" + called + "` has " + std::to_string(size.value()) +
                 " bytes (`" + bytes.text() + "`); from 0 to 4 GiB can be had.",
             no_launch);
      continue;
    }
    buffer memory;
    memory.name = called;
    memory.use = role::scratch;
    memory.elements = size.value();
    made.asked.buffers.push_back(std::move(memory));
  }

  for (const tensor_map_text& text : wanted.tensor_maps) {
    tensor_map_request map;
    map.name = text.name;
    map.swizzle = text.swizzle;
    map.interleave = text.interleave;
    map.nan = text.nan;
    for (std::size_t i = 0; i < made.asked.buffers.size(); ++i)
      if (made.asked.buffers[i].name == text.tensor)
        map.buffer = static_cast<std::int64_t>(i);
    const auto values = [&](const std::vector<expression>& texts,
                            std::vector<std::int64_t>& to) {
      for (const expression& each : texts) {
        const auto value = each.evaluate(known);
        if (!value)
          refuse(code::bad_manifest,
                 "The tensor map `" + text.name +
                     "` cannot be evaluated: " + value.error().what,
                 no_launch);
        to.push_back(value ? value.value() : 1);
      }
    };
    values(text.extents, map.extents);
    values(text.strides, map.strides);
    values(text.box, map.box);
    values(text.element_strides, map.element_strides);
    made.asked.tensor_maps.push_back(std::move(map));
  }

  for (std::size_t at = 0; at < wanted.launches.size(); ++at) {
    const launch_text& text = wanted.launches[at];
    const kernel_image& kernel = compiled.kernels[at];
    launch ready;
    ready.entry = kernel.lowered;
    const std::size_t refused_before = made.refused.size();

    const auto value_of = [&](const expression& each, std::string_view what)
        -> std::optional<std::int64_t> {
      const auto value = each.evaluate(known);
      if (value) return value.value();
      refuse(code::bad_manifest,
             "`" + std::string(what) + "` of `" + text.entry +
                 "` cannot be evaluated: " + value.error().what,
             at);
      return std::nullopt;
    };
    const auto extents_of = [&](const std::vector<expression>& texts,
                                std::string_view what, const extent& most,
                                extent& into) {
      if (texts.empty() || texts.size() > 3) {
        refuse(code::bad_manifest,
               "`" + std::string(what) + "` of `" + text.entry +
                   "` has not one to three entries.",
               at);
        return;
      }
      const std::array<std::int64_t*, 3> to{&into.x, &into.y, &into.z};
      const std::array<std::int64_t, 3> limit{most.x, most.y, most.z};
      for (std::size_t axis = 0; axis < texts.size(); ++axis) {
        const auto value = value_of(texts[axis], what);
        if (!value) continue;
        *to[axis] = *value;
        if (*value >= 1 && *value <= limit[axis]) continue;
        refuse(code::launch_refused,
               "`" + std::string(what) + "` of `" + text.entry + "` has " +
                   std::to_string(*value) + " in " + "xyz"[axis] + " (`" +
                   texts[axis].text() + "`); an H100 takes 1 to " +
                   std::to_string(limit[axis]) + ".",
               at);
      }
    };
    extents_of(text.grid, "grid", h100::most_grid, ready.grid);
    extents_of(text.block, "block", h100::most_block, ready.block);
    if (!text.cluster.empty())
      extents_of(text.cluster, "cluster",
                 {h100::most_cluster, h100::most_cluster, h100::most_cluster},
                 ready.cluster);
    const auto shared = value_of(text.shared_bytes, "shared_bytes");

    if (made.refused.size() == refused_before) {
      const std::int64_t threads = ready.block.count();
      if (threads > h100::most_threads)
        refuse(code::launch_refused,
               "A block of `" + text.entry + "` has " +
                   std::to_string(threads) + " threads; an H100 takes 1024.",
               at);
      else if (kernel.registers) {
        // Warps are given registers four at a time, 256 a step.
        const std::int64_t warps = (threads + 127) / 128 * 4;
        const std::int64_t of_warp = (*kernel.registers * 32 + 255) / 256 * 256;
        if (warps * of_warp > h100::registers)
          refuse(code::launch_refused,
                 "A block of `" + text.entry + "` with " +
                     std::to_string(threads) + " threads of " +
                     std::to_string(*kernel.registers) +
                     " registers needs more than the 65536 of an SM.",
                 at);
      }
    }
    if (shared) {
      ready.shared_bytes = *shared;
      const std::int64_t fixed = kernel.static_shared.value_or(0);
      if (*shared < 0 || *shared > h100::most_shared - fixed)
        refuse(code::launch_refused,
               "`shared_bytes` of `" + text.entry + "` is " +
                   std::to_string(*shared) + " (`" + text.shared_bytes.text() +
                   "`)" +
                   (fixed > 0 ? " beside " + std::to_string(fixed) +
                                    " static bytes"
                              : std::string()) +
                   "; an H100 has 0 to 232448 for a block.",
               at);
    }

    for (const std::string& called : text.args) {
      kernel_argument ready_argument;
      ready_argument.name = called;
      const auto is_called = [&](const auto& pair) {
        return pair.first == called;
      };
      const auto memory = std::find_if(
          made.asked.buffers.begin(), made.asked.buffers.end(),
          [&](const buffer& each) { return each.name == called; });
      const auto integer =
          std::find_if(of.integers.begin(), of.integers.end(), is_called);
      const auto real =
          std::find_if(of.reals.begin(), of.reals.end(), is_called);
      if (memory != made.asked.buffers.end()) {
        ready_argument.value = memory - made.asked.buffers.begin();
      } else if (integer != of.integers.end()) {
        ready_argument.kind = kernel_argument::type::integer;
        ready_argument.value = integer->second;
      } else if (real != of.reals.end()) {
        ready_argument.kind = kernel_argument::type::real;
        ready_argument.real = real->second;
      } else if (const auto map = std::find_if(
                     made.asked.tensor_maps.begin(),
                     made.asked.tensor_maps.end(),
                     [&](const tensor_map_request& each) {
                       return each.name == called;
                     });
                 map != made.asked.tensor_maps.end()) {
        ready_argument.kind = kernel_argument::type::tensor_map;
        ready_argument.value = map - made.asked.tensor_maps.begin();
      } else if (!std::any_of(wanted.scratch.begin(), wanted.scratch.end(),
                              is_called)) {  // else its size was refused
        refuse(code::bad_manifest,
               "`args` of `" + text.entry + "` names `" + called +
                   "`, which is neither of the task nor scratch.",
               at);
      }
      ready.args.push_back(std::move(ready_argument));
    }
    made.asked.launches.push_back(std::move(ready));
  }
  return made;
}

}  // namespace skillbench
