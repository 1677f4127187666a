// One DPDK port, whatever device stands behind it: opened by name, configured, polled, recovered and closed.
// SPDX-License-Identifier: Apache-2.0
#include <rte_alarm.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <atomic>
#include <mutex>

#include "drivers/nic/burst_gate.h"
#include "drivers/nic/device_name.h"
#include "drivers/nic/interrupt_thread.h"
#include "drivers/nic/memif_listener.h"
#include "drivers/nic/nic.h"
#include "drivers/nic/steering.h"

namespace longhaul::nic {
namespace {

constexpr unsigned kTransmitTries = 4;
constexpr unsigned kPoolCache = 256;
constexpr unsigned kFrameOverheadBytes = 14 + 2 * 4 + 4;  // Ethernet, two VLAN tags, FCS
constexpr unsigned kLinkChecksPerSecond = 1000;
// A memif client must knock again by itself when its server was gone. One that got through waits for its handshake: a
// server that finds a caller gone before it has answered closes the descriptor but leaves it registered with EAL
// (DPDK 22.11), which ends that process in a panic. No longer than that: a server that is just being opened refuses.
constexpr unsigned kKnocksPerSecond = 10;
constexpr unsigned kHandshakeSeconds = 1;

struct alignas(64) QueueCounters {  // written by the queue's owner, read by anybody
    std::atomic<std::uint64_t> rx_packets{0}, rx_bytes{0}, tx_packets{0}, tx_bytes{0}, tx_dropped{0};

    static void add(std::atomic<std::uint64_t>& counter, std::uint64_t value) noexcept {
        counter.store(counter.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
    }
};

// A device counter that restarts at zero with its device, made monotonic.
struct Monotonic {
    std::uint64_t before = 0, last = 0;
    std::uint64_t take(std::uint64_t seen) noexcept {
        if (seen < last) before += last;
        last = seen;
        return before + seen;
    }
};

class DpdkPort final : public Port {
  public:
    DpdkPort(PortConfig config, DeviceName device) : config_(std::move(config)), device_(std::move(device)) {
        gate_.close();
    }
    ~DpdkPort() override;
    Result<void> bring_up();

