#pragma once

#include "kernels/kernels.hpp"
#include "engine/kv_cache.hpp"
#include "model/model_file.hpp"
#include "host/page_buffer.hpp"
#include "host/thread_pool.hpp"

#include <cstddef>
#include <atomic>
#include <functional>
#include <vector>

namespace lai {

// Runs a model as docs/format.md defines it. Shapes in the comments: T tokens of a batch, D dim.
class Transformer {
public:
    // The file must outlive the object. Weights other than f32 are packed; their mapped pages are given back.
    Transformer(const ModelFile& file, ThreadPool& pool, const Kernels& kernels);

    // What this model's tokens are read into; where weights are rounded, so are keys and values, to 16 bits.
    KvCache make_cache() const { return {config_, packed_.size() > 0}; }

    // Reads `count` tokens, at least one, behind those in the cache and returns the logits of the last one (vocab_size), valid until
    // the next call. Together they must fit into max_seq_len. When `interrupt` becomes true, reading ends with the batch
    // and there are no logits; the cache then holds what was read.
    const float* forward(const TokenId* tokens, std::size_t count, KvCache& cache, const std::atomic<bool>* interrupt = nullptr);

    // The same, with the logits of every token: calls take(first, tokens, logits (tokens, vocab_size)) batch by batch.
    using LogitsCallback = std::function<void(std::size_t first, std::size_t tokens, const float* logits)>;
    void forward_all(const TokenId* tokens, std::size_t count, KvCache& cache, const LogitsCallback& on_logits);

    const ModelConfig& config() const { return config_; }

    // Where the weights lie that each token's reading goes through: all matrices but the embedding's rows.
    struct ByteRange {
        const std::uint8_t* data;
        std::size_t size;
    };
    std::vector<ByteRange> streamed_weights() const;
    std::size_t weight_bytes() const;  // of all these together

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
    // Leaves the results of the last `wanted` tokens in x_.
    void forward_batch(const TokenId* tokens, std::size_t count, KvCache& cache, std::size_t logit_tokens);
    void attention(const LayerWeights& weights, std::size_t layer, std::size_t first, std::size_t count, KvCache& cache);
    void store_kv(const ProjectedKv& projected, std::size_t layer, std::size_t head, std::size_t count, KvCache& cache);
    // A head of one of the batch's tokens, turned to its position.
    void apply_rope(float* head, std::size_t token);
    // What the head makes of it takes the place of its queries.
    void attention_head(float* queries, std::size_t layer, std::size_t head, std::size_t first, std::size_t count, KvCache& cache, std::size_t thread);
    void feed_forward(const LayerWeights& weights, std::size_t first, std::size_t count);
    const float* logits(std::size_t first, std::size_t count);
    // Whether products of so many tokens take their input as blocks.
    bool quantizes_input(std::size_t count) const { return quantized_ && count <= kernels_.max_quantized_tokens; }
    void reserve_activations(std::size_t count);
    Activations normalize(const float* weight, std::size_t first, std::size_t count);
    Activations quantize_input(const float* values, std::size_t count);
    Activations skip_tokens(const Activations& all, std::size_t first);
    template <std::size_t Count>
    void matmul(const MatmulJob (&products)[Count], const Activations& input, bool add = false);

    ModelConfig config_;
    Weights weights_;
    Matrix embedding_;  // for looking up rows: as in the file, or the packed output matrix where that is the same
    ThreadPool& pool_;
    const Kernels& kernels_;
    bool quantized_;
    PageBuffer packed_;
    std::vector<PageBuffer> f16_matrices_;  // matrices of f16 that were to be f14, but would have lost too much
    std::vector<float> norms_;  // copies, where nothing but rows of an embedding of its own is read of the file any more

    std::vector<float> rope_frequencies_;            // (head_dim / 2): theta^(-2i / head_dim)
    std::vector<float> rope_cos_, rope_sin_;              // (T, head_dim / 2)
    std::vector<float> residual_;                      // (T, D): the residual stream
    std::vector<float> normed_;                 // (T, stride_of(D)): the same normalised, where no blocks are taken
    // Queries (T, stride_of(D)); keys and values (T, kv_dim) each; (T, stride_of(hidden_dim)) of the feed-forward, or its blocks.
    std::vector<float> scratch_;
    std::vector<float> scores_;                 // (threads, kAttentionTokens, positions)
    std::vector<float> logits_;                 // (T or 1, vocab_size)
    std::vector<ActivationBlock> input_blocks_;       // (T, D / 32)
};

}  // namespace lai
