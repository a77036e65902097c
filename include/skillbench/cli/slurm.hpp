#pragma once
// cli/slurm.hpp: `skillbench run --slurm`: a campaign as a job array of Slurm.
//
// Layer   7. Writes a folder for the job and hands its script to sbatch; what a
//         task judges, it keeps as any other run does (cli/run.hpp).
// Files   OUT/slurm/1, 2 and so on, one for each job:
//           outputs-K.jsonl  what task K judges, the texts in it
//           raw-K/N.md       an output that no JSON text can hold
//           job.sh           the script, to be read or submitted by hand
//           id               Slurm's number of the job, once it has one
//           task-K.log       what task K said, however often it began
//           not_tried-K.jsonl  what it could not try
//         No path in them is absolute but the program's and what the user named,
//         so the folder may have another name on the nodes.
// Once    Equal outputs are in one task if they fit. A task that is requeued
//         takes what the folder holds by then and judges the rest, into a
//         segment of its own. If the first one lives on after all, an output may
//         be judged twice; records.hpp counts it once.
// Trust   Texts of models go into data files only, never into the script.

#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include <skillbench/assert_output.hpp>
#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/devices.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/json_sample.hpp>
#include <skillbench/records.hpp>
#include <skillbench/sample.hpp>
#include <skillbench/samples.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/store.hpp>
#include <skillbench/whole_file.hpp>

extern "C" char** environ;

namespace skillbench::cli {

namespace slurm {

namespace fs = std::filesystem;

// What a program said on standard output, and how it ended: its exit code, 127
// where there is no such program, -1 by a signal.
struct answer {
  int code = -1;
  std::string said;
};

// `words` as they are, through no shell; standard error is the caller's own, or
// nothing.
[[nodiscard]] inline answer ask(std::vector<std::string> words,
                                bool quiet = false) {
  answer told;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return told;
  posix_spawn_file_actions_t doing;
  ::posix_spawn_file_actions_init(&doing);
  ::posix_spawn_file_actions_adddup2(&doing, ends[1], 1);
  ::posix_spawn_file_actions_addopen(&doing, 0, "/dev/null", O_RDONLY, 0);
  if (quiet)
    ::posix_spawn_file_actions_addopen(&doing, 2, "/dev/null", O_WRONLY, 0);
  std::vector<char*> raw;
  for (std::string& each : words) raw.push_back(each.data());
  raw.push_back(nullptr);
  pid_t process = -1;
  const int wrong = ::posix_spawnp(&process, raw.front(), &doing, nullptr,
                                   raw.data(), environ);
  ::posix_spawn_file_actions_destroy(&doing);
  ::close(ends[1]);
  if (wrong == 0) {
    char block[4096];
    for (;;) {
      const ssize_t got = ::read(ends[0], block, sizeof block);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      if (told.said.size() < (std::size_t{1} << 24))
        told.said.append(block, static_cast<std::size_t>(got));
    }
    int status = 0;
    while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status)) told.code = WEXITSTATUS(status);
  } else {
    told.code = 127;
  }
  ::close(ends[0]);
  return told;
}

// One word of a shell.
[[nodiscard]] inline std::string quoted(const std::string& word) {
  std::string made = "'";
  for (const char c : word) made += c == '\'' ? "'\\''" : std::string(1, c);
  return made + "'";
}

[[nodiscard]] inline std::string jobs_folder(const std::string& folder) {
  return folder + "/slurm";
}

// Samples in the order in which tasks take them, at most `most` a task; equal
// outputs stand side by side.
[[nodiscard]] inline std::vector<std::vector<const sample*>> chunks_of(
    std::span<const sample> samples, const std::set<std::size_t>& left_out,
    std::size_t most) {
  std::map<std::pair<std::string_view, std::string_view>, std::size_t> first;
  std::vector<std::vector<const sample*>> alike;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (left_out.contains(i)) continue;
    const auto [at, fresh] = first.try_emplace(
        {samples[i].task, samples[i].output}, alike.size());
    if (fresh) alike.emplace_back();
    alike[at->second].push_back(&samples[i]);
  }
  std::vector<std::vector<const sample*>> made;
  for (const auto& group : alike) {
    const bool fits = !made.empty() && made.back().size() < most &&
                      (made.back().size() + group.size() <= most ||
                       group.size() > most);
    if (!fits) made.emplace_back();
    for (const sample* each : group) {
      if (made.back().size() == most) made.emplace_back();
      made.back().push_back(each);
    }
  }
  return made;
}

