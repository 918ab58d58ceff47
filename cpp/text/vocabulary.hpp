#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lai {

using TokenId = std::int32_t;

constexpr TokenId kPad = 0;
constexpr TokenId kBos = 1;
constexpr TokenId kEos = 2;
constexpr TokenId kUnk = 3;
constexpr TokenId kFirstByte = 4;  // token 4 + b is the single byte b

// The ids of the six chat tags; -1 if the vocabulary has no such token.
struct ChatTags {
    TokenId system, system_end, user, user_end, assistant, assistant_end;
};

using HashKey = std::array<std::uint64_t, 2>;

// In markup, chat tags become tag tokens. Literal text, such as a user's message, never forms a tag.
enum class TextKind { markup, literal };

// The tokens of a model, and the three encoding steps of docs/format.md.
class Vocabulary {
public:
    // Reads a vocabulary record. Messages name the file `name`. The bytes must outlive the object.
    Vocabulary(const std::uint8_t* data, std::size_t size, const std::string& name);

    std::size_t size() const { return records_.size(); }
    std::size_t bytes_read() const { return bytes_read_; }
    std::string_view bytes(TokenId id) const;
    std::size_t max_token_bytes() const { return max_token_bytes_; }  // the longest token
    const ChatTags& tags() const { return tags_; }
    bool has_chat_tags() const;

    // Takes O(n log n) time.
    std::vector<TokenId> encode(std::string_view text, TextKind kind) const;

    // The concatenated bytes of the tokens. The four control tokens have none.
    std::string decode(const std::vector<TokenId>& ids) const;

private:
    // All tokens with the same bytes, except those that text never produces.
    struct Entry {
        float score;  // the highest of them
        TokenId id;   // the highest of them
    };

    class Merger;

    void read_tokens(const std::uint8_t* data, std::size_t size, const std::string& name);
    void build_index();
    std::size_t find_slot(std::string_view bytes) const;
    const Entry* find(std::string_view bytes, TextKind kind) const;
    TokenId id_of(std::string_view bytes) const;

    std::vector<const std::uint8_t*> records_;  // per token: its length, bytes and score
    std::vector<Entry> entries_;
    std::vector<std::uint32_t> slots_;  // open addressing: 1 + index into entries_, 0 for empty
    HashKey key_{};
    std::size_t max_token_bytes_ = 0;
    std::size_t bytes_read_ = 0;
    ChatTags tags_{};
};

}  // namespace lai
