#pragma once
// tuning_space.hpp: the configurations that parameters and constraints allow.
//
// Layer   2. Includes condition.hpp and manifest.hpp.
// Shapes  a point has, for each parameter in order, the place of its value in
//         the parameter's list. Configurations have an index from 0 to
//         size() - 1; its order is the space's own, first() is the default.
// How     parameters that share a constraint make a group; each group is a tree
//         with a level for each parameter, grown value by value, in which a
//         branch ends at the first constraint that fails. Branches in which
//         nothing that is still to be tested differs are one. Nothing walks the
//         product of all values, and nothing is listed until all() asks.
// Errors  bad_input: a parameter without values or of mixed kinds, a name twice,
//         a constraint with an unknown name, one that has no value for a
//         combination which the others allow, a space that is empty (the
//         constraints that make it so are named) or beyond 2^62; too_large:
//         more than 200 million steps to grow it.
// Source  Rasch et al., Efficient Auto-Tuning of Parallel Programs with
//         Interdependent Tuning Parameters via ATF, ACM TACO 2021, for trees of
//         groups; Bryant, Graph-Based Algorithms for Boolean Function
//         Manipulation, 1986, for sharing branches.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <skillbench/condition.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/manifest.hpp>
#include <skillbench/units.hpp>

namespace skillbench {

struct tuning_parameter {
  std::string name;
  std::vector<tuning_value> values;  // the first is the default's
};

using tuning_point = std::vector<std::uint16_t>;

class tuning_space {
 public:
  static constexpr std::uint64_t most_steps = 200'000'000;
  static constexpr std::uint64_t most_points = std::uint64_t{1} << 62;

  [[nodiscard]] static result<tuning_space> build(
      std::vector<tuning_parameter> parameters,
      std::vector<condition> constraints);

  // What a manifest asks for. `sizeof_T` is a name that constraints may use.
  [[nodiscard]] static result<tuning_space> of(const manifest& asked,
                                               element type);

  // Exactly these points: of a recording, say. One that stands twice counts
  // once.
  [[nodiscard]] static result<tuning_space> of_points(
      std::vector<tuning_parameter> parameters,
      std::vector<tuning_point> points);

  [[nodiscard]] const std::vector<tuning_parameter>& parameters() const {
    return parameters_;
  }
  [[nodiscard]] std::uint64_t size() const { return size_; }

  // `index` is below size().
  [[nodiscard]] tuning_point at(std::uint64_t index) const {
    tuning_point made(parameters_.size());
    for (const group& each : groups_) {
      std::uint64_t inside = index % each.size;
      index /= each.size;
      std::uint32_t node = each.root;
      for (const int parameter : each.order) {
        const auto from = each.edges.begin() + each.nodes[node].first;
        const auto edge = std::upper_bound(
                              from, from + each.nodes[node].count, inside,
                              [](std::uint64_t wanted, const branch& b) {
                                return wanted < b.before;
                              }) -
                          1;
        inside -= edge->before;
        made[static_cast<std::size_t>(parameter)] = edge->value;
        node = edge->to;
      }
    }
    return made;
  }

  // Nothing for a point that is not in the space.
  [[nodiscard]] std::optional<std::uint64_t> index_of(
      const tuning_point& wanted) const {
    if (wanted.size() != parameters_.size()) return std::nullopt;
    std::uint64_t index = 0, scale = 1;
    for (const group& each : groups_) {
      std::uint32_t node = each.root;
      std::uint64_t inside = 0;
      for (const int parameter : each.order) {
        const branch* const edge =
            each.find(node, wanted[static_cast<std::size_t>(parameter)]);
        if (edge == nullptr) return std::nullopt;
        inside += edge->before;
        node = edge->to;
      }
      index += inside * scale;
      scale *= each.size;
    }
    return index;
  }
  [[nodiscard]] bool holds(const tuning_point& wanted) const {
    return index_of(wanted).has_value();
  }

  // The first combination in the order written: the last parameter changes
  // fastest.
  [[nodiscard]] tuning_point first() const;

  // Points that differ from `from` in one parameter: in any other value, or
  // with `steps` only in the next one that the others allow, up and down.
  [[nodiscard]] std::vector<std::uint64_t> neighbours(
      const tuning_point& from, bool steps = false) const;

