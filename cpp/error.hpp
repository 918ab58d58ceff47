#pragma once

#include <stdexcept>

namespace lai {

// Something the user can put right. The message is one line: what was found, what was expected.
class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace lai
