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

constexpr int kTicketBits = 24;  // bits of an iteration's number

// Runs the iterations of a loop on the calling thread and its workers.
//
// A token takes about fifty loops of some microseconds each. So workers spin for a short time between loops before they
// sleep.
//
// Each thread has a share of consecutive iterations. It reads memory in order, and no two threads contend for a cache
// line. A thread that finishes its share takes iterations from the others.
//
// A loop ends when its iterations are done, not when every worker has arrived. A worker that loses its core between
// iterations delays nothing. A worker that loses its core within an iteration delays the loop by some milliseconds. A
// worker on the calling thread's core delays that thread. In both cases the calling thread then runs without the
// workers for a while.
//
// Any thread may run any iteration, so iterations must not depend on each other. Results are then the same for any
// number of threads.
class ThreadPool {
public:
    explicit ThreadPool(std::size_t threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    std::size_t size() const { return workers_.size() + 1; }

    // Calls body(i) for every i below count and returns when all calls have returned. The body must not throw. A body
    // with two arguments also gets the thread's number, below size(); no two concurrent calls get the same number.
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

    // One thread's share of the current loop. The ticket holds, from its highest bits: the loop's epoch (16), the end
    // of the share and the next iteration (kTicketBits each).
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

    // The body of the current loop. Only a thread that holds an iteration reads it, so the loop cannot end meanwhile.
    std::atomic<Call> call_{nullptr};
    std::atomic<const void*> context_{nullptr};
    std::atomic<int> callers_core_{-1};
    std::vector<Share> shares_;  // of the calling thread, then of each worker
    std::uint16_t epoch_ = 0;
    alignas(64) std::atomic<std::uint32_t> unfinished_{0};
    alignas(64) std::atomic<std::uint32_t> sleepers_{0};
    std::atomic<bool> stop_{false};
    std::atomic<bool> worker_blocks_caller_{false};  // a worker runs on the calling thread's core
    // For the calling thread only: until when it runs without workers, and how long the last suspension was.
    Clock::time_point suspended_until_{};
    Clock::duration suspended_for_{};
    bool suspended_ = false;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<std::thread> workers_;
};

// The number of cores this process may use: by affinity, or by CPU quota if that is less.
std::size_t available_cores();

// The cores that a container's CPU quota allows, rounded up. `root` holds the control group's files. Returns 0 if there
// is no limit.
std::size_t cgroup_cores(const std::string& root);

}  // namespace lai
