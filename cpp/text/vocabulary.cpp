#include "text/vocabulary.hpp"

#include "host/error.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <random>

namespace lai {

namespace {

constexpr std::uint32_t kMagic = 0x4C414956;
constexpr float kNever = -1e10F;  // the score of a token that text never produces
constexpr std::size_t kMinTokens = 260;
constexpr std::array<std::string_view, 6> kTags = {"<system>", "</system>",   "<user>",
                                                   "</user>",  "<assistant>", "</assistant>"};

template <class Value>
Value read_value(const std::uint8_t* data) {
    Value value;
    std::memcpy(&value, data, sizeof value);
    return value;
}

bool is_tag_prefix(std::string_view bytes) {
    if (bytes.size() < 2 || bytes.front() != '<') return false;
    return std::any_of(kTags.begin(), kTags.end(), [&](auto tag) { return tag.substr(0, bytes.size()) == bytes; });
}

// SipHash-1-3 (Aumasson & Bernstein 2012). With a random key, no file can be made whose tokens collide.
class SipHash {
public:
    explicit SipHash(const HashKey& key)
        : v0_(key[0] ^ 0x736F6D6570736575U),
          v1_(key[1] ^ 0x646F72616E646F6DU),
          v2_(key[0] ^ 0x6C7967656E657261U),
          v3_(key[1] ^ 0x7465646279746573U) {}

    std::uint64_t operator()(std::string_view bytes) {
        const std::uint64_t last = std::uint64_t{bytes.size()} << 56;
        for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
            absorb(read_value<std::uint64_t>(reinterpret_cast<const std::uint8_t*>(bytes.data())));
        }
        std::uint64_t rest = 0;
        std::memcpy(&rest, bytes.data(), bytes.size());
        absorb(rest | last);
        v2_ ^= 0xFF;
        for (int i = 0; i < 3; ++i) round();
        return v0_ ^ v1_ ^ v2_ ^ v3_;
    }

private:
    static std::uint64_t rotate_left(std::uint64_t value, int bits) { return value << bits | value >> (64 - bits); }

    void absorb(std::uint64_t word) {
        v3_ ^= word;
        round();
        v0_ ^= word;
    }

    void round() {
        v0_ += v1_;
        v1_ = rotate_left(v1_, 13) ^ v0_;
        v0_ = rotate_left(v0_, 32);
        v2_ += v3_;
        v3_ = rotate_left(v3_, 16) ^ v2_;
        v0_ += v3_;
        v3_ = rotate_left(v3_, 21) ^ v0_;
        v2_ += v1_;
        v1_ = rotate_left(v1_, 17) ^ v2_;
        v2_ = rotate_left(v2_, 32);
    }

    std::uint64_t v0_, v1_, v2_, v3_;
};

// The score in a token's record.
float score_of(const std::uint8_t* record) { return read_value<float>(record + 4 + read_value<std::uint32_t>(record)); }

// The length of the first character, by its first byte alone. The end of the text cuts it off.
std::size_t character_length(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text.front());
    std::size_t length = 1;
    if ((lead & 0xE0U) == 0xC0U) length = 2;
    if ((lead & 0xF0U) == 0xE0U) length = 3;
    if ((lead & 0xF8U) == 0xF0U) length = 4;
    return std::min(length, text.size());
}

}  // namespace

Vocabulary::Vocabulary(const std::uint8_t* data, std::size_t size, const std::string& name) {
    read_tokens(data, size, name);
    build_index();
    tags_ = {id_of(kTags[0]), id_of(kTags[1]), id_of(kTags[2]), id_of(kTags[3]), id_of(kTags[4]), id_of(kTags[5])};
}

