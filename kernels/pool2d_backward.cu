/* Gradients of pools: max_pool2d_backward_f32, avg_pool2d_backward_f32, global_avg_pool2d_backward_f32.
 * All gather: one thread has four channels of one pixel of dx, and adds what the windows that cover it give, in reading order.
 * Grid (ceil(C/4*H*W / 256), N), block 256.  Shared: none but where it is said.  Order: no atomics, the same bits on every run.
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
    const float4* dy; /* the channels' first window; the next lies two further */
    bool none;        /* nothing for this thread */
};

__device__ inline int first_window(int i, int pad, int size, int stride) { return max(i + pad - size + stride, 0) / stride; }

/* Of the quad that lies in place i of an image. */
__device__ inline Pixel pixel_of(const Pool2dBackward& pool, int i) {
    const int image = blockIdx.y;
    const Quad quad = quad_in(i, pool.dx.h * pool.dx.w);
    Pixel pixel;
    pixel.c4 = quad.c4;
    pixel.h = quad.pixel / pool.dx.w;
    pixel.w = quad.pixel % pool.dx.w;
    pixel.p0 = first_window(pixel.h, pool.pad_h, pool.r, pool.stride_h);
    pixel.q0 = first_window(pixel.w, pool.pad_w, pool.s, pool.stride_w);
    pixel.p1 = min((pixel.h + pool.pad_h) / pool.stride_h, pool.dy.h - 1);
    pixel.q1 = min((pixel.w + pool.pad_w) / pool.stride_w, pool.dy.w - 1);
    pixel.dx = pool.dx.data + (ptrdiff_t)image * pool.dx.image_stride + i;
    pixel.dy = pool.dy.data + (ptrdiff_t)image * pool.dy.image_stride + quad_at(quad.c4, 0, pool.dy.h * pool.dy.w);
    pixel.none = pixel.c4 >= pool.dx.c4;
    return pixel;
}

#define EACH 2           /* quads of dx a thread of the maximum's gradient has */
#define MAX_WINNERS 1024 /* quads of windows whose winners are in shared memory at a time */

/* One channel's search for the value that a window takes. */
__device__ inline void look(float x, int tap, float& best, int& winner) {
    if (x > best || x != x) {
        best = x;
        winner = tap;
    }
}

/* The taps r*S + s of the values that a window took, a byte a channel: of the quad that lies in place i of an image of dy. */
__device__ inline unsigned int winners_of(const Pool2dBackward& pool, int i) {
    const Quad quad = quad_in(i, pool.dy.h * pool.dy.w);
    const int p = quad.pixel / pool.dy.w, q = quad.pixel % pool.dy.w;
    const float4* const x =
        pool.x.data + (ptrdiff_t)blockIdx.y * pool.x.image_stride + quad_at(quad.c4, 0, pool.x.h * pool.x.w);
    const int h0 = p * pool.stride_h - pool.pad_h, w0 = q * pool.stride_w - pool.pad_w;
    const int top = max(h0, 0), bottom = min(h0 + pool.r, pool.x.h);
    const int left = max(w0, 0), right = min(w0 + pool.s, pool.x.w);
    float4 best = __ldg(x + (top * pool.x.w + left) * 2);
    int first = (top - h0) * pool.s + left - w0;
    int winner_x = first, winner_y = first, winner_z = first, winner_w = first;
    for (int h = top; h < bottom; h++) {
        for (int w = left; w < right; w++) {
            const float4 next = __ldg(x + (h * pool.x.w + w) * 2);
            const int tap = (h - h0) * pool.s + w - w0;
            look(next.x, tap, best.x, winner_x);
            look(next.y, tap, best.y, winner_y);
            look(next.z, tap, best.z, winner_z);
            look(next.w, tap, best.w, winner_w);
        }
    }
    return winner_x | winner_y << 8 | winner_z << 16 | winner_w << 24;
}

/* max_pool2d_backward_f32: dx[n,c,h,w] = sum of dy[n,c,p,q] over the windows in which (h, w) holds the first largest x in reading
 * order, or the last NaN.  Source: torch.nn.MaxPool2d, floor mode; padding never wins.
 * x a view [N,C,H,W], dy a view [N,C,P,Q] in;  dx a view [N,C,H,W], overwritten, or added to.
 * A block's 256 pixels lie one behind the other, and so do the rows of windows that cover them: the block first finds what each of
 * these windows took, then every thread looks up the windows that cover its pixels, in as many rounds as MAX_WINNERS makes it.
 * Grid (ceil(C/4*H*W / 512), N).  Shared: 4096 bytes.  Limits: R*S <= 256. */
