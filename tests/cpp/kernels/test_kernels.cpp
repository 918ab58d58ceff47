// Each kernel against the plain formula in double.

#include "check.hpp"
#include "host/page_buffer.hpp"
#include "kernels_under_test.hpp"
#include "model/packing.hpp"
#include "refused.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

using namespace lai;

namespace {

std::mt19937 generator(1);

std::vector<float> random_floats(std::size_t count, float scale = 1) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> values(count);
    for (float& value : values) value = normal(generator);
    return values;
}

std::vector<std::uint8_t> random_weights(DType dtype, std::size_t rows, std::size_t cols) {
    std::vector<std::uint8_t> data(rows * weight_bytes(dtype, cols));
    if (dtype == DType::f32) {
        const std::vector<float> values = random_floats(rows * cols);
        std::memcpy(data.data(), values.data(), data.size());
        return data;
    }
    std::uniform_int_distribution<int> byte(0, 255);
    for (std::uint8_t& value : data) value = static_cast<std::uint8_t>(byte(generator));
    // Halves from 2^-8 to 2^3: weights, or the scales of blocks.
    const std::size_t step = dtype == DType::f16 ? 2 : weight_bytes(dtype, kBlockSize);
    for (std::size_t i = 0; i < data.size(); i += step) {
        data[i + 1] = static_cast<std::uint8_t>((data[i + 1] & 0x83) | (7 + byte(generator) % 11) << 2);
    }
    return data;
}

void matmul_equals_the_sum_of_products(const Kernels& kernels, DType dtype, std::size_t rows, std::size_t cols,
                                       std::size_t tokens) {
    const std::vector<std::uint8_t> data = random_weights(dtype, rows, cols);
    Matrix matrix = {dtype, rows, cols, data.data()};
    const std::size_t stride = cols + 5;
    std::vector<float> x = random_floats(tokens * stride);
    for (std::size_t t = 0; t < tokens; ++t) {
        std::fill_n(x.data() + t * stride + cols, stride - cols, std::numeric_limits<float>::quiet_NaN());
    }
    std::vector<ActivationBlock> blocks(tokens * cols / kBlockSize + 1);
    std::vector<std::uint8_t> packed;
    std::vector<double> expected(tokens * rows);
    std::vector<double> size(tokens * rows);
    std::vector<float> row(cols);
    for (std::size_t r = 0; r < rows; ++r) {
        dequantize_row(matrix, r, row.data());
        for (std::size_t t = 0; t < tokens; ++t) {
            for (std::size_t c = 0; c < cols; ++c) {
                const double term = static_cast<double>(row[c]) * static_cast<double>(x[t * stride + c]);
                expected[t * rows + r] += term;
                size[t * rows + r] += std::abs(term);
            }
        }
    }
    if (is_packed(dtype)) {
        packed.resize(packed_bytes(matrix));
        for (std::size_t g = 0; g < packed_groups(matrix); ++g) {
            pack_group(matrix, g, packed.data() + g * packed_group_bytes(dtype, cols));
        }
        matrix.data = packed.data();
    }
    if (is_quantized(dtype)) {
        for (std::size_t t = 0; t < tokens; ++t) {
            kernels.quantize(x.data() + t * stride, cols, blocks.data() + t * cols / kBlockSize);
        }
    }
    const Activations input = {x.data(), blocks.data(), tokens, cols, stride};
    std::vector<float> out(tokens * rows, 7.0F);
    const std::size_t middle = std::min(rows, std::size_t{16});
    kernels.matmul(matrix, input, 0, middle, {out.data(), rows, false});
    kernels.matmul(matrix, input, middle, rows, {out.data(), rows, false});
    const double tolerance = is_quantized(dtype) ? 3e-5 : 1e-6;
    for (std::size_t i = 0; i < out.size(); ++i) {
        CHECK(std::abs(static_cast<double>(out[i]) - expected[i]) <= tolerance * size[i]);
    }
    // Adding to the previous results.
    std::vector<float> sums = out;
    kernels.matmul(matrix, input, 0, rows, {sums.data(), rows, true});
    for (std::size_t i = 0; i < out.size(); ++i) {
        CHECK(std::abs(static_cast<double>(sums[i] - 2 * out[i])) <= 1e-6 * size[i]);
    }
}

