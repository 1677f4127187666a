// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/core/rig.h"

#include <poll.h>
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_ring.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <optional>

#include "dataplane/worker/worker.h"
#include "tests/bench/core/memory_storage.h"

namespace longhaul::bench {
namespace {

constexpr unsigned kRingFrames = 512;
constexpr std::size_t kMailboxMessages = 8192;
constexpr std::uint8_t kLink = 1;
constexpr std::uint64_t kBundleBytes = 512u << 20;
constexpr unsigned kBundlesAhead = 4;
constexpr std::uint64_t kRateBps = 200'000'000'000;  // far above what a core can do
constexpr std::uint64_t kArenaBytes = 400u << 20;    // a side: far more than any cache

double seconds_of(const timespec& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

double now_seconds() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return seconds_of(time);
}

// Back-pressure, as the transmit queue of a NIC gives it to a sender that is paced by the line: a full ring makes the
// sender wait, nothing is dropped, and the cycles of waiting are not work.
struct Room {
    rte_ring* ring = nullptr;
    std::atomic<std::uint64_t> waited_cycles{0};  // written by the sender's lcore alone
    std::atomic<bool> given_up{false};            // at the end nobody takes frames any more

    static std::uint16_t wait(std::uint16_t, std::uint16_t, rte_mbuf**, std::uint16_t count, void* room) {
        auto& self = *static_cast<Room*>(room);
        if (rte_ring_free_count(self.ring) >= count) return count;
        const std::uint64_t begin = rte_rdtsc();
        while (rte_ring_free_count(self.ring) < count && !self.given_up.load(std::memory_order_relaxed))
            rte_pause();
        self.waited_cycles.store(self.waited_cycles.load(std::memory_order_relaxed) + rte_rdtsc() - begin,
                                 std::memory_order_relaxed);
        return count;
    }
};

// One worker with its port, mailboxes and thread.
struct Side {
    std::unique_ptr<nic::Port> port;
    worker::Mailbox<worker::Command> commands{kMailboxMessages};
    worker::Mailbox<worker::Event> events{kMailboxMessages};
    worker::SharedArrivals arrivals;
    worker::WorkerConfig config;
    int wake_fd = -1;
    unsigned lcore = LCORE_ID_ANY;  // that it runs on
    std::promise<Result<void>> started;
    clockid_t cpu_clock{};
    worker::StageCycles cycles{};
    command::LinkStatus status;
    unsigned published = 0;
    std::optional<Error> error;
    std::string said;  // the last thing logged, and drops by reason

    ~Side() {
        if (wake_fd >= 0) ::close(wake_fd);
    }
    void tell(worker::Command command) {
        auto owned = std::make_unique<worker::Command>(std::move(command));
        while (!commands.send(owned))
            rte_pause();
    }
    double cpu_seconds() const {
        timespec time{};
        ::clock_gettime(cpu_clock, &time);
        return seconds_of(time);
    }
    // Takes what the worker has said; true when new counters were among it.
    bool listen() {
        bool counted = false;
        while (auto event = events.receive()) {
            if (auto* counters = std::get_if<worker::Counters>(event.get())) {
                cycles = counters->busy_cycles;
                said = status.reason + " sent " + std::to_string(status.tx_packets) + " received " +
                       std::to_string(status.rx_packets);
                for (std::size_t i = 0; i < wire::kDropReasons; ++i) {
                    const auto reason = static_cast<wire::DropReason>(i);
                    if (counters->drops.of(reason) > 0)
                        said += std::string(" ") + wire::to_string(reason) + "=" +
                                std::to_string(counters->drops.of(reason));
                }
                counted = true;
            } else if (auto* report = std::get_if<worker::LinkReport>(event.get())) {
                status = report->status;
            } else if (auto* bundle = std::get_if<worker::SourceBundle>(event.get())) {
                if (bundle->event.stage == wire::Stage::published) ++published;
                if (bundle->event.stage == wire::Stage::failed)
                    error = Error{ErrorCode::internal, "a bundle failed"};
            } else if (auto* answer = std::get_if<worker::Answer>(event.get())) {
                if (answer->error) error = answer->error;
            }
        }
        return counted;
    }
    void wait(int milliseconds) {
        pollfd descriptor{wake_fd, POLLIN, 0};
        if (::poll(&descriptor, 1, milliseconds) <= 0) return;
        std::uint64_t count = 0;
        [[maybe_unused]] const auto got = ::read(wake_fd, &count, sizeof count);
    }
};

int run_side(void* argument) {
    auto& side = *static_cast<Side*>(argument);
    pthread_getcpuclockid(pthread_self(), &side.cpu_clock);
    auto worker =
        worker::Worker::create(side.config, {side.port.get()}, side.commands, side.events, side.wake_fd);
    if (!worker.ok()) {
        side.started.set_value(worker.error());
        return 1;
    }
    side.started.set_value({});
    worker.value()->run();
    return 0;
}

class Rig {
  public:
    explicit Rig(const RigConfig& config)
        : config_(config), rings_(config.devices[0].empty() && config.devices[1].empty()) {}
    ~Rig() {
        for (Room& room : rooms_)
            room.given_up.store(true, std::memory_order_relaxed);
        for (Side& side : sides_) {
            if (side.lcore == LCORE_ID_ANY) continue;
            side.tell(worker::Stop{});
            rte_eal_wait_lcore(side.lcore);
        }
    }