  // Uniform over the space for a `random` that is uniform over 64 bits.
  template <typename Random>
  [[nodiscard]] std::uint64_t sample(Random&& random) const {
    const std::uint64_t bound = ~std::uint64_t{0} - ~std::uint64_t{0} % size_;
    std::uint64_t drawn = random();
    while (drawn >= bound) drawn = random();
    return drawn % size_;
  }

  // Every point, in the order of the index, one behind the other: size() times
  // parameters().size() places.
  [[nodiscard]] std::vector<std::uint16_t> all() const;

  [[nodiscard]] const tuning_value& value(const tuning_point& of,
                                          std::size_t parameter) const {
    return parameters_[parameter].values[of[parameter]];
  }

  // How many branches are kept, which is what the space costs in memory.
  [[nodiscard]] std::size_t branches() const {
    std::size_t made = 0;
    for (const group& each : groups_) made += each.edges.size();
    return made;
  }

 private:
  struct branch {
    std::uint64_t before = 0;  // points in the branches that stand before
    std::uint32_t to = 0;
    std::uint16_t value = 0;
  };
  struct knot {
    std::uint64_t points = 0;
    std::uint32_t first = 0, count = 0;  // of `edges`, by value
  };
  struct group {
    std::vector<int> order;  // parameters, from the root
    std::vector<knot> nodes;
    std::vector<branch> edges;
    std::uint32_t root = 0;
    std::uint64_t size = 1;

    [[nodiscard]] const branch* find(std::uint32_t node,
                                     std::uint16_t value) const {
      const branch* const from = edges.data() + nodes[node].first;
      const branch* const end = from + nodes[node].count;
      const branch* const found = std::lower_bound(
          from, end, value,
          [](const branch& b, std::uint16_t v) { return b.value < v; });
      return found != end && found->value == value ? found : nullptr;
    }
  };
  class grower;

  static result<done> look_at(const std::vector<tuning_parameter>& parameters);

  std::vector<tuning_parameter> parameters_;
  std::vector<group> groups_;
  std::uint64_t size_ = 1;
};

// ---- growing the trees ------------------------------------------------------

// The constraints of a group become steps on numbered cells; each step belongs
// to the level of the last parameter that it needs, so a product of two outer
// parameters is taken once and not for every inner value.
class tuning_space::grower {
 public:
  grower(const std::vector<tuning_parameter>& parameters,
         std::vector<int> order,
         const std::vector<const condition*>& constraints)
      : parameters_(parameters), constraints_(constraints) {
    made_.order = std::move(order);
  }

  result<group> grow() {
    const std::size_t levels = made_.order.size();
    steps_.resize(levels + 1);
    tests_.resize(levels + 1);
    for (std::size_t level = 0; level < levels; ++level) {
      level_of_[parameters_[static_cast<std::size_t>(made_.order[level])].name] =
          static_cast<int>(level);
      cell(static_cast<int>(level), 0);
    }
    for (std::size_t i = 0; i < constraints_.size(); ++i)
      if (const auto taken = take(static_cast<int>(i)); !taken)
        return taken.error();
    find_live();

    values_.resize(levels);
    for (std::size_t level = 0; level < levels; ++level)
      for (const tuning_value& each :
           parameters_[static_cast<std::size_t>(made_.order[level])].values)
        values_[level].push_back(
            number_of(each) ? *number_of(each)
                            : code_of(std::get<std::string>(each)));
    open_.resize(levels);
    known_.resize(levels + 1);

    made_.nodes.push_back({1, 0, 0});  // where every branch ends
    run(0);                            // what needs no parameter
    if (!test(0)) return made_size(none);
    const std::uint32_t root = node(0);
    if (wrong_) return *wrong_;
    return made_size(root);
  }

 private:
  static constexpr std::uint32_t none = 0xffffffffu;

  struct step {
    condition::op what;
    condition::style as;
    int a, b, c, to;
  };

  group made_size(std::uint32_t root) {
    made_.root = root == none ? 0 : root;
    made_.size = root == none ? 0 : made_.nodes[root].points;
    return std::move(made_);
  }

