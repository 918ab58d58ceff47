#include "model/packing.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lai {

namespace {

std::uint16_t read_f16(const std::uint8_t* data) {
    std::uint16_t half;
    std::memcpy(&half, data, sizeof half);
    return half;
}

// q8_0's signed bytes become unsigned by flipping the sign bit. q4_0's nibbles are unsigned already.
std::uint32_t sign_flip_mask(DType dtype) { return dtype == DType::q8_0 ? 0x80808080U : 0U; }

void dequantize_block(DType dtype, const std::uint8_t* block, float* out) {
    const float scale = half_to_float(read_f16(block));
    const std::uint8_t* quants = block + 2;
    if (dtype == DType::q8_0) {
        for (std::size_t i = 0; i < kBlockSize; ++i) {
            out[i] = scale * static_cast<float>(static_cast<std::int8_t>(quants[i]));
        }
        return;
    }
    for (std::size_t i = 0; i < kBlockSize / 2; ++i) {
        out[i] = scale * static_cast<float>((quants[i] & 15) - 8);
        out[i + kBlockSize / 2] = scale * static_cast<float>((quants[i] >> 4) - 8);
    }
}

// Four columns of sixteen rows; the sixteen halves of a column are contiguous. Sixteen halves move as four words, all
// in the same way, so that compilers vectorize the loop. Loading a model depends on its speed.
void pack_four_f16_columns(const std::uint8_t* from, std::size_t row_bytes, std::uint8_t* out) {
    constexpr std::uint64_t kEven = 0x0000FFFF0000FFFF;
    constexpr std::uint64_t kFirst = 0x00000000FFFFFFFF;
    std::uint64_t rows[4][4];  // rows[i][q] is row 4q + i
    for (std::size_t q = 0; q < 4; ++q) {
        for (std::size_t i = 0; i < 4; ++i) std::memcpy(&rows[i][q], from + (4 * q + i) * row_bytes, 8);
    }
    std::uint64_t columns[4][4];
    for (std::size_t q = 0; q < 4; ++q) {
        const std::uint64_t even01 = (rows[0][q] & kEven) | (rows[1][q] & kEven) << 16;
        const std::uint64_t even23 = (rows[2][q] & kEven) | (rows[3][q] & kEven) << 16;
        const std::uint64_t odd01 = (rows[0][q] >> 16 & kEven) | (rows[1][q] & ~kEven);
        const std::uint64_t odd23 = (rows[2][q] >> 16 & kEven) | (rows[3][q] & ~kEven);
        columns[0][q] = (even01 & kFirst) | even23 << 32;
        columns[1][q] = (odd01 & kFirst) | odd23 << 32;
        columns[2][q] = even01 >> 32 | (even23 & ~kFirst);
        columns[3][q] = odd01 >> 32 | (odd23 & ~kFirst);
    }
    std::memcpy(out, columns, sizeof columns);
}

}  // namespace

float half_to_float(std::uint16_t half) {
    const std::uint32_t magnitude = half & 0x7FFFU;
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
    std::uint32_t bits = sign | (magnitude << 13);
    if (magnitude >= 0x7C00U) {
        bits |= 0x7F800000U;  // infinity or NaN
    } else {
        // The exponent bias differs by 112. Multiplying by 2^112 also gives subnormal halves their value.
        float value;
        std::memcpy(&value, &bits, sizeof value);
        return value * 0x1p112F;
    }
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

void pack_f16_columns(const Matrix& matrix, std::size_t group, std::size_t first, std::size_t count,
                      std::uint8_t* out) {
    const std::size_t first_row = group * kLanes;
    const std::size_t lanes = std::min(kLanes, matrix.rows - first_row);
    const std::size_t row_bytes = matrix.cols * 2;
    const std::uint8_t* from = matrix.data + first_row * row_bytes + first * 2;
    std::size_t col = 0;
    if (lanes == kLanes) {
        for (; col + 4 <= count; col += 4) {
            pack_four_f16_columns(from + col * 2, row_bytes, out + col * kF16ColumnBytes);
        }
    }
    for (; col < count; ++col) {
        std::memset(out + col * kF16ColumnBytes, 0, kF16ColumnBytes);
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            std::memcpy(out + col * kF16ColumnBytes + lane * 2, from + lane * row_bytes + col * 2, 2);
        }
    }
}

void pack_group(const Matrix& matrix, std::size_t group, std::uint8_t* out) {
    if (matrix.dtype == DType::f16) {
        const std::size_t bytes = matrix.cols * kF16ColumnBytes;
        pack_f16_columns(matrix, group, 0, matrix.cols, out);
        std::memset(out + bytes, 0, packed_group_bytes(DType::f16, matrix.cols) - bytes);
        return;
    }
    const std::size_t blocks = matrix.cols / kBlockSize;
    const std::size_t words = packed_words(matrix.dtype);
    const std::size_t file_block = weight_bytes(matrix.dtype, kBlockSize);
    const std::uint32_t flip = sign_flip_mask(matrix.dtype);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const std::size_t row = group * kLanes + lane;
        for (std::size_t block = 0; block < blocks; ++block) {
            const bool exists = row < matrix.rows;
            const std::uint8_t* from = exists ? matrix.data + (row * blocks + block) * file_block : nullptr;
            const std::uint16_t scale = exists ? read_f16(from) : std::uint16_t{0};
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

void dequantize_row(const Matrix& matrix, std::size_t row, float* out) {
    const std::uint8_t* data = matrix.data + weight_bytes(matrix.dtype, matrix.cols) * row;
    if (matrix.dtype == DType::f32) {
        std::memcpy(out, data, matrix.cols * sizeof(float));
    } else if (matrix.dtype == DType::f16) {
        for (std::size_t i = 0; i < matrix.cols; ++i) out[i] = half_to_float(read_f16(data + 2 * i));
    } else {
        for (std::size_t block = 0; block < matrix.cols / kBlockSize; ++block) {
            dequantize_block(matrix.dtype, data + block * weight_bytes(matrix.dtype, kBlockSize),
                             out + block * kBlockSize);
        }
    }
}

void dequantize_packed_row(const Matrix& packed, std::size_t row, float* out) {
    const std::uint8_t* group = packed.data + row / kLanes * packed_group_bytes(packed.dtype, packed.cols);
    const std::size_t lane = row % kLanes;
    if (packed.dtype == DType::f16) {
        for (std::size_t col = 0; col < packed.cols; ++col) {
            out[col] = half_to_float(read_f16(group + col * kF16ColumnBytes + lane * 2));
        }
        return;
    }
    const std::uint32_t flip = sign_flip_mask(packed.dtype);
    for (std::size_t block = 0; block < packed.cols / kBlockSize; ++block) {
        std::uint8_t as_in_file[weight_bytes(DType::q8_0, kBlockSize)];  // the larger of the two dtypes
        std::memcpy(as_in_file, group + packed_scales_at(packed.dtype, block) + lane * 2, 2);
        const std::uint8_t* packed_quants = group + packed_quants_at(packed.dtype, block) + lane * 4;
        for (std::size_t word = 0; word < packed_words(packed.dtype); ++word) {
            std::uint32_t quants;
            std::memcpy(&quants, packed_quants + word * kWordBytes, 4);
            quants ^= flip;
            std::memcpy(as_in_file + 2 + 4 * word, &quants, 4);
        }
        dequantize_block(packed.dtype, as_in_file, out + block * kBlockSize);
    }
}

}  // namespace lai
