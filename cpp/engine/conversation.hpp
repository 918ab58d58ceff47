#pragma once

#include "engine/generator.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lai {

constexpr const char* kContextIsFull = "the context is full: older turns are forgotten";

// What is said when turns are forgotten because the training text has no more of them; 0 is an unknown number.
std::string turns_note(std::uint32_t turns);

// A chat of several turns in a generator: what the model reads, and what it forgets. lai/inference/conversation.py does
// the same.
//
// A turn has the ids from <user> to </assistant>. Before a question is asked, the oldest turns are forgotten
// 1. beyond the number of user turns that the training text has, the question included: a longer conversation is unlike
//    all that the model has learned;
// 2. until a quarter of the context, or the longest answer if that is less, is free. Turns with tokens to keep (--keep)
//    are forgotten last.
// The system prompt stays. Each is said; the first one once.
class Conversation {
public:
    // Throws Error if the system prompt is blank or the vocabulary has no tags for it.
    Conversation(Generator& generator, const ModelFile& file, const std::optional<std::string>& system);

    // The conversation begins anew, with this system prompt or none. Throws Error as the constructor does.
    void set_system(const std::optional<std::string>& system);
    // Forgets all turns.
    void reset();
    // Appends a question to the generator's sequence, up to the opening of the answer. Throws Error if the question
    // alone does not fit into the context; nothing is forgotten then. Returns what is to be said about forgotten turns.
    std::vector<std::string> ask(std::string_view text, const GenerationOptions& options);
    // Remembers the answer to the last question.
    void answered(const Generation& generation);
    // Sets the generator's sequence to a question outside of the conversation, which is as before.
    void ask_apart(std::string_view text);

private:
    std::size_t turns_within(std::size_t tokens) const;
    std::vector<TokenId> all_turns() const;

    Generator& generator_;
    const ModelFile& file_;
    std::vector<TokenId> start_;              // <bos> and the system prompt
    std::deque<std::vector<TokenId>> turns_;  // each from <user> to </assistant>
    bool has_told_ = false;
};

}  // namespace lai
