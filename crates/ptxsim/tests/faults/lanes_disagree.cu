/* Two lanes of a warp write different values to one word. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    __shared__ float table[64];
    int i = threadIdx.x;
    table[i / 2] = x[i]; /* FAULT: shared race */
    __syncthreads();
    y[i] = table[i / 2];
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    __shared__ float table[64];
    int i = threadIdx.x;
    table[i / 2] = x[i / 2];
    __syncthreads();
    y[i] = table[i / 2];
}
