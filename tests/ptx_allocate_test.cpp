// Registers that share places (ptx/allocate.hpp) hold what they would alone:
// random control flow, run both ways.

#include <doctest/doctest.h>

#include "ptx_kit.hpp"

namespace {

using u = std::uint64_t;

// Nested branches and loops over registers that are written before they are
// read, some of them only by some lanes.
class generator {
 public:
  explicit generator(u seed) : from_(seed) {
    scope_.push_back({"%s0", "%s1", "%s2"});
    wide_.push_back({"%w0"});
  }

  std::string body() {
    std::string t =
        "mov.u32 %s0, %tid.x; mov.u32 %s1, %ctaid.x; mov.u32 %t0, %ntid.x; mad.lo.s32 %s2, %s1, %t0, %s0; mul.wide.u32 %wa, %s2, 4; add.s64 %wa, %wa, %p_0; mul.lo.s32 %s1, %s2, 2654435761; mul.wide.u32 %w0, %s1, 40503;\n";
    t += some(4);
    t += "mov.u32 %t0, 17;\n";
    for (const auto& r : scope_.back()) t += "mad.lo.s32 %t0, %t0, 31, " + r + ";\n";
    for (const auto& r : wide_.back()) t += "cvt.u32.u64 %t1, " + r + "; mad.lo.s32 %t0, %t0, 37, %t1;\n";
    return t + "st.global.u32 [%wa], %t0; ret;";
  }
  std::string declarations() const {
    return ".reg .b32 %s<" + std::to_string(narrow_count_) + ">;\n.reg .b64 %w<" + std::to_string(wide_count_) + ">;\n.reg .pred %q<" + std::to_string(predicates_ + 1) +
           ">;\n.reg .b32 %t<2>;\n.reg .b64 %wa;\n";
  }

 private:
  u pick(u n) { return from_() % n; }
  // A register that holds something here: of this scope or one around it.
  std::string read(const std::vector<std::vector<std::string>>& scopes) {
    std::size_t n = 0;
    for (const auto& s : scopes) n += s.size();
    std::size_t at = pick(n);
    for (const auto& s : scopes) {
      if (at < s.size()) return s[at];
      at -= s.size();
    }
    return scopes[0][0];
  }
  std::string narrow() { return read(scope_); }
  std::string wide() { return read(wide_); }

  std::string assignment() {
    static const char* const ops[] = {"add.s32", "sub.s32", "xor.b32", "mul.lo.s32", "and.b32", "max.u32", "shf.l.wrap.b32"};
    const std::string a = narrow(), b = narrow(), c = narrow();
    switch (pick(5)) {
      case 0: {  // into one that is live already, by some lanes
        const std::string to = narrow(), q = predicate();
        return "setp.lt.u32 " + q + ", " + a + ", " + b + "; @" + (pick(2) ? "" : "!") + q + " xor.b32 " + to + ", " + to + ", " + c + ";\n";
      }
      case 1: {
        const std::string to = "%w" + std::to_string(wide_count_++), from = wide();
        std::string t = "mad.wide.u32 " + to + ", " + a + ", " + b + ", " + from + ";\n";
        wide_.back().push_back(to);
        return t;
      }
      case 2: {
        const std::string to = fresh();
        std::string t = "{ .reg .b32 lo, hi; mov.b64 {lo, hi}, " + wide() + "; xor.b32 " + to + ", lo, hi; }\n";
        scope_.back().push_back(to);
        return t;
      }
      default: {
        const std::string to = fresh(), op = ops[pick(std::size(ops))];
        scope_.back().push_back(to);
        return op + " " + to + ", " + a + ", " + b + (op[0] == 's' && op[1] == 'h' ? ", " + c : "") + ";\n";
      }
    }
  }
  std::string fresh() { return "%s" + std::to_string(narrow_count_++); }
  std::string predicate() { return "%q" + std::to_string(predicates_++); }
  std::string label() { return "L" + std::to_string(labels_++); }

  std::string inside(int depth) {
    scope_.emplace_back();
    wide_.emplace_back();
    std::string t = some(depth);
    // What was made inside lives on in one register from outside.
    if (!scope_.back().empty()) {
      const std::string last = scope_.back().back();
      scope_.pop_back();
      const std::string to = narrow();
      t += "xor.b32 " + to + ", " + to + ", " + last + ";\n";
    } else {
      scope_.pop_back();
    }
    wide_.pop_back();
    return t;
  }

  std::string some(int depth) {
    std::string t;
    for (u i = 2 + pick(5); i > 0; --i) {
      const u what = depth > 0 ? pick(6) : 0;
      if (what == 1) {
        const std::string q = predicate(), other = label(), join = label();
        t += "setp.gt.s32 " + q + ", " + narrow() + ", " + narrow() + "; @" + q + " bra " + other + ";\n" + inside(depth - 1) + "bra " + join + ";\n" + other + ":\n" + inside(depth - 1) + join + ":\n";
      } else if (what == 2) {
        const std::string n = fresh(), q = predicate(), out = predicate(), top = label(), end = label();
        t += "and.b32 " + n + ", " + narrow() + ", 3;\n" + top + ":\n" + inside(depth - 1) + "setp.eq.u32 " + out + ", " + narrow() + ", " + narrow() + "; @" + out + " bra " + end + ";\n" + inside(0) + "sub.s32 " + n + ", " + n +
             ", 1; setp.ge.s32 " + q + ", " + n + ", 0; @" + q + " bra " + top + ";\n" + end + ":\n";
      } else {
        t += assignment();
      }
    }
    return t;
  }

