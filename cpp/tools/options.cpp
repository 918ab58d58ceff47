#include "tools/options.hpp"

#include "host/error.hpp"

#include <cstdlib>
#include <string_view>

namespace lai {

const char* const kVersion = LAI_VERSION;

const char* const kHelp = R"(lai: runs a LAi language model

usage: lai [-m FILE] [options]           chat, or answer standard input
       lai [-m FILE] -p TEXT [options]   answer one prompt

prompt
  -m, --model FILE        model file (models/lai-tiny.bin)
  -p, --prompt TEXT       the user message; the answer is streamed; repeated:
                          the turns of one conversation, each is answered
  -t, --translate TEXT    translate English to Hungarian
      --to-en TEXT        translate Hungarian to English
  -f, --file FILE         read the prompt from a file, - for standard input
      --system TEXT       a system prompt before the first turn
      --raw               continue the text; chat tags in it are markup
                          (line ends at the end of a file are removed)

generation
      --temp NUMBER       sampling temperature, 0 for greedy decoding (0.7)
      --top-k N           sample from the N most likely tokens, 0 for all (40)
      --top-p NUMBER      sample from the most likely tokens of this total
                          probability (0.9)
      --repeat-penalty X  penalty for the last 64 tokens, 1 for none (1.1)
      --tokens N          maximum number of new tokens (256)
      --seed N            sampling seed; the same seed gives the same text (random)
      --keep N            when the context is full, keep its first N tokens and
                          continue (stop)
      --threads N         CPU threads (the number of cores)

tools
      --info              show what the model file holds
      --bench             measure the speed of prefill and decode
      --perplexity FILE   the loss on a text file with one document per line
      --tokenize TEXT     the token ids of a text; chat tags in it are markup
      --tokenize-lines F  the token ids of each line of a file, - for standard input
      --detokenize "IDS"  the text of token ids
      --logits FILE       write the logits of every prompt position as raw float32
      --json              print one JSON object with timing instead of text
      --no-verify         skip the checksum of the model file
      --version
  -h, --help

In the chat, /help lists the commands; Ctrl-C stops the answer, Ctrl-D leaves.
)";

namespace {

std::string format_number(double bound) {
    std::string digits = std::to_string(bound);
    digits.erase(digits.find_last_not_of('0') + 1);
    if (digits.back() == '.') digits.pop_back();
    return digits;
}

[[noreturn]] void throw_invalid(const std::string& name, const std::string& found, const std::string& what,
                                const std::string& min, const std::string& max) {
    throw Error(name + " is '" + found + "', expected " + what + " from " + min + " to " + max);
}

class Parser {
public:
    Parser(int count, char** arguments) : count_(count), arguments_(arguments) {}

    Options parse() {
        while (at_ < count_) {
            name_ = arguments_[at_++];
            if (!prompt_option() && !sampling_option() && !generation_option() && !tool_option()) {
                throw Error("unknown option " + name_ + "; lai --help lists the options");
            }
        }
        if (options_.prompt && options_.file) throw Error("a prompt and --file are given, expected one of them");
        if (options_.raw && options_.translate != Translate::no) {
            throw Error("--raw and a translation are given, expected one of them");
        }
        if (options_.raw && (options_.system || !options_.more_prompts.empty())) {
            throw Error(std::string("--raw and ") + (options_.system ? "--system" : "several prompts") +
                        " are given, expected one of them");
        }
        if (options_.logits && !options_.more_prompts.empty()) {
            throw Error("--logits and several prompts are given, expected one prompt");
        }
        const bool answers =
            options_.mode == Mode::answer || options_.mode == Mode::help || options_.mode == Mode::version;
        if (!answers && (options_.prompt || options_.file || options_.system || options_.logits)) {
            throw Error("a prompt or --logits is given together with " + tool_ + ", expected one of them");
        }
        options_.generation.stop_at_assistant_end = !options_.raw;
        return options_;
    }

private:
    bool is(std::string_view name) const { return name_ == name; }

    std::string value() {
        if (at_ == count_) throw Error("option " + name_ + " lacks its value");
        return arguments_[at_++];
    }

    double number(double min, double max) {
        const std::string option = "option " + name_;
        return read_number(option, value(), min, max);
    }

    std::uint64_t whole_number(std::uint64_t min, std::uint64_t max) {
        const std::string option = "option " + name_;
        return read_whole_number(option, value(), min, max);
    }

    std::string file_name() {
        std::string name = value();
        if (name.empty()) throw Error("option " + name_ + " is '', expected the name of a file");
        return name;
    }

