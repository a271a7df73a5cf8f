/* Waits for what nobody does. */
extern "C" __global__ void faulty(const float* x, float* y, int n) {
    volatile float* flag = y;
    if (threadIdx.x == 0) y[0] = x[0];
    while (flag[0] != 12345.0f) { /* FAULT: endless */
    }
    y[threadIdx.x + 1] = 1.0f;
}

extern "C" __global__ void repaired(const float* x, float* y, int n) {
    for (int i = 0; i < 100; i++) y[threadIdx.x] = x[i];
}