  // Levels count from 1 here: 0 is what needs no parameter.
  int cell(int level, double start) {
    cells_.push_back(start);
    cell_level_.push_back(level + 1);
    return static_cast<int>(cells_.size()) - 1;
  }
  int constant(double it) {
    for (const auto& [value, at] : constants_)
      if (value == it) return at;
    constants_.push_back({it, cell(-1, it)});
    return constants_.back().second;
  }
  double code_of(const std::string& text) {
    return static_cast<double>(
        codes_.try_emplace(text, codes_.size()).first->second);
  }

  // One constraint to steps.
  result<done> take(int number) {
    const condition& it = *constraints_[static_cast<std::size_t>(number)];
    const auto& nodes = it.nodes();
    const auto wrong = [&](const std::string& what) {
      return fault{reason::bad_input,
                   "the constraint `" + it.text() + "` " + what};
    };
    std::vector<int> at(nodes.size());
    std::vector<char> text(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const condition::node& one = nodes[i];
      using op = condition::op;
      if (one.what == op::number) {
        at[i] = constant(one.number);
        continue;
      }
      if (one.what == op::text) {
        at[i] = constant(code_of(one.text));
        text[i] = 1;
        continue;
      }
      if (one.what == op::name) {
        const auto found = level_of_.find(one.text);
        if (found == level_of_.end())
          return wrong("has the unknown name `" + one.text + "`");
        at[i] = found->second;
        const auto& values =
            parameters_[static_cast<std::size_t>(
                            made_.order[static_cast<std::size_t>(
                                found->second)])]
                .values;
        text[i] = std::holds_alternative<std::string>(values.front());
        continue;
      }
      const auto is_text = [&](int node) {
        return node >= 0 && text[static_cast<std::size_t>(node)] != 0;
      };
      const bool equality = one.what == op::equal || one.what == op::not_equal;
      if (is_text(one.a) || is_text(one.b) || is_text(one.c)) {
        if (!equality)
          return wrong("calculates with a string");
        if (is_text(one.a) != is_text(one.b)) {  // never equal
          at[i] = constant(one.what == op::not_equal);
          continue;
        }
      }
      const auto operand = [&](int node) {
        return node < 0 ? -1 : at[static_cast<std::size_t>(node)];
      };
      at[i] = emit({one.what, it.written_as(), operand(one.a), operand(one.b),
                    operand(one.c), -1});
    }
    test_for(at[static_cast<std::size_t>(it.root())], number);
    return done{};
  }

  int emit(step made) {
    int level = 0;
    for (const int each : {made.a, made.b, made.c})
      if (each >= 0)
        level = std::max(level, cell_level_[static_cast<std::size_t>(each)]);
    auto& steps = steps_[static_cast<std::size_t>(level)];
    for (const step& each : steps)
      if (each.what == made.what && each.as == made.as && each.a == made.a &&
          each.b == made.b && each.c == made.c)
        return each.to;
    made.to = cell(level - 1, 0);
    steps.push_back(made);
    return made.to;
  }

  // `a and b` is two tests, so that each is made as early as it can be.
  void test_for(int at, int number) {
    for (const auto& steps : steps_)
      for (const step& each : steps)
        if (each.to == at && each.what == condition::op::both) {
          const step whole = each;
          test_for(whole.a, number);
          test_for(whole.b, number);
          return;
        }
    tests_[static_cast<std::size_t>(cell_level_[static_cast<std::size_t>(at)])]
        .push_back({at, number});
  }

