#pragma once
// cli/arguments.hpp: what the user asked for, from the words of a command line.
//
// Layer   7. The one header that includes CLI11.
// Errors  An unknown command, option or value: a message with the nearest known
//         word, and exit code 2.

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <CLI/CLI.hpp>

#include <skillbench/cli/cache.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/gate.hpp>
#include <skillbench/version.hpp>

namespace skillbench::cli {

// Exit codes of the program, documented in README.md.
enum class exit_code : int {
  fine = 0,     // whatever the findings are
  differs = 1,  // selftest: a file was not judged as it says; skill check: a
                // skill does not pass; report: a gate fails; compare: worse
  misuse = 2,   // a wrong command line, or an input that cannot be read
  broken = 3,   // a library, a device, a disk or a child of ours
  stopped = 130,  // by the user
};

struct run_command {
  std::vector<std::string> paths;
  std::string device = "auto", isolation = "auto";
  std::string out;  // "" means the default folder
  std::uint64_t seed = 1;
  int jobs = 1;
  bool json = false;
  bool resume = false;
  bool counters = false;
  bool hot = false, no_time = false;
  double sustained = 0;
  bool tune = false;
  std::int64_t tune_trials = 25;
  std::string suite;  // a file, "" for none
  bool allow_commands = false;
  bool jobs_given = false;
  bool slurm = false;
  int chunk = 200;  // outputs a task
  int gpus = -1;    // a task; -1: one where the device is a GPU
  std::vector<std::string> sbatch;  // options for it
  int slurm_task = 0;  // in a task of a job: its number
  cache_choice cache;
};

struct status_command {
  std::string path;  // "" means the default folder
  bool json = false;
};

struct check_command {
  std::string file, family;
  std::string device = "auto", isolation = "auto";
  std::uint64_t seed = 1;
  int schedules = 0;
  int threads = 1;
  bool counters = false;
  std::string test_case;  // to count; "": the largest that is run
  bool hot = false, no_time = false;
  double sustained = 0;
  std::string timer = "auto";
  bool vendor = false, shapes = false;
  std::vector<std::string> metrics;
  bool json = false;
  cache_choice cache;
};

struct families_command {
  bool json = false;
};

struct prompt_command {
  std::string family;
};

struct selftest_command {
  std::string family, kernels;
  std::string device = "auto", isolation = "auto";
  std::uint64_t seed = 1;
  int jobs = 1;
  cache_choice cache;
};

// Judges hostile outputs; nothing of them is kept.
struct attack_command : selftest_command {};

struct doctor_command {
  bool json = false;
  bool measure = false;
  cache_choice cache;
};

struct ptx_command {
  std::string file, entry, dump;
  std::string grid = "1", block = "32";
  std::vector<std::string> args;
  std::int64_t shared = 0;  // bytes, dynamic
  std::uint64_t seed = 1, schedules = 1, most_instructions = 0;
  int threads = 1;
  bool json = false, counters = false, list = false;
};

struct tune_command {
  std::string file, family, replay;
  std::string strategy = "portfolio";
  std::string device = "auto", isolation = "auto";
  std::string type;       // "": all
  std::string test_case;  // that is timed; "": the largest
  std::string out = "skillbench-tuning", t4;
  std::string before = "auto";    // --prior
  std::vector<std::string> from;  // earlier tunings
  std::int64_t trials = 100, without_improvement = 0;
  double seconds = 0, target = 0;
  std::uint64_t seed = 1;
  int seeds = 100, jobs = 1;
  bool json = false, write = false;
  cache_choice cache;
};

struct skill_check_command {
  std::vector<std::string> paths;
  bool lenient = false;
  bool json = false;
};

struct import_upskill_command {
  std::string path;
  std::string out;  // "" means the default folder
  bool json = false;
};

struct report_command {
  std::vector<std::string> paths;  // none: the default folder
  std::string html, markdown, csv, junit;  // files; "-": standard output
  std::string gate;
  std::uint64_t seed = 1;
  bool json = false, aa = false;
};

struct compare_command {
  std::string before, after;
  std::uint64_t seed = 1;
  bool fail_if_worse = false;
};

struct version_command {};

struct completion_command {
  std::string shell;
};

// Words to print instead of a command to run: help, or what is wrong.
struct said {
  std::string words;
  exit_code code = exit_code::fine;
};

using command =
    std::variant<run_command, status_command, check_command, families_command, prompt_command,
                 selftest_command, attack_command, doctor_command, ptx_command, tune_command,
                 skill_check_command, import_upskill_command, report_command, compare_command,
                 version_command, completion_command, said>;

inline constexpr const char* default_folder = "skillbench-results";

namespace arguments {

inline const std::vector<std::string>& shells() {
  static const std::vector<std::string> all{"bash", "zsh", "fish"};
  return all;
}

inline void add_seed(CLI::App& to, std::uint64_t& seed) {
  to.add_option("--seed", seed,
                "every random number comes from it (default: 1)")
      ->type_name("N")
      ->check([](const std::string& text) -> std::string {
        // CLI11 would let -1 and 10^30 wrap around.
        std::uint64_t number = 0;
        const char* const end = text.data() + text.size();
        const auto read = std::from_chars(text.data(), end, number);
        if (read.ec == std::errc() && read.ptr == end) return "";
        return text + " is no integer from 0 to 2^64 - 1";
      });
}

inline void add_device(CLI::App& to, std::string& device,
                       std::string& isolation, std::uint64_t& seed) {
  to.add_option("--device", device,
                "auto, ptx (the PTX machine, on the CPU) or cuda (a GPU)")
      ->type_name("DEVICE")
      ->check(CLI::IsMember({"auto", "ptx", "cuda"}));
  to.add_option("--isolation", isolation,
                "auto (a worker reads no file but the toolkit and libraries and "
                "makes no other system call than it needs, as far as this kernel "
                "offers that), strict (that, or nothing is judged), bwrap (that, "
                "within namespaces that bubblewrap makes) or basic (limits and "
                "an empty environment alone)")
      ->type_name("HOW")
      ->check(CLI::IsMember({"auto", "strict", "bwrap", "basic"}));
  add_seed(to, seed);
}

inline void add_timing(CLI::App& to, bool& hot, bool& no_time,
                       double& sustained) {
  to.add_flag("--no-time", no_time, "on a GPU: judge, and time nothing");
  to.add_flag("--hot", hot,
              "on a GPU: time with caches as the call before left them");
  to.add_option("--sustained", sustained,
                "on a GPU: time calls back to back as well, for so long")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 60.0));
}

