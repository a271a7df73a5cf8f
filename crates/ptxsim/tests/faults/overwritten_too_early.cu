/* The second round overwrites what the other warp still reads. */
template <bool BARRIER>
__device__ inline void rounds(const float* x, float* y) {
    __shared__ float table[64];
    int i = threadIdx.x;
    float sum = 0.0f;
    for (int round = 0; round < 3; round++) {
        table[i] = x[round * 64 + i]; /* OTHER */
        __syncthreads();
        sum += table[63 - i]; /* FAULT: shared race */
        if (BARRIER) __syncthreads();
    }
    y[i] = sum;
}

extern "C" __global__ void faulty(const float* x, float* y, int n) { rounds<false>(x, y); }

extern "C" __global__ void repaired(const float* x, float* y, int n) { rounds<true>(x, y); }
