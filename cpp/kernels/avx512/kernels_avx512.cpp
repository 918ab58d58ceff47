// AVX-512 with F, BW, DQ, VL and VNNI (Ice Lake, Zen 4 and later); the same with f14 for Zen 4 and later.

#define LAI_WIDTH 16
#include "kernels/vector.hpp"

#include <immintrin.h>

namespace lai {
namespace {

constexpr std::size_t kFloatTileTokens = 16;
constexpr std::size_t kQuantizedTileTokens = 8;
constexpr std::size_t kMaxQuantizedTokens = kMaxBatch;

LAI_INLINE float sum(Vector vector) { return _mm512_reduce_add_ps(vector); }

LAI_INLINE Vector load_f16(const void* halves) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(halves)));
}

LAI_INLINE Vector load_as_float(const std::int16_t* shorts) {
    const void* from = shorts;
    return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(from))));
}

// Layout: the high bytes, then the low bytes; value = 256 * high + low, both signed.
void quantize_block(const std::int32_t* integers, std::int8_t* payload) {
    for (std::size_t i = 0; i < kBlockSize; ++i) {
        const std::int32_t high = (integers[i] + 128) >> 8;
        payload[i] = static_cast<std::int8_t>(high);
        payload[kBlockSize + i] = static_cast<std::int8_t>(integers[i] - high * 256);
    }
}

// Eight vectors of unsigned quants. Vector w holds columns 4w to 4w+3 of the sixteen rows.
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

// Adds four products to each sum: four quants of each row times four bytes shared by all rows. Inline assembly with a
// memory operand: compilers would load the bytes into a register first, and half as many blocks would be in flight.
LAI_INLINE void add_products(__m512i& sums, __m512i quants, const std::int8_t* bytes) {
    struct Four {
        std::int8_t bytes[4];
    };
    const void* from = bytes;
    asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sums) : "v"(quants), "m"(*static_cast<const Four*>(from)));
}

// The first or second block of a pair (packing.hpp), times one block of each token's input.
template <DType Type, std::size_t Tokens>
LAI_INLINE void add_block(const std::uint8_t* pair, std::size_t which, const ActivationBlock* input, std::size_t stride,
                          __m512 (&totals)[Tokens]) {
    // q8_0 adds 128 to every byte: sixteen times the 8 of q4_0.
    constexpr unsigned kOffsetShift = Type == DType::q8_0 ? 4 : 0;
    __m512i w[8];
    load_quants<Type>(pair + packed_quants_at(Type, which), w);
    const __m512 scales = load_f16(pair + packed_scales_at(Type, which));
    LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
        const ActivationBlock& x = input[t * stride];
        __m512i low = _mm512_slli_epi32(_mm512_set1_epi32(x.offset), kOffsetShift);
        __m512i high = _mm512_setzero_si512();
        LAI_UNROLL for (std::size_t i = 0; i < 8; ++i) {
            add_products(high, w[i], x.payload + 4 * i);
            add_products(low, w[i], x.payload + kBlockSize + 4 * i);
        }
        const __m512i sums = _mm512_add_epi32(_mm512_slli_epi32(high, 8), low);
        const __m512 scale = _mm512_mul_ps(scales, _mm512_set1_ps(x.scale));
        totals[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), scale, totals[t]);
    }
}

template <DType Type, std::size_t Tokens>
LAI_INLINE void quantized_tile(const std::uint8_t* group, std::size_t blocks, const ActivationBlock* input,
                               float (&results)[Tokens][kLanes]) {
    __m512 totals[Tokens];
    LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) totals[t] = _mm512_setzero_ps();
    std::size_t block = 0;
    for (; block + 2 <= blocks; block += 2, group += packed_scales_at(Type, 2)) {
        add_block<Type>(group, 0, input + block, blocks, totals);
        add_block<Type>(group, 1, input + block + 1, blocks, totals);
    }
    if (block < blocks) add_block<Type>(group, 0, input + block, blocks, totals);
    LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) _mm512_storeu_ps(results[t], totals[t]);
}

}  // namespace
}  // namespace lai

#include "kernels/avx512/f14_matmul.hpp"
#include "kernels/avx512/f14_pack.hpp"
#include "kernels/operations.hpp"

namespace lai {

extern const Kernels kAvx512Kernels;
const Kernels kAvx512Kernels = {"avx512",         kMaxQuantizedTokens, quantize, matmul, nullptr,
                                nullptr,          quantize_int16,      rmsnorm,  rope,   attention,
                                gated_activation, stream_read};

namespace {

// For a few tokens all weights are read once. If they do not fit into the caches, AMD CPUs read them a few percent
// faster with non-temporal hints.
void matmul_zen4(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end,
                 const Output& out) {
    if (matrix.dtype == DType::f14) return matmul_f14(matrix, input, begin, end, out);
    if (matrix.dtype == DType::f32 && input.tokens <= kMaxGemvTokens) {
        return matmul_f32_few<true>(matrix, input, begin, end, out);
    }
    matmul(matrix, input, begin, end, out);
}

}  // namespace

extern const Kernels kZen4Kernels;
const Kernels kZen4Kernels = {"zen4",   kMaxQuantizedTokens, quantize,         matmul_zen4,
                              pack_f14, dequantize_f14_row,  quantize_int16,   rmsnorm,
                              rope,     attention,           gated_activation, stream_read<true>};

}  // namespace lai
