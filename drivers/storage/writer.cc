// Writing one bundle at the target.
//
//   writing ──finish──▶ [verifying (VerifyJob) ──▶] syncing ──▶ [in order: staged ──release──▶] publishing (PublishJob) ──▶ reported
//
// Bytes go to staging as they come, in any order. finish() drops the entries that the source, the disk or the
// CRC has failed, has all the others flushed at once, and hands the bundle to the publisher; a bundle of many
// files leaves the flush to a thread, which flushes the file system once for all bundles that wait. `range` bytes go
// into the object's o-* file, which outlives the bundle whatever happens to it.
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <vector>

#include "drivers/storage/core.h"
#include "drivers/storage/entry_crc.h"
#include "drivers/storage/errors.h"
#include "drivers/storage/file.h"
#include "drivers/storage/order.h"
#include "drivers/storage/payload_map.h"
#include "drivers/storage/progress.h"
#include "drivers/storage/requests.h"

namespace longhaul::storage {

using wire::Entry;
using wire::EntryKind;
using wire::FailReason;

namespace {

std::uint64_t next_serial() noexcept {
    static std::atomic<std::uint64_t> serial{0};  // across the workers of this process
    return serial.fetch_add(1, std::memory_order_relaxed);
}

class Writer final : public BundleWriter, public FileUser {
  public:
    Writer(std::shared_ptr<Core> core, std::shared_ptr<Store> store, const wire::Manifest& manifest)
        : core_(std::move(core)),
          store_(std::move(store)),
          manifest_(std::make_shared<const wire::Manifest>(manifest)),
          map_(*manifest_),
          serial_(next_serial()),
          flushed_together_(may_flush_together(*manifest_, *store_)),
          flush_failures_(store_->flush_failures),
          targets_(manifest_->entries.size()) {}
    ~Writer() override;

    void write(std::uint64_t payload_offset, ByteView from, std::uint64_t token) override;
    void finish(const wire::Trailer& trailer, std::uint64_t token) override;
    void release() override;

  private:
    enum class State : std::uint8_t { writing, verifying, syncing, staged, publishing, reported };

    struct Target {
        std::string name;  // in staging; empty until the first byte comes
        std::unique_ptr<File> file;
        std::unique_ptr<File>
            tail;  // buffered: what O_DIRECT cannot write, in blocks that `file` never touches
        EntryCrc crc;
        std::uint64_t bytes_written = 0;
        FailReason reason = FailReason::none;
    };

    FailReason opened(File& file, int fd) override;
    void settled(File& file, Operation& operation, FailReason reason) override;

    File& file_of(std::uint32_t index);
    File& tail_of(std::uint32_t index);
    File::Spec spec_of(std::uint32_t index);
    void write_part(File& file, const PayloadMap::Piece& piece, std::uint64_t from, std::uint64_t bytes,
                    const std::uint8_t* memory, std::uint64_t request);
    void begin_write_back(File& file, std::uint64_t bytes_settled);
    void fail(std::uint32_t index, FailReason reason);
    void finish_part(std::uint64_t request);
    void judge(const wire::Trailer& trailer);
    bool in_order() const noexcept { return manifest_->publish == wire::PublishRule::in_order; }
    void verify(const wire::Trailer& trailer);
    void verified(const VerifyJob& job, const std::vector<wire::EntryVerdict>& source);
    void sync_all();
    void one_synced();
    void go_on_flushed();
    void flush();
    void flushed(const FlushJob& job);
    void stage();
    void publish();
    void published(PublishJob& job);
    void report_failure(FailReason reason);
    void report();
    std::vector<std::string> staged_files() const;
    std::vector<FailReason> reasons() const;
    std::shared_ptr<PublishJob> make_job() const;
    void discard();

