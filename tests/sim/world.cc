// Events into endpoints, endpoints' wake-ups into events, and the bounds at the end.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/world.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "tests/sim/endpoint.h"

namespace longhaul::sim {
namespace {

constexpr std::size_t kBrokenListed = 10;

class World {
  public:
    World(const Scenario& scenario, std::uint64_t seed)
        : scenario_(scenario), wire_(scenario.link[0], scenario.link[1], seed, events_) {
        wire_.set_bad_member(scenario.bad_lanes, scenario.bad_member_loss);
        for (unsigned i = 0; i < 2; ++i) {
            endpoints_[i] =
                std::make_unique<Endpoint>(i, scenario_, codec_, wire_, events_,
                                           [this, i](const std::string& what) { broken(i, what); });
            wake(i, kStart);
        }
        for (std::size_t plan = 0; plan < scenario.bundles.size(); ++plan) {
            const BundlePlan& bundle = scenario.bundles[plan];
            const auto from = static_cast<std::uint8_t>(bundle.from);
            events_.push({kStart + bundle.offer_at, 0, Event::Kind::offer, from, plan, 0});
            if (bundle.cancel_at != kNever)
                events_.push({kStart + bundle.cancel_at, 0, Event::Kind::cancel, from, plan, 0});
        }
        if (scenario.measure_until != kNever) {
            events_.push({kStart + scenario.measure_from, 0, Event::Kind::measure, 0, 0, 0});
            events_.push({kStart + scenario.measure_until, 0, Event::Kind::measure, 0, 1, 0});
        }
        for (std::size_t i = 0; i < scenario.changes.size(); ++i)
            events_.push({kStart + scenario.changes[i].at, 0, Event::Kind::change, 0, i, 0});
    }

    Outcome run() {
        const TimeNs deadline = kStart + scenario_.complete_within;
        while (!events_.empty() && outcome_.broken.size() < kBrokenListed) {
            const Event event = events_.pop();
            now_ = event.at;
            ++outcome_.events;
            handle(event);
            if (event.kind == Event::Kind::tick && finished()) break;
            if (measured_) break;
            if (now_ > deadline + kDrain) break;
        }
        finish(deadline);
        return std::move(outcome_);
    }

  private:
    static constexpr TimeNs kStart = kSecond;  // zero is special to nobody, but a real clock is never zero
    static constexpr TimeNs kDrain = 3 * kSecond;  // pings that settle, blocks that come home

    void broken(unsigned endpoint, const std::string& what) {
        if (outcome_.broken.size() < kBrokenListed)
            outcome_.broken.push_back("t=" + std::to_string(static_cast<double>(now_ - kStart) / 1e6) +
                                      " ms, endpoint " + std::to_string(endpoint) + ": " + what);
    }

    // Workers look at their inbox at multiples of the quantum, so that arrivals gather into bursts.
    void wake(unsigned endpoint, TimeNs at) {
        if (at == kNever) return;
        const TimeNs quantum = scenario_.poll_quantum;
        at = when_let_run(endpoint, (std::max(at, now_) + quantum - 1) / quantum * quantum);
        if (at >= tick_at_[endpoint]) return;
        tick_at_[endpoint] = at;
        events_.push({at, 0, Event::Kind::tick, static_cast<std::uint8_t>(endpoint), 0, 0});
    }

    // Other programs have the sender's core at the end of every period; what is due then waits.
    TimeNs when_let_run(unsigned endpoint, TimeNs at) const {
        const TimeNs every = scenario_.worker_pause_every;
        if (endpoint != 0 || every == 0 || at % every < every - scenario_.worker_pause) return at;
        return at - at % every + every;
    }

