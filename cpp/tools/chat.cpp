#include "tools/chat.hpp"

#include "engine/conversation.hpp"
#include "host/error.hpp"
#include "text/folding.hpp"
#include "text/prompts.hpp"
#include "text/text_output.hpp"
#include "tools/report.hpp"

#include <sys/select.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string_view>

namespace lai {

namespace {

constexpr const char* kCommands =
    R"(/chat [TEXT]        chat, with TEXT or every line from now on; earlier turns are remembered
/hu [TEXT]          translate English to Hungarian, TEXT or every line from now on
/en [TEXT]          translate Hungarian to English
/translate [TEXT]   translate in the direction of the last /hu or /en
/temp NUMBER        sampling temperature, 0 for greedy decoding
/tokens N           maximum number of new tokens
/system [TEXT]      begin anew, with TEXT as the system prompt or without one
/reset              forget the conversation, but not the system prompt
/stats              speed of the last answer, and the context in use
/info               what the model file holds
/help               this list
/quit               leave, as does Ctrl-D; Ctrl-C stops an answer
)";

constexpr const char* kWhitespace = " \t";

// The longest line that a terminal passes on. The rest of a longer line is lost.
#if defined(__APPLE__)
constexpr std::size_t kMaxLineBytes = 1023;
#else
constexpr std::size_t kMaxLineBytes = 4095;
#endif

std::atomic<bool> interrupted{false};

extern "C" void on_interrupt(int) { interrupted.store(true); }

// While the object lives, Ctrl-C sets a flag and does not end the program.
class InterruptHandler {
public:
    InterruptHandler() {
        struct sigaction action{};
        action.sa_handler = on_interrupt;
        action.sa_flags = SA_RESTART;  // a stopped or slow terminal still receives the output
        sigemptyset(&action.sa_mask);
        sigaction(SIGINT, &action, &previous_);
    }
    ~InterruptHandler() { sigaction(SIGINT, &previous_, nullptr); }
    InterruptHandler(const InterruptHandler&) = delete;
    InterruptHandler& operator=(const InterruptHandler&) = delete;

private:
    struct sigaction previous_{};
};

// Reads lines from the terminal. SIGINT is unblocked only while waiting, so that no signal is lost just before.
class LineReader {
public:
    // The next line without its line end; nothing at the end of the input.
    std::optional<std::string> next() {
        sigset_t interrupt;
        sigset_t before;
        sigemptyset(&interrupt);
        sigaddset(&interrupt, SIGINT);
        pthread_sigmask(SIG_BLOCK, &interrupt, &before);
        print_now("> ");
        while (buffer_.find('\n') == std::string::npos && wait(before) && fill()) {
        }
        interrupted.store(false);
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        return take_line();
    }

private:
    static bool wait(const sigset_t& mask) {
        for (;;) {
            fd_set readable;
            FD_ZERO(&readable);
            FD_SET(STDIN_FILENO, &readable);
            if (::pselect(STDIN_FILENO + 1, &readable, nullptr, nullptr, nullptr, &mask) >= 0) return true;
            if (errno != EINTR) return false;
            print_now("\n(/quit or Ctrl-D leaves)\n> ");
        }
    }

    bool fill() {
        std::array<char, 4096> piece{};
        const ssize_t length = ::read(STDIN_FILENO, piece.data(), piece.size());
        if (length <= 0) return false;
        buffer_.append(piece.data(), static_cast<std::size_t>(length));
        return true;
    }

    std::optional<std::string> take_line() {
        if (buffer_.empty()) return std::nullopt;
        const std::size_t end = std::min(buffer_.find('\n'), buffer_.size());
        std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        if (!line.empty() && line.back() == '\r') line.pop_back();
        return line;
    }

    std::string buffer_;
};

class Chat {
public:
    Chat(const ModelFile& file, Transformer& transformer, Sampler& sampler, const Options& options)
        : file_(file),
          transformer_(transformer),
          sampler_(sampler),
          generation_options_(options.generation),
          generator_(transformer, file.vocabulary(), sampler),
          conversation_(generator_, file, options.system) {}

