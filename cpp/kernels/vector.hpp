#pragma once

// Vectors of LAI_WIDTH floats, by the vector extension of g++ and clang++. Each kernels_*.cpp is compiled for one
// instruction set, defines LAI_WIDTH and includes this file.
//
// Everything is in an unnamed namespace, and no inline function of the standard library is used. Otherwise the linker
// could keep a copy compiled for AVX-512 and run it on CPUs without AVX-512.

#include "kernels/kernels.hpp"
#include "model/packing.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

#define LAI_INLINE inline __attribute__((always_inline))
#if defined(__clang__)
#define LAI_UNROLL _Pragma("unroll")
#else
#define LAI_UNROLL _Pragma("GCC unroll 32")
#endif
#if defined(__clang__) || __GNUC__ >= 12
#define LAI_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define LAI_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, IntQuad{__VA_ARGS__})
#endif

namespace lai {
namespace {

constexpr std::size_t kWidth = LAI_WIDTH;
typedef float Vector __attribute__((vector_size(4 * LAI_WIDTH)));
typedef std::int32_t IntVector __attribute__((vector_size(4 * LAI_WIDTH)));
typedef std::int16_t ShortVector __attribute__((vector_size(2 * LAI_WIDTH)));
typedef float Quad __attribute__((vector_size(16)));
typedef std::int32_t IntQuad __attribute__((vector_size(16)));

LAI_INLINE Vector load(const float* data) {
    Vector vector;
    std::memcpy(&vector, data, sizeof vector);
    return vector;
}

LAI_INLINE Vector load_as_float(const float* data) { return load(data); }

// The first `count` values; zeros fill the rest.
LAI_INLINE Vector load_partial(const float* data, std::size_t count) {
    if (count >= kWidth) return load(data);
    Vector vector = {};
    std::memcpy(&vector, data, count * sizeof(float));
    return vector;
}

LAI_INLINE void store(float* data, Vector vector) { std::memcpy(data, &vector, sizeof vector); }

// Transposes 4 x 4 floats: row i at from + i * from_stride becomes column i at `to`.
LAI_INLINE void transpose(const float* from, std::size_t from_stride, float* to, std::size_t to_stride) {
    Quad rows[4];
    LAI_UNROLL for (std::size_t i = 0; i < 4; ++i) std::memcpy(&rows[i], from + i * from_stride, sizeof rows[i]);
    const Quad low01 = LAI_SHUFFLE(rows[0], rows[1], 0, 4, 1, 5);
    const Quad low23 = LAI_SHUFFLE(rows[2], rows[3], 0, 4, 1, 5);
    const Quad high01 = LAI_SHUFFLE(rows[0], rows[1], 2, 6, 3, 7);
    const Quad high23 = LAI_SHUFFLE(rows[2], rows[3], 2, 6, 3, 7);
    const Quad columns[4] = {LAI_SHUFFLE(low01, low23, 0, 1, 4, 5), LAI_SHUFFLE(low01, low23, 2, 3, 6, 7),
                             LAI_SHUFFLE(high01, high23, 0, 1, 4, 5), LAI_SHUFFLE(high01, high23, 2, 3, 6, 7)};
    LAI_UNROLL for (std::size_t i = 0; i < 4; ++i) std::memcpy(to + i * to_stride, &columns[i], sizeof columns[i]);
}

// Prefetches memory that is read 8 KB later: hardware prefetching ends at page boundaries. NonTemporal is for memory
// that is read once per token: it need not evict other data from the caches.
template <bool NonTemporal = false>
LAI_INLINE void prefetch_ahead(const void* data) {
    __builtin_prefetch(static_cast<const char*>(data) + 8192, 0, NonTemporal ? 0 : 3);
}

// Prefetches some cache lines into L2.
LAI_INLINE void prefetch(const void* data, std::size_t bytes) {
    for (std::size_t at = 0; at < bytes; at += 64) __builtin_prefetch(static_cast<const char*>(data) + at, 0, 2);
}

LAI_INLINE Vector broadcast(float value) { return value - Vector{}; }

LAI_INLINE std::size_t min_size(std::size_t a, std::size_t b) { return a < b ? a : b; }

// Cephes' expf: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2], within two units in the last place. Arguments are
// clamped to the range of a float's exponent.
LAI_INLINE Vector vector_exp(Vector x) {
    const Vector min = broadcast(-87.0F);
    const Vector max = broadcast(88.0F);
    x = x < min ? min : x;
    x = x > max ? max : x;
    const Vector magic = broadcast(12582912.0F);  // 1.5 * 2^23: adding it rounds to an integer
    const Vector n = (x * 1.44269504F + magic) - magic;
    Vector r = x - n * 0.693359375F;
    r = r + n * 2.12194440e-4F;
    Vector p = broadcast(1.9875691500e-4F);
    p = p * r + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    p = p * (r * r) + r + 1.0F;
    const IntVector exponent = (__builtin_convertvector(n, IntVector) + 127) << 23;
    Vector scale;
    std::memcpy(&scale, &exponent, sizeof scale);
    return p * scale;
}

}  // namespace
}  // namespace lai
