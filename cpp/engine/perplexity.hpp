#pragma once

#include "engine/transformer.hpp"
#include "text/vocabulary.hpp"

#include <cstddef>
#include <string>

namespace lai {

struct Loss {
    double nats = 0;  // of all predicted tokens
    std::size_t tokens = 0;
    std::size_t bytes = 0;
    std::size_t documents = 0;

    double per_token() const { return nats / static_cast<double>(tokens); }
    double bits_per_byte() const;
};

// The loss on a text file, one document a line, empty lines left out. Each document is <bos> … <eos> and is read alone;
// every token but <bos> is predicted. A document longer than the context is read in windows of max_seq_len tokens, one
// behind the other, each without sight of those before it, so that every token is still predicted once.
// Throws Error where the file cannot be read or holds no document.
Loss measure_loss(const std::string& path, const Vocabulary& vocabulary, Transformer& transformer);

}  // namespace lai
