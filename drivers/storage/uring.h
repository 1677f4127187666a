// Carries a worker's disk requests out with io_uring.
//
// Thread: made anywhere, then used by one thread: the first submit, reap or drain decides which (the ring is
// created disabled and enabled there, as IORING_SETUP_SINGLE_ISSUER wants). With DEFER_TASKRUN completions
// appear only when that thread enters the kernel, which reap() does whenever the kernel flags that there is
// work.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <liburing.h>

#include <functional>
#include <memory>
#include <string>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"
#include "drivers/storage/ring.h"

namespace longhaul::storage {

class Uring final : public Ring {
  public:
    static Result<std::unique_ptr<Ring>> create(unsigned queue_depth, MutableByteView arena,
                                                const std::function<void(const std::string&)>& log);
    ~Uring() override;

    void submit() override;
    std::size_t reap() override;

  private:
    explicit Uring(unsigned queue_depth) : Ring(queue_depth) {}
    void register_arena(MutableByteView arena, const std::function<void(const std::string&)>& log);
    void enable();
    void start(Operation& operation) override;
    bool ask_to_stop(Operation& operation) override;
    void wait_for_one() override;
    bool has_more_to_reap() const override { return cancels_in_flight_ > 0; }
    void fill(io_uring_sqe& sqe, Operation& operation);
    int fixed_index(const std::uint8_t* memory, std::uint64_t bytes) const noexcept;

    io_uring ring_{};
    bool made_ = false;
    bool enabled_ = false;
    unsigned cancels_in_flight_ = 0;
    MutableByteView fixed_;  // the arena when it is registered, else empty
};

}  // namespace longhaul::storage
