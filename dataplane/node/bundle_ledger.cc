// SPDX-License-Identifier: Apache-2.0
#include "dataplane/node/bundle_ledger.h"

namespace longhaul::node {

BundleLedger::Offer BundleLedger::offer(const command::BundleOfferMessage& offer) {
    const auto found = bundles_.find(offer.id);
    const bool known = found != bundles_.end();
    if (known && (found->second.finished || offer.generation <= found->second.last.generation))
        return Offer::known;
    std::size_t& open = open_on_link_[offer.link];
    if (!known && bundles_.size() >= kBundlesMax) return Offer::full;
    const bool stays = known && found->second.last.link == offer.link;
    if (!stays && open >= kInFlightPerLinkMax) return Offer::full;
    ++open;
    Record& record = bundles_[offer.id];
    if (known) {
        --open_on_link_[record.last.link];
        record.before = record.last;
    }
    record.last = {};
    record.last.id = offer.id;
    record.last.generation = offer.generation;
    record.last.link = offer.link;
    return Offer::accepted;
}

void BundleLedger::withdraw(const command::BundleOfferMessage& offer) {
    const auto found = bundles_.find(offer.id);
    if (found == bundles_.end() || found->second.finished) return;
    --open_on_link_[found->second.last.link];
    if (!found->second.before) {
        bundles_.erase(found);
        return;
    }
    found->second.last = *found->second.before;
    found->second.before.reset();
    ++open_on_link_[found->second.last.link];
}

bool BundleLedger::on_event(const command::BundleEvent& event) {
    const auto found = bundles_.find(event.id);
    if (found == bundles_.end()) return true;
    if (event.generation != found->second.last.generation) return false;
    if (found->second.finished) return true;
    found->second.last = event;
    found->second.before.reset();
    if (event.stage != wire::Stage::published && event.stage != wire::Stage::failed) return true;
    found->second.finished = true;
    --open_on_link_[event.link];
    return true;
}

bool BundleLedger::current(const wire::BundleId& id, std::uint32_t generation) const {
    const auto found = bundles_.find(id);
    return found != bundles_.end() && !found->second.finished && found->second.last.generation == generation;
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
