/* What all kernels share.
 *
 * Dimensions, height before width: input N C H W, filter K C R S, output N K P Q; stride_h, stride_w, pad_h, pad_w.
 * A feature map lies as [N][C/8][H][W][8]: eight channels of a pixel are one sector of 32 bytes, the least that memory gives, so that
 * no window, shift or stride reads a part of one. A quad is four of them, one 128-bit access; a view begins at a sector and has
 * whole ones of every image. Offsets within a map count quads; c4 numbers those of a pixel. Every kernel takes one parameter, a
 * struct by value that its launcher in src/kernels fills field by field, in the same order. */
#pragma once

/* Part of a map: channels [first, first + c) of each of its images. */
struct MapView {
    float4* data;      /* the first channel of the first image */
    int image_stride;  /* quads from one image to the next */
    int c4;            /* quads of channels, an even number */
    int h, w;
};

/* Where the quad c4 of a pixel lies in a map of so many pixels; that of the next pixel lies two further. */
__device__ inline int quad_at(int c4, int pixel, int pixels) { return (c4 / 2 * pixels + pixel) * 2 + c4 % 2; }

/* The quad that lies in place i. */
struct Quad {
    int c4, pixel;
};

__device__ inline Quad quad_in(int i, int pixels) { return {i / 2 / pixels * 2 + i % 2, i / 2 % pixels}; }

/* max(x, 0); NaN stays NaN, which fmaxf would hide. */
__device__ inline float relu(float x) { return x < 0.0f ? 0.0f : x; }

__device__ inline float4 relu(float4 x) { return make_float4(relu(x.x), relu(x.y), relu(x.z), relu(x.w)); }

__device__ inline float4 operator+(float4 a, float4 b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

__device__ inline float4 operator*(float4 a, float b) {
    return make_float4(a.x * b, a.y * b, a.z * b, a.w * b);
}

__device__ inline float4 operator-(float4 a, float4 b) {
    return make_float4(a.x - b.x, a.y - b.y, a.z - b.z, a.w - b.w);
}

__device__ inline float4 operator*(float4 a, float4 b) {
    return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w);
}

/* a*b + c, rounded once. */
__device__ inline float4 fma(float4 a, float4 b, float4 c) {
    return make_float4(fmaf(a.x, b.x, c.x), fmaf(a.y, b.y, c.y), fmaf(a.z, b.z, c.z), fmaf(a.w, b.w, c.w));
}

__device__ inline float4 zero4() { return make_float4(0.0f, 0.0f, 0.0f, 0.0f); }
