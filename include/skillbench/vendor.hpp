#pragma once
// vendor.hpp: what a vendor's library is asked to do for a case of a family.
//
// Layer   2. Pure functions; vendor_graph.hpp holds what they make.
// Shapes  as the family's contract: row-major and contiguous.
// Errors  reason::not_supported where the library has nothing for a family, a case
//         or an element type; the text says which. A case without a number that
//         the graph needs is reason::bad_argument.
// Adding  a family is a function here and its row in `vendors`; nothing else
//         changes.
// Source  cuDNN 9.19: norms have rows as the batch and columns as the channels.
//         Attention: softmax in its parts, which cuDNN 9 knows as one kernel; its
//         operation of its own (SDPA_FWD) takes no mask before 9.21. The logarithm
//         of the sum is nobody's output and still has to be there: without it
//         cuDNN 9.19 does not know the graph for attention.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/family.hpp>
#include <skillbench/fault.hpp>
#include <skillbench/units.hpp>
#include <skillbench/vendor_graph.hpp>

namespace skillbench {

namespace vendor_parts {

namespace n = cudnn_number;

using extents = std::vector<std::int64_t>;

[[nodiscard]] constexpr n::data data_of(element type) noexcept {
  return type == element::f16 ? n::half : type == element::bf16 ? n::bfloat16 : n::float32;
}

// Row-major, the last extent innermost.
[[nodiscard]] inline extents packed(const extents& of) {
  extents made(of.size(), 1);
  for (std::size_t i = of.size(); i-- > 1;) made[i - 1] = made[i] * of[i];
  return made;
}

// Puts a graph together. Every tensor gets its id from its place.
class builder {
 public:
  explicit builder(std::string what) { made_.what = std::move(what); }

  // A buffer of the job, from an element on.
  std::int64_t buffer(const std::string& name, element type, const extents& of, const extents& strides, std::int64_t first = 0) {
    // A buffer lies at a multiple of 16 bytes, an element within it less well.
    const auto within = static_cast<std::int64_t>(size_of(type)) * first;
    const std::int64_t at = tensor(data_of(type), of, strides, false, false, within == 0 ? 16 : std::min<std::int64_t>(16, within & -within));
    made_.tensors.push_back({at + 1, name, first, 0, false});
    return at;
  }
  std::int64_t intermediate(n::data type, const extents& of) { return tensor(type, of, packed(of), true, false); }
  std::int64_t number(double value, std::size_t rank, bool integer = false) {
    const extents one(rank, 1);
    const std::int64_t at = tensor(integer ? n::int32 : n::float32, one, one, false, true);
    made_.tensors.push_back({at + 1, "", 0, value, integer});
    return at;
  }

  // y = mode(x), of x and b, or of x, b and a condition t.
  void pointwise(n::mode mode, n::data precision, std::int64_t x, std::int64_t b, std::int64_t t, std::int64_t y, std::int64_t axis = -1) {
    std::vector<vendor_attribute> how{{n::pointwise_mode, n::pointwise_mode_type, {mode}}, {n::pointwise_precision, n::data_type, {precision}}};
    if (axis >= 0) how.push_back({n::pointwise_axis, n::int64, {axis}});
    std::vector<vendor_attribute> on{of(n::pointwise_of, put(n::pointwise, std::move(how))), of(n::pointwise_x, x)};
    if (b >= 0) on.push_back(of(n::pointwise_b, b));
    on.push_back(of(n::pointwise_y, y));
    if (t >= 0) on.push_back(of(n::pointwise_t, t));
    operation(n::pointwise_operation, std::move(on));
  }
  void matmul(std::int64_t a, std::int64_t b, std::int64_t c) {
    const std::int64_t how = put(n::matmul, {{n::matmul_precision, n::data_type, {n::float32}}});
    operation(n::matmul_operation, {of(n::matmul_a, a), of(n::matmul_b, b), of(n::matmul_c, c), of(n::matmul_of, how)});
  }
  void reduction(n::reduce by, std::int64_t x, std::int64_t y) {
    const std::int64_t how = put(n::reduction, {{n::reduction_operator, n::reduction_operator_type, {by}}, {n::reduction_precision, n::data_type, {n::float32}}});
    operation(n::reduction_operation, {of(n::reduction_x, x), of(n::reduction_y, y), of(n::reduction_of, how)});
  }
  void norm(n::norm mode, std::int64_t x, std::int64_t scale, std::int64_t bias, std::int64_t epsilon, std::int64_t y) {
    std::vector<vendor_attribute> on{{n::norm_mode, n::norm_mode_type, {mode}}, {n::norm_phase, n::norm_phase_type, {n::inference}}, of(n::norm_x, x), of(n::norm_scale, scale)};
    if (bias >= 0) on.push_back(of(n::norm_bias, bias));
    on.push_back(of(n::norm_epsilon, epsilon));
    on.push_back(of(n::norm_y, y));
    operation(n::norm_operation, std::move(on));
  }

