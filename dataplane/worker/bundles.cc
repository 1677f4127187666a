// Bundles between sessions and storage: offers become readers, heads become writers, finished writes become stages.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "dataplane/worker/worker.h"

namespace longhaul::worker {
namespace {

wire::BundleStatus failed(std::uint32_t bundle, wire::FailReason reason) {
    wire::BundleStatus status;
    status.bundle = bundle;
    status.stage = wire::Stage::failed;
    status.reason = reason;
    return status;
}

command::BundleEvent event_of(const wire::BundleId& id, std::uint32_t generation, std::uint8_t link,
                              const wire::BundleStatus& status) {
    return {id, generation, link, status.stage, status.reason, status.failed_entries, status.failures};
}

}  // namespace

// ---- source side ----------------------------------------------------------------------------------------------------

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
                                       failed(0, wire::FailReason::store_unknown))});
            link.outgoing.erase(found);
            link.waiting.pop_front();
            continue;
        }
        const auto handle = session.sender.offer(
            {bundle.offer.id, bundle.offer.generation, bundle.head, bundle.manifest.payload_bytes}, now);
        if (!handle) break;  // sender is full: later
        session.readings[*handle] = {bundle.offer.id, std::move(reader).value()};
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
        const Token token{link.settings.link, Token::Kind::read, session.epoch, read->block};
        reading->second.reader->read(read->payload_offset, {read->into, read->bytes}, token.packed());
        busy = true;
    }
    while (const auto wanted = session.sender.next_trailer_wanted()) {
        const auto reading = session.readings.find(*wanted);
        LH_ASSERT(reading != session.readings.end());
        session.sender.trailer(*wanted, wire::write_trailer(reading->second.reader->trailer()), now);
        busy = true;
    }
    return busy;
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
    tell(SourceBundle{event_of(result.id, result.generation, link.settings.link, result.status)});
    if (result.status.stage != wire::Stage::published && result.status.stage != wire::Stage::failed) return;
    link.session->readings.erase(result.bundle);
    link.outgoing.erase(result.id);
}

// ---- target side ----------------------------------------------------------------------------------------------------

bool Worker::take_heads(Link& link, TimeNs now) {
    bool busy = false;
    while (const auto head = link.session->receiver.next_head()) {
        take_head(link, *head, now);
        busy = true;
    }
    return busy;
}

void Worker::take_head(Link& link, const session::BundleHead& head, TimeNs now) {
    LinkSession& session = *link.session;
    auto manifest = wire::parse_manifest(head.head);
    if (!manifest.ok()) {
        tell(LogLine{true, "link " + link.settings.name + ": manifest refused: " + manifest.error().text});
        session.receiver.refuse_bundle(head.bundle, wire::FailReason::manifest_malformed, now);
        return;
    }
    const wire::Manifest& content = manifest.value();
    wire::FailReason refusal = wire::FailReason::none;
    if (!storage_->has_store(content.store, storage::StoreRole::target))
        refusal = wire::FailReason::store_unknown;
    if (refusal == wire::FailReason::none) {
        auto writer = storage_->open_writer(content);
        if (writer.ok()) {
            LinkSession::Writing writing{content.id, content.generation, std::move(writer).value(), {}};
            writing.order = {content.store, content.id, content.generation, link.settings.link, {},
                             content.place, {}};
            session.writings[head.bundle] = std::move(writing);
            session.receiver.open_bundle(head.bundle);
            return;
        }
        tell(LogLine{true, "bundle " + wire::to_string(content.id) + ": " + writer.error().text});
        refusal = wire::FailReason::target_io;
    }
    session.receiver.refuse_bundle(head.bundle, refusal, now);
    tell(TargetBundle{
        event_of(content.id, content.generation, link.settings.link, failed(head.bundle, refusal))});
}

bool Worker::request_writes(Link& link, TimeNs now) {
    LinkSession& session = *link.session;
    bool busy = false;
    while (const auto write = session.receiver.next_write()) {
        const auto writing = session.writings.find(write->bundle);
        LH_ASSERT(writing != session.writings.end());
        const Token token{link.settings.link, Token::Kind::write, session.epoch, write->block};
        writing->second.writer->write(write->payload_offset, {write->from, write->bytes}, token.packed());
        busy = true;
    }
    while (auto last = session.receiver.next_trailer()) {
        busy = true;
        const auto writing = session.writings.find(last->bundle);
        LH_ASSERT(writing != session.writings.end());
        const auto trailer = wire::parse_trailer(last->trailer);
        if (!trailer.ok() || trailer.value().id != writing->second.id) {
            tell(LogLine{true,
                         "bundle " + wire::to_string(writing->second.id) + ": trailer refused: " +
                             (trailer.ok() ? std::string("it names another bundle") : trailer.error().text)});
            session.writings.erase(writing);
            session.receiver.set_stage(last->bundle,
                                       failed(last->bundle, wire::FailReason::manifest_malformed), now);
            continue;
        }
        const Token token{link.settings.link, Token::Kind::finish, session.epoch, last->bundle};
        writing->second.writer->finish(trailer.value(), token.packed());
    }
    return busy;
}

// ---- completions ----------------------------------------------------------------------------------------------------

void Worker::on_storage_event(const storage::Event& event, TimeNs now) {
    const Token token = Token::unpack(event.token);
    Link* link = find_link(token.link);
    if (link == nullptr || link->session == nullptr || link->session->epoch != token.epoch) return;
    switch (event.kind) {
        case storage::Event::Kind::read_done:
            link->session->sender.read_done(token.value, now);
            break;
        case storage::Event::Kind::write_done:
            link->session->receiver.write_done(token.value, now);
            break;
        case storage::Event::Kind::bundle_stage:
            on_finish(*link, token.value, event, now);
            break;
        case storage::Event::Kind::mark:
            tell(Mark{event.store, event.watermark_ns});
            break;
        case storage::Event::Kind::staged:
            on_staged(*link, token.value, event);
            break;
    }
}

void Worker::on_finish(Link& link, std::uint32_t bundle, const storage::Event& event, TimeNs now) {
    LinkSession& session = *link.session;
    const auto writing = session.writings.find(bundle);
    if (writing == session.writings.end()) return;
    wire::BundleStatus status = event.status;
    status.bundle = bundle;
    tell(TargetBundle{event_of(writing->second.id, writing->second.generation, link.settings.link, status)});
    const bool last = status.stage == wire::Stage::published || status.stage == wire::Stage::failed;
    session.receiver.set_stage(bundle, status, now);
    if (!last) return;
    if (event.place_taken) writing->second.order.position = writing->second.order.place;
    const bool refused = status.stage == wire::Stage::failed && status.reason == wire::FailReason::superseded;
    tell_order(writing->second, event.place_taken ? command::OrderState::published
                                : refused         ? command::OrderState::refused
                                                  : command::OrderState::failed);
    session.writings.erase(writing);
}

void Worker::on_staged(Link& link, std::uint32_t bundle, const storage::Event& event) {
    const auto writing = link.session->writings.find(bundle);
    if (writing == link.session->writings.end()) return;
    writing->second.staged = true;
    writing->second.order.position = event.position;
    tell_order(writing->second, command::OrderState::staged);
}

void Worker::tell_order(LinkSession::Writing& writing, command::OrderState state) {
    if (writing.order.place == wire::OrderPlace{}) return;
    writing.order.state = state;
    tell(Ordered{writing.order});
}

}  // namespace longhaul::worker
