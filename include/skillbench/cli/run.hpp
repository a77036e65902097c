#pragma once
// cli/run.hpp: `skillbench run`: many outputs to records and a table.
//
// Layer   7. samples.hpp gathers, campaign.hpp judges, store.hpp keeps.
// Streams Records and the table to standard output; progress and troubles to
//         standard error.
// Lasting A record is in the folder as soon as it is made. Whatever ends the
//         program, `--resume` goes on from there.

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/assert_output.hpp>
#include <skillbench/campaign.hpp>
#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/cache.hpp>
#include <skillbench/cli/devices.hpp>
#include <skillbench/cli/progress.hpp>
#include <skillbench/cli/slurm.hpp>
#include <skillbench/cli/summary.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/earlier.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/json_suite.hpp>
#include <skillbench/key.hpp>
#include <skillbench/records.hpp>
#include <skillbench/samples.hpp>
#include <skillbench/store.hpp>
#include <skillbench/tune_journal.hpp>
#include <skillbench/tune_output.hpp>

namespace skillbench::cli {

inline void complain(stream& trouble, const std::string& what) {
  trouble.line("skillbench: " + printable(what));
}

// The folder that a run keeps its records in, with what was there before.
struct run_folder {
  store kept;
  std::optional<earlier_records> earlier;  // only to resume