  // Which cells of outer levels are needed at a level or inside it: two nodes
  // with the same contents of those are the same node.
  void find_live() {
    const std::size_t levels = made_.order.size();
    // Steps that no test needs fall away.
    std::vector<char> needed(cells_.size());
    for (const auto& tests : tests_)
      for (const auto& [at, number] : tests)
        needed[static_cast<std::size_t>(at)] = 1;
    for (std::size_t level = levels + 1; level-- > 0;) {
      auto& steps = steps_[level];
      std::vector<step> kept;
      for (std::size_t i = steps.size(); i-- > 0;) {
        if (!needed[static_cast<std::size_t>(steps[i].to)]) continue;
        for (const int each : {steps[i].a, steps[i].b, steps[i].c})
          if (each >= 0) needed[static_cast<std::size_t>(each)] = 1;
        kept.push_back(steps[i]);
      }
      std::reverse(kept.begin(), kept.end());
      steps = std::move(kept);
    }
    live_.resize(levels + 1);
    for (std::size_t level = 1; level <= levels; ++level) {
      std::vector<char> used(cells_.size());
      for (std::size_t inner = level; inner <= levels; ++inner) {
        for (const step& each : steps_[inner])
          for (const int from : {each.a, each.b, each.c})
            if (from >= 0) used[static_cast<std::size_t>(from)] = 1;
        for (const auto& [at, number] : tests_[inner])
          used[static_cast<std::size_t>(at)] = 1;
      }
      for (std::size_t i = 0; i < cells_.size(); ++i)
        if (used[i] && cell_level_[i] > 0 &&
            cell_level_[i] < static_cast<int>(level))
          live_[level].push_back(static_cast<int>(i));
    }
  }

  void run(std::size_t level) {
    for (const step& each : steps_[level]) {
      const auto held = [&](int at) {
        return at < 0 ? 0.0 : cells_[static_cast<std::size_t>(at)];
      };
      const double a = held(each.a);
      double& to = cells_[static_cast<std::size_t>(each.to)];
      // What nearly all constraints are made of, without the way through apply.
      if (each.as == condition::style::python) {
        switch (each.what) {
          case condition::op::add: to = a + held(each.b); continue;
          case condition::op::multiply: to = a * held(each.b); continue;
          default: break;
        }
      }
      to = condition::apply(each.what, each.as, a, held(each.b), held(each.c));
    }
  }

  // False ends the branch. A test without a value ends nothing: another
  // constraint may exclude the combination, and if none does it is wrong.
  bool test(std::size_t level) {
    bool good = true;
    for (const auto& [at, number] : tests_[level]) {
      const double held = cells_[static_cast<std::size_t>(at)];
      if (held == 0) return false;
      if (std::isnan(held)) {
        good = good && true;
        if (unknown_ < 0) unknown_ = number;
      }
    }
    return good;
  }

  std::uint32_t node(std::size_t level) {
    const std::size_t levels = made_.order.size();
    if (level == levels) {
      if (unknown_ >= 0) tell_unknown();
      return 0;
    }
    // The same contents of what is live make the same node.
    const auto& live = live_[level + 1];
    std::vector<double> key;
    if (level > 0) {
      key.reserve(live.size() + 1);
      for (const int each : live)
        key.push_back(cells_[static_cast<std::size_t>(each)]);
      key.push_back(unknown_);
      if (const auto found = known_[level].find(key)) return *found;
    }

    auto& open = open_[level];
    const std::size_t start = open.size();
    const int unknown_before = unknown_;
    const auto& values = values_[level];
    for (std::size_t i = 0; i < values.size() && !wrong_; ++i) {
      if (++taken_ > most_steps) {
        wrong_ = fault{reason::too_large,
                       "a tuning space takes more than " +
                           std::to_string(most_steps) +
                           " steps to grow: give it fewer values, or "
                           "constraints that exclude more"};
        break;
      }
      cells_[level] = values[i];
      unknown_ = unknown_before;
      run(level + 1);
      if (!test(level + 1)) continue;
      const std::uint32_t below = node(level + 1);
      if (below != none)
        open.push_back({0, below, static_cast<std::uint16_t>(i)});
    }
    unknown_ = unknown_before;

    std::uint32_t made = none;
    if (open.size() > start) {
      made = static_cast<std::uint32_t>(made_.nodes.size());
      std::uint64_t points = 0;
      const auto first = static_cast<std::uint32_t>(made_.edges.size());
      for (std::size_t i = start; i < open.size(); ++i) {
        open[i].before = points;
        const std::uint64_t more = made_.nodes[open[i].to].points;
        if (points > most_points - more && !wrong_)
          wrong_ = fault{reason::bad_input,
                         "a tuning space has more than 2^62 configurations"};
        points += more;
        made_.edges.push_back(open[i]);
      }
      made_.nodes.push_back(
          {points, first, static_cast<std::uint32_t>(open.size() - start)});
      open.resize(start);
    }
    if (level > 0) known_[level].put(std::move(key), made);
    return made;
  }

