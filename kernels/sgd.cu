/* What touches all parameters that learn at once: gradient_norm_f32, sgd_update_f32. Both are bound by memory.
 * Arrays are [count] at multiples of 16 bytes; a block has 1024 quads of four values, a thread four of them, 256 apart. What is left
 * of the last quad is one thread's.  Order: sums as trees of one shape, no floating-point atomics: the same bits on every run.
 * Limits: count < 2^31. */
#include "sum.cuh"

#define THREADS 256
#define EACH 4 /* quads of a thread, all on the way at a time */

struct GradientNorm {
    const float4* g;
    float* norm;
    double* partials;     /* one a block */
    unsigned int* ticket; /* 0 before and after */
    int count;
    int reserved;
};

__device__ inline double square(float x) { return (double)x * (double)x; }

/* gradient_norm_f32: norm = sqrt(sum g^2), in float64.
 * g in;  norm [1], overwritten.  Grid (blocks), each of which takes every gridDim.x-th 1024 quads.  Shared: 64 bytes. The sum over
 * blocks is that of the block that comes last (an integer ticket tells). */
extern "C" __global__ void __launch_bounds__(THREADS) gradient_norm_f32(const GradientNorm op) {
    const int quads = op.count / 4;
    double sums[1] = {0.0};
    for (int first = blockIdx.x * (THREADS * EACH) + threadIdx.x; first < quads; first += gridDim.x * (THREADS * EACH)) {
        float4 g[EACH];
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            g[i] = first + i * THREADS < quads ? __ldg(op.g + first + i * THREADS) : zero4();
        }
#pragma unroll
        for (int i = 0; i < EACH; i++) sums[0] += (square(g[i].x) + square(g[i].y)) + (square(g[i].z) + square(g[i].w));
    }
    if (blockIdx.x == 0 && threadIdx.x < op.count % 4) {
        sums[0] += square(__ldg(reinterpret_cast<const float*>(op.g + quads) + threadIdx.x));
    }
    double sum = block_sums(sums);
    if (gridDim.x > 1) {
        if (threadIdx.x == 0) op.partials[blockIdx.x] = sum;
        if (!is_last(op.ticket, gridDim.x)) return;
        sums[0] = 0.0;
        for (int block = threadIdx.x; block < gridDim.x; block += THREADS) sums[0] += op.partials[block];
        sum = block_sums(sums);
    }
    if (threadIdx.x == 0) *op.norm = (float)sqrt(sum);
}

struct SgdUpdate {
    float4* w;
    const float4* g;
    float4* v;
    const float* norm;
    const float* controls; /* lr, momentum, weight decay, nesterov, clip norm */
    int count;
    int reserved;
};

struct Rates {
    float lr, momentum, decay, scale;
    bool nesterov;
};

__device__ inline void update(const Rates& rates, float g, float& w, float& v) {
    g = fmaf(rates.decay, w, g * rates.scale);
    v = fmaf(rates.momentum, v, g);
    w = fmaf(-rates.lr, rates.nesterov ? fmaf(rates.momentum, v, g) : v, w);
}

/* sgd_update_f32: g' = g * min(1, clip/norm) + decay*w, v = momentum*v + g', w = w - lr*v, or with Nesterov w - lr*(g' + momentum*v).
 * Source: torch.optim.SGD, torch.nn.utils.clip_grad_norm_, without the 1e-6 that the latter adds to the norm.
 * g, norm [1], controls [8] in;  w, v overwritten.  Grid (ceil(count/4 / 1024)).  Shared: none. */
extern "C" __global__ void __launch_bounds__(THREADS) sgd_update_f32(const SgdUpdate op) {
    const float norm = __ldg(op.norm), clip = __ldg(op.controls + 4);
    Rates rates;
    rates.lr = __ldg(op.controls);
    rates.momentum = __ldg(op.controls + 1);
    rates.decay = __ldg(op.controls + 2);
    rates.nesterov = __ldg(op.controls + 3) != 0.0f;
    rates.scale = norm > clip ? clip / norm : 1.0f;
    const int quads = op.count / 4, first = blockIdx.x * (THREADS * EACH) + threadIdx.x;
    float4 w[EACH], g[EACH], v[EACH];
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        const int at = first + i * THREADS;
        if (at >= quads) break;
        w[i] = op.w[at];
        g[i] = __ldg(op.g + at);
        v[i] = op.v[at];
    }
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        const int at = first + i * THREADS;
        if (at >= quads) break;
        update(rates, g[i].x, w[i].x, v[i].x);
        update(rates, g[i].y, w[i].y, v[i].y);
        update(rates, g[i].z, w[i].z, v[i].z);
        update(rates, g[i].w, w[i].w, v[i].w);
        op.w[at] = w[i];
        op.v[at] = v[i];
    }
    if (blockIdx.x == 0 && threadIdx.x < op.count % 4) {
        float* const last_w = reinterpret_cast<float*>(op.w + quads) + threadIdx.x;
        float* const last_v = reinterpret_cast<float*>(op.v + quads) + threadIdx.x;
        update(rates, __ldg(reinterpret_cast<const float*>(op.g + quads) + threadIdx.x), *last_w, *last_v);
    }
}
