#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <skillbench/check.hpp>

using namespace skillbench;

namespace {

expression parsed(std::string_view text) {
  auto made = expression::parse(text);
  REQUIRE(made.ok());
  return made.value();
}

// ---- a family: y[r, c] = (x[r, c] - mean_r) / sqrt(var_r + eps) * w[c] ----

void norm_row(const double* x, const double* w, std::size_t cols, double eps,
              double* y, double* condition) {
  double mean = 0, var = 0, size = 0;
  for (std::size_t c = 0; c < cols; ++c) {
    mean += x[c] / static_cast<double>(cols);
    size += std::abs(x[c]) / static_cast<double>(cols);
  }
  for (std::size_t c = 0; c < cols; ++c)
    var += (x[c] - mean) * (x[c] - mean) / static_cast<double>(cols);
  const double rstd = 1 / std::sqrt(var + eps);
  for (std::size_t c = 0; c < cols; ++c) {
    y[c] = (x[c] - mean) * rstd * w[c];
    if (condition != nullptr)
      condition[c] = 4 * (std::abs(x[c] - mean) + size) * rstd * std::abs(w[c]);
  }
}

void norm_reference(const case_inputs& given, std::string_view output,
                    reference_rows out) {
  REQUIRE(output == "y");
  const auto cols = static_cast<std::size_t>(out.width);
  std::vector<double> x(cols), w(cols);
  given.read("w", 0, w);
  for (std::int64_t r = 0; r < out.rows; ++r) {
    given.read("x", (out.first + r) * out.width, x);
    const auto at = static_cast<std::size_t>(r) * cols;
    norm_row(x.data(), w.data(), cols, given.real("eps"), &out.expected[at],
             &out.condition[at]);
    for (std::size_t c = 0; c < cols; ++c)
      out.yardstick[at + c] = rounded(given.type, out.expected[at + c]);
  }
}

test_case sized(std::string called, std::int64_t rows, std::int64_t cols) {
  test_case made;
  made.name = std::move(called);
  made.integers = {{"rows", rows}, {"cols", cols}};
  made.reals = {{"eps", 1e-5}};
  fill offset;
  offset.offset = 1.5;
  made.fills = {{"w", offset}};
  return made;
}

family norm_family() {
  family made;
  made.name = "norm";
  made.version = "1";
  using type = argument::type;
  made.arguments = {{"x", type::input, {parsed("rows"), parsed("cols")}, 0, 0},
                    {"w", type::input, {parsed("cols")}, 0, 0},
                    {"spare", type::input, {parsed("rows")}, 0, 0},
                    {"y", type::output, {parsed("rows"), parsed("cols")}, 0, 0},
                    {"rows", type::integer, {}, 1, 65536},
                    {"cols", type::integer, {}, 1, 65536},
                    {"eps", type::real, {}, 0, 0}};
  made.cases = {sized("large", 300, 512), sized("tiny", 1, 5),
                sized("odd", 37, 33), sized("odd_too", 33, 37)};
  made.reference = norm_reference;
  return made;
}

// ---- a candidate and its image --------------------------------------------

candidate norm_candidate() {
  candidate made;
  launch_text text;
  text.entry = "k<{T}>";
  text.args = {"x", "w", "y", "cols", "eps"};
  text.grid = {parsed("rows")};
  text.block = {parsed("BLOCK")};
  text.shared_bytes = parsed("BLOCK * sizeof_T");
  made.launch.launches = {text};
  made.launch.tune = {{"BLOCK", {128}}};
  return made;
}

const setting block_128{{"BLOCK", 128}};

image image_of(const candidate& from) {
  image made;
  made.ok = true;
  made.ptx = "the ptx";
  for (const auto& each : from.launch.launches) {
    kernel_image kernel;
    kernel.entry = each.entry;
    kernel.lowered = "_Z1k";
    made.kernels.push_back(kernel);
  }
  return made;
}

// ---- a device that computes on the host -----------------------------------

std::vector<double> input(const job& asked, std::string_view called) {
  for (const buffer& each : asked.buffers)
    if (each.name == called) {
      std::vector<double> made(static_cast<std::size_t>(each.elements));
      make_elements(each.filled, each.seed, each.type, 0, std::span(made));
      return made;
    }
  FAIL("the job has no such buffer");
  return {};
}

std::string bytes_of(const std::vector<double>& values, element type) {
  std::string made(values.size() * size_of(type), '\0');
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (type == element::f32) {
      const auto value = static_cast<float>(values[i]);
      std::memcpy(&made[4 * i], &value, 4);
    } else {
      const std::uint16_t bits = type == element::f16
                                     ? double_to_half(values[i])
                                     : double_to_bfloat(values[i]);
      std::memcpy(&made[2 * i], &bits, 2);
    }
  }
  return made;
}

std::vector<double> normed(const job& asked) {
  const auto x = input(asked, "x"), w = input(asked, "w");
  std::vector<double> y(x.size());
  for (std::size_t at = 0; at < x.size(); at += w.size())
    norm_row(&x[at], w.data(), w.size(), 1e-5, &y[at], nullptr);
  return y;
}

class fake_device : public device {
 public:
  using runs = std::function<result<run_report>(const job&)>;
  explicit fake_device(runs how) : how_(std::move(how)) {}

  std::string name() const override { return "fake"; }
  std::string target() const override { return "sm_90a"; }
  result<image> compile(const compile_request&) override {
    return fault{reason::not_supported, "a fake compiles nothing"};
  }
  result<done> load(const std::string& ptx) override {
    loaded.push_back(ptx);
    if (load_fault) return *load_fault;
    return done{};
  }
  result<run_report> run(const job& asked) override {
    jobs.push_back(asked);
    return how_(asked);
  }

  std::vector<std::string> loaded;
  std::vector<job> jobs;
  std::optional<fault> load_fault;

 private:
  runs how_;
};

// Runs the right kernel, then lets `spoil` change what comes of it.
fake_device::runs right_but(
    std::function<void(const job&, std::vector<double>&, run_report&)> spoil) {
  return [spoil](const job& asked) -> result<run_report> {
    auto y = normed(asked);
    run_report made;
    made.counted.warp_instructions = 10;
    made.counted.global_load_sectors = 2;
    made.cpu_seconds = 0.5;
    spoil(asked, y, made);
    for (std::size_t i = 0; i < asked.buffers.size(); ++i)
      if (asked.buffers[i].use == role::output)
        made.outputs.push_back({static_cast<std::int64_t>(i),
                                bytes_of(y, asked.buffers[i].type)});
    return made;
  };
}

fake_device right_device() {
  return fake_device(
      right_but([](const job&, std::vector<double>&, run_report&) {}));
}

finding told(code kind, severity weight, std::string what) {
  finding made;
  made.kind = kind;
  made.weight = weight;
  made.what = std::move(what);
  return made;
}

result<checked> checked_on(device& on, const family& asked = norm_family(),
                           const candidate& from = norm_candidate(),
                           element type = element::f32,
                           reference_cache* cache = nullptr) {
  return check(from, block_128, image_of(from), asked, type, on, 9, cache);
}

checked outcome_on(device& on, const family& asked = norm_family(),
                   const candidate& from = norm_candidate(),
                   element type = element::f32) {
  auto made = checked_on(on, asked, from, type);
  REQUIRE(made.ok());
  return made.value();
}

