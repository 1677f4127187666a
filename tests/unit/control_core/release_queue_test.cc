// The order in which an ordered dataset's changes leave, whether they stand one by one or as an epoch.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/release_queue.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "dataplane/base/random.h"

namespace longhaul::control {
namespace {

std::string said(const Release& release) {
    const std::string cut = std::to_string(release.cut_ns);
    if (release.removal) return cut + " - " + release.path;  // their time tells nothing
    return cut + " + " + std::to_string(release.changed_by_ns) + " " + release.path;
}

Release some_release(Random& random, std::int64_t cut_ns) {
    return {cut_ns, random.chance(0.3), static_cast<std::int64_t>(random.below(50)),
            "d" + std::to_string(random.below(20)) + "/f" + std::to_string(random.below(500))};
}

void insert_epoch(ReleaseQueue& queue, std::int64_t cut_ns, const std::set<Release>& members) {
    ReleaseQueue::Epoch epoch;
    for (auto next = members.rbegin(); next != members.rend(); ++next)
        epoch.add(next->removal, next->changed_by_ns, next->path);
    queue.insert(cut_ns, std::move(epoch));
}

// What goes in and is taken away in any way comes out as from one sorted set; the same change may come twice.
TEST(ReleaseQueue, IsOneOrderHoweverItWasFilled) {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        ReleaseQueue queue;
        std::set<Release> model;
        std::int64_t cut_ns = 1000;
        for (int step = 0; step < 30; ++step) {
            if (random.chance(0.3)) {
                std::set<Release> members;
                cut_ns += static_cast<std::int64_t>(random.below(3));
                const std::size_t size = random.chance(0.5) ? random.below(20) : 256 + random.below(400);
                for (std::size_t i = 0; i < size; ++i)
                    members.insert(some_release(random, cut_ns));
                insert_epoch(queue, cut_ns, members);
                model.merge(members);
            }
            for (std::size_t i = random.below(20); i > 0; --i) {
                Release one = some_release(random, cut_ns - static_cast<std::int64_t>(random.below(3)));
                model.insert(one);
                queue.insert(std::move(one));
            }
            for (std::size_t i = random.below(20); i > 0 && !model.empty(); --i) {
                auto gone = model.begin();
                std::advance(gone, random.below(model.size()));
                queue.erase(*gone);
                model.erase(gone);
            }
            for (std::size_t i = random.below(200); i > 0 && !model.empty(); --i) {
                ASSERT_FALSE(queue.empty());
                ASSERT_EQ(said(queue.front()), said(*model.begin()));
                const Release taken = queue.front();
                while (!queue.empty() && said(queue.front()) == said(taken))
                    queue.pop_front();
                model.erase(model.begin());
            }
        }
        for (; !model.empty(); model.erase(model.begin())) {
            ASSERT_FALSE(queue.empty());
            ASSERT_EQ(said(queue.front()), said(*model.begin()));
            const std::string taken = said(queue.front());
            while (!queue.empty() && said(queue.front()) == taken)
                queue.pop_front();
        }
        EXPECT_TRUE(queue.empty());
    }
}

TEST(ReleaseQueue, AnEpochThatIsErasedWholeIsNotLeft) {
    ReleaseQueue queue;
    std::set<Release> members;
    for (int i = 0; i < 1000; ++i)
        members.insert({7, false, i, "f" + std::to_string(i)});
    insert_epoch(queue, 7, members);
    for (const auto& member : members)
        queue.erase(member);
    EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace longhaul::control
