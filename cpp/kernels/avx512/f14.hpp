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

#include <utility>

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

// What is needed to take units apart, all in registers: compilers would rather make some of it anew for each unit.
struct UnpackConstants {
    __m512i from[2 * (kFullLines + 1)];
    __m512i spare[kFullLines];
    __m512i used;
};

LAI_INLINE __m512i keep_in_register(__m512i vector) {
    asm("" : "+v"(vector));
    return vector;
}

template <std::size_t... Column, std::size_t... Line>
LAI_INLINE UnpackConstants unpack_constants(std::index_sequence<Column...>, std::index_sequence<Line...>) {
    return {{keep_in_register(broadcast_u64(byte_selectors(Column / 2, Column % 2)))...},
            {keep_in_register(broadcast_u64(spare_bits(Line)))...},
            keep_in_register(_mm512_set1_epi32(static_cast<int>(0x83FFE000U)))};  // a float's sign, three bits of exponent, ten of mantissa
}
LAI_INLINE UnpackConstants unpack_constants() { return unpack_constants(std::make_index_sequence<2 * (kFullLines + 1)>(), std::make_index_sequence<kFullLines>()); }

// Each byte of every number is the eight bits from the one that `from` says. As an instruction, so that what else is in this
// file's products is not compiled for VBMI.
LAI_INLINE __m512i multishift_bytes(__m512i from, __m512i numbers) {
    __m512i bytes;
    asm("vpmultishiftqb %2, %1, %0" : "=v"(bytes) : "v"(from), "v"(numbers));
    return bytes;
}

template <unsigned Line, class Use>
LAI_INLINE void unpack_line(const UnpackConstants& all, __m512i line, const Use& use) {
    use(2 * Line, _mm512_castsi512_ps(_mm512_and_si512(multishift_bytes(all.from[2 * Line], line), all.used)));
    use(2 * Line + 1, _mm512_castsi512_ps(_mm512_and_si512(multishift_bytes(all.from[2 * Line + 1], line), all.used)));
}

// Calls use(column, sixteen rows' weights as floats) for the columns of a unit.
template <unsigned Line = 0, class Use>
LAI_INLINE void unpack_unit(const UnpackConstants& all, const std::uint8_t* unit, const Use& use, __m512i last = __m512i{}) {
    if constexpr (Line == kFullLines) {
        unpack_line<Line>(all, last, use);
    } else {
        // Read as what is not needed again soon, as multiply_any's f32 (kernels_avx512.cpp).
        const __m512i line = _mm512_stream_load_si512(const_cast<std::uint8_t*>(unit + Line * kCacheLine));
        unpack_line<Line>(all, line, use);
        unpack_unit<Line + 1>(all, unit, use, Line == 0 ? line : bit_select(all.spare[Line], line, last));
    }
}

LAI_INLINE Vector load_row_scales(const std::uint8_t* group) {
    Vector scales;
    std::memcpy(&scales, group, sizeof scales);
    return scales;
}

template <>
__attribute__((noinline)) void fill_panel<DType::f14>(const Matrix& matrix, Panel& panel) {
    const std::uint8_t* group = matrix.data + panel.row / kLanes * packed_group_bytes(DType::f14, matrix.cols);
    const Vector scales = load_row_scales(group) * (kInputScale * kWeightScale);
    const UnpackConstants all = unpack_constants();
    for (std::size_t i = 0; i < panel.columns; i += kUnitColumns) {
        const std::uint8_t* unit = group + kCacheLine + (panel.column + i) / kUnitColumns * kUnitBytes;
        unpack_unit(all, unit, [&](std::size_t column, Vector weights) { store(panel.floats + (i + column) * kLanes, weights * scales); });
    }
}

// The bits of the largest magnitude of some values, of infinity or more where one is no number.
LAI_INLINE std::uint32_t absmax_bits(const float* values, std::size_t count) {
    const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
    __m512i largest = _mm512_setzero_si512();
    for (std::size_t i = 0; i < count; i += kWidth) largest = _mm512_max_epu32(largest, _mm512_and_si512(_mm512_loadu_si512(values + i), magnitude));
    return _mm512_reduce_max_epu32(largest);
}

// Some columns of some tokens' inputs, and what sums are multiplied with for each.
struct ScaledInput {
    const float* values;
    std::size_t stride;
    std::size_t first;
    std::size_t columns;
    float factors[kMaxGemvTokens];
};

