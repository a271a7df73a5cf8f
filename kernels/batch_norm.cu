/* Batch norm by the batch's own statistics, with ReLU or without: batch_norm_forward_stats_f32, batch_norm_forward_normalize_f32,
 * batch_norm_backward_sums_f32, batch_norm_backward_data_f32. With M = N*H*W values a channel, inv_std = 1/sqrt(variance + eps),
 * normal = (z - mean)*inv_std, v = gamma*normal + beta: with ReLU y = max(v, 0), g = dy where v > 0, else 0; without y = v, g = dy.
 * Source: Ioffe and Szegedy, arXiv 1502.03167; torch.nn.BatchNorm2d in training mode.
 * z, dy, out views [N,C,H,W];  stats [2,C]: mean, then inv_std;  parameters [2,C]: gamma, then beta;  gradients [2,C]: theirs.
 * Grid (slices, C/8), block 256: a block has eight channels and a slice of the pixels of all images, a thread four of the channels
 * and every 128th pixel, its neighbour the others.
 * Every pass is bound by memory, and reads each map once.
 * Order: sums are taken in float32 over RUN pixels of a thread and in float64 beyond: over threads and over slices by trees of one
 * shape, the slices by the block that comes last (an integer ticket tells), so the same bits come out on every run.
 * Shared: 1152 bytes where there are sums.  Limits: C a multiple of 8, C/8 < 65536, N*H*W < 2^31, every [C] at a multiple of 16
 * bytes. */
#include "sum.cuh"

#define THREADS 256
#define PIXELS (THREADS / 2) /* that a block takes at a time */
#define AHEAD 4 /* pixels that a thread has on the way */
#define RUN 32  /* pixels of a thread whose sums are taken in float32 */

struct BatchNorm {
    MapView z, dy, out;
    const float4* parameters;
    float4* stats;
    float4* gradients;
    float* running;        /* [2,C]: mean, then variance */
    double* partials;      /* [C/8][slices][16] when slices > 1 */
    unsigned int* tickets; /* one for eight channels; 0 before and after */
    double eps, momentum;
    int images, slice;     /* slice: pixels of a block */
    float floor;           /* 0 with ReLU; NaN, than which nothing is smaller, without */
};

/* A thread's way through its slice. */
struct Way {
    int image, pixel, left; /* where it is, pixels that are left, this one included */
    int images, pixels;     /* how far the next one is */
};

__device__ inline Way way_of(const BatchNorm& norm) {
    const int pixels = norm.z.h * norm.z.w, all = pixels * norm.images;
    const int first = blockIdx.x * norm.slice + threadIdx.x / 2;
    Way way;
    way.image = first / pixels;
    way.pixel = first % pixels;
    way.left = (min((int)blockIdx.x * norm.slice + norm.slice, all) - first + PIXELS - 1) / PIXELS;
    way.images = PIXELS / pixels;
    way.pixels = PIXELS % pixels;
    return way;
}

__device__ inline void advance(Way& way, int pixels) {
    way.image += way.images;
    way.pixel += way.pixels;
    if (way.pixel >= pixels) {
        way.pixel -= pixels;
        way.image++;
    }
}

/* The thread's channels. */
__device__ inline int own_c4() { return blockIdx.y * 2 + threadIdx.x % 2; }

/* Where they lie in the pixel. */
__device__ inline float4* quad_of(const MapView& map, const Way& way) {
    return map.data + ((ptrdiff_t)way.image * map.image_stride + quad_at(own_c4(), way.pixel, map.h * map.w));
}

/* The values of four channels by which z becomes gamma*normal + beta, always in the same way. */
struct Affine {
    float4 mean, inv_std, scale, beta; /* scale: gamma*inv_std */
};

__device__ inline Affine affine_of(const BatchNorm& norm) {
    const int c4 = own_c4(), channels = norm.z.c4;
    const float4 gamma = __ldg(norm.parameters + c4);
    Affine affine;
    affine.mean = __ldg(norm.stats + c4);
    affine.inv_std = __ldg(norm.stats + channels + c4);
    affine.scale = gamma * affine.inv_std;
    affine.beta = __ldg(norm.parameters + channels + c4);
    return affine;
}

__device__ inline float4 value(const Affine& affine, float4 centred) { return fma(centred, affine.scale, affine.beta); }

/* v, or the floor where v is below it. */
__device__ inline float4 raised(float4 v, float floor) {
    return make_float4(v.x < floor ? floor : v.x, v.y < floor ? floor : v.y, v.z < floor ? floor : v.z,
                       v.w < floor ? floor : v.w);
}

