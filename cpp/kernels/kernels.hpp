#pragma once

#include "model/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace lai {

// Rows of a packed matrix that lie together, and positions of the keys of a head (see packing.hpp, kv_cache.hpp).
constexpr std::size_t kLanes = 16;
// The most tokens a matrix product takes at once.
constexpr std::size_t kMaxBatch = 128;

// 32 activations as integers, value = scale * integer, for products with blocked weights. 16 bits, so that the rounding
// stays far below that of the weights; how they are laid out in `payload` is each kernel set's own affair.
struct ActivationBlock {
    std::int8_t payload[2 * kBlockSize];
    float scale;
    std::int32_t offset;  // -8 times the sum of the integers: makes up for the 8 that is in every nibble of q4_0
};

// The input of a matrix product: (tokens, width), as floats, and as blocks where the weights are and Kernels takes them.
// Floats of the next token begin `stride` further on, blocks follow each other.
struct Activations {
    const float* values;
    const ActivationBlock* blocks;
    std::size_t tokens;
    std::size_t width;
    std::size_t stride;
};

// Where a product's results go: element (token, row) at data[token * stride + row - first_row], stored or added.
struct Output {
    float* data;
    std::size_t stride;
    bool add;
    std::size_t first_row = 0;
};

// The keys and values of one head, laid out as kv_cache.hpp says: floats, or integers of 16 bits and what they are
// multiplied with, one for each position.
struct HeadCache {
    void* keys;
    void* values;
    float* key_scales;  // null where they are floats
    float* value_scales;
};

// Tokens that an attention kernel may take at once, and so need scratch for.
constexpr std::size_t kMaxAttentionTokens = 4;

// One head's attention for some tokens in a row: the first sees `positions` positions, each later one sees one more.
struct AttentionHead {
    float* queries;      // a token's is (head_dim); the result takes its place
    std::size_t stride;  // from one token to the next
    std::size_t tokens;
    HeadCache cache;
    std::size_t positions;
    std::size_t head_dim;
    float* scores;  // scratch, (kAttentionTokens, score_stride)
    std::size_t score_stride;  // all positions, rounded up to kLanes, fit into it
    HeadCache next;            // what the same thread most likely reads after `cache`, or nulls
};

// One implementation of everything that takes time. All of them give the same results but for rounding.
struct Kernels {
    const char* name;
    // Products of up to so many tokens with blocked weights take the activations as blocks; at least those of one token do.
    std::size_t max_quantized_tokens;
    void (*quantize)(const float* values, std::size_t count, ActivationBlock* blocks);
    // out = matrix · input for the rows from begin to end. All matrices but those of f32 are packed, and `begin` is a
    // multiple of kLanes.
    void (*matmul)(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end, const Output& out);
    // Packs a group of a matrix of f16, as it is in the file, as f14, if its columns come in whole kUnitColumns; false where that
    // loses too much. And one row of a matrix packed so, as floats. Null where products do not take f14.
    bool (*pack_f14)(const Matrix& matrix, std::size_t group, std::uint8_t* out);
    void (*dequantize_f14_row)(const Matrix& packed, std::size_t row, float* out);
    // Integers of 16 bits, value = scale * integer; returns the scale, which is not a number where a value is none.
    float (*quantize_int16)(const float* values, std::size_t count, std::int16_t* integers);
    void (*rmsnorm)(const float* x, const float* weight, std::size_t size, float eps, float* out);
    // Turns the pairs (i, i + half) of one head.
    void (*rope)(float* head, const float* cos, const float* sin, std::size_t half);
    void (*attention)(const AttentionHead& head);
    // gate = activation(gate) * up
    void (*gated_activation)(Activation activation, float* gate, const float* up, std::size_t size);
    // Reads memory as fast as can be, and makes next to nothing of it: what any product is measured against.
    std::int32_t (*stream_read)(const std::uint8_t* data, std::size_t size);
};

// The fastest implementation for this machine; the environment variable LAI_KERNELS names another one.
// Throws Error where that name is unknown or this machine cannot run it.
const Kernels& choose_kernels();

}  // namespace lai
