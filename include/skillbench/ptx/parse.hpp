#pragma once
// ptx/parse.hpp: PTX text into the tree of module.hpp, in one pass.
//
// Layer   3. Includes fault.hpp, module.hpp, names.hpp and the standard library.
// Source  PTX ISA 9.0, chapters "Syntax", "State Spaces, Types, and Variables",
//         "Directives"; where it is silent, what ptxas 13.0 takes.
// Names   see names.hpp: every declaration has a name of its own.
// Forms   a[2] outside of brackets is a name with its subscripts in `parts`.
//         [t, {a, b}] has a and b in `parts`; [t, s, {a, b}] has s and a list.
//         generic(x) in an initialiser is the name x with `vector_part`
//         "generic"; 0xff00(x) is x with `vector_part` "mask" and the mask in
//         `bits`. Inner braces that end early are filled with zeros; an extent
//         [] that an initialiser fixes becomes that number.
//         .branchtargets, .calltargets and .callprototype are instructions of
//         that name without the dot, under their label. An operand in the
//         lists of a prototype has the type as `text`, the elements in `bits`
//         (0 for []) and the alignment in `offset`.
//         Constant expressions are folded; WARP_SZ is 32. .pragma is dropped,
//         and so are .section blocks and the pointee of .ptr.
// Lines   A .loc that was inlined keeps the line of its outermost caller: a
//         chain is followed through the .loc before it, which is how the
//         compiler writes one.
// Errors  reason::bad_input with line and column for any text that is not PTX,
//         or that is beyond the limits of lex.hpp; reason::too_large when memory
//         runs out. Nothing is judged beyond syntax and scopes: an unknown
//         opcode is an instruction, an unknown directive is kept by name.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <new>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <skillbench/fault.hpp>
#include <skillbench/ptx/module.hpp>
#include <skillbench/ptx/names.hpp>

namespace skillbench::ptx {

class parser : private name_reader {
 public:
  explicit parser(std::string_view text, parse_limits limits = {})
      : name_reader(text, limits) {}

  [[nodiscard]] result<ptx::module> run() {
    if (static_cast<std::size_t>(end_ - at_) > limits_.text)
      return fault{reason::bad_input,
                   "reading PTX: the text is longer than " +
                       std::to_string(limits_.text) + " bytes"};
    if (whole() && !error_) return std::move(tree_);
    if (error_) return std::move(*error_);
    return fault{reason::internal, "reading PTX: refused without a reason"};
  }

 private:
  // --- operands --------------------------------------------------------------

  bool operand_of(operand& out, bool call) {
    const deeper level(*this);
    if (!level.fits() || !spend(sizeof(operand))) return false;
    space();
    out.at = here();
    const char c = peek();
    bool read = false;
    if (c == '{') {
      ++at_;
      out.kind = operand::type::list;
      read = operands_until(out.parts, '}', false);
      if (read && out.parts.empty())
        return refuse(out.at, "a list needs an operand");
    } else if (c == '(' && call) {
      ++at_;
      out.kind = operand::type::call_list;
      read = operands_until(out.parts, ')', false);
    } else if (c == '[') {
      ++at_;
      read = address(out);
    } else if (c == '!' || c == '-') {
      read = signed_operand(out);
    } else if (name_start(c) && !warp_size_next()) {
      read = named(out);
    } else {
      read = constant(out);
    }
    if (!read) return false;
    space();
    if (peek() != '|' || peek(1) == '|') return true;
    ++at_;
    out.pair.emplace_back();
    return operand_of(out.pair.back(), false);
  }

  [[nodiscard]] bool warp_size_next() const {
    constexpr std::string_view word = "WARP_SZ";
    const std::string_view rest{at_, static_cast<std::size_t>(end_ - at_)};
    return rest.starts_with(word) &&
           (rest.size() == word.size() || !name_char(rest[word.size()]));
  }

  bool constant(operand& out) {
    number value;
    if (at_ == end_ || !(digit(peek()) || name_start(peek()) ||
                         std::string_view("+-~!(.").find(peek()) !=
                             std::string_view::npos))
      return expected("an operand");
    if (!expression(value)) return false;
    out.kind = value.kind;
    out.bits = value.bits;
    return true;
  }

