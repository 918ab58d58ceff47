#pragma once

#include "host/mapped_file.hpp"
#include "host/thread_pool.hpp"
#include "model/tensor.hpp"
#include "text/vocabulary.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lai {

struct ModelConfig {
    std::size_t dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, max_seq_len;
    float rope_theta, norm_eps;
    Activation activation;

    std::size_t head_dim() const { return dim / n_heads; }
    std::size_t kv_dim() const { return head_dim() * n_kv_heads; }
};

struct LayerWeights {
    Matrix wq, wk, wv, wo;        // (dim, dim), (kv_dim, dim), (kv_dim, dim), (dim, dim)
    Matrix w_gate, w_up, w_down;  // (hidden_dim, dim) twice, (dim, hidden_dim)
    const float* attn_norm;       // (dim)
    const float* ffn_norm;        // (dim)
};

struct Weights {
    Matrix token_embed;       // (vocab_size, dim)
    Matrix output;            // (vocab_size, dim)
    const float* final_norm;  // (dim)
    std::vector<LayerWeights> layers;
};

// How the weights were trained. 0 if the file does not tell, or holds an impossible value.
struct TrainingRecord {
    std::uint64_t steps, tokens;
    float val_loss, val_loss_floor;  // nats per token
    std::uint32_t turns;             // user turns of the longest conversations in the training text
};

enum class Checksum { correct, unknown, not_checked };

// A model file (docs/format.md), version 1 or 2: memory-mapped, with every field checked. The weights stay where they
// lie in the file.
class ModelFile {
public:
    // Only the checksum needs `pool`.
    ModelFile(const std::string& path, bool verify, ThreadPool& pool);

    const std::string& path() const { return path_; }
    const ModelConfig& config() const { return config_; }
    const Vocabulary& vocabulary() const { return *vocabulary_; }
    const Weights& weights() const { return weights_; }
    const MappedFile& file() const { return file_; }
    std::uint32_t version() const { return version_; }
    DType dtype() const { return dtype_; }
    Checksum checksum() const { return checksum_; }
    const TrainingRecord& training() const { return training_; }
    // What the run has recorded of itself, as JSON; empty if the file does not tell. Its content is not checked.
    std::string_view manifest() const { return manifest_; }
    // Whether what a person types is folded (text/folding.hpp): always, unless the training text was not.
    bool folds_prompts() const { return folds_prompts_; }

    // Whether output and embedding are one tensor, also if version 1 wrote it twice.
    bool is_tied() const;
    // A tied tensor counts once.
    std::size_t parameter_count() const;

private:
    void read_header();
    void read_training();
    void check_config() const;
    void check_flags(std::uint32_t flags) const;
    void check_size(std::uint64_t file_size) const;
    void check_crc32(std::uint32_t stored, ThreadPool& pool);
    void read_vocabulary(std::uint64_t vocab_offset, std::uint64_t weights_offset);
    void read_manifest(std::uint64_t offset, std::uint32_t size);
    void locate_weights();
    [[noreturn]] void fail(const std::string& what) const;

    std::string path_;
    MappedFile file_;
    ModelConfig config_{};
    std::uint32_t version_ = 0;
    DType dtype_ = DType::f32;
    bool tied_ = false;
    bool folds_prompts_ = true;
    Checksum checksum_ = Checksum::unknown;
    TrainingRecord training_{};
    std::string_view manifest_;
    std::size_t weights_offset_ = 0;
    std::unique_ptr<Vocabulary> vocabulary_;
    Weights weights_;
};

}  // namespace lai
