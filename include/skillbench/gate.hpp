#pragma once
// gate.hpp: rules that a run must hold, for a pipeline to stop on.
//
// Layer   2. Includes effect.hpp.
// Shapes  `pass_rate>=0.9, lift>0`: a measure, one of < <= > >= == !=, a number;
//         a comma or the word `and` between rules, all of which must hold.
// Units   rates and differences of rates in [0, 1], never percent.
// Counts  A measure that depends on outputs which are unjudged has two values,
//         as in effect.hpp, and a rule holds when it holds for both. One that
//         there is no data for holds nothing: a gate never opens by accident.
//         A rate of one arm is of all its outputs, with those of tasks that the
//         other arm lacks; a difference is of tasks that both have.
// Errors  bad_input, with the column of the rule and what was expected.

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <skillbench/effect.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/stats.hpp>

namespace skillbench {

// A measure under both readings of what is unjudged: at worst, at best (for a
// rate of one arm: failed, passed).
using measured_both_ways = std::optional<std::array<double, 2>>;

struct gate_measure {
  std::string_view name, words;
  measured_both_ways (*of)(const comparison&);
};

namespace gating_rules {

[[nodiscard]] inline measured_both_ways share(std::size_t some,
                                              std::size_t unsure,
                                              std::size_t all) {
  if (all == 0) return std::nullopt;
  const auto n = static_cast<double>(all);
  return std::array{static_cast<double>(some) / n,
                    static_cast<double>(some + unsure) / n};
}
[[nodiscard]] inline measured_both_ways plain(std::optional<double> value) {
  if (!value) return std::nullopt;
  return std::array{*value, *value};
}
template <typename Get>
[[nodiscard]] measured_both_ways differences(const comparison& of, Get&& get) {
  if (!of.at_worst.difference || !of.at_best.difference) return std::nullopt;
  return std::array{get(*of.at_worst.difference), get(*of.at_best.difference)};
}

}  // namespace gating_rules

inline constexpr std::array gate_measures{
    gate_measure{"pass_rate", "correct outputs with the skill, of all of them",
                 [](const comparison& of) {
                   return gating_rules::share(of.all_with.correct, of.all_with.unjudged,
                                              of.all_with.outputs);
                 }},
    gate_measure{"baseline_pass_rate", "the same without the skill",
                 [](const comparison& of) {
                   return gating_rules::share(of.all_without.correct,
                                              of.all_without.unjudged,
                                              of.all_without.outputs);
                 }},
    gate_measure{"lift", "difference of the two, over tasks and models",
                 [](const comparison& of) {
                   return gating_rules::differences(
                       of, [](const estimate& d) { return d.value; });
                 }},
    gate_measure{"lift_low", "lower end of its 95% interval",
                 [](const comparison& of) {
                   return gating_rules::differences(
                       of, [](const estimate& d) { return d.at95.low; });
                 }},
    gate_measure{"lift_high", "upper end of its 95% interval",
                 [](const comparison& of) {
                   return gating_rules::differences(
                       of, [](const estimate& d) { return d.at95.high; });
                 }},
    gate_measure{"p", "probability of such a difference if there were none",
                 [](const comparison& of) -> measured_both_ways {
                   if (!of.at_worst.difference) return std::nullopt;
                   return std::array{of.at_worst.p, of.at_best.p};
                 }},
    gate_measure{"compile_rate", "outputs with the skill that compile",
                 [](const comparison& of) {
                   return gating_rules::share(of.all_with.compiles, 0,
                                              of.all_with.outputs);
                 }},
    gate_measure{"clean_rate", "those that run without a fault",
                 [](const comparison& of) {
                   return gating_rules::share(of.all_with.clean, of.all_with.unjudged,
                                              of.all_with.outputs);
                 }},
    gate_measure{"unjudged_rate", "outputs of both arms that are unjudged",
                 [](const comparison& of) {
                   return gating_rules::share(
                       of.all_with.unjudged + of.all_without.unjudged, 0,
                       of.all_with.outputs + of.all_without.outputs);
                 }},
    gate_measure{"outputs", "outputs with the skill",
                 [](const comparison& of) {
                   return gating_rules::plain(
                       static_cast<double>(of.all_with.outputs));
                 }},
    gate_measure{"token_ratio", "tokens of an output, with over without",
                 [](const comparison& of) {
                   return gating_rules::plain(
                       of.token_ratio ? std::optional(of.token_ratio->value)
                                      : std::nullopt);
                 }},
};

struct gate_rule {
  std::size_t measure = 0;  // in gate_measures
  std::string op;
  double bound = 0;
  std::string text;  // as it was written
};

// What a rule came to.
struct gate_told {
  gate_rule rule;
  measured_both_ways value;
  bool holds = false;
  std::string words;  // "lift>0 holds: 0.23"
};

namespace gating_rules {

inline constexpr std::array operators{"<=", ">=", "==", "!=", "<", ">"};

[[nodiscard]] inline bool holds(double x, std::string_view op, double bound) {
  if (std::isnan(x)) return false;
  if (op == "<") return x < bound;
  if (op == "<=") return x <= bound;
  if (op == ">") return x > bound;
  if (op == ">=") return x >= bound;
  return (op == "==") == (x == bound);
}

[[nodiscard]] inline std::string number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", x);
  return text;
}

[[nodiscard]] inline fault wrong(std::string_view text, std::size_t column,
                                 const std::string& expected) {
  return {reason::bad_input, "the gate `" + std::string(text) + "`, column " +
                                 std::to_string(column + 1) + ": " + expected};
}

}  // namespace gating_rules

