#pragma once

#include "engine/transformer.hpp"
#include "text/vocabulary.hpp"

#include <cstddef>
#include <string>

namespace lai {

struct Loss {
    double nats = 0;  // summed over all predicted tokens
    std::size_t tokens = 0;
    std::size_t bytes = 0;
    std::size_t documents = 0;

    double per_token() const { return nats / static_cast<double>(tokens); }
    double bits_per_byte() const;
};

// The loss on a text file with one document per line; blank lines are skipped. Each document is <bos> … <eos> and is
// evaluated alone. Every token but <bos> is predicted.
// A document longer than the context is split into windows of max_seq_len tokens. A window does not see the windows
// before it, and every token is predicted once.
// With `fold`, the text is folded as that which the model was trained on (text/folding.hpp).
// Throws Error if the file cannot be read or holds no document.
Loss measure_loss(const std::string& path, const Vocabulary& vocabulary, Transformer& transformer, bool fold);

}  // namespace lai