// Some rows times some tokens' inputs. Not inlined for its registers' sake.
template <std::size_t Tokens>
__attribute__((noinline)) void matmul_f14_units(const Matrix& matrix, const ScaledInput& inputs, std::size_t token, std::size_t begin,
                                              std::size_t end, const Output& out) {
    constexpr std::size_t kSums = Tokens == 1 ? 4 : 1;  // so that of one token no addition waits for the one before
    const UnpackConstants all = unpack_constants();
    const float* x = inputs.values + token * inputs.stride;
    for (std::size_t row = begin; row < end; row += kLanes) {
        const std::uint8_t* group = matrix.data + row / kLanes * packed_group_bytes(DType::f14, matrix.cols);
        const std::uint8_t* unit = group + kCacheLine + inputs.first / kUnitColumns * kUnitBytes;
        Vector sums[kSums][Tokens] = {};
        for (std::size_t first = 0; first < inputs.columns; first += kUnitColumns, unit += kUnitBytes) {
            unpack_unit(all, unit, [&](std::size_t column, Vector weights) {
                LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) sums[column % kSums][t] += weights * x[t * inputs.stride + first + column];
            });
        }
        const Vector scales = load_row_scales(group) * kWeightScale;
        float results[kLanes];
        LAI_UNROLL for (std::size_t t = 0; t < Tokens; ++t) {
            Vector total = sums[0][t];
            LAI_UNROLL for (std::size_t slot = 1; slot < kSums; ++slot) total += sums[slot][t];
            store(results, total * scales * inputs.factors[token + t]);
            store_output_lanes(out, token + t, row, results, min_size(kLanes, end - row));
        }
    }
}

void matmul_f14_batches(const Matrix& matrix, const ScaledInput& inputs, std::size_t tokens, std::size_t begin, std::size_t end, const Output& out) {
    if (tokens == 1) return matmul_f14_units<1>(matrix, inputs, 0, begin, end, out);
    // All tokens' products with some rows while these are in the cache.
    for (std::size_t row = begin; row < end; row += kLanes) {
        for_token_batches<4>(tokens, [&](auto batch, std::size_t token) {
            constexpr std::size_t kTokens = decltype(batch)::count;
            matmul_f14_units<kTokens>(matrix, inputs, token, row, min_size(end, row + kLanes), out);
        });
    }
}

// Where a token's inputs are so small that sums of them would be subnormal, or so large that they would not be numbers: each
// divided by the power of two that its largest is above, and multiplied with kLargeInput, some columns at a time.
__attribute__((noinline)) void matmul_f14_scaled(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end, Output out) {
    float values[4096];
    float factors[kMaxGemvTokens];
    ScaledInput inputs = {values, 0, 0, 0, {}};
    for (std::size_t token = 0; token < input.tokens; ++token) {
        // Of what is too small or no number, the nearest that can be divided by.
        std::uint32_t bits = absmax_bits(input.values + token * input.stride, input.width) & 0x7F800000U;
        bits = bits < 32U << 23 ? 32U << 23 : bits > 253U << 23 ? 253U << 23 : bits;
        std::memcpy(&inputs.factors[token], &bits, sizeof bits);
        factors[token] = kInputScale / inputs.factors[token];
    }
    const std::size_t max_columns = sizeof values / sizeof values[0] / input.tokens / kUnitColumns * kUnitColumns;
    for (; inputs.first < input.width; inputs.first += max_columns) {
        inputs.stride = inputs.columns = min_size(max_columns, input.width - inputs.first);
        for (std::size_t token = 0; token < input.tokens; ++token) {
            const float* from = input.values + token * input.stride + inputs.first;
            for (std::size_t i = 0; i < inputs.columns; i += kWidth) store(values + token * inputs.stride + i, load(from + i) * factors[token]);
        }
        matmul_f14_batches(matrix, inputs, input.tokens, begin, end, out);
        out.add = true;
    }
}

void matmul_f14(const Matrix& matrix, const Activations& input, std::size_t begin, std::size_t end, const Output& out) {
    if (input.tokens > kMaxGemvTokens) return matmul_panels<DType::f14>(matrix, input, begin, end, out);
    constexpr std::uint32_t kMinAbsmaxBits = (127U - 6) << 23;  // 2^-6: sums' last bits are then below those of a float of their size
    constexpr std::uint32_t kMaxAbsmaxBits = (127U + 60) << 23;
    ScaledInput inputs = {input.values, input.stride, 0, input.width, {}};
    for (std::size_t token = 0; token < input.tokens; ++token) {
        const std::uint32_t largest = absmax_bits(input.values + token * input.stride, input.width);
        if (largest < kMinAbsmaxBits || largest > kMaxAbsmaxBits) return matmul_f14_scaled(matrix, input, begin, end, out);
        inputs.factors[token] = kInputScale;
    }
    matmul_f14_batches(matrix, inputs, input.tokens, begin, end, out);
}

// One row of a matrix packed so.
void dequantize_f14_row(const Matrix& packed, std::size_t row, float* out) {
    const std::uint8_t* group = packed.data + row / kLanes * packed_group_bytes(DType::f14, packed.cols);
    const Vector scales = load_row_scales(group) * (kInputScale * kWeightScale);
    const UnpackConstants all = unpack_constants();
    for (std::size_t first = 0; first < packed.cols; first += kUnitColumns) {
        unpack_unit(all, group + kCacheLine + first / kUnitColumns * kUnitBytes, [&](std::size_t column, Vector weights) {
            out[first + column] = (weights * scales)[row % kLanes];
        });
    }
}

