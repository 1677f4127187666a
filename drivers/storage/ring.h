// The disk requests of one worker: operations are pooled records that find their owner again when the kernel is
// done. At most `queue_depth` operations are with the kernel; the others wait in a backlog whose length is
// bounded by the bundles that the worker has open. Who carries them out derives from it: io_uring (uring.h), in
// tests/sim a disk in memory.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <vector>

#include "dataplane/base/assert.h"

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

    // read, write: what is still to be moved, at most what one call can say that it moved.
    struct Transfer {
        std::uint8_t* memory;
        std::uint64_t offset;
        std::uint64_t bytes;
    };
    Transfer transfer() const noexcept;
};

class Ring {
  public:
    explicit Ring(unsigned queue_depth) : depth_(queue_depth) {}
    virtual ~Ring() = default;  // nothing may be in flight
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    Operation& take(OperationOwner& owner, const void* group, Operation::Code code);
    void give_back(Operation& operation);
    void queue(Operation& operation);

    virtual void submit() = 0;
    virtual std::size_t reap() = 0;  // completions handed to their owners
    bool idle() const noexcept { return in_flight_ == 0 && backlog_.empty(); }
    std::size_t in_flight() const noexcept { return in_flight_ + backlog_.size(); }

    // Returns when no operation of the group is with the kernel: waiting ones complete with -ECANCELED,
    // running ones are asked to stop and waited for. Owners see every completion. As long as the slowest disk
    // request: memory that the kernel may still write to cannot be given back earlier.
    void drain_group(const void* group);
    void drain_all();  // lets everything run to its end

  protected:
    virtual void start(Operation& operation) = 0;            // carried out from the next submit on
    virtual bool ask_to_stop(Operation& operation) = 0;      // a wish; false: no use to ask for more
    virtual void wait_for_one() = 0;                         // submits, and reaps at least one
    virtual bool has_more_to_reap() const { return false; }  // what is not an operation
    // For reap(): the operation is over.
    void hand_back(Operation& operation, int result);

    const unsigned depth_;
    unsigned in_flight_ = 0;

  private:
    void pass_on(Operation& operation);
    void feed_from_backlog();

    std::deque<Operation> pool_;  // stable addresses; grows to the most that was ever in work at once
    std::vector<Operation*> free_;
    std::deque<Operation*> backlog_;
};

}  // namespace longhaul::storage
