/* conv2d_backward_weight_implicit_gemm_f32: the gradient of a convolution's filters as a matrix product.
 * dw[k,c,r,s] = sum_{n,p,q} dz[n,k,p,q] * x[n, c, p*stride_h - pad_h + r, q*stride_w - pad_w + s]; x is 0 outside.
 * Source: Chetlur et al., arXiv 1410.0759 (implicit GEMM); tiles as in kernels/conv2d.cu, split along the sum.
 * x a view [N,C,H,W] in, C a multiple of 8, or column pairs;  dz a view [N,K,P,Q] in, K a multiple of 8;  dw up to four arrays
 * [K_i,C,R,S], each for a range of k, overwritten.
 * One-dimensional grid: a block knows by its index its slice of the sum, k and columns. A column is a filter tap and a channel,
 * taps outside, channels inside. Block: 32 threads for each 32 k x 64 columns x group, eight by eight of them a thread.
 * The sum runs over steps of eight pixels (m = n*P*Q + p*Q + q). A quad is four channels of a pixel, so that a row of shared
 * memory is a pixel with TK k and TN columns, which float4 stores fill as they come; a thread loads the same quads of every eighth
 * pixel, its neighbour the others of the same sectors. A slice is shared out among GROUPS groups of warps. A tile's k and columns
 * beyond the last are computed on the first quad and not written. The step behind the sum's end adds zeros.
 * Shared: two buffers of 8*(TK + TN + 8) floats a group; after the loop the same memory carries the groups' sums.
 * Order: each group adds its pixels in order; groups are added in order; slices are added in order by the block that comes
 * last (an integer ticket tells), so the same bits come out on every run. Limits: fewer than 2^31 quads in a map. */
#include "tiles.cuh"

#define MAX_PARTS 4

/* A range of k and where it goes. */
struct WeightPart {
    float* dw;
    int first_k;
    int reserved;
};

struct Conv2dBackwardWeight {
    const float4* x;
    const float4* dz;
    float4* partials;      /* [tile][slice][outputs of a thread / 4][threads] when slices > 1 */
    unsigned int* tickets; /* one a tile; 0 before and after */
    int pixels;            /* N*P*Q */
    int h, w;              /* of x; with column pairs w counts pairs */
    int c, c4;             /* channels of dw, and quads of x that one tap reads */
    int pairs;             /* x holds column pairs: tap s reads the quad s % 2 of column s / 2 */
    int x_image, dz_image; /* quads from one image to the next */
    int p, q, r, s;
    int stride_h, stride_w, pad_h, pad_w;
    int k4;                /* quads of k, all parts */
    int tiles_k, tiles_n;
    int slices, steps;     /* steps of one group in one slice */
    /* Eight pixels further, in quads and scaled by the stride; then what is added when a row or an image ends. */
    int next_x, next_dz, next_row, next_column;
    int row_x, image_x, image_dz;
    int parts;
    int reserved;
    WeightPart part[MAX_PARTS];
};