// The power of two that makes a row's weights out of what f14 holds of them; 0 where they are too large for it, or no numbers.
float f14_row_scale(const std::uint8_t* halves, std::size_t cols) {
    __m256i largest = _mm256_setzero_si256();
    for (std::size_t i = 0; i < cols; i += kLanes) {
        const __m256i some = _mm256_loadu_si256(static_cast<const __m256i*>(static_cast<const void*>(halves + 2 * i)));
        largest = _mm256_max_epu16(largest, _mm256_and_si256(some, _mm256_set1_epi16(0x7FFF)));
    }
    const auto exponent = static_cast<std::int32_t>(_mm512_reduce_max_epu32(_mm512_cvtepu16_epi32(largest)) >> 10);
    if (exponent > kMaxExponent) return 0.0F;
    const std::int32_t bits = ((exponent == 0 ? 1 : exponent) - 7 + 127) << 23;
    float scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return scale;
}

// What rounding changes, as sums of squares for each of sixteen rows.
struct SquaredErrors {
    Vector weights = {};
    Vector errors = {};
};

// kSteps in registers.
struct PackConstants {
    __m512i from[2][2];
    __m512i mask[2][2];
};

LAI_INLINE PackConstants pack_constants() {
    PackConstants all;
    LAI_UNROLL for (unsigned column = 0; column < 2; ++column) {
        LAI_UNROLL for (unsigned step = 0; step < 2; ++step) {
            all.from[column][step] = keep_in_register(broadcast_u64(kSteps[column][step].from));
            all.mask[column][step] = keep_in_register(broadcast_u64(kSteps[column][step].mask));
        }
    }
    return all;
}

// Two columns of sixteen rows as line 0 has them.
LAI_INLINE __m512i pack_line(const PackConstants& all, const std::uint8_t* halves, Vector factors, SquaredErrors& squares) {
    constexpr float kRound = 0.75F;  // what is added to it becomes a multiple of the smallest float16
    __m512i line = _mm512_setzero_si512();
    LAI_UNROLL for (unsigned column = 0; column < 2; ++column) {
        const Vector exact = load_f16(halves + column * kF16ColumnBytes) * factors;
        const Vector weights = (exact + kRound) - kRound;
        squares.weights += exact * exact;
        squares.errors += (exact - weights) * (exact - weights);
        const __m512i floats = _mm512_castps_si512(weights * (1.0F / (kInputScale * kWeightScale)));
        LAI_UNROLL for (unsigned step = 0; step < 2; ++step) {
            line = bit_select(all.mask[column][step], multishift_bytes(all.from[column][step], floats), line);
        }
    }
    return line;
}

bool pack_f14(const Matrix& matrix, std::size_t group, std::uint8_t* out) {
    float scales[kLanes] = {};
    float factors[kLanes] = {};
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const std::size_t row = group * kLanes + lane;
        scales[lane] = row < matrix.rows ? f14_row_scale(matrix.data + row * matrix.cols * 2, matrix.cols) : 1.0F;
        if (scales[lane] == 0.0F) return false;
        factors[lane] = 1.0F / scales[lane];
    }
    std::memcpy(out, scales, sizeof scales);
    std::uint8_t* unit = out + kCacheLine;
    const PackConstants all = pack_constants();
    SquaredErrors squares;
    // Many columns at once: what has just been written in small pieces is slow to read in large ones.
    constexpr std::size_t kColumns = 8 * kUnitColumns;
    std::uint8_t halves[kColumns * kF16ColumnBytes];
    for (std::size_t column = 0; column < matrix.cols; column += kUnitColumns, unit += kUnitBytes) {
        // As many bytes of the next rows as these columns are of their own.
        prefetch(matrix.data + ((group + 1) * matrix.cols + column) * kF16ColumnBytes, kUnitColumns * kF16ColumnBytes);
        if (column % kColumns == 0) pack_f16_columns(matrix, group, column, min_size(kColumns, matrix.cols - column), halves);
        const auto line_of = [&](unsigned line) {
            const std::uint8_t* two = halves + (column % kColumns + 2 * line) * kF16ColumnBytes;
            return _mm512_rolv_epi64(pack_line(all, two, load(factors), squares), broadcast_u64(8 * line));
        };
        const __m512i last = line_of(kFullLines);
        LAI_UNROLL for (unsigned line = 0; line < kFullLines; ++line) {
            _mm512_storeu_si512(unit + line * kCacheLine, bit_select(broadcast_u64(spare_bits(line)), last, line_of(line)));
        }
    }
    // Where the largest of a row is an outlier, many of the others are rounded: their error is to stay below 6e-5 of the whole,
    // a third of what rounding to float16 does.
    return _mm512_cmp_ps_mask(squares.errors, squares.weights * 0x1p-28F, _CMP_GT_OQ) == 0;
}

}  // namespace
}  // namespace lai
