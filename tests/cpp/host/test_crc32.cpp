#include "check.hpp"
#include "host/crc32.hpp"

#if defined(__x86_64__)
#include "host/crc32_x86.hpp"
#endif

#include <string>
#include <vector>

namespace {

std::uint32_t bitwise(const std::vector<std::uint8_t>& data) {
    std::uint32_t crc = 0xFFFFFFFF;
    for (const std::uint8_t byte : data) {
        crc ^= byte;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
    }
    return ~crc;
}

#if defined(__x86_64__)
using Fold = std::size_t (*)(const std::uint8_t*, std::size_t, std::uint32_t, std::uint8_t*);

// The sixteen folded bytes have the CRC of all bytes read.
void folded_bytes_have_the_crc_of_all_bytes(Fold fold, std::size_t step, const std::vector<std::uint8_t>& data) {
    for (std::size_t size = step; size <= data.size(); size += 61) {
        std::vector<std::uint8_t> folded(16);
        const std::size_t done = fold(data.data(), size, 0xFFFFFFFF, folded.data());
        CHECK(done == size / step * step);
        // bitwise() starts with ones, but the folded bytes need a start of zero. Inverting the first four makes up for
        // that.
        for (std::size_t i = 0; i < 4; ++i) folded[i] = static_cast<std::uint8_t>(~folded[i]);
        CHECK(bitwise(folded) == bitwise({data.begin(), data.begin() + static_cast<std::ptrdiff_t>(done)}));
    }
}
#endif

}  // namespace

int main() {
    // The check value of the CRC catalogues.
    const std::string digits = "123456789";
    CHECK(lai::crc32(reinterpret_cast<const std::uint8_t*>(digits.data()), digits.size()) == 0xCBF43926);
    CHECK(lai::crc32(nullptr, 0) == 0);

    std::vector<std::uint8_t> data;
    for (std::uint32_t i = 0; i < 3000; ++i) {
        data.push_back(static_cast<std::uint8_t>(i * i * 31 >> 3));
        if (i < 300 || i % 97 == 0) CHECK(lai::crc32(data.data(), data.size()) == bitwise(data));
    }
    for (const std::size_t cut : {std::size_t{1}, std::size_t{100}, std::size_t{1024}, data.size()}) {
        const std::uint32_t first = lai::crc32(data.data(), cut);
        CHECK(lai::crc32(data.data() + cut, data.size() - cut, first) == bitwise(data));
        const std::uint32_t second = lai::crc32(data.data() + cut, data.size() - cut);
        CHECK(lai::crc32_combine(first, second, data.size() - cut) == bitwise(data));
    }
    // Every offset from an aligned address.
    for (std::size_t start = 0; start < 64; ++start) {
        CHECK(lai::crc32(data.data() + start, 2000) ==
              bitwise({data.begin() + static_cast<std::ptrdiff_t>(start),
                       data.begin() + static_cast<std::ptrdiff_t>(start) + 2000}));
    }
#if defined(__x86_64__)
    if (lai::can_fold()) folded_bytes_have_the_crc_of_all_bytes(lai::crc32_fold, 64, data);
    if (lai::can_fold_wide()) folded_bytes_have_the_crc_of_all_bytes(lai::crc32_fold_wide, 128, data);
#endif
}
