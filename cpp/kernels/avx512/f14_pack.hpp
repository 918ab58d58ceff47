#pragma once

// Packing of float16 weights as f14.

#include "kernels/avx512/f14.hpp"

namespace lai {
namespace {

// The scale of a row, a power of two; 0 if its weights are too large for f14 or not finite.
float f14_row_scale(const std::uint8_t* halves, std::size_t cols) {
    __m256i largest = _mm256_setzero_si256();
    for (std::size_t i = 0; i < cols; i += kLanes) {
        const __m256i some = _mm256_loadu_si256(static_cast<const __m256i*>(static_cast<const void*>(halves + 2 * i)));
        largest = _mm256_max_epu16(largest, _mm256_and_si256(some, _mm256_set1_epi16(0x7FFF)));
    }
    const auto exponent = static_cast<std::int32_t>(_mm512_reduce_max_epu32(_mm512_cvtepu16_epi32(largest)) >> 10);
    if (exponent > kMaxExponent) return 0.0F;
    const std::int32_t bits = ((exponent == 0 ? 1 : exponent) - 7 + 127) << 23;
    float scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return scale;
}

// The rounding error, as sums of squares for each of sixteen rows.
struct SquaredErrors {
    Vector weights = {};
    Vector errors = {};
};

// kSteps in registers.
struct PackConstants {
    __m512i from[2][2];
    __m512i mask[2][2];
};

LAI_INLINE PackConstants pack_constants() {
    PackConstants all;
    LAI_UNROLL for (unsigned column = 0; column < 2; ++column) {
        LAI_UNROLL for (unsigned step = 0; step < 2; ++step) {
            all.from[column][step] = keep_in_register(broadcast_u64(kSteps[column][step].from));
            all.mask[column][step] = keep_in_register(broadcast_u64(kSteps[column][step].mask));
        }
    }
    return all;
}

// Two columns of sixteen rows, in the layout of line 0.
LAI_INLINE __m512i pack_line(const PackConstants& all, const std::uint8_t* halves, Vector factors,
                             SquaredErrors& squares) {
    constexpr float kRound = 0.75F;  // adding it rounds to a multiple of the smallest float16
    __m512i line = _mm512_setzero_si512();
    LAI_UNROLL for (unsigned column = 0; column < 2; ++column) {
        const Vector exact = load_f16(halves + column * kF16ColumnBytes) * factors;
        const Vector weights = (exact + kRound) - kRound;
        squares.weights += exact * exact;
        squares.errors += (exact - weights) * (exact - weights);
        const __m512i floats = _mm512_castps_si512(weights * (1.0F / (kInputScale * kWeightScale)));
        LAI_UNROLL for (unsigned step = 0; step < 2; ++step) {
            line = bit_select(all.mask[column][step], multishift_bytes(all.from[column][step], floats), line);
        }
    }
    return line;
}

bool pack_f14(const Matrix& matrix, std::size_t group, std::uint8_t* out) {
    float scales[kLanes] = {};
    float factors[kLanes] = {};
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const std::size_t row = group * kLanes + lane;
        scales[lane] = row < matrix.rows ? f14_row_scale(matrix.data + row * matrix.cols * 2, matrix.cols) : 1.0F;
        if (scales[lane] == 0.0F) return false;
        factors[lane] = 1.0F / scales[lane];
    }
    std::memcpy(out, scales, sizeof scales);
    std::uint8_t* unit = out + kCacheLine;
    const PackConstants all = pack_constants();
    SquaredErrors squares;
    // Many columns at a time: large loads of recent small stores are slow.
    constexpr std::size_t kColumns = 8 * kUnitColumns;
    std::uint8_t halves[kColumns * kF16ColumnBytes];
    for (std::size_t column = 0; column < matrix.cols; column += kUnitColumns, unit += kUnitBytes) {
        // Prefetches as many bytes of the next rows as these columns take.
        prefetch(matrix.data + ((group + 1) * matrix.cols + column) * kF16ColumnBytes, kUnitColumns * kF16ColumnBytes);
        if (column % kColumns == 0) {
            pack_f16_columns(matrix, group, column, min_size(kColumns, matrix.cols - column), halves);
        }
        const auto line_of = [&](unsigned line) {
            const std::uint8_t* two = halves + (column % kColumns + 2 * line) * kF16ColumnBytes;
            return _mm512_rolv_epi64(pack_line(all, two, load(factors), squares), broadcast_u64(8 * line));
        };
        const __m512i last = line_of(kFullLines);
        LAI_UNROLL for (unsigned line = 0; line < kFullLines; ++line) {
            _mm512_storeu_si512(unit + line * kCacheLine,
                                bit_select(broadcast_u64(spare_bits(line)), last, line_of(line)));
        }
    }
    // If a row's largest weight is an outlier, many of the others are rounded. Their error must stay below 6e-5 of the
    // whole, a third of the error of float16.
    return _mm512_cmp_ps_mask(squares.errors, squares.weights * 0x1p-28F, _CMP_GT_OQ) == 0;
}

}  // namespace
}  // namespace lai
