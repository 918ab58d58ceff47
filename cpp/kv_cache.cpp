#include "kv_cache.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lai {

KvCache::KvCache(const ModelConfig& config)
    : layers_(config.n_layers), heads_(config.n_kv_heads), head_dim_(config.head_dim()), limit_(config.max_seq_len) {}

void KvCache::reserve(std::size_t positions) {
    if (positions <= capacity_) return;
    // Doubling keeps the copying of a growing conversation in proportion to its length.
    const std::size_t wanted = std::min(limit_, std::max(positions, 2 * capacity_));
    const std::size_t capacity = (wanted + kLanes - 1) / kLanes * kLanes;
    const std::size_t all_heads = layers_ * heads_;
    const std::size_t old_size = capacity_ * head_dim_ * sizeof(float);
    const std::size_t new_size = capacity * head_dim_ * sizeof(float);
    const std::size_t used = (length + kLanes - 1) / kLanes * kLanes * head_dim_ * sizeof(float);
    for (PageBuffer* buffer : {&keys_, &values_}) {
        if (used == 0) *buffer = PageBuffer();  // not the old and the new one at once
        PageBuffer larger(all_heads * new_size);
        for (std::size_t head = 0; used > 0 && head < all_heads; ++head) {
            std::memcpy(larger.data() + head * new_size, buffer->data() + head * old_size, used);
        }
        *buffer = std::move(larger);
    }
    capacity_ = capacity;
}

void KvCache::store(std::size_t layer, std::size_t head, std::size_t position, const float* key, const float* value) {
    float* group = keys(layer, head) + position / kLanes * kLanes * head_dim_;
    for (std::size_t d = 0; d < head_dim_; ++d) group[d * kLanes + position % kLanes] = key[d];
    std::copy_n(value, head_dim_, values(layer, head) + position * head_dim_);
}

}  // namespace lai
