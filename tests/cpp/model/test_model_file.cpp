#include "model/model_file.hpp"

#include "check.hpp"
#include "model_bytes.hpp"
#include "refused.hpp"

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

using namespace lai;

namespace {

const std::vector<TestToken> kTokens = test_tokens();
const ModelConfig kConfig = {32, 64, 2, 4, 2, kTokens.size(), 50, 500.0F, 1e-3F, Activation::gelu};

std::string bytes_of(DType dtype, bool tied) { return model_bytes(kConfig, dtype, kTokens, tied); }

template <class Value>
std::string edited(std::string bytes, std::size_t offset, Value value) {
    bytes.replace(offset, sizeof value, reinterpret_cast<const char*>(&value), sizeof value);
    return bytes;
}

std::string refuse(const std::string& bytes) {
    const TemporaryFile content(bytes);
    ThreadPool pool(1);
    const std::string message = refusal([&] { const ModelFile file(content.path(), true, pool); });
    CHECK(message.empty() || contains(message, content.path()));
    return message;
}

std::uint32_t bitwise_crc(const std::string& bytes) {
    std::uint32_t crc = 0xFFFFFFFF;
    for (const char byte : bytes) {
        crc ^= static_cast<std::uint8_t>(byte);
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
    }
    return ~crc;
}

void the_header_is_read(DType dtype, bool tied) {
    std::string bytes = bytes_of(dtype, tied);
    bytes = edited(edited(edited(bytes, 88, std::uint64_t{10}), 96, std::uint64_t{2000}), 104, 2.5F);
    const TemporaryFile content(bytes);
    ThreadPool pool(1);
    const ModelFile file(content.path(), true, pool);
    const ModelConfig& config = file.config();
    CHECK(config.dim == 32 && config.hidden_dim == 64 && config.n_layers == 2 && config.n_heads == 4);
    CHECK(config.n_kv_heads == 2 && config.vocab_size == kTokens.size() && config.max_seq_len == 50);
    CHECK(config.rope_theta == 500.0F && config.norm_eps == 1e-3F && config.activation == Activation::gelu);
    CHECK(config.head_dim() == 8 && config.kv_dim() == 16);
    CHECK(file.dtype() == dtype && file.is_tied() == tied && file.version() == (dtype == DType::f32 && !tied ? 1 : 2));
    CHECK(file.checksum() == Checksum::unknown && file.vocabulary().size() == kTokens.size());
    CHECK(file.training().steps == 10 && file.training().tokens == 2000);
    CHECK(file.training().val_loss == 2.5F && file.training().val_loss_floor == 0);
    const std::size_t layer = 2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 64 + 2 * 32;
    CHECK(file.parameter_count() == (tied ? 1 : 2) * kTokens.size() * 32 + 32 + 2 * layer);
}

// The weights of model_bytes are drawn in the order of the file.
void tensors_are_where_the_file_has_them() {
    const TemporaryFile content(bytes_of(DType::f32, false));
    ThreadPool pool(1);
    const ModelFile file(content.path(), true, pool);
    std::mt19937 generator(7);
    std::normal_distribution<float> normal(0, 0.2F);
    const auto check_matrix = [&](const Matrix& matrix, std::size_t rows, std::size_t cols) {
        CHECK(matrix.rows == rows && matrix.cols == cols && matrix.dtype == DType::f32);
        for (std::size_t i = 0; i < rows * cols; ++i) {
            float value;
            std::memcpy(&value, matrix.data + 4 * i, sizeof value);
            CHECK(value == normal(generator));
        }
    };
    const auto check_norm = [&](const float* norm) {
        for (std::size_t i = 0; i < 32; ++i) CHECK(norm[i] == 1.0F + normal(generator));
    };
    const Weights& weights = file.weights();
    check_matrix(weights.token_embed, kTokens.size(), 32);
    check_matrix(weights.output, kTokens.size(), 32);
    check_norm(weights.final_norm);
    CHECK(weights.layers.size() == 2);
    for (const LayerWeights& layer : weights.layers) {
        check_matrix(layer.wq, 32, 32);
        check_matrix(layer.wk, 16, 32);
        check_matrix(layer.wv, 16, 32);
        check_matrix(layer.wo, 32, 32);
        check_matrix(layer.w_gate, 64, 32);
        check_matrix(layer.w_up, 64, 32);
        check_matrix(layer.w_down, 32, 64);
        check_norm(layer.attn_norm);
        check_norm(layer.ffn_norm);
    }
}

void equal_embedding_and_output_of_version_1_count_as_tied() {
    std::string bytes = bytes_of(DType::f32, false);
    std::uint64_t weights = 0;
    std::memcpy(&weights, bytes.data() + 57, sizeof weights);
    const std::size_t size = kTokens.size() * 32 * 4;
    std::memcpy(bytes.data() + weights + size, bytes.data() + weights, size);
    const TemporaryFile content(bytes);
    ThreadPool pool(1);
    CHECK(ModelFile(content.path(), true, pool).is_tied());
}

void the_checksum_tells_whether_the_content_is_correct() {
    // More than the megabyte that a thread checks at once.
    ModelConfig config = kConfig;
    config.hidden_dim = 8192;
    std::string bytes = model_bytes(config, DType::f32, kTokens, true);
    CHECK(bytes.size() > (std::size_t{1} << 20));
    bytes = edited(edited(bytes, 65, std::uint64_t{bytes.size()}), 73, bitwise_crc(bytes.substr(256)));
    ThreadPool pool(2);
    {
        const TemporaryFile content(bytes);
        CHECK(ModelFile(content.path(), true, pool).checksum() == Checksum::correct);
        CHECK(ModelFile(content.path(), false, pool).checksum() == Checksum::not_checked);
    }
    bytes[bytes.size() - 5] ^= 1;
    CHECK(contains(refuse(bytes), "does not match the checksum"));
    const TemporaryFile content(bytes);
    CHECK(ModelFile(content.path(), false, pool).checksum() == Checksum::not_checked);
}

void a_file_that_is_too_short_or_too_long_is_refused() {
    const std::string bytes = bytes_of(DType::q8_0, true);
    CHECK(refuse(bytes).empty());
    for (std::size_t size = 1; size < bytes.size(); size += size < 300 ? 1 : 997) {
        CHECK(!refuse(bytes.substr(0, size)).empty());
    }
    CHECK(contains(refuse(bytes + std::string(64, '\0')), "its header expects"));
    CHECK(contains(refuse(edited(bytes, 65, std::uint64_t{bytes.size() + 1})), "it was cut short or changed"));
    CHECK(contains(refuse("GGUF" + bytes.substr(4)), "is not a LAi model"));
}

void impossible_fields_are_refused() {
    const std::string bytes = bytes_of(DType::q8_0, true);
    CHECK(contains(refuse(edited(bytes, 4, std::uint32_t{3})), "format version 3, expected 1 or 2"));
    for (std::size_t offset = 8; offset < 36; offset += 4) {
        for (const std::int32_t value : {0, -1, (1 << 28) + 1}) CHECK(!refuse(edited(bytes, offset, value)).empty());
    }
    CHECK(contains(refuse(edited(bytes, 20, std::int32_t{3})), "expected a multiple of its n_heads 3"));
    CHECK(contains(refuse(edited(bytes, 24, std::int32_t{3})), "expected a multiple of its n_kv_heads 3"));
    CHECK(contains(refuse(edited(bytes, 12, std::int32_t{65})), "expected multiples of 32"));
    CHECK(contains(refuse(edited(bytes, 36, 0.0F)), "rope_theta"));
    CHECK(contains(refuse(edited(bytes, 40, std::nanf(""))), "norm_eps"));
    CHECK(contains(refuse(edited(bytes, 44, std::int32_t{2})), "expected 0 (SiLU) or 1 (GELU)"));
    CHECK(contains(refuse(edited(bytes, 48, std::uint8_t{4})), "weight dtype 4, expected 0 to 3"));
    CHECK(contains(refuse(edited(bytes, 77, std::uint32_t{4})), "flags 4, expected 0 to 3"));
    CHECK(contains(refuse(edited(bytes, 49, std::uint64_t{255})), "vocabulary at offset 255"));
    CHECK(contains(refuse(edited(bytes, 57, std::uint64_t{256})), "weights at offset 256"));
}

void a_manifest_stands_in_front_of_the_weights() {
    const std::string json = R"({"seed": 7})";
    std::string bytes = bytes_of(DType::f16, true);
    std::uint64_t weights = 0;
    std::memcpy(&weights, bytes.data() + 57, sizeof weights);
    bytes.insert(weights, json + std::string(64 - json.size(), '\0'));
    bytes = edited(edited(bytes, 57, weights + 64), 116, weights);
    bytes = edited(bytes, 124, static_cast<std::uint32_t>(json.size()));
    const TemporaryFile content(bytes);
    const TemporaryFile plain(bytes_of(DType::f16, true));
    ThreadPool pool(1);
    const ModelFile file(content.path(), true, pool);
    const ModelFile other(plain.path(), true, pool);
    CHECK(file.manifest() == json && other.manifest().empty());
    CHECK(std::memcmp(file.weights().final_norm, other.weights().final_norm, 32 * sizeof(float)) == 0);
    CHECK(contains(refuse(edited(bytes, 116, std::uint64_t{8})), "has a manifest of 11 bytes at offset 8"));
    CHECK(contains(refuse(edited(bytes, 116, weights + 60)), "in front of its weights"));
    CHECK(contains(refuse(edited(bytes, 124, std::uint32_t{65})), "has a manifest of 65 bytes"));
    CHECK(contains(refuse(edited(bytes, 116, ~std::uint64_t{0})), "has a manifest of 11 bytes"));
}

}  // namespace

int main() {
    for (const DType dtype : {DType::f32, DType::f16, DType::q4_0, DType::q8_0}) {
        the_header_is_read(dtype, true);
        the_header_is_read(dtype, false);
    }
    tensors_are_where_the_file_has_them();
    equal_embedding_and_output_of_version_1_count_as_tied();
    the_checksum_tells_whether_the_content_is_correct();
    a_file_that_is_too_short_or_too_long_is_refused();
    impossible_fields_are_refused();
    a_manifest_stands_in_front_of_the_weights();
}
