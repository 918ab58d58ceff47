#pragma once

#include <cstddef>
#include <cstdint>

namespace lai {

// Folds all whole pieces of 64 bytes (wide: 128) of `data`, at least one, and returns the number of bytes read. The CRC
// of these bytes, started with `state`, equals the CRC of the sixteen bytes `folded`, started with zero.
std::size_t crc32_fold(const std::uint8_t* data, std::size_t size, std::uint32_t state, std::uint8_t* folded);
std::size_t crc32_fold_wide(const std::uint8_t* data, std::size_t size, std::uint32_t state, std::uint8_t* folded);

// Whether the CPU has the instructions.
inline bool can_fold() { return __builtin_cpu_supports("pclmul") != 0 && __builtin_cpu_supports("sse4.1") != 0; }
inline bool can_fold_wide() { return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("vpclmulqdq") != 0; }

}  // namespace lai
