#include "text/folding.hpp"

#include "text/folding_tables.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

namespace lai {

namespace {

// A byte that is no UTF-8 is held as this number plus the byte, beyond all code points.
constexpr char32_t kInvalid = 0x110000;
// No character below decomposes to more than one mark at its end, joins the character before it, or is a mark.
constexpr char32_t kFirstCombining = 0x300;

// The entry of a sorted table whose range first to last holds the code point; null if there is none.
template <typename Range, std::size_t size>
const Range* find_range(const Range (&table)[size], char32_t code) {
    const Range* found = std::lower_bound(std::begin(table), std::end(table), code,
                                          [](const Range& range, char32_t sought) { return range.last < sought; });
    return found != std::end(table) && found->first <= code ? found : nullptr;
}

int combining_class(char32_t code) {
    if (code < kFirstCombining) return 0;
    const CombiningClass* found = find_range(kCombiningClasses, code);
    return found == nullptr ? 0 : found->value;
}

char32_t replacement(char32_t code) {
    const auto* found =
        std::lower_bound(std::begin(kReplaced), std::end(kReplaced), code,
                         [](const CodePointReplacement& entry, char32_t sought) { return entry.from < sought; });
    return found != std::end(kReplaced) && found->from == code ? found->to : code;
}

// Hangul syllables are composed by a rule (The Unicode Standard, 3.12).
constexpr char32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11A7;
constexpr char32_t kLeadCount = 19, kVowelCount = 21, kTailCount = 28;
constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;

void decompose(char32_t code, std::vector<char32_t>& out) {
    if (code >= kSyllables && code < kSyllables + kSyllableCount) {
        const char32_t index = code - kSyllables;
        out.push_back(kLeads + index / (kVowelCount * kTailCount));
        out.push_back(kVowels + index / kTailCount % kVowelCount);
        if (index % kTailCount != 0) out.push_back(kTails + index % kTailCount);
        return;
    }
    const auto* found =
        std::lower_bound(std::begin(kDecompositions), std::end(kDecompositions), code,
                         [](const Decomposition& entry, char32_t sought) { return entry.composed < sought; });
    if (found == std::end(kDecompositions) || found->composed != code) {
        out.push_back(code);
        return;
    }
    decompose(found->first, out);
    if (found->second != 0) decompose(found->second, out);
}

// The composition of a pair; 0 if there is none.
char32_t compose(char32_t first, char32_t second) {
    if (first >= kLeads && first < kLeads + kLeadCount && second >= kVowels && second < kVowels + kVowelCount) {
        return kSyllables + ((first - kLeads) * kVowelCount + second - kVowels) * kTailCount;
    }
    const bool no_tail =
        first >= kSyllables && first < kSyllables + kSyllableCount && (first - kSyllables) % kTailCount == 0;
    if (no_tail && second > kTails && second < kTails + kTailCount) return first + second - kTails;
    const auto* found = std::lower_bound(
        std::begin(kCompositions), std::end(kCompositions), first, [second](const Composition& entry, char32_t sought) {
            return entry.first != sought ? entry.first < sought : entry.second < second;
        });
    const bool equal = found != std::end(kCompositions) && found->first == first && found->second == second;
    return equal ? found->composed : 0;
}

// Writes characters as UTF-8. Of blanks together it writes one, and none beside a line end or at an end of the text.
class Output {
public:
    explicit Output(std::size_t size) { text_.reserve(size); }

    void put(char32_t code) {
        if (code == ' ') {
            space_ = true;
        } else if (code == '\n') {
            ++line_ends_;
        } else {
            if (!text_.empty()) {
                if (line_ends_ > 0) {
                    text_.append(line_ends_, '\n');
                } else if (space_) {
                    text_ += ' ';
                }
            }
            space_ = false;
            line_ends_ = 0;
            put_bytes(code);
        }
    }