inline void add_jobs(CLI::App& to, int& jobs) {
  const unsigned cores = std::thread::hardware_concurrency();
  jobs = cores > 0 ? static_cast<int>(cores) : 1;
  to.add_option("-j,--jobs", jobs,
                "candidates judged at a time (default: one for each core)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
}

inline void add_cache(CLI::App& to, cache_choice& cache) {
  auto* const folder =
      to.add_option("--cache", cache.folder,
                    "folder of the compile cache (default: $SKILLBENCH_CACHE, "
                    "$XDG_CACHE_HOME/skillbench or ~/.cache/skillbench)")
          ->type_name("DIR");
  to.add_flag("--no-cache", cache.off, "compile everything anew")
      ->excludes(folder);
}

// The command line as CLI11 knows it; the members are what it fills.
struct words {
  CLI::App app{"skillbench judges the CUDA kernels that models wrote.",
               "skillbench"};
  run_command run;
  status_command status;
  check_command check;
  families_command families;
  prompt_command prompt;
  selftest_command selftest;
  attack_command attack;
  doctor_command doctor;
  ptx_command ptx;
  tune_command tune;
  skill_check_command skill_check;
  import_upskill_command import_upskill;
  report_command report;
  compare_command compare;
  completion_command completion;
  bool version = false, strict = false;

  words() {
    app.set_help_flag("-h,--help", "this text");
    app.add_flag("--version", version, "the version of this program");
    app.require_subcommand(0, 1);
    app.footer(
        "Exit codes: 0 judged (whatever was found), 1 something is not as asked "
        "(selftest,\nattack, skill check, report --gate, compare --fail-if-worse, "
        "doctor --measure),\n2 wrong usage or an input that cannot be read, 3 "
        "trouble on this machine,\n130 stopped by Ctrl-C.\n\n"
        "Examples:\n"
        "  skillbench run outputs/\n"
        "  skillbench check kernel.cu\n"
        "  skillbench run --help");

    CLI::App* const to_run = app.add_subcommand(
        "run", "judge many outputs: folders, samples.jsonl or files");
    to_run
        ->add_option("PATH", run.paths,
                     "a folder <model>/<arm>/<task>/<draw>.md, a samples.jsonl "
                     "or a folder that holds one, or one file")
        ->required()
        ->type_name("");
    add_device(*to_run, run.device, run.isolation, run.seed);
    add_timing(*to_run, run.hot, run.no_time, run.sustained);
    add_jobs(*to_run, run.jobs);
    add_cache(*to_run, run.cache);
    to_run
        ->add_option("-o,--out", run.out,
                     "folder for the records (default: skillbench-results)")
        ->type_name("DIR");
    to_run->add_flag("--resume", run.resume,
                     "keep what the folder has records of already, however "
                     "it ended, and judge only the rest");
    to_run->add_flag("--counters", run.counters,
                     "keep exact counts of the launches of each output's "
                     "largest public case in its record");
    auto* const tunes = to_run->add_flag(
        "--tune", run.tune,
        "tune every correct output too, and say what the skill adds beyond that");
    to_run
        ->add_option("--tune-trials", run.tune_trials,
                     "settings of an output that are tried at most (default: 25)")
        ->type_name("N")
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}))
        ->needs(tunes);
    auto* const by =
        to_run
            ->add_option("--suite", run.suite,
                         "judge each output by the assertions of this file too: "
                         "a suite, upskill's skill_meta.json or evals.json")
            ->type_name("FILE");
    to_run
        ->add_flag("--allow-commands", run.allow_commands,
                   "run the commands that the suite names, as you and with no "
                   "sandbox; without it they are not judged")
        ->needs(by);
    auto* const as_json = to_run->add_flag(
        "--json", run.json,
        "records as JSON lines on standard output and nothing else; kept in a "
        "folder only with --out or --resume");
    auto* const slurm =
        to_run
            ->add_flag("--slurm", run.slurm,
                       "write a job array for Slurm and submit it; its tasks "
                       "judge what the folder has no record of, --jobs (else "
                       "1) outputs at a time each")
            ->excludes(as_json);
    to_run
        ->add_option("--chunk", run.chunk,
                     "outputs that one task of the array judges, 50 to 500 for "
                     "most clusters (default: 200)")
        ->type_name("N")
        ->check(CLI::Range(1, 100'000))
        ->needs(slurm);
    to_run
        ->add_option("--gpus", run.gpus,
                     "GPUs that a task asks Slurm for (default: 1 with --device "
                     "cuda, else none)")
        ->type_name("N")
        ->check(CLI::Range(0, 64))
        ->needs(slurm);
    to_run
        ->add_option("--sbatch", run.sbatch,
                     "an option for sbatch, as --sbatch=--partition=gpu; may be "
                     "given several times")
        ->type_name("OPTION")
        ->allow_extra_args(false)
        ->needs(slurm);
    to_run->add_option("--slurm-task", run.slurm_task, "")->group("");
    to_run->footer(
        "Examples:\n"
        "  skillbench run examples/outputs\n"
        "  skillbench run outputs/ --jobs 8 --seed 7 --out results/monday\n"
        "  skillbench run outputs/ --jobs 8 --seed 7 --out results/monday "
        "--resume\n"
        "  skillbench run samples.jsonl --json | jq -r '[.id, .outcome] | "
        "@tsv'\n"
        "  skillbench run outputs/ --out results --slurm --jobs 8 "
        "--sbatch=--time=2:00:00");

    CLI::App* const to_status = app.add_subcommand(
        "status", "say how far a folder of records is, and its Slurm jobs");
    to_status
        ->add_option("DIR", status.path,
                     "folder of the records (default: skillbench-results)")
        ->type_name("");
    to_status->add_flag("--json", status.json, "as JSON");
    to_status->footer("Examples:\n  skillbench status results");

    CLI::App* const to_check =
        app.add_subcommand("check", "judge one source and quote its lines");
    to_check
        ->add_option("FILE", check.file,
                     "CUDA source with a launch manifest, or a model's answer "
                     "in Markdown")
        ->required()
        ->type_name("");
    to_check
        ->add_option("--family", check.family,
                     "what it was asked for (default: what its manifest says)")
        ->type_name("NAME");
    add_device(*to_check, check.device, check.isolation, check.seed);
    add_timing(*to_check, check.hot, check.no_time, check.sustained);
    to_check
        ->add_option("--timer", check.timer,
                     "on a GPU: time calls one by one (calls), or several as a "
                     "graph that is replayed (graph); auto takes a graph where a "
                     "call is short and CUPTI gives no records")
        ->type_name("HOW")
        ->check(CLI::IsMember({"auto", "calls", "graph"}));
    to_check->add_flag("--vendor", check.vendor,
                       "on a GPU: time cuDNN's kernel for the family as well");
    to_check->add_flag("--shapes", check.shapes,
                       "on a GPU: time the family's shapes made for that as well");
    to_check
        ->add_option("--metrics", check.metrics,
                     "on a GPU: counters by CUPTI's names, with commas")
        ->type_name("NAMES")
        ->delimiter(',');
    to_check
        ->add_option("--schedules", check.schedules,
                     "run every case with N orders of CTAs and warps, from far "
                     "ahead to one instruction at a time (default: small "
                     "outputs twice)")
        ->type_name("N")
        ->check(CLI::Range(1, 1000));
    to_check
        ->add_option("--threads", check.threads,
                     "CTAs of the PTX machine on N threads; what is told is "
                     "the same (default: 1)")
        ->type_name("N")
        ->check(CLI::Range(1, 64));
    add_cache(*to_check, check.cache);
    auto* const counters = to_check->add_flag(
        "--counters", check.counters,
        "count what the launches of one case do: instructions, sectors, bank "
        "conflicts, tensor operations, by source line");
    to_check
        ->add_option("--case", check.test_case,
                     "the public case to count (default: the largest that ran "
                     "to its end)")
        ->type_name("NAME")
        ->needs(counters);
    to_check->add_flag("--json", check.json, "the record as a JSON line");
    to_check->footer(
        "Examples:\n"
        "  skillbench check kernel.cu\n"
        "  skillbench check kernel.cu --schedules 8\n"
        "  skillbench check kernel.cu --counters --case cols_1\n"
        "  skillbench check answer.md --family layernorm --json");

    CLI::App* const to_families =
        app.add_subcommand("families", "list what kernels can be asked for");
    to_families->add_flag("--json", families.json, "as JSON");
    to_families->footer("Examples:\n  skillbench families");

    CLI::App* const to_prompt = app.add_subcommand(
        "prompt", "print what a model is to be asked for a family");
    to_prompt->add_option("FAMILY", prompt.family, "see `skillbench families`")
        ->required()
        ->type_name("");
    to_prompt->footer(
        "Examples:\n"
        "  skillbench prompt layernorm > prompt.md");

    CLI::App* const to_selftest = app.add_subcommand(
        "selftest", "judge the known right and wrong kernels of the families");
    to_selftest->add_option("--family", selftest.family, "only this one")
        ->type_name("NAME");
    to_selftest
        ->add_option("--kernels", selftest.kernels,
                     "folder of families (default: the one that came with "
                     "this program)")
        ->type_name("DIR");
    add_device(*to_selftest, selftest.device, selftest.isolation, selftest.seed);
    add_jobs(*to_selftest, selftest.jobs);
    add_cache(*to_selftest, selftest.cache);
    to_selftest->footer(
        "Examples:\n"
        "  skillbench selftest\n"
        "  skillbench selftest --family geglu --jobs 2");

    attack.cache.off = true;
    CLI::App* const to_attack = app.add_subcommand(
        "attack", "judge hostile outputs: each must get the outcome it names, "
                  "and leak nothing");
    to_attack
        ->add_option("--kernels", attack.kernels,
                     "folder of families (default: the one beside this program)")
        ->type_name("DIR");
    add_device(*to_attack, attack.device, attack.isolation, attack.seed);
    add_jobs(*to_attack, attack.jobs);
    to_attack->footer(
        "\nExamples:\n"
        "  skillbench attack\n"
        "  skillbench attack --jobs 2 --isolation strict");

    CLI::App* const to_doctor = app.add_subcommand(
        "doctor", "say what this machine can do, and what is missing");
    add_cache(*to_doctor, doctor.cache);
    to_doctor->add_flag("--json", doctor.json, "as JSON");
    to_doctor->add_flag("--measure", doctor.measure,
                        "time kernels of known cost on a GPU");
    to_doctor->footer(
        "Examples:\n  skillbench doctor\n  skillbench doctor --measure");

    add_tune();

    CLI::App* const to_ptx = app.add_subcommand(
        "ptx", "run any kernel on the PTX machine, with buffers you describe");
    to_ptx->add_option("FILE", ptx.file, "a kernel.cu or a kernel.ptx")
        ->type_name("");
    to_ptx
        ->add_option("--entry", ptx.entry,
                     "the kernel, as in scale or \"scale<float>\"; for PTX its "
                     "mangled name (default: the only one)")
        ->type_name("NAME");
    to_ptx->add_option("--grid", ptx.grid, "CTAs (default: 1)")
        ->type_name("X[,Y,Z]");
    to_ptx->add_option("--block", ptx.block, "threads of a CTA (default: 32)")
        ->type_name("X[,Y,Z]");
    to_ptx
        ->add_option("--args", ptx.args,
                     "one for each parameter of the kernel: a buffer f32[1024] "
                     "(random, read and written), in:f16[64x64] (only read), "
                     "out:u8[100] (starts undefined), i32[8]=0 or f32[64]=FILE "
                     "(starts so), FILE; or a number i32=5, f32=0.5; types f32 "
                     "f16 bf16 f64 i8 i16 i32 i64 u8 u16 u32 u64")
        ->type_name("ARG...");
    to_ptx->add_option("--shared", ptx.shared, "bytes of dynamic shared memory")
        ->type_name("BYTES")
        ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 30));
    add_seed(*to_ptx, ptx.seed);
    to_ptx
        ->add_option("--schedules", ptx.schedules,
                     "run it N times, each in another order of CTAs and warps")
        ->type_name("N")
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1000}));
    const unsigned cores = std::thread::hardware_concurrency();
    ptx.threads = std::clamp(static_cast<int>(cores), 1, 64);
    to_ptx
        ->add_option("--threads", ptx.threads,
                     "CTAs on N threads of this machine; what is told is the "
                     "same (default: one for each core)")
        ->type_name("N")
        ->check(CLI::Range(1, 64));
    to_ptx
        ->add_option("--budget", ptx.most_instructions,
                     "stop after about N warp instructions (default: 4 billion)")
        ->type_name("N");
    to_ptx
        ->add_option("--dump", ptx.dump,
                     "keep what buffers hold in the end: DIR/argument_1.bin")
        ->type_name("DIR");
    to_ptx->add_flag("--counters", ptx.counters,
                     "exact counts of the launch, by source line");
    to_ptx->add_flag("--json", ptx.json, "one JSON object");
    to_ptx->add_flag("--list", ptx.list,
                     "every instruction of sm_90a, and which are not supported");
    to_ptx->footer(
        "Examples:\n"
        "  skillbench ptx scale.cu --entry scale --grid 4 --block 256 "
        "--args f32[1000] f32=2 i32=1000\n"
        "  skillbench ptx kernel.ptx --block 32,4 --shared 4096 --args "
        "in:f16[64x64] out:f32[64] --counters\n"
        "  skillbench ptx sum.cu --args f32[4096]=x.bin f32[1]=0 --schedules 20 "
        "--dump after\n"
        "  skillbench ptx --list");

    CLI::App* const to_skill =
        app.add_subcommand("skill", "skills themselves: check their format");
    to_skill->require_subcommand(1);
    to_skill->footer("Examples:\n  skillbench skill check skills/h100-kernels");
    CLI::App* const to_skill_check = to_skill->add_subcommand(
        "check", "hold skills against the Agent Skills specification");
    to_skill_check
        ->add_option("DIR", skill_check.paths,
                     "a folder with a SKILL.md, or a folder of such folders")
        ->required()
        ->type_name("");
    auto* const strict_flag = to_skill_check->add_flag(
        "--strict", strict, "all that the specification asks (the default)");
    to_skill_check
        ->add_flag("--lenient", skill_check.lenient,
                   "errors only where a client would not load the skill, "
                   "warnings for the rest")
        ->excludes(strict_flag);
    to_skill_check->add_flag("--json", skill_check.json,
                             "one JSON object a line for each skill");
    to_skill_check->footer(
        "Examples:\n"
        "  skillbench skill check skills/h100-kernels\n"
        "  skillbench skill check --lenient ~/.claude/skills\n"
        "  skillbench skill check skills --json | jq -r '.flaws[].what'");

    CLI::App* const to_import =
        app.add_subcommand("import", "logs of other tools as records");
    to_import->require_subcommand(1);
    to_import->footer("Examples:\n  skillbench import upskill runs/");
    CLI::App* const to_import_upskill = to_import->add_subcommand(
        "upskill", "what upskill logged of its runs");
    to_import_upskill
        ->add_option("DIR", import_upskill.path,
                     "its folder of runs, a batch or one run")
        ->required()
        ->type_name("");
    to_import_upskill
        ->add_option("-o,--out", import_upskill.out,
                     "folder for the records (default: skillbench-results)")
        ->type_name("DIR");
    to_import_upskill->add_flag(
        "--json", import_upskill.json,
        "records as JSON lines on standard output and nothing else; kept in a "
        "folder only with --out");
    to_import_upskill->footer(
        "Examples:\n"
        "  skillbench import upskill runs/\n"
        "  skillbench import upskill runs/2026_01_22_13_10 --out "
        "results/upskill");

    CLI::App* const to_report = app.add_subcommand(
        "report", "what records say: the effect of a skill, files to send");
    to_report
        ->add_option("PATH", report.paths,
                     "folders of records, or files of them (default: "
                     "skillbench-results)")
        ->type_name("");
    const auto file = [&](const char* flag, std::string& to,
                          const char* help) {
      to_report->add_option(flag, to, help)->type_name("FILE");
    };
    file("--html", report.html, "one page that needs nothing else; - for "
                                "standard output, here and below");
    file("--markdown", report.markdown, "for a pull request");
    file("--csv", report.csv, "a row for each output");
    file("--junit", report.junit, "JUnit XML, a test case for each output");
    to_report->add_flag("--json", report.json,
                        "effects as one JSON object on standard output");
    to_report
        ->add_option("--gate", report.gate,
                     "rules that must hold, or the exit code is 1: " +
                         gate_measure_names())
        ->type_name("RULES");
    to_report->add_flag("--aa", report.aa,
                        "what each arm differs from itself by chance");
    add_seed(*to_report, report.seed);
    to_report->footer(
        "Examples:\n"
        "  skillbench report\n"
        "  skillbench report results --html report.html --junit junit.xml\n"
        "  skillbench report results --gate \"pass_rate>=0.9, lift>0\"\n"
        "  skillbench report results --json | jq '.effects[].over_all.verdict'");

    CLI::App* const to_compare = app.add_subcommand(
        "compare", "two runs: what got better, worse or is within noise");
    to_compare->add_option("BEFORE", compare.before, "records of the first run")
        ->required()
        ->type_name("");
    to_compare->add_option("AFTER", compare.after, "records of the second run")
        ->required()
        ->type_name("");
    to_compare->add_flag("--fail-if-worse", compare.fail_if_worse,
                         "exit code 1 when anything got worse");
    add_seed(*to_compare, compare.seed);
    to_compare->footer(
        "Examples:\n"
        "  skillbench compare results-before results-after\n"
        "  skillbench compare a b --fail-if-worse");

    app.add_subcommand("version", "the version of this program")
        ->footer("Examples:\n  skillbench version");

    CLI::App* const to_completion = app.add_subcommand(
        "completion", "print a completion script for a shell");
    to_completion->add_option("SHELL", completion.shell, "bash, zsh or fish")
        ->required()
        ->type_name("")
        ->check(CLI::IsMember(shells()));
    to_completion->footer(
        "Examples:\n"
        "  eval \"$(skillbench completion bash)\"\n"
        "  skillbench completion fish > "
        "~/.config/fish/completions/skillbench.fish");
  }

  void add_tune() {
    CLI::App* const to_tune = app.add_subcommand(
        "tune", "find the fastest setting of a source's tunables");
    to_tune
        ->add_option("FILE", tune.file,
                     "CUDA source whose launch manifest has `tune`, or a "
                     "model's answer in Markdown")
        ->type_name("");
    to_tune
        ->add_option("--strategy", tune.strategy,
                     "portfolio, surrogate, genetic, annealing, local, random "
                     "or exhaustive (default: portfolio)")
        ->type_name("NAME")
        ->check(CLI::IsMember({"portfolio", "surrogate", "genetic",
                               "annealing", "local", "random", "exhaustive"}));
    to_tune
        ->add_option("--trials", tune.trials,
                     "settings that are tried at most (default: 100)")
        ->type_name("N")
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}));
    to_tune
        ->add_option("--seconds", tune.seconds,
                     "no new trials after that long (default: no limit)")
        ->type_name("S")
        ->check(CLI::Range(0.0, 1e9));
    to_tune
        ->add_option("--without-improvement", tune.without_improvement,
                     "end after so many trials in a row that were no better "
                     "(default: no limit)")
        ->type_name("N")
        ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000}));
    to_tune
        ->add_option("--target", tune.target,
                     "end once a setting reaches this share of what memory and "
                     "arithmetic allow the case, as 0.8 (default: none)")
        ->type_name("SHARE")
        ->check(CLI::Range(0.0, 1.0));
    to_tune
        ->add_option("--family", tune.family,
                     "what the source is for (default: what its manifest says)")
        ->type_name("NAME");
    to_tune
        ->add_option("--type", tune.type,
                     "element type to tune for: float, half or bfloat16 "
                     "(default: all three, by their geometric mean)")
        ->type_name("TYPE")
        ->check(CLI::IsMember({"float", "half", "bfloat16"}));
    to_tune
        ->add_option("--case", tune.test_case,
                     "the public case whose time counts (default: the largest)")
        ->type_name("NAME");
    add_device(*to_tune, tune.device, tune.isolation, tune.seed);
    add_jobs(*to_tune, tune.jobs);
    add_cache(*to_tune, tune.cache);
    to_tune
        ->add_option("-o,--out", tune.out,
                     "folder of the journal: the same command goes on from "
                     "what is there (default: skillbench-tuning)")
        ->type_name("DIR");
    to_tune
        ->add_option("--from", tune.from,
                     "what an earlier tuning of something related came to: a "
                     "Kernel Tuner cache file, T4 results, or the folder of a "
                     "journal; may be given again")
        ->type_name("PATH")
        ->allow_extra_args(false);
    to_tune
        ->add_option("--prior", tune.before,
                     "auto: with a GPU, settings are predicted on the PTX machine "
                     "before the first one is timed; none (default: auto)")
        ->type_name("WHICH")
        ->check(CLI::IsMember({"auto", "none"}));
    to_tune
        ->add_option("--t4", tune.t4,
                     "file for all trials in the T4 form of other tuners")
        ->type_name("FILE");
    to_tune->add_flag("--write", tune.write,
                      "put the winning values first in FILE's manifest");
    to_tune->add_flag("--json", tune.json, "one JSON object");
    to_tune
        ->add_option("--replay", tune.replay,
                     "play the strategy on a recording (a cache file of Kernel "
                     "Tuner, .json or .json.gz) and no kernel")
        ->type_name("SPACE");
    to_tune
        ->add_option("--seeds", tune.seeds,
                     "searches to play with --replay (default: 100)")
        ->type_name("K")
        ->check(CLI::Range(1, 100'000));
    to_tune->footer(
        "Examples:\n"
        "  skillbench tune kernel.cu\n"
        "  skillbench tune kernel.cu --trials 40 --type half --t4 trials.json\n"
        "  skillbench tune kernel.cu --write\n"
        "  skillbench tune kernel.cu --from skillbench-tuning --out next\n"
        "  skillbench tune --replay gemm.json.gz --strategy genetic --trials "
        "200 --seeds 20");
  }

  [[nodiscard]] std::vector<std::string> commands() const {
    return commands(app);
  }
  [[nodiscard]] static std::vector<std::string> commands(const CLI::App& of) {
    std::vector<std::string> names;
    for (const CLI::App* each : of.get_subcommands({}))
      names.push_back(each->get_name());
    return names;
  }

  // "--seed" and the like of a command.
  [[nodiscard]] std::vector<std::string> options(const CLI::App& of) const {
    std::vector<std::string> names;
    for (const CLI::Option* each : of.get_options()) {
      for (const std::string& one : each->get_lnames())
        names.push_back("--" + one);
      for (const std::string& one : each->get_snames())
        names.push_back("-" + one);
    }
    // Those of `skill check` too, where they are asked of `skill`.
    if (&of == &app) return names;
    for (const CLI::App* inner : of.get_subcommands({}))
      for (const std::string& one : options(*inner))
        if (std::find(names.begin(), names.end(), one) == names.end())
          names.push_back(one);
    return names;
  }
};

