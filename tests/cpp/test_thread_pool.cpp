#include "check.hpp"
#include "thread_pool.hpp"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

// Whether a worker took one of two iterations; it sleeps for `nap` in it, as if it had lost its core.
bool worker_helps(lai::ThreadPool& pool, milliseconds nap) {
    const std::thread::id caller = std::this_thread::get_id();
    std::atomic<bool> helped{false};
    pool.parallel_for(2, [&](std::size_t) {
        if (std::this_thread::get_id() != caller) {
            helped = true;
            std::this_thread::sleep_for(nap);
        } else {
            const auto end = steady_clock::now() + milliseconds(100);
            while (!helped && steady_clock::now() < end) std::this_thread::yield();
        }
    });
    return helped;
}

void check_goes_on_alone() {
    lai::ThreadPool pool(2);
    for (int attempt = 0; attempt < 20 && !worker_helps(pool, milliseconds(1500)); ++attempt) {
    }
    // After a worker that came to a stop the caller does without it for a while...
    const std::thread::id caller = std::this_thread::get_id();
    bool alone = true;
    pool.parallel_for(50, [&](std::size_t) { alone = alone && std::this_thread::get_id() == caller; });
    CHECK(alone);
    // ... and not for ever.
    std::this_thread::sleep_for(milliseconds(20));
    bool helped = false;
    for (int attempt = 0; attempt < 20 && !helped; ++attempt) helped = worker_helps(pool, milliseconds(0));
    CHECK(helped);
}

void check_quota() {
    const std::filesystem::path root = std::filesystem::temp_directory_path() / ("lai_quota_" + std::to_string(::getpid()));
    std::filesystem::create_directories(root / "cpu");
    const auto write = [&](const char* name, const char* text) { std::ofstream(root / name) << text; };
    CHECK(lai::quota_cores(root) == 0);
    write("cpu/cpu.cfs_quota_us", "-1\n");
    write("cpu/cpu.cfs_period_us", "100000\n");
    CHECK(lai::quota_cores(root) == 0);
    write("cpu/cpu.cfs_quota_us", "250000\n");
    CHECK(lai::quota_cores(root) == 3);
    write("cpu.max", "150000 100000\n");
    CHECK(lai::quota_cores(root) == 2);
    std::filesystem::remove_all(root / "cpu");
    write("cpu.max", "max 100000\n");
    CHECK(lai::quota_cores(root) == 0);
    std::filesystem::remove_all(root);
}

}  // namespace

int main() {
    check_quota();
    check_goes_on_alone();
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