void matmul_is_right_for_all_dtypes_and_shapes(const Kernels& kernels) {
    for (const DType dtype : {DType::f32, DType::f16, DType::q4_0, DType::q8_0}) {
        for (const std::size_t tokens : {1, 2, 5, 8, 13, 37}) {
            matmul_equals_the_sum_of_products(kernels, dtype, 16, 32, tokens);
            matmul_equals_the_sum_of_products(kernels, dtype, 53, 96, tokens);
            matmul_equals_the_sum_of_products(kernels, dtype, 3, 416, tokens);
            matmul_equals_the_sum_of_products(kernels, dtype, 40, 800, tokens);
        }
    }
    for (const DType dtype : {DType::f32, DType::f16}) {
        for (const std::size_t tokens : {1, 3, 9}) {
            for (const std::size_t cols : {1, 7, 20, 33, 63, 387})
                matmul_equals_the_sum_of_products(kernels, dtype, 19, cols, tokens);
        }
    }
}

// Every half, also subnormal and infinite ones, times one: with one token and with several.
void matmul_is_exact_for_every_half(const Kernels& kernels) {
    std::vector<std::uint16_t> halves(1 << 16);
    for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
    Matrix matrix = {DType::f16, halves.size(), 1, reinterpret_cast<const std::uint8_t*>(halves.data())};
    std::vector<std::uint8_t> packed(packed_bytes(matrix));
    for (std::size_t g = 0; g < packed_groups(matrix); ++g) {
        pack_group(matrix, g, packed.data() + g * packed_group_bytes(DType::f16, 1));
    }
    matrix.data = packed.data();
    const std::vector<float> ones(16, 1.0F);
    for (const std::size_t tokens : {std::size_t{1}, std::size_t{5}, ones.size()}) {
        std::vector<float> out(tokens * halves.size());
        kernels.matmul(matrix, {ones.data(), nullptr, tokens, 1, 1}, 0, halves.size(),
                       {out.data(), halves.size(), false});
        for (std::size_t i = 0; i < out.size(); ++i) {
            const float expected = half_to_float(halves[i % halves.size()]);
            CHECK(std::isnan(expected) ? std::isnan(out[i]) : out[i] == expected);
        }
    }
}

// A row of float16 weights. Half of them have the largest exponent, a quarter the next lower one, and so on.
std::vector<std::uint16_t> random_halves(std::size_t count, int exponent) {
    std::geometric_distribution<int> below;
    std::uniform_int_distribution<int> bits(0, 2047);
    std::vector<std::uint16_t> halves(count);
    for (std::uint16_t& half : halves) {
        const int other = bits(generator);
        half = static_cast<std::uint16_t>((other & 1024) << 5 | std::max(0, exponent - below(generator)) << 10 |
                                          (other & 1023));
    }
    halves[0] = static_cast<std::uint16_t>(exponent << 10);
    return halves;
}

// The error is within the bounds that f14.hpp states.
void f14_is_within_its_error_bounds(const Kernels& kernels, std::size_t rows, std::size_t cols, std::size_t tokens,
                                    int exponent, float input_scale) {
    std::vector<std::uint16_t> halves;
    for (std::size_t row = 0; row < rows; ++row) {
        const std::vector<std::uint16_t> more = random_halves(cols, exponent);
        halves.insert(halves.end(), more.begin(), more.end());
    }
    const Matrix matrix = {DType::f16, rows, cols, reinterpret_cast<const std::uint8_t*>(halves.data())};
    const std::size_t bytes = packed_group_bytes(DType::f14, cols);
    const PageBuffer data(packed_groups(matrix) * bytes);  // groups are read in whole cache lines
    for (std::size_t g = 0; g < packed_groups(matrix); ++g) CHECK(kernels.pack_f14(matrix, g, data.data() + g * bytes));
    const Matrix packed = {DType::f14, rows, cols, data.data()};
    const double largest = static_cast<double>(half_to_float(static_cast<std::uint16_t>(std::max(exponent, 1) << 10)));
    const std::size_t stride = cols + 5;
    std::vector<float> x = random_floats(tokens * stride, input_scale);
    for (std::size_t t = 0; t < tokens; ++t) {
        std::fill_n(x.data() + t * stride + cols, stride - cols, std::numeric_limits<float>::quiet_NaN());
    }
    std::vector<double> expected(tokens * rows);
    std::vector<double> allowed(tokens * rows);
    std::vector<float> unpacked(cols);
    for (std::size_t row = 0; row < rows; ++row) {
        kernels.dequantize_f14_row(packed, row, unpacked.data());
        for (std::size_t c = 0; c < cols; ++c) {
            const double weight = static_cast<double>(half_to_float(halves[row * cols + c]));
            const double off = std::abs(weight) < largest / 64 ? std::ldexp(largest, -17) : 0;
            CHECK(std::abs(static_cast<double>(unpacked[c]) - weight) <= off);
            for (std::size_t t = 0; t < tokens; ++t) {
                const double value = static_cast<double>(x[t * stride + c]);
                expected[t * rows + row] += weight * value;
                allowed[t * rows + row] += 1e-6 * std::abs(weight * value) + off * std::abs(value);
            }
        }
    }
    const Activations input = {x.data(), nullptr, tokens, cols, stride};
    std::vector<float> out(tokens * rows, 7.0F);
    const std::size_t middle = std::min(rows, std::size_t{16});
    kernels.matmul(packed, input, 0, middle, {out.data(), rows, false});
    kernels.matmul(packed, input, middle, rows, {out.data(), rows, false});
    for (std::size_t i = 0; i < out.size(); ++i) {
        CHECK(std::abs(static_cast<double>(out[i]) - expected[i]) <= allowed[i]);
    }
    kernels.matmul(packed, input, 0, rows, {out.data(), rows, true});
    for (std::size_t i = 0; i < out.size(); ++i) {
        CHECK(std::abs(static_cast<double>(out[i]) - 2 * expected[i]) <= 2 * allowed[i]);
    }
}

