// Questions that change nothing: whether a policy can hold, and what breaks without a link.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/core_loop.h"
#include "control/dataset/validate.h"
#include "control/schedule/admission.h"
#include "control/schedule/impact.h"

namespace longhaul::control {

namespace {

constexpr double kImpactWindow_s = 3600;  // when nothing is asked for and no maintenance is due

}  // namespace

Result<Plan> CoreLoop::dataset_plan(const DatasetSpec& wanted) {
    auto spec = validate(wanted, config_.site);
    if (!spec) return spec.error();
    return plan_of(spec.value());
}

Result<Plan> CoreLoop::plan_of(const DatasetSpec& spec) {
    const auto links = links_now(ports_.links_to(spec.target.site), wall());
    return call<Plan>([this, &spec, &links](Moment) -> Result<Plan> {
        if (auto fits = fits_among(spec, specs()); !fits) return fits.error();
        return admit(spec, committed(), links);
    });
}

std::vector<Committed> CoreLoop::committed() const {
    std::vector<Committed> all;
    for (const auto& [id, dataset] : datasets_)
        all.push_back({dataset->runner.spec(), dataset->runner.link_name()});
    return all;
}

Result<LinkImpact> CoreLoop::link_impact(const std::string& link, double window_s) {
    return call<LinkImpact>([this, &link, window_s](Moment at) -> Result<LinkImpact> {
        const auto links = links_now(links_, at.wall);
        const auto found = std::find_if(links.begin(), links.end(),
                                        [&](const LinkNow& one) { return one.choice.name == link; });
        if (found == links.end())
            return LinkImpact{link, {}, window_s > 0 ? window_s : kImpactWindow_s, 0, 0, {}};  // nobody's way
        double window = window_s;
        if (const auto span = found->choice.calendar.next_maintenance(at.wall); window <= 0 && span)
            window = static_cast<double>(span->to - span->from) / 1e9;
        std::vector<Demand> demands;
        std::vector<double> changes;
        std::vector<Flow> flows;
        for (const auto& [id, dataset] : datasets_) {
            demands.push_back(dataset->runner.demand(at));
            changes.push_back(dataset->runner.change_bps(at));
            flows.push_back(dataset->runner.flow());
        }
        return impact(link, window > 0 ? window : kImpactWindow_s, demands, changes, flows, links, at.steady);
    });
}

}  // namespace longhaul::control
