#pragma once
// device/cuda.hpp: a GPU as a device: jobs (device/gpu_jobs.hpp), and what is
// timed.
//
// Layer   4. Includes device/gpu_jobs.hpp and the doors cuda/nvml, cuda/cupti,
//         cuda/cudnn.
// Units   bytes; nanoseconds of the GPU's events and of CUPTI's records.
// Errors  as device/gpu_jobs.hpp. What fails beside the timing (clocks, records,
//         counters, a vendor's library) is told and changes no time.
// Trust   as device/gpu_jobs.hpp. The baseline works on other contents than the
//         candidate, and on the candidate's only when that is gone.
// Threads One at a time, on the thread that opened it.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/cuda/cudnn.hpp>
#include <skillbench/cuda/cupti.hpp>
#include <skillbench/cuda/driver.hpp>
#include <skillbench/cuda/nvml.hpp>
#include <skillbench/device.hpp>
#include <skillbench/device/gpu_jobs.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/occupancy.hpp>
#include <skillbench/timing.hpp>

namespace skillbench {

class cuda_device : public gpu_jobs {
 public:
  [[nodiscard]] static result<std::unique_ptr<cuda_device>> open(const toolkit& from, int ordinal, const limits& allowed) {
    auto opened = cuda::driver::open();
    if (!opened) return opened.error();
    const auto count = opened.value().devices();
    if (!count) return count.error();
    if (ordinal < 0 || ordinal >= count.value())
      return fault{reason::no_device, "there is no GPU " + std::to_string(ordinal) + ": the driver sees " + std::to_string(count.value())};
    auto facts = opened.value().facts(ordinal);
    if (!facts) return facts.error();
    if (facts.value().major != 9 || facts.value().minor != 0)
      return fault{reason::no_device, "GPU " + std::to_string(ordinal) + " (" + facts.value().name + ") is of compute capability " + std::to_string(facts.value().major) + "." +
                                          std::to_string(facts.value().minor) + "; kernels are judged for 9.0 (H100, H200)"};
    std::unique_ptr<cuda_device> made(new cuda_device(from, std::move(opened).value(), std::move(facts).value(), allowed));
    if (auto ready = made->prepare(); !ready) return ready.error();
    made->find_clocks();
    return made;
  }
  [[nodiscard]] static result<std::unique_ptr<cuda_device>> open(const toolkit& from, int ordinal) { return open(from, ordinal, limits()); }

  ~cuda_device() override {
    if (finished_) {
      (void)cudnn_.release();
      return;
    }
    cudnn_.reset();
    if (scrub_) (void)driver_.release_memory(scrub_);
  }
  cuda_device(const cuda_device&) = delete;
  cuda_device& operator=(const cuda_device&) = delete;

  [[nodiscard]] result<timing_report> time(const timing_request& asked) override {
    if (finished_) return gone();
    if (asked.candidate.sets.empty()) return fault{reason::bad_argument, "a timing without tensors"};
    timing_report out;
    out.told.device = facts_.name;
    out.told.cold = asked.cold;
    out.told.fake = facts_.stand_in;
    out.rates = rates();
    side ours, theirs;
    for (const auto& [from, to] : {std::pair(&asked.candidate, &ours), std::pair(&asked.baseline, &theirs)}) {
      if (from->sets.empty()) continue;
      to->asked = from;
      auto made = load_module(from->ptx, from->cubin);
      if (!made) {
        free(ours);
        return made.error();
      }
      to->code = std::move(made).value();
      to->kept.resize(from->sets.size());
    }
    out.told.code = ours.code.from;
    if (theirs.asked && theirs.code.from != ours.code.from) out.told.code += "; the baseline " + theirs.code.from;
    auto timed = measure(asked, ours, theirs, out);
    if (timed && !finished_ && out.findings.empty() && theirs.asked) {
      free(ours);
      timed = repeat(asked, theirs, out);
      if (timed && asked.vendor) out.told.vendor = measure_vendor(asked, theirs, out);
    }
    if (!finished_) {
      free(ours);
      free(theirs);
    }
    if (!timed) return timed.error();
    return out;
  }

 private:
  cuda_device(const toolkit& from, cuda::driver opened, cuda::gpu_facts facts, const limits& allowed)
      : gpu_jobs(from, std::move(opened), std::move(facts), allowed) {}

