/* One warp reads a sum while the other still adds to it. */
template <bool BARRIER>
__device__ inline void count(float* y) {
    __shared__ int sum;
    int i = threadIdx.x;
    if (i == 0) sum = 0;
    __syncthreads();
    atomicAdd(&sum, 1); /* FAULT: shared race */
    if (BARRIER) __syncthreads();
    y[i] = sum; /* OTHER */
}

extern "C" __global__ void faulty(const float* x, float* y, int n) { count<false>(y); }

extern "C" __global__ void repaired(const float* x, float* y, int n) { count<true>(y); }
