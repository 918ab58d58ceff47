#include "tools/bench.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace lai {

namespace {

constexpr int kRuns = 5;
constexpr int kPasses = 20;  // over the weights, per run

template <class Work>
double best_seconds(const Work& work) {
    using Clock = std::chrono::steady_clock;
    double best = 0;
    for (int run = 0; run < kRuns; ++run) {
        const double seconds =
            work([](Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); });
        best = run == 0 ? seconds : std::min(best, seconds);
    }
    return best;
}

using Piece = Transformer::ByteRange;

// About the size of a thread's piece of a matmul.
std::vector<Piece> split_ranges(const std::vector<Piece>& ranges) {
    constexpr std::size_t kPieceBytes = std::size_t{1} << 16;
    std::vector<Piece> pieces;
    for (const Piece& range : ranges) {
        for (std::size_t at = 0; at < range.size; at += kPieceBytes) {
            pieces.push_back({range.data + at, std::min(kPieceBytes, range.size - at)});
        }
    }
    return pieces;
}

}  // namespace

std::vector<Speed> measure_speed(Transformer& transformer) {
    using Clock = std::chrono::steady_clock;
    const ModelConfig& config = transformer.config();
    KvCache cache = transformer.make_cache();
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
            transformer.forward(tokens.data(), count, cache);
            return since(start);
        });
        speeds.push_back({"prefill", count, static_cast<double>(count) / seconds});
    }
    const std::size_t prompt = std::min<std::size_t>(128, config.max_seq_len / 2);
    const std::size_t answer = std::min<std::size_t>(128, config.max_seq_len - prompt);
    const double seconds = best_seconds([&](const auto& since) {
        cache.length = 0;
        if (prompt > 0) transformer.forward(tokens.data(), prompt, cache);
        const auto start = Clock::now();
        for (std::size_t i = 0; i < answer; ++i) transformer.forward(tokens.data() + i, 1, cache);
        return since(start);
    });
    speeds.push_back({"decode", answer, static_cast<double>(answer) / seconds});
    return speeds;
}

double measure_bandwidth_ceiling(const Transformer& transformer, ThreadPool& pool, const Kernels& kernels) {
    using Clock = std::chrono::steady_clock;
    const std::vector<Piece> pieces = split_ranges(transformer.streamed_weights());
    std::vector<std::int32_t> sums(pieces.size());
    const double seconds = best_seconds([&](const auto& since) {
        const auto start = Clock::now();
        for (int pass = 0; pass < kPasses; ++pass) {
            pool.parallel_for(pieces.size(), [&](std::size_t piece) {
                sums[piece] = kernels.stream_read(pieces[piece].data, pieces[piece].size);
            });
        }
        return since(start);
    });
    return kPasses / seconds;
}

}  // namespace lai
