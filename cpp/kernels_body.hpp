#pragma once

// The kernels, written once in terms of kernels_vector.hpp. The file that includes this one has defined, for its
// instruction set: sum(), load_halves(), quantize_block(), packed_tile(), and the tile sizes kTileRows, kTileTokens and
// kPackedTokens.

#include "kernels_vector.hpp"

#include <cmath>

namespace lai {
namespace {

constexpr std::size_t kPanelBytes = 256 * 1024;

LAI_INLINE Vector load_weights(const float* weights) { return load(weights); }
LAI_INLINE Vector load_weights(const std::uint16_t* weights) { return load_halves(weights); }
LAI_INLINE float weight(float value) { return value; }
LAI_INLINE float weight(std::uint16_t value) { return half_to_float(value); }

LAI_INLINE void put(const Output& out, std::size_t token, std::size_t row, float value) {
    float* to = out.data + token * out.stride + row;
    *to = out.add ? *to + value : value;
}

LAI_INLINE void put_lanes(const Output& out, std::size_t token, std::size_t row, const float* results, std::size_t rows) {
    if (rows < kLanes) {
        for (std::size_t lane = 0; lane < rows; ++lane) put(out, token, row + lane, results[lane]);
        return;
    }
    float* to = out.data + token * out.stride + row;
    LAI_UNROLL for (std::size_t i = 0; i < kLanes; i += kWidth) store(to + i, out.add ? load(to + i) + load(results + i) : load(results + i));
}

// Rows times tokens dot products at once, so that every vector loaded is used several times.
template <std::size_t Rows, std::size_t Tokens, class Weight>
LAI_INLINE void tile(const Weight* weights, std::size_t width, const float* x, std::size_t row, std::size_t token, const Output& out) {
    Vector sums[Rows][Tokens] = {};
    std::size_t k = 0;
    for (; k + kWidth <= width; k += kWidth) {
        Vector w[Rows];
        LAI_UNROLL for (std::size_t r = 0; r < Rows; ++r) w[r] = load_weights(weights + r * width + k);
        LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
            const Vector activations = load(x + t * width + k);
            LAI_UNROLL for (std::size_t r = 0; r < Rows; ++r) sums[r][t] += w[r] * activations;
        }
    }
    LAI_UNROLL for (std::size_t r = 0; r < Rows; ++r) {
        LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
            float total = sum(sums[r][t]);
            for (std::size_t i = k; i < width; ++i) total += weight(weights[r * width + i]) * x[t * width + i];
            put(out, token + t, row + r, total);
        }
    }
}

template <std::size_t Tokens, class Weight>
void tile_rows(const Weight* weights, const Activations& input, std::size_t begin, std::size_t end, std::size_t token, const Output& out) {
    const float* x = input.values + token * input.width;
    std::size_t row = begin;
    for (; row + kTileRows <= end; row += kTileRows) {
        tile<kTileRows, Tokens>(weights + row * input.width, input.width, x, row, token, out);
    }
    for (; row < end; ++row) tile<1, Tokens>(weights + row * input.width, input.width, x, row, token, out);
}

template <class Weight>
void multiply_rows(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end, const Output& out) {
    // Tensors start at a multiple of their element's size (model_file.cpp).
    const auto* weights = static_cast<const Weight*>(static_cast<const void*>(matrix.data));
    // Of many tokens, each panel of rows is used by all of them while it is in the second-level cache.
    const std::size_t panel = input.tokens == 1 ? end - begin : kPanelBytes / (input.width * sizeof(Weight)) / kTileRows * kTileRows + kTileRows;
    for (; begin < end; begin += panel) {
        const std::size_t stop = smaller(end, begin + panel);
        std::size_t token = 0;
        for (; token + kTileTokens <= input.tokens; token += kTileTokens) {
            tile_rows<kTileTokens>(weights, input, begin, stop, token, out);
        }
        for (; token < input.tokens; ++token) tile_rows<1>(weights, input, begin, stop, token, out);
    }
}

template <DType Type, std::size_t Tokens>
LAI_INLINE void packed_rows(const Matrix& matrix, const Activations& input, std::size_t row, std::size_t token, std::size_t rows,
                            const Output& out) {
    const std::size_t blocks = input.width / kBlock;
    const std::uint8_t* group = matrix.data + row / kLanes * packed_group_bytes(Type, input.width);
    float results[Tokens][kLanes];
    packed_tile<Type, Tokens>(group, blocks, input.blocks + token * blocks, results);
    for (std::size_t t = 0; t < Tokens; ++t) put_lanes(out, token + t, row, results[t], rows);
}

