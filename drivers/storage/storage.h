// Storage of one worker: an io_uring, POSIX trees ("stores"), readers of bundles at the source and writers of bundles
// at the target. Single-threaded, never blocks the caller on a disk: submit, then poll for events.
//
// Durability, in this order, before Stage::durable is reported: all writes done, CRC32C of every entry equal to the
// trailer's, fdatasync of every staged file, mode/owner/mtime set, rename into place (renameat2) for `file`,
// fsync of every directory touched. `range` bundles are durable when their staging file is fdatasync'd and its
// directory fsync'd; `assemble` renames. A failed fsync is never retried as success: the entry fails. A bundle of 32
// files or more gets its metadata first and is flushed by one syncfs, which other bundles that wait for it share; when that fails, every
// entry fails, and when it takes longer than a second, the next 64 bundles flush file by file.
//
// Paths are resolved beneath the store's directory descriptor only (openat2: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
// RESOLVE_NO_MAGICLINKS). Staging is <root>/.longhaul/staging (store.h): `b-*` files belong to open bundles and are removed
// when the store is opened and nobody else has it open (another worker's or process's bundles are left alone); `o-*`
// files gather ranges and live until assembled or older than `staging_age_max`; `d-*` (empty, same age) say that an object
// was assembled, so that an `assemble` offered again after a crash succeeds.
//
// A bundle is published only where the store's directory still stands under the name that it was opened by, else it fails with
// store_gone and nothing is touched: what is put into a directory that was removed or mounted over is lost.
//
// A bundle with PublishRule::in_order is flushed, then waits (Event::staged) for release(). What the store has published
// last stands in the staging file `order`, flushed before the stages are told; a bundle that does not follow it is
// refused (superseded), whoever asked. Its entries become visible in manifest order up to the first hard failure.
//
// A `verify` entry is read from the disk at both ends (O_DIRECT where it can be), on a helper's thread; the target compares
// its CRC32C with the trailer's, and touches nothing.
//
// Directory and in-place metadata is set last, deepest first. A failed entry holds back the bundle's `mark` entries: they
// fail with its reason. Set-id bits are given only together with the owner; extended attributes and POSIX ACLs as the entry
// names them, or the entry fails (attributes.h). Made on any thread; the thread that first
// submits or polls is its owner from then on, and destroys it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"
#include "dataplane/wire/manifest.h"

namespace longhaul::storage {

using StoreNumber = std::uint64_t;
enum class StoreRole : std::uint8_t { source, target };

struct StorageConfig {
    unsigned queue_depth = 256;     // io_uring entries
    unsigned files_open_max = 512;  // across all bundles of this worker
    std::uint64_t staging_age_max_s = 7 * 24 * 3600;
    bool direct =
        true;  // O_DIRECT where file system and alignment allow; the fallback is said once in the log
    std::function<void(const std::string&)>
        log;  // fallbacks, each said once; called on the caller's thread only
};

struct StorageStats {
    std::uint64_t bytes_read = 0, bytes_written = 0, direct_bytes_read = 0, direct_bytes_written = 0;
    std::uint64_t bytes_verified = 0;  // read from the disk to be compared with the other end's
    std::uint64_t files_opened = 0, files_published = 0, entries_failed = 0, fdatasyncs = 0,
                  directory_fsyncs = 0, file_system_flushes = 0;
    std::uint64_t order_refusals = 0;  // bundles told to publish out of their order; refused
    std::uint64_t operations_in_flight = 0;
};

// Completion of something submitted. Tokens are the caller's.
struct Event {
    enum class Kind : std::uint8_t {
        read_done,     // token; never fails: failed entries read as zeros, reader.trailer() tells
        write_done,    // token; never fails: the entry's failure is remembered for finish
        bundle_stage,  // token given to finish(); status is durable, then published (or failed)
        mark,          // token given to finish(); a `mark` entry was published: store, watermark_ns
        verify_read,   // token given to read_to_verify(): trailer() may be asked for
        staged,  // token given to finish(); PublishRule::in_order: flushed, invisible, waits for release();
                 // position is what the store has published last
    };
    Kind kind = Kind::read_done;
    std::uint64_t token = 0;
    wire::BundleStatus status;
    StoreNumber store = 0;
    std::int64_t watermark_ns = 0;
    wire::OrderPlace position;
    bool place_taken = false;  // bundle_stage, in order: what follows this bundle may be published
};

// Source side of one bundle. Opens files as they are needed, checks them against the manifest before and after the
// read (size, mtime, ctime), computes each entry's CRC32C in payload order.
class BundleReader {
  public:
    virtual ~BundleReader() =
        default;  // destroying it with reads in flight is allowed: their events are dropped, the
                  // destination memory is not touched after the destructor returned
    // Fills into[0, bytes) from payload [payload_offset, +bytes); gaps between entries become zeros. Reads are
    // submitted in ascending order of offset. `into` lies in the registered arena.
    virtual void read(std::uint64_t payload_offset, MutableByteView into, std::uint64_t token) = 0;
    // Once, if wire::asks_to_verify(manifest): reads from the disk what is only compared, on a helper's thread.
    virtual void read_to_verify(std::uint64_t token) = 0;
    // After every read is done, that to verify too (LH_ASSERT): verdict and CRC32C of each entry.
    virtual wire::Trailer trailer() = 0;
};

// Target side of one bundle.
class BundleWriter {
  public:
    virtual ~BundleWriter() =
        default;  // before finish's last event: aborts, removes the bundle's staging (not `o-*`);
                  // waits for writes in flight, the removal is over when the storage is idle()
    // Writes may come in any order, each byte once. `from` lies in the registered arena and stays valid until write_done.
    virtual void write(std::uint64_t payload_offset, ByteView from, std::uint64_t token) = 0;
    // After every write is done: verify, make durable, publish. Events carry `token`.
    virtual void finish(const wire::Trailer& trailer, std::uint64_t token) = 0;
    // After Event::staged, once: publish. The stages follow as after finish.
    virtual void release() = 0;
};

class Storage {
  public:
    virtual ~Storage() = default;
    // A target's directory bears its store's number, from the first time that it is opened. `marked`: it has been opened
    // before, and not_found says that this is not the directory that was (an empty mount point, or made anew).
    virtual Result<void> open_store(StoreNumber store, const std::string& directory, StoreRole role,
                                    bool marked = false) = 0;
    virtual void close_store(StoreNumber store) = 0;  // bundles in work on it fail with store_closed
    virtual bool has_store(StoreNumber store, StoreRole role) const = 0;
    // The manifest is validated (parse_manifest) by the caller. Fails with a FailReason name in the text.
    virtual Result<std::unique_ptr<BundleReader>> open_reader(StoreNumber source,
                                                              const wire::Manifest& manifest) = 0;
    virtual Result<std::unique_ptr<BundleWriter>> open_writer(
        const wire::Manifest& manifest) = 0;                // manifest.store
    virtual void submit() = 0;                              // one io_uring_submit for everything queued since
    virtual std::size_t poll(std::vector<Event>& out) = 0;  // appends; returns how many
    virtual bool idle() const = 0;                          // nothing in flight
    virtual const StorageStats& stats() const = 0;
};

// `arena` is registered with the ring (fixed buffers); I/O to memory outside it works, unregistered.
Result<std::unique_ptr<Storage>> make_storage(const StorageConfig& config, MutableByteView arena);

}  // namespace longhaul::storage