// The words of task K after the program's name, the list and the folder aside.
[[nodiscard]] inline std::vector<std::string> task_words(
    const run_command& asked) {
  std::vector<std::string> words{"--resume",    "--seed",
                                 std::to_string(asked.seed),
                                 "--device",    asked.device,
                                 "--isolation", asked.isolation};
  std::error_code ignored;
  const auto path = [&](const std::string& of) {
    return fs::absolute(of, ignored).lexically_normal().string();
  };
  if (asked.counters) words.emplace_back("--counters");
  if (asked.tune) {
    words.emplace_back("--tune");
    words.emplace_back("--tune-trials");
    words.push_back(std::to_string(asked.tune_trials));
  }
  if (asked.hot) words.emplace_back("--hot");
  if (asked.no_time) words.emplace_back("--no-time");
  if (asked.sustained > 0) {
    words.emplace_back("--sustained");
    words.push_back(fmt::format("{}", asked.sustained));
  }
  if (!asked.suite.empty()) {
    words.emplace_back("--suite");
    words.push_back(path(asked.suite));
  }
  if (asked.allow_commands) words.emplace_back("--allow-commands");
  if (asked.cache.off) words.emplace_back("--no-cache");
  if (!asked.cache.folder.empty()) {
    words.emplace_back("--cache");
    words.push_back(path(asked.cache.folder));
  }
  return words;
}

// The script of the job. Where it runs, its folder is the working directory.
[[nodiscard]] inline std::string script_of(const run_command& asked,
                                           const std::string& program,
                                           std::size_t tasks) {
  const int gpus = asked.gpus >= 0 ? asked.gpus : asked.device == "cuda" ? 1 : 0;
  std::string text = "#!/bin/sh\n#SBATCH --job-name=skillbench\n";
  text += "#SBATCH --array=1-" + std::to_string(tasks) + "\n";
  text += "#SBATCH --ntasks=1\n#SBATCH --cpus-per-task=" +
          std::to_string(asked.jobs_given ? asked.jobs : 1) + "\n";
  if (gpus > 0) text += "#SBATCH --gres=gpu:" + std::to_string(gpus) + "\n";
  text += "#SBATCH --requeue\n#SBATCH --open-mode=append\n"
          "#SBATCH --output=task-%a.log\n"
          "# Submit it in its own folder: sbatch --chdir . job.sh\n"
          "exec " +
          quoted(program) +
          " run outputs-\"$SLURM_ARRAY_TASK_ID\".jsonl --out ../.. --jobs "
          "\"${SLURM_CPUS_PER_TASK:-1}\" --slurm-task \"$SLURM_ARRAY_TASK_ID\"";
  for (const std::string& each : task_words(asked)) text += " " + quoted(each);
  return text + "\n";
}

// Makes the next folder for a job.
[[nodiscard]] inline result<std::string> new_folder(const std::string& folder) {
  if (auto made = store_file::make_folder(jobs_folder(folder)); !made)
    return made.error();
  for (int number = 1; number <= store_file::most_segments; ++number) {
    const std::string path = jobs_folder(folder) + "/" + std::to_string(number);
    if (::mkdir(path.c_str(), 0777) == 0) return path;
    if (errno != EEXIST)
      return store_file::failed("cannot make the folder", path, errno);
  }
  return fault{reason::io, jobs_folder(folder) + " holds too many jobs"};
}

// Copies the files of an output that is a folder, for a suite that looks at them;
// false where they would not be read as the same text again.
[[nodiscard]] inline result<bool> copy_files(const sample& of,
                                             const std::string& to) {
  const auto files = files_of(of);
  if (!files) return false;
  for (const auto& [name, text] : *files) {
    if (!assertions::stays_inside(name)) return false;
    const std::filesystem::path path = std::filesystem::path(to) / name;
    std::error_code wrong;
    std::filesystem::create_directories(path.parent_path(), wrong);
    if (auto kept = write_whole(path.string(), text, whole_file::own); !kept)
      return kept.error();
  }
  const auto again = gathering::files_below(to);
  const auto text = gathering::read_output(again.files);
  return again.troubles.empty() && text && text.value() == of.output;
}

