/* Half of a warp waits at a barrier that the other half passes by. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    __shared__ float table[64];
    int i = threadIdx.x;
    table[i] = x[i];
    if (i % 2 == 0) {
        __syncthreads(); /* FAULT: divergent barrier */
        y[i] = table[(i + 2) % 64];
    }
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    __shared__ float table[64];
    int i = threadIdx.x;
    table[i] = x[i];
    __syncthreads();
    if (i % 2 == 0) y[i] = table[(i + 2) % 64];
}
