// What a reward function does: a model's outputs in, numbers out.
#include <skillbench/skillbench.hpp>

const std::string kernel = R"(
/* skillbench {"family": "rmsnorm", "entry": "norm<{T}>",
    "args": ["x", "weight", "y", "rows", "cols", "eps"],
    "grid": ["rows"], "block": ["32"], "shared_bytes": "0"} */
#include <cuda_bf16.h>
#include <cuda_fp16.h>
template <typename T>
__global__ void norm(const T* x, const T* w, T* y, int, int cols, float eps) {
  x += size_t(cols) * blockIdx.x, y += size_t(cols) * blockIdx.x;
  float s = 0;
  for (int c = threadIdx.x; c < cols; c += 32) s += float(x[c]) * float(x[c]);
  for (int o = 16; o > 0; o /= 2) s += __shfl_xor_sync(~0u, s, o);
  s = rsqrtf(s / cols + eps);
  for (int c = threadIdx.x; c < cols; c += 32)
    y[c] = T(float(x[c]) * s * float(w[c]));
})";

int main() {
  auto opened = skillbench::grader::open();
  if (!opened) return std::puts(opened.error().what.c_str()), 3;
  skillbench::grader& grader = opened.value();

  std::string no_eps = kernel, torn = kernel.substr(0, kernel.size() - 1);
  no_eps.replace(no_eps.find(" + eps"), 6, "");
  for (const auto& output : {std::string("One warp."), torn, no_eps, kernel}) {
    const auto told = grader.grade(output, "rmsnorm");
    if (!told) return std::puts(told.error().what.c_str()), 3;
    const auto worth = skillbench::reward(told.value());  // none if unjudged
    std::printf("%s  %s\n", worth ? std::to_string(*worth).c_str() : "none",
                std::string(name(told.value().what)).c_str());
  }
}
