// The same logits from one batch, from pieces and from single tokens; after a rewind of the cache; with any number of
// threads.

#include "check.hpp"
#include "engine/transformer.hpp"
#include "kernels_under_test.hpp"
#include "model/packing.hpp"
#include "model_bytes.hpp"

#include <cmath>

using namespace lai;

namespace {

constexpr std::size_t kTokens = 150;  // more than one batch

std::vector<float> logits_of(Transformer& transformer, const std::vector<TokenId>& tokens, std::size_t piece) {
    KvCache cache = transformer.make_cache();
    const float* logits = nullptr;
    for (std::size_t first = 0; first < tokens.size(); first += piece) {
        logits = transformer.forward(tokens.data() + first, std::min(piece, tokens.size() - first), cache);
    }
    CHECK(cache.length == tokens.size());
    return {logits, logits + transformer.config().vocab_size};
}

void check_close(const std::vector<float>& a, const std::vector<float>& b, float tolerance) {
    float largest = 0;
    for (const float value : a) largest = std::max(largest, std::abs(value));
    CHECK(largest > 0.01F);
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) <= tolerance * largest);
}

// All matrices of a model's matmuls.
std::vector<const Matrix*> matrices_of(const ModelFile& file) {
    std::vector<const Matrix*> matrices = {&file.weights().output};
    for (const LayerWeights& layer : file.weights().layers) {
        matrices.insert(matrices.end(),
                        {&layer.wq, &layer.wk, &layer.wv, &layer.wo, &layer.w_gate, &layer.w_up, &layer.w_down});
    }
    return matrices;
}

std::size_t bytes_as(DType dtype, const ModelFile& file) {
    std::size_t total = 0;
    for (const Matrix* matrix : matrices_of(file)) {
        total += is_packed(dtype) ? packed_groups(*matrix) * packed_group_bytes(dtype, matrix->cols) : matrix->bytes();
    }
    return total;
}

// Sets the last weight of every float16 matrix so large that f14 would lose too much.
void put_outliers(std::string& bytes) {
    constexpr std::uint16_t k256 = 0x5C00;
    const TemporaryFile content(bytes);
    ThreadPool pool(1);
    const ModelFile file(content.path(), true, pool);
    for (const Matrix* matrix : matrices_of(file)) {
        std::memcpy(bytes.data() + (matrix->data - file.file().data()) + matrix->bytes() - sizeof k256, &k256,
                    sizeof k256);
    }
}

void logits_do_not_depend_on_batches_cache_or_threads(const Kernels& kernels, DType dtype, bool tied,
                                                      std::size_t kv_heads, bool outliers = false) {
    const std::vector<TestToken> vocabulary = test_tokens();
    const ModelConfig config = {96, 160, 2, 6, kv_heads, vocabulary.size(), 200, 10000.0F, 1e-5F, Activation::silu};
    std::string bytes = model_bytes(config, dtype, vocabulary, tied);
    if (outliers) put_outliers(bytes);
    const TemporaryFile content(bytes);
    ThreadPool pool(1);
    const ModelFile file(content.path(), true, pool);
    CHECK(file.is_tied() == tied && file.checksum() == Checksum::unknown);
    std::vector<TokenId> tokens;
    for (std::size_t i = 0; i < kTokens; ++i) {
        tokens.push_back(static_cast<TokenId>((i * i * 7 + 5) % vocabulary.size()));
    }

    Transformer transformer(file, pool, kernels);
    const bool as_f14 = dtype == DType::f16 && kernels.pack_f14 != nullptr && !outliers;
    CHECK(transformer.weight_bytes() == bytes_as(as_f14 ? DType::f14 : dtype, file));
    const std::vector<float> at_once = logits_of(transformer, tokens, kTokens);
    // Quantizing activations is a step function: float noise from another order of summation can cross a step.
    const float tolerance = is_quantized(dtype) ? 5e-4F : 1e-5F;
    for (const std::size_t piece : {1, 4, 5, 128, 129}) {
        check_close(at_once, logits_of(transformer, tokens, piece), tolerance);
    }

    std::vector<float> all;
    KvCache cache = transformer.make_cache();
    transformer.forward_all(tokens.data(), kTokens, cache,
                            [&](std::size_t first, std::size_t count, const float* logits) {
                                CHECK(first * config.vocab_size == all.size());
                                all.insert(all.end(), logits, logits + count * config.vocab_size);
                            });
    check_close(at_once, {all.end() - static_cast<std::ptrdiff_t>(config.vocab_size), all.end()}, tolerance);
    // Rewinding the cache and computing the tokens again gives the same logits.
    cache.length = 40;
    const float* again = transformer.forward(tokens.data() + 40, kTokens - 40, cache);
    check_close(at_once, {again, again + config.vocab_size}, tolerance);

    ThreadPool many(4);
    Transformer shared(file, many, kernels);
    CHECK(logits_of(shared, tokens, kTokens) == at_once);
}

}  // namespace

int main() {
    const Kernels& kernels = kernels_under_test();
    for (const DType dtype : {DType::f32, DType::f16, DType::q4_0, DType::q8_0}) {
        logits_do_not_depend_on_batches_cache_or_threads(kernels, dtype, true, 6);
        logits_do_not_depend_on_batches_cache_or_threads(kernels, dtype, false, 2);
    }
    for (const bool tied : {true, false})
        logits_do_not_depend_on_batches_cache_or_threads(kernels, DType::f16, tied, 6, true);
}
