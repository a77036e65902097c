#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <skillbench/ptx/forms.hpp>

using namespace skillbench::ptx;

namespace {

using words = std::vector<std::string>;

std::string refused(std::string_view pattern) {
  const auto told = judge_forms(pattern);
  REQUIRE_MESSAGE(told.ok(), (told.ok() ? "" : told.error().what));
  std::string out;
  for (const auto& each : told.value()) out += each.refused;
  return out;
}

}  // namespace

TEST_CASE("ptx/forms: a pattern stands for every choice and option") {
  CHECK(expanded("add.{u16,s32} t, t, t") == words{"add.u16 %h0, %h1, %h2;", "add.s32 %r0, %r1, %r2;"});
  CHECK(expanded("abs{,.ftz}.f32 t, t") == words{"abs.f32 %r0, %r1;", "abs.ftz.f32 %r0, %r1;"});
  CHECK(expanded("{bar,barrier.cta}.sync r") == words{"bar.sync %r0;", "barrier.cta.sync %r0;"});
  CHECK(expanded("trap") == words{"trap;"});
}

TEST_CASE("ptx/forms: operands have the width of a type, or their own") {
  CHECK(expanded("cvt.u64.u16 t, u") == words{"cvt.u64.u16 %d0, %h1;"});
  CHECK(expanded("bfe.u64 t, t, r, r") == words{"bfe.u64 %d0, %d1, %r2, %r3;"});
  CHECK(expanded("setp.eq{,.and}.f64 p, u, u@") == words{"setp.eq.f64 %p0, %d1, %d2;", "setp.eq.and.f64 %p0, %d1, %d2, %p3;"});
  CHECK(expanded("ld.global.v2.b64 V, [d]") == words{"ld.global.v2.b64 {%d0, %d1}, [%d2];"});
  CHECK(expanded("stmatrix.x4 [r], L") == words{"stmatrix.x4 [%r0], {%r1, %r2, %r3, %r4};"});
}

TEST_CASE("ptx/forms: every form is read, and none stands twice") {
  std::set<std::string> seen;
  std::size_t all = 0;
  for (const auto& group : forms())
    for (const auto pattern : group.patterns) {
      const auto told = judge_forms(pattern);
      CHECK_MESSAGE(told.ok(), pattern, ": ", (told.ok() ? "" : told.error().what));
      if (!told) continue;
      for (const auto& each : told.value()) {
        CHECK_MESSAGE(seen.insert(each.text).second, each.text);
        ++all;
      }
    }
  CHECK(all > 3000);  // so that the walk above is not one over nothing
}

TEST_CASE("ptx/forms: what is refused has a reason that says something") {
  for (const auto& group : forms())
    for (const auto pattern : group.patterns) {
      const std::string why = refused(pattern);
      for (const char* empty : {"this form", "modifier", "unknown to the machine", "operand count"})
        CHECK_MESSAGE(why.find(empty) == std::string::npos, pattern, ": ", why);
    }
}

TEST_CASE("ptx/forms: what is decoded and what is not are told apart, line by line") {
  CHECK(refused("add.{u16,u32} t, t, t").empty());
  const auto told = judge_forms("{add,vadd.u32.u32}.u32 r, r, r");
  REQUIRE(told.ok());
  REQUIRE(told.value().size() == 2);
  CHECK(told.value()[0].refused.empty());
  CHECK(told.value()[1].refused.find("a video instruction") != std::string::npos);
  CHECK_FALSE(judge_forms("add.u32 (").ok());
}

TEST_CASE("ptx/forms: the table has a row for each opcode of a group") {
  const auto made = form_table();
  REQUIRE(made.ok());
  const std::string& text = made.value();
  for (const auto& group : forms()) {
    const std::size_t title = text.find("\n**" + std::string(group.title) + "**\n");
    REQUIRE_MESSAGE(title != std::string::npos, group.title);
    const std::string part = text.substr(title + 1, text.find("\n**", title + 1) - title);
    for (const auto pattern : group.patterns) {
      const std::string head(pattern.substr(0, pattern.find(' ')));
      const std::string opcode(detail::opcode_and_rest(head).first);
      const std::size_t row = part.find("\n| `" + opcode + "` |");
      REQUIRE_MESSAGE(row != std::string::npos, head);
      CHECK_MESSAGE(part.find("\n| `" + opcode + "` |", row + 1) == std::string::npos, opcode);
      CHECK_MESSAGE(part.substr(row, part.find('\n', row + 1) - row).find(head.substr(opcode.size())) != std::string::npos, head);
    }
  }
  CHECK(text.find("| `brkpt` | | |\n") != std::string::npos);
  CHECK(text.find("| `multimem` | `.ld_reduce.global.add.{u32,f32}` `.st.global.{u32,f32}` `.red.global.add.{u32,f32}` | "
                  "all: a launch here is on one device, which has no multicast object |\n") != std::string::npos);
  CHECK(text.find("`mapa.u32`: a generic address has 64 bits |\n") != std::string::npos);
}
