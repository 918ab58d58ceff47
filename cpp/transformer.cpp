#include "transformer.hpp"

#include "packing.hpp"

#include <algorithm>
#include <cmath>

namespace lai {

namespace {

constexpr std::size_t kSlabGroups = 64;  // of a matrix, packed before their pages in the file are given back
constexpr std::size_t kSlice = 32;  // tokens of a batch whose attention is one piece of work
constexpr std::size_t kUpFloats = kMaxBatch * kBlock;  // of the feed-forward's second product, held while they are needed

// From one token's input of a product to the next: an odd number of cache lines. Sixteen tokens whose values lie a power of two
// apart, as those of 512 or 2048 would, push each other out of the first-level cache.
std::size_t stride_of(std::size_t width) {
    constexpr std::size_t kLine = 64 / sizeof(float);
    return ((width + kLine - 1) / kLine | 1) * kLine;
}

// Rows of a product that are handed out together: enough pieces to share out evenly, few enough to be cheap.
std::size_t rows_per_piece(std::size_t rows, std::size_t threads) {
    if (threads == 1) return rows;
    const std::size_t pieces = 8 * threads;
    return std::max<std::size_t>(kBlock, (rows / pieces + kBlock - 1) / kBlock * kBlock);
}

// Every matrix that activations are multiplied with.
std::vector<Matrix*> matrices_of(Weights& weights) {
    std::vector<Matrix*> matrices = {&weights.output};
    for (LayerWeights& layer : weights.layers) {
        for (Matrix* matrix : {&layer.wq, &layer.wk, &layer.wv, &layer.wo, &layer.w_gate, &layer.w_up, &layer.w_down}) {
            matrices.push_back(matrix);
        }
    }
    return matrices;
}

// The pages of some rows of a matrix in the file: they are read again if need be.
void give_back(const ModelFile& file, const Matrix& matrix, std::size_t first, std::size_t rows) {
    const auto begin = static_cast<std::size_t>(matrix.data - file.file().data());
    const std::size_t row_bytes = weight_bytes(matrix.dtype, matrix.cols);
    file.file().release(begin + first * row_bytes, begin + std::min(first + rows, matrix.rows) * row_bytes);
}

}  // namespace

Transformer::Transformer(const ModelFile& file, ThreadPool& pool, const Kernels& kernels)
    : config_(file.config()),
      weights_(file.weights()),
      embedding_(file.weights().token_embed),
      pool_(pool),
      kernels_(kernels),
      blocked_(is_blocked(file.dtype())) {
    if (is_packed(file.dtype())) {
        pack_weights(file);
        copy_norms();
        file.file().release(0, file.file().size());
        return;
    }
    if (file.checksum() != Checksum::correct) file.file().populate(0, file.file().size());  // the checksum has not done it
    // Single rows are read of the embedding; where it is not the output matrix too, checking the file has read it for nothing.
    if (embedding_.data != weights_.output.data) give_back(file, embedding_, 0, embedding_.rows);
}

void Transformer::pack_weights(const ModelFile& file) {
    const std::vector<Matrix*> matrices = matrices_of(weights_);
    // A group's bytes are a multiple of a cache line, and so is where every matrix begins.
    std::size_t total = 0;
    for (const Matrix* matrix : matrices) total += packed_bytes(*matrix);
    packed_ = PageBuffer(total);
    std::uint8_t* next = packed_.data();
    for (Matrix* matrix : matrices) {
        const std::size_t groups = packed_groups(*matrix);
        for (std::size_t first = 0; first < groups; first += kSlabGroups) {
            const std::size_t count = std::min(kSlabGroups, groups - first);
            pool_.parallel_for(count, [&](std::size_t i) {
                pack_group(*matrix, first + i, next + (first + i) * packed_group_bytes(matrix->dtype, matrix->cols));
            });
            give_back(file, *matrix, first * kLanes, count * kLanes);
        }
        matrix->data = next;
        next += packed_bytes(*matrix);
    }
}

void Transformer::copy_norms() {
    std::vector<const float**> norms = {&weights_.final_norm};
    for (LayerWeights& layer : weights_.layers) norms.insert(norms.end(), {&layer.attn_norm, &layer.ffn_norm});
    norms_.reserve(norms.size() * config_.dim);  // so that none is moved
    for (const float** norm : norms) {
        norms_.insert(norms_.end(), *norm, *norm + config_.dim);
        *norm = norms_.data() + norms_.size() - config_.dim;
    }
}

std::vector<Transformer::Bytes> Transformer::weights_read() const {
    Weights weights = weights_;
    std::vector<Bytes> ranges;
    for (const Matrix* matrix : matrices_of(weights)) {
        ranges.push_back({matrix->data, packed_.size() > 0 ? packed_bytes(*matrix) : matrix->bytes()});
    }
    return ranges;
}

// cos and sin of pos * theta^(-2i / head_dim), rounded to floats at the same places as PyTorch does.
void Transformer::extend_rotary(std::size_t positions) {
    const std::size_t half = config_.head_dim() / 2;
    for (std::size_t position = cos_.size() / half; position < positions; ++position) {
        for (std::size_t i = 0; i < half; ++i) {
            const float exponent = static_cast<float>(2 * i) / static_cast<float>(config_.head_dim());
            const float frequency = std::pow(config_.rope_theta, -exponent);
            const float angle = static_cast<float>(position) * frequency;
            cos_.push_back(std::cos(angle));
            sin_.push_back(std::sin(angle));
        }
    }
}

const float* Transformer::read(const TokenId* tokens, std::size_t count, KvCache& cache, const std::atomic<bool>* interrupt) {
    cache.reserve(cache.length + count);  // at once, not batch by batch
    std::size_t batch = 0;
    for (std::size_t first = 0; first < count; first += batch) {
        if (interrupt != nullptr && interrupt->load()) return nullptr;
        batch = std::min(kMaxBatch, count - first);
        forward(tokens + first, batch, cache, first + batch == count ? 1 : 0);
    }
    return logits(batch - 1, 1);
}

void Transformer::read_all(const TokenId* tokens, std::size_t count, KvCache& cache, const TakeLogits& take) {
    for (std::size_t first = 0; first < count; first += kMaxBatch) {
        const std::size_t batch = std::min(kMaxBatch, count - first);
        forward(tokens + first, batch, cache, batch);
        take(first, batch, logits(0, batch));
    }
}

void Transformer::forward(const TokenId* tokens, std::size_t count, KvCache& cache, std::size_t wanted) {
    const std::size_t dim = config_.dim;
    if (x_.size() < count * dim) {
        x_.resize(count * dim);
        narrow_.resize(count * stride_of(dim));
        wide_.resize(count * std::max(dim + 2 * config_.kv_dim(), stride_of(config_.hidden_dim)));
        if (blocked_) blocks_.resize(std::min(count, kernels_.block_tokens) * std::max(dim, config_.hidden_dim) / kBlock);
    }
    cache.reserve(cache.length + count);
    extend_rotary(cache.length + count);
    scores_.resize(std::max(scores_.size(), config_.n_heads * (kMaxBatch / kSlice) * kAttentionTokens * cache.capacity()));
    for (std::size_t token = 0; token < count; ++token) {
        unpack_row(embedding_, static_cast<std::size_t>(tokens[token]), x_.data() + token * dim);
    }
    for (std::size_t layer = 0; layer < config_.n_layers; ++layer) {
        // Of the last layer only its keys and values are needed for the tokens whose results are not.
        const std::size_t first = layer + 1 < config_.n_layers ? 0 : count - wanted;
        attention(weights_.layers[layer], layer, first, count, cache);
        if (first < count) feed_forward(weights_.layers[layer], first, count - first);
    }
    cache.length += count;
}

void Transformer::normalize(const float* weight, std::size_t first, std::size_t count) {
    const std::size_t dim = config_.dim;
    pool_.parallel_for(count, [&](std::size_t token) {
        const float* x = x_.data() + (first + token) * dim;
        kernels_.rms_norm(x, weight, dim, config_.norm_eps, narrow_.data() + (first + token) * stride_of(dim));
    });
}

// The input of a product: tokens of (T, stride_of(width)) values, as blocks too where the product takes them.
Activations Transformer::input(const std::vector<float>& values, std::size_t first, std::size_t count, std::size_t width) {
    const std::size_t stride = stride_of(width);
    const float* data = values.data() + first * stride;
    if (blocked_ && count <= kernels_.block_tokens) {
        pool_.parallel_for(count, [&](std::size_t token) {
            kernels_.quantize(data + token * stride, width, blocks_.data() + token * width / kBlock);
        });
    }
    return {data, blocks_.data(), count, width, stride};
}

// Several matrices times one input; all their rows are shared out among the threads in one go.
template <std::size_t Count>
void Transformer::multiply(const Product (&products)[Count], const Activations& input, bool add) {
    std::size_t pieces_until[Count];
    std::size_t rows = 0;
    for (const Product& product : products) rows += product.matrix->rows;
    const std::size_t step = rows_per_piece(rows, pool_.size());
    std::size_t pieces = 0;
    for (std::size_t i = 0; i < Count; ++i) pieces_until[i] = pieces += (products[i].matrix->rows + step - 1) / step;
    pool_.parallel_for(pieces, [&](std::size_t piece) {
        std::size_t i = 0;
        while (piece >= pieces_until[i]) ++i;
        const Matrix& matrix = *products[i].matrix;
        const std::size_t begin = (piece - (i == 0 ? 0 : pieces_until[i - 1])) * step;
        kernels_.multiply(matrix, input, begin, std::min(matrix.rows, begin + step), {products[i].out, matrix.rows, add});
    });
}

// Keys and values of all tokens of the batch, and what those from `first` on make of them.
void Transformer::attention(const LayerWeights& weights, std::size_t layer, std::size_t first, std::size_t count, KvCache& cache) {
    const std::size_t dim = config_.dim;
    const Projected projected = {wide_.data(), wide_.data() + count * dim, wide_.data() + count * (dim + config_.kv_dim())};
    const Product queries = {&weights.wq, projected.queries + first * dim};
    const Product keys = {&weights.wk, projected.keys};
    const Product values = {&weights.wv, projected.values};
    normalize(weights.attn_norm, 0, count);
    const Activations normed = input(narrow_, 0, count, dim);
    if (first == 0) {
        multiply<3>({queries, keys, values}, normed);
    } else {
        multiply<2>({keys, values}, normed);
        if (first < count) multiply<1>({queries}, input(narrow_, first, count - first, dim));
    }
    const std::size_t group = config_.n_heads / config_.n_kv_heads;
    if (count == 1) {
        pool_.parallel_for(config_.n_kv_heads, [&](std::size_t head) {
            store_keys(projected, layer, head, 1, cache);
            for (std::size_t i = 0; i < group; ++i) attend(projected, layer, head * group + i, 0, 1, cache);
        });
    } else {
        pool_.parallel_for(config_.n_kv_heads, [&](std::size_t head) { store_keys(projected, layer, head, count, cache); });
        const std::size_t slices = (count - first + kSlice - 1) / kSlice;
        pool_.parallel_for(config_.n_heads * slices, [&](std::size_t piece) {
            const std::size_t begin = first + piece % slices * kSlice;
            attend(projected, layer, piece / slices, begin, std::min(kSlice, count - begin), cache);
        });
    }
    if (first < count) multiply<1>({{&weights.wo, x_.data() + first * dim}}, input(narrow_, first, count - first, dim), true);
}

void Transformer::store_keys(const Projected& projected, std::size_t layer, std::size_t head, std::size_t count, KvCache& cache) {
    const std::size_t head_dim = config_.head_dim();
    for (std::size_t token = 0; token < count; ++token) {
        const std::size_t position = cache.length + token;
        const std::size_t at = token * config_.kv_dim() + head * head_dim;
        const std::size_t rotary = position * head_dim / 2;
        kernels_.rotate(projected.keys + at, cos_.data() + rotary, sin_.data() + rotary, head_dim / 2);
        cache.store(layer, head, position, projected.keys + at, projected.values + at, kernels_);
    }
}

void Transformer::attend(const Projected& projected, std::size_t layer, std::size_t head, std::size_t first, std::size_t count,
                         KvCache& cache) {
    const std::size_t head_dim = config_.head_dim();
    const std::size_t group = config_.n_heads / config_.n_kv_heads;
    const std::size_t kv_head = head / group;
    // Scratch for each piece of work: any thread may have any of them.
    float* scores = scores_.data() + (head * (kMaxBatch / kSlice) + first / kSlice) * kAttentionTokens * cache.capacity();
    const std::size_t dim = config_.dim;
    float* queries = projected.queries + first * dim + head * head_dim;
    float* out = narrow_.data() + first * stride_of(dim) + head * head_dim;
    for (std::size_t token = 0; token < count; ++token) {
        const std::size_t rotary = (cache.length + first + token) * head_dim / 2;
        kernels_.rotate(queries + token * dim, cos_.data() + rotary, sin_.data() + rotary, head_dim / 2);
    }
    const bool others_follow = (head + 1) % group == 0 && head + 1 < config_.n_heads;
    const HeadCache next = others_follow ? cache.of_head(layer, kv_head + 1) : HeadCache{};
    kernels_.attend({queries, out, dim, stride_of(dim), count, cache.of_head(layer, kv_head), cache.length + first + 1,
                     head_dim, scores, cache.capacity(), next});
}

void Transformer::feed_forward(const LayerWeights& weights, std::size_t first, std::size_t count) {
    normalize(weights.ffn_norm, first, count);
    const Activations normed = input(narrow_, first, count, config_.dim);
    const std::size_t hidden = config_.hidden_dim;
    const std::size_t step = rows_per_piece(hidden, pool_.size());
    const std::size_t rows = kUpFloats / count / kBlock * kBlock;
    const std::size_t stride = stride_of(hidden);
    float* gate = wide_.data();
    pool_.parallel_for((hidden + step - 1) / step, [&](std::size_t piece) {
        float up[kUpFloats];
        const std::size_t last = std::min(hidden, (piece + 1) * step);
        for (std::size_t begin = piece * step; begin < last; begin += rows) {
            const std::size_t end = std::min(last, begin + rows);
            kernels_.multiply(weights.w_gate, normed, begin, end, {gate, stride, false});
            kernels_.multiply(weights.w_up, normed, begin, end, {up, end - begin, false, begin});
            for (std::size_t token = 0; token < count; ++token) {
                kernels_.activate(config_.activation, gate + token * stride + begin, up + token * (end - begin), end - begin);
            }
        }
    });
    multiply<1>({{&weights.w_down, x_.data() + first * config_.dim}}, input(wide_, 0, count, hidden), true);
}

const float* Transformer::logits(std::size_t first, std::size_t count) {
    logits_.resize(std::max(logits_.size(), count * config_.vocab_size));
    normalize(weights_.final_norm, first, count);
    multiply<1>({{&weights_.output, logits_.data()}}, input(narrow_, first, count, config_.dim));
    return logits_.data();
}

}  // namespace lai
