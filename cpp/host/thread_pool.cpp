#include "host/thread_pool.hpp"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#if defined(__linux__)
#include <sched.h>
#endif

namespace lai {

namespace {

// How long a thread spins: longer than the gaps between a token's loops, shorter than a scheduler's time slice.
// Counting pause instructions would not do: one takes 1 ns on some CPUs and 40 ns on others.
constexpr std::chrono::microseconds kSpinTime{100};
constexpr int kPausesPerCheck = 50;  // between two looks at the clock and at the current core
// kStallTime is longer than any wait for a worker that has a core. The suspension is how long the caller runs without
// workers after a stall, at first and at most.
constexpr std::chrono::microseconds kStallTime{300};
constexpr std::chrono::milliseconds kMinSuspension{4};
constexpr std::chrono::milliseconds kMaxSuspension{1000};

void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Spins until `done` or until the time is over. Checks `give_up` now and then. Returns whether it is done.
template <class Done, class GiveUp>
bool spin_until(const Done& done, const GiveUp& give_up) {
    using Clock = std::chrono::steady_clock;
    if (done()) return true;
    const Clock::time_point end = Clock::now() + kSpinTime;
    while (!give_up() && Clock::now() < end) {
        for (int pauses = 0; pauses < kPausesPerCheck; ++pauses) {
            pause();
            if (done()) return true;
        }
    }
    return false;
}

constexpr std::uint64_t kTicketMask = (std::uint64_t{1} << kTicketBits) - 1;

// The core of the calling thread, or -1 if the system does not tell.
int current_core() {
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
}

std::uint64_t make_ticket(std::uint16_t epoch, std::uint64_t next, std::uint64_t end) {
    return std::uint64_t{epoch} << (2 * kTicketBits) | end << kTicketBits | next;
}

std::uint16_t epoch_of(std::uint64_t ticket) { return static_cast<std::uint16_t>(ticket >> (2 * kTicketBits)); }
std::uint64_t end_of(std::uint64_t ticket) { return ticket >> kTicketBits & kTicketMask; }
std::uint64_t next_of(std::uint64_t ticket) { return ticket & kTicketMask; }

// The numbers at the start of a file, in its first line or two; none if it cannot be read. std::ifstream would double
// the size of the program; fscanf would add a tenth.
std::vector<double> read_numbers(const std::string& path) {
    std::vector<double> numbers;
    std::FILE* file = std::fopen(path.c_str(), "r");
    if (file == nullptr) return numbers;
    char text[128] = {};
    const std::size_t size = std::fread(text, 1, sizeof text - 1, file);
    std::fclose(file);
    char* end = text;
    for (const char* at = text; at < text + size; at = end) {
        const double number = std::strtod(at, &end);
        if (end == at) break;
        numbers.push_back(number);
    }
    return numbers;
}

}  // namespace

ThreadPool::ThreadPool(std::size_t threads) : shares_(threads) {
    // The calling thread handles signals. Workers block all but SIGBUS, which goes to the thread that reads an
    // unreadable page of a mapped file.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        for (std::size_t i = 1; i < threads; ++i) workers_.emplace_back([this, i] { worker_loop(i); });
        // The system has no more threads for this process: the pool works with fewer.
    } catch (const std::system_error&) {
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
    // The previous loop has no iterations left, so no thread reads these.
    call_.store(call, std::memory_order_relaxed);
    context_.store(context, std::memory_order_relaxed);
    unfinished_.store(count, std::memory_order_relaxed);
    callers_core_.store(current_core(), std::memory_order_relaxed);
    ++epoch_;
    const std::uint64_t threads = size();
    for (std::uint64_t i = 0; i < threads; ++i) {
        // Sequentially consistent, like the sleeper count: either this thread sees the sleeper, or the sleeper sees the
        // ticket.
        shares_[i].ticket.store(make_ticket(epoch_, count * i / threads, count * (i + 1) / threads));
    }
    if (sleepers_.load() > 0) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
        }
        wake_.notify_all();
    }
    const Clock::time_point start = Clock::now();
    run_iterations(0);
    wait_for_others(start, count);
}

