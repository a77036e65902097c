#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <skillbench/ptx/gate.hpp>
#include <skillbench/ptx/parse.hpp>

using namespace skillbench;

namespace {

// A module with a variable, a table, and one kernel of this body.
std::string text_of(const std::string& body, const std::string& before = "") {
  return ".version 9.0\n.target sm_90a\n.address_size 64\n"
         ".global .align 4 .u32 state;\n"
         ".const .align 4 .u32 fixed;\n"
         ".global .align 4 .b8 table[16] = {1, 2, 3, 4};\n" +
         before +
         ".visible .entry k(.param .u64 k_0)\n{\n"
         ".reg .pred %p<4>;\n.reg .b32 %r<8>;\n.reg .b64 %rd<8>;\n"
         ".shared .align 8 .b8 room[64];\n" +
         body + "ret;\n}\n";
}

std::vector<finding> judged(const std::string& text) {
  const auto parsed = ptx::parse(text);
  REQUIRE_MESSAGE(parsed.ok(), text);
  return ptx::gate(parsed.value(), {"k"});
}

bool says(const std::vector<finding>& all, code what, severity weight) {
  for (const auto& f : all)
    if (f.kind == what && f.weight == weight) return true;
  return false;
}

const char* const own_store =
    "ld.param.u64 %rd1, [k_0];\ncvta.to.global.u64 %rd2, %rd1;\n"
    "st.global.u32 [%rd2], %r1;\n";

}  // namespace

TEST_CASE("gate: a store to a module variable is state, one to an argument is not") {
  CHECK(judged(text_of(own_store)).empty());
  CHECK(says(judged(text_of("st.global.u32 [state], %r1;\n")), code::module_state, severity::cheats));
  CHECK(says(judged(text_of("mov.u64 %rd1, state;\nadd.s64 %rd2, %rd1, 0;\nst.global.u32 [%rd2], %r1;\n")),
             code::module_state, severity::cheats));
}

TEST_CASE("gate: atomics and reductions count as stores, loads do not") {
  CHECK(says(judged(text_of("atom.global.add.u32 %r1, [state], 1;\n")), code::module_state, severity::cheats));
  CHECK(says(judged(text_of("red.global.add.u32 [state], 1;\n")), code::module_state, severity::cheats));
  CHECK(judged(text_of("ld.global.u32 %r1, [state];\nld.const.u32 %r2, [fixed];\n")).empty());
}

TEST_CASE("gate: an address is followed through choices, loops, calls and memory") {
  CHECK(says(judged(text_of("mov.u64 %rd1, state;\nld.param.u64 %rd2, [k_0];\n"
                            "selp.b64 %rd3, %rd1, %rd2, %p1;\nst.u32 [%rd3], %r1;\n")),
             code::module_state, severity::cheats));
  CHECK(says(judged(text_of("mov.u64 %rd1, state;\nst.shared.u64 [room], %rd1;\n"
                            "ld.shared.u64 %rd2, [room];\nst.global.u32 [%rd2], %r1;\n")),
             code::module_state, severity::cheats));
  const std::string callee =
      ".func bump(.param .b64 bump_0)\n{\n.reg .b64 %rd<4>;\n.reg .b32 %r<2>;\n"
      "ld.param.u64 %rd1, [bump_0];\natom.global.add.u32 %r1, [%rd1], 1;\nret;\n}\n";
  const auto call = [](const char* pointer) {
    return std::string("mov.u64 %rd5, state;\nld.param.u64 %rd6, [k_0];\n") +
           "{\n.param .b64 param0;\nst.param.b64 [param0+0], " + pointer +
           ";\ncall.uni bump, (param0);\n}\n";
  };
  CHECK(says(judged(text_of(call("%rd5"), callee)), code::module_state, severity::cheats));
  CHECK(judged(text_of(call("%rd6"), callee)).empty());
}

TEST_CASE("gate: a number from a table does not make an address suspicious") {
  CHECK(judged(text_of("mov.u64 %rd1, table;\nld.global.u32 %r1, [%rd1];\n"
                       "ld.param.u64 %rd2, [k_0];\nmad.wide.u32 %rd3, %r1, 4, %rd2;\n"
                       "st.global.u32 [%rd3], %r1;\n")).empty());
}

TEST_CASE("gate: clocks and memory of its own cheat; printing, trapping and sleeping are notes") {
  CHECK(says(judged(text_of("mov.u64 %rd1, %globaltimer;\n")), code::reads_clock, severity::cheats));
  CHECK(says(judged(text_of("{\n.param .b64 param0;\nst.param.b64 [param0+0], %rd1;\n.param .b64 retval0;\n"
                            "call.uni (retval0), malloc, (param0);\n}\n",
                            ".extern .func (.param .b64 func_retval0) malloc(.param .b64 malloc_0);\n")),
             code::device_malloc, severity::cheats));
  CHECK(says(judged(text_of("trap;\n")), code::may_trap, severity::note));
  CHECK(says(judged(text_of("nanosleep.u32 20;\n")), code::sleeps, severity::note));
  CHECK_FALSE(says(judged(text_of("mov.u32 %r1, %tid.x;\n")), code::reads_clock, severity::cheats));
}

TEST_CASE("gate: what no launched kernel reaches is not judged") {
  const std::string other =
      ".visible .entry other()\n{\n.reg .b32 %r<2>;\nst.global.u32 [state], %r1;\nret;\n}\n";
  CHECK(judged(text_of(own_store, other)).empty());
}

TEST_CASE("gate: assembly that closes its function is told, balanced braces are not") {
  const std::string begin = "\t// begin inline asm\n", end = "\t// end inline asm\n";
  CHECK(ptx::injected(begin + "} .visible .entry x(){ret;\n" + end).size() == 1);
  CHECK(ptx::injected(begin + "{ .reg .pred p; setp.eq.u32 p, %r1, 0; }\n" + end + "}\n").empty());
  CHECK(ptx::injected("}\n").empty());
  CHECK(ptx::injected(begin + "}").front().ptx_line == 2);
}
