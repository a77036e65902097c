#pragma once
// ptx/decoder.hpp: from the tree of a module to a program for one kernel.
//
// Layer   3. Includes module, program, decode and the rows of ops/.
// Errors  reason::not_found for an entry that the module does not have;
//         An instruction that no row takes is kept
//         and complained about only when it is reached.
// Shapes  registers of every function that the kernel can reach have places of
//         their own in one register file. A lane is in one activation of a
//         function at a time, so divergent calls share them without conflict.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/ptx/allocate.hpp>
#include <skillbench/ptx/classes.hpp>
#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/ops/access.hpp>
#include <skillbench/ptx/ops/arithmetic.hpp>
#include <skillbench/ptx/ops/atomic.hpp>
#include <skillbench/ptx/ops/async.hpp>
#include <skillbench/ptx/ops/bulk.hpp>
#include <skillbench/ptx/ops/cluster.hpp>
#include <skillbench/ptx/ops/control.hpp>
#include <skillbench/ptx/ops/convert.hpp>
#include <skillbench/ptx/ops/exchange.hpp>
#include <skillbench/ptx/ops/extended.hpp>
#include <skillbench/ptx/ops/integer.hpp>
#include <skillbench/ptx/ops/mbarrier.hpp>
#include <skillbench/ptx/ops/matrix.hpp>
#include <skillbench/ptx/ops/refused.hpp>
#include <skillbench/ptx/ops/select.hpp>
#include <skillbench/ptx/ops/service.hpp>
#include <skillbench/ptx/ops/warpgroup.hpp>
#include <skillbench/ptx/ops/wmma.hpp>

namespace skillbench::ptx {

// Every instruction the machine knows, by opcode.
[[nodiscard]] inline const instruction_table& instructions() {
  static const instruction_table all = [] {
    instruction_table table;
    ops::add_integer_rows(table);
    ops::add_arithmetic_rows(table);
    ops::add_extended_rows(table);
    ops::add_select_rows(table);
    ops::add_convert_rows(table);
    ops::add_access_rows(table);
    ops::add_atomic_rows(table);
    ops::add_exchange_rows(table);
    ops::add_control_rows(table);
    ops::add_matrix_rows(table);
    ops::add_warpgroup_rows(table);
    ops::add_bulk_rows(table);
    ops::add_wmma_rows(table);
    ops::add_mbarrier_rows(table);
    ops::add_cluster_rows(table);
    ops::add_refused_rows(table);
    ops::add_service_rows(table);
    return table;
  }();
  return all;
}

inline constexpr std::uint64_t most_file_bytes = 64ull << 20;  // of a warp
inline constexpr std::uint32_t most_stack = 16u << 10;  // of a lane, by alloca
inline constexpr std::uint64_t most_frame_bytes = 512ull << 10;  // of a lane

[[nodiscard]] inline std::int64_t variable_bytes(const variable& v) {
  std::int64_t n = std::max<std::int64_t>(width_of(type_named(v.type)), 1) * v.vector;
  for (const std::int64_t e : v.extents) {
    if (e < 0) return 0;  // extern []
    n *= e;
  }
  return n;
}

[[nodiscard]] inline std::uint64_t aligned(std::uint64_t at, std::uint64_t to) {
  return to > 1 ? (at + to - 1) / to * to : at;
}

[[nodiscard]] inline std::uint64_t alignment_of(const variable& v) {
  if (v.align > 0) return static_cast<std::uint64_t>(v.align);
  return static_cast<std::uint64_t>(std::max<int>(width_of(type_named(v.type)), 1)) * static_cast<std::uint64_t>(v.vector);
}

// Where a module's variables lie: the same for every run of the module.
[[nodiscard]] inline std::uint64_t module_variable_address(std::size_t index) {
  return ((static_cast<std::uint64_t>(index) + 1) << slot_bits) + page_bytes;
}
[[nodiscard]] inline std::vector<const variable*> module_variables(const module& m) {
  std::vector<const variable*> out;
  for (const auto& v : m.variables)
    if (v.space == "global" || v.space == "const") out.push_back(&v);
  return out;
}

// What race.hpp wants to know of a program: the smallest stores, and whether
// anybody learns from other threads.
inline void find_race_facts(program& p) {
  std::vector<bool> read(p.slots, false);
  for (const op& o : p.code) liveness::reads(p, o, [&](std::uint32_t slot) { read[slot] = true; });
  const auto smallest = [](std::uint8_t& granule, unsigned bytes) {
    granule = static_cast<std::uint8_t>(std::min<int>(granule, std::countr_zero(bytes)));
  };
  // The plain load that starts a loop of compare-and-swap only guesses: what is
  // there decides (CUDA C++ Programming Guide, "Atomic Functions").
  std::set<std::pair<std::uint32_t, std::int64_t>> swapped;
  for (const op& o : p.code)
    if (o.access == access_kind::atomic && o.compares) swapped.emplace(o.s[0].slot, o.imm);
  for (op& o : p.code) {
    if (o.access == access_kind::load && o.order == memory_order::weak && o.s[0].slot && swapped.count({o.s[0].slot, o.imm})) o.order = memory_order::relaxed;
    if (o.access == access_kind::atomic && o.targets > 0 && !read[o.d[0].slot]) o.result_unused = true;
    p.learns |= o.order != memory_order::weak && (o.access == access_kind::load || (o.access == access_kind::atomic && !o.result_unused));
    const bool in_shared = o.where == space::shared || o.where == space::generic;
    const bool in_global = o.where == space::global || o.where == space::generic;
    if (o.access == access_kind::none || o.access == access_kind::load) {
      // Operations of other kinds store 4 bytes or more at a time.
      if (o.access == access_kind::none && in_shared && o.kind == flow::plain) p.stores_shared |= o.where == space::shared;
      continue;
    }
    const unsigned bytes = o.access == access_kind::store ? unsigned{o.unit} * o.vector : o.unit;
    if (in_shared) smallest(p.shared_granule, bytes);
    if (in_global) smallest(p.global_granule, bytes);
    p.stores_shared |= in_shared;
  }
}

class decoder {
 public:
  explicit decoder(const module& m) : module_(m) {}

