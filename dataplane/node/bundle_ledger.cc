// SPDX-License-Identifier: Apache-2.0
#include "dataplane/node/bundle_ledger.h"

namespace longhaul::node {

BundleLedger::Offer BundleLedger::offer(const command::BundleOfferMessage& offer) {
    if (bundles_.count(offer.id) != 0) return Offer::known;
    std::size_t& open = open_on_link_[offer.link];
    if (bundles_.size() >= kBundlesMax || open >= kInFlightPerLinkMax) return Offer::full;
    ++open;
    Record record;
    record.last.id = offer.id;
    record.last.generation = offer.generation;
    record.last.link = offer.link;
    bundles_.emplace(offer.id, std::move(record));
    return Offer::accepted;
}

void BundleLedger::on_event(const command::BundleEvent& event) {
    const auto found = bundles_.find(event.id);
    if (found == bundles_.end() || found->second.finished) return;
    found->second.last = event;
    if (event.stage != wire::Stage::published && event.stage != wire::Stage::failed) return;
    found->second.finished = true;
    --open_on_link_[event.link];
}

void BundleLedger::acknowledge(const wire::BundleId& id) {
    const auto found = bundles_.find(id);
    if (found != bundles_.end() && found->second.finished) bundles_.erase(found);
}

std::vector<command::BundleEvent> BundleLedger::finished() const {
    std::vector<command::BundleEvent> events;
    for (const auto& [id, record] : bundles_)
        if (record.finished) events.push_back(record.last);
    return events;
}

std::vector<wire::BundleId> BundleLedger::in_flight() const {
    std::vector<wire::BundleId> ids;
    for (const auto& [id, record] : bundles_)
        if (!record.finished) ids.push_back(id);
    return ids;
}

const command::BundleEvent* BundleLedger::result(const wire::BundleId& id) const {
    const auto found = bundles_.find(id);
    return found != bundles_.end() && found->second.finished ? &found->second.last : nullptr;
}

}  // namespace longhaul::node
