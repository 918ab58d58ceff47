#include "engine/transformer.hpp"

#include "model/packing.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace lai {

namespace {

constexpr std::size_t kAttentionSlice = 32;  // tokens of a batch that one piece of attention work covers
// Floats of each of the two feed-forward products, on a thread's stack. They take 32 KB each; some systems limit a
// stack to 128 KB.
constexpr std::size_t kFeedForwardFloats = 2 * kMaxBatch * kBlockSize;

// The stride between two tokens' inputs of a matmul: an odd number of cache lines. With a power of two, such as 512 or
// 2048 floats, sixteen tokens would evict each other from the L1 cache.
std::size_t padded_stride(std::size_t width) {
    constexpr std::size_t kLineFloats = 64 / sizeof(float);
    return ((width + kLineFloats - 1) / kLineFloats | 1) * kLineFloats;
}

// Rows of a matmul per piece of work: enough pieces for an even load, few enough to be cheap.
std::size_t rows_per_piece(std::size_t rows, std::size_t threads) {
    if (threads == 1) return rows;
    const std::size_t pieces = 8 * threads;
    return std::max<std::size_t>(kBlockSize, (rows / pieces + kBlockSize - 1) / kBlockSize * kBlockSize);
}

}  // namespace

Transformer::Transformer(const ModelFile& file, ThreadPool& pool, const Kernels& kernels)
    : config_(file.config()),
      weights_(file.weights()),
      embedding_(file.weights().token_embed),
      pool_(pool),
      kernels_(kernels),
      quantized_(is_quantized(file.dtype())) {
    for (std::size_t i = 0; i < config_.head_dim() / 2; ++i) {
        const float exponent = static_cast<float>(2 * i) / static_cast<float>(config_.head_dim());
        rope_frequencies_.push_back(std::pow(config_.rope_theta, -exponent));
    }
    load_weights(file);
}

// cos and sin of position * theta^(-2i / head_dim), rounded to float32 at the same places as in PyTorch.
void Transformer::compute_rope(std::size_t token, std::size_t position) {
    const std::size_t half = rope_frequencies_.size();
    for (std::size_t i = 0; i < half; ++i) {
        const float angle = static_cast<float>(position) * rope_frequencies_[i];
        rope_cos_[token * half + i] = std::cos(angle);
        rope_sin_[token * half + i] = std::sin(angle);
    }
}

const float* Transformer::forward(const TokenId* tokens, std::size_t count, KvCache& cache,
                                  const std::atomic<bool>* interrupt) {
    cache.reserve(cache.length + count);  // once, not per batch
    std::size_t batch = 0;
    for (std::size_t first = 0; first < count; first += batch) {
        if (interrupt != nullptr && interrupt->load()) return nullptr;
        batch = std::min(kMaxBatch, count - first);
        forward_batch(tokens + first, batch, cache, first + batch == count ? 1 : 0);
    }
    return logits(batch - 1, 1);
}

void Transformer::forward_all(const TokenId* tokens, std::size_t count, KvCache& cache,
                              const LogitsCallback& on_logits) {
    for (std::size_t first = 0; first < count; first += kMaxBatch) {
        const std::size_t batch = std::min(kMaxBatch, count - first);
        forward_batch(tokens + first, batch, cache, batch);
        on_logits(first, batch, logits(0, batch));
    }
}

// Allocates the activations of a batch.
void Transformer::reserve_activations(std::size_t count) {
    const std::size_t dim = config_.dim;
    if (residual_.size() >= count * dim) return;
    for (std::vector<float>* table : {&rope_cos_, &rope_sin_}) table->resize(count * rope_frequencies_.size());
    const bool quantized = quantizes_input(count);
    const std::size_t block_floats = config_.hidden_dim / kBlockSize * (sizeof(ActivationBlock) / sizeof(float));
    const std::size_t hidden = quantized ? block_floats : padded_stride(config_.hidden_dim);
    const std::size_t projected = 2 * config_.kv_dim();
    scratch_.resize(
        std::max(count * std::max({padded_stride(dim), projected, hidden}), padded_stride(dim) + projected));
    if (!quantized) normed_.resize(count * padded_stride(dim));
    if (quantized_) input_blocks_.resize(std::min(count, kernels_.max_quantized_tokens) * dim / kBlockSize);
    residual_.resize(count * dim);  // last: its size tells whether all others are allocated
}

