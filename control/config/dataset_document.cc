// A dataset's specification as JSON.
// SPDX-License-Identifier: Apache-2.0
#include "control/config/dataset_document.h"

namespace longhaul::control {

const char* to_string(Mode mode) {
    return mode == Mode::copy ? "copy" : "namespace";
}

const char* to_string(Consistency consistency) {
    return consistency == Consistency::ordered ? "ordered" : "object";
}

std::optional<Mode> mode_from(const std::string& text) {
    if (text == "namespace") return Mode::namespace_;
    if (text == "copy") return Mode::copy;
    return std::nullopt;
}

std::optional<Consistency> consistency_from(const std::string& text) {
    if (text == "object") return Consistency::object;
    if (text == "ordered") return Consistency::ordered;
    return std::nullopt;
}

nlohmann::json dataset_document(const DatasetSpec& spec) {
    return {{"name", spec.name},
            {"source", spec.source},
            {"target", {{"site", spec.target.site}, {"store", spec.target.store}}},
            {"mode", to_string(spec.mode)},
            {"consistency", to_string(spec.consistency)},
            {"rpo_target_s", spec.rpo_target_s},
            {"traffic", spec.traffic},
            {"rescan_s", spec.rescan_s},
            {"link", spec.link},
            {"delete_hold_share", spec.delete_hold_share},
            {"delete_hold_objects", spec.delete_hold_objects},
            {"floor_bps", spec.floor_bps},
            {"cap_bps", spec.cap_bps},
            {"weight", spec.weight},
            {"expect_change_bps", spec.expect_change_bps},
            {"expect_burst_bytes", spec.expect_burst_bytes}};
}

}  // namespace longhaul::control