// Weights that f14 cannot hold are refused.
void weights_that_f14_cannot_hold_are_refused(const Kernels& kernels) {
    constexpr std::size_t kCols = 4096;
    std::vector<std::uint16_t> halves = random_halves(18 * kCols, 22);
    const Matrix matrix = {DType::f16, 18, kCols, reinterpret_cast<const std::uint8_t*>(halves.data())};
    std::vector<std::uint8_t> packed(packed_group_bytes(DType::f14, kCols));
    const auto fits_with = [&](std::uint16_t half) {
        halves[17 * kCols + 5] = half;
        return kernels.pack_f14(matrix, 1, packed.data());
    };
    const auto fill = [&](std::uint16_t half) { std::fill_n(halves.begin() + 17 * kCols, kCols, half); };
    CHECK(fits_with(0x5BFF) && !fits_with(0x5C00));   // the largest below 256, and 256
    CHECK(!fits_with(0x7C00) && !fits_with(0x7E00));  // infinity, NaN
    fill(0);
    CHECK(fits_with(0) && fits_with(0x2000));
    fill(1);  // the smallest half
    CHECK(fits_with(1) && fits_with(0x03FF));
    // One weight is larger than the others: 64 times, and 128 times, which costs them their last bit.
    fill(0x0D55);
    CHECK(fits_with(0x2555) && !fits_with(0x2955));
    fill(0x0D54);
    CHECK(fits_with(0x2955));
}

void quantized_blocks_keep_their_sum(const Kernels& kernels) {
    // Blocks of zeros, of huge and of tiny values keep their products.
    for (const float scale : {0.0F, 1e-38F, 1e-20F, 1.0F, 1e30F}) {
        const std::vector<float> x = random_floats(kBlockSize, scale);
        ActivationBlock block;
        kernels.quantize(x.data(), kBlockSize, &block);
        CHECK(std::isfinite(block.scale) && block.scale >= 0);
        double total = 0;
        for (const float value : x) total += static_cast<double>(value);
        const double largest = static_cast<double>(std::abs(
            *std::max_element(x.begin(), x.end(), [](float a, float b) { return std::abs(a) < std::abs(b); })));
        if (scale != 1e-38F) {
            CHECK(std::abs(static_cast<double>(block.scale) * block.offset / -8 - total) <= 5e-4 * largest);
        }
    }
}