  // !%p, -%r, or a constant that starts with a sign.
  bool signed_operand(operand& out) {
    const char* first = at_;
    const char* first_line = line_start_;
    const int line = line_;
    ++at_;
    space();
    if (name_start(peek()) && !warp_size_next()) {
      out.negated = true;
      return named(out);
    }
    at_ = first;
    line_start_ = first_line;
    line_ = line;
    return constant(out);
  }

  bool named(operand& out) {
    std::string_view word;
    if (!name(word, "an operand") || !spend(word.size())) return false;
    if (word == "_") {
      out.kind = operand::type::discard;
      return true;
    }
    out.kind = operand::type::name;
    out.text = word;
    return vector_part(out) && subscripts(out) && offset(out);
  }

  bool vector_part(operand& out) {
    if (!dot_next()) return true;
    std::string_view word;
    const place first = here();
    if (!dotted(word, "a vector's part")) return false;
    if (word.size() > 2)
      return refuse(first, "expected a vector's part, found " + shown(word));
    out.vector_part = word;
    return true;
  }

  bool subscripts(operand& out) {
    while (take('[')) {
      if (!spend(sizeof(operand))) return false;
      operand index;
      space();
      index.at = here();
      std::int64_t value = 0;
      if (!integer_expression(value) || !want(']')) return false;
      index.kind = operand::type::integer;
      index.bits = static_cast<std::uint64_t>(value);
      out.parts.push_back(std::move(index));
    }
    return !error_;
  }

  bool offset(operand& out) {
    space();
    if (peek() != '+' && peek() != '-') return !error_;
    return integer_expression(out.offset);
  }

  // After the '['.
  bool address(operand& out) {
    out.kind = operand::type::address;
    space();
    if (name_start(peek()) && !warp_size_next()) {
      std::string_view word;
      if (!name(word) || !spend(word.size())) return false;
      out.text = word;
      if (!vector_part(out) || !offset(out)) return false;
    } else if (!integer_expression(out.offset)) {
      return false;
    }
    if (take(',')) {
      if (!operands_until(out.parts, ']', true)) return false;
      if (out.parts.size() == 1 &&
          out.parts[0].kind == operand::type::list) {
        std::vector<operand> inner = std::move(out.parts[0].parts);
        out.parts = std::move(inner);
      }
      return true;
    }
    return want(']');
  }

  // Operands with commas between them, up to and with `closing`.
  bool operands_until(std::vector<operand>& out, char closing, bool call) {
    if (take(closing)) return true;
    for (;;) {
      out.emplace_back();
      if (!operand_of(out.back(), call)) return false;
      if (take(closing)) return true;
      if (!take(','))
        return expected(std::string{'\'', ',', '\''} + " or '" + closing + "'");
    }
  }

  // --- variables -------------------------------------------------------------

  [[nodiscard]] static bool is_space(std::string_view word) {
    return word == "reg" || word == "global" || word == "shared" ||
           word == "const" || word == "local" || word == "param" ||
           word == "sreg" || word == "tex";
  }

  // What stands before the name: .align 16 .v2 .b8, and attributes.
  bool type_of(variable& out) {
    bool pointee = false;
    if (out.space == "const" && take('[')) {  // a bank, long unused
      std::int64_t bank = 0;
      if (!count(bank, 15, "a constant bank") || !want(']')) return false;
    }
    while (dot_next()) {
      const place first = here();
      std::string_view word;
      if (!dotted(word, "a type")) return false;
      if (word == "align") {
        std::int64_t align = 0;
        if (!count(align, std::int64_t{1} << 30, "an alignment")) return false;
        if (align <= 0 || !std::has_single_bit(static_cast<std::uint64_t>(align)))
          return refuse(first, "an alignment must be a power of two");
        if (!pointee) out.align = align;
      } else if (word == "ptr") {
        pointee = true;
      } else if (pointee && is_space(word)) {
        continue;
      } else if (word == "attribute") {
        if (!unknown("attribute", first) || !skip_round()) return false;
      } else if (word == "v2" || word == "v4" || word == "v8") {
        out.vector = word[1] - '0';
      } else if (out.type.empty()) {
        if (!spend(word.size())) return false;
        out.type = word;
      } else {
        return refuse(first, "expected a name, found a second type " +
                                 shown(word));
      }
    }
    if (out.type.empty()) return expected("a type");
    return true;
  }

