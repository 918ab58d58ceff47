#include "engine/sampler.hpp"

#include "host/error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lai {

namespace {

constexpr std::size_t kPenaltyWindow = 64;
constexpr float kExcluded = -std::numeric_limits<float>::infinity();

}  // namespace

TokenId Sampler::sample(const float* logits, std::size_t size, const std::vector<TokenId>& sequence) {
    logits_.assign(logits, logits + size);
    if (options_.repeat_penalty != 1.0F) apply_repeat_penalty(sequence);
    for (const TokenId id : {kPad, kBos, kUnk}) logits_[static_cast<std::size_t>(id)] = kExcluded;
    const TokenId best = argmax();
    if (!std::isfinite(logits_[static_cast<std::size_t>(best)])) {
        throw Error(kNotANumber);
    }
    if (options_.temperature <= 0) return best;
    select_top_k();
    return sample_top_p();
}

void Sampler::apply_repeat_penalty(const std::vector<TokenId>& sequence) {
    const std::size_t count = std::min(kPenaltyWindow, sequence.size());
    std::vector<TokenId> recent(sequence.end() - static_cast<std::ptrdiff_t>(count), sequence.end());
    std::sort(recent.begin(), recent.end());
    recent.erase(std::unique(recent.begin(), recent.end()), recent.end());
    for (const TokenId id : recent) {
        float& logit = logits_[static_cast<std::size_t>(id)];
        logit = logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
    }
}

// A NaN compares false and is skipped.
TokenId Sampler::argmax() const {
    std::size_t best = 0;
    for (std::size_t id = 1; id < logits_.size(); ++id) {
        if (logits_[id] > logits_[best]) best = id;
    }
    return static_cast<TokenId>(best);
}

void Sampler::select_top_k() {
    const auto ranks_higher = [](const Candidate& a, const Candidate& b) {
        return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
    };
    const bool all = options_.top_k == 0 || options_.top_k >= logits_.size();
    candidates_.clear();
    for (std::size_t id = 0; id < logits_.size(); ++id) {
        const Candidate candidate = {logits_[id], static_cast<TokenId>(id)};
        if (std::isnan(candidate.logit) || candidate.logit == kExcluded) continue;
        if (all || candidates_.size() < options_.top_k) {
            candidates_.push_back(candidate);
            if (!all) std::push_heap(candidates_.begin(), candidates_.end(), ranks_higher);
        } else if (ranks_higher(candidate, candidates_.front())) {
            // The heap's top is the worst of the best so far.
            std::pop_heap(candidates_.begin(), candidates_.end(), ranks_higher);
            candidates_.back() = candidate;
            std::push_heap(candidates_.begin(), candidates_.end(), ranks_higher);
        }
    }
    std::sort(candidates_.begin(), candidates_.end(), ranks_higher);
}

TokenId Sampler::sample_top_p() {
    weights_.clear();
    double total = 0;
    for (const Candidate& candidate : candidates_) {
        const double distance = static_cast<double>(candidate.logit) - static_cast<double>(candidates_.front().logit);
        weights_.push_back(std::exp(distance / static_cast<double>(options_.temperature)));
        total += weights_.back();
    }
    const double threshold = static_cast<double>(options_.top_p) * total;
    double kept = 0;
    std::size_t count = 0;
    while (count < weights_.size() && (count == 0 || kept < threshold)) kept += weights_[count++];
    const double target = uniform() * kept;
    double running = 0;
    for (std::size_t i = 0; i < count; ++i) {
        running += weights_[i];
        if (running > target) return candidates_[i].id;
    }
    return candidates_[count - 1].id;
}

// splitmix64 (Steele, Lea & Flood 2014).
double Sampler::uniform() {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    z ^= z >> 31;
    return static_cast<double>(z >> 11) * 0x1p-53;
}

}  // namespace lai