  void tell_unknown() {
    if (wrong_) return;
    std::string with;
    for (std::size_t level = 0; level < made_.order.size(); ++level) {
      const auto& each =
          parameters_[static_cast<std::size_t>(made_.order[level])];
      const auto at = std::find(values_[level].begin(), values_[level].end(),
                                cells_[level]) -
                      values_[level].begin();
      with += (with.empty() ? "" : ", ") + each.name + " = " +
              text_of(each.values[static_cast<std::size_t>(at)]);
    }
    wrong_ = fault{
        reason::bad_input,
        "the constraint `" +
            constraints_[static_cast<std::size_t>(unknown_)]->text() +
            "` has no value (a division by zero, or a number too large) for " +
            with};
  }

  // Contents of live cells to nodes.
  class table {
   public:
    [[nodiscard]] std::optional<std::uint32_t> find(
        const std::vector<double>& key) const {
      if (slots_.empty()) return std::nullopt;
      for (std::size_t at = hash(key) & (slots_.size() - 1);;
           at = (at + 1) & (slots_.size() - 1)) {
        if (slots_[at] == 0) return std::nullopt;
        if (same(slots_[at] - 1, key)) return nodes_[slots_[at] - 1];
      }
    }
    void put(std::vector<double> key, std::uint32_t node) {
      width_ = key.size();
      keys_.insert(keys_.end(), key.begin(), key.end());
      nodes_.push_back(node);
      if (nodes_.size() * 2 > slots_.size()) {
        slots_.assign(std::max<std::size_t>(64, slots_.size() * 4), 0);
        for (std::size_t i = 0; i < nodes_.size(); ++i)
          place(i, hash(std::vector<double>(
                       keys_.begin() + static_cast<std::ptrdiff_t>(i * width_),
                       keys_.begin() +
                           static_cast<std::ptrdiff_t>((i + 1) * width_))));
      } else {
        place(nodes_.size() - 1, hash(key));
      }
    }

   private:
    void place(std::size_t entry, std::size_t from) {
      std::size_t at = from & (slots_.size() - 1);
      while (slots_[at] != 0) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = static_cast<std::uint32_t>(entry + 1);
    }
    [[nodiscard]] static std::size_t hash(const std::vector<double>& key) {
      std::uint64_t state = 0x9e3779b97f4a7c15ull;
      for (const double each : key) {
        std::uint64_t bits = 0;
        std::memcpy(&bits, &each, sizeof bits);
        state = (state ^ bits) * 0xff51afd7ed558ccdull;
        state ^= state >> 32;
      }
      return static_cast<std::size_t>(state);
    }
    [[nodiscard]] bool same(std::size_t entry,
                            const std::vector<double>& key) const {
      return std::memcmp(keys_.data() + entry * width_, key.data(),
                         key.size() * sizeof(double)) == 0;
    }
    std::size_t width_ = 0;
    std::vector<double> keys_;
    std::vector<std::uint32_t> nodes_, slots_;
  };