void Transformer::forward_batch(const TokenId* tokens, std::size_t count, KvCache& cache, std::size_t logit_tokens) {
    const std::size_t dim = config_.dim;
    reserve_activations(count);
    cache.reserve(cache.length + count);
    scores_.resize(std::max(scores_.size(), pool_.size() * kMaxAttentionTokens * cache.capacity()));
    auto unpack = dequantize_row;
    if (packed_.size() > 0 && embedding_.data == weights_.output.data) {
        unpack = embedding_.dtype == DType::f14 ? kernels_.dequantize_f14_row : dequantize_packed_row;
    }
    pool_.parallel_for(count, [&](std::size_t token) {
        unpack(embedding_, static_cast<std::size_t>(tokens[token]), residual_.data() + token * dim);
        compute_rope(token, cache.length + token);
    });
    for (std::size_t layer = 0; layer < config_.n_layers; ++layer) {
        // Tokens without logits need only their keys and values of the last layer.
        const std::size_t first = layer + 1 < config_.n_layers ? 0 : count - logit_tokens;
        attention(weights_.layers[layer], layer, first, count, cache);
        if (first < count) feed_forward(weights_.layers[layer], first, count - first);
    }
    cache.length += count;
}

// The rmsnorm of tokens of the residual stream, as input of a matmul. If the input is quantized, `scratch_` holds its
// floats meanwhile.
Activations Transformer::normalize(const float* weight, std::size_t first, std::size_t count) {
    const std::size_t dim = config_.dim;
    const std::size_t stride = padded_stride(dim);
    const bool quantized = quantizes_input(count);
    float* values = quantized ? scratch_.data() : normed_.data();
    pool_.parallel_for(count, [&](std::size_t token) {
        kernels_.rmsnorm(residual_.data() + (first + token) * dim, weight, dim, config_.norm_eps,
                         values + token * stride);
        if (quantized) kernels_.quantize(values + token * stride, dim, input_blocks_.data() + token * dim / kBlockSize);
    });
    return {values, input_blocks_.data(), count, dim, stride};
}

// Values of shape (T, padded_stride(D)) as input of a matmul.
Activations Transformer::quantize_input(const float* values, std::size_t count) {
    const std::size_t dim = config_.dim;
    const std::size_t stride = padded_stride(dim);
    if (quantizes_input(count)) {
        pool_.parallel_for(count, [&](std::size_t token) {
            kernels_.quantize(values + token * stride, dim, input_blocks_.data() + token * dim / kBlockSize);
        });
    }
    return {values, input_blocks_.data(), count, dim, stride};
}

// The input without its first tokens.
Activations Transformer::skip_tokens(const Activations& all, std::size_t first) {
    const float* values = all.values + first * all.stride;
    const std::size_t count = all.tokens - first;
    if (!quantizes_input(all.tokens)) return quantize_input(values, count);
    return {values, all.blocks + first * all.width / kBlockSize, count, all.width, all.stride};
}

// Several matmuls with the same input. The threads share the rows of all of them in one loop.
template <std::size_t Count>
void Transformer::matmul(const MatmulJob (&products)[Count], const Activations& input, bool add) {
    std::size_t pieces_until[Count];
    std::size_t rows = 0;
    for (const MatmulJob& product : products) rows += product.matrix->rows;
    const std::size_t step = rows_per_piece(rows, pool_.size());
    std::size_t pieces = 0;
    for (std::size_t i = 0; i < Count; ++i) pieces_until[i] = pieces += (products[i].matrix->rows + step - 1) / step;
    pool_.parallel_for(pieces, [&](std::size_t piece) {
        std::size_t i = 0;
        while (piece >= pieces_until[i]) ++i;
        const Matrix& matrix = *products[i].matrix;
        const std::size_t begin = (piece - (i == 0 ? 0 : pieces_until[i - 1])) * step;
        kernels_.matmul(matrix, input, begin, std::min(matrix.rows, begin + step),
                        {products[i].out, products[i].stride, add});
    });
}

// Stores the keys and values of all tokens; computes the attention of the tokens from `first` on.
void Transformer::attention(const LayerWeights& weights, std::size_t layer, std::size_t first, std::size_t count,
                            KvCache& cache) {
    const std::size_t dim = config_.dim;
    const std::size_t kv_dim = config_.kv_dim();
    const std::size_t stride = padded_stride(dim);
    const std::size_t group = config_.n_heads / config_.n_kv_heads;
    const Activations normed = normalize(weights.attn_norm, 0, count);
    float* queries = scratch_.data();
    if (count == 1) {
        const ProjectedKv projected = {queries + stride, queries + stride + kv_dim};
        matmul<3>({{&weights.wq, queries, stride},
                   {&weights.wk, projected.keys, kv_dim},
                   {&weights.wv, projected.values, kv_dim}},
                  normed);
        pool_.parallel_for(config_.n_kv_heads, [&](std::size_t head, std::size_t thread) {
            store_kv(projected, layer, head, 1, cache);
            for (std::size_t i = 0; i < group; ++i) {
                attention_head(queries, layer, head * group + i, 0, 1, cache, thread);
            }
        });
    } else {
        // The queries overwrite keys and values once these are in the cache.
        const ProjectedKv projected = {scratch_.data(), scratch_.data() + count * kv_dim};
        matmul<2>({{&weights.wk, projected.keys, kv_dim}, {&weights.wv, projected.values, kv_dim}}, normed);
        pool_.parallel_for(config_.n_kv_heads,
                           [&](std::size_t head) { store_kv(projected, layer, head, count, cache); });
        if (first == count) return;
        matmul<1>({{&weights.wq, queries + first * stride, stride}}, skip_tokens(normed, first));
        const std::size_t slices = (count - first + kAttentionSlice - 1) / kAttentionSlice;
        pool_.parallel_for(config_.n_heads * slices, [&](std::size_t piece, std::size_t thread) {
            const std::size_t begin = first + piece % slices * kAttentionSlice;
            attention_head(queries, layer, piece / slices, begin, std::min(kAttentionSlice, count - begin), cache,
                           thread);
        });
    }
    matmul<1>({{&weights.wo, residual_.data() + first * dim, dim}},
              quantize_input(queries + first * stride, count - first), true);
}

