#include "model/model_file.hpp"

#include "host/crc32.hpp"
#include "host/error.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace lai {

namespace {

constexpr std::size_t kHeaderSize = 256;
constexpr std::size_t kAlignment = 64;
constexpr std::uint32_t kFlagTied = 1;
constexpr std::uint32_t kFlagUnfolded = 2;
// Far above any model of today. Products of sizes stay within 64 bits, positions within 32.
constexpr std::size_t kMaxSize = std::size_t{1} << 28;
constexpr std::size_t kMaxContext = std::size_t{1} << 24;
constexpr std::size_t kMaxManifest = std::size_t{1} << 20;

// The header is packed without padding, so fields are copied out.
template <class Value>
Value field(const MappedFile& file, std::size_t offset) {
    Value value;
    std::memcpy(&value, file.data() + offset, sizeof value);
    return value;
}

std::size_t align_up(std::size_t offset) { return (offset + kAlignment - 1) / kAlignment * kAlignment; }

// Returns the tensors of a file one after another. Past the end it only adds up the expected size.
class TensorCursor {
public:
    TensorCursor(const MappedFile& file, std::size_t offset, DType dtype, bool align)
        : file_(file), offset_(offset), dtype_(dtype), align_(align) {}

    Matrix matrix(std::size_t rows, std::size_t cols) {
        return {dtype_, rows, cols, take(weight_bytes(dtype_, rows * cols))};
    }
    // Norms are aligned to four bytes: so are the start of the weights and the size of every tensor.
    const float* norm(std::size_t size) {
        return static_cast<const float*>(static_cast<const void*>(take(size * sizeof(float))));
    }
    std::size_t offset() const { return offset_; }

private:
    const std::uint8_t* take(std::size_t bytes) {
        if (align_) offset_ = align_up(offset_);
        const std::uint8_t* data = offset_ <= file_.size() ? file_.data() + offset_ : nullptr;
        offset_ += bytes;
        return data;
    }

    const MappedFile& file_;
    std::size_t offset_;
    DType dtype_;
    bool align_;
};

}  // namespace

ModelFile::ModelFile(const std::string& path, bool verify, ThreadPool& pool) : path_(path), file_(path) {
    if (file_.size() < 4 || std::memcmp(file_.data(), "LAi1", 4) != 0) {
        fail("is not a LAi model: a model file starts with the letters LAi1");
    }
    if (file_.size() < kHeaderSize) {
        fail("is cut short: " + std::to_string(file_.size()) + " bytes found, a header of 256 expected");
    }
    read_header();
    read_training();
    check_config();
    if (const auto file_size = field<std::uint64_t>(file_, 65); file_size != 0) {
        check_size(file_size);
        checksum_ = Checksum::not_checked;
        if (verify) check_crc32(field<std::uint32_t>(file_, 73), pool);
    }
    read_vocabulary(field<std::uint64_t>(file_, 49), field<std::uint64_t>(file_, 57));
    read_manifest(field<std::uint64_t>(file_, 116), field<std::uint32_t>(file_, 124));
    locate_weights();
}

void ModelFile::fail(const std::string& what) const { throw Error(path_ + " " + what); }

void ModelFile::read_header() {
    version_ = field<std::uint32_t>(file_, 4);
    if (version_ != 1 && version_ != 2) fail("has format version " + std::to_string(version_) + ", expected 1 or 2");
    const std::pair<const char*, std::size_t*> sizes[] = {{"dim", &config_.dim},
                                                          {"hidden_dim", &config_.hidden_dim},
                                                          {"n_layers", &config_.n_layers},
                                                          {"n_heads", &config_.n_heads},
                                                          {"n_kv_heads", &config_.n_kv_heads},
                                                          {"vocab_size", &config_.vocab_size},
                                                          {"max_seq_len", &config_.max_seq_len}};
    std::size_t offset = 8;
    for (const auto& [name, size] : sizes) {
        const auto value = field<std::int32_t>(file_, offset);
        if (value < 1 || static_cast<std::size_t>(value) > kMaxSize) {
            fail(std::string("has ") + name + " " + std::to_string(value) + " in its header, expected 1 to 2^28");
        }
        *size = static_cast<std::size_t>(value);
        offset += 4;
    }
    config_.rope_theta = field<float>(file_, 36);
    config_.norm_eps = field<float>(file_, 40);
    const auto activation = field<std::int32_t>(file_, 44);
    if (activation != 0 && activation != 1) {
        fail("has activation " + std::to_string(activation) + " in its header, expected 0 (SiLU) or 1 (GELU)");
    }
    config_.activation = static_cast<Activation>(activation);
    const auto dtype = field<std::uint8_t>(file_, 48);
    if (dtype > (version_ == 1 ? 0 : 3)) {
        fail("has weight dtype " + std::to_string(dtype) + ", expected " +
             (version_ == 1 ? "0 in version 1" : "0 to 3"));
    }
    dtype_ = static_cast<DType>(dtype);
    const auto flags = field<std::uint32_t>(file_, 77);
    check_flags(flags);
    tied_ = (flags & kFlagTied) != 0;
    folds_prompts_ = (flags & kFlagUnfolded) == 0;
}

