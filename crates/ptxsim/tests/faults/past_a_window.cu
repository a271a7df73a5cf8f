/* Writes one row too many: inside the buffer, but beyond the window that was handed over. */
extern "C" __global__ void faulty(const float* x, float* window, int n) {
    for (int i = threadIdx.x; i < n + 64; i += blockDim.x) {
        window[i] = x[i % n]; /* FAULT: out of bounds */
    }
}

extern "C" __global__ void repaired(const float* x, float* window, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) window[i] = x[i];
}