    const PortConfig& config() const override { return config_; }
    const wire::MacAddress& mac() const override { return mac_; }
    rte_mempool* pool() const override { return pool_; }
    wire::UdpChecksum udp_checksum(bool v6) const override {
        if (checksums_offloaded_) return wire::UdpChecksum::offloaded;
        return config_.udp_checksum || v6 ? wire::UdpChecksum::computed : wire::UdpChecksum::absent;
    }
    bool checksum_verified(const rte_mbuf& frame) const override {
        return checksums_verified_ &&
               (frame.ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    }
    bool link_up() override;
    unsigned receive(unsigned queue, rte_mbuf** frames, unsigned count) override;
    unsigned transmit(unsigned queue, rte_mbuf** frames, unsigned count) override;
    std::uint64_t transmit_dropped() const override;
    PortStats stats() const override;
    std::uint64_t link_epoch() const override { return link_epoch_.load(std::memory_order_relaxed); }
    Result<void> recover() override;
    Result<void> steer(const SteeredFlow& flow, unsigned queue) override;
    void forget(const SteeredFlow& flow) override;
    void prepare(rte_mbuf* frame, bool v6, unsigned l2_bytes, unsigned l3_bytes) const override;

  private:
    Result<void> probe();
    Result<void> check_limits(const rte_eth_dev_info& info) const;
    Result<void> configure(rte_eth_dev_info& info);
    Result<void> make_pool(std::uint16_t rx_descriptors, std::uint16_t tx_descriptors);
    Result<void> start();
    Result<void> restart();  // memif: on the interrupt thread
    static void restart_later(void* port);
    void shut();  // likewise
    bool refresh_link();
    void keep_link(unsigned queue);
    Error failure(ErrorCode code, const std::string& what, int status) const;

    PortConfig config_;
    DeviceName device_;
    std::uint16_t port_ = RTE_MAX_ETHPORTS;
    std::optional<MemifListener> listener_;
    rte_mempool* pool_ = nullptr;
    wire::MacAddress mac_{};
    bool checksums_offloaded_ = false, checksums_verified_ = false;
    std::atomic<bool> started_{false};     // written under control_
    std::atomic<bool> recovering_{false};  // a restart is on its way to the interrupt thread
    std::mutex control_;                   // one restart, one change of rules at a time
    Steering steering_;                    // guarded by control_
    BurstGate gate_;                       // closed while the device is stopped
    std::atomic<bool> up_{false};
    std::atomic<std::uint64_t> link_epoch_{0};
    std::uint64_t link_checked_ = 0;  // TSC; queue 0's owner
    std::uint64_t recovered_ = 0;     // TSC; queue 0's owner
    bool handshake_done_ = false;     // the link was up since the last start; queue 0\'s owner
    QueueCounters counters_[kQueuesMax];
    mutable std::mutex stats_mutex_;
    mutable Monotonic missed_, rx_errors_, tx_errors_, no_mbuf_;  // guarded by stats_mutex_
};

Error DpdkPort::failure(ErrorCode code, const std::string& what, int status) const {
    return {code, "port " + config_.name + " (" + device_.name + "): " + what +
                      (status == 0 ? "" : ": " + std::string(rte_strerror(status < 0 ? -status : status)))};
}

Result<void> DpdkPort::probe() {
    if (rte_eth_dev_get_port_by_name(device_.name.c_str(), &port_) == 0) return {};
    if (auto cleared = clear_stale_socket(device_); !cleared) return cleared.error();
    const int status =
        device_.pci ? rte_dev_probe(
                          (device_.name + (device_.arguments.empty() ? "" : "," + device_.arguments)).c_str())
                    : rte_eal_hotplug_add("vdev", device_.name.c_str(), device_.arguments.c_str());
    if (status != 0)
        return failure(
            ErrorCode::unavailable,
            device_.pci
                ? "the device cannot be used; bind it to vfio-pci, name it in pci_allow and check the address"
                : "the device cannot be made from \"" + device_.arguments +
                      "\"; see the driver's own line above",
            status);
    listener_.emplace(device_);
    if (rte_eth_dev_get_port_by_name(device_.name.c_str(), &port_) != 0)
        return failure(ErrorCode::not_found, "the device gives no Ethernet port", 0);
    return {};
}

Result<void> DpdkPort::check_limits(const rte_eth_dev_info& info) const {
    // The driver's own limit counts the Ethernet header and FCS, as rte_eth_dev_configure does.
    const unsigned overhead = info.max_mtu != UINT16_MAX && info.max_rx_pktlen > info.max_mtu
                                  ? info.max_rx_pktlen - info.max_mtu
                                  : RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
    const unsigned most = std::min(info.max_rx_pktlen - overhead, static_cast<unsigned>(info.max_mtu));
    if (config_.mtu > most)
        return failure(ErrorCode::invalid_argument,
                       "carries MTU " + std::to_string(most) + " at most, " + std::to_string(config_.mtu) +
                           " is configured: set mtu = " + std::to_string(most) +
                           (device_.memif ? ", or use net_vhost with virtio_user between processes: memif of "
                                            "this DPDK has no jumbo frames"
                                          : ""),
                       0);
    if (config_.mtu < info.min_mtu)
        return failure(ErrorCode::invalid_argument,
                       "needs an MTU of at least " + std::to_string(info.min_mtu), 0);
    return {};
}

Result<void> DpdkPort::make_pool(std::uint16_t rx_descriptors, std::uint16_t tx_descriptors) {
    const unsigned needed = config_.queues * (rx_descriptors + tx_descriptors) +
                            std::max(config_.queues, config_.users) * kPoolCache + config_.frames_between +
                            512;
    const unsigned count = std::max(config_.mbufs, needed);
    const unsigned room =
        RTE_PKTMBUF_HEADROOM +
        std::max<unsigned>(RTE_MBUF_DEFAULT_DATAROOM, RTE_ALIGN_CEIL(config_.mtu + kFrameOverheadBytes, 64u));
    const std::string name = "lh_port" + std::to_string(port_);
    pool_ = rte_pktmbuf_pool_create(name.c_str(), count, kPoolCache, 0, static_cast<std::uint16_t>(room),
                                    SOCKET_ID_ANY);
    // Without hugepages no buffer crosses a page: the rest of each page is lost.
    const unsigned footprint = rte_eal_has_hugepages() != 0 ? room + 256 : RTE_ALIGN_CEIL(room + 256, 4096u);
    if (pool_ == nullptr)
        return failure(ErrorCode::exhausted,
                       "no memory for " + std::to_string(count) + " frames of " + std::to_string(room) +
                           " bytes (" + std::to_string(static_cast<std::uint64_t>(count) * footprint >> 20) +
                           " MiB): raise memory_mib",
                       rte_errno);
    return {};
}

Result<void> DpdkPort::configure(rte_eth_dev_info& info) {
    rte_eth_conf settings{};
    settings.rxmode.mtu = config_.mtu;
    settings.rxmode.mq_mode =
        config_.queues > 1 && info.flow_type_rss_offloads != 0 ? RTE_ETH_MQ_RX_RSS : RTE_ETH_MQ_RX_NONE;
    settings.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
    constexpr std::uint64_t kChecksums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
    checksums_offloaded_ = (info.tx_offload_capa & kChecksums) == kChecksums;
    if (checksums_offloaded_) settings.txmode.offloads = kChecksums;
    // Of hardware only: a virtual peer may hand over frames whose checksum nobody has computed.
    checksums_verified_ = device_.pci && (info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_UDP_CKSUM) != 0;
    if (checksums_verified_) settings.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
    const auto queues = static_cast<std::uint16_t>(config_.queues);
    if (const int status = rte_eth_dev_configure(port_, queues, queues, &settings); status != 0)
        return failure(ErrorCode::unavailable, "the device refuses its configuration", status);
    if (const int status = rte_eth_dev_set_mtu(port_, config_.mtu); status != 0 && status != -ENOTSUP)
        return failure(ErrorCode::invalid_argument, "the device refuses MTU " + std::to_string(config_.mtu),
                       status);

    std::uint16_t rx_descriptors = config_.descriptors, tx_descriptors = config_.descriptors;
    rte_eth_dev_adjust_nb_rx_tx_desc(port_, &rx_descriptors, &tx_descriptors);
    if (auto made = make_pool(rx_descriptors, tx_descriptors); !made) return made.error();
    rte_eth_txconf tx = info.default_txconf;
    tx.offloads = settings.txmode.offloads;
    for (std::uint16_t queue = 0; queue < queues; ++queue) {
        int status = rte_eth_rx_queue_setup(port_, queue, rx_descriptors, SOCKET_ID_ANY, nullptr, pool_);
        if (status == 0) status = rte_eth_tx_queue_setup(port_, queue, tx_descriptors, SOCKET_ID_ANY, &tx);
        if (status != 0)
            return failure(ErrorCode::unavailable, "queue " + std::to_string(queue) + " cannot be set up",
                           status);
    }
    return {};
}

Result<void> DpdkPort::start() {
    // A memif client whose server is not there yet fails to start: that is a link that is down, not an error.
    const int log_level = device_.memif_client ? rte_log_get_level(rte_log_register("pmd.net.memif")) : 0;
    if (device_.memif_client) rte_log_set_level_pattern("pmd.net.memif", RTE_LOG_CRIT);
    const int status = rte_eth_dev_start(port_);
    if (device_.memif_client)
        rte_log_set_level_pattern("pmd.net.memif", static_cast<std::uint32_t>(log_level));
    started_ = status == 0;
    if (status != 0 && !device_.memif_client)
        return failure(ErrorCode::unavailable, "the device does not start", status);
    if (started_) {
        // Refused by devices that receive everything anyway; then there is nothing to ask for.
        if (config_.promiscuous) rte_eth_promiscuous_enable(port_);
        rte_eth_allmulticast_enable(port_);
    }
    return {};
}

Result<void> DpdkPort::bring_up() {
    if (config_.queues == 0) return failure(ErrorCode::invalid_argument, "needs at least one queue", 0);
    if (auto probed = probe(); !probed) return probed.error();
    rte_eth_dev_info info{};
    if (const int status = rte_eth_dev_info_get(port_, &info); status != 0)
        return failure(ErrorCode::unavailable, "the device does not describe itself", status);
    if (auto fits = check_limits(info); !fits) return fits.error();
    // memif polls queues that its peer may not have: one is sure. Whoever has no queue works through those of others.
    const unsigned most = std::min(
        {static_cast<unsigned>(info.max_rx_queues), static_cast<unsigned>(info.max_tx_queues), kQueuesMax});
    config_.queues = std::min(config_.queues, device_.memif ? 1u : std::max(most, 1u));
    if (auto configured = configure(info); !configured) return configured.error();
    if (auto begun = start(); !begun) return begun.error();
    if (started_) gate_.open();
    rte_ether_addr address{};
    if (const int status = rte_eth_macaddr_get(port_, &address); status != 0)
        return failure(ErrorCode::unavailable, "the device has no MAC address", status);
    std::copy(std::begin(address.addr_bytes), std::end(address.addr_bytes), mac_.begin());
    refresh_link();
    recovered_ = rte_get_tsc_cycles();
    return {};
}

DpdkPort::~DpdkPort() {
    rte_eal_alarm_cancel(restart_later, this);  // waits for one that is running
    if (port_ != RTE_MAX_ETHPORTS) {
        rte_eth_dev_info info{};
        rte_device* device = rte_eth_dev_info_get(port_, &info) == 0 ? info.device : nullptr;
        const auto shut = [](void* port) { static_cast<DpdkPort*>(port)->shut(); };
        if (device_.memif)
            run_on_interrupt_thread(shut, this);
        else
            shut(this);
        if (device != nullptr) rte_dev_remove(device);
    }
    listener_.reset();
    rte_mempool_free(pool_);
}

Result<void> DpdkPort::steer(const SteeredFlow& flow, unsigned queue) {
    const std::lock_guard lock(control_);
    if (queue >= config_.queues)
        return failure(ErrorCode::invalid_argument,
                       "has " + std::to_string(config_.queues) + " receive queues, none of them number " +
                           std::to_string(queue),
                       0);
    if (config_.queues == 1) return {};  // there is no other way
    auto steered = steering_.steer(port_, flow, config_.vlan, queue);
    if (!steered)
        return failure(steered.error().code, "the device takes no flow rule (" + steered.error().text + ")",
                       0);
    return {};
}

void DpdkPort::forget(const SteeredFlow& flow) {
    const std::lock_guard lock(control_);
    steering_.forget(port_, flow);
}

void DpdkPort::shut() {
    steering_.stopped(port_);
    if (started_) {
        gate_.close();
        rte_eth_dev_stop(port_);
    }
    rte_eth_dev_close(port_);
}

bool DpdkPort::refresh_link() {
    rte_eth_link link{};
    const bool now_up = rte_eth_link_get_nowait(port_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
    if (up_.exchange(now_up, std::memory_order_relaxed) != now_up && now_up)
        link_epoch_.fetch_add(1, std::memory_order_relaxed);
    return now_up;
}

bool DpdkPort::link_up() {
    return up_.load(std::memory_order_relaxed);
}

// The link's state is looked at a thousand times a second: it costs an ioctl or a register read on some
// devices.
void DpdkPort::keep_link(unsigned queue) {
    if (queue != 0) return;
    const std::uint64_t now = rte_get_tsc_cycles();
    if (now - link_checked_ < rte_get_tsc_hz() / kLinkChecksPerSecond) return;
    link_checked_ = now;
    if (refresh_link()) {
        recovered_ = now;
        handshake_done_ = true;
        return;
    }
    if (!device_.memif_client || recovering_.load(std::memory_order_acquire)) return;
    const bool in_handshake = started_.load(std::memory_order_relaxed) && !handshake_done_;
    const std::uint64_t hz = rte_get_tsc_hz();
    if (now - recovered_ < (in_handshake ? hz * kHandshakeSeconds : hz / kKnocksPerSecond)) return;
    handshake_done_ = false;
    recovered_ = now;
    // The poller does not wait for it.
    recovering_.store(true, std::memory_order_release);
    if (rte_eal_alarm_set(1, restart_later, this) != 0) recovering_.store(false, std::memory_order_release);
}

void DpdkPort::restart_later(void* port) {
    auto& self = *static_cast<DpdkPort*>(port);
    // Only a memif client comes here; one that finds no server is not an error and knocks again soon.
    const auto begun = self.restart();
    LH_ASSERT(begun.ok());
    self.recovering_.store(false, std::memory_order_release);
}

Result<void> DpdkPort::recover() {
    if (!device_.memif) return restart();
    struct Call {
        DpdkPort* port;
        Result<void> outcome;
    } call{this, {}};
    run_on_interrupt_thread(
        [](void* pointer) {
            auto* there = static_cast<Call*>(pointer);
            there->outcome = there->port->restart();
        },
        &call);
    return call.outcome;
}

Result<void> DpdkPort::restart() {
    const std::lock_guard lock(control_);
    if (started_) {
        steering_.stopped(port_);
        gate_.close();
        rte_eth_dev_stop(port_);
        started_ = false;
    }
    auto begun = start();
    if (started_) {
        steering_.started(port_, config_.vlan);
        gate_.open();
    }
    return begun;
}

unsigned DpdkPort::receive(unsigned queue, rte_mbuf** frames, unsigned count) {
    keep_link(queue);
    if (!gate_.enter(2 * queue)) return 0;
    const unsigned received =
        rte_eth_rx_burst(port_, static_cast<std::uint16_t>(queue), frames, static_cast<std::uint16_t>(count));
    gate_.leave(2 * queue);
    if (received == 0) return 0;
    std::uint64_t bytes = 0;
    for (unsigned i = 0; i < received; ++i)
        bytes += frames[i]->pkt_len;
    QueueCounters::add(counters_[queue].rx_packets, received);
    QueueCounters::add(counters_[queue].rx_bytes, bytes);
    return received;
}

unsigned DpdkPort::transmit(unsigned queue, rte_mbuf** frames, unsigned count) {
    // Lengths are read before the device owns the frames.
    constexpr unsigned kChunk = 64;
    unsigned accepted = 0;
    std::uint64_t bytes = 0;
    if (link_up() && gate_.enter(2 * queue + 1)) {
        std::uint32_t lengths[kChunk];
        for (unsigned tries = 0; tries < kTransmitTries && accepted < count;) {
            const unsigned chunk = std::min(count - accepted, kChunk);
            for (unsigned i = 0; i < chunk; ++i)
                lengths[i] = frames[accepted + i]->pkt_len;
            const unsigned sent = rte_eth_tx_burst(port_, static_cast<std::uint16_t>(queue),
                                                   frames + accepted, static_cast<std::uint16_t>(chunk));
            for (unsigned i = 0; i < sent; ++i)
                bytes += lengths[i];
            accepted += sent;
            if (sent < chunk) {
                ++tries;
                rte_pause();
            }
        }
        gate_.leave(2 * queue + 1);
    }
    QueueCounters& counters = counters_[queue];
    QueueCounters::add(counters.tx_packets, accepted);
    QueueCounters::add(counters.tx_bytes, bytes);
    if (accepted < count) {
        QueueCounters::add(counters.tx_dropped, count - accepted);
        rte_pktmbuf_free_bulk(frames + accepted, count - accepted);
    }
    return accepted;
}

std::uint64_t DpdkPort::transmit_dropped() const {
    std::uint64_t sum = 0;
    for (unsigned queue = 0; queue < config_.queues; ++queue)
        sum += counters_[queue].tx_dropped.load(std::memory_order_relaxed);
    return sum;
}

PortStats DpdkPort::stats() const {
    rte_eth_stats device{};
    const std::lock_guard lock(stats_mutex_);
    if (rte_eth_stats_get(port_, &device) != 0) device = {};
    PortStats sum{};
    for (unsigned queue = 0; queue < config_.queues; ++queue) {
        const QueueCounters& counters = counters_[queue];
        sum.rx_packets += counters.rx_packets.load(std::memory_order_relaxed);
        sum.rx_bytes += counters.rx_bytes.load(std::memory_order_relaxed);
        sum.tx_packets += counters.tx_packets.load(std::memory_order_relaxed);
        sum.tx_bytes += counters.tx_bytes.load(std::memory_order_relaxed);
    }
    sum.rx_missed = missed_.take(device.imissed);
    sum.rx_errors = rx_errors_.take(device.ierrors);
    sum.tx_errors = tx_errors_.take(device.oerrors);
    sum.no_mbuf = no_mbuf_.take(device.rx_nombuf);
    return sum;
}

void DpdkPort::prepare(rte_mbuf* frame, bool v6, unsigned l2_bytes, unsigned l3_bytes) const {
    if (!checksums_offloaded_) return;
    frame->l2_len = l2_bytes & 0x7f;
    frame->l3_len = l3_bytes & 0x1ff;
    frame->ol_flags |=
        RTE_MBUF_F_TX_UDP_CKSUM | (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM);
}

}  // namespace

Result<std::unique_ptr<Port>> Port::open(const PortConfig& config) {
    auto device = parse_device(config.device);
    if (!device) return Error{device.error().code, "port " + config.name + ": " + device.error().text};
    auto port = std::make_unique<DpdkPort>(config, std::move(device).value());
    if (auto up = port->bring_up(); !up) return up.error();
    return std::unique_ptr<Port>(std::move(port));
}

}  // namespace longhaul::nic
