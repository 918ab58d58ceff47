#pragma once

// rmsnorm, rope and the gated activations.

#include "kernels/vector.hpp"

namespace lai {
namespace {

void rmsnorm(const float* x, const float* weight, std::size_t size, float eps, float* out) {
    Vector squares = {};
    std::size_t i = 0;
    for (; i + kWidth <= size; i += kWidth) squares += load(x + i) * load(x + i);
    float total = sum(squares);
    for (std::size_t j = i; j < size; ++j) total += x[j] * x[j];
    const float factor = 1.0F / __builtin_sqrtf(total / static_cast<float>(size) + eps);
    for (i = 0; i < size; ++i) out[i] = x[i] * factor * weight[i];
}

void rope(float* head, const float* cos, const float* sin, std::size_t half) {
    for (std::size_t i = 0; i < half; ++i) {
        const float first = head[i];
        const float second = head[i + half];
        head[i] = first * cos[i] - second * sin[i];
        head[i + half] = second * cos[i] + first * sin[i];
    }
}

LAI_INLINE Vector silu(Vector x) { return x / (1.0F + vector_exp(-x)); }

// x times the normal distribution function. erf is Abramowitz & Stegun 7.1.26 (within 1.5e-7).
LAI_INLINE Vector gelu(Vector x) {
    const Vector z = x * 0.70710678F;
    const Vector magnitude = z < 0.0F ? -z : z;
    const Vector t = 1.0F / (1.0F + 0.3275911F * magnitude);
    Vector p = broadcast(1.061405429F);
    p = p * t - 1.453152027F;
    p = p * t + 1.421413741F;
    p = p * t - 0.284496736F;
    p = p * t + 0.254829592F;
    const Vector tail = p * t * vector_exp(-z * z);  // 1 - erf(|z|)
    return 0.5F * x * (z < 0.0F ? tail : 2.0F - tail);
}

template <Vector (*Function)(Vector)>
void apply_gated_activation(float* gate, const float* up, std::size_t size) {
    std::size_t i = 0;
    for (; i + kWidth <= size; i += kWidth) store(gate + i, Function(load(gate + i)) * load(up + i));
    if (i == size) return;
    float rest[kWidth] = {};
    for (std::size_t j = i; j < size; ++j) rest[j - i] = gate[j];
    store(rest, Function(load(rest)));
    for (std::size_t j = i; j < size; ++j) gate[j] = rest[j - i] * up[j];
}

void gated_activation(Activation activation, float* gate, const float* up, std::size_t size) {
    if (activation == Activation::silu) {
        apply_gated_activation<silu>(gate, up, size);
    } else {
        apply_gated_activation<gelu>(gate, up, size);
    }
}

}  // namespace
}  // namespace lai
