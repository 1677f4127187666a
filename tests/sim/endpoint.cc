// The worker's turn, in the worker's order, with the checks that every turn must pass.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/endpoint.h"

#include <sys/mman.h>

#include <algorithm>

#include "dataplane/wire/ping.h"
#include "tests/sim/content.h"

namespace longhaul::sim {
namespace {

constexpr TimeNs kCatchUp = 200 * kMicrosecond;  // the pacer's

std::vector<std::uint8_t> head_of(const BundlePlan& plan, std::size_t index, std::uint32_t generation) {
    wire::Manifest manifest;
    manifest.id = bundle_id_of_plan(index);
    manifest.generation = generation;
    manifest.payload_bytes = plan.payload_bytes;
    if (plan.payload_bytes > 0) {
        wire::Entry file;
        file.kind = wire::EntryKind::file;
        file.path = "data/" + std::to_string(index);
        file.size = plan.payload_bytes;
        manifest.entries.push_back(file);
    }
    for (unsigned i = 0; i < plan.extra_entries; ++i) {
        wire::Entry directory;
        directory.kind = wire::EntryKind::directory;
        directory.path = "tree/with/a/rather/long/name/" + std::to_string(index) + "/" + std::to_string(i);
        manifest.entries.push_back(directory);
    }
    auto head = wire::write_manifest(manifest);
    LH_ASSERT(head.ok());
    if (plan.broken_head) head.value()[0] ^= 0xff;
    return std::move(head.value());
}

}  // namespace

wire::BundleId bundle_id_of_plan(std::size_t plan) {
    return {0x51, plan + 1};
}

Arena::Arena(std::size_t bytes) : bytes_(bytes) {
    void* mapped =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    LH_ASSERT(mapped != MAP_FAILED);
    ::madvise(mapped, bytes, MADV_NOHUGEPAGE);  // a parity row must not cost two megabytes
    data_ = static_cast<std::uint8_t*>(mapped);
}
Arena::~Arena() {
    ::munmap(data_, bytes_);
}

Endpoint::Endpoint(unsigned index, const Scenario& scenario, const fec::Codec& codec, SimulatedWire& wire,
                   EventQueue& events, Report report)
    : index_(index),
      scenario_(scenario),
      skew_ppm_(index == 1 ? scenario.clock_skew_ppm : 0),
      wire_(wire),
      events_(events),
      report_(std::move(report)),
      parameters_{scenario.symbol_bytes, scenario.stripe_symbols, scenario.lanes, 0, 46},
      send_arena_(scenario.send_blocks * session::BlockPool::stride_for(scenario.stripe_symbols,
                                                                        scenario.symbol_bytes,
                                                                        session::kParitySlots)),
      receive_arena_(scenario.receive_blocks * session::BlockPool::stride_for(scenario.stripe_symbols,
                                                                              scenario.symbol_bytes,
                                                                              session::kParitySlots)),
      send_pool_(send_arena_.view(),
                 session::BlockPool::stride_for(scenario.stripe_symbols, scenario.symbol_bytes,
                                                session::kParitySlots)),
      receive_pool_(receive_arena_.view(),
                    session::BlockPool::stride_for(scenario.stripe_symbols, scenario.symbol_bytes,
                                                   session::kParitySlots)),
      replay_(scenario.lanes),
      decoded_at_(scenario.bundles.size()),
      durable_at_(scenario.bundles.size()) {
    session::SenderConfig sender;
    sender.parameters = parameters_;
    sender.goal = scenario.goal;
    sender.fixed_parity = scenario.fixed_parity;
    sender.bundles_open_max = scenario.bundles_open_max;
    sender.read_ahead_blocks = scenario.read_ahead_blocks;
    session::ReceiverConfig receiver;
    receiver.parameters = parameters_;
    receiver.stripes_open_max = scenario.receive_blocks;
    congestion::ControllerConfig congestion;
    congestion.cap_bps = scenario.cap_bps;
    congestion.share_of_cap = scenario.share_of_cap;
    congestion.seed = index + 1;
    sender_ = std::make_unique<session::Sender>(sender, codec, send_pool_,
                                                congestion::make(scenario.mode, congestion), local(0));
    receiver_ = std::make_unique<session::Receiver>(receiver, codec, receive_pool_, local(0));
}

TimeNs Endpoint::global(TimeNs at) const {
    if (at == kNever) return kNever;
    return skew_ppm_ == 0
               ? at
               : static_cast<TimeNs>(static_cast<double>(at) / (1 + static_cast<double>(skew_ppm_) * 1e-6)) +
                     1000;
}

bool Endpoint::idle() const {
    return receiver_->stats().bundles_open == 0 && send_pool_.free_count() == send_pool_.total() &&
           receive_pool_.free_count() == receive_pool_.total() && reads_.empty() && writes_.empty();
}

std::size_t Endpoint::results_of(wire::Stage stage) const {
    return results_[static_cast<std::size_t>(stage)];
}

void Endpoint::offer(std::size_t plan, TimeNs now, std::uint32_t generation) {
    session::BundleOffer offer;
    offer.id = bundle_id_of_plan(plan);
    offer.generation = generation;
    offer.head = head_of(scenario_.bundles[plan], plan, generation);
    offer.payload_bytes = scenario_.bundles[plan].payload_bytes;
    const auto handle = sender_->offer(std::move(offer), local(now));
    if (!handle) {
        offers_.push_back(plan);
        return;
    }
    if (outgoing_.count(*handle) != 0) report_("handle " + std::to_string(*handle) + " given out twice");
    outgoing_[*handle] = Outgoing{plan, std::nullopt, false, generation, false};
    ++open_;
}

void Endpoint::cancel(std::size_t plan, TimeNs now) {
    sender_->cancel(bundle_id_of_plan(plan), local(now));
}

void Endpoint::read_done(std::uint32_t block, TimeNs now) {
    const auto found = reads_.find(block);
    LH_ASSERT(found != reads_.end());
    const session::ReadRequest& request = found->second;
    const auto outgoing = outgoing_.find(request.bundle);
    LH_ASSERT(outgoing != outgoing_.end());
    if (!scenario_.bulk)
        fill_content(outgoing->second.plan, request.payload_offset, request.into, request.bytes);
    reads_.erase(found);
    sender_->read_done(block, local(now));
}

void Endpoint::write_done(std::uint32_t block, TimeNs now) {
    if (writes_stalled_) {
        stalled_writes_.push_back(block);
        return;
    }
    const auto found = writes_.find(block);
    LH_ASSERT(found != writes_.end());
    const session::WriteRequest request = found->second;
    Incoming& incoming = incoming_[request.bundle];
    // Checked when the write ends, not when it begins: the block must not have changed under the storage.
    if (!scenario_.bulk && !content_is(incoming.plan, request.payload_offset, request.from, request.bytes))
        report_("wrong bytes at offset " + std::to_string(request.payload_offset) + " of plan " +
                std::to_string(incoming.plan));
    incoming.bytes_written += request.bytes;
    writes_.erase(found);
    receiver_->write_done(block, local(now));
    if (links_ != nullptr) {
        if (links_->plans[incoming.plan].writer != holder(request.bundle))
            report_("a writer behind the back of a newer one");
        links_->note_delivery(incoming.plan, request.payload_offset / parameters_.stripe_bytes(), now);
        if (--incoming.writes_open == 0 && incoming.stopped) end_writing(request.bundle, false);
    }
    const BundlePlan& plan = scenario_.bundles[incoming.plan];
    if (plan.fail_midway && !incoming.failed && incoming.bytes_written * 2 >= plan.payload_bytes) {
        incoming.failed = true;
        wire::BundleStatus status;
        status.stage = wire::Stage::failed;
        status.reason = wire::FailReason::target_no_space;
        receiver_->set_stage(request.bundle, status, local(now));
    }
}

void Endpoint::stall_writes(bool stalled, TimeNs now) {
    writes_stalled_ = stalled;
    if (stalled) return;
    for (const std::uint32_t block : std::exchange(stalled_writes_, {}))
        write_done(block, now);
}

void Endpoint::staged(std::uint32_t bundle, wire::Stage stage, TimeNs now) {
    wire::BundleStatus status;
    status.stage = stage;
    receiver_->set_stage(bundle, status, local(now));
    if (stage == wire::Stage::published && links_ != nullptr) {
        ++links_->plans[incoming_[bundle].plan].published;
        end_writing(bundle, true);
    }
    if (stage == wire::Stage::durable)
        events_.push({now + scenario_.publish_delay, 0, Event::Kind::published,
                      static_cast<std::uint8_t>(index_), bundle, 0});
}

TimeNs Endpoint::turn(TimeNs now) {
    receive_all(now);
    for (std::size_t count = offers_.size();
         count > 0 && sender_->stats().bundles_open < scenario_.bundles_open_max; --count) {
        const std::size_t plan = offers_.front();
        offers_.pop_front();
        offer(plan, now);
    }
    if (links_ != nullptr) stop_superseded(now);
    take_heads_and_writes(now);
    take_trailers(now);
    start_reads(now);
    transmit(now);
    take_results(now);
    while (const auto lane = scenario_.rehash ? sender_->next_rehash(local(now)) : std::nullopt)
        wire_.change_way(index_, *lane);
    was_silent_ |= sender_->silent(local(now));
    answers_ = sender_->answering(local(now));
    return global(std::min(sender_->next_wake(local(now)), receiver_->next_wake(local(now))));
}

bool Endpoint::replayed(unsigned lane, std::uint64_t number) {
    ReplayWindow& window = replay_[lane];
    if (number + kReplayPackets <= window.largest) return true;
    std::uint64_t& entry = window.seen[number % kReplayPackets];
    if (entry == number) return true;
    entry = number;
    window.largest = std::max(window.largest, number);
    return false;
}

void Endpoint::classify(std::uint64_t index) {
    const PacketUnderWay& packet = wire_.packet(index);
    Arrival arrival;
    arrival.packet = index;
    std::array<std::uint8_t, wire::kHeaderBytes + wire::kTagBytes> datagram{};
    std::copy(packet.header.begin(), packet.header.end(), datagram.begin());
    wire::PacketView view;
    if (wire::parse_packet({datagram.data(), datagram.size()}, view) != wire::DropReason::none ||
        view.header.lane >= scenario_.lanes) {
        wire_.done(index);
        return;
    }
    arrival.header = view.header;
    arrival.symbol =
        view.header.type == wire::PacketType::data || view.header.type == wire::PacketType::parity;
    if (arrival.symbol) {
        arrival.ticket = receiver_->admit(view.header, packet.payload_bytes, 0);
        if (arrival.ticket.drop == wire::DropReason::none)
            std::copy(packet.payload.begin(), packet.payload.end(), arrival.ticket.into);
    }
    arrivals_.push_back(arrival);
}

// As the worker: places for the whole burst first, then one decryption, then the consequences.
void Endpoint::receive_all(TimeNs now) {
    constexpr std::size_t kBurst = 32;
    while (!inbox_.empty()) {
        arrivals_.clear();
        for (std::size_t i = 0; i < kBurst && !inbox_.empty(); ++i) {
            const std::uint64_t index = inbox_.front();
            inbox_.pop_front();
            classify(index);
        }
        accept(now);
    }
}

void Endpoint::accept(TimeNs now) {
    const TimeNs clock = local(now);
    for (const Arrival& arrival : arrivals_) {
        const PacketUnderWay& packet = wire_.packet(arrival.packet);
        const bool authentic =
            !packet.seal_broken && !replayed(arrival.header.lane, arrival.header.packet_number);
        if (arrival.symbol && arrival.ticket.drop == wire::DropReason::none)
            receiver_->settle(arrival.header, arrival.ticket, authentic, clock);
        if (authentic) {
            receiver_->on_authentic(arrival.header,
                                    wire::kHeaderBytes + packet.payload_bytes + wire::kTagBytes, clock);
            sender_->on_authentic(arrival.header, clock);
            const ByteView payload(packet.payload.data(), packet.payload.size());
            if (arrival.header.type == wire::PacketType::feedback) {
                if (wire::parse_feedback(payload, feedback_) != wire::DropReason::none)
                    report_("feedback does not parse");
                else
                    sender_->on_feedback(feedback_, clock);
            } else if (arrival.header.type == wire::PacketType::ping) {
                wire::Ping ping;
                if (wire::parse_ping(payload, ping) != wire::DropReason::none)
                    report_("ping does not parse");
                else
                    receiver_->on_ping(arrival.header.lane, ping, clock);
            }
        }
        wire_.done(arrival.packet);
    }
}

void Endpoint::take_heads_and_writes(TimeNs now) {
    while (auto head = receiver_->next_head()) {
        const auto manifest = wire::parse_manifest({head->head.data(), head->head.size()});
        if (!manifest.ok()) {
            report_("head of bundle " + std::to_string(head->bundle) + " does not parse");
            continue;
        }
        if (incoming_.count(head->bundle) != 0)
            report_("head of bundle " + std::to_string(head->bundle) + " delivered twice");
        Incoming& incoming = incoming_[head->bundle];
        incoming.plan = manifest.value().id.low - 1;
        incoming.manifest = manifest.value();
        incoming.stripes_written.resize((incoming.manifest.payload_bytes + parameters_.stripe_bytes() - 1) /
                                        parameters_.stripe_bytes());
        const BundlePlan& plan = scenario_.bundles[incoming.plan];
        if (incoming.manifest.payload_bytes != plan.payload_bytes)
            report_("head promises another payload size");
        if (links_ != nullptr) {
            if (!admit_bundle(head->bundle, now)) waiting_heads_.push_back(head->bundle);
            continue;
        }
        if (plan.refuse)
            receiver_->refuse_bundle(head->bundle, wire::FailReason::store_unknown, local(now));
        else
            receiver_->open_bundle(head->bundle);
    }
    std::erase_if(waiting_heads_, [&](std::uint32_t bundle) { return admit_bundle(bundle, now); });
    while (auto write = receiver_->next_write()) {
        Incoming& incoming = incoming_[write->bundle];
        ++incoming.writes_open;
        const std::size_t stripe = write->payload_offset / parameters_.stripe_bytes();
        if (stripe >= incoming.stripes_written.size() || incoming.stripes_written[stripe])
            report_("payload at offset " + std::to_string(write->payload_offset) +
                    " delivered twice or out of range");
        else
            incoming.stripes_written[stripe] = true;
        if (incoming.trailer_seen) report_("payload after the trailer");
        writes_[write->block] = *write;
        events_.push({now + scenario_.write_latency, 0, Event::Kind::write_done,
                      static_cast<std::uint8_t>(index_), write->block, 0});
    }
}

void Endpoint::take_trailers(TimeNs now) {
    while (auto trailer = receiver_->next_trailer()) {
        Incoming& incoming = incoming_[trailer->bundle];
        const BundlePlan& plan = scenario_.bundles[incoming.plan];
        const auto parsed = wire::parse_trailer({trailer->trailer.data(), trailer->trailer.size()});
        if (!parsed.ok() || parsed.value().verdicts.size() != incoming.manifest.entries.size() ||
            incoming.trailer_seen) {
            report_("trailer of plan " + std::to_string(incoming.plan) + " is wrong or came twice");
            continue;
        }
        incoming.trailer_seen = true;
        decoded_at_[incoming.plan] = now;
        const auto& verdicts = parsed.value().verdicts;
        const bool cancelled = !verdicts.empty() && verdicts[0].reason == wire::FailReason::cancelled;
        if (cancelled) {
            if (plan.cancel_at == kNever && links_ == nullptr)
                report_("a bundle nobody cancelled arrived cancelled");
            if (links_ != nullptr) end_writing(trailer->bundle, false);
            wire::BundleStatus status;
            status.stage = wire::Stage::failed;
            status.reason = wire::FailReason::cancelled;
            receiver_->set_stage(trailer->bundle, status, local(now));
            continue;
        }
        if (incoming.bytes_written != plan.payload_bytes)
            report_("trailer before all of the payload was written");
        if (links_ != nullptr && !links_->book.begin_finish(key_of(incoming), holder(trailer->bundle))) {
            stop_writing(trailer->bundle, now);
            continue;
        }
        events_.push({now + scenario_.durable_delay, 0, Event::Kind::durable,
                      static_cast<std::uint8_t>(index_), trailer->bundle, 0});
    }
}

void Endpoint::start_reads(TimeNs now) {
    while (auto read = sender_->next_read(local(now))) {
        reads_[read->block] = *read;
        // Latencies differ, so that reads complete out of order.
        const TimeNs latency = scenario_.read_latency * (1 + read->block % 3) / 2;
        events_.push(
            {now + latency, 0, Event::Kind::read_done, static_cast<std::uint8_t>(index_), read->block, 0});
    }
    while (auto handle = sender_->next_trailer_wanted()) {
        wire::Trailer trailer;
        const Outgoing& outgoing = outgoing_[*handle];
        const BundlePlan& plan = scenario_.bundles[outgoing.plan];
        trailer.id = bundle_id_of_plan(outgoing.plan);
        trailer.generation = outgoing.generation;
        trailer.verdicts.resize((plan.payload_bytes > 0 ? 1 : 0) + plan.extra_entries);
        sender_->trailer(*handle, wire::write_trailer(trailer), local(now));
    }
}

void Endpoint::seal_and_send(wire::Header header, const std::uint8_t* payload, std::size_t bytes,
                             TimeNs now) {
    header.packet_number = next_packet_number_[header.lane]++;
    wire_.send(index_, header, payload, bytes, now, carried(header));
}

bool Endpoint::carried(const wire::Header& header) const {
    const bool symbol = header.type == wire::PacketType::data || header.type == wire::PacketType::parity;
    return !(scenario_.bulk && symbol && header.section() == wire::Section::payload);
}

void Endpoint::transmit(TimeNs now) {
    const TimeNs clock = local(now);
    while (auto lane = receiver_->next_feedback(clock, feedback_bytes_)) {
        wire::Header header;
        header.type = wire::PacketType::feedback;
        header.lane = *lane;
        header.tx_time_us = wire_clock_us(clock);
        seal_and_send(header, feedback_bytes_.data(), feedback_bytes_.size(), now);
    }
    while (auto ping = sender_->next_ping(clock))
        seal_and_send(ping->header, ping->payload, ping->payload_bytes, now);
    while (auto packet = sender_->next_packet(clock)) {
        if (packet->payload_bytes != scenario_.symbol_bytes) report_("a symbol of another size");
        const session::SenderStats& stats = sender_->stats();
        const std::uint64_t wire_bytes = parameters_.wire_bytes(packet->payload_bytes);
        if (stats.inflight_bytes > stats.inflight_cap_bytes + wire_bytes)
            report_("more in flight than the window");
        check_pacing(wire_bytes, now);
        seal_and_send(packet->header, packet->payload, packet->payload_bytes, now);
    }
}

void Endpoint::check_pacing(std::uint64_t bytes, TimeNs now) {
    last_millisecond_.emplace_back(now, bytes);
    last_millisecond_bytes_ += bytes;
    while (last_millisecond_.front().first + kMillisecond <= now) {
        last_millisecond_bytes_ -= last_millisecond_.front().second;
        last_millisecond_.pop_front();
    }
    const std::uint64_t rate = sender_->stats().rate_bps;
    const std::uint64_t allowed = rate / 8 * (kMillisecond + kCatchUp) / kSecond + 2 * bytes;
    // The rate may have been lowered within this millisecond; the contract bounds it in any case.
    const std::uint64_t contract = scenario_.cap_bps / 8 * (kMillisecond + kCatchUp) / kSecond + 2 * bytes;
    if (last_millisecond_bytes_ > std::max(allowed, contract)) report_("pacer exceeded its rate within 1 ms");
}

void Endpoint::take_results(TimeNs now) {
    while (auto result = sender_->next_result()) {
        check_result(*result, now);
        if (open_ == 0 && offers_.empty()) settled_at_ = now;
    }
}

void Endpoint::check_result(const session::BundleResult& result, TimeNs now) {
    const auto found = outgoing_.find(result.bundle);
    if (found == outgoing_.end() || found->second.settled ||
        !(result.id == bundle_id_of_plan(found->second.plan))) {
        report_("a result for no open bundle");
        return;
    }
    Outgoing& outgoing = found->second;
    const BundlePlan& plan = scenario_.bundles[outgoing.plan];
    const wire::Stage stage = result.status.stage;
    if (outgoing.taken_back) {  // its outcome is told elsewhere
        outgoing.settled = stage == wire::Stage::published || stage == wire::Stage::failed;
        return;
    }
    if (links_ != nullptr && stage == wire::Stage::published) {
        if (links_->plans[outgoing.plan].published != 1) report_("told as published without being so");
        links_->plans[outgoing.plan].settled = true;
    }
    ++results_[static_cast<std::size_t>(stage)];
    if (outgoing.stage && stage <= *outgoing.stage) report_("stages out of order or repeated");
    const bool skipped = (stage == wire::Stage::durable && outgoing.stage != wire::Stage::complete) ||
                         (stage == wire::Stage::published && outgoing.stage != wire::Stage::durable);
    if (skipped) report_("a stage was skipped");
    outgoing.stage = stage;
    if (stage == wire::Stage::durable) durable_at_[outgoing.plan] = now;
    if (stage == wire::Stage::failed) {
        const wire::FailReason reason = result.status.reason;
        const bool expected = (plan.refuse && reason == wire::FailReason::store_unknown) ||
                              (plan.broken_head && reason == wire::FailReason::manifest_malformed) ||
                              (plan.fail_midway && reason == wire::FailReason::target_no_space) ||
                              (plan.cancel_at != kNever && reason == wire::FailReason::cancelled);
        if (!expected) report_(std::string("bundle failed: ") + wire::to_string(reason));
    }
    if (stage == wire::Stage::published && (plan.refuse || plan.broken_head))
        report_("a refused bundle was published");
    if (stage == wire::Stage::published || stage == wire::Stage::failed) {
        outgoing.settled = true;
        LH_ASSERT(open_ > 0);
        --open_;
    }
}

}  // namespace longhaul::sim