    Result<void> start();
    Result<RigFigures> measure();

  private:
    Result<void> make_rings();
    Result<void> open_ports();
    Result<void> start_workers();
    void join();
    Result<void> offer_bundles();
    Result<void> run_for(double seconds);
    Result<void> next_figures();
    wire::IpAddress address_of(unsigned side) const {
        return wire::parse_ip(side == 0 ? "10.77.0.1" : "10.77.0.2").value();
    }

    Result<wire::Entry> entry_of(std::uint64_t number) const;
    bool on_disk() const { return !config_.folders[0].empty(); }
    bool here(unsigned side) const { return rings_ || !config_.devices[side].empty(); }

    const RigConfig config_;
    const bool rings_;
    std::array<Room, 2> rooms_;  // in front of each side's ring out; outlive the sides
    std::array<Side, 2> sides_;  // sender, receiver
    std::uint64_t offered_ = 0;
};

Result<void> Rig::make_rings() {
    rte_ring* there =
        rte_ring_create("bench_there", kRingFrames, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    rte_ring* back = rte_ring_create("bench_back", kRingFrames, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (there == nullptr || back == nullptr) return Error{ErrorCode::exhausted, "no memory for the rings"};
    for (unsigned i = 0; i < 2; ++i) {
        rte_ring*& in = i == 0 ? back : there;
        rte_ring*& out = i == 0 ? there : back;
        const int port = rte_eth_from_rings(std::to_string(i).c_str(), &in, 1, &out, 1, 0);
        rte_ether_addr mac{{0x02, 0, 0, 0, 0, static_cast<std::uint8_t>(i + 1)}};
        // Ring devices are born without an address; the first one that is added becomes theirs.
        if (port < 0 || rte_eth_dev_mac_addr_add(static_cast<std::uint16_t>(port), &mac, 0) != 0)
            return Error{ErrorCode::unavailable, "no ring device: install librte-net-ring23"};
        rooms_[i].ring = out;
    }
    return {};
}

Result<void> Rig::open_ports() {
    for (unsigned i = 0; i < 2; ++i) {
        if (!here(i)) continue;
        nic::PortConfig port;
        port.name = i == 0 ? "sender" : "receiver";
        port.device = rings_ ? "net_ring_" + std::to_string(i) : config_.devices[i];
        port.mtu = config_.jumbo ? 8896 : 1500;
        port.addresses = {nic::parse_prefix(i == 0 ? "10.77.0.1/24" : "10.77.0.2/24").value()};
        port.descriptors = kRingFrames;
        port.mbufs =
            2048;  // little more than the ring and the caches hold, as with a NIC that gives frames back
        port.udp_checksum = false;  // as with a NIC that computes it
        auto opened = nic::Port::open(port);
        if (!opened.ok()) return opened.error();
        sides_[i].port = std::move(opened).value();
        std::uint16_t number = 0;
        if (rings_ && (rte_eth_dev_get_port_by_name(port.device.c_str(), &number) != 0 ||
                       rte_eth_add_tx_callback(number, 0, &Room::wait, &rooms_[i]) == nullptr))
            return Error{ErrorCode::unavailable, "a ring device without transmit callbacks"};
    }
    return {};
}

Result<void> Rig::start_workers() {
    const std::uint16_t symbol = wire::symbol_bytes_for_mtu(config_.jumbo ? 8896 : 1500, false);
    worker::MemoryPlan plan = worker::plan_memory(1'000'000'000, 1, 1, worker::kStripeSymbols, symbol);
    plan.send_blocks = plan.receive_blocks = static_cast<std::uint32_t>(kArenaBytes / plan.block_stride);
    plan.read_ahead_blocks = plan.send_blocks * 3 / 4;
    plan.arena_bytes = plan.block_stride * (std::uint64_t{plan.send_blocks} + plan.receive_blocks);
    unsigned lcore = rte_get_next_lcore(-1, 1, 0);
    for (unsigned i = 0; i < 2; ++i) {
        if (!here(i)) continue;
        Side& side = sides_[i];
        side.config.arrivals = &side.arrivals;
        side.config.poll = true;
        side.config.plan = plan;
        side.config.crypto_device = "crypto_aesni_gcm1" + std::to_string(i);
        if (rte_eal_hotplug_add("vdev", side.config.crypto_device.c_str(), "max_nb_queue_pairs=1") != 0)
            return Error{ErrorCode::unavailable, "no AEAD device: install librte-crypto-ipsec-mb23"};
        const std::size_t held = plan.receive_blocks / 2;
        if (!on_disk())
            side.config.make_storage = [held](const storage::StorageConfig&, MutableByteView arena) {
                return Result<std::unique_ptr<storage::Storage>>(make_memory_storage(arena, held));
            };
        side.wake_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        auto ready = side.started.get_future();
        if (lcore >= RTE_MAX_LCORE || rte_eal_remote_launch(run_side, &side, lcore) != 0)
            return Error{ErrorCode::exhausted, "a worker lcore for each side is needed"};
        side.lcore = lcore;
        lcore = rte_get_next_lcore(lcore, 1, 0);
        if (auto outcome = ready.get(); !outcome.ok()) return outcome.error();
        if (!on_disk()) continue;
        const auto role = i == 0 ? storage::StoreRole::source : storage::StoreRole::target;
        side.tell(worker::OpenStore{i + 1, 1, config_.folders[i], role});
    }
    return {};
}

// What stands at the source: with a disk, one file, and every bundle is the same range of it.
Result<wire::Entry> Rig::entry_of(std::uint64_t number) const {
    wire::Entry entry;
    entry.kind = wire::EntryKind::range;
    entry.object = {2, number};
    entry.size = entry.file_size = kBundleBytes;
    if (!on_disk()) return entry;
    entry.object = {2, 1};
    entry.path = "source";
    struct stat found {};
    if (::stat((config_.folders[0] + "/source").c_str(), &found) != 0 ||
        static_cast<std::uint64_t>(found.st_size) < kBundleBytes)
        return Error{ErrorCode::invalid_argument,
                     config_.folders[0] + " needs a file `source` of at least 512 MiB"};
    entry.file_size = static_cast<std::uint64_t>(found.st_size);
    entry.mtime_ns = found.st_mtim.tv_sec * std::int64_t{1'000'000'000} + found.st_mtim.tv_nsec;
    return entry;
}

// What the two control processes would have agreed on.
void Rig::join() {
    crypto::LaneSecret secret;
    secret.bytes.fill(0x42);
    for (unsigned i = 0; i < 2; ++i) {
        if (!here(i)) continue;
        worker::ConfigureLink link;
        link.settings.link = kLink;
        link.settings.name = "bench";
        link.settings.lanes = config_.lanes;
        link.settings.rate_bps = kRateBps;
        link.settings.fixed_parity = config_.parity;
        link.local_ip = address_of(i);
        link.remote_ip = address_of(1 - i);
        sides_[i].tell(link);
        worker::StartSession session;
        session.link = kLink;
        session.session = "bench";
        session.parameters.symbol_bytes = wire::symbol_bytes_for_mtu(sides_[i].port->config().mtu, false);
        session.parameters.stripe_symbols = worker::kStripeSymbols;
        session.parameters.lanes = static_cast<std::uint8_t>(config_.lanes);
        session.parameters.path = kLink;
        for (unsigned lane = 0; lane < config_.lanes; ++lane) {
            const std::uint32_t spis[] = {0x1000 + lane, 0x2000 + lane};
            const auto key = [&](std::uint32_t spi) {
                return crypto::lane_secret(secret, spi, kLink, static_cast<std::uint8_t>(lane)).value();
            };
            session.lanes.push_back({spis[i], spis[1 - i], key(spis[i]), key(spis[1 - i])});
        }
        sides_[i].tell(session);
    }
}

Result<void> Rig::offer_bundles() {
    if (!here(0)) return {};
    for (; offered_ < sides_[0].published + kBundlesAhead; ++offered_) {
        wire::Manifest manifest;
        manifest.id = {1, offered_ + 1};
        manifest.store = 1;
        manifest.payload_bytes = kBundleBytes;
        auto entry = entry_of(offered_ + 1);
        if (!entry.ok()) return entry.error();
        manifest.entries.push_back(std::move(entry).value());
        auto head = wire::write_manifest(manifest);
        if (!head.ok()) return head.error();
        sides_[0].tell(worker::OfferBundle{{kLink, manifest.id, 0, 1}, std::move(head).value()});
    }
    return {};
}

Result<void> Rig::start() {
    if (rings_)
        if (auto made = make_rings(); !made.ok()) return made;
    if (auto opened = open_ports(); !opened.ok()) return opened;
    if (auto started = start_workers(); !started.ok()) return started;
    join();
    return {};
}

Result<void> Rig::run_for(double seconds) {
    const double until = now_seconds() + seconds;
    while (now_seconds() < until) {
        sides_[here(0) ? 0 : 1].wait(20);
        for (Side& side : sides_) {
            side.listen();
            if (side.error) return *side.error;
        }
        if (auto offered = offer_bundles(); !offered.ok()) return offered;
    }
    return {};
}

// The workers tell their figures once a second.
Result<void> Rig::next_figures() {
    for (Side& side : sides_) {
        if (side.port == nullptr) continue;
        side.listen();
        for (const double until = now_seconds() + 5; !side.listen();) {
            if (now_seconds() > until) return Error{ErrorCode::unavailable, "a worker has gone silent"};
            if (auto offered = offer_bundles(); !offered.ok()) return offered;
            side.wait(5);
        }
    }
    return {};
}

Result<RigFigures> Rig::measure() {
    if (auto warm = run_for(1); !warm.ok()) return warm.error();
    RigFigures figures;
    const auto note = [&](int sign) -> Result<void> {
        if (auto fresh = next_figures(); !fresh.ok()) return fresh;
        figures.seconds += sign * now_seconds();
        figures.lost_packets +=
            sign > 0 ? sides_[0].status.tx_lost_packets : 0 - sides_[0].status.tx_lost_packets;
        const auto bytes = static_cast<std::int64_t>(sides_[1].status.rx_payload_bytes);
        figures.payload_bytes =
            static_cast<std::uint64_t>(static_cast<std::int64_t>(figures.payload_bytes) + sign * bytes);
        for (auto* each : {&figures.sender, &figures.receiver}) {
            const Side& side = sides_[each == &figures.sender ? 0 : 1];
            if (side.port == nullptr) continue;
            each->cpu_share += sign * side.cpu_seconds();
            // The worker's clock counted the waiting among its frames.
            const std::uint64_t waited = rooms_[each == &figures.sender ? 0 : 1].waited_cycles.load();
            auto& frames = each->busy_cycles[static_cast<std::size_t>(worker::Stage::frames)];
            frames -= sign > 0 ? waited : 0 - waited;
            each->waited_cycles += sign > 0 ? waited : 0 - waited;
            for (std::size_t stage = 0; stage < worker::kStages; ++stage)
                each->busy_cycles[stage] += sign > 0 ? side.cycles[stage] : 0 - side.cycles[stage];
        }
        return {};
    };
    if (auto begun = note(-1); !begun.ok()) return begun.error();
    if (auto ran = run_for(config_.seconds); !ran.ok()) return ran.error();
    if (auto ended = note(1); !ended.ok()) return ended.error();
    figures.sender.cpu_share /= figures.seconds;
    figures.receiver.cpu_share /= figures.seconds;
    figures.cycles_per_second = rte_get_tsc_hz();
    figures.symbol_bytes = sides_[here(0) ? 0 : 1].status.symbol_bytes;
    if (figures.payload_bytes == 0 && here(1))
        return Error{ErrorCode::unavailable, "nothing was delivered; the sender says: " + sides_[0].said +
                                                 "; the receiver: " + sides_[1].said};
    return figures;
}

}  // namespace

Result<RigFigures> run_rig(const RigConfig& config) {
    Rig rig(config);
    if (auto started = rig.start(); !started.ok()) return started.error();
    return rig.measure();
}

}  // namespace longhaul::bench
