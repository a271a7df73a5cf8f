/* The member mask names lanes that are not here. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    int i = threadIdx.x;
    float sum = x[i];
    if (i % 32 < 16) {
        sum += __shfl_xor_sync(0xffffffffu, sum, 8); /* FAULT: shuffle */
        y[i] = sum;
    }
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    int i = threadIdx.x;
    float sum = x[i];
    if (i % 32 < 16) {
        sum += __shfl_xor_sync(0x0000ffffu, sum, 8);
        y[i] = sum;
    }
}