  [[nodiscard]] vendor_graph whole() {
    put(n::operation_graph, {{n::graph_operations, n::backend_descriptor, operations_}});
    return std::move(made_);
  }

 private:
  [[nodiscard]] static vendor_attribute of(n::attribute name, std::int64_t at) { return {name, n::backend_descriptor, {at}}; }

  std::int64_t put(n::descriptor kind, std::vector<vendor_attribute> attributes) {
    made_.descriptors.push_back({kind, std::move(attributes)});
    return static_cast<std::int64_t>(made_.descriptors.size()) - 1;
  }
  void operation(n::descriptor kind, std::vector<vendor_attribute> attributes) { operations_.push_back(put(kind, std::move(attributes))); }
  std::int64_t tensor(n::data type, const extents& of, const extents& strides, bool inside, bool value, std::int64_t alignment = 16) {
    const auto id = static_cast<std::int64_t>(made_.descriptors.size()) + 1;
    return put(n::tensor, {{n::tensor_type, n::data_type, {type}},
                           {n::tensor_extents, n::int64, of},
                           {n::tensor_strides, n::int64, strides},
                           {n::tensor_id, n::int64, {id}},
                           {n::tensor_alignment, n::int64, {alignment}},
                           {n::tensor_virtual, n::boolean, {inside}},
                           {n::tensor_by_value, n::boolean, {value}}});
  }

  vendor_graph made_;
  std::vector<std::int64_t> operations_;
};

// The numbers of a case by name.
class numbers {
 public:
  explicit numbers(const test_case& of) : of_(of) {}
  [[nodiscard]] std::int64_t integer(std::string_view name) {
    for (const auto& [called, value] : of_.integers)
      if (called == name) return value;
    missing_ = name;
    return 1;
  }
  [[nodiscard]] double real(std::string_view name) {
    for (const auto& [called, value] : of_.reals)
      if (called == name) return value;
    missing_ = name;
    return 1;
  }
  [[nodiscard]] result<vendor_graph> or_missing(vendor_graph made) const {
    if (missing_.empty()) return made;
    return fault{reason::bad_argument, "the case " + of_.name + " has no number `" + missing_ + "`"};
  }