  void find_clocks() {
    if (auto opened = cuda::nvml::open()) {
      if (auto found = opened.value().find(facts_.uuid)) {
        nvml_handle_ = found.value();
        nvml_.emplace(std::move(opened).value());
      }
    }
  }

  struct kept_output {
    std::vector<output_bytes> outputs;
    std::uint64_t calls = 0;
  };
  struct side {
    const timed_kernel* asked = nullptr;
    code_module code;
    std::vector<std::shared_ptr<placed>> memory;
    std::vector<ready_job> ready;
    // A library's: its plan instead of launches, with its tensors of each set.
    const cuda::cudnn::plan* plan = nullptr;
    std::vector<std::vector<cuda::address>> tensors;
    cuda::address workspace = 0;
    std::vector<std::vector<kept_output>> kept;
    std::uint64_t calls = 0;
    void* graph = nullptr;  // a call of each set
  };
  static constexpr std::size_t most_kept = 3;  // outputs of one set

  void free(side& of) {
    if (of.graph) (void)driver_.end_graph(std::exchange(of.graph, nullptr));
    of.ready.clear();
    of.memory.clear();
    unload(of.code);
  }

  [[nodiscard]] machine_rates rates() const {
    machine_rates on;
    on.bytes_per_second = facts_.memory_bytes_per_second();
    on.cache_bytes = static_cast<double>(facts_.l2_bytes);
    on.operations_per_second = 4096.0 * facts_.multiprocessors * static_cast<double>(facts_.clock_khz) * 1e3;  // dense 16-bit, tensor cores
    return on;
  }

  // Everything that this machine's caches hold is pushed out; waited for, since a
  // flush that still runs would be timed with the kernel.
  [[nodiscard]] result<done> empty_caches() {
    const std::uint64_t bytes = std::max<std::uint64_t>(2 * static_cast<std::uint64_t>(facts_.l2_bytes), 4096);
    if (!scrub_)
      if (auto ok = check(driver_.allocate(&scrub_, bytes), "cuMemAlloc", std::to_string(bytes) + " bytes to empty the caches with"); !ok) return ok;
    if (auto ok = check(driver_.set_words(scrub_, ++scrubbed_, bytes / 4, stream_), "cuMemsetD32Async", "the caches"); !ok) return ok;
    if (auto ok = check(driver_.reset_persisting(), "cuCtxResetPersistingL2Cache", "the caches"); !ok) return ok;
    return check(driver_.wait_stream(stream_), "cuStreamSynchronize", "the stream");
  }

  void add_sample(timing_report& out, bool baseline, std::uint64_t round, std::uint64_t set, double nanoseconds) {
    timed_sample sample;
    sample.of_baseline = baseline;
    sample.round = round;
    sample.contents = set;
    sample.events = nanoseconds;
    if (nvml_) {
      const cuda::gpu_state seen = nvml_->state(nvml_handle_);
      if (seen.sm_mhz) sample.sm_mhz = *seen.sm_mhz;
      sample.reasons = seen.reasons;
    }
    out.told.samples.push_back(sample);
  }

  // All of one set, handed to the stream.
  [[nodiscard]] result<std::optional<finding>> call(side& of, std::size_t set) {
    if (!of.plan) return launch_all(of.ready[set]);
    if (auto ran = cudnn_->run(*of.plan, of.tensors[set], of.workspace, stream_); !ran) return ran.error();
    return std::optional<finding>();
  }

  // A call of each set in a row, as a graph. Each set is in it once: a second call
  // on the same tensors would find its own answer there.
  [[nodiscard]] result<done> capture(side& of) {
    if (auto ok = check(driver_.begin_capture(stream_, cuda::relaxed_capture), "cuStreamBeginCapture", "the stream"); !ok) return ok;
    std::optional<fault> why;
    for (std::size_t set = 0; set < of.asked->sets.size(); ++set) {
      auto launched = call(of, set);
      if (!launched) why = launched.error();
      else if (launched.value()) why = fault{reason::library_failed, launched.value()->what};
      if (why) break;
    }
    void* captured = nullptr;
    auto ended = check(driver_.end_capture(stream_, &captured), "cuStreamEndCapture", "the stream");
    if (why) ended = *why;
    if (ended) ended = check(driver_.make_graph(&of.graph, captured, 0), "cuGraphInstantiateWithFlags", "the calls");
    if (captured) (void)driver_.end_captured(captured);
    return ended;
  }

