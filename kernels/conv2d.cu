/* conv2d_forward_implicit_gemm_f32: convolution as a matrix product, with bias and ReLU; the data gradient of one too.
 * y[n,k,p,q] = f(sum_{c,r,s} x[n, c, p*stride_h - pad_h + r, q*stride_w - pad_w + s] * w[k,c,r,s] + b[k]); f: ReLU, or nothing
 * and no bias. Source: Chetlur et al., arXiv 1410.0759 (implicit GEMM); double-buffered tiles of 8x8 outputs a thread as in
 * Gray's maxas SGEMM (github.com/NervanaSystems/maxas/wiki/SGEMM).
 * x a view [N,C,H,W] in, C a multiple of 8;  w packed in, see below;  y up to four views, each a range of k of a multiple of 8,
 * overwritten or added to. The pixel (p, q) may stand at another place of y's map, y_first + p*y_row + q*y_column: a data gradient
 * is the convolution of dz with the filters seen from their outputs, and that of one of stride 2 writes every other row and column.
 * One launch computes up to four convolutions of one level; the grid is one-dimensional, a block knows by its index its
 * convolution, slice of the sum, pixels and channels. Block: 32 threads for each 64 pixels x 32 channels x group.
 * A block has TM pixels (m = n*P*Q + p*Q + q) and TN channels. The sum runs over steps of eight terms: one filter tap, eight
 * channels; taps outside, channels inside. A slice of the sum is shared out among GROUPS groups of warps.
 * w: [K/TN][steps][8][TN], zero beyond K and beyond the last step. Where x holds column pairs and S is odd, the last pair's second
 * column has zero weights too: a value there that is not finite makes one output more NaN than the formula does.
 * Shared: two buffers of 8*(TM + TN) floats a group, and 16 bytes a pixel; after the loop the buffers carry the groups' sums.
 * Order: each group adds its terms in order; groups are added in order; slices are added in order by the block that comes
 * last (an integer ticket tells), so the same bits come out on every run. Limits: fewer than 2^31 quads in a map. */
#include "tiles.cuh"

#define MAX_PARTS 4
#define MAX_GROUP 4

/* A range of output channels and where it goes. */
struct ConvPart {
    float4* y;         /* first quad of the first image */
    int image_stride;  /* quads */
    int first_quad;    /* of the convolution's output channels */
    int bias_relu;     /* 0: the bare sum */
    int accumulate;    /* adds to what stands there */
};

struct Conv2dProblem {
    const float4* x;
    const float4* w;
    const float4* bias; /* of all output channels; where no part has bias and ReLU it is not read */
    float4* partials;   /* [tile][slice][outputs of a thread / 4][threads] when slices > 1 */
    unsigned int* tickets; /* one a tile; 0 before and after */
    int first_block;    /* of the launch */
    int pixels;         /* N*P*Q */
    int h, w_;
    int c8;             /* C/8 */
    int image_stride;   /* quads */
    int p, q, r, s;
    int stride_h, stride_w, pad_h, pad_w;
    int y_plane, y_first, y_row, y_column; /* quads: eight channels of y, their first pixel, from one row and column to the next */
    int k4;             /* quads of output channels, all parts */
    int tiles_m, tiles_n;
    int slices, steps;  /* steps of one group in one slice */
    int parts;
    ConvPart part[MAX_PARTS];
};

struct Conv2dForward {
    int problems;
    int reserved;
    Conv2dProblem problem[MAX_GROUP];
};

/* Column of a tile's shared rows at which pixel m stands: within 32 pixels, eight threads take four columns each and pixel
 * i*8 + t is column 4*t + i, so that for one i neighbouring threads write neighbouring pixels. In the rows of the second quad of
 * channels i ^ 2 takes the place of i, so that two lanes with the two quads of a pixel meet different banks. */
__device__ inline int column_of(int m, int quad) { return (m & ~31) | ((m & 7) << 2) | (((m >> 3) & 3) ^ (quad * 2)); }

