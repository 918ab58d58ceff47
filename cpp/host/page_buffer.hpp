#pragma once

#include <cstddef>
#include <cstdint>

namespace lai {

// Zeroed memory from the system, in large pages if available. Large pages save address translations when all of it is
// read for every token. They are also allocated faster.
class PageBuffer {
public:
    PageBuffer() = default;
    // Throws std::bad_alloc.
    explicit PageBuffer(std::size_t size);
    ~PageBuffer();
    PageBuffer(PageBuffer&& other) noexcept;
    PageBuffer& operator=(PageBuffer&& other) noexcept;
    PageBuffer(const PageBuffer&) = delete;
    PageBuffer& operator=(const PageBuffer&) = delete;

    std::uint8_t* data() const { return data_; }
    std::size_t size() const { return size_; }

private:
    void* mapping_ = nullptr;
    std::size_t mapped_ = 0;
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace lai
