#include <doctest/doctest.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <skillbench/ptx/parse.hpp>

using skillbench::reason;
using skillbench::result;
using skillbench::ptx::function;
using skillbench::ptx::instruction;
using skillbench::ptx::operand;
using skillbench::ptx::parse;
using skillbench::ptx::parse_limits;
using skillbench::ptx::parser;
using skillbench::ptx::variable;
using type = skillbench::ptx::operand::type;
using tree = skillbench::ptx::module;

namespace {

const std::string head = ".version 9.0\n.target sm_90a\n.address_size 64\n";

// Text inside of a kernel starts at line 5, column 1.
std::string in_kernel(std::string_view body) {
  return head + ".entry k() {\n" + std::string(body) + "\n}\n";
}

tree read(const std::string& text) {
  auto made = parse(text);
  REQUIRE_MESSAGE(made.ok(), (made.ok() ? "" : made.error().what));
  return std::move(made).value();
}

function kernel(std::string_view body) {
  return read(in_kernel(body)).functions.at(0);
}

// The one operand of `t.x OPERAND;`.
operand one(std::string_view text) {
  const auto of = kernel("t.x " + std::string(text) + ";");
  REQUIRE(of.body.size() == 1);
  REQUIRE(of.body[0].operands.size() == 1);
  return of.body[0].operands[0];
}

std::int64_t folded(std::string_view text) {
  const auto found = one(text);
  REQUIRE(found.kind == type::integer);
  return static_cast<std::int64_t>(found.bits);
}

double real(std::string_view text) {
  const auto found = one(text);
  REQUIRE(found.kind == type::real64);
  return std::bit_cast<double>(found.bits);
}

variable global(std::string_view text) {
  const auto made = read(head + std::string(text));
  REQUIRE(made.variables.size() == 1);
  return made.variables[0];
}

std::vector<std::int64_t> integers(const std::vector<operand>& of) {
  std::vector<std::int64_t> out;
  for (const auto& value : of) {
    CHECK(value.kind == type::integer);
    out.push_back(static_cast<std::int64_t>(value.bits));
  }
  return out;
}

// The refusal of a text, from the line on: "line 5, column 3: expected ...".
std::string refusal(const std::string& text, parse_limits limits = {}) {
  const auto made = parser(text, limits).run();
  if (made.ok()) return "";
  CHECK(made.error().why == reason::bad_input);
  const std::string& what = made.error().what;
  const auto start = what.find("line ");
  return start == std::string::npos ? what : what.substr(start);
}

std::string refused(std::string_view body) { return refusal(in_kernel(body)); }

using words = std::vector<std::string>;
using numbers = std::vector<std::int64_t>;

}  // namespace

// --- the module --------------------------------------------------------------

TEST_CASE("ptx/parse: the head of a module") {
  const auto made = read(
      "//\n// Generated\n//\n.version 9.0\n.target sm_90a, debug\n"
      ".address_size 64\n.file 1 \"a b.cu\", 12, 34\n.file\t2 \"c.h\"\n");
  CHECK(made.version == "9.0");
  CHECK(made.target == "sm_90a");
  CHECK(made.address_size == 64);
  REQUIRE(made.files.size() == 2);
  CHECK(made.files[0] == std::pair<int, std::string>{1, "a b.cu"});
  CHECK(made.files[1] == std::pair<int, std::string>{2, "c.h"});
  REQUIRE(made.unknown.size() == 1);
  CHECK(made.unknown[0].first == "target debug");
}

TEST_CASE("ptx/parse: comments, preprocessor lines and the closing NUL") {
  std::string text = "# 1 \"x\"\n" + head +
                     "/* a\n /* b */ .global .u32 x; // .global .u32 y;\n"
                     "  #pragma once\n@@DWARF .byte 0x1\r\n";
  text += '\0';
  const auto made = read(text);
  REQUIRE(made.variables.size() == 1);
  CHECK(made.variables[0].at.line == 6);
  CHECK(made.variables[0].at.column == 23);
}

TEST_CASE("ptx/parse: variables with all that may stand before a name") {
  const auto a = global(".visible .global .align 16 .v4 .f32 _Zx$1[8][4];");
  CHECK(a.linkage == "visible");
  CHECK(a.space == "global");
  CHECK(a.align == 16);
  CHECK(a.vector == 4);
  CHECK(a.type == "f32");
  CHECK(a.name == "_Zx$1");
  CHECK(a.extents == numbers{8, 4});
  const auto b = global(".extern .shared .align 1024 .b8 smem[];");
  CHECK(b.linkage == "extern");
  CHECK(b.space == "shared");
  CHECK(b.extents == numbers{-1});
  CHECK(global(".weak .const .u8 c[0x10];").extents == numbers{16});

  const auto many = read(head + ".global .u32 x, y = 3, z[2];").variables;
  REQUIRE(many.size() == 3);
  CHECK(many[0].values.empty());
  CHECK(integers(many[1].values) == numbers{3});
  CHECK(many[2].name == "z");
  CHECK(many[2].type == "u32");

  const auto managed =
      read(head + ".global .attribute(.managed) .align 4 .u32 m;");
  REQUIRE(managed.unknown.size() == 1);
  CHECK(managed.unknown[0].first == "attribute");
  CHECK(managed.variables.at(0).align == 4);
}

TEST_CASE("ptx/parse: initialisers are flattened and filled with zeros") {
  CHECK(integers(global(".global .s32 a = -1;").values) == numbers{-1});
  CHECK(integers(global(".global .u32 a = (1<<3)|2;").values) == numbers{10});
  CHECK(integers(global(".global .u32 a[4] = {1, 2};").values) ==
        numbers{1, 2});
  CHECK(integers(global(".global .u32 a[3] = {};").values).empty());
  CHECK(integers(global(".global .u32 a[3][2] = {{1}, {2, 3}};").values) ==
        numbers{1, 0, 2, 3});
  CHECK(integers(global(".global .v2 .u32 a[2] = {{1}, {3, 4}};").values) ==
        numbers{1, 0, 3, 4});
  const auto open = global(".global .u32 a[][2] = {{1, 2}, {3}};");
  CHECK(open.extents == numbers{2, 2});
  CHECK(integers(open.values) == numbers{1, 2, 3});

  const auto raw = global(".global .f32 a[2] = {0f3F800000, 1.5};").values;
  REQUIRE(raw.size() == 2);
  CHECK(raw[0].kind == type::real32);
  CHECK(raw[0].bits == 0x3f800000u);
  CHECK(raw[1].kind == type::real64);
  CHECK(std::bit_cast<double>(raw[1].bits) == 1.5);
}

