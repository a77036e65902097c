#pragma once
// cli/families.hpp: the families of this program, and what is said of them.
//
// Layer   7. embedded.hpp reads them.

#include <string>
#include <utility>
#include <vector>

#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/embedded.hpp>
#include <skillbench/families.hpp>
#include <skillbench/family.hpp>
#include <skillbench/json_text.hpp>

namespace skillbench::cli {

[[nodiscard]] inline std::vector<std::string> names_of_families(
    const std::vector<family>& known) {
  std::vector<std::string> names;
  for (const family& each : known) names.push_back(each.name);
  return names;
}

// "there is no family `x`; did you mean `y`?"
[[nodiscard]] inline std::string no_such_family(
    const std::string& typed, const std::vector<family>& known) {
  const auto names = names_of_families(known);
  std::string all;
  for (const std::string& each : names)
    all += (all.empty() ? "" : ", ") + each;
  const std::string best = nearest(typed, names);
  return "there is no family `" + printable(typed) + "`" +
         (best.empty() ? " (there are: " + all + ")"
                       : "; did you mean `" + best + "`?");
}

// "x[rows, cols]"
[[nodiscard]] inline std::string words_of(const argument& each) {
  std::string text = each.name;
  if (each.kind == argument::type::input ||
      each.kind == argument::type::output) {
    text += "[";
    for (const expression& extent : each.shape)
      text += (text.back() == '[' ? "" : ", ") + extent.text();
    text += "]";
  }
  return text;
}

[[nodiscard]] inline exit_code tell(const families_command& asked,
                                    const std::vector<family>& known,
                                    stream& out) {
  if (asked.json) {
    std::string text = "[\n";
    for (const family& each : known) {
      const nlohmann::ordered_json one = {{"name", each.name},
                                          {"title", each.title},
                                          {"version", each.version},
                                          {"cases", each.cases.size()}};
      text += "  " + one.dump() + (&each == &known.back() ? "\n" : ",\n");
    }
    out.line(text + "]");
    return exit_code::fine;
  }
  for (const family& each : known) {
    std::string inputs, outputs;
    for (const argument& one : each.arguments) {
      std::string& to =
          one.kind == argument::type::output ? outputs : inputs;
      to += (to.empty() ? "" : ", ") + words_of(one);
    }
    out.line(out.paint(colour::bold, each.name) + "  " + each.title + ", " +
             plural(each.cases.size(), "case"));
    for (const std::string& row :
         wrapped(inputs + " -> " + outputs, out.width() - 2))
      out.line("  " + row);
  }
  out.line("");
  out.line("Each case runs for float, half and bfloat16.\n"
           "`skillbench prompt FAMILY` prints what a model is asked.");
  return exit_code::fine;
}

[[nodiscard]] inline exit_code tell(const prompt_command& asked,
                                    const std::vector<family>& known,
                                    stream& out, stream& trouble) {
  for (const family& each : known) {
    if (each.name != asked.family) continue;
    std::string text = each.prompt;
    if (!text.empty() && text.back() != '\n') text += '\n';
    out.write(text + "\n");
    out.write(contract_text());
    return exit_code::fine;
  }
  trouble.line("skillbench: " + no_such_family(asked.family, known));
  return exit_code::misuse;
}

}  // namespace skillbench::cli
