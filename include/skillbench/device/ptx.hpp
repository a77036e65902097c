#pragma once
// device/ptx.hpp: the PTX machine as a device.
//
// Layer   4. Includes device.hpp, device/compiler.hpp, inputs.hpp and the door ptx/*.
// Units   bytes. One launch sequence may touch `most_memory` bytes of tensors,
//         shadows included; a tensor costs only the pages that are touched.
// Errors  see device.hpp; the PTX of a candidate that cannot be read is
//         reason::not_supported, since NVRTC made it.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/cuda/library.hpp>
#include <skillbench/device.hpp>
#include <skillbench/device/compiler.hpp>
#include <skillbench/h100.hpp>
#include <skillbench/inputs.hpp>
#include <skillbench/ptx/decoder.hpp>
#include <skillbench/ptx/forms.hpp>
#include <skillbench/ptx/gate.hpp>
#include <skillbench/ptx/machine.hpp>
#include <skillbench/ptx/parse.hpp>
#include <skillbench/ptx/threads.hpp>

namespace skillbench {

inline constexpr std::uint64_t most_memory = std::uint64_t{1} << 30;
inline constexpr std::uint64_t most_job_instructions = 1'000'000'000;

class ptx_device : public device {
 public:
  // `most_bytes`: of tensors and their shadows, of one launch sequence. `cold`:
  // how many instructions are interpreted before native code is made of the rest.
  explicit ptx_device(toolkit from, std::uint64_t most_bytes = most_memory, ptx::native how = ptx::native::checked, std::uint64_t cold = ptx::launch_plan{}.cold)
      : compiler_(std::move(from)), most_bytes_(most_bytes), how_(how), cold_(cold) {}

  [[nodiscard]] std::string name() const override { return "PTX machine"; }
  [[nodiscard]] std::string target() const override { return "sm_90a"; }

  [[nodiscard]] result<image> compile(const compile_request& asked) override {
    return compiler_.compile(asked);
  }

  [[nodiscard]] result<done> load(const std::string& text) override {
    programs_.clear();
    loaded_.reset();
    auto parsed = ptx::parse(text);
    if (!parsed) return fault{reason::not_supported, "not supported by the PTX machine: " + parsed.error().what};
    loaded_ = std::make_unique<ptx::module>(std::move(parsed).value());
    gate_findings_ = ptx::injected(text);
    gated_ = false;
    return done{};
  }

  [[nodiscard]] result<run_report> run(const job& asked) override {
    if (!loaded_) return fault{reason::bad_argument, "a run without a loaded module"};
    const double before = thread_cpu_seconds();
    run_report out;
    ptx::memory global(most_bytes_);
    global.set_poison(mix(asked.seed, "poison") | 0x8000800080008001ull);
    if (auto placed = place_module(*loaded_, global); !placed) return placed.error();
    const std::size_t first = global.count();
    if (auto placed = place_buffers(global, asked); !placed) return placed.error();

    ptx::watch seen;
    ptx::machine machine(global, seen);
    std::uint64_t left = asked.most_instructions ? asked.most_instructions : most_job_instructions;
    for (const launch& one : asked.launches) {
      auto program = program_of(one.entry);
      if (!program) return program.error();
      std::vector<ptx::tensor_map> maps;
      auto refused = refusal(*program.value(), one);
      if (!refused) {
        auto made = make_maps(asked, one, *program.value(), global, first, maps);
        if (!made) return made.error();
        refused = std::move(made.value());
      }
      if (refused) {
        out.findings.push_back(std::move(*refused));
        break;
      }
      ptx::launch_plan plan;
      plan.grid = one.grid;
      plan.block = one.block;
      plan.cluster = cluster_of(*program.value(), one);
      plan.explicit_cluster = program.value()->explicit_cluster || plan.cluster.count() > 1;
      plan.dynamic_shared = static_cast<std::uint64_t>(one.shared_bytes);
      plan.seed = mix(asked.seed, "schedule");
      plan.schedule = asked.schedule;
      plan.how = how_;
      plan.cold = cold_;
      plan.most_instructions = left;
      plan.counters = asked.counters;
      for (const std::int64_t cta : asked.ctas)
        if (cta >= 0 && cta < one.grid.count()) plan.ctas.push_back(static_cast<std::uint64_t>(cta));
      if (!asked.ctas.empty() && plan.ctas.empty()) continue;
      plan.parameters = parameters(*program.value(), one, global, first, maps);
      auto counted = ptx::launch_on(static_cast<unsigned>(std::clamp<std::int64_t>(asked.threads, 1, 64)), machine, global, seen, *program.value(), plan);
      if (!counted) return counted.error();
      const ptx::launch_counts& c = counted.value();
      left = c.warp_instructions < left ? left - c.warp_instructions : 1;
      out.counted.warp_instructions += c.warp_instructions;
      out.counted.thread_instructions += c.thread_instructions;
      out.counted.global_load_sectors += c.load_sectors;
      out.counted.global_store_sectors += c.store_sectors;
      out.counted.barriers += c.barriers;
      out.printed += c.printed;
      out.printed_lost += c.printed_lost;
      if (c.detail) out.launches.push_back(*c.detail);
      if (aborted(seen)) break;
    }
    for (auto& f : seen.findings()) out.findings.push_back(std::move(f));
    tell_gate(asked, out);
    tell_printed(out);
    asked.ctas.empty() ? collect(global, first, asked, out) : collect_written(global, first, asked, out);
    out.cpu_seconds = thread_cpu_seconds() - before;
    return out;
  }

