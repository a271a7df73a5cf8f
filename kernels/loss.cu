/* loss_f32: the loss of a batch, and its gradient.
 * loss = -sum_{n,k} t[n,k] * log p[n,k], p the softmax of the logits x, log p = x - m - log sum_j exp(x_j - m), m = max_j x_j;
 * dx[n,k] = p[n,k] * sum_j t[n,j] - t[n,k]. One logit x counts as the two logits 0 and x, and dx is that of the second. A class of
 * weight 0 adds nothing, however small its probability.  Source: torch.nn.CrossEntropyLoss with probabilities as targets.
 * x [N,K], t [N, max(K, 2)] in;  loss [1], dx [N,K], overwritten. In float64 but for the logarithm: the last layer is small.
 * Grid 1, block 256: a warp has every eighth image.
 * Order: each thread takes every 32nd class in order, then the 32 sums are added as a tree; images in order, then warps in order: the
 * same bits on every run.  Shared: 64 bytes. */
#include "common.cuh"

struct Loss {
    const float* x;
    const float* t;
    float* loss;
    float* dx;
    int images, k;
};

__device__ inline double warp_sum(double sum) {
#pragma unroll
    for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(~0u, sum, apart);
    return sum;
}

/* log(1 + x) for x >= 0, exact to a few units in the last place however small x is. Source: Goldberg, "What every computer scientist
 * should know about floating-point arithmetic", ACM Computing Surveys 23(1), 1991, theorem 4. */
__device__ inline float log_of_1_plus(float x) {
    const float y = 1.0f + x;
    return y == 1.0f ? x : logf(y) * (x / (y - 1.0f));
}

extern "C" __global__ void __launch_bounds__(256) loss_f32(const Loss loss) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, classes = max(loss.k, 2), first = classes - loss.k;
    double total = 0.0;
    for (int image = warp; image < loss.images; image += 8) {
        const float* const x = loss.x + (ptrdiff_t)image * loss.k;
        const float* const t = loss.t + (ptrdiff_t)image * classes;
        auto logit = [&](int k) { return k < first ? 0.0f : __ldg(x + k - first); };
        float largest = logit(0);
        for (int k = lane; k < classes; k += 32) largest = fmaxf(largest, logit(k));
#pragma unroll
        for (int apart = 16; apart > 0; apart /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, apart));
        double sum = 0.0, weight = 0.0, dot = 0.0;
        for (int k = lane; k < classes; k += 32) {
            const double own = (double)logit(k) - (double)largest, target = (double)__ldg(t + k);
            sum += exp(own);
            weight += target;
            if (target != 0.0) dot += target * own;
        }
        sum = warp_sum(sum);
        weight = warp_sum(weight);
        /* One class has the largest logit and adds 1. */
        total += (double)log_of_1_plus((float)(sum - 1.0)) * weight - warp_sum(dot);
        for (int k = first + lane; k < classes; k += 32) {
            const double p = exp((double)logit(k) - (double)largest) / sum;
            loss.dx[(ptrdiff_t)image * loss.k + k - first] = (float)(p * weight - (double)__ldg(t + k));
        }
    }
    __shared__ double totals[8];
    if (lane == 0) totals[warp] = total;
    __syncthreads();  /* all warps' images are there */
    if (threadIdx.x != 0) return;
    double all = 0.0;
#pragma unroll
    for (int i = 0; i < 8; i++) all += totals[i];
    *loss.loss = (float)all;
}