  // name, name<10>, name[2][3]; the first part of a declaration.
  // `empty` is told about name<0>, which declares nothing.
  bool declarator(variable& out, std::string_view& word, bool* empty) {
    space();
    out.at = here();
    if (!name(word) || !spend(sizeof(variable) + 2 * word.size())) return false;
    out.name = word;
    if (take('<')) {
      if (!count(out.count, limits_.registers, "a number of registers") ||
          !want('>'))
        return false;
      if (empty) *empty = out.count == 0;
    }
    if (out.space == "reg" || out.count > 0) {
      names_.registers += std::max<std::int64_t>(out.count, 1);
      if (names_.registers > limits_.registers)
        return refuse(out.at, "more than " + std::to_string(limits_.registers) +
                                  " registers in one function");
    }
    std::int64_t elements = 1;
    while (take('[')) {
      if (!spend(sizeof(std::int64_t))) return false;
      if (take(']')) {
        out.extents.push_back(-1);
        continue;
      }
      std::int64_t extent = 0;
      if (!count(extent, limits_.elements, "an array's extent") || !want(']'))
        return false;
      if (extent > 0 && elements > limits_.elements / extent)
        return refuse(out.at, "an array has more than " +
                                  std::to_string(limits_.elements) +
                                  " elements");
      elements *= std::max<std::int64_t>(extent, 1);
      out.extents.push_back(extent);
    }
    return !error_;
  }

  // A whole declaration after its state space, to the ';'.
  bool declarations(std::string_view state_space, std::string_view linkage,
                    std::vector<variable>& out, bool inside) {
    variable head;
    head.space = state_space;
    head.linkage = linkage;
    if (!type_of(head)) return false;
    do {
      variable made = head;
      std::string_view word;
      bool empty = false;
      if (!declarator(made, word, &empty)) return false;
      if (take('=') && !initialiser(made)) return false;
      if (empty) continue;
      if (inside) {
        if (!declare(made, made.at, word)) return false;
      } else {
        module_names_.insert(word);
      }
      out.push_back(std::move(made));
    } while (take(','));
    return want(';');
  }

  bool initialiser(variable& of) {
    space();
    if (of.type == "samplerref" || of.type == "texref" || of.type == "surfref")
      return unknown("initialiser of ." + of.type, here()) && skip_curly();
    std::vector<std::int64_t> extents = of.extents;
    if (of.vector > 1) extents.push_back(of.vector);
    if (peek() != '{') {
      if (!extents.empty()) return expected("'{'");
      of.values.emplace_back();
      return initial_value(of.values.back());
    }
    if (extents.empty())
      return refuse(here(), "a single value stands without braces");
    std::int64_t items = 0;
    if (!initial_list(of.values, extents, 0, 0, items)) return false;
    if (!of.extents.empty() && of.extents[0] < 0) of.extents[0] = items;
    return true;
  }

  // { ... } for the elements from `base` on, `level` extents deep.
  bool initial_list(std::vector<operand>& out,
                    const std::vector<std::int64_t>& extents,
                    std::size_t level, std::int64_t base, std::int64_t& items) {
    const deeper depth(*this);
    if (!depth.fits() || !want('{')) return false;
    std::int64_t each = 1;
    for (std::size_t i = level + 1; i < extents.size(); ++i) {
      if (extents[i] < 0)
        return refuse(here(), "only the first extent may be left open");
      each *= extents[i];
    }
    if (take('}')) return !error_;
    do {
      space();
      if (extents[level] >= 0 && items >= extents[level])
        return refuse(here(), "more values than elements");
      const std::int64_t first = base + items * each;
      ++items;
      if (!fill_to(out, first)) return false;
      const bool inner = level + 1 < extents.size();
      if (inner != (peek() == '{')) return expected(inner ? "'{'" : "a value");
      if (inner) {
        std::int64_t inside = 0;
        if (!initial_list(out, extents, level + 1, first, inside)) return false;
      } else {
        out.emplace_back();
        if (!initial_value(out.back())) return false;
      }
    } while (take(','));
    return want('}');
  }

  bool fill_to(std::vector<operand>& out, std::int64_t size) {
    const auto have = static_cast<std::int64_t>(out.size());
    if (size <= have) return true;
    const std::int64_t missing = size - have;
    if (missing > static_cast<std::int64_t>(limits_.tree / sizeof(operand)))
      return spend(limits_.tree + 1);
    if (!spend(static_cast<std::size_t>(missing) * sizeof(operand)))
      return false;
    operand zero;
    zero.kind = operand::type::integer;
    zero.at = here();
    out.resize(static_cast<std::size_t>(size), zero);
    return true;
  }

