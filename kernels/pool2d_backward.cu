/* Gradients of pools: max_pool2d_backward_f32, avg_pool2d_backward_f32, global_avg_pool2d_backward_f32.
 * All gather: one thread has four channels of one pixel of dx, and adds what the windows that cover it give, in reading order.
 * Grid (ceil(C/4*H*W / 256), N), block 256.  Shared: none.  Order: no atomics, the same bits on every run.
 * Limits: C/4*H*W < 2^31, N < 65536. */
#include "common.cuh"

struct Pool2dBackward {
    MapView x, dy, dx;  /* x: max only */
    int images, accumulate;
    int r, s, stride_h, stride_w, pad_h, pad_w;
    int include_padding; /* average only: windows share by R*S everywhere, or by the values inside the map */
    int reserved;
};

/* A thread's quad of dx, and the windows that cover it: rows [p0, p1] and columns [q0, q1]. */
struct Pixel {
    int c4, h, w, p0, p1, q0, q1;
    float4* dx;
    const float4* dy; /* the channels' plane */
    bool none;        /* nothing for this thread */
};

__device__ inline int first_window(int i, int pad, int size, int stride) { return max(i + pad - size + stride, 0) / stride; }

__device__ inline Pixel pixel_of(const Pool2dBackward& pool) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, image = blockIdx.y, pixels = pool.dx.h * pool.dx.w;
    Pixel pixel;
    pixel.c4 = i / pixels;
    pixel.h = i % pixels / pool.dx.w;
    pixel.w = i % pool.dx.w;
    pixel.p0 = first_window(pixel.h, pool.pad_h, pool.r, pool.stride_h);
    pixel.q0 = first_window(pixel.w, pool.pad_w, pool.s, pool.stride_w);
    pixel.p1 = min((pixel.h + pool.pad_h) / pool.stride_h, pool.dy.h - 1);
    pixel.q1 = min((pixel.w + pool.pad_w) / pool.stride_w, pool.dy.w - 1);
    pixel.dx = pool.dx.data + (ptrdiff_t)image * pool.dx.image_stride + i;
    pixel.dy = pool.dy.data + (ptrdiff_t)image * pool.dy.image_stride + (ptrdiff_t)pixel.c4 * pool.dy.h * pool.dy.w;
    pixel.none = pixel.c4 >= pool.dx.c4;
    return pixel;
}

/* One channel's search for the value that a window took. */
__device__ inline void look(float x, bool own, float& best, bool& wins) {
    if (x > best || x != x) {
        best = x;
        wins = own;
    }
}

/* max_pool2d_backward_f32: dx[n,c,h,w] = sum of dy[n,c,p,q] over the windows in which (h, w) holds the first largest x in reading
 * order, or the last NaN.  Source: torch.nn.MaxPool2d, floor mode; padding never wins.
 * x a view [N,C,H,W], dy a view [N,C,P,Q] in;  dx a view [N,C,H,W], overwritten, or added to. */
extern "C" __global__ void __launch_bounds__(256) max_pool2d_backward_f32(const Pool2dBackward pool) {
    const Pixel pixel = pixel_of(pool);
    if (pixel.none) return;
    const float4* const x = pool.x.data + (ptrdiff_t)blockIdx.y * pool.x.image_stride +
                            (ptrdiff_t)pixel.c4 * pool.x.h * pool.x.w;
    float4 sum = pool.accumulate ? *pixel.dx : zero4();
    for (int p = pixel.p0; p <= pixel.p1; p++) {
        const int h0 = p * pool.stride_h - pool.pad_h, h1 = min(h0 + pool.r, pool.x.h);
        for (int q = pixel.q0; q <= pixel.q1; q++) {
            const int w0 = q * pool.stride_w - pool.pad_w, w1 = min(w0 + pool.s, pool.x.w);
            const int top = max(h0, 0), left = max(w0, 0);
            float4 best = __ldg(x + top * pool.x.w + left);
            const bool first = top == pixel.h && left == pixel.w;
            bool wins_x = first, wins_y = first, wins_z = first, wins_w = first;
            for (int h = top; h < h1; h++) {
                for (int w = left; w < w1; w++) {
                    const float4 next = __ldg(x + h * pool.x.w + w);
                    const bool own = h == pixel.h && w == pixel.w;
                    look(next.x, own, best.x, wins_x);
                    look(next.y, own, best.y, wins_y);
                    look(next.z, own, best.z, wins_z);
                    look(next.w, own, best.w, wins_w);
                }
            }
            const float4 dy = __ldg(pixel.dy + p * pool.dy.w + q);
            sum.x += wins_x ? dy.x : 0.0f;
            sum.y += wins_y ? dy.y : 0.0f;
            sum.z += wins_z ? dy.z : 0.0f;
            sum.w += wins_w ? dy.w : 0.0f;
        }
    }
    *pixel.dx = sum;
}

/* avg_pool2d_backward_f32: dx[n,c,h,w] = sum of dy[n,c,p,q] / d[p,q] over the windows that cover (h, w); d = R*S, or the number of
 * values inside the map.  Source: torch.nn.AvgPool2d with count_include_pad true, or false.
 * dy a view [N,C,P,Q] in;  dx a view [N,C,H,W], overwritten, or added to. */
extern "C" __global__ void __launch_bounds__(256) avg_pool2d_backward_f32(const Pool2dBackward pool) {
    const Pixel pixel = pixel_of(pool);
    if (pixel.none) return;
    float4 sum = pool.accumulate ? *pixel.dx : zero4();
    for (int p = pixel.p0; p <= pixel.p1; p++) {
        const int h0 = p * pool.stride_h - pool.pad_h, rows = min(h0 + pool.r, pool.dx.h) - max(h0, 0);
        for (int q = pixel.q0; q <= pixel.q1; q++) {
            const int w0 = q * pool.stride_w - pool.pad_w, columns = min(w0 + pool.s, pool.dx.w) - max(w0, 0);
            const int d = pool.include_padding ? pool.r * pool.s : rows * columns;
            sum = sum + __ldg(pixel.dy + p * pool.dy.w + q) * (1.0f / (float)d);
        }
    }
    *pixel.dx = sum;
}

/* global_avg_pool2d_backward_f32: dx[n,c,h,w] = dy[n,c] / (H*W).  Source: torch.nn.AdaptiveAvgPool2d((1, 1)).
 * dy a view [N,C,1,1] in;  dx a view [N,C,H,W], overwritten. */
extern "C" __global__ void __launch_bounds__(256) global_avg_pool2d_backward_f32(const Pool2dBackward pool) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, image = blockIdx.y, pixels = pool.dx.h * pool.dx.w;
    const int c4 = i / pixels;
    if (c4 >= pool.dx.c4) return;
    const float4 dy = __ldg(pool.dy.data + (ptrdiff_t)image * pool.dy.image_stride + c4);
    pool.dx.data[(ptrdiff_t)image * pool.dx.image_stride + i] = dy * (1.0f / (float)pixels);
}