void ModelFile::read_training() {
    const auto loss = [&](std::size_t offset) {
        const auto value = field<float>(file_, offset);
        return std::isfinite(value) && value > 0 ? value : 0.0F;
    };
    training_ = {field<std::uint64_t>(file_, 88), field<std::uint64_t>(file_, 96), loss(104), loss(108),
                 field<std::uint32_t>(file_, 112)};
}

void ModelFile::check_flags(std::uint32_t flags) const {
    const std::uint32_t known = version_ == 1 ? kFlagUnfolded : kFlagTied | kFlagUnfolded;
    if ((flags & ~known) != 0) {
        fail("has flags " + std::to_string(flags) + ", expected " + (version_ == 1 ? "0 or 2 in version 1" : "0 to 3"));
    }
}

void ModelFile::check_config() const {
    const auto text = [](std::size_t number) { return std::to_string(number); };
    if (config_.dim % config_.n_heads != 0) {
        fail("has dim " + text(config_.dim) + ", expected a multiple of its n_heads " + text(config_.n_heads));
    }
    if (config_.head_dim() % 2 != 0) {
        fail("has heads of width " + text(config_.head_dim()) + ", expected an even width");
    }
    if (config_.n_heads % config_.n_kv_heads != 0) {
        fail("has n_heads " + text(config_.n_heads) + ", expected a multiple of its n_kv_heads " +
             text(config_.n_kv_heads));
    }
    if (config_.max_seq_len > kMaxContext) {
        fail("has max_seq_len " + text(config_.max_seq_len) + ", expected at most " + text(kMaxContext));
    }
    const auto positive = [](float value) { return std::isfinite(value) && value > 0; };
    if (!positive(config_.rope_theta)) fail("has a rope_theta that is not a positive number");
    if (!positive(config_.norm_eps)) fail("has a norm_eps that is not a positive number");
    if (is_quantized(dtype_) && (config_.dim % kBlockSize != 0 || config_.hidden_dim % kBlockSize != 0)) {
        fail("has dim " + text(config_.dim) + " and hidden_dim " + text(config_.hidden_dim) +
             ", expected multiples of 32 for " + dtype_name(dtype_));
    }
}

void ModelFile::check_size(std::uint64_t file_size) const {
    if (file_size != file_.size()) {
        fail("has " + std::to_string(file_.size()) + " bytes, its header expects " + std::to_string(file_size) +
             ": it was cut short or changed");
    }
}

void ModelFile::check_crc32(std::uint32_t stored, ThreadPool& pool) {
    constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
    std::vector<std::uint32_t> pieces((file_.size() - kHeaderSize + kPieceBytes - 1) / kPieceBytes);
    const auto offset_of = [&](std::size_t piece) { return std::min(kHeaderSize + piece * kPieceBytes, file_.size()); };
    pool.parallel_for(pieces.size(), [&](std::size_t piece) {
        file_.populate(offset_of(piece), offset_of(piece + 1));
        pieces[piece] = crc32(file_.data() + offset_of(piece), offset_of(piece + 1) - offset_of(piece));
    });
    std::uint32_t crc = 0;
    for (std::size_t piece = 0; piece < pieces.size(); ++piece) {
        crc = crc32_combine(crc, pieces[piece], offset_of(piece + 1) - offset_of(piece));
    }
    if (crc != stored) {
        fail("is damaged: its content does not match the checksum in its header");
    }
    checksum_ = Checksum::correct;
}