  std::mt19937_64 from_;
  std::vector<std::vector<std::string>> scope_, wide_;
  int narrow_count_ = 3, wide_count_ = 1, predicates_ = 0, labels_ = 0;
};

}  // namespace

TEST_CASE("allocate: shared places change no result") {
  u alone_bytes = 0, shared_bytes = 0;
  for (u seed = 1; seed <= 120; ++seed) {
    generator g(seed);
    const std::string body = g.body();
    kit::request r;
    r.ptx = kit::header + kit::entry(body, 1, 0, g.declarations());
    r.entry = "k";
    r.cta.x = 80;
    r.grid.x = 2;
    r.blocks.push_back({"y", true, false, 4, std::string(640, '\0')});
    const auto shared = kit::launch(r);
    r.share_registers = false;
    const auto alone = kit::launch(r);
    INFO("seed " << seed << " " << shared.trouble << alone.trouble);
    REQUIRE(shared.trouble == "");
    REQUIRE(alone.trouble == "");
    for (const auto& f : shared.findings) FAIL_CHECK(f.what << " PTX line " << f.ptx_line.value_or(0));
    CHECK(shared.bytes == alone.bytes);
    CHECK(shared.shadows == alone.shadows);
    CHECK(shared.warp_instructions == alone.warp_instructions);
    alone_bytes += alone.file_bytes;
    shared_bytes += shared.file_bytes;
  }
  CHECK(shared_bytes * 2 < alone_bytes);
}

TEST_CASE("allocate: a function's registers outlive a call, in divergent lanes too") {
  const std::string f =
      ".func (.param .b32 o) f(.param .b32 x)\n{\n.reg .b32 %a<6>;\n.reg .pred %q;\nld.param.u32 %a0, [x]; mul.lo.s32 %a1, %a0, 5; setp.lt.u32 %q, %a0, 7; @%q bra S; add.s32 %a2, %a1, 3; mul.lo.s32 %a3, %a2, %a2; st.param.b32 [o], %a3; ret;\nS: sub.s32 %a4, %a1, %a0; st.param.b32 [o], %a4; ret;\n}\n";
  kit::request r;
  r.ptx = kit::header + f +
          kit::entry("mov.u32 %r0, %tid.x; mul.lo.s32 %r1, %r0, 11; xor.b32 %r2, %r0, 21; { .param .b32 i; .param .b32 o; st.param.b32 [i], %r0; call.uni (o), f, (i); ld.param.b32 %r3, [o]; }"
                     "and.b32 %r7, %r0, 1; setp.eq.u32 %p0, %r7, 1; @%p0 bra ODD; { .param .b32 i; .param .b32 o; st.param.b32 [i], %r2; call.uni (o), f, (i); ld.param.b32 %r4, [o]; } bra J;\n"
                     "ODD: mov.u32 %r4, 6;\nJ: add.s32 %r5, %r1, %r2; add.s32 %r5, %r5, %r3; add.s32 %r5, %r5, %r4; mul.wide.u32 %rd0, %r0, 4; add.s64 %rd0, %rd0, %p_0; st.global.u32 [%rd0], %r5; ret;");
  r.entry = "k";
  r.cta.x = 32;
  r.blocks.push_back({"y", true, false, 4, std::string(128, '\0')});
  const auto f_of = [](std::uint32_t x) { return x < 7 ? 5 * x - x : (5 * x + 3) * (5 * x + 3); };
  for (const bool share : {true, false}) {
    r.share_registers = share;
    const auto told = kit::launch(r);
    REQUIRE(told.trouble == "");
    const auto got = kit::values_of<std::uint32_t>(told.bytes[0]);
    for (std::uint32_t i = 0; i < 32; ++i) CHECK(got[i] == i * 11 + (i ^ 21) + f_of(i) + (i % 2 ? 6 : f_of(i ^ 21)));
  }
}

TEST_CASE("allocate: what some path leaves unwritten starts undefined, all else does not") {
  kit::request r;
  r.ptx = kit::header + kit::entry("mov.u32 %r0, %tid.x; setp.lt.u32 %p0, %r0, 8; @%p0 bra W; bra J;\nW: mov.u32 %r1, 4;\nJ: mul.wide.u32 %rd0, %r0, 4; add.s64 %rd0, %rd0, %p_0; st.global.u32 [%rd0], %r1; ret;");
  r.entry = "k";
  r.cta.x = 32;
  r.grid.x = 1;
  r.blocks.push_back({"y", true, false, 4, std::string(128, '\0')});
  CHECK(kit::launch(r).shadows[0] == std::string(32, '\0') + std::string(96, '\2'));
  // Both guards together write every lane.
  r.ptx = kit::header + kit::entry("mov.u32 %r0, %tid.x; setp.lt.u32 %p0, %r0, 8; @%p0 mov.u32 %r1, 4; @!%p0 mov.u32 %r1, 5; mul.wide.u32 %rd0, %r0, 4; add.s64 %rd0, %rd0, %p_0; st.global.u32 [%rd0], %r1; ret;");
  CHECK(kit::launch(r).shadows[0] == std::string(128, '\0'));
  // Every CTA starts afresh: the second does not see the first one's value.
  r.ptx = kit::header + kit::entry("mov.u32 %r0, %ctaid.x; setp.eq.u32 %p0, %r0, 0; @%p0 mov.u32 %r1, 4; mul.wide.u32 %rd0, %r0, 4; add.s64 %rd0, %rd0, %p_0; st.global.u32 [%rd0], %r1; ret;");
  r.grid.x = 2;
  CHECK(kit::launch(r).shadows[0].substr(0, 8) == std::string("\0\0\0\0\2\2\2\2", 8));
}
