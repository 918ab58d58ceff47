#include "engine/conversation.hpp"
#include "engine/generator.hpp"
#include "engine/perplexity.hpp"
#include "host/error.hpp"
#include "text/folding.hpp"
#include "text/prompts.hpp"
#include "text/text_input.hpp"
#include "text/text_output.hpp"
#include "tools/bench.hpp"
#include "tools/chat.hpp"
#include "tools/options.hpp"
#include "tools/report.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <random>
#include <system_error>

namespace lai {

namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// SIGBUS means that a mapped file was truncated or that the disk fails.
extern "C" void on_bus_error(int) {
    constexpr char message[] = "error: the model file cannot be read any more; was it changed during use?\n";
    if (::write(STDERR_FILENO, message, sizeof message - 1) < 0) ::_exit(3);
    ::_exit(2);
}

// A file's text without a byte order mark and without the ends of its last lines.
std::string read_text(const std::string& path) {
    std::string text = TextInput(path).read_rest();
    if (text.compare(0, 3, "\xEF\xBB\xBF") == 0) text.erase(0, 3);
    text.erase(text.find_last_not_of("\r\n") + 1);
    return text;
}

// Everything that running a model needs, in the order of its setup.
class Engine {
public:
    explicit Engine(const Options& options)
        : options_(options),
          start_(Clock::now()),
          kernels_(choose_kernels()),
          pool_(options.threads > 0 ? options.threads : available_cores()),
          file_(options.model, options.verify, pool_),
          transformer_(file_, pool_, kernels_),
          seed_(options.seed ? *options.seed : std::random_device()()),
          sampler_(options.sampler, seed_),
          load_milliseconds_(milliseconds_since(start_)) {}

    void run() {
        switch (options_.mode) {
            case Mode::info: return info();
            case Mode::bench: return bench();
            case Mode::perplexity: return perplexity();
            default: return answer();
        }
    }

private:
    void info() {
        print(options_.json ? model_json(file_, transformer_).str() + "\n" : describe_model(file_, transformer_));
    }

    void bench() {
        JsonObject json;
        json.text("kernels", kernels_.name).count("threads", pool_.size()).number("load_ms", load_milliseconds_);
        if (!options_.json) {
            std::printf("%s kernels, %zu threads, loaded in %.1f ms\n", kernels_.name, pool_.size(),
                        load_milliseconds_);
        }
        for (const Speed& speed : measure_speed(transformer_)) {
            json.number(speed.phase + ("_" + std::to_string(speed.tokens)), speed.tokens_per_second);
            if (!options_.json) {
                std::printf("%-7s %4zu tokens: %8.0f tokens/s\n", speed.phase, speed.tokens, speed.tokens_per_second);
            }
        }
        const double ceiling = measure_bandwidth_ceiling(transformer_, pool_, kernels_);
        json.number("bandwidth_ceiling", ceiling);
        if (options_.json) {
            print(json.str() + "\n");
        } else {
            std::printf("decode ceiling:      %8.0f tokens/s, by memory bandwidth\n", ceiling);
        }
    }

    void perplexity() {
        const Loss loss = measure_loss(options_.argument, file_.vocabulary(), transformer_, file_.folds_prompts());
        if (options_.json) {
            JsonObject json;
            json.number("nats_per_token", loss.per_token()).number("bits_per_byte", loss.bits_per_byte());
            json.count("tokens", loss.tokens).count("bytes", loss.bytes).count("documents", loss.documents);
            print(json.str() + "\n");
        } else {
            std::printf("%.6f nats per token, %.6f bits per byte (%zu documents, %zu tokens, %zu bytes)\n",
                        loss.per_token(), loss.bits_per_byte(), loss.documents, loss.tokens, loss.bytes);
        }
    }