extern "C" __global__ void __launch_bounds__(256) max_pool2d_backward_f32(const Pool2dBackward pool) {
    __shared__ unsigned int winners[MAX_WINNERS];
    const int windows = pool.dy.h * pool.dy.w, pixels = pool.dx.h * pool.dx.w;
    /* From the first row of windows of the block's first pixel to the last row of its last pixel. */
    const int quads = EACH * blockDim.x, i0 = blockIdx.x * quads, i1 = min(i0 + quads, pool.dx.c4 * pixels) - 1;
    const Quad quad0 = quad_in(i0, pixels), quad1 = quad_in(i1, pixels);
    const int p0 = first_window(quad0.pixel / pool.dx.w, pool.pad_h, pool.r, pool.stride_h);
    const int p1 = min((quad1.pixel / pool.dx.w + pool.pad_h) / pool.stride_h, pool.dy.h - 1);
    const int begin = quad_at(quad0.c4, p0 * pool.dy.w, windows), end = quad_at(quad1.c4, (p1 + 1) * pool.dy.w - 1, windows) + 1;
    Pixel of[EACH];
    float4 sums[EACH] = {};
#pragma unroll
    for (int own = 0; own < EACH; own++) {
        of[own] = pixel_of(pool, i0 + own * blockDim.x + threadIdx.x);
        if (pool.accumulate && !of[own].none) sums[own] = *of[own].dx;
    }
    for (int first = begin; first < end; first += MAX_WINNERS) {
        const int count = min(end - first, MAX_WINNERS);
        __syncthreads();  /* everybody has read the winners of before */
        for (int i = threadIdx.x; i < count; i += blockDim.x) winners[i] = winners_of(pool, first + i);
        __syncthreads();  /* all winners of this round are there */
#pragma unroll
        for (int own = 0; own < EACH; own++) {
            const Pixel& pixel = of[own];
            float4& sum = sums[own];
            if (pixel.none) continue;
            for (int p = pixel.p0; p <= pixel.p1; p++) {
                for (int q = pixel.q0; q <= pixel.q1; q++) {
                    const int i = quad_at(pixel.c4, p * pool.dy.w + q, windows) - first;
                    if (i < 0 || i >= count) continue;
                    const unsigned int r = pixel.h + pool.pad_h - p * pool.stride_h, s = pixel.w + pool.pad_w - q * pool.stride_w;
                    const unsigned int tap = r * pool.s + s, winner = winners[i];
                    const float4 dy = __ldg(pixel.dy + (p * pool.dy.w + q) * 2);
                    sum.x += (winner & 255) == tap ? dy.x : 0.0f;
                    sum.y += (winner >> 8 & 255) == tap ? dy.y : 0.0f;
                    sum.z += (winner >> 16 & 255) == tap ? dy.z : 0.0f;
                    sum.w += winner >> 24 == tap ? dy.w : 0.0f;
                }
            }
        }
    }
#pragma unroll
    for (int own = 0; own < EACH; own++) {
        if (!of[own].none) *of[own].dx = sums[own];
    }
}

/* avg_pool2d_backward_f32: dx[n,c,h,w] = sum of dy[n,c,p,q] / d[p,q] over the windows that cover (h, w); d = R*S, or the number of
 * values inside the map.  Source: torch.nn.AvgPool2d with count_include_pad true, or false.
 * dy a view [N,C,P,Q] in;  dx a view [N,C,H,W], overwritten, or added to. */
extern "C" __global__ void __launch_bounds__(256) avg_pool2d_backward_f32(const Pool2dBackward pool) {
    const Pixel pixel = pixel_of(pool, blockIdx.x * blockDim.x + threadIdx.x);
    if (pixel.none) return;
    float4 sum = pool.accumulate ? *pixel.dx : zero4();
    for (int p = pixel.p0; p <= pixel.p1; p++) {
        const int h0 = p * pool.stride_h - pool.pad_h, rows = min(h0 + pool.r, pool.dx.h) - max(h0, 0);
        for (int q = pixel.q0; q <= pixel.q1; q++) {
            const int w0 = q * pool.stride_w - pool.pad_w, columns = min(w0 + pool.s, pool.dx.w) - max(w0, 0);
            const int d = pool.include_padding ? pool.r * pool.s : rows * columns;
            sum = sum + __ldg(pixel.dy + (p * pool.dy.w + q) * 2) * (1.0f / (float)d);
        }
    }
    *pixel.dx = sum;
}

/* global_avg_pool2d_backward_f32: dx[n,c,h,w] = dy[n,c] / (H*W).  Source: torch.nn.AdaptiveAvgPool2d((1, 1)).
 * dy a view [N,C,1,1] in;  dx a view [N,C,H,W], overwritten. */
extern "C" __global__ void __launch_bounds__(256) global_avg_pool2d_backward_f32(const Pool2dBackward pool) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, image = blockIdx.y, pixels = pool.dx.h * pool.dx.w;
    const int c4 = quad_in(i, pixels).c4;
    if (c4 >= pool.dx.c4) return;
    const float4 dy = __ldg(pool.dy.data + (ptrdiff_t)image * pool.dy.image_stride + c4);
    pool.dx.data[(ptrdiff_t)image * pool.dx.image_stride + i] = dy * (1.0f / (float)pixels);
}
