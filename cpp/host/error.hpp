#pragma once

#include <stdexcept>

namespace lai {

// Something the user can put right. The message is one line: what was found, what was expected.
class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// What is said of a model whose logits are no numbers.
inline constexpr const char* kNotANumber = "the model's output is not a number: its weights are damaged or its training diverged";

}  // namespace lai
