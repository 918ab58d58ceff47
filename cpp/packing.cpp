#include "packing.hpp"

#include <algorithm>
#include <cstring>

namespace lai {

namespace {

std::uint16_t read_half(const std::uint8_t* data) {
    std::uint16_t half;
    std::memcpy(&half, data, sizeof half);
    return half;
}

void unpack_block(DType dtype, const std::uint8_t* block, float* out) {
    const float scale = half_to_float(read_half(block));
    const std::uint8_t* quants = block + 2;
    if (dtype == DType::q8_0) {
        for (std::size_t i = 0; i < kBlock; ++i) out[i] = scale * static_cast<float>(static_cast<std::int8_t>(quants[i]));
        return;
    }
    for (std::size_t i = 0; i < kBlock / 2; ++i) {
        out[i] = scale * static_cast<float>((quants[i] & 15) - 8);
        out[i + kBlock / 2] = scale * static_cast<float>((quants[i] >> 4) - 8);
    }
}

std::uint64_t read_four_halves(const std::uint8_t* data) {
    std::uint64_t four;
    std::memcpy(&four, data, sizeof four);
    return four;
}

// Four columns of four rows turned round: the first halves of all, the second ones of all, and so on.
void transpose(std::uint64_t (&four)[4]) {
    constexpr std::uint64_t kEven = 0x0000FFFF0000FFFF;
    constexpr std::uint64_t kFirst = 0x00000000FFFFFFFF;
    for (const std::size_t i : {0, 2}) {
        const std::uint64_t even = (four[i] & kEven) | (four[i + 1] & kEven) << 16;
        four[i + 1] = (four[i] >> 16 & kEven) | (four[i + 1] & ~kEven);
        four[i] = even;
    }
    for (const std::size_t i : {0, 1}) {
        const std::uint64_t first = (four[i] & kFirst) | four[i + 2] << 32;
        four[i + 2] = four[i] >> 32 | (four[i + 2] & ~kFirst);
        four[i] = first;
    }
}

// Whole squares of four are much faster to turn than single halves: models are loaded with it.
void pack_halves(const Matrix& matrix, std::size_t group, std::uint8_t* out) {
    const std::size_t first = group * kLanes;
    const std::size_t lanes = std::min(kLanes, matrix.rows - first);
    const std::uint8_t* from = matrix.data + first * matrix.cols * 2;
    std::memset(out, 0, packed_group_bytes(DType::f16, matrix.cols));
    std::size_t col = 0;
    for (; lanes == kLanes && col + 4 <= matrix.cols; col += 4) {
        for (std::size_t lane = 0; lane < kLanes; lane += 4) {
            std::uint64_t four[4];
            for (std::size_t i = 0; i < 4; ++i) four[i] = read_four_halves(from + ((lane + i) * matrix.cols + col) * 2);
            transpose(four);
            for (std::size_t i = 0; i < 4; ++i) std::memcpy(out + ((col + i) * kLanes + lane) * 2, &four[i], sizeof four[i]);
        }
    }
    for (; col < matrix.cols; ++col) {
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            std::memcpy(out + (col * kLanes + lane) * 2, from + (lane * matrix.cols + col) * 2, 2);
        }
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
    if (matrix.dtype == DType::f16) return pack_halves(matrix, group, out);
    const std::size_t blocks = matrix.cols / kBlock;
    const std::size_t words = packed_words(matrix.dtype);
    const std::size_t file_block = weight_bytes(matrix.dtype, kBlock);
    // q8_0's signed bytes become unsigned by flipping the sign bit; q4_0's nibbles are unsigned as they stand.
    const std::uint32_t flip = matrix.dtype == DType::q8_0 ? 0x80808080U : 0U;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const std::size_t row = group * kLanes + lane;
        for (std::size_t block = 0; block < blocks; ++block) {
            const bool exists = row < matrix.rows;
            const std::uint8_t* from = exists ? matrix.data + (row * blocks + block) * file_block : nullptr;
            const std::uint16_t scale = exists ? read_half(from) : std::uint16_t{0};
            std::memcpy(out + packed_scales_at(matrix.dtype, block) + lane * 2, &scale, 2);
            std::uint8_t* packed_quants = out + packed_quants_at(matrix.dtype, block) + lane * 4;
            for (std::size_t word = 0; word < words; ++word) {
                std::uint32_t quants = 0;
                if (exists) std::memcpy(&quants, from + 2 + 4 * word, 4);
                quants ^= flip;
                std::memcpy(packed_quants + word * kWordBytes, &quants, 4);
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
