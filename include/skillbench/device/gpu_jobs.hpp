#pragma once
// device/gpu_jobs.hpp: jobs on a GPU: its context, its code, memory and launches.
//
// Layer   4. Includes device.hpp, device/compiler.hpp, inputs.hpp and the door
//         cuda/driver. device/cuda.hpp adds what is timed.
// Units   bytes; seconds.
// Errors  see device.hpp. A kernel that ends the context (an address outside all
//         memory, a trap) is a finding, one that does not end within
//         `most_seconds` is reason::too_slow: after either `finished()` is true
//         and the process has to go, which is what ends such a kernel.
//         library_failed for anything that is not the kernel's doing.
// Trust   A kernel can reach the device's memory and nothing of this process: no
//         host memory is pinned or mapped. (Where the system lets a GPU use any
//         memory of a process, gpu_facts::pageable_access, it can; doctor says
//         so.) No reference is here. Each tensor lies between guard bands at an
//         address of its run's own; everything is poisoned before a run, inputs
//         are held against what they were after it, and all of it is
//         overwritten before it is given back.
// Threads One at a time, on the thread that opened it; large inputs are made by
//         several, which touch nothing else.

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/cuda/driver.hpp>
#include <skillbench/cuda/library.hpp>
#include <skillbench/device.hpp>
#include <skillbench/device/compiler.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/finding.hpp>
#include <skillbench/inputs.hpp>
#include <skillbench/side_by_side.hpp>

namespace skillbench {

namespace cuda_text {

// What the device is asked to do to show that it works: y[i] = 3 x[i] + 1.
inline constexpr const char* proof = R"(.version 7.8
.target sm_90
.address_size 64
.visible .entry skillbench_proof(.param .u64 x, .param .u64 y, .param .u32 n)
{
  .reg .pred %p;
  .reg .b32 %r<6>;
  .reg .b64 %d<5>;
  mov.u32 %r0, %ctaid.x;
  mov.u32 %r1, %ntid.x;
  mov.u32 %r2, %tid.x;
  mad.lo.u32 %r3, %r0, %r1, %r2;
  ld.param.u32 %r4, [n];
  setp.ge.u32 %p, %r3, %r4;
  @%p ret;
  ld.param.u64 %d0, [x];
  ld.param.u64 %d1, [y];
  mul.wide.u32 %d2, %r3, 4;
  add.u64 %d3, %d0, %d2;
  add.u64 %d4, %d1, %d2;
  ld.global.u32 %r5, [%d3];
  mad.lo.u32 %r5, %r5, 3, 1;
  st.global.u32 [%d4], %r5;
  ret;
}
// Holds the stream for so many nanoseconds, until what follows was handed over.
.visible .entry skillbench_hold(.param .u64 nanoseconds)
{
  .reg .pred %p;
  .reg .b64 %d<4>;
  ld.param.u64 %d0, [nanoseconds];
  setp.eq.u64 %p, %d0, 0;
  @%p ret;
  mov.u64 %d1, %globaltimer;
again:
  mov.u64 %d2, %globaltimer;
  sub.u64 %d3, %d2, %d1;
  setp.lt.u64 %p, %d3, %d0;
  @%p bra again;
  ret;
}
)";

inline constexpr std::uint64_t guard_bytes = 64 * 1024;

// Whether all that an ELF's tables name lies within it: a driver gets no length.
[[nodiscard]] inline bool whole_elf(std::string_view bytes) noexcept {
  const auto number = [&](std::size_t at, std::size_t size) {
    std::uint64_t made = 0;
    std::memcpy(&made, bytes.data() + at, size);
    return made;
  };
  const auto fits = [&](std::uint64_t at, std::uint64_t size) { return at <= bytes.size() && size <= bytes.size() - at; };
  constexpr std::size_t header = 64, section = 64, segment = 56;
  if (bytes.size() < header || !bytes.starts_with("\x7f" "ELF\2\1")) return false;
  const std::uint64_t sections = number(40, 8), section_count = number(60, 2), segments = number(32, 8), segment_count = number(56, 2);
  if (section_count == 0 || number(58, 2) != section || !fits(sections, section_count * section)) return false;
  if (segment_count > 0 && (number(54, 2) != segment || !fits(segments, segment_count * segment))) return false;
  for (std::uint64_t i = 0; i < section_count; ++i) {
    const std::size_t at = sections + i * section;
    constexpr std::uint64_t no_bits = 8;
    if (number(at + 4, 4) != no_bits && !fits(number(at + 24, 8), number(at + 32, 8))) return false;
  }
  for (std::uint64_t i = 0; i < segment_count; ++i)
    if (!fits(number(segments + i * segment + 8, 8), number(segments + i * segment + 32, 8))) return false;
  return true;
}

// Of a finding that ended the context.
[[nodiscard]] constexpr code kind_of(int said) noexcept {
  switch (said) {
    case cuda::illegal_address: return code::out_of_bounds;
    case cuda::misaligned_address: return code::misaligned;
    case cuda::assert_failed:
    case cuda::illegal_instruction: return code::trap;
    default: return code::invalid_access;
  }
}

[[nodiscard]] inline double now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

inline void pause(double seconds) {
  timespec t{static_cast<time_t>(seconds), static_cast<long>((seconds - static_cast<double>(static_cast<time_t>(seconds))) * 1e9)};
  ::nanosleep(&t, nullptr);
}

}  // namespace cuda_text

