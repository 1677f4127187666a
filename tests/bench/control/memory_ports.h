// A dataplane and a peer that cost nothing: every bundle is published as soon as it is offered.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "control/core.h"

namespace longhaul::control::bench {

class MemoryPorts final : public Ports {
  public:
    MemoryPorts() : thread_([this] { run(); }) {}
    ~MemoryPorts() override {
        {
            const std::scoped_lock lock(mutex_);
            stop_ = true;
        }
        wake_.notify_all();
        thread_.join();
    }
    void attach(Core* core) {
        const std::scoped_lock lock(core_mutex_);
        core_ = core;
    }

    Result<void> store_open(std::uint64_t, const std::string&, bool, bool) override { return {}; }
    void store_close(std::uint64_t) override {}
    Result<bool> bundle_offer(const command::BundleOfferMessage& offer, std::vector<std::uint8_t>) override {
        command::BundleEvent event;
        event.id = offer.id;
        event.generation = offer.generation;
        event.link = offer.link;
        event.stage = wire::Stage::published;
        {
            const std::scoped_lock lock(mutex_);
            events_.push_back(std::move(event));
        }
        wake_.notify_one();
        return true;
    }
    Result<void> bundle_cancel(const wire::BundleId&) override { return {}; }
    Result<void> bundle_ack(const std::vector<wire::BundleId>&) override { return {}; }
    Result<void> order_settle(std::uint8_t, const wire::BundleId&, std::uint32_t, bool) override {
        return {};
    }
    Result<TargetAccepted> target_accept(const DatasetSpec&) override { return TargetAccepted{7}; }
    Result<void> target_release(const std::string&, const std::string&, std::uint64_t) override { return {}; }
    std::vector<LinkChoice> links_to(const std::string& site) override {
        LinkChoice link;
        link.name = "memory";
        link.link = 1;
        link.peer_site = site;
        link.up = true;
        link.rate_bps = 1'000'000'000'000;
        return {link};
    }

  private:
    void run() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return stop_ || !events_.empty(); });
            if (stop_) return;
            std::deque<command::BundleEvent> events;
            events.swap(events_);
            lock.unlock();
            {
                const std::scoped_lock core_lock(core_mutex_);
                for (const auto& event : events)
                    if (core_ != nullptr) core_->on_bundle(event);
            }
            lock.lock();
        }
    }

    std::mutex mutex_, core_mutex_;
    std::condition_variable wake_;
    std::deque<command::BundleEvent> events_;
    Core* core_ = nullptr;
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace longhaul::control::bench
