/* Some lanes of the last warp return before the barrier. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    __shared__ float table[64];
    int i = threadIdx.x;
    if (i >= 60) return;
    table[i] = x[i];
    __syncthreads(); /* FAULT: divergent barrier */
    y[i] = table[59 - i];
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    __shared__ float table[64];
    int i = threadIdx.x;
    if (i < 60) table[i] = x[i];
    __syncthreads();
    if (i < 60) y[i] = table[59 - i];
}
