/* Adds to a result that nobody set. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        y[i] += /* FAULT: unwritten global memory */
            x[i];
    }
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i];
}
