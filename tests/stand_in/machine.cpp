#include "machine.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include <skillbench/device/ptx.hpp>

namespace stand_in {

using namespace skillbench;

namespace {
constexpr std::size_t first_slot = 2048;  // below: module variables; headers of CUDA alone have hundreds
constexpr std::uint64_t most_bytes = std::uint64_t{2} << 30;
constexpr std::uint64_t most_instructions = 400'000'000;
}  // namespace

class module_image {
 public:
  ptx::module parsed;
  std::map<std::string, std::pair<ptx::program, kernel_facts>> programs;
  std::vector<ptx::allocation> variables;
  bool placed = false;
};

struct machine::held {
  std::map<std::size_t, ptx::allocation> memory;  // by slot
  std::size_t next = first_slot;
  std::uint64_t launches = 0;

  ptx::allocation* owner(address at, std::size_t bytes) {
    const auto found = memory.find(static_cast<std::size_t>(at >> ptx::slot_bits));
    return found != memory.end() && found->second.holds(at, bytes) ? &found->second : nullptr;
  }
  // A page of it; what a GPU's memory holds at first is anything.
  static std::byte* page(ptx::allocation& of, address at) {
    ptx::page& one = of.pages[(at - of.origin) >> ptx::page_bits];
    if (!one.data) {
      one.data.reset(new std::byte[ptx::page_bytes]);
      std::memset(one.data.get(), 0x5a, ptx::page_bytes);
    }
    return one.data.get() + (at & (ptx::page_bytes - 1));
  }
  template <typename Use>
  bool each_run(address at, std::size_t bytes, Use&& use) {
    ptx::allocation* const of = owner(at, bytes);
    if (!of) return bytes == 0;
    for (std::size_t done = 0; done < bytes;) {
      const std::size_t run = std::min<std::size_t>(bytes - done, ptx::page_bytes - ((at + done) & (ptx::page_bytes - 1)));
      use(page(*of, at + done), done, run);
      done += run;
    }
    return true;
  }
};

machine::machine() : held_(std::make_unique<held>()) {}
machine::~machine() = default;

address machine::allocate(std::size_t bytes) {
  ptx::allocation fresh;
  fresh.name = "memory";
  fresh.starts_defined = true;
  fresh.bytes = bytes;
  const std::size_t slot = held_->next++;
  fresh.base = (std::uint64_t{slot} << ptx::slot_bits) + ptx::page_bytes;
  fresh.origin = fresh.base;
  fresh.pages.resize((bytes + ptx::page_bytes - 1) >> ptx::page_bits);
  const address at = fresh.base;
  held_->memory.emplace(slot, std::move(fresh));
  return at;
}

bool machine::release(address at) {
  const auto found = held_->memory.find(static_cast<std::size_t>(at >> ptx::slot_bits));
  if (found == held_->memory.end() || found->second.base != at) return false;
  held_->memory.erase(found);
  return true;
}

bool machine::write(address at, const void* from, std::size_t bytes) {
  return held_->each_run(at, bytes, [&](std::byte* to, std::size_t done, std::size_t run) {
    std::memcpy(to, static_cast<const std::byte*>(from) + done, run);
  });
}

bool machine::read(void* into, address at, std::size_t bytes) {
  return held_->each_run(at, bytes, [&](const std::byte* from, std::size_t done, std::size_t run) {
    std::memcpy(static_cast<std::byte*>(into) + done, from, run);
  });
}

std::shared_ptr<module_image> machine::load(const std::string& text, std::string& why) {
  auto parsed = ptx::parse(text);
  if (!parsed) {
    why = parsed.error().what;
    return nullptr;
  }
  auto made = std::make_shared<module_image>();
  made->parsed = std::move(parsed).value();
  return made;
}

const kernel_facts* machine::find(module_image& in, const std::string& entry) {
  if (const auto known = in.programs.find(entry); known != in.programs.end()) return &known->second.second;
  const bool there = std::any_of(in.parsed.functions.begin(), in.parsed.functions.end(), [&](const auto& each) { return each.entry && each.defined && each.name == entry; });
  if (!there) return nullptr;
  auto made = ptx::decoder(in.parsed).kernel(entry);
  if (!made) return nullptr;
  kernel_facts facts;
  for (const auto& each : made.value().parameters) {
    facts.parameter_offsets.push_back(each.offset);
    facts.parameter_bytes.push_back(each.bytes);
  }
  facts.static_shared = made.value().static_shared;
  const auto& bound = made.value().reqntid.empty() ? made.value().maxntid : made.value().reqntid;
  if (!bound.empty()) {
    facts.most_threads = 1;
    for (const auto n : bound) facts.most_threads *= n;
  }
  auto& kept = in.programs[entry];
  kept.first = std::move(made).value();
  kept.second = std::move(facts);
  return &kept.second;
}

machine::launched machine::launch(module_image& in, const std::string& entry, const unsigned (&grid)[3], const unsigned (&block)[3], const unsigned (&cluster)[3],
                                  unsigned shared_bytes, const std::vector<std::byte>& parameters) {
  launched told;
  const ptx::program& program = in.programs.at(entry).first;
  ptx::memory global(most_bytes);
  if (in.placed) {
    for (auto& each : in.variables) global.add(std::move(each), 0);
  } else if (const auto placed = ptx_device::place_module(in.parsed, global); !placed) {
    told = {ending::not_supported, placed.error().what, 0};
    return told;
  }
  const std::size_t variables = global.count();
  if (variables >= first_slot) {
    told = {ending::not_supported, "a module of " + std::to_string(variables) + " variables", 0};
    return told;
  }
  while (global.count() + 1 < first_slot) global.add({}, 0);
  for (std::size_t slot = first_slot; slot < held_->next; ++slot) {
    const auto found = held_->memory.find(slot);
    global.add(found == held_->memory.end() ? ptx::allocation{} : std::move(found->second), 0);
  }

  ptx::watch seen;
  ptx::machine runs(global, seen);
  ptx::launch_plan plan;
  plan.grid = {grid[0], grid[1], grid[2]};
  plan.block = {block[0], block[1], block[2]};
  plan.cluster = {cluster[0], cluster[1], cluster[2]};
  plan.explicit_cluster = program.explicit_cluster || plan.cluster.count() > 1;
  if (!program.cluster.empty()) {
    std::int64_t wanted[3] = {1, 1, 1};
    for (std::size_t i = 0; i < program.cluster.size() && i < 3; ++i) wanted[i] = program.cluster[i];
    plan.cluster = {wanted[0], wanted[1], wanted[2]};
  }
  plan.dynamic_shared = shared_bytes;
  plan.parameters = parameters;
  plan.parameters.resize(program.parameter_bytes);
  plan.seed = ++held_->launches;
  plan.most_instructions = most_instructions;
  plan.races = false;
  const auto counted = runs.launch(program, plan);

  in.variables.clear();
  for (std::size_t i = 0; i < variables; ++i) in.variables.push_back(std::move(global.at(i)));
  in.placed = true;
  for (auto& [slot, memory] : held_->memory) memory = std::move(global.at(slot - 1));

  for (const finding& each : seen.findings()) {
    if (each.weight != severity::fails || told.how != ending::fine) continue;
    told.how = each.kind == code::out_of_bounds || each.kind == code::invalid_access ? ending::illegal_address
               : each.kind == code::misaligned                                      ? ending::misaligned
               : each.kind == code::trap                                            ? ending::trapped
               : each.kind == code::deadlock                                        ? ending::endless
                                                                                    : ending::fine;
    told.why = each.what;
  }
  if (counted) {
    told.instructions = counted.value().warp_instructions;
  } else if (told.how == ending::fine) {
    told.how = counted.error().why == reason::too_slow ? ending::endless : ending::not_supported;
    told.why = counted.error().what;
  }
  return told;
}

std::string encode_map(std::byte* to, address at, int rank, int element_bytes, bool bfloat, bool real, const std::uint64_t* extents, const std::uint64_t* strides,
                       const unsigned* box, const unsigned* steps, int swizzle_bytes, int interleave_bytes, bool nan) {
  ptx::tensor_map map;
  map.address = at;
  map.rank = static_cast<std::uint8_t>(rank);
  map.element_bytes = static_cast<std::uint8_t>(element_bytes);
  map.kind = bfloat ? ptx::element_kind::bfloat : real ? ptx::element_kind::real : ptx::element_kind::without_sign;
  map.swizzle = static_cast<std::uint8_t>(swizzle_bytes);
  map.interleave = static_cast<std::uint8_t>(interleave_bytes);
  map.nan = nan;
  for (int d = 0; d < rank && d < 5; ++d) {
    map.extent[d] = extents[d];
    map.box[d] = static_cast<std::uint16_t>(std::min(box[d], 1000u));
    map.element_stride[d] = static_cast<std::uint8_t>(std::min(steps[d], 100u));
    if (d + 1 < rank) map.stride[d] = strides[d];
  }
  std::string why = ptx::trouble(map);
  if (why.empty()) why = ptx::unexplained(map);
  if (why.empty()) ptx::encode(map, to);
  return why;
}

}  // namespace stand_in