    void handle(const Event& event) {
        Endpoint& endpoint = *endpoints_[event.endpoint];
        const auto number = static_cast<std::uint32_t>(event.value);
        switch (event.kind) {
            case Event::Kind::arrival:
                endpoint.arrived(event.value);
                break;
            case Event::Kind::read_done:
                endpoint.read_done(number, now_);
                break;
            case Event::Kind::write_done:
                endpoint.write_done(number, now_);
                break;
            case Event::Kind::durable:
                endpoint.staged(number, wire::Stage::durable, now_);
                break;
            case Event::Kind::published:
                endpoint.staged(number, wire::Stage::published, now_);
                break;
            case Event::Kind::offer:
                endpoint.offer(event.value, now_);
                ++offers_;
                break;
            case Event::Kind::cancel:
                endpoint.cancel(event.value, now_);
                break;
            case Event::Kind::change:
                apply(scenario_.changes[event.value]);
                break;
            case Event::Kind::measure: {
                const std::uint64_t bytes = endpoints_[1]->receiver().stats().payload_bytes;
                measured_ = event.value == 1;
                outcome_.measured_bytes = measured_ ? bytes - outcome_.measured_bytes : bytes;
                return;
            }
            case Event::Kind::tick:
                if (event.at != tick_at_[event.endpoint]) return;  // an earlier one took its place
                tick_at_[event.endpoint] = kNever;
                wake_later(event.endpoint, endpoint.turn(now_));
                note_memory();
                return;
        }
        wake(event.endpoint, now_);
        if (event.kind == Event::Kind::change) wake(1, now_);
    }
    // The turn that just ended did all that was due, so "now" means the next quantum.
    void wake_later(unsigned endpoint, TimeNs at) { wake(endpoint, at <= now_ ? now_ + 1 : at); }

    void note_memory() {
        outcome_.send_blocks_max =
            std::max(outcome_.send_blocks_max, endpoints_[0]->sender().stats().blocks_in_use);
        outcome_.receive_stripes_max =
            std::max(outcome_.receive_stripes_max, endpoints_[1]->receiver().stats().stripes_open);
    }

    void apply(const Change& change) {
        for (unsigned direction = 0; direction < 2; ++direction) {
            if (change.direction != 2 && change.direction != direction) continue;
            wan::LinkSettings settings = wire_.model(direction).settings();
            switch (change.kind) {
                case Change::Kind::link_down:
                    settings.down = true;
                    break;
                case Change::Kind::link_up:
                    settings.down = false;
                    break;
                case Change::Kind::mtu:
                    settings.mtu_bytes = static_cast<std::uint32_t>(change.value);
                    break;
                case Change::Kind::loss:
                    settings.loss = static_cast<double>(change.value) * 1e-6;
                    break;
                case Change::Kind::link_rate:
                    settings.rate_bps = change.value;
                    break;
                case Change::Kind::lane_dead:
                    wire_.set_lane(static_cast<unsigned>(change.value), true);
                    break;
                case Change::Kind::lane_alive:
                    wire_.set_lane(static_cast<unsigned>(change.value), false);
                    break;
                // Direction names the data's way: its target's disk stalls.
                case Change::Kind::writes_stall:
                    endpoints_[1 - direction]->stall_writes(true, now_);
                    break;
                case Change::Kind::writes_resume:
                    endpoints_[1 - direction]->stall_writes(false, now_);
                    break;
                case Change::Kind::rate_cap:
                    endpoints_[direction]->sender().set_rate_cap(change.value);
                    break;
            }
            wire_.model(direction).set(settings, now_);
        }
    }

    bool finished() const {
        if (offers_ < scenario_.bundles.size()) return false;
        for (const auto& endpoint : endpoints_)
            if (!endpoint->settled() || !endpoint->idle()) return false;
        return true;
    }

