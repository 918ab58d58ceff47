#pragma once

// Matmul with weights of any dtype in a file.

#include "kernels/matmul_f32.hpp"
#include "kernels/matmul_panel.hpp"

namespace lai {
namespace {

// Up to this many tokens, converting f32 and f16 weights to panels costs more than it saves.
constexpr std::size_t kMaxGemvTokens = 8;

// One group of sixteen rows times some tokens, with packed weights as they are.
template <DType Type, std::size_t Tokens>
LAI_INLINE void matmul_group(const Matrix& matrix, const Activations& input, std::size_t row, std::size_t token,
                             std::size_t rows, const Output& out) {
    const std::uint8_t* group = matrix.data + row / kLanes * packed_group_bytes(Type, input.width);
    float results[Tokens][kLanes];
    if constexpr (Type == DType::f16) {
        const auto load_weights = [&](std::size_t column, std::size_t v) {
            return load_f16(group + column * kF16ColumnBytes + v * 2 * kWidth);
        };
        matmul_tile(load_weights, input.width, input.values + token * input.stride, input.stride, results);
    } else {
        const std::size_t blocks = input.width / kBlockSize;
        quantized_tile<Type>(group, blocks, input.blocks + token * blocks, results);
    }
    for (std::size_t t = 0; t < Tokens; ++t) store_output_lanes(out, token + t, row, results[t], rows);
}

template <DType Type>
void matmul_groups(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end,
                   const Output& out) {
    for (std::size_t row = begin; row < end; row += kLanes) {
        const std::size_t rows = min_size(kLanes, end - row);
        for_token_batches<is_quantized(Type) ? kQuantizedTileTokens : kFloatTileTokens>(
            input.tokens, [&](auto batch, std::size_t token) {
                constexpr std::size_t kTokens = decltype(batch)::count;
                matmul_group<Type, kTokens>(matrix, input, row, token, rows, out);
            });
    }
}

template <DType Type>
void matmul_dtype(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end,
                  const Output& out) {
    if (input.tokens > (is_quantized(Type) ? kMaxQuantizedTokens : kMaxGemvTokens)) {
        matmul_panels<Type>(matrix, input, begin, end, out);
    } else if constexpr (Type == DType::f32) {
        matmul_f32_few<false>(matrix, input, begin, end, out);
    } else {
        matmul_groups<Type>(matrix, input, begin, end, out);
    }
}

void matmul(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end, const Output& out) {
    switch (matrix.dtype) {
        case DType::f32: return matmul_dtype<DType::f32>(matrix, input, begin, end, out);
        case DType::f16: return matmul_dtype<DType::f16>(matrix, input, begin, end, out);
        case DType::q4_0: return matmul_dtype<DType::q4_0>(matrix, input, begin, end, out);
        case DType::q8_0: return matmul_dtype<DType::q8_0>(matrix, input, begin, end, out);
        // Only kernel sets with pack_f14 have f14 weights, and f14_matmul.hpp multiplies them.
        case DType::f14: __builtin_unreachable();
    }
}

}  // namespace
}  // namespace lai