template <int TK, int TN, int GROUPS>
__device__ inline void conv2d_backward_weight(const Conv2dBackwardWeight& conv) {
    constexpr int WARPS_K = TK / 32;
    constexpr int GROUP_THREADS = WARPS_K * (TN / 64) * 32;
    constexpr int THREADS = GROUP_THREADS * GROUPS;
    constexpr int LOADS_Z = 2 * TK / GROUP_THREADS;  /* quads of dz a thread loads in one step */
    constexpr int LOADS_X = 2 * TN / GROUP_THREADS;
    constexpr int LOADS = LOADS_Z + LOADS_X;
    constexpr int ROUNDS = (LOADS + 1) / 2;          /* two quads at a time travel through registers */
    constexpr int QUADS = GROUP_THREADS / 8;         /* from one of a thread's quads to its next */
    constexpr int ROW = TK + TN + 8;                 /* floats of one pixel: k, columns; eight keep four rows in different banks */
    constexpr int BUFFER = 8 * ROW;
    constexpr int ROWS = 8 / GROUPS;                 /* columns a thread finishes, of its eight */
    static_assert(LOADS_Z >= 1 && LOADS_X >= 1 && ROWS >= 1, "whole quads a thread");
    static_assert(GROUPS == 1 || GROUPS * 2 * BUFFER >= 32 * GROUP_THREADS, "the groups' sums fit");

    __shared__ __align__(16) float shared[GROUPS * 2 * BUFFER];
    __shared__ struct { int tile_k, tile_n, slice; } place;

    const int tile_n = blockIdx.x % conv.tiles_n;
    const int tile_k = blockIdx.x / conv.tiles_n % conv.tiles_k;
    const int slice = blockIdx.x / (conv.tiles_n * conv.tiles_k);
    if (threadIdx.x == 0) place = {tile_k, tile_n, slice};  /* kept here, they take no registers in the loop */

    const int thread = threadIdx.x % GROUP_THREADS;
    const int group = threadIdx.x / GROUP_THREADS;
    const int lane = threadIdx.x % 32;
    const int warp_n = thread / 32 / WARPS_K, warp_k = thread / 32 % WARPS_K;
    /* As in maxas: neighbouring lanes read the same columns, lanes two apart the same k. */
    const int lane_n = lane / 2 % 8, lane_k = lane / 16 * 2 + lane % 2;

    /* This thread's pixel, and where its quads of dz and x lie. */
    const int quad = thread / 16 * 2 + thread % 2, pixel = thread / 2 % 8;
    const int m = (slice * GROUPS + group) * conv.steps * 8 + pixel;
    int left = conv.pixels - m;  /* positive while there is a pixel */
    const int image = m / (conv.p * conv.q), offset = m % (conv.p * conv.q);
    int row = offset / conv.q * conv.stride_h, column = offset % conv.q * conv.stride_w;
    int z[LOADS_Z], x[LOADS_X], tap_h[LOADS_X], tap_w[LOADS_X];
#pragma unroll
    for (int i = 0; i < LOADS_Z; i++) {
        const int k4 = tile_k * (TK / 4) + quad + i * QUADS;
        z[i] = image * conv.dz_image + quad_at(k4 < conv.k4 ? k4 : 0, offset, conv.p * conv.q);
    }
#pragma unroll
    for (int i = 0; i < LOADS_X; i++) {
        const int column4 = tile_n * (TN / 4) + quad + i * QUADS;
        const int tap = column4 / conv.c4 < conv.r * conv.s ? column4 / conv.c4 : 0;
        const int s = tap % conv.s;
        tap_h[i] = tap / conv.s - conv.pad_h;
        tap_w[i] = (conv.pairs ? s / 2 : s) - conv.pad_w;
        const int c4 = conv.pairs ? s % 2 : column4 % conv.c4;
        x[i] = image * conv.x_image + quad_at(c4, (row + tap_h[i]) * conv.w + column + tap_w[i], conv.h * conv.w);
    }

    float4 next[2];
    auto load = [&](int i) {
        next[i % 2] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (i < LOADS_Z) {
            if (left > 0) next[i % 2] = __ldg(conv.dz + z[i]);
        } else {
            const int j = i - LOADS_Z;
            const bool inside = (unsigned)(row + tap_h[j]) < conv.h && (unsigned)(column + tap_w[j]) < conv.w;
            if (left > 0 && inside) next[i % 2] = __ldg(conv.x + x[j]);
        }
        if (i < LOADS - 1) return;
        /* On to the eighth pixel from here. */
        left -= 8;
        column += conv.next_column;
        const bool row_ends = column >= conv.q * conv.stride_w;
        column -= row_ends ? conv.q * conv.stride_w : 0;
        row += conv.next_row + (row_ends ? conv.stride_h : 0);
        const bool image_ends = row >= conv.p * conv.stride_h;
        row -= image_ends ? conv.p * conv.stride_h : 0;
        const int step_x = conv.next_x + (row_ends ? conv.row_x : 0) + (image_ends ? conv.image_x : 0);
        const int step_z = conv.next_dz + (image_ends ? conv.image_dz : 0);
#pragma unroll
        for (int j = 0; j < LOADS_Z; j++) z[j] += step_z;
#pragma unroll
        for (int j = 0; j < LOADS_X; j++) x[j] += step_x;
    };

    float* const own = shared + group * (2 * BUFFER);
    float4* const store_to = reinterpret_cast<float4*>(own) + (pixel * (ROW / 4) + quad);
    auto store = [&](int i, int buffer) {
        const int first = i < LOADS_Z ? i * QUADS : TK / 4 + (i - LOADS_Z) * QUADS;
        store_to[buffer * (BUFFER / 4) + first] = next[i % 2];
    };

    float sum[8][8] = {};
    const float* const read_n = own + TK + warp_n * 64 + lane_n * 4;
    const float* const read_k = own + warp_k * 32 + lane_k * 4;
    /* Adds some pixels of a step: those of one round. */
    auto multiply = [&](int buffer, int round) {
#pragma unroll
        for (int pixel = 0; pixel < 8; pixel++) {
            if (pixel * ROUNDS / 8 != round) continue;
            const float4 a0 = *reinterpret_cast<const float4*>(read_n + buffer * BUFFER + pixel * ROW);
            const float4 a1 = *reinterpret_cast<const float4*>(read_n + buffer * BUFFER + pixel * ROW + 32);
            const float4 b0 = *reinterpret_cast<const float4*>(read_k + buffer * BUFFER + pixel * ROW);
            const float4 b1 = *reinterpret_cast<const float4*>(read_k + buffer * BUFFER + pixel * ROW + 16);
            const float a[8] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w};
            const float b[8] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
#pragma unroll
            for (int i = 0; i < 8; i++) {
#pragma unroll
                for (int j = 0; j < 8; j++) sum[i][j] = fmaf(a[i], b[j], sum[i][j]);
            }
        }
    };

    /* Adds the step in one buffer while the next one comes into the other. */
    auto advance = [&](int buffer) {
#pragma unroll
        for (int round = 0; round < ROUNDS; round++) {
#pragma unroll
            for (int i = 2 * round; i < LOADS && i < 2 * round + 2; i++) load(i);
            multiply(buffer, round);
#pragma unroll
            for (int i = 2 * round; i < LOADS && i < 2 * round + 2; i++) store(i, buffer ^ 1);
        }
        __syncthreads();  /* the other buffer is full, this one has been read */
    };

    /* The last step. */
    auto finish = [&](int buffer) {
#pragma unroll
        for (int round = 0; round < ROUNDS; round++) multiply(buffer, round);
    };