  [[nodiscard]] result<std::optional<finding>> one_replay(side& of, bool baseline, std::uint64_t round, const timing_request& asked, cuda::tracing* records, timing_report& out) {
    const std::size_t sets = of.asked->sets.size();
    for (std::size_t set = 0; set < sets; ++set)
      if (auto ok = poison_outputs(of.asked->sets[set], *of.memory[set]); !ok) return ok.error();
    if (asked.cold) {
      if (auto ok = empty_caches(); !ok) return ok.error();
    } else if (auto ok = check(driver_.wait_stream(stream_), "cuStreamSynchronize", "the stream"); !ok) {
      return ok.error();
    }
    const std::string& entry = of.asked->sets.front().launches.front().entry;
    if (auto ok = hold(); !ok) return ok.error();
    if (auto ok = check(driver_.record(events_[0], stream_), "cuEventRecord", "the start"); !ok) return ok.error();
    if (records) records->mark(out.told.samples.size());
    const int launched = driver_.launch_graph(of.graph, stream_);
    if (records) records->unmark();
    if (launched != cuda::success) return ended_by(launched, "cuGraphLaunch", entry);
    if (const int said = driver_.record(events_[1], stream_); said != cuda::success) return ended_by(said, "cuEventRecord", entry);
    auto ended = wait(of.asked->sets.front());
    if (!ended || ended.value()) return ended;
    float milliseconds = 0;
    if (auto ok = check(driver_.elapsed(&milliseconds, events_[0], events_[1]), "cuEventElapsedTime", "a timed graph"); !ok) return ok.error();
    add_sample(out, baseline, round, 0, static_cast<double>(milliseconds) * 1e6 / static_cast<double>(sets));
    if (baseline) return std::optional<finding>();
    for (std::size_t set = 0; set < sets; ++set) {
      auto seen = keep(of, set, out);
      if (!seen || seen.value()) return seen;
    }
    return std::optional<finding>();
  }

  // After the first round, which is no sample: whether graphs are replayed, and
  // why. A fault where that was asked for and cannot be.
  [[nodiscard]] result<done> choose_way(const timing_request& asked, side& ours, side& theirs, bool has_records, timing_report& out) {
    double shortest = HUGE_VAL;
    for (const timed_sample& each : out.told.samples) shortest = std::min(shortest, *each.events);
    const bool forced = asked.by == calls_by::graph;
    if (!forced && (asked.by == calls_by::one || has_records || shortest >= short_call)) return done{};
    result<done> made = done{};
    if (theirs.asked && theirs.asked->sets.size() != ours.asked->sets.size()) made = fault{reason::bad_argument, "candidate and baseline have different numbers of sets"};
    if (made) made = capture(ours);
    if (made && theirs.asked) made = capture(theirs);
    if (made) {
      out.told.calls = ours.asked->sets.size();
      way_ = " around a graph of " + std::to_string(out.told.calls) + " calls (" +
             (forced ? "as asked)" : "a call is shorter than " + std::to_string(static_cast<int>(short_call / 1000)) + " us and CUPTI gives no records)");
      return done{};
    }
    if (finished_ || forced) return made;
    for (side* each : {&ours, &theirs})
      if (each->graph) (void)driver_.end_graph(std::exchange(each->graph, nullptr));
    way_ = ", one call at a time: no graph can be made (" + made.error().what + ")";
    return done{};
  }

  [[nodiscard]] result<std::optional<finding>> one_call(side& of, bool baseline, std::uint64_t round, const timing_request& asked, cuda::tracing* records, timing_report& out) {
    const auto set = static_cast<std::size_t>(of.calls++ % of.asked->sets.size());
    const job& todo = of.asked->sets[set];
    if (auto ok = poison_outputs(todo, *of.memory[set]); !ok) return ok.error();
    if (asked.cold) {
      if (auto ok = empty_caches(); !ok) return ok.error();
    } else if (auto ok = check(driver_.wait_stream(stream_), "cuStreamSynchronize", "the stream"); !ok) {
      return ok.error();
    }
    const auto number = static_cast<std::uint64_t>(out.told.samples.size());
    if (auto ok = hold(); !ok) return ok.error();
    if (auto ok = check(driver_.record(events_[0], stream_), "cuEventRecord", "the start"); !ok) return ok.error();
    if (records) records->mark(number);
    auto launched = call(of, set);
    if (records) records->unmark();
    if (!launched || launched.value()) return launched;
    if (const int said = driver_.record(events_[1], stream_); said != cuda::success) return ended_by(said, "cuEventRecord", todo.launches.front().entry);
    auto ended = wait(todo);
    if (!ended || ended.value()) return ended;
    float milliseconds = 0;
    if (auto ok = check(driver_.elapsed(&milliseconds, events_[0], events_[1]), "cuEventElapsedTime", "a timed call"); !ok) return ok.error();
    add_sample(out, baseline, round, set, static_cast<double>(milliseconds) * 1e6);
    if (baseline) return std::optional<finding>();
    return keep(of, set, out);
  }

