#pragma once

#include "engine/generator.hpp"
#include "engine/sampler.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lai {

enum class Mode { answer, tokenize, tokenize_lines, detokenize, info, bench, perplexity, help, version };
enum class Translate { no, to_hungarian, to_english };

struct Options {
    Mode mode = Mode::answer;
    std::string model = "models/lai-tiny.bin";
    std::optional<std::string> prompt;      // -p, -t, --to-en
    std::vector<std::string> more_prompts;  // -p after the first: further turns of the conversation
    std::optional<std::string> system;      // --system
    std::optional<std::string> file;        // -f
    Translate translate = Translate::no;
    bool raw = false;
    bool json = false;
    bool verify = true;
    std::string argument;  // of --tokenize, --tokenize-lines, --detokenize, --perplexity
    std::optional<std::string> logits;
    SamplerOptions sampler;
    GenerationOptions generation;
    std::optional<std::uint64_t> seed;
    std::size_t threads = 0;  // 0: the number of cores
};

constexpr double kMaxTemperature = 100;
constexpr std::uint64_t kMaxTokens = std::uint64_t{1} << 30;  // largest value of an option

// Parses a number. Throws Error if the text is not a number or is out of range. The message names `name`.
double read_number(const std::string& name, const std::string& text, double min, double max);
std::uint64_t read_whole_number(const std::string& name, const std::string& text, std::uint64_t min, std::uint64_t max);

// Throws Error if an option is unknown, lacks its value or has an invalid value.
Options parse_options(int count, char** arguments);

extern const char* const kVersion;
extern const char* const kHelp;

}  // namespace lai
