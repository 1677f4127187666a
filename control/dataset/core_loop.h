// CoreLoop: it owns all runners, targets and the state store; a mailbox before it; copies for those who look.
// Private to control/dataset: core.cc and core_*.cc implement it, others see control/core.h.
//
// Threads: the loop; per dataset two helpers that look at the source, and its feed; one helper for peers; callers of the
// public functions. Only the loop touches runners, targets and state. Callers reach it through the mailbox,
// or read the copy that the loop leaves after each turn. The loop holds no lock while it calls Ports.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "control/core.h"
#include "control/dataset/helper.h"
#include "control/dataset/runner.h"
#include "control/publish/targets.h"
#include "control/rpo/alarms.h"
#include "control/rpo/clock_offset.h"
#include "control/rpo/event_log.h"
#include "control/rpo/slo.h"
#include "control/rpo/source_clock.h"
#include "control/schedule/admission.h"

namespace longhaul::control {

class CoreLoop final : public Core {
  public:
    CoreLoop(CoreConfig config, Ports& ports, std::unique_ptr<StateStore> state);
    ~CoreLoop() override;

    // Any thread; what each means stands in control/core.h.
    void start() override;

    Result<DatasetView> dataset_create(const DatasetSpec& wanted) override;
    Result<Plan> dataset_plan(const DatasetSpec& wanted) override;
    Result<void> dataset_remove(const std::string& name) override;
    Result<DatasetView> dataset(const std::string& name) override;
    std::vector<DatasetView> datasets() override;
    Result<void> dataset_rescan(const std::string& name) override;
    Result<DatasetView> dataset_verify(const std::string& name) override;
    Result<std::uint64_t> dataset_release_deletes(const std::string& name) override;
    Result<DatasetView> dataset_change(const std::string& name, const DatasetChange& change) override;

    Result<TargetAccepted> accept_target(const std::string& source_site, const DatasetSpec& spec) override;
    Result<void> release_target(const std::string& source_site, const std::string& dataset,
                                std::uint64_t store) override;

    std::vector<RpoView> rpo() override;
    std::uint64_t wait_for_published(std::uint64_t seen, std::chrono::milliseconds patience) override;
    std::vector<BundleView> bundles() override;
    std::vector<ObjectFailure> failures(const std::string& dataset) override;
    std::vector<FlowView> flows() override;
    Result<LinkImpact> link_impact(const std::string& link, double window_s) override;
    CoreStats stats() override;

    std::vector<Event> events(std::uint64_t after, std::size_t most) override;
    std::uint64_t last_event() override { return log_.last(); }
    bool wait_for_event(std::uint64_t after, std::chrono::milliseconds patience) override;
    void note(Event event) override;
    std::vector<Breach> breaches() override;
    WallNs source_now() override { return wall(); }
    std::vector<PeerReport::Claim> claims_for(const std::string& source_site) override;
    std::vector<PeerClockView> peer_clocks() override;
    void on_peer(const std::string& site, const PeerReport& report) override;

    void on_dataplane_up(const command::StatusReport& status) override;
    void on_dataplane_down() override;
    void on_bundle(const command::BundleEvent& event) override;
    void on_mark(std::uint64_t store, WallNs watermark) override;
    void on_order(const command::OrderEvent& event) override;
    void on_link(const command::LinkStatus& status) override;

  private:
    static constexpr std::size_t kBatchesAhead = 8;
    static constexpr const char* kOwnClock = "self:";  // no site's name: names hold no colon

    // What the eyes of a dataset share with the loop; outlives either.
    struct Watch {
        std::atomic<bool> stop{false};
        Throttle throttle{kBatchesAhead};
        std::size_t waiting = 0;  // batches taken, whose sweep may not go on yet: the loop's own
        void end() {
            stop = true;
            throttle.stop();
        }
    };

    struct Dataset {
        template <typename... Arguments>
        explicit Dataset(Arguments&&... arguments) : runner(std::forward<Arguments>(arguments)...) {}
        Runner runner;
        std::shared_ptr<Watch> watch = std::make_shared<Watch>();
        std::shared_ptr<Helper> eyes = std::make_shared<Helper>();  // sweep
        std::shared_ptr<Helper> glances =
            std::make_shared<Helper>();    // look at paths, while the eyes may sweep for hours
        std::shared_ptr<ChangeFeed> feed;  // null: sweeps alone
    };

    using Task = std::function<void(Moment)>;
    using Datasets = std::map<std::int64_t, std::unique_ptr<Dataset>>;

    // One dataset seen from one end: what was sampled of it. Subjects: "source/NAME", "target/SITE/NAME".
    struct Monitor {
        Slo slo;
        Alarms alarms;
        SloView shown;
        std::optional<WallNs> unknown_since;
    };

    struct Copy {
        std::vector<RunnerView> runners;
        std::vector<TargetView> targets;
        std::map<std::string, std::shared_ptr<const Failures>> failures;
        CoreStats stats;
        std::vector<Breach> breaches;
        std::vector<PeerClockView> peer_clocks;
    };

    // core.cc: any thread
    WallNs wall() const;
    Moment now() const;
    void post(Task task);
    // Runs on the loop and waits for the answer. Not to be used from the loop or a helper.
    template <typename T, typename Function>
    Result<T> call(Function function) {
        auto promise = std::make_shared<std::promise<Result<T>>>();
        auto answer = promise->get_future();
        post([promise, function](Moment now) { promise->set_value(function(now)); });
        promise.reset();  // so that a mailbox that is thrown away breaks the promise
        try {
            return answer.get();
        } catch (const std::future_error&) {
            return Error{ErrorCode::unavailable, "longhaul-control is stopping"};
        }
    }

