#pragma once

#include <cstddef>
#include <cstdint>

namespace lai {

// The CRC-32 of zlib and PNG (reflected polynomial 0xEDB88320), continued from `crc` (0 at the start).
std::uint32_t crc32(const std::uint8_t* data, std::size_t size, std::uint32_t crc = 0);

// The CRC-32 of two consecutive pieces, computed from the CRC-32 of each.
std::uint32_t crc32_combine(std::uint32_t first, std::uint32_t second, std::size_t second_size);

}  // namespace lai