 private:
  const test_case& of_;
  std::string missing_;
};

[[nodiscard]] inline result<vendor_graph> norm_of(const test_case& of, element type, n::norm mode) {
  const bool layer = mode == n::layer;
  numbers given(of);
  const std::int64_t rows = given.integer("rows"), cols = given.integer("cols");
  const extents all{rows, cols, 1, 1}, one{1, cols, 1, 1}, strides{cols, 1, cols, cols};
  builder make(layer ? "layer norm" : "RMS norm");
  const auto x = make.buffer("x", type, all, strides);
  const auto weight = make.buffer("weight", type, one, strides);
  const auto bias = layer ? make.buffer("bias", type, one, strides) : -1;
  const auto epsilon = make.number(given.real("eps"), 4);
  const auto y = make.buffer("y", type, all, strides);
  make.norm(mode, x, weight, bias, epsilon, y);
  return given.or_missing(make.whole());
}
[[nodiscard]] inline result<vendor_graph> layer_norm(const test_case& of, element type) { return norm_of(of, type, n::layer); }
[[nodiscard]] inline result<vendor_graph> rms_norm(const test_case& of, element type) { return norm_of(of, type, n::root_mean_square); }

// Both halves of a row are one buffer.
[[nodiscard]] inline result<vendor_graph> geglu(const test_case& of, element type) {
  numbers given(of);
  const std::int64_t rows = given.integer("rows"), cols = given.integer("cols");
  const extents all{1, rows, cols}, halves{2 * rows * cols, 2 * cols, 1};
  builder make("GELU and product");
  const auto value = make.buffer("x", type, all, halves);
  const auto gate = make.buffer("x", type, all, halves, cols);
  const auto gated = make.intermediate(n::float32, all);
  const auto y = make.buffer("y", type, all, packed(all));
  make.pointwise(n::gelu, n::float32, gate, -1, -1, gated);
  make.pointwise(n::multiply, n::float32, value, gated, -1, y);
  return given.or_missing(make.whole());
}

[[nodiscard]] inline result<vendor_graph> attention(const test_case& of, element type) {
  if (type == element::f32) return fault{reason::not_supported, "cuDNN's attention takes 16-bit types alone"};
  numbers given(of);
  const std::int64_t batch = given.integer("batch"), heads = given.integer("heads"), dim = given.integer("head_dim");
  const std::int64_t queries = given.integer("q_len"), keys = given.integer("kv_len");
  const bool causal = given.integer("causal") != 0;
  if (causal && queries > keys) return fault{reason::not_supported, "with more queries than keys some see no key: zeros here, nothing that cuDNN promises"};

  const extents q_of{batch, heads, queries, dim}, v_of{batch, heads, keys, dim}, logits_of{batch, heads, queries, keys}, row_of{batch, heads, queries, 1};
  const extents k_of{batch, heads, dim, keys}, k_strides{heads * keys * dim, keys * dim, 1, dim};  // transposed
  builder make("attention");
  const auto q = make.buffer("q", type, q_of, packed(q_of));
  const auto k = make.buffer("k", type, k_of, k_strides);
  const auto v = make.buffer("v", type, v_of, packed(v_of));
  const auto o = make.buffer("o", type, q_of, packed(q_of));
  const auto logits = [&](n::data what) { return make.intermediate(what, logits_of); };

  const auto products = logits(n::float32);
  make.matmul(q, k, products);
  auto scaled = logits(n::float32);
  make.pointwise(n::multiply, n::float32, products, make.number(given.real("scale"), 4), -1, scaled);
  if (causal) {  // key <= query + keys - queries
    auto row = logits(n::int32);
    make.pointwise(n::index, n::float32, scaled, -1, -1, row, 2);
    const auto column = logits(n::int32);
    make.pointwise(n::index, n::float32, scaled, -1, -1, column, 3);
    if (queries != keys) {
      const auto later = logits(n::int32), shifted = logits(n::int32);
      make.pointwise(n::add, n::int32, row, make.number(static_cast<double>(keys), 4, true), -1, later);
      make.pointwise(n::subtract, n::int32, later, make.number(static_cast<double>(queries), 4, true), -1, shifted);
      row = shifted;
    }
    const auto seen = logits(n::truth), masked = logits(n::float32);
    make.pointwise(n::greater_or_equal, n::truth, row, column, -1, seen);
    make.pointwise(n::select, n::float32, scaled, make.number(-std::numeric_limits<double>::infinity(), 4), seen, masked);
    scaled = masked;
  }
  const auto highest = make.intermediate(n::float32, row_of), total = make.intermediate(n::float32, row_of);
  const auto logarithm = make.intermediate(n::float32, row_of), statistic = make.intermediate(n::float32, row_of);
  const auto lowered = logits(n::float32), powers = logits(n::float32), shares = logits(data_of(type));
  make.reduction(n::maximum, scaled, highest);
  make.pointwise(n::subtract, n::float32, scaled, highest, -1, lowered);
  make.pointwise(n::exponential, n::float32, lowered, -1, -1, powers);
  make.reduction(n::sum, powers, total);
  make.pointwise(n::logarithm, n::float32, total, -1, -1, logarithm);
  make.pointwise(n::add, n::float32, highest, logarithm, -1, statistic);
  make.pointwise(n::divide, n::float32, powers, total, -1, shares);
  make.matmul(shares, v, o);
  return given.or_missing(make.whole());
}

}  // namespace vendor_parts

struct vendor_row {
  std::string_view family;
  result<vendor_graph> (*make)(const test_case&, element);
};
inline constexpr vendor_row vendors[] = {
    {"layernorm", vendor_parts::layer_norm},
    {"rmsnorm", vendor_parts::rms_norm},
    {"geglu", vendor_parts::geglu},
    {"attention", vendor_parts::attention},
};

[[nodiscard]] inline result<vendor_graph> vendor_graph_of(std::string_view family, const test_case& of, element type) {
  for (const vendor_row& each : vendors)
    if (each.family == family) return each.make(of, type);
  return fault{reason::not_supported, "no library here has an operation for the family " + std::string(family)};
}

}  // namespace skillbench
