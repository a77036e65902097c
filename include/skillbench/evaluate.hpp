#pragma once
// evaluate.hpp: one output of a model in, one record out. The story.
//
// Layer   6. Extract, read, compile, check, time; each step takes what the one before
//         it made, and the one that stops a candidate is its outcome.
// Units   seconds of wall time for each stage.
// Errors  A fault means that nothing can be said of the candidate: an unknown
//         task, no toolkit, a broken device. It is never counted against the
//         model. What the device cannot do (not_supported, too_slow,
//         too_large), or a device that dies while it runs, leaves the
//         candidate `unjudged`; one that dies while it compiles is the source's
//         doing, because only the compiler reads it then.
// Trust   Give it a device in a child (device/remote.hpp), a fresh one for each
//         candidate, unless the output is trusted.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/check.hpp>
#include <skillbench/compile.hpp>
#include <skillbench/compiler_log.hpp>
#include <skillbench/device.hpp>
#include <skillbench/extract.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/hash.hpp>
#include <skillbench/read.hpp>
#include <skillbench/record.hpp>
#include <skillbench/sample.hpp>
#include <skillbench/time.hpp>
#include <skillbench/units.hpp>

namespace skillbench {

// What a judgement depends on besides the output and the device.
struct plan {
  std::uint64_t seed = 1;
  int schedules = 0;  // runs of each case; 0: two of small outputs, else one
  std::int64_t threads = 1;  // of the host; what is told is the same
  counting count = {};  // of launches, beside the verdict
  measuring measure = {};  // of correct ones, where the device does
  std::string no_gpu = "no GPU";  // why a device does not measure
  // Saves time when many candidates of one family are judged, nothing else;
  // one thread's own.
  reference_cache* references = nullptr;
  bool keep_ptx = false;  // in the record, for who asserts something of it
};

// A candidate's image for one element type.
struct compiled {
  element type = element::f32;
  setting chosen;
  image made;
};

// What compiling a candidate for every element type came to.
struct compiled_all {
  std::vector<compiled> images;   // in the order of all_elements
  std::vector<finding> refused;   // empty: every type compiles
};

namespace story {

// Adds a stage's wall time to the record when it ends.
class stopwatch {
 public:
  stopwatch(record& told, stage now)
      : told_(told), now_(now), began_(clock::now()) {
    told_.reached = now;
  }
  ~stopwatch() {
    told_.seconds.emplace_back(
        name(now_),
        std::chrono::duration<double>(clock::now() - began_).count());
  }
  stopwatch(const stopwatch&) = delete;
  stopwatch& operator=(const stopwatch&) = delete;

