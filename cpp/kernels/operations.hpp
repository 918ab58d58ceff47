#pragma once

// The kernels, written once in terms of vector.hpp. The file that includes this one has defined, for its
// instruction set: sum(), load_halves(), load_numbers() of 16-bit integers, quantize_block(), packed_tile(), kPanelTokens,
// which is how many tokens' sums fit into the registers, kPackedTokens, the same for blocked weights and integers, and
// kBlockTokens (Kernels::block_tokens).

#include "kernels/vector.hpp"

#include <cmath>
#include <type_traits>

namespace lai {
namespace {

// Sixteen rows of so many columns, as floats, leave a first-level cache room for some tokens' activations.
constexpr std::size_t kPanelColumns = 384;
constexpr std::size_t kVectors = kLanes / kWidth;
// For so few tokens making panels of f32 and f16 takes longer than it saves.
constexpr std::size_t kMaxGemvTokens = 8;

LAI_INLINE void store_output(const Output& out, std::size_t token, std::size_t row, float value) {
    float* to = out.data + token * out.stride + (row - out.first_row);
    *to = out.add ? *to + value : value;
}

LAI_INLINE void store_output_lanes(const Output& out, std::size_t token, std::size_t row, const float* results, std::size_t rows) {
    if (rows < kLanes) {
        for (std::size_t lane = 0; lane < rows; ++lane) store_output(out, token, row + lane, results[lane]);
        return;
    }
    float* to = out.data + token * out.stride + (row - out.first_row);
    LAI_UNROLL for (std::size_t i = 0; i < kLanes; i += kWidth) store(to + i, out.add ? load(to + i) + load(results + i) : load(results + i));
}

// Tensors start at a multiple of their element's size (model_file.cpp).
LAI_INLINE const float* f32_data(const Matrix& matrix) { return static_cast<const float*>(static_cast<const void*>(matrix.data)); }

// A row of f32 times some tokens.
template <std::size_t Tokens, bool NonTemporal>
LAI_INLINE void matmul_f32_row(const Matrix& matrix, const Activations& input, std::size_t row, std::size_t token, const Output& out) {
    constexpr std::size_t kSums = Tokens == 1 ? 4 : 2;  // of each token, so that no addition waits for the one before
    const std::size_t width = input.width;
    const float* weights = f32_data(matrix) + row * width;
    const float* x = input.values + token * input.stride;
    Vector sums[kSums][Tokens] = {};
    std::size_t k = 0;
    for (; k + kSums * kWidth <= width; k += kSums * kWidth) {
        LAI_UNROLL for (std::size_t i = 0; i < kSums; ++i) {
            prefetch_ahead<NonTemporal>(weights + k + i * kWidth);
            const Vector w = load(weights + k + i * kWidth);
            LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) sums[i][t] += w * load(x + t * input.stride + k + i * kWidth);
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

// Not inlined for its registers' sake, as multiply_panel.
template <std::size_t Tokens, bool NonTemporal>
__attribute__((noinline)) void matmul_f32_rows(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end,
                                             std::size_t token, const Output& out) {
    for (std::size_t row = begin; row < end; ++row) matmul_f32_row<Tokens, NonTemporal>(matrix, input, row, token, out);
}

template <std::size_t Count>
struct Batch {
    static constexpr std::size_t count = Count;
};

// Sixteen rows times some tokens. load_weights(column, v) gives vector v of a column of the rows.
template <std::size_t Tokens, class LoadWeights>
LAI_INLINE void matmul_tile(const LoadWeights& load_weights, std::size_t columns, const float* x, std::size_t stride, float (&results)[Tokens][kLanes]) {
    // Of one token the sums are few: one for each of several columns keeps an addition from waiting for the one before it.
    constexpr std::size_t kSums = Tokens == 1 ? 4 : 1;
    // Sixteen tokens are too many for each to have a register for where it lies: with several columns at once, if there are
    // registers for their weights, it is worked out once for all of them.
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
                LAI_UNROLL for (std::size_t v = 0; v < kVectors; ++v) sums[i % kSums][t][v] += w[i][v] * x[t * stride + column + i];
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

// Some columns of sixteen rows of a matrix, from a row that is a multiple of sixteen, each column's sixteen floats together.
struct Panel {
    std::size_t row;
    std::size_t rows;  // less than sixteen at the matrix's end; the others are zero
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
                transpose(weights + lane * matrix.cols + column, matrix.cols, panel.floats + column * kLanes + lane, kLanes);
            }
        }
    }
    for (std::size_t column = done; column < panel.columns; ++column) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            panel.floats[column * kLanes + lane] = lane < panel.rows ? weights[lane * matrix.cols + column] : 0.0F;
        }
    }
}

