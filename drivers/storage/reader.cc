// Reading one bundle at the source: requests are cut at entry boundaries, entries are checked against the
// manifest when they are opened and again after their last byte, and an entry that fails becomes zeros and a
// reason while the others go on.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "drivers/storage/core.h"
#include "drivers/storage/entry_crc.h"
#include "drivers/storage/errors.h"
#include "drivers/storage/file.h"
#include "drivers/storage/payload_map.h"
#include "drivers/storage/requests.h"
#include "drivers/storage/same_version.h"

namespace longhaul::storage {

using wire::Entry;
using wire::EntryKind;
using wire::FailReason;

namespace {

class Reader final : public BundleReader, public FileUser {
  public:
    Reader(std::shared_ptr<Core> core, std::shared_ptr<Store> store, const wire::Manifest& manifest)
        : core_(std::move(core)),
          store_(std::move(store)),
          manifest_(std::make_shared<const wire::Manifest>(manifest)),
          map_(*manifest_),
          sources_(manifest_->entries.size()) {}
    ~Reader() override;

    void read(std::uint64_t payload_offset, MutableByteView into, std::uint64_t token) override;
    void read_to_verify(std::uint64_t token) override;
    wire::Trailer trailer() override;

  private:
    // An entry with payload, from its first byte to its last.
    struct Source {
        std::unique_ptr<File> file;  // made with the first read; closed after the last byte
        EntryCrc crc;
        std::uint64_t inode = 0;  // of the first open: a file swapped in later is another file
        FailReason reason = FailReason::none;
        bool checked = false;  // compared after the last byte
    };

    FailReason opened(File& file, int fd) override;
    void settled(File& file, Operation& operation, FailReason reason) override;
    File& file_of(std::uint32_t index);
    void finish_part(std::uint64_t request);

