#include "engine/kv_cache.hpp"

#include "check.hpp"
#include "kernels/kernels.hpp"

#include <cmath>
#include <cstdint>
#include <vector>

using namespace lai;

namespace {

constexpr std::size_t kLayers = 2;
constexpr std::size_t kHeads = 3;
constexpr std::size_t kHeadDim = 6;
constexpr std::size_t kContext = 100;
constexpr ModelConfig kConfig = {36, 64, kLayers, 6, kHeads, 300, kContext, 10000.0F, 1e-5F, Activation::silu};

// Numbers that tell layer, head, position and dimension apart.
std::vector<float> numbers(std::size_t layer, std::size_t head, std::size_t position, float sign) {
    std::vector<float> result;
    for (std::size_t d = 0; d < kHeadDim; ++d) {
        result.push_back(sign * static_cast<float>(1000 * layer + 300 * head + 2 * position + d + 1));
    }
    return result;
}

void store_all(KvCache& cache, std::size_t begin, std::size_t end) {
    cache.reserve(end);
    for (std::size_t position = begin; position < end; ++position) {
        for (std::size_t layer = 0; layer < kLayers; ++layer) {
            for (std::size_t head = 0; head < kHeads; ++head) {
                cache.store(layer, head, position, numbers(layer, head, position, 1).data(),
                            numbers(layer, head, position, -1).data(), choose_kernels());
            }
        }
    }
    cache.length = end;
}

// The element of one head in the layout of kv_cache.hpp, as a float.
float element(const void* data, const float* scales, std::size_t index, std::size_t position) {
    if (scales == nullptr) return static_cast<const float*>(data)[index];
    return scales[position] * static_cast<float>(static_cast<const std::int16_t*>(data)[index]);
}

void check_all(const KvCache& cache, std::size_t end, float tolerance) {
    for (std::size_t layer = 0; layer < kLayers; ++layer) {
        for (std::size_t head = 0; head < kHeads; ++head) {
            const HeadCache stored = cache.head_cache(layer, head);
            for (std::size_t position = 0; position < end; ++position) {
                const std::vector<float> key = numbers(layer, head, position, 1);
                const std::vector<float> value = numbers(layer, head, position, -1);
                for (std::size_t d = 0; d < kHeadDim; ++d) {
                    const std::size_t key_index = position / 16 * 16 * kHeadDim + d * 16 + position % 16;
                    const float found_key = element(stored.keys, stored.key_scales, key_index, position);
                    const float found_value =
                        element(stored.values, stored.value_scales, position * kHeadDim + d, position);
                    CHECK(std::abs(found_key - key[d]) <= tolerance * key.back());
                    CHECK(std::abs(found_value - value[d]) <= tolerance * key.back());
                }
            }
        }
    }
}

void keys_and_values_survive_growth(bool quantized) {
    // An int16 is off by half a step of 1 / 32767 of the largest.
    const float tolerance = quantized ? 0.51F / 32767 : 0;
    KvCache cache(kConfig, quantized);
    std::size_t begin = 0;
    for (const std::size_t end : {std::size_t{1}, std::size_t{15}, std::size_t{17}, std::size_t{40}, kContext}) {
        store_all(cache, begin, end);
        CHECK(cache.capacity() >= end && cache.capacity() % 16 == 0);
        check_all(cache, end, tolerance);
        begin = end;
    }
}

void a_shorter_length_forgets_the_later_positions() {
    KvCache cache(kConfig, false);
    store_all(cache, 0, 20);
    cache.length = 0;
    cache.reserve(kContext);  // nothing to copy
    store_all(cache, 0, 3);
    check_all(cache, 3, 0);
}

void a_full_context_takes_the_stated_memory() {
    constexpr std::size_t kPositions = 112;  // 100, rounded up to sixteen
    CHECK(KvCache(kConfig, false).max_bytes() == kLayers * kHeads * kPositions * 2 * kHeadDim * 4);
    CHECK(KvCache(kConfig, true).max_bytes() == kLayers * kHeads * kPositions * 2 * (kHeadDim * 2 + 4));
    CHECK(KvCache(kConfig, true).capacity() == 0);
}

}  // namespace

int main() {
    keys_and_values_survive_growth(false);
    keys_and_values_survive_growth(true);
    a_shorter_length_forgets_the_later_positions();
    a_full_context_takes_the_stated_memory();
}
