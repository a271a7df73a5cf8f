/* Pools: max_pool2d_forward_f32, avg_pool2d_forward_f32, global_avg_pool2d_forward_f32. */
#include "common.cuh"

struct Pool2dForward {
    MapView x, y;
    const float4* bias; /* average only: bias of a convolution the pool was moved behind, then ReLU; null for none */
    int images;
    int r, s, stride_h, stride_w, pad_h, pad_w;
    int include_padding; /* average only: divide by R*S everywhere, or by the values inside the map */
};

/* One output quad of one thread: where it lies and what its window covers. */
struct Window {
    const float4* x;  /* the channels' first pixel of the image; the next lies two further */
    float4* y;
    int c4, h0, w0;   /* first row and column of the window, possibly outside */
    bool none;        /* no output for this thread */
};

__device__ inline Window window_of(const Pool2dForward& pool) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, image = blockIdx.y;
    const Quad quad = quad_in(i, pool.y.h * pool.y.w);
    const int p = quad.pixel / pool.y.w, q = quad.pixel % pool.y.w;
    Window window;
    window.none = quad.c4 >= pool.y.c4;
    window.c4 = quad.c4;
    window.x = pool.x.data + (ptrdiff_t)image * pool.x.image_stride + quad_at(quad.c4, 0, pool.x.h * pool.x.w);
    window.y = pool.y.data + (ptrdiff_t)image * pool.y.image_stride + i;
    window.h0 = p * pool.stride_h - pool.pad_h;
    window.w0 = q * pool.stride_w - pool.pad_w;
    return window;
}

__device__ inline float larger(float best, float x) { return x > best || x != x ? x : best; }

/* max_pool2d_forward_f32: windowed maximum.
 * y[n,c,p,q] = max_{r<R, s<S} x[n, c, p*stride_h - pad_h + r, q*stride_w - pad_w + s]
 * Source: torch.nn.MaxPool2d, floor mode; padding never wins, NaN always does.
 * x a view [N,C,H,W] in;  y a view [N,C,P,Q], overwritten.
 * Grid (ceil(C/4*P*Q / 256), N), block 256: one thread, four channels of one output.  Shared: none.
 * Order: no atomics, the same bits on every run.  Limits: C/4*P*Q < 2^31, N < 65536. */
extern "C" __global__ void __launch_bounds__(256) max_pool2d_forward_f32(const Pool2dForward pool) {
    const Window window = window_of(pool);
    if (window.none) return;
    const float least = __int_as_float(0xff800000);  /* -infinity */
    float4 best = make_float4(least, least, least, least);
    for (int h = max(window.h0, 0); h < min(window.h0 + pool.r, pool.x.h); h++) {
        for (int w = max(window.w0, 0); w < min(window.w0 + pool.s, pool.x.w); w++) {
            const float4 x = __ldg(window.x + (h * pool.x.w + w) * 2);
            best = make_float4(larger(best.x, x.x), larger(best.y, x.y), larger(best.z, x.z), larger(best.w, x.w));
        }
    }
    *window.y = best;
}

/* avg_pool2d_forward_f32: windowed mean, and the bias and ReLU of a convolution that the pool was moved behind.
 * y[n,c,p,q] = f(sum_{r<R, s<S} x[n, c, p*stride_h - pad_h + r, q*stride_w - pad_w + s] / d), padding counts as 0;
 * d = R*S, or the number of values inside the map; f(t) = t, or max(t + bias[c], 0).
 * Source: torch.nn.AvgPool2d with count_include_pad true, or false.
 * x, y, grid, order, limits: as max_pool2d_forward_f32.  bias [C]. */
extern "C" __global__ void __launch_bounds__(256) avg_pool2d_forward_f32(const Pool2dForward pool) {
    const Window window = window_of(pool);
    if (window.none) return;
    const int top = max(window.h0, 0), bottom = min(window.h0 + pool.r, pool.x.h);
    const int left = max(window.w0, 0), right = min(window.w0 + pool.s, pool.x.w);
    const int d = pool.include_padding ? pool.r * pool.s : (bottom - top) * (right - left);
    const float inverse = 1.0f / (float)d;
    float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    for (int h = top; h < bottom; h++) {
        for (int w = left; w < right; w++) sum = sum + __ldg(window.x + (h * pool.x.w + w) * 2);
    }
    float4 mean = sum * inverse;
    if (pool.bias) mean = relu(mean + __ldg(pool.bias + window.c4));
    *window.y = mean;
}

struct GlobalAvgPool2dForward {
    MapView x, y; /* y is 1x1 */
    int images;
    int reserved;
};

/* global_avg_pool2d_forward_f32: mean of each channel's map.
 * y[n,c] = sum_{h,w} x[n,c,h,w] / (H*W).  Source: torch.nn.AdaptiveAvgPool2d((1, 1)).
 * x a view [N,C,H,W] in;  y a view [N,C,1,1], overwritten.
 * Grid (ceil(C/4 / 32), N), block 256: sixteen threads have eight channels, every other of them four.  Shared: none.
 * Order: each thread adds every eighth pixel in order, then the eight sums are added as a tree: the same bits on every run. */
extern "C" __global__ void __launch_bounds__(256) global_avg_pool2d_forward_f32(const GlobalAvgPool2dForward pool) {
    const int c4 = blockIdx.x * 32 + threadIdx.x / 16 * 2 + threadIdx.x % 2, image = blockIdx.y, part = threadIdx.x / 2 % 8;
    const int pixels = pool.x.h * pool.x.w;
    const float4* const x = pool.x.data + (ptrdiff_t)image * pool.x.image_stride + quad_at(c4, 0, pixels);
    float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (c4 < pool.x.c4) {
        for (int i = part; i < pixels; i += 8) sum = sum + __ldg(x + i * 2);
    }
#pragma unroll
    for (int apart = 8; apart > 1; apart /= 2) {
        sum.x += __shfl_xor_sync(~0u, sum.x, apart);
        sum.y += __shfl_xor_sync(~0u, sum.y, apart);
        sum.z += __shfl_xor_sync(~0u, sum.z, apart);
        sum.w += __shfl_xor_sync(~0u, sum.w, apart);
    }
    if (part != 0 || c4 >= pool.x.c4) return;
    pool.y.data[(ptrdiff_t)image * pool.y.image_stride + c4] = sum * (1.0f / (float)pixels);
}
