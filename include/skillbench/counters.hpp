#pragma once
// counters.hpp: what a launch did, counted exactly.
//
// Layer   1. Plain values, so that a cost model needs no machine. The PTX
//         machine fills them in (ptx/count.hpp).
// Units   PTX instructions, not those that ptxas makes of them: it fuses some
//         and expands others (a division, a square root). A warp instruction
//         is one that a warp, or the part of it that is together, executes,
//         whether or not a guard lets a lane through; a thread instruction is
//         one of its active lanes. Sectors are 32 bytes. Operations of tensor
//         cores count a multiply and an add as two.
// Requests a request is one warp instruction with an active lane. Its sectors
//         are the distinct ones that its lanes touch: no cache is modelled, so
//         a sector that two requests touch counts twice. What a launch touches
//         at all, each sector once, is `global_read_bytes` and
//         `global_written_bytes` of the launch: what L2 sees at least. An
//         atomic reads and writes.
// Local   word after word of 4 bytes, each of 32 threads side by side (CUDA C++
//         Programming Guide, "Local Memory"): threads of a warp that access one
//         place of their frames touch 4 sectors.
// Shared  32 banks of 4 bytes (CUDA C++ Programming Guide, "Shared Memory" of
//         compute capability 5.x, which it gives for all later ones). Lanes in
//         one word of a bank are served together, in loads and in stores. Lanes
//         in different words of a bank take a wavefront each. Choices, since
//         the guide says no more for 9.0:
//           a warp goes in phases, of 32 lanes for up to 4 bytes a lane, of 16
//           (0 to 15, 16 to 31) for 8 bytes, of 8 for 16 bytes, and two phases
//           are never served together. So `ldmatrix` and `stmatrix` have a
//           phase for each matrix;
//           the least is one wavefront for each phase that has an active lane,
//           and conflicts are the wavefronts beyond that;
//           of an atomic every lane takes a wavefront of its own in its bank,
//           also where lanes share a word;
//           what `cp.async` writes is a store of shared memory; what the copy
//           engine writes and what `wgmma` reads are no requests.
// Branches a `bra` or `brx` is divergent when some active lanes take it and
//         others do not, or go elsewhere. ptxas turns short branches into
//         guards, so a GPU counts fewer.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace skillbench {

// Named in records; a name is never used for anything else.
enum class instruction_class : std::uint8_t {
  integer = 0,       // arithmetic, logic, shifts and comparisons of integers
  f32 = 1,           // float: add, multiply, fma, minimum, comparison
  f16 = 2,           // half and bfloat16, also two at once
  f64 = 3,
  special = 4,       // division, roots, reciprocals, sine, ex2, lg2, tanh
  convert = 5,
  move = 6,          // mov, selp, address spaces, parameters of calls
  exchange = 7,      // between lanes: shfl, vote, match, redux, movmatrix
  tensor = 8,        // mma, wmma.mma, wgmma.mma_async
  load_global = 9,
  store_global = 10,
  load_shared = 11,  // ldmatrix and other CTAs of the cluster included
  store_shared = 12,
  load_local = 13,
  store_local = 14,
  load_constant = 15,  // constants and the kernel's parameters
  atomic_global = 16,  // atom and red
  atomic_shared = 17,
  copy = 18,           // cp.async, bulk, tensor, prefetches of them
  control = 19,        // branches, calls, returns, exits
  barrier = 20,        // bar, mbarrier, fences, waits for copies and wgmma
  other = 21,
};
inline constexpr std::size_t instruction_classes = 22;

[[nodiscard]] constexpr std::string_view name(instruction_class of) noexcept {
  switch (of) {
    case instruction_class::integer: return "integer";
    case instruction_class::f32: return "f32";
    case instruction_class::f16: return "f16";
    case instruction_class::f64: return "f64";
    case instruction_class::special: return "special";
    case instruction_class::convert: return "convert";
    case instruction_class::move: return "move";
    case instruction_class::exchange: return "exchange";
    case instruction_class::tensor: return "tensor";
    case instruction_class::load_global: return "load_global";
    case instruction_class::store_global: return "store_global";
    case instruction_class::load_shared: return "load_shared";
    case instruction_class::store_shared: return "store_shared";
    case instruction_class::load_local: return "load_local";
    case instruction_class::store_local: return "store_local";
    case instruction_class::load_constant: return "load_constant";
    case instruction_class::atomic_global: return "atomic_global";
    case instruction_class::atomic_shared: return "atomic_shared";
    case instruction_class::copy: return "copy";
    case instruction_class::control: return "control";
    case instruction_class::barrier: return "barrier";
    case instruction_class::other: return "other";
  }
  return "unknown";
}

