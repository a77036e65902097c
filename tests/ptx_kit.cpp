// ptx_kit.cpp: the one place in the tests that compiles the PTX machine.

#include "ptx_kit.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

#include <skillbench/device/ptx.hpp>

namespace kit {

namespace {

using namespace skillbench;

std::string reg_type(int bytes) {
  return bytes == 0 ? ".pred" : ".b" + std::to_string(8 * bytes);
}

// The entry for one form: element i of the sources at i * 8 of a column.
std::string entry_of(const form& f, std::size_t number, std::size_t count) {
  std::string t = ".visible .entry k" + std::to_string(number) +
                  "(.param .u64 in, .param .u64 out)\n{\n"
                  ".reg .b32 %z<8>;\n.reg .b64 %zd<8>;\n.reg .pred %zp<2>;\n";
  for (std::size_t i = 0; i < f.sources.size(); ++i)
    t += ".reg " + reg_type(f.sources[i]) + " %i" + std::to_string(i) + ";\n";
  for (std::size_t i = 0; i < f.targets.size(); ++i)
    t += ".reg " + reg_type(f.targets[i]) + " %o" + std::to_string(i) + ";\n";
  t += f.declare;
  t += "\nmov.u32 %z0, %ctaid.x;\nmov.u32 %z1, %ntid.x;\nmov.u32 %z2, %tid.x;\n"
       "mad.lo.s32 %z3, %z0, %z1, %z2;\nsetp.ge.u32 %zp0, %z3, " +
       std::to_string(count) +
       ";\n@%zp0 bra DONE;\n"
       "ld.param.u64 %zd0, [in];\nld.param.u64 %zd1, [out];\n"
       "mul.wide.u32 %zd2, %z3, 8;\nadd.s64 %zd0, %zd0, %zd2;\n"
       "add.s64 %zd1, %zd1, %zd2;\n";
  const auto at = [&](std::size_t i, const char* base) {
    return std::string("[") + base + "+" + std::to_string(i * count * 8) + "]";
  };
  for (std::size_t i = 0; i < f.sources.size(); ++i) {
    const std::string name = "%i" + std::to_string(i);
    if (f.sources[i] == 0)
      t += "ld.global.u32 %z4, " + at(i, "%zd0") + ";\nsetp.ne.u32 " + name +
           ", %z4, 0;\n";
    else
      t += "ld.global.b" + std::to_string(8 * f.sources[i]) + " " + name + ", " +
           at(i, "%zd0") + ";\n";
  }
  t += f.text + "\n";
  for (std::size_t i = 0; i < f.targets.size(); ++i) {
    const std::string name = "%o" + std::to_string(i);
    if (f.targets[i] == 0)
      t += "selp.b32 %z5, 1, 0, " + name + ";\nst.global.b32 " +
           at(i, "%zd1") + ", %z5;\n";
    else
      t += "st.global.b" + std::to_string(8 * f.targets[i]) + " " +
           at(i, "%zd1") + ", " + name + ";\n";
  }
  return t + "DONE:\nret;\n}\n";
}

std::string words_of(const fault& f) {
  return std::string(skillbench::name(f.why)) + ": " + f.what;
}

ptx::filler from_text(std::shared_ptr<const std::string> text) {
  return [text](std::int64_t first, std::span<std::byte> out) {
    std::memcpy(out.data(), text->data() + first, out.size());
  };
}

// A whole allocation as it stands; what was never touched is its start.
void read_back(ptx::memory& global, std::size_t index, std::string& bytes,
               std::string& shadow) {
  ptx::allocation& a = global.at(index);
  bytes.assign(a.bytes, '\0');
  shadow.assign(a.bytes, a.starts_defined ? '\0' : '\1');
  for (std::uint64_t i = 0; i < a.bytes;) {
    const std::uint64_t address = a.base + i;
    const std::uint64_t in_page = (address - a.origin) & (ptx::page_bytes - 1);
    const std::uint64_t n = std::min(a.bytes - i, ptx::page_bytes - in_page);
    const bool touched = a.pages[(address - a.origin) >> ptx::page_bits].data != nullptr;
    const ptx::page* p = touched || a.starts_defined ? global.touch(a, address) : nullptr;
    if (p) {
      std::memcpy(bytes.data() + i, p->data.get() + in_page, n);
      if (p->shadow) std::memcpy(shadow.data() + i, p->shadow.get() + in_page, n);
    }
    i += n;
  }
}

}  // namespace

std::vector<answer> run(const std::vector<form>& forms,
                        const std::vector<words>& columns) {
  std::vector<answer> out(forms.size());
  const std::size_t count = columns.empty() ? 1 : columns[0].size();
  std::string text = header;
  for (std::size_t i = 0; i < forms.size(); ++i)
    text += entry_of(forms[i], i, count);
  const auto parsed = ptx::parse(text);
  if (!parsed) {
    for (auto& a : out) a.trouble = words_of(parsed.error()) + "\n" + text;
    return out;
  }
  std::string in;
  for (const auto& c : columns) in += bytes_of(c);
  const auto shared_in = std::make_shared<const std::string>(std::move(in));
  for (std::size_t k = 0; k < forms.size(); ++k) {
    const auto code = ptx::decoder(parsed.value()).kernel("k" + std::to_string(k));
    if (!code) {
      out[k].trouble = words_of(code.error());
      continue;
    }
    ptx::memory global(std::uint64_t{1} << 30);
    ptx::allocation a;
    a.name = "in";
    a.starts_defined = true;
    a.writable = false;
    a.element_bytes = 8;
    a.bytes = std::max<std::uint64_t>(shared_in->size(), 8);
    if (!shared_in->empty()) a.initial = from_text(shared_in);
    global.add(std::move(a), 0);
    ptx::allocation b;
    b.name = "out";
    b.writable = b.starts_defined = true;
    b.element_bytes = 8;
    b.bytes = std::max<std::size_t>(forms[k].targets.size(), 1) * count * 8;
    b.initial = from_text(std::make_shared<const std::string>(std::string(b.bytes, '\0')));
    global.add(std::move(b), 0);
    ptx::watch seen;
    ptx::machine machine(global, seen);
    ptx::launch_plan plan;
    plan.cold = 0;
    plan.block.x = 256;
    plan.grid.x = static_cast<std::int64_t>((count + 255) / 256);
    plan.most_instructions = 100'000'000;
    plan.parameters.resize(16);
    for (std::size_t i = 0; i < 2; ++i)
      std::memcpy(plan.parameters.data() + 8 * i, &global.at(i).base, 8);
    const auto done = machine.launch(code.value(), plan);
    if (!done) out[k].trouble = words_of(done.error());
    else if (!seen.findings().empty()) out[k].trouble = seen.findings()[0].what;
    std::string bytes, shadow;
    read_back(global, 1, bytes, shadow);
    for (std::size_t i = 0; i < forms[k].targets.size(); ++i)
      out[k].targets.push_back(values_of<std::uint64_t>(bytes.substr(i * count * 8, count * 8)));
  }
  return out;
}

std::string refusal(const form& asked) {
  const std::vector<words> one(asked.sources.size(), words{0});
  return run({asked}, one)[0].trouble;
}

namespace {

report launch_as(const request& asked, ptx::native how) {
  report out;
  const auto parsed = ptx::parse(asked.ptx);
  if (!parsed) {
    out.trouble = words_of(parsed.error());
    return out;
  }
  ptx::decoder from(parsed.value());
  from.share_registers(asked.share_registers);
  const auto code = from.kernel(asked.entry);
  if (!code) {
    out.trouble = words_of(code.error());
    return out;
  }
  out.file_bytes = code.value().file_bytes;
  std::vector<ptx::module> modules;
  std::vector<ptx::program> earlier;
  modules.reserve(asked.before.size());
  for (const auto& [text, entry] : asked.before) {
    modules.push_back(ptx::parse(text).value());
    earlier.push_back(ptx::decoder(modules.back()).kernel(entry).value());
  }
  ptx::memory global(std::uint64_t{1} << 28);
  for (const block& b : asked.blocks) {
    ptx::allocation a;
    a.name = b.name;
    a.writable = b.writable;
    a.starts_defined = b.defined;
    a.element_bytes = b.element_bytes;
    a.bytes = b.bytes.size();
    if (b.defined) a.initial = from_text(std::make_shared<const std::string>(b.bytes));
    global.add(std::move(a), 0);
  }
  ptx::watch seen;
  ptx::machine machine(global, seen);
  ptx::launch_plan plan;
  plan.cold = 0;
  plan.how = how;
  plan.schedule = asked.schedule;
  plan.counters = asked.counters;
  plan.grid = asked.grid;
  plan.block = asked.cta;
  plan.cluster = asked.cluster;
  plan.explicit_cluster = asked.cluster.count() > 1;
  plan.dynamic_shared = asked.shared_bytes;
  plan.seed = asked.seed;
  plan.most_instructions = asked.most_instructions;
  plan.parameters.resize(8 * asked.blocks.size() + 4 * asked.numbers.size());
  for (std::size_t i = 0; i < asked.blocks.size(); ++i)
    std::memcpy(plan.parameters.data() + 8 * i, &global.at(i).base, 8);
  for (std::size_t i = 0; i < asked.numbers.size(); ++i)
    std::memcpy(plan.parameters.data() + 8 * asked.blocks.size() + 4 * i, &asked.numbers[i], 4);
  for (std::size_t i = 0; i < asked.maps.size(); ++i) {
    const std::size_t at = (8 * asked.blocks.size() + 4 * asked.numbers.size() + 63) / 64 * 64 + 128 * i;
    plan.parameters.resize(at + 128);
    ptx::tensor_map map = asked.maps[i];
    map.address = global.at(map.address).base;
    ptx::encode(map, plan.parameters.data() + at);
  }
  for (const ptx::program& each : earlier)
    if (const auto done = machine.launch(each, plan); !done) out.trouble = words_of(done.error());
  const auto done = ptx::launch_on(asked.threads, machine, global, seen, code.value(), plan);
  if (!done) out.trouble = words_of(done.error());
  else {
    out.barriers = done.value().barriers;
    out.thread_instructions = done.value().thread_instructions;
    out.warp_instructions = done.value().warp_instructions;
    out.load_sectors = done.value().load_sectors;
    out.store_sectors = done.value().store_sectors;
    out.counted = done.value().detail;
  }
  out.findings = seen.findings();
  out.bytes.resize(asked.blocks.size());
  out.shadows.resize(asked.blocks.size());
  for (std::size_t i = 0; i < asked.blocks.size(); ++i)
    read_back(global, i, out.bytes[i], out.shadows[i]);
  return out;
}

// What differs between two reports of one launch; "" when nothing does.
std::string difference(const report& a, const report& b) {
  if (a.trouble != b.trouble) return "trouble: " + a.trouble + " / " + b.trouble;
  if (a.bytes != b.bytes) return "results";
  if (a.shadows != b.shadows) return "shadows of results";
  if (a.warp_instructions != b.warp_instructions) return "warp instructions: " + std::to_string(a.warp_instructions) + " / " + std::to_string(b.warp_instructions);
  if (a.thread_instructions != b.thread_instructions) return "thread instructions";
  if (a.barriers != b.barriers) return "barriers";
  if (a.load_sectors != b.load_sectors || a.store_sectors != b.store_sectors) return "sectors of global memory";
  if (a.findings.size() != b.findings.size()) return "number of findings: " + std::to_string(a.findings.size()) + " / " + std::to_string(b.findings.size());
  for (std::size_t i = 0; i < a.findings.size(); ++i) {
    if (a.findings[i].what != b.findings[i].what) return "findings: " + a.findings[i].what + " / " + b.findings[i].what;
    if (a.findings[i].count != b.findings[i].count) return "times: " + a.findings[i].what;
  }
  return "";
}

}  // namespace

report launch(const request& asked) {
  report out = launch_as(asked, ptx::native::checked);
  const std::string differs = difference(out, launch_as(asked, ptx::native::off));
  if (!differs.empty()) out.trouble = "native code and the interpreter differ in " + differs;
  return out;
}

std::unique_ptr<skillbench::device> device() {
  const auto found = find_toolkit();
  return make_ptx_device(found ? found.value() : toolkit{});
}

std::unique_ptr<skillbench::device> device(std::uint64_t most_bytes, bool native) {
  return std::make_unique<ptx_device>(toolkit{}, most_bytes, native ? ptx::native::checked : ptx::native::off, 0);
}

std::string entry(const std::string& body, int pointers, int numbers,
                  const std::string& declare, int maps) {
  std::string t = ".visible .entry k(";
  for (int i = 0; i < pointers; ++i)
    t += std::string(i ? ", " : "") + ".param .u64 p" + std::to_string(i);
  for (int i = 0; i < numbers; ++i)
    t += std::string(i || pointers ? ", " : "") + ".param .u32 n" + std::to_string(i);
  for (int i = 0; i < maps; ++i)
    t += std::string(i || pointers || numbers ? ", " : "") + ".param .align 64 .b8 m" + std::to_string(i) + "[128]";
  t += ")\n{\n.reg .b64 %m_<8>;\n.reg .b32 %r<64>;\n.reg .b64 %rd<64>;\n.reg .b16 %rs<64>;\n"
       ".reg .f32 %f<64>;\n.reg .pred %p<32>;\n.reg .b64 %p_<8>;\n.reg .b32 %n_<8>;\n" +
       declare + "\n";
  for (int i = 0; i < pointers; ++i) {
    const std::string n = std::to_string(i);
    t += "ld.param.u64 %p_" + n + ", [p" + n + "];\ncvta.to.global.u64 %p_" + n + ", %p_" + n + ";\n";
  }
  for (int i = 0; i < maps; ++i)
    t += "mov.b64 %m_" + std::to_string(i) + ", m" + std::to_string(i) + ";\ncvta.param.u64 %m_" + std::to_string(i) + ", %m_" + std::to_string(i) + ";\n";
  for (int i = 0; i < numbers; ++i)
    t += "ld.param.u32 %n_" + std::to_string(i) + ", [n" + std::to_string(i) + "];\n";
  return t + body + "\n}\n";
}

// ---- values --------------------------------------------------------------------

namespace {

words edges(const std::string& kind) {
  static const std::map<std::string, words> all = {
      {"pred", {0, 1}},
      {"u16", {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x8001, 0xffff, 0x1234}},
      {"u32", {0, 1, 2, 3, 31, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff}},
      {"u64", {0, 1, 2, 63, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000001, 0xffffffffffffffff}},
      {"count", {0, 1, 7, 8, 15, 16, 17, 30, 31, 32, 33, 63, 64, 65, 127, 128, 254, 255, 256, 0x80000000, 0xffffffff}},
      {"f32", {0, 0x80000000, 0x3f800000, 0xbf800000, 0x00000001, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x3f7fffff, 0x40490fdb, 0x4b000001, 0x7e800000, 0x7f000000}},
      {"f64", {0, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 1, 0x8000000000000001, 0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0x3fefffffffffffff, 0x4340000000000001, 0x47efffffefffffff, 0x36a0000000000000, 0x41dfffffffe00000}},
      {"f16", {0, 0x8000, 0x3c00, 0xbc00, 1, 0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xfe01, 0x3bff, 0x3555}},
      {"bf16", {0, 0x8000, 0x3f80, 0xbf80, 1, 0x8001, 0x007f, 0x0080, 0x7f7f, 0xff7f, 0x7f80, 0xff80, 0x7fc0, 0xffc1, 0x3f7f, 0x3eab}}};
  if (kind == "f16x2" || kind == "bf16x2") {
    const auto& one = all.at(kind.substr(0, kind.size() - 2));
    words out;
    for (std::size_t i = 0; i < one.size(); ++i)
      out.push_back(one[i] | (one[(i * 5 + 3) % one.size()] << 16));
    return out;
  }
  return all.at(kind);
}

std::uint64_t random_of(const std::string& kind, std::mt19937_64& from) {
  const std::uint64_t bits = from();
  const auto halves = [&](auto one) {
    const std::uint64_t lo = one(), hi = one();
    return lo | (hi << 16);
  };
  // Half of the floats have exponents near each other, so that sums cancel.
  const auto f32 = [&]() -> std::uint64_t {
    const std::uint64_t x = from();
    return x & (1ull << 40) ? (x & 0x807fffff) | ((0x78 + (x >> 41 & 15)) << 23) : x & 0xffffffff;
  };
  const auto f16 = [&]() -> std::uint64_t {
    const std::uint64_t x = from();
    return x & (1ull << 40) ? (x & 0x83ff) | ((12 + (x >> 41 & 7)) << 10) : x & 0xffff;
  };
  const auto bf16 = [&]() -> std::uint64_t {
    const std::uint64_t x = from();
    return x & (1ull << 40) ? (x & 0x807f) | ((0x78 + (x >> 41 & 15)) << 7) : x & 0xffff;
  };
  if (kind == "pred") return bits & 1;
  if (kind == "u16") return bits & 0xffff;
  if (kind == "u32") return (bits & 0xffffffff) >> (bits >> 59 & (bits >> 40 & 1 ? 31 : 0));
  if (kind == "u64") return bits >> (from() & (bits & 1 ? 63 : 0));
  if (kind == "count") return bits % 80;
  if (kind == "f32") return f32();
  if (kind == "f16") return f16();
  if (kind == "bf16") return bf16();
  if (kind == "f16x2") return halves(f16);
  if (kind == "bf16x2") return halves(bf16);
  if (kind == "f64") {
    const std::uint64_t x = from();
    switch (from() & 3) {
      case 0: return x;
      case 1: return (x & 0x800fffffe0000000ull) | ((0x380 + (from() & 0xff)) << 52);
      default: return (x & 0x800fffffffffffffull) | ((0x3f8 + (from() & 0xf)) << 52);
    }
  }
  return bits;
}

}  // namespace

std::vector<words> columns(const std::vector<std::string>& kinds,
                           std::uint64_t seed, std::size_t random) {
  std::mt19937_64 from(seed);
  std::vector<words> sets, out(kinds.size());
  std::size_t product = 1;
  for (const auto& k : kinds) {
    sets.push_back(edges(k));
    product *= sets.back().size();
  }
  constexpr std::size_t most = 2500;
  for (std::size_t i = 0; i < std::min(product, most); ++i) {
    std::size_t rest = product <= most ? i : static_cast<std::size_t>(from() % product);
    for (std::size_t k = 0; k < kinds.size(); ++k) {
      out[k].push_back(sets[k][rest % sets[k].size()]);
      rest /= sets[k].size();
    }
  }
  for (std::size_t i = 0; i < random; ++i)
    for (std::size_t k = 0; k < kinds.size(); ++k)
      out[k].push_back(from() % 16 == 0 ? sets[k][from() % sets[k].size()] : random_of(kinds[k], from));
  return out;
}

std::string broken(const std::vector<law>& laws, const std::vector<words>& in) {
  std::vector<form> forms;
  for (const auto& l : laws) forms.push_back(l.what);
  const auto got = run(forms, in);
  std::string out;
  int told = 0;
  for (std::size_t k = 0; k < laws.size() && told < 20; ++k) {
    if (!got[k].trouble.empty()) {
      out += laws[k].what.text + ": " + got[k].trouble + "\n";
      ++told;
      continue;
    }
    std::size_t wrong = 0;
    std::string first;
    for (std::size_t i = 0; i < in[0].size(); ++i) {
      std::uint64_t sources[8] = {};
      for (std::size_t s = 0; s < in.size(); ++s) sources[s] = in[s][i];
      const auto expected = laws[k].is(sources);
      for (std::size_t t = 0; t < expected.size(); ++t) {
        const std::uint64_t is = got[k].targets[t][i];
        if (is == expected[t]) continue;
        const int bytes = laws[k].what.targets[t];
        const auto nan = [bytes](std::uint64_t b) {
          return bytes == 8 ? (b & 0x7fffffffffffffff) > 0x7ff0000000000000 : (b & 0x7fffffff) > 0x7f800000;
        };
        if (laws[k].any_nan && nan(is) && nan(expected[t])) continue;
        if (wrong++) continue;
        char text[200];
        std::snprintf(text, sizeof text, "target %zu of (%llx, %llx, %llx) is %llx, not %llx", t,
                      static_cast<unsigned long long>(sources[0]), static_cast<unsigned long long>(sources[1]),
                      static_cast<unsigned long long>(sources[2]), static_cast<unsigned long long>(is),
                      static_cast<unsigned long long>(expected[t]));
        first = text;
      }
    }
    if (wrong) {
      out += laws[k].what.text + ": " + std::to_string(wrong) + " wrong; " + first + "\n";
      ++told;
    }
  }
  return out;
}

}  // namespace kit
