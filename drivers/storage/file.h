// One file of a bundle, opened when I/O for it first comes: transfers wait for a descriptor and for the open,
// short transfers are continued, O_DIRECT is left where it does not fit. After its first failure everything
// it is asked to do is answered with that failure.
//
//   closed ──transfer──▶ wanting ──granted──▶ opening ──▶ (allocating) ──▶ open ──close / descriptor taken──▶
//   closed
//                                                 └────────────┴──────────▶ failed
//
// Owner: one reader or writer (its FileUser), on the worker's thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/wire/feedback.h"
#include "drivers/storage/core.h"

namespace longhaul::storage {

class File;

class FileUser {
  public:
    // Just opened (again): check it; a reason other than none fails the file.
    virtual wire::FailReason opened(File& file, int fd) = 0;
    // A transfer, write_back or data_sync is over; the operation is given back to the ring after this call.
    virtual void settled(File& file, Operation& operation, wire::FailReason reason) = 0;

  protected:
    ~FileUser() = default;
};

class File final : public OperationOwner, private Descriptors::Holder {
  public:
    struct Spec {
        Store* store = nullptr;      // the user keeps it
        int directory = -1;          // where the path starts: root or staging
        const char* path = nullptr;  // the user keeps it
        std::uint64_t flags = 0;     // of open; O_CREAT holds for the first open only
        std::uint64_t mode = 0;
        bool direct = false;    // O_DIRECT wanted
        int allocate_mode = 0;  // fallocate after the first open when allocate_bytes > 0
        std::uint64_t allocate_offset = 0;
        std::uint64_t allocate_bytes = 0;
    };

    File(Core& core, FileUser& user, const void* group, std::uint32_t entry, const Spec& spec)
        : core_(core), user_(user), group_(group), entry_(entry), spec_(spec) {}
    ~File();  // nothing of it in flight
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    Operation& take(Operation::Code code) { return core_.ring->take(*this, group_, code); }
    void perform(Operation& operation);  // any but open and allocate, taken above
    void fail(wire::FailReason reason);  // everything waiting settles with it; closes when its I/O is over
    void close_when_idle();

    std::uint32_t entry() const noexcept { return entry_; }
    bool direct() const noexcept { return spec_.direct; }
    bool was_opened() const noexcept { return was_opened_; }
    wire::FailReason reason() const noexcept { return reason_; }

  private:
    enum class State : std::uint8_t { closed, wanting, opening, allocating, open };

    void completed(Operation& operation, int result) override;
    void descriptor_granted() override;
    void descriptor_taken() override;

    void open_done(Operation& operation, int result);
    void reopen_without(std::uint64_t flag, Operation& operation);
    void become_open();
    void transfer_done(Operation& operation, int result);
    int flush_result(int result);
    void issue(Operation& operation);
    void settle(Operation& operation, wire::FailReason reason);
    void rest_or_close();
    void close_now();
    bool needs_bounce(const Operation& operation) const noexcept;
    void set_bounce(Operation& operation);
    int take_from_bounce(Operation& operation, int result);
    void leave_direct();
    wire::FailReason reason_of(int error_number) const noexcept;

    Core& core_;
    FileUser& user_;
    const void* group_;
    const std::uint32_t entry_;
    Spec spec_;
    State state_ = State::closed;
    int fd_ = -1;
    unsigned in_flight_ = 0;
    bool was_opened_ = false;
    bool was_reopened_ = false;
    std::uint64_t flush_failures_ = 0;  // of the store's files, at the first open
    bool close_when_idle_ = false;
    wire::FailReason reason_ = wire::FailReason::none;
    std::vector<Operation*> waiting_;
};

}  // namespace longhaul::storage
