/* One thread reads behind the last element. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i + 1]; /* FAULT: out of bounds */
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = i + 1 < n ? x[i + 1] : 0.0f;
}
