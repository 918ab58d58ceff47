#pragma once

#include "engine/transformer.hpp"
#include "kernels/kernels.hpp"
#include "model/model_file.hpp"
#include "model_bytes.hpp"

#include <algorithm>
#include <vector>

// A model of random float32 weights that runs on one thread.
struct SmallModel {
    explicit SmallModel(std::size_t context = 24)
        : content(model_bytes(config(context), lai::DType::f32, test_tokens(), false)),
          pool(1),
          file(content.path(), true, pool),
          transformer(file, pool, lai::choose_kernels()) {}

    static lai::ModelConfig config(std::size_t context) {
        return {32, 64, 2, 4, 2, test_tokens().size(), context, 10000.0F, 1e-5F, lai::Activation::silu};
    }

    // The logits of the last token, computed one token at a time with an empty cache.
    std::vector<float> logits(const std::vector<lai::TokenId>& tokens) {
        lai::KvCache cache = transformer.make_cache();
        const float* logits = nullptr;
        for (const lai::TokenId token : tokens) logits = transformer.forward(&token, 1, cache);
        return {logits, logits + transformer.config().vocab_size};
    }

    TemporaryFile content;
    lai::ThreadPool pool;
    lai::ModelFile file;
    lai::Transformer transformer;
};
