// The arrival book under several workers at once: what it promises to one thread it promises to all.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/shared_arrivals.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <latch>
#include <thread>
#include <vector>

namespace longhaul::worker {
namespace {

// Many generations at once, by threads that write when they may and stop when told. Never two write, the newest one gets
// its turn, and every thread comes to an end.
TEST(SharedArrivalsTest, ManyWorkersOneWriter) {
    constexpr unsigned kWorkers = 4, kBundles = 50, kRounds = 8;
    SharedArrivals book;
    std::array<std::atomic<int>, kBundles> writers{};
    std::array<std::atomic<std::uint32_t>, kBundles> last{};
    std::atomic<unsigned> together = 0, backwards = 0;
    std::latch all(kWorkers);
    const auto work = [&](unsigned worker) {
        all.arrive_and_wait();
        for (std::uint64_t i = 0; i < kBundles * kRounds; ++i) {
            const std::uint64_t bundle = i % kBundles;
            const SharedArrivals::Key key{1, {3, bundle}};
            const auto generation = static_cast<std::uint32_t>(i / kBundles * kWorkers + worker + 1);
            const SharedArrivals::Holder holder = (std::uint64_t{worker} + 1) << 48 | i;
            SharedArrivals::Verdict verdict = book.ask(key, generation, holder);
            for (; verdict == SharedArrivals::Verdict::wait; verdict = book.ask(key, generation, holder))
                std::this_thread::yield();
            if (verdict != SharedArrivals::Verdict::granted) continue;
            if (writers[bundle].fetch_add(1) != 0) ++together;
            if (last[bundle].exchange(generation) > generation) ++backwards;
            for (unsigned turn = 0; turn < 3 && !book.revoked(key, holder); ++turn)
                std::this_thread::yield();
            static_cast<void>(book.begin_finish(key, holder));
            writers[bundle].fetch_sub(1);
            book.end(key, holder, false);
        }
    };
    std::vector<std::thread> threads;
    for (unsigned worker = 0; worker < kWorkers; ++worker)
        threads.emplace_back(work, worker);
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(together, 0u);
    EXPECT_EQ(backwards, 0u);
    for (std::uint64_t bundle = 0; bundle < kBundles; ++bundle)
        EXPECT_EQ(last[bundle], kRounds * kWorkers) << "the newest wrote, or it was never asked";
}

}  // namespace
}  // namespace longhaul::worker
