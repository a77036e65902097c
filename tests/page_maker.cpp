// page_maker FOLDER: the pages that tests/page/browser.mjs looks at.
//   effect.html   two models, three tasks, both arms, all that a record may hold
//   hostile.html  the same with words that would end an element or start a script
//   plain.html    outputs without arms
//   none.html     no output

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <skillbench/effect.hpp>
#include <skillbench/reports/html.hpp>
#include <skillbench/stats.hpp>

namespace {

using namespace skillbench;

const std::string source_text =
    "// the source of an output\n"
    "#include <cuda_fp16.h>\n"
    "extern \"C\" __global__ void geglu(const float* x, float* y, int n) {\n"
    "  const int i = blockIdx.x * blockDim.x + threadIdx.x;\n"
    "  if (i < n) y[i] = x[i] * 0.5f; /* a long line that goes on and on, so "
    "that the page has one which does not fit */\n"
    "}\n";

const std::string evil =
    "</script><script>window.broken=1</script><img src=x onerror="
    "\"window.broken=2\">&lt;b&gt;\"'`${window.broken=3}";

record made(draws_of_seed& random, int model, int task, bool with, int draw,
            const std::string& words) {
  static const char* const models[] = {"model-a", "a-model-with-a-longer-name"};
  static const char* const tasks[] = {"attention", "geglu", "layernorm"};
  record one;
  one.of.model = models[model] + words;
  one.of.task = tasks[task] + words;
  one.of.arm = with ? arm_with : arm_without;
  one.of.skill = with ? "h100-kernels" + words : "";
  one.of.draw = draw;
  one.of.id = one.of.model + "/" + one.of.arm + "/" + one.of.task + "/" +
              std::to_string(draw);
  one.of.input_tokens = 2000 + static_cast<std::int64_t>(random.below(500));
  one.of.output_tokens =
      (with ? 5000 : 4000) + static_cast<std::int64_t>(random.below(4000));
  one.device = "PTX machine" + words;
  one.reached = stage::done;
  one.source_hash = "00" + std::to_string(task);
  const bool right = random.unit() < (with ? 0.85 : 0.35) - 0.1 * task;
  one.what = right ? outcome::correct
                   : static_cast<outcome>(random.below(
                         static_cast<std::uint64_t>(outcome::correct)));
  if (draw == 7) one.what = outcome::unjudged;
  one.speed = "not measured: no GPU" + words;
  if (right)
    one.against_baseline = speedup{0.4 + 3 * random.unit(), draw % 2 == 0};
  else
    one.reason = "131 of 9000 elements of y are wrong, the first at index 17" +
                 words;
  if (!right) {
    finding seen;
    seen.kind = code::wrong_value;
    seen.what = "y[17] is 3, and not 4" + words;
    seen.line = 5;
    seen.test_case = "cols_1" + words;
    seen.element_type = "half";
    seen.count = 131;
    one.findings.push_back(seen);
    one.log = "half:\ncandidate.cu(5): warning #177-D: never used" + words;
  }
  for (const char* type : {"float", "half", "bfloat16"}) {
    case_agreement each;
    each.element_type = type;
    each.test_case = "cols_1" + words;
    each.reached = one.what;
    each.worst_share = 0.25;
    each.warp_instructions = 123'456;
    one.cases.push_back(each);
    compiled_kernel kernel;
    kernel.element_type = type;
    kernel.entry = "geglu" + words;
    kernel.registers = 40;
    one.kernels.push_back(kernel);
  }
  if (right)
    for (const char* type : {"half", "float"}) {
      timed_case timed;
      timed.test_case = "cols_1" + words;
      timed.element_type = type;
      timed.timer = "CUPTI records" + words;
      timed.baseline = "baseline" + words;
      timed.device = "a device" + words;
      timed.bytes = 3e6;
      timed.operations = task == 0 ? 4e9 : 8e6;
      timed.peak_bytes = 3.35e12;
      timed.peak_operations = type[0] == 'h' ? 989e12 : 67e12;
      for (std::uint64_t round = 0; round < 10; ++round)
        for (const bool baseline : {false, true}) {
          timed_sample sample;
          sample.of_baseline = baseline;
          sample.round = round;
          sample.nanoseconds = (task == 0 ? 90'000 : 3'000) *
                               (0.7 + random.unit()) * (baseline ? 1.5 : 1);
          timed.samples.push_back(sample);
        }
      vendor_timing& library = timed.vendor.emplace();
      library.name = "cuDNN 9.19.0, layer norm" + words;
      library.samples = timed.samples;
      library.verified_rows = 256;
      if (type[0] == 'f') {
        library.samples.clear();
        library.why_not = "it knows no way for this case" + words;
      }
      one.timings.push_back(timed);
    }
  if (right && draw <= 3) {
    tuning_told& tuned = one.tuning.emplace();
    tuned.test_case = "cols_1" + words;
    tuned.element_types = {"half", "float"};
    tuned.strategy = "portfolio";
    tuned.ended = "trials";
    tuned.settings = 96;
    tuned.baseline_nanoseconds = 9000;
    tuned.limit_nanoseconds = 900;
    tuned.first = {{"threads" + words, 128}};
    tuned.trials = {{4000.0, "correct"}, {std::nullopt, "wrong"},
                    {3000.0, "correct"}, {5000.0, "correct"},
                    {std::nullopt, "does_not_fit"}, {2500.0, "correct"}};
    tuned.best = 5;
    tuned.best_setting = {{"threads" + words, 256}};
    tuned.over_default = with ? tuned_ratio{1.6, 1.5, 1.7} : tuned_ratio{1.6, {}, {}};
    tuned.over_runner_up = tuned_ratio{1.2, {}, {}};
    tuned.runner_up = {{"threads" + words, 64}};
    tuned.failures = {{"wrong", 1, {{"threads" + words, 96}}, "it is" + words},
                      {"does_not_fit", 1, {{"threads" + words, 2048}}, ""}};
    tuned.importance = {{"threads" + words, 0.8}, {"unroll", 0.1}};
  }
  one.chosen.emplace_back("threads" + words, 128);
  counted_launch counted;
  counted.test_case = "cols_1";
  counted.element_type = "half";
  counted.of.kernel = "geglu" + words;
  one.counters.push_back(counted);
  one.assertions.push_back(
      {assertion::type::ptx_uses, "ptx_uses tensor_cores" + words,
       right ? assertion_result::verdict::passed
             : assertion_result::verdict::failed,
       right ? "" : "the PTX has no tensor_cores" + words});
  one.assertions.push_back({assertion::type::expectation,
                            "expectation it explains itself" + words,
                            assertion_result::verdict::not_judged,
                            "its words are for a person or a model to judge"});
  one.seconds.emplace_back("compile", 0.5);
  return one;
}

std::vector<record> both_arms(const std::string& words) {
  draws_of_seed random(7);
  std::vector<record> all;
  for (int model = 0; model < 2; ++model)
    for (int task = 0; task < 3; ++task)
      for (const bool with : {true, false})
        for (int draw = 1; draw <= 10; ++draw)
          all.push_back(made(random, model, task, with, draw, words));
  return all;
}

bool write(const std::string& path, const std::vector<record>& all,
           const std::string& source) {
  html_limits limits;
  limits.not_tried = 2;
  std::ofstream to(path, std::ios::binary);
  to << html_report(all, effects_of(all),
                    [&](const std::string&) { return std::optional(source); },
                    limits, attributions_of(all));
  return static_cast<bool>(to.flush());
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) {
    std::fputs("usage: page_maker FOLDER\n", stderr);
    return 2;
  }
  const std::string in = std::string(words[1]) + "/";
  std::vector<record> plain = both_arms("");
  plain.resize(5);
  for (record& one : plain) one.of.arm = one.of.skill = "";
  const bool fine = write(in + "effect.html", both_arms(""), source_text) &&
                    write(in + "hostile.html", both_arms(evil), evil) &&
                    write(in + "plain.html", plain, source_text) &&
                    write(in + "none.html", {}, "");
  return fine ? 0 : 3;
}
