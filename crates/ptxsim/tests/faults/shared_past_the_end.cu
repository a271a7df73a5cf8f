/* A table in shared memory is one entry too short. */
template <int SIZE>
__device__ inline void turn(const float* x, float* y, int last) {
    __shared__ float table[SIZE];
    int i = threadIdx.x;
    if (i < SIZE) table[i] = x[i];
    __syncthreads();
    y[i] = table[last - i]; /* FAULT: out of bounds */
}

extern "C" __global__ void faulty(const float* x, float* y, int n) { turn<63>(x, y, n / 4 - 1); }

extern "C" __global__ void repaired(const float* x, float* y, int n) { turn<64>(x, y, n / 4 - 1); }
