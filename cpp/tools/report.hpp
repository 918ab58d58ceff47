#pragma once

#include "engine/generator.hpp"
#include "engine/transformer.hpp"
#include "model/model_file.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace lai {

// Builds a JSON object field by field.
class JsonObject {
public:
    JsonObject& text(std::string_view key, std::string_view value);
    JsonObject& number(std::string_view key, double value);
    JsonObject& count(std::string_view key, std::size_t value);
    JsonObject& boolean(std::string_view key, bool value);
    JsonObject& ids(std::string_view key, const std::vector<TokenId>& ids);
    JsonObject& object(std::string_view key, const JsonObject& value);
    std::string str() const { return "{" + fields_ + "}"; }

private:
    JsonObject& field(std::string_view key, const std::string& value);
    std::string fields_;
};

// What a model file holds and how much memory it needs, as text and as JSON.
std::string describe_model(const ModelFile& file, const Transformer& transformer);
JsonObject model_json(const ModelFile& file, const Transformer& transformer);

// One line about a model that is far from fully trained, the same as in lai/model/record.py; empty for other models.
std::string training_note(const ModelFile& file);

}  // namespace lai
