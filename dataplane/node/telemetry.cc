// The node's figures: all workers together, and worker by worker.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/node/node.h"

namespace longhaul::node {
namespace {

using Json = nlohmann::json;

// Adds the numbers of `from` to those of `to`, name by name.
void add(Json& to, const Json& from) {
    for (const auto& [name, value] : from.items())
        to[name] = to.value(name, std::uint64_t{0}) + value.get<std::uint64_t>();
}

Json loop_figures(const worker::Counters& counters) {
    const worker::WorkDone& work = counters.work;
    Json out = {{"loops", counters.loops},
                {"busy_loops", counters.busy_loops},
                {"sleeps", counters.sleeps},
                {"opened_packets", work.opened_packets},
                {"sealed_packets", work.sealed_packets},
                {"handed_over", work.handed_over},
                {"taken_over", work.taken_over},
                {"relayed", work.relayed}};
    for (std::size_t i = 0; i < worker::kStages; ++i)
        out[std::string("busy_cycles_") + worker::kStageNames[i]] = counters.busy_cycles[i];
    return out;
}

Json drop_figures(const worker::Counters& counters) {
    Json out = Json::object();
    for (std::size_t i = 1; i < wire::kDropReasons; ++i)
        out[wire::to_string(static_cast<wire::DropReason>(i))] = counters.drops.by_reason[i];
    return out;
}

Json storage_figures(const storage::StorageStats& disk) {
    return {{"bytes_read", disk.bytes_read},
            {"bytes_written", disk.bytes_written},
            {"direct_bytes_read", disk.direct_bytes_read},
            {"direct_bytes_written", disk.direct_bytes_written},
            {"files_opened", disk.files_opened},
            {"files_published", disk.files_published},
            {"entries_failed", disk.entries_failed},
            {"fdatasyncs", disk.fdatasyncs},
            {"directory_fsyncs", disk.directory_fsyncs},
            {"file_system_flushes", disk.file_system_flushes},
            {"order_refusals", disk.order_refusals}};
}

Json neighbour_figures(const nic::Neighbours::Counters& counters) {
    return {{"arp_replies", counters.arp_replies},   {"arp_requests", counters.arp_requests},
            {"nd_replies", counters.nd_replies},     {"nd_requests", counters.nd_requests},
            {"echo_replies", counters.echo_replies}, {"limited", counters.limited},
            {"ignored", counters.ignored},           {"conflicts", counters.conflicts}};
}

}  // namespace

Node::Json Node::telemetry() const {
    const std::lock_guard lock(counters_mutex_);
    Json drops = Json::object(), disk = Json::object(), loops = Json::object(), neighbours = Json::object();
    for (const worker::Counters& counters : counters_) {
        add(drops, drop_figures(counters));
        add(disk, storage_figures(counters.storage));
        add(loops, loop_figures(counters));
        add(neighbours, neighbour_figures(counters.neighbours));
    }
    Json ports = Json::array();
    for (std::size_t i = 0; i < counters_[0].ports.size() && i < config_.ports.size(); ++i) {
        const nic::PortStats& port = counters_[0].ports[i];
        ports.push_back({{"name", config_.ports[i].name},
                         {"rx_packets", port.rx_packets},
                         {"rx_bytes", port.rx_bytes},
                         {"tx_packets", port.tx_packets},
                         {"tx_bytes", port.tx_bytes},
                         {"rx_missed", port.rx_missed},
                         {"rx_errors", port.rx_errors},
                         {"tx_errors", port.tx_errors},
                         {"no_mbuf", port.no_mbuf}});
    }
    return {{"drops", drops},  {"ports", ports},  {"links", link_figures_},
            {"storage", disk}, {"worker", loops}, {"neighbours", neighbours}};
}

Node::Json Node::workers() const {
    const std::lock_guard lock(counters_mutex_);
    Json out = Json::array();
    for (const worker::Counters& counters : counters_) {
        Json one = loop_figures(counters);
        one["bytes_read"] = counters.storage.bytes_read;
        one["bytes_written"] = counters.storage.bytes_written;
        one["handoff_full"] = counters.drops.of(wire::DropReason::handoff_full);
        out.push_back(std::move(one));
    }
    return out;
}

}  // namespace longhaul::node