// A block of sixteen rows. Quants are unsigned, with 128 or 8 for zero; scales are short enough for exact products.
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
                    store(to + kBlockSize / 2 * kLanes, __builtin_convertvector((four >> (8 * byte + 4)) & kMask, Vector) * scales - zeros);
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
            for (std::size_t i = 0; i < panel.columns * kLanes; i += kWidth) store(panel.floats + i, load_f16(halves + 2 * i));
        } else {
            for (std::size_t i = 0; i < panel.columns; i += kBlockSize) {
                fill_panel_block<Type>(group, (panel.column + i) / kBlockSize, panel.floats + i * kLanes);
            }
        }
    }
}

// Asks for some sixteenths, from `first` to `last`, of what the panel after this one is made of: rows, or a part of a group.
template <DType Type>
LAI_INLINE void prefetch_next_panel(const Matrix& matrix, const Panel& panel, std::size_t end, std::size_t first, std::size_t last) {
    const std::size_t next = panel.row + kLanes;
    if (next >= end) return;
    if constexpr (Type == DType::f32) {
        const float* weights = f32_data(matrix) + next * matrix.cols + panel.column;
        last = min_size(last, end - next);
        for (std::size_t row = first; row < last; ++row) prefetch(weights + row * matrix.cols, panel.columns * sizeof(float));
    } else {
        const std::size_t bytes = packed_group_bytes(Type, matrix.cols);
        const std::uint8_t* group = matrix.data + next / kLanes * bytes;
        const std::size_t part = bytes * panel.columns / matrix.cols;
        prefetch(group + bytes * panel.column / matrix.cols + part * first / kLanes, part * (last - first) / kLanes);
    }
}

// Not inlined: what surrounds it would take the registers that the sums need.
template <std::size_t Tokens>
__attribute__((noinline)) void matmul_panel(const Panel& panel, const Activations& input, std::size_t token, const Output& out) {
    float results[Tokens][kLanes];
    const auto load_weights = [&](std::size_t column, std::size_t v) { return load(panel.floats + column * kLanes + v * kWidth); };
    matmul_tile(load_weights, panel.columns, input.values + token * input.stride + panel.column, input.stride, results);
    for (std::size_t t = 0; t < Tokens; ++t) store_output_lanes(out, token + t, panel.row, results[t], panel.rows);
}

// Sixteen rows times some tokens, with packed weights as they are.
template <DType Type, std::size_t Tokens>
LAI_INLINE void matmul_group(const Matrix& matrix, const Activations& input, std::size_t row, std::size_t token, std::size_t rows,
                               const Output& out) {
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

// Calls work(Batch<n>, first) for all tokens: as many at once as `Most`, then four, two, one.
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

// Many tokens: each panel of weights is made floats once, and used by all of them while it is in the first-level cache.
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
                prefetch_next_panel<Type>(matrix, panel, end, token * kLanes / input.tokens, (token + kTokens) * kLanes / input.tokens);
                matmul_panel<kTokens>(panel, input, token, out);
            });
        }
        out.add = true;
    }
}

template <DType Type>
void matmul_groups(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end, const Output& out) {
    for (std::size_t row = begin; row < end; row += kLanes) {
        const std::size_t rows = min_size(kLanes, end - row);
        for_token_batches<is_quantized(Type) ? kQuantizedTileTokens : kFloatTileTokens>(input.tokens, [&](auto batch, std::size_t token) {
            constexpr std::size_t kTokens = decltype(batch)::count;
            matmul_group<Type, kTokens>(matrix, input, row, token, rows, out);
        });
    }
}

// A few tokens' products with f32 read each row once, as it is, and from one end of the matrix to the other: of two rows at a
// time the processor fetches less ahead.
template <bool NonTemporal>
void matmul_f32_few(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end, const Output& out) {
    if (input.tokens == 1) return matmul_f32_rows<1, NonTemporal>(matrix, input, begin, end, 0, out);
    // All tokens' products with some rows while these are in the cache.
    for (std::size_t row = begin; row < end; row += kLanes) {
        for_token_batches<4>(input.tokens, [&](auto batch, std::size_t token) {
            constexpr std::size_t kTokens = decltype(batch)::count;
            matmul_f32_rows<kTokens, NonTemporal>(matrix, input, row, min_size(row + kLanes, end), token, out);
        });
    }
}

