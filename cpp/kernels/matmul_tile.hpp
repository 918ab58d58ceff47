#pragma once

// The inner tile of a matmul, sixteen rows times a few tokens, and the store of its results.

#include "kernels/vector.hpp"

namespace lai {
namespace {

constexpr std::size_t kVectors = kLanes / kWidth;

LAI_INLINE void store_output(const Output& out, std::size_t token, std::size_t row, float value) {
    float* to = out.data + token * out.stride + (row - out.first_row);
    *to = out.add ? *to + value : value;
}

LAI_INLINE void store_output_lanes(const Output& out, std::size_t token, std::size_t row, const float* results,
                                   std::size_t rows) {
    if (rows < kLanes) {
        for (std::size_t lane = 0; lane < rows; ++lane) store_output(out, token, row + lane, results[lane]);
        return;
    }
    float* to = out.data + token * out.stride + (row - out.first_row);
    LAI_UNROLL for (std::size_t i = 0; i < kLanes; i += kWidth) {
        store(to + i, out.add ? load(to + i) + load(results + i) : load(results + i));
    }
}

template <std::size_t Count>
struct Batch {
    static constexpr std::size_t count = Count;
};

// Sixteen rows times some tokens. load_weights(column, v) returns vector v of a column.
template <std::size_t Tokens, class LoadWeights>
LAI_INLINE void matmul_tile(const LoadWeights& load_weights, std::size_t columns, const float* x, std::size_t stride,
                            float (&results)[Tokens][kLanes]) {
    // One token has few sums. A sum for each of several columns keeps an addition from waiting for the previous one.
    constexpr std::size_t kSums = Tokens == 1 ? 4 : 1;
    // Sixteen tokens need more pointers than there are general registers. With several columns per pass, a pointer is
    // reloaded once for all of them. This needs vector registers for the weights.
    constexpr std::size_t kColumns = Tokens == 1 || kWidth == 16 ? 4 : 1;
    Vector sums[kSums][Tokens][kVectors] = {};
    const auto add = [&](auto batch, std::size_t column) {
        constexpr std::size_t kCount = decltype(batch)::count;
        Vector w[kCount][kVectors];
        LAI_UNROLL for (std::size_t i = 0; i < kCount; ++i) {
            LAI_UNROLL for (std::size_t v = 0; v < kVectors; ++v) w[i][v] = load_weights(column + i, v);
        }
        LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
            LAI_UNROLL for (std::size_t i = 0; i < kCount; ++i) {
                LAI_UNROLL for (std::size_t v = 0; v < kVectors; ++v) {
                    sums[i % kSums][t][v] += w[i][v] * x[t * stride + column + i];
                }
            }
        }
    };
    std::size_t column = 0;
    for (; column + kColumns <= columns; column += kColumns) add(Batch<kColumns>(), column);
    for (; column < columns; ++column) add(Batch<1>(), column);
    LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
        LAI_UNROLL for (std::size_t v = 0; v < kVectors; ++v) {
            Vector total = sums[0][t][v];
            LAI_UNROLL for (std::size_t slot = 1; slot < kSums; ++slot) total += sums[slot][t][v];
            store(results[t] + v * kWidth, total);
        }
    }
}

// Calls work(Batch<n>, first) until all tokens are covered: MaxTokens at a time, then four, two, one.
template <std::size_t MaxTokens, class Work>
LAI_INLINE void for_token_batches(std::size_t tokens, const Work& work) {
    std::size_t token = 0;
    for (; token + MaxTokens <= tokens; token += MaxTokens) work(Batch<MaxTokens>(), token);
    if constexpr (MaxTokens > 4) {
        for (; token + 4 <= tokens; token += 4) work(Batch<4>(), token);
    }
    if constexpr (MaxTokens > 2) {
        for (; token + 2 <= tokens; token += 2) work(Batch<2>(), token);
    }
    for (; token < tokens; ++token) work(Batch<1>(), token);
}

}  // namespace
}  // namespace lai