void Transformer::apply_rope(float* head, std::size_t token) {
    const std::size_t half = rope_frequencies_.size();
    kernels_.rope(head, rope_cos_.data() + token * half, rope_sin_.data() + token * half, half);
}

void Transformer::store_kv(const ProjectedKv& projected, std::size_t layer, std::size_t head, std::size_t count,
                           KvCache& cache) {
    const std::size_t head_dim = config_.head_dim();
    for (std::size_t token = 0; token < count; ++token) {
        const std::size_t position = cache.length + token;
        const std::size_t at = token * config_.kv_dim() + head * head_dim;
        apply_rope(projected.keys + at, token);
        cache.store(layer, head, position, projected.keys + at, projected.values + at, kernels_);
    }
}

void Transformer::attention_head(float* queries, std::size_t layer, std::size_t head, std::size_t first,
                                 std::size_t count, KvCache& cache, std::size_t thread) {
    const std::size_t head_dim = config_.head_dim();
    const std::size_t group = config_.n_heads / config_.n_kv_heads;
    const std::size_t kv_head = head / group;
    const std::size_t stride = padded_stride(config_.dim);
    queries += first * stride + head * head_dim;
    for (std::size_t token = 0; token < count; ++token) {
        apply_rope(queries + token * stride, first + token);
    }
    const bool prefetches_next = (head + 1) % group == 0 && head + 1 < config_.n_heads;
    const HeadCache next = prefetches_next ? cache.head_cache(layer, kv_head + 1) : HeadCache{};
    kernels_.attention({queries, stride, count, cache.head_cache(layer, kv_head), cache.length + first + 1, head_dim,
                        scores_.data() + thread * kMaxAttentionTokens * cache.capacity(), cache.capacity(), next});
}

void Transformer::feed_forward(const LayerWeights& weights, std::size_t first, std::size_t count) {
    const Activations normed = normalize(weights.ffn_norm, first, count);
    const std::size_t hidden = config_.hidden_dim;
    const std::size_t stride = padded_stride(hidden);
    const std::size_t step = rows_per_piece(hidden, pool_.size());
    const std::size_t rows = kFeedForwardFloats / count / kBlockSize * kBlockSize;
    const bool quantized = quantizes_input(count);
    ActivationBlock* blocks = static_cast<ActivationBlock*>(static_cast<void*>(scratch_.data()));
    pool_.parallel_for((hidden + step - 1) / step, [&](std::size_t piece) {
        std::array<float, kFeedForwardFloats> gate_values, up;
        const std::size_t last = std::min(hidden, (piece + 1) * step);
        for (std::size_t begin = piece * step; begin < last; begin += rows) {
            const std::size_t end = std::min(last, begin + rows);
            const std::size_t width = end - begin;
            const Output gate = quantized ? Output{gate_values.data(), width, false, begin}
                                          : Output{scratch_.data() + begin, stride, false, begin};
            kernels_.matmul(weights.w_gate, normed, begin, end, gate);
            kernels_.matmul(weights.w_up, normed, begin, end, {up.data(), width, false, begin});
            for (std::size_t token = 0; token < count; ++token) {
                float* values = gate.data + token * gate.stride;
                kernels_.gated_activation(config_.activation, values, up.data() + token * width, width);
                if (quantized) kernels_.quantize(values, width, blocks + (token * hidden + begin) / kBlockSize);
            }
        }
    });
    matmul<1>({{&weights.w_down, residual_.data() + first * config_.dim, config_.dim}},
              {scratch_.data(), blocks, count, hidden, stride}, true);
}

const float* Transformer::logits(std::size_t first, std::size_t count) {
    logits_.resize(std::max(logits_.size(), count * config_.vocab_size));
    matmul<1>({{&weights_.output, logits_.data(), config_.vocab_size}}, normalize(weights_.final_norm, first, count));
    return logits_.data();
}

}  // namespace lai
