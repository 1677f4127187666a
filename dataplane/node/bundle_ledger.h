// Which bundles control has offered here and how each ended. A final result stays until control says that it has
// recorded it, so that control may crash at any moment and still learn everything. Pure; owned by the main thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "dataplane/command/messages.h"

namespace longhaul::node {

class BundleLedger {
  public:
    static constexpr std::size_t kBundlesMax = 4096;  // in flight and unacknowledged together
    static constexpr std::size_t kInFlightPerLinkMax = 256;

    enum class Offer { accepted, known, full };
    // `known`: in flight already, or finished and not acknowledged: nothing to do. A higher generation of what is in flight
    // is accepted: the bundle moves to the offer's link, and what the older generation comes to is not told any more.
    Offer offer(const command::BundleOfferMessage& offer);
    void withdraw(
        const command::BundleOfferMessage& offer);     // the last accepted one: as if it had not been made
    bool on_event(const command::BundleEvent& event);  // false: of a generation that has moved on
    bool current(const wire::BundleId& id, std::uint32_t generation) const;  // in flight, and not moved on
    void acknowledge(const wire::BundleId& id);
    std::vector<command::BundleEvent> finished() const;  // final results nobody has acknowledged
    std::vector<wire::BundleId> in_flight() const;
    const command::BundleEvent* result(const wire::BundleId& id) const;  // final, or nullptr
    std::size_t size() const { return bundles_.size(); }

  private:
    struct Record {
        command::BundleEvent last;
        bool finished = false;
        std::optional<command::BundleEvent> before;  // the move to here, as long as it may be withdrawn
    };
    std::map<wire::BundleId, Record> bundles_;
    std::map<std::uint8_t, std::size_t> open_on_link_;
};

}  // namespace longhaul::node
