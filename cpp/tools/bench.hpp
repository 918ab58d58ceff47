#pragma once

#include "engine/transformer.hpp"
#include "host/thread_pool.hpp"

#include <cstddef>
#include <vector>

namespace lai {

struct Speed {
    const char* phase;  // "prefill" or "decode"
    std::size_t tokens;
    double tokens_per_second;
};

// Prefill of 128 and of 512 tokens, and decoding of 128 tokens after a prompt of 128, as far as the context reaches.
// Each is the best of several runs.
std::vector<Speed> measure_speed(Transformer& transformer);

// The memory-bandwidth ceiling of decoding: how often per second the threads can read all weights.
double measure_bandwidth_ceiling(const Transformer& transformer, ThreadPool& pool, const Kernels& kernels);

}  // namespace lai