  // Whether registers share places (allocate.hpp); without it nothing is told
  // of registers that are read before they are written.
  void share_registers(bool share) { share_ = share; }

  result<program> kernel(std::string_view entry) {
    const function* start = nullptr;
    for (const auto& f : module_.functions)
      if (f.defined) by_name_[f.name] = &f;
    if (const auto it = by_name_.find(entry); it != by_name_.end() && it->second->entry) start = it->second;
    if (!start) return fault{reason::not_found, "the PTX has no entry named " + std::string(entry)};
    made_.entry = entry;

    if (auto reached = reach(*start); !reached) return reached.error();
    made_.file_bytes = 256;  // slot 0: a defined zero of any width
    made_.slots = 1;
    made_.registers.push_back({256, false});
    place_module_variables();
    for (const function* f : order_) place_variables(*f);
    if (trouble_.why != reason::internal) return trouble_;
    for (std::size_t i = 0; i < order_.size(); ++i) decode_function(static_cast<std::uint32_t>(i));
    if (trouble_.why != reason::internal) return trouble_;
    resolve_branches();
    made_.static_shared = static_cast<std::uint32_t>(shared_);
    made_.dynamic_offset = static_cast<std::uint32_t>(aligned(shared_, dynamic_align_));
    for (const std::size_t index : dynamic_constants_) made_.constants[index].bits += made_.dynamic_offset;
    for (auto& o : made_.code)
      if (dynamic_ops_.count(static_cast<std::uint32_t>(&o - made_.code.data()))) o.imm += made_.dynamic_offset;
    for (const auto& [name, values] : start->directives) {
      if (name == "maxntid") made_.maxntid = values;
      if (name == "reqntid") made_.reqntid = values;
      if (name == "reqnctapercluster") made_.cluster = values;
      if (name == "explicitcluster") made_.explicit_cluster = true;
    }
    made_.function_starts = starts_;
    if (made_.warpgroups) ops::mark_unfenced(made_);
    if (made_.stack_top) {
      made_.stack_begins = static_cast<std::uint32_t>(aligned(made_.frame_bytes, 16));
      made_.frame_bytes = made_.stack_begins + most_stack;
    }
    find_race_facts(made_);
    if (share_) allocate(made_);
    mark_blocks(made_);
    return std::move(made_);
  }

  // ---- for decoding ------------------------------------------------------------
  [[nodiscard]] const symbol* find(const std::string& name) {
    auto& names = scopes_[current_];
    if (const auto it = names.find(name); it != names.end()) return &it->second;
    if (const symbol* s = numbered(name)) return s;
    if (const auto it = globals_.find(name); it != globals_.end()) return &it->second;
    return nullptr;
  }

  [[nodiscard]] ref constant_of(std::uint64_t bits, std::uint8_t width) {
    if (width && width < 8) bits &= (std::uint64_t{1} << (8 * width)) - 1;
    const auto [it, fresh] = constants_.try_emplace({width, bits}, ref{});
    if (fresh) {
      it->second = place(width);
      made_.constants.push_back({it->second, width, bits});
    }
    return it->second;
  }
  // The offset of dynamic shared memory is known only at the end.
  [[nodiscard]] ref dynamic_constant(std::uint64_t extra, std::uint8_t width) {
    const ref r = place(width);
    dynamic_constants_.push_back(made_.constants.size());
    made_.constants.push_back({r, width, extra});
    return r;
  }
  // CC.CF of the function that is decoded (ops/extended.hpp).
  [[nodiscard]] ref carry() {
    const auto [it, fresh] = carries_.try_emplace(current_, ref{});
    if (fresh) {
      it->second = place(0);
      made_.registers.back().shareable = true;
    }
    return it->second;
  }
  [[nodiscard]] ref stack_top() {
    if (!made_.stack_top) made_.stack_top = place(8);
    return *made_.stack_top;
  }
  [[nodiscard]] further& more_of(op& o) {
    if (!o.more) {
      o.more = static_cast<std::uint32_t>(made_.more.size());
      made_.more.emplace_back();
    }
    return made_.more[o.more];
  }
  void note_warpgroups() { made_.warpgroups = made_.notes_stores = true; }
  [[nodiscard]] std::int64_t add_bulk(const bulk_form& f) {
    made_.bulk.push_back(f);
    return static_cast<std::int64_t>(made_.bulk.size() - 1);
  }
  void notes_stores() { made_.notes_stores = true; }
  void mark_dynamic() { dynamic_ops_.insert(static_cast<std::uint32_t>(made_.code.size())); }

