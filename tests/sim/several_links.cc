// Two links, each with a session of its own, and a control that decides as the real one does: the lowest link that answers
// carries what is new; what is open on a link that does not answer moves, under a higher generation.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/several_links.h"

#include <memory>
#include <optional>

#include "tests/sim/endpoint.h"

namespace longhaul::sim {
namespace {

constexpr TimeNs kStart = kSecond;
constexpr unsigned kLinks = 2;

Scenario scenario_of(const FailoverPlan& plan, unsigned link) {
    Scenario scenario = on_link(plan.name + "-" + std::to_string(link), plan.rate_bps, plan.rtt);
    scenario.symmetric_loss(plan.loss);
    send_bundles(scenario, plan.bundles, plan.bundle_bytes);
    return scenario;
}

class Link {
  public:
    Link(const FailoverPlan& plan, unsigned number, const fec::Codec& codec, std::uint64_t seed,
         SeveralLinks& shared, const Report& report)
        : scenario_(scenario_of(plan, number)),
          wire_(scenario_.link[0], scenario_.link[1], seed * kLinks + number, events_) {
        for (unsigned i = 0; i < 2; ++i) {
            endpoints_[i] = std::make_unique<Endpoint>(i, scenario_, codec, wire_, events_, report);
            endpoints_[i]->join(shared, number);
            wake(i, kStart, kStart);
        }
    }
    TimeNs next() const { return events_.next_at(); }
    Endpoint& source() { return *endpoints_[0]; }
    Endpoint& target() { return *endpoints_[1]; }
    void set(const LinkEvent& event, TimeNs now) {
        for (unsigned direction = 0; direction < 2; ++direction) {
            if (event.direction != 2 && event.direction != direction) continue;
            wan::LinkSettings settings = wire_.model(direction).settings();
            settings.down = event.down;
            wire_.model(direction).set(settings, now);
        }
    }
    void kick(TimeNs now) {
        wake(0, now, now);
        wake(1, now, now);
    }
    void step() {
        const Event event = events_.pop();
        const TimeNs now = event.at;
        Endpoint& endpoint = *endpoints_[event.endpoint];
        const auto number = static_cast<std::uint32_t>(event.value);
        switch (event.kind) {
            case Event::Kind::arrival:
                endpoint.arrived(event.value);
                break;
            case Event::Kind::read_done:
                endpoint.read_done(number, now);
                break;
            case Event::Kind::write_done:
                endpoint.write_done(number, now);
                break;
            case Event::Kind::durable:
                endpoint.staged(number, wire::Stage::durable, now);
                break;
            case Event::Kind::published:
                endpoint.staged(number, wire::Stage::published, now);
                break;
            case Event::Kind::tick: {
                if (event.at != tick_at_[event.endpoint]) return;
                tick_at_[event.endpoint] = kNever;
                const TimeNs at = endpoint.turn(now);
                wake(event.endpoint, at <= now ? now + 1 : at, now);
                return;
            }
            case Event::Kind::offer:
            case Event::Kind::cancel:
            case Event::Kind::change:
            case Event::Kind::measure:
                break;
        }
        wake(event.endpoint, now, now);
    }

  private:
    void wake(unsigned endpoint, TimeNs at, TimeNs now) {
        if (at == kNever) return;
        const TimeNs quantum = scenario_.poll_quantum;
        at = (std::max(at, now) + quantum - 1) / quantum * quantum;
        if (at >= tick_at_[endpoint]) return;
        tick_at_[endpoint] = at;
        events_.push({at, 0, Event::Kind::tick, static_cast<std::uint8_t>(endpoint), 0, 0});
    }

    Scenario scenario_;
    EventQueue events_;
    SimulatedWire wire_;
    std::unique_ptr<Endpoint> endpoints_[2];
    TimeNs tick_at_[2] = {kNever, kNever};
};

class Failover {
  public:
    Failover(const FailoverPlan& plan, std::uint64_t seed) : plan_(plan), bundles_(plan.bundles) {
        shared_.plans.resize(plan.bundles);
        for (unsigned number = 0; number < kLinks; ++number)
            links_[number] =
                std::make_unique<Link>(plan, number, codec_, seed, shared_,
                                       [this, number](const std::string& what) { broken(number, what); });
        outcome_.offered.resize(kLinks);
    }

