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

// The text as a terminal may show it: a control character other than a line feed or a tab, and a character that turns
// the direction of writing, would command the terminal. It becomes its picture (ESC: U+241B) or U+FFFD, as do invalid
// bytes.
std::string visible(std::string_view text);

// Both write to standard output, to a terminal what is visible; print_now also flushes it.
void print(std::string_view text);
void print_now(std::string_view text);

// Writes a line to the error output, to a terminal what is visible.
void print_error(std::string_view line);

// A JSON string with its quotes. The text must be valid UTF-8.
std::string json_string(std::string_view text);

}  // namespace lai