    void run() {
        const InterruptHandler handler;
        print(file_.path() + ", " + std::to_string(file_.parameter_count()) +
              " parameters. /help lists the commands.\n");
        if (const std::string note = training_note(file_); !note.empty()) print(note + "\n");
        LineReader lines;
        while (const std::optional<std::string> typed = lines.next()) {
            const std::string folded = fold_text(*typed);
            if (folded.empty()) continue;
            if (typed->size() >= kMaxLineBytes) {
                print("(the terminal cuts lines after " + std::to_string(kMaxLineBytes) +
                      " bytes; use lai -f FILE for a longer text)\n");
                continue;
            }
            const std::string& line = file_.folds_prompts() ? folded : *typed;
            try {
                if (line.front() != '/') {
                    answer(line, mode_);
                } else if (!command(line.substr(0, line.find_last_not_of(kWhitespace) + 1))) {
                    return;
                }
            } catch (const Error& error) {
                print(std::string(error.what()) + "\n");
            }
        }
        print("\n");
    }

private:
    // Returns false to leave the chat.
    bool command(const std::string& line) {
        const std::size_t space = line.find_first_of(kWhitespace);
        const std::string name = line.substr(0, space);
        const std::string rest =
            space == std::string::npos ? "" : line.substr(line.find_first_not_of(kWhitespace, space));
        if (name == "/hu" || name == "/en" || name == "/translate") {
            if (name != "/translate") direction_ = name == "/hu" ? Translate::to_hungarian : Translate::to_english;
            answer_or_switch(rest, direction_);
        } else if (name == "/chat") {
            answer_or_switch(rest, Translate::no);
        } else if (name == "/system") {
            conversation_.set_system(rest.empty() ? std::nullopt : std::optional(rest));
        } else if (name == "/temp") {
            sampler_.options().temperature = static_cast<float>(read_number(name, rest, 0, kMaxTemperature));
        } else if (name == "/tokens") {
            generation_options_.max_tokens = read_whole_number(name, rest, 0, kMaxTokens);
        } else {
            return command_without_argument(name, rest);
        }
        return true;
    }

    // Commands without an argument.
    bool command_without_argument(const std::string& name, const std::string& rest) {
        constexpr std::array<std::string_view, 6> kNames = {"/reset", "/stats", "/info", "/help", "/quit", "/exit"};
        if (std::find(kNames.begin(), kNames.end(), name) == kNames.end()) {
            throw Error("unknown command " + name + "; /help lists the commands");
        }
        if (!rest.empty()) throw Error(name + " is given '" + rest + "', expected no argument");
        if (name == "/reset") {
            conversation_.reset();
        } else if (name == "/stats") {
            print_stats();
        } else if (name == "/info") {
            print(describe_model(file_, transformer_));
        } else if (name == "/help") {
            print(kCommands);
        }
        return name != "/quit" && name != "/exit";
    }

    // With a text, the mode applies to that text alone. Without a text, it applies to all lines from now on.
    void answer_or_switch(const std::string& text, Translate mode) {
        if (text.empty()) {
            mode_ = mode;
        } else {
            answer(text, mode);
        }
    }

    // A translation is independent of other turns. A chat turn follows the turns before it.
    void answer(const std::string& text, Translate mode) {
        if (mode == Translate::no) {
            for (const std::string& note : conversation_.ask(text, generation_options_)) print("(" + note + ")\n");
        } else {
            const std::string_view request = mode == Translate::to_hungarian ? kToHungarian : kToEnglish;
            conversation_.ask_apart(std::string(request) + text);
        }
        Utf8Stream stream;
        last_ = generator_.generate(
            generation_options_, [&](TokenId id) { print_now(stream.push(file_.vocabulary().decode({id}))); },
            &interrupted);
        print(stream.finish() + "\n");
        if (last_.stop == StopReason::context) print("(the context is full)\n");
        if (last_.has_slid) print("(the context is full: older tokens are forgotten)\n");
        if (mode == Translate::no) conversation_.answered(last_);
    }

    void print_stats() const {
        const std::size_t context = transformer_.config().max_seq_len;
        std::printf(
            "prefill %zu tokens, %.0f tokens/s; decode %zu tokens, %.0f tokens/s; %zu of %zu tokens of context used\n",
            last_.prompt_tokens, last_.prefill_speed(), last_.ids.size(), last_.decode_speed(),
            std::min(generator_.sequence().size(), context), context);
    }

    const ModelFile& file_;
    Transformer& transformer_;
    Sampler& sampler_;
    GenerationOptions generation_options_;
    Generator generator_;
    Conversation conversation_;
    Translate mode_ = Translate::no;
    Translate direction_ = Translate::to_hungarian;
    Generation last_;
};

}  // namespace

void chat(const ModelFile& file, Transformer& transformer, Sampler& sampler, const Options& options) {
    check_chat_tags(file.vocabulary(), file.path());
    Chat(file, transformer, sampler, options).run();
}

}  // namespace lai
