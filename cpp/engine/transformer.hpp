#pragma once

#include "engine/kv_cache.hpp"
#include "host/page_buffer.hpp"
#include "host/thread_pool.hpp"
#include "kernels/kernels.hpp"
#include "model/model_file.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <vector>

namespace lai {

// Runs a model as docs/format.md defines it. Shapes in the comments: T tokens of a batch, D dim.
class Transformer {
public:
    // The file must outlive the object. Weights other than f32 are packed; their pages of the file are released.
    Transformer(const ModelFile& file, ThreadPool& pool, const Kernels& kernels);

    // An empty KV cache for this model. It is int16 unless the weights are f32.
    KvCache make_cache() const { return {config_, packed_.size() > 0}; }

    // Computes `count` tokens (at least one) after those in the cache. Returns the logits of the last one,
    // (vocab_size); they are valid until the next call. Cache and tokens together must fit into max_seq_len. When
    // `interrupt` becomes true, the call returns null after the current batch; the cache holds what was computed.
    const float* forward(const TokenId* tokens, std::size_t count, KvCache& cache,
                         const std::atomic<bool>* interrupt = nullptr);

    // The same with the logits of every token. Calls on_logits(first, tokens, logits (tokens, vocab_size)) batch by
    // batch.
    using LogitsCallback = std::function<void(std::size_t first, std::size_t tokens, const float* logits)>;
    void forward_all(const TokenId* tokens, std::size_t count, KvCache& cache, const LogitsCallback& on_logits);

    const ModelConfig& config() const { return config_; }

    // The memory that every decode step reads: all matrices but the rows of the embedding.
    struct ByteRange {
        const std::uint8_t* data;
        std::size_t size;
    };
    std::vector<ByteRange> streamed_weights() const;
    std::size_t weight_bytes() const;  // sum of all streamed weights

private:
    struct MatmulJob {
        const Matrix* matrix;
        float* out;
        std::size_t stride;  // of `out`, from one token to the next
    };

    struct ProjectedKv {  // (T, kv_dim) each
        float* keys;
        float* values;
    };

    void load_weights(const ModelFile& file);
    void pack_weights(const ModelFile& file);
    bool can_use_f14(const Matrix& matrix) const;
    bool pack_f14(const ModelFile& file, const Matrix& matrix, std::uint8_t* out);
    void pack_and_release(const ModelFile& file, const Matrix& matrix, const std::function<void(std::size_t)>& pack);
    void copy_norms();
    void compute_rope(std::size_t token, std::size_t position);
    // Leaves the residual stream of the last `logit_tokens` tokens in residual_.
    void forward_batch(const TokenId* tokens, std::size_t count, KvCache& cache, std::size_t logit_tokens);
    void attention(const LayerWeights& weights, std::size_t layer, std::size_t first, std::size_t count,
                   KvCache& cache);
    void store_kv(const ProjectedKv& projected, std::size_t layer, std::size_t head, std::size_t count, KvCache& cache);
    // Applies rope to one head of a token of the batch.
    void apply_rope(float* head, std::size_t token);
    // The result overwrites the head's queries.
    void attention_head(float* queries, std::size_t layer, std::size_t head, std::size_t first, std::size_t count,
                        KvCache& cache, std::size_t thread);
    void feed_forward(const LayerWeights& weights, std::size_t first, std::size_t count);
    const float* logits(std::size_t first, std::size_t count);
    // Whether a matmul of this many tokens takes quantized input.
    bool quantizes_input(std::size_t count) const { return quantized_ && count <= kernels_.max_quantized_tokens; }
    void reserve_activations(std::size_t count);
    Activations normalize(const float* weight, std::size_t first, std::size_t count);
    Activations quantize_input(const float* values, std::size_t count);
    Activations skip_tokens(const Activations& all, std::size_t first);
    template <std::size_t Count>
    void matmul(const MatmulJob (&products)[Count], const Activations& input, bool add = false);

    ModelConfig config_;
    Weights weights_;
    // For looking up rows: as in the file, or the packed output matrix if the two are tied.
    Matrix embedding_;
    ThreadPool& pool_;
    const Kernels& kernels_;
    bool quantized_;
    PageBuffer packed_;
    std::vector<PageBuffer> f16_matrices_;  // f16 matrices that would lose too much as f14
    // Copies of the norms' weights, so that the pages of the file can be released.
    std::vector<float> norms_;

    std::vector<float> rope_frequencies_;     // (head_dim / 2): theta^(-2i / head_dim)
    std::vector<float> rope_cos_, rope_sin_;  // (T, head_dim / 2)
    std::vector<float> residual_;             // (T, D): the residual stream
    std::vector<float> normed_;               // (T, padded_stride(D)): rmsnorm output, unless it is quantized
    // Queries (T, padded_stride(D)); keys and values (T, kv_dim) each; feed-forward (T, padded_stride(hidden_dim)), or
    // its quantized blocks.
    std::vector<float> scratch_;
    std::vector<float> scores_;                  // (threads, kMaxAttentionTokens, positions)
    std::vector<float> logits_;                  // (T or 1, vocab_size)
    std::vector<ActivationBlock> input_blocks_;  // (T, D / 32)
};

}  // namespace lai
