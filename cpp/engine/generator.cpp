#include "engine/generator.hpp"

#include "host/error.hpp"

#include <chrono>
#include <string>

namespace lai {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

const char* stop_reason_name(StopReason stop) {
    switch (stop) {
        case StopReason::eos: return "eos";
        case StopReason::assistant_end: return "assistant";
        case StopReason::tokens: return "tokens";
        case StopReason::context: return "context";
        case StopReason::interrupted: return "interrupted";
    }
    return "";
}

void check_keep(const GenerationOptions& options, const ModelConfig& config) {
    if (options.keep && *options.keep + 2 > config.max_seq_len) {
        throw Error("--keep is " + std::to_string(*options.keep) + ", expected at least 2 fewer than the context's " +
                    std::to_string(config.max_seq_len) + " tokens");
    }
}

Generator::Generator(Transformer& transformer, const Vocabulary& vocabulary, Sampler& sampler)
    : transformer_(transformer), vocabulary_(vocabulary), sampler_(sampler), cache_(transformer.make_cache()) {}

void Generator::check_fits(std::size_t tokens) const {
    const std::size_t limit = transformer_.config().max_seq_len;
    if (tokens > limit) {
        throw Error("the prompt has " + std::to_string(tokens) + " tokens, the model's context holds " +
                    std::to_string(limit) + "; shorten the prompt");
    }
}

void Generator::append(const std::vector<TokenId>& tokens) {
    check_fits(sequence_.size() + tokens.size());
    sequence_.insert(sequence_.end(), tokens.begin(), tokens.end());
}

void Generator::reset() { restart({}); }

void Generator::restart(const std::vector<TokenId>& tokens) {
    sequence_ = tokens;
    cache_.length = 0;
}

const float* Generator::forward_pending(const std::atomic<bool>* interrupt) {
    const std::size_t done = cache_.length;
    return transformer_.forward(sequence_.data() + done, sequence_.size() - done, cache_, interrupt);
}

// The first `keep` tokens keep their positions and their keys and values.
void Generator::slide_window(std::size_t keep) {
    const std::size_t recent = (sequence_.size() - keep) / 2;
    sequence_.erase(sequence_.begin() + static_cast<std::ptrdiff_t>(keep),
                    sequence_.end() - static_cast<std::ptrdiff_t>(recent));
    cache_.length = keep;
}

Generation Generator::generate(const GenerationOptions& options, const Emit& emit, const std::atomic<bool>* interrupt) {
    const ModelConfig& config = transformer_.config();
    Generation result;
    if (options.max_tokens == 0) return result;
    const Clock::time_point start = Clock::now();
    result.prompt_tokens = sequence_.size() - cache_.length;
    const float* logits = forward_pending(interrupt);
    result.prefill_seconds = seconds_since(start);
    for (;;) {
        if (logits == nullptr) {
            result.stop = StopReason::interrupted;
            break;
        }
        const TokenId id = sampler_.sample(logits, config.vocab_size, sequence_);
        if (id == kEos || (options.stop_at_assistant_end && id == vocabulary_.tags().assistant_end)) {
            result.stop = id == kEos ? StopReason::eos : StopReason::assistant_end;
            break;
        }
        sequence_.push_back(id);
        result.ids.push_back(id);
        emit(id);
        if (result.ids.size() == options.max_tokens) break;
        if (sequence_.size() > config.max_seq_len) {
            if (!options.keep) {
                result.stop = StopReason::context;
                break;
            }
            slide_window(*options.keep);
            result.has_slid = true;
        }
        logits = forward_pending(interrupt);
    }
    result.decode_seconds = seconds_since(start) - result.prefill_seconds;
    return result;
}

}  // namespace lai
