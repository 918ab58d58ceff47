#include "host/crc32.hpp"

#if defined(LAI_X86_KERNELS)
#include "host/crc32_x86.hpp"
#endif

#include <array>

namespace lai {

namespace {

// Slicing by eight (Kounavis & Berry 2005): tables[n][b] is the CRC of byte b followed by n zero bytes.
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr std::uint32_t kPolynomial = 0xEDB88320;  // reflected

Tables make_tables() {
    Tables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? kPolynomial : 0U);
        tables[0][byte] = crc;
    }
    for (std::size_t slice = 1; slice < tables.size(); ++slice) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint32_t crc = tables[slice - 1][byte];
            tables[slice][byte] = (crc >> 8) ^ tables[0][crc & 255U];
        }
    }
    return tables;
}

std::uint32_t little_endian(const std::uint8_t* data) {
    return data[0] | std::uint32_t{data[1]} << 8 | std::uint32_t{data[2]} << 16 | std::uint32_t{data[3]} << 24;
}

const Tables& tables() {
    static const Tables made = make_tables();
    return made;
}

// The CRC register after these bytes, without the inversions at start and end.
std::uint32_t update_crc(const std::uint8_t* data, std::size_t size, std::uint32_t crc) {
    const Tables& t = tables();
    for (; size >= 8; data += 8, size -= 8) {
        const std::uint32_t low = little_endian(data) ^ crc;
        const std::uint32_t high = little_endian(data + 4);
        crc = t[7][low & 255U] ^ t[6][low >> 8 & 255U] ^ t[5][low >> 16 & 255U] ^ t[4][low >> 24] ^ t[3][high & 255U] ^
              t[2][high >> 8 & 255U] ^ t[1][high >> 16 & 255U] ^ t[0][high >> 24];
    }
    for (; size > 0; ++data, --size) crc = (crc >> 8) ^ t[0][(crc ^ *data) & 255U];
    return crc;
}

// The product of two polynomials modulo the CRC polynomial. The highest bit is the coefficient of x^0.
std::uint32_t multiply_polynomials(std::uint32_t a, std::uint32_t b) {
    std::uint32_t product = 0;
    for (; a != 0; a <<= 1) {
        if ((a & 0x80000000U) != 0) product ^= b;
        b = (b >> 1) ^ ((b & 1U) != 0 ? kPolynomial : 0U);
    }
    return product;
}

}  // namespace

std::uint32_t crc32_combine(std::uint32_t first, std::uint32_t second, std::size_t second_size) {
    // Each byte of the second piece multiplies the first CRC by x^8.
    std::uint32_t power = 0x00800000;
    for (; second_size > 0; second_size >>= 1) {
        if ((second_size & 1U) != 0) first = multiply_polynomials(power, first);
        power = multiply_polynomials(power, power);
    }
    return first ^ second;
}

std::uint32_t crc32(const std::uint8_t* data, std::size_t size, std::uint32_t crc) {
    crc = ~crc;
#if defined(LAI_X86_KERNELS)
    const bool wide = size >= 128 && can_fold_wide();
    if (wide || (size >= 64 && can_fold())) {
        std::array<std::uint8_t, 16> folded{};
        const std::size_t done = (wide ? crc32_fold_wide : crc32_fold)(data, size, crc, folded.data());
        crc = update_crc(folded.data(), folded.size(), 0);
        data += done;
        size -= done;
    }
#endif
    return ~update_crc(data, size, crc);
}

}  // namespace lai
