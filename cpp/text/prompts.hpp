#pragma once

#include "text/vocabulary.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace lai {

// How a translation is asked for: the words of lai/tokenizer/chat.py, with which the models are trained.
constexpr std::string_view kToHungarian = "Translate to Hungarian: ";
constexpr std::string_view kToEnglish = "Translate to English: ";

// Throws Error where the vocabulary has no chat tags; `path` is the model's, for the message.
void check_chat_tags(const Vocabulary& vocabulary, const std::string& path);

// <user> text </user> <assistant>: the tags as tokens, the text as typed, so that nothing in it becomes a tag.
// Checks that the vocabulary has them.
std::vector<TokenId> encode_chat_turn(const Vocabulary& vocabulary, std::string_view text, const std::string& path);

// A line of training text as <bos> … <eos>. A line that consists of well-formed turns is markup, every other line is
// plain text (the rules of lai/tokenizer/chat.py).
struct Document {
    std::vector<TokenId> ids;
    std::size_t bytes;  // of its text form, white space between turns left out
};
Document encode_document(const Vocabulary& vocabulary, std::string_view line);

}  // namespace lai
