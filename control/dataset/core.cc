// The threads of Core: its loop from create to stop, the mailbox before it, helpers whose answers are mail.
// SPDX-License-Identifier: Apache-2.0
#include "control/dataset/core_loop.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>
#include <utility>

#include "control/publish/placement.h"

namespace longhaul::control {

namespace {

constexpr std::size_t kTasksPerTurn = 64;
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

// The steady clock begins anew with every boot of the machine.
std::string boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(file, id);
    return id;
}

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

CoreLoop::CoreLoop(CoreConfig config, Ports& ports, std::unique_ptr<StateStore> state)
    : config_(std::move(config)),
      ports_(ports),
      boot_id_(boot_id()),
      state_(std::move(state)),
      targets_(*state_, ports_, wall()) {
    // What has been proven lies in the past, whatever the wall says.
    for (const auto& record : state_->datasets())
        clock_.not_before(record.watermarks.w_disc.value_or(0), steady_ns());
    for (const auto& [site, clock] : state_->peer_clocks()) {
        if (site == kOwnClock + boot_id_)
            clock_.not_before(static_cast<WallNs>(steady_ns()) + clock.offset_ns, steady_ns());
        if (!site.starts_with(kOwnClock)) clocks_.emplace(site, PeerClock(clock));
    }
    for (auto& event : state_->events())
        log_.append(std::move(event));
    releases_ = state_->releases();
    for (auto& record : state_->datasets())
        add(std::move(record), now());
    leave_copy(now());
    loop_ = std::thread([this] { run(); });
}

CoreLoop::~CoreLoop() {
    {
        const std::scoped_lock lock(mailbox_mutex_);
        stop_ = true;
    }
    mail_.notify_all();
    loop_.join();
    mailbox_.clear();  // whoever waits for an answer learns that there will be none
    for (auto& [id, dataset] : datasets_)
        dataset->watch->end();
    datasets_.clear();  // waits for the eyes and feeds, which still post
}

void CoreLoop::start() {
    post([this](Moment) { started_ = true; });
}

WallNs CoreLoop::wall() const {
    if (config_.clock) return config_.clock();
    const WallNs wall = system_clock_ns();
    return clock_.read(wall, steady_ns());
}

Moment CoreLoop::now() const {
    return {wall(), steady_ns()};
}

void CoreLoop::run() {
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
        show_recorded();
        flush(at);
        const bool more = compose(at);
        leave_copy(at);
        wait = std::chrono::nanoseconds(more ? 0 : time_to_wait(at));
    }
    state_->commit();
}

void CoreLoop::tick(Moment at) {
    sample(at);
    refresh_links(at);
    targets_.tick(at.steady);
    assign_flows(at);
    for (auto& [id, dataset] : datasets_)
        dataset->runner.move_stranded(links_);
    for (auto& [id, dataset] : datasets_) {
        dataset->runner.tick(at);
        if (!started_) continue;
        capture(id, *dataset, at);
        if (dataset->runner.wants_target_accepted(at)) ask_target(id, dataset->runner, at);
    }
}

std::int64_t CoreLoop::time_to_wait(Moment at) const {
    TimeNs wait = kWaitIdle;
    for (const auto& [id, dataset] : datasets_) {
        if (dataset->runner.busy()) wait = std::min(wait, kWaitBusy);
        const TimeNs due = dataset->runner.next_sweep_at();
        if (started_ && !dataset->runner.sweeping_now())
            wait = std::min(wait, due > at.steady ? due - at.steady : 0);
    }
    return static_cast<std::int64_t>(wait);
}

void CoreLoop::post(Task task) {
    {
        const std::scoped_lock lock(mailbox_mutex_);
        if (stop_) return;
        mailbox_.push_back(std::move(task));
    }
    mail_.notify_one();
}

std::deque<CoreLoop::Task> CoreLoop::collect(std::chrono::nanoseconds wait, bool& stop) {
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

void CoreLoop::with(std::int64_t id, const std::function<void(Runner&)>& use) {
    if (const auto found = datasets_.find(id); found != datasets_.end()) use(found->second->runner);
}

void CoreLoop::ask_target(std::int64_t id, Runner& runner, Moment at) {
    runner.accept_asked(at);
    peers_.post([this, id, spec = runner.spec()] {
        auto answer = ports_.target_accept(spec);
        post([this, id, answer](Moment moment) {
            with(id, [&](Runner& found) { found.target_accepted(answer, moment); });
        });
    });
}

}  // namespace longhaul::control