  const std::vector<tuning_parameter>& parameters_;
  std::vector<const condition*> constraints_;
  group made_;
  std::map<std::string, int> level_of_;
  std::map<std::string, std::size_t> codes_;
  std::vector<std::pair<double, int>> constants_;
  std::vector<double> cells_;    // the first are the parameters, by level
  std::vector<int> cell_level_;  // 0 constant, 1 the outermost parameter
  std::vector<std::vector<step>> steps_;
  std::vector<std::vector<std::pair<int, int>>> tests_;  // cell, constraint
  std::vector<std::vector<int>> live_;
  std::vector<std::vector<double>> values_;
  std::vector<std::vector<branch>> open_;
  std::vector<table> known_;
  int unknown_ = -1;  // the first constraint without a value on this branch
  std::uint64_t taken_ = 0;
  std::optional<fault> wrong_;
};

inline result<done> tuning_space::look_at(
    const std::vector<tuning_parameter>& parameters) {
  std::map<std::string, int> seen;
  for (const tuning_parameter& each : parameters) {
    if (each.values.empty())
      return fault{reason::bad_input,
                   "the tunable `" + each.name + "` has no values"};
    if (each.values.size() > 65535)
      return fault{reason::bad_input, "the tunable `" + each.name +
                                          "` has more than 65535 values"};
    if (seen[each.name]++ > 0)
      return fault{reason::bad_input,
                   "there are two tunables `" + each.name + "`"};
    for (const tuning_value& one : each.values)
      if (std::holds_alternative<std::string>(one) !=
          std::holds_alternative<std::string>(each.values.front()))
        return fault{reason::bad_input, "the tunable `" + each.name +
                                            "` has strings and numbers"};
  }
  return done{};
}

inline result<tuning_space> tuning_space::build(
    std::vector<tuning_parameter> parameters,
    std::vector<condition> constraints) {
  if (const auto fine = look_at(parameters); !fine) return fine.error();
  const std::size_t count = parameters.size();
  std::map<std::string, int> number;
  for (std::size_t i = 0; i < count; ++i)
    number[parameters[i].name] = static_cast<int>(i);

  // Which parameters each constraint names.
  std::vector<std::vector<int>> uses(constraints.size());
  for (std::size_t c = 0; c < constraints.size(); ++c)
    for (const condition::node& each : constraints[c].nodes()) {
      if (each.what != condition::op::name) continue;
      const auto found = number.find(each.text);
      if (found == number.end())
        return fault{reason::bad_input, "the constraint `" +
                                            constraints[c].text() +
                                            "` has the unknown name `" +
                                            each.text + "`"};
      if (std::find(uses[c].begin(), uses[c].end(), found->second) ==
          uses[c].end())
        uses[c].push_back(found->second);
    }

  // Parameters that share a constraint are one group.
  std::vector<int> group_of(count);
  std::iota(group_of.begin(), group_of.end(), 0);
  for (const auto& together : uses)
    for (const int each : together) {
      const int from = group_of[static_cast<std::size_t>(each)];
      const int to = group_of[static_cast<std::size_t>(together.front())];
      for (int& one : group_of)
        if (one == from) one = to;
    }

  const auto values_of = [&](int parameter) {
    return parameters[static_cast<std::size_t>(parameter)].values.size();
  };
  // The constraint with the fewest combinations of what is not placed yet goes
  // next, and of its parameters the one with the fewest values.
  const auto order_of = [&](int which) {
    std::vector<int> order;
    std::vector<char> placed(count);
    for (;;) {
      double least = std::numeric_limits<double>::infinity();
      std::size_t next = uses.size();
      for (std::size_t c = 0; c < uses.size(); ++c) {
        double cost = 1;
        bool open = false;
        for (const int each : uses[c]) {
          if (group_of[static_cast<std::size_t>(each)] != which) break;
          if (placed[static_cast<std::size_t>(each)]) continue;
          open = true;
          cost *= static_cast<double>(values_of(each));
        }
        if (open && cost < least) {
          least = cost;
          next = c;
        }
      }
      if (next == uses.size()) break;
      std::vector<int> more;
      for (const int each : uses[next])
        if (!placed[static_cast<std::size_t>(each)]) more.push_back(each);
      std::stable_sort(more.begin(), more.end(), [&](int a, int b) {
        return values_of(a) < values_of(b);
      });
      for (const int each : more) {
        placed[static_cast<std::size_t>(each)] = 1;
        order.push_back(each);
      }
    }
    for (std::size_t i = 0; i < count; ++i)
      if (group_of[i] == which && !placed[i])
        order.push_back(static_cast<int>(i));
    return order;
  };

  const auto grown = [&](int which, const std::vector<char>& left_out) {
    std::vector<const condition*> inside;
    for (std::size_t c = 0; c < constraints.size(); ++c) {
      if (left_out[c]) continue;
      const bool here =
          uses[c].empty()
              ? which == group_of.front()
              : group_of[static_cast<std::size_t>(uses[c].front())] == which;
      if (here) inside.push_back(&constraints[c]);
    }
    return grower(parameters, order_of(which), inside).grow();
  };

  tuning_space made;
  // Without parameters there is one configuration, the empty one, or none.
  if (count == 0 && !constraints.empty()) {
    auto alone = build({{"", {std::int64_t{0}}}}, constraints);
    if (!alone) return alone.error();
    return made;
  }
  std::vector<char> left_out(constraints.size());
  for (std::size_t i = 0; i < count; ++i) {
    const int which = group_of[i];
    if (std::find(group_of.begin(), group_of.begin() + static_cast<std::ptrdiff_t>(i), which) !=
        group_of.begin() + static_cast<std::ptrdiff_t>(i))
      continue;
    auto one = grown(which, left_out);
    if (!one) return one.error();
    if (one.value().size == 0) {
      // Which constraints do it: leave out what is not needed for it.
      std::vector<std::size_t> blamed;
      for (std::size_t c = 0; c < constraints.size(); ++c) {
        const bool here =
            uses[c].empty()
                ? which == group_of.front()
                : group_of[static_cast<std::size_t>(uses[c].front())] == which;
        if (!here) continue;
        left_out[c] = 1;
        const auto without = grown(which, left_out);
        if (without && without.value().size == 0) continue;
        left_out[c] = 0;
        blamed.push_back(c);
      }
      std::string names;
      for (const std::size_t c : blamed)
        names += (names.empty() ? "`" : " and `") + constraints[c].text() + "`";
      return fault{reason::bad_input,
                   blamed.size() == 1
                       ? "the tuning space is empty: the constraint " + names +
                             " excludes every combination"
                       : "the tuning space is empty: the constraints " +
                             names + " contradict each other"};
    }
    if (made.size_ > most_points / one.value().size)
      return fault{reason::bad_input,
                   "a tuning space has more than 2^62 configurations"};
    made.size_ *= one.value().size;
    made.groups_.push_back(std::move(one).value());
  }
  made.parameters_ = std::move(parameters);
  return made;
}

inline result<tuning_space> tuning_space::of(const manifest& asked,
                                             element type) {
  std::vector<tuning_parameter> parameters;
  for (const tunable& each : asked.tune) {
    tuning_parameter& one = parameters.emplace_back();
    one.name = each.name;
    one.values = each.values;
  }
  std::vector<condition> constraints;
  bool sized = false;
  for (const expression& each : asked.constraints) {
    auto made = condition::parse(each.text(), condition::style::manifest);
    if (!made) return made.error();
    for (const std::string& name : each.names())
      sized = sized || name == "sizeof_T";
    constraints.push_back(std::move(made).value());
  }
  if (sized)
    parameters.push_back(
        {"sizeof_T", {static_cast<std::int64_t>(size_of(type))}});
  return build(std::move(parameters), std::move(constraints));
}

inline result<tuning_space> tuning_space::of_points(
    std::vector<tuning_parameter> parameters,
    std::vector<tuning_point> points) {
  if (const auto fine = look_at(parameters); !fine) return fine.error();
  if (points.empty())
    return fault{reason::bad_input, "the tuning space is empty"};
  for (const tuning_point& each : points) {
    bool fits = each.size() == parameters.size();
    for (std::size_t i = 0; fits && i < each.size(); ++i)
      fits = each[i] < parameters[i].values.size();
    if (!fits)
      return fault{reason::bad_argument,
                   "a point has a place that no parameter has"};
  }
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());

