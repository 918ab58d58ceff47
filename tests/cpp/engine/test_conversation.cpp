#include "engine/conversation.hpp"

#include "check.hpp"
#include "refused.hpp"
#include "small_model.hpp"
#include "text/prompts.hpp"

#include <string>
#include <vector>

using namespace lai;

namespace {

constexpr SamplerOptions kGreedy = {0, 40, 0.9F, 1};

struct Chat {
    explicit Chat(std::size_t context, const std::optional<std::string>& system = {})
        : model(context),
          sampler(kGreedy, 0),
          generator(model.transformer, model.file.vocabulary(), sampler),
          conversation(generator, model.file, system) {
        options.max_tokens = 2;
    }

    std::vector<std::string> ask(const std::string& text) {
        std::vector<std::string> notes = conversation.ask(text, options);
        prompt = generator.sequence();
        conversation.answered(generator.generate(options, [](TokenId) {}));
        return notes;
    }

    SmallModel model;
    Sampler sampler;
    Generator generator;
    Conversation conversation;
    GenerationOptions options;
    std::vector<TokenId> prompt;
};

// The test's model file says nothing of turns.
void each_question_is_asked_alone_if_the_file_does_not_tell_the_turns() {
    Chat chat(64);
    CHECK(chat.ask("a").empty());
    const std::vector<TokenId> first = chat.prompt;
    CHECK(chat.ask("a") == std::vector<std::string>{turns_note(0)} && chat.prompt == first);
    CHECK(chat.ask("a").empty() && chat.prompt == first);
}

void the_system_prompt_stands_first_and_stays() {
    Chat chat(64, "s");
    const ChatTags& tags = chat.model.file.vocabulary().tags();
    const std::vector<TokenId> start = {kBos, tags.system, kFirstByte + 's', tags.system_end, tags.user};
    for (int turn = 0; turn < 3; ++turn) {
        if (turn == 2) chat.conversation.reset();
        chat.ask("a");
        CHECK(std::vector<TokenId>(chat.prompt.begin(), chat.prompt.begin() + 5) == start);
    }
    chat.conversation.ask_apart("b");
    CHECK(chat.generator.sequence()[2] == kFirstByte + 's' && chat.generator.sequence()[5] == kFirstByte + 'b');
    chat.conversation.set_system(std::nullopt);
    chat.ask("a");
    CHECK(chat.prompt[1] == tags.user);
    CHECK(contains(refusal([&] { chat.conversation.set_system(" "); }), "the system prompt is empty"));
    CHECK(is_refused([&] { chat.conversation.set_system(std::string(100, 'x')); }));
}

void too_long_a_question_is_refused() {
    Chat chat(24);
    chat.ask("a");
    CHECK(contains(refusal([&] { chat.ask(std::string(30, 'x')); }), "the prompt has"));
    CHECK(contains(refusal([&] { chat.conversation.ask_apart(std::string(30, 'x')); }), "the prompt has"));
}

}  // namespace

int main() {
    each_question_is_asked_alone_if_the_file_does_not_tell_the_turns();
    the_system_prompt_stands_first_and_stays();
    too_long_a_question_is_refused();
}
