#pragma once

#include "kernels.hpp"
#include "model_file.hpp"
#include "page_buffer.hpp"

#include <cstddef>

namespace lai {

// Keys and values of the tokens already seen, each head by itself. Values are (position, head_dim). Keys come in groups
// of sixteen positions, (head_dim, 16) each, so that sixteen scores are made at once without sums across a vector.
class KvCache {
public:
    explicit KvCache(const ModelConfig& config);

    // Makes room for `positions`, at most the model's context; what is stored stays.
    void reserve(std::size_t positions);
    std::size_t capacity() const { return capacity_; }


    float* keys(std::size_t layer, std::size_t head) const { return of_head(keys_, layer, head); }
    float* values(std::size_t layer, std::size_t head) const { return of_head(values_, layer, head); }

    void store(std::size_t layer, std::size_t head, std::size_t position, const float* key, const float* value);

    std::size_t length = 0;  // positions filled; setting it lower forgets the later ones

private:
    float* of_head(const PageBuffer& buffer, std::size_t layer, std::size_t head) const {
        return static_cast<float*>(static_cast<void*>(buffer.data())) + (layer * heads_ + head) * capacity_ * head_dim_;
    }

    std::size_t layers_, heads_, head_dim_, limit_;
    std::size_t capacity_ = 0;  // a multiple of kLanes
    PageBuffer keys_, values_;
};

}  // namespace lai
