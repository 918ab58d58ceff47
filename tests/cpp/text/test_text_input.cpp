// TextInput reads lines of files, and whole files.

#include "check.hpp"
#include "host/error.hpp"
#include "model_bytes.hpp"
#include "text/text_input.hpp"

#include <string>
#include <vector>

using namespace lai;

namespace {

std::vector<std::string> lines_of(const std::string& content) {
    const TemporaryFile file(content);
    TextInput input(file.path());
    std::vector<std::string> lines;
    for (std::string line; input.next_line(line);) lines.push_back(line);
    return lines;
}

bool is_refused(const std::string& path) {
    try {
        TextInput(path).read_rest();
    } catch (const Error& error) {
        return std::string(error.what()).find("cannot read " + path) == 0;
    }
    return false;
}

}  // namespace

int main() {
    using Lines = std::vector<std::string>;
    CHECK(lines_of("").empty());
    CHECK(lines_of("\n") == Lines{""});
    CHECK((lines_of("one\n\ntwo") == Lines{"one", "", "two"}));
    CHECK((lines_of("one\r\ntwo\n") == Lines{"one\r", "two"}));

    // Lines that end at, before and after every edge of a read, and longer lines.
    Lines lines;
    std::string content;
    for (std::size_t length = 65500; length < 65570; ++length) {
        lines.push_back(std::string(length, static_cast<char>('a' + length % 26)));
    }
    lines.push_back(std::string(1000000, 'x'));
    lines.emplace_back("last");
    for (const std::string& line : lines) content += line + "\n";
    CHECK(lines_of(content) == lines);
    content.pop_back();
    CHECK(lines_of(content) == lines);

    const TemporaryFile file("first\nsecond\nthird\n");
    TextInput input(file.path());
    std::string line;
    CHECK(input.next_line(line) && line == "first");
    CHECK(input.read_rest() == "second\nthird\n");

    CHECK(is_refused("/nonexistent/text.txt"));
    CHECK(is_refused("/"));
    CHECK(is_refused("/dev/zero"));  // never ends
    return 0;
}