void Vocabulary::read_tokens(const std::uint8_t* data, std::size_t size, const std::string& name) {
    const auto fail = [&](const std::string& what) { throw Error(name + ": the vocabulary " + what); };
    if (size < 12) fail("is cut short: " + std::to_string(size) + " bytes found, at least 12 expected");
    if (read_value<std::uint32_t>(data) != kMagic) fail("does not start with the magic number 0x4C414956");
    const auto version = read_value<std::uint32_t>(data + 4);
    if (version != 1) fail("has version " + std::to_string(version) + ", expected 1");
    const std::size_t count = read_value<std::uint32_t>(data + 8);
    if (count < kMinTokens) fail("has " + std::to_string(count) + " tokens, expected at least 260");
    if (count > (size - 12) / 8) fail("has " + std::to_string(count) + " tokens, more than the file has room for");
    records_.reserve(count);
    std::size_t offset = 12;
    for (std::size_t id = 0; id < count; ++id) {
        const std::string token = "token " + std::to_string(id);
        if (size - offset < 8) fail("is cut short at " + token + " of " + std::to_string(count));
        const std::size_t length = read_value<std::uint32_t>(data + offset);
        if (length > size - offset - 8) {
            fail("has a " + token + " of " + std::to_string(length) + " bytes, past the end of the file");
        }
        if (!std::isfinite(score_of(data + offset))) fail("has a score that is not a finite number at " + token);
        records_.push_back(data + offset);
        max_token_bytes_ = std::max(max_token_bytes_, length);
        offset += 8 + length;
    }
    bytes_read_ = offset;
    for (std::size_t id = 0; id < static_cast<std::size_t>(kFirstByte); ++id) {
        if (score_of(records_[id]) > kNever) {
            fail("has a control token that text could produce, token " + std::to_string(id));
        }
    }
    for (std::size_t byte = 0; byte < 256; ++byte) {
        const char expected = static_cast<char>(byte);
        const auto id = byte + static_cast<std::size_t>(kFirstByte);
        if (bytes(static_cast<TokenId>(id)) != std::string_view(&expected, 1)) {
            fail("has something else than the byte " + std::to_string(byte) + " at token " + std::to_string(id));
        }
    }
}

void Vocabulary::build_index() {
    std::size_t capacity = 1024;
    while (capacity < 2 * size()) capacity *= 2;
    slots_.assign(capacity, 0);
    std::random_device random;
    for (std::uint64_t& half : key_) half = std::uint64_t{random()} << 32 | random();
    entries_.reserve(size());
    for (std::size_t i = 0; i < size(); ++i) {
        const auto id = static_cast<TokenId>(i);
        const float score = score_of(records_[i]);
        if (score <= kNever) continue;
        const std::size_t at = find_slot(bytes(id));
        if (slots_[at] == 0) {
            entries_.push_back({score, id});
            slots_[at] = static_cast<std::uint32_t>(entries_.size());
        }
        Entry& entry = entries_[slots_[at] - 1];
        entry = {std::max(entry.score, score), id};
    }
}

std::string_view Vocabulary::bytes(TokenId id) const {
    const std::uint8_t* record = records_[static_cast<std::size_t>(id)];
    return {reinterpret_cast<const char*>(record + 4), read_value<std::uint32_t>(record)};
}

// The slot of the entry with these bytes, or the slot where it belongs.
std::size_t Vocabulary::find_slot(std::string_view bytes) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = SipHash(key_)(bytes) & mask;
    while (slots_[at] != 0 && this->bytes(entries_[slots_[at] - 1].id) != bytes) at = (at + 1) & mask;
    return at;
}

const Vocabulary::Entry* Vocabulary::find(std::string_view bytes, TextKind kind) const {
    if (bytes.size() > max_token_bytes_) return nullptr;
    const std::uint32_t index = slots_[find_slot(bytes)];
    if (index == 0) return nullptr;
    return kind == TextKind::literal && is_tag_prefix(bytes) ? nullptr : &entries_[index - 1];
}

TokenId Vocabulary::id_of(std::string_view bytes) const {
    const Entry* entry = find(bytes, TextKind::markup);
    return entry == nullptr ? -1 : entry->id;
}

bool Vocabulary::has_chat_tags() const {
    return tags_.user >= 0 && tags_.user_end >= 0 && tags_.assistant >= 0 && tags_.assistant_end >= 0;
}

