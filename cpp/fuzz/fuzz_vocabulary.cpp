// Takes any bytes as a vocabulary. Encodes any text with any tokens and compares the ids with a slow implementation of
// docs/format.md.

#include "host/error.hpp"
#include "text/vocabulary.hpp"

#include <cstdlib>
#include <cstring>
#include <map>

namespace {

struct Token {
    std::string bytes;
    float score;
};

template <class Value>
void put_value(std::string& data, Value value) {
    data.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_token(std::string& data, const Token& token) {
    put_value(data, static_cast<std::uint32_t>(token.bytes.size()));
    data += token.bytes;
    put_value(data, token.score);
}

// The control tokens and the bytes, with which every vocabulary begins.
std::string first_tokens() {
    std::string data;
    for (int id = 0; id < lai::kFirstByte; ++id) put_token(data, {"<x>", -1e10F});
    for (int byte = 0; byte < 256; ++byte) put_token(data, {std::string(1, static_cast<char>(byte)), -100});
    return data;
}

constexpr std::uint32_t kFirstLearned = lai::kFirstByte + 256;

// A vocabulary record of the first tokens and the learned ones.
std::string record(const std::vector<Token>& learned) {
    static const std::string first = first_tokens();
    std::string data;
    put_value<std::uint32_t>(data, 0x4C414956);
    put_value<std::uint32_t>(data, 1);
    put_value(data, kFirstLearned + static_cast<std::uint32_t>(learned.size()));
    data += first;
    for (const Token& token : learned) put_token(data, token);
    return data;
}

std::size_t character_length(unsigned char lead) {
    if (lead >= 0xC0 && lead < 0xE0) return 2;
    if (lead >= 0xE0 && lead < 0xF0) return 3;
    return lead >= 0xF0 && lead < 0xF8 ? 4 : 1;
}

std::vector<lai::TokenId> encode_slowly(const std::vector<Token>& learned, const std::string& text) {
    std::map<std::string, std::pair<float, lai::TokenId>> known;
    for (std::size_t i = 0; i < learned.size(); ++i) {
        if (learned[i].score <= -1e10F) continue;
        const auto [entry, added] = known.try_emplace(learned[i].bytes, learned[i].score, 0);
        entry->second = {std::max(entry->second.first, learned[i].score), static_cast<lai::TokenId>(kFirstLearned + i)};
        (void)added;
    }
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < text.size(); at += pieces.back().size()) {
        pieces.push_back(text.substr(at, character_length(static_cast<unsigned char>(text[at]))));
    }
    for (;;) {
        std::size_t best = pieces.size();
        float score = 0;
        for (std::size_t i = 0; i + 1 < pieces.size(); ++i) {
            const auto found = known.find(pieces[i] + pieces[i + 1]);
            if (found == known.end() || (best < pieces.size() && found->second.first <= score)) continue;
            best = i;
            score = found->second.first;
        }
        if (best == pieces.size()) break;
        pieces[best] += pieces[best + 1];
        pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    std::vector<lai::TokenId> ids;
    for (const std::string& piece : pieces) {
        const auto found = known.find(piece);
        if (found != known.end()) {
            ids.push_back(found->second.second);
        } else {
            for (const char byte : piece) ids.push_back(lai::kFirstByte + static_cast<unsigned char>(byte));
        }
    }
    return ids;
}

lai::Vocabulary read(const std::string& bytes) {
    return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), "fuzz"};
}

void check_parser(const std::uint8_t* data, std::size_t size) {
    try {
        const lai::Vocabulary vocabulary(data, size, "fuzz");
        vocabulary.encode("<user>hello", lai::TextKind::markup);
    } catch (const lai::Error&) {
    }
}

// The input: the number of tokens; for each its length (0 to 7), score and bytes; then the text.
void check_encoder(const std::uint8_t* data, std::size_t size) {
    std::vector<Token> learned;
    const std::uint8_t* end = data + size;
    for (int count = *data++ & 31; count > 0 && end - data >= 2; --count) {
        const float score = data[1] == 255 ? -1e10F : static_cast<float>(data[1] & 7);
        const auto length = std::min<std::ptrdiff_t>(data[0] & 7, end - data - 2);
        learned.push_back({std::string(data + 2, data + 2 + length), score});
        data += 2 + length;
    }
    const std::string text(data, std::min(end, data + 200));
    const std::string bytes = record(learned);
    const lai::Vocabulary vocabulary = read(bytes);
    const std::vector<lai::TokenId> ids = vocabulary.encode(text, lai::TextKind::markup);
    if (ids != encode_slowly(learned, text) || vocabulary.decode(ids) != text) std::abort();
    if (vocabulary.decode(vocabulary.encode(text, lai::TextKind::literal)) != text) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    if ((*data & 0x80) != 0) {
        check_parser(data + 1, size - 1);
    } else {
        check_encoder(data, size);
    }
    return 0;
}
