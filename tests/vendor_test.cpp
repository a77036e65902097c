#include <skillbench/vendor.hpp>

#include <algorithm>
#include <set>
#include <string>

#include <doctest/doctest.h>

using namespace skillbench;
namespace n = skillbench::cudnn_number;

namespace {

test_case rows_of(std::int64_t rows, std::int64_t cols) {
  test_case made;
  made.name = "rows";
  made.integers = {{"rows", rows}, {"cols", cols}};
  made.reals = {{"eps", 1e-3}};
  return made;
}

test_case heads_of(std::int64_t queries, std::int64_t keys, bool causal) {
  test_case made;
  made.name = "heads";
  made.integers = {{"batch", 2}, {"heads", 3}, {"q_len", queries}, {"kv_len", keys}, {"head_dim", 64}, {"causal", causal}};
  made.reals = {{"scale", 0.125}};
  return made;
}

std::vector<std::int64_t> values(const vendor_descriptor& of, std::int64_t name) {
  for (const vendor_attribute& each : of.attributes)
    if (each.name == name) return each.values;
  return {};
}

// The extents of the tensor that is so called in the job.
std::vector<std::int64_t> extents(const vendor_graph& of, const std::string& name, std::int64_t which = n::tensor_extents) {
  for (const vendor_tensor& each : of.tensors)
    if (each.name == name)
      for (const vendor_descriptor& one : of.descriptors)
        if (one.kind == n::tensor && values(one, n::tensor_id) == std::vector{each.id}) return values(one, which);
  return {};
}

std::size_t count(const vendor_graph& of, std::int64_t kind, std::int64_t attribute = -1, std::int64_t value = -1) {
  return static_cast<std::size_t>(std::count_if(of.descriptors.begin(), of.descriptors.end(), [&](const vendor_descriptor& each) {
    return each.kind == kind && (attribute < 0 || values(each, attribute) == std::vector{value});
  }));
}

// What every graph keeps to: parts that are there, ids of their own, all operations
// in the whole, every tensor that is no intermediate told of.
void look(const vendor_graph& of) {
  REQUIRE_FALSE(of.descriptors.empty());
  std::set<std::int64_t> ids, told;
  std::size_t operations = 0, given = 0;
  for (std::size_t i = 0; i < of.descriptors.size(); ++i) {
    const vendor_descriptor& each = of.descriptors[i];
    for (const vendor_attribute& one : each.attributes) {
      CHECK_FALSE(one.values.empty());
      if (one.type != n::backend_descriptor) continue;
      for (const std::int64_t at : one.values) CHECK((at >= 0 && at < static_cast<std::int64_t>(i)));
    }
    operations += each.kind == n::pointwise_operation || each.kind == n::matmul_operation || each.kind == n::reduction_operation || each.kind == n::norm_operation;
    if (each.kind != n::tensor) continue;
    CHECK(ids.insert(values(each, n::tensor_id).at(0)).second);
    CHECK(values(each, n::tensor_id).at(0) > 0);
    CHECK(values(each, n::tensor_extents).size() == values(each, n::tensor_strides).size());
    given += values(each, n::tensor_virtual).at(0) == 0;
  }
  for (const vendor_tensor& each : of.tensors) {
    CHECK(ids.count(each.id) == 1);
    CHECK(told.insert(each.id).second);
  }
  CHECK(of.tensors.size() == given);
  CHECK(of.descriptors.back().kind == n::operation_graph);
  CHECK(values(of.descriptors.back(), n::graph_operations).size() == operations);
}

}  // namespace

