// Bundles on their way change links: those whose link does not answer are offered again on the flow's link, under the same
// id and a higher generation. The new generation is recorded before the dataplane hears of it; from then on it tells of
// that one only, and the target never writes an older one again. Bundles on a link that answers end where they are.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "control/dataset/runner.h"
#include "dataplane/base/assert.h"

namespace longhaul::control {

void Runner::set_link(const std::string& link) {
    record_.spec.link = link;
    state_.dataset_link_set(record_.id, link);
}

void Runner::renew(Open& bundle) {
    ++bundle.manifest.generation;
    bundle.moving = true;
    auto head = write_manifest(bundle.manifest);
    LH_ASSERT(head.ok());  // it was written before with another generation
    bundle.head = std::move(head).value();
    remember(bundle);
}

void Runner::move_stranded(const std::vector<LinkChoice>& links) {
    if (!connected_ || !flow_.assigned || !flow_.link.answering) return;
    const auto dead = [&](std::uint8_t number) {
        const auto link = std::find_if(links.begin(), links.end(),
                                       [&](const LinkChoice& choice) { return choice.link == number; });
        return link == links.end() || !link->answering;
    };
    std::vector<OpenBundles::iterator> stranded;
    for (auto bundle = open_.begin(); bundle != open_.end(); ++bundle) {
        const bool here = bundle->second.accepted && bundle->second.link != flow_.link.link;
        if (here && !bundle->second.moving && dead(bundle->second.link)) stranded.push_back(bundle);
    }
    std::sort(stranded.begin(), stranded.end(),
              [](const auto& a, const auto& b) { return a->second.order < b->second.order; });
    std::vector<wire::BundleId> first;
    for (const auto& bundle : stranded) {
        bundle->second.link = flow_.link.link;
        renew(bundle->second);
        first.push_back(bundle->first);
    }
    to_offer_.insert(to_offer_.begin(), first.begin(), first.end());  // they have waited longest
    stats_.bundles_moved += first.size();
}

}  // namespace longhaul::control