template <DType Type>
void multiply_packed(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end, const Output& out) {
    for (std::size_t row = begin; row < end; row += kLanes) {
        const std::size_t rows = smaller(kLanes, end - row);
        std::size_t token = 0;
        for (; token + kPackedTokens <= input.tokens; token += kPackedTokens) {
            packed_rows<Type, kPackedTokens>(matrix, input, row, token, rows, out);
        }
        for (; token < input.tokens; ++token) packed_rows<Type, 1>(matrix, input, row, token, rows, out);
    }
}

void multiply(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end, const Output& out) {
    switch (matrix.dtype) {
        case DType::f32: return multiply_rows<float>(matrix, input, begin, end, out);
        case DType::f16: return multiply_rows<std::uint16_t>(matrix, input, begin, end, out);
        case DType::q4_0: return multiply_packed<DType::q4_0>(matrix, input, begin, end, out);
        case DType::q8_0: return multiply_packed<DType::q8_0>(matrix, input, begin, end, out);
    }
}

// The largest magnitude of a block; not a number where the block holds one that is not, or infinity.
LAI_INLINE float largest_magnitude(const float* values) {
    float largest = 0;
    float poison = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
        const float magnitude = values[i] < 0 ? -values[i] : values[i];
        largest = magnitude > largest ? magnitude : largest;
        poison += values[i] * 0;
    }
    return largest + poison;
}

void quantize(const float* values, std::size_t count, ActivationBlock* blocks) {
    // 127 * 256 + 127: the largest integer whose high byte, rounded, still fits into eight bits.
    constexpr float kLargest = 32639.0F;
    for (std::size_t block = 0; block < count / kBlock; ++block) {
        const float* from = values + block * kBlock;
        const float largest = largest_magnitude(from);
        blocks[block].scale = largest / kLargest;
        std::int32_t total = 0;
        std::int32_t integers[kBlock] = {};
        // Of values too small to invert nothing is lost that a sum would notice; what is no number stays in the scale.
        if (largest > 1e-30F) {
            const float inverse = kLargest / largest;
            for (std::size_t i = 0; i < kBlock; ++i) {
                const float scaled = from[i] * inverse;
                integers[i] = static_cast<std::int32_t>(scaled + (scaled < 0 ? -0.5F : 0.5F));
                total += integers[i];
            }
        }
        blocks[block].offset = -8 * total;
        quantize_block(integers, blocks[block].payload);
    }
}

void rms_norm(const float* x, const float* weight, std::size_t size, float eps, float* out) {
    Vector squares = {};
    std::size_t i = 0;
    for (; i + kWidth <= size; i += kWidth) squares += load(x + i) * load(x + i);
    float total = sum(squares);
    for (std::size_t j = i; j < size; ++j) total += x[j] * x[j];
    const float factor = 1.0F / __builtin_sqrtf(total / static_cast<float>(size) + eps);
    for (i = 0; i < size; ++i) out[i] = x[i] * factor * weight[i];
}

void rotate(float* head, const float* cos, const float* sin, std::size_t half) {
    for (std::size_t i = 0; i < half; ++i) {
        const float first = head[i];
        const float second = head[i + half];
        head[i] = first * cos[i] - second * sin[i];
        head[i + half] = second * cos[i] + first * sin[i];
    }
}

// The scores of some groups of sixteen positions: enough sums at once that none waits for the one before it.
template <std::size_t Groups>
LAI_INLINE void score_groups(const AttentionHead& head, std::size_t begin, float scale) {
    constexpr std::size_t kVectors = kLanes / kWidth;
    const std::size_t group_size = head.head_dim * kLanes;
    const float* keys = head.keys + begin * head.head_dim;
    Vector even[Groups][kVectors] = {};
    Vector odd[Groups][kVectors] = {};
    for (std::size_t d = 0; d < head.head_dim; d += 2, keys += 2 * kLanes) {
        LAI_UNROLL for (std::size_t g = 0; g < Groups; ++g) {
            LAI_UNROLL for (std::size_t v = 0; v < kVectors; ++v) {
                even[g][v] += load(keys + g * group_size + v * kWidth) * head.query[d];
                odd[g][v] += load(keys + g * group_size + kLanes + v * kWidth) * head.query[d + 1];
            }
        }
    }
    LAI_UNROLL for (std::size_t g = 0; g < Groups; ++g) {
        LAI_UNROLL for (std::size_t v = 0; v < kVectors; ++v) {
            store(head.scores + begin + g * kLanes + v * kWidth, (even[g][v] + odd[g][v]) * scale);
        }
    }
}