// `files`: outputs that are folders go along as such.
[[nodiscard]] inline result<done> write_chunk(
    const std::string& folder, std::size_t task,
    const std::vector<const sample*>& all, bool files) {
  std::string text;
  const std::string raw = "raw-" + std::to_string(task);
  std::size_t number = 0;
  for (const sample* each : all) {
    ++number;
    std::string line = write_sample(*each);
    if (files) {
      sample by_path = *each;
      by_path.output.clear();
      by_path.path = raw + "/" + std::to_string(number);
      const auto copied = copy_files(*each, folder + "/" + by_path.path);
      if (!copied) return copied.error();
      if (copied.value()) {
        text += write_sample(by_path, true) + "\n";
        continue;
      }
    }
    if (const auto back = read_sample(line);
        !back || back.value().output != each->output) {
      sample by_path = *each;
      by_path.output.clear();
      by_path.path = raw + "/" + std::to_string(number) + ".md";
      if (auto made = store_file::make_folder(folder + "/" + raw); !made)
        return made;
      if (auto kept = write_whole(folder + "/" + by_path.path, each->output,
                                  whole_file::own);
          !kept)
        return kept;
      line = write_sample(by_path, true);
    }
    text += line + "\n";
  }
  return write_whole(folder + "/outputs-" + std::to_string(task) + ".jsonl",
                     text, whole_file::own);
}

// Slurm's number of a job, "" before it has one.
[[nodiscard]] inline std::string id_of(const std::string& folder) {
  std::ifstream in(folder + "/id");
  std::string id;
  in >> id;
  const bool plain =
      !id.empty() && id.size() < 20 &&
      id.find_first_not_of("0123456789") == std::string::npos;
  return plain ? id : "";
}

}  // namespace slurm

// Writes and submits the job for all samples but those left out.
[[nodiscard]] inline exit_code submit(const run_command& asked,
                                      const std::string& folder,
                                      std::span<const sample> samples,
                                      const std::set<std::size_t>& left_out,
                                      stream& out, stream& trouble) {
  const auto broken = [&](const std::string& what) {
    trouble.line("skillbench: " + printable(what));
    return exit_code::broken;
  };
  const auto chunks = slurm::chunks_of(samples, left_out,
                                       static_cast<std::size_t>(asked.chunk));
  if (!left_out.empty())
    out.line(plural(left_out.size(), "output") + " of " +
             std::to_string(samples.size()) + " kept from before");
  if (chunks.empty()) {
    out.line("nothing is left to submit");
    return exit_code::fine;
  }
  const auto program = own_path();
  if (!program) return broken(program.error().what);
  const auto made = slurm::new_folder(folder);
  if (!made) return broken(made.error().what);
  const std::string& job = made.value();
  for (std::size_t k = 0; k < chunks.size(); ++k)
    if (const auto kept = slurm::write_chunk(job, k + 1, chunks[k],
                                             !asked.suite.empty());
        !kept)
      return broken(kept.error().what);
  if (const auto kept = write_whole(
          job + "/job.sh",
          slurm::script_of(asked, program.value(), chunks.size()),
          whole_file::own);
      !kept)
    return broken(kept.error().what);

  std::error_code ignored;
  const std::string place = std::filesystem::absolute(job, ignored).string();
  std::vector<std::string> words{"sbatch", "--parsable", "--chdir", place};
  words.insert(words.end(), asked.sbatch.begin(), asked.sbatch.end());
  words.push_back(place + "/job.sh");
  const slurm::answer told = slurm::ask(words);
  const std::string by_hand =
      "; " + job + "/job.sh can be submitted by hand, in its own folder: sbatch "
                   "--chdir . job.sh";
  if (told.code == 127)
    return broken("there is no sbatch on this machine, so nothing was "
                  "submitted: --slurm needs Slurm's commands in PATH" + by_hand);
  if (told.code != 0)
    return broken("sbatch refused the job (exit code " +
                  std::to_string(told.code) + ", what it said stands above)" +
                  by_hand);
  // "4711" or "4711;cluster"
  const std::string id =
      told.said.substr(0, told.said.find_first_not_of("0123456789"));
  if (id.empty())
    return broken("sbatch took the job and told no number of it" + by_hand);
  if (const auto kept = write_whole(job + "/id", id + "\n", whole_file::own);
      !kept)
    return broken("Slurm has the job as " + id + ", but " + kept.error().what);
  out.line("job " + id + ": " + plural(chunks.size(), "task") + ", " +
           plural(samples.size() - left_out.size(), "output") + ", in " +
           printable(job));
  out.line("`skillbench status " + printable(folder) +
           "` says how far it is; the same command submits what is missing");
  return exit_code::fine;
}

