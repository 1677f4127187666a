// A bounded single-producer single-consumer queue of owned messages: the only way two threads of the dataplane meet.
// Exactly one thread sends and exactly one receives; neither ever waits.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/lockfree/spsc_queue.hpp>
#include <cstddef>
#include <memory>

namespace longhaul::worker {

template <typename Message>
class Mailbox {
  public:
    explicit Mailbox(std::size_t capacity) : queue_(capacity) {}
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;
    ~Mailbox() {
        while (receive() != nullptr) {
        }
    }

    // Takes the message when there is room; otherwise it stays with the caller.
    bool send(std::unique_ptr<Message>& message) {
        if (!queue_.push(message.get())) return false;
        static_cast<void>(message.release());
        return true;
    }
    std::unique_ptr<Message> receive() {
        Message* message = nullptr;
        if (!queue_.pop(message)) return nullptr;
        return std::unique_ptr<Message>(message);
    }

  private:
    boost::lockfree::spsc_queue<Message*> queue_;
};

}  // namespace longhaul::worker