    void finish(TimeNs deadline) {
        outcome_.decoded_after = since_offer(&Endpoint::decoded_at, 1);
        outcome_.durable_after = since_offer(&Endpoint::durable_at, 0);
        for (unsigned i = 0; i < 2; ++i) {
            const Endpoint& endpoint = *endpoints_[i];
            outcome_.sender[i] = endpoint.sender().stats();
            outcome_.receiver[i] = endpoint.receiver().stats();
            wire_.model(i).observe(now_);
            outcome_.link[i] = wire_.model(i).counters();
            outcome_.completed_at = std::max(
                outcome_.completed_at, endpoint.settled_at() > kStart ? endpoint.settled_at() - kStart : 0);
            if (measured_) continue;
            if (!endpoint.settled())
                broken(i, "bundles never settled");
            else if (endpoint.settled_at() > deadline)
                broken(i, "completed too late");
            else if (!endpoint.idle())
                broken(i, "blocks or bundles still held at the end: " + held(i));
            // A direction that carries feedback only is judged by some hundred packets: chance.
            if (outcome_.sender[i].payload_bytes > 0 && outcome_.sender[i].brakes > scenario_.brakes_max)
                broken(i, "the brake was pulled too often");
            if (repairs_per_loss(i) > scenario_.repairs_per_loss_max && scenario_.repairs_per_loss_max > 0)
                broken(i, "repairs for each lost packet: " + std::to_string(repairs_per_loss(i)));
            outcome_.goodput = std::max(outcome_.goodput, goodput(i));
        }
        const bool silent = endpoints_[0]->was_silent() || endpoints_[1]->was_silent();
        if (scenario_.peer_silent_expected && !silent) broken(0, "silence was not noticed");
        if (outcome_.goodput < scenario_.goodput_min)
            broken(0, "goodput below the bound: " + std::to_string(outcome_.goodput));
    }
    double repairs_per_loss(unsigned i) const {
        const session::SenderStats& stats = outcome_.sender[i];
        return static_cast<double>(stats.repair_packets + stats.resent_packets) /
               static_cast<double>(std::max<std::uint64_t>(stats.lost_packets, 1));
    }
    // `end`: 0 where the plan's sender is meant, 1 for its target.
    std::vector<TimeNs> since_offer(const std::vector<TimeNs>& (Endpoint::*at)() const, unsigned end) const {
        std::vector<TimeNs> after;
        for (std::size_t plan = 0; plan < scenario_.bundles.size(); ++plan) {
            const BundlePlan& bundle = scenario_.bundles[plan];
            const TimeNs when = (endpoints_[bundle.from ^ end].get()->*at)()[plan];
            after.push_back(when == 0 ? 0 : when - kStart - bundle.offer_at);
        }
        return after;
    }
    std::string held(unsigned i) const {
        const auto& stats = endpoints_[i]->sender().stats();
        const auto& receiver = endpoints_[i]->receiver().stats();
        return "send blocks " + std::to_string(stats.blocks_in_use) + ", bundles " +
               std::to_string(stats.bundles_open) + ", stripes " + std::to_string(receiver.stripes_open) +
               ", bundles at the receiver " + std::to_string(receiver.bundles_open);
    }
    double goodput(unsigned from) const {
        const std::uint64_t bytes = endpoints_[from]->sender().stats().payload_bytes;
        TimeNs begin = kNever;
        for (const BundlePlan& bundle : scenario_.bundles)
            if (bundle.from == from) begin = std::min(begin, kStart + bundle.offer_at);
        const TimeNs end = endpoints_[from]->settled_at();
        if (bytes == 0 || end <= begin) return 0;
        const double symbol = scenario_.symbol_bytes;
        const double limit = static_cast<double>(scenario_.link[from].rate_bps) * symbol /
                             (symbol + wire::kHeaderBytes + wire::kTagBytes + 46);
        return static_cast<double>(bytes) * 8e9 / static_cast<double>(end - begin) / limit;
    }

    const Scenario& scenario_;
    EventQueue events_;
    SimulatedWire wire_;
    fec::Codec codec_;
    std::unique_ptr<Endpoint> endpoints_[2];
    TimeNs tick_at_[2] = {kNever, kNever};
    TimeNs now_ = 0;
    std::size_t offers_ = 0;
    bool measured_ = false;
    Outcome outcome_;
};

}  // namespace

std::string Outcome::text() const {
    char line[512];
    std::string all;
    for (unsigned i = 0; i < 2; ++i) {
        const auto& s = sender[i];
        if (s.payload_bytes == 0 && s.stripes_sent == 0) continue;
        std::snprintf(
            line, sizeof line,
            "  %u: loss at most %.2g, burst %.1f: %u rows steady, %u tail, %u stripes in turn\n"
            "     payload %.1f MiB, %llu packets (%llu parity, %llu repair, %llu resent), %llu "
            "lost (%llu on the link), %llu nacks, "
            "brakes %llu, rate %.1f Mbit/s, rtt %.1f ms\n",
            i, s.loss_upper, s.loss_burst, s.parity_steady, s.parity_tail, s.interleave_depth,
            static_cast<double>(s.payload_bytes) / (1 << 20), static_cast<unsigned long long>(s.packets),
            static_cast<unsigned long long>(s.parity_packets),
            static_cast<unsigned long long>(s.repair_packets),
            static_cast<unsigned long long>(s.resent_packets),
            static_cast<unsigned long long>(s.lost_packets), static_cast<unsigned long long>(link[i].lost),
            static_cast<unsigned long long>(s.nacks), static_cast<unsigned long long>(s.brakes),
            static_cast<double>(s.rate_bps) / 1e6, static_cast<double>(s.rtt) / 1e6);
        all += line;
    }
    std::snprintf(line, sizeof line,
                  "  completed at %.1f ms, goodput %.3f of the payload limit, %llu events\n",
                  static_cast<double>(completed_at) / 1e6, goodput, static_cast<unsigned long long>(events));
    return all + line;
}

Outcome run(const Scenario& scenario, std::uint64_t seed) {
    return World(scenario, seed).run();
}

}  // namespace longhaul::sim