  [[nodiscard]] const ref* special_of(const std::string& name, const std::string& part) {
    struct entry { std::string_view name, part; special what; };
    static constexpr entry known[] = {
        {"%tid", "x", special::tid_x}, {"%tid", "y", special::tid_y}, {"%tid", "z", special::tid_z},
        {"%ntid", "x", special::ntid_x}, {"%ntid", "y", special::ntid_y}, {"%ntid", "z", special::ntid_z},
        {"%ctaid", "x", special::ctaid_x}, {"%ctaid", "y", special::ctaid_y}, {"%ctaid", "z", special::ctaid_z},
        {"%nctaid", "x", special::nctaid_x}, {"%nctaid", "y", special::nctaid_y}, {"%nctaid", "z", special::nctaid_z},
        {"%laneid", "", special::laneid}, {"%warpid", "", special::warpid}, {"%nwarpid", "", special::nwarpid},
        {"%smid", "", special::smid}, {"%nsmid", "", special::nsmid},
        {"%lanemask_eq", "", special::lanemask_eq}, {"%lanemask_le", "", special::lanemask_le},
        {"%lanemask_lt", "", special::lanemask_lt}, {"%lanemask_ge", "", special::lanemask_ge},
        {"%lanemask_gt", "", special::lanemask_gt},
        {"%dynamic_smem_size", "", special::dynamic_smem_size}, {"%total_smem_size", "", special::total_smem_size}, {"%aggr_smem_size", "", special::total_smem_size},
        {"%cluster_ctaid", "x", special::cluster_ctaid_x}, {"%cluster_ctaid", "y", special::cluster_ctaid_y}, {"%cluster_ctaid", "z", special::cluster_ctaid_z},
        {"%cluster_ctarank", "", special::cluster_ctarank}, {"%cluster_nctarank", "", special::cluster_nctarank},
        {"%cluster_nctaid", "x", special::cluster_nctaid_x}, {"%cluster_nctaid", "y", special::cluster_nctaid_y}, {"%cluster_nctaid", "z", special::cluster_nctaid_z},
        {"%clusterid", "x", special::clusterid_x}, {"%clusterid", "y", special::clusterid_y}, {"%clusterid", "z", special::clusterid_z},
        {"%nclusterid", "x", special::nclusterid_x}, {"%nclusterid", "y", special::nclusterid_y}, {"%nclusterid", "z", special::nclusterid_z},
        {"%is_explicit_cluster", "", special::is_explicit_cluster}};
    for (const auto& k : known)
      if (k.name == name && k.part == part) {
        const auto [it, fresh] = specials_.try_emplace(k.what, ref{});
        if (fresh) {
          it->second = place(k.what == special::is_explicit_cluster ? 0 : 4);
          made_.specials.push_back({k.what, it->second});
        }
        return &it->second;
      }
    return nullptr;
  }

 private:
  struct pending { std::uint32_t at; std::uint32_t function; std::string label; };

  [[nodiscard]] ref place(std::uint8_t width) {
    const std::uint32_t bytes = width ? std::uint32_t{width} * warp_lanes : 4;
    ref r;
    r.offset = static_cast<std::uint32_t>(aligned(made_.file_bytes, bytes >= 64 ? 64 : bytes));
    r.slot = made_.slots++;
    made_.registers.push_back({bytes, false});
    made_.file_bytes = r.offset + bytes;
    return r;
  }

  void blame(reason why, std::string what) {
    if (trouble_.why == reason::internal) trouble_ = {why, std::move(what)};
  }

  // Functions that the entry can reach, the entry first: by calls, by an address
  // that is taken, or by a table of them in a module variable.
  result<done> reach(const function& start) {
    std::map<std::string_view, const variable*> tables;
    for (const auto& v : module_.variables) tables[v.name] = &v;
    std::set<const function*> seen{&start};
    std::set<const variable*> read;
    const auto meet = [&](const std::string& name) {
      const auto it = by_name_.find(name);
      if (it == by_name_.end()) return;
      if (seen.insert(it->second).second) order_.push_back(it->second);
    };
    order_.push_back(&start);
    for (std::size_t i = 0; i < order_.size(); ++i)
      for (const auto& in : order_[i]->body) {
        const bool calls = in.opcode == "call";
        bool callee = calls;
        for (const auto& named : in.operands) {
          if (named.kind != operand::type::name) continue;
          meet(named.text);
          if (!std::exchange(callee, false)) note_pointer(named.text);
          const auto table = tables.find(named.text);
          if (table == tables.end() || !read.insert(table->second).second) continue;
          for (const auto& value : table->second->values)
            if (value.kind == operand::type::name) {
              meet(value.text);
              note_pointer(value.text);
            }
        }
      }
    find_cycles(start);
    for (std::size_t i = 0; i < order_.size(); ++i) {
      index_[order_[i]->name] = static_cast<std::uint32_t>(i);
      made_.functions.push_back(order_[i]->name);
    }
    scopes_.resize(order_.size());
    numbered_.resize(order_.size());
    starts_.resize(order_.size());
    labels_.resize(order_.size());
    lists_.resize(order_.size());
    return done{};
  }