    std::string take() { return std::move(text_); }

private:
    void put_bytes(char32_t code) {
        const auto put_byte = [this](char32_t byte) { text_ += static_cast<char>(static_cast<unsigned char>(byte)); };
        if (code >= kInvalid) {
            put_byte(code - kInvalid);
        } else if (code < 0x80) {
            put_byte(code);
        } else if (code < 0x800) {
            put_byte(0xC0 | code >> 6);
            put_byte(0x80 | (code & 0x3F));
        } else if (code < 0x10000) {
            put_byte(0xE0 | code >> 12);
            put_byte(0x80 | (code >> 6 & 0x3F));
            put_byte(0x80 | (code & 0x3F));
        } else {
            put_byte(0xF0 | code >> 18);
            put_byte(0x80 | (code >> 12 & 0x3F));
            put_byte(0x80 | (code >> 6 & 0x3F));
            put_byte(0x80 | (code & 0x3F));
        }
    }

    std::string text_;
    bool space_ = false;
    std::size_t line_ends_ = 0;
};

// Brings characters into NFC. It holds back those that what follows may join.
class Composer {
public:
    explicit Composer(Output& output) : output_(output) {}

    void put(char32_t code) {
        if (code < kFirstCombining || code >= kInvalid) flush();
        held_.push_back(code);
    }

    void flush() {
        if (held_.size() == 1 && held_.front() < kFirstCombining) {
            output_.put(held_.front());
        } else if (!held_.empty()) {
            decompose_and_sort();
            compose_held();
            for (const char32_t code : marks_) output_.put(code);
        }
        held_.clear();
    }

private:
    // marks_ becomes the canonical decomposition.
    void decompose_and_sort() {
        marks_.clear();
        for (const char32_t code : held_) decompose(code, marks_);
        const auto is_mark = [](char32_t code) { return combining_class(code) != 0; };
        for (auto begin = marks_.begin(); begin != marks_.end();) {
            begin = std::find_if(begin, marks_.end(), is_mark);
            const auto end = std::find_if_not(begin, marks_.end(), is_mark);
            std::stable_sort(begin, end, [](char32_t first, char32_t second) {
                return combining_class(first) < combining_class(second);
            });
            begin = end;
        }
    }

    // Joins each character with the last starter before it, unless one between them is in the way.
    void compose_held() {
        std::size_t starter = marks_.size();  // none yet
        std::size_t kept = 0;
        int last_class = 0;  // of the last character kept behind the starter
        for (const char32_t code : marks_) {
            const int own_class = combining_class(code);
            const bool adjacent = starter + 1 == kept;
            const bool reaches = starter < kept && (adjacent || (last_class != 0 && last_class < own_class));
            if (const char32_t composed = reaches ? compose(marks_[starter], code) : 0; composed != 0) {
                marks_[starter] = composed;
                continue;
            }
            if (own_class == 0) starter = kept;
            last_class = own_class;
            marks_[kept++] = code;
        }
        marks_.resize(kept);
    }

    Output& output_;
    std::vector<char32_t> held_, marks_;
};

// Takes the first character off the text, or its first byte if no character begins there (RFC 3629).
char32_t take_character(std::string_view& text) {
    const auto byte = [&](std::size_t index) { return static_cast<char32_t>(static_cast<unsigned char>(text[index])); };
    const char32_t lead = byte(0);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xC2 ? 0
                               : lead < 0xE0 ? 2
                               : lead < 0xF0 ? 3
                               : lead < 0xF5 ? 4
                                             : 0;
    char32_t code = length < 2 ? lead : lead & (0x7FU >> length);
    bool valid = length != 0 && length <= text.size();
    for (std::size_t index = 1; valid && index < length; ++index) {
        valid = (byte(index) & 0xC0) == 0x80;
        code = code << 6 | (byte(index) & 0x3F);
    }
    constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    valid = valid && code >= kSmallest[length] && code < kInvalid && (code < 0xD800 || code > 0xDFFF);
    text.remove_prefix(valid ? length : 1);
    return valid ? code : kInvalid + lead;
}

}  // namespace

std::string fold_text(std::string_view text) {
    Output output(text.size());
    Composer composer(output);
    char32_t before = 0;           // the character before, dropped or not
    bool carriage_return = false;  // the last character that was not dropped
    while (!text.empty()) {
        const char32_t code = take_character(text);
        const bool dropped = before < kInvalid && find_range(kInvisible, code) != nullptr;
        before = code;
        if (dropped) continue;
        if (!(carriage_return && code == '\n')) composer.put(replacement(code));
        carriage_return = code == '\r';
    }
    composer.flush();
    return output.take();
}

}  // namespace lai
