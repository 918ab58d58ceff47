#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace lai {

// A read-only memory-mapped file. The system reads a page from disk at its first access.
class MappedFile {
public:
    explicit MappedFile(const std::string& path);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    const std::uint8_t* data() const { return data_; }
    std::size_t size() const { return size_; }

    // Maps these pages at once, if the system can. Prefetching an unmapped page takes far longer than reading it.
    void populate(std::size_t begin, std::size_t end) const;

    // Releases the pages that lie entirely inside this range. The next access reads them again.
    void release(std::size_t begin, std::size_t end) const;

private:
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace lai