TEST_CASE("ptx/parse: addresses in initialisers") {
  const auto made = read(head +
                         ".global .u32 x[4];\n.global .u64 p[5] = "
                         "{x, x+8, generic(x), generic(x)+4, 0};\n"
                         ".global .u8 m[2] = {0xff(x), 0xff00(x+4)};\n");
  const auto& p = made.variables.at(1).values;
  REQUIRE(p.size() == 5);
  CHECK(p[0].kind == type::name);
  CHECK(p[0].text == "x");
  CHECK(p[0].offset == 0);
  CHECK(p[1].offset == 8);
  CHECK(p[2].text == "x");
  CHECK(p[2].vector_part == "generic");
  CHECK(p[3].offset == 4);
  CHECK(p[4].kind == type::integer);
  const auto& m = made.variables.at(2).values;
  REQUIRE(m.size() == 2);
  CHECK(m[1].vector_part == "mask");
  CHECK(m[1].bits == 0xff00u);
  CHECK(m[1].offset == 4);
}

TEST_CASE("ptx/parse: sections are passed over, unknown directives kept") {
  const auto made = read(head +
                         ".section .debug_str\n{\n$L__info_string0:\n"
                         ".b8 95,90 // }\n.b64 $L__a+4\n}\n"
                         ".alias f, g;\n.frob \"a;b\" { ; }\n.global .u32 x;");
  REQUIRE(made.unknown.size() == 2);
  CHECK(made.unknown[0].first == "alias");
  CHECK(made.unknown[0].second.line == 10);
  CHECK(made.unknown[1].first == "frob");
  CHECK(made.variables.size() == 1);
}

// --- functions ---------------------------------------------------------------

TEST_CASE("ptx/parse: a kernel's parameters and directives") {
  const auto made = read(
      head +
      ".weak .entry k(\n.param .u64 .ptr .global .align 16 k_0,\n"
      ".param .align 8 .b8 k_1[48],\n.param .f32 k_2\n)\n.maxntid 1024, 1, 1\n"
      ".minnctapersm 1\n.explicitcluster\n.reqnctapercluster 2,1\n"
      ".pragma \"x\";\n{\nret;\n}\n.visible .entry e { ret; }\n");
  REQUIRE(made.functions.size() == 2);
  const auto& k = made.functions[0];
  CHECK(k.entry);
  CHECK(k.defined);
  CHECK(k.linkage == "weak");
  CHECK(k.name == "k");
  REQUIRE(k.params.size() == 3);
  CHECK(k.params[0].type == "u64");
  CHECK(k.params[0].align == 0);  // 16 is the pointee's
  CHECK(k.params[0].space == "param");
  CHECK(k.params[1].align == 8);
  CHECK(k.params[1].extents == numbers{48});
  CHECK(k.params[2].name == "k_2");
  REQUIRE(k.directives.size() == 4);
  CHECK(k.directives[0] ==
        std::pair<std::string, numbers>{"maxntid", {1024, 1, 1}});
  CHECK(k.directives[1] ==
        std::pair<std::string, numbers>{"minnctapersm", {1}});
  CHECK(k.directives[2] ==
        std::pair<std::string, numbers>{"explicitcluster", {}});
  CHECK(k.directives[3] ==
        std::pair<std::string, numbers>{"reqnctapercluster", {2, 1}});
  CHECK(made.functions[1].linkage == "visible");
  CHECK(made.functions[1].params.empty());
}

TEST_CASE("ptx/parse: device functions, prototypes and what they return") {
  const auto made = read(
      head +
      ".extern .func  (.param .b32 func_retval0) vprintf\n(\n.param .b64 a,\n"
      ".param .b64 b\n)\n;\n.func f () .noreturn ;\n"
      ".func (.reg .f32 r) g(.reg .f32 x, .param .align 4 .b8 v[]) { ret; }\n");
  REQUIRE(made.functions.size() == 3);
  const auto& print = made.functions[0];
  CHECK_FALSE(print.entry);
  CHECK_FALSE(print.defined);
  CHECK(print.linkage == "extern");
  REQUIRE(print.returns.size() == 1);
  CHECK(print.returns[0].name == "func_retval0");
  CHECK(print.params.size() == 2);
  REQUIRE(made.functions[1].directives.size() == 1);
  CHECK(made.functions[1].directives[0].first == "noreturn");
  const auto& g = made.functions[2];
  CHECK(g.defined);
  CHECK(g.returns.at(0).space == "reg");
  CHECK(g.params.at(0).type == "f32");
  CHECK(g.params.at(1).extents == numbers{-1});
}

TEST_CASE("ptx/parse: registers and variables of a body") {
  const auto of = kernel(
      ".reg .pred %p<10>;\n.reg .b32 a, b<3>, none<0>;\n.reg .v4 .f32 v;\n"
      ".local .align 8 .b8 __local_depot0[32];\n"
      ".shared .align 4 .f32 tile[8][33];\n");
  REQUIRE(of.variables.size() == 6);
  CHECK(of.variables[0].name == "%p");
  CHECK(of.variables[0].count == 10);
  CHECK(of.variables[0].type == "pred");
  CHECK(of.variables[1].name == "a");
  CHECK(of.variables[1].count == 0);
  CHECK(of.variables[2].name == "b");
  CHECK(of.variables[2].count == 3);
  CHECK(of.variables[3].vector == 4);
  CHECK(of.variables[4].space == "local");
  CHECK(of.variables[5].space == "shared");
  CHECK(of.variables[5].extents == numbers{8, 33});
}

// --- instructions ------------------------------------------------------------

