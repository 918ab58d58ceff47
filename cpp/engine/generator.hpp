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
    // Where the context is full: keep this many tokens from the beginning and the later half of the others, and go on.
    // Without a value, generation stops there.
    std::optional<std::size_t> keep;
    bool stop_at_assistant_end = true;
};

// Throws Error where `keep` leaves no room to go on in.
void check_keep(const GenerationOptions& options, const ModelConfig& config);

struct Generation {
    std::vector<TokenId> ids;  // without the token that stopped it
    StopReason stop = StopReason::tokens;
    std::size_t prompt_tokens = 0;  // read before the first token was chosen
    double prefill_seconds = 0;
    double decode_seconds = 0;

    // Tokens a second; 0 where no time was measured.
    double prefill_speed() const { return prefill_seconds > 0 ? static_cast<double>(prompt_tokens) / prefill_seconds : 0; }
    double decode_speed() const { return decode_seconds > 0 ? static_cast<double>(ids.size()) / decode_seconds : 0; }
};

// A sequence that grows by prompts and by answers to them. The model never reads more than max_seq_len tokens of it; the
// one chosen after the last of them may stand behind them.
class Generator {
public:
    Generator(Transformer& transformer, const Vocabulary& vocabulary, Sampler& sampler);

    // Throws Error where a sequence of so many tokens does not fit into the context.
    void check_fits(std::size_t tokens) const;
    // Puts tokens behind the sequence, which must fit.
    void append(const std::vector<TokenId>& tokens);
    // Lets the model go on behind tokens that it has not read yet; `emit` gets each token as it is chosen. Stops early when `interrupt` becomes true.
    using Emit = std::function<void(TokenId)>;
    Generation generate(const GenerationOptions& options, const Emit& emit, const std::atomic<bool>* interrupt = nullptr);

    void reset();
    // Forgets all but the given tokens.
    void restart(const std::vector<TokenId>& tokens);
    const std::vector<TokenId>& sequence() const { return sequence_; }

private:
    const float* forward_pending(const std::atomic<bool>* interrupt);
    void slide_window(std::size_t keep);

    Transformer& transformer_;
    const Vocabulary& vocabulary_;
    Sampler& sampler_;
    KvCache cache_;
    std::vector<TokenId> sequence_;  // the first cache_.length of them have been read
};

}  // namespace lai
