// Checks of form only: whether sites, stores and links exist is the core's to say.
// SPDX-License-Identifier: Apache-2.0
#include "control/http/dataset_body.h"

#include "control/config/dataset_document.h"
#include "control/config/values.h"

namespace longhaul::control {

std::variant<DatasetSpec, Problem> dataset_spec_from(const nlohmann::json& document) {
    constexpr double kYearS = 86400.0 * 366;
    std::vector<FieldProblem> problems;
    BodyReader body(document, problems);
    DatasetSpec spec;
    spec.name = body.text("name", {}, true);
    if (!spec.name.empty() && !name_is_valid(spec.name))
        body.refuse("name", in_quotes(spec.name) +
                                " is not a name: use a-z, 0-9 and '-', at most 63, not starting with '-'");
    spec.source = body.text("source", {}, true);
    if (const auto* target = body.object("target", true)) {
        BodyReader fields(*target, problems, "target.");
        spec.target.site = fields.text("site", {}, true);
        spec.target.store = fields.text("store", {}, true);
        fields.finish();
    }
    const std::string mode = body.text("mode", "namespace");
    if (const auto known = mode_from(mode))
        spec.mode = *known;
    else
        body.refuse("mode",
                    in_quotes(mode) + " is not a mode: write \"namespace\" (deletes propagate) or \"copy\"");
    const std::string consistency = body.text("consistency", to_string(spec.consistency));
    if (const auto known = consistency_from(consistency))
        spec.consistency = *known;
    else
        body.refuse("consistency",
                    in_quotes(consistency) +
                        " is not in this version: write \"object\" (each object as soon as it is "
                        "durable) or \"ordered\" (in the order of the source's history)");
    spec.rpo_target_s = body.duration_s("rpo_target_s", spec.rpo_target_s, 1, kYearS);
    spec.rescan_s = body.duration_s("rescan_s", spec.rescan_s, 0.1, kYearS);
    spec.traffic = body.text("traffic", spec.traffic);
    if (spec.traffic != "latency" && spec.traffic != "bulk" && spec.traffic != "scavenger")
        body.refuse("traffic", in_quotes(spec.traffic) +
                                   " is not a class: write \"latency\", \"bulk\" or \"scavenger\"");
    spec.link = body.text("link", {});
    spec.delete_hold_share = body.number("delete_hold_share", spec.delete_hold_share, 0, 1);
    spec.delete_hold_objects = body.whole("delete_hold_objects", spec.delete_hold_objects);
    spec.floor_bps = body.rate_bps("floor_bps", spec.floor_bps);
    spec.cap_bps = body.rate_bps("cap_bps", spec.cap_bps);
    spec.weight = body.number("weight", spec.weight, kWeightMin, kWeightMax);
    spec.expect_change_bps = body.rate_bps("expect_change_bps", spec.expect_change_bps);
    spec.expect_burst_bytes = body.whole("expect_burst_bytes", spec.expect_burst_bytes);
    body.finish();
    if (!problems.empty()) return field_problem(std::move(problems));
    return spec;
}

std::variant<DatasetChange, Problem> dataset_change_from(const nlohmann::json& document) {
    std::vector<FieldProblem> problems;
    BodyReader body(document, problems);
    DatasetChange change;
    if (body.has("link")) change.link = body.text("link");
    if (body.has("floor_bps")) change.floor_bps = body.rate_bps("floor_bps", 0);
    if (body.has("cap_bps")) change.cap_bps = body.rate_bps("cap_bps", 0);
    if (body.has("weight")) change.weight = body.number("weight", 1, kWeightMin, kWeightMax);
    body.finish();
    if (problems.empty() && !change.link && !change.of_policy())
        body.refuse("",
                    "changes nothing: give link (\"\": the scheduler chooses), floor_bps, cap_bps or weight");
    if (!problems.empty()) return field_problem(std::move(problems));
    return change;
}

}  // namespace longhaul::control
