/* A block overwrites what the block before has read. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float neighbour = i + 64 < n ? x[i + 64] : 0.0f;
    const_cast<float*>(x)[i] = 2.0f * neighbour; /* FAULT: global race */
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float neighbour = i + 64 < n ? x[i + 64] : 0.0f;
    y[i] = 2.0f * neighbour;
}
