#pragma once
// device/remote.hpp: a device in a process of its own.
//
// Layer   4. child.hpp starts the process, wire.hpp carries requests and
//         answers, worker.hpp is the other end.
// Units   seconds of wall time and of CPU time, per request.
// Errors  What the device answers, and: child_died, child_timed_out and
//         child_protocol, with the request at which it happened, how the
//         process ended and the last that it said. After one of these the
//         process is gone and every further call gets the same fault: start
//         another one. Death or time-out at `compile` is the source's doing
//         (a template bomb, say); the caller knows which call it made.
//         cancelled when SIGTERM, SIGINT or SIGHUP ended the process.
// Trust   The process runs hostile text, so an answer is held against what was
//         asked: sizes and indices of outputs, number of kernels.
// Threads One at a time.

#include <sys/types.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/child.hpp>
#include <skillbench/device.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/version.hpp>
#include <skillbench/wire.hpp>

namespace skillbench {

// For one request; CPU time of all threads of the process together. 0 CPU
// seconds means no limit.
struct request_limits {
  double wall_seconds = 60;
  std::uint64_t cpu_seconds = 0;
};

struct remote_limits {
  child_limits process{.fixed_addresses = true};
  request_limits start{20, 20};
  // Wall time is the last resort: on a busy machine it is no measure of a source.
  request_limits compile{300, 30};
  request_limits load{300, 60};
  request_limits run{600, 0};
  request_limits time{300, 0};
};

class remote final : public device {
 public:
  // Starts `worker`, a program that calls serve() on descriptors 3 and 4, and
  // waits until it has said which device it is.
  [[nodiscard]] static result<std::unique_ptr<remote>> start(
      const child_command& worker, const remote_limits& limits = {}) {
    auto started = child::start(worker, limits.process);
    if (!started) return started.error();
    std::unique_ptr<remote> made(
        new remote(std::move(started).value(), limits, worker.program));
    auto said = made->ask<wire::greeting_text>(
        wire::message::greeting, "start", {}, limits.start, most_text);
    if (!said) return said.error();
    if (said.value().build != version)
      return made->ended(reason::child_protocol, "start",
                         "it is of another version (" +
                             said.value().build.substr(0, 40) +
                             ", this is " + version + ")");
    made->greeting_ = std::move(said).value();
    return made;
  }

  // The worker ends by itself, or is killed a moment later.
  ~remote() override {
    if (ended_) return;
    const deadline soon = deadline::in(0.5);
    const auto sent = wire::send_frame(
        wire::message::quit, {},
        [&](std::string_view bytes) { return process_.send(bytes, soon); });
    if (sent) (void)process_.wait(soon);
  }

  remote(const remote&) = delete;
  remote& operator=(const remote&) = delete;

  [[nodiscard]] std::string name() const override { return greeting_.device; }
  [[nodiscard]] std::string target() const override {
    return greeting_.target;
  }
  [[nodiscard]] std::string isolation() const override {
    return greeting_.isolation;
  }

  [[nodiscard]] result<image> compile(const compile_request& asked) override {
    auto made = ask<image>(wire::message::compile, "compile",
                           wire::encode(asked), limits_.compile, most_image);
    if (!made) return made;
    if (made.value().ok &&
        made.value().kernels.size() != asked.entries.size())
      return ended(reason::child_protocol, "compile",
                   "its answer has another number of kernels than was asked");
    return made;
  }

  [[nodiscard]] result<done> load(const std::string& ptx) override {
    return ask<done>(wire::message::load, "load",
                     wire::encode(wire::text{ptx}), limits_.load, most_text);
  }

  [[nodiscard]] result<done> load_image(const image& made) override {
    loaded_.clear();
    auto told = ask<wire::text>(wire::message::load_image, "load",
                                wire::encode(wire::code{made.ptx, made.cubin}),
                                limits_.load, most_text);
    if (!told) return told.error();
    loaded_ = std::move(told).value().held;
    return done{};
  }
  [[nodiscard]] std::string loaded() const override { return loaded_; }

