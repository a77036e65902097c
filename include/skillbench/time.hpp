#pragma once
// time.hpp: how fast is a candidate that is right, against its family's baseline?
//
// Layer   5. Runs on any device of layer 4 that measures.
// Units   nanoseconds; a ratio is baseline over candidate.
// Order   A candidate is checked first; an unchecked kernel has no speed. Every
//         timed call has other contents than the one before, and its output is
//         held to the reference in `verified_rows` rows, chosen by a seed that no
//         kernel can see, after the call. The baseline works on contents of its
//         own, so that its memory holds no answer. When the candidate is gone it
//         runs on the candidate's as well, and every element of the two is
//         compared: the rows that differ most are held to the reference too. So
//         no bound is needed that two roundings must keep to, and a baseline
//         that is wrong somewhere accuses nobody.
// Vendor  Where it is asked for, a library's own kernel is timed after that, on the
//         candidate's contents and paired with the baseline. Its output is judged
//         as the candidate's is; one that is wrong, or that no library can make,
//         is told and has no time, and changes nothing for the candidate.
// Errors  Nothing here is a fault of the candidate's unless a finding says so. A
//         device that cannot measure leaves `why_not`.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/candidate.hpp>
#include <skillbench/check.hpp>
#include <skillbench/device.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/inputs.hpp>
#include <skillbench/launches.hpp>
#include <skillbench/record.hpp>
#include <skillbench/side_by_side.hpp>
#include <skillbench/timing.hpp>
#include <skillbench/vendor.hpp>

namespace skillbench {

struct measuring {
  bool wanted = true;      // where the device measures
  bool cold = true;
  calls_by by = calls_by::automatic;
  double sustained_seconds = 0;
  stopping limits = {.seconds = 3};
  bool vendor = false;     // a library's kernel as well
  bool shapes = false;     // and the family's shapes made for timing
  std::string test_case;   // a public one; "": the largest
  std::vector<std::string> metrics = default_metrics();
};

inline constexpr std::uint64_t timed_sets = 4;
// Of a case whose tensors are larger than any cache: one call leaves little of what
// the next one reads, and each set costs its making and its way to the reference.
inline constexpr double large_case = 100e6;  // bytes
inline constexpr std::uint64_t large_sets = 2;
inline constexpr std::size_t large_suspects = 8;
inline constexpr std::int64_t verified_rows = 256;
inline constexpr std::size_t suspect_rows = 32;  // by each measure

// A candidate compiled for one element type, with its setting.
struct built {
  const candidate* from = nullptr;
  const setting* chosen = nullptr;
  const image* made = nullptr;
};

struct timed {
  timed_case told;
  std::vector<finding> findings;
};

namespace timing_words {

// `some` rows of `rows`, each once, in order.
[[nodiscard]] inline std::vector<std::int64_t> drawn_rows(std::int64_t rows, std::int64_t some, std::uint64_t seed) {
  std::vector<std::int64_t> made;
  if (rows <= some) {
    for (std::int64_t row = 0; row < rows; ++row) made.push_back(row);
    return made;
  }
  for (std::uint64_t n = 0; static_cast<std::int64_t>(made.size()) < some; ++n) {
    const auto row = static_cast<std::int64_t>(mix(seed, n) % static_cast<std::uint64_t>(rows));
    const auto at = std::lower_bound(made.begin(), made.end(), row);
    if (at == made.end() || *at != row) made.insert(at, row);
  }
  return made;
}

// Two outputs of the same inputs, as bytes: how many elements were held against
// each other, and the rows in which they differ most.
struct tensor_difference {
  std::uint64_t compared = 0;
  std::vector<std::int64_t> rows;  // each once, in order
};

// A row is as far off as its worst element: by the difference itself, by its share
// of the element, and by its share of the row's largest. A value that is not finite
// and is not met by its equal is off by more than any number.
[[nodiscard]] inline tensor_difference differing_rows(element type, std::string_view ours, std::string_view theirs, std::int64_t width, std::size_t most) {
  const std::size_t row_bytes = static_cast<std::size_t>(width) * size_of(type);
  const std::size_t rows = std::min(ours.size(), theirs.size()) / row_bytes;
  tensor_difference made;
  made.compared = rows * static_cast<std::uint64_t>(width);
  std::array<std::vector<std::pair<double, std::int64_t>>, 3> worst;
  std::vector<double> a(static_cast<std::size_t>(width)), b(a.size());
  for (std::size_t row = 0; row < rows; ++row) {
    const auto left = ours.substr(row * row_bytes, row_bytes), right = theirs.substr(row * row_bytes, row_bytes);
    if (left == right) continue;
    (void)decode(type, std::as_bytes(std::span(left)), a);
    (void)decode(type, std::as_bytes(std::span(right)), b);
    double gap = 0, share = 0, largest_of_row = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (std::isfinite(b[i])) largest_of_row = std::max(largest_of_row, std::abs(b[i]));
      if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
      const double apart = std::isfinite(a[i]) && std::isfinite(b[i]) ? std::abs(a[i] - b[i]) : HUGE_VAL;
      gap = std::max(gap, apart);
      share = std::max(share, b[i] == 0 || apart == HUGE_VAL ? HUGE_VAL : apart / std::abs(b[i]));
    }
    if (gap == 0) continue;  // zeros of two signs
    const double of_row = largest_of_row > 0 ? gap / largest_of_row : HUGE_VAL;
    const double by[] = {gap, share, of_row};
    for (std::size_t m = 0; m < worst.size(); ++m) worst[m].emplace_back(by[m], static_cast<std::int64_t>(row));
  }
  for (auto& each : worst) {
    const std::size_t some = std::min(most, each.size());
    std::partial_sort(each.begin(), each.begin() + static_cast<std::ptrdiff_t>(some), each.end(), [](const auto& x, const auto& y) { return x.first > y.first || (x.first == y.first && x.second < y.second); });
    for (std::size_t i = 0; i < some; ++i) made.rows.push_back(each[i].second);
  }
  std::sort(made.rows.begin(), made.rows.end());
  made.rows.erase(std::unique(made.rows.begin(), made.rows.end()), made.rows.end());
  return made;
}

// Both lists, each row once.
[[nodiscard]] inline std::vector<std::int64_t> joined(std::span<const std::int64_t> some, std::span<const std::int64_t> more) {
  std::vector<std::int64_t> made;
  std::set_union(some.begin(), some.end(), more.begin(), more.end(), std::back_inserter(made));
  return made;
}

// The bytes of a tensor by its name; null where there are none.
[[nodiscard]] inline const std::string* bytes_of(const job& asked, std::span<const output_bytes> given, const std::string& tensor) {
  for (const output_bytes& each : given)
    if (asked.buffers[static_cast<std::size_t>(each.buffer)].name == tensor) return &each.bytes;
  return nullptr;
}

}  // namespace timing_words

