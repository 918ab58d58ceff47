#include "text/text_input.hpp"

#include "host/error.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace lai {

namespace {

// The largest line or prompt, far more than any context holds. A device or a pipe may never end.
constexpr std::size_t kMaxBytes = 256'000'000;

[[noreturn]] void fail(const std::string& path) { throw Error("cannot read " + path + ": " + std::strerror(errno)); }

}  // namespace

TextInput::TextInput(std::string path) : path_(std::move(path)), file_(stdin) {
    if (path_ == "-") return;
    opened_.reset(std::fopen(path_.c_str(), "rb"));
    if (!opened_) fail(path_);
    file_ = opened_.get();
}

bool TextInput::fill() {
    std::array<char, 65536> piece;
    // After end-of-file a terminal can still be read, and the user would have to type Ctrl-D again.
    const std::size_t length = std::feof(file_) != 0 ? 0 : std::fread(piece.data(), 1, piece.size(), file_);
    if (std::ferror(file_) != 0) fail(path_);
    buffer_.erase(0, read_);
    read_ = 0;
    if (buffer_.size() + length > kMaxBytes) {
        throw Error("cannot read " + path_ + ": found more than 256 MB in one line or prompt, expected a shorter text");
    }
    buffer_.append(piece.data(), length);
    return length > 0;
}

bool TextInput::next_line(std::string& line) {
    std::size_t searched = read_;
    std::size_t end = 0;
    while ((end = buffer_.find('\n', searched)) == std::string::npos) {
        searched = buffer_.size() - read_;
        if (fill()) continue;
        if (buffer_.empty()) return false;
        end = buffer_.size();
        break;
    }
    line.assign(buffer_, read_, end - read_);
    read_ = std::min(end + 1, buffer_.size());
    return true;
}

std::string TextInput::read_rest() {
    while (fill()) {
    }
    return std::move(buffer_);
}

}  // namespace lai
