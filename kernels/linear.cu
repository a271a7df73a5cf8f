/* linear_forward_f32: fully connected layer.
 * y[n,k] = sum_c x[n,c] * w[k,c] + b[k].  Source: torch.nn.Linear. The sum is taken in float64: the layer is small, and its
 * result is what everybody reads.
 * x a view [N,C,1,1] in, C a multiple of 4;  w [K,C] in;  b [K] in;  y [N,K], overwritten.
 * Grid (ceil(K/8), N), block 256: one warp, one output.  Shared: none.
 * Order: each thread adds every 32nd quad in order, then the 32 sums are added as a tree: the same bits on every run. */
#include "common.cuh"

struct LinearForward {
    MapView x;
    const float4* w;
    const float* b;
    float* y;
    int images, k;
};

extern "C" __global__ void __launch_bounds__(256) linear_forward_f32(const LinearForward linear) {
    const int k = blockIdx.x * 8 + threadIdx.x / 32, image = blockIdx.y, lane = threadIdx.x % 32;
    if (k >= linear.k) return;
    const float4* const x = linear.x.data + (ptrdiff_t)image * linear.x.image_stride;
    const float4* const w = linear.w + (ptrdiff_t)k * linear.x.c4;
    double sum = 0.0;
    for (int c4 = lane; c4 < linear.x.c4; c4 += 32) {
        const float4 a = __ldg(x + c4), b = __ldg(w + c4);
        sum = fma((double)a.x, (double)b.x, sum);
        sum = fma((double)a.y, (double)b.y, sum);
        sum = fma((double)a.z, (double)b.z, sum);
        sum = fma((double)a.w, (double)b.w, sum);
    }
#pragma unroll
    for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(~0u, sum, apart);
    if (lane == 0) linear.y[(ptrdiff_t)image * linear.k + k] = (float)(sum + (double)__ldg(linear.b + k));
}
