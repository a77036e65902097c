#pragma once
// json_family.hpp: a family.json to a family.
//
// Layer   3. json_text.hpp reads the text. Layers 6 and 7 are its users.
// Strict  No unknown keys, and no family that contradicts itself: every name in
//         an expression is an integer of the family, every case has a value
//         for every argument within the contract's range.
// Errors  reason::bad_input with line, column and JSON pointer.
// Limits  256 arguments, 4096 cases, 16 beyond 2^31 elements, 16 made for timing,
//         1000 hidden ones.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/expression.hpp>
#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/fill.hpp>
#include <skillbench/hash.hpp>
#include <skillbench/json_text.hpp>

namespace skillbench {

namespace json_text {

inline bool read_argument(reader& in, const value& from, argument& into) {
  if (!in.object(from, "an argument", {"name", "kind", "shape", "range"}))
    return false;
  const value* const name = in.need(from, "name");
  const value* const kind = in.need(from, "kind");
  if (name == nullptr || kind == nullptr ||
      !in.text(*name, into.name, "the name of an argument", 1, 128) ||
      !in.identifier(*name, into.name, "name of an argument"))
    return false;
  std::string word;
  const std::string kinds = "\"input\", \"output\", \"integer\" or \"real\"";
  if (!in.text(*kind, word, kinds)) return false;
  if (word == "input")
    into.kind = argument::type::input;
  else if (word == "output")
    into.kind = argument::type::output;
  else if (word == "integer")
    into.kind = argument::type::integer;
  else if (word == "real")
    into.kind = argument::type::real;
  else
    return in.expect(*kind, kinds);

  const bool tensor =
      into.kind == argument::type::input || into.kind == argument::type::output;
  const bool whole = into.kind == argument::type::integer;
  const value* const shape = from.find("shape");
  const value* const range = from.find("range");
  if (!tensor && shape != nullptr)
    return in.refuse(*shape, "only tensors have a shape");
  if (!whole && range != nullptr)
    return in.refuse(*range, "only integers have a range");
  if (tensor && in.need(from, "shape") == nullptr) return false;
  if (whole && in.need(from, "range") == nullptr) return false;
  if (shape != nullptr && !in.formulas(*shape, into.shape, "an extent", 1, 8))
    return false;
  if (range == nullptr) return true;
  if (!in.array(*range, "an array of the least and the most", 2, 2) ||
      !in.integer(range->items[0], into.least, "an integer") ||
      !in.integer(range->items[1], into.most, "an integer"))
    return false;
  return into.least <= into.most ||
         in.refuse(*range, "the least is above the most");
}

inline std::optional<pattern> pattern_named(std::string_view word) {
  for (const pattern kind :
       {pattern::normal, pattern::uniform, pattern::constant, pattern::spike,
        pattern::subnormal, pattern::alternate, pattern::mixed})
    if (name(kind) == word) return kind;
  return std::nullopt;
}

// `row` keeps the length of the tensor's rows unless the fill names another.
inline bool read_fill(reader& in, const value& from, fill& into,
                      expression& row) {
  if (!in.object(from, "a fill", {"kind", "scale", "offset", "row"}))
    return false;
  const value* const kind = in.need(from, "kind");
  std::string word;
  if (kind == nullptr || !in.text(*kind, word, "the name of a fill"))
    return false;
  const auto known = pattern_named(word);
  if (!known)
    return in.expect(*kind,
                     "normal, uniform, constant, spike, subnormal, "
                     "alternate or mixed");
  into.kind = *known;
  if (const value* const it = from.find("scale"))
    if (!in.real(*it, into.scale, "a number")) return false;
  if (const value* const it = from.find("offset"))
    if (!in.real(*it, into.offset, "a number")) return false;
  const value* const it = from.find("row");
  return it == nullptr || in.formula(*it, row, "the length of a row");
}

inline bool row_of(reader& in, const value& at, const expression& row,
                   const bindings& integers, std::int64_t& into) {
  const auto length = row.evaluate(integers);
  if (!length) return in.refuse(at, length.error().what);
  into = length.value();
  return into >= 1 || in.refuse(at, "a row is shorter than 1");
}

// The values that a case gives under `key`, which are those of `wanted` kind.
template <typename Number, typename Read>
bool read_numbers(reader& in, const value& from, std::string_view key,
                  const family& of, argument::type wanted,
                  std::vector<std::pair<std::string, Number>>& into,
                  Read read_one) {
  const value* const given = from.find(key);
  if (given != nullptr && !in.object(*given, "an object of numbers"))
    return false;
  for (const argument& one : of.arguments) {
    if (one.kind != wanted) continue;
    const value* const it = given == nullptr ? nullptr : given->find(one.name);
    if (it == nullptr)
      return in.refuse(given == nullptr ? from : *given,
                       "no value for \"" + one.name + "\"");
    Number number{};
    if (!read_one(*it, one, number)) return false;
    into.emplace_back(one.name, number);
  }
  if (given == nullptr) return true;
  for (const value& one : given->items) {
    bool known = false;
    for (const auto& [name, number] : into) known = known || name == one.key;
    if (!known) return in.refuse(one, shown(one.key) + " is no such argument");
  }
  return true;
}

// `shape`: of a case that is made for timing, which may pass the contract.
inline bool read_case(reader& in, const value& from, const family& of,
                      test_case& into, timing_shape* shape = nullptr) {
  if (shape == nullptr
          ? !in.object(from, "a case",
                       {"name", "why", "integers", "reals", "fills"})
          : !in.object(from, "a shape made for timing",
                       {"name", "why", "integers", "reals", "fills", "types"}))
    return false;
  const value* const name = in.need(from, "name");
  const value* const why = in.need(from, "why");
  if (name == nullptr || why == nullptr ||
      !in.text(*name, into.name, "the name of a case", 1, 128) ||
      !in.text(*why, into.why, "a reason"))
    return false;
  for (const test_case& other : of.cases)
    if (other.name == into.name)
      return in.refuse(*name, "two cases are named " + shown(into.name));

  const auto read_integer = [&](const value& it, const argument& one,
                                std::int64_t& number) {
    if (!in.integer(it, number, "an integer")) return false;
    if (shape != nullptr && number >= 0 && number <= INT32_MAX) {
      shape->beyond |= number < one.least || number > one.most;
      return true;
    }
    return (number >= one.least && number <= one.most) ||
           in.expect(it, "an integer from " + std::to_string(one.least) +
                             " to " + std::to_string(one.most));
  };
  const auto read_real = [&](const value& it, const argument&, double& number) {
    return in.real(it, number, "a number");
  };
  if (!read_numbers(in, from, "integers", of, argument::type::integer,
                    into.integers, read_integer) ||
      !read_numbers(in, from, "reals", of, argument::type::real, into.reals,
                    read_real))
    return false;

  const value* const fills = from.find("fills");
  if (fills != nullptr && !in.object(*fills, "an object of fills"))
    return false;
  for (const argument& one : of.arguments) {
    for (const expression& extent : one.shape) {
      const auto length = extent.evaluate(into.integers);
      if (!length) return in.refuse(from, length.error().what);
      if (length.value() < 1)
        return in.refuse(from, "an extent of \"" + one.name + "\" is " +
                                   std::to_string(length.value()));
    }
    if (one.kind != argument::type::input) continue;
    fill made;
    expression row = one.shape.back();
    const value* const it = fills == nullptr ? nullptr : fills->find(one.name);
    if ((it != nullptr && !read_fill(in, *it, made, row)) ||
        !row_of(in, it == nullptr ? from : *it, row, into.integers, made.row))
      return false;
    into.fills.emplace_back(one.name, made);
  }
  if (fills == nullptr) return true;
  for (const value& one : fills->items) {
    bool known = false;
    for (const auto& [tensor, filled] : into.fills)
      known = known || tensor == one.key;
    if (!known) return in.refuse(one, shown(one.key) + " is no input");
  }
  return true;
}

inline bool read_shape(reader& in, const value& from, const family& of,
                       timing_shape& into) {
  if (!read_case(in, from, of, into.of, &into)) return false;
  const value* const types = in.need(from, "types");
  if (types == nullptr || !in.array(*types, "an array of element types", 1, 3))
    return false;
  for (const value& each : types->items) {
    std::string word;
    const std::string known = "float, half or bfloat16";
    if (!in.text(each, word, known)) return false;
    const auto at = std::find_if(std::begin(all_elements), std::end(all_elements),
                                 [&](element one) { return name(one) == word; });
    if (at == std::end(all_elements)) return in.expect(each, known);
    if (std::find(into.types.begin(), into.types.end(), *at) != into.types.end())
      return in.refuse(each, "the element type is named twice");
    into.types.push_back(*at);
  }
  for (const timing_shape& other : of.timing)
    if (other.of.name == into.of.name)
      return in.refuse(from, "two shapes are named " + shown(into.of.name));
  return true;
}

// Every name of an expression must be an integer of the family, or `sizeof_T`
// where that is told.
inline bool names_known(reader& in, const value& at, const expression& text,
                        const family& of, bool with_size) {
  for (const std::string& name : text.names()) {
    bool known = with_size && name == "sizeof_T";
    for (const argument& one : of.arguments)
      known =
          known || (one.kind == argument::type::integer && one.name == name);
    if (!known)
      return in.refuse(at, "`" + text.text() + "` names " + shown(name) +
                               ", which is no integer of the family");
  }
  return true;
}

// What each argument of a kind may be drawn from: an array a name.
template <typename Choice, typename Read>
bool read_choices(reader& in, const value& from, std::string_view key,
                  const family& of, argument::type wanted,
                  std::vector<std::pair<std::string, std::vector<Choice>>>& into,
                  Read read_one) {
  const value* const given = from.find(key);
  if (given == nullptr) return true;
  if (!in.object(*given, "an object of arrays of choices")) return false;
  for (const value& each : given->items) {
    const argument* named = nullptr;
    for (const argument& one : of.arguments)
      if (one.kind == wanted && one.name == each.key) named = &one;
    if (named == nullptr)
      return in.refuse(each, shown(each.key) + " is no such argument");
    if (!in.array(each, "an array of choices", 1, 256)) return false;
    auto& made = into.emplace_back(each.key, std::vector<Choice>());
    for (const value& choice : each.items)
      if (!read_one(choice, *named, made.second.emplace_back())) return false;
  }
  return true;
}

inline bool read_hidden(reader& in, const value& from, const family& of,
                        hidden_plan& into) {
  if (!in.object(from, "what hidden cases are drawn from",
                 {"count", "most_elements", "integers", "reals", "fills"}))
    return false;
  const value* const count = in.need(from, "count");
  const value* const most = in.need(from, "most_elements");
  if (count == nullptr || most == nullptr ||
      !in.integer(*count, into.count, "a number of cases") ||
      !in.integer(*most, into.most_elements, "a number of elements"))
    return false;
  if (into.count < 0 || into.count > 1000)
    return in.expect(*count, "a number of cases from 0 to 1000");
  if (into.most_elements < 1) return in.expect(*most, "a positive number");
  const auto read_integer = [&](const value& it, const argument& one,
                                std::int64_t& number) {
    return in.integer(it, number, "an integer") &&
           ((number >= one.least && number <= one.most) ||
            in.expect(it, "an integer from " + std::to_string(one.least) +
                              " to " + std::to_string(one.most)));
  };
  const auto read_real = [&](const value& it, const argument&, double& number) {
    return in.real(it, number, "a number");
  };
  const auto fill_read = [&](const value& it, const argument& one,
                             hidden_fill& made) {
    made.row = one.shape.back();
    return read_fill(in, it, made.filled, made.row) &&
           names_known(in, it, made.row, of, false);
  };
  if (!read_choices(in, from, "integers", of, argument::type::integer,
                    into.integers, read_integer) ||
      !read_choices(in, from, "reals", of, argument::type::real, into.reals,
                    read_real) ||
      !read_choices(in, from, "fills", of, argument::type::input, into.fills,
                    fill_read))
    return false;
  for (const argument& one : of.arguments) {
    if (one.kind != argument::type::real) continue;
    bool known = false;
    for (const auto& [name, values] : into.reals) known |= name == one.name;
    if (!known)
      return in.refuse(from, "nothing to draw \"" + one.name + "\" from");
  }
  return true;
}

inline bool read_family(reader& in, const value& from, family& into) {
  if (!in.object(from, "a family",
                 {"name", "title", "version", "arguments", "cases", "overflow",
                  "timing", "hidden", "tolerance", "work"}))
    return false;
  const value* const name = in.need(from, "name");
  const value* const title = in.need(from, "title");
  const value* const version = in.need(from, "version");
  const value* const arguments = in.need(from, "arguments");
  const value* const cases = in.need(from, "cases");
  const value* const tolerated = in.need(from, "tolerance");
  const value* const work = in.need(from, "work");
  if (name == nullptr || title == nullptr || version == nullptr ||
      arguments == nullptr || cases == nullptr || tolerated == nullptr ||
      work == nullptr)
    return false;
  if (!in.text(*name, into.name, "a name", 1, 128) ||
      !in.identifier(*name, into.name, "name of a family") ||
      !in.text(*title, into.title, "a title") ||
      !in.text(*version, into.version, "a version in a string") ||
      !in.array(*arguments, "an array of arguments", 1, 256))
    return false;
  for (const value& one : arguments->items) {
    argument made;
    if (!read_argument(in, one, made)) return false;
    for (const argument& other : into.arguments)
      if (other.name == made.name)
        return in.refuse(one, "two arguments are named " + shown(made.name));
    into.arguments.push_back(std::move(made));
  }
  for (std::size_t i = 0; i < into.arguments.size(); ++i)
    for (const expression& extent : into.arguments[i].shape)
      if (!names_known(in, arguments->items[i], extent, into, false))
        return false;

  if (!in.array(*cases, "an array of cases", 1, 4096)) return false;
  for (const value& one : cases->items) {
    test_case made;
    if (!read_case(in, one, into, made)) return false;
    into.cases.push_back(std::move(made));
  }
  if (const value* const overflow = from.find("overflow")) {
    if (!in.array(*overflow, "an array of cases", 0, 16)) return false;
    for (const value& one : overflow->items) {
      test_case made;
      if (!read_case(in, one, into, made)) return false;
      into.overflow.push_back(std::move(made));
    }
  }
  if (const value* const timing = from.find("timing")) {
    if (!in.array(*timing, "an array of shapes", 0, 16)) return false;
    for (const value& one : timing->items) {
      timing_shape made;
      if (!read_shape(in, one, into, made)) return false;
      into.timing.push_back(std::move(made));
    }
  }
  if (const value* const hidden = from.find("hidden"))
    if (!read_hidden(in, *hidden, into, into.hidden)) return false;

  if (!in.object(*tolerated, "a tolerance", {"c", "why"})) return false;
  const value* const c = in.need(*tolerated, "c");
  const value* const why = in.need(*tolerated, "why");
  if (c == nullptr || why == nullptr ||
      !in.real(*c, into.allowed.c, "a number") ||
      !in.text(*why, into.allowed.why, "a reason", 1, 16384))
    return false;
  if (!(std::isfinite(into.allowed.c) && into.allowed.c >= 0))
    return in.refuse(*c, "a tolerance is negative or not finite");

  if (!in.object(*work, "the work of a family", {"bytes", "operations"}))
    return false;
  const value* const bytes = in.need(*work, "bytes");
  const value* const operations = in.need(*work, "operations");
  return bytes != nullptr && operations != nullptr &&
         in.formula(*bytes, into.bytes, "a number of bytes") &&
         in.formula(*operations, into.operations, "a number of operations") &&
         names_known(in, *bytes, into.bytes, into, true) &&
         names_known(in, *operations, into.operations, into, true);
}

}  // namespace json_text

[[nodiscard]] inline result<family> read_family(std::string_view json,
                                                std::string prompt,
                                                std::string baseline,
                                                oracle reference) {
  family made;
  made.digest = sha256(json);
  made.prompt = std::move(prompt);
  made.baseline = std::move(baseline);
  made.reference = std::move(reference);
  return json_text::read_as(json, std::move(made), nullptr,
                            &json_text::read_family);
}

}  // namespace skillbench
