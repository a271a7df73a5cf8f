/* linear_backward_f32: gradients of a fully connected layer.
 * dw[k,c] = sum_n dy[n,k] * x[n,c], db[k] = sum_n dy[n,k], dx[n,c] = sum_k dy[n,k] * w[k,c].  Source: torch.nn.Linear.
 * Sums are taken in float64, as the layer's own: it is small.
 * x a view [N,C,1,1], C a multiple of 4, dy [N,K], w [K,C] in;  dw [K,C], db [K], dx a view [N,C,1,1] or none, overwritten.
 * Grid (ceil(C/4 / 64), K + N), block 64: a row of dw, beyond K an image of dx; one thread, four input channels.  Shared: none.
 * Order: over n, or over k, in order: the same bits on every run.  Limits: K + N < 65536, w and dw at multiples of 16 bytes. */
#include "common.cuh"

struct LinearBackward {
    MapView x, dx;      /* without dx: no images of it in the grid */
    const float* dy;
    const float4* w;
    float4* dw;
    float* db;
    int images, k;
};

extern "C" __global__ void __launch_bounds__(64) linear_backward_f32(const LinearBackward linear) {
    const int c4 = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y, quads = linear.x.c4;
    if (c4 >= quads) return;
    const bool weight = row < linear.k;
    /* The sum of factor[i * factors] * terms[i * stride] over i < count. */
    const int count = weight ? linear.images : linear.k, stride = weight ? linear.x.image_stride : quads;
    const float4* const terms = (weight ? (const float4*)linear.x.data : linear.w) + c4;
    const float* const factor = linear.dy + (weight ? row : (ptrdiff_t)(row - linear.k) * linear.k);
    const int factors = weight ? linear.k : 1;
    double x = 0.0, y = 0.0, z = 0.0, w = 0.0, bias = 0.0;
#pragma unroll 4
    for (int i = 0; i < count; i++) {
        const double dy = (double)__ldg(factor + (ptrdiff_t)i * factors);
        const float4 term = __ldg(terms + (ptrdiff_t)i * stride);
        x = fma(dy, (double)term.x, x);
        y = fma(dy, (double)term.y, y);
        z = fma(dy, (double)term.z, z);
        w = fma(dy, (double)term.w, w);
        bias += dy;
    }
    const float4 sum = make_float4((float)x, (float)y, (float)z, (float)w);
    if (weight) {
        linear.dw[(ptrdiff_t)row * quads + c4] = sum;
        if (c4 == 0) linear.db[row] = (float)bias;
    } else {
        linear.dx.data[(ptrdiff_t)(row - linear.k) * linear.dx.image_stride + c4] = sum;
    }
}