  void note_pointer(const std::string& name) {
    if (const auto it = by_name_.find(name); it != by_name_.end()) pointed_.insert(it->second);
  }

  // Calls that lead back to a function on the way to them: recursion.
  void find_cycles(const function& start) {
    std::map<const function*, int> state{{&start, 1}};  // 1 on the way down, 2 done
    std::vector<std::pair<const function*, std::size_t>> stack{{&start, 0}};
    while (!stack.empty()) {
      auto& [f, at] = stack.back();
      const function* next = nullptr;
      while (at < f->body.size() && !next) {
        const instruction& in = f->body[at++];
        if (in.opcode != "call") continue;
        for (const auto& named : in.operands) {
          if (named.kind != operand::type::name) continue;
          const auto it = by_name_.find(named.text);
          if (it == by_name_.end()) break;
          int& seen = state[it->second];
          if (seen == 1) recursive_.insert(&in);
          if (seen == 0) {
            seen = 1;
            next = it->second;
          }
          break;
        }
      }
      if (next) {
        stack.emplace_back(next, 0);
      } else {
        state[f] = 2;
        stack.pop_back();
      }
    }
  }

  void place_module_variables() {
    const auto variables = module_variables(module_);
    for (std::size_t i = 0; i < variables.size(); ++i) {
      symbol s;
      s.is = symbol::kind::memory;
      s.in = space::global;
      s.address = module_variable_address(i);
      s.bytes = static_cast<std::uint64_t>(variable_bytes(*variables[i]));
      globals_[variables[i]->name] = s;
    }
    for (const auto& v : module_.variables)
      if (v.space == "shared") globals_[v.name] = place_shared(v);
    for (std::size_t i = 0; i < module_.functions.size(); ++i) {
      const function& f = module_.functions[i];
      if (!f.defined) continue;
      symbol s;
      s.is = symbol::kind::function;
      s.address = function_address(i);
      globals_.try_emplace(f.name, s);
    }
  }

  symbol place_shared(const variable& v) {
    symbol s;
    s.is = symbol::kind::memory;
    s.in = space::shared;
    const std::int64_t bytes = variable_bytes(v);
    if (v.linkage == "extern" || bytes == 0) {
      s.bytes = ~std::uint64_t{0};  // dynamic
      dynamic_align_ = std::max(dynamic_align_, alignment_of(v));
      return s;
    }
    s.address = aligned(shared_, alignment_of(v));
    s.bytes = static_cast<std::uint64_t>(bytes);
    shared_ = s.address + s.bytes;
    if (shared_ > (std::uint64_t{1} << 30)) blame(reason::not_supported, "more than 1 GB of static shared memory");
    return s;
  }

  symbol place_frame(const variable& v) {
    symbol s;
    s.is = symbol::kind::memory;
    s.in = space::local;
    s.address = aligned(made_.frame_bytes, std::max<std::uint64_t>(alignment_of(v), 1));
    s.bytes = static_cast<std::uint64_t>(variable_bytes(v));
    if (s.address + s.bytes > most_frame_bytes) {
      blame(reason::too_large, "a thread needs more than " + std::to_string(most_frame_bytes >> 10) + " KB of local memory");
      return s;
    }
    made_.frame_bytes = static_cast<std::uint32_t>(s.address + s.bytes);
    return s;
  }

  void place_variables(const function& f) {
    const std::uint32_t at = index_[f.name];
    auto& names = scopes_[at];
    if (f.entry) {
      for (const auto& p : f.params) {
        symbol s;
        s.is = symbol::kind::memory;
        s.in = space::param;
        s.address = aligned(made_.parameter_bytes, std::max<std::uint64_t>(alignment_of(p), 1));
        s.bytes = static_cast<std::uint64_t>(variable_bytes(p));
        if (s.address + s.bytes > 32764) return blame(reason::not_supported, "more than 32 KB of kernel parameters");
        made_.parameter_bytes = static_cast<std::uint32_t>(s.address + s.bytes);
        made_.parameters.push_back({static_cast<std::uint32_t>(s.address), static_cast<std::uint32_t>(s.bytes)});
        names[p.name] = s;
      }
    } else {
      for (const auto* list : {&f.returns, &f.params})
        for (const auto& p : *list)
          p.space == "reg" ? blame(reason::not_supported, "register parameters of function " + f.name) : (void)(names[p.name] = place_frame(p));
    }
    for (const auto& v : f.variables) {
      if (v.space == "reg") {
        const type t = type_named(v.type);
        const std::uint8_t width = width_of(t);
        symbol s;
        s.is = symbol::kind::reg;
        s.held = t;
        s.width = t == type::none || v.vector != 1 ? 255 : width;  // 255: fits nothing
        const std::int64_t n = std::max<std::int64_t>(v.count, 1);
        const std::uint64_t bytes = s.width == 255 ? 0 : (width ? std::uint64_t{width} * warp_lanes : 4);
        if (static_cast<std::uint64_t>(n) * bytes + made_.file_bytes > most_file_bytes)
          return blame(reason::too_large, "function " + f.name + " declares more registers than the machine holds");
        if (v.count > 0) {
          numbered_[at][v.name] = {s, v.count, made_.slots, static_cast<std::uint32_t>(aligned(made_.file_bytes, bytes >= 64 ? 64 : 4)), static_cast<std::uint32_t>(bytes)};
          made_.file_bytes = numbered_[at][v.name].offset + static_cast<std::uint32_t>(static_cast<std::uint64_t>(n) * bytes);
          made_.slots += static_cast<std::uint32_t>(n);
          made_.registers.resize(made_.slots, {static_cast<std::uint32_t>(bytes), true});
        } else {
          if (s.width != 255) {
            s.where = place(width);
            made_.registers.back().shareable = true;
          }
          names[v.name] = s;
        }
      } else if (v.space == "shared") {
        names[v.name] = place_shared(v);
      } else if (v.space == "local" || v.space == "param") {
        names[v.name] = place_frame(v);
      } else if (v.space == "global" || v.space == "const") {
        blame(reason::not_supported, "a " + v.space + " variable inside function " + f.name);
      }
    }
    made_.return_registers.push_back(place(4));
  }

