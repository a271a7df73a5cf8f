/* Only the even entries are written. */
template <int STEP>
__device__ inline void turn(const float* x, float* y) {
    __shared__ float table[64];
    int i = threadIdx.x;
    if (i % STEP == 0) table[i] = x[i];
    __syncthreads();
    y[i] = table[63 - i]; /* FAULT: unwritten shared memory */
}

extern "C" __global__ void faulty(const float* x, float* y, int n) { turn<2>(x, y); }

extern "C" __global__ void repaired(const float* x, float* y, int n) { turn<1>(x, y); }