class gpu_jobs : public device {
 public:
  struct limits {
    double most_seconds = 10;  // of one launch sequence
    double hold_nanoseconds = 30'000;
  };

  // The driver cleans up after the process; a context that a kernel ended or
  // still holds would only make this wait.
  ~gpu_jobs() override {
    if (finished_) return;
    unload(module_);
    unload(own_);
    for (void* each : events_)
      if (each) (void)driver_.end_event(each);
    if (stream_) (void)driver_.end_stream(stream_);
    (void)driver_.release(ordinal_handle_);
  }
  gpu_jobs(const gpu_jobs&) = delete;
  gpu_jobs& operator=(const gpu_jobs&) = delete;

  [[nodiscard]] std::string name() const override { return facts_.name; }
  [[nodiscard]] std::string target() const override { return "sm_90a"; }
  [[nodiscard]] bool measures() const override { return true; }
  [[nodiscard]] bool finished() const override { return finished_; }
  [[nodiscard]] const cuda::gpu_facts& facts() const noexcept { return facts_; }

  [[nodiscard]] bool takes_cubin() const override { return true; }
  [[nodiscard]] std::string loaded() const override { return loaded_; }
  [[nodiscard]] result<image> compile(const compile_request& asked) override { return compiler_.compile(asked); }

  [[nodiscard]] result<done> load(const std::string& text) override { return load_code(text, ""); }
  [[nodiscard]] result<done> load_image(const image& made) override { return load_code(made.ptx, made.cubin); }

  [[nodiscard]] result<run_report> run(const job& asked) override {
    if (finished_) return gone();
    if (!module_.handle) return fault{reason::bad_argument, "a run without a loaded module"};
    if (!asked.ctas.empty()) return fault{reason::not_supported, "a GPU runs all CTAs of a launch or none"};
    const double before = thread_cpu_seconds();
    run_report out;
    placed memory(*this);
    if (auto ok = place(asked, memory); !ok) return ok.error();
    auto ready = prepare_launches(asked, memory, module_);
    if (!ready) return ready.error();
    if (ready.value().refused) {
      out.findings.push_back(std::move(*ready.value().refused));
      return out;
    }
    if (auto ok = poison_outputs(asked, memory); !ok) return ok.error();
    auto ran = launch_all(ready.value());
    if (!ran) return ran.error();
    if (ran.value()) {
      out.findings.push_back(std::move(*ran.value()));
      return out;
    }
    auto ended = wait(asked);
    if (!ended) return ended.error();
    if (ended.value()) {
      out.findings.push_back(std::move(*ended.value()));
      return out;
    }
    if (auto ok = look(asked, memory, out); !ok) return ok.error();
    out.cpu_seconds = thread_cpu_seconds() - before;
    return out;
  }