    FailoverOutcome run() {
        std::size_t next_event = 0;
        while (outcome_.broken.size() < 10 && !done()) {
            unsigned link = 0;
            for (unsigned other = 1; other < kLinks; ++other)
                if (links_[other]->next() < links_[link]->next()) link = other;
            TimeNs at = links_[link]->next();
            if (next_event < plan_.events.size() && kStart + plan_.events[next_event].at <= at) {
                const LinkEvent& event = plan_.events[next_event++];
                now_ = kStart + event.at;
                links_[event.link]->set(event, now_);
                continue;
            }
            now_ = at;
            if (now_ > kStart + plan_.complete_within) {
                broken(0, std::to_string(settled_) + " bundles settled, too late for the rest");
                break;
            }
            links_[link]->step();
            control();
        }
        outcome_.completed_at = now_ - kStart;
        outcome_.stall_max = shared_.stall_max;
        for (std::size_t i = 0; i < shared_.plans.size(); ++i)
            if (shared_.plans[i].published != 1)
                broken(0, "plan " + std::to_string(i) + " was published " +
                              std::to_string(shared_.plans[i].published) + " times");
        return std::move(outcome_);
    }

  private:
    struct Bundle {
        std::optional<unsigned> link;
        std::uint32_t generation = 0;
    };

    bool done() const { return settled_ == plan_.bundles; }
    void broken(unsigned link, const std::string& what) {
        outcome_.broken.push_back("t=" + std::to_string(static_cast<double>(now_ - kStart) / 1e6) +
                                  " ms, link " + std::to_string(link) + ": " + what);
    }

    // What the dataplane says is heard, and answered, a little later.
    void control() {
        for (unsigned link = 0; link < kLinks; ++link) {
            const bool answers = links_[link]->source().answers();
            if (answers == said_[link]) continue;
            said_[link] = answers;
            react_at_ = std::min(react_at_, now_ + plan_.control_reacts);
        }
        settled_ = 0;
        unsigned open = 0;
        for (std::size_t i = 0; i < bundles_.size(); ++i) {
            if (shared_.plans[i].settled)
                ++settled_;
            else if (bundles_[i].link)
                ++open;
        }
        if (now_ >= react_at_) {
            react_at_ = kNever;
            for (unsigned link = 0; link < kLinks; ++link)
                heard_[link] = said_[link];
            flow_ = heard_[0] || !heard_[1] ? 0 : 1;
            move_stranded();
        }
        for (; next_ < bundles_.size() && open < plan_.open_max && heard_[flow_]; ++next_, ++open)
            offer(next_, flow_);
    }
    void move_stranded() {
        if (!heard_[flow_]) return;
        for (std::size_t i = 0; i < next_; ++i) {
            const Bundle& bundle = bundles_[i];
            if (!bundle.link || *bundle.link == flow_ || heard_[*bundle.link] || shared_.plans[i].settled)
                continue;
            links_[*bundle.link]->source().take_back(i, now_);
            links_[*bundle.link]->kick(now_);
            ++outcome_.moved;
            if (shared_.plans[i].published > 0) ++outcome_.known;
            offer(i, flow_);
        }
    }
    void offer(std::size_t plan, unsigned link) {
        bundles_[plan].link = link;
        links_[link]->source().offer(plan, now_, ++bundles_[plan].generation);
        links_[link]->kick(now_);
        outcome_.offered[link] += 1;
    }

    const FailoverPlan& plan_;
    fec::Codec codec_;
    SeveralLinks shared_;
    std::unique_ptr<Link> links_[kLinks];
    std::vector<Bundle> bundles_;
    bool said_[kLinks] = {}, heard_[kLinks] = {};
    unsigned flow_ = 0;
    std::size_t next_ = 0;
    unsigned settled_ = 0;
    TimeNs react_at_ = kNever, now_ = kStart;
    FailoverOutcome outcome_;
};

}  // namespace

FailoverOutcome run(const FailoverPlan& plan, std::uint64_t seed) {
    return Failover(plan, seed).run();
}

}  // namespace longhaul::sim