TEST_CASE("ptx/parse: opcodes, modifiers, guards and labels") {
  const auto of = kernel(
      ".reg .pred %p<2>;\n.reg .b32 %r<4>; .reg .b64 %rd<2>;\n"
      "A:\n$L__B:  ld.global.nc.L1::no_allocate.L2::128B.v2.u32 "
      "{%r1,%r2}, [%rd1];\n"
      "@%p1 bra A;\n@ ! %p1 bra.uni \t $L__B;\nret ;\nC : D:\n");
  REQUIRE(of.body.size() == 4);
  const auto& load = of.body[0];
  CHECK(load.opcode == "ld");
  CHECK(load.modifiers == words{"global", "nc", "L1::no_allocate", "L2::128B",
                                "v2", "u32"});
  CHECK(load.labels == words{"A", "$L__B"});
  CHECK(load.guard.empty());
  CHECK(load.at.line == 8);
  CHECK(load.at.column == 9);
  CHECK(of.body[1].guard == "%p1");
  CHECK_FALSE(of.body[1].guard_negated);
  CHECK(of.body[1].operands.at(0).text == "A");
  CHECK(of.body[2].guard == "%p1");
  CHECK(of.body[2].guard_negated);
  CHECK(of.body[2].modifiers == words{"uni"});
  CHECK(of.body[3].operands.empty());
  CHECK(of.end_labels == words{"C", "D"});
}

TEST_CASE("ptx/parse: a modifier may follow space, as ptxas has it") {
  const auto of = kernel("max .f32\n.ftz a, b;");
  CHECK(of.body.at(0).modifiers == words{"f32", "ftz"});
  CHECK(of.body.at(0).operands.size() == 2);
}

TEST_CASE("ptx/parse: names, parts, offsets and negations") {
  const auto part = one("%tid.x");
  CHECK(part.kind == type::name);
  CHECK(part.text == "%tid");
  CHECK(part.vector_part == "x");
  CHECK(one("%clock64").text == "%clock64");
  CHECK(one("v.b0").vector_part == "b0");
  CHECK(one("!p").negated);
  CHECK(one("- %r1").negated);
  CHECK_FALSE(one("p").negated);
  CHECK(one("_").kind == type::discard);
  const auto moved = one("var+4*2");
  CHECK(moved.kind == type::name);
  CHECK(moved.text == "var");
  CHECK(moved.offset == 8);
  CHECK(one("var-4").offset == -4);
  const auto member = one("table[2]");
  CHECK(member.text == "table");
  CHECK(integers(member.parts) == numbers{2});
  const auto both = one("%p1|%p2");
  CHECK(both.text == "%p1");
  REQUIRE(both.pair.size() == 1);
  CHECK(both.pair[0].text == "%p2");
  CHECK(one("_ | q").pair.at(0).text == "q");
}

TEST_CASE("ptx/parse: integers in every base") {
  CHECK(folded("12") == 12);
  CHECK(folded("-12") == -12);
  CHECK(folded("0x7fU") == 127);
  CHECK(folded("0XFF") == 255);
  CHECK(folded("017") == 15);
  CHECK(folded("0") == 0);
  CHECK(folded("0b101") == 5);
  CHECK(folded("5U") == 5);
  CHECK(folded("0xffffffffffffffff") == -1);
  CHECK(folded("18446744073709551615") == -1);
  CHECK(folded("WARP_SZ") == 32);
  CHECK(folded("WARP_SZ-1") == 31);
}

TEST_CASE("ptx/parse: floating-point literals") {
  CHECK(one("0f3F800000").kind == type::real32);
  CHECK(one("0F3f800000").bits == 0x3f800000u);
  CHECK(one("-0f3F800000").bits == 0xbf800000u);
  CHECK(one("0d3FF0000000000000").kind == type::real64);
  CHECK(one("0D3FF0000000000000").bits == 0x3ff0000000000000u);
  CHECK(real("1.5") == 1.5);
  CHECK(real("1.") == 1.0);
  CHECK(real("+.5") == 0.5);
  // After an opcode and space, '.' starts a modifier; after a comma it cannot.
  CHECK(kernel("t a, .5;").body[0].operands.at(1).bits ==
        std::bit_cast<std::uint64_t>(0.5));
  CHECK(real("1e5") == 1e5);
  CHECK(real("-1.5E-3") == -1.5e-3);
  CHECK(real("1.0/4.0") == 0.25);
}

TEST_CASE("ptx/parse: constant expressions") {
  CHECK(folded("1+2*3") == 7);
  CHECK(folded("(1+2)*3") == 9);
  CHECK(folded("10-2-3") == 5);
  CHECK(folded("1 << 3 >> 1 & 7 | 8 ^ 3") == 15);
  CHECK(folded("1 < 2 ? 3 : 4") == 3);
  CHECK(folded("0 ? 3 : 0 ? 4 : 5") == 5);
  CHECK(folded("~1") == -2);
  CHECK(folded("!1") == 0);
  CHECK(folded("--5") == 5);
  CHECK(folded("1 && 0 || 1") == 1);
  CHECK(folded("3 != 4") == 1);
  CHECK(folded("-7 / 2") == -3);
  CHECK(folded("-7 % 2") == -1);
  CHECK(folded("-1 < 0") == 1);
  CHECK(folded("-1 < 0U") == 0);
  CHECK(folded("(.u64)-1 >> 63") == 1);
  CHECK(folded("-8 >> 1") == -4);
  CHECK(folded("1 << 64") == 0);
  // The lowest integer has no quotient by -1 in C++.
  CHECK(folded("(-9223372036854775807 - 1) / -1") == INT64_MIN);
  CHECK(folded("(-9223372036854775807 - 1) % -1") == 0);
}

TEST_CASE("ptx/parse: addresses") {
  const auto plain = one("[%rd1]");
  CHECK(plain.kind == type::address);
  CHECK(plain.text == "%rd1");
  CHECK(plain.offset == 0);
  CHECK(one("[%rd1+16]").offset == 16);
  CHECK(one("[%rd1+-16]").offset == -16);
  CHECK(one("[%rd1-16]").offset == -16);
  CHECK(one("[ var + (4*2) ]").offset == 8);
  const auto fixed = one("[16+8]");
  CHECK(fixed.text.empty());
  CHECK(fixed.offset == 24);
  const auto tensor = one("[%rd1+64, {%r1, 3, %r2}]");
  CHECK(tensor.text == "%rd1");
  CHECK(tensor.offset == 64);
  REQUIRE(tensor.parts.size() == 3);
  CHECK(tensor.parts[0].text == "%r1");
  CHECK(tensor.parts[1].bits == 3);
  const auto sampled = one("[tex, sampler, {a, b}]");
  REQUIRE(sampled.parts.size() == 2);
  CHECK(sampled.parts[0].text == "sampler");
  CHECK(sampled.parts[1].kind == type::list);
}

