#pragma once

#include <cstddef>
#include <cstdint>

namespace lai {

// Reads as many whole 64 bytes of `data` as there are (at least one) and returns how many bytes that was. The CRC of all
// of them, begun with `state`, is that of the sixteen bytes written to `folded`, begun with zero.
std::size_t crc32_fold(const std::uint8_t* data, std::size_t size, std::uint32_t state, std::uint8_t* folded);

}  // namespace lai
