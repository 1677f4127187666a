// Which staged bundle of one store becomes visible next: the control's half of consistency `ordered`.
//
//   staged ─┬─ follows what was published last, nothing is publishing ──▶ publish ──▶ published: the next may follow
//           ├─ at or before it, or of an older run ──▶ discard: the source sends its changes again, under a newer run
//           └─ a gap before it ──▶ waits; after kGapPatience_ns without any progress: discard
//
// Pure: events and time come in, one command at a time goes out. It remembers nothing that it could not be told again:
// the dataplane states what is staged, and how far the store is, after every reconnect.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/base/time.h"
#include "dataplane/command/messages.h"

namespace longhaul::control {

class PublishOrder {
  public:
    // A source leaves no gaps. One that stays (a place that is lost at either end) must not hold for ever what is
    // behind it.
    static constexpr TimeNs kGapPatience_ns = 120 * kSecond;
    using Settle = std::function<Result<void>(const command::OrderEvent& bundle, bool publish)>;

    void on_event(const command::OrderEvent& event, TimeNs now);
    void forget();  // the dataplane is gone; what it still has, it will state again
    // Gives at most one `publish` and any number of discards. A command that fails is given again the next time,
    // unless the bundle is not staged any more (not_found).
    void step(TimeNs now, const Settle& settle);

    std::size_t staged() const;
    bool waits_for_gap() const;
    std::uint64_t refusals() const { return refusals_; }  // ORDER_VIOLATION: must be 0
    const wire::OrderPlace& position() const { return position_; }

  private:
    using Copies = std::vector<command::OrderEvent>;  // the same bundle over several links
    bool is_past(const wire::OrderPlace& place) const;
    bool publishing() const;
    void discard_if(const std::function<bool(const wire::OrderPlace&)>& doomed, const Settle& settle);

    wire::OrderPlace position_;
    std::map<wire::OrderPlace, Copies> staged_;
    TimeNs progress_at_ = 0;
    std::uint64_t refusals_ = 0;
};

}  // namespace longhaul::control