    // core.cc: the loop, and what it gives to helpers
    std::deque<Task> collect(std::chrono::nanoseconds wait, bool& stop);
    void run();
    void tick(Moment at);
    std::int64_t time_to_wait(Moment at) const;
    void with(std::int64_t id, const std::function<void(Runner&)>& use);
    void ask_target(std::int64_t id, Runner& runner, Moment at);
    void tell_of(const ReleaseRecord& release);
    Result<void> tell(const ReleaseRecord& release);
    Result<void> release_before(const DatasetSpec& spec);

    // core_capture.cc: the loop, and what it gives to the eyes
    void open_feed(Dataset& dataset);
    void capture(std::int64_t id, Dataset& dataset, Moment at);
    void sweep_in_background(std::int64_t id, Dataset& dataset, Moment at);
    void scan_in_background(std::int64_t id, Dataset& dataset);
    void look_in_background(std::int64_t id, Dataset& dataset);
    SweepSink hand_in(std::int64_t id, std::shared_ptr<Watch> watch,
                      std::function<void(Runner&, std::vector<Observation>&&, const SweepResult&)> take);
    CaptureView capture_view(const Dataset& dataset) const;
    // A file system that hangs must hang neither loop nor caller: whoever looks at it is waited for elsewhere.
    void close_eyes(Dataset& dataset);

    Result<Plan> plan_of(const DatasetSpec& spec);  // core_plan.cc: any thread

    // core_datasets.cc: the loop
    void add(DatasetRecord record, Moment at);
    Datasets::iterator find(const std::string& name);
    std::vector<DatasetSpec> specs() const;
    std::vector<Committed> committed() const;  // what all datasets were promised
    static Error unknown(const std::string& name);

    // core_events.cc: the loop
    void settle(const command::BundleEvent& event, Moment at);
    void cancel_strangers(const command::StatusReport& status);
    void refresh_links(Moment at);
    void assign_flows(Moment at);
    // Every dataset in turn puts one bundle together, until nobody can. True: there may be more.
    bool compose(Moment at);
    void flush(Moment at);
    std::size_t open_bundles() const;

    // core_rpo.cc: the loop
    static std::string subject_of(const DatasetSpec& spec) { return "source/" + spec.name; }
    static std::string subject_of(const TargetView& target) {
        return "target/" + target.source_site + "/" + target.rpo.dataset;
    }
    Monitor& monitor(const std::string& subject);
    void forget_monitor(const std::string& subject, Moment at);
    void sample(Moment at);
    void sample(const std::string& subject, const RpoView& view, std::optional<WallNs> seeding_since,
                const ChangeCounts& counts, Moment at);
    void add_monitored(const std::string& subject, RpoFacts& facts, RpoView& view);
    void add_clock(TargetView& target, WallNs at) const;
    void store_own_clock(Moment at);
    void record(Event event, Moment at);
    void show_recorded();
    void refuse_mark(std::uint64_t store, WallNs watermark, Moment at);
    void order_violated(std::uint64_t store, std::string text, Moment at);

    // core_views.cc: the loop leaves, any thread judges
    void leave_copy(Moment at);
    static void judge_source(const RunnerView& runner, WallNs at, RpoView& view);
    RpoView judge_target(const TargetView& target, WallNs at) const;

    // Never change; any thread.
    const CoreConfig config_;
    Ports& ports_;

    const std::string boot_id_;

    // Of any thread: they guard themselves.
    mutable SourceClock clock_;
    EventLog log_;

    // Of the loop.
    std::unique_ptr<StateStore> state_;
    Targets targets_;
    CoreStats stats_;
    Datasets datasets_;
    std::vector<LinkChoice> links_;
    LinkHistory link_history_;
    TimeNs links_at_ = 0, solve_at_ = 0, solved_at_ = 0;
    std::int64_t composed_last_ = -1;  // the dataset whose bundle was the last
    std::vector<wire::BundleId> strangers_;
    std::map<std::string, Monitor> monitors_;  // by subject
    std::map<std::string, PeerClock> clocks_;  // by site
    std::map<std::string, TimeNs> clock_stored_at_;
    std::vector<ReleaseRecord> releases_;  // removals that their sites have not heard of
    std::set<std::uint64_t> telling_;      // of these
    std::vector<Event> recorded_;          // stored in this turn, shown after its commit
    std::vector<Breach> breaches_;
    bool breaches_changed_ = true;
    TimeNs sample_at_ = 0;
    WallNs own_clock_stored_ = 0;
    std::vector<std::optional<WallNs>> published_shown_;  // by the last copy
    bool started_ = false;
    bool connected_ = false;

    // Left by the loop, read by any thread, under copy_mutex_.
    std::mutex copy_mutex_;
    Copy copy_;
    std::uint64_t published_number_ = 1;
    std::condition_variable published_;  // that number has risen

    // Filled by any thread, emptied by the loop, under mailbox_mutex_; so is stop_.
    std::mutex mailbox_mutex_;
    std::condition_variable mail_;
    std::deque<Task> mailbox_;
    bool stop_ = false;

    Helper peers_;
    std::thread loop_;
};

}  // namespace longhaul::control