  // Looks at what a timed call left, and keeps it for the caller to judge.
  [[nodiscard]] result<std::optional<finding>> keep(side& of, std::size_t set, timing_report& out) {
    run_report seen;
    if (auto ok = look(of.asked->sets[set], *of.memory[set], seen); !ok) return ok.error();
    for (finding& each : seen.findings) {
      each.what.insert(0, "in a timed call: ");
      return std::optional<finding>(std::move(each));
    }
    auto& kept = of.kept[set];
    const auto same = std::find_if(kept.begin(), kept.end(), [&](const kept_output& each) {
      for (std::size_t i = 0; i < each.outputs.size(); ++i)
        if (each.outputs[i].bytes != seen.outputs[i].bytes) return false;
      return true;
    });
    if (same != kept.end())
      ++same->calls;
    else if (kept.size() < most_kept)
      kept.push_back({std::move(seen.outputs), 1});
    else
      ++out.not_kept;
    return std::optional<finding>();
  }

  [[nodiscard]] result<done> hold() {
    launch one;
    one.entry = "skillbench_hold";
    kernel_argument wanted;
    wanted.kind = kernel_argument::type::integer;
    wanted.value = facts_.stand_in ? 0 : static_cast<std::int64_t>(limits_.hold_nanoseconds);
    one.args = {wanted};
    job asked;
    asked.launches = {one};
    auto ready = prepare_launches(asked, placed(*this), own_);
    if (!ready) return ready.error();
    auto launched = launch_all(ready.value());
    if (!launched) return launched.error();
    if (launched.value()) return fault{reason::library_failed, launched.value()->what};
    return done{};
  }

  [[nodiscard]] result<done> measure(const timing_request& asked, side& ours, side& theirs, timing_report& out) {
    for (side* each : {&ours, &theirs}) {
      if (!each->asked) continue;
      for (const job& set : each->asked->sets) {
        if (set.launches.empty()) return fault{reason::bad_argument, "a timing without launches"};
        each->memory.push_back(std::make_shared<placed>(*this));
        if (auto ok = place(set, *each->memory.back()); !ok) return ok;
        auto ready = prepare_launches(set, *each->memory.back(), each->code);
        if (!ready) return ready.error();
        if (ready.value().refused) {
          if (each == &theirs) return fault{reason::internal, "the baseline: " + ready.value().refused->what};
          out.findings.push_back(std::move(*ready.value().refused));
          return done{};
        }
        each->ready.push_back(std::move(ready).value());
      }
    }
    std::optional<cuda::tracing> records = start_records();
    if (auto ok = rounds(asked, ours, theirs, records, out); !ok) return ok;
    if (!out.findings.empty()) return done{};
    if (asked.sustained_seconds > 0)
      if (auto ok = sustain(asked, ours, out); !ok) return ok;
    out.told.resident = resident(ours);
    records.reset();
    count(asked, ours, out);
    hand_over(ours, out.outputs);
    return done{};
  }
  static void hand_over(side& from, std::vector<timed_output>& into) {
    for (std::size_t set = 0; set < from.kept.size(); ++set)
      for (kept_output& each : from.kept[set]) into.push_back({set, each.calls, std::move(each.outputs)});
  }

  // Kernel records where they can be had; which timer it was is told.
  [[nodiscard]] std::optional<cuda::tracing> start_records() {
    std::optional<cuda::tracing> records;
    if (facts_.stand_in) return records;
    if (!cupti_)
      if (auto opened = cuda::cupti::open(toolkit_)) cupti_.emplace(std::move(opened).value());
    if (cupti_)
      if (auto started = cuda::tracing::start(*cupti_)) records.emplace(std::move(started).value());
    return records;
  }

