// AVX2, FMA and F16C (Haswell, Zen and later).

#define LAI_WIDTH 8
#include "kernels/vector.hpp"

#include <immintrin.h>

namespace lai {
namespace {

constexpr std::size_t kFloatTileTokens = 6;
constexpr std::size_t kQuantizedTileTokens = 1;
constexpr std::size_t kMaxQuantizedTokens = 4;

LAI_INLINE float sum(Vector vector) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(vector), _mm256_extractf128_ps(vector, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

LAI_INLINE Vector load_f16(const void* halves) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(halves)));
}

LAI_INLINE Vector load_as_float(const std::int16_t* shorts) {
    const void* from = shorts;
    return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(from))));
}

// Layout: words of four columns as int16, the even words first, then the odd ones.
LAI_INLINE void quantize_block(const std::int32_t* integers, std::int8_t* payload) {
    const auto four_by_four = [&](std::size_t column) {
        const void* from = integers + column;
        return _mm256_shuffle_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(from)), 0xD8);
    };
    LAI_UNROLL for (std::size_t column = 0; column < kBlockSize; column += 2 * kWidth) {
        // The pack instruction works within 128-bit lanes, so the quarters are put in order.
        const __m256i packed = _mm256_packs_epi32(four_by_four(column), four_by_four(column + kWidth));
        void* to = payload + 2 * column;
        _mm256_storeu_si256(static_cast<__m256i*>(to), _mm256_permute4x64_epi64(packed, 0xD8));
    }
}

LAI_INLINE __m256i broadcast_two_columns(const std::int8_t* shorts) {
    std::int32_t word;
    std::memcpy(&word, shorts, sizeof word);
    return _mm256_set1_epi32(word);
}

// Adds two columns of eight rows.
LAI_INLINE void add_column_products(__m256i& sums, __m256i quants, __m256i x) {
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(quants, x));
    // The compiler takes the sums for changed here, so it cannot postpone the additions: it lacks the registers for
    // that.
    __asm__("" : "+x"(sums));
}

// Adds one block of sixteen rows.
template <DType Type>
LAI_INLINE void add_block(const std::uint8_t* quants, const std::int8_t* payload, __m256i (&sums)[2]) {
    const __m256i mask = _mm256_set1_epi16(Type == DType::q8_0 ? 255 : 15);
    for (std::size_t word = 0; word < packed_words(Type); ++word) {
        prefetch_ahead(quants + kWordBytes * word);
        const __m256i even = broadcast_two_columns(payload + 8 * word);
        const __m256i odd = broadcast_two_columns(payload + 8 * word + 4);
        LAI_UNROLL for (std::size_t half = 0; half < 2; ++half) {
            const std::uint8_t* from = quants + kWordBytes * word + 32 * half;
            const __m256i bytes = _mm256_loadu_si256(static_cast<const __m256i*>(static_cast<const void*>(from)));
            add_column_products(sums[half], _mm256_and_si256(bytes, mask), even);
            if constexpr (Type == DType::q8_0) {
                add_column_products(sums[half], _mm256_srli_epi16(bytes, 8), odd);
            } else {
                add_column_products(sums[half], _mm256_and_si256(_mm256_srli_epi16(bytes, 8), mask), odd);
                add_column_products(sums[half], _mm256_and_si256(_mm256_srli_epi16(bytes, 4), mask),
                                    broadcast_two_columns(payload + 8 * word + 32));
                add_column_products(sums[half], _mm256_srli_epi16(bytes, 12),
                                    broadcast_two_columns(payload + 8 * word + 36));
            }
        }
    }
}

template <DType Type, std::size_t Tokens>
LAI_INLINE void quantized_tile(const std::uint8_t* group, std::size_t blocks, const ActivationBlock* input,
                               float (&results)[Tokens][kLanes]) {
    static_assert(Tokens == kQuantizedTileTokens);
    // q8_0 adds 128 to every byte: sixteen times the 8 of q4_0.
    constexpr std::int32_t kOffsets = Type == DType::q8_0 ? 16 : 1;
    Vector totals[2] = {};
    for (std::size_t block = 0; block < blocks; ++block) {
        const ActivationBlock& x = input[block];
        const __m256i offset = _mm256_set1_epi32(kOffsets * x.offset);
        __m256i sums[2] = {offset, offset};
        add_block<Type>(group + packed_quants_at(Type, block), x.payload, sums);
        const std::uint8_t* scales = group + packed_scales_at(Type, block);
        LAI_UNROLL for (std::size_t half = 0; half < 2; ++half) {
            totals[half] += _mm256_cvtepi32_ps(sums[half]) * (load_f16(scales + 16 * half) * x.scale);
        }
    }
    LAI_UNROLL for (std::size_t half = 0; half < 2; ++half) store(results[0] + kWidth * half, totals[half]);
}

}  // namespace
}  // namespace lai

#include "kernels/operations.hpp"

namespace lai {
extern const Kernels kAvx2Kernels;
const Kernels kAvx2Kernels = {"avx2",           kMaxQuantizedTokens, quantize, matmul, nullptr,
                              nullptr,          quantize_int16,      rmsnorm,  rope,   attention,
                              gated_activation, stream_read};
}  // namespace lai
