#pragma once
// ptx/names.hpp: what a name means in the braces it stands in.
//
// Layer   3. Includes constant.hpp.
// Names   A register, variable, parameter or label that is declared in an
//         inner { } may hide an outer one, so every declaration gets a name
//         of its own in its function: the second `p` is `p@1`, the third
//         `p@2`; the second range `%r<4>` is named `%r@1@` and its members are
//         `%r@1@0` to `%r@1@3`. A name that the module itself declares counts
//         as taken. Uses are rewritten to the innermost declaration. Special
//         registers, and what only the module knows, stay as they are.
// Errors  as in lex.hpp: a name declared twice in one scope, a use outside of
//         every scope that declares it, more registers than parse_limits allow.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <skillbench/ptx/constant.hpp>

namespace skillbench::ptx {

class name_reader : protected constant_reader {
 protected:
  using constant_reader::constant_reader;

  // --- scopes ----------------------------------------------------------------

  struct declaration {
    std::size_t scope = 0;  // how many scopes are around it
    std::int64_t count = 0;
    std::string renamed;    // "" when the name is kept
    bool open = true;       // its scope has not been closed
  };

  struct range_state {
    std::vector<declaration> stack;
    std::int64_t most = 0;     // the largest count ever declared
    bool overlapped = false;   // another name may look like a member
  };

  struct label_declaration {
    std::string_view name;
    std::string unique;
  };

  struct scope {
    place opened;
    std::size_t first_use = 0;
    std::vector<std::string_view> names, ranges;
    std::vector<label_declaration> labels;
  };

  struct use {
    std::size_t order = 0;
    std::string* text = nullptr;
    place at;
  };

  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };

  // Everything about the names of the function that is being read.
  struct names_state {
    std::vector<scope> scopes;
    std::unordered_map<std::string_view, std::vector<declaration>> names;
    std::unordered_map<std::string_view, range_state> ranges;
    std::unordered_map<std::string_view, std::int64_t> times;  // declared
    std::unordered_map<std::string, std::vector<use>, text_hash,
                       std::equal_to<>>
        waiting;
    std::size_t uses = 0;
    std::int64_t registers = 0;
  };

  // The trailing digits of a name that may be the number of a range's member:
  // calls `with(prefix, number)` from the shortest prefix on until true.
  template <typename F>
  static bool splits(std::string_view name, F&& with) {
    constexpr std::size_t most = 7;  // digits of the largest register number
    std::size_t first = name.size();
    while (first > 1 && name.size() - first < most && digit(name[first - 1]))
      --first;
    for (; first < name.size(); ++first) {
      std::int64_t value = 0;
      for (std::size_t i = first; i < name.size(); ++i)
        value = value * 10 + (name[i] - '0');
      if (with(name.substr(0, first), value)) return true;
    }
    return false;
  }

  void open_scope(place opened) {
    names_.scopes.push_back({opened, names_.uses, {}, {}, {}});
  }

  // The name that a new declaration gets.
  bool unique_name(std::string_view name, bool range, std::string& out) {
    if (!spend(384)) return false;
    bool taken = module_names_.contains(name) || names_.times.contains(name);
    splits(name, [&](std::string_view prefix, std::int64_t) {
      if (!spend(128)) return true;
      auto& state = names_.ranges[prefix];
      state.overlapped = true;
      if (!state.stack.empty() || state.most > 0) taken = true;
      return false;
    });
    if (error_) return false;
    if (range && names_.ranges[name].overlapped) taken = true;
    const std::int64_t before = names_.times[name]++;
    if (!taken) return true;
    out.reserve(name.size() + 8);
    out += name;
    out += '@';
    out += std::to_string(std::max<std::int64_t>(before, 1));
    if (range) out += '@';
    // A first clash with the module's name and a second one would both be @1.
    if (before == 0) names_.times[name] = 2;
    return spend(out.size());
  }

  bool declare(variable& what, place where, std::string_view name) {
    if (name == "_") return refuse(where, "'_' cannot be declared");
    const std::size_t depth = names_.scopes.size();
    const bool range = what.count > 0;
    std::string renamed;
    // Nodes of these maps stay where they are.
    auto* const old = range ? &names_.ranges[name].stack : &names_.names[name];
    if (!old->empty() && old->back().scope == depth)
      return refuse(where, shown(name) + " is declared twice in one scope");
    if (!unique_name(name, range, renamed)) return false;
    if (!renamed.empty()) what.name = renamed;
    old->push_back({depth, what.count, std::move(renamed), true});
    scope& innermost = names_.scopes.back();
    if (range) {
      auto& most = names_.ranges[name].most;
      most = std::max(most, what.count);
      innermost.ranges.push_back(name);
    } else {
      innermost.names.push_back(name);
    }
    return true;
  }