#pragma unroll
    for (int i = 0; i < LOADS; i++) {
        load(i);
        store(i, 0);
    }
    __syncthreads();  /* the first step is in buffer 0 */
    int step = 1;
    for (; step + 1 < conv.steps; step += 2) {
        advance(0);
        advance(1);
    }
    if (step < conv.steps) {
        advance(0);
        finish(1);
    } else {
        finish(0);
    }

    /* Each group finishes ROWS of the eight columns of a thread: it adds all groups' sums, in order. */
    float4 y[ROWS][2];
    add_groups<GROUPS, GROUP_THREADS>(sum, shared, group, thread, y);

    if (conv.slices > 1) {
        const int tile = place.tile_k * conv.tiles_n + place.tile_n;
        if (!add_slices<ROWS, THREADS>(y, conv.partials, conv.tickets, tile, place.slice, conv.slices)) return;
    }

    const int taps = conv.r * conv.s;
#pragma unroll
    for (int j = 0; j < 2; j++) {
        const int k = place.tile_k * TK + warp_k * 32 + j * 16 + lane_k * 4;
        if (k >= conv.k4 * 4) continue;
        int part = 0;
        for (int i = 1; i < conv.parts; i++) part = k >= conv.part[i].first_k ? i : part;
        float* const dw = conv.part[part].dw + (ptrdiff_t)(k - conv.part[part].first_k) * conv.c * taps;
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            const int own_column = group * ROWS + i;  /* columns 0 to 3 are neighbours, 4 to 7 stand 32 behind */
            const int n = place.tile_n * TN + warp_n * 64 + own_column / 4 * 32 + lane_n * 4 + own_column % 4;
            const int tap = n / 4 / conv.c4, c = n / 4 % conv.c4 * 4 + n % 4;
            if (tap >= taps || c >= conv.c) continue;
            float* const to = dw + (ptrdiff_t)c * taps + tap;
            const ptrdiff_t next_k = (ptrdiff_t)conv.c * taps;
            to[0] = y[i][j].x;
            to[next_k] = y[i][j].y;
            to[2 * next_k] = y[i][j].z;
            to[3 * next_k] = y[i][j].w;
        }
    }
}

#define CONV2D_BACKWARD_WEIGHT(TK, TN, GROUPS)                                                            \
    extern "C" __global__ void __launch_bounds__((TK / 32) * (TN / 64) * 32 * GROUPS, 2)                  \
        conv2d_backward_weight_implicit_gemm_##TK##x##TN##x##GROUPS##_f32(const Conv2dBackwardWeight conv) { \
        conv2d_backward_weight<TK, TN, GROUPS>(conv);                                                     \
    }

CONV2D_BACKWARD_WEIGHT(128, 128, 1)
CONV2D_BACKWARD_WEIGHT(64, 128, 2)
CONV2D_BACKWARD_WEIGHT(64, 64, 4)
CONV2D_BACKWARD_WEIGHT(32, 128, 4)
