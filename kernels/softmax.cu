/* softmax_forward_f32: probabilities of the classes.
 * p[n,k] = exp(x[n,k] - m) / sum_j exp(x[n,j] - m), m = max_j x[n,j]. One logit x counts as the two logits 0 and x, so that
 * p = (1 - sigmoid(x), sigmoid(x)), neither by a subtraction.  Source: torch.nn.Softmax, torch.nn.Sigmoid.
 * x [N,K] in;  p [N, max(K, 2)], overwritten.
 * Grid (1, N), block 32: one warp, one image.  Shared: none.
 * Order: each thread takes every 32nd class in order, then the 32 sums are added as a tree: the same bits on every run. */
#include "common.cuh"

struct SoftmaxForward {
    const float* x;
    float* p;
    int images, k;
};

extern "C" __global__ void __launch_bounds__(32) softmax_forward_f32(const SoftmaxForward softmax) {
    const int image = blockIdx.y, lane = threadIdx.x, classes = max(softmax.k, 2);
    const float* const x = softmax.x + (ptrdiff_t)image * softmax.k;
    float* const p = softmax.p + (ptrdiff_t)image * classes;
    auto logit = [&](int k) { return softmax.k > 1 ? __ldg(x + k) : k ? __ldg(x) : 0.0f; };
    float largest = logit(0);
    for (int k = lane; k < classes; k += 32) largest = fmaxf(largest, logit(k));
#pragma unroll
    for (int apart = 16; apart > 0; apart /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, apart));
    float sum = 0.0f;
    for (int k = lane; k < classes; k += 32) sum += expf(logit(k) - largest);
#pragma unroll
    for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(~0u, sum, apart);
    for (int k = lane; k < classes; k += 32) p[k] = expf(logit(k) - largest) / sum;
}