/* dy where v is not at the floor or below. */
__device__ inline float4 masked(float4 v, float4 dy, float floor) {
    return make_float4(v.x <= floor ? 0.0f : dy.x, v.y <= floor ? 0.0f : dy.y, v.z <= floor ? 0.0f : dy.z,
                       v.w <= floor ? 0.0f : dy.w);
}

#define SUMS 16 /* two for each of eight channels */

/* Of number i of them: its channel, and whether it is the second. */
__device__ inline int channel_of(int i) { return i % 2 * 4 + i / 2 % 4; }
__device__ inline bool is_second(int i) { return i >= SUMS / 2; }

/* Adds the block's sums over all its slices' blocks: thread i < SUMS of the last block gets number i. Whether this is that block. */
__device__ inline bool whole_sums(const BatchNorm& norm, double (&sums)[8], double& sum) {
    sum = block_sums<8, 2>(sums);
    const int slices = gridDim.x;
    if (slices == 1) return true;
    double* const own = norm.partials + (ptrdiff_t)blockIdx.y * slices * SUMS;
    if (threadIdx.x < SUMS) own[blockIdx.x * SUMS + threadIdx.x] = sum;
    if (!is_last(norm.tickets + blockIdx.y, slices)) return false;
#pragma unroll
    for (int i = 0; i < 8; i++) sums[i] = 0.0;
    for (int slice = threadIdx.x / 2; slice < slices; slice += THREADS / 2) {
#pragma unroll
        for (int i = 0; i < 8; i++) sums[i] += own[slice * SUMS + i * 2 + threadIdx.x % 2];
    }
    sum = block_sums<8, 2>(sums);
    return true;
}

/* Calls use(way) for `count` pixels of the way; load(i, way) brings pixel i of AHEAD, use(i, first) takes it. */
template <class Load, class Use>
__device__ inline void walk(Way& way, int pixels, int count, Load load, Use use) {
    int done = 0;
    for (; done + AHEAD <= count; done += AHEAD) {
#pragma unroll
        for (int i = 0; i < AHEAD; i++) {
            load(i, way);
            advance(way, pixels);
        }
#pragma unroll
        for (int i = 0; i < AHEAD; i++) use(i, done + i);
    }
    for (; done < count; done++) {
        load(0, way);
        use(0, done);
        advance(way, pixels);
    }
}

/* batch_norm_forward_stats_f32: mean[c] = sum z / M, inv_std[c] = 1/sqrt(sum z^2 / M - mean^2 + eps);
 * running = (1 - momentum)*running + momentum*batch, with the variance times M/(M - 1).
 * z in;  stats overwritten;  running read and overwritten. Sums of a run are taken about its first value, so that neither a large
 * mean nor an outlier takes digits from the variance. */
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_forward_stats_f32(const BatchNorm norm) {
    const int pixels = norm.z.h * norm.z.w;
    Way way = way_of(norm);
    double sums[8] = {};
    for (int left = way.left; left > 0; left -= RUN) {
        const int count = min(left, RUN);
        float4 z[AHEAD], first, rest = zero4(), squares = zero4();
        walk(
            way, pixels, count, [&](int i, const Way& way) { z[i] = __ldg(quad_of(norm.z, way)); },
            [&](int i, int number) {
                if (number == 0) first = z[i];
                const float4 d = z[i] - first;
                rest = rest + d;
                squares = fma(d, d, squares);
            });
        /* sum z = sum d + n*first, sum z^2 = sum d^2 + first*(sum d + sum z). */
        const float f[4] = {first.x, first.y, first.z, first.w}, r[4] = {rest.x, rest.y, rest.z, rest.w};
        const float q[4] = {squares.x, squares.y, squares.z, squares.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const double sum = fma((double)count, (double)f[i], (double)r[i]);
            sums[i] += sum;
            sums[4 + i] += fma((double)f[i], (double)r[i] + sum, (double)q[i]);
        }
    }
    __shared__ double finals[SUMS];
    double sum;
    if (!whole_sums(norm, sums, sum)) return;
    if (threadIdx.x < SUMS) finals[threadIdx.x] = sum;
    __syncthreads();  /* both sums of a channel are there */
    if (threadIdx.x >= SUMS / 2) return;
    const int channel = blockIdx.y * 8 + channel_of(threadIdx.x), channels = norm.z.c4 * 4;
    const double count = (double)pixels * norm.images, mean = finals[threadIdx.x] / count;
    const double difference = finals[SUMS / 2 + threadIdx.x] / count - mean * mean;
    const double variance = difference < 0.0 ? 0.0 : difference;  /* NaN stays NaN */
    const double unbiased = variance * count / (count > 1.0 ? count - 1.0 : 1.0);
    float* const stats = reinterpret_cast<float*>(norm.stats) + channel;
    stats[0] = (float)mean;
    stats[channels] = (float)(1.0 / sqrt(variance + norm.eps));
    float* const running = norm.running + channel;
    running[0] = (float)((1.0 - norm.momentum) * running[0] + norm.momentum * mean);
    running[channels] = (float)((1.0 - norm.momentum) * running[channels] + norm.momentum * unbiased);
}

