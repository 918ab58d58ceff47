#pragma once

// Quantization of activations, and of keys and values.

#include "kernels/vector.hpp"

namespace lai {
namespace {

LAI_INLINE Vector vector_abs(Vector x) { return x < 0.0F ? -x : x; }

// The largest magnitude; NaN if a value is NaN or infinite.
LAI_INLINE float absmax(const float* values, std::size_t count) {
    Vector largest = {};
    Vector poison = {};
    for (std::size_t i = 0; i < count; i += kWidth) {
        const Vector magnitudes = vector_abs(load_partial(values + i, count - i));
        largest = magnitudes > largest ? magnitudes : largest;
        poison += magnitudes * 0.0F;
    }
    float result = largest[0];
    LAI_UNROLL for (std::size_t i = 1; i < kWidth; ++i) result = largest[i] > result ? largest[i] : result;
    return result + sum(poison);
}

// Smaller values are rounded to zero: their inverse would overflow, and no sum would notice them. NaN stays in the
// scale.
constexpr float kMinAbsmax = 1e-30F;

LAI_INLINE IntVector round(Vector x) {
    return __builtin_convertvector(x + (x < 0.0F ? broadcast(-0.5F) : broadcast(0.5F)), IntVector);
}

void quantize(const float* values, std::size_t count, ActivationBlock* blocks) {
    // 127 * 256 + 127: the largest integer whose rounded high byte fits into eight bits.
    constexpr float kMaxInteger = 32639.0F;
    for (std::size_t block = 0; block < count / kBlockSize; ++block) {
        const float* from = values + block * kBlockSize;
        const float largest = absmax(from, kBlockSize);
        blocks[block].scale = largest / kMaxInteger;
        const float inverse = largest > kMinAbsmax ? kMaxInteger / largest : 0.0F;
        std::int32_t integers[kBlockSize] = {};
        std::int32_t total = 0;
        if (inverse > 0) {
            LAI_UNROLL for (std::size_t i = 0; i < kBlockSize; i += kWidth) {
                const IntVector rounded = round(load(from + i) * inverse);
                std::memcpy(integers + i, &rounded, sizeof rounded);
            }
            for (std::size_t i = 0; i < kBlockSize; ++i) total += integers[i];
        }
        blocks[block].offset = -8 * total;
        quantize_block(integers, blocks[block].payload);
    }
}

float quantize_int16(const float* values, std::size_t count, std::int16_t* integers) {
    constexpr float kMaxInteger = 32767.0F;
    const float largest = absmax(values, count);
    const float inverse = largest > kMinAbsmax ? kMaxInteger / largest : 0.0F;
    for (std::size_t i = 0; i < count; i += kWidth) {
        const ShortVector shorts = __builtin_convertvector(
            inverse > 0 ? round(load_partial(values + i, count - i) * inverse) : IntVector{}, ShortVector);
        std::memcpy(integers + i, &shorts, min_size(kWidth, count - i) * sizeof(std::int16_t));
    }
    return largest / kMaxInteger;
}

}  // namespace
}  // namespace lai
