#pragma once
// json_space.hpp: JSON to tuning spaces and recordings of them.
//
// Layer   3. json_text.hpp reads the text. Layers 6 and 7 are its users.
// Reads   Kernel Tuner's cache files (`cache`, `tune_params`), the community's
//         T1 form (`ConfigurationSpace`), and the short form that is our own:
//         {"parameters": {"N": [1, 2]}, "constraints": ["N < 2"]}; of trials,
//         cache files and T4 results.
// Lenient keys that say nothing about the space are left alone.
// Errors  bad_input with line, column and JSON pointer.
// Limits  20 million values, a million configurations, 4096 parameters and
//         constraints, 65535 values of a parameter.

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/condition.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/recording.hpp>
#include <skillbench/tuning_space.hpp>

namespace skillbench {

// A space as a file describes it, before it is built.
struct space_text {
  std::vector<tuning_parameter> parameters;
  std::vector<condition> constraints;
};

namespace json_text {

inline bool read_tuning_value(reader& in, const value& from,
                              tuning_value& into) {
  switch (from.kind) {
    case type::boolean: into = from.flag; return true;
    case type::real:
      if (!std::isfinite(from.number)) break;
      into = from.number;
      return true;
    case type::string: into = from.text; return true;
    case type::integer: {
      std::int64_t whole = 0;
      if (!in.integer(from, whole, "a value of a tunable")) return false;
      into = whole;
      return true;
    }
    default: break;
  }
  return in.expect(from, "a number, a string or a boolean");
}

inline bool read_tuning_values(reader& in, const value& from,
                               std::vector<tuning_value>& into) {
  if (!in.array(from, "an array of values", 1, 65535)) return false;
  for (const value& each : from.items)
    if (!read_tuning_value(in, each, into.emplace_back())) return false;
  return true;
}

// T1 has lists as text too: "[1, 2, 4]", "['a', 'b']", "[True, False]".
inline bool read_listed_values(reader& in, const value& from,
                               std::vector<tuning_value>& into) {
  if (from.kind != type::string) return read_tuning_values(in, from, into);
  std::string_view text = from.text;
  const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\t'; };
  const auto trim = [&](std::string_view it) {
    while (!it.empty() && blank(it.front())) it.remove_prefix(1);
    while (!it.empty() && blank(it.back())) it.remove_suffix(1);
    return it;
  };
  text = trim(text);
  const auto wanted = [&] {
    return in.expect(from, "a list of values, as in [1, 2, 4]");
  };
  if (text.size() < 2 || text.front() != '[' || text.back() != ']')
    return wanted();
  text = trim(text.substr(1, text.size() - 2));
  while (!text.empty()) {
    std::size_t end = text.find(',');
    if (text.front() == '\'' || text.front() == '"') {
      const std::size_t close = text.find(text.front(), 1);
      if (close == text.npos) return wanted();
      into.push_back(std::string(text.substr(1, close - 1)));
      end = text.find(',', close);
      if (!trim(text.substr(close + 1, end == text.npos ? text.npos : end - close - 1)).empty())
        return wanted();
    } else {
      const std::string_view one = trim(text.substr(0, end));
      std::int64_t whole = 0;
      double real = 0;
      const char* const last = one.data() + one.size();
      if (one == "True" || one == "true")
        into.push_back(true);
      else if (one == "False" || one == "false")
        into.push_back(false);
      else if (const auto [at, e] = std::from_chars(one.data(), last, whole);
               e == std::errc() && at == last)
        into.push_back(whole);
      else if (const auto [to, wrong] = std::from_chars(one.data(), last, real);
               wrong == std::errc() && to == last && std::isfinite(real))
        into.push_back(real);
      else
        return wanted();
    }
    text = end == text.npos ? std::string_view() : trim(text.substr(end + 1));
  }
  return !into.empty() || wanted();
}

inline bool read_constraint(reader& in, const value& from, space_text& into) {
  std::string text;
  if (!in.text(from, text, "a constraint", 1, condition::most_bytes))
    return false;
  auto made = condition::parse(text, condition::style::python);
  if (!made) return in.refuse(from, made.error().what);
  into.constraints.push_back(std::move(made).value());
  return true;
}

inline bool read_parameters(reader& in, const value& from,
                            space_text& into) {
  if (!in.object(from, "an object of parameters")) return false;
  if (from.items.size() > 4096) return in.refuse(from, "more than 4096 parameters");
  for (const value& each : from.items) {
    tuning_parameter& one = into.parameters.emplace_back();
    one.name = each.key;
    if (!read_tuning_values(in, each, one.values)) return false;
  }
  return true;
}

inline bool read_t1(reader& in, const value& from, space_text& into) {
  const value* const all = in.need(from, "TuningParameters");
  if (all == nullptr || !in.array(*all, "an array of parameters", 1, 4096))
    return false;
  for (const value& each : all->items) {
    tuning_parameter& one = into.parameters.emplace_back();
    const value* const name = in.need(each, "Name");
    const value* const values = name == nullptr ? nullptr : in.need(each, "Values");
    if (values == nullptr || !in.text(*name, one.name, "a parameter's name") ||
        !read_listed_values(in, *values, one.values))
      return false;
  }
  const value* const conditions = from.find("Conditions");
  if (is_absent(conditions)) return true;
  if (!in.array(*conditions, "an array of conditions", 0, 4096)) return false;
  for (const value& each : conditions->items) {
    const value* const text =
        each.kind == type::string ? &each : in.need(each, "Expression");
    if (text == nullptr || !read_constraint(in, *text, into)) return false;
  }
  return true;
}

inline bool read_space(reader& in, const value& from, space_text& into) {
  if (!in.object(from, "a tuning space")) return false;
  if (const value* const t1 = from.find("ConfigurationSpace"))
    return read_t1(in, *t1, into);
  if (from.find("TuningParameters") != nullptr) return read_t1(in, from, into);
  const value* parameters = from.find("parameters");
  if (parameters == nullptr) parameters = from.find("tune_params");
  if (parameters == nullptr)
    return in.refuse(from,
                     "this is no tuning space: there is none of "
                     "ConfigurationSpace (T1), tune_params (Kernel Tuner) and "
                     "parameters");
  if (!read_parameters(in, *parameters, into)) return false;
  const value* const constraints = from.find("constraints");
  if (is_absent(constraints)) return true;
  if (!in.array(*constraints, "an array of constraints", 0, 4096)) return false;
  for (const value& each : constraints->items)
    if (!read_constraint(in, each, into)) return false;
  return true;
}

struct recording_text {
  space_text space;
  std::vector<recorded_trial> lines;
  std::string kernel, device, objective = "time", unit = "ms";
};

inline bool read_recording(reader& in, const value& from,
                           recording_text& into) {
  if (!in.object(from, "a recording")) return false;
  const value* const cache = in.need(from, "cache");
  if (cache == nullptr || !in.object(*cache, "the configurations")) return false;
  if (cache->items.size() > 1'000'000)
    return in.refuse(*cache, "more than a million configurations");
  if (!read_text(in, from, "kernel_name", into.kernel) ||
      !read_text(in, from, "device_name", into.device) ||
      !read_text(in, from, "objective", into.objective))
    return false;
  if (into.objective.empty()) into.objective = "time";
  if (into.objective != "time") into.unit.clear();

  const value* const values = in.need(from, "tune_params");
  if (values == nullptr || !in.object(*values, "the parameters")) return false;
  std::vector<std::string> names;
  if (const value* const keys = from.find("tune_params_keys");
      !is_absent(keys)) {
    if (!in.array(*keys, "the names of the parameters", 0, 4096)) return false;
    for (const value& each : keys->items)
      if (!in.text(each, names.emplace_back(), "a parameter's name")) return false;
  } else {
    for (const value& each : values->items) names.push_back(each.key);
  }
  // Values are known by their text; those that the header lacks are added.
  std::vector<std::map<std::string, std::uint16_t>> known(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    tuning_parameter& one = into.space.parameters.emplace_back();
    one.name = names[i];
    const value* const listed = values->find(names[i]);
    if (is_absent(listed)) continue;
    std::vector<tuning_value> all;
    if (!read_tuning_values(in, *listed, all)) return false;
    for (tuning_value& each : all)
      if (known[i].emplace(text_of(each), one.values.size()).second)
        one.values.push_back(std::move(each));
  }
  for (const value& each : cache->items) {
    if (!in.object(each, "a configuration")) return false;
    recorded_trial& line = into.lines.emplace_back();
    for (std::size_t i = 0; i < names.size(); ++i) {
      const value* const it = in.need(each, names[i]);
      tuning_value read;
      if (it == nullptr || !read_tuning_value(in, *it, read)) return false;
      auto& values_here = into.space.parameters[i].values;
      const auto [at, fresh] =
          known[i].emplace(text_of(read), values_here.size());
      if (fresh) {
        if (values_here.size() == 65535)
          return in.refuse(*it, "a parameter has more than 65535 values");
        values_here.push_back(std::move(read));
      }
      line.at.push_back(at->second);
    }
    const value* const cost = in.need(each, into.objective);
    if (cost == nullptr) return false;
    if (cost->kind == type::integer || cost->kind == type::real) {
      if (std::isfinite(cost->number) && cost->number >= 0)
        line.cost = cost->number;
      else
        line.failure = "a cost that is negative or not finite";
    } else {
      line.failure = cost->kind == type::string ? cost->text : describe(*cost);
    }
  }
  return true;
}

}  // namespace json_text

// One space of a text; of a recording without its costs.
[[nodiscard]] inline result<space_text> read_space_text(
    std::string_view text, text_place* where = nullptr) {
  return json_text::read_as(text, space_text{}, where, json_text::read_space);
}

// Several spaces by name: {"NAME": {"parameters": ..., "constraints": ...}}.
[[nodiscard]] inline result<std::vector<std::pair<std::string, space_text>>>
read_space_texts(std::string_view text, text_place* where = nullptr) {
  using all = std::vector<std::pair<std::string, space_text>>;
  return json_text::read_as<all>(
      text, {}, where,
      [](json_text::reader& in, const json_text::value& from, all& into) {
        if (!in.object(from, "an object of tuning spaces")) return false;
        for (const json_text::value& each : from.items) {
          into.push_back({each.key, {}});
          if (!json_text::read_space(in, each, into.back().second)) return false;
        }
        return true;
      });
}

namespace json_text {

// One result of T4: its values, and the measurement of its first objective.
inline bool read_t4_result(reader& in, const value& from, earlier_trial& into) {
  if (!in.object(from, "a result")) return false;
  const value* const at = in.need(from, "configuration");
  if (at == nullptr || !in.object(*at, "a configuration")) return false;
  if (at->items.size() > 4096) return in.refuse(*at, "more than 4096 parameters");
  for (const value& each : at->items) {
    tuning_value it;
    if (!read_tuning_value(in, each, it)) return false;
    into.at.emplace_back(each.key, std::move(it));
  }
  std::string invalidity = "correct", objective;
  if (!read_text(in, from, "invalidity", invalidity)) return false;
  if (const value* const all = from.find("objectives"); !is_absent(all)) {
    if (!in.array(*all, "an array of names of objectives", 0, 4096)) return false;
    if (!all->items.empty() &&
        !in.text(all->items.front(), objective, "an objective's name"))
      return false;
  }
  const value* const measured = from.find("measurements");
  if (invalidity != "correct" || is_absent(measured)) return true;
  if (!in.array(*measured, "an array of measurements", 0, 4096)) return false;
  for (const value& each : measured->items) {
    std::string named;
    const value* const name = in.need(each, "name");
    const value* const it = name == nullptr ? nullptr : in.need(each, "value");
    if (it == nullptr || !in.text(*name, named, "a measurement's name"))
      return false;
    if (into.cost || (!objective.empty() && named != objective)) continue;
    if ((it->kind == type::integer || it->kind == type::real) &&
        std::isfinite(it->number) && it->number >= 0)
      into.cost = it->number;
  }
  return true;
}

// What a file of trials is, told by its keys.
inline bool read_earlier(reader& in, const value& from, earlier_tuning& into) {
  const value* const results = from.find("results");
  if (is_absent(results))
    return in.refuse(from,
                     "this holds no trials: there is neither `cache` (Kernel "
                     "Tuner) nor `results` (T4)");
  if (!in.array(*results, "an array of results", 0, 1'000'000)) return false;
  for (const value& each : results->items)
    if (!read_t4_result(in, each, into.trials.emplace_back())) return false;
  return true;
}

}  // namespace json_text

namespace json_text {

// What a tuner keeps of single runs, which is read over.
[[nodiscard]] inline tree tree_of_trials(std::string_view text) {
  return tree(text, 20'000'000,
              {"times", "timestamp", "compile_time", "verification_time",
               "benchmark_time", "strategy_time", "framework_time"});
}

inline result<recording> recording_of(std::string_view text, const value& root,
                                      text_place* where) {
  reader in(text, root, where);
  recording_text read;
  if (!read_recording(in, root, read)) return in.error();
  auto made = recorded(std::move(read.space.parameters), read.lines);
  if (!made) return made.error();
  made.value().kernel = std::move(read.kernel);
  made.value().device = std::move(read.device);
  made.value().objective = std::move(read.objective);
  made.value().unit = std::move(read.unit);
  return made;
}

}  // namespace json_text

// A Kernel Tuner cache file. What it says of single runs is read over.
[[nodiscard]] inline result<recording> read_recording(
    std::string_view text, text_place* where = nullptr) {
  auto root = json_text::tree_of_trials(text).parse(where);
  if (!root) return root.error();
  return json_text::recording_of(text, root.value(), where);
}

// The trials of a file: of a Kernel Tuner cache file or of T4 results.
[[nodiscard]] inline result<earlier_tuning> read_earlier(
    std::string_view text, text_place* where = nullptr) {
  auto root = json_text::tree_of_trials(text).parse(where);
  if (!root) return root.error();
  if (!json_text::is_absent(root.value().find("cache"))) {
    const auto made = json_text::recording_of(text, root.value(), where);
    if (!made) return made.error();
    return earlier_of(made.value());
  }
  json_text::reader in(text, root.value(), where);
  earlier_tuning made;
  if (!json_text::read_earlier(in, root.value(), made)) return in.error();
  return made;
}

}  // namespace skillbench