    void answer() {
        check_keep(options_.generation, file_.config());
        const bool terminal = ::isatty(STDIN_FILENO) != 0;
        if (!options_.prompt && !options_.file && terminal && !options_.json && !options_.logits) {
            if (options_.raw) {
                throw Error("--raw continues a text, but none is given; give one with -p, -f or on standard input");
            }
            return chat(file_, transformer_, sampler_, options_);
        }
        std::vector<std::string> texts = prompts();
        if (!options_.json && ::isatty(STDERR_FILENO) != 0) {
            if (const std::string note = training_note(file_); !note.empty()) {
                print_error(note);
            }
        }
        Generator generator(transformer_, file_.vocabulary(), sampler_);
        if (options_.raw) {
            std::vector<TokenId> prompt = {kBos};
            const std::vector<TokenId> text = file_.vocabulary().encode(texts[0], TextKind::markup);
            prompt.insert(prompt.end(), text.begin(), text.end());
            generator.append(prompt);
            answer_in(generator);
            return;
        }
        Conversation conversation(generator, file_, options_.system);
        for (std::string& text : texts) {
            if (options_.translate == Translate::to_hungarian) text.insert(0, kToHungarian);
            if (options_.translate == Translate::to_english) text.insert(0, kToEnglish);
            for (const std::string& note : conversation.ask(text, options_.generation)) {
                print_error("note: " + note);
            }
            conversation.answered(answer_in(generator));
        }
    }

    // Prints the answer to the generator's sequence.
    Generation answer_in(Generator& generator) {
        const std::vector<TokenId> prompt = generator.sequence();
        if (options_.logits) write_logits(prompt);
        Utf8Stream stream;
        std::string text;
        Generation result = generator.generate(options_.generation, [&](TokenId id) {
            const std::string piece = stream.push(file_.vocabulary().decode({id}));
            text += piece;
            if (!options_.json) print_now(piece);
        });
        const std::string rest = stream.finish();
        if (options_.json) {
            print(answer_json(prompt, text + rest, result) + "\n");
        } else if (options_.generation.max_tokens > 0) {
            print_now(rest + "\n");
            if (result.stop == StopReason::context) {
                std::fprintf(stderr, "note: the context of %zu tokens is full; --keep N continues beyond it\n",
                             file_.config().max_seq_len);
            }
        }
        return result;
    }

    // The texts to answer, or the one to continue.
    std::vector<std::string> prompts() const {
        std::vector<std::string> texts = options_.more_prompts;
        texts.insert(texts.begin(),
                     options_.prompt ? *options_.prompt : read_text(options_.file ? *options_.file : "-"));
        for (std::string& text : texts) {
            // --raw -p '' is allowed: it generates a text from its beginning.
            std::string folded = options_.raw ? std::string() : fold_text(text);
            const bool is_blank = options_.raw ? !options_.prompt && text.empty() : folded.empty();
            if (is_blank) throw Error("the prompt is empty; give one with -p, -f or on standard input");
            if (!options_.raw && file_.folds_prompts()) text = std::move(folded);
            check_length(text);
        }
        return texts;
    }

    // Refuses a text that cannot fit before encoding it, which takes far more memory than the text.
    void check_length(const std::string& text) const {
        const std::size_t context = file_.config().max_seq_len;
        if (text.size() / file_.vocabulary().max_token_bytes() <= context) return;
        throw Error("the prompt has " + std::to_string(text.size()) + " bytes, the model's context holds " +
                    std::to_string(context) + " tokens of at most " +
                    std::to_string(file_.vocabulary().max_token_bytes()) + "; shorten the prompt");
    }

    void write_logits(const std::vector<TokenId>& prompt) {
        check_logits_file();
        std::FILE* out = std::fopen(options_.logits->c_str(), "wb");
        if (out == nullptr) throw Error("cannot write " + *options_.logits + ": " + std::strerror(errno));
        KvCache cache = transformer_.make_cache();
        transformer_.forward_all(prompt.data(), prompt.size(), cache,
                                 [&](std::size_t, std::size_t tokens, const float* logits) {
                                     std::fwrite(logits, sizeof(float), tokens * transformer_.config().vocab_size, out);
                                 });
        const bool failed = std::ferror(out) != 0;
        if (std::fclose(out) != 0 || failed) {
            throw Error("cannot write " + *options_.logits + ": " + std::strerror(errno));
        }
    }

    // A file of raw floats has no magic number. A file is not overwritten if its size does not fit this model's logits.
    void check_logits_file() const {
        const std::string& path = *options_.logits;
        struct stat status{};
        if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return;
        std::string start(4, '\0');
        if (std::FILE* file = std::fopen(path.c_str(), "rb")) {
            start.resize(std::fread(start.data(), 1, start.size(), file));
            std::fclose(file);
        }
        const bool ours = start == "LAi1" || start == "VIAL";
        if (ours ||
            static_cast<std::size_t>(status.st_size) % (sizeof(float) * transformer_.config().vocab_size) != 0) {
            throw Error("--logits " + path +
                        " exists and is another kind of file; give another name, so that it is not overwritten");
        }
    }