void int16_is_off_by_half_a_step_at_most(const Kernels& kernels) {
    for (const std::size_t count : {2, 10, 16, 64, 70}) {
        std::vector<float> x = random_floats(count, 3);
        std::vector<std::int16_t> integers(count + 1, 99);
        const auto scale = static_cast<double>(kernels.quantize_int16(x.data(), count, integers.data()));
        double largest = 0;
        for (const float value : x) largest = std::max(largest, std::abs(static_cast<double>(value)));
        CHECK(std::abs(scale * 32767 / largest - 1) < 1e-6);
        for (std::size_t i = 0; i < count; ++i) {
            CHECK(std::abs(scale * integers[i] - static_cast<double>(x[i])) <= 0.51 * scale);
        }
        CHECK(integers[count] == 99);
        x[count - 1] = std::numeric_limits<float>::infinity();
        CHECK(std::isnan(kernels.quantize_int16(x.data(), count, integers.data())));
        std::fill(x.begin(), x.end(), 0.0F);
        CHECK(kernels.quantize_int16(x.data(), count, integers.data()) == 0.0F && integers[0] == 0);
    }
}

void rmsnorm_equals_the_formula(const Kernels& kernels) {
    for (const std::size_t size : {2, 15, 16, 100, 384}) {
        const std::vector<float> x = random_floats(size);
        const std::vector<float> weight = random_floats(size);
        std::vector<float> out(size);
        kernels.rmsnorm(x.data(), weight.data(), size, 1e-5F, out.data());
        double squares = 0;
        for (const float value : x) squares += static_cast<double>(value) * static_cast<double>(value);
        const double factor = 1 / std::sqrt(squares / static_cast<double>(size) + 1e-5);
        for (std::size_t i = 0; i < size; ++i) {
            CHECK(std::abs(static_cast<double>(out[i]) -
                           static_cast<double>(x[i]) * factor * static_cast<double>(weight[i])) < 1e-5);
        }
    }
}

void rope_rotates_pairs(const Kernels& kernels) {
    std::vector<float> head = {1, 2, 3, 4};
    const float cos[] = {0, 1};
    const float sin[] = {1, 0};
    kernels.rope(head.data(), cos, sin, 2);
    CHECK((head == std::vector<float>{-3, 2, 1, 4}));
}

// An int16 cache with scales, and the same cache as floats.
struct TestCache {
    TestCache(std::size_t positions, std::size_t head_dim) : key_scales(positions), value_scales(positions) {
        std::uniform_int_distribution<int> integer(-32767, 32767);
        std::uniform_real_distribution<float> scale(1e-5F, 1e-4F);
        for (std::vector<float>* scales : {&key_scales, &value_scales}) {
            for (float& value : *scales) value = scale(generator);
        }
        for (std::size_t i = 0; i < positions * head_dim; ++i) {
            keys.push_back(static_cast<std::int16_t>(integer(generator)));
            values.push_back(static_cast<std::int16_t>(integer(generator)));
            const std::size_t group = i / (kLanes * head_dim);
            float_keys.push_back(key_scales[group * kLanes + i % kLanes] * keys[i]);
            float_values.push_back(value_scales[i / head_dim] * values[i]);
        }
    }
    HeadCache integers() { return {keys.data(), values.data(), key_scales.data(), value_scales.data()}; }
    HeadCache floats() { return {float_keys.data(), float_values.data(), nullptr, nullptr}; }

    std::vector<std::int16_t> keys, values;
    std::vector<float> key_scales, value_scales, float_keys, float_values;
};

// softmax(query · keys / sqrt(head_dim)) · values, with the keys in groups of sixteen positions.
std::vector<double> expected_attention(const float* query, const std::vector<float>& keys,
                                       const std::vector<float>& values, std::size_t positions, std::size_t head_dim) {
    std::vector<double> mixed(head_dim);
    double total = 0;
    for (std::size_t p = 0; p < positions; ++p) {
        double score = 0;
        for (std::size_t d = 0; d < head_dim; ++d) {
            score += static_cast<double>(query[d]) *
                     static_cast<double>(keys[p / kLanes * kLanes * head_dim + d * kLanes + p % kLanes]);
        }
        const double weight = std::exp(score / std::sqrt(static_cast<double>(head_dim)));
        total += weight;
        for (std::size_t d = 0; d < head_dim; ++d) mixed[d] += weight * static_cast<double>(values[p * head_dim + d]);
    }
    for (double& value : mixed) value /= total;
    return mixed;
}