template <DType Type>
void matmul_dtype(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end, const Output& out) {
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
        case DType::f14: __builtin_unreachable();  // only where Kernels::pack_f14 is, and f14.hpp has these products
    }
}

LAI_INLINE Vector vector_abs(Vector x) { return x < 0.0F ? -x : x; }

// The largest magnitude of some values; not a number where one of them is not, or is infinity.
LAI_INLINE float absmax(const float* values, std::size_t count) {
    Vector largest = {};
    Vector poison = {};
    for (std::size_t i = 0; i < count; i += kWidth) {
        const Vector magnitudes = vector_abs(load_partial(values + i, count - i));
        largest = magnitudes > largest ? magnitudes : largest;
        poison += magnitudes * 0.0F;
    }
    float result = largest[0];
    LAI_UNROLL for (std::size_t i = 1; i < kWidth; ++i) result = largest[i] > result ? largest[i] : result;
    return result + sum(poison);
}

// Of values too small to invert nothing is lost that a sum would notice; what is no number stays in the scale.
constexpr float kMinAbsmax = 1e-30F;

LAI_INLINE IntVector round(Vector x) { return __builtin_convertvector(x + (x < 0.0F ? broadcast(-0.5F) : broadcast(0.5F)), IntVector); }

void quantize(const float* values, std::size_t count, ActivationBlock* blocks) {
    // 127 * 256 + 127: the largest integer whose high byte, rounded, still fits into eight bits.
    constexpr float kMaxInteger = 32639.0F;
    for (std::size_t block = 0; block < count / kBlockSize; ++block) {
        const float* from = values + block * kBlockSize;
        const float largest = absmax(from, kBlockSize);
        blocks[block].scale = largest / kMaxInteger;
        const float inverse = largest > kMinAbsmax ? kMaxInteger / largest : 0.0F;
        std::int32_t integers[kBlockSize] = {};
        std::int32_t total = 0;
        if (inverse > 0) {
            LAI_UNROLL for (std::size_t i = 0; i < kBlockSize; i += kWidth) {
                const IntVector rounded = round(load(from + i) * inverse);
                std::memcpy(integers + i, &rounded, sizeof rounded);
            }
            for (std::size_t i = 0; i < kBlockSize; ++i) total += integers[i];
        }
        blocks[block].offset = -8 * total;
        quantize_block(integers, blocks[block].payload);
    }
}

float quantize_int16(const float* values, std::size_t count, std::int16_t* integers) {
    constexpr float kMaxInteger = 32767.0F;
    const float largest = absmax(values, count);
    const float inverse = largest > kMinAbsmax ? kMaxInteger / largest : 0.0F;
    for (std::size_t i = 0; i < count; i += kWidth) {
        const ShortVector shorts = __builtin_convertvector(inverse > 0 ? round(load_partial(values + i, count - i) * inverse) : IntVector{}, ShortVector);
        std::memcpy(integers + i, &shorts, min_size(kWidth, count - i) * sizeof(std::int16_t));
    }
    return largest / kMaxInteger;
}

void rmsnorm(const float* x, const float* weight, std::size_t size, float eps, float* out) {
    Vector squares = {};
    std::size_t i = 0;
    for (; i + kWidth <= size; i += kWidth) squares += load(x + i) * load(x + i);
    float total = sum(squares);
    for (std::size_t j = i; j < size; ++j) total += x[j] * x[j];
    const float factor = 1.0F / __builtin_sqrtf(total / static_cast<float>(size) + eps);
    for (i = 0; i < size; ++i) out[i] = x[i] * factor * weight[i];
}

void rope(float* head, const float* cos, const float* sin, std::size_t half) {
    for (std::size_t i = 0; i < half; ++i) {
        const float first = head[i];
        const float second = head[i + half];
        head[i] = first * cos[i] - second * sin[i];
        head[i + half] = second * cos[i] + first * sin[i];
    }
}

// One token's attention computes so little that it waits for memory, at least with the integers of small weights. So while
// scores are made, values are fetched, and while values are mixed, the next head's keys; and the scales of both.
template <class Element, std::size_t Tokens>
constexpr bool kPrefetches = Tokens == 1 && std::is_integral_v<Element>;

