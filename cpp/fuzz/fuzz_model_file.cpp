// Takes any bytes as a model file. The engine must refuse them with an Error or run three tokens.

#include "engine/transformer.hpp"
#include "host/error.hpp"
#include "model/model_file.hpp"
#include "tools/report.hpp"

#include <sys/mman.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const int descriptor = ::memfd_create("model", 0);
    static const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
    static lai::ThreadPool pool(1);
    const auto length = static_cast<ssize_t>(size);
    if (::ftruncate(descriptor, length) != 0 || ::pwrite(descriptor, data, size, 0) != length) return 0;
    try {
        // Without the checksum: no mutation would match it.
        const lai::ModelFile file(path, false, pool);
        lai::Transformer transformer(file, pool, lai::choose_kernels());
        lai::KvCache cache = transformer.make_cache();
        const lai::TokenId tokens[] = {lai::kBos, 100, static_cast<lai::TokenId>(file.config().vocab_size - 1)};
        transformer.forward(tokens, std::min<std::size_t>(3, file.config().max_seq_len), cache);
        lai::describe_model(file, transformer);
        lai::training_note(file);
    } catch (const lai::Error&) {
    }
    return 0;
}
