#pragma once

#include "generator.hpp"
#include "model_file.hpp"
#include "options.hpp"

namespace lai {

// A conversation on the terminal, until /quit or the end of the input.
void chat(const ModelFile& file, Transformer& transformer, Sampler& sampler, const Options& options);

}  // namespace lai
