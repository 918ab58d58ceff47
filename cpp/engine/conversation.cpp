#include "engine/conversation.hpp"

#include "text/folding.hpp"
#include "text/prompts.hpp"

#include <algorithm>

namespace lai {

std::string turns_note(std::uint32_t turns) {
    if (turns == 0) {
        return "the model file does not say how many turns the training text has: each question is answered alone";
    }
    if (turns == 1) return "the training text has one question a document: each question is answered alone";
    return "the training text has conversations of up to " + std::to_string(turns) +
           " questions: older turns are forgotten";
}

Conversation::Conversation(Generator& generator, const ModelFile& file, const std::optional<std::string>& system)
    : generator_(generator), file_(file) {
    set_system(system);
}

void Conversation::set_system(const std::optional<std::string>& system) {
    std::vector<TokenId> start = {kBos};
    if (system) {
        const std::string folded = fold_text(*system);
        const std::string& text = folded.empty() || file_.folds_prompts() ? folded : *system;
        const std::vector<TokenId> turn = encode_system_turn(file_.vocabulary(), text, file_.path());
        start.insert(start.end(), turn.begin(), turn.end());
        generator_.check_fits(start.size());
    }
    start_ = start;
    reset();
}

void Conversation::reset() {
    turns_.clear();
    generator_.reset();
}

std::vector<std::string> Conversation::ask(std::string_view text, const GenerationOptions& options) {
    const std::vector<TokenId> turn = encode_chat_turn(file_.vocabulary(), text, file_.path());
    generator_.check_fits(start_.size() + turn.size());
    std::vector<std::string> notes;
    const std::size_t kept = turns_within(options.keep.value_or(0));
    const auto forget_oldest = [&] {
        turns_.erase(turns_.begin() + static_cast<std::ptrdiff_t>(turns_.size() > kept ? kept : 0));
    };
    const std::uint32_t known = file_.training().turns;
    if (const std::size_t limit = std::max<std::size_t>(1, known); turns_.size() >= limit) {
        while (turns_.size() >= limit) forget_oldest();
        if (!has_told_) notes.push_back(turns_note(known));
        has_told_ = true;
    }
    const std::size_t context = file_.config().max_seq_len;
    const std::size_t room = std::min(options.max_tokens, context / 4);
    const std::size_t before = turns_.size();
    while (!turns_.empty() && all_turns().size() + turn.size() + room > context) forget_oldest();
    if (turns_.size() < before) notes.emplace_back(kContextIsFull);
    if (generator_.sequence() != all_turns()) generator_.restart(all_turns());
    generator_.append(turn);
    turns_.push_back(turn);
    return notes;
}

void Conversation::answered(const Generation& generation) {
    const TokenId end = file_.vocabulary().tags().assistant_end;
    turns_.back().insert(turns_.back().end(), generation.ids.begin(), generation.ids.end());
    turns_.back().push_back(end);
    if (generator_.sequence().size() < file_.config().max_seq_len) generator_.append({end});
}

void Conversation::ask_apart(std::string_view text) {
    std::vector<TokenId> sequence = start_;
    const std::vector<TokenId> turn = encode_chat_turn(file_.vocabulary(), text, file_.path());
    sequence.insert(sequence.end(), turn.begin(), turn.end());
    generator_.check_fits(sequence.size());
    generator_.restart(sequence);
}

// How many turns the first tokens of the sequence reach into.
std::size_t Conversation::turns_within(std::size_t tokens) const {
    std::size_t turns = 0;
    for (std::size_t end = start_.size(); turns < turns_.size() && end < tokens; ++turns) end += turns_[turns].size();
    return turns;
}

std::vector<TokenId> Conversation::all_turns() const {
    std::vector<TokenId> all = start_;
    for (const auto& turn : turns_) all.insert(all.end(), turn.begin(), turn.end());
    return all;
}

}  // namespace lai
