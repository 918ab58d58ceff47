#pragma once

#include "engine/generator.hpp"
#include "engine/sampler.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace lai {

enum class Mode { answer, tokenize, tokenize_lines, detokenize, info, bench, perplexity, help, version };
enum class Translate { no, to_hungarian, to_english };

struct Options {
    Mode mode = Mode::answer;
    std::string model = "models/lai-tiny.bin";
    std::optional<std::string> prompt;   // -p, -t, --to-en
    std::optional<std::string> file;     // -f
    Translate translate = Translate::no;
    bool raw = false;
    bool json = false;
    bool verify = true;
    std::string argument;                // of --tokenize, --tokenize-lines, --detokenize, --perplexity
    std::optional<std::string> logits;
    SamplerOptions sampler;
    GenerationOptions generation;
    std::optional<std::uint64_t> seed;
    std::size_t threads = 0;             // 0: as many as there are cores
};

constexpr double kMaxTemperature = 100;  // of temperatures
constexpr std::uint64_t kMaxTokens = std::uint64_t{1} << 30;  // that can be asked for

// A number as a person writes it; throws Error where the text is none, or lies outside. `name` is what has it, for the message.
double read_number(const std::string& name, const std::string& text, double min, double max);
std::uint64_t read_whole_number(const std::string& name, const std::string& text, std::uint64_t min, std::uint64_t max);

// Throws Error for an option that does not exist, lacks its value or has an impossible one.
Options parse_options(int count, char** arguments);

extern const char* const kVersion;
extern const char* const kHelp;

}  // namespace lai
