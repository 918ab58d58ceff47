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

// Chooses the next token. lai/inference/sampling.py follows the same steps, so this is their definition:
//
//  1. Repeat penalty p, where it is not 1: of the last 64 tokens of the sequence (prompt and answer, control tokens and
//     tags included) each distinct token's logit l becomes l / p where l > 0, else l * p. In float32.
//  2. <pad>, <bos> and <unk> are left out.
//  3. Temperature 0: the token with the largest logit, the lowest id of equals. Nothing random is drawn.
//  4. The candidates are the top_k tokens with the largest logits (0: all), in falling order, equals by rising id.
//  5. Candidate i has the weight exp((l_i - l_0) / temperature), in float64.
//  6. Only the shortest beginning of the candidates stays whose weights add up to at least top_p times the sum of all.
//  7. With u drawn from [0, 1): the first candidate at which the running sum of weights is above u times their sum.
//
// u is the upper 53 bits of a splitmix64 number, times 2^-53; its state begins as the seed.
class Sampler {
public:
    Sampler(const SamplerOptions& options, std::uint64_t seed) : options_(options), state_(seed) {}

    // Throws Error where no logit is a number.
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
