// DPDK ports: EAL bring-up from configuration, any ethdev by name (PCI address, net_memif, net_af_packet,
// net_af_xdp, net_ring, net_tap ...), bursts, and the neighbour duties of a good host (ARP, NDP, ICMP echo)
// through Neighbours.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/base/time.h"
#include "dataplane/wire/frame.h"

struct rte_mbuf;
struct rte_mempool;

namespace longhaul::nic {

struct EalConfig {
    std::string program = "longhaul";
    std::string file_prefix = "longhaul";  // one per process on a machine
    std::string run_directory;             // where DPDK keeps its sockets; empty: DPDK's default
    bool hugepages = true;      // used when some are free; ordinary pages otherwise (said in `report`)
    unsigned memory_mib = 256;  // without hugepages: reserved at start
    unsigned workers = 1;       // worker lcores 1..workers beside the main lcore 0
    std::string cores;          // e.g. "2-3": cores the workers may use; empty: float over all
    std::vector<std::string> pci_allow;  // empty: --no-pci
    std::vector<std::string> extra;      // verbatim EAL arguments
};
struct EalReport {
    bool hugepages = false;
    std::string text;
};
Result<EalReport> eal_start(const EalConfig& config);
// How a process that started EAL ends: at once, with its output flushed. rte_eal_cleanup frees memory that EAL's own
// interrupt thread may still read (memif, 22.11: seen as crashes under load), and the kernel takes back all of it.
[[noreturn]] void end_process(int code);

struct IpPrefix {
    wire::IpAddress address;
    unsigned length = 24;
};
Result<IpPrefix> parse_prefix(std::string_view text);  // "10.9.0.1/24", "fd00::1/64"

struct PortConfig {
    std::string name;    // the operator's name: "wan0"
    std::string device;  // PCI address or vdev arguments "net_memif0,role=client,socket=/run/..."
    std::uint16_t mtu = 1500;
    std::vector<IpPrefix> addresses;
    wire::IpAddress gateway_v4, gateway_v6;  // all-zero: none
    std::uint16_t vlan = 0;
    // Queue pairs, wanted (one a worker, or as many as the operator allows); of an open port: what it has.
    unsigned queues = 1;
    unsigned users = 1;           // threads that take frames from the port's pool
    unsigned frames_between = 0;  // that may be on their way from one of them to another
    std::uint16_t descriptors = 1024;
    unsigned mbufs = 8192;  // of the port's pool; raised to what the descriptors need
    bool promiscuous = false;
    bool udp_checksum =
        true;  // false: IPv4 frames leave without one, where no wire lies between (memif, vhost)
};

struct PortStats {
    std::uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, rx_missed, rx_errors, tx_errors, no_mbuf;
};

// What a lane's frames look like to the port that receives them.
struct SteeredFlow {
    wire::IpAddress source;      // of the other end
    std::uint16_t udp_port = 0;  // that it sends to
    auto operator<=>(const SteeredFlow&) const = default;
};

class Port {
  public:
    static Result<std::unique_ptr<Port>> open(const PortConfig& config);
    // Stops and closes the device and frees its pool: every frame taken from either must have come back.
    virtual ~Port() = default;

    virtual const PortConfig& config() const = 0;
    virtual const wire::MacAddress& mac() const = 0;
    virtual rte_mempool* pool() const = 0;  // for frames this process builds
    // How frames are to be written; offloaded: mark each with prepare().
    virtual wire::UdpChecksum udp_checksum(bool v6) const = 0;
    // The device has verified this received frame's checksums already.
    virtual bool checksum_verified(const rte_mbuf& frame) const = 0;
    virtual bool link_up() = 0;
    // Also counts, and brings a memif client back to its server (at most ten tries a second, from queue 0).
    virtual unsigned receive(unsigned queue, rte_mbuf** frames, unsigned count) = 0;
    // Takes ownership of all: what the device does not accept after a bounded number of tries is freed and
    // counted.
    virtual unsigned transmit(unsigned queue, rte_mbuf** frames, unsigned count) = 0;
    // A link that is down takes nothing: all is freed and counted at once. Returns the frames that were
    // accepted.
    virtual std::uint64_t transmit_dropped() const = 0;
    // Packets and bytes as this process counted them: they survive a peer that leaves (memif's own do not).
    virtual PortStats stats() const = 0;
    // Rises each time the link comes up: a peer that was replaced has another MAC, announce and resolve
    // again.
    virtual std::uint64_t link_epoch() const = 0;
    // Stops and starts the device, waiting until no queue is inside a burst. receive() does this by itself
    // for a memif client whose server left; for other devices the operator's command may ask for it. Any
    // thread.
    virtual Result<void> recover() = 0;
    // Asks the device to deliver these frames at this queue, until forget() or the port's end. An error is no fault of
    // anybody: devices without flow rules deliver by their own choice. Any thread.
    virtual Result<void> steer(const SteeredFlow& flow, unsigned queue) = 0;
    virtual void forget(const SteeredFlow& flow) = 0;
    // Marks a frame for checksum offload when they are offloaded: header lengths as written by
    // write_udp_frame.
    virtual void prepare(rte_mbuf* frame, bool v6, unsigned l2_bytes, unsigned l3_bytes) const = 0;
};

// ARP (RFC 826), NDP (RFC 4861) and ICMP/ICMPv6 echo for one port: pure on bytes and time, so it is tested
// without a port. Owned by the worker that owns the port's queue 0.
class Neighbours {
  public:
    Neighbours(const wire::MacAddress& own_mac, std::vector<IpPrefix> own, wire::IpAddress gateway_v4,
               wire::IpAddress gateway_v6, std::uint16_t vlan);
    ~Neighbours();
    Neighbours(Neighbours&&) noexcept;
    Neighbours& operator=(Neighbours&&) noexcept;

    // The MAC to send to for `target` (on-link or by the gateway), or nullopt: a request will be emitted by
    // next_request.
    std::optional<wire::MacAddress> resolve(const wire::IpAddress& target, TimeNs now);
    // A frame that is not a Longhaul packet. Returns the bytes of a reply in `reply` (0: none). Rate-limited.
    std::size_t handle(ByteView frame, TimeNs now, MutableByteView reply);
    // A request or announcement (gratuitous ARP, unsolicited NA) that is due; 0: none.
    std::size_t next_request(TimeNs now, MutableByteView frame);
    TimeNs next_wake() const;
    // The link came back: announce the own addresses again and confirm every neighbour before long.
    void announce(TimeNs now);

    struct Counters {
        std::uint64_t arp_replies, arp_requests, nd_replies, nd_requests, echo_replies, limited, ignored,
            conflicts;
    };
    const Counters& counters() const;
    struct Known {
        wire::IpAddress ip;
        wire::MacAddress mac;
        TimeNs age;
    };
    std::vector<Known> known(TimeNs now) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace longhaul::nic
