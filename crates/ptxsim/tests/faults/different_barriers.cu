/* Each warp waits at a barrier of its own. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    __shared__ float table[64];
    int i = threadIdx.x;
    table[i] = x[i];
    if (i < 32) {
        __syncthreads(); /* OTHER */
        y[i] = table[i + 32];
    } else {
        y[i] = x[i];
        __syncthreads(); /* FAULT: missing at barrier */
    }
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    __shared__ float table[64];
    int i = threadIdx.x;
    table[i] = x[i];
    __syncthreads();
    y[i] = i < 32 ? table[i + 32] : x[i];
}
