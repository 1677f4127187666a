// One lcore's loop. A worker owns its lanes, keys, stripes, io_uring and buffers, and talks by messages. It
// shares nothing with the others but the book of who writes which bundle (shared_arrivals.h). The loop is
// worker.cc; each stage has its file: receive.cc, transmit.cc, departures.cc, arrivals.cc, commands.cc, report.cc; what
// changes hands between workers is in exchange.cc.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/base/random.h"
#include "dataplane/fec/codec.h"
#include "dataplane/worker/frame_stock.h"
#include "dataplane/worker/handoff.h"
#include "dataplane/worker/link.h"
#include "dataplane/worker/mailbox.h"
#include "dataplane/worker/memory_plan.h"
#include "dataplane/worker/messages.h"
#include "dataplane/worker/shared_arrivals.h"
#include "dataplane/worker/spi_table.h"
#include "dataplane/worker/stage_clock.h"
#include "drivers/nic/nic.h"

namespace longhaul::worker {

inline constexpr unsigned kBurst = 32;
inline constexpr unsigned kStripeSymbols = 64;
inline constexpr std::size_t kOutgoingMax = 256;  // bundles offered on one link and not settled
inline constexpr std::size_t kSymbolBytesMax = 8896;
inline constexpr std::size_t kProbeAnswersMax = 32;  // owed on one link; more are not answered

struct WorkerConfig {
    unsigned index = 0;
    HandoffMesh* handoff = nullptr;      // to the other workers; nullptr: there is no other
    SharedArrivals* arrivals = nullptr;  // the process's; outlives its workers
    bool poll = false;
    TimeNs idle_sleep = 100 * kMicrosecond;
    std::string crypto_device;
    MemoryPlan plan;
    bool hugepages = true;
    // What reads bundles and writes them; the arena is registered with it. Benchmarks put memory here.
    std::function<Result<std::unique_ptr<storage::Storage>>(const storage::StorageConfig&, MutableByteView)>
        make_storage = storage::make_storage;
};

class Worker {
  public:
    // Ports outlive the worker, which owns their queue `index`. Call it on the thread that will call run(): memory is
    // touched first there, and the io_uring has one issuer.
    static Result<std::unique_ptr<Worker>> create(const WorkerConfig& config, std::vector<nic::Port*> ports,
                                                  Mailbox<Command>& inbox, Mailbox<Event>& outbox,
                                                  int wake_main_fd);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    void run();  // until a Stop command

  private:
    Worker(const WorkerConfig& config, std::vector<nic::Port*> ports, Mailbox<Command>& inbox,
           Mailbox<Event>& outbox, int wake_main_fd);

    // The stages of one turn; each returns whether it found work.
    bool receive_frames();
    bool receive_handed();
    bool complete_storage(TimeNs now);
    bool obey_commands(TimeNs now);
    bool advance_bundles(TimeNs now);
    bool transmit_frames(TimeNs now);
    bool report(TimeNs now);
    void rest(TimeNs now);

    // receive.cc
    struct Arrival {
        rte_mbuf* frame = nullptr;
        Link* link = nullptr;
        wire::Header header;
        session::Ticket ticket;
        std::size_t datagram_bytes = 0;
        std::array<std::uint8_t, kSymbolBytesMax>* scratch = nullptr;  // plaintext of control packets
    };
    enum class Sorted { opens, ends, handed_over };  // and who owns the frame then: us, us, another worker
    bool receive_port(std::size_t port);
    void open_frames(std::size_t port, std::span<rte_mbuf* const> frames, bool handed, TimeNs now);
    Sorted classify(std::size_t port, rte_mbuf* frame, bool handed, Arrival& arrival, crypto::OpenJob& job,
                    TimeNs now);
    void accept(const Arrival& arrival, const crypto::OpenJob& job, TimeNs now);
    void take_probe(LinkSession& session, std::uint8_t lane, ByteView payload, TimeNs now);
    void answer_neighbour(std::size_t port, ByteView frame, TimeNs now);

    // exchange.cc
    Sorted hand_over(unsigned owner, std::size_t port, rte_mbuf* frame);
    bool relay_frames();
    void depart(std::size_t port, std::span<rte_mbuf* const> frames);
    void watch_neighbours(TimeNs now);
    void tell_load(Link& link, TimeNs now);

    // transmit.cc
    bool transmit_link(Link& link, TimeNs now);
    bool send_control(Link& link, TimeNs now);
    void send_packets(Link& link, std::span<const session::PacketOut> packets);
    rte_mbuf* build_frame(Link& link, const session::PacketOut& packet, crypto::SealJob& job);
    void finish_frame(const Link& link, const session::PacketOut& packet, rte_mbuf* frame);
    bool send_neighbour_frames(std::size_t port, TimeNs now);
    bool send_probes(Link& link, TimeNs now);
    bool resolve_neighbour(Link& link, TimeNs now);
    void queue_frame(std::size_t port, rte_mbuf* frame);
    void flush_frames(std::size_t port);

    // departures.cc
    bool start_waiting(Link& link, TimeNs now);
    bool request_reads(Link& link, TimeNs now);
    bool collect_results(Link& link);
    void end_read(LinkSession& session, std::uint32_t block, TimeNs now);
    void end_verify_read(LinkSession& session, std::uint32_t bundle, TimeNs now);
    void take_back(const wire::BundleId& id, std::uint32_t below_generation, TimeNs now);
    void settle_outgoing(Link& link, const session::BundleResult& result);

