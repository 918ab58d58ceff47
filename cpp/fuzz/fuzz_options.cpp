// Takes any bytes as a command line, whose arguments end at zero bytes. It must be understood or refused with an Error.

#include "host/error.hpp"
#include "tools/options.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string text = "lai";
    text += '\0';
    text.append(reinterpret_cast<const char*>(data), size);
    std::vector<char*> arguments;
    for (std::size_t at = 0; at < text.size(); at += std::string_view(text.data() + at).size() + 1) {
        arguments.push_back(text.data() + at);
    }
    const int count = static_cast<int>(arguments.size());
    arguments.push_back(nullptr);
    try {
        lai::parse_options(count, arguments.data());
    } catch (const lai::Error&) {
    }
    return 0;
}
