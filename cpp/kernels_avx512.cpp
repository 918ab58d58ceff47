// AVX-512 with F, BW, DQ, VL and VNNI (Ice Lake, Zen 4 and later); and the same with f14, for Zen 4 and later.

#define LAI_WIDTH 16
#include "kernels_vector.hpp"

#include <immintrin.h>

namespace lai {
namespace {

constexpr std::size_t kPanelTokens = 16;
constexpr std::size_t kPackedTokens = 8;
constexpr std::size_t kBlockTokens = kMaxBatch;

LAI_INLINE float sum(Vector vector) { return _mm512_reduce_add_ps(vector); }

LAI_INLINE Vector load_halves(const void* halves) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(halves)));
}

LAI_INLINE Vector load_numbers(const std::int16_t* shorts) {
    const void* from = shorts;
    return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(from))));
}

// The high and the low bytes of the integers: value = 256 * high + low, both signed.
void quantize_block(const std::int32_t* integers, std::int8_t* payload) {
    for (std::size_t i = 0; i < kBlock; ++i) {
        const std::int32_t high = (integers[i] + 128) >> 8;
        payload[i] = static_cast<std::int8_t>(high);
        payload[kBlock + i] = static_cast<std::int8_t>(integers[i] - high * 256);
    }
}

// Eight vectors of unsigned quants: vector w holds columns 4w to 4w+3 of the sixteen rows.
template <DType Type>
LAI_INLINE void load_quants(const std::uint8_t* quants, __m512i (&w)[8]) {
    if constexpr (Type == DType::q8_0) {
        LAI_UNROLL for (std::size_t i = 0; i < 8; ++i) w[i] = _mm512_loadu_si512(quants + 64 * i);
    } else {
        const __m512i nibble = _mm512_set1_epi8(15);
        LAI_UNROLL for (std::size_t i = 0; i < 4; ++i) {
            const __m512i both = _mm512_loadu_si512(quants + 64 * i);
            w[i] = _mm512_and_si512(both, nibble);
            w[i + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
        }
    }
}

LAI_INLINE __m512i four_bytes(const std::int8_t* bytes) {
    std::int32_t word;
    std::memcpy(&word, bytes, sizeof word);
    return _mm512_set1_epi32(word);
}

template <DType Type, std::size_t Tokens>
LAI_INLINE void packed_tile(const std::uint8_t* group, std::size_t blocks, const ActivationBlock* input,
                            float (&results)[Tokens][kLanes]) {
    // q8_0 has 128 in every byte, sixteen times the 8 of q4_0.
    constexpr unsigned kOffsetShift = Type == DType::q8_0 ? 4 : 0;
    __m512 totals[Tokens];
    LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) totals[t] = _mm512_setzero_ps();
    for (std::size_t block = 0; block < blocks; ++block) {
        const std::uint8_t* halves = group + packed_scales_at(Type, block);
        const std::uint8_t* quants = group + packed_quants_at(Type, block);
        __m512i w[8];
        load_quants<Type>(quants, w);
        const __m512 scales = load_halves(halves);
        LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
            const ActivationBlock& x = input[t * blocks + block];
            __m512i low = _mm512_slli_epi32(_mm512_set1_epi32(x.offset), kOffsetShift);
            __m512i high = _mm512_setzero_si512();
            LAI_UNROLL for (std::size_t i = 0; i < 8; ++i) {
                high = _mm512_dpbusd_epi32(high, w[i], four_bytes(x.payload + 4 * i));
                low = _mm512_dpbusd_epi32(low, w[i], four_bytes(x.payload + kBlock + 4 * i));
            }
            const __m512i sums = _mm512_add_epi32(_mm512_slli_epi32(high, 8), low);
            const __m512 scale = _mm512_mul_ps(scales, _mm512_set1_ps(x.scale));
            totals[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), scale, totals[t]);
        }
    }
    LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) _mm512_storeu_ps(results[t], totals[t]);
}

}  // namespace
}  // namespace lai

#include "kernels_body.hpp"
#include "kernels_f14.hpp"

namespace lai {

extern const Kernels kAvx512Kernels;
const Kernels kAvx512Kernels = {"avx512", kBlockTokens, quantize, multiply, nullptr, shorten, rms_norm, rotate, attend, activate, touch};

namespace {

void multiply_any(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end, const Output& out) {
    if (matrix.dtype == DType::f14) return multiply_f14(matrix, input, begin, end, out);
    multiply(matrix, input, begin, end, out);
}

}  // namespace

extern const Kernels kZen4Kernels;
const Kernels kZen4Kernels = {"zen4", kBlockTokens, quantize, multiply_any, narrow, shorten, rms_norm, rotate, attend, activate, touch};

}  // namespace lai