// By the elements of A, the first factor.
enum class tensor_type : std::uint8_t {
  f16 = 0, bf16 = 1, tf32 = 2, f64 = 3, fp8 = 4, int8 = 5, int4 = 6, bit = 7,
};
inline constexpr std::size_t tensor_types = 8;

[[nodiscard]] constexpr std::string_view name(tensor_type of) noexcept {
  switch (of) {
    case tensor_type::f16: return "f16";
    case tensor_type::bf16: return "bf16";
    case tensor_type::tf32: return "tf32";
    case tensor_type::f64: return "f64";
    case tensor_type::fp8: return "fp8";
    case tensor_type::int8: return "int8";
    case tensor_type::int4: return "int4";
    case tensor_type::bit: return "bit";
  }
  return "unknown";
}

// Of a launch, or of one line of its source. All that has a name of its own in
// a record is listed in `each_event`.
struct event_counts {
  std::array<std::uint64_t, instruction_classes> warp_instructions{};
  std::array<std::uint64_t, instruction_classes> thread_instructions{};
  std::array<std::uint64_t, tensor_types> tensor_operations{};

  std::uint64_t global_load_requests = 0, global_load_sectors = 0,
                global_load_bytes = 0;  // bytes: as the lanes asked
  std::uint64_t global_store_requests = 0, global_store_sectors = 0,
                global_store_bytes = 0;
  std::uint64_t global_atomic_requests = 0, global_atomic_sectors = 0,
                global_atomic_lanes = 0;

  std::uint64_t shared_load_requests = 0, shared_load_wavefronts = 0,
                shared_load_conflicts = 0, shared_load_bytes = 0;
  std::uint64_t shared_store_requests = 0, shared_store_wavefronts = 0,
                shared_store_conflicts = 0, shared_store_bytes = 0;
  std::uint64_t shared_atomic_requests = 0, shared_atomic_wavefronts = 0,
                shared_atomic_conflicts = 0, shared_atomic_lanes = 0;
  std::uint64_t local_load_requests = 0, local_load_sectors = 0;
  std::uint64_t local_store_requests = 0, local_store_sectors = 0;
  // Through shared::cluster, or generic addresses of it: in no bank above.
  std::uint64_t cluster_requests = 0, cluster_bytes = 0;

  // Asynchronous copies: cp.async by request, the others by thread that issues
  // one. Bytes are those that arrive, each target of a multicast and what a
  // tensor map fills in included.
  std::uint64_t thread_copies = 0, thread_copy_bytes = 0;
  std::uint64_t bulk_copies = 0, bulk_copy_bytes = 0;
  std::uint64_t tensor_copies = 0, tensor_copy_bytes = 0;
  std::uint64_t copy_load_sectors = 0, copy_store_sectors = 0;  // of all three

  std::uint64_t branches = 0, divergent_branches = 0;

  bool operator==(const event_counts&) const = default;
};

