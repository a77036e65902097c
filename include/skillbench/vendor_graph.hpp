#pragma once
// vendor_graph.hpp: what a vendor's library is asked to do, as plain values.
//
// Layer   1. vendor.hpp makes a graph of a family's case, cuda/cudnn.hpp makes
//         descriptors of it, and a worker gets it over its pipe.
// Source  cudnn_graph_v9.h of cuDNN 9.19: the numbers below, which cudnn_test holds
//         against that header.

#include <cstdint>
#include <string>
#include <vector>

namespace skillbench {

// A descriptor's attribute. Values of a descriptor's type are places of earlier
// descriptors in the graph.
struct vendor_attribute {
  std::int64_t name = 0, type = 0;
  std::vector<std::int64_t> values;

  bool operator==(const vendor_attribute&) const = default;
};
struct vendor_descriptor {
  std::int64_t kind = 0;
  std::vector<vendor_attribute> attributes;

  bool operator==(const vendor_descriptor&) const = default;
};
// A tensor of the graph that is no intermediate: a buffer of the job from an
// element on, or one number.
struct vendor_tensor {
  std::int64_t id = 0;
  std::string name;         // of the buffer; "" for a number
  std::int64_t first = 0;   // element of the buffer
  double number = 0;
  bool integer = false;     // the number is an int, else a float

  bool operator==(const vendor_tensor&) const = default;
};
// The last descriptor is the whole.
struct vendor_graph {
  std::string what;  // "layer norm"
  std::vector<vendor_descriptor> descriptors;
  std::vector<vendor_tensor> tensors;

  bool operator==(const vendor_graph&) const = default;
};

// The library's own numbers, of what is used here.
namespace cudnn_number {

enum descriptor : int {
  pointwise = 0,
  engine_config = 3,
  heuristics = 4,
  execution_plan = 5,
  pointwise_operation = 13,
  operation_graph = 15,
  variant_pack = 16,
  tensor = 17,
  matmul = 18,
  matmul_operation = 19,
  reduction = 21,
  reduction_operation = 22,
  norm_operation = 29,
  device_properties = 38,
};

enum attribute : int {
  pointwise_mode = 0,
  pointwise_precision = 1,
  pointwise_axis = 9,
  heuristics_mode = 200,
  heuristics_graph = 201,
  heuristics_results = 202,
  heuristics_device = 204,
  plan_engine_config = 401,
  plan_workspace = 402,
  plan_device = 407,
  pointwise_of = 750,
  pointwise_x = 751,
  pointwise_b = 752,
  pointwise_y = 753,
  pointwise_t = 758,
  graph_operations = 801,
  tensor_alignment = 900,
  tensor_type = 901,
  tensor_extents = 902,
  tensor_strides = 903,
  tensor_id = 906,
  tensor_virtual = 907,
  tensor_by_value = 908,
  pack_ids = 1000,
  pack_pointers = 1001,
  pack_workspace = 1003,
  matmul_precision = 1500,
  matmul_a = 1520,
  matmul_b = 1521,
  matmul_c = 1522,
  matmul_of = 1523,
  reduction_operator = 1600,
  reduction_precision = 1601,
  reduction_x = 1610,
  reduction_y = 1611,
  reduction_of = 1612,
  norm_mode = 2000,
  norm_phase = 2001,
  norm_x = 2002,
  norm_scale = 2005,
  norm_bias = 2006,
  norm_epsilon = 2007,
  norm_y = 2013,
  device_handle = 2701,
  device_json = 2702,
};

enum type : int {
  handle = 0,
  data_type = 1,
  boolean = 2,
  int64 = 3,
  void_pointer = 6,
  heuristics_mode_type = 8,
  pointwise_mode_type = 14,
  backend_descriptor = 15,
  reduction_operator_type = 18,
  character = 24,
  norm_mode_type = 27,
  norm_phase_type = 28,
};

enum data : int { float32 = 0, half = 2, int32 = 4, bfloat16 = 9, truth = 11 };

enum mode : int {
  multiply = 1,
  divide = 6,
  add = 0,
  subtract = 9,
  exponential = 13,
  logarithm = 15,
  gelu = 104,
  greater_or_equal = 303,
  index = 501,
  select = 601,
};
enum reduce : int { sum = 0, maximum = 3 };
enum norm : int { layer = 0, root_mean_square = 4 };
inline constexpr int inference = 0;
enum heuristic : int { best = 3, fallback = 2 };

}  // namespace cudnn_number

}  // namespace skillbench
