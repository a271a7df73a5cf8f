/* A pointer that was never set. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    const float* bias = n > 0 ? reinterpret_cast<const float*>((long long)(n - n)) : x;
    y[threadIdx.x] = bias[threadIdx.x]; /* FAULT */
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    const float* bias = n > 0 ? x : nullptr;
    y[threadIdx.x] = bias[threadIdx.x];
}
