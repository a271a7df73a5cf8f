/* sgemm_128x128x8_f32: C = A B, row-major, m, n multiples of 128, k a multiple of 8.
 * Grid (n/128, m/128), block 256: one thread, 8x8 outputs.  Shared: two tiles of 8 rows of 128.
 * Order: terms in order, the same bits on every run. */
struct Sgemm {
    const float4* a; /* [m][k] */
    const float4* b; /* [k][n] */
    float4* c;       /* [m][n], overwritten */
    int k4, n4;      /* quads in a row of a; of b and c */
};

extern "C" __global__ void __launch_bounds__(256) sgemm_128x128x8_f32(const Sgemm gemm) {
    __shared__ __align__(16) float tile_a[8][128], tile_b[8][128];
    const int thread = threadIdx.x, row = thread / 16, column = thread % 16;
    const float4* a = gemm.a + (blockIdx.y * 128 + thread / 2) * gemm.k4 + thread % 2;
    const float4* b = gemm.b + thread / 32 * gemm.n4 + blockIdx.x * 32 + thread % 32;
    float sum[8][8] = {};
    for (int k = 0; k < gemm.k4; k += 2) {
        const float4 next_a = __ldg(a + k), next_b = __ldg(b);
        b += 8 * gemm.n4;
        __syncthreads(); /* everybody has read the tiles before */
        const float4 parts = next_a;
        tile_a[thread % 2 * 4 + 0][thread / 2] = parts.x;
        tile_a[thread % 2 * 4 + 1][thread / 2] = parts.y;
        tile_a[thread % 2 * 4 + 2][thread / 2] = parts.z;
        tile_a[thread % 2 * 4 + 3][thread / 2] = parts.w;
        *reinterpret_cast<float4*>(&tile_b[thread / 32][thread % 32 * 4]) = next_b;
        __syncthreads(); /* the tiles are full */
#pragma unroll
        for (int term = 0; term < 8; term++) {
            float x[8], y[8];
#pragma unroll
            for (int half = 0; half < 2; half++) {
                *reinterpret_cast<float4*>(x + 4 * half) = *reinterpret_cast<float4*>(&tile_a[term][half * 64 + row * 4]);
                *reinterpret_cast<float4*>(y + 4 * half) = *reinterpret_cast<float4*>(&tile_b[term][half * 64 + column * 4]);
            }
#pragma unroll
            for (int i = 0; i < 8; i++) {
#pragma unroll
                for (int j = 0; j < 8; j++) sum[i][j] = fmaf(x[i], y[j], sum[i][j]);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        float4* c = gemm.c + (blockIdx.y * 128 + i / 4 * 64 + row * 4 + i % 4) * gemm.n4 + blockIdx.x * 32 + column;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            c[half * 16] = make_float4(sum[i][half * 4], sum[i][half * 4 + 1], sum[i][half * 4 + 2], sum[i][half * 4 + 3]);
        }
    }
}
