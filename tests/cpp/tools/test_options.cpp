#include "tools/options.hpp"

#include "check.hpp"
#include "refused.hpp"

#include <string>
#include <vector>

using namespace lai;

namespace {

Options parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "lai");
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    return parse_options(static_cast<int>(pointers.size()), pointers.data());
}

std::string refuse(const std::vector<std::string>& arguments) {
    return refusal([&] { parse(arguments); });
}

void without_options_the_defaults_hold() {
    const Options options = parse({});
    CHECK(options.mode == Mode::answer && options.model == "models/lai-tiny.bin" && options.verify);
    CHECK(!options.prompt && !options.file && !options.seed && !options.raw && !options.json && options.threads == 0);
    CHECK(options.sampler.temperature == 0.7F && options.sampler.top_k == 40 && options.sampler.top_p == 0.9F);
    CHECK(options.sampler.repeat_penalty == 1.1F && options.generation.max_tokens == 256 && !options.generation.keep);
}

void options_set_their_fields() {
    const Options options = parse({"-m",
                                   "a.bin",
                                   "--temp",
                                   "0.5",
                                   "--top-k",
                                   "0",
                                   "--top-p",
                                   "1",
                                   "--repeat-penalty",
                                   "1e0",
                                   "--tokens",
                                   "7",
                                   "--keep",
                                   "3",
                                   "--seed",
                                   "18446744073709551615",
                                   "--threads",
                                   "2",
                                   "--json",
                                   "--no-verify",
                                   "--logits",
                                   "x"});
    CHECK(options.model == "a.bin" && options.sampler.temperature == 0.5F && options.sampler.top_k == 0);
    CHECK(options.sampler.top_p == 1 && options.sampler.repeat_penalty == 1 && options.generation.max_tokens == 7);
    CHECK(options.generation.keep == std::size_t{3} && options.seed == UINT64_MAX && options.threads == 2);
    CHECK(options.json && !options.verify && options.logits == "x");
    const Options conversation = parse({"-p", "a", "--system", "s", "-p", "b", "-p", "c"});
    CHECK(conversation.prompt == "a" && conversation.system == "s");
    CHECK(conversation.more_prompts == std::vector<std::string>({"b", "c"}));
    CHECK(parse({"-t", "a"}).translate == Translate::to_hungarian && parse({"-t", "a"}).prompt == "a");
    CHECK(parse({"--to-en", "a"}).translate == Translate::to_english);
    CHECK(parse({"--file", "-"}).file == "-" && parse({"-p", "--raw"}).prompt == "--raw");
    CHECK(!parse({"--raw"}).generation.stop_at_assistant_end && parse({}).generation.stop_at_assistant_end);
    CHECK(parse({"--detokenize", "1 2"}).argument == "1 2" && parse({"--detokenize", ""}).mode == Mode::detokenize);
    CHECK(parse({"-h"}).mode == Mode::help && parse({"--version", "-p", "a"}).mode == Mode::version);
}

void contradicting_options_are_refused() {
    CHECK(contains(refuse({"-p", "a", "-t", "b"}), "two prompts are given"));
    CHECK(contains(refuse({"--raw", "-p", "a", "--system", "b"}), "--raw and --system are given"));
    CHECK(contains(refuse({"--raw", "-p", "a", "-p", "b"}), "--raw and several prompts are given"));
    CHECK(contains(refuse({"--logits", "x", "-p", "a", "-p", "b"}), "--logits and several prompts are given"));
    CHECK(contains(refuse({"--info", "--system", "b"}), "--info"));
    CHECK(contains(refuse({"-p", "a", "-f", "b"}), "expected one of them"));
    CHECK(contains(refuse({"--raw", "--to-en", "b"}), "--raw and a translation"));
    CHECK(contains(refuse({"--info", "--bench"}), "--info and --bench are given"));
    CHECK(contains(refuse({"--info", "-p", "a"}), "together with --info"));
    CHECK(contains(refuse({"--temp"}), "option --temp lacks its value"));
    CHECK(contains(refuse({"--temperature", "1"}), "unknown option --temperature"));
    CHECK(contains(refuse({"-m", ""}), "option -m is '', expected the name of a file"));
    CHECK(contains(refuse({"--threads", "257"}), "'257', expected a whole number from 1 to 256"));
    CHECK(contains(refuse({"--top-p", "1.1"}), "'1.1', expected a number from 0 to 1"));
}

void numbers_are_read_strictly() {
    CHECK(read_number("x", "-1.5e1", -20, 0) == -15 && read_number("x", ".5", 0, 1) == 0.5);
    for (const std::string text : {"", " 1", "1 ", "0x1", "inf", "nan", "1,5", "1e", "--1", "2.01"}) {
        CHECK(is_refused([&] { read_number("x", text, 0, 2); }));
    }
    CHECK(read_whole_number("x", "007", 0, 9) == 7);
    CHECK(read_whole_number("x", "18446744073709551615", 0, UINT64_MAX) == UINT64_MAX);
    for (const std::string text :
         {"", "-1", "+1", "1.0", "1e3", " 1", "18446744073709551616", "99999999999999999999"}) {
        CHECK(is_refused([&] { read_whole_number("x", text, 0, UINT64_MAX); }));
    }
    CHECK(
        contains(refusal([] { read_whole_number("x", "5", 6, 9); }), "x is '5', expected a whole number from 6 to 9"));
}

}  // namespace

int main() {
    without_options_the_defaults_hold();
    options_set_their_fields();
    contradicting_options_are_refused();
    numbers_are_read_strictly();
}
