#include "host/page_buffer.hpp"

#include "check.hpp"

#include <algorithm>
#include <cstdint>
#include <new>
#include <utility>

using lai::PageBuffer;

namespace {

bool is_zero(const PageBuffer& buffer) {
    return std::all_of(buffer.data(), buffer.data() + buffer.size(), [](std::uint8_t byte) { return byte == 0; });
}

void memory_is_zeroed_aligned_and_writable() {
    constexpr std::size_t kLargePage = std::size_t{2} << 20;
    for (const std::size_t size : {std::size_t{1}, std::size_t{4097}, kLargePage - 1, kLargePage, 3 * kLargePage + 5}) {
        const PageBuffer buffer(size);
        CHECK(buffer.size() == size && is_zero(buffer));
        CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % kLargePage == 0);
        std::fill_n(buffer.data(), size, std::uint8_t{0xFF});
    }
}

void moving_hands_the_memory_over() {
    const PageBuffer none;
    CHECK(none.size() == 0 && none.data() == nullptr);
    PageBuffer first(1000);
    first.data()[999] = 7;
    const std::uint8_t* memory = first.data();
    PageBuffer second(std::move(first));
    CHECK(second.data() == memory && second.size() == 1000 && second.data()[999] == 7);
    PageBuffer third(10);
    third = std::move(second);
    CHECK(third.data() == memory && third.size() == 1000);
}

void too_large_a_buffer_is_bad_alloc() {
    bool thrown = false;
    try {
        const PageBuffer buffer(std::size_t{1} << 60);
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    CHECK(thrown);
}

}  // namespace

int main() {
    memory_is_zeroed_aligned_and_writable();
    moving_hands_the_memory_over();
    too_large_a_buffer_is_bad_alloc();
}
