#pragma once
// read_build_toml.hpp: a build.toml held against the rules of kernel-builder.
//
// Layer   6. toml_text.hpp reads the text.
// Editions Five forms are known. A file that says `general.edition` is held
//         against that one; any other against v4, v3, v2 and v1, and passes when
//         it keeps to one of them. Otherwise it is told of the one it comes
//         closest to.
// Lenient in what kernel-builder checks later: whether files exist, whether a
//         dependency fits a backend, whether a licence is known.
// Source  github.com/huggingface/kernels, kernels-data/src/config, v1.rs to
//         v5.rs, name.rs, git_url.rs, kernel_deps.rs, deps.rs.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <skillbench/toml_text.hpp>

namespace skillbench {

inline constexpr int newest_edition = 5;

struct build_told {
  int edition = 0;                 // whose rules these are
  std::vector<std::string> wrong;  // "line 3: ...", in the order of lines
};

namespace build_toml {

using toml_text::type;
using toml_text::value;

enum class takes : std::uint8_t {
  text, texts, whole, flag, version, name, git_url, backends, depends,
  kernel_depends, stable_abi, language, edition
};

struct key_rule {
  std::string_view key;
  takes what;
  bool needed = false;
};
using table_rules = std::span<const key_rule>;

inline constexpr std::array<std::string_view, 6> old_backends{
    "cpu", "cuda", "metal", "neuron", "rocm", "xpu"};
inline constexpr std::array<std::string_view, 8> new_backends{
    "cann", "cpu", "cuda", "metal", "neuron", "rocm", "tpu", "xpu"};
inline constexpr std::array<std::string_view, 11> dependencies{
    "cutlass_2_10", "cutlass_3_5", "cutlass_3_6", "cutlass_3_8",
    "cutlass_3_9",  "cutlass_4_0", "cutlass_4_4", "cutlass_4_5",
    "sycl_tla",     "metal-cpp",   "torch"};
inline constexpr std::array<std::string_view, 7> git_schemes{
    "https", "http", "git", "ssh", "git+ssh", "git+https", "git+http"};

inline std::string joined(std::span<const std::string_view> words) {
  std::string all;
  for (const std::string_view each : words)
    all += (all.empty() ? "" : ", ") + std::string(each);
  return all;
}

inline bool is_one_of(std::string_view word,
                      std::span<const std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// ^[a-z][-a-z0-9]*[a-z0-9]$
inline bool is_kernel_name(std::string_view word) {
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (word.size() < 2 || !letter(word.front()) || word.back() == '-')
    return false;
  return std::all_of(word.begin(), word.end(), [&](char c) {
    return letter(c) || digit(c) || c == '-';
  });
}

// Whole numbers with points between them.
inline bool is_version(std::string_view word) {
  bool digit = false;
  for (const char c : word) {
    if (c == '.' && !digit) return false;
    if (c != '.' && (c < '0' || c > '9')) return false;
    digit = c != '.';
  }
  return digit;
}

inline bool is_git_url(std::string_view word) {
  const std::size_t colon = word.find(':');
  if (colon == word.npos || colon == 0 || colon + 1 == word.size() ||
      word.find_first_of(" \t\n") != word.npos)
    return false;
  if (word.substr(colon).starts_with("://"))
    return is_one_of(word.substr(0, colon), git_schemes) &&
           word.size() > colon + 3;
  return word[colon + 1] != '/';  // git@host:owner/name
}

class checker {
 public:
  explicit checker(int edition) : edition_(edition) {}

  void build(const value& all) {
    const value* const general = all.find("general");
    if (general == nullptr) say(all, "there is no [general]");
    std::vector<std::string_view> frameworks{"torch"};
    if (edition_ >= 3) frameworks.push_back("tvm-ffi");
    if (edition_ >= 4) frameworks.push_back("torch-noarch");
    std::size_t seen = 0;
    for (const value& one : all.items) {
      if (one.key == "general") {
        if (is_table(one)) general_table(one);
      } else if (is_one_of(one.key, frameworks)) {
        if (++seen > 1 && edition_ >= 3)
          say(one, "there is a framework already, [" + one.key +
                       "] is one too many");
        if (is_table(one)) framework(one);
      } else if (one.key == "kernel") {
        if (is_table(one))
          for (const value& each : one.items)
            if (is_table(each)) kernel(each);
      } else {
        say(one, "there is no [" + one.key + "]; known are general, kernel, " +
                     joined(frameworks));
      }
    }
    if (seen == 0 && edition_ != 3)
      say(all, edition_ < 3 ? "there is no [torch]"
                            : "there is none of " + joined(frameworks));
  }

  [[nodiscard]] std::vector<std::string> told() {
    std::stable_sort(said_.begin(), said_.end(),
                     [](const auto& a, const auto& b) {
                       // What is of no line comes last.
                       return a.first - 1 < b.first - 1;
                     });
    std::vector<std::string> all;
    for (const auto& [line, words] : said_)
      all.push_back(line == 0 ? words
                              : "line " + std::to_string(line) + ": " + words);
    return all;
  }

 private:
  void say(const value& at, std::string words) {
    if (said_.size() < 100) said_.emplace_back(at.key.empty() ? 0 : at.line,
                                               std::move(words));
  }
  bool is_table(const value& it) {
    if (it.kind == type::table) return true;
    say(it, "`" + it.key + "` is no table");
    return false;
  }
  [[nodiscard]] std::span<const std::string_view> backends() const {
    if (edition_ >= 4) return new_backends;
    return old_backends;
  }

  void table(const value& it, const std::string& where, table_rules rules,
             std::span<const std::string_view> inner = {}) {
    for (const value& one : it.items) {
      const auto known =
          std::find_if(rules.begin(), rules.end(),
                       [&](const key_rule& each) { return each.key == one.key; });
      if (known != rules.end()) {
        check(one, known->what);
      } else if (!is_one_of(one.key, inner)) {
        say(one, "[" + where + "] has no key `" + one.key + "`");
      }
    }
    for (const key_rule& each : rules)
      if (each.needed && it.find(each.key) == nullptr)
        say(it, "[" + where + "] lacks `" + std::string(each.key) + "`");
  }

  void check(const value& it, takes what) {
    const auto wants = [&](std::string_view words) {
      say(it, "`" + it.key + "` is to be " + std::string(words));
    };
    const bool text = it.kind == type::text;
    const auto texts = [&](auto&& fits, const std::string& words) {
      if (it.kind != type::list) return wants("a list of texts");
      for (const value& one : it.items)
        if (one.kind != type::text || !fits(one.text))
          return wants(words + (one.kind == type::text
                                    ? ", not \"" + one.text + "\""
                                    : std::string()));
    };
    switch (what) {
      case takes::text:
        if (!text) wants("a text");
        break;
      case takes::texts:
        texts([](const std::string&) { return true; }, "a list of texts");
        break;
      case takes::whole:
        if (it.kind != type::integer || it.number < 0)
          wants("a whole number");
        break;
      case takes::flag:
        if (it.kind != type::flag) wants("true or false");
        break;
      case takes::version:
        if (!text || !is_version(it.text)) wants("a version in quotes, \"12.4\"");
        break;
      case takes::name:
        if (!text || !is_kernel_name(it.text))
          wants("two or more of a-z, 0-9 and `-`, a letter first and no `-` "
                "last" + (text ? ", not \"" + it.text + "\"" : std::string()));
        break;
      case takes::git_url:
        if (!text || (edition_ >= 3 && !is_git_url(it.text)))
          wants("the address of a git repository");
        break;
      case takes::edition:
        if (it.kind != type::integer || it.number != newest_edition)
          wants("5");
        break;
      case takes::backends:
        texts([&](const std::string& one) { return is_one_of(one, backends()); },
              "a list of " + joined(backends()));
        break;
      case takes::depends:
        texts([](const std::string& one) { return is_one_of(one, dependencies); },
              "a list of " + joined(dependencies));
        break;
      case takes::language:
        if (!text || (it.text != "cuda" && it.text != "cuda-hipify" &&
                      it.text != "metal"))
          wants("cuda, cuda-hipify or metal");
        break;
      case takes::kernel_depends:
        if (it.kind != type::list) return wants("a list of tables");
        for (const value& one : it.items) kernel_dependency(one, it);
        break;
      case takes::stable_abi:
        if (it.kind == type::table) {
          for (const value& one : it.items) {
            if (!is_one_of(one.key, backends()))
              say(one, "there is no backend `" + one.key + "`");
            check(one, takes::version);
          }
        } else if (!text || !is_version(it.text)) {
          wants("a version in quotes, or one for each backend");
        }
        break;
    }
  }

  void kernel_dependency(const value& one, const value& in) {
    if (one.kind != type::table) return say(in, "`" + in.key +
                                                    "` is a list of tables");
    static constexpr key_rule rules[] = {{"repo-id", takes::text, true},
                                         {"version", takes::whole},
                                         {"revision", takes::text}};
    table(one, in.key, rules);
    if ((one.find("version") != nullptr) == (one.find("revision") != nullptr))
      say(in, "`" + in.key + "` needs either a version or a revision");
  }

  void general_table(const value& it) {
    static constexpr key_rule first[] = {{"name", takes::name, true}};
    static constexpr key_rule second[] = {
        {"name", takes::name, true},        {"universal", takes::flag},
        {"cuda-maxver", takes::version},    {"cuda-minver", takes::version},
        {"python-depends", takes::texts}};
    static constexpr key_rule third[] = {
        {"name", takes::name, true},     {"version", takes::whole},
        {"license", takes::text},        {"upstream", takes::git_url},
        {"backends", takes::backends, true}, {"python-depends", takes::texts}};
    static constexpr key_rule fourth[] = {
        {"name", takes::name, true},     {"version", takes::whole, true},
        {"license", takes::text, true},  {"upstream", takes::git_url},
        {"source", takes::git_url},      {"backends", takes::backends, true},
        {"python-depends", takes::texts}};
    static constexpr key_rule fifth[] = {
        {"name", takes::name, true},     {"version", takes::whole, true},
        {"edition", takes::edition, true}, {"license", takes::text, true},
        {"upstream", takes::git_url},    {"source", takes::git_url},
        {"backends", takes::backends, true},
        {"kernel-depends", takes::kernel_depends},
        {"python-depends", takes::texts}};
    const table_rules all[] = {first, second, third, fourth, fifth};
    std::vector<std::string_view> inner;
    if (edition_ >= 2) inner.push_back("hub");
    if (edition_ >= 3) inner.insert(inner.end(), {"cuda", "neuron", "xpu"});
    if (edition_ >= 5) inner.push_back("tpu");
    table(it, "general", all[edition_ - 1], inner);

    static constexpr key_rule hub[] = {{"repo-id", takes::text},
                                       {"branch", takes::text}};
    for (const value& one : it.items) {
      if (!is_one_of(one.key, inner) || !is_table(one)) continue;
      if (one.key == "hub") {
        table(one, "general.hub", hub);
        continue;
      }
      std::vector<key_rule> rules{{"python-depends", takes::texts}};
      if (one.key == "cuda")
        rules.insert(rules.end(), {{"minver", takes::version},
                                   {"maxver", takes::version}});
      if (edition_ >= 5 && one.key != "tpu")
        rules.push_back({"kernel-depends", takes::kernel_depends});
      table(one, "general." + one.key, rules);
    }
  }

  void framework(const value& it) {
    std::vector<key_rule> rules{{"pyext", takes::texts}};
    if (it.key == "torch-noarch") {
      rules.insert(rules.end(), {{"cuda_capabilities", takes::texts},
                                 {"rocm_archs", takes::texts}});
    } else {
      rules.insert(rules.end(),
                   {{"include", takes::texts},
                    {"src", takes::texts, it.key == "tvm-ffi"}});
      if (edition_ == 1) rules.push_back({"universal", takes::flag});
      if (edition_ >= 4) rules.push_back({"cxx-flags", takes::texts});
    }
    if (it.key == "torch" && edition_ >= 2)
      rules.insert(rules.end(), {{"minver", takes::version},
                                 {"maxver", takes::version}});
    if (it.key == "torch" && edition_ >= 4)
      rules.push_back({"stable-abi", edition_ == 4 ? takes::version
                                                   : takes::stable_abi});
    table(it, it.key, rules);
  }

  void kernel(const value& it) {
    const std::string where = "kernel." + it.key;
    std::vector<key_rule> rules{{"depends", takes::depends, true},
                                {"include", takes::texts},
                                {"src", takes::texts, true}};
    if (edition_ == 1) {
      rules.insert(rules.end(), {{"cuda-capabilities", takes::texts},
                                 {"rocm-archs", takes::texts},
                                 {"language", takes::language}});
      return table(it, where, rules);
    }
    static constexpr std::array<std::string_view, 5> known{
        "cpu", "cuda", "metal", "rocm", "xpu"};
    const value* const backend = it.find("backend");
    if (backend == nullptr || backend->kind != type::text ||
        !is_one_of(backend->text, known))
      return say(backend == nullptr ? it : *backend,
                 "[" + where + "] needs a backend: one of " + joined(known));
    rules.insert(rules.end(), {{"backend", takes::text},
                               {"cxx-flags", takes::texts}});
    if (backend->text == "cuda")
      rules.insert(rules.end(), {{"cuda-capabilities", takes::texts},
                                 {"cuda-flags", takes::texts},
                                 {"cuda-minver", takes::version}});
    if (backend->text == "rocm")
      rules.insert(rules.end(), {{"rocm-archs", takes::texts},
                                 {"hip-flags", takes::texts}});
    if (backend->text == "xpu") rules.push_back({"sycl-flags", takes::texts});
    table(it, where, rules);
  }

  int edition_;
  std::vector<std::pair<std::size_t, std::string>> said_;
};

}  // namespace build_toml

// `least`: no older edition will do.
[[nodiscard]] inline build_told lint_build_toml(std::string_view text,
                                                int least = 1) {
  using namespace build_toml;
  const auto read = toml_text::read(text);
  if (!read) return {0, {read.error().what}};
  const value& all = read.value();
  const value* const general = all.find("general");
  const value* const said =
      general == nullptr ? nullptr : general->find("edition");
  const auto by = [&](int edition) {
    checker one(edition);
    one.build(all);
    return build_told{edition, one.told()};
  };
  if (said != nullptr || least >= newest_edition) return by(newest_edition);
  build_told closest;
  for (int edition = newest_edition - 1; edition >= std::max(least, 1);
       --edition) {
    build_told one = by(edition);
    if (one.wrong.empty()) return one;
    if (closest.edition == 0 || one.wrong.size() < closest.wrong.size())
      closest = std::move(one);
  }
  return closest;
}

}  // namespace skillbench
