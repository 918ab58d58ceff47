#pragma once

// Conversion of f14 weights to floats.

#include "kernels/avx512/f14.hpp"
#include "kernels/matmul_panel.hpp"

#include <utility>

namespace lai {
namespace {

// The constants that unpack a unit, kept in registers. Compilers would rather recompute some of them for each unit.
struct UnpackConstants {
    __m512i from[2 * (kFullLines + 1)];
    __m512i spare[kFullLines];
    __m512i used;
};

template <std::size_t... Column, std::size_t... Line>
LAI_INLINE UnpackConstants unpack_constants(std::index_sequence<Column...>, std::index_sequence<Line...>) {
    return {{keep_in_register(broadcast_u64(byte_selectors(Column / 2, Column % 2)))...},
            {keep_in_register(broadcast_u64(spare_bits(Line)))...},
            // The bits of a float that f14 keeps: the sign, three bits of exponent, ten of mantissa.
            keep_in_register(_mm512_set1_epi32(static_cast<int>(0x83FFE000U)))};
}
LAI_INLINE UnpackConstants unpack_constants() {
    return unpack_constants(std::make_index_sequence<2 * (kFullLines + 1)>(), std::make_index_sequence<kFullLines>());
}

template <unsigned Line, class Use>
LAI_INLINE void unpack_line(const UnpackConstants& all, __m512i line, const Use& use) {
    use(2 * Line, _mm512_castsi512_ps(_mm512_and_si512(multishift_bytes(all.from[2 * Line], line), all.used)));
    use(2 * Line + 1, _mm512_castsi512_ps(_mm512_and_si512(multishift_bytes(all.from[2 * Line + 1], line), all.used)));
}

// Calls use(column, weights of sixteen rows as floats) for the columns of a unit.
template <unsigned Line = 0, class Use>
LAI_INLINE void unpack_unit(const UnpackConstants& all, const std::uint8_t* unit, const Use& use,
                            __m512i last = __m512i{}) {
    if constexpr (Line == kFullLines) {
        unpack_line<Line>(all, last, use);
    } else {
        // A non-temporal load: the line is not needed again soon, as with the f32 weights of matmul_zen4.
        const __m512i line = _mm512_stream_load_si512(const_cast<std::uint8_t*>(unit + Line * kCacheLine));
        unpack_line<Line>(all, line, use);
        unpack_unit<Line + 1>(all, unit, use, Line == 0 ? line : bit_select(all.spare[Line], line, last));
    }
}

LAI_INLINE Vector load_row_scales(const std::uint8_t* group) {
    Vector scales;
    std::memcpy(&scales, group, sizeof scales);
    return scales;
}

template <>
__attribute__((noinline)) void fill_panel<DType::f14>(const Matrix& matrix, Panel& panel) {
    const std::uint8_t* group = matrix.data + panel.row / kLanes * packed_group_bytes(DType::f14, matrix.cols);
    const Vector scales = load_row_scales(group) * (kInputScale * kWeightScale);
    const UnpackConstants all = unpack_constants();
    for (std::size_t i = 0; i < panel.columns; i += kUnitColumns) {
        const std::uint8_t* unit = group + kCacheLine + (panel.column + i) / kUnitColumns * kUnitBytes;
        unpack_unit(all, unit, [&](std::size_t column, Vector weights) {
            store(panel.floats + (i + column) * kLanes, weights * scales);
        });
    }
}

// One row of an f14 matrix as floats.
void dequantize_f14_row(const Matrix& packed, std::size_t row, float* out) {
    const std::uint8_t* group = packed.data + row / kLanes * packed_group_bytes(DType::f14, packed.cols);
    const Vector scales = load_row_scales(group) * (kInputScale * kWeightScale);
    const UnpackConstants all = unpack_constants();
    for (std::size_t first = 0; first < packed.cols; first += kUnitColumns) {
        unpack_unit(
            all, group + kCacheLine + first / kUnitColumns * kUnitBytes,
            [&](std::size_t column, Vector weights) { out[first + column] = (weights * scales)[row % kLanes]; });
    }
}

}  // namespace
}  // namespace lai
