// A dataplane, a link and a target in memory, behind Ports: real source trees in, a model tree out.
//
// One thread of its own carries bundles, in the order offered or shuffled. It refuses what a real target
// would refuse (a missing parent, a directory that is not empty), so that wrong orders show as failures.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "control/core.h"
#include "dataplane/base/random.h"

namespace longhaul::control::test {

struct ModelObject {
    char kind = 'f';  // f, d, l
    std::uint32_t mode = 0, uid = 0, gid = 0;
    std::int64_t mtime_ns = 0;
    std::string bytes;  // content, or the symlink's text
};
using ModelTree = std::map<std::string, ModelObject>;

class FakePorts final : public Ports {
    template <typename Function>
    auto locked(Function function) const {
        const std::scoped_lock lock(mutex_);
        wake_.notify_all();
        return function();
    }

  public:
    FakePorts();
    ~FakePorts() override;

    void attach(Core* core);  // nullptr: control has crashed; events are lost
    void connect();           // the dataplane (re)connects and reports what it knows
    void disconnect();
    void restart_dataplane();   // forgets every bundle; staging of ranges survives at the target
    void set_link_up(bool up);  // down: bundles stay where they are
    // east-west-1 or east-west-2 (which there is from the first call on); mute: up, but nothing gets through.
    void set_answering(std::uint8_t link, bool answering);
    std::size_t carried_by(std::uint8_t link) const {
        return locked([&] { return carried_by_.count(link) ? carried_by_.at(link) : 0; });
    }
    std::size_t carried_twice() const {
        return locked([&] { return carried_twice_; });
    }
    void fail(const std::string& path, wire::FailReason reason, int times);
    void fail_bundles(wire::FailReason reason, int times);
    void lose_staging() {
        locked([&] { staged_.clear(); });
    }
    void before_read(std::function<void(const std::string&)> hook) {
        locked([&] { before_read_ = std::move(hook); });
    }
    void set_list_max(std::size_t most) {
        locked([&] { list_max_ = most; });
    }
    void set_open_max(std::size_t most) {
        locked([&] { open_max_ = most; });
    }
    void shuffle(std::uint64_t seed) {
        locked([&] { random_ = Random(seed), shuffled_ = true; });
    }
    void set_store(std::uint64_t store) {
        locked([&] { store_ = store; });
    }
    // As others do at the target: other bytes, or nothing. Its dates stay.
    void tamper(const std::string& path, const std::optional<std::string>& bytes) {
        locked([&] {
            if (bytes)
                tree_.at(path).bytes = *bytes;
            else
                tree_.erase(path);
        });
    }
    void intrude(const std::string& path) {  // a file that others put there
        locked([&] { tree_[path].kind = 'f'; });
    }
    // As a bad disk does: while it lasts, files under this path read back as other bytes than were sent.
    void spoil(const std::string& path, bool on) {
        locked([&] {
            if (on)
                spoiled_.insert(path);
            else
                spoiled_.erase(path);
        });
    }
    void change(const std::string& path, const std::function<void(ModelObject&)>& how) {
        locked([&] { how(tree_.at(path)); });
    }
    void clear_target() {
        locked([&] { tree_.clear(); });
    }
    void set_budget(std::size_t bundles) {
        locked([&] { budget_ = bundles; });
    }  // carried before it stops
    void set_rate(std::uint64_t rate_bps) {
        locked([&] { rate_bps_ = rate_bps; });
    }

    ModelTree tree() const {
        return locked([&] { return tree_; });
    }
    std::vector<std::string> violations() const {
        return locked([&] { return violations_; });
    }
    std::size_t carried(wire::EntryKind kind) const {
        return locked([&] { return carried_.count(kind) ? carried_.at(kind) : 0; });
    }
    std::uint64_t range_bytes() const {  // carried in ranges
        return locked([&] { return range_bytes_; });
    }
    std::size_t waiting() const {
        return locked([&] { return queue_.size(); });
    }
    std::uint8_t waiting_link() const {  // of the bundle that is next; 0: none waits
        return locked([&] {
            const auto next = queue_.empty() ? bundles_.end() : bundles_.find(queue_.front());
            return next == bundles_.end() ? std::uint8_t{0} : next->second.link;
        });
    }
    std::size_t unacked() const {
        return locked([&] { return bundles_.size(); });
    }
    std::vector<WallNs> marks() const {
        return locked([&] { return marks_; });
    }
    std::set<std::pair<std::uint64_t, bool>> stores_open() const {
        return locked([&] { return stores_; });
    }

