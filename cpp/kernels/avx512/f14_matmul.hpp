#pragma once

// Matmul with f14 weights.

#include "kernels/avx512/f14_unpack.hpp"
#include "kernels/matmul.hpp"

namespace lai {
namespace {

// The bits of the largest magnitude; those of infinity or more if a value is not finite.
LAI_INLINE std::uint32_t absmax_bits(const float* values, std::size_t count) {
    const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
    __m512i largest = _mm512_setzero_si512();
    for (std::size_t i = 0; i < count; i += kWidth) {
        largest = _mm512_max_epu32(largest, _mm512_and_si512(_mm512_loadu_si512(values + i), magnitude));
    }
    return _mm512_reduce_max_epu32(largest);
}

// Some columns of the inputs of some tokens, and the factor of each token's sums.
struct ScaledInput {
    const float* values;
    std::size_t stride;
    std::size_t first;
    std::size_t columns;
    float factors[kMaxGemvTokens];
};

// Some rows times some tokens. noinline: inlined code around it would take its registers.
template <std::size_t Tokens>
__attribute__((noinline)) void matmul_f14_units(const Matrix& matrix, const ScaledInput& inputs, std::size_t token,
                                                std::size_t begin, std::size_t end, const Output& out) {
    // Several sums for one token, so that no addition waits for the previous one.
    constexpr std::size_t kSums = Tokens == 1 ? 4 : 1;
    const UnpackConstants all = unpack_constants();
    const float* x = inputs.values + token * inputs.stride;
    for (std::size_t row = begin; row < end; row += kLanes) {
        const std::uint8_t* group = matrix.data + row / kLanes * packed_group_bytes(DType::f14, matrix.cols);
        const std::uint8_t* unit = group + kCacheLine + inputs.first / kUnitColumns * kUnitBytes;
        Vector sums[kSums][Tokens] = {};
        for (std::size_t first = 0; first < inputs.columns; first += kUnitColumns, unit += kUnitBytes) {
            unpack_unit(all, unit, [&](std::size_t column, Vector weights) {
                LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
                    sums[column % kSums][t] += weights * x[t * inputs.stride + first + column];
                }
            });
        }
        const Vector scales = load_row_scales(group) * kWeightScale;
        float results[kLanes];
        LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
            Vector total = sums[0][t];
            LAI_UNROLL for (std::size_t slot = 1; slot < kSums; ++slot) total += sums[slot][t];
            store(results, total * scales * inputs.factors[token + t]);
            store_output_lanes(out, token + t, row, results, min_size(kLanes, end - row));
        }
    }
}

void matmul_f14_batches(const Matrix& matrix, const ScaledInput& inputs, std::size_t tokens, std::size_t begin,
                        std::size_t end, const Output& out) {
    if (tokens == 1) return matmul_f14_units<1>(matrix, inputs, 0, begin, end, out);
    // All tokens use these rows while they are in the cache.
    for (std::size_t row = begin; row < end; row += kLanes) {
        for_token_batches<4>(tokens, [&](auto batch, std::size_t token) {
            constexpr std::size_t kTokens = decltype(batch)::count;
            matmul_f14_units<kTokens>(matrix, inputs, token, row, min_size(end, row + kLanes), out);
        });
    }
}

// For inputs so small that their sums would be subnormal, or so large that they would overflow. Each token's inputs are
// divided by a power of two, the one below the largest, and multiplied by kInputScale. It works on some columns at a
// time.
__attribute__((noinline)) void matmul_f14_scaled(const Matrix& matrix, const Activations& input, std::size_t begin,
                                                 std::size_t end, Output out) {
    float values[4096];
    float factors[kMaxGemvTokens];
    ScaledInput inputs = {values, 0, 0, 0, {}};
    for (std::size_t token = 0; token < input.tokens; ++token) {
        // Clamped to a power of two that can be divided by.
        std::uint32_t bits = absmax_bits(input.values + token * input.stride, input.width) & 0x7F800000U;
        bits = bits < 32U << 23 ? 32U << 23 : bits > 253U << 23 ? 253U << 23 : bits;
        std::memcpy(&inputs.factors[token], &bits, sizeof bits);
        factors[token] = kInputScale / inputs.factors[token];
    }
    const std::size_t max_columns = sizeof values / sizeof values[0] / input.tokens / kUnitColumns * kUnitColumns;
    for (; inputs.first < input.width; inputs.first += max_columns) {
        inputs.stride = inputs.columns = min_size(max_columns, input.width - inputs.first);
        for (std::size_t token = 0; token < input.tokens; ++token) {
            const float* from = input.values + token * input.stride + inputs.first;
            for (std::size_t i = 0; i < inputs.columns; i += kWidth) {
                store(values + token * inputs.stride + i, load(from + i) * factors[token]);
            }
        }
        matmul_f14_batches(matrix, inputs, input.tokens, begin, end, out);
        out.add = true;
    }
}

void matmul_f14(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end, const Output& out) {
    if (input.tokens > kMaxGemvTokens) return matmul_panels<DType::f14>(matrix, input, begin, end, out);
    // 2^-6: the last bits of the sums are then below those of a float of their size.
    constexpr std::uint32_t kMinAbsmaxBits = (127U - 6) << 23;
    constexpr std::uint32_t kMaxAbsmaxBits = (127U + 60) << 23;
    ScaledInput inputs = {input.values, input.stride, 0, input.width, {}};
    for (std::size_t token = 0; token < input.tokens; ++token) {
        const std::uint32_t largest = absmax_bits(input.values + token * input.stride, input.width);
        if (largest < kMinAbsmaxBits || largest > kMaxAbsmaxBits) {
            return matmul_f14_scaled(matrix, input, begin, end, out);
        }
        inputs.factors[token] = kInputScale;
    }
    matmul_f14_batches(matrix, inputs, input.tokens, begin, end, out);
}

}  // namespace
}  // namespace lai
