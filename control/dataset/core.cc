// Core: one loop that owns every runner, target and the state store; a mailbox before it; copies for those
// who look.
//
// Threads: the loop; per dataset one helper that looks at the source; one helper for peers; callers of the
// public functions. Only the loop touches runners, targets and state. Callers reach it through the mailbox,
// or read the copy that the loop leaves after each turn. The loop holds no lock while it calls Ports.
// SPDX-License-Identifier: Apache-2.0
#include "control/core.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

#include "control/dataset/helper.h"
#include "control/dataset/runner.h"
#include "control/dataset/validate.h"
#include "control/publish/placement.h"
#include "control/publish/targets.h"

namespace longhaul::control {

namespace {

constexpr std::size_t kTasksPerTurn = 64;
constexpr std::size_t kBatchesAhead = 8;
constexpr int kRoundsPerTurn = 16;
constexpr TimeNs kLinksEvery = 500 * kMillisecond;
constexpr TimeNs kWaitBusy = 20 * kMillisecond, kWaitIdle = 250 * kMillisecond;

WallNs system_clock_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}
TimeNs steady_ns() {
    return static_cast<TimeNs>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

// What the eyes of a dataset share with the loop; outlives either.
struct Watch {
    std::atomic<bool> stop{false};
    Throttle throttle{kBatchesAhead};
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
    std::shared_ptr<Helper> eyes = std::make_shared<Helper>();
};

class CoreLoop final : public Core {
  public:
    CoreLoop(CoreConfig config, Ports& ports, std::unique_ptr<StateStore> state)
        : config_(std::move(config)),
          ports_(ports),
          state_(std::move(state)),
          targets_(*state_, ports_, wall()) {
        for (auto& record : state_->datasets())
            add(std::move(record), now());
        leave_copy(now());
        loop_ = std::thread([this] { run(); });
    }

    ~CoreLoop() override {
        {
            const std::scoped_lock lock(mailbox_mutex_);
            stop_ = true;
        }
        mail_.notify_all();
        loop_.join();
        mailbox_.clear();  // whoever waits for an answer learns that there will be none
        for (auto& [id, dataset] : datasets_)
            dataset->watch->end();
        datasets_.clear();  // waits for the eyes, which still post
    }

    void start() override {
        post([this](Moment) { started_ = true; });
    }

    // ---- datasets
    // -------------------------------------------------------------------------------------------------

    Result<DatasetView> dataset_create(const DatasetSpec& wanted) override {
        auto spec = validate(wanted, config_.site);
        if (!spec) return spec.error();
        if (auto fits = call<void>([this, &spec](Moment) { return fits_among(spec.value(), specs()); });
            !fits)
            return fits.error();
        if (auto exists = link_exists(spec.value(), ports_.links_to(spec.value().target.site)); !exists)
            return exists.error();
        const auto accepted = ports_.target_accept(spec.value());  // may take seconds: on the caller's thread
        if (!accepted) return accepted.error();
        auto created = call<void>([&, this](Moment now) -> Result<void> {
            if (auto fits = fits_among(spec.value(), specs()); !fits) return fits;
            DatasetRecord record;
            record.spec = spec.value();
            record.target_store = accepted.value().store;
            record.created = now.wall;
            record.id = state_->dataset_add(record);
            state_->commit();
            add(std::move(record), now);
            leave_copy(now);
            return {};
        });
        if (!created) return created.error();
        return dataset(spec.value().name);
    }

    Result<void> dataset_remove(const std::string& name) override {
        std::string site;
        auto removed = call<void>([&, this](Moment now) -> Result<void> {
            const auto found = find(name);
            if (found == datasets_.end()) return unknown(name);
            site = found->second->runner.spec().target.site;
            found->second->runner.cancel_all();
            found->second->watch->end();
            // A file system that hangs must hang neither the loop nor the caller: the eyes are waited for
            // elsewhere.
            peers_.post([eyes = std::move(found->second->eyes)] {});
            state_->dataset_remove(found->first);
            datasets_.erase(found);
            state_->commit();
            leave_copy(now);
            return {};
        });
        if (removed) {
            peers_.post([this, name, site] {
                if (auto released = ports_.target_release(name, site); !released)
                    spdlog::warn("dataset {}: site {} could not be told of its removal: {}", name, site,
                                 released.error().text);
            });
        }
        return removed;
    }

    Result<DatasetView> dataset(const std::string& name) override {
        for (auto& view : datasets())
            if (view.spec.name == name) return view;
        return unknown(name);
    }

    std::vector<DatasetView> datasets() override {
        const WallNs at = wall();
        const std::scoped_lock lock(copy_mutex_);
        std::vector<DatasetView> views;
        for (const auto& runner : copy_.runners) {
            views.push_back(runner.dataset);
            judge_source(runner, at, views.back().rpo);
        }
        return views;
    }

    Result<void> dataset_rescan(const std::string& name) override {
        return call<void>([this, &name](Moment) -> Result<void> {
            const auto found = find(name);
            if (found == datasets_.end()) return unknown(name);
            found->second->runner.rescan_now();
            return {};
        });
    }

    // ---- replicas here
    // ----------------------------------------------------------------------------------------------

    Result<TargetAccepted> accept_target(const std::string& source_site, const DatasetSpec& spec) override {
        if (source_site.empty() || source_site == config_.site)
            return Error{ErrorCode::invalid_argument,
                         "the source's site must be another site than " + config_.site};
        auto directory = place_store(config_.allowed_roots, spec.target.store);
        if (!directory) return directory.error();
        return call<TargetAccepted>([&, this](Moment now) -> Result<TargetAccepted> {
            std::vector<std::string> sources;
            for (const auto& other : specs())
                sources.push_back(directory_of_store(other.source).value());
            auto accepted = targets_.accept(source_site, spec, directory.value(), sources, now.wall);
            state_->commit();
            leave_copy(now);
            return accepted;
        });
    }

    Result<void> release_target(const std::string& source_site, const std::string& dataset) override {
        return call<void>([&, this](Moment now) {
            auto released = targets_.release(source_site, dataset);
            state_->commit();
            leave_copy(now);
            return released;
        });
    }

    // ---- views
    // --------------------------------------------------------------------------------------------------------

    std::vector<RpoView> rpo() override {
        const WallNs at = wall();
        const std::scoped_lock lock(copy_mutex_);
        std::vector<RpoView> views;
        for (const auto& runner : copy_.runners) {
            views.push_back(runner.dataset.rpo);
            judge_source(runner, at, views.back());
        }
        for (const auto& target : copy_.targets)
            views.push_back(judge_target(target, at));
        return views;
    }

    std::vector<BundleView> bundles() override {
        const std::scoped_lock lock(copy_mutex_);
        std::vector<BundleView> views;
        for (const auto& runner : copy_.runners)
            views.insert(views.end(), runner.bundles.begin(), runner.bundles.end());
        return views;
    }

    std::vector<ObjectFailure> failures(const std::string& dataset) override {
        std::shared_ptr<const Failures> found;
        {
            const std::scoped_lock lock(copy_mutex_);
            if (const auto known = copy_.failures.find(dataset); known != copy_.failures.end())
                found = known->second;
        }
        return found ? found->list() : std::vector<ObjectFailure>();
    }

    std::vector<FlowView> flows() override {
        const std::scoped_lock lock(copy_mutex_);
        std::vector<FlowView> views;
        for (const auto& runner : copy_.runners)
            views.push_back(runner.flow);
        return views;
    }

    CoreStats stats() override {
        const std::scoped_lock lock(copy_mutex_);
        return copy_.stats;
    }

    // ---- events
    // -------------------------------------------------------------------------------------------------------

    void on_dataplane_up(const command::StatusReport& status) override {
        post([this, status](Moment now) {
            links_at_ = 0;
            connected_ = true;
            targets_.on_dataplane_up();
            for (auto& [id, dataset] : datasets_)
                dataset->runner.on_dataplane_up(status, now);
            for (const auto& event : status.bundles)
                settle(event, now);
            cancel_strangers(status);
        });
    }
    void on_dataplane_down() override {
        post([this](Moment) {
            connected_ = false;
            targets_.on_dataplane_down();
            for (auto& [id, dataset] : datasets_)
                dataset->runner.on_dataplane_down();
        });
    }
    void on_bundle(const command::BundleEvent& event) override {
        post([this, event](Moment now) { settle(event, now); });
    }
    void on_mark(std::uint64_t store, WallNs watermark) override {
        post([this, store, watermark](Moment now) { targets_.on_mark(store, watermark, now.wall); });
    }
    void on_link(const command::LinkStatus&) override {
        post([this](Moment) { links_at_ = 0; });
    }

  private:
    using Task = std::function<void(Moment)>;
    using Datasets = std::map<std::int64_t, std::unique_ptr<Dataset>>;

    struct Copy {
        std::vector<RunnerView> runners;
        std::vector<TargetView> targets;
        std::map<std::string, std::shared_ptr<const Failures>> failures;
        CoreStats stats;
    };

    WallNs wall() const { return config_.clock ? config_.clock() : system_clock_ns(); }
    Moment now() const { return {wall(), steady_ns()}; }

    static Error unknown(const std::string& name) {
        return {ErrorCode::not_found, "there is no dataset " + shown_path(name) + " with its source here"};
    }

    // ---- mailbox
    // ------------------------------------------------------------------------------------------------------

    void post(Task task) {
        {
            const std::scoped_lock lock(mailbox_mutex_);
            if (stop_) return;
            mailbox_.push_back(std::move(task));
        }
        mail_.notify_one();
    }

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

    std::deque<Task> collect(std::chrono::nanoseconds wait, bool& stop) {
        std::unique_lock lock(mailbox_mutex_);
        mail_.wait_for(lock, wait, [this] { return stop_ || !mailbox_.empty(); });
        stop = stop_;
        std::deque<Task> tasks;
        while (!mailbox_.empty() && tasks.size() < kTasksPerTurn) {
            tasks.push_back(std::move(mailbox_.front()));
            mailbox_.pop_front();
        }
        return tasks;
    }

    // ---- the loop
    // -----------------------------------------------------------------------------------------------------

    void run() {
        std::chrono::nanoseconds wait{0};
        for (;;) {
            bool stop = false;
            auto tasks = collect(wait, stop);
            if (stop) break;
            const Moment at = now();
            for (auto& task : tasks)
                task(at);
            tick(at);
            state_->commit();
            flush(at);
            const bool more = compose(at);
            leave_copy(at);
            wait = std::chrono::nanoseconds(more ? 0 : time_to_wait(at));
        }
        state_->commit();
    }

    void tick(Moment at) {
        refresh_links(at);
        targets_.tick(at.steady);
        assign_flows();
        for (auto& [id, dataset] : datasets_) {
            dataset->runner.tick(at);
            if (!started_) continue;
            if (dataset->runner.sweep_due(at)) sweep_in_background(id, *dataset, at);
            look_in_background(id, *dataset);
            if (dataset->runner.wants_target_accepted(at)) ask_target(id, dataset->runner, at);
        }
    }

    // Every dataset in turn puts one bundle together, until nobody can. True: there may be more.
    bool compose(Moment at) {
        bool any = false;
        for (int round = 0; round < kRoundsPerTurn; ++round) {
            any = false;
            for (auto& [id, dataset] : datasets_) {
                if (open_bundles() >= config_.bundles_in_flight_max) break;
                any = (started_ && dataset->runner.compose(at)) || any;
            }
            if (!any) break;
        }
        state_->commit();
        flush(at);
        return any;
    }

    void flush(Moment at) {
        if (!strangers_.empty() && ports_.bundle_ack(strangers_)) strangers_.clear();
        for (auto& [id, dataset] : datasets_)
            dataset->runner.flush(at);
    }

    std::int64_t time_to_wait(Moment at) const {
        TimeNs wait = kWaitIdle;
        for (const auto& [id, dataset] : datasets_) {
            if (dataset->runner.busy()) wait = std::min(wait, kWaitBusy);
            const TimeNs due = dataset->runner.next_sweep_at();
            if (started_ && !dataset->runner.sweeping_now())
                wait = std::min(wait, due > at.steady ? due - at.steady : 0);
        }
        return static_cast<std::int64_t>(wait);
    }

    std::size_t open_bundles() const {
        std::size_t open = 0;
        for (const auto& [id, dataset] : datasets_)
            open += dataset->runner.open_bundles();
        return open;
    }

    void refresh_links(Moment at) {
        if (at.steady < links_at_) return;
        links_at_ = at.steady + kLinksEvery;
        std::map<std::string, bool> asked;
        links_.clear();
        for (const auto& spec : specs()) {
            if (!asked.emplace(spec.target.site, true).second) continue;
            for (auto& link : ports_.links_to(spec.target.site)) {
                link.peer_site = spec.target.site;
                links_.push_back(std::move(link));
            }
        }
    }

    void assign_flows() {
        std::vector<Demand> demands;
        for (const auto& [id, dataset] : datasets_)
            demands.push_back(dataset->runner.demand());
        const auto flows = assign(demands, links_);
        std::size_t next = 0;
        for (auto& [id, dataset] : datasets_)
            dataset->runner.set_flow(flows[next++]);
    }

    void settle(const command::BundleEvent& event, Moment at) {
        for (auto& [id, dataset] : datasets_)
            if (dataset->runner.on_bundle(event, at)) return;
        // Nobody's: recorded before a crash that swallowed the acknowledgement, or of a dataset that was
        // removed.
        if (event.stage == wire::Stage::published || event.stage == wire::Stage::failed)
            strangers_.push_back(event.id);
    }

    void cancel_strangers(const command::StatusReport& status) {
        for (const auto& bundle : status.in_flight) {
            const bool owned = std::any_of(datasets_.begin(), datasets_.end(), [&](const auto& entry) {
                return entry.second->runner.owns(bundle);
            });
            if (!owned) static_cast<void>(ports_.bundle_cancel(bundle).ok());
        }
    }

    // ---- helpers
    // ------------------------------------------------------------------------------------------------------

    void with(std::int64_t id, const std::function<void(Runner&)>& use) {
        if (const auto found = datasets_.find(id); found != datasets_.end()) use(found->second->runner);
    }

    void sweep_in_background(std::int64_t id, Dataset& dataset, Moment at) {
        state_->commit();  // the sweep compares with what is committed
        auto request = dataset.runner.begin_sweep(at);
        state_->commit();
        dataset.eyes->post([this, id, request = std::move(request), watch = dataset.watch] {
            const SweepSink sink = [&](std::vector<Observation>&& seen, const SweepResult& so_far) {
                if (!watch->throttle.enter()) return false;
                // std::function wants to copy what it holds; the batch is not copied.
                auto batch = std::make_shared<std::vector<Observation>>(std::move(seen));
                post([this, id, batch, so_far, watch](Moment) {
                    with(id, [&](Runner& runner) {
                        runner.sweeping(so_far);
                        runner.found(std::move(*batch));
                    });
                    watch->throttle.leave();
                });
                return true;
            };
            auto result = sweep(request, sink, watch->stop);
            post([this, id, result = std::move(result)](Moment moment) {
                with(id, [&](Runner& runner) { runner.end_sweep(result, moment); });
            });
        });
    }

    void look_in_background(std::int64_t id, Dataset& dataset) {
        auto paths = dataset.runner.take_look_ups();
        if (paths.empty()) return;
        const auto& record = dataset.runner.record();
        const RootIdentity root{record.root_device, record.root_inode};
        const std::string directory = directory_of_store(record.spec.source).value();
        dataset.eyes->post([this, id, directory, root, paths = std::move(paths)] {
            auto seen = std::make_shared<std::vector<Observation>>(look_again(directory, root, paths));
            post([this, id, seen](Moment) {
                with(id, [&](Runner& runner) { runner.looked_up(std::move(*seen)); });
            });
        });
    }

    void ask_target(std::int64_t id, Runner& runner, Moment at) {
        runner.accept_asked(at);
        peers_.post([this, id, spec = runner.spec()] {
            auto answer = ports_.target_accept(spec);
            post([this, id, answer](Moment moment) {
                with(id, [&](Runner& found) { found.target_accepted(answer, moment); });
            });
        });
    }

    // ---- datasets
    // -----------------------------------------------------------------------------------------------------

    void add(DatasetRecord record, Moment at) {
        const auto id = record.id;
        auto dataset = std::make_unique<Dataset>(std::move(record), *state_, ports_, config_, stats_);
        dataset->runner.load(at);
        if (connected_) dataset->runner.on_dataplane_up({}, at);  // new: the dataplane knows nothing of it
        datasets_.emplace(id, std::move(dataset));
        links_at_ = 0;
    }

    Datasets::iterator find(const std::string& name) {
        return std::find_if(datasets_.begin(), datasets_.end(),
                            [&](const auto& entry) { return entry.second->runner.spec().name == name; });
    }

    std::vector<DatasetSpec> specs() const {
        std::vector<DatasetSpec> all;
        for (const auto& [id, dataset] : datasets_)
            all.push_back(dataset->runner.spec());
        return all;
    }

    // ---- copies
    // -------------------------------------------------------------------------------------------------------

    void leave_copy(Moment at) {
        Copy fresh;
        for (const auto& [id, dataset] : datasets_) {
            fresh.runners.push_back(dataset->runner.view(at));
            fresh.failures.emplace(dataset->runner.spec().name, dataset->runner.failures());
        }
        fresh.targets = targets_.views();
        fresh.stats = stats_;
        const std::scoped_lock lock(copy_mutex_);
        copy_ = std::move(fresh);
    }

    static void judge_source(const RunnerView& runner, WallNs at, RpoView& view) {
        judge(runner.facts, at, view);
        if (view.state == "STALLED" && !runner.facts.obstacle.empty())
            view.limited_by = runner.facts.obstacle;
    }

    RpoView judge_target(const TargetView& target, WallNs at) const {
        RpoView view = target.rpo;
        RpoFacts facts = target.facts;
        const double silence_s = static_cast<double>(at - target.heard_at) / 1e9;
        facts.work_waits = silence_s > mark_silence_s(view.rescan_s);
        facts.moved_at = target.heard_at;
        judge(facts, at, view);
        view.site = config_.site;
        view.limited_by = facts.obstacle;
        if (facts.obstacle.empty() && facts.work_waits)
            view.limited_by = "no watermark has arrived for " +
                              std::to_string(static_cast<std::int64_t>(silence_s)) +
                              " s: the link or the source is down";
        return view;
    }

    const CoreConfig config_;
    Ports& ports_;

    // Of the loop.
    std::unique_ptr<StateStore> state_;
    Targets targets_;
    CoreStats stats_;
    Datasets datasets_;
    std::vector<LinkChoice> links_;
    TimeNs links_at_ = 0;
    std::vector<wire::BundleId> strangers_;
    bool started_ = false;
    bool connected_ = false;

    std::mutex copy_mutex_;
    Copy copy_;

    std::mutex mailbox_mutex_;
    std::condition_variable mail_;
    std::deque<Task> mailbox_;
    bool stop_ = false;

    Helper peers_;
    std::thread loop_;
};

}  // namespace

Result<std::unique_ptr<Core>> Core::create(const CoreConfig& config, Ports& ports) {
    std::error_code failure;
    std::filesystem::create_directories(config.state_directory, failure);
    if (failure)
        return Error{ErrorCode::io_error,
                     "state_directory " + config.state_directory + " cannot be made: " + failure.message()};
    auto state = StateStore::open(config.state_directory + "/longhaul.sqlite");
    if (!state) return state.error();
    return std::unique_ptr<Core>(new CoreLoop(config, ports, std::move(state).value()));
}

}  // namespace longhaul::control