    std::shared_ptr<Core> core_;
    std::shared_ptr<Store> store_;
    std::shared_ptr<const wire::Manifest> manifest_;  // shared with the publish job
    const PayloadMap map_;
    const std::uint64_t serial_;
    const bool flushed_together_;
    const std::uint64_t flush_failures_;  // of the store, before the first byte
    std::vector<Target> targets_;
    Requests requests_;
    std::shared_ptr<FlushJob> flush_;
    std::shared_ptr<PublishJob> job_;
    std::shared_ptr<VerifyJob> verify_;
    State state_ = State::writing;
    std::uint64_t finish_token_ = 0;
    std::size_t syncs_ = 0;
    bool abandoned_ = false;
    bool place_taken_ = false;
};

Writer::~Writer() {
    abandoned_ = true;
    for (Target& target : targets_) {
        if (target.file) target.file->fail(FailReason::cancelled);
        if (target.tail) target.tail->fail(FailReason::cancelled);
    }
    core_->ring->drain_group(this);
    if (verify_) {
        verify_->done = nullptr;
        verify_->cancelled.store(true, std::memory_order_relaxed);
    }
    if (flush_) {
        flush_->done = nullptr;
        flush_->cancelled.store(true, std::memory_order_relaxed);
    }
    if (job_) {
        job_->done = nullptr;
        job_->cancelled.store(true, std::memory_order_relaxed);  // what it has not published yet, it removes
    } else if (state_ != State::reported) {
        discard();
    }
}

File::Spec Writer::spec_of(std::uint32_t index) {
    const Entry& entry = manifest_->entries[index];
    Target& target = targets_[index];
    if (target.name.empty()) {
        target.name = entry.kind == EntryKind::range ? object_staging_name(entry.object)
                                                     : bundle_staging_name(*manifest_, index, serial_);
    }
    File::Spec spec;
    spec.store = store_.get();
    spec.directory = store_->staging.get();
    spec.path = target.name.c_str();
    spec.flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    spec.mode = 0600;  // nobody else's until its own mode is set
    return spec;
}

File& Writer::file_of(std::uint32_t index) {
    Target& target = targets_[index];
    if (!target.file) {
        const Entry& entry = manifest_->entries[index];
        File::Spec spec = spec_of(index);
        spec.direct = core_->config.direct && may_be_direct(entry);
        if (entry.size >= wire::kDirectBytesMin) {  // a full disk is noticed before the bytes are sent to it
            spec.allocate_mode = entry.kind == EntryKind::range ? FALLOC_FL_KEEP_SIZE : 0;
            spec.allocate_offset = file_offset_of(entry);
            spec.allocate_bytes = entry.size;
        }
        target.file = std::make_unique<File>(*core_, *this, this, index, spec);
    }
    return *target.file;
}

File& Writer::tail_of(std::uint32_t index) {
    Target& target = targets_[index];
    if (!target.tail) target.tail = std::make_unique<File>(*core_, *this, this, index, spec_of(index));
    return *target.tail;
}

FailReason Writer::opened(File& file, int fd) {
    const Entry& entry = manifest_->entries[file.entry()];
    struct stat found {};
    if (core_->disk.fstat(fd, found) != 0) return target_reason(errno);
    if (!S_ISREG(found.st_mode)) return FailReason::target_path;
    const int flags = core_->disk.get_flags(fd);
    if (flags < 0 || core_->disk.set_flags(fd, flags & ~O_NONBLOCK) != 0) return target_reason(errno);
    if (entry.kind != EntryKind::range) return FailReason::none;
    // Many bundles meet in an object's file: each may be the first, and none may shorten it.
    const auto size = static_cast<std::uint64_t>(found.st_size);
    const std::uint64_t staged = staged_bytes(entry.file_size);
    if (size < staged && core_->disk.ftruncate(fd, staged) != 0) return target_reason(errno);
    return FailReason::none;
}

void Writer::fail(std::uint32_t index, FailReason reason) {
    Target& target = targets_[index];
    if (target.reason == FailReason::none) target.reason = reason;
    if (target.file) target.file->fail(reason);
    if (target.tail) target.tail->fail(reason);
}

void Writer::write(std::uint64_t payload_offset, ByteView from, std::uint64_t token) {
    LH_ASSERT(state_ == State::writing);
    const std::uint64_t request = requests_.open(token);
    map_.for_each(payload_offset, from.size(), [&](const PayloadMap::Piece& piece) {
        Target& target = targets_[piece.entry];
        if (store_->closed) fail(piece.entry, FailReason::store_closed);
        if (target.reason != FailReason::none) return;
        const std::uint8_t* memory = from.data() + piece.buffer_offset;
        target.crc.add(piece.entry_offset, {memory, piece.bytes});  // now, while the bytes are in the cache
        const Entry& entry = manifest_->entries[piece.entry];
        std::uint64_t body = piece.bytes;
        if (core_->config.direct && may_be_direct(entry) && !store_->direct_refused) {
            const bool aligned = piece.entry_offset % wire::kDirectAlignment == 0 &&
                                 reinterpret_cast<std::uintptr_t>(memory) % wire::kDirectAlignment == 0;
            body = aligned ? piece.bytes / wire::kDirectAlignment * wire::kDirectAlignment : 0;
        }
        if (body > 0) write_part(file_of(piece.entry), piece, 0, body, memory, request);
        if (body < piece.bytes && target.reason == FailReason::none)
            write_part(tail_of(piece.entry), piece, body, piece.bytes - body, memory + body, request);
    });
    finish_part(request);
}

void Writer::write_part(File& file, const PayloadMap::Piece& piece, std::uint64_t from, std::uint64_t bytes,
                        const std::uint8_t* memory, std::uint64_t request) {
    Operation& part = file.take(Operation::Code::write);
    part.memory =
        const_cast<std::uint8_t*>(memory);  // one record serves both directions; writes only read it
    part.bytes = bytes;
    part.entry_offset = piece.entry_offset + from;
    part.offset = file_offset_of(manifest_->entries[piece.entry]) + part.entry_offset;
    part.tag = request;
    requests_.add_part(request);
    file.perform(part);
}

void Writer::settled(File& file, Operation& operation, FailReason reason) {
    if (abandoned_) return;
    if (reason != FailReason::none) {
        Target& target = targets_[file.entry()];
        if (target.reason == FailReason::none) target.reason = reason;
    }
    switch (operation.code) {
        case Operation::Code::data_sync:
            file.close_when_idle();
            one_synced();
            return;
        case Operation::Code::write:
            begin_write_back(file, operation.bytes);
            finish_part(operation.tag);
            return;
        default:
            return;
    }
}

// Small files are sent to the disk when they are whole, without waiting for it: their blocks are then
// allocated and written together, and the fdatasyncs of finish() share journal commits instead of asking for
// one each.
void Writer::begin_write_back(File& file, std::uint64_t bytes_settled) {
    Target& target = targets_[file.entry()];
    target.bytes_written += bytes_settled;
    const bool whole = target.bytes_written == manifest_->entries[file.entry()].size;
    if (whole && flushed_together_) return file.close_when_idle();
    if (!whole || file.direct() || target.reason != FailReason::none) return;
    file.perform(file.take(Operation::Code::write_back));
}

void Writer::finish_part(std::uint64_t request) {
    const auto token = requests_.finish_part(request);
    if (!token) return;
    Event event;
    event.kind = Event::Kind::write_done;
    event.token = *token;
    core_->events.push_back(std::move(event));
}

void Writer::finish(const wire::Trailer& trailer, std::uint64_t token) {
    LH_ASSERT(state_ == State::writing && requests_.open_count() == 0);
    finish_token_ = token;
    if (store_->closed) return report_failure(FailReason::store_closed);
    if (trailer.id != manifest_->id || trailer.generation != manifest_->generation ||
        trailer.verdicts.size() != manifest_->entries.size())
        return report_failure(FailReason::manifest_malformed);
    judge(trailer);
    if (wire::asks_to_verify(*manifest_)) return verify(trailer);
    sync_all();
}

void Writer::verify(const wire::Trailer& trailer) {
    state_ = State::verifying;
    verify_ = std::make_shared<VerifyJob>();
    verify_->store = store_;
    verify_->manifest = manifest_;
    verify_->serial = serial_;
    verify_->verdicts = trailer.verdicts;
    verify_->done = [this, source = trailer.verdicts](VerifyJob& job) { verified(job, source); };
    core_->verifier.start(verify_);
}

void Writer::verified(const VerifyJob& job, const std::vector<wire::EntryVerdict>& source) {
    core_->stats.bytes_verified += job.bytes_read;
    for (std::size_t i = 0; i < targets_.size(); ++i) {
        FailReason& reason = targets_[i].reason;
        if (manifest_->entries[i].kind != EntryKind::verify || reason != FailReason::none) continue;
        reason = job.verdicts[i].reason;
        const bool read = reason == FailReason::none || wire::is_of_metadata(reason);
        if (!read || job.verdicts[i].crc32c == source[i].crc32c) continue;
        reason =
            wire::compares_names(manifest_->entries[i]) ? FailReason::target_names : FailReason::integrity;
    }
    verify_.reset();
    sync_all();
}

void Writer::judge(const wire::Trailer& trailer) {
    for (std::size_t i = 0; i < targets_.size(); ++i) {
        Target& target = targets_[i];
        const Entry& entry = manifest_->entries[i];
        const wire::EntryVerdict& verdict = trailer.verdicts[i];
        if (target.reason == FailReason::none) target.reason = verdict.reason;
        if (target.reason == FailReason::none && has_payload(entry) &&
            (target.crc.bytes() != entry.size || target.crc.value() != verdict.crc32c))
            target.reason = FailReason::integrity;
    }
}

void Writer::sync_all() {
    state_ = State::syncing;
    syncs_ = 1;  // held until every fdatasync is asked for
    for (std::size_t i = 0; i < targets_.size(); ++i) {
        const auto index = static_cast<std::uint32_t>(i);
        Target& target = targets_[i];
        const EntryKind kind = manifest_->entries[i].kind;
        if (target.reason != FailReason::none) {
            fail(index, target.reason);  // closes what is open
            continue;
        }
        if (kind != EntryKind::file && !has_payload(manifest_->entries[i])) continue;
        // One descriptor flushes what both wrote; an empty file is created by being opened here.
        File& file = target.tail && !target.file ? *target.tail : file_of(index);
        if (target.tail && &file != target.tail.get()) target.tail->close_when_idle();
        if (flushed_together_ && target.bytes_written > 0) {
            file.close_when_idle();
            continue;
        }
        ++syncs_;
        file.perform(file.take(Operation::Code::data_sync));
    }
    one_synced();
}

void Writer::one_synced() {
    LH_ASSERT(syncs_ > 0);
    if (--syncs_ > 0) return;
    if (flushed_together_ && !store_->closed)
        flush();
    else
        go_on_flushed();
}

std::vector<std::string> Writer::staged_files() const {
    std::vector<std::string> names(targets_.size());
    for (std::size_t i = 0; i < targets_.size(); ++i)
        if (manifest_->entries[i].kind == EntryKind::file) names[i] = targets_[i].name;
    return names;
}

std::vector<FailReason> Writer::reasons() const {
    std::vector<FailReason> reasons(targets_.size());
    std::transform(targets_.begin(), targets_.end(), reasons.begin(),
                   [](const Target& target) { return target.reason; });
    return reasons;
}

void Writer::flush() {
    flush_ = std::make_shared<FlushJob>();
    flush_->store = store_;
    flush_->manifest = manifest_;
    flush_->staged = staged_files();
    flush_->reasons = reasons();
    flush_->flush_failures = flush_failures_;
    flush_->done = [this](FlushJob& job) { flushed(job); };
    core_->flusher.start(flush_);
}

void Writer::flushed(const FlushJob& job) {
    core_->stats.file_system_flushes += job.file_system_flushes;
    for (std::size_t i = 0; i < targets_.size(); ++i)
        targets_[i].reason = job.reasons[i];
    flush_.reset();
    go_on_flushed();
}

void Writer::go_on_flushed() {
    if (in_order() && !store_->closed)
        stage();
    else
        publish();
}

void Writer::stage() {
    state_ = State::staged;
    Event event;
    event.kind = Event::Kind::staged;
    event.token = finish_token_;
    event.store = store_->number;
    event.position = read_order(store_->disk, store_->staging.get());
    core_->events.push_back(std::move(event));
}

void Writer::release() {
    LH_ASSERT(state_ == State::staged);
    publish();
}

std::shared_ptr<PublishJob> Writer::make_job() const {
    auto job = std::make_shared<PublishJob>();
    job->store = store_;
    job->manifest = manifest_;
    job->serial = serial_;
    job->flushed_together = flushed_together_;
    job->staged = staged_files();
    job->reasons = reasons();
    return job;
}

void Writer::publish() {
    if (store_->closed) return report_failure(FailReason::store_closed);
    state_ = State::publishing;
    job_ = make_job();
    job_->done = [this](PublishJob& job) { published(job); };
    core_->publisher.start(job_);
}

void Writer::published(PublishJob& job) {
    core_->stats.files_published += job.files_published;
    core_->stats.directory_fsyncs += job.directory_fsyncs;
    core_->stats.file_system_flushes += job.file_system_flushes;
    for (std::size_t i = 0; i < targets_.size(); ++i)
        targets_[i].reason = job.reasons[i];
    const bool refused = job.out_of_order;
    const bool gone = job.store_gone;
    place_taken_ = job.place_taken;
    job_.reset();
    if (gone) return report_failure(FailReason::store_gone);
    if (!refused) return report();
    ++core_->stats.order_refusals;
    report_failure(FailReason::superseded);
}

void Writer::report() {
    state_ = State::reported;
    Event event;
    event.kind = Event::Kind::bundle_stage;
    event.token = finish_token_;
    event.status.stage = wire::Stage::durable;
    for (std::size_t i = 0; i < targets_.size(); ++i) {
        if (targets_[i].reason == FailReason::none) continue;
        ++event.status.failed_entries;
        if (event.status.failures.size() < wire::kFailuresListed)
            event.status.failures.push_back({static_cast<std::uint32_t>(i), targets_[i].reason});
    }
    event.place_taken = place_taken_;
    core_->stats.entries_failed += event.status.failed_entries;
    core_->events.push_back(event);
    event.status.stage = wire::Stage::published;
    core_->events.push_back(std::move(event));
    for (std::size_t i = 0; i < targets_.size(); ++i) {
        const Entry& entry = manifest_->entries[i];
        if (entry.kind != EntryKind::mark || targets_[i].reason != FailReason::none) continue;
        Event mark;
        mark.kind = Event::Kind::mark;
        mark.token = finish_token_;
        mark.store = store_->number;
        mark.watermark_ns = entry.mtime_ns;
        core_->events.push_back(std::move(mark));
    }
}

void Writer::report_failure(FailReason reason) {
    for (std::size_t i = 0; i < targets_.size(); ++i)
        fail(static_cast<std::uint32_t>(i), reason);
    discard();
    state_ = State::reported;
    Event event;
    event.kind = Event::Kind::bundle_stage;
    event.token = finish_token_;
    event.status.stage = wire::Stage::failed;
    event.status.reason = reason;
    event.status.failed_entries = static_cast<std::uint32_t>(targets_.size());
    core_->stats.entries_failed += targets_.size();
    core_->events.push_back(std::move(event));
}

void Writer::discard() {
    auto job = make_job();
    job->discard_only = true;
    core_->publisher.start(std::move(job));
}

}  // namespace

std::unique_ptr<BundleWriter> make_writer(std::shared_ptr<Core> core, std::shared_ptr<Store> store,
                                          const wire::Manifest& manifest) {
    return std::make_unique<Writer>(std::move(core), std::move(store), manifest);
}

}  // namespace longhaul::storage
