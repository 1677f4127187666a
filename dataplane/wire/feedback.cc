// FEEDBACK's codec: a fixed part with four counts, then lane reports, nacks, bundle statuses and words of decoded
// stripes in that order.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/feedback.h"

#include "dataplane/base/assert.h"
#include "dataplane/wire/packet.h"

namespace longhaul::wire {
namespace {

bool is_known(Stage stage) noexcept {
    return stage >= Stage::complete && stage <= Stage::failed;
}

bool need_is_valid(std::uint8_t need) noexcept {
    return need == kNeedUnknown || (need >= 1 && need <= kDataSymbolsMax);
}

std::size_t bytes_of(const Feedback& feedback) noexcept {
    std::size_t bytes = kFeedbackFixedBytes + feedback.lanes.size() * kLaneReportBytes +
                        feedback.nacks.size() * kNackBytes + feedback.bundles.size() * kStatusFixedBytes +
                        feedback.decoded.size() * kDecodedWordBytes;
    for (const BundleStatus& status : feedback.bundles)
        bytes += status.failures.size() * kEntryFailureBytes;
    return bytes;
}

void write_lane(const LaneReport& report, ByteWriter& writer) noexcept {
    LH_ASSERT(report.lane < kLanesMax);
    writer.u8(report.lane);
    writer.u64(report.largest_packet_number);
    writer.u32(report.echo_tx_time_us);
    writer.u32(report.hold_us);
    writer.u64(report.packets);
    writer.u64(report.bytes);
    writer.i32(report.owd_rise_us);
}

void write_nack(const Nack& nack, ByteWriter& writer) noexcept {
    LH_ASSERT(nack.stripe <= kStripeMax && need_is_valid(nack.need));
    writer.u48(nack.stripe);
    writer.u8(nack.need);
    writer.u8(nack.epoch);
    writer.u64(nack.have[0]);
    writer.u64(nack.have[1]);
}

void write_status(const BundleStatus& status, ByteWriter& writer) noexcept {
    LH_ASSERT(status.failures.size() <= kFailuresListed && status.failures.size() <= status.failed_entries);
    LH_ASSERT(is_known(status.stage) && is_known(status.reason));
    writer.u32(status.bundle);
    writer.u8(static_cast<std::uint8_t>(status.stage));
    writer.u8(static_cast<std::uint8_t>(status.reason));
    writer.u32(status.failed_entries);
    writer.u16(static_cast<std::uint16_t>(status.failures.size()));
    for (const EntryFailure& failure : status.failures) {
        LH_ASSERT(is_known(failure.reason));
        writer.u32(failure.entry);
        writer.u8(static_cast<std::uint8_t>(failure.reason));
    }
}

bool read_lane(ByteReader& reader, LaneReport& report) noexcept {
    report.lane = reader.u8();
    report.largest_packet_number = reader.u64();
    report.echo_tx_time_us = reader.u32();
    report.hold_us = reader.u32();
    report.packets = reader.u64();
    report.bytes = reader.u64();
    report.owd_rise_us = reader.i32();
    return reader.ok() && report.lane < kLanesMax;
}

bool read_nack(ByteReader& reader, Nack& nack) noexcept {
    nack.stripe = reader.u48();
    nack.need = reader.u8();
    nack.epoch = reader.u8();
    nack.have[0] = reader.u64();
    nack.have[1] = reader.u64();
    return reader.ok() && need_is_valid(nack.need);
}

bool read_status(ByteReader& reader, BundleStatus& status) {
    status.bundle = reader.u32();
    status.stage = static_cast<Stage>(reader.u8());
    status.reason = static_cast<FailReason>(reader.u8());
    status.failed_entries = reader.u32();
    const std::size_t listed = reader.u16();
    if (!reader.ok() || !is_known(status.stage) || !is_known(status.reason)) return false;
    if (listed > kFailuresListed || listed > status.failed_entries) return false;
    if (listed * kEntryFailureBytes > reader.remaining()) return false;
    status.failures.resize(listed);
    for (EntryFailure& failure : status.failures) {
        failure.entry = reader.u32();
        failure.reason = static_cast<FailReason>(reader.u8());
        if (!is_known(failure.reason)) return false;
    }
    return reader.ok();
}

}  // namespace

bool is_known(FailReason reason) noexcept {
    const auto number = static_cast<unsigned>(reason);
    return number <= 4 || (number >= 16 && number <= 29) || (number >= 32 && number <= 38) ||
           is_of_metadata(reason) || number == 63;
}

std::size_t write_feedback(const Feedback& feedback, MutableByteView out) noexcept {
    LH_ASSERT(feedback.lanes.size() <= kLanesMax && feedback.nacks.size() <= kNacksMax);
    LH_ASSERT(feedback.bundles.size() <= kStatusesMax);
    LH_ASSERT(feedback.complete_below <= kStripeMax && feedback.stripe_limit <= kStripeMax);
    LH_ASSERT(feedback.decoded_from <= kStripeMax && feedback.decoded.size() <= kDecodedWordsMax);
    if (bytes_of(feedback) > out.size()) return 0;
    ByteWriter writer(out);
    writer.u32(feedback.sequence);
    writer.u48(feedback.complete_below);
    writer.u48(feedback.stripe_limit);
    writer.u8(static_cast<std::uint8_t>(feedback.lanes.size()));
    writer.u8(static_cast<std::uint8_t>(feedback.nacks.size()));
    writer.u8(static_cast<std::uint8_t>(feedback.bundles.size()));
    writer.u8(static_cast<std::uint8_t>(feedback.decoded.size()));
    writer.u32(feedback.loss_events);
    writer.u48(feedback.decoded_from);
    for (const LaneReport& report : feedback.lanes)
        write_lane(report, writer);
    for (const Nack& nack : feedback.nacks)
        write_nack(nack, writer);
    for (const BundleStatus& status : feedback.bundles)
        write_status(status, writer);
    for (const std::uint64_t word : feedback.decoded)
        writer.u64(word);
    LH_ASSERT(writer.ok() && writer.written() == bytes_of(feedback));
    return writer.written();
}

DropReason parse_feedback(ByteView payload, Feedback& out) {
    ByteReader reader(payload);
    out.sequence = reader.u32();
    out.complete_below = reader.u48();
    out.stripe_limit = reader.u48();
    const std::size_t lanes = reader.u8();
    const std::size_t nacks = reader.u8();
    const std::size_t bundles = reader.u8();
    const std::size_t words = reader.u8();
    out.loss_events = reader.u32();
    out.decoded_from = reader.u48();
    if (!reader.ok()) return DropReason::feedback_malformed;
    if (lanes > kLanesMax || nacks > kNacksMax || bundles > kStatusesMax || words > kDecodedWordsMax)
        return DropReason::feedback_malformed;

    out.lanes.resize(lanes);
    for (LaneReport& report : out.lanes) {
        if (!read_lane(reader, report)) return DropReason::feedback_malformed;
    }
    out.nacks.resize(nacks);
    for (Nack& nack : out.nacks) {
        if (!read_nack(reader, nack)) return DropReason::feedback_malformed;
    }
    out.bundles.resize(bundles);
    for (BundleStatus& status : out.bundles) {
        if (!read_status(reader, status)) return DropReason::feedback_malformed;
    }
    if (words * kDecodedWordBytes != reader.remaining()) return DropReason::feedback_malformed;
    out.decoded.resize(words);
    for (std::uint64_t& word : out.decoded)
        word = reader.u64();
    return reader.ok() ? DropReason::none : DropReason::feedback_malformed;
}

}  // namespace longhaul::wire
