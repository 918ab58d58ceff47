#include "engine/perplexity.hpp"

#include "check.hpp"
#include "refused.hpp"
#include "small_model.hpp"
#include "text/prompts.hpp"

#include <cmath>
#include <string>
#include <vector>

using namespace lai;

namespace {

constexpr std::size_t kContext = 24;

// -ln of the softmax in double, over logits that are computed token by token. A window starts every kContext tokens.
double nats(SmallModel& model, const std::vector<TokenId>& ids) {
    double sum = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
        const auto begin = static_cast<std::ptrdiff_t>(i / kContext * kContext);
        const std::vector<float> logits =
            model.logits({ids.begin() + begin, ids.begin() + static_cast<std::ptrdiff_t>(i) + 1});
        double total = 0;
        for (const float logit : logits) total += std::exp(static_cast<double>(logit));
        sum += std::log(total) - static_cast<double>(logits[static_cast<std::size_t>(ids[i + 1])]);
    }
    return sum;
}

void the_loss_is_that_of_the_documents() {
    SmallModel model(kContext);
    const Vocabulary& vocabulary = model.file.vocabulary();
    const std::vector<std::string> documents = {"hello", "<user>a</user><assistant>b</assistant>", "two\nlines",
                                                std::string(60, 'x')};
    // With a byte order mark, Windows line ends, blank lines, and U+2028 for a line break.
    const TemporaryFile file("\xEF\xBB\xBFhello\r\n\n \t\n" + documents[1] + "\ntwo\xE2\x80\xA8lines\n" + documents[3]);
    const Loss loss = measure_loss(file.path(), vocabulary, model.transformer, false);
    double expected = 0;
    std::size_t tokens = 0;
    std::size_t bytes = 0;
    for (const std::string& document : documents) {
        const std::vector<TokenId> ids = encode_document(vocabulary, document).ids;
        expected += nats(model, ids);
        tokens += ids.size() - 1;
        bytes += document.size();
    }
    CHECK(loss.documents == documents.size() && loss.tokens == tokens && loss.bytes == bytes);
    CHECK(std::abs(loss.nats - expected) <= 1e-5 * expected);
    CHECK(std::abs(loss.per_token() - expected / static_cast<double>(tokens)) <= 1e-5 * loss.per_token());
    CHECK(std::abs(loss.bits_per_byte() * std::log(2.0) * static_cast<double>(bytes) - expected) <= 1e-5 * expected);
}

void files_that_are_not_plain_text_are_refused() {
    SmallModel model;
    const auto refuse = [&](const std::string& path) {
        return refusal([&] { measure_loss(path, model.file.vocabulary(), model.transformer, false); });
    };
    for (const std::string name : {"a.gz", "a.JSONL", "a.tsv", "a.parquet"}) {
        CHECK(contains(refuse(name), "expected plain text"));
    }
    CHECK(contains(refuse("/nonexistent/text.txt"), "cannot read /nonexistent/text.txt"));
    const TemporaryFile blank("\n \n\r\n");
    CHECK(contains(refuse(blank.path()), "holds no document"));
}

}  // namespace

int main() {
    the_loss_is_that_of_the_documents();
    files_that_are_not_plain_text_are_refused();
}
