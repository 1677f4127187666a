// The loop's eyes: sweeps, scans, look-ups and feeds run beside it, and what they see comes back as mail.
// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <utility>

#include "control/capture/hints.h"
#include "control/dataset/core_loop.h"
#include "control/publish/placement.h"

namespace longhaul::control {

void CoreLoop::open_feed(Dataset& dataset) {
    if (!config_.make_feed) return;
    dataset.feed = config_.make_feed(directory_of_store(dataset.runner.spec().source).value(),
                                     [this] { post([](Moment) {}); });  // the turn takes what is due
}

CaptureView CoreLoop::capture_view(const Dataset& dataset) const {
    if (dataset.feed) return dataset.feed->view();
    CaptureView view;
    view.reason = config_.no_feed_reason;
    return view;
}

void CoreLoop::close_eyes(Dataset& dataset) {
    dataset.watch->end();
    peers_.post([eyes = std::move(dataset.eyes), glances = std::move(dataset.glances),
                 feed = std::move(dataset.feed)] {});
}

void CoreLoop::capture(std::int64_t id, Dataset& dataset, Moment at) {
    if (dataset.feed && dataset.runner.wants_hints()) dataset.runner.hinted(dataset.feed->take());
    for (Watch& watch = *dataset.watch; watch.waiting > 0 && dataset.runner.wants_more(); --watch.waiting)
        watch.throttle.leave();
    if (dataset.runner.sweep_due(at)) sweep_in_background(id, dataset, at);
    look_in_background(id, dataset);
    scan_in_background(id, dataset);
}

SweepSink CoreLoop::hand_in(
    std::int64_t id, std::shared_ptr<Watch> watch,
    std::function<void(Runner&, std::vector<Observation>&&, const SweepResult&)> take) {
    return [this, id, watch = std::move(watch), take = std::move(take)](std::vector<Observation>&& seen,
                                                                        const SweepResult& so_far) {
        if (!watch->throttle.enter()) return false;
        // std::function wants to copy what it holds; the batch is not copied.
        auto batch = std::make_shared<std::vector<Observation>>(std::move(seen));
        post([this, id, batch, so_far, watch, take](Moment) {
            with(id, [&](Runner& runner) { take(runner, std::move(*batch), so_far); });
            ++watch->waiting;  // until the next turn sees whether there is room
        });
        return true;
    };
}

void CoreLoop::sweep_in_background(std::int64_t id, Dataset& dataset, Moment at) {
    state_->commit();  // the sweep compares with what is committed
    auto request = dataset.runner.begin_sweep(at);
    state_->commit();
    auto sink = hand_in(id, dataset.watch,
                        [](Runner& runner, std::vector<Observation>&& seen, const SweepResult& so_far) {
                            runner.sweeping(so_far);
                            runner.found(std::move(seen));
                        });
    dataset.eyes->post([this, id, request = std::move(request), sink = std::move(sink), watch = dataset.watch,
                        feed = dataset.feed] {
        if (feed) feed->arm();  // before anything is looked at: what changes from here on is hinted
        auto result = sweep(request, sink, watch->stop);
        post([this, id, result = std::move(result)](Moment moment) {
            with(id, [&](Runner& runner) { runner.end_sweep(result, moment); });
        });
    });
}

void CoreLoop::scan_in_background(std::int64_t id, Dataset& dataset) {
    auto request = dataset.runner.take_scan();
    if (!request) return;
    state_->commit();  // the scan compares with what is committed
    auto sink =
        hand_in(id, dataset.watch, [](Runner& runner, std::vector<Observation>&& seen, const SweepResult&) {
            runner.scanned(std::move(seen));
        });
    dataset.glances->post(
        [this, id, request = std::move(*request), sink = std::move(sink), watch = dataset.watch] {
            auto result = sweep(request, sink, watch->stop);
            post([this, id, result = std::move(result)](Moment) {
                with(id, [&](Runner& runner) { runner.end_scan(result); });
            });
        });
}

void CoreLoop::look_in_background(std::int64_t id, Dataset& dataset) {
    auto paths = dataset.runner.take_look_ups();
    if (paths.empty()) return;
    const auto& record = dataset.runner.record();
    const RootIdentity root{record.root_device, record.root_inode};
    const std::string directory = directory_of_store(record.spec.source).value();
    dataset.glances->post([this, id, directory, root, paths = std::move(paths)] {
        auto seen = std::make_shared<std::vector<Observation>>(look_again(directory, root, paths));
        post([this, id, seen](Moment) {
            with(id, [&](Runner& runner) { runner.looked_up(std::move(*seen)); });
        });
    });
}

}  // namespace longhaul::control
