// One end of the simulated session: a sender and a receiver driven exactly as a worker drives them, with a
// source that makes content, a sink that checks it, and a sealer that only counts packets.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/session/receiver.h"
#include "dataplane/session/sender.h"
#include "tests/sim/scenario.h"
#include "tests/sim/several_links.h"
#include "tests/sim/simulated_wire.h"

namespace longhaul::sim {

// The block arena: page-aligned, paid for only where it is touched.
class Arena {
  public:
    explicit Arena(std::size_t bytes);
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    MutableByteView view() const { return {data_, bytes_}; }

  private:
    std::uint8_t* data_;
    std::size_t bytes_;
};

using Report = std::function<void(const std::string&)>;  // a broken invariant

class Endpoint {
  public:
    Endpoint(unsigned index, const Scenario& scenario, const fec::Codec& codec, SimulatedWire& wire,
             EventQueue& events, Report report);

    void arrived(std::uint64_t packet) { inbox_.push_back(packet); }
    void offer(std::size_t plan, TimeNs now, std::uint32_t generation = 1);
    // One of several links between the sites: bundles may be taken back here and offered there.
    void join(SeveralLinks& links, unsigned number) {
        links_ = &links;
        link_ = number;
    }
    void take_back(std::size_t plan, TimeNs now);
    bool answers() const { return answers_; }
    void cancel(std::size_t plan, TimeNs now);
    void read_done(std::uint32_t block, TimeNs now);
    void write_done(std::uint32_t block, TimeNs now);
    void staged(std::uint32_t bundle, wire::Stage stage, TimeNs now);
    void stall_writes(bool stalled, TimeNs now);

    // One turn of the worker's loop; returns when the next one is due.
    TimeNs turn(TimeNs now);

    bool settled() const { return offers_.empty() && open_ == 0; }
    bool idle() const;  // nothing held anywhere
    std::size_t results_of(wire::Stage stage) const;
    const session::Sender& sender() const { return *sender_; }
    session::Sender& sender() { return *sender_; }
    const session::Receiver& receiver() const { return *receiver_; }
    TimeNs settled_at() const { return settled_at_; }
    // By plan, 0: not yet. Decoded: its trailer was handed out here, every write ended. Durable: known at the sender.
    const std::vector<TimeNs>& decoded_at() const { return decoded_at_; }
    const std::vector<TimeNs>& durable_at() const { return durable_at_; }
    bool was_silent() const { return was_silent_; }

  private:
    // The session's clock: skewed against the other end's.
    TimeNs local(TimeNs now) const { return now + now / 1'000'000 * static_cast<TimeNs>(skew_ppm_); }
    TimeNs global(TimeNs at) const;

    void receive_all(TimeNs now);
    void classify(std::uint64_t index);
    bool carried(const wire::Header& header) const;
    void accept(TimeNs now);
    void start_reads(TimeNs now);
    void take_heads_and_writes(TimeNs now);
    void take_trailers(TimeNs now);
    void transmit(TimeNs now);
    void seal_and_send(wire::Header header, const std::uint8_t* payload, std::size_t bytes, TimeNs now);
    void take_results(TimeNs now);
    void check_pacing(std::uint64_t bytes, TimeNs now);
    void check_result(const session::BundleResult& result, TimeNs now);
    bool replayed(unsigned lane, std::uint64_t number);
    session::ArrivalBook::Holder holder(std::uint32_t bundle) const {
        return std::uint64_t{link_ + 1} << 32 | bundle;
    }
    bool admit_bundle(std::uint32_t bundle, TimeNs now);  // false: another writer of it has to end first
    void stop_superseded(TimeNs now);
    void stop_writing(std::uint32_t bundle, TimeNs now);
    void end_writing(std::uint32_t bundle, bool published);

    struct Outgoing {
        std::size_t plan = 0;
        std::optional<wire::Stage> stage;
        bool settled = false;
        std::uint32_t generation = 1;
        bool taken_back = false;
    };
    struct Incoming {
        std::size_t plan = 0;
        wire::Manifest manifest;
        std::vector<bool> stripes_written;
        std::uint64_t bytes_written = 0;
        bool trailer_seen = false, failed = false;
        std::size_t writes_open = 0;
        bool writing = false,
             stopped = false;  // among several links: the book's grant; ends with the last write
    };
    session::ArrivalBook::Key key_of(const Incoming& incoming) const { return {0, incoming.manifest.id}; }
    struct Arrival {
        std::uint64_t packet = 0;
        wire::Header header;
        session::Ticket ticket;
        bool symbol = false;
    };

    const unsigned index_;
    const Scenario& scenario_;
    const std::int64_t skew_ppm_;
    SimulatedWire& wire_;
    EventQueue& events_;
    Report report_;
    session::Parameters parameters_;
    Arena send_arena_, receive_arena_;
    session::BlockPool send_pool_, receive_pool_;
    std::unique_ptr<session::Sender> sender_;
    std::unique_ptr<session::Receiver> receiver_;

    std::deque<std::uint64_t> inbox_;
    std::vector<Arrival> arrivals_;
    std::deque<std::size_t> offers_;                       // refused for now: the sender is full
    std::map<std::uint32_t, Outgoing> outgoing_;           // by handle
    std::map<std::uint32_t, Incoming> incoming_;           // by handle
    std::map<std::uint32_t, session::ReadRequest> reads_;  // by block
    std::map<std::uint32_t, session::WriteRequest> writes_;
    std::deque<std::uint32_t> stalled_writes_;
    bool writes_stalled_ = false;
    std::size_t open_ = 0;

    std::array<std::uint64_t, 256> next_packet_number_{};
    struct ReplayWindow {
        std::vector<std::uint64_t> seen = std::vector<std::uint64_t>(kReplayPackets, ~std::uint64_t{0});
        std::uint64_t largest = 0;
    };
    static constexpr std::size_t kReplayPackets = 8192;
    std::vector<ReplayWindow> replay_;

    std::deque<std::pair<TimeNs, std::uint64_t>> last_millisecond_;
    std::uint64_t last_millisecond_bytes_ = 0;
    std::vector<std::uint8_t> feedback_bytes_;
    wire::Feedback feedback_;
    std::array<std::size_t, 5> results_{};
    TimeNs settled_at_ = 0;
    std::vector<TimeNs> decoded_at_, durable_at_;
    bool was_silent_ = false;

    SeveralLinks* links_ = nullptr;
    unsigned link_ = 0;
    bool answers_ = false;
    std::vector<std::uint32_t> waiting_heads_;
    std::uint64_t revocations_seen_ = 0;
};

wire::BundleId bundle_id_of_plan(std::size_t plan);

}  // namespace longhaul::sim