// The bytes that a case cannot do without: inputs that are named and outputs, once.
struct traffic {
  double read = 0, written = 0;
};
[[nodiscard]] inline traffic traffic_of(const job& of) {
  traffic made;
  for (const buffer& each : of.buffers) {
    if (each.use == role::input || each.use == role::both) made.read += static_cast<double>(each.bytes());
    if (each.use == role::output || each.use == role::both) made.written += static_cast<double>(each.bytes());
  }
  return made;
}

// Holds one output of a timed call to the reference, in some rows.
[[nodiscard]] inline result<output_verdict> judge_rows(const family& asked, const test_case& of, const argument& output, element type, std::uint64_t seed, std::string_view bytes,
                                                       std::span<const std::int64_t> rows) {
  const auto shape = shape_of(output, of);
  if (!shape) return shape.error();
  const std::int64_t width = std::max<std::int64_t>(shape.value().width(), 1);
  const std::size_t row_bytes = static_cast<std::size_t>(width) * size_of(type);
  output_verdict all;
  for (const std::int64_t row : rows) {
    const std::size_t at = static_cast<std::size_t>(row) * row_bytes;
    if (at + row_bytes > bytes.size()) return fault{reason::child_protocol, "a timed output is shorter than its tensor"};
    auto one = judge_part(asked, of, output, type, seed, row * width, std::as_bytes(std::span(bytes.data() + at, row_bytes)), nullptr);
    if (!one) return one.error();
    all.seen.add(one.value().seen, 0);
    if (one.value().wrong && !all.wrong) all.wrong = std::move(one.value().wrong);
  }
  return all;
}

