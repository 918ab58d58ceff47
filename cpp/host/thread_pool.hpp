#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

namespace lai {

constexpr int kTicketBits = 24;  // of the number of an iteration that is shared out

// Runs a loop's iterations on the calling thread and its workers.
//
// A token takes some fifty such loops of microseconds each, so workers spin for a short while between loops before
// they sleep. Each thread has a share of a loop, iterations that follow each other: so it reads memory from one end to the
// other, and no thread waits for another's cache line. When its share is done it takes what is left of the others'. A loop is
// over when its iterations are done, not when every worker has come by: a worker that lost its core to another program
// between iterations delays nothing. Lost in the middle of one, it keeps the loop waiting for some milliseconds; given the
// calling thread's core, it keeps that one waiting. The calling thread then goes on alone for a while. Which thread does an
// iteration is left open, so iterations must not depend on each other; results are then the same for any number of threads.
class ThreadPool {
public:
    explicit ThreadPool(std::size_t threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    std::size_t size() const { return workers_.size() + 1; }

    // Calls body(i) for every i below count, and returns when all calls have returned. The body must not throw. One that takes
    // two arguments also gets the number of the thread, below size(): what it may use that no other call uses meanwhile.
    template <class Body>
    void parallel_for(std::size_t count, const Body& body) {
        if (workers_.empty() || count < 2 || count >> kTicketBits > 0 || workers_suspended()) {
            for (std::size_t i = 0; i < count; ++i) call<Body>(&body, i, 0);
            return;
        }
        run(static_cast<std::uint32_t>(count), call<Body>, &body);
    }

private:
    using Clock = std::chrono::steady_clock;
    using Call = void (*)(const void* body, std::size_t i, std::size_t thread);

    template <class Body>
    static void call(const void* body, std::size_t i, std::size_t thread) {
        if constexpr (std::is_invocable_v<const Body&, std::size_t, std::size_t>) {
            (*static_cast<const Body*>(body))(i, thread);
        } else {
            (*static_cast<const Body*>(body))(i);
        }
    }

    // One thread's part of the loop in progress. The ticket is, from its highest bits, the loop's epoch (16), where the
    // share ends and which iteration is next (kTicketBits each).
    struct alignas(64) Share {
        std::atomic<std::uint64_t> ticket{0};
    };

    bool workers_suspended();
    void suspend_workers(Clock::time_point now);
    bool blocks_caller();
    void wait_for_others(Clock::time_point start, std::uint32_t count);
    void run(std::uint32_t count, Call call, const void* context);
    void worker_loop(std::size_t thread);
    void run_iterations(std::size_t thread);
    void run_share(Share& share, std::size_t thread);
    bool wait_for_loop(const Share& share, std::uint16_t& epoch);

    // What the loop in progress calls: read by who has taken an iteration, so that the loop cannot end meanwhile.
    std::atomic<Call> call_{nullptr};
    std::atomic<const void*> context_{nullptr};
    std::atomic<int> callers_core_{-1};
    std::vector<Share> shares_;  // of the calling thread, then of each worker
    std::uint16_t epoch_ = 0;
    alignas(64) std::atomic<std::uint32_t> unfinished_{0};
    alignas(64) std::atomic<std::uint32_t> sleepers_{0};
    std::atomic<bool> stop_{false};
    std::atomic<bool> worker_blocks_caller_{false};  // a worker has been given the calling thread's core
    // Of the calling thread alone: until when it does without the workers, and for how long it did last.
    Clock::time_point suspended_until_{};
    Clock::duration suspended_for_{};
    bool suspended_ = false;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<std::thread> workers_;
};

// The number of cores that this process may run on, or whose time it may use where that is less.
std::size_t available_cores();

// The cores' time that a container's control group allows, rounded up, as the files under `root` tell; 0 where they tell
// of no limit.
std::size_t cgroup_cores(const std::string& root);

}  // namespace lai
