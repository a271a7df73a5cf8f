/* What ends a matrix product by tiles: the sums of a block's groups of warps, and those of the slices of a tile, added in order. */
#pragma once

#include "common.cuh"

/* Of the 8x8 sums of each thread of each group, adds those of all groups, in order; a group receives 8/GROUPS rows of its threads',
 * y[row][half of the columns]. `shared` takes 32 floats a thread of a group; what it held has been read when all are here. */
template <int GROUPS, int GROUP_THREADS>
__device__ inline void add_groups(const float (&sum)[8][8], float* shared, int group, int thread,
                                  float4 (&y)[8 / GROUPS][2]) {
    constexpr int ROWS = 8 / GROUPS;
    if (GROUPS == 1) {
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            y[i][0] = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
            y[i][1] = make_float4(sum[i][4], sum[i][5], sum[i][6], sum[i][7]);
        }
        return;
    }
    float4* const exchange = reinterpret_cast<float4*>(shared) + thread;  /* [group][ROWS][thread] */
#pragma unroll
    for (int round = 0; round < GROUPS * 2; round++) {
        const int j = round % 2;  /* which half of the columns */
        __syncthreads();          /* everybody has read what the memory held before */
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            const float* const v = sum[round / 2 * ROWS + i] + 4 * j;
            exchange[(group * ROWS + i) * GROUP_THREADS] = make_float4(v[0], v[1], v[2], v[3]);
        }
        __syncthreads();  /* all groups' sums of this round are there */
        if (group == round / 2) {
#pragma unroll
            for (int i = 0; i < ROWS; i++) {
                y[i][j] = exchange[i * GROUP_THREADS];
#pragma unroll
                for (int g = 1; g < GROUPS; g++) y[i][j] = y[i][j] + exchange[(g * ROWS + i) * GROUP_THREADS];
            }
        }
    }
}

/* Leaves the block's sums of its slice of a tile among `partials`, [tile][slice][quads of a thread][thread], and says whether it is the
 * tile's last block to come, as the ticket tells; that one's sums become those of all slices, in order, and its ticket 0 again. */
template <int ROWS, int THREADS>
__device__ inline bool add_slices(float4 (&y)[ROWS][2], float4* partials, unsigned int* tickets, int tile, int slice,
                                  int slices) {
    __shared__ unsigned int ticket;
    partials += (size_t)tile * slices * (ROWS * 2 * THREADS) + threadIdx.x;
#pragma unroll
    for (int i = 0; i < ROWS * 2; i++) partials[(slice * ROWS * 2 + i) * THREADS] = y[i / 2][i % 2];
    __threadfence();  /* the partial sums are visible before the ticket is */
    __syncthreads();  /* all threads of the block have written theirs */
    if (threadIdx.x == 0) ticket = atomicAdd(tickets + tile, 1u);
    __syncthreads();  /* everybody sees the ticket */
    if (ticket + 1 < slices) return false;
    __threadfence();  /* the other slices' sums are read after the last ticket */
#pragma unroll
    for (int i = 0; i < ROWS * 2; i++) y[i / 2][i % 2] = partials[i * THREADS];
    for (int other = 1; other < slices; other++) {
#pragma unroll
        for (int i = 0; i < ROWS * 2; i++) {
            y[i / 2][i % 2] = y[i / 2][i % 2] + partials[(other * ROWS * 2 + i) * THREADS];
        }
    }
    if (threadIdx.x == 0) tickets[tile] = 0;
    return true;
}
