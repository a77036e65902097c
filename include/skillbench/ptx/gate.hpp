#pragma once
// ptx/gate.hpp: what a kernel may not do, read off its PTX.
//
// Layer   3. Includes finding and module.
// Judged on PTX, not on the source: what token pasting or a macro hides is plain
// here. A kernel that keeps state between launches (a store, atomic or
// reduction that can reach a variable of the module), that takes memory of its
// own, reads a clock, or brings code that the compiler did not write, is not
// what was asked for, even when its results are right: severity `cheats`.
// Printing, trapping, sleeping and cache policies are notes.
// Precision  a declared variable is harmless (CUB and cooperative groups declare
//         hundreds): only an address that may come from one counts. The address
//         is followed through registers, parameters and spilled pointers,
//         whatever the order of instructions, so it may say too much for a
//         pointer that is sometimes one and sometimes the other; never too
//         little for an address that is computed from the name.

#include <algorithm>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/finding.hpp>
#include <skillbench/ptx/module.hpp>

namespace skillbench::ptx {

namespace gating {

[[nodiscard]] inline bool has(const instruction& in, std::string_view modifier) {
  return std::find(in.modifiers.begin(), in.modifiers.end(), modifier) != in.modifiers.end();
}

// Every name in an operand, lists and pairs included.
template <typename Use>
void each_name(const operand& o, Use&& use) {
  if (o.kind == operand::type::name || o.kind == operand::type::address) use(o.text);
  for (const auto& part : o.parts) each_name(part, use);
  for (const auto& part : o.pair) each_name(part, use);
}

class walk {
 public:
  explicit walk(const module& m) : module_(m) {
    for (const auto& v : m.variables)
      if (v.space == "global") symbols_.insert(v.name);
    for (const auto& f : m.functions)
      if (f.defined) functions_[f.name] = &f;
  }

  std::vector<finding> judge(const std::vector<std::string>& entries) {
    for (const auto& entry : entries) reach(entry);
    for (bool changed = true; changed;) {
      changed = false;
      for (const function* f : reached_)
        for (const auto& in : f->body) changed |= follow(*f, in);
    }
    for (const function* f : reached_)
      for (const auto& in : f->body) look(*f, in);
    return std::move(found_);
  }

 private:
  using place_name = std::pair<const function*, std::string>;

  void reach(const std::string& name) {
    const auto it = functions_.find(name);
    if (it == functions_.end() || !seen_.insert(it->second).second) return;
    std::vector<const function*> todo{it->second};
    while (!todo.empty()) {
      const function* f = todo.back();
      todo.pop_back();
      reached_.push_back(f);
      for (const auto& in : f->body)
        for (const auto& o : in.operands)
          each_name(o, [&](const std::string& named) {
            const auto callee = functions_.find(named);
            if (callee != functions_.end() && seen_.insert(callee->second).second) todo.push_back(callee->second);
          });
    }
  }

  [[nodiscard]] bool from_symbol(const function& f, const operand& o) const {
    bool hit = false;
    each_name(o, [&](const std::string& name) { hit |= symbols_.count(name) > 0 || tainted_.count({&f, name}) > 0; });
    return hit;
  }
  bool mark(const function& f, const operand& o) {
    bool fresh = false;
    each_name(o, [&](const std::string& name) { fresh |= !name.empty() && tainted_.insert({&f, name}).second; });
    return fresh;
  }
  [[nodiscard]] static bool holds_pointer(const instruction& in) {
    return has(in, "u64") || has(in, "b64") || has(in, "s64");
  }

  // One step of the flow of addresses; true when something new was learnt.
  bool follow(const function& f, const instruction& in) {
    if (in.opcode == "call") return follow_call(f, in);
    if (in.operands.size() < 2) return false;
    if (in.opcode == "st") {
      if (!from_symbol(f, in.operands[1])) return false;
      if (has(in, "param")) return mark(f, in.operands[0]);
      const bool fresh = !pointers_in_memory_;
      pointers_in_memory_ = true;
      return fresh;
    }
    if (in.opcode == "ld") {
      // A table in a module variable yields numbers; a 64-bit one may yield a
      // pointer to another variable.
      const bool hit = holds_pointer(in) && ((has(in, "param") || has(in, "global") || in.modifiers.size() == 1)
                                                 ? from_symbol(f, in.operands[1]) || (pointers_in_memory_ && !has(in, "param"))
                                                 : pointers_in_memory_);
      return hit && mark(f, in.operands[0]);
    }
    if (in.opcode == "setp" || in.opcode == "isspacep" || in.opcode == "atom" || in.opcode == "red") return false;
    bool hit = false;
    for (std::size_t i = 1; i < in.operands.size(); ++i) hit |= from_symbol(f, in.operands[i]);
    return hit && mark(f, in.operands[0]);
  }

