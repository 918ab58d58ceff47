#include "bench.hpp"

#include <algorithm>
#include <chrono>

namespace lai {

namespace {

constexpr int kRuns = 5;

template <class Work>
double best_seconds(const Work& work) {
    using Clock = std::chrono::steady_clock;
    double best = 0;
    for (int run = 0; run < kRuns; ++run) {
        const double seconds = work([](Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); });
        best = run == 0 ? seconds : std::min(best, seconds);
    }
    return best;
}

}  // namespace

std::vector<Speed> measure_speed(Transformer& transformer) {
    using Clock = std::chrono::steady_clock;
    const ModelConfig& config = transformer.config();
    KvCache cache(config);
    std::vector<TokenId> tokens(std::min<std::size_t>(512, config.max_seq_len));
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        tokens[i] = static_cast<TokenId>(static_cast<std::size_t>(kFirstByte) + i % (config.vocab_size - 4));
    }
    std::vector<Speed> speeds;
    for (const std::size_t count : {std::size_t{128}, std::size_t{512}}) {
        if (count > config.max_seq_len) continue;
        const double seconds = best_seconds([&](const auto& since) {
            cache.length = 0;
            const auto start = Clock::now();
            transformer.read(tokens.data(), count, cache);
            return since(start);
        });
        speeds.push_back({"read", count, static_cast<double>(count) / seconds});
    }
    const std::size_t prompt = std::min<std::size_t>(128, config.max_seq_len / 2);
    const std::size_t answer = std::min<std::size_t>(128, config.max_seq_len - prompt);
    const double seconds = best_seconds([&](const auto& since) {
        cache.length = 0;
        transformer.read(tokens.data(), prompt, cache);
        const auto start = Clock::now();
        for (std::size_t i = 0; i < answer; ++i) transformer.read(tokens.data() + i, 1, cache);
        return since(start);
    });
    speeds.push_back({"write", answer, static_cast<double>(answer) / seconds});
    return speeds;
}

}  // namespace lai
