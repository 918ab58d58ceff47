// Loads a model's weights: packed in memory, or as they lie in the file.

#include "engine/transformer.hpp"

#include "model/packing.hpp"

#include <algorithm>

namespace lai {

namespace {

constexpr std::size_t kGroupsPerRelease = 64;  // packed before their pages of the file are released

// Every matrix that a decode step multiplies with.
std::vector<Matrix*> matrices_of(Weights& weights) {
    std::vector<Matrix*> matrices = {&weights.output};
    for (LayerWeights& layer : weights.layers) {
        for (Matrix* matrix : {&layer.wq, &layer.wk, &layer.wv, &layer.wo, &layer.w_gate, &layer.w_up, &layer.w_down}) {
            matrices.push_back(matrix);
        }
    }
    return matrices;
}

// Releases the pages of some rows of a matrix in the file. They are read again if need be.
void release_rows(const ModelFile& file, const Matrix& matrix, std::size_t first, std::size_t rows) {
    const auto begin = static_cast<std::size_t>(matrix.data - file.file().data());
    const std::size_t row_bytes = weight_bytes(matrix.dtype, matrix.cols);
    file.file().release(begin + first * row_bytes, begin + std::min(first + rows, matrix.rows) * row_bytes);
}

}  // namespace

void Transformer::load_weights(const ModelFile& file) {
    if (is_packed(file.dtype())) {
        pack_weights(file);
        copy_norms();
        if (file.weights().output.data == embedding_.data) embedding_ = weights_.output;
        file.file().release(0, file.file().size());
        return;
    }
    // A verified checksum has read the file already.
    if (file.checksum() != Checksum::correct) file.file().populate(0, file.file().size());
    // Only single rows of the embedding are read. Unless it is also the output matrix, its pages are not needed.
    if (embedding_.data != weights_.output.data) release_rows(file, embedding_, 0, embedding_.rows);
}

// Whether a matrix of the file can be packed as f14.
bool Transformer::can_use_f14(const Matrix& matrix) const {
    return kernels_.pack_f14 != nullptr && matrix.dtype == DType::f16 && matrix.cols % kUnitColumns == 0;
}

void Transformer::pack_weights(const ModelFile& file) {
    const std::vector<Matrix*> matrices = matrices_of(weights_);
    const auto planned = [&](Matrix matrix) {
        if (can_use_f14(matrix)) matrix.dtype = DType::f14;
        return matrix;
    };
    // A group's size is a multiple of a cache line. So every matrix begins with a cache line.
    std::size_t total = 0;
    for (const Matrix* matrix : matrices) total += packed_bytes(planned(*matrix));
    packed_ = PageBuffer(total);
    std::uint8_t* next = packed_.data();
    for (Matrix* matrix : matrices) {
        const Matrix plan = planned(*matrix);
        std::uint8_t* out = next;
        if (plan.dtype == DType::f14 && pack_f14(file, *matrix, out)) {
            matrix->dtype = DType::f14;
        } else {
            if (plan.dtype == DType::f14) out = f16_matrices_.emplace_back(packed_bytes(*matrix)).data();
            pack_and_release(file, *matrix, [&](std::size_t group) {
                pack_group(*matrix, group, out + group * packed_group_bytes(matrix->dtype, matrix->cols));
            });
        }
        if (out == next) next += packed_bytes(*matrix);  // without f14, the next matrix takes this place
        matrix->data = out;
    }
}

// Returns false if f14 would lose too much.
bool Transformer::pack_f14(const ModelFile& file, const Matrix& matrix, std::uint8_t* out) {
    std::atomic<bool> fits = true;
    pack_and_release(file, matrix, [&](std::size_t group) {
        if (fits && !kernels_.pack_f14(matrix, group, out + group * packed_group_bytes(DType::f14, matrix.cols))) {
            fits = false;
        }
    });
    return fits;
}

// Calls pack(group) for all groups of a matrix and releases their pages of the file.
void Transformer::pack_and_release(const ModelFile& file, const Matrix& matrix,
                                   const std::function<void(std::size_t)>& pack) {
    const std::size_t groups = packed_groups(matrix);
    for (std::size_t first = 0; first < groups; first += kGroupsPerRelease) {
        const std::size_t count = std::min(kGroupsPerRelease, groups - first);
        pool_.parallel_for(count, [&](std::size_t i) { pack(first + i); });
        release_rows(file, matrix, first * kLanes, count * kLanes);
    }
}

void Transformer::copy_norms() {
    std::vector<const float**> norms = {&weights_.final_norm};
    for (LayerWeights& layer : weights_.layers) norms.insert(norms.end(), {&layer.attn_norm, &layer.ffn_norm});
    norms_.reserve(norms.size() * config_.dim);  // must not reallocate: the pointers stay valid
    for (const float** norm : norms) {
        norms_.insert(norms_.end(), *norm, *norm + config_.dim);
        *norm = norms_.data() + norms_.size() - config_.dim;
    }
}

std::vector<Transformer::ByteRange> Transformer::streamed_weights() const {
    Weights weights = weights_;
    std::vector<ByteRange> ranges;
    for (const Matrix* matrix : matrices_of(weights)) {
        ranges.push_back({matrix->data, packed_.size() > 0 ? packed_bytes(*matrix) : matrix->bytes()});
    }
    return ranges;
}

std::size_t Transformer::weight_bytes() const {
    std::size_t total = 0;
    for (const ByteRange& range : streamed_weights()) total += range.size;
    return total;
}

}  // namespace lai
