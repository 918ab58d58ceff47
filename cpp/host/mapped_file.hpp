#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace lai {

// A file's bytes, mapped read-only. Pages are read from disk when they are first touched.
class MappedFile {
public:
    explicit MappedFile(const std::string& path);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    const std::uint8_t* data() const { return data_; }
    std::size_t size() const { return size_; }

    // Maps the pages of these bytes at once where the system can. Asking for memory ahead takes far longer than reading it
    // where a page is not mapped yet.
    void populate(std::size_t begin, std::size_t end) const;

    // Gives the pages wholly inside these bytes back to the system; they are read again when touched again.
    void release(std::size_t begin, std::size_t end) const;

private:
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace lai