  bool declare_label(std::string_view name, place where, std::string& unique) {
    scope& innermost = names_.scopes.back();
    auto& known = names_.names[name];
    if (!known.empty() && known.back().scope == names_.scopes.size())
      return refuse(where, shown(name) + " is declared twice in one scope");
    auto& of_scope = label_scopes_[name];
    if (!of_scope.empty() && of_scope.back() == names_.scopes.size())
      return refuse(where, shown(name) + " is declared twice in one scope");
    if (!unique_name(name, false, unique)) return false;
    if (unique.empty()) unique = std::string(name);
    of_scope.push_back(names_.scopes.size());
    innermost.labels.push_back({name, unique});
    return spend(2 * name.size());
  }

  // Binds the waiting uses of the scope's labels, and forgets its names.
  void close_scope() {
    scope& closing = names_.scopes.back();
    for (const auto& [label, unique] : closing.labels) {
      label_scopes_[label].pop_back();
      const auto found = names_.waiting.find(label);
      if (found == names_.waiting.end()) continue;
      auto& uses = found->second;
      while (!uses.empty() && uses.back().order >= closing.first_use) {
        if (unique != label) *uses.back().text = unique;
        uses.pop_back();
      }
    }
    for (const auto name : closing.names) names_.names[name].pop_back();
    for (const auto name : closing.ranges) names_.ranges[name].stack.pop_back();
    names_.scopes.pop_back();
  }

  enum class found_name : std::uint8_t { no, yes, refused };

  // Rewrites `text` to the declaration that it means.
  found_name bind(std::string& text, place where) {
    const declaration* best = nullptr;
    std::size_t prefix_size = 0;
    std::int64_t member = 0;
    bool both = false;
    const auto offer = [&](const std::vector<declaration>& stack,
                           std::size_t prefix, std::int64_t index) {
      // An inner range that is too short does not hide an outer one.
      for (auto it = stack.rbegin(); it != stack.rend(); ++it) {
        if (prefix != 0 && index >= it->count) continue;
        if (best && best->scope >= it->scope) {
          both = both || best->scope == it->scope;
          return;
        }
        best = &*it;
        prefix_size = prefix;
        member = index;
        both = false;
        return;
      }
    };
    const bool plain =
        splits(text, [&](std::string_view prefix, std::int64_t index) {
          const auto found = names_.ranges.find(prefix);
          if (found == names_.ranges.end()) return false;
          if (!found->second.stack.empty())
            offer(found->second.stack, prefix.size(), index);
          // The usual case: %r12 can only be a member of %r<N>.
          return best != nullptr && !found->second.overlapped;
        });
    if (!plain) {
      const auto found = names_.names.find(text);
      if (found != names_.names.end()) offer(found->second, 0, 0);
    }
    if (!best) return found_name::no;
    if (both) {
      refuse(where, shown(text) + " could be two registers of this scope");
      return found_name::refused;
    }
    if (prefix_size == 0) {
      if (!best->renamed.empty()) text = best->renamed;
    } else if (!best->renamed.empty()) {
      text = best->renamed + std::to_string(member);
    } else if (text[prefix_size] == '0' && text.size() > prefix_size + 1) {
      text = text.substr(0, prefix_size) + std::to_string(member);
    }
    return found_name::yes;
  }

  // Whether some scope of this function has declared the name.
  [[nodiscard]] bool declared_somewhere(std::string_view name) {
    if (names_.names.contains(name)) return true;
    return splits(name, [&](std::string_view prefix, std::int64_t member) {
      const auto found = names_.ranges.find(prefix);
      return found != names_.ranges.end() && member < found->second.most;
    });
  }

  bool out_of_scope(std::string_view name, place where) {
    return refuse(where,
                  shown(name) + " is used outside of the scope that declares it");
  }

  // Binds every name of an operand that will not move any more.
  bool bind(operand& what) {
    const bool named = what.kind == operand::type::name ||
                       (what.kind == operand::type::address &&
                        !what.text.empty());
    if (named) {
      const found_name found = bind(what.text, what.at);
      if (found == found_name::refused) return false;
      if (found == found_name::no) {
        // A label may still be declared; a variable may not.
        if (!spend(sizeof(use) + what.text.size() + 32)) return false;
        auto it = names_.waiting.find(what.text);
        if (it == names_.waiting.end())
          it = names_.waiting.try_emplace(what.text).first;
        it->second.push_back({names_.uses, &what.text, what.at});
      }
      ++names_.uses;
    }
    for (auto& part : what.parts)
      if (!bind(part)) return false;
    for (auto& second : what.pair)
      if (!bind(second)) return false;
    return true;
  }

  // After the function's last scope: what still waits is the module's, or a
  // special register, or a mistake.
  bool settle() {
    const use* first = nullptr;
    std::string_view what;
    for (const auto& [name, uses] : names_.waiting) {
      if (uses.empty() || module_names_.contains(name)) continue;
      if (!declared_somewhere(name)) continue;
      if (first && first->order <= uses.front().order) continue;
      first = &uses.front();
      what = name;
    }
    return !first || out_of_scope(what, first->at);
  }
  std::unordered_set<std::string_view> module_names_;
  names_state names_;
  std::unordered_map<std::string_view, std::vector<std::size_t>> label_scopes_;
};

}  // namespace skillbench::ptx
