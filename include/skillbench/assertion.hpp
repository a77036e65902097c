#pragma once
// assertion.hpp: what must be true of an output, beside its kernel being right.
//
// Layer   2. Pure; json_suite.hpp reads assertions.
// Verdict Three-valued: what nothing here can judge (a person's words, a
//         validator of another tool, PTX that is not there, a command that is
//         not allowed) is not judged, and never counts as passed or failed.
// Texts   are found without regard to the case of ASCII letters, as upskill
//         does; all of a list must be there.
// Trust   A command comes with a suite and would run on this machine: it is
//         refused unless the caller hands in a way to run it. Paths stay in the
//         output's own files.
// Words   of an assertion may be of any length; who prints them cuts them.
// Source  github.com/huggingface/upskill, evaluate.py (`contains`). PTX ISA 8.8,
//         9.7.9 (data movement), 9.7.14 (mma) and 9.7.15 (wgmma).

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <skillbench/fault.hpp>

namespace skillbench {

struct assertion {
  enum class type : std::uint8_t {
    contains = 0,       // `texts` in the output
    file_exists = 1,    // `path`
    file_contains = 2,  // `texts` in the file `path`
    command = 3,        // `texts` is one command line
    validator = 4,      // `texts` is the name of another tool's code
    expectation = 5,    // `texts` are words for a person or a model to judge
    no_torch = 6,       // the source includes nothing of PyTorch
    ptx_uses = 7,       // `texts` are opcodes or groups of them: all are used
    ptx_avoids = 8,     // none is
    build_toml = 9,     // `path` keeps the rules of kernel-builder; `texts`
                        // is the oldest edition that will do, if any
  };
  type kind = type::contains;
  std::string path;
  std::vector<std::string> texts;
};
inline constexpr assertion::type last_assertion_type =
    assertion::type::build_toml;

[[nodiscard]] constexpr std::string_view name(assertion::type kind) noexcept {
  switch (kind) {
    case assertion::type::contains: return "contains";
    case assertion::type::file_exists: return "file_exists";
    case assertion::type::file_contains: return "file_contains";
    case assertion::type::command: return "command";
    case assertion::type::validator: return "validator";
    case assertion::type::expectation: return "expectation";
    case assertion::type::no_torch: return "no_torch";
    case assertion::type::ptx_uses: return "ptx_uses";
    case assertion::type::ptx_avoids: return "ptx_avoids";
    case assertion::type::build_toml: return "build_toml";
  }
  return "unknown";
}

// Texts by their path in an output.
using output_files = std::map<std::string, std::string>;

// An output as assertions see it; what is absent cannot be judged.
struct asserted {
  std::string_view output;
  std::optional<output_files> files = std::nullopt;
  std::optional<std::string_view> source = std::nullopt, ptx = std::nullopt;
  // Runs a command line in a folder with these files and tells its exit status.
  result<int> (*run)(const std::string& command,
                     const output_files& files) = nullptr;
  // What is wrong with a build.toml, a sentence each; no edition older than
  // `least` will do.
  std::vector<std::string> (*lint)(std::string_view build_toml,
                                   int least) = nullptr;
};

struct assertion_result {
  enum class verdict : std::uint8_t { passed, failed, not_judged };
  verdict said = verdict::not_judged;
  std::string why;  // a sentence; "" when it passed
};

[[nodiscard]] constexpr std::string_view name(
    assertion_result::verdict said) noexcept {
  switch (said) {
    case assertion_result::verdict::passed: return "passed";
    case assertion_result::verdict::failed: return "failed";
    case assertion_result::verdict::not_judged: return "not_judged";
  }
  return "unknown";
}

// What one of them came to, as a record keeps it.
struct told_assertion {
  assertion::type kind = assertion::type::contains;
  std::string what;  // it asks for, in words
  assertion_result::verdict said = assertion_result::verdict::not_judged;
  std::string why;

