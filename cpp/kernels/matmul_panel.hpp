#pragma once

// Matmul for many tokens. Weights are converted to panels of floats, and all tokens use a panel while it is in the L1
// cache.

#include "kernels/matmul_f32.hpp"

namespace lai {
namespace {

// Sixteen rows of this many floats leave room in the L1 cache for the activations of some tokens.
constexpr std::size_t kPanelColumns = 384;

// Some columns of a group of sixteen rows. The sixteen floats of a column are contiguous.
struct Panel {
    std::size_t row;
    std::size_t rows;  // less than sixteen at the end of the matrix; the others are zero
    std::size_t column;
    std::size_t columns;
    float floats[kPanelColumns * kLanes];
};

void fill_panel_f32(const Matrix& matrix, Panel& panel) {
    const float* weights = f32_data(matrix) + panel.row * matrix.cols + panel.column;
    std::size_t done = 0;
    if (panel.rows == kLanes) {
        done = panel.columns / 4 * 4;
        for (std::size_t lane = 0; lane < kLanes; lane += 4) {
            for (std::size_t column = 0; column < done; column += 4) {
                transpose(weights + lane * matrix.cols + column, matrix.cols, panel.floats + column * kLanes + lane,
                          kLanes);
            }
        }
    }
    for (std::size_t column = done; column < panel.columns; ++column) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            panel.floats[column * kLanes + lane] = lane < panel.rows ? weights[lane * matrix.cols + column] : 0.0F;
        }
    }
}

// One block of sixteen rows. Quants are unsigned, 128 or 8 stands for zero. Scales have few bits, so the products are
// exact.
template <DType Type>
LAI_INLINE void fill_panel_block(const std::uint8_t* group, std::size_t block, float* floats) {
    constexpr std::size_t kBits = Type == DType::q8_0 ? 8 : 4;
    constexpr std::int32_t kMask = (1 << kBits) - 1;
    constexpr float kZero = Type == DType::q8_0 ? 128.0F : 8.0F;
    const std::uint8_t* quants = group + packed_quants_at(Type, block);
    LAI_UNROLL for (std::size_t v = 0; v < kVectors; ++v) {
        const Vector scales = load_f16(group + packed_scales_at(Type, block) + v * 2 * kWidth);
        const Vector zeros = scales * kZero;
        for (std::size_t word = 0; word < packed_words(Type); ++word) {
            IntVector four;
            std::memcpy(&four, quants + word * kWordBytes + v * sizeof four, sizeof four);
            LAI_UNROLL for (std::size_t byte = 0; byte < 4; ++byte) {
                float* to = floats + (4 * word + byte) * kLanes + v * kWidth;
                store(to, __builtin_convertvector((four >> (8 * byte)) & kMask, Vector) * scales - zeros);
                if constexpr (Type == DType::q4_0) {
                    store(to + kBlockSize / 2 * kLanes,
                          __builtin_convertvector((four >> (8 * byte + 4)) & kMask, Vector) * scales - zeros);
                }
            }
        }
    }
}

template <DType Type>
void fill_panel(const Matrix& matrix, Panel& panel) {
    if constexpr (Type == DType::f32) {
        fill_panel_f32(matrix, panel);
    } else {
        const std::uint8_t* group = matrix.data + panel.row / kLanes * packed_group_bytes(Type, matrix.cols);
        if constexpr (Type == DType::f16) {
            const std::uint8_t* halves = group + panel.column * kF16ColumnBytes;
            for (std::size_t i = 0; i < panel.columns * kLanes; i += kWidth) {
                store(panel.floats + i, load_f16(halves + 2 * i));
            }
        } else {
            for (std::size_t i = 0; i < panel.columns; i += kBlockSize) {
                fill_panel_block<Type>(group, (panel.column + i) / kBlockSize, panel.floats + i * kLanes);
            }
        }
    }
}

// Prefetches a part of the weights of the next panel: from sixteenth `first` to sixteenth `last`.
template <DType Type>
LAI_INLINE void prefetch_next_panel(const Matrix& matrix, const Panel& panel, std::size_t end, std::size_t first,
                                    std::size_t last) {
    const std::size_t next = panel.row + kLanes;
    if (next >= end) return;
    if constexpr (Type == DType::f32) {
        const float* weights = f32_data(matrix) + next * matrix.cols + panel.column;
        last = min_size(last, end - next);
        for (std::size_t row = first; row < last; ++row) {
            prefetch(weights + row * matrix.cols, panel.columns * sizeof(float));
        }
    } else {
        const std::size_t bytes = packed_group_bytes(Type, matrix.cols);
        const std::uint8_t* group = matrix.data + next / kLanes * bytes;
        const std::size_t part = bytes * panel.columns / matrix.cols;
        prefetch(group + bytes * panel.column / matrix.cols + part * first / kLanes, part * (last - first) / kLanes);
    }
}

// noinline: inlined code around it would take the registers of the sums.
template <std::size_t Tokens>
__attribute__((noinline)) void matmul_panel(const Panel& panel, const Activations& input, std::size_t token,
                                            const Output& out) {
    float results[Tokens][kLanes];
    const auto load_weights = [&](std::size_t column, std::size_t v) {
        return load(panel.floats + column * kLanes + v * kWidth);
    };
    matmul_tile(load_weights, panel.columns, input.values + token * input.stride + panel.column, input.stride, results);
    for (std::size_t t = 0; t < Tokens; ++t) store_output_lanes(out, token + t, panel.row, results[t], panel.rows);
}

// Converts each panel once and multiplies it with all tokens.
template <DType Type>
void matmul_panels(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end, Output out) {
    Panel panel;
    for (panel.column = 0; panel.column < input.width; panel.column += kPanelColumns) {
        panel.columns = min_size(kPanelColumns, input.width - panel.column);
        for (panel.row = begin; panel.row < end; panel.row += kLanes) {
            panel.rows = min_size(kLanes, end - panel.row);
            fill_panel<Type>(matrix, panel);
            for_token_batches<kFloatTileTokens>(input.tokens, [&](auto batch, std::size_t token) {
                constexpr std::size_t kTokens = decltype(batch)::count;
                prefetch_next_panel<Type>(matrix, panel, end, token * kLanes / input.tokens,
                                          (token + kTokens) * kLanes / input.tokens);
                matmul_panel<kTokens>(panel, input, token, out);
            });
        }
        out.add = true;
    }
}

}  // namespace
}  // namespace lai
