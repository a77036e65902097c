#pragma once
// ptx/ops/control.hpp: branches, calls, barriers and ends.
//
// Layer   3. The machine acts on op::kind; these rows only decode.
// Source  PTX ISA 9.0, "Control Flow Instructions", "bar, barrier".

#include <cstdint>

#include <skillbench/ptx/decode.hpp>
#include <skillbench/ptx/ops/access.hpp>

namespace skillbench::ptx::ops {

enum class barrier_kind : std::int64_t { sync, arrive, popc, all, any };

inline void make_barrier(decoding& d) {
  if (d.take("warp")) {
    d.take("sync");
    if (!d.want(1)) return;
    d.o.sources = 4;
    d.source(0, 4);
    d.o.kind = flow::converge;
    return d.does(&run_nothing);
  }
  if (d.take("cluster")) {
    d.ignore("aligned", "release", "acquire");
    d.o.is_signed = d.take("relaxed");  // tells nobody what was done before
    d.o.imm = d.take("wait");
    if (!d.o.imm && !d.take("arrive")) return d.refuse("this form");
    if (!d.want(0)) return;
    d.o.kind = flow::cluster;
    return;
  }
  d.ignore("cta");
  d.o.aligned = d.take("aligned") || d.in.opcode == "bar";
  barrier_kind kind = barrier_kind::sync;
  if (d.take("arrive")) kind = barrier_kind::arrive;
  else if (d.take("red"))
    kind = d.take("popc") ? barrier_kind::popc : d.take("and") ? barrier_kind::all : barrier_kind::any;
  else if (!d.take("sync")) return d.refuse("this form");
  d.o.imm = static_cast<std::int64_t>(kind);
  std::size_t i = 0, n = d.count();
  if (kind >= barrier_kind::popc) {
    if (n != 3 && n != 4) return d.refuse("this operand count");
    if (kind == barrier_kind::popc) d.take("u32");
    else d.take("or"), d.take("pred");
    d.target(0, kind == barrier_kind::popc ? 4 : 0);
    i = 1;
    --n;  // the predicate
  }
  const std::size_t last = i + n - (i ? 1 : 0);
  d.source(i, 4);
  if (last - i > 1) {
    d.source(i + 1, 4);
    d.o.unit = 1;  // has a count
  } else {
    ++d.o.sources;
  }
  if (kind >= barrier_kind::popc) {
    d.source(d.count() - 1, 0);
    d.o.is_signed = d.in.operands.back().negated;
  }
  d.o.kind = flow::barrier;
}

inline void add_control_rows(instruction_table& table) {
  table["bar"] = &make_barrier;
  table["barrier"] = &make_barrier;
  const row trap = [](decoding& d) {
    d.does([](warp& w, const op&, lane_mask active) {
      if (!active) return;
      if (w.launch->seen->first(w.pc, code::trap))
        w.launch->seen->add(finding_at(*w.launch, w.pc, code::trap,
                                       thread_words(w, std::countr_zero(active)) + " executes trap: the launch is aborted"));
      w.launch->stop = true;
    });
  };
  table["trap"] = trap;
  table["brkpt"] = trap;
  // bra, brx, call, ret and exit need labels: decoder.hpp.
}

}  // namespace skillbench::ptx::ops