// ---- status --------------------------------------------------------------------

namespace slurm {

using identity = std::tuple<std::string, std::string, std::string, std::string,
                            std::string>;
[[nodiscard]] inline identity identity_of(const sample& of) {
  return {of.model, of.arm, of.skill, of.task, of.id};
}

struct job_state {
  std::string folder, id;
  std::size_t tasks = 0, outputs = 0, missing = 0, not_tried = 0;
  std::map<std::string, std::size_t> states;  // of Slurm's, of tasks it knows
  bool asked = false;                         // Slurm answered
};

struct folder_state {
  std::size_t records = 0, doubled = 0, expected = 0, missing = 0,
              not_tried = 0, writers = 0, segments = 0;
  std::map<outcome, std::size_t> reached;
  std::vector<job_state> jobs;
  std::vector<fault> troubles;
};

// Slurm's words for the tasks of a job that have not ended, with their number.
inline void ask_slurm(job_state& of) {
  if (of.id.empty()) return;
  const answer told =
      ask({"squeue", "--noheader", "--array", "--format=%T", "--job", of.id},
          true);
  // squeue refuses a job that is long over; then nothing of it is at work.
  of.asked = told.code != 127 && told.code != -1;
  if (told.code != 0) return;
  for (std::size_t at = 0, end; (end = told.said.find('\n', at)) != std::string::npos;
       at = end + 1) {
    std::string word;
    for (const char c : std::string_view(told.said).substr(at, end - at))
      if ((c >= 'A' && c <= 'Z') || c == '_')
        word += c == '_' ? ' ' : static_cast<char>(c - 'A' + 'a');
    if (!word.empty()) ++of.states[word];
  }
}

// A segment that a writer holds now; the lock is one of this machine, or of all
// where the file system says so.
[[nodiscard]] inline bool is_held(const std::string& path) {
  const auto file = store_file::open_segment(path, O_RDONLY);
  return file && ::flock(file.value().get(), LOCK_SH | LOCK_NB) != 0 &&
         errno == EWOULDBLOCK;
}

[[nodiscard]] inline result<folder_state> look(const std::string& folder) {
  folder_state made;
  std::error_code wrong;
  if (!fs::is_directory(folder, wrong))
    return fault{reason::not_found, folder + ": there is no such folder"};
  auto pile = read_records(folder, true);
  std::set<identity> kept;
  if (pile) {
    made.records = pile.value().records.size();
    made.doubled = pile.value().replaced;
    made.troubles = std::move(pile.value().troubles);
    for (const record& each : pile.value().records) {
      ++made.reached[each.what];
      kept.insert(identity_of(each.of));
    }
  } else if (pile.error().why != reason::not_found) {
    return pile.error();
  }
  const auto segments = store_file::segments(folder);
  if (!segments) return segments.error();
  made.segments = segments.value().size();
  for (const int each : segments.value())
    made.writers += is_held(store_file::path_of(folder, each));

  std::set<identity> expected;
  for (int number = 1;; ++number) {
    job_state job;
    job.folder = jobs_folder(folder) + "/" + std::to_string(number);
    if (!fs::is_directory(job.folder, wrong)) break;
    job.id = id_of(job.folder);
    for (std::size_t task = 1;; ++task) {
      const std::string list =
          job.folder + "/outputs-" + std::to_string(task) + ".jsonl";
      std::ifstream in(list, std::ios::binary);
      if (!in) break;
      ++job.tasks;
      for (std::string line; std::getline(in, line);) {
        const auto one = read_sample(line);
        if (!one) {
          made.troubles.push_back({one.error().why,
                                   list + ": " + one.error().what});
          continue;
        }
        ++job.outputs;
        job.missing += !kept.contains(identity_of(one.value()));
        expected.insert(identity_of(one.value()));
      }
      job.not_tried += count_lines(job.folder + "/not_tried-" +
                                   std::to_string(task) + ".jsonl");
    }
    ask_slurm(job);
    made.jobs.push_back(std::move(job));
  }
  made.expected = expected.size();
  for (const identity& each : expected) made.missing += !kept.contains(each);
  made.not_tried = count_not_tried(folder);
  return made;
}

[[nodiscard]] inline json_text::json as_json(const folder_state& of) {
  json_text::json made;
  made["records"] = of.records;
  made["doubled"] = of.doubled;
  made["expected"] = of.expected;
  made["missing"] = of.missing;
  made["not_tried"] = of.not_tried;
  made["writers"] = of.writers;
  made["outcomes"] = json_text::json::object();
  for (const auto& [what, count] : of.reached)
    made["outcomes"][std::string(name(what))] = count;
  made["jobs"] = json_text::json::array();
  for (const job_state& each : of.jobs) {
    json_text::json one = {{"folder", each.folder},
                           {"id", each.id},
                           {"tasks", each.tasks},
                           {"outputs", each.outputs},
                           {"missing", each.missing},
                           {"not_tried", each.not_tried}};
    one["slurm"] = json_text::json::object();
    for (const auto& [word, count] : each.states) one["slurm"][word] = count;
    made["jobs"].push_back(std::move(one));
  }
  return made;
}

}  // namespace slurm

