#pragma once

#include <string>
#include <string_view>

namespace lai {

// One form for text that looks the same, by the rules of lai/tokenizer/folding.py: invisible characters are dropped,
// every blank is one space, every line end is "\n", quotes and dashes are those of a keyboard, the rest is NFC, and
// nothing blank stands at the ends. Bytes that are no UTF-8 stay. Takes time linear in the length, but for sorting
// marks.
std::string fold_text(std::string_view text);

}  // namespace lai