  bool operator==(const told_assertion&) const = default;
};

// "contains \"softmax\"", "ptx_uses tensor_cores", "file_exists a.cu"
[[nodiscard]] inline std::string words_of(const assertion& asked) {
  const bool quoted = asked.kind == assertion::type::contains ||
                      asked.kind == assertion::type::file_contains;
  std::string words(name(asked.kind));
  if (!asked.path.empty()) words += " " + asked.path;
  for (std::size_t i = 0; i < asked.texts.size(); ++i)
    words += (i == 0 ? " " : ", ") +
             (quoted ? "\"" + asked.texts[i] + "\"" : asked.texts[i]);
  return words;
}

namespace assertions {

inline char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

inline bool contains(std::string_view text, std::string_view part) {
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [](char a, char b) { return lower(a) == lower(b); }) !=
         text.end();
}

// `text` with C comments blanked; line ends stay. Strings are not looked into,
// so a "//" in one hides the rest of its line.
inline std::string without_comments(std::string_view text) {
  std::string made(text);
  for (std::size_t at = 0; at + 1 < made.size();) {
    if (made[at] != '/' || (made[at + 1] != '/' && made[at + 1] != '*')) {
      ++at;
      continue;
    }
    const bool line = made[at + 1] == '/';
    std::size_t end = line ? made.find('\n', at) : made.find("*/", at + 2);
    end = end == made.npos ? made.size() : line ? end : end + 2;
    for (; at < end; ++at)
      if (made[at] != '\n') made[at] = ' ';
  }
  return made;
}

// What a line of a source includes, "" when it includes nothing.
inline std::string_view included(std::string_view line) {
  const auto skip = [&] {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  };
  skip();
  if (!line.starts_with('#')) return {};
  line.remove_prefix(1);
  skip();
  if (!line.starts_with("include")) return {};
  line.remove_prefix(7);
  skip();
  if (line.empty() || (line.front() != '<' && line.front() != '"')) return {};
  const char close = line.front() == '<' ? '>' : '"';
  line.remove_prefix(1);
  return line.substr(0, line.find(close));
}

inline bool is_of_torch(std::string_view header) {
  for (const std::string_view start :
       {"torch/", "ATen/", "c10/", "caffe2/", "pybind11/"})
    if (header.starts_with(start)) return true;
  return header == "Python.h" || header == "torch.h";
}

// Calls `see` with every opcode of a PTX text, "ld.global.v4.f32" say.
template <typename See>
void for_each_opcode(std::string_view ptx, See see) {
  const std::string text = without_comments(ptx);
  std::size_t at = 0;
  bool in_string = false;
  std::size_t start = 0;
  const auto statement = [&](std::string_view rest) {
    const auto skip = [&] {
      rest.remove_prefix(
          std::min(rest.find_first_not_of(" \t\r\n"), rest.size()));
    };
    skip();
    if (rest.starts_with('@')) {  // a predicate
      rest.remove_prefix(std::min(rest.find_first_of(" \t"), rest.size()));
      skip();
    }
    if (rest.empty() || rest.front() < 'a' || rest.front() > 'z') return;
    see(rest.substr(0, rest.find_first_of(" \t\r\n[{(")));
  };
  for (; at < text.size(); ++at) {
    if (text[at] == '"') in_string = !in_string;
    if (in_string) continue;
    // A brace is the start or end of a scope where no instruction has begun;
    // vectors of registers stand in braces too.
    const char c = text[at];
    bool scope = c == '{' || c == '}';
    if (scope) {
      const std::size_t first = text.find_first_not_of(" \t\r\n", start);
      scope = first == at || (c == '{' && text[first] == '.');
    }
    const bool label = c == ':' && at + 1 < text.size() &&
                       std::string_view(" \t\r\n").find(text[at + 1]) !=
                           std::string_view::npos;
    if (c == ';' || scope || label) {
      if (c == ';')
        statement(std::string_view(text).substr(start, at - start));
      start = at + 1;
    }
  }
}

// Bits of a type, ".f32" without its point; 0 for what is none.
inline int bits_of(std::string_view type) {
  if (type.size() < 2 || std::string_view("bsuf").find(type[0]) == type.npos)
    return 0;
  int bits = 0;
  for (const char c : type.substr(1)) {
    if (c < '0' || c > '9' || bits > 128) return 0;
    bits = bits * 10 + (c - '0');
  }
  return bits;
}

inline bool is_wide_load(std::string_view opcode) {
  if (opcode.starts_with("cp.async.bulk"))
    return opcode.find("shared::cluster.global") != opcode.npos ||
           opcode.find("shared::cta.global") != opcode.npos;
  if (opcode.starts_with("cp.async.cg.")) return true;  // always 16 bytes
  if (!opcode.starts_with("ld.")) return false;
  bool global = false;
  int lanes = 1, bits = 0;
  while (!opcode.empty()) {
    const std::string_view part = opcode.substr(0, opcode.find('.'));
    opcode.remove_prefix(std::min(part.size() + 1, opcode.size()));
    if (part == "global") global = true;
    if (part == "v2") lanes = 2;
    if (part == "v4") lanes = 4;
    if (part == "v8") lanes = 8;
    bits = bits_of(part);
  }
  return global && lanes * bits >= 128;
}

// Groups have names; anything else is an opcode or its start up to a point.
inline bool belongs_to(std::string_view opcode, std::string_view wanted) {
  if (wanted == "tensor_cores")
    return opcode.starts_with("mma.") || opcode.starts_with("wmma.mma.") ||
           opcode.starts_with("wgmma.mma_async.");
  if (wanted == "loads_of_16_bytes") return is_wide_load(opcode);
  if (wanted == "asynchronous_copies")
    return opcode.starts_with("cp.async.ca.") ||
           opcode.starts_with("cp.async.cg.") ||
           (opcode.starts_with("cp.async.bulk") &&
            opcode.find("_group") == opcode.npos);
  return opcode == wanted ||
         (opcode.starts_with(wanted) && opcode.size() > wanted.size() &&
          opcode[wanted.size()] == '.');
}

inline bool stays_inside(std::string_view path) {
  if (path.empty() || path.front() == '/') return false;
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('/'));
    if (part == "..") return false;
    path.remove_prefix(std::min(part.size() + 1, path.size()));
  }
  return true;
}

