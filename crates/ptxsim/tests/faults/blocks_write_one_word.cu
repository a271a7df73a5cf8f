/* Neighbouring blocks write one element both. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    int i = blockIdx.x * (blockDim.x - 1) + threadIdx.x;
    y[i] = x[i]; /* FAULT: global race */
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = x[i];
}