  struct family { symbol prototype; std::int64_t count = 0; std::uint32_t slot = 0, offset = 0, stride = 0; };

  [[nodiscard]] const symbol* numbered(const std::string& name) {
    std::size_t digits = name.size();
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') --digits;
    if (digits == name.size() || name.size() - digits > 9) return nullptr;
    // %r12 may belong to %r<20> or to %r1<5>: the longest prefix wins.
    for (std::size_t cut = name.size() - 1; cut >= digits && cut > 0; --cut) {
      const auto it = numbered_[current_].find(name.substr(0, cut));
      if (it == numbered_[current_].end()) continue;
      if (name[cut] == '0' && name.size() - cut > 1) continue;
      const std::int64_t n = std::stoll(name.substr(cut));
      const family& f = it->second;
      if (n >= f.count) continue;
      symbol s = f.prototype;
      s.where.slot = f.slot + static_cast<std::uint32_t>(n);
      s.where.offset = f.offset + static_cast<std::uint32_t>(n) * f.stride;
      return &(scopes_[current_][name] = s);
    }
    return nullptr;
  }

  void decode_function(std::uint32_t at) {
    const function& f = *order_[at];
    current_ = at;
    starts_[at] = static_cast<std::uint32_t>(made_.code.size());
    for (const auto& in : f.body)
      if (in.opcode == "branchtargets")
        for (const auto& label : in.labels) lists_[at][label] = in.operands;
    for (const auto& in : f.body) {
      for (const auto& label : in.labels) labels_[at][label] = static_cast<std::uint32_t>(made_.code.size());
      decode_one(in, at);
    }
    for (const auto& label : f.end_labels) labels_[at][label] = static_cast<std::uint32_t>(made_.code.size());
    op last;  // falling off the end
    last.kind = f.entry ? flow::exit : flow::ret;
    last.imm = at;
    last.source = add_origin(f.body.empty() ? instruction{} : f.body.back(), at);
    made_.origins.back().counted.is = instruction_class::control;
    made_.code.push_back(last);
  }

  [[nodiscard]] std::uint32_t add_origin(const instruction& in, std::uint32_t function) {
    // The candidate is file 1; a line in a header is told by where it was
    // inlined into the candidate, when the text says so.
    int line = in.source_file == 1 ? in.source_line : in.inlined_line;
    made_.origins.push_back({in.at.line, line, function});
    return static_cast<std::uint32_t>(made_.origins.size() - 1);
  }

  [[nodiscard]] static op unsupported(const op& o) {
    op out;
    out.kind = flow::unsupported;
    out.source = o.source;
    return out;
  }

  void complain(op& o, std::uint32_t index, const instruction& in, const std::string& why) {
    if (o.more) made_.more[o.more] = {};
    o = unsupported(o);
    std::string text = in.opcode;
    for (const auto& m : in.modifiers) text += "." + m;
    made_.complaints.emplace_back(index, "not supported by the PTX machine: " + text + " (PTX line " + std::to_string(in.at.line) +
                                             (why.empty() ? "" : ": " + why) + ")");
  }