[[nodiscard]] inline exit_code tell(const status_command& asked, stream& out,
                                    stream& trouble) {
  const std::string folder = asked.path.empty() ? default_folder : asked.path;
  const auto seen = slurm::look(folder);
  if (!seen) {
    trouble.line("skillbench: " + printable(seen.error().what));
    return exit_code::misuse;
  }
  const slurm::folder_state& now = seen.value();
  for (const fault& each : now.troubles)
    trouble.line("skillbench: " + printable(each.what));
  if (asked.json) {
    out.line(json_text::line_of(slurm::as_json(now)));
    return exit_code::fine;
  }
  std::string line = plural(now.records, "record");
  if (now.expected > 0)
    line += ", " + std::to_string(now.expected - now.missing) + " of " +
            plural(now.expected, "output") + " that were submitted";
  if (now.writers > 0)
    line += "; " + plural(now.writers, "file") + " of them being written";
  out.line(printable(folder) + ": " + line);
  std::string kinds;
  for (const auto& [what, count] : now.reached)
    kinds += (kinds.empty() ? "" : ", ") + std::to_string(count) + " " +
             std::string(name(what));
  if (!kinds.empty()) out.line(kinds);
  if (now.doubled > 0)
    out.line(plural(now.doubled, "record") +
             " of an output that has a later one: counted once");
  if (now.not_tried > 0)
    out.line(plural(now.not_tried, "output") + " could not be tried");
  bool at_work = now.writers > 0;
  if (!now.jobs.empty()) {
    out.line("");
    table rows({"job", "tasks", "outputs", "missing", "not tried", "in Slurm"});
    for (const slurm::job_state& each : now.jobs) {
      std::string states;
      for (const auto& [word, count] : each.states)
        states += (states.empty() ? "" : ", ") + std::to_string(count) + " " + word;
      at_work |= !states.empty();
      if (states.empty())
        states = each.id.empty() ? "not submitted"
                 : each.asked    ? "over"
                                 : "cannot be asked: no squeue here";
      rows.add({each.id.empty() ? each.folder : each.id,
                std::to_string(each.tasks), std::to_string(each.outputs),
                std::to_string(each.missing), std::to_string(each.not_tried),
                states});
    }
    rows.print(out);
    if (now.missing > 0 && !at_work)
      out.line("\n" + plural(now.missing, "output") +
               " without a record and nothing at work: the command that "
               "submitted them does it again for these, and `skillbench run "
               "... --resume` judges them here");
  }
  return exit_code::fine;
}

}  // namespace skillbench::cli
