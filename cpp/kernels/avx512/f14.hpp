#pragma once

// Products with f14, float16 weights whose exponent takes three bits: memory is what writing waits for, and this is an eighth less
// of it. Only for processors that have AVX-512 with VBMI, and to which subnormal numbers are as good as others (AMD's, from Zen 4
// on): included by kernels_avx512.cpp after everything else.
//
// Each row has a power of two that its weights are multiplied with, so that the largest one's exponent is float16's 7 (less where
// all are subnormal). Of a row every weight of at least 1/64 of the largest is exact. The others become subnormal, off by 2^-17 of
// the largest at the most: weights of a normal distribution give products that differ by some 3e-6, where rounding them to float16
// made a difference of 2e-4.
//
// A group of sixteen rows (packing.hpp), which begins with a cache line, is
//
//   f32 scales[16]
//   u64 units[cols / 16][7][8]
//
// A unit is sixteen columns. Line i of its seven, a vector, has columns 2i and 2i + 1: its number q holds, of each, rows 2q and
// 2q + 1, in 56 bits. The other eight are a part of an eighth line, so that all of it is full. Lines are turned left by 8i bits,
// by which each has these bits elsewhere, and collecting them takes no shifting.

#include "kernels/vector.hpp"

#include <immintrin.h>

namespace lai {
namespace {

constexpr unsigned kFullLines = 7;
static_assert(kUnitColumns == 2 * (kFullLines + 1) && kUnitBytes == kFullLines * 8 * 8);

// The parts of a float that a weight is, and where they begin in the 64 bits: the sign and, seven bits before it, the exponent's
// upper two bits; the exponent's last above seven of the mantissa; the mantissa's last three. So every byte of the float is eight
// bits in a row, some of which are others' and are masked out. Weights are those of the first column's two rows, then the second's.
constexpr std::uint32_t kParts[3] = {0x83000000U, 0x00FF0000U, 0x0000E000U};
constexpr unsigned kPartStarts[3] = {24, 16, 13};
constexpr unsigned kPartPositions[4][3] = {{0, 12, 44}, {2, 20, 50}, {4, 28, 56}, {47, 36, 61}};
constexpr unsigned kSpareBits[8] = {6, 8, 10, 49, 53, 55, 59, 60};  // what these leave; no two are alike modulo 8

// Taken as a float, a weight is 2^-112 times what it is before its row's scale. What makes up for that, in two factors.
constexpr float kInputScale = 0x1p32F;
constexpr float kWeightScale = 0x1p80F;

constexpr std::int32_t kMaxExponent = 22;  // of a row's largest, for its scale times 2^112 to be a number: below 256

constexpr std::uint64_t rotate_left(std::uint64_t bits, unsigned left) { return left % 64 == 0 ? bits : bits << left % 64 | bits >> (64 - left % 64); }

constexpr std::uint64_t spare_bits(unsigned line) {
    std::uint64_t bits = 0;
    for (const unsigned at : kSpareBits) bits |= std::uint64_t{1} << at;
    return rotate_left(bits, 8 * line);
}

// How far left a part of a column's row is turned to get to its place.
constexpr unsigned rotation_of(unsigned column, unsigned row, unsigned part) {
    return (kPartPositions[2 * column + row][part] + 64 - kPartStarts[part] - 32 * row) % 64;
}

// The bits of a line that each byte of a column's two floats begins with: those of its part.
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

// Which bits of a column's two floats go to each byte of line 0, and which of them are meant. As up to two of its parts go to a
// byte, there are two steps.
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
                const std::uint64_t bits = rotate_left(std::uint64_t{kParts[part]} << 32 * row, way) & std::uint64_t{0xFF} << 8 * byte;
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
LAI_INLINE __m512i bit_select(__m512i mask, __m512i a, __m512i b) { return _mm512_ternarylogic_epi64(mask, a, b, 0xCA); }

LAI_INLINE __m512i keep_in_register(__m512i vector) {
    asm("" : "+v"(vector));
    return vector;
}

// Each byte of every number is the eight bits from the one that `from` says. As an instruction, so that what else is in this
// file's products is not compiled for VBMI.
LAI_INLINE __m512i multishift_bytes(__m512i from, __m512i numbers) {
    __m512i bytes;
    asm("vpmultishiftqb %2, %1, %0" : "=v"(bytes) : "v"(from), "v"(numbers));
    return bytes;
}

}  // namespace
}  // namespace lai