// The scores of sixteen positions. With one token, several dimensions at once, so that no addition waits for the one
// before it; one group after the other, so that memory is read from one end to the other.
template <class Element, std::size_t Tokens>
LAI_INLINE void attention_scores(const AttentionHead& head, const float* queries, std::size_t begin, float scale) {
    constexpr std::size_t kSums = Tokens == 1 ? 4 : 1;
    if constexpr (kPrefetches<Element, Tokens>) prefetch(head.cache.value_scales + begin, kLanes * sizeof(float));
    const Element* keys = static_cast<const Element*>(head.cache.keys) + begin * head.head_dim;
    Vector sums[kSums][Tokens][kVectors] = {};
    const auto add = [&](std::size_t d, std::size_t slot) {
        LAI_UNROLL for (std::size_t v = 0; v < kVectors; ++v) {
            const Vector key = load_as_float(keys + d * kLanes + v * kWidth);
            LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) sums[slot][t][v] += key * queries[t * head.stride + d];
        }
    };
    std::size_t d = 0;
    for (; d + kSums <= head.head_dim; d += kSums) {
        if constexpr (kPrefetches<Element, Tokens>) {
            prefetch(static_cast<const Element*>(head.cache.values) + begin * head.head_dim + d * kLanes, kSums * kLanes * sizeof(Element));
        }
        LAI_UNROLL for (std::size_t slot = 0; slot < kSums; ++slot) add(d + slot, slot);
    }
    for (; d < head.head_dim; ++d) add(d, 0);
    LAI_UNROLL for (std::size_t v = 0; v < kVectors; ++v) {
        const Vector scales = head.cache.key_scales == nullptr ? broadcast(scale) : load(head.cache.key_scales + begin + v * kWidth) * scale;
        LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
            Vector total = sums[0][t][v];
            LAI_UNROLL for (std::size_t slot = 1; slot < kSums; ++slot) total += sums[slot][t][v];
            store(head.scores + t * head.score_stride + begin + v * kWidth, total * scales);
        }
    }
}

// Turns the scores of the first `positions` places into weights of the values as they are stored, `scales` or null, and
// returns one over their sum. Places after them, up to `end`, get none, and so do those that a sum of at least one would not
// notice: multiplied with a scale they could be too small for a processor's fast ways.
float softmax(float* scores, const float* scales, std::size_t positions, std::size_t end) {
    for (std::size_t i = positions; i < end; ++i) scores[i] = -INFINITY;
    Vector largest = load(scores);
    for (std::size_t i = kWidth; i < end; i += kWidth) {
        const Vector others = load(scores + i);
        largest = others > largest ? others : largest;
    }
    float max_score = largest[0];
    for (std::size_t i = 1; i < kWidth; ++i) max_score = largest[i] > max_score ? largest[i] : max_score;
    Vector total = {};
    for (std::size_t i = 0; i < end; i += kWidth) {
        const Vector below = load(scores + i) - max_score;
        const Vector weights = below < -60.0F ? Vector{} : vector_exp(below);
        store(scores + i, scales == nullptr ? weights : weights * load(scales + i));
        total += weights;
    }
    return 1.0F / sum(total);
}

// Some vectors of the values' dimensions, weighed and added up for each token.
template <class Element, std::size_t Tokens, std::size_t Vectors>
LAI_INLINE void weighted_value_sum(const AttentionHead& head, float* out, std::size_t d, std::size_t positions, const float* factors) {
    constexpr std::size_t kSums = Tokens == 1 ? 2 : 1;
    Vector sums[kSums][Tokens][Vectors] = {};
    const auto add = [&](std::size_t position, std::size_t slot) {
        const Element* values = static_cast<const Element*>(head.cache.values) + position * head.head_dim + d;
        LAI_UNROLL for (std::size_t v = 0; v < Vectors; ++v) {
            const Vector value = load_as_float(values + v * kWidth);
            LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) sums[slot][t][v] += value * head.scores[t * head.score_stride + position];
        }
    };
    std::size_t position = 0;
    for (; position + kSums <= positions; position += kSums) {
        if constexpr (kPrefetches<Element, Tokens>) {
            if (d == 0 && head.next.keys != nullptr) {
                prefetch(static_cast<const Element*>(head.next.keys) + position * head.head_dim, kSums * head.head_dim * sizeof(Element));
                if (position % kLanes == 0) prefetch(head.next.key_scales + position, kLanes * sizeof(float));
            }
        }
        LAI_UNROLL for (std::size_t slot = 0; slot < kSums; ++slot) add(position + slot, slot);
    }
    if (position < positions) add(position, 0);
    LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
        LAI_UNROLL for (std::size_t v = 0; v < Vectors; ++v) {
            Vector total = sums[0][t][v];
            if constexpr (kSums == 2) total += sums[1][t][v];
            store(out + t * head.stride + d + v * kWidth, total * factors[t]);
        }
    }
}

