/* dropout_f32: y = x/keep with probability keep, else 0; forward and backward alike.
 * Source: Srivastava et al., JMLR 15, 2014; torch.nn.Dropout. The four channels of a quad take the four words of one block of
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), counted by image, channel and pixel, keyed
 * with seed and step: words 5 and 6 of the controls.
 * x a view [N,C,H,W] in;  y a view of the same shape, overwritten.
 * Grid (ceil(C/4*H*W / 256), N), block 256: one thread, four channels of one pixel.  Shared: none.
 * Order: no sum.  Limits: N*C/4*H*W < 2^32, N < 65536. */
#include "common.cuh"

struct Dropout {
    MapView x, y;
    const unsigned int* controls;
    int images;
    unsigned int limit; /* a value stays where its 32 bits are below */
    float scale;        /* 1/keep */
    int reserved;
};

__device__ inline uint4 philox(unsigned int counter, unsigned int key0, unsigned int key1) {
    uint4 x = make_uint4(counter, 0, 0, 0);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        const unsigned int high_a = __umulhi(x.x, 0xD2511F53u), low_a = x.x * 0xD2511F53u;
        const unsigned int high_b = __umulhi(x.z, 0xCD9E8D57u), low_b = x.z * 0xCD9E8D57u;
        x = make_uint4(high_b ^ x.y ^ key0, low_b, high_a ^ x.w ^ key1, low_a);
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return x;
}

extern "C" __global__ void __launch_bounds__(256) dropout_f32(const Dropout dropout) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, image = blockIdx.y;
    const int pixels = dropout.y.h * dropout.y.w;
    const Quad quad = quad_in(i, pixels);
    if (quad.c4 >= dropout.y.c4) return;
    const unsigned int counter = ((unsigned int)image * dropout.y.c4 + quad.c4) * pixels + quad.pixel;
    const uint4 bits = philox(counter, __ldg(dropout.controls + 5), __ldg(dropout.controls + 6));
    const float4 x = __ldg(dropout.x.data + (ptrdiff_t)image * dropout.x.image_stride + i) * dropout.scale;
    dropout.y.data[(ptrdiff_t)image * dropout.y.image_stride + i] =
        make_float4(bits.x < dropout.limit ? x.x : 0.0f, bits.y < dropout.limit ? x.y : 0.0f,
                    bits.z < dropout.limit ? x.z : 0.0f, bits.w < dropout.limit ? x.w : 0.0f);
}
