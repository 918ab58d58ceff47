// CRC-32 by carry-less multiplication. Four vectors of 16 or 32 bytes are folded over the data that follows them (Gopal
// et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009).

#include "host/crc32_x86.hpp"

#include <immintrin.h>

namespace lai {

namespace {

__m128i load(const std::uint8_t* data) {
    return _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(data)));
}

// Moves a vector forward by the distance of the constants and adds the bytes at that place.
__m128i fold(__m128i vector, __m128i constants, __m128i next) {
    const __m128i low = _mm_clmulepi64_si128(vector, constants, 0x00);
    const __m128i high = _mm_clmulepi64_si128(vector, constants, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

#define LAI_WIDE __attribute__((target("avx2,vpclmulqdq")))

LAI_WIDE __m256i load_two(const std::uint8_t* data) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(static_cast<const void*>(data)));
}

// fold() on two vectors at once.
LAI_WIDE __m256i fold_two(__m256i vectors, __m256i constants, __m256i next) {
    const __m256i low = _mm256_clmulepi64_epi128(vectors, constants, 0x00);
    const __m256i high = _mm256_clmulepi64_epi128(vectors, constants, 0x11);
    return _mm256_xor_si256(_mm256_xor_si256(low, high), next);
}

// x^(128+32) and x^(128-32) modulo the polynomial, reflected.
__m128i over_16_bytes() { return _mm_set_epi64x(0x00CCAA009E, 0x01751997D0); }

}  // namespace

std::size_t crc32_fold(const std::uint8_t* data, std::size_t size, std::uint32_t state, std::uint8_t* folded) {
    // x^(512+32) and x^(512-32)
    const __m128i over_64_bytes = _mm_set_epi64x(0x01C6E41596, 0x0154442BD4);
    __m128i first = _mm_xor_si128(load(data), _mm_cvtsi32_si128(static_cast<int>(state)));
    __m128i second = load(data + 16);
    __m128i third = load(data + 32);
    __m128i fourth = load(data + 48);
    std::size_t done = 64;
    for (; done + 64 <= size; done += 64) {
        __builtin_prefetch(data + done + 2048);  // hardware prefetching ends at page boundaries
        first = fold(first, over_64_bytes, load(data + done));
        second = fold(second, over_64_bytes, load(data + done + 16));
        third = fold(third, over_64_bytes, load(data + done + 32));
        fourth = fold(fourth, over_64_bytes, load(data + done + 48));
    }
    __m128i all = fold(first, over_16_bytes(), second);
    all = fold(all, over_16_bytes(), third);
    all = fold(all, over_16_bytes(), fourth);
    _mm_storeu_si128(static_cast<__m128i*>(static_cast<void*>(folded)), all);
    return done;
}

LAI_WIDE std::size_t crc32_fold_wide(const std::uint8_t* data, std::size_t size, std::uint32_t state,
                                     std::uint8_t* folded) {
    // x^(1024+32) and x^(1024-32)
    const __m256i over_128_bytes = _mm256_broadcastsi128_si256(_mm_set_epi64x(0x014A7FE880, 0x01E88EF372));
    __m256i pairs[4];
    for (std::size_t i = 0; i < 4; ++i) pairs[i] = load_two(data + 32 * i);
    pairs[0] = _mm256_xor_si256(pairs[0], _mm256_set_epi32(0, 0, 0, 0, 0, 0, 0, static_cast<int>(state)));
    std::size_t done = 128;
    for (; done + 128 <= size; done += 128) {
        for (std::size_t i = 0; i < 4; ++i) {
            pairs[i] = fold_two(pairs[i], over_128_bytes, load_two(data + done + 32 * i));
        }
    }
    __m128i all = _mm_setzero_si128();
    for (const __m256i pair : pairs) {
        all = fold(all, over_16_bytes(), _mm256_castsi256_si128(pair));
        all = fold(all, over_16_bytes(), _mm256_extracti128_si256(pair, 1));
    }
    _mm_storeu_si128(static_cast<__m128i*>(static_cast<void*>(folded)), all);
    return done;
}

}  // namespace lai
