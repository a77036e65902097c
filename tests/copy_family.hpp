#pragma once
// copy_family.hpp: a family whose right answer is its input, an answer to it,
// and a device that gives that answer without running anything.

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/device.hpp>
#include <skillbench/family.hpp>
#include <skillbench/inputs.hpp>
#include <skillbench/sample.hpp>

namespace kit {

using namespace skillbench;

inline expression parsed(std::string_view text) {
  auto made = expression::parse(text);
  REQUIRE(made);
  return std::move(made).value();
}

inline family copy_family() {
  family made;
  made.name = "copy";
  made.title = "A copy";
  made.version = "1";
  const auto add = [&](const char* name, argument::type kind) {
    argument one;
    one.name = name;
    one.kind = kind;
    if (kind != argument::type::integer) one.shape = {parsed("n")};
    one.least = 1;
    one.most = 1000;
    made.arguments.push_back(one);
  };
  add("x", argument::type::input);
  add("y", argument::type::output);
  add("n", argument::type::integer);
  for (const std::int64_t n : {5, 64}) {
    test_case one;
    one.name = "n_" + std::to_string(n);
    one.integers = {{"n", n}};
    one.fills = {{"x", fill{}}};
    made.cases.push_back(one);
  }
  made.reference = [](const case_inputs& given, std::string_view,
                      reference_rows out) {
    given.read("x", out.first * out.width, out.expected);
    for (std::size_t i = 0; i < out.expected.size(); ++i) {
      out.yardstick[i] = out.expected[i];
      out.condition[i] = 0;
    }
  };
  return made;
}

inline sample copy_sample() {
  sample made;
  made.id = "copy-1";
  made.task = "copy";
  made.path = "copy.md";
  made.output =
      "```cuda\n"
      "/* skillbench\n"
      "{\"family\": \"copy\", \"entry\": \"copy<{T}>\",\n"
      " \"args\": [\"x\", \"y\", \"n\"], \"grid\": [\"1\"],\n"
      " \"block\": [\"64\"], \"shared_bytes\": \"0\"}\n"
      "*/\n"
      "template <typename T>\n"
      "__global__ void copy(const T* x, T* y, int n) {\n"
      "  if (threadIdx.x < n) y[threadIdx.x] = x[threadIdx.x];\n"
      "}\n"
      "```\n";
  return made;
}

inline std::string replaced(std::string text, const std::string& from,
                            const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

// Right unless told otherwise.
struct copy_device : device {
  std::function<result<image>(const compile_request&)> on_compile;
  std::function<result<run_report>(const job&)> on_run;
  int compiles = 0, runs = 0;
  std::string first_bytes;  // of the first output

  std::string name() const override { return "copier"; }
  std::string target() const override { return "sm_90a"; }

  static image compiled(const compile_request& asked) {
    image made;
    made.ok = true;
    for (const std::string& each : asked.entries)
      made.kernels.push_back({.entry = each,
                              .lowered = "copy",
                              .registers = {},
                              .spill_stores = {},
                              .spill_loads = {},
                              .stack_bytes = {},
                              .static_shared = {}});
    return made;
  }
  static run_report ran(const job& asked) {
    const buffer& from = asked.buffers.at(0);
    output_bytes out;
    out.buffer = 1;
    out.bytes.resize(static_cast<std::size_t>(from.bytes()));
    make_elements(from.filled, from.seed, from.type, 0,
                  std::as_writable_bytes(std::span(out.bytes)));
    run_report told;
    told.outputs.push_back(std::move(out));
    return told;
  }

  result<image> compile(const compile_request& asked) override {
    ++compiles;
    return on_compile ? on_compile(asked) : result<image>(compiled(asked));
  }
  result<done> load(const std::string&) override { return done{}; }
  result<run_report> run(const job& asked) override {
    ++runs;
    if (on_run) return on_run(asked);
    run_report told = ran(asked);
    if (first_bytes.empty()) first_bytes = told.outputs[0].bytes;
    return told;
  }
};

}  // namespace kit
