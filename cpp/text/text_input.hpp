#pragma once

#include <cstdio>
#include <memory>
#include <string>

namespace lai {

// Reads a text file, or standard input where the path is "-". All of these throw Error where that cannot be read, or
// where a line, or what rest() is to give, has more than 256 MB.
class TextInput {
public:
    explicit TextInput(std::string path);
    // The next line without its end; false at the end of the text.
    bool next_line(std::string& line);
    // All that has not been read.
    std::string read_rest();

private:
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };

    // More of the file into the buffer; false at its end.
    bool fill();

    std::string path_;
    std::unique_ptr<std::FILE, Close> opened_;
    std::FILE* file_;
    std::string buffer_;
    std::size_t read_ = 0;  // bytes of the buffer that were handed out
};

}  // namespace lai
