// For every CPU: vectors of four floats, which is SSE2 on x86-64 and NEON on ARM64.

#define LAI_WIDTH 4
#include "kernels/vector.hpp"

namespace lai {
namespace {

constexpr std::size_t kFloatTileTokens = 3;
constexpr std::size_t kQuantizedTileTokens = 1;
constexpr std::size_t kMaxQuantizedTokens = 1;

LAI_INLINE float sum(Vector vector) { return (vector[0] + vector[2]) + (vector[1] + vector[3]); }

// half_to_float (packing.cpp) on four values.
LAI_INLINE Vector load_f16(const void* data) {
    typedef std::uint16_t Halves __attribute__((vector_size(2 * kWidth)));
    Halves halves;
    std::memcpy(&halves, data, sizeof halves);
    const IntVector bits = __builtin_convertvector(halves, IntVector);
    const IntVector magnitude = (bits & 0x7FFF) << 13;
    Vector value;
    std::memcpy(&value, &magnitude, sizeof value);
    value *= 0x1p112F;
    IntVector result;
    std::memcpy(&result, &value, sizeof result);
    result = magnitude < (0x7C00 << 13) ? result : magnitude | 0x7F800000;
    result |= (bits & 0x8000) << 16;
    std::memcpy(&value, &result, sizeof value);
    return value;
}

LAI_INLINE Vector load_as_float(const std::int16_t* data) {
    ShortVector shorts;
    std::memcpy(&shorts, data, sizeof shorts);
    return __builtin_convertvector(__builtin_convertvector(shorts, IntVector), Vector);
}

void quantize_block(const std::int32_t* integers, std::int8_t* payload) {
    std::int16_t shorts[kBlockSize] = {};
    for (std::size_t i = 0; i < kBlockSize; ++i) shorts[i] = static_cast<std::int16_t>(integers[i]);
    std::memcpy(payload, shorts, sizeof shorts);
}

// Four columns of sixteen rows.
LAI_INLINE void add_word(const std::uint8_t* quants, const std::int16_t* x, std::int32_t* sums) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const std::uint8_t* q = quants + 4 * lane;
        sums[lane] += q[0] * x[0] + q[1] * x[1] + q[2] * x[2] + q[3] * x[3];
    }
}

template <DType Type>
void block_sums(const std::uint8_t* quants, const std::int16_t* x, std::int32_t* sums) {
    if constexpr (Type == DType::q8_0) {
        for (std::size_t word = 0; word < 8; ++word) add_word(quants + word * 64, x + 4 * word, sums);
    } else {
        for (std::size_t word = 0; word < 4; ++word) {
            std::uint8_t low[64];
            std::uint8_t high[64];
            for (std::size_t i = 0; i < 64; ++i) {
                low[i] = quants[word * 64 + i] & 15;
                high[i] = quants[word * 64 + i] >> 4;
            }
            add_word(low, x + 4 * word, sums);
            add_word(high, x + 16 + 4 * word, sums);
        }
    }
}

template <DType Type, std::size_t Tokens>
void quantized_tile(const std::uint8_t* group, std::size_t blocks, const ActivationBlock* input,
                    float (&results)[Tokens][kLanes]) {
    static_assert(Tokens == kQuantizedTileTokens);
    // q8_0 adds 128 to every byte: sixteen times the 8 of q4_0.
    constexpr std::int32_t kOffsets = Type == DType::q8_0 ? 16 : 1;
    std::memset(results, 0, sizeof results);
    for (std::size_t block = 0; block < blocks; ++block) {
        const ActivationBlock& x = input[block];
        std::int16_t shorts[kBlockSize];
        std::memcpy(shorts, x.payload, sizeof shorts);
        std::int32_t sums[kLanes];
        for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] = kOffsets * x.offset;
        block_sums<Type>(group + packed_quants_at(Type, block), shorts, sums);
        const std::uint8_t* scales = group + packed_scales_at(Type, block);
        for (std::size_t lane = 0; lane < kLanes; lane += kWidth) {
            float products[kWidth];
            store(products, load_f16(scales + 2 * lane) * x.scale);
            for (std::size_t i = 0; i < kWidth; ++i) {
                results[0][lane + i] += static_cast<float>(sums[lane + i]) * products[i];
            }
        }
    }
}

}  // namespace
}  // namespace lai

#include "kernels/operations.hpp"

namespace lai {
extern const Kernels kPortableKernels;
const Kernels kPortableKernels = {"portable",       kMaxQuantizedTokens, quantize, matmul, nullptr,
                                  nullptr,          quantize_int16,      rmsnorm,  rope,   attention,
                                  gated_activation, stream_read};
}  // namespace lai
