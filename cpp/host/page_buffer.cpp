#include "host/page_buffer.hpp"

#include <sys/mman.h>
#include <new>
#include <utility>

namespace lai {

namespace {

constexpr std::size_t kLargePage = std::size_t{2} << 20;

}  // namespace

PageBuffer::PageBuffer(std::size_t size) : mapped_(size + kLargePage), size_(size) {
    mapping_ = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping_ == MAP_FAILED) throw std::bad_alloc();
    const auto address = reinterpret_cast<std::uintptr_t>(mapping_);
    data_ = static_cast<std::uint8_t*>(mapping_) + (kLargePage - address % kLargePage) % kLargePage;
#if defined(MADV_HUGEPAGE)
    // Only whole large pages. The rest uses small pages, so that memory beyond `size` stays unused.
    if (size >= kLargePage) ::madvise(data_, size / kLargePage * kLargePage, MADV_HUGEPAGE);
#endif
}

PageBuffer::~PageBuffer() {
    if (mapping_ != nullptr) ::munmap(mapping_, mapped_);
}

PageBuffer::PageBuffer(PageBuffer&& other) noexcept { *this = std::move(other); }

PageBuffer& PageBuffer::operator=(PageBuffer&& other) noexcept {
    std::swap(mapping_, other.mapping_);
    std::swap(mapped_, other.mapped_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

}  // namespace lai
