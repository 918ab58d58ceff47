#pragma once

#include "text/vocabulary.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lai {

struct SamplerOptions {
    float temperature = 0.7F;
    std::size_t top_k = 40;
    float top_p = 0.9F;
    float repeat_penalty = 1.1F;
};

// Samples the next token. This is the definition; lai/inference/sampling.py follows the same steps:
//
//  1. Repeat penalty p, unless it is 1: each distinct token among the last 64 of the sequence gets a new logit.
//     l becomes l / p if l > 0, else l * p, in float32. Prompt, answer, control tokens and tags all count.
//  2. <pad>, <bos> and <unk> are excluded.
//  3. Temperature 0: the token with the largest logit wins; the lowest id among equals. No random number is drawn.
//  4. The candidates are the top_k tokens with the largest logits (0: all). Sorted by falling logit, then by id.
//  5. Candidate i has the weight exp((l_i - l_0) / temperature), in float64.
//  6. Only the first candidates stay: as few as reach at least top_p times the sum of all weights.
//  7. With u drawn from [0, 1): the first candidate at which the running sum of weights exceeds u times their sum.
//
// u is the upper 53 bits of a splitmix64 number, times 2^-53. The generator's first state is the seed.
class Sampler {
public:
    Sampler(const SamplerOptions& options, std::uint64_t seed) : options_(options), state_(seed) {}

    // Throws Error if the largest logit is not finite.
    TokenId sample(const float* logits, std::size_t size, const std::vector<TokenId>& sequence);

    SamplerOptions& options() { return options_; }

private:
    struct Candidate {
        float logit;
        TokenId id;
    };

    void apply_repeat_penalty(const std::vector<TokenId>& sequence);
    TokenId argmax() const;
    void select_top_k();
    TokenId sample_top_p();
    double uniform();

    SamplerOptions options_;
    std::uint64_t state_;
    std::vector<float> logits_;
    std::vector<Candidate> candidates_;
    std::vector<double> weights_;
};

}  // namespace lai