  // 3, 0f3F800000, name, name+8, generic(name)+8, 0xff00(name).
  bool initial_value(operand& out) {
    if (!spend(sizeof(operand))) return false;
    space();
    out.at = here();
    if (name_start(peek()) && !warp_size_next()) {
      std::string_view word;
      if (!name(word)) return false;
      if (word == "generic" && take('(')) {
        out.vector_part = "generic";
        if (!name(word) || !want(')')) return false;
      }
      out.text = word;
      return spend(word.size()) && offset(out);
    }
    if (!constant(out)) return false;
    if (out.kind != operand::type::integer || !take('(')) return !error_;
    std::string_view word;
    if (!name(word) || !spend(word.size())) return false;
    out.kind = operand::type::name;
    out.vector_part = "mask";
    out.text = word;
    return offset(out) && want(')');
  }

  // --- what is passed over ---------------------------------------------------

  bool unknown(std::string what, place where) {
    if (!spend(sizeof(std::pair<std::string, place>) + what.size()))
      return false;
    tree_.unknown.emplace_back(std::move(what), where);
    return true;
  }

  // From an opening bracket, if it stands next, to the one that closes it.
  bool skip_curly() {
    space();
    const place opened = here();
    if (!want('{')) return false;
    return skip_to('}', opened);
  }

  bool skip_round() {
    space();
    const place opened = here();
    if (!want('(')) return false;
    return skip_to(')', opened);
  }

  // After an opening bracket.
  bool skip_to(char closing, place opened) {
    const char opening = closing == '}' ? '{' : '(';
    int depth = 1;
    for (;;) {
      space();
      if (at_ == end_) return refuse(opened, "the bracket is not closed");
      if (*at_ == '"') {
        std::string_view text;
        if (!quoted(text)) return false;
        continue;
      }
      const char c = *at_++;
      if (c == opening && ++depth > limits_.depth)
        return refuse(opened, "nested deeper than " +
                                  std::to_string(limits_.depth));
      if (c == closing && --depth == 0) return true;
    }
  }

  // The rest of a directive that is not understood: to its ';', or over its
  // block when it has one.
  bool skip_directive(std::string_view word, place where) {
    if (!unknown(std::string(word), where)) return false;
    for (;;) {
      space();
      if (at_ == end_)
        return refuse(where, "the directive ." + std::string(word) +
                                 " has no end");
      switch (*at_) {
        case '"': {
          std::string_view text;
          if (!quoted(text)) return false;
          break;
        }
        case ';': ++at_; return true;
        case '{': return skip_curly();
        case '}': return expected("';'");
        default: ++at_; break;
      }
    }
  }

  // --- .loc, .file, .pragma, .section ----------------------------------------

  struct source_place {
    int file = 0, line = 0, column = 0;
    bool operator==(const source_place&) const = default;
  };

  struct source_hash {
    std::size_t operator()(const source_place& at) const noexcept {
      const auto mixed =
          static_cast<std::uint64_t>(static_cast<std::uint32_t>(at.line)) *
              0x9e3779b97f4a7c15u +
          static_cast<std::uint64_t>(static_cast<std::uint32_t>(at.column)) *
              0xc2b2ae3d27d4eb4fu +
          static_cast<std::uint64_t>(static_cast<std::uint32_t>(at.file));
      return static_cast<std::size_t>(mixed ^ mixed >> 29);
    }
  };

  bool source_of(source_place& out) {
    std::int64_t file = 0, line = 0, column = 0;
    if (!count(file, any_int, "a file's number") ||
        !count(line, any_int, "a line") || !count(column, any_int, "a column"))
      return false;
    out = {static_cast<int>(file), static_cast<int>(line),
           static_cast<int>(column)};
    return true;
  }

