// Bundles that leave: offers become readers, their results go to control. One may be taken back and leave by another link.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "dataplane/worker/worker.h"

namespace longhaul::worker {
namespace {

wire::BundleStatus failed(wire::FailReason reason) {
    wire::BundleStatus status;
    status.stage = wire::Stage::failed;
    status.reason = reason;
    return status;
}

}  // namespace

command::BundleEvent event_of(const wire::BundleId& id, std::uint32_t generation, std::uint8_t link,
                              const wire::BundleStatus& status) {
    return {id, generation, link, status.stage, status.reason, status.failed_entries, status.failures};
}

Result<wire::Manifest> manifest_of(const command::BundleOfferMessage& offer, ByteView head) {
    auto manifest = wire::parse_manifest(head);
    if (!manifest.ok()) return manifest;
    const auto refuse = [](std::string text) { return Error{ErrorCode::invalid_argument, std::move(text)}; };
    if (manifest.value().id != offer.id)
        return refuse("the manifest names another bundle: " + wire::to_string(manifest.value().id));
    // The target goes by the head's generation, this node by the offer's: were they two, one of them would let in what
    // the other keeps out.
    if (manifest.value().generation != offer.generation)
        return refuse("the manifest names generation " + std::to_string(manifest.value().generation) +
                      ", the offer " + std::to_string(offer.generation));
    return manifest;
}

// Offers to the sender what this session has not seen yet. Order is control's.
bool Worker::start_waiting(Link& link, TimeNs now) {
    LinkSession& session = *link.session;
    bool busy = false;
    while (!link.waiting.empty()) {
        const auto found = link.outgoing.find(link.waiting.front());
        if (found == link.outgoing.end()) {  // cancelled meanwhile
            link.waiting.pop_front();
            continue;
        }
        OutgoingBundle& bundle = found->second;
        auto reader = storage_->open_reader(bundle.offer.source_store, bundle.manifest);
        if (!reader.ok()) {
            tell(LogLine{true, "bundle " + wire::to_string(bundle.offer.id) + ": " + reader.error().text});
            tell(SourceBundle{event_of(bundle.offer.id, bundle.offer.generation, link.settings.link,
                                       failed(wire::FailReason::store_unknown))});
            link.outgoing.erase(found);
            link.waiting.pop_front();
            continue;
        }
        const auto handle = session.sender.offer(
            {bundle.offer.id, bundle.offer.generation, bundle.head, bundle.manifest.payload_bytes}, now);
        if (!handle) break;  // sender is full: later
        session.readings[*handle] = {bundle.offer.id, std::move(reader).value(), 0,
                                     wire::asks_to_verify(bundle.manifest), false};
        link.waiting.pop_front();
        busy = true;
    }
    return busy;
}

bool Worker::request_reads(Link& link, TimeNs now) {
    LinkSession& session = *link.session;
    bool busy = false;
    while (const auto read = session.sender.next_read(now)) {
        const auto reading = session.readings.find(read->bundle);
        LH_ASSERT(reading != session.readings.end());
        const Token token{link.settings.link, link.group, Token::Kind::read, session.epoch, read->block};
        ++reading->second.reads_open;
        reading->second.reader->read(read->payload_offset, {read->into, read->bytes}, token.packed());
        busy = true;
    }
    while (const auto wanted = session.sender.next_trailer_wanted()) {
        const auto reading = session.readings.find(*wanted);
        LH_ASSERT(reading != session.readings.end());
        busy = true;
        if (!reading->second.verifies) {
            session.sender.trailer(*wanted, wire::write_trailer(reading->second.reader->trailer()), now);
            continue;
        }
        const Token token{link.settings.link, link.group, Token::Kind::verify, session.epoch, *wanted};
        ++reading->second.reads_open;
        reading->second.reader->read_to_verify(token.packed());
    }
    return busy;
}

void Worker::end_verify_read(LinkSession& session, std::uint32_t bundle, TimeNs now) {
    const auto reading = session.readings.find(bundle);
    LH_ASSERT(reading != session.readings.end() && reading->second.reads_open > 0);
    session.sender.trailer(bundle, wire::write_trailer(reading->second.reader->trailer()), now);
    if (--reading->second.reads_open == 0 && reading->second.settled) session.readings.erase(reading);
}

bool Worker::collect_results(Link& link) {
    bool busy = false;
    while (const auto result = link.session->sender.next_result()) {
        settle_outgoing(link, *result);
        busy = true;
    }
    return busy;
}

void Worker::settle_outgoing(Link& link, const session::BundleResult& result) {
    const bool last =
        result.status.stage == wire::Stage::published || result.status.stage == wire::Stage::failed;
    if (last) {
        const auto reading = link.session->readings.find(result.bundle);
        LH_ASSERT(reading != link.session->readings.end());
        reading->second.settled = true;
        if (reading->second.reads_open == 0) link.session->readings.erase(reading);
    }
    const auto bundle = link.outgoing.find(result.id);
    // Taken back meanwhile: what becomes of it is told by the link that it leaves by now.
    if (bundle == link.outgoing.end() || bundle->second.offer.generation != result.generation) return;
    tell(SourceBundle{event_of(result.id, result.generation, link.settings.link, result.status)});
    if (last) link.outgoing.erase(bundle);
}

void Worker::end_read(LinkSession& session, std::uint32_t block, TimeNs now) {
    const auto reading = session.readings.find(session.sender.read_done(block, now));
    LH_ASSERT(reading != session.readings.end() && reading->second.reads_open > 0);
    if (--reading->second.reads_open == 0 && reading->second.settled) session.readings.erase(reading);
}

// It goes on under a higher generation elsewhere, here or at another worker. What a session has begun it ends as a
// cancelled bundle; the target keeps the generations apart.
void Worker::take_back(const wire::BundleId& id, std::uint32_t below_generation, TimeNs now) {
    for (Link* link : active_) {
        const auto found = link->outgoing.find(id);
        if (found == link->outgoing.end() || found->second.offer.generation >= below_generation) continue;
        const auto waiting = std::find(link->waiting.begin(), link->waiting.end(), id);
        if (waiting != link->waiting.end())
            link->waiting.erase(waiting);
        else if (link->session != nullptr)
            link->session->sender.cancel(id, now);
        link->outgoing.erase(found);
    }
}

}  // namespace longhaul::worker
