// One calendar over all flows: every session has its own queue of events, and the earliest of all is next.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/shared_path.h"

#include <algorithm>
#include <memory>

#include "tests/sim/competitors.h"
#include "tests/sim/endpoint.h"

namespace longhaul::sim {
namespace {

constexpr TimeNs kStart = kSecond;
constexpr std::uint64_t kBundleBytes = 2u << 20;
constexpr std::size_t kBrokenListed = 5;

Scenario scenario_of(const PathPlan& plan, const SessionPlan& session) {
    Scenario scenario = on_link(plan.name, plan.link[0].rate_bps, plan.rtt());
    if (session.cap_bps != 0) scenario.cap_bps = session.cap_bps;
    scenario.mode = session.mode;
    scenario.clock_skew_ppm = session.clock_skew_ppm;
    scenario.poll_quantum = 50 * kMicrosecond;
    scenario.send_blocks = 512;
    scenario.receive_blocks = 512;
    const std::uint64_t bytes = scenario.cap_bps / 8 * (plan.duration / kMillisecond) / 1000;
    send_bundles(scenario, static_cast<unsigned>(bytes / kBundleBytes + 4), kBundleBytes);
    return scenario;
}

// A session between two endpoints on models that others use too.
class Session {
  public:
    Session(const PathPlan& plan, const SessionPlan& session, wan::LinkModel& forward,
            wan::LinkModel& backward, const fec::Codec& codec, Report report)
        : start_(kStart + session.start),
          scenario_(scenario_of(plan, session)),
          wire_(forward, backward, events_) {
        for (unsigned i = 0; i < 2; ++i) {
            endpoints_[i] = std::make_unique<Endpoint>(i, scenario_, codec, wire_, events_, report);
            wake(i, kStart, kStart);
        }
        events_.push({start_, 0, Event::Kind::offer, 0, 0, 0});
    }
    TimeNs next() const { return events_.next_at(); }
    void turn();
    void stall(bool stalled, TimeNs now) { endpoints_[1]->stall_writes(stalled, now); }
    void set_mode(congestion::Mode mode) { endpoints_[0]->sender().set_mode(mode, scenario_.cap_bps); }
    void kick(TimeNs now) {
        wake(0, now, now);
        wake(1, now, now);
    }
    std::uint64_t arrived_bytes() const { return endpoints_[1]->receiver().stats().wire_bytes; }
    const session::SenderStats& sent() const { return endpoints_[0]->sender().stats(); }

  private:
    void wake(unsigned endpoint, TimeNs at, TimeNs now) {
        if (at == kNever) return;
        const TimeNs quantum = scenario_.poll_quantum;
        at = (std::max(at, now) + quantum - 1) / quantum * quantum;
        if (at >= tick_at_[endpoint]) return;
        tick_at_[endpoint] = at;
        events_.push({at, 0, Event::Kind::tick, static_cast<std::uint8_t>(endpoint), 0, 0});
    }

    TimeNs start_;
    Scenario scenario_;
    EventQueue events_;
    SimulatedWire wire_;
    std::unique_ptr<Endpoint> endpoints_[2];
    TimeNs tick_at_[2] = {kNever, kNever};
};

void Session::turn() {
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
        case Event::Kind::offer:
            for (std::size_t i = 0; i < scenario_.bundles.size(); ++i)
                endpoint.offer(i, now);
            break;
        case Event::Kind::cancel:
        case Event::Kind::change:
        case Event::Kind::measure:
            break;
        case Event::Kind::tick: {
            if (event.at != tick_at_[event.endpoint]) return;  // an earlier one took its place
            tick_at_[event.endpoint] = kNever;
            const TimeNs at = endpoint.turn(now);
            wake(event.endpoint, at <= now ? now + 1 : at, now);
            return;
        }
    }
    wake(event.endpoint, now, now);
}

class SharedPath {
  public:
    SharedPath(const PathPlan& plan, std::uint64_t seed)
        : plan_(plan),
          models_{wan::LinkModel(plan.link[0], seed * 2 + 1), wan::LinkModel(plan.link[1], seed * 2 + 2)} {
        for (const SessionPlan& session : plan.sessions)
            sessions_.push_back(std::make_unique<Session>(plan, session, models_[0], models_[1], codec_,
                                                          [this](const std::string& what) { broken(what); }));
        for (const CompetitorPlan& flow : plan.competitors) {
            const TimeNs start = kStart + flow.start,
                         stop = flow.stop == kNever ? kNever : kStart + flow.stop;
            if (flow.kind == CompetitorPlan::Kind::bbr)
                competitors_.push_back(std::make_unique<BbrFlow>(models_[0], models_[1], start, stop));
            else
                competitors_.push_back(std::make_unique<CubicFlow>(models_[0], models_[1], start, stop));
        }
    }