  void decode_one(const instruction& in, std::uint32_t at) {
    op o;
    o.source = add_origin(in, at);
    const auto index = static_cast<std::uint32_t>(made_.code.size());
    if (in.opcode == "branchtargets" || in.opcode == "calltargets" || in.opcode == "callprototype") return;
    decoding d(*this, in, o);
    if (!in.guard.empty()) {
      const symbol* p = find(in.guard);
      if (!p || p->is != symbol::kind::reg || p->held != type::pred) d.refuse("a guard that is no predicate");
      else {
        o.guarded = true;
        o.guard_negated = in.guard_negated;
        o.guard = p->where;
      }
    }
    if (in.opcode == "bra") {
      d.take("uni");
      o.kind = flow::branch;
      if (d.want(1)) branches_.push_back({index, at, in.operands[0].text});
    } else if (in.opcode == "brx") {
      d.take("idx");
      d.take("uni");
      o.kind = flow::indexed;
      o.imm = static_cast<std::int64_t>(made_.tables.size());
      if (d.want(2)) {
        d.source(0, 4);
        const auto list = lists_[at].find(in.operands[1].text);
        if (list == lists_[at].end()) d.refuse("a list of targets that is not in this function");
        else made_.tables.emplace_back(list->second.size());
        if (d.refusal.empty())
          for (const auto& target : list->second) indexed_.push_back({index, at, target.text});
      }
    } else if (in.opcode == "ret" || in.opcode == "exit") {
      d.take("uni");
      o.kind = in.opcode == "exit" || order_[at]->entry ? flow::exit : flow::ret;
      o.imm = at;
    } else if (in.opcode == "call") {
      d.take("uni");
      decode_call(d, in);
    } else {
      const auto it = instructions().find(in.opcode);
      if (it == instructions().end()) d.refuse("unknown to the machine");
      else it->second(d);
    }
    if (d.refusal.empty() && !d.left_over().empty()) d.refuse("modifier ." + std::string(d.left_over()));
    if (d.refusal.empty() && o.kind == flow::plain && !o.run) d.refuse("this form");
    if (!d.refusal.empty()) {
      if (!branches_.empty() && branches_.back().at == index) branches_.pop_back();
      complain(o, index, in, d.refusal);
    }
    made_.origins[o.source].counted = class_of(in, o);
    made_.code.push_back(o);
  }

  void decode_call(decoding& d, const instruction& in) {
    const operand* target = nullptr;
    const operand* returns = nullptr;
    const operand* params = nullptr;
    for (const auto& named : in.operands) {
      if (named.kind == operand::type::call_list) (target ? params : returns) = &named;
      else if (named.kind == operand::type::name && !target) target = &named;
    }
    if (!target) return d.refuse("a call of nothing");
    if (const auto it = by_name_.find(target->text); it != by_name_.end()) {
      if (recursive_.count(&in)) return d.refuse("recursion (function " + target->text + " reaches itself)");
      d.o.kind = flow::call;
      d.o.target = index_[it->second->name];  // a function until resolve_branches
      d.o.imm = static_cast<std::int64_t>(made_.calls.size());
      call_site site;
      if (const std::string why = pair_up(site, *it->second, returns, params); !why.empty()) return d.refuse(why);
      made_.calls.push_back(std::move(site));
      return;
    }
    if (const symbol* s = find(target->text); s && s->is == symbol::kind::reg) return decode_pointer_call(d, *target, returns, params);
    if (const auto known = ops::library_function_named(target->text); known.run) return decode_service(d, known, returns, params);
    d.refuse("a call of " + target->text + ", which the module does not define");
  }

  // Copies between the frames of a call; "" or why it is none.
  std::string pair_up(call_site& site, const function& callee, const operand* returns, const operand* params) {
    std::string why;
    const auto one_way = [&](const operand* list, const std::vector<variable>& formals, bool in_direction) {
      const std::size_t n = list ? list->parts.size() : 0;
      if (n != formals.size()) return (void)(why = "a call with another number of parameters");
      for (std::size_t i = 0; i < n; ++i) {
        const symbol* here = find(list->parts[i].text);
        const symbol& there = scopes_[index_[callee.name]][formals[i].name];
        if (!here || here->is != symbol::kind::memory || here->in != space::local) return (void)(why = "a call parameter that is not .param");
        const auto bytes = static_cast<std::uint32_t>(std::min(here->bytes, there.bytes));
        const auto a = static_cast<std::uint32_t>(here->address), b = static_cast<std::uint32_t>(there.address);
        in_direction ? site.in.push_back({a, b, bytes}) : site.out.push_back({b, a, bytes});
      }
    };
    one_way(params, callee.params, true);
    if (why.empty()) one_way(returns, callee.returns, false);
    return why;
  }

  void decode_pointer_call(decoding& d, const operand& target, const operand* returns, const operand* params) {
    d.source_of(target, 8);
    if (!d.refusal.empty()) return;
    d.o.kind = flow::call_pointer;
    d.o.imm = static_cast<std::int64_t>(made_.pointer_calls.size());
    pointer_call made;
    for (std::size_t i = 0; i < module_.functions.size(); ++i) {
      const function& f = module_.functions[i];
      if (!f.defined || f.entry || !pointed_.count(&f)) continue;
      pointer_call::callee one{function_address(i), index_[f.name], static_cast<std::uint32_t>(made_.calls.size()), false};
      call_site site;
      one.other = !pair_up(site, f, returns, params).empty();
      site.function = one.function;
      if (one.other) site = {one.function, {}, {}};
      made_.calls.push_back(std::move(site));
      made.callees.push_back(one);
    }
    made_.pointer_calls.push_back(std::move(made));
  }

