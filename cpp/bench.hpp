#pragma once

#include "report.hpp"
#include "transformer.hpp"

#include <cstddef>
#include <vector>

namespace lai {

struct Speed {
    const char* what;  // "read" (a prompt) or "write" (token by token)
    std::size_t tokens;
    double tokens_per_second;
};

// Reading prompts of 128 and 512 tokens, and writing 128 tokens behind 128; the best of several runs each, as far as
// the model's context reaches.
std::vector<Speed> measure_speed(Transformer& transformer);

}  // namespace lai
