// The rings between workers: order, bound, no frame lost or doubled, and (under TSan) no data race.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/handoff.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <thread>
#include <vector>

namespace longhaul::worker {
namespace {

// Frames are only passed on: any address will do.
rte_mbuf* frame(std::uintptr_t number) {
    return reinterpret_cast<rte_mbuf*>(number);
}

// A full ring says how many it took and leaves the rest with the caller, who counts them as dropped.
TEST(HandoffTest, IsBoundedAndKeepsOrder) {
    HandoffRing ring(4);
    std::array<HandedFrame, 6> frames;
    for (std::size_t i = 0; i < frames.size(); ++i)
        frames[i] = {frame(i + 1), static_cast<std::uint32_t>(i)};
    ASSERT_EQ(ring.push(frames), 4u);
    ASSERT_EQ(ring.push(frames), 0u);
    std::array<HandedFrame, 3> got;
    ASSERT_EQ(ring.pop(got), 3u);
    for (std::size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(got[i].frame, frames[i].frame);
        EXPECT_EQ(got[i].port, frames[i].port);
    }
    EXPECT_EQ(ring.push(std::span(frames).subspan(4)), 2u);
    ASSERT_EQ(ring.pop(got), 3u);
    EXPECT_EQ(got[0].frame, frame(4));
    EXPECT_EQ(got[2].frame, frame(6));
    EXPECT_EQ(ring.pop(got), 0u);
}

// Each pair and direction has a ring of its own; what is left at the end is found by drain, each frame once.
TEST(HandoffTest, MeshKeepsPairsApart) {
    constexpr unsigned kWorkers = 3;
    HandoffMesh mesh(kWorkers, 4);
    std::uintptr_t number = 0;
    for (unsigned from = 0; from < kWorkers; ++from) {
        for (unsigned to = 0; to < kWorkers; ++to) {
            if (from == to) continue;
            const HandedFrame arrival{frame(++number), 0}, departure{frame(++number), 1};
            ASSERT_EQ(mesh.arrivals(from, to).push({&arrival, 1}), 1u);
            ASSERT_EQ(mesh.departures(from, to).push({&departure, 1}), 1u);
        }
    }
    HandedFrame got;
    ASSERT_EQ(mesh.arrivals(0, 1).pop({&got, 1}), 1u);
    EXPECT_EQ(got.frame, frame(1));
    EXPECT_EQ(mesh.arrivals(0, 1).pop({&got, 1}), 0u);
    std::set<rte_mbuf*> left;
    mesh.drain([&](rte_mbuf* one) { EXPECT_TRUE(left.insert(one).second); });
    EXPECT_EQ(left.size(), number - 1);
}

// One thread hands over, another takes: every frame comes once and in order, with the contents its sender wrote.
TEST(HandoffTest, CarriesFramesBetweenThreads) {
    constexpr std::uintptr_t kFrames = 200'000;
    std::vector<std::uint64_t> contents(kFrames + 1);
    HandoffRing ring(64);
    std::thread sender([&] {
        std::array<HandedFrame, 8> batch;
        for (std::uintptr_t next = 1; next <= kFrames;) {
            std::size_t count = 0;
            for (; count < batch.size() && next + count <= kFrames; ++count) {
                contents[next + count] = next + count;
                batch[count] = {frame(next + count), 7};
            }
            const std::size_t taken = ring.push(std::span(batch).first(count));
            if (taken == 0) std::this_thread::yield();
            next += taken;
        }
    });
    for (std::uintptr_t expected = 1; expected <= kFrames;) {
        std::array<HandedFrame, 32> got;
        const std::size_t count = ring.pop(got);
        if (count == 0) std::this_thread::yield();
        for (std::size_t i = 0; i < count; ++i, ++expected) {
            ASSERT_EQ(got[i].frame, frame(expected));
            ASSERT_EQ(contents[expected], expected);
        }
    }
    sender.join();
}

}  // namespace
}  // namespace longhaul::worker
