#include "tools/report.hpp"

#include "check.hpp"
#include "refused.hpp"
#include "small_model.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>

using namespace lai;

namespace {

void json_has_every_kind_of_value() {
    JsonObject json;
    json.text("a\"b", "\xC3\xA1\n").number("half", 0.5).number("none", std::nan("")).count("n", 12);
    json.boolean("yes", true).ids("ids", {1, -1}).ids("no_ids", {}).object("inner", JsonObject().count("x", 0));
    CHECK(json.str() ==
          "{\"a\\\"b\": \"\xC3\xA1\\u000a\", \"half\": 0.5, \"none\": null, \"n\": 12, \"yes\": true, "
          "\"ids\": [1, -1], \"no_ids\": [], \"inner\": {\"x\": 0}}");
    CHECK(JsonObject().number("x", std::numeric_limits<double>::infinity()).str() == "{\"x\": null}");
    CHECK(JsonObject().str() == "{}");
}

// A file with this training record. ln(346), the loss of a uniform guess, is 5.846.
std::string note(std::uint64_t steps, float loss, float floor) {
    std::string bytes = model_bytes(SmallModel::config(24), DType::f32, test_tokens(), false);
    std::memcpy(bytes.data() + 88, &steps, sizeof steps);
    std::memcpy(bytes.data() + 104, &loss, sizeof loss);
    std::memcpy(bytes.data() + 108, &floor, sizeof floor);
    const TemporaryFile content(bytes);
    ThreadPool pool(1);
    return training_note(ModelFile(content.path(), true, pool));
}

void a_note_tells_that_a_model_is_far_from_trained() {
    const double uniform = std::log(static_cast<double>(test_tokens().size()));
    const auto limit = static_cast<float>(2.0 / 3.0 * uniform);
    CHECK(note(0, 0, 0).empty() && note(10, limit - 0.01F, 0).empty());
    CHECK(contains(note(10, limit + 0.01F, 0), "has trained for 10 steps (val/loss"));
    CHECK(contains(note(1, 5, 0), "for 1 step (val/loss 5.00; guessing scores"));
    CHECK(contains(note(0, 5, 0), "is hardly trained"));
    CHECK(note(10, 1.5F, 1).empty() && contains(note(10, 1.51F, 1), "val/loss 1.51; the floor is 1.00"));
}

void a_description_names_sizes_and_memory() {
    SmallModel model;
    const std::string text = describe_model(model.file, model.transformer);
    CHECK(contains(text, "parameters: " + std::to_string(model.file.parameter_count())));
    CHECK(contains(text, "2 of dim 32, hidden_dim 64, silu") && contains(text, "4 of width 8, 2 KV heads"));
    CHECK(contains(text, "24 tokens, rope_theta 10000, norm_eps 1e-05") && contains(text, "training:   unknown"));
    const std::string json = model_json(model.file, model.transformer).str();
    CHECK(contains(json, "\"n_kv_heads\": 2, \"vocab_size\": " + std::to_string(test_tokens().size())));
    // Float32 keys and values of 32 positions (24, rounded up to sixteen), 2 layers and 2 heads of width 8.
    CHECK(contains(json, "\"cache_bytes\": " + std::to_string(32 * 2 * 2 * 8 * 2 * 4)));
    CHECK(contains(json, "\"val_loss\": null") && contains(json, "\"checksum\": \"none in the file\""));
}

}  // namespace

int main() {
    json_has_every_kind_of_value();
    a_note_tells_that_a_model_is_far_from_trained();
    a_description_names_sizes_and_memory();
}
