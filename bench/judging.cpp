// judging [demo]: what it costs to judge, in CPU seconds and memory of a worker.
//
// Demo    examples/outputs as `make demo` judges them, one after the other, the
//         references kept as a campaign keeps them.
// Alone   each known right kernel and each example by itself, public cases
//         only, no reference kept: what one candidate costs on one core.
// Shares  NVRTC: by the clock of the worker around a compile, the loading of the
//         library included. PTX machine: the launches as the worker tells, and
//         by its clock around the reading of the PTX. Reference: by the clock
//         of this thread around every call of a family's reference, the making
//         of its inputs included. Everything else is what is left of the CPU
//         time of this process and its workers.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/cuda/library.hpp>
#include <skillbench/device/remote.hpp>
#include <skillbench/embedded.hpp>
#include <skillbench/evaluate.hpp>
#include <skillbench/find_worker.hpp>
#include <skillbench/samples.hpp>

#include "cpu_time.hpp"

using namespace skillbench;
namespace fs = std::filesystem;

namespace {

double clock_seconds(clockid_t of) {
  timespec now{};
  ::clock_gettime(of, &now);
  return static_cast<double>(now.tv_sec) +
         1e-9 * static_cast<double>(now.tv_nsec);
}

struct shares {
  double all = 0, nvrtc = 0, machine = 0, reference = 0;
  double worker = 0;      // all that the worker used
  long peak_kilobytes = 0;

  [[nodiscard]] double rest() const { return all - nvrtc - machine - reference; }
  // Of the rest: starting the worker, and what it does around its work.
  [[nodiscard]] double around() const { return worker - nvrtc - machine; }
  void add(const shares& other) {
    all += other.all;
    nvrtc += other.nvrtc;
    machine += other.machine;
    reference += other.reference;
    worker += other.worker;
    peak_kilobytes = std::max(peak_kilobytes, other.peak_kilobytes);
  }
};

long peak_of(pid_t process) {
  std::ifstream in("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmHWM:")) return std::atol(line.c_str() + 6);
  return 0;
}

// A worker that is watched.
class measured final : public device {
 public:
  measured(std::unique_ptr<remote> of, shares& into)
      : of_(std::move(of)), into_(into) {}
  ~measured() override {
    into_.worker = std::max(into_.worker, of_->cpu_seconds());
    into_.peak_kilobytes =  // the largest it ever was
        std::max(into_.peak_kilobytes, peak_of(of_->process_id()));
    of_.reset();
  }
  measured(const measured&) = delete;
  measured& operator=(const measured&) = delete;

  [[nodiscard]] std::string name() const override { return of_->name(); }
  [[nodiscard]] std::string target() const override { return of_->target(); }
  [[nodiscard]] result<image> compile(const compile_request& it) override {
    const double before = of_->cpu_seconds();
    auto made = of_->compile(it);
    if (made) into_.nvrtc += of_->cpu_seconds() - before;
    return made;
  }
  [[nodiscard]] result<done> load(const std::string& ptx) override {
    const double before = of_->cpu_seconds();
    auto made = of_->load(ptx);
    if (made) into_.machine += of_->cpu_seconds() - before;
    return made;
  }
  [[nodiscard]] result<run_report> run(const job& it) override {
    const double before = of_->cpu_seconds();
    auto told = of_->run(it);
    // A run that was given up was the machine's work as well.
    into_.machine += told ? told.value().cpu_seconds
                          : of_->cpu_seconds() - before;
    return told;
  }
  [[nodiscard]] std::vector<result<run_report>> run_some(
      std::span<const job> jobs) override {
    const double before = of_->cpu_seconds();
    auto all = of_->run_some(jobs);
    double told = 0;
    bool given_up = false;
    for (const auto& each : all)
      each ? told += each.value().cpu_seconds : given_up = true;
    into_.machine += given_up ? of_->cpu_seconds() - before : told;
    return all;
  }

 private:
  std::unique_ptr<remote> of_;
  shares& into_;
};

double reference_seconds = 0;

std::vector<family> watched_families(bool public_only) {
  auto read = embedded_families();
  if (!read) return {};
  std::vector<family> all = std::move(read).value();
  for (family& each : all) {
    each.reference = [plain = each.reference](const case_inputs& given,
                                              std::string_view output,
                                              reference_rows rows) {
      const double before = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
      plain(given, output, rows);
      reference_seconds += clock_seconds(CLOCK_THREAD_CPUTIME_ID) - before;
    };
    if (!public_only) continue;
    each.hidden = {};
    each.overflow.clear();
  }
  return all;
}

struct judged {
  std::string what;
  outcome reached = outcome::unjudged;
  shares cost;
  std::size_t types = 0;  // element types that were run
};

judged judge_one(const sample& given, const std::vector<family>& known,
                 const child_command& worker, reference_cache* kept) {
  judged made;
  made.what = given.id.empty() ? given.path : given.id;
  const double before = all_seconds();
  reference_seconds = 0;
  auto started = remote::start(worker);
  if (!started) {
    std::fprintf(stderr, "%s\n", started.error().what.c_str());
    std::exit(1);
  }
  {
    measured on(std::move(started).value(), made.cost);
    const auto told =
        evaluate(given, known, on, {.seed = 1, .references = kept});
    if (!told) {
      std::fprintf(stderr, "%s: %s\n", made.what.c_str(),
                   told.error().what.c_str());
      std::exit(1);
    }
    made.reached = told.value().what;
    std::set<std::string> types;
    for (const compiled_kernel& each : told.value().kernels)
      types.insert(each.element_type);
    made.types = types.size();
  }
  made.cost.all = all_seconds() - before;
  made.cost.reference = reference_seconds;
  return made;
}

