#pragma once

#include "engine/generator.hpp"
#include "model/model_file.hpp"
#include "tools/options.hpp"

namespace lai {

// Chats on the terminal until /quit or the end of the input.
void chat(const ModelFile& file, Transformer& transformer, Sampler& sampler, const Options& options);

}  // namespace lai
