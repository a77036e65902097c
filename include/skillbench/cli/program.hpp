#pragma once
// cli/program.hpp: the program: a command line in, an exit code out.
//
// Layer   7.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <skillbench/bubblewrap.hpp>
#include <skillbench/child.hpp>
#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/attack.hpp>
#include <skillbench/cli/check.hpp>
#include <skillbench/cli/devices.hpp>
#include <skillbench/cli/doctor.hpp>
#include <skillbench/cli/families.hpp>
#include <skillbench/cli/import.hpp>
#include <skillbench/cli/ptx.hpp>
#include <skillbench/cli/report.hpp>
#include <skillbench/cli/run.hpp>
#include <skillbench/cli/selftest.hpp>
#include <skillbench/cli/skill.hpp>
#include <skillbench/cli/slurm.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/cli/tune.hpp>
#include <skillbench/cuda/library.hpp>
#include <skillbench/device.hpp>
#include <skillbench/device/cuda.hpp>
#include <skillbench/isolate.hpp>
#include <skillbench/isolate_gpu.hpp>
#include <skillbench/version.hpp>
#include <skillbench/worker.hpp>

namespace skillbench::cli {

// What the program takes from the PTX machine. That costs minutes to compile and
// knows nothing of commands, so it has a translation unit of its own.
struct ptx_machine {
  std::unique_ptr<device> (*make)(const toolkit&);
  result<std::string> (*form_table)();
};

[[nodiscard]] inline exit_code serve_as_worker(const ptx_machine& machine,
                                               const std::string& isolation,
                                               stream& trouble) {
  const auto cuda = find_toolkit();
  if (!cuda) {
    trouble.line(printable(cuda.error().what));
    return exit_code::broken;
  }
  const auto on = machine.make(cuda.value());
  // The compiler's libraries and headers are opened later, when a source is there.
  std::vector<std::string> readable = library_places();
  readable.push_back(cuda.value().include);
  readable.push_back(cuda.value().library_folder);
  std::string how = "basic: asked for with --isolation basic";
  if (isolation != "basic") how = isolate(readable).words();
  if (isolation == "bwrap") how = bubblewrap::words(how);
  return serve(*on, requests_descriptor, answers_descriptor, how) == 0
             ? exit_code::fine
             : exit_code::broken;
}

// A GPU's worker. It proves the GPU before it takes requests, and once more when
// it has shut its doors.
[[nodiscard]] inline exit_code serve_gpu(const std::string& ordinal, bool shut,
                                         stream& trouble) {
  const auto cuda = find_toolkit();
  auto on = cuda ? open_gpu(cuda.value(), std::atoi(ordinal.c_str()))
                 : result<std::unique_ptr<cuda_device>>(cuda.error());
  if (!on) {
    trouble.line(printable(on.error().what));
    return exit_code::broken;
  }
  std::string how = "basic: asked for with --isolation basic";
  if (shut) {
    how = isolate_gpu(gpu_places(cuda.value().root));
    if (const auto still = on.value()->prove(); !still) {
      trouble.line(printable("behind shut doors: " + still.error().what));
      return exit_code::broken;
    }
  }
  return serve(*on.value(), requests_descriptor, answers_descriptor, how) == 0
             ? exit_code::fine
             : exit_code::broken;
}

[[nodiscard]] inline exit_code run_program(const std::vector<std::string>& args,
                                           const ptx_machine& machine,
                                           stream& out, stream& trouble) {
  const command asked = parse(args);
  if (const auto* words = std::get_if<said>(&asked)) {
    stream& to = words->code == exit_code::fine ? out : trouble;
    to.write(words->words);
    if (!words->words.ends_with("\n")) to.write("\n");
    return words->code;
  }
  if (std::holds_alternative<version_command>(asked)) {
    out.line(std::string("skillbench ") + version);
    return exit_code::fine;
  }
  if (const auto* one = std::get_if<completion_command>(&asked)) {
    out.write(completion_script(one->shell));
    return exit_code::fine;
  }
  if (const auto* one = std::get_if<doctor_command>(&asked))
    return tell(*one, out);

  if (const auto* one = std::get_if<status_command>(&asked))
    return tell(*one, out, trouble);
  if (const auto* one = std::get_if<report_command>(&asked))
    return tell(*one, out, trouble);
  if (const auto* one = std::get_if<compare_command>(&asked))
    return tell(*one, out, trouble);
  if (const auto* one = std::get_if<skill_check_command>(&asked))
    return tell(*one, out, trouble);
  if (const auto* one = std::get_if<import_upskill_command>(&asked))
    return tell(*one, out, trouble);
  if (const auto* one = std::get_if<ptx_command>(&asked))
    return tell(*one, machine.form_table, out, trouble);

  const auto known = embedded_families();
  if (!known) {
    trouble.line("skillbench: " + printable(known.error().what));
    return exit_code::broken;
  }
  const std::vector<family>& all = known.value();
  if (const auto* one = std::get_if<run_command>(&asked))
    return tell(*one, all, out, trouble);
  if (const auto* one = std::get_if<check_command>(&asked))
    return tell(*one, all, out, trouble);
  if (const auto* one = std::get_if<tune_command>(&asked))
    return tell(*one, all, out, trouble);
  if (const auto* one = std::get_if<selftest_command>(&asked))
    return tell(*one, all, out, trouble);
  if (const auto* one = std::get_if<attack_command>(&asked))
    return tell(*one, all, out, trouble);
  if (const auto* one = std::get_if<prompt_command>(&asked))
    return tell(*one, all, out, trouble);
  return tell(std::get<families_command>(asked), all, out);
}

[[nodiscard]] inline int main(int count, char** words,
                              const ptx_machine& machine) {
  stream out(stdout), trouble(stderr);
  exit_code code = exit_code::broken;
  try {
    const std::vector<std::string> args(words + (count > 0 ? 1 : 0),
                                        words + count);
    if (!args.empty() && args.front() == worker_command && args.size() <= 2 &&
        (args.size() == 1 || args[1] == "basic" || args[1] == "bwrap")) {
      const int ended = static_cast<int>(serve_as_worker(
          machine, args.size() == 1 ? "strict" : args[1], trouble));
      // A sanitizer's search for leaks reads files that a worker may not.
      if (!child_process::limits_address_space) ::_exit(ended);
      return ended;
    }
    if (args.size() >= 3 && args.size() <= 4 && args[0] == worker_command &&
        args[1] == "cuda" && (args.size() == 3 || args[2] == "basic"))
      return static_cast<int>(
          serve_gpu(args.back(), args.size() == 3, trouble));
    code = run_program(args, machine, out, trouble);
  } catch (const std::exception& problem) {
    trouble.line("skillbench: a bug of ours, please report it: " +
                 printable(problem.what()));
  }
  if (!out.flush() && code != exit_code::broken) {
    trouble.line("skillbench: standard output takes no more");
    code = exit_code::broken;
  }
  return static_cast<int>(code);
}

}  // namespace skillbench::cli
