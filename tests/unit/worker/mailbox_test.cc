// The mailbox between main thread and worker: order, bound, ownership, and (under TSan) no data race.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/mailbox.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace longhaul::worker {
namespace {

// A full mailbox leaves the message with its sender; nothing is lost or doubled.
TEST(MailboxTest, IsBoundedAndKeepsOrder) {
    Mailbox<int> mailbox(4);
    int sent = 0;
    auto message = std::make_unique<int>(0);
    while (mailbox.send(message))
        message = std::make_unique<int>(++sent);
    ASSERT_NE(message, nullptr);
    EXPECT_EQ(*message, sent);
    for (int expected = 0; expected < sent; ++expected) {
        const auto received = mailbox.receive();
        ASSERT_NE(received, nullptr);
        EXPECT_EQ(*received, expected);
    }
    EXPECT_EQ(mailbox.receive(), nullptr);
    EXPECT_TRUE(mailbox.send(message));
}

// One thread sends, another receives: every message arrives once, in order, with the content its sender wrote.
TEST(MailboxTest, CarriesMessagesBetweenThreads) {
    constexpr int kMessages = 200'000;
    Mailbox<std::vector<int>> mailbox(64);
    std::thread sender([&] {
        for (int i = 0; i < kMessages; ++i) {
            auto message = std::make_unique<std::vector<int>>(3, i);
            while (!mailbox.send(message))
                std::this_thread::yield();
        }
    });
    for (int expected = 0; expected < kMessages;) {
        const auto message = mailbox.receive();
        if (message == nullptr) {
            std::this_thread::yield();
            continue;
        }
        ASSERT_EQ(*message, std::vector<int>(3, expected));
        ++expected;
    }
    sender.join();
}

// What nobody received is freed with the mailbox (ASan would tell).
TEST(MailboxTest, FreesWhatIsLeft) {
    Mailbox<int> mailbox(8);
    auto message = std::make_unique<int>(1);
    EXPECT_TRUE(mailbox.send(message));
}

}  // namespace
}  // namespace longhaul::worker
