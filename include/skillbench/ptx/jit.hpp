#pragma once
// ptx/jit.hpp: runs blocks of a program as native code.
//
// Layer   3. Includes jit/*.
// A block whose registers hold no undefined bit runs as native code on the same
// register file, with the same checks, findings and counters as the interpreter;
// what it cannot do it leaves to the handlers. Where the host is no x86-64 with
// AVX-512 (F, BW, DQ, VL), executable memory is refused or SKILLBENCH_JIT=0 is
// set, everything is interpreted.
// Trust   see compiler.hpp.

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include <skillbench/ptx/jit/access.hpp>
#include <skillbench/ptx/jit/compiler.hpp>
#include <skillbench/ptx/jit/state.hpp>
#include <skillbench/ptx/program.hpp>
#include <skillbench/ptx/warp.hpp>

namespace skillbench::ptx::jit {

// What is kept of a program between launches.
struct compiled {
  std::unique_ptr<native_code> code;
  std::vector<std::uint8_t> guesses;  // pattern by instruction
  int times = 0;                      // compiled
  bool refused = false;
};

inline constexpr int most_compiles = 6;
inline constexpr std::uint64_t settle = 2'000;  // between compiling and compiling anew

[[nodiscard]] inline bool allowed() {
  static const bool yes = [] {
    const char* set = std::getenv("SKILLBENCH_JIT");
    return host_can() && !(set && std::string_view(set) == "0");
  }();
  return yes;
}

// Of one machine.
class runner {
 public:
  // For a launch of `p`; with `checks` off see machine.hpp.
  void begin(const program& p, launch_state& launch, bool enabled, bool checks, std::uint64_t cold) {
    program_ = &p;
    on_ = enabled && allowed();
    checks_ = checks;
    cold_ = cold;
    if (!on_) return;
    if (!state_) state_ = std::make_unique<native_state>();
    state_->forget_pages();
    state_->checks = checks;
    state_->code = p.code.data();
    state_->run = reinterpret_cast<std::uint64_t>(&run_handler);
    state_->access = reinterpret_cast<std::uint64_t>(&run_access);
    state_->parameters = reinterpret_cast<std::uint64_t>(launch.parameters.data());
    if (!p.native) p.native = std::make_shared<compiled>();
    compiled& c = *p.native;
    if (c.code && (c.code->of != p.code.data() || c.code->count != p.code.size() || c.code->checks != checks)) c = compiled{};
    if (c.guesses.size() != p.code.size()) c.guesses.assign(p.code.size(), static_cast<std::uint8_t>(pattern::contiguous));
    state_->guesses = &c.guesses;
    state_->surprises = 0;
    compiled_at_ = 0;
  }

  // Runs native code from `pc` on, if there is any; `budget` as in step().
  // False: nothing was run. `pc` is then where the interpreter goes on; stopped
  // when the launch is to end there.
  bool run(warp& w, std::uint32_t& pc, lane_mask lanes, std::uint32_t meet, std::uint64_t& budget, bool& stopped) {
    if (!on_) return false;
    launch_state& launch = *w.launch;
    compiled& c = *program_->native;
    if (!c.code || state_->surprises) {
      if (!prepare(c, launch.ticks) && !c.code) return false;
    }
    const std::uint32_t entry = c.code->entries[pc];
    if (!entry) return false;
    std::uint64_t limit = budget;
    if (ops::any_set(w.tainted, program_->slots)) {
      for (const std::uint32_t slot : c.code->slots[pc])
        if (w.tainted[slot]) return false;
      limit = 1;  // one block
    }
    if (w.flight.pending) {
      // A block that has nothing to do with the registers in flight.
      const std::vector<std::uint32_t>& slots = c.code->slots[pc];
      for (const auto* of : {&w.flight.written, &w.flight.locked})
        if (marks::any_above(of->data(), slots.data(), slots.size(), w.flight.done)) return false;
      limit = 1;
    }
    native_state& s = *state_;
    // A later launch may have another warp at this address.
    s.now = &w;
    s.file = reinterpret_cast<std::uint64_t>(w.file);
    s.shared_data = reinterpret_cast<std::uint64_t>(w.shared->data.data());
    s.shared_shadow = reinterpret_cast<std::uint64_t>(w.shared->shadow.data());
    s.shared_bytes = w.shared->data.size();
    s.shared_guarded = reinterpret_cast<std::uint64_t>(&w.shared->guarded);
    look_at_races(s);
    s.lanes = lanes;
    s.population = static_cast<std::uint32_t>(std::popcount(lanes));
    s.leading = (lanes & (lanes + 1)) == 0 ? s.population : 0;
    s.meet = meet;
    s.limit = limit;
    s.ticks = launch.ticks;
    s.entry = reinterpret_cast<std::uint64_t>(c.code->code.at(entry));
    const auto enter = reinterpret_cast<std::uint32_t (*)(native_state*)>(reinterpret_cast<std::uintptr_t>(c.code->code.at(0)));
    const std::uint32_t told = enter(&s);
    launch.ticks = s.ticks + s.ran;
    launch.thread_instructions += static_cast<std::uint64_t>(static_cast<std::int64_t>(s.ran * s.population) + s.fewer_threads);
    launch.load_sectors += s.load_sectors;
    launch.store_sectors += s.store_sectors;
    s.load_sectors = s.store_sectors = 0;
    budget -= std::min(budget, s.ran);
    pc = s.pc;
    stopped = told == static_cast<std::uint32_t>(after::stop);
    return s.ran > 0;
  }

 private:
  bool prepare(compiled& c, std::uint64_t ticks) {
    if (c.refused || c.times >= most_compiles) return false;
    if (ticks < (c.code ? compiled_at_ + settle : cold_)) return false;
    state_->surprises = 0;
    compiled_at_ = ticks;
    ++c.times;
    auto fresh = compiler(*program_, c.guesses, checks_).compile();
    if (!fresh) {
      c.refused = !c.code;
      return false;
    }
    c.code = std::move(fresh);
    return true;
  }

  std::unique_ptr<native_state> state_;
  const program* program_ = nullptr;
  bool on_ = false, checks_ = true;
  std::uint64_t compiled_at_ = 0, cold_ = 0;
};

}  // namespace skillbench::ptx::jit
