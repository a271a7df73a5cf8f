/* Some blocks add with an atomic, one without. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    if (threadIdx.x != 0) return;
    float* sum = y + n;
    if (blockIdx.x == 2) {
        *sum = x[2]; /* FAULT: global race */
    } else {
        atomicAdd(sum, x[blockIdx.x]);
    }
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    if (threadIdx.x == 0) atomicAdd(y + n, x[blockIdx.x]);
}
