// Names of the drop reasons: they are metric labels, so they never change.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/drop_reason.h"

namespace longhaul::wire {

const char* to_string(DropReason reason) noexcept {
    switch (reason) {
        case DropReason::none:
            return "none";
        case DropReason::frame_short:
            return "frame_short";
        case DropReason::frame_not_ours:
            return "frame_not_ours";
        case DropReason::frame_fragment:
            return "frame_fragment";
        case DropReason::frame_checksum:
            return "frame_checksum";
        case DropReason::packet_short:
            return "packet_short";
        case DropReason::packet_version:
            return "packet_version";
        case DropReason::packet_type:
            return "packet_type";
        case DropReason::packet_malformed:
            return "packet_malformed";
        case DropReason::spi_unknown:
            return "spi_unknown";
        case DropReason::replayed:
            return "replayed";
        case DropReason::tag_bad:
            return "tag_bad";
        case DropReason::lane_mismatch:
            return "lane_mismatch";
        case DropReason::symbol_duplicate:
            return "symbol_duplicate";
        case DropReason::stripe_done:
            return "stripe_done";
        case DropReason::stripe_no_credit:
            return "stripe_no_credit";
        case DropReason::stripe_conflict:
            return "stripe_conflict";
        case DropReason::parity_surplus:
            return "parity_surplus";
        case DropReason::payload_size:
            return "payload_size";
        case DropReason::bundle_unknown:
            return "bundle_unknown";
        case DropReason::feedback_malformed:
            return "feedback_malformed";
        case DropReason::ping_malformed:
            return "ping_malformed";
        case DropReason::probe_malformed:
            return "probe_malformed";
        case DropReason::no_buffer:
            return "no_buffer";
        case DropReason::handoff_full:
            return "handoff_full";
        case DropReason::count_:
            break;
    }
    return "unknown";
}

}  // namespace longhaul::wire