  tuning_space made;
  group one;
  one.order.resize(parameters.size());
  std::iota(one.order.begin(), one.order.end(), 0);
  one.nodes.push_back({1, 0, 0});
  // Nodes are made from the innermost level outwards: a run of points with the
  // same beginning is one node.
  struct open_node {
    std::size_t first;  // a point with the beginning
    std::uint32_t node;
  };
  std::vector<open_node> inner;
  for (std::size_t i = 0; i < points.size(); ++i) inner.push_back({i, 0});
  for (std::size_t level = parameters.size(); level-- > 0;) {
    std::vector<open_node> outer;
    for (std::size_t i = 0; i < inner.size();) {
      const tuning_point& like = points[inner[i].first];
      const auto first = static_cast<std::uint32_t>(one.edges.size());
      std::uint64_t count = 0;
      std::size_t end = i;
      for (; end < inner.size(); ++end) {
        const tuning_point& here = points[inner[end].first];
        if (!std::equal(like.begin(), like.begin() + static_cast<std::ptrdiff_t>(level), here.begin()))
          break;
        one.edges.push_back({count, inner[end].node, here[level]});
        count += one.nodes[inner[end].node].points;
      }
      one.nodes.push_back({count, first, static_cast<std::uint32_t>(end - i)});
      outer.push_back({inner[i].first, static_cast<std::uint32_t>(one.nodes.size() - 1)});
      i = end;
    }
    inner = std::move(outer);
  }
  one.root = inner.front().node;
  one.size = one.nodes[one.root].points;
  made.size_ = one.size;
  made.groups_.push_back(std::move(one));
  made.parameters_ = std::move(parameters);
  return made;
}

