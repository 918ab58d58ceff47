#pragma once

#include "model/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace lai {

// Rows in a group of a packed matrix, and positions in a group of a head's keys (see packing.hpp, kv_cache.hpp).
constexpr std::size_t kLanes = 16;
// The largest number of tokens of one matmul.
constexpr std::size_t kMaxBatch = 128;

// 32 quantized activations, value = scale * integer, for matmuls with quantized weights. The integers have 16 bits, so
// their rounding error stays far below that of the weights. Each kernel set lays out `payload` in its own way.
struct ActivationBlock {
    std::int8_t payload[2 * kBlockSize];
    float scale;
    std::int32_t offset;  // -8 times the sum of the integers: corrects for the 8 added to every nibble of q4_0
};

// The input of a matmul, (tokens, width): floats, and quantized blocks if the weights and Kernels take them. The floats
// of a token begin `stride` after those of the previous token; blocks are contiguous.
struct Activations {
    const float* values;
    const ActivationBlock* blocks;
    std::size_t tokens;
    std::size_t width;
    std::size_t stride;
};

// The result of a matmul: element (token, row) at data[token * stride + row - first_row], stored or added.
struct Output {
    float* data;
    std::size_t stride;
    bool add;
    std::size_t first_row = 0;
};

// The keys and values of one head in the layout of kv_cache.hpp: floats, or int16 with one scale per position.
struct HeadCache {
    void* keys;
    void* values;
    float* key_scales;  // null if keys and values are floats
    float* value_scales;
};

// The largest number of tokens that an attention kernel computes at once; each needs scratch memory.
constexpr std::size_t kMaxAttentionTokens = 4;

// The attention of one head for consecutive tokens. The first token sees `positions` positions, each later one sees one
// more.
struct AttentionHead {
    float* queries;      // (tokens, head_dim); the result overwrites them
    std::size_t stride;  // from one token to the next
    std::size_t tokens;
    HeadCache cache;
    std::size_t positions;
    std::size_t head_dim;
    float* scores;             // scratch, (kMaxAttentionTokens, score_stride)
    std::size_t score_stride;  // at least all positions, rounded up to kLanes
    HeadCache next;            // what this thread probably reads next, to prefetch it; or nulls
};

// One implementation of all expensive operations. All implementations give the same results up to rounding.
struct Kernels {
    const char* name;
    // Matmuls of up to this many tokens take quantized activations if the weights are quantized. It is at least 1.
    std::size_t max_quantized_tokens;
    void (*quantize)(const float* values, std::size_t count, ActivationBlock* blocks);
    // out = matrix · input for the rows from begin to end. Matrices other than f32 are packed. `begin` is a multiple of
    // kLanes.
    void (*matmul)(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end,
                   const Output& out);
    // Packs a group of an f16 matrix of the file as f14. The columns must be a multiple of kUnitColumns. Returns false
    // if f14 loses too much. dequantize_f14_row gives one row of a packed matrix as floats. Both are null if the
    // kernels have no f14.
    bool (*pack_f14)(const Matrix& matrix, std::size_t group, std::uint8_t* out);
    void (*dequantize_f14_row)(const Matrix& packed, std::size_t row, float* out);
    // Quantizes to int16, value = scale * integer, and returns the scale. The scale is NaN if a value is not finite.
    float (*quantize_int16)(const float* values, std::size_t count, std::int16_t* integers);
    void (*rmsnorm)(const float* x, const float* weight, std::size_t size, float eps, float* out);
    // Rotates the pairs (i, i + half) of one head.
    void (*rope)(float* head, const float* cos, const float* sin, std::size_t half);
    void (*attention)(const AttentionHead& head);
    // gate = activation(gate) * up
    void (*gated_activation)(Activation activation, float* gate, const float* up, std::size_t size);
    // Reads memory as fast as possible and computes next to nothing. It measures the memory-bandwidth ceiling of a
    // decode step.
    std::int32_t (*stream_read)(const std::uint8_t* data, std::size_t size);
};

// The fastest implementation for this CPU. The environment variable LAI_KERNELS selects another one. Throws Error if
// that name is unknown or the CPU cannot run it.
const Kernels& choose_kernels();

}  // namespace lai
