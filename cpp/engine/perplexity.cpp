#include "engine/perplexity.hpp"

#include "host/error.hpp"
#include "text/prompts.hpp"
#include "text/text_input.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>

namespace lai {

namespace {

// -ln softmax(logits)[target]. The sum is in double, so its error stays below that of the logits.
double negative_log_likelihood(const float* logits, std::size_t size, TokenId target) {
    const float largest = *std::max_element(logits, logits + size);
    const double total = std::accumulate(logits, logits + size, 0.0, [&](double sum, float logit) {
        return sum + std::exp(static_cast<double>(logit - largest));
    });
    return std::log(total) - static_cast<double>(logits[target] - largest);
}

void add_document_loss(const std::vector<TokenId>& ids, Transformer& transformer, KvCache& cache, Loss& loss) {
    const std::size_t vocab_size = transformer.config().vocab_size;
    const std::size_t predictions = ids.size() - 1;
    for (std::size_t begin = 0; begin < predictions; begin += transformer.config().max_seq_len) {
        const std::size_t count = std::min(transformer.config().max_seq_len, predictions - begin);
        cache.length = 0;
        transformer.forward_all(
            ids.data() + begin, count, cache, [&](std::size_t first, std::size_t tokens, const float* logits) {
                for (std::size_t i = 0; i < tokens; ++i) {
                    loss.nats +=
                        negative_log_likelihood(logits + i * vocab_size, vocab_size, ids[begin + first + i + 1]);
                }
            });
    }
    loss.tokens += predictions;
}

// A text file holds one document per line. U+2028 stands for a line break inside a document.
std::string restore_line_breaks(const std::string& line) {
    constexpr std::string_view kSeparator = "\xE2\x80\xA8";
    std::string text;
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = line.find(kSeparator, begin)) != std::string::npos;
         begin = end + kSeparator.size()) {
        text.append(line, begin, end - begin) += '\n';
    }
    return text.append(line, begin);
}

void check_plain_text(const std::string& path) {
    std::string name = path;
    for (char& letter : name) {
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    }
    for (const std::string ending : {".gz", ".jsonl", ".tsv", ".parquet"}) {
        if (name.size() > ending.size() && name.compare(name.size() - ending.size(), ending.size(), ending) == 0) {
            throw Error(path + " ends in " + ending + ", expected plain text with one document per line");
        }
    }
}

bool is_blank(const std::string& line) { return line.find_first_not_of(" \t\n\r\f\v") == std::string::npos; }

}  // namespace

double Loss::bits_per_byte() const { return nats / std::log(2.0) / static_cast<double>(bytes); }

Loss measure_loss(const std::string& path, const Vocabulary& vocabulary, Transformer& transformer, bool fold) {
    check_plain_text(path);
    TextInput file(path);
    Loss loss;
    KvCache cache = transformer.make_cache();
    bool first = true;
    for (std::string line; file.next_line(line);) {
        if (first && line.compare(0, 3, "\xEF\xBB\xBF") == 0) line.erase(0, 3);
        first = false;
        if (!line.empty() && line.back() == '\r') line.pop_back();
        if (is_blank(line)) continue;
        const Document document = encode_document(vocabulary, restore_line_breaks(line), fold);
        if (document.ids.empty()) continue;
        add_document_loss(document.ids, transformer, cache, loss);
        loss.bytes += document.bytes;
        ++loss.documents;
    }
    if (!std::isfinite(loss.nats)) throw Error(kNotANumber);
    if (loss.documents == 0) throw Error(path + " holds no document, expected one per line");
    return loss;
}

}  // namespace lai