template <class Element, std::size_t Tokens>
void attention_tokens(const AttentionHead& head, std::size_t first) {
    constexpr std::size_t kMaxVectors = Tokens == 1 || kWidth == 16 ? 4 : 2;  // vectors whose sums fit into the registers
    const float scale = 1.0F / __builtin_sqrtf(static_cast<float>(head.head_dim));
    float* queries = head.queries + first * head.stride;
    const std::size_t positions = head.positions + first;
    const std::size_t all = positions + Tokens - 1;
    std::size_t end = 0;
    for (; end < all; end += kLanes) attention_scores<Element, Tokens>(head, queries, end, scale);
    float factors[Tokens];
    for (std::size_t t = 0; t < Tokens; ++t) factors[t] = softmax(head.scores + t * head.score_stride, head.cache.value_scales, positions + t, end);
    std::size_t d = 0;
    for (; d + kMaxVectors * kWidth <= head.head_dim; d += kMaxVectors * kWidth) weighted_value_sum<Element, Tokens, kMaxVectors>(head, queries, d, all, factors);
    for (; d + kWidth <= head.head_dim; d += kWidth) weighted_value_sum<Element, Tokens, 1>(head, queries, d, all, factors);
    for (; d < head.head_dim; ++d) {
        for (std::size_t t = 0; t < Tokens; ++t) {
            float total = 0;
            for (std::size_t position = 0; position < all; ++position) {
                const Element value = static_cast<const Element*>(head.cache.values)[position * head.head_dim + d];
                total += static_cast<float>(value) * head.scores[t * head.score_stride + position];
            }
            queries[t * head.stride + d] = total * factors[t];
        }
    }
}

void attention(const AttentionHead& head) {
    for_token_batches<kMaxAttentionTokens>(head.tokens, [&](auto batch, std::size_t first) {
        constexpr std::size_t kTokens = decltype(batch)::count;
        if (head.cache.key_scales == nullptr) {
            attention_tokens<float, kTokens>(head, first);
        } else {
            attention_tokens<std::int16_t, kTokens>(head, first);
        }
    });
}

LAI_INLINE Vector silu(Vector x) { return x / (1.0F + vector_exp(-x)); }

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
    const Vector tail = p * t * vector_exp(-z * z);  // 1 - erf(|z|)
    return 0.5F * x * (z < 0.0F ? tail : 2.0F - tail);
}

template <Vector (*Function)(Vector)>
void apply_gated_activation(float* gate, const float* up, std::size_t size) {
    std::size_t i = 0;
    for (; i + kWidth <= size; i += kWidth) store(gate + i, Function(load(gate + i)) * load(up + i));
    if (i == size) return;
    float rest[kWidth] = {};
    for (std::size_t j = i; j < size; ++j) rest[j - i] = gate[j];
    store(rest, Function(load(rest)));
    for (std::size_t j = i; j < size; ++j) gate[j] = rest[j - i] * up[j];
}

void gated_activation(Activation activation, float* gate, const float* up, std::size_t size) {
    if (activation == Activation::silu) {
        apply_gated_activation<silu>(gate, up, size);
    } else {
        apply_gated_activation<gelu>(gate, up, size);
    }
}

template <bool NonTemporal = false>
std::int32_t stream_read(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t kSums = 8;
    IntVector sums[kSums] = {};
    for (std::size_t at = 0; at + sizeof sums <= size; at += sizeof sums) {
        LAI_UNROLL for (std::size_t i = 0; i < kSums; ++i) {
            IntVector words;
            std::memcpy(&words, data + at + i * sizeof words, sizeof words);
            prefetch_ahead<NonTemporal>(data + at + i * sizeof words);
            sums[i] ^= words;
        }
    }
    for (std::size_t i = 1; i < kSums; ++i) sums[0] ^= sums[i];
    return sums[0][0];
}

}  // namespace
}  // namespace lai
