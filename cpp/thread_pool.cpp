#include "thread_pool.hpp"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <fstream>
#include <system_error>

#if defined(__linux__)
#include <sched.h>
#endif

namespace lai {

namespace {

// Some tens of microseconds: longer than the pauses between a token's loops, shorter than a scheduler's time slice.
constexpr int kSpins = 4000;
// Longer than any wait for a worker that has its core; and how long to do without one that has not, at first and at most.
constexpr std::chrono::microseconds kStall{300};
constexpr std::chrono::milliseconds kAloneFirst{4};
constexpr std::chrono::milliseconds kAloneLast{1000};
constexpr std::uint32_t kClosed = 0xFFFFFFFF;  // more than any loop's count

void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

std::uint32_t epoch_of(std::uint64_t ticket) { return static_cast<std::uint32_t>(ticket >> 32); }

}  // namespace

ThreadPool::ThreadPool(std::size_t threads) {
    // Signals are for the calling thread: workers inherit a mask that lets none through but that of a mapped file which
    // cannot be read, as it comes to the thread that reads.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        for (std::size_t i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {  // the system has no more for this process: the loops go on with those there are
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ThreadPool::~ThreadPool() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        stop_.store(true);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(std::uint32_t count, Call call, const void* context) {
    const std::uint32_t epoch = epoch_of(ticket_.load(std::memory_order_relaxed)) + 1;
    // Close the old loop first: a worker late in it that sees a new field below can then take no ticket with it.
    ticket_.store(std::uint64_t{epoch - 1} << 32 | kClosed);
    call_.store(call, std::memory_order_release);
    context_.store(context, std::memory_order_release);
    count_.store(count, std::memory_order_release);
    unfinished_.store(count, std::memory_order_release);
    // Sequentially consistent, as is the counting of sleepers: either this sees a sleeper, or the sleeper sees this.
    ticket_.store(std::uint64_t{epoch} << 32);
    if (sleepers_.load() > 0) {
        { const std::lock_guard<std::mutex> lock(mutex_); }
        wake_.notify_all();
    }
    const Clock::time_point start = Clock::now();
    take_iterations(epoch);
    wait_for_others(start, count);
}

void ThreadPool::wait_for_others(Clock::time_point start, std::uint32_t count) {
    int spins = 0;
    for (; unfinished_.load(std::memory_order_acquire) > 0 && spins < kSpins; ++spins) pause();
    if (spins < kSpins) return;
    // An iteration is in another thread's hands; where that thread has no core, it is to have this one.
    const Clock::time_point waiting = Clock::now();
    while (unfinished_.load(std::memory_order_acquire) > 0) std::this_thread::yield();
    const Clock::time_point end = Clock::now();
    // An iteration may be long by itself: the others of this loop tell.
    const auto usual = (waiting - start) * static_cast<int>(size()) / static_cast<int>(count);
    if (end - waiting < kStall + 4 * usual) return;
    const bool again = end - alone_until_ < 4 * alone_for_;
    alone_for_ = again ? std::min<Clock::duration>(4 * alone_for_, kAloneLast) : kAloneFirst;
    alone_until_ = end + alone_for_;
    alone_ = true;
}

bool ThreadPool::is_alone() {
    if (alone_ && Clock::now() >= alone_until_) alone_ = false;
    return alone_;
}

void ThreadPool::take_iterations(std::uint32_t epoch) {
    std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
    for (;;) {
        const Call call = call_.load(std::memory_order_acquire);
        const void* context = context_.load(std::memory_order_acquire);
        const std::uint32_t count = count_.load(std::memory_order_acquire);
        const auto iteration = static_cast<std::uint32_t>(ticket);
        if (epoch_of(ticket) != epoch || iteration >= count) return;
        if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) continue;
        call(context, iteration);
        unfinished_.fetch_sub(1, std::memory_order_acq_rel);
        ticket = ticket_.load(std::memory_order_acquire);
    }
}

void ThreadPool::work() {
    std::uint32_t epoch = 0;
    while (wait_for_epoch(epoch)) take_iterations(epoch);
}

// Waits for a loop newer than `epoch` and sets it; false when the pool is being taken down.
bool ThreadPool::wait_for_epoch(std::uint32_t& epoch) {
    const auto newer = [&] { return epoch_of(ticket_.load()) != epoch; };
    for (int spins = 0; spins < kSpins && !newer(); ++spins) {
        if (stop_.load(std::memory_order_relaxed)) return false;
        pause();
    }
    if (!newer()) {
        std::unique_lock<std::mutex> lock(mutex_);
        sleepers_.fetch_add(1);
        wake_.wait(lock, [&] { return stop_.load() || newer(); });
        sleepers_.fetch_sub(1);
    }
    if (stop_.load()) return false;
    epoch = epoch_of(ticket_.load(std::memory_order_acquire));
    return true;
}

std::size_t quota_cores(const std::string& root) {
    // Microseconds in each period; "max" or -1 for no limit. Version 2 of the control groups has one file, version 1 two.
    std::ifstream both(root + "/cpu.max");
    std::ifstream quota_file(root + "/cpu/cpu.cfs_quota_us");
    std::ifstream period_file(root + "/cpu/cpu.cfs_period_us");
    double quota = 0;
    double period = 0;
    if (!(both >> quota >> period) && !(quota_file >> quota && period_file >> period)) return 0;
    return quota > 0 && period > 0 ? static_cast<std::size_t>(std::ceil(quota / period)) : 0;
}

std::size_t available_cores() {
    std::size_t count = std::max(1U, std::thread::hardware_concurrency());
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) count = static_cast<std::size_t>(CPU_COUNT(&set));
    if (const std::size_t quota = quota_cores("/sys/fs/cgroup"); quota > 0) count = std::min(count, quota);
#endif
    return count;
}

}  // namespace lai
