// The io_uring of one worker: operations are pooled records that find their owner again when the kernel is
// done. At most `queue_depth` operations are with the kernel; the others wait in a backlog whose length is
// bounded by the bundles that the worker has open.
//
// Thread: made anywhere, then used by one thread: the first submit, reap or drain decides which (the ring is
// created disabled and enabled there, as IORING_SETUP_SINGLE_ISSUER wants). With DEFER_TASKRUN completions
// appear only when that thread enters the kernel, which reap() does whenever the kernel flags that there is
// work.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <liburing.h>
#include <linux/openat2.h>

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"

namespace longhaul::storage {

struct Operation;

class OperationOwner {
  public:
    // result: >= 0, or -errno. The owner gives the operation back to the ring or queues it again.
    virtual void completed(Operation& operation, int result) = 0;

  protected:
    ~OperationOwner() = default;
};

struct Operation {
    enum class Code : std::uint8_t { read, write, open, write_back, data_sync, allocate };
    enum class State : std::uint8_t { pooled, taken, backlog, in_flight };

    Code code = Code::read;
    State state = State::pooled;
    OperationOwner* owner = nullptr;
    const void* group = nullptr;  // what drain_group() waits for: a reader or a writer

    int fd = -1;  // the file; for `open` the directory that the path starts from
    // read, write: the whole extent; [0, done) of it is behind us
    std::uint8_t* memory = nullptr;
    std::uint64_t bytes = 0;
    std::uint64_t done = 0;
    std::uint64_t offset = 0;        // in the file, of memory[0]
    int mode = 0;                    // allocate
    const char* path = nullptr;      // open
    open_how how{};                  // open
    std::uint64_t tag = 0;           // the group's own: which request this is a part of
    std::uint64_t entry_offset = 0;  // the group's own: where in the entry memory[0] belongs

    // An aligned stand-in for memory that O_DIRECT cannot read into; holds the file from bounce_offset.
    struct Free {
        void operator()(std::uint8_t* taken) const noexcept { std::free(taken); }
    };
    std::unique_ptr<std::uint8_t, Free> bounce;
    std::uint64_t bounce_offset = 0;
    std::uint64_t bounce_bytes = 0;
};

class Ring {
  public:
    static Result<std::unique_ptr<Ring>> create(unsigned queue_depth, MutableByteView arena,
                                                const std::function<void(const std::string&)>& log);
    ~Ring();  // nothing may be in flight
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    Operation& take(OperationOwner& owner, const void* group, Operation::Code code);
    void give_back(Operation& operation);
    void queue(Operation& operation);

    void submit();
    std::size_t reap();  // completions handed to their owners
    bool idle() const noexcept { return in_flight_ == 0 && backlog_.empty(); }
    std::size_t in_flight() const noexcept { return in_flight_ + backlog_.size(); }

    // Returns when no operation of the group is with the kernel: waiting ones complete with -ECANCELED,
    // running ones are asked to stop and waited for. Owners see every completion. As long as the slowest disk
    // request: memory that the kernel may still write to cannot be given back earlier.
    void drain_group(const void* group);
    void drain_all();  // lets everything run to its end

  private:
    Ring() = default;
    void register_arena(MutableByteView arena, const std::function<void(const std::string&)>& log);
    void enable();
    void pass_to_kernel(Operation& operation);
    void fill(io_uring_sqe& sqe, Operation& operation);
    void feed_from_backlog();
    void wait_for_one();
    int fixed_index(const std::uint8_t* memory, std::uint64_t bytes) const noexcept;

    io_uring ring_{};
    bool made_ = false;
    bool enabled_ = false;
    unsigned depth_ = 0;
    unsigned in_flight_ = 0;
    unsigned cancels_in_flight_ = 0;
    MutableByteView fixed_;       // the arena when it is registered, else empty
    std::deque<Operation> pool_;  // stable addresses; grows to the most that was ever in work at once
    std::vector<Operation*> free_;
    std::deque<Operation*> backlog_;
};

}  // namespace longhaul::storage