TEST_CASE("ptx/parse: lists") {
  const auto list = one("{%r1, _, -1, 0x2, 0f00000000}");
  CHECK(list.kind == type::list);
  REQUIRE(list.parts.size() == 5);
  CHECK(list.parts[0].text == "%r1");
  CHECK(list.parts[1].kind == type::discard);
  CHECK(static_cast<std::int64_t>(list.parts[2].bits) == -1);
  CHECK(list.parts[4].kind == type::real32);
  CHECK(list.at.line == 5);
  CHECK(list.at.column == 5);
  CHECK(list.parts[1].at.column == 11);
  CHECK(one("{a,b}|p").pair.at(0).text == "p");
}

TEST_CASE("ptx/parse: calls in every form") {
  const auto of = kernel(
      "call f;\ncall.uni (r), f, (a, 3);\ncall f, (a);\ncall (), f, ();\n"
      "call.uni (r),\n%rd1,\n(\na\n)\n, proto;\n"
      "proto : .callprototype (.param .b32 _) _ (.param .b64 _, "
      ".param .align 4 .b8 _[12]) .noreturn;\n");
  REQUIRE(of.body.size() == 6);
  CHECK(of.body[0].operands.at(0).text == "f");
  const auto& full = of.body[1].operands;
  REQUIRE(full.size() == 3);
  CHECK(full[0].kind == type::call_list);
  CHECK(full[0].parts.at(0).text == "r");
  CHECK(full[1].text == "f");
  CHECK(full[2].parts.at(1).bits == 3);
  CHECK(of.body[3].operands.at(0).parts.empty());
  CHECK(of.body[4].operands.at(3).text == "proto");
  const auto& proto = of.body[5];
  CHECK(proto.opcode == "callprototype");
  CHECK(proto.labels == words{"proto"});
  CHECK(proto.modifiers == words{"noreturn"});
  REQUIRE(proto.operands.size() == 3);
  CHECK(proto.operands[0].parts.at(0).text == "b32");
  CHECK(proto.operands[1].kind == type::discard);
  CHECK(proto.operands[2].parts.at(1).text == "b8");
  CHECK(proto.operands[2].parts.at(1).bits == 12);
  CHECK(proto.operands[2].parts.at(1).offset == 4);
}

TEST_CASE("ptx/parse: tables of branches and of calls") {
  const auto of = kernel(
      "ts: .branchtargets A, B;\nbrx.idx a, ts;\nA: ret;\nB: ret;\n"
      "ct: .calltargets f, g;\n");
  CHECK(of.body.at(0).opcode == "branchtargets");
  CHECK(of.body.at(0).labels == words{"ts"});
  CHECK(of.body.at(0).operands.at(1).text == "B");
  CHECK(of.body.at(1).operands.at(1).text == "ts");
  CHECK(of.body.at(4).opcode == "calltargets");
}

TEST_CASE("ptx/parse: directives of a body that are not understood") {
  const auto made = read(in_kernel(
      ".pragma \"nounroll\";\n  .frob 1, {a;}\n.grob 2;\nret;"));
  REQUIRE(made.unknown.size() == 2);
  CHECK(made.unknown[0].first == "frob");
  CHECK(made.unknown[0].second.line == 6);
  CHECK(made.unknown[0].second.column == 3);
  CHECK(made.unknown[1].first == "grob");
  CHECK(made.functions.at(0).body.size() == 1);
}

TEST_CASE("ptx/parse: source lines, and the outermost line of what was "
          "inlined") {
  const auto of = kernel(
      "a;\n.loc\t1 10 5\nb;\n"
      ".loc 2 20 6, function_name $L__info_string0, inlined_at 1 10 5\nc;\n"
      ".loc 3 30 7, function_name $L__info_string1+4, inlined_at 2 20 6\nd;\n"
      ".loc 1 11 1\ne;\n"
      ".loc 2 20 6\n"  // no longer inlined in line 10
      ".loc 3 30 7, function_name $L__info_string1, inlined_at 2 20 6\nf;\n");
  REQUIRE(of.body.size() == 6);
  CHECK(of.body[0].source_line == 0);
  CHECK(of.body[1].source_file == 1);
  CHECK(of.body[1].source_line == 10);
  CHECK(of.body[1].inlined_line == 0);
  CHECK(of.body[2].source_file == 2);
  CHECK(of.body[2].source_line == 20);
  CHECK(of.body[2].inlined_line == 10);
  CHECK(of.body[3].source_line == 30);
  CHECK(of.body[3].inlined_line == 10);
  CHECK(of.body[4].inlined_line == 0);
  CHECK(of.body[5].inlined_line == 20);
}

TEST_CASE("ptx/parse: a function does not inherit the line before it") {
  const auto made = read(head + ".entry a() { .loc 1 2 3\nret; }\n"
                                ".entry b() { ret; }\n");
  CHECK(made.functions.at(0).body.at(0).source_line == 2);
  CHECK(made.functions.at(1).body.at(0).source_line == 0);
}

// --- scopes ------------------------------------------------------------------

TEST_CASE("ptx/parse: inner names are made unique, uses follow them") {
  const auto of = kernel(
      "{ .reg .pred p; setp.a p; @p x p|q; }\n"
      "{ .reg .pred p; setp.b p; @!p x {p, [p]}; }\n"
      "{ .param .b32 param0; { .param .b32 param0; st [param0+4]; }\n"
      "  st [param0]; }");
  REQUIRE(of.variables.size() == 4);
  CHECK(of.variables[0].name == "p");
  CHECK(of.variables[1].name == "p@1");
  CHECK(of.variables[2].name == "param0");
  CHECK(of.variables[3].name == "param0@1");
  REQUIRE(of.body.size() == 6);
  CHECK(of.body[0].operands[0].text == "p");
  CHECK(of.body[1].guard == "p");
  CHECK(of.body[2].operands[0].text == "p@1");
  CHECK(of.body[3].guard == "p@1");
  CHECK(of.body[3].guard_negated);
  CHECK(of.body[3].operands[0].parts.at(0).text == "p@1");
  CHECK(of.body[3].operands[0].parts.at(1).text == "p@1");
  CHECK(of.body[4].operands[0].text == "param0@1");
  CHECK(of.body[4].operands[0].offset == 4);
  CHECK(of.body[5].operands[0].text == "param0");
}