    PathRecord run() {
        const TimeNs end = kStart + plan_.duration;
        TimeNs next_sample = kStart;
        std::size_t next_incident = 0;
        while (record_.broken.size() < kBrokenListed) {
            Session* session = nullptr;
            Competitor* flow = nullptr;
            TimeNs at = next_sample;
            for (const auto& each : sessions_)
                if (each->next() < at) {
                    at = each->next();
                    session = each.get();
                }
            for (const auto& each : competitors_)
                if (each->next() < at) {
                    at = each->next();
                    flow = each.get();
                }
            if (next_incident < plan_.incidents.size() && kStart + plan_.incidents[next_incident].at <= at) {
                happen(plan_.incidents[next_incident++]);
                continue;
            }
            now_ = at;
            if (flow != nullptr) {
                flow->turn(at);
            } else if (session != nullptr) {
                session->turn();
            } else {
                sample();
                if (next_sample >= end) break;
                next_sample += PathRecord::kSampleEvery;
            }
        }
        record_.lost_packets = sessions_[0]->sent().lost_packets;
        record_.brakes = sessions_[0]->sent().brakes;
        return std::move(record_);
    }

  private:
    void broken(const std::string& what) {
        if (record_.broken.size() < kBrokenListed)
            record_.broken.push_back("t=" + std::to_string(static_cast<double>(now_ - kStart) / 1e6) +
                                     " ms: " + what);
    }
    void happen(const Incident& incident) {
        now_ = kStart + incident.at;
        switch (incident.to) {
            case Incident::To::path: {
                wan::LinkSettings settings[2] = {models_[0].settings(), models_[1].settings()};
                incident.path(settings[0], settings[1]);
                for (unsigned i = 0; i < 2; ++i)
                    models_[i].set(settings[i], now_);
                return;
            }
            case Incident::To::disk_stalls:
            case Incident::To::disk_resumes:
                sessions_[0]->stall(incident.to == Incident::To::disk_stalls, now_);
                break;
            case Incident::To::mode:
                sessions_[0]->set_mode(incident.mode);
                break;
        }
        sessions_[0]->kick(now_);
    }
    void sample() {
        PathSample sample;
        for (const auto& session : sessions_) {
            sample.session_bytes.push_back(session->arrived_bytes());
            sample.pace_bps.push_back(session->sent().rate_bps);
            sample.phase.emplace_back(session->sent().congestion.phase);
        }
        for (const auto& flow : competitors_)
            sample.competitor_bytes.push_back(flow->delivered_bytes());
        models_[0].observe(now_);
        sample.queue_bytes = models_[0].counters().queue_bytes;
        sample.rate_bps = models_[0].settings().rate_bps;
        record_.blocks_max = std::max(record_.blocks_max, sessions_[0]->sent().blocks_in_use);
        record_.add(std::move(sample));
    }

    const PathPlan& plan_;
    wan::LinkModel models_[2];
    fec::Codec codec_;
    std::vector<std::unique_ptr<Session>> sessions_;
    std::vector<std::unique_ptr<Competitor>> competitors_;
    TimeNs now_ = kStart;
    PathRecord record_;
};

double share_of(std::uint64_t bytes, TimeNs time, std::uint64_t rate_bps) {
    return static_cast<double>(bytes) * 8e9 / static_cast<double>(time) / static_cast<double>(rate_bps);
}

}  // namespace

std::size_t PathRecord::index_of(TimeNs time) const {
    return std::min<std::size_t>(time / kSampleEvery, samples_.size() - 1);
}

double PathRecord::session(std::size_t index, TimeNs from, TimeNs to, std::uint64_t rate_bps) const {
    return share_of(
        samples_[index_of(to)].session_bytes[index] - samples_[index_of(from)].session_bytes[index],
        to - from, rate_bps);
}

double PathRecord::competitor(std::size_t index, TimeNs from, TimeNs to, std::uint64_t rate_bps) const {
    return share_of(
        samples_[index_of(to)].competitor_bytes[index] - samples_[index_of(from)].competitor_bytes[index],
        to - from, rate_bps);
}

TimeNs PathRecord::queue_mean(TimeNs from, TimeNs to) const {
    double sum = 0;
    const std::size_t first = index_of(from), last = index_of(to);
    for (std::size_t i = first; i < last; ++i)
        sum += static_cast<double>(samples_[i].queue_bytes) * 8e9 / static_cast<double>(samples_[i].rate_bps);
    return static_cast<TimeNs>(sum / static_cast<double>(std::max<std::size_t>(1, last - first)));
}

TimeNs PathRecord::recovery(std::size_t session, TimeNs since, TimeNs window, double share,
                            std::uint64_t rate_bps) const {
    const TimeNs end = (samples_.size() - 1) * kSampleEvery;
    for (TimeNs at = since; at + window <= end; at += kSampleEvery)
        if (this->session(session, at, at + window, rate_bps) >= share) return at - since;
    return kNever;
}

PathRecord run(const PathPlan& plan, std::uint64_t seed) {
    return SharedPath(plan, seed).run();
}

}  // namespace longhaul::sim