  // Until it is enough. A finding of ours goes to `out`.
  [[nodiscard]] result<done> rounds(const timing_request& asked, side& ours, side& theirs, std::optional<cuda::tracing>& records, timing_report& out) {
    out.told.timer = records ? "CUPTI records" : "events";
    way_.clear();

    // Code is fetched and clocks rise before anything counts: in a round that is no
    // sample.
    std::optional<std::size_t> warm;
    const double began = cuda_text::now();
    std::uint64_t round = 0;
    for (;;) {
      const bool paired = theirs.asked != nullptr;
      for (int step = 0; step < (paired ? 4 : 2); ++step) {
        const bool baseline = paired && (step == 1 || step == 2);
        side& of = baseline ? theirs : ours;
        cuda::tracing* const seen = records ? &*records : nullptr;
        auto called = of.graph ? one_replay(of, baseline, round, asked, seen, out) : one_call(of, baseline, round, asked, seen, out);
        if (!called) return called.error();
        if (called.value()) {
          if (baseline) return fault{reason::internal, "the baseline: " + called.value()->what};
          out.findings.push_back(std::move(*called.value()));
          return done{};
        }
      }
      if (!warm) {  // the first round is not a sample
        const bool has_records = records && records->take().size() == out.told.samples.size();
        if (auto ok = choose_way(asked, ours, theirs, has_records, out); !ok) return ok;
        out.told.samples.clear();
        warm = 1;
        continue;
      }
      settle(out, records ? &*records : nullptr);
      ++round;
      const go_on why = next_step(out.told.samples, cuda_text::now() - began, asked.limits);
      if (why == go_on::yes) continue;
      out.told.stopped = words_of(why);
      return done{};
    }
  }
  [[nodiscard]] static std::string words_of(go_on why) { return skillbench::words(why); }

  // Gives the samples of the last round their records. A call without one would
  // be of another timer, so then all are of events, and that is what is told.
  void settle(timing_report& out, cuda::tracing* records) {
    std::map<std::uint64_t, double> seen;
    if (records) seen = records->take();
    for (std::size_t i = 0; i < out.told.samples.size(); ++i) {
      timed_sample& each = out.told.samples[i];
      if (const auto found = seen.find(i); found != seen.end()) {
        each.records = found->second / static_cast<double>(out.told.calls);
        if (!timers_agree(*each.events, *each.records)) ++out.told.disagreements;
      }
    }
    const bool all = records && std::all_of(out.told.samples.begin(), out.told.samples.end(), [](const auto& each) { return each.records.has_value(); });
    out.told.timer = (all ? "CUPTI records" : records ? "events (CUPTI gave no record of some calls)" : "events") + way_;
    for (timed_sample& each : out.told.samples) each.nanoseconds = all ? *each.records : *each.events;
  }

  // Back to back, caches as they come: clocks fall under load.
  [[nodiscard]] result<done> sustain(const timing_request& asked, side& ours, timing_report& out) {
    const double began = cuda_text::now();
    double total = 0;
    std::uint64_t calls = 0;
    while (cuda_text::now() - began < asked.sustained_seconds) {
      if (auto ok = check(driver_.record(events_[0], stream_), "cuEventRecord", "the start"); !ok) return ok;
      constexpr int batch = 10;
      for (int i = 0; i < batch; ++i) {
        auto launched = launch_all(ours.ready[static_cast<std::size_t>(ours.calls++ % ours.ready.size())]);
        if (!launched) return launched.error();
        if (launched.value()) return fault{reason::library_failed, launched.value()->what};
      }
      if (auto ok = check(driver_.record(events_[1], stream_), "cuEventRecord", "the end"); !ok) return ok;
      auto ended = wait(ours.asked->sets.front());
      if (!ended) return ended.error();
      if (ended.value()) return fault{reason::library_failed, ended.value()->what};
      float milliseconds = 0;
      if (auto ok = check(driver_.elapsed(&milliseconds, events_[0], events_[1]), "cuEventElapsedTime", "sustained calls"); !ok) return ok;
      total += static_cast<double>(milliseconds) * 1e6;
      calls += batch;
    }
    if (calls > 0) out.told.sustained = total / static_cast<double>(calls);
    if (nvml_)
      if (const auto seen = nvml_->state(nvml_handle_); seen.sm_mhz) out.told.sustained_mhz = *seen.sm_mhz;
    return done{};
  }

