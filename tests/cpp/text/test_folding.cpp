#include "text/folding.hpp"

#include "check.hpp"

#include <string>

using lai::fold_text;

int main() {
    CHECK(fold_text("").empty());
    CHECK(fold_text("plain text\nof two lines") == "plain text\nof two lines");
    CHECK(fold_text("alma\xCC\x81t") == "alm\xC3\xA1t");              // NFD
    CHECK(fold_text("o\xCC\x8B u\xCC\x8B") == "\xC5\x91 \xC5\xB1");   // double acute
    CHECK(fold_text("a\xCC\x81\xCC\xA3") == "\xE1\xBA\xA1\xCC\x81");  // marks in order, then composed
    CHECK(fold_text("\xEF\xBB\xBF"
                    "a\xC2\xA0 \xE3\x80\x80"
                    "b  ") == "a b");  // U+FEFF, blanks
    CHECK(fold_text("al\xC2\xAD"
                    "ma\xE2\x80\x8B") == "alma");  // soft hyphen, zero width
    CHECK(fold_text(" a \r\n b\rc\xE2\x80\xA8"
                    "d\n\n") == "a\nb\nc\nd");                         // line ends
    CHECK(fold_text("\r\xE2\x80\x8B\na\r\xE2\x80\x8B\nb") == "a\nb");  // CRLF around an invisible
    CHECK(fold_text("\xE2\x80\x9E"
                    "a\xE2\x80\x9D \xE2\x80\x93 b\xE2\x80\x99s") == "\"a\" - b's");  // quotes, dashes
    CHECK(fold_text("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8") == "\xEA\xB0\x81");      // Hangul
    CHECK(fold_text("\xFF \xC3 \xED\xA0\x80 \xC0\x80 \xF4\x90\x80\x80") ==
          "\xFF \xC3 \xED\xA0\x80 \xC0\x80 \xF4\x90\x80\x80");
    CHECK(fold_text("\xC2\xE2\x80\x8B\xA0") == "\xC2\xE2\x80\x8B\xA0");  // would join to a blank
}
