// The head of a bundle (its manifest) and its trailer (the verdict on every entry, known only after the read).
// A bundle's stream is: head, payload, trailer; each section starts on a stripe of its own. The head is bytes from
// outside for the target: everything in it is validated here before a path is ever shown to the file system.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"
#include "dataplane/wire/feedback.h"

namespace longhaul::wire {

struct BundleId {  // chosen by the source's control process, unique for ever
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    auto operator<=>(const BundleId&) const = default;
};
std::string to_string(const BundleId& id);  // 32 hex digits
Result<BundleId> parse_bundle_id(std::string_view text);

// Names the staged file that the ranges of one version of one large object are gathered in. Derived by the source's
// control process from path, size, mtime, ctime and inode, so that another version never meets the same staging file.
using ObjectKey = BundleId;

enum class EntryKind : std::uint8_t {
    file = 1,   // a whole file; its bytes are payload[payload_offset, +size)
    range = 2,  // bytes [file_offset, +size) of the staged object `object`; not visible until `assemble`
    assemble =
        3,  // the staged object `object` becomes `path`; size = whole file; all its ranges are durable;
            // what no range wrote is a hole; object 0: no range was staged, all of it is a hole
    directory = 4,  // created if absent; mode, owner and mtime set
    symlink = 5,    // `target` is the link's text, taken as it is
    remove = 6,     // file or symlink, or an empty directory, disappears; already absent is success
    metadata = 7,   // mode, owner, mtime of an existing file or directory
    mark = 8,  // no file: watermark `mtime_ns` (source time); reported to the target's control when published
    link = 9,  // `path` becomes one more name of the published file `target`, if that has this size and mtime
    verify =
        10,  // bytes [file_offset, +size) of the file `path` are read at both ends and compared; none travels. With its
    // last byte, and of a directory or symlink, mode, owner, mtime, attributes and text are compared as well; of a
    // directory with size 1 also which names are in it
};

struct Entry {
    EntryKind kind = EntryKind::file;
    std::uint32_t mode = 0;  // permission bits, 0..07777
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::int64_t mtime_ns = 0;  // since the Unix epoch; for `mark` the watermark
    std::uint64_t size = 0;     // file, range: bytes in the payload; assemble: bytes of the whole object
    std::uint64_t payload_offset = 0;  // file, range
    std::uint64_t file_offset = 0;     // range, verify
    // range: bytes of the whole object, for preallocation; verify: of the whole file; assemble: bytes of it that ranges
    // bring, the rest are holes
    std::uint64_t file_size = 0;
    ObjectKey object;                      // range, assemble
    std::uint64_t attributes_digest = 0;   // verify: wire/attributes
    EntryKind compared = EntryKind::file;  // verify: what `path` is: file, directory or symlink
    std::string path;    // relative, '/'-separated raw bytes; empty for `range` is allowed at the target
    std::string target;  // symlink, and verify of one: its text; link: a path
    std::int64_t ctime_ns = 0;  // the source's change time: lets the reader notice a change with an old mtime
    std::string attributes;     // as written by wire/attributes: not of symlink, remove and mark
    bool operator==(const Entry&) const = default;
};

enum class PublishRule : std::uint8_t {
    when_durable = 0,  // consistency `object`: rename as soon as the bundle is durable
    in_order = 1,      // consistency `ordered`: stays in staging until the target's control says publish
};

// Where a bundle published in order stands. Numbers begin with 1 in every run and have no gaps; the source begins a new
// run when it cannot keep to the one before (a bundle failed, was given back, or its count is lost). Nothing of an older
// run is published once a bundle of a newer one has been.
struct OrderPlace {
    std::uint64_t run = 0;
    std::uint64_t number = 0;
    auto operator<=>(const OrderPlace&) const = default;
};
// The one rule of succession: the next of this run, or the first of a newer one.
constexpr bool follows(const OrderPlace& place, const OrderPlace& position) noexcept {
    if (place.run == position.run) return place.number == position.number + 1;
    return place.run > position.run && place.number == 1;
}

struct Manifest {
    BundleId id;
    std::uint32_t generation = 0;
    std::uint64_t store = 0;  // the target's store, by the number its control gave it
    PublishRule publish = PublishRule::when_durable;
    std::uint64_t payload_bytes = 0;
    std::vector<Entry> entries;  // file/range entries ascend in payload_offset and do not overlap
    OrderPlace place;            // in_order only
    bool operator==(const Manifest&) const = default;
};

inline constexpr std::size_t kHeadBytesMax = 4u << 20;
inline constexpr std::size_t kEntriesMax = 16384;
inline constexpr std::uint64_t kPayloadBytesMax = std::uint64_t{1} << 30;
inline constexpr std::size_t kPathBytesMax = 4095;
inline constexpr std::size_t kNameBytesMax = 255;
inline constexpr std::uint64_t kDirectAlignment =
    4096;  // payload and file offsets of entries >= kDirectBytesMin
inline constexpr std::uint64_t kDirectBytesMin = 64u << 10;

// The first bytes of every head: enough for the session to know how many stripes follow.
struct HeadPrefix {
    std::uint32_t head_bytes = 0;  // the whole head, this prefix included
    std::uint64_t payload_bytes = 0;
    BundleId id;
    std::uint32_t generation = 0;
};
inline constexpr std::size_t kHeadPrefixBytes = 40;
Result<HeadPrefix> parse_head_prefix(ByteView head);
// The generation stands at a fixed place: the first 4 bytes are magic "LHM5", whose last one is the format's version.

Result<std::vector<std::uint8_t>> write_manifest(
    const Manifest& manifest);  // refuses what parse_manifest would
Result<Manifest> parse_manifest(ByteView head);

// ok: relative, no empty, "." or ".." component, no NUL, each name <= 255 bytes, whole <= 4095, not below ".longhaul".
bool path_is_safe(std::string_view path) noexcept;

bool asks_to_verify(const Manifest& manifest) noexcept;  // has a `verify` entry
// Of a directory whose names are compared. Its path may be empty: the store's root, of which nothing else is compared.
bool compares_names(const Entry& entry) noexcept;

struct EntryVerdict {
    FailReason reason = FailReason::none;
    // Of the entry's payload bytes, of verify those read at the source; where names are compared the sum (mod 2^32) of
    // each name's; else 0.
    std::uint32_t crc32c = 0;
    bool operator==(const EntryVerdict&) const = default;
};
struct Trailer {
    BundleId id;
    std::uint32_t generation = 0;
    std::vector<EntryVerdict> verdicts;  // one per manifest entry, in order
    bool operator==(const Trailer&) const = default;
};
inline constexpr std::size_t kTrailerPrefixBytes =
    8;  // magic "LHT1", u32 total bytes: the session reads these
std::vector<std::uint8_t> write_trailer(const Trailer& trailer);
Result<Trailer> parse_trailer(ByteView bytes);
Result<std::uint32_t> parse_trailer_bytes(
    ByteView first_bytes);  // total length from the first kTrailerPrefixBytes

}  // namespace longhaul::wire