// Returns the largest score; places past the last position get one that weighs nothing.
float score_positions(const AttentionHead& head) {
    constexpr std::size_t kGroups = kWidth / 4;
    const float scale = 1.0F / __builtin_sqrtf(static_cast<float>(head.head_dim));
    std::size_t begin = 0;
    for (; begin + kGroups * kLanes <= head.positions; begin += kGroups * kLanes) score_groups<kGroups>(head, begin, scale);
    for (; begin < head.positions; begin += kLanes) score_groups<1>(head, begin, scale);
    for (std::size_t i = head.positions; i < begin; ++i) head.scores[i] = -INFINITY;
    Vector largest = load(head.scores);
    for (std::size_t i = kWidth; i < begin; i += kWidth) {
        const Vector scores = load(head.scores + i);
        largest = scores > largest ? scores : largest;
    }
    float result = largest[0];
    for (std::size_t i = 1; i < kWidth; ++i) result = largest[i] > result ? largest[i] : result;
    return result;
}

// Turns scores into weights that add up to the returned sum. The places past the last position add 1e-38 at most, to a
// sum of at least one.
float exponentiate(const AttentionHead& head, float largest) {
    Vector total = {};
    for (std::size_t i = 0; i < head.positions; i += kWidth) {
        const Vector weights = exponential(load(head.scores + i) - largest);
        store(head.scores + i, weights);
        total += weights;
    }
    return sum(total);
}

template <std::size_t Vectors>
LAI_INLINE void mix_values(const AttentionHead& head, std::size_t d, float factor) {
    Vector even[Vectors] = {};
    Vector odd[Vectors] = {};
    std::size_t position = 0;
    for (; position + 2 <= head.positions; position += 2) {
        const float* values = head.values + position * head.head_dim + d;
        LAI_UNROLL for (std::size_t v = 0; v < Vectors; ++v) {
            even[v] += load(values + v * kWidth) * head.scores[position];
            odd[v] += load(values + head.head_dim + v * kWidth) * head.scores[position + 1];
        }
    }
    if (position < head.positions) {
        const float* values = head.values + position * head.head_dim + d;
        LAI_UNROLL for (std::size_t v = 0; v < Vectors; ++v) even[v] += load(values + v * kWidth) * head.scores[position];
    }
    LAI_UNROLL for (std::size_t v = 0; v < Vectors; ++v) store(head.out + d + v * kWidth, (even[v] + odd[v]) * factor);
}

void attend(const AttentionHead& head) {
    const float largest = score_positions(head);
    const float factor = 1.0F / exponentiate(head, largest);
    std::size_t d = 0;
    for (; d + 4 * kWidth <= head.head_dim; d += 4 * kWidth) mix_values<4>(head, d, factor);
    for (; d + kWidth <= head.head_dim; d += kWidth) mix_values<1>(head, d, factor);
    for (; d < head.head_dim; ++d) {
        float total = 0;
        for (std::size_t position = 0; position < head.positions; ++position) {
            total += head.values[position * head.head_dim + d] * head.scores[position];
        }
        head.out[d] = total * factor;
    }
}

LAI_INLINE Vector silu(Vector x) { return x / (1.0F + exponential(-x)); }

// x times the normal distribution function, with erf by Abramowitz & Stegun 7.1.26 (within 1.5e-7).
LAI_INLINE Vector gelu(Vector x) {
    const Vector z = x * 0.70710678F;
    const Vector magnitude = z < 0.0F ? -z : z;
    const Vector t = 1.0F / (1.0F + 0.3275911F * magnitude);
    Vector p = broadcast(1.061405429F);
    p = p * t - 1.453152027F;
    p = p * t + 1.421413741F;
    p = p * t - 0.284496736F;
    p = p * t + 0.254829592F;
    const Vector tail = p * t * exponential(-z * z);  // 1 - erf(|z|)
    return 0.5F * x * (z < 0.0F ? tail : 2.0F - tail);
}

template <Vector (*Function)(Vector)>
void activate_all(float* gate, const float* up, std::size_t size) {
    std::size_t i = 0;
    for (; i + kWidth <= size; i += kWidth) store(gate + i, Function(load(gate + i)) * load(up + i));
    if (i == size) return;
    float rest[kWidth] = {};
    for (std::size_t j = i; j < size; ++j) rest[j - i] = gate[j];
    store(rest, Function(load(rest)));
    for (std::size_t j = i; j < size; ++j) gate[j] = rest[j - i] * up[j];
}

void activate(Activation activation, float* gate, const float* up, std::size_t size) {
    if (activation == Activation::silu) {
        activate_all<silu>(gate, up, size);
    } else {
        activate_all<gelu>(gate, up, size);
    }
}

}  // namespace
}  // namespace lai
