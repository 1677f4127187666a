// FEEDBACK: what the receiver holds, wants and has settled. Counters are cumulative, so a lost feedback packet costs
// nothing but time. Variable length, at most one symbol; lists that do not fit are continued in the next packet.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/wire/drop_reason.h"

namespace longhaul::wire {

inline constexpr unsigned kLanesMax = 64;

struct LaneReport {
    std::uint8_t lane = 0;
    std::uint64_t largest_packet_number = 0;
    std::uint32_t echo_tx_time_us = 0;  // tx_time of the packet with that number
    std::uint32_t hold_us = 0;          // receiver's time between its arrival and this feedback
    std::uint64_t packets = 0;          // authenticated packets received on this lane since the session began
    std::uint64_t bytes = 0;            // their UDP payload bytes
    std::int32_t owd_rise_us =
        0;  // one-way delay above the smallest seen on this lane, over the last interval (its minimum)
    bool operator==(const LaneReport&) const = default;
};

struct Nack {
    std::uint64_t stripe = 0;  // u48
    std::uint8_t need =
        0;  // symbols still missing to decode; kNeedUnknown: nothing of the stripe has arrived
    std::uint8_t epoch = 0;               // rises with every repeated request for this stripe
    std::array<std::uint64_t, 2> have{};  // bit i: data symbol i is here (have[0] holds symbols 0..63)
    bool operator==(const Nack&) const = default;
};
inline constexpr std::uint8_t kNeedUnknown = 255;

// How far a bundle has come at the target. Only `durable` frees the source's claim, only `published` moves W_pub.
enum class Stage : std::uint8_t {
    complete = 1,   // every byte decoded
    durable = 2,    // written, fdatasync'd, staged or renamed, directory fsync'd
    published = 3,  // visible to readers
    failed = 4,     // nothing of it is visible; the reason says why
};
const char* to_string(Stage stage) noexcept;

// Why a bundle or one of its entries did not arrive. Stable numbers: they travel and are shown by the API.
enum class FailReason : std::uint8_t {
    none = 0,
    source_vanished = 1,  // gone between walk and read
    source_changed = 2,   // size, mtime or ctime differ from the manifest
    source_io = 3,        // read failed
    source_permission = 4,
    target_no_space = 16,
    target_quota = 17,
    target_read_only = 18,
    target_permission = 19,
    target_io = 20,
    target_path = 21,        // unsafe name, symlink in the way, or not a directory: nothing was touched
    target_name = 22,        // the file system refuses this name (length, encoding)
    target_occupied = 23,    // a directory stands where a file should go, or the reverse
    staging_missing = 24,    // publish of staged ranges that are not (all) here
    integrity = 25,          // CRC32C of what was received, or stands there, differs from what was read
    target_attributes = 26,  // the file system does not keep an extended attribute or ACL
    target_link = 27,        // the file that it should be a name of is not there in this version
    target_missing = 28,     // verify: nothing of its kind stands there
    target_names = 29,       // verify: the directory has other names in it than the source's
    store_unknown = 32,
    store_closed = 33,
    manifest_malformed = 34,
    limit = 35,  // a named bound of the receiver (entries, open bundles)
    cancelled = 36,
    superseded = 37,  // a newer generation of this bundle, or a newer run of its order, exists
    store_gone = 38,  // another directory, or none, stands where the store was opened: nothing was touched
    // verify: the bytes are the source's; of what stands there, what differs first.
    other_owner = 48,
    other_mode = 49,
    other_mtime = 50,
    other_attributes = 51,
    internal = 63,
};
// Sending mode, owner, mtime and attributes makes it equal.
constexpr bool is_of_metadata(FailReason reason) noexcept {
    return reason >= FailReason::other_owner && reason <= FailReason::other_attributes;
}
const char* to_string(FailReason reason) noexcept;  // snake_case, stable
const char* explain(FailReason reason) noexcept;    // a sentence for the operator: what to change
bool is_known(FailReason reason) noexcept;          // a number of this list; anything else does not parse

struct EntryFailure {
    std::uint32_t entry = 0;
    FailReason reason = FailReason::none;
    bool operator==(const EntryFailure&) const = default;
};

struct BundleStatus {
    std::uint32_t bundle = 0;
    Stage stage = Stage::complete;
    FailReason reason = FailReason::none;  // for Stage::failed
    std::uint32_t failed_entries = 0;      // exact count; `failures` may list fewer
    std::vector<EntryFailure> failures;    // at most kFailuresListed
    bool operator==(const BundleStatus&) const = default;
};
inline constexpr std::size_t kFailuresListed = 64;

struct Feedback {
    std::uint32_t sequence = 0;
    std::uint64_t complete_below = 0;  // u48: every stripe below is decoded
    std::uint64_t stripe_limit = 0;    // u48: credit: stripes below may be sent
    std::uint32_t loss_events = 0;     // runs of lost packets seen so far, over all lanes; modulo 2^32
    // Bit i of word w: stripe decoded_from + 64 w + i is decoded although one below it is not. 0 says nothing.
    std::uint64_t decoded_from = 0;      // u48
    std::vector<std::uint64_t> decoded;  // at most kDecodedWordsMax
    std::vector<LaneReport> lanes;       // at most kLanesMax
    std::vector<Nack> nacks;             // at most kNacksMax
    std::vector<BundleStatus> bundles;   // at most kStatusesMax
    bool operator==(const Feedback&) const = default;
};
inline constexpr std::size_t kNacksMax = 48;
inline constexpr std::size_t kStatusesMax = 32;
inline constexpr std::size_t kDecodedWordsMax = 32;

// Bytes that each part takes, so that a writer can fill a packet to the brim.
inline constexpr std::size_t kFeedbackFixedBytes = 30;
inline constexpr std::size_t kLaneReportBytes = 37;
inline constexpr std::size_t kNackBytes = 24;
inline constexpr std::size_t kStatusFixedBytes = 12;
inline constexpr std::size_t kEntryFailureBytes = 5;
inline constexpr std::size_t kDecodedWordBytes = 8;

// Returns the bytes written, or 0 when `out` is too small.
std::size_t write_feedback(const Feedback& feedback, MutableByteView out) noexcept;
DropReason parse_feedback(ByteView payload, Feedback& out);  // reuses out's capacity

}  // namespace longhaul::wire
