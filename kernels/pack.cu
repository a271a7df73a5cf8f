/* pack_column_pairs_f32: images from NCHW into the layout that the first convolution reads.
 * y[n,h,w,c] = x[n,c,h,w] for c < C <= 4, 0 for the channels and the last column that x lacks.
 * x [N,C,H,W] in;  y [N, H, 2*ceil(W/2), 4], overwritten: two neighbouring columns are one pixel of eight channels.
 * Grid (ceil(H*2*ceil(W/2) / 256), N), block 256: one thread, one pixel.  Shared: none.
 * x may lie in the host's memory.  Order: no atomics, the same bits on every run.  Limits: C*H*W < 2^31, N < 65536. */
#include "common.cuh"

struct PackColumnPairs {
    const float* x;
    float4* y;
    int images, c, h, w;
};

extern "C" __global__ void __launch_bounds__(256) pack_column_pairs_f32(const PackColumnPairs pack) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, image = blockIdx.y;
    const int width = (pack.w + 1) / 2 * 2, pixels = pack.h * pack.w;
    if (i >= pack.h * width) return;
    const int h = i / width, w = i % width;
    const float* const x = pack.x + (ptrdiff_t)image * pack.c * pixels + h * pack.w + w;
    float value[4] = {};
#pragma unroll
    for (int c = 0; c < 4; c++) {
        if (c < pack.c && w < pack.w) value[c] = __ldg(x + c * pixels);
    }
    pack.y[(ptrdiff_t)image * pack.h * width + i] = make_float4(value[0], value[1], value[2], value[3]);
}
