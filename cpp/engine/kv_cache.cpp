#include "engine/kv_cache.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lai {

namespace {

std::size_t round_up_to_lanes(std::size_t positions) { return (positions + kLanes - 1) / kLanes * kLanes; }

// Stores one position's key in the lanes of its group.
template <class Element>
void scatter_key(const Element* key, std::size_t head_dim, std::size_t position, Element* keys) {
    Element* to = keys + position / kLanes * kLanes * head_dim + position % kLanes;
    for (std::size_t d = 0; d < head_dim; ++d) to[d * kLanes] = key[d];
}

}  // namespace

KvCache::KvCache(const ModelConfig& config, bool quantized)
    : layers_(config.n_layers),
      heads_(config.n_kv_heads),
      head_dim_(config.head_dim()),
      max_positions_(config.max_seq_len),
      quantized_(quantized) {}

std::size_t KvCache::max_bytes() const {
    return layers_ * heads_ * round_up_to_lanes(max_positions_) * position_bytes();
}

HeadCache KvCache::head_cache_in(const PageBuffer& buffer, std::size_t capacity, std::size_t index) const {
    std::uint8_t* keys = buffer.data() + index * capacity * position_bytes();
    std::uint8_t* values = keys + capacity * head_dim_ * element_bytes();
    if (!quantized_) return {keys, values, nullptr, nullptr};
    void* scales = values + capacity * head_dim_ * element_bytes();
    return {keys, values, static_cast<float*>(scales), static_cast<float*>(scales) + capacity};
}

void KvCache::reserve(std::size_t positions) {
    if (positions <= capacity_) return;
    // Doubling keeps the cost of copying proportional to the length of the conversation.
    const std::size_t capacity = round_up_to_lanes(std::min(max_positions_, std::max(positions, 2 * capacity_)));
    const std::size_t all_heads = layers_ * heads_;
    const std::size_t used = round_up_to_lanes(length);
    if (used == 0) {  // frees the old buffer before the new one is allocated
        buffer_ = PageBuffer();
        capacity_ = 0;
    }
    PageBuffer larger(all_heads * capacity * position_bytes());
    for (std::size_t head = 0; used > 0 && head < all_heads; ++head) {
        const HeadCache from = head_cache_in(buffer_, capacity_, head);
        const HeadCache to = head_cache_in(larger, capacity, head);
        std::memcpy(to.keys, from.keys, used * head_dim_ * element_bytes());
        std::memcpy(to.values, from.values, used * head_dim_ * element_bytes());
        if (!quantized_) continue;
        std::copy_n(from.key_scales, used, to.key_scales);
        std::copy_n(from.value_scales, used, to.value_scales);
    }
    buffer_ = std::move(larger);
    capacity_ = capacity;
}

void KvCache::store(std::size_t layer, std::size_t head, std::size_t position, const float* key, const float* value,
                    const Kernels& kernels) {
    const HeadCache to = head_cache(layer, head);
    if (!quantized_) {
        scatter_key(key, head_dim_, position, static_cast<float*>(to.keys));
        std::copy_n(value, head_dim_, static_cast<float*>(to.values) + position * head_dim_);
        return;
    }
    auto* row = static_cast<std::int16_t*>(to.values) + position * head_dim_;
    // The key is quantized in the place of its value, then scattered to its lanes.
    to.key_scales[position] = kernels.quantize_int16(key, head_dim_, row);
    scatter_key(row, head_dim_, position, static_cast<std::int16_t*>(to.keys));
    to.value_scales[position] = kernels.quantize_int16(value, head_dim_, row);
}

}  // namespace lai
