/* skillbench
{"family": "copy", "entry": "copy<{T}>", "args": ["x", "y", "n"],
 "grid": ["ceil_div(n, BLOCK)"], "block": ["BLOCK"], "shared": "BLOCK * 4",
 "tune": {"BLOCK": [128, 256], "UNROLL": [1, 2]}, "constraints": ["BLOCK * UNROLL <= 512"],
 "scratch": {"sums": "n * 8"}}
*/
template <typename T> __global__ void copy(const T* x, T* y, int n) {}