 private:
  using clock = std::chrono::steady_clock;
  record& told_;
  stage now_;
  clock::time_point began_;
};

// Faults while a candidate runs that leave it unjudged: what the device cannot
// do, and a child that is gone. The kernel ran on our machine, so a crash or a
// hang of that machine is ours.
[[nodiscard]] inline bool is_run_limit(reason why) noexcept {
  return leaves_unjudged(why) || ends_device(why);
}

// Faults while a source is compiled that are the source's doing.
[[nodiscard]] inline bool is_compile_limit(reason why) noexcept {
  return why == reason::child_died || why == reason::child_timed_out ||
         why == reason::too_large;
}

// A compile that was stopped by the clock on the wall and had hardly run: the
// machine was busy, or asleep. Where a worker can open other people's files it may
// have waited for one that never ends, which is the source's doing.
[[nodiscard]] inline bool only_waited(reason why, const device& on,
                                      double cpu_before) {
  constexpr double least_cpu_seconds = 5;
  return why == reason::child_timed_out &&
         on.cpu_used() - cpu_before < least_cpu_seconds &&
         (on.isolation() == "strict" || on.isolation() == "bwrap");
}

}  // namespace story

// The lower rung of two; `unjudged` says nothing, so anything that fails goes
// before it, and it goes before `correct`.
[[nodiscard]] constexpr outcome lower(outcome a, outcome b) noexcept {
  const auto height = [](outcome each) {
    return each == outcome::unjudged  ? 10
           : each == outcome::correct ? 11
                                      : static_cast<int>(each);
  };
  return height(b) < height(a) ? b : a;
}

[[nodiscard]] inline const family* find_family(std::span<const family> known,
                                               std::string_view wanted) {
  for (const family& each : known)
    if (each.name == wanted) return &each;
  return nullptr;
}

// Compiles the default setting for every element type.
[[nodiscard]] inline result<compiled_all> compile(const candidate& asked,
                                                  device& on) {
  compiled_all all;
  for (const element type : all_elements) {
    auto chosen = default_setting(asked.launch, type);
    if (!chosen) {
      finding none;
      none.kind = code::bad_manifest;
      none.what = chosen.error().what;
      none.element_type = name(type);
      all.refused.push_back(std::move(none));
      return all;
    }
    const double before = on.cpu_used();
    auto made = on.compile(plan_compile(asked, chosen.value(), type));
    if (!made) {
      if (!story::is_compile_limit(made.error().why) ||
          story::only_waited(made.error().why, on, before))
        return made.error();
      finding stopped;
      stopped.kind = code::compile_limits;
      stopped.what = "the compiler was stopped: " + made.error().what;
      stopped.element_type = name(type);
      all.refused.push_back(std::move(stopped));
      return all;  // the child is gone
    }
    if (!made.value().ok)
      merge_compile_findings(all.refused,
                             compile_findings(made.value(), type));
    all.images.push_back(
        {type, std::move(chosen).value(), std::move(made).value()});
  }
  return all;
}

// Ends a record at a stage that refused the candidate.
[[nodiscard]] inline record stopped(record told,
                                    std::vector<finding> refused) {
  told.what = outcome::correct;
  for (const finding& each : refused) {
    if (each.weight != severity::fails) continue;
    const outcome at = outcome_of(each.kind);
    if (told.reason.empty() || lower(told.what, at) != told.what)
      told.reason = each.what;
    told.what = lower(told.what, at);
  }
  told.findings.insert(told.findings.end(),
                       std::make_move_iterator(refused.begin()),
                       std::make_move_iterator(refused.end()));
  told.speed = "not measured: " + std::string(name(told.what));
  return told;
}

// Takes over what the images say of their kernels, and what the compiler said.
inline void keep_kernels(record& told, const std::vector<compiled>& images) {
  if (!images.empty()) told.chosen = images.front().chosen;
  compiler_log said;
  for (const compiled& each : images) said.add(each.type, each.made);
  told.log = said.text();
  for (const compiled& each : images)
    for (const kernel_image& kernel : each.made.kernels)
      told.kernels.push_back({std::string(name(each.type)), kernel.entry,
                              kernel.lowered, kernel.registers,
                              kernel.spill_stores, kernel.spill_loads,
                              kernel.stack_bytes, kernel.static_shared});
}

// Runs every case of every element type, and lets the lowest rung decide.
[[nodiscard]] inline result<done> judge(record& told, const candidate& asked,
                                        const std::vector<compiled>& images,
                                        const family& of, device& on,
                                        const plan& how) {
  told.what = outcome::correct;
  const auto lowered = [&](outcome at, const std::string& why) {
    if (lower(told.what, at) == told.what) return;
    told.what = at;
    told.reason = why;
  };
  for (const compiled& each : images) {
    auto seen = check(asked, each.chosen, each.made, of, each.type, on,
                      how.seed, how.references, how.schedules, how.threads);
    if (!seen) {
      if (!story::is_run_limit(seen.error().why)) return seen.error();
      lowered(outcome::unjudged,
              std::string(name(each.type)) + ": " + seen.error().what);
      continue;
    }
    checked& one = seen.value();
    lowered(one.reached, one.reason);
    std::move(one.findings.begin(), one.findings.end(),
              std::back_inserter(told.findings));
    std::move(one.cases.begin(), one.cases.end(),
              std::back_inserter(told.cases));
    // A kernel that hardly ever ends is paid for once, not once a type.
    if (one.endless) break;
  }
  return done{};
}

// Counts what the launches of one case do, for every element type.
inline void count(record& told, const candidate& asked,
                  const std::vector<compiled>& images, const family& of,
                  device& on, const plan& how) {
  if (!how.count.wanted) return;
  std::string missing;
  for (const compiled& each : images) {
    counted_case seen = count_case(asked, each.chosen, each.made, of, each.type,
                                   told.cases, on, how.seed, how.count);
    std::move(seen.launches.begin(), seen.launches.end(),
              std::back_inserter(told.counters));
    if (!seen.missing.empty())
      missing += (missing.empty() ? "not measured: " : "; ") +
                 std::string(name(each.type)) + ": " + seen.missing;
  }
  told.not_counted = missing;
}

// Times a correct candidate in every element type, beside its family's baseline.
// What a timed call gets wrong counts like any other call's.
inline void measure(record& told, const candidate& asked,
                    const std::vector<compiled>& images, const family& of,
                    std::span<const family> known, device& on,
                    const plan& how) {
  const test_case* const picked = timed_case_of(of, how.measure.test_case);
  if (picked == nullptr) {
    told.speed = "not measured: there is no such case";
    return;
  }
  excerpt yardstick;
  yardstick.source = of.baseline;
  const read_result baseline = read_candidate(yardstick, known, of);
  std::vector<std::optional<std::pair<setting, image>>> yardsticks;
  const auto tell = [&](timed seen) {
    for (finding& one : seen.findings) {
      const outcome at = one.weight == severity::cheats ? outcome::cheats
                                                        : outcome_of(one.kind);
      if (one.weight != severity::note && lower(told.what, at) == at &&
          told.what != at) {
        told.what = at;
        told.reason = one.what;
      }
      told.findings.push_back(std::move(one));
    }
    told.timings.push_back(std::move(seen.told));
  };
  const auto built_of = [&](std::size_t at) {
    const auto& made = yardsticks[at];
    return made ? built{&*baseline.found, &made->first, &made->second} : built{};
  };
  for (const compiled& each : images) {
    std::string why = of.baseline.empty() ? "the family has no baseline" : "";
    auto& theirs = yardsticks.emplace_back();
    if (why.empty() && !baseline.found) why = baseline.refused.front().what;
    if (why.empty()) {
      auto first = default_setting(baseline.found->launch, each.type);
      if (first) {
        auto made = on.compile(
            plan_compile(*baseline.found, first.value(), each.type));
        if (made && made.value().ok) {
          theirs.emplace(std::move(first).value(), std::move(made).value());
        } else {
          why = made ? "the baseline does not compile" : made.error().what;
        }
      } else {
        why = first.error().what;
      }
    }
    const built ours{&asked, &each.chosen, &each.made};
    timed seen = time_case(ours, built_of(yardsticks.size() - 1), of, *picked,
                           each.type, on, how.seed, how.measure);
    if (!theirs) seen.told.baseline = "none: " + why;
    tell(std::move(seen));
  }
  told.speed = speed_words(told.timings);
  told.against_baseline = speedup_of(told.timings);
  if (how.measure.shapes)
    for (const timing_shape& shape : of.timing)
      for (std::size_t i = 0; i < images.size(); ++i)
        if (told.what == outcome::correct &&
            std::find(shape.types.begin(), shape.types.end(), images[i].type) !=
                shape.types.end())
          tell(time_shape({&asked, &images[i].chosen, &images[i].made},
                          built_of(i), of, shape, images[i].type, on, how.seed,
                          how.measure));
  if (told.what == outcome::correct) return;
  told.speed = "not measured: " + std::string(name(told.what));
  told.against_baseline.reset();
}

[[nodiscard]] inline result<record> evaluate(const sample& given,
                                             std::span<const family> known,
                                             device& on, const plan& how) {
  const family* const asked = find_family(known, given.task);
  if (!asked)
    return fault{reason::bad_input, given.path + ": there is no family \"" +
                                        given.task + "\""};
  record told;
  told.of = given;
  told.of.output.clear();
  told.device = on.name();
  told.isolation = on.isolation();
  told.seed = how.seed;
  if (how.count.wanted) told.not_counted = "not measured: it did not run";

  const extracted pieces = [&] {
    const story::stopwatch watch(told, stage::extract);
    return extract(given.output);
  }();
  if (!pieces.found) return stopped(std::move(told), pieces.refused);
  told.source_hash = sha256(pieces.found->source);
  told.source = pieces.found->source;

  const read_result read = [&] {
    const story::stopwatch watch(told, stage::read);
    return read_candidate(*pieces.found, known, *asked);
  }();
  if (!read.found) {
    told.findings = pieces.found->notes;
    return stopped(std::move(told), read.refused);
  }
  told.findings = read.found->notes;

  const result<compiled_all> built = [&] {
    const story::stopwatch watch(told, stage::compile);
    return compile(*read.found, on);
  }();
  if (!built) return built.error();
  keep_kernels(told, built.value().images);
  if (how.keep_ptx)
    for (const compiled& each : built.value().images) told.ptx += each.made.ptx;
  if (!built.value().refused.empty())
    return stopped(std::move(told), built.value().refused);

  const result<done> judged = [&] {
    const story::stopwatch watch(told, stage::check);
    return judge(told, *read.found, built.value().images, *asked, on, how);
  }();
  if (!judged) return judged.error();
  told.code = on.loaded();
  told.gpu_isolation = on.gpu_isolation();
  count(told, *read.found, built.value().images, *asked, on, how);

  told.speed = "not measured: " + (told.what == outcome::correct
                                       ? how.no_gpu
                                       : std::string(name(told.what)));
  if (told.what == outcome::correct && how.measure.wanted && on.measures()) {
    const story::stopwatch watch(told, stage::time);
    measure(told, *read.found, built.value().images, *asked, known, on, how);
  }
  told.reached = stage::done;
  return told;
}

}  // namespace skillbench
