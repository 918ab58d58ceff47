#pragma once

#include "kernels/kernels.hpp"
#include "model/model_file.hpp"
#include "host/page_buffer.hpp"

#include <cstddef>

namespace lai {

// Keys and values of the tokens already seen, each head by itself. Values are (position, head_dim). Keys come in groups
// of sixteen positions, (head_dim, 16) each, so that sixteen scores are made at once without sums across a vector.
// Rounded ones are integers of 16 bits with a scale for each position and head: half the memory, and as exact as the
// activations that blocked weights are multiplied with.
class KvCache {
public:
    KvCache(const ModelConfig& config, bool quantized);

    // Makes room for `positions`, at most the model's context; what is stored stays.
    void reserve(std::size_t positions);
    std::size_t capacity() const { return capacity_; }

    // What the model's whole context takes.
    std::size_t max_bytes() const;

    HeadCache head_cache(std::size_t layer, std::size_t head) const { return head_cache_in(buffer_, capacity_, layer * heads_ + head); }
    void store(std::size_t layer, std::size_t head, std::size_t position, const float* key, const float* value, const Kernels& kernels);

    std::size_t length = 0;  // positions filled; setting it lower forgets the later ones

private:
    std::size_t element_bytes() const { return quantized_ ? sizeof(std::int16_t) : sizeof(float); }
    std::size_t position_bytes() const { return 2 * (head_dim_ * element_bytes() + (quantized_ ? sizeof(float) : 0)); }
    HeadCache head_cache_in(const PageBuffer& buffer, std::size_t capacity, std::size_t index) const;

    std::size_t layers_, heads_, head_dim_, max_positions_;
    bool quantized_;
    std::size_t capacity_ = 0;  // a multiple of kLanes
    PageBuffer buffer_;  // one head after the other: keys, values and, if rounded, the scales of both
};

}  // namespace lai
