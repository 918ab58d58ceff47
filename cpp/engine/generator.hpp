#pragma once

#include "engine/kv_cache.hpp"
#include "engine/sampler.hpp"
#include "engine/transformer.hpp"
#include "text/vocabulary.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

namespace lai {

enum class StopReason { eos, assistant_end, tokens, context, interrupted };
const char* stop_reason_name(StopReason stop);

struct GenerationOptions {
    std::size_t max_tokens = 256;
    // When the context is full, the window slides: the first `keep` tokens and the later half of the others stay.
    // Without a value, generation stops.
    std::optional<std::size_t> keep;
    bool stop_at_assistant_end = true;
};

// Throws Error if `keep` leaves no room for new tokens.
void check_keep(const GenerationOptions& options, const ModelConfig& config);

struct Generation {
    std::vector<TokenId> ids;  // without the stop token
    StopReason stop = StopReason::tokens;
    bool has_slid = false;          // whether the window has slid
    std::size_t prompt_tokens = 0;  // tokens of the prefill
    double prefill_seconds = 0;
    double decode_seconds = 0;

    // Tokens per second; 0 if no time was measured.
    double prefill_speed() const {
        return prefill_seconds > 0 ? static_cast<double>(prompt_tokens) / prefill_seconds : 0;
    }
    double decode_speed() const { return decode_seconds > 0 ? static_cast<double>(ids.size()) / decode_seconds : 0; }
};

// A growing sequence of prompts and answers. The model computes at most max_seq_len tokens of it. One more token may
// follow: the token sampled from the last logits.
class Generator {
public:
    Generator(Transformer& transformer, const Vocabulary& vocabulary, Sampler& sampler);

    // Throws Error if a sequence of this many tokens exceeds the context.
    void check_fits(std::size_t tokens) const;
    // Appends tokens to the sequence. Throws Error if they do not fit.
    void append(const std::vector<TokenId>& tokens);
    // Runs the prefill of all pending tokens, then decodes. `emit` receives each token as it is sampled. Stops early
    // when `interrupt` becomes true.
    using Emit = std::function<void(TokenId)>;
    Generation generate(const GenerationOptions& options, const Emit& emit,
                        const std::atomic<bool>* interrupt = nullptr);

    void reset();
    // Replaces the sequence by these tokens and empties the cache.
    void restart(const std::vector<TokenId>& tokens);
    const std::vector<TokenId>& sequence() const { return sequence_; }

private:
    const float* forward_pending(const std::atomic<bool>* interrupt);
    void slide_window(std::size_t keep);

    Transformer& transformer_;
    const Vocabulary& vocabulary_;
    Sampler& sampler_;
    KvCache cache_;
    std::vector<TokenId> sequence_;  // the first cache_.length tokens are in the cache
};

}  // namespace lai
