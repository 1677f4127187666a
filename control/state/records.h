// What control remembers: one plain struct per table row, shared by capture, dataset and publish.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "control/core.h"
#include "dataplane/wire/attributes.h"
#include "dataplane/wire/manifest.h"

namespace longhaul::control {

enum class ObjectKind : std::uint8_t { file = 1, directory = 2, symlink = 3 };

// Of a row whose object has none at the target, while those at the source have to be read again: they did not travel when it was
// written, or it is a directory that was looked at so shortly after it changed that one more change may look the same.
inline constexpr std::uint64_t kAttributesUnknown = ~std::uint64_t{0};
// Of such a directory that has some: they are sent once more, whatever they are.
inline constexpr std::uint64_t kAttributesInDoubt = kAttributesUnknown - 1;
// Of a file whose mode, owner, mtime or attributes at the target are not those of the row: they are sent once more.
inline constexpr std::uint64_t kMetadataLost = kAttributesUnknown - 2;
static_assert(kMetadataLost >= wire::kAttributesDigestsEnd);
inline bool attributes_known(std::uint64_t digest) {
    return digest < wire::kAttributesDigestsEnd;
}

// No file system stores this mtime, so a directory or symlink recorded with it always differs from the one at the source.
inline constexpr std::int64_t kMtimeUnsettled = std::numeric_limits<std::int64_t>::min();

// What tells one version of an object from another without reading it. For directories only mode, owner,
// mtime and attributes count; size, ctime and inode are recorded but mean nothing.
struct Fingerprint {
    std::uint64_t size = 0;
    std::int64_t mtime_ns = 0;
    std::int64_t ctime_ns = 0;
    std::uint64_t inode = 0;
    std::uint32_t mode = 0;  // permission bits
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    ObjectKind kind = ObjectKind::file;
    std::uint64_t attributes = 0;  // digest of the extended attributes and ACLs; 0: none
    // Names the inode's life: its number comes back, both together do not. 0: the file system does not tell, or the target
    // may hold another version than this row says.
    std::int64_t birth_ns = 0;
    std::uint32_t names = 0;  // hard links of a file; 0: not known
    bool operator==(const Fingerprint&) const = default;
};

// An object that has been offered to the target at least once. `published` false: it may or may not be there.
struct ObjectRecord {
    Fingerprint print;  // as published; meaningless while not published
    std::string link;   // text of a symlink
    bool published = false;
};

struct DatasetProgress {
    std::uint64_t target_store = 0;  // chosen by the target's control
    StageTimes watermarks;
    std::uint32_t sweeps = 0;                          // number of the last sweep begun; never reused
    std::uint64_t objects_total = 0, bytes_total = 0;  // of the last complete sweep
    std::uint64_t root_device = 0, root_inode = 0;     // 0, 0: not seen yet
    std::uint64_t order_run = 1, order_number = 0;     // wire::OrderPlace: of the last bundle
};

struct DatasetRecord : DatasetProgress {
    std::int64_t id = 0;  // also the number of the source store
    DatasetSpec spec;
    WallNs created = 0;
};

struct TargetRecord {
    std::uint64_t store = 0;    // random, below 2^63
    std::string site, dataset;  // the source's site, and the name there
    std::string directory;      // canonical
    double rpo_target_s = 0, rescan_s = 0;
    WallNs accepted = 0;
    std::optional<WallNs> w_pub;
    bool marked = false;  // its directory has been opened, and bears its number
};

struct ReleaseRecord {  // a replica whose dataset was removed here; its site has to be told
    std::uint64_t store = 0;
    std::string site, dataset;
};

// What an entry of a bundle in flight was made of, beyond what the manifest says of it.
struct EntryNote {
    std::uint64_t inode = 0;
    std::uint32_t first_sweep = 0;  // the sweep that first saw this change
    bool racy = false;  // changed so shortly before it was looked at that a later change may look the same
    ObjectKind kind = ObjectKind::file;
    std::uint8_t action = 0;  // dataset/pending: Action
    std::int64_t birth_ns = 0;
    std::uint32_t names = 0;
};

struct BundleRecord {
    wire::BundleId id;
    std::int64_t dataset = 0;
    std::uint8_t link = 0;
    std::uint32_t generation = 0;
    WallNs offered_at = 0;
    std::vector<std::uint8_t> head;
    std::vector<EntryNote> notes;  // one per entry of the head's manifest
};

// The same bytes as far as anybody can tell who does not read them: written to since, a file has another mtime.
inline bool same_file(const Fingerprint& a, const Fingerprint& b) {
    return a.birth_ns != 0 && a.birth_ns == b.birth_ns && a.inode == b.inode && a.size == b.size &&
           a.mtime_ns == b.mtime_ns && a.kind == ObjectKind::file && b.kind == ObjectKind::file;
}

struct PublishedObject {
    std::string path;
    Fingerprint print;
    std::string link;  // text of a symlink
    std::uint64_t bytes() const { return print.kind == ObjectKind::file ? print.size : 0; }
};

// The last comparison of both ends of a dataset.
struct VerificationRecord {
    WallNs started = 0, ended = 0;  // 0: never; under way
    std::string next_key;           // what has not been compared begins here
    std::uint64_t next_offset = 0;
    VerifyCounts counts;
};

struct RangeRecord {  // bytes of a large object that are durable at the target
    std::uint64_t offset = 0, length = 0;
    bool hole = false;  // of the source's file: durable as it is
};

}  // namespace longhaul::control
