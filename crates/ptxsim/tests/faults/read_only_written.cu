/* Reads through the read-only cache what this launch writes. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    int i = threadIdx.x;
    y[i] = x[i];
    __syncthreads();
    y[64 + i] = __ldg(y + 63 - i); /* FAULT: read-only written */
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    int i = threadIdx.x;
    y[i] = x[i];
    __syncthreads();
    y[64 + i] = y[63 - i];
}
