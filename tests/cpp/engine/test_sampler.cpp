#include "check.hpp"
#include "engine/sampler.hpp"
#include "host/error.hpp"

#include <cmath>
#include <limits>

using namespace lai;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TokenId next(const SamplerOptions& options, const std::vector<float>& logits, const std::vector<TokenId>& sequence = {},
             std::uint64_t seed = 1) {
    return Sampler(options, seed).sample(logits.data(), logits.size(), sequence);
}

// The frequency of each token among many samples.
std::vector<double> shares(const SamplerOptions& options, const std::vector<float>& logits) {
    constexpr int kDraws = 40000;
    Sampler sampler(options, 42);
    std::vector<double> share(logits.size());
    for (int i = 0; i < kDraws; ++i) {
        share[static_cast<std::size_t>(sampler.sample(logits.data(), logits.size(), {}))] += 1.0 / kDraws;
    }
    return share;
}

bool close(double a, double b) { return std::abs(a - b) < 0.015; }

void greedy_sampling_takes_the_largest_logit() {
    const SamplerOptions greedy = {0, 40, 0.9F, 1.5F};
    CHECK(next(greedy, {9, 9, 1, 9, 3, 3, 2}) == 4);  // control tokens are excluded; the lowest id among equals
    CHECK(next(greedy, {0, 0, 5, 0, 3}) == kEos);
    CHECK(next(greedy, {0, 0, 0, 0, 3, 2.5F}, {4}) == 5);           // 3 / 1.5 = 2
    CHECK(next(greedy, {0, 0, -9, 0, -2, -2.5F}, {4, 4, 4}) == 5);  // -2 * 1.5 = -3, once
    std::vector<TokenId> old(65, 5);
    old[0] = 4;  // the 65th token from the end does not count
    CHECK(next(greedy, {0, 0, 0, 0, 3, 3.5F}, old) == 4);
    CHECK(next(greedy, {0, 0, 0, 0, kNan, 3.5F, kNan}) == 5);
    for (const float temperature : {0.0F, 1.0F}) {
        bool refused = false;
        try {
            next({temperature, 40, 0.9F, 1}, {kNan, kNan, kNan, kNan, kNan});
        } catch (const Error&) {
            refused = true;
        }
        CHECK(refused);
    }
}

void tokens_are_sampled_by_their_probabilities() {
    const float low = -1e30F;
    const std::vector<float> logits = {0, 0, low, 0, std::log(0.5F), std::log(0.25F), std::log(0.15F), std::log(0.1F)};
    const std::vector<double> all = shares({1, 0, 1, 1}, logits);
    CHECK(close(all[4], 0.5) && close(all[5], 0.25) && close(all[6], 0.15) && close(all[7], 0.1));
    const std::vector<double> best = shares({1, 2, 1, 1}, logits);
    CHECK(close(best[4], 2.0 / 3) && close(best[5], 1.0 / 3) && best[6] == 0);
    const std::vector<double> nucleus = shares({1, 0, 0.8F, 1}, logits);
    CHECK(close(nucleus[4], 0.5 / 0.9) && close(nucleus[6], 0.15 / 0.9) && nucleus[7] == 0);
    const std::vector<double> sharp = shares({0.5F, 0, 1, 1}, logits);
    const double total = 0.25 + 0.0625 + 0.0225 + 0.01;
    CHECK(close(sharp[4], 0.25 / total) && close(sharp[5], 0.0625 / total));
    CHECK(shares({1, 0, 0, 1}, logits)[5] == 0);
    CHECK(next({1, 3, 1, 1}, logits, {}, 9) == next({1, 3, 1, 1}, logits, {}, 9));
}

// The first numbers of splitmix64 with state 0, from its reference implementation, determine the sample.
void random_numbers_are_those_of_splitmix64() {
    const double first = static_cast<double>(0xE220A8397B1DCDAFU >> 11) * 0x1p-53;
    const std::vector<float> even(4 + 1000, 0.0F);
    const TokenId id = next({1, 0, 1, 1}, even, {}, 0);
    // 1001 candidates of equal weight: <eos> (2) and 4 to 1003.
    const auto place = static_cast<TokenId>(first * 1001);
    CHECK(id == (place == 0 ? kEos : place + 3));
}

}  // namespace

int main() {
    greedy_sampling_takes_the_largest_logit();
    tokens_are_sampled_by_their_probabilities();
    random_numbers_are_those_of_splitmix64();
}
