// An endpoint among several links between the same sites, as worker/arrivals.cc and departures.cc do it.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/endpoint.h"

namespace longhaul::sim {

void Endpoint::take_back(std::size_t plan, TimeNs now) {
    for (auto& [handle, outgoing] : outgoing_) {
        if (outgoing.plan != plan || outgoing.settled || outgoing.taken_back) continue;
        outgoing.taken_back = true;
        LH_ASSERT(open_ > 0);
        --open_;
    }
    sender_->cancel(bundle_id_of_plan(plan), local(now));
}

bool Endpoint::admit_bundle(std::uint32_t bundle, TimeNs now) {
    Incoming& incoming = incoming_[bundle];
    switch (links_->book.ask(key_of(incoming), incoming.manifest.generation, holder(bundle))) {
        case session::ArrivalBook::Verdict::wait:
            return false;
        case session::ArrivalBook::Verdict::published:
            receiver_->settle_bundle(bundle, local(now));
            return true;
        case session::ArrivalBook::Verdict::stale:
            receiver_->refuse_bundle(bundle, wire::FailReason::superseded, local(now));
            return true;
        case session::ArrivalBook::Verdict::granted:
            break;
    }
    incoming.writing = true;
    links_->plans[incoming.plan].writer = holder(bundle);
    receiver_->open_bundle(bundle);
    return true;
}

void Endpoint::stop_superseded(TimeNs now) {
    if (revocations_seen_ == links_->book.revocations()) return;
    revocations_seen_ = links_->book.revocations();
    for (auto& [bundle, incoming] : incoming_)
        if (incoming.writing && !incoming.stopped && links_->book.revoked(key_of(incoming), holder(bundle)))
            stop_writing(bundle, now);
}

void Endpoint::stop_writing(std::uint32_t bundle, TimeNs now) {
    wire::BundleStatus status;
    status.stage = wire::Stage::failed;
    status.reason = wire::FailReason::superseded;
    receiver_->set_stage(bundle, status, local(now));
    Incoming& incoming = incoming_[bundle];
    incoming.stopped = true;
    if (incoming.writes_open == 0) end_writing(bundle, false);
}

void Endpoint::end_writing(std::uint32_t bundle, bool published) {
    Incoming& incoming = incoming_[bundle];
    incoming.writing = false;
    links_->book.end(key_of(incoming), holder(bundle), published);
}

}  // namespace longhaul::sim
