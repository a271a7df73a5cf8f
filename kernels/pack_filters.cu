/* pack_filters_f32: filters that learn, brought into the order in which kernels/conv2d.cu reads them.
 * packed[k/TN][step][t][k%TN] = w[k,c,r,s], step = (r*S + s)*C/8 + c/8, t = c%8; 0 beyond K and beyond the last step.
 * For a data gradient the filters are seen from their outputs: packed k is the source's c, packed c the source's k, and the tap
 * (r, s) the source's tap_0 + r*tap_r + s*tap_s. Where the convolution reads column pairs, step = r*ceil(S/2) + s/2 and
 * t = s%2*4 + c.
 * parameters in, [K_i,C,R,S] of each layer somewhere in them;  packed one array a convolution, overwritten.
 * Grid: a block has 32 packed k and a few octets of c with all taps, or the rows beyond the last step; block 256. A thread writes
 * four k at a time. What a block needs is a few runs of the source: they pass through shared memory, so that reads and writes are
 * of neighbours. Sources with more than nine taps and column pairs, which are few, are read in place.
 * Shared: 9.1 KiB.  Order: no atomics, the same bits on every run.  Limits: 128 convolutions, 2^31 values. */
#include "common.cuh"

#define MAX_PACKED 128
#define MAX_LAYERS 4
#define STAGED 2336 /* 32 * (8*9 + 1) */

/* A layer's filters: those of source output channel k < end begin at first + k*row. */
struct PackLayer {
    int end, first;
};

/* A convolution: one row of the table. */
struct Packing {
    int first_block;
    int k, c8, taps, s; /* as the convolution that reads them has them; with column pairs s and taps count pairs */
    int tile, steps;    /* TN, and steps with those that fill up */
    int octets_log;     /* a block takes 2^octets_log octets of c */
    int chunks;         /* blocks for 32 k */
    int order;          /* 0: forward, 1: a data gradient, 2: column pairs */
    int source_taps, source_c, source_s;
    int tap_0, tap_r, tap_s;
    PackLayer layer[MAX_LAYERS];
};

struct PackFilters {
    const float* parameters;
    const Packing* table;
    int convolutions;
    int reserved;
    float4* packed[MAX_PACKED];
};

/* Where the filters of source output channel k begin. */
__device__ inline int filters_of(const Packing& conv, int k) {
    int first = conv.layer[0].first;
#pragma unroll
    for (int i = 1; i < MAX_LAYERS; i++) first = k >= conv.layer[i - 1].end ? conv.layer[i].first : first;
    return first + k * conv.source_c * conv.source_taps;
}

extern "C" __global__ void __launch_bounds__(256) pack_filters_f32(const PackFilters params) {
    __shared__ float staged[STAGED];
    __shared__ int own;
    if (threadIdx.x < params.convolutions) {
        const bool begun = params.table[threadIdx.x].first_block <= blockIdx.x;
        const bool last = threadIdx.x + 1 == params.convolutions;
        if (begun && (last || params.table[threadIdx.x + 1].first_block > blockIdx.x)) own = threadIdx.x;
    }
    __syncthreads();  /* everybody sees whose block it is */
    const Packing& conv = params.table[own];
    const int block = blockIdx.x - conv.first_block;
    const int first_k = block / conv.chunks * 32, first_octet = block % conv.chunks << conv.octets_log;
    const int octets = min(1 << conv.octets_log, conv.c8 - first_octet);
    const int row_quads = conv.tile / 4;
    float4* const packed = params.packed[own] + (ptrdiff_t)(first_k / conv.tile) * conv.steps * 8 * row_quads +
                           first_k % conv.tile / 4 + threadIdx.x % 8;

    /* Behind the last octet: the steps that fill up. */
    if (octets <= 0) {
        for (int row = conv.taps * conv.c8 * 8 + threadIdx.x / 8; row < conv.steps * 8; row += 32) {
            packed[(ptrdiff_t)row * row_quads] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        }
        return;
    }

    const bool backward = conv.order == 1;
    const bool in_place = conv.source_taps > 9 || conv.order == 2;
    /* Runs of the source: forward the block's c of one k, for a data gradient its k of one c. */
    const int runs = backward ? octets * 8 : 32;
    const int pitch = (backward ? 32 : 8 << conv.octets_log) * conv.source_taps + 1; /* odd: neighbours in different banks */
    if (!in_place) {
        const int there = (backward ? min(32, conv.k - first_k) : octets * 8) * conv.source_taps;
        const int offset = (backward ? first_k : first_octet * 8) * conv.source_taps;
        for (int run = threadIdx.x / 32; run < runs; run += 8) {
            const int k = (backward ? first_octet * 8 : first_k) + run;
            const bool valid = backward || k < conv.k;
            const float* const from = params.parameters + (filters_of(conv, valid ? k : 0) + offset);
            for (int i = threadIdx.x % 32; i < pitch - 1; i += 32) {
                staged[run * pitch + i] = valid && i < there ? __ldg(from + i) : 0.0f;
            }
        }
        __syncthreads();  /* all runs are there */
    }

    const int rows = conv.taps << (conv.octets_log + 3);
    for (int row = threadIdx.x / 8; row < rows; row += 32) {
        const int c = row & ((8 << conv.octets_log) - 1), tap = row >> (conv.octets_log + 3);
        if (c >= octets * 8) continue;
        const int k = threadIdx.x % 8 * 4;
        float value[4];
        if (!in_place) {
            const int at = conv.tap_0 + tap / conv.s * conv.tap_r + tap % conv.s * conv.tap_s;
            const int next_k = backward ? conv.source_taps : pitch, next_c = backward ? pitch : conv.source_taps;
#pragma unroll
            for (int i = 0; i < 4; i++) value[i] = staged[(k + i) * next_k + c * next_c + at];
        } else {
            const bool pairs = conv.order == 2;
            const int r = tap / conv.s, s = pairs ? tap % conv.s * 2 + c / 4 : tap % conv.s;
            const int at = conv.tap_0 + r * conv.tap_r + s * conv.tap_s;
            const int own_c = first_octet * 8 + (pairs ? c % 4 : c);
            const bool valid = !pairs || (s < conv.source_s && own_c < conv.source_c);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int source_k = backward ? own_c : first_k + k + i, source_c = backward ? first_k + k + i : own_c;
                value[i] = 0.0f;
                if (valid && first_k + k + i < conv.k) {
                    value[i] = __ldg(params.parameters + (filters_of(conv, source_k) + source_c * conv.source_taps + at));
                }
            }
        }
        const int step = tap * conv.c8 + first_octet + c / 8;
        packed[(ptrdiff_t)(step * 8 + c % 8) * row_quads] = make_float4(value[0], value[1], value[2], value[3]);
    }
}