inline tuning_point tuning_space::first() const {
  // Whether there is a point with these values; `wanted` is -1 where free.
  tuning_point made(parameters_.size());
  for (const group& each : groups_) {
    std::vector<int> wanted(parameters_.size(), -1);
    std::vector<int> written = each.order;
    std::sort(written.begin(), written.end());
    for (const int parameter : written) {
      const auto at = static_cast<std::size_t>(parameter);
      for (std::size_t v = 0; v < parameters_[at].values.size(); ++v) {
        wanted[at] = static_cast<int>(v);
        // Nodes that are still possible, level by level.
        std::vector<std::uint32_t> here{each.root};
        for (const int level : each.order) {
          std::vector<std::uint32_t> next;
          const int need = wanted[static_cast<std::size_t>(level)];
          for (const std::uint32_t node : here) {
            if (need >= 0) {
              if (const branch* const edge =
                      each.find(node, static_cast<std::uint16_t>(need)))
                next.push_back(edge->to);
            } else {
              for (std::uint32_t i = 0; i < each.nodes[node].count; ++i)
                next.push_back(each.edges[each.nodes[node].first + i].to);
            }
          }
          std::sort(next.begin(), next.end());
          next.erase(std::unique(next.begin(), next.end()), next.end());
          here = std::move(next);
        }
        if (!here.empty()) break;
      }
      made[at] = static_cast<std::uint16_t>(wanted[at]);
    }
  }
  return made;
}

inline std::vector<std::uint64_t> tuning_space::neighbours(
    const tuning_point& from, bool steps) const {
  std::vector<std::uint64_t> made;
  tuning_point other = from;
  const auto take = [&](std::size_t parameter, std::size_t value) {
    other[parameter] = static_cast<std::uint16_t>(value);
    const auto index = index_of(other);
    if (index) made.push_back(*index);
    other[parameter] = from[parameter];
    return index.has_value();
  };
  for (std::size_t i = 0; i < from.size(); ++i) {
    const std::size_t values = parameters_[i].values.size();
    if (!steps) {
      for (std::size_t v = 0; v < values; ++v)
        if (v != from[i]) take(i, v);
      continue;
    }
    for (std::size_t v = from[i]; v-- > 0;)
      if (take(i, v)) break;
    for (std::size_t v = from[i] + 1u; v < values; ++v)
      if (take(i, v)) break;
  }
  return made;
}

inline std::vector<std::uint16_t> tuning_space::all() const {
  const std::size_t width = parameters_.size();
  std::vector<std::uint16_t> made(static_cast<std::size_t>(size_) * width);
  // The first group changes fastest; within a group the tree is walked once and
  // its rows are repeated.
  std::uint64_t scale = 1;
  for (const group& each : groups_) {
    const std::size_t depth = each.order.size();
    std::vector<std::uint16_t> row(depth);
    std::vector<std::pair<std::uint32_t, std::uint32_t>> path{{each.root, 0}};
    std::uint64_t inside = 0;
    while (!path.empty()) {
      auto& [node, next] = path.back();
      if (next == each.nodes[node].count) {
        path.pop_back();
        continue;
      }
      const branch& edge = each.edges[each.nodes[node].first + next++];
      row[path.size() - 1] = edge.value;
      if (path.size() < depth) {
        path.push_back({edge.to, 0});
        continue;
      }
      for (std::uint64_t start = inside * scale; start < size_;
           start += each.size * scale)
        for (std::uint64_t i = start; i < start + scale; ++i)
          for (std::size_t d = 0; d < depth; ++d)
            made[static_cast<std::size_t>(i) * width +
                 static_cast<std::size_t>(each.order[d])] = row[d];
      ++inside;
    }
    scale *= each.size;
  }
  return made;
}

}  // namespace skillbench
