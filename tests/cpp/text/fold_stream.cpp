// Folds the texts on standard input, for tests/engine/test_folding.py. Each begins with its length as a little-endian
// u32, as does each folded text on standard output.

#include "text/folding.hpp"

#include <cstdint>
#include <cstdio>
#include <string>

int main() {
    for (std::uint32_t size = 0; std::fread(&size, sizeof size, 1, stdin) == 1;) {
        std::string text(size, '\0');
        if (std::fread(text.data(), 1, size, stdin) != size) return 1;
        text = lai::fold_text(text);
        size = static_cast<std::uint32_t>(text.size());
        std::fwrite(&size, sizeof size, 1, stdout);
        std::fwrite(text.data(), 1, size, stdout);
    }
    return std::fflush(stdout) == 0 ? 0 : 1;
}
