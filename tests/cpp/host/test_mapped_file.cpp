#include "host/mapped_file.hpp"

#include "check.hpp"
#include "model_bytes.hpp"
#include "refused.hpp"

#include <cstring>
#include <string>

using namespace lai;

namespace {

void maps_the_bytes_of_a_file() {
    std::string content;
    for (int i = 0; i < 100'000; ++i) content += static_cast<char>(i * 31 >> 3);
    const TemporaryFile file(content);
    const MappedFile mapped(file.path());
    CHECK(mapped.size() == content.size());
    CHECK(std::memcmp(mapped.data(), content.data(), content.size()) == 0);
    mapped.populate(5000, 60'000);
    mapped.release(1, content.size() - 1);
    mapped.release(10, 20);  // no whole page
    CHECK(std::memcmp(mapped.data(), content.data(), content.size()) == 0);
}

void refuses_what_cannot_be_mapped() {
    const TemporaryFile empty("");
    CHECK(contains(refusal([&] { const MappedFile file(empty.path()); }), "it is empty"));
    CHECK(contains(refusal([] { const MappedFile file("/nonexistent/model.bin"); }), "/nonexistent/model.bin"));
    CHECK(contains(refusal([] { const MappedFile file("/"); }), "it is not a regular file"));
    CHECK(contains(refusal([] { const MappedFile file("/dev/null"); }), "it is not a regular file"));
}

}  // namespace

int main() {
    maps_the_bytes_of_a_file();
    refuses_what_cannot_be_mapped();
}
