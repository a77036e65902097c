#pragma once
// json_suite.hpp: a suite from JSON: ours, upskill's, and evals.json.
//
// Layer   3. json_text.hpp reads the text. Layers 6 and 7 are its users.
// Ours    {"skillbench_suite": 1, "name", "assertions", "cases": [{"id",
//         "family", "prompt", "wanted", "files", "assertions"}]}; read strictly:
//         an unknown key is refused. Assertions of the suite go before those of
//         each case.
// Upskill skill_meta.json {"metadata", "tests"}, or {"cases"}, or a list:
//         {"input", "context": {"files"}, "expected": {"contains"}, "verifiers",
//         "validator", "output_file"}. Read leniently.
// Evals   {"skill_name", "evals": [...]} or a list with "prompt", "question" or
//         "query", and "expectations", "assertions", "expected_output",
//         "expected_behavior" or "ground_truth". Their sentences are
//         expectations: nothing here judges them. Read leniently.
// Errors  reason::bad_input with line, column and JSON pointer.
// Source  github.com/huggingface/upskill, models.py; the skill-creator of
//         github.com/anthropics/skills, references/schemas.md;
//         agentskills.io/skill-creation/evaluating-skills.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/suite.hpp>

namespace skillbench {

namespace json_text {

inline constexpr std::size_t most_suite_cases = 100'000;

// The first of these keys that is there.
inline const value* find_one(const value& in,
                             std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys)
    if (const value* const it = in.find(key); !is_absent(it)) return it;
  return nullptr;
}

// A text or a list of texts.
inline bool read_texts(reader& in, const value& it,
                       std::vector<std::string>& into) {
  if (it.kind == type::string) {
    into.push_back(it.text);
    return true;
  }
  if (it.kind != type::array) return in.expect(it, "a text or a list of texts");
  for (const value& one : it.items)
    if (!in.text(one, into.emplace_back(), "a text", 0, any_length))
      return false;
  return true;
}

inline bool read_assertion(reader& in, const value& from, assertion& into) {
  using kind = assertion::type;
  if (!in.object(from, "an assertion, an object") ||
      !read_word(in, from, "type", last_assertion_type, into.kind))
    return false;
  const bool needs_path =
      into.kind == kind::file_exists || into.kind == kind::file_contains;
  const bool needs_texts = into.kind != kind::file_exists &&
                           into.kind != kind::no_torch &&
                           into.kind != kind::build_toml;
  if (into.kind == kind::build_toml) {
    into.path = "build.toml";
    std::optional<int> edition;
    if (!read_text(in, from, "path", into.path) ||
        !read_whole(in, from, "edition", edition))
      return false;
    if (edition && (*edition < 1 || *edition > 5))
      return in.refuse(*from.find("edition"), "editions are 1 to 5");
    if (edition) into.texts = {std::to_string(*edition)};
  }
  if (needs_path) {
    const value* const path = find_one(from, {"path", "file", "output_file"});
    if (path == nullptr) return in.need(from, "path") != nullptr;
    if (!in.text(*path, into.path, "a path")) return false;
  }
  if (!needs_texts) return true;
  const value* const texts =
      into.kind == kind::command
          ? find_one(from, {"command", "cmd"})
      : into.kind == kind::validator
          ? find_one(from, {"validator", "name"})
      : into.kind == kind::ptx_uses || into.kind == kind::ptx_avoids
          ? find_one(from, {"opcodes"})
          : find_one(from, {"text", "texts", "contains", "value", "values"});
  if (texts == nullptr)
    return in.refuse(from, std::string("an assertion ") +
                               std::string(name(into.kind)) +
                               " does not say of what");
  if (!read_texts(in, *texts, into.texts)) return false;
  if (into.texts.empty()) return in.expect(*texts, "at least one text");
  return true;
}

inline bool read_assertions(reader& in, const value& from,
                            std::string_view key,
                            std::vector<assertion>& into) {
  const value* const it = from.find(key);
  if (is_absent(it)) return true;
  if (!in.array(*it, "a list of assertions", 0, 10'000)) return false;
  for (const value& one : it->items)
    if (!read_assertion(in, one, into.emplace_back())) return false;
  return true;
}

// {"name": "contents"}
inline bool read_files(reader& in, const value* it, suite_case& into) {
  if (is_absent(it)) return true;
  if (!in.object(*it, "an object of files")) return false;
  for (const value& one : it->items) {
    auto& [name, contents] = into.files.emplace_back(one.key, "");
    if (!in.text(one, contents, "the contents of a file", 0, any_length))
      return false;
  }
  return true;
}

inline bool read_our_case(reader& in, const value& from, suite_case& into) {
  return in.object(from, "a case",
                   {"id", "family", "prompt", "wanted", "files",
                    "assertions"}) &&
         read_text(in, from, "id", into.id) &&
         read_text(in, from, "family", into.family) &&
         read_text(in, from, "prompt", into.prompt, any_length) &&
         read_text(in, from, "wanted", into.wanted, any_length) &&
         read_files(in, from.find("files"), into) &&
         (!into.family.empty() || !into.prompt.empty() ||
          in.refuse(from, "a case has neither a family nor a prompt")) &&
         read_assertions(in, from, "assertions", into.assertions);
}

inline bool read_upskill_case(reader& in, const value& from,
                              suite_case& into) {
  using kind = assertion::type;
  if (!in.object(from, "a test, an object")) return false;
  const value* const input = in.need(from, "input");
  if (input == nullptr ||
      !in.text(*input, into.prompt, "a prompt", 0, any_length))
    return false;
  if (const value* const context = from.find("context"); !is_absent(context))
    if (!in.object(*context, "an object") ||
        !read_files(in, context->find("files"), into))
      return false;
  if (const value* const expected = from.find("expected");
      !is_absent(expected)) {
    if (!in.object(*expected, "an object")) return false;
    if (const value* const texts = expected->find("contains");
        !is_absent(texts)) {
      into.assertions.push_back({kind::contains, "", {}});
      if (!read_texts(in, *texts, into.assertions.back().texts)) return false;
    }
  }
  if (!read_assertions(in, from, "verifiers", into.assertions)) return false;
  std::string validator;
  if (!read_text(in, from, "validator", validator)) return false;
  if (!validator.empty())
    into.assertions.push_back({kind::validator, "", {validator}});
  return true;
}

inline bool read_eval(reader& in, const value& from, suite_case& into) {
  using kind = assertion::type;
  if (!in.object(from, "an eval, an object")) return false;
  if (const value* const id = find_one(from, {"id", "name"})) {
    if (id->kind == type::integer)
      into.id = describe(*id);
    else if (!in.text(*id, into.id, "an id"))
      return false;
  }
  const value* const prompt = find_one(from, {"prompt", "question", "query"});
  if (prompt == nullptr) return in.need(from, "prompt") != nullptr;
  if (!in.text(*prompt, into.prompt, "a prompt", 0, any_length)) return false;
  if (const value* const files = from.find("files"); !is_absent(files))
    if (!read_texts(in, *files, into.input_paths)) return false;
  if (const value* const wanted =
          find_one(from, {"expected_output", "ground_truth"}))
    if (!in.text(*wanted, into.wanted, "a text", 0, any_length)) return false;
  const value* const all =
      find_one(from, {"expectations", "assertions", "expected_behavior"});
  if (all == nullptr) return true;
  if (all->kind == type::string) {
    into.assertions.push_back({kind::expectation, "", {all->text}});
    return true;
  }
  if (!in.array(*all, "a list", 0, 10'000)) return false;
  for (const value& one : all->items) {
    if (one.kind == type::object && one.find("type") != nullptr) {
      if (!read_assertion(in, one, into.assertions.emplace_back()))
        return false;
      continue;
    }
    const value* const words =
        one.kind == type::object
            ? find_one(one, {"text", "description", "name"})
            : &one;
    if (words == nullptr) return in.expect(one, "a sentence");
    into.assertions.push_back({kind::expectation, "", {""}});
    if (!in.text(*words, into.assertions.back().texts[0], "a sentence", 0,
                 any_length))
      return false;
  }
  return true;
}

inline bool read_suite(reader& in, const value& from, suite& into) {
  const value* cases = &from;
  std::vector<assertion> shared;
  if (const value* const schema = from.find("skillbench_suite")) {
    into.form = suite_form::ours;
    std::int64_t number = 0;
    if (!in.object(from, "a suite",
                   {"skillbench_suite", "name", "assertions", "cases"}) ||
        !in.integer(*schema, number, "the number of the form"))
      return false;
    if (number != suite_schema)
      return in.refuse(*schema, "the suite has form " +
                                    std::to_string(number) +
                                    "; this release knows " +
                                    std::to_string(suite_schema));
    cases = in.need(from, "cases");
    if (cases == nullptr || !read_text(in, from, "name", into.name) ||
        !read_assertions(in, from, "assertions", shared))
      return false;
  } else if (from.kind == type::object) {
    const value* const tests = find_one(from, {"tests", "cases"});
    const value* const evals = from.find("evals");
    if (tests == nullptr && evals == nullptr)
      return in.expect(from,
                       "a suite: a list, or an object with cases, tests or "
                       "evals");
    into.form = tests != nullptr ? suite_form::upskill : suite_form::evals;
    cases = tests != nullptr ? tests : evals;
    if (!read_text(in, from, "skill_name", into.name)) return false;
  } else if (from.kind == type::array) {
    into.form = !from.items.empty() && from.items[0].find("input") != nullptr
                    ? suite_form::upskill
                    : suite_form::evals;
  }
  if (!in.array(*cases, "a list of cases", 0, most_suite_cases)) return false;
  for (const value& one : cases->items) {
    suite_case& made = into.cases.emplace_back();
    made.assertions = shared;
    if (!(into.form == suite_form::ours      ? read_our_case(in, one, made)
          : into.form == suite_form::upskill ? read_upskill_case(in, one, made)
                                             : read_eval(in, one, made)))
      return false;
    if (made.id.empty()) made.id = std::to_string(into.cases.size());
  }
  return true;
}

}  // namespace json_text

[[nodiscard]] inline result<suite> read_suite(std::string_view text,
                                              text_place* where = nullptr) {
  return json_text::read_as<suite>(text, {}, where, &json_text::read_suite);
}

}  // namespace skillbench
