#pragma once

#include <cstdio>
#include <memory>
#include <string>

namespace lai {

// Reads a text file, or standard input if the path is "-". All methods throw Error if it cannot be read. They also
// throw if a line, or the rest, has more than 256 MB.
class TextInput {
public:
    explicit TextInput(std::string path);
    // Reads the next line without its line end. Returns false at the end of the text.
    bool next_line(std::string& line);
    // Everything that is not read yet.
    std::string read_rest();

private:
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };

    // Reads more of the file into the buffer. Returns false at its end.
    bool fill();

    std::string path_;
    std::unique_ptr<std::FILE, Close> opened_;
    std::FILE* file_;
    std::string buffer_;
    std::size_t read_ = 0;  // bytes of the buffer already returned
};

}  // namespace lai
