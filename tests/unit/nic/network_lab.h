// What the port tests need from the machine: a private network namespace for the test process, a second one
// with the kernel's stack in it, a veth pair between them, and child processes that never outlive the test.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace longhaul::nic::lab {

// Empty: this process may make namespaces; else the reason to skip by.
std::string why_no_namespaces();

// Runs a shell command, quietly; its exit code, its output in `output` if given.
int run(const std::string& command, std::string* output = nullptr);

// Calls `step` until `done` or ten seconds (or `limit`) have gone; true: done.
bool poll_until(const std::function<bool()>& done, const std::function<void()>& step,
                std::chrono::seconds limit = std::chrono::seconds(20));

// A child that dies with its parent and with this object.
class Child {
  public:
    Child() = default;
    explicit Child(const std::vector<std::string>& arguments, const std::string& program = "/proc/self/exe");
    static Child namespace_holder();  // sleeps in a network namespace of its own
    ~Child() { kill_now(); }
    Child(Child&& other) noexcept : pid_(other.pid_) { other.pid_ = -1; }
    Child& operator=(Child&& other) noexcept {
        kill_now();
        pid_ = other.pid_;
        other.pid_ = -1;
        return *this;
    }
    pid_t pid() const { return pid_; }
    void kill_now();  // SIGKILL, and waits
    bool running() const;
    int end_with(int signal_number);  // sends it and waits; the exit code, -1 when a signal ended it

  private:
    pid_t pid_ = -1;
};

// veth `here` in this namespace, `there` in the holder's with addresses of 10.77.0.2/24 and fd00:77::2/64,
// checksum and segmentation offloads off at both.
bool make_veth(const std::string& here, const std::string& there, const Child& holder);
// Echo requests of 1000 bytes from the kernel's stack in `from`'s namespace; the round trips of those
// answered in time.
std::vector<std::chrono::nanoseconds> ping(const Child& from, const std::string& target, unsigned count,
                                           std::chrono::milliseconds patience = std::chrono::seconds(5));
std::string inside(const Child& holder, const std::string& command);  // prefixed by nsenter

}  // namespace longhaul::nic::lab