// The same by several threads, each of which takes rows that follow each other, so
// that a reference that keeps what neighbours share keeps it. Of wrong rows the
// first is told.
[[nodiscard]] inline result<output_verdict> judge_many_rows(const family& asked, const test_case& of, const argument& output, element type, std::uint64_t seed, std::string_view bytes,
                                                            std::span<const std::int64_t> rows) {
  const std::size_t part = std::max<std::size_t>((rows.size() + parts_at_once() - 1) / parts_at_once(), 1);
  std::vector<result<output_verdict>> told((rows.size() + part - 1) / part, output_verdict{});
  side_by_side(told.size(), [&](std::size_t i) { told[i] = judge_rows(asked, of, output, type, seed, bytes, rows.subspan(i * part, std::min(part, rows.size() - i * part))); });
  output_verdict all;
  for (result<output_verdict>& one : told) {
    if (!one) return one.error();
    all.seen.add(one.value().seen, 0);
    if (one.value().wrong && !all.wrong) all.wrong = std::move(one.value().wrong);
  }
  return all;
}

// The outputs of timed calls on `sets`, held to the reference and, where `beside` has
// any, to the baseline's of the same contents; what the first wrong one says.
struct judged_calls {
  std::uint64_t compared = 0, verified_rows = 0;
  std::optional<finding> wrong;
};
[[nodiscard]] inline result<judged_calls> judge_calls(const family& asked, const test_case& of, element type, std::uint64_t seed, std::uint64_t drawn, std::size_t suspects, std::span<const job> sets,
                                                      std::span<const timed_output> outputs, std::span<const job> beside, std::span<const timed_output> afterwards) {
  judged_calls made;
  for (const timed_output& each : outputs) {
    for (const argument& output : asked.arguments) {
      if (output.kind != argument::type::output) continue;
      const std::string* const given = timing_words::bytes_of(sets[each.set], each.outputs, output.name);
      const auto shape = shape_of(output, of);
      if (given == nullptr || !shape) return fault{reason::child_protocol, "the device gave no bytes for output `" + output.name + "` of a timed call"};
      const std::int64_t width = std::max<std::int64_t>(shape.value().width(), 1);
      auto picked = timing_words::drawn_rows(shape.value().elements / width, verified_rows, mix(drawn, each.set));
      if (!beside.empty()) {
        const std::string* theirs = nullptr;
        for (const timed_output& right : afterwards)
          if (right.set == each.set) theirs = timing_words::bytes_of(beside[each.set], right.outputs, output.name);
        if (theirs == nullptr || theirs->size() != given->size())
          return fault{reason::child_protocol, "the device gave no bytes of the baseline's to hold output `" + output.name + "` of a timed call against"};
        const auto differing = timing_words::differing_rows(type, *given, *theirs, width, suspects);
        made.compared += differing.compared;
        picked = timing_words::joined(picked, differing.rows);
      }
      const auto judge = suspects == large_suspects ? judge_many_rows : judge_rows;
      auto verdict = judge(asked, of, output, type, mix(seed, each.set), *given, picked);
      if (!verdict) return verdict.error();
      made.verified_rows += picked.size();
      if (!verdict.value().wrong) continue;
      made.wrong = std::move(verdict.value().wrong);
      return made;
    }
  }
  return made;
}

// What a library's calls left, held to the reference: no time for a wrong answer.
inline void judge_vendor(vendor_timing& told, const family& asked, const test_case& of, element type, std::uint64_t seed, std::uint64_t drawn, std::size_t suspects, const timing_request& request,
                         const timing_report& report) {
  if (!told.why_not.empty()) return;
  const auto refuse = [&](std::string why) {
    told.why_not = std::move(why);
    told.samples.clear();
  };
  const auto seen = judge_calls(asked, of, type, seed, drawn, suspects, request.afterwards, report.vendor, request.afterwards, report.afterwards);
  if (!seen) return refuse(seen.error().what);
  told.compared = seen.value().compared;
  told.verified_rows = seen.value().verified_rows;
  if (seen.value().wrong) return refuse("its output is wrong: " + seen.value().wrong->what);
  if (told.verified_rows == 0) return refuse("the device gave none of its outputs");
  if (report.vendor_not_kept > 0) return refuse(std::to_string(report.vendor_not_kept) + " of its calls left other bits than those that were held to the reference");
}