  // A kernel of known result. A fault: the device is not to be used.
  [[nodiscard]] result<done> prove() {
    constexpr std::int64_t n = 4096;
    job asked;
    buffer x, y;
    x.name = "x";
    x.elements = n;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::uint32_t value = static_cast<std::uint32_t>(scrambled(static_cast<std::uint64_t>(i)));
      x.contents.append(reinterpret_cast<const char*>(&value), 4);
    }
    y.name = "y";
    y.use = role::output;
    y.elements = n;
    asked.buffers = {x, y};
    launch one;
    one.entry = "skillbench_proof";
    one.grid = {n / 128, 1, 1};
    one.block = {128, 1, 1};
    kernel_argument count;
    count.kind = kernel_argument::type::integer;
    count.value = n;
    one.args = {{}, {}, count};
    one.args[1].value = 1;
    asked.launches = {one};
    std::swap(module_, own_);
    auto ran = run(asked);
    std::swap(module_, own_);
    const std::string on = "GPU " + std::to_string(facts_.ordinal) + " (" + facts_.name + ")";
    if (!ran) return fault{ran.error().why, on + " cannot run a kernel of known result: " + ran.error().what};
    if (!ran.value().findings.empty()) return fault{reason::library_failed, on + " cannot run a kernel of known result: " + ran.value().findings.front().what};
    for (std::int64_t i = 0; i < n; ++i) {
      std::uint32_t was = 0, is = 0;
      std::memcpy(&was, x.contents.data() + 4 * i, 4);
      std::memcpy(&is, ran.value().outputs.at(0).bytes.data() + 4 * i, 4);
      if (is != was * 3 + 1) return fault{reason::library_failed, on + " gives a wrong result for a kernel of known result"};
    }
    return done{};
  }

 protected:
  struct code_module {
    void* handle = nullptr;
    std::string from;  // "cubin", or "PTX: " and why
    std::map<std::string, void*> functions;
  };

  struct region {
    cuda::address base = 0, tensor = 0;
    std::uint64_t bytes = 0, whole = 0;
    std::string contents;  // of inputs
  };

  // Device memory of one job; overwritten and given back at its end.
  struct placed {
    explicit placed(gpu_jobs& of) : on(&of) {}
    placed(placed&& other) noexcept : on(other.on), regions(std::move(other.regions)) { other.regions.clear(); }
    placed& operator=(placed&&) = delete;
    ~placed() {
      if (on->finished_) return;
      for (const region& each : regions) {
        (void)on->driver_.set_words(each.base, 0xa5a5a5a5u, each.whole / 4, on->stream_);
        (void)on->driver_.wait_stream(on->stream_);
        (void)on->driver_.release_memory(each.base);
      }
    }
    gpu_jobs* on;
    std::vector<region> regions;
    std::uint32_t poison = 0;
  };

  struct ready_launch {
    void* function = nullptr;
    std::string entry;
    cuda::launch_config config;
    cuda::launch_attribute cluster;
    std::vector<std::uint64_t> numbers;               // values, where they lie
    std::vector<std::unique_ptr<cuda::tensor_map>> maps;
    std::vector<void*> values;
  };
  struct ready_job {
    std::vector<ready_launch> launches;
    std::optional<finding> refused;
  };

  gpu_jobs(const toolkit& from, cuda::driver opened, cuda::gpu_facts facts, const limits& allowed)
      : toolkit_(from), compiler_(from), driver_(std::move(opened)), facts_(std::move(facts)), limits_(allowed) {}

  [[nodiscard]] static fault gone() { return {reason::library_failed, "the GPU's context has ended: start another process"}; }
  [[nodiscard]] std::string words(const std::string& what) const { return what + " on GPU " + std::to_string(facts_.ordinal); }

  // Of a call that no kernel has to do with, or that comes after one that was
  // waited for.
  [[nodiscard]] result<done> check(int said, const char* call, const std::string& on) {
    if (said == cuda::success) return done{};
    if (cuda::is_sticky(said)) finished_ = true;
    return driver_.trouble(said, call, words(on));
  }

  [[nodiscard]] result<done> prepare() {
    if (auto ok = check(driver_.get(&ordinal_handle_, facts_.ordinal), "cuDeviceGet", "a device"); !ok) return ok;
    void* context = nullptr;
    if (auto ok = check(driver_.retain(&context, ordinal_handle_), "cuDevicePrimaryCtxRetain", "the context"); !ok) return ok;
    context_ = context;
    if (auto ok = check(driver_.set_current(context), "cuCtxSetCurrent", "the context"); !ok) return ok;
    if (auto ok = check(driver_.make_stream(&stream_, 1), "cuStreamCreate", "a stream"); !ok) return ok;
    for (void*& each : events_)
      if (auto ok = check(driver_.make_event(&each, 0), "cuEventCreate", "an event"); !ok) return ok;
    auto own = load_module(cuda_text::proof);
    if (!own) return own.error();
    own_ = std::move(own).value();
    return done{};
  }

  void unload(code_module& of) {
    if (of.handle && !finished_) (void)driver_.unload_module(of.handle);
    of = {};
  }

  [[nodiscard]] result<done> load_code(const std::string& ptx, const std::string& cubin) {
    if (finished_) return gone();
    unload(module_);
    loaded_.clear();
    auto made = load_module(ptx, cubin);
    if (!made) return made.error();
    module_ = std::move(made).value();
    loaded_ = module_.from;
    return done{};
  }

  // Machine code as ptxas made it, for what runs elsewhere is that; PTX, which the
  // driver compiles, where there is none or it is refused.
  [[nodiscard]] result<code_module> load_module(const std::string& ptx, const std::string& cubin) {
    std::string why = "PTX: there is no cubin";
    if (!cubin.empty() && !cuda_text::whole_elf(cubin)) why = "PTX: the cubin is not whole";
    else if (!cubin.empty()) {
      code_module made;
      const int said = driver_.load_module(&made.handle, cubin.data(), 0, nullptr, nullptr);
      made.from = "cubin";
      if (said == cuda::success) return made;
      if (cuda::is_sticky(said)) {
        finished_ = true;
        return driver_.trouble(said, "cuModuleLoadDataEx", words("the kernel's cubin"));
      }
      why = "PTX: the driver refuses the cubin, " + driver_.words(said);
    }
    auto made = load_module(ptx);
    if (made) made.value().from = why;
    return made;
  }

  // What NVRTC made and the driver refuses is for us to explain, not the model.
  [[nodiscard]] result<code_module> load_module(const std::string& text) {
    code_module made;
    std::string log(8192, '\0');
    int options[] = {5, 6};  // where errors go, and how much fits
    void* values[] = {log.data(), reinterpret_cast<void*>(log.size())};
    const int said = driver_.load_module(&made.handle, text.c_str(), 2, options, values);
    if (said == cuda::success) return made;
    if (cuda::is_sticky(said)) finished_ = true;
    log.resize(std::strlen(log.c_str()));
    fault why = driver_.trouble(said, "cuModuleLoadDataEx", words("the kernel's PTX"));
    if (!finished_ && why.why == reason::library_failed) why.why = reason::not_supported;
    if (said == cuda::unsupported_ptx) why.what += ": the driver is older than the toolkit that made the PTX";
    if (!log.empty()) why.what += ": " + log.substr(0, 600);
    return why;
  }

  // ---- memory ---------------------------------------------------------------

  [[nodiscard]] result<done> place(const job& asked, placed& memory) {
    const std::uint64_t seed = mix(asked.seed, "addresses");
    const auto low = static_cast<std::uint32_t>(mix(asked.seed, "poison") & 0x7e);
    memory.poison = (0xff81u | low) * 0x10001u;  // NaN in every element type
    for (const buffer& b : asked.buffers) {
      if (b.bytes() < 0) return fault{reason::bad_argument, "the tensor " + b.name + " has less than no bytes"};
      if (!b.contents.empty() && static_cast<std::int64_t>(b.contents.size()) != b.bytes())
        return fault{reason::bad_argument, "the contents of " + b.name + " have another size than it"};
      region fresh;
      fresh.bytes = static_cast<std::uint64_t>(b.bytes());
      const std::uint64_t shift = asked.counters ? 0 : 256 * (mix(seed, b.name) % 64);
      fresh.whole = (cuda_text::guard_bytes + shift + fresh.bytes + cuda_text::guard_bytes + 255) / 256 * 256;
      if (auto ok = check(driver_.allocate(&fresh.base, fresh.whole), "cuMemAlloc", std::to_string(fresh.whole) + " bytes for " + b.name); !ok) return ok;
      fresh.tensor = fresh.base + cuda_text::guard_bytes + shift;
      memory.regions.push_back(std::move(fresh));
      region& kept = memory.regions.back();
      if (auto ok = check(driver_.set_words(kept.base, memory.poison, kept.whole / 4, stream_), "cuMemsetD32Async", b.name); !ok) return ok;
      if (b.use != role::input && b.use != role::both) continue;
      if (!b.contents.empty()) {
        kept.contents = b.contents;
      } else {
        kept.contents.resize(kept.bytes);
        make_all(b, kept.contents);
      }
      if (auto ok = check(driver_.wait_stream(stream_), "cuStreamSynchronize", "the stream"); !ok) return ok;
      if (kept.bytes > 0)
        if (auto ok = check(driver_.to_device(kept.tensor, kept.contents.data(), kept.bytes), "cuMemcpyHtoD", b.name); !ok) return ok;
    }
    return copies_done();
  }

  // By several threads where it is large: a number needs only its place.
  static void make_all(const buffer& b, std::string& into) {
    const auto whole = std::as_writable_bytes(std::span(into.data(), into.size()));
    constexpr std::size_t large = std::size_t{16} << 20;
    const std::size_t per = size_of(b.type), elements = into.size() / per;
    if (into.size() < large) return make_elements(b.filled, b.seed, b.type, 0, whole);
    const std::size_t part = (elements / parts_at_once() + 4095) / 4096 * 4096;
    side_by_side((elements + part - 1) / part, [&](std::size_t i) {
      const std::size_t first = i * part;
      make_elements(b.filled, b.seed, b.type, static_cast<std::int64_t>(first), whole.subspan(first * per, std::min(part, elements - first) * per));
    });
  }

  // A copy from the host may return while the last of it is on its way, and our
  // stream does not wait for it.
  [[nodiscard]] result<done> copies_done() { return check(driver_.synchronize(), "cuCtxSynchronize", "the context"); }

  // Before each call: outputs and scratch hold nothing that an earlier one left.
  [[nodiscard]] result<done> poison_outputs(const job& asked, const placed& memory) {
    for (std::size_t i = 0; i < asked.buffers.size(); ++i) {
      const role use = asked.buffers[i].use;
      const region& of = memory.regions[i];
      if (use == role::input) continue;
      if (use == role::both) {
        if (of.bytes == 0) continue;
        if (auto ok = check(driver_.wait_stream(stream_), "cuStreamSynchronize", "the stream"); !ok) return ok;
        if (auto ok = check(driver_.to_device(of.tensor, of.contents.data(), of.bytes), "cuMemcpyHtoD", asked.buffers[i].name); !ok) return ok;
        if (auto ok = copies_done(); !ok) return ok;
        continue;
      }
      if (auto ok = check(driver_.set_words(of.base, memory.poison, of.whole / 4, stream_), "cuMemsetD32Async", asked.buffers[i].name); !ok) return ok;
    }
    return done{};
  }

  // Guard bands, inputs and outputs, after the stream was waited for.
  [[nodiscard]] result<done> look(const job& asked, const placed& memory, run_report& out) {
    for (std::size_t i = 0; i < asked.buffers.size(); ++i) {
      const buffer& b = asked.buffers[i];
      const region& of = memory.regions[i];
      std::string whole(of.whole, '\0');
      if (auto ok = check(driver_.to_host(whole.data(), of.base, of.whole), "cuMemcpyDtoH", b.name); !ok) return ok;
      const auto start = static_cast<std::size_t>(of.tensor - of.base);
      const std::size_t end = start + of.bytes;
      std::optional<std::int64_t> touched;
      std::uint64_t count = 0;
      for (std::size_t at = 0; at < whole.size(); ++at) {
        if (at == start) at = end;  // the tensor itself
        if (at >= whole.size()) break;
        if (static_cast<unsigned char>(whole[at]) == ((memory.poison >> (8 * (at % 4))) & 0xff)) continue;
        if (!touched) touched = static_cast<std::int64_t>(at) - static_cast<std::int64_t>(start);
        ++count;
      }
      if (touched) {
        finding f;
        f.kind = code::out_of_bounds;
        f.tensor = b.name;
        const std::int64_t per = std::max<std::int64_t>(b.bytes_of_element(), 1);
        f.index = *touched >= 0 ? *touched / per : -((-*touched + per - 1) / per);
        f.count = count;
        f.what = std::to_string(count) + " bytes outside " + b.name + " were overwritten, the first at element " + std::to_string(*f.index) + " of " + std::to_string(b.elements);
        out.findings.push_back(std::move(f));
      }
      if (b.use == role::input && whole.compare(start, of.bytes, of.contents) != 0) {
        std::size_t at = 0;
        while (whole[start + at] == of.contents[at]) ++at;
        finding f;
        f.kind = code::writes_input;
        f.tensor = b.name;
        f.index = static_cast<std::int64_t>(at) / std::max<std::int64_t>(b.bytes_of_element(), 1);
        f.what = "the input " + b.name + " is not what it was before the launch, from element " + std::to_string(*f.index) + " on";
        out.findings.push_back(std::move(f));
      }
      if (!comes_back(b.use)) continue;
      output_bytes back;
      back.buffer = static_cast<std::int64_t>(i);
      back.bytes = whole.substr(start, of.bytes);
      if (b.use == role::output) tell_unwritten(b, back.bytes, memory.poison, start, out);
      out.outputs.push_back(std::move(back));
    }
    return done{};
  }

  static void tell_unwritten(const buffer& b, const std::string& bytes, std::uint32_t poison, std::size_t start, run_report& out) {
    const auto per = static_cast<std::size_t>(std::max<std::int64_t>(b.bytes_of_element(), 1));
    std::uint64_t count = 0, first = 0;
    // The same pattern in each half of a word: elements of two and four bytes, which
    // most are, can be held against one number.
    if ((per == 2 || per == 4) && start % 4 == 0) {
      const std::uint32_t wanted = per == 2 ? poison & 0xffff : poison;
      for (std::size_t at = 0; at + per <= bytes.size(); at += per) {
        std::uint32_t is = 0;
        if (per == 2) {
          std::uint16_t half = 0;
          std::memcpy(&half, bytes.data() + at, 2);
          is = half;
        } else {
          std::memcpy(&is, bytes.data() + at, 4);
        }
        if (is == wanted && count++ == 0) first = at / per;
      }
    } else for (std::size_t at = 0; at + per <= bytes.size(); at += per) {
      bool same = true;
      for (std::size_t n = 0; n < per && same; ++n)
        same = static_cast<unsigned char>(bytes[at + n]) == ((poison >> (8 * ((start + at + n) % 4))) & 0xff);
      if (!same) continue;
      if (count++ == 0) first = at / per;
    }
    if (count == 0) return;
    finding f;
    f.kind = code::unwritten_output;
    f.tensor = b.name;
    f.index = static_cast<std::int64_t>(first);
    f.count = count;
    f.what = std::to_string(count) + " of " + std::to_string(b.elements) + " elements of " + b.name + (count == 1 ? " was" : " were") + " never written, the first at index " +
             std::to_string(first);
    out.findings.push_back(std::move(f));
  }

  // ---- launches -----------------------------------------------------------------

  [[nodiscard]] static finding refusal(const std::string& entry, std::string why) {
    finding f;
    f.kind = code::launch_refused;
    f.kernel = entry;
    f.what = std::move(why);
    return f;
  }

  [[nodiscard]] result<ready_job> prepare_launches(const job& asked, const placed& memory, code_module& code) {
    ready_job made;
    for (const launch& one : asked.launches) {
      ready_launch ready;
      ready.entry = one.entry;
      void*& function = code.functions[one.entry];
      if (!function)
        if (auto ok = check(driver_.get_function(&function, code.handle, one.entry.c_str()), "cuModuleGetFunction", "the kernel " + one.entry); !ok) return ok.error();
      ready.function = function;
      const extent& g = one.grid;
      const extent& b = one.block;
      const std::int64_t sides[] = {g.x, g.y, g.z, b.x, b.y, b.z, one.cluster.x, one.cluster.y, one.cluster.z, one.shared_bytes + 1};
      for (const std::int64_t wanted : sides)
        if (wanted < 1 || wanted > INT32_MAX) {
          made.refused = refusal(one.entry, "an extent of " + std::to_string(wanted) + " cannot be launched");
          return made;
        }
      for (int axis = 0; axis < 3; ++axis) {
        ready.config.grid[axis] = static_cast<unsigned>(sides[axis]);
        ready.config.block[axis] = static_cast<unsigned>(sides[3 + axis]);
        ready.cluster.value.cluster[axis] = static_cast<unsigned>(sides[6 + axis]);
      }
      ready.config.shared_bytes = static_cast<unsigned>(one.shared_bytes);
      ready.config.stream = stream_;
      ready.cluster.id = cuda::cluster_attribute;
      ready.config.attribute_count = one.cluster.count() > 1 ? 1 : 0;
      if (one.shared_bytes > 0) {
        const int said = driver_.set_function_attribute(function, static_cast<int>(cuda::of_function::dynamic_shared), static_cast<int>(one.shared_bytes));
        if (said != cuda::success) {
          made.refused = refusal(one.entry, "the driver refuses " + std::to_string(one.shared_bytes) + " bytes of shared memory for " + one.entry + ": " + driver_.words(said));
          return made;
        }
      }
      if (one.cluster.count() > 8) (void)driver_.set_function_attribute(function, static_cast<int>(cuda::of_function::any_cluster), 1);
      ready.numbers.resize(one.args.size());
      for (std::size_t i = 0; i < one.args.size(); ++i) {
        const kernel_argument& a = one.args[i];
        void* value = &ready.numbers[i];
        if (a.kind == kernel_argument::type::pointer) {
          ready.numbers[i] = memory.regions.at(static_cast<std::size_t>(a.value)).tensor;
        } else if (a.kind == kernel_argument::type::tensor_map) {
          ready.maps.push_back(std::make_unique<cuda::tensor_map>());
          value = ready.maps.back().get();
          const std::string why = encode(asked, asked.tensor_maps.at(static_cast<std::size_t>(a.value)), memory, *ready.maps.back());
          if (!why.empty()) {
            made.refused = refusal(one.entry, "the tensor map " + a.name + " cannot be made: " + why);
            return made;
          }
        } else if (a.kind == kernel_argument::type::real && a.bytes == 4) {
          const auto real = static_cast<float>(a.real);
          std::memcpy(value, &real, sizeof real);
        } else if (a.kind == kernel_argument::type::real) {
          std::memcpy(value, &a.real, sizeof a.real);
        } else {
          std::memcpy(value, &a.value, sizeof a.value);
        }
        ready.values.push_back(value);
      }
      made.launches.push_back(std::move(ready));
    }
    return made;
  }

  [[nodiscard]] std::string encode(const job& asked, const tensor_map_request& from, const placed& memory, cuda::tensor_map& into) const {
    const std::size_t rank = from.extents.size();
    if (rank < 1 || rank > 5) return "a rank of " + std::to_string(rank);
    if (from.box.size() != rank || from.strides.size() + 1 != rank || (!from.element_strides.empty() && from.element_strides.size() != rank)) return "its lists are of different lengths";
    std::uint64_t extents[5] = {}, strides[5] = {};
    unsigned box[5] = {}, steps[5] = {1, 1, 1, 1, 1};
    const auto fits = [](std::int64_t value, std::int64_t most) { return value >= 1 && value <= most; };
    for (std::size_t d = 0; d < rank; ++d) {
      const std::int64_t step = from.element_strides.empty() ? 1 : from.element_strides[d];
      if (!fits(from.extents[d], std::int64_t{1} << 32) || !fits(from.box[d], 256) || !fits(step, 8) || (d + 1 < rank && !fits(from.strides[d], (std::int64_t{1} << 40) - 1)))
        return "dimension " + std::to_string(d) + " is beyond what the copy engine takes";
      extents[d] = static_cast<std::uint64_t>(from.extents[d]);
      box[d] = static_cast<unsigned>(from.box[d]);
      steps[d] = static_cast<unsigned>(step);
      if (d + 1 < rank) strides[d] = static_cast<std::uint64_t>(from.strides[d]);
    }
    const buffer& of = asked.buffers.at(static_cast<std::size_t>(from.buffer));
    const int type = of.type == element::f16 ? 6 : of.type == element::bf16 ? 9 : 7;
    const int swizzle = from.swizzle == 32 ? 1 : from.swizzle == 64 ? 2 : from.swizzle == 128 ? 3 : 0;
    const int interleave = from.interleave == 16 ? 1 : from.interleave == 32 ? 2 : 0;
    const int said = driver_.encode_tiled(&into, type, static_cast<unsigned>(rank), reinterpret_cast<void*>(memory.regions.at(static_cast<std::size_t>(from.buffer)).tensor), extents,
                                          strides, box, steps, interleave, swizzle, 0, from.nan ? 1 : 0);
    return said == cuda::success ? "" : driver_.words(said);
  }

  // A finding where the driver or the kernel refused.
  [[nodiscard]] result<std::optional<finding>> launch_all(ready_job& todo) {
    for (ready_launch& one : todo.launches) {
      one.config.attributes = &one.cluster;
      const int said = driver_.launch(&one.config, one.function, one.values.data(), nullptr);
      if (said == cuda::success) continue;
      if (said == cuda::invalid_value || said == cuda::out_of_resources || said == cuda::invalid_cluster)
        return std::optional<finding>(refusal(one.entry, "the driver refuses the launch of " + one.entry + ": " + driver_.words(said)));
      return ended_by(said, "cuLaunchKernelEx", one.entry);
    }
    return std::optional<finding>();
  }

  [[nodiscard]] result<std::optional<finding>> ended_by(int said, const char* call, const std::string& entry) {
    if (cuda::is_sticky(said)) finished_ = true;
    if (!cuda::is_of_the_kernel(said)) return driver_.trouble(said, call, words("the launch of " + entry));
    finding f;
    f.kind = cuda_text::kind_of(said);
    f.kernel = entry;
    f.what = "the kernel ended the GPU's context: " + driver_.words(said);
    if (said == cuda::illegal_address) f.what += ", an access to memory that nobody has";
    if (said == cuda::illegal_instruction) f.what += ", a trap or an instruction that is none";
    return std::optional<finding>(std::move(f));
  }

  // Until the stream is done, or the limit of time: whoever runs on is ended with
  // the process.
  [[nodiscard]] result<std::optional<finding>> wait(const job& asked) {
    const std::string entry = asked.launches.empty() ? "nothing" : asked.launches.front().entry;
    const double began = cuda_text::now();
    for (;;) {
      const int said = driver_.ask_stream(stream_);
      if (said == cuda::success) return std::optional<finding>();
      if (said != cuda::not_ready) return ended_by(said, "cuStreamQuery", entry);
      const double spent = cuda_text::now() - began;
      if (spent > limits_.most_seconds) {
        finished_ = true;
        return fault{reason::too_slow, "the launch of " + entry + " had not ended after " + std::to_string(static_cast<int>(limits_.most_seconds)) + " s on the GPU"};
      }
      if (spent > 0.002) cuda_text::pause(spent < 0.1 ? 0.0002 : 0.005);
    }
  }

  toolkit toolkit_;
  device_compiler compiler_;
  cuda::driver driver_;
  cuda::gpu_facts facts_;
  limits limits_;
  int ordinal_handle_ = 0;
  void* context_ = nullptr;
  void* stream_ = nullptr;
  void* events_[2] = {};
  code_module module_, own_;
  std::string loaded_;
  bool finished_ = false;
};

}  // namespace skillbench
