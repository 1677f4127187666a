// One point of the virtual 100G link, one JSON object on one line: the session's own sender and receiver at the two
// ends of an emulated long-distance link, on a virtual clock, from a seed. No wall clock is read: a figure is the same
// on every machine. tests/bench/virtual.py walks the grid and holds the bars against it.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tests/sim/world.h"

namespace longhaul::sim {
namespace {

constexpr std::uint64_t kKiB = 1u << 10, kMiB = 1u << 20, kGiB = 1u << 30;
constexpr std::uint64_t kLineBps = 100'000'000'000;
constexpr std::uint16_t kSymbolBytes = 8768;
constexpr std::uint64_t kStripeBytes = 64 * std::uint64_t{kSymbolBytes};
// Headers, tag and FCS count against the contracted layer 2 rate; preamble and gap are the line's alone.
constexpr std::uint64_t kFrameBytes = kSymbolBytes + wire::kHeaderBytes + wire::kTagBytes + 46;
constexpr std::uint64_t kLineBytes = kFrameBytes + 20;

struct Options {
    double rtt_ms = 50, loss = 0, burst = 1;
    fec::Goal goal = fec::Goal::throughput;
    std::string what = "steady";  // steady | completion | bulk
    std::uint64_t seed = 1;
    unsigned repeats = 40;  // completions of 64 MiB
    double seconds = 1;     // steady: the window
    bool default_share = false;
};

// The blocks that a dataplane lays out for such a link (worker/memory_plan): no more memory than a node has.
void plan_memory(Scenario& scenario, double rtt_ms) {
    const auto blocks = [](double bytes) {
        return static_cast<std::uint32_t>(bytes / double{kStripeBytes}) + 1;
    };
    const double bytes_per_ms = kLineBps / 8e3;
    const double bdp = bytes_per_ms * rtt_ms;
    scenario.read_ahead_blocks = blocks(bytes_per_ms * 20) + 32;
    scenario.send_blocks = blocks(bdp * 2.5) + scenario.read_ahead_blocks;
    scenario.receive_blocks = blocks(bdp * 2) + blocks(bytes_per_ms * 100) + 32;
}

Scenario on_virtual_link(const Options& options) {
    const auto rtt = static_cast<TimeNs>(options.rtt_ms * 1e6);
    Scenario scenario = on_link("virtual", kLineBps, rtt);
    scenario.symmetric_loss(options.loss, options.burst);
    for (auto& link : scenario.link)
        link.frame_overhead_bytes = 24;
    scenario.bulk = true;
    scenario.symbol_bytes = kSymbolBytes;
    scenario.lanes = 32;
    scenario.goal = options.goal;
    // A dedicated circuit of one tenant: contracted is what the port can carry in layer 2 bytes, less one in a
    // thousand for pings and for clocks that differ, and the mode's own margin for others (3 %) is switched off.
    scenario.cap_bps = static_cast<std::uint64_t>(double{kLineBps} * 0.999 * kFrameBytes / kLineBytes);
    scenario.share_of_cap = options.default_share ? 0.97 : 1.0;
    scenario.read_latency = 50 * kMicrosecond;
    scenario.write_latency = 20 * kMicrosecond;
    scenario.durable_delay = scenario.publish_delay = 0;
    scenario.complete_within = 3600 * kSecond;
    plan_memory(scenario, options.rtt_ms);
    return scenario;
}

double seconds(TimeNs time) {
    return static_cast<double>(time) / 1e9;
}

void print_times(const char* name, const std::vector<TimeNs>& times, bool& first) {
    std::printf("%s\"%s\": [", first ? "" : ", ", name);
    for (std::size_t i = 0; i < times.size(); ++i)
        std::printf("%s%.9f", i == 0 ? "" : ", ", seconds(times[i]));
    std::printf("]");
    first = false;
}

void print_common(const Outcome& outcome) {
    const auto& sender = outcome.sender[0];
    const auto ull = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
    std::printf(
        "\"packets\": %llu, \"parity\": %llu, \"repair\": %llu, \"resent\": %llu, \"lost\": %llu, "
        "\"loss_events\": "
        "%llu, \"nacks\": %llu, \"brakes\": %llu, \"send_blocks_max\": %llu, \"receive_stripes_max\": %llu, ",
        ull(sender.packets), ull(sender.parity_packets), ull(sender.repair_packets),
        ull(sender.resent_packets), ull(outcome.link[0].lost), ull(outcome.link[0].loss_events),
        ull(sender.nacks), ull(sender.brakes), ull(outcome.send_blocks_max),
        ull(outcome.receive_stripes_max));
    std::printf(
        "\"loss_upper\": %.3g, \"burst\": %.3g, \"rows_steady\": %u, \"rows_tail\": %u, \"depth\": %u, ",
        sender.loss_upper, sender.loss_burst, sender.parity_steady, sender.parity_tail,
        sender.interleave_depth);
    std::printf("\"lost_seen\": %llu, \"loss_events_seen\": %llu, ", ull(sender.lost_packets),
                ull(outcome.receiver[1].loss_events));
    std::printf("\"broken\": [");
    for (std::size_t i = 0; i < outcome.broken.size(); ++i)
        std::printf("%s\"%s\"", i == 0 ? "" : ", ", outcome.broken[i].c_str());
    std::printf("]}\n");
}

int steady(const Options& options) {
    Scenario scenario = on_virtual_link(options);
    const TimeNs settle = 100 * kMillisecond + static_cast<TimeNs>(options.rtt_ms * 5e6);
    scenario.measure_from = settle;
    scenario.measure_until = settle + static_cast<TimeNs>(options.seconds * 1e9);
    const double bytes = seconds(scenario.measure_until) * kLineBps / 8;
    send_bundles(scenario, static_cast<unsigned>(bytes / kGiB) + 2, kGiB);
    const Outcome outcome = run(scenario, options.seed);
    const double line_limit = double{kLineBps} / 8 * kSymbolBytes / kLineBytes;
    std::printf("{\"payload_bytes\": %llu, \"seconds\": %.6f, \"utilisation\": %.6f, ",
                static_cast<unsigned long long>(outcome.measured_bytes), options.seconds,
                static_cast<double>(outcome.measured_bytes) / options.seconds / line_limit);
    print_common(outcome);
    return outcome.broken.empty() ? 0 : 1;
}

// One bundle at a time on a link that has carried traffic before: three round trips between two of them.
int completion(const Options& options) {
    Scenario scenario = on_virtual_link(options);
    const auto rtt = static_cast<TimeNs>(options.rtt_ms * 1e6);
    TimeNs at = rtt;
    std::vector<std::size_t> size_of;  // by plan: index in `names`
    const char* const names[] = {"64KiB", "64MiB", "1GiB", "warm-up"};
    const auto add = [&](std::size_t name, std::uint64_t bytes) {
        send_bundles(scenario, 1, bytes, 0, at);
        size_of.push_back(name);
        at += 3 * rtt + 20 * kMillisecond + serialisation_ns(bytes * 5 / 4, kLineBps);
    };
    for (unsigned i = 0; i < 4; ++i)
        add(3, kGiB / 2);
    for (unsigned i = 0; i < options.repeats; ++i) {
        add(1, 64 * kMiB);
        if (i % 2 == 0) add(0, 64 * kKiB);
        if (i % 8 == 0) add(2, kGiB);
    }
    const Outcome outcome = run(scenario, options.seed);
    std::printf("{\"decoded_s\": {");
    bool first = true;
    for (std::size_t name = 0; name < 3; ++name) {
        std::vector<TimeNs> times;
        for (std::size_t plan = 0; plan < size_of.size(); ++plan)
            if (size_of[plan] == name) times.push_back(outcome.decoded_after[plan]);
        print_times(names[name], times, first);
    }
    std::printf("}, ");
    print_common(outcome);
    return outcome.broken.empty() ? 0 : 1;
}

// 100 GiB: a hundred bundles of the largest size, offered together; the time is that of the last.
int bulk(const Options& options) {
    Scenario scenario = on_virtual_link(options);
    const auto rtt = static_cast<TimeNs>(options.rtt_ms * 1e6);
    send_bundles(scenario, 100, kGiB, 0, 3 * rtt);
    const Outcome outcome = run(scenario, options.seed);
    const TimeNs last = *std::max_element(outcome.decoded_after.begin(), outcome.decoded_after.end());
    std::printf("{\"decoded_s\": {\"100GiB\": [%.9f]}, ", seconds(last));
    print_common(outcome);
    return outcome.broken.empty() ? 0 : 1;
}

bool read(Options& options, const std::string& name, const char* value) {
    if (name == "--rtt-ms")
        options.rtt_ms = std::atof(value);
    else if (name == "--loss")
        options.loss = std::atof(value);
    else if (name == "--burst")
        options.burst = std::atof(value);
    else if (name == "--goal")
        options.goal = std::strcmp(value, "latency") == 0    ? fec::Goal::latency
                       : std::strcmp(value, "balanced") == 0 ? fec::Goal::balanced
                                                             : fec::Goal::throughput;
    else if (name == "--what")
        options.what = value;
    else if (name == "--seed")
        options.seed = std::strtoull(value, nullptr, 10);
    else if (name == "--repeats")
        options.repeats = static_cast<unsigned>(std::atoi(value));
    else if (name == "--seconds")
        options.seconds = std::atof(value);
    else if (name == "--share")
        options.default_share = std::strcmp(value, "default") == 0;
    else
        return false;
    return true;
}

}  // namespace
}  // namespace longhaul::sim

int main(int argc, char** argv) {
    using namespace longhaul::sim;
    Options options;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && read(options, argv[i], argv[i + 1])) continue;
        std::fprintf(
            stderr,
            "bench-virtual --what steady|completion|bulk --rtt-ms N --loss SHARE --burst PACKETS --goal "
            "throughput|balanced|latency --seed N --repeats N --seconds N --share default|line\n");
        return 2;
    }
    if (options.what == "steady") return steady(options);
    if (options.what == "completion") return completion(options);
    return bulk(options);
}
