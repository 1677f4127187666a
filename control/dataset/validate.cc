// The refusals, each with the number or the word that would have been accepted.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/validate.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <system_error>

#include "control/capture/tree.h"
#include "control/publish/placement.h"
#include "control/schedule/schedule.h"

namespace longhaul::control {

namespace {

constexpr double kRescanMin_s = 0.1, kRescanMax_s = 86'400;
constexpr std::size_t kNameMax = 63;

Error refused(std::string text) {
    return {ErrorCode::invalid_argument, std::move(text)};
}

bool name_is_valid(const std::string& name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    if (name.empty() || name.size() > kNameMax || !letter(name[0])) return false;
    for (const char c : name)
        if (!letter(c) && c != '-') return false;
    return true;
}

Result<void> check_times(const DatasetSpec& spec) {
    if (!std::isfinite(spec.rescan_s) || spec.rescan_s < kRescanMin_s || spec.rescan_s > kRescanMax_s)
        return refused(fmt::format("rescan_s {} is out of range: choose {} to {}", spec.rescan_s,
                                   kRescanMin_s, kRescanMax_s));
    if (!std::isfinite(spec.rpo_target_s) || spec.rpo_target_s < 2 * spec.rescan_s)
        return refused(fmt::format(
            "rpo_target_s {} is below what a rescan every {} s can prove ({} s): lower rescan_s to {} or "
            "raise the target",
            spec.rpo_target_s, spec.rescan_s, 2 * spec.rescan_s, spec.rpo_target_s / 2));
    return {};
}

}  // namespace

Result<void> check_rates(const DatasetSpec& spec) {
    if (!std::isfinite(spec.weight) || spec.weight < kWeightMin || spec.weight > kWeightMax)
        return refused(
            fmt::format("weight {} is out of range: choose {} to {}", spec.weight, kWeightMin, kWeightMax));
    if (spec.cap_bps > 0 && spec.floor_bps > spec.cap_bps)
        return refused(fmt::format("floor_bps {} is above cap_bps {}: lower the floor or raise the cap",
                                   spec.floor_bps, spec.cap_bps));
    if (spec.traffic == "scavenger" && spec.floor_bps > 0)
        return refused("a scavenger has no floor: leave floor_bps away, or choose the class bulk");
    return {};
}

Result<DatasetSpec> validate(DatasetSpec spec, const std::string& own_site) {
    namespace fs = std::filesystem;
    if (!name_is_valid(spec.name))
        return refused("dataset name \"" + shown_path(spec.name) +
                       "\" is not valid: 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit");
    if (spec.mode != Mode::namespace_ && spec.mode != Mode::copy)
        return refused("mode is not known: choose namespace or copy");
    if (spec.consistency != Consistency::object && spec.consistency != Consistency::ordered)
        return refused("consistency is not known: choose object or ordered");
    if (!traffic_known(spec.traffic))
        return refused("traffic \"" + shown_path(spec.traffic) +
                       "\" is not known: choose latency, bulk or scavenger");
    if (auto times = check_times(spec); !times) return times.error();
    if (auto rates = check_rates(spec); !rates) return rates.error();
    if (spec.target.site.empty() || spec.target.site == own_site)
        return refused("target site \"" + shown_path(spec.target.site) +
                       "\" must be another site of the configuration");
    if (auto target = directory_of_store(spec.target.store); !target) return target.error();

    auto source = directory_of_store(spec.source);
    if (!source) return source.error();
    std::error_code failure;
    const auto canonical = fs::canonical(source.value(), failure);
    if (failure || !fs::is_directory(canonical, failure))
        return refused("source " + shown_path(source.value()) + " is not a directory that exists here" +
                       (failure ? " (" + failure.message() + ")" : std::string()) +
                       ": create or mount it first");
    spec.source = "posix:" + canonical.string();
    return spec;
}

Result<void> fits_among(const DatasetSpec& spec, const std::vector<DatasetSpec>& others) {
    for (const auto& other : others) {
        if (other.name == spec.name)
            return Error{ErrorCode::already_exists,
                         "dataset " + spec.name + " exists already: choose another name, or remove it first"};
        if (other.target.site == spec.target.site && other.target.store == spec.target.store)
            return Error{ErrorCode::already_exists, "target " + shown_path(spec.target.store) + " at site " +
                                                        spec.target.site + " belongs to dataset " +
                                                        other.name + ": choose another directory"};
    }
    return {};
}

Result<void> link_exists(const DatasetSpec& spec, const std::vector<LinkChoice>& links) {
    if (spec.link.empty()) return {};
    std::string names;
    for (const auto& link : links) {
        if (link.name == spec.link) return {};
        names += (names.empty() ? "" : ", ") + link.name;
    }
    return refused("link \"" + shown_path(spec.link) + "\" does not lead to site " + spec.target.site + ": " +
                   (names.empty() ? "no link does; configure one" : "choose one of " + names + ", or none"));
}

}  // namespace longhaul::control