  void decode_service(decoding& d, const ops::library_function& known, const operand* returns, const operand* params) {
    service made;
    const auto place = [&](const operand& named, std::uint8_t bytes) -> std::uint32_t {
      const symbol* s = find(named.text);
      if (!s || s->is != symbol::kind::memory || s->in != space::local || s->bytes < bytes) d.refuse("a call parameter of another size");
      return s ? static_cast<std::uint32_t>(s->address) : 0;
    };
    if (!params || params->parts.size() != known.parameters) return d.refuse("a call with another number of parameters");
    for (std::size_t i = 0; i < known.parameters; ++i) made.in.push_back(place(params->parts[i], known.sizes[i]));
    if (returns && !returns->parts.empty() && known.returned) {
      made.out = place(returns->parts[0], known.returned);
      made.returns = true;
    }
    d.o.imm = static_cast<std::int64_t>(made_.services.size());
    d.does(known.run);
    made_.services.push_back(std::move(made));
  }

  void resolve_branches() {
    for (auto& o : made_.code)
      if (o.kind == flow::call) {
        made_.calls[static_cast<std::size_t>(o.imm)].function = o.target;
        o.target = starts_[o.target];
      }
    std::vector<std::size_t> filled(made_.tables.size(), 0);
    for (const auto& b : indexed_) {
      op& o = made_.code[b.at];
      const auto it = labels_[b.function].find(b.label);
      if (o.kind != flow::indexed) continue;
      const auto table = static_cast<std::size_t>(o.imm);
      if (it != labels_[b.function].end()) {
        made_.tables[table][filled[table]++] = it->second;
      } else {
        o = unsupported(o);
        made_.complaints.emplace_back(b.at, "not supported by the PTX machine: a branch to " + b.label + ", which is no label here");
      }
    }
    for (const auto& b : branches_) {
      op& o = made_.code[b.at];
      const auto it = labels_[b.function].find(b.label);
      if (it != labels_[b.function].end()) {
        o.target = it->second;
      } else {
        o = unsupported(o);
        made_.complaints.emplace_back(b.at, "not supported by the PTX machine: a branch to " + b.label + ", which is no label here");
      }
    }
  }

  const module& module_;
  bool share_ = true;
  program made_;
  fault trouble_{reason::internal, ""};
  std::map<std::string, const function*, std::less<>> by_name_;
  std::vector<const function*> order_;
  std::map<std::string, std::uint32_t> index_;
  std::vector<std::unordered_map<std::string, symbol>> scopes_;
  std::vector<std::unordered_map<std::string, family>> numbered_;
  std::vector<std::uint32_t> starts_;
  std::vector<std::unordered_map<std::string, std::uint32_t>> labels_;
  std::unordered_map<std::string, symbol> globals_;
  std::map<std::pair<std::uint8_t, std::uint64_t>, ref> constants_;
  std::map<special, ref> specials_;
  std::map<std::uint32_t, ref> carries_;  // by function
  std::set<const function*> pointed_;     // whose address is taken
  std::set<const instruction*> recursive_;  // calls that close a circle
  std::vector<std::size_t> dynamic_constants_;
  std::set<std::uint32_t> dynamic_ops_;
  std::vector<std::unordered_map<std::string, std::vector<operand>>> lists_;  // .branchtargets
  std::vector<pending> branches_, indexed_;
  std::uint64_t shared_ = 0, dynamic_align_ = 16;
  std::uint32_t current_ = 0;
};

// ---- operands -------------------------------------------------------------------

inline const symbol* decoding::look_up(const std::string& name) const { return whole_.find(name); }

inline void decoding::carry_in() { o.s[o.sources++] = whole_.carry(); }
inline void decoding::stack_top() { o.s[o.sources++] = whole_.stack_top(); }
inline void decoding::carry_out() { o.d[o.targets++] = whole_.carry(); }

inline std::optional<std::uint64_t> decoding::literal(const operand& named) const {
  if (named.kind == operand::type::integer || named.kind == operand::type::real32) return named.bits;
  return std::nullopt;
}

inline std::uint8_t decoding::target_any(const operand& named) {
  if (o.targets >= 4) {
    refuse("more than four targets");
    return 0;
  }
  return target_into(o.d[o.targets++], named);
}

inline std::uint8_t decoding::target_into(ref& to, const operand& named) {
  if (named.kind == operand::type::discard) {
    refuse("a discarded result");
    return 0;
  }
  const symbol* s = named.kind == operand::type::name && named.vector_part.empty() ? look_up(named.text) : nullptr;
  if (!s || s->is != symbol::kind::reg || s->width == 255) {
    refuse("the target " + named.text);
    return 0;
  }
  to = s->where;
  return s->width;
}

inline void decoding::further_target(const operand& named, std::uint8_t width) {
  ref to;
  if (named.kind != operand::type::discard) {
    const std::uint8_t got = target_into(to, named);
    if (refusal.empty() && got != width) refuse("the target " + named.text + ", whose size is not the type's");
  }
  whole_.more_of(o).d.push_back(to);
}

inline void decoding::further_source(const operand& named, std::uint8_t width) {
  ref to;
  const std::uint8_t got = source_into(to, named, width);
  if (refusal.empty() && got != width) refuse("the operand " + named.text + ", whose size is not the type's");
  whole_.more_of(o).s.push_back(to);
}

inline void decoding::uses_warpgroups() {
  o.warpgroup = true;
  whole_.note_warpgroups();
}

inline ref decoding::constant(std::uint64_t bits, std::uint8_t width) { return whole_.constant_of(bits, width); }

inline void decoding::target_of(const operand& named, std::uint8_t width) {
  const std::uint8_t got = target_any(named);
  if (refusal.empty() && got != width) refuse("the target " + named.text + ", whose size is not the type's");
}

inline void decoding::target(std::size_t i, std::uint8_t width) {
  i < in.operands.size() ? target_of(in.operands[i], width) : refuse("a missing operand");
}

inline std::uint8_t decoding::source_any(const operand& named, std::uint8_t literal_width) {
  if (o.sources >= 5) {
    refuse("more than five sources");
    return 0;
  }
  return source_into(o.s[o.sources++], named, literal_width);
}

inline std::uint8_t decoding::source_into(ref& to, const operand& named, std::uint8_t literal_width) {
  switch (named.kind) {
    case operand::type::integer:
      to = literal_width ? whole_.constant_of(named.bits, literal_width)
                         : whole_.constant_of(named.bits ? every_lane : 0, 0);
      return literal_width;
    case operand::type::real32:
      to = whole_.constant_of(named.bits, literal_width);
      return literal_width;
    case operand::type::real64:
      to = literal_width == 4
               ? whole_.constant_of(std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(named.bits))), 4)
               : whole_.constant_of(named.bits, literal_width);
      return literal_width;
    case operand::type::name: break;
    default: refuse("this operand"); return 0;
  }
  if (named.text == "WARP_SZ") {
    to = whole_.constant_of(32, literal_width);
    return literal_width;
  }
  // Registers of a launch that nobody profiles: counters, environment, graphs.
  const auto starts = [&](std::string_view with) { return named.text.compare(0, with.size(), with) == 0; };
  if (named.vector_part.empty() && (starts("%envreg") || starts("%pm") || named.text == "%current_graph_exec" || named.text == "%gridid") && !look_up(named.text)) {
    to = whole_.constant_of(named.text == "%gridid" ? 1 : 0, literal_width);
    return literal_width;
  }
  if (const ref* r = whole_.special_of(named.text, named.vector_part)) {
    to = *r;
    return named.text == "%is_explicit_cluster" ? 0 : 4;
  }
  const symbol* s = named.vector_part.empty() ? look_up(named.text) : nullptr;
  if (!s) {
    refuse("the name " + named.text + (named.vector_part.empty() ? "" : "." + named.vector_part));
    return 0;
  }
  if (s->is == symbol::kind::reg) {
    if (s->width == 255) refuse("the register " + named.text);
    to = s->where;
    return s->width;
  }
  if (s->is == symbol::kind::function && literal_width == 8) {
    to = whole_.constant_of(s->address, 8);
    return 8;
  }
  if (s->is != symbol::kind::memory) {
    refuse("the address of " + named.text);
    return 0;
  }
  const auto extra = static_cast<std::uint64_t>(named.offset);
  to = s->bytes == ~std::uint64_t{0} ? whole_.dynamic_constant(extra, literal_width)
                                     : whole_.constant_of(s->address + extra, literal_width);
  return literal_width;
}

