// The target's order of publication: every crossing of arrivals, restarts and runs.
// SPDX-License-Identifier: Apache-2.0
#include "control/publish/publish_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

#include "dataplane/base/random.h"

namespace longhaul::control {
namespace {

using command::OrderEvent;
using command::OrderState;
using wire::OrderPlace;

OrderEvent staged(OrderPlace place, OrderPlace position = {}, std::uint8_t link = 1) {
    OrderEvent event;
    event.store = 7;
    event.id = {place.run, place.number};
    event.generation = 1;
    event.link = link;
    event.place = place;
    event.position = position;
    return event;
}

struct Desk {
    PublishOrder order;
    std::vector<OrderPlace> published, discarded;
    std::optional<ErrorCode> answer;  // of the dataplane, when it refuses

    void step(TimeNs now = 0) {
        order.step(now, [this](const OrderEvent& bundle, bool publish) -> Result<void> {
            if (answer) return Error{*answer, "no"};
            (publish ? published : discarded).push_back(bundle.place);
            return {};
        });
    }
    void hear(OrderEvent event, OrderState state = OrderState::staged, TimeNs now = 0) {
        event.state = state;
        if (state == OrderState::published) event.position = event.place;
        order.on_event(event, now);
        step(now);
    }
};

TEST(PublishOrder, OneAfterTheOther) {
    Desk desk;
    desk.hear(staged({1, 2}));
    desk.hear(staged({1, 3}));
    EXPECT_TRUE(desk.published.empty());
    EXPECT_TRUE(desk.order.waits_for_gap());
    desk.hear(staged({1, 1}));
    EXPECT_EQ(desk.published, (std::vector<OrderPlace>{{1, 1}}));
    desk.step();
    EXPECT_EQ(desk.published.size(), 1u) << "the next waits until the one before is visible";
    desk.hear(staged({1, 1}), OrderState::published);
    desk.hear(staged({1, 2}), OrderState::published);
    EXPECT_EQ(desk.published, (std::vector<OrderPlace>{{1, 1}, {1, 2}, {1, 3}}));
    EXPECT_TRUE(desk.discarded.empty());
}

// A bundle that failed keeps what is behind it until a newer run comes; then the old run is discarded.
TEST(PublishOrder, AFailureWaitsForTheNewRun) {
    Desk desk;
    desk.hear(staged({1, 1}));
    desk.hear(staged({1, 2}));
    desk.hear(staged({1, 1}), OrderState::failed);
    EXPECT_EQ(desk.published.size(), 1u);
    desk.hear(staged({2, 1}));
    EXPECT_EQ(desk.discarded, (std::vector<OrderPlace>{{1, 2}}));
    EXPECT_EQ(desk.published.back(), (OrderPlace{2, 1}));
}

// What is publishing is neither overtaken nor discarded by a newer run.
TEST(PublishOrder, ANewRunWaitsForWhatIsPublishing) {
    Desk desk;
    desk.hear(staged({1, 1}));
    desk.hear(staged({2, 1}));
    EXPECT_EQ(desk.published.size(), 1u);
    EXPECT_TRUE(desk.discarded.empty());
    desk.hear(staged({1, 1}), OrderState::published);
    EXPECT_EQ(desk.published.back(), (OrderPlace{2, 1}));
}

// Sent again although it is there: discarded, never applied over what came after it.
TEST(PublishOrder, WhatIsPastIsDiscarded) {
    Desk desk;
    desk.hear(staged({3, 4}, {3, 4}));
    desk.hear(staged({3, 2}, {3, 4}));
    desk.hear(staged({2, 9}, {3, 4}));
    EXPECT_TRUE(desk.published.empty());
    EXPECT_EQ(desk.discarded, (std::vector<OrderPlace>{{3, 4}, {3, 2}, {2, 9}}));
    EXPECT_EQ(desk.order.staged(), 0u);
}

// The same bundle over two links: one copy is published, the other discarded.
TEST(PublishOrder, TwoCopies) {
    Desk desk;
    desk.hear(staged({1, 1}, {}, 1));
    desk.hear(staged({1, 1}, {}, 2));
    EXPECT_EQ(desk.published.size(), 1u);
    desk.hear(staged({1, 1}, {}, 1), OrderState::published);
    EXPECT_EQ(desk.published.size(), 1u);
    EXPECT_EQ(desk.discarded.size(), 1u);
}

// The session ends under a staged bundle: it comes again, and what is behind it waits.
TEST(PublishOrder, GoneAndSentAgain) {
    Desk desk;
    desk.hear(staged({1, 1}));
    desk.hear(staged({1, 2}));
    desk.hear(staged({1, 1}), OrderState::gone);
    EXPECT_EQ(desk.published.size(), 1u);
    desk.hear(staged({1, 1}));
    EXPECT_EQ(desk.published, (std::vector<OrderPlace>{{1, 1}, {1, 1}}));
}

// A gap that nobody fills is given up after a while, not before, and not while there is progress.
TEST(PublishOrder, AGapDoesNotHoldForEver) {
    Desk desk;
    desk.hear(staged({1, 5}), OrderState::staged, kSecond);
    desk.step(PublishOrder::kGapPatience_ns);
    EXPECT_TRUE(desk.discarded.empty());
    desk.hear(staged({1, 6}), OrderState::staged, PublishOrder::kGapPatience_ns);
    desk.step(PublishOrder::kGapPatience_ns + kSecond);
    EXPECT_TRUE(desk.discarded.empty());
    desk.step(2 * PublishOrder::kGapPatience_ns);
    EXPECT_EQ(desk.discarded.size(), 2u);
    desk.hear(staged({2, 1}), OrderState::staged, 2 * PublishOrder::kGapPatience_ns);
    EXPECT_EQ(desk.published, (std::vector<OrderPlace>{{2, 1}}));
}

// Control restarts, or its connection does, while a bundle is publishing: it is told so, and waits.
TEST(PublishOrder, ToldAgainAfterAReconnect) {
    Desk desk;
    desk.hear(staged({1, 1}));
    desk.order.forget();
    desk.published.clear();
    desk.hear(staged({1, 2}));
    desk.hear(staged({1, 1}), OrderState::publishing);
    desk.step();
    EXPECT_TRUE(desk.published.empty());
    desk.hear(staged({1, 1}), OrderState::published);
    EXPECT_EQ(desk.published, (std::vector<OrderPlace>{{1, 2}}));
}

// The dataplane cannot take the command now: again later. It does not know the bundle: on with the others.
TEST(PublishOrder, CommandsThatFail) {
    Desk desk;
    desk.answer = ErrorCode::exhausted;
    desk.hear(staged({1, 1}));
    desk.hear(staged({1, 1}, {}, 2));
    EXPECT_EQ(desk.order.staged(), 2u);
    desk.answer = ErrorCode::not_found;
    desk.step();
    EXPECT_EQ(desk.order.staged(), 1u);
    desk.answer.reset();
    desk.step();
    EXPECT_EQ(desk.published, (std::vector<OrderPlace>{{1, 1}}));
}

TEST(PublishOrder, CountsWhatTheDoorRefused) {
    Desk desk;
    desk.hear(staged({1, 1}));
    EXPECT_EQ(desk.order.refusals(), 0u);
    desk.hear(staged({1, 1}), OrderState::refused);
    EXPECT_EQ(desk.order.refusals(), 1u);
}

// A dataplane with a door of its own, any order of arrival, losses, reconnects and new runs: the door never refuses, and
// all of the last run is published.
TEST(PublishOrder, NeverAsksForTheWrongOne) {
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
        Random random(seed);
        PublishOrder order;
        OrderPlace door;
        std::map<OrderPlace, OrderEvent> held;
        TimeNs now = 0;
        std::uint64_t run = 1;
        const std::uint64_t count = 12;
        std::set<std::uint64_t> to_send;
        const auto restart = [&] {
            for (std::uint64_t n = 1; n <= count; ++n)
                to_send.insert(n);
        };
        const auto settle = [&](const OrderEvent& bundle, bool publish) -> Result<void> {
            const auto found = held.find(bundle.place);
            if (found == held.end()) return Error{ErrorCode::not_found, "gone"};
            if (publish)
                found->second.state = OrderState::publishing;
            else
                held.erase(found);
            return {};
        };
        restart();
        for (int turn = 0; turn < 2000 && door != OrderPlace{run, count}; ++turn) {
            now += kMillisecond;
            const auto dice = random.below(100);
            if (dice < 50 && !to_send.empty()) {
                const auto next =
                    std::next(to_send.begin(), static_cast<std::ptrdiff_t>(random.below(to_send.size())));
                const auto event = staged({run, *next}, door);
                to_send.erase(next);
                held[event.place] = event;
                order.on_event(event, now);
            } else if (dice < 80) {  // what was asked for is done, or fails
                for (auto& [place, event] : held) {
                    if (event.state != OrderState::publishing) continue;
                    ASSERT_TRUE(wire::follows(place, door)) << "seed " << seed;
                    auto over = event;
                    over.state =
                        turn < 1000 && random.chance(0.1) ? OrderState::failed : OrderState::published;
                    if (over.state == OrderState::published) over.position = door = place;
                    if (over.state == OrderState::failed) ++run, restart();
                    held.erase(place);
                    order.on_event(over, now);
                    break;
                }
            } else if (dice < 83) {
                order.forget();
                for (auto [place, event] : held) {
                    event.position = door;
                    order.on_event(event, now);
                }
            } else if (dice < 85 && turn < 1000) {
                ++run;
                restart();
            }
            order.step(now, settle);
        }
        EXPECT_EQ(door, (OrderPlace{run, count})) << "seed " << seed;
        EXPECT_EQ(order.refusals(), 0u);
    }
}

}  // namespace
}  // namespace longhaul::control