[[nodiscard]] inline said misuse(std::string words) {
  return {"skillbench: " + std::move(words), exit_code::misuse};
}

[[nodiscard]] inline std::string guess(std::string_view typed,
                                       const std::vector<std::string>& known) {
  const std::string best = nearest(typed, known);
  return best.empty() ? "" : "; did you mean `" + best + "`?";
}

}  // namespace arguments

// `args` without the program's own name.
[[nodiscard]] inline command parse(const std::vector<std::string>& args) {
  arguments::words known;
  if (args.empty()) return said{known.app.help(), exit_code::misuse};

  const std::vector<std::string> commands = known.commands();
  const std::string& first = args.front();
  const bool names_command =
      std::find(commands.begin(), commands.end(), first) != commands.end();
  if (!names_command && !first.starts_with("-")) {
    return arguments::misuse("there is no command `" + printable(first) + "`" +
                             arguments::guess(first, commands) +
                             "\nSee `skillbench --help`.");
  }
  // The command that is meant, "skill check" say, and the words before it.
  const CLI::App* meant = &known.app;
  std::string before, path = "skillbench";
  if (names_command) {
    meant = known.app.get_subcommand(first);
    before = path;
    path += " " + first;
    const std::vector<std::string> inner = arguments::words::commands(*meant);
    if (!inner.empty() && args.size() > 1 && !args[1].starts_with("-")) {
      if (std::find(inner.begin(), inner.end(), args[1]) == inner.end())
        return arguments::misuse("there is no command `" + first + " " +
                                 printable(args[1]) + "`" +
                                 arguments::guess(args[1], inner) + "\nSee `" +
                                 path + " --help`.");
      meant = meant->get_subcommand(args[1]);
      before = path;
      path += " " + args[1];
    }
  }
  const CLI::App& in = *meant;
  const std::string see = "\nSee `" + path + " --help`.";
  try {
    std::vector<std::string> reversed(args.rbegin(), args.rend());
    known.app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    return said{in.help(before), exit_code::fine};
  } catch (const CLI::ExtrasError& wrong) {
    for (const std::string& each : args)
      if (each.starts_with("-")) {
        const std::string option = each.substr(0, each.find('='));
        const auto all = known.options(in);
        if (std::find(all.begin(), all.end(), option) == all.end() &&
            option != "-h")
          return arguments::misuse("there is no option `" + printable(option) +
                                   "`" + arguments::guess(option, all) + see);
      }
    return arguments::misuse(printable(wrong.what()) + see);
  } catch (const CLI::ParseError& wrong) {
    return arguments::misuse(printable(wrong.what()) + see);
  }

  if (known.version || known.app.got_subcommand("version"))
    return version_command{};
  if (known.app.got_subcommand("run")) {
    known.run.jobs_given = known.app.get_subcommand("run")->count("--jobs") > 0;
    return known.run;
  }
  if (known.app.got_subcommand("status")) return known.status;
  if (known.app.got_subcommand("check")) return known.check;
  if (known.app.got_subcommand("families")) return known.families;
  if (known.app.got_subcommand("prompt")) return known.prompt;
  if (known.app.got_subcommand("selftest")) return known.selftest;
  if (known.app.got_subcommand("attack")) return known.attack;
  if (known.app.got_subcommand("doctor")) return known.doctor;
  if (known.app.got_subcommand("ptx")) return known.ptx;
  if (known.app.got_subcommand("tune")) return known.tune;
  if (known.app.got_subcommand("skill")) return known.skill_check;
  if (known.app.got_subcommand("import")) return known.import_upskill;
  if (known.app.got_subcommand("report")) return known.report;
  if (known.app.got_subcommand("compare")) return known.compare;
  if (known.app.got_subcommand("completion")) return known.completion;
  return said{known.app.help(), exit_code::misuse};
}