  // `shared`: others on other machines write there too, and locks may not tell.
  [[nodiscard]] static result<run_folder> open(const std::string& path,
                                               bool resume,
                                               bool shared = false) {
    // First what may be written: a repaired end is not read.
    auto kept = resume && !shared ? store::resume(path) : store::open(path);
    if (!kept) return kept.error();
    run_folder made{std::move(kept).value(), std::nullopt};
    if (!resume) return made;
    auto earlier = earlier_records::read(path);
    if (!earlier) return earlier.error();
    made.earlier = std::move(earlier).value();
    return made;
  }
};

// What to do about a folder that cannot be used.
[[nodiscard]] inline std::string advice_on(const fault& wrong) {
  return wrong.why == reason::no_permission
             ? "; --out names a folder that you may write to"
             : "; --out names another folder";
}

// A suite with the text that it was read from.
struct read_suite_file {
  std::string text;
  suite told;
};

[[nodiscard]] inline result<read_suite_file> suite_of(const std::string& path) {
  auto text = gathering::read_text(path);
  if (!text) return text.error();
  auto told = read_suite(text.value());
  if (!told)
    return fault{told.error().why, path + ": " + told.error().what};
  return read_suite_file{std::move(text).value(), std::move(told).value()};
}

// What the table and the reasons under it do not need.
inline void shorten(record& told) {
  told.source = {};
  told.ptx = {};
  told.findings = {};
  told.kernels = {};
  told.cases = {};
  told.counters = {};
}

// "18 records in F", "18 records in F, 12 of them from before; the new ones in
// F/records.jsonl"
[[nodiscard]] inline std::string where_records_are(std::size_t all,
                                                   std::size_t written,
                                                   const std::string& folder,
                                                   const std::string& file) {
  if (written == all) return plural(all, "record") + " in " + file;
  std::string text = plural(all, "record") + " in " + folder + ": " +
                     std::to_string(all - written) + " kept from before, ";
  if (written == 0) return text + "none new";
  return text + std::to_string(written) + " new in " + file;
}

// What decides the verdict on a sample, judged on this machine; "" for a task that
// nobody knows.
[[nodiscard]] inline std::string key_for(const sample& of, std::string machine,
                                         const run_command& asked,
                                         const std::vector<family>& known,
                                         const read_suite_file* by) {
  const family* const asked_for = find_family(known, of.task);
  if (asked_for == nullptr) return "";
  // A record without counters is not one with them, nor is one that was
  // judged by another suite.
  if (asked.counters) machine += ", counters";
  // Nor is one without times one with them, where there are any.
  if (!machine.starts_with("PTX machine")) {
    if (asked.no_time) machine += ", not timed";
    if (asked.hot) machine += ", hot";
    if (asked.sustained > 0)
      machine += ", sustained " + std::to_string(asked.sustained) + " s";
  }
  if (asked.tune)
    machine += ", tuned in " + std::to_string(asked.tune_trials) + " trials";
  if (by)
    machine += ", suite " +
               assertion_key(by->told, by->text, asked.allow_commands, of);
  return verdict_key(of, *asked_for, machine, asked.seed);
}

// Samples that the folder has a record of, as far as this machine can tell; a task
// looks again where it runs.
[[nodiscard]] inline std::set<std::size_t> already_kept(
    const std::string& folder, const std::vector<sample>& samples,
    const run_command& asked, const std::vector<family>& known,
    const read_suite_file* by) {
  std::set<std::size_t> found;
  const auto on = devices::open(asked.device, {"", true}, asked.isolation);
  const auto earlier = earlier_records::read(folder);
  if (!on || !earlier) return found;
  const std::string machine = on.value()->machine();
  for (std::size_t i = 0; i < samples.size(); ++i)
    if (const auto key = key_for(samples[i], machine, asked, known, by);
        !key.empty() && earlier.value().knows(key))
      if (const auto one = earlier.value().find(key, samples[i]);
          one && same_sample(one.value().of, samples[i]))
        found.insert(i);
  return found;
}

[[nodiscard]] inline exit_code tell(const run_command& asked,
                                    const std::vector<family>& known,
                                    stream& out, stream& trouble) {
  const stop_signals signals;
  const gathered given = gather(asked.paths, known);
  for (const fault& each : given.troubles) complain(trouble, each.what);
  exit_code code =
      given.troubles.empty() ? exit_code::fine : exit_code::misuse;
  if (given.samples.empty()) {
    if (given.troubles.empty())
      complain(trouble, "there is nothing to judge there");
    return exit_code::misuse;
  }

  std::optional<read_suite_file> by;
  if (!asked.suite.empty()) {
    auto read = suite_of(asked.suite);
    if (!read) {
      complain(trouble, read.error().what);
      return exit_code::misuse;
    }
    by = std::move(read).value();
    for (const suite_case& each : by->told.cases)
      if (std::none_of(given.samples.begin(), given.samples.end(),
                       [&](const sample& one) {
                         return one.task == (each.family.empty() ? each.id
                                                                 : each.family);
                       }))
        complain(trouble, asked.suite + ": case " + each.id +
                              " is of none of these outputs: its family, or its "
                              "id where it has none, is no task of theirs");
  }

  const read_suite_file* const suite = by ? &*by : nullptr;
  const std::string folder = asked.out.empty() ? default_folder : asked.out;
  if (asked.slurm) {
    const exit_code sent =
        submit(asked, folder, given.samples,
               already_kept(folder, given.samples, asked, known, suite), out,
               trouble);
    return sent == exit_code::fine ? code : sent;
  }

  auto opened = devices::open(asked.device, asked.cache, asked.isolation);
  if (!opened) {
    complain(trouble, opened.error().what);
    return exit_code::broken;
  }
  devices& on = *opened.value();
  if (const std::string note = on.cache_note(); !note.empty())
    complain(trouble, note);
  if (const std::string note = on.gpu_note(); !note.empty())
    complain(trouble, "not every GPU is used: " + note);

  // Opened before anything is judged: a folder that cannot be written must not
  // cost an hour first.
  std::optional<run_folder> in;
  if (!asked.json || asked.resume || !asked.out.empty()) {
    auto made = run_folder::open(folder, asked.resume, asked.slurm_task > 0);
    if (!made) {
      complain(trouble, made.error().what + advice_on(made.error()));
      return exit_code::broken;
    }
    in.emplace(std::move(made).value());
    if (!in->kept.notice().empty()) complain(trouble, in->kept.notice());
    if (in->earlier)
      for (const fault& each : in->earlier->troubles)
        complain(trouble, each.what);
  }
  const std::string notice = in ? in->kept.notice() : "";

  std::vector<record> records;
  progress_line line(trouble);
  std::size_t faults = 0, written = 0;
  std::vector<not_tried> lost;

  campaign_plan how;
  how.each.seed = asked.seed;
  how.each.count = {asked.counters, "", false};
  if (!on.no_gpu().empty()) how.each.no_gpu = on.no_gpu();
  how.each.measure.wanted = !asked.no_time;
  how.each.measure.cold = !asked.hot;
  how.each.measure.sustained_seconds = asked.sustained;
  how.jobs = asked.jobs;
  how.make_device = [&] { return on.make(); };
  how.cancelled = [] { return stop_asked.load(); };
  how.key = [&](const sample& of) {
    return key_for(of, on.machine(), asked, known, suite);
  };
  output_tuning search;
  std::unique_ptr<tune_journal> journal;
  if (asked.tune) {
    search.trials = asked.tune_trials;
    search.seed = asked.seed;
    search.cold = !asked.hot;
    search.machine = on.machine();
    search.make_device = how.make_device;
    search.cancelled = how.cancelled;
    if (in) {
      auto opened_journal = tune_journal::open(folder + "/tuning", asked.slurm_task > 0);
      if (!opened_journal) {
        complain(trouble, opened_journal.error().what);
        return exit_code::broken;
      }
      journal = std::move(opened_journal).value();
      search.journal = journal.get();
      for (const fault& each : journal->troubles) complain(trouble, each.what);
    }
  }
  how.each.keep_ptx = by.has_value();
  if (by || asked.tune)
    how.add = [&](const sample& of, record& told) -> result<done> {
      if (by) judge_assertions(told, of, by->told, asked.allow_commands);
      return asked.tune ? tune_output(told, of, known, search) : done{};
    };
  if (in && in->earlier) how.earlier = &*in->earlier;
  how.watch = [&](const progress& now) {
    if (now.all > 0) line.show(now);
  };
  how.stop = [&] { on.stop(); };
  how.keep = [&](record& told) -> result<done> {
    if (in) {
      if (!told.source.empty())
        if (auto kept = write_source(folder, told.source_hash, told.source);
            !kept)
          return kept;
      if (auto kept = in->kept.append(write_record(told)); !kept) return kept;
    }
    ++written;
    if (!asked.json) shorten(told);
    return done{};
  };
  how.take = [&](const sample& of,
                 const result<record>& one) -> result<done> {
    if (!one) {
      ++faults;
      lost.push_back({of.id.empty() ? of.path : of.id, one.error().why,
                      one.error().what});
      line.clear();
      complain(trouble, (of.id.empty() ? of.path : of.id) +
                            " could not be tried: " + one.error().what);
      return done{};
    }
    if (asked.json) {
      out.line(write_record(one.value()));
      if (!out.flush())
        return fault{reason::io, "standard output takes no more"};
    }
    records.push_back(one.value());
    shorten(records.back());
    return done{};
  };

  std::optional<fault> ended_by;
  reference_counts references;
  if (const auto judged = run_campaign(given.samples, known, how); !judged)
    ended_by = judged.error();
  else
    references = judged.value().references;
  if (journal)
    if (const auto safe = journal->sync(); !safe && !ended_by)
      ended_by = safe.error();
  if (in)
    if (const auto safe = in->kept.sync(); !safe && !ended_by)
      ended_by = safe.error();
  if (in)
    if (const auto told = write_not_tried(
            asked.slurm_task > 0
                ? "not_tried-" + std::to_string(asked.slurm_task) + ".jsonl"
                : not_tried_file(folder),
            lost);
        !told && !ended_by)
      ended_by = told.error();
  line.end();
  tell_caches(on.cache_words(), references, trouble);
  if (const std::string note = on.isolation_note();
      !note.empty() && asked.isolation != "basic")
    complain(trouble, "workers were shut in less than they could be, " + note);

  if (!asked.json) {
    print_summary(records, out);
    print_assertions(records, out);
    print_tuning(records, out);
    if (!on.no_gpu().empty() && !records.empty())
      for (const std::string& row : wrapped(
               printable("Judged on the PTX machine, speed not measured: " +
                         on.no_gpu()),
               std::max<std::size_t>(out.width(), 42)))
        out.line(row);
  }
  if (in && !asked.json && !records.empty())
    out.line("\n" + printable(where_records_are(records.size(), written, folder,
                                                in->kept.path())));
  if (in && in->kept.notice() != notice) complain(trouble, in->kept.notice());
  if (ended_by) {
    const bool stopped = ended_by->why == reason::cancelled;
    complain(trouble, ended_by->what);
    if (in && !records.empty())
      complain(trouble, plural(records.size(), "record") + " " +
                            (records.size() == 1 ? "is" : "are") + " kept in " +
                            folder + (stopped ? "" : "; once that is mended") +
                            ": the same command with --resume goes on from "
                            "there");
    return stopped ? exit_code::stopped : exit_code::broken;
  }
  if (faults > 0) {
    complain(trouble,
             plural(faults, "output") +
                 " could not be tried; that says nothing about the model" +
                 (in ? ", and --resume tries again" : ""));
    code = exit_code::broken;
  }
  return code;
}

}  // namespace skillbench::cli
