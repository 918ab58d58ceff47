// Takes any bytes as what a person types: questions, system prompts, texts to translate and documents, one after
// another. The engine must refuse each with an Error or answer it with a few tokens, and print nothing that commands a
// terminal.

#include "engine/conversation.hpp"
#include "host/error.hpp"
#include "small_model.hpp"
#include "text/folding.hpp"
#include "text/prompts.hpp"
#include "text/text_output.hpp"

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

void check_text(const std::string& text) {
    const std::string valid = lai::valid_utf8(text);
    require(lai::valid_utf8(valid) == valid);
    const std::string folded = lai::fold_text(text);
    require(lai::fold_text(folded) == folded);
    const std::string shown = lai::visible(text);
    require(lai::visible(shown) == shown);
    for (const char byte : shown) require(static_cast<unsigned char>(byte) >= 0x20 || byte == '\n' || byte == '\t');
    lai::json_string(valid);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static SmallModel model(48);
    static const lai::Vocabulary& vocabulary = model.file.vocabulary();
    if (size < 2) return 0;
    lai::Sampler sampler({data[0] % 2 == 0 ? 0 : 0.7F, data[0] % 5U, 0.9F, 1.1F}, data[0]);
    lai::Generator generator(model.transformer, vocabulary, sampler);
    lai::Conversation conversation(generator, model.file, std::nullopt);
    lai::GenerationOptions options;
    options.max_tokens = data[1] % 8U;
    if (data[1] >= 128) options.keep = data[1] % 46U;

    std::string_view rest(reinterpret_cast<const char*>(data + 2), size - 2);
    while (!rest.empty()) {
        const char kind = rest.front();
        const std::size_t end = std::min(rest.find('\0', 1), rest.size());
        const std::string text(rest.substr(1, end - 1));
        rest.remove_prefix(std::min(end + 1, rest.size()));
        check_text(text);
        try {
            const auto ids = vocabulary.encode(text, lai::TextKind::literal);
            require(vocabulary.decode(ids) == text);
            lai::encode_document(vocabulary, text, kind % 2 != 0);
            switch (kind % 4) {
                case 0: conversation.reset(); break;
                case 1: conversation.set_system(text); break;
                case 2: conversation.ask_apart(std::string(lai::kToEnglish) + text); break;
                default: conversation.ask(lai::fold_text(text), options);
            }
            lai::Utf8Stream stream;
            std::string answer;
            if (kind % 4 < 2) continue;
            const lai::Generation result =
                generator.generate(options, [&](lai::TokenId id) { answer += stream.push(vocabulary.decode({id})); });
            answer += stream.finish();
            require(result.ids.size() <= options.max_tokens && lai::valid_utf8(answer) == answer);
            if (kind % 4 == 3) conversation.answered(result);
        } catch (const lai::Error&) {
        }
    }
    return 0;
}