  // The baseline on what the candidate was given. The candidate's code is unloaded
  // and its memory overwritten: it never runs where these answers are.
  [[nodiscard]] result<done> repeat(const timing_request& asked, side& theirs, timing_report& out) {
    theirs.ready.clear();
    theirs.memory.clear();
    for (std::size_t set = 0; set < asked.afterwards.size(); ++set) {
      std::swap(module_, theirs.code);
      auto told = run(asked.afterwards[set]);
      std::swap(module_, theirs.code);
      if (!told) return fault{told.error().why, "the baseline on the candidate's contents: " + told.error().what};
      for (const finding& each : told.value().findings)
        if (each.weight == severity::fails) return fault{reason::internal, "the baseline on the candidate's contents: " + each.what};
      out.afterwards.push_back({set, 1, std::move(told.value().outputs)});
    }
    return done{};
  }

  // A vendor's library where the candidate was, on the candidate's contents and
  // beside the baseline, in the same tensors. Whatever comes of it is told, and
  // changes nothing of the candidate's time.
  [[nodiscard]] vendor_timing measure_vendor(const timing_request& asked, side& theirs, timing_report& out) {
    vendor_timing told;
    told.name = "cuDNN";
    timed_kernel again;
    again.sets = asked.afterwards;
    cuda::cudnn::plan plan;
    side library, baseline;
    library.asked = baseline.asked = &again;
    library.kept.resize(again.sets.size());
    std::swap(baseline.code, theirs.code);
    timing_report seen;
    const auto timed = [&]() -> result<done> {
      if (auto ok = open_cudnn(told.name, asked.vendor->what); !ok) return ok;
      const auto here = cudnn_->this_device();
      if (!here) return here.error();
      auto planned = cudnn_->plan_of(*asked.vendor, here.value());
      if (!planned) return planned.error();
      plan = std::move(planned).value();
      library.plan = &plan;
      if (plan.workspace > 0)
        if (auto ok = check(driver_.allocate(&library.workspace, static_cast<std::size_t>(plan.workspace)), "cuMemAlloc", std::to_string(plan.workspace) + " bytes of workspace"); !ok) return ok;
      for (const job& set : again.sets) {
        auto memory = std::make_shared<placed>(*this);
        if (auto ok = place(set, *memory); !ok) return ok;
        auto ready = prepare_launches(set, *memory, baseline.code);
        if (!ready) return ready.error();
        if (ready.value().refused) return fault{reason::internal, "the baseline: " + ready.value().refused->what};
        auto tensors = tensors_of(plan, set, *memory);
        if (!tensors) return tensors.error();
        library.tensors.push_back(std::move(tensors).value());
        library.memory.push_back(memory);
        baseline.memory.push_back(std::move(memory));
        baseline.ready.push_back(std::move(ready).value());
      }
      std::optional<cuda::tracing> records = start_records();
      return rounds(asked, library, baseline, records, seen);
    }();
    if (!timed) told.why_not = timed.error().what;
    else if (!seen.findings.empty()) told.why_not = seen.findings.front().what;
    else {
      told.samples = std::move(seen.told.samples);
      told.timer = std::move(seen.told.timer);
      told.stopped = std::move(seen.told.stopped);
      told.disagreements = seen.told.disagreements;
      hand_over(library, out.vendor);
      out.vendor_not_kept = seen.not_kept;
    }
    std::swap(baseline.code, theirs.code);
    if (finished_) return told;
    free(library);
    free(baseline);
    if (library.workspace) (void)driver_.release_memory(library.workspace);
    return told;
  }

  [[nodiscard]] result<done> open_cudnn(std::string& name, const std::string& what) {
    if (!cudnn_) {
      auto opened = cuda::cudnn::open(toolkit_.library_folder);
      if (!opened) return opened.error();
      cudnn_ = std::move(opened).value();
    }
    name = "cuDNN " + cudnn_->version() + ", " + what;
    if (facts_.stand_in && !cudnn_->stand_in()) return fault{reason::not_supported, "the driver is a stand-in, which runs no library's kernels"};
    return done{};
  }

