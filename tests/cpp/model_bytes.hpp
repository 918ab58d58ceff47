#pragma once

#include "model/model_file.hpp"
#include "model/packing.hpp"

#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

// Builds model files byte by byte from docs/format.md, for tests.

struct TestToken {
    std::string bytes;
    float score;
};

// Control tokens, bytes, the learned tokens, and the tags with all their prefixes.
inline std::vector<TestToken> test_tokens(const std::vector<TestToken>& learned = {}) {
    std::vector<TestToken> tokens = {{"<pad>", -1e10F}, {"<bos>", -1e10F}, {"<eos>", -1e10F}, {"<unk>", -1e10F}};
    for (int byte = 0; byte < 256; ++byte) tokens.push_back({std::string(1, static_cast<char>(byte)), -100});
    tokens.insert(tokens.end(), learned.begin(), learned.end());
    for (const std::string tag : {"<system>", "</system>", "<user>", "</user>", "<assistant>", "</assistant>"}) {
        for (std::size_t length = 2; length <= tag.size(); ++length) {
            tokens.push_back({tag.substr(0, length), 1000.0F + static_cast<float>(length)});
        }
    }
    return tokens;
}

template <class Value>
void put_value(std::string& data, Value value) {
    data.append(reinterpret_cast<const char*>(&value), sizeof value);
}

inline std::string vocabulary_bytes(const std::vector<TestToken>& tokens) {
    std::string data;
    put_value<std::uint32_t>(data, 0x4C414956);
    put_value<std::uint32_t>(data, 1);
    put_value(data, static_cast<std::uint32_t>(tokens.size()));
    for (const TestToken& token : tokens) {
        put_value(data, static_cast<std::uint32_t>(token.bytes.size()));
        data += token.bytes;
        put_value(data, token.score);
    }
    return data;
}

// A model with random weights. Scales of blocks and halves are small.
inline std::string model_bytes(const lai::ModelConfig& config, lai::DType dtype, const std::vector<TestToken>& tokens,
                               bool tied) {
    std::string data = "LAi1";
    const bool version1 = dtype == lai::DType::f32 && !tied;
    put_value<std::uint32_t>(data, version1 ? 1 : 2);
    for (const std::size_t size : {config.dim, config.hidden_dim, config.n_layers, config.n_heads, config.n_kv_heads,
                                   tokens.size(), config.max_seq_len}) {
        put_value(data, static_cast<std::int32_t>(size));
    }
    put_value(data, config.rope_theta);
    put_value(data, config.norm_eps);
    put_value(data, config.activation);
    put_value(data, dtype);
    const std::string vocabulary = vocabulary_bytes(tokens);
    const std::size_t weights = (256 + vocabulary.size() + 63) / 64 * 64;
    put_value<std::uint64_t>(data, 256);
    put_value<std::uint64_t>(data, weights);
    put_value<std::uint64_t>(data, 0);
    put_value<std::uint32_t>(data, 0);
    put_value<std::uint32_t>(data, tied ? 1 : 0);
    data.resize(256);
    data += vocabulary;
    data.resize(weights);
    std::mt19937 generator(7);
    std::normal_distribution<float> normal(0, 0.2F);
    const auto align = [&] {
        if (!version1) data.resize((data.size() + 63) / 64 * 64);
    };
    const auto matrix = [&](std::size_t rows, std::size_t cols) {
        align();
        if (dtype == lai::DType::f32) {
            for (std::size_t i = 0; i < rows * cols; ++i) put_value(data, normal(generator));
            return;
        }
        const std::size_t step = dtype == lai::DType::f16 ? 2 : lai::weight_bytes(dtype, lai::kBlockSize);
        for (std::size_t i = 0; i < rows * lai::weight_bytes(dtype, cols); ++i) {
            const auto byte = static_cast<unsigned>(generator() & 255U);
            data += static_cast<char>(i % step == 1 ? (byte & 0x83U) | 0x20U : byte);
        }
    };
    const auto norm = [&] {
        align();
        for (std::size_t i = 0; i < config.dim; ++i) put_value(data, 1.0F + normal(generator));
    };
    matrix(tokens.size(), config.dim);
    if (!tied) matrix(tokens.size(), config.dim);
    norm();
    for (std::size_t layer = 0; layer < config.n_layers; ++layer) {
        for (const std::size_t rows :
             {config.dim, config.kv_dim(), config.kv_dim(), config.dim, config.hidden_dim, config.hidden_dim}) {
            matrix(rows, config.dim);
        }
        matrix(config.dim, config.hidden_dim);
        norm();
        norm();
    }
    return data;
}

// A file that the destructor removes.
class TemporaryFile {
public:
    explicit TemporaryFile(const std::string& content) {
        const char* folder = std::getenv("TMPDIR");
        path_ = std::string(folder != nullptr ? folder : "/tmp") + "/lai-test-XXXXXX";
        const int descriptor = ::mkstemp(path_.data());
        std::FILE* file = ::fdopen(descriptor, "wb");
        std::fwrite(content.data(), 1, content.size(), file);
        std::fclose(file);
    }
    ~TemporaryFile() { ::unlink(path_.c_str()); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    const std::string& path() const { return path_; }

private:
    std::string path_;
};