void ModelFile::read_vocabulary(std::uint64_t vocab_offset, std::uint64_t weights_offset) {
    if (vocab_offset < kHeaderSize || vocab_offset > file_.size()) {
        fail("has its vocabulary at offset " + std::to_string(vocab_offset) + ", expected 256 or more");
    }
    const auto offset = static_cast<std::size_t>(vocab_offset);
    vocabulary_ = std::make_unique<Vocabulary>(file_.data() + offset, file_.size() - offset, path_);
    if (vocabulary_->size() != config_.vocab_size) {
        fail("has a vocabulary of " + std::to_string(vocabulary_->size()) + " tokens, its header expects " +
             std::to_string(config_.vocab_size));
    }
    const std::size_t expected = align_up(offset + vocabulary_->bytes_read());
    if (weights_offset < expected || weights_offset > file_.size() || weights_offset % kAlignment != 0) {
        fail("has its weights at offset " + std::to_string(weights_offset) + ", expected " + std::to_string(expected) +
             " or a later multiple of 64");
    }
    weights_offset_ = static_cast<std::size_t>(weights_offset);
}

void ModelFile::read_manifest(std::uint64_t offset, std::uint32_t size) {
    if (size == 0) return;
    if (size > kMaxManifest || offset < kHeaderSize || offset > weights_offset_ || size > weights_offset_ - offset) {
        fail("has a manifest of " + std::to_string(size) + " bytes at offset " + std::to_string(offset) +
             ", expected at most 2^20 in front of its weights at " + std::to_string(weights_offset_));
    }
    manifest_ = {reinterpret_cast<const char*>(file_.data()) + offset, size};
}

void ModelFile::locate_weights() {
    const std::size_t dim = config_.dim;
    const std::size_t hidden = config_.hidden_dim;
    // A layer is larger than its norms. An impossible count is refused before memory is reserved.
    if (config_.n_layers > file_.size() / (8 * dim)) {
        fail("has " + std::to_string(config_.n_layers) + " layers in its header, more than its " +
             std::to_string(file_.size()) + " bytes have room for");
    }
    // Sizes are at most 2^28, so a layer adds less than 2^62 bytes. A check after each layer keeps the sum from
    // overflowing.
    TensorCursor cursor(file_, weights_offset_, dtype_, version_ == 2);
    const auto check = [&] {
        if (cursor.offset() > file_.size()) {
            fail("has " + std::to_string(file_.size()) + " bytes, its header expects more than " +
                 std::to_string(cursor.offset() - 1));
        }
    };
    weights_.token_embed = cursor.matrix(config_.vocab_size, dim);
    weights_.output = tied_ ? weights_.token_embed : cursor.matrix(config_.vocab_size, dim);
    weights_.final_norm = cursor.norm(dim);
    check();
    for (std::size_t layer = 0; layer < config_.n_layers; ++layer) {
        LayerWeights weights{};
        weights.wq = cursor.matrix(dim, dim);
        weights.wk = cursor.matrix(config_.kv_dim(), dim);
        weights.wv = cursor.matrix(config_.kv_dim(), dim);
        weights.wo = cursor.matrix(dim, dim);
        weights.w_gate = cursor.matrix(hidden, dim);
        weights.w_up = cursor.matrix(hidden, dim);
        weights.w_down = cursor.matrix(dim, hidden);
        weights.attn_norm = cursor.norm(dim);
        weights.ffn_norm = cursor.norm(dim);
        check();
        weights_.layers.push_back(weights);
    }
    if (file_.size() - cursor.offset() >= kAlignment) {
        fail("has " + std::to_string(file_.size()) + " bytes, its header expects " + std::to_string(cursor.offset()));
    }
}

bool ModelFile::is_tied() const {
    if (tied_) return true;
    const std::size_t bytes = weights_.token_embed.bytes();
    const bool equal = std::memcmp(weights_.token_embed.data, weights_.output.data, bytes) == 0;
    const auto begin = static_cast<std::size_t>(weights_.token_embed.data - file_.data());
    file_.release(begin, begin + bytes);  // only single rows of the embedding are read
    return equal;
}

std::size_t ModelFile::parameter_count() const {
    const std::size_t dim = config_.dim;
    const std::size_t embedding = config_.vocab_size * dim * (is_tied() ? 1 : 2);
    const std::size_t attention = 2 * dim * dim + 2 * config_.kv_dim() * dim;
    const std::size_t layer = attention + 3 * dim * config_.hidden_dim + 2 * dim;
    return embedding + dim + config_.n_layers * layer;
}

}  // namespace lai