const char* met(bool is) { return is ? "met" : "NOT MET"; }

void row(const char* what, double seconds, double of) {
  std::printf("  %-28s %8.2f s  %5.1f %%\n", what, seconds,
              of > 0 ? 100 * seconds / of : 0.0);
}

std::vector<sample> samples_at(const std::string& path,
                               const std::vector<family>& known) {
  const std::vector<std::string> paths{path};
  return gather(paths, known).samples;
}

}  // namespace

int main(int count, char** words) {
  ::setvbuf(stdout, nullptr, _IOLBF, 0);
  const bool demo_alone = count > 1 && words[1] == std::string("demo");
  const auto cuda = find_toolkit();
  const std::vector<family> known = watched_families(false);
  const std::vector<family> only_public = watched_families(true);
  if (!cuda || known.empty()) {
    std::fprintf(stderr, "%s\n",
                 cuda ? "no families" : cuda.error().what.c_str());
    return 1;
  }
  const child_command worker{SKILLBENCH_PROGRAM,
                             {"worker"},
                             worker_environment(cuda.value())};
  const fs::path source = SKILLBENCH_SOURCE_DIR;
  const std::vector<sample> demo =
      samples_at((source / "examples/outputs").string(), known);
  if (demo.empty()) {
    std::fprintf(stderr, "no samples in examples/outputs\n");
    return 1;
  }

  shares all;
  std::size_t types = 0;
  double worst_rest = 0;
  std::string worst_rest_of;
  long peak = 0;
  reference_cache kept;
  for (const sample& each : demo) {
    const judged one = judge_one(each, known, worker, &kept);
    all.add(one.cost);
    types += one.types;
    peak = std::max(peak, one.cost.peak_kilobytes);
    const double rest = one.types > 0
                            ? one.cost.rest() / static_cast<double>(one.types)
                            : 0;
    if (rest > worst_rest) {
      worst_rest = rest;
      worst_rest_of = one.what;
    }
  }
  std::printf("demo run: %zu candidates, %zu element types of them, %.2f CPU "
              "seconds\n",
              demo.size(), types, all.all);
  row("NVRTC", all.nvrtc, all.all);
  row("PTX machine", all.machine, all.all);
  row("reference", all.reference, all.all);
  row("everything else", all.rest(), all.all);
  row("  of it in the worker", all.around(), all.all);
  row("  of it in the parent", all.rest() - all.around(), all.all);
  const double rest = 1000 * all.rest() / static_cast<double>(types);
  std::printf("everything else, a candidate and element type: %.0f ms on "
              "average (goal: at most 60, %s), %.0f ms at worst (%s)\n\n",
              rest, met(rest <= 60), 1000 * worst_rest, worst_rest_of.c_str());

  if (demo_alone) return 0;

  std::vector<sample> alone = demo;
  for (const family& each : known) {
    std::vector<fs::path> files;
    const fs::path folder = source / "kernels" / each.name / "right";
    std::error_code none;
    for (const auto& file : fs::directory_iterator(folder, none))
      files.push_back(file.path());
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) {
      std::ifstream in(file, std::ios::binary);
      sample one;
      one.path = one.id = file.lexically_relative(source).string();
      one.task = each.name;
      one.output = {std::istreambuf_iterator<char>(in), {}};
      alone.push_back(std::move(one));
    }
  }
  std::vector<judged> costs;
  for (const sample& each : alone) {
    costs.push_back(judge_one(each, only_public, worker, nullptr));
    peak = std::max(peak, costs.back().cost.peak_kilobytes);
  }
  std::sort(costs.begin(), costs.end(), [](const judged& a, const judged& b) {
    return a.cost.all > b.cost.all;
  });
  std::printf("public cases of one candidate, three element types, CPU seconds "
              "(the ten dearest of %zu)\n",
              costs.size());
  std::printf("  %-44s %-9s %7s %6s %8s %6s %6s\n", "", "outcome", "all",
              "NVRTC", "machine", "ref.", "else");
  for (std::size_t i = 0; i < costs.size() && i < 10; ++i) {
    const judged& one = costs[i];
    std::printf("  %-44s %-9s %7.2f %6.2f %8.2f %6.2f %6.2f\n",
                one.what.c_str(), std::string(name(one.reached)).c_str(),
                one.cost.all, one.cost.nvrtc, one.cost.machine,
                one.cost.reference, one.cost.rest());
  }
  std::printf("the dearest: %.1f s (goal: at most 20, %s)\n",
              costs.front().cost.all, met(costs.front().cost.all <= 20));
  const auto unjudged =
      std::count_if(costs.begin(), costs.end(), [](const judged& one) {
        return one.reached == outcome::unjudged;
      });
  if (unjudged > 0)
    std::printf("%td of them are unjudged: they stop before their work is "
                "done, so what they cost is not known.\n",
                unjudged);
  std::printf("\nlargest worker: %.0f MB (goal: at most 1000, %s)\n",
              static_cast<double>(peak) * 1024 / 1e6,
              met(static_cast<double>(peak) * 1024 <= 1e9));
}
