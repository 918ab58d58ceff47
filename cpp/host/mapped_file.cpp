#include "host/mapped_file.hpp"

#include "host/error.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

namespace lai {

namespace {

[[noreturn]] void fail(const std::string& path, const std::string& reason) {
    throw Error("cannot read the model file " + path + ": " + reason);
}

std::size_t page_bytes() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

}  // namespace

MappedFile::MappedFile(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) fail(path, std::strerror(errno));
    struct stat status{};
    const bool known = ::fstat(descriptor, &status) == 0;
    if (!known || !S_ISREG(status.st_mode) || status.st_size <= 0) {
        ::close(descriptor);
        fail(path, known && S_ISREG(status.st_mode) ? "it is empty" : "it is not a regular file");
    }
    size_ = static_cast<std::size_t>(status.st_size);
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    const int error = errno;
    ::close(descriptor);
    if (address == MAP_FAILED) fail(path, std::strerror(error));
    data_ = static_cast<std::uint8_t*>(address);
}

MappedFile::~MappedFile() { ::munmap(data_, size_); }

void MappedFile::populate([[maybe_unused]] std::size_t begin, [[maybe_unused]] std::size_t end) const {
#if defined(MADV_POPULATE_READ)
    const std::size_t first = begin / page_bytes() * page_bytes();
    ::madvise(data_ + first, end - first, MADV_POPULATE_READ);
#endif
}

void MappedFile::release(std::size_t begin, std::size_t end) const {
    const std::size_t page = page_bytes();
    const std::size_t first = (begin + page - 1) / page * page;
    const std::size_t last = end / page * page;
    if (first < last) ::madvise(data_ + first, last - first, MADV_DONTNEED);
}

}  // namespace lai
