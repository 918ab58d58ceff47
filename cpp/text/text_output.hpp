#pragma once

#include <string>
#include <string_view>

namespace lai {

// Turns the bytes of tokens into valid UTF-8. It holds a character back until it is complete and replaces invalid bytes
// by U+FFFD.
class Utf8Stream {
public:
    // Returns the characters that are complete.
    std::string push(std::string_view bytes);
    // Returns U+FFFD if the last character is incomplete.
    std::string finish();

private:
    std::string pending_;
};

// The same for a whole string.
std::string valid_utf8(std::string_view bytes);

// Both write to standard output; print_now also flushes it.
void print(std::string_view text);
void print_now(std::string_view text);

// A JSON string with its quotes. The text must be valid UTF-8.
std::string json_string(std::string_view text);

}  // namespace lai