inline void decoding::source_of(const operand& named, std::uint8_t width) {
  const std::uint8_t got = source_any(named, width);
  if (refusal.empty() && got != width) refuse("the operand " + named.text + ", whose size is not the type's");
}

inline void decoding::source(std::size_t i, std::uint8_t width) {
  i < in.operands.size() ? source_of(in.operands[i], width) : refuse("a missing operand");
}

inline std::int64_t decoding::add_bulk(const bulk_form& f) { return whole_.add_bulk(f); }
inline void decoding::notes_stores() { whole_.notes_stores(); }

inline void decoding::pointer(const operand& named, std::int64_t& offset, std::uint8_t& width, space& where) {
  if (named.kind != operand::type::address || !named.parts.empty()) return refuse("this address");
  operand plain;
  plain.text = named.text;
  offset = 0;
  width = 8;
  const symbol* s = named.text.empty() ? nullptr : look_up(named.text);
  if (s && s->is == symbol::kind::reg) {
    offset = named.offset;
    width = source_any(plain, 8);
    if (width != 4 && width != 8) refuse("an address register of this size");
    return;
  }
  if (!s) {
    if (!named.text.empty()) return refuse("the name " + named.text);
    plain.kind = operand::type::integer;
    plain.bits = static_cast<std::uint64_t>(named.offset);
  } else {
    plain.offset = named.offset;
    where = s->in;
  }
  source_any(plain, 8);
}

inline void decoding::address(const operand& named) {
  if (named.kind != operand::type::address || !named.parts.empty()) return refuse("this address");
  o.imm = named.offset;
  o.sources = 1;
  if (named.text.empty()) return;
  const symbol* s = look_up(named.text);
  if (!s) return refuse("the name " + named.text);
  if (s->is == symbol::kind::reg) {
    if (s->width != 4 && s->width != 8) return refuse("an address register of this size");
    o.s[0] = s->where;
    o.address_width = s->width;
    return;
  }
  if (s->is != symbol::kind::memory) return refuse("the address of " + named.text);
  if (s->bytes == ~std::uint64_t{0}) whole_.mark_dynamic();
  o.imm += static_cast<std::int64_t>(s->address);
  // The space of the variable: .param of a call sequence is the lane's frame.
  o.where = s->in;
}

}  // namespace skillbench::ptx
