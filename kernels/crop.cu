/* crop_forward: crops in the middle of zeros, grey in all channels, normalised, in the layout that the first convolution reads.
 * y[n,h,w,c] = (v / divisor - mean[c,h,w]) / scale[c]; v = pixel (h - top, w - left) of channel min(c, channels - 1)
 * of crop n where there is one, else 0; top = (H - height) / 2 and left = (W - width) / 2, rounded down. The fourth channel,
 * and the last column of an odd width, are 0. A crop of finished values is copied as it is.
 * Source: padding and normalisation as in src/data; the same bits as there.
 * crops: image_bytes bytes an image, a header and pixels, see Crop; a header beyond H, W or 3 channels counts as those;
 * mean [1 or 3,H,W], or null for mean_of;  y [N, H, 2*ceil(W/2), 4], overwritten. The crops may lie in the host's memory.
 * Grid (ceil(H*2*ceil(W/2) / 256), N), block 256: one thread, one pixel.  Shared: none.
 * Order: no atomics, the same bits on every run.  Limits: 3*H*W < 2^29, N < 65536. */
#include "common.cuh"

/* A crop as its file has it. */
struct Crop {
    int height, width, channels; /* channels: 1 or 3 */
    int kind;                    /* of the pixels behind it, see below */
};

#define PIXELS_U8 0       /* [height, width, channels], from 0 to 255 */
#define PIXELS_F32 1      /* [channels, height, width], from 0 to 255 */
#define VALUES_F32 2      /* [channels, height, width], normalised */

struct CropForward {
    const unsigned char* crops;
    float4* y;
    const float* mean;
    int images, image_bytes;
    int h, w;
    int mean_channels;
    float divisor;
    float mean_of[3];
    float scale[3];
};

extern "C" __global__ void __launch_bounds__(256) crop_forward(const CropForward params) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, image = blockIdx.y;
    const int width = (params.w + 1) / 2 * 2;
    if (i >= params.h * width) return;
    const int h = i / width, w = i % width;
    const unsigned char* const bytes = params.crops + (ptrdiff_t)image * params.image_bytes;
    const int4 header = __ldg(reinterpret_cast<const int4*>(bytes));
    const Crop crop = {min(max(header.x, 0), params.h), min(max(header.y, 0), params.w), header.z == 3 ? 3 : 1, header.w};
    const unsigned char* const pixels = bytes + sizeof(Crop);
    const int row = h - (params.h - crop.height) / 2, column = w - (params.w - crop.width) / 2;
    const bool inside = row >= 0 && row < crop.height && column >= 0 && column < crop.width;
    float value[3] = {0.0f, 0.0f, 0.0f}, pixel = 0.0f;  /* pixel: of the last channel there is */
#pragma unroll
    for (int c = 0; c < 3; c++) {
        if (c >= crop.channels) {
            value[c] = pixel;
        } else if (inside) {
            if (crop.kind == PIXELS_U8) {
                value[c] = (float)__ldg(pixels + (row * crop.width + column) * crop.channels + c);
            } else {
                const float* const values = reinterpret_cast<const float*>(pixels);
                value[c] = __ldg(values + (c * crop.height + row) * crop.width + column);
            }
        }
        pixel = value[c];
        if (crop.kind != VALUES_F32 && w < params.w) {
            float mean = params.mean_of[c];
            if (params.mean) {
                mean = __ldg(params.mean + (min(c, params.mean_channels - 1) * params.h + h) * params.w + w);
            }
            value[c] = (value[c] / params.divisor - mean) / params.scale[c];
        }
    }
    params.y[(ptrdiff_t)image * params.h * width + i] = make_float4(value[0], value[1], value[2], 0.0f);
}
