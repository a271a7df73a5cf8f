/* What touches each value by itself: batch_norm_forward_f32, relu_forward_f32, concat_forward_f32.
 * They run where the program fuses nothing. Grid (ceil(C/4*H*W / 256), N), block 256: one thread, four channels of one pixel.
 * Shared: none.  Order: no atomics, the same bits on every run.  Limits: C/4*H*W < 2^31, N < 65536. */
#include "common.cuh"

struct Elementwise {
    MapView x, y;
    const float4 *scale, *shift; /* batch norm only, [C] */
    int images;
    int reserved;
};

/* Index of this thread's quad within an image. */
__device__ inline int own_quad() { return blockIdx.x * blockDim.x + threadIdx.x; }

__device__ inline bool within(const MapView& map, int i) { return i < map.c4 * map.h * map.w; }

/* batch_norm_forward_f32: y[n,c,h,w] = x[n,c,h,w] * scale[c] + shift[c].
 * scale = gamma / sqrt(running_var + eps), shift = beta - running_mean * scale.  Source: torch.nn.BatchNorm2d in eval mode.
 * x a view [N,C,H,W] in;  y a view of the same shape, overwritten. */
extern "C" __global__ void __launch_bounds__(256) batch_norm_forward_f32(const Elementwise map) {
    const int i = own_quad(), image = blockIdx.y;
    if (!within(map.y, i)) return;
    const int c4 = quad_in(i, map.y.h * map.y.w).c4;
    const float4 x = __ldg(map.x.data + (ptrdiff_t)image * map.x.image_stride + i);
    const float4 scale = __ldg(map.scale + c4), shift = __ldg(map.shift + c4);
    map.y.data[(ptrdiff_t)image * map.y.image_stride + i] =
        make_float4(fmaf(x.x, scale.x, shift.x), fmaf(x.y, scale.y, shift.y), fmaf(x.z, scale.z, shift.z),
                    fmaf(x.w, scale.w, shift.w));
}

/* relu_forward_f32: y = max(x, 0), NaN stays NaN.  Source: torch.nn.ReLU.
 * x a view [N,C,H,W] in;  y a view of the same shape, overwritten. */
extern "C" __global__ void __launch_bounds__(256) relu_forward_f32(const Elementwise map) {
    const int i = own_quad(), image = blockIdx.y;
    if (!within(map.y, i)) return;
    map.y.data[(ptrdiff_t)image * map.y.image_stride + i] =
        relu(__ldg(map.x.data + (ptrdiff_t)image * map.x.image_stride + i));
}

#define MAX_INPUTS 6

struct Concat {
    MapView y;
    MapView x[MAX_INPUTS]; /* in order of channel; unused ones have no channels and the last used one's place */
    int images, inputs;
};

/* concat_forward_f32: the inputs' channels one behind the other.  Source: torch.cat along dimension 1.
 * x views [N,C_i,H,W] in;  y a view [N,sum C_i,H,W], overwritten. */
extern "C" __global__ void __launch_bounds__(256) concat_forward_f32(const Concat concat) {
    const int i = own_quad(), image = blockIdx.y;
    if (!within(concat.y, i)) return;
    int from = i, which = 0;
    for (; which < concat.inputs - 1; which++) {
        const int own = concat.x[which].c4 * concat.y.h * concat.y.w;
        if (from < own) break;
        from -= own;
    }
    concat.y.data[(ptrdiff_t)image * concat.y.image_stride + i] =
        __ldg(concat.x[which].data + (ptrdiff_t)image * concat.x[which].image_stride + from);
}