/* batch_norm_forward_normalize_f32: out = y.
 * z, stats, parameters in;  out overwritten. */
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_forward_normalize_f32(const BatchNorm norm) {
    const Affine affine = affine_of(norm);
    Way way = way_of(norm);
    float4 z[AHEAD];
    float4* to[AHEAD];
    walk(
        way, norm.z.h * norm.z.w, way.left,
        [&](int i, const Way& way) {
            z[i] = __ldg(quad_of(norm.z, way));
            to[i] = quad_of(norm.out, way);
        },
        [&](int i, int) { *to[i] = raised(value(affine, z[i] - affine.mean), norm.floor); });
}

/* batch_norm_backward_sums_f32: dbeta[c] = sum g, dgamma[c] = sum g*normal.
 * z, dy, stats, parameters in;  gradients overwritten. */
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_backward_sums_f32(const BatchNorm norm) {
    const Affine affine = affine_of(norm);
    Way way = way_of(norm);
    double sums[8] = {};
    for (int left = way.left; left > 0; left -= RUN) {
        float4 z[AHEAD], dy[AHEAD], gs = zero4(), products = zero4();
        walk(
            way, norm.z.h * norm.z.w, min(left, RUN),
            [&](int i, const Way& way) {
                z[i] = __ldg(quad_of(norm.z, way));
                dy[i] = __ldg(quad_of(norm.dy, way));
            },
            [&](int i, int) {
                const float4 d = z[i] - affine.mean, g = masked(value(affine, d), dy[i], norm.floor);
                gs = gs + g;
                products = fma(g, d, products);
            });
        const float run[8] = {gs.x, gs.y, gs.z, gs.w, products.x, products.y, products.z, products.w};
#pragma unroll
        for (int i = 0; i < 8; i++) sums[i] += (double)run[i];
    }
    double sum;
    if (!whole_sums(norm, sums, sum) || threadIdx.x >= SUMS) return;
    const int channel = blockIdx.y * 8 + channel_of(threadIdx.x), channels = norm.z.c4 * 4;
    float* const gradients = reinterpret_cast<float*>(norm.gradients) + channel;
    if (!is_second(threadIdx.x)) {
        gradients[channels] = (float)sum;
    } else {
        gradients[0] = (float)(sum * (double)reinterpret_cast<const float*>(norm.stats)[channels + channel]);
    }
}

/* batch_norm_backward_data_f32: out = dz = gamma*inv_std * (g - dbeta/M - normal*dgamma/M).
 * z, dy, stats, parameters, gradients in;  out overwritten. */
extern "C" __global__ void __launch_bounds__(THREADS) batch_norm_backward_data_f32(const BatchNorm norm) {
    const Affine affine = affine_of(norm);
    const float share = -1.0f / ((float)(norm.z.h * norm.z.w) * (float)norm.images);
    const float4 offset = __ldg(norm.gradients + norm.z.c4 + own_c4()) * share;
    const float4 slope = __ldg(norm.gradients + own_c4()) * affine.inv_std * share;
    Way way = way_of(norm);
    float4 z[AHEAD], dy[AHEAD];
    float4* to[AHEAD];
    walk(
        way, norm.z.h * norm.z.w, way.left,
        [&](int i, const Way& way) {
            z[i] = __ldg(quad_of(norm.z, way));
            dy[i] = __ldg(quad_of(norm.dy, way));
            to[i] = quad_of(norm.out, way);
        },
        [&](int i, int) {
            const float4 d = z[i] - affine.mean, g = masked(value(affine, d), dy[i], norm.floor);
            *to[i] = affine.scale * fma(d, slope, g + offset);
        });
}
