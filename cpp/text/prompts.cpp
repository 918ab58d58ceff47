#include "text/prompts.hpp"

#include "host/error.hpp"
#include "text/folding.hpp"

#include <array>
#include <optional>

namespace lai {

namespace {

constexpr std::array<std::string_view, 3> kRoles = {"system", "user", "assistant"};

struct Turn {
    std::size_t role;
    std::string_view content;
};

std::string content_of(std::string_view text, bool fold) { return fold ? fold_text(text) : std::string(text); }

std::string open_tag(std::size_t role) { return "<" + std::string(kRoles[role]) + ">"; }
std::string close_tag(std::size_t role) { return "</" + std::string(kRoles[role]) + ">"; }

bool starts_with(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

std::string_view strip_leading_space(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t\n\r\f\v");
    return first == std::string_view::npos ? std::string_view() : text.substr(first);
}

bool contains_tag(std::string_view text) {
    for (std::size_t role = 0; role < kRoles.size(); ++role) {
        if (text.find(open_tag(role)) != std::string_view::npos ||
            text.find(close_tag(role)) != std::string_view::npos) {
            return true;
        }
    }
    return false;
}

// Parses the turn at the front of the text and removes it.
std::optional<Turn> parse_turn(std::string_view& text) {
    for (std::size_t role = 0; role < kRoles.size(); ++role) {
        if (!starts_with(text, open_tag(role))) continue;
        const std::size_t begin = open_tag(role).size();
        const std::size_t end = text.find(close_tag(role), begin);
        if (end == std::string_view::npos) return std::nullopt;
        const Turn turn = {role, text.substr(begin, end - begin)};
        if (contains_tag(turn.content)) return std::nullopt;
        text.remove_prefix(end + close_tag(role).size());
        return turn;
    }
    return std::nullopt;
}

// Empty if the line is plain text.
std::vector<Turn> parse_turns(std::string_view line) {
    std::vector<Turn> turns;
    for (std::string_view rest = strip_leading_space(line); !rest.empty(); rest = strip_leading_space(rest)) {
        const std::optional<Turn> turn = parse_turn(rest);
        if (!turn) return {};
        turns.push_back(*turn);
    }
    return turns;
}

void append(std::vector<TokenId>& ids, const std::vector<TokenId>& more) {
    ids.insert(ids.end(), more.begin(), more.end());
}

}  // namespace

void check_chat_tags(const Vocabulary& vocabulary, const std::string& path) {
    if (!vocabulary.has_chat_tags()) {
        throw Error(path + " has no chat tags in its vocabulary, so it cannot chat; continue text with --raw");
    }
}

std::vector<TokenId> encode_chat_turn(const Vocabulary& vocabulary, std::string_view text, const std::string& path) {
    check_chat_tags(vocabulary, path);
    const ChatTags& tags = vocabulary.tags();
    std::vector<TokenId> ids = {tags.user};
    append(ids, vocabulary.encode(text, TextKind::literal));
    append(ids, {tags.user_end, tags.assistant});
    return ids;
}

std::vector<TokenId> encode_system_turn(const Vocabulary& vocabulary, std::string_view text, const std::string& path) {
    const ChatTags& tags = vocabulary.tags();
    if (tags.system < 0 || tags.system_end < 0) {
        throw Error(path + " has no tags of a system prompt in its vocabulary; leave out the system prompt");
    }
    if (strip_leading_space(text).empty()) throw Error("the system prompt is empty; give a text, or leave it out");
    std::vector<TokenId> ids = {tags.system};
    append(ids, vocabulary.encode(text, TextKind::literal));
    append(ids, {tags.system_end});
    return ids;
}

Document encode_document(const Vocabulary& vocabulary, std::string_view line, bool fold) {
    const ChatTags& tags = vocabulary.tags();
    const std::array<TokenId, 3> open = {tags.system, tags.user, tags.assistant};
    const std::array<TokenId, 3> close = {tags.system_end, tags.user_end, tags.assistant_end};
    std::vector<Turn> turns;
    if (vocabulary.has_chat_tags() && tags.system >= 0 && tags.system_end >= 0) turns = parse_turns(line);
    Document document = {{kBos}, 0};
    bool is_empty = true;
    for (const Turn& turn : turns) {
        const std::string content = content_of(turn.content, fold);
        is_empty = is_empty && content.empty();
        document.ids.push_back(open[turn.role]);
        append(document.ids, vocabulary.encode(content, TextKind::literal));
        document.ids.push_back(close[turn.role]);
        document.bytes += open_tag(turn.role).size() + content.size() + close_tag(turn.role).size();
    }
    if (turns.empty()) {
        const std::string content = content_of(line, fold);
        is_empty = content.empty();
        append(document.ids, vocabulary.encode(content, TextKind::literal));
        document.bytes = content.size();
    }
    if (fold && is_empty) return {{}, 0};
    document.ids.push_back(kEos);
    return document;
}

}  // namespace lai
