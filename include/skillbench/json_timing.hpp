#pragma once
// json_timing.hpp: timed calls to JSON, and back.
//
// Layer   3. json_text.hpp reads and writes the text.
// Units   nanoseconds; raw samples are kept in the order taken.
// Errors  as json_record.hpp.

#include <cstdint>
#include <optional>
#include <string>

#include <skillbench/json_text.hpp>
#include <skillbench/timing.hpp>

namespace skillbench::json_text {

inline json write(const centre& it) {
  return {{"median", it.median}, {"low", it.low}, {"high", it.high}, {"least", it.least}, {"most", it.most}, {"count", it.count}};
}

inline json write(const timed_sample& it) {
  json made = {{"of", it.of_baseline ? "baseline" : "candidate"}, {"round", it.round}, {"contents", it.contents}, {"nanoseconds", it.nanoseconds}};
  if (it.events) made["events"] = *it.events;
  if (it.records) made["records"] = *it.records;
  if (it.sm_mhz) made["sm_mhz"] = *it.sm_mhz;
  if (it.reasons) made["held_back"] = *it.reasons;
  return made;
}

inline json write(const vendor_timing& it) {
  json made = {{"name", it.name}};
  if (!it.why_not.empty()) made["not_measured"] = it.why_not;
  if (!it.timer.empty()) made["timer"] = it.timer;
  if (!it.stopped.empty()) made["stopped"] = it.stopped;
  made["verified_rows"] = it.verified_rows;
  if (it.compared > 0) made["compared"] = it.compared;
  if (it.disagreements > 0) made["timers_disagree"] = it.disagreements;
  if (it.samples.empty()) return made;
  made["time"] = write(vendor_time(it));
  if (const centre theirs = centre_of(times_of(it.samples, true)); theirs.count > 0) {
    made["baseline_time"] = write(theirs);
    made["ratio"] = write(vendor_ratio(it));
  }
  made["samples"] = json::array();
  for (timed_sample each : it.samples) {
    json one = write(each);
    if (!each.of_baseline) one["of"] = "vendor";
    made["samples"].push_back(std::move(one));
  }
  return made;
}

inline json write(const timed_case& it) {
  json made = {{"case", it.test_case}, {"element_type", it.element_type}, {"device", it.device}, {"words", words_of(it)}};
  if (!it.why_not.empty()) made["not_measured"] = it.why_not;
  if (it.fake) made["stand_in"] = true;
  if (!it.timer.empty()) made["timer"] = it.timer;
  if (it.calls != 1) made["calls"] = it.calls;
  if (!it.code.empty()) made["code"] = it.code;
  made["caches"] = it.cold ? "cold" : "hot";
  if (!it.baseline.empty()) made["baseline"] = it.baseline;
  if (!it.stopped.empty()) made["stopped"] = it.stopped;
  if (it.floor > 0) made["floor"] = it.floor;
  if (it.bytes > 0) made["bytes"] = it.bytes;
  if (it.operations > 0) made["operations"] = it.operations;
  if (it.peak_bytes > 0) made["peak_bytes"] = it.peak_bytes;
  if (it.peak_operations > 0) made["peak_operations"] = it.peak_operations;
  if (!it.resident.empty()) made["resident"] = it.resident;
  if (!it.metrics.empty()) {
    made["metrics"] = json::object();
    for (const metric& each : it.metrics) made["metrics"][each.name] = each.value;
  }
  if (!it.no_metrics.empty()) made["no_metrics"] = it.no_metrics;
  made["verified_rows"] = it.verified_rows;
  if (it.compared > 0) made["compared"] = it.compared;
  if (!it.not_compared.empty()) made["not_compared"] = it.not_compared;
  made["timers_disagree"] = it.disagreements;
  if (it.sustained) made["sustained"] = *it.sustained;
  if (it.sustained_mhz) made["sustained_mhz"] = *it.sustained_mhz;
  if (it.vendor) {
    made["vendor"] = write(*it.vendor);
    if (const auto times = against_vendor(it)) made["against_vendor"] = *times;
  }
  if (!it.samples.empty()) {
    const centre ours = candidate_time(it);
    made["candidate"] = write(ours);
    if (const roof seen = roof_of(it); seen.bound != roof::by::nothing) {
      made["roofline"] = {{"bound", seen.bound == roof::by::memory ? "memory" : "arithmetic"},
                          {"bytes_per_second", seen.bytes},
                          {"operations_per_second", seen.operations},
                          {"share", seen.share}};
    }
    if (const centre theirs = baseline_time(it); theirs.count > 0) {
      made["baseline_time"] = write(theirs);
      made["ratio"] = write(speed_ratio(it));
    }
    made["samples"] = json::array();
    for (const timed_sample& each : it.samples) made["samples"].push_back(write(each));
  }
  return made;
}

inline bool read_real(reader& in, const value& from, std::string_view key, double& into) {
  const value* const it = from.find(key);
  return is_absent(it) || read_number(in, *it, into);
}
inline bool read_real(reader& in, const value& from, std::string_view key, std::optional<double>& into) {
  const value* const it = from.find(key);
  return is_absent(it) || read_number(in, *it, into.emplace());
}
inline bool read_maybe(reader& in, const value& from, std::string_view key, std::optional<std::uint64_t>& into) {
  const value* const it = from.find(key);
  return is_absent(it) || read_count(in, from, key, into.emplace());
}
inline bool read_flag(const value& from, std::string_view key, bool& into) {
  const value* const it = from.find(key);
  into = !is_absent(it) && it->kind == type::boolean && it->flag;
  return true;
}

inline bool read(reader& in, const value& from, timed_sample& into) {
  std::string side;
  if (!in.object(from, "a sample of a timing") || !read_text(in, from, "of", side)) return false;
  into.of_baseline = side == "baseline";
  return read_count(in, from, "round", into.round) && read_count(in, from, "contents", into.contents) && read_real(in, from, "nanoseconds", into.nanoseconds) &&
         read_real(in, from, "events", into.events) && read_real(in, from, "records", into.records) && read_maybe(in, from, "sm_mhz", into.sm_mhz) &&
         read_maybe(in, from, "held_back", into.reasons);
}

inline bool read_samples(reader& in, const value& from, std::vector<timed_sample>& into) {
  const value* const samples = from.find("samples");
  if (is_absent(samples)) return true;
  if (!in.array(*samples, "an array", 0, any_length)) return false;
  for (const value& one : samples->items)
    if (!read(in, one, into.emplace_back())) return false;
  return true;
}

inline bool read(reader& in, const value& from, vendor_timing& into) {
  if (!in.object(from, "the timing of a library") || !read_text(in, from, "name", into.name, any_length) || !read_text(in, from, "not_measured", into.why_not, any_length) ||
      !read_text(in, from, "timer", into.timer, any_length) || !read_text(in, from, "stopped", into.stopped, any_length) ||
      !read_count(in, from, "verified_rows", into.verified_rows))
    return false;
  if (const value* const compared = from.find("compared"); !is_absent(compared) && !read_count(in, from, "compared", into.compared)) return false;
  if (const value* const differ = from.find("timers_disagree"); !is_absent(differ) && !read_count(in, from, "timers_disagree", into.disagreements)) return false;
  return read_samples(in, from, into.samples);
}

inline bool read(reader& in, const value& from, timed_case& into) {
  std::string caches;
  if (!in.object(from, "the timing of a case") || !read_text(in, from, "case", into.test_case) || !read_text(in, from, "element_type", into.element_type) ||
      !read_text(in, from, "device", into.device, any_length) || !read_text(in, from, "not_measured", into.why_not, any_length) || !read_flag(from, "stand_in", into.fake) ||
      !read_text(in, from, "timer", into.timer, any_length) || !read_text(in, from, "caches", caches) || !read_text(in, from, "baseline", into.baseline, any_length) ||
      !read_text(in, from, "stopped", into.stopped, any_length) || !read_real(in, from, "floor", into.floor) || !read_real(in, from, "bytes", into.bytes) ||
      !read_real(in, from, "operations", into.operations) || !read_count(in, from, "verified_rows", into.verified_rows) ||
      !read_count(in, from, "timers_disagree", into.disagreements) || !read_real(in, from, "sustained", into.sustained) ||
      !read_maybe(in, from, "sustained_mhz", into.sustained_mhz))
    return false;
  into.cold = caches != "hot";
  if (!read_real(in, from, "peak_bytes", into.peak_bytes) || !read_real(in, from, "peak_operations", into.peak_operations) ||
      !read_text(in, from, "resident", into.resident, any_length) || !read_text(in, from, "no_metrics", into.no_metrics, any_length))
    return false;
  if (!read_text(in, from, "code", into.code, any_length)) return false;
  if (const value* const calls = from.find("calls"); !is_absent(calls) && !read_count(in, from, "calls", into.calls)) return false;
  if (!read_text(in, from, "not_compared", into.not_compared, any_length)) return false;
  if (const value* const compared = from.find("compared"); !is_absent(compared) && !read_count(in, from, "compared", into.compared)) return false;
  if (const value* const metrics = from.find("metrics"); !is_absent(metrics)) {
    if (!in.object(*metrics, "metrics")) return false;
    for (const value& one : metrics->items) {
      into.metrics.push_back({one.key, 0});
      if (!read_number(in, one, into.metrics.back().value)) return false;
    }
  }
  if (const value* const vendor = from.find("vendor"); !is_absent(vendor) && !read(in, *vendor, into.vendor.emplace())) return false;
  return read_samples(in, from, into.samples);
}

}  // namespace skillbench::json_text