template <int TM, int TN, int GROUPS>
__device__ inline void conv2d_forward(const Conv2dForward& params) {
    constexpr int WARPS_N = TN / 32;
    constexpr int GROUP_THREADS = (TM / 64) * WARPS_N * 32;
    constexpr int THREADS = GROUP_THREADS * GROUPS;
    constexpr int PIXELS = GROUP_THREADS / 2;        /* two neighbouring threads load the two quads of a pixel, a sector */
    constexpr int LOADS_X = TM / PIXELS;             /* quads of x a thread loads in one step */
    constexpr int TERMS = 8 / LOADS_X;               /* added for each of them */
    constexpr int LOADS_W = 2 * TN / GROUP_THREADS;
    constexpr int ROW = TM + TN;                     /* floats of one term: pixels, then channels */
    constexpr int BUFFER = 8 * ROW;
    constexpr int ROWS = 8 / GROUPS;                 /* pixels a thread finishes, of its eight */
    static_assert(TM % PIXELS == 0 && PIXELS % 32 == 0 && THREADS >= TM, "whole rounds of pixels");
    static_assert(LOADS_W <= LOADS_X || LOADS_W % LOADS_X == 0, "as many quads of w with each of x");
    static_assert(LOADS_W >= 1 && ROWS >= 1 && (GROUPS == 1 || GROUPS * 2 * BUFFER >= 32 * GROUP_THREADS),
                  "the groups' sums fit");

    __shared__ __align__(16) float shared[GROUPS * 2 * BUFFER];
    __shared__ int pixel_base[TM];            /* where the tap (0, 0) reads */
    __shared__ unsigned int pixel_inside[TM]; /* filter rows that fall inside the map, a bit each; from bit 16 on, columns */
    __shared__ int pixel_image[TM], pixel_offset[TM]; /* where y goes */
    __shared__ struct { int which, tile_n, tile_m, slice; } place;

    int block = blockIdx.x, which = 0;
    for (int i = 1; i < params.problems; i++) {
        which = block >= params.problem[i].first_block ? i : which;
    }
    const Conv2dProblem& conv = params.problem[which];
    block -= conv.first_block;
    const int tile_n = block % conv.tiles_n;
    const int tile_m = block / conv.tiles_n % conv.tiles_m;
    const int slice = block / (conv.tiles_n * conv.tiles_m);
    if (threadIdx.x == 0) place = {which, tile_n, tile_m, slice};  /* kept here, they take no registers in the loop */

    const int thread = threadIdx.x % GROUP_THREADS;
    const int group = threadIdx.x / GROUP_THREADS;
    const int lane = threadIdx.x % 32;
    const int warp_m = thread / 32 / WARPS_N, warp_n = thread / 32 % WARPS_N;
    /* As in maxas: neighbouring lanes read the same pixels, lanes two apart the same channels. */
    const int lane_m = lane / 2 % 8, lane_n = lane / 16 * 2 + lane % 2;

    /* Where this thread's quads of x come from, for the tap (0, 0). */
    const int plane = conv.h * conv.w_;
    const int first_step = (slice * GROUPS + group) * conv.steps;
    int c8 = first_step % conv.c8, tap_r = first_step / conv.c8 / conv.s, tap_s = first_step / conv.c8 % conv.s;
    const int quad = thread % 2;
    const int pixel = thread / 2;
    /* What is known of the tile's pixels, one a thread. */
    if (threadIdx.x < TM) {
        const int m = tile_m * TM + threadIdx.x;
        const int image = m / (conv.p * conv.q), offset = m % (conv.p * conv.q);
        const int p = offset / conv.q, q = offset % conv.q;
        const int h = p * conv.stride_h - conv.pad_h, w = q * conv.stride_w - conv.pad_w;
        const unsigned int rows = (1u << min(max(conv.h - h, 0), conv.r)) - (1u << max(-h, 0));
        const unsigned int columns = (1u << min(max(conv.w_ - w, 0), conv.s)) - (1u << max(-w, 0));
        pixel_base[threadIdx.x] = image * conv.image_stride + (h * conv.w_ + w) * 2;
        pixel_inside[threadIdx.x] = m < conv.pixels ? columns << 16 | rows : 0;
        pixel_image[threadIdx.x] = m < conv.pixels ? image : -1;
        pixel_offset[threadIdx.x] = conv.y_first + p * conv.y_row + q * conv.y_column;
    }
    __syncthreads();  /* all of them are known */
    int base[LOADS_X];  /* of up to two pixels; for more there are no registers */
#pragma unroll
    for (int i = 0; i < LOADS_X; i++) base[i] = pixel_base[pixel + i * PIXELS];
    const float4* w = conv.w + ((size_t)tile_n * (conv.slices * GROUPS * conv.steps) + first_step) * (2 * TN) + thread;
    const float4* x;
    bool valid[LOADS_X];
    auto point_at_tap = [&]() {
        x = conv.x + (ptrdiff_t)(tap_r * conv.w_ + tap_s + c8 * plane) * 2 + quad;
#pragma unroll
        for (int i = 0; i < LOADS_X; i++) {
            const unsigned int inside = pixel_inside[pixel + i * PIXELS];
            valid[i] = (inside >> tap_r) & (inside >> 16 >> tap_s) & 1u;
        }
    };
    point_at_tap();

    /* A step travels through registers, one quad of x a thread at a time; the quads of w come with the first of them. */
    constexpr int EACH_W = LOADS_W > LOADS_X ? LOADS_W / LOADS_X : 1;
    float4 next_x, next_w[EACH_W];
    auto load = [&](int i) {
        next_x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (valid[i]) next_x = __ldg(x + (LOADS_X > 2 ? pixel_base[pixel + i * PIXELS] : base[i]));
#pragma unroll
        for (int j = 0; j < EACH_W; j++) {
            if (i * EACH_W + j < LOADS_W) next_w[j] = __ldg(w + (i * EACH_W + j) * GROUP_THREADS);
        }
        if (i == LOADS_X - 1) {
            w += 2 * TN;
            x += 2 * plane;
            if (++c8 == conv.c8) {
                c8 = 0;
                if (++tap_s == conv.s) {
                    tap_s = 0;
                    tap_r++;
                }
                point_at_tap();
            }
        }
    };

    constexpr int STORE_ROWS = GROUP_THREADS / (TN / 4);  /* rows of w that one round of the group's threads fills */
    float* const own = shared + group * (2 * BUFFER);
    float* const store_x = own + quad * 4 * ROW + column_of(pixel, quad);
    float* const store_w = own + TM + thread / (TN / 4) * ROW + thread % (TN / 4) * 4;
    auto store = [&](int i, int buffer) {
        float* const to = store_x + buffer * BUFFER + i * PIXELS;
        to[0 * ROW] = next_x.x;
        to[1 * ROW] = next_x.y;
        to[2 * ROW] = next_x.z;
        to[3 * ROW] = next_x.w;
#pragma unroll
        for (int j = 0; j < EACH_W; j++) {
            const int round = i * EACH_W + j;
            if (round >= LOADS_W) continue;
            *reinterpret_cast<float4*>(store_w + buffer * BUFFER + round * STORE_ROWS * ROW) = next_w[j];
        }
    };

    float sum[8][8] = {};
    const float* const read_x = own + warp_m * 64 + lane_m * 4;
    const float* const read_w = own + TM + warp_n * 32 + lane_n * 4;
    /* Adds part i of a step. */
    auto multiply = [&](int buffer, int i) {
#pragma unroll
        for (int own = 0; own < TERMS; own++) {
            const int k = i * TERMS + own;
            const float4 a0 = *reinterpret_cast<const float4*>(read_x + buffer * BUFFER + k * ROW);
            const float4 a1 = *reinterpret_cast<const float4*>(read_x + buffer * BUFFER + k * ROW + 32);
            const float4 b0 = *reinterpret_cast<const float4*>(read_w + buffer * BUFFER + k * ROW);
            const float4 b1 = *reinterpret_cast<const float4*>(read_w + buffer * BUFFER + k * ROW + 16);
            const float rows[8] = {a0.x, a0.y, a0.z, a0.w, a1.x, a1.y, a1.z, a1.w};
            const float b[8] = {b0.x, b0.y, b0.z, b0.w, b1.x, b1.y, b1.z, b1.w};
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const float a = rows[k < 4 ? i : i ^ 2];  /* see column_of */
#pragma unroll
                for (int j = 0; j < 8; j++) sum[i][j] = fmaf(a, b[j], sum[i][j]);
            }
        }
    };

    /* Adds the step in one buffer while the next one comes into the other. */
    auto advance = [&](int buffer) {
#pragma unroll
        for (int i = 0; i < LOADS_X; i++) {
            load(i);
            multiply(buffer, i);
            store(i, buffer ^ 1);
        }
        __syncthreads();  /* the other buffer is full, this one has been read */
    };

    /* The last step. */
    auto finish = [&](int buffer) {
#pragma unroll
        for (int i = 0; i < LOADS_X; i++) multiply(buffer, i);
    };