// A script for a shell, made from the same words.
[[nodiscard]] inline std::string completion_script(const std::string& shell) {
  arguments::words known;
  const std::vector<std::string> commands = known.commands();
  std::string all;
  for (const std::string& each : commands)
    all += (all.empty() ? "" : " ") + each;

  std::string text;
  if (shell == "fish") {
    text = "complete -c skillbench -n __fish_use_subcommand -f\n";
    for (const std::string& each : commands) {
      const CLI::App& of = *known.app.get_subcommand(each);
      text += fmt::format(
          "complete -c skillbench -n __fish_use_subcommand -a {} -d '{}'\n",
          each, of.get_description());
      for (const std::string& option : known.options(of))
        text += fmt::format(
            "complete -c skillbench -n '__fish_seen_subcommand_from {}' {} "
            "{}\n",
            each, option.starts_with("--") ? "-l" : "-s",
            option.substr(option.find_first_not_of('-')));
      for (const std::string& inner : arguments::words::commands(of))
        text += fmt::format(
            "complete -c skillbench -n '__fish_seen_subcommand_from {}' -a "
            "{}\n",
            each, inner);
    }
    return text;
  }
  if (shell == "zsh")
    text = "autoload -U +X bashcompinit && bashcompinit\n";
  text +=
      "_skillbench() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} words=\n"
      "  if [ \"$COMP_CWORD\" = 1 ]; then\n"
      "    words='" + all + " --help --version'\n"
      "  else\n"
      "    case ${COMP_WORDS[1]} in\n";
  for (const std::string& each : commands) {
    std::string options;
    for (const std::string& option :
         known.options(*known.app.get_subcommand(each)))
      options += (options.empty() ? "" : " ") + option;
    for (const std::string& inner : arguments::words::commands(
             *known.app.get_subcommand(each)))
      options += (options.empty() ? "" : " ") + inner;
    if (each == "prompt")
      options += " $(skillbench families --json 2>/dev/null | "
                 "sed -n 's/.*\"name\": *\"\\([a-z0-9_]*\\)\".*/\\1/p')";
    if (each == "completion")
      for (const std::string& one : arguments::shells()) options += " " + one;
    const char quote = each == "prompt" ? '"' : '\'';
    text += "      " + each + ") words=" + quote + options + quote + " ;;\n";
  }
  text +=
      "    esac\n"
      "  fi\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
      "}\n"
      "complete -o default -F _skillbench skillbench\n";
  return text;
}

}  // namespace skillbench::cli
