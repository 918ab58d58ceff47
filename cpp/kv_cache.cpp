#include "kv_cache.hpp"

#include <algorithm>

namespace lai {

KvCache::KvCache(const ModelConfig& config)
    : layers_(config.n_layers), heads_(config.n_kv_heads), head_dim_(config.head_dim()), limit_(config.max_seq_len) {}

void KvCache::reserve(std::size_t positions) {
    if (positions <= capacity_) return;
    // Doubling keeps the copying of a growing conversation in proportion to its length.
    const std::size_t wanted = std::min(limit_, std::max(positions, 2 * capacity_));
    const std::size_t capacity = (wanted + kLanes - 1) / kLanes * kLanes;
    const std::size_t all_heads = layers_ * heads_;
    std::vector<float> keys(all_heads * capacity * head_dim_);
    std::vector<float> values(all_heads * capacity * head_dim_);
    const auto old_size = static_cast<std::ptrdiff_t>(capacity_ * head_dim_);
    const auto new_size = static_cast<std::ptrdiff_t>(capacity * head_dim_);
    for (std::ptrdiff_t head = 0; head < static_cast<std::ptrdiff_t>(all_heads); ++head) {
        std::copy_n(keys_.begin() + head * old_size, old_size, keys.begin() + head * new_size);
        std::copy_n(values_.begin() + head * old_size, old_size, values.begin() + head * new_size);
    }
    keys_.swap(keys);
    values_.swap(values);
    capacity_ = capacity;
}

void KvCache::store(std::size_t layer, std::size_t head, std::size_t position, const float* key, const float* value) {
    float* group = keys(layer, head) + position / kLanes * kLanes * head_dim_;
    for (std::size_t d = 0; d < head_dim_; ++d) group[d * kLanes + position % kLanes] = key[d];
    std::copy_n(value, head_dim_, values(layer, head) + position * head_dim_);
}

}  // namespace lai