// What becomes of a candidate whose manifest was changed.
checked with_launch(const std::function<void(candidate&)>& change) {
  auto from = norm_candidate();
  change(from);
  auto on = right_device();
  auto made = outcome_on(on, norm_family(), from);
  CHECK(on.jobs.empty());  // what is refused is not run
  return made;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("check: a right kernel is correct in every element type") {
  for (const element type : all_elements) {
    auto on = right_device();
    const auto made = outcome_on(on, norm_family(), norm_candidate(), type);
    CHECK(made.reached == outcome::correct);
    CHECK(made.reason.empty());
    CHECK(made.findings.empty());
    CHECK_FALSE(made.unjudged_why.has_value());
    CHECK(made.not_run == 0);
    CHECK(on.loaded == std::vector<std::string>{"the ptx"});
    for (const auto& each : made.cases) {
      CHECK(each.reached == outcome::correct);
      CHECK(each.wrong == 0);
      CHECK(each.worst_share <= 0.5);
      CHECK(each.element_type == name(type));
      CHECK(each.warp_instructions == 10);
      CHECK(each.global_load_sectors == 2);
    }
    CHECK(made.counted.warp_instructions == 40);
    CHECK(made.cpu_seconds == 2.0);
  }
}

TEST_CASE("check: cases run from the smallest output to the largest") {
  auto on = right_device();
  const auto made = outcome_on(on);
  REQUIRE(made.cases.size() == 4);
  CHECK(made.cases[0].test_case == "tiny");
  CHECK(made.cases[1].test_case == "odd");  // as large as odd_too: as written
  CHECK(made.cases[2].test_case == "odd_too");
  CHECK(made.cases[3].test_case == "large");
  CHECK(made.cases[3].compared == 300 * 512);
}

TEST_CASE("check: a second run has the same inputs and another seed") {
  auto on = right_device();
  const auto made = outcome_on(on);
  CHECK(made.reached == outcome::correct);
  REQUIRE(on.jobs.size() == 7);  // every case twice but the large one
  for (std::size_t i = 0; i + 1 < on.jobs.size(); i += 2) {
    CHECK(on.jobs[i].seed != on.jobs[i + 1].seed);
    REQUIRE(on.jobs[i].buffers.size() == on.jobs[i + 1].buffers.size());
    for (std::size_t b = 0; b < on.jobs[i].buffers.size(); ++b)
      CHECK(on.jobs[i].buffers[b].seed == on.jobs[i + 1].buffers[b].seed);
  }
  CHECK(made.counted.warp_instructions == 40);  // of the first runs alone
}

TEST_CASE("check: a device that runs several at once changes nothing") {
  // Answers up to `most` jobs of a list, and leaves bits out that it told before.
  struct eager final : fake_device {
    eager(runs how, std::size_t many) : fake_device(std::move(how)), most(many) {}
    std::vector<result<run_report>> run_some(
        std::span<const job> asked) override {
      std::vector<result<run_report>> all;
      for (const job& each : asked.first(std::min(most, asked.size()))) {
        auto told = run(each);
        if (told && !each.only_other_bits)
          before = told.value().outputs[0].bytes;
        else if (told && told.value().outputs[0].bytes == before)
          told.value().outputs.clear();
        all.push_back(std::move(told));
        if (!all.back()) break;
      }
      longest = std::max(longest, all.size());
      return all;
    }
    std::size_t most = 0, longest = 0;
    std::string before;
  };
  using spoil = std::function<void(const job&, std::vector<double>&, run_report&)>;
  const auto elements = [](const job& of) { return of.buffers.back().elements; };
  const std::vector<spoil> spoils = {
      [](const job&, std::vector<double>&, run_report&) {},
      [](const job&, std::vector<double>& y, run_report&) { y[0] += 1; },
      [&](const job& of, std::vector<double>& y, run_report&) {
        if (elements(of) > 100) y[0] += 1;
      },
      [](const job& of, std::vector<double>& y, run_report&) {
        if (of.only_other_bits) y[1] *= 1 + 1e-7;
      },
      [](const job& of, std::vector<double>& y, run_report&) {
        if (of.only_other_bits) y[1] += 1;
      },
      [&](const job& of, std::vector<double>&, run_report& made) {
        if (elements(of) > 100)
          made.findings.push_back(
              told(code::out_of_bounds, severity::fails, "beyond x"));
      }};
  const auto words_of = [](const result<checked>& made) {
    REQUIRE(made.ok());
    const checked& it = made.value();
    std::string all = std::string(name(it.reached)) + ": " + it.reason + " " +
                      std::to_string(it.not_run) + " " +
                      std::to_string(it.counted.warp_instructions) + "\n";
    for (const case_agreement& each : it.cases)
      all += each.test_case + " " + std::string(name(each.reached)) + " " +
             std::to_string(each.compared) + " " + std::to_string(each.wrong) +
             " " + std::to_string(each.schedules) + "\n";
    for (const finding& each : it.findings)
      all += std::string(name(each.kind)) + " " + each.what + " " +
             each.test_case + " " + std::to_string(each.count) + "\n";
    return all;
  };
  for (const reason stops : {reason::internal, reason::too_slow,
                             reason::not_supported})
    for (const spoil& by : spoils) {
      // reason::internal: no fault at all.
      const auto runs = [&, stops](const job& of) -> result<run_report> {
        if (stops != reason::internal && elements(of) > 100)
          return fault{stops, "as it is"};
        return right_but(by)(of);
      };
      fake_device plain(runs);
      const std::string expected = words_of(checked_on(plain));
      for (const std::size_t most : {1, 2, 3, 5, 100}) {
        eager on(runs, most);
        CHECK(words_of(checked_on(on)) == expected);
        CHECK((most == 1 || on.longest > 1));
      }
    }
}

TEST_CASE("check: what only a second run shows: other bits are a note, worse fails") {
  const auto second_spoilt = [](double by) {
    return [by, runs = std::make_shared<int>(0)](
               const job&, std::vector<double>& y, run_report&) {
      if (++*runs == 2) y[1] *= 1 + by;
    };
  };
  fake_device close(right_but(second_spoilt(0x1p-23)));
  const auto noted = outcome_on(close);
  CHECK(noted.reached == outcome::correct);
  REQUIRE(noted.findings.size() == 1);
  CHECK(noted.findings[0].kind == code::not_reproducible);
  CHECK(noted.findings[0].weight == severity::note);
  CHECK(noted.findings[0].tensor == "y");

  fake_device far(right_but(second_spoilt(0.01)));
  const auto failed = outcome_on(far);
  CHECK(failed.reached == outcome::wrong);
  REQUIRE(failed.findings.size() == 1);
  CHECK(failed.findings[0].kind == code::wrong_value);
  CHECK(has(failed.findings[0].what, "in a second run"));
  CHECK(failed.findings[0].test_case == "tiny");
}

TEST_CASE("check: a second run that cannot be finished leaves it unjudged") {
  for (const reason why : {reason::too_slow, reason::too_large}) {
    int runs = 0;
    fake_device on([&](const job& asked) -> result<run_report> {
      if (++runs == 2) return fault{why, "never ends"};
      return right_but([](const job&, std::vector<double>&, run_report&) {})(asked);
    });
    const auto made = outcome_on(on);
    CHECK(made.reached == outcome::unjudged);
    CHECK(has(made.reason, "in a second run"));
    CHECK(has(made.reason, "never ends"));
    CHECK(made.endless == (why == reason::too_slow));
    REQUIRE_FALSE(made.cases.empty());
    CHECK(made.cases[0].schedules == 2);
  }
}

TEST_CASE("check: hidden cases are drawn from the seed and judged like the others") {
  auto asked = norm_family();
  asked.hidden.count = 3;
  asked.hidden.most_elements = 500;
  asked.hidden.reals = {{"eps", {1e-5}}};
  auto on = right_device();
  const auto made = outcome_on(on, asked);
  CHECK(made.reached == outcome::correct);
  CHECK(made.cases.size() == 7);
  int hidden = 0;
  for (const auto& each : made.cases)
    hidden += each.test_case.rfind("hidden_", 0) == 0;
  CHECK(hidden == 3);
}

namespace {

// A family with a shape of which a part alone is run: 2^20 rows of 4096.
family with_overflow() {
  auto made = norm_family();
  for (argument& each : made.arguments) each.most = std::int64_t{1} << 20;
  made.overflow = {sized("huge", 1 << 20, 4096)};
  return made;
}

// The right kernel; of the huge case, row `row` alone with `spoil` done to it.
fake_device partial(std::int64_t row, std::function<void(std::vector<double>&)> spoil,
                    bool writes = true) {
  const auto right = right_but([](const job&, std::vector<double>&, run_report&) {});
  return fake_device([=](const job& asked) -> result<run_report> {
    if (asked.ctas.empty()) return right(asked);
    run_report made;
    if (!writes) return made;
    std::vector<double> x(4096), y(4096);
    make_elements(asked.buffers[0].filled, asked.buffers[0].seed, asked.buffers[0].type, row * 4096, std::span(x));
    const auto w = input(asked, "w");
    norm_row(x.data(), w.data(), 4096, 1e-5, y.data(), nullptr);
    spoil(y);
    made.outputs.push_back({2, bytes_of(y, asked.buffers[2].type), row * 4096 * 4});
    return made;
  });
}

}  // namespace

TEST_CASE("check: of a shape beyond 2^31 elements the ends and the middle are run") {
  auto on = partial(1 << 19, [](std::vector<double>&) {});
  const auto made = outcome_on(on, with_overflow());
  CHECK(made.reached == outcome::correct);
  CHECK(made.findings.empty());
  REQUIRE(made.cases.size() == 5);
  CHECK(made.cases[4].test_case == "huge");
  CHECK(made.cases[4].compared == 4096);
  const std::vector<std::int64_t>& ctas = on.jobs.back().ctas;
  for (const std::int64_t each : {0, 1, (1 << 19) - 1, 1 << 19, (1 << 20) - 1})
    CHECK(std::count(ctas.begin(), ctas.end(), each) == 1);
}

TEST_CASE("check: what a part of a huge shape got wrong fails, and so does writing nothing") {
  auto wrong = partial((1 << 20) - 1, [](std::vector<double>& y) { y[7] += 1; });
  const auto seen = outcome_on(wrong, with_overflow());
  CHECK(seen.reached == outcome::wrong);
  REQUIRE(seen.findings.size() == 1);
  CHECK(seen.findings[0].index == (std::int64_t{1} << 32) - 4096 + 7);

  auto nothing = partial(0, [](std::vector<double>&) {}, false);
  const auto silent = outcome_on(nothing, with_overflow());
  CHECK(silent.reached == outcome::wrong);
  CHECK(silent.findings[0].kind == code::unwritten_output);
}

TEST_CASE("check: a huge shape that cannot be run in part is a note") {
  auto from = norm_candidate();
  from.launch.scratch = {{"space", parsed("rows * 4096")}};
  auto on = right_device();
  const auto tied = outcome_on(on, with_overflow(), from);
  CHECK(tied.reached == outcome::correct);
  REQUIRE(tied.findings.size() == 1);
  CHECK(tied.findings[0].kind == code::size_not_checked);
  CHECK(tied.findings[0].weight == severity::note);

  const auto right = right_but([](const job&, std::vector<double>&, run_report&) {});
  fake_device slow([=](const job& asked) -> result<run_report> {
    if (asked.ctas.empty()) return right(asked);
    return fault{reason::too_slow, "enough"};
  });
  const auto late = outcome_on(slow, with_overflow());
  CHECK(late.reached == outcome::correct);
  REQUIRE(late.findings.size() == 1);
  CHECK(has(late.findings[0].what, "enough"));
}

TEST_CASE("check: where CTAs of a huge shape have too much to do, fewer are run") {
  using list = std::vector<std::int64_t>;
  const auto choices = partial_choices({64, 8, 2});
  REQUIRE(choices.size() == 5);
  CHECK(choices[0] == list{0, 1, 128, 256, 511, 512, 513, 768, 1022, 1023});
  CHECK(choices[1] == list{0, 128, 256, 512, 960});
  CHECK(choices[2] == list{63, 127, 255, 511, 1023});
  CHECK(choices[3] == list{0, 16, 32, 63});
  CHECK(choices[4] == list{960, 992, 1023});
  for (const auto& choice : partial_choices({1, 1, 1})) CHECK(choice == list{0});

  auto quick = partial(0, [](std::vector<double>&) {});
  fake_device choosy([&](const job& asked) -> result<run_report> {
    if (asked.ctas.size() > 4) return fault{reason::too_slow, "enough"};
    return quick.run(asked);
  });
  const auto made = outcome_on(choosy, with_overflow());
  CHECK(made.reached == outcome::correct);
  CHECK(made.findings.empty());
  CHECK(made.cases.back().compared == 4096);
  const auto& last = choosy.jobs.back();
  CHECK(last.ctas == partial_choices(last.launches[0].grid)[1]);
}

TEST_CASE("check: the job is what manifest and case ask for") {
  auto on = right_device();
  auto from = norm_candidate();
  from.launch.scratch = {{"space", parsed("rows * 4")}, {"none", parsed("0")}};
  from.launch.launches[0].args = {"space", "y", "eps", "x", "rows", "w"};
  from.launch.launches[0].grid = {parsed("rows"), parsed("2"), parsed("cols")};
  from.launch.launches[0].block = {parsed("BLOCK"), parsed("sizeof_T")};
  const auto made = outcome_on(on, norm_family(), from, element::f16);
  CHECK(made.reached == outcome::correct);

  const job& asked = on.jobs[2];  // "odd", after "tiny" twice
  REQUIRE(asked.buffers.size() == 5);  // nothing names `spare`
  CHECK(asked.buffers[0].name == "x");
  CHECK(asked.buffers[0].use == role::input);
  CHECK(asked.buffers[0].elements == 37 * 33);
  CHECK(asked.buffers[0].type == element::f16);
  CHECK(asked.buffers[0].filled == fill{});
  CHECK(asked.buffers[1].name == "w");
  CHECK(asked.buffers[1].filled.offset == 1.5);
  CHECK(asked.buffers[2].name == "y");
  CHECK(asked.buffers[2].use == role::output);
  CHECK(asked.buffers[3].use == role::scratch);
  CHECK(asked.buffers[3].bytes() == 148);
  CHECK(asked.buffers[4].bytes() == 0);
  CHECK(asked.buffers[0].seed != asked.buffers[1].seed);
  CHECK(asked.buffers[0].seed != on.jobs[4].buffers[0].seed);
  CHECK(asked.seed != on.jobs[4].seed);

  REQUIRE(asked.launches.size() == 1);
  const launch& ready = asked.launches[0];
  CHECK(ready.entry == "_Z1k");
  CHECK(ready.grid == extent{37, 2, 33});
  CHECK(ready.block == extent{128, 2, 1});
  CHECK(ready.shared_bytes == 256);
  using type = kernel_argument::type;
  REQUIRE(ready.args.size() == 6);
  CHECK(ready.args[0].kind == type::pointer);
  CHECK(ready.args[0].value == 3);
  CHECK(ready.args[0].name == "space");
  CHECK(ready.args[1].value == 2);
  CHECK(ready.args[2].kind == type::real);
  CHECK(ready.args[2].real == 1e-5);
  CHECK(ready.args[3].value == 0);
  CHECK(ready.args[4].kind == type::integer);
  CHECK(ready.args[4].value == 37);
  CHECK(ready.args[5].kind == type::pointer);
  CHECK(ready.args[5].value == 1);
}

TEST_CASE("check: the same seed asks for the same jobs, another for others") {
  const auto jobs = [](std::uint64_t seed, element type) {
    auto on = right_device();
    const auto from = norm_candidate();
    REQUIRE(check(from, block_128, image_of(from), norm_family(), type, on, seed)
                .ok());
    return std::pair(on.jobs[0].buffers[0].seed, on.jobs[0].seed);
  };
  CHECK(jobs(1, element::f32) == jobs(1, element::f32));
  CHECK(jobs(1, element::f32).first != jobs(2, element::f32).first);
  CHECK(jobs(1, element::f32).second != jobs(2, element::f32).second);
  CHECK(jobs(1, element::f32).first != jobs(1, element::f16).first);
}

TEST_CASE("check: every run of a case has the threads that were asked for") {
  const auto from = norm_candidate();
  for (const std::int64_t threads : {std::int64_t{1}, std::int64_t{6}}) {
    auto on = right_device();
    REQUIRE(check(from, block_128, image_of(from), norm_family(), element::f32,
                  on, 1, nullptr, 0, threads)
                .ok());
    for (const job& each : on.jobs) CHECK(each.threads == threads);
  }
}

TEST_CASE("check: one wrong element is found and placed") {
  fake_device on(right_but([](const job&, std::vector<double>& y, run_report&) {
    if (y.size() == 300 * 512) y[200 * 512 + 17] += 1000;
  }));
  const auto made = outcome_on(on);
  CHECK(made.reached == outcome::wrong);
  REQUIRE(made.findings.size() == 1);
  const finding& why = made.findings[0];
  CHECK(why.kind == code::wrong_value);
  CHECK(why.weight == severity::fails);
  CHECK(why.tensor == "y");
  CHECK(why.test_case == "large");
  CHECK(why.element_type == "float");
  CHECK(why.index == 200 * 512 + 17);
  CHECK(why.count == 1);
  CHECK(has(why.what, "y[200, 17] (element 102417) is "));
  CHECK(has(why.what, "1 of 153600 elements are wrong"));
  CHECK(made.cases[3].wrong == 1);
  CHECK(made.cases[3].worst_share > 1e6);
  CHECK(made.cases[2].reached == outcome::correct);
  CHECK(has(made.reason, "case `large` in float: y[200, 17]"));
}

TEST_CASE("check: the expected value and the first of several are told") {
  fake_device on(right_but([](const job&, std::vector<double>& y, run_report&) {
    for (std::size_t i = 3; i < y.size(); ++i)
      y[i] = std::numeric_limits<double>::quiet_NaN();
  }));
  const auto made = outcome_on(on);
  REQUIRE(made.findings.size() == 3);
  CHECK(made.findings[0].test_case == "tiny");
  CHECK(made.findings[0].index == 3);
  CHECK(made.findings[0].count == 2);
  CHECK(has(made.findings[0].what, "is NaN, expected "));
  CHECK(has(made.findings[0].what, "2 of 5 elements are wrong."));
}

TEST_CASE("check: of wrong elements in several blocks the first is told") {
  fake_device on(right_but([](const job&, std::vector<double>& y, run_report&) {
    if (y.size() != 300 * 512) return;
    y[70000] = 1000;
    y[150000] = 2000;
  }));
  const auto made = outcome_on(on);
  REQUIRE(made.findings.size() == 1);
  CHECK(made.findings[0].index == 70000);
  CHECK(made.findings[0].count == 2);
  CHECK(has(made.findings[0].what, "is 1000, expected"));
}

TEST_CASE("check: after three failed cases the rest is left out, and said so") {
  fake_device on(right_but([](const job&, std::vector<double>& y, run_report&) {
    for (double& each : y) each = 0;
  }));
  const auto made = outcome_on(on);
  CHECK(made.reached == outcome::wrong);
  CHECK(on.jobs.size() == 3);
  CHECK(made.cases.size() == 3);
  CHECK(made.findings.size() == 3);
  CHECK(made.not_run == 1);
  CHECK(has(made.reason, "; 1 of 4 cases were not run after 3 that failed."));
}

TEST_CASE("check: a fault of the kernel leaves nothing to compare") {
  for (const code kind :
       {code::out_of_bounds, code::misaligned, code::writes_input,
        code::undefined_value, code::deadlock, code::trap,
        code::invalid_access}) {
    fake_device on(right_but([&](const job&, std::vector<double>& y,
                                 run_report& report) {
      for (double& each : y) each = 0;
      report.findings = {told(kind, severity::fails, "It broke.")};
    }));
    const auto made = outcome_on(on);
    CHECK(made.reached == outcome::faults);
    REQUIRE(made.findings.size() == 3);
    CHECK(made.findings[0].test_case == "tiny");
    CHECK(made.findings[0].element_type == "float");
    CHECK(made.cases[0].reached == outcome::faults);
    CHECK(made.cases[0].compared == 0);
    CHECK(has(made.reason, "It broke"));
  }
}

TEST_CASE("check: a fault in one case outweighs wrong values in another") {
  fake_device on(right_but([&](const job&, std::vector<double>& y,
                               run_report& report) {
    if (y.size() == 5) y[0] += 1;
    if (y.size() > 10000)
      report.findings = {told(code::deadlock, severity::fails, "It waits.")};
  }));
  const auto made = outcome_on(on);
  CHECK(made.reached == outcome::faults);
  CHECK(has(made.reason, "It waits."));
  CHECK(made.cases[0].reached == outcome::wrong);
  CHECK(made.cases[1].reached == outcome::correct);
}

TEST_CASE("check: unwritten elements are not told twice") {
  const auto run_with = [](std::size_t spoilt, std::uint64_t told_of,
                           severity weight) {
    fake_device on(right_but([=](const job&, std::vector<double>& y,
                                 run_report& report) {
      if (y.size() != 5) return;
      for (std::size_t i = 0; i < spoilt; ++i) y[i] += 100;
      auto why = told(code::unwritten_output, weight, "Not written.");
      why.tensor = "y";
      why.count = told_of;
      report.findings = {why};
    }));
    return outcome_on(on);
  };
  const auto all = run_with(2, 2, severity::fails);
  CHECK(all.reached == outcome::wrong);
  CHECK(all.findings.size() == 1);
  CHECK(all.cases[0].wrong == 2);

  const auto more = run_with(3, 2, severity::fails);
  CHECK(more.findings.size() == 2);
  CHECK(more.findings[1].kind == code::wrong_value);

  const auto as_note = run_with(2, 2, severity::note);
  CHECK(as_note.reached == outcome::wrong);
  CHECK(as_note.findings.size() == 2);

  // Poison that happens to be right was still never written.
  CHECK(run_with(0, 2, severity::fails).reached == outcome::wrong);
}

TEST_CASE("check: notes decide nothing and are told once") {
  fake_device on(right_but([](const job&, std::vector<double>&,
                              run_report& report) {
    report.findings = {told(code::trap, severity::note, "It prints.")};
  }));
  const auto made = outcome_on(on);
  CHECK(made.reached == outcome::correct);
  REQUIRE(made.findings.size() == 1);
  CHECK(made.findings[0].count == 4);
}

TEST_CASE("check: cheating counts only for what is right") {
  bool wrong = false;
  fake_device on(right_but([&](const job&, std::vector<double>& y,
                               run_report& report) {
    if (wrong) y[0] += 100;
    report.findings = {told(code::trap, severity::cheats, "It peeks.")};
  }));
  const auto right = outcome_on(on);
  CHECK(right.reached == outcome::cheats);
  CHECK(right.cases.size() == 4);
  CHECK(right.cases[0].compared == 5);
  CHECK(has(right.reason, "It peeks."));
  wrong = true;
  CHECK(outcome_on(on).reached == outcome::wrong);
}

TEST_CASE("check: what the device cannot run is unjudged, not wrong") {
  for (const reason why : {reason::not_supported, reason::too_large}) {
    const auto right = right_but([](const job&, std::vector<double>&,
                                    run_report&) {});
    fake_device on([&](const job& asked) -> result<run_report> {
      if (asked.buffers[0].elements == 37 * 33)
        return fault{why, "cannot do this"};
      return right(asked);
    });
    const auto made = outcome_on(on);
    CHECK(made.reached == outcome::unjudged);
    CHECK(made.unjudged_why == "case `odd`: cannot do this");
    CHECK(made.reason == "case `odd`: cannot do this");
    CHECK(made.cases.size() == 4);  // the others are still run
    CHECK(made.cases[1].reached == outcome::unjudged);
    CHECK(made.cases[3].reached == outcome::correct);
  }
}

TEST_CASE("check: a device that ends is told with the case that it ran") {
  struct mortal final : fake_device {
    using fake_device::fake_device;
    std::vector<result<run_report>> run_some(
        std::span<const job> asked) override {
      std::vector<result<run_report>> all;
      for (const job& each : asked) {
        all.push_back(run(each));
        if (!all.back()) break;
      }
      return all;
    }
  };
  const auto right = right_but([](const job&, std::vector<double>&,
                                  run_report&) {});
  for (const reason why :
       {reason::child_died, reason::child_timed_out, reason::io}) {
    mortal on([&](const job& asked) -> result<run_report> {
      if (asked.buffers[0].elements == 33 * 37 && asked.only_other_bits)
        return fault{why, "it is gone"};
      return right(asked);
    });
    const auto made = checked_on(on);
    REQUIRE_FALSE(made.ok());
    CHECK(made.error().why == why);
    CHECK(has(made.error().what, "it is gone"));
    CHECK(made.error().what.starts_with("case `odd") == (why != reason::io));
  }
  // What was found wrong before stays found.
  mortal on([&](const job& asked) -> result<run_report> {
    if (asked.buffers[0].elements == 33 * 37) return fault{reason::child_died, "it is gone"};
    auto told = right(asked);
    if (told) for (char& byte : told.value().outputs[0].bytes) byte = 0x40;
    return told;
  });
  const auto made = checked_on(on);
  REQUIRE(made.ok());
  CHECK(made.value().reached == outcome::wrong);
  CHECK(has(made.value().findings.at(0).what, "expected"));
  CHECK(made.value().not_run > 0);
  REQUIRE(made.value().unjudged_why.has_value());
  CHECK(made.value().unjudged_why->starts_with("case `odd"));
}

TEST_CASE("check: a case that fails decides beside one that is unjudged") {
  const auto wrong = right_but([](const job&, std::vector<double>& y,
                                  run_report&) { y[0] += 100; });
  fake_device on([&](const job& asked) -> result<run_report> {
    if (asked.buffers[0].elements == 5)
      return fault{reason::not_supported, "cannot do this"};
    return wrong(asked);
  });
  const auto made = outcome_on(on);
  CHECK(made.reached == outcome::wrong);
  CHECK(has(made.reason, "y[0, 0]"));
  CHECK(made.unjudged_why.has_value());
}

TEST_CASE("check: one case that was too slow is enough") {
  fake_device slow([](const job&) -> result<run_report> {
    return fault{reason::too_slow, "too slow"};
  });
  const auto made = outcome_on(slow);
  CHECK(made.reached == outcome::unjudged);
  CHECK(made.cases.size() == 1);
  CHECK(made.not_run == 3);
  CHECK(has(made.reason, "3 of 4 cases were not run after one that was too slow"));
  CHECK(made.endless);
  CHECK(slow.jobs.front().most_instructions == most_small_instructions);

  fake_device unknown([](const job&) -> result<run_report> {
    return fault{reason::not_supported, "an opcode"};
  });
  CHECK(outcome_on(unknown).cases.size() == 4);
}

TEST_CASE("check: any other fault of the device is handed on") {
  for (const reason why : {reason::child_died, reason::child_timed_out,
                           reason::internal, reason::io, reason::cancelled}) {
    fake_device on([&](const job&) -> result<run_report> {
      return fault{why, "broken"};
    });
    const auto made = checked_on(on);
    REQUIRE_FALSE(made.ok());
    CHECK(made.error().why == why);
  }
}

TEST_CASE("check: a module that cannot be loaded is unjudged or a fault") {
  auto on = right_device();
  on.load_fault = fault{reason::not_supported, "line 3: an opcode"};
  const auto made = outcome_on(on);
  CHECK(made.reached == outcome::unjudged);
  CHECK(made.unjudged_why == "line 3: an opcode");
  CHECK(made.not_run == 4);
  CHECK(made.cases.empty());
  CHECK(on.jobs.empty());
  on.load_fault = fault{reason::child_died, "gone"};
  CHECK(checked_on(on).error().why == reason::child_died);
}

TEST_CASE("check: a shape that `require` excludes counts as not solved") {
  auto from = norm_candidate();
  from.launch.require = {parsed("cols >= 1"), parsed("cols % 32 == 0")};
  auto on = right_device();
  const auto made = outcome_on(on, norm_family(), from);
  CHECK(made.reached == outcome::wrong);
  REQUIRE(made.findings.size() == 3);
  CHECK(made.findings[0].kind == code::shape_not_supported);
  CHECK(made.findings[0].weight == severity::fails);
  CHECK(has(made.findings[0].what, "`cols % 32 == 0` is false for case `tiny`"));
  CHECK(made.cases[0].compared == 0);
  CHECK(on.jobs.empty());
}

TEST_CASE("check: an expression that cannot be evaluated breaks the contract") {
  const auto change = [](auto how) { return with_launch(how).reached; };
  CHECK(change([](candidate& of) {
          of.launch.require = {parsed("1 / (rows - rows)")};
        }) == outcome::bad_manifest);
  CHECK(change([](candidate& of) {
          of.launch.launches[0].grid = {parsed("cols / 0")};
        }) == outcome::bad_manifest);
  CHECK(change([](candidate& of) {
          of.launch.launches[0].block = {parsed("unheard_of")};
        }) == outcome::bad_manifest);
  CHECK(change([](candidate& of) {
          of.launch.launches[0].shared_bytes = parsed("ceil_div(1, 0)");
        }) == outcome::bad_manifest);
  CHECK(change([](candidate& of) {
          of.launch.scratch = {{"s", parsed("1 % 0")}};
        }) == outcome::bad_manifest);
  CHECK(change([](candidate& of) {
          of.launch.launches[0].args = {"x", "y", "unheard_of"};
        }) == outcome::bad_manifest);
  CHECK(change([](candidate& of) { of.launch.launches[0].grid.clear(); }) ==
        outcome::bad_manifest);
  CHECK(change([](candidate& of) {
          of.launch.launches[0].block.assign(4, parsed("1"));
        }) == outcome::bad_manifest);
}

TEST_CASE("check: a launch beyond an H100 is refused, one at the limit is not") {
  struct row {
    std::vector<std::string> grid, block;
    std::string shared;
    bool launches;
  };
  const std::vector<row> table{
      {{"2147483647"}, {"1"}, "0", true},
      {{"2147483648"}, {"1"}, "0", false},
      {{"1", "65535", "65535"}, {"1"}, "0", true},
      {{"1", "65536"}, {"1"}, "0", false},
      {{"1", "1", "65536"}, {"1"}, "0", false},
      {{"0"}, {"1"}, "0", false},
      {{"1", "0"}, {"1"}, "0", false},
      {{"-1"}, {"1"}, "0", false},
      {{"1"}, {"1024"}, "0", true},
      {{"1"}, {"1025"}, "0", false},
      {{"1"}, {"1", "1024"}, "0", true},
      {{"1"}, {"1", "1025"}, "0", false},
      {{"1"}, {"1", "1", "64"}, "0", true},
      {{"1"}, {"1", "1", "65"}, "0", false},
      {{"1"}, {"32", "32"}, "0", true},
      {{"1"}, {"32", "33"}, "0", false},
      {{"1"}, {"0"}, "0", false},
      {{"1"}, {"1"}, "232448", true},
      {{"1"}, {"1"}, "232449", false},
      {{"1"}, {"1"}, "-1", false},
      {{"1"}, {"1"}, "9223372036854775807", false},
  };
  for (const row& each : table) {
    auto from = norm_candidate();
    launch_text& text = from.launch.launches[0];
    text.grid.clear();
    text.block.clear();
    for (const auto& part : each.grid) text.grid.push_back(parsed(part));
    for (const auto& part : each.block) text.block.push_back(parsed(part));
    text.shared_bytes = parsed(each.shared);
    auto on = right_device();
    const auto made = outcome_on(on, norm_family(), from);
    CAPTURE(each.grid[0]);
    CAPTURE(each.block[0]);
    CAPTURE(each.shared);
    if (each.launches) {
      CHECK(made.reached == outcome::correct);
    } else {
      CHECK(made.reached == outcome::faults);
      CHECK(on.jobs.empty());
      REQUIRE_FALSE(made.findings.empty());
      CHECK(made.findings[0].kind == code::launch_refused);
      CHECK(made.findings[0].kernel == "_Z1k");
    }
  }
}

TEST_CASE("check: what a refused launch asked for is told") {
  const auto made = with_launch([](candidate& of) {
    of.launch.launches[0].grid = {parsed("1"), parsed("cols - cols")};
  });
  CHECK(has(made.findings[0].what,
            "`grid` of `k<{T}>` has 0 in y (`cols - cols`); an H100 takes 1 to "
            "65535."));
}

TEST_CASE("check: static shared memory counts beside dynamic") {
  auto from = norm_candidate();
  from.launch.launches[0].shared_bytes = parsed("232448 - 1024");
  auto compiled = image_of(from);
  const auto reached = [&](int fixed) {
    compiled.kernels[0].static_shared = fixed;
    auto on = right_device();
    return check(from, block_128, compiled, norm_family(), element::f32, on, 1)
        .value()
        .reached;
  };
  CHECK(reached(1024) == outcome::correct);
  CHECK(reached(1025) == outcome::faults);
}

TEST_CASE("check: a block with more registers than an SM is refused") {
  auto from = norm_candidate();
  auto compiled = image_of(from);
  const auto reached = [&](std::string_view threads, int registers) {
    from.launch.launches[0].block = {parsed(threads)};
    compiled.kernels[0].registers = registers;
    auto on = right_device();
    return check(from, block_128, compiled, norm_family(), element::f32, on, 1)
        .value()
        .reached;
  };
  CHECK(reached("1024", 64) == outcome::correct);
  CHECK(reached("1024", 65) == outcome::faults);
  CHECK(reached("256", 255) == outcome::correct);
  CHECK(reached("257", 255) == outcome::faults);
  // Nine warps of 5632 registers would fit; twelve are given out, and do not.
  CHECK(reached("256", 176) == outcome::correct);
  CHECK(reached("288", 176) == outcome::faults);
}

TEST_CASE("check: clusters and tensor maps are evaluated for the case") {
  auto from = norm_candidate();
  tensor_map_text map;
  map.name = "m";
  map.tensor = "x";
  map.extents = {parsed("cols"), parsed("rows")};
  map.strides = {parsed("cols * sizeof_T")};
  map.box = {parsed("BLOCK"), parsed("1")};
  map.swizzle = 64;
  map.interleave = 16;
  map.nan = true;
  from.launch.tensor_maps = {map};
  from.launch.launches[0].args = {"m", "y", "eps", "rows", "w"};
  from.launch.launches[0].cluster = {parsed("2"), parsed("sizeof_T")};
  auto on = right_device();
  (void)outcome_on(on, norm_family(), from, element::f16);
  const job& asked = on.jobs[2];
  CHECK(asked.buffers[0].name == "x");  // through the map
  REQUIRE(asked.tensor_maps.size() == 1);
  CHECK(asked.tensor_maps[0].buffer == 0);
  CHECK(asked.tensor_maps[0].extents == std::vector<std::int64_t>{33, 37});
  CHECK(asked.tensor_maps[0].strides == std::vector<std::int64_t>{66});
  CHECK(asked.tensor_maps[0].box[1] == 1);
  CHECK(asked.tensor_maps[0].swizzle == 64);
  CHECK(asked.tensor_maps[0].interleave == 16);
  CHECK(asked.tensor_maps[0].nan);
  CHECK(asked.launches[0].cluster == extent{2, 2, 1});
  CHECK(asked.launches[0].args[0].kind == kernel_argument::type::tensor_map);
  CHECK(asked.launches[0].args[0].value == 0);
  from.launch.launches[0].cluster = {parsed("17")};
  auto refusing = right_device();
  CHECK(outcome_on(refusing, norm_family(), from, element::f16).findings[0].kind == code::launch_refused);
  from.launch.launches[0].cluster.clear();
  from.launch.tensor_maps[0].extents[0] = parsed("1 / (rows - rows)");
  CHECK(outcome_on(refusing, norm_family(), from, element::f16).findings[0].kind == code::bad_manifest);
}

TEST_CASE("check: scratch is from nothing to four gigabytes") {
  const auto reached = [](std::string_view bytes) {
    auto from = norm_candidate();
    from.launch.scratch = {{"s", parsed(bytes)}};
    from.launch.launches[0].args.push_back("s");
    auto on = right_device();
    return outcome_on(on, norm_family(), from).reached;
  };
  CHECK(reached("0") == outcome::correct);
  CHECK(reached("4294967296") == outcome::correct);
  CHECK(reached("4294967297") == outcome::faults);
  CHECK(reached("-1") == outcome::faults);
}

TEST_CASE("check: an image without its kernels is the caller's fault") {
  const auto from = norm_candidate();
  auto on = right_device();
  auto compiled = image_of(from);
  compiled.kernels.clear();
  CHECK(check(from, block_128, compiled, norm_family(), element::f32, on, 1)
            .error()
            .why == reason::bad_argument);
  compiled = image_of(from);
  compiled.ok = false;
  CHECK_FALSE(
      check(from, block_128, compiled, norm_family(), element::f32, on, 1).ok());
}

TEST_CASE("check: an answer without its output bytes is a fault") {
  fake_device none([](const job&) -> result<run_report> {
    return run_report{};
  });
  CHECK(checked_on(none).error().why == reason::child_protocol);

  fake_device few([](const job&) -> result<run_report> {
    run_report made;
    made.outputs = {{2, "abc"}};
    return made;
  });
  CHECK(checked_on(few).error().why == reason::child_protocol);

  fake_device elsewhere([](const job&) -> result<run_report> {
    run_report made;
    made.outputs = {{-1, "abc"}, {99, "abc"}, {0, "abc"}};
    return made;
  });
  CHECK(checked_on(elsewhere).error().why == reason::child_protocol);
}

TEST_CASE("check: a family that contradicts itself is a fault") {
  auto on = right_device();
  auto none = norm_family();
  none.cases.clear();
  CHECK(checked_on(on, none).error().why == reason::bad_argument);

  auto unread = norm_family();
  unread.reference = nullptr;
  CHECK(checked_on(on, unread).error().why == reason::bad_argument);

  auto shapeless = norm_family();
  shapeless.arguments[3].shape = {parsed("rows"), parsed("depth")};
  CHECK(checked_on(on, shapeless).error().why == reason::bad_input);

  auto endless = norm_family();
  endless.arguments[3].shape = {parsed("1099511627776"), parsed("1099511627776")};
  CHECK(checked_on(on, endless).error().why == reason::bad_input);

  auto negative = norm_family();
  negative.arguments[3].shape = {parsed("0 - rows")};
  CHECK(checked_on(on, negative).error().why == reason::bad_input);
}

TEST_CASE("check: a reference that leaves elements out is a fault, not wrong") {
  auto lazy = norm_family();
  lazy.reference = [](const case_inputs& given, std::string_view output,
                      reference_rows out) {
    norm_reference(given, output, out);
    out.condition.back() = std::numeric_limits<double>::quiet_NaN();
  };
  auto on = right_device();
  const auto made = checked_on(on, lazy);
  REQUIRE_FALSE(made.ok());
  CHECK(has(made.error().what, "the reference of `norm`, case `tiny`, float"));

  lazy.reference = [](const case_inputs& given, std::string_view output,
                      reference_rows out) {
    norm_reference(given, output, out);
    out.expected[1] = std::numeric_limits<double>::quiet_NaN();
  };
  const auto unsaid = checked_on(on, lazy);
  REQUIRE_FALSE(unsaid.ok());
  CHECK(has(unsaid.error().what, "gave no number for element 1"));

  lazy.reference = [](const case_inputs&, std::string_view, reference_rows) {};
  CHECK_FALSE(checked_on(on, lazy).ok());
}

TEST_CASE("check: the reference is asked for each row once, in blocks") {
  auto asked = norm_family();
  asked.cases = {sized("wide", 5, 40000), sized("tall", 3000, 64),
                 sized("huge_row", 2, 70000)};
  std::vector<std::array<std::int64_t, 3>> calls;
  asked.reference = [&](const case_inputs& given, std::string_view output,
                        reference_rows out) {
    calls.push_back({out.first, out.rows, out.width});
    CHECK(out.expected.size() == static_cast<std::size_t>(out.rows * out.width));
    norm_reference(given, output, out);
  };
  auto on = right_device();
  CHECK(outcome_on(on, asked).reached == outcome::correct);
  using call = std::array<std::int64_t, 3>;
  CHECK(calls == std::vector<call>{{0, 1, 70000}, {1, 1, 70000},
                                   {0, 1024, 64}, {1024, 1024, 64},
                                   {2048, 952, 64},
                                   {0, 1, 40000}, {1, 1, 40000}, {2, 1, 40000},
                                   {3, 1, 40000}, {4, 1, 40000}});
}

TEST_CASE("check: a cache saves the reference and changes no verdict") {
  int calls = 0;
  auto asked = norm_family();
  asked.reference = [&](const case_inputs& given, std::string_view output,
                        reference_rows out) {
    ++calls;
    norm_reference(given, output, out);
  };
  reference_cache cache;
  const auto run_with = [&](element type, std::uint64_t seed, double off) {
    fake_device on(right_but([&](const job&, std::vector<double>& y,
                                 run_report&) { y.back() += off; }));
    const auto from = norm_candidate();
    auto made = check(from, block_128, image_of(from), asked, type, on, seed,
                      &cache);
    REQUIRE(made.ok());
    return made.value();
  };
  const auto first = run_with(element::f32, 1, 0);
  const int once = calls;
  CHECK(once == 6);  // three small cases and three blocks of the large one
  const auto second = run_with(element::f32, 1, 0);
  CHECK(calls == once);
  CHECK(second.reached == outcome::correct);
  CHECK(second.cases[3].compared == first.cases[3].compared);
  CHECK(second.cases[3].worst_share == first.cases[3].worst_share);
  const auto wrong = run_with(element::f32, 1, 10);
  CHECK(calls == once);
  CHECK(wrong.reached == outcome::wrong);
  CHECK(wrong.findings[0].index == 4);

  CHECK(run_with(element::f16, 1, 0).reached == outcome::correct);
  CHECK(calls == 2 * once);
  CHECK(run_with(element::f32, 2, 0).reached == outcome::correct);
  CHECK(calls == 3 * once);
  // Four cases with three combinations of type and seed; the second run asked
  // for all four again.
  CHECK(cache.counts().computed == 12);
  CHECK(cache.counts().used_again >= 4);
}

TEST_CASE("check: a cache without room keeps nothing") {
  reference_cache small(4);
  CHECK(small.has_room(4));
  CHECK_FALSE(small.has_room(5));
  auto on = right_device();
  for (int i = 0; i < 2; ++i) {
    const auto made = checked_on(on, norm_family(), norm_candidate(),
                                 element::f32, &small);
    REQUIRE(made.ok());
    CHECK(made.value().reached == outcome::correct);
  }
  CHECK(small.has_room(4));
}

TEST_CASE("check: the reference reads what the device makes") {
  const auto asked = norm_family();
  auto on = right_device();
  (void)outcome_on(on, asked);
  const auto given = inputs_of(asked, asked.cases[1], element::f32, 9);  // tiny
  std::vector<double> x(5), w(3);
  given.read("x", 0, x);
  CHECK(x == input(on.jobs[0], "x"));
  given.read("w", 2, w);
  const auto whole = input(on.jobs[0], "w");
  CHECK(std::equal(w.begin(), w.end(), whole.begin() + 2));
  given.read("unheard_of", 0, w);
  CHECK(w == std::vector<double>{0, 0, 0});
}

TEST_CASE("check: two kernels with scratch between them are two launches") {
  auto from = norm_candidate();
  from.launch.scratch = {{"s", parsed("rows * 8")}};
  from.launch.launches.push_back(from.launch.launches[0]);
  from.launch.launches[0].args = {"x", "s"};
  from.launch.launches[1].args = {"s", "x", "w", "y"};
  auto on = right_device();
  CHECK(outcome_on(on, norm_family(), from).reached == outcome::correct);
  REQUIRE(on.jobs[0].launches.size() == 2);
  CHECK(on.jobs[0].launches[0].args[1].value == 3);
  CHECK(on.jobs[0].launches[1].args[0].value == 3);
}

TEST_CASE("check: trivial answers fail and the right one passes") {
  const auto asked = norm_family();
  const auto answers = trivial_answers(asked);
  REQUIRE(answers.size() == 3);
  CHECK(answers[0].first == "zeros");
  CHECK(answers[1].first == "copy of x");
  CHECK(answers[2].first == "mean of x");
  const answer_function right = [](const case_inputs& given, std::string_view,
                                   std::int64_t first, std::int64_t width,
                                   std::span<double> answer) {
    const auto cols = static_cast<std::size_t>(width);
    std::vector<double> x(cols), w(cols);
    given.read("w", 0, w);
    for (std::size_t at = 0; at < answer.size(); at += cols) {
      given.read("x", first + static_cast<std::int64_t>(at), x);
      norm_row(x.data(), w.data(), cols, given.real("eps"), &answer[at], nullptr);
    }
  };
  for (const element type : all_elements)
    for (const test_case& of : asked.cases) {
      for (const auto& each : answers) {
        CAPTURE(each.first);
        CHECK_FALSE(accepts(asked, of, type, 3, each.second));
      }
      CHECK(accepts(asked, of, type, 3, right));
    }
}

TEST_CASE("check: a copy is of the input's own elements, a mean of its values") {
  auto asked = norm_family();
  fill of_x;
  of_x.kind = pattern::alternate;
  of_x.offset = 7;
  asked.cases[1].fills.emplace_back("x", of_x);  // 8, 6, 8, 6, 8
  asked.arguments[3].shape = {parsed("rows * 3"), parsed("cols")};
  const auto answers = trivial_answers(asked);
  const auto given = inputs_of(asked, asked.cases[1], element::f32, 1);
  std::vector<double> made(7);
  answers[1].second(given, "y", 3, 5, made);
  CHECK(made == std::vector<double>{6, 8, 8, 6, 8, 6, 8});
  answers[2].second(given, "y", 0, 5, made);
  CHECK(made[0] == doctest::Approx(7.2));
  CHECK(made[6] == made[0]);
}

TEST_CASE("check: an answer is rounded to the element type before it is judged") {
  auto asked = norm_family();
  asked.reference = [](const case_inputs&, std::string_view, reference_rows out) {
    std::fill(out.expected.begin(), out.expected.end(), 1.0);
    std::fill(out.yardstick.begin(), out.yardstick.end(), 1.0);
    std::fill(out.condition.begin(), out.condition.end(), 0.0);
  };
  const auto passes = [&](double value) {
    return accepts(asked, asked.cases[1], element::f16, 1,
                   [value](const case_inputs&, std::string_view, std::int64_t,
                           std::int64_t, std::span<double> answer) {
                     std::fill(answer.begin(), answer.end(), value);
                   });
  };
  CHECK(passes(1 + 0x1p-9));
  CHECK(passes(1 + 0x1p-9 + 0x1p-12));  // rounds to two steps above 1
  CHECK_FALSE(passes(1 + 0x1p-9 + 0x1p-10));
}

TEST_CASE("check: a fault accepts nothing") {
  auto asked = norm_family();
  asked.reference = nullptr;
  const auto answers = trivial_answers(asked);
  CHECK_FALSE(accepts(asked, asked.cases[0], element::f32, 1, answers[0].second));
  CHECK(judge_answers(asked, asked.cases[0], element::f32, 1, answers[0].second)
            .error()
            .why == reason::bad_argument);
}

// ---- counting ----------------------------------------------------------------

namespace {

// Counts the rows of the case as warp instructions, when a job asks for it.
fake_device counting_device() {
  return fake_device(right_but(
      [](const job& asked, std::vector<double>&, run_report& made) {
        if (!asked.counters) return;
        launch_counters one;
        one.kernel = asked.launches[0].entry;
        one.lines = {{4, {}}};
        one.total.warp_instructions[0] =
            static_cast<std::uint64_t>(asked.launches[0].grid.x);
        made.launches = {one};
      }));
}

counted_case counted_on(device& on, const checked& seen, const counting& how) {
  const auto from = norm_candidate();
  return count_case(from, block_128, image_of(from), norm_family(),
                    element::f16, seen.cases, on, 9, how);
}

}  // namespace

TEST_CASE("check: the largest public case that ran is counted, in a run of its own") {
  auto on = counting_device();
  auto family = norm_family();
  const auto seen = outcome_on(on, family, norm_candidate(), element::f16);
  for (const job& each : on.jobs) CHECK_FALSE(each.counters);
  const std::size_t before = on.jobs.size();

  auto told = counted_on(on, seen, {true, "", true});
  CHECK(told.missing.empty());
  REQUIRE(told.launches.size() == 1);
  CHECK(told.launches[0].test_case == "large");
  CHECK(told.launches[0].element_type == "half");
  CHECK(told.launches[0].launch == 0);
  CHECK(told.launches[0].of.kernel == "_Z1k");
  CHECK(told.launches[0].of.total.warp_instructions[0] == 300);
  CHECK(told.launches[0].of.lines.size() == 1);
  REQUIRE(on.jobs.size() == before + 1);
  CHECK(on.jobs.back().counters);
  CHECK(on.jobs.back().schedule == 0);

  told = counted_on(on, seen, {true, "odd", false});
  REQUIRE(told.launches.size() == 1);
  CHECK(told.launches[0].test_case == "odd");
  CHECK(told.launches[0].of.lines.empty());

  // One that was cut short says nothing, nor one of another type.
  auto some = seen;
  for (auto& each : some.cases)
    if (each.test_case == "large") each.reached = outcome::faults;
  told = counted_on(on, some, {true, "", true});
  REQUIRE(told.launches.size() == 1);
  CHECK(told.launches[0].test_case != "large");
  told = counted_on(on, some, {true, "large", true});
  CHECK(told.launches.empty());
  CHECK(told.missing == "case `large` did not run to its end");
  for (auto& each : some.cases) each.reached = outcome::unjudged;
  CHECK(counted_on(on, some, {true, "", true}).missing ==
        "no public case ran to its end");
}

TEST_CASE("check: a count that cannot be had is a reason") {
  auto right = right_device();
  const auto seen = outcome_on(right, norm_family(), norm_candidate(), element::f16);
  CHECK(counted_on(right, seen, {true, "", true}).missing ==
        "the device does not count");
  auto broken = fake_device([](const job&) -> result<run_report> {
    return fault{reason::child_died, "it is gone"};
  });
  CHECK(counted_on(broken, seen, {true, "", true}).missing == "it is gone");
  broken.load_fault = fault{reason::not_supported, "not this"};
  CHECK(counted_on(broken, seen, {true, "", true}).missing == "not this");
}