TEST_CASE("vendor: norms have rows as the batch and columns as channels") {
  const vendor_graph layer = vendor_graph_of("layernorm", rows_of(7, 33), element::bf16).value();
  look(layer);
  CHECK(layer.what == "layer norm");
  CHECK(extents(layer, "x") == std::vector<std::int64_t>{7, 33, 1, 1});
  CHECK(extents(layer, "bias") == std::vector<std::int64_t>{1, 33, 1, 1});
  CHECK(extents(layer, "y", n::tensor_type) == std::vector<std::int64_t>{n::bfloat16});
  CHECK(count(layer, n::norm_operation, n::norm_mode, n::layer) == 1);
  const auto number = std::find_if(layer.tensors.begin(), layer.tensors.end(), [](const auto& each) { return each.name.empty(); });
  REQUIRE(number != layer.tensors.end());
  CHECK(number->number == 1e-3);

  const vendor_graph square = vendor_graph_of("rmsnorm", rows_of(7, 33), element::f32).value();
  look(square);
  CHECK(extents(square, "bias").empty());
  CHECK(count(square, n::norm_operation, n::norm_mode, n::root_mean_square) == 1);
}

TEST_CASE("vendor: both halves of a row of geglu are the same buffer") {
  const vendor_graph made = vendor_graph_of("geglu", rows_of(5, 48), element::f16).value();
  look(made);
  std::vector<std::int64_t> firsts;
  for (const vendor_tensor& each : made.tensors)
    if (each.name == "x") firsts.push_back(each.first);
  CHECK(firsts == std::vector<std::int64_t>{0, 48});
  CHECK(extents(made, "x", n::tensor_strides) == std::vector<std::int64_t>{2 * 5 * 48, 2 * 48, 1});
  CHECK(extents(made, "y", n::tensor_strides) == std::vector<std::int64_t>{5 * 48, 48, 1});
}

TEST_CASE("vendor: attention is a softmax in its parts, and a mask only where it is asked for") {
  const vendor_graph full = vendor_graph_of("attention", heads_of(31, 47, false), element::f16).value();
  look(full);
  CHECK(count(full, n::matmul_operation) == 2);
  CHECK(count(full, n::reduction_operation) == 2);
  CHECK(count(full, n::pointwise, n::pointwise_mode, n::index) == 0);
  CHECK(extents(full, "k") == std::vector<std::int64_t>{2, 3, 64, 47});
  CHECK(extents(full, "k", n::tensor_strides) == std::vector<std::int64_t>{3 * 47 * 64, 47 * 64, 1, 64});

  const vendor_graph square = vendor_graph_of("attention", heads_of(47, 47, true), element::bf16).value();
  look(square);
  CHECK(count(square, n::pointwise, n::pointwise_mode, n::index) == 2);
  CHECK(count(square, n::pointwise, n::pointwise_mode, n::select) == 1);
  CHECK(count(square, n::pointwise, n::pointwise_precision, n::int32) == 0);
  CHECK(std::none_of(square.tensors.begin(), square.tensors.end(), [](const auto& each) { return each.integer; }));

  // The last query sees the last key.
  const vendor_graph later = vendor_graph_of("attention", heads_of(31, 47, true), element::bf16).value();
  look(later);
  CHECK(count(later, n::pointwise, n::pointwise_precision, n::int32) == 2);
  std::vector<double> shifts;
  for (const vendor_tensor& each : later.tensors)
    if (each.integer) shifts.push_back(each.number);
  CHECK(shifts == std::vector<double>{47, 31});
}

TEST_CASE("vendor: what no library does is told, by family, case or type") {
  const auto why = [](const char* family, const test_case& of, element type) {
    const auto made = vendor_graph_of(family, of, type);
    REQUIRE_FALSE(made);
    return made.error();
  };
  CHECK(why("copy", rows_of(1, 1), element::f32).why == reason::not_supported);
  CHECK(why("copy", rows_of(1, 1), element::f32).what.find("family copy") != std::string::npos);
  CHECK(why("attention", heads_of(31, 47, false), element::f32).what.find("16-bit types") != std::string::npos);
  CHECK(why("attention", heads_of(48, 47, true), element::f16).what.find("some see no key") != std::string::npos);
  CHECK(vendor_graph_of("attention", heads_of(48, 47, false), element::f16));
  test_case bare;
  bare.name = "bare";
  CHECK(why("layernorm", bare, element::f32).why == reason::bad_argument);
  CHECK(why("layernorm", bare, element::f32).what.find("no number `eps`") != std::string::npos);
}
