// CUDA C++ as lines of [class, text]: keywords k, strings s, comments c,
// directives d. A colouring, not a parser: what it does not know stays plain.
const keywords = new Set(
  ("alignas auto bool break case char class const constexpr continue default do double else enum extern false float for goto if inline int long " +
    "namespace operator private public return short signed sizeof static struct switch template this true typedef typename union unsigned using " +
    "void volatile while __global__ __device__ __host__ __shared__ __constant__ __restrict__ __launch_bounds__ __forceinline__ __noinline__ asm half " +
    "__half __half2 __nv_bfloat16 __nv_bfloat162 float2 float4 int2 int4 uint2 uint4 size_t int32_t int64_t uint32_t uint64_t threadIdx blockIdx blockDim gridDim").split(" "),
);
const token = /(\/\/[^\n]*|\/\*[^]*?(?:\*\/|$))|("(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)|(^[ \t]*#(?:[^\n\\]|\\[^])*)|([A-Za-z_]\w*)|(\n)|([^])/gm;

export function marked_source(source) {
  const lines = [[]];
  const put = (kind, words) => {
    const parts = words.split("\n");
    parts.forEach((part, k) => {
      if (k > 0) lines.push([]);
      if (!part) return;
      const line = lines[lines.length - 1];
      const last = line[line.length - 1];
      if (last && last[0] === kind) last[1] += part;
      else line.push([kind, part]);
    });
  };
  for (const [whole, comment, string, directive, name] of source.matchAll(token))
    put(comment ? "c" : string ? "s" : directive ? "d" : name && keywords.has(name) ? "k" : "", whole);
  return lines;
}
