#pragma once

// Matmul with f32 weights for a few tokens.

#include "kernels/matmul_tile.hpp"

namespace lai {
namespace {

// Tensors are aligned to the size of their elements (model_file.cpp).
LAI_INLINE const float* f32_data(const Matrix& matrix) {
    return static_cast<const float*>(static_cast<const void*>(matrix.data));
}

// One row times some tokens.
template <std::size_t Tokens, bool NonTemporal>
LAI_INLINE void matmul_f32_row(const Matrix& matrix, const Activations& input, std::size_t row, std::size_t token,
                               const Output& out) {
    // Several sums per token, so that no addition waits for the previous one.
    constexpr std::size_t kSums = Tokens == 1 ? 4 : 2;
    const std::size_t width = input.width;
    const float* weights = f32_data(matrix) + row * width;
    const float* x = input.values + token * input.stride;
    Vector sums[kSums][Tokens] = {};
    std::size_t k = 0;
    for (; k + kSums * kWidth <= width; k += kSums * kWidth) {
        LAI_UNROLL for (std::size_t i = 0; i < kSums; ++i) {
            prefetch_ahead<NonTemporal>(weights + k + i * kWidth);
            const Vector w = load(weights + k + i * kWidth);
            LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
                sums[i][t] += w * load(x + t * input.stride + k + i * kWidth);
            }
        }
    }
    for (; k + kWidth <= width; k += kWidth) {
        const Vector w = load(weights + k);
        LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) sums[0][t] += w * load(x + t * input.stride + k);
    }
    LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
        LAI_UNROLL for (std::size_t i = 1; i < kSums; ++i) sums[0][t] += sums[i][t];
        float total = sum(sums[0][t]);
        for (std::size_t i = k; i < width; ++i) total += weights[i] * x[t * input.stride + i];
        store_output(out, token + t, row, total);
    }
}

// noinline, as matmul_panel: inlined code around it would take its registers.
template <std::size_t Tokens, bool NonTemporal>
__attribute__((noinline)) void matmul_f32_rows(const Matrix& matrix, const Activations& input, std::size_t begin,
                                               std::size_t end, std::size_t token, const Output& out) {
    for (std::size_t row = begin; row < end; ++row) matmul_f32_row<Tokens, NonTemporal>(matrix, input, row, token, out);
}

// For a few tokens each row is read once, as it is, from one end of the matrix to the other. With two rows at a time
// the CPU prefetches less.
template <bool NonTemporal>
void matmul_f32_few(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end,
                    const Output& out) {
    if (input.tokens == 1) return matmul_f32_rows<1, NonTemporal>(matrix, input, begin, end, 0, out);
    // All tokens use these rows while they are in the cache.
    for (std::size_t row = begin; row < end; row += kLanes) {
        for_token_batches<4>(input.tokens, [&](auto batch, std::size_t token) {
            constexpr std::size_t kTokens = decltype(batch)::count;
            matmul_f32_rows<kTokens, NonTemporal>(matrix, input, row, min_size(row + kLanes, end), token, out);
        });
    }
}

}  // namespace
}  // namespace lai
