// What control and dataplane say to each other over the Unix socket. Frames: u32 body bytes, u32 JSON bytes
// (both network order), then the body: the JSON document, then a blob (a manifest's head, where names need
// not be UTF-8). Body bytes count both, not the two lengths. Every field is written and required except
// fixed_parity; fields that a reader does not know are ignored. Byte strings are hex, stages and link states
// names, fail reasons their numbers, `failures` pairs [entry, reason]. Numbers are whole decimal numbers,
// exact to 64 bits, but for ms and loss.
//
// A request is {"seq": N, "request": NAME, ...fields}; the dataplane answers each with {"re": N, "ok": true,
// ...fields} or {"re": N, "ok": false, "code": to_string(ErrorCode), "text": "..."}. An event is
// {"event": NAME, ...fields}. Where the table names a struct (LinkSettings, LinkStart, LinkOffer,
// BundleOfferMessage, BundleEvent, LinkStatus, StatusReport) its JSON members stand at the top level beside
// seq/request, re/ok or event. store and link are numbers, role is "source" | "target", ids is a list of
// 32-hex-digit strings, id is one. Everything is idempotent by its id: after either side has restarted, the
// other states everything again. One control is served at a time; a new connection replaces the old.
//
//   request        fields                                    answer
//   hello          control (instance id)                     boot_id, version, pid, ports[]
//   status         -                                         StatusReport
//   store_open     store, directory, role, marked (false:    -
//                  a target's directory takes its mark)
//   store_close    store                                     -
//   link_add       LinkSettings; again with the same id:     -     (may be repeated)
//                  rate, share, mode, goal, parity change live
//   link_remove    link                                      -
//   link_prepare   link                                      LinkOffer: a fresh nonce and SPIs, valid for one
//                                                            link_start
//   link_start     LinkStart                                 -     (the session replaces the one before; open
//                                                                  bundles start again)
//   bundle_offer   BundleOfferMessage + blob = head; again   accepted: bool (false: too many open, offer
//                  with a higher generation: what is in      again later)
//                  flight moves to the offer's link
//   bundle_cancel  id                                        -
//   bundle_ack     ids: results that control has recorded    -     (the dataplane forgets them)
//   order_publish  link, id, generation                      -     (target side: the staged bundle becomes visible;
//                                                                  not_found: it is not staged here any more)
//   order_discard  link, id, generation                      -     (target side: it fails with `superseded`)
//
//   event          fields
//   bundle         BundleEvent            source side: complete / durable / published / failed; repeated
//   after
//                                         reconnect until acked
//   arrival        BundleEvent            target side: the same stages as seen here (informative, not
//   repeated) mark           store, watermark_ns    target side: every change up to this source time is
//   published link           LinkStatus             state changes, and every second while up
//   order          OrderEvent             target side: a bundle published in order is staged, or what became of it;
//                                         those not over yet are told again behind the first status of a connection
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"
#include "dataplane/wire/feedback.h"
#include "dataplane/wire/manifest.h"