void ThreadPool::wait_for_others(Clock::time_point start, std::uint32_t count) {
    const auto done = [&] { return unfinished_.load(std::memory_order_acquire) == 0; };
    if (spin_until(done, [] { return false; })) return;
    // Another thread runs the last iteration. If that thread has no core, it gets this one.
    const Clock::time_point waiting = Clock::now();
    while (!done()) std::this_thread::yield();
    const Clock::time_point end = Clock::now();
    // An iteration may be long in itself. The other iterations of this loop tell.
    const auto typical = (waiting - start) * static_cast<int>(size()) / static_cast<int>(count);
    if (end - waiting < kStallTime + 4 * typical) return;
    suspend_workers(end);
}

void ThreadPool::suspend_workers(Clock::time_point now) {
    const bool again = now - suspended_until_ < 4 * suspended_for_;
    suspended_for_ = again ? std::min<Clock::duration>(4 * suspended_for_, kMaxSuspension) : kMinSuspension;
    suspended_until_ = now + suspended_for_;
    suspended_ = true;
}

bool ThreadPool::workers_suspended() {
    if (worker_blocks_caller_.load(std::memory_order_relaxed)) {
        worker_blocks_caller_.store(false, std::memory_order_relaxed);
        suspend_workers(Clock::now());
    }
    if (suspended_ && Clock::now() >= suspended_until_) suspended_ = false;
    return suspended_;
}

// Whether this worker occupies the core that the calling thread needs.
bool ThreadPool::blocks_caller() {
    const int core = current_core();
    if (core < 0 || core != callers_core_.load(std::memory_order_relaxed)) return false;
    worker_blocks_caller_.store(true, std::memory_order_relaxed);
    return true;
}

// Runs this thread's share first, then the rest of the others' shares.
void ThreadPool::run_iterations(std::size_t thread) {
    for (std::size_t i = thread; i < size(); ++i) run_share(shares_[i], thread);
    for (std::size_t i = 0; i < thread; ++i) run_share(shares_[i], thread);
}

void ThreadPool::run_share(Share& share, std::size_t thread) {
    std::uint32_t done = 0;
    std::uint64_t ticket = share.ticket.load(std::memory_order_acquire);
    while (next_of(ticket) < end_of(ticket)) {
        if (!share.ticket.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                                std::memory_order_acquire)) {
            continue;
        }
        call_.load(std::memory_order_relaxed)(context_.load(std::memory_order_relaxed), next_of(ticket), thread);
        ++done;
        ticket = share.ticket.load(std::memory_order_acquire);
    }
    if (done > 0) unfinished_.fetch_sub(done, std::memory_order_acq_rel);
}

void ThreadPool::worker_loop(std::size_t thread) {
    std::uint16_t epoch = 0;
    while (wait_for_loop(shares_[thread], epoch)) run_iterations(thread);
}

// Waits for a loop newer than `epoch` and sets `epoch`. Returns false when the pool shuts down.
bool ThreadPool::wait_for_loop(const Share& share, std::uint16_t& epoch) {
    const auto called = [&] { return epoch_of(share.ticket.load()) != epoch || stop_.load(); };
    if (!spin_until(called, [this] { return blocks_caller(); })) {
        std::unique_lock<std::mutex> lock(mutex_);
        sleepers_.fetch_add(1);
        wake_.wait(lock, called);
        sleepers_.fetch_sub(1);
    }
    if (stop_.load()) return false;
    epoch = epoch_of(share.ticket.load(std::memory_order_acquire));
    return true;
}

std::size_t cgroup_cores(const std::string& root) {
    // Quota and period in microseconds; a quota of "max" or -1 means no limit. cgroup v2 has one file, v1 has two.
    std::vector<double> numbers = read_numbers(root + "/cpu.max");
    if (numbers.size() < 2) {
        numbers = read_numbers(root + "/cpu/cpu.cfs_quota_us");
        const std::vector<double> period = read_numbers(root + "/cpu/cpu.cfs_period_us");
        numbers.insert(numbers.end(), period.begin(), period.end());
    }
    if (numbers.size() != 2 || numbers[0] <= 0 || numbers[1] <= 0) return 0;
    return static_cast<std::size_t>(std::ceil(numbers[0] / numbers[1]));
}

std::size_t available_cores() {
    std::size_t count = std::max(1U, std::thread::hardware_concurrency());
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) {
        count = static_cast<std::size_t>(CPU_COUNT(&set));
    }
    if (const std::size_t quota = cgroup_cores("/sys/fs/cgroup"); quota > 0) count = std::min(count, quota);
#endif
    return count;
}

}  // namespace lai
