#pragma once

#include "text/vocabulary.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace lai {

// The request for a translation, in the words of lai/tokenizer/chat.py, which the training data uses.
constexpr std::string_view kToHungarian = "Translate to Hungarian: ";
constexpr std::string_view kToEnglish = "Translate to English: ";

// Throws Error if the vocabulary has no chat tags. The message names `path`, the model file.
void check_chat_tags(const Vocabulary& vocabulary, const std::string& path);

// <user> text </user> <assistant>. The tags become tag tokens; the text is literal, so nothing in it becomes a tag.
// Throws Error if the vocabulary has no chat tags.
std::vector<TokenId> encode_chat_turn(const Vocabulary& vocabulary, std::string_view text, const std::string& path);

// <system> text </system>, which stands before all other turns. Throws Error if the text is blank or the vocabulary has
// no tags for it.
std::vector<TokenId> encode_system_turn(const Vocabulary& vocabulary, std::string_view text, const std::string& path);

// A line of training text as <bos> … <eos>. A line of complete turns only is markup; any other line is plain text. The
// rules are those of lai/tokenizer/chat.py. With `fold`, the contents are folded (text/folding.hpp); there are no ids
// if nothing is left of them.
struct Document {
    std::vector<TokenId> ids;
    std::size_t bytes;  // of its text form, without white space between turns
};
Document encode_document(const Vocabulary& vocabulary, std::string_view line, bool fold = false);

}  // namespace lai
