#include "tools/report.hpp"

#include "text/text_output.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace lai {

namespace {

const char* checksum_name(Checksum checksum) {
    switch (checksum) {
        case Checksum::correct: return "correct";
        case Checksum::unknown: return "none in the file";
        case Checksum::not_checked: return "not checked";
    }
    return "";
}

const char* activation_name(Activation activation) { return activation == Activation::silu ? "silu" : "gelu"; }

std::string megabytes(std::size_t bytes) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f MB", static_cast<double>(bytes) / 1e6);
    return text.data();
}

std::string decimal(double value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.9g", value);
    return text.data();
}

// Six digits, or as many more as distinguish the number from every other float.
std::string format_float(float value) {
    std::array<char, 32> text{};
    for (int digits = 6; digits <= 9; ++digits) {
        std::snprintf(text.data(), text.size(), "%.*g", digits, static_cast<double>(value));
        if (std::strtof(text.data(), nullptr) == value) break;
    }
    return text.data();
}

std::string fixed(double value, int digits) {
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%.*f", digits, value);
    return text.data();
}

std::string describe_training(const TrainingRecord& training) {
    const auto count = [](std::uint64_t number, const char* what) {
        return number == 0 ? std::string() : std::to_string(number) + what + (number == 1 ? ", " : "s, ");
    };
    std::string text = count(training.steps, " step") + count(training.tokens, " token");
    if (training.val_loss > 0) text += "val/loss " + fixed(static_cast<double>(training.val_loss), 4) + ", ";
    if (training.val_loss > 0 && training.val_loss_floor > 0) {
        text += "floor " + fixed(static_cast<double>(training.val_loss_floor), 4) + ", ";
    }
    text += count(training.turns, " turn");
    return text.empty() ? "unknown" : text.substr(0, text.size() - 2);
}

// Bytes of the KV cache for a full context.
std::size_t cache_bytes(const Transformer& transformer) { return transformer.make_cache().max_bytes(); }

}  // namespace

JsonObject& JsonObject::field(std::string_view key, const std::string& value) {
    fields_ += (fields_.empty() ? "" : ", ") + json_string(key) + ": " + value;
    return *this;
}

JsonObject& JsonObject::text(std::string_view key, std::string_view value) { return field(key, json_string(value)); }

// JSON has no infinity and no NaN.
JsonObject& JsonObject::number(std::string_view key, double value) {
    return field(key, std::isfinite(value) ? decimal(value) : "null");
}

JsonObject& JsonObject::count(std::string_view key, std::size_t value) { return field(key, std::to_string(value)); }

JsonObject& JsonObject::boolean(std::string_view key, bool value) { return field(key, value ? "true" : "false"); }

JsonObject& JsonObject::ids(std::string_view key, const std::vector<TokenId>& ids) {
    std::string list = "[";
    for (const TokenId id : ids) list += (list.size() > 1 ? ", " : "") + std::to_string(id);
    return field(key, list + "]");
}

JsonObject& JsonObject::object(std::string_view key, const JsonObject& value) { return field(key, value.str()); }

JsonObject model_json(const ModelFile& file, const Transformer& transformer) {
    const ModelConfig& config = file.config();
    JsonObject json;
    json.text("path", valid_utf8(file.path())).count("version", file.version()).text("dtype", dtype_name(file.dtype()));
    json.count("dim", config.dim).count("hidden_dim", config.hidden_dim).count("n_layers", config.n_layers);
    json.count("n_heads", config.n_heads).count("n_kv_heads", config.n_kv_heads).count("vocab_size", config.vocab_size);
    json.count("max_seq_len", config.max_seq_len).number("rope_theta", static_cast<double>(config.rope_theta));
    json.number("norm_eps", static_cast<double>(config.norm_eps))
        .text("activation", activation_name(config.activation));
    json.boolean("tie_embeddings", file.is_tied()).count("parameters", file.parameter_count());
    json.boolean("chat_tags", file.vocabulary().has_chat_tags()).boolean("folds_prompts", file.folds_prompts());
    json.count("file_size", file.file().size());
    json.text("checksum", checksum_name(file.checksum()));
    const TrainingRecord& training = file.training();
    const auto known = [](float loss) { return loss > 0 ? static_cast<double>(loss) : std::nan(""); };
    json.count("steps", training.steps).count("tokens_seen", training.tokens);
    json.number("val_loss", known(training.val_loss)).number("val_loss_floor", known(training.val_loss_floor));
    json.count("turns", training.turns);
    json.count("weight_bytes", transformer.weight_bytes()).count("cache_bytes", cache_bytes(transformer));
    if (!file.manifest().empty()) json.text("manifest", valid_utf8(file.manifest()));
    return json;
}

std::string describe_model(const ModelFile& file, const Transformer& transformer) {
    const ModelConfig& config = file.config();
    const auto text = [](std::size_t number) { return std::to_string(number); };
    const bool tied = file.is_tied();
    const std::size_t outside = config.vocab_size * config.dim * (tied ? 1 : 2);
    const std::pair<const char*, std::string> lines[] = {
        {"file", file.path() + ", " + megabytes(file.file().size()) + ", format version " + text(file.version())},
        {"weights", std::string(dtype_name(file.dtype())) + (tied ? ", output tied to the embedding" : "")},
        {"parameters",
         text(file.parameter_count()) + ", without embedding and output " + text(file.parameter_count() - outside)},
        {"layers", text(config.n_layers) + " of dim " + text(config.dim) + ", hidden_dim " + text(config.hidden_dim) +
                       ", " + activation_name(config.activation)},
        {"heads",
         text(config.n_heads) + " of width " + text(config.head_dim()) + ", " + text(config.n_kv_heads) + " KV heads"},
        {"context", text(config.max_seq_len) + " tokens, rope_theta " + format_float(config.rope_theta) +
                        ", norm_eps " + format_float(config.norm_eps)},
        {"vocabulary", text(config.vocab_size) + " tokens, " +
                           (file.vocabulary().has_chat_tags() ? "with" : "without") + " chat tags" +
                           (file.folds_prompts() ? "" : ", text not folded (data.normalize=false)")},
        {"memory", megabytes(transformer.weight_bytes()) + " weights, " + megabytes(cache_bytes(transformer)) +
                       " KV cache of a full context"},
        {"training", describe_training(file.training())},
        {"checksum", checksum_name(file.checksum())},
    };
    std::string description;
    for (const auto& [name, value] : lines) {
        std::string label = std::string(name) + ":";
        label.resize(12, ' ');
        description += label + value + "\n";
    }
    if (!file.manifest().empty()) description += "manifest:   " + std::string(file.manifest());
    if (description.back() != '\n') description += "\n";
    return description;
}

std::string training_note(const ModelFile& file) {
    const TrainingRecord& training = file.training();
    const double guessing = std::log(static_cast<double>(file.config().vocab_size));
    const bool has_floor = training.val_loss_floor > 0;
    const double limit = has_floor ? 1.5 * static_cast<double>(training.val_loss_floor) : 2.0 / 3.0 * guessing;
    if (static_cast<double>(training.val_loss) <= limit) return "";
    std::string steps = "is hardly trained";
    if (training.steps > 0) {
        steps = "has trained for " + std::to_string(training.steps) + (training.steps > 1 ? " steps" : " step");
    }
    const std::string beside = has_floor ? "the floor is " + fixed(static_cast<double>(training.val_loss_floor), 2)
                                         : "guessing scores " + fixed(guessing, 2);
    return "note: this model " + steps + " (val/loss " + fixed(static_cast<double>(training.val_loss), 2) + "; " +
           beside + "): its answers will make little sense";
}

}  // namespace lai