[[nodiscard]] inline timed time_case(const built& ours, const built& baseline, const family& asked, const test_case& of, element type, device& on, std::uint64_t seed, const measuring& how) {
  timed made;
  made.told.test_case = of.name;
  made.told.element_type = name(type);
  made.told.cold = how.cold;
  made.told.device = on.name();
  const auto not_done = [&](const std::string& why) {
    made.told.why_not = why;
    return made;
  };

  timing_request request;
  request.cold = how.cold;
  request.by = how.by;
  request.limits = how.limits;
  request.sustained_seconds = how.sustained_seconds;
  request.metrics = how.metrics;
  bindings known(of.integers.begin(), of.integers.end());
  known.emplace_back("sizeof_T", static_cast<std::int64_t>(size_of(type)));
  const auto moves = asked.bytes.evaluate(known);
  const bool large = moves && static_cast<double>(moves.value()) > large_case;
  const std::uint64_t sets = large ? large_sets : timed_sets;
  const std::size_t suspects = large ? large_suspects : suspect_rows;
  const std::uint64_t ours_seed = mix(seed, "timed"), theirs_seed = mix(seed, "timed baseline");
  const auto seed_of = [](std::uint64_t from, std::uint64_t set) { return mix(from, set); };
  for (const auto& [what, from, into] : {std::tuple(&ours, ours_seed, &request.candidate), std::tuple(&baseline, theirs_seed, &request.baseline)}) {
    if (what->made == nullptr) continue;
    into->ptx = what->made->ptx;
    into->cubin = what->made->cubin;
    for (std::uint64_t set = 0; set < sets; ++set) {
      auto planned = plan_case(*what->from, *what->chosen, *what->made, asked, of, type, seed_of(from, set));
      if (!planned) return not_done(planned.error().what);
      if (!planned.value().refused.empty()) return not_done(planned.value().refused.front().what);
      into->sets.push_back(std::move(planned.value().asked));
    }
  }
  if (baseline.made != nullptr) {
    made.told.baseline = "baseline.cu";
    for (std::uint64_t set = 0; set < sets; ++set) {
      auto planned = plan_case(*baseline.from, *baseline.chosen, *baseline.made, asked, of, type, seed_of(ours_seed, set));
      if (!planned) return not_done(planned.error().what);
      if (!planned.value().refused.empty()) return not_done(planned.value().refused.front().what);
      request.afterwards.push_back(std::move(planned.value().asked));
    }
  }

  std::optional<vendor_timing> vendor;
  if (how.vendor) {
    vendor.emplace().name = "vendor";
    auto graph = vendor_graph_of(asked.name, of, type);
    if (!graph) vendor->why_not = graph.error().what;
    else if (baseline.made == nullptr) vendor->why_not = "there is no baseline to time it beside";
    else request.vendor = std::move(graph).value();
  }

  auto measured = on.time(request);
  if (!measured) return not_done(measured.error().what);
  timing_report& report = measured.value();
  const std::string held_against = made.told.baseline;
  made.told = std::move(report.told);
  made.told.test_case = of.name;
  made.told.element_type = name(type);
  made.told.baseline = held_against;
  made.told.verified_rows = made.told.compared = 0;
  if (!request.vendor) made.told.vendor = vendor;
  else if (!made.told.vendor) vendor->why_not = "the device told nothing of it", made.told.vendor = vendor;
  made.told.not_compared = baseline.made == nullptr ? "there is no baseline" : "";
  const auto tell = [&](finding each) {
    each.test_case = of.name;
    each.element_type = name(type);
    made.findings.push_back(std::move(each));
  };
  for (finding& each : report.findings) tell(std::move(each));
  // What was not judged, because the candidate was not, has no time.
  const auto not_done_beside = [&](std::string why) {
    if (made.told.vendor && made.told.vendor->why_not.empty()) {
      made.told.vendor->samples.clear();
      made.told.vendor->why_not = "the candidate was not timed: " + why;
    }
    return not_done(std::move(why));
  };
  if (!made.findings.empty()) return not_done_beside("a timed call went wrong");

  if (const auto value = asked.operations.evaluate(known)) made.told.operations = static_cast<double>(value.value());
  const traffic moved = traffic_of(request.candidate.sets.front());
  made.told.bytes = moved.read + moved.written;
  made.told.peak_bytes = report.rates.bytes_per_second;
  made.told.peak_operations = report.rates.operations_per_second;
  made.told.floor = floor_of(moved.read, moved.written, made.told.operations, report.rates, how.cold);

  // Which rows are looked at is drawn now that the calls are over.
  const std::uint64_t drawn = mix(seed, "rows of timed calls");
  auto seen_right = judge_calls(asked, of, type, ours_seed, drawn, suspects, request.candidate.sets, report.outputs, request.afterwards, report.afterwards);
  if (!seen_right) return not_done_beside(seen_right.error().what);
  made.told.compared = seen_right.value().compared;
  made.told.verified_rows = seen_right.value().verified_rows;
  if (seen_right.value().wrong) {
    seen_right.value().wrong->what.insert(0, "in a timed call: ");
    tell(std::move(*seen_right.value().wrong));
    return not_done_beside("the output of a timed call is wrong");
  }
  if (report.not_kept > 0)
    return not_done_beside(std::to_string(report.not_kept) + " timed calls left other bits than those that were held to the reference");
  if (request.vendor && made.told.vendor) judge_vendor(*made.told.vendor, asked, of, type, ours_seed, drawn, suspects, request, report);

  const centre seen = candidate_time(made.told);
  if (!made.told.fake && seen.count > 0 && seen.median < made.told.floor) {
    finding impossible;
    impossible.kind = code::impossible_time;
    impossible.weight = severity::cheats;
    impossible.what = "A call takes " + check_words::number(seen.median / 1000) + " us; to read the inputs once, or to do the operations, takes at least " +
                      check_words::number(made.told.floor / 1000) + " us on this GPU.";
    tell(std::move(impossible));
  }
  return made;
}

