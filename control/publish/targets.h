// Datasets whose replica stands here: their stores, and the watermark that marks have proven.
// Owned by the loop's thread.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/publish/publish_order.h"
#include "control/rpo/clock_offset.h"
#include "control/rpo/status.h"
#include "control/state/state_store.h"
#include "dataplane/base/time.h"

namespace longhaul::control {

struct TargetView {
    RpoView rpo;  // what does not depend on the time of the look
    RpoFacts facts;
    WallNs heard_at = 0;  // of the last mark, or of this process's start
    std::string source_site;
    std::uint64_t store = 0;
};

// A target computes in the source's time, by the source's clock as it was measured; nullptr: it never was.
void use_clock(TargetView& target, const PeerClock* clock, WallNs now);
RpoView judge_at_target(const TargetView& target, WallNs now);

class Targets {
  public:
    Targets(StateStore& state, Ports& ports, WallNs now);

    // `directory` is canonical and exists (placement). Idempotent by site and dataset.
    Result<TargetAccepted> accept(const std::string& site, const DatasetSpec& spec,
                                  const std::string& directory, const std::vector<std::string>& sources_here,
                                  WallNs now);
    std::string directory_of(const std::string& site,
                             const std::string& dataset) const;  // empty: no replica here
    Result<void> release(const std::string& site, const std::string& dataset, std::uint64_t store);

    void on_dataplane_up();
    void on_dataplane_down();
    void tick(TimeNs now);  // opens stores that are not open yet
    void on_mark(std::uint64_t store, WallNs watermark, WallNs now);
    // A mark that cannot be true: until one comes that can be, nothing is proven. False: the same was said already.
    bool refuse_mark(std::uint64_t store, const std::string& why);
    std::string source_of(std::uint64_t store) const;  // empty: no such store
    std::string dataset_of(std::uint64_t store) const;
    // Not empty: somebody wanted to publish out of order and was refused; the text says what.
    std::string on_order(const command::OrderEvent& event, TimeNs now);

    std::vector<TargetView> views() const;
    std::uint64_t order_violations() const { return order_violations_; }

  private:
    struct Entry {
        TargetRecord record;
        bool open = false;
        std::string problem, unproven;
        WallNs heard_at = 0;
        PublishOrder order;
    };
    void publish_next(Entry& entry, TimeNs now);
    void open_store(Entry& entry);
    std::uint64_t new_store_number() const;

    StateStore& state_;
    Ports& ports_;
    bool connected_ = false;
    TimeNs retry_at_ = 0;
    std::uint64_t order_violations_ = 0;      // of stores that are released, too
    std::map<std::uint64_t, Entry> targets_;  // by store
};

}  // namespace longhaul::control
