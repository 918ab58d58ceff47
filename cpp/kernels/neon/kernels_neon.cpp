// ARM64 with the dot product instructions (ARMv8.2 and later). Floats use the portable kernels' code, which is NEON
// there.

#define LAI_WIDTH 4
#include "kernels/vector.hpp"

#include <arm_neon.h>

namespace lai {
namespace {

constexpr std::size_t kFloatTileTokens = 4;
constexpr std::size_t kQuantizedTileTokens = 2;
constexpr std::size_t kMaxQuantizedTokens = kMaxBatch;

LAI_INLINE float sum(Vector vector) { return vaddvq_f32(vector); }

LAI_INLINE Vector load_f16(const void* data) {
    std::uint16_t halves[kWidth];
    std::memcpy(halves, data, sizeof halves);
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(halves)));
}

LAI_INLINE Vector load_as_float(const std::int16_t* shorts) { return vcvtq_f32_s32(vmovl_s16(vld1_s16(shorts))); }

// Layout: the high bytes, then the low bytes; value = 256 * high + low, both signed.
void quantize_block(const std::int32_t* integers, std::int8_t* payload) {
    for (std::size_t i = 0; i < kBlockSize; ++i) {
        const std::int32_t high = (integers[i] + 128) >> 8;
        payload[i] = static_cast<std::int8_t>(high);
        payload[kBlockSize + i] = static_cast<std::int8_t>(integers[i] - high * 256);
    }
}

// Four columns of four rows, for the high and the low bytes. The offset of the quants is removed here, because the
// instruction multiplies signed bytes.
LAI_INLINE void add_rows(uint8x16_t quants, const std::int8_t* x, int32x4_t& high, int32x4_t& low) {
    const int8x16_t signed_quants = vreinterpretq_s8_u8(quants);
    std::int32_t word;
    std::memcpy(&word, x, sizeof word);
    high = vdotq_s32(high, signed_quants, vreinterpretq_s8_s32(vdupq_n_s32(word)));
    std::memcpy(&word, x + kBlockSize, sizeof word);
    low = vdotq_s32(low, signed_quants, vreinterpretq_s8_s32(vdupq_n_s32(word)));
}

// The sums of four rows of the group.
template <DType Type>
LAI_INLINE int32x4_t row_sums(const std::uint8_t* quants, const ActivationBlock& x) {
    constexpr std::size_t kWords = packed_words(Type);
    int32x4_t high = vdupq_n_s32(0);
    int32x4_t low = vdupq_n_s32(Type == DType::q8_0 ? 0 : x.offset);
    LAI_UNROLL for (std::size_t word = 0; word < kWords; ++word) {
        const uint8x16_t bytes = vld1q_u8(quants + 64 * word);
        if constexpr (Type == DType::q8_0) {
            add_rows(veorq_u8(bytes, vdupq_n_u8(0x80)), x.payload + 4 * word, high, low);
        } else {
            add_rows(vandq_u8(bytes, vdupq_n_u8(15)), x.payload + 4 * word, high, low);
            add_rows(vshrq_n_u8(bytes, 4), x.payload + 16 + 4 * word, high, low);
        }
    }
    return vaddq_s32(vshlq_n_s32(high, 8), low);
}

template <DType Type, std::size_t Tokens>
LAI_INLINE void quantized_tile(const std::uint8_t* group, std::size_t blocks, const ActivationBlock* input,
                               float (&results)[Tokens][kLanes]) {
    Vector totals[Tokens][4] = {};
    for (std::size_t block = 0; block < blocks; ++block) {
        const std::uint8_t* halves = group + packed_scales_at(Type, block);
        const std::uint8_t* quants = group + packed_quants_at(Type, block);
        LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
            const ActivationBlock& x = input[t * blocks + block];
            LAI_UNROLL for (std::size_t rows = 0; rows < 4; ++rows) {
                const int32x4_t sums = row_sums<Type>(quants + 16 * rows, x);
                totals[t][rows] += vcvtq_f32_s32(sums) * (load_f16(halves + 8 * rows) * x.scale);
            }
        }
    }
    LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
        LAI_UNROLL for (std::size_t rows = 0; rows < 4; ++rows) store(results[t] + 4 * rows, totals[t][rows]);
    }
}

}  // namespace
}  // namespace lai

#include "kernels/operations.hpp"

namespace lai {
extern const Kernels kNeonKernels;
const Kernels kNeonKernels = {"neon",           kMaxQuantizedTokens, quantize, matmul, nullptr,
                              nullptr,          quantize_int16,      rmsnorm,  rope,   attention,
                              gated_activation, stream_read};
}  // namespace lai
