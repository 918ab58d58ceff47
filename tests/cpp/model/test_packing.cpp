#include "check.hpp"
#include "model/packing.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

using namespace lai;

namespace {

// Sign, exponent and fraction by IEEE 754.
double half_value(std::uint16_t half) {
    const int exponent = half >> 10 & 31;
    const double fraction = (half & 1023) / 1024.0;
    const double sign = (half >> 15) != 0 ? -1 : 1;
    if (exponent == 31) return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
    return exponent == 0 ? sign * std::ldexp(fraction, -14) : sign * std::ldexp(1 + fraction, exponent - 15);
}

std::vector<std::uint8_t> blocks(DType dtype, std::size_t rows, std::size_t cols) {
    std::vector<std::uint8_t> data(rows * weight_bytes(dtype, cols));
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i * 197 + (i >> 8) * 11);
    return data;
}

// The value at a row and column of a packed matrix, by the description in packing.hpp.
double packed_value(const Matrix& matrix, const std::vector<std::uint8_t>& packed, std::size_t row, std::size_t col) {
    const std::uint8_t* group = packed.data() + row / 16 * packed_group_bytes(matrix.dtype, matrix.cols);
    const std::size_t lane = row % 16;
    std::uint16_t half = 0;
    if (matrix.dtype == DType::f16) {
        std::memcpy(&half, group + (col * 16 + lane) * 2, 2);
        return half_value(half);
    }
    const std::size_t words = matrix.dtype == DType::q8_0 ? 8 : 4;
    const std::size_t block = col / 32;
    const std::size_t column = col % 32;
    const std::uint8_t* pair = group + block / 2 * (64 + 2 * words * 64);
    std::memcpy(&half, pair + (block % 2 * 16 + lane) * 2, 2);
    const std::uint8_t* quants = pair + 64 + block % 2 * words * 64;
    if (matrix.dtype == DType::q8_0) {
        return half_value(half) * (quants[(column / 4 * 16 + lane) * 4 + column % 4] - 128);
    }
    const std::uint8_t both = quants[(column % 16 / 4 * 16 + lane) * 4 + column % 4];
    return half_value(half) * ((column < 16 ? both & 15 : both >> 4) - 8);
}

void packed_weights_lie_where_the_layout_says(DType dtype, std::size_t rows, std::size_t cols) {
    const std::vector<std::uint8_t> data = blocks(dtype, rows, cols);
    const Matrix matrix = {dtype, rows, cols, data.data()};
    std::vector<std::uint8_t> packed(packed_bytes(matrix), 0xAA);
    for (std::size_t group = 0; group < packed_groups(matrix); ++group) {
        pack_group(matrix, group, packed.data() + group * packed_group_bytes(dtype, cols));
    }
    std::vector<float> values(cols);
    for (std::size_t row = 0; row < rows; ++row) {
        dequantize_row(matrix, row, values.data());
        std::vector<float> unpacked(cols);
        dequantize_packed_row({dtype, rows, cols, packed.data()}, row, unpacked.data());
        for (std::size_t col = 0; col < cols; ++col) {
            const double expected = packed_value(matrix, packed, row, col);
            for (const float found : {values[col], unpacked[col]}) {
                const auto value = static_cast<double>(found);
                CHECK(value == expected || (std::isnan(value) && std::isnan(expected)));
            }
        }
    }
    for (std::size_t row = rows; row < packed_groups(matrix) * kLanes; ++row) {
        CHECK(packed_value(matrix, packed, row, 0) == 0);
    }
}

}  // namespace

int main() {
    for (std::uint32_t half = 0; half < 65536; ++half) {
        const double expected = half_value(static_cast<std::uint16_t>(half));
        const auto value = static_cast<double>(half_to_float(static_cast<std::uint16_t>(half)));
        CHECK(value == expected || (std::isnan(value) && std::isnan(expected)));
    }
    for (const DType dtype : {DType::f16, DType::q4_0, DType::q8_0}) {
        packed_weights_lie_where_the_layout_says(dtype, 16, 32);
        packed_weights_lie_where_the_layout_says(dtype, 37, 96);
        packed_weights_lie_where_the_layout_says(dtype, 1, 64);
    }
    for (const std::size_t cols : {1, 6, 15}) packed_weights_lie_where_the_layout_says(DType::f16, 20, cols);
}
