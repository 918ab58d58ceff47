#pragma once

#include <cstddef>
#include <cstdint>

namespace lai {

// Reads as many whole 64 bytes of `data` as there are (at least one), or 128 where it is wide, and returns how many bytes that was.
// The CRC of all of them, begun with `state`, is that of the sixteen bytes written to `folded`, begun with zero.
std::size_t crc32_fold(const std::uint8_t* data, std::size_t size, std::uint32_t state, std::uint8_t* folded);
std::size_t crc32_fold_wide(const std::uint8_t* data, std::size_t size, std::uint32_t state, std::uint8_t* folded);

// What the processor needs for each.
inline bool can_fold() { return __builtin_cpu_supports("pclmul") != 0 && __builtin_cpu_supports("sse4.1") != 0; }
inline bool can_fold_wide() { return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("vpclmulqdq") != 0; }

}  // namespace lai
