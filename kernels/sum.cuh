/* Sums over the threads of a block and over blocks, always in one order. */
#pragma once

#include "common.cuh"

/* Sums of a block of 256 threads, of EACH doubles a thread (1, 2, 4 or 8), in SETS sets (1 or 2) that neighbouring threads take in
 * turn: thread i < EACH*SETS gets sum number i / SETS of set i % SETS, others nothing that counts. A warp halves what its lanes
 * carry while it adds, so that float64, of which GPUs have little, adds each value about once.
 * Shared: EACH*SETS doubles a warp.  Order: a tree over lanes, then warps in order. */
template <int EACH, int SETS = 1>
__device__ inline double block_sums(double (&values)[EACH]) {
    __shared__ double warps[8][EACH * SETS];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int apart = 16;
#pragma unroll
    for (int half = EACH / 2; half > 0; half /= 2, apart /= 2) {
        /* The lower lanes go on with the first half of the values, the upper ones with the second. */
        const bool upper = lane & apart;
#pragma unroll
        for (int i = 0; i < half; i++) {
            const double give = upper ? values[i] : values[half + i];
            const double keep = upper ? values[half + i] : values[i];
            values[i] = keep + __shfl_xor_sync(~0u, give, apart);
        }
    }
    for (; apart >= SETS; apart /= 2) values[0] += __shfl_xor_sync(~0u, values[0], apart);
    constexpr int LANES = 32 / EACH;  /* that carry the same sum, of any set */
    __syncthreads();                  /* nobody reads sums of before */
    if (lane % LANES < SETS) warps[warp][lane / LANES * SETS + lane % LANES] = values[0];
    __syncthreads();  /* all warps' sums are there */
    double sum = 0.0;
    if (threadIdx.x < EACH * SETS) {
#pragma unroll
        for (int i = 0; i < 8; i++) sum += warps[i][threadIdx.x];
    }
    return sum;
}

/* Whether this block is the last of `blocks` that come here with the same ticket, which is 0 before and after; what they wrote before
 * is visible to the last one's threads. */
__device__ inline bool is_last(unsigned int* ticket, int blocks) {
    __shared__ bool last;
    __threadfence();  /* what this thread wrote is visible before the ticket is */
    __syncthreads();  /* all threads of the block have written theirs */
    if (threadIdx.x == 0) {
        last = atomicAdd(ticket, 1u) + 1 == blocks;
        if (last) *ticket = 0;
    }
    __syncthreads();  /* everybody knows */
    if (last) __threadfence();  /* the other blocks' values are read after the last ticket */
    return last;
}
