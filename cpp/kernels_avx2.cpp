// AVX2, FMA and F16C (Haswell, Zen and later).

#define LAI_WIDTH 8
#include "kernels_vector.hpp"

#include <immintrin.h>

namespace lai {
namespace {

constexpr std::size_t kTileRows = 4;
constexpr std::size_t kTileTokens = 2;
constexpr std::size_t kHalvesTokens = 4;
constexpr std::size_t kPackedTokens = 2;

LAI_INLINE float sum(Vector vector) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(vector), _mm256_extractf128_ps(vector, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

LAI_INLINE Vector load_halves(const void* halves) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(halves)));
}

void quantize_block(const std::int32_t* integers, std::int8_t* payload) {
    std::int16_t shorts[kBlock] = {};
    for (std::size_t i = 0; i < kBlock; ++i) shorts[i] = static_cast<std::int16_t>(integers[i]);
    std::memcpy(payload, shorts, sizeof shorts);
}

// Adds four columns of four rows: each row's products in two neighbouring lanes.
LAI_INLINE __m256i add_rows(__m256i sums, __m128i quants, __m256i x) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_cvtepu8_epi16(quants), x));
}

template <DType Type>
LAI_INLINE void block_sums(const std::uint8_t* quants, const std::int8_t* payload, __m256i (&sums)[4]) {
    constexpr std::size_t kWords = packed_words(Type);
    const __m128i nibble = _mm_set1_epi8(15);
    LAI_UNROLL for (std::size_t word = 0; word < kWords; ++word) {
        std::int64_t four;
        std::memcpy(&four, payload + 8 * word, sizeof four);
        const __m256i x = _mm256_set1_epi64x(four);
        std::memcpy(&four, payload + 32 + 8 * (word & 3), sizeof four);
        const __m256i upper = _mm256_set1_epi64x(four);
        LAI_UNROLL for (std::size_t rows = 0; rows < 4; ++rows) {
            const __m128i bytes = _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(quants + word * 64 + rows * 16)));
            if constexpr (Type == DType::q8_0) {
                sums[rows] = add_rows(sums[rows], bytes, x);
            } else {
                sums[rows] = add_rows(sums[rows], _mm_and_si128(bytes, nibble), x);
                sums[rows] = add_rows(sums[rows], _mm_and_si128(_mm_srli_epi16(bytes, 4), nibble), upper);
            }
        }
    }
}

// The totals of eight rows, from two vectors of four rows with two lanes each.
LAI_INLINE __m256i join_rows(__m256i first, __m256i second) {
    return _mm256_permute4x64_epi64(_mm256_hadd_epi32(first, second), 0xD8);
}

template <DType Type, std::size_t Tokens>
LAI_INLINE void packed_tile(const std::uint8_t* group, std::size_t blocks, const ActivationBlock* input,
                            float (&results)[Tokens][kLanes]) {
    // q8_0 has 128 in every byte, sixteen times the 8 of q4_0.
    constexpr std::int32_t kOffsets = Type == DType::q8_0 ? 16 : 1;
    __m256 totals[Tokens][2];
    LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) totals[t][0] = totals[t][1] = _mm256_setzero_ps();
    for (std::size_t block = 0; block < blocks; ++block) {
        const std::uint8_t* halves = group + packed_scales_at(Type, block);
        const std::uint8_t* quants = group + packed_quants_at(Type, block);
        const __m256 scales[2] = {load_halves(halves), load_halves(halves + 16)};
        LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
            const ActivationBlock& x = input[t * blocks + block];
            __m256i sums[4] = {};
            block_sums<Type>(quants, x.payload, sums);
            const __m256i offset = _mm256_set1_epi32(kOffsets * x.offset);
            LAI_UNROLL for (std::size_t half = 0; half < 2; ++half) {
                const __m256i rows = _mm256_add_epi32(join_rows(sums[2 * half], sums[2 * half + 1]), offset);
                const __m256 scale = _mm256_mul_ps(scales[half], _mm256_set1_ps(x.scale));
                totals[t][half] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(rows), scale, totals[t][half]);
            }
        }
    }
    LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
        _mm256_storeu_ps(results[t], totals[t][0]);
        _mm256_storeu_ps(results[t] + 8, totals[t][1]);
    }
}

}  // namespace
}  // namespace lai

#include "kernels_body.hpp"

namespace lai {
extern const Kernels kAvx2Kernels;
const Kernels kAvx2Kernels = {"avx2", quantize, multiply, rms_norm, rotate, attend, activate, touch};
}  // namespace lai