  [[nodiscard]] result<run_report> run(const job& asked) override {
    auto told = ask<run_report>(wire::message::run, "run",
                                wire::encode(asked), limits_.run,
                                most_of(asked));
    if (!told) return told;
    if (const auto wrong = misfit(asked, told.value()))
      return ended(reason::child_protocol, "run", *wrong);
    return told;
  }

  [[nodiscard]] std::vector<result<run_report>> run_some(
      std::span<const job> jobs) override {
    std::vector<result<run_report>> all;
    if (jobs.size() < 2) {
      if (!jobs.empty()) all.push_back(run(jobs.front()));
      return all;
    }
    if (const auto sent = send(
            wire::message::run_some, "run",
            wire::encode(wire::job_list{{jobs.begin(), jobs.end()}}),
            limits_.run, deadline::in(limits_.run.wall_seconds));
        !sent) {
      all.push_back(sent.error());
      return all;
    }
    // Each is told of as soon as it has run, so who ends the worker is the one
    // after those, and each has the limits that it would have alone.
    for (bool more = true; more;) {
      process_.allow_cpu(limits_.run.cpu_seconds);
      auto told = next_of(jobs, all.size(), more);
      if (told) all.push_back(std::move(*told));
    }
    return all;
  }

  [[nodiscard]] result<timing_report> time(
      const timing_request& asked) override {
    std::uint64_t most = most_text;
    for (const job& set : asked.candidate.sets)
      for (const buffer& each : set.buffers)
        if (comes_back(each.use) && each.bytes() > 0)
          most += 4 * static_cast<std::uint64_t>(each.bytes());
    for (const job& each : asked.afterwards)
      most += most_of(each) * (asked.vendor ? 4 : 1);
    auto told = ask<timing_report>(wire::message::time, "time",
                                   wire::encode(asked), limits_.time,
                                   std::min(most, wire::most_frame_bytes));
    if (!told) return told;
    if (!are_of(told.value().outputs, asked.candidate.sets) ||
        !are_of(told.value().afterwards, asked.afterwards) ||
        !are_of(told.value().vendor, asked.afterwards))
      return ended(reason::child_protocol, "time",
                   "its answer holds an output that was not asked for");
    return told;
  }

  // Asks for no more than an answer. False: the process is gone.
  [[nodiscard]] bool answers() {
    return static_cast<bool>(ask<wire::greeting_text>(
        wire::message::greeting, "greeting", {}, limits_.start, most_text));
  }

  // CPU time that the process has used since it was started.
  [[nodiscard]] double cpu_seconds() const {
    return ended_ ? cpu_at_end_ : process_.cpu_seconds();
  }
  [[nodiscard]] double cpu_used() const override { return cpu_seconds(); }
  [[nodiscard]] bool killed() const override { return killed_; }
  [[nodiscard]] pid_t process_id() const noexcept { return process_.id(); }

 private:
  // Findings, logs and PTX beside the outputs.
  static constexpr std::uint64_t most_text = std::uint64_t{64} << 20;
  static constexpr std::uint64_t most_image = std::uint64_t{512} << 20;

  // Bytes that the report of a job may have.
  [[nodiscard]] static std::uint64_t most_of(const job& asked) {
    std::uint64_t most = most_text;
    for (const buffer& each : asked.buffers) {
      if (!comes_back(each.use)) continue;
      const std::int64_t bytes =
          asked.ctas.empty() ? each.bytes()
                             : std::min(each.bytes(), std::int64_t{1} << 30);
      if (bytes > 0) most += static_cast<std::uint64_t>(bytes) + 64;
      most = std::min(most, wire::most_frame_bytes);
    }
    if (asked.counters)
      most = std::min(most + asked.launches.size() * most_counted_lines *
                                 sizeof(line_counts),
                      wire::most_frame_bytes);
    return most;
  }