    // arrivals.cc
    bool take_heads(Link& link, TimeNs now);
    void take_head(Link& link, const session::BundleHead& head, TimeNs now);
    bool admit_bundle(Link& link, std::uint32_t bundle, const wire::Manifest& manifest, TimeNs now);
    bool request_writes(Link& link, TimeNs now);
    void on_finish(Link& link, std::uint32_t bundle, const storage::Event& event, TimeNs now);
    void on_staged(Link& link, std::uint32_t bundle, const storage::Event& event);
    void tell_order(LinkSession::Writing& writing, command::OrderState state);
    void settle_staged(Link& link, std::uint32_t bundle, bool publish, TimeNs now);
    bool stop_superseded(TimeNs now);
    void stop_writing(Link& link, std::uint32_t bundle, wire::FailReason reason, TimeNs now);
    void end_write(LinkSession& session, std::uint32_t block, TimeNs now);
    void forget_writing(LinkSession& session, std::uint32_t bundle, bool published);
    void on_storage_event(const storage::Event& event, TimeNs now);

    // commands.cc
    void obey(Command& command, TimeNs now);
    void obey(OpenStore& command, TimeNs now);
    void obey(CloseStore& command, TimeNs now);
    void obey(ConfigureLink& command, TimeNs now);
    void obey(RemoveLink& command, TimeNs now);
    void obey(PrepareSession& command, TimeNs now);
    void obey(StartSession& command, TimeNs now);
    void obey(SetShare& command, TimeNs now);
    void obey(WatchNeighbour& command, TimeNs now);
    void obey(SetNeighbour& command, TimeNs now);
    void obey(OfferBundle& command, TimeNs now);
    void obey(TakeBackBundle& command, TimeNs now);
    void obey(CancelBundle& command, TimeNs now);
    void obey(SettleStaged& command, TimeNs now);
    void obey(Stop& command, TimeNs now);
    Result<void> start_session(Link& link, StartSession& command, TimeNs now);
    Result<void> make_group(ConfigureLink& command, TimeNs now);
    void make_pools(Link& link, unsigned part, unsigned parts);
    void end_session(Link& link);
    void answer(std::uint64_t request, Result<void> result);

    // report.cc
    void tell(Event event);
    bool flush_outbox();
    void update_state(Link& link, TimeNs now);
    void follow_path(Link& link, TimeNs now);
    void change_ways(Link& link, TimeNs now);
    command::LinkStatus status_of(const Link& link) const;

    Link* find_link(std::uint8_t number, std::uint8_t group);
    TimeNs clock_ns() const;

    WorkerConfig config_;
    std::vector<nic::Port*> ports_;
    std::vector<std::unique_ptr<nic::Neighbours>> neighbours_;  // worker 0 only
    struct Watched {
        std::uint8_t link = 0;
        std::size_t port = 0;
        wire::IpAddress ip;
        std::optional<wire::MacAddress> told;
    };
    std::vector<Watched> watched_;            // worker 0 only: on behalf of the others
    std::vector<std::uint64_t> link_epochs_;  // of each port, as last seen
    Mailbox<Command>& inbox_;
    Mailbox<Event>& outbox_;
    int wake_main_fd_;
    std::deque<std::unique_ptr<Event>>
        overflow_;  // events that found the mailbox full; bounded by open bundles

    // The order matters at destruction: links (with readers and writers) end before storage, storage before the arena.
    std::unique_ptr<Arena> arena_;
    fec::Codec codec_;
    std::vector<std::optional<std::uint8_t>> slots_;  // which link's groups have which part of the arena
    std::unique_ptr<crypto::AeadDevice> aead_;
    std::unique_ptr<storage::Storage> storage_;
    std::array<std::unique_ptr<Link>, 256 * kGroupsMax> links_;
    std::vector<Link*> active_;  // the groups that exist, in number order
    struct LaneOf {
        Link* link = nullptr;  // nullptr: another worker's
        std::uint8_t lane = 0;
        std::uint8_t owner = 0;
    };
    std::array<std::vector<std::uint32_t>, 256> elsewhere_;  // SPIs of each link's lanes on other workers
    SpiTable<LaneOf> lane_of_spi_;
    std::uint64_t revocations_seen_ = 0;

    std::vector<storage::Event> storage_events_;
    std::vector<std::uint8_t> feedback_;
    std::array<std::uint8_t, kSymbolBytesMax> probe_{};
    wire::Feedback feedback_view_;
    std::vector<std::array<std::uint8_t, kSymbolBytesMax>> scratch_;
    struct Outgoing {
        std::array<rte_mbuf*, kBurst> frames{};
        unsigned count = 0;
    };
    std::vector<Outgoing> outgoing_frames_;  // per port
    std::vector<FrameStock> empty_frames_;   // per port
    std::array<HandedFrame, kBurst> handed_{};
    wire::DropCounters drops_;
    WorkDone work_;
    std::uint64_t loops_ = 0, busy_loops_ = 0, sleeps_ = 0;
    unsigned idle_turns_ = 0;
    StageClock clock_;
    Random random_{1};  // which port a lane goes to; nobody gains by guessing it
    std::uint16_t next_epoch_ = 1;
    std::uint64_t next_order_ = 0;
    TimeNs next_counters_ = 0;
    bool stop_ = false;
};

}  // namespace longhaul::worker
