#pragma once

// Reads memory as fast as the CPU can: the memory-bandwidth ceiling.

#include "kernels/vector.hpp"

namespace lai {
namespace {

template <bool NonTemporal = false>
std::int32_t stream_read(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t kSums = 8;
    IntVector sums[kSums] = {};
    for (std::size_t at = 0; at + sizeof sums <= size; at += sizeof sums) {
        LAI_UNROLL for (std::size_t i = 0; i < kSums; ++i) {
            IntVector words;
            std::memcpy(&words, data + at + i * sizeof words, sizeof words);
            prefetch_ahead<NonTemporal>(data + at + i * sizeof words);
            sums[i] ^= words;
        }
    }
    for (std::size_t i = 1; i < kSums; ++i) sums[0] ^= sums[i];
    return sums[0][0];
}

}  // namespace
}  // namespace lai