  // Whether each is a whole output of one of `sets`.
  [[nodiscard]] static bool are_of(const std::vector<timed_output>& outputs,
                                   const std::vector<job>& sets) {
    for (const timed_output& of : outputs) {
      if (of.set >= sets.size()) return false;
      const std::vector<buffer>& buffers = sets[of.set].buffers;
      for (const output_bytes& each : of.outputs) {
        const auto at = static_cast<std::size_t>(each.buffer);
        if (each.buffer < 0 || each.first != 0 || at >= buffers.size() ||
            !comes_back(buffers[at].use) ||
            static_cast<std::int64_t>(each.bytes.size()) != buffers[at].bytes())
          return false;
      }
    }
    return true;
  }

  // What a report holds that its job did not ask for.
  [[nodiscard]] static std::optional<std::string> misfit(
      const job& asked, const run_report& told) {
    if (told.launches.size() > (asked.counters ? asked.launches.size() : 0))
      return "its answer holds counters that were not asked for";
    for (const output_bytes& each : told.outputs) {
      const auto count = static_cast<std::int64_t>(asked.buffers.size());
      const bool named = each.buffer >= 0 && each.buffer < count &&
                         comes_back(asked.buffers[static_cast<std::size_t>(
                                                      each.buffer)]
                                        .use);
      const std::int64_t whole =
          named ? asked.buffers[static_cast<std::size_t>(each.buffer)].bytes()
                : 0;
      const auto size = static_cast<std::int64_t>(each.bytes.size());
      const bool fits = named && each.first >= 0 && size <= whole &&
                        each.first <= whole - size &&
                        (!asked.ctas.empty() || size == whole);
      if (!fits) return "its answer holds an output that was not asked for";
    }
    return std::nullopt;
  }

  remote(child process, const remote_limits& limits, std::string program)
      : process_(std::move(process)),
        limits_(limits),
        program_(std::move(program)) {}

  [[nodiscard]] result<done> send(wire::message kind, const char* stage,
                                  const std::string& payload,
                                  const request_limits& limit,
                                  const deadline& until) {
    if (ended_) return *ended_;
    if (payload.size() > wire::most_frame_bytes)
      return fault{reason::too_large, std::string("the request to ") + stage +
                                          " is longer than a message may be"};
    process_.allow_cpu(limit.cpu_seconds);
    const auto sent = wire::send_frame(
        kind, payload, [&](std::string_view bytes) {
          return process_.send(bytes, until);
        });
    if (!sent) return ended(sent.error().why, stage, sent.error().what, limit);
    return sent;
  }

  [[nodiscard]] result<wire::frame> receive(const char* stage,
                                            const request_limits& limit,
                                            const deadline& until,
                                            std::uint64_t most) {
    auto got = wire::receive_frame(
        [&](char* into, std::size_t size) {
          return process_.receive(into, size, until);
        },
        most);
    if (!got) return ended(got.error().why, stage, got.error().what, limit);
    return got;
  }

  // The answer to `kind`, or the fault that came instead.
  template <typename T>
  [[nodiscard]] result<T> answer_in(const wire::frame& got, wire::message kind,
                                    const char* stage,
                                    const request_limits& limit) {
    if (got.kind == wire::message::trouble) {
      auto told = wire::decode<wire::refusal>(got.payload());
      if (!told)
        return ended(told.error().why, stage, told.error().what, limit);
      return std::move(told).value().held;
    }
    if (got.kind != kind)
      return ended(reason::child_protocol, stage,
                   "its answer is of another kind than the request", limit);
    auto made = wire::decode<T>(got.payload());
    if (!made)
      return ended(made.error().why, stage, made.error().what, limit);
    return made;
  }

  template <typename T>
  [[nodiscard]] result<T> ask(wire::message kind, const char* stage,
                              const std::string& payload,
                              const request_limits& limit,
                              std::uint64_t most) {
    const deadline until = deadline::in(limit.wall_seconds);
    const auto sent = send(kind, stage, payload, limit, until);
    if (!sent) return sent.error();
    const auto got = receive(stage, limit, until, most);
    if (!got) return got.error();
    return answer_in<T>(got.value(), kind, stage, limit);
  }

