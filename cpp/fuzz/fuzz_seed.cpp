// Writes a small model file of every dtype into a folder, as the first inputs of fuzz_model_file.

#include "model_bytes.hpp"

#include <fstream>

int main(int count, char** arguments) {
    if (count != 2) return 2;
    const std::vector<TestToken> tokens = test_tokens();
    for (const lai::DType dtype : {lai::DType::f32, lai::DType::f16, lai::DType::q4_0, lai::DType::q8_0}) {
        const lai::ModelConfig config = {32, 32, 1, 4, 2, tokens.size(), 16, 10000.0F, 1e-5F, lai::Activation::gelu};
        std::ofstream file(std::string(arguments[1]) + "/" + lai::dtype_name(dtype) + ".bin", std::ios::binary);
        file << model_bytes(config, dtype, tokens, dtype != lai::DType::f32);
    }
}