  bool loc() {
    source_place mine, caller;
    bool inlined = false;
    if (!source_of(mine)) return false;
    while (take(',')) {
      space();
      const place first = here();
      std::string_view word;
      if (!name(word, "function_name or inlined_at")) return false;
      if (word == "function_name") {
        operand ignored;
        if (!name(word) || !offset(ignored)) return false;
      } else if (word == "inlined_at") {
        if (!source_of(caller)) return false;
        inlined = true;
      } else {
        return refuse(first, "expected function_name or inlined_at, found " +
                                 shown(word));
      }
    }
    file_ = mine.file;
    source_line_ = mine.line;
    if (!inlined) {
      inlined_line_ = 0;
      if (!callers_.empty()) callers_.erase(mine);
      return !error_;
    }
    const auto outer = callers_.find(caller);
    inlined_line_ = outer == callers_.end() ? caller.line : outer->second;
    const auto [known, fresh] = callers_.try_emplace(mine, inlined_line_);
    if (fresh) return spend(64);
    known->second = inlined_line_;
    return !error_;
  }

  bool file() {
    std::int64_t which = 0, ignored = 0;
    std::string_view path;
    if (!count(which, any_int, "a file's number") || !quoted(path) ||
        !spend(64 + path.size()))
      return false;
    tree_.files.emplace_back(static_cast<int>(which), std::string(path));
    while (take(','))  // its time and its size
      if (!count(ignored, std::int64_t{1} << 62, "a time or a size"))
        return false;
    return !error_;
  }

  bool pragma() {
    std::string_view text;
    do {
      if (!quoted(text)) return false;
    } while (take(','));
    return want(';');
  }

  bool section() {
    if (dot_next()) {
      std::string_view word;
      if (!dotted(word, "a section's name")) return false;
    } else {
      std::string_view word;
      if (!name(word, "a section's name")) return false;
    }
    return skip_curly();
  }

  // --- functions -------------------------------------------------------------

  // (.param .b64 a, .reg .b32 b); those of a .callprototype have no names.
  bool parameters(std::vector<variable>& out, bool named_ones) {
    if (!want('(')) return false;
    if (take(')')) return true;
    do {
      if (!dot_next()) return expected("a parameter");
      std::string_view word;
      const place first = here();
      if (!dotted(word, "a state space")) return false;
      if (word != "param" && word != "reg")
        return refuse(first, "expected .param or .reg, found " + shown(word));
      variable made;
      made.space = word;
      if (!type_of(made) || !declarator(made, word, nullptr)) return false;
      if (named_ones && word != "_" && !declare(made, made.at, word))
        return false;
      out.push_back(std::move(made));
    } while (take(','));
    return want(')');
  }

  bool function_of(bool entry, std::string_view linkage, place where) {
    function made;
    made.entry = entry;
    made.linkage = linkage;
    made.at = where;
    if (!spend(sizeof(function))) return false;
    names_ = {};
    label_scopes_.clear();
    callers_.clear();
    file_ = source_line_ = inlined_line_ = 0;
    open_scope(where);

    while (dot_next()) {
      const place first = here();
      std::string_view word;
      if (!dotted(word, "a directive")) return false;
      if (word != "attribute") return refuse(first, "expected a function's name");
      if (!unknown("attribute", first) || !skip_round()) return false;
    }
    space();
    if (peek() == '(' && !parameters(made.returns, true)) return false;
    std::string_view word;
    if (!name(word, "a function's name") || !spend(word.size())) return false;
    made.name = word;
    module_names_.insert(word);
    space();
    if (peek() == '(' && !parameters(made.params, true)) return false;
    if (!function_directives(made)) return false;

    space();
    if (peek() == '{') {
      made.defined = true;
      names_.scopes.back().opened = here();
      ++at_;
      if (!body(made)) return false;
    } else if (!take(';')) {
      return expected("'{' or ';'");
    }
    tree_.functions.push_back(std::move(made));
    return true;
  }

  bool function_directives(function& of) {
    while (dot_next()) {
      std::string_view word;
      if (!dotted(word, "a directive")) return false;
      if (word == "pragma") {
        if (!pragma()) return false;
        continue;
      }
      if (!spend(64 + word.size())) return false;
      std::vector<std::int64_t> values;
      space();
      while (digit(peek())) {
        std::int64_t value = 0;
        if (!spend(sizeof(value)) || !count(value, any_int, "a number"))
          return false;
        values.push_back(value);
        if (!take(',')) break;
        space();
        if (!digit(peek())) return expected("a number");
      }
      of.directives.emplace_back(std::string(word), std::move(values));
    }
    return !error_;
  }