    std::shared_ptr<Core> core_;
    std::shared_ptr<Store> store_;
    const std::shared_ptr<const wire::Manifest> manifest_;  // shared with the verify job
    const PayloadMap map_;
    std::vector<Source> sources_;
    Requests requests_;
    std::shared_ptr<VerifyJob> verify_;
    std::vector<wire::EntryVerdict> verified_;  // empty: nothing was
    bool abandoned_ = false;
};

Reader::~Reader() {
    abandoned_ = true;
    for (Source& source : sources_)
        if (source.file) source.file->fail(FailReason::cancelled);
    core_->ring->drain_group(this);
    if (!verify_) return;
    verify_->done = nullptr;
    verify_->cancelled.store(true, std::memory_order_relaxed);
}

File& Reader::file_of(std::uint32_t index) {
    Source& source = sources_[index];
    if (!source.file) {
        const Entry& entry = manifest_->entries[index];
        File::Spec spec;
        spec.store = store_.get();
        spec.directory = store_->root.get();
        spec.path = entry.path.c_str();
        spec.flags = O_RDONLY | O_NOATIME | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
                     O_CLOEXEC;  // NONBLOCK: it may have become a FIFO
        spec.direct = core_->config.direct && may_be_direct(entry);
        source.file = std::make_unique<File>(*core_, *this, this, index, spec);
    }
    return *source.file;
}

FailReason Reader::opened(File& file, int fd) {
    Source& source = sources_[file.entry()];
    struct stat found {};
    if (core_->disk.fstat(fd, found) != 0) return source_reason(errno);
    if (source.inode != 0 && source.inode != found.st_ino) return FailReason::source_changed;
    source.inode = found.st_ino;
    if (const FailReason reason = compare_version(core_->disk, fd, manifest_->entries[file.entry()]);
        reason != FailReason::none)
        return reason;
    const int flags = core_->disk.get_flags(fd);
    if (flags < 0 || core_->disk.set_flags(fd, flags & ~O_NONBLOCK) != 0) return source_reason(errno);
    return FailReason::none;
}

void Reader::read(std::uint64_t payload_offset, MutableByteView into, std::uint64_t token) {
    const std::uint64_t request = requests_.open(token);
    std::uint64_t filled = 0;  // bytes of `into` that are somebody's: entry or zeros
    map_.for_each(payload_offset, into.size(), [&](const PayloadMap::Piece& piece) {
        std::memset(into.data() + filled, 0, piece.buffer_offset - filled);
        filled = piece.buffer_offset + piece.bytes;
        std::uint8_t* memory = into.data() + piece.buffer_offset;
        Source& source = sources_[piece.entry];
        if (store_->closed && source.reason == FailReason::none) source.reason = FailReason::store_closed;
        if (source.reason != FailReason::none) {
            std::memset(memory, 0, piece.bytes);
            return;
        }
        const Entry& entry = manifest_->entries[piece.entry];
        File& file = file_of(piece.entry);
        Operation& part = file.take(Operation::Code::read);
        part.memory = memory;
        part.bytes = piece.bytes;
        part.offset = file_offset_of(entry) + piece.entry_offset;
        part.entry_offset = piece.entry_offset;
        part.tag = request;
        requests_.add_part(request);
        file.perform(part);
    });
    std::memset(into.data() + filled, 0, into.size() - filled);
    finish_part(request);  // the request itself counts as a part until here
}

void Reader::settled(File& file, Operation& operation, FailReason reason) {
    Source& source = sources_[file.entry()];
    const Entry& entry = manifest_->entries[file.entry()];
    if (source.reason == FailReason::none && reason == FailReason::none) {
        source.crc.add(operation.entry_offset, {operation.memory, operation.bytes});
        if (source.crc.bytes() == entry.size && !source.checked) {
            source.checked = true;
            source.reason = compare_version(core_->disk, operation.fd, entry);
            if (source.reason != FailReason::none) ++core_->stats.entries_failed;
            file.close_when_idle();
        }
    } else if (source.reason == FailReason::none) {
        source.reason = reason;
        ++core_->stats.entries_failed;
    }
    // What was read of an entry that failed must not travel as if it were its content.
    if (source.reason != FailReason::none && !abandoned_) std::memset(operation.memory, 0, operation.bytes);
    finish_part(operation.tag);
}

void Reader::finish_part(std::uint64_t request) {
    const auto token = requests_.finish_part(request);
    if (!token || abandoned_) return;
    Event event;
    event.kind = Event::Kind::read_done;
    event.token = *token;
    core_->events.push_back(std::move(event));
}

void Reader::read_to_verify(std::uint64_t token) {
    LH_ASSERT(!verify_ && verified_.empty());
    verify_ = std::make_shared<VerifyJob>();
    verify_->store = store_;
    verify_->manifest = manifest_;
    verify_->verdicts.resize(manifest_->entries.size());
    verify_->done = [this, token](VerifyJob& job) {
        core_->stats.bytes_verified += job.bytes_read;
        verified_ = std::move(job.verdicts);
        verify_.reset();
        Event event;
        event.kind = Event::Kind::verify_read;
        event.token = token;
        core_->events.push_back(std::move(event));
    };
    core_->verifier.start(verify_);
}

wire::Trailer Reader::trailer() {
    LH_ASSERT(requests_.open_count() == 0 && !verify_);
    wire::Trailer trailer;
    trailer.id = manifest_->id;
    trailer.generation = manifest_->generation;
    trailer.verdicts.resize(manifest_->entries.size());
    for (const std::uint32_t index : map_.entries()) {
        wire::EntryVerdict& verdict = trailer.verdicts[index];
        const Source& source = sources_[index];
        verdict.reason = source.reason;
        if (verdict.reason == FailReason::none && !source.checked)
            verdict.reason = FailReason::internal;  // never read in full
        if (verdict.reason == FailReason::none) verdict.crc32c = source.crc.value();
    }
    for (std::size_t i = 0; i < trailer.verdicts.size(); ++i) {
        if (manifest_->entries[i].kind != EntryKind::verify) continue;
        trailer.verdicts[i] = verified_.empty() ? wire::EntryVerdict{FailReason::internal, 0} : verified_[i];
    }
    return trailer;
}

}  // namespace

std::unique_ptr<BundleReader> make_reader(std::shared_ptr<Core> core, std::shared_ptr<Store> store,
                                          const wire::Manifest& manifest) {
    return std::make_unique<Reader>(std::move(core), std::move(store), manifest);
}

}  // namespace longhaul::storage
