/* As in no_fence; a barrier and then a fence of one thread order the writes of all. */
template <bool BARRIER>
__device__ inline void last_adds(const float* x, float* y, int n) {
    __shared__ unsigned int ticket;
    unsigned int* counter = reinterpret_cast<unsigned int*>(y + n);
    int i = 63 - threadIdx.x;
    if (!BARRIER && i == 0) {
        __threadfence();
        ticket = atomicAdd(counter, 1u);
    }
    y[blockIdx.x * 64 + i] = x[blockIdx.x * 64 + i] * 2.0f;
    __syncthreads();
    if (BARRIER && i == 0) {
        __threadfence();
        ticket = atomicAdd(counter, 1u);
    }
    __syncthreads();
    if (ticket + 1 < gridDim.x) return;
    float sum = 0.0f;
    for (int block = 0; block < gridDim.x; block++) {
        sum += y[block * 64 + i]; /* FAULT: global race */
    }
    y[i] = sum;
}

extern "C" __global__ void faulty(const float* x, float* y, int n) { last_adds<false>(x, y, n); }

extern "C" __global__ void repaired(const float* x, float* y, int n) { last_adds<true>(x, y, n); }