TEST_CASE("ptx/parse: both of a pair are bound") {
  const auto of = kernel(
      ".reg .pred p, q;\n{ .reg .pred p, q; x p|q; }\nx p|q;");
  CHECK(of.body.at(0).operands.at(0).text == "p@1");
  CHECK(of.body.at(0).operands.at(0).pair.at(0).text == "q@1");
  CHECK(of.body.at(1).operands.at(0).pair.at(0).text == "q");
}

TEST_CASE("ptx/parse: inner ranges hide outer ones as far as they reach") {
  const auto of = kernel(
      ".reg .b32 %r<10>;\n"
      "{ .reg .b32 %r<3>; x %r2; x %r5; { .reg .f32 %r5; x %r5; x %r2; } }\n"
      "x %r2; x %r02; x %r10;");
  REQUIRE(of.variables.size() == 3);
  CHECK(of.variables[1].name == "%r@1@");
  CHECK(of.variables[1].count == 3);
  CHECK(of.variables[2].name == "%r5@1");
  const auto text = [&](std::size_t i) { return of.body.at(i).operands[0].text; };
  CHECK(text(0) == "%r@1@2");
  CHECK(text(1) == "%r5");
  CHECK(text(2) == "%r5@1");
  CHECK(text(3) == "%r@1@2");
  CHECK(text(4) == "%r2");
  CHECK(text(5) == "%r2");
  CHECK(text(6) == "%r10");  // not declared: for whoever gives it meaning
}

TEST_CASE("ptx/parse: names that look like members of a range") {
  const auto of = kernel(
      "{ .reg .b32 a1; x a1; }\n{ .reg .b32 a<4>; x a1; x a3; }\n"
      "{ .reg .b32 a1<9>; x a12; }");
  REQUIRE(of.variables.size() == 3);
  CHECK(of.variables[0].name == "a1");
  CHECK(of.variables[1].name == "a@1@");
  const auto text = [&](std::size_t i) { return of.body.at(i).operands[0].text; };
  CHECK(text(0) == "a1");
  CHECK(text(1) == "a@1@1");
  CHECK(text(2) == "a@1@3");
  CHECK(text(3) == of.variables[2].name + "2");
  CHECK(refused("{ .reg .b32 a1<9>; } x a1;").empty());  // an unknown name
}

TEST_CASE("ptx/parse: what the module declares is a taken name") {
  const auto made = read(head +
                         ".global .u32 g;\n.func f() { ret; }\n"
                         ".entry k() { mov x, g; { .reg .u32 g, f; mov g, f; } "
                         "mov x, g; call f; }");
  const auto& k = made.functions.at(1);
  CHECK(k.variables.at(0).name == "g@1");
  CHECK(k.body.at(0).operands.at(1).text == "g");
  CHECK(k.body.at(1).operands.at(0).text == "g@1");
  CHECK(k.body.at(1).operands.at(1).text == "f@1");
  CHECK(k.body.at(2).operands.at(1).text == "g");
  CHECK(k.body.at(3).operands.at(0).text == "f");

  const auto twice = read(head + ".global .u32 g;\n.entry k() { .reg .u32 g;\n"
                                 "{ .reg .u32 g; x g; } x g; }");
  const auto& inner = twice.functions.at(0);
  CHECK(inner.variables.at(0).name != inner.variables.at(1).name);
  CHECK(inner.body.at(0).operands[0].text == inner.variables.at(1).name);
  CHECK(inner.body.at(1).operands[0].text == inner.variables.at(0).name);
}

TEST_CASE("ptx/parse: a parameter may be hidden by an inner register") {
  const auto made = read(
      head + ".entry k(.param .u64 P) { { .reg .b32 P; x P; } x [P]; }");
  const auto& k = made.functions.at(0);
  CHECK(k.params.at(0).name == "P");
  CHECK(k.variables.at(0).name == "P@1");
  CHECK(k.body.at(0).operands[0].text == "P@1");
  CHECK(k.body.at(1).operands[0].text == "P");
}

TEST_CASE("ptx/parse: labels belong to their scope, before and after") {
  const auto of = kernel(
      "{ bra L; L: bra L; }\n{ bra L; { bra L; } L: ret; }\n"
      "{ bra M; }\nM: { bra M; M: bra M; }\nbra M;\n{ bra E; E: }");
  REQUIRE(of.body.size() == 10);
  const auto to = [&](std::size_t i) { return of.body[i].operands.at(0).text; };
  CHECK(to(0) == "L");
  CHECK(of.body[1].labels == words{"L"});
  CHECK(to(1) == "L");
  CHECK(to(2) == "L@1");
  CHECK(to(3) == "L@1");
  CHECK(of.body[4].labels == words{"L@1"});
  CHECK(to(5) == "M");
  CHECK(of.body[6].labels == words{"M"});
  CHECK(to(6) == "M@1");
  CHECK(of.body[7].labels == words{"M@1"});
  CHECK(to(7) == "M@1");
  CHECK(to(8) == "M");
  CHECK(of.end_labels == words{"E"});
}

TEST_CASE("ptx/parse: names out of their scope are refused, with the place") {
  CHECK(refused("{ .reg .b32 t; }\nmov t, 1;") ==
        "line 6, column 5: 't' is used outside of the scope that declares it");
  CHECK(refused("{ .reg .b32 t<2>; }\nmov a, t1;") ==
        "line 6, column 8: 't1' is used outside of the scope that declares it");
  CHECK(refused("{ .reg .pred t; }\n@t ret;") ==
        "line 6, column 2: 't' is used outside of the scope that declares it");
  CHECK(refused("{ L: ret; }\nbra L;") ==
        "line 6, column 5: 'L' is used outside of the scope that declares it");
  CHECK(refused("mov t, 1; .reg .b32 t;") ==
        "line 5, column 5: 't' is used outside of the scope that declares it");
  CHECK(refused("{ .reg .b32 t; mov t, 1; }") == "");
}

TEST_CASE("ptx/parse: a name is declared once in a scope") {
  CHECK(refused(".reg .b32 a;\n.reg .b32 a;") ==
        "line 6, column 11: 'a' is declared twice in one scope");
  CHECK(refused("L: ret;\nL: ret;") ==
        "line 6, column 1: 'L' is declared twice in one scope");
  CHECK(refused(".reg .b32 a<2>, a<3>;") ==
        "line 5, column 17: 'a' is declared twice in one scope");
  CHECK(refused(".reg .b32 a; a: ret;") ==
        "line 5, column 14: 'a' is declared twice in one scope");
  CHECK(refused(".reg .b32 a<20>, a1<3>; x a12;") ==
        "line 5, column 27: 'a12' could be two registers of this scope");
  CHECK(refused(".reg .b32 a<20>, a1<3>; x a5;") == "");
  CHECK(refusal(head + ".entry k(.param .u64 P) { .reg .b32 P; }") ==
        "line 4, column 37: 'P' is declared twice in one scope");
}

