#pragma once

#include "kernels.hpp"
#include "tensor.hpp"

#include <cstddef>
#include <cstdint>

namespace lai {

// Blocked weights are packed in groups of sixteen rows, so that a vector holds the same columns of sixteen rows and no
// sum across a vector is needed. The last group is filled up with zero rows. A group is
//
//   u16 scales[blocks][16]             the rows' scales, float16; filled up to a multiple of 64 bytes
//   u8  quants[blocks][words][16][4]   four bytes of each row, row after row
//
// q8_0 has eight words; word w holds columns 4w to 4w+3, each byte the quant + 128. q4_0 has four: the low nibbles are
// columns 4w to 4w+3, the high ones columns 16+4w to 16+4w+3, as they stand in the file (the quant + 8). A word is one
// cache line: vectors that straddle two take twice as long to load.
constexpr std::size_t kWordBytes = 4 * kLanes;

constexpr std::size_t packed_words(DType dtype) { return dtype == DType::q8_0 ? 8 : 4; }
constexpr std::size_t packed_scale_bytes(std::size_t blocks) { return (blocks * 2 * kLanes + 63) / 64 * 64; }
constexpr std::size_t packed_group_bytes(DType dtype, std::size_t cols) {
    return packed_scale_bytes(cols / kBlock) + cols / kBlock * packed_words(dtype) * kWordBytes;
}
inline std::size_t packed_groups(const Matrix& matrix) { return (matrix.rows + kLanes - 1) / kLanes; }
inline std::size_t packed_bytes(const Matrix& matrix) {
    return packed_groups(matrix) * packed_group_bytes(matrix.dtype, matrix.cols);
}

// Packs one group of a matrix that lies as in the file; `out` has room for packed_group_bytes.
void pack_group(const Matrix& matrix, std::size_t group, std::uint8_t* out);

// One row of a matrix that lies as in the file, as floats.
void unpack_row(const Matrix& matrix, std::size_t row, float* out);

// The value of a float16.
float half_to_float(std::uint16_t half);

}  // namespace lai
