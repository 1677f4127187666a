// One Runner whose time, sweeps and answers come from the test, over ports that take every bundle and carry none.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/dataset/runner.h"

namespace longhaul::control::test {

class Recorder final : public Ports {
  public:
    Result<void> store_open(std::uint64_t, const std::string&, bool, bool) override {
        ++opened;
        return {};
    }
    void store_close(std::uint64_t) override { ++closed; }
    Result<bool> bundle_offer(const command::BundleOfferMessage&, std::vector<std::uint8_t> head) override {
        offered.push_back(wire::parse_manifest(head).value());
        return true;
    }
    Result<void> bundle_cancel(const wire::BundleId&) override { return {}; }
    Result<void> bundle_ack(const std::vector<wire::BundleId>&) override { return {}; }
    Result<void> order_settle(std::uint8_t, const wire::BundleId&, std::uint32_t, bool) override {
        return Error{ErrorCode::not_found, "nothing is staged in this model"};
    }
    Result<TargetAccepted> target_accept(const DatasetSpec&) override { return TargetAccepted{7}; }
    Result<void> target_release(const std::string&, const std::string&, std::uint64_t) override { return {}; }
    std::vector<LinkChoice> links_to(const std::string&) override { return {}; }

    std::vector<wire::Manifest> offered;
    int opened = 0, closed = 0;
};

class RunnerTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "longhaul-runner-XXXXXX").string();
        directory_ = mkdtemp(pattern.data());
        config_.bundle_bytes_max = 8192;
        state_ = StateStore::open(directory_ + "/state.sqlite").value();
        DatasetRecord record;
        record.spec.name = "lake";
        record.spec.source = "posix:/nowhere";
        record.spec.target = {"west", "posix:/replica"};
        record.spec.consistency = Consistency::object;
        record.target_store = 7;
        state_->dataset_add(record);
        boot({});
    }
    void TearDown() override {
        runner_.reset();
        state_.reset();
        std::filesystem::remove_all(directory_);
    }

    void boot(const command::StatusReport& status) {
        runner_ = std::make_unique<Runner>(state_->datasets().at(0), *state_, ports_, config_, stats_);
        runner_->load(now());
        Flow flow;
        flow.assigned = true;
        flow.link = {"one", 1, "west", true, 1'000'000'000, 1, 0, {}};
        flow.rate_bps = flow.link.rate_bps;
        runner_->set_flow(flow, now());
        runner_->on_dataplane_up(status, now());
        for (const auto& event : status.bundles)
            runner_->on_bundle(event, now());
    }

    Moment now() const { return {clock_, static_cast<TimeNs>(clock_)}; }

    void turn() {
        clock_ += 1'000'000'000;
        runner_->tick(now());
        state_->commit();
        while (runner_->compose(now())) {
        }
        state_->commit();
        runner_->flush(now());
    }

    void sweep(std::vector<Observation> found, RootIdentity root = {}, bool readable = true) {
        runner_->begin_sweep(now());
        turn();
        runner_->found(std::move(found));
        SweepResult result;
        result.clean = result.readable = readable;
        result.root = root;
        runner_->end_sweep(result, now());
        if (auto paths = runner_->take_look_ups(); !paths.empty()) runner_->looked_up({{"big", source_}});
        turn();
    }

    void offer_big() {
        source_ = Observed{};
        source_->print.size = 20'000;
        source_->print.mtime_ns = source_->print.ctime_ns = 5;
        sweep({{"big", source_}});
        ASSERT_EQ(carried(wire::EntryKind::range), 3u);
    }

    std::size_t carried(wire::EntryKind kind) const {
        std::size_t count = 0;
        for (const auto& manifest : ports_.offered)
            for (const auto& entry : manifest.entries)
                count += entry.kind == kind ? 1 : 0;
        return count;
    }

    static command::BundleEvent published(const wire::Manifest& manifest) {
        command::BundleEvent event;
        event.id = manifest.id;
        event.generation = manifest.generation;
        event.stage = wire::Stage::published;
        return event;
    }

    std::string directory_;
    CoreConfig config_;
    CoreStats stats_;
    Recorder ports_;
    WallNs clock_ = 1'000'000'000'000;
    std::optional<Observed> source_;
    std::unique_ptr<StateStore> state_;
    std::unique_ptr<Runner> runner_;
};

}  // namespace longhaul::control::test