// --- refusals ----------------------------------------------------------------

TEST_CASE("ptx/parse: a text that is no module is refused") {
  CHECK(refusal("") ==
        "line 1, column 1: expected .version, found the end of the text");
  CHECK(refusal("hello") ==
        "line 1, column 1: expected .version, found 'hello'");
  CHECK(refusal("\n .target sm_90a") ==
        "line 2, column 2: expected .version first");
  CHECK(refusal(".version 9\n.target sm_90a") ==
        "line 1, column 10: expected a version such as 9.0, found '9'");
  CHECK(refusal(head + "ret;") ==
        "line 4, column 1: expected a directive, found 'ret'");
  CHECK(refusal(head + ".address_size 48") ==
        "line 4, column 1: an address size is 32 or 64");
  CHECK(refusal(head + ".visible .frob;") ==
        "line 4, column 10: expected a variable or a function, found .frob");
  CHECK(refusal(head + ".frob a") ==
        "line 4, column 1: the directive .frob has no end");
  CHECK(refusal(head + ".section .x\n{ { }") ==
        "line 5, column 1: the bracket is not closed");
  CHECK(refusal(head + "\n/* open") ==
        "line 5, column 1: the comment is not closed");
  CHECK(refusal(head + ".file 1 \"open\n") ==
        "line 4, column 9: the string is not closed");
  CHECK(refusal(head + ".global .u32 x; # no line of its own") ==
        "line 4, column 17: expected a directive, found '#'");
  CHECK(refusal(head + ".global .u32 x;\x01") ==
        "line 4, column 16: expected a directive, found '\\x01'");
}

TEST_CASE("ptx/parse: declarations that are refused") {
  CHECK(refusal(head + ".global x;") ==
        "line 4, column 9: expected a type, found 'x'");
  CHECK(refusal(head + ".global .u32 .u64 x;") ==
        "line 4, column 14: expected a name, found a second type 'u64'");
  CHECK(refusal(head + ".global .align 3 .u32 x;") ==
        "line 4, column 9: an alignment must be a power of two");
  CHECK(refusal(head + ".global .u32 x") ==
        "line 4, column 15: expected ';', found the end of the text");
  CHECK(refusal(head + ".global .u32 x[-1];") ==
        "line 4, column 16: expected an array's extent, found '-'");
  CHECK(refusal(head + ".global .u32 x[1.5];") ==
        "line 4, column 16: an array's extent is not an integer from 0 to "
        "1099511627776");
  CHECK(refusal(head + ".global .u32 x[1048576][1048577];") ==
        "line 4, column 14: an array has more than 1099511627776 elements");
  CHECK(refusal(head + ".global .u32 x[1048576][1048576];") == "");
  CHECK(refusal(head + ".global .u32 x[2] = {1,2,3};") ==
        "line 4, column 26: more values than elements");
  CHECK(refusal(head + ".global .u32 x[2][2] = {1,2};") ==
        "line 4, column 25: expected '{', found '1'");
  CHECK(refusal(head + ".global .u32 x[2] = {{1}};") ==
        "line 4, column 22: expected a value, found '{'");
  CHECK(refusal(head + ".global .u32 x[2] = 1;") ==
        "line 4, column 21: expected '{', found '1'");
  CHECK(refusal(head + ".global .u32 x = {1};") ==
        "line 4, column 18: a single value stands without braces");
  CHECK(refusal(head + ".global .u32 x[2][] = {{1}};") ==
        "line 4, column 24: only the first extent may be left open");
  CHECK(refusal(head + ".entry k(.global .u32 a) {}") ==
        "line 4, column 10: expected .param or .reg, found 'global'");
  CHECK(refusal(head + ".entry k(.param .u32 a {}") ==
        "line 4, column 24: expected ')', found '{'");
  CHECK(refusal(head + ".entry k() ret;") ==
        "line 4, column 12: expected '{' or ';', found 'ret'");
  CHECK(refused(".reg .b32 _;") ==
        "line 5, column 11: '_' cannot be declared");
}

TEST_CASE("ptx/parse: instructions that are refused") {
  CHECK(refused("max. f32 a, b;") ==
        "line 5, column 5: expected a modifier right after '.', found ' '");
  CHECK(refused("max.f32 a, b") ==
        "line 6, column 1: expected ',' or ';', found '}'");
  CHECK(refused("max.f32 a, b, ;") ==
        "line 5, column 15: expected an operand, found ';'");
  CHECK(refused("  ;") ==
        "line 5, column 3: expected an instruction, found ';'");
  CHECK(refused("%r1 a;") ==
        "line 5, column 1: expected an instruction, found '%r1'");
  CHECK(refused("@ ret;") ==
        "line 5, column 6: expected an instruction, found ';'");
  CHECK(refused("@!5 ret;") ==
        "line 5, column 3: expected a predicate, found '5'");
  CHECK(refused("mov {};") == "line 5, column 5: a list needs an operand");
  CHECK(refused("mov [a;") == "line 5, column 7: expected ']', found ';'");
  CHECK(refused("mov [];") == "line 5, column 6: expected a number, found ']'");
  CHECK(refused("mov [a+%r1];") ==
        "line 5, column 8: expected a constant, found '%r1'");
  CHECK(refused("mov [a+1.5];") == "line 5, column 7: expected an integer");
  CHECK(refused("mov {a b};") ==
        "line 5, column 8: expected ',' or '}', found 'b'");
  CHECK(refused("mov a.foo;") ==
        "line 5, column 6: expected a vector's part, found 'foo'");
  CHECK(refused("mov \x80;") ==
        "line 5, column 5: expected an operand, found '\\x80'");
  CHECK(refused(".loc 1 2") ==
        "line 6, column 1: expected a column, found '}'");
  CHECK(refused(".loc 1 2 3, frob") ==
        "line 5, column 13: expected function_name or inlined_at, found "
        "'frob'");
  CHECK(refused(".loc 1 99999999999 3") ==
        "line 5, column 8: a line is not an integer from 0 to 2147483647");
}

