#pragma once
// cli/skill.hpp: `skillbench skill check`: skills held against their format.
//
// Layer   7. read_skill.hpp reads and checks.

#include <cstddef>
#include <string>
#include <vector>

#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/json_text.hpp>
#include <skillbench/read_skill.hpp>

namespace skillbench::cli {

// "skills/demo/SKILL.md:3:7: error: the name ... [name_form]"
[[nodiscard]] inline std::string words_of(const skill_flaw& flaw,
                                          const checked_skill& in,
                                          skill_mode how, const stream& out) {
  std::string place = printable(in.path);
  if (flaw.line > 0) {
    place += ":" + std::to_string(flaw.line);
    if (flaw.column > 0) place += ":" + std::to_string(flaw.column);
  }
  const bool error = is_error(flaw.rule, how);
  return out.paint(colour::bold, place + ":") + " " +
         (error ? out.paint(colour::red, "error:")
                : out.paint(colour::yellow, "warning:")) +
         " " + printable(flaw.what) + " [" + std::string(name(flaw.rule)) + "]";
}

inline void print_skill(const checked_skill& it, const std::string& folder,
                        skill_mode how, stream& out) {
  for (const skill_flaw& flaw : it.flaws) out.line(words_of(flaw, it, how, out));
  const std::size_t errors = it.errors(how);
  const std::size_t warnings = it.flaws.size() - errors;
  std::string verdict = printable(folder) + ": ";
  if (errors > 0)
    verdict += out.paint(colour::red, plural(errors, "error"));
  else
    verdict += out.paint(colour::green, "passes");
  if (warnings > 0) verdict += ", " + plural(warnings, "warning");
  out.line(verdict + (how == skill_mode::strict ? " (strict)" : " (lenient)"));
  out.line(fmt::format(
      "  about {} of name and description, {} of instructions (estimates); {} "
      "of instructions; {}, {} bytes",
      plural(it.read.description_tokens, "token"),
      plural(it.read.body_tokens, "token"), plural(it.read.body_lines, "line"),
      plural(it.read.files, "file"), it.read.bytes));
}

[[nodiscard]] inline std::string line_of(const checked_skill& it,
                                         const std::string& folder,
                                         skill_mode how) {
  using json_text::json;
  const std::size_t errors = it.errors(how);
  json made;
  made["schema"] = 1;
  made["folder"] = folder;
  made["path"] = it.path;
  made["mode"] = how == skill_mode::strict ? "strict" : "lenient";
  made["passes"] = errors == 0;
  made["errors"] = errors;
  made["warnings"] = it.flaws.size() - errors;
  made["name"] = it.read.name;
  made["description"] = it.read.description;
  json_text::put(made, "license", it.read.license);
  json_text::put(made, "compatibility", it.read.compatibility);
  json_text::put(made, "allowed_tools", it.read.allowed_tools);
  if (!it.read.metadata.empty()) {
    made["metadata"] = json::object();
    for (const auto& [key, text] : it.read.metadata)
      made["metadata"][key] = text;
  }
  made["tokens_estimate"] = {{"name_and_description", it.read.description_tokens},
                             {"instructions", it.read.body_tokens}};
  made["lines"] = it.read.body_lines;
  made["files"] = it.read.files;
  made["bytes"] = it.read.bytes;
  made["flaws"] = json::array();
  for (const skill_flaw& flaw : it.flaws) {
    json one = {{"rule", name(flaw.rule)},
                {"severity", is_error(flaw.rule, how) ? "error" : "warning"}};
    if (flaw.line > 0) one["line"] = flaw.line;
    if (flaw.column > 0) one["column"] = flaw.column;
    one["what"] = flaw.what;
    made["flaws"].push_back(std::move(one));
  }
  return json_text::line_of(made);
}

[[nodiscard]] inline exit_code tell(const skill_check_command& asked,
                                    stream& out, stream& trouble) {
  const skill_mode how =
      asked.lenient ? skill_mode::lenient : skill_mode::strict;
  std::size_t looked_at = 0, failed = 0;
  bool unreadable = false;
  for (const std::string& path : asked.paths)
    for (const std::string& folder : skill_folders(path)) {
      const auto made = check_skill(folder);
      if (!made) {
        trouble.line("skillbench: " + printable(made.error().what));
        unreadable = true;
        continue;
      }
      ++looked_at;
      failed += made.value().passes(how) ? 0 : 1;
      if (asked.json)
        out.line(line_of(made.value(), folder, how));
      else
        print_skill(made.value(), folder, how, out);
    }
  if (!asked.json && looked_at > 1)
    out.line(fmt::format("{}: {} {}, {} not", plural(looked_at, "skill"),
                         looked_at - failed,
                         looked_at - failed == 1 ? "passes" : "pass", failed));
  return unreadable  ? exit_code::misuse
         : failed > 0 ? exit_code::differs
                      : exit_code::fine;
}

}  // namespace skillbench::cli
