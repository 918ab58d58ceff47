#pragma once

#include "host/thread_pool.hpp"
#include "engine/transformer.hpp"

#include <cstddef>
#include <vector>

namespace lai {

struct Speed {
    const char* phase;  // "read" (a prompt) or "write" (token by token)
    std::size_t tokens;
    double tokens_per_second;
};

// Reading prompts of 128 and 512 tokens, and writing 128 tokens behind 128; the best of several runs each, as far as
// the model's context reaches.
std::vector<Speed> measure_speed(Transformer& transformer);

// How often a second the threads can read all weights and do nothing with them: no token can be written in less time.
double measure_bandwidth_ceiling(const Transformer& transformer, ThreadPool& pool, const Kernels& kernels);

}  // namespace lai
