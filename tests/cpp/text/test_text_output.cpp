#include "check.hpp"
#include "text/text_output.hpp"

#include <string>

using lai::json_string;
using lai::Utf8Stream;
using lai::valid_utf8;
using lai::visible;

namespace {

const std::string kNone = "\xEF\xBF\xBD";

void check_bytewise(const std::string& bytes) {
    Utf8Stream stream;
    std::string text;
    for (const char byte : bytes) {
        const std::string piece = stream.push(std::string(1, byte));
        CHECK(valid_utf8(piece) == piece);  // valid at every flush
        text += piece;
    }
    CHECK(text + stream.finish() == valid_utf8(bytes));
}

}  // namespace

int main() {
    Utf8Stream stream;
    CHECK(stream.push("a\xC3") == "a");
    CHECK(stream.push("\xA1") == "\xC3\xA1");
    CHECK(stream.push("\xF0\x9F\x99").empty());
    CHECK(stream.finish() == kNone);
    CHECK(stream.finish().empty());

    CHECK(valid_utf8("a\xC3") == "a" + kNone);
    CHECK(valid_utf8("\xC3z") == kNone + "z");
    CHECK(valid_utf8("\xFF\x80") == kNone + kNone);
    CHECK(valid_utf8("\xC0\x80") == kNone + kNone);                          // overlong
    CHECK(valid_utf8("\xE0\x80\x80") == kNone + kNone + kNone);              // overlong
    CHECK(valid_utf8("\xED\xA0\x80") == kNone + kNone + kNone);              // a surrogate
    CHECK(valid_utf8("\xF4\x90\x80\x80") == kNone + kNone + kNone + kNone);  // above U+10FFFF
    CHECK(valid_utf8("\xF0\x9F\x99\x82\xF4\x8F\xBF\xBF") == "\xF0\x9F\x99\x82\xF4\x8F\xBF\xBF");
    for (const char* bytes : {"\xF0\x9F\x99\x82", "\xF0\x9F\xC3\xA1", "\xE2\x82z", "\xED\xA0\x80", "\xFF\xFE\xC3"}) {
        check_bytewise(bytes);
    }

    CHECK(visible("a\tb\n\xC3\xA1 \xF0\x9F\x99\x82 \xE2\x80\x9E \xC2\xA0") ==
          "a\tb\n\xC3\xA1 \xF0\x9F\x99\x82 \xE2\x80\x9E \xC2\xA0");
    CHECK(visible(std::string("\0", 1)) == "\xE2\x90\x80");
    CHECK(visible("\x1B[2J\r\x07") == "\xE2\x90\x9B[2J\xE2\x90\x8D\xE2\x90\x87");
    CHECK(visible("\x1F\x7F") == "\xE2\x90\x9F\xE2\x90\xA1");
    CHECK(visible("\xC2\x80\xC2\x9B\xC2\x9F") == kNone + kNone + kNone);  // C1, as UTF-8
    CHECK(visible("\x9B\x31m") == kNone + "1m");                          // C1, as a byte
    CHECK(visible("\xE2\x80\xAE\xE2\x81\xA6\xE2\x81\xA9") == kNone + kNone + kNone);
    CHECK(visible("\xE2\x80\xA9\xE2\x80\xAF\xE2\x81\xA5\xE2\x81\xAA") ==
          "\xE2\x80\xA9\xE2\x80\xAF\xE2\x81\xA5\xE2\x81\xAA");

    CHECK(json_string("a\"b\\c\n\x01\x7F\xC3\xA1") == "\"a\\\"b\\\\c\\u000a\\u0001\\u007f\xC3\xA1\"");
}
