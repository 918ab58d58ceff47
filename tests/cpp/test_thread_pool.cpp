#include "check.hpp"
#include "thread_pool.hpp"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

int main() {
    for (const std::size_t threads : {1, 2, 5}) {
        lai::ThreadPool pool(threads);
        CHECK(pool.size() == threads);
        // Every iteration once, in loops of all lengths, one right behind the other.
        for (std::size_t round = 0; round < 3000; ++round) {
            const std::size_t count = round % 40;
            std::vector<int> calls(count);
            pool.parallel_for(count, [&](std::size_t i) { ++calls[i]; });
            for (const int times : calls) CHECK(times == 1);
        }
        // Workers that went to sleep come back.
        std::atomic<std::size_t> total{0};
        for (int pause = 0; pause < 5; ++pause) {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
            pool.parallel_for(100, [&](std::size_t i) { total += i; });
        }
        CHECK(total == 5 * 4950);
    }
    CHECK(lai::available_cores() >= 1);
}