  // A module's variables take the first places of a memory, in order.
  [[nodiscard]] static result<done> place_module(const ptx::module& of, ptx::memory& global) {
    const auto variables = ptx::module_variables(of);
    std::map<std::string, std::uint64_t> places;
    for (std::size_t i = 0; i < variables.size(); ++i) places[variables[i]->name] = ptx::module_variable_address(i);
    for (std::size_t i = 0; i < of.functions.size(); ++i)
      if (of.functions[i].defined) places.try_emplace(of.functions[i].name, ptx::function_address(i));
    for (const ptx::variable* v : variables) {
      const std::int64_t bytes = std::max<std::int64_t>(ptx::variable_bytes(*v), 1);
      if (static_cast<std::uint64_t>(bytes) > most_memory)
        return fault{reason::too_large, "the module variable " + v->name + " has " + std::to_string(bytes) + " bytes"};
      auto image = std::make_shared<std::string>();
      const std::size_t width = std::max<std::size_t>(ptx::width_of(ptx::type_named(v->type)), 1);
      for (const auto& value : v->values) {
        std::uint64_t bits = value.bits;
        if (value.kind == ptx::operand::type::name) {
          const auto at = places.find(value.text);
          if (at == places.end()) return fault{reason::not_supported, "not supported by the PTX machine: an initialiser that names " + value.text};
          bits = at->second + static_cast<std::uint64_t>(value.offset);
        } else if (value.kind == ptx::operand::type::real64 && width == 4) {
          bits = std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(bits)));
        }
        image->append(reinterpret_cast<const char*>(&bits), width);
      }
      ptx::allocation a;
      a.name = "the module variable " + v->name;
      a.writable = v->space != "const";
      a.starts_defined = true;
      a.element_bytes = static_cast<std::int64_t>(width);
      a.bytes = static_cast<std::uint64_t>(bytes);
      a.initial = [image](std::int64_t from, std::span<std::byte> out) {
        std::fill(out.begin(), out.end(), std::byte{0});
        const auto at = static_cast<std::size_t>(from);
        if (at < image->size()) std::memcpy(out.data(), image->data() + at, std::min(out.size(), image->size() - at));
      };
      global.add(std::move(a), 0);
    }
    return done{};
  }

 private:
  // A launch that ended early leaves nothing for the next one to stand on.
  [[nodiscard]] static bool aborted(ptx::watch& seen) {
    for (const auto& f : seen.findings())
      if (f.kind == code::deadlock || f.kind == code::trap) return true;
    return seen.enough();
  }

  static result<done> place_buffers(ptx::memory& global, const job& asked) {
    for (const buffer& b : asked.buffers) {
      if (b.bytes() < 0 || b.bytes() >= std::int64_t{1} << 35)
        return fault{reason::too_large, "the tensor " + b.name + " has " + std::to_string(b.bytes()) + " bytes; the PTX machine places up to 32 GB"};
      ptx::allocation a;
      a.name = b.name;
      a.writable = b.use != role::input;
      a.starts_defined = b.use == role::input || b.use == role::both;
      a.element_bytes = b.bytes_of_element();
      if (!b.contents.empty() && static_cast<std::int64_t>(b.contents.size()) != b.bytes())
        return fault{reason::bad_argument, "the contents of " + b.name + " have another size than it"};
      a.bytes = static_cast<std::uint64_t>(b.bytes());
      if (!b.contents.empty())
        a.initial = [text = std::make_shared<const std::string>(b.contents)](std::int64_t from, std::span<std::byte> out) {
          std::memcpy(out.data(), text->data() + from, out.size());
        };
      else if (a.starts_defined)
        a.initial = [filled = b.filled, seed = b.seed, type = b.type](std::int64_t from, std::span<std::byte> out) {
          make_elements(filled, seed, type, from / static_cast<std::int64_t>(size_of(type)), out);
        };
      global.add(std::move(a), asked.counters ? 0 : mix(asked.seed, b.name));
    }
    return done{};
  }

  result<const ptx::program*> program_of(const std::string& entry) {
    if (const auto it = programs_.find(entry); it != programs_.end()) return it->second.get();
    auto made = ptx::decoder(*loaded_).kernel(entry);
    if (!made) return made.error();
    auto kept = std::make_unique<ptx::program>(std::move(made).value());
    return (programs_[entry] = std::move(kept)).get();
  }

  // What the kernel says, or else the launch.
  [[nodiscard]] static extent cluster_of(const ptx::program& p, const launch& one) {
    if (p.cluster.empty()) return one.cluster;
    std::int64_t wanted[3] = {1, 1, 1};
    for (std::size_t i = 0; i < p.cluster.size() && i < 3; ++i) wanted[i] = p.cluster[i];
    return {wanted[0], wanted[1], wanted[2]};
  }

  [[nodiscard]] static std::string words(const extent& e) { return ptx::triple(e.x, e.y, e.z); }

  // What a driver would refuse, or would silently misread.
  [[nodiscard]] std::optional<finding> refusal(const ptx::program& p, const launch& one) const {
    const auto refuse = [&](code what, std::string why) {
      finding f;
      f.kind = what;
      f.kernel = p.entry;
      f.what = std::move(why);
      return f;
    };
    // Extent by extent first: their products may not fit.
    const auto within = [](const extent& e, const extent& most) {
      return e.x >= 1 && e.x <= most.x && e.y >= 1 && e.y <= most.y && e.z >= 1 && e.z <= most.z;
    };
    if (!within(one.block, h100::most_block) || one.block.count() > h100::most_threads)
      return refuse(code::launch_refused, "a launch of " + words(one.block) + " threads a CTA is not possible: at most " + words(h100::most_block) + " and " + std::to_string(h100::most_threads) + " in all");
    if (!within(one.grid, h100::most_grid))
      return refuse(code::launch_refused, "a launch on a grid of " + words(one.grid) + " CTAs is not possible: at most " + words(h100::most_grid));
    const std::int64_t threads = one.block.count();
    if (!p.reqntid.empty()) {
      std::int64_t wanted[3] = {1, 1, 1};
      for (std::size_t i = 0; i < p.reqntid.size() && i < 3; ++i) wanted[i] = p.reqntid[i];
      const extent asked{wanted[0], wanted[1], wanted[2]};
      if (one.block != asked)
        return refuse(code::launch_refused, "the launch has " + words(one.block) + " threads a CTA; " + p.entry + " wants " + words(asked));
    }
    const extent cluster = cluster_of(p, one);
    if (!p.cluster.empty() && one.cluster.count() > 1 && one.cluster != cluster)
      return refuse(code::launch_refused, "the launch has clusters of " + words(one.cluster) + " CTAs; " + p.entry + " wants " + words(cluster));
    if (!within(cluster, {h100::most_cluster, h100::most_cluster, h100::most_cluster}) || cluster.count() > h100::most_cluster)
      return refuse(code::launch_refused, "a cluster of " + words(cluster) + " CTAs is not possible: at most " + std::to_string(h100::most_cluster) + " in all");
    if (one.grid.x % cluster.x || one.grid.y % cluster.y || one.grid.z % cluster.z)
      return refuse(code::launch_refused, "a grid of " + words(one.grid) + " CTAs does not divide into clusters of " + words(cluster));
    std::int64_t allowed = h100::most_threads;
    if (!p.maxntid.empty()) {
      allowed = 1;
      for (const std::int64_t n : p.maxntid) allowed *= std::clamp<std::int64_t>(n, 0, h100::most_threads);  // so that three fit
    }
    if (threads > allowed)
      return refuse(code::launch_refused, "the launch has " + std::to_string(threads) + " threads a CTA; __launch_bounds__ of " + p.entry + " allows " + std::to_string(allowed));
    const std::int64_t shared = one.shared_bytes + p.dynamic_offset;
    if (one.shared_bytes < 0 || shared > h100::most_shared)
      return refuse(code::launch_refused, "the launch needs " + std::to_string(shared) + " bytes of shared memory a CTA; an H100 has " + std::to_string(h100::most_shared));
    if (one.args.size() != p.parameters.size())
      return refuse(code::bad_manifest, "the kernel has " + std::to_string(p.parameters.size()) + " parameters; the launch passes " + std::to_string(one.args.size()));
    const ptx::function* source = nullptr;
    for (const auto& f : loaded_->functions)
      if (f.name == p.entry && f.defined) source = &f;
    for (std::size_t i = 0; i < one.args.size(); ++i) {
      const kernel_argument& a = one.args[i];
      const std::uint32_t wanted = a.kind == kernel_argument::type::pointer      ? 8
                                   : a.kind == kernel_argument::type::tensor_map ? ptx::tensor_map_bytes
                                                                                 : a.bytes;
      const std::string& type = source ? source->params[i].type : std::string();
      const std::string where = "parameter " + std::to_string(i + 1) + " of the kernel";
      if (p.parameters[i].bytes != wanted)
        return refuse(code::bad_manifest, where + " has " + std::to_string(p.parameters[i].bytes) + " bytes; the launch passes " + a.name + ", which has " + std::to_string(wanted));
      const bool real_parameter = type == "f32" || type == "f64", integer_parameter = type.starts_with('u') || type.starts_with('s');
      if ((a.kind == kernel_argument::type::integer && real_parameter) || (a.kind == kernel_argument::type::real && integer_parameter))
        return refuse(code::bad_manifest, where + " is " + (real_parameter ? "a float" : "an integer") + "; the launch passes " + a.name + ", which is " + (real_parameter ? "an integer" : "a float"));
    }
    return std::nullopt;
  }

  // The tensor maps that a launch names, as a driver would make them.
  [[nodiscard]] static result<std::optional<finding>> make_maps(const job& asked, const launch& one, const ptx::program& p, ptx::memory& global, std::size_t first, std::vector<ptx::tensor_map>& out) {
    out.resize(asked.tensor_maps.size());
    for (const kernel_argument& a : one.args) {
      if (a.kind != kernel_argument::type::tensor_map) continue;
      const tensor_map_request& from = asked.tensor_maps[static_cast<std::size_t>(a.value)];
      std::string why;
      ptx::tensor_map& map = out[static_cast<std::size_t>(a.value)];
      const std::size_t rank = from.extents.size();
      // Narrowed only after a look at what does not fit.
      const auto fits = [&](const std::vector<std::int64_t>& values, std::size_t n, std::int64_t most, const std::string& what) {
        if (!why.empty()) return false;
        if (values.size() != n) why = "the number of " + what;
        for (std::size_t i = 0; i < values.size() && why.empty(); ++i)
          if (values[i] < 1 || values[i] > most) why = "the " + what + " of dimension " + std::to_string(i) + " is " + std::to_string(values[i]) + ", not 1 to " + std::to_string(most);
        return why.empty();
      };
      if (rank < 1 || rank > 5) why = "a rank of " + std::to_string(rank);
      const std::vector<std::int64_t> ones(rank, 1);
      const std::vector<std::int64_t>& steps = from.element_strides.empty() ? ones : from.element_strides;
      if (fits(from.extents, rank, std::int64_t{1} << 32, "extent") && fits(from.box, rank, 256, "box") && fits(steps, rank, 8, "element stride") &&
          fits(from.strides, rank - 1, (std::int64_t{1} << 40) - 1, "stride")) {
        const buffer& of = asked.buffers[static_cast<std::size_t>(from.buffer)];
        map.address = global.at(first + static_cast<std::size_t>(from.buffer)).base;
        map.rank = static_cast<std::uint8_t>(rank);
        map.element_bytes = static_cast<std::uint8_t>(size_of(of.type));
        map.kind = of.type == element::bf16 ? ptx::element_kind::bfloat : ptx::element_kind::real;
        map.swizzle = static_cast<std::uint8_t>(from.swizzle);
        map.interleave = static_cast<std::uint8_t>(from.interleave);
        map.nan = from.nan;
        for (std::size_t d = 0; d < rank; ++d) {
          map.extent[d] = static_cast<std::uint64_t>(from.extents[d]);
          map.box[d] = static_cast<std::uint16_t>(from.box[d]);
          map.element_stride[d] = static_cast<std::uint8_t>(steps[d]);
          if (d + 1 < rank) map.stride[d] = static_cast<std::uint64_t>(from.strides[d]);
        }
        why = ptx::trouble(map);
      }
      if (why.empty()) {
        if (const std::string what = ptx::unexplained(map); !what.empty())
          return fault{reason::not_supported, "not supported by the PTX machine: " + what + " (tensor map " + from.name + "); no public document says where they lie in shared memory"};
        continue;
      }
      finding f;
      f.kind = code::launch_refused;
      f.kernel = p.entry;
      f.what = "the tensor map " + from.name + " cannot be made: " + why;
      return std::optional<finding>(std::move(f));
    }
    return std::optional<finding>();
  }

  [[nodiscard]] static std::vector<std::byte> parameters(const ptx::program& p, const launch& one, ptx::memory& global, std::size_t first, const std::vector<ptx::tensor_map>& maps) {
    std::vector<std::byte> out(p.parameter_bytes);
    for (std::size_t i = 0; i < one.args.size(); ++i) {
      const kernel_argument& a = one.args[i];
      std::byte* to = out.data() + p.parameters[i].offset;
      if (a.kind == kernel_argument::type::tensor_map) {
        ptx::encode(maps[static_cast<std::size_t>(a.value)], to);
      } else if (a.kind == kernel_argument::type::pointer) {
        const std::uint64_t at = global.at(first + static_cast<std::size_t>(a.value)).base;
        std::memcpy(to, &at, 8);
      } else if (a.kind == kernel_argument::type::real && a.bytes == 4) {
        const auto v = static_cast<float>(a.real);
        std::memcpy(to, &v, 4);
      } else if (a.kind == kernel_argument::type::real) {
        std::memcpy(to, &a.real, std::min<std::size_t>(a.bytes, 8));
      } else {
        std::memcpy(to, &a.value, std::min<std::size_t>(a.bytes, 8));
      }
    }
    return out;
  }

  // The note that a kernel prints holds the start of what it printed.
  static void tell_printed(run_report& out) {
    if (out.printed.empty()) return;
    constexpr std::size_t most = 200;
    finding* note = nullptr;
    for (auto& f : out.findings)
      if (f.kind == code::prints) note = &f;
    if (!note) {
      note = &out.findings.emplace_back();
      note->kind = code::prints;
      note->weight = severity::note;
      note->what = "the kernel prints";
    }
    note->what += ": " + out.printed.substr(0, most) + (out.printed.size() > most ? "..." : "");
    while (!note->what.empty() && note->what.back() == '\n') note->what.pop_back();
  }

  // What the code itself says is told with the first run of a module.
  void tell_gate(const job& asked, run_report& out) {
    if (std::exchange(gated_, true)) return;
    std::vector<std::string> entries;
    for (const launch& one : asked.launches) entries.push_back(one.entry);
    for (auto& f : gate_findings_) out.findings.push_back(std::move(f));
    for (auto& f : ptx::gate(*loaded_, entries)) out.findings.push_back(std::move(f));
  }

  // Outputs whole; an element with an undefined byte is a finding.
  static void collect(ptx::memory& global, std::size_t first, const job& asked, run_report& out) {
    for (std::size_t i = 0; i < asked.buffers.size(); ++i) {
      const buffer& b = asked.buffers[i];
      if (!comes_back(b.use)) continue;
      ptx::allocation& a = global.at(first + i);
      output_bytes whole;
      whole.buffer = static_cast<std::int64_t>(i);
      whole.bytes.assign(a.bytes, '\0');
      tally never, undefined_bits;
      const auto per = static_cast<std::uint64_t>(a.element_bytes);
      for (std::size_t k = 0; k < a.pages.size(); ++k) {
        const std::uint64_t begin = std::max(a.origin + k * ptx::page_bytes, a.base);
        const std::uint64_t end = std::min(a.origin + (k + 1) * ptx::page_bytes, a.end());
        if (begin >= end) continue;
        const ptx::page& p = a.pages[k];
        if (!p.data && a.starts_defined) {
          const std::span<std::byte> start(reinterpret_cast<std::byte*>(whole.bytes.data()) + (begin - a.base), end - begin);
          a.initial(static_cast<std::int64_t>(begin - a.base), start);
          continue;
        }
        if (!p.data) {
          never.add((begin - a.base) / per, (end - begin) / per);
          continue;
        }
        const std::uint64_t in_page = (begin - a.origin) & (ptx::page_bytes - 1);
        std::memcpy(whole.bytes.data() + (begin - a.base), p.data.get() + in_page, end - begin);
        if (!p.shadow || !ptx::ops::any_set(p.shadow.get() + in_page, end - begin)) continue;
        for (std::uint64_t at = 0; at < end - begin; at += per) {
          bool unwritten = false, undefined = false;
          for (std::uint64_t n = 0; n < per; ++n) {
            unwritten |= p.shadow[in_page + at + n] == ptx::unwritten;
            undefined |= p.shadow[in_page + at + n] == ptx::undefined;
          }
          if (unwritten) never.add((begin - a.base + at) / per, 1);
          else if (undefined) undefined_bits.add((begin - a.base + at) / per, 1);
        }
      }
      const std::string of = " of " + std::to_string(b.elements) + " elements of " + b.name + " ";
      never.tell(code::unwritten_output, of + (never.count == 1 ? "was" : "were") + " never written", b.name, out);
      undefined_bits.tell(code::undefined_output, of + "got an undefined value (from a register or memory that was never written)", b.name, out);
      out.outputs.push_back(std::move(whole));
    }
  }

  // Of a run of some CTAs: what was written, as runs of bytes.
  static void collect_written(ptx::memory& global, std::size_t first, const job& asked, run_report& out) {
    for (std::size_t i = 0; i < asked.buffers.size(); ++i) {
      if (asked.buffers[i].use != role::output) continue;
      ptx::allocation& a = global.at(first + i);
      tally undefined_bits;
      const auto per = static_cast<std::uint64_t>(a.element_bytes);
      output_bytes* open = nullptr;
      for (std::size_t k = 0; k < a.pages.size(); ++k) {
        const ptx::page& p = a.pages[k];
        if (!p.data || !p.shadow) continue;
        const std::uint64_t begin = std::max(a.origin + k * ptx::page_bytes, a.base);
        const std::uint64_t end = std::min(a.origin + (k + 1) * ptx::page_bytes, a.end());
        const std::uint64_t in_page = (begin - a.origin) & (ptx::page_bytes - 1);
        for (std::uint64_t at = 0; at + per <= end - begin; at += per) {
          bool written = true;
          for (std::uint64_t n = 0; n < per; ++n) {
            const std::uint8_t shade = p.shadow[in_page + at + n];
            written &= shade == ptx::defined;
            if (shade == ptx::undefined && n == 0) undefined_bits.add((begin - a.base + at) / per, 1);
          }
          if (!written) continue;
          const auto offset = static_cast<std::int64_t>(begin - a.base + at);
          if (!open || open->first + static_cast<std::int64_t>(open->bytes.size()) != offset) {
            out.outputs.emplace_back();
            open = &out.outputs.back();
            open->buffer = static_cast<std::int64_t>(i);
            open->first = offset;
          }
          open->bytes.append(reinterpret_cast<const char*>(p.data.get() + in_page + at), per);
        }
      }
      undefined_bits.tell(code::undefined_output, " elements of " + a.name + " got an undefined value (from a register or memory that was never written)", a.name, out);
    }
  }

  struct tally {
    std::uint64_t count = 0, first = 0;
    void add(std::uint64_t index, std::uint64_t n) {
      if (!count) first = index;
      count += n;
    }
    void tell(code kind, const std::string& what, const std::string& tensor, run_report& out) const {
      if (!count) return;
      finding f;
      f.kind = kind;
      f.what = std::to_string(count) + what + ", the first at index " + std::to_string(first);
      f.tensor = tensor;
      f.index = static_cast<std::int64_t>(first);
      f.count = count;
      out.findings.push_back(std::move(f));
    }
  };

  device_compiler compiler_;
  std::uint64_t most_bytes_ = most_memory;
  ptx::native how_;
  std::uint64_t cold_;
  std::unique_ptr<ptx::module> loaded_;
  std::vector<finding> gate_findings_;
  bool gated_ = false;
  std::map<std::string, std::unique_ptr<ptx::program>> programs_;
};

[[nodiscard]] inline std::unique_ptr<device> make_ptx_device(const toolkit& from) {
  return std::make_unique<ptx_device>(from);
}

using ptx::form_table;  // for HACKING.md

}  // namespace skillbench
