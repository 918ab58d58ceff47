#pragma once

#include <stdexcept>

namespace lai {

// A mistake that the user can correct. The message is one line: what was found, what was expected.
class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// The message for a model whose logits are not finite.
inline constexpr const char* kNotANumber =
    "the model's output is not a number: its weights are damaged or its training diverged";

}  // namespace lai
