#pragma once
// cli/run.hpp: `skillbench run`: many outputs to records and a table.
//
// Layer   7. samples.hpp gathers, campaign.hpp judges, store.hpp keeps.
// Streams Records and the table to standard output; progress and troubles to
//         standard error.

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/campaign.hpp>
#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/cache.hpp>
#include <skillbench/cli/devices.hpp>
#include <skillbench/cli/progress.hpp>
#include <skillbench/cli/summary.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/samples.hpp>
#include <skillbench/store.hpp>

namespace skillbench::cli {

inline void complain(stream& trouble, const std::string& what) {
  trouble.line("skillbench: " + printable(what));
}

[[nodiscard]] inline exit_code tell(const run_command& asked,
                                    const std::vector<family>& known,
                                    stream& out, stream& trouble) {
  const gathered given = gather(asked.paths, known);
  for (const fault& each : given.troubles) complain(trouble, each.what);
  exit_code code =
      given.troubles.empty() ? exit_code::fine : exit_code::misuse;
  if (given.samples.empty()) {
    if (given.troubles.empty())
      complain(trouble, "there is nothing to judge there");
    return exit_code::misuse;
  }

  auto opened = devices::open(asked.device, asked.cache);
  if (!opened) {
    complain(trouble, opened.error().what);
    return exit_code::broken;
  }
  devices& on = *opened.value();
  if (const std::string note = on.cache_note(); !note.empty())
    complain(trouble, note);

  // Opened before anything is judged: a folder that cannot be written must not
  // cost an hour first.
  std::optional<store> kept;
  if (!asked.json || !asked.out.empty()) {
    auto made = store::open(asked.out.empty() ? default_folder : asked.out);
    if (!made) {
      complain(trouble, made.error().what);
      return exit_code::broken;
    }
    kept.emplace(std::move(made).value());
  }

  std::vector<record> records;
  progress_line line(trouble);
  std::size_t faults = 0;

  campaign_plan how;
  how.each.seed = asked.seed;
  how.jobs = asked.jobs;
  how.make_device = [&] { return on.make(); };
  how.watch = [&](const progress& now) { line.show(now); };
  how.cancelled = [] { return stop_asked.load(); };
  how.stop = [&] { on.stop(); };
  how.take = [&](const sample& of,
                 const result<record>& one) -> result<done> {
    if (!one) {
      ++faults;
      line.clear();
      complain(trouble, (of.id.empty() ? of.path : of.id) +
                            " could not be tried: " + one.error().what);
      return done{};
    }
    const std::string text = write_record(one.value());
    if (kept)
      if (auto written = kept->append(text); !written) return written.error();
    if (asked.json) {
      out.line(text);
      if (!out.flush())
        return fault{reason::io, "standard output takes no more"};
    }
    records.push_back(one.value());
    return done{};
  };

  std::optional<fault> ended_by;
  reference_counts references;
  {
    const stop_signals signals;
    const auto judged = run_campaign(given.samples, known, how);
    if (!judged)
      ended_by = judged.error();
    else
      references = judged.value().references;
  }
  line.end();
  tell_caches(on.cache_words(), references, trouble);

  if (!asked.json) print_summary(records, out);
  if (kept && !asked.json)
    out.line((records.empty() ? "" : "\n") +
             plural(records.size(), "record") + " in " +
             printable(kept->path()));
  if (ended_by) {
    complain(trouble, ended_by->what);
    return ended_by->why == reason::cancelled ? exit_code::stopped
                                              : exit_code::broken;
  }
  if (faults > 0) {
    complain(trouble, plural(faults, "output") +
                          " could not be tried; that says nothing about the "
                          "model");
    code = exit_code::broken;
  }
  return code;
}

}  // namespace skillbench::cli
