#include "check.hpp"
#include "crc32.hpp"

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
        CHECK(lai::crc32_joined(first, second, data.size() - cut) == bitwise(data));
    }
    // Every offset from an aligned address.
    for (std::size_t start = 0; start < 64; ++start) {
        CHECK(lai::crc32(data.data() + start, 2000) == bitwise({data.begin() + static_cast<std::ptrdiff_t>(start), data.begin() + static_cast<std::ptrdiff_t>(start) + 2000}));
    }
}
