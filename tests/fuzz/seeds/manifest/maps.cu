/* skillbench
{"family": "copy", "entry": "copy<{T}>", "args": ["map_x", "y", "n"], "grid": ["n"], "block": ["128"],
 "tensor_maps": {"map_x": {"tensor": "x", "box": ["64"], "swizzle": 128, "shape": ["n"]}}}
*/
__global__ void copy() {}
