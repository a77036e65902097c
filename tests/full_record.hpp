#pragma once
// full_record.hpp: a record with every field that a record can have.

#include <cstdint>
#include <limits>
#include <string>

#include <skillbench/record.hpp>

namespace kit {

using namespace skillbench;

inline record full_record() {
  record it;
  it.of.id = "i";
  it.of.model = "m";
  it.of.arm = "with_skill";
  it.of.skill = "s";
  it.of.task = "t";
  it.of.draw = 3;
  it.of.path = "p";
  it.of.output = "not written";
  it.of.pair = "q";
  it.of.input_tokens = 5;
  it.of.turns = 4;
  it.of.cost_usd = 0.25;
  it.of.seconds = 1.5;
  it.source_hash = "00ff";
  it.skillbench_version = "9.9.9";
  it.device = "d";
  it.seed = std::numeric_limits<std::uint64_t>::max();
  it.key = "00aa";
  it.same_as = "another";
  it.reached = stage::check;
  it.what = outcome::faults;
  it.reason = "r";
  finding one;
  one.kind = code::out_of_bounds;
  one.weight = severity::cheats;
  one.what = "w";
  one.kernel = "k";
  one.element_type = "half";
  one.test_case = "c";
  one.tensor = "x";
  one.line = 3;
  one.ptx_line = 4;
  one.index = -1;
  one.count = 99;
  it.findings = {one, finding{}};
  it.log = "float32:\ncandidate.cu(3): error: x\n";
  it.chosen = {{"B", 2}, {"A", -1}};
  compiled_kernel kernel{"float", "k<float>", "_Z1k", 32, 0, {}, 8, 16};
  it.kernels = {kernel};
  case_agreement agreed;
  agreed.test_case = "c";
  agreed.element_type = "half";
  agreed.reached = outcome::unjudged;
  agreed.compared = 10;
  agreed.wrong = 2;
  agreed.worst_share = 0.1;
  agreed.warp_instructions = 1u << 31;
  agreed.global_load_sectors = 5;
  agreed.global_store_sectors = 6;
  it.cases = {agreed};
  counted_launch counted{"c", "half", 1, {}};
  counted.of.kernel = "_Z1k";
  counted.of.barriers = 7;
  counted.of.global_read_bytes = 64;
  counted.of.global_written_bytes = 32;
  event_counts& total = counted.of.total;
  std::uint64_t next = 100;
  for (auto& each : total.warp_instructions) each = ++next;
  for (auto& each : total.thread_instructions) each = ++next;
  for (auto& each : total.tensor_operations) each = ++next;
  each_event(total, [&](const char*, std::uint64_t& each) { each = ++next; });
  line_counts line{12, {}};
  line.of.branches = 3;
  counted.of.lines = {line, {14, total}};
  it.counters = {counted};
  it.not_counted = "not measured: float: too slow";
  it.speed = "not measured: no GPU";
  timed_case clock;
  clock.test_case = "c";
  clock.element_type = "half";
  clock.timer = "CUPTI records";
  clock.why_not = "x";
  clock.baseline = "baseline.cu";
  clock.device = "d";
  clock.stopped = "z";
  clock.cold = false;
  clock.fake = true;
  timed_sample call;
  call.of_baseline = true;
  call.round = 3;
  call.contents = 2;
  call.nanoseconds = 1234.5;
  call.events = 1300.25;
  call.records = 1234.5;
  call.sm_mhz = 1980;
  call.reasons = 4;
  clock.samples = {call, timed_sample{}};
  clock.sustained = 1500.5;
  clock.sustained_mhz = 1700;
  clock.disagreements = 1;
  clock.verified_rows = 256;
  clock.compared = 4096;
  clock.code = "PTX: there is no cubin";
  clock.calls = 4;
  clock.not_compared = "w";
  clock.floor = 10.5;
  clock.bytes = 100;
  clock.operations = 7;
  clock.peak_bytes = 3e12;
  clock.peak_operations = 1e15;
  clock.metrics = {{"m.sum", 2.5}, {"n.max", 3}};
  clock.no_metrics = "y";
  clock.resident = "k: 2 CTAs";
  vendor_timing library;
  library.name = "cuDNN 9.19.0, layer norm";
  library.why_not = "u";
  library.timer = "events";
  library.stopped = "v";
  library.samples = {call, timed_sample{}};
  library.disagreements = 2;
  library.verified_rows = 128;
  library.compared = 512;
  clock.vendor = library;
  it.timings = {clock};
  it.code = "cubin";
  it.isolation = "strict";
  it.gpu_isolation = "shut";
  it.against_baseline = speedup{1.5, true};
  it.assertions = {{assertion::type::ptx_uses, "ptx_uses tensor_cores",
                    assertion_result::verdict::failed, "y"}};
  tuning_told& tuned = it.tuning.emplace();
  tuned.not_tuned = "z";
  tuned.test_case = "c";
  tuned.element_types = {"half"};
  tuned.strategy = "portfolio";
  tuned.ended = "trials";
  tuned.seed = 7;
  tuned.settings = 12;
  tuned.baseline_nanoseconds = 900.5;
  tuned.limit_nanoseconds = 90;
  tuned.trials = {{300.0, "correct"}, {{}, "wrong"}, {200.0, "correct"}};
  tuned.first = {{"B", 2}, {"LAYOUT", std::string("row")}, {"V", true}};
  tuned.best = 2;
  tuned.best_setting = {{"B", 4}};
  tuned.over_default = tuned_ratio{1.5, 1.4, 1.6};
  tuned.over_runner_up = tuned_ratio{1.1, {}, {}};
  tuned.runner_up = {{"B", 8}};
  tuned.failures = {{"wrong", 1, {{"B", 16}}, "w"}};
  tuned.importance = {{"B", 0.75}};
  it.seconds = {{"extract", 0.001}, {"check", 2.5}};
  return it;
}

}  // namespace kit
