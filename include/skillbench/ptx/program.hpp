#pragma once
// ptx/program.hpp: a kernel as the machine runs it: decoded instructions over a
// file of lane arrays.
//
// Layer   3. decode.hpp makes it from the tree of module.hpp.
// Shapes  every register is an array of 32 lanes of 1, 2, 4 or 8 bytes in a
//         register file of a warp; a predicate is one 32-bit mask. Constants
//         live in the same file, so an operand is always one offset.
// Order   instructions stand in the order of the text. NVRTC lays loops out
//         contiguously and joins after their branches, so the lowest index
//         first brings divergent lanes together again.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <skillbench/counters.hpp>
#include <skillbench/ptx/module.hpp>

namespace skillbench::ptx {

struct warp;
struct op;
namespace jit {
struct compiled;  // jit.hpp
}

using lane_mask = std::uint32_t;
inline constexpr lane_mask every_lane = 0xffffffffu;

using handler = void (*)(warp&, const op&, lane_mask);

// A register, constant or nothing (slot 0, a constant zero that is defined).
struct ref {
  std::uint32_t offset = 0;  // bytes into the register file
  std::uint32_t slot = 0;    // index of its "holds undefined bits" flag
};

enum class flow : std::uint8_t {
  plain,        // run, go on
  branch,       // target, for the lanes that the guard lets through
  indexed,      // brx.idx: targets in program::tables
  call,         // target, return to the next instruction
  call_pointer,  // the function whose address is in s[0]
  ret,          // back to each lane's caller, or exit
  exit,
  barrier,      // waits for the CTA
  phase,        // mbarrier.try_wait and test_wait
  cluster,      // barrier.cluster: arrives (imm 0) or waits (imm 1)
  converge,     // waits for the lanes of the mask in s[4], then runs
  unsupported,  // ends the run: message in program::complaints
};

enum class space : std::uint8_t { generic, global, shared, local, param, constant, cluster };

// What an access promises to other threads; volatile counts as relaxed.
enum class memory_order : std::uint8_t { weak, relaxed, acquire, release, acq_rel };
enum class access_kind : std::uint8_t { none, load, store, atomic };

struct op {
  handler run = nullptr;
  handler taint = nullptr;  // called instead of nothing when a source is tainted
  flow kind = flow::plain;
  bool guarded = false, guard_negated = false;
  bool leads = false;        // begins a block: set by mark_blocks
  space where = space::generic;
  std::uint8_t unit = 0;     // bytes of one element of a memory access
  std::uint8_t vector = 1;   // elements of a memory access
  std::uint8_t width = 0;    // bytes of a lane of d[0]
  bool is_signed = false;    // widening loads
  bool warpgroup = false;    // of the wgmma family; a wait has unit 1
  std::uint8_t address_width = 8;  // bytes of the address register's lanes
  std::uint8_t sources = 0, targets = 0;
  access_kind access = access_kind::none;  // of the plain loads, stores and atomics
  memory_order order = memory_order::weak;
  bool device_scope = true;    // of such an order or fence: not the CTA alone
  bool result_unused = false;  // of an atomic: nobody reads what it gives
  bool compares = false;       // an atomic compare-and-swap
  bool aligned = false;        // barriers: all lanes of a warp come together
  ref d[4], s[5];
  ref guard;
  std::int64_t imm = 0;      // address offset, table index, mode bits
  std::uint32_t target = 0;  // instruction index
  std::uint32_t more = 0;    // index into program::more; 0: all operands are here
  std::uint32_t source = 0;  // index into program::origins
};

// What an instruction is to counters (classes.hpp).
struct classified {
  instruction_class is = instruction_class::other;
  tensor_type of = tensor_type::f16;
  std::uint32_t operations = 0;  // of a tensor instruction, of one warp
};

// Where an op came from, for messages and counters.
struct origin {
  int ptx_line = 0;
  int line = 0;            // of the candidate's source, 0 when not known
  std::uint32_t function = 0;
  classified counted = {};
};

// A copy between parameter areas of a lane's frame, done by a call.
struct copy {
  std::uint32_t from = 0, to = 0, bytes = 0;
};

struct call_site {
  std::uint32_t function = 0;
  std::vector<copy> in, out;
};

// Operands of an instruction that has more than fit into an op: fragments of
// matrices, coordinates of tensors. A target with slot 0 is discarded.
struct further {
  std::vector<ref> d, s;
};

// A call of the device's library: places in the frame of the lane.
struct service {
  std::vector<std::uint32_t> in;
  std::uint32_t out = 0;
  bool returns = false;
};

// The address of a function: no memory lies there.
inline constexpr std::uint64_t code_window = std::uint64_t{4} << 56;
[[nodiscard]] constexpr std::uint64_t function_address(std::size_t in_module) noexcept { return code_window + 16 * (in_module + 1); }

// A call by pointer: for each function that can be meant, its address and the
// call_site; `other` tells those that take or give other parameters.
struct pointer_call {
  struct callee {
    std::uint64_t address = 0;
    std::uint32_t function = 0, site = 0;
    bool other = false;
  };
  std::vector<callee> callees;
};

struct constant {
  ref where;
  std::uint8_t width = 4;   // bytes of a lane; 0: a predicate mask
  std::uint64_t bits = 0;   // the same in every lane
};

// Registers that the machine fills: thread and CTA numbers and the like.
enum class special : std::uint8_t {
  tid_x, tid_y, tid_z, ntid_x, ntid_y, ntid_z,
  ctaid_x, ctaid_y, ctaid_z, nctaid_x, nctaid_y, nctaid_z,
  laneid, warpid, nwarpid, smid, nsmid, gridid,
  lanemask_eq, lanemask_le, lanemask_lt, lanemask_ge, lanemask_gt,
  dynamic_smem_size, total_smem_size,
  cluster_ctaid_x, cluster_ctaid_y, cluster_ctaid_z,
  cluster_nctaid_x, cluster_nctaid_y, cluster_nctaid_z,
  cluster_ctarank, cluster_nctarank,
  clusterid_x, clusterid_y, clusterid_z,
  nclusterid_x, nclusterid_y, nclusterid_z,
  is_explicit_cluster,  // a predicate
  zero,  // %envreg
};

struct special_register {
  special what = special::zero;
  ref where;
};

struct parameter {
  std::uint32_t offset = 0, bytes = 0;  // in the kernel's parameter block
};

// What a register is, before places are shared out (allocate.hpp).
struct register_info {
  std::uint32_t bytes = 0;   // of all lanes; 4 for a predicate
  bool shareable = false;    // constants and special registers are not
};

// What cp.async.bulk says beside its registers.
struct bulk_form {
  bool stores = false;       // from shared to global memory
  bool from_shared = false;  // the source is shared memory
  bool reduces = false, prefetches = false, multicast = false;
  bool has_to = false, has_from = false, has_size = false, has_barrier = false;
  std::uint8_t rank = 0;     // of the tensor; 0: plain bytes
  std::uint8_t change = 0, type = 0;  // of a reduction
  space map_space = space::generic;
  std::int64_t to = 0, from = 0, barrier = 0;  // offsets to the registers
  std::uint8_t to_width = 8, from_width = 8, barrier_width = 8;
};

struct program {
  std::string entry;
  std::vector<op> code;
  std::vector<origin> origins;
  std::vector<std::string> functions;          // names, for messages
  std::vector<std::pair<std::uint32_t, std::string>> complaints;  // by index
  std::vector<std::vector<std::uint32_t>> tables;  // brx.idx
  std::vector<call_site> calls;  // by op::imm
  std::vector<pointer_call> pointer_calls;  // by op::imm
  std::vector<service> services;            // by op::imm
  std::vector<further> more{1};  // by op::more
  std::vector<constant> constants;
  std::vector<special_register> specials;
  std::vector<parameter> parameters;
  std::vector<ref> return_registers;  // by function: return addresses
  std::uint32_t file_bytes = 0, slots = 1;
  std::vector<register_info> registers;             // by slot
  std::vector<std::uint32_t> function_starts;       // indices into code
  std::vector<ref> born_undefined;  // read on some path before any write
  std::vector<std::uint32_t> undefined_bytes;       // of those, of all lanes
  std::uint32_t parameter_bytes = 0;
  std::uint32_t frame_bytes = 0;      // local and parameter memory of a lane
  std::uint32_t stack_begins = 0;     // in the frame, when alloca is used
  std::optional<ref> stack_top;       // where a lane's stack ends
  std::uint32_t static_shared = 0;    // bytes, before the dynamic part
  std::uint32_t dynamic_offset = 0;   // where extern shared arrays start
  std::vector<std::int64_t> maxntid, reqntid;  // empty: not given
  std::vector<std::int64_t> cluster;           // .reqnctapercluster
  bool explicit_cluster = false;
  // Asynchronous operations (bulk copies, wgmma) read shared memory: ordinary
  // stores are noted, so that a missing fence is seen.
  bool notes_stores = false;
  bool warpgroups = false;  // there is a wgmma
  // For races (race.hpp): log2 of the smallest unit stored, at most 4 bytes;
  // whether shared memory is stored to at all; whether a strong load or an
  // atomic with a result learns from other threads.
  std::uint8_t shared_granule = 2, global_granule = 2;
  bool stores_shared = false, learns = false;
  std::vector<bulk_form> bulk;  // by op::imm

  mutable std::shared_ptr<jit::compiled> native;  // what jit.hpp made of it

  [[nodiscard]] const std::string* complaint(std::uint32_t index) const {
    for (const auto& [at, text] : complaints)
      if (at == index) return &text;
    return nullptr;
  }
};

// Marks where a block of straight-line code begins. Fragments stop and go on
// only there, whether they are interpreted or run as native code.
inline void mark_blocks(program& p) {
  auto& code = p.code;
  const auto lead = [&](std::size_t i) {
    if (i < code.size()) code[i].leads = true;
  };
  lead(0);
  for (const std::uint32_t start : p.function_starts) lead(start);
  for (const auto& table : p.tables)
    for (const std::uint32_t target : table) lead(target);
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (code[i].kind == flow::plain) continue;
    lead(i + 1);
    if (code[i].kind == flow::branch || code[i].kind == flow::call) lead(code[i].target);
    if (code[i].kind != flow::branch) lead(i);
  }
}

}  // namespace skillbench::ptx