    Result<void> store_open(std::uint64_t store, const std::string& directory, bool target,
                            bool marked) override;
    void store_close(std::uint64_t store) override;
    Result<bool> bundle_offer(const command::BundleOfferMessage& offer,
                              std::vector<std::uint8_t> head) override;
    Result<void> bundle_cancel(const wire::BundleId& id) override;
    Result<void> bundle_ack(const std::vector<wire::BundleId>& ids) override;
    Result<void> order_settle(std::uint8_t, const wire::BundleId&, std::uint32_t, bool) override {
        return Error{ErrorCode::not_found, "nothing is staged in this model"};
    }
    Result<TargetAccepted> target_accept(const DatasetSpec& spec) override;
    Result<void> target_release(const std::string& dataset, const std::string& site,
                                std::uint64_t store) override;
    std::vector<LinkChoice> links_to(const std::string& site) override;

    std::atomic<int> accepts{0}, releases{0};
    std::atomic<bool> deaf{false};  // the other site's control cannot be reached

  private:
    struct Bundle {
        wire::Manifest manifest;
        std::uint64_t source = 0;
        std::uint8_t link = 0;
        bool done = false;
        command::BundleEvent result;
    };
    void run();
    std::list<wire::BundleId>::iterator next_in_queue();  // end(): none that gets through
    void carry(const wire::BundleId& id, std::unique_lock<std::mutex>& lock);
    wire::FailReason apply(const wire::Entry& entry, const std::string& root);
    wire::FailReason compare_names(const wire::Entry& entry, const std::string& root) const;
    wire::FailReason compare(const wire::Entry& entry, const std::string& bytes) const;
    wire::FailReason publish(const std::string& path, ModelObject object);
    wire::FailReason read_source(const wire::Entry& entry, const std::string& root, std::string& bytes);
    void touch_parent(const std::string& path);
    void tell(const command::BundleEvent& event);

    mutable std::mutex mutex_;
    mutable std::condition_variable wake_;
    std::mutex core_mutex_;
    Core* core_ = nullptr;
    bool connected_ = false, link_up_ = true, stop_ = false, shuffled_ = false;
    std::map<wire::BundleId, Bundle> bundles_;
    std::list<wire::BundleId> queue_;
    std::map<std::uint64_t, std::string> sources_;
    std::set<std::pair<std::uint64_t, bool>> stores_;
    ModelTree tree_;
    std::map<wire::ObjectKey, std::map<std::uint64_t, std::string>> staged_;
    std::map<std::string, std::pair<wire::FailReason, int>> failing_;
    std::pair<wire::FailReason, int> failing_bundles_{wire::FailReason::none, 0};
    std::function<void(const std::string&)> before_read_;
    std::vector<std::string> violations_;
    std::map<wire::EntryKind, std::size_t> carried_;
    std::uint64_t range_bytes_ = 0;
    std::vector<WallNs> marks_;
    std::size_t list_max_ = wire::kFailuresListed, open_max_ = 64;
    std::uint64_t store_ = 77, rate_bps_ = 1'000'000'000;
    std::int64_t target_clock_ = 1;
    unsigned boots_ = 1;
    std::size_t budget_ = SIZE_MAX;
    bool two_links_ = false;
    std::set<std::string> spoiled_;
    std::set<std::uint8_t> mute_;
    std::map<std::uint8_t, std::size_t> carried_by_;
    std::set<wire::BundleId> carried_ids_;
    std::size_t carried_twice_ = 0;
    Random random_{1};
    std::thread thread_;
};

}  // namespace longhaul::control::test
