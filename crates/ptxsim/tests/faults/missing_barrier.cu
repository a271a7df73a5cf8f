/* One warp reads what the other wrote, with no barrier between. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    __shared__ float table[64];
    int i = threadIdx.x;
    table[i] = x[i]; /* FAULT: shared race */
    y[i] = table[63 - i]; /* OTHER */
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    __shared__ float table[64];
    int i = threadIdx.x;
    table[i] = x[i];
    __syncthreads();
    y[i] = table[63 - i];
}
