#pragma once

#include <cstddef>
#include <cstdint>

namespace lai {

// The numbers of the file header. f14 is in no file: some kernels keep f16 weights that way in memory (f14.hpp).
enum class DType : std::uint8_t { f32 = 0, f16 = 1, q4_0 = 2, q8_0 = 3, f14 = 4 };
enum class Activation : std::int32_t { silu = 0, gelu = 1 };

constexpr std::size_t kBlockSize = 32;  // elements of a row that share a scale in q8_0 and q4_0

constexpr bool is_quantized(DType dtype) { return dtype == DType::q4_0 || dtype == DType::q8_0; }

inline const char* dtype_name(DType dtype) {
    constexpr const char* names[] = {"f32", "f16", "q4_0", "q8_0", "f14"};
    return names[static_cast<std::size_t>(dtype)];
}

// Bytes of `elements` weights in a file. Quantized dtypes come in whole blocks.
constexpr std::size_t weight_bytes(DType dtype, std::size_t elements) {
    switch (dtype) {
        case DType::f32: return elements * 4;
        case DType::f16: return elements * 2;
        case DType::q4_0: return elements / kBlockSize * 18;
        case DType::q8_0: return elements / kBlockSize * 34;
        case DType::f14: break;
    }
    return 0;
}

// A weight matrix (rows, cols), row by row as in the file, or packed as packing.hpp describes.
struct Matrix {
    DType dtype = DType::f32;
    std::size_t rows = 0;
    std::size_t cols = 0;
    const std::uint8_t* data = nullptr;

    std::size_t bytes() const { return weight_bytes(dtype, rows * cols); }
};

}  // namespace lai