  bool follow_call(const function& f, const instruction& in) {
    const function* callee = nullptr;
    const operand* returns = nullptr;
    const operand* params = nullptr;
    for (const auto& o : in.operands) {
      if (o.kind == operand::type::call_list) (callee ? params : returns) = &o;
      else if (o.kind == operand::type::name && !callee)
        if (const auto it = functions_.find(o.text); it != functions_.end()) callee = it->second;
    }
    if (!callee) return false;
    bool fresh = false;
    if (params)
      for (std::size_t i = 0; i < params->parts.size() && i < callee->params.size(); ++i)
        if (from_symbol(f, params->parts[i])) fresh |= tainted_.insert({callee, callee->params[i].name}).second;
    if (returns)
      for (std::size_t i = 0; i < returns->parts.size() && i < callee->returns.size(); ++i)
        if (tainted_.count({callee, callee->returns[i].name})) fresh |= mark(f, returns->parts[i]);
    return fresh;
  }

  void say(code what, severity weight, const function& f, const instruction* in, std::string text) {
    if (!said_.insert({what, &f}).second) return;
    finding each;
    each.kind = what;
    each.weight = weight;
    each.what = std::move(text);
    each.kernel = f.name;
    if (in) {
      each.ptx_line = in->at.line;
      const int line = in->source_file == 1 ? in->source_line : in->inlined_line;
      if (line > 0) each.line = line;
    }
    found_.push_back(std::move(each));
  }

  void look(const function& f, const instruction& in) {
    const bool stores = in.opcode == "st" || in.opcode == "atom" || in.opcode == "red";
    if (stores && !in.operands.empty() && !has(in, "shared") && !has(in, "shared::cta") && !has(in, "local") && !has(in, "param")) {
      const operand& to = in.operands[in.opcode == "atom" ? std::min<std::size_t>(1, in.operands.size() - 1) : 0];
      if (from_symbol(f, to))
        say(code::module_state, severity::cheats, f, &in,
            std::string(in.opcode == "st" ? "a store" : "an atomic operation") + " can reach a __device__ variable: state that outlives the launch; memory between launches is asked for as scratch");
    }
    for (const auto& o : in.operands)
      if (o.kind == operand::type::name && (o.text == "%clock" || o.text == "%clock64" || o.text == "%clock_hi" || o.text == "%globaltimer" || o.text == "%globaltimer_lo" || o.text == "%globaltimer_hi"))
        say(code::reads_clock, severity::cheats, f, &in, "the kernel reads " + o.text + ": what it does can depend on being measured");
    if (in.opcode == "call")
      for (const auto& o : in.operands) {
        if (o.kind != operand::type::name) continue;
        if (o.text == "malloc" || o.text == "free")
          say(code::device_malloc, severity::cheats, f, &in, "the kernel calls " + o.text + ": memory that outlives the launch; memory between launches is asked for as scratch");
        if (o.text == "vprintf") say(code::prints, severity::note, f, &in, "the kernel prints");
        if (o.text == "__assertfail") say(code::may_trap, severity::note, f, &in, "the kernel has an assert");
      }
    if (in.opcode == "trap" || in.opcode == "brkpt") say(code::may_trap, severity::note, f, &in, "the kernel has a " + in.opcode);
    if (in.opcode == "nanosleep") say(code::sleeps, severity::note, f, &in, "the kernel sleeps");
    if (in.opcode == "createpolicy") say(code::cache_policy, severity::note, f, &in, "the kernel sets a cache policy");
  }

  const module& module_;
  std::set<std::string> symbols_;
  std::map<std::string, const function*> functions_;
  std::set<const function*> seen_;
  std::vector<const function*> reached_;
  std::set<place_name> tainted_;
  bool pointers_in_memory_ = false;
  std::set<std::pair<code, const function*>> said_;
  std::vector<finding> found_;
};

}  // namespace gating

// Assembly that closes a brace it did not open ends the function it stands in:
// what follows is code that no kernel of the source is. `text` is the PTX, in
// which the compiler marks where the source's assembly begins and ends.
[[nodiscard]] inline std::vector<finding> injected(std::string_view text) {
  constexpr std::string_view begins = "// begin inline asm", ends = "// end inline asm";
  int depth = 0, line_number = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t stop = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, stop - at);
    at = stop + 1;
    ++line_number;
    if (line.find(begins) != std::string_view::npos) {
      inside = true;
      depth = 0;
      continue;
    }
    if (line.find(ends) != std::string_view::npos) inside = false;
    if (!inside) continue;
    for (const char c : line) {
      depth += c == '{' ? 1 : c == '}' ? -1 : 0;
      if (depth >= 0) continue;
      finding each;
      each.kind = code::injected_code;
      each.weight = severity::cheats;
      each.ptx_line = line_number;
      each.what = "inline assembly closes the function it stands in: what follows is no kernel of the source";
      return {each};
    }
  }
  return {};
}

// Findings about the functions that `entries` can reach.
[[nodiscard]] inline std::vector<finding> gate(const module& m, const std::vector<std::string>& entries) {
  return gating::walk(m).judge(entries);
}

}  // namespace skillbench::ptx
