// Tables of each view. Fields that a server of another version lacks show as "-".
// SPDX-License-Identifier: Apache-2.0
#include "control/cli/show.h"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "control/cli/table.h"
#include "control/config/values.h"

namespace longhaul::control::cli {

using nlohmann::json;

namespace {

const json& at(const json& object, const char* field) {
    static const json nothing;
    if (!object.is_object()) return nothing;
    const auto found = object.find(field);
    return found == object.end() ? nothing : *found;
}

std::string text(const json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
    if (value.is_null()) return "-";
    return value.dump();
}
std::string text(const json& object, const char* field) {
    return text(at(object, field));
}

template <typename Format>
std::string number(const json& value, Format format) {
    return value.is_number() ? format(value.get<double>()) : "-";
}
std::string rate(const json& object, const char* field) {
    return number(at(object, field), format_rate);
}
std::string bytes(const json& object, const char* field) {
    return number(at(object, field), format_bytes);
}
std::string duration(const json& object, const char* field) {
    return number(at(object, field), format_duration);
}

std::string milliseconds(const json& object, const char* field) {
    return number(at(object, field), [](double seconds) {
        std::array<char, 32> buffer{};
        std::snprintf(buffer.data(), buffer.size(), "%.1f ms", seconds * 1e3);
        return std::string(buffer.data());
    });
}
std::string percent(const json& object, const char* field) {
    return number(at(object, field), [](double ratio) {
        std::array<char, 32> buffer{};
        std::snprintf(buffer.data(), buffer.size(), "%.3f %%", ratio * 100);
        return std::string(buffer.data());
    });
}

std::string slack(const json& flow) {
    const json& value = at(flow, "slack_s");
    if (!value.is_number()) return {};
    const double seconds = value.get<double>();
    return seconds < 0 ? "-" + format_duration(-seconds) : format_duration(seconds);
}

std::string limit(const json& object, const char* field) {  // 0: there is none
    return at(object, field) == 0 ? std::string() : rate(object, field);
}

// Reasons follow the table, one a line, so that they are read whole.
std::string remarks(const json& list, const char* name, const char* field) {
    std::string out;
    for (const json& item : list)
        if (at(item, field).is_string())
            out += "  " + printable(text(item, name)) + ": " + printable(text(item, field)) + "\n";
    return out.empty() ? out : "\n" + out;
}

}  // namespace

std::string show_status(const json& document) {
    const json& dataplane = at(document, "dataplane");
    const json& links = at(document, "links");
    const json& rpo = at(document, "rpo");
    std::string out;
    const auto line = [&](const std::string& name, const std::string& value) {
        out += name + std::string(12 - std::min<std::size_t>(name.size(), 11), ' ') + printable(value) + "\n";
    };
    line("site", text(document, "site") + ", version " + text(document, "version") + ", up " +
                     duration(document, "uptime_s"));
    line("core", at(at(document, "core"), "alive") == true ? "alive" : "NOT ANSWERING");
    line("dataplane", at(dataplane, "up") == true
                          ? "up, version " + text(dataplane, "version") + ", pid " + text(dataplane, "pid")
                          : "DOWN: " + text(dataplane, "reason"));
    line("links", text(links, "up") + " of " + text(links, "total") + " up");
    std::string states;
    for (const auto& [state, count] : at(rpo, "states").items())
        states += (states.empty() ? "" : ", ") + text(count) + " " + state;
    line("datasets", states.empty() ? "none" : states);
    if (const json& worst = at(rpo, "worst"); worst.is_object())
        line("worst lag", duration(worst, "rpo_lag_s") + " (" + text(worst, "dataset") + " at " +
                              text(worst, "site") + ")");
    return out;
}

std::string show_sites(const json& document) {
    Table table({"SITE", "PEER URL", "REACHABLE", "LAST SEEN", ">CLOCK AHEAD", ">WITHIN"});
    for (const json& site : at(document, "sites"))
        table.add({text(site, "name") + (at(site, "self") == true ? " (this)" : ""), text(site, "peer_url"),
                   text(site, "reachable"), text(site, "last_seen"),
                   milliseconds(at(site, "clock"), "offset_s"),
                   milliseconds(at(site, "clock"), "uncertainty_s")});
    return table.text("no sites") + remarks(at(document, "sites"), "name", "reason");
}

std::string show_links(const json& document) {
    Table table({"LINK", "SITE", "STATE", ">CONTRACT", ">RATE", ">RTT", ">QUEUE", ">LOSS", ">SENT",
                 ">RECEIVED", "MODE", "FEC", "GOAL"});
    for (const json& link : at(document, "links")) {
        const json& measured = at(link, "measured");
        const std::string fec = text(link, "fec");
        table.add({text(link, "name"), text(link, "site"), text(link, "state"), rate(link, "rate_bps"),
                   rate(measured, "rate_bps"), milliseconds(measured, "rtt_s"),
                   milliseconds(measured, "queue_s"), percent(measured, "loss_ratio"),
                   bytes(measured, "tx_wire_bytes"), bytes(measured, "rx_wire_bytes"), text(link, "mode"),
                   fec.empty() ? "adaptive" : fec, text(link, "goal")});
    }
    return table.text("no links") + remarks(at(document, "links"), "name", "reason");
}

std::string show_link_change(const json& document) {
    return show_links({{"links", json::array({document})}}) +
           "\nIn force until longhaul-control restarts: put it into its configuration to keep it.\n";
}

std::string show_datasets(const json& document) {
    Table table({"DATASET", "SOURCE", "TARGET", "MODE", "STATE", ">LAG", ">RPO", ">OBJECTS", ">SIZE",
                 ">FAILING", "LINK", "CAPTURE"});
    json captures = json::array();
    for (const json& dataset : at(document, "datasets")) {
        const json& rpo = at(dataset, "rpo");
        const json& target = at(dataset, "target");
        table.add({text(dataset, "name"), text(dataset, "source"),
                   text(target, "site") + "=" + text(target, "store"), text(dataset, "mode"),
                   text(rpo, "state"), duration(rpo, "rpo_lag_s"), duration(dataset, "rpo_target_s"),
                   text(rpo, "objects_total"), bytes(rpo, "bytes_total"), text(rpo, "objects_failing"),
                   text(dataset, "link"), text(at(dataset, "capture"), "kind")});
        captures.push_back({{"name", at(dataset, "name")}, {"reason", at(at(dataset, "capture"), "reason")}});
    }
    return table.text("no datasets: make one with longhaul datasets create") +
           remarks(at(document, "datasets"), "name", "problem") + remarks(captures, "name", "reason");
}

std::string show_verification(const std::string& dataset, const json& document) {
    Table table({"DATASET", "STATE", "STARTED", "ENDED", ">SAME", ">BYTES", ">DIFFERING", ">METADATA",
                 ">MISSING", ">CHANGED", ">UNREADABLE"});
    table.add({dataset, text(document, "state"), text(document, "started"), text(document, "ended"),
               text(document, "objects"), bytes(document, "bytes"), text(document, "differing"),
               text(document, "metadata"), text(document, "missing"), text(document, "changed"),
               text(document, "unreadable")});
    const json& read_back = at(document, "read_back");
    return table.text("") + "read back by itself since control was started: " + text(read_back, "files") +
           " files, " + bytes(read_back, "bytes") + "; " + text(read_back, "differing") + " differ, " +
           text(read_back, "missing") + " missing, " + text(read_back, "skipped") + " skipped, " +
           text(read_back, "waiting") + " waiting\n";
}

std::string show_failures(const json& document) {
    Table table({"OBJECT", "REASON", "SINCE", "LAST TRY", ">TRIES", "REMEDY"});
    for (const json& failure : at(document, "failures"))
        table.add({text(failure, "path"), text(failure, "reason"), text(failure, "since"),
                   text(failure, "last_try"), text(failure, "tries"), text(failure, "remedy")});
    return table.text("no failing objects");
}

std::string show_flows(const json& document) {
    Table table({"DATASET", "TO", "LINK", "CLASS", ">ASSIGNED", ">ACHIEVED", "WHY", ">SLACK", ">FLOOR",
                 ">CAP", ">WEIGHT", ">BUNDLES"});
    for (const json& flow : at(document, "flows"))
        table.add({text(flow, "dataset"), text(flow, "target_site"), text(flow, "link"),
                   text(flow, "traffic"), rate(flow, "rate_bps"), rate(flow, "achieved_bps"),
                   at(flow, "link").is_string() ? text(flow, "reason") : "no link", slack(flow),
                   limit(flow, "floor_bps"), limit(flow, "cap_bps"), text(flow, "weight"),
                   text(flow, "bundles_in_flight")});
    json without = json::array();
    for (const json& flow : at(document, "flows"))
        if (!at(flow, "link").is_string()) without.push_back(flow);
    return table.text("no flows") + remarks(without, "dataset", "reason");
}

std::string show_lines(const json& document, const char* field, const std::string& before) {
    std::string out;
    for (const json& line : at(document, field))
        if (line.is_string()) out += before + printable(line.get<std::string>()) + "\n";
    return out;
}

std::string show_plan(const json& document) {
    const std::string would = text(document, "would");
    std::string out = would == "refuse" ? "would be refused\n" : "would be accepted\n";
    out += show_lines(document, "refusals", "  ") + show_lines(document, "warnings", "  warning: ");
    if (at(document, "link").is_string())
        out += "  link " + printable(text(document, "link")) + " has " + rate(document, "link_bps") + ", " +
               rate(document, "available_bps") + " of it beside the others\n";
    return out;
}

std::string show_impact(const json& document) {
    Table table({"DATASET", "BREAKS", ">TIME TO BREACH", ">LAG", ">RPO", ">RATE", "THEN ON", ">AT"});
    for (const json& row : at(document, "datasets"))
        table.add({text(row, "dataset"), at(row, "breaks") == true ? "YES" : "no",
                   duration(row, "time_to_breach_s"), duration(row, "rpo_lag_s"),
                   duration(row, "rpo_target_s"), rate(row, "rate_bps"), text(row, "link_after"),
                   rate(row, "rate_after_bps")});
    return "without link " + printable(text(document, "link")) + " for " + duration(document, "window_s") +
           ": " + rate(document, "lost_bps") + " less, " + rate(document, "left_bps") + " left\n" +
           table.text("no dataset is affected") + remarks(at(document, "datasets"), "dataset", "reason");
}

std::string show_bundles(const json& document) {
    Table table({"BUNDLE", "DATASET", "LINK", "STAGE", ">GENERATION", ">SIZE", ">ENTRIES", "OFFERED"});
    for (const json& bundle : at(document, "bundles"))
        table.add({text(bundle, "id"), text(bundle, "dataset"), text(bundle, "link"), text(bundle, "stage"),
                   text(bundle, "generation"), bytes(bundle, "bytes"), text(bundle, "entries"),
                   text(bundle, "offered_at")});
    return table.text("no bundles in progress");
}

std::string show_rpo(const json& document) {
    Table table({"DATASET", "SITE", "SEEN AT", "STATE", "QUALITY", ">LAG", ">TARGET", "OK", "STAGE",
                 ">BEHIND", ">OBJECTS", ">OLDEST", ">CHANGE", ">DRAIN", ">NEEDS", ">ETA", ">BREACH IN",
                 ">24 H", ">BUDGET LEFT"});
    for (const json& rpo : at(document, "rpo")) {
        const json& slo = at(rpo, "slo");
        table.add({text(rpo, "dataset"), text(rpo, "site"), text(rpo, "role"), text(rpo, "state"),
                   text(rpo, "quality"), duration(rpo, "rpo_lag_s"), duration(rpo, "rpo_target_s"),
                   text(rpo, "within_target"), text(rpo, "limiting_stage"), bytes(rpo, "bytes_behind"),
                   text(rpo, "objects_behind"), duration(rpo, "oldest_pending_age_s"),
                   rate(rpo, "change_bps"), rate(rpo, "drain_bps"), rate(rpo, "required_bps"),
                   duration(rpo, "eta_s"), duration(rpo, "time_to_breach_s"),
                   percent(at(slo, "day"), "time_ratio"),
                   number(at(slo, "budget_left_min"),
                          [](double minutes) { return format_duration(minutes * 60); })});
    }
    return table.text("no datasets") + remarks(at(document, "rpo"), "dataset", "limited_by") +
           remarks(at(document, "rpo"), "dataset", "quality_reason");
}

std::string show_breaches(const json& document) {
    Table table({"DATASET", "SITE", "SEEN AT", "STARTED", "ENDED", ">TARGET", ">PEAK LAG", "STAGE", "CAUSE"});
    for (const json& breach : at(document, "breaches"))
        table.add({text(breach, "dataset"), text(breach, "site"), text(breach, "role"),
                   text(breach, "started"), text(breach, "ended"), duration(breach, "rpo_target_s"),
                   duration(breach, "peak_lag_s"), text(breach, "stage"), text(breach, "cause")});
    return table.text("no breaches");
}

std::string show_event(const json& event) {
    const std::string where =
        at(event, "dataset").is_null() ? "" : " " + text(event, "dataset") + " at " + text(event, "site");
    const std::string who = at(event, "who").is_null() ? "" : " (asked by " + text(event, "who") + ")";
    return printable(text(event, "id") + "  " + text(event, "at") + "  " + text(event, "kind") + where +
                     ": " + text(event, "text") + who) +
           "\n";
}

}  // namespace longhaul::control::cli
