#pragma once

#include <string>
#include <string_view>

namespace lai {

// Turns the bytes of tokens into valid UTF-8: holds back a character until it is whole, and puts U+FFFD in the place of
// bytes that are none.
class Utf8Stream {
public:
    // The characters that have become whole.
    std::string push(std::string_view bytes);
    // What is left at the end: U+FFFD where a character was cut off.
    std::string finish();

private:
    std::string pending_;
};

// The same for bytes that are all there.
std::string valid_utf8(std::string_view bytes);

// Writes to standard output; the second at once, for a person who waits.
void print(std::string_view text);
void print_now(std::string_view text);

// A JSON string, quotes included. The text is valid UTF-8.
std::string json_string(std::string_view text);

}  // namespace lai
