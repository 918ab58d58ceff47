#pragma once

// Scaled dot-product attention of one head, over the KV cache.

#include "kernels/matmul_tile.hpp"

#include <cmath>
#include <type_traits>

namespace lai {
namespace {

// Decoding computes little per byte, so it waits for memory, at least with an int16 cache. While the scores are
// computed, the values are prefetched. While the values are summed, the next head's keys are prefetched.
template <class Element, std::size_t Tokens>
constexpr bool kPrefetches = Tokens == 1 && std::is_integral_v<Element>;

// The scores of sixteen positions: query · key * scale. With one token, several dimensions have sums of their own, so
// that no addition waits for the previous one. Groups are read in order of memory.
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
            prefetch(static_cast<const Element*>(head.cache.values) + begin * head.head_dim + d * kLanes,
                     kSums * kLanes * sizeof(Element));
        }
        LAI_UNROLL for (std::size_t slot = 0; slot < kSums; ++slot) add(d + slot, slot);
    }
    for (; d < head.head_dim; ++d) add(d, 0);
    LAI_UNROLL for (std::size_t v = 0; v < kVectors; ++v) {
        const Vector scales = head.cache.key_scales == nullptr
                                  ? broadcast(scale)
                                  : load(head.cache.key_scales + begin + v * kWidth) * scale;
        LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
            Vector total = sums[0][t][v];
            LAI_UNROLL for (std::size_t slot = 1; slot < kSums; ++slot) total += sums[slot][t][v];
            store(head.scores + t * head.score_stride + begin + v * kWidth, total * scales);
        }
    }
}

// Softmax of the first `positions` scores, without its division: returns one over the sum. The weights are multiplied
// with the values' `scales`, unless these are null. Positions up to `end` get weight 0. So do weights below e^-60: they
// do not change the sum, and subnormal products are slow.
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

// The weighted sum of some vectors of the values, for each token.
template <class Element, std::size_t Tokens, std::size_t Vectors>
LAI_INLINE void weighted_value_sum(const AttentionHead& head, float* out, std::size_t d, std::size_t positions,
                                   const float* factors) {
    constexpr std::size_t kSums = Tokens == 1 ? 2 : 1;
    Vector sums[kSums][Tokens][Vectors] = {};
    const auto add = [&](std::size_t position, std::size_t slot) {
        const Element* values = static_cast<const Element*>(head.cache.values) + position * head.head_dim + d;
        LAI_UNROLL for (std::size_t v = 0; v < Vectors; ++v) {
            const Vector value = load_as_float(values + v * kWidth);
            LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
                sums[slot][t][v] += value * head.scores[t * head.score_stride + position];
            }
        }
    };
    std::size_t position = 0;
    for (; position + kSums <= positions; position += kSums) {
        if constexpr (kPrefetches<Element, Tokens>) {
            if (d == 0 && head.next.keys != nullptr) {
                prefetch(static_cast<const Element*>(head.next.keys) + position * head.head_dim,
                         kSums * head.head_dim * sizeof(Element));
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
    // Vectors whose sums fit into the registers.
    constexpr std::size_t kMaxVectors = Tokens == 1 || kWidth == 16 ? 4 : 2;
    const float scale = 1.0F / __builtin_sqrtf(static_cast<float>(head.head_dim));
    float* queries = head.queries + first * head.stride;
    const std::size_t positions = head.positions + first;
    const std::size_t all = positions + Tokens - 1;
    std::size_t end = 0;
    for (; end < all; end += kLanes) attention_scores<Element, Tokens>(head, queries, end, scale);
    float factors[Tokens];
    for (std::size_t t = 0; t < Tokens; ++t) {
        factors[t] = softmax(head.scores + t * head.score_stride, head.cache.value_scales, positions + t, end);
    }
    std::size_t d = 0;
    for (; d + kMaxVectors * kWidth <= head.head_dim; d += kMaxVectors * kWidth) {
        weighted_value_sum<Element, Tokens, kMaxVectors>(head, queries, d, all, factors);
    }
    for (; d + kWidth <= head.head_dim; d += kWidth) {
        weighted_value_sum<Element, Tokens, 1>(head, queries, d, all, factors);
    }
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

}  // namespace
}  // namespace lai