    void set_prompt(Translate translate) {
        if (options_.prompt && (translate != Translate::no || options_.translate != Translate::no)) {
            throw Error("two prompts are given, expected one of -p, -t and --to-en");
        }
        options_.translate = translate;
        if (options_.prompt) {
            options_.more_prompts.push_back(value());
        } else {
            options_.prompt = value();
        }
    }

    void set_mode(Mode mode) {
        if (!tool_.empty()) throw Error(tool_ + " and " + name_ + " are given, expected one of them");
        options_.mode = mode;
        tool_ = name_;
    }

    bool prompt_option() {
        if (is("-m") || is("--model")) {
            options_.model = file_name();
        } else if (is("-p") || is("--prompt")) {
            set_prompt(Translate::no);
        } else if (is("-t") || is("--translate")) {
            set_prompt(Translate::to_hungarian);
        } else if (is("--to-en")) {
            set_prompt(Translate::to_english);
        } else if (is("-f") || is("--file")) {
            if (options_.file) throw Error("two prompt files are given, expected one");
            options_.file = file_name();
        } else if (is("--system")) {
            options_.system = value();
        } else if (is("--raw")) {
            options_.raw = true;
        } else {
            return false;
        }
        return true;
    }

    bool sampling_option() {
        SamplerOptions& sampler = options_.sampler;
        if (is("--temp")) {
            sampler.temperature = static_cast<float>(number(0, kMaxTemperature));
        } else if (is("--top-k")) {
            sampler.top_k = whole_number(0, kMaxTokens);
        } else if (is("--top-p")) {
            sampler.top_p = static_cast<float>(number(0, 1));
        } else if (is("--repeat-penalty")) {
            sampler.repeat_penalty = static_cast<float>(number(0.01, 100));
        } else if (is("--seed")) {
            options_.seed = whole_number(0, UINT64_MAX);
        } else {
            return false;
        }
        return true;
    }

    bool generation_option() {
        if (is("--tokens")) {
            options_.generation.max_tokens = whole_number(0, kMaxTokens);
        } else if (is("--keep")) {
            options_.generation.keep = whole_number(0, kMaxTokens);
        } else if (is("--threads")) {
            options_.threads = whole_number(1, 256);
        } else if (is("--logits")) {
            options_.logits = file_name();
        } else if (is("--json")) {
            options_.json = true;
        } else if (is("--no-verify")) {
            options_.verify = false;
        } else {
            return false;
        }
        return true;
    }

    bool tool_option() {
        if (is("--info")) {
            set_mode(Mode::info);
        } else if (is("--bench")) {
            set_mode(Mode::bench);
        } else if (is("--perplexity")) {
            set_mode(Mode::perplexity);
            options_.argument = file_name();
        } else if (is("--tokenize")) {
            set_mode(Mode::tokenize);
            options_.argument = value();
        } else if (is("--tokenize-lines")) {
            set_mode(Mode::tokenize_lines);
            options_.argument = file_name();
        } else if (is("--detokenize")) {
            set_mode(Mode::detokenize);
            options_.argument = value();
        } else if (is("--version")) {
            set_mode(Mode::version);
        } else if (is("-h") || is("--help")) {
            set_mode(Mode::help);
        } else {
            return false;
        }
        return true;
    }

    int count_;
    char** arguments_;
    int at_ = 1;
    std::string name_;
    std::string tool_;
    Options options_;
};

}  // namespace

double read_number(const std::string& name, const std::string& text, double min, double max) {
    char* end = nullptr;
    const double number = std::strtod(text.c_str(), &end);
    // Unlike strtod: no leading white space, no hexadecimal digits, no words such as inf.
    const bool valid = !text.empty() && *end == '\0' && text.find_first_not_of("+-.0123456789eE") == std::string::npos;
    if (!valid || !(number >= min && number <= max)) {
        throw_invalid(name, text, "a number", format_number(min), format_number(max));
    }
    return number;
}

std::uint64_t read_whole_number(const std::string& name, const std::string& text, std::uint64_t min,
                                std::uint64_t max) {
    std::uint64_t number = 0;
    bool valid = !text.empty() && text.size() <= 20;
    for (const char digit : text) {
        const auto value = static_cast<std::uint64_t>(digit - '0');
        if (digit < '0' || digit > '9' || number > (UINT64_MAX - value) / 10) valid = false;
        number = number * 10 + value;
    }
    if (!valid || number < min || number > max) {
        throw_invalid(name, text, "a whole number", std::to_string(min), std::to_string(max));
    }
    return number;
}

Options parse_options(int count, char** arguments) { return Parser(count, arguments).parse(); }

}  // namespace lai
