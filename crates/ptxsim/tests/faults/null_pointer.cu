/* A pointer that was never set. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    y[threadIdx.x] = x[threadIdx.x]; /* FAULT: out of bounds */
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    y[threadIdx.x] = x ? x[threadIdx.x] : 0.0f;
}