void attention_equals_the_formula(const Kernels& kernels, std::size_t head_dim, std::size_t positions,
                                  std::size_t tokens) {
    const std::size_t stride = head_dim + 3;
    const std::size_t rounded = (positions + tokens - 1 + kLanes - 1) / kLanes * kLanes;
    const std::vector<float> queries = random_floats(tokens * stride, 3);
    TestCache cache(rounded, head_dim);
    for (const HeadCache& head : {cache.floats(), cache.integers()}) {
        std::vector<float> scores(kMaxAttentionTokens * rounded);
        std::vector<float> out = queries;
        kernels.attention({out.data(), stride, tokens, head, positions, head_dim, scores.data(), rounded, head});
        for (std::size_t t = 0; t < tokens; ++t) {
            const float* query = queries.data() + t * stride;
            const std::vector<double> expected =
                expected_attention(query, cache.float_keys, cache.float_values, positions + t, head_dim);
            for (std::size_t d = 0; d < head_dim; ++d) {
                CHECK(std::abs(static_cast<double>(out[t * stride + d]) - expected[d]) < 1e-5);
            }
            for (std::size_t d = head_dim; d < stride; ++d) CHECK(out[t * stride + d] == query[d]);
        }
    }
}

void gated_activation_equals_the_formula(const Kernels& kernels) {
    std::vector<float> gate;
    for (int i = -1203; i <= 1200; ++i) gate.push_back(static_cast<float>(i) * 0.1F);
    const std::vector<float> up = random_floats(gate.size());
    for (const Activation activation : {Activation::silu, Activation::gelu}) {
        std::vector<float> out = gate;
        kernels.gated_activation(activation, out.data(), up.data(), out.size());
        for (std::size_t i = 0; i < out.size(); ++i) {
            const auto x = static_cast<double>(gate[i]);
            const double factor =
                activation == Activation::silu ? 1 / (1 + std::exp(-x)) : 0.5 * std::erfc(-x / std::sqrt(2.0));
            const double expected = x * factor * static_cast<double>(up[i]);
            CHECK(std::abs(static_cast<double>(out[i]) - expected) <=
                  5e-7 * std::abs(static_cast<double>(up[i])) * (1 + std::abs(x)));
        }
    }
}

void an_unknown_kernel_set_is_refused() {
    const char* wanted = std::getenv("LAI_KERNELS");
    const std::string before = wanted == nullptr ? "" : wanted;
    ::setenv("LAI_KERNELS", "sse9", 1);
    CHECK(contains(refusal([] { choose_kernels(); }), "LAI_KERNELS is sse9, this machine can run"));
    ::setenv("LAI_KERNELS", before.c_str(), 1);
}

void stream_read_combines_the_words_it_reads(const Kernels& kernels) {
    // The result is the exclusive or of the first word of every vector.
    std::vector<std::uint8_t> data(1 << 14, 0);
    const std::int32_t zero = kernels.stream_read(data.data(), data.size());
    CHECK(zero == 0);
    data[data.size() / 2] = 5;
    CHECK(kernels.stream_read(data.data(), data.size()) == 5);
}

}  // namespace

int main() {
    const Kernels& kernels = kernels_under_test();
    an_unknown_kernel_set_is_refused();
    stream_read_combines_the_words_it_reads(kernels);
    matmul_is_right_for_all_dtypes_and_shapes(kernels);
    matmul_is_exact_for_every_half(kernels);
    if (kernels.pack_f14 != nullptr) {
        for (const std::size_t tokens : {1, 2, 5, 8, 13, 37}) {
            for (const int exponent : {0, 1, 7, 12, 22}) {
                f14_is_within_its_error_bounds(kernels, 16, 16, tokens, exponent, 1);
                f14_is_within_its_error_bounds(kernels, 53, 96, tokens, exponent, 1e-25F);
                f14_is_within_its_error_bounds(kernels, 3, 416, tokens, exponent, 1e25F);
                f14_is_within_its_error_bounds(kernels, 40, 4656, tokens, exponent, 0.005F);
            }
        }
        weights_that_f14_cannot_hold_are_refused(kernels);
    }
    quantized_blocks_keep_their_sum(kernels);
    int16_is_off_by_half_a_step_at_most(kernels);
    rmsnorm_equals_the_formula(kernels);
    rope_rotates_pairs(kernels);
    for (const std::size_t head_dim : {2, 10, 16, 64, 72, 200}) {
        for (const std::size_t positions : {1, 2, 15, 16, 17, 100}) {
            for (const std::size_t tokens : {1, 2, 4, 7})
                attention_equals_the_formula(kernels, head_dim, positions, tokens);
        }
    }
    gated_activation_equals_the_formula(kernels);
}