inline assertion_result passed() {
  return {assertion_result::verdict::passed, ""};
}
inline assertion_result failed(std::string why) {
  return {assertion_result::verdict::failed, std::move(why)};
}
inline assertion_result not_judged(std::string why) {
  return {assertion_result::verdict::not_judged, std::move(why)};
}

// The last block of a text that is fenced as this language; nothing when there
// is none. Enough for a model's answer that names its files in fences.
inline std::optional<std::string> fenced(std::string_view text,
                                         std::string_view language) {
  std::optional<std::string> found;
  std::string fence;  // of the block that is open
  std::string block;
  bool wanted = false;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t ticks =
        line.starts_with("```") || line.starts_with("~~~")
            ? std::min(line.find_first_not_of(line[0]), line.size())
            : 0;
    if (fence.empty() && ticks > 0) {
      fence = line.substr(0, ticks);
      std::string_view said = line.substr(ticks);
      said.remove_prefix(std::min(said.find_first_not_of(' '), said.size()));
      wanted = said.substr(0, said.find_first_of(" :,{\t")) == language;
      block.clear();
    } else if (!fence.empty() && ticks >= fence.size() &&
               line[0] == fence[0] &&
               line.find_first_not_of(" \t", ticks) == line.npos) {
      if (wanted) found = block;
      fence.clear();
    } else if (!fence.empty() && wanted) {
      block += std::string(line) + "\n";
    }
  }
  return found;
}

inline assertion_result keeps_build_rules(const assertion& asked,
                                          const asserted& of) {
  if (of.lint == nullptr)
    return not_judged("nothing here reads a build.toml");
  std::optional<std::string> text;
  if (of.files) {
    const auto found = of.files->find(asked.path);
    if (found != of.files->end()) text = found->second;
  }
  if (!text) text = fenced(of.output, "toml");
  if (!text)
    return failed("there is no file \"" + asked.path +
                  "\" and no block of toml in the output");
  const int least = asked.texts.empty() || asked.texts.front().size() != 1
                        ? 1
                        : asked.texts.front()[0] - '0';
  const std::vector<std::string> wrong = of.lint(*text, least);
  if (wrong.empty()) return passed();
  std::string why = wrong.front();
  if (wrong.size() > 1)
    why += "; and " + std::to_string(wrong.size() - 1) + " more";
  return failed(why);
}

inline assertion_result all_in(std::string_view text, const assertion& asked,
                               const std::string& where) {
  for (const std::string& part : asked.texts)
    if (!contains(text, part))
      return failed("\"" + part + "\" is not in " + where);
  return passed();
}

}  // namespace assertions

[[nodiscard]] inline assertion_result judge(const assertion& asked,
                                            const asserted& of) {
  using namespace assertions;
  using type = assertion::type;
  switch (asked.kind) {
    case type::contains: return all_in(of.output, asked, "the output");
    case type::file_exists:
    case type::file_contains: {
      if (!stays_inside(asked.path))
        return failed("\"" + asked.path + "\" is no path in the output's folder");
      if (!of.files) return not_judged("the output's files are not at hand");
      const auto found = of.files->find(asked.path);
      if (found == of.files->end())
        return failed("there is no file \"" + asked.path + "\"");
      if (asked.kind == type::file_exists) return passed();
      return all_in(found->second, asked, "\"" + asked.path + "\"");
    }
    case type::command: {
      if (of.run == nullptr)
        return not_judged("it is a command, and commands are not allowed");
      if (asked.texts.size() != 1) return not_judged("it is no one command");
      if (!of.files) return not_judged("the output's files are not at hand");
      const auto ended = of.run(asked.texts.front(), *of.files);
      if (!ended) return not_judged(ended.error().what);
      if (ended.value() == 0) return passed();
      return failed("the command ended with " + std::to_string(ended.value()));
    }
    case type::validator:
      return not_judged("it is a validator of another tool");
    case type::expectation:
      return not_judged("its words are for a person or a model to judge");
    case type::no_torch: {
      if (!of.source) return not_judged("there is no source");
      const std::string text = without_comments(*of.source);
      std::string_view rest = text;
      for (int line = 1; !rest.empty(); ++line) {
        const std::string_view here = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(here.size() + 1, rest.size()));
        if (const auto header = included(here); is_of_torch(header))
          return failed("line " + std::to_string(line) + " includes " +
                        std::string(header));
      }
      return passed();
    }
    case type::ptx_uses:
    case type::ptx_avoids: {
      if (!of.ptx) return not_judged("there is no PTX");
      const bool uses = asked.kind == type::ptx_uses;
      for (const std::string& wanted : asked.texts) {
        std::string seen;
        for_each_opcode(*of.ptx, [&](std::string_view opcode) {
          if (seen.empty() && belongs_to(opcode, wanted)) seen = opcode;
        });
        if (uses && seen.empty())
          return failed("the PTX has no " + wanted);
        if (!uses && !seen.empty())
          return failed("the PTX has " + seen +
                        (seen == wanted ? "" : ", which is " + wanted));
      }
      return passed();
    }
    case type::build_toml: return keeps_build_rules(asked, of);
  }
  return not_judged("it is of no known kind");
}

}  // namespace skillbench
