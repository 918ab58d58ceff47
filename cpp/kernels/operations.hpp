#pragma once

// The operations of a kernel set, written once in terms of vector.hpp. The file that includes this one defines, for its
// instruction set: sum(), load_f16(), load_as_float() of int16, quantize_block(), quantized_tile(), and
//
//   kFloatTileTokens      tokens of a float tile, whose sums fit into the registers
//   kQuantizedTileTokens  the same for quantized weights
//   kMaxQuantizedTokens   Kernels::max_quantized_tokens

#include "kernels/attention.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/matmul.hpp"
#include "kernels/quantize.hpp"
#include "kernels/stream_read.hpp"
