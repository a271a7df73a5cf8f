/* One thread writes before the first element. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i - 1] = x[i]; /* FAULT: out of bounds */
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i > 0 && i < n) y[i - 1] = x[i];
}
