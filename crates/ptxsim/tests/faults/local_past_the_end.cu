/* A table of a thread's own is read behind its end. */
template <int SIZE>
__device__ inline void pick(const float* x, float* y, int n) {
    int table[SIZE];
    for (int i = 0; i < SIZE; i++) table[i] = (int)x[(threadIdx.x + i) % n] * i;
    int at = (int)x[3] * 0 + threadIdx.x / 8 + 8;
    y[threadIdx.x] = table[at]; /* FAULT: out of bounds */
}

extern "C" __global__ void faulty(const float* x, float* y, int n) { pick<12>(x, y, n); }

extern "C" __global__ void repaired(const float* x, float* y, int n) { pick<16>(x, y, n); }