TEST_CASE("ptx/parse: numbers that are refused") {
  CHECK(refused("t 0f3F80;") ==
        "line 5, column 9: expected 8 hexadecimal digits, found ';'");
  CHECK(refused("t 0f3F8000000;") ==
        "line 5, column 13: expected the end of the number, found '0'");
  CHECK(refused("t 018;") ==
        "line 5, column 5: expected the end of the number, found '8'");
  CHECK(refused("t 5UL;") ==
        "line 5, column 5: expected the end of the number, found 'L'");
  CHECK(refused("t 0x;") ==
        "line 5, column 5: expected a digit of base 16, found ';'");
  CHECK(refused("t 18446744073709551616;") ==
        "line 5, column 3: the integer does not fit in 64 bits");
  CHECK(refused("t 1e999;") ==
        "line 5, column 3: the number does not fit in a double");
  CHECK(refused("t 3/0;") == "line 5, column 4: a constant is divided by zero");
  CHECK(refused("t 3%0;") == "line 5, column 4: a constant is divided by zero");
  CHECK(refused("t 1.5 << 2;") ==
        "line 5, column 7: this operator needs integers");
  CHECK(refused("t ~1.5;") == "line 5, column 3: '~' needs an integer");
  CHECK(refused("t (.s32)1;") ==
        "line 5, column 4: constants are cast to .s64 or .u64 only");
  CHECK(refused("t (1;") == "line 5, column 5: expected ')', found ';'");
}

TEST_CASE("ptx/parse: an open body is refused where it opens") {
  CHECK(refusal(head + ".entry k() {\nret;\n") ==
        "line 4, column 12: this '{' is not closed");
  CHECK(refusal(head + ".entry k() {\n  {\nret;\n") ==
        "line 5, column 3: this '{' is not closed");
}

// --- limits ------------------------------------------------------------------

TEST_CASE("ptx/parse: absurd counts of registers are refused") {
  CHECK(refused(".reg .b32 %r<1048576>;") == "");
  CHECK(refused(".reg .b32 %r<1048577>;") ==
        "line 5, column 14: a number of registers is not an integer from 0 to "
        "1048576");
  CHECK(refused(".reg .b32 %r<99999999999999999999>;") ==
        "line 5, column 14: the integer does not fit in 64 bits");
  CHECK(refused(".reg .b32 %r<1048576>;\n{ .reg .b32 x; }") ==
        "line 6, column 13: more than 1048576 registers in one function");
}

TEST_CASE("ptx/parse: nesting ends at its limit, in every bracket") {
  const auto times = [](std::string_view what, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += what;
    return out;
  };
  CHECK(refused(times("{", 255) + times("}", 255)) == "");
  CHECK(refused(times("{", 256) + times("}", 256)) ==
        "line 5, column 256: nested deeper than 256");
  const std::string deep = "nested deeper than 256";
  for (const std::string_view what :
       {"{", "[a,", "a|", "(", "-", "!", "~", "1?", "1?2:", "(.s64)"}) {
    CAPTURE(what);
    CHECK(refused("t " + times(what, 100000)).find(deep) != std::string::npos);
  }
  CHECK(refusal(head + ".section .x " + times("{", 300)).find(deep) !=
        std::string::npos);
  CHECK(refusal(head + ".global .u8 x" + times("[1]", 300) + " = " +
                times("{", 300))
            .find(deep) != std::string::npos);
  CHECK(folded(times("(", 100) + "7" + times(")", 100)) == 7);
}

TEST_CASE("ptx/parse: long names are read up to the limit") {
  const std::string most(std::size_t{64} << 10, 'a');
  CHECK(kernel("x " + most + ";").body[0].operands[0].text == most);
  CHECK(refused("x b" + most + ";") ==
        "line 5, column 3: a name is longer than 65536 bytes");
  CHECK(refused("x.b" + most + ";").find("a word is longer than 65536") !=
        std::string::npos);
}

TEST_CASE("ptx/parse: the text and the tree have a size") {
  parse_limits small;
  small.text = 20;
  CHECK(refusal(head, small) == "reading PTX: the text is longer than 20 bytes");
  small = {};
  small.tree = 100000;
  std::string text = head + ".entry k() {\n";
  for (int i = 0; i < 10000; ++i) text += "a 1;";
  text += "}";
  CHECK(refusal(text, small).find("would take more than 100000 bytes") !=
        std::string::npos);
  CHECK(refusal(text).empty());
  // A short text must not ask for a long fill.
  CHECK(refusal(head + ".global .u8 x[2][4000000000] = {{1},{2}};")
            .find("would take more than") != std::string::npos);
}

// --- a whole text, whole and broken ------------------------------------------

namespace {

const std::string whole = R"ptx(//
// Generated by NVIDIA NVVM Compiler
//
.version 9.0
.target sm_90a
.address_size 64