  // After the '{', to the '}' that closes the function.
  bool body(function& of) {
    std::vector<std::string> labels;
    for (;;) {
      space();
      const place first = here();
      if (at_ == end_)
        return refuse(names_.scopes.back().opened, "this '{' is not closed");
      switch (*at_) {
        case '{':
          if (static_cast<int>(names_.scopes.size()) >= limits_.depth)
            return refuse(first, "nested deeper than " +
                                     std::to_string(limits_.depth));
          if (!spend(sizeof(scope))) return false;
          ++at_;
          open_scope(first);
          break;
        case '}':
          ++at_;
          close_scope();
          if (names_.scopes.empty()) {
            of.end_labels = std::move(labels);
            return settle();
          }
          break;
        case '.':
          if (!body_directive(of, labels)) return false;
          break;
        case '@':
          if (!statement(of, labels, first)) return false;
          break;
        default:
          if (!name_start(*at_)) return expected("an instruction");
          if (!statement(of, labels, first)) return false;
          break;
      }
    }
  }

  bool body_directive(function& of, std::vector<std::string>& labels) {
    const place first = here();
    std::string_view word;
    if (!dotted(word, "a directive")) return false;
    if (word == "loc") return loc();
    if (word == "pragma") return pragma();
    if (word == "file") return file();
    if (word == "section") return section();
    if (is_space(word)) return declarations(word, "", of.variables, true);
    if (word == "branchtargets" || word == "calltargets" ||
        word == "callprototype") {
      instruction made;
      made.at = first;
      made.opcode = word;
      if (word == "callprototype") {
        if (!prototype(made)) return false;
      } else if (!operands_until(made.operands, ';', false)) {
        return false;
      }
      return add(of, std::move(made), labels);
    }
    return skip_directive(word, first);
  }

  // After .callprototype, to the ';'.
  bool prototype(instruction& out) {
    std::vector<variable> returns, params;
    space();
    if (peek() == '(' && !parameters(returns, false)) return false;
    space();
    operand discarded;
    discarded.at = here();
    discarded.kind = operand::type::discard;
    std::string_view word;
    if (!name(word, "'_'")) return false;
    space();
    if (peek() == '(' && !parameters(params, false)) return false;
    while (dot_next()) {
      std::int64_t ignored = 0;
      if (!dotted(word, "a directive") || !spend(32 + word.size()))
        return false;
      out.modifiers.emplace_back(word);
      space();
      if (digit(peek()) && !count(ignored, any_int, "a number")) return false;
    }
    out.operands.push_back(typed_list(returns));
    out.operands.push_back(std::move(discarded));
    out.operands.push_back(typed_list(params));
    return want(';');
  }

  [[nodiscard]] static operand typed_list(const std::vector<variable>& of) {
    operand out;
    out.kind = operand::type::call_list;
    if (!of.empty()) out.at = of.front().at;
    for (const auto& one : of) {
      operand part;
      part.text = one.type;
      part.offset = one.align;
      part.at = one.at;
      std::int64_t elements = one.vector;
      for (const auto extent : one.extents)
        elements *= std::max<std::int64_t>(extent, 0);
      part.bits = static_cast<std::uint64_t>(elements);
      out.parts.push_back(std::move(part));
    }
    return out;
  }

  // A label, or an instruction with its guard.
  bool statement(function& of, std::vector<std::string>& labels, place first) {
    instruction made;
    std::string_view word;
    if (take('@')) {
      made.guard_negated = take('!');
      space();
      const place where = here();
      if (!name(word, "a predicate") || !spend(word.size())) return false;
      made.guard = word;
      const found_name found = bind(made.guard, where);
      if (found == found_name::refused) return false;
      if (found == found_name::no && declared_somewhere(word))
        return out_of_scope(word, where);
      space();
      first = here();
      if (!name(word, "an instruction")) return false;
    } else {
      if (!name(word, "an instruction")) return false;
      space();
      if (peek() == ':' && peek(1) != ':') {
        ++at_;
        std::string unique;
        if (!declare_label(word, first, unique)) return false;
        labels.push_back(std::move(unique));
        return true;
      }
    }
    if (!letter(word[0]))
      return refuse(first, "expected an instruction, found " + shown(word));
    made.at = first;
    made.opcode = word;
    if (!modifiers(made)) return false;
    const bool call = made.opcode == "call";
    if (!instruction_operands(made, call)) return false;
    return add(of, std::move(made), labels);
  }