// Step 2 of encoding: a linked list of pieces and a heap of pairs that can merge. A pair whose pieces have changed
// since it was pushed has another length; it is dropped when popped.
class Vocabulary::Merger {
public:
    Merger(const Vocabulary& vocabulary, std::string_view text, TextKind kind)
        : vocabulary_(vocabulary), text_(text), kind_(kind) {
        split();
        for (std::int64_t left = 0; left + 1 < static_cast<std::int64_t>(pieces_.size()); ++left) {
            push_pair(left, false);
        }
        std::make_heap(heap_.begin(), heap_.end());
        while (!heap_.empty()) merge_best();
    }

    std::vector<TokenId> ids() const {
        std::vector<TokenId> result;
        for (std::int64_t at = pieces_.empty() ? -1 : 0; at >= 0; at = pieces_[index(at)].next) {
            append(piece_text(at), result);
        }
        return result;
    }

private:
    struct Piece {
        std::size_t start, length;  // length 0: merged into its left neighbour
        std::int64_t previous, next;
    };
    struct Pair {
        float score;
        std::int64_t left, right;
        std::size_t length;
        // The heap's top is the highest score, the leftmost among equals.
        bool operator<(const Pair& other) const {
            return score != other.score ? score < other.score : left > other.left;
        }
    };

    static std::size_t index(std::int64_t at) { return static_cast<std::size_t>(at); }

    std::string_view piece_text(std::int64_t at) const {
        return text_.substr(pieces_[index(at)].start, pieces_[index(at)].length);
    }

    void split() {
        pieces_.reserve(text_.size());
        for (std::size_t start = 0; start < text_.size();) {
            const std::size_t length = character_length(text_.substr(start));
            const auto number = static_cast<std::int64_t>(pieces_.size());
            pieces_.push_back({start, length, number - 1, number + 1});
            start += length;
        }
        if (!pieces_.empty()) pieces_.back().next = -1;
    }

    void push_pair(std::int64_t left, bool sift) {
        const std::int64_t right = pieces_[index(left)].next;
        if (right < 0) return;
        const std::size_t length = pieces_[index(left)].length + pieces_[index(right)].length;
        const Entry* entry = vocabulary_.find(text_.substr(pieces_[index(left)].start, length), kind_);
        if (entry == nullptr) return;
        heap_.push_back({entry->score, left, right, length});
        if (sift) std::push_heap(heap_.begin(), heap_.end());
    }

    void merge_best() {
        const Pair pair = heap_.front();
        std::pop_heap(heap_.begin(), heap_.end());
        heap_.pop_back();
        Piece& left = pieces_[index(pair.left)];
        Piece& right = pieces_[index(pair.right)];
        if (left.length == 0 || right.length == 0 || left.length + right.length != pair.length) return;
        left.length = pair.length;
        left.next = right.next;
        right.length = 0;
        if (left.next >= 0) pieces_[index(left.next)].previous = pair.left;
        if (left.previous >= 0) push_pair(left.previous, true);
        push_pair(pair.left, true);
    }

    void append(std::string_view piece, std::vector<TokenId>& ids) const {
        if (const Entry* entry = vocabulary_.find(piece, kind_)) {
            ids.push_back(entry->id);
            return;
        }
        for (const char byte : piece) ids.push_back(kFirstByte + static_cast<unsigned char>(byte));
    }

    const Vocabulary& vocabulary_;
    std::string_view text_;
    TextKind kind_;
    std::vector<Piece> pieces_;
    std::vector<Pair> heap_;
};

std::vector<TokenId> Vocabulary::encode(std::string_view text, TextKind kind) const {
    return Merger(*this, text, kind).ids();
}

std::string Vocabulary::decode(const std::vector<TokenId>& ids) const {
    std::string text;
    for (const TokenId id : ids) {
        if (id >= kFirstByte) text += bytes(id);
    }
    return text;
}

}  // namespace lai
