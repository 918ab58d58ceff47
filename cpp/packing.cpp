#include "packing.hpp"

#include <cmath>
#include <cstring>

namespace lai {

namespace {

constexpr std::size_t kScaleBytes = 2;

std::uint16_t read_half(const std::uint8_t* data) {
    std::uint16_t half;
    std::memcpy(&half, data, sizeof half);
    return half;
}

void unpack_block(DType dtype, const std::uint8_t* block, float* out) {
    const float scale = half_to_float(read_half(block));
    const std::uint8_t* quants = block + kScaleBytes;
    if (dtype == DType::q8_0) {
        for (std::size_t i = 0; i < kBlock; ++i) out[i] = scale * static_cast<float>(static_cast<std::int8_t>(quants[i]));
        return;
    }
    for (std::size_t i = 0; i < kBlock / 2; ++i) {
        out[i] = scale * static_cast<float>((quants[i] & 15) - 8);
        out[i + kBlock / 2] = scale * static_cast<float>((quants[i] >> 4) - 8);
    }
}

}  // namespace

float half_to_float(std::uint16_t half) {
    const std::uint32_t magnitude = half & 0x7FFFU;
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
    std::uint32_t bits = sign | (magnitude << 13);
    if (magnitude >= 0x7C00U) {
        bits |= 0x7F800000U;  // infinity or not a number
    } else {
        // The exponent's bias differs by 112; multiplying by 2^112 also gives subnormal halves their value.
        float value;
        std::memcpy(&value, &bits, sizeof value);
        return value * 0x1p112F;
    }
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

void pack_group(const Matrix& matrix, std::size_t group, std::uint8_t* out) {
    const std::size_t blocks = matrix.cols / kBlock;
    const std::size_t words = packed_words(matrix.dtype);
    const std::size_t file_block = weight_bytes(matrix.dtype, kBlock);
    std::uint8_t* packed_quants = out + packed_scale_bytes(blocks);
    // q8_0's signed bytes become unsigned by flipping the sign bit; q4_0's nibbles are unsigned as they stand.
    const std::uint32_t flip = matrix.dtype == DType::q8_0 ? 0x80808080U : 0U;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const std::size_t row = group * kLanes + lane;
        for (std::size_t block = 0; block < blocks; ++block) {
            const bool exists = row < matrix.rows;
            const std::uint8_t* from = exists ? matrix.data + (row * blocks + block) * file_block : nullptr;
            const std::uint16_t scale = exists ? read_half(from) : std::uint16_t{0};
            std::memcpy(out + (block * kLanes + lane) * kScaleBytes, &scale, kScaleBytes);
            for (std::size_t word = 0; word < words; ++word) {
                std::uint32_t quants = 0;
                if (exists) std::memcpy(&quants, from + kScaleBytes + 4 * word, 4);
                quants ^= flip;
                std::memcpy(packed_quants + (block * words + word) * kWordBytes + lane * 4, &quants, 4);
            }
        }
    }
}

void unpack_row(const Matrix& matrix, std::size_t row, float* out) {
    const std::uint8_t* data = matrix.data + weight_bytes(matrix.dtype, matrix.cols) * row;
    if (matrix.dtype == DType::f32) {
        std::memcpy(out, data, matrix.cols * sizeof(float));
    } else if (matrix.dtype == DType::f16) {
        for (std::size_t i = 0; i < matrix.cols; ++i) out[i] = half_to_float(read_half(data + 2 * i));
    } else {
        for (std::size_t block = 0; block < matrix.cols / kBlock; ++block) {
            unpack_block(matrix.dtype, data + block * weight_bytes(matrix.dtype, kBlock), out + block * kBlock);
        }
    }
}

}  // namespace lai