    std::string answer_json(const std::vector<TokenId>& prompt, const std::string& text,
                            const Generation& result) const {
        JsonObject timing;
        timing.number("load_ms", load_milliseconds_);
        timing.count("prompt_tokens", result.prompt_tokens).number("prompt_ms", result.prefill_seconds * 1e3);
        timing.number("prompt_tokens_per_second", result.prefill_speed());
        timing.count("answer_tokens", result.ids.size()).number("answer_ms", result.decode_seconds * 1e3);
        timing.number("answer_tokens_per_second", result.decode_speed());
        JsonObject json;
        json.text("version", kVersion).text("model", valid_utf8(options_.model)).text("kernels", kernels_.name);
        json.count("threads", pool_.size()).count("seed", seed_).ids("prompt_ids", prompt).ids("ids", result.ids);
        json.text("text", text).text("stop", stop_reason_name(result.stop)).object("timing", timing);
        return json.str();
    }

    Options options_;
    Clock::time_point start_;
    const Kernels& kernels_;
    ThreadPool pool_;
    ModelFile file_;
    Transformer transformer_;
    std::uint64_t seed_;
    Sampler sampler_;
    double load_milliseconds_;
};

void print_ids(const std::vector<TokenId>& ids, bool json) {
    if (json) {
        print(JsonObject().ids("ids", ids).str() + "\n");
        return;
    }
    std::string line;
    for (const TokenId id : ids) line += (line.empty() ? "" : " ") + std::to_string(id);
    print(line + "\n");
}

void detokenize(const Vocabulary& vocabulary, const Options& options) {
    constexpr const char* kSpaces = " \t\n\r\f\v";
    const std::string& list = options.argument;
    std::vector<TokenId> ids;
    for (std::size_t end = 0, begin = 0; (begin = list.find_first_not_of(kSpaces, end)) != std::string::npos;) {
        end = std::min(list.find_first_of(kSpaces, begin), list.size());
        const std::string word = list.substr(begin, end - begin);
        ids.push_back(static_cast<TokenId>(read_whole_number("an id of --detokenize", word, 0, vocabulary.size() - 1)));
    }
    const std::string text = vocabulary.decode(ids);
    if (options.json) {
        print(JsonObject().text("text", valid_utf8(text)).str() + "\n");
    } else {
        print(text);
    }
}

// Tools that need only the vocabulary.
bool run_vocabulary_tool(const Options& options) {
    if (options.mode != Mode::tokenize && options.mode != Mode::tokenize_lines && options.mode != Mode::detokenize) {
        return false;
    }
    ThreadPool pool(1);
    const ModelFile file(options.model, options.verify, pool);
    const Vocabulary& vocabulary = file.vocabulary();
    if (options.mode == Mode::tokenize) {
        print_ids(vocabulary.encode(options.argument, TextKind::markup), options.json);
    } else if (options.mode == Mode::detokenize) {
        detokenize(vocabulary, options);
    } else {
        TextInput lines(options.argument);
        for (std::string line; lines.next_line(line);) {
            print_ids(vocabulary.encode(line, TextKind::markup), options.json);
        }
    }
    return true;
}

void run(int count, char** arguments) {
    const Options options = parse_options(count, arguments);
    std::signal(SIGBUS, on_bus_error);
    if (options.mode == Mode::help) {
        print(kHelp);
    } else if (options.mode == Mode::version) {
        std::printf("lai %s\n", kVersion);
    } else if (!run_vocabulary_tool(options)) {
        Engine(options).run();
    }
}

}  // namespace

}  // namespace lai

int main(int count, char** arguments) {
    try {
        lai::run(count, arguments);
        if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) throw lai::Error("cannot write to standard output");
        return 0;
    } catch (const lai::Error& error) {
        lai::print_error(std::string("error: ") + error.what());
    } catch (const std::bad_alloc&) {
        std::fputs("error: there is not enough memory for this model and context\n", stderr);
    } catch (const std::exception& error) {
        lai::print_error(std::string("error: ") + error.what());
    }
    return 2;
}