  bool modifiers(instruction& out) {
    std::string_view word;
    words_.clear();
    while (dot_next()) {
      if (!dotted(word, "a modifier") ||
          !spend(sizeof(std::string) + word.size()))
        return false;
      words_.push_back(word);
    }
    out.modifiers.assign(words_.begin(), words_.end());
    return !error_;
  }

  bool instruction_operands(instruction& out, bool call) {
    if (take(';')) return true;
    // Read aside, so that the instruction holds no more than it needs.
    aside_.clear();
    do {
      aside_.emplace_back();
      if (!operand_of(aside_.back(), call)) return false;
    } while (take(','));
    if (!take(';')) return expected("',' or ';'");
    out.operands.assign(std::make_move_iterator(aside_.begin()),
                        std::make_move_iterator(aside_.end()));
    return true;
  }

  bool add(function& of, instruction made, std::vector<std::string>& labels) {
    if (!spend(sizeof(instruction) + made.opcode.size())) return false;
    made.labels = std::move(labels);
    labels.clear();
    made.source_file = file_;
    made.source_line = source_line_;
    made.inlined_line = inlined_line_;
    if (made.opcode != "callprototype")
      for (auto& one : made.operands)
        if (!bind(one)) return false;
    of.body.push_back(std::move(made));
    return true;
  }

  // --- the module ------------------------------------------------------------

  bool version() {
    space();
    const char* first = at_;
    while (at_ != end_ && digit(*at_)) ++at_;
    if (at_ == first || peek() != '.' || !digit(peek(1))) {
      at_ = first;
      return expected("a version such as 9.0");
    }
    ++at_;
    while (at_ != end_ && digit(*at_)) ++at_;
    if (at_ - first > 16) return refuse(here(), "the version is too long");
    tree_.version.assign(first, at_);
    return true;
  }

  bool target() {
    std::string_view word;
    if (!name(word, "a target such as sm_90a")) return false;
    tree_.target = word;
    while (take(',')) {
      space();
      const place first = here();
      if (!name(word, "a target's option")) return false;
      if (!unknown("target " + std::string(word), first)) return false;
    }
    return !error_;
  }

  bool whole() {
    space();
    std::string_view word;
    const place top = here();
    if (!dot_next()) return expected(".version");
    if (!dotted(word, "version")) return false;
    if (word != "version") return refuse(top, "expected .version first");
    if (!version()) return false;
    for (;;) {
      space();
      if (at_ == end_) return !error_;
      if (!dot_next()) return expected("a directive");
      const place first = here();
      if (!dotted(word, "a directive") || !directive(word, first)) return false;
    }
  }

  bool directive(std::string_view word, place first) {
    if (word == "version") return version();
    if (word == "target") return target();
    if (word == "file") return file();
    if (word == "section") return section();
    if (word == "pragma") return pragma();
    if (word == "loc") return loc();
    if (word == "address_size") {
      std::int64_t size = 0;
      if (!count(size, 64, "an address size")) return false;
      if (size != 32 && size != 64)
        return refuse(first, "an address size is 32 or 64");
      tree_.address_size = static_cast<int>(size);
      return true;
    }
    std::string_view linkage;
    if (word == "visible" || word == "extern" || word == "weak" ||
        word == "common") {
      linkage = word;
      if (!dot_next()) return expected("a variable or a function");
      first = here();
      if (!dotted(word, "a directive")) return false;
    }
    if (word == "entry" || word == "func")
      return function_of(word == "entry", linkage, first);
    if (is_space(word))
      return declarations(word, linkage, tree_.variables, false);
    if (!linkage.empty())
      return refuse(first, "expected a variable or a function, found ." +
                               std::string(word));
    return skip_directive(word, first);
  }

  ptx::module tree_;
  std::vector<operand> aside_;           // of the instruction that is read
  std::vector<std::string_view> words_;  // its modifiers

  // Of the latest .loc, and the outermost lines of what was inlined before.
  int file_ = 0, source_line_ = 0, inlined_line_ = 0;
  std::unordered_map<source_place, int, source_hash> callers_;
};

[[nodiscard]] inline result<module> parse(std::string_view text) {
  try {
    return parser(text).run();
  } catch (const std::bad_alloc&) {
    return fault{reason::too_large,
                 "reading PTX: not enough memory for the tree of " +
                     std::to_string(text.size()) + " bytes of text"};
  }
}

}  // namespace skillbench::ptx