  // What is told of jobs[at], or nothing after the last one; `more`: whether the
  // worker goes on after it.
  [[nodiscard]] std::optional<result<run_report>> next_of(
      std::span<const job> jobs, std::size_t at, bool& more) {
    const request_limits& limit = limits_.run;
    more = false;
    const auto got = receive("run", limit, deadline::in(limit.wall_seconds),
                             at < jobs.size() ? most_of(jobs[at]) : most_text);
    if (!got) return got.error();
    const wire::frame& frame = got.value();
    if (frame.kind == wire::message::run_some) {
      auto end = answer_in<wire::run_end>(frame, frame.kind, "run", limit);
      if (!end) return end.error();
      if (at == 0 && !end.value().last)
        return ended(reason::child_protocol, "run",
                     "its answer tells of no run", limit);
      if (end.value().last) return *end.value().last;
      return std::nullopt;
    }
    if (at == jobs.size())
      return ended(reason::child_protocol, "run",
                   "it tells of more runs than were asked for", limit);
    auto told = answer_in<run_report>(frame, wire::message::run, "run", limit);
    if (!told) return told;
    if (const auto wrong = misfit(jobs[at], told.value()))
      return ended(reason::child_protocol, "run", *wrong, limit);
    more = true;
    return told;
  }

  // Ends the process, if it has not ended, and says why no more can be asked.
  [[nodiscard]] fault ended(reason why, const char* stage,
                            const std::string& happened,
                            const request_limits& limit = {}) {
    // A dying process closes its channel a little before it can be reaped.
    if (why == reason::child_died)
      (void)process_.wait(deadline::in(2));
    cpu_at_end_ = process_.cpu_seconds();  // nobody knows once it is reaped
    const child_end how = process_.stop();
    // Nothing that it does itself ends so: its limits of time and memory say
    // SIGXCPU and SIGABRT.
    killed_ = why == reason::child_died && !how.stopped_by_us &&
              how.signal == SIGKILL;

    std::string what = "the worker " + program_ + ", at " + stage + ": ";
    if (why == reason::child_timed_out)
      what += "was stopped at its limit of " + seconds(limit.wall_seconds) +
              " s of wall time (" + happened + ")";
    else if (why == reason::child_died)
      what += words(how) + (how.stopped_by_us || how.exit_code == 0
                                ? " (" + happened + ")"
                                : "") +
              "; its limits: " + limits_words(limit);
    else
      what += happened;
    if (const std::string last = tail(process_.said()); !last.empty())
      what += "; the last it said: " + last;
    // Whoever asked it to end, as a system that shuts down does, asked us too,
    // or will: that says nothing of what it was working on.
    if (why == reason::child_died &&
        (how.signal == SIGTERM || how.signal == SIGINT ||
         how.signal == SIGHUP))
      why = reason::cancelled;
    ended_ = fault{why, what};
    return *ended_;
  }

  [[nodiscard]] static std::string seconds(double time) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", time);
    return text;
  }

  [[nodiscard]] std::string limits_words(const request_limits& limit) const {
    std::string text = seconds(limit.wall_seconds) + " s of wall time";
    if (limit.cpu_seconds > 0)
      text += ", " + std::to_string(limit.cpu_seconds) + " s of CPU time";
    if (const std::uint64_t bytes = limits_.process.address_space; bytes > 0)
      text += child_process::limits_address_space
                  ? ", " + std::to_string(bytes >> 20) + " MiB of address space"
                  : ", no limit of address space (a sanitizer)";
    return text;
  }

  // The last words on one line, in plain characters: they come from a process
  // that ran hostile text, and go to a terminal and into records.
  [[nodiscard]] static std::string tail(std::string_view said) {
    constexpr std::size_t most = 400;
    while (!said.empty() && (said.back() == '\n' || said.back() == ' '))
      said.remove_suffix(1);
    if (said.size() > most) said.remove_prefix(said.size() - most);
    std::string plain;
    for (const char c : said)
      plain += c == '\n' ? '|' : c >= 32 && c < 127 ? c : '?';
    return plain;
  }

  child process_;
  remote_limits limits_;
  std::string program_;
  wire::greeting_text greeting_;
  std::string loaded_;
  std::optional<fault> ended_;
  double cpu_at_end_ = 0.0;
  bool killed_ = false;
};

}  // namespace skillbench
