// Prometheus text (exposition format 0.0.4). The names are an interface: METRICS.md lists them, a test
// compares. A figure that is not known has no sample: an alert must never take "seeding" or "disconnected"
// for zero lag.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/api/webhook.h"
#include "control/core.h"
#include "control/peer/link_book.h"

namespace longhaul::control {

struct MetricFamily {
    const char* name;
    const char* type;  // "gauge" | "counter"
    const char* help;
};
std::span<const MetricFamily> metric_families();

struct MetricsInput {
    std::string site, version;
    bool dataplane_up = false;
    std::vector<std::pair<std::string, bool>> peers;  // site, reachable
    std::vector<LinkView> links;
    std::vector<RpoView> rpo;
    std::vector<DatasetView> datasets;
    std::vector<FlowView> flows;
    CoreStats stats;
    std::uint64_t events = 0;
    std::vector<PeerClockView> clocks;
    std::optional<WebhookCounters> webhook;
};
std::string metrics_text(const MetricsInput& input);

std::string escape_label(
    const std::string& value);  // backslash, quote, newline; other control bytes as \xNN text

}  // namespace longhaul::control
