#pragma once

// f14: float16 weights with an exponent of three bits. Decoding waits for memory, and f14 takes an eighth less of it.
// It needs AVX-512 with VBMI and a CPU on which subnormal numbers are fast: AMD from Zen 4 on. Only kernels_avx512.cpp
// includes it.
//
// Each row has a scale, a power of two, so that its largest weight has float16's exponent 7 (less if all weights are
// subnormal). Weights of at least 1/64 of the row's largest are exact. Smaller weights become subnormal; their error is
// at most 2^-17 of the largest. For normally distributed weights, products differ by about 3e-6. Rounding those weights
// to float16 made a difference of 2e-4.
//
// A group of sixteen rows (packing.hpp) begins with a cache line:
//
//   f32 scales[16]
//   u64 units[cols / 16][7][8]
//
// A unit is sixteen columns in seven cache lines. Line i holds columns 2i and 2i + 1: its u64 number q holds rows 2q
// and 2q + 1 of both columns, in 56 bits. The other eight bits of the seven lines together are an eighth line. Line i
// is rotated left by 8i bits, so its spare bits lie elsewhere than those of the other lines. Collecting them needs no
// shifts.

#include "kernels/vector.hpp"

#include <immintrin.h>

namespace lai {
namespace {

constexpr unsigned kFullLines = 7;
static_assert(kUnitColumns == 2 * (kFullLines + 1) && kUnitBytes == kFullLines * 8 * 8);

// A weight is stored in three parts of its float: the sign, with the upper two bits of the exponent seven bits before
// it; the exponent's last bit and seven bits of mantissa; the last three bits of mantissa. So every byte of the float
// is eight consecutive bits, after masking. kPartPositions is where each part begins in the u64, for the two rows of
// the first column, then of the second.
constexpr std::uint32_t kParts[3] = {0x83000000U, 0x00FF0000U, 0x0000E000U};
constexpr unsigned kPartStarts[3] = {24, 16, 13};
constexpr unsigned kPartPositions[4][3] = {{0, 12, 44}, {2, 20, 50}, {4, 28, 56}, {47, 36, 61}};
constexpr unsigned kSpareBits[8] = {6, 8, 10, 49, 53, 55, 59, 60};  // unused by the parts; all differ modulo 8

// Read as a float, a stored weight is 2^-112 times its value before the row's scale. These two factors make up for it.
constexpr float kInputScale = 0x1p32F;
constexpr float kWeightScale = 0x1p80F;

// The exponent of a row's largest weight, below 256, so that its scale times 2^112 is finite.
constexpr std::int32_t kMaxExponent = 22;

constexpr std::uint64_t rotate_left(std::uint64_t bits, unsigned left) {
    return left % 64 == 0 ? bits : bits << left % 64 | bits >> (64 - left % 64);
}

constexpr std::uint64_t spare_bits(unsigned line) {
    std::uint64_t bits = 0;
    for (const unsigned at : kSpareBits) bits |= std::uint64_t{1} << at;
    return rotate_left(bits, 8 * line);
}

// How far a part of a column's row is rotated left.
constexpr unsigned rotation_of(unsigned column, unsigned row, unsigned part) {
    return (kPartPositions[2 * column + row][part] + 64 - kPartStarts[part] - 32 * row) % 64;
}

// For each byte of a column's two floats, the bit of the line at which it begins.
constexpr std::uint64_t byte_selectors(unsigned line, unsigned column) {
    std::uint64_t from = 0;
    for (unsigned row = 0; row < 2; ++row) {
        for (unsigned part = 0; part < 3; ++part) {
            const unsigned byte = 4 * row + 3 - part;
            from |= std::uint64_t{(8 * byte + rotation_of(column, row, part) + 8 * line) % 64} << 8 * byte;
        }
    }
    return from;
}

// For each byte of line 0, the bit of a column's two floats at which it begins, and the mask of its bits. Up to two
// parts share a byte, so there are two steps.
struct Step {
    std::uint64_t from = 0;
    std::uint64_t mask = 0;
};
constexpr Step step_of(unsigned column, unsigned step) {
    Step result;
    for (unsigned byte = 0; byte < 8; ++byte) {
        unsigned found = 0;
        for (unsigned row = 0; row < 2; ++row) {
            for (unsigned part = 0; part < 3; ++part) {
                const unsigned way = rotation_of(column, row, part);
                const std::uint64_t bits =
                    rotate_left(std::uint64_t{kParts[part]} << 32 * row, way) & std::uint64_t{0xFF} << 8 * byte;
                if (bits == 0 || found++ != step) continue;
                result.from |= std::uint64_t{(8 * byte + 64 - way) % 64} << 8 * byte;
                result.mask |= bits;
            }
        }
    }
    return result;
}
constexpr Step kSteps[2][2] = {{step_of(0, 0), step_of(0, 1)}, {step_of(1, 0), step_of(1, 1)}};

LAI_INLINE __m512i broadcast_u64(std::uint64_t bits) { return _mm512_set1_epi64(static_cast<long long>(bits)); }

// mask ? a : b, bit by bit.
LAI_INLINE __m512i bit_select(__m512i mask, __m512i a, __m512i b) {
    return _mm512_ternarylogic_epi64(mask, a, b, 0xCA);
}

LAI_INLINE __m512i keep_in_register(__m512i vector) {
    asm("" : "+v"(vector));
    return vector;
}

// Each byte of the result is the eight bits that begin at the bit `from` of its u64. Inline assembly, so that the rest
// of this file is not compiled for VBMI.
LAI_INLINE __m512i multishift_bytes(__m512i from, __m512i numbers) {
    __m512i bytes;
    asm("vpmultishiftqb %2, %1, %0" : "=v"(bytes) : "v"(from), "v"(numbers));
    return bytes;
}

}  // namespace
}  // namespace lai
