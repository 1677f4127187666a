// The modes by name, and the controller of each.
// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "dataplane/congestion/delay.h"
#include "dataplane/congestion/reserved.h"
#include "dataplane/congestion/scavenger.h"
#include "dataplane/congestion/shared.h"

namespace longhaul::congestion {
namespace {

constexpr std::array kModes{Mode::reserved, Mode::shared, Mode::scavenger, Mode::delay};

}  // namespace

std::string_view to_string(Mode mode) noexcept {
    switch (mode) {
        case Mode::reserved:
            return "reserved";
        case Mode::shared:
            return "shared";
        case Mode::scavenger:
            return "scavenger";
        case Mode::delay:
            return "delay";
    }
    return "unknown";
}

std::optional<Mode> parse(std::string_view name) noexcept {
    for (const Mode mode : kModes)
        if (to_string(mode) == name) return mode;
    return std::nullopt;
}

std::unique_ptr<Controller> make(Mode mode, const ControllerConfig& config) {
    switch (mode) {
        case Mode::shared:
            return std::make_unique<SharedController>(config);
        case Mode::scavenger:
            return std::make_unique<ScavengerController>(config);
        case Mode::delay:
            return std::make_unique<DelayController>(config);
        case Mode::reserved:
            break;
    }
    ReservedConfig reserved;
    reserved.cap_bps = config.cap_bps;
    reserved.share_of_cap = config.share_of_cap;
    reserved.rtt_assumed = config.rtt_assumed;
    reserved.start_bps = config.start_bps;
    return make_reserved(reserved);
}

}  // namespace longhaul::congestion
