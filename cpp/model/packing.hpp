#pragma once

#include "kernels/kernels.hpp"
#include "model/tensor.hpp"

#include <cstddef>
#include <cstdint>

namespace lai {

// Weights other than f32 are packed in groups of sixteen rows. A vector holds the same columns of sixteen rows, so no
// horizontal sum is needed. Zero rows fill the last group. A group of f16 is column after column, padded to a multiple
// of 64 bytes:
//
//   u16 halves[cols][16]
//
// A group of quantized rows is pairs of blocks (the last may be a single one), so that memory is read in order:
//
//   u16 scales[2][16]                  the rows' scales in both blocks, float16
//   u8  quants[2][words][16][4]        four bytes of each row, row after row
//
// q8_0 has eight words; word w holds columns 4w to 4w+3, each byte the quant + 128. q4_0 has four words: the low
// nibbles are columns 4w to 4w+3, the high ones columns 16+4w to 16+4w+3, as in the file (the quant + 8). A word is one
// cache line: a vector that straddles two takes twice as long to load.
//
// f14.hpp describes f14; only its kernels read and write it.
constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kWordBytes = 4 * kLanes;
constexpr std::size_t kF16ColumnBytes = 2 * kLanes;  // one half of each row
constexpr std::size_t kUnitColumns = 16;             // f14 matrices have a multiple of this many columns
constexpr std::size_t kUnitBytes = 7 * kCacheLine;

// All static: the linker must not choose a copy compiled for another instruction set.
static constexpr bool is_packed(DType dtype) { return dtype != DType::f32; }
static constexpr std::size_t packed_words(DType dtype) { return dtype == DType::q8_0 ? 8 : 4; }
static constexpr std::size_t packed_quant_bytes(DType dtype) { return packed_words(dtype) * kWordBytes; }

// The offset of a block's scales in a group. The quants follow the scales of both blocks.
static constexpr std::size_t packed_scales_at(DType dtype, std::size_t block) {
    return block / 2 * (2 * kF16ColumnBytes + 2 * packed_quant_bytes(dtype)) + block % 2 * kF16ColumnBytes;
}
static constexpr std::size_t packed_quants_at(DType dtype, std::size_t block) {
    return packed_scales_at(dtype, block / 2 * 2) + 2 * kF16ColumnBytes + block % 2 * packed_quant_bytes(dtype);
}
static constexpr std::size_t packed_group_bytes(DType dtype, std::size_t cols) {
    if (dtype == DType::f16) return (cols * 2 * kLanes + kCacheLine - 1) / kCacheLine * kCacheLine;
    if (dtype == DType::f14) return kCacheLine + cols / kUnitColumns * kUnitBytes;
    return packed_quants_at(dtype, cols / kBlockSize - 1) + packed_quant_bytes(dtype);
}
static inline std::size_t packed_groups(const Matrix& matrix) { return (matrix.rows + kLanes - 1) / kLanes; }
static inline std::size_t packed_bytes(const Matrix& matrix) {
    return packed_groups(matrix) * packed_group_bytes(matrix.dtype, matrix.cols);
}

// Packs one group of a matrix in the layout of the file. `out` has room for packed_group_bytes.
void pack_group(const Matrix& matrix, std::size_t group, std::uint8_t* out);

// Packs some columns of a group of f16. Rows after the matrix's last are zero.
void pack_f16_columns(const Matrix& matrix, std::size_t group, std::size_t first, std::size_t count, std::uint8_t* out);

// One row of a matrix in the layout of the file, as floats.
void dequantize_row(const Matrix& matrix, std::size_t row, float* out);

// One row of a packed matrix other than f14. Its data holds all groups.
void dequantize_packed_row(const Matrix& packed, std::size_t row, float* out);

// The value of a float16.
float half_to_float(std::uint16_t half);

}  // namespace lai
