#pragma once
// ptx/module.hpp: PTX text as a tree of plain values, nothing interpreted yet.
//
// Layer   3. parse.hpp makes it, program.hpp gives it meaning.
// Source  PTX ISA 9.0, "Syntax", "State Spaces, Types, and Variables".
// Lines   from 1, of the PTX text; columns from 1.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace skillbench::ptx {

struct place {
  int line = 0, column = 0;
};

// A literal, a name, an address or a list.
struct operand {
  enum class type : std::uint8_t {
    name,       // register, label, variable, function: `text`
    integer,    // `bits`, two's complement (hex, octal, binary, decimal, U)
    real32,     // 0fXXXXXXXX: `bits`
    real64,     // 0dXXXXXXXXXXXXXXXX or a decimal literal: `bits` of a double
    address,    // [name+offset], [offset]: `text` and `offset`; tensor
                // coordinates of [a, {b, c}] in `parts`
    list,       // {a, b, c}: `parts`
    discard,    // _
    call_list,  // (a, b): `parts`
  };
  type kind = type::name;
  std::string text;
  std::uint64_t bits = 0;
  std::int64_t offset = 0;    // name+offset outside brackets too
  bool negated = false;       // !%p, and -%r where PTX allows it
  std::string vector_part;    // "x" of %tid.x, "" otherwise (never for opcodes)
  std::vector<operand> parts;
  std::vector<operand> pair;  // second of %p|%q: zero or one
  place at;
};

struct instruction {
  std::string opcode;                  // "ld"
  std::vector<std::string> modifiers;  // "global", "nc", "L1::no_allocate", "v4", "u32"
  std::vector<operand> operands;
  std::string guard;                   // register name, "" when unguarded
  bool guard_negated = false;
  std::vector<std::string> labels;     // that stand before it
  int source_file = 0, source_line = 0;  // of the latest .loc; 0: none
  // Where it was inlined: the line in the outermost function, 0 when not.
  int inlined_line = 0;
  place at;
};

// .reg %r<10> is one declaration with `count` 10; %r0 .. %r9 exist.
struct variable {
  std::string space;      // "reg", "shared", "global", "const", "local", "param"
  std::string type;       // "b32", "f16x2", "pred", ...
  std::string name;       // without <count>
  std::int64_t count = 0;     // parameterised registers; 0: a single name
  int vector = 1;             // .v2, .v4
  std::int64_t align = 0;     // 0: natural
  std::vector<std::int64_t> extents;  // [8][4]; -1 for [] (extern)
  std::string linkage;        // "visible", "extern", "weak", "common", ""
  // Initialiser, flattened; names (addresses) with offset keep their text.
  std::vector<operand> values;
  place at;
};

struct function {
  bool entry = false;
  std::string linkage;
  std::string name;
  std::vector<variable> returns, params;
  std::vector<variable> variables;     // of all scopes, names made unique
  std::vector<instruction> body;
  std::vector<std::string> end_labels;  // after the last instruction
  // Performance directives: {"maxntid", {1024, 1, 1}}, unknown ones kept.
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> directives;
  bool defined = false;                // false: a prototype
  place at;
};

struct module {
  std::string version, target;  // "9.0", "sm_90a"
  int address_size = 64;
  std::vector<variable> variables;
  std::vector<function> functions;
  std::vector<std::pair<int, std::string>> files;  // .file
  // Directives that are kept and not understood, named with their place.
  std::vector<std::pair<std::string, place>> unknown;
};

}  // namespace skillbench::ptx