#pragma unroll
    for (int i = 0; i < LOADS_X; i++) {
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

    /* Each group finishes ROWS of the eight pixels of a thread: it adds all groups' sums, in order. */
    float4 y[ROWS][2];
    add_groups<GROUPS, GROUP_THREADS>(sum, shared, group, thread, y);

    const Conv2dProblem& end = params.problem[place.which];
    if (end.slices > 1) {
        const int tile = place.tile_m * end.tiles_n + place.tile_n;
        if (!add_slices<ROWS, THREADS>(y, end.partials, end.tickets, tile, place.slice, end.slices)) return;
    }

#pragma unroll
    for (int j = 0; j < 2; j++) {
        const int k4 = place.tile_n * (TN / 4) + warp_n * 8 + j * 4 + lane_n;
        if (k4 >= end.k4) continue;
        int part = 0;
        for (int i = 1; i < end.parts; i++) part = k4 >= end.part[i].first_quad ? i : part;
        const ConvPart& to = end.part[part];
        float4* const out = to.y + (ptrdiff_t)((k4 - to.first_quad) / 2) * end.y_plane + k4 % 2;
        float4 bias = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (to.bias_relu) bias = __ldg(end.bias + k4);
#pragma unroll
        for (int i = 0; i < ROWS; i++) {
            const int row = group * ROWS + i;  /* rows 0 to 3 are 8 pixels apart, 4 to 7 stand 32 pixels behind */
            const int m = warp_m * 64 + row / 4 * 32 + row % 4 * 8 + lane_m;
            const int image = pixel_image[m];
            if (image < 0) continue;
            float4* const at = out + ((ptrdiff_t)image * to.image_stride + pixel_offset[m]);
            float4 value = to.bias_relu ? relu(y[i][j] + bias) : y[i][j];
            if (to.accumulate) value = *at + value;
            *at = value;
        }
    }
}

#define CONV2D_FORWARD(TM, TN, GROUPS)                                                                    \
    extern "C" __global__ void __launch_bounds__((TM / 64) * (TN / 32) * 32 * GROUPS, 2)                  \
        conv2d_forward_implicit_gemm_##TM##x##TN##x##GROUPS##_f32(const Conv2dForward params) {           \
        conv2d_forward<TM, TN, GROUPS>(params);                                                           \
    }

CONV2D_FORWARD(128, 128, 1)
CONV2D_FORWARD(128, 64, 2)
CONV2D_FORWARD(64, 64, 4)
CONV2D_FORWARD(128, 32, 4)
