// See the diagram in the header.
// SPDX-License-Identifier: Apache-2.0
#include "control/publish/publish_order.h"

#include <algorithm>

namespace longhaul::control {

using command::OrderEvent;
using command::OrderState;

void PublishOrder::on_event(const OrderEvent& event, TimeNs now) {
    position_ = std::max(position_, event.position);
    progress_at_ = now;
    auto& copies = staged_[event.place];
    const auto same = [&](const OrderEvent& copy) { return copy.id == event.id && copy.link == event.link; };
    if (event.state == OrderState::staged || event.state == OrderState::publishing) {
        const auto known = std::find_if(copies.begin(), copies.end(), same);
        if (known == copies.end())
            copies.push_back(event);
        else
            *known = event;
        return;
    }
    if (event.state == OrderState::refused) ++refusals_;
    std::erase_if(copies, same);
    if (copies.empty()) staged_.erase(event.place);
}

void PublishOrder::forget() {
    staged_.clear();
    position_ = {};
}

bool PublishOrder::is_past(const wire::OrderPlace& place) const {
    const auto newest = std::max(position_.run, staged_.empty() ? 0 : staged_.rbegin()->first.run);
    return place.run < newest || place <= position_;
}

bool PublishOrder::publishing() const {
    return std::any_of(staged_.begin(), staged_.end(), [](const auto& entry) {
        return std::any_of(entry.second.begin(), entry.second.end(),
                           [](const OrderEvent& copy) { return copy.state == OrderState::publishing; });
    });
}

void PublishOrder::discard_if(const std::function<bool(const wire::OrderPlace&)>& doomed,
                              const Settle& settle) {
    for (auto entry = staged_.begin(); entry != staged_.end();) {
        Copies& copies = entry->second;
        if (doomed(entry->first)) {
            std::erase_if(copies, [&](const OrderEvent& copy) {
                if (copy.state == OrderState::publishing) return false;
                const auto settled = settle(copy, false);
                return settled.ok() || settled.error().code == ErrorCode::not_found;
            });
        }
        entry = copies.empty() ? staged_.erase(entry) : std::next(entry);
    }
}

void PublishOrder::step(TimeNs now, const Settle& settle) {
    discard_if([this](const wire::OrderPlace& place) { return is_past(place); }, settle);
    if (staged_.empty() || publishing()) return;
    // Older runs are discarded, or will be when the dataplane takes the command.
    const auto newest = staged_.rbegin()->first.run;
    const auto next = staged_.lower_bound({newest, 0});
    if (!wire::follows(next->first, position_)) {
        if (now >= progress_at_ + kGapPatience_ns)
            discard_if([](const wire::OrderPlace&) { return true; }, settle);
        return;
    }
    OrderEvent& copy = next->second.front();
    const auto settled = settle(copy, true);
    if (settled.ok()) {
        copy.state = OrderState::publishing;
        progress_at_ = now;
    } else if (settled.error().code == ErrorCode::not_found) {
        next->second.erase(next->second.begin());
        if (next->second.empty()) staged_.erase(next);
    }
}

std::size_t PublishOrder::staged() const {
    std::size_t count = 0;
    for (const auto& [place, copies] : staged_)
        count += copies.size();
    return count;
}

bool PublishOrder::waits_for_gap() const {
    return !staged_.empty() && !publishing() && !wire::follows(staged_.begin()->first, position_);
}

}  // namespace longhaul::control
