// Writes that nobody waits for, done by a thread of their own in the order in which they were given, while the loop goes on.
// From the first post() until rest() the connection is that thread's: whoever else wants it rests first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace longhaul::control {

class WriteBehind {
  public:
    WriteBehind() = default;
    ~WriteBehind();  // after all of them
    WriteBehind(const WriteBehind&) = delete;
    WriteBehind& operator=(const WriteBehind&) = delete;

    bool at_rest() const { return !given_; }
    void post(std::function<void()> write);  // waits while too many are ahead of it: memory stays bounded
    void rest();                             // all are done

  private:
    static constexpr std::size_t kAhead = 64;
    void run();

    bool given_ = false;  // since the last rest()
    std::mutex mutex_;
    std::condition_variable work_, progress_;
    std::deque<std::function<void()>> writes_;  // the first one stays until it is done
    bool stop_ = false;
    std::thread thread_;  // from the first post() on
};

}  // namespace longhaul::control
