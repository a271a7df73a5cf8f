/* Kernels whose memory costs are known. y: floats, enough of them. One block of 32 threads. */
extern "C" __global__ void global_unit(const float* x, float* y, int n) { y[threadIdx.x] = x[threadIdx.x]; }

extern "C" __global__ void global_stride(const float* x, float* y, int n) { y[threadIdx.x] = x[threadIdx.x * 8]; }

extern "C" __global__ void global_broadcast(const float* x, float* y, int n) { y[threadIdx.x] = x[n]; }

extern "C" __global__ void global_shifted(const float* x, float* y, int n) { y[threadIdx.x] = x[threadIdx.x + 1]; }

extern "C" __global__ void global_quads(const float4* x, float4* y, int n) { y[threadIdx.x] = x[threadIdx.x]; }

extern "C" __global__ void global_half(const float* x, float* y, int n) {
    if (threadIdx.x < 16) y[threadIdx.x] = x[threadIdx.x];
}

template <typename T, int STRIDE>
__device__ inline void through_shared(const T* x, T* y) {
    __shared__ __align__(16) T table[32 * STRIDE];
    table[threadIdx.x * STRIDE] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = table[(31 - threadIdx.x) * STRIDE];
}

extern "C" __global__ void shared_unit(const float* x, float* y, int n) { through_shared<float, 1>(x, y); }
extern "C" __global__ void shared_two(const float* x, float* y, int n) { through_shared<float, 2>(x, y); }
extern "C" __global__ void shared_odd(const float* x, float* y, int n) { through_shared<float, 33>(x, y); }
extern "C" __global__ void shared_all(const float* x, float* y, int n) { through_shared<float, 32>(x, y); }
extern "C" __global__ void shared_pairs(const float2* x, float2* y, int n) { through_shared<float2, 1>(x, y); }
extern "C" __global__ void shared_quads(const float4* x, float4* y, int n) { through_shared<float4, 1>(x, y); }
extern "C" __global__ void shared_quads_two(const float4* x, float4* y, int n) { through_shared<float4, 2>(x, y); }

/* All lanes read one word, then each four lanes one. */
extern "C" __global__ void shared_broadcast(const float* x, float* y, int n) {
    __shared__ float table[32];
    table[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = table[n] + table[threadIdx.x / 4];
}

/* n rounds of four multiply-adds, one sum and one load. */
extern "C" __global__ void hot(const float* x, float* y, int n) {
    float a = x[0], b = 1.0f;
#pragma unroll 1
    for (int i = 0; i < n; i++) {
        float v = x[i];
        a = fmaf(a, v, b);
        b = fmaf(b, v, a);
        a = fmaf(a, v, b);
        b = fmaf(b, v, a);
    }
    y[threadIdx.x] = a + b;
}

/* n divergent branches of one warp. */
extern "C" __global__ void branches(const float* x, float* y, int n) {
    float sum = 0.0f;
#pragma unroll 1
    for (int i = 0; i < n; i++) {
        if ((threadIdx.x + i) % 2) {
            atomicAdd(y + 32, 1.0f);
        } else {
            sum = sum * 3.0f + x[i];
        }
    }
    y[threadIdx.x] = sum;
}
