/* pack_column_pairs_f32: images from NCHW into the layout that the first convolution reads.
 * y[n, w%2, h, w/2, c] = x[n,c,h,w] for c < C <= 4, 0 for the channels and the last column that x lacks.
 * x [N,C,H,W] in;  y [N, 2, H, ceil(W/2), 4], overwritten.
 * Grid (ceil(2*H*ceil(W/2) / 256), N), block 256: one thread, one quad.  Shared: none.
 * Order: no atomics, the same bits on every run.  Limits: C*H*W < 2^31, N < 65536. */
#include "common.cuh"

struct PackColumnPairs {
    const float* x;
    float4* y;
    int images, c, h, w;
};

extern "C" __global__ void __launch_bounds__(256) pack_column_pairs_f32(const PackColumnPairs pack) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, image = blockIdx.y;
    const int half = (pack.w + 1) / 2, pixels = pack.h * pack.w;
    if (i >= 2 * pack.h * half) return;
    const int h = i / half % pack.h, w = i % half * 2 + i / half / pack.h;
    const float* const x = pack.x + (ptrdiff_t)image * pack.c * pixels + h * pack.w + w;
    float4 y = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (w < pack.w) {
        y.x = __ldg(x);
        if (pack.c > 1) y.y = __ldg(x + pixels);
        if (pack.c > 2) y.z = __ldg(x + 2 * pixels);
        if (pack.c > 3) y.w = __ldg(x + 3 * pixels);
    }
    pack.y[(ptrdiff_t)image * 2 * pack.h * half + i] = y;
}
