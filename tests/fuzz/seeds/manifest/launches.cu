// skillbench {"family": "copy", "launches": [{"entry": "a<{T}, BLOCK>", "args": ["x", "y", "n"], "grid": ["n"], "block": [32]},
// {"entry": "b<{T}>", "args": ["y", "n"], "grid": [1, 1, 1], "block": ["next_pow2(n)"], "cluster": [2], "cooperative": true}]}
__global__ void a() {}
