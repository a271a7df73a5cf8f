/* The second warp returns before the barrier. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    __shared__ float table[64];
    int i = threadIdx.x;
    table[i] = x[i];
    if (i >= 32) return;
    __syncthreads(); /* FAULT: missing at barrier */
    y[i] = table[i + 32];
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    __shared__ float table[64];
    int i = threadIdx.x;
    table[i] = x[i];
    __syncthreads();
    if (i >= 32) return;
    y[i] = table[i + 32];
}