  // Where the graph's tensors lie; a number is not in the GPU's memory.
  [[nodiscard]] static result<std::vector<cuda::address>> tensors_of(const cuda::cudnn::plan& plan, const job& set, const placed& memory) {
    std::vector<cuda::address> made;
    for (const vendor_tensor& each : plan.tensors) {
      cuda::address at = 0;
      for (std::size_t i = 0; i < set.buffers.size() && !each.name.empty(); ++i)
        if (set.buffers[i].name == each.name && each.first >= 0 && each.first < set.buffers[i].elements)
          at = memory.regions[i].tensor + static_cast<cuda::address>(each.first * set.buffers[i].bytes_of_element());
      if (at == 0 && !each.name.empty()) return fault{reason::bad_argument, plan.what + " has a tensor " + each.name + " that the case lacks"};
      made.push_back(at);
    }
    return made;
  }

  // How many CTAs of each launch an SM holds, by what the driver loaded.
  [[nodiscard]] std::string resident(const side& ours) const {
    std::string told;
    for (const ready_launch& one : ours.ready.front().launches) {
      int registers = 0, fixed = 0;
      if (driver_.function_attribute(&registers, static_cast<int>(cuda::of_function::registers), one.function) != cuda::success ||
          driver_.function_attribute(&fixed, static_cast<int>(cuda::of_function::static_shared), one.function) != cuda::success)
        continue;
      const std::int64_t threads = std::int64_t{one.config.block[0]} * one.config.block[1] * one.config.block[2];
      sm_limits on;
      on.threads = facts_.threads_of_sm;
      on.ctas = facts_.ctas_of_sm;
      on.registers = facts_.registers_of_sm;
      on.shared = facts_.shared_of_sm;
      on.shared_of_cta = facts_.shared_of_cta;
      on.reserved_shared = facts_.reserved_shared;
      const occupancy held = occupancy_of({threads, registers, fixed + std::int64_t{one.config.shared_bytes}}, on);
      told += (told.empty() ? "" : "; ") + one.entry + ": " + std::to_string(held.ctas) + " CTAs of " + std::to_string(threads) + " threads and " + std::to_string(registers) +
              " registers, " + std::to_string(held.warps) + " warps, limited by " + words(held.limit);
    }
    return told;
  }
  [[nodiscard]] static std::string words(occupancy_limit by) { return skillbench::words(by); }

  // Whatever comes of it changes no time and no verdict: a reason where it fails.
  void count(const timing_request& asked, side& ours, timing_report& out) {
    if (asked.metrics.empty()) return;
    const auto counted = [&]() -> result<std::vector<double>> {
      if (facts_.stand_in) return fault{reason::not_supported, "a stand-in for the driver has no counters"};
      if (!cupti_) return fault{reason::library_missing, "CUPTI is not there"};
      auto chip = cupti_->chip_of(facts_.ordinal);
      if (!chip) return chip.error();
      auto with = cuda::metrics::of(*cupti_, chip.value());
      if (!with) return with.error();
      if (auto added = with.value().add(asked.metrics); !added) return added.error();
      return cuda::count_range(*cupti_, with.value(), context_, [&]() -> result<done> {
        const job& todo = ours.asked->sets.front();
        if (auto ok = poison_outputs(todo, *ours.memory.front()); !ok) return ok;
        if (auto ok = check(driver_.wait_stream(stream_), "cuStreamSynchronize", "the stream"); !ok) return ok;
        auto launched = launch_all(ours.ready.front());
        if (!launched) return launched.error();
        auto ended = wait(todo);
        if (!ended) return ended.error();
        return done{};
      });
    }();
    if (!counted) {
      out.told.no_metrics = counted.error().what;
      return;
    }
    for (std::size_t i = 0; i < asked.metrics.size(); ++i) out.told.metrics.push_back({asked.metrics[i], counted.value()[i]});
  }

  cuda::address scrub_ = 0;
  unsigned scrubbed_ = 0;
  std::string way_;  // how calls are handed over, for the words on the timer
  std::optional<cuda::nvml> nvml_;
  void* nvml_handle_ = nullptr;
  std::optional<cuda::cupti> cupti_;
  std::unique_ptr<cuda::cudnn> cudnn_;
};

// A device that has just shown that it works.
[[nodiscard]] inline result<std::unique_ptr<cuda_device>> open_gpu(const toolkit& from, int ordinal, const cuda_device::limits& allowed = {}) {
  auto opened = cuda_device::open(from, ordinal, allowed);
  if (!opened) return opened;
  if (auto proved = opened.value()->prove(); !proved) return proved.error();
  return opened;
}

}  // namespace skillbench
