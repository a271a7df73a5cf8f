/* pack_column_pairs_f32: images from NCHW into the layout that the first convolution reads.
 * y[n, w%2, h, w/2, c] = x[n,c,h,w] for c < C <= 4, 0 for the channels and the last column that x lacks.
 * x [N,C,H,W] in;  y [N, 2, H, ceil(W/2), 4], overwritten.
 * Grid (ceil(H*ceil(W/2) / 256), N), block 256: one thread, two neighbouring columns.  Shared: none.
 * x may lie in the host's memory.  Order: no atomics, the same bits on every run.  Limits: C*H*W < 2^31, N < 65536. */
#include "common.cuh"

struct PackColumnPairs {
    const float* x;
    float4* y;
    int images, c, h, w;
};

extern "C" __global__ void __launch_bounds__(256) pack_column_pairs_f32(const PackColumnPairs pack) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, image = blockIdx.y;
    const int half = (pack.w + 1) / 2, pixels = pack.h * pack.w;
    if (i >= pack.h * half) return;
    const int h = i / half, w = i % half * 2;
    const float* const x = pack.x + (ptrdiff_t)image * pack.c * pixels + h * pack.w + w;
    float even[4] = {}, odd[4] = {};
#pragma unroll
    for (int c = 0; c < 4; c++) {
        if (c >= pack.c) break;
        even[c] = __ldg(x + c * pixels);
        if (w + 1 < pack.w) odd[c] = __ldg(x + c * pixels + 1);
    }
    float4* const y = pack.y + (ptrdiff_t)image * 2 * pack.h * half + i;
    y[0] = make_float4(even[0], even[1], even[2], even[3]);
    y[pack.h * half] = make_float4(odd[0], odd[1], odd[2], odd[3]);
}
