#include "text/text_output.hpp"

#include <unistd.h>
#include <array>
#include <cstddef>
#include <cstdio>

namespace lai {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Character {
    std::size_t length;  // bytes of a complete character, or of the invalid or incomplete part
    enum { complete, invalid, incomplete } state;
};

// The range of the second byte excludes overlong forms, surrogates and values above U+10FFFF (Unicode, table 3-7).
Character decode_character(std::string_view bytes) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    const unsigned lead = byte(0);
    if (lead < 0x80) return {1, Character::complete};
    if (lead < 0xC2 || lead > 0xF4) return {1, Character::invalid};
    const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    for (std::size_t i = 1; i < length; ++i) {
        if (i == bytes.size()) return {i, Character::incomplete};
        unsigned min = 0x80;
        unsigned max = 0xBF;
        if (i == 1 && lead == 0xE0) min = 0xA0;
        if (i == 1 && lead == 0xED) max = 0x9F;
        if (i == 1 && lead == 0xF0) min = 0x90;
        if (i == 1 && lead == 0xF4) max = 0x8F;
        if (byte(i) < min || byte(i) > max) return {i, Character::invalid};
    }
    return {length, Character::complete};
}

bool is_control(std::string_view character) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
    if (character.size() == 1) return (byte(0) < 0x20 && byte(0) != '\n' && byte(0) != '\t') || byte(0) == 0x7F;
    if (character.size() == 2) return byte(0) == 0xC2 && byte(1) < 0xA0;  // U+0080 to U+009F
    if (character.size() != 3 || byte(0) != 0xE2) return false;
    // U+202A to U+202E and U+2066 to U+2069: embeddings, overrides and isolates of a direction.
    return (byte(1) == 0x80 && byte(2) >= 0xAA && byte(2) <= 0xAE) ||
           (byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9);
}

// U+2400 to U+2421 show the control characters of ASCII.
std::string picture(std::string_view character) {
    if (character.size() > 1) return std::string(kReplacement);
    const int code = character[0] == 0x7F ? 0x21 : character[0];
    return {'\xE2', '\x90', static_cast<char>(0x80 + code)};
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
    pending_ += bytes;
    std::string text;
    std::string_view rest = pending_;
    while (!rest.empty()) {
        const Character character = decode_character(rest);
        if (character.state == Character::incomplete) break;
        text += character.state == Character::complete ? rest.substr(0, character.length) : kReplacement;
        rest.remove_prefix(character.length);
    }
    pending_ = std::string(rest);
    return text;
}

std::string Utf8Stream::finish() {
    std::string text(pending_.empty() ? "" : kReplacement);
    pending_.clear();
    return text;
}

std::string valid_utf8(std::string_view bytes) {
    Utf8Stream stream;
    const std::string text = stream.push(bytes);
    return text + stream.finish();
}

std::string visible(std::string_view text) {
    const std::string valid = valid_utf8(text);
    std::string shown;
    for (std::string_view rest = valid; !rest.empty();) {
        const std::string_view character = rest.substr(0, decode_character(rest).length);
        shown += is_control(character) ? picture(character) : std::string(character);
        rest.remove_prefix(character.size());
    }
    return shown;
}

void print(std::string_view text) {
    static const bool is_terminal = ::isatty(STDOUT_FILENO) != 0;
    const std::string shown = is_terminal ? visible(text) : std::string();
    if (is_terminal) text = shown;
    std::fwrite(text.data(), 1, text.size(), stdout);
}

void print_now(std::string_view text) {
    print(text);
    std::fflush(stdout);
}

void print_error(std::string_view line) {
    static const bool is_terminal = ::isatty(STDERR_FILENO) != 0;
    const std::string shown = is_terminal ? visible(line) : std::string(line);
    std::fprintf(stderr, "%s\n", shown.c_str());
}

std::string json_string(std::string_view text) {
    std::string quoted = "\"";
    for (const char character : text) {
        const auto code = static_cast<unsigned char>(character);
        if (character == '"' || character == '\\') {
            quoted += '\\';
            quoted += character;
        } else if (code < 0x20 || code == 0x7F) {
            std::array<char, 8> escape{};
            std::snprintf(escape.data(), escape.size(), "\\u%04x", code);
            quoted += escape.data();
        } else {
            quoted += character;
        }
    }
    return quoted + "\"";
}

}  // namespace lai