[[nodiscard]] inline std::string gate_measure_names() {
  std::string all;
  for (const gate_measure& each : gate_measures)
    all += (all.empty() ? "" : ", ") + std::string(each.name);
  return all;
}

[[nodiscard]] inline result<std::vector<gate_rule>> read_gate(
    std::string_view text) {
  using namespace gating_rules;
  std::vector<gate_rule> out;
  std::size_t at = 0;
  const auto skip = [&] {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t')) ++at;
  };
  for (;;) {
    skip();
    const std::size_t begins = at;
    while (at < text.size() && ((text[at] >= 'a' && text[at] <= 'z') ||
                                text[at] == '_'))
      ++at;
    const std::string_view named = text.substr(begins, at - begins);
    const auto* const found = std::find_if(
        gate_measures.begin(), gate_measures.end(),
        [&](const gate_measure& each) { return each.name == named; });
    if (found == gate_measures.end())
      return wrong(text, begins,
                   (named.empty() ? std::string("a measure is expected")
                                  : "there is no measure " + std::string(named)) +
                       "; there are " + gate_measure_names());
    gate_rule rule;
    rule.measure = static_cast<std::size_t>(found - gate_measures.begin());
    skip();
    for (const char* const op : operators)
      if (rule.op.empty() && text.substr(at).starts_with(op)) rule.op = op;
    if (rule.op.empty())
      return wrong(text, at, "one of <, <=, >, >=, == and != is expected");
    at += rule.op.size();
    skip();
    if (at < text.size() && text[at] == '+') ++at;
    const auto [end, trouble] = std::from_chars(
        text.data() + at, text.data() + text.size(), rule.bound);
    if (trouble != std::errc() || !std::isfinite(rule.bound))
      return wrong(text, at, "a number is expected");
    at = static_cast<std::size_t>(end - text.data());
    rule.text = std::string(text.substr(begins, at - begins));
    if (at < text.size() && text[at] == '%')
      return wrong(text, at, "rates are between 0 and 1, not percent");
    out.push_back(std::move(rule));
    skip();
    if (at == text.size()) return out;
    if (text.substr(at).starts_with("and ")) {
      at += 3;
    } else if (text[at] == ',') {
      ++at;
    } else {
      return wrong(text, at, "a comma or the end is expected");
    }
  }
}

[[nodiscard]] inline std::vector<gate_told> judge_gate(
    std::span<const gate_rule> rules, const comparison& of) {
  using namespace gating_rules;
  std::vector<gate_told> out;
  for (const gate_rule& rule : rules) {
    gate_told told;
    told.rule = rule;
    told.value = gate_measures[rule.measure].of(of);
    if (!told.value) {
      told.words = rule.text + " fails: not measured";
    } else {
      const auto [fail, pass] = *told.value;
      told.holds = holds(fail, rule.op, rule.bound) &&
                   holds(pass, rule.op, rule.bound);
      told.words = rule.text + (told.holds ? " holds: " : " fails: ") +
                   number(fail);
      if (fail != pass)
        told.words += " or " + number(pass) + ", by what is unjudged";
    }
    out.push_back(std::move(told));
  }
  return out;
}

}  // namespace skillbench
