#include "engine/generator.hpp"

#include "check.hpp"
#include "refused.hpp"
#include "small_model.hpp"

#include <atomic>
#include <string>
#include <vector>

using namespace lai;

namespace {

constexpr SamplerOptions kGreedy = {0, 40, 0.9F, 1};
constexpr std::size_t kContext = 24;
// A prompt after which this model does not end its answer.
const std::vector<TokenId> kPrompt = {kBos, 110, 150, 200};

GenerationOptions options(std::size_t max_tokens) {
    GenerationOptions result;
    result.max_tokens = max_tokens;
    result.stop_at_assistant_end = false;
    return result;
}

// The token with the largest logit, control tokens but <eos> excluded, after a sequence that is computed afresh.
TokenId greedy(SmallModel& model, const std::vector<TokenId>& sequence) {
    std::vector<float> logits = model.logits(sequence);
    for (const TokenId id : {kPad, kBos, kUnk}) logits[static_cast<std::size_t>(id)] = -1e30F;
    return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

struct Run {
    explicit Run(std::size_t context = kContext)
        : model(context), sampler(kGreedy, 0), generator(model.transformer, model.file.vocabulary(), sampler) {}

    Generation generate(const GenerationOptions& options, const std::atomic<bool>* interrupt = nullptr) {
        emitted.clear();
        return generator.generate(options, [&](TokenId id) { emitted.push_back(id); }, interrupt);
    }

    SmallModel model;
    Sampler sampler;
    Generator generator;
    std::vector<TokenId> emitted;
};

void greedy_tokens_are_those_of_the_logits_and_the_cache_is_reused() {
    Run run;
    run.generator.append(kPrompt);
    std::vector<TokenId> sequence = kPrompt;
    for (const std::size_t prefill : {kPrompt.size(), std::size_t{2}}) {  // the last token of the answer, and one more
        const Generation result = run.generate(options(5));
        CHECK(result.ids.size() == 5 && result.stop == StopReason::tokens && result.prompt_tokens == prefill);
        CHECK(result.ids == run.emitted);
        for (const TokenId id : result.ids) {
            CHECK(id == greedy(run.model, sequence));
            sequence.push_back(id);
        }
        CHECK(run.generator.sequence() == sequence);
        run.generator.append({103});
        sequence.push_back(103);
    }
}

void generation_stops_at_the_end_of_the_context() {
    Run run;
    run.generator.append(kPrompt);
    const Generation result = run.generate(options(1000));
    CHECK(result.stop == StopReason::context);
    CHECK(kPrompt.size() + result.ids.size() == kContext + 1);
}

void a_sliding_window_keeps_the_first_tokens_and_half_of_the_others() {
    Run run;
    run.generator.append(kPrompt);
    GenerationOptions sliding = options(60);
    sliding.keep = 3;
    const Generation result = run.generate(sliding);
    CHECK(result.ids.size() == 60 && result.stop == StopReason::tokens);
    std::vector<TokenId> window = kPrompt;
    for (const TokenId id : result.ids) {
        if (window.size() > kContext) {
            const std::size_t recent = (window.size() - 3) / 2;
            window.erase(window.begin() + 3, window.end() - static_cast<std::ptrdiff_t>(recent));
        }
        CHECK(id == greedy(run.model, window));
        window.push_back(id);
    }
}

void generation_stops_at_a_stop_token_and_does_not_emit_it() {
    Run run;
    const TokenId stop = run.model.file.vocabulary().tags().assistant_end;
    // A penalty near 0 makes the token of the sequence with the largest positive logit the most likely one.
    run.sampler.options().repeat_penalty = 1e-6F;
    bool found = false;
    for (TokenId other = 100; other < 200 && !found; ++other) {
        const std::vector<TokenId> prompt = {kBos, other, stop};
        const std::vector<float> logits = run.model.logits(prompt);
        const float best = logits[static_cast<std::size_t>(stop)];
        if (best < 0.01F || best <= logits[static_cast<std::size_t>(other)]) continue;
        found = true;
        GenerationOptions stopping = options(1);
        for (const bool stops : {false, true}) {
            stopping.stop_at_assistant_end = stops;
            run.generator.restart(prompt);
            const Generation result = run.generate(stopping);
            CHECK(result.stop == (stops ? StopReason::assistant_end : StopReason::tokens));
            CHECK(result.ids == (stops ? std::vector<TokenId>{} : std::vector<TokenId>{stop}));
            CHECK(run.emitted == result.ids && run.generator.sequence().size() == prompt.size() + result.ids.size());
        }
    }
    CHECK(found);
}

void an_interrupt_stops_before_the_first_token_and_nothing_is_lost() {
    Run run;
    run.generator.append(kPrompt);
    const std::atomic<bool> interrupt{true};
    const Generation stopped = run.generate(options(5), &interrupt);
    CHECK(stopped.stop == StopReason::interrupted && stopped.ids.empty());
    const Generation result = run.generate(options(1));
    CHECK(result.prompt_tokens == kPrompt.size() && result.ids[0] == greedy(run.model, kPrompt));
}

void no_tokens_are_computed_if_none_are_requested() {
    Run run;
    run.generator.append(kPrompt);
    const Generation result = run.generate(options(0));
    CHECK(result.ids.empty() && result.prompt_tokens == 0 && result.prefill_speed() == 0 && result.decode_speed() == 0);
}

void reset_and_restart_replace_the_sequence() {
    Run run;
    run.generator.append({kBos, 50, 51});
    run.generate(options(3));
    run.generator.restart(kPrompt);
    CHECK(run.generator.sequence() == kPrompt);
    CHECK(run.generate(options(1)).ids[0] == greedy(run.model, kPrompt));
    run.generator.reset();
    CHECK(run.generator.sequence().empty());
}

void too_long_a_prompt_and_too_large_a_keep_are_refused() {
    Run run;
    run.generator.append(std::vector<TokenId>(kContext, 100));
    CHECK(contains(refusal([&] { run.generator.append({100}); }), "the prompt has 25 tokens"));
    CHECK(run.generator.sequence().size() == kContext);
    GenerationOptions sliding = options(5);
    const ModelConfig& config = run.model.transformer.config();
    check_keep(sliding, config);
    sliding.keep = kContext - 2;
    check_keep(sliding, config);
    sliding.keep = kContext - 1;
    CHECK(contains(refusal([&] { check_keep(sliding, config); }), "--keep is 23, expected at least 2 fewer"));
}

}  // namespace

int main() {
    greedy_tokens_are_those_of_the_logits_and_the_cache_is_reused();
    generation_stops_at_the_end_of_the_context();
    a_sliding_window_keeps_the_first_tokens_and_half_of_the_others();
    generation_stops_at_a_stop_token_and_does_not_emit_it();
    an_interrupt_stops_before_the_first_token_and_nothing_is_lost();
    no_tokens_are_computed_if_none_are_requested();
    reset_and_restart_replace_the_sequence();
    too_long_a_prompt_and_too_large_a_keep_are_refused();
}
