#pragma once

#include "host/page_buffer.hpp"
#include "kernels/kernels.hpp"
#include "model/model_file.hpp"

#include <cstddef>

namespace lai {

// The KV cache: keys and values of all tokens seen, head by head. Values are (position, head_dim). Keys lie in groups
// of sixteen positions, (head_dim, 16) each. So sixteen attention scores need no horizontal sum.
// A quantized cache holds int16 with one scale per position and head. It takes half the memory and is as exact as the
// activations that quantized weights are multiplied with.
class KvCache {
public:
    KvCache(const ModelConfig& config, bool quantized);

    // Grows the cache to `positions`, at most the model's context. Stored positions stay.
    void reserve(std::size_t positions);
    std::size_t capacity() const { return capacity_; }

    // Bytes of a cache for the whole context.
    std::size_t max_bytes() const;

    HeadCache head_cache(std::size_t layer, std::size_t head) const {
        return head_cache_in(buffer_, capacity_, layer * heads_ + head);
    }
    void store(std::size_t layer, std::size_t head, std::size_t position, const float* key, const float* value,
               const Kernels& kernels);

    std::size_t length = 0;  // positions filled; a lower value forgets the later ones

private:
    std::size_t element_bytes() const { return quantized_ ? sizeof(std::int16_t) : sizeof(float); }
    std::size_t position_bytes() const { return 2 * (head_dim_ * element_bytes() + (quantized_ ? sizeof(float) : 0)); }
    HeadCache head_cache_in(const PageBuffer& buffer, std::size_t capacity, std::size_t index) const;

    std::size_t layers_, heads_, head_dim_, max_positions_;
    bool quantized_;
    std::size_t capacity_ = 0;  // a multiple of kLanes
    PageBuffer buffer_;         // head after head: keys, values and, if quantized, the scales of both
};

}  // namespace lai