	// .weak	_Z4attnIfEvPKT_PS0_i
.extern .func  (.param .b32 func_retval0) vprintf
(
	.param .b64 vprintf_param_0,
	.param .b64 vprintf_param_1
)
;
.global .align 4 .u32 _ZN2BNE = 64;
.global .align 8 .u64 table[3] = {generic(_ZN2BNE), _ZN2BNE+4, 0};
.global .align 4 .b8 grid[2][4] = {{1, 2}, {-3, 0x4}};
.global .align 1 .b8 $str[6] = {104, 101, 108, 108, 111, 0};
.extern .shared .align 1024 .b8 att_smem[];

.weak .entry _Z4attnIfEvPKT_PS0_i(
	.param .u64 _Z4attnIfEvPKT_PS0_i_param_0,
	.param .align 64 .b8 _Z4attnIfEvPKT_PS0_i_param_1[128],
	.param .u32 _Z4attnIfEvPKT_PS0_i_param_2
)
.maxntid 128, 1, 1
.minnctapersm 1
{
	.local .align 8 .b8 	__local_depot0[16];
	.reg .b64 	%SP;
	.reg .pred 	%p<6>;
	.reg .b16 	%rs<5>;
	.reg .f32 	%f<20>;
	.reg .b32 	%r<20>;
	.reg .b64 	%rd<12>;
	.loc	1 58 0
	ld.param.u64 	%rd1, [_Z4attnIfEvPKT_PS0_i_param_0];
	ld.param.u32 	%r1, [_Z4attnIfEvPKT_PS0_i_param_2];
	mov.u32 	%r2, %tid.x;
	mov.u32 	%r3, att_smem;
	.loc	2 104 3, function_name $L__info_string0, inlined_at 1 60 9
	setp.ge.s32 	%p1, %r2, %r1;
	@%p1 bra 	$L__BB0_4;
	.loc	3 21 1, function_name $L__info_string1, inlined_at 2 104 3
	// begin inline asm
	{
.reg .pred p;
mbarrier.try_wait.parity.shared::cta.b64 p, [%r3], %r4;
selp.u32 %r5, 1, 0, p;
}
	// end inline asm
	setp.ne.s32 	%p2, %r5, 0;
	{
.reg .pred p;
setp.ne.b32 p, %r5, 0;
wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1, %f2, %f3, %f4}, %rd2, %rd3, p, 1, 1, 0, 0;
}
	cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r3], [%rd1, {%r1, %r2}], [%r3+8];
	{ cvt.rn.bf16x2.f32 %r6, %f1, %f2;}
	{.reg .f16 low,high;
  mov.b32 {low,high},%r6;
  cvt.f32.f16 %f5, low;}
	{  .reg .f32 r0;  .reg .pred p;  shfl.sync.down.b32 r0|p, %f5, %r1, %r2, -1;  @p add.f32 r0, r0, %f5;  mov.f32 %f6, r0;}
	ld.global.nc.L1::no_allocate.v4.u32 {%r7,%r8,%r9,%r10}, [%rd1+-16];
	fma.rn.f32 	%f7, %f6, 0f3FB8AA3B, 0fBF800000;
	.pragma "nounroll";
$L__BB0_2:
	add.s32 	%r11, %r11, 1;
	setp.lt.and.s32 	%p3|%p4, %r11, 128, !%p2;
	@!%p3 bra.uni 	$L__BB0_2;
	{ // callseq 0, 0
	.reg .b32 temp_param_reg;
	.param .b64 param0;
	st.param.b64 	[param0+0], %rd4;
	.param .b64 param1;
	st.param.b64 	[param1+0], %rd5;
	.param .b32 retval0;
	call.uni (retval0), 
	vprintf, 
	(
	param0, 
	param1
	);
	ld.param.b32 	%r12, [retval0+0];
	} // callseq 0
	{ // callseq 1, 0
	.reg .b32 temp_param_reg;
	.param .b64 param0;
	st.param.b64 	[param0+0], %rd4;
	prototype_0 : .callprototype (.param .b32 _) _ (.param .b64 _);
	.param .b32 retval0;
	call (retval0), %rd6, (param0), prototype_0;
	} // callseq 1
ts: .branchtargets $L__BB0_2, $L__BB0_4;
	brx.idx %r12, ts;
$L__BB0_4:
	mov.f64 	%rd7, 0d3FF0000000000000;
	st.global.v2.f32 	[%rd1], {%f7, %f8};
	ret;

}
	.file	1 "/a/b.cu"
	.file	2 "/a/c.h"
	.section	.debug_str
	{
$L__info_string0:
.b8 95,90,57,97,116,116
.b8 0
	}
)ptx";

// A small generator of its own, so that the variants are the same everywhere.
struct dice {
  std::uint64_t state;
  std::uint64_t next(std::uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
  }
};

// Either a tree, or a refusal that names a place.
bool decent(const std::string& text) {
  const auto made = parse(text);
  if (made.ok()) return true;
  return made.error().why == reason::bad_input &&
         made.error().what.starts_with("reading PTX, line ");
}

}  // namespace

TEST_CASE("ptx/parse: a whole text has its tree") {
  const auto made = read(whole);
  CHECK(made.variables.size() == 5);
  CHECK(integers(made.variables.at(2).values) == numbers{1, 2, 0, 0, -3, 4});
  REQUIRE(made.functions.size() == 2);
  CHECK(made.unknown.empty());
  CHECK(made.files.size() == 2);
  const auto& k = made.functions[1];
  CHECK(k.body.size() == 35);
  words names;
  for (const auto& made_variable : k.variables)
    names.push_back(made_variable.name);
  CHECK(names == words{"__local_depot0", "%SP", "%p", "%rs", "%f", "%r", "%rd",
                       "p", "p@1", "low", "high", "r0", "p@2",
                       "temp_param_reg", "param0", "param1", "retval0",
                       "temp_param_reg@1", "param0@1", "retval0@1"});
  const instruction* product = nullptr;
  for (const auto& step : k.body)
    if (step.opcode == "wgmma") product = &step;
  REQUIRE(product);
  CHECK(product->modifiers == words{"mma_async", "sync", "aligned",
                                    "m64n8k16", "f32", "bf16", "bf16"});
  CHECK(product->operands.size() == 8);
  CHECK(product->operands[3].text == "p@1");
  CHECK(product->source_file == 3);
  CHECK(product->source_line == 21);
  CHECK(product->inlined_line == 60);
}

TEST_CASE("ptx/parse: a text that ends early is a tree or a refusal") {
  for (std::size_t end = 0; end < whole.size(); end += 37) {
    CAPTURE(end);
    CHECK(decent(whole.substr(0, end)));
  }
}

TEST_CASE("ptx/parse: a text with broken bytes is a tree or a refusal") {
  constexpr std::string_view bytes = "{}[]()<>,;:.@!%$_|+-*/\"#0179afxUdb \n\t\\";
  dice random{0x5eed};
  std::size_t refusals = 0;
  for (int variant = 0; variant < 6000; ++variant) {
    std::string text = whole;
    const auto changes = 1 + random.next(4);
    for (std::uint64_t i = 0; i < changes; ++i) {
      const auto at = static_cast<std::size_t>(random.next(text.size()));
      switch (random.next(5)) {
        case 0: text[at] = static_cast<char>(random.next(256)); break;
        case 1: text[at] = bytes[random.next(bytes.size())]; break;
        case 2: text.erase(at, 1 + random.next(24)); break;
        case 3: text.insert(at, text.substr(random.next(text.size()), 24)); break;
        default: text.insert(at, 1, bytes[random.next(bytes.size())]); break;
      }
    }
    if (!decent(text)) {
      CAPTURE(variant);
      CAPTURE(text);
      CHECK(false);
      break;
    }
    if (!parse(text).ok()) ++refusals;
  }
  CHECK(refusals > 1000);  // the changes do hit something
}
