// CRC-32 by carry-less multiplication: four vectors of sixteen bytes are folded over the next sixty-four bytes again and
// again (Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009).

#include "crc32_x86.hpp"

#include <immintrin.h>

namespace lai {

namespace {

__m128i load(const std::uint8_t* data) { return _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(data))); }

// Moves a vector forward by the distance that the constants stand for and adds the bytes that lie there.
__m128i fold(__m128i vector, __m128i constants, __m128i next) {
    const __m128i low = _mm_clmulepi64_si128(vector, constants, 0x00);
    const __m128i high = _mm_clmulepi64_si128(vector, constants, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

}  // namespace

std::size_t crc32_fold(const std::uint8_t* data, std::size_t size, std::uint32_t state, std::uint8_t* folded) {
    // x^(512+32), x^(512-32) and x^(128+32), x^(128-32) modulo the polynomial, bits reversed.
    const __m128i over_64_bytes = _mm_set_epi64x(0x01C6E41596, 0x0154442BD4);
    const __m128i over_16_bytes = _mm_set_epi64x(0x00CCAA009E, 0x01751997D0);
    __m128i first = _mm_xor_si128(load(data), _mm_cvtsi32_si128(static_cast<int>(state)));
    __m128i second = load(data + 16);
    __m128i third = load(data + 32);
    __m128i fourth = load(data + 48);
    std::size_t done = 64;
    for (; done + 64 <= size; done += 64) {
        __builtin_prefetch(data + done + 2048);  // what the processor fetches by itself ends with each page
        first = fold(first, over_64_bytes, load(data + done));
        second = fold(second, over_64_bytes, load(data + done + 16));
        third = fold(third, over_64_bytes, load(data + done + 32));
        fourth = fold(fourth, over_64_bytes, load(data + done + 48));
    }
    __m128i all = fold(first, over_16_bytes, second);
    all = fold(all, over_16_bytes, third);
    all = fold(all, over_16_bytes, fourth);
    _mm_storeu_si128(static_cast<__m128i*>(static_cast<void*>(folded)), all);
    return done;
}

}  // namespace lai