// One of the family's shapes made for timing. Beyond the contract nothing is a
// finding: a kernel was not asked for that.
[[nodiscard]] inline timed time_shape(const built& ours, const built& baseline, const family& asked, const timing_shape& shape, element type, device& on, std::uint64_t seed, measuring how) {
  how.limits = {.fewest = 6, .most = 100, .noise = how.limits.noise, .seconds = 2};
  how.sustained_seconds = 0;
  how.metrics.clear();
  timed made = time_case(ours, baseline, asked, shape.of, type, on, seed, how);
  if (!shape.beyond || made.findings.empty()) return made;
  made.told.why_not = "beyond the contract, and so no fault of the kernel's: " + made.findings.front().what;
  made.findings.clear();
  return made;
}

// The public case to time: the one that is asked for, or the largest.
[[nodiscard]] inline const test_case* timed_case_of(const family& asked, const std::string& wanted) {
  const auto sorted = smallest_first(asked, asked.cases);
  if (!sorted || sorted.value().empty()) return nullptr;
  if (wanted.empty()) return sorted.value().back();
  for (const test_case* each : sorted.value())
    if (each->name == wanted) return each;
  return nullptr;
}

// "1.43 times the baseline in float, 1.40 in half", or why there is no speed.
[[nodiscard]] inline std::string speed_words(std::span<const timed_case> all) {
  std::string told, missing;
  bool fake = false;
  for (const timed_case& each : all) {
    fake |= each.fake;
    if (!each.why_not.empty()) {
      missing += (missing.empty() ? "" : "; ") + each.element_type + ": " + each.why_not;
      continue;
    }
    const centre ratio = speed_ratio(each);
    char text[64];
    if (ratio.count > 0)
      std::snprintf(text, sizeof text, "%.2f times the baseline", ratio.median);
    else
      std::snprintf(text, sizeof text, "%.1f us", candidate_time(each).median / 1000);
    told += (told.empty() ? "" : ", ") + std::string(text) + " in " + each.element_type;
  }
  if (told.empty()) return "not measured: " + (missing.empty() ? std::string("nothing was timed") : missing);
  if (fake) told = "not measured: the clock is a stand-in's (it says " + told + ")";
  return missing.empty() ? told : told + "; not measured: " + missing;
}

}  // namespace skillbench
