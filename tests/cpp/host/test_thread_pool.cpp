#include "check.hpp"
#include "host/thread_pool.hpp"

#include <unistd.h>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>
#if defined(__linux__)
#include <sched.h>
#endif

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

// Whether a worker took one of two iterations. It sleeps for `nap` in it, as if it had lost its core.
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

// No two concurrent calls have the same thread number.
void concurrent_calls_have_distinct_thread_numbers(lai::ThreadPool& pool) {
    std::vector<std::atomic<int>> inside(pool.size());
    std::atomic<int> calls{0};
    std::atomic<int> wrong{0};
    pool.parallel_for(500, [&](std::size_t, std::size_t thread) {
        if (thread >= inside.size() || inside[thread].fetch_add(1) != 0) ++wrong;
        std::this_thread::yield();
        ++calls;
        if (thread < inside.size()) --inside[thread];
    });
    CHECK(calls == 500 && wrong == 0);
}

void the_caller_runs_without_a_stalled_worker() {
    lai::ThreadPool pool(2);
    for (int attempt = 0; attempt < 20 && !worker_helps(pool, milliseconds(1500)); ++attempt) {
    }
    // After a worker stalls, the caller runs without workers for a while...
    const std::thread::id caller = std::this_thread::get_id();
    bool alone = true;
    pool.parallel_for(50, [&](std::size_t) { alone = alone && std::this_thread::get_id() == caller; });
    CHECK(alone);
    // ... and then uses them again.
    std::this_thread::sleep_for(milliseconds(20));
    bool helped = false;
    for (int attempt = 0; attempt < 20 && !helped; ++attempt) helped = worker_helps(pool, milliseconds(0));
    CHECK(helped);
}

// With both threads in the same loop, each runs its own half in order. The caller takes over what a delayed worker
// leaves.
void each_thread_runs_its_own_share_first() {
    constexpr std::size_t kCount = 20;
    lai::ThreadPool pool(2);
    const std::thread::id caller = std::this_thread::get_id();
    bool together = false;
    for (int attempt = 0; attempt < 50 && !together; ++attempt) {
        std::atomic<int> arrived{0};
        std::atomic<std::size_t> others{0};  // of the worker's half, run by the calling thread
        std::vector<std::size_t> of_caller;
        std::vector<std::size_t> of_worker;
        pool.parallel_for(kCount, [&](std::size_t i) {
            std::vector<std::size_t>& mine = std::this_thread::get_id() == caller ? of_caller : of_worker;
            const bool first = mine.empty();
            mine.push_back(i);
            if (&mine == &of_caller && i >= kCount / 2) ++others;
            if (!first) return;
            ++arrived;
            const auto end = steady_clock::now() + milliseconds(100);
            while (arrived < 2 && steady_clock::now() < end) std::this_thread::yield();
            // The worker stays in its first iteration until all others are done.
            while (&mine == &of_worker && others < kCount / 2 - 1 && steady_clock::now() < end) {
                std::this_thread::yield();
            }
        });
        together = arrived == 2 && of_worker.size() == 1;
        if (!together) continue;
        CHECK(of_worker[0] == kCount / 2);
        CHECK(of_caller.size() == kCount - 1);
        for (std::size_t i = 0; i < of_caller.size(); ++i) CHECK(of_caller[i] == (i < kCount / 2 ? i : i + 1));
    }
    CHECK(together);
}

// With one core for all threads, a spinning worker only delays the calling thread.
void a_worker_on_the_callers_core_steps_aside() {
#if defined(__linux__)
    cpu_set_t all;
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    lai::ThreadPool pool(2);  // the worker is bound to the same core
    const std::thread::id caller = std::this_thread::get_id();
    std::atomic<bool> alone{false};
    for (int loop = 0; loop < 50 && !alone; ++loop) {
        alone = true;
        pool.parallel_for(4, [&](std::size_t) {
            if (std::this_thread::get_id() != caller) alone = false;
            std::this_thread::sleep_for(std::chrono::microseconds(200));  // so that the worker can get the core
        });
    }
    CHECK(alone);
    CHECK(sched_setaffinity(0, sizeof all, &all) == 0);
#endif
}

// More loops than the epoch counter has values.
void the_epoch_counter_may_wrap_around() {
    lai::ThreadPool pool(3);
    for (int loop = 0; loop < 70000; ++loop) {
        std::atomic<int> calls{0};
        pool.parallel_for(3, [&](std::size_t) { calls.fetch_add(1, std::memory_order_relaxed); });
        CHECK(calls == 3);
    }
}

void a_cpu_quota_limits_the_cores() {
    const std::filesystem::path root =
        std::filesystem::temp_directory_path() / ("lai_quota_" + std::to_string(::getpid()));
    std::filesystem::create_directories(root / "cpu");
    const auto write = [&](const char* name, const char* text) { std::ofstream(root / name) << text; };
    CHECK(lai::cgroup_cores(root) == 0);
    write("cpu/cpu.cfs_quota_us", "-1\n");
    write("cpu/cpu.cfs_period_us", "100000\n");
    CHECK(lai::cgroup_cores(root) == 0);
    write("cpu/cpu.cfs_quota_us", "250000\n");
    CHECK(lai::cgroup_cores(root) == 3);
    write("cpu.max", "150000 100000\n");
    CHECK(lai::cgroup_cores(root) == 2);
    std::filesystem::remove_all(root / "cpu");
    write("cpu.max", "max 100000\n");
    CHECK(lai::cgroup_cores(root) == 0);
    std::filesystem::remove_all(root);
}

}  // namespace

int main() {
    a_cpu_quota_limits_the_cores();
    the_caller_runs_without_a_stalled_worker();
    each_thread_runs_its_own_share_first();
    a_worker_on_the_callers_core_steps_aside();
    the_epoch_counter_may_wrap_around();
    for (const std::size_t threads : {1, 2, 5}) {
        lai::ThreadPool pool(threads);
        CHECK(pool.size() == threads);
        concurrent_calls_have_distinct_thread_numbers(pool);
        // Every iteration runs once, in consecutive loops of all lengths.
        for (std::size_t round = 0; round < 3000; ++round) {
            const std::size_t count = round % 40;
            std::vector<int> calls(count);
            pool.parallel_for(count, [&](std::size_t i) { ++calls[i]; });
            for (const int times : calls) CHECK(times == 1);
        }
        // Sleeping workers wake up.
        std::atomic<std::size_t> total{0};
        for (int pause = 0; pause < 5; ++pause) {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
            pool.parallel_for(100, [&](std::size_t i) { total += i; });
        }
        CHECK(total == 5 * 4950);
    }
    CHECK(lai::available_cores() >= 1);
}