// Calls use(name, number) for every number of `of` but those of the arrays.
template <typename Counts, typename Use>
constexpr void each_event(Counts& of, Use&& use) {
  use("global_load_requests", of.global_load_requests);
  use("global_load_sectors", of.global_load_sectors);
  use("global_load_bytes", of.global_load_bytes);
  use("global_store_requests", of.global_store_requests);
  use("global_store_sectors", of.global_store_sectors);
  use("global_store_bytes", of.global_store_bytes);
  use("global_atomic_requests", of.global_atomic_requests);
  use("global_atomic_sectors", of.global_atomic_sectors);
  use("global_atomic_lanes", of.global_atomic_lanes);
  use("shared_load_requests", of.shared_load_requests);
  use("shared_load_wavefronts", of.shared_load_wavefronts);
  use("shared_load_conflicts", of.shared_load_conflicts);
  use("shared_load_bytes", of.shared_load_bytes);
  use("shared_store_requests", of.shared_store_requests);
  use("shared_store_wavefronts", of.shared_store_wavefronts);
  use("shared_store_conflicts", of.shared_store_conflicts);
  use("shared_store_bytes", of.shared_store_bytes);
  use("shared_atomic_requests", of.shared_atomic_requests);
  use("shared_atomic_wavefronts", of.shared_atomic_wavefronts);
  use("shared_atomic_conflicts", of.shared_atomic_conflicts);
  use("shared_atomic_lanes", of.shared_atomic_lanes);
  use("local_load_requests", of.local_load_requests);
  use("local_load_sectors", of.local_load_sectors);
  use("local_store_requests", of.local_store_requests);
  use("local_store_sectors", of.local_store_sectors);
  use("cluster_requests", of.cluster_requests);
  use("cluster_bytes", of.cluster_bytes);
  use("thread_copies", of.thread_copies);
  use("thread_copy_bytes", of.thread_copy_bytes);
  use("bulk_copies", of.bulk_copies);
  use("bulk_copy_bytes", of.bulk_copy_bytes);
  use("tensor_copies", of.tensor_copies);
  use("tensor_copy_bytes", of.tensor_copy_bytes);
  use("copy_load_sectors", of.copy_load_sectors);
  use("copy_store_sectors", of.copy_store_sectors);
  use("branches", of.branches);
  use("divergent_branches", of.divergent_branches);
}

template <std::size_t N>
[[nodiscard]] constexpr std::uint64_t sum_of(
    const std::array<std::uint64_t, N>& all) noexcept {
  std::uint64_t sum = 0;
  for (const std::uint64_t each : all) sum += each;
  return sum;
}

// Of all three kinds of request.
[[nodiscard]] constexpr std::uint64_t shared_wavefronts(
    const event_counts& of) noexcept {
  return of.shared_load_wavefronts + of.shared_store_wavefronts +
         of.shared_atomic_wavefronts;
}
[[nodiscard]] constexpr std::uint64_t shared_conflicts(
    const event_counts& of) noexcept {
  return of.shared_load_conflicts + of.shared_store_conflicts +
         of.shared_atomic_conflicts;
}
[[nodiscard]] constexpr std::uint64_t global_sectors(
    const event_counts& of) noexcept {
  return of.global_load_sectors + of.global_store_sectors +
         of.global_atomic_sectors + of.copy_load_sectors +
         of.copy_store_sectors;
}

struct line_counts {
  int line = 0;  // 0: of none that is known
  event_counts of;

  bool operator==(const line_counts&) const = default;
};

template <std::size_t N>
constexpr void add_to(std::array<std::uint64_t, N>& sum,
                      const std::array<std::uint64_t, N>& more) noexcept {
  for (std::size_t i = 0; i < N; ++i) sum[i] += more[i];
}

inline event_counts& operator+=(event_counts& sum, const event_counts& more) {
  add_to(sum.warp_instructions, more.warp_instructions);
  add_to(sum.thread_instructions, more.thread_instructions);
  add_to(sum.tensor_operations, more.tensor_operations);
  std::vector<std::uint64_t> numbers;
  each_event(more, [&](auto, std::uint64_t n) { numbers.push_back(n); });
  auto next = numbers.begin();
  each_event(sum, [&](auto, std::uint64_t& n) { n += *next++; });
  return sum;
}

inline constexpr std::size_t most_counted_lines = 4096;

struct launch_counters {
  std::string kernel;         // lowered
  event_counts total;
  std::uint64_t barriers = 0;  // of a CTA or a cluster, completed
  std::uint64_t global_read_bytes = 0;     // 32 for each distinct sector
  std::uint64_t global_written_bytes = 0;
  // Lines of the candidate, or of the PTX where that names no source; rising,
  // and their sum is `total`. Of more than `most_counted_lines`, those with
  // the most warp instructions; the others are told as line 0.
  bool of_ptx = false;
  std::vector<line_counts> lines;

  bool operator==(const launch_counters&) const = default;
};

}  // namespace skillbench
