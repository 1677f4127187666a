// Bundles that come: heads become writers, one a bundle whatever links it comes by; finished writes become stages.
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

}  // namespace

bool Worker::take_heads(Link& link, TimeNs now) {
    LinkSession& session = *link.session;
    bool busy = false;
    while (const auto head = session.receiver.next_head()) {
        take_head(link, *head, now);
        busy = true;
    }
    const std::size_t before = session.waiting_heads.size();
    std::erase_if(session.waiting_heads, [&](const LinkSession::WaitingHead& head) {
        return admit_bundle(link, head.bundle, head.manifest, now);
    });
    return busy || session.waiting_heads.size() < before;
}

void Worker::take_head(Link& link, const session::BundleHead& head, TimeNs now) {
    LinkSession& session = *link.session;
    auto manifest = wire::parse_manifest(head.head);
    if (!manifest.ok()) {
        tell(LogLine{true, "link " + link.settings.name + ": manifest refused: " + manifest.error().text});
        session.receiver.refuse_bundle(head.bundle, wire::FailReason::manifest_malformed, now);
        return;
    }
    if (!storage_->has_store(manifest.value().store, storage::StoreRole::target)) {
        session.receiver.refuse_bundle(head.bundle, wire::FailReason::store_unknown, now);
        tell(TargetBundle{event_of(manifest.value().id, manifest.value().generation, link.settings.link,
                                   failed(head.bundle, wire::FailReason::store_unknown))});
        return;
    }
    if (!admit_bundle(link, head.bundle, manifest.value(), now))
        session.waiting_heads.push_back({head.bundle, std::move(manifest).value()});
}

// False: another writer of this bundle has to end first; its stripes wait inside the credit meanwhile.
bool Worker::admit_bundle(Link& link, std::uint32_t bundle, const wire::Manifest& manifest, TimeNs now) {
    LinkSession& session = *link.session;
    const session::ArrivalBook::Key key{manifest.store, manifest.id};
    switch (config_.arrivals->ask(key, manifest.generation, session.holder(bundle))) {
        case session::ArrivalBook::Verdict::wait:
            return false;
        case session::ArrivalBook::Verdict::published:
            session.receiver.settle_bundle(bundle, now);
            return true;
        case session::ArrivalBook::Verdict::stale:
            session.receiver.refuse_bundle(bundle, wire::FailReason::superseded, now);
            return true;
        case session::ArrivalBook::Verdict::granted:
            break;
    }
    auto writer = storage_->open_writer(manifest);
    if (writer.ok()) {
        LinkSession::Writing writing{key, manifest.id, manifest.generation, std::move(writer).value()};
        writing.order.store = manifest.store;
        writing.order.id = manifest.id;
        writing.order.generation = manifest.generation;
        writing.order.link = link.settings.link;
        writing.order.place = manifest.place;
        session.writings[bundle] = std::move(writing);
        session.receiver.open_bundle(bundle);
        return true;
    }
    config_.arrivals->end(key, session.holder(bundle), false);
    tell(LogLine{true, "bundle " + wire::to_string(manifest.id) + ": " + writer.error().text});
    session.receiver.refuse_bundle(bundle, wire::FailReason::target_io, now);
    tell(TargetBundle{event_of(manifest.id, manifest.generation, link.settings.link,
                               failed(bundle, wire::FailReason::target_io))});
    return true;
}

// Somebody has asked for bundles that are being written here: their newer generation has come by another way.
bool Worker::stop_superseded(TimeNs now) {
    if (revocations_seen_ == config_.arrivals->revocations()) return false;
    revocations_seen_ = config_.arrivals->revocations();
    for (Link* link : active_) {
        if (link->session == nullptr) continue;
        std::vector<std::uint32_t> superseded;
        for (const auto& [bundle, writing] : link->session->writings)
            if (!writing.stopped && config_.arrivals->revoked(writing.key, link->session->holder(bundle)))
                superseded.push_back(bundle);
        for (const std::uint32_t bundle : superseded)
            stop_writing(*link, bundle, wire::FailReason::superseded, now);
    }
    return true;
}

// The session hands out no more writes of it; those in flight end first.
void Worker::stop_writing(Link& link, std::uint32_t bundle, wire::FailReason reason, TimeNs now) {
    LinkSession& session = *link.session;
    LinkSession::Writing& writing = session.writings.at(bundle);
    session.receiver.set_stage(bundle, failed(bundle, reason), now);
    writing.stopped = true;
    if (writing.writes_open == 0) forget_writing(session, bundle, false);
}

void Worker::end_write(LinkSession& session, std::uint32_t block, TimeNs now) {
    const std::uint32_t bundle = session.receiver.write_done(block, now);
    const auto writing = session.writings.find(bundle);
    LH_ASSERT(writing != session.writings.end() && writing->second.writes_open > 0);
    if (--writing->second.writes_open == 0 && writing->second.stopped) forget_writing(session, bundle, false);
}

// Only now may another writer of the bundle begin.
void Worker::forget_writing(LinkSession& session, std::uint32_t bundle, bool published) {
    const auto writing = session.writings.find(bundle);
    const session::ArrivalBook::Key key = writing->second.key;
    session.writings.erase(writing);
    config_.arrivals->end(key, session.holder(bundle), published);
}

bool Worker::request_writes(Link& link, TimeNs now) {
    LinkSession& session = *link.session;
    bool busy = false;
    while (const auto write = session.receiver.next_write()) {
        const auto writing = session.writings.find(write->bundle);
        LH_ASSERT(writing != session.writings.end());
        const Token token{link.settings.link, link.group, Token::Kind::write, session.epoch, write->block};
        ++writing->second.writes_open;
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
            stop_writing(link, last->bundle, wire::FailReason::manifest_malformed, now);
            continue;
        }
        if (!config_.arrivals->begin_finish(writing->second.key, session.holder(last->bundle))) {
            stop_writing(link, last->bundle, wire::FailReason::superseded, now);
            continue;
        }
        const Token token{link.settings.link, link.group, Token::Kind::finish, session.epoch, last->bundle};
        writing->second.writer->finish(trailer.value(), token.packed());
    }
    return busy;
}

void Worker::on_storage_event(const storage::Event& event, TimeNs now) {
    const Token token = Token::unpack(event.token);
    Link* link = find_link(token.link, token.group);
    if (link == nullptr || link->session == nullptr || link->session->epoch != token.epoch) return;
    switch (event.kind) {
        case storage::Event::Kind::read_done:
            end_read(*link->session, token.value, now);
            break;
        case storage::Event::Kind::verify_read:
            end_verify_read(*link->session, token.value, now);
            break;
        case storage::Event::Kind::write_done:
            end_write(*link->session, token.value, now);
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
    const bool whole = status.stage == wire::Stage::published && status.failed_entries == 0;
    forget_writing(session, bundle, whole);
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
