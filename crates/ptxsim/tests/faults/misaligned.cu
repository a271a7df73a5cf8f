/* Loads four floats at an odd place. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    int i = threadIdx.x;
    if (4 * i + 8 > n) return;
    float4 v = *reinterpret_cast<const float4*>(x + 4 * i + 2); /* FAULT: misaligned */
    y[i] = v.x + v.y + v.z + v.w;
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    int i = threadIdx.x;
    if (4 * i + 8 > n) return;
    float4 v = *reinterpret_cast<const float4*>(x + 4 * i + 4);
    y[i] = v.x + v.y + v.z + v.w;
}
