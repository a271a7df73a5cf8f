/* Gradients of what touches each value by itself: relu_backward_f32, concat_backward_f32.
 * They run where the program fuses nothing. Grid (ceil(quads / 256), N), block 256: one thread, four channels of one pixel.
 * Shared: none.  Order: no atomics, the same bits on every run.  Limits: C/4*H*W < 2^31, N < 65536. */
#include "common.cuh"

/* Index of this thread's quad within an image. */
__device__ inline int own_quad() { return blockIdx.x * blockDim.x + threadIdx.x; }

/* dx = g, or dx = dx + g. */
__device__ inline void give(float4* dx, float4 g, bool accumulate) { *dx = accumulate ? *dx + g : g; }

struct ReluBackward {
    MapView y, dy, dx;
    int images, accumulate;
};

/* relu_backward_f32: dx[n,c,h,w] = dy[n,c,h,w] where y[n,c,h,w] > 0 or is no number, else 0.
 * Source: torch.nn.ReLU (threshold_backward).
 * y, dy views [N,C,H,W] in;  dx a view of the same shape, overwritten, or added to with accumulate. */
extern "C" __global__ void __launch_bounds__(256) relu_backward_f32(const ReluBackward relu) {
    const int i = own_quad(), image = blockIdx.y;
    if (i >= relu.dx.c4 * relu.dx.h * relu.dx.w) return;
    const float4 y = __ldg(relu.y.data + (ptrdiff_t)image * relu.y.image_stride + i);
    const float4 dy = __ldg(relu.dy.data + (ptrdiff_t)image * relu.dy.image_stride + i);
    const float4 g = make_float4(y.x <= 0.0f ? 0.0f : dy.x, y.y <= 0.0f ? 0.0f : dy.y, y.z <= 0.0f ? 0.0f : dy.z,
                                 y.w <= 0.0f ? 0.0f : dy.w);
    give(relu.dx.data + (ptrdiff_t)image * relu.dx.image_stride + i, g, relu.accumulate);
}

#define MAX_PARTS 6

struct Part {
    MapView dy, dx; /* of one shape */
    int accumulate, reserved;
};

struct ConcatBackward {
    Part parts[MAX_PARTS]; /* unused ones are as the last used one */
    int images, count;
};

/* concat_backward_f32: dx_i[n,c,h,w] = dy_i[n,c,h,w], dy_i the channels of dy that input i gave.  Source: torch.cat along dimension 1.
 * dy_i views [N,C_i,H,W] in;  dx_i views of the same shape, overwritten, or added to with accumulate. Quads of all i count on. */
extern "C" __global__ void __launch_bounds__(256) concat_backward_f32(const ConcatBackward concat) {
    const int image = blockIdx.y;
    int i = own_quad(), which = 0, own = 0;
    for (; which < concat.count; which++, i -= own) {
        const MapView& dx = concat.parts[which].dx;
        own = dx.c4 * dx.h * dx.w;
        if (i < own) break;
    }
    if (which == concat.count) return;
    const Part& part = concat.parts[which];
    const float4 dy = __ldg(part.dy.data + (ptrdiff_t)image * part.dy.image_stride + i);
    give(part.dx.data + (ptrdiff_t)image * part.dx.image_stride + i, dy, part.accumulate);
}