namespace longhaul::command {

inline constexpr std::size_t kFrameBytesMax = 8u << 20;  // body; the largest lists below fit
inline constexpr std::size_t kLinksMax = 256;            // the path field has 8 bits
inline constexpr std::size_t kStoresListedMax = 4096;    // of each role
inline constexpr std::size_t kBundlesListedMax = 4096;   // open and finished but not acked, of all links
inline constexpr std::size_t kNameBytesMax = 64;         // of links and ports
inline constexpr std::uint64_t kRateBpsMax = 1'000'000'000'000;
inline constexpr unsigned kRttMsMax = 60'000;

struct Frame {
    std::string json;
    std::vector<std::uint8_t> blob;
};
std::vector<std::uint8_t> write_frame(const Frame& frame);  // body at most kFrameBytesMax (asserted)
// Consumes one frame from the front of `buffer` if it is whole. protocol_error on impossible lengths: close
// the socket.
Result<std::optional<Frame>> take_frame(std::vector<std::uint8_t>& buffer);

// JSON text without exceptions: bytes that are not UTF-8 become U+FFFD; a document is an object
// (protocol_error).
std::string write_document(const nlohmann::json& document);
Result<nlohmann::json> parse_document(std::string_view text);

nlohmann::json success_answer(std::uint64_t seq);  // add the request's own fields to it
nlohmann::json failure_answer(std::uint64_t seq, const Error& error);
Result<void> outcome_of(const nlohmann::json& answer);      // the other end's error, or protocol_error
ErrorCode error_code_from(std::string_view name) noexcept;  // `internal` for a name from elsewhere

struct LinkSettings {
    std::uint8_t link = 0;  // number, the same at both ends: the packet's path field
    std::string name;       // "east-west-1"
    std::string port;       // a port of the dataplane's configuration
    std::string local_ip, remote_ip;
    std::uint16_t udp_port_base = 49152;  // lane i is sent to port base + i, at first from the same port
    unsigned lanes = 4;
    unsigned source_ports =
        1024;  // a lane with a bad path changes its source port within [base, base + this); up to
               // `lanes`: never
    std::uint64_t rate_bps = 1'000'000'000;  // contracted L2 rate of the sending direction
    double share = 0.97;                     // of the contracted rate, never sent above: 0.5 to 1
    unsigned rtt_max_ms = 200;               // sizes memory: rate x RTT
    std::string mode = "reserved";           // reserved | shared | scavenger | delay
    std::string goal = "balanced";           // throughput | balanced | latency
    std::optional<unsigned> fixed_parity;    // --fec fixed:k,m
    std::uint8_t traffic_class = 0;
};
inline constexpr double kShareMin = 0.5, kShareMax = 1;
bool is_congestion_mode(std::string_view name) noexcept;  // those of dataplane/congestion
void to_json(nlohmann::json& out, const LinkSettings& value);
Result<LinkSettings> link_settings_from(const nlohmann::json& in);

struct LinkOffer {
    std::array<std::uint8_t, 32> nonce{};
    std::vector<std::uint32_t> spis;  // one per lane, chosen by this receiver
    std::uint16_t symbol_bytes = 0;   // the largest this end can do on the link's port
    unsigned groups = 1;  // of lanes that this end would like, one a worker; the larger wish holds
};
void to_json(nlohmann::json& out, const LinkOffer& value);
Result<LinkOffer> link_offer_from(const nlohmann::json& in);

struct LinkStart {
    std::uint8_t link = 0;
    std::string session;  // 32 hex digits, chosen by the initiator
    bool initiator = false;
    std::array<std::uint8_t, 32> secret{};  // link secret, made by the initiator's control, carried over mTLS
    std::array<std::uint8_t, 32> own_nonce{};  // must be the one of the last link_prepare, and is used up
    LinkOffer peer;                            // the other end's offer
    std::uint16_t symbol_bytes = 1408;         // the smaller of both offers
    unsigned lanes = 4;
};
void to_json(nlohmann::json& out, const LinkStart& value);
Result<LinkStart> link_start_from(const nlohmann::json& in);

enum class LinkState : std::uint8_t { unconfigured, idle, connecting, up, down };
// connecting: started, no authenticated packet yet; down: silent for 2 s
const char* to_string(LinkState state) noexcept;

// One lane of our sending direction. state: up | suspect | lossy | down (session/lane_ledger.h).
struct LaneStatus {
    std::uint8_t lane = 0;
    std::uint16_t source_port = 0;
    std::string state = "up";
    double weight = 1, loss = 0;
    std::uint64_t tx_packets = 0, delivered_packets = 0, lost_packets = 0, rehashes = 0;
    bool operator==(const LaneStatus&) const = default;
};
void to_json(nlohmann::json& out, const LaneStatus& value);

struct LinkStatus {
    std::uint8_t link = 0;
    std::string name;
    std::string session;  // empty: none
    LinkState state = LinkState::unconfigured;
    // The far end gets what we send: false within a fraction of a second after it does not, true again a second after it
    // does (session/liveness.h). Who has another link uses it meanwhile.
    bool answering = false;
    std::uint64_t rate_cap_bps = 0, rate_bps = 0;
    double rtt_ms = 0, rtt_min_ms = 0, queue_ms = 0, loss = 0;
    // The congestion mode, its phase and what it goes by (congestion::Figures); phase is empty without a session.
    std::string mode, phase;
    std::uint64_t bandwidth_bps = 0, delivered_bps = 0;
    double rtt_base_ms = 0, queue_target_ms = 0, loss_floor = 0;
    // What the redundancy was decided from last (upper 95 % bound; mean packets per loss event), and the decision: rows
    // of a full stripe in bulk and for the last tail, stripes that take turns, off but for tails.
    double loss_upper = 0, loss_burst = 1;
    std::uint32_t tx_parity_steady = 0, tx_parity_tail = 0, tx_interleave_depth = 1;
    bool tx_redundancy_off = false;
    std::uint64_t rx_loss_events = 0;
    std::uint64_t tx_packets = 0, tx_wire_bytes = 0, tx_payload_bytes = 0, tx_parity_packets = 0,
                  tx_repair_packets = 0, tx_lost_packets = 0, tx_inflight_bytes = 0, tx_brakes = 0;
    std::uint64_t rx_packets = 0, rx_wire_bytes = 0, rx_payload_bytes = 0, rx_symbols_restored = 0,
                  rx_stripes_repaired = 0;
    std::uint32_t tx_bundles_open = 0, rx_bundles_open = 0;
    std::uint16_t symbol_bytes = 0;  // of the session
    std::uint16_t path_symbol_bytes =
        0;  // the largest that probes found to pass, where less than the port's; 0: no limit
    unsigned lanes = 0;
    unsigned groups = 1;                // lane groups: sessions of their own, each owned by one worker
    std::vector<LaneStatus> lane_list;  // of the session; at most wire::kLanesMax
    std::string reason;                 // why it is not up, for the operator
};
void to_json(nlohmann::json& out, const LinkStatus& value);
Result<LinkStatus> link_status_from(const nlohmann::json& in);

struct BundleOfferMessage {
    std::uint8_t link = 0;
    wire::BundleId id;
    std::uint32_t generation = 0;
    std::uint64_t source_store = 0;  // the manifest's own store number is the target's
};
void to_json(nlohmann::json& out, const BundleOfferMessage& value);
Result<BundleOfferMessage> bundle_offer_from(const nlohmann::json& in);

struct BundleEvent {
    wire::BundleId id;
    std::uint32_t generation = 0;
    std::uint8_t link = 0;
    wire::Stage stage = wire::Stage::complete;
    wire::FailReason reason = wire::FailReason::none;
    std::uint32_t failed_entries = 0;
    std::vector<wire::EntryFailure> failures;  // at most wire::kFailuresListed
};
void to_json(nlohmann::json& out, const BundleEvent& value);
Result<BundleEvent> bundle_event_from(const nlohmann::json& in);

// `gone`: its session ended or it was discarded. `failed`: it is over and has not taken its place in the order.
// `refused`: it did not follow what was published last; the order was kept, but somebody was wrong.
enum class OrderState : std::uint8_t { staged, publishing, published, failed, refused, gone };
const char* to_string(OrderState state) noexcept;

struct OrderEvent {
    std::uint64_t store = 0;
    wire::BundleId id;
    std::uint32_t generation = 0;
    std::uint8_t link = 0;
    OrderState state = OrderState::staged;
    wire::OrderPlace place;
    wire::OrderPlace position;  // what the store had published last when this was written
};
void to_json(nlohmann::json& out, const OrderEvent& value);
Result<OrderEvent> order_event_from(const nlohmann::json& in);

struct StatusReport {
    std::string boot_id;  // 32 hex digits, new with every start of the dataplane
    std::vector<LinkStatus> links;
    std::vector<std::uint64_t> source_stores, target_stores;
    // Offered and not acked, at the stage they have reached (complete with reason none may mean "in flight").
    std::vector<BundleEvent> bundles;
    std::vector<wire::BundleId> in_flight;  // offered, no final stage yet
};
void to_json(nlohmann::json& out, const StatusReport& value);
Result<StatusReport> status_report_from(const nlohmann::json& in);

std::string hex(ByteView bytes);
Result<std::vector<std::uint8_t>> unhex(std::string_view text);

}  // namespace longhaul::command
