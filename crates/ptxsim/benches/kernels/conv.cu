/* conv2d_tile8x8_f32: 3x3 convolution, stride 1, one image, no padding; h, w the output's size, multiples of 8.
 * y[k][p][q] = sum_{c, r, s} x[c][p + r][q + s] * f[k][c][r][s].
 * Grid (w/8, h/8, k), block (8, 8): one thread, one output.  Shared: a tile of 10x10 pixels and the filter's nine taps. */
struct Conv {
    const float* x; /* [c][h + 2][w + 2] */
    const float* f; /* [k][c][3][3] */
    float* y;       /* [k][h][w], overwritten */
    int c, h, w;
};

extern "C" __global__ void __launch_bounds__(64) conv2d_tile8x8_f32(const Conv conv) {
    __shared__ float tile[10][10], taps[9];
    const int column = threadIdx.x, row = threadIdx.y, thread = row * 8 + column;
    const int p = blockIdx.y * 8, q = blockIdx.x * 8, k = blockIdx.z;
    float sum = 0.0f;
    for (int c = 0; c < conv.c; c++) {
        const float* x = conv.x + (c * (conv.h + 2) + p) * (conv.w + 2) + q;
        __syncthreads(); /* everybody has read the tile before */
        for (int i = thread; i < 100; i += 64) tile[i / 10][i % 10] = x[i / 10 * (conv.w + 2) + i % 10];
        if (thread < 9) taps[thread] = conv.f[(k * conv.c + c) * 9 + thread];
        __syncthreads(); /* the tile is full */
#pragma unroll
        for (int r = 0; r < 3; r++) {
#pragma unroll
            for (int s = 0; s < 3; s++) sum = fmaf(tile[row + r][column + s], taps[r * 3 + s], sum);
        }
    }
    conv.y[(k * conv.h + p + row) * conv.w + q + column] = sum;
}
