#include "check.hpp"
#include "host/error.hpp"
#include "model_bytes.hpp"
#include "text/vocabulary.hpp"

using namespace lai;

namespace {

Vocabulary read(const std::string& bytes) {
    return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), "test"};
}

bool refused(const std::string& bytes) {
    try {
        read(bytes);
    } catch (const Error&) {
        return true;
    }
    return false;
}

std::vector<TokenId> bytes_of(const std::string& text) {
    std::vector<TokenId> ids;
    for (const char byte : text) ids.push_back(kFirstByte + static_cast<unsigned char>(byte));
    return ids;
}

void encoding_follows_the_format() {
    // 260 "ab", 261 "bc", 262 "abc", 263 "a" again, 264 and 265 "dd" twice, 266 never produced
    const std::string bytes = vocabulary_bytes(
        test_tokens({{"ab", -2}, {"bc", -1}, {"abc", -3}, {"a", -4}, {"dd", -9}, {"dd", -1}, {"zz", -1e10F}}));
    const Vocabulary vocabulary = read(bytes);
    const auto encode = [&](const std::string& text) { return vocabulary.encode(text, TextKind::markup); };
    CHECK(encode("").empty());
    CHECK((encode("a") == std::vector<TokenId>{263}));         // the highest id of equal bytes
    CHECK((encode("abc") == std::vector<TokenId>{262}));       // "bc" first, then "abc"
    CHECK((encode("ddd") == std::vector<TokenId>{265, 104}));  // the leftmost of equals
    CHECK(encode("zz") == bytes_of("zz"));
    CHECK(encode("<eos>") == bytes_of("<eos>"));
    CHECK((encode("\xC3") == bytes_of("\xC3")));  // cut off by the end
    const TokenId user = vocabulary.tags().user;
    CHECK(user > 266 && vocabulary.bytes(user) == "<user>");
    CHECK((encode("<<user>a") == std::vector<TokenId>{64, user, 263}));
    CHECK(vocabulary.encode("<<user>", TextKind::literal) == bytes_of("<<user>"));
    CHECK(vocabulary.decode(encode("<user>abc\xFF")) == "<user>abc\xFF");
    CHECK(vocabulary.decode({kPad, kBos, kEos, kUnk}).empty());
    CHECK(vocabulary.has_chat_tags());
}

void damaged_vocabularies_are_refused() {
    const std::vector<TestToken> tokens = test_tokens();
    const std::string good = vocabulary_bytes(tokens);
    CHECK(!refused(good));
    for (std::size_t size = 0; size < good.size(); ++size) CHECK(refused(good.substr(0, size)));
    CHECK(refused(vocabulary_bytes({tokens.begin(), tokens.begin() + 259})));
    CHECK(!refused(vocabulary_bytes({tokens.begin(), tokens.begin() + 260})));
    std::vector<TestToken> swapped = tokens;
    std::swap(swapped[100], swapped[101]);
    CHECK(refused(vocabulary_bytes(swapped)));
    std::vector<TestToken> produced = tokens;
    produced[2].score = 0;
    CHECK(refused(vocabulary_bytes(produced)));
}

}  // namespace

int main() {
    encoding_follows_the_format();
    damaged_vocabularies_are_refused();
}
